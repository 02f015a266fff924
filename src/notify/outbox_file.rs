//! One file of the outbox: the ledger's records as `storage-format` writes them.
//!
//! The bodies in them are JSON, see `outbox_body.rs`.

use std::path::Path;

use storage_format::frame::{Event, FileHeader, FileKind, Reader, append_record};

use super::ledger::Record;
use super::outbox_body::{decode, encode};
use crate::disk::{Disk, DiskError, DiskFile};
use crate::model::Labels;

/// Writes one file, record by record.
pub(crate) struct Writer {
    file: Box<dyn DiskFile>,
    name: String,
    length: u64,
    record_count: usize,
    chain: u32,
}

impl Writer {
    /// Writes a whole new file with these records, syncs and names it, and reads it back. Until the name is given
    /// nobody sees it.
    pub(crate) fn create(
        disk: &dyn Disk,
        folder: &Path,
        name: &str,
        sequence: u32,
        now_ms: i64,
        records: &[Record],
    ) -> Result<Writer, DiskError> {
        let path = folder.join(name);
        let temporary = path.with_extension("tmp");
        let salt = Labels::hash_bytes(format!("{sequence} {now_ms}").as_bytes()) as u32;
        let header = FileHeader::new(FileKind::Outbox, sequence, now_ms, salt);
        let file = disk.create(&temporary, 0)?;
        let mut writer =
            Writer { file, name: name.to_owned(), length: 0, record_count: 0, chain: header.chain_start() };
        writer.write(&header.encode())?;
        writer.append(records)?;
        writer.sync()?;
        disk.rename(&temporary, &path)?;
        disk.sync_folder(folder)?;
        let (read_back, damage) = read_records(&disk.read(&path)?);
        if read_back != records || !damage.is_empty() {
            let what = damage.into_iter().next().unwrap_or_else(|| "other records than were written".to_owned());
            return Err(DiskError::new("read back what was written to", &path, std::io::Error::other(what)));
        }
        Ok(writer)
    }

    /// Puts records behind the others. They are on disk after [`Writer::sync`].
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<(), DiskError> {
        let mut bytes = Vec::new();
        let mut payload = Vec::new();
        for record in records {
            payload.clear();
            let kind = encode(record, &mut payload);
            self.chain = append_record(&mut bytes, kind, 0, self.chain, &payload);
        }
        self.record_count += records.len();
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_at(self.length, bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        self.file.sync()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn record_count(&self) -> usize {
        self.record_count
    }
}

/// All records of a file that can be read, and what could not: one line each, with the offset.
///
/// An unfinished end is not damage: it is what a power cut leaves of records that were not synced.
pub(crate) fn read_records(bytes: &[u8]) -> (Vec<Record>, Vec<String>) {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    let reader = match Reader::open(bytes) {
        Ok((header, _)) if header.kind != FileKind::Outbox => {
            return (records, vec![format!("is of another kind: {:?}", header.kind)]);
        }
        Ok((_, reader)) => reader,
        Err(corruption) => {
            damage.push(format!("{corruption}; the records behind the header are read all the same"));
            Reader::without_header(bytes)
        }
    };
    let header_is_damaged = !damage.is_empty();
    for event in reader {
        match event {
            Event::Record { offset, kind, payload, chain_ok, .. } => {
                let is_first_without_header = header_is_damaged && records.is_empty();
                if !chain_ok && damage.is_empty() && !is_first_without_header {
                    damage.push(format!("at byte {offset}: records before this one are missing"));
                }
                match decode(kind, payload) {
                    Ok(record) => records.push(record),
                    Err(what) => damage.push(format!("at byte {offset}: {what}; the record is skipped")),
                }
            }
            Event::Damage { from, to, what, .. } => damage.push(format!("from byte {from} to {to}: {what}; skipped")),
            Event::TornTail { from } => {
                tracing::info!(from, "the outbox ends in an unfinished record: not synced, left off")
            }
            Event::End { .. } => {}
        }
    }
    (records, damage)
}
