//! What all sources have in common.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ImportError;
use super::batch::Batch;
use super::files::{JsonFile, TextFile};
use super::packed::Packed;
use super::piece::LineFile;
use super::prometheus::DataFolder;
use crate::disk::Disk;
use crate::ingest::Format;

/// The kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A file in OpenMetrics's text format, with times in seconds.
    OpenMetrics,
    /// A file in Prometheus's text format, with times in ms, as `promtool tsdb dump` prints.
    Text,
    /// A file of JSON lines.
    JsonLines,
    /// A data folder of a Prometheus that does not run, with its log; a snapshot of one; or a single block.
    Prometheus,
}

/// Where in a source everything before is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Position {
    /// In a file: byte of what it inflates to at which a line begins, how many lines lie before, and how many samples of it
    /// are done.
    File {
        byte: u64,
        line: u64,
        samples: usize,
        /// Whether a text's `# EOF` lies before. Earlier states do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        has_ended: Option<bool>,
    },
    /// In blocks: the hour, in ms, and how many series of it are done.
    Blocks { hour_ms: i64, series: u64 },
    /// In the log behind the blocks: how many of its records are done.
    Log { records: u64 },
}

/// Something that gives samples, in batches, always the same ones in the same order.
pub(super) trait Source {
    /// Adds what comes next to the batch until that is full. Says whether there may be more.
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, ImportError>;
    /// The position behind the last sample given.
    fn position(&self) -> Position;
    /// Goes on from a position that an equal source gave. Called before anything is read.
    fn go_to(&mut self, position: &Position) -> Result<(), ImportError>;
    /// How many bytes of how many are done, for people.
    fn progress(&self) -> (u64, u64);
    /// What it is, changed whenever its contents are.
    fn identity(&self) -> String;
    /// What is worth knowing about it.
    fn remarks(&mut self) -> Vec<String>;
}

pub(super) fn open(kind: SourceKind, path: &Path, disk: &dyn Disk) -> Result<Box<dyn Source>, ImportError> {
    let file = || match is_stdin(path) {
        true => Ok(LineFile::new(Packed::of_stream(path, Box::new(std::io::stdin().lock()))?)),
        false => LineFile::open(path, disk),
    };
    Ok(match kind {
        SourceKind::OpenMetrics => Box::new(TextFile::new(file()?, Format::OpenMetrics)),
        SourceKind::Text => Box::new(TextFile::new(file()?, Format::Text)),
        SourceKind::JsonLines => Box::new(JsonFile::new(file()?)),
        SourceKind::Prometheus => Box::new(DataFolder::open(path, disk)?),
    })
}

/// Whether what comes by stdin is meant.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The position in a file is not where this source can go.
pub(super) fn foreign_position() -> ImportError {
    ImportError::Unusable("the state file is of another kind of source: remove it to begin anew".to_owned())
}
