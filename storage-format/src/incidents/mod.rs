#![doc = include_str!("../../spec/incidents.md")]

#[cfg(test)]
mod tests;

use crate::Corruption;
use crate::bytes::{Cursor, append_u32_text};

/// Kind of a record that holds an incident as a whole.
pub const KIND_INCIDENT: u8 = 1;
/// Kind of a record that holds a change of an incident.
pub const KIND_CHANGE: u8 = 2;

/// What a record says of one incident, be it all or a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Id of the incident.
    pub id: &'a str,
    /// When it happened, ms since 1970 UTC.
    pub at_ms: i64,
    /// JSON.
    pub body: &'a str,
}

impl<'a> Entry<'a> {
    /// Appends the payload of a record of [`KIND_INCIDENT`] or [`KIND_CHANGE`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        append_u32_text(out, self.id);
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        append_u32_text(out, self.body);
    }

    /// Reads the payload of a record of [`KIND_INCIDENT`] or [`KIND_CHANGE`].
    pub fn decode(payload: &'a [u8]) -> Result<Entry<'a>, Corruption> {
        let mut cursor = Cursor::new(payload);
        let entry = Entry { id: cursor.u32_text()?, at_ms: cursor.i64()?, body: cursor.u32_text()? };
        cursor.expect_end()?;
        Ok(entry)
    }
}
