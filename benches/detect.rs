//! What a sample costs in detection: through the worker of its shard alone, and with the judge behind it.
//!
//! 1,000 nodes in ten regions report every 15 s; a batch is a scrape of a hundred of them. Nothing is wrong with the shop,
//! so nothing fires: what is measured is the usual day.

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dozor::detect::{Judge, ModelOptions, Signal, Watch, Worker, start};
use dozor::model::{Labels, SeriesRef};
use dozor::storage::tap::{TapBatch, TapRow};

const START_MS: i64 = 1_700_000_100_000;
const INTERVAL_MS: i64 = 15_000;
const NODES: usize = 1_000;
const NODES_PER_BATCH: usize = 100;
const REGIONS: usize = 10;
/// Rounds before anything is measured: models learn for ten minutes.
const WARM_UP_ROUNDS: usize = 60;
const BOUNDS: [&str; 8] = ["0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf"];

/// What each node exposes: a name, and a bound where it is a histogram's.
type Exposed = [(&'static str, Option<&'static str>)];

/// A fleet whose scrapes come one after the other, in batches.
struct Fleet {
    series_per_node: usize,
    series: Vec<Arc<Labels>>,
    values: Vec<f64>,
    next: usize,
    state: u64,
}

impl Fleet {
    fn new(exposed: &Exposed) -> Fleet {
        let labels = |node: usize, (name, bound): (&str, Option<&str>)| {
            let (region, node) = (format!("r{}", node % REGIONS), format!("n{node}"));
            let mut pairs = vec![("__name__", name), ("node", &node), ("region", &region)];
            pairs.extend(bound.map(|bound| ("le", bound)));
            Arc::new(Labels::from_pairs(pairs).expect("distinct names"))
        };
        let series: Vec<_> = (0..NODES)
            .flat_map(|node| exposed.iter().map(move |&one| (node, one)))
            .map(|(node, one)| labels(node, one))
            .collect();
        Fleet { series_per_node: exposed.len(), values: vec![0.0; series.len()], series, next: 0, state: 1 }
    }

    /// Introduces all series.
    fn introduction(&self) -> TapBatch {
        let series = self.series.iter().enumerate().map(|(index, labels)| (reference(index), labels.clone()));
        TapBatch { series: series.collect(), ..TapBatch::default() }
    }

    fn batch(&mut self) -> TapBatch {
        let per_round = NODES / NODES_PER_BATCH;
        let (round, part) = (self.next / per_round, self.next % per_round);
        self.next += 1;
        let first = part * NODES_PER_BATCH * self.series_per_node;
        let indices = first..first + NODES_PER_BATCH * self.series_per_node;
        let timestamp_ms = START_MS + round as i64 * INTERVAL_MS + 100 * part as i64;
        let mut rows = Vec::with_capacity(indices.len());
        for index in indices {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.values[index] += (self.state >> 60) as f64;
            rows.push(TapRow { series: reference(index), timestamp_ms, value: self.values[index] });
        }
        TapBatch { rows, ..TapBatch::default() }
    }
}

fn reference(index: usize) -> SeriesRef {
    SeriesRef::new(0, 0, u32::try_from(index).expect("few series"))
}

fn watching(expressions: &[&str], fleet: &mut Fleet) -> (Worker, Judge) {
    let watch = |expression: &&str| Watch {
        identity: (*expression).to_owned(),
        signal: Signal::compile(expression).expect("it can be fed"),
        options: ModelOptions::default(),
        zone: None,
    };
    let (mut workers, mut judge) = start(expressions.iter().map(watch).collect(), 1, None);
    let mut worker = workers.remove(0);
    worker.handle(&fleet.introduction());
    for _ in 0..WARM_UP_ROUNDS * NODES / NODES_PER_BATCH {
        worker.handle(&fleet.batch());
        judge.poll();
    }
    (worker, judge)
}

fn samples(criterion: &mut Criterion) {
    let counter: &Exposed = &[("orders_total", None)];
    let fraction: &Exposed = &[("failed_total", None), ("paid_total", None)];
    let histogram: Vec<_> = BOUNDS.iter().map(|bound| ("seconds_bucket", Some(*bound))).collect();
    let failed = "sum by (region) (rate(failed_total[1m])) / sum by (region) (rate(paid_total[1m]))";
    let cases: [(&str, &[&str], &Exposed); 7] = [
        ("sum of rates, 100 nodes a group", &["sum by (region) (rate(orders_total[1m]))"], counter),
        ("rates, a group each", &["rate(orders_total[1m])"], counter),
        (
            "the same counter in three rules",
            &[
                "sum by (region) (rate(orders_total[1m]))",
                "sum(increase(orders_total[5m]))",
                "max by (region) (rate(orders_total[1m]))",
            ],
            counter,
        ),
        ("fraction of two counters", &[failed], fraction),
        (
            "quantile of 8 buckets",
            &["histogram_quantile(0.95, sum by (le, region) (rate(seconds_bucket[1m])))"],
            &histogram,
        ),
        ("plain values, a group each", &["orders_total"], counter),
        ("largest in five minutes", &["max by (region) (max_over_time(orders_total[5m]))"], counter),
    ];
    let mut group = criterion.benchmark_group("detect");
    for (case, expressions, exposed) in cases {
        let mut fleet = Fleet::new(exposed);
        let (mut worker, mut judge) = watching(expressions, &mut fleet);
        group.throughput(Throughput::Elements((NODES_PER_BATCH * exposed.len()) as u64));
        group.bench_function(format!("worker: {case}"), |bencher| {
            let next = || {
                judge.poll();
                fleet.batch()
            };
            bencher.iter_batched(next, |batch| worker.handle(&batch), BatchSize::PerIteration);
        });
        group.bench_function(format!("worker and judge: {case}"), |bencher| {
            let both = |batch| {
                worker.handle(&batch);
                judge.poll()
            };
            bencher.iter_batched(|| fleet.batch(), both, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, samples);
criterion_main!(benches);
