//! Whole lines of a file, a piece at a time.

use std::path::Path;

use super::ImportError;
use super::batch::Batch;
use super::packed::Packed;
use super::source::foreign_position;
use crate::disk::Disk;

/// Bytes that are read at once, give or take a line.
pub(super) const PIECE_BYTES: usize = if cfg!(test) { 1 << 10 } else { 256 << 10 };

/// What comes next in a file, from where we are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Whole lines of so many bytes; the last line of a file may lack its line feed.
    Lines(usize),
    /// A line that is longer than it may be.
    TooLong,
    /// Nothing.
    End,
}

/// A file, and how far into it we are.
pub(super) struct LineFile {
    packed: Packed,
    /// What was read; up to `start` it is done.
    buffer: Vec<u8>,
    start: usize,
    /// Nothing follows what is in the buffer.
    is_read: bool,
    /// Why not, if that is not the end.
    failed: Option<ImportError>,
    /// Where the next line begins, in bytes of the inflated file.
    pub(super) at: u64,
    /// Lines before.
    pub(super) line: u64,
}

impl LineFile {
    pub(super) fn open(path: &Path, disk: &dyn Disk) -> Result<LineFile, ImportError> {
        Ok(LineFile::new(Packed::open(path, disk)?))
    }

    pub(super) fn new(packed: Packed) -> LineFile {
        LineFile { packed, buffer: Vec::new(), start: 0, is_read: false, failed: None, at: 0, line: 0 }
    }

    /// The bytes from where we are, as far as they are read.
    pub(super) fn held(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Reads until so many bytes are held, or all there are.
    fn hold(&mut self, count: usize) {
        let missing = count.saturating_sub(self.held().len());
        if missing == 0 || self.is_read {
            return;
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        match self.packed.read(missing, &mut self.buffer) {
            Ok(is_more) => self.is_read = !is_more,
            Err(error) => {
                self.is_read = true;
                self.failed = Some(error);
                // What stands there of a line is not the line.
                let whole = memchr::memrchr(b'\n', &self.buffer).map_or(0, |last| last + 1);
                self.buffer.truncate(whole);
            }
        }
    }

    /// Whole lines, as many as there are in `reach` bytes or one, which may have `line_bytes_max`.
    pub(super) fn next_lines(&mut self, reach: usize, line_bytes_max: usize) -> Next {
        // One more than is wanted tells whether the file ends there.
        self.hold(reach + 1);
        let held = self.held();
        match memchr::memrchr(b'\n', &held[..held.len().min(reach)]) {
            _ if !held.is_empty() && held.len() <= reach => Next::Lines(held.len()),
            Some(last) => Next::Lines(last + 1),
            None => self.next_line(line_bytes_max),
        }
    }

    /// The next line alone.
    pub(super) fn next_line(&mut self, line_bytes_max: usize) -> Next {
        let mut searched = 0;
        loop {
            let held = self.held();
            let found = memchr::memchr(b'\n', &held[searched..]).map(|length| searched + length + 1);
            searched = held.len();
            match found {
                _ if found.unwrap_or(searched) > line_bytes_max => return Next::TooLong,
                Some(length) => return Next::Lines(length),
                None if self.is_read && searched == 0 => return Next::End,
                None if self.is_read => return Next::Lines(searched),
                None => self.hold((searched * 2).max(PIECE_BYTES)),
            }
        }
    }

    /// Lines of so many bytes are done.
    pub(super) fn pass(&mut self, bytes: usize) {
        let passed = &self.held()[..bytes];
        let is_cut = passed.last().is_some_and(|last| *last != b'\n');
        self.line += memchr::memchr_iter(b'\n', passed).count() as u64 + u64::from(is_cut);
        self.at += bytes as u64;
        self.start += bytes;
    }

    /// The next line is done, however long it is.
    pub(super) fn pass_line(&mut self) {
        self.line += 1;
        loop {
            self.hold(PIECE_BYTES);
            let end = memchr::memchr(b'\n', self.held());
            let bytes = end.map_or(self.held().len(), |end| end + 1);
            self.at += bytes as u64;
            self.start += bytes;
            if end.is_some() || self.is_read {
                return;
            }
        }
    }

    /// Whether there is something left: a line, or the reason why there is none.
    pub(super) fn is_more(&mut self) -> bool {
        self.hold(1);
        !self.held().is_empty() || self.failed.is_some()
    }

    /// There are no more lines. Fails if that is not the end of the file, once everything before is sent.
    pub(super) fn end(&mut self, batch: &Batch) -> Result<bool, ImportError> {
        match self.failed.take_if(|_| batch.is_empty()) {
            Some(error) => Err(error),
            None => Ok(self.failed.is_some()),
        }
    }

    /// Goes to where a line begins.
    pub(super) fn go_to(&mut self, byte: u64, line: u64) -> Result<(), ImportError> {
        let last = if byte == 0 { Some(b'\n') } else { self.packed.skip(byte)? };
        let last = last.ok_or_else(foreign_position)?;
        self.hold(1);
        if last != b'\n' && !self.held().is_empty() {
            return Err(foreign_position());
        }
        (self.at, self.line) = (byte, line);
        Ok(())
    }

    pub(super) fn progress(&self) -> (u64, u64) {
        self.packed.progress()
    }

    pub(super) fn identity(&self) -> String {
        self.packed.identity()
    }
}
