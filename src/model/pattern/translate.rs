//! From a pattern as Go reads it to one that `regex` reads the same way.
//!
//! Read from left to right without going deep: a group is a frame on a list. What a repetition may be put upon, and how
//! often nested ones repeat in all, is known of the last element only.

use super::class::{brackets, escape, group, next};

/// Most repetitions of one element, nested ones multiplied, as RE2 has it.
const REPEAT_MAX: usize = 1_000;
/// Flags that RE2 knows.
const FLAGS: &str = "imsU";

/// What stands before.
#[derive(Clone, Copy)]
enum Last {
    /// Nothing that could be repeated.
    Nothing,
    /// An element that repeats what is in it so often at most.
    Element(usize),
    /// A repetition, so often at most, which must not be repeated again.
    Repetition(usize),
}

struct Translation<'p> {
    rest: &'p str,
    out: String,
    /// Flags for what follows, such as `(?i)`. A repetition behind them is of what stands before them.
    flags: String,
    last: Last,
    /// For each open group, and the whole, how often its elements repeat at most.
    repeats: Vec<usize>,
}

/// The pattern for `regex`; what is wrong with it, in Go's words.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let out = String::with_capacity(2 * pattern.len());
    let mut translation =
        Translation { rest: pattern, out, flags: String::new(), last: Last::Nothing, repeats: vec![1] };
    while !translation.rest.is_empty() {
        translation.step().map_err(|what| format!("error parsing regexp: {what}"))?;
    }
    if translation.repeats.len() > 1 {
        return Err(format!("error parsing regexp: missing closing ): `{pattern}`"));
    }
    Ok(translation.out)
}

impl Translation<'_> {
    fn step(&mut self) -> Result<(), String> {
        if !self.rest.starts_with(['*', '+', '?', '{', '(']) {
            self.set_flags();
        }
        if group(&mut self.rest, &mut self.out)? {
            self.element();
            return Ok(());
        }
        let before = self.rest;
        match next(&mut self.rest) {
            Some('\\') => self.escaped()?,
            Some('[') => {
                brackets(&mut self.rest, &mut self.out)?;
                self.element();
            }
            Some('(') => self.open()?,
            Some(')') => self.close()?,
            Some('|') => {
                self.out.push('|');
                self.last = Last::Nothing;
            }
            Some(c @ ('*' | '+' | '?')) => self.repeat(before, 1, c.encode_utf8(&mut [0; 4]))?,
            Some('{') => match counts(self.rest) {
                Some((counts, behind)) => {
                    let times = counts.times(before)?;
                    let text = &before[..before.len() - behind.len()];
                    self.rest = behind;
                    self.repeat(before, times, text)?;
                }
                None => self.literal('{'),
            },
            Some(c @ ('.' | '^' | '$')) => {
                self.out.push(c);
                self.element();
            }
            Some(c) => self.literal(c),
            None => {}
        }
        Ok(())
    }

    fn set_flags(&mut self) {
        self.out.push_str(&self.flags);
        self.flags.clear();
    }

    fn element(&mut self) {
        self.last = Last::Element(1);
    }

    fn literal(&mut self, c: char) {
        self.set_flags();
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        self.element();
    }

    /// What is no class behind a backslash.
    fn escaped(&mut self) -> Result<(), String> {
        let assertion = match self.rest.bytes().next() {
            Some(b'A') => "\\A",
            Some(b'z') => "\\z",
            Some(b'b') => "(?-u:\\b)",
            Some(b'B') => "(?-u:\\B)",
            Some(b'Q') => {
                let inside = &self.rest[1..];
                let (quoted, behind) = inside.split_once("\\E").unwrap_or((inside, ""));
                self.rest = behind;
                quoted.chars().for_each(|c| self.literal(c));
                return Ok(());
            }
            _ => {
                let number = escape(&mut self.rest)?;
                match char::from_u32(number) {
                    Some(c) => self.literal(c),
                    // Half of a character in UTF-16: no text has it.
                    None => {
                        self.out.push_str("[^\\x{0}-\\x{10ffff}]");
                        self.element();
                    }
                }
                return Ok(());
            }
        };
        self.out.push_str(assertion);
        self.rest = &self.rest[1..];
        self.element();
        Ok(())
    }

    /// What stands behind an opening parenthesis.
    fn open(&mut self) -> Result<(), String> {
        let whole = self.rest;
        let Some(inside) = whole.strip_prefix('?') else {
            self.enter("(");
            return Ok(());
        };
        if let Some(named) = inside.strip_prefix("P<").or_else(|| inside.strip_prefix('<')) {
            let name = named.split_once('>').map(|(name, _)| name).filter(|name| is_name(name));
            let name = name.ok_or_else(|| format!("invalid named capture: `({whole}`"))?;
            self.rest = &named[name.len() + 1..];
            self.enter(&format!("(?P<{name}>"));
            return Ok(());
        }
        let end = inside.find([':', ')']).ok_or_else(|| format!("missing closing ): `({whole}`"))?;
        let (flags, behind) = inside.split_at(end);
        let (on, off) = flags.split_once('-').map_or((flags, None), |(on, off)| (on, Some(off)));
        let all_known = on.chars().chain(off.unwrap_or("").chars()).all(|flag| FLAGS.contains(flag));
        if !all_known || off == Some("") {
            return Err(format!("invalid or unsupported Perl syntax: `(?{flags}`"));
        }
        self.rest = &behind[1..];
        let flags = flags_once(on, off.unwrap_or(""));
        if behind.starts_with(':') {
            self.enter(&format!("(?{flags}:"));
        } else if !flags.is_empty() {
            self.flags.push_str(&format!("(?{flags})"));
        }
        if let Last::Repetition(repeats) = self.last {
            self.last = Last::Element(repeats);
        }
        Ok(())
    }

    fn enter(&mut self, opening: &str) {
        self.set_flags();
        self.out.push_str(opening);
        self.repeats.push(1);
        self.last = Last::Nothing;
    }

    fn close(&mut self) -> Result<(), String> {
        if self.repeats.len() == 1 {
            return Err(format!("unexpected ): `){}`", self.rest));
        }
        let repeats = self.repeats.pop().expect("checked to be more than one");
        self.out.push(')');
        self.keep(repeats);
        self.last = Last::Element(repeats);
        Ok(())
    }

    /// Notes how often an element of the open group repeats.
    fn keep(&mut self, repeats: usize) {
        let open = self.repeats.last_mut().expect("the whole is never closed");
        *open = repeats.max(*open);
    }

    /// Puts a repetition of so many times upon what is before. `from` is the pattern from it on.
    fn repeat(&mut self, from: &str, times: usize, text: &str) -> Result<(), String> {
        let inner = match self.last {
            Last::Nothing => return Err(format!("missing argument to repetition operator: `{text}`")),
            Last::Repetition(_) => return Err(format!("invalid nested repetition operator: `{text}`")),
            Last::Element(inner) => inner,
        };
        let repeats = inner * times.max(1);
        if times > 1 && repeats > REPEAT_MAX {
            return Err(format!("invalid repeat count: `{}`", &from[..from.len() - self.rest.len()]));
        }
        self.out.push_str(text);
        if let Some(behind) = self.rest.strip_prefix('?') {
            self.rest = behind;
            self.out.push('?');
        }
        let repeats = if times == 0 { 1 } else { repeats };
        self.keep(repeats);
        self.last = Last::Repetition(repeats);
        Ok(())
    }
}

/// `regex` takes each flag once.
fn flags_once(on: &str, off: &str) -> String {
    let mut text: String = FLAGS.chars().filter(|flag| on.contains(*flag) && !off.contains(*flag)).collect();
    if !off.is_empty() {
        text.push('-');
        text.extend(FLAGS.chars().filter(|flag| off.contains(*flag)));
    }
    text
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `{min}`, `{min,}` or `{min,max}`; numbers that are absurd are none.
struct Counts {
    min: Option<usize>,
    /// None at all: as often as can be.
    max: Option<Option<usize>>,
}

impl Counts {
    /// How often at most, or at least if there is no most. `from` begins with the repetition.
    fn times(&self, from: &str) -> Result<usize, String> {
        let text = from.split_once('}').map_or(from, |(text, _)| text);
        let wrong = || format!("invalid repeat count: `{text}}}`");
        let bounded = |number: Option<usize>| number.filter(|number| *number <= REPEAT_MAX).ok_or_else(wrong);
        let min = bounded(self.min)?;
        match self.max {
            None => Ok(min),
            Some(max) => bounded(max).and_then(|max| if max < min { Err(wrong()) } else { Ok(max) }),
        }
    }
}

/// What is behind a `{`, if that is a repetition, and what follows it.
fn counts(text: &str) -> Option<(Counts, &str)> {
    let (inside, behind) = text.split_once('}')?;
    let number = |digits: &str| {
        let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = is_plain && (digits == "0" || !digits.starts_with('0'));
        is_number.then(|| digits.parse::<usize>().ok())
    };
    let counts = match inside.split_once(',') {
        None => {
            let min = number(inside)?;
            Counts { min, max: Some(min) }
        }
        Some((min, "")) => Counts { min: number(min)?, max: None },
        Some((min, max)) => Counts { min: number(min)?, max: Some(number(max)?) },
    };
    Some((counts, behind))
}
