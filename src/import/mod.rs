//! History from elsewhere, sent to a server: files of samples, and the folders of a Prometheus.
//!
//! ```text
//! OpenMetrics, text ─┐
//! JSON lines ────────┼─► batch ─► remote write 1.0 ─► acknowledged ─► position in the state file ─► next batch
//! Prometheus data ───┘     ▲                           503: again, 413: in halves
//!                          └ about BATCH_SAMPLES_MAX samples
//! ```
//!
//! An acknowledged batch is on disk at the server, and only then the position behind it is noted. So an import that was
//! interrupted, by whatever, goes on there: nothing is left out, and what is sent twice is one sample.
//!
//! A server takes the samples of a series in order of time, give or take `head.out_of_order_window`. So blocks are read an
//! hour of all series at a time (`prometheus/mod.rs`); files are taken as they are, since whoever wrote them chose the order.
//!
//! Always true:
//! 1. Bytes of a source never panic: each length is checked before it is used. What is wrong with one line, chunk or series is
//!    counted with its reason, and the others are sent.
//! 2. Every sample of a source is counted once: stored, or refused with a reason.

mod batch;
mod files;
mod packed;
mod piece;
mod prometheus;
mod sample;
mod send;
mod source;
mod state;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use source::SourceKind;
pub use state::Tally;

use batch::Batch;
use send::Sender;
use source::Source;
use state::StateFile;

use crate::clock::Clock;
use crate::disk::{Disk, DiskError};

/// Why an import did not come to its end. What was acknowledged is stored, and noted.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Damage in what is to be imported.
    #[error("{file} at byte {offset}: {what}", file = file.display())]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// It is not what it was said to be.
    #[error("{0}")]
    Unusable(String),
    /// A file cannot be read, or the state not be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The server cannot be reached, or does not take it.
    #[error("{0}")]
    Server(String),
}

/// What is to be imported, where to, and how patiently.
#[derive(Clone, Debug)]
pub struct ImportPlan {
    /// What the source is.
    pub kind: SourceKind,
    /// The file or folder, as a whole path: by it an import is known when it is taken up again. Or `-`: lines that come by
    /// stdin, once.
    pub source: PathBuf,
    /// Address of the server, such as `http://127.0.0.1:9090`.
    pub url: String,
    /// Where the position is kept, as a whole path; beside the source if nothing is said.
    pub state: Option<PathBuf>,
    /// How long to try again without an acknowledgement before giving up.
    pub retry_for: Duration,
}

/// How far an import is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Bytes of the source that are read.
    pub done_bytes: u64,
    /// Bytes of the source.
    pub total_bytes: u64,
    /// Why the last request has to be sent again.
    pub waiting: Option<&'a str>,
}

/// An import that can be run, from the beginning or from where an earlier one was interrupted.
pub struct Import {
    source: Box<dyn Source>,
    sender: Sender,
    /// None for what cannot be read again.
    state: Option<StateFile>,
    tally: Tally,
    resumed: bool,
}

impl Import {
    /// Opens the source, and takes up the state of an earlier import of it, if there is one.
    pub fn open(plan: &ImportPlan, disk: Arc<dyn Disk>, clock: Clock) -> Result<Import, ImportError> {
        let mut source = source::open(plan.kind, &plan.source, &*disk)?;
        let state = (!source::is_stdin(&plan.source)).then(|| {
            let path = plan.state.clone().unwrap_or_else(|| state::beside(&plan.source));
            StateFile::new(disk, path, state::import_of(&source.identity(), &plan.url))
        });
        let earlier = state.as_ref().map(StateFile::read).transpose()?.flatten();
        let resumed = earlier.is_some();
        let mut tally = Tally::default();
        if let Some((position, noted)) = earlier {
            source.go_to(&position)?;
            tally = noted;
        }
        let sender = Sender::new(&plan.url, plan.retry_for, clock)?;
        Ok(Import { source, sender, state, tally, resumed })
    }

    /// Whether it goes on where an earlier one was interrupted, and how many samples that one stored.
    pub fn resumed(&self) -> Option<u64> {
        self.resumed.then_some(self.tally.stored)
    }

    /// What is worth knowing about the source.
    pub fn remarks(&mut self) -> Vec<String> {
        self.source.remarks()
    }

    /// What has become of the samples so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Sends everything. `show` is told after each batch how far it is, and when the server makes it wait.
    pub async fn run(&mut self, show: &mut dyn FnMut(Progress<'_>)) -> Result<(), ImportError> {
        let mut batch = Batch::default();
        loop {
            let is_more = self.source.fill(&mut batch)?;
            self.tally.note_series(batch.series());
            let (done_bytes, total_bytes) = self.source.progress();
            let mut wait = |why: &str| show(Progress { done_bytes, total_bytes, waiting: Some(why) });
            let answer = if batch.is_empty() { None } else { Some(self.sender.send(&mut batch, &mut wait).await?) };
            self.tally.note(batch.take_refused(), answer);
            batch.clear();
            if !is_more {
                break;
            }
            if let Some(state) = &self.state {
                state.write(&self.source.position(), &self.tally)?;
            }
            show(Progress { done_bytes, total_bytes, waiting: None });
            // A source may give nothing for long, so that nothing else is waited for.
            tokio::task::yield_now().await;
        }
        self.state.as_ref().map_or(Ok(()), StateFile::remove)
    }
}

#[cfg(test)]
mod tests;
