//! No bytes make a decoder panic, loop, or reserve more memory than a small multiple of their length: every target of
//! `fuzz/targets.rs` over golden and generated files that were changed by chance, the same on every run.
//!
//! A decoder that loops makes a test that does not end. For more chance than a few seconds have, see `fuzz/src/main.rs`.

#[path = "../fuzz/chance.rs"]
mod chance;
#[path = "../fuzz/seal.rs"]
mod seal;
#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::PathBuf;
use std::sync::Arc;

use chance::{Chance, changed};
use peak_alloc::PeakAlloc;
use storage_format::block::{BlockRange, BlockWriter};
use storage_format::block_v1;
use storage_format::chunk::{self, Appender, KIND_DELTA};
use storage_format::column::{self, Effort, Numbers};
use storage_format::frame::{FileHeader, FileKind, begin_record, seal_group, seal_payload};
use storage_format::group::{Column, GroupEncoder};
use storage_format::histogram::{self, Histogram, Layout, Span};
use storage_format::manifest::{Cause, Manifest, ManifestFile};
use storage_format::tombstones::Tombstone;
use storage_format::{log, tombstones};
use targets::TARGETS;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Inputs of each target made of each seed file.
const INPUTS: u64 = 500;
/// What a target may have reserved at a time besides the input and in proportion to it.
const BYTES_PER_BYTE_MAX: usize = 64;
/// And besides that: columns have up to 4,096 samples however short they are, and a reader of groups remembers some.
const BYTES_BASE_MAX: usize = 4 << 20;

fn golden(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    let files = ["v1", "v2"].map(|version| folder.join(version).join(format!("{name}.bin")));
    files.iter().filter(|file| file.exists()).map(|file| std::fs::read(file).expect("a golden file")).collect()
}

/// Whole files to change.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let mut seeds = golden(name);
    match name {
        "log" => seeds.push(log_file()),
        "chunk" => seeds.push(stored_chunk()),
        "column" => seeds.push(columns()),
        "histogram" => seeds.extend([histograms(false), histograms(true)]),
        "group" => {
            seeds.extend([group(2, 3, Effort::Fresh), group(40, 120, Effort::Compact), group_of_histograms()]);
        }
        "block" => {
            seeds.extend(golden("whole"));
            seeds.extend([block(300), block_of_version_1()]);
        }
        "tombstones" => seeds.push(tombstones_file()),
        "manifest" => seeds.push(manifest()),
        _ => {}
    }
    assert!(!seeds.is_empty(), "{name}");
    seeds
}

/// Values of one of the natures that columns have codes for.
fn values(nature: usize, count: usize, chance: &mut Chance) -> Vec<f64> {
    let mut total = 0;
    let one = |index: usize, chance: &mut Chance| match nature % 7 {
        0 => 7.0,
        1 => index as f64 * 2.5,
        2 => chance.below(1000) as f64 / 10.0,
        3 => f64::from_bits(0x7ff0_0000_0000_0002 - u64::from(!index.is_multiple_of(9))),
        4 => f64::from_bits(chance.below(usize::MAX) as u64),
        5 => chance.one_of(&[0.0, 0.0, 0.0, 0.0, 0.0, 1e9, -3.0]),
        _ => {
            total += chance.below(20) * chance.below(20);
            total as f64
        }
    };
    let mut one = one;
    (0..count).map(|index| one(index, chance)).collect()
}

fn timestamps(nature: usize, count: usize, chance: &mut Chance) -> Vec<i64> {
    let jitter = |chance: &mut Chance| if nature.is_multiple_of(3) { 0 } else { chance.below(9) as i64 };
    let skip = |index: i64| if nature % 3 == 2 { index / 9 } else { 0 };
    (0..count as i64).map(|index| 1_000_000 + 15_000 * (index + skip(index)) + jitter(chance)).collect()
}

fn log_file() -> Vec<u8> {
    let mut chance = Chance::of(1);
    let header = FileHeader::new(FileKind::Log, 3, 1_700_000_000_000, 5);
    let (mut file, mut chain) = (header.encode().to_vec(), header.chain_start());
    for number in 0..7 {
        let mut records = Vec::new();
        let start = begin_record(&mut records);
        let rows: Vec<(u64, i64, f64)> =
            values(number, 40, &mut chance).into_iter().zip(0..).map(|(value, row)| (row * 3 % 7, 5, value)).collect();
        match number {
            0 => {
                (0..9).for_each(|series| log::append_series(&mut records, series, [("__name__", "up"), ("node", "7")]))
            }
            5 => log::append_deletion(&mut records, 0, 99, &[1u64, 5, 3]),
            6 => {
                let stale = Histogram::stale();
                log::append_histograms(
                    &mut records,
                    &[(1u64, 7, &Histogram::default()), (1, 8, &stale), (4, 7, &stale)],
                );
            }
            _ => log::append_samples(&mut records, &rows),
        }
        let kinds =
            [log::KIND_SERIES, log::KIND_SAMPLES, log::KIND_BELATED, 3, 3, log::KIND_DELETION, log::KIND_HISTOGRAMS];
        seal_payload(&mut records, start, kinds[number], 1);
        chain = seal_group(&mut records, chain, 0);
        file.extend_from_slice(&records);
    }
    file
}

fn stored_chunk() -> Vec<u8> {
    let (mut appender, mut stream, mut stored) = (Appender::default(), Vec::new(), Vec::new());
    let mut chance = Chance::of(2);
    for nature in 0..7 {
        for (timestamp_ms, value) in
            timestamps(nature, 30, &mut chance).into_iter().zip(values(nature, 30, &mut chance))
        {
            appender.append(&mut stream, timestamp_ms, value);
        }
    }
    chunk::encode_stored(KIND_DELTA, appender.count(), &stream, &mut stored);
    stored
}

/// As the target of columns reads them.
fn columns() -> Vec<u8> {
    let (mut chance, mut encoder, mut out) = (Chance::of(3), column::Encoder::default(), Vec::new());
    let mut before = Numbers::default();
    for nature in 0..14 {
        let mut numbers = Numbers::default();
        let count = if nature % 2 == 0 { 300 } else { 5 };
        numbers.read(&values(nature, count, &mut chance), Effort::Fresh, None);
        let reference = Some(before.integers.as_slice()).filter(|integers| integers.len() == count);
        let effort = if nature < 7 { Effort::Compact } else { Effort::Fresh };
        let mut body = Vec::new();
        encoder.encode(&numbers, effort, reference, &mut body);
        out.extend_from_slice(&(count as u16).to_le_bytes());
        out.extend_from_slice(&(body.len() as u16).to_le_bytes());
        out.extend_from_slice(&body);
        before = numbers;
    }
    out
}

/// Two layouts, one behind the other, with numbers of several natures and series that end.
fn observed(count: u32, chance: &mut Chance) -> Vec<Histogram> {
    let mut layout = Arc::new(Layout::default());
    let mut one = |number: u32| {
        if number.is_multiple_of(30) {
            let spans = |offset| vec![Span { offset, length: 3 }, Span { offset: 2, length: 1 + number / 30 }];
            let custom_values = if number == 90 { vec![0.5, 1.0] } else { Vec::new() }.into();
            layout = Arc::new(Layout { custom_values, positive: spans(-2), negative: spans(4), ..Layout::default() });
        }
        let buckets = layout.positive.iter().map(|span| span.length as usize).sum();
        let nature = if number % 40 < 30 { 6 } else { 4 };
        let [positive, negative] = [(); 2].map(|()| values(nature, buckets, chance));
        let [sum, count] = [0, nature].map(|nature| values(nature, 1, chance)[0]);
        let histogram = Histogram { layout: layout.clone(), sum, count, positive, negative, ..Histogram::default() };
        if number % 17 == 16 { Histogram::stale() } else { histogram }
    };
    (0..count).map(&mut one).collect()
}

/// As the target of histograms reads them: as pages or as a stream.
fn histograms(as_pages: bool) -> Vec<u8> {
    let mut chance = Chance::of(5);
    let samples = observed(120, &mut chance);
    let mut out = (samples.len() as u16).to_le_bytes().to_vec();
    if as_pages {
        histogram::encode_pages(&samples, Effort::Compact, &mut out);
    } else {
        let mut appender = histogram::Appender::default();
        let times = timestamps(1, samples.len(), &mut chance);
        times.into_iter().zip(&samples).for_each(|(time_ms, sample)| appender.append(&mut out, time_ms, sample));
    }
    out
}

/// A column of histograms with floats among them, and one of floats.
fn group_of_histograms() -> Vec<u8> {
    let mut chance = Chance::of(6);
    let (times, floats) = (timestamps(1, 60, &mut chance), values(6, 60, &mut chance));
    let samples = observed(30, &mut chance);
    let marked =
        |(number, float): (usize, &f64)| if number < 30 { f64::from_bits(samples[number].marker()) } else { *float };
    let mixed: Vec<f64> = floats.iter().enumerate().map(marked).collect();
    let columns = [&mixed, &floats].map(|values| Column { timestamps_ms: &times, values });
    let mut out = Vec::new();
    GroupEncoder::default()
        .encode_with_histograms(&columns, &[&samples], Effort::Compact, &mut out)
        .expect("it reads back");
    out
}

fn group(columns: usize, samples: usize, effort: Effort) -> Vec<u8> {
    let mut chance = Chance::of(4);
    let times: Vec<Vec<i64>> = (0..3).map(|nature| timestamps(nature, samples, &mut chance)).collect();
    let steps = values(6, samples, &mut chance);
    let values: Vec<Vec<f64>> = (0..columns)
        .map(|column| match column % 9 {
            // Some follow the same steps, so that they refer to each other; some are the same.
            7 => steps.iter().map(|value| value * 3.0 + (column % 2) as f64).collect(),
            8 => steps.clone(),
            nature => values(nature, samples, &mut chance),
        })
        .collect();
    let columns: Vec<Column<'_>> =
        (0..columns).map(|column| Column { timestamps_ms: &times[column % 10 / 8], values: &values[column] }).collect();
    let mut out = Vec::new();
    GroupEncoder::default().encode(&columns, effort, &mut out).expect("it reads back");
    out
}

/// Few bytes for many samples: 512 columns of 4,096 and corrections, and as many that refer to them.
fn long_columns() -> Vec<u8> {
    let mut head = vec![1, 0, 0, 0, 0, 0x80, 0x08, 1];
    head.extend([0x80, 0x20, 0, 0xff, 0x1f, 0]); // 4,096 timestamps from 0 on, span 4,095
    head.extend([0, 7, 0x20, 1, 9].repeat(512));
    for column in 0..512 {
        let first = column as u8 % 128; // so that no two near each other are remembered as one
        head.extend([0x10, 0, first, 0, 0, 0, 0, 0x10, 8, first, 0, 0, 0, 0, 0, 0]);
    }
    let head_bytes = head.len() as u32 + 4;
    head[1..5].copy_from_slice(&head_bytes.to_le_bytes());
    head.extend([0; 4]);
    seal::group(&head)
}

/// A block of so many series, with labels that make lists of every kind.
fn block(series_count: u32) -> Vec<u8> {
    let range = BlockRange { min_time_ms: 0, max_time_ms: 7_200_000, created_ms: 1, level: 1 };
    let mut writer = BlockWriter::begin(Vec::new(), range).expect("memory takes all writes");
    writer.add_source(BlockRange { level: 0, ..range });
    for series in 0..series_count {
        let (name, node) = (format!("metric_{}", series / 60), format!("node-{:03}", series % 60));
        let address = format!("10.0.0.{}", series % 60);
        let build = [("build", "é")];
        let labels = [("__name__", name.as_str()), ("address", &address), ("node", &node)];
        let odd = if series % 13 == 12 { &build[..] } else { &[] };
        writer.add_series(labels[..2].iter().chain(odd).chain(&labels[2..]).copied());
    }
    let columns: Vec<u32> = (0..series_count).collect();
    for half in columns.chunks(series_count as usize / 2) {
        writer
            .append_group(&group(2, 3, Effort::Compact), half, 1_000_000, 1_030_000, 6)
            .expect("memory takes all writes");
    }
    writer.finish().expect("memory takes all writes").0
}

fn block_of_version_1() -> Vec<u8> {
    let range = block_v1::BlockRange { min_time_ms: 0, max_time_ms: 7_200_000, created_ms: 1 };
    let mut writer = block_v1::BlockWriter::begin(Vec::new(), range).expect("memory takes all writes");
    for series in 0..30 {
        writer.begin_series([("__name__", "up"), ("node", format!("{series:02}").as_str())]);
        for chunk in 0..3 {
            writer.append_chunk(chunk * 1000, chunk * 1000 + 9, &stored_chunk()).expect("memory takes all writes");
        }
    }
    writer.finish().expect("memory takes all writes").0
}

fn tombstones_file() -> Vec<u8> {
    let told: Vec<Tombstone> = (0..20)
        .map(|number| Tombstone {
            series: number / 3,
            from_ms: i64::from(number) * 50,
            to_ms: i64::from(number) * 50 + 9,
        })
        .collect();
    tombstones::encode(&told, 17)
}

fn manifest() -> Vec<u8> {
    let files = (0..9).map(|number| ManifestFile {
        path: format!("log/{number:08}.log"),
        bytes: 1 << number,
        checksum: number,
    });
    Manifest { created_ms: 1_763_771_400_123, cause: Cause::Request, files: files.collect() }.encode()
}

/// Reads the input and holds the target to its share of memory.
fn feed(name: &str, target: fn(&[u8]), input: &[u8], what: &str) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    target(input);
    let reserved = MEMORY.peak_usage().saturating_sub(before);
    let most = BYTES_BASE_MAX + BYTES_PER_BYTE_MAX * input.len();
    assert!(reserved <= most, "{name}, {what}: {reserved} bytes reserved for {} bytes", input.len());
}

/// Where libFuzzer is to find the seeds: a folder of each target in this one.
fn write_corpus(folder: &std::ffi::OsStr) {
    for (name, _) in TARGETS {
        let folder = PathBuf::from(folder).join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the corpus");
        for (number, seed) in seeds(name).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).expect("the folder can be written to");
        }
    }
}

/// One test: two at a time would count each other's memory.
#[test]
fn no_bytes_make_a_decoder_panic_or_reserve_more_than_a_small_multiple_of_their_length() {
    if let Some(folder) = std::env::var_os("FUZZ_CORPUS") {
        write_corpus(&folder);
    }
    for (name, target) in TARGETS {
        if name == "group" {
            feed(name, target, &long_columns(), "few bytes for many samples");
        }
        let seeds = seeds(name);
        for (number, seed) in seeds.iter().enumerate() {
            feed(name, target, seed, "as written");
            for input in 0..INPUTS {
                let mut chance = Chance::of((input + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                feed(name, target, &changed(seed, &seeds, &mut chance), &format!("seed {number}, input {input}"));
            }
        }
        for length in 0..64 {
            let mut chance = Chance::of(length + 1);
            let noise: Vec<u8> = (0..length * length).map(|_| chance.below(256) as u8).collect();
            feed(name, target, &noise, "noise");
        }
    }
}
