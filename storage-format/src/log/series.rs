//! Records of kind 1: which series a reference means.

use crate::Corruption;
use crate::bytes::{Cursor, append_varint};

/// A reference and the labels that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesDefinition<'a> {
    /// What rows of samples name the series by.
    pub reference: u64,
    /// Name and value, in the order in which they were written.
    pub labels: Vec<(&'a str, &'a str)>,
}

/// Appends one definition to a payload of kind 1.
pub fn append_series<'a>(
    out: &mut Vec<u8>,
    reference: u64,
    labels: impl IntoIterator<Item = (&'a str, &'a str), IntoIter: ExactSizeIterator>,
) {
    let labels = labels.into_iter();
    append_varint(out, reference);
    append_varint(out, labels.len() as u64);
    for (name, value) in labels {
        for text in [name, value] {
            append_varint(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// Reads a payload of kind 1. After an error the iterator ends.
pub fn decode_series(payload: &[u8]) -> SeriesDefinitions<'_> {
    SeriesDefinitions { cursor: Cursor::new(payload), failed: false }
}

/// The definitions of one payload, in order.
#[derive(Clone, Debug)]
pub struct SeriesDefinitions<'a> {
    cursor: Cursor<'a>,
    failed: bool,
}

impl<'a> SeriesDefinitions<'a> {
    fn definition(&mut self) -> Result<SeriesDefinition<'a>, Corruption> {
        let reference = self.cursor.varint()?;
        let count = self.cursor.count(2)?;
        let labels = (0..count)
            .map(|_| Ok((self.cursor.varint_text()?, self.cursor.varint_text()?)))
            .collect::<Result<Vec<_>, Corruption>>()?;
        Ok(SeriesDefinition { reference, labels })
    }
}

impl<'a> Iterator for SeriesDefinitions<'a> {
    type Item = Result<SeriesDefinition<'a>, Corruption>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.cursor.is_at_end() {
            return None;
        }
        let definition = self.definition();
        self.failed = definition.is_err();
        Some(definition)
    }
}
