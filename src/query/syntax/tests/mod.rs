mod differences;
mod errors;
mod limits;
mod peer;
mod printing;
mod properties;
mod scripts;
mod trees;

use super::tree::Expr;
use super::*;

fn limits() -> SyntaxLimits {
    SyntaxLimits::default()
}

/// The tree of a query that must be one.
fn tree(query: &str) -> Expr {
    parse(query, &limits()).unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// What is said of a text that must not be a query.
fn error(query: &str) -> String {
    match parse(query, &limits()) {
        Ok(tree) => panic!("{query} was read as {}", print(&tree)),
        Err(error) => error.to_string(),
    }
}
