//! Files of lines: Prometheus's text formats, and JSON lines, compressed or not. They are read in pieces: their size does
//! not matter.

use super::ImportError;
use super::batch::Batch;
use super::piece::{LineFile, Next, PIECE_BYTES};
use super::source::{Position, Source, foreign_position};
use crate::ingest::{Format, JsonLine, JsonLineError, Line, lines};
use crate::model::{Labels, METRIC_NAME, Sample};

/// Longest line of text; a line of JSON may be longer, since one holds many samples.
const TEXT_LINE_BYTES_MAX: usize = 1 << 20;
const JSON_LINE_BYTES_MAX: usize = if cfg!(test) { 2 << 20 } else { 256 << 20 };
/// Most samples of one line of JSON.
const LINE_SAMPLES_MAX: usize = 4_000_000;

/// A file in one of Prometheus's text formats.
pub(super) struct TextFile {
    file: LineFile,
    format: Format,
    has_ended: bool,
}

impl TextFile {
    pub(super) fn new(file: LineFile, format: Format) -> TextFile {
        TextFile { file, format, has_ended: false }
    }

    /// Reads about so many bytes. Says whether there were any.
    fn read_on(&mut self, reach: usize, batch: &mut Batch) -> bool {
        match self.file.next_lines(reach, PIECE_BYTES + TEXT_LINE_BYTES_MAX) {
            Next::Lines(bytes) => {
                let piece = &self.file.held()[..bytes];
                read_lines(piece, self.file.line, self.format, &mut self.has_ended, batch);
                self.file.pass(bytes);
            }
            Next::TooLong => {
                let line = self.file.line + 1;
                let what = "the line is longer than a line of text may be (1 MiB)";
                batch.refuse(1, what, || format!("line {line}"));
                self.file.pass_line();
            }
            Next::End => return false,
        }
        true
    }

    /// Finds out whether the file has ended before a position, where nobody noted it.
    fn read_up_to(&mut self, byte: u64) -> Result<(), ImportError> {
        let mut done = Batch::default();
        while self.file.at < byte {
            let reach = usize::try_from(byte - self.file.at).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            if !self.read_on(reach, &mut done) {
                break;
            }
            done.clear();
            done.take_refused();
        }
        if self.file.at == byte { Ok(()) } else { Err(foreign_position()) }
    }
}

/// Adds what a piece of text says, which begins behind so many lines.
fn read_lines(piece: &[u8], lines_before: u64, format: Format, has_ended: &mut bool, batch: &mut Batch) {
    let mut read = lines(piece, format);
    while let Some(line) = read.next() {
        let number = lines_before + read.number() as u64;
        let which = || format!("line {number}");
        match line {
            _ if *has_ended => batch.refuse(1, "it stands behind # EOF", which),
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
    *has_ended |= read.has_ended();
}

impl Source for TextFile {
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, ImportError> {
        while !batch.is_full() {
            if !self.read_on(PIECE_BYTES, batch) {
                return self.file.end(batch);
            }
        }
        Ok(self.file.is_more())
    }

    fn position(&self) -> Position {
        let LineFile { at: byte, line, .. } = self.file;
        Position::File { byte, line, samples: 0, has_ended: Some(self.has_ended) }
    }

    fn go_to(&mut self, position: &Position) -> Result<(), ImportError> {
        match position {
            Position::File { byte, line, samples: 0, has_ended: Some(has_ended) } => {
                self.has_ended = *has_ended;
                self.file.go_to(*byte, *line)
            }
            Position::File { byte, samples: 0, has_ended: None, .. } => self.read_up_to(*byte),
            _ => Err(foreign_position()),
        }
    }

    fn progress(&self) -> (u64, u64) {
        self.file.progress()
    }

    fn identity(&self) -> String {
        self.file.identity()
    }

    fn remarks(&mut self) -> Vec<String> {
        let is_cut = self.format == Format::OpenMetrics && !self.has_ended && !self.file.is_more();
        is_cut.then(|| "the file does not end with # EOF: it may have been cut off".to_owned()).into_iter().collect()
    }
}

/// A file of JSON lines.
pub(super) struct JsonFile {
    file: LineFile,
    /// The line that begins where we are, if it is read already, and its bytes.
    current: Option<(JsonLine, usize)>,
    /// How many of its samples are done.
    samples_done: usize,
}

impl JsonFile {
    pub(super) fn new(file: LineFile) -> JsonFile {
        JsonFile { file, current: None, samples_done: 0 }
    }

    /// Reads the line that begins where we are, unless it is read; one that gives nothing is told and passed. Says whether there
    /// was one.
    fn read_line(&mut self, batch: &mut Batch) -> bool {
        if self.current.is_some() {
            return true;
        }
        let number = self.file.line + 1;
        let bytes = match self.file.next_line(JSON_LINE_BYTES_MAX) {
            Next::Lines(bytes) => bytes,
            Next::TooLong => {
                batch.refuse(1, "the line is longer than 256 MiB", || format!("line {number}"));
                self.file.pass_line();
                return true;
            }
            Next::End => return false,
        };
        let mut line = JsonLine::default();
        match line.read(&self.file.held()[..bytes], LINE_SAMPLES_MAX) {
            Ok(()) => {
                self.current = Some((line, bytes));
                return true;
            }
            Err(JsonLineError::Empty) => {}
            Err(JsonLineError::Malformed { at, what }) => {
                batch.refuse(1, what, || format!("line {number} at byte {at}"));
            }
            Err(JsonLineError::TooManySamples) => {
                batch.refuse(1, "the line has more than 4,000,000 samples", || format!("line {number}"));
            }
        }
        self.pass_line(bytes);
        true
    }

    fn pass_line(&mut self, bytes: usize) {
        self.file.pass(bytes);
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
        while !batch.is_full() {
            if !self.read_line(batch) {
                return self.file.end(batch);
            }
            let Some((line, bytes)) = self.current.take() else { continue };
            if self.take(&line, batch) {
                self.pass_line(bytes);
            } else {
                self.current = Some((line, bytes));
            }
        }
        Ok(self.file.is_more())
    }

    fn position(&self) -> Position {
        let LineFile { at: byte, line, .. } = self.file;
        Position::File { byte, line, samples: self.samples_done, has_ended: None }
    }

    fn go_to(&mut self, position: &Position) -> Result<(), ImportError> {
        let Position::File { byte, line, samples, .. } = position else { return Err(foreign_position()) };
        self.file.go_to(*byte, *line)?;
        self.samples_done = *samples;
        Ok(())
    }

    fn progress(&self) -> (u64, u64) {
        self.file.progress()
    }

    fn identity(&self) -> String {
        self.file.identity()
    }

    fn remarks(&mut self) -> Vec<String> {
        Vec::new()
    }
}
