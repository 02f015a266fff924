//! A simulated shop: what must fire does, soon; what is healthy does not.

use super::*;
use crate::detect::{Direction, Directions, Kind};
use crate::model::stale_nan;

const ORDERS: &str = "sum by (region) (rate(shop_orders_total[1m]))";
const LATENCY: &str = "histogram_quantile(0.95, sum by (le, region) (rate(shop_checkout_seconds_bucket[1m])))";
const SCRAPE_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;

fn drop_options() -> ModelOptions {
    ModelOptions { directions: Directions::Drop, ..ModelOptions::default() }
}

/// Orders a second at a moment: the daily wave of a shop, 40 % up and down.
fn daily(timestamp_ms: i64) -> f64 {
    1.0 + 0.4 * (std::f64::consts::TAU * (timestamp_ms % (24 * HOUR_MS)) as f64 / (24 * HOUR_MS) as f64).sin()
}

struct Shop {
    nodes: usize,
    /// Orders a minute of the whole shop, on average over the day.
    orders_per_minute: f64,
    seed: u64,
}

impl Shop {
    fn series(&self) -> Vec<Arc<Labels>> {
        (0..self.nodes)
            .map(|node| labels(&[("__name__", "shop_orders_total"), ("region", "eu"), ("node", &node.to_string())]))
            .collect()
    }

    /// Every node's counter, scraped every 15 s at a phase of its own; `health` scales the rate at a moment.
    fn orders(&self, duration_ms: i64, health: impl Fn(i64) -> f64) -> Vec<Row> {
        self.orders_by_node(duration_ms, |_, at_ms| health(at_ms))
    }

    fn orders_by_node(&self, duration_ms: i64, health: impl Fn(usize, i64) -> f64) -> Vec<Row> {
        let mut chance = Chance(self.seed);
        let phases: Vec<i64> = (0..self.nodes).map(|_| chance.below(SCRAPE_MS as usize) as i64).collect();
        let mut totals = vec![0.0; self.nodes];
        let day_start_ms = chance.below(24 * HOUR_MS as usize) as i64;
        let mut rows = Vec::new();
        for round in 0..duration_ms / SCRAPE_MS {
            for node in 0..self.nodes {
                let at_ms = round * SCRAPE_MS + phases[node];
                // In steps of a second, so that an incident within a scrape interval is seen as it is.
                for second in 0..SCRAPE_MS / 1000 {
                    let then_ms = at_ms - SCRAPE_MS + second * 1000 + 500;
                    let per_second = self.orders_per_minute / 60.0 / self.nodes as f64;
                    totals[node] += chance.poisson(per_second * daily(day_start_ms + then_ms) * health(node, then_ms));
                }
                rows.push((node, START_MS + at_ms, totals[node]));
            }
        }
        rows.sort_by_key(|row| row.1);
        rows
    }
}

#[test]
fn an_order_drop_of_70_percent_fires_within_90_seconds_and_resolves() {
    let mut worst_ms = 0;
    for seed in 0..20 {
        let shop = Shop { nodes: 4, orders_per_minute: 300.0, seed };
        let broken_ms = 2 * HOUR_MS + 1000 * seed as i64;
        let health = |at_ms: i64| if (broken_ms..broken_ms + 300_000).contains(&at_ms) { 0.3 } else { 1.0 };
        let rows = shop.orders(3 * HOUR_MS, health);
        let transitions = transitions_of(vec![watch(ORDERS, drop_options())], &shop.series(), &rows);
        let [fired, resolved] = transitions.as_slice() else { panic!("seed {seed}: {transitions:?}") };
        assert_eq!((fired.kind, fired.direction, resolved.kind), (Kind::Firing, Direction::Drop, Kind::Resolved));
        assert_eq!(fired.labels.to_string(), r#"{region="eu"}"#);
        let since_ms = fired.at_ms - (START_MS + broken_ms);
        assert!((30_000..=90_000).contains(&since_ms), "seed {seed}: fired after {since_ms} ms");
        worst_ms = worst_ms.max(since_ms);
        assert!((fired.onset_ms - START_MS - broken_ms).abs() <= 30_000, "seed {seed}: onset {}", fired.onset_ms);
        let back_ms = resolved.at_ms - (START_MS + broken_ms + 300_000);
        assert!((0..=180_000).contains(&back_ms), "seed {seed}: resolved {back_ms} ms after recovery");
    }
    println!("slowest of 20: {worst_ms} ms");
}

#[test]
fn group_is_suspected_before_it_fires_and_not_while_it_does() {
    let shop = Shop { nodes: 4, orders_per_minute: 300.0, seed: 3 };
    let broken_ms = 2 * HOUR_MS;
    let rows = shop.orders(2 * HOUR_MS + 600_000, |at_ms| if at_ms >= broken_ms { 0.3 } else { 1.0 });
    let (mut workers, mut judge) = start(vec![watch(ORDERS, drop_options())], 1, None);
    workers[0].handle(&batch(&shop.series(), &[], true));
    let (mut suspected_at, mut fired_at) = (Vec::new(), None);
    for (round, rows) in rows.chunks(4).enumerate() {
        workers[0].handle(&batch(&shop.series(), rows, false));
        fired_at = fired_at.or((!judge.poll().is_empty()).then_some(round));
        for suspect in judge.suspects(10) {
            assert_eq!((suspect.labels.get("region"), suspect.direction), (Some("eu"), Direction::Drop));
            assert!(suspect.onset_ms <= suspect.as_of_ms - 60_000 && suspect.expected.is_some(), "{suspect:?}");
            suspected_at.push(round);
        }
    }
    let fired_at = fired_at.expect("it fires");
    let latest = *suspected_at.last().expect("it is suspected");
    // Not more than the four samples that it takes to alert, and one that was judged with it.
    assert!(latest < fired_at && fired_at - latest <= 5, "suspected {suspected_at:?}, fired {fired_at}");
}

/// Transitions of `count` seeds, which should be none.
fn false_alarms(count: u64, watched: &Watch, rows_of: impl Fn(u64) -> (Vec<Arc<Labels>>, Vec<Row>)) -> usize {
    (0..count)
        .map(|seed| {
            let (series, rows) = rows_of(seed);
            let transitions = transitions_of(vec![watched.clone()], &series, &rows);
            if !transitions.is_empty() {
                println!("seed {seed}: {transitions:?}");
            }
            transitions.len()
        })
        .sum()
}

#[test]
fn healthy_orders_never_fire() {
    for orders_per_minute in [2.0, 12.0, 60.0, 600.0, 20_000.0] {
        let watched = watch(ORDERS, ModelOptions::default());
        let alarms = false_alarms(40, &watched, |seed| {
            let shop = Shop { nodes: 2, orders_per_minute, seed };
            (shop.series(), shop.orders(6 * HOUR_MS, |_| 1.0))
        });
        assert_eq!(alarms, 0, "at {orders_per_minute} orders a minute, in 240 hours");
    }
}

const BOUNDS: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, f64::INFINITY];

/// Histogram counters of one node, its observations log-normal about a median of 0.2 s times `slowness`.
fn latencies(seed: u64, per_minute: f64, duration_ms: i64, slowness: impl Fn(i64) -> f64) -> Vec<Row> {
    let mut chance = Chance(seed);
    let mut totals = [0.0; BOUNDS.len()];
    let mut rows = Vec::new();
    for round in 0..duration_ms / SCRAPE_MS {
        let at_ms = round * SCRAPE_MS;
        for _ in 0..chance.poisson(per_minute / 4.0) as usize {
            let seconds = 0.2 * (0.6 * chance.normal()).exp() * slowness(at_ms - SCRAPE_MS / 2);
            for (total, bound) in totals.iter_mut().zip(BOUNDS) {
                *total += f64::from(u8::from(seconds <= bound));
            }
        }
        rows.extend((0..BOUNDS.len()).map(|lane| (lane, START_MS + at_ms + 3000, totals[lane])));
    }
    rows
}

fn latency_series() -> Vec<Arc<Labels>> {
    let bound_text = |bound: f64| if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
    BOUNDS
        .iter()
        .map(|&bound| {
            let bound = bound_text(bound);
            labels(&[("__name__", "shop_checkout_seconds_bucket"), ("region", "eu"), ("le", &bound), ("node", "1")])
        })
        .collect()
}

#[test]
fn healthy_latency_never_fires() {
    for per_minute in [12.0, 60.0, 600.0] {
        let watched = watch(LATENCY, ModelOptions::default());
        let alarms =
            false_alarms(40, &watched, |seed| (latency_series(), latencies(seed, per_minute, 6 * HOUR_MS, |_| 1.0)));
        assert_eq!(alarms, 0, "at {per_minute} checkouts a minute, in 240 hours");
    }
}

#[test]
fn healthy_gauges_never_fire() {
    let watched = watch("queue_length", ModelOptions::default());
    let alarms = false_alarms(100, &watched, |seed| {
        let mut chance = Chance(seed);
        let mut drift = 0.0;
        let rows = (0..6 * HOUR_MS / SCRAPE_MS).map(|round| {
            drift = 0.95 * drift + 0.04 * chance.normal(); // 13 % about the mean, for minutes
            (0, START_MS + round * SCRAPE_MS, 40.0 * (drift + 0.1 * chance.normal()).exp())
        });
        (vec![labels(&[("__name__", "queue_length")])], rows.collect())
    });
    assert_eq!(alarms, 0, "in 600 hours");
}

/// A queue that holds up to three orders one time of ten, and is empty else; from `full_ms` on twenty.
fn queue(seed: u64, interval_ms: i64, span_ms: i64, full_ms: i64) -> (Vec<Arc<Labels>>, Vec<Row>) {
    let mut chance = Chance(seed);
    let rows = (0..span_ms / interval_ms).map(|round| {
        let held = if chance.share() < 0.9 { 0.0 } else { 1.0 + chance.below(3) as f64 };
        let at_ms = round * interval_ms;
        (0, START_MS + at_ms, if at_ms >= full_ms { 20.0 } else { held })
    });
    (vec![labels(&[("__name__", "queue_length")])], rows.collect())
}

#[test]
fn queue_that_is_mostly_empty_does_not_fire_and_one_that_fills_does() {
    let watched = watch("queue_length", ModelOptions::default());
    for interval_ms in [15_000, 60_000, 300_000] {
        let alarms = false_alarms(10, &watched, |seed| queue(seed, interval_ms, 48 * HOUR_MS, i64::MAX));
        assert!(alarms <= 1, "{alarms} in 480 hours, a sample every {interval_ms} ms");
        let (series, rows) = queue(1, interval_ms, 50 * HOUR_MS, 48 * HOUR_MS);
        let transitions = transitions_of(vec![watched.clone()], &series, &rows);
        let since_full =
            transitions.iter().map(|one| one.at_ms - START_MS - 48 * HOUR_MS).find(|after_ms| *after_ms >= 0);
        let after_ms = since_full.unwrap_or_else(|| panic!("it filled, every {interval_ms} ms"));
        assert!((0..=8 * interval_ms).contains(&after_ms), "{after_ms} ms, a sample every {interval_ms} ms");
    }
}

#[test]
fn checkouts_three_times_slower_fire_and_resolve() {
    let broken_ms = 2 * HOUR_MS;
    for seed in 0..10 {
        let slowness = |at_ms: i64| if (broken_ms..broken_ms + 300_000).contains(&at_ms) { 3.0 } else { 1.0 };
        let rows = latencies(seed, 240.0, 3 * HOUR_MS, slowness);
        let options = ModelOptions { directions: Directions::Rise, ..ModelOptions::default() };
        let transitions = transitions_of(vec![watch(LATENCY, options)], &latency_series(), &rows);
        let [fired, resolved] = transitions.as_slice() else { panic!("seed {seed}: {transitions:?}") };
        assert_eq!((fired.kind, fired.direction, resolved.kind), (Kind::Firing, Direction::Rise, Kind::Resolved));
        assert!(fired.at_ms - START_MS - broken_ms <= 105_000, "seed {seed}: {}", fired.at_ms - START_MS - broken_ms);
        assert!(fired.value > 1.3 * fired.expected, "{fired:?}");
    }
}

#[test]
fn a_dip_of_30_seconds_and_a_spike_do_not_fire() {
    for seed in 0..20 {
        let shop = Shop { nodes: 3, orders_per_minute: 1200.0, seed };
        let health = |at_ms: i64| {
            let in_cycle_ms = at_ms % (HOUR_MS / 2 + 7000);
            match in_cycle_ms {
                900_000..930_000 => 0.0,
                1_500_000..1_510_000 => 8.0,
                _ => 1.0,
            }
        };
        let rows = shop.orders(4 * HOUR_MS, health);
        let transitions = transitions_of(vec![watch(ORDERS, ModelOptions::default())], &shop.series(), &rows);
        assert!(transitions.is_empty(), "seed {seed}: {transitions:?}");
    }
}

#[test]
fn a_counter_that_begins_anew_does_not_fire() {
    let shop = Shop { nodes: 2, orders_per_minute: 600.0, seed: 5 };
    let mut rows = shop.orders(3 * HOUR_MS, |_| 1.0);
    let reset_ms = START_MS + 2 * HOUR_MS;
    let before = rows.iter().filter(|row| row.0 == 0 && row.1 < reset_ms).map(|row| row.2).fold(0.0, f64::max);
    for row in rows.iter_mut().filter(|row| row.0 == 0 && row.1 >= reset_ms) {
        row.2 -= before;
    }
    let transitions = transitions_of(vec![watch(ORDERS, ModelOptions::default())], &shop.series(), &rows);
    assert!(transitions.is_empty(), "{transitions:?}");
}

/// Runs six healthy hours of four nodes, of which one is gone from the third hour on, and says what came of it.
fn transitions_without_a_node(seed: u64, with_marker: bool) -> Vec<Transition> {
    let shop = Shop { nodes: 4, orders_per_minute: 400.0, seed };
    let gone_ms = START_MS + 2 * HOUR_MS;
    let mut rows = shop.orders(4 * HOUR_MS, |_| 1.0);
    rows.retain(|row| row.0 != 0 || row.1 < gone_ms);
    if with_marker {
        let index = rows.partition_point(|row| row.1 < gone_ms + 15_000);
        rows.insert(index, (0, gone_ms + 15_000, stale_nan()));
    }
    transitions_of(vec![watch(ORDERS, ModelOptions::default())], &shop.series(), &rows)
}

#[test]
fn a_node_that_leaves_is_no_drop() {
    for seed in 0..10 {
        assert!(transitions_without_a_node(seed, true).is_empty(), "with a staleness marker, seed {seed}");
        assert!(transitions_without_a_node(seed, false).is_empty(), "in silence, seed {seed}");
    }
}

#[test]
fn a_node_that_leaves_and_whose_work_the_others_take_over_is_no_rise() {
    for seed in 0..10 {
        let shop = Shop { nodes: 2, orders_per_minute: 400.0, seed };
        let gone_ms = 2 * HOUR_MS;
        let takes_over = |node: usize, at_ms: i64| if node == 1 && at_ms >= gone_ms { 2.0 } else { 1.0 };
        let mut rows = shop.orders_by_node(3 * HOUR_MS, takes_over);
        rows.retain(|row| row.0 == 1 || row.1 < START_MS + gone_ms);
        let index = rows.partition_point(|row| row.1 < START_MS + gone_ms);
        rows.insert(index, (0, START_MS + gone_ms, stale_nan()));
        let transitions = transitions_of(vec![watch(ORDERS, ModelOptions::default())], &shop.series(), &rows);
        assert!(transitions.is_empty(), "seed {seed}: {transitions:?}");
    }
}

#[test]
fn a_node_whose_clock_is_wrong_does_not_blind_the_others() {
    for wrong_by_ms in [0, -HOUR_MS, 100_000, HOUR_MS, 1000 * HOUR_MS] {
        let shop = Shop { nodes: 10, orders_per_minute: 600.0, seed: 7 };
        let broken_ms = 2 * HOUR_MS;
        let health = |at_ms: i64| if (broken_ms..broken_ms + 300_000).contains(&at_ms) { 0.3 } else { 1.0 };
        let mut rows = shop.orders(3 * HOUR_MS, health);
        let first = rows[0].0;
        rows.iter_mut().filter(|row| row.0 == first).for_each(|row| row.1 += wrong_by_ms);
        let transitions = transitions_of(vec![watch(ORDERS, drop_options())], &shop.series(), &rows);
        let [fired, resolved] = transitions.as_slice() else { panic!("by {wrong_by_ms} ms: {transitions:?}") };
        assert_eq!((fired.kind, resolved.kind), (Kind::Firing, Kind::Resolved));
        let since_ms = fired.at_ms - START_MS - broken_ms;
        assert!((30_000..=120_000).contains(&since_ms), "by {wrong_by_ms} ms: fired after {since_ms} ms");
    }
}

#[test]
fn after_a_pause_of_two_days_the_model_goes_on() {
    let shop = Shop { nodes: 4, orders_per_minute: 600.0, seed: 12 };
    let broken_ms = 3 * HOUR_MS;
    let mut rows = shop.orders(4 * HOUR_MS, |at_ms| if at_ms >= broken_ms { 0.3 } else { 1.0 });
    // Two hours, nothing, and an hour that is like the two before, up to the incident.
    rows.iter_mut().filter(|row| row.1 >= START_MS + 2 * HOUR_MS).for_each(|row| row.1 += 48 * HOUR_MS);
    let transitions = transitions_of(vec![watch(ORDERS, ModelOptions::default())], &shop.series(), &rows);
    let [fired] = transitions.as_slice() else { panic!("{transitions:?}") };
    let since_ms = fired.at_ms - START_MS - broken_ms - 48 * HOUR_MS;
    assert!((30_000..=90_000).contains(&since_ms), "fired after {since_ms} ms");
}

#[test]
fn silence_neither_fires_nor_resolves() {
    let shop = Shop { nodes: 2, orders_per_minute: 600.0, seed: 9 };
    let broken_ms = 2 * HOUR_MS;
    let mut rows = shop.orders(3 * HOUR_MS, |at_ms| if at_ms >= broken_ms { 0.2 } else { 1.0 });
    // All nodes fall silent for four minutes before the incident, and for four minutes within it.
    let is_silent = |at_ms: i64| {
        let since_ms = at_ms - START_MS - broken_ms;
        (-600_000..-360_000).contains(&since_ms) || (300_000..540_000).contains(&since_ms)
    };
    rows.retain(|row| !is_silent(row.1));
    let transitions = transitions_of(vec![watch(ORDERS, drop_options())], &shop.series(), &rows);
    let [fired] = transitions.as_slice() else { panic!("{transitions:?}") };
    assert_eq!(fired.kind, Kind::Firing);
    assert!((START_MS + broken_ms..START_MS + broken_ms + 120_000).contains(&fired.at_ms));
}

#[test]
fn what_lasts_two_hours_is_the_new_normal() {
    let shop = Shop { nodes: 2, orders_per_minute: 600.0, seed: 3 };
    let changed_ms = 2 * HOUR_MS;
    let rows = shop.orders(6 * HOUR_MS, |at_ms| if at_ms >= changed_ms { 0.3 } else { 1.0 });
    let transitions = transitions_of(vec![watch(ORDERS, drop_options())], &shop.series(), &rows);
    let [fired, resolved] = transitions.as_slice() else { panic!("{transitions:?}") };
    assert_eq!((fired.kind, resolved.kind), (Kind::Firing, Kind::Resolved));
    let lasted_ms = resolved.at_ms - fired.at_ms;
    assert!((2 * HOUR_MS - 120_000..=2 * HOUR_MS).contains(&lasted_ms), "{lasted_ms} ms");
}

#[test]
fn a_service_that_goes_down_is_a_drop_of_its_gauge() {
    let rows: Vec<Row> = (0..400)
        .map(|round| (0, START_MS + round * SCRAPE_MS, if (200..240).contains(&round) { 0.0 } else { 1.0 }))
        .collect();
    let series = [labels(&[("__name__", "up"), ("job", "pay")])];
    let transitions = transitions_of(vec![watch("up", drop_options())], &series, &rows);
    let [fired, resolved] = transitions.as_slice() else { panic!("{transitions:?}") };
    assert_eq!((fired.kind, fired.value, resolved.kind), (Kind::Firing, 0.0, Kind::Resolved));
    assert_eq!(fired.labels.to_string(), r#"{job="pay"}"#);
    // Scrapes fall on the ends of buckets: the first zero is seen at round 200, the fifth at 204.
    assert_eq!(fired.at_ms, START_MS + 204 * SCRAPE_MS);
}
