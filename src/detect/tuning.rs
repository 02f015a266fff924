//! The constants of a watch's seasons, made once for each length of bucket that its groups have.

use super::options::{Directions, ModelOptions, SignalClass};
use super::season::{CONVERSION, Class, ERRORS, GaugeTuning, ORDERS, Tuning};
use super::signal::Signal;
use super::young::YoungTuning;

/// How the season of a watch's groups is judged.
#[derive(Debug)]
pub(crate) struct Tunings {
    false_alerts_per_week: f64,
    has_zone: bool,
    /// How counts and ratios behave; none for values.
    class: Option<Class>,
    of_young: YoungTuning,
    /// By the length of the bucket, in ms; few, and most groups have the first.
    of_counts: Vec<(i64, Tuning)>,
    of_values: Vec<(i64, GaugeTuning)>,
}

impl Tunings {
    pub(crate) fn new(signal: &Signal, options: &ModelOptions, has_zone: bool) -> Tunings {
        let class = match class_of(signal, options) {
            SignalClass::Orders => Some(ORDERS),
            SignalClass::Errors => Some(ERRORS),
            SignalClass::Conversion => Some(CONVERSION),
            SignalClass::Latency => None,
        };
        Tunings {
            false_alerts_per_week: options.false_alerts_per_series_week,
            has_zone,
            class: class.filter(|_| signal.is_count()),
            of_young: YoungTuning::new(options, signal),
            of_counts: Vec::new(),
            of_values: Vec::new(),
        }
    }

    /// Whether groups are judged by events and not by values.
    pub(crate) fn is_of_counts(&self) -> bool {
        self.class.is_some()
    }

    #[inline]
    pub(crate) fn of_count(&mut self, bucket_ms: i64) -> &Tuning {
        // As most groups have.
        if self.of_counts.first().is_some_and(|one| one.0 == bucket_ms) {
            return &self.of_counts[0].1;
        }
        of(&mut self.of_counts, bucket_ms, || {
            let class = self.class.expect("only groups that are judged by events ask");
            Tuning::new(class, bucket_ms, self.false_alerts_per_week, self.has_zone)
        })
    }

    /// As long as the season is learned.
    #[inline]
    pub(crate) fn of_young(&self) -> &YoungTuning {
        &self.of_young
    }

    /// Evidence that alerts, in nats, in buckets of this length.
    #[inline]
    pub(crate) fn threshold(&mut self, bucket_ms: i64) -> f64 {
        if self.is_of_counts() { self.of_count(bucket_ms).threshold() } else { self.of_value(bucket_ms).threshold() }
    }

    pub(crate) fn of_value(&mut self, bucket_ms: i64) -> &GaugeTuning {
        let false_alerts = self.false_alerts_per_week;
        of(&mut self.of_values, bucket_ms, || GaugeTuning::new(bucket_ms, false_alerts))
    }
}

/// The constants for this length of bucket, made when they are first asked for.
fn of<T>(known: &mut Vec<(i64, T)>, bucket_ms: i64, make: impl FnOnce() -> T) -> &T {
    let index = known.iter().position(|one| one.0 == bucket_ms).unwrap_or_else(|| {
        known.push((bucket_ms, make()));
        known.len() - 1
    });
    &known[index].1
}

/// What the rule says, or what the expression and the directions suggest.
pub(crate) fn class_of(signal: &Signal, options: &ModelOptions) -> SignalClass {
    options.class.unwrap_or(match options.directions {
        _ if !signal.is_count() => SignalClass::Latency,
        Directions::Rise if signal.has_exposure() => SignalClass::Errors,
        Directions::Drop if signal.has_exposure() => SignalClass::Conversion,
        _ => SignalClass::Orders,
    })
}
