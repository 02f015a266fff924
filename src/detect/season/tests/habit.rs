//! Weeks that are not like the season says, again and again.

use super::super::{Bucket, Class, ERRORS, GaugeSeason, ORDERS, Season, Verdict};
use super::series::{Draws, START_MS, gauge_tuning, run, run_gauge, tuning};

const BUCKET_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 1_440;
const WEEK_MINUTES: i64 = 7 * DAY_MINUTES;
/// [`START_MS`] is a Thursday: days of the week from there.
const SATURDAY: i64 = 2;
const WEDNESDAY: i64 = 6;

/// Trials a minute of who sells to companies: many on weekdays from eight to six, few else.
fn wholesale(minute: i64) -> f64 {
    let (day, hour) = (minute.rem_euclid(WEEK_MINUTES) / DAY_MINUTES, minute.rem_euclid(DAY_MINUTES) as f64 / 60.0);
    let is_weekend = (SATURDAY..SATURDAY + 2).contains(&day);
    let towards = |at: f64, length: f64| 1.0 / (1.0 + ((at - hour) / length).exp());
    40.0 + if is_weekend { 0.0 } else { 240.0 * towards(8.5, 0.25) * towards(17.5, -0.25) }
}

/// So many weeks, in which `health` is the share of the customers who get through in a minute.
fn weeks(count: i64, health: impl Fn(i64) -> f64) -> Vec<Bucket> {
    let mut draws = Draws::new();
    let bucket = |minute: i64| Bucket {
        end_ms: START_MS + (minute + 1) * BUCKET_MS,
        observed: draws.successes((wholesale(minute) * health(minute)) as u64, 4) as f64,
        exposure: 1.0,
        zone_offset_ms: 0,
        calendar_tolerance: 0.0,
        allowance: [1.0; 2],
    };
    (0..count * WEEK_MINUTES).map(bucket).collect()
}

/// The minutes at which an alert begins: a score of 1, and the next after three minutes below a half.
fn alerts(verdicts: &[Verdict]) -> Vec<i64> {
    let (mut begun, mut calm) = (Vec::new(), Some(0));
    for (minute, verdict) in (0..).zip(verdicts) {
        let score = verdict.scores[0].max(verdict.scores[1]);
        match calm {
            None if score < 0.5 => calm = Some(1),
            Some(1..3) if score < 0.5 => calm = calm.map(|minutes| minutes + 1),
            Some(1..3) => calm = None,
            Some(_) if score >= 1.0 => {
                begun.push(minute);
                calm = None;
            }
            _ => {}
        }
    }
    begun
}

fn alerts_of(buckets: &[Bucket], class: Class) -> Vec<i64> {
    alerts(&run(&mut Season::new(), buckets, &tuning(class, BUCKET_MS)))
}

#[test]
fn weekend_of_a_wholesaler_is_told_once() {
    let buckets = weeks(6, |_| 1.0);
    let told = alerts_of(&buckets, ORDERS);
    assert!(told.first().is_some_and(|minute| minute / DAY_MINUTES == SATURDAY), "the first is not known: {told:?}");
    assert!(told.iter().all(|minute| *minute < 2 * WEEK_MINUTES), "{told:?}");
    let forgetful = alerts_of(&buckets, Class { keeps_habits: false, ..ORDERS });
    let weeks = (0..4).all(|week| forgetful.iter().any(|minute| minute / WEEK_MINUTES == week));
    assert!(weeks, "who does not remember tells it for weeks: {forgetful:?}");
}

#[test]
fn what_a_weekend_excuses_does_not_excuse_an_incident() {
    // Payment breaks for an hour: on a Wednesday, and on a Saturday, which has 10 orders a minute anyway.
    let at = |day: i64| 4 * WEEK_MINUTES + day * DAY_MINUTES + 11 * 60;
    for (begins, share) in [(at(WEDNESDAY), 0.4), (at(SATURDAY), 0.0)] {
        let buckets = weeks(5, |minute| if (begins..begins + 60).contains(&minute) { share } else { 1.0 });
        let told = alerts_of(&buckets, ORDERS);
        assert!(told.iter().any(|minute| (begins..begins + 30).contains(minute)), "{begins}: {told:?}");
    }
}

#[test]
fn incident_does_not_excuse_the_one_a_week_later() {
    let is_broken = |minute: i64| minute.rem_euclid(WEEK_MINUTES) - WEDNESDAY * DAY_MINUTES;
    let buckets =
        weeks(4, |minute| if (660..750).contains(&is_broken(minute)) && minute > WEEK_MINUTES { 0.4 } else { 1.0 });
    let told = alerts_of(&buckets, ORDERS);
    for week in 1..4 {
        let begins = week * WEEK_MINUTES + WEDNESDAY * DAY_MINUTES + 660;
        assert!(told.iter().any(|minute| (begins..begins + 15).contains(minute)), "week {week}: {told:?}");
    }
}

#[test]
fn outage_of_hours_does_not_excuse_the_one_a_week_later() {
    let begins = |week: i64| week * WEEK_MINUTES + WEDNESDAY * DAY_MINUTES + 9 * 60 + 30;
    let is_out = |minute: i64| (1..3).any(|week| (begins(week)..begins(week) + 300).contains(&minute));
    let told = alerts_of(&weeks(3, |minute| f64::from(u8::from(!is_out(minute)))), ORDERS);
    for week in 1..3 {
        assert!(told.iter().any(|minute| (begins(week)..begins(week) + 10).contains(minute)), "week {week}: {told:?}");
    }
}

#[test]
fn way_back_from_what_was_accepted_is_no_surge() {
    // On a Tuesday three of four customers stay away, for nine hours.
    let begins = 2 * WEEK_MINUTES + 5 * DAY_MINUTES + 9 * 60 + 30;
    let buckets = weeks(3, |minute| if (begins..begins + 540).contains(&minute) { 0.25 } else { 1.0 });
    let in_a_day = |told: &[i64]| told.iter().filter(|minute| (begins..begins + 1_200).contains(*minute)).count();
    assert_eq!(in_a_day(&alerts_of(&buckets, ORDERS)), 1);
}

#[test]
fn weekend_of_a_value_is_told_once() {
    let mut draws = Draws::new();
    let value = |minute: i64| wholesale(minute) * (0.8 + 0.05 * draws.successes(16, 4) as f64);
    let of = |(minute, value): (i64, f64)| Bucket {
        observed: value,
        ..Bucket { end_ms: START_MS + (minute + 1) * BUCKET_MS, ..plain() }
    };
    let buckets: Vec<Bucket> = (0..5 * WEEK_MINUTES).zip((0..5 * WEEK_MINUTES).map(value)).map(of).collect();
    let told = alerts(&run_gauge(&mut GaugeSeason::new(), &buckets, &gauge_tuning(BUCKET_MS)));
    assert!(told.first().is_some_and(|minute| minute / DAY_MINUTES == SATURDAY), "{told:?}");
    assert!(told.iter().all(|minute| *minute < 3 * WEEK_MINUTES), "{told:?}");
}

/// Errors among 600 requests a minute; on nights that `breaks` says there are twenty times as many from three to half past.
fn nights(days: i64, breaks: impl Fn(i64) -> bool) -> Vec<i64> {
    let mut draws = Draws::new();
    let bucket = |minute: i64| {
        let is_broken = breaks(minute / DAY_MINUTES) && (180..210).contains(&(minute % DAY_MINUTES));
        let observed = draws.successes(if is_broken { 100 } else { 5 }, 4) as f64;
        Bucket { end_ms: START_MS + (minute + 1) * BUCKET_MS, observed, exposure: 600.0, ..plain() }
    };
    let buckets: Vec<Bucket> = (0..days * DAY_MINUTES).map(bucket).collect();
    alerts_of(&buckets, ERRORS).into_iter().map(|minute| minute / DAY_MINUTES).collect()
}

#[test]
fn job_that_breaks_pages_every_night_is_told_thrice() {
    assert_eq!(nights(28, |night| night >= 5), [5, 6, 7]);
}

#[test]
fn what_comes_now_and_then_is_told_every_time() {
    assert_eq!(nights(20, |night| night >= 5 && night % 3 != 0), [5, 7, 8, 10, 11, 13, 14, 16, 17, 19]);
}

/// 60 orders a minute, and 150 from nine to half past; `health` is the share of the customers who get through.
fn promotions(days: i64, health: impl Fn(i64) -> f64) -> Vec<i64> {
    let mut draws = Draws::new();
    let bucket = |minute: i64| {
        let trials = if (540..570).contains(&(minute % DAY_MINUTES)) { 600.0 } else { 240.0 };
        let observed = draws.successes((trials * health(minute)) as u64, 4) as f64;
        Bucket { end_ms: START_MS + (minute + 1) * BUCKET_MS, observed, exposure: 1.0, ..plain() }
    };
    let buckets: Vec<Bucket> = (0..days * DAY_MINUTES).map(bucket).collect();
    alerts_of(&buckets, ORDERS)
}

#[test]
fn promotion_that_begins_by_the_minute_every_day_is_expected_from_its_first_minute_on() {
    assert_eq!(promotions(28, |_| 1.0), Vec::<i64>::new());
    // Half of the customers are gone from its begin on.
    let begins = 20 * DAY_MINUTES + 540;
    let told = promotions(21, |minute| if (begins..begins + 60).contains(&minute) { 0.3 } else { 1.0 });
    assert!(matches!(told[..], [minute] if (begins..begins + 15).contains(&minute)), "{told:?}, not {begins}");
}

fn plain() -> Bucket {
    super::series::plain(BUCKET_MS, 0, 0.0)
}
