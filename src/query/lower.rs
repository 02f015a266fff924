//! From the tree as it was written to what is evaluated: parentheses go, patterns are compiled, lengths of time that
//! depend on the query's own times are worked out.

use std::cell::Cell;

use super::error::QueryError;
use super::plan::{Function, Group, Grouping, Matching, Node, Plan, Range, RangeInput, Rollup, Selector, Shift};
use super::syntax::{
    self, Aggregate, Aggregator, At, Binary, Call, Cardinality, Expr, Formula, LabelMatcher, Length, Operator, Span,
    Subquery, VectorSelector,
};
use super::syntax::{SyntaxError, ValueType, quote_bytes};
use crate::model::{METRIC_NAME, Matcher};

/// Deepest plan. A chain such as `a or b or c` is as deep as it is long, and each level of it is one of the evaluation, on
/// the stack.
const DEPTH_MAX: usize = 256;
/// Longest duration and furthest time, in ms (70,000 years): a sum of as many as a query may nest is far from overflow.
const MS_MAX: i64 = i64::MAX / 4096;

/// When a query is evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// The first moment, in ms since 1970 UTC.
    pub(super) start_ms: i64,
    /// The end that was asked for, which need not be one of the steps.
    pub(super) end_ms: i64,
    /// Distance of two moments; 0 for an instant query.
    pub(super) step_ms: i64,
}

/// A plan, and what is to be known by whoever keeps it.
pub(super) struct Lowered {
    pub(super) plan: Plan,
    /// Whether it is another at other times.
    pub(super) depends_on_frame: bool,
    /// Regular expressions that were compiled for it.
    pub(super) patterns: usize,
}

/// The plan of a tree that was parsed from `text`, evaluated at the times of `frame`, subqueries that name no step at
/// multiples of `subquery_step_ms`.
pub(super) fn lower(
    tree: &Expr,
    text: &str,
    frame: Frame,
    subquery_step_ms: Option<i64>,
) -> Result<Lowered, QueryError> {
    let lowering = Lowering { subquery_step_ms, ..Lowering::new(text, frame) };
    let plan = lowering.expression(tree)?;
    Ok(Lowered { plan, depends_on_frame: lowering.asked_frame.get(), patterns: lowering.patterns.get() })
}

/// The matchers of a selector that stands alone.
pub(super) fn matchers(selector: &VectorSelector, text: &str) -> Result<Vec<Matcher>, QueryError> {
    Lowering::new(text, Frame::default()).matchers(selector)
}

struct Lowering<'t> {
    text: &'t str,
    frame: Frame,
    subquery_step_ms: Option<i64>,
    /// Levels above the expression at hand.
    depth: Cell<usize>,
    /// Whether the plan depends on `frame`.
    asked_frame: Cell<bool>,
    /// Patterns compiled.
    patterns: Cell<usize>,
}

impl Lowering<'_> {
    fn new(text: &str, frame: Frame) -> Lowering<'_> {
        Lowering {
            text,
            frame,
            subquery_step_ms: None,
            depth: Cell::new(0),
            asked_frame: Cell::new(false),
            patterns: Cell::new(0),
        }
    }

    /// The query's times, on which the plan then depends.
    fn frame(&self) -> Frame {
        self.asked_frame.set(true);
        self.frame
    }

    fn expression(&self, tree: &Expr) -> Result<Plan, QueryError> {
        self.at_depth(1, tree.span(), || self.level(tree))
    }

    /// Does something so many levels further down.
    fn at_depth<T>(
        &self,
        levels: usize,
        at: Span,
        lower: impl FnOnce() -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let before = self.depth.get();
        if before + levels > DEPTH_MAX {
            return Err(self.wrong(at, format!("the query is evaluated in more than {DEPTH_MAX} levels")));
        }
        self.depth.set(before + levels);
        let lowered = lower();
        self.depth.set(before);
        lowered
    }

    fn level(&self, tree: &Expr) -> Result<Plan, QueryError> {
        let span = tree.span();
        let node = match tree {
            Expr::Paren(paren) => return self.expression(&paren.inner),
            Expr::Number(number) => Node::Number(number.value),
            Expr::Text(text) => Node::Text(text.value.clone()),
            Expr::Vector(selector) => Node::Selector(Selector {
                matchers: self.matchers(selector)?,
                shift: self.shift(&selector.shift)?,
                edges: selector.edges.map(|edges| (edges, selector.span)),
            }),
            Expr::Matrix(_) | Expr::Subquery(_) => Node::Range(self.range(tree)?),
            Expr::Unary(unary) => {
                let inner = self.expression(&unary.inner)?;
                match inner.node {
                    Node::Number(number) if !unary.is_minus => Node::Number(number),
                    _ if !unary.is_minus => Node::Plus(Box::new(inner)),
                    Node::Number(number) => Node::Number(-number),
                    node => Node::Negate(Box::new(Plan { node, span: inner.span })),
                }
            }
            Expr::Binary(binary) => return self.chain(binary),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate)?,
            Expr::Call(call) => self.call(call)?,
        };
        Ok(Plan { node, span })
    }

    /// A chain of operators on the left, from the innermost outwards.
    fn chain(&self, outermost: &Binary) -> Result<Plan, QueryError> {
        let mut operators = vec![outermost];
        while let Expr::Binary(next) = &operators[operators.len() - 1].left {
            operators.push(next);
        }
        let innermost = operators[operators.len() - 1];
        let mut left = self.at_depth(operators.len(), innermost.span, || self.expression(&innermost.left))?;
        for binary in operators.into_iter().rev() {
            let right = self.expression(&binary.right)?;
            let (operator, returns_bool) = (binary.operator, binary.returns_bool);
            let node = Node::Binary {
                operator,
                returns_bool,
                matching: matching(binary.matching.as_ref()),
                left: Box::new(left),
                right: Box::new(right),
            };
            left = Plan { node, span: binary.span };
        }
        Ok(left)
    }

    fn matchers(&self, selector: &VectorSelector) -> Result<Vec<Matcher>, QueryError> {
        let name = selector.name.iter().map(|name| Matcher::equal(METRIC_NAME, name.as_str()));
        let mut matchers: Vec<Matcher> = name.collect();
        for matcher in &selector.matchers {
            matchers.push(self.matcher(matcher)?);
        }
        Ok(matchers)
    }

    fn matcher(&self, matcher: &LabelMatcher) -> Result<Matcher, QueryError> {
        self.patterns.set(self.patterns.get() + usize::from(matcher.op.is_pattern()));
        Matcher::new(matcher.name.as_str(), matcher.op, matcher.value.as_str())
            .map_err(|error| self.wrong(matcher.span, error.to_string()))
    }

    fn range(&self, tree: &Expr) -> Result<Range, QueryError> {
        match tree {
            Expr::Paren(paren) => self.range(&paren.inner),
            Expr::Matrix(matrix) => Ok(Range {
                input: RangeInput::Selector(self.matchers(&matrix.selector)?),
                range_ms: self.positive_ms(&matrix.range)?,
                shift: self.shift(&matrix.selector.shift)?,
                edges: matrix.selector.edges,
                span: matrix.span,
            }),
            Expr::Subquery(subquery) => self.subquery(subquery),
            _ => unreachable!("the parser has checked that this is a range"),
        }
    }

    fn subquery(&self, subquery: &Subquery) -> Result<Range, QueryError> {
        let inner = Box::new(self.expression(&subquery.inner)?);
        let step_ms = subquery.step.as_ref().map(|step| self.positive_ms(step)).transpose()?;
        if step_ms == Some(0) {
            return Err(self.wrong(subquery.span, "the step of a subquery must be at least 1ms"));
        }
        Ok(Range {
            input: RangeInput::Subquery { inner, step_ms: step_ms.or(self.subquery_step_ms) },
            range_ms: self.positive_ms(&subquery.range)?,
            shift: self.shift(&subquery.shift)?,
            edges: None,
            span: subquery.span,
        })
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<Node, QueryError> {
        let parameter = aggregate.parameter.as_ref().map(|parameter| self.expression(parameter)).transpose()?;
        if let (Aggregator::CountValues, Some(Expr::Text(text))) = (aggregate.operator, &aggregate.parameter)
            && let Some(bytes) = &text.bytes
        {
            return Err(QueryError::Execution(format!("invalid label name {}", quote_bytes(bytes))));
        }
        let inner = Box::new(self.expression(&aggregate.inner)?);
        let labels = aggregate.labels.clone();
        let grouping = if aggregate.without { Grouping::Without(labels) } else { Grouping::By(labels) };
        Ok(Node::Aggregate { operator: aggregate.operator, grouping, parameter: parameter.map(Box::new), inner })
    }

    fn call(&self, call: &Call) -> Result<Node, QueryError> {
        let name = call.function.name;
        if let Some(function) = Rollup::from_name(name) {
            let (mut range, mut parameters) = (None, Vec::new());
            for argument in &call.arguments {
                if argument.value_type() == ValueType::Matrix {
                    range = Some(self.range(argument)?);
                } else {
                    parameters.push(self.expression(argument)?);
                }
            }
            let range = range.expect("the parser has checked that a range is given");
            return Ok(Node::Rollup { function, range, parameters });
        }
        let function = Function::from_name(name)
            .ok_or_else(|| self.wrong(call.span, format!("the function {name:?} is not evaluated here")))?;
        check_label_names(function, &call.arguments)?;
        let arguments = call.arguments.iter().map(|argument| self.expression(argument)).collect::<Result<_, _>>()?;
        Ok(Node::Call { function, arguments })
    }

    fn shift(&self, shift: &syntax::Shift) -> Result<Shift, QueryError> {
        let at_ms = shift.at.map(|at| match at {
            At::Start => self.frame().start_ms,
            At::End => self.frame().end_ms,
            At::Time(time_ms) => time_ms,
        });
        let offset_ms = shift.offset.as_ref().map_or(Ok(0), |offset| self.length_ms(offset))?;
        if at_ms.is_some_and(|at_ms| !(-MS_MAX..=MS_MAX).contains(&at_ms)) {
            return Err(QueryError::bad_data("a time in the query is too far from 1970"));
        }
        Ok(Shift { offset_ms, at_ms })
    }

    /// The length of a range or step. Those that are written out were found positive by the parser.
    fn positive_ms(&self, length: &Length) -> Result<i64, QueryError> {
        let ms = self.length_ms(length)?;
        match length {
            Length::Computed { span, .. } if ms <= 0 => Err(placed(*span, "duration must be greater than 0")),
            _ => Ok(ms),
        }
    }

    fn length_ms(&self, length: &Length) -> Result<i64, QueryError> {
        let ms = match length {
            Length::Fixed { ms } => *ms,
            Length::Computed { formula, span } => {
                let seconds = self.seconds(formula).map_err(|what| placed(*span, what))?;
                if !(-(MS_MAX as f64)..=MS_MAX as f64).contains(&seconds) {
                    return Err(placed(*span, "duration is out of range"));
                }
                (seconds * 1000.0) as i64
            }
        };
        if (-MS_MAX..=MS_MAX).contains(&ms) {
            return Ok(ms);
        }
        Err(QueryError::bad_data("a duration in the query is too long"))
    }

    fn seconds(&self, formula: &Formula) -> Result<f64, &'static str> {
        let seconds_of = |ms: i64| ms as f64 / 1000.0;
        Ok(match formula {
            Formula::Number { seconds, .. } => *seconds,
            Formula::Step => seconds_of(self.frame().step_ms),
            Formula::Range => seconds_of(self.frame().end_ms.saturating_sub(self.frame().start_ms)),
            Formula::Negative(inner) => -self.seconds(inner)?,
            Formula::Paren(inner) => self.seconds(inner)?,
            Formula::MinOf(left, right) => self.seconds(left)?.min(self.seconds(right)?),
            Formula::MaxOf(left, right) => self.seconds(left)?.max(self.seconds(right)?),
            Formula::Binary { operator, left, right } => {
                let (left, right) = (self.seconds(left)?, self.seconds(right)?);
                match operator {
                    Operator::Add => left + right,
                    Operator::Subtract => left - right,
                    Operator::Multiply => left * right,
                    Operator::Divide if right == 0.0 => return Err("division by zero"),
                    Operator::Divide => left / right,
                    Operator::Modulo if right == 0.0 => return Err("modulo by zero"),
                    Operator::Modulo => left % right,
                    Operator::Power => left.powf(right),
                    _ => return Err("this operator is no arithmetic of durations"),
                }
            }
        })
    }

    fn wrong(&self, at: Span, what: impl Into<String>) -> QueryError {
        SyntaxError::at(self.text, at.start, what).into()
    }
}

/// Labels that a function sets or reads by name: names are UTF-8.
fn check_label_names(function: Function, arguments: &[Expr]) -> Result<(), QueryError> {
    let sources = if function == Function::LabelJoin { arguments.get(3..).unwrap_or_default() } else { &[] };
    let target = match function {
        Function::LabelReplace | Function::LabelJoin => arguments.get(1),
        _ => None,
    };
    for (role, argument) in sources.iter().map(|one| ("source", one)).chain(target.map(|one| ("destination", one))) {
        if let Expr::Text(text) = argument
            && text.bytes.is_some()
        {
            let (function, name) = (function.name(), &text.value);
            return Err(QueryError::Execution(format!("invalid {role} label name in {function}(): {name}")));
        }
    }
    Ok(())
}

/// Prometheus tells where a computed duration stands by its bytes.
fn placed(at: Span, what: &str) -> QueryError {
    QueryError::BadData(format!("{}:{}: {what}", at.start, at.end))
}

fn matching(written: Option<&syntax::Matching>) -> Matching {
    let Some(written) = written else {
        return Matching { on: false, labels: Vec::new(), group: Group::OneToOne, fill_left: None, fill_right: None };
    };
    let group = match written.cardinality {
        Cardinality::ManyToOne => Group::Left(written.include.clone()),
        Cardinality::OneToMany => Group::Right(written.include.clone()),
        Cardinality::OneToOne | Cardinality::ManyToMany => Group::OneToOne,
    };
    Matching {
        on: written.on,
        labels: written.labels.clone(),
        group,
        fill_left: written.fill_left,
        fill_right: written.fill_right,
    }
}
