//! Where two answers differ.

use std::collections::BTreeMap;

use crate::answer::{Answer, Outcome, Point, Row};
use crate::known::{is_new, same_remark};

/// Functions and operators whose last bits the C library and Go have otherwise.
pub(crate) const INEXACT: [&str; 12] =
    ["sin(", "cos(", "tan(", "sinh(", "cosh(", "tanh(", "exp(", "ln(", "log2(", "log10(", " ^ ", " atan2 "];

/// By how much numbers may differ.
#[derive(Clone, Copy)]
struct Allowed {
    /// Of the larger.
    share: f64,
    /// Whether zero may have another sign.
    signs_of_zero: bool,
}

impl Allowed {
    /// Nothing, most of the time: the last bit and the sign of a zero count. But Go's sine, power and the like differ from
    /// the C library's in the last bit, which a sine of a large number, a remainder or a difference makes much larger. A
    /// sum or mean over series differs with the order of adding, and over several steps Prometheus keeps series in a hash
    /// table, whose order it draws anew for each query, or it picked or relabelled them; a variance, which is without compensation, much more so. 3.14 adds
    /// histograms up with compensated sums. And quantiles sort zeros of both signs, which are equal, as it happens.
    fn of(query: &str, is_instant: bool) -> Allowed {
        let has = |part: &str| query.contains(part);
        let over_series = |names: &[&str]| {
            names.iter().any(|name| [" (", " by", " without"].iter().any(|behind| has(&format!("{name}{behind}"))))
        };
        let reorders = ["label_", "limit", "sort", "topk", "bottomk", "count_values"].iter().any(|part| has(part));
        let any_order = !is_instant || has(":") || reorders;
        let of_histograms = (has("sum") || has("avg")) && (has("native") || has("mixed"));
        // Within a native histogram's bucket values lie by their logarithms.
        let logarithms = (has("histogram_quantile(") || has("histogram_fraction(")) && (has("native") || has("mixed"));
        let share =
            if INEXACT.iter().any(|part| has(part)) || logarithms || any_order && over_series(&["stddev", "stdvar"]) {
                1e-5
            } else if of_histograms || any_order && over_series(&["sum", "avg"]) {
                1e-9
            } else {
                0.0
            };
        Allowed { share, signs_of_zero: share > 0.0 || has("quantile") || has("mad_over_time") }
    }

    /// Where the last bits differ, what should cancel out may leave some of them.
    fn absolute(self) -> f64 {
        if self.share > 1e-9 { 1e-12 } else { 0.0 }
    }
}

/// What differs, in a line, or none.
pub(crate) fn compare(query: &str, is_instant: bool, ours: &Answer, theirs: &Answer) -> Option<String> {
    let difference = outcomes(query, is_instant, &ours.outcome, &theirs.outcome);
    difference.or_else(|| remarks(query, is_instant, "warnings", &ours.warnings, &theirs.warnings)).or_else(|| {
        // Of several pairs that an operator cannot join it tells the last, be it a warning or an info.
        let last_is_warning = theirs.warnings.iter().any(|text| text.contains("incompatible bucket layout"));
        let is_types = |text: &String| last_is_warning && text.contains("incompatible sample types");
        let infos: Vec<String> = ours.infos.iter().filter(|text| !is_types(text)).cloned().collect();
        let their_infos: Vec<String> = theirs.infos.iter().filter(|text| !is_types(text)).cloned().collect();
        remarks(query, is_instant, "infos", &infos, &their_infos)
    })
}

fn outcomes(query: &str, is_instant: bool, ours: &Outcome, theirs: &Outcome) -> Option<String> {
    match (ours, theirs) {
        (Outcome::Failed { kind: ours, .. }, Outcome::Failed { kind: theirs, .. }) => {
            (ours != theirs).then(|| format!("error: {ours}, not {theirs}"))
        }
        (Outcome::Failed { text, .. }, _) => Some(format!("error: ours alone fails: {text}")),
        (_, Outcome::Failed { text, .. }) => Some(format!("error: theirs alone fails: {text}")),
        (Outcome::Rows { shape, rows: ours }, Outcome::Rows { shape: wanted, rows: theirs }) => {
            if shape != wanted {
                return Some(format!("shape: {shape}, not {wanted}"));
            }
            rows(ours, theirs, Allowed::of(query, is_instant)).or_else(|| order(query, is_instant, ours, theirs))
        }
    }
}

fn rows(ours: &[Row], theirs: &[Row], allowed: Allowed) -> Option<String> {
    let by_labels = |rows: &[Row]| -> BTreeMap<BTreeMap<String, String>, usize> {
        rows.iter().enumerate().map(|(index, row)| (row.labels.clone(), index)).collect()
    };
    let (by_ours, by_theirs) = (by_labels(ours), by_labels(theirs));
    if by_ours.len() != ours.len() {
        return Some("labels: one set twice".to_owned());
    }
    for labels in by_ours.keys() {
        if !by_theirs.contains_key(labels) {
            return Some(format!("labels: ours alone has {labels:?}"));
        }
    }
    for (labels, index) in &by_theirs {
        let Some(mine) = by_ours.get(labels) else { return Some(format!("labels: theirs alone has {labels:?}")) };
        if let Some(what) = points(&ours[*mine].points, &theirs[*index].points, allowed) {
            return Some(format!("{what} of {labels:?}"));
        }
    }
    None
}

fn points(ours: &[(i64, Point)], theirs: &[(i64, Point)], allowed: Allowed) -> Option<String> {
    let times = |points: &[(i64, Point)]| points.iter().map(|(time_ms, _)| *time_ms).collect::<Vec<_>>();
    let (times_ours, times_theirs) = (times(ours), times(theirs));
    if times_ours != times_theirs {
        let alone = times_ours.iter().find(|time_ms| !times_theirs.contains(time_ms));
        let missing = times_theirs.iter().find(|time_ms| !times_ours.contains(time_ms));
        return Some(format!("times: ours alone {alone:?}, theirs alone {missing:?}"));
    }
    let differs = ours.iter().zip(theirs).find(|((_, ours), (_, theirs))| !alike(ours, theirs, allowed));
    differs.map(|((time_ms, ours), (_, theirs))| format!("value: {ours}, not {theirs} @{time_ms}"))
}

fn alike(ours: &Point, theirs: &Point, allowed: Allowed) -> bool {
    let close = |ours: f64, theirs: f64| close(ours, theirs, allowed);
    match (ours, theirs) {
        (Point::Number(ours), Point::Number(theirs)) => close(*ours, *theirs),
        (
            Point::Histogram { count, sum, buckets },
            Point::Histogram { count: their_count, sum: their_sum, buckets: their_buckets },
        ) => {
            close(*count, *their_count)
                && close(*sum, *their_sum)
                && buckets.len() == their_buckets.len()
                && buckets.iter().zip(their_buckets).all(|(ours, theirs)| {
                    ours.0 == theirs.0 && ours.1.iter().zip(theirs.1).all(|(ours, theirs)| close(*ours, theirs))
                })
        }
        _ => false,
    }
}

fn close(ours: f64, theirs: f64, allowed: Allowed) -> bool {
    ours == theirs && (ours != 0.0 || allowed.signs_of_zero || ours.is_sign_negative() == theirs.is_sign_negative())
        || ours.is_nan() && theirs.is_nan()
        || ours.is_finite()
            && theirs.is_finite()
            && allowed.share > 0.0
            && (ours - theirs).abs() <= allowed.absolute().max(allowed.share * ours.abs().max(theirs.abs()))
}

/// Whether the rows come in another order, where the language says which: values that are the same may be in any.
fn order(query: &str, is_instant: bool, ours: &[Row], theirs: &[Row]) -> Option<String> {
    let by_value = ["sort(", "sort_desc("].iter().any(|name| query.starts_with(name));
    let by_label = query.starts_with("sort_by_label");
    if is_instant && by_value {
        let differs = ours
            .iter()
            .zip(theirs)
            .any(|(ours, theirs)| points(&ours.points, &theirs.points, Allowed::of(query, is_instant)).is_some());
        return differs.then(|| "order: by value".to_owned());
    }
    let label = query.rsplit('"').nth(1).unwrap_or_default();
    if is_instant && by_label && ours.iter().any(|row| !row.labels.contains_key(label)) {
        // What has not the label is neither before nor behind anything to Prometheus.
        return None;
    }
    if !is_instant || by_label {
        let differs = ours.iter().zip(theirs).any(|(ours, theirs)| ours.labels != theirs.labels);
        return differs.then(|| "order: by labels".to_owned());
    }
    None
}

/// At most 10 are told, drawn from all: then only whether there are any is compared.
fn remarks(query: &str, is_instant: bool, what: &str, ours: &[String], theirs: &[String]) -> Option<String> {
    if ours.len().max(theirs.len()) >= 10 {
        let ours_are_new = ours.iter().all(|text| is_new(query, is_instant, text));
        return (ours_are_new != theirs.is_empty()).then(|| format!("{what}: none on one side"));
    }
    // Of several pairs of types at one place Prometheus tells the last.
    let is_types = |text: &String| text.contains("incompatible sample types");
    let types_are_told = theirs.iter().any(is_types);
    let has_same = |one: &&String| theirs.iter().any(|other| same_remark(query, one, other));
    let is_odd = |one: &&String| !(is_new(query, is_instant, one) || has_same(one) || is_types(one) && types_are_told);
    let ours_alone = ours.iter().find(is_odd);
    if let Some(text) = ours_alone {
        return Some(format!("{what}: ours alone: {text}"));
    }
    let theirs_alone = theirs.iter().find(|one| !ours.iter().any(|other| same_remark(query, other, one)));
    theirs_alone.map(|text| format!("{what}: theirs alone: {text}"))
}
