//! Sums and means of histograms over time, made of the points that Prometheus says it adds up.
//!
//! ```text
//! sum_over_time((idelta(native))[5m:7s]) ─► (idelta(native))[5m:7s], whose points are added up here
//! ```
//!
//! Prometheus 3.5 adds histograms up in memory that other points of the same subquery have as well: where its own points
//! add up to what Dozor says, it is at odds with itself.

use std::collections::BTreeMap;

use crate::answer::{Answer, Outcome, Point, Row};

/// The question of the points of a sum or mean, and whether it is a mean.
pub(crate) fn of_what(query: &str) -> Option<(&str, bool)> {
    let (name, inside) = call(query)?;
    let is_mean = match name {
        "sum_over_time" => false,
        "avg_over_time" => true,
        _ => return None,
    };
    inside.contains(':').then_some((inside, is_mean))
}

/// Name and inside of a call that there is nothing behind.
pub(crate) fn call(query: &str) -> Option<(&str, &str)> {
    let (name, rest) = query.split_once('(')?;
    let inside = rest.strip_suffix(')')?;
    // A parenthesis that is closed before the end would leave something else behind.
    let mut depth = 0_i32;
    let closes = inside.chars().any(|letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        depth < 0
    });
    (!closes).then_some((name, inside))
}

/// Count, sum and buckets but for that of zero, which is not told where it is below zero.
type Parts = (f64, f64, BTreeMap<(u8, [u64; 2]), f64>);

fn parts(point: &Point) -> Option<Parts> {
    let Point::Histogram { count, sum, buckets } = point else { return None };
    let is_outside_zero = |bounds: &[f64; 3]| bounds[0] >= 0.0 || bounds[1] <= 0.0;
    let told = buckets.iter().filter(|(_, bounds)| is_outside_zero(bounds));
    Some((
        *count,
        *sum,
        told.map(|(kind, [lower, upper, held])| ((*kind, [lower.to_bits(), upper.to_bits()]), *held)).collect(),
    ))
}

/// Whether what each row has at this time is the sum, or the mean, of the points of its labels.
pub(crate) fn are_of(rows: &Answer, time_ms: i64, points: &Answer, is_mean: bool) -> bool {
    let (Outcome::Rows { rows, .. }, Outcome::Rows { rows: all, .. }) = (&rows.outcome, &points.outcome) else {
        return false;
    };
    let at = |row: &Row| row.points.iter().find(|(at_ms, _)| *at_ms == time_ms).map(|(_, point)| point.clone());
    let totals: Vec<_> = rows.iter().filter_map(|row| Some((&row.labels, at(row)?))).collect();
    totals.len() == all.len()
        && totals.iter().all(|(labels, total)| {
            let of_row = all.iter().find(|points| points.labels == **labels);
            of_row.is_some_and(|of_row| is_total(total, &of_row.points, is_mean))
        })
}

fn is_total(total: &Point, points: &[(i64, Point)], is_mean: bool) -> bool {
    let Some((count, sum, held)) = parts(total) else { return false };
    let all: Option<Vec<Parts>> = points.iter().map(|(_, point)| parts(point)).collect();
    let Some(all) = all else { return false };
    let share = if is_mean { 1.0 / all.len() as f64 } else { 1.0 };
    let near = |ours: f64, added: f64, size: f64| (ours - added * share).abs() <= 1e-9 * size.max(1e-3);
    let mut buckets: BTreeMap<(u8, [u64; 2]), (f64, f64)> = held.keys().map(|key| (*key, (0.0, 0.0))).collect();
    for (key, held) in all.iter().flat_map(|(_, _, held)| held) {
        let (added, size) = buckets.entry(*key).or_default();
        *added += held;
        *size += held.abs();
    }
    let size = |of: fn(&Parts) -> f64| all.iter().map(|parts| of(parts).abs()).sum::<f64>();
    near(count, all.iter().map(|parts| parts.0).sum(), size(|parts| parts.0))
        && near(sum, all.iter().map(|parts| parts.1).sum(), size(|parts| parts.1))
        && buckets.iter().all(|(key, (added, size))| near(held.get(key).copied().unwrap_or(0.0), *added, *size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_around_a_subquery_is_taken_off() {
        assert_eq!(of_what("sum_over_time((native)[5m:7s])"), Some(("(native)[5m:7s]", false)));
        assert_eq!(of_what("avg_over_time((native)[5m:7s] offset 1m)"), Some(("(native)[5m:7s] offset 1m", true)));
        assert_eq!(of_what("sum_over_time(native[5m])"), None);
        assert_eq!(of_what("sum_over_time((native)[5m:7s]) + sum_over_time((native)[5m:7s])"), None);
    }

    fn histogram(count: f64, held: f64) -> Point {
        Point::Histogram { count, sum: 2.0 * count, buckets: vec![(0, [1.0, 2.0, held])] }
    }

    #[test]
    fn a_total_is_that_of_all_buckets() {
        let points = [(1, histogram(3.0, 3.0)), (2, histogram(5.0, 5.0))];
        assert!(is_total(&histogram(8.0, 8.0), &points, false));
        assert!(is_total(&histogram(4.0, 4.0), &points, true));
        assert!(!is_total(&histogram(8.0, 7.0), &points, false), "a bucket is another");
        assert!(!is_total(&histogram(7.0, 8.0), &points, false), "the count is another");
    }
}
