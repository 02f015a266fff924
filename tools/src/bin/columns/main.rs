//! Measures how small columns get and how fast they are written and read, beside `pco` at its level 8.
//!
//! ```text
//! $ columns --shop 48
//! the demo's fleet: 1920 columns, 2764800 samples, up to 1440 a column
//! class                      samples  raw f64   fresh  compact     pco
//! …
//! fresh: encode 50.2 M samples/s, decode 810.3 M samples/s
//! ```
//!
//! A file is a dump of columns, as `tools/capture.py` makes it of exporters' pages, all little-endian: `DZCOLS1\n`, u32 count of columns; a column is u16 length of its name,
//! the name (target, a space, the series), u32 count of samples, and for each an i64 of ms and an f64.
//! Every column is read back and compared bit by bit. Rates are those of the best of several rounds of one thread, and take
//! in all of a column's work, the search for its scale included.

mod groups;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use dozor::demo::{SERIES_PER_NODE, Shop, ShopOptions};
use pco::standalone::{simple_compress, simple_decompress};
use storage_format::column::{Decoder, Effort, Encoder, Numbers, SAMPLES_MAX};

const MAGIC: &[u8] = b"DZCOLS1\n";
const PCO_LEVEL: usize = 8;
/// Some morning: the fleet's traffic follows the time of day.
const SHOP_START_MS: i64 = 1_763_625_600_000;

/// Measures columns: bytes a sample by class, and samples a second.
#[derive(Parser)]
struct Flags {
    /// Most samples of a column; longer ones are cut into several.
    #[arg(long, value_name = "N", default_value_t = 1440)]
    samples: usize,
    /// Rounds of which the best counts.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Prints every column's bytes.
    #[arg(long)]
    each: bool,
    /// Measures whole groups instead: the columns of a target over --samples scrapes, with all that goes with them.
    #[arg(long)]
    groups: bool,
    /// Measures the demo's fleet of so many nodes over --samples scrapes of 15 s, what loadgen sends.
    #[arg(long, value_name = "NODES")]
    shop: Option<usize>,
    /// Writes the fleet's columns to this file.
    #[arg(long, value_name = "FILE", requires = "shop")]
    dump: Option<PathBuf>,
    /// The dumps.
    #[arg(required_unless_present = "shop", value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Clone)]
struct Column {
    name: String,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    ensure!((1..=SAMPLES_MAX).contains(&flags.samples), "--samples is 1 to {SAMPLES_MAX}");
    if let Some(node_count) = flags.shop {
        let columns = shop(node_count, flags.samples)?;
        if let Some(file) = &flags.dump {
            dump(file, &columns)?;
        }
        measure(Path::new("the demo's fleet"), columns, &flags)?;
    }
    for file in &flags.files {
        let columns = read(file).with_context(|| format!("{} is no dump of columns", file.display()))?;
        measure(file, columns, &flags)?;
    }
    Ok(())
}

fn measure(file: &Path, columns: Vec<Column>, flags: &Flags) -> anyhow::Result<()> {
    if flags.groups { groups::report(file, &columns, flags) } else { report(file, &cut(columns, flags.samples), flags) }
}

/// The columns of the demo's fleet, as the demo's seed makes it.
fn shop(node_count: usize, scrape_count: usize) -> anyhow::Result<Vec<Column>> {
    let mut shop = Shop::new(ShopOptions { node_count, ..ShopOptions::default() })?;
    let mut columns = Vec::new();
    for node in 0..node_count {
        let first = columns.len();
        columns.extend((0..SERIES_PER_NODE).map(|series| Column {
            name: format!("node{node} {}", shop.labels(node, series)),
            timestamps_ms: Vec::new(),
            values: Vec::new(),
        }));
        for scrape in 0..scrape_count as i64 {
            let timestamp_ms = SHOP_START_MS + scrape * shop.scrape_interval_ms();
            for (column, value) in columns[first..].iter_mut().zip(shop.scrape(node, timestamp_ms)) {
                column.timestamps_ms.push(timestamp_ms);
                column.values.push(value);
            }
        }
    }
    Ok(columns)
}

fn dump(file: &Path, columns: &[Column]) -> anyhow::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&u32::try_from(columns.len())?.to_le_bytes());
    for column in columns {
        bytes.extend_from_slice(&u16::try_from(column.name.len())?.to_le_bytes());
        bytes.extend_from_slice(column.name.as_bytes());
        bytes.extend_from_slice(&u32::try_from(column.values.len())?.to_le_bytes());
        for (timestamp_ms, value) in column.timestamps_ms.iter().zip(&column.values) {
            bytes.extend_from_slice(&timestamp_ms.to_le_bytes());
            bytes.extend_from_slice(&value.to_le_bytes());
        }
    }
    Ok(std::fs::write(file, bytes)?)
}

fn read(file: &Path) -> anyhow::Result<Vec<Column>> {
    let bytes = std::fs::read(file)?;
    let mut rest = bytes.strip_prefix(MAGIC).context("it begins otherwise")?;
    let count = u32::from_le_bytes(take(&mut rest)?);
    (0..count).map(|_| read_column(&mut rest)).collect()
}

fn read_column(rest: &mut &[u8]) -> anyhow::Result<Column> {
    let length = usize::from(u16::from_le_bytes(take(rest)?));
    let (name, behind) = rest.split_at_checked(length).context("it ends within a name")?;
    let name = String::from_utf8_lossy(name).into_owned();
    *rest = behind;
    let count = u32::from_le_bytes(take(rest)?);
    let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
    for _ in 0..count {
        timestamps_ms.push(i64::from_le_bytes(take(rest)?));
        values.push(f64::from_bits(u64::from_le_bytes(take(rest)?)));
    }
    Ok(Column { name, timestamps_ms, values })
}

fn take<const N: usize>(rest: &mut &[u8]) -> anyhow::Result<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk::<N>().context("it ends early")?;
    *rest = behind;
    Ok(*taken)
}

fn cut(columns: Vec<Column>, samples: usize) -> Vec<Column> {
    let pieces = |column: Column| -> Vec<Column> {
        let both = column.timestamps_ms.chunks(samples).zip(column.values.chunks(samples));
        both.map(|(timestamps_ms, values)| Column {
            name: column.name.clone(),
            timestamps_ms: timestamps_ms.to_vec(),
            values: values.to_vec(),
        })
        .collect()
    };
    columns.into_iter().flat_map(pieces).collect()
}

/// What kind of thing a column measures, judged by its name and values.
fn class(column: &Column) -> &'static str {
    let values = &column.values;
    let series = column.name.split_once(' ').map_or("", |(_, series)| series);
    let metric = series.strip_prefix("__name__=\"").unwrap_or(series);
    let metric = metric.split(['"', '{', ',']).next().unwrap_or_default();
    let whole = |value: &f64| value.fract() == 0.0;
    let short = |value: &f64| (0..9).any(|digits| decimal_gives(*value, digits));
    if values.iter().all(|value| value.to_bits() == values[0].to_bits()) {
        "constant"
    } else if metric.ends_with("_bucket") || (metric.ends_with("_count") && values.iter().all(whole)) {
        "histogram"
    } else if values.iter().all(whole) {
        if values.is_sorted() { "integer counter" } else { "integer gauge" }
    } else if values.iter().filter(|value| short(value)).count() * 20 > values.len() * 19 {
        if values.is_sorted() { "decimal counter" } else { "decimal gauge" }
    } else {
        "full-precision float"
    }
}

fn decimal_gives(value: f64, digits: i32) -> bool {
    let power = 10f64.powi(digits);
    ((value * power).round() / power).to_bits() == value.to_bits()
}

/// Sums of one class.
#[derive(Default)]
struct Sizes {
    samples: usize,
    fresh: usize,
    compact: usize,
    pco: usize,
}

impl Sizes {
    fn add(&mut self, other: &Sizes) {
        self.samples += other.samples;
        self.fresh += other.fresh;
        self.compact += other.compact;
        self.pco += other.pco;
    }

    fn print(&self, class: &str) {
        let each = |bytes: usize| bytes as f64 / self.samples as f64;
        println!(
            "{class:22} {:9}  {:8.4}  {:8.4}  {:8.4}",
            self.samples,
            each(self.fresh),
            each(self.compact),
            each(self.pco)
        );
    }
}

fn report(file: &Path, columns: &[Column], flags: &Flags) -> anyhow::Result<()> {
    let fresh = Encoded::of(columns, Effort::Fresh);
    let compact = Encoded::of(columns, Effort::Compact);
    let mut classes: BTreeMap<&str, Sizes> = BTreeMap::new();
    let mut all = Sizes::default();
    println!("{}: {} columns of at most {} samples", file.display(), columns.len(), flags.samples);
    for (index, column) in columns.iter().enumerate() {
        let sizes = Sizes {
            samples: column.values.len(),
            fresh: fresh.column(index).len(),
            compact: compact.column(index).len(),
            pco: pco_bytes(&column.values)?,
        };
        for encoded in [&fresh, &compact] {
            ensure!(encoded.gives_back(index, &column.values)?, "{} does not come back", column.name);
        }
        if flags.each {
            sizes.print(&format!("{} {:02x?} ", column.name, compact.column(index).get(..2)));
        }
        classes.entry(class(column)).or_default().add(&sizes);
        all.add(&sizes);
    }
    println!("{:22} {:>9}  {:>8}  {:>8}  {:>8}   bytes a sample", "class", "samples", "fresh", "compact", "pco");
    for (class, sizes) in &classes {
        sizes.print(class);
    }
    all.print("all");
    for (name, effort, encoded) in [("fresh", Effort::Fresh, &fresh), ("compact", Effort::Compact, &compact)] {
        let encode = best(flags.rounds, || drop(black_box(Encoded::of(columns, effort))));
        let decode = best(flags.rounds, || encoded.decode_all(columns));
        let rate = |time: Duration| all.samples as f64 / time.as_secs_f64() / 1e6;
        println!("{name:8} encode {:7.1}  decode {:7.1}  M samples/s", rate(encode), rate(decode));
    }
    let packed: Vec<Vec<u8>> = columns
        .iter()
        .map(|column| simple_compress(&column.values, &pco::ChunkConfig::default().with_compression_level(PCO_LEVEL)))
        .collect::<Result<_, _>>()?;
    let decode = best(flags.rounds, || {
        for bytes in &packed {
            black_box(simple_decompress::<f64>(bytes).expect("it was just compressed"));
        }
    });
    println!("pco      decode {:7.1}  M samples/s", all.samples as f64 / decode.as_secs_f64() / 1e6);
    Ok(())
}

fn pco_bytes(values: &[f64]) -> anyhow::Result<usize> {
    Ok(simple_compress(values, &pco::ChunkConfig::default().with_compression_level(PCO_LEVEL))?.len())
}

/// All columns, one behind the other.
struct Encoded {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Encoded {
    fn of(columns: &[Column], effort: Effort) -> Encoded {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        let (mut encoder, mut numbers) = (Encoder::default(), Numbers::default());
        for column in columns {
            numbers.read(&column.values, effort, None);
            encoder.encode(&numbers, effort, None, &mut bytes);
            ends.push(bytes.len());
        }
        Encoded { bytes, ends }
    }

    fn column(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    fn gives_back(&self, index: usize, values: &[f64]) -> anyhow::Result<bool> {
        let mut read = Vec::new();
        Decoder::default().decode_values(self.column(index), values.len(), None, &mut read)?;
        let equal = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits();
        Ok(read.len() == values.len() && read.iter().zip(values).all(equal))
    }

    fn decode_all(&self, columns: &[Column]) {
        let mut decoder = Decoder::default();
        let mut values = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            values.clear();
            let read = decoder.decode_values(self.column(index), column.values.len(), None, &mut values);
            read.expect("it was just encoded");
            black_box(&values);
        }
    }
}

/// The shortest of several rounds, in time of this thread on a core.
fn best(rounds: usize, mut work: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..rounds.max(1) {
        let start = thread_time();
        work();
        best = best.min(thread_time().saturating_sub(start));
    }
    best
}

/// How long this thread has run: others that want the core do not count.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a thread has run for a while")
}
