//! The reading half: what recovery finds in the segments, in the order in which it was written.

use std::path::Path;

use hashbrown::HashMap;
use storage_format::frame::{Event, FileKind, Reader};
use storage_format::{Corruption, log};

use super::{segment_path, sequence_of};
use crate::disk::{Disk, DiskError};
use crate::model::{Labels, SeriesRef};

/// What a replay came across.
#[derive(Debug, Default)]
pub(in crate::storage) struct Replayed {
    /// The segments: number and newest sample.
    pub(in crate::storage) segments: Vec<(u32, i64)>,
    /// Samples handed out.
    pub(in crate::storage) sample_count: u64,
    /// Records that could not be used, each with file and offset.
    pub(in crate::storage) damage: Vec<String>,
}

/// Who takes what is read.
pub(in crate::storage) trait ReplayTarget {
    /// A series that samples behind it will name by the returned ref.
    fn series(&mut self, labels: Labels) -> SeriesRef;
    /// The samples of one record.
    fn samples(&mut self, rows: &[(SeriesRef, i64, f64)]);
}

/// Reads all segments in order. Changes nothing on the disk. Damage is skipped and told, never fatal.
pub(in crate::storage) fn replay(
    disk: &dyn Disk,
    folder: &Path,
    target: &mut dyn ReplayTarget,
) -> Result<Replayed, DiskError> {
    let mut found = Replayed::default();
    let mut sequences: Vec<u32> = disk.list(folder)?.iter().filter_map(|name| sequence_of(name)).collect();
    sequences.sort_unstable();
    let last = sequences.last().copied();
    for sequence in sequences {
        let path = segment_path(folder, sequence);
        let bytes = disk.read(&path)?;
        let mut segment = SegmentReplay {
            path: &path,
            is_last: Some(sequence) == last,
            series: HashMap::new(),
            rows: Vec::new(),
            newest_ms: i64::MIN,
            found: &mut found,
        };
        segment.read(&bytes, target);
        let newest_ms = segment.newest_ms;
        found.segments.push((sequence, newest_ms));
    }
    Ok(found)
}

struct SegmentReplay<'a> {
    path: &'a Path,
    is_last: bool,
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
            Err(_) if self.is_last && bytes.iter().all(|byte| *byte == 0) => return, // created, never written
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
                    let text = format!("{} bytes {from} to {to}: {what}", self.path.display());
                    self.found.damage.push(text);
                }
                Event::TornTail { from } if !self.is_last => {
                    let text = format!("{} byte {from}: the segment ends in the middle", self.path.display());
                    self.found.damage.push(text);
                }
                Event::TornTail { .. } | Event::End { .. } => {}
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
        self.found.damage.push(format!("{} {damage}", self.path.display()));
    }
}
