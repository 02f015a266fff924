//! What expressions are made of.

/// A metric, with its labels and some values of each.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) labels: &'static [(&'static str, &'static [&'static str])],
    pub(super) holds: Holds,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Holds {
    Counter,
    Gauge,
    Buckets,
    Native,
}

const JOB: (&str, &[&str]) = ("job", &["api", "web"]);
const INSTANCE: (&str, &[&str]) = ("instance", &["a:1", "b:1", "c:2"]);

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "requests_total",
        labels: &[JOB, INSTANCE, ("path", &["/", "/cart"]), ("code", &["200", "500"])],
        holds: Holds::Counter,
    },
    Metric { name: "hits_total", labels: &[("app", &["web"]), ("host", &["a:1", "b:1"])], holds: Holds::Counter },
    Metric { name: "temperature", labels: &[JOB, INSTANCE, ("zone", &["x", "y"])], holds: Holds::Gauge },
    Metric { name: "up", labels: &[JOB, INSTANCE], holds: Holds::Gauge },
    Metric { name: "limit", labels: &[JOB, INSTANCE], holds: Holds::Gauge },
    Metric { name: "small", labels: &[("n", &["1", "2", "3", "10", "a"])], holds: Holds::Gauge },
    Metric {
        name: "target_info",
        labels: &[JOB, INSTANCE, ("version", &["1.0", "1.1"]), ("env", &["prod", "test"])],
        holds: Holds::Gauge,
    },
    Metric {
        name: "latency_bucket",
        labels: &[JOB, ("le", &["0.1", "0.5", "1", "2.5", "10", "+Inf"])],
        holds: Holds::Buckets,
    },
    Metric { name: "latency_count", labels: &[JOB], holds: Holds::Counter },
    Metric { name: "latency_sum", labels: &[JOB], holds: Holds::Counter },
    Metric { name: "native", labels: &[JOB, INSTANCE], holds: Holds::Native },
    Metric { name: "native_any", labels: &[JOB, INSTANCE], holds: Holds::Native },
    Metric { name: "native_floats", labels: &[JOB, INSTANCE], holds: Holds::Native },
    Metric { name: "native_custom", labels: &[JOB, INSTANCE], holds: Holds::Native },
    Metric { name: "native_gauge", labels: &[JOB, INSTANCE], holds: Holds::Native },
    Metric { name: "mixed", labels: &[JOB], holds: Holds::Native },
    Metric { name: "odd", labels: &[("which", &["any", "real", "tame"])], holds: Holds::Gauge },
    Metric { name: "sparse", labels: &[JOB, ("pod", &["p0", "p1", "p2"])], holds: Holds::Gauge },
];

pub(super) const LABELS: &[&str] = &[
    "job", "instance", "path", "code", "zone", "n", "version", "env", "le", "which", "pod", "app", "host", "missing",
    "__name__",
];
pub(super) const RANGES: &[&str] = &[
    "1ms", "1s", "14s", "15s", "15001ms", "29s", "30s", "45s", "1m", "1m1s", "90s", "2m30s", "5m", "5m1ms", "7m",
    "13m", "20m", "1h", "1d",
];
pub(super) const SUBQUERY_RANGES: &[&str] = &["1s", "15s", "30s", "1m", "61s", "2m", "3m7s", "5m", "8m"];
pub(super) const SUBQUERY_STEPS: &[&str] = &["", "5s", "7s", "13s", "15s", "15001ms", "30s", "1m", "61s", "2m"];
pub(super) const OFFSETS: &[&str] =
    &["1ms", "5s", "15s", "59s", "1m", "1m7s", "4m59s", "5m", "10m", "1h", "-1ms", "-7s", "-30s", "-1m", "-5m", "-20m"];
pub(super) const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "0.5",
    "-1",
    "10",
    "100",
    "1e-9",
    "1e300",
    "-1e300",
    "NaN",
    "Inf",
    "-Inf",
    "0x1f",
    "1_000",
    ".5",
    "-0.0",
    "1.5",
    "7",
    "5m",
    "0.99",
    "9007199254740993",
    "1e18",
];
pub(super) const EACH: &[&str] = &[
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "deg", "exp", "floor", "ln",
    "log10", "log2", "rad", "sgn", "sin", "sinh", "sqrt", "tan", "tanh",
];
pub(super) const CALENDAR: &[&str] =
    &["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"];
pub(super) const OF_HISTOGRAMS: &[&str] =
    &["histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum"];
pub(super) const OVER: &[&str] = &[
    "absent_over_time",
    "avg_over_time",
    "changes",
    "count_over_time",
    "delta",
    "deriv",
    "idelta",
    "increase",
    "irate",
    "last_over_time",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "present_over_time",
    "rate",
    "resets",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
];
pub(super) const OF_COUNTERS: &[&str] = &["rate", "increase", "irate", "resets", "changes"];
pub(super) const AGGREGATIONS: &[&str] = &["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
pub(super) const ARITHMETIC: &[&str] = &["+", "-", "*", "/", "%", "^", "atan2"];
pub(super) const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
pub(super) const SETS: &[&str] = &["and", "or", "unless"];
