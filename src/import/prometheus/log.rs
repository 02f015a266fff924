//! The log of a Prometheus: what is not in blocks yet, and some of what is.
//!
//! ```text
//! data/wal/checkpoint.00000003/00000000   what counted of the segments up to 3 when those were removed
//! data/wal/00000004 …                     everything since
//! data/wbl/00000000 …                     samples that came late
//! ```
//!
//! It is read in this order, record by record. As at a start of Prometheus, samples of `wal` from before the end of the newest block
//! do not count: they are in a block, or were deleted there. The chunks of `chunks_head` are another form of the same
//! samples: the log keeps a sample until it is in a block. A late sample may lie in both `wal` and `wbl`; then it is sent
//! twice, and is one.
//!
//! Two walks: the first finds what was deleted, the second gives the samples that were not.

use std::path::{Path, PathBuf};

use hashbrown::HashMap;

use super::super::ImportError;
use super::super::batch::Batch;
use super::super::sample::AnySample;
use super::record::{self, Record};
use super::segment::{CUT_OFF, SegmentReader};
use super::tombstones::{Tombstones, is_deleted, settle};
use crate::disk::{Disk, FileBytes};
use crate::model::{HistogramError, Labels, METRIC_NAME};

struct Segment {
    path: PathBuf,
    file: FileBytes,
    /// Samples before this do not count.
    from_ms: i64,
}

/// The segments of a log, and how far into them we are.
pub(super) struct Log {
    segments: Vec<Segment>,
    tombstones: Tombstones,
    exemplar_count: u64,
    /// Segments that end within a record.
    cut: Vec<PathBuf>,
    /// What series may be sent as, or why not.
    series: HashMap<u64, Result<Labels, String>>,
    /// Segments that are done.
    segments_done: usize,
    reader: SegmentReader,
    /// Records that are done, of all segments.
    pub(super) records_done: u64,
}

impl Log {
    /// Opens the log in a data folder, if there is one. `blocks_end_ms`: when the newest of its blocks ends.
    pub(super) fn open(folder: &Path, blocks_end_ms: i64, disk: &dyn Disk) -> Result<Option<Log>, ImportError> {
        let mut segments = Vec::new();
        for (path, from_ms) in segment_paths(folder, blocks_end_ms, disk)? {
            let file = disk.read(&path)?;
            segments.push(Segment { path, file, from_ms });
        }
        if segments.is_empty() {
            return Ok(None);
        }
        let mut log = Log {
            segments,
            tombstones: Tombstones::new(),
            exemplar_count: 0,
            cut: Vec::new(),
            series: HashMap::new(),
            segments_done: 0,
            reader: SegmentReader::default(),
            records_done: 0,
        };
        log.look_through();
        Ok(Some(log))
    }

    /// The first walk. What cannot be read is told by the second.
    fn look_through(&mut self) {
        for segment in &self.segments {
            let mut reader = SegmentReader::default();
            loop {
                match reader.next(&segment.file) {
                    Ok(Some(record)) => match Record::of(record) {
                        Record::Tombstones(body) => {
                            let _ = record::each_tombstone(body, |reference, range| {
                                self.tombstones.entry(reference).or_default().push(range);
                            });
                        }
                        Record::Exemplars(body) => {
                            self.exemplar_count += record::count_exemplars(body).unwrap_or(0);
                        }
                        _ => {}
                    },
                    Err((_, CUT_OFF)) => {
                        self.cut.push(segment.path.clone());
                        break;
                    }
                    Ok(None) | Err(_) => break,
                }
            }
        }
        settle(&mut self.tombstones);
    }

    /// Adds records to the batch until it is full. Says whether there may be more.
    pub(super) fn fill(&mut self, batch: &mut Batch, records_max: usize) -> Result<bool, ImportError> {
        for _ in 0..records_max {
            if batch.is_full() {
                break;
            }
            if !self.read_record(true, batch)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes on behind so many records. Says whether there are so many.
    pub(super) fn go_to(&mut self, records: u64) -> Result<bool, ImportError> {
        let mut done = Batch::default();
        while self.records_done < records {
            if !self.read_record(false, &mut done)? {
                return Ok(false);
            }
            done.take_refused();
        }
        Ok(true)
    }

    /// Reads the next record, and gives its samples if they are wanted: else only its series. Says whether there was one.
    fn read_record(&mut self, is_wanted: bool, batch: &mut Batch) -> Result<bool, ImportError> {
        while let Some(segment) = self.segments.get(self.segments_done) {
            let place = |at: usize| format!("{} at byte {at}", segment.path.display());
            let at = self.reader.at();
            match self.reader.next(&segment.file) {
                Ok(Some(bytes)) => {
                    let walk =
                        Walk { series: &mut self.series, tombstones: &self.tombstones, from_ms: segment.from_ms };
                    if walk.take(Record::of(bytes), is_wanted, batch).is_none() {
                        batch.refuse(1, "a record of the log contradicts itself", || place(at));
                    }
                    self.records_done += 1;
                    check(segment)?;
                    return Ok(true);
                }
                Ok(None) => {}
                // As after a kill. It is a remark, not a loss: Prometheus had not said yet that it took it.
                Err((_, CUT_OFF)) if self.segments_done + 1 == self.segments.len() => {}
                Err((at, what)) => {
                    batch.refuse(1, &format!("{what}, and what follows in its segment is lost"), || place(at))
                }
            }
            check(segment)?;
            self.segments_done += 1;
            self.reader = SegmentReader::default();
        }
        Ok(false)
    }

    /// Bytes that are read, of how many.
    pub(super) fn progress(&self) -> (u64, u64) {
        let bytes = |segments: &[Segment]| segments.iter().map(|segment| segment.file.len() as u64).sum::<u64>();
        (bytes(&self.segments[..self.segments_done]) + self.reader.at() as u64, bytes(&self.segments))
    }

    /// Names and lengths of its segments.
    pub(super) fn identity(&self) -> String {
        let names = self.segments.iter().map(|segment| format!("{} {}", segment.path.display(), segment.file.len()));
        let names: Vec<String> = names.collect();
        let sum = xxhash_rust::xxh3::xxh3_64(names.join("\n").as_bytes());
        format!("{} log segments, {sum:016x}", names.len())
    }

    /// What is worth knowing about it.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.exemplar_count > 0 {
            remarks.push(format!("{} exemplars of the log are left out: they are not stored", self.exemplar_count));
        }
        for path in &self.cut {
            remarks
                .push(format!("{} ends within a record, as after a kill; what is before it is read", path.display()));
        }
        remarks
    }
}

/// What a record needs to know.
struct Walk<'a> {
    series: &'a mut HashMap<u64, Result<Labels, String>>,
    tombstones: &'a Tombstones,
    from_ms: i64,
}

impl Walk<'_> {
    /// `None`: the record contradicts itself. What was read of it until then counts.
    fn take(self, record: Record<'_>, is_wanted: bool, batch: &mut Batch) -> Option<()> {
        let Walk { series, tombstones, from_ms } = self;
        if let Record::Series(body) = record {
            return record::each_series(body, |reference, pairs| {
                series.insert(reference, allowed(pairs));
            });
        }
        let give = |reference: u64, at_ms: i64, sample: Result<AnySample, HistogramError>, batch: &mut Batch| {
            if at_ms < from_ms || is_deleted(tombstones, reference, at_ms) {
                return;
            }
            match (series.get(&reference), sample) {
                (Some(Ok(labels)), Ok(sample)) => batch.push(labels.clone(), [sample]),
                (Some(Ok(labels)), Err(error)) => batch.refuse(1, &error.to_string(), || labels.to_string()),
                (Some(Err(what)), _) => batch.refuse(1, what, || format!("series {reference} of the log")),
                (None, _) => batch.refuse(1, "the log does not name the series", || format!("series {reference}")),
            }
        };
        match record {
            _ if !is_wanted => Some(()),
            Record::Samples(body) => record::each_sample(body, |reference, sample| {
                give(reference, sample.timestamp_ms, Ok(sample.into()), batch);
            }),
            Record::Histograms(body, buckets) => record::each_histogram(body, buckets, |reference, at_ms, read| {
                give(reference, at_ms, read.map(|histogram| AnySample::histogram(at_ms, histogram)), batch);
            }),
            Record::Unknown => {
                let what = "a record of the log is of a kind that is not read: a newer Prometheus wrote it";
                batch.refuse(1, what, || "the log".to_owned());
                Some(())
            }
            Record::Series(_) | Record::Tombstones(_) | Record::Exemplars(_) | Record::Nothing => Some(()),
        }
    }
}

fn allowed(pairs: &[(&str, &str)]) -> Result<Labels, String> {
    match Labels::from_pairs(pairs.iter().copied()) {
        Ok(labels) if labels.metric_name().is_some() => Ok(labels),
        Ok(_) => Err(format!("the label {METRIC_NAME} is missing")),
        Err(error) => Err(error.to_string()),
    }
}

/// A file that was cut short since reads as zeros.
fn check(segment: &Segment) -> Result<(), ImportError> {
    if segment.file.is_damaged() {
        let what = "the file was shortened while it was read, or the disk cannot read a part of it".to_owned();
        return Err(ImportError::Damaged { file: segment.path.clone(), offset: 0, what });
    }
    Ok(())
}

/// The segments that count, in order, each with the time from which its samples count.
fn segment_paths(folder: &Path, blocks_end_ms: i64, disk: &dyn Disk) -> Result<Vec<(PathBuf, i64)>, ImportError> {
    let folders = disk.list_folders(folder)?;
    let mut paths = Vec::new();
    if folders.iter().any(|name| name == "wal") {
        let wal = folder.join("wal");
        let number = |name: &String| name.strip_prefix("checkpoint.")?.parse::<u64>().ok();
        let names = disk.list_folders(&wal)?;
        let newest = names.iter().filter_map(|name| Some((number(name)?, name))).max();
        if let Some((_, name)) = newest {
            paths.extend(numbered(&wal.join(name), disk)?.into_iter().map(|(_, path)| (path, blocks_end_ms)));
        }
        // Those up to its number are in the checkpoint; they may still be there when removing them was interrupted.
        let behind =
            numbered(&wal, disk)?.into_iter().filter(|(own, _)| newest.is_none_or(|(number, _)| *own > number));
        paths.extend(behind.map(|(_, path)| (path, blocks_end_ms)));
    }
    if folders.iter().any(|name| name == "wbl") {
        paths.extend(numbered(&folder.join("wbl"), disk)?.into_iter().map(|(_, path)| (path, i64::MIN)));
    }
    Ok(paths)
}

/// Files whose names are numbers, by these.
fn numbered(folder: &Path, disk: &dyn Disk) -> Result<Vec<(u64, PathBuf)>, ImportError> {
    let names = disk.list(folder)?;
    let mut files: Vec<_> = names.iter().filter_map(|name| Some((name.parse().ok()?, folder.join(name)))).collect();
    files.sort();
    Ok(files)
}
