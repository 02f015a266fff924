//! Running totals of deltas, against a slow and obvious way to have them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ingest::otlp::delta::{Deltas, HistogramTotal, NotAdded, Total};
use crate::ingest::otlp::message::PointHead;

const NOW: Duration = Duration::from_secs(1000);

fn head(start_ns: u64, time_ns: u64) -> PointHead {
    PointHead { start_ns, time_ns, is_stale: false }
}

/// Adds one number in a request of its own. Not a number where it fills a gap.
fn add(deltas: &Deltas, now: Duration, metric: &str, span: (u64, u64), value: f64) -> Result<f64, NotAdded> {
    let mut request = deltas.request(now);
    let total = match request.add(metric, &mut [], head(span.0, span.1), Total::Number(value))? {
        Some(Total::Number(total)) => *total,
        None => f64::NAN,
        other => panic!("not a number: {other:?}"),
    };
    request.commit();
    Ok(total)
}

fn histogram(bounds: &[f64], counts: &[u64], sum: Option<f64>) -> Total {
    let count = counts.iter().sum();
    Total::Histogram(Box::new(HistogramTotal { count, sum, bounds: bounds.into(), counts: counts.into() }))
}

#[test]
fn spans_are_judged_by_where_they_begin_and_end() {
    let table = [
        ("first", (10, 20), Ok(1.0)),
        ("follows", (20, 30), Ok(3.0)),
        ("again", (20, 30), Ok(3.0)),
        ("gap", (35, 40), Ok(7.0)),
        ("overlap", (30, 50), Ok(15.0)),
        ("same end, other start", (40, 50), Err(NotAdded::TooLate)),
        ("before the last", (40, 45), Err(NotAdded::TooLate)),
        ("the second once more", (20, 30), Err(NotAdded::TooLate)),
        ("begins before the first", (9, 60), Err(NotAdded::TooLate)),
        ("from the very beginning", (10, 60), Ok(527.0)),
    ];
    let deltas = Deltas::new(10);
    // Powers of two, so that a total tells which points are in it: each row's is its own.
    let values = [1.0, 2.0, 99.0, 4.0, 8.0, 99.0, 99.0, 99.0, 99.0, 512.0];
    for ((what, span, expected), value) in table.into_iter().zip(values) {
        assert_eq!(add(&deltas, NOW, "m", span, value), expected, "{what}");
    }
}

#[test]
fn what_comes_late_fills_the_gap_that_it_left() {
    let table = [
        ("first", (0, 10), Ok(Some(1.0))),
        ("two that were told 503 are missing", (30, 40), Ok(Some(3.0))),
        ("the second of them, late", (20, 30), Ok(None)),
        ("once more", (20, 30), Err(NotAdded::TooLate)),
        ("more than the gap that is left", (10, 21), Err(NotAdded::TooLate)),
        ("the first of them", (10, 20), Ok(None)),
        ("once more", (10, 20), Err(NotAdded::TooLate)),
        ("the next shows both", (40, 50), Ok(Some(1.0 + 2.0 + 4.0 + 32.0 + 128.0))),
        ("a gap", (60, 70), Ok(Some(423.0))),
        ("overlaps a part of it", (55, 80), Ok(Some(935.0))),
        ("which is a gap no more", (50, 56), Err(NotAdded::TooLate)),
        ("but the rest is", (50, 55), Ok(None)),
        ("and no point has no length", (50, 50), Err(NotAdded::TooLate)),
    ];
    let deltas = Deltas::new(10);
    for (index, (what, span, expected)) in table.into_iter().enumerate() {
        let total = add(&deltas, NOW, "m", span, f64::from(1_u32 << index));
        let total = total.map(|total| (!total.is_nan()).then_some(total));
        assert_eq!(total, expected, "{what}");
    }
}

#[test]
fn gaps_that_are_remembered_are_bounded() {
    let deltas = Deltas::new(10);
    for index in 0..18 {
        add(&deltas, NOW, "m", (index * 10, index * 10 + 5), 1.0).expect("added");
    }
    // Seventeen gaps: the first is forgotten.
    assert_eq!(add(&deltas, NOW, "m", (5, 10), 1.0), Err(NotAdded::TooLate));
    assert!(add(&deltas, NOW, "m", (15, 20), 1.0).expect("added").is_nan());
}

#[test]
fn histogram_of_other_bounds_fills_no_gap() {
    let deltas = Deltas::new(10);
    let mut request = deltas.request(NOW);
    let mut add = |span: (u64, u64), point: Total| {
        let added = request.add("h", &mut [], head(span.0, span.1), point);
        added.map(|total| total.cloned())
    };
    let one = || histogram(&[1.0], &[1, 2], Some(0.5));
    assert_eq!(add((0, 1), one()), Ok(Some(one())));
    add((3, 4), one()).expect("added");
    assert_eq!(add((1, 2), histogram(&[2.0], &[1, 2], Some(0.5))), Err(NotAdded::TooLate));
    assert_eq!(add((1, 2), one()), Ok(None));
    assert_eq!(add((4, 5), one()), Ok(Some(histogram(&[1.0], &[4, 8], Some(2.0)))));
}

#[test]
fn request_that_is_given_up_changes_nothing() {
    let deltas = Deltas::new(10);
    add(&deltas, NOW, "m", (0, 10), 1.0).expect("added");
    let mut request = deltas.request(NOW);
    for (start, value) in [(10, 2.0), (20, 4.0), (30, 8.0)] {
        request.add("m", &mut [], head(start, start + 10), Total::Number(value)).expect("added");
    }
    request.add("new", &mut [], head(0, 10), Total::Number(1.0)).expect("added");
    drop(request);
    assert_eq!(deltas.series_count(), 1);
    assert_eq!(add(&deltas, NOW, "m", (10, 20), 2.0), Ok(3.0));
    assert_eq!(add(&deltas, NOW, "new", (5, 8), 7.0), Ok(7.0));
}

#[test]
fn histograms_of_other_bounds_begin_anew_and_a_missing_sum_stays_missing() {
    let deltas = Deltas::new(10);
    let mut request = deltas.request(NOW);
    let mut add = |start: u64, point: Total| {
        request.add("h", &mut [], head(start, start + 1), point).expect("added").expect("the last").clone()
    };
    add(0, histogram(&[1.0], &[1, 2], Some(0.5)));
    assert_eq!(add(1, histogram(&[1.0], &[3, 4], Some(1.0))), histogram(&[1.0], &[4, 6], Some(1.5)));
    assert_eq!(add(2, histogram(&[1.0], &[0, 1], None)), histogram(&[1.0], &[4, 7], None));
    assert_eq!(add(3, histogram(&[1.0], &[1, 0], Some(9.0))), histogram(&[1.0], &[5, 7], None));
    let other = histogram(&[1.0, 2.0], &[1, 1, 1], Some(2.0));
    assert_eq!(add(4, other.clone()), other);
}

#[test]
fn totals_of_one_name_are_kept_apart_by_labels_and_kind() {
    let deltas = Deltas::new(10);
    let mut request = deltas.request(NOW);
    let mut number = |pairs: &[(&'static str, &'static str)]| {
        let mut labels: Vec<_> = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        request.add("m", &mut labels, head(0, 1), Total::Number(1.0)).expect("added").expect("the last").clone()
    };
    number(&[("a", "b")]);
    number(&[("ab", "")]);
    number(&[("a", ""), ("b", "")]);
    // The order of labels is not part of a name.
    assert_eq!(number(&[("b", ""), ("a", "")]), Total::Number(1.0));
    request.add("m", &mut [], head(0, 1), histogram(&[], &[1], None)).expect("added");
    request.commit();
    assert_eq!(deltas.series_count(), 3 + 3);
}

#[test]
fn there_is_room_for_so_many_series_and_old_ones_make_room() {
    let deltas = Deltas::new(4);
    let bucketed = |now, metric, bounds: &[f64]| {
        let counts = vec![1; bounds.len() + 1];
        let mut request = deltas.request(now);
        let added = request.add(metric, &mut [], head(0, 1), histogram(bounds, &counts, None)).map(|_| ());
        request.commit();
        added
    };
    // A histogram of one bound is two buckets, a sum and a count.
    assert_eq!(bucketed(NOW, "h", &[1.0]), Ok(()));
    assert_eq!(deltas.series_count(), 4);
    assert_eq!(add(&deltas, NOW, "m", (0, 1), 1.0), Err(NotAdded::NoRoom));
    assert_eq!(bucketed(NOW, "h", &[1.0]), Ok(()), "what is held may come again");
    let almost = NOW + Duration::from_secs(3599);
    assert_eq!(add(&deltas, almost, "m", (0, 1), 1.0), Err(NotAdded::NoRoom));
    let later = NOW + Duration::from_secs(3601);
    assert_eq!(add(&deltas, later, "m", (0, 1), 1.0), Ok(1.0));
    assert_eq!(deltas.series_count(), 1);
}

#[test]
fn total_without_points_for_an_hour_begins_anew() {
    let deltas = Deltas::new(4);
    add(&deltas, NOW, "m", (0, 1), 1.0).expect("added");
    let within = NOW + Duration::from_secs(3500);
    assert_eq!(add(&deltas, within, "m", (1, 2), 2.0), Ok(3.0));
    let after = within + Duration::from_secs(3600);
    assert_eq!(add(&deltas, after, "m", (2, 3), 4.0), Ok(4.0));
}

#[test]
fn delta_told_503_and_sent_again_is_counted_once() {
    let mut failing = Receiver::new();
    let orders = |second, value| request(vec![sum("orders", DELTA, true, vec![number(&[], second, value)])]);
    failing.store(&orders(1, 3.0));
    failing.fixture.storage.close();
    let answer = failing.send(&orders(2, 4.0));
    assert_eq!((answer.status, answer.retry_after_s.is_some()), (503, true));
    // The same totals before a storage that works again.
    let mut working = Receiver::new();
    std::mem::swap(&mut working.fixture.ingest.otlp, &mut failing.fixture.ingest.otlp);
    working.store(&orders(2, 4.0));
    working.store(&orders(3, 1.0));
    assert_eq!(working.lines(), ["orders_total 7@2000 8@3000"]);
}

#[test]
fn delta_that_is_sent_again_gives_the_same_sample() {
    let receiver = Receiver::new();
    let orders = |second, value| request(vec![sum("orders", DELTA, true, vec![number(&[], second, value)])]);
    for (second, value) in [(1, 3.0), (1, 3.0), (2, 4.0), (2, 4.0)] {
        receiver.store(&orders(second, value));
    }
    let (status, _, message) = receiver.refuse(&orders(1, 3.0));
    assert_eq!(status, 400);
    assert!(message.contains("a delta lies before what was added up already"), "{message}");
    assert_eq!(receiver.lines(), ["orders_total 3@1000 7@2000"]);
}

#[test]
fn delta_that_was_told_503_and_comes_after_the_next_one_is_counted() {
    let receiver = Receiver::new();
    let orders = |second, value| request(vec![sum("orders", DELTA, true, vec![number(&[], second, value)])]);
    // The request of the second second found no room, and the one of the third was faster than its repetition.
    for (second, value) in [(1, 1.0), (3, 4.0), (2, 2.0), (4, 8.0)] {
        receiver.store(&orders(second, value));
    }
    assert_eq!(receiver.lines(), ["orders_total 1@1000 5@3000 15@4000"]);
}

#[test]
fn delta_that_is_sent_again_after_a_gap_before_it_was_filled_gives_the_same_sample() {
    let receiver = Receiver::new();
    let orders = |second, value| request(vec![sum("orders", DELTA, true, vec![number(&[], second, value)])]);
    // The answer to the third second was lost.
    for (second, value) in [(1, 1.0), (3, 4.0), (2, 2.0), (3, 4.0), (4, 8.0)] {
        receiver.store(&orders(second, value));
    }
    assert_eq!(receiver.lines(), ["orders_total 1@1000 5@3000 15@4000"]);
}

#[test]
fn body_that_ends_in_garbage_counts_no_delta() {
    let receiver = Receiver::new();
    let orders = request(vec![sum("orders", DELTA, true, vec![number(&[], 1, 3.0)])]);
    let mut broken = orders.encode_to_vec();
    broken.push(0x07);
    assert_eq!(receiver.post(OtlpEncoding::Protobuf, broken).status, 400);
    assert_eq!(receiver.fixture.ingest.otlp_delta_series_count(), 0);
    receiver.store(&orders);
    assert_eq!(receiver.lines(), ["orders_total 3@1000"]);
}

#[test]
fn deltas_of_more_series_than_the_setting_are_refused_by_its_name() {
    let options = OtlpOptions { delta_series_max: 1, ..OtlpOptions::default() };
    let receiver = Receiver::with(options, IngestLimits::default());
    let both = vec![number(&[("a", "1")], 1, 1.0), number(&[("a", "2")], 1, 1.0)];
    let (refused, message) = receiver.store_part(&request(vec![sum("orders", DELTA, true, both)]));
    assert_eq!(refused, 1);
    assert!(message.contains("otlp.delta_series_max = 1"), "{message}");
}

/// What a test does to the totals.
#[derive(Clone, Debug)]
enum Step {
    /// Points of one request, and whether it is carried out: series, start, length, value.
    Request(Vec<(u8, u64, u64, u32)>, bool),
    /// The points of the last request that was carried out, once more.
    Again,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few enough moments for no more gaps than are remembered.
    let point = (0..3_u8, 0..24_u64, 1..8_u64, 0..1000_u32);
    let request = (proptest::collection::vec(point, 0..6), proptest::bool::weighted(0.8));
    let step = prop_oneof![
        5 => request.prop_map(|(points, is_committed)| Step::Request(points, is_committed)),
        2 => Just(Step::Again),
    ];
    proptest::collection::vec(step, 0..30)
}

/// Every point that counts, by series, and the moments of which no point has come though a later one has.
#[derive(Clone, Default)]
struct Ledger {
    points: Vec<(u8, u64, u64, u32)>,
    missing: BTreeSet<(u8, u64)>,
    /// By series, the total that the last point gave.
    told: BTreeMap<u8, f64>,
}

impl Ledger {
    fn add(&mut self, point: (u8, u64, u64, u32)) -> Result<Option<f64>, NotAdded> {
        let (series, start, time, _) = point;
        let own: Vec<_> = self.points.iter().filter(|other| other.0 == series).copied().collect();
        let last = own.iter().max_by_key(|other| other.2);
        let is_again = last.is_some_and(|last| (last.1, last.2) == (start, time));
        let end = last.map_or(start, |last| last.2);
        if own.first().is_some_and(|first| start < first.1) {
            return Err(NotAdded::TooLate);
        }
        let is_late = last.is_some() && time <= end && !is_again;
        if is_late && !(start..time).all(|moment| self.missing.remove(&(series, moment))) {
            return Err(NotAdded::TooLate);
        }
        if !is_late && !is_again {
            self.missing.extend((end..start).map(|moment| (series, moment)));
            self.missing.retain(|(other, moment)| *other != series || *moment < start);
        }
        if is_again {
            return Ok(Some(self.told[&series]));
        }
        self.points.push(point);
        if is_late {
            return Ok(None);
        }
        let total = self.points.iter().filter(|other| other.0 == series).map(|other| f64::from(other.3)).sum();
        self.told.insert(series, total);
        Ok(Some(total))
    }
}

proptest! {
    #[test]
    fn totals_are_those_of_a_ledger(steps in steps()) {
        let deltas = Deltas::new(3);
        let (mut ledger, mut last) = (Ledger::default(), Vec::new());
        for step in steps {
            let (points, is_committed) = match step {
                Step::Request(points, is_committed) => (points, is_committed),
                Step::Again => (last.clone(), true),
            };
            let (mut request, mut draft) = (deltas.request(NOW), ledger.clone());
            for (series, start, length, value) in points.iter().copied() {
                let metric = ["a", "b", "c"][usize::from(series)];
                let time = start + length;
                let added = request.add(metric, &mut [], head(start, time), Total::Number(f64::from(value)));
                let added = added.map(|total| total.cloned());
                let mut after = draft.clone();
                let expected = after.add((series, start, time, value)).map(|total| total.map(Total::Number));
                if expected.is_ok() {
                    draft = after;
                }
                prop_assert_eq!(added, expected);
            }
            if is_committed {
                request.commit();
                ledger = draft;
                last = points;
            }
        }
        let series: BTreeSet<u8> = ledger.points.iter().map(|point| point.0).collect();
        prop_assert_eq!(deltas.series_count(), series.len());
    }
}
