//! The writing half: one owner of the segment that grows.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use storage_format::frame::{self, FileHeader, FileKind};

use super::super::head::LogEntry;
use super::replay::paths;
use super::{DISK_RESERVE_BYTES, DISK_RESERVE_GROWING_BYTES, EndedSegment, SEGMENT_BYTES, damaged_path, segment_path};
use crate::clock::Clock;
use crate::disk::{Disk, DiskError, DiskFile};

/// Memory that is kept from group to group.
const KEPT_BYTES_MAX: usize = 2 * super::GROUP_BYTES_MAX;

/// Appends whole records, chains still open, that define all series alive.
pub(in crate::storage) type SeriesSnapshot = Box<dyn Fn(&mut Vec<u8>) + Send>;

/// The actor of the log. `commit` returns when the group is as safe as the sync mode promises.
pub(in crate::storage) struct LogWriter {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    clock: Clock,
    snapshot: SeriesSnapshot,
    sync_each_group: bool,
    segment: Option<Segment>,
    next_sequence: u32,
    /// [`LogWriter::growing`].
    growing: Arc<AtomicU32>,
    /// Oldest first.
    ended: Vec<EndedSegment>,
    /// The last attempt failed: until a segment could be begun anew, nothing is promised.
    broken: bool,
    /// Records that are in the head and not yet in the log, with their newest sample: the group at hand, and after a
    /// failure everything since.
    unwritten: Vec<u8>,
    unwritten_newest_ms: i64,
    unwritten_belated: bool,
    /// [`SEGMENT_BYTES`], if no test wants to see them end earlier.
    segment_bytes: u64,
}

struct Segment {
    file: Box<dyn DiskFile>,
    sequence: u32,
    written_bytes: u64,
    /// Where the segment ends its life.
    bytes_max: u64,
    chain: u32,
    newest_ms: i64,
    holds_belated: bool,
    /// What is behind them is not known to be on disk.
    synced_bytes: u64,
}

impl LogWriter {
    /// A log that goes on behind the segments `ended`, in a new one.
    pub(in crate::storage) fn new(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        clock: Clock,
        snapshot: SeriesSnapshot,
        sync_each_group: bool,
        ended: Vec<EndedSegment>,
        last_sequence: u32,
    ) -> LogWriter {
        // One number is left out: whoever finds the gap knows that the segment before it may be torn.
        let next_sequence = if last_sequence == 0 { 1 } else { last_sequence.saturating_add(2) };
        LogWriter {
            disk,
            folder,
            clock,
            snapshot,
            sync_each_group,
            segment: None,
            next_sequence,
            growing: Arc::new(AtomicU32::new(next_sequence)),
            ended,
            broken: false,
            unwritten: Vec::new(),
            unwritten_newest_ms: i64::MIN,
            unwritten_belated: false,
            segment_bytes: SEGMENT_BYTES,
        }
    }

    /// The number of the segment that grows, or of the one that the next group begins: nothing more comes to those
    /// with a smaller number, and all that was ever handed over behind a look at it has this one or a greater.
    pub(in crate::storage) fn growing(&self) -> &Arc<AtomicU32> {
        &self.growing
    }

    /// Ends segments when they have grown past this.
    #[cfg(test)]
    pub(in crate::storage) fn end_segments_at(&mut self, bytes: u64) {
        self.segment_bytes = bytes;
    }

    /// Writes the records of all entries, and what an earlier failure left. After an error everything is kept, and the
    /// next call, even one without entries, tries again in a new segment.
    pub(in crate::storage) fn commit(&mut self, entries: &[LogEntry]) -> Result<(), DiskError> {
        for entry in entries {
            self.unwritten.extend_from_slice(&entry.records);
            self.unwritten_newest_ms = self.unwritten_newest_ms.max(entry.newest_ms);
            self.unwritten_belated |= entry.holds_belated;
        }
        if self.unwritten.is_empty() && !self.broken {
            return Ok(());
        }
        let written = self.write_group();
        match written {
            Ok(()) => {
                self.unwritten.clear();
                self.unwritten.shrink_to(KEPT_BYTES_MAX); // a failure may have let it grow far
                self.unwritten_newest_ms = i64::MIN;
                self.unwritten_belated = false;
                self.broken = false;
            }
            Err(_) => self.give_up_segment(),
        }
        written
    }

    /// Whether something waits for the disk to recover.
    pub(in crate::storage) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Number of segments, the growing one included.
    pub(in crate::storage) fn segment_count(&self) -> usize {
        self.ended.len() + usize::from(self.segment.is_some())
    }

    fn write_group(&mut self) -> Result<(), DiskError> {
        let grown = self.segment.as_ref().is_some_and(|segment| segment.written_bytes >= segment.bytes_max);
        if grown {
            self.sync_written()?;
            self.end_segment();
        }
        if self.segment.is_none() {
            self.begin_segment()?;
        }
        let segment = self.segment.as_mut().expect("begun above");
        let unsynced_bytes = segment.written_bytes - segment.synced_bytes;
        segment.chain = frame::seal_group(&mut self.unwritten, segment.chain, unsynced_bytes);
        segment.newest_ms = segment.newest_ms.max(self.unwritten_newest_ms);
        segment.holds_belated |= self.unwritten_belated;
        segment.file.write_at(segment.written_bytes, &self.unwritten)?;
        segment.written_bytes += self.unwritten.len() as u64;
        if self.sync_each_group {
            self.sync_written()?;
        }
        Ok(())
    }

    /// Fails when the disk has less room than is kept for finishing what was begun: a segment that grows has its own, but
    /// blocks, the outbox and the next segment have not.
    pub(in crate::storage) fn check_room(&self) -> Result<(), DiskError> {
        let kept_bytes = if self.segment.is_some() { DISK_RESERVE_GROWING_BYTES } else { DISK_RESERVE_BYTES };
        if self.disk.free_bytes(&self.folder)? >= kept_bytes {
            return Ok(());
        }
        let what = format!("less than {} MiB are free", kept_bytes >> 20);
        let full = std::io::Error::new(std::io::ErrorKind::StorageFull, what);
        Err(DiskError::new("go on with the log in", &self.folder, full))
    }

    fn begin_segment(&mut self) -> Result<(), DiskError> {
        self.check_room()?;
        let (sequence, created_ms) = (self.next_sequence, self.clock.now_ms());
        // The salt makes the records of this file recognisable as its own, should old bytes shine through.
        let salt = sequence.wrapping_mul(0x9e37_79b9) ^ created_ms as u32;
        let header = FileHeader::new(FileKind::Log, sequence, created_ms, salt);
        let mut opening = header.encode().to_vec();
        let header_bytes = opening.len();
        (self.snapshot)(&mut opening);
        let chain = frame::seal_group(&mut opening[header_bytes..], header.chain_start(), header_bytes as u64);

        let path = segment_path(&self.folder, sequence);
        let bytes_max = self.segment_bytes.max(4 * opening.len() as u64);
        let begin = || {
            let file = self.disk.create(&path, bytes_max + super::GROUP_BYTES_MAX as u64)?;
            file.write_at(0, &opening)?;
            file.sync()?;
            self.disk.sync_folder(&self.folder)?;
            Ok(file)
        };
        let file: Box<dyn DiskFile> = begin().inspect_err(|_| {
            // Its room is needed. If even this fails, the next attempt takes the same name.
            let _ = self.disk.remove(&path);
        })?;
        self.next_sequence += 1;
        let written_bytes = opening.len() as u64;
        self.segment = Some(Segment {
            file,
            sequence,
            written_bytes,
            bytes_max,
            chain,
            newest_ms: i64::MIN,
            holds_belated: false,
            synced_bytes: written_bytes,
        });
        Ok(())
    }

    /// Ends the growing segment in order, everything in it synced; the next group begins another.
    pub(in crate::storage) fn finish_segment(&mut self) -> Result<(), DiskError> {
        self.sync()?;
        self.end_segment();
        Ok(())
    }

    /// What a failed write or sync left behind is unknown: the segment ends here, and what was to be written goes to
    /// another, a number further on.
    fn give_up_segment(&mut self) {
        self.broken = true;
        if self.segment.is_some() {
            self.end_segment();
            self.next_sequence += 1;
            self.growing.store(self.next_sequence, Ordering::SeqCst);
        }
    }

    fn end_segment(&mut self) {
        let Some(segment) = self.segment.take() else { return };
        // Gives the reserve back. If the disk refuses even that, the rest reads as zeros and means the same.
        let _ = segment.file.truncate(segment.written_bytes).and_then(|()| segment.file.sync());
        let Segment { sequence, newest_ms, holds_belated, .. } = segment;
        self.ended.push(EndedSegment { sequence, newest_ms, holds_belated, damaged: false });
        self.growing.store(self.next_sequence, Ordering::SeqCst);
    }

    /// Ends the growing segment, and returns the files of all that there are, oldest first: what was acknowledged
    /// before is in them or in blocks, and only [`LogWriter::retire`] touches them from now on.
    pub(in crate::storage) fn rotate(&mut self) -> Result<Vec<PathBuf>, DiskError> {
        self.finish_segment()?;
        Ok(paths(&self.folder, &self.ended))
    }

    /// Syncs what an earlier commit left to the interval. Nothing to do is fine.
    pub(in crate::storage) fn sync(&mut self) -> Result<(), DiskError> {
        let synced = self.sync_written();
        if synced.is_err() {
            self.give_up_segment();
        }
        synced
    }

    fn sync_written(&mut self) -> Result<(), DiskError> {
        match &mut self.segment {
            Some(segment) if segment.synced_bytes < segment.written_bytes => {
                segment.file.sync()?;
                segment.synced_bytes = segment.written_bytes;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Removes the oldest segments as long as all their samples are in blocks: they are older than `floor_ms`, and
    /// there are no belated ones among them, or the segment's number is below `belated_before`. Damaged ones are put
    /// aside: somebody may still want to read them.
    pub(in crate::storage) fn retire(&mut self, floor_ms: i64, belated_before: u32) -> Result<(), DiskError> {
        let in_blocks = |segment: &&EndedSegment| {
            segment.newest_ms < floor_ms && (!segment.holds_belated || segment.sequence < belated_before)
        };
        let due = self.ended.iter().take_while(in_blocks).count();
        let mut gone = 0;
        let removed = self.ended[..due].iter().try_for_each(|segment| {
            let path = segment_path(&self.folder, segment.sequence);
            let outcome = if segment.damaged {
                self.disk.rename(&path, &damaged_path(&self.folder, segment.sequence))
            } else {
                self.disk.remove(&path)
            };
            match outcome {
                Err(error) if !error.is_not_found() => Err(error),
                _ => {
                    gone += 1;
                    Ok(())
                }
            }
        });
        self.ended.drain(..gone);
        if gone > 0 {
            self.disk.sync_folder(&self.folder)?;
        }
        removed
    }
}
