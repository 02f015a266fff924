//! The query's text as tokens, one at a time.
//!
//! `rate(x[5m]) > 2` is an identifier, a parenthesis, an identifier, a bracket, a duration, a bracket, a parenthesis,
//! an operator and a number. What a word or a sign means depends on where it stands: within braces there are no
//! keywords, within brackets there are only durations. The exact places and words of errors are Prometheus's, its
//! oddities included.

mod literals;

use super::error::{Fault, Parsed};
use super::string::quote_char;
use super::token::{Keyword, Kind, Token, query_word, word};
use super::tree::Operator;

pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// Where the token that is being read begins.
    start: usize,
    parens_open: usize,
    in_braces: bool,
    in_brackets: bool,
    /// Within brackets, until the first number: only what durations are made of.
    in_duration: bool,
    colon_seen: bool,
    duration_seen: bool,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_alpha(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}

fn begins_query_word(c: char) -> bool {
    matches!(c, 's' | 'S' | 'r' | 'R' | 'm' | 'M')
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Lexer<'t> {
        Lexer {
            text,
            at: 0,
            start: 0,
            parens_open: 0,
            in_braces: false,
            in_brackets: false,
            in_duration: false,
            colon_seen: false,
            duration_seen: false,
        }
    }

    /// The next token; at the end of the text one of no length.
    pub(super) fn next(&mut self) -> Parsed<Token> {
        self.skip_blanks();
        self.start = self.at;
        let kind = if self.in_braces {
            self.within_braces()?
        } else if self.in_duration {
            self.within_duration()?
        } else {
            self.statement()?
        };
        Ok(Token { kind, start: self.start, end: self.at })
    }

    /// Spaces, and comments where there may be any.
    fn skip_blanks(&mut self) {
        loop {
            self.skip(is_space);
            if self.in_duration || self.peek() != Some('#') {
                return;
            }
            self.skip(|c| c != '\n' && c != '\r');
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip(&mut self, keep: impl Fn(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|c| !keep(c)).unwrap_or(rest.len());
    }

    fn eat(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        if found {
            self.bump();
        }
        found
    }

    fn fault(&self, what: impl Into<String>) -> Fault {
        Fault::new(self.start, what)
    }

    fn statement(&mut self) -> Parsed<Kind> {
        let Some(c) = self.bump() else { return self.end() };
        let operator = |operator| Ok(Kind::Operator(operator));
        match c {
            ',' => Ok(Kind::Comma),
            '*' => operator(Operator::Multiply),
            '/' => operator(Operator::Divide),
            '%' => operator(Operator::Modulo),
            '+' => operator(Operator::Add),
            '-' => operator(Operator::Subtract),
            '^' => operator(Operator::Power),
            '@' => Ok(Kind::At),
            '=' | '!' | '<' | '>' => self.comparison(c),
            '"' | '\'' => self.string(c),
            '`' => self.raw_string(),
            '(' => Ok(self.open_paren()),
            ')' => self.close_paren(),
            '{' => {
                self.in_braces = true;
                Ok(Kind::LeftBrace)
            }
            '[' => self.open_bracket(),
            ']' => self.close_bracket(),
            _ if c.is_ascii_digit() || (c == '.' && self.peek().is_some_and(|next| next.is_ascii_digit())) => {
                self.at = self.start;
                self.number_or_duration()
            }
            _ if self.in_brackets && (is_alpha(c) || c == ':') => self.word_in_brackets(c),
            _ if is_alpha(c) || c == ':' => Ok(self.word()),
            _ => Err(self.fault(format!("unexpected character: {}", quote_char(Some(c))))),
        }
    }

    fn end(&self) -> Parsed<Kind> {
        if self.parens_open > 0 {
            return Err(self.fault("unclosed left parenthesis"));
        }
        if self.in_brackets {
            return Err(self.fault("unclosed left bracket"));
        }
        Ok(Kind::End)
    }

    fn comparison(&mut self, first: char) -> Parsed<Kind> {
        let second = self.peek();
        let (kind, length) = match (first, second) {
            ('=', Some('=')) => (Operator::Equal, 1),
            ('!', Some('=')) => (Operator::NotEqual, 1),
            ('<', Some('=')) => (Operator::LessOrEqual, 1),
            ('>', Some('=')) => (Operator::GreaterOrEqual, 1),
            ('<', Some('/')) => (Operator::TrimUpper, 1),
            ('>', Some('/')) => (Operator::TrimLower, 1),
            ('<', _) => (Operator::Less, 0),
            ('>', _) => (Operator::Greater, 0),
            ('=', after) if after != Some('~') => return Ok(Kind::Assign),
            _ => return Err(self.fault(format!("unexpected character after '{first}': {}", quote_char(second)))),
        };
        self.at += length;
        Ok(Kind::Operator(kind))
    }

    fn open_paren(&mut self) -> Kind {
        self.parens_open += 1;
        Kind::LeftParen
    }

    fn close_paren(&mut self) -> Parsed<Kind> {
        if self.parens_open == 0 {
            return Err(Fault::new(self.at, "unexpected right parenthesis ')'"));
        }
        self.parens_open -= 1;
        Ok(Kind::RightParen)
    }

    fn open_bracket(&mut self) -> Parsed<Kind> {
        if self.in_brackets {
            return Err(self.fault("unexpected left bracket '['"));
        }
        self.in_brackets = true;
        self.in_duration = true;
        self.colon_seen = false;
        Ok(Kind::LeftBracket)
    }

    fn close_bracket(&mut self) -> Parsed<Kind> {
        if !self.in_brackets {
            return Err(self.fault("unexpected right bracket ']'"));
        }
        self.in_brackets = false;
        self.in_duration = false;
        Ok(Kind::RightBracket)
    }

    /// Behind the first number in brackets.
    fn word_in_brackets(&mut self, first: char) -> Parsed<Kind> {
        if first == ':' {
            if self.colon_seen {
                return Err(self.fault("unexpected colon ':'"));
            }
            self.colon_seen = true;
            return Ok(Kind::Colon);
        }
        let unexpected = format!("unexpected character: {}, expected ':'", quote_char(Some(first)));
        self.duration_word(first).ok_or_else(|| self.fault(unexpected))
    }

    fn within_duration(&mut self) -> Parsed<Kind> {
        let Some(c) = self.bump() else { return Err(self.fault("unexpected end of input in duration expression")) };
        let operator = |operator| Ok(Kind::Operator(operator));
        match c {
            ']' => self.close_bracket(),
            ':' => self.colon_in_duration(),
            '(' => Ok(self.open_paren()),
            ')' => self.close_paren(),
            '+' => operator(Operator::Add),
            '-' => operator(Operator::Subtract),
            '*' => operator(Operator::Multiply),
            '/' => operator(Operator::Divide),
            '%' => operator(Operator::Modulo),
            '^' => operator(Operator::Power),
            ',' => Ok(Kind::Comma),
            _ if c.is_ascii_digit() || (c == '.' && self.peek().is_some_and(|next| next.is_ascii_digit())) => {
                self.at = self.start;
                self.duration_seen = true;
                self.in_duration = false;
                self.number_or_duration()
            }
            _ => {
                let unexpected = format!("unexpected character in duration expression: {}", quote_char(Some(c)));
                self.duration_word(c).ok_or_else(|| self.fault(unexpected))
            }
        }
    }

    fn colon_in_duration(&mut self) -> Parsed<Kind> {
        if !self.duration_seen {
            return Err(Fault::new(self.at, "unexpected colon before duration in duration expression"));
        }
        if self.colon_seen {
            return Err(Fault::new(self.at, "unexpected repeated colon in duration expression"));
        }
        self.colon_seen = true;
        Ok(Kind::Colon)
    }

    /// `step`, `range`, `min_of` or `max_of`.
    fn duration_word(&mut self, first: char) -> Option<Kind> {
        if !begins_query_word(first) {
            return None;
        }
        self.skip(is_alpha);
        query_word(&self.text[self.start..self.at].to_ascii_lowercase())
    }

    fn within_braces(&mut self) -> Parsed<Kind> {
        let Some(c) = self.bump() else { return Err(self.fault("unexpected end of input inside braces")) };
        match c {
            ',' => Ok(Kind::Comma),
            '"' | '\'' => self.string(c),
            '`' => self.raw_string(),
            '=' if self.eat(|next| next == '~') => Ok(Kind::Matches),
            '=' => Ok(Kind::Assign),
            '!' => match self.bump() {
                Some('~') => Ok(Kind::MatchesNot),
                Some('=') => Ok(Kind::Operator(Operator::NotEqual)),
                other => {
                    Err(self.fault(format!("unexpected character after '!' inside braces: {}", quote_char(other))))
                }
            },
            '{' => Err(self.fault("unexpected left brace '{'")),
            '}' => {
                self.in_braces = false;
                Ok(Kind::RightBrace)
            }
            _ if is_alpha(c) => {
                self.skip(is_alphanumeric);
                Ok(Kind::Identifier)
            }
            _ => Err(self.fault(format!("unexpected character inside braces: {}", quote_char(Some(c))))),
        }
    }

    fn word(&mut self) -> Kind {
        self.skip(|c| is_alphanumeric(c) || c == ':');
        let text = &self.text[self.start..self.at];
        match word(text) {
            // New keywords stay usable as names: they are keywords only before a parenthesis.
            Some(Kind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight)) if !self.paren_follows() => {
                Kind::Identifier
            }
            Some(kind) => kind,
            None if text.contains(':') => Kind::MetricIdentifier,
            None => Kind::Identifier,
        }
    }

    fn paren_follows(&self) -> bool {
        self.text[self.at..].trim_start_matches(is_space).starts_with('(')
    }
}
