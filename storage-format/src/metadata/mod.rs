#![doc = include_str!("../../spec/metadata.md")]

#[cfg(test)]
mod tests;

use crate::Corruption;
use crate::bytes::{Cursor, append_u32_text};

/// Kind of a record that holds a [`Family`].
pub const KIND_FAMILY: u8 = 1;
/// Kind of the last record.
pub const KIND_END: u8 = 2;
/// Types of metrics that the chapter lists.
pub const TYPES_COUNT: u8 = 8;

/// What is known of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family<'a> {
    /// Its name, not empty.
    pub name: &'a str,
    /// Its type by the chapter's table, below [`TYPES_COUNT`].
    pub metric_type: u8,
    /// What it means, for people; empty if nobody told.
    pub help: &'a str,
    /// What it counts in; empty if nobody told.
    pub unit: &'a str,
}

impl<'a> Family<'a> {
    /// Appends the payload of a record of [`KIND_FAMILY`]. Panics on a type that the chapter does not list.
    pub fn encode(&self, out: &mut Vec<u8>) {
        assert!(self.metric_type < TYPES_COUNT && !self.name.is_empty(), "{self:?}");
        append_u32_text(out, self.name);
        out.push(self.metric_type);
        append_u32_text(out, self.help);
        append_u32_text(out, self.unit);
    }

    /// Reads the payload of a record of [`KIND_FAMILY`].
    pub fn decode(payload: &'a [u8]) -> Result<Family<'a>, Corruption> {
        let mut cursor = Cursor::new(payload);
        let name = cursor.u32_text()?;
        if name.is_empty() {
            return Err(Corruption::at(0, "a family has no name"));
        }
        let at = cursor.position();
        let metric_type = cursor.u8()?;
        if metric_type >= TYPES_COUNT {
            return Err(Corruption::at(at, "a type of metric that the chapter does not list"));
        }
        let family = Family { name, metric_type, help: cursor.u32_text()?, unit: cursor.u32_text()? };
        cursor.expect_end()?;
        Ok(family)
    }
}

/// Appends the payload of a record of [`KIND_END`].
pub fn encode_end(family_count: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&family_count.to_le_bytes());
}

/// Reads the payload of a record of [`KIND_END`]: how many families stand before it.
pub fn decode_end(payload: &[u8]) -> Result<u32, Corruption> {
    let mut cursor = Cursor::new(payload);
    let family_count = cursor.u32()?;
    cursor.expect_end()?;
    Ok(family_count)
}
