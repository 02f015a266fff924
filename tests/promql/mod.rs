//! Reads and runs scripts in Prometheus' script language for PromQL.
//!
//! ```text
//! load 30s
//!   orders{node="1"} 0+10x4          # 0 10 20 30 40, one every 30 s
//!   orders{node="2"} 5 _ stale 7     # `_` is no sample, `stale` the marker
//!
//! eval instant at 1m sum(orders)
//!   {} 20
//!
//! eval range from 0 to 1m step 30s orders{node="1"}
//!   orders{node="1"} 0 10 20
//!
//! eval instant at 1m orders + on() orders
//!   expect fail
//!
//! clear
//! ```

use std::collections::BTreeMap;

use dozor::clock::Clock;
use dozor::model::{Labels, Sample, stale_nan};
use dozor::query::{Answer, Engine, Limits, Options, QueryError, Value};
use dozor::storage::view::ReadView;

/// What we know to be different, by file and a part of the query ("" is any), and why.
const DIFFERENT: [(&str, &str, &str); 5] = [
    ("start_timestamps.test", "", "start timestamps are not stored"),
    ("type_and_unit.test", "", "type and unit as labels are an option of Prometheus that is off by default"),
    ("name_label_dropping.test", "", "delayed removal of names is an option of Prometheus that is off by default"),
    ("duration_expression.test", "offset", "an expression in place of a duration"),
    ("info.test", "info(", "info"),
];

/// What a script's evaluations came to.
#[derive(Default)]
pub(crate) struct Report {
    /// Those that gave what the script says.
    pub(crate) passed: usize,
    /// File, line, query and the construct that the engine refuses by name.
    pub(crate) unsupported: Vec<String>,
    /// File, line, query and what differed.
    pub(crate) failed: Vec<String>,
}

/// One line of an expectation or of `load`: labels, and a value (or none) for each step.
type Row = (Labels, Vec<Option<f64>>);

struct Eval {
    line: usize,
    query: String,
    start_ms: i64,
    end_ms: i64,
    step_ms: Option<i64>,
    fail: bool,
    ordered: bool,
    warn: Option<bool>,
    info: Option<bool>,
    /// Step of the expected samples of a range vector.
    raw: Option<(i64, i64)>,
    text: Option<String>,
    scalar: Option<f64>,
    rows: Vec<Row>,
    histogram: bool,
}

/// A script that runs against an engine.
pub(crate) struct Script {
    file: String,
    lines: Vec<String>,
    at: usize,
    data: BTreeMap<Labels, BTreeMap<i64, f64>>,
    histograms: Vec<String>,
    /// Whether warnings and infos are compared too.
    strict: bool,
}

impl Script {
    /// Reads a script. `strict` compares warnings and infos too.
    pub(crate) fn new(file: &str, text: &str, strict: bool) -> Script {
        let clean = |line: &str| if line.trim().starts_with('#') { String::new() } else { line.trim().to_owned() };
        Script {
            file: file.to_owned(),
            lines: text.lines().map(clean).collect(),
            at: 0,
            data: BTreeMap::new(),
            histograms: Vec::new(),
            strict,
        }
    }

    /// Runs all of it.
    pub(crate) fn run(&mut self, report: &mut Report) {
        while self.at < self.lines.len() {
            let line = self.lines[self.at].clone();
            if line.is_empty() {
                self.at += 1;
            } else if line == "clear" {
                self.data.clear();
                self.histograms.clear();
                self.at += 1;
            } else if line.starts_with("load") {
                self.load(&line);
            } else if line.starts_with("eval") {
                let eval = self.eval(&line);
                self.check(&eval, report);
            } else {
                panic!("{}:{}: what is {line:?}?", self.file, self.at + 1);
            }
        }
    }

    fn load(&mut self, line: &str) {
        let (command, step) = line.split_once(char::is_whitespace).expect("load has a step");
        let step_ms = duration_ms(step.trim());
        let custom_buckets = command == "load_with_nhcb";
        self.at += 1;
        while self.at < self.lines.len() && !self.lines[self.at].is_empty() {
            let line = self.lines[self.at].clone();
            self.at += 1;
            if line.split_whitespace().next().is_some_and(|word| word.ends_with("@st")) {
                continue;
            }
            let (labels, rest) = series(&line);
            let name = labels.metric_name().unwrap_or("").to_owned();
            if let Some(base) = name.strip_suffix("_bucket").filter(|_| custom_buckets) {
                self.histograms.push(base.to_owned());
            }
            if rest.contains("{{") {
                self.histograms.push(name);
                continue;
            }
            let samples = self.data.entry(labels).or_default();
            for (index, value) in values(rest).into_iter().enumerate() {
                if let Some(value) = value {
                    samples.insert(index as i64 * step_ms, value);
                }
            }
        }
    }

    fn eval(&mut self, line: &str) -> Eval {
        let mut words = line.split_whitespace();
        let command = words.next().expect("not empty");
        let kind = words.next().expect("instant or range");
        let mut eval = Eval {
            line: self.at + 1,
            query: String::new(),
            start_ms: 0,
            end_ms: 0,
            step_ms: None,
            fail: command == "eval_fail",
            ordered: command == "eval_ordered",
            warn: (command == "eval_warn").then_some(true),
            info: (command == "eval_info").then_some(true),
            raw: None,
            text: None,
            scalar: None,
            rows: Vec::new(),
            histogram: false,
        };
        let after = |word: &str, from: usize| from + line[from..].find(word).expect("a complete eval") + word.len();
        let token = |from: usize| {
            let rest = &line[from..];
            let start = from + rest.len() - rest.trim_start().len();
            (start, start + line[start..].find(char::is_whitespace).unwrap_or(line.len() - start))
        };
        let mut end = after(kind, 0);
        if kind == "instant" {
            if line[end..].trim_start().starts_with("at ") {
                let (from, to) = token(after(" at ", end));
                eval.start_ms = duration_ms(&line[from..to]);
                end = to;
            }
        } else {
            let mut times = [0; 3];
            for (time, word) in times.iter_mut().zip([" from ", " to ", " step "]) {
                let (from, to) = token(after(word, end));
                *time = duration_ms(&line[from..to]);
                end = to;
            }
            (eval.start_ms, eval.end_ms, eval.step_ms) = (times[0], times[1], Some(times[2]));
        }
        eval.query = line[end..].trim().to_owned();
        self.at += 1;
        while self.at < self.lines.len() && !self.lines[self.at].is_empty() {
            let line = self.lines[self.at].clone();
            self.at += 1;
            expectation(&mut eval, &line);
        }
        eval
    }

    fn check(&self, eval: &Eval, report: &mut Report) {
        let place = format!("{}:{}: {}", self.file, eval.line, eval.query);
        let histogram = eval.histogram || self.touches_histograms(&eval.query);
        let known = |(file, part, _): &&(&str, &str, &str)| *file == self.file && eval.query.contains(part);
        match self.outcome(eval) {
            Ok(()) => report.passed += 1,
            Err(_) if histogram => report.unsupported.push(format!("{place}: native histograms")),
            Err(Difference::Other(_)) if DIFFERENT.iter().any(|one| known(&one)) => {
                let (_, _, why) = DIFFERENT.iter().find(known).expect("just found");
                report.unsupported.push(format!("{place}: {why}"));
            }
            Err(Difference::Unsupported(what)) => report.unsupported.push(format!("{place}: {what}")),
            Err(Difference::Other(what)) => report.failed.push(format!("{place}\n      {what}")),
        }
    }

    /// Native histograms are not loaded, so what reads them cannot be judged.
    fn touches_histograms(&self, query: &str) -> bool {
        let nameless = query.contains("__name__") || query.starts_with('{') || query.contains("({");
        let words = || query.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        !self.histograms.is_empty()
            && (nameless || words().any(|word| self.histograms.iter().any(|histogram| histogram == word)))
    }

    fn outcome(&self, eval: &Eval) -> Result<(), Difference> {
        let series = self
            .data
            .iter()
            .map(|(labels, samples)| {
                let samples = samples.iter().map(|(time, value)| Sample { timestamp_ms: *time, value: *value });
                (labels.clone(), samples.collect())
            })
            .collect();
        let view = ReadView::of_samples(series);
        let engine = Engine::new(Limits::default(), Clock::system());
        let options = Options::default();
        let answer = match eval.step_ms {
            None => engine.instant(&view, &eval.query, eval.start_ms, &options),
            Some(step_ms) => engine.range(&view, &eval.query, eval.start_ms, eval.end_ms, step_ms, &options),
        };
        let Some(answer) = self.expected_error(eval, answer)? else { return Ok(()) };
        compare(eval, &answer.value)?;
        if eval.step_ms.is_none() && matches!(answer.value, Value::Vector(_)) {
            // An instant is a range of one step, and must be the same amid other steps.
            let (start_ms, end_ms) = (eval.start_ms - 60_000, eval.start_ms + 60_000);
            if let Ok(Answer { value: Value::Matrix(series), .. }) =
                engine.range(&view, &eval.query, start_ms, end_ms, 60_000, &options)
            {
                let middle = series.into_iter().filter_map(|series| {
                    let index = series.points.timestamps_ms.binary_search(&eval.start_ms).ok()?;
                    Some((series.labels, eval.start_ms, series.points.values[index]))
                });
                compare_rows(&eval.rows, middle.map(|(labels, _, value)| ((*labels).clone(), vec![Some(value)])))
                    .map_err(|what| Difference::Other(format!("as a range: {what}")))?;
            }
        }
        Ok(())
    }

    /// The answer, unless the query failed as it should.
    fn expected_error(&self, eval: &Eval, answer: Result<Answer, QueryError>) -> Result<Option<Answer>, Difference> {
        let answer = match answer {
            Err(QueryError::Unsupported(what)) => return Err(Difference::Unsupported(what)),
            Err(_) if eval.fail => return Ok(None),
            Err(error) => return Err(Difference::Other(format!("{}: {error}", error.kind()))),
            Ok(_) if eval.fail => return Err(Difference::Other("did not fail".to_owned())),
            Ok(answer) => answer,
        };
        if self.strict {
            for (what, wanted, notes) in [("warning", eval.warn, &answer.warnings), ("info", eval.info, &answer.infos)]
            {
                if wanted.is_some_and(|wanted| wanted == notes.is_empty()) {
                    return Err(Difference::Other(format!("{what}s: {notes:?}")));
                }
            }
        }
        Ok(Some(answer))
    }
}

enum Difference {
    Unsupported(String),
    Other(String),
}

fn expectation(eval: &mut Eval, line: &str) {
    if let Some(rest) = line.strip_prefix("expect range vector from ") {
        let words: Vec<&str> = rest.split_whitespace().collect();
        eval.raw = Some((duration_ms(words[0]), duration_ms(words[4])));
    } else if let Some(text) = line.strip_prefix("expect string ") {
        eval.text = Some(quoted(text).0);
    } else if let Some(rest) = line.strip_prefix("expect ") {
        match rest.split_whitespace().next().unwrap_or("") {
            "fail" => eval.fail = true,
            "ordered" => eval.ordered = true,
            "warn" => eval.warn = Some(true),
            "no_warn" => eval.warn = Some(false),
            "info" => eval.info = Some(true),
            "no_info" => eval.info = Some(false),
            other => panic!("what is `expect {other}`?"),
        }
    } else if line.starts_with("expected_fail") {
        eval.fail = true;
    } else if line.contains("{{") {
        eval.histogram = true;
    } else if let Some(scalar) = number(line) {
        eval.scalar = Some(scalar);
    } else {
        let (labels, rest) = series(line);
        eval.rows.push((labels, values(rest)));
    }
}

fn compare(eval: &Eval, value: &Value) -> Result<(), Difference> {
    let result = match value {
        Value::Scalar(_, value) => match eval.scalar {
            Some(wanted) if same(wanted, *value) => Ok(()),
            _ => Err(format!("got scalar {value}")),
        },
        Value::String(_, text) if eval.text.as_ref() == Some(text) => Ok(()),
        Value::String(_, text) => Err(format!("got string {text:?}")),
        Value::Vector(series) => {
            let got: Vec<Row> =
                series.iter().map(|(labels, _, value)| ((**labels).clone(), vec![Some(*value)])).collect();
            let order = |rows: &[Row]| rows.iter().map(|(labels, _)| labels.clone()).collect::<Vec<_>>();
            if eval.ordered && order(&got) != order(&eval.rows) {
                Err(format!("order: {:?}", order(&got)))
            } else {
                compare_rows(&eval.rows, got)
            }
        }
        Value::Matrix(series) => {
            let (start_ms, step_ms) = eval.raw.unwrap_or((eval.start_ms, eval.step_ms.unwrap_or(1)));
            let got = series.iter().map(|series| {
                let mut row = Vec::new();
                for (time_ms, value) in series.points.timestamps_ms.iter().zip(&series.points.values) {
                    let step = usize::try_from((time_ms - start_ms) / step_ms).unwrap_or(0);
                    row.resize(step, None);
                    row.push(Some(*value));
                }
                ((*series.labels).clone(), row)
            });
            compare_rows(&eval.rows, got)
        }
    };
    result.map_err(Difference::Other)
}

fn compare_rows(wanted: &[Row], got: impl IntoIterator<Item = Row>) -> Result<(), String> {
    let got: Vec<Row> = got.into_iter().collect();
    let all_absent = |row: &Row| row.1.iter().all(Option::is_none);
    let wanted: Vec<&Row> = wanted.iter().filter(|row| !all_absent(row)).collect();
    let shown = || got.iter().map(|(labels, row)| format!("{labels} {row:?}")).collect::<Vec<_>>().join("; ");
    if got.len() != wanted.len() {
        return Err(format!("{} series where {} were expected: {}", got.len(), wanted.len(), shown()));
    }
    for (labels, row) in wanted {
        let Some((_, other)) = got.iter().find(|(other, _)| other == labels) else {
            return Err(format!("{labels} is missing from: {}", shown()));
        };
        let steps = row.len().max(other.len());
        let at = |row: &[Option<f64>], step: usize| row.get(step).copied().flatten();
        for step in 0..steps {
            let equal = match (at(row, step), at(other, step)) {
                (None, None) => true,
                (Some(a), Some(b)) => same(a, b),
                _ => false,
            };
            if !equal {
                return Err(format!("{labels} step {step}: wanted {:?}, got {:?}", at(row, step), at(other, step)));
            }
        }
    }
    Ok(())
}

/// Equal but for a millionth, as Prometheus' own runner compares.
fn same(a: f64, b: f64) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    a == b || (a - b).abs() < 1e-6 * (a.abs() + b.abs()).min(f64::MAX)
}

/// `name{a="b"} rest` → labels and rest.
fn series(line: &str) -> (Labels, &str) {
    let name_end = line.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(line.len());
    let mut pairs = vec![("__name__".to_owned(), line[..name_end].to_owned())];
    let mut rest = &line[name_end..];
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside.trim_start();
        while !rest.starts_with('}') {
            let (name, after) = match rest.chars().next() {
                Some('"') => quoted(rest),
                _ => {
                    let end = rest.find(|c: char| c == '=' || c.is_whitespace()).expect("a label is compared");
                    (rest[..end].to_owned(), &rest[end..])
                }
            };
            rest = after.trim_start();
            if let Some(value) = rest.strip_prefix('=') {
                let (value, after) = quoted(value.trim_start());
                pairs.push((name, value));
                rest = after.trim_start();
            } else {
                pairs.push(("__name__".to_owned(), name));
            }
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        rest = &rest[1..];
    }
    pairs.retain(|(_, value)| !value.is_empty());
    (Labels::from_pairs(pairs).expect("a script's labels are valid"), rest)
}

/// A quoted string and what follows it.
fn quoted(text: &str) -> (String, &str) {
    let quote = text.chars().next().expect("a string");
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((index, c)) = chars.next() {
        match c {
            _ if c == quote => return (value, &text[index + c.len_utf8()..]),
            '\\' if quote != '`' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            _ => value.push(c),
        }
    }
    panic!("unterminated string in {text:?}");
}

/// `1 2 _ stale 0+10x3 5x2 _x3` → the values one by one.
fn values(text: &str) -> Vec<Option<f64>> {
    text.split_whitespace().flat_map(value_item).collect()
}

fn value_item(item: &str) -> Vec<Option<f64>> {
    if item == "stale" {
        return vec![Some(stale_nan())];
    }
    if let Some(rest) = item.strip_prefix('_') {
        return vec![None; rest.strip_prefix('x').map_or(1, |count| count.parse().expect("a count"))];
    }
    let Some((base, count)) = item.rsplit_once('x') else {
        return vec![Some(number(item).expect("a number, or a series of them"))];
    };
    let count: usize = count.parse().expect("a count");
    if let Some(value) = number(base) {
        return vec![Some(value); count + 1];
    }
    let sign = base.char_indices().skip(1).filter(|(index, c)| {
        matches!(c, '+' | '-') && !matches!(base.as_bytes()[index - 1], b'e' | b'E' | b'+' | b'-')
    });
    let (split, _) = sign.last().expect("start and step");
    let start = number(&base[..split]).expect("the start");
    let step = number(&base[split..]).expect("the step");
    // Added up one by one, as Prometheus does it.
    (0..=count).scan(start, |value, _| Some(std::mem::replace(value, *value + step))).map(Some).collect()
}

fn number(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if let Some(hex) = unsigned.strip_prefix("0x") {
        let value = i64::from_str_radix(hex, 16).ok()? as f64;
        return Some(if text.starts_with('-') { -value } else { value });
    }
    text.parse().ok()
}

/// `90`, `1m30s`, `-5m` in ms.
fn duration_ms(text: &str) -> i64 {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds * 1000.0).round() as i64;
    }
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut total = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).expect("a unit");
        let amount: i64 = rest[..digits].parse().expect("an amount");
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += amount
            * match &rest[..unit] {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                "y" => 31_536_000_000,
                other => panic!("unit {other:?}"),
            };
        rest = &rest[unit..];
    }
    sign * total
}
