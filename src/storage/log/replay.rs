//! The reading half: what recovery finds in the segments, in the order in which it was written.

use std::path::Path;

use hashbrown::HashMap;
use storage_format::frame::{Event, FileKind, Reader};
use storage_format::{Corruption, log};

use super::{EndedSegment, last_sequence, segment_path, sequence_of};
use crate::disk::{Disk, DiskError};
use crate::model::{Labels, SeriesRef};

/// What a replay came across.
#[derive(Debug, Default)]
pub(in crate::storage) struct Replayed {
    /// The segments, oldest first.
    pub(in crate::storage) segments: Vec<EndedSegment>,
    /// Highest number that is taken, by a segment or by what was put aside.
    pub(in crate::storage) last_sequence: u32,
    /// Samples handed out.
    pub(in crate::storage) sample_count: u64,
    /// Records that could not be used, each with file and offset.
    pub(in crate::storage) damage: Vec<String>,
}

/// Who takes what is read.
pub(in crate::storage) trait ReplayTarget {
    /// There are so many segments to read.
    fn begin(&mut self, segment_count: usize);
    /// One of them was read.
    fn end_segment(&mut self);
    /// A series that samples behind it will name by the returned ref.
    fn series(&mut self, labels: Labels) -> SeriesRef;
    /// The samples of one record.
    fn samples(&mut self, rows: &[(SeriesRef, i64, f64)]);
}

/// A reserve of more zeros than these, behind what a killed process wrote, is given back.
const RESERVE_KEPT_BYTES: u64 = 1 << 20;

/// Reads all segments in order. Changes nothing that was written. Damage is skipped and told, never fatal.
pub(in crate::storage) fn replay(
    disk: &dyn Disk,
    folder: &Path,
    target: &mut dyn ReplayTarget,
) -> Result<Replayed, DiskError> {
    let mut found = Replayed::default();
    let names = disk.list(folder)?;
    found.last_sequence = last_sequence(&names);
    let mut sequences: Vec<u32> = names.iter().filter_map(|name| sequence_of(name)).collect();
    sequences.sort_unstable();
    target.begin(sequences.len());
    for (index, &sequence) in sequences.iter().enumerate() {
        let path = segment_path(folder, sequence);
        let bytes = disk.read(&path)?;
        let mut segment = SegmentReplay {
            path: &path,
            may_be_torn: sequences.get(index + 1) != Some(&(sequence + 1)),
            series: HashMap::new(),
            rows: Vec::new(),
            newest_ms: i64::MIN,
            is_damaged: false,
            end: None,
            found: &mut found,
        };
        segment.read(&bytes, target);
        if bytes.is_damaged() {
            // Its zeros look like the end of the records, which it need not be.
            segment.end = None;
            segment.note("the disk cannot read a part of the segment, or somebody shortened it".to_owned());
        }
        target.end_segment();
        let (newest_ms, damaged, end) = (segment.newest_ms, segment.is_damaged, segment.end);
        found.segments.push(EndedSegment { sequence, newest_ms, damaged });
        let file_bytes = bytes.len() as u64;
        drop(bytes); // the mapping
        // Only where the reader found the end of the last record: a record may end in zeros of its own.
        if let Some(written_bytes) = end
            && file_bytes - written_bytes > RESERVE_KEPT_BYTES
            && let Err(error) = disk.shorten(&path, written_bytes)
        {
            tracing::warn!(%error, "a killed process's reserve is not given back");
        }
    }
    Ok(found)
}

struct SegmentReplay<'a> {
    path: &'a Path,
    /// Whether it ended with its process, or with a failure, rather than in order.
    may_be_torn: bool,
    is_damaged: bool,
    /// Where the last record ends, if nothing but zeros is behind it.
    end: Option<u64>,
    /// The refs of this segment and what they are now.
    series: HashMap<u64, SeriesRef>,
    rows: Vec<(SeriesRef, i64, f64)>,
    newest_ms: i64,
    found: &'a mut Replayed,
}

impl SegmentReplay<'_> {
    fn read(&mut self, bytes: &[u8], target: &mut dyn ReplayTarget) {
        let events = match Reader::open(bytes) {
            Ok((header, events)) if header.kind == FileKind::Log => events,
            Ok(_) => return self.damaged(Corruption { offset: 0, what: "the file is no log segment" }),
            // Created and never finished: what is acknowledged comes behind a synced header.
            Err(_) if self.may_be_torn && !holds_records(bytes) => return,
            Err(damage) => {
                self.damaged(damage);
                Reader::without_header(bytes)
            }
        };
        for event in events {
            match event {
                Event::Record { offset, kind, payload, .. } => {
                    if let Err(damage) = self.record(kind, payload, target) {
                        self.damaged(damage.moved(offset));
                    }
                }
                Event::Damage { from, to, what } => {
                    let hint =
                        if self.may_be_torn { " (or a write that was cut off before it was answered)" } else { "" };
                    self.note(format!("bytes {from} to {to}: {what}{hint}"));
                }
                Event::TornTail { from } if !self.may_be_torn => {
                    self.note(format!("byte {from}: the segment ends in the middle"));
                }
                Event::TornTail { .. } => {}
                Event::End { offset } => self.end = Some(offset),
            }
        }
    }

    fn record(&mut self, kind: u8, payload: &[u8], target: &mut dyn ReplayTarget) -> Result<(), Corruption> {
        match kind {
            log::KIND_SERIES => {
                for definition in log::decode_series(payload) {
                    let definition = definition?;
                    match Labels::from_pairs(definition.labels.iter().copied()) {
                        Ok(labels) => {
                            let series = target.series(labels);
                            self.series.insert(definition.reference, series);
                        }
                        Err(_) => {
                            return Err(Corruption { offset: 0, what: "a series with labels that are not allowed" });
                        }
                    }
                }
                Ok(())
            }
            log::KIND_SAMPLES => {
                self.rows.clear();
                let mut unknown = 0_u64;
                let (rows, series, newest_ms) = (&mut self.rows, &self.series, &mut self.newest_ms);
                log::decode_samples(payload, |reference, timestamp_ms, value| {
                    *newest_ms = (*newest_ms).max(timestamp_ms);
                    match series.get(&reference) {
                        Some(series) => rows.push((*series, timestamp_ms, value)),
                        None => unknown += 1,
                    }
                })?;
                self.found.sample_count += self.rows.len() as u64;
                target.samples(&self.rows);
                if unknown > 0 {
                    return Err(Corruption { offset: 0, what: "samples whose series was defined in a damaged record" });
                }
                Ok(())
            }
            _ => Err(Corruption { offset: 0, what: "a record of an unknown kind" }),
        }
    }

    fn damaged(&mut self, damage: Corruption) {
        self.note(damage.to_string());
    }

    fn note(&mut self, what: String) {
        self.is_damaged = true;
        self.found.damage.push(format!("{} {what}", self.path.display()));
    }
}

fn holds_records(bytes: &[u8]) -> bool {
    Reader::without_header(bytes).any(|event| matches!(event, Event::Record { .. }))
}
