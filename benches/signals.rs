//! What a hundred thousand signals cost: each series is a group of its own, and every 15 s each has a bucket to judge.
//!
//!     cargo bench --bench signals                    # 1,000, 20,000 and 100,000 of counters, and 20,000 of values
//!     cargo bench --bench signals -- 20000 grown     # so many, two days later: the season decides
//!     cargo bench --bench signals -- 10000 settled   # so many, fifteen days later: all there is to learn is learned
//!     cargo bench --bench signals -- rules           # a thousand rules, of ten groups each
//!
//! Scrapes are spread over the interval, a hundred series in each, as those of a fleet are; event time goes as fast as it
//! can. Memory is the process's, so it includes everything: series, sums, models, labels, and what the allocator loses.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dozor::clock::Clock;
use dozor::detect::{GROUPS_COUNT_MAX, Judge, LATENESS_MS_DEFAULT, ModelOptions, Signal, Watch, Worker, start};
use dozor::model::{Labels, SeriesRef};
use dozor::rules::load_text;
use dozor::storage::tap::{TapBatch, TapRow};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const START_MS: i64 = 1_700_000_100_000;
const INTERVAL_MS: i64 = 15_000;
const BATCH_ROWS: usize = 100;
const ROUNDS_YOUNG: usize = 60;
const ROUNDS_A_DAY: usize = 5_760;
/// Rounds that are measured, of so many samples at least.
const ROUNDS: usize = 40;
const SAMPLES: usize = 4_000_000;

/// Rules by the thousand, and the groups of each.
const RULES: usize = 1_000;
const GROUPS_PER_RULE: usize = 10;
/// Series of no rule, and how often a worker is asked about each.
const STRANGERS: usize = 100_000;
const ASKED: usize = 10;

/// How long the groups were watched before anything is measured.
#[derive(Clone, Copy, PartialEq)]
enum Age {
    /// A quarter of an hour, so that whatever begins has begun.
    Young,
    /// Two days and a little: the season decides.
    Grown,
    /// Two weeks and a day: every hour of the week was compared with the one of the week before.
    Settled,
}

impl Age {
    fn rounds(self) -> usize {
        match self {
            Age::Young => ROUNDS_YOUNG,
            Age::Grown => 2 * ROUNDS_A_DAY + ROUNDS_YOUNG,
            Age::Settled => 15 * ROUNDS_A_DAY,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Age::Young => "young",
            Age::Grown => "grown",
            Age::Settled => "settled",
        }
    }
}

/// Series that are each a group, and report one after the other.
struct Fleet {
    labels: Vec<Arc<Labels>>,
    values: Vec<f64>,
    is_of_counters: bool,
    round: usize,
    state: u64,
}

impl Fleet {
    fn new(count: usize, is_of_counters: bool) -> Fleet {
        let labels = |index: usize| {
            let (node, part) = (format!("node-{index}"), (index / GROUPS_COUNT_MAX).to_string());
            let pairs = [("__name__", "orders"), ("node", &node), ("part", &part), ("region", "eu")];
            Arc::new(Labels::from_pairs(pairs).expect("distinct names"))
        };
        Fleet {
            labels: (0..count).map(labels).collect(),
            values: vec![50.0; count],
            is_of_counters,
            round: 0,
            state: 1,
        }
    }

    /// A watch takes ten thousand groups.
    fn watches(&self) -> Vec<Watch> {
        let watch = |part: usize| {
            let selector = format!("orders{{part=\"{part}\"}}");
            let expression = if self.is_of_counters { format!("rate({selector}[1m])") } else { selector };
            let signal = Signal::compile(&expression).expect("it can be fed");
            Watch { identity: expression, signal, options: ModelOptions::default(), zone: None }
        };
        (0..self.labels.len().div_ceil(GROUPS_COUNT_MAX)).map(watch).collect()
    }

    fn introduction(&self) -> TapBatch {
        let series = self.labels.iter().enumerate().map(|(index, labels)| (reference(index), labels.clone()));
        TapBatch { series: series.collect(), ..TapBatch::default() }
    }

    /// The batches of a round, one after the other.
    fn batch(&mut self, first: usize) -> TapBatch {
        let count = self.labels.len();
        let offset_ms = INTERVAL_MS * first as i64 / count as i64;
        let timestamp_ms = START_MS + self.round as i64 * INTERVAL_MS + offset_ms;
        let indices = first..(first + BATCH_ROWS).min(count);
        let rows = indices.map(|index| {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let chance = (self.state >> 60) as f64;
            self.values[index] = if self.is_of_counters { self.values[index] + chance } else { 50.0 + chance };
            TapRow { series: reference(index), timestamp_ms, value: self.values[index] }
        });
        TapBatch { rows: rows.collect(), ..TapBatch::default() }
    }
}

/// A thousand rules in one file: half of them on a metric of their own, half on one that all have in common.
fn rules() {
    let name = |rule: usize| if rule.is_multiple_of(2) { format!("metric_{rule}") } else { "common".to_owned() };
    let rule = |rule: usize| {
        format!(
            "      - alert: Rule{rule}\n        expr: sum by (region) (rate({}{{rule=\"{rule}\"}}[1m]))\n        anomaly: {{ direction: both }}\n",
            name(rule)
        )
    };
    let text = format!("groups:\n  - name: many\n    rules:\n{}", (0..RULES).map(rule).collect::<String>());
    let series = |index: usize| {
        let (rule, region) = ((index / GROUPS_PER_RULE), format!("r{}", index % GROUPS_PER_RULE));
        let pairs = [("__name__", name(rule)), ("region", region), ("rule", rule.to_string())];
        Arc::new(Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str()))).expect("distinct names"))
    };
    let labels: Vec<_> = (0..RULES * GROUPS_PER_RULE).map(series).collect();
    let stranger = |index: usize| {
        let node = format!("n{index}");
        Labels::from_pairs([("__name__", "stranger"), ("node", node.as_str())]).expect("distinct names")
    };
    let strangers: Vec<Labels> = (0..STRANGERS).map(stranger).collect();
    let mut fleet = Fleet { values: vec![0.0; labels.len()], labels, is_of_counters: true, round: 0, state: 1 };
    let introduction = fleet.introduction();
    let (before, begun) = (resident_bytes(), processor_time());
    let set = load_text(Path::new("rules.yml"), &text).expect("they are right");
    let loaded = processor_time();
    let (mut workers, mut judge) = start(set.watches(), 1, Some(LATENESS_MS_DEFAULT));
    let mut worker = workers.remove(0);
    let started = processor_time();
    let asked = processor_time();
    let interest = worker.interest();
    for _ in 0..ASKED {
        assert!(!strangers.iter().any(|labels| interest(labels)), "nobody wants them");
    }
    let introduced = processor_time();
    worker.handle(&introduction);
    let ready = processor_time();
    rounds(ROUNDS_YOUNG, &mut fleet, &mut worker, &mut judge);
    let cost = rounds(ROUNDS, &mut fleet, &mut worker, &mut judge);
    println!(
        "{RULES} rules of {GROUPS_PER_RULE} groups: read in {:.1} ms, workers and judge made in {:.1} ms, {:.0} ns for each series of no rule, {:.0} ns for each of theirs, {:.0} ns a sample, {} KiB resident",
        (loaded - begun).as_secs_f64() * 1e3,
        (started - loaded).as_secs_f64() * 1e3,
        (introduced - asked).as_nanos() as f64 / (ASKED * STRANGERS) as f64,
        (ready - introduced).as_nanos() as f64 / fleet.labels.len() as f64,
        cost.processor.as_nanos() as f64 / cost.samples as f64,
        (resident_bytes() - before) / 1024,
    );
}

fn reference(index: usize) -> SeriesRef {
    SeriesRef::new(0, 0, u32::try_from(index).expect("few series"))
}

/// What worker and judge took, by the clock, and everything together of the processor.
#[derive(Default)]
struct Cost {
    worker: Duration,
    judge: Duration,
    processor: Duration,
    samples: usize,
    transitions: usize,
}

fn rounds(count: usize, fleet: &mut Fleet, worker: &mut Worker, judge: &mut Judge) -> Cost {
    let mut cost = Cost::default();
    let (clock, at_first) = (Clock::system(), processor_time());
    for _ in 0..count {
        for first in (0..fleet.labels.len()).step_by(BATCH_ROWS) {
            let batch = fleet.batch(first);
            let begun = clock.monotonic();
            worker.handle(&batch);
            let handled = clock.monotonic();
            cost.transitions += judge.poll().len();
            cost.judge += clock.monotonic() - handled;
            cost.worker += handled - begun;
            cost.samples += batch.rows.len();
        }
        fleet.round += 1;
    }
    cost.processor = processor_time() - at_first;
    cost
}

fn measure(count: usize, is_of_counters: bool, age: Age) {
    let mut fleet = Fleet::new(count, is_of_counters);
    let introduction = fleet.introduction();
    let before = resident_bytes();
    let (mut workers, mut judge) = start(fleet.watches(), 1, Some(LATENESS_MS_DEFAULT));
    let mut worker = workers.remove(0);
    worker.handle(&introduction);
    let told = rounds(age.rounds(), &mut fleet, &mut worker, &mut judge);
    let cost = rounds(ROUNDS.max(SAMPLES / count), &mut fleet, &mut worker, &mut judge);
    let bytes = resident_bytes().saturating_sub(before) / count as u64;
    // By the clock others that run on the machine are in it too, so only the ratio of the two is taken from it.
    let both_ns = cost.processor.as_nanos() as f64 / cost.samples as f64;
    let worker_ns = both_ns * cost.worker.as_secs_f64() / (cost.worker + cost.judge).as_secs_f64();
    let share = both_ns * count as f64 / (INTERVAL_MS as f64 * 1e6);
    println!(
        "{count:>7} {:<8} {:<7} {both_ns:>5.0} ns a sample (worker {worker_ns:.0}, judge {:.0}), {:.2} % of a core, {bytes} bytes a group; {} and {} transitions",
        if is_of_counters { "counters" } else { "values" },
        age.name(),
        both_ns - worker_ns,
        share * 100.0,
        told.transitions,
        cost.transitions,
    );
}

/// What this thread had of a processor.
fn processor_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux says it");
    let nanos = told.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("a number of nanoseconds"))
}

/// Resident memory of the process.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says it");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("every process has it");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number of KiB") * 1024
}

fn main() {
    let told: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let counts: Vec<usize> = told.iter().filter_map(|argument| argument.parse().ok()).collect();
    let is_told = |word: &str| told.iter().any(|argument| argument == word);
    if is_told("rules") {
        return rules();
    }
    let age = if is_told("settled") {
        Age::Settled
    } else if is_told("grown") {
        Age::Grown
    } else {
        Age::Young
    };
    for &count in if counts.is_empty() { &[1_000, 20_000, 100_000][..] } else { &counts } {
        if !is_told("values") {
            measure(count, true, age);
        }
        if is_told("values") || counts.is_empty() && count == 20_000 {
            measure(count, false, age);
        }
    }
}
