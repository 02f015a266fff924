//! What is known of the metrics outlives the process: one file, read at the start and replaced when something changed.
//!
//! ```text
//! start    families.meta ─► Metadata
//! running  Metadata changed, and the last file is a minute old ─► families.meta
//! stop     Metadata changed ─► families.meta
//! ```
//!
//! A process that is killed loses a minute of it at most, and the next push or scrape brings that again.
//!
//! Always true: damage of the file costs descriptions and nothing else. What is whole is taken, the rest is told, and
//! the damaged file is put aside under another name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};

use crate::clock::Clock;
use crate::disk::{Disk, DiskError};
use crate::ingest::Metadata;

/// The file. It is only ever replaced as a whole.
pub(super) const FILE: &str = "families.meta";
/// How often it is looked whether something changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a file is left as it is.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);

/// The thread `metadata`, before it runs.
pub(super) struct MetadataKeeper {
    disk: Arc<dyn Disk>,
    file: PathBuf,
    clock: Clock,
    metadata: Arc<Metadata>,
    /// The changes that the file has.
    saved_changes: u64,
    /// When it was tried last.
    tried_at: Option<Duration>,
}

impl MetadataKeeper {
    /// Reads the file, if there is one.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        clock: &Clock,
        metadata: &Arc<Metadata>,
    ) -> MetadataKeeper {
        let (file, clock, metadata) = (data_dir.join(FILE), clock.clone(), metadata.clone());
        let mut keeper = MetadataKeeper { disk, file, clock, metadata, saved_changes: 0, tried_at: None };
        match keeper.restore() {
            Ok(()) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => tracing::error!(%error, "what was known of the metrics is not read; pushes bring it again"),
        }
        keeper
    }

    fn restore(&mut self) -> Result<(), DiskError> {
        let bytes = self.disk.read(&self.file)?;
        let restored = self.metadata.restore(&bytes);
        for damage in &restored.damage {
            tracing::error!("damage found: {} {damage}", self.file.display());
        }
        if restored.damage.is_empty() && !bytes.is_damaged() {
            self.saved_changes = self.metadata.changes();
            return Ok(());
        }
        let families = restored.families;
        tracing::error!(families, "a damaged file of metadata is put aside; pushes bring again what is missing");
        self.disk.rename(&self.file, &self.file.with_extension("meta.damaged"))
    }

    /// The loop of the thread. What is not saved yet when it is stopped is saved then.
    pub(super) fn run(mut self, stopped: &Receiver<()>) {
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK_INTERVAL) {
            let now = self.clock.monotonic();
            if self.tried_at.is_none_or(|tried_at| now.saturating_sub(tried_at) >= SAVE_INTERVAL) {
                self.save();
            }
        }
        self.save();
    }

    /// Replaces the file if something changed.
    fn save(&mut self) {
        // Counted before the families are read, so that a change in between is saved once more rather than never.
        let changes = self.metadata.changes();
        if changes == self.saved_changes {
            return;
        }
        self.tried_at = Some(self.clock.monotonic());
        match self.disk.replace(&self.file, &self.metadata.encode(self.clock.now_ms())) {
            Ok(()) => self.saved_changes = changes,
            Err(error) => tracing::error!(%error, "what is known of the metrics is not saved; it will be tried again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;
    use crate::ingest::MetricKind;

    const DATA: &str = "/data";

    fn keeper(disk: &Arc<SimulatedDisk>, metadata: &Arc<Metadata>) -> MetadataKeeper {
        let disk: Arc<dyn Disk> = disk.clone();
        MetadataKeeper::open(disk, Path::new(DATA), &Clock::manual(1_700_000_000_000), metadata)
    }

    fn disk() -> Arc<SimulatedDisk> {
        let disk = Arc::new(SimulatedDisk::new());
        disk.create_folder(Path::new(DATA)).expect("a folder");
        disk
    }

    #[test]
    fn what_was_saved_is_known_after_a_crash_and_what_was_not_is_saved_at_the_stop() {
        let (disk, metadata) = (disk(), Arc::new(Metadata::default()));
        let mut first = keeper(&disk, &metadata);
        metadata.learn("up", MetricKind::Gauge, "Runs.", "");
        first.save();
        metadata.learn("late_seconds", MetricKind::Counter, "", "seconds");
        let disk = Arc::new(disk.crash(7));
        let again = Arc::new(Metadata::default());
        let second = keeper(&disk, &again);
        assert_eq!(again.all().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["up"]);
        again.learn("late_seconds", MetricKind::Counter, "", "seconds");
        let (stop, stopped) = crossbeam::channel::bounded(1);
        stop.send(()).expect("there is room");
        second.run(&stopped);
        let third = Arc::new(Metadata::default());
        keeper(&disk, &third);
        assert_eq!(third.all(), again.all());
        assert_eq!(third.family_count(), 2);
    }

    #[test]
    fn damaged_file_is_put_aside_and_what_is_whole_is_taken() {
        let (disk, metadata) = (disk(), Arc::new(Metadata::default()));
        let mut first = keeper(&disk, &metadata);
        metadata.learn("a", MetricKind::Gauge, "first", "");
        metadata.learn("b", MetricKind::Gauge, "second", "");
        first.save();
        let file = Path::new(DATA).join(FILE);
        let mut bytes = disk.read(&file).expect("it is there").to_vec();
        let at = bytes.windows(5).position(|part| part == b"first").expect("the help text");
        bytes[at] ^= 1;
        disk.replace(&file, &bytes).expect("written");
        let again = Arc::new(Metadata::default());
        let mut second = keeper(&disk, &again);
        assert_eq!(again.all().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(disk.list(Path::new(DATA)).expect("a folder"), ["families.meta.damaged"]);
        second.save();
        assert!(disk.read(&file).is_ok(), "what was taken is saved again");
    }
}
