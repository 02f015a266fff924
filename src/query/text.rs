//! Queries as texts: set in lines, and as trees, without data and without being evaluated.

use super::budget::Limits;
use super::error::QueryError;
use super::syntax;
use super::syntax::{Aggregator, Expr, Operator, functions};

/// Longest formatted query, in bytes: the indents of a deep one are longer than it is.
const FORMATTED_BYTES_MAX: usize = 1 << 20;

/// The query as Prometheus's `format_query` sets it, in lines of up to 100 characters where it can.
/// Fails with [`QueryError::BadData`] at the place that is no PromQL, or when the lines would be longer than a MiB.
pub fn format(query: &str) -> Result<String, QueryError> {
    syntax::pretty(&parse(query)?, FORMATTED_BYTES_MAX).map_err(|error| QueryError::bad_data(error.to_string()))
}

/// The query's tree as JSON, as Prometheus's `parse_query` has it: an object whose `type` says which members it has.
/// Fails with [`QueryError::BadData`] at the place that is no PromQL.
pub fn parse_tree(query: &str) -> Result<String, QueryError> {
    Ok(syntax::json(&parse(query)?))
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
