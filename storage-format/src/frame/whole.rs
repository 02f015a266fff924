//! Files that are replaced as a whole: what is read of one is all of it, or an error.

use super::{Event, FileHeader, FileKind, Reader, append_record};
use crate::Corruption;

/// The bytes of a file that has these records, each a kind and a payload, in shard 0.
pub fn encode_whole(
    kind: FileKind,
    created_ms: i64,
    records: impl IntoIterator<Item = (u8, impl AsRef<[u8]>)>,
) -> Vec<u8> {
    // Nothing hangs on the salt but that an older file's records do not continue this one's chain.
    let header = FileHeader::new(kind, 0, created_ms.max(0), created_ms as u32);
    let mut bytes = header.encode().to_vec();
    let mut chain = header.chain_start();
    for (record_kind, payload) in records {
        chain = append_record(&mut bytes, record_kind, 0, chain, payload.as_ref());
    }
    bytes
}

/// Kinds and payloads of all records of such a file. That none is missing at its end is for the caller to see.
pub fn decode_whole(bytes: &[u8], kind: FileKind) -> Result<Vec<(u8, &[u8])>, Corruption> {
    let (header, reader) = Reader::open(bytes)?;
    if header.kind != kind {
        return Err(Corruption { offset: 0, what: "the file is of another kind" });
    }
    let mut records = Vec::new();
    for event in reader {
        match event {
            Event::Record { kind, payload, chain_ok: true, .. } => records.push((kind, payload)),
            Event::Record { offset, .. } => return Err(Corruption { offset, what: "the record is not in its place" }),
            Event::Damage { from, what, .. } => return Err(Corruption { offset: from, what }),
            Event::TornTail { from } => return Err(Corruption { offset: from, what: "the file ends within a record" }),
            Event::End { .. } => break,
        }
    }
    Ok(records)
}
