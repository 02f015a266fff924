//! All functions, with what they take and give.

/// What an expression yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueType {
    Scalar,
    String,
    Vector,
    Matrix,
}

impl ValueType {
    /// Prometheus's short name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::String => "string",
            ValueType::Vector => "vector",
            ValueType::Matrix => "matrix",
        }
    }

    /// The name that Prometheus's documentation has for it.
    pub(crate) fn documented(self) -> &'static str {
        match self {
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            other => other.name(),
        }
    }
}

/// A function by its name.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    /// In lower case, and found only so.
    pub(crate) name: &'static str,
    /// The types of its arguments. Arguments beyond have the type of the last.
    pub(crate) takes: &'static [ValueType],
    /// 0: there are exactly as many arguments as types. Otherwise the last may be left out, and there may be so many
    /// counted from it; -1: any number.
    pub(crate) variadic: i8,
    pub(crate) gives: ValueType,
    /// Whether Prometheus has it behind a feature flag. All are on here.
    pub(crate) is_experimental: bool,
}

const M: ValueType = ValueType::Matrix;
const S: ValueType = ValueType::Scalar;
const T: ValueType = ValueType::String;
const V: ValueType = ValueType::Vector;

const fn stable(name: &'static str, takes: &'static [ValueType], variadic: i8, gives: ValueType) -> Function {
    Function { name, takes, variadic, gives, is_experimental: false }
}

const fn trial(name: &'static str, takes: &'static [ValueType], variadic: i8, gives: ValueType) -> Function {
    Function { name, takes, variadic, gives, is_experimental: true }
}

/// Of a vector, a vector.
const fn each(name: &'static str) -> Function {
    stable(name, &[V], 0, V)
}

/// Of a window, a vector.
const fn over(name: &'static str) -> Function {
    stable(name, &[M], 0, V)
}

/// Of a vector, or of the evaluation's time if there is none.
const fn calendar(name: &'static str) -> Function {
    stable(name, &[V], 1, V)
}

/// By name.
static FUNCTIONS: [Function; 90] = [
    each("abs"),
    each("absent"),
    over("absent_over_time"),
    each("acos"),
    each("acosh"),
    each("asin"),
    each("asinh"),
    each("atan"),
    each("atanh"),
    over("avg_over_time"),
    each("ceil"),
    over("changes"),
    stable("clamp", &[V, S, S], 0, V),
    stable("clamp_max", &[V, S], 0, V),
    stable("clamp_min", &[V, S], 0, V),
    each("cos"),
    each("cosh"),
    over("count_over_time"),
    calendar("day_of_month"),
    calendar("day_of_week"),
    calendar("day_of_year"),
    calendar("days_in_month"),
    each("deg"),
    over("delta"),
    over("deriv"),
    trial("double_exponential_smoothing", &[M, S, S], 0, V),
    trial("end", &[], 0, S),
    each("exp"),
    over("first_over_time"),
    each("floor"),
    each("histogram_avg"),
    each("histogram_count"),
    stable("histogram_fraction", &[S, S, V], 0, V),
    stable("histogram_quantile", &[S, V], 0, V),
    trial("histogram_quantiles", &[V, T, S, S], 9, V),
    each("histogram_stddev"),
    each("histogram_stdvar"),
    each("histogram_sum"),
    calendar("hour"),
    over("idelta"),
    over("increase"),
    trial("info", &[V, V], 1, V),
    over("irate"),
    stable("label_join", &[V, T, T, T], -1, V),
    stable("label_replace", &[V, T, T, T, T], 0, V),
    over("last_over_time"),
    each("ln"),
    each("log10"),
    each("log2"),
    trial("mad_over_time", &[M], 0, V),
    trial("max_of", &[S, S], 0, S),
    over("max_over_time"),
    trial("min_of", &[S, S], 0, S),
    over("min_over_time"),
    calendar("minute"),
    calendar("month"),
    stable("pi", &[], 0, S),
    stable("predict_linear", &[M, S], 0, V),
    over("present_over_time"),
    stable("quantile_over_time", &[S, M], 0, V),
    each("rad"),
    trial("range", &[], 0, S),
    over("rate"),
    over("resets"),
    stable("round", &[V, S], 1, V),
    stable("scalar", &[V], 0, S),
    each("sgn"),
    each("sin"),
    each("sinh"),
    each("sort"),
    trial("sort_by_label", &[V, T], -1, V),
    trial("sort_by_label_desc", &[V, T], -1, V),
    each("sort_desc"),
    each("sqrt"),
    trial("start", &[], 0, S),
    trial("start_timestamp", &[V], 0, V),
    over("stddev_over_time"),
    over("stdvar_over_time"),
    trial("step", &[], 0, S),
    over("sum_over_time"),
    each("tan"),
    each("tanh"),
    stable("time", &[], 0, S),
    each("timestamp"),
    trial("ts_of_first_over_time", &[M], 0, V),
    trial("ts_of_last_over_time", &[M], 0, V),
    trial("ts_of_max_over_time", &[M], 0, V),
    trial("ts_of_min_over_time", &[M], 0, V),
    stable("vector", &[S], 0, V),
    calendar("year"),
];

/// The function of this name.
pub(super) fn function(name: &str) -> Option<&'static Function> {
    let index = FUNCTIONS.binary_search_by(|function| function.name.cmp(name)).ok()?;
    Some(&FUNCTIONS[index])
}

/// All of them, by name.
pub(crate) fn functions() -> &'static [Function] {
    &FUNCTIONS
}
