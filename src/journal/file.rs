//! One file of a journal: a header and records, as `storage-format` frames them.

use std::path::{Path, PathBuf};

use storage_format::frame::{Event, FileHeader, RECORD_BYTES_MAX, Reader, append_record};

use super::Record;
use crate::disk::{Disk, DiskError, DiskFile};
use crate::model::Labels;

/// Writes one file, record by record.
pub(super) struct Writer {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    length: u64,
    record_count: usize,
    chain: u32,
}

impl Writer {
    /// Writes a whole new file with these records under the name `draft`, and syncs it; it will be called `path`. Gives its
    /// bytes too.
    pub(super) fn draft<R: Record>(
        disk: &dyn Disk,
        draft: &Path,
        path: &Path,
        sequence: u32,
        now_ms: i64,
        records: &[R],
    ) -> Result<(Writer, Vec<u8>), DiskError> {
        let salt = Labels::hash_bytes(format!("{sequence} {now_ms}").as_bytes()) as u32;
        let header = FileHeader::new(R::FILE_KIND, sequence, now_ms, salt);
        let mut bytes = header.encode().to_vec();
        let chain = encode(records, header.chain_start(), &mut bytes, path)?;
        let file = disk.create(draft, 0)?;
        file.write_at(0, &bytes)?;
        file.sync()?;
        let (length, record_count) = (bytes.len() as u64, records.len());
        Ok((Writer { file, path: path.to_owned(), length, record_count, chain }, bytes))
    }

    /// Puts records behind the others. They are on disk after [`Writer::sync`].
    pub(super) fn append<R: Record>(&mut self, records: &[R]) -> Result<(), DiskError> {
        let mut bytes = Vec::new();
        self.chain = encode(records, self.chain, &mut bytes, &self.path)?;
        self.file.write_at(self.length, &bytes)?;
        self.length += bytes.len() as u64;
        self.record_count += records.len();
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.file.sync()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn record_count(&self) -> usize {
        self.record_count
    }
}

/// Appends the records, framed, and returns the chain for the next one. One that is longer than a file may hold fails.
fn encode<R: Record>(records: &[R], mut chain: u32, bytes: &mut Vec<u8>, path: &Path) -> Result<u32, DiskError> {
    let mut payload = Vec::new();
    for record in records {
        payload.clear();
        let kind = record.encode(&mut payload);
        if payload.len() > RECORD_BYTES_MAX {
            let what = format!("it has {} bytes, and may have {RECORD_BYTES_MAX}", payload.len());
            return Err(DiskError::new("write a record to", path, std::io::Error::other(what)));
        }
        chain = append_record(bytes, kind, 0, chain, &payload);
    }
    Ok(chain)
}

/// All records of a file that can be read, and what could not: one line each, with the offset.
///
/// An unfinished end is not damage: it is what a power cut leaves of records that were not synced.
pub(super) fn read_records<R: Record>(bytes: &[u8]) -> (Vec<R>, Vec<String>) {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    let reader = match Reader::open(bytes) {
        Ok((header, _)) if header.kind != R::FILE_KIND => {
            return (records, vec![format!("is of another kind: {:?}", header.kind)]);
        }
        Ok((_, reader)) => reader,
        Err(corruption) => {
            damage.push(format!("{corruption}; the records behind the header are read all the same"));
            Reader::without_header(bytes)
        }
    };
    for event in reader {
        match event {
            Event::Record { offset, kind, payload, chain_ok, .. } => {
                // Behind other damage a broken chain says nothing new.
                if !chain_ok && damage.is_empty() {
                    damage.push(format!("at byte {offset}: records before this one are missing"));
                }
                match R::decode(kind, payload) {
                    Ok(record) => records.push(record),
                    Err(what) => damage.push(format!("at byte {offset}: {what}; the record is skipped")),
                }
            }
            Event::Damage { from, to, what, .. } => damage.push(format!("from byte {from} to {to}: {what}; skipped")),
            Event::TornTail { from } => {
                tracing::info!(from, "{} ends in an unfinished record: not synced, left off", R::JOURNAL);
            }
            Event::End { .. } => {}
        }
    }
    (records, damage)
}
