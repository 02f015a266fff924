//! Start times: with their samples wherever those lie, and nowhere else.

use super::*;
use crate::model::LABELS_COUNT_MAX;
use crate::storage::StartRow;

const MINUTE_MS: i64 = 60_000;

/// A sample and since when it counts; 0 where that is not known.
type Started = (Labels, i64, f64, i64);

impl Fixture {
    fn write_started(&self, rows: &[Started]) -> WriteSummary {
        let mut batches = vec![ShardBatch::default(); self.storage.shard_count()];
        for (labels, timestamp_ms, value, start_ms) in rows {
            let raw_hash = self.storage.resolver().raw_hash(labels.to_string().as_bytes());
            let (timestamp_ms, value, start_ms) = (*timestamp_ms, *value, *start_ms);
            let known = self.storage.resolver().known().get(raw_hash);
            let batch = &mut batches[known.map_or_else(|| self.storage.shard_of(labels), |series| series.shard())];
            match known {
                Some(series) => {
                    batch.starts.extend((start_ms != 0).then_some(StartRow { series, timestamp_ms, start_ms }));
                    batch.rows.push(Row { series, timestamp_ms, value });
                }
                None => {
                    let mut new =
                        NewSeries::new(Arc::new(labels.clone()), raw_hash, vec![Sample { timestamp_ms, value }]);
                    new.starts.extend((start_ms != 0).then_some((timestamp_ms, start_ms)));
                    batch.new.push(new);
                }
            }
        }
        self.runtime.block_on(self.storage.write(batches)).expect("acknowledged")
    }

    fn starts(&self, labels: &Labels) -> Vec<(i64, i64)> {
        let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
        let found = self.storage.view().select(&matchers, TimeRange::ALL, 1).expect("one series at most");
        found.iter().flat_map(|series| series.starts_ms(TimeRange::ALL)).collect()
    }
}

#[test]
fn a_start_is_seen_with_its_series_and_nowhere_else() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open(&disk, &clock);
    let watched = Labels::from_pairs([("__name__", "orders"), ("watched", "yes")]).expect("labels");
    let plain = series("plain", 1);
    fixture.write_started(&[
        (watched.clone(), T0, 1.0, T0 - 500),
        (watched.clone(), T0 + 5, 2.0, T0 - 500),
        (plain.clone(), T0, 3.0, 0),
    ]);
    let check = |fixture: &Fixture| {
        assert_eq!(fixture.starts(&watched), [(T0, T0 - 500), (T0 + 5, T0 - 500)]);
        assert_eq!(fixture.starts(&plain), []);
        assert_eq!(fixture.read(&watched), bits(&[(T0, 1.0), (T0 + 5, 2.0)]));
        let view = fixture.storage.view();
        let all = view.select(&[], TimeRange::ALL, 2).expect("as many as there are");
        assert_eq!(
            all.iter().map(|one| one.labels().as_ref().clone()).collect::<Vec<_>>(),
            [watched.clone(), plain.clone()]
        );
        assert_eq!(view.label_names(&[], TimeRange::ALL).expect("names"), ["__name__", "node", "watched"]);
        assert_eq!(values_of(&view, "__start_timestamp__", &[], TimeRange::ALL), [""; 0]);
        assert_eq!(values_of(&view, "__name__", &[], TimeRange::ALL), ["orders", "plain"]);
        let named = [Matcher::equal("__start_timestamp__", "ms")];
        assert!(view.select(&named, TimeRange::ALL, 9).expect("a selection").is_empty());
    };
    check(&fixture);
    assert_eq!((fixture.storage.series_count(), fixture.storage.started_series_count()), (2, 1));
    assert_eq!(fixture.storage.series_count_with("__name__", "orders"), 1);
    let figures = fixture.storage.head_figures(10);
    assert_eq!((figures.series_count, figures.label_pair_count), (2, 4));
    assert_eq!(figures.series_by_metric, [("orders".to_owned(), 1), ("plain".to_owned(), 1)]);
    let mut tapped = Vec::new();
    for tap in &fixture.taps {
        loop {
            match tap.next(Duration::ZERO) {
                Tapped::Batch(batch) => tapped.extend(batch.rows.iter().map(|row| row.value)),
                Tapped::Missed => {
                    tapped.extend(tap.catch_up(|_| None).flat_map(|batch| batch.rows).map(|row| row.value))
                }
                Tapped::Nothing | Tapped::Closed => break,
            }
        }
    }
    assert_eq!(tapped, [1.0, 2.0]);
    // In a block, where the head still has other samples.
    fixture.write_started(&[(watched.clone(), T0 + 4 * HOUR_MS, 9.0, T0 + 4 * HOUR_MS - 1)]);
    assert_eq!(fixture.storage.maintain().expect("maintained").blocks_cut, 1);
    let block = TimeRange { from_ms: T0, to_ms: T0 + BLOCK_MS };
    let found = fixture.storage.view().select(&[Matcher::equal("watched", "yes")], block, 1).expect("a selection");
    assert_eq!(found[0].starts_ms(block), [(T0, T0 - 500), (T0 + 5, T0 - 500)]);
    assert_eq!(fixture.starts(&watched)[2..], [(T0 + 4 * HOUR_MS, T0 + 4 * HOUR_MS - 1)]);
    assert_eq!(
        fixture.storage.view().label_names(&[], TimeRange::ALL).expect("names"),
        ["__name__", "node", "watched"]
    );
    drop(fixture);
    let fixture = open_with(&disk, options(2), &clock);
    assert_eq!(fixture.recovered.series_count, 2, "the companion is not told");
    assert_eq!(fixture.starts(&watched).len(), 3, "after a restart with other shards");
}

#[test]
fn a_start_that_contradicts_costs_its_sample_nothing() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open(&disk, &clock);
    let orders = series("orders", 1);
    // Twice in one request, with two starts: the first stays.
    let both = [(orders.clone(), T0, 1.0, T0 - 9), (orders.clone(), T0, 1.0, T0 - 8)];
    let summary = fixture.write_started(&both);
    assert_eq!((summary.stored_count, summary.refused_count()), (2, 0));
    assert_eq!((summary.starts_stored_count, summary.starts_refused_count), (1, 1));
    // Of a sample that is refused, or was stored before, the start is no news.
    let summary = fixture.write_started(&[(orders.clone(), T0, 2.0, T0 - 7), (orders.clone(), T0, 1.0, T0 - 6)]);
    assert_eq!((summary.stored_count, summary.refused_count()), (1, 1));
    assert_eq!((summary.starts_stored_count, summary.starts_refused_count), (0, 0));
    assert_eq!(fixture.starts(&orders), [(T0, T0 - 9)]);
    // Later than its sample, and before 1970: kept as they are.
    fixture.write_started(&[(orders.clone(), T0 + 1, 1.0, T0 + 9), (orders.clone(), T0 + 2, 1.0, -5)]);
    assert_eq!(fixture.starts(&orders)[1..], [(T0 + 1, T0 + 9), (T0 + 2, -5)]);
}

#[test]
fn without_room_for_a_companion_samples_are_stored_without_starts() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open_with(&disk, StorageOptions { series_max: 3, ..options(1) }, &clock);
    let rows: Vec<Started> = (0..2).map(|node| (series("orders", node), T0, 1.0, T0 - 9)).collect();
    let summary = fixture.write_started(&rows);
    assert_eq!((summary.stored_count, summary.refused_count()), (2, 0));
    assert_eq!((summary.starts_stored_count, summary.starts_refused_count), (1, 1));
    assert_eq!(fixture.starts(&rows[0].0).len() + fixture.starts(&rows[1].0).len(), 1);
    // Nor has a series with as many labels as any may have.
    drop(fixture);
    let fixture = open(&SimulatedDisk::new(), &clock);
    let names: Vec<String> = (1..LABELS_COUNT_MAX).map(|index| format!("label_{index}")).collect();
    let pairs = names.iter().map(|name| (name.as_str(), "x")).chain([("__name__", "many")]);
    let many = Labels::from_pairs(pairs).expect("just as many");
    let summary = fixture.write_started(&[(many.clone(), T0, 1.0, T0 - 9)]);
    assert_eq!((summary.stored_count, summary.starts_refused_count), (1, 1));
    assert_eq!(fixture.read(&many), bits(&[(T0, 1.0)]));
}

#[test]
fn a_series_that_was_freed_has_starts_again_when_it_comes_back() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open(&disk, &clock);
    let (orders, other) = (series("orders", 1), series("other", 1));
    for round in 0..4 {
        let now_ms = T0 + round * 6 * HOUR_MS;
        fixture.write_started(&[(orders.clone(), now_ms, 1.0, now_ms - 9)]);
        for hour in 1..6 {
            clock.advance(Duration::from_millis(HOUR_MS as u64));
            fixture.write(&[(other.clone(), now_ms + hour * HOUR_MS, 1.0)]);
            fixture.storage.maintain().expect("maintained");
        }
        clock.advance(Duration::from_millis(HOUR_MS as u64));
        assert!(!fixture.storage.has_series(&orders), "it was freed in round {round}");
        assert_eq!(fixture.storage.started_series_count(), 0);
    }
    let expected: Vec<(i64, i64)> = (0..4).map(|round| T0 + round * 6 * HOUR_MS).map(|ms| (ms, ms - 9)).collect();
    assert_eq!(fixture.starts(&orders), expected);
}

#[test]
fn after_a_power_cut_a_sample_is_there_with_its_start_or_not_at_all() {
    for cut in 1..40_u64 {
        let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
        let orders = series("orders", 1);
        let (first, second) = ((orders.clone(), T0 - 20, 1.0, T0 - 99), (orders.clone(), T0, 2.0, T0 - 1));
        let after = {
            let fixture = open_with(&disk, options(1), &clock);
            fixture.write_started(std::slice::from_ref(&first));
            fixture.write_started(std::slice::from_ref(&second));
            disk.crash(cut)
        };
        let fixture = open_with(&after, options(1), &clock);
        assert_eq!(fixture.starts(&orders).len(), fixture.read(&orders).len(), "crash {cut}");
        fixture.write_started(&[first, second]);
        assert_eq!(fixture.starts(&orders), [(T0 - 20, T0 - 99), (T0, T0 - 1)], "crash {cut}");
    }
}

/// One thing that happens to the database.
#[derive(Clone, Debug)]
enum Step {
    /// Of series `.0`, at each of these minutes, with a start or none.
    Write(u32, BTreeMap<i64, i64>),
    Cut,
    Delete(u32, i64, i64),
    Restart(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let start = prop_oneof![1 => Just(0), 2 => Just(T0 - 7), 2 => T0 - 50..T0];
    prop_oneof![
        6 => (0..3_u32, prop::collection::btree_map(0..8 * 60_i64, start, 1..9)).prop_map(|(n, told)| Step::Write(n, told)),
        2 => Just(Step::Cut),
        1 => (0..3_u32, 0..8 * 60_i64, 0..120_i64).prop_map(|(n, from, count)| Step::Delete(n, from, from + count)),
        1 => (1..4_usize).prop_map(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn starts_are_those_that_came_with_the_samples_that_are_held(steps in prop::collection::vec(step(), 1..24)) {
        let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 8 * HOUR_MS));
        let wide = |shards| StorageOptions { out_of_order_window_ms: 1000 * HOUR_MS, ..options(shards) };
        let mut fixture = open_with(&disk, wide(2), &clock);
        // By series and minute: the start that is held with the sample.
        let mut held: BTreeMap<(u32, i64), i64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Write(node, told) => {
                    let row = |(minute, start_ms): (&i64, &i64)| (series("x", node), T0 + minute * MINUTE_MS, *minute as f64, *start_ms);
                    let rows: Vec<Started> = told.iter().map(row).collect();
                    prop_assert_eq!(fixture.write_started(&rows).refused_count(), 0);
                    told.iter().for_each(|(minute, start_ms)| { held.entry((node, *minute)).or_insert(*start_ms); });
                }
                Step::Cut => { fixture.storage.maintain().expect("maintained"); }
                Step::Delete(node, from, to) => {
                    let range = TimeRange { from_ms: T0 + from * MINUTE_MS, to_ms: T0 + to * MINUTE_MS };
                    let selector = vec![Matcher::equal("node", node.to_string())];
                    fixture.storage.delete_series(&[selector], range).expect("deleted");
                    held.retain(|(of, minute), _| *of != node || *minute < from || *minute > to);
                }
                Step::Restart(shards) => {
                    drop(fixture);
                    fixture = open_with(&disk, wide(shards), &clock);
                    prop_assert!(fixture.recovered.damage.is_empty(), "{:?}", fixture.recovered.damage);
                }
            }
            for node in 0..3 {
                let of_node = || held.iter().filter(|((of, _), _)| *of == node);
                let samples: Vec<(i64, f64)> =
                    of_node().map(|((_, minute), _)| (T0 + minute * MINUTE_MS, *minute as f64)).collect();
                let starts: Vec<(i64, i64)> = of_node()
                    .filter(|(_, start_ms)| **start_ms != 0)
                    .map(|((_, minute), start_ms)| (T0 + minute * MINUTE_MS, *start_ms))
                    .collect();
                prop_assert_eq!(fixture.read(&series("x", node)), bits(&samples));
                prop_assert_eq!(fixture.starts(&series("x", node)), starts);
            }
        }
    }
}
