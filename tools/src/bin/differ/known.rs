//! Where Prometheus 3.5 is known to answer otherwise than 3.14, whose answers Dozor's are, and why.

use crate::answer::{Answer, Outcome};

/// Takes out of the remarks what 3.5 never says, which is returned, and the words that it says the rest with.
pub(crate) fn settle(answer: &mut Answer) -> Vec<String> {
    // 3.14 says that sorting a range query has no effect, and that histograms of different resets were added up.
    let is_new = |text: &str| {
        text.contains("is ineffective for range queries")
            || text.contains("conflicting counter resets")
            // 3.5 says it for fewer functions.
            || text.contains("ignored histograms in a range")
    };
    let mut removed: Vec<String> = answer.warnings.extract_if(.., |text| is_new(text)).collect();
    removed.extend(answer.infos.extract_if(.., |text| is_new(text)));
    for text in answer.warnings.iter_mut().chain(&mut answer.infos) {
        // 3.14 leaves an empty name out, and tells which buckets were repaired.
        if text.contains("needed to be fixed for monotonicity") || text.contains("bucket label") {
            strip_name(text);
        }
        *text = text.replace(" for metric name \"\"", "");
        if let (Some(from), Some(place)) = (text.find(", from buckets "), text.rfind(" (")) {
            text.replace_range(from..place, "");
        }
    }
    removed
}

/// Takes `for metric name "…"` out.
fn strip_name(text: &mut String) {
    if let (Some(from), Some(place)) = (text.find(" for metric name "), text.rfind(" (")) {
        text.replace_range(from..place, "");
    }
}

/// Whether two remarks differ only in places that 3.5 is known to tell otherwise.
pub(crate) fn same_remark(query: &str, ours: &str, theirs: &str) -> bool {
    let (Some((text, place)), Some((their_text, their_place))) = (placed(ours), placed(theirs)) else { return false };
    if shortened(text) != shortened(their_text) {
        return false;
    }
    let at = query.as_bytes().get(their_place.saturating_sub(1)).copied();
    // 3.5 takes parentheses for a part of what they are around.
    place == their_place || at == Some(b'(')
        // It loses the place of subqueries.
        || their_place == 1 && query.contains(':')
        // Of several expressions that give cause for the same words, it tells another.
        || text.contains("quantile") && query.matches("quantile").count() > 1
        || text.contains("incompatible sample types") || text.contains("bucket label")
}

/// Text and column of a remark upon a query of one line.
fn placed(remark: &str) -> Option<(&str, usize)> {
    let (text, place) = remark.strip_suffix(')')?.rsplit_once(" (1:")?;
    Some((text, place.parse().ok()?))
}

/// Remarks with numbers to twelve digits, as those are of values that may differ behind that.
fn shortened(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive([' ', ',']) {
        let bare = word.trim_end_matches([' ', ',']);
        match bare.parse::<f64>() {
            Ok(number) => out.push_str(&format!("{number:.11e}{}", &word[bare.len()..])),
            _ => out.push_str(word),
        }
    }
    out
}

/// A difference that is known: its reason, and how to tell it.
struct Rule {
    reason: &'static str,
    /// Whether a question of any size may show it.
    fits: fn(&Case<'_>) -> bool,
    /// Whether a question that cannot be made smaller shows it.
    small: fn(&Case<'_>) -> bool,
}

/// What there is to tell it by.
pub(crate) struct Case<'c> {
    pub(crate) query: &'c str,
    pub(crate) is_instant: bool,
    /// In what the answers differ; the word before the colon is the kind.
    pub(crate) what: &'c str,
    pub(crate) ours: &'c Answer,
    pub(crate) theirs: &'c Answer,
    /// Of our remarks, those that 3.5 never says.
    pub(crate) removed: &'c [String],
}

/// What is known of a difference.
pub(crate) enum Known {
    Surely(&'static str),
    /// The words of the question fit: the smallest question that differs will tell.
    Perhaps,
}

/// Which rules hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    OfAny,
    /// Those of questions that cannot be made smaller.
    OfSmall,
}

impl Case<'_> {
    fn asks(&self, part: &str) -> bool {
        self.query.contains(part)
    }
    fn ours_fails(&self, part: &str) -> bool {
        fails(self.ours, part) && self.what.starts_with("error: ours alone")
    }
    fn theirs_fails(&self, part: &str) -> bool {
        fails(self.theirs, part) && self.what.starts_with("error: theirs alone")
    }
}

fn fails(answer: &Answer, part: &str) -> bool {
    matches!(&answer.outcome, Outcome::Failed { text, .. } if text.contains(part))
}

const RULES: &[Rule] = &[
    Rule {
        reason: "3.5 does not read buckets where only counts and sums are wanted, and adds up what has different ones",
        fits: |case| {
            let only = ["histogram_count(", "histogram_sum(", "histogram_avg("].iter().any(|part| case.asks(part));
            only && case.what.starts_with("labels: theirs alone")
        },
        small: |_| false,
    },
    Rule {
        reason: "a counter below zero starts anew where its empty buckets do, and Prometheus has more of those",
        fits: |case| case.asks("resets(") && (case.asks("-native") || case.asks("-mixed")),
        small: |_| false,
    },
    Rule {
        reason: "3.5 panics over some histograms, and breaks the connection off or says so",
        fits: |case| fails(case.theirs, "broke off") || fails(case.theirs, "runtime error"),
        small: FIRST,
    },
    Rule {
        reason: "3.14 drops the sum or difference of histograms whose hints of resets contradict each other",
        fits: |case| {
            let adds = [" - ", " + "].iter().any(|part| case.asks(part));
            adds && (case.asks("native") || case.asks("mixed")) && case.what.starts_with("labels: theirs alone")
        },
        small: |_| false,
    },
    Rule {
        reason: "3.5 looks for doubled matches only where the operator yields something",
        fits: |case| case.ours_fails("multiple matches for labels"),
        small: |_| false,
    },
    Rule {
        reason: "3.5 does not look at the parameter of an aggregation over nothing",
        fits: |case| case.ours_fails("int64") || case.ours_fails("value is NaN"),
        small: |_| false,
    },
    Rule {
        reason: "3.5 gives NaN for a fraction of a classic histogram from within its lowest bucket",
        fits: |case| case.asks("histogram_fraction(") && (case.asks("latency") || case.asks("le")),
        small: |_| false,
    },
    Rule {
        reason: "info() of 3.5 drops series that have the wanted labels already, or neither job nor instance",
        fits: |case| case.asks("info(") && case.asks("{"),
        small: |_| false,
    },
    Rule {
        reason: "info() of 3.5 reads the info series of a shifted selector as of the query's time",
        fits: |case| case.asks("info(") && (case.asks("offset") || case.asks("@") || case.asks(":")),
        small: |_| false,
    },
    Rule {
        reason: "3.5 refuses relabelled series of the same labels even if they are not there at the same steps",
        fits: |case| case.theirs_fails("same labelset") && (!case.is_instant || case.asks(":")),
        small: |_| false,
    },
    Rule {
        reason: "Prometheus keeps empty buckets of other samples in a histogram, which show where all become NaN",
        fits: |case| {
            ["{count:NaN", "{count:inf", "{count:-inf", "have no zero bucket"]
                .iter()
                .any(|part| case.what.contains(part))
        },
        small: |_| false,
    },
    Rule {
        reason: "3.5 does not stop extrapolating histograms at zero, which gauges and what is computed run into",
        fits: |case| {
            let is_low = case.asks("native_gauge") || (case.asks(":") && (case.asks("native") || case.asks("mixed")));
            is_low && (case.asks("rate(") || case.asks("increase("))
        },
        small: |_| false,
    },
    Rule {
        reason: "3.14 takes the mean of histograms with compensated sums: where others are equal, or nothing is left, that shows",
        fits: |case| {
            let shows = ["==", "!=", " - "].iter().any(|part| case.asks(part));
            shows && case.asks("avg") && (case.asks("native") || case.asks("mixed"))
        },
        small: |_| false,
    },
    Rule {
        reason: "the last bits of powers, sines and means differ; roundings, remainders and sines of large numbers show that",
        fits: |case| {
            let any = |parts: &[&str]| parts.iter().any(|part| case.asks(part));
            let large = any(&[" ^ ", " atan2 ", "exp(", "sinh(", "cosh("]);
            let sine = any(&["sin(", "cos(", "tan(", "ln(", "log2(", "log10("]);
            let mean = any(&["avg", "sum", "quantile", "fraction"]);
            let jump = any(&["floor(", "ceil(", "round(", " == ", " != ", " < ", " > ", " <= ", " >= "])
                || any(&["minute(", "hour(", "day_of", "days_in", "month(", "year("]);
            let digits = any(&[" % ", "count_values"]);
            let is_value = case.what.starts_with("value: ") || case.what.starts_with("labels: ");
            is_value && ((large && sine) || ((large || sine) && (jump || digits)) || (mean && digits))
        },
        small: |_| false,
    },
    Rule {
        reason: "3.14 takes a histogram times a negative number for a gauge",
        fits: |case| case.what.contains("ours alone") && case.what.contains("not a counter") && case.asks("-"),
        small: |_| false,
    },
    Rule {
        reason: "Prometheus forgets the offset of timestamp(x @ t offset o)",
        fits: |case| case.asks("timestamp") && case.asks("@") && case.asks("offset"),
        small: |_| false,
    },
    Rule {
        reason: "two equal histograms are a change to Prometheus where only one of them was given empty buckets of others",
        fits: |case| case.asks("changes(") && (case.asks("native") || case.asks("mixed")),
        small: |_| false,
    },
    Rule {
        reason: "Go on x86-64 takes for infinite what is just below the largest number",
        fits: |case| {
            let limit = ["not inf", "not 0.0", "not -0.0", "not -inf"].iter().any(|part| case.what.contains(part));
            limit && ["sinh(", "cosh(", "exp("].iter().any(|part| case.asks(part))
        },
        small: |_| false,
    },
    Rule {
        reason: "3.14 adds histograms up with compensated sums, which count_values shows to the last digit",
        fits: |case| case.asks("count_values") && (case.asks("native") || case.asks("mixed")),
        small: |_| false,
    },
    Rule {
        reason: "3.5 has the parameter of an aggregation only at the first step if it is the same at all",
        fits: |case| {
            let takes_one = ["quantile", "limit", "topk", "bottomk"].iter().any(|part| case.asks(part));
            takes_one && case.asks("@") && !case.is_instant
        },
        small: |_| false,
    },
    Rule {
        reason: "of the quantiles of several steps that are out of range, each version tells others",
        fits: |case| {
            case.what.contains("quantile value")
                && (!case.is_instant || case.asks(":"))
                && case.what.starts_with("warn")
        },
        small: |_| false,
    },
    Rule {
        reason: "Prometheus puts matchers into another order while it reads, and absent() of a label twice goes by that",
        fits: |case| case.asks("absent") && case.what.starts_with("labels"),
        small: |_| false,
    },
    Rule {
        reason: "a quantile of counts below zero is that of the last bucket, be it one of Prometheus's empty ones",
        fits: |case| case.asks("histogram_quantile") && (case.asks("native") || case.asks("mixed")) && case.asks("-"),
        small: |_| false,
    },
    Rule {
        reason: "limitk and limit_ratio yield their series in the order of a heap, which another limitk goes by",
        fits: |case| case.query.matches("limit").count() > 1 && case.what.starts_with("labels"),
        small: |_| false,
    },
    Rule {
        reason: "Prometheus looks at another time for (x @ t)[a:b] offset o, if the subquery happens to start at the query's",
        fits: |case| case.asks(":") && case.asks("@") && case.asks("offset") && case.what.starts_with("value"),
        small: |_| false,
    },
    Rule {
        reason: "equal numbers come in another order out of relabelling, of Go's sorting, which is not stable, and of a heap",
        fits: |case| {
            let chooses = ["limitk", "topk", "bottomk"].iter().any(|part| case.asks(part));
            let reorders = ["label_", "limit_ratio", "sort"].iter().any(|part| case.asks(part));
            chooses && reorders && case.what.starts_with("labels")
        },
        small: |_| false,
    },
    Rule {
        reason: "Prometheus evaluates a subquery at moments that are in no window, and remarks upon them",
        fits: |case| {
            case.asks(":") && (case.what.starts_with("warnings: theirs") || case.what.starts_with("infos: theirs"))
        },
        small: |_| false,
    },
];

/// Of rules that are as narrow for any question as for the smallest.
const FIRST: fn(&Case<'_>) -> bool = |_| true;

/// Whether the difference is known.
pub(crate) fn known(case: &Case<'_>, rules: Rules) -> Option<Known> {
    let mut fitting = RULES.iter().filter(|rule| (rule.fits)(case));
    match rules {
        Rules::OfSmall => fitting.find(|rule| (rule.small)(case)).map(|rule| Known::Surely(rule.reason)),
        Rules::OfAny => {
            let first = fitting.next()?;
            Some(if first.small as usize == FIRST as usize { Known::Surely(first.reason) } else { Known::Perhaps })
        }
    }
}
