//! The words of a script: series, values one by one, durations.

use std::sync::Arc;

use dozor::model::{FloatHistogram, HistogramLiteral, Labels, stale_nan};
use dozor::query::Sampled;

/// A value of a script, and whether it says what is known of counter resets.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) value: Sampled,
    pub(super) hint_is_given: bool,
}

/// A line of `load` or of an expectation: labels, and a value (or none) for each step.
pub(super) type Row = (Labels, Vec<Option<Written>>);

/// `name{a="b"} rest` → labels and rest.
pub(super) fn series(line: &str) -> (Labels, &str) {
    let name_end = line.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(line.len());
    let mut pairs = vec![("__name__".to_owned(), line[..name_end].to_owned())];
    let mut rest = &line[name_end..];
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside.trim_start();
        while !rest.starts_with('}') {
            let (name, after) = match rest.chars().next() {
                Some('"') => quoted(rest),
                _ => {
                    let end = rest.find(|c: char| c == '=' || c.is_whitespace()).expect("a label is compared");
                    (rest[..end].to_owned(), &rest[end..])
                }
            };
            rest = after.trim_start();
            if let Some(value) = rest.strip_prefix('=') {
                let (value, after) = quoted(value.trim_start());
                pairs.push((name, value));
                rest = after.trim_start();
            } else {
                pairs.push(("__name__".to_owned(), name));
            }
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        rest = &rest[1..];
    }
    pairs.retain(|(_, value)| !value.is_empty());
    (Labels::from_pairs(pairs).expect("a script's labels are valid"), rest)
}

/// A quoted string and what follows it.
pub(super) fn quoted(text: &str) -> (String, &str) {
    let quote = text.chars().next().expect("a string");
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((index, c)) = chars.next() {
        match c {
            _ if c == quote => return (value, &text[index + c.len_utf8()..]),
            '\\' if quote != '`' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            _ => value.push(c),
        }
    }
    panic!("unterminated string in {text:?}");
}

/// `1 2 _ stale 0+10x3 5x2 _x3 {{count:1}}x2` → the values one by one.
pub(super) fn values(text: &str) -> Vec<Option<Written>> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        rest = if rest.starts_with("{{") {
            histograms(rest, &mut all)
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            all.extend(numbers(&rest[..end]).into_iter().map(|number| number.map(written)));
            &rest[end..]
        }
        .trim_start();
    }
    all
}

fn written(number: f64) -> Written {
    Written { value: Sampled::Number(number), hint_is_given: false }
}

/// Reads `{{…}}`, `{{…}}x3` or `{{…}}+{{…}}x3`, and returns what follows.
fn histograms<'t>(text: &'t str, all: &mut Vec<Option<Written>>) -> &'t str {
    let first = HistogramLiteral::parse(text).expect("a histogram");
    let mut rest = &text[first.bytes..];
    let mut push = |histogram: &FloatHistogram| {
        let value = Sampled::Histogram(Arc::new(histogram.clone()));
        all.push(Some(Written { value, hint_is_given: first.hint_is_given }));
    };
    let mut step = None;
    if let Some(sign @ ('+' | '-')) = rest.chars().next() {
        let literal = HistogramLiteral::parse(&rest[1..]).expect("a histogram to add at each step");
        rest = &rest[1 + literal.bytes..];
        step = Some((sign, literal.histogram));
    }
    let count = rest.strip_prefix('x').map_or(0, |count| {
        let end = count.find(|c: char| !c.is_ascii_digit()).unwrap_or(count.len());
        rest = &count[end..];
        count[..end].parse().expect("a count")
    });
    let mut now = first.histogram.clone();
    push(&now);
    for _ in 0..count {
        match &step {
            Some(('+', step)) => _ = now.add(step).expect("histograms of one kind"),
            Some((_, step)) => _ = now.subtract(step).expect("histograms of one kind"),
            None => {}
        }
        now.hint = first.histogram.hint;
        push(&now);
    }
    rest
}

fn numbers(item: &str) -> Vec<Option<f64>> {
    if item == "stale" {
        return vec![Some(stale_nan())];
    }
    if let Some(rest) = item.strip_prefix('_') {
        return vec![None; rest.strip_prefix('x').map_or(1, |count| count.parse().expect("a count"))];
    }
    let Some((base, count)) = item.rsplit_once('x') else {
        return vec![Some(number(item).expect("a number, or a series of them"))];
    };
    let count: usize = count.parse().expect("a count");
    if let Some(value) = number(base) {
        return vec![Some(value); count + 1];
    }
    let sign = base.char_indices().skip(1).filter(|(index, c)| {
        matches!(c, '+' | '-') && !matches!(base.as_bytes()[index - 1], b'e' | b'E' | b'+' | b'-')
    });
    let (split, _) = sign.last().expect("start and step");
    let start = number(&base[..split]).expect("the start");
    let step = number(&base[split..]).expect("the step");
    // Added up one by one, as Prometheus does it.
    (0..=count).scan(start, |value, _| Some(std::mem::replace(value, *value + step))).map(Some).collect()
}

/// `-1m -1mx2 -30s-1mx2 _`: how long before each sample its series had started, in ms; as numbers are written.
pub(super) fn lengths_ms(text: &str) -> Vec<Option<i64>> {
    let mut all = Vec::new();
    for item in text.split_whitespace() {
        if let Some(rest) = item.strip_prefix('_') {
            let count = rest.strip_prefix('x').map_or(1, |count| count.parse().expect("a count"));
            all.extend(std::iter::repeat_n(None, count));
            continue;
        }
        let (base, count) = match item.rsplit_once('x') {
            Some((base, count)) => (base, count.parse().expect("a count")),
            None => (item, 0),
        };
        let split = base[1..].find(['+', '-']).map(|index| index + 1);
        let start = duration_ms(split.map_or(base, |split| &base[..split]));
        let step = split.map_or(0, |split| duration_ms(&base[split..]));
        all.extend((0..=count).map(|index: i64| Some(start + step * index)));
    }
    all
}

pub(super) fn number(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if let Some(hex) = unsigned.strip_prefix("0x") {
        let value = i64::from_str_radix(hex, 16).ok()? as f64;
        return Some(if text.starts_with('-') { -value } else { value });
    }
    text.parse().ok()
}

/// `90`, `1m30s`, `-5m` in ms.
pub(super) fn duration_ms(text: &str) -> i64 {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds * 1000.0).round() as i64;
    }
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut rest = rest.strip_prefix('+').unwrap_or(rest);
    let mut total = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).expect("a unit");
        let amount: i64 = rest[..digits].parse().expect("an amount");
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += amount
            * match &rest[..unit] {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                "y" => 31_536_000_000,
                other => panic!("unit {other:?}"),
            };
        rest = &rest[unit..];
    }
    sign * total
}
