//! A body of 2,000 samples becomes rows, among 40,000 known series: of remote write in both versions (inflate, walk, hash,
//! look up), and of Prometheus's text format (find the lines, hash, look up, read the numbers).

#[expect(dead_code, reason = "each bench uses a part of what they share")]
mod shop;

use std::collections::HashMap;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use dozor::clock::Clock;
use dozor::demo::{RequestEncoder, SERIES_PER_NODE, Shop};
use dozor::ingest::{
    Ingest, IngestLimits, TextPush, WriteHead, append_bytes, append_fixed64, append_number, append_varint,
};
use dozor::model::METRIC_NAME;

const NODES: usize = 1_000;
const SAMPLES: usize = 2_000;

/// What announces version 2; version 1 needs no headers.
const V2: WriteHead<'_> = WriteHead {
    content_type: Some("application/x-protobuf;proto=io.prometheus.write.v2.Request"),
    content_encoding: Some("snappy"),
    version: Some("2.0.0"),
};

/// One scrape of the fleet in bodies of [`SAMPLES`] samples.
fn bodies_v1(fleet: &mut Shop) -> Vec<Bytes> {
    let (mut encoder, mut bodies) = (RequestEncoder::new(), Vec::new());
    for node in 0..NODES {
        for (series, value) in fleet.scrape(node, shop::START_MS).into_iter().enumerate() {
            encoder.push(fleet.label_bytes(node, series), shop::START_MS, value);
            if encoder.sample_count() == SAMPLES {
                bodies.push(Bytes::copy_from_slice(encoder.finish()));
            }
        }
    }
    bodies
}

/// The same as Prometheus writes it: symbols first, and an empty description behind each sample.
fn bodies_v2(fleet: &mut Shop) -> Vec<Bytes> {
    let nodes_per_body = SAMPLES / SERIES_PER_NODE;
    let body = |first: usize| {
        let (mut references, mut symbols, mut all) = (HashMap::new(), vec![0x22, 0], Vec::new());
        for node in first..first + nodes_per_body {
            for (series, value) in fleet.scrape(node, shop::START_MS).into_iter().enumerate() {
                let (labels, mut packed) = (fleet.labels(node, series), Vec::new());
                for text in labels.iter().flat_map(|(name, value)| [name.to_owned(), value.to_owned()]) {
                    let next = references.len() as u64 + 1;
                    append_varint(
                        &mut packed,
                        *references.entry(text).or_insert_with_key(|text| {
                            append_bytes(&mut symbols, 4, text.as_bytes());
                            next
                        }),
                    );
                }
                let mut sample = Vec::new();
                append_fixed64(&mut sample, 1, value.to_bits());
                append_number(&mut sample, 2, shop::START_MS as u64);
                let mut content = Vec::new();
                append_bytes(&mut content, 1, &packed);
                append_bytes(&mut content, 2, &sample);
                append_bytes(&mut content, 5, &[]);
                append_bytes(&mut all, 5, &content);
            }
        }
        let message = [symbols, all].concat();
        snap::raw::Encoder::new().compress_vec(&message).expect("a message is compressed").into()
    };
    (0..NODES).step_by(nodes_per_body).map(body).collect()
}

fn decode(criterion: &mut Criterion) {
    let mut fleet = shop::shop(NODES);
    let runtime = shop::runtime();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    for (version, head, bodies) in
        [("1.0", WriteHead::default(), bodies_v1(&mut fleet)), ("2.0", V2, bodies_v2(&mut fleet))]
    {
        assert_eq!(bodies.len(), NODES * SERIES_PER_NODE / SAMPLES);
        let storage = shop::storage();
        let ingest = Ingest::new(storage.clone(), IngestLimits::default(), Clock::system());
        let mut turn = 0;
        let mut read_next = || {
            turn = (turn + 1) % bodies.len();
            ingest.read(head, &bodies[turn]).expect("a valid body")
        };
        group.bench_function(format!("{version}, unknown series"), |bencher| bencher.iter(&mut read_next));
        for body in &bodies {
            runtime.block_on(ingest.remote_write(head, body.clone())).expect("taken");
        }
        group.bench_function(format!("{version}, known series"), |bencher| bencher.iter(&mut read_next));
        storage.close();
    }
    decode_text(&mut group, &texts(&mut fleet));
    group.finish();
}

fn decode_text(group: &mut BenchmarkGroup<'_, WallTime>, texts: &[String]) {
    let storage = shop::storage();
    let ingest = Ingest::new(storage.clone(), IngestLimits::default(), Clock::system());
    for text in texts {
        let outcome = shop::runtime().block_on(ingest.import_text(TextPush::default(), text.clone().into()));
        assert_eq!(outcome.expect("taken").samples, SAMPLES as u64);
    }
    let mut turn = 0;
    group.bench_function("text, known series", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % texts.len();
            ingest.read_text(TextPush::default(), texts[turn].as_bytes()).expect("a valid text")
        });
    });
    storage.close();
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
