//! Rates and increases of native histograms, worked out here from the points that either side says they are of.
//!
//! ```text
//! increase((increase(native_gauge[45s]))[8m:7s]) at t
//!   ├─ ours:   the increase of our points, whose extrapolation stops at zero
//!   ├─ theirs: the increase of their points, whose extrapolation does not
//!   └─ points that are not the same: increase(native_gauge[45s]) at the moment of each, as above
//! ```
//!
//! Prometheus 3.5 stops numbers at zero only, 3.14 histograms too. Of increases in an increase either may be the larger, as
//! a point made smaller may be a first one, a last one, or one before a reset.
//!
//! Always true: what is known follows on both sides, number by number, from points that are the same on both.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, Outcome, Point, Row};
use crate::ask::When;
use crate::points::call;
use crate::run::Sides;
use crate::window::Window;

/// Why the answers differ then.
pub(crate) const REASON: &str =
    "3.5 does not stop extrapolating histograms at zero, which gauges and what is computed run into";
/// Most questions that go into a proof.
const QUESTIONS_MAX: usize = 1_000;

impl Sides {
    /// Whether each side's answer is the rate or increase that it would give to its points, down to points that are the
    /// same.
    pub(crate) async fn is_unstopped_at_zero(&mut self, query: &str, when: When) -> anyhow::Result<bool> {
        let When::At { time_ms } = when else { return Ok(false) };
        let at = format!("{}.{:03}", time_ms / 1000, time_ms % 1000);
        let mut open = vec![(query.replace("start()", &at).replace("end()", &at), time_ms)];
        for _ in 0..QUESTIONS_MAX {
            let Some((query, time_ms)) = open.pop() else { return Ok(true) };
            let Some(change) = Change::parse(&query) else { return Ok(false) };
            let at = When::At { time_ms };
            let (ours, theirs) = self.settled(&query, at).await?;
            let (our_points, their_points) = self.settled(change.points, at).await?;
            let has_same_rows = labels(&ours) == labels(&theirs);
            let is_ours = change.is_of(time_ms, Zero::Stops, &ours, &our_points);
            if !has_same_rows || !is_ours || !change.is_of(time_ms, Zero::IsPassed, &theirs, &their_points) {
                return Ok(false);
            }
            for time_ms in unlike(&our_points, &their_points) {
                let Some(inner) = change.inner else { return Ok(false) };
                open.push((inner.to_owned(), time_ms));
            }
        }
        Ok(false)
    }
}

/// When the points of two answers are not the same.
fn unlike(ours: &Answer, theirs: &Answer) -> Vec<i64> {
    let of = |answer: &Answer| -> BTreeMap<_, String> {
        let points = |row: &Row| {
            let labels = row.labels.clone();
            let points = row.points.clone().into_iter();
            points.map(move |(time_ms, point)| ((time_ms, labels.clone()), point.to_string())).collect::<Vec<_>>()
        };
        rows(answer).iter().flat_map(points).collect()
    };
    let (ours, theirs) = (of(ours), of(theirs));
    let mut found: Vec<i64> = ours
        .iter()
        .filter(|(key, point)| theirs.get(key) != Some(point))
        .chain(theirs.iter().filter(|(key, _)| !ours.contains_key(key)))
        .map(|((time_ms, _), _)| *time_ms)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn rows(answer: &Answer) -> &[Row] {
    match &answer.outcome {
        Outcome::Rows { rows, .. } => rows,
        Outcome::Failed { .. } => &[],
    }
}

fn labels(answer: &Answer) -> BTreeSet<&BTreeMap<String, String>> {
    rows(answer).iter().map(|row| &row.labels).collect()
}

/// What an extrapolation back to where the counter would have been zero does there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zero {
    Stops,
    IsPassed,
}

/// A rate or an increase.
struct Change<'q> {
    /// The question of its points.
    points: &'q str,
    /// What these are of, if they are a subquery's.
    inner: Option<&'q str>,
    window: Window,
    is_rate: bool,
}

impl<'q> Change<'q> {
    fn parse(query: &'q str) -> Option<Change<'q>> {
        let (name, points) = call(unwrapped(query))?;
        let is_rate = match name {
            "rate" => true,
            "increase" => false,
            _ => return None,
        };
        let (of, _) = points.split_at(points.rfind('[')?);
        let window = Window::parse(&points[of.len()..])?;
        let inner = points[of.len()..].contains(':').then(|| unwrapped(of));
        Some(Change { points, inner, window, is_rate })
    }

    /// Whether each row is that of the points of its labels, of which there may be too few for a row.
    fn is_of(&self, time_ms: i64, zero: Zero, answer: &Answer, points: &Answer) -> bool {
        rows(answer).iter().all(|row| {
            let mut of_row = rows(points).iter().filter(|points| nameless(points) == nameless(row));
            match (&row.points[..], of_row.next(), of_row.next()) {
                ([(_, told)], Some(points), None) => self.is_change(time_ms, zero, told, &points.points),
                _ => false,
            }
        })
    }

    fn is_change(&self, time_ms: i64, zero: Zero, told: &Point, points: &[(i64, Point)]) -> bool {
        let counted: Option<Vec<_>> = points.iter().map(|(time_ms, point)| Some((*time_ms, counted(point)?))).collect();
        let (Some(told), Some(points)) = (counted_but_zero(told), counted) else { return false };
        let Some(factor) = self.factor(time_ms, zero, &points) else { return false };
        let risen = rise(&points);
        told.keys().all(|part| risen.contains_key(part))
            && risen.iter().filter(|(part, _)| **part != Part::Zero).all(|(part, (value, size))| {
                let told = told.get(part).copied().unwrap_or(0.0);
                (told - value * factor).abs() <= 1e-9 * (size * factor).max(1e-6)
            })
    }

    /// By how much a rise between the first and the last point is extrapolated.
    fn factor(&self, time_ms: i64, zero: Zero, points: &[(i64, Counted)]) -> Option<f64> {
        let ([(first_ms, first), .., (last_ms, _)], ends_ms) = (points, self.window.ends_ms(time_ms)) else {
            return None;
        };
        let seconds = |from_ms: i64, to_ms: i64| (to_ms - from_ms) as f64 / 1000.0;
        let between = seconds(*first_ms, *last_ms);
        let mean = between / (points.len() - 1) as f64;
        let reach = |gap: f64| if gap >= mean * 1.1 { mean / 2.0 } else { gap };
        let mut before = reach(seconds(ends_ms - self.window.range_ms, *first_ms));
        let behind = reach(seconds(*last_ms, ends_ms));
        let (count, risen) = (first[&Part::Count], rise(points)[&Part::Count].0);
        if zero == Zero::Stops && risen > 0.0 && count >= 0.0 {
            before = before.min(between * (count / risen));
        }
        let share = if self.is_rate { self.window.range_ms as f64 / 1000.0 } else { 1.0 };
        Some((between + before + behind) / between / share)
    }
}

/// Without parentheses around all of it.
fn unwrapped(query: &str) -> &str {
    match call(query) {
        Some(("", inside)) => unwrapped(inside),
        _ => query,
    }
}

fn nameless(row: &Row) -> BTreeMap<&str, &str> {
    let labels = row.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    labels.filter(|(name, _)| *name != "__name__").collect()
}

/// What a histogram counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Count,
    Sum,
    /// The bucket around zero, which is not told if it is below zero.
    Zero,
    /// Any other, by the bits of its bounds.
    Bucket([u64; 2]),
}

type Counted = BTreeMap<Part, f64>;

fn counted_but_zero(point: &Point) -> Option<Counted> {
    let Point::Histogram { count, sum, buckets } = point else { return None };
    let outside = buckets.iter().filter(|(_, [lower, upper, _])| *lower != -upper);
    let told = outside.map(|(_, [lower, upper, held])| (Part::Bucket([lower.to_bits(), upper.to_bits()]), *held));
    let all: Counted = told.chain([(Part::Count, *count), (Part::Sum, *sum)]).collect();
    all.values().all(|value| value.is_finite()).then_some(all)
}

fn counted(point: &Point) -> Option<Counted> {
    let Point::Histogram { buckets, .. } = point else { return None };
    let mut all = counted_but_zero(point)?;
    let told = buckets.iter().find(|(_, [lower, upper, _])| *lower == -upper).map(|(_, [_, _, held])| *held);
    let others: f64 = all.iter().filter(|(part, _)| matches!(part, Part::Bucket(_))).map(|(_, held)| held).sum();
    let left = all[&Part::Count] - others;
    // What is left of the count by rounding alone is nothing.
    let untold = if left < -1e-9 * others.abs() { left } else { 0.0 };
    all.insert(Part::Zero, told.unwrap_or(untold));
    Some(all)
}

/// Whether a counter that goes from one to the other starts anew between them.
fn is_reset(before: &Counted, next: &Counted) -> bool {
    before.iter().filter(|(part, _)| **part != Part::Sum).any(|(part, held)| match (part, next.get(part)) {
        (_, Some(next)) => next < held,
        (_, None) => *held != 0.0,
    })
}

/// By how much a counter rises over its points, of which there are two or more: each part, and the size of what it is
/// the sum of.
fn rise(points: &[(i64, Counted)]) -> BTreeMap<Part, (f64, f64)> {
    let mut total: BTreeMap<Part, (f64, f64)> = BTreeMap::new();
    let mut add = |counted: &Counted, sign: f64| {
        for (part, held) in counted {
            let (value, size) = total.entry(*part).or_default();
            *value += sign * held;
            *size += held.abs();
        }
    };
    for (index, pair) in points.windows(2).enumerate() {
        let [(_, before), (_, next)] = pair else { continue };
        match (index, is_reset(before, next)) {
            // Of a first point that a reset follows, nothing is known to have risen.
            (0, false) => add(before, -1.0),
            (0, true) | (_, false) => {}
            (_, true) => add(before, 1.0),
        }
    }
    points.iter().next_back().into_iter().for_each(|(_, last)| add(last, 1.0));
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A histogram of one bucket.
    fn histogram(count: f64) -> Point {
        Point::Histogram { count, sum: 2.0 * count, buckets: vec![(0, [1.0, 2.0, count])] }
    }

    fn change(query: &str) -> Change<'_> {
        Change::parse(query).expect("a rate or an increase")
    }

    #[test]
    fn rates_and_increases_are_taken_apart() {
        let outer = change("(increase((rate(native_gauge[45s]))[8m:7s] offset 5s))");
        assert_eq!(outer.points, "(rate(native_gauge[45s]))[8m:7s] offset 5s");
        assert_eq!(outer.inner, Some("rate(native_gauge[45s])"));
        assert!(!outer.is_rate && change("rate(native_gauge[45s])").is_rate);
        assert_eq!(change(r#"rate(native{job=~"[^a].+"}[45s])"#).inner, None);
        assert!(Change::parse("rate(a[1m]) + rate(b[1m])").is_none());
        assert!(Change::parse("delta(native_gauge[45s])").is_none());
    }

    /// From 2 at 10 s to 12 at 40 s, then anew with 3 at 50 s: 13 in 40 s. In 60 s from 0 s on it is 13 / 40 s x 60 s =
    /// 19.5 unless it stops at zero, which is 40 s x 2 / 13 before the first: (40 + 6.154 + 10) / 40 x 13 = 18.25.
    #[test]
    fn an_increase_stops_at_zero_or_passes_it() {
        let points =
            [(10_000, histogram(2.0)), (25_000, histogram(7.0)), (40_000, histogram(12.0)), (50_000, histogram(3.0))];
        let increase = change("increase(native[1m])");
        let is = |zero: Zero, count: f64| increase.is_change(60_000, zero, &histogram(count), &points);
        assert!(is(Zero::Stops, 18.25));
        assert!(is(Zero::IsPassed, 19.5));
        assert!(!is(Zero::Stops, 19.5) && !is(Zero::IsPassed, 18.25));
        let rate = change("rate(native[1m])");
        assert!(rate.is_change(60_000, Zero::IsPassed, &histogram(19.5 / 60.0), &points));
        let other = Point::Histogram { count: 18.25, sum: 36.5, buckets: vec![(0, [1.0, 2.0, 18.0])] };
        assert!(!increase.is_change(60_000, Zero::Stops, &other, &points), "a bucket is another");
    }

    #[test]
    fn a_first_point_before_a_reset_counts_for_nothing() {
        let points = [(0, counted(&histogram(9.0)).expect("counted")), (1, counted(&histogram(4.0)).expect("counted"))];
        assert_eq!(rise(&points)[&Part::Count].0, 4.0);
    }

    #[test]
    fn a_bucket_below_zero_that_is_not_told_is_what_the_others_leave() {
        let point = Point::Histogram { count: -3.0, sum: 0.0, buckets: vec![(0, [1.0, 2.0, 4.0])] };
        assert_eq!(counted(&point).expect("counted")[&Part::Zero], -7.0);
    }

    #[test]
    fn points_are_unlike_where_one_side_has_another_or_none() {
        let answer = |points: Vec<(i64, Point)>| Answer {
            outcome: Outcome::Rows { shape: "matrix".to_owned(), rows: vec![Row { labels: BTreeMap::new(), points }] },
            warnings: Vec::new(),
            infos: Vec::new(),
        };
        let ours = answer(vec![(1, histogram(1.0)), (2, histogram(2.0)), (3, histogram(3.0))]);
        let theirs = answer(vec![(1, histogram(1.0)), (2, histogram(2.5)), (4, histogram(4.0))]);
        assert_eq!(unlike(&ours, &theirs), [2, 3, 4]);
    }
}
