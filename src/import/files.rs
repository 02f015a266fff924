//! Files of lines: Prometheus's text formats, and JSON lines. They are mapped, not read: their size does not matter.

use std::path::{Path, PathBuf};

use super::ImportError;
use super::batch::Batch;
use super::source::{Position, Source, foreign_position};
use crate::disk::{Disk, FileBytes};
use crate::ingest::{Format, JsonLine, JsonLineError, Line, lines};
use crate::model::{Labels, METRIC_NAME, Sample};

/// Bytes of text that are read at once, give or take a line.
const PIECE_BYTES: usize = if cfg!(test) { 1 << 10 } else { 256 << 10 };
/// Longest line of text; a line of JSON may be longer, since one holds many samples.
const TEXT_LINE_BYTES_MAX: usize = 1 << 20;
/// Most samples of one line of JSON.
const LINE_SAMPLES_MAX: usize = 4_000_000;
/// How compressed files begin.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes from a file's ends by which it is told from another.
const SIGNED_BYTES: usize = 64 << 10;

/// A file, and how far into it we are.
struct LineFile {
    path: PathBuf,
    bytes: FileBytes,
    /// Where the next line begins.
    at: usize,
    /// Lines before.
    line: u64,
}

impl LineFile {
    fn open(path: &Path, disk: &dyn Disk) -> Result<LineFile, ImportError> {
        let bytes = disk.read(path)?;
        for (name, magic, program) in [("gzip", &GZIP_MAGIC[..], "gunzip"), ("zstd", &ZSTD_MAGIC[..], "unzstd")] {
            if bytes.starts_with(magic) {
                let what = format!("{} is {name}: unpack it first ({program})", path.display());
                return Err(ImportError::Unusable(what));
            }
        }
        Ok(LineFile { path: path.to_owned(), bytes, at: 0, line: 0 })
    }

    /// The end of the line that begins at `at`, its line feed included.
    fn end_of_line(&self, at: usize) -> usize {
        let rest = &self.bytes[at..];
        rest.iter().position(|byte| *byte == b'\n').map_or(self.bytes.len(), |length| at + length + 1)
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Fails when a part of what was read is not what the file holds.
    fn check(&self) -> Result<(), ImportError> {
        if self.bytes.is_damaged() {
            let what = "the file cannot be read here, or somebody shortened it meanwhile".to_owned();
            return Err(ImportError::Damaged { file: self.path.clone(), offset: self.at as u64, what });
        }
        Ok(())
    }

    fn go_to(&mut self, byte: u64, line: u64) -> Result<(), ImportError> {
        let is_line_begin = |at: usize| at == 0 || self.bytes.get(at - 1) == Some(&b'\n') || at == self.bytes.len();
        self.at = usize::try_from(byte)
            .ok()
            .filter(|at| *at <= self.bytes.len() && is_line_begin(*at))
            .ok_or_else(foreign_position)?;
        self.line = line;
        Ok(())
    }

    /// Length and a checksum of both ends.
    fn identity(&self) -> String {
        let length = self.bytes.len();
        let head = &self.bytes[..length.min(SIGNED_BYTES)];
        let tail = &self.bytes[length.saturating_sub(SIGNED_BYTES)..];
        let sum = xxhash_rust::xxh3::xxh3_64(head) ^ xxhash_rust::xxh3::xxh3_64(tail).rotate_left(1);
        format!("{} ({length} bytes, {sum:016x})", self.path.display())
    }
}

/// A file in one of Prometheus's text formats.
pub(super) struct TextFile {
    file: LineFile,
    format: Format,
    has_ended: bool,
}

impl TextFile {
    pub(super) fn open(path: &Path, disk: &dyn Disk, format: Format) -> Result<TextFile, ImportError> {
        Ok(TextFile { file: LineFile::open(path, disk)?, format, has_ended: false })
    }

    /// Whole lines from where we are, [`PIECE_BYTES`] of them or one.
    fn piece_end(&self) -> usize {
        let reach = self.file.at.saturating_add(PIECE_BYTES);
        if reach >= self.file.bytes.len() {
            return self.file.bytes.len();
        }
        let piece = &self.file.bytes[self.file.at..reach];
        match piece.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => self.file.at + last + 1,
            None => self.file.end_of_line(reach),
        }
    }

    fn read_piece(&mut self, piece: &[u8], batch: &mut Batch) {
        if piece.len() > PIECE_BYTES + TEXT_LINE_BYTES_MAX {
            let line = self.file.line + 1;
            batch.refuse(1, "the line is longer than a line of text may be (1 MiB)", || format!("line {line}"));
            return;
        }
        let mut read = lines(piece, self.format);
        while let Some(line) = read.next() {
            let number = self.file.line + read.number() as u64;
            let which = || format!("line {number}");
            match line {
                _ if self.has_ended => batch.refuse(1, "it stands behind # EOF", which),
                Ok(Line::Sample(sample)) => match sample.timestamp_ms {
                    None => batch.refuse(1, "the sample has no timestamp", which),
                    Some(timestamp_ms) => {
                        let rest: Vec<_> = sample.labels.iter().collect();
                        let rest = rest.iter().map(|(name, value)| (&**name, &**value));
                        match Labels::from_pairs([(METRIC_NAME, &*sample.name)].into_iter().chain(rest)) {
                            Ok(labels) => batch.push(labels, [Sample { timestamp_ms, value: sample.value }]),
                            Err(error) => batch.refuse(1, &error.to_string(), which),
                        }
                    }
                },
                Ok(_) => {}
                Err(error) => batch.refuse(1, error.what, which),
            }
        }
        self.has_ended |= read.has_ended();
    }
}

impl Source for TextFile {
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, ImportError> {
        while !batch.is_full() && !self.file.is_at_end() {
            let end = self.piece_end();
            let bytes = self.file.bytes.clone();
            let piece = &bytes[self.file.at..end];
            self.read_piece(piece, batch);
            self.file.check()?;
            self.file.line += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.file.at = end;
        }
        Ok(!self.file.is_at_end())
    }

    fn position(&self) -> Position {
        Position::File { byte: self.file.at as u64, line: self.file.line, samples: 0 }
    }

    fn go_to(&mut self, position: &Position) -> Result<(), ImportError> {
        match position {
            Position::File { byte, line, samples: 0 } => self.file.go_to(*byte, *line),
            _ => Err(foreign_position()),
        }
    }

    fn progress(&self) -> (u64, u64) {
        (self.file.at as u64, self.file.bytes.len() as u64)
    }

    fn identity(&self) -> String {
        self.file.identity()
    }

    fn remarks(&self) -> Vec<String> {
        let is_cut = self.format == Format::OpenMetrics && self.file.is_at_end() && !self.has_ended;
        is_cut.then(|| "the file does not end with # EOF: it may have been cut off".to_owned()).into_iter().collect()
    }
}

/// A file of JSON lines.
pub(super) struct JsonFile {
    file: LineFile,
    /// The line that begins where we are, if it is read already.
    current: Option<JsonLine>,
    /// How many of its samples are done.
    samples_done: usize,
}

impl JsonFile {
    pub(super) fn open(path: &Path, disk: &dyn Disk) -> Result<JsonFile, ImportError> {
        Ok(JsonFile { file: LineFile::open(path, disk)?, current: None, samples_done: 0 })
    }

    /// Reads the line that begins where we are. `None`: it gives nothing, and is told.
    fn read_line(&mut self, batch: &mut Batch) -> Result<Option<JsonLine>, ImportError> {
        if let Some(line) = self.current.take() {
            return Ok(Some(line));
        }
        let mut line = JsonLine::default();
        let read = line.read(&self.file.bytes[self.file.at..self.file.end_of_line(self.file.at)], LINE_SAMPLES_MAX);
        self.file.check()?;
        let number = self.file.line + 1;
        match read {
            Ok(()) => return Ok(Some(line)),
            Err(JsonLineError::Empty) => {}
            Err(JsonLineError::Malformed { at, what }) => {
                batch.refuse(1, what, || format!("line {number} at byte {at}"));
            }
            Err(JsonLineError::TooManySamples) => {
                batch.refuse(1, "the line has more than 4,000,000 samples", || format!("line {number}"));
            }
        }
        Ok(None)
    }

    fn pass_line(&mut self) {
        self.file.at = self.file.end_of_line(self.file.at);
        self.file.line += 1;
        self.samples_done = 0;
    }

    /// Puts samples of the line to the batch, as many as there is room for. Says whether that was all of it.
    fn take(&mut self, line: &JsonLine, batch: &mut Batch) -> bool {
        let left = line.samples().len().saturating_sub(self.samples_done);
        let count = left.min(batch.room());
        let number = self.file.line + 1;
        match Labels::from_pairs(line.labels()) {
            Ok(labels) if labels.metric_name().is_some() => {
                let samples = line.samples().skip(self.samples_done).take(count);
                batch.push(labels, samples.map(|(timestamp_ms, value)| Sample { timestamp_ms, value }));
            }
            Ok(_) => {
                batch.refuse(count as u64, "the label __name__ is missing", || format!("line {number}"));
            }
            Err(error) => batch.refuse(count as u64, &error.to_string(), || format!("line {number}")),
        }
        self.samples_done += count;
        count == left
    }
}

impl Source for JsonFile {
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, ImportError> {
        while !batch.is_full() && !self.file.is_at_end() {
            let Some(line) = self.read_line(batch)? else {
                self.pass_line();
                continue;
            };
            if self.take(&line, batch) {
                self.pass_line();
            } else {
                self.current = Some(line);
            }
        }
        Ok(!self.file.is_at_end())
    }

    fn position(&self) -> Position {
        Position::File { byte: self.file.at as u64, line: self.file.line, samples: self.samples_done }
    }

    fn go_to(&mut self, position: &Position) -> Result<(), ImportError> {
        let Position::File { byte, line, samples } = position else { return Err(foreign_position()) };
        self.file.go_to(*byte, *line)?;
        self.samples_done = *samples;
        Ok(())
    }

    fn progress(&self) -> (u64, u64) {
        (self.file.at as u64, self.file.bytes.len() as u64)
    }

    fn identity(&self) -> String {
        self.file.identity()
    }

    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}
