//! The form in which test scripts write a histogram: `{{schema:1 count:4 sum:5 buckets:[1 2 1] offset:-1}}`.
//!
//! Keys stand in any order and at most once: `schema`, `count`, `sum`, `z_bucket`, `z_bucket_w`, `custom_values`, `buckets`,
//! `offset`, `n_buckets`, `n_offset`, `counter_reset_hint`. What is left out is zero, or empty.

use std::fmt::Write;

use super::{BUCKETS_COUNT_MAX, CounterResetHint, FloatHistogram, Side};
use crate::model::format_general;

/// A histogram that was written out.
#[derive(Clone, Debug)]
pub struct HistogramLiteral {
    /// What was written.
    pub histogram: FloatHistogram,
    /// Whether it says what is known of counter resets; a script that does not say leaves it open.
    pub hint_is_given: bool,
    /// How many bytes of the text it took, both pairs of braces included.
    pub bytes: usize,
}

/// A text that is no histogram.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset} of the histogram: {what}")]
pub struct LiteralError {
    /// Where.
    pub offset: usize,
    /// What is wrong there.
    pub what: String,
}

impl HistogramLiteral {
    /// Reads the histogram that `text` begins with.
    pub fn parse(text: &str) -> Result<HistogramLiteral, LiteralError> {
        let Some(inner) = text.strip_prefix("{{") else {
            return Err(LiteralError { offset: 0, what: "a histogram begins with {{".to_owned() });
        };
        let Some(length) = inner.find("}}") else {
            return Err(LiteralError { offset: text.len(), what: "a histogram ends with }}".to_owned() });
        };
        let mut fields = Fields::default();
        let mut rest = inner[..length].trim_start();
        while !rest.is_empty() {
            let offset = 2 + length - rest.len();
            rest = fields.take(rest).map_err(|what| LiteralError { offset, what })?.trim_start();
        }
        Ok(HistogramLiteral {
            hint_is_given: fields.given.contains(&HINT),
            histogram: fields.histogram(),
            bytes: length + 4,
        })
    }
}

const HINT: &str = "counter_reset_hint";
const HINTS: [(&str, CounterResetHint); 4] = [
    ("unknown", CounterResetHint::Unknown),
    ("reset", CounterResetHint::Reset),
    ("not_reset", CounterResetHint::NotReset),
    ("gauge", CounterResetHint::Gauge),
];

#[derive(Default)]
struct Fields<'a> {
    given: Vec<&'a str>,
    histogram: FloatHistogram,
    offset: i32,
    buckets: Vec<f64>,
    negative_offset: i32,
    negative_buckets: Vec<f64>,
}

impl<'a> Fields<'a> {
    /// Takes one `key:value` and answers the text behind it.
    fn take(&mut self, text: &'a str) -> Result<&'a str, String> {
        let (key, value) = text.split_once(':').ok_or_else(|| format!("{text:?} is no key with a value"))?;
        if self.given.contains(&key) {
            return Err(format!("{key} is given twice"));
        }
        self.given.push(key);
        let end = if value.starts_with('[') {
            value.find(']').ok_or_else(|| format!("the list of {key} has no end"))? + 1
        } else {
            value.find(char::is_whitespace).unwrap_or(value.len())
        };
        let (value, rest) = value.split_at(end);
        self.set(key, value)?;
        Ok(rest)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "schema" => self.histogram.schema = whole(value)?,
            "count" => self.histogram.count = number(value)?,
            "sum" => self.histogram.sum = number(value)?,
            "z_bucket" => self.histogram.zero_count = number(value)?,
            "z_bucket_w" => self.histogram.zero_threshold = number(value)?,
            "custom_values" => self.histogram.custom_values = list(value)?.into(),
            "offset" => self.offset = whole(value)?,
            "buckets" => self.buckets = list(value)?,
            "n_offset" => self.negative_offset = whole(value)?,
            "n_buckets" => self.negative_buckets = list(value)?,
            HINT => {
                let known = HINTS.iter().find(|(name, _)| *name == value);
                self.histogram.hint = known.ok_or_else(|| format!("{value:?} is no counter reset hint"))?.1;
            }
            _ => return Err(format!("{key:?} is no part of a histogram")),
        }
        Ok(())
    }

    fn histogram(self) -> FloatHistogram {
        FloatHistogram {
            positive: Side::of_run(self.offset, self.buckets),
            negative: Side::of_run(self.negative_offset, self.negative_buckets),
            ..self.histogram
        }
    }
}

fn whole(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("{text:?} is no whole number"))
}

fn number(text: &str) -> Result<f64, String> {
    // Rust reads "infinity" and "+nan" as well, which no script has.
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn list(text: &str) -> Result<Vec<f64>, String> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let inner = inner.ok_or_else(|| format!("{text:?} is no list"))?;
    let numbers: Vec<f64> = inner.split_whitespace().map(number).collect::<Result<_, _>>()?;
    if numbers.len() > BUCKETS_COUNT_MAX {
        return Err(format!("a list of {} numbers is longer than {BUCKETS_COUNT_MAX}", numbers.len()));
    }
    Ok(numbers)
}

impl FloatHistogram {
    /// The histogram as scripts write it, what is zero or empty left out. `None` when its buckets lie so far apart that
    /// a list cannot hold what is between them.
    pub fn literal(&self) -> Option<String> {
        let mut whole = self.clone();
        whole.compact(BUCKETS_COUNT_MAX);
        if whole.positive.spans.len() > 1 || whole.negative.spans.len() > 1 {
            return None;
        }
        let mut items = Vec::new();
        if whole.schema != 0 {
            items.push(format!("schema:{}", whole.schema));
        }
        let numbers = [
            ("count", whole.count),
            ("sum", whole.sum),
            ("z_bucket", whole.zero_count),
            ("z_bucket_w", whole.zero_threshold),
        ];
        let given = numbers.iter().filter(|(_, number)| *number != 0.0);
        items.extend(given.map(|&(key, number)| format!("{key}:{}", format_general(number))));
        if whole.has_custom_buckets() {
            items.push(format!("custom_values:{}", bracketed(&whole.custom_values)));
        }
        if whole.hint != CounterResetHint::Unknown {
            let named = HINTS.iter().find(|(_, hint)| *hint == whole.hint).expect("every hint has a name");
            items.push(format!("{HINT}:{}", named.0));
        }
        for (side, offset_key, buckets_key) in
            [(&whole.positive, "offset", "buckets"), (&whole.negative, "n_offset", "n_buckets")]
        {
            if let Some(span) = side.spans.first() {
                if span.offset != 0 {
                    items.push(format!("{offset_key}:{}", span.offset));
                }
                items.push(format!("{buckets_key}:{}", bracketed(&side.counts)));
            }
        }
        Some(format!("{{{{{}}}}}", items.join(" ")))
    }
}

fn bracketed(numbers: &[f64]) -> String {
    let mut text = "[".to_owned();
    for (position, &number) in numbers.iter().enumerate() {
        let gap = if position == 0 { "" } else { " " };
        write!(text, "{gap}{}", format_general(number)).expect("a String takes everything");
    }
    text + "]"
}
