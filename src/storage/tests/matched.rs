//! What matchers found is kept, and nobody sees anything of it but the time.

use super::*;
use crate::model::MatchOp;

/// More values than are looked through each time.
const NODES: u32 = 50;

/// The nodes of the series of `name` that a pattern finds, in a time.
fn nodes(fixture: &Fixture, name: &str, op: MatchOp, pattern: &str, range: TimeRange) -> Vec<u32> {
    let matchers = [Matcher::equal("__name__", name), Matcher::new("node", op, pattern).expect("a pattern")];
    let found = fixture.storage.view().select(&matchers, range, 1_000).expect("a selection");
    let node = |labels: &Labels| labels.get("node").expect("a node").parse().expect("a number");
    let mut nodes: Vec<u32> = found.iter().map(|series| node(series.labels())).collect();
    nodes.sort_unstable();
    nodes
}

#[test]
fn a_series_that_comes_or_goes_is_seen_so_at_once_by_a_pattern_that_was_asked_before() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + HOUR_MS));
    let fixture = open(&disk, &clock);
    let rows: Vec<_> = (0..NODES).map(|node| (series("up", node), T0, 1.0)).collect();
    fixture.write(&rows);
    let ask = |name: &str, range: TimeRange| {
        let found = nodes(&fixture, name, MatchOp::Matches, "7|.+7", range);
        assert_eq!(nodes(&fixture, name, MatchOp::Matches, "7|.+7", range), found, "asked again");
        let others = nodes(&fixture, name, MatchOp::NotMatches, "7|.+7", range);
        assert_eq!(others.len() + found.len(), nodes(&fixture, name, MatchOp::Matches, ".*", range).len());
        found
    };
    assert_eq!(ask("up", TimeRange::ALL), [7, 17, 27, 37, 47]);

    // A value that is new, and one that another metric has.
    fixture.write(&[(series("up", 57), T0 + 1, 1.0), (series("down", 17), T0 + 1, 1.0), (series("up", 60), T0, 1.0)]);
    assert_eq!(ask("up", TimeRange::ALL), [7, 17, 27, 37, 47, 57]);
    assert_eq!(ask("down", TimeRange::ALL), [17]);

    let one = vec![Matcher::equal("__name__", "up"), Matcher::equal("node", "17")];
    fixture.storage.delete_series(&[one], TimeRange::ALL).expect("deleted");
    assert_eq!(ask("up", TimeRange::ALL), [7, 27, 37, 47, 57]);
    assert_eq!(ask("down", TimeRange::ALL), [17]);
    fixture.write(&[(series("up", 17), T0 + 2, 1.0)]);
    assert_eq!(ask("up", TimeRange::ALL), [7, 17, 27, 37, 47, 57]);
}

#[test]
fn a_series_that_the_head_drops_is_found_where_it_went_by_a_pattern_that_was_asked_before() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + HOUR_MS));
    let fixture = open(&disk, &clock);
    let rows: Vec<_> = (0..NODES).map(|node| (series("up", node), T0, 1.0)).collect();
    fixture.write(&rows);
    let ask = |range: TimeRange| nodes(&fixture, "up", MatchOp::Matches, "7|.+7", range);
    assert_eq!(ask(TimeRange::ALL), [7, 17, 27, 37, 47]);

    // Only node 27 goes on: the others leave the head with the block that is cut.
    for hour in [4, 7, 10] {
        clock.advance(Duration::from_secs(3 * 3600));
        fixture.write(&[(series("up", 27), T0 + hour * HOUR_MS, 1.0)]);
        fixture.storage.maintain().expect("maintained");
        let (old, new) = (T0 + HOUR_MS, T0 + (hour - 1) * HOUR_MS);
        for _ in 0..2 {
            assert_eq!(ask(TimeRange { from_ms: T0, to_ms: old }), [7, 17, 27, 37, 47], "{hour}");
            assert_eq!(ask(TimeRange { from_ms: new, to_ms: i64::MAX }), [27], "{hour}");
        }
    }
    assert!(fixture.storage.block_count() > 0);
    assert_eq!(fixture.storage.series_count(), 1, "the head has let go of the rest");

    // Deleted from the block, which keeps what it found.
    let some = vec![Matcher::new("node", MatchOp::Matches, "[1-3]7").expect("a pattern")];
    fixture.storage.delete_series(&[some], TimeRange::ALL).expect("deleted");
    assert_eq!(ask(TimeRange::ALL), [7, 47]);
}
