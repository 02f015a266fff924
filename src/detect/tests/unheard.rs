//! Alerts of instances that never come again.

use super::room::{BAD, Fleet, GOOD, SCRAPE_MS};
use crate::detect::{Kind, Unheard};

const HOUR_MS: i64 = 3_600_000;
/// Scrapes in an hour.
const HOUR: i64 = HOUR_MS / SCRAPE_MS;

/// Of two pods one fires and goes, half an hour ago.
fn fired_and_gone() -> (Fleet, i64) {
    let mut fleet = Fleet::new(2, 1);
    fleet.introduce(0, 0..2);
    fleet.scrape(10, &[(0, &[0], GOOD), (0, &[1], BAD)]);
    let gone_ms = fleet.now_ms;
    assert_eq!(fleet.transitions().iter().map(|one| one.kind).collect::<Vec<_>>(), [Kind::Firing]);
    fleet.scrape(HOUR / 2, &[(0, &[0], GOOD)]);
    (fleet, gone_ms)
}

#[test]
fn alert_is_kept_for_half_a_day_and_says_why_it_ends() {
    let (mut fleet, gone_ms) = fired_and_gone();
    fleet.scrape(11 * HOUR, &[(0, &[0], GOOD)]);
    assert_eq!((fleet.transitions(), fleet.firing()), (vec![], vec!["1".to_owned()]));
    fleet.scrape(HOUR, &[(0, &[0], GOOD)]);
    let [ended] = &fleet.transitions()[..] else { panic!("one end") };
    assert_eq!((ended.kind, ended.labels.get("pod")), (Kind::Resolved, Some("1")));
    let since_ms = ended.unheard_since_ms.unwrap();
    assert!((gone_ms..=gone_ms + 6 * 60_000).contains(&since_ms), "{} ms behind", since_ms - gone_ms);
    assert_eq!(ended.at_ms, since_ms + 12 * HOUR_MS);
    assert_eq!(fleet.firing(), Vec::<String>::new());
    // It is told once, and what comes after all is news.
    fleet.scrape(HOUR, &[(0, &[0], GOOD)]);
    fleet.scrape(10, &[(0, &[0], GOOD), (0, &[1], BAD)]);
    let kinds: Vec<_> = fleet.transitions().iter().map(|one| (one.kind, one.unheard_since_ms)).collect();
    assert_eq!(kinds, [(Kind::Firing, None)]);
}

#[test]
fn how_long_is_a_setting() {
    let (mut fleet, _) = fired_and_gone();
    fleet.judge.keep_unheard(HOUR_MS);
    fleet.scrape(HOUR, &[(0, &[0], GOOD)]);
    assert_eq!(fleet.transitions().iter().map(|one| one.kind).collect::<Vec<_>>(), [Kind::Resolved]);
}

/// Everything was silent for a day: who comes back is heard before anybody is given up.
#[test]
fn nobody_is_given_up_right_behind_a_pause_or_a_restart() {
    for is_restarted in [false, true] {
        let (mut fleet, _) = fired_and_gone();
        fleet.now_ms += 24 * HOUR_MS;
        if is_restarted {
            fleet.restart();
            fleet.introduce(0, 0..2);
        }
        fleet.scrape(8, &[(0, &[0], GOOD)]);
        fleet.scrape(HOUR, &[(0, &[0], GOOD), (0, &[1], BAD)]);
        assert_eq!((fleet.transitions(), fleet.firing()), (vec![], vec!["1".to_owned()]), "restarted: {is_restarted}");
    }
}

/// Half an hour is more than a quarter: the judge asks, and what it is told ends. Once it has ended nobody is asked.
#[test]
fn removed_instance_ends_when_the_judge_is_told_and_the_one_that_goes_on_does_not() {
    let (mut fleet, gone_ms) = fired_and_gone();
    let asked = fleet.judge.shared().unheard();
    let [gone] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((gone.watch, gone.labels.get("pod")), (0, Some("1")));
    assert!((gone_ms..=gone_ms + 6 * 60_000).contains(&gone.since_ms), "{} ms behind", gone.since_ms - gone_ms);
    // Of another one of the same name it is not said.
    let other = Unheard { labels: crate::detect::tests::labels(&[("pod", "0")]), ..gone.clone() };
    fleet.judge.shared().end_removed(other).unwrap();
    fleet.scrape(4, &[(0, &[0], GOOD)]);
    assert_eq!((fleet.transitions(), fleet.firing()), (vec![], vec!["1".to_owned()]));

    fleet.judge.shared().end_removed(gone.clone()).unwrap();
    fleet.scrape(4, &[(0, &[0], GOOD)]);
    let [ended] = &fleet.transitions()[..] else { panic!("one end") };
    assert_eq!((ended.kind, ended.is_removed, ended.unheard_since_ms), (Kind::Resolved, true, Some(gone.since_ms)));
    assert_eq!((ended.labels.get("pod"), ended.at_ms), (Some("1"), gone.since_ms + 15 * 60_000));
    fleet.judge.shared().end_removed(gone.clone()).unwrap();
    fleet.scrape(HOUR, &[(0, &[0], GOOD)]);
    assert_eq!((fleet.transitions(), fleet.firing(), fleet.judge.shared().unheard().len()), (vec![], vec![], 0));
}

/// Who comes back between question and answer goes on firing, and right behind a pause nobody is asked about.
#[test]
fn what_came_again_is_not_ended_and_right_behind_a_pause_nothing_is_asked() {
    let (mut fleet, _) = fired_and_gone();
    let asked = fleet.judge.shared().unheard();
    fleet.scrape(10, &[(0, &[0], GOOD), (0, &[1], BAD)]);
    fleet.judge.shared().end_removed(asked[0].clone()).unwrap();
    fleet.scrape(10, &[(0, &[0], GOOD), (0, &[1], BAD)]);
    assert_eq!((fleet.transitions(), fleet.firing()), (vec![], vec!["1".to_owned()]));

    let (mut fleet, _) = fired_and_gone();
    let before = fleet.judge.shared().unheard();
    fleet.now_ms += HOUR_MS;
    fleet.scrape(8, &[(0, &[0], GOOD)]);
    assert!(std::sync::Arc::ptr_eq(&before, &fleet.judge.shared().unheard()), "nothing was asked anew");
}

/// A whole rack is down and nobody took it out: those behind the first hundred are asked about as well.
#[test]
fn of_many_all_are_asked_about_by_turns() {
    let mut fleet = Fleet::new(151, 1);
    fleet.introduce(0, 0..151);
    let rack: Vec<usize> = (1..151).collect();
    fleet.scrape(10, &[(0, &[0], GOOD), (0, &rack, BAD)]);
    assert_eq!(fleet.transitions().len(), rack.len());
    let mut asked = std::collections::BTreeSet::new();
    for _ in 0..3 {
        fleet.scrape(HOUR / 3, &[(0, &[0], GOOD)]);
        let now = fleet.judge.shared().unheard();
        assert!(now.len() <= 100, "{} at a time", now.len());
        asked.extend(now.iter().map(|one| one.labels.to_string()));
    }
    assert_eq!(asked.len(), rack.len());
}
