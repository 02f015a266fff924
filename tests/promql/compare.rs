//! Whether an answer is what a script says, as Prometheus' own runner compares.

use std::collections::BTreeMap;

use dozor::model::{FloatHistogram, Labels};
use dozor::query::{Sampled, Series, Value};

use super::Eval;
use super::notation::{Row, Written};

/// Samples of a series, by time.
type Samples = BTreeMap<i64, Sampled>;

/// What an answer has that the script does not, or the other way round.
pub(super) fn compare(eval: &Eval, value: &Value) -> Result<(), String> {
    match value {
        Value::Scalar(_, value) => match eval.scalar {
            Some(wanted) if same(wanted, *value) => Ok(()),
            _ => Err(format!("got scalar {value}")),
        },
        Value::String(_, text) if eval.text.as_ref() == Some(text) => Ok(()),
        Value::String(_, text) => Err(format!("got string {text:?}")),
        Value::Vector(series) => {
            let order: Vec<&Labels> = series.iter().map(|(labels, ..)| &**labels).collect();
            if eval.ordered && !order.iter().copied().eq(eval.rows.iter().map(|(labels, _)| labels)) {
                return Err(format!("order: {order:?}"));
            }
            let got = series
                .iter()
                .map(|(labels, time_ms, value)| ((**labels).clone(), Samples::from([(*time_ms, value.clone())])));
            rows(&eval.rows, eval.start_ms, 1, got.collect())
        }
        Value::Matrix(series) => {
            let (start_ms, step_ms) = eval.raw.unwrap_or((eval.start_ms, eval.step_ms.unwrap_or(1)));
            rows(&eval.rows, start_ms, step_ms, series.iter().map(samples_of).collect())
        }
    }
}

/// Compares what an instant query says with what the same query says amid other steps.
pub(super) fn compare_middle(eval: &Eval, series: &[Series]) -> Result<(), String> {
    let middle = series.iter().map(samples_of).filter_map(|(labels, mut samples)| {
        samples.retain(|time_ms, _| *time_ms == eval.start_ms);
        (!samples.is_empty()).then_some((labels, samples))
    });
    rows(&eval.rows, eval.start_ms, 1, middle.collect()).map_err(|what| format!("as a range: {what}"))
}

fn samples_of(series: &Series) -> (Labels, Samples) {
    let numbers = series.points.iter().map(|(time_ms, value)| (time_ms, Sampled::Number(value)));
    let histograms = series.histograms.iter().map(|(time_ms, value)| (*time_ms, Sampled::Histogram(value.clone())));
    ((*series.labels).clone(), numbers.chain(histograms).collect())
}

fn rows(wanted: &[Row], start_ms: i64, step_ms: i64, got: Vec<(Labels, Samples)>) -> Result<(), String> {
    let shown = || got.iter().map(|(labels, row)| format!("{labels} {}", show(row))).collect::<Vec<_>>().join("; ");
    let mut count = 0;
    for (labels, values) in wanted {
        let times = (0_i64..).map(|step| start_ms + step * step_ms);
        let values: BTreeMap<i64, &Written> =
            times.zip(values).filter_map(|(time_ms, value)| Some((time_ms, value.as_ref()?))).collect();
        if values.is_empty() {
            continue;
        }
        count += 1;
        let mut found = got.iter().filter(|(other, _)| other == labels);
        let Some((_, samples)) = found.next() else { return Err(format!("{labels} is missing from: {}", shown())) };
        if found.next().is_some() {
            return Err(format!("{labels} is there twice: {}", shown()));
        }
        if !samples.keys().eq(values.keys()) {
            return Err(format!("{labels} has samples at other times: {}", show(samples)));
        }
        for (written, got) in values.values().zip(samples.values()) {
            alike(written, got).map_err(|what| format!("{labels}: {what}; all of it: {}", show(samples)))?;
        }
    }
    if got.len() == count {
        Ok(())
    } else {
        Err(format!("{} series where {count} were expected: {}", got.len(), shown()))
    }
}

fn show(samples: &Samples) -> String {
    let one = |(time_ms, value): (&i64, &Sampled)| match value {
        Sampled::Number(value) => format!("{value}@{time_ms}"),
        Sampled::Histogram(value) => format!("{}@{time_ms}", value.literal().unwrap_or_else(|| value.to_string())),
    };
    samples.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn alike(wanted: &Written, got: &Sampled) -> Result<(), String> {
    match (&wanted.value, got) {
        (Sampled::Number(wanted), Sampled::Number(got)) if same(*wanted, *got) => Ok(()),
        (Sampled::Number(wanted), _) => Err(format!("wanted {wanted}")),
        (Sampled::Histogram(written), Sampled::Histogram(got)) => {
            let mut wanted_compact = FloatHistogram::clone(written);
            wanted_compact.compact(0);
            let mut got_compact = FloatHistogram::clone(got);
            got_compact.compact(0);
            if wanted.hint_is_given && wanted_compact.hint != got_compact.hint {
                return Err(format!("wanted the hint {:?}, got {:?}", wanted_compact.hint, got_compact.hint));
            }
            if histograms_are_alike(&wanted_compact, &got_compact) {
                Ok(())
            } else {
                Err(format!("wanted {}", written.literal().unwrap_or_else(|| written.to_string())))
            }
        }
        (Sampled::Histogram(wanted), Sampled::Number(_)) => Err(format!("wanted the histogram {wanted}")),
    }
}

fn histograms_are_alike(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    let cells = |one: &FloatHistogram| {
        let all: Vec<(i64, f64)> = one.positive.cells().chain(one.negative.cells()).collect();
        all
    };
    let (cells_a, cells_b) = (cells(a), cells(b));
    a.schema == b.schema
        && same(a.zero_threshold, b.zero_threshold)
        && a.custom_values == b.custom_values
        && [(a.count, b.count), (a.sum, b.sum), (a.zero_count, b.zero_count)].into_iter().all(|(a, b)| same(a, b))
        && a.positive.cells().count() == b.positive.cells().count()
        && cells_a.len() == cells_b.len()
        && cells_a.iter().zip(&cells_b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
}

/// Equal but for a millionth.
fn same(a: f64, b: f64) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    a == b || (a - b).abs() < 1e-6 * (a.abs() + b.abs()).min(f64::MAX)
}
