//! Types: that every operator, function and aggregation gets what it takes.
//!
//! Also where the meaning of a modifier comes from what it modifies: a set operator is many-to-many, and there is
//! nothing to match if not both sides are vectors.

use std::collections::HashSet;

use super::error::{Fault, Parsed};
use super::functions::ValueType;
use super::string::quote;
use super::tree::{
    Aggregate, Aggregator, Binary, Call, Cardinality, Expr, LabelMatcher, Matching, Subquery, Unary, VectorSelector,
};
use crate::model::{METRIC_NAME, MatchOp, Matcher};

/// Checks an expression with all that is in it.
pub(super) fn check(text: &str, expr: Expr) -> Parsed<Expr> {
    let (expr, _) = Checker { text }.check(expr)?;
    Ok(expr)
}

struct Checker<'t> {
    text: &'t str,
}

impl Checker<'_> {
    /// Takes the chain on the left side apart and puts it together again from its end, link by link, each checked when
    /// all below it is: so it may be of any length.
    fn check(&self, mut expr: Expr) -> Parsed<(Expr, ValueType)> {
        let mut links = Vec::new();
        while let Some(inner) = expr.chain().map(Expr::cut) {
            links.push(std::mem::replace(&mut expr, inner));
        }
        let mut found = self.end_of_chain(&mut expr)?;
        while let Some(mut link) = links.pop() {
            *link.chain().expect("it had one, which was cut") = expr;
            found = self.link(&mut link, found)?;
            expr = link;
        }
        Ok((expr, found))
    }

    fn check_in_place(&self, place: &mut Expr) -> Parsed<ValueType> {
        let (expr, found) = self.check(place.cut())?;
        *place = expr;
        Ok(found)
    }

    fn link(&self, link: &mut Expr, inner: ValueType) -> Parsed<ValueType> {
        match link {
            Expr::Binary(binary) => self.binary(binary, inner),
            Expr::Subquery(subquery) => check_subquery(subquery, inner),
            _ => unreachable!("only these have chains"),
        }
    }

    fn end_of_chain(&self, expr: &mut Expr) -> Parsed<ValueType> {
        match expr {
            Expr::Number(_) => Ok(ValueType::Scalar),
            Expr::Text(_) => Ok(ValueType::String),
            Expr::Vector(selector) => check_selector(selector, true),
            Expr::Matrix(matrix) => check_selector(&matrix.selector, true).map(|_| ValueType::Matrix),
            Expr::Unary(unary) => self.unary(unary),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Call(call) => self.call(call),
            Expr::Paren(paren) => self.check_in_place(&mut paren.inner),
            Expr::Binary(_) | Expr::Subquery(_) => unreachable!("a chain does not end in a link"),
        }
    }

    fn unary(&self, unary: &mut Unary) -> Parsed<ValueType> {
        let found = self.check_in_place(&mut unary.inner)?;
        if is_scalar_or_vector(found) {
            return Ok(found);
        }
        let allowed = "unary expression only allowed on expressions of type scalar or instant vector";
        Err(Fault::new(unary.span.start, format!("{allowed}, got {}", quote(found.documented()))))
    }

    fn aggregate(&self, aggregate: &mut Aggregate) -> Parsed<ValueType> {
        self.expect(&mut aggregate.inner, ValueType::Vector, "aggregation expression")?;
        let wanted = match aggregate.operator {
            Aggregator::CountValues => ValueType::String,
            _ => ValueType::Scalar,
        };
        if let Some(parameter) = &mut aggregate.parameter {
            self.expect(parameter, wanted, "aggregation parameter")?;
        }
        Ok(ValueType::Vector)
    }

    fn expect(&self, expr: &mut Expr, wanted: ValueType, place: &str) -> Parsed<()> {
        let found = self.check_in_place(expr)?;
        if found == wanted {
            return Ok(());
        }
        let (wanted, found) = (wanted.documented(), found.documented());
        Err(Fault::new(expr.span().start, format!("expected type {wanted} in {place}, got {found}")))
    }

    fn call(&self, call: &mut Call) -> Parsed<ValueType> {
        check_count(call)?;
        let function = call.function;
        let is_info = function.name == "info";
        if is_info && call.arguments.len() > 1 {
            check_labels_of_info(call)?;
        }
        let place = format!("call to function {}", quote(function.name));
        for (index, argument) in call.arguments.iter_mut().enumerate() {
            let wanted = function.takes[index.min(function.takes.len() - 1)];
            match argument {
                // Which labels to add may be left open: none of them means all.
                Expr::Vector(selector) if is_info && index == 1 => check_selector(selector, false).map(|_| ())?,
                argument => self.expect(argument, wanted, &place)?,
            }
        }
        Ok(function.gives)
    }

    fn binary(&self, binary: &mut Binary, left: ValueType) -> Parsed<ValueType> {
        let right = self.check_in_place(&mut binary.right)?;
        self.check_modifiers(binary, left, right)?;
        for (side, found) in [(&binary.left, left), (&binary.right, right)] {
            if !is_scalar_or_vector(found) {
                let what = "binary expression must contain only scalar and instant vector types";
                return Err(Fault::new(side.span().start, what));
            }
        }
        check_matching(binary, left == ValueType::Vector && right == ValueType::Vector)?;
        if left == ValueType::Scalar && right == ValueType::Scalar {
            return Ok(ValueType::Scalar);
        }
        Ok(ValueType::Vector)
    }

    /// The modifiers that are checked whatever the types.
    fn check_modifiers(&self, binary: &mut Binary, left: ValueType, right: ValueType) -> Parsed<()> {
        let both_scalar = left == ValueType::Scalar && right == ValueType::Scalar;
        let is_comparison = binary.operator.is_comparison();
        let what = if binary.returns_bool && !is_comparison {
            "bool modifier can only be used on comparison operators".to_owned()
        } else if is_comparison && !binary.returns_bool && both_scalar {
            "comparisons between scalars must use BOOL modifier".to_owned()
        } else if let Some(label) = binary.matching.as_ref().and_then(label_twice) {
            format!("label {} must not occur in ON and GROUP clause at once", quote(label))
        } else {
            return Ok(());
        };
        let behind = &self.text[binary.left.span().end..];
        let operator = self.text.len() - behind.trim_start_matches([' ', '\t', '\n', '\r']).len();
        Err(Fault::new(operator, what))
    }
}

fn is_scalar_or_vector(found: ValueType) -> bool {
    matches!(found, ValueType::Scalar | ValueType::Vector)
}

fn check_subquery(subquery: &Subquery, inner: ValueType) -> Parsed<ValueType> {
    if inner == ValueType::Vector {
        return Ok(ValueType::Matrix);
    }
    let what = format!("subquery is only allowed on instant vector, got {} instead", inner.name());
    Err(Fault::new(subquery.span.start, what))
}

/// A label that `on` and `group_left` or `group_right` both have.
fn label_twice(matching: &Matching) -> Option<&String> {
    if !matching.on || matching.include.is_empty() {
        return None;
    }
    let included: HashSet<&String> = matching.include.iter().collect();
    matching.labels.iter().find(|label| included.contains(label))
}

/// Checks what is to be matched, and drops it if there is nothing to match.
fn check_matching(binary: &mut Binary, both_vectors: bool) -> Parsed<()> {
    let operator = binary.operator;
    let refused = |what: &str| Err(Fault::new(binary.span.start, what));
    let Some(matching) = &mut binary.matching else { return Ok(()) };
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    if !both_vectors {
        if !matching.labels.is_empty() {
            return refused("vector matching only allowed between instant vectors");
        }
        if fills {
            return refused("filling in missing series only allowed between instant vectors");
        }
        if operator.is_set() {
            let operator = quote(operator.name());
            return refused(&format!("set operator {operator} not allowed in binary scalar expression"));
        }
        binary.matching = None;
        return Ok(());
    }
    if operator.is_set() {
        if matching.cardinality != Cardinality::OneToOne {
            return refused(&format!("no grouping allowed for {} operation", quote(operator.name())));
        }
        if fills {
            return refused("filling in missing series not allowed for set operators");
        }
        matching.cardinality = Cardinality::ManyToMany;
    }
    Ok(())
}

/// How many arguments a function takes.
fn check_count(call: &Call) -> Parsed<()> {
    let (function, got) = (call.function, call.arguments.len());
    let takes = function.takes.len();
    let (bound, count) = match usize::try_from(function.variadic) {
        Ok(0) if got == takes => return Ok(()),
        Ok(0) => ("", takes),
        _ if got + 1 < takes => ("at least ", takes - 1),
        Ok(more) if got + 1 > takes + more => ("at most ", takes - 1 + more),
        _ => return Ok(()),
    };
    let what = format!("expected {bound}{count} argument(s) in call to {}, got {got}", quote(function.name));
    Err(Fault::new(call.span.start, what))
}

/// The second argument of `info`: matchers in braces, without a name before them.
fn check_labels_of_info(call: &Call) -> Parsed<()> {
    let labels = &call.arguments[1];
    let found = labels.value_type();
    if found != ValueType::Vector {
        let wanted = ValueType::Vector.documented();
        let what = format!("expected type {wanted} in call to function \"info\", got {}", found.documented());
        return Err(Fault::new(call.span.start, what));
    }
    let what = match labels {
        Expr::Vector(selector) if selector.name.is_none() => return Ok(()),
        Expr::Vector(_) => "expected label selectors only, got vector selector instead",
        _ => "expected label selectors only",
    };
    Err(Fault::new(labels.span().start, what))
}

fn check_selector(selector: &VectorSelector, must_narrow: bool) -> Parsed<ValueType> {
    let refused = |what: String| Err(Fault::new(selector.span.start, what));
    if let Some(name) = &selector.name {
        if let Some(other) = selector.matchers.iter().find(|matcher| matcher.name == METRIC_NAME) {
            let (name, other) = (quote(name), quote(&other.value));
            return refused(format!("metric name must not be set twice: {name} or {other}"));
        }
        return Ok(ValueType::Vector);
    }
    if must_narrow && !narrows(&selector.matchers)? {
        return refused("vector selector must contain at least one non-empty matcher".to_owned());
    }
    Ok(ValueType::Vector)
}

/// Whether any of the matchers is not satisfied by an absent label. Patterns are tried only if nothing else is there.
fn narrows(matchers: &[LabelMatcher]) -> Parsed<bool> {
    let plainly = |matcher: &LabelMatcher| match matcher.op {
        MatchOp::Equal => !matcher.value.is_empty(),
        MatchOp::NotEqual => matcher.value.is_empty(),
        MatchOp::Matches | MatchOp::NotMatches => false,
    };
    if matchers.iter().any(plainly) {
        return Ok(true);
    }
    for matcher in matchers.iter().filter(|matcher| matches!(matcher.op, MatchOp::Matches | MatchOp::NotMatches)) {
        let compiled = Matcher::new(matcher.name.as_str(), matcher.op, matcher.value.as_str());
        let unusable = |error| Fault::new(matcher.span.start, format!("error parsing regexp: {error}"));
        let compiled = compiled.map_err(unusable)?;
        if !compiled.matches_absent() {
            return Ok(true);
        }
    }
    Ok(false)
}
