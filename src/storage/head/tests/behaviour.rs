//! What a sender, a cut and a deletion can rely on, one by one.

use super::super::aside::BELATED_SAMPLES_MAX;
use super::*;

/// What a query sees of node 0, as minutes from T0.
fn minutes(rig: &Rig, node: u32) -> Vec<i64> {
    rig.read(node).iter().map(|(ms, _)| (ms - T0) / MINUTE_MS).collect()
}

fn at(minute: i64) -> i64 {
    T0 + minute * MINUTE_MS
}

#[test]
fn a_sender_far_behind_is_taken_as_long_as_it_is_in_order_for_itself() {
    let mut rig = Rig::new(HeadLimits { out_of_order_window_ms: 0, ..limits() });
    rig.send(&[(1, at(0), 1.0)]);
    rig.cut(at(-5));
    for minute in [-9_000, -8_999, -600, -6, -4, 0] {
        assert_eq!(rig.send_one(2, at(minute), 2.0), Ok(1), "minute {minute}");
    }
    assert_eq!(rig.send_one(2, at(-1), 2.0), Err(Refusal::TooOld), "not in order, and there is no window");
    assert_eq!(minutes(&rig, 2), [-9_000, -8_999, -600, -6, -4, 0]);
    rig.cut(at(5));
    assert_eq!(minutes(&rig, 2), [-9_000, -8_999, -600, -6, -4, 0]);
}

#[test]
fn rows_on_both_sides_of_the_floor_are_in_order_in_one_request() {
    let mut rig = Rig::new(HeadLimits { out_of_order_window_ms: 0, ..limits() });
    rig.send(&[(1, at(0), 1.0)]);
    rig.cut(at(-5));
    let (entry, summary) = rig.send(&[(2, at(-7), 1.0), (2, at(-6), 2.0), (2, at(-5), 3.0), (2, at(-4), 4.0)]);
    assert_eq!((summary.stored_count, summary.refused_count()), (4, 0));
    assert_eq!((entry.holds_belated, entry.newest_ms), (true, at(-4)));
    assert_eq!(minutes(&rig, 2), [-7, -6, -5, -4]);
}

#[test]
fn a_sample_is_too_old_a_millisecond_before_the_window_of_its_own_series() {
    let mut rig = Rig::new(limits());
    rig.send(&[(1, at(0), 1.0), (2, at(-30), 1.0)]);
    assert_eq!(rig.send_one(1, at(0) - HOUR_MS, 1.0), Ok(1));
    assert_eq!(rig.send_one(1, at(0) - HOUR_MS - 1, 1.0), Err(Refusal::TooOld));
    assert_eq!(rig.send_one(2, at(0) - HOUR_MS - 1, 1.0), Ok(1), "its own newest is half an hour older");
    // The same where the time is sealed.
    rig.cut(at(-10));
    assert_eq!(rig.send_one(1, at(0) - HOUR_MS + 1, 1.0), Ok(1));
    assert_eq!(rig.send_one(1, at(0) - HOUR_MS - 1, 1.0), Err(Refusal::TooOld));
}

#[test]
fn the_retention_refuses_what_every_window_would_take() {
    let mut rig = Rig::new(HeadLimits { retention_ms: HOUR_MS, out_of_order_window_ms: 10 * HOUR_MS, ..limits() });
    assert_eq!(rig.send_one(1, T0 - HOUR_MS - 1, 1.0), Err(Refusal::TooOld));
    assert_eq!(rig.head.series_count(), 0, "a series that would hold nothing is not made");
    assert_eq!(rig.send_one(1, T0 - HOUR_MS, 1.0), Ok(1));
    rig.cut(T0);
    assert_eq!(rig.send_one(1, T0 - HOUR_MS - 1, 1.0), Err(Refusal::TooOld));
    assert_eq!(rig.send_one(1, T0 - HOUR_MS + 1, 1.0), Ok(1));
}

#[test]
fn a_belated_sample_is_compared_with_what_the_blocks_hold() {
    let mut rig = Rig::new(limits());
    rig.send(&[(1, at(-20), 1.0), (1, at(0), 2.0)]);
    rig.cut(at(-10));
    assert_eq!(rig.send_one(1, at(-20), 1.0), Ok(1), "a repeat");
    assert_eq!(rig.send_one(1, at(-20), 9.0), Err(Refusal::Conflict));
    assert_eq!(rig.send_one(1, at(-15), 3.0), Ok(1));
    assert_eq!(rig.send_one(1, at(-15), 3.0), Ok(1), "a repeat of a belated one");
    assert_eq!(rig.send_one(1, at(-15), -3.0), Err(Refusal::Conflict));
    assert_eq!(rig.head.belated_count(), 1);
    assert_eq!(
        rig.read(1),
        [(at(-20), 1.0), (at(-15), 3.0), (at(0), 2.0)].map(|(ms, value)| (ms, f64::to_bits(value)))
    );
}

#[test]
fn a_belated_sample_is_compared_with_what_a_cut_under_way_has_not_written_yet() {
    let mut rig = Rig::new(limits());
    rig.send(&[(1, at(-20), 1.0), (1, at(0), 2.0)]);
    let cut = rig.begin_cut(at(-10));
    assert_eq!(rig.send_one(1, at(-20), 1.0), Ok(1));
    assert_eq!(rig.send_one(1, at(-20), 5.0), Err(Refusal::Conflict));
    assert_eq!(rig.send_one(1, at(-12), 5.0), Ok(1), "it waits for the next cut");
    rig.write_blocks(cut);
    rig.truncate(cut);
    assert_eq!((rig.head.belated_count(), minutes(&rig, 1)), (1, vec![-20, -12, 0]));
    rig.cut(at(-10));
    assert_eq!((rig.head.belated_count(), minutes(&rig, 1)), (0, vec![-20, -12, 0]));
}

#[test]
fn the_blocks_are_asked_once_for_rows_that_lie_close_together() {
    let mut rig = Rig::new(HeadLimits { out_of_order_window_ms: i64::MAX, ..limits() });
    rig.send(&[(1, at(0), 1.0), (2, at(0), 1.0)]);
    rig.cut(at(1));
    let rows: Vec<(u32, i64, f64)> = (-60..0).map(|minute| (1, at(minute), 0.5)).collect();
    rig.send(&[&rows[..], &[(2, at(-3), 0.5), (1, at(-6_000), 0.5)]].concat());
    let range = |from, to| TimeRange { from_ms: at(from), to_ms: at(to) };
    let (one, two) = (labels(1).to_string(), labels(2).to_string());
    assert_eq!(*rig.asked.lock(), [(one.clone(), range(-6_000, -6_000)), (one, range(-60, -1)), (two, range(-3, -3))]);
}

#[test]
fn a_block_that_cannot_say_what_it_holds_costs_no_sample() {
    let mut rig = Rig::new(limits());
    rig.send(&[(1, at(-20), 1.0), (1, at(0), 2.0)]);
    rig.cut(at(-10));
    let damaged: SealedLookup = Arc::new(|_, _, columns| {
        columns.push(0, 0.0);
        let damage = storage_format::Corruption { offset: 0, what: "damage" };
        Err(ViewError::Corruption { file: "the block".into(), damage })
    });
    let (feed, _tap) = tap(rig.head.clone(), Arc::default(), 0, Arc::new(|_: &Labels| false));
    rig.writer = ShardWriter::new(0, rig.head.clone(), rig.resolver.clone(), rig.limits, damaged, feed);
    assert_eq!(rig.send_one(1, at(-20), 7.0), Ok(1));
    assert_eq!(rig.head.belated_count(), 1);
}

#[test]
fn belated_samples_past_the_limit_of_a_series_are_refused_by_name() {
    let mut rig = Rig::new(HeadLimits { out_of_order_window_ms: i64::MAX, ..limits() });
    rig.send(&[(1, at(0), 1.0), (2, at(0), 1.0)]);
    rig.cut(at(1));
    let rows: Vec<(u32, i64, f64)> = (1..=BELATED_SAMPLES_MAX as i64 + 3).map(|ms| (1, T0 - ms, 0.0)).collect();
    let (_, summary) = rig.send(&rows);
    assert_eq!(summary.refused, [(Refusal::TooManyBelated, 3)]);
    assert_eq!(rig.send_one(2, at(-1), 1.0), Ok(1), "another series has its own limit");
    assert!(rig.head.sample_bytes() > BELATED_SAMPLES_MAX * 16, "they count towards head.bytes_max");
    rig.cut(at(1));
    assert_eq!(rig.send_one(1, T0 - BELATED_SAMPLES_MAX as i64 - 3, 0.0), Ok(1), "the cut made room");
}

#[test]
fn a_series_with_nothing_but_belated_samples_lives_until_they_are_written() {
    let mut rig = Rig::new(limits());
    rig.send(&[(1, at(0), 1.0)]);
    rig.cut(at(5));
    rig.send(&[(2, at(-1), 1.0)]);
    let cut = Cut { floor_ms: at(5), epoch: 1 }; // the cut of before, once more
    for _ in 0..3 {
        rig.truncate(cut);
    }
    assert_eq!((rig.head.series_count(), minutes(&rig, 2)), (1, vec![-1]));
    rig.cut(at(5));
    rig.cut(at(5));
    assert_eq!((rig.head.series_count(), rig.head.sample_bytes()), (0, 0));
    assert_eq!(minutes(&rig, 2), [-1]);
}

#[test]
fn belated_samples_come_back_after_a_restart_unless_a_block_has_them() {
    let mut rig = Rig::new(limits());
    rig.send(&[(1, at(-20), 1.0), (1, at(0), 2.0)]);
    rig.cut(at(-10));
    rig.send(&[(1, at(-15), 3.0)]);
    rig.cut(at(-10));
    rig.send(&[(1, at(-14), 4.0)]);
    let rig = rig.restart();
    assert_eq!((rig.head.belated_count(), minutes(&rig, 1)), (1, vec![-20, -15, -14, 0]));
}

#[test]
fn the_listener_hears_belated_samples_and_finds_them_when_it_missed_them() {
    let mut rig = Rig::new(limits());
    rig.send(&[(0, at(0), 1.0)]);
    rig.cut(at(-10));
    rig.send(&[(0, at(-20), 2.0), (0, at(-21), 3.0), (0, at(-21), 3.0)]);
    let mut heard = Vec::new();
    while let Tapped::Batch(batch) = rig.tap.next(Duration::ZERO) {
        heard.extend(batch.rows.iter().map(|row| (row.timestamp_ms - T0) / MINUTE_MS));
    }
    assert_eq!(heard, [0, -21, -20]);
    let caught_up =
        rig.tap.catch_up(|_| None).flat_map(|batch| batch.rows).map(|row| (row.timestamp_ms - T0) / MINUTE_MS);
    assert_eq!(caught_up.collect::<Vec<_>>(), [-21, -20, 0]);
}

#[test]
fn a_deletion_takes_chunks_late_and_belated_samples_of_the_range_and_no_more() {
    let mut rig = Rig::new(HeadLimits { out_of_order_window_ms: i64::MAX, ..limits() });
    // 300 samples: two closed chunks and an open one.
    for minute in 0..300 {
        rig.now_ms = at(minute);
        rig.send(&[(1, at(minute), minute as f64), (2, at(minute), 0.0)]);
    }
    rig.send(&[(1, at(50) + 1, 0.5), (1, at(10) + 1, 0.5)]);
    rig.cut(at(30));
    rig.send(&[(1, at(20) + 1, 0.5), (1, at(5) + 1, 0.5)]);
    let range = TimeRange { from_ms: at(20) + 1, to_ms: at(279) };
    // Of the head: 30 to 279 in chunks, one late, one belated. The blocks' own are not its matter.
    assert_eq!(rig.delete(&[1], range), 250 + 1 + 1);
    rig.check_counts();
    let left: Vec<i64> = [(0..=5), (5..=10), (10..=20), (280..=299)].into_iter().flatten().collect();
    assert_eq!(minutes(&rig, 1), left);
    assert_eq!(minutes(&rig, 2).len(), 300);
    let rig = rig.restart();
    assert_eq!((minutes(&rig, 1), minutes(&rig, 2).len()), (left, 300), "the log has the deletion too");
}

#[test]
fn what_was_deleted_may_be_sent_again() {
    let mut rig = Rig::new(limits());
    rig.send(&[(1, at(-20), 1.0), (1, at(-1), 1.0), (1, at(0), 1.0)]);
    rig.cut(at(-10));
    rig.delete(&[1], TimeRange { from_ms: at(-30), to_ms: at(-1) });
    assert_eq!(minutes(&rig, 1), [0]);
    assert_eq!(rig.send_one(1, at(-1), 2.0), Ok(1));
    assert_eq!(rig.send_one(1, at(-20), 2.0), Ok(1));
    let expected = [(at(-20), 2.0), (at(-1), 2.0), (at(0), 1.0)].map(|(ms, value)| (ms, f64::to_bits(value)));
    assert_eq!(rig.read(1), expected);
    assert_eq!(rig.restart().read(1), expected);
}

#[test]
fn the_head_is_walked_in_slices_and_misses_nobody() {
    let mut rig = Rig::new(HeadLimits { series_max: 5_000, ..limits() });
    let rows: Vec<(u32, i64, f64)> = (0..2_500).map(|node| (node, at(0), 1.0)).collect();
    rig.send(&rows);
    let mut log = Log::new();
    let mut walk = DefinitionWalk::new(rig.head.clone());
    let mut is_more = true;
    while is_more {
        let mut records = Vec::new();
        is_more = walk.append(&mut records, 10_000);
        // A definition of ours has less than a hundred bytes, and the record its header and padding.
        assert!(records.len() < 10_000 + 100 + 32, "{}", records.len());
        log.write(records);
    }
    let (_, events) = frame::Reader::open(&log.bytes).expect("a header");
    let defined: usize = events
        .map(|event| match event {
            frame::Event::Record { payload, .. } => log::decode_series(payload).count(),
            _ => 0,
        })
        .sum();
    assert_eq!(defined, 2_500);
    rig.cut(at(1));
    assert_eq!((rig.head.sample_bytes(), rig.head.series_count()), (0, 2_500));
    rig.cut(at(1));
    assert_eq!(rig.head.series_count(), 0);
}
