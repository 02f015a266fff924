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

mod compare;
mod notation;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use dozor::clock::Clock;
use dozor::model::{FloatHistogram, Labels, SCHEMA_CUSTOM, Sample, Side};
use dozor::query::{Answer, Engine, Limits, Options, QueryError, Sampled, Value};
use dozor::storage::view::{GivenSeries, ReadView};
use regex::Regex;

use notation::{Row, Written, duration_ms, lengths_ms, number, quoted, series, values};

/// What is known to be different, by file and a part of the query ("" is any), and why.
const DIFFERENT: [(&str, &str, &str); 0] = [];

/// What a script's evaluations came to.
#[derive(Default)]
pub(crate) struct Report {
    /// Those that gave what the script says.
    pub(crate) passed: usize,
    /// File, line, query and why it is known to be different.
    pub(crate) different: Vec<String>,
    /// File, line, query and what differed.
    pub(crate) failed: Vec<String>,
}

#[derive(Default)]
struct Eval {
    line: usize,
    query: String,
    start_ms: i64,
    end_ms: i64,
    step_ms: Option<i64>,
    ordered: bool,
    fail: Option<Text>,
    warn: Expected,
    info: Expected,
    /// Start and step of the expected samples of a range vector.
    raw: Option<(i64, i64)>,
    text: Option<String>,
    scalar: Option<f64>,
    rows: Vec<Row>,
}

/// What a message must be.
enum Text {
    Any,
    Is(String),
    Matches(Regex),
}

/// What is said of warnings, or of infos.
#[derive(Default)]
enum Expected {
    /// Nothing: there may be some.
    #[default]
    Unsaid,
    None,
    Each(Vec<Text>),
}

/// Samples of a series by their time, each with the time at which the series had started, if that is known.
type Loaded = BTreeMap<i64, (Sampled, Option<i64>)>;

/// A script that runs against an engine.
pub(crate) struct Script {
    file: String,
    lines: Vec<String>,
    at: usize,
    data: BTreeMap<Labels, Loaded>,
    engine: Engine,
}

impl Script {
    /// Reads a script. `delays_names`: metrics' names go at the end of each query.
    pub(crate) fn new(file: &str, text: &str, delays_names: bool) -> Script {
        let clean = |line: &str| if line.trim().starts_with('#') { String::new() } else { line.trim().to_owned() };
        Script {
            file: file.to_owned(),
            lines: text.lines().map(clean).collect(),
            at: 0,
            data: BTreeMap::new(),
            engine: Engine::new(Limits::default(), Clock::system()).delaying_names(delays_names),
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
        let mut rows = Vec::new();
        let mut started: BTreeMap<Labels, Vec<Option<i64>>> = BTreeMap::new();
        self.at += 1;
        while self.at < self.lines.len() && !self.lines[self.at].is_empty() {
            let line = self.lines[self.at].clone();
            self.at += 1;
            let (labels, rest) = series(&line);
            match rest.strip_prefix("@st") {
                Some(rest) => _ = started.insert(labels, lengths_ms(rest)),
                None => rows.push((labels, values(rest))),
            }
        }
        let custom = if command == "load_with_nhcb" { of_classic(&rows) } else { Vec::new() };
        for (labels, values) in rows.into_iter().chain(custom) {
            let started = started.get(&labels);
            let samples = self.data.entry(labels).or_default();
            for (index, value) in values.into_iter().enumerate() {
                let time_ms = index as i64 * step_ms;
                let before_ms = started.and_then(|started| started.get(index).copied().flatten());
                if let Some(Written { value, .. }) = value {
                    samples.insert(time_ms, (value, before_ms.map(|before_ms| time_ms + before_ms)));
                }
            }
        }
    }

    fn eval(&mut self, line: &str) -> Eval {
        let mut words = line.split_whitespace();
        let command = words.next().expect("not empty");
        let kind = words.next().expect("instant or range");
        let any = || Expected::Each(vec![Text::Any]);
        let mut eval = Eval {
            line: self.at + 1,
            fail: (command == "eval_fail").then_some(Text::Any),
            ordered: command == "eval_ordered",
            warn: if command == "eval_warn" { any() } else { Expected::Unsaid },
            info: if command == "eval_info" { any() } else { Expected::Unsaid },
            ..Eval::default()
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
        let known = |(file, part, _): &&(&str, &str, &str)| *file == self.file && eval.query.contains(part);
        // A panic is told like any other difference, and the rest of the script still runs.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.outcome(eval)));
        let outcome = outcome.unwrap_or_else(|_| Err("panicked".to_owned()));
        match (outcome, DIFFERENT.iter().find(known)) {
            (Ok(()), _) => report.passed += 1,
            (Err(_), Some((_, _, why))) => report.different.push(format!("{place}: {why}")),
            (Err(what), None) => report.failed.push(format!("{place}\n      {what}")),
        }
    }

    fn view(&self) -> ReadView {
        let series = self.data.iter().map(|(labels, samples)| {
            let mut given = GivenSeries { labels: Arc::new(labels.clone()), ..GivenSeries::default() };
            for (time_ms, (value, started_ms)) in samples {
                given.starts_ms.extend(started_ms.map(|started_ms| (*time_ms, started_ms)));
                match value {
                    Sampled::Number(value) => {
                        given.samples.push(Sample { timestamp_ms: *time_ms, value: *value });
                    }
                    Sampled::Histogram(value) => given.histograms.push((*time_ms, value.clone())),
                }
            }
            given
        });
        ReadView::of_series(series.collect())
    }

    fn outcome(&self, eval: &Eval) -> Result<(), String> {
        let (view, options) = (self.view(), Options::default());
        // A range vector is asked for at its end.
        let at_ms = if eval.raw.is_some() { eval.end_ms } else { eval.start_ms };
        let answer = match eval.step_ms {
            None => self.engine.instant(&view, &eval.query, at_ms, &options),
            Some(step_ms) => self.engine.range(&view, &eval.query, eval.start_ms, eval.end_ms, step_ms, &options),
        };
        let Some(answer) = expected_error(eval, answer)? else { return Ok(()) };
        compare::compare(eval, &answer.value)?;
        check_notes("warning", &eval.warn, &answer.warnings)?;
        check_notes("info", &eval.info, &answer.infos)?;
        // An instant is a range of one step, and must be the same amid other steps, but for what is said of the query.
        let tells_of_query = ["start()", "end()", "step()", "range()"].iter().any(|word| eval.query.contains(word));
        if eval.step_ms.is_some() || eval.ordered || tells_of_query || !matches!(answer.value, Value::Vector(_)) {
            return Ok(());
        }
        let (start_ms, end_ms) = (eval.start_ms - 60_000, eval.start_ms + 60_000);
        let range = self.engine.range(&view, &eval.query, start_ms, end_ms, 60_000, &options);
        match range {
            Ok(Answer { value: Value::Matrix(series), .. }) => compare::compare_middle(eval, &series),
            Ok(_) => unreachable!("a range query gives a matrix"),
            // The data may be at odds at the other steps.
            Err(QueryError::Execution(_)) => Ok(()),
            Err(error) => Err(format!("as a range: {error}")),
        }
    }
}

/// The answer, unless the query failed as it should.
fn expected_error(eval: &Eval, answer: Result<Answer, QueryError>) -> Result<Option<Answer>, String> {
    match (answer, &eval.fail) {
        (Err(error), Some(text)) if text.is(&error.to_string()) => Ok(None),
        (Err(error), Some(_)) => Err(format!("failed with another message: {error}")),
        (Err(error), None) => Err(format!("{}: {error}", error.kind())),
        (Ok(_), Some(_)) => Err("did not fail".to_owned()),
        (Ok(answer), None) => Ok(Some(answer)),
    }
}

fn check_notes(what: &str, expected: &Expected, notes: &[String]) -> Result<(), String> {
    let holds = match expected {
        Expected::Unsaid => true,
        Expected::None => notes.is_empty(),
        Expected::Each(texts) => {
            !notes.is_empty()
                && texts.iter().all(|text| notes.iter().any(|note| text.is(note)))
                && notes.iter().all(|note| texts.iter().any(|text| text.is(note)))
        }
    };
    if holds { Ok(()) } else { Err(format!("{what}s: {notes:?}")) }
}

impl Text {
    /// Scripts may leave the position of a remark out.
    fn is(&self, message: &str) -> bool {
        match self {
            Text::Any => true,
            Text::Is(text) => {
                message == text || message.rsplit_once(" (").is_some_and(|(without_place, _)| without_place == text)
            }
            Text::Matches(pattern) => pattern.is_match(message),
        }
    }

    /// `msg: text`, `regex: pattern` or nothing.
    fn read(rest: &str) -> Text {
        if let Some(text) = rest.strip_prefix("msg:") {
            Text::Is(text.trim().to_owned())
        } else if let Some(pattern) = rest.strip_prefix("regex:") {
            Text::Matches(Regex::new(pattern.trim()).expect("a pattern"))
        } else {
            Text::Any
        }
    }
}

impl Expected {
    fn push(&mut self, text: Text) {
        match self {
            Expected::Each(texts) => texts.push(text),
            Expected::Unsaid | Expected::None => *self = Expected::Each(vec![text]),
        }
    }
}

fn expectation(eval: &mut Eval, line: &str) {
    if let Some(rest) = line.strip_prefix("expect range vector from ") {
        let words: Vec<&str> = rest.split_whitespace().collect();
        eval.raw = Some((duration_ms(words[0]), duration_ms(words[4])));
        eval.end_ms = duration_ms(words[2]);
    } else if let Some(text) = line.strip_prefix("expect string ") {
        eval.text = Some(quoted(text).0);
    } else if let Some(rest) = line.strip_prefix("expect ") {
        let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        match word {
            "fail" => eval.fail = Some(Text::read(rest.trim())),
            "ordered" => eval.ordered = true,
            "warn" => eval.warn.push(Text::read(rest.trim())),
            "no_warn" => eval.warn = Expected::None,
            "info" => eval.info.push(Text::read(rest.trim())),
            "no_info" => eval.info = Expected::None,
            other => panic!("what is `expect {other}`?"),
        }
    } else if let Some(text) = line.strip_prefix("expected_fail_message ") {
        eval.fail = Some(Text::Is(text.trim().to_owned()));
    } else if let Some(pattern) = line.strip_prefix("expected_fail_regexp ") {
        eval.fail = Some(Text::Matches(Regex::new(pattern.trim()).expect("a pattern")));
    } else if let Some(scalar) = number(line) {
        eval.scalar = Some(scalar);
    } else {
        let (labels, rest) = series(line);
        eval.rows.push((labels, values(rest)));
    }
}

/// Native histograms of custom bounds, of the classic ones among the rows: buckets, `_count` and `_sum` at each step.
fn of_classic(rows: &[Row]) -> Vec<Row> {
    #[derive(Default)]
    struct Classic {
        buckets: Vec<(f64, f64)>,
        count: Option<f64>,
        sum: f64,
    }
    let mut found: BTreeMap<Labels, BTreeMap<usize, Classic>> = BTreeMap::new();
    for (labels, values) in rows {
        let name = labels.metric_name().unwrap_or("");
        let ending = ["_bucket", "_sum", "_count"].into_iter().find(|ending| name.ends_with(ending));
        let Some((ending, base)) = ending.and_then(|ending| Some((ending, name.strip_suffix(ending)?))) else {
            continue;
        };
        let bound = labels.get("le").and_then(number).filter(|bound| !bound.is_nan());
        if ending == "_bucket" && bound.is_none() {
            continue;
        }
        let base = labels.filtered(|name| name != "le").with("__name__", base).expect("valid labels");
        for (step, value) in values.iter().enumerate() {
            let Some(Written { value: Sampled::Number(value), .. }) = value else { continue };
            let classic = found.entry(base.clone()).or_default().entry(step).or_default();
            match (ending, bound) {
                ("_bucket", Some(bound)) => classic.buckets.push((bound, *value)),
                ("_sum", _) => classic.sum = *value,
                _ => classic.count = Some(*value),
            }
        }
    }
    let histogram = |mut classic: Classic| {
        classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        classic.buckets.dedup_by(|next, kept| next.0 == kept.0);
        let last = classic.buckets.last().copied();
        let count = classic.count.or(last.map(|(_, count)| count)).unwrap_or(0.0);
        if last.is_none_or(|(bound, _)| bound != f64::INFINITY) {
            classic.buckets.push((f64::INFINITY, count));
        }
        let mut before = 0.0;
        let counts = classic.buckets.iter().map(|(_, upto)| upto - std::mem::replace(&mut before, *upto)).collect();
        let bounds: Vec<f64> =
            classic.buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect();
        FloatHistogram {
            schema: SCHEMA_CUSTOM,
            count,
            sum: classic.sum,
            positive: Side::of_run(0, counts),
            custom_values: bounds.into(),
            ..FloatHistogram::default()
        }
    };
    let row = |(labels, steps): (Labels, BTreeMap<usize, Classic>)| {
        let mut values = Vec::new();
        for (step, classic) in steps {
            values.resize(step, None);
            let value = Sampled::Histogram(Arc::new(histogram(classic)));
            values.push(Some(Written { value, hint_is_given: false }));
        }
        (labels, values)
    };
    found.into_iter().map(row).collect()
}
