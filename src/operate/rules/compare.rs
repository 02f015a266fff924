//! What was expected beside what came: alerts and samples, compared as promtool does it.

use std::collections::BTreeMap;
use std::fmt;

use super::test_file::{ExpectedAlert, ExpectedSample};
use crate::model::format_float;
use crate::model::{FloatHistogram, Labels};
use crate::query::{Sampled, parse_series, parse_values};
use crate::rules::RuleSample;

/// An alert by what can be seen of it. Alerts are compared in their order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeenAlert {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

impl SeenAlert {
    /// An alert that fires.
    pub(super) fn of(labels: &Labels, annotations: &[(String, String)]) -> SeenAlert {
        let labels = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        SeenAlert { labels, annotations: annotations.iter().cloned().collect() }
    }

    /// An alert that a test expects under a name, which its labels need not repeat.
    pub(super) fn expected(name: &str, alert: &ExpectedAlert) -> SeenAlert {
        let mut labels = alert.exp_labels.clone();
        labels.insert("alertname".to_owned(), name.to_owned());
        SeenAlert { labels, annotations: alert.exp_annotations.clone() }
    }
}

impl fmt::Display for SeenAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let braced = |pairs: &BTreeMap<String, String>| {
            let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            format!("{{{}}}", pairs.join(", "))
        };
        write!(f, "Labels:{}\nAnnotations:{}", braced(&self.labels), braced(&self.annotations))
    }
}

/// Alerts as a list, or as lines with `-` and `+` for those that are on one side only.
pub(super) fn shown_alerts(expected: &[SeenAlert], got: &[SeenAlert], as_difference: bool) -> String {
    if as_difference {
        return difference(&lines_of(expected), &lines_of(got));
    }
    let list = |alerts: &[SeenAlert]| {
        if alerts.is_empty() {
            return "[]".to_owned();
        }
        let one = |(index, alert): (usize, &SeenAlert)| {
            format!("\n            {index}:\n              {}", alert.to_string().replace('\n', "\n              "))
        };
        format!("[{}\n            ]", alerts.iter().enumerate().map(one).collect::<Vec<String>>().join(","))
    };
    format!("        exp:{}, \n        got:{}", list(expected), list(got))
}

fn lines_of(alerts: &[SeenAlert]) -> Vec<String> {
    alerts.iter().flat_map(|alert| alert.to_string().lines().map(str::to_owned).collect::<Vec<String>>()).collect()
}

/// Lines that both have in their order, and the others with their sign.
fn difference(expected: &[String], got: &[String]) -> String {
    let (mut lines, mut at) = (Vec::new(), 0);
    for line in expected {
        match got[at..].iter().position(|other| other == line) {
            Some(skipped) => {
                lines.extend(got[at..at + skipped].iter().map(|line| format!("        + {line}")));
                lines.push(format!("          {line}"));
                at += skipped + 1;
            }
            None => lines.push(format!("        - {line}")),
        }
    }
    lines.extend(got[at..].iter().map(|line| format!("        + {line}")));
    lines.join("\n")
}

/// A sample that an expression came to, or is expected to come to.
#[derive(Clone, Debug)]
pub(super) struct SeenSample {
    pub labels: Labels,
    pub value: f64,
    /// In words; empty where there is none.
    pub histogram: String,
}

impl SeenSample {
    pub(super) fn of(sample: &RuleSample) -> SeenSample {
        let (value, histogram) = match &sample.value {
            Sampled::Number(value) => (*value, String::new()),
            Sampled::Histogram(histogram) => (0.0, in_words(histogram)),
        };
        SeenSample { labels: Labels::clone(&sample.labels), value, histogram }
    }

    /// Fails with what is wrong with the labels or the histogram.
    pub(super) fn expected(sample: &ExpectedSample) -> Result<SeenSample, String> {
        let told = |what: String| format!("labels {:?}: {what}", sample.labels);
        let (labels, rest) = parse_series(&sample.labels).map_err(|error| told(error.to_string()))?;
        if !rest.trim().is_empty() {
            return Err(told(format!("{} is too much", rest.trim())));
        }
        let mut histogram = String::new();
        if !sample.histogram.is_empty() {
            let values = parse_values(&sample.histogram).map_err(|error| told(error.to_string()))?;
            match values.as_slice() {
                [Some(written)] => match &written.value {
                    Sampled::Histogram(literal) => histogram = in_words(literal),
                    Sampled::Number(number) => return Err(told(format!("expected histogram, got {number}"))),
                },
                values => return Err(told(format!("expected 1 value, got {}", values.len()))),
            }
        }
        Ok(SeenSample { labels, value: sample.value, histogram })
    }

    /// Equal; or, where the test says so, neighbours among floats.
    fn is_like(&self, other: &SeenSample, is_fuzzy: bool) -> bool {
        let (a, b) = (self.value, other.value);
        let is_near = a == b || is_fuzzy && (a.next_up() == b || a.next_down() == b);
        self.labels == other.labels && self.histogram == other.histogram && is_near
    }
}

impl fmt::Display for SeenSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.histogram.is_empty() {
            write!(f, "{} {}", self.labels, format_float(self.value))
        } else {
            write!(f, "{} {}", self.labels, self.histogram)
        }
    }
}

fn in_words(histogram: &FloatHistogram) -> String {
    let mut compact = histogram.clone();
    compact.compact(0);
    compact.literal().unwrap_or_else(|| compact.to_string())
}

/// Whether both are the same, in the order of their labels.
pub(super) fn samples_are_alike(expected: &[SeenSample], got: &[SeenSample], is_fuzzy: bool) -> bool {
    expected.len() == got.len() && expected.iter().zip(got).all(|(expected, got)| expected.is_like(got, is_fuzzy))
}

/// All of them in one line.
pub(super) fn shown_samples(samples: &[SeenSample]) -> String {
    match samples {
        [] => "nil".to_owned(),
        samples => samples.iter().map(SeenSample::to_string).collect::<Vec<String>>().join(", "),
    }
}
