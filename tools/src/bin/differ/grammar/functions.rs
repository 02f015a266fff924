//! Functions and aggregations, with parameters that are mostly of the kind that they should be.

use super::Grammar;
use super::words::{AGGREGATIONS, CALENDAR, Holds, LABELS, OF_COUNTERS, OF_HISTOGRAMS, OVER};
use crate::term::{Kind, Part, Term};

impl Grammar {
    pub(super) fn calendar(&mut self, depth: usize) -> Term {
        let name = self.dice.pick(CALENDAR);
        if self.dice.chance(30) {
            return Term::text(Kind::Vector, format!("{name}()"));
        }
        if self.dice.chance(50) {
            // Numbers as large as times are.
            let inner = self.numbers(depth - 1);
            let factor = self.dice.pick(&["1e5", "1e7", "86400", "1e9", "-1e8"]);
            let name = Part::Text(format!("{name}("));
            return Term {
                kind: Kind::Vector,
                parts: vec![name, Part::Term(inner), Part::Text(format!(" * {factor})"))],
            };
        }
        self.of_vector(name, depth)
    }

    pub(super) fn over_time(&mut self, depth: usize) -> Term {
        if self.dice.chance(25) {
            let name = self.dice.pick(OF_COUNTERS);
            let holds = [Holds::Counter, Holds::Buckets, Holds::Native][self.dice.weighted(&[5, 2, 3])];
            let range = self.range(Some(holds));
            return Term::call(Kind::Vector, name, vec![range]);
        }
        let way = self.dice.below(10);
        let of_numbers = matches!(way, 0..=2) || self.dice.chance(60);
        let matrix = if of_numbers { self.of_numbers(|grammar| grammar.matrix(depth)) } else { self.matrix(depth) };
        match way {
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
            3 if self.dice.chance(60) => Term::call(Kind::Vector, self.dice.pick(OVER), vec![matrix]),
            _ => Term::call(Kind::Vector, self.dice.pick(&OVER[1..]), vec![matrix]),
        }
    }

    pub(super) fn grouping(&mut self) -> Option<String> {
        let usual = self.dice.chance(70);
        let labels = if usual { self.dice.some(&["job", "instance", "le"], 45) } else { self.dice.some(LABELS, 15) };
        match self.dice.below(10) {
            0..=2 => None,
            3..=6 => Some(format!(" by ({})", labels.join(", "))),
            _ => Some(format!(" without ({})", labels.join(", "))),
        }
    }

    pub(super) fn aggregation(&mut self, depth: usize) -> Term {
        let (name, parameter) = match self.dice.weighted(&[60, 12, 12, 5, 6, 5]) {
            0 => (self.dice.pick(AGGREGATIONS), None),
            1 => (
                self.dice.pick(&["topk", "bottomk"]),
                Some(self.parameter(&["1", "2", "3", "5", "1", "2", "4", "0", "-1", "1.9"])),
            ),
            2 => ("quantile", Some(self.parameter(&["0", "0.1", "0.5", "0.9", "1", "-1", "2", "NaN"]))),
            3 => {
                let label = self.dice.pick(&["value", "job", "v"]);
                ("count_values", Some(Term::text(Kind::Text, format!("\"{label}\""))))
            }
            4 => ("limitk", Some(self.parameter(&["1", "2", "3", "2", "5", "0", "100"]))),
            _ => ("limit_ratio", Some(self.parameter(&["0.1", "0.5", "-0.5", "1", "-0.9", "0"]))),
        };
        let grouping = self.grouping();
        let takes_histograms =
            ["sum", "avg", "count", "group", "count_values", "limitk", "limit_ratio"].contains(&name);
        let inner = if takes_histograms { self.vector(depth - 1) } else { self.numbers(depth - 1) };
        let mut parts = vec![Part::Text(name.to_owned())];
        parts.extend(grouping.map(Part::Optional));
        parts.push(Part::Text(" (".to_owned()));
        if let Some(parameter) = parameter {
            parts.extend([Part::Term(parameter), Part::Text(", ".to_owned())]);
        }
        parts.extend([Part::Term(inner), Part::Text(")".to_owned())]);
        Term { kind: Kind::Vector, parts }
    }

    pub(super) fn relabelled(&mut self, depth: usize) -> Term {
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

    pub(super) fn of_histograms(&mut self, depth: usize) -> Term {
        let way = self.dice.below(5);
        // Buckets of numbers are for quantiles and fractions alone.
        let takes_buckets = way < 4 || self.dice.chance(5);
        let inner = match self.dice.weighted(if takes_buckets { &[4, 4, 4, 3, 3, 1] } else { &[4, 4, 0, 0, 3, 1] }) {
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
        match way {
            0 | 1 => {
                let q = self.parameter(&["0", "0.1", "0.5", "0.9", "0.99", "1", "-1", "2", "NaN", "1e-6"]);
                Term::call(Kind::Vector, "histogram_quantile", vec![q, inner])
            }
            2 | 3 => {
                let lower = self.parameter(&["0", "-Inf", "0.1", "-1", "1", "0.0005"]);
                let upper = self.parameter(&["1", "+Inf", "0.5", "10", "0.7", "NaN"]);
                Term::call(Kind::Vector, "histogram_fraction", vec![lower, upper, inner])
            }
            _ => Term::call(Kind::Vector, self.dice.pick(OF_HISTOGRAMS), vec![inner]),
        }
    }

    pub(super) fn limited(&mut self, depth: usize) -> Term {
        let inner = self.numbers(depth - 1);
        let first = self.parameter(&["0", "1", "-5", "10", "0.5", "-100", "NaN"]);
        let second = self.parameter(&["1", "10", "100", "1000", "20", "0.5", "NaN"]);
        match self.dice.below(4) {
            0 => Term::call(Kind::Vector, "clamp", vec![inner, first, second]),
            1 => Term::call(Kind::Vector, "clamp_min", vec![inner, first]),
            2 => Term::call(Kind::Vector, "clamp_max", vec![inner, first]),
            _ => Term::call(Kind::Vector, "round", vec![inner, first]),
        }
    }

    pub(super) fn info(&mut self, depth: usize) -> Term {
        let inner = self.vector(depth - 1);
        let data = self.dice.pick(&[
            "",
            "",
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
