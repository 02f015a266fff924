//! Sources against what is known to be in them. Blocks are made by Prometheus's own `promtool`.

mod blocks;
mod files;
mod histograms;
mod hostile;
mod log;
mod send;
mod state;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use super::batch::{Batch, Refused};
use super::sample::{AnySample, AnyValue};
use super::source::{self, Position, Source};
use super::*;
use crate::disk::SimulatedDisk;
use crate::storage::stored_histogram;

/// What sources of these tests begin at, in ms: even hours, so that blocks are as long as they can be.
pub(super) const START_MS: i64 = 1_699_999_200_000;

/// Samples by series, as bits.
pub(super) type Known = BTreeMap<String, Vec<(i64, u64)>>;

/// Numbers that look random and are the same each time.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Four series over five hours with what the XOR code tells apart: steps that stay, that change a little and a lot, values
/// that stay, that differ in few bits and in all.
pub(super) fn known() -> Known {
    let mut known = Known::new();
    let mut dice = Dice::new(7);
    let span_ms = 5 * 3_600_000;
    let mut add = |labels: &str, step_ms: &mut dyn FnMut(&mut Dice) -> i64, value: &dyn Fn(i64, u64) -> f64| {
        let mut at_ms = 0;
        let mut samples = Vec::new();
        while at_ms < span_ms {
            samples.push((START_MS + at_ms, value(at_ms, dice.roll(1 << 31)).to_bits()));
            at_ms += step_ms(&mut dice);
        }
        known.insert(labels.to_owned(), samples);
    };
    add(r#"calls_total{path="/a b\"c\\d", region="eu"}"#, &mut |_| 15_000, &|at_ms, _| (at_ms / 15_000 * 3) as f64);
    add(r#"seconds{job="a"}"#, &mut |dice| 1 + dice.roll(60_000) as i64, &|_, dice| dice as f64 / 997.0);
    let rare = |dice: &mut Dice| [1, 9_000, 40_000, 600_000, 2_000_000][dice.roll(5) as usize];
    add(r#"seconds{job="b"}"#, &mut { rare }, &|_, dice| f64::from_bits((u64::from(dice as u32) * 0x1_0000_0001) >> 2));
    let special =
        [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::from_bits(0x7ff8_0000_0000_0001), 1.0, 1.0, 5e-324];
    add("special", &mut |_| 60_000, &move |_, dice| special[dice as usize % special.len()]);
    known
}

/// The samples as an OpenMetrics file.
pub(super) fn openmetrics(known: &Known) -> String {
    let mut text = String::new();
    for (labels, samples) in known {
        for (timestamp_ms, bits) in samples {
            let value = match f64::from_bits(*bits) {
                value if value.is_nan() => "NaN".to_owned(),
                value if value.is_infinite() => if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
                value => format!("{value:e}"),
            };
            text.push_str(&format!(
                "{} {value} {}.{:03}\n",
                labels.replace(", ", ","),
                timestamp_ms / 1000,
                timestamp_ms % 1000
            ));
        }
    }
    text + "# EOF\n"
}

/// A disk with the blocks that `promtool` makes of [`known`], in `/data`. Made once.
pub(super) fn blocks() -> SimulatedDisk {
    static FILES: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = folder.path().join("known.txt");
        std::fs::write(&text, openmetrics(&known())).expect("it can be written");
        let blocks = folder.path().join("blocks");
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .arg(&text)
            .arg(&blocks)
            .output();
        let made = made.expect("promtool is there: apt-get install prometheus");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut files = Vec::new();
        collect(&blocks, Path::new("/data"), &mut files);
        assert!(files.len() >= 12, "several blocks: {files:?}");
        files
    });
    let disk = SimulatedDisk::new();
    for (path, bytes) in files {
        write(&disk, path, bytes);
    }
    disk
}

pub(super) fn write(disk: &SimulatedDisk, path: &Path, bytes: &[u8]) {
    disk.create_folder(path.parent().expect("a file lies in a folder")).expect("a simulated disk takes it");
    disk.replace(path, bytes).expect("a simulated disk takes it");
}

fn collect(from: &Path, to: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(from).expect("a folder can be listed") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("entries have names"));
        if path.is_dir() {
            collect(&path, &to, files);
        } else {
            files.push((to, std::fs::read(&path).expect("a file can be read")));
        }
    }
}

/// The bits of a number, or those that stand for a histogram.
pub(super) fn bits(sample: &AnySample) -> u64 {
    match &sample.value {
        AnyValue::Number(value) => value.to_bits(),
        AnyValue::Histogram(histogram) => stored_histogram(histogram).marker(),
    }
}

/// What a source gave.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Given {
    pub(super) samples: Known,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) first_refused: Option<String>,
    /// Where it was after each batch.
    pub(super) positions: Vec<Position>,
}

impl Given {
    pub(super) fn count(&self) -> usize {
        self.samples.values().map(Vec::len).sum()
    }

    fn take(&mut self, batch: &mut Batch) {
        for (labels, samples) in batch.all() {
            let of_series = self.samples.entry(labels.to_string()).or_default();
            of_series.extend(samples.iter().map(|sample| (sample.timestamp_ms, bits(sample))));
        }
        let Refused { first, reasons } = batch.take_refused();
        self.first_refused = self.first_refused.take().or(first);
        for (reason, count) in reasons {
            *self.refused.entry(reason).or_default() += count;
        }
        batch.clear();
    }
}

/// Everything from where the source is.
pub(super) fn drain(source: &mut dyn Source) -> Result<Given, ImportError> {
    let (mut given, mut batch) = (Given::default(), Batch::default());
    while source.fill(&mut batch)? {
        given.take(&mut batch);
        given.positions.push(source.position());
    }
    given.take(&mut batch);
    Ok(given)
}

pub(super) fn open(kind: SourceKind, path: &str, disk: &SimulatedDisk) -> Result<Box<dyn Source>, ImportError> {
    source::open(kind, Path::new(path), disk)
}

/// Goes on from every position at which the source ever was, and checks that nothing is given twice or left out.
pub(super) fn assert_resumes_everywhere(kind: SourceKind, path: &str, disk: &SimulatedDisk) {
    let mut source = open(kind, path, disk).expect("it opens");
    let whole = drain(&mut *source).expect("it is read");
    let remarks = source.remarks();
    assert!(whole.positions.len() > 3, "a few batches: {}", whole.positions.len());
    for (index, position) in whole.positions.iter().enumerate() {
        let mut before = Given::default();
        let (mut source, mut batch) = (open(kind, path, disk).expect("it opens"), Batch::default());
        for _ in 0..=index {
            assert!(source.fill(&mut batch).expect("it is read"));
            before.take(&mut batch);
        }
        assert_eq!(source.position(), *position, "always the same batches");
        let mut source = open(kind, path, disk).expect("it opens");
        source.go_to(position).expect("it was there");
        let after = drain(&mut *source).expect("it is read");
        assert_eq!(source.remarks(), remarks, "after batch {index}");
        for (reason, count) in after.refused {
            *before.refused.entry(reason).or_default() += count;
        }
        assert_eq!(before.refused, whole.refused, "after batch {index}");
        let mut both = before.samples;
        for (labels, samples) in after.samples {
            both.entry(labels).or_default().extend(samples);
        }
        assert!(both == whole.samples, "after batch {index}");
    }
}
