//! A query as this engine sees it: a small tree, independent of the parser.
//!
//! ```text
//! sum by (region) (rate(shop_orders_total[1m]))
//!
//! Aggregate { operator: Sum, grouping: By [region] }
//! └── Rollup { function: Rate }
//!     └── Range { range_ms: 60000, input: Selector [__name__="shop_orders_total"] }
//! ```
//!
//! Always true of a plan that [`super::plan()`] made: every argument has the type its owner wants, every selector has a
//! matcher that an absent label does not satisfy, and the tree is at most as deep as the limit on nesting.

use crate::model::Matcher;

/// One expression.
#[derive(Clone, Debug)]
pub enum Plan {
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
        /// The scalar that `quantile_over_time` and `predict_linear` take.
        parameter: Option<Box<Plan>>,
    },
    /// Many series into one of each group.
    Aggregate {
        /// How they are put together.
        operator: Aggregate,
        /// Which of them belong together.
        grouping: Grouping,
        /// The scalar or string that `topk`, `bottomk`, `quantile` and `count_values` take.
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
pub enum Kind {
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
    pub fn name(self) -> &'static str {
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
pub struct Selector {
    /// All must be satisfied; the metric's name is one of them.
    pub matchers: Vec<Matcher>,
    /// Moves the moment that is looked at.
    pub shift: Shift,
}

/// How the moment that is looked at differs from the step: first `at` in place of it, then back by the offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// Milliseconds into the past; negative: into the future.
    pub offset_ms: i64,
    /// The `@` modifier.
    pub at: Option<At>,
}

/// The moment that `@` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since 1970 UTC.
    Time(i64),
    /// `start()`: where the query begins, its first step.
    Start,
    /// `end()`: where the query ends, which need not be one of its steps.
    End,
}

/// A window that ends at the (shifted) step and is open on its left: `(t - range, t]`.
#[derive(Clone, Debug)]
pub struct Range {
    /// Whose samples.
    pub input: RangeInput,
    /// Length, in ms; positive.
    pub range_ms: i64,
    /// Moves the window's end.
    pub shift: Shift,
}

/// Where the samples of a window come from.
#[derive(Clone, Debug)]
pub enum RangeInput {
    /// Stored samples of the series that satisfy these matchers.
    Selector(Vec<Matcher>),
    /// An expression evaluated at the multiples of a step.
    Subquery {
        /// An instant vector.
        inner: Box<Plan>,
        /// Milliseconds; the engine's default when it is not given.
        step_ms: Option<i64>,
    },
}

/// Which labels make a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Exactly these labels. None: all series are one group.
    By(Vec<String>),
    /// All labels but these and the metric's name.
    Without(Vec<String>),
}

/// Which series of two vectors belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// `on(…)` compares exactly these labels; otherwise `ignoring(…)` compares all but these and the metric's name.
    pub on: bool,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Whether one side may have many series in a match.
    pub group: Group,
}

/// Which side of a binary operator is the many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
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
        pub enum $enum { $($(#[$doc])* #[doc = concat!("`", $name, "`")] $member),+ }

        impl $enum {
            /// As it is written in PromQL.
            pub fn name(self) -> &'static str {
                match self { $($enum::$member => $name),+ }
            }

            /// The member that is written so.
            pub fn from_name(name: &str) -> Option<$enum> {
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
        Resets = "resets",
    }
}

named! {
    /// How a group of series becomes one (or, for the last few, a choice of them).
    Aggregate {
        Sum = "sum", Avg = "avg", Min = "min", Max = "max", Count = "count", Group = "group", Stddev = "stddev",
        Stdvar = "stdvar", Quantile = "quantile", Topk = "topk", Bottomk = "bottomk", CountValues = "count_values",
    }
}

named! {
    /// An operator between two operands.
    Operator {
        Add = "+", Subtract = "-", Multiply = "*", Divide = "/", Modulo = "%", Power = "^", Atan2 = "atan2",
        Equal = "==", NotEqual = "!=", Less = "<", LessOrEqual = "<=", Greater = ">", GreaterOrEqual = ">=",
        And = "and", Or = "or", Unless = "unless",
    }
}

impl Operator {
    /// Whether it filters, or answers 0 or 1 with `bool`.
    pub fn is_comparison(self) -> bool {
        use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }

    /// Whether it works on sets of series rather than on values.
    pub fn is_set(self) -> bool {
        matches!(self, Operator::And | Operator::Or | Operator::Unless)
    }
}

named! {
    /// A function of scalars, strings and instant vectors.
    Function {
        Abs = "abs", Ceil = "ceil", Floor = "floor", Exp = "exp", Sqrt = "sqrt", Ln = "ln", Log2 = "log2",
        Log10 = "log10", Sgn = "sgn", Sin = "sin", Cos = "cos", Tan = "tan", Asin = "asin", Acos = "acos",
        Atan = "atan", Sinh = "sinh", Cosh = "cosh", Tanh = "tanh", Asinh = "asinh", Acosh = "acosh", Atanh = "atanh",
        Deg = "deg", Rad = "rad", Round = "round", Clamp = "clamp", ClampMin = "clamp_min", ClampMax = "clamp_max",
        Timestamp = "timestamp", Minute = "minute", Hour = "hour", DayOfMonth = "day_of_month",
        DayOfWeek = "day_of_week", DayOfYear = "day_of_year", DaysInMonth = "days_in_month", Month = "month",
        Year = "year", Time = "time", Pi = "pi", Scalar = "scalar", Vector = "vector", Absent = "absent",
        Sort = "sort", SortDesc = "sort_desc", LabelReplace = "label_replace", LabelJoin = "label_join",
        HistogramQuantile = "histogram_quantile", HistogramFraction = "histogram_fraction",
    }
}

impl Plan {
    /// What the expression yields.
    pub fn kind(&self) -> Kind {
        match self {
            Plan::Number(_) => Kind::Scalar,
            Plan::Text(_) => Kind::Text,
            Plan::Range(_) => Kind::Matrix,
            Plan::Selector(_) | Plan::Rollup { .. } | Plan::Aggregate { .. } => Kind::Vector,
            Plan::Negate(inner) => inner.kind(),
            Plan::Binary { left, right, .. } => match (left.kind(), right.kind()) {
                (Kind::Scalar, Kind::Scalar) => Kind::Scalar,
                _ => Kind::Vector,
            },
            Plan::Call { function: Function::Time | Function::Pi | Function::Scalar, .. } => Kind::Scalar,
            Plan::Call { .. } => Kind::Vector,
        }
    }
}
