//! What is known, each with its reason.

use super::{Case, Rule, fails};
use crate::answer::{Point, Row};
use crate::compare::INEXACT;
use crate::unstopped;

pub(super) const RULES: &[Rule] = &[
    Rule {
        reason: "3.5 panics over some histograms, and breaks the connection off or says so",
        may_be: |case| ["broke off", "runtime error", "have no zero bucket"].iter().any(|how| fails(case.theirs, how)),
        is: |_| true,
    },
    Rule {
        reason: "3.5 reads no buckets where only counts and sums are wanted: what has other buckets is added up, and a reset \
                 that only buckets show is none; of two that are compared one may have the buckets of what was read before",
        may_be: |case| {
            let refuses = case.ours_fails("same labelset") && case.asks_any(&["label_replace(", "label_join("]);
            let differs = case.differs_in(&["labels", "times: ours alone None", "value"]);
            case.asks_any(&OF_COUNTS) && (differs || refuses && of_other_buckets(case))
        },
        is: |case| {
            if case.ours_fails("same labelset") {
                return case.asks_native();
            }
            let mixes = case.ours.warnings.iter().any(|text| text.contains("exponential and custom"));
            let resets = case.asks_any(&SEE_RESETS) && case.differs_in(&["value", "labels"]);
            let compares = case.asks_any(&EQUALS) && case.differs_in(&["value", "labels"]);
            case.asks_native() && (mixes || resets || compares)
        },
    },
    Rule {
        reason: "3.5 does not see that a bucket is gone from a counter if there is an empty one before it, and goes on in \
                 the chunk as if there had been no reset",
        may_be: |case| case.asks_any(&SEE_RESETS) && case.asks_native() && case.differs_in(&["value"]),
        is: |case| case.begins(&SEE_RESETS) && !case.asks_any(&[":", "-"]) && is_never_less(case),
    },
    Rule {
        reason: "a counter whose counts are not numbers, or below zero, starts anew where its empty buckets do, and Prometheus \
                 has more of those",
        may_be: |case| case.asks_any(&SEE_RESETS) && case.asks_any(&["-", "*", "/"]) && case.asks_native(),
        is: |case| {
            let computed = case.asks_any(&["-native", "-mixed", " * ", " / "]);
            case.begins(&SEE_RESETS) && computed && case.asks(":") && case.differs_in(&["value"])
        },
    },
    Rule {
        reason: "3.14 drops the sum or difference of histograms whose hints of resets contradict each other",
        may_be: |case| contradicts(case) && case.differs_in(&["labels: theirs alone", "times", "value"]),
        is: |case| case.asks_any(&[" - ", " + "]),
    },
    Rule {
        reason: "3.5 looks for doubled matches only where the comparison holds",
        may_be: |case| case.ours_fails("multiple matches for labels") && case.filters(),
        is: |_| true,
    },
    Rule {
        reason: "3.5 does not look at the parameter of an aggregation over nothing",
        may_be: |case| case.ours_fails("overflows int64") || case.ours_fails("value is NaN"),
        is: |case| {
            let nothing = case.begins(&TAKES_ONE) && case.their_rows().is_empty();
            nothing || case.asks(":") && case.asks_any(&TAKES_ONE)
        },
    },
    Rule {
        reason: "3.5 gives NaN for a fraction of a classic histogram from within its lowest bucket",
        may_be: |case| case.asks("histogram_fraction(") && case.asks_any(&["latency", "le"]),
        is: |case| case.begins(&["histogram_fraction("]) && case.what.contains(", not NaN"),
    },
    Rule {
        reason: "info() of 3.5 drops series that have the wanted labels already, or neither job nor instance",
        may_be: |case| case.asks("info(") && case.asks("{"),
        is: |case| {
            let is_one_of_ours = |row: &Row| case.our_rows().iter().any(|ours| ours.labels == row.labels);
            case.begins(&["info("]) && case.asks(", {") && case.their_rows().iter().all(is_one_of_ours)
        },
    },
    Rule {
        reason: "info() of 3.5 reads the info series as of the query's time and no further back than a window in it, and takes \
                 another's where one is missing at a step",
        may_be: |case| {
            let doubles = case.ours_fails("found duplicate series") && !case.is_instant;
            case.asks("info(") && (case.asks_any(&["offset", "@", "["]) || doubles)
        },
        is: |case| {
            case.ours_fails("found duplicate series")
                || differs_in_info_alone(case)
                || case.asks(":") && case.differs_in(&["labels", "times", "value"])
        },
    },
    Rule {
        reason: "3.5 refuses relabelled or negated series of the same labels even if they are not there at the same steps",
        may_be: |case| case.theirs_fails("same labelset") && (!case.is_instant || case.asks(":")),
        is: |case| {
            let negates = case.begins(&["-"]) || case.asks(":") && case.asks_any(&["((-", "(-("]);
            case.asks_any(&["label_replace(", "label_join("]) || negates && case.asks(" or ")
        },
    },
    Rule {
        reason: "Prometheus keeps empty buckets of other samples in a histogram, which show where all become NaN",
        may_be: |case| ["{count:NaN", "{count:inf", "{count:-inf"].iter().any(|part| case.what.contains(part)),
        is: |case| case.differs_in(&["value"]) && case.asks_any(&[" * ", " / "]),
    },
    Rule {
        reason: unstopped::REASON,
        may_be: |case| case.asks_any(&["rate(", "increase("]) && (case.asks("native_gauge") || case.asks(":")),
        // What is more than a factor is worked out from the points.
        is: |case| case.begins(&["rate(", "increase("]) && is_scaled_up(case),
    },
    Rule {
        reason: "3.14 adds histograms up with compensated sums: where the last digits are written, rounded or all that is \
                 left, that shows",
        may_be: |case| {
            let shows = case.asks_any(&[" == ", " != ", " - ", " % ", "count_values", "ts_of_m", "changes(", "delta("]);
            (shows || [&ROUNDS[..], &SEE_RESETS[..], &FITS_LINES[..]].iter().any(|parts| case.asks_any(parts)))
                && case.asks_any(&["avg", "sum"])
                && case.asks_native()
        },
        is: |case| {
            let is_reset = case.begins(&SEE_RESETS) && case.asks(":") && case.differs_in(&["value"]);
            is_reset || !case.begins(&SEE_RESETS) && case.differs_in(&["labels", "value", "times"])
        },
    },
    Rule {
        reason: "the C library's powers, sines and the like differ from Go's in the last bits: what is written with all digits, \
                 rounded, compared, chosen by, or a sine of something large, shows that",
        may_be: |case| {
            let tells = case.differs_in(&[QUANTILE, RATIO]);
            let shows = shows_last_bits(case)
                || [&SEE_RESETS[..], &FITS_LINES[..], &CHOOSE[..]].iter().any(|parts| case.asks_any(parts));
            let by_value = case.differs_in(&["value", "labels", "times"]);
            let inexact = inexact(case);
            (by_value || tells) && (inexact > 1 || inexact > 0 && (shows || tells))
        },
        is: |case| {
            let in_window = case.asks(":") && (case.begins(&SEE_RESETS) || case.begins(&FITS_LINES));
            let chooses = case.begins(&CHOOSE) && has_nearly_the_same_values(case);
            inexact(case) > 1 || shows_last_bits(case) || in_window || chooses || case.differs_in(&[QUANTILE, RATIO])
        },
    },
    Rule {
        reason: "3.14 takes a histogram times a negative number for a gauge",
        may_be: |case| {
            case.what.contains("ours alone") && case.what.contains("not a counter")
                || case.what.contains("theirs alone") && case.what.contains("not a gauge")
        },
        is: |case| case.asks("-") && case.asks(":") && case.asks_native(),
    },
    Rule {
        reason: "Prometheus forgets the offset of timestamp(x @ t offset o)",
        may_be: |case| case.asks("timestamp(") && case.asks("@") && case.asks("offset"),
        is: |case| {
            case.begins(&["timestamp("]) && case.query.matches('(').count() - case.query.matches("()").count() == 1
        },
    },
    Rule {
        reason: "two equal histograms are a change to Prometheus where only one of them was given empty buckets of others",
        may_be: |case| case.asks("changes(") && case.asks_native(),
        is: |case| case.begins(&["changes("]) && case.differs_in(&["value"]),
    },
    Rule {
        reason: "two equal histograms are not equal to Prometheus where one of them was given empty buckets of others, and what \
                 an operator makes has none",
        may_be: |case| {
            case.asks_any(&EQUALS) && case.asks_native() && case.asks_any(&[" * ", " / ", " + ", " - ", "(-"])
        },
        is: |case| case.asks_any(&EQUALS) && case.differs_in(&["value", "labels", "times"]),
    },
    Rule {
        reason: "a label's number that is too large for 64 bits is text to Prometheus beside a small one, which makes circles of \
                 three; ours comes behind the small ones",
        may_be: |case| case.asks("sort_by_label") && case.differs_in(&["order"]),
        is: |case| case.begins(&["sort_by_label"]) && has_a_label_of_many_digits(case),
    },
    Rule {
        reason: "what a heap chose comes in no order behind what is sorted",
        may_be: |case| case.differs_in(&["order"]) && case.asks_any(&CHOOSE) && case.asks(" or "),
        is: |case| !case.begins(&CHOOSE) && has_the_same_values(case),
    },
    Rule {
        reason: "Go on x86-64 takes for infinite what is just below the largest number",
        may_be: |case| {
            let limit = ["not inf", "not 0.0", "not -0.0", "not -inf"].iter().any(|part| case.what.contains(part));
            limit && case.asks_any(&["sinh(", "cosh(", "exp("])
        },
        is: |_| true,
    },
    Rule {
        reason: "Prometheus does not resolve start() and end() in the parameter of an aggregation",
        may_be: |case| case.asks_any(&TAKES_ONE) && case.asks_any(&["@ start()", "@ end()"]),
        is: |case| {
            let is_in_parameter = |call: &str| arguments(call).first().is_some_and(|first| first.contains("@ "));
            let in_window = || case.asks(":") && calls(case.query, &TAKES_ONE).any(is_in_parameter);
            case.begins(&TAKES_ONE) && is_in_parameter(case.query) || in_window()
        },
    },
    Rule {
        reason: "Prometheus asks for the parameter of an aggregation once if what is aggregated is the same at all steps",
        may_be: |case| {
            let of_steps = !case.is_instant || case.asks(":");
            of_steps && case.asks_any(&TAKES_ONE) && case.asks_any(&["vector(", "@"])
        },
        is: |case| calls(case.query, &TAKES_ONE).any(is_of_the_same_with_another_parameter),
    },
    Rule {
        reason: "of the parameters of several steps that are out of range, each version tells others",
        may_be: |case| {
            let of_steps = !case.is_instant || case.asks(":");
            of_steps && case.differs_in(&[QUANTILE, RATIO, THEIR_QUANTILE])
        },
        is: |case| case.ours.warnings.len() == case.theirs.warnings.len() || case.asks("quantile"),
    },
    Rule {
        reason: "of what is wrong with several pairs of an operator at one step Prometheus tells the last alone",
        may_be: |case| case.what.contains("ours alone") && case.what.contains("for binary operator"),
        is: |case| {
            let remarks = case.theirs.warnings.iter().chain(&case.theirs.infos);
            remarks.filter(|text| text.contains("for binary operator")).count() > 0
        },
    },
    Rule {
        reason: "of zeros of both signs Go's sorting, which is not stable, puts either first: a median is one of them, which a \
                 division by it shows, or its text",
        may_be: |case| {
            let limit = ["inf", "-0.0"].iter().any(|part| case.what.contains(part));
            let divides = limit && case.asks_any(&[" / ", "atan2", " ^ "]);
            let writes = case.asks("count_values") && case.what.contains("\"-0\"");
            (divides || writes) && case.asks_any(&["quantile", "mad_over_time"])
        },
        is: |case| {
            let written = case.begins(&["count_values"]) && case.differs_in(&["labels"]);
            case.asks_any(&["quantile", "mad_over_time"]) && (written || case.differs_in(&["value"]))
        },
    },
    Rule {
        reason: "of zeros of both signs a maximum or minimum is the one that comes first, and what a heap chose comes in an order \
                 that is another at times",
        may_be: |case| case.what.contains("-0.0") && case.asks_any(&EXTREMES) && case.asks_any(&CHOOSE),
        is: |case| case.begins(&EXTREMES) && case.differs_in(&["value"]),
    },
    Rule {
        reason: "Prometheus puts matchers into another order while it reads, and absent() of a label twice goes by that",
        may_be: |case| case.asks("absent") && case.differs_in(&["labels"]),
        is: |case| names_a_label_twice(case.query),
    },
    Rule {
        reason: "a quantile of counts below zero is that of the last bucket, be it one of Prometheus's empty ones",
        may_be: |case| case.asks("histogram_quantile(") && case.asks_native() && case.asks("-"),
        is: |case| case.begins(&["histogram_quantile("]) && case.differs_in(&["value"]),
    },
    Rule {
        reason: "equal numbers come in another order out of relabelling, of Go's sorting, which is not stable, of a heap, and of \
                 an aggregation or a matching of labels, whose rows come in the order of the series that are there",
        may_be: |case| {
            let reorders = [
                "label_",
                "limit_ratio",
                "sort",
                "k (",
                "k by",
                "k without",
                " by (",
                " without (",
                " on (",
                " ignoring (",
            ];
            let parts: usize = reorders.iter().map(|part| case.query.matches(part).count()).sum();
            case.asks_any(&CHOOSE) && parts > 1 && case.differs_in(&["labels"])
        },
        is: |case| case.begins(&CHOOSE) && has_the_same_values(case),
    },
    Rule {
        reason: "a variance over series depends on the order of adding, and count_values writes all digits, a comparison looks at \
                 them, and a division by what should be zero is about them: Prometheus has what limitk and its like choose in a heap, and series over several steps in a hash table",
        may_be: |case| {
            let in_heap = case.asks_any(&CHOOSE) || case.asks("limit_ratio");
            let written = case.asks("count_values") && case.differs_in(&["labels"]);
            let divides = case.asks(" / ") && case.differs_in(&["value"]);
            (in_heap || case.asks(":") || !case.is_instant)
                && (written || divides || case.asks_any(&COMPARES) && case.differs_in(&["labels", "times", "value"]))
                && case.asks_any(&["stddev", "stdvar"])
        },
        is: |case| {
            let compares = case.asks_any(&COMPARES) && case.query.matches("std").count() > 1;
            let divides = case.asks(" / ") && has_a_huge_value(case);
            compares || divides || case.begins(&["count_values"]) && has_nearly_the_same_labels(case)
        },
    },
    Rule {
        reason: "Prometheus looks at another time for (x @ t)[a:b] offset o, or @ o, if the subquery happens to start at the \
                 query's",
        may_be: |case| {
            let is_twice_shifted = case.asks("offset") || case.query.matches('@').count() > 1;
            case.asks(":") && case.asks("@") && is_twice_shifted
        },
        is: |case| is_shifted_subquery_of_fixed(case.query),
    },
    Rule {
        reason: "Prometheus evaluates a subquery at moments that are in no window, and remarks upon them or fails there",
        may_be: |case| {
            case.has_idle_moments() && case.differs_in(&["warnings: theirs", "infos: theirs", "error: theirs alone"])
        },
        is: |_| true,
    },
];

const OF_COUNTS: [&str; 3] = ["histogram_count(", "histogram_sum(", "histogram_avg("];
const SEE_RESETS: [&str; 4] = ["rate(", "irate(", "increase(", "resets("];
const TAKES_ONE: [&str; 5] = ["quantile", "limitk", "limit_ratio", "topk", "bottomk"];
const ROUNDS: [&str; 10] =
    ["floor(", "ceil(", "round(", "minute(", "hour(", "day_of", "days_in", "month(", "year(", "sgn("];
const COMPARES: [&str; 6] = [" == ", " != ", " < ", " > ", " <= ", " >= "];
const EQUALS: [&str; 2] = [" == ", " != "];
const CHOOSE: [&str; 3] = ["limitk", "topk", "bottomk"];
const EXTREMES: [&str; 6] = ["max (", "max by (", "max without (", "min (", "min by (", "min without ("];
const FITS_LINES: [&str; 2] = ["deriv(", "predict_linear("];
const QUANTILE: &str = "warnings: ours alone: PromQL warning: quantile value should be";
const THEIR_QUANTILE: &str = "warnings: theirs alone: PromQL warning: quantile value should be";
const RATIO: &str = "warnings: ours alone: PromQL warning: ratio value should be";

/// How many parts of a question the C library and Go have otherwise.
fn inexact(case: &Case<'_>) -> usize {
    INEXACT.iter().map(|part| case.query.matches(part).count()).sum()
}

fn shows_last_bits(case: &Case<'_>) -> bool {
    case.asks_any(&[" % ", "count_values", "changes("]) || case.asks_any(&ROUNDS) || case.asks_any(&COMPARES)
}

/// What a call is given, as it is written.
pub(super) fn arguments(query: &str) -> Vec<String> {
    let inside = query.split_once('(').map_or("", |(_, behind)| behind.strip_suffix(')').unwrap_or(behind));
    let (mut depth, mut found) = (0, vec![String::new()]);
    for letter in inside.chars() {
        match letter {
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            _ => {}
        }
        match letter {
            ',' if depth == 0 => found.push(String::new()),
            ' ' if found.last().is_some_and(String::is_empty) => {}
            _ => found.iter_mut().last().into_iter().for_each(|last| last.push(letter)),
        }
    }
    found
}

/// The calls of these, each with all that it is given.
fn calls<'q>(query: &'q str, names: &'q [&'q str]) -> impl Iterator<Item = &'q str> {
    names.iter().flat_map(|name| query.match_indices(name)).filter_map(|(at, name)| {
        let call = &query[at..];
        if !call[name.len()..].starts_with([' ', '(']) {
            return None;
        }
        let grouping = call[name.len()..].trim_start().starts_with(['b', 'w']);
        let ends = call.match_indices(')').filter(|(end, _)| {
            let inside = &call[..=*end];
            inside.matches('(').count() == inside.matches(')').count()
        });
        let (end, _) = ends.take(1 + usize::from(grouping)).last()?;
        Some(&call[..=end])
    })
}

/// Whether an aggregation is of what no step changes, and its parameter is of what one may.
pub(super) fn is_of_the_same_with_another_parameter(call: &str) -> bool {
    let given = arguments(call);
    let (Some(parameter), Some(last)) = (given.first(), given.last()) else { return false };
    // Behind a grouping stands its own parenthesis.
    let grouped = parameter.split_once(") (").filter(|(labels, _)| !labels.contains('('));
    let parameter = grouped.map_or(parameter.as_str(), |(_, parameter)| parameter);
    parameter.contains('(') && (last.starts_with("vector(") || last.contains("@ "))
}

/// Whether they say of histograms that one cannot be added to another, and left it out for that.
fn of_other_buckets(case: &Case<'_>) -> bool {
    case.theirs.warnings.iter().any(|text| text.contains("incompatible bucket layout"))
}

fn contradicts(case: &Case<'_>) -> bool {
    case.ours.warnings.iter().any(|text| text.contains("conflicting counter resets"))
}

/// Whether the values are the same, if they count: only the labels are others'.
fn has_the_same_values(case: &Case<'_>) -> bool {
    let values = |rows: &[Row]| {
        // Zeros of both signs are equal.
        let text = |point: &Point| match point {
            Point::Number(value) => format!("{:?}", value + 0.0),
            Point::Histogram { .. } => point.to_string(),
        };
        let points = rows.iter().flat_map(|row| &row.points).map(|(time_ms, point)| (*time_ms, text(point)));
        let mut all: Vec<_> = points.collect();
        all.sort();
        all
    };
    let (ours, theirs) = (values(case.our_rows()), values(case.their_rows()));
    if case.begins(&["limitk"]) { ours.len() == theirs.len() } else { ours == theirs }
}

/// Whether the values are the same numbers but for their last digits: only the labels are others'.
pub(super) fn has_nearly_the_same_values(case: &Case<'_>) -> bool {
    let values = |rows: &[Row]| -> Option<Vec<(i64, f64)>> {
        let number = |(time_ms, point): &(i64, Point)| match point {
            Point::Number(value) => Some((*time_ms, *value)),
            Point::Histogram { .. } => None,
        };
        let mut all: Vec<_> = rows.iter().flat_map(|row| &row.points).map(number).collect::<Option<_>>()?;
        all.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        Some(all)
    };
    let (Some(ours), Some(theirs)) = (values(case.our_rows()), values(case.their_rows())) else { return false };
    let near = |ours: f64, theirs: f64| ours == theirs || (ours - theirs).abs() <= 1e-12 * theirs.abs();
    let alike = ours.iter().zip(&theirs).all(|(ours, theirs)| ours.0 == theirs.0 && near(ours.1, theirs.1));
    alike && ours.len() == theirs.len()
}

/// Whether one of our labels has a number in it that 64 bits cannot hold.
fn has_a_label_of_many_digits(case: &Case<'_>) -> bool {
    let is_long = |value: &String| value.split(|letter: char| !letter.is_ascii_digit()).any(|run| run.len() > 18);
    case.our_rows().iter().any(|row| row.labels.values().any(is_long))
}

/// Whether one of our values is what a division by rounding errors gives.
fn has_a_huge_value(case: &Case<'_>) -> bool {
    let is_huge = |point: &Point| matches!(point, Point::Number(value) if value.abs() > 1e12);
    case.our_rows().iter().flat_map(|row| &row.points).any(|(_, point)| is_huge(point))
}

/// Whether the rows have the same labels, if numbers need to be the same to nine digits only.
fn has_nearly_the_same_labels(case: &Case<'_>) -> bool {
    let rounded = |rows: &[Row]| {
        let short =
            |value: &String| value.parse::<f64>().map_or_else(|_| value.clone(), |value| format!("{value:.8e}"));
        let of_row =
            |row: &Row| row.labels.iter().map(|(name, value)| (name.clone(), short(value))).collect::<Vec<_>>();
        let mut all: Vec<_> = rows.iter().map(of_row).collect();
        all.sort();
        all.dedup();
        all
    };
    rounded(case.our_rows()) == rounded(case.their_rows())
}

/// Whether the rows are the same but for the labels that only the info series have.
fn differs_in_info_alone(case: &Case<'_>) -> bool {
    let bare = |rows: &[Row]| {
        let mut all: Vec<_> = rows.iter().map(|row| row.labels.clone()).collect();
        all.iter_mut().for_each(|labels| labels.retain(|name, _| name != "version" && name != "env"));
        all.sort();
        all.dedup();
        all
    };
    bare(case.our_rows()) == bare(case.their_rows())
}

/// Whether all histograms are theirs made smaller, each by one factor.
fn is_scaled_up(case: &Case<'_>) -> bool {
    case.our_rows().iter().all(|ours| {
        let theirs = case.their_rows().iter().find(|theirs| theirs.labels == ours.labels);
        theirs.is_some_and(|theirs| {
            ours.points.iter().zip(&theirs.points).all(|pair| is_point_scaled_up(&pair.0.1, &pair.1.1))
        })
    })
}

/// Whether all numbers and counts are theirs or more, as they are where more resets are seen.
fn is_never_less(case: &Case<'_>) -> bool {
    case.our_rows().iter().all(|ours| {
        let theirs = case.their_rows().iter().find(|theirs| theirs.labels == ours.labels);
        theirs.is_some_and(|theirs| {
            ours.points.iter().zip(&theirs.points).all(|pair| match (&pair.0.1, &pair.1.1) {
                (Point::Histogram { count, .. }, Point::Histogram { count: their_count, .. }) => count >= their_count,
                (Point::Number(ours), Point::Number(theirs)) => ours >= theirs,
                _ => false,
            })
        })
    })
}

fn is_point_scaled_up(ours: &Point, theirs: &Point) -> bool {
    match (ours, theirs) {
        (
            Point::Histogram { count, buckets, .. },
            Point::Histogram { count: their_count, buckets: their_buckets, .. },
        ) => {
            let factor = if *count == 0.0 { 1.0 } else { their_count / count };
            let scaled = |(mine, other): (f64, f64)| (mine * factor - other).abs() <= other.abs() * 1e-9;
            let mut counts = buckets.iter().zip(their_buckets).map(|(mine, other)| (mine.1[2], other.1[2]));
            factor >= 1.0 - 1e-9 && buckets.len() == their_buckets.len() && counts.all(scaled)
        }
        (Point::Number(_), Point::Number(_)) => true,
        _ => false,
    }
}

/// Whether one selector has two matchers of one label.
pub(super) fn names_a_label_twice(query: &str) -> bool {
    query.split('{').skip(1).filter_map(|rest| rest.split('}').next()).any(|inside| {
        let name = |matcher: &str| matcher.split(['=', '!']).next().unwrap_or_default().trim().to_owned();
        let names: Vec<String> = inside.split(',').map(name).collect();
        names.iter().enumerate().any(|(index, name)| names[..index].contains(name))
    })
}

/// Whether a subquery has an offset or `@` of its own, and an `@` within.
pub(super) fn is_shifted_subquery_of_fixed(query: &str) -> bool {
    query.match_indices(')').any(|(at, _)| {
        let behind = &query[at + 1..];
        let Some((window, modifiers)) = behind.strip_prefix('[').and_then(|behind| behind.split_once(']')) else {
            return false;
        };
        let is_shifted = ["offset", "@"].iter().any(|word| modifiers.trim_start().starts_with(word));
        window.contains(':') && is_shifted && query[..at].contains('@')
    })
}
