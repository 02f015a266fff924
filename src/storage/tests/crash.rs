//! One history, cut at every operation of the disk: by a power cut, and by a disk that fails and is mended.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::super::log::BegunSegments;
use super::super::threads::Threads;
use super::super::{StorageError, recover};
use super::*;

/// First value that was acknowledged for a moment of a series.
type Acknowledged = BTreeMap<(u32, i64), u64>;
/// Everything that was ever sent for it.
type Sent = BTreeMap<(u32, i64), Vec<u64>>;

struct Ledger {
    acknowledged: Acknowledged,
    sent: Sent,
}

/// Eleven hours of four series with gaps, late samples, repeats and churn, with maintenance between: blocks are cut,
/// series retire and come back, segments go, and the retention takes the oldest block.
fn script() -> Vec<Vec<(u32, i64, f64)>> {
    let mut requests = Vec::new();
    for step in 0..22_i64 {
        let now = T0 + step * HOUR_MS / 2;
        let mut rows = vec![(0, now, step as f64), (1, now - 60_000, 0.1 * step as f64)];
        if step % 8 < 2 {
            rows.push((2 + (step as u32 % 8), now, -1.0));
        }
        if step % 3 == 2 {
            rows.push((0, now - 20 * 60_000, 7.0)); // late
            rows.push((0, now - HOUR_MS / 2, 99.0)); // another value: refused, or too old
            rows.push((1, now - 60_000, 0.1 * step as f64)); // a repeat
        }
        requests.push(rows);
    }
    requests
}

fn crash_options() -> StorageOptions {
    StorageOptions { retention_ms: 9 * HOUR_MS, ..options(2) }
}

/// Plays the script and notes what was acknowledged. `before_step` may break or mend the disk.
fn play(fixture: &Fixture, clock: &Clock, ledger: &mut Ledger, before_step: impl Fn(usize)) {
    for (step, rows) in script().into_iter().enumerate() {
        before_step(step);
        let target_ms = T0 + step as i64 * HOUR_MS / 2;
        clock.advance(Duration::from_millis(u64::try_from(target_ms - clock.now_ms()).unwrap_or(0)));
        let sent: Vec<_> = rows.iter().map(|(node, ms, value)| (series("up", *node), *ms, *value)).collect();
        for (node, ms, value) in &rows {
            ledger.sent.entry((*node, *ms)).or_default().push(value.to_bits());
        }
        let floors: Vec<i64> = fixture.storage.head.shards().iter().map(|shard| shard.read().floor_ms).collect();
        if fixture.try_write(&sent).is_ok() {
            for (node, ms, value) in &rows {
                let shard = fixture.storage.shard_of(&series("up", *node));
                let is_late_conflict = *value == 99.0;
                if *ms >= floors[shard].max(clock.now_ms() - 9 * HOUR_MS) && !is_late_conflict {
                    ledger.acknowledged.entry((*node, *ms)).or_insert(value.to_bits());
                }
            }
        }
        let _ = fixture.storage.maintain();
        let _ = fixture.storage.maintain();
    }
}

/// What is read: each acknowledged sample that is not past the retention, no moment twice, nothing that was not sent.
fn check(fixture: &Fixture, ledger: &Ledger, oldest_ms: i64, context: &str) {
    assert!(fixture.recovered.damage.is_empty(), "{context}: {:?}", fixture.recovered.damage);
    for node in 0..10 {
        let read = fixture.read(&series("up", node));
        assert!(read.is_sorted_by(|a, b| a.0 < b.0), "{context}: node {node}: {read:?}");
        for (ms, bits) in &read {
            let sent = ledger.sent.get(&(node, *ms)).unwrap_or_else(|| panic!("{context}: {node} {ms} was never sent"));
            assert!(sent.contains(bits), "{context}: {node} {ms}");
        }
        for ((_, ms), bits) in ledger.acknowledged.range((node, oldest_ms)..=(node, i64::MAX)) {
            let found = read.iter().find(|(read_ms, _)| read_ms == ms);
            assert_eq!(found.map(|(_, bits)| bits), Some(bits), "{context}: node {node} at {} min", (ms - T0) / 60_000);
        }
    }
}

/// A database whose log segments are so small that some hours end several, and prepare several.
fn open_small(disk: &SimulatedDisk, clock: &Clock) -> Result<(Fixture, Arc<Mutex<BegunSegments>>), StorageError> {
    let (options, interest) = (crash_options(), Arc::new(|_: &Labels| false));
    let mut begun = Arc::default();
    let opened = recover::open(options, Arc::new(disk.clone()), clock.clone(), interest, |mut loops| {
        loops.log.writer.end_segments_at(600);
        loops.log.writer.prepare_in_pieces_of(100);
        begun = loops.log.writer.begun().clone();
        Threads::start(loops)
    });
    let (storage, recovered, taps) = opened?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    Ok((Fixture { storage, taps, recovered, runtime }, begun))
}

/// Runs the cases on a few threads: most of each is waiting.
fn for_each_case(count: u64, case: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    if index >= count {
                        return;
                    }
                    case(index);
                }
            });
        }
    });
}

fn operations_of_history() -> u64 {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let mut ledger = Ledger { acknowledged: BTreeMap::new(), sent: BTreeMap::new() };
    let (fixture, begun) = open_small(&disk, &clock).expect("the database opens");
    play(&fixture, &clock, &mut ledger, |_| ());
    let begun = *begun.lock();
    assert!(begun.prepared >= 5, "the history ends segments whose successor is prepared: {begun:?}");
    let cut = fixture.storage.counters().blocks_cut.load(Ordering::Relaxed);
    assert!(cut >= 4 && disk.operation_count() > 100, "the history has something to cut: {cut} blocks");
    check(&fixture, &ledger, clock.now_ms() - 5 * HOUR_MS, "unharmed");
    drop(fixture);
    disk.operation_count()
}

/// Blocks go when all of them is past the retention, and samples of the last hours never do.
const KEPT_FOR_SURE_MS: i64 = 9 * HOUR_MS;

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    let operations = operations_of_history();
    for_each_case(operations, |cut_at| {
        let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
        let mut ledger = Ledger { acknowledged: BTreeMap::new(), sent: BTreeMap::new() };
        disk.fail_after(cut_at);
        let Ok((fixture, _)) = open_small(&disk, &clock) else { return };
        play(&fixture, &clock, &mut ledger, |_| ());
        for seed in 0..2 {
            let after = disk.crash(cut_at * 1000 + seed);
            for start in 0..2 {
                let context = format!("cut at operation {cut_at}, seed {seed}, start {start}");
                let again = open_with(&after, crash_options(), &clock);
                check(&again, &ledger, clock.now_ms() - KEPT_FOR_SURE_MS, &context);
                if start == 0 {
                    again.write(&[(series("other", 0), clock.now_ms(), 1.0)]);
                    again.storage.maintain().expect("maintained");
                }
            }
        }
    });
}

#[test]
fn a_disk_that_fails_at_any_operation_and_is_mended_costs_nothing_acknowledged() {
    let operations = operations_of_history();
    for_each_case(operations, |fails_at| {
        let context = format!("fails after operation {fails_at}");
        let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
        let mut ledger = Ledger { acknowledged: BTreeMap::new(), sent: BTreeMap::new() };
        {
            let (fixture, _) = open_small(&disk, &clock).expect("the database opens");
            disk.fail_after(fails_at);
            let failed_steps = AtomicU64::new(0);
            play(&fixture, &clock, &mut ledger, |_| {
                // Mended two steps after it began to fail.
                if disk.is_failing() && failed_steps.fetch_add(1, Ordering::SeqCst) == 2 {
                    disk.heal();
                    let patience = Clock::system();
                    while fixture.storage.log_failing().is_some() {
                        assert!(patience.monotonic() < Duration::from_secs(60), "{context}: still failing");
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            });
            disk.heal();
            check(&fixture, &ledger, clock.now_ms() - KEPT_FOR_SURE_MS, &context);
            while fixture.storage.log_failing().is_some() {
                std::thread::sleep(Duration::from_millis(5));
            }
            fixture.storage.maintain().expect("maintenance goes on");
            fixture.write(&[(series("up", 0), clock.now_ms(), 21.0)]);
            let leftovers = disk.list(&PathBuf::from("/data/blocks")).expect("a folder");
            assert!(leftovers.iter().all(|name| name.ends_with(".block")), "{context}: {leftovers:?}");
        }
        let again = open_with(&disk, crash_options(), &clock);
        check(&again, &ledger, clock.now_ms() - KEPT_FOR_SURE_MS, &context);
        let segments = disk.list(&PathBuf::from("/data/log")).expect("a folder");
        assert!(segments.len() < 12, "{context}: {segments:?}");
    });
}
