//! Text and what stands between `{{` and `}}`, cut into tokens as Go cuts them.
//!
//! `a {{- $x | f }}` is the text `a`, an opening, the variable `$x`, a space, a pipe, a space, the word `f`, a space,
//! and a closing. Spaces are tokens: `f .x` has two operands and `f.x` has one.
//!
//! Always true: tokens stand in the order of the text, and the last one is the end or an error.

/// One token, with the byte at which it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub position: usize,
    pub text: &'a str,
    /// Of an error, what is wrong.
    pub fault: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    End,
    Text,
    Open,
    Close,
    Space,
    Bool,
    /// Any other printable character, such as a comma.
    Character,
    CharacterConstant,
    Number,
    Assign,
    Declare,
    Pipe,
    LeftParenthesis,
    RightParenthesis,
    Field,
    Variable,
    Identifier,
    RawString,
    String,
    Dot,
    Keyword(Keyword),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// All tokens of a text.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, start: 0, at: 0, parentheses: 0, tokens: Vec::new() };
    while lexer.at < text.len() {
        if !(lexer.outside() && lexer.action()) {
            return lexer.tokens;
        }
    }
    lexer.start = lexer.at;
    lexer.take(Kind::End);
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    /// Where the token under way starts.
    start: usize,
    at: usize,
    parentheses: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += next.map_or(0, char::len_utf8);
        next
    }

    fn accept(&mut self, any_of: &str) -> bool {
        let is_there = self.peek().is_some_and(|letter| any_of.contains(letter));
        if is_there {
            self.next();
        }
        is_there
    }

    fn accept_run(&mut self, any_of: &str) {
        while self.accept(any_of) {}
    }

    fn take(&mut self, kind: Kind) -> bool {
        let text = &self.text[self.start..self.at];
        self.tokens.push(Token { kind, position: self.start, text, fault: String::new() });
        self.start = self.at;
        true
    }

    /// The last token: nothing after it is read.
    fn fail(&mut self, fault: String) -> bool {
        let text = &self.text[self.start..self.at];
        self.tokens.push(Token { kind: Kind::Error, position: self.start, text, fault });
        false
    }

    /// Text up to an action, comments left out. Whether there is something to be read after it.
    fn outside(&mut self) -> bool {
        while let Some(length) = self.rest().find(OPEN) {
            let after = &self.rest()[length + OPEN.len()..];
            let trims = after.starts_with('-') && after[1..].starts_with(SPACES);
            self.text_token(&self.rest()[..length], trims);
            self.at += length;
            self.start = self.at;
            let marker = if trims { 2 } else { 0 };
            if after[marker..].starts_with("/*") {
                self.at += OPEN.len() + marker;
                if !self.comment() {
                    return false;
                }
                continue;
            }
            self.at += OPEN.len();
            self.take(Kind::Open);
            self.at += marker;
            self.start = self.at;
            self.parentheses = 0;
            return true;
        }
        self.text_token(self.rest(), false);
        self.at = self.text.len();
        self.start = self.at;
        self.take(Kind::End);
        false
    }

    fn text_token(&mut self, text: &'a str, trims: bool) {
        let text = if trims { text.trim_end_matches(SPACES) } else { text };
        if !text.is_empty() {
            self.tokens.push(Token { kind: Kind::Text, position: self.at, text, fault: String::new() });
        }
    }

    fn comment(&mut self) -> bool {
        self.start = self.at;
        let Some(length) = self.rest().find("*/") else { return self.fail("unclosed comment".to_owned()) };
        self.at += length + 2;
        let Some(trims) = self.at_close() else {
            return self.fail("comment ends before closing delimiter".to_owned());
        };
        self.pass_close(trims);
        true
    }

    /// Whether a closing is next, and then whether it trims.
    fn at_close(&self) -> Option<bool> {
        let rest = self.rest();
        if rest.starts_with(CLOSE) {
            return Some(false);
        }
        let trims = rest.starts_with(SPACES) && rest[1..].starts_with('-') && rest[2..].starts_with(CLOSE);
        trims.then_some(true)
    }

    fn pass_close(&mut self, trims: bool) {
        self.at += if trims { 2 } else { 0 } + CLOSE.len();
        if trims {
            self.at += self.rest().len() - self.rest().trim_start_matches(SPACES).len();
        }
        self.start = self.at;
    }

    /// Everything up to a closing, with it.
    fn action(&mut self) -> bool {
        loop {
            if let Some(trims) = self.at_close() {
                if self.parentheses > 0 {
                    return self.fail("unclosed left paren".to_owned());
                }
                self.start = self.at + if trims { 2 } else { 0 };
                self.at = self.start + CLOSE.len();
                self.take(Kind::Close);
                self.at = self.start - CLOSE.len() - if trims { 2 } else { 0 };
                self.pass_close(trims);
                return true;
            }
            if !self.inside() {
                return false;
            }
        }
    }

    /// One token of an action.
    fn inside(&mut self) -> bool {
        let Some(letter) = self.peek() else { return self.fail("unclosed action".to_owned()) };
        match letter {
            _ if SPACES.contains(&letter) => self.space(),
            '=' | '|' | '(' | ')' => self.sign(letter),
            ':' => {
                self.next();
                if self.next() == Some('=') { self.take(Kind::Declare) } else { self.fail("expected :=".to_owned()) }
            }
            '"' => self.quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted('\'', Kind::CharacterConstant, "unterminated character constant"),
            '`' => self.raw(),
            '$' => self.name(Kind::Variable, Kind::Variable),
            '.' if !self.rest()[1..].starts_with(|next: char| next.is_ascii_digit()) => {
                self.name(Kind::Field, Kind::Dot)
            }
            '.' | '+' | '-' | '0'..='9' => self.number(),
            _ if is_alphanumeric(letter) => self.word(),
            ' '..='~' => {
                self.next();
                self.take(Kind::Character)
            }
            _ => self.fail(format!("unrecognized character in action: {}", code_point(letter))),
        }
    }

    /// A run of spaces, but for the one that begins a trimming close.
    fn space(&mut self) -> bool {
        while self.peek().is_some_and(|letter| SPACES.contains(&letter)) && self.at_close().is_none() {
            self.next();
        }
        self.take(Kind::Space)
    }

    fn sign(&mut self, sign: char) -> bool {
        self.next();
        let kind = match sign {
            '=' => Kind::Assign,
            '|' => Kind::Pipe,
            '(' => Kind::LeftParenthesis,
            _ => Kind::RightParenthesis,
        };
        match (kind, self.parentheses) {
            (Kind::LeftParenthesis, _) => self.parentheses += 1,
            (Kind::RightParenthesis, 0) => return self.fail("unexpected right paren".to_owned()),
            (Kind::RightParenthesis, _) => self.parentheses -= 1,
            _ => {}
        }
        self.take(kind)
    }

    fn quoted(&mut self, quote: char, kind: Kind, fault: &str) -> bool {
        self.next();
        loop {
            match self.next() {
                Some('\\') if !matches!(self.peek(), None | Some('\n')) => {
                    self.next();
                }
                None | Some('\n' | '\\') => return self.fail(fault.to_owned()),
                Some(letter) if letter == quote => return self.take(kind),
                Some(_) => {}
            }
        }
    }

    fn raw(&mut self) -> bool {
        self.next();
        match self.rest().find('`') {
            None => self.fail("unterminated raw quoted string".to_owned()),
            Some(length) => {
                self.at += length + 1;
                self.take(Kind::RawString)
            }
        }
    }

    /// A dot or a dollar sign with the letters after it, of which there may be none.
    fn name(&mut self, kind: Kind, alone: Kind) -> bool {
        self.next();
        if self.at_terminator() {
            return self.take(alone);
        }
        self.letters();
        if self.at_terminator() { self.take(kind) } else { self.bad_character() }
    }

    fn word(&mut self) -> bool {
        self.letters();
        let kind = match &self.text[self.start..self.at] {
            "true" | "false" => Kind::Bool,
            word => KEYWORDS
                .iter()
                .find(|(known, _)| *known == word)
                .map_or(Kind::Identifier, |(_, kind)| Kind::Keyword(*kind)),
        };
        if self.at_terminator() { self.take(kind) } else { self.bad_character() }
    }

    fn letters(&mut self) {
        while self.peek().is_some_and(is_alphanumeric) {
            self.next();
        }
    }

    fn bad_character(&mut self) -> bool {
        let letter = self.peek().map_or_else(String::new, code_point);
        self.start = self.at;
        self.fail(format!("bad character {letter}"))
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(letter) => SPACES.contains(&letter) || self.rest().starts_with(CLOSE),
        }
    }

    fn number(&mut self) -> bool {
        let is_number = self.scan_number();
        let is_sum = is_number && self.peek().is_some_and(|letter| letter == '+' || letter == '-');
        if is_sum {
            self.scan_number();
        }
        if !is_number || is_sum {
            return self.fail(format!("bad number syntax: {:?}", &self.text[self.start..self.at]));
        }
        self.take(Kind::Number)
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            digits = match self.peek() {
                Some('x' | 'X') => "0123456789abcdefABCDEF_",
                Some('o' | 'O') => "01234567_",
                Some('b' | 'B') => "01_",
                _ => digits,
            };
            if digits.len() != 11 {
                self.next();
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        let exponent = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.accept(exponent) {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }
}

const KEYWORDS: [(&str, Keyword); 11] = [
    ("block", Keyword::Block),
    ("break", Keyword::Break),
    ("continue", Keyword::Continue),
    ("define", Keyword::Define),
    ("else", Keyword::Else),
    ("end", Keyword::End),
    ("if", Keyword::If),
    ("nil", Keyword::Nil),
    ("range", Keyword::Range),
    ("template", Keyword::Template),
    ("with", Keyword::With),
];

fn is_alphanumeric(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}

/// `U+0040 '@'`, and without the character where it cannot be seen.
pub(super) fn code_point(letter: char) -> String {
    let is_seen = !letter.is_control() && (letter == ' ' || !letter.is_whitespace());
    let shown = if is_seen { format!(" '{letter}'") } else { String::new() };
    format!("U+{:04X}{shown}", u32::from(letter))
}
