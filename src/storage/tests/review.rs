//! Orders of events that nobody plans for: clocks that jump between two runs, removals that fail, views that stay.

use super::*;
use crate::storage::StorageError;
use crate::storage::head::BELATED_SAMPLES_MAX;

const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

fn wide_window() -> StorageOptions {
    StorageOptions { out_of_order_window_ms: 1000 * HOUR_MS, ..options(1) }
}

fn rows(labels: &Labels, samples: &[(i64, f64)]) -> Vec<(Labels, i64, f64)> {
    samples.iter().map(|(ms, value)| (labels.clone(), *ms, *value)).collect()
}

fn blocks_folder() -> PathBuf {
    PathBuf::from("/data/blocks")
}

#[test]
fn a_clock_that_jumped_while_the_server_was_down_removes_nothing() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let kept = StorageOptions { retention_ms: 24 * HOUR_MS, ..options(1) };
    let up = series("up", 1);
    {
        let fixture = open_with(&disk, kept.clone(), &clock);
        four_hours(&fixture, &up);
        assert_eq!(fixture.storage.maintain().expect("maintained").blocks_cut, 1);
    }
    let clock = Clock::manual(T0 + YEAR_MS);
    let fixture = open_with(&disk, kept, &clock);
    // A sender on the same machine has the same clock, and is quicker than the first maintenance.
    fixture.write(&[(up.clone(), T0 + YEAR_MS, 1.0)]);
    for _ in 0..5 {
        assert_eq!(fixture.storage.maintain().expect("maintained").blocks_expired, 0);
    }
    assert_eq!(fixture.read(&up).len(), 241);
}

#[test]
fn what_the_log_holds_of_a_lost_block_is_restored_however_much_it_is() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let up = series("up", 1);
    let mut samples: Vec<(i64, f64)> = (0..40_000).map(|index| (T0 + index * 100, index as f64)).collect();
    samples.push((T0 + 4 * HOUR_MS, 1.0));
    {
        let fixture = open_with(&disk, options(1), &clock);
        fixture.write(&rows(&up, &samples));
        assert_eq!(fixture.storage.maintain().expect("maintained").blocks_cut, 1);
    }
    let path = blocks_folder().join(&disk.list(&blocks_folder()).expect("a folder")[0]);
    disk.damage(&path, |bytes| bytes.truncate(100));
    let fixture = open_with(&disk, options(1), &clock);
    assert_eq!(fixture.recovered.damage.len(), 1);
    assert!(fixture.read(&up) == bits(&samples));
}

#[test]
fn a_backfill_of_sealed_time_goes_on_for_as_long_as_it_likes() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 400 * HOUR_MS));
    let fixture = open_with(&disk, wide_window(), &clock);
    let (up, other) = (series("up", 1), series("other", 1));
    fixture.write(&[(up.clone(), T0, 1.0), (up, T0 + 399 * HOUR_MS, 1.0)]);
    fixture.storage.maintain().expect("maintained");
    // Nobody writes what is newer: no block becomes full by itself.
    let samples: Vec<(i64, f64)> =
        (0..3 * BELATED_SAMPLES_MAX as i64).map(|index| (T0 + index * 100, index as f64)).collect();
    for part in samples.chunks(4000) {
        let summary = fixture.write(&rows(&other, part));
        assert_eq!(summary.refused, vec![]);
        fixture.storage.maintain().expect("maintained");
    }
    assert!(fixture.read(&other) == bits(&samples));
}

#[test]
fn a_head_full_of_one_moment_is_emptied() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open_with(&disk, StorageOptions { head_bytes_max: 100, ..options(1) }, &clock);
    let all: Vec<_> = (0..20).map(|node| (series("up", node), T0, 1.0)).collect();
    fixture.write(&all);
    for _ in 0..3 {
        fixture.storage.maintain().expect("maintained");
    }
    assert!(!fixture.storage.is_head_full());
    assert_eq!(fixture.write(&[(series("up", 3), T0 + 1, 2.0)]).stored_count, 1);
    assert_eq!(fixture.read(&series("up", 3)), bits(&[(T0, 1.0), (T0 + 1, 2.0)]));
}

#[test]
fn a_view_that_stays_does_not_make_a_full_head_cut_over_and_over() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open_with(&disk, StorageOptions { head_bytes_max: 200, ..wide_window() }, &clock);
    let up = series("up", 1);
    let samples = four_hours(&fixture, &up);
    let view = fixture.storage.view();
    let mut cut = 0;
    for _ in 0..30 {
        cut += fixture.storage.maintain().expect("maintained").blocks_cut;
    }
    assert!(cut <= 2, "{cut} blocks of four hours");
    drop(view);
    for _ in 0..5 {
        fixture.storage.maintain().expect("maintained");
    }
    assert!(!fixture.storage.is_head_full());
    assert_eq!(fixture.read(&up), bits(&samples));
}

#[test]
fn what_was_deleted_stays_deleted_when_a_merged_block_could_not_be_removed() {
    for fail_after in 0.. {
        let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 6 * HOUR_MS));
        let up = series("up", 1);
        let fixture = open(&disk, &clock);
        four_hours(&fixture, &up);
        fixture.write(&[(up.clone(), T0 + 6 * HOUR_MS, 1.0)]);
        fixture.storage.maintain().expect("maintained");
        disk.fail_after(fail_after);
        let _ = fixture.storage.compact_all();
        let is_harmed = disk.is_failing();
        disk.heal();
        let deleted = TimeRange { from_ms: T0, to_ms: T0 + HOUR_MS };
        let selector = vec![Matcher::equal("__name__", "up")];
        let is_deleted = fixture.storage.delete_series(&[selector], deleted).is_ok();
        drop(fixture);
        let fixture = open(&disk, &clock);
        if is_deleted {
            let first = fixture.read(&up).first().map(|sample| sample.0);
            assert_eq!(first, Some(T0 + HOUR_MS + 60_000), "operation {fail_after} failed");
        }
        if !is_harmed {
            assert!(fail_after > 3, "something failed before");
            return;
        }
    }
}

#[test]
fn what_was_deleted_stays_deleted_when_a_damaged_block_is_mended() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let up = series("up", 1);
    let deleted = TimeRange { from_ms: T0, to_ms: T0 + HOUR_MS };
    {
        let fixture = open(&disk, &clock);
        four_hours(&fixture, &up);
        fixture.storage.maintain().expect("maintained");
        fixture.storage.delete_series(&[vec![Matcher::equal("__name__", "up")]], deleted).expect("deleted");
    }
    let names = disk.list(&blocks_folder()).expect("a folder");
    let path = blocks_folder().join(names.iter().find(|name| name.ends_with(".block")).expect("a block"));
    let whole = disk.read(&path).expect("a block").to_vec();
    disk.damage(&path, |bytes| bytes.truncate(100));
    for _ in 0..2 {
        drop(open(&disk, &clock));
    }
    disk.remove(&path.with_extension("damaged")).expect("put aside");
    disk.replace(&path, &whole).expect("mended");
    let fixture = open(&disk, &clock);
    assert!(fixture.read(&up).iter().all(|(ms, _)| *ms > T0 + HOUR_MS));
}

#[test]
fn a_damaged_column_of_a_full_group_does_not_make_compaction_start_over_for_ever() {
    let day = T0 + (12 - (T0 / BLOCK_MS) % 12) % 12 * BLOCK_MS;
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(day));
    let up = series("up", 1);
    {
        let fixture = open(&disk, &clock);
        clock.advance(Duration::from_millis(6 * HOUR_MS as u64));
        let samples: Vec<_> = (0..1440).map(|index| (day + index * 15_000, (index as f64).sin())).collect();
        fixture.write(&rows(&up, &samples));
        fixture.storage.compact_all().expect("compacted");
    }
    let path = blocks_folder().join(&disk.list(&blocks_folder()).expect("a folder")[0]);
    // Of the group's bytes one that only the column's checksum knows.
    let at = (200..4000).step_by(100).find(|at| {
        let disk = disk.crash(0);
        disk.damage(&path, |bytes| bytes[*at] ^= 1);
        let fixture = open(&disk, &clock);
        fixture.recovered.damage.is_empty() && fixture.read(&up).is_empty()
    });
    disk.damage(&path, |bytes| bytes[at.expect("such a byte")] ^= 1);
    let fixture = open(&disk, &clock);
    clock.advance(Duration::from_millis(6 * HOUR_MS as u64));
    let samples: Vec<_> = (1440..2880).map(|index| (day + index * 15_000, (index as f64).sin())).collect();
    fixture.write(&rows(&up, &samples));
    fixture.storage.compact_all().expect("what can be compacted is");
    assert_eq!(fixture.storage.compact_all().expect("nothing is left to do").blocks_merged, 0);
    assert_eq!(fixture.read(&up), bits(&samples), "of the damaged column nothing, of the other all");
}

#[test]
fn an_answer_names_the_block_that_was_put_aside_also_after_a_restart() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let up = series("up", 1);
    let left_out = |fixture: &Fixture, range| {
        let view = fixture.storage.view();
        view.select(&[Matcher::equal("__name__", "up")], range, 10).expect("a selection");
        view.left_out()
    };
    {
        let fixture = open(&disk, &clock);
        four_hours(&fixture, &up);
        fixture.storage.maintain().expect("maintained");
        assert_eq!(left_out(&fixture, TimeRange::ALL), Vec::<String>::new());
    }
    let path = blocks_folder().join(&disk.list(&blocks_folder()).expect("a folder")[0]);
    disk.damage(&path, |bytes| bytes.truncate(100));
    for start in 0..2 {
        let fixture = open(&disk, &clock);
        let lines = left_out(&fixture, TimeRange { from_ms: T0 + HOUR_MS, to_ms: T0 + 3 * HOUR_MS });
        assert_eq!(lines.len(), 1, "start {start}");
        assert!(lines[0].contains(".damaged"), "{lines:?}");
        let after = TimeRange { from_ms: T0 + BLOCK_MS, to_ms: T0 + 3 * HOUR_MS };
        assert_eq!(left_out(&fixture, after), Vec::<String>::new(), "its time is over");
    }
}

#[test]
fn a_listener_that_is_behind_misses_nothing_of_what_was_cut_meanwhile() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + HOUR_MS));
    let fixture = open_with(&disk, options(1), &clock);
    let watched = Labels::from_pairs([("__name__", "orders"), ("watched", "yes")]).expect("labels");
    let source = &fixture.taps[0];
    assert!(matches!(source.next(Duration::ZERO), Tapped::Missed));
    assert_eq!(source.catch_up(|_| None).map(|batch| batch.rows.len()).sum::<usize>(), 0);
    let written: Vec<i64> = (0..700).map(|second| T0 + second * 1000).collect();
    for (index, ms) in written.iter().enumerate() {
        fixture.write(&[(watched.clone(), *ms, index as f64)]);
    }
    fixture.storage.compact_all().expect("compacted");
    assert_eq!(fixture.storage.head_sample_bytes(), 0);
    let mut seen = Vec::new();
    loop {
        match source.next(Duration::ZERO) {
            Tapped::Batch(batch) => seen.extend(batch.rows.iter().map(|row| row.timestamp_ms)),
            Tapped::Missed => {
                let last = seen.last().copied();
                for batch in source.catch_up(|_| last) {
                    seen.extend(batch.rows.iter().map(|row| row.timestamp_ms));
                }
            }
            Tapped::Nothing => break,
            Tapped::Closed => panic!("the shard ended"),
        }
    }
    assert_eq!(seen, written);
}

#[test]
fn a_compaction_leaves_the_log_its_reserve() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open(&disk, &clock);
    let up = series("up", 1);
    let samples = four_hours(&fixture, &up);
    // The segment that grows is given back, and takes less than this again.
    disk.set_free_bytes(crate::storage::log::DISK_RESERVE_BYTES);
    fixture.storage.maintain().expect("maintained");
    // Also with what the growing segment gives back when it ends.
    disk.set_free_bytes(crate::storage::log::DISK_RESERVE_BYTES / 2);
    let before = disk.list(&blocks_folder()).expect("a folder");
    let refused = fixture.storage.compact_all();
    assert!(matches!(refused, Err(StorageError::NoRoom { .. })), "{refused:?}");
    assert!(before.iter().all(|name| disk.read(&blocks_folder().join(name)).is_ok()), "no block was replaced");
    assert_eq!(fixture.read(&up), bits(&samples));
}

#[test]
fn hours_of_sealed_time_that_are_sent_again_are_stored_already() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 13 * HOUR_MS));
    let fixture = open_with(&disk, options(2), &clock);
    let up = series("up", 1);
    let samples: Vec<(i64, f64)> = (0..9 * 60).map(|minute| (T0 + minute * 60_000, minute as f64)).collect();
    assert_eq!(fixture.write(&rows(&up, &samples)).refused, vec![]);
    fixture.write(&[(up.clone(), T0 + 12 * HOUR_MS, 0.5)]);
    assert!(fixture.storage.maintain().expect("maintained").blocks_cut > 3);
    let again = fixture.write(&rows(&up, &samples));
    assert_eq!((again.stored_count, again.refused), (samples.len() as u64, vec![]));
    let other = fixture.write(&[(up.clone(), T0, 7.0), (up.clone(), T0 + 1, 7.0), (up.clone(), T0 + 60_000, 1.0)]);
    assert_eq!((other.stored_count, other.refused), (1, vec![(Refusal::TooOld, 2)]), "only what is there just so");
    assert_eq!(fixture.read(&up).len(), samples.len() + 1);
}
