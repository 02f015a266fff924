//! What a series costs: a million series of eight labels, ten samples each, and the process's memory for it.
//!
//! The labels are those of a fleet: 4,000 pods on 500 hosts, and in each pod ten metrics by five routes by five status
//! codes. Prints one line and exits; the figure is resident memory, so it includes everything: labels, label index,
//! resolver, chunks, and what the allocator loses.

#[expect(dead_code, reason = "each bench uses a part of what they share")]
mod shop;

use std::sync::Arc;

use dozor::model::{Labels, Sample, SeriesRef};
use dozor::storage::{NewSeries, Row, ShardBatch, Storage};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PODS: usize = 4_000;
const SERIES_PER_POD: usize = 250;
const SERIES: usize = PODS * SERIES_PER_POD;
const SAMPLES: i64 = 10;
/// Rows of one request, as a sender's usual batch has them.
const ROWS: usize = 2_000;

fn main() {
    let storage = shop::storage();
    let before = memory("VmRSS:");
    let (runtime, mut newest_ms) = (shop::runtime(), shop::START_MS);
    let write = |batch: ShardBatch| {
        let summary = runtime.block_on(storage.write(vec![batch])).expect("acknowledged");
        assert_eq!(summary.refused_count(), 0, "{:?}", summary.refused);
    };
    for pod in 0..PODS {
        let new = (0..SERIES_PER_POD).map(|index| new_series(&storage, pod, index));
        write(ShardBatch { rows: Vec::new(), new: new.collect(), ..ShardBatch::default() });
    }
    let series: Vec<SeriesRef> = {
        let known = storage.resolver().known();
        (0..SERIES).map(|index| known.get(raw_hash(&storage, index)).expect("written")).collect()
    };
    for scrape in 1..SAMPLES {
        newest_ms = shop::START_MS + scrape * shop::INTERVAL_MS;
        for (from, part) in series.chunks(ROWS).enumerate() {
            let row = |(index, series): (usize, &SeriesRef)| Row {
                series: *series,
                timestamp_ms: newest_ms,
                value: value(from * ROWS + index, scrape),
            };
            write(ShardBatch {
                rows: part.iter().enumerate().map(row).collect(),
                new: Vec::new(),
                ..ShardBatch::default()
            });
        }
    }
    drop(series);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!((storage.series_count(), storage.newest_ms()), (SERIES, newest_ms));
    let each = |bytes: u64| bytes.saturating_sub(before) / SERIES as u64;
    println!(
        "{SERIES} series, {SAMPLES} samples each: {} bytes a series resident, {} at the highest, {} of them samples",
        each(memory("VmRSS:")),
        each(memory("VmHWM:")),
        storage.head_sample_bytes() / SERIES,
    );
    storage.close();
}

/// Bytes of this line of the process's status.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let found = status.lines().find_map(|candidate| candidate.strip_prefix(line)).expect("the line is there");
    found.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// A counter that grows by some tens a scrape.
fn value(index: usize, scrape: i64) -> f64 {
    (index % 977) as f64 * 100.0 + scrape as f64 * (1 + index % 60) as f64
}

fn raw_hash(storage: &Storage, index: usize) -> u128 {
    storage.resolver().raw_hash(&(index as u64).to_le_bytes())
}

fn new_series(storage: &Storage, pod: usize, index: usize) -> NewSeries {
    let (metric, route, code) = (index / 25, index / 5 % 5, [200, 201, 302, 404, 500][index % 5]);
    let host = pod % 500;
    let pairs = [
        ("__name__", format!("shop_http_requests_{metric}_total")),
        ("job", format!("shop-{}", pod % 5)),
        ("instance", format!("10.0.{}.{}:9100", host / 250, host % 250)),
        ("region", ["eu-central-1", "us-east-1", "ap-south-1"][pod % 3].to_owned()),
        ("service", format!("checkout-{}", pod % 40)),
        ("route", format!("/api/v1/route-{}", (pod % 40) * 5 + route)),
        ("code", code.to_string()),
        ("pod", format!("checkout-{}-7d9f8b6c5-{pod:05}", pod % 40)),
    ];
    let whole = pod * SERIES_PER_POD + index;
    NewSeries::new(
        Arc::new(Labels::from_pairs(pairs).expect("labels within the limits")),
        raw_hash(storage, whole),
        vec![Sample { timestamp_ms: shop::START_MS, value: value(whole, 0) }],
    )
}
