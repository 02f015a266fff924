//! Counters, gauges and latencies, and their text exposition (format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram as Quantiles;
use parking_lot::Mutex;

/// Longest latency that is told apart, in µs: longer ones count as this.
const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Quantiles that a latency shows.
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// A number that only grows. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Counts one more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts so many more.
    pub fn add(&self, count: u64) {
        // Relaxed: a count orders nothing else.
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A whole number that goes up and down. Clones move together.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Moves the value by so much.
    pub fn add(&self, by: i64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something takes, since start: shown as a summary in seconds, exact to two digits.
#[derive(Clone)]
pub struct Latency(Arc<Mutex<Recorded>>);

struct Recorded {
    histogram: Quantiles<u64>,
    sum_seconds: f64,
}

impl Latency {
    fn new() -> Latency {
        let histogram =
            Quantiles::new_with_max(LATENCY_US_MAX, 2).expect("the bounds are ones that hdrhistogram takes");
        Latency(Arc::new(Mutex::new(Recorded { histogram, sum_seconds: 0.0 })))
    }

    /// Counts one that took so long.
    pub fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut recorded = self.0.lock();
        recorded.histogram.saturating_record(micros);
        recorded.sum_seconds += took.as_secs_f64();
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.lock().histogram.len()
    }
}

/// How many values lie at or below each of some bounds, since start: shown as a histogram, so that those of several
/// servers can be added up.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: &'static [f64],
    /// One a bound, and one for what is above all of them.
    counts: Vec<AtomicU64>,
    /// Bits of the sum.
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Histogram {
        assert!(bounds.is_sorted(), "the bounds of a histogram ascend");
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram(Arc::new(Buckets { bounds, counts, sum: AtomicU64::new(0f64.to_bits()) }))
    }

    /// Counts a value.
    pub fn record(&self, value: f64) {
        let Buckets { bounds, counts, sum } = &*self.0;
        counts[bounds.partition_point(|bound| *bound < value)].fetch_add(1, Ordering::Relaxed);
        let add = |bits: u64| Some((f64::from_bits(bits) + value).to_bits());
        // Relaxed: figures, each read for itself.
        let added = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        debug_assert!(added.is_ok(), "a sum can always be added to");
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

type Read = Arc<dyn Fn() -> f64 + Send + Sync>;
type ReadAll = Arc<dyn Fn() -> Vec<(String, f64)> + Send + Sync>;

enum Source {
    Counter(Counter),
    Gauge(Gauge),
    Read(Read),
    /// The value of a label, and the series' own.
    ReadAll(&'static str, ReadAll),
    Latency(Latency),
    Histogram(Histogram),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    Summary,
    Histogram,
}

struct Family {
    help: &'static str,
    kind: Kind,
    /// By the rendered labels, without braces.
    series: BTreeMap<String, Source>,
}

/// All numbers that the engine shows about itself.
#[derive(Default)]
pub struct Registry {
    families: Mutex<BTreeMap<&'static str, Family>>,
}

impl Registry {
    /// A registry without numbers.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// A new counter. Its name should end in `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Counter {
        let counter = Counter::default();
        self.register(name, help, Kind::Counter, labels, Source::Counter(counter.clone()));
        counter
    }

    /// A new gauge at 0.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        let gauge = Gauge::default();
        self.register(name, help, Kind::Gauge, labels, Source::Gauge(gauge.clone()));
        gauge
    }

    /// A gauge that is asked at each scrape. `read` must return at once.
    pub fn gauge_fn(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.register(name, help, Kind::Gauge, labels, Source::Read(Arc::new(read)));
    }

    /// Gauges that are asked for at each scrape: each is the value of `label` and its own. Each value of the label comes
    /// once, and whoever gives them bounds how many there are. `read` must return at once.
    pub fn gauges_fn(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        read: impl Fn() -> Vec<(String, f64)> + Send + Sync + 'static,
    ) {
        self.register(name, help, Kind::Gauge, &[], Source::ReadAll(label, Arc::new(read)));
    }

    /// A counter that is asked at each scrape. `read` must return at once, and never less than before.
    pub fn counter_fn(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.register(name, help, Kind::Counter, labels, Source::Read(Arc::new(read)));
    }

    /// A new summary of latencies. Its name should end in `_seconds`.
    pub fn latency(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Latency {
        let latency = Latency::new();
        self.register(name, help, Kind::Summary, labels, Source::Latency(latency.clone()));
        latency
    }

    /// A new histogram with these bounds, ascending.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        bounds: &'static [f64],
    ) -> Histogram {
        let histogram = Histogram::new(bounds);
        self.register(name, help, Kind::Histogram, labels, Source::Histogram(histogram.clone()));
        histogram
    }

    fn register(&self, name: &'static str, help: &'static str, kind: Kind, labels: &[(&str, &str)], source: Source) {
        let mut families = self.families.lock();
        let family = families.entry(name).or_insert_with(|| Family { help, kind, series: BTreeMap::new() });
        assert_eq!((family.kind, family.help), (kind, help), "{name} is registered as two different things");
        let labels = render_labels(labels);
        let before = family.series.insert(labels.clone(), source);
        assert!(before.is_none(), "{name}{{{labels}}} is registered twice");
    }

    /// Everything as text exposition, format 0.0.4.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (name, family) in self.families.lock().iter() {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Summary => "summary",
                Kind::Histogram => "histogram",
            };
            push(&mut text, format_args!("# HELP {name} {}\n# TYPE {name} {kind}\n", family.help));
            for (labels, source) in &family.series {
                render_series(&mut text, name, labels, source);
            }
        }
        text
    }
}

fn render_series(text: &mut String, name: &str, labels: &str, source: &Source) {
    let set = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    match source {
        Source::Counter(counter) => push(text, format_args!("{name}{set} {}\n", counter.value())),
        Source::Gauge(gauge) => push(text, format_args!("{name}{set} {}\n", gauge.value())),
        Source::Read(read) => push(text, format_args!("{name}{set} {}\n", read())),
        Source::ReadAll(label, read) => {
            for (value, number) in read() {
                push(text, format_args!("{name}{{{}}} {number}\n", render_labels(&[(label, &value)])));
            }
        }
        Source::Histogram(histogram) => render_histogram(text, name, labels, &histogram.0),
        Source::Latency(latency) => {
            let recorded = latency.0.lock();
            let comma = if labels.is_empty() { "" } else { "," };
            for quantile in QUANTILES {
                let seconds = recorded.histogram.value_at_quantile(quantile) as f64 / 1e6;
                push(text, format_args!("{name}{{{labels}{comma}quantile=\"{quantile}\"}} {seconds}\n"));
            }
            push(text, format_args!("{name}_sum{set} {}\n", recorded.sum_seconds));
            push(text, format_args!("{name}_count{set} {}\n", recorded.histogram.len()));
        }
    }
}

fn render_histogram(text: &mut String, name: &str, labels: &str, buckets: &Buckets) {
    let (comma, set) = if labels.is_empty() { ("", String::new()) } else { (",", format!("{{{labels}}}")) };
    let mut total = 0;
    let bounds = buckets.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(&buckets.counts) {
        total += count.load(Ordering::Relaxed);
        push(text, format_args!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {total}\n"));
    }
    let sum = f64::from_bits(buckets.sum.load(Ordering::Relaxed));
    push(text, format_args!("{name}_sum{set} {sum}\n{name}_count{set} {total}\n"));
}

fn render_labels(labels: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
        })
        .collect();
    pairs.join(",")
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes all writes");
}
