//! One file of the outbox: the ledger's records as `storage-format` writes them.
//!
//! The alert stands in a notification's body as JSON, in Alertmanager's names, with the receivers it is meant for:
//! `{"labels":{…},"annotations":{…},"generatorURL":"…","receivers":["pager"]}`. What is sent is made from it for each
//! receiver, see `payload.rs`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage_format::frame::{Event, FileHeader, FileKind, Reader, append_record};
use storage_format::outbox as format;

use super::alert::{Alert, Status};
use super::ledger::{Notification, Outcome, Record, Verdict};
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

#[derive(Serialize, Deserialize)]
struct Body {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    receivers: Vec<String>,
}

/// Appends the payload and returns its kind.
fn encode(record: &Record, payload: &mut Vec<u8>) -> u8 {
    match record {
        Record::Notification(notification) => {
            encode_notification(notification, payload);
            format::KIND_NOTIFICATION
        }
        Record::Outcome(outcome) => encode_outcome(outcome, payload),
    }
}

fn encode_notification(notification: &Notification, payload: &mut Vec<u8>) {
    let alert = &notification.alert;
    let body = Body {
        labels: alert.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        annotations: alert.annotations.iter().cloned().collect(),
        generator_url: alert.generator_url.clone(),
        receivers: notification.receivers.clone(),
    };
    let record = format::Notification {
        id: &notification.id,
        fingerprint: alert.fingerprint(),
        status: match alert.status() {
            Status::Firing => format::Status::Firing,
            Status::Resolved => format::Status::Resolved,
        },
        starts_at_ms: alert.starts_at_ms,
        ends_at_ms: alert.ends_at_ms.unwrap_or(0),
        created_ms: notification.enqueued_at_ms,
        body: &serde_json::to_string(&body).expect("maps of strings are always JSON"),
    };
    record.encode(payload);
}

fn encode_outcome(outcome: &Outcome, payload: &mut Vec<u8>) -> u8 {
    let (id, receiver, at_ms) = (outcome.id.as_str(), outcome.receiver.as_str(), outcome.at_ms);
    match &outcome.verdict {
        Verdict::Delivered { receiver_index, http_status } => {
            let (receiver_index, http_status) = (*receiver_index, *http_status);
            format::Delivered { id, receiver_index, receiver, at_ms, http_status }.encode(payload);
            format::KIND_DELIVERED
        }
        Verdict::GivenUp { reason } => {
            format::GivenUp { id, receiver, at_ms, reason }.encode(payload);
            format::KIND_GIVEN_UP
        }
    }
}

fn decode(kind: u8, payload: &[u8]) -> Result<Record, String> {
    let corrupt = |corruption: storage_format::Corruption| format!("its payload {corruption}");
    match kind {
        format::KIND_NOTIFICATION => decode_notification(&format::Notification::decode(payload).map_err(corrupt)?),
        format::KIND_DELIVERED => {
            let format::Delivered { id, receiver_index, receiver, at_ms, http_status } =
                format::Delivered::decode(payload).map_err(corrupt)?;
            let verdict = Verdict::Delivered { receiver_index, http_status };
            Ok(Record::Outcome(Outcome { id: id.to_owned(), receiver: receiver.to_owned(), at_ms, verdict }))
        }
        format::KIND_GIVEN_UP => {
            let format::GivenUp { id, receiver, at_ms, reason } = format::GivenUp::decode(payload).map_err(corrupt)?;
            let verdict = Verdict::GivenUp { reason: reason.to_owned() };
            Ok(Record::Outcome(Outcome { id: id.to_owned(), receiver: receiver.to_owned(), at_ms, verdict }))
        }
        _ => Err(format!("{kind} is no kind of outbox record")),
    }
}

fn decode_notification(record: &format::Notification<'_>) -> Result<Record, String> {
    let body: Body = serde_json::from_str(record.body).map_err(|error| format!("its body is not ours: {error}"))?;
    let labels = Labels::from_pairs(&body.labels).map_err(|error| format!("its labels: {error}"))?;
    let alert = Alert {
        labels,
        annotations: body.annotations.into_iter().collect(),
        starts_at_ms: record.starts_at_ms,
        ends_at_ms: (record.status == format::Status::Resolved).then_some(record.ends_at_ms),
        generator_url: body.generator_url,
    };
    if alert.fingerprint() != record.fingerprint {
        return Err("its labels are not those of its fingerprint".to_owned());
    }
    Ok(Record::Notification(Arc::new(Notification {
        id: record.id.to_owned(),
        alert,
        enqueued_at_ms: record.created_ms,
        receivers: body.receivers,
    })))
}
