//! Lists of series and labels, kept and made anew.

use super::*;
use crate::model::MatchOp;

fn matching(name: &str, op: MatchOp, pattern: &str) -> Matcher {
    Matcher::new(name, op, pattern).expect("a matcher")
}

fn four_hours_of(fixture: &Fixture, nodes: std::ops::Range<u32>) {
    for node in nodes {
        four_hours(fixture, &series("up", node));
    }
}

#[test]
fn a_list_asked_for_again_has_what_came_and_not_what_went() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open(&disk, &clock);
    let listed = || values_of(&fixture.storage.view(), "node", &[], TimeRange::ALL);
    assert_eq!(listed(), [""; 0]);
    fixture.write(&[(series("up", 1), T0, 1.0), (series("up", 3), T0, 1.0)]);
    assert_eq!((listed(), listed()), (vec!["1".to_owned(), "3".to_owned()], vec!["1".to_owned(), "3".to_owned()]));
    fixture.write(&[(series("down", 2), T0, 1.0)]);
    assert_eq!(listed(), ["1", "2", "3"]);
    // A series more, and no value.
    fixture.write(&[(series("down", 3), T0, 1.0)]);
    assert_eq!(listed(), ["1", "2", "3"]);
}

#[test]
fn a_list_does_not_forget_what_went_from_the_head_into_a_block() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open(&disk, &clock);
    four_hours_of(&fixture, 0..3);
    let listed = |range| values_of(&fixture.storage.view(), "node", &[], range);
    assert_eq!(listed(TimeRange::ALL), ["0", "1", "2"]);
    fixture.storage.maintain().expect("maintained");
    assert_eq!(listed(TimeRange::ALL), ["0", "1", "2"]);
    clock.advance(Duration::from_secs(36 * 60 * 60));
    fixture.write(&[(series("up", 9), T0 + 40 * HOUR_MS, 1.0)]);
    fixture.storage.maintain().expect("maintained");
    fixture.storage.maintain().expect("emptied");
    assert_eq!(listed(TimeRange::ALL), ["0", "1", "2", "9"]);
    let lately = TimeRange { from_ms: T0 + 39 * HOUR_MS, to_ms: T0 + 41 * HOUR_MS };
    assert!(listed(lately).contains(&"9".to_owned()));
    assert_eq!(listed(TimeRange::ALL), ["0", "1", "2", "9"], "whatever range was asked for between");
}

#[test]
fn matched_lists_are_those_of_the_selected_series() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open(&disk, &clock);
    four_hours_of(&fixture, 0..12);
    fixture.storage.maintain().expect("maintained");
    fixture.write(&[(series("fresh", 12), T0 + 4 * HOUR_MS, 1.0), (series("up", 13), T0 + 4 * HOUR_MS, 1.0)]);
    let view = fixture.storage.view();
    let all = [
        vec![],
        vec![Matcher::equal("__name__", "up")],
        vec![matching("node", MatchOp::Matches, "1.*")],
        vec![matching("node", MatchOp::NotMatches, "1.*"), Matcher::equal("absent", "")],
        vec![Matcher::equal("node", "77")],
    ];
    let ranges = [
        TimeRange::ALL,
        TimeRange { from_ms: T0, to_ms: T0 + HOUR_MS },
        TimeRange { from_ms: T0 + 4 * HOUR_MS, to_ms: T0 + 5 * HOUR_MS },
        TimeRange { from_ms: T0 + 9 * HOUR_MS, to_ms: T0 + 10 * HOUR_MS },
    ];
    for (matchers, range) in all.iter().flat_map(|matchers| ranges.map(|range| (matchers, range))) {
        let selected = view.select(matchers, range, usize::MAX).expect("a selection");
        let sets: Vec<Arc<Labels>> = selected.iter().map(|series| series.labels().clone()).collect();
        assert_eq!(view.label_sets(matchers, range, usize::MAX).expect("sets"), sets, "{matchers:?} in {range:?}");
        assert!(sets.is_empty() || view.label_sets(matchers, range, sets.len() - 1).is_err(), "the limit is kept");
        if !matchers.is_empty() {
            let values: std::collections::BTreeSet<&str> =
                sets.iter().filter_map(|labels| labels.get("node")).collect();
            assert_eq!(values_of(&view, "node", matchers, range), values.into_iter().collect::<Vec<_>>());
            let names = if sets.is_empty() { vec![] } else { vec!["__name__", "node"] };
            assert_eq!(view.label_names(matchers, range).expect("names"), names);
        }
    }
}
