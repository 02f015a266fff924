//! Senders that come and go, in time that a loop makes pass.

use std::collections::{BTreeMap, HashSet};

use super::super::loss::{EVERYBODY, Knowledge, Losses, Silence, Standing, Turn};
use super::super::table::{Found, Kind, Table};
use crate::model::{Sample, stale_nan};
use crate::storage::Pulse;

const START_MS: i64 = 1_700_000_000_000;
const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60_000;
const DOWN_MAX_MS: i64 = 12 * 60 * MINUTE_MS;

/// What one job sends: a sample each interval, up to a moment; with markers at the end or not.
#[derive(Clone)]
struct Job {
    interval_ms: i64,
    spans: Vec<(i64, i64)>,
    says_goodbye: bool,
    /// Whether somebody scrapes it, who says `up` 0 when it does not answer.
    is_scraped: bool,
}

impl Job {
    fn until(end_ms: i64) -> Job {
        Job { interval_ms: 15 * SECOND_MS, spans: vec![(START_MS, end_ms)], says_goodbye: false, is_scraped: false }
    }

    fn every(interval_ms: i64, end_ms: i64) -> Job {
        Job { interval_ms, ..Job::until(end_ms) }
    }

    fn back(mut self, from_ms: i64) -> Job {
        self.spans.push((from_ms, i64::MAX));
        self
    }

    /// The newest sample by then, and whether it is a marker.
    fn newest(&self, now_ms: i64) -> Option<(i64, bool)> {
        let (from_ms, end_ms) = *self.spans.iter().rfind(|span| span.0 <= now_ms)?;
        let sent_ms = from_ms + (now_ms.min(end_ms) - from_ms).div_euclid(self.interval_ms) * self.interval_ms;
        let has_ended = self.says_goodbye && now_ms > end_ms.saturating_add(SECOND_MS);
        Some(if has_ended { (end_ms + SECOND_MS, true) } else { (sent_ms, false) })
    }
}

struct World {
    jobs: BTreeMap<&'static str, Job>,
    table: Table,
    losses: Losses,
    alerting: HashSet<String>,
    now_ms: i64,
}

impl World {
    fn new(jobs: impl IntoIterator<Item = (&'static str, Job)>) -> World {
        let losses = Losses::new(5 * MINUTE_MS, START_MS, Vec::new());
        let jobs = jobs.into_iter().collect();
        World { jobs, table: Table::default(), losses, alerting: HashSet::new(), now_ms: START_MS - SECOND_MS }
    }

    /// As if it had been killed and started again: what the head holds is there at the first walk.
    fn restarted(mut self) -> World {
        let told = self.losses.told().cloned().collect();
        (self.table, self.losses) = (Table::default(), Losses::new(5 * MINUTE_MS, self.now_ms, told));
        self
    }

    /// Walks until then. Returns what was told, each with when.
    fn run(&mut self, until_ms: i64) -> Vec<(i64, String, bool)> {
        let mut told = Vec::new();
        for interval_s in [4, 5, 7].into_iter().cycle() {
            if self.now_ms >= until_ms {
                return told;
            }
            self.now_ms = (self.now_ms + interval_s * SECOND_MS).min(until_ms);
            let (now_ms, mut found) = (self.now_ms, Vec::new());
            let newest_ms = self.jobs.values().filter_map(|job| job.newest(now_ms)).map(|(at_ms, _)| at_ms).max();
            let as_of_ms = self.table.as_of_ms(newest_ms.unwrap_or(i64::MIN), DOWN_MAX_MS, now_ms);
            for (name, job) in &self.jobs {
                let Some((newest_ms, is_marker)) = job.newest(now_ms) else { continue };
                let value = if is_marker { stale_nan() } else { 1.0 };
                let count = ((newest_ms - START_MS) / job.interval_ms).clamp(0, 100) + 1;
                let first_ms = newest_ms - (count - 1) * job.interval_ms;
                let mut of_job = Found::default();
                let newest = Sample { timestamp_ms: newest_ms, value };
                of_job.add(Pulse { newest, first_ms, count: count as u32 }, None, as_of_ms);
                if job.is_scraped {
                    let scraped_ms = START_MS + (now_ms - START_MS).div_euclid(job.interval_ms) * job.interval_ms;
                    let newest = Sample { timestamp_ms: scraped_ms, value: f64::from(u8::from(!is_marker)) };
                    of_job.add(Pulse { newest, first_ms, count: 40 }, Some(Kind::Up), as_of_ms);
                }
                found.push(((*name).to_owned(), of_job));
            }
            self.table.take(found, now_ms);
            for turn in self.losses.look(&self.table, &self.alerting, now_ms) {
                let (loss, is_lost) = match turn {
                    Turn::Lost(loss) => (loss, true),
                    Turn::Back { loss, .. } => (loss, false),
                };
                told.push((now_ms - START_MS, loss.name, is_lost));
            }
        }
        told
    }

    fn is_unknown(&self, job: Option<&str>) -> bool {
        match self.losses.knowledge(job) {
            Knowledge::Since(since_ms) => since_ms > self.now_ms,
            Knowledge::NothingSince(_) => true,
        }
    }
}

/// Whether something happened once, about when it should: from `at_ms` on, within a quarter of a minute.
fn assert_once(told: &[(i64, String, bool)], name: &str, is_lost: bool, at_ms: i64) {
    let [(when_ms, told_name, told_lost)] = told else { panic!("told once: {told:?}") };
    assert_eq!((told_name.as_str(), *told_lost), (name, is_lost));
    assert!((at_ms..at_ms + 15 * SECOND_MS).contains(when_ms), "{when_ms} and not {at_ms}");
}

#[test]
fn job_that_stops_is_told_once_after_five_minutes_and_once_more_when_it_is_back() {
    let stops_ms = START_MS + 20 * MINUTE_MS;
    let back_ms = stops_ms + 60 * MINUTE_MS;
    let mut world = World::new([("db", Job::until(i64::MAX)), ("shop", Job::until(stops_ms).back(back_ms))]);
    assert_eq!(world.run(stops_ms + 4 * MINUTE_MS), []);
    assert_eq!(world.losses.standing("shop"), Standing::Silent);
    assert_once(&world.run(back_ms - SECOND_MS), "shop", true, 25 * MINUTE_MS);
    assert_eq!(world.losses.standing("shop"), Standing::Lost);
    assert_once(&world.run(back_ms + 30 * MINUTE_MS), "shop", false, 80 * MINUTE_MS);
    assert_eq!(world.losses.standing("shop"), Standing::Sending);
}

#[test]
fn nothing_is_known_of_a_silent_job_until_it_has_sent_for_three_intervals() {
    let stops_ms = START_MS + 20 * MINUTE_MS;
    let back_ms = stops_ms + 30 * MINUTE_MS;
    let mut world = World::new([("db", Job::until(i64::MAX)), ("shop", Job::until(stops_ms).back(back_ms))]);
    world.run(stops_ms + 20 * SECOND_MS);
    assert!(!world.is_unknown(Some("shop")), "it may only be late");
    world.run(stops_ms + 40 * SECOND_MS);
    assert!(world.is_unknown(Some("shop")) && !world.is_unknown(Some("db")) && !world.is_unknown(None));
    assert!(!world.is_unknown(Some("unheard-of")), "of what is no sender nothing is missing");
    world.run(back_ms + 20 * SECOND_MS);
    assert!(world.is_unknown(Some("shop")), "a rate needs more than one sample");
    world.run(back_ms + 90 * SECOND_MS);
    assert!(!world.is_unknown(Some("shop")));
}

#[test]
fn job_that_sent_for_less_than_five_minutes_is_not_missed() {
    let mut world = World::new([("batch", Job::until(START_MS + 4 * MINUTE_MS)), ("db", Job::until(i64::MAX))]);
    assert_eq!(world.run(START_MS + 60 * MINUTE_MS), []);
    assert!(!world.is_unknown(Some("batch")));
}

#[test]
fn job_that_comes_seldom_is_missed_after_three_of_its_intervals() {
    let stops_ms = START_MS + 400 * MINUTE_MS;
    let slow = Job::every(20 * MINUTE_MS, stops_ms);
    let mut world = World::new([("db", Job::until(i64::MAX)), ("sync", slow)]);
    assert_eq!(world.run(stops_ms + 59 * MINUTE_MS), []);
    // The interval is known to within the time between two walks.
    let told = world.run(stops_ms + 120 * MINUTE_MS);
    assert_eq!(told.len(), 1);
    assert!((459 * MINUTE_MS..462 * MINUTE_MS).contains(&told[0].0), "{told:?}");
}

#[test]
fn goodbye_is_no_loss_unless_alerts_fire_on_the_job() {
    let stops_ms = START_MS + 20 * MINUTE_MS;
    let removed = Job { says_goodbye: true, ..Job::until(stops_ms) };
    let mut world = World::new([("db", Job::until(i64::MAX)), ("shop", removed.clone())]);
    assert_eq!(world.run(stops_ms + 60 * MINUTE_MS), []);
    assert_eq!(world.losses.standing("shop"), Standing::Ended);
    assert!(!world.is_unknown(Some("shop")));
    let mut world = World::new([("db", Job::until(i64::MAX)), ("shop", removed)]);
    world.alerting.insert("shop".to_owned());
    world.run(stops_ms + 10 * SECOND_MS);
    assert!(world.is_unknown(Some("shop")), "from the first look on: the markers end the alert at once");
    assert_once(&world.run(stops_ms + 60 * MINUTE_MS), "shop", true, 25 * MINUTE_MS);
    world.alerting.clear();
    assert_eq!(world.run(stops_ms + 61 * MINUTE_MS).len(), 1, "nothing is owed any more");
}

#[test]
fn one_that_does_not_answer_its_scraper_has_not_said_goodbye() {
    let stops_ms = START_MS + 20 * MINUTE_MS;
    let back_ms = stops_ms + 30 * MINUTE_MS;
    let scraped = Job { says_goodbye: true, is_scraped: true, ..Job::until(stops_ms).back(back_ms) };
    let mut world = World::new([("db", Job::until(i64::MAX)), ("shop", scraped)]);
    assert_eq!(world.run(stops_ms + 14 * SECOND_MS), []);
    assert!(!world.is_unknown(Some("shop")));
    world.run(stops_ms + 20 * SECOND_MS);
    assert!(world.is_unknown(Some("shop")), "its series end at once, and it is known why");
    assert_once(&world.run(back_ms - SECOND_MS), "shop", true, 25 * MINUTE_MS);
    assert_once(&world.run(back_ms + 30 * MINUTE_MS), "shop", false, 50 * MINUTE_MS);
}

#[test]
fn silences_are_those_since_a_moment_with_what_was_sent_last_and_whether_they_are_over() {
    let stops_ms = START_MS + 20 * MINUTE_MS;
    let back_ms = stops_ms + 30 * MINUTE_MS;
    let gone_ms = START_MS + 70 * MINUTE_MS;
    let removed = Job { says_goodbye: true, ..Job::until(gone_ms) };
    let jobs = [("db", Job::until(i64::MAX)), ("shop", Job::until(stops_ms).back(back_ms)), ("mail", removed)];
    let mut world = World::new(jobs);
    let silences = |world: &World, from_ms: i64| world.losses.silences(&world.table, from_ms);
    world.run(stops_ms + 10 * SECOND_MS);
    assert_eq!(silences(&world, i64::MIN), [], "nobody has been");
    world.run(back_ms - MINUTE_MS);
    let [silence] = &silences(&world, stops_ms)[..] else { panic!("one is silent") };
    let Silence { job, since_ms, newest_ms, knowledge } = silence.clone();
    assert_eq!((job.as_str(), newest_ms, knowledge), ("shop", stops_ms, Knowledge::NothingSince(since_ms)));
    assert!((stops_ms..stops_ms + 7 * SECOND_MS).contains(&since_ms), "{since_ms}: when it was last heard");
    assert_eq!(silences(&world, since_ms + 1), [], "it was before");
    world.run(back_ms + 10 * MINUTE_MS);
    let [back] = &silences(&world, stops_ms)[..] else { panic!("it was silent") };
    let Knowledge::Since(settled_ms) = back.knowledge else { panic!("it is back") };
    assert!((back_ms + 30 * SECOND_MS..back_ms + MINUTE_MS).contains(&settled_ms), "{settled_ms}");
    assert_eq!(back.since_ms, since_ms);
    // Who says goodbye may have ended an alert by that.
    world.run(gone_ms + 10 * MINUTE_MS);
    let [gone] = &silences(&world, gone_ms)[..] else { panic!("one went") };
    assert_eq!((gone.job.as_str(), gone.knowledge), ("mail", Knowledge::NothingSince(gone.since_ms)));
}

#[test]
fn sender_of_all_jobs_that_stops_is_one_alert() {
    let stops_ms = START_MS + 20 * MINUTE_MS;
    let back_ms = stops_ms + 30 * MINUTE_MS;
    let names = ["api", "cart", "db", "mail", "pay", "shop"];
    let mut jobs: BTreeMap<_, _> = names.into_iter().map(|name| (name, Job::until(stops_ms).back(back_ms))).collect();
    // One that would not have come yet.
    jobs.insert("slow", Job::every(10 * MINUTE_MS, stops_ms).back(back_ms));
    let mut world = World::new(jobs);
    assert_once(&world.run(back_ms - MINUTE_MS), EVERYBODY, true, 25 * MINUTE_MS);
    assert!(names.iter().all(|name| world.losses.standing(name) == Standing::Lost));
    assert!(world.is_unknown(None), "an alert of no job speaks of all");
    world.run(back_ms - SECOND_MS);
    assert_once(&world.run(back_ms + 60 * MINUTE_MS), EVERYBODY, false, 50 * MINUTE_MS);
    assert!(!world.is_unknown(None));
}

#[test]
fn two_that_stop_are_told_by_name_while_others_go_on_however_soon_a_loss_is_told() {
    let stops_ms = START_MS + 20 * MINUTE_MS;
    let others = ["shop", "web"].map(|name| (name, Job::until(i64::MAX)));
    let mut world = World::new(["a", "b"].map(|name| (name, Job::until(stops_ms))).into_iter().chain(others));
    world.losses = Losses::new(5 * SECOND_MS, START_MS, Vec::new());
    let told = world.run(stops_ms + MINUTE_MS);
    let said: Vec<(&str, bool)> = told.iter().map(|(_, name, is_lost)| (name.as_str(), *is_lost)).collect();
    assert_eq!(said, [("a", true), ("b", true)]);
}

#[test]
fn many_that_stop_together_are_one_alert_while_others_go_on() {
    let stops_ms = START_MS + 20 * MINUTE_MS;
    let jobs = ["a", "b", "c", "d", "e"].into_iter().map(|name| (name, Job::until(stops_ms)));
    let mut world = World::new(jobs.chain([("shop", Job::until(i64::MAX))]));
    assert_once(&world.run(stops_ms + 60 * MINUTE_MS), "a and 4 more", true, 25 * MINUTE_MS);
}

#[test]
fn those_that_do_not_come_back_with_the_others_are_told_by_name() {
    let stops_ms = START_MS + 20 * MINUTE_MS;
    let back_ms = stops_ms + 30 * MINUTE_MS;
    let back = ["a", "b", "c", "d"].into_iter().map(|name| (name, Job::until(stops_ms).back(back_ms)));
    let mut world = World::new(back.chain([("gone", Job::until(stops_ms))]));
    assert_once(&world.run(back_ms - SECOND_MS), EVERYBODY, true, 25 * MINUTE_MS);
    let told = world.run(back_ms + 30 * MINUTE_MS);
    let said: Vec<(&str, bool)> = told.iter().map(|(_, name, is_lost)| (name.as_str(), *is_lost)).collect();
    assert_eq!(said, [(EVERYBODY, false), ("gone", true)]);
}

#[test]
fn restart_goes_on_with_what_was_lost_and_misses_who_does_not_come_back() {
    let stops_ms = START_MS + 20 * MINUTE_MS;
    let killed_ms = stops_ms + 30 * MINUTE_MS;
    let jobs = [
        ("db", Job::until(i64::MAX)),
        ("lost", Job::until(stops_ms).back(killed_ms + 30 * MINUTE_MS)),
        ("late", Job::until(killed_ms)),
    ];
    let mut world = World::new(jobs);
    assert_once(&world.run(killed_ms), "lost", true, 25 * MINUTE_MS);
    let mut world = world.restarted();
    world.run(killed_ms + 10 * SECOND_MS);
    assert!(world.is_unknown(Some("lost")) && world.is_unknown(Some("late")), "nothing of them was heard yet");
    let told = world.run(killed_ms + 60 * MINUTE_MS);
    let said: Vec<(&str, bool)> = told.iter().map(|(_, name, is_lost)| (name.as_str(), *is_lost)).collect();
    assert_eq!(said, [("late", true), ("lost", false)], "not told twice, and taken back");
    assert!((55 * MINUTE_MS..56 * MINUTE_MS).contains(&told[0].0), "{told:?}");
}

#[test]
fn one_that_does_not_come_back_is_missed_however_long_nobody_listened_up_to_half_a_day() {
    let killed_ms = START_MS + 50 * MINUTE_MS;
    for down_min in [1, 14, 16, 60, 11 * 60, 13 * 60] {
        let back_ms = killed_ms + down_min * MINUTE_MS;
        let jobs = [
            ("back", Job::until(killed_ms).back(back_ms + MINUTE_MS)),
            ("gone", Job::until(killed_ms)),
            ("gone before", Job::until(killed_ms - 20 * MINUTE_MS)),
            ("seldom", Job::every(4 * MINUTE_MS, killed_ms).back(back_ms + 11 * MINUTE_MS)),
        ];
        let mut world = World::new(jobs);
        world.run(killed_ms);
        world.now_ms = back_ms;
        let mut world = world.restarted();
        assert_eq!(world.run(back_ms + 10 * SECOND_MS), []);
        assert_eq!(world.is_unknown(Some("gone")), down_min <= DOWN_MAX_MS / MINUTE_MS, "so its alerts are held");
        let told = world.run(back_ms + 60 * MINUTE_MS);
        if down_min > DOWN_MAX_MS / MINUTE_MS {
            assert_eq!(told, []);
        } else {
            assert_once(&told, "gone", true, back_ms - START_MS + 5 * MINUTE_MS);
        }
    }
}

#[test]
fn history_that_somebody_brings_is_no_sender() {
    let mut world = World::new([("db", Job::until(i64::MAX))]);
    world.run(START_MS + MINUTE_MS);
    // An hour of the year before is sent within ten minutes.
    let mut told = Vec::new();
    for step in 0..120 {
        world.now_ms += 5 * SECOND_MS;
        let newest = Sample { timestamp_ms: START_MS - 365 * 24 * 60 * MINUTE_MS + step * 30 * SECOND_MS, value: 1.0 };
        let mut found = Found::default();
        found.add(Pulse { newest, first_ms: newest.timestamp_ms - 20 * MINUTE_MS, count: 80 }, None, world.now_ms);
        let mut db = Found::default();
        let newest = Sample { timestamp_ms: world.now_ms, value: 1.0 };
        db.add(Pulse { newest, first_ms: world.now_ms, count: 1 }, None, world.now_ms);
        world.table.take(vec![("imported".to_owned(), found), ("db".to_owned(), db)], world.now_ms);
        told.extend(world.losses.look(&world.table, &HashSet::new(), world.now_ms));
    }
    world.jobs.insert("imported", Job::until(START_MS));
    assert_eq!(told, []);
    assert_eq!(world.run(world.now_ms + 30 * MINUTE_MS), []);
}
