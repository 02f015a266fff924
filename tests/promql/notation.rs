//! The words of a script: series, values one by one, durations.

use dozor::model::Labels;
pub(super) use dozor::query::{WrittenValue as Written, parse_number as number};
use dozor::query::{parse_series, parse_values};

/// A line of `load` or of an expectation: labels, and a value (or none) for each step.
pub(super) type Row = (Labels, Vec<Option<Written>>);

/// `name{a="b"} rest` → labels and rest.
pub(super) fn series(line: &str) -> (Labels, &str) {
    parse_series(line).unwrap_or_else(|error| panic!("{error}"))
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
    parse_values(text).unwrap_or_else(|error| panic!("{error}"))
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
