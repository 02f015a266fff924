//! The longest acknowledgement while a log segment ends, with a million series alive.
//!
//! A sender writes 2,000 samples at a time on a real disk, each synced, and waits for each answer. First nothing else
//! happens; then somebody asks for the segment's end, as a snapshot and a cut do. Prints a line of percentiles for each,
//! and exits.
//!
//! `DOZOR_BENCH_DIR` is the folder in which the database is made, and removed again.

#[expect(dead_code, reason = "each bench uses a part of what they share")]
mod shop;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dozor::clock::Clock;
use dozor::config::WalSync;
use dozor::disk::RealDisk;
use dozor::model::{Labels, Sample, SeriesRef};
use dozor::storage::{NewSeries, Row, ShardBatch, Storage, StorageOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERIES: usize = 1_000_000;
const ROWS: usize = 2_000;
/// How long each is looked at.
const QUIET: Duration = Duration::from_secs(10);

fn main() {
    let parent = std::env::var_os("DOZOR_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent).expect("a folder");
    let storage = open(folder.path().to_owned());
    let mut sender = Sender::new(&storage);

    let began = sender.clock.monotonic();
    sender.run("nothing else happens", ROWS, |_, now| now - began >= QUIET);

    let began = sender.clock.monotonic();
    let asking = storage.clone();
    let asked = std::thread::spawn(move || {
        for _ in 0..3 {
            std::thread::sleep(QUIET / 4);
            asking.compact_all().expect("maintained");
        }
    });
    sender.run("its end is asked for, three times", ROWS, |_, now| now - began >= QUIET);
    asked.join().expect("asked");
    storage.close();
}

fn open(data_dir: PathBuf) -> Arc<Storage> {
    let options = StorageOptions {
        data_dir,
        shard_count: 1,
        wal_sync: WalSync::Always,
        retention_ms: 0,
        retention_rules: Vec::new(),
        retention_bytes: 0,
        out_of_order_window_ms: 3_600_000,
        series_max: 2_000_000,
        head_bytes_max: usize::MAX,
        hash_seed: shop::SEED,
        recovery: Arc::default(),
    };
    let clock = Clock::manual(shop::START_MS + 3_600_000);
    let opened = Storage::open(options, Arc::new(RealDisk), clock, Arc::new(|_: &Labels| false));
    opened.expect("an empty database opens").0
}

struct Sender {
    storage: Arc<Storage>,
    clock: Clock,
    runtime: tokio::runtime::Runtime,
    series: Vec<SeriesRef>,
    next: usize,
    timestamp_ms: i64,
}

impl Sender {
    /// A sender whose series are all known.
    fn new(storage: &Arc<Storage>) -> Sender {
        let mut sender = Sender {
            storage: storage.clone(),
            clock: Clock::system(),
            runtime: shop::runtime(),
            series: Vec::new(),
            next: 0,
            timestamp_ms: shop::START_MS,
        };
        let raw_hash = |index: usize| storage.resolver().raw_hash(&(index as u64).to_le_bytes());
        for from in (0..SERIES).step_by(ROWS) {
            let new = |index: usize| {
                NewSeries::new(
                    Arc::new(labels(index)),
                    raw_hash(index),
                    vec![Sample { timestamp_ms: shop::START_MS, value: 1.0 }],
                )
            };
            sender.write(ShardBatch { new: (from..from + ROWS).map(new).collect(), ..ShardBatch::default() });
        }
        let known = storage.resolver().known();
        sender.series = (0..SERIES).map(|index| known.get(raw_hash(index)).expect("written")).collect();
        sender
    }

    fn write(&self, batch: ShardBatch) {
        let summary = self.runtime.block_on(self.storage.write(vec![batch])).expect("acknowledged");
        assert_eq!(summary.refused_count(), 0, "{:?}", summary.refused);
    }

    /// Writes until `is_enough` of so many requests, and prints what each waited.
    fn run(&mut self, what: &str, row_count: usize, mut is_enough: impl FnMut(usize, Duration) -> bool) {
        let storage = self.storage.clone();
        let logged = || storage.counters().log_bytes.load(Ordering::Relaxed) >> 20;
        let (mut waits, logged_before) = (Vec::new(), logged());
        while !is_enough(waits.len(), self.clock.monotonic()) {
            let rows = (0..row_count).map(|_| self.row()).collect();
            let began = self.clock.monotonic();
            self.write(ShardBatch { rows, ..ShardBatch::default() });
            waits.push(self.clock.monotonic() - began);
        }
        waits.sort_unstable();
        let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
        println!(
            "{what}: {} requests of {row_count} samples, p50 {:.1}, p99 {:.1}, p99.9 {:.1}, longest {:.1} ms; {} MiB in the log",
            waits.len(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
            logged() - logged_before
        );
    }

    /// The next series' next sample, a value of which every bit counts.
    fn row(&mut self) -> Row {
        if self.next == SERIES {
            self.next = 0;
        }
        if self.next == 0 {
            self.timestamp_ms += 1_000;
        }
        let series = self.series[self.next];
        self.next += 1;
        let bits = ((self.next as u64) ^ (self.timestamp_ms as u64) << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Row { series, timestamp_ms: self.timestamp_ms, value: f64::from_bits(bits >> 2 | 1) }
    }
}

/// Eight labels, of 250 bytes in all.
fn labels(index: usize) -> Labels {
    let (pod, host) = (index / 250, index / 250 % 500);
    let pairs = [
        ("__name__", format!("shop_http_requests_{}_total", index / 25 % 10)),
        ("job", format!("shop-{}", pod % 5)),
        ("instance", format!("10.0.{}.{}:9100", host / 250, host % 250)),
        ("region", ["eu-central-1", "us-east-1", "ap-south-1"][pod % 3].to_owned()),
        ("service", format!("checkout-{}", pod % 40)),
        ("route", format!("/api/v1/route-{}", (pod % 40) * 5 + index / 5 % 5)),
        ("code", [200, 201, 302, 404, 500][index % 5].to_string()),
        ("pod", format!("checkout-{}-7d9f8b6c5-{pod:05}", pod % 40)),
    ];
    Labels::from_pairs(pairs).expect("labels within the limits")
}
