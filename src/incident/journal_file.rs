//! One file of the journal: incidents and changes as `storage-format` writes them.

use std::path::Path;
use std::sync::Arc;

use storage_format::frame::{Event, FileHeader, FileKind, Reader, append_record};
use storage_format::incidents as format;

use super::change::Entry;
use super::record::Incident;
use crate::disk::{Disk, DiskError, DiskFile};
use crate::model::Labels;

/// What a file says, one thing after the other.
pub(super) enum Record {
    Incident(Incident),
    Change(Entry),
}

/// Writes one file, record by record.
pub(super) struct Writer {
    file: Box<dyn DiskFile>,
    name: String,
    length: u64,
    chain: u32,
}

impl Writer {
    /// Writes a whole new file with these incidents, syncs and names it, and reads it back. Until the name is given
    /// nobody sees it.
    pub(super) fn create(
        disk: &dyn Disk,
        folder: &Path,
        name: &str,
        sequence: u32,
        now_ms: i64,
        incidents: &[Arc<Incident>],
    ) -> Result<Writer, DiskError> {
        let path = folder.join(name);
        let temporary = path.with_extension("tmp");
        let salt = Labels::hash_bytes(format!("incidents {sequence} {now_ms}").as_bytes()) as u32;
        let header = FileHeader::new(FileKind::Incidents, sequence, now_ms, salt);
        let mut bytes = header.encode().to_vec();
        let mut chain = header.chain_start();
        for incident in incidents {
            let body = serde_json::to_string(&**incident).expect("a record has only names that are texts");
            let entry = format::Entry { id: &incident.id, at_ms: incident.changed_ms, body: &body };
            chain = append(&mut bytes, format::KIND_INCIDENT, chain, &entry);
        }
        let file = disk.create(&temporary, 0)?;
        file.write_at(0, &bytes)?;
        file.sync()?;
        disk.rename(&temporary, &path)?;
        disk.sync_folder(folder)?;
        if *disk.read(&path)? != *bytes {
            let what = std::io::Error::other("other bytes than were written");
            return Err(DiskError::new("read back what was written to", &path, what));
        }
        Ok(Writer { file, name: name.to_owned(), length: bytes.len() as u64, chain })
    }

    /// Puts changes behind the others, and syncs.
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), DiskError> {
        let mut bytes = Vec::new();
        for Entry { id, at_ms, change } in entries {
            let body = serde_json::to_string(change).expect("a change has only names that are texts");
            let entry = format::Entry { id, at_ms: *at_ms, body: &body };
            self.chain = append(&mut bytes, format::KIND_CHANGE, self.chain, &entry);
        }
        self.file.write_at(self.length, &bytes)?;
        self.length += bytes.len() as u64;
        self.file.sync()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

fn append(bytes: &mut Vec<u8>, kind: u8, chain: u32, entry: &format::Entry<'_>) -> u32 {
    let mut payload = Vec::new();
    entry.encode(&mut payload);
    append_record(bytes, kind, 0, chain, &payload)
}

/// All records of a file that can be read, and what could not: one line each, with the offset.
///
/// An unfinished end is not damage: it is what a power cut leaves of records that were not synced.
pub(super) fn read_records(bytes: &[u8]) -> (Vec<Record>, Vec<String>) {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    let reader = match Reader::open(bytes) {
        Ok((header, _)) if header.kind != FileKind::Incidents => {
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
                tracing::info!(from, "the journal of incidents ends in an unfinished record: not synced, left off")
            }
            Event::End { .. } => {}
        }
    }
    (records, damage)
}

fn decode(kind: u8, payload: &[u8]) -> Result<Record, String> {
    let entry = format::Entry::decode(payload).map_err(|corruption| format!("its payload {corruption}"))?;
    let (id, at_ms) = (entry.id.to_owned(), entry.at_ms);
    let not_ours = |error: serde_json::Error| format!("its body is not ours: {error}");
    match kind {
        format::KIND_INCIDENT => {
            let incident: Incident = serde_json::from_str(entry.body).map_err(not_ours)?;
            Ok(Record::Incident(Incident { id, changed_ms: at_ms, ..incident }))
        }
        format::KIND_CHANGE => {
            Ok(Record::Change(Entry { id, at_ms, change: serde_json::from_str(entry.body).map_err(not_ours)? }))
        }
        _ => Err(format!("{kind} is no kind of record of incidents")),
    }
}
