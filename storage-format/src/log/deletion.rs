//! Records of kind 5: of which series, and from when to when, the samples before the record are deleted.

use crate::Corruption;
use crate::bytes::{Cursor, append_varint, append_zigzag};

/// Appends a payload of kind 5: the samples of these series from `from_ms` to `to_ms`, both included, are deleted.
pub fn append_deletion<R: Copy + Into<u64>>(out: &mut Vec<u8>, from_ms: i64, to_ms: i64, references: &[R]) {
    out.extend_from_slice(&from_ms.to_le_bytes());
    out.extend_from_slice(&to_ms.to_le_bytes());
    append_varint(out, references.len() as u64);
    let mut before = 0_u64;
    for reference in references {
        let reference = (*reference).into();
        append_zigzag(out, reference.wrapping_sub(before) as i64);
        before = reference;
    }
}

/// What a payload of kind 5 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// First moment that is deleted, ms since 1970 UTC.
    pub from_ms: i64,
    /// Last moment that is deleted.
    pub to_ms: i64,
    /// The series, in the order written.
    pub references: Vec<u64>,
}

/// Reads a payload of kind 5.
pub fn decode_deletion(payload: &[u8]) -> Result<Deletion, Corruption> {
    let mut cursor = Cursor::new(payload);
    let (from_ms, to_ms) = (cursor.i64()?, cursor.i64()?);
    let count = cursor.count(1)?;
    let mut reference = 0_u64;
    let references = (0..count)
        .map(|_| {
            reference = reference.wrapping_add(cursor.zigzag()? as u64);
            Ok(reference)
        })
        .collect::<Result<_, Corruption>>()?;
    cursor.expect_end()?;
    Ok(Deletion { from_ms, to_ms, references })
}
