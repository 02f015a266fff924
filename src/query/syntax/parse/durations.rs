//! Lengths of time, which may be computed: `[5m]`, `[step() * 2]`, `offset -(1h - 5m)`.
//!
//! Behind `offset`, only what is in parentheses goes on with an operator: `x offset 100 + 2` adds 2 to the samples.

use super::expression::{POWER, is_minus, tightness, tightness_right_of};
use super::{Parser, Rule};
use crate::query::syntax::duration::{is_in_range, to_nanoseconds};
use crate::query::syntax::error::{Fault, Parsed};
use crate::query::syntax::token::{Kind, QueryWord, Token};
use crate::query::syntax::tree::{Formula, Length, Operator, Span};

const OFFSET: Rule = Rule::new("offset", "number, duration, step(), or range()");
const NANOSECONDS_A_MS: i64 = 1_000_000;

/// A formula and where it stands.
struct Part {
    formula: Formula,
    span: Span,
}

impl Part {
    fn with_sign(self, sign: Token) -> Part {
        let start = sign.start;
        let formula = match without_paren(self.formula) {
            formula if !is_minus(Some(sign)) => return Part { formula, span: self.span },
            Formula::Number { seconds, is_duration } => Formula::Number { seconds: -seconds, is_duration },
            formula => Formula::Negative(Box::new(formula)),
        };
        Part { formula, span: Span { start, end: self.span.end } }
    }

    fn length(self) -> Length {
        match self.formula {
            Formula::Number { seconds, .. } => Length::Fixed { ms: to_nanoseconds(seconds) / NANOSECONDS_A_MS },
            formula => Length::Computed { formula, span: self.span },
        }
    }
}

/// A number that stands in parentheses without them.
fn without_paren(formula: Formula) -> Formula {
    match formula {
        Formula::Paren(inner) if matches!(*inner, Formula::Number { .. }) => *inner,
        formula => formula,
    }
}

impl Parser<'_> {
    /// A range or a step, which must be above 0 where that is known by now.
    pub(super) fn positive_length(&mut self, rule: Rule) -> Parsed<Length> {
        let Part { formula, span } = self.formula(rule, 0)?;
        let part = Part { formula: without_paren(formula), span };
        match part.formula {
            Formula::Number { seconds, .. } if seconds <= 0.0 => {
                Err(Fault::new(part.span.start, "duration must be greater than 0"))
            }
            _ => Ok(part.length()),
        }
    }

    /// What stands behind `offset`. None for 0.
    pub(super) fn offset_length(&mut self) -> Parsed<Option<Length>> {
        let Part { formula, span } = self.offset_formula()?;
        match without_paren(formula) {
            Formula::Number { seconds, .. } if to_nanoseconds(seconds) == 0 => Ok(None),
            // Without parentheses, a reader would take the operator for one of the expression.
            formula @ Formula::Binary { .. } => {
                Ok(Some(Length::Computed { formula: Formula::Paren(Box::new(formula)), span }))
            }
            formula => Ok(Some(Part { formula, span }.length())),
        }
    }

    fn offset_formula(&mut self) -> Parsed<Part> {
        if self.peek()?.kind == Kind::LeftParen {
            return self.formula(OFFSET, 0);
        }
        let Some(sign) = self.sign()? else { return self.atom(OFFSET) };
        if !self.peek()?.kind.is_sign() {
            return Ok(self.atom(OFFSET)?.with_sign(sign));
        }
        // Two signs are no number any more but the beginning of a formula.
        let first = self.formula(OFFSET, POWER)?.with_sign(sign);
        self.formula_from(OFFSET, first, 0)
    }

    /// A formula of operators that bind at least so tightly.
    fn formula(&mut self, rule: Rule, tightness_min: u8) -> Parsed<Part> {
        self.enter()?;
        let first = match self.sign()? {
            Some(sign) => self.formula(rule, POWER)?.with_sign(sign),
            None => self.atom(rule)?,
        };
        let part = self.formula_from(rule, first, tightness_min)?;
        self.leave();
        Ok(part)
    }

    /// The operators that follow the first part of a formula.
    fn formula_from(&mut self, rule: Rule, first: Part, tightness_min: u8) -> Parsed<Part> {
        let (mut left, mut operators) = (first, 0);
        while let Kind::Operator(operator) = self.peek()?.kind {
            if !operator.is_arithmetic() || tightness(operator) < tightness_min {
                break;
            }
            let token = self.take()?;
            operators += 1;
            if operators > self.limits.depth_max {
                let limit = self.limits.depth_max;
                return Err(Fault::new(token.start, format!("a duration has more than {limit} operators")));
            }
            let right = self.formula(rule, tightness_right_of(operator))?;
            left = combine(left, operator, token, right)?;
        }
        Ok(left)
    }

    /// A number, a function or a formula in parentheses.
    fn atom(&mut self, rule: Rule) -> Parsed<Part> {
        match self.peek()?.kind {
            Kind::Number | Kind::Duration => self.number_part(),
            Kind::QueryWord(word) if !matches!(word, QueryWord::Start | QueryWord::End) => self.word_part(rule, word),
            Kind::LeftParen => self.paren_part(rule),
            _ => Err(self.unexpected_by(rule)?),
        }
    }

    fn number_part(&mut self) -> Parsed<Part> {
        let token = self.take()?;
        let number = self.literal(token)?;
        if !is_in_range(number.value) {
            return Err(Fault::new(token.start, "duration out of range"));
        }
        let formula = Formula::Number { seconds: number.value, is_duration: number.is_duration };
        Ok(Part { formula, span: token.span() })
    }

    fn word_part(&mut self, rule: Rule, word: QueryWord) -> Parsed<Part> {
        let name = self.take()?;
        let (formula, close) = match word {
            QueryWord::MinOf | QueryWord::MaxOf => self.choice(rule, word)?,
            QueryWord::Range => (Formula::Range, self.empty_parens(rule)?),
            _ => (Formula::Step, self.empty_parens(rule)?),
        };
        Ok(Part { formula, span: Span { start: name.start, end: close.end } })
    }

    /// What stands behind `min_of` or `max_of`.
    fn choice(&mut self, rule: Rule, word: QueryWord) -> Parsed<(Formula, Token)> {
        self.expect_by(rule, Kind::LeftParen)?;
        let left = Box::new(self.formula(rule, 0)?.formula);
        self.expect_by(rule, Kind::Comma)?;
        let right = Box::new(self.formula(rule, 0)?.formula);
        let close = self.expect_by(rule, Kind::RightParen)?;
        let formula = if word == QueryWord::MinOf { Formula::MinOf(left, right) } else { Formula::MaxOf(left, right) };
        Ok((formula, close))
    }

    fn paren_part(&mut self, rule: Rule) -> Parsed<Part> {
        self.take()?;
        let Part { formula, span } = self.formula(rule, 0)?;
        self.expect_by(rule, Kind::RightParen)?;
        let formula = match formula {
            Formula::Number { seconds, .. } if !seconds.is_sign_negative() => formula,
            Formula::Paren(_) => formula,
            formula => Formula::Paren(Box::new(formula)),
        };
        Ok(Part { formula, span })
    }
}

fn combine(left: Part, operator: Operator, token: Token, right: Part) -> Parsed<Part> {
    let is_zero = match &right.formula {
        Formula::Paren(inner) => matches!(**inner, Formula::Number { seconds: 0.0, .. }),
        formula => matches!(formula, Formula::Number { seconds: 0.0, .. }),
    };
    if is_zero {
        match operator {
            Operator::Divide => return Err(Fault::new(token.start, "division by zero")),
            Operator::Modulo => return Err(Fault::new(token.start, "modulo by zero")),
            _ => {}
        }
    }
    let span = Span { start: left.span.start, end: right.span.end };
    let (left, right) = (Box::new(left.formula), Box::new(right.formula));
    Ok(Part { formula: Formula::Binary { operator, left, right }, span })
}
