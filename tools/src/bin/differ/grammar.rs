//! Random expressions of right type, over the series of `data.rs`.

use crate::data::LENGTH_MS;
use crate::dice::Dice;
use crate::term::{Kind, Part, Term};

/// A metric, with its labels and some values of each.
struct Metric {
    name: &'static str,
    labels: &'static [(&'static str, &'static [&'static str])],
    holds: Holds,
}

#[derive(Clone, Copy, PartialEq)]
enum Holds {
    Counter,
    Gauge,
    Buckets,
    Native,
}

const JOB: (&str, &[&str]) = ("job", &["api", "web"]);
const INSTANCE: (&str, &[&str]) = ("instance", &["a:1", "b:1", "c:2"]);

const METRICS: &[Metric] = &[
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

const LABELS: &[&str] = &[
    "job", "instance", "path", "code", "zone", "n", "version", "env", "le", "which", "pod", "app", "host", "missing",
    "__name__",
];
const RANGES: &[&str] = &[
    "1ms", "1s", "14s", "15s", "15001ms", "29s", "30s", "45s", "1m", "1m1s", "90s", "2m30s", "5m", "5m1ms", "7m",
    "13m", "20m", "1h", "1d",
];
const SUBQUERY_RANGES: &[&str] = &["1s", "15s", "30s", "1m", "61s", "2m", "3m7s", "5m", "8m"];
const SUBQUERY_STEPS: &[&str] = &["", "5s", "7s", "13s", "15s", "15001ms", "30s", "1m", "61s", "2m"];
const OFFSETS: &[&str] =
    &["1ms", "5s", "15s", "59s", "1m", "4m59s", "5m", "10m", "1h", "-1ms", "-7s", "-1m", "-5m", "-20m"];
const NUMBERS: &[&str] = &[
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
const EACH: &[&str] = &[
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "deg", "exp", "floor", "ln",
    "log10", "log2", "rad", "sgn", "sin", "sinh", "sqrt", "tan", "tanh",
];
const CALENDAR: &[&str] =
    &["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"];
const OF_HISTOGRAMS: &[&str] =
    &["histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum"];
const OVER: &[&str] = &[
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
const OF_COUNTERS: &[&str] = &["rate", "increase", "irate", "resets", "changes"];
const AGGREGATIONS: &[&str] = &["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
const ARITHMETIC: &[&str] = &["+", "-", "*", "/", "%", "^", "atan2"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
const SETS: &[&str] = &["and", "or", "unless"];

/// Makes expressions over the data that begin at `start_ms`.
pub(crate) struct Grammar {
    pub(crate) dice: Dice,
    pub(crate) start_ms: i64,
    /// Subqueries that the one in hand is within.
    within: usize,
}

impl Grammar {
    pub(crate) fn new(dice: Dice, start_ms: i64) -> Grammar {
        Grammar { dice, start_ms, within: 0 }
    }

    /// An expression for a range query, or for an instant one.
    pub(crate) fn expression(&mut self) -> Term {
        let depth = 1 + self.dice.below(5);
        if self.dice.chance(5) { self.scalar(depth) } else { self.vector(depth) }
    }

    /// A range of samples, which only instant queries may ask for.
    pub(crate) fn samples(&mut self) -> Term {
        self.matrix(1)
    }

    fn number(&mut self) -> Term {
        if self.dice.chance(15) {
            let number = (self.dice.fraction() - 0.3) * 200.0;
            return Term::text(Kind::Scalar, format!("{number:.3}"));
        }
        Term::text(Kind::Scalar, self.dice.pick(NUMBERS))
    }

    fn scalar(&mut self, depth: usize) -> Term {
        if depth == 0 || self.dice.chance(40) {
            return match self.dice.below(8) {
                0 => Term::text(Kind::Scalar, "time()"),
                1 => Term::text(Kind::Scalar, "pi()"),
                _ => self.number(),
            };
        }
        match self.dice.below(5) {
            0 => self.signed(Kind::Scalar, depth),
            1 => {
                let operator = format!(" {} bool ", self.dice.pick(COMPARISONS));
                let (left, right) = (self.scalar(depth - 1), self.scalar(depth - 1));
                self.joined(Kind::Scalar, left, vec![Part::Text(operator)], right)
            }
            2 => {
                let operator = format!(" {} ", self.dice.pick(ARITHMETIC));
                let (left, right) = (self.scalar(depth - 1), self.scalar(depth - 1));
                self.joined(Kind::Scalar, left, vec![Part::Text(operator)], right)
            }
            _ => {
                let inner = self.vector(depth - 1);
                Term::call(Kind::Scalar, "scalar", vec![inner])
            }
        }
    }

    /// A parameter: mostly of the kind that it should be.
    fn parameter(&mut self, usual: &[&str]) -> Term {
        match self.dice.below(10) {
            0 => self.scalar(2),
            1 => self.number(),
            _ => Term::text(Kind::Scalar, self.dice.pick(usual)),
        }
    }

    fn signed(&mut self, kind: Kind, depth: usize) -> Term {
        let inner = if kind == Kind::Scalar { self.scalar(depth - 1) } else { self.vector(depth - 1) };
        let sign = if self.dice.chance(85) { "-" } else { "+" };
        Term { kind, parts: vec![Part::Text(sign.to_owned()), Part::Term(inner)] }
    }

    /// Two operands: mostly in parentheses, else as precedence has it.
    fn joined(&mut self, kind: Kind, left: Term, between: Vec<Part>, right: Term) -> Term {
        let mut parts = vec![Part::Term(left)];
        parts.extend(between);
        parts.push(Part::Term(right));
        if self.dice.chance(85) {
            parts.insert(0, Part::Text("(".to_owned()));
            parts.push(Part::Text(")".to_owned()));
        }
        Term { kind, parts }
    }

    pub(crate) fn vector(&mut self, depth: usize) -> Term {
        if depth == 0 {
            if self.dice.chance(5) {
                let inner = self.scalar(0);
                return Term::call(Kind::Vector, "vector", vec![inner]);
            }
            return self.selector(None);
        }
        match self.dice.weighted(&[8, 6, 20, 16, 14, 10, 6, 5, 12, 4, 3, 3, 4, 3, 2, 2, 2, 2]) {
            0 => self.selector(None),
            1 => {
                let name = self.dice.pick(EACH);
                self.of_vector(name, depth)
            }
            2 => self.over_time(depth),
            3 => self.aggregation(depth),
            4 => self.between_vectors(depth),
            5 => self.with_scalar(depth),
            6 => self.set(depth),
            7 => self.relabelled(depth),
            8 => self.of_histograms(depth),
            9 => self.limited(depth),
            10 => {
                let name = self.dice.pick(&["sort", "sort_desc"]);
                self.of_vector(name, depth)
            }
            11 => self.of_vector("absent", depth),
            12 => self.of_vector("timestamp", depth),
            13 => self.calendar(depth),
            14 => self.signed(Kind::Vector, depth),
            15 => {
                let inner = self.scalar(depth - 1);
                Term::call(Kind::Vector, "vector", vec![inner])
            }
            16 => self.info(depth),
            _ => {
                let name = self.dice.pick(&["sort_by_label", "sort_by_label_desc"]);
                let inner = self.vector(depth - 1);
                let label = format!(", \"{}\")", self.dice.pick(LABELS));
                let parts = vec![Part::Text(format!("{name}(")), Part::Term(inner), Part::Text(label)];
                Term { kind: Kind::Vector, parts }
            }
        }
    }

    fn of_vector(&mut self, name: &str, depth: usize) -> Term {
        let inner = self.vector(depth - 1);
        Term::call(Kind::Vector, name, vec![inner])
    }

    fn calendar(&mut self, depth: usize) -> Term {
        let name = self.dice.pick(CALENDAR);
        if self.dice.chance(30) {
            return Term::text(Kind::Vector, format!("{name}()"));
        }
        if self.dice.chance(50) {
            // Numbers as large as times are.
            let inner = self.vector(depth - 1);
            let factor = self.dice.pick(&["1e5", "1e7", "86400", "1e9", "-1e8"]);
            let name = Part::Text(format!("{name}("));
            return Term {
                kind: Kind::Vector,
                parts: vec![name, Part::Term(inner), Part::Text(format!(" * {factor})"))],
            };
        }
        self.of_vector(name, depth)
    }

    fn metric(&mut self, of: Option<Holds>) -> &'static Metric {
        loop {
            let metric = &METRICS[self.dice.below(METRICS.len())];
            if of.is_none_or(|holds| metric.holds == holds) {
                return metric;
            }
        }
    }

    /// Name and matchers.
    fn series(&mut self, of: Option<Holds>) -> Vec<Part> {
        if of.is_none() && self.dice.chance(4) {
            let text = self.dice.pick(&[
                "{\"a.b\"}",
                "{\"a.b\", \"la bel\"=\"ü\"}",
                "{__name__=~\"temp.*|up\"}",
                "{__name__=~\"latency_.+\",le=\"\"}",
                "{__name__!=\"up\",__name__=~\"u.*|limit\"}",
                "{__name__=~\"native.*\",job=\"api\"}",
                "{__name__=\"no_such_metric\"}",
                "no_such_metric{job=\"api\",zone=~\"x\"}",
            ]);
            return vec![Part::Text(text.to_owned())];
        }
        let metric = self.metric(of);
        let mut parts = vec![Part::Text(metric.name.to_owned())];
        let count = self.dice.weighted(&[50, 35, 15]);
        if count > 0 {
            let matchers: Vec<String> = (0..count).map(|_| self.matcher(metric)).collect();
            parts.push(Part::Optional(format!("{{{}}}", matchers.join(", "))));
        }
        parts
    }

    fn matcher(&mut self, metric: &Metric) -> String {
        if self.dice.chance(5) {
            return self
                .dice
                .pick(&["missing=\"\"", "missing!=\"\"", "missing=~\".*\"", "missing!~\".+\"", "job!=\"\""])
                .to_owned();
        }
        let (name, values) = metric.labels[self.dice.below(metric.labels.len())];
        let value = self.dice.pick(values);
        let first = value.chars().next().unwrap_or('a');
        match self.dice.below(8) {
            0..=2 => format!("{name}=\"{value}\""),
            3 => format!("{name}!=\"{value}\""),
            4 => format!("{name}=~\"({value}|nothing)\"").replace('+', "\\\\+"),
            5 => format!("{name}!~\"{value}.*\"").replace('+', "\\\\+"),
            6 => format!("{name}=~\"[^{first}].+|{first}?\"").replace("+?", "\\\\+?"),
            _ => format!("{name}=~\".+\""),
        }
    }

    /// `offset` and `@`.
    fn shift(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        if self.dice.chance(15) {
            parts.push(Part::Optional(format!(" offset {}", self.dice.pick(OFFSETS))));
        }
        if self.dice.chance(12) {
            let at = match self.dice.below(3) {
                0 => "start()".to_owned(),
                1 => "end()".to_owned(),
                _ => {
                    let at_ms = self.start_ms + self.dice.between(-60_000, LENGTH_MS + 300_000);
                    format!("{}.{:03}", at_ms / 1000, at_ms % 1000)
                }
            };
            parts.push(Part::Optional(format!(" @ {at}")));
        }
        if self.dice.chance(50) {
            parts.reverse();
        }
        parts
    }

    fn selector(&mut self, of: Option<Holds>) -> Term {
        let mut parts = self.series(of);
        parts.extend(self.shift());
        Term { kind: Kind::Vector, parts }
    }

    fn range(&mut self, of: Option<Holds>) -> Term {
        let mut parts = self.series(of);
        let usual = self.dice.chance(50);
        let range = self.dice.pick(if usual { &["1m", "2m", "5m"] } else { RANGES });
        parts.push(Part::Text(format!("[{range}]")));
        parts.extend(self.shift());
        Term { kind: Kind::Matrix, parts }
    }

    fn matrix(&mut self, depth: usize) -> Term {
        if depth == 0 || self.within >= 2 || self.dice.chance(65) {
            return self.range(None);
        }
        self.subquery(depth)
    }

    fn subquery(&mut self, depth: usize) -> Term {
        self.within += 1;
        let inner = self.vector(depth - 1);
        self.within -= 1;
        let range = self.dice.pick(if self.within == 0 { SUBQUERY_RANGES } else { &SUBQUERY_RANGES[..6] });
        let step = self.dice.pick(SUBQUERY_STEPS);
        let mut parts = vec![Part::Text("(".to_owned()), Part::Term(inner), Part::Text(format!(")[{range}:{step}]"))];
        parts.extend(self.shift());
        Term { kind: Kind::Matrix, parts }
    }

    fn over_time(&mut self, depth: usize) -> Term {
        if self.dice.chance(25) {
            let name = self.dice.pick(OF_COUNTERS);
            let holds = [Holds::Counter, Holds::Buckets, Holds::Native][self.dice.weighted(&[5, 2, 3])];
            let range = self.range(Some(holds));
            return Term::call(Kind::Vector, name, vec![range]);
        }
        let matrix = self.matrix(depth);
        match self.dice.below(10) {
            0 => {
                let q = self.parameter(&["0", "0.1", "0.5", "0.9", "1", "-1", "2", "NaN"]);
                Term::call(Kind::Vector, "quantile_over_time", vec![q, matrix])
            }
            1 => {
                let ahead = self.parameter(&["60", "0", "-30", "3600", "1d"]);
                Term::call(Kind::Vector, "predict_linear", vec![matrix, ahead])
            }
            2 if self.dice.chance(50) => {
                let smoothing = self.parameter(&["0.1", "0.5", "0.9", "0.01"]);
                let trend = self.parameter(&["0.1", "0.5", "0.9", "0.3"]);
                Term::call(Kind::Vector, "double_exponential_smoothing", vec![matrix, smoothing, trend])
            }
            _ => Term::call(Kind::Vector, self.dice.pick(OVER), vec![matrix]),
        }
    }

    fn grouping(&mut self) -> Option<String> {
        let usual = self.dice.chance(70);
        let labels = if usual { self.dice.some(&["job", "instance", "le"], 45) } else { self.dice.some(LABELS, 15) };
        match self.dice.below(10) {
            0..=2 => None,
            3..=6 => Some(format!(" by ({})", labels.join(", "))),
            _ => Some(format!(" without ({})", labels.join(", "))),
        }
    }

    fn aggregation(&mut self, depth: usize) -> Term {
        let (name, parameter) = match self.dice.weighted(&[60, 12, 12, 5, 6, 5]) {
            0 => (self.dice.pick(AGGREGATIONS), None),
            1 => (self.dice.pick(&["topk", "bottomk"]), Some(self.parameter(&["1", "2", "3", "5", "0", "-1", "1.9"]))),
            2 => ("quantile", Some(self.parameter(&["0", "0.1", "0.5", "0.9", "1", "-1", "2", "NaN"]))),
            3 => {
                let label = self.dice.pick(&["value", "job", "v"]);
                ("count_values", Some(Term::text(Kind::Text, format!("\"{label}\""))))
            }
            4 => ("limitk", Some(self.parameter(&["1", "2", "3", "0", "100"]))),
            _ => ("limit_ratio", Some(self.parameter(&["0.1", "0.5", "-0.5", "1", "-0.9", "0"]))),
        };
        let grouping = self.grouping();
        let inner = self.vector(depth - 1);
        let mut parts = vec![Part::Text(name.to_owned())];
        parts.extend(grouping.map(Part::Optional));
        parts.push(Part::Text(" (".to_owned()));
        if let Some(parameter) = parameter {
            parts.extend([Part::Term(parameter), Part::Text(", ".to_owned())]);
        }
        parts.extend([Part::Term(inner), Part::Text(")".to_owned())]);
        Term { kind: Kind::Vector, parts }
    }

    fn operator(&mut self) -> String {
        if self.dice.chance(60) {
            return self.dice.pick(ARITHMETIC).to_owned();
        }
        let operator = self.dice.pick(COMPARISONS);
        if self.dice.chance(35) { format!("{operator} bool") } else { operator.to_owned() }
    }

    fn with_scalar(&mut self, depth: usize) -> Term {
        let operator = self.operator();
        let (vector, scalar) = (self.vector(depth - 1), self.scalar(depth - 1));
        let (left, right) = if self.dice.chance(65) { (vector, scalar) } else { (scalar, vector) };
        self.joined(Kind::Vector, left, vec![Part::Text(format!(" {operator} "))], right)
    }

    fn between_vectors(&mut self, depth: usize) -> Term {
        let operator = self.operator();
        let shape = self.dice.below(10);
        let (left, right, matching) = match shape {
            0 | 1 => {
                // Both sides grouped alike.
                let grouping = self.grouping().unwrap_or_default();
                let mut side = || {
                    let name = self.dice.pick(AGGREGATIONS);
                    let inner = self.vector(depth.saturating_sub(2));
                    let parts =
                        vec![Part::Text(format!("{name}{grouping} (")), Part::Term(inner), Part::Text(")".to_owned())];
                    Term { kind: Kind::Vector, parts }
                };
                (side(), side(), String::new())
            }
            2 | 3 => {
                // Many of one metric to one of another.
                let many = self.wrapped(&["temperature", "requests_total", "up", "native"]);
                let one = self.wrapped(&["limit", "up", "target_info", "native"]);
                let include = self.dice.some(&["version", "env", "missing", "zone"], 20).join(", ");
                let on = self.dice.pick(&["on (job, instance)", "ignoring (zone, path, code, version, env)"]);
                if self.dice.chance(60) {
                    (many, one, format!(" {on} group_left ({include})"))
                } else {
                    (one, many, format!(" {on} group_right ({include})"))
                }
            }
            4 | 5 => {
                let (left, right) =
                    (self.wrapped(&["limit", "up", "native"]), self.wrapped(&["up", "limit", "native_any"]));
                (
                    left,
                    right,
                    self.dice.pick(&["", " on (job, instance)", " ignoring (zone)", " ignoring ()"]).to_owned(),
                )
            }
            6 => {
                let one = self.vector(depth - 1);
                (one.clone(), one, self.matching())
            }
            _ => (self.vector(depth - 1), self.vector(depth - 1), self.matching()),
        };
        let between = vec![Part::Text(format!(" {operator}")), Part::Optional(matching), Part::Text(" ".to_owned())];
        self.joined(Kind::Vector, left, between, right)
    }

    /// One of the metrics, with something done to it or not.
    fn wrapped(&mut self, metrics: &[&str]) -> Term {
        let metric = self.dice.pick(metrics);
        let parts = [vec![Part::Text(metric.to_owned())], self.shift()].concat();
        let selector = Term { kind: Kind::Vector, parts };
        match self.dice.below(4) {
            0 => Term::call(Kind::Vector, "abs", vec![selector]),
            1 => {
                let range = Term::text(Kind::Matrix, format!("{metric}[2m]"));
                Term::call(Kind::Vector, self.dice.pick(&["rate", "last_over_time", "avg_over_time"]), vec![range])
            }
            _ => selector,
        }
    }

    fn matching(&mut self) -> String {
        let usual = self.dice.chance(60);
        let labels = if usual { self.dice.some(&["job", "instance"], 60) } else { self.dice.some(LABELS, 15) };
        let labels = labels.join(", ");
        let mut matching = match self.dice.below(4) {
            0 => return String::new(),
            1 | 2 => format!(" on ({labels})"),
            _ => format!(" ignoring ({labels})"),
        };
        if self.dice.chance(40) {
            let side = self.dice.pick(&["group_left", "group_right"]);
            let include = self.dice.some(&["version", "zone", "path", "le", "missing"], 15).join(", ");
            matching.push_str(&format!(" {side} ({include})"));
        }
        matching
    }

    fn set(&mut self, depth: usize) -> Term {
        let operator = self.dice.pick(SETS);
        let (left, right) = (self.vector(depth - 1), self.vector(depth - 1));
        let labels = self.dice.some(&["job", "instance", "missing"], 40).join(", ");
        let matching = match self.dice.below(3) {
            0 => String::new(),
            1 => format!(" on ({labels})"),
            _ => format!(" ignoring ({labels})"),
        };
        let between = vec![Part::Text(format!(" {operator}")), Part::Optional(matching), Part::Text(" ".to_owned())];
        self.joined(Kind::Vector, left, between, right)
    }

    fn relabelled(&mut self, depth: usize) -> Term {
        let inner = self.vector(depth - 1);
        let (name, arguments) = if self.dice.chance(65) {
            let to = self.dice.pick(&["job", "instance", "new", "le", "host", "__name__"]);
            let by = self.dice.pick(&["$1", "x$1-$2", "", "${1}y", "$$1", "$name", "const"]);
            let from = self.dice.pick(LABELS);
            let pattern =
                self.dice.pick(&["(.*)", "(a|b):(.*)", "", ".+", "(?P<name>[a-z]+).*", "(.)(.)?.*", "(?i)API|(w)eb"]);
            ("label_replace(", format!(", \"{to}\", \"{by}\", \"{from}\", \"{pattern}\")"))
        } else {
            let to = self.dice.pick(&["job", "new", "__name__", "host"]);
            let from: Vec<String> = self.dice.some(LABELS, 15).iter().map(|label| format!(", \"{label}\"")).collect();
            let separator = self.dice.pick(&["-", "", "::", "ü"]);
            ("label_join(", format!(", \"{to}\", \"{separator}\"{})", from.concat()))
        };
        let parts = vec![Part::Text(name.to_owned()), Part::Term(inner), Part::Text(arguments)];
        Term { kind: Kind::Vector, parts }
    }

    fn of_histograms(&mut self, depth: usize) -> Term {
        let inner = match self.dice.below(6) {
            0 => self.selector(Some(Holds::Native)),
            1 => {
                let range = self.range(Some(Holds::Native));
                Term::call(
                    Kind::Vector,
                    self.dice.pick(&["rate", "increase", "delta", "sum_over_time", "avg_over_time"]),
                    vec![range],
                )
            }
            2 => {
                let range = self.range(Some(Holds::Buckets));
                let inner =
                    Term::call(Kind::Vector, self.dice.pick(&["rate", "increase", "last_over_time"]), vec![range]);
                let grouping = self.dice.pick(&[" by (le)", " by (job, le)", " without (instance)"]);
                Term {
                    kind: Kind::Vector,
                    parts: vec![Part::Text(format!("sum{grouping} (")), Part::Term(inner), Part::Text(")".to_owned())],
                }
            }
            3 => self.selector(Some(Holds::Buckets)),
            4 => {
                let inner = self.selector(Some(Holds::Native));
                let name = format!("{}{} (", self.dice.pick(&["sum", "avg"]), self.grouping().unwrap_or_default());
                Term {
                    kind: Kind::Vector,
                    parts: vec![Part::Text(name), Part::Term(inner), Part::Text(")".to_owned())],
                }
            }
            _ => self.vector(depth - 1),
        };
        match self.dice.below(4) {
            0 | 1 => {
                let q = self.parameter(&["0", "0.1", "0.5", "0.9", "0.99", "1", "-1", "2", "NaN", "1e-6"]);
                Term::call(Kind::Vector, "histogram_quantile", vec![q, inner])
            }
            2 => {
                let lower = self.parameter(&["0", "-Inf", "0.1", "-1", "1", "0.0005"]);
                let upper = self.parameter(&["1", "+Inf", "0.5", "10", "0.7", "NaN"]);
                Term::call(Kind::Vector, "histogram_fraction", vec![lower, upper, inner])
            }
            _ => Term::call(Kind::Vector, self.dice.pick(OF_HISTOGRAMS), vec![inner]),
        }
    }

    fn limited(&mut self, depth: usize) -> Term {
        let inner = self.vector(depth - 1);
        let bounds = [0, 1].map(|_| self.parameter(&["0", "1", "-5", "10", "100", "0.5", "NaN"]));
        let [first, second] = bounds;
        match self.dice.below(4) {
            0 => Term::call(Kind::Vector, "clamp", vec![inner, first, second]),
            1 => Term::call(Kind::Vector, "clamp_min", vec![inner, first]),
            2 => Term::call(Kind::Vector, "clamp_max", vec![inner, first]),
            _ => Term::call(Kind::Vector, "round", vec![inner, first]),
        }
    }

    fn info(&mut self, depth: usize) -> Term {
        let inner = self.vector(depth - 1);
        let data = self.dice.pick(&[
            "",
            ", {version=~\".+\"}",
            ", {env=\"prod\"}",
            ", {__name__=\"target_info\"}",
            ", {__name__=~\".+_info\", version=\"1.0\"}",
            ", {missing=\"x\"}",
            ", {env=~\".*\"}",
        ]);
        let parts = vec![
            Part::Text("info(".to_owned()),
            Part::Term(inner),
            Part::Optional(data.to_owned()),
            Part::Text(")".to_owned()),
        ];
        Term { kind: Kind::Vector, parts }
    }
}
