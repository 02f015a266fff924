//! One scrape of 40,000 series goes through the shard and the log: 20 batches of 2,000 rows, all under way at once.
//! The disk keeps nothing, so this is the cost of memory and of handing over.

mod shop;

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dozor::demo::SERIES_PER_NODE;
use dozor::model::SeriesRef;
use dozor::storage::{Row, ShardBatch, Storage};

const NODES: usize = 1_000;
const ROWS: usize = 2_000;
/// Scrapes that are made ahead; their values come again in turn.
const SCRAPES: usize = 60;

fn append(criterion: &mut Criterion) {
    let mut fleet = shop::shop(NODES);
    let storage = shop::storage();
    let mut batch = ShardBatch::default();
    for node in 0..NODES {
        for (series, value) in fleet.scrape(node, shop::START_MS).into_iter().enumerate() {
            let sample = dozor::model::Sample { timestamp_ms: shop::START_MS, value };
            batch.new.push(shop::new_series(&storage, &fleet, node, series, vec![sample]));
        }
    }
    let hashes: Vec<u128> = batch.new.iter().map(|new| new.raw_hash).collect();
    shop::write(&storage, batch);
    let known = storage.resolver().known();
    let series: Vec<SeriesRef> = hashes.iter().map(|hash| known.get(*hash).expect("written")).collect();
    drop(known);
    let at = |scrape: usize| shop::START_MS + scrape as i64 * shop::INTERVAL_MS;
    let scrapes: Vec<Vec<f64>> = (1..=SCRAPES).map(|scrape| shop::scrape(&mut fleet, at(scrape))).collect();

    let runtime = shop::runtime();
    let mut scrape = 0;
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements((NODES * SERIES_PER_NODE) as u64));
    group.sample_size(30);
    group.bench_function("40,000 series round robin", |bencher| {
        let batches = |scrape: &mut usize| {
            *scrape += 1;
            batches_of(&series, &scrapes[*scrape % SCRAPES], at(*scrape))
        };
        bencher.iter_batched(
            || batches(&mut scrape),
            |batches| runtime.block_on(write_all(&storage, batches)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    storage.close();
}

fn batches_of(series: &[SeriesRef], values: &[f64], timestamp_ms: i64) -> Vec<ShardBatch> {
    let rows: Vec<Row> =
        series.iter().zip(values).map(|(series, value)| Row { series: *series, timestamp_ms, value: *value }).collect();
    rows.chunks(ROWS).map(|rows| ShardBatch { rows: rows.to_vec(), new: Vec::new(), ..ShardBatch::default() }).collect()
}

async fn write_all(storage: &Arc<Storage>, batches: Vec<ShardBatch>) {
    let mut writes = tokio::task::JoinSet::new();
    for batch in batches {
        let storage = storage.clone();
        writes.spawn(async move { storage.write(vec![batch]).await.expect("acknowledged").stored_count });
    }
    let stored: u64 = writes.join_all().await.into_iter().sum();
    assert_eq!(stored, (NODES * SERIES_PER_NODE) as u64);
}

criterion_group!(benches, append);
criterion_main!(benches);
