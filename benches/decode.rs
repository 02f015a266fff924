//! A remote-write body of 2,000 samples becomes rows: inflate, walk, hash, look up, among 40,000 known series.

#[expect(dead_code, reason = "each bench uses a part of what they share")]
mod shop;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dozor::clock::Clock;
use dozor::demo::{RequestEncoder, SERIES_PER_NODE};
use dozor::ingest::{Ingest, IngestLimits, WriteHead};

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
    group.finish();
    storage.close();
    cold.close();
}

criterion_group!(benches, decode);
criterion_main!(benches);
