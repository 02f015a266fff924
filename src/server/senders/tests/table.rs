use super::super::table::{ClockTurn, Found, Kind, SENDERS_COUNT_MAX, Table};
use crate::model::{Sample, stale_nan};
use crate::storage::Pulse;

const START_MS: i64 = 1_700_000_000_000;
const SECOND_MS: i64 = 1_000;

/// A series that has come every 15 s, `count` times, the last time at `newest_ms`.
fn pulse(newest_ms: i64, count: u32) -> Pulse {
    let first_ms = newest_ms - i64::from(count - 1) * 15 * SECOND_MS;
    Pulse { newest: Sample { timestamp_ms: newest_ms, value: 1.0 }, first_ms, count }
}

fn found(pulses: &[Pulse], now_ms: i64) -> Found {
    let mut found = Found::default();
    pulses.iter().for_each(|pulse| found.add(*pulse, None, now_ms));
    found
}

/// Walks the table over a sender that sends every 15 s by a clock that is `ahead_ms` ahead of ours and whose samples
/// take `late_ms` to come; every time that walks may come at. Returns lag and skew at the end.
fn watch(table: &mut Table, ahead_ms: i64, late_ms: i64, minutes: i64) -> (i64, i64, Vec<ClockTurn>) {
    let (mut now_ms, end_ms, mut turns) = (START_MS, START_MS + minutes * 60_000, Vec::new());
    for interval_s in [4, 5, 7].into_iter().cycle() {
        if now_ms > end_ms {
            break;
        }
        // The last sample that has arrived: made at a multiple of 15 s of our time, stamped with the sender's.
        let made_ms = (now_ms - late_ms).div_euclid(15_000) * 15_000;
        turns.extend(table.take(vec![("shop".to_owned(), found(&[pulse(made_ms + ahead_ms, 40)], now_ms))], now_ms));
        now_ms += interval_s * SECOND_MS;
    }
    let (_, sender) = table.iter().next().expect("it is known");
    (sender.lag_ms(end_ms), sender.skew_ms(), turns)
}

#[test]
fn clock_that_is_ahead_is_measured_within_the_time_between_two_walks_and_told_once() {
    let mut table = Table::default();
    let (lag_ms, skew_ms, turns) = watch(&mut table, 30_000, 200, 5);
    assert_eq!(lag_ms, 0);
    assert!((26_000..30_000).contains(&skew_ms), "{skew_ms}");
    assert_eq!(turns.iter().map(|turn| (turn.job.as_str(), turn.is_ahead)).collect::<Vec<_>>(), [("shop", true)]);
}

#[test]
fn samples_that_are_long_on_their_way_are_lag_and_no_skew() {
    let mut table = Table::default();
    let (lag_ms, skew_ms, turns) = watch(&mut table, 0, 40_000, 5);
    assert_eq!((skew_ms, turns), (0, Vec::new()));
    assert!((40_000..45_000).contains(&lag_ms), "{lag_ms}");
}

#[test]
fn clock_that_was_put_right_is_told_and_a_small_skew_never_is() {
    let mut table = Table::default();
    watch(&mut table, 30_000, 200, 5);
    // Its samples are older than those from before until our clock has come as far.
    let mut turns = Vec::new();
    for step in 0..30 {
        let now_ms = START_MS + 400_000 + step * 5_000;
        turns.extend(table.take(vec![("shop".to_owned(), found(&[pulse(now_ms - 300, 40)], now_ms))], now_ms));
    }
    assert_eq!(turns.len(), 1);
    assert!(!turns[0].is_ahead, "{turns:?}");
    assert_eq!(watch(&mut Table::default(), 9_000, 0, 10).2, Vec::new());
}

#[test]
fn silent_sender_has_the_age_of_its_newest_sample_for_lag() {
    let mut table = Table::default();
    watch(&mut table, 0, 0, 5);
    let now_ms = START_MS + 20 * 60_000;
    table.take(Vec::new(), now_ms);
    let (_, sender) = table.iter().next().expect("it is still known");
    assert_eq!(sender.lag_ms(now_ms), now_ms - sender.newest_ms);
    assert!(sender.lag_ms(now_ms) > 14 * 60_000);
}

#[test]
fn rate_is_that_of_the_chunks_and_series_that_ended_do_not_count() {
    let now_ms = START_MS;
    let ended = Pulse { newest: Sample { timestamp_ms: now_ms, value: stale_nan() }, ..pulse(now_ms, 40) };
    let gone = pulse(now_ms - 16 * 60_000, 40);
    let mut table = Table::default();
    // Two every 15 s; a third one of which a single sample is known counts as they do.
    let pulses = [pulse(now_ms, 41), pulse(now_ms - 1, 11), pulse(now_ms, 1), ended, gone];
    table.take(vec![("shop".to_owned(), found(&pulses, now_ms))], now_ms);
    let (_, sender) = table.iter().next().expect("it is known");
    assert_eq!(sender.found.series_count, 3);
    assert!((sender.samples_per_second() - 0.2).abs() < 1e-9, "{}", sender.samples_per_second());
}

#[test]
fn those_that_have_not_been_heard_of_for_longest_make_room() {
    let mut table = Table::default();
    table.take(Vec::new(), START_MS);
    let one = |index: usize, now_ms: i64| (format!("job-{index}"), found(&[pulse(now_ms, 2)], now_ms));
    table.take((0..SENDERS_COUNT_MAX).map(|index| one(index, START_MS)).collect(), START_MS + 5_000);
    let later_ms = START_MS + 10_000;
    table.take((3..SENDERS_COUNT_MAX + 3).map(|index| one(index, later_ms)).collect(), later_ms);
    let jobs: Vec<&str> = table.iter().map(|(job, _)| job).collect();
    assert_eq!(jobs.len(), SENDERS_COUNT_MAX);
    assert!(!jobs.contains(&"job-0") && !jobs.contains(&"job-2") && jobs.contains(&"job-1002"));
}

#[test]
fn one_that_is_scraped_is_heard_by_its_own_series_and_not_by_those_of_the_scraper() {
    let of = |pulse: Pulse, kind: Option<Kind>| {
        let mut found = Found::default();
        found.add(pulse, kind, START_MS);
        found
    };
    let with_value = |value: f64| {
        let mut pulse = pulse(START_MS, 40);
        pulse.newest.value = value;
        pulse
    };
    let merged = |parts: &[Found]| {
        let mut all = Found::default();
        parts.iter().for_each(|part| all.merge(*part));
        all
    };
    let own = of(pulse(START_MS - 15_000, 40), None);
    let ended =
        of(Pulse { newest: Sample { timestamp_ms: START_MS, value: stale_nan() }, ..pulse(START_MS, 40) }, None);
    let (up, down) = (of(with_value(1.0), Some(Kind::Up)), of(with_value(0.0), Some(Kind::Up)));
    assert_eq!(of(with_value(3.0), Some(Kind::OfScrape)), Found::default());
    assert_eq!(of(with_value(3.0), Some(Kind::Made)), Found::default());
    assert_eq!((up.newest_value_ms, down.newest_value_ms), (START_MS, i64::MIN));
    assert!(!Found::default().is_any() && up.is_any() && down.is_any() && ended.is_any());
    for (parts, is_refused) in [
        (vec![down], true),
        (vec![own, down], true),
        (vec![ended, down], true),
        (vec![ended, up, down], false),
        (vec![own, up], false),
        (vec![ended], false),
        // What comes behind the scraper's word comes some other way.
        (vec![of(pulse(START_MS + 1, 40), None), down], false),
    ] {
        assert_eq!(merged(&parts).is_refused(), is_refused, "{parts:?}");
    }
    // An `up` that has not come for long says nothing any more.
    let old = of(pulse(START_MS - 20 * 60_000, 40), Some(Kind::Up));
    assert!(merged(&[old, down]).is_refused());
}
