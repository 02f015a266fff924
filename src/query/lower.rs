//! From the parser's tree to ours, with every type checked and everything that is not evaluated here refused by name.
//!
//! The only file that knows the parser.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use promql_parser::label;
use promql_parser::parser::{self, AtModifier, Expr, LabelModifier, Offset, VectorMatchCardinality};

use super::error::QueryError;
use super::plan::{
    Aggregate, At, Function, Group, Grouping, Kind, Matching, Operator, Plan, Range, RangeInput, Rollup, Selector,
    Shift,
};
use super::text::{Checked, pattern_index};
use crate::model::{METRIC_NAME, MatchOp, Matcher};

/// Parses a checked text and lowers the tree.
pub(super) fn parse(checked: &Checked) -> Result<Plan, QueryError> {
    // Foreign code on a stranger's text: should it panic, that costs this query and nothing else.
    let parsed = catch_unwind(AssertUnwindSafe(|| parser::parse(&checked.text)))
        .unwrap_or_else(|_| Err("the parser cannot read this query".to_owned()));
    let tree = parsed.map_err(|what| match checked.modifier {
        Some(modifier) => QueryError::Unsupported(format!("the modifier `{modifier}`")),
        None => QueryError::BadData(format!("invalid query: {what}")),
    })?;
    Lowering { patterns: &checked.patterns }.expression(&tree)
}

struct Lowering<'p> {
    patterns: &'p [String],
}

impl Lowering<'_> {
    fn expression(&self, tree: &Expr) -> Result<Plan, QueryError> {
        match tree {
            Expr::Paren(paren) => self.expression(&paren.expr),
            Expr::NumberLiteral(number) => Ok(Plan::Number(number.val)),
            Expr::StringLiteral(text) => Ok(Plan::Text(text.val.clone())),
            Expr::VectorSelector(selector) => Ok(Plan::Selector(Selector {
                matchers: self.matchers(selector)?,
                shift: shift(selector.offset.as_ref(), selector.at.as_ref())?,
            })),
            Expr::MatrixSelector(_) | Expr::Subquery(_) => Ok(Plan::Range(self.range(tree)?)),
            Expr::Unary(unary) => match self.expression(&unary.expr)? {
                Plan::Number(number) => Ok(Plan::Number(-number)),
                inner => {
                    scalar_or_vector(&inner, "unary minus")?;
                    Ok(Plan::Negate(Box::new(inner)))
                }
            },
            Expr::Binary(binary) => self.binary(binary),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Call(call) => self.call(call),
            Expr::Extension(_) => Err(QueryError::Unsupported("an extension of the language".to_owned())),
        }
    }

    fn matchers(&self, selector: &parser::VectorSelector) -> Result<Vec<Matcher>, QueryError> {
        if !selector.matchers.or_matchers.is_empty() {
            return Err(QueryError::Unsupported("`or` between matchers".to_owned()));
        }
        let mut matchers = Vec::with_capacity(selector.matchers.matchers.len() + 1);
        if let Some(name) = &selector.name {
            matchers.push(Matcher::equal(METRIC_NAME, name.as_str()));
        }
        for matcher in &selector.matchers.matchers {
            matchers.push(self.matcher(matcher)?);
        }
        if matchers.iter().all(Matcher::matches_absent) {
            return Err(QueryError::bad_data("vector selector must contain at least one non-empty matcher"));
        }
        Ok(matchers)
    }

    fn matcher(&self, matcher: &label::Matcher) -> Result<Matcher, QueryError> {
        let (op, value) = match &matcher.op {
            label::MatchOp::Equal => (MatchOp::Equal, &matcher.value),
            label::MatchOp::NotEqual => (MatchOp::NotEqual, &matcher.value),
            label::MatchOp::Re(_) => (MatchOp::Matches, self.pattern(&matcher.value)),
            label::MatchOp::NotRe(_) => (MatchOp::NotMatches, self.pattern(&matcher.value)),
        };
        Ok(Matcher::new(matcher.name.as_str(), op, value.as_str())?)
    }

    fn pattern(&self, stand_in: &str) -> &String {
        let found = pattern_index(stand_in).and_then(|index| self.patterns.get(index));
        found.expect("the text check put an index of its list where each pattern was")
    }

    fn range(&self, tree: &Expr) -> Result<Range, QueryError> {
        match tree {
            Expr::Paren(paren) => self.range(&paren.expr),
            Expr::MatrixSelector(matrix) => Ok(Range {
                input: RangeInput::Selector(self.matchers(&matrix.vs)?),
                range_ms: positive_ms(matrix.range)?,
                shift: shift(matrix.vs.offset.as_ref(), matrix.vs.at.as_ref())?,
            }),
            Expr::Subquery(subquery) => {
                let inner = self.expression(&subquery.expr)?;
                if inner.kind() != Kind::Vector {
                    return Err(wrong_kind("subquery", Kind::Vector, inner.kind()));
                }
                Ok(Range {
                    input: RangeInput::Subquery {
                        inner: Box::new(inner),
                        step_ms: subquery.step.map(positive_ms).transpose()?,
                    },
                    range_ms: positive_ms(subquery.range)?,
                    shift: shift(subquery.offset.as_ref(), subquery.at.as_ref())?,
                })
            }
            other => {
                let found = self.expression(other)?.kind();
                Err(wrong_kind("a function over a range", Kind::Matrix, found))
            }
        }
    }

    fn binary(&self, binary: &parser::BinaryExpr) -> Result<Plan, QueryError> {
        let symbol = binary.op.to_string();
        let operator = Operator::from_name(&symbol).ok_or(QueryError::Unsupported(format!("operator `{symbol}`")))?;
        let (left, right) = (self.expression(&binary.lhs)?, self.expression(&binary.rhs)?);
        scalar_or_vector(&left, &symbol)?;
        scalar_or_vector(&right, &symbol)?;
        let scalars = [left.kind(), right.kind()].iter().filter(|kind| **kind == Kind::Scalar).count();
        let returns_bool = binary.return_bool();
        if operator.is_set() && scalars > 0 {
            return Err(QueryError::BadData(format!(
                "set operator {symbol:?} not allowed in binary scalar expression"
            )));
        }
        if operator.is_comparison() && scalars == 2 && !returns_bool {
            return Err(QueryError::bad_data("comparisons between scalars must use BOOL modifier"));
        }
        let matching = matching(binary.modifier.as_ref(), operator)?;
        Ok(Plan::Binary { operator, returns_bool, matching, left: Box::new(left), right: Box::new(right) })
    }

    fn aggregate(&self, aggregate: &parser::AggregateExpr) -> Result<Plan, QueryError> {
        let name = aggregate.op.to_string();
        let operator =
            Aggregate::from_name(&name).ok_or_else(|| QueryError::Unsupported(format!("aggregation `{name}`")))?;
        let inner = self.expression(&aggregate.expr)?;
        if inner.kind() != Kind::Vector {
            return Err(wrong_kind(&name, Kind::Vector, inner.kind()));
        }
        let parameter = aggregate.param.as_ref().map(|parameter| self.expression(parameter)).transpose()?;
        let wanted = match operator {
            Aggregate::CountValues => Some(Kind::Text),
            Aggregate::Topk | Aggregate::Bottomk | Aggregate::Quantile => Some(Kind::Scalar),
            _ => None,
        };
        let found = parameter.as_ref().map(Plan::kind);
        match (wanted, found) {
            (None, None) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            (Some(wanted), Some(found)) => return Err(wrong_kind(&name, wanted, found)),
            _ => return Err(QueryError::BadData(format!("wrong number of arguments for `{name}`"))),
        }
        let grouping = match &aggregate.modifier {
            None => Grouping::By(Vec::new()),
            Some(LabelModifier::Include(labels)) => Grouping::By(labels.labels.clone()),
            Some(LabelModifier::Exclude(labels)) => Grouping::Without(labels.labels.clone()),
        };
        Ok(Plan::Aggregate { operator, grouping, parameter: parameter.map(Box::new), inner: Box::new(inner) })
    }

    fn call(&self, call: &parser::Call) -> Result<Plan, QueryError> {
        let name = call.func.name;
        let arguments: Vec<&Expr> = call.args.args.iter().map(AsRef::as_ref).collect();
        if let Some(function) = Rollup::from_name(name) {
            return self.rollup(function, &arguments);
        }
        let function =
            Function::from_name(name).ok_or_else(|| QueryError::Unsupported(format!("function `{name}`")))?;
        let arguments: Vec<Plan> =
            arguments.into_iter().map(|argument| self.expression(argument)).collect::<Result<_, _>>()?;
        check_arguments(function, &arguments)?;
        Ok(Plan::Call { function, arguments })
    }

    fn rollup(&self, function: Rollup, arguments: &[&Expr]) -> Result<Plan, QueryError> {
        let (range, parameter) = match (function, arguments) {
            (Rollup::Quantile, [parameter, range]) | (Rollup::PredictLinear, [range, parameter]) => {
                (range, Some(self.expression(parameter)?))
            }
            (Rollup::Quantile | Rollup::PredictLinear, _) => return Err(wrong_count(function.name())),
            (_, [range]) => (range, None),
            _ => return Err(wrong_count(function.name())),
        };
        if let Some(found) = parameter.as_ref().map(Plan::kind).filter(|kind| *kind != Kind::Scalar) {
            return Err(wrong_kind(function.name(), Kind::Scalar, found));
        }
        Ok(Plan::Rollup { function, range: self.range(range)?, parameter: parameter.map(Box::new) })
    }
}

fn matching(modifier: Option<&parser::BinModifier>, operator: Operator) -> Result<Matching, QueryError> {
    let mut matching = Matching { on: false, labels: Vec::new(), group: Group::OneToOne };
    let Some(modifier) = modifier else { return Ok(matching) };
    if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
        return Err(QueryError::Unsupported("the modifier `fill`".to_owned()));
    }
    match &modifier.matching {
        Some(LabelModifier::Include(labels)) => (matching.on, matching.labels) = (true, labels.labels.clone()),
        Some(LabelModifier::Exclude(labels)) => matching.labels.clone_from(&labels.labels),
        None => {}
    }
    matching.group = match &modifier.card {
        VectorMatchCardinality::ManyToOne(labels) => Group::Left(labels.labels.clone()),
        VectorMatchCardinality::OneToMany(labels) => Group::Right(labels.labels.clone()),
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => Group::OneToOne,
    };
    if operator.is_set() && matching.group != Group::OneToOne {
        return Err(QueryError::BadData(format!("no grouping allowed for {:?} operation", operator.name())));
    }
    Ok(matching)
}

/// The types that a function takes; the last is repeated where there may be more, the optional ones follow `required`.
fn signature(function: Function) -> (&'static [Kind], usize) {
    use Kind::{Scalar, Text, Vector};
    match function {
        Function::Time | Function::Pi => (&[], 0),
        Function::Vector => (&[Scalar], 1),
        Function::Round => (&[Vector, Scalar], 1),
        Function::Clamp => (&[Vector, Scalar, Scalar], 3),
        Function::ClampMin | Function::ClampMax => (&[Vector, Scalar], 2),
        Function::LabelReplace => (&[Vector, Text, Text, Text, Text], 5),
        Function::LabelJoin => (&[Vector, Text, Text, Text], 3),
        Function::HistogramQuantile => (&[Scalar, Vector], 2),
        Function::HistogramFraction => (&[Scalar, Scalar, Vector], 3),
        Function::Minute
        | Function::Hour
        | Function::DayOfMonth
        | Function::DayOfWeek
        | Function::DayOfYear
        | Function::DaysInMonth
        | Function::Month
        | Function::Year => (&[Vector], 0),
        _ => (&[Vector], 1),
    }
}

fn check_arguments(function: Function, arguments: &[Plan]) -> Result<(), QueryError> {
    let (kinds, required) = signature(function);
    let endless = function == Function::LabelJoin;
    if arguments.len() < required || (arguments.len() > kinds.len() && !endless) {
        return Err(wrong_count(function.name()));
    }
    for (index, argument) in arguments.iter().enumerate() {
        let wanted = kinds[index.min(kinds.len() - 1)];
        if argument.kind() != wanted {
            return Err(wrong_kind(function.name(), wanted, argument.kind()));
        }
    }
    Ok(())
}

fn scalar_or_vector(plan: &Plan, owner: &str) -> Result<(), QueryError> {
    match plan.kind() {
        Kind::Scalar | Kind::Vector => Ok(()),
        other => Err(QueryError::BadData(format!(
            "`{owner}` takes only scalars and instant vectors, not a {}",
            other.name()
        ))),
    }
}

fn wrong_kind(owner: &str, wanted: Kind, found: Kind) -> QueryError {
    QueryError::BadData(format!("expected type {} in call to `{owner}`, got {}", wanted.name(), found.name()))
}

fn wrong_count(owner: &str) -> QueryError {
    QueryError::BadData(format!("wrong number of arguments in call to `{owner}`"))
}

fn shift(offset: Option<&Offset>, at: Option<&AtModifier>) -> Result<Shift, QueryError> {
    let offset_ms = match offset {
        None => 0,
        Some(Offset::Pos(duration)) => duration_ms(*duration)?,
        Some(Offset::Neg(duration)) => -duration_ms(*duration)?,
    };
    let at = match at {
        None => None,
        Some(AtModifier::Start) => Some(At::Start),
        Some(AtModifier::End) => Some(At::End),
        Some(AtModifier::At(time)) => Some(At::Time(time_ms(*time)?)),
    };
    Ok(Shift { offset_ms, at })
}

/// Longest duration and furthest time, in ms (70,000 years): a sum of as many as a query may nest is far from overflow.
const MS_MAX: i64 = i64::MAX / 4096;

fn duration_ms(duration: Duration) -> Result<i64, QueryError> {
    i64::try_from(duration.as_millis())
        .ok()
        .filter(|ms| *ms <= MS_MAX)
        .ok_or_else(|| QueryError::bad_data("a duration in the query is too long"))
}

fn positive_ms(duration: Duration) -> Result<i64, QueryError> {
    match duration_ms(duration)? {
        0 => Err(QueryError::bad_data("duration must be greater than 0")),
        ms => Ok(ms),
    }
}

fn time_ms(time: SystemTime) -> Result<i64, QueryError> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => duration_ms(after),
        Err(before) => Ok(-duration_ms(before.duration())?),
    }
}
