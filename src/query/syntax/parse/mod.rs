//! From tokens to a tree, by recursive descent.
//!
//! `a or b * c` is an operand, and then, as long as an operator follows that binds at least as tightly as asked for,
//! the operator and an expression that binds more tightly. Each call of itself is counted against the limit on nesting,
//! and each operator against the limit on chains, so that no text makes it go deep.
//!
//! Always true: the first error is the one that Prometheus's generated parser would report. So nothing is read ahead
//! before what is already certain was checked, and errors name the innermost rule that Prometheus has a message for.

mod aggregation;
mod durations;
mod expression;
mod selector;

use super::error::{Fault, Parsed};
use super::lexer::Lexer;
use super::string::{quote, unquote};
use super::token::{Kind, Token, describe};
use super::tree::{Expr, Number, VectorSelector};
use super::{SyntaxLimits, duration};

pub(super) struct Parser<'t> {
    text: &'t str,
    lexer: Lexer<'t>,
    ahead: Option<Token>,
    /// Where the last token that was taken ends.
    taken_end: usize,
    limits: &'t SyntaxLimits,
    depth: usize,
    /// Operators and subqueries so far: no chain is longer.
    chained: usize,
    patterns: usize,
    in_aggregation: bool,
}

/// What an error says of the rule it met.
#[derive(Clone, Copy)]
struct Rule {
    name: &'static str,
    expected: &'static str,
}

impl Rule {
    const fn new(name: &'static str, expected: &'static str) -> Rule {
        Rule { name, expected }
    }
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str, limits: &'t SyntaxLimits) -> Parser<'t> {
        let lexer = Lexer::new(text);
        Parser {
            text,
            lexer,
            ahead: None,
            taken_end: 0,
            limits,
            depth: 0,
            chained: 0,
            patterns: 0,
            in_aggregation: false,
        }
    }

    /// All of the text as one expression; types are not checked yet.
    pub(super) fn whole(mut self) -> Parsed<Expr> {
        if self.peek()?.kind == Kind::End {
            return Err(Fault::new(0, "no expression found in input"));
        }
        let expr = self.expression(0)?;
        self.end()?;
        Ok(expr)
    }

    /// All of the text as one selector.
    pub(super) fn selector_alone(mut self) -> Parsed<VectorSelector> {
        let token = self.peek()?;
        if token.kind != Kind::LeftBrace && !token.kind.is_metric_name() {
            return Err(self.unexpected(token));
        }
        let selector = self.vector_selector()?;
        self.end()?;
        Ok(selector)
    }

    fn end(&mut self) -> Parsed<()> {
        match self.peek()? {
            token if token.kind == Kind::End => Ok(()),
            token => Err(self.unexpected(token)),
        }
    }

    fn peek(&mut self) -> Parsed<Token> {
        if let Some(token) = self.ahead {
            return Ok(token);
        }
        let token = self.lexer.next()?;
        self.ahead = Some(token);
        Ok(token)
    }

    fn take(&mut self) -> Parsed<Token> {
        let token = self.peek()?;
        self.ahead = None;
        self.taken_end = token.end;
        Ok(token)
    }

    /// Takes the next token if it is of this kind.
    fn take_if(&mut self, kind: Kind) -> Parsed<Option<Token>> {
        if self.peek()?.kind == kind { self.take().map(Some) } else { Ok(None) }
    }

    /// Takes a token that must be of this kind.
    fn expect(&mut self, kind: Kind) -> Parsed<Token> {
        let found = self.take_if(kind)?;
        match found {
            Some(token) => Ok(token),
            None => Err(self.unexpected_next()?),
        }
    }

    /// Takes a token that must be of this kind, by a rule that has a message of its own.
    fn expect_by(&mut self, rule: Rule, kind: Kind) -> Parsed<Token> {
        match self.take_if(kind)? {
            Some(token) => Ok(token),
            None => Err(self.unexpected_by(rule)?),
        }
    }

    fn text_of(&self, token: Token) -> &'t str {
        &self.text[token.start..token.end]
    }

    fn unexpected(&self, token: Token) -> Fault {
        let what = describe(token.kind, self.text_of(token));
        let within = if self.in_aggregation { " in aggregation" } else { "" };
        Fault::new(token.start, format!("unexpected {what}{within}"))
    }

    fn unexpected_next(&mut self) -> Parsed<Fault> {
        let token = self.peek()?;
        Ok(self.unexpected(token))
    }

    fn unexpected_by(&mut self, rule: Rule) -> Parsed<Fault> {
        let token = self.peek()?;
        let what = describe(token.kind, self.text_of(token));
        Ok(Fault::new(token.start, format!("unexpected {what} in {}, expected {}", rule.name, rule.expected)))
    }

    /// Counts one level of nesting, which [`Parser::leave`] ends.
    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth <= self.limits.depth_max {
            return Ok(());
        }
        let at = self.peek()?.start;
        Err(Fault::new(at, format!("the query nests more than {} levels deep", self.limits.depth_max)))
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Counts an operator or a subquery.
    fn chain(&mut self, at: usize) -> Parsed<()> {
        self.chained += 1;
        if self.chained <= self.limits.operators_max {
            return Ok(());
        }
        let limit = self.limits.operators_max;
        Err(Fault::new(at, format!("the query has more than {limit} operators and subqueries")))
    }

    /// Counts a pattern.
    fn pattern(&mut self, at: usize) -> Parsed<()> {
        self.patterns += 1;
        if self.patterns <= self.limits.patterns_max {
            return Ok(());
        }
        Err(Fault::new(at, format!("the query has more than {} patterns", self.limits.patterns_max)))
    }

    /// The value of a number or duration, which was taken.
    fn literal(&self, token: Token) -> Parsed<Number> {
        let text = self.text_of(token);
        let is_duration = token.kind == Kind::Duration;
        let value = if is_duration { duration::seconds(text) } else { duration::number(text) };
        let value = value.map_err(|what| Fault::new(token.start, what))?;
        Ok(Number { value, is_duration, span: token.span() })
    }

    /// The value of a label or its name, which was taken. No series has one that is not UTF-8.
    fn string(&self, token: Token) -> Parsed<String> {
        let literal = self.text_of(token);
        let failed = |_| Fault::new(token.start, format!("error unquoting string {}: it is not UTF-8", quote(literal)));
        unquote(literal).map_err(failed)
    }
}
