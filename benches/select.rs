//! Finding series among 100,000 by their labels, and one query over two hours of a thousand of them.

#[expect(dead_code, reason = "each bench uses a part of what they share")]
mod shop;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dozor::clock::Clock;
use dozor::demo::SERIES_PER_NODE;
use dozor::model::{MatchOp, Matcher, Sample, TimeRange};
use dozor::query::{Engine, Limits, Options};
use dozor::storage::ShardBatch;

const NODES: usize = 2_500;
const QUERY_NODES: usize = 1_000;
/// Two hours.
const QUERY_SCRAPES: i64 = 480;

fn matchers(criterion: &mut Criterion) {
    let mut fleet = shop::shop(NODES);
    let storage = shop::storage();
    let mut batch = ShardBatch::default();
    for node in 0..NODES {
        for (series, value) in fleet.scrape(node, shop::START_MS).into_iter().enumerate() {
            let sample = Sample { timestamp_ms: shop::START_MS, value };
            batch.new.push(shop::new_series(&storage, &fleet, node, series, vec![sample]));
        }
    }
    shop::write(&storage, batch);
    assert_eq!(storage.series_count(), NODES * SERIES_PER_NODE);

    let name = || Matcher::equal("__name__", "shop_http_requests_total");
    let matcher = |name: &str, op, value: &str| Matcher::new(name, op, value).expect("a pattern");
    let cases = [
        ("equal, one node", vec![Matcher::equal("node", fleet.labels(7, 0).get("node").expect("a node's label"))]),
        ("equal, one metric", vec![Matcher::equal("__name__", "shop_orders_total")]),
        ("regex", vec![name(), matcher("node", MatchOp::Matches, ".*[05]")]),
        ("negative", vec![name(), matcher("region", MatchOp::NotEqual, "eu")]),
    ];
    let view = storage.view();
    let mut group = criterion.benchmark_group("select");
    for (case, matchers) in cases {
        let select = || view.select(&matchers, TimeRange::ALL, usize::MAX).expect("a selection").len();
        let found = select();
        assert!(found > 0, "{case} finds nothing");
        eprintln!("{case}: {found} of {} series", storage.series_count());
        group.throughput(Throughput::Elements(found as u64));
        group.bench_function(case, |bencher| bencher.iter(select));
    }
    group.finish();
    storage.close();
}

fn query(criterion: &mut Criterion) {
    let mut fleet = shop::shop(QUERY_NODES);
    let storage = shop::storage();
    let orders = fleet.series_index("shop_orders_total").expect("the shop has orders");
    let mut batch = ShardBatch::default();
    for node in 0..QUERY_NODES {
        let sample = |scrape: i64, fleet: &mut dozor::demo::Shop| {
            let timestamp_ms = shop::START_MS + scrape * shop::INTERVAL_MS;
            Sample { timestamp_ms, value: fleet.scrape(node, timestamp_ms)[orders] }
        };
        let samples = (0..QUERY_SCRAPES).map(|scrape| sample(scrape, &mut fleet)).collect();
        batch.new.push(shop::new_series(&storage, &fleet, node, orders, samples));
    }
    shop::write(&storage, batch);

    let engine = Engine::new(Limits::default(), Clock::system());
    let view = storage.view();
    let (from_ms, to_ms) = (shop::START_MS, shop::START_MS + (QUERY_SCRAPES - 1) * shop::INTERVAL_MS);
    let mut group = criterion.benchmark_group("query");
    group.throughput(Throughput::Elements(QUERY_NODES as u64 * QUERY_SCRAPES as u64));
    group.sample_size(30);
    group.bench_function("sum by (region) (rate(x[5m])), 1,000 series, 2 h in steps of 15 s", |bencher| {
        bencher.iter(|| {
            let text = "sum by (region) (rate(shop_orders_total[5m]))";
            engine.range(&view, text, from_ms, to_ms, shop::INTERVAL_MS, &Options::default()).expect("an answer")
        });
    });
    group.finish();
    storage.close();
}

criterion_group!(benches, matchers, query);
criterion_main!(benches);
