//! Strings, numbers and durations.
//!
//! Where a literal ends is found here, and that each escape in a string is complete; what it means, elsewhere. `5mm` is
//! refused as `bad number or duration syntax: "5mm"`: as far as was read when it could be neither.

use super::{Lexer, is_alphanumeric};
use crate::query::syntax::error::Parsed;
use crate::query::syntax::string::{name_char, quote};
use crate::query::syntax::token::Kind;

impl Lexer<'_> {
    /// A string in double or single quotes, the first of which was read.
    pub(super) fn string(&mut self, quote: char) -> Parsed<Kind> {
        loop {
            match self.bump() {
                Some('\\') => self.escape(quote)?,
                Some(char::REPLACEMENT_CHARACTER) => return Err(self.fault("invalid UTF-8 rune")),
                None | Some('\n') => return Err(self.fault("unterminated quoted string")),
                Some(c) if c == quote => return Ok(Kind::Text),
                Some(_) => {}
            }
        }
    }

    pub(super) fn raw_string(&mut self) -> Parsed<Kind> {
        loop {
            match self.bump() {
                Some(char::REPLACEMENT_CHARACTER) => return Err(self.fault("invalid UTF-8 rune")),
                None => return Err(self.fault("unterminated raw string")),
                Some('`') => return Ok(Kind::Text),
                Some(_) => {}
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self, quote: char) -> Parsed<()> {
        let (digits, radix, value_max) = match self.peek() {
            None => return Err(self.fault("escape sequence not terminated")),
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => (0, 8, 0),
            Some(c) if c == quote => (0, 8, 0),
            Some('0'..='7') => (3, 8, 0xff),
            Some('x') => (2, 16, 0xff),
            Some('u') => (4, 16, u32::from(char::MAX)),
            Some('U') => (8, 16, u32::from(char::MAX)),
            Some(other) => return Err(self.fault(format!("unknown escape sequence {}", name_char(other)))),
        };
        if radix == 16 || digits == 0 {
            self.bump();
        }
        let mut value = 0_u32;
        for _ in 0..digits {
            let c = self.bump().ok_or_else(|| self.fault("escape sequence not terminated"))?;
            let illegal = || self.fault(format!("illegal character {} in escape sequence", name_char(c)));
            value = value * radix + c.to_digit(radix).ok_or_else(illegal)?;
        }
        if value > value_max || (0xd800..0xe000).contains(&value) {
            return Err(self.fault("escape sequence is an invalid Unicode code point"));
        }
        Ok(())
    }

    pub(super) fn number_or_duration(&mut self) -> Parsed<Kind> {
        if self.number() {
            return Ok(Kind::Number);
        }
        if self.units() {
            return Ok(Kind::Duration);
        }
        let read = quote(&self.text[self.start..self.at]);
        Err(self.fault(format!("bad number or duration syntax: {read}")))
    }

    /// Reads a number; false if it is none, or is one and something more, at the character that shows it.
    fn number(&mut self) -> bool {
        let is_hex = self.eat(|c| c == '0') && self.eat(|c| matches!(c, 'x' | 'X'));
        let is_digit = |c: char| if is_hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        if is_hex {
            self.eat(|c| c == '_');
        }
        self.eat(|c| c == '.');
        self.eat(is_digit);
        let (mut dot_seen, mut exponent_seen) = (false, false);
        while let Some(c) = self.peek() {
            match c {
                '.' => {
                    self.bump();
                    if dot_seen || self.eat(|c| matches!(c, '_' | '.')) || is_hex {
                        return false;
                    }
                    dot_seen = true;
                }
                'e' | 'E' => {
                    self.bump();
                    if exponent_seen {
                        return false;
                    }
                    exponent_seen = true;
                    self.eat(|c| matches!(c, '+' | '-'));
                    if self.ends_part() {
                        return false;
                    }
                }
                '_' => {
                    self.bump();
                    if self.ends_part() {
                        return false;
                    }
                }
                _ if is_digit(c) => self.skip(is_digit),
                _ => break,
            }
        }
        !self.peek().is_some_and(is_alphanumeric)
    }

    /// Whether what stands here cannot follow an exponent's letter or an underscore.
    fn ends_part(&mut self) -> bool {
        self.eat(|c| matches!(c, '.' | '_' | 'e' | 'E')) || self.peek().is_none()
    }

    /// The units of a duration whose first number was read, with the numbers between them.
    fn units(&mut self) -> bool {
        if !self.eat(|c| "smhdwy".contains(c)) {
            return false;
        }
        self.eat(|c| c == 's');
        while self.eat(|c| c.is_ascii_digit()) {
            self.skip(|c| c.is_ascii_digit());
            if !self.eat(|c| "smhdw".contains(c)) {
                return false;
            }
            self.eat(|c| c == 's');
        }
        !self.eat(is_alphanumeric)
    }
}
