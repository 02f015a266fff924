//! The reading half: what recovery finds in the segments, in the order in which it was written.
//!
//! A segment is walked once, which finds its records and what is damaged of it. Then as many threads as there are
//! targets read the records, each those of its share of the shards: what a shard wrote stays in order, and the shards
//! have no series in common. The next segment begins when all are done.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crossbeam::channel::bounded;
use storage_format::frame::{Event, FileKind, Reader};
use storage_format::histogram::Histogram;
use storage_format::{Corruption, FileType, version_of};

use super::super::{RecoveryProgress, StorageError};
use super::records::{Decoded, Record, ShareReplay};
use super::{EndedSegment, last_sequence, segment_path, sequence_of};
use crate::disk::{Disk, DiskError, FileBytes};
use crate::model::{Labels, SeriesRef, TimeRange};

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

/// Who takes what is read of some shards, in the order in which these wrote it.
pub(in crate::storage) trait ReplayTarget: Send {
    /// A series that samples behind it will name by the returned ref.
    fn series(&mut self, labels: Labels) -> SeriesRef;
    /// The samples of one record.
    fn samples(&mut self, rows: &[(SeriesRef, i64, f64)]);
    /// As [`ReplayTarget::samples`], of samples whose time was in a block already when they came.
    fn belated(&mut self, rows: &[(SeriesRef, i64, f64)]);
    /// Histograms whose markers are told behind them.
    fn histograms(&mut self, rows: &[(SeriesRef, i64, Histogram)]);
    /// What these series were given so far in this range is deleted.
    fn delete(&mut self, series: &[SeriesRef], range: TimeRange);
}

/// A reserve of more zeros than these, behind what a killed process wrote, is given back.
const RESERVE_KEPT_BYTES: u64 = 1 << 20;

/// Segments with fewer bytes are read on one thread: more would take longer to start than to read.
const PARALLEL_BYTES_MIN: usize = 1 << 20;
/// Bytes of records behind which what was read of a segment is let go of.
const HELD_BYTES_MAX: usize = 4 << 20;
/// Records that are decoded ahead of the one that is applied, at most.
const DECODED_AHEAD: usize = 16;

/// Fails if a segment is of a newer format than this program writes. Changes nothing.
pub(in crate::storage) fn refuse_newer(disk: &dyn Disk, folder: &Path) -> Result<(), StorageError> {
    let names = match disk.list(folder) {
        Err(error) if error.is_not_found() => return Ok(()),
        names => names?,
    };
    for sequence in names.iter().filter_map(|name| sequence_of(name)) {
        let file = segment_path(folder, sequence);
        if let Some((FileType::Log, version)) = version_of(&disk.read(&file)?)
            && version > FileType::Log.version()
        {
            return Err(StorageError::NewerFormat { file, version, version_max: FileType::Log.version() });
        }
    }
    Ok(())
}

/// Reads all segments in order, the records of shard n to the target n, modulo their number. Changes nothing that was
/// written. Damage is skipped and told, never fatal.
pub(in crate::storage) fn replay<T: ReplayTarget>(
    disk: &dyn Disk,
    folder: &Path,
    targets: &mut [T],
    progress: &RecoveryProgress,
) -> Result<Replayed, DiskError> {
    let mut found = Replayed::default();
    let names = disk.list(folder)?;
    found.last_sequence = last_sequence(&names);
    let mut sequences: Vec<u32> = names.iter().filter_map(|name| sequence_of(name)).collect();
    sequences.sort_unstable();
    progress.segments_total.store(sequences.len() as u64, Ordering::Relaxed);
    disk.will_read(&sequences.iter().map(|sequence| segment_path(folder, *sequence)).collect::<Vec<_>>());
    for (index, &sequence) in sequences.iter().enumerate() {
        let path = segment_path(folder, sequence);
        let ended_in_order = sequences.get(index + 1) == Some(&(sequence + 1));
        let bytes = disk.read(&path)?;
        let mut walked = walk(&bytes, ended_in_order);
        let file_bytes = bytes.len() as u64;
        if bytes.is_damaged() {
            // Its zeros look like the end of the records, which it need not be.
            walked.end = None;
            walked.damage.push((0, "the disk cannot read a part of the segment, or somebody shortened it".to_owned()));
        }
        let end = walked.end;
        bytes.forget();
        let segment = read_records(&bytes, walked, (sequence, &path), targets, progress, &mut found);
        found.segments.push(segment);
        drop(bytes); // the mapping
        progress.segments_done.fetch_add(1, Ordering::Relaxed);
        progress.bytes.fetch_add(end.unwrap_or(file_bytes), Ordering::Relaxed);
        // Only where the reader found the end of the last record: a record may end in zeros of its own. A segment that
        // ended in order gave its reserve back then, and a snapshot may share its file.
        if !ended_in_order
            && let Some(written_bytes) = end
            && file_bytes - written_bytes > RESERVE_KEPT_BYTES
            && let Err(error) = disk.shorten(&path, written_bytes)
        {
            tracing::warn!(%error, "a killed process's reserve is not given back");
        }
    }
    Ok(found)
}

/// The records of a segment, and what is wrong with the rest of it.
#[derive(Default)]
struct Walked<'a> {
    records: Vec<Record<'a>>,
    damage: Vec<(u64, String)>,
    /// From where on nothing was on disk for certain, and so nothing was acknowledged, in a segment that its process
    /// did not end in order.
    torn_from: Option<u64>,
    /// Where the last record ends, if nothing but zeros is behind it.
    end: Option<u64>,
}

fn walk(bytes: &[u8], ended_in_order: bool) -> Walked<'_> {
    let mut walked = Walked::default();
    let mut hint = "";
    let events = match Reader::open(bytes) {
        Ok((header, events)) if header.kind == FileKind::Log => {
            if header.version == 1 && !ended_in_order {
                hint = " (or a write that was cut off before it was answered)";
            }
            events
        }
        Ok(_) => {
            walked.damaged(Corruption { offset: 0, what: "the file is no log segment" });
            return walked;
        }
        // Created and never finished: what is acknowledged comes behind a synced header.
        Err(_) if !ended_in_order && !holds_records(bytes) => return walked,
        Err(damage) => {
            walked.damaged(damage);
            Reader::without_header(bytes)
        }
    };
    for event in events {
        match event {
            Event::Record { offset, kind, shard, payload, .. } => {
                walked.records.push(Record { offset, kind, shard, payload });
            }
            Event::Damage { from, may_be_torn: true, .. } if !ended_in_order => {
                walked.torn_from.get_or_insert(from);
            }
            Event::Damage { from, to, what, .. } => {
                walked.damage.push((from, format!("bytes {from} to {to}: {what}{hint}")));
            }
            Event::TornTail { from } if ended_in_order => {
                walked.damage.push((from, format!("byte {from}: the segment ends in the middle")));
            }
            Event::TornTail { .. } => {}
            Event::End { offset } => walked.end = Some(offset),
        }
    }
    walked
}

impl Walked<'_> {
    fn damaged(&mut self, damage: Corruption) {
        self.damage.push((damage.offset, damage.to_string()));
    }
}

/// Gives each target its share of the records.
fn read_records<T: ReplayTarget>(
    bytes: &FileBytes,
    walked: Walked<'_>,
    (sequence, path): (u32, &Path),
    targets: &mut [T],
    progress: &RecoveryProgress,
    found: &mut Replayed,
) -> EndedSegment {
    let Walked { records, mut damage, torn_from, .. } = walked;
    let share_count = targets.len();
    let payload_bytes: usize = records.iter().map(|record| record.payload.len()).sum();
    let read_share = |(share, target): (usize, &mut T)| {
        let mut replay = ShareReplay::new(torn_from);
        let own = records.iter().filter(|record| usize::from(record.shard) % share_count == share);
        let mut held_bytes = 0;
        let mut apply = |record: &Record<'_>, decoded: &Decoded| {
            let samples_before = replay.sample_count;
            replay.record(record, decoded, target);
            progress.samples.fetch_add(replay.sample_count - samples_before, Ordering::Relaxed);
            held_bytes += record.payload.len();
            if held_bytes >= HELD_BYTES_MAX {
                held_bytes = 0;
                bytes.forget();
            }
        };
        if payload_bytes < PARALLEL_BYTES_MIN {
            own.for_each(|record| apply(record, &Decoded::of(record, None)));
        } else {
            decode_ahead(own, &mut apply);
        }
        replay
    };
    let shares: Vec<ShareReplay> = if payload_bytes < PARALLEL_BYTES_MIN {
        targets.iter_mut().enumerate().map(read_share).collect()
    } else {
        std::thread::scope(|scope| {
            let read_share = &read_share;
            let threads: Vec<_> =
                targets.iter_mut().enumerate().map(|share| scope.spawn(move || read_share(share))).collect();
            threads.into_iter().map(|thread| thread.join().expect("reading the log does not panic")).collect()
        })
    };
    let mut segment = EndedSegment { sequence, newest_ms: i64::MIN, holds_belated: false, damaged: false };
    for share in shares {
        segment.newest_ms = segment.newest_ms.max(share.newest_ms);
        segment.holds_belated |= share.holds_belated;
        found.sample_count += share.sample_count;
        damage.extend(share.damage.into_iter().map(|damage| (damage.offset, damage.to_string())));
    }
    damage.sort();
    segment.damaged = !damage.is_empty();
    found.damage.extend(damage.into_iter().map(|(_, what)| format!("{} {what}", path.display())));
    if let Some(from) = torn_from {
        tracing::info!(file = %path.display(), from, "the last write was cut off before it was answered");
    }
    segment
}

/// Decodes the records on a thread of its own, some ahead of the one that is applied.
fn decode_ahead<'r>(
    records: impl Iterator<Item = &'r Record<'r>> + Send,
    apply: &mut dyn FnMut(&Record<'_>, &Decoded),
) {
    let (to_apply, decoded) = bounded(DECODED_AHEAD);
    let (give_back, rooms) = bounded(DECODED_AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for record in records {
                if to_apply.send((record, Decoded::of(record, rooms.try_recv().ok()))).is_err() {
                    return;
                }
            }
        });
        for (record, decoded) in decoded {
            apply(record, &decoded);
            // With enough of them under way already, this one goes.
            let _ = give_back.try_send(decoded);
        }
    });
}

fn holds_records(bytes: &[u8]) -> bool {
    Reader::without_header(bytes).any(|event| matches!(event, Event::Record { .. }))
}

/// The segments, as files, for whoever wants to link to them.
pub(super) fn paths(folder: &Path, segments: &[EndedSegment]) -> Vec<PathBuf> {
    segments.iter().map(|segment| segment_path(folder, segment.sequence)).collect()
}
