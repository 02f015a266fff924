//! What rules are tried out on: series in memory whose samples appear as time goes by, and detection fed with them.
//!
//! `orders{node="1"} 0+10x3` every minute: at 2 min the laboratory holds 0, 10 and 20, and what rules recorded until then.
//!
//! Always true: at a moment there is no sample of a later one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::detect::{self, EvaluatedValue, Judge, LATENESS_MS_DEFAULT, Source, Transition, Worker};
use crate::model::{Labels, Sample, SeriesRef, format_float, is_stale};
use crate::query::{Answer, Engine, Limits, Options, QueryError, Sampled, Value};
use crate::rules::{RuleHost, RuleSample, RuleSet};
use crate::storage::tap::{TapBatch, TapRow};
use crate::storage::view::{GivenSeries, ReadView};

/// Series by their labels, each with its samples by time.
type Held = BTreeMap<Labels, BTreeMap<i64, Sampled>>;

/// Series, rules' own ones among them, up to a moment.
pub(super) struct Laboratory {
    /// Samples that are still to appear, by time.
    coming: BTreeMap<i64, Vec<(Labels, Sampled)>>,
    held: Held,
    /// Made of what is held, until that changes.
    view: RefCell<Option<ReadView>>,
    engine: Engine,
    clock: Clock,
    detection: Option<Detection>,
}

/// The stream that rules with an `anomaly` block are fed by.
struct Detection {
    worker: Worker,
    judge: Judge,
    known: BTreeMap<Labels, SeriesRef>,
    batch: TapBatch,
    evaluated: Vec<EvaluatedWatch>,
}

/// A watch that cannot be fed sample by sample: its expression is asked about instead.
struct EvaluatedWatch {
    watch: usize,
    expression: String,
    interval_ms: i64,
    /// The next moment to ask about; none before the first sample.
    next_ms: Option<i64>,
}

/// A question that is due.
struct Due {
    watch: usize,
    expression: String,
    at_ms: i64,
}

impl Laboratory {
    /// Samples by the moment at which they appear, in ms since 1970, and the rules whose watches are fed with them.
    /// Subqueries without a step have that of `interval_ms`.
    pub(super) fn new(coming: BTreeMap<i64, Vec<(Labels, Sampled)>>, rules: &RuleSet, interval_ms: i64) -> Laboratory {
        let clock = Clock::system();
        let limits = Limits { subquery_step_ms: Some(interval_ms), ..Limits::default() };
        Laboratory {
            coming,
            held: Held::new(),
            view: RefCell::new(None),
            engine: Engine::new(limits, clock.clone()),
            clock,
            detection: (!rules.rules.is_empty()).then(|| Detection::new(rules)),
        }
    }

    /// Lets everything appear up to a moment, that included. Returns what detection says of it.
    pub(super) fn reach(&mut self, time_ms: i64) -> Vec<Transition> {
        let later = self.coming.split_off(&(time_ms + 1));
        for (at_ms, samples) in std::mem::replace(&mut self.coming, later) {
            for (labels, value) in samples {
                self.hold(labels, at_ms, value);
            }
        }
        let Some(mut detection) = self.detection.take() else { return Vec::new() };
        let mut transitions = detection.judge();
        for due in detection.due() {
            // A query that fails says nothing, as on a server.
            let answer = self.answer(&due.expression, due.at_ms).unwrap_or_default();
            transitions.extend(detection.tell(&due, &answer));
        }
        self.detection = Some(detection);
        transitions
    }

    fn hold(&mut self, labels: Labels, at_ms: i64, value: Sampled) {
        if let (Some(detection), Sampled::Number(number)) = (&mut self.detection, &value) {
            detection.feed(&labels, at_ms, *number);
        }
        *self.view.get_mut() = None;
        self.held.entry(labels).or_default().insert(at_ms, value);
    }

    /// One sample for each series of the answer. Fails where the answer is no instant vector and no number.
    pub(super) fn answer(&self, query: &str, time_ms: i64) -> Result<Vec<RuleSample>, QueryError> {
        let mut view = self.view.borrow_mut();
        let view = view.get_or_insert_with(|| view_of(&self.held));
        let Answer { value, .. } = self.engine.instant(view, query, time_ms, &Options::default())?;
        match value {
            Value::Vector(rows) => {
                Ok(rows.into_iter().map(|(labels, _, value)| RuleSample { labels, value }).collect())
            }
            Value::Scalar(_, number) => {
                Ok(vec![RuleSample { labels: Arc::new(Labels::empty()), value: Sampled::Number(number) }])
            }
            Value::String(..) | Value::Matrix(_) => {
                Err(QueryError::Execution("rule result is not a vector or scalar".to_owned()))
            }
        }
    }

    /// Every series with its samples, for a person who looks for a mistake.
    pub(super) fn dump(&self) -> String {
        let sample = |(at_ms, value): (&i64, &Sampled)| match value {
            Sampled::Number(number) => format!("{number} @[{at_ms}]"),
            Sampled::Histogram(histogram) => format!("{histogram} @[{at_ms}]"),
        };
        let line = |(labels, samples): (&Labels, &BTreeMap<i64, Sampled>)| {
            format!("{labels} =>\n{}\n", samples.iter().map(sample).collect::<Vec<String>>().join("\n"))
        };
        self.held.iter().map(line).collect()
    }
}

fn view_of(held: &Held) -> ReadView {
    let series = held.iter().map(|(labels, samples)| {
        let mut given = GivenSeries { labels: Arc::new(labels.clone()), ..GivenSeries::default() };
        for (&timestamp_ms, value) in samples {
            match value {
                Sampled::Number(value) => given.samples.push(Sample { timestamp_ms, value: *value }),
                Sampled::Histogram(value) => given.histograms.push((timestamp_ms, value.clone())),
            }
        }
        given
    });
    ReadView::of_series(series.collect())
}

/// Two NaN are the same if their bits are.
fn is_same(a: &Sampled, b: &Sampled) -> bool {
    match (a, b) {
        (Sampled::Number(a), Sampled::Number(b)) => a.to_bits() == b.to_bits(),
        (Sampled::Histogram(a), Sampled::Histogram(b)) => a.to_string() == b.to_string(),
        _ => false,
    }
}

fn is_marker(value: &Sampled) -> bool {
    value.number().is_some_and(is_stale)
}

fn told(value: &Sampled) -> String {
    match value {
        Sampled::Number(number) => format_float(*number),
        Sampled::Histogram(histogram) => histogram.to_string(),
    }
}

impl RuleHost for Laboratory {
    fn ask(&self, query: &str, time_ms: i64) -> Result<Vec<RuleSample>, QueryError> {
        self.answer(query, time_ms)
    }

    fn store(&mut self, time_ms: i64, samples: &[RuleSample]) -> Result<(), String> {
        let mut outcome = Ok(());
        for RuleSample { labels, value } in samples {
            match self.held.get(&**labels).and_then(|held| held.get(&time_ms)) {
                None => self.hold(Labels::clone(labels), time_ms, value.clone()),
                // The first holds, as on a server. A marker is no fault: its series goes on by another rule.
                Some(held) if !is_same(held, value) && !is_marker(value) => {
                    let values = format!("existing {}, new value {}", told(held), told(value));
                    let what = "duplicate sample for timestamp";
                    outcome = Err(format!("{what} {time_ms}; overrides not allowed: {values} of {labels}"));
                }
                Some(_) => {}
            }
        }
        outcome
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

impl Detection {
    fn new(rules: &RuleSet) -> Detection {
        let (mut workers, judge) = detect::start(rules.watches(), 1, Some(LATENESS_MS_DEFAULT));
        let worker = workers.pop().expect("one was asked for");
        let evaluated = rules.rules.iter().enumerate().filter_map(|(watch, rule)| match rule.signal.source() {
            Source::Streamed => None,
            Source::Evaluated { expression, interval_ms, .. } => {
                Some(EvaluatedWatch { watch, expression: expression.clone(), interval_ms: *interval_ms, next_ms: None })
            }
        });
        let evaluated = evaluated.collect();
        Detection { worker, judge, known: BTreeMap::new(), batch: TapBatch::default(), evaluated }
    }

    /// What is to be asked about by now: each moment once, when samples that are late by the lateness have come.
    fn due(&mut self) -> Vec<Due> {
        let seen_ms = self.judge.shared().seen_by_all_ms();
        let mut due = Vec::new();
        if seen_ms == i64::MIN {
            return due;
        }
        let settled_ms = seen_ms - LATENESS_MS_DEFAULT;
        for one in &mut self.evaluated {
            let newest_ms = settled_ms.div_euclid(one.interval_ms) * one.interval_ms;
            let mut at_ms = one.next_ms.unwrap_or(newest_ms);
            while at_ms <= newest_ms {
                due.push(Due { watch: one.watch, expression: one.expression.clone(), at_ms });
                at_ms += one.interval_ms;
            }
            one.next_ms = Some(at_ms);
        }
        due
    }

    fn tell(&mut self, due: &Due, answer: &[RuleSample]) -> Vec<Transition> {
        let mut transitions = Vec::new();
        for sample in answer {
            let Some(value) = sample.value.number() else { continue };
            let labels = Arc::new(sample.labels.without_metric_name());
            let mut told = EvaluatedValue { watch: due.watch, labels, at_ms: due.at_ms, value };
            while let Err(back) = self.judge.shared().tell_evaluated(told) {
                told = back;
                transitions.extend(self.judge.poll());
            }
        }
        transitions.extend(self.judge.poll());
        transitions
    }

    fn feed(&mut self, labels: &Labels, timestamp_ms: i64, value: f64) {
        let series = match self.known.get(labels) {
            Some(known) => *known,
            None => {
                let new = SeriesRef(self.known.len() as u64);
                self.known.insert(labels.clone(), new);
                self.batch.series.push((new, Arc::new(labels.clone())));
                new
            }
        };
        self.batch.rows.push(TapRow { series, timestamp_ms, value });
    }

    /// One moment at a time, so that the queue between worker and judge has room for what it brings.
    fn judge(&mut self) -> Vec<Transition> {
        let batch = std::mem::take(&mut self.batch);
        let introduced = TapBatch { series: batch.series, ..TapBatch::default() };
        self.worker.handle(&introduced);
        let mut transitions = Vec::new();
        for rows in batch.rows.chunk_by(|a, b| a.timestamp_ms == b.timestamp_ms) {
            self.worker.handle(&TapBatch { rows: rows.to_vec(), ..TapBatch::default() });
            loop {
                self.worker.publish();
                transitions.extend(self.judge.poll());
                if self.worker.pending() == 0 {
                    break;
                }
            }
        }
        transitions
    }
}
