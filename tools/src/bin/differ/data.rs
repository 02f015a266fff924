//! Series that make operators show what they do: the same for the same seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use dozor::model::{CounterResetHint, FloatHistogram, Labels, SCHEMA_CUSTOM, Sample, Side, stale_nan};
use dozor::storage::view::GivenSeries;

use crate::dice::Dice;

/// Where the data of seed 0 begin, in ms since 1970 UTC: 2000-01-01.
const EPOCH_MS: i64 = 946_684_800_000;
/// Between the data of one seed and of the next: more than any query looks back or ahead.
const APART_MS: i64 = 3 * 86_400_000;
/// Seeds after which their times come again; the last are of 2024, as a Prometheus takes nothing from the future.
const SEEDS_APART: u64 = 3_000;
/// How long the data of a seed are.
pub(crate) const LENGTH_MS: i64 = 40 * 60_000;
/// Between two scrapes.
const SCRAPE_MS: i64 = 15_000;

/// What a series has at a moment.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    Number(f64),
    Histogram { value: Arc<FloatHistogram>, of_integers: bool },
}

/// A series with its samples, ascending.
pub(crate) struct Given {
    pub(crate) labels: Labels,
    pub(crate) samples: Vec<(i64, Seen)>,
}

/// All series of a seed.
pub(crate) struct Data {
    pub(crate) start_ms: i64,
    /// The labels of all series that any seed may have, in order.
    roll: Vec<Labels>,
    pub(crate) series: Vec<Given>,
}

impl Data {
    pub(crate) fn new(seed: u64) -> Data {
        let start_ms = EPOCH_MS + (seed % SEEDS_APART) as i64 * APART_MS;
        let mut maker = Maker { start_ms, dice: Dice::of(seed, 1), series: Vec::new() };
        maker.counters();
        maker.gauges();
        maker.infos();
        maker.classic();
        maker.native();
        maker.odd();
        maker.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let roll = maker.series.iter().map(|series| series.labels.clone()).collect();
        maker.series.retain(|series| !series.samples.is_empty());
        Data { start_ms, roll, series: maker.series }
    }

    /// One sample of all series that there may ever be, from before all data. Prometheus reads series in the order in
    /// which it first saw them: with these written first that is the order of their labels, as `limitk` and ties need it.
    pub(crate) fn roll_call(&self) -> Vec<Given> {
        let called =
            |labels: &Labels| Given { labels: labels.clone(), samples: vec![(EPOCH_MS - APART_MS, Seen::Number(0.0))] };
        self.roll.iter().map(called).collect()
    }

    /// The series as the query engine takes them.
    pub(crate) fn given(&self) -> Vec<GivenSeries> {
        self.series.iter().map(Given::as_stored).collect()
    }
}

impl Given {
    /// With what a storage tells of resets: none since the sample before, unless it cannot know.
    fn as_stored(&self) -> GivenSeries {
        let mut given = GivenSeries { labels: Arc::new(self.labels.clone()), ..GivenSeries::default() };
        let mut before: Option<&FloatHistogram> = None;
        for (timestamp_ms, seen) in &self.samples {
            match seen {
                Seen::Number(value) => {
                    given.samples.push(Sample { timestamp_ms: *timestamp_ms, value: *value });
                    before = None;
                }
                Seen::Histogram { value, .. } => {
                    let hint = match before {
                        _ if value.hint == CounterResetHint::Gauge => CounterResetHint::Gauge,
                        Some(before) if goes_on(before, value) => CounterResetHint::NotReset,
                        _ => CounterResetHint::Unknown,
                    };
                    given.histograms.push((*timestamp_ms, Arc::new(FloatHistogram { hint, ..(**value).clone() })));
                    before = Some(value);
                }
            }
        }
        given
    }
}

fn goes_on(before: &FloatHistogram, next: &FloatHistogram) -> bool {
    before.hint != CounterResetHint::Gauge
        && !before.is_stale()
        && before.schema == next.schema
        && before.zero_threshold == next.zero_threshold
        && before.custom_values == next.custom_values
        && !next.detect_reset(before)
}

struct Maker {
    start_ms: i64,
    dice: Dice,
    series: Vec<Given>,
}

/// How a target is scraped.
#[derive(Clone, Copy)]
enum Scrapes {
    /// On the grid of 15 s.
    Aligned,
    /// Near its own place in the 15 s.
    Jittered,
    /// As jittered, with gaps that staleness markers may open, and an end that may come early.
    Gappy,
}

/// A moment of a series: when, and whether it ends here for now.
struct Moment {
    time_ms: i64,
    is_stale: bool,
}

impl Maker {
    fn moments(&mut self, scrapes: Scrapes) -> Vec<Moment> {
        let offset_ms = if matches!(scrapes, Scrapes::Aligned) { 0 } else { self.dice.between(0, SCRAPE_MS) };
        let mut moments = Vec::new();
        let count = LENGTH_MS / SCRAPE_MS;
        let (mut from, mut to) = (0, count);
        if matches!(scrapes, Scrapes::Gappy) {
            from = self.dice.between(0, count / 3);
            to = self.dice.between(from + 10, count + 20).min(count);
        }
        let mut left_out = 0;
        for scrape in from..to {
            let jitter_ms = if matches!(scrapes, Scrapes::Aligned) { 0 } else { self.dice.between(0, 60) };
            let time_ms = self.start_ms + scrape * SCRAPE_MS + offset_ms + jitter_ms;
            if left_out > 0 {
                left_out -= 1;
                continue;
            }
            let is_gap = matches!(scrapes, Scrapes::Gappy) && self.dice.chance(6);
            if is_gap {
                left_out = self.dice.below(40);
            }
            let is_stale = is_gap && self.dice.chance(60) || scrape + 1 == to && to < count && self.dice.chance(50);
            moments.push(Moment { time_ms, is_stale });
        }
        moments
    }

    fn push(&mut self, labels: &[(&str, &str)], samples: Vec<(i64, Seen)>) {
        let labels = Labels::from_pairs(labels.iter().copied()).expect("the labels are valid");
        self.series.push(Given { labels, samples });
    }

    fn numbers(&mut self, labels: &[(&str, &str)], scrapes: Scrapes, mut value: impl FnMut(&mut Dice, usize) -> f64) {
        let moments = self.moments(scrapes);
        let number = |(index, moment): (usize, &Moment)| {
            let value = value(&mut self.dice, index);
            (moment.time_ms, Seen::Number(if moment.is_stale { stale_nan() } else { value }))
        };
        let samples = moments.iter().enumerate().map(number).collect();
        self.push(labels, samples);
    }

    fn counters(&mut self) {
        for (job, instance) in TARGETS {
            for path in ["/", "/cart"] {
                for code in ["200", "500"] {
                    let is_left_out = self.dice.chance(15);
                    let scrapes = if self.dice.chance(30) { Scrapes::Gappy } else { Scrapes::Jittered };
                    let labels = [
                        ("__name__", "requests_total"),
                        ("job", job),
                        ("instance", instance),
                        ("path", path),
                        ("code", code),
                    ];
                    if is_left_out {
                        self.push(&labels, Vec::new());
                        continue;
                    }
                    let whole = self.dice.chance(70);
                    let mut total = self.dice.fraction() * 100.0;
                    let rise = 1.0 + self.dice.fraction() * 50.0;
                    self.numbers(&labels, scrapes, |dice, _| {
                        let grown = total + dice.fraction() * rise;
                        total = if dice.chance(2) { dice.fraction() * 5.0 } else { grown };
                        if whole { total.floor() } else { total }
                    });
                }
            }
        }
        for host in ["a:1", "b:1"] {
            let mut total = 0.0;
            let labels = [("__name__", "hits_total"), ("app", "web"), ("host", host)];
            self.numbers(&labels, Scrapes::Aligned, |dice, index| {
                total += if index % 7 == 0 { 0.0 } else { dice.below(9) as f64 };
                if index % 50 == 49 {
                    total = 0.0;
                }
                total
            });
        }
    }

    fn gauges(&mut self) {
        for (job, instance) in TARGETS {
            for zone in ["x", "y"] {
                let labels = [("__name__", "temperature"), ("job", job), ("instance", instance), ("zone", zone)];
                let mut level = self.dice.fraction() * 40.0 - 10.0;
                self.numbers(&labels, Scrapes::Jittered, |dice, _| {
                    level += dice.fraction() - 0.5;
                    (level * 100.0).round() / 100.0
                });
            }
            self.numbers(&[("__name__", "up"), ("job", job), ("instance", instance)], Scrapes::Jittered, |dice, _| {
                if dice.chance(10) { 0.0 } else { 1.0 }
            });
            let labels = [("__name__", "limit"), ("job", job), ("instance", instance)];
            if self.dice.chance(15) {
                self.push(&labels, Vec::new());
            } else {
                let level = (self.dice.below(40) as f64) - 5.0;
                self.numbers(&labels, Scrapes::Gappy, |_, index| level + (index / 30) as f64);
            }
        }
        for n in ["1", "2", "3", "10", "a"] {
            let labels = [("__name__", "small"), ("n", n)];
            self.numbers(&labels, Scrapes::Aligned, |dice, _| dice.below(4) as f64 - 1.0);
        }
    }

    /// Series that say what a target is; some change, some are missing.
    fn infos(&mut self) {
        for (job, instance) in TARGETS {
            let is_left_out = self.dice.chance(20);
            let split = if self.dice.chance(50) { LENGTH_MS / 2 } else { LENGTH_MS };
            for (version, from_ms, to_ms) in [("1.0", 0, split), ("1.1", split, LENGTH_MS)] {
                let labels = [
                    ("__name__", "target_info"),
                    ("job", job),
                    ("instance", instance),
                    ("version", version),
                    ("env", if instance == "a:1" { "prod" } else { "test" }),
                ];
                let mut moments = self.moments(Scrapes::Jittered);
                let start_ms = self.start_ms;
                moments.retain(|moment| !is_left_out && (from_ms..to_ms).contains(&(moment.time_ms - start_ms)));
                if let Some(last) = moments.last_mut() {
                    last.is_stale = to_ms < LENGTH_MS;
                }
                let sample = |moment: &Moment| Seen::Number(if moment.is_stale { stale_nan() } else { 1.0 });
                let samples = moments.iter().map(|moment| (moment.time_ms, sample(moment))).collect();
                self.push(&labels, samples);
            }
        }
    }

    /// Classic histograms whose buckets are read while they count, so that they may not add up.
    fn classic(&mut self) {
        const BOUNDS: [&str; 6] = ["0.1", "0.5", "1", "2.5", "10", "+Inf"];
        for job in ["api", "web"] {
            let racy = job == "web";
            let moments = self.moments(Scrapes::Jittered);
            let mut counts = [0.0; 6];
            let mut sum = 0.0;
            let mut rows: Vec<Vec<(i64, Seen)>> = vec![Vec::new(); 8];
            for moment in &moments {
                for (index, count) in counts.iter_mut().enumerate() {
                    let seen = self.dice.below(10) as f64;
                    *count += seen;
                    sum += seen * index as f64;
                }
                if self.dice.chance(1) {
                    (counts, sum) = ([0.0; 6], 0.0);
                }
                let mut upto = 0.0;
                for (row, count) in rows.iter_mut().zip(&counts) {
                    upto += count;
                    let late = if racy && self.dice.chance(20) { -3.0 } else { 0.0 };
                    row.push((moment.time_ms, Seen::Number(f64::max(upto + late, 0.0))));
                }
                rows[6].push((moment.time_ms, Seen::Number(upto)));
                rows[7].push((moment.time_ms, Seen::Number(sum)));
            }
            let mut rows = rows.into_iter();
            for (bound, row) in BOUNDS.iter().zip(&mut rows) {
                self.push(&[("__name__", "latency_bucket"), ("job", job), ("le", bound)], row);
            }
            for (name, row) in ["latency_count", "latency_sum"].into_iter().zip(rows) {
                self.push(&[("__name__", name), ("job", job)], row);
            }
        }
    }

    fn native(&mut self) {
        for (job, instance) in TARGETS {
            let schema = self.dice.between(-1, 4) as i32;
            for (name, shape) in [
                ("native", Shape::Integers { schema: 1 }),
                ("native_any", Shape::Integers { schema }),
                ("native_floats", Shape::Floats { schema }),
                ("native_custom", Shape::Custom),
                ("native_gauge", Shape::Gauge),
            ] {
                let labels = [("__name__", name), ("job", job), ("instance", instance)];
                if self.dice.chance(15) {
                    self.push(&labels, Vec::new());
                    continue;
                }
                let scrapes = if self.dice.chance(30) { Scrapes::Gappy } else { Scrapes::Jittered };
                let samples = self.histograms(shape, scrapes, job == "api");
                self.push(&labels, samples);
            }
        }
        for job in ["api", "web"] {
            let mut samples = self.histograms(Shape::Integers { schema: 1 }, Scrapes::Jittered, false);
            let mut as_number = false;
            for (_, seen) in &mut samples {
                if self.dice.chance(12) {
                    as_number = !as_number;
                }
                if as_number {
                    *seen = Seen::Number(self.dice.below(100) as f64);
                }
            }
            self.push(&[("__name__", "mixed"), ("job", job)], samples);
        }
    }

    fn histograms(&mut self, shape: Shape, scrapes: Scrapes, has_negative: bool) -> Vec<(i64, Seen)> {
        let mut now = Observed::new(has_negative);
        let mut samples = Vec::new();
        for moment in self.moments(scrapes) {
            if self.dice.chance(2) || matches!(shape, Shape::Gauge) {
                now = Observed::new(has_negative);
            }
            now.observe(&mut self.dice, shape, has_negative);
            let of_integers = !matches!(shape, Shape::Floats { .. });
            let value = if moment.is_stale { FloatHistogram::stale() } else { now.histogram(shape) };
            samples.push((moment.time_ms, Seen::Histogram { value: Arc::new(value), of_integers }));
        }
        samples
    }

    /// Numbers that are not, or hardly, numbers.
    fn odd(&mut self) {
        const VALUES: [f64; 12] = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -0.0,
            1e308,
            -1e308,
            // No smaller one: the logarithm of Go on x86-64 is wrong for those.
            3e-308,
            1.5,
            -2.5,
            1e-9,
            123_456_789.123,
        ];
        for (which, from) in [("any", 0), ("real", 3), ("tame", 8)] {
            let labels = [("__name__", "odd"), ("which", which)];
            self.numbers(&labels, Scrapes::Jittered, |dice, _| VALUES[from + dice.below(VALUES.len() - from)]);
        }
        let labels = [("__name__", "a.b"), ("la bel", "ü"), ("job", "api")];
        self.numbers(&labels, Scrapes::Jittered, |_, index| index as f64);
        for job in ["api", "web"] {
            for pod in ["p0", "p1", "p2"] {
                let labels = [("__name__", "sparse"), ("job", job), ("pod", pod)];
                self.numbers(&labels, Scrapes::Gappy, |dice, index| (index as f64) * dice.fraction());
            }
        }
    }
}

const TARGETS: [(&str, &str); 4] = [("api", "a:1"), ("api", "b:1"), ("web", "a:1"), ("web", "c:2")];

/// What kind of native histogram.
#[derive(Clone, Copy)]
enum Shape {
    Integers { schema: i32 },
    Floats { schema: i32 },
    Custom,
    Gauge,
}

const CUSTOM_BOUNDS: [f64; 4] = [0.1, 1.0, 2.5, 10.0];

/// What a native histogram has counted so far.
#[derive(Default)]
struct Observed {
    positive: BTreeMap<i64, f64>,
    negative: BTreeMap<i64, f64>,
    zero: f64,
    sum: f64,
}

impl Observed {
    /// So much that a rate is never cut off where the counter would have been zero: 3.5 does not cut off histograms. And
    /// on all sides: Prometheus puts the buckets of later samples of a chunk, empty, into the earlier ones, and a quantile
    /// in the zero bucket depends on whether there are any buckets on a side.
    fn new(has_negative: bool) -> Observed {
        let negative = if has_negative { BTreeMap::from([(1, 50.0)]) } else { BTreeMap::new() };
        Observed { positive: (0..5).map(|bucket| (bucket, 300.0)).collect(), negative, zero: 20.0, sum: 900.0 }
    }

    fn observe(&mut self, dice: &mut Dice, shape: Shape, has_negative: bool) {
        for _ in 0..dice.below(5) {
            let weight = match shape {
                Shape::Floats { .. } => (dice.fraction() * 64.0).ceil() / 16.0,
                _ => (1 + dice.below(5)) as f64,
            };
            match (shape, dice.below(8)) {
                (Shape::Custom, bucket) => {
                    *self.positive.entry((bucket % 5) as i64).or_default() += weight;
                    self.sum += weight * bucket as f64;
                }
                (_, 0) => self.zero += weight,
                (_, 1) if has_negative => {
                    *self.negative.entry(dice.between(-3, 4)).or_default() += weight;
                    self.sum -= weight * 1.5;
                }
                (_, bucket) => {
                    *self.positive.entry(bucket as i64 - 4 + dice.between(-1, 2)).or_default() += weight;
                    self.sum += weight * bucket as f64 / 3.0;
                }
            }
        }
    }

    fn histogram(&self, shape: Shape) -> FloatHistogram {
        let of = |cells: &BTreeMap<i64, f64>| {
            let (Some((first, _)), Some((last, _))) = (cells.first_key_value(), cells.last_key_value()) else {
                return Side::default();
            };
            let counts = (*first..=*last).map(|index| cells.get(&index).copied().unwrap_or(0.0)).collect();
            Side::of_run(*first as i32, counts)
        };
        let custom = matches!(shape, Shape::Custom);
        let outside = if custom { 0.0 } else { self.negative.values().sum::<f64>() + self.zero };
        let total = self.positive.values().sum::<f64>() + outside;
        FloatHistogram {
            hint: if matches!(shape, Shape::Gauge) { CounterResetHint::Gauge } else { CounterResetHint::Unknown },
            schema: match shape {
                Shape::Integers { schema } | Shape::Floats { schema } => schema,
                Shape::Custom => SCHEMA_CUSTOM,
                Shape::Gauge => 0,
            },
            zero_threshold: if custom { 0.0 } else { 0.001 },
            zero_count: if custom { 0.0 } else { self.zero },
            count: total,
            sum: self.sum,
            positive: of(&self.positive),
            negative: if custom { Side::default() } else { of(&self.negative) },
            custom_values: if custom { Arc::from(CUSTOM_BOUNDS) } else { Arc::from([]) },
        }
    }
}
