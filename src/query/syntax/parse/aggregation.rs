//! Aggregations, and lists of labels in parentheses.

use super::{Parser, Rule};
use crate::query::syntax::error::{Fault, Parsed};
use crate::query::syntax::string::{quote_bytes, unquote};
use crate::query::syntax::token::{Keyword, Kind, Token};
use crate::query::syntax::tree::{Aggregate, Aggregator, Expr, Span};

const LABELS: Rule = Rule::new("grouping opts", "\"(\"");
const LABEL: Rule = Rule::new("grouping opts", "label");
const LABELS_END: Rule = Rule::new("grouping opts", "\",\" or \")\"");

/// `by (…)` or `without (…)`.
struct Grouping {
    without: bool,
    labels: Vec<String>,
    end: usize,
}

impl Parser<'_> {
    /// An aggregation whose operator was taken.
    pub(super) fn aggregate(&mut self, name: Token, operator: Aggregator) -> Parsed<Expr> {
        let outside = std::mem::replace(&mut self.in_aggregation, true);
        let mut grouping = self.grouping()?;
        let (arguments, close) = self.arguments()?;
        self.in_aggregation = outside;
        let mut end = close.end;
        if grouping.is_none() {
            grouping = self.grouping()?;
            end = grouping.as_ref().map_or(end, |grouping| grouping.end);
        }
        let span = Span { start: name.start, end };
        let (parameter, inner) = divide(operator, arguments).map_err(|what| Fault::new(name.start, what))?;
        let Grouping { without, labels, .. } =
            grouping.unwrap_or_else(|| Grouping { without: false, labels: Vec::new(), end });
        Ok(Expr::Aggregate(Box::new(Aggregate { operator, without, labels, parameter, inner, span })))
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let Kind::Keyword(keyword @ (Keyword::By | Keyword::Without)) = self.peek()?.kind else { return Ok(None) };
        self.take()?;
        let (labels, close) = self.labels()?;
        Ok(Some(Grouping { without: keyword == Keyword::Without, labels, end: close.end }))
    }

    /// Labels in parentheses.
    pub(super) fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        let (labels, _) = self.labels()?;
        Ok(labels)
    }

    /// Labels in parentheses, and the closing one.
    fn labels(&mut self) -> Parsed<(Vec<String>, Token)> {
        self.expect_by(LABELS, Kind::LeftParen)?;
        let mut labels = Vec::new();
        loop {
            // Behind a comma too: a last one is allowed.
            if let Some(close) = self.take_if(Kind::RightParen)? {
                return Ok((labels, close));
            }
            labels.push(self.label()?);
            if self.take_if(Kind::Comma)?.is_none() {
                let close = self.expect_by(LABELS_END, Kind::RightParen)?;
                return Ok((labels, close));
            }
        }
    }

    fn label(&mut self) -> Parsed<String> {
        let kind = self.peek()?.kind;
        if kind != Kind::Text && !kind.is_label_name() {
            return Err(self.unexpected_by(LABEL)?);
        }
        let token = self.take()?;
        let text = self.text_of(token);
        let name = if kind == Kind::Text { unquote(text) } else { Ok(text.to_owned()) };
        let name = name.and_then(|name| if name.is_empty() { Err(Vec::new()) } else { Ok(name) });
        let invalid = |bytes: Vec<u8>| format!("invalid label name for grouping: {}", quote_bytes(&bytes));
        name.map_err(|bytes| Fault::new(token.start, invalid(bytes)))
    }
}

/// The arguments of an aggregation as its parameter and its vector.
fn divide(operator: Aggregator, mut arguments: Vec<Expr>) -> Result<(Option<Expr>, Expr), String> {
    let expected = if operator.takes_parameter() { 2 } else { 1 };
    let count = arguments.len();
    if count == 0 {
        return Err("no arguments for aggregate expression provided".to_owned());
    }
    let inner = arguments.pop().filter(|_| count == expected);
    let inner = inner.ok_or_else(|| {
        format!("wrong number of arguments for aggregate expression provided, expected {expected}, got {count}")
    })?;
    Ok((arguments.pop(), inner))
}
