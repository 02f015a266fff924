#![doc = include_str!("../../spec/push_groups.md")]

#[cfg(test)]
mod tests;

use crate::Corruption;
use crate::bytes::{Cursor, append_varint};
use crate::metadata::TYPES_COUNT;

/// Kind of a record that holds a [`Group`].
pub const KIND_GROUP: u8 = 1;

/// Bytes that a label takes at least: two empty texts.
const LABEL_BYTES_MIN: usize = 2;
/// Bytes that a label set takes at least.
const LABELS_BYTES_MIN: usize = 1;
/// Bytes that a series takes at least: no labels, and a value.
const SERIES_BYTES_MIN: usize = LABELS_BYTES_MIN + 8;
/// Bytes that a family takes at least: two empty texts, the type, a time, no series.
const FAMILY_BYTES_MIN: usize = 2 + 1 + 8 + 1;

/// Names and values.
pub type LabelSet<'a> = Vec<(&'a str, &'a str)>;

/// What was pushed under one grouping key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group<'a> {
    /// The grouping key.
    pub labels: LabelSet<'a>,
    /// How long after the last good push it ends, in ms; 0: never.
    pub ttl_ms: i64,
    /// When the last push that was taken came, ms since 1970 UTC; 0: none was.
    pub pushed_ms: i64,
    /// When the last push that was refused came, ms since 1970 UTC; 0: none was.
    pub failed_ms: i64,
    /// Its metrics.
    pub families: Vec<Family<'a>>,
    /// Series that are owed a staleness marker.
    pub ended: Vec<LabelSet<'a>>,
}

/// Metrics of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family<'a> {
    /// The name.
    pub name: &'a str,
    /// Its type by the table of the `metadata` chapter.
    pub metric_type: u8,
    /// What it means, for people.
    pub help: &'a str,
    /// When it was pushed, ms since 1970 UTC.
    pub pushed_ms: i64,
    /// Its series.
    pub series: Vec<Series<'a>>,
}

/// One series and its value.
#[derive(Clone, Debug)]
pub struct Series<'a> {
    /// All its labels, the metric's name and the group's among them.
    pub labels: LabelSet<'a>,
    /// Any 64 bits.
    pub value: f64,
}

/// Values are compared by their bits.
impl PartialEq for Series<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.labels == other.labels && self.value.to_bits() == other.value.to_bits()
    }
}

impl<'a> Group<'a> {
    /// Appends the payload of a record of [`KIND_GROUP`]. Panics on a type that the chapter does not list.
    pub fn encode(&self, out: &mut Vec<u8>) {
        append_labels(out, &self.labels);
        for number in [self.ttl_ms, self.pushed_ms, self.failed_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        append_varint(out, self.families.len() as u64);
        self.families.iter().for_each(|family| family.encode(out));
        append_varint(out, self.ended.len() as u64);
        self.ended.iter().for_each(|labels| append_labels(out, labels));
    }

    /// Reads the payload of a record of [`KIND_GROUP`].
    pub fn decode(payload: &'a [u8]) -> Result<Group<'a>, Corruption> {
        let mut cursor = Cursor::new(payload);
        let group = Group {
            labels: labels(&mut cursor)?,
            ttl_ms: cursor.i64()?,
            pushed_ms: cursor.i64()?,
            failed_ms: cursor.i64()?,
            families: list(&mut cursor, FAMILY_BYTES_MIN, Family::decode)?,
            ended: list(&mut cursor, LABELS_BYTES_MIN, labels)?,
        };
        cursor.expect_end()?;
        Ok(group)
    }
}

impl<'a> Family<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        assert!(self.metric_type < TYPES_COUNT, "{} has the type {}", self.name, self.metric_type);
        append_text(out, self.name);
        out.push(self.metric_type);
        append_text(out, self.help);
        out.extend_from_slice(&self.pushed_ms.to_le_bytes());
        append_varint(out, self.series.len() as u64);
        for series in &self.series {
            append_labels(out, &series.labels);
            out.extend_from_slice(&series.value.to_bits().to_le_bytes());
        }
    }

    fn decode(cursor: &mut Cursor<'a>) -> Result<Family<'a>, Corruption> {
        let name = cursor.varint_text()?;
        let at = cursor.position();
        let metric_type = cursor.u8()?;
        if metric_type >= TYPES_COUNT {
            return Err(Corruption::at(at, "a type of metric that the chapter does not list"));
        }
        let (help, pushed_ms) = (cursor.varint_text()?, cursor.i64()?);
        let series = list(cursor, SERIES_BYTES_MIN, |cursor| {
            Ok(Series { labels: labels(cursor)?, value: f64::from_bits(cursor.u64()?) })
        })?;
        Ok(Family { name, metric_type, help, pushed_ms, series })
    }
}

fn list<'a, T>(
    cursor: &mut Cursor<'a>,
    bytes_min: usize,
    mut item: impl FnMut(&mut Cursor<'a>) -> Result<T, Corruption>,
) -> Result<Vec<T>, Corruption> {
    let count = cursor.count(bytes_min)?;
    // Not reserved: an item in memory is many times what it takes at least here.
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(item(cursor)?);
    }
    Ok(items)
}

fn labels<'a>(cursor: &mut Cursor<'a>) -> Result<LabelSet<'a>, Corruption> {
    list(cursor, LABEL_BYTES_MIN, |cursor| Ok((cursor.varint_text()?, cursor.varint_text()?)))
}

fn append_labels(out: &mut Vec<u8>, labels: &[(&str, &str)]) {
    append_varint(out, labels.len() as u64);
    for (name, value) in labels {
        append_text(out, name);
        append_text(out, value);
    }
}

fn append_text(out: &mut Vec<u8>, text: &str) {
    append_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}
