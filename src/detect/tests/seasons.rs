//! Groups that are judged by what they learned, through worker and judge.

use super::*;
use crate::detect::{
    Calendar, Detector, Direction, Directions, Kind, LATENESS_MS_DEFAULT, LimitOptions, SignalClass, Zone,
};

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 1_440;
const ORDERS: &str = "sum(rate(orders[1m]))";

/// Orders a minute at a time of day: 20 at night and 100 by day, from 7:00 to 9:00 more and more, from 21:00 to 23:00
/// fewer and fewer.
fn usual(minute: i64) -> f64 {
    let minute = (minute % DAY_MINUTES) as f64;
    let share = ((minute - 420.0) / 120.0).min((1_380.0 - minute) / 120.0);
    20.0 + 80.0 * share.clamp(0.0, 1.0)
}

/// So many days of one counter that reports every minute; `health` scales a minute.
fn days(count: i64, health: impl Fn(i64) -> f64) -> (Vec<Arc<Labels>>, Vec<Row>) {
    let (mut chance, mut total) = (Chance(3), 0.0);
    let rows = (0..count * DAY_MINUTES).map(|minute| {
        total += chance.poisson(usual(minute) * health(minute));
        (0, at_ms(minute), total)
    });
    (vec![labels(&[("__name__", "orders")])], rows.collect())
}

/// The end of a minute.
fn at_ms(minute: i64) -> i64 {
    (START_MS / 86_400_000 * DAY_MINUTES + minute + 1) * MINUTE_MS
}

fn both(options: ModelOptions) -> Vec<Watch> {
    vec![watch(ORDERS, ModelOptions { directions: Directions::Both, ..options })]
}

#[test]
fn the_fall_of_every_evening_is_no_drop_once_it_was_learned() {
    let (series, rows) = days(6, |_| 1.0);
    let transitions = transitions_of(both(ModelOptions::default()), &series, &rows);
    let late = transitions.iter().filter(|one| one.at_ms > at_ms(3 * DAY_MINUTES)).count();
    assert_eq!(late, 0, "{transitions:?}");
}

/// A shop whose day begins and ends by the hour: on the first day nobody knows that, and on the second it is known.
#[test]
fn morning_and_evening_of_the_second_day_are_known_from_the_first() {
    let opens = |minute: i64| if (540..1_080).contains(&(minute % DAY_MINUTES)) { 1.0 } else { 0.1 };
    let breaks = DAY_MINUTES + 780;
    let is_broken = |minute: i64| (breaks..breaks + 20).contains(&minute);
    let (series, rows) = days(2, |minute| opens(minute) * if is_broken(minute) { 0.3 } else { 1.0 });
    let transitions = transitions_of(both(ModelOptions::default()), &series, &rows);
    let fired: Vec<i64> = transitions.iter().filter(|one| one.kind == Kind::Firing).map(|one| one.fired_ms).collect();
    let (first_day, second_day): (Vec<i64>, Vec<i64>) = fired.iter().partition(|&&at| at <= at_ms(DAY_MINUTES));
    assert_eq!(first_day.len(), 2, "opening and closing: {transitions:?}");
    let [of_incident] = second_day.as_slice() else { panic!("nothing else on the second: {transitions:?}") };
    assert!((at_ms(breaks)..at_ms(breaks + 6)).contains(of_incident), "{transitions:?}");
}

#[test]
fn an_incident_is_explained() {
    let onset = 5 * DAY_MINUTES + 720;
    let broken = |minute: i64| if (onset..onset + 20).contains(&minute) { 0.4 } else { 1.0 };
    let (series, rows) = days(6, broken);
    let options = ModelOptions { price: Some(40.0), ..ModelOptions::default() };
    let transitions = transitions_of(both(options), &series, &rows);
    let of_day: Vec<&Transition> = transitions.iter().filter(|one| one.fired_ms > at_ms(onset - 60)).collect();
    let [fired, resolved] = of_day.as_slice() else { panic!("{of_day:?}") };
    assert_eq!((fired.kind, fired.direction, resolved.kind), (Kind::Firing, Direction::Drop, Kind::Resolved));
    assert_eq!(fired.onset_ms, at_ms(onset - 1), "the drop begins with the minute");
    assert!(fired.fired_ms - fired.onset_ms <= 4 * MINUTE_MS, "{fired:?}");

    let explanation = fired.explanation.as_ref().unwrap();
    assert_eq!(explanation.detector, Detector::Season);
    let (expected, [low, high]) = (explanation.expected.unwrap(), explanation.bounds.unwrap());
    // 100 a minute, in orders a second, of which the null may stray by 5 to 40 %.
    assert!((expected - 100.0 / 60.0).abs() < 0.15, "{expected}");
    assert!(explanation.value < low && low < expected && expected < high, "{explanation:?}");
    let [evidence, threshold] = explanation.evidence.unwrap();
    assert!(evidence >= threshold && (threshold - 11.52).abs() < 0.01, "ln of 100,800 minutes: {threshold}");
    assert!(explanation.learned.unwrap() > 0.4 && explanation.learned.unwrap() < 1.0, "{:?}", explanation.learned);
    assert!(explanation.detectable_drop.unwrap() <= 0.6, "{:?}", explanation.detectable_drop);
    let minutes_broken = ((fired.fired_ms - fired.onset_ms) / MINUTE_MS) as f64;
    let lost = explanation.lost_events.unwrap();
    assert!((lost - 60.0 * minutes_broken).abs() < 40.0, "{lost} in {minutes_broken} minutes");
    assert_eq!(explanation.lost_money, Some(40.0 * lost));
    let last = explanation.line.last().unwrap();
    assert_eq!(i64::from(last.at_s) * 1_000, fired.fired_ms);
    assert!(last.value < 0.7 * last.expected, "{last:?}");
    assert!(explanation.line.len() >= 12 && explanation.line[0].value > 0.7 * explanation.line[0].expected);

    let all = resolved.explanation.as_ref().unwrap().lost_events.unwrap();
    assert!((all - 60.0 * 20.0).abs() < 250.0, "{all} of 1,200 orders are lost when it is over");
}

#[test]
fn a_smaller_change_than_the_rule_asks_for_does_not_fire() {
    let onset = 5 * DAY_MINUTES + 720;
    let broken = |minute: i64| if (onset..onset + 40).contains(&minute) { 0.5 } else { 1.0 };
    let (series, rows) = days(6, broken);
    let count = |options: ModelOptions| {
        let transitions = transitions_of(both(options), &series, &rows);
        transitions.iter().filter(|one| one.kind == Kind::Firing && one.fired_ms > at_ms(onset - 60)).count()
    };
    assert_eq!(count(ModelOptions::default()), 1);
    assert_eq!(count(ModelOptions { min_change: Some(0.7), ..ModelOptions::default() }), 0);
    assert_eq!(count(ModelOptions { min_volume: 150.0, ..ModelOptions::default() }), 0);
}

#[test]
fn a_day_in_the_calendar_is_excused() {
    let first = 5 * DAY_MINUTES + 600;
    let quiet = |minute: i64| if (first..first + 300).contains(&minute) { 0.6 } else { 1.0 };
    let (series, rows) = days(6, quiet);
    let count = |calendar: Calendar| {
        let (mut workers, mut judge) = start(both(ModelOptions::default()), 1, None);
        judge.live_by(Zone::utc(), calendar);
        workers[0].handle(&batch(&series, &[], true));
        let mut fired = 0;
        for rows in rows.chunks(100) {
            workers[0].handle(&batch(&series, rows, false));
            fired += judge.poll().iter().filter(|one| one.fired_ms > at_ms(first)).count();
        }
        fired
    };
    assert!(count(Calendar::default()) > 0);
    assert_eq!(count(Calendar::default().excusing([(at_ms(first - 30), at_ms(first + 330), 0.6)])), 0);
}

/// How many alerts there are of a young group to which for an hour six orders come in place of ten, ten minutes after
/// somebody announced a calendar.
fn young_alerts(from_minute: i64, tolerance: f64) -> usize {
    let (series, rows) = days(1, |minute| if (840..900).contains(&minute) { 1.6 } else { 1.0 });
    let (mut workers, mut judge) = start(both(ModelOptions::default()), 1, Some(LATENESS_MS_DEFAULT));
    workers[0].handle(&batch(&series, &[], true));
    let mut fired = 0;
    // From noon on the rate stands still.
    for rows in rows[720..960].chunks(10) {
        workers[0].handle(&batch(&series, rows, false));
        fired += judge.poll().iter().filter(|one| one.kind == Kind::Firing).count();
        if rows[9].1 == at_ms(829) {
            let announced = Calendar::default().excusing([(at_ms(from_minute), at_ms(930), tolerance)]);
            judge.excuse(Arc::new(announced));
        }
    }
    fired
}

#[test]
fn a_calendar_that_comes_while_a_group_is_young_holds_from_the_next_bucket_on() {
    assert_eq!(young_alerts(830, 0.8), 0);
    assert!(young_alerts(830, 0.05) > 0, "so little is not excused");
    assert!(young_alerts(950, 0.8) > 0, "it begins too late");
}

#[test]
fn an_alert_that_fires_ends_when_its_rate_is_excused() {
    let first = 5 * DAY_MINUTES + 720;
    let (series, rows) = days(6, |minute| if minute >= first { 1.5 } else { 1.0 });
    let (mut workers, mut judge) = start(both(ModelOptions::default()), 1, Some(LATENESS_MS_DEFAULT));
    workers[0].handle(&batch(&series, &[], true));
    let mut told = Vec::new();
    for rows in rows.chunks(1) {
        workers[0].handle(&batch(&series, rows, false));
        told.extend(judge.poll().into_iter().filter(|one| one.fired_ms > at_ms(first)));
        if let [fired] = &told[..]
            && rows[0].1 == fired.fired_ms + 5 * MINUTE_MS
        {
            // Somebody remembers the sale, and says so.
            let announced = Calendar::default().excusing([(at_ms(first), at_ms(first + 600), 0.8)]);
            judge.excuse(Arc::new(announced));
        }
    }
    let [fired, resolved] = &told[..] else { panic!("{told:?}") };
    assert_eq!((fired.kind, resolved.kind), (Kind::Firing, Kind::Resolved));
    assert!(resolved.at_ms - fired.at_ms <= 30 * MINUTE_MS, "{resolved:?}");
}

#[test]
fn days_are_cut_by_the_shops_clock_when_it_goes_forward() {
    // From the fifth day on everything happens an hour earlier by UTC, as it does in Berlin on 31 March 2024.
    let change = 1_711_846_800_000; // 01:00 UTC on that Sunday
    let start_ms = change - 5 * DAY_MINUTES * MINUTE_MS;
    let (mut chance, mut total) = (Chance(8), 0.0);
    let rows: Vec<Row> = (0..8 * DAY_MINUTES)
        .map(|minute| {
            let at_ms = start_ms + minute * MINUTE_MS;
            let ahead_ms = if at_ms > change { 7_200_000 } else { 3_600_000 };
            total += chance.poisson(usual((at_ms + ahead_ms) / MINUTE_MS));
            (0, at_ms, total)
        })
        .collect();
    let series = vec![labels(&[("__name__", "orders")])];
    let count = |zone: Zone| {
        let watches = vec![Watch { zone: Some(Arc::new(zone)), ..both(ModelOptions::default()).remove(0) }];
        let transitions = transitions_of(watches, &series, &rows);
        transitions.iter().filter(|one| one.kind == Kind::Firing && one.fired_ms > change).count()
    };
    assert!(count(Zone::utc()) > 0, "at 6:00 UTC there are three times as many");
    assert_eq!(count(Zone::named("Europe/Berlin").unwrap()), 0);
}

#[test]
fn a_class_is_what_the_expression_and_the_directions_suggest() {
    let class = |expression: &str, directions| {
        let signal = Signal::compile(expression).unwrap();
        crate::detect::class_of(&signal, &ModelOptions { directions, ..ModelOptions::default() })
    };
    let ratio = "sum(rate(errors[1m])) / sum(rate(requests[1m]))";
    assert_eq!(class(ORDERS, Directions::Drop), SignalClass::Orders);
    assert_eq!(class(ratio, Directions::Rise), SignalClass::Errors);
    assert_eq!(class(ratio, Directions::Drop), SignalClass::Conversion);
    assert_eq!(class(ratio, Directions::Both), SignalClass::Orders);
    assert_eq!(class("load", Directions::Both), SignalClass::Latency);
}

#[test]
fn utc_by_its_name_has_no_clock_that_changes() {
    assert_eq!(Zone::named("UTC").unwrap(), Zone::utc());
}

#[test]
fn a_limit_fires_at_once_beside_a_model_that_still_learns() {
    let limit = Some(LimitOptions { above: Some(2.0), for_ms: 60_000, ..LimitOptions::default() });
    let options = ModelOptions { limit, ..ModelOptions::default() };
    let rows: Vec<Row> =
        (0..40).map(|index| (0, at_ms(0) + index * 15_000, if index < 10 { 1.0 } else { 3.0 })).collect();
    let transitions = transitions_of(vec![watch("load", options)], &[labels(&[("__name__", "load")])], &rows);
    let [fired] = transitions.as_slice() else { panic!("{transitions:?}") };
    assert_eq!((fired.direction, fired.value, fired.expected), (Direction::Limit, 3.0, 2.0));
    // The bucket of the tenth sample is the first with a value above 2; four later it has lasted a minute.
    assert_eq!(fired.fired_ms, at_ms(0) + 10 * 15_000 + 60_000);
    assert_eq!(fired.explanation.as_ref().unwrap().detector, Detector::Limit);
}

#[test]
fn a_job_that_hangs_is_absent_until_it_runs_again() {
    use crate::detect::AbsenceOptions;
    let absence = Some(AbsenceOptions::default());
    let options = ModelOptions { directions: Directions::None, absence, ..ModelOptions::default() };
    let watches = vec![Watch { signal: Signal::beats("runs").unwrap(), ..watch("runs", options) }];
    let series =
        [labels(&[("__name__", "runs"), ("job", "export")]), labels(&[("__name__", "runs"), ("job", "other")])];
    let mut rows = Vec::new();
    for minute in 0..100 {
        if !(60..80).contains(&minute) {
            rows.push((0, at_ms(minute), 1.0));
        }
        rows.push((1, at_ms(minute), 1.0));
    }
    let (mut workers, mut judge) = start(watches.clone(), 1, None);
    workers[0].handle(&batch(&series, &[], true));
    let mut transitions = Vec::new();
    for rows in rows.chunks(10) {
        workers[0].handle(&batch(&series, rows, false));
        transitions.extend(judge.poll());
        if let [(firing, explanation)] = judge.explained().as_slice() {
            assert_eq!((firing.direction, explanation.detector), (Direction::Absent, Detector::Absence));
            // It goes on from a checkpoint, and nothing is told twice.
            let checkpoint = judge.checkpoint();
            (workers, judge) = start(watches.clone(), 1, None);
            assert_eq!(judge.restore(&checkpoint).unwrap().groups, 2);
            workers[0].handle(&batch(&series, &[], true));
        }
    }
    let told: Vec<_> =
        transitions.iter().map(|one| (one.kind, one.labels.get("job"), one.fired_ms, one.at_ms)).collect();
    let [(Kind::Firing, Some("export"), fired_ms, _), (Kind::Resolved, Some("export"), same_ms, back_ms)] = told[..]
    else {
        panic!("{told:?}");
    };
    // Three beats a minute apart, give or take what the median wavers.
    assert!((fired_ms - at_ms(59 + 3)).abs() < 10_000, "{}", fired_ms - at_ms(59));
    assert_eq!((same_ms, back_ms), (fired_ms, at_ms(80)));
}

#[test]
fn the_only_job_that_is_watched_is_missed_by_the_time_that_other_samples_tell() {
    use crate::detect::AbsenceOptions;
    let absence = Some(AbsenceOptions::default());
    let options = ModelOptions { directions: Directions::None, absence, ..ModelOptions::default() };
    let watches = vec![Watch { signal: Signal::beats("runs").unwrap(), ..watch("runs", options) }];
    let series = [labels(&[("__name__", "runs"), ("job", "export")])];
    let rows: Vec<Row> = (0..60).map(|minute| (0, at_ms(minute), 1.0)).collect();
    let (mut workers, mut judge) = start(watches, 1, None);
    workers[0].handle(&batch(&series, &rows, true));
    assert_eq!(judge.poll(), []);
    let mut told = Vec::new();
    for minute in 60..66 {
        workers[0].handle(&TapBatch { newest_ms: Some(at_ms(minute)), ..TapBatch::default() });
        told.extend(judge.poll().into_iter().map(|one| (minute, one.kind, one.direction)));
    }
    // The last beat is that of minute 59; three are missed at 62, and half a minute is given to those that are late.
    assert_eq!(told, [(63, Kind::Firing, Direction::Absent)]);
}
