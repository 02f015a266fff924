//! A query as this engine evaluates it: a small tree in which everything is decided that does not depend on data.
//!
//! ```text
//! sum by (region) (rate(shop_orders_total[1m]))
//!
//! Aggregate { operator: Sum, grouping: By [region] }
//! └── Rollup { function: Rate }
//!     └── Range { range_ms: 60000, input: Selector [__name__="shop_orders_total"] }
//! ```
//!
//! Always true of a plan: every argument has the type its owner wants, every selector has a matcher that an absent label
//! does not satisfy, lengths of time are numbers, parentheses are gone, and the tree is at most as deep as the limit on
//! nesting, but for chains of operators on the left.

use super::syntax::{Aggregator, Edges, Operator, Span};
use crate::model::Matcher;

/// One expression, and where it stands in the text.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) node: Node,
    pub(crate) span: Span,
}

impl Plan {
    /// Whether what it comes to at a step of a range query is what it would have come to there before anything newer was
    /// stored.
    pub fn reaches_back_only(&self) -> bool {
        super::cache::reaches_back_only(self)
    }

    /// The matchers of every selector, in the order in which they stand.
    pub fn selectors(&self) -> Vec<Vec<Matcher>> {
        let mut selectors = Vec::new();
        self.each_selector(&mut |matchers| selectors.push(matchers.to_vec()));
        selectors
    }

    /// Tells the matchers of every selector, in the order in which they stand.
    pub fn each_selector(&self, tell: &mut dyn FnMut(&[Matcher])) {
        let of_range = |range: &Range, tell: &mut dyn FnMut(&[Matcher])| match &range.input {
            RangeInput::Selector(matchers) => tell(matchers),
            RangeInput::Subquery { inner, .. } => inner.each_selector(tell),
        };
        match &self.node {
            Node::Number(_) | Node::Text(_) => {}
            Node::Selector(selector) => tell(&selector.matchers),
            Node::Range(range) => of_range(range, tell),
            Node::Rollup { range, parameters, .. } => {
                of_range(range, tell);
                parameters.iter().for_each(|parameter| parameter.each_selector(tell));
            }
            Node::Aggregate { parameter, inner, .. } => {
                parameter.iter().for_each(|parameter| parameter.each_selector(tell));
                inner.each_selector(tell);
            }
            Node::Binary { left, right, .. } => {
                left.each_selector(tell);
                right.each_selector(tell);
            }
            Node::Negate(inner) | Node::Plus(inner) => inner.each_selector(tell),
            Node::Call { arguments, .. } => arguments.iter().for_each(|argument| argument.each_selector(tell)),
        }
    }
}

/// What an expression is.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A number, the same at every step.
    Number(f64),
    /// A string: an argument, or a whole instant query.
    Text(String),
    /// The newest sample within the lookback, of each series selected.
    Selector(Selector),
    /// The samples of a window: only as a whole instant query.
    Range(Range),
    /// A function over the samples of each series in a window.
    Rollup {
        /// What is computed of a window.
        function: Rollup,
        /// The window.
        range: Range,
        /// The scalars that it takes beside the window, in their order.
        parameters: Vec<Plan>,
    },
    /// Many series into one of each group.
    Aggregate {
        /// How they are put together.
        operator: Aggregator,
        /// Which of them belong together.
        grouping: Grouping,
        /// The scalar or string that it takes, if it takes one.
        parameter: Option<Box<Plan>>,
        /// What is aggregated, an instant vector.
        inner: Box<Plan>,
    },
    /// An operator between two scalars or instant vectors.
    Binary {
        /// What is computed.
        operator: Operator,
        /// Whether a comparison answers 0 or 1 in place of filtering.
        returns_bool: bool,
        /// Which series belong together when both sides are vectors.
        matching: Matching,
        /// Left side.
        left: Box<Plan>,
        /// Right side.
        right: Box<Plan>,
    },
    /// Unary minus.
    Negate(Box<Plan>),
    /// Unary plus, behind which a selector is none to `timestamp` and `absent`.
    Plus(Box<Plan>),
    /// Any other function.
    Call {
        /// Which.
        function: Function,
        /// As many and of the types that it takes.
        arguments: Vec<Plan>,
    },
}

/// What an expression yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One number a step.
    Scalar,
    /// A string.
    Text,
    /// At most one value for each series at a step.
    Vector,
    /// Many samples for each series.
    Matrix,
}

impl Kind {
    /// Prometheus's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Scalar => "scalar",
            Kind::Text => "string",
            Kind::Vector => "instant vector",
            Kind::Matrix => "range vector",
        }
    }
}

/// Which series, and as of when.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    /// All must be satisfied; the metric's name is one of them.
    pub(crate) matchers: Vec<Matcher>,
    /// Moves the moment that is looked at.
    pub(crate) shift: Shift,
    /// Whether values between samples are made up; if so, where the selector stands in the text.
    pub(crate) edges: Option<(Edges, Span)>,
}

/// How the moment that is looked at differs from the step: first `at` in place of it, then back by the offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Shift {
    /// Milliseconds into the past; negative: into the future.
    pub(crate) offset_ms: i64,
    /// The `@` modifier, in ms since 1970 UTC.
    pub(crate) at_ms: Option<i64>,
}

/// A window that ends at the (shifted) step and is open on its left: `(t - range, t]`.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    /// Whose samples.
    pub(crate) input: RangeInput,
    /// Length, in ms; positive.
    pub(crate) range_ms: i64,
    /// Moves the window's end.
    pub(crate) shift: Shift,
    /// How the samples at the window's edges are made up; only of stored ones.
    pub(crate) edges: Option<Edges>,
    /// Where it stands in the text.
    pub(crate) span: Span,
}

/// Where the samples of a window come from.
#[derive(Clone, Debug)]
pub(crate) enum RangeInput {
    /// Stored samples of the series that satisfy these matchers.
    Selector(Vec<Matcher>),
    /// An expression evaluated at the multiples of a step.
    Subquery {
        /// An instant vector or a scalar.
        inner: Box<Plan>,
        /// Milliseconds; the engine's default when it is not given.
        step_ms: Option<i64>,
    },
}

/// Which labels make a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Grouping {
    /// Exactly these labels. None: all series are one group.
    By(Vec<String>),
    /// All labels but these and the metric's name.
    Without(Vec<String>),
}

/// Which series of two vectors belong together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matching {
    /// `on(…)` compares exactly these labels; otherwise `ignoring(…)` compares all but these and the metric's name.
    pub(crate) on: bool,
    /// The labels of `on` or `ignoring`.
    pub(crate) labels: Vec<String>,
    /// Whether one side may have many series in a match.
    pub(crate) group: Group,
    /// The number that stands in for a row that the left side lacks.
    pub(crate) fill_left: Option<f64>,
    /// The number that stands in for a row that the right side lacks.
    pub(crate) fill_right: Option<f64>,
}

/// Which side of a binary operator is the many.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Group {
    /// Neither.
    OneToOne,
    /// `group_left`: many on the left, with these labels taken from the right.
    Left(Vec<String>),
    /// `group_right`: many on the right, with these labels taken from the left.
    Right(Vec<String>),
}

/// Gives an enum whose members have PromQL names, and the way back from the name.
macro_rules! named {
    ($(#[$meta:meta])* $enum:ident { $($(#[$doc:meta])* $member:ident = $name:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum $enum { $($(#[$doc])* #[doc = concat!("`", $name, "`")] $member),+ }

        impl $enum {
            /// As it is written in PromQL.
            pub(crate) fn name(self) -> &'static str {
                match self { $($enum::$member => $name),+ }
            }

            /// The member that is written so.
            pub(crate) fn from_name(name: &str) -> Option<$enum> {
                match name { $($name => Some($enum::$member),)+ _ => None }
            }
        }
    };
}

named! {
    /// A function over a window of samples.
    Rollup {
        Rate = "rate", Increase = "increase", Delta = "delta", Irate = "irate", Idelta = "idelta", Deriv = "deriv",
        PredictLinear = "predict_linear", Avg = "avg_over_time", Min = "min_over_time", Max = "max_over_time",
        Sum = "sum_over_time", Count = "count_over_time", First = "first_over_time", Last = "last_over_time",
        Present = "present_over_time", Absent = "absent_over_time", Stddev = "stddev_over_time",
        Stdvar = "stdvar_over_time", Quantile = "quantile_over_time", Mad = "mad_over_time", Changes = "changes",
        Resets = "resets", TsOfFirst = "ts_of_first_over_time", TsOfLast = "ts_of_last_over_time",
        TsOfMin = "ts_of_min_over_time", TsOfMax = "ts_of_max_over_time",
        DoubleExponentialSmoothing = "double_exponential_smoothing",
    }
}

named! {
    /// A function of scalars, strings and instant vectors.
    Function {
        Abs = "abs", Ceil = "ceil", Floor = "floor", Exp = "exp", Sqrt = "sqrt", Ln = "ln", Log2 = "log2",
        Log10 = "log10", Sgn = "sgn", Sin = "sin", Cos = "cos", Tan = "tan", Asin = "asin", Acos = "acos",
        Atan = "atan", Sinh = "sinh", Cosh = "cosh", Tanh = "tanh", Asinh = "asinh", Acosh = "acosh", Atanh = "atanh",
        Deg = "deg", Rad = "rad", Round = "round", Clamp = "clamp", ClampMin = "clamp_min", ClampMax = "clamp_max",
        Timestamp = "timestamp", StartTimestamp = "start_timestamp", Minute = "minute", Hour = "hour", DayOfMonth = "day_of_month",
        DayOfWeek = "day_of_week", DayOfYear = "day_of_year", DaysInMonth = "days_in_month", Month = "month",
        Year = "year", Time = "time", Pi = "pi", Scalar = "scalar", Vector = "vector", Absent = "absent",
        Sort = "sort", SortDesc = "sort_desc", LabelReplace = "label_replace", LabelJoin = "label_join",
        HistogramQuantile = "histogram_quantile", HistogramFraction = "histogram_fraction",
        HistogramQuantiles = "histogram_quantiles", HistogramAvg = "histogram_avg", HistogramCount = "histogram_count",
        HistogramSum = "histogram_sum", HistogramStddev = "histogram_stddev", HistogramStdvar = "histogram_stdvar",
        SortByLabel = "sort_by_label", SortByLabelDesc = "sort_by_label_desc", Info = "info", Start = "start",
        End = "end", Step = "step", Range = "range", MaxOf = "max_of", MinOf = "min_of",
    }
}

impl Plan {
    /// What the expression yields.
    pub(crate) fn kind(&self) -> Kind {
        match &self.node {
            Node::Number(_) => Kind::Scalar,
            Node::Text(_) => Kind::Text,
            Node::Range(_) => Kind::Matrix,
            Node::Selector(_) | Node::Rollup { .. } | Node::Aggregate { .. } => Kind::Vector,
            Node::Negate(inner) | Node::Plus(inner) => inner.kind(),
            Node::Binary { left, right, .. } => match (right.kind(), left.kind()) {
                (Kind::Scalar, Kind::Scalar) => Kind::Scalar,
                _ => Kind::Vector,
            },
            Node::Call { function, .. } if function.is_scalar() => Kind::Scalar,
            Node::Call { .. } => Kind::Vector,
        }
    }
}

impl Plan {
    /// Whether it comes to the same at every step, since all that it looks at is fixed by `@`.
    pub(crate) fn is_same_at_every_step(&self) -> bool {
        match &self.node {
            Node::Number(_) | Node::Text(_) => true,
            Node::Selector(selector) => selector.shift.at_ms.is_some(),
            Node::Range(_) => false,
            // The line that it lays goes through the step.
            Node::Rollup { function: Rollup::PredictLinear, .. } => false,
            Node::Rollup { range, parameters, .. } => {
                range.shift.at_ms.is_some() && parameters.iter().all(Plan::is_same_at_every_step)
            }
            Node::Aggregate { parameter, inner, .. } => {
                inner.is_same_at_every_step() && parameter.as_deref().is_none_or(Plan::is_same_at_every_step)
            }
            Node::Binary { left, right, .. } => left.is_same_at_every_step() && right.is_same_at_every_step(),
            Node::Negate(inner) | Node::Plus(inner) => inner.is_same_at_every_step(),
            Node::Call { function, arguments } => {
                use Function::{End, Info, Pi, Range, Start, StartTimestamp, Step, Timestamp};
                match function {
                    Pi | Start | End | Step | Range => true,
                    Timestamp | StartTimestamp | Info => false,
                    // What is left without arguments goes by the time of the step.
                    _ => !arguments.is_empty() && arguments.iter().all(Plan::is_same_at_every_step),
                }
            }
        }
    }

    /// Whether something in it puts rows into an order of its own: then an instant query shows them as they come.
    pub(crate) fn orders_rows(&self) -> bool {
        match &self.node {
            Node::Aggregate { operator: Aggregator::Topk | Aggregator::Bottomk, .. } => true,
            Node::Aggregate { .. } | Node::Number(_) | Node::Text(_) | Node::Selector(_) | Node::Range(_) => false,
            Node::Rollup { .. } => false,
            Node::Binary { left, right, .. } => left.orders_rows() || right.orders_rows(),
            Node::Negate(inner) | Node::Plus(inner) => inner.orders_rows(),
            Node::Call { function, arguments } => {
                use Function::{Sort, SortByLabel, SortByLabelDesc, SortDesc};
                let sorts = matches!(function, Sort | SortDesc | SortByLabel | SortByLabelDesc);
                sorts || arguments.iter().any(Plan::orders_rows)
            }
        }
    }
}

impl Function {
    /// Whether it yields a scalar.
    fn is_scalar(self) -> bool {
        use Function::{End, MaxOf, MinOf, Pi, Range, Scalar, Start, Step, Time};
        matches!(self, Time | Pi | Scalar | Start | End | Step | Range | MaxOf | MinOf)
    }
}
