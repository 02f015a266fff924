//! What is checked about a query's text before a parser sees it.
//!
//! The parser is a foreign crate that builds trees as deep as the text asks for, compiles every pattern it meets, and
//! aborts on some durations. So the text is walked once, in one loop without recursion, and refused here if it is too
//! long, too deep, has too many patterns, or a number where it cannot be a duration. Patterns are taken out: where the
//! query has `path=~"/a.*"` the parser gets `path=~"0"`, and the plan takes the original from a list.
//! Where the two readings of a text could differ (comments, escapes in strings), the parser gets it in one plain form.
//!
//! `-(1 + 2) * f(a[5m:])` counts as six deep: the query, its two operators, and three in the deeper of its brackets (the
//! call, the subquery, what that is of). An upper bound: operators that stand side by side count as if each were the
//! operand of the next, which is what `1+1+1+…` becomes.

use super::error::QueryError;
use super::quote::{quoted, unquote};

/// Most patterns (`=~`, `!~`) of one query: each may take a megabyte when compiled.
pub(super) const PATTERNS_MAX: usize = 128;
/// Longest duration that may be written as a bare number, in seconds: a thousand years.
const DURATION_SECONDS_MAX: f64 = 3.2e10;

/// Modifiers of Prometheus 3.14 that the parser does not read.
const NEWER_MODIFIERS: [&str; 2] = ["anchored", "smoothed"];

/// A text that may be parsed.
#[derive(Debug)]
pub(super) struct Checked {
    /// The query with its patterns replaced by their index.
    pub(super) text: String,
    /// The patterns in the order of their appearance.
    pub(super) patterns: Vec<String>,
    /// A word that newer PromQL has as a modifier; should the parser fail, that is why.
    pub(super) modifier: Option<&'static str>,
}

/// Refuses a text that is too long or too deep, without ever recursing.
pub(super) fn check(text: &str, bytes_max: usize, depth_max: usize) -> Result<Checked, QueryError> {
    if text.len() > bytes_max {
        return Err(QueryError::BadData(format!(
            "the query has {} bytes, more than the {bytes_max} that are allowed",
            text.len()
        )));
    }
    let mut walk = Walk {
        text,
        at: 0,
        copied: 0,
        open: vec![Bracket::new('(')],
        depth_max,
        expects: Expects::Nothing,
        out: Checked { text: String::new(), patterns: Vec::new(), modifier: None },
    };
    walk.run()?;
    Ok(walk.out)
}

/// What the token before makes of the next one.
#[derive(Clone, Copy, PartialEq)]
enum Expects {
    Nothing,
    Pattern {
        negated: bool,
    },
    Duration,
    /// A duration too, behind the word `offset` that stands at this byte.
    Offset(usize),
}

/// One bracket that is still open, and how deep the tree in it can be at most.
struct Bracket {
    kind: char,
    operators: usize,
    deepest: usize,
    /// The deepest of the arguments that a comma has closed.
    closed: usize,
}

impl Bracket {
    fn new(kind: char) -> Bracket {
        Bracket { kind, operators: 0, deepest: 0, closed: 0 }
    }

    fn depth(&self) -> usize {
        self.closed.max(self.operators + self.deepest) + 1
    }
}

struct Walk<'t> {
    text: &'t str,
    at: usize,
    copied: usize,
    open: Vec<Bracket>,
    depth_max: usize,
    expects: Expects,
    out: Checked,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), QueryError> {
        while let Some(c) = self.text[self.at..].chars().next() {
            match c {
                _ if c.is_whitespace() => self.at += c.len_utf8(),
                '#' => self.comment(),
                '"' | '\'' | '`' => self.string(c)?,
                '(' | '[' | '{' => self.enter(c)?,
                ')' | ']' | '}' => self.leave()?,
                ',' => self.comma(),
                ':' if self.top().kind == '[' => self.colon(),
                _ if c.is_ascii_digit() || c == '.' => self.number()?,
                _ if c.is_ascii_alphabetic() || c == '_' || c == ':' => self.word()?,
                _ => self.operator(c)?,
            }
        }
        while self.open.len() > 1 {
            self.leave()?;
        }
        self.too_deep(self.open[0].depth())?;
        self.out.text.push_str(&self.text[self.copied..]);
        Ok(())
    }

    fn skip(&mut self, keep: impl Fn(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|c| !keep(c)).unwrap_or(rest.len());
    }

    fn top(&mut self) -> &mut Bracket {
        self.open.last_mut().expect("the outermost bracket is never closed")
    }

    fn too_deep(&self, depth: usize) -> Result<(), QueryError> {
        if depth <= self.depth_max {
            return Ok(());
        }
        Err(QueryError::BadData(format!(
            "the query nests more than {} levels of brackets and operators deep",
            self.depth_max
        )))
    }

    fn enter(&mut self, kind: char) -> Result<(), QueryError> {
        self.at += 1;
        if self.top().kind == '[' {
            return Err(duration_expression());
        }
        // `x[5m:][5m:]`: each bracket makes what stands before it its operand.
        if kind == '[' {
            self.top().operators += 1;
        }
        self.expects = if kind == '[' { Expects::Duration } else { Expects::Nothing };
        self.open.push(Bracket::new(kind));
        self.too_deep(self.open.len())
    }

    fn leave(&mut self) -> Result<(), QueryError> {
        self.at = (self.at + 1).min(self.text.len());
        self.expects = Expects::Nothing;
        if self.open.len() == 1 {
            return Ok(()); // the parser says what is wrong with it
        }
        let depth = self.open.pop().expect("its length was checked").depth();
        self.too_deep(depth)?;
        let outer = self.top();
        outer.deepest = outer.deepest.max(depth);
        Ok(())
    }

    fn comma(&mut self) {
        self.at += 1;
        self.expects = Expects::Nothing;
        let bracket = self.top();
        bracket.closed = bracket.closed.max(bracket.operators + bracket.deepest);
        bracket.operators = 0;
        bracket.deepest = 0;
    }

    fn operator(&mut self, c: char) -> Result<(), QueryError> {
        let rest = &self.text[self.at..];
        let two = ["=~", "!~", "==", "!=", "<=", ">="].into_iter().find(|operator| rest.starts_with(operator));
        self.at += two.map_or(c.len_utf8(), str::len);
        if self.top().kind == '[' {
            return Err(duration_expression());
        }
        let in_selector = self.top().kind == '{';
        if in_selector {
            self.expects = match two {
                Some("=~") => Expects::Pattern { negated: false },
                Some("!~") => Expects::Pattern { negated: true },
                _ => Expects::Nothing,
            };
            return Ok(());
        }
        // The sign in `offset -5m` counts too, for it might also be `offset - offset - …`, a metric of that name.
        if !(matches!(self.expects, Expects::Offset(_)) && matches!(c, '+' | '-')) {
            self.expects = Expects::Nothing;
        }
        self.count_operator()
    }

    fn count_operator(&mut self) -> Result<(), QueryError> {
        let bracket = self.top();
        bracket.operators += 1;
        let depth = bracket.operators;
        self.too_deep(depth)
    }

    /// A name or a keyword. A dot is no part of it: `atan2.5` is `atan2` and `.5`.
    fn word(&mut self) -> Result<(), QueryError> {
        let start = self.at;
        self.skip(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
        let word = &self.text[start..self.at];
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        self.out.modifier = self.out.modifier.or(NEWER_MODIFIERS.into_iter().find(|modifier| is(modifier)));
        if matches!(self.expects, Expects::Duration | Expects::Offset(_)) {
            plausible_duration(word)?; // `offset Inf`
        }
        self.expects = if is("offset") { Expects::Offset(start) } else { Expects::Nothing };
        if self.top().kind != '{' && (is("and") || is("or") || is("unless") || is("atan2")) {
            return self.count_operator();
        }
        Ok(())
    }

    /// A number or a duration, with the sign of its exponent, which is no operator.
    fn number(&mut self) -> Result<(), QueryError> {
        let start = self.at;
        let in_number = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        self.skip(in_number);
        let word = &self.text[start..self.at];
        let hex = word.len() > 1 && word.as_bytes()[..2].eq_ignore_ascii_case(b"0x");
        if !hex && word.ends_with(['e', 'E']) && self.text[self.at..].starts_with(['+', '-']) {
            self.at += 1;
            self.skip(in_number);
        }
        let number = &self.text[start..self.at];
        match std::mem::replace(&mut self.expects, Expects::Nothing) {
            Expects::Duration => plausible_duration(number)?,
            Expects::Offset(from) if is_zero(number) => self.cut(from, self.at),
            Expects::Offset(_) => plausible_duration(number)?,
            Expects::Nothing | Expects::Pattern { .. } => {}
        }
        if number.contains('_') && !number.contains("__") && !number.ends_with('_') {
            self.cut(start, self.at);
            self.out.text.push_str(&number.replace('_', "")); // 1_000_000, which the parser does not read
        }
        Ok(())
    }

    /// The step of a subquery.
    fn colon(&mut self) {
        self.at += 1;
        self.expects = Expects::Duration;
    }

    fn comment(&mut self) {
        let start = self.at;
        self.skip(|c| c != '\n' && c != '\r');
        self.cut(start, self.at);
    }

    /// A string, which the parser gets in one form of quotes and escapes, whatever it was written in: else the two of us
    /// might disagree where it ends.
    fn string(&mut self, quote: char) -> Result<(), QueryError> {
        let start = self.at;
        let mut escaped = false;
        let inside = self.text[start + 1..].char_indices();
        let end = inside.into_iter().find_map(|(index, c)| {
            let closes = c == quote && !escaped;
            escaped = c == '\\' && !escaped && quote != '`';
            closes.then_some(start + 1 + index + 1)
        });
        self.at = end.ok_or_else(|| QueryError::bad_data("a string in the query is not terminated"))?;
        let literal = &self.text[start..self.at];
        let value = unquote(literal)
            .map_err(|what| QueryError::BadData(format!("the string {literal} cannot be read: {what}")))?;
        let shown = match std::mem::replace(&mut self.expects, Expects::Nothing) {
            Expects::Pattern { negated } => self.stand_in(value, negated)?,
            Expects::Nothing | Expects::Duration | Expects::Offset(_) => quoted(&value),
        };
        self.cut(start, self.at);
        self.out.text.push_str(&shown);
        Ok(())
    }

    /// Leaves a part of the text out.
    fn cut(&mut self, from: usize, to: usize) {
        self.out.text.push_str(&self.text[self.copied..from]);
        self.copied = to;
    }

    /// Keeps a pattern and gives the literal that stands for it: one with which no comparison is satisfied by an absent
    /// label, so that the parser's own check against selectors of everything passes and leaves the matter to the plan.
    fn stand_in(&mut self, pattern: String, negated: bool) -> Result<String, QueryError> {
        let index = self.out.patterns.len();
        if index == PATTERNS_MAX {
            return Err(QueryError::BadData(format!("the query has more than {PATTERNS_MAX} patterns")));
        }
        self.out.patterns.push(pattern);
        Ok(quoted(&format!("{}{index}", if negated { "|" } else { "" })))
    }
}

fn duration_expression() -> QueryError {
    QueryError::Unsupported("an expression in place of a duration".to_owned())
}

/// The index that a stand-in was made of.
pub(super) fn pattern_index(stand_in: &str) -> Option<usize> {
    stand_in.trim_start_matches('|').parse().ok()
}

/// Whether it is `0s`, `0h0m` or the like. As an offset that is legal and does nothing, but the parser refuses it.
fn is_zero(word: &str) -> bool {
    word.starts_with('0')
        && word.len() > 1
        && word.chars().all(|c| matches!(c, '0' | 's' | 'm' | 'h' | 'd' | 'w' | 'y'))
}

/// A number of seconds that a duration can hold; durations with units are left to the parser, which checks them.
fn plausible_duration(word: &str) -> Result<(), QueryError> {
    let too_long_hex = word.len() > 10 && word.as_bytes()[..2].eq_ignore_ascii_case(b"0x");
    match word.replace('_', "").parse::<f64>() {
        Ok(seconds) if (0.0..=DURATION_SECONDS_MAX).contains(&seconds) => Ok(()),
        Err(_) if !too_long_hex => Ok(()),
        _ => Err(QueryError::BadData(format!("{word:?} is no duration in seconds"))),
    }
}
