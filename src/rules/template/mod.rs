//! The part of Go's templates that annotations use.
//!
//! `Orders in {{ $labels.region }} fell to {{ $value | humanize }}/s` with region `eu` and 1234.5 is
//! "Orders in eu fell to 1.234k/s". A pipe may also be written as a call: `{{ humanize $value }}`, `{{ printf "%.2f"
//! $value }}`.
//!
//! Always true: what was parsed renders; everything that is not known is refused when the file is loaded.

mod number;

use crate::model::Labels;

/// What can be written, for errors.
pub(super) const HINT: &str = "known are $labels.name, $value, $expected, $direction, and behind a pipe humanize, humanize1024, \
                               humanizeDuration, humanizePercentage and printf with one %f, %g, %e, %v or %s";

/// Text with places to be filled in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Place { source: Source, functions: Vec<Function> },
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    Label(String),
    Value,
    Expected,
    Direction,
}

#[derive(Clone, Debug, PartialEq)]
enum Function {
    Humanize,
    Humanize1024,
    HumanizeDuration,
    HumanizePercentage,
    Printf { before: String, verb: char, precision: Option<usize>, after: String },
}

/// What a place holds while functions are applied.
enum Content {
    Number(f64),
    Text(String),
}

/// What a template is filled in with.
pub(super) struct Facts<'a> {
    pub labels: &'a Labels,
    pub value: f64,
    pub expected: f64,
    pub direction: &'static str,
}

/// A construct that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {construct}")]
pub(super) struct TemplateError {
    /// What is wrong.
    pub what: &'static str,
    /// The text in question.
    pub construct: String,
}

fn refuse<T>(what: &'static str, construct: &str) -> Result<T, TemplateError> {
    Err(TemplateError { what, construct: construct.to_owned() })
}

impl Template {
    /// Reads a template, or says what in it is not known.
    pub(super) fn parse(text: &str) -> Result<Template, TemplateError> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some(start) = rest.find("{{") {
            if start > 0 {
                pieces.push(Piece::Text(rest[..start].to_owned()));
            }
            let inside = &rest[start + 2..];
            let Some(end) = end_of_place(inside) else { return refuse("a {{ is never closed", &rest[start..]) };
            pieces.push(place(&inside[..end])?);
            rest = &inside[end + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Template { text: text.to_owned(), pieces })
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Fills it in. A label that is absent is empty.
    pub(super) fn render(&self, facts: &Facts<'_>) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Place { source, functions } => {
                    functions.iter().fold(source.content(facts), |content, one| one.apply(content)).into_text()
                }
            })
            .collect()
    }

    /// Whether it says something that changes while an alert lasts.
    pub(super) fn is_volatile(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Place { source: Source::Value | Source::Expected, .. }))
    }
}

/// Where the `}}` is that is not within quotes.
fn end_of_place(inside: &str) -> Option<usize> {
    let mut is_quoted = false;
    let bytes = inside.as_bytes();
    (0..bytes.len()).find(|&index| {
        is_quoted ^= bytes[index] == b'"';
        !is_quoted && bytes[index..].starts_with(b"}}")
    })
}

/// What stands between `{{` and `}}`.
fn place(inside: &str) -> Result<Piece, TemplateError> {
    let mut stages = split_outside_quotes(inside, '|').into_iter();
    let first = words(stages.next().unwrap_or(""));
    let (source, mut functions) = match first.as_slice() {
        [] => return refuse("a place is empty", &format!("{{{{{inside}}}}}")),
        [source] => (source_of(source)?, Vec::new()),
        [function @ .., source] => (source_of(source)?, vec![function_of(function)?]),
    };
    for stage in stages {
        functions.push(function_of(&words(stage))?);
    }
    let mut is_number = matches!(source, Source::Value | Source::Expected);
    for function in &functions {
        if !is_number && !matches!(function, Function::Printf { verb: 's' | 'v', .. }) {
            return refuse("a text is used as a number", inside.trim());
        }
        if is_number && matches!(function, Function::Printf { verb: 's', .. }) {
            return refuse("%s is used for a number", inside.trim());
        }
        is_number = false;
    }
    Ok(Piece::Place { source, functions })
}

fn source_of(word: &str) -> Result<Source, TemplateError> {
    match word {
        "$value" | ".Value" => return Ok(Source::Value),
        "$expected" => return Ok(Source::Expected),
        "$direction" => return Ok(Source::Direction),
        _ => {}
    }
    let name = word.strip_prefix("$labels.").or_else(|| word.strip_prefix(".Labels."));
    match name.filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')) {
        Some(name) => Ok(Source::Label(name.to_owned())),
        None => refuse("this is not known in a template", word),
    }
}

fn function_of(words: &[&str]) -> Result<Function, TemplateError> {
    match words {
        ["humanize"] => Ok(Function::Humanize),
        ["humanize1024"] => Ok(Function::Humanize1024),
        ["humanizeDuration"] => Ok(Function::HumanizeDuration),
        ["humanizePercentage"] => Ok(Function::HumanizePercentage),
        ["printf", format] if format.len() >= 2 && format.starts_with('"') && format.ends_with('"') => {
            printf_of(&format[1..format.len() - 1])
        }
        [] => refuse("a pipe leads nowhere", "|"),
        words => refuse("this is not known in a template", words[0]),
    }
}

/// Text with one verb; `%%` is a percent sign.
fn printf_of(format: &str) -> Result<Function, TemplateError> {
    let (mut before, mut after, mut found) = (String::new(), String::new(), None);
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        let text = if found.is_none() { &mut before } else { &mut after };
        text.push_str(&rest[..percent]);
        let tail = &rest[percent + 1..];
        if let Some(tail) = tail.strip_prefix('%') {
            text.push('%');
            rest = tail;
            continue;
        }
        let Some(end) = tail.find(|c: char| c.is_ascii_alphabetic()) else {
            return refuse("printf has a % without a verb", format);
        };
        let (digits, verb) = (&tail[..end], char::from(tail.as_bytes()[end]));
        let precision = match digits.strip_prefix('.') {
            None if digits.is_empty() => None,
            Some(digits) => digits.parse().ok().filter(|&precision: &usize| precision <= 20),
            None => return refuse("printf knows no width and no flags", format),
        };
        if !"fgevs".contains(verb) || (precision.is_none() && !digits.is_empty()) || found.is_some() {
            return refuse("printf takes one of %f, %g, %e, %v, %s here", format);
        }
        found = Some((verb, precision));
        rest = &tail[end + 1..];
    }
    let Some((verb, precision)) = found else { return refuse("printf has no verb", format) };
    after.push_str(rest);
    Ok(Function::Printf { before, verb, precision, after })
}

fn words(stage: &str) -> Vec<&str> {
    split_outside_quotes(stage, ' ').into_iter().map(str::trim).filter(|word| !word.is_empty()).collect()
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut is_quoted = false;
    text.split(|c: char| {
        is_quoted ^= c == '"';
        !is_quoted && c == separator
    })
    .collect()
}

impl Source {
    fn content(&self, facts: &Facts<'_>) -> Content {
        match self {
            Source::Label(name) => Content::Text(facts.labels.get(name).unwrap_or("").to_owned()),
            Source::Value => Content::Number(facts.value),
            Source::Expected => Content::Number(facts.expected),
            Source::Direction => Content::Text(facts.direction.to_owned()),
        }
    }
}

impl Function {
    fn apply(&self, content: Content) -> Content {
        Content::Text(match (self, content) {
            (Function::Humanize, Content::Number(value)) => number::humanize(value),
            (Function::Humanize1024, Content::Number(value)) => number::humanize_1024(value),
            (Function::HumanizeDuration, Content::Number(value)) => number::humanize_duration(value),
            (Function::HumanizePercentage, Content::Number(value)) => number::humanize_percentage(value),
            (Function::Printf { before, verb, precision, after }, content) => {
                let inner = match content {
                    Content::Number(value) => number::formatted(value, *verb, *precision),
                    Content::Text(text) => text.chars().take(precision.unwrap_or(usize::MAX)).collect(),
                };
                format!("{before}{inner}{after}")
            }
            (_, Content::Text(_)) => unreachable!("texts into number functions are refused by `place`"),
        })
    }
}

impl Content {
    fn into_text(self) -> String {
        match self {
            Content::Number(value) => number::shortest(value),
            Content::Text(text) => text,
        }
    }
}
