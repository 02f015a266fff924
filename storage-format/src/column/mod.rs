//! Columns: the values of one series in one group, as few bits as they need. (Chapter to come: `spec/column.md`.)

use crate::Corruption;
use crate::bytes::Cursor;

/// Samples in one column at most.
pub const SAMPLES_MAX: usize = 4096;

/// How a value comes from its whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scale {
    /// The integer is the 64 bits themselves.
    #[default]
    Raw,
}

/// How much work a column may cost its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// A block cut from the head: quick to write, quickest to read.
    Fresh,
    /// A compacted block: smallest.
    Compact,
}

/// A column's values as whole numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    /// One a sample.
    pub integers: Vec<i64>,
    /// How the values come from them.
    pub scale: Scale,
}

impl Numbers {
    /// Takes these values; `hint` is the scale that an earlier column of the series had.
    pub fn read(&mut self, values: &[f64], hint: Option<Scale>) {
        let _ = hint;
        self.integers.clear();
        self.integers.extend(values.iter().map(|value| value.to_bits() as i64));
        self.scale = Scale::Raw;
    }

    /// Appends the values, the same 64 bits each.
    pub fn append_values(&self, values: &mut Vec<f64>) {
        values.extend(self.integers.iter().map(|integer| f64::from_bits(*integer as u64)));
    }
}

/// Writes columns; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub struct Encoder {}

impl Encoder {
    /// Appends one column. With a reference, the integers of another column of equal length, it may tell this one by how
    /// it differs from that one.
    pub fn encode(&mut self, numbers: &Numbers, effort: Effort, reference: Option<&[i64]>, out: &mut Vec<u8>) {
        let _ = (effort, reference);
        for integer in &numbers.integers {
            out.extend_from_slice(&integer.to_le_bytes());
        }
    }
}

/// Reads columns; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub struct Decoder {}

impl Decoder {
    /// Reads a column of `count` samples that is exactly these bytes.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        count: usize,
        reference: Option<&[i64]>,
        numbers: &mut Numbers,
    ) -> Result<(), Corruption> {
        let _ = reference;
        numbers.integers.clear();
        let mut cursor = Cursor::new(bytes);
        for _ in 0..count {
            numbers.integers.push(cursor.i64()?);
        }
        cursor.expect_end()
    }

    /// The same, appending the values; on damage they are as before.
    pub fn decode_values(
        &mut self,
        bytes: &[u8],
        count: usize,
        reference: Option<&[i64]>,
        values: &mut Vec<f64>,
    ) -> Result<(), Corruption> {
        let mut numbers = Numbers::default();
        self.decode(bytes, count, reference, &mut numbers)?;
        numbers.append_values(values);
        Ok(())
    }
}
