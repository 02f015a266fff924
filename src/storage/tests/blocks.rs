//! Blocks over their lives: cut, joined by belated samples, compacted, thinned out, removed.

use std::sync::atomic::Ordering;

use super::*;
use crate::storage::RetentionRule;
use crate::storage::compact::Due;

const MINUTE_MS: i64 = 60_000;

/// One sample a minute from T0 on, of as many hours.
fn hours(fixture: &Fixture, labels: &Labels, from_hour: i64, count: i64) -> Vec<(i64, f64)> {
    let minutes = from_hour * 60..(from_hour + count) * 60;
    let samples: Vec<(i64, f64)> = minutes.map(|minute| (T0 + minute * MINUTE_MS, minute as f64 * 0.5)).collect();
    let rows: Vec<_> = samples.iter().map(|(ms, value)| (labels.clone(), *ms, *value)).collect();
    assert_eq!(fixture.write(&rows).refused_count(), 0);
    samples
}

fn block_files(disk: &SimulatedDisk) -> Vec<String> {
    disk.list(&PathBuf::from("/data/blocks")).expect("a folder")
}

/// Maintains until nothing is left to do.
fn settle(fixture: &Fixture) {
    for _ in 0..50 {
        let done = fixture.storage.maintain().expect("maintained");
        if done.blocks_cut + done.blocks_compacted + done.blocks_expired == 0 {
            return;
        }
    }
    panic!("maintenance finds no end");
}

fn wide_window() -> StorageOptions {
    StorageOptions { out_of_order_window_ms: 1000 * HOUR_MS, ..options(2) }
}

#[test]
fn three_blocks_of_six_hours_become_one_that_says_the_same() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 8 * HOUR_MS));
    // T0 is a multiple of two hours; six hours begin at the next multiple of three such.
    let first = (3 - (T0 / BLOCK_MS) % 3) % 3 * 2;
    clock.advance(Duration::from_millis((first * HOUR_MS) as u64));
    let (up, down) = (series("up", 1), series("down", 2));
    let (mut of_up, mut of_down) = (Vec::new(), Vec::new());
    {
        let fixture = open(&disk, &clock);
        of_up.extend(hours(&fixture, &up, first, 8));
        of_down.extend(hours(&fixture, &down, first + 3, 2));
        settle(&fixture);
        assert_eq!(fixture.read(&up), bits(&of_up));
        assert_eq!(fixture.read(&down), bits(&of_down));
        assert_eq!(fixture.storage.block_count(), 1);
    }
    let (from, to) = (T0 + first * HOUR_MS, T0 + (first + 6) * HOUR_MS);
    assert_eq!(block_files(&disk).len(), 1);
    assert!(block_files(&disk)[0].starts_with(&format!("{from}-{to}.")), "{:?}", block_files(&disk));
    let fixture = open(&disk, &clock);
    assert_eq!(fixture.read(&up), bits(&of_up), "after a restart");
    assert_eq!(fixture.read(&down), bits(&of_down));
}

#[test]
fn a_sample_for_sealed_time_is_taken_seen_at_once_and_merged_into_the_block() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let (up, late) = (series("up", 1), series("late", 1));
    let mut expected;
    {
        let fixture = open_with(&disk, wide_window(), &clock);
        expected = hours(&fixture, &up, 0, 4);
        settle(&fixture);
        assert_eq!(block_files(&disk).len(), 1);

        // Half a minute past each of some minutes that are in the block, and a series that the block does not know.
        let belated: Vec<(i64, f64)> = (10..20).map(|minute| (T0 + minute * MINUTE_MS + 30_000, 7.0)).collect();
        let rows: Vec<_> = belated.iter().map(|(ms, value)| (up.clone(), *ms, *value)).collect();
        assert_eq!(fixture.write(&rows).stored_count, 10);
        assert_eq!(fixture.write(&[(late.clone(), T0 + 1, 1.0)]).stored_count, 1);
        expected.extend(belated);
        expected.sort_by_key(|sample| sample.0);
        assert_eq!(fixture.read(&up), bits(&expected), "from the head");
        assert_eq!(fixture.read(&late), bits(&[(T0 + 1, 1.0)]));
    }
    {
        let fixture = open_with(&disk, wide_window(), &clock);
        assert_eq!(fixture.read(&up), bits(&expected), "from the log");
        clock.advance(Duration::from_millis(2 * HOUR_MS as u64));
        expected.extend(hours(&fixture, &up, 4, 2));
        settle(&fixture);
        assert_eq!(fixture.read(&up), bits(&expected), "from the block that was made of both");
        assert_eq!(fixture.read(&late), bits(&[(T0 + 1, 1.0)]));
    }
    let fixture = open_with(&disk, wide_window(), &clock);
    assert_eq!(fixture.read(&up), bits(&expected), "after a restart");
    assert!(!disk.list(&PathBuf::from("/data/log")).expect("a folder").contains(&"00000001.log".to_owned()));
}

#[test]
fn an_order_to_compact_leaves_blocks_that_were_cut_since() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + HOUR_MS));
    let fixture = open_with(&disk, wide_window(), &clock);
    let up = series("up", 1);
    let cut_at = |minute: i64| {
        let at_ms = T0 + minute * MINUTE_MS;
        fixture.write(&[(up.clone(), at_ms, minute as f64)]);
        let mut maintenance = fixture.storage.maintenance.lock();
        assert_eq!(fixture.storage.cut(&mut maintenance, at_ms + 1).expect("cut"), 1);
        fixture.storage.last_block_number.load(Ordering::SeqCst)
    };
    let compact = |number_max: u64| {
        let due = Due::Asked { number_max };
        fixture.storage.compact_once(&mut fixture.storage.maintenance.lock(), due).expect("compacted")
    };
    let (_, second, third) = (cut_at(10), cut_at(20), cut_at(30));
    assert_eq!(compact(second), 2, "the third was cut since");
    assert_eq!(compact(second), 0, "and that is the end");
    assert_eq!(compact(third), 2);
    assert_eq!(fixture.read(&up).len(), 3);
}

#[test]
fn of_two_values_for_a_sealed_moment_the_first_stays() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let up = series("up", 1);
    let fixture = open_with(&disk, wide_window(), &clock);
    let samples = hours(&fixture, &up, 0, 4);
    settle(&fixture);
    let (at_ms, value) = samples[30];
    assert_eq!(fixture.write(&[(up.clone(), at_ms, value)]).stored_count, 1, "a repeat");
    assert_eq!(fixture.write(&[(up.clone(), at_ms, value + 1.0)]).refused, vec![(Refusal::Conflict, 1)]);
    let between = at_ms + 1;
    assert_eq!(fixture.write(&[(up.clone(), between, 5.0)]).stored_count, 1);
    assert_eq!(fixture.write(&[(up.clone(), between, 5.0)]).stored_count, 1, "a repeat of a belated one");
    assert_eq!(fixture.write(&[(up.clone(), between, 6.0)]).refused, vec![(Refusal::Conflict, 1)]);
    assert_eq!(fixture.read(&up).len(), samples.len() + 1);
}

#[test]
fn deleted_samples_are_gone_at_once_after_a_restart_and_after_compaction() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let (up, other) = (series("up", 1), series("other", 1));
    let deleted = TimeRange { from_ms: T0 + 90 * MINUTE_MS, to_ms: T0 + 200 * MINUTE_MS };
    let (kept, untouched): (Vec<_>, Vec<_>);
    {
        let fixture = open_with(&disk, wide_window(), &clock);
        let samples = hours(&fixture, &up, 0, 4);
        untouched = hours(&fixture, &other, 0, 4);
        settle(&fixture);
        let selector = vec![Matcher::equal("__name__", "up")];
        fixture.storage.delete_series(&[selector], deleted).expect("deleted");
        kept = samples.into_iter().filter(|(ms, _)| !deleted.contains(*ms)).collect::<Vec<_>>();
        assert_eq!(fixture.read(&up), bits(&kept));
        assert_eq!(fixture.read(&other), bits(&untouched));
    }
    {
        let fixture = open_with(&disk, wide_window(), &clock);
        assert_eq!(fixture.read(&up), bits(&kept), "after a restart");
        assert_eq!(fixture.storage.clean_tombstones().expect("cleaned"), 1);
        assert_eq!(fixture.read(&up), bits(&kept));
        assert!(block_files(&disk).iter().all(|name| name.ends_with(".block")), "{:?}", block_files(&disk));
        // What is sent again is stored again, sealed time or not.
        let again = [(up.clone(), T0 + 100 * MINUTE_MS, 1.5), (up.clone(), T0 + 150 * MINUTE_MS, 2.5)];
        assert_eq!(fixture.write(&again).stored_count, 2);
        assert_eq!(fixture.read(&up).len(), kept.len() + 2);
        assert_eq!(fixture.read(&other), bits(&untouched));
    }
    let fixture = open_with(&disk, wide_window(), &clock);
    assert_eq!(fixture.read(&up).len(), kept.len() + 2, "also after a restart");
}

#[test]
fn a_series_deleted_as_a_whole_is_no_longer_listed() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open_with(&disk, wide_window(), &clock);
    let up = series("up", 1);
    hours(&fixture, &up, 0, 4);
    settle(&fixture);
    let selector = vec![Matcher::equal("__name__", "up")];
    fixture.storage.delete_series(std::slice::from_ref(&selector), TimeRange::ALL).expect("deleted");
    assert!(fixture.storage.view().select(&selector, TimeRange::ALL, 10).expect("a selection").is_empty());
}

#[test]
fn a_rule_lets_some_series_go_earlier_and_keeps_others_longer() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let rule = |name: &str, keep_ms| RetentionRule { matchers: vec![Matcher::equal("__name__", name)], keep_ms };
    let options = StorageOptions {
        retention_ms: 8 * HOUR_MS,
        retention_rules: vec![rule("debug", 4 * HOUR_MS), rule("orders", 0)],
        ..options(1)
    };
    let fixture = open_with(&disk, options, &clock);
    let (debug, up, orders) = (series("debug", 1), series("up", 1), series("orders", 1));
    for labels in [&debug, &up, &orders] {
        hours(&fixture, labels, 0, 4);
    }
    settle(&fixture);
    clock.advance(Duration::from_millis(3 * HOUR_MS as u64));
    fixture.write(&[(up.clone(), T0 + 7 * HOUR_MS, 1.0)]);
    settle(&fixture);
    assert!(fixture.read(&debug).is_empty() || fixture.read(&debug)[0].0 >= T0 + 2 * HOUR_MS, "debug is past 4 h");
    assert_eq!(fixture.read(&up).len(), 241);
    assert_eq!(fixture.read(&orders).len(), 240);
    clock.advance(Duration::from_millis(12 * HOUR_MS as u64));
    fixture.write(&[(up.clone(), T0 + 19 * HOUR_MS, 1.0)]);
    settle(&fixture);
    assert_eq!(fixture.read(&orders).len(), 240, "kept for ever");
    assert!(fixture.read(&up).iter().all(|(ms, _)| *ms >= T0 + 7 * HOUR_MS), "past 8 h");
    assert!(fixture.read(&debug).is_empty());
}

#[test]
fn the_oldest_block_goes_when_all_together_are_too_large() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 30 * HOUR_MS));
    let up = series("up", 1);
    let unlimited = open_with(&disk, options(1), &clock);
    for hour in 0..30 {
        hours(&unlimited, &up, hour, 1);
    }
    settle(&unlimited);
    let (count, bytes) = (unlimited.storage.block_count(), unlimited.storage.block_bytes());
    assert!(count > 2);
    drop(unlimited);
    let limited = StorageOptions { retention_bytes: bytes - 1, ..options(1) };
    let fixture = open_with(&disk, limited, &clock);
    assert_eq!(fixture.storage.maintain().expect("maintained").blocks_expired, 1);
    assert_eq!(fixture.storage.block_count(), count - 1);
    assert_eq!(fixture.storage.maintain().expect("maintained").blocks_expired, 0);
    assert!(fixture.read(&up)[0].0 > T0, "the oldest went");
}

#[test]
fn compacting_at_once_leaves_nothing_in_the_log() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 5 * HOUR_MS));
    let up = series("up", 1);
    let mut expected;
    {
        let fixture = open_with(&disk, wide_window(), &clock);
        expected = hours(&fixture, &up, 0, 5);
        let summary = fixture.storage.compact_all().expect("compacted");
        assert!(summary.blocks_cut >= 3, "{summary:?}");
        assert_eq!(summary.sample_count, 300);
        assert_eq!(fixture.read(&up), bits(&expected));
        assert_eq!(fixture.write(&[(up.clone(), T0 + 5 * HOUR_MS - 1, 3.0)]).stored_count, 1, "behind the cut");
        expected.push((T0 + 5 * HOUR_MS - 1, 3.0));
    }
    let fixture = open_with(&disk, wide_window(), &clock);
    assert_eq!(fixture.recovered.sample_count, 1, "the log holds what came after");
    assert_eq!(fixture.read(&up), bits(&expected));
}

#[test]
fn a_crash_between_a_compaction_and_the_end_of_its_sources_changes_no_answer() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 8 * HOUR_MS));
    let up = series("up", 1);
    let expected;
    {
        let fixture = open(&disk, &clock);
        expected = hours(&fixture, &up, 0, 8);
        fixture.storage.maintain().expect("maintained");
        let before = block_files(&disk);
        let copies: Vec<_> = before.iter().map(|name| PathBuf::from("/data/blocks").join(name)).collect();
        let bytes: Vec<Vec<u8>> = copies.iter().map(|path| disk.read(path).expect("a block").to_vec()).collect();
        fixture.storage.compact_all().expect("compacted");
        // The sources are there again, as if the process had ended before it removed them.
        for (path, bytes) in copies.iter().zip(&bytes) {
            disk.replace(path, bytes).expect("written");
        }
    }
    let fixture = open(&disk, &clock);
    assert_eq!(fixture.read(&up), bits(&expected), "each moment once");
    fixture.storage.compact_all().expect("compacted");
    assert_eq!(fixture.read(&up), bits(&expected));
}

#[test]
fn a_day_is_put_together_of_full_groups_and_read_ones_and_says_the_same() {
    let first = (12 - (T0 / BLOCK_MS) % 12) % 12 * 2; // hours from T0 to the next day
    let day = T0 + first * HOUR_MS;
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(day));
    let fixture = open_with(&disk, wide_window(), &clock);
    let (up, often) = (series("up", 1), series("often", 1));
    let (mut of_up, mut of_often) = (Vec::new(), Vec::new());
    for quarter in 0..4 {
        let from = day + quarter * 6 * HOUR_MS;
        clock.advance(Duration::from_millis(6 * HOUR_MS as u64));
        for (labels, step_ms, expected) in [(&often, 15_000, &mut of_often), (&up, 300_000, &mut of_up)] {
            let samples: Vec<_> = (0..6 * HOUR_MS / step_ms).map(|i| (from + i * step_ms, (i % 97) as f64)).collect();
            let rows: Vec<_> = samples.iter().map(|(ms, value)| (labels.clone(), *ms, *value)).collect();
            assert_eq!(fixture.write(&rows).refused_count(), 0);
            expected.extend(samples);
        }
        settle(&fixture);
        if quarter == 2 {
            // The second quarter's block can no longer be taken as it is.
            let deleted = TimeRange { from_ms: day + 7 * HOUR_MS, to_ms: day + 7 * HOUR_MS + MINUTE_MS };
            fixture.storage.delete_series(&[vec![Matcher::equal("__name__", "often")]], deleted).expect("deleted");
            of_often.retain(|(ms, _)| !deleted.contains(*ms));
        }
    }
    clock.advance(Duration::from_millis(4 * HOUR_MS as u64));
    fixture.write(&[(up.clone(), day + 27 * HOUR_MS, 1.0)]);
    settle(&fixture);
    assert!(block_files(&disk).iter().any(|name| name.starts_with(&format!("{day}-{}.", day + 24 * HOUR_MS))));
    assert_eq!(fixture.read(&often), bits(&of_often));
    of_up.push((day + 27 * HOUR_MS, 1.0));
    assert_eq!(fixture.read(&up), bits(&of_up));
}

/// A file that version 1 wrote, as its annotated text beside it tells.
fn of_version_1(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("storage-format/golden/v1");
    std::fs::read(folder.join(name)).expect("the golden file is there")
}

#[test]
fn a_block_of_version_1_serves_and_becomes_one_of_version_2() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(4 * HOUR_MS));
    let folder = PathBuf::from("/data/blocks");
    disk.create_folder(&folder).expect("a folder");
    disk.replace(&folder.join("0-7200000.block"), &of_version_1("block.bin")).expect("written");
    let first = bits(&[(1000, 1.0), (16_000, 1.0), (31_000, 0.0)]);
    let second = bits(&[(1000, stale_nan())]);
    {
        let fixture = open(&disk, &clock);
        assert_eq!((fixture.read(&series("up", 1)), fixture.read(&series("up", 2))), (first.clone(), second.clone()));
        let summary = fixture.storage.compact_all().expect("compacted");
        assert_eq!((summary.blocks_merged, summary.sample_count), (1, 4));
    }
    let bytes = disk.read(&folder.join(&block_files(&disk)[0])).expect("a block");
    assert_eq!(storage_format::version_of(&bytes), Some((storage_format::FileType::Block, 2)));
    let fixture = open(&disk, &clock);
    assert_eq!((fixture.read(&series("up", 1)), fixture.read(&series("up", 2))), (first, second), "after a restart");
}

#[test]
fn a_log_of_version_1_is_read() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(HOUR_MS));
    let folder = PathBuf::from("/data/log");
    disk.create_folder(&folder).expect("a folder");
    disk.replace(&folder.join("00000007.log"), &of_version_1("log.bin")).expect("written");
    let fixture = open(&disk, &clock);
    // Of the two values for one moment the first stays; two rows name series that the file does not define.
    assert_eq!(fixture.read(&series("up", 1)), bits(&[(15_000, 1.0)]));
    let accented = Labels::from_pairs([("__name__", "\u{e9}")]).expect("labels");
    assert_eq!(fixture.read(&accented), bits(&[(15_002, stale_nan())]));
    assert_eq!(fixture.recovered.damage.len(), 1, "{:?}", fixture.recovered.damage);
}

#[test]
fn an_order_to_compact_does_not_seal_the_time_ahead_that_one_fast_clock_brought() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open(&disk, &clock);
    let (ahead, up) = (series("ahead", 1), series("up", 1));
    fixture.write(&[(ahead.clone(), T0 + 9 * MINUTE_MS, 1.0), (up.clone(), T0, 1.0)]);
    fixture.storage.compact_all().expect("compacted");
    let floors = fixture.storage.head.shards().iter().map(|shard| shard.read().floor_ms);
    assert_eq!(floors.max(), Some(T0 + 1));
    assert_eq!(fixture.read(&ahead), bits(&[(T0 + 9 * MINUTE_MS, 1.0)]));
    assert_eq!(fixture.read(&up), bits(&[(T0, 1.0)]));
}
