//! Whatever is written, deleted and asked for in between: a kept answer is the answer.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{Answer, Engine, Limits, Options, Value};
use super::*;
use crate::clock::Clock;
use crate::disk::SimulatedDisk;
use crate::model::{Labels, Matcher, Sample, TimeRange};
use crate::storage::{NewSeries, ShardBatch, Storage, StorageOptions};

const START_MS: i64 = 1_700_000_000_000;

struct Rig {
    storage: Arc<Storage>,
    engine: Engine,
    clock: Clock,
    runtime: tokio::runtime::Runtime,
}

impl Rig {
    fn new(bytes_max: usize) -> Rig {
        let clock = Clock::manual(START_MS);
        let options = StorageOptions::of_tests(2);
        let disk = Arc::new(SimulatedDisk::new());
        let interest = Arc::new(|_: &Labels| false);
        let (storage, _, _) = Storage::open(options, disk, clock.clone(), interest).expect("an empty database opens");
        let engine = Engine::new(Limits::default(), clock.clone()).caching(bytes_max);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Rig { storage, engine, clock, runtime }
    }

    fn write(&self, series: usize, timestamp_ms: i64, value: f64) {
        let labels = Labels::from_pairs([("__name__", "x_total"), ("n", &series.to_string())]).expect("labels");
        let shard = self.storage.shard_of(&labels);
        let mut batches: Vec<ShardBatch> = (0..2).map(|_| ShardBatch::default()).collect();
        let samples = vec![Sample { timestamp_ms, value }];
        batches[shard].new.push(NewSeries::new(Arc::new(labels), series as u128, samples));
        let written = self.runtime.block_on(self.storage.write(batches));
        written.expect("the storage takes it");
    }

    fn ask(&self, query: &str, start_ms: i64, end_ms: i64, step_ms: i64, no_cache: bool) -> String {
        self.numbered(query, start_ms, end_ms, step_ms, no_cache).1
    }

    /// Also the number of the kept answer that it was.
    fn numbered(&self, query: &str, start_ms: i64, end_ms: i64, step_ms: i64, no_cache: bool) -> (Option<u64>, String) {
        let options = Options { no_cache, ..Options::default() };
        let Answer { value, warnings, infos, kept_as } = self
            .engine
            .range(&self.storage.view(), query, start_ms, end_ms, step_ms, &options)
            .expect("a query that can be answered");
        let Value::Matrix(series) = value else { panic!("a matrix") };
        let shown: Vec<String> =
            series.iter().map(|one| format!("{} {:?}", one.labels, one.points.iter().collect::<Vec<_>>())).collect();
        (kept_as, format!("{shown:?} {warnings:?} {infos:?}"))
    }
}

#[test]
fn an_answer_asked_for_again_has_only_its_last_steps_computed() {
    let rig = Rig::new(1 << 20);
    (0..100).for_each(|scrape| rig.write(0, START_MS + scrape * 15_000, scrape as f64));
    let end_ms = START_MS + 100 * 15_000;
    rig.clock.advance(Duration::from_millis((end_ms - START_MS) as u64));
    let query = "rate(x_total[1m])";
    let first = rig.ask(query, START_MS, end_ms, 60_000, false);
    assert_eq!(rig.engine.cache_figures(), CacheFigures { used: 0, unused: 1, ..rig.engine.cache_figures() });
    assert_eq!(rig.ask(query, START_MS, end_ms, 60_000, false), first);
    assert_eq!(rig.engine.cache_figures().used, 1);
    rig.write(0, end_ms, 100.0);
    let moved = rig.ask(query, START_MS + 60_000, end_ms + 60_000, 60_000, false);
    assert_eq!(moved, rig.ask(query, START_MS + 60_000, end_ms + 60_000, 60_000, true));
    assert_eq!(rig.engine.cache_figures().used, 2);
    // Of another phase, another step, another text.
    for (query, start_ms, step_ms) in
        [(query, START_MS + 1, 60_000), (query, START_MS, 30_000), ("rate(x_total[2m])", START_MS, 60_000)]
    {
        rig.ask(query, start_ms, end_ms, step_ms, false);
    }
    assert_eq!(rig.engine.cache_figures().used, 2);
}

#[test]
fn an_answer_has_a_number_while_it_stays_the_same() {
    let rig = Rig::new(1 << 20);
    (0..100).for_each(|scrape| rig.write(0, START_MS + scrape * 15_000, scrape as f64));
    let end_ms = START_MS + 99 * 15_000;
    rig.clock.advance(Duration::from_millis((end_ms - START_MS) as u64));
    let number = |start_ms, end_ms| rig.numbered("x_total", start_ms, end_ms, 60_000, false).0;
    assert_eq!(number(START_MS, end_ms), None, "it is computed");
    let first = number(START_MS, end_ms);
    assert!(first.is_some());
    assert_eq!(number(START_MS, end_ms), first);
    // A part of it is another answer, and so is it with a sample more.
    assert_eq!(number(START_MS + 60_000, end_ms), None);
    let part = number(START_MS + 60_000, end_ms);
    assert!(part.is_some() && part != first, "{part:?}");
    rig.write(1, end_ms - 600_000, 1.0);
    rig.clock.advance(Duration::from_secs(2));
    assert_eq!(number(START_MS + 60_000, end_ms), None);
    let later = number(START_MS + 60_000, end_ms);
    assert!(later.is_some() && later != part && later != first, "{later:?}");
    assert_eq!(rig.numbered("x_total", START_MS + 60_000, end_ms, 60_000, true).0, None);
}

#[test]
fn what_looks_ahead_or_at_the_query_itself_is_not_kept() {
    let kept = [
        "x",
        "sum(rate(x[5m] offset 1h))",
        "x[5m:1m] offset 1m",
        "absent(x)",
        "time() + step()",
        "rate(x[5m] anchored)",
    ];
    let not_kept = [
        "x @ 5",
        "x @ end()",
        "x offset -1m",
        "sum_over_time((x offset -1m)[5m:1m])",
        "sum(x) - start()",
        "range()",
        "rate(x[5m] smoothed)",
        "x smoothed",
        "quantile_over_time(end(), x[5m])",
        "topk(start(), x)",
        "-(x @ 5)",
    ];
    let does = |query: &str| reaches_back_only(&super::super::plan(query).expect(query));
    assert!(kept.into_iter().all(does));
    not_kept.into_iter().for_each(|query| assert!(!does(query), "{query}"));
}

#[test]
fn what_is_kept_stays_within_its_bytes() {
    let rig = Rig::new(20_000);
    (0..50).for_each(|scrape| rig.write(0, START_MS + scrape * 15_000, scrape as f64));
    for constant in 0..100 {
        rig.ask(&format!("x_total + {constant}"), START_MS, START_MS + 600_000, 15_000, false);
        assert!(rig.engine.cache_figures().bytes <= 20_000);
    }
    assert!(rig.engine.cache_figures().bytes > 10_000, "{:?}", rig.engine.cache_figures());
    // Too large for its share.
    let before = rig.engine.cache_figures();
    rig.ask("x_total", START_MS, START_MS + 600_000, 1_000, false);
    assert_eq!(rig.engine.cache_figures().bytes, before.bytes);
}

#[derive(Clone, Debug)]
enum Deed {
    /// A sample of a series, so many seconds from now.
    Write(usize, i64, u8),
    Delete(i64, i64),
    Wait(u64),
    /// A query, from so many steps ago, over so many.
    Ask(&'static str, i64, i64),
}

const QUERIES: [&str; 6] = [
    "x_total",
    "sum(rate(x_total[2m]))",
    "x_total offset 1m",
    "max_over_time(sum(x_total)[3m:30s])",
    "absent(x_total{n=\"1\"})",
    "topk(1, x_total)",
];

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0..3_usize, -20..5_i64, any::<u8>()).prop_map(|(series, scrapes, value)| Deed::Write(series, scrapes * 15, value)),
        1 => (0..3_usize, -240..-20_i64, any::<u8>()).prop_map(|(series, scrapes, value)| Deed::Write(series, scrapes * 15, value)),
        1 => (-40..0_i64, 0..10_i64).prop_map(|(from, count)| Deed::Delete(from * 15, (from + count) * 15)),
        3 => (0..90_u64).prop_map(Deed::Wait),
        6 => (prop::sample::select(&QUERIES[..]), 1..30_i64, 0..30_i64).prop_map(|(query, ago, count)| Deed::Ask(query, ago, count)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_kept_answer_is_the_answer(deeds in prop::collection::vec(deed(), 1..80)) {
        let rig = Rig::new(1 << 20);
        let mut by_number = std::collections::HashMap::new();
        for deed in deeds {
            let now_ms = rig.clock.now_ms();
            match deed {
                Deed::Write(series, seconds, value) => rig.write(series, now_ms + seconds * 1000, f64::from(value)),
                Deed::Delete(from_s, to_s) => {
                    let range = TimeRange { from_ms: now_ms + from_s * 1000, to_ms: now_ms + to_s * 1000 };
                    let selector = vec![Matcher::equal("n", "1")];
                    rig.storage.delete_series(&[selector], range).expect("it can be deleted");
                }
                Deed::Wait(seconds) => rig.clock.advance(Duration::from_secs(seconds)),
                Deed::Ask(query, ago, count) => {
                    let step_ms = 30_000;
                    let start_ms = now_ms.div_euclid(step_ms) * step_ms - ago * step_ms;
                    let end_ms = start_ms + count * step_ms;
                    let asked = rig.ask(query, start_ms, end_ms, step_ms, false);
                    prop_assert_eq!(&asked, &rig.ask(query, start_ms, end_ms, step_ms, true), "{}", query);
                    let (number, again) = rig.numbered(query, start_ms, end_ms, step_ms, false);
                    prop_assert_eq!(&again, &asked, "{}", query);
                    if let Some(number) = number {
                        let known = by_number.entry(number).or_insert_with(|| again.clone());
                        prop_assert_eq!(&again, &*known, "{}", query);
                    }
                }
            }
        }
    }
}
