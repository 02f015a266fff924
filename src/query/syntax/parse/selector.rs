//! Selectors and what modifies them.

use super::expression::is_minus;
use super::{Parser, Rule};
use crate::model::{METRIC_NAME, MatchOp};
use crate::query::syntax::error::{Fault, Parsed};
use crate::query::syntax::token::{Keyword, Kind, QueryWord, Token};
use crate::query::syntax::tree::{
    At, Edges, Expr, LabelMatcher, Length, MatrixSelector, Operator, Shift, Span, Subquery, VectorSelector,
};

const MATCHER: Rule = Rule::new("label matching", "identifier or \"}\"");
const MATCHERS_END: Rule = Rule::new("label matching", "\",\" or \"}\"");
const MATCH_OP: Rule = Rule::new("label matching", "label matching operator");
const MATCH_VALUE: Rule = Rule::new("label matching", "string");
const TIMESTAMP: Rule = Rule::new("@", "timestamp");
const RANGE_END: Rule = Rule::new("subquery or range", "\":\" or \"]\"");
const STEP_END: Rule = Rule::new("subquery selector", "\"]\"");
const RANGE: Rule = Rule::new("subquery or range selector", "number, duration, step(), or range()");
const STEP: Rule = Rule::new("subquery selector", "number, duration, step(), range(), or \"]\"");

const ONLY_VECTORS: &str = "ranges only allowed for vector selectors";
const TOGETHER: &str = "anchored and smoothed modifiers cannot be used together";

impl Parser<'_> {
    /// A selector, whose first token is next: a name or a brace.
    pub(super) fn vector_selector(&mut self) -> Parsed<VectorSelector> {
        if self.peek()?.kind == Kind::LeftBrace {
            let (matchers, span) = self.matchers()?;
            return Ok(VectorSelector { name: None, matchers, shift: Shift::default(), edges: None, span });
        }
        let name = self.take()?;
        self.named_selector(name)
    }

    /// A selector whose name was taken.
    pub(super) fn named_selector(&mut self, name: Token) -> Parsed<VectorSelector> {
        let (mut matchers, mut span) = (Vec::new(), name.span());
        if self.peek()?.kind == Kind::LeftBrace {
            let (found, braces) = self.matchers()?;
            matchers = found;
            span.end = braces.end;
        }
        let name = Some(self.text_of(name).to_owned());
        Ok(VectorSelector { name, matchers, shift: Shift::default(), edges: None, span })
    }

    fn matchers(&mut self) -> Parsed<(Vec<LabelMatcher>, Span)> {
        let open = self.take()?;
        let mut matchers = Vec::new();
        let close = loop {
            // Behind a comma too: a last one is allowed.
            if let Some(close) = self.take_if(Kind::RightBrace)? {
                break close;
            }
            matchers.push(self.matcher()?);
            if self.take_if(Kind::Comma)?.is_none() {
                break self.expect_by(MATCHERS_END, Kind::RightBrace)?;
            }
        };
        Ok((matchers, Span { start: open.start, end: close.end }))
    }

    fn matcher(&mut self) -> Parsed<LabelMatcher> {
        let kind = self.peek()?.kind;
        if !matches!(kind, Kind::Identifier | Kind::Text) {
            return Err(self.unexpected_by(MATCHER)?);
        }
        let token = self.take()?;
        let name = if kind == Kind::Text { self.string(token)? } else { self.text_of(token).to_owned() };
        let op = match self.peek()?.kind {
            Kind::Assign => MatchOp::Equal,
            Kind::Operator(Operator::NotEqual) => MatchOp::NotEqual,
            Kind::Matches => MatchOp::Matches,
            Kind::MatchesNot => MatchOp::NotMatches,
            // A string alone is the metric's name.
            _ if kind == Kind::Text => {
                let (label, span) = (METRIC_NAME.to_owned(), token.span());
                return Ok(LabelMatcher { name: label, op: MatchOp::Equal, value: name, span });
            }
            _ => return Err(self.unexpected_by(MATCH_OP)?),
        };
        self.take()?;
        let value = self.expect_by(MATCH_VALUE, Kind::Text)?;
        if matches!(op, MatchOp::Matches | MatchOp::NotMatches) {
            self.pattern(token.start)?;
        }
        let span = Span { start: token.start, end: value.end };
        Ok(LabelMatcher { name, op, value: self.string(value)?, span })
    }

    /// `[range]` or `[range:step]` behind an expression; the bracket is next.
    pub(super) fn range(&mut self, expr: Expr) -> Parsed<Expr> {
        let open = self.take()?;
        let range = self.positive_length(RANGE)?;
        if self.take_if(Kind::Colon)?.is_some() {
            return self.subquery(expr, range);
        }
        let close = self.expect_by(RANGE_END, Kind::RightBracket)?;
        let refused = |what: &str| Err(Fault::new(open.start, what));
        let Expr::Vector(selector) = expr else { return refused(ONLY_VECTORS) };
        if selector.shift.offset.is_some() {
            return refused("no offset modifiers allowed before range");
        }
        if selector.shift.at.is_some() {
            return refused("no @ modifiers allowed before range");
        }
        let span = Span { start: selector.span.start, end: close.end };
        Ok(Expr::Matrix(Box::new(MatrixSelector { selector: *selector, range, span })))
    }

    /// The rest of a subquery, from behind its colon.
    fn subquery(&mut self, inner: Expr, range: Length) -> Parsed<Expr> {
        let (step, close) = match self.take_if(Kind::RightBracket)? {
            Some(close) => (None, close),
            None => (Some(self.positive_length(STEP)?), self.expect_by(STEP_END, Kind::RightBracket)?),
        };
        self.chain(close.start)?;
        let span = Span { start: inner.span().start, end: close.end };
        Ok(Expr::Subquery(Box::new(Subquery { inner, range, step, shift: Shift::default(), span })))
    }

    /// `offset …` behind an expression; the word is next.
    pub(super) fn offset(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.take()?;
        let offset = self.offset_length()?;
        let start = expr.span().start;
        let shift = shift_of(&mut expr, self.taken_end).ok_or_else(|| misplaced(start, "offset modifier"))?;
        if shift.offset.is_some() {
            return Err(Fault::new(start, "offset may not be set multiple times"));
        }
        shift.offset = offset;
        Ok(expr)
    }

    /// `@ …` behind an expression; the sign is next.
    pub(super) fn at(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.take()?;
        let start = expr.span().start;
        let at = self.moment(start)?;
        let shift = shift_of(&mut expr, self.taken_end).ok_or_else(|| misplaced(start, "@ modifier"))?;
        if shift.at.is_some() {
            return Err(Fault::new(start, "@ <timestamp> may not be set multiple times"));
        }
        shift.at = Some(at);
        Ok(expr)
    }

    /// What stands behind `@`.
    fn moment(&mut self, start: usize) -> Parsed<At> {
        if let Kind::QueryWord(word @ (QueryWord::Start | QueryWord::End)) = self.peek()?.kind {
            self.take()?;
            self.empty_parens(TIMESTAMP)?;
            return Ok(if word == QueryWord::Start { At::Start } else { At::End });
        }
        let sign = self.sign()?;
        if !matches!(self.peek()?.kind, Kind::Number | Kind::Duration) {
            return Err(self.unexpected_by(TIMESTAMP)?);
        }
        let token = self.take()?;
        let value = self.literal(token)?.value;
        let seconds = if is_minus(sign) { -value } else { value };
        if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 {
            let shown = if seconds.is_infinite() { format!("{seconds:+.6}") } else { format!("{seconds:.6}") };
            let shown = shown.replace("inf", "Inf");
            return Err(Fault::new(start, format!("timestamp out of bounds for @ modifier: {shown}")));
        }
        Ok(At::Time((seconds * 1000.0).round() as i64))
    }

    /// `anchored` or `smoothed` behind an expression; the word is next.
    pub(super) fn edges(&mut self, mut expr: Expr, keyword: Keyword) -> Parsed<Expr> {
        self.take()?;
        let start = expr.span().start;
        let (edges, name) = match keyword {
            Keyword::Anchored => (Edges::Anchored, "anchored"),
            _ => (Edges::Smoothed, "smoothed"),
        };
        let refused = |what: String| Err(Fault::new(start, what));
        let selector = match &mut expr {
            Expr::Vector(selector) => selector,
            Expr::Matrix(matrix) => &mut matrix.selector,
            Expr::Subquery(_) => return refused(format!("{name} modifier is not supported for subqueries")),
            _ => return refused(format!("{name} modifier not implemented")),
        };
        if selector.edges.is_some_and(|before| before != edges) {
            return refused(TOGETHER.to_owned());
        }
        selector.edges = Some(edges);
        Ok(expr)
    }
}

/// The shift of an expression that may have one. The expression will end where its modifier does.
fn shift_of(expr: &mut Expr, end: usize) -> Option<&mut Shift> {
    let (shift, span) = match expr {
        Expr::Vector(selector) => (&mut selector.shift, &mut selector.span),
        Expr::Matrix(matrix) => (&mut matrix.selector.shift, &mut matrix.span),
        Expr::Subquery(subquery) => (&mut subquery.shift, &mut subquery.span),
        _ => return None,
    };
    span.end = end;
    Some(shift)
}

fn misplaced(at: usize, who: &str) -> Fault {
    let needs = "must be preceded by an instant vector selector or range vector selector or a subquery";
    Fault::new(at, format!("{who} {needs}"))
}
