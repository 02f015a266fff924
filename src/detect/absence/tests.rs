use proptest::prelude::*;

use super::*;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// 1 January 2026, a Thursday, 0:00 UTC.
const START_MS: i64 = 1_767_225_600_000;

fn absence(absent_for_ms: Option<i64>) -> Absence<&'static str> {
    Absence::new(AbsenceOptions { absent_for_ms }, Zone::utc())
}

/// Beats each minute, the first at `START_MS`; the instant of the last.
fn beat_each_minute(absence: &mut Absence<&'static str>, key: &'static str, count: i64) -> i64 {
    for index in 0..count {
        assert_eq!(absence.observe(&key, START_MS + index * MINUTE_MS), Ok(Vec::new()));
    }
    START_MS + (count - 1) * MINUTE_MS
}

fn began(turns: &[(&str, Turn)]) -> Vec<(String, i64)> {
    let fired = |turn: &Turn| match turn {
        Turn::Began(spell) => spell.fired_ms,
        Turn::Ended { .. } => panic!("nothing ends by itself"),
    };
    turns.iter().map(|(key, turn)| ((*key).to_owned(), fired(turn))).collect()
}

#[test]
fn absence_begins_when_the_watermark_passes_the_third_missing_beat_and_ends_with_the_next() {
    let mut absence = absence(None);
    let last_ms = beat_each_minute(&mut absence, "job", 60);
    assert!(absence.advance(last_ms + 2 * MINUTE_MS).is_empty());
    let turns = absence.advance(last_ms + 4 * MINUTE_MS);
    let Some(&(_, Turn::Began(spell))) = turns.first() else { panic!("{turns:?}") };
    // Even beats: the median is within 5 % of a minute.
    assert!((spell.fired_ms - last_ms - 3 * MINUTE_MS).abs() < 10_000, "{spell:?}");
    assert_eq!(spell.onset_ms, last_ms);
    assert!(absence.advance(last_ms + DAY_MS).is_empty(), "it is told once");
    assert_eq!(absence.firing().collect::<Vec<_>>(), [(&"job", spell)]);
    let at_ms = last_ms + DAY_MS + 1;
    assert_eq!(absence.observe(&"job", at_ms), Ok(vec![Turn::Ended { spell, at_ms }]));
    assert_eq!(absence.firing().count(), 0);
}

#[test]
fn absence_is_the_same_when_nobody_looked_while_it_lasted() {
    let (mut watched, mut unwatched) = (absence(None), absence(None));
    let last_ms = beat_each_minute(&mut watched, "job", 60);
    beat_each_minute(&mut unwatched, "job", 60);
    let mut turns: Vec<Turn> = watched.advance(last_ms + HOUR_MS).into_iter().map(|turn| turn.1).collect();
    turns.extend(watched.observe(&"job", last_ms + HOUR_MS).unwrap());
    assert_eq!(unwatched.observe(&"job", last_ms + HOUR_MS), Ok(turns));
}

#[test]
fn before_twenty_beats_the_rules_own_deadline_holds_or_none() {
    let mut given = absence(Some(30 * MINUTE_MS));
    let last_ms = beat_each_minute(&mut given, "job", 19);
    assert!(given.advance(last_ms + 30 * MINUTE_MS).is_empty(), "the deadline itself is in time");
    assert_eq!(began(&given.advance(last_ms + 31 * MINUTE_MS)), [("job".to_owned(), last_ms + 30 * MINUTE_MS)]);
    let mut none = absence(None);
    beat_each_minute(&mut none, "job", 19);
    assert!(none.advance(last_ms + DAY_MS).is_empty());
    let mut learned = absence(Some(30 * MINUTE_MS));
    let last_ms = beat_each_minute(&mut learned, "job", 40);
    assert!(began(&learned.advance(last_ms + HOUR_MS))[0].1 < last_ms + 4 * MINUTE_MS);
}

#[test]
fn those_who_are_due_come_by_deadline() {
    let mut absence = absence(Some(10 * MINUTE_MS));
    for (key, minute) in [("c", 3), ("a", 1), ("b", 2), ("z", 30)] {
        absence.observe(&key, START_MS + minute * MINUTE_MS).unwrap();
    }
    let turns = absence.advance(START_MS + 20 * MINUTE_MS);
    assert_eq!(turns.iter().map(|turn| turn.0).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn who_ended_is_not_absent_before_it_comes_again() {
    let mut absence = absence(None);
    let last_ms = beat_each_minute(&mut absence, "job", 60);
    assert_eq!(absence.end(&"job", last_ms + MINUTE_MS), None);
    assert!(absence.advance(last_ms + DAY_MS).is_empty());
    assert_eq!(absence.observe(&"job", last_ms + DAY_MS), Ok(Vec::new()));
    assert_eq!(began(&absence.advance(last_ms + 2 * DAY_MS)).len(), 1, "its beats were not forgotten");
}

#[test]
fn who_ended_after_its_deadline_was_absent_and_stays_so() {
    let (mut looked, mut not) = (absence(None), absence(None));
    let last_ms = beat_each_minute(&mut looked, "job", 60);
    beat_each_minute(&mut not, "job", 60);
    let turns = looked.advance(last_ms + HOUR_MS);
    assert_eq!(looked.end(&"job", last_ms + HOUR_MS), None);
    assert_eq!(not.end(&"job", last_ms + HOUR_MS), turns.first().map(|turn| turn.1));
    assert!(looked.firing().eq(not.firing()) && looked.firing().count() == 1);
    assert!(looked.forget(&"job", last_ms + DAY_MS).is_some_and(|turn| matches!(turn, Turn::Ended { .. })));
    assert_eq!((looked.series_count(), looked.forget(&"job", last_ms + DAY_MS)), (0, None));
}

#[test]
fn silence_of_ten_weeks_makes_room_but_not_for_the_absent() {
    let mut absence = absence(None);
    absence.observe(&"once", START_MS).unwrap();
    let last_ms = beat_each_minute(&mut absence, "job", 60);
    absence.advance(last_ms + 69 * DAY_MS);
    assert_eq!(absence.series_count(), 2);
    absence.advance(last_ms + 71 * DAY_MS);
    assert_eq!(absence.saved().map(|saved| *saved.0).collect::<Vec<_>>(), ["job"]);
    absence.observe(&"new", last_ms + 71 * DAY_MS).unwrap();
    assert_eq!((absence.series_count(), absence.series.len()), (2, 2), "the place is used again");
}

#[test]
fn series_past_the_limit_are_refused_with_its_number() {
    let mut absence: Absence<usize> = Absence::new(AbsenceOptions::default(), Zone::utc());
    for key in 0..10_000 {
        absence.observe(&key, START_MS).unwrap();
    }
    let error = absence.observe(&10_000, START_MS).unwrap_err();
    assert!(error.to_string().contains("10000"), "{error}");
    assert_eq!(absence.observe(&9_999, START_MS + 1), Ok(Vec::new()), "those who are known go on");
}

#[test]
fn hours_are_those_of_the_shops_clock() {
    // From 8:00 to 20:00 in Berlin, every five minutes; the clocks change on 29 March 2026, a Sunday.
    let berlin = Zone::named("Europe/Berlin").unwrap();
    let mut absence = Absence::new(AbsenceOptions::default(), berlin.clone());
    let start_ms = 1_772_323_200_000; // 1 March 2026.
    let mut alerts_ms = Vec::new();
    for at_ms in (start_ms..start_ms + 42 * DAY_MS).step_by(300_000) {
        let hour = (at_ms + berlin.offset_ms(at_ms)) % DAY_MS / HOUR_MS;
        if (8..20).contains(&hour) {
            absence.observe(&"job", at_ms).unwrap();
        }
        alerts_ms.extend(began(&absence.advance(at_ms)).into_iter().map(|began| began.1));
    }
    let change_ms = start_ms + 28 * DAY_MS;
    assert!(alerts_ms.iter().all(|at_ms| *at_ms < change_ms - 7 * DAY_MS), "{alerts_ms:?}");
}

/// Minutes between beats, by series: mostly one or five, sometimes hours.
fn gaps() -> impl Strategy<Value = Vec<(usize, i64)>> {
    let gap = prop_oneof![20 => 1..3_i64, 2 => 3..30_i64, 1 => 30..2_000_i64];
    prop::collection::vec((0..3_usize, gap), 0..400)
}

/// What each series' own [`Beat`] says: began and ended.
fn by_beats(beats: &[(usize, i64)]) -> Vec<(usize, i64, i64)> {
    let mut all = Vec::new();
    for key in 0..3 {
        let mut beat = Beat::new();
        for &(_, at_ms) in beats.iter().filter(|beat| beat.0 == key) {
            all.extend(beat.observe(at_ms, 0).map(|fired_ms| (key, fired_ms, at_ms)));
        }
    }
    all.sort_unstable();
    all
}

proptest! {
    #[test]
    fn however_often_somebody_looks_and_restarts_beats_alone_decide(
        gaps in gaps(),
        looks in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        restart in any::<prop::sample::Index>(),
    ) {
        let mut at = [START_MS; 3];
        let mut beats: Vec<(usize, i64)> = gaps.iter().map(|&(key, minutes)| {
            at[key] += minutes * MINUTE_MS;
            (key, at[key])
        }).collect();
        beats.sort_unstable_by_key(|beat| beat.1);
        let looks: Vec<usize> = looks.iter().map(|look| look.index(beats.len().max(1))).collect();
        let mut absence: Absence<usize> = Absence::new(AbsenceOptions::default(), Zone::utc());
        let (mut fired, mut told) = ([None; 3], Vec::new());
        for (index, &(key, at_ms)) in beats.iter().enumerate() {
            if looks.contains(&index) {
                for (key, turn) in absence.advance(at_ms) {
                    let Turn::Began(spell) = turn else { panic!("nothing ends by itself") };
                    prop_assert!(fired[key].replace(spell.fired_ms).is_none());
                }
            }
            if index == restart.index(beats.len()) {
                let mut restored = Absence::new(AbsenceOptions::default(), Zone::utc());
                for (key, awaited) in absence.saved() {
                    let text = serde_json::to_string(awaited).unwrap();
                    restored.restore(key, serde_json::from_str(&text).unwrap()).unwrap();
                }
                absence = restored;
            }
            for turn in absence.observe(&key, at_ms).unwrap() {
                match turn {
                    Turn::Began(spell) => prop_assert!(fired[key].replace(spell.fired_ms).is_none()),
                    Turn::Ended { at_ms, .. } => told.push((key, fired[key].take().unwrap(), at_ms)),
                }
            }
            // Each who is not absent stands in the queue once, not later than its deadline.
            for series in absence.series.iter().flatten() {
                let due_ms = series.awaited.due_ms(&absence.options);
                prop_assert!(due_ms.is_none_or(|due_ms| series.queued_ms.is_some_and(|queued| queued <= due_ms)));
            }
            let queued = absence.series.iter().flatten().filter(|series| series.queued_ms.is_some()).count();
            prop_assert_eq!(absence.queue.len(), queued);
        }
        told.sort_unstable();
        prop_assert_eq!(told, by_beats(&beats));
    }

    #[test]
    fn any_instants_are_survived(events in prop::collection::vec((0..3_usize, 0..4_u8, any::<i64>()), 0..100)) {
        let mut absence: Absence<usize> = Absence::new(AbsenceOptions { absent_for_ms: Some(5) }, Zone::utc());
        for (key, kind, at_ms) in events {
            match kind {
                0 | 1 => drop(absence.observe(&key, at_ms).unwrap()),
                2 => drop(absence.end(&key, at_ms)),
                _ => drop(absence.advance(at_ms)),
            }
        }
    }
}
