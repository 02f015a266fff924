//! The syntax of one line.
//!
//! ```text
//! shop.checkout:320:210|ms|@0.5|#region:eu,canary     DogStatsD's tags, two values, one of two measurements sent
//! shop.orders,region=eu:1|c                           telegraf's tags
//! ```
//!
//! Always true: a line is read as a whole or refused as a whole.

use std::borrow::Cow;

use crate::ingest::foreign::{label_name, metric_name, number};

/// One line that was read; its numbers are with the caller.
#[derive(Debug, PartialEq)]
pub(super) struct Line<'a> {
    /// As PromQL reads it.
    pub(super) name: Cow<'a, str>,
    pub(super) kind: Kind,
    /// What stands before the type: the value of a set.
    pub(super) text: &'a str,
    /// How many measurements each number stands for, at least 1.
    pub(super) weight: f64,
    /// By name; of several with one name the last is kept.
    pub(super) tags: Vec<(Cow<'a, str>, &'a str)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    /// In milliseconds.
    Timer,
    /// In whatever unit: DogStatsD's histograms and distributions.
    Histogram,
    Set,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    pub(super) value: f64,
    /// It has a sign: to a gauge it is a change.
    pub(super) is_signed: bool,
}

/// Value of a tag that is only a name.
const BARE_TAG: &str = "true";

/// Reads a line, its numbers into `numbers`.
pub(super) fn read<'a>(line: &'a [u8], numbers: &mut Vec<Number>) -> Result<Line<'a>, &'static str> {
    numbers.clear();
    let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
    let (head, rest) = line.split_once(':').ok_or("it has no value, which stands behind a colon")?;
    let mut parts = rest.split('|');
    let text = parts.next().expect("splitting gives at least one part");
    let kind = kind(parts.next().ok_or("it has no type, which stands behind a bar")?)?;
    let mut names = head.split(',');
    let name = names.next().expect("splitting gives at least one part");
    if name.is_empty() {
        return Err("it has no name");
    }
    let mut tags: Vec<_> = names.filter_map(|tag| tag_of(tag, '=')).collect();
    let mut weight = 1.0;
    for part in parts {
        match part.as_bytes().first() {
            Some(b'@') => weight = 1.0 / rate(&part[1..])?,
            Some(b'#') => tags.extend(part[1..].split(',').filter_map(|tag| tag_of(tag, ':'))),
            // DogStatsD's container, external data and timestamp, which say nothing about the value.
            Some(b'c' | b'e' | b'T') => {}
            _ => return Err("there is something unknown behind a bar"),
        }
    }
    keep_last_of_each_name(&mut tags);
    if kind == Kind::Set {
        if text.is_empty() {
            return Err("its value is empty");
        }
    } else {
        read_numbers(text, numbers)?;
    }
    Ok(Line { name: metric_name(name), kind, text, weight, tags })
}

fn kind(text: &str) -> Result<Kind, &'static str> {
    Ok(match text {
        "c" => Kind::Counter,
        "g" => Kind::Gauge,
        "ms" => Kind::Timer,
        "h" | "d" => Kind::Histogram,
        "s" => Kind::Set,
        _ => return Err("its type is none of c, g, ms, h, d and s"),
    })
}

fn rate(text: &str) -> Result<f64, &'static str> {
    // By a rate below the smallest ordinary number, one measurement would stand for infinitely many.
    let rate = number(text).filter(|rate| (f64::MIN_POSITIVE..=1.0).contains(rate));
    rate.ok_or("its rate is not above 0 and at most 1")
}

fn read_numbers(text: &str, numbers: &mut Vec<Number>) -> Result<(), &'static str> {
    for one in text.split(':') {
        let value = number(one).ok_or("its value is not a number")?;
        numbers.push(Number { value, is_signed: one.starts_with(['+', '-']) });
    }
    Ok(())
}

fn tag_of(tag: &str, separator: char) -> Option<(Cow<'_, str>, &str)> {
    let (name, value) = tag.split_once(separator).unwrap_or((tag, BARE_TAG));
    (!name.is_empty() && !value.is_empty()).then(|| (label_name(name), value))
}

fn keep_last_of_each_name(tags: &mut Vec<(Cow<'_, str>, &str)>) {
    tags.reverse();
    // Stable, so of equal names the one that came last is now the first.
    tags.sort_by(|left, right| left.0.cmp(&right.0));
    tags.dedup_by(|later, first| later.0 == first.0);
}
