//! Histograms among samples, over all that may become of them.

use storage_format::histogram::{Histogram, Layout, Span, is_marker};

use super::*;
use crate::model::{FloatHistogram, HistogramLiteral};
use crate::storage::{model_histogram, stored_histogram};

/// What a series holds at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Held {
    Float(f64),
    /// So many observations; three buckets with a layout of its own for each power of ten.
    Observed(u32),
}

fn observed(count: u32) -> Histogram {
    let spans = vec![Span { offset: count.checked_ilog10().unwrap_or(0) as i32, length: 3 }];
    let positive = vec![f64::from(count / 2), 0.0, f64::from(count - count / 2)];
    let layout = Arc::new(Layout { positive: spans, ..Layout::default() });
    Histogram { layout, count: f64::from(count), sum: f64::from(count) * 0.3, positive, ..Histogram::default() }
}

impl Fixture {
    fn write_held(&self, labels: &Labels, samples: &[(i64, Held)]) -> WriteSummary {
        let raw_hash = self.storage.resolver().raw_hash(labels.to_string().as_bytes());
        let known = self.storage.resolver().known().get(raw_hash);
        let mut batches = vec![ShardBatch::default(); self.storage.shard_count()];
        let shard = known.map_or_else(|| self.storage.shard_of(labels), |series| series.shard());
        let batch = &mut batches[shard];
        if known.is_none() {
            batch.new.push(NewSeries::new(Arc::new(labels.clone()), raw_hash, Vec::new()));
        }
        for &(timestamp_ms, held) in samples {
            match (held, known) {
                (Held::Observed(count), Some(series)) => batch.push_histogram(series, timestamp_ms, observed(count)),
                (Held::Observed(count), None) => batch.new[0].push_histogram(timestamp_ms, observed(count)),
                (Held::Float(value), Some(series)) => batch.rows.push(Row { series, timestamp_ms, value }),
                (Held::Float(value), None) => batch.new[0].samples.push(Sample { timestamp_ms, value }),
            }
        }
        self.runtime.block_on(self.storage.write(batches)).expect("acknowledged")
    }

    fn read_held(&self, labels: &Labels) -> Vec<(i64, Held)> {
        let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
        let mut columns = Columns::default();
        for found in self.storage.view().select(&matchers, TimeRange::ALL, 10).expect("a selection") {
            found.read(TimeRange::ALL, &mut columns);
        }
        let before = columns.len();
        columns.settle_histograms();
        assert_eq!(columns.len(), before, "a histogram for each marker");
        let mut histograms = columns.histograms.iter();
        let held = columns.iter().map(|(timestamp_ms, value)| {
            if !is_marker(value.to_bits()) {
                return (timestamp_ms, Held::Float(value));
            }
            let (of_ms, histogram) = histograms.next().expect("one for each marker");
            let count = histogram.count as u32;
            assert_eq!(*of_ms, timestamp_ms);
            assert!(histogram.same_bits(&observed(count)), "{histogram:?}");
            (timestamp_ms, Held::Observed(count))
        });
        held.collect()
    }
}

#[test]
fn a_histogram_is_the_same_when_it_was_stored() {
    for text in [
        "{{schema:3 count:7 sum:-1.5 z_bucket:2 z_bucket_w:0.001 counter_reset_hint:reset offset:-3 buckets:[1 0 2] n_offset:2 n_buckets:[2]}}",
        "{{schema:-53 count:4 sum:5 custom_values:[5 10] counter_reset_hint:gauge buckets:[1 2 1]}}",
        "{{sum:NaN counter_reset_hint:not_reset}}",
    ] {
        let histogram = HistogramLiteral::parse(text).expect("a histogram").histogram;
        let stored = stored_histogram(&histogram);
        let back = model_histogram(&stored);
        assert!(back.same_bits(&histogram) && back.hint == histogram.hint, "{back} is not {histogram}");
        assert_eq!(stored_histogram(&back).marker(), stored.marker());
    }
    let ended = stored_histogram(&FloatHistogram::stale());
    assert!(ended.same_bits(&Histogram::stale()) && model_histogram(&ended).is_stale());
}

#[test]
fn histograms_and_floats_of_one_series_come_back_in_order_also_after_a_restart() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let latency = series("latency", 1);
    let told = [
        (T0 - 50, Held::Observed(3)),
        (T0 - 40, Held::Float(1.5)),
        (T0 - 30, Held::Observed(7)),
        (T0 - 20, Held::Observed(120)),
        (T0 - 10, Held::Float(stale_nan())),
    ];
    {
        let fixture = open(&disk, &clock);
        // The first of a new series, one in order, late ones.
        assert_eq!(fixture.write_held(&latency, &[told[1]]).stored_count, 1);
        assert_eq!(fixture.write_held(&latency, &told[3..]).stored_count, 2);
        assert_eq!(fixture.write_held(&latency, &[told[2], told[0]]).stored_count, 2);
        assert_eq!(fixture.read_held(&latency)[..4], told[..4]);
    }
    let fixture = open(&disk, &clock);
    assert!(fixture.recovered.damage.is_empty(), "{:?}", fixture.recovered.damage);
    assert_eq!(fixture.read_held(&latency)[..4], told[..4]);
    assert!(is_stale(f64::from_bits(fixture.read(&latency)[4].1)));
}

#[test]
fn of_a_write_that_was_cut_short_nothing_is_left_that_keeps_it_from_coming_again() {
    for cut in 1..40_u64 {
        let clock = Clock::manual(T0);
        let disk = SimulatedDisk::new();
        let latency = series("latency", 1);
        let (first, second) =
            ([(T0 - 20, Held::Observed(3))], [(T0 - 10, Held::Observed(40)), (T0, Held::Observed(7))]);
        let after = {
            let fixture = open_with(&disk, options(1), &clock);
            fixture.write_held(&latency, &first);
            fixture.write_held(&latency, &second);
            disk.crash(cut)
        };
        let fixture = open_with(&after, options(1), &clock);
        fixture.write_held(&latency, &second);
        assert_eq!(fixture.read_held(&latency), [first, [second[0]], [second[1]]].concat(), "crash {cut}");
    }
}

#[test]
fn the_same_histogram_twice_is_one_and_another_is_refused() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open(&disk, &clock);
    let latency = series("latency", 1);
    let first = [(T0 - 20, Held::Observed(3)), (T0 - 10, Held::Observed(5)), (T0, Held::Float(1.0))];
    fixture.write_held(&latency, &first);
    assert_eq!(fixture.write_held(&latency, &first).stored_count, 3);
    let others = [(T0 - 20, Held::Observed(4)), (T0 - 10, Held::Float(5.0)), (T0, Held::Observed(1))];
    assert_eq!(fixture.write_held(&latency, &others).refused, vec![(Refusal::Conflict, 3)]);
    assert_eq!(fixture.read_held(&latency), first);
}

#[test]
fn histograms_move_to_blocks_and_are_merged_there() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 20 * HOUR_MS));
    let (latency, up) = (series("latency", 1), series("up", 1));
    let mut told = Vec::new();
    {
        let fixture = open(&disk, &clock);
        for hour in 0..18_u32 {
            let minutes = (0..60_u32).map(|minute| {
                let number = hour * 60 + minute;
                let held = if number % 50 == 7 { Held::Float(f64::from(number)) } else { Held::Observed(number) };
                (T0 + i64::from(number) * 60_000, held)
            });
            let minutes: Vec<_> = minutes.collect();
            fixture.write_held(&latency, &minutes);
            fixture.write(&[(up.clone(), minutes[0].0, 1.0)]);
            told.extend(minutes);
            fixture.storage.maintain().expect("maintained");
        }
        assert!(fixture.storage.block_count() > 0);
        assert_eq!(fixture.read_held(&latency), told, "across blocks and head");
        let summary = fixture.storage.compact_all().expect("compacted");
        assert!(summary.blocks_merged > 0);
        assert_eq!(fixture.read_held(&latency), told, "after a merge");
        assert_eq!(fixture.storage.head_sample_bytes(), 0, "nothing stays behind");
    }
    let fixture = open(&disk, &clock);
    assert_eq!(fixture.read_held(&latency), told, "after a restart");
    assert_eq!(fixture.read(&up).len(), 18);
}

#[test]
fn watched_histograms_are_not_told_to_who_listens_for_floats() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open(&disk, &clock);
    let watched = Labels::from_pairs([("__name__", "latency"), ("watched", "yes")]).expect("labels");
    for tap in &fixture.taps {
        tap.catch_up(|_| None).for_each(drop);
    }
    fixture.write_held(&watched, &[(T0 - 20, Held::Observed(3)), (T0 - 10, Held::Float(2.0))]);
    let mut told = Vec::new();
    for tap in &fixture.taps {
        while let Tapped::Batch(batch) = tap.next(Duration::ZERO) {
            told.extend(batch.rows.iter().map(|row| row.value));
        }
    }
    assert_eq!(told, [2.0], "at once");
    let missed = fixture.taps.iter().flat_map(|tap| tap.catch_up(|_| None)).flat_map(|batch| batch.rows);
    assert_eq!(missed.map(|row| row.value).collect::<Vec<_>>(), [2.0], "what it missed");
}

/// Writes of all orders, repeats and contradictions, deletions, cuts, merges, restarts: what is read is always what a
/// map says.
#[test]
fn whatever_happens_a_map_says_what_is_held() {
    for seed in 1..8_u64 {
        let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = move |bound: u64| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            (chance >> 11) % bound
        };
        let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 10 * HOUR_MS));
        let options = StorageOptions { out_of_order_window_ms: 1000 * HOUR_MS, ..options(2) };
        let latency = series("latency", 1);
        let mut expected: BTreeMap<i64, Held> = BTreeMap::new();
        let mut fixture = open_with(&disk, options.clone(), &clock);
        let mut newest_ms = T0;
        for step in 0..60 {
            match below(10) {
                0..=5 => {
                    let samples: Vec<(i64, Held)> = (0..1 + below(40))
                        .map(|_| {
                            newest_ms = (newest_ms + 60_000).min(T0 + 9 * HOUR_MS);
                            let back = if below(4) == 0 { below(400) as i64 * 60_000 } else { 0 };
                            let held = if below(3) == 0 {
                                Held::Float(below(9) as f64)
                            } else {
                                Held::Observed(below(300) as u32)
                            };
                            (newest_ms - back, held)
                        })
                        .collect();
                    fixture.write_held(&latency, &samples);
                    for (timestamp_ms, held) in samples {
                        expected.entry(timestamp_ms).or_insert(held);
                    }
                }
                6 => drop(fixture.storage.maintain().expect("maintained")),
                7 => drop(fixture.storage.compact_all().expect("compacted")),
                8 => {
                    let from_ms = T0 + below(500) as i64 * 60_000;
                    let range = TimeRange { from_ms, to_ms: from_ms + below(60) as i64 * 60_000 };
                    let selector = vec![Matcher::equal("__name__", "latency")];
                    fixture.storage.delete_series(&[selector], range).expect("deleted");
                    expected.retain(|timestamp_ms, _| !range.contains(*timestamp_ms));
                }
                _ => {
                    drop(fixture);
                    fixture = open_with(&disk, options.clone(), &clock);
                }
            }
            let held: Vec<(i64, Held)> = expected.iter().map(|(ms, held)| (*ms, *held)).collect();
            assert_eq!(fixture.read_held(&latency), held, "seed {seed}, step {step}");
        }
    }
}
