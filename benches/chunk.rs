//! The chunk code by itself: two hours of the shop's series, sorted by what their values are like.

#[expect(dead_code, reason = "each bench uses a part of what they share")]
mod shop;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dozor::demo::SERIES_PER_NODE;
use storage_format::chunk::{Appender, decode};

const NODES: usize = 20;
/// Two hours.
const SCRAPES: usize = 480;
/// The fleet of which 40,000 chunks are open at once.
const FLEET_NODES: usize = 1_000;
/// Samples in a chunk of the head.
const FLEET_SCRAPES: usize = 128;

/// Columns of one kind of series.
struct Kind {
    name: &'static str,
    columns: Vec<Vec<f64>>,
}

/// Counters count things; floats have digits behind the point that never repeat; the rest are gauges.
fn kind_of(name: &str) -> usize {
    match name {
        _ if name.ends_with("_seconds_sum") || name.ends_with("_seconds_total") => 2,
        _ if name.ends_with("_total") || name.ends_with("_bucket") || name.ends_with("_count") => 0,
        _ => 1,
    }
}

fn kinds() -> [Kind; 3] {
    let mut fleet = shop::shop(NODES);
    let mut kinds = ["counters", "gauges", "floats"].map(|name| Kind { name, columns: Vec::new() });
    for node in 0..NODES {
        let mut columns = vec![Vec::new(); SERIES_PER_NODE];
        for scrape in 0..SCRAPES {
            let values = fleet.scrape(node, timestamp_ms(scrape));
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
        for (series, column) in columns.into_iter().enumerate() {
            let labels = fleet.labels(node, series);
            kinds[kind_of(labels.metric_name().expect("every series has a name"))].columns.push(column);
        }
    }
    kinds
}

fn timestamp_ms(scrape: usize) -> i64 {
    shop::START_MS + scrape as i64 * shop::INTERVAL_MS
}

fn encode(columns: &[Vec<f64>], streams: &mut [Vec<u8>]) {
    for (column, stream) in columns.iter().zip(streams) {
        stream.clear();
        let mut appender = Appender::default();
        for (scrape, value) in column.iter().enumerate() {
            appender.append(stream, timestamp_ms(scrape), *value);
        }
    }
}

fn encode_round_robin(columns: &[Vec<f64>], appenders: &mut [Appender], streams: &mut [Vec<u8>]) {
    appenders.fill(Appender::default());
    streams.iter_mut().for_each(Vec::clear);
    for scrape in 0..SCRAPES {
        for ((column, appender), stream) in columns.iter().zip(appenders.iter_mut()).zip(streams.iter_mut()) {
            appender.append(stream, timestamp_ms(scrape), column[scrape]);
        }
    }
}

fn chunk(criterion: &mut Criterion) {
    for kind in kinds() {
        let samples = (kind.columns.len() * SCRAPES) as u64;
        let mut streams = vec![Vec::new(); kind.columns.len()];
        encode(&kind.columns, &mut streams);
        let bytes: usize = streams.iter().map(Vec::len).sum();
        eprintln!("{}: {} series, {:.2} bytes a sample", kind.name, streams.len(), bytes as f64 / samples as f64);

        let mut group = criterion.benchmark_group("chunk");
        group.throughput(Throughput::Elements(samples));
        let mut scratch = streams.clone();
        group.bench_function(format!("encode {}", kind.name), |bencher| {
            bencher.iter(|| encode(&kind.columns, &mut scratch));
        });
        let mut appenders = vec![Appender::default(); streams.len()];
        group.bench_function(format!("encode {} round robin", kind.name), |bencher| {
            bencher.iter(|| encode_round_robin(&kind.columns, &mut appenders, &mut scratch));
        });
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        group.bench_function(format!("decode {}", kind.name), |bencher| {
            bencher.iter(|| {
                for stream in &streams {
                    timestamps.clear();
                    values.clear();
                    decode(stream, SCRAPES, &mut timestamps, &mut values).expect("our own stream");
                }
            });
        });
        group.finish();
    }
}

/// What the head does: 40,000 series, one sample of each after the other, chunks of as many samples as the head's.
fn fleet(criterion: &mut Criterion) {
    let mut fleet = shop::shop(FLEET_NODES);
    let scrapes: Vec<Vec<f64>> =
        (0..FLEET_SCRAPES).map(|scrape| shop::scrape(&mut fleet, timestamp_ms(scrape))).collect();
    let mut open = vec![(Appender::default(), Vec::new()); FLEET_NODES * SERIES_PER_NODE];
    let append_all = |open: &mut [(Appender, Vec<u8>)]| {
        for (scrape, values) in scrapes.iter().enumerate() {
            for ((appender, stream), value) in open.iter_mut().zip(values) {
                appender.append(stream, timestamp_ms(scrape), *value);
            }
        }
    };
    append_all(&mut open);
    let samples = open.len() * FLEET_SCRAPES;
    let bytes: usize = open.iter().map(|(_, stream)| stream.len()).sum();
    eprintln!("fleet: {} series, {:.2} bytes a sample", open.len(), bytes as f64 / samples as f64);

    let mut group = criterion.benchmark_group("chunk");
    group.throughput(Throughput::Elements(samples as u64)).sample_size(20);
    group.bench_function("append to each of 40,000 in turn", |bencher| {
        bencher.iter(|| {
            for (appender, stream) in &mut open {
                *appender = Appender::default();
                stream.clear();
            }
            append_all(&mut open);
        });
    });
    group.finish();
}

criterion_group!(benches, chunk, fleet);
criterion_main!(benches);
