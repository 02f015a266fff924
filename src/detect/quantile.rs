//! A quantile of a histogram, as `histogram_quantile` of Prometheus defines it.
//!
//! Of 10 observations up to 0.1, 30 up to 0.5 and 40 in all, the 0.5 quantile is the 20th: half way from 0.1 to 0.5, 0.3.

/// `buckets` are (upper bound, observations up to it), sorted by bound, the last bound `+Inf`. NaN when there is no observation,
/// no `+Inf`, or fewer than two buckets. A count below an earlier one, as rounding makes it, is raised to that one.
pub(crate) fn of_buckets(quantile: f64, buckets: &[(f64, f64)]) -> f64 {
    let (Some(&(last_bound, _)), true) = (buckets.last(), buckets.len() >= 2) else { return f64::NAN };
    let total = buckets.iter().fold(0.0_f64, |most, bucket| most.max(bucket.1));
    if last_bound != f64::INFINITY || total <= 0.0 {
        return f64::NAN;
    }
    let rank = quantile * total;
    let mut before = (0.0, 0.0_f64);
    for (index, &(bound, count)) in buckets.iter().enumerate() {
        let count = count.max(before.1);
        if count < rank || (count == 0.0 && rank == 0.0) {
            before = (bound, count);
            continue;
        }
        if bound == f64::INFINITY {
            break;
        }
        let start = if index > 0 {
            before.0
        } else if bound <= 0.0 {
            return bound;
        } else {
            0.0
        };
        return start + (bound - start) * (rank - before.1) / (count - before.1);
    }
    // Beyond the last finite bound nothing is known but that bound.
    buckets[buckets.len() - 2].0
}
