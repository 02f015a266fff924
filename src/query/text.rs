//! Queries as texts: set in lines, and as trees, without data and without being evaluated.

use super::budget::Limits;
use super::error::QueryError;
use super::syntax;
use super::syntax::{Aggregator, Expr, LabelMatcher, Operator, Span, functions};
use crate::model::Matcher;

/// Longest formatted query, in bytes: the indents of a deep one are longer than it is.
const FORMATTED_BYTES_MAX: usize = 1 << 20;

/// The query as Prometheus's `format_query` sets it, in lines of up to 100 characters where it can.
/// Fails with [`QueryError::BadData`] at the place that is no PromQL, or when the lines would be longer than a MiB.
pub fn format(query: &str) -> Result<String, QueryError> {
    syntax::pretty(&parse(query)?, FORMATTED_BYTES_MAX).map_err(|error| QueryError::bad_data(error.to_string()))
}

/// The query as Prometheus prints it in one line, without comments. Fails with [`QueryError::BadData`] at the place that is no
/// PromQL.
pub fn printed(query: &str) -> Result<String, QueryError> {
    Ok(syntax::print(&parse(query)?))
}

/// The query's tree as JSON, as Prometheus's `parse_query` has it: an object whose `type` says which members it has.
/// Fails with [`QueryError::BadData`] at the place that is no PromQL.
pub fn parse_tree(query: &str) -> Result<String, QueryError> {
    Ok(syntax::json(&parse(query)?))
}

/// What a condition measures: of `a / b > 0.2 and c >= 20` it is `a / b`, without what it is compared with and what must hold
/// besides. `None` where the query is no condition, or no PromQL.
pub fn measured(query: &str) -> Option<String> {
    let tree = parse(query).ok()?;
    let mut expr = &tree;
    loop {
        expr = match expr {
            Expr::Paren(paren) => &paren.inner,
            Expr::Binary(binary) if binary.operator.is_comparison() => {
                let is_limit = matches!(binary.left, Expr::Number(_));
                let measured = if is_limit { &binary.right } else { &binary.left };
                return syntax::pretty(measured, FORMATTED_BYTES_MAX).ok();
            }
            Expr::Binary(binary) if matches!(binary.operator, Operator::And | Operator::Unless) => &binary.left,
            _ => return None,
        };
    }
}

/// The query, asked of fewer series: each of its selectors has these conditions too. `sum(a) / sum(b)` with `job!="shop"` is
/// `sum(a{job!="shop"}) / sum(b{job!="shop"})`. Fails with [`QueryError::BadData`] at the place that is no PromQL.
pub fn narrowed(query: &str, conditions: &[Matcher]) -> Result<String, QueryError> {
    let mut tree = parse(query)?;
    let matcher = |condition: &Matcher| LabelMatcher {
        name: condition.name().to_owned(),
        op: condition.op(),
        value: condition.value().to_owned(),
        span: Span::default(),
    };
    tree.each_selector_mut(&mut |selector| selector.matchers.extend(conditions.iter().map(matcher)));
    Ok(syntax::print(&tree))
}

fn parse(query: &str) -> Result<Expr, QueryError> {
    Ok(syntax::parse(query, &Limits::default().syntax())?)
}

/// The functions that a query may call, by name.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    functions().iter().map(|function| function.name)
}

/// The operators and aggregations that a query may use, those that match labels included.
pub fn operator_names() -> impl Iterator<Item = &'static str> {
    let operators = Operator::ALL.iter().map(|operator| operator.name());
    operators.chain(Aggregator::ALL.iter().map(|aggregator| aggregator.name())).chain(["=~", "!~", "@"])
}
