//! Many threads at once: writers of the same series, readers while blocks are cut, and an end in the middle of it.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::*;

fn storage_of(disk: &SimulatedDisk, options: StorageOptions, clock: &Clock) -> Arc<Storage> {
    let interest = Arc::new(|_: &Labels| false);
    Storage::open(options, Arc::new(disk.clone()), clock.clone(), interest).expect("the database opens").0
}

/// Writes one sample each of the series `0..series_count`, on the calling thread.
fn write_round(storage: &Storage, runtime: &tokio::runtime::Runtime, count: u32, ms: i64) -> Result<(), WriteError> {
    let mut batches = vec![ShardBatch::default(); storage.shard_count()];
    for node in 0..count {
        let labels = series("up", node);
        let raw_hash = storage.resolver().raw_hash(labels.to_string().as_bytes());
        let value = (ms % 1000) as f64;
        match storage.resolver().known().get(raw_hash) {
            Some(series) => batches[series.shard()].rows.push(Row { series, timestamp_ms: ms, value }),
            None => batches[storage.shard_of(&labels)].new.push(NewSeries::new(
                Arc::new(labels),
                raw_hash,
                vec![Sample { timestamp_ms: ms, value }],
            )),
        }
    }
    runtime.block_on(storage.write(batches)).map(|summary| assert_eq!(summary.refused_count(), 0, "{summary:?}"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// Timestamps of `up{node="0"}` that a view shows.
fn moments(storage: &Storage) -> Vec<i64> {
    let matchers = [Matcher::equal("__name__", "up"), Matcher::equal("node", "0")];
    let mut columns = Columns::default();
    for found in storage.view().select(&matchers, TimeRange::ALL, 2).expect("a selection") {
        found.read(TimeRange::ALL, &mut columns);
    }
    columns.timestamps_ms
}

#[test]
fn readers_see_each_sample_once_while_blocks_are_cut_and_removed() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 100 * HOUR_MS));
    let options = StorageOptions { retention_ms: 0, out_of_order_window_ms: 0, ..options(2) };
    let storage = storage_of(&disk, options, &clock);
    let (stopped, written) = (AtomicBool::new(false), AtomicI64::new(-1));
    const STEP_MS: i64 = 10 * 60 * 1000;
    let cuts = || storage.counters().blocks_cut.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = runtime();
            for step in 0..400 {
                write_round(&storage, &runtime, 3, T0 + step * STEP_MS).expect("acknowledged");
                written.store(step, Ordering::SeqCst);
                // However the threads are scheduled, a block is cut for every two hours or so.
                while cuts() + 2 < step as u64 / 12 {
                    std::thread::yield_now();
                }
            }
            stopped.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !stopped.load(Ordering::SeqCst) {
                storage.maintain().expect("maintained");
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !stopped.load(Ordering::SeqCst) {
                    let at_least = written.load(Ordering::SeqCst);
                    let seen = moments(&storage);
                    let expected: Vec<i64> = (0..seen.len() as i64).map(|step| T0 + step * STEP_MS).collect();
                    assert_eq!(seen, expected);
                    assert!(seen.len() as i64 > at_least, "{} of {at_least}", seen.len());
                }
            });
        }
    });
    assert!(cuts() > 20);
    storage.close();
}

#[test]
fn writers_of_the_same_samples_are_all_acknowledged_and_each_is_stored_once() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    {
        let storage = storage_of(&disk, options(3), &clock);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let runtime = runtime();
                    for step in 0..100 {
                        write_round(&storage, &runtime, 20, T0 - 100 + step).expect("acknowledged");
                    }
                });
            }
        });
        assert_eq!(storage.series_count(), 20);
        assert_eq!(moments(&storage).len(), 100);
        storage.close();
    }
    let again = storage_of(&disk.crash(1), options(3), &clock);
    assert_eq!(moments(&again), (0..100).map(|step| T0 - 100 + step).collect::<Vec<_>>());
    again.close();
}

#[test]
fn a_close_among_writes_ends_and_keeps_what_was_acknowledged() {
    for round in 0..20 {
        let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
        let storage = storage_of(&disk, options(2), &clock);
        let acknowledged = parking_lot::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for writer in 0..3 {
                let (storage, acknowledged) = (&storage, &acknowledged);
                scope.spawn(move || {
                    let runtime = runtime();
                    for step in 0.. {
                        let ms = T0 - 1_000_000 + step * 3 + writer;
                        match write_round(storage, &runtime, 5, ms) {
                            Ok(()) => acknowledged.lock().push(ms),
                            Err(WriteError::Closing) => return,
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(round));
            storage.close();
        });
        let again = storage_of(&disk.crash(round), options(2), &clock);
        let read = moments(&again);
        for ms in acknowledged.lock().iter() {
            assert!(read.binary_search(ms).is_ok(), "{ms} was acknowledged");
        }
        again.close();
    }
}
