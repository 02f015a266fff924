//! The gateway over a simulated disk, with a clock that the tests move.

mod against_oracle;
mod bodies;
mod disk;
mod keys;
mod life;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::disk::SimulatedDisk;
use crate::ingest::{IngestLimits, MetricKind};
use crate::model::{Labels, MatchOp, Matcher, TimeRange};
use crate::storage::view::{Columns, SeriesView};
use crate::storage::{Storage, StorageOptions};

/// What the clock shows at first.
const NOW_MS: i64 = 1_700_000_000_000;
const FOLDER: &str = "/data/push_groups";
const INTERVAL_MS: i64 = 30_000;

/// A gateway over a database, both on one simulated disk.
struct Fixture {
    disk: Arc<SimulatedDisk>,
    clock: Clock,
    storage: Arc<Storage>,
    gateway: Arc<Pushgateway>,
    /// What was found damaged at the start.
    damage: Vec<String>,
    runtime: tokio::runtime::Runtime,
}

fn settings() -> PushSettings {
    PushSettings {
        folder: PathBuf::from(FOLDER),
        ttl_ms: 0,
        resample_interval_ms: INTERVAL_MS,
        groups_max: 10,
        series_per_group_max: 50,
        bytes_max: 1 << 20,
    }
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::on(Arc::new(SimulatedDisk::new()), Clock::manual(NOW_MS), settings())
    }

    fn with(settings: PushSettings) -> Fixture {
        Fixture::on(Arc::new(SimulatedDisk::new()), Clock::manual(NOW_MS), settings)
    }

    fn on(disk: Arc<SimulatedDisk>, clock: Clock, settings: PushSettings) -> Fixture {
        let options = StorageOptions::of_tests(2);
        let (storage, _, _) = Storage::open(options, disk.clone(), clock.clone(), Arc::new(|_: &Labels| false))
            .expect("the database opens");
        let ingest = Arc::new(Ingest::new(storage.clone(), IngestLimits::default(), clock.clone()));
        let (gateway, damage) = Pushgateway::open(ingest, disk.clone(), settings).expect("the folder can be read");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Fixture { disk, clock, storage, gateway, damage, runtime }
    }

    /// Loses power and starts again; what was not synced is gone.
    fn crash(self) -> Fixture {
        let (disk, clock) = (self.disk.clone(), self.clock.clone());
        let after = Arc::new(disk.crash(7));
        drop(self);
        Fixture::on(after, clock, settings())
    }

    fn push(&self, push: Push) -> Result<(), PushError> {
        self.runtime.block_on(self.gateway.push(push))
    }

    fn put(&self, path: &str, body: &str) -> Result<(), PushError> {
        self.push(put(path, body))
    }

    fn post(&self, path: &str, body: &str) -> Result<(), PushError> {
        self.push(Push { replace: false, ..put(path, body) })
    }

    fn delete(&self, path: &str) -> Result<(), PushError> {
        self.runtime.block_on(self.gateway.delete(path))
    }

    fn tick_after(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
        self.runtime.block_on(self.gateway.tick());
    }

    /// Samples of a series: ms since [`NOW_MS`], and the value, `None` for the staleness marker.
    fn samples(&self, series: &str) -> Vec<(i64, Option<f64>)> {
        let every_name = Matcher::new("__name__", MatchOp::NotEqual, "").expect("a matcher");
        let found = self.storage.view().select(&[every_name], TimeRange::ALL, usize::MAX).expect("a selection");
        let read = |series: &SeriesView| {
            let mut columns = Columns::default();
            series.read(TimeRange::ALL, &mut columns);
            let told = |value: f64| (!crate::model::is_stale(value)).then_some(value);
            columns.iter().map(|(time, value)| (time - NOW_MS, told(value))).collect()
        };
        let mut wanted = found.iter().filter(|found| found.labels().to_string() == series);
        wanted.next().map(read).unwrap_or_default()
    }

    fn groups(&self) -> Vec<Group> {
        self.runtime.block_on(self.gateway.all())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.storage.close();
    }
}

fn put(path: &str, body: &str) -> Push {
    Push { path: path.to_owned(), replace: true, body: Bytes::copy_from_slice(body.as_bytes()), ..Push::default() }
}

/// Status and text of a refusal.
fn refusal(outcome: Result<(), PushError>) -> (u16, String) {
    let error = outcome.expect_err("refused");
    (error.status(), error.to_string())
}
