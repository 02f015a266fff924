mod backup;
mod blocks;
mod concurrent;
mod crash;
mod damage;
mod edges;
mod figures;
mod full_disk;
mod histograms;
mod listen;
mod listing;
mod matched;
mod review;
mod simulation;
mod starts;
mod walk;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::tap::{TapSource, Tapped};
use super::view::{Columns, ReadView};
use super::{BLOCK_MS, NewSeries, Refusal, Row, ShardBatch, Storage, StorageOptions, WriteError, WriteSummary};
use crate::clock::Clock;
use crate::config::WalSync;
use crate::disk::{Disk, RealDisk, SimulatedDisk};
use crate::model::{Labels, Matcher, Sample, TimeRange, is_stale, stale_nan};

const HOUR_MS: i64 = 60 * 60 * 1000;
/// A multiple of the block length, so that times in tests can be read.
const T0: i64 = 236_111 * BLOCK_MS;

fn options(shard_count: usize) -> StorageOptions {
    StorageOptions::of_tests(shard_count)
}

struct Fixture {
    storage: Arc<Storage>,
    taps: Vec<TapSource>,
    recovered: super::Recovered,
    runtime: tokio::runtime::Runtime,
}

fn open_with(disk: &SimulatedDisk, options: StorageOptions, clock: &Clock) -> Fixture {
    let interest = Arc::new(|labels: &Labels| labels.get("watched").is_some());
    let (storage, recovered, taps) =
        Storage::open(options, Arc::new(disk.clone()), clock.clone(), interest).expect("the database opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    Fixture { storage, taps, recovered, runtime }
}

fn open(disk: &SimulatedDisk, clock: &Clock) -> Fixture {
    open_with(disk, options(3), clock)
}

/// The values of a label, as a view lists them.
fn values_of(view: &ReadView, name: &str, matchers: &[Matcher], range: TimeRange) -> Vec<String> {
    let values = view.label_values(name, matchers, range).expect("values");
    values.iter().map(|value| value.to_string()).collect()
}

fn series(name: &str, node: u32) -> Labels {
    Labels::from_pairs([("__name__", name), ("node", &node.to_string())]).expect("labels")
}

impl Fixture {
    /// Writes as a sender would: through the resolver.
    fn try_write(&self, rows: &[(Labels, i64, f64)]) -> Result<WriteSummary, WriteError> {
        let mut batches = vec![ShardBatch::default(); self.storage.shard_count()];
        for (labels, timestamp_ms, value) in rows {
            let raw_hash = self.storage.resolver().raw_hash(labels.to_string().as_bytes());
            let (timestamp_ms, value) = (*timestamp_ms, *value);
            match self.storage.resolver().known().get(raw_hash) {
                Some(series) => batches[series.shard()].rows.push(Row { series, timestamp_ms, value }),
                None => batches[self.storage.shard_of(labels)].new.push(NewSeries::new(
                    Arc::new(labels.clone()),
                    raw_hash,
                    vec![Sample { timestamp_ms, value }],
                )),
            }
        }
        self.runtime.block_on(self.storage.write(batches))
    }

    fn write(&self, rows: &[(Labels, i64, f64)]) -> WriteSummary {
        self.try_write(rows).expect("acknowledged")
    }

    fn read(&self, labels: &Labels) -> Vec<(i64, u64)> {
        let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
        let mut columns = Columns::default();
        for found in self.storage.view().select(&matchers, TimeRange::ALL, 10).expect("a selection") {
            assert_eq!(found.labels().as_ref(), labels);
            found.read(TimeRange::ALL, &mut columns);
        }
        columns.iter().map(|(timestamp_ms, value)| (timestamp_ms, value.to_bits())).collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.storage.close();
    }
}

fn bits(samples: &[(i64, f64)]) -> Vec<(i64, u64)> {
    samples.iter().map(|(timestamp_ms, value)| (*timestamp_ms, value.to_bits())).collect()
}

#[test]
fn what_was_written_is_read_back_exactly_also_after_a_restart() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let odd = [0.1, -0.0, f64::INFINITY, stale_nan(), f64::from_bits(0x7ff8_0000_dead_beef), 1e300, -7.0];
    let up = series("up", 1);
    let samples: Vec<(i64, f64)> = odd.iter().enumerate().map(|(i, v)| (T0 - 1000 + i as i64, *v)).collect();
    {
        let fixture = open(&disk, &clock);
        for (timestamp_ms, value) in &samples {
            fixture.write(&[(up.clone(), *timestamp_ms, *value)]);
        }
        assert_eq!(fixture.read(&up), bits(&samples));
    }
    let fixture = open(&disk, &clock);
    assert_eq!(fixture.recovered.sample_count, 7);
    assert_eq!(fixture.read(&up), bits(&samples));
    assert!(is_stale(f64::from_bits(fixture.read(&up)[3].1)));
}

#[test]
fn the_last_record_before_a_kill_survives_every_start_after_it() {
    let clock = Clock::manual(T0);
    // Payloads of all lengths, so that most need padding; 128 takes two bytes, the second of them zero.
    for count in 1..20 {
        let mut disk = SimulatedDisk::new();
        let rows: Vec<_> = (0..count).map(|node| (series("up", node), T0, 128.0 * f64::from(node % 3))).collect();
        {
            let fixture = open_with(&disk, options(1), &clock);
            fixture.write(&rows);
            disk = disk.crash(1); // before the close that would give the reserve back in order
        }
        for start in 0..3 {
            let fixture = open_with(&disk, options(1), &clock);
            assert!(fixture.recovered.damage.is_empty(), "{:?}", fixture.recovered.damage);
            for (labels, timestamp_ms, value) in &rows {
                assert_eq!(fixture.read(labels), bits(&[(*timestamp_ms, *value)]), "{count} rows, start {start}");
            }
        }
    }
}

#[test]
fn the_same_sample_twice_is_one_and_another_value_is_refused_by_name() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open(&disk, &clock);
    let up = series("up", 1);
    fixture.write(&[(up.clone(), T0, 1.0), (up.clone(), T0 + 1, 2.0)]);
    let again = fixture.write(&[(up.clone(), T0, 1.0), (up.clone(), T0 + 1, 2.0)]);
    assert_eq!((again.stored_count, again.refused_count()), (2, 0));

    let other = fixture.write(&[(up.clone(), T0, 9.0), (up.clone(), T0 + 1, 9.0), (up.clone(), T0 + 2, 3.0)]);
    assert_eq!((other.stored_count, other.refused), (1, vec![(Refusal::Conflict, 2)]));
    let (labels, timestamp_ms, why) = other.first_refused.clone().expect("a first");
    assert_eq!((labels.as_ref(), timestamp_ms, why), (&up, T0, Refusal::Conflict));
    assert_eq!(fixture.read(&up), bits(&[(T0, 1.0), (T0 + 1, 2.0), (T0 + 2, 3.0)]));
}

#[test]
fn a_sample_out_of_order_is_taken_and_found_in_order() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let up = series("up", 1);
    let expected = bits(&[(T0 - 30, 1.0), (T0 - 20, 2.0), (T0 - 10, 3.0), (T0, 4.0)]);
    {
        let fixture = open(&disk, &clock);
        fixture.write(&[(up.clone(), T0 - 20, 2.0), (up.clone(), T0, 4.0)]);
        fixture.write(&[(up.clone(), T0 - 10, 3.0), (up.clone(), T0 - 30, 1.0), (up.clone(), T0 - 10, 3.0)]);
        assert_eq!(fixture.read(&up), expected);
    }
    assert_eq!(open(&disk, &clock).read(&up), expected);
}

#[test]
fn a_sample_of_the_future_is_refused_alone() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open(&disk, &clock);
    let (up, late) = (series("up", 1), series("late", 1));
    let summary = fixture.write(&[(up.clone(), T0 + 11 * 60_000, 1.0), (late.clone(), T0, 5.0)]);
    assert_eq!((summary.stored_count, summary.refused), (1, vec![(Refusal::TooFarAhead, 1)]));
    assert!(fixture.read(&up).is_empty());
    let next = fixture.write(&[(up.clone(), T0, 2.0)]);
    assert_eq!(next.stored_count, 1, "the refused one left no trace");
}

#[test]
fn known_series_go_on_when_the_limit_is_reached() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open_with(&disk, StorageOptions { series_max: 2, ..options(2) }, &clock);
    fixture.write(&[(series("a", 1), T0, 1.0), (series("b", 1), T0, 1.0)]);
    let summary = fixture.write(&[(series("c", 1), T0, 1.0), (series("a", 1), T0 + 1, 2.0)]);
    assert_eq!((summary.stored_count, summary.refused), (1, vec![(Refusal::TooManySeries, 1)]));
    assert!(Refusal::TooManySeries.to_string().contains("head.series_max"));
}

/// Four hours of one series a minute, as of T0 + 4 h.
fn four_hours(fixture: &Fixture, labels: &Labels) -> Vec<(i64, f64)> {
    let samples: Vec<(i64, f64)> = (0..240).map(|minute| (T0 + minute * 60_000, minute as f64 * 0.5)).collect();
    for (timestamp_ms, value) in &samples {
        fixture.write(&[(labels.clone(), *timestamp_ms, *value)]);
    }
    samples
}

#[test]
fn two_full_hours_move_to_a_block_and_the_log_behind_them_goes() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let up = series("up", 1);
    let log = PathBuf::from("/data/log");
    let samples;
    {
        let fixture = open(&disk, &clock);
        samples = four_hours(&fixture, &up);
        let bytes_before = fixture.storage.head_sample_bytes();
        assert_eq!(fixture.storage.maintain().expect("maintained").blocks_cut, 1);
        assert_eq!(
            disk.list(&PathBuf::from("/data/blocks")).expect("a folder"),
            [format!("{T0}-{}.1.block", T0 + BLOCK_MS)]
        );
        assert_eq!(fixture.read(&up), bits(&samples), "across block and head");
        assert!(fixture.storage.head_sample_bytes() < bytes_before, "the head let go");
        assert_eq!(fixture.read(&up), bits(&samples));

        // Behind the newest of its series by more than the window: refused, and the refusal says so.
        let summary = fixture.write(&[(up.clone(), T0 + 1, 1.0)]);
        assert_eq!(summary.refused, vec![(Refusal::TooOld, 1)]);
    }
    {
        // The first segment holds samples of the third hour too; it goes when those are in a block as well.
        let fixture = open(&disk, &clock);
        assert_eq!(fixture.read(&up), bits(&samples), "after a restart");
        assert_eq!(fixture.recovered.block_count, 1);
        clock.advance(Duration::from_millis(2 * HOUR_MS as u64));
        fixture.write(&[(up.clone(), T0 + 6 * HOUR_MS, 1.0)]);
        assert!(disk.list(&log).expect("a folder").contains(&"00000001.log".to_owned()));
        assert_eq!(fixture.storage.maintain().expect("maintained").blocks_cut, 1);
    }
    assert!(!disk.list(&log).expect("a folder").contains(&"00000001.log".to_owned()));
    let fixture = open(&disk, &clock);
    assert_eq!(fixture.read(&up).len(), 241);
}

#[test]
fn a_view_from_before_a_cut_still_sees_everything() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let up = series("up", 1);
    let fixture = open(&disk, &clock);
    let samples = four_hours(&fixture, &up);
    let view = fixture.storage.view();
    for _ in 0..3 {
        fixture.storage.maintain().expect("maintained");
    }
    let found = view.select(&[Matcher::equal("__name__", "up")], TimeRange::ALL, 1).expect("a selection");
    let mut columns = Columns::default();
    found[0].read(TimeRange::ALL, &mut columns);
    assert_eq!(columns.len(), samples.len());
}

#[test]
fn blocks_past_the_retention_go_one_at_a_time() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open_with(&disk, StorageOptions { retention_ms: 6 * HOUR_MS, ..options(1) }, &clock);
    let up = series("up", 1);
    four_hours(&fixture, &up);
    assert_eq!(fixture.storage.maintain().expect("maintained").blocks_cut, 1);
    clock.advance(Duration::from_millis(100 * HOUR_MS as u64));
    assert_eq!(fixture.storage.maintain().expect("maintained").blocks_expired, 0, "a clock that jumped alone");
    fixture.write(&[(up.clone(), T0 + 104 * HOUR_MS, 1.0)]);
    let mut expired = 0;
    assert_eq!(fixture.storage.maintain().expect("maintained").blocks_expired, 0, "days that pass at once");
    for hour in 0..8 {
        // A jump is followed a day an hour.
        clock.advance(Duration::from_millis(HOUR_MS as u64));
        let done = fixture.storage.maintain().expect("maintained");
        assert!(done.blocks_expired <= 1, "hour {hour}: one at a time");
        expired += done.blocks_expired;
    }
    assert_eq!(expired, 2);
    assert_eq!(fixture.read(&up), bits(&[(T0 + 104 * HOUR_MS, 1.0)]));
}

#[test]
fn retention_begins_with_the_first_sample_of_a_database_that_was_empty() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open_with(&disk, StorageOptions { retention_ms: 6 * HOUR_MS, ..options(1) }, &clock);
    fixture.storage.maintain().expect("nothing to maintain");
    let up = series("up", 1);
    four_hours(&fixture, &up);
    assert_eq!(fixture.storage.maintain().expect("maintained").blocks_cut, 1);
    clock.advance(Duration::from_millis(8 * HOUR_MS as u64));
    fixture.write(&[(up.clone(), T0 + 12 * HOUR_MS, 1.0)]);
    assert_eq!(fixture.storage.maintain().expect("maintained").blocks_expired, 1, "it ends six hours before");
}

#[test]
fn a_head_that_holds_too_much_is_cut_early_and_loses_nothing() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let up = series("up", 1);
    let early = StorageOptions { head_bytes_max: 300, ..options(1) };
    let mut samples = Vec::new();
    {
        let fixture = open_with(&disk, early.clone(), &clock);
        for minute in 0..100 {
            let sample = (T0 + minute * 60_000, minute as f64 * 1.1);
            assert_eq!(fixture.write(&[(up.clone(), sample.0, sample.1)]).stored_count, 1);
            samples.push(sample);
            let done = fixture.storage.maintain().expect("maintained");
            assert!(!done.head_full, "minute {minute}");
        }
        assert!(fixture.storage.head_sample_bytes() <= 300);
        assert!(fixture.storage.block_count() > 1);
        assert_eq!(fixture.read(&up), bits(&samples));
        let late = fixture.write(&[(up.clone(), T0 + 1, 0.0)]);
        assert_eq!(late.refused, vec![(Refusal::TooOld, 1)]);
    }
    assert_eq!(open_with(&disk, early, &clock).read(&up), bits(&samples), "after a restart");
}

#[test]
fn writes_wait_while_the_head_cannot_be_emptied() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open_with(&disk, StorageOptions { head_bytes_max: 1, ..options(1) }, &clock);
    let up = series("up", 1);
    fixture.write(&[(up.clone(), T0, 1.0)]);
    let view = fixture.storage.view();
    assert!(fixture.storage.maintain().expect("maintained").head_full, "the view still sees the head");
    let refused = fixture.try_write(&[(up.clone(), T0 + 1, 2.0)]).expect_err("the head is full");
    assert_eq!(refused, WriteError::HeadFull(1));
    assert!(refused.to_string().contains("head.bytes_max"));
    assert!(fixture.storage.is_head_full());
    assert_eq!(fixture.read(&up), bits(&[(T0, 1.0)]), "queries go on");
    drop(view);
    assert!(!fixture.storage.maintain().expect("maintained").head_full);
}

#[test]
fn a_full_disk_refuses_writes_keeps_queries_and_recovers_by_itself() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::system());
    let now = clock.now_ms();
    let up = series("up", 1);
    {
        let fixture = open(&disk, &clock);
        fixture.write(&[(up.clone(), now, 1.0)]);
        disk.fail_after(0);
        let refused = fixture.try_write(&[(up.clone(), now + 1, 2.0)]);
        assert!(matches!(refused, Err(WriteError::LogFailing(_))), "{refused:?}");
        let refused = fixture.try_write(&[(up.clone(), now + 1, 2.0)]);
        assert!(matches!(refused, Err(WriteError::LogFailing(_))), "{refused:?}");
        assert!(!fixture.read(&up).is_empty(), "queries go on");
        disk.heal();
        let deadline = clock.monotonic() + Duration::from_secs(30);
        while fixture.try_write(&[(up.clone(), now + 1, 2.0)]).is_err() {
            assert!(clock.monotonic() < deadline, "still refused 30 s after the disk healed");
            std::thread::yield_now();
        }
    }
    // The repeat was "already stored" in the head; it may only be acknowledged because the log has it by now.
    assert_eq!(open(&disk, &clock).read(&up), bits(&[(now, 1.0), (now + 1, 2.0)]));
}

#[test]
fn a_damaged_block_is_put_aside_and_what_the_log_still_holds_of_it_serves() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let up = series("up", 1);
    let samples;
    {
        let fixture = open(&disk, &clock);
        samples = four_hours(&fixture, &up);
        fixture.storage.maintain().expect("maintained");
    }
    let folder = PathBuf::from("/data/blocks");
    let path = folder.join(&disk.list(&folder).expect("a folder")[0]);
    disk.damage(&path, |bytes| {
        let length = bytes.len();
        bytes[length - 1] ^= 1;
    });
    let fixture = open(&disk, &clock);
    assert_eq!(fixture.recovered.damage.len(), 1);
    assert!(fixture.recovered.damage[0].contains("put aside"), "{}", fixture.recovered.damage[0]);
    assert_eq!(fixture.read(&up), bits(&samples), "the segment that ends in the third hour");
    assert!(disk.read(&path.with_extension("damaged")).is_ok());
}

#[test]
fn a_damaged_record_costs_itself_and_is_told() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let up = series("up", 1);
    {
        let fixture = open(&disk, &clock);
        for index in 0..10 {
            fixture.write(&[(up.clone(), T0 + index, index as f64)]);
        }
    }
    let path = PathBuf::from("/data/log/00000001.log");
    let whole = disk.read(&path).expect("a segment").len();
    disk.damage(&path, |bytes| bytes[whole / 2] ^= 0x10);
    let fixture = open(&disk, &clock);
    assert_eq!(fixture.recovered.damage.len(), 1, "{:?}", fixture.recovered.damage);
    assert!(fixture.recovered.damage[0].contains("00000001.log"));
    assert!(fixture.read(&up).len() >= 8, "{:?}", fixture.read(&up));
}

#[test]
fn a_slow_listener_misses_nothing() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open_with(&disk, options(1), &clock);
    let watched = Labels::from_pairs([("__name__", "orders"), ("watched", "yes")]).expect("labels");
    assert!(matches!(fixture.taps[0].next(Duration::ZERO), Tapped::Missed), "after opening, what the head holds");
    assert_eq!(fixture.taps[0].catch_up(|_| None).map(|batch| batch.rows.len()).sum::<usize>(), 0);
    let batches = 700; // well past the queue's bound
    for index in 0..batches {
        fixture.write(&[(watched.clone(), T0 + index, index as f64), (series("other", 1), T0 + index, 0.0)]);
    }
    let source = &fixture.taps[0];
    let (mut seen, mut caught_up) = (Vec::new(), 0);
    loop {
        match source.next(Duration::ZERO) {
            Tapped::Batch(batch) => seen.extend(batch.rows.iter().map(|row| row.timestamp_ms)),
            Tapped::Missed => {
                caught_up += 1;
                let last = seen.last().copied();
                for batch in source.catch_up(|_| last) {
                    seen.extend(batch.rows.iter().map(|row| row.timestamp_ms));
                }
            }
            Tapped::Nothing => break,
            Tapped::Closed => panic!("the shard ended"),
        }
    }
    assert!(caught_up >= 1, "the queue was full");
    assert_eq!(seen, (0..batches).map(|index| T0 + index).collect::<Vec<_>>());
}

#[test]
fn selectors_agree_across_block_and_head() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open(&disk, &clock);
    for node in 0..3 {
        four_hours(&fixture, &series("up", node));
    }
    fixture.storage.maintain().expect("maintained");
    fixture.write(&[(series("fresh", 9), T0 + 4 * HOUR_MS, 1.0)]);
    let view = fixture.storage.view();
    let names = |matchers: &[Matcher]| -> Vec<String> {
        let found = view.select(matchers, TimeRange::ALL, 10).expect("a selection");
        found.iter().map(|series| series.labels().to_string()).collect()
    };
    let regex = |op, pattern: &str| Matcher::new("node", op, pattern).expect("a pattern");
    use crate::model::MatchOp;
    assert_eq!(
        names(&[regex(MatchOp::Matches, "1|2|9")]),
        [r#"fresh{node="9"}"#, r#"up{node="1"}"#, r#"up{node="2"}"#]
    );
    assert_eq!(names(&[Matcher::equal("__name__", "up"), regex(MatchOp::NotMatches, "0|1")]), [r#"up{node="2"}"#]);
    assert_eq!(names(&[Matcher::equal("absent", ""), regex(MatchOp::NotEqual, "0")]).len(), 3);
    assert_eq!(values_of(&view, "node", &[], TimeRange::ALL), ["0", "1", "2", "9"]);
    assert_eq!(view.label_names(&[], TimeRange::ALL).expect("names"), ["__name__", "node"]);
    let past = TimeRange { from_ms: T0, to_ms: T0 + 60_000 };
    assert_eq!(values_of(&view, "node", &[Matcher::equal("__name__", "fresh")], past).len(), 0);
    assert!(view.select(&[], TimeRange::ALL, 3).is_err(), "the limit is kept");
}

#[test]
fn labels_of_a_range_are_those_of_its_blocks_and_of_the_head_that_overlaps_it() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open(&disk, &clock);
    four_hours(&fixture, &series("up", 0));
    fixture.storage.maintain().expect("maintained");
    fixture.write(&[(series("fresh", 9), T0 + 4 * HOUR_MS, 1.0)]);
    let nodes = |fixture: &Fixture, from_ms: i64, to_ms: i64| {
        let (view, range) = (fixture.storage.view(), TimeRange { from_ms, to_ms });
        assert_eq!(view.label_names(&[], range).expect("names").is_empty(), from_ms > T0 + 4 * HOUR_MS);
        values_of(&view, "node", &[], range)
    };
    let check = |fixture: &Fixture| {
        assert_eq!(nodes(fixture, T0, T0 + 60_000), ["0"], "the head begins later");
        assert_eq!(nodes(fixture, T0, T0 + 4 * HOUR_MS), ["0", "9"]);
        assert_eq!(nodes(fixture, T0 + 4 * HOUR_MS, i64::MAX), ["0", "9"], "the head's are not told apart by time");
        assert_eq!(nodes(fixture, T0 + 4 * HOUR_MS + 1, i64::MAX), [""; 0]);
    };
    check(&fixture);
    drop(fixture);
    let fixture = open(&disk, &clock);
    check(&fixture);
    // What is belated is in the head, however old it is.
    fixture.write(&[(series("late", 7), T0 + 30_000, 1.0)]);
    assert_eq!(nodes(&fixture, T0, T0 + 60_000), ["0", "7", "9"]);
}

/// What a sender does next, in the property below.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u32, i64, f64)>),
    Maintain,
    Restart,
    PowerCut(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![Just(1.0), Just(0.1), Just(-0.0), any::<f64>()];
    // Minutes over six hours, often near the newest.
    let row = (0..5_u32, 0..360_i64, value).prop_map(|(node, minute, value)| (node, T0 + minute * 60_000, value));
    prop_oneof![
        8 => prop::collection::vec(row, 1..20).prop_map(Step::Write),
        2 => Just(Step::Maintain),
        1 => Just(Step::Restart),
        1 => any::<u64>().prop_map(Step::PowerCut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever is written in whatever order, with cuts, restarts and power cuts between: the first value that was
    /// acknowledged for a timestamp is what is read, and nothing else is.
    #[test]
    fn the_database_agrees_with_a_map(
        steps in prop::collection::vec(step(), 1..40),
        head_bytes_max in prop_oneof![Just(usize::MAX), Just(4_000_usize)],
    ) {
        let clock = Clock::manual(T0 + 6 * HOUR_MS);
        let options = StorageOptions { head_bytes_max, out_of_order_window_ms: 6 * HOUR_MS, ..options(3) };
        let mut disk = SimulatedDisk::new();
        let mut fixture = open_with(&disk, options.clone(), &clock);
        let mut oracle: BTreeMap<(u32, i64), u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Write(rows) => {
                    let before = oracle.len();
                    let floor = fixture.storage.blocks.load().floor_ms;
                    let rows: Vec<_> = rows.into_iter().filter(|(_, ms, _)| *ms >= floor).collect();
                    let sent: Vec<_> = rows.iter().map(|(node, ms, value)| (series("up", *node), *ms, *value)).collect();
                    let summary = match fixture.try_write(&sent) {
                        Err(WriteError::HeadFull(_)) => continue,
                        other => other.expect("acknowledged"),
                    };
                    // New series are admitted before known ones; per series the order is the sender's.
                    let mut stored = 0;
                    for (node, ms, value) in &rows {
                        let bits = *oracle.entry((*node, *ms)).or_insert(value.to_bits());
                        stored += u64::from(bits == value.to_bits());
                    }
                    prop_assert_eq!(summary.stored_count, stored);
                    prop_assert!(oracle.len() >= before);
                }
                Step::Maintain => { fixture.storage.maintain().expect("maintained"); }
                Step::Restart => { drop(fixture); fixture = open_with(&disk, options.clone(), &clock); }
                Step::PowerCut(seed) => {
                    let after = disk.crash(seed);
                    drop(fixture);
                    disk = after;
                    fixture = open_with(&disk, options.clone(), &clock);
                    prop_assert!(fixture.recovered.damage.is_empty(), "{:?}", fixture.recovered.damage);
                }
            }
        }
        for node in 0..5 {
            let expected: Vec<(i64, u64)> =
                oracle.range((node, i64::MIN)..=(node, i64::MAX)).map(|((_, ms), bits)| (*ms, *bits)).collect();
            prop_assert_eq!(fixture.read(&series("up", node)), expected, "node {}", node);
        }
    }
}

#[test]
fn a_real_disk_does_as_the_simulated_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::manual(T0 + 4 * HOUR_MS);
    let up = series("up", 1);
    let open = || {
        let options = StorageOptions { data_dir: folder.path().to_owned(), ..options(2) };
        let interest = Arc::new(|_: &Labels| false);
        let (storage, recovered, taps) =
            Storage::open(options, Arc::new(RealDisk), clock.clone(), interest).expect("the database opens");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Fixture { storage, taps, recovered, runtime }
    };
    let samples;
    {
        let fixture = open();
        samples = four_hours(&fixture, &up);
        assert_eq!(fixture.storage.maintain().expect("maintained").blocks_cut, 1);
    }
    assert_eq!(open().read(&up), bits(&samples));
}
