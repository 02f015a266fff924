//! The opening of the next segment, written while another still grows: the definitions of all series alive, in pieces.
//!
//! ```text
//! 00000017.log  [ opening │ groups … groups … 3/4 ██ group ██ group ██ group │ end ]
//!                                              │  ▲        ▲        │          │
//! next.tmp                             [header │ piece,  piece,  what came ]   │
//!                                                                              ▼ rename
//! 00000018.log                                       [ opening │ groups …
//! ```
//!
//! A million series have 250 MB of definitions. Written at once they would hold up every write that waits for its
//! answer; so the log writes a piece and syncs it behind each group's answers, and whenever nothing waits. Series that
//! come meanwhile are not all found by the walk: each group's own definitions are handed over and written too.
//!
//! Always true:
//! 1. The file has a segment's name only when it is whole and synced, and the segment before it has ended. Under its
//!    own name it means nothing to anybody, and a start removes it.
//! 2. Everything that could be named behind it is in it: a series is found by the walk, or its definition came
//!    with a group that was written since the walk began, or comes with a group behind it.

use std::path::{Path, PathBuf};

use storage_format::frame::{self, FileHeader};

use super::{GROUP_BYTES_MAX, SEGMENT_OPENINGS, segment_path};
use crate::disk::{Disk, DiskError, DiskFile};

/// Appends records, chains still open, that define some of the series alive, until the records have so many bytes, or a
/// definition more. Returns whether there may be others.
pub(in crate::storage) type Definitions = Box<dyn FnMut(&mut Vec<u8>, usize) -> bool + Send>;

/// The segment after the one that grows, as far as it is written.
pub(super) struct Opening {
    file: Box<dyn DiskFile>,
    sequence: u32,
    walk: Definitions,
    /// Whether the walk has ended.
    is_walked: bool,
    /// What is to be written next: definitions that came with groups.
    records: Vec<u8>,
    chain: u32,
    written_bytes: u64,
    synced_bytes: u64,
    reserved_bytes: u64,
    /// Bytes with which a segment ends, if its opening does not ask for more.
    segment_bytes: u64,
}

/// A segment to which groups can be written.
pub(super) struct Opened {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) path: PathBuf,
    pub(super) sequence: u32,
    pub(super) chain: u32,
    pub(super) written_bytes: u64,
    pub(super) bytes_max: u64,
}

/// Where the opening is written.
fn unfinished_path(folder: &Path) -> PathBuf {
    folder.join("next.tmp")
}

/// Removes what an earlier process left.
pub(in crate::storage) fn remove_unfinished(disk: &dyn Disk, folder: &Path) {
    match disk.remove(&unfinished_path(folder)) {
        Err(error) if !error.is_not_found() => tracing::warn!(%error, "an unfinished log segment stays for now"),
        _ => {}
    }
}

impl Opening {
    /// Begins a file in place of an earlier one that was not finished.
    pub(super) fn begin(
        disk: &dyn Disk,
        folder: &Path,
        header: &FileHeader,
        walk: Definitions,
        segment_bytes: u64,
    ) -> Result<Opening, DiskError> {
        let reserved_bytes = segment_bytes + GROUP_BYTES_MAX as u64;
        let file = disk.create(&unfinished_path(folder), reserved_bytes)?;
        file.write_at(0, &header.encode())?;
        Ok(Opening {
            file,
            sequence: header.sequence,
            walk,
            is_walked: false,
            records: Vec::new(),
            chain: header.chain_start(),
            written_bytes: frame::FILE_HEADER_BYTES as u64,
            synced_bytes: 0,
            reserved_bytes,
            segment_bytes,
        })
    }

    /// Takes definitions that were written to the segment that grows: whoever walks may have passed the place of their
    /// series before it was there.
    pub(super) fn take(&mut self, definitions: &[u8]) {
        self.records.extend_from_slice(definitions);
    }

    /// Whether the walk has ended: what is left are definitions that came.
    pub(super) fn is_walked(&self) -> bool {
        self.is_walked
    }

    /// Bytes of the definitions that came and are not written.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.records.len()
    }

    /// Bytes that are still to be reserved, once they are known.
    pub(super) fn missing_bytes(&self) -> u64 {
        (self.bytes_max() + GROUP_BYTES_MAX as u64).saturating_sub(self.reserved_bytes)
    }

    /// Bytes with which the segment ends: so many that most of it are not its opening.
    fn bytes_max(&self) -> u64 {
        self.segment_bytes.max(SEGMENT_OPENINGS * self.written_bytes)
    }

    /// Writes the definitions that came, and so many bytes of others.
    pub(super) fn write_piece(&mut self, bytes: usize) -> Result<(), DiskError> {
        if !self.is_walked {
            let bytes_max = self.records.len() + bytes;
            self.is_walked = !(self.walk)(&mut self.records, bytes_max);
        }
        if !self.records.is_empty() {
            let unsynced_bytes = self.written_bytes - self.synced_bytes;
            self.chain = frame::seal_group(&mut self.records, self.chain, unsynced_bytes);
            self.file.write_at(self.written_bytes, &self.records)?;
            self.written_bytes += self.records.len() as u64;
            self.records.clear();
        }
        Ok(())
    }

    /// Takes the space of a segment with such an opening.
    pub(super) fn reserve(&mut self) -> Result<(), DiskError> {
        let missing_bytes = self.missing_bytes();
        if missing_bytes > 0 {
            self.file.reserve(self.reserved_bytes + missing_bytes)?;
            self.reserved_bytes += missing_bytes;
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), DiskError> {
        if self.synced_bytes < self.written_bytes {
            self.file.sync()?;
            self.synced_bytes = self.written_bytes;
        }
        Ok(())
    }

    /// Writes what is missing and gives the file its name. The segment before it has ended.
    pub(super) fn finish(mut self, disk: &dyn Disk, folder: &Path, piece_bytes: usize) -> Result<Opened, DiskError> {
        while !self.is_walked || !self.records.is_empty() {
            self.write_piece(piece_bytes)?;
        }
        self.reserve()?;
        self.sync()?;
        let path = segment_path(folder, self.sequence);
        disk.rename(&unfinished_path(folder), &path)?;
        disk.sync_folder(folder)?;
        let bytes_max = self.bytes_max();
        let Opening { file, sequence, chain, written_bytes, .. } = self;
        Ok(Opened { file, path, sequence, chain, written_bytes, bytes_max })
    }
}

/// Removes what is left of an opening that could not be finished, whichever name it has: its room is needed. If even
/// this fails, the next attempt writes over it.
pub(super) fn remove_failed(disk: &dyn Disk, folder: &Path, sequence: u32) {
    let _ = disk.remove(&unfinished_path(folder));
    let _ = disk.remove(&segment_path(folder, sequence));
}
