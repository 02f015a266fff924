//! What to do about a fault of a rule file, and where it stands, where its finder does not say so.
//!
//! ```text
//! shop.yml:5:11: 1:1: parse error: unknown function with name "histogram_quantil"
//!   |
//! 5 |     expr: histogram_quantil(0.9, x)
//!   |           ^
//!   = did you mean histogram_quantile?
//! ```
//!
//! Always true: a place is within the text, or the one that was given.

use serde_saphyr::Error;

use super::load::line_of;
use crate::config::changes;
use crate::{query, template};

/// Line and column, counted from 1.
pub(super) type Place = (usize, usize);

/// Longest word that is compared with others.
const WORD_BYTES_MAX: usize = 64;
/// Texts that people write beside a rule's annotations.
const TEXTS: [&str; 6] = ["summary", "description", "message", "runbook", "runbook_url", "dashboard"];

/// A fault as its author is told of it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) place: Option<Place>,
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

/// The name that the fewest changes lead to, if they are fewer than half of the letters.
pub(super) fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > WORD_BYTES_MAX {
        return None;
    }
    let given = given.to_ascii_lowercase();
    let far = |name: &str| changes(&given, &name.to_ascii_lowercase());
    let (changes, name) = names.into_iter().map(|name| (far(name), name)).min()?;
    (2 * changes < given.len()).then_some(name)
}

fn meant(name: &str) -> String {
    format!("did you mean {name}?")
}

/// What a reader of YAML says of a file, which is meant for those who write readers.
pub(super) fn of_yaml(error: &Error, text: &str, place: Option<Place>, what: String) -> Fault {
    let at = place.map_or("", |(line, column)| rest_of(text, line, column));
    let fault = |what: &str, hint: &str| Fault { place, what: what.to_owned(), hint: Some(hint.to_owned()) };
    match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => {
            Fault { place, what, hint: of_key(field, expected.iter().copied()) }
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            let hint = nearest(variant, expected.iter().copied()).or_else(|| of_way(variant, expected)).map(meant);
            Fault { place, what, hint }
        }
        Error::SerdeMissingField { field, .. } => {
            let hint = match *field {
                "expr" => Some("add what is to be evaluated, such as expr: up == 0"),
                "name" => Some("a group has a name of its own: - name: shop"),
                _ => None,
            };
            Fault { place: place.map(|place| entry_of(text, place)), what, hint: hint.map(str::to_owned) }
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            fault(&format!("{key} is there twice"), "remove one of both, or begin a rule of its own with a dash")
        }
        Error::MultipleDocuments { .. } => fault(
            "a second document begins here, and a rule file is one",
            "put its groups below those above, without --- between, or into a file of their own",
        ),
        Error::NullIntoString { .. } => fault("the value is missing", "write it behind the colon"),
        Error::UnknownAnchor { .. } => {
            fault("* names an anchor that is not there", "a text that begins with * stands in quotes")
        }
        Error::InvalidScalar { ty, .. } if ty.starts_with(['f', 'i', 'u']) => {
            fault("this is no number", "write for instance 0.5, without a unit")
        }
        Error::Unexpected { expected: "string scalar", .. } => fault("a text is expected here", of_no_text(at)),
        Error::Unexpected { expected: "sequence start", .. } => {
            let what = "a list is expected here";
            if at.starts_with("alert") || at.starts_with("record") || at.starts_with("expr") {
                fault(what, "begin each rule with a dash: - alert: …")
            } else {
                fault(what, "begin each group with a dash: - name: …")
            }
        }
        Error::Unexpected { expected: "mapping start", .. } => {
            fault("names with values are expected here", of_no_map(at))
        }
        _ => of_scanner(text, place, what),
    }
}

fn of_key<'a>(key: &str, expected: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(name) = nearest(key, expected.clone()) {
        return Some(meant(name));
    }
    let is_rule = expected.into_iter().any(|name| name == "annotations");
    is_rule.then(|| match TEXTS.contains(&key) {
        true => format!("write annotations: {{ {key}: … }}"),
        false => format!("write labels: {{ {key}: … }}, if it is a label"),
    })
}

/// Other words for ways.
fn of_way(word: &str, expected: &[&'static str]) -> Option<&'static str> {
    let way = match word {
        "down" | "fall" | "falls" | "decrease" | "low" | "below" => "drop",
        "up" | "increase" | "increases" | "high" | "above" | "spike" => "rise",
        "any" | "all" => "both",
        "missing" | "gone" | "none" => "absent",
        _ => return None,
    };
    expected.contains(&way).then_some(way)
}

fn of_no_text(at: &str) -> &'static str {
    if at.starts_with("{{") {
        "a text that begins with {{ stands in quotes: \"{{ … }} …\""
    } else if at.starts_with('{') {
        "an expression that begins with { stands in quotes: '{job=\"shop\"}'"
    } else if at.starts_with('[') {
        "write one value, without brackets"
    } else {
        "write one value behind the colon, and nothing below"
    }
}

fn of_no_map(at: &str) -> &'static str {
    if at.starts_with("- ") {
        "groups: stands above the list of groups"
    } else if ["drop", "rise", "both", "absent"].iter().any(|way| at.trim_end() == *way) {
        "write for instance anomaly: { direction: drop }"
    } else {
        "write name: value, one a line"
    }
}

/// What the text itself is no YAML for.
fn of_scanner(text: &str, place: Option<Place>, what: String) -> Fault {
    let hint = if what.contains("found a tab") || what.contains("tab character") {
        let place = place.map(|(line, column)| tab_behind(text, line).unwrap_or((line, column)));
        return Fault { place, what: "a tab is no indent".to_owned(), hint: Some("indent with spaces".to_owned()) };
    } else if what.contains("mapping values are not allowed") {
        "a text with a colon and a space in it stands in quotes"
    } else if what.contains("did not find expected key") {
        "indent it as far as the keys above that it belongs to; a list's entries begin with a dash"
    } else if what.contains("invalid indentation in multiline quoted scalar") {
        "the quotes that were opened above are not closed; or indent the lines within them"
    } else if what.contains("after double-quoted scalar") {
        "quotes within quotes are \\\"; or put the whole between single ones: 'up{job=\"shop\"}'"
    } else if what.contains("after single-quoted scalar") {
        "a single quote within single quotes is written twice: ''"
    } else {
        return Fault { place, what, hint: None };
    };
    Fault { place, what, hint: Some(hint.to_owned()) }
}

/// What to do about an expression that is no PromQL.
pub(super) fn of_query(what: &str) -> Option<String> {
    let named = |before: &str| quoted_behind(what, before);
    if let Some(name) = named("unknown function with name ") {
        let known = query::function_names().chain(query::operator_names());
        return nearest(name, known).map(meant);
    }
    if let Some(name) = named("in call to function ")
        && what.contains("expected type range vector")
    {
        return Some(format!("{name} needs a range: {name}(…[5m])"));
    }
    if what.contains("in grouping opts") {
        return Some("write by (region, node), the labels in brackets with commas between".to_owned());
    }
    if what.contains("in label matching, expected string") {
        return Some(match named("unexpected identifier ") {
            Some(value) => format!("the value of a label stands in quotes: \"{value}\""),
            None => "the value of a label stands in quotes".to_owned(),
        });
    }
    let hint = if what.ends_with("unexpected \"=\"") {
        "equal is =="
    } else if what.contains("unclosed left parenthesis") {
        "a ) is missing"
    } else if what.contains("unexpected right parenthesis") || what.ends_with("unexpected \")\"") {
        "there is a ) too many, or something is missing in front of it"
    } else if what.contains("bad number or duration syntax") || what.contains("not a valid duration string") {
        "write durations as 30s, 5m or 1h30m"
    } else if what.contains("got range vector") {
        "take the range away, or give it to a function such as rate(…[5m])"
    } else if what.contains("must use BOOL modifier") {
        "compare numbers with == bool, > bool, …; or a series with a number"
    } else if what.contains("unexpected end of input") {
        "something is missing at the end"
    } else if what.contains("unterminated quoted string") {
        "a quote is missing"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// What to do about a template that cannot be read.
pub(super) fn of_template(what: &str) -> String {
    let function = quoted_behind(what, "function ").and_then(|name| nearest(name, template::function_names()));
    let variable = quoted_behind(what, "undefined variable ");
    let variable = variable.and_then(|name| nearest(name, template::VARIABLE_NAMES));
    match function.or(variable) {
        Some(name) => meant(name),
        None if what.starts_with("unexpected \"}\"") || what == "unclosed action" => "{{ ends with }}".to_owned(),
        None if what.starts_with("bad character") => {
            "a label with other signs in its name is {{ index $labels \"foo-bar\" }}".to_owned()
        }
        None => template::HINT.to_owned(),
    }
}

/// Of `… function "rate", …` behind `function ` the word `rate`.
fn quoted_behind<'a>(what: &'a str, before: &str) -> Option<&'a str> {
    let (_, behind) = what.split_once(before)?;
    let (name, _) = behind.strip_prefix('"')?.split_once('"')?;
    Some(name)
}

/// Where a place within a value is in the file: `at` counts lines and columns of the value, which begins at `start`. Where the
/// value is not written as it is, for it has escapes, that is the start.
pub(super) fn place_within(text: &str, start: Place, value: &str, at: Place) -> Place {
    let offset: usize = value.split_inclusive('\n').take(at.0.saturating_sub(1)).map(str::len).sum();
    let mut in_line = value[offset..].char_indices();
    let target =
        offset + in_line.nth(at.1.saturating_sub(1)).map_or(value[offset..].trim_end().len(), |(byte, _)| byte);
    let (mut read, mut column) = (0, start.1);
    for (index, whole) in text.lines().enumerate().skip(start.0 - 1) {
        let written = whole.char_indices().nth(column - 1).map_or("", |(byte, _)| &whole[byte..]);
        let blank = written.len() - written.trim_start().len();
        let quote = usize::from(index + 1 == start.0 && written.starts_with(['"', '\'']));
        let indent = quote.max(blank);
        let shown = written[indent..].trim_end();
        let rest = value[read..].trim_start();
        if rest.is_empty() {
            return start;
        }
        if !shown.is_empty() {
            let piece = rest.split('\n').next().unwrap_or("").trim_end();
            // Of a folded text a line holds a part.
            let length = if shown.starts_with(piece) { piece.len() } else { shown.len() };
            if !rest.starts_with(&shown[..length]) {
                return start;
            }
            let begin = value.len() - rest.len();
            if target <= begin + length {
                let before = indent + target.saturating_sub(begin);
                return (index + 1, column + written.get(..before).map_or(0, |before| before.chars().count()));
            }
            read = begin + length;
        }
        column = 1;
    }
    start
}

/// The rest of a line from a column on.
fn rest_of(text: &str, line: usize, column: usize) -> &str {
    let line = line_of(text, line);
    line.char_indices().nth(column - 1).map_or("", |(byte, _)| &line[byte..])
}

/// Where the list's entry begins that a place is in, which its reader knows the end of.
fn entry_of(text: &str, place: Place) -> Place {
    let lines: Vec<&str> = text.lines().take(place.0).collect();
    let dashed = lines.iter().rposition(|line| line.trim_start().starts_with("- "));
    let Some(index) = dashed else { return place };
    let line = lines[index];
    (index + 1, line.chars().count() - line.trim_start().chars().count() + 3)
}

/// The first tab that indents a line, from one on.
fn tab_behind(text: &str, from: usize) -> Option<Place> {
    text.lines().enumerate().skip(from - 1).find_map(|(index, line)| {
        let indent = &line[..line.len() - line.trim_start().len()];
        indent.chars().position(|letter| letter == '\t').map(|column| (index + 1, column + 1))
    })
}
