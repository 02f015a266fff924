//! Odd times, odd settings, odd disks.

use super::*;

#[test]
fn the_first_and_the_last_moment_there_is_harm_nobody() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open(&disk, &clock);
    let up = series("up", 1);
    let summary = fixture.write(&[(up.clone(), i64::MIN, 1.0), (up.clone(), i64::MAX, 2.0), (up.clone(), T0, 3.0)]);
    assert_eq!(summary.refused, vec![(Refusal::TooOld, 1), (Refusal::TooFarAhead, 1)]);
    fixture.storage.maintain().expect("maintained");
    assert_eq!(fixture.read(&up), bits(&[(T0, 3.0)]));
}

#[test]
fn a_sample_before_1970_and_one_of_now_make_two_small_blocks() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let up = series("up", 1);
    let samples = [(-40 * 365 * 24 * HOUR_MS, 1.0), (0, 2.0), (T0, 3.0), (T0 + 4 * HOUR_MS, 4.0)];
    {
        let fixture = open(&disk, &clock);
        for (ms, value) in samples {
            fixture.write(&[(up.clone(), ms, value)]);
        }
        assert_eq!(fixture.storage.maintain().expect("maintained").blocks_cut, 3);
        assert_eq!(fixture.read(&up), bits(&samples));
    }
    assert_eq!(open(&disk, &clock).read(&up), bits(&samples));
}

#[test]
fn a_stray_sample_of_long_ago_does_not_hold_up_the_listener() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open_with(&disk, options(1), &clock);
    let watched = Labels::from_pairs([("__name__", "orders"), ("watched", "yes")]).expect("labels");
    fixture.write(&[(watched.clone(), 1, 1.0), (watched.clone(), T0 - 1, 2.0), (watched, T0, 3.0)]);
    let batches: Vec<_> = fixture.taps[0].catch_up(|_| None).collect();
    let rows: Vec<i64> = batches.iter().flat_map(|batch| batch.rows.iter().map(|row| row.timestamp_ms)).collect();
    assert_eq!(rows, [1, T0 - 1, T0]);
    assert!(batches.len() < 60, "{} batches", batches.len());
}

#[test]
fn a_sender_whose_clock_is_ahead_does_not_seal_the_present() {
    // 13:55, no window: a sample of 14:05 is taken, and those of 13:56 still are.
    let now = T0 + 2 * HOUR_MS - 5 * 60_000;
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(now));
    let fixture = open_with(&disk, StorageOptions { out_of_order_window_ms: 0, ..options(1) }, &clock);
    fixture.write(&[(series("a", 1), now, 1.0), (series("ahead", 1), now + 9 * 60_000, 1.0)]);
    fixture.storage.maintain().expect("maintained");
    assert_eq!(fixture.write(&[(series("a", 1), now + 60_000, 2.0)]).stored_count, 1);
}

#[test]
fn samples_at_the_edges_of_blocks_and_chunks_are_kept_once() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 8 * HOUR_MS));
    let window_ms = 3 * HOUR_MS;
    let fixture = open_with(&disk, StorageOptions { out_of_order_window_ms: window_ms, ..options(3) }, &clock);
    let up = series("up", 1);
    let mut expected = BTreeMap::new();
    // A chunk that ends exactly at a block's end, then what lies around both ends, in a bad order.
    let first = (0..128).map(|index| T0 + BLOCK_MS - 128 + index);
    let edges = [T0 + BLOCK_MS, T0, T0 - 1, T0 + BLOCK_MS - 129, T0 + BLOCK_MS - 1, T0 + BLOCK_MS + 1, T0 + BLOCK_MS];
    for ms in first.chain(edges) {
        assert_eq!(fixture.write(&[(up.clone(), ms, ms as f64)]).stored_count, 1);
        expected.insert(ms, (ms as f64).to_bits());
    }
    fixture.write(&[(up.clone(), T0 + 8 * HOUR_MS, 0.0)]);
    expected.insert(T0 + 8 * HOUR_MS, 0.0_f64.to_bits());
    let expected: Vec<_> = expected.into_iter().collect();
    assert_eq!(fixture.storage.maintain().expect("maintained").blocks_cut, 3);
    assert_eq!(fixture.read(&up), expected);
    fixture.storage.maintain().expect("maintained");
    assert_eq!(fixture.read(&up), expected);
    // The first moment of the window is taken, the one before it is not.
    let window = T0 + 8 * HOUR_MS - window_ms;
    let summary = fixture.write(&[(up.clone(), window, 1.0), (up.clone(), window - 1, 1.0)]);
    assert_eq!((summary.stored_count, summary.refused), (1, vec![(Refusal::TooOld, 1)]));
}

#[test]
fn a_series_that_was_freed_comes_back_under_another_ref() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open_with(&disk, options(1), &clock);
    let (gone, other) = (series("gone", 1), series("other", 1));
    let mut expected = Vec::new();
    for step in 0..20_i64 {
        let now = T0 + step * 2 * HOUR_MS;
        clock.advance(Duration::from_millis((now - clock.now_ms()) as u64));
        fixture.write(&[(other.clone(), now, 0.0)]);
        if step % 6 == 0 {
            fixture.write(&[(gone.clone(), now, step as f64)]);
            fixture.write(&[(series("churn", step as u32), now, 1.0)]); // takes the freed slot
            expected.push((now, step as f64));
        }
        for _ in 0..3 {
            fixture.storage.maintain().expect("maintained");
        }
    }
    assert_eq!(fixture.read(&gone), bits(&expected));
    assert!(fixture.storage.series_count() <= 4, "{}", fixture.storage.series_count());
    assert_eq!(fixture.read(&other).len(), 20);
}

#[test]
fn a_row_whose_series_was_freed_meanwhile_must_be_sent_again() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open_with(&disk, options(1), &clock);
    let stale = crate::model::SeriesRef::new(0, 5, 0);
    fixture.write(&[(series("up", 1), T0, 0.0)]);
    let batch = ShardBatch {
        rows: vec![Row { series: stale, timestamp_ms: T0, value: 1.0 }],
        new: Vec::new(),
        ..ShardBatch::default()
    };
    let outcome = fixture.runtime.block_on(fixture.storage.write(vec![batch]));
    assert_eq!(outcome.map(|_| ()), Err(WriteError::SeriesFreed(1)));
}

#[test]
fn a_request_of_more_rows_than_a_record_holds_is_stored() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + HOUR_MS));
    const ROWS: i64 = (1 << 20) + 3;
    {
        let fixture = open_with(&disk, options(1), &clock);
        fixture.write(&[(series("up", 1), T0, 0.0)]);
        let raw_hash = fixture.storage.resolver().raw_hash(series("up", 1).to_string().as_bytes());
        let series = fixture.storage.resolver().known().get(raw_hash).expect("known");
        let rows = (1..ROWS).map(|index| Row { series, timestamp_ms: T0 + index, value: f64::from_bits(index as u64) });
        let batch = ShardBatch { rows: rows.collect(), new: Vec::new(), ..ShardBatch::default() };
        let summary = fixture.runtime.block_on(fixture.storage.write(vec![batch])).expect("acknowledged");
        assert_eq!(summary.stored_count, ROWS as u64 - 1);
    }
    assert_eq!(open_with(&disk, options(1), &clock).read(&series("up", 1)).len(), ROWS as usize);
}

#[test]
fn definitions_of_more_bytes_than_a_record_holds_are_stored() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    const COUNT: usize = 4200; // of 16 KiB each: more than 64 MiB
    {
        let fixture = open_with(&disk, options(1), &clock);
        let long = |index: usize| {
            let values = ["a", "b", "c"].map(|name| (name.to_owned(), format!("{index:05}{}", "x".repeat(4090))));
            let rest = [("d".to_owned(), "y".repeat(4000)), ("__name__".to_owned(), "long".to_owned())];
            Arc::new(Labels::from_pairs(values.into_iter().chain(rest)).expect("labels"))
        };
        let samples = vec![Sample { timestamp_ms: T0, value: 1.0 }];
        let new = (0..COUNT).map(|index| NewSeries::new(long(index), index as u128, samples.clone()));
        let batch = ShardBatch { rows: Vec::new(), new: new.collect(), ..ShardBatch::default() };
        let summary = fixture.runtime.block_on(fixture.storage.write(vec![batch])).expect("acknowledged");
        assert_eq!(summary.stored_count, COUNT as u64);
    }
    assert_eq!(open_with(&disk, options(1), &clock).recovered.series_count, COUNT);
}

#[test]
fn writes_are_taken_again_after_a_sync_of_the_interval_failed() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::system());
    // Long enough for the disk to fail between the write and its sync, also where many tests run at once.
    let interval = StorageOptions { wal_sync: WalSync::Interval { interval_ms: 2_000 }, ..options(1) };
    let up = series("up", 1);
    let now = clock.now_ms();
    let fixture = open_with(&disk, interval, &clock);
    fixture.write(&[(up.clone(), now, 1.0)]);
    disk.fail_after(0);
    let deadline = clock.monotonic() + Duration::from_secs(20);
    while fixture.storage.log_failing().is_none() {
        assert!(clock.monotonic() < deadline, "the failed sync was not noticed");
        std::thread::sleep(Duration::from_millis(5));
    }
    disk.heal();
    while fixture.storage.log_failing().is_some() {
        assert!(clock.monotonic() < deadline, "still refused although the disk is well");
        std::thread::sleep(Duration::from_millis(5));
    }
    fixture.write(&[(up, now + 1, 2.0)]);
}

#[test]
fn a_damaged_segment_is_put_aside_when_others_are_removed() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let (up, log) = (series("up", 1), PathBuf::from("/data/log"));
    {
        let fixture = open(&disk, &clock);
        four_hours(&fixture, &up);
    }
    disk.damage(&log.join("00000001.log"), |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
    });
    {
        let fixture = open(&disk, &clock);
        assert_eq!(fixture.recovered.damage.len(), 1);
        clock.advance(Duration::from_millis(4 * HOUR_MS as u64));
        fixture.write(&[(up.clone(), T0 + 8 * HOUR_MS, 1.0)]);
        fixture.storage.maintain().expect("maintained");
    }
    let names = disk.list(&log).expect("a folder");
    assert!(names.contains(&"00000001.damaged".to_owned()), "{names:?}");
    assert!(open(&disk, &clock).recovered.damage.is_empty(), "told while it was of use, and no more");
}

#[test]
fn a_process_that_is_killed_often_does_not_fill_the_disk() {
    let (mut disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    for start in 0..5 {
        let fixture = open(&disk, &clock);
        fixture.write(&[(series("up", 1), T0 + start, 1.0)]);
        let killed = disk.crash(1 + start as u64);
        drop(fixture);
        disk = killed;
    }
    let fixture = open(&disk, &clock);
    assert_eq!(fixture.read(&series("up", 1)).len(), 5);
    let log = PathBuf::from("/data/log");
    let bytes = |name: &String| disk.read(&log.join(name)).expect("a segment").len();
    let total: usize = disk.list(&log).expect("a folder").iter().map(bytes).sum();
    assert!(total < 1 << 20, "{total} bytes");
}

#[test]
fn the_tail_of_a_power_cut_is_no_damage_at_any_later_start() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let up = series("up", 1);
    {
        let fixture = open(&disk, &clock);
        fixture.write(&[(up.clone(), T0, 1.0), (up.clone(), T0 + 1, 2.0)]);
    }
    disk.damage(&PathBuf::from("/data/log/00000001.log"), |bytes| {
        let end = bytes.len();
        bytes.truncate(end - 20);
        bytes.extend([0x55; 40]);
    });
    for start in 0..3 {
        let fixture = open(&disk, &clock);
        assert!(fixture.recovered.damage.is_empty(), "start {start}: {:?}", fixture.recovered.damage);
        fixture.write(&[(up.clone(), T0 + 10 + start, 1.0)]);
    }
}

#[test]
fn a_head_full_of_belated_samples_is_emptied() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let up = series("up", 1);
    let mut expected = BTreeMap::new();
    {
        let fixture = open(&disk, &clock);
        for (timestamp_ms, value) in four_hours(&fixture, &up) {
            expected.insert(timestamp_ms, value.to_bits());
        }
        assert_eq!(fixture.storage.maintain().expect("maintained").blocks_cut, 1);
        clock.advance(Duration::from_millis(3 * HOUR_MS as u64));
        fixture.write(&[(series("other", 1), T0 + 7 * HOUR_MS, 1.0)]);
        fixture.storage.maintain().expect("maintained");
    }
    // Nothing but belated samples comes, of a series that is new to this start.
    let fixture = open_with(&disk, StorageOptions { head_bytes_max: 2_000, ..options(1) }, &clock);
    for second in 1..600 {
        let (timestamp_ms, value) = (T0 + second * 1000 + 1, second as f64);
        let summary = fixture.write(&[(up.clone(), timestamp_ms, value)]);
        if summary.stored_count == 1 {
            expected.insert(timestamp_ms, value.to_bits());
        }
        assert!(!fixture.storage.maintain().expect("maintained").head_full, "second {second}");
    }
    assert!(expected.len() > 500, "{}", expected.len());
    assert_eq!(fixture.read(&up), expected.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_log_of_a_newer_format_is_refused_before_anything_is_changed() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    open(&disk, &clock).write(&[(series("up", 1), T0, 1.0)]);
    let newer = PathBuf::from("/data/log/00000017.log");
    let header = storage_format::frame::FileHeader::new(storage_format::frame::FileKind::Log, 17, T0, 1);
    let header = storage_format::frame::FileHeader { version: header.version + 1, ..header };
    disk.create(&newer, 0).expect("a file").write_at(0, &header.encode()).expect("written");
    let (before, files) = (disk.operation_count(), disk.list(&PathBuf::from("/data/log")).expect("a folder"));
    let opened = Storage::open(options(3), Arc::new(disk.clone()), clock.clone(), Arc::new(|_: &Labels| false));
    let refusal = opened.err().expect("refused").to_string();
    assert!(refusal.contains("00000017.log has format 3, this binary reads up to 2"), "{refusal}");
    assert_eq!(disk.operation_count(), before);
    assert_eq!(disk.list(&PathBuf::from("/data/log")).expect("a folder"), files);
}

#[test]
fn the_files_of_a_rotation_hold_everything_acknowledged_before() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open(&disk, &clock);
    let up = series("up", 1);
    fixture.write(&[(up.clone(), T0, 1.0)]);
    let files = fixture.storage.rotate_log().expect("rotated");
    assert_eq!(files, [PathBuf::from("/data/log/00000001.log")]);
    assert_eq!(fixture.storage.growing_segment.load(std::sync::atomic::Ordering::SeqCst), 2);
    fixture.write(&[(up.clone(), T0 + 1, 2.0)]);
    let copy = SimulatedDisk::new();
    for file in files {
        let bytes = disk.read(&file).expect("a file");
        copy.create(&file, 0).expect("a file").write_at(0, &bytes).expect("written");
    }
    assert_eq!(open(&copy, &clock).read(&up), bits(&[(T0, 1.0)]));
    fixture.storage.close();
    assert!(fixture.storage.rotate_log().is_err());
}

#[test]
fn a_log_is_read_by_any_number_of_shards() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let mut expected: BTreeMap<u32, Vec<(i64, f64)>> = BTreeMap::new();
    for (start, shard_count) in [3, 1, 4, 2].into_iter().enumerate() {
        let progress = Arc::new(crate::storage::RecoveryProgress::default());
        let options = StorageOptions { recovery: progress.clone(), ..options(shard_count) };
        let fixture = open_with(&disk, options, &clock);
        assert_eq!(progress.samples.load(std::sync::atomic::Ordering::SeqCst), 40 * start as u64);
        assert!(progress.done.load(std::sync::atomic::Ordering::SeqCst));
        for node in 0..20 {
            let sample = |step: i64| (T0 + 2 * start as i64 + step, f64::from(node) + 0.5);
            for step in 0..2 {
                fixture.write(&[(series("up", node), sample(step).0, sample(step).1)]);
                expected.entry(node).or_default().push(sample(step));
            }
        }
        for (node, samples) in &expected {
            assert_eq!(fixture.read(&series("up", *node)), bits(samples), "{shard_count} shards");
        }
    }
}
