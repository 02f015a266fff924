//! What is fed sample by sample says what a query over the same samples says.
//!
//! The oracle is the query engine. Of `rate` and `increase` it is asked for the `smoothed` kind, which interpolates at the
//! edges of the window as signals do; how far the plain kind may be away is said in `signal.rs`, and tested too.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::clock::Clock;
use crate::detect::Judge;
use crate::model::{Sample, is_stale, stale_nan};
use crate::query::{Engine, Limits, Options, Value};
use crate::storage::view::ReadView;

/// `~` is where the oracle says `smoothed`; then the longest range, in ms.
const SHAPES: [(&str, i64); 28] = [
    ("sum by (region) (rate(x_total[1m]~))", 60_000),
    ("sum without (node) (increase(x_total[2m]~))", 120_000),
    ("rate(x_total[30s]~)", 30_000),
    ("avg by (region) (rate(x_total[1m]~))", 60_000),
    ("min by (region) (rate(x_total[1m]~))", 60_000),
    ("max(increase(x_total[2m]~))", 120_000),
    ("count by (region) (rate(x_total[1m]~))", 60_000),
    ("irate(x_total[3m])", 180_000),
    ("sum by (region) (irate(x_total[3m]))", 180_000),
    ("g", 0),
    ("sum by (region) (g)", 0),
    ("avg(g)", 0),
    ("min by (region) (g)", 0),
    ("max by (region) (g)", 0),
    ("count by (region) (g)", 0),
    ("avg_over_time(g[2m])", 120_000),
    ("sum by (region) (min_over_time(g[2m]))", 120_000),
    ("max by (region) (max_over_time(g[2m]))", 120_000),
    ("avg by (region) (sum_over_time(g[2m]))", 120_000),
    ("sum(count_over_time(g[2m]))", 120_000),
    ("min(last_over_time(g[2m]))", 120_000),
    ("sum by (region) (rate(x_total[1m]~)) / sum by (region) (rate(y_total[2m]~))", 120_000),
    ("100 * (1 - sum by (region) (rate(x_total[1m]~)) / sum by (region) (rate(y_total[1m]~)))", 60_000),
    ("avg by (region) (g) / 1024 - max by (region) (max_over_time(g[1m]))", 60_000),
    ("-sum by (region) (g) * 2 + 5", 0),
    ("sum by (region) (rate(h_sum[1m]~)) / sum by (region) (rate(h_count[1m]~))", 60_000),
    ("histogram_quantile(0.9, sum by (le, region) (rate(h_bucket[1m]~)))", 60_000),
    ("histogram_quantile(0.5, sum without (node) (increase(h_bucket[2m]~))) * 1000", 120_000),
];

/// Series of two regions, and their samples in the order of arrival.
struct Stream {
    series: Vec<Arc<Labels>>,
    arrivals: Vec<Row>,
    interval_ms: i64,
}

/// What a query sees of a series: what was newer than all before it when it came.
type Taken = Vec<Sample>;

impl Stream {
    /// Nodes that come later, miss scrapes, fall silent with and without a staleness marker, and start anew.
    fn random(seed: u64, interval_s: i64) -> Stream {
        let mut chance = Chance(seed);
        let series = all_series(&mut chance);
        let interval_ms = interval_s * 1000;
        let mut arrivals: Vec<(i64, Row)> = Vec::new();
        for (index, one) in series.iter().enumerate() {
            let is_counter = one.metric_name() != Some("g");
            let (phase_ms, delay_ms) = (chance.below(interval_ms as usize) as i64, chance.below(23_000) as i64);
            let (mut value, mut silent) = (1000.0 * chance.share().round(), 0);
            let first = if chance.below(3) == 0 { chance.below(40) } else { 0 };
            for round in first..110 {
                value = if !is_counter {
                    (chance.normal() * 1e4).round() / 8.0
                } else if chance.below(40) == 0 {
                    chance.below(9) as f64
                } else {
                    value + (chance.below(50) as f64)
                };
                silent = if silent > 0 { silent - 1 } else { pause(&mut chance) };
                let at_ms = START_MS + round as i64 * interval_ms + phase_ms + chance.below(1500) as i64;
                let is_first_silent = silent > 1 && chance.below(2) == 0;
                if silent == 0 || is_first_silent {
                    let value = if silent == 0 { value } else { stale_nan() };
                    // Now and then a sample is overtaken by the next one; all come within the lateness.
                    let late_ms = delay_ms + if chance.below(30) == 0 { 6000 } else { 0 };
                    arrivals.push((at_ms + late_ms, (index, at_ms, value)));
                }
            }
        }
        arrivals.sort_by_key(|one| one.0);
        Stream { series, arrivals: arrivals.into_iter().map(|one| one.1).collect(), interval_ms }
    }

    fn taken(&self) -> Vec<Taken> {
        let mut taken = vec![Taken::new(); self.series.len()];
        for &(index, timestamp_ms, value) in &self.arrivals {
            if taken[index].last().is_none_or(|last| timestamp_ms > last.timestamp_ms) {
                taken[index].push(Sample { timestamp_ms, value });
            }
        }
        taken
    }
}

/// For how many scrapes a series falls silent from now on.
fn pause(chance: &mut Chance) -> usize {
    match chance.below(60) {
        0 => 2 + chance.below(30),
        1..4 => 1,
        _ => 0,
    }
}

fn all_series(chance: &mut Chance) -> Vec<Arc<Labels>> {
    let mut series = Vec::new();
    for region in ["eu", "us"] {
        for node in 0..1 + chance.below(3) {
            let node = format!("{region}{node}");
            let mut add = |name: &str, le: Option<&str>| {
                let mut pairs = vec![("__name__", name), ("region", region), ("node", node.as_str())];
                pairs.extend(le.map(|le| ("le", le)));
                series.push(labels(&pairs));
            };
            for name in ["x_total", "y_total", "g", "h_sum", "h_count"] {
                add(name, None);
            }
            for le in ["0.1", "0.5", "2", "+Inf"] {
                add("h_bucket", Some(le));
            }
        }
    }
    series
}

/// Workers, a judge, and what waits between them.
struct Detection {
    workers: Vec<Worker>,
    judge: Judge,
    inboxes: Vec<VecDeque<TapBatch>>,
    shards: Vec<usize>,
    introduced: Vec<bool>,
}

impl Detection {
    fn new(expression: &str, stream: &Stream, chance: &mut Chance) -> Detection {
        let worker_count = 1 + chance.below(4);
        let (workers, judge) = start(vec![watch(expression, ModelOptions::default())], worker_count, None);
        Detection {
            workers,
            judge,
            inboxes: vec![VecDeque::new(); worker_count],
            shards: stream.series.iter().map(|_| chance.below(worker_count)).collect(),
            introduced: vec![false; stream.series.len()],
        }
    }

    /// Deals rows to the shards and lets some of them work, in any order.
    fn admit(&mut self, series: &[Arc<Labels>], rows: &[Row], chance: &mut Chance) {
        let mut batches = vec![TapBatch::default(); self.workers.len()];
        for row in rows {
            let to = &mut batches[self.shards[row.0]];
            let one = batch(series, &[*row], false);
            if !std::mem::replace(&mut self.introduced[row.0], true) {
                to.series.push((one.rows[0].series, series[row.0].clone()));
            }
            to.rows.extend(&one.rows);
        }
        self.inboxes.iter_mut().zip(batches).for_each(|(inbox, batch)| inbox.push_back(batch));
        for _ in 0..3 * self.workers.len() {
            let shard = chance.below(self.workers.len());
            if let Some(batch) = self.inboxes[shard].pop_front() {
                self.workers[shard].handle(&batch);
            }
            self.workers[shard].settle(|| self.inboxes[shard].is_empty());
        }
        self.judge.poll();
    }

    /// Stops with whatever is under way, and goes on from the checkpoint with what the log has: another number of shards,
    /// the samples of the last hour.
    fn restarted(&self, expression: &str, stream: &Stream, admitted: usize, chance: &mut Chance) -> Detection {
        let mut next = Detection::new(expression, stream, chance);
        next.judge.restore(&self.judge.checkpoint()).expect("it was just written");
        let from_ms = stream.arrivals[admitted - 1].1 - 3_600_000;
        let replayed: Vec<Row> = stream.arrivals[..admitted].iter().filter(|row| row.1 >= from_ms).copied().collect();
        for rows in replayed.chunks(500) {
            next.admit(&stream.series, rows, chance);
        }
        next
    }
}

/// Whether all that a query sees of these series within the range before a moment is what the signal has counted too.
fn is_counted(taken: &Taken, end_ms: i64, range_ms: i64, interval_ms: i64) -> bool {
    let from_ms = end_ms - range_ms - 15_000;
    let Some(first) = taken.first() else { return false };
    let is_reported = taken.last().is_some_and(|last| last.timestamp_ms >= end_ms);
    let is_whole = taken.windows(2).all(|pair| {
        let gap_ms = pair[1].timestamp_ms - pair[0].timestamp_ms;
        let is_gap = gap_ms > 2 * interval_ms + 4000 || is_stale(pair[0].value) || is_stale(pair[1].value);
        !is_gap || pair[1].timestamp_ms + 30_000 <= from_ms || pair[0].timestamp_ms >= end_ms
    });
    is_reported && is_whole && first.timestamp_ms + 30_000 <= from_ms
}

/// What the oracle says of a group.
fn asked(engine: &Engine, view: &ReadView, query: &str, at_ms: i64, group: &Labels) -> f64 {
    let answer = engine.instant(view, query, at_ms, &Options::default()).unwrap();
    let Value::Vector(series) = answer.value else { panic!("{query} is a vector") };
    let found = series.iter().find(|one| one.0.without_metric_name() == *group);
    found.and_then(|one| one.2.number()).unwrap_or(f64::NAN)
}

fn view_of(stream: &Stream, taken: &[Taken]) -> ReadView {
    let series = stream.series.iter().zip(taken).filter(|(_, samples)| !samples.is_empty());
    ReadView::of_samples(series.map(|(labels, samples)| ((**labels).clone(), samples.clone())).collect())
}

/// Plays a stream, stopping `restarts` times on the way, and hands every group to `check` whenever a bucket of it that
/// the signal counts as a whole was closed: labels, the bucket's end, the value. Returns how many there were.
fn played(
    expression: &str,
    range_ms: i64,
    stream: &Stream,
    chance: &mut Chance,
    mut check: impl FnMut(&Labels, i64, f64),
) -> usize {
    let signal = Signal::compile(expression).unwrap();
    let taken = stream.taken();
    let mut detection = Detection::new(expression, stream, chance);
    let (mut checked, mut next) = (0, 0);
    let mut last_closed = hashbrown::HashMap::new();
    let stop_at = chance.below(stream.arrivals.len());
    let mut stops = chance.below(3);
    while next < stream.arrivals.len() {
        let count = (1 + chance.below(60)).min(stream.arrivals.len() - next);
        detection.admit(&stream.series, &stream.arrivals[next..next + count], chance);
        next += count;
        if stops > 0 && next > stop_at {
            stops -= 1;
            detection = detection.restarted(expression, stream, next, chance);
        }
        for group in &detection.judge.groups {
            let Some(closed) = group.closed else { continue };
            if last_closed.insert(group.labels.clone(), closed) == Some(closed) {
                continue;
            }
            let end_ms = signal.end_ms(closed);
            let feeds = |labels: &Labels| signal.matches(labels) && signal.group_of(labels) == *group.labels;
            let mut feeding = stream.series.iter().zip(&taken).filter(|(labels, _)| feeds(labels));
            if feeding.all(|(_, taken)| is_counted(taken, end_ms, range_ms, stream.interval_ms)) {
                check(&group.labels, end_ms, signal.value(&group.window));
                checked += 1;
            }
        }
    }
    checked
}

fn is_close(one: f64, other: f64) -> bool {
    one == other
        || (one.is_nan() && other.is_nan())
        || (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0)
}

#[test]
fn what_is_streamed_is_what_a_query_says() {
    let engine = Engine::new(Limits::default(), Clock::system());
    for (shape, (text, range_ms)) in SHAPES.into_iter().enumerate() {
        let mut checked = 0;
        let seeds = std::env::var("DOZOR_AGREEMENT_SEEDS").map_or(6, |seeds| seeds.parse().unwrap());
        for seed in 0..seeds {
            let mut chance = Chance(seed * 1000 + shape as u64);
            let interval_s = [5, 10, 15, 15, 30, 60][chance.below(6)];
            let stream = Stream::random(chance.bits(), interval_s);
            let view = view_of(&stream, &stream.taken());
            let (streamed, query) = (text.replace('~', ""), text.replace('~', " smoothed"));
            checked += played(&streamed, range_ms, &stream, &mut chance, |labels, end_ms, value| {
                let expected = asked(&engine, &view, &query, end_ms, labels);
                assert!(
                    is_close(value, expected),
                    "{streamed} of {labels} at {end_ms}, seed {seed}, every {interval_s} s: {value} instead of {expected}"
                );
            });
        }
        assert!(checked >= 20, "{text}: {checked} buckets were looked at");
    }
}

/// By how much the plain kind of a sum of increments may be away, as `signal.rs` says.
fn tolerance(taken: &Taken, end_ms: i64, range_ms: i64) -> f64 {
    let start_ms = end_ms - range_ms;
    let (mut inside, mut across) = (0.0, 0.0);
    for pair in taken.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let increment = if to.value < from.value { to.value } else { to.value - from.value };
        if from.timestamp_ms > start_ms && to.timestamp_ms <= end_ms {
            inside += increment;
        } else if to.timestamp_ms > start_ms && from.timestamp_ms < end_ms {
            across += increment;
        }
    }
    let within: Vec<i64> =
        taken.iter().map(|one| one.timestamp_ms).filter(|&at| at > start_ms && at <= end_ms).collect();
    match within.as_slice() {
        [first, .., last] => {
            let sampled = (last - first) as f64;
            f64::max(across, inside * 2.2 * (sampled / (within.len() - 1) as f64) / sampled)
        }
        _ => across,
    }
}

#[test]
fn rates_are_as_far_from_extrapolated_ones_as_is_said() {
    let engine = Engine::new(Limits::default(), Clock::system());
    let query = "sum by (region) (increase(x_total[2m]))";
    let (mut checked, mut furthest) = (0, 0.0_f64);
    for seed in 0..12 {
        let mut chance = Chance(seed);
        let stream = Stream::random(chance.bits(), [5, 15, 30][chance.below(3)]);
        let taken = stream.taken();
        let view = view_of(&stream, &taken);
        checked += played(query, 120_000, &stream, &mut chance, |labels, end_ms, value| {
            let expected = asked(&engine, &view, query, end_ms, labels);
            let series =
                stream.series.iter().zip(&taken).filter(|(one, _)| {
                    one.metric_name() == Some("x_total") && one.get("region") == labels.get("region")
                });
            let allowed: f64 = series.map(|(_, taken)| tolerance(taken, end_ms, 120_000)).sum();
            let away = (value - expected).abs();
            assert!(away <= allowed + 1e-9, "{labels} at {end_ms}: {value}, {expected}, allowed {allowed}");
            furthest = furthest.max(away / allowed);
        });
    }
    assert!(checked >= 100 && furthest > 0.3, "{checked} looked at, the furthest at {furthest} of what is allowed");
}

#[test]
fn a_counter_that_grows_evenly_has_the_rate_that_a_query_says() {
    let series = [labels(&[("__name__", "x_total")])];
    let rows: Vec<Row> =
        (0..40).map(|round| (0, START_MS + 3000 + round * 15_000, 1e6 + 30.0 * round as f64)).collect();
    let stream = Stream { series: series.to_vec(), arrivals: rows, interval_ms: 15_000 };
    let view = view_of(&stream, &stream.taken());
    let engine = Engine::new(Limits::default(), Clock::system());
    let checked = played("rate(x_total[1m])", 60_000, &stream, &mut Chance(5), |labels, end_ms, value| {
        assert!(is_close(value, 2.0), "{value}");
        assert!(is_close(asked(&engine, &view, "rate(x_total[1m])", end_ms, labels), 2.0));
    });
    assert!(checked > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_stream_gives_what_a_query_says(seed in any::<u64>(), shape in 0..SHAPES.len(), interval_s in 5_i64..61) {
        let engine = Engine::new(Limits::default(), Clock::system());
        let (text, range_ms) = SHAPES[shape];
        let stream = Stream::random(seed, interval_s);
        let view = view_of(&stream, &stream.taken());
        let (streamed, query) = (text.replace('~', ""), text.replace('~', " smoothed"));
        played(&streamed, range_ms, &stream, &mut Chance(seed ^ 1), |labels, end_ms, value| {
            let expected = asked(&engine, &view, &query, end_ms, labels);
            assert!(is_close(value, expected), "{streamed} of {labels} at {end_ms}: {value} instead of {expected}");
        });
    }
}
