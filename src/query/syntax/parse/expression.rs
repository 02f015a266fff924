//! Operators, their operands, and what may be written behind an operand.

use super::{Parser, Rule};
use crate::query::syntax::error::{Fault, Parsed};
use crate::query::syntax::functions::function;
use crate::query::syntax::string::{quote, unquote};
use crate::query::syntax::token::{Keyword, Kind, Token};
use crate::query::syntax::tree::{
    Binary, Call, Cardinality, Expr, Matching, Number, Operator, Paren, Span, Text, Unary,
};

/// How tightly an operator binds.
pub(super) fn tightness(operator: Operator) -> u8 {
    match operator {
        Operator::Or => 1,
        Operator::And | Operator::Unless => 2,
        _ if operator.is_comparison() => 3,
        Operator::TrimUpper | Operator::TrimLower => 3,
        Operator::Add | Operator::Subtract => 4,
        Operator::Power => POWER,
        _ => 5,
    }
}

/// The tightest operator; a sign binds less tightly than it, and as tightly as the multiplications.
pub(super) const POWER: u8 = 6;

/// How tightly what stands right of an operator must bind. Only powers have their chains on the right.
pub(super) fn tightness_right_of(operator: Operator) -> u8 {
    tightness(operator) + u8::from(operator != Operator::Power)
}

/// What may stand between an operator and its right operand.
struct Modifiers {
    returns_bool: bool,
    matching: Matching,
}

impl Parser<'_> {
    /// An expression of operators that bind at least so tightly.
    pub(super) fn expression(&mut self, tightness_min: u8) -> Parsed<Expr> {
        self.enter()?;
        let mut left = self.operand()?;
        while let Kind::Operator(operator) = self.peek()?.kind {
            if tightness(operator) < tightness_min {
                break;
            }
            left = self.binary(left, operator)?;
        }
        self.leave();
        Ok(left)
    }

    fn binary(&mut self, left: Expr, operator: Operator) -> Parsed<Expr> {
        let token = self.take()?;
        self.chain(token.start)?;
        let Modifiers { returns_bool, matching } = self.modifiers()?;
        let right = self.expression(tightness_right_of(operator))?;
        let span = Span { start: left.span().start, end: right.span().end };
        Ok(Expr::Binary(Box::new(Binary { operator, returns_bool, matching: Some(matching), left, right, span })))
    }

    fn modifiers(&mut self) -> Parsed<Modifiers> {
        let returns_bool = self.take_if(Kind::Keyword(Keyword::Bool))?.is_some();
        let mut matching = Matching {
            cardinality: Cardinality::OneToOne,
            on: false,
            labels: Vec::new(),
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        if let Kind::Keyword(keyword @ (Keyword::On | Keyword::Ignoring)) = self.peek()?.kind {
            self.take()?;
            matching.on = keyword == Keyword::On;
            matching.labels = self.grouping_labels()?;
            self.group(&mut matching)?;
        }
        self.fill(&mut matching)?;
        Ok(Modifiers { returns_bool, matching })
    }

    /// `group_left` or `group_right`, which may stand behind `on` and `ignoring`.
    fn group(&mut self, matching: &mut Matching) -> Parsed<()> {
        matching.cardinality = match self.peek()?.kind {
            Kind::Keyword(Keyword::GroupLeft) => Cardinality::ManyToOne,
            Kind::Keyword(Keyword::GroupRight) => Cardinality::OneToMany,
            _ => return Ok(()),
        };
        self.take()?;
        let next = self.peek()?.kind;
        if next == Kind::LeftParen || !next.begins_expression() {
            matching.include = self.grouping_labels()?;
        }
        Ok(())
    }

    /// `fill`, or one or both of `fill_left` and `fill_right`.
    fn fill(&mut self, matching: &mut Matching) -> Parsed<()> {
        match self.peek()?.kind {
            Kind::Keyword(Keyword::Fill) => {
                let value = self.fill_value()?;
                (matching.fill_left, matching.fill_right) = (Some(value), Some(value));
            }
            Kind::Keyword(Keyword::FillLeft) => {
                matching.fill_left = Some(self.fill_value()?);
                if self.peek()?.kind == Kind::Keyword(Keyword::FillRight) {
                    matching.fill_right = Some(self.fill_value()?);
                }
            }
            Kind::Keyword(Keyword::FillRight) => {
                matching.fill_right = Some(self.fill_value()?);
                if self.peek()?.kind == Kind::Keyword(Keyword::FillLeft) {
                    matching.fill_left = Some(self.fill_value()?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The keyword that is next, and its value in parentheses.
    fn fill_value(&mut self) -> Parsed<f64> {
        self.take()?;
        self.expect(Kind::LeftParen)?;
        let sign = self.sign()?;
        if !matches!(self.peek()?.kind, Kind::Number | Kind::Duration) {
            return Err(self.unexpected_next()?);
        }
        let token = self.take()?;
        let value = self.literal(token)?.value;
        self.expect(Kind::RightParen)?;
        Ok(if is_minus(sign) { -value } else { value })
    }

    /// Takes a sign, if there is one.
    pub(super) fn sign(&mut self) -> Parsed<Option<Token>> {
        if self.peek()?.kind.is_sign() { self.take().map(Some) } else { Ok(None) }
    }

    fn operand(&mut self) -> Parsed<Expr> {
        let Some(sign) = self.sign()? else {
            let primary = self.primary()?;
            return self.with_suffixes(primary);
        };
        let inner = self.expression(POWER)?;
        let span = Span { start: sign.start, end: inner.span().end };
        let is_minus = is_minus(Some(sign));
        Ok(match inner {
            Expr::Number(mut number) => {
                number.value = if is_minus { -number.value } else { number.value };
                number.span = span;
                Expr::Number(number)
            }
            inner => Expr::Unary(Box::new(Unary { is_minus, inner, span })),
        })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = self.peek()?;
        match token.kind {
            Kind::Number | Kind::Duration => self.number(),
            Kind::Text => self.text(),
            Kind::LeftParen => self.paren(),
            Kind::LeftBrace => self.vector(),
            Kind::Identifier | Kind::Aggregator(_) | Kind::QueryWord(_) => self.name(),
            kind if kind.is_metric_name() => self.vector(),
            _ => Err(self.unexpected(token)),
        }
    }

    fn number(&mut self) -> Parsed<Expr> {
        let token = self.take()?;
        let number: Number = self.literal(token)?;
        Ok(Expr::Number(Box::new(number)))
    }

    fn text(&mut self) -> Parsed<Expr> {
        let token = self.take()?;
        let (value, bytes) = match unquote(self.text_of(token)) {
            Ok(value) => (value, None),
            Err(bytes) => (String::from_utf8_lossy(&bytes).into_owned(), Some(bytes)),
        };
        Ok(Expr::Text(Box::new(Text { value, bytes, span: token.span() })))
    }

    fn paren(&mut self) -> Parsed<Expr> {
        let open = self.take()?;
        let inner = self.expression(0)?;
        let close = self.expect(Kind::RightParen)?;
        Ok(Expr::Paren(Box::new(Paren { inner, span: Span { start: open.start, end: close.end } })))
    }

    fn vector(&mut self) -> Parsed<Expr> {
        Ok(Expr::Vector(Box::new(self.vector_selector()?)))
    }

    /// A call, an aggregation or a metric, as what follows the name tells.
    fn name(&mut self) -> Parsed<Expr> {
        let name = self.take()?;
        let next = self.peek()?.kind;
        let modified = matches!(next, Kind::Keyword(Keyword::By | Keyword::Without));
        match name.kind {
            Kind::Aggregator(operator) if next == Kind::LeftParen || modified => self.aggregate(name, operator),
            Kind::Identifier | Kind::QueryWord(_) if next == Kind::LeftParen => self.call(name),
            _ => Ok(Expr::Vector(Box::new(self.named_selector(name)?))),
        }
    }

    fn call(&mut self, name: Token) -> Parsed<Expr> {
        let (arguments, close) = self.arguments()?;
        let text = self.text_of(name);
        let unknown = || Fault::new(name.start, format!("unknown function with name {}", quote(text)));
        let function = function(text).ok_or_else(unknown)?;
        let span = Span { start: name.start, end: close.end };
        Ok(Expr::Call(Box::new(Call { function, arguments, span })))
    }

    /// What stands in parentheses behind a function or an aggregation, and the closing one.
    pub(super) fn arguments(&mut self) -> Parsed<(Vec<Expr>, Token)> {
        self.expect(Kind::LeftParen)?;
        if let Some(close) = self.take_if(Kind::RightParen)? {
            return Ok((Vec::new(), close));
        }
        let mut arguments = vec![self.expression(0)?];
        loop {
            if let Some(close) = self.take_if(Kind::RightParen)? {
                return Ok((arguments, close));
            }
            let comma = self.expect(Kind::Comma)?;
            if !self.peek()?.kind.begins_expression() {
                return Err(Fault::new(comma.start, "trailing commas not allowed in function call args"));
            }
            arguments.push(self.expression(0)?);
        }
    }

    /// Ranges and modifiers, of which any number may follow.
    fn with_suffixes(&mut self, mut expr: Expr) -> Parsed<Expr> {
        loop {
            let token = self.peek()?;
            expr = match token.kind {
                Kind::LeftBracket => self.range(expr)?,
                Kind::At => self.at(expr)?,
                Kind::Keyword(Keyword::Offset) => self.offset(expr)?,
                Kind::Keyword(keyword @ (Keyword::Anchored | Keyword::Smoothed)) => self.edges(expr, keyword)?,
                _ => return Ok(expr),
            };
        }
    }

    /// Takes `(` and `)` behind a word, by a rule.
    pub(super) fn empty_parens(&mut self, rule: Rule) -> Parsed<Token> {
        self.expect_by(rule, Kind::LeftParen)?;
        self.expect_by(rule, Kind::RightParen)
    }
}

/// Whether it is a sign at all, and a minus.
pub(super) fn is_minus(sign: Option<Token>) -> bool {
    sign.is_some_and(|token| token.kind == Kind::Operator(Operator::Subtract))
}
