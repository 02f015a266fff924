//! The writing half: one owner of the segment that grows.
//!
//! When three quarters of a segment are written, or its end is asked for, the next one's [`Opening`] is prepared, a piece
//! at a time: [`LogWriter::prepare`], which is called when nobody waits for an answer. A segment that fills up before
//! that is done, or whose successor could not be prepared, ends all the same; then the next group waits for the
//! definitions that are missing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use storage_format::frame::{self, FileHeader, FileKind};

use super::super::head::LogEntry;
use super::opening::{self, Definitions, Opened, Opening};
use super::replay::paths;
use super::{
    DISK_RESERVE_BYTES, DISK_RESERVE_GROWING_BYTES, EndedSegment, PIECE_BYTES, PIECE_GROUPS, SEGMENT_BYTES,
    damaged_path, segment_path,
};
use crate::clock::Clock;
use crate::disk::{Disk, DiskError, DiskFile};

/// Memory that is kept from group to group.
const KEPT_BYTES_MAX: usize = 2 * super::GROUP_BYTES_MAX;

/// Begins a walk over all series alive.
pub(in crate::storage) type SeriesSnapshot = Box<dyn Fn() -> Definitions + Send>;

/// The actor of the log. `commit` returns when the group is as safe as the sync mode promises.
pub(in crate::storage) struct LogWriter {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    clock: Clock,
    snapshot: SeriesSnapshot,
    sync_each_group: bool,
    segment: Option<Segment>,
    next_sequence: u32,
    /// The segment `next_sequence`, as far as it is prepared.
    opening: Option<Opening>,
    /// The next segment is prepared however short the growing one is.
    end_is_asked: bool,
    /// Preparing has failed. Not tried again for this segment: it is opened when it is needed.
    cannot_prepare: bool,
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
    /// Bytes of the last group, until a piece was prepared behind it: what comes quickly is followed in larger pieces.
    group_bytes: usize,
    /// [`SEGMENT_BYTES`], if no test wants to see them end earlier.
    segment_bytes: u64,
    /// [`PIECE_BYTES`], if no test wants to see more of them.
    piece_bytes: usize,
    /// [`PIECE_GROUPS`], likewise.
    piece_groups: usize,
    #[cfg(test)]
    begun: Arc<parking_lot::Mutex<BegunSegments>>,
}

/// How the segments of a test were begun.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::storage) struct BegunSegments {
    /// Whose opening was whole by then.
    pub(in crate::storage) prepared: u64,
    /// Of whose opening there was a part.
    pub(in crate::storage) half_prepared: u64,
    /// Of which there was nothing.
    pub(in crate::storage) unprepared: u64,
}

struct Segment {
    file: Box<dyn DiskFile>,
    path: PathBuf,
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

impl Segment {
    fn new(opened: Opened) -> Segment {
        let Opened { file, path, sequence, chain, written_bytes, bytes_max } = opened;
        let (newest_ms, holds_belated, synced_bytes) = (i64::MIN, false, written_bytes);
        Segment { file, path, sequence, written_bytes, bytes_max, chain, newest_ms, holds_belated, synced_bytes }
    }

    fn is_full(&self) -> bool {
        self.written_bytes >= self.bytes_max
    }

    /// Whether it is so full that the next one should be prepared.
    fn is_nearly_full(&self) -> bool {
        self.written_bytes >= self.bytes_max - self.bytes_max / 4
    }

    /// Names the file by the name that it has now: it was created under another.
    fn named<T>(&self, outcome: Result<T, DiskError>) -> Result<T, DiskError> {
        outcome.map_err(|error| DiskError { path: self.path.clone(), ..error })
    }
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
            opening: None,
            end_is_asked: false,
            cannot_prepare: false,
            growing: Arc::new(AtomicU32::new(next_sequence)),
            ended,
            broken: false,
            unwritten: Vec::new(),
            unwritten_newest_ms: i64::MIN,
            unwritten_belated: false,
            group_bytes: 0,
            segment_bytes: SEGMENT_BYTES,
            piece_bytes: PIECE_BYTES,
            piece_groups: PIECE_GROUPS,
            #[cfg(test)]
            begun: Arc::default(),
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

    /// Prepares the next segment in pieces of so many bytes, however large the groups are.
    #[cfg(test)]
    pub(in crate::storage) fn prepare_in_pieces_of(&mut self, bytes: usize) {
        self.piece_bytes = bytes;
        self.piece_groups = 0;
    }

    #[cfg(test)]
    pub(in crate::storage) fn begun(&self) -> &Arc<parking_lot::Mutex<BegunSegments>> {
        &self.begun
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
                if let Some(opening) = &mut self.opening {
                    entries.iter().for_each(|entry| opening.take(&entry.records[..entry.definition_bytes]));
                }
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
        if self.segment.as_ref().is_some_and(Segment::is_full) {
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
        segment.named(segment.file.write_at(segment.written_bytes, &self.unwritten))?;
        segment.written_bytes += self.unwritten.len() as u64;
        self.group_bytes = self.unwritten.len();
        if self.sync_each_group {
            self.sync_written()?;
        }
        Ok(())
    }

    /// Fails when the disk has less room than is kept for finishing what was begun: a segment that grows has its own, but
    /// blocks, the outbox and the next segment have not. What is prepared of that gives way first.
    pub(in crate::storage) fn check_room(&mut self) -> Result<(), DiskError> {
        let has_own = self.segment.is_some() || self.opening.is_some();
        let checked = self.require_free(if has_own { DISK_RESERVE_GROWING_BYTES } else { DISK_RESERVE_BYTES });
        if checked.is_err() && self.opening.is_some() {
            self.give_up_opening();
            return self.check_room();
        }
        checked
    }

    fn require_free(&self, kept_bytes: u64) -> Result<(), DiskError> {
        if self.disk.free_bytes(&self.folder)? >= kept_bytes {
            return Ok(());
        }
        let what = format!("less than {} MiB are free", kept_bytes >> 20);
        let full = std::io::Error::new(std::io::ErrorKind::StorageFull, what);
        Err(DiskError::new("go on with the log in", &self.folder, full))
    }

    /// Asks for the growing segment's end, however short it is, as soon as it holds nobody up: see
    /// [`LogWriter::may_end`].
    pub(in crate::storage) fn ask_for_end(&mut self) {
        self.end_is_asked = self.segment.is_some();
    }

    /// Whether the growing segment can end without that the next group waits for more than a piece of definitions: the
    /// next is prepared, or cannot be, or there is nothing to end.
    pub(in crate::storage) fn may_end(&self) -> bool {
        let is_prepared = self.opening.as_ref().is_some_and(Opening::is_walked);
        self.segment.is_none() || self.cannot_prepare || self.broken || is_prepared
    }

    /// Whether [`LogWriter::prepare`] has something to do.
    pub(in crate::storage) fn is_preparing(&self) -> bool {
        let segment = self.segment.as_ref();
        let is_due = self.end_is_asked || self.opening.is_some() || segment.is_some_and(Segment::is_nearly_full);
        let is_wanted = is_due && !self.broken && !self.cannot_prepare;
        let is_full = segment.is_some_and(Segment::is_full);
        let is_done = |opening: &Opening| opening.is_walked() && opening.waiting_bytes() < self.piece_bytes;
        is_wanted && (is_full || !self.opening.as_ref().is_some_and(is_done))
    }

    /// Does a piece of what the end of the growing segment needs, if it is near or asked for; and ends it when it is full
    /// and the next is prepared. Fails where [`LogWriter::sync`] does; what fails of the preparation alone is given up.
    pub(in crate::storage) fn prepare(&mut self) -> Result<(), DiskError> {
        if !self.is_preparing() {
            return Ok(());
        }
        if let Err(error) = self.prepare_piece() {
            tracing::warn!(%error, "the next log segment is not prepared: it is opened when it is needed");
            self.give_up_opening();
            return Ok(());
        }
        let is_full = self.segment.as_ref().is_some_and(Segment::is_full);
        if is_full && self.may_end() { self.finish_segment() } else { Ok(()) }
    }

    fn prepare_piece(&mut self) -> Result<(), DiskError> {
        if self.opening.is_none() {
            self.require_free(DISK_RESERVE_BYTES)?;
            self.opening = Some(self.begin_opening()?);
        }
        let mut opening = self.opening.take().expect("begun above");
        let bytes_max = self.piece_bytes.max(self.piece_groups * std::mem::take(&mut self.group_bytes));
        let written =
            opening.write_piece(bytes_max).and_then(|()| self.reserve(&mut opening)).and_then(|()| opening.sync());
        self.opening = Some(opening);
        written
    }

    /// Takes the room of the next segment, once it is known, where the disk has it to spare.
    fn reserve(&self, opening: &mut Opening) -> Result<(), DiskError> {
        if !opening.is_walked() || opening.missing_bytes() == 0 {
            return Ok(());
        }
        self.require_free(opening.missing_bytes() + DISK_RESERVE_GROWING_BYTES)?;
        opening.reserve()
    }

    fn begin_opening(&self) -> Result<Opening, DiskError> {
        let (sequence, created_ms) = (self.next_sequence, self.clock.now_ms());
        // The salt makes the records of this file recognisable as its own, should old bytes shine through.
        let salt = sequence.wrapping_mul(0x9e37_79b9) ^ created_ms as u32;
        let header = FileHeader::new(FileKind::Log, sequence, created_ms, salt);
        Opening::begin(&*self.disk, &self.folder, &header, (self.snapshot)(), self.segment_bytes)
    }

    fn give_up_opening(&mut self) {
        self.opening = None;
        self.cannot_prepare = true;
        opening::remove_unfinished(&*self.disk, &self.folder);
    }

    fn begin_segment(&mut self) -> Result<(), DiskError> {
        self.check_room()?;
        #[cfg(test)]
        self.count_begun();
        let opening = match self.opening.take() {
            Some(opening) => Ok(opening),
            None => self.begin_opening(),
        };
        let opened = opening.and_then(|opening| opening.finish(&*self.disk, &self.folder, self.piece_bytes));
        let opened = opened.inspect_err(|_| opening::remove_failed(&*self.disk, &self.folder, self.next_sequence))?;
        assert_eq!(opened.sequence, self.next_sequence, "an opening outlasts no failure");
        self.next_sequence += 1;
        self.cannot_prepare = false;
        self.segment = Some(Segment::new(opened));
        Ok(())
    }

    #[cfg(test)]
    fn count_begun(&mut self) {
        let mut begun = self.begun.lock();
        match &self.opening {
            None => begun.unprepared += 1,
            Some(opening) if opening.is_walked() => begun.prepared += 1,
            Some(_) => begun.half_prepared += 1,
        }
    }

    /// Ends the growing segment in order, everything in it synced; the next group begins another.
    pub(in crate::storage) fn finish_segment(&mut self) -> Result<(), DiskError> {
        self.end_is_asked = false;
        self.sync()?;
        self.end_segment();
        Ok(())
    }

    /// Ends the growing segment for good: nothing is left of what was prepared for another.
    pub(in crate::storage) fn close(&mut self) -> Result<(), DiskError> {
        let finished = self.finish_segment();
        if self.opening.is_some() {
            self.give_up_opening();
        }
        finished
    }

    /// What a failed write or sync left behind is unknown: the segment ends here, and what was to be written goes to
    /// another, a number further on.
    fn give_up_segment(&mut self) {
        self.broken = true;
        if self.opening.is_some() {
            self.give_up_opening();
        }
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
                segment.named(segment.file.sync())?;
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
