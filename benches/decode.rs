//! A body of 2,000 samples becomes rows, among 40,000 known series: of remote write (inflate, walk, hash, look up), and
//! of Prometheus's text format (find the lines, hash, look up, read the numbers).

#[expect(dead_code, reason = "each bench uses a part of what they share")]
mod shop;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dozor::clock::Clock;
use dozor::demo::{RequestEncoder, SERIES_PER_NODE, Shop};
use dozor::ingest::{Ingest, IngestLimits, TextPush, WriteHead};
use dozor::model::METRIC_NAME;

const NODES: usize = 1_000;
const SAMPLES: usize = 2_000;

fn decode(criterion: &mut Criterion) {
    let mut fleet = shop::shop(NODES);
    let storage = shop::storage();
    let ingest = Ingest::new(storage.clone(), IngestLimits::default(), Clock::system());
    let (mut encoder, mut bodies) = (RequestEncoder::new(), Vec::new());
    for node in 0..NODES {
        for (series, value) in fleet.scrape(node, shop::START_MS).into_iter().enumerate() {
            encoder.push(fleet.label_bytes(node, series), shop::START_MS, value);
            if encoder.sample_count() == SAMPLES {
                bodies.push(bytes::Bytes::copy_from_slice(encoder.finish()));
            }
        }
    }
    assert_eq!(bodies.len(), NODES * SERIES_PER_NODE / SAMPLES);
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(SAMPLES as u64));

    let cold = shop::storage();
    let unknowing = Ingest::new(cold.clone(), IngestLimits::default(), Clock::system());
    let mut turn = 0;
    group.bench_function("unknown series", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % bodies.len();
            unknowing.read(&bodies[turn]).expect("a valid body")
        });
    });
    let runtime = shop::runtime();
    for body in &bodies {
        runtime.block_on(ingest.remote_write(WriteHead::default(), body.clone())).expect("taken");
    }
    group.bench_function("known series", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % bodies.len();
            ingest.read(&bodies[turn]).expect("a valid body")
        });
    });
    let texts = texts(&mut fleet);
    for text in &texts {
        let outcome = runtime.block_on(ingest.import_text(TextPush::default(), text.clone().into()));
        assert_eq!(outcome.expect("taken").samples, SAMPLES as u64);
    }
    group.bench_function("known series, text", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % texts.len();
            ingest.read_text(TextPush::default(), texts[turn].as_bytes()).expect("a valid text")
        });
    });
    group.finish();
    storage.close();
    cold.close();
}

/// The same scrape as pages of an exporter, with times.
fn texts(fleet: &mut Shop) -> Vec<String> {
    let (mut texts, mut text, mut count) = (Vec::new(), String::new(), 0);
    let timestamp_ms = shop::START_MS + shop::INTERVAL_MS;
    for node in 0..NODES {
        for (series, value) in fleet.scrape(node, timestamp_ms).into_iter().enumerate() {
            let labels = fleet.labels(node, series);
            let pair = |(name, value): (&str, &str)| format!("{name}=\"{value}\"");
            let pairs: Vec<String> = labels.iter().filter(|(name, _)| *name != METRIC_NAME).map(pair).collect();
            let name = labels.metric_name().expect("series have names");
            text.push_str(&format!("{name}{{{}}} {value} {timestamp_ms}\n", pairs.join(",")));
            count += 1;
            if count % SAMPLES == 0 {
                texts.push(std::mem::take(&mut text));
            }
        }
    }
    texts
}

criterion_group!(benches, decode);
criterion_main!(benches);
