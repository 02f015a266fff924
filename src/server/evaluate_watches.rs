//! Watches whose expression cannot be fed sample by sample: a query every 15 s of event time, whose results go to the judge.
//!
//! ```text
//! event time that all workers have seen: 12:00:22     lateness of its jobs: 5 s     settled: up to 12:00:17
//! query as of 12:00:15 ─► {queue="mail"} 12, {queue="sms"} 3 ─► judge: a bucket of two groups
//! ```
//!
//! Time is that of samples, as everywhere in detection: the series that the expression selects are on the tap for that.
//! After a start the log goes through the taps again, so what was not evaluated meanwhile is evaluated then, as of its own
//! time; what the judge knows already it drops.
//!
//! Always true: the moments of a watch are multiples of its interval, each is asked for once, in order, and not before
//! samples have come that are as late as those of its jobs are ([`Shared::lateness_ms`]). More than [`CATCH_UP_MS_MAX`] of them behind, the oldest are left out.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

use super::{ServerError, thread};
use crate::detect::{EvaluatedValue, LATENESS_MS_MAX, Shared, Source};
use crate::model::Labels;
use crate::query::{Engine, Options, Value};
use crate::rules::{AnomalyRule, RuleSet};
use crate::storage::Storage;
use crate::storage::view::ReadView;

/// How often it looks how far event time has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long it rests while the judge's queue is full.
const QUEUE_FULL_REST: Duration = Duration::from_millis(10);
/// How much of the past is made up for, in ms of event time: as much as the log holds for detection, an hour.
const CATCH_UP_MS_MAX: i64 = 3_600_000;

/// Gives the samples as they are now.
type Views = Box<dyn Fn() -> ReadView + Send>;

/// What is asked, who is told, and when.
struct EvaluationParts {
    engine: Arc<Engine>,
    views: Views,
    shared: Arc<Shared>,
}

/// The running thread; none where every watch is fed by samples.
#[derive(Default)]
pub(super) struct WatchEvaluation(Option<(Sender<()>, JoinHandle<()>)>);

/// A watch that is evaluated. A replay asks at the same moments and tells the same values.
#[derive(Debug)]
pub(crate) struct Evaluated {
    /// Its index among all watches.
    pub(crate) watch: usize,
    alert: String,
    pub(crate) expression: String,
    pub(crate) interval_ms: i64,
    /// The next moment to ask for; none before the first.
    next_ms: Option<i64>,
    /// Whether the last query failed, which is told once.
    is_failing: bool,
}

struct Evaluating {
    parts: EvaluationParts,
    watches: Vec<Evaluated>,
}

impl WatchEvaluation {
    /// Says of each rule that is to be evaluated why, and starts to.
    pub(super) fn start(
        rules: &RuleSet,
        engine: &Arc<Engine>,
        storage: &Arc<Storage>,
        shared: Arc<Shared>,
    ) -> Result<WatchEvaluation, ServerError> {
        let watches = Evaluated::all_of(rules);
        if watches.is_empty() {
            return Ok(WatchEvaluation(None));
        }
        for rule in &rules.rules {
            if let Source::Evaluated { interval_ms, because, .. } = rule.signal.source() {
                tracing::info!(
                    alert = rule.alert,
                    "evaluated every {} s instead, because {because}",
                    interval_ms / 1000
                );
            }
        }
        let storage = storage.clone();
        let views = Box::new(move || storage.view());
        let parts = EvaluationParts { engine: engine.clone(), views, shared };
        let (stop, stopped) = bounded(1);
        let evaluating = Evaluating { parts, watches };
        let running = thread("evaluate-watches", move || evaluating.run(&stopped))?;
        Ok(WatchEvaluation(Some((stop, running))))
    }

    /// Waits for the query under way.
    pub(super) fn join(self) {
        if let Some((stop, running)) = self.0 {
            drop(stop);
            let _ = running.join();
        }
    }
}

impl Evaluated {
    /// The rules that cannot be fed.
    pub(crate) fn all_of(rules: &RuleSet) -> Vec<Evaluated> {
        let of = |(watch, rule): (usize, &AnomalyRule)| {
            let Source::Evaluated { expression, interval_ms, .. } = rule.signal.source() else { return None };
            Some(Evaluated {
                watch,
                alert: rule.alert.clone(),
                expression: expression.clone(),
                interval_ms: *interval_ms,
                next_ms: None,
                is_failing: false,
            })
        };
        rules.rules.iter().enumerate().filter_map(of).collect()
    }

    /// The next moment to ask for that was not asked for yet, as far as workers have seen samples and late ones are not
    /// waited for any more; none if that is not yet.
    pub(crate) fn take_due_ms(&mut self, shared: &Shared) -> Option<i64> {
        let seen_ms = shared.seen_by_all_ms();
        if seen_ms == i64::MIN {
            return None;
        }
        let at_ms = self.due_ms(seen_ms.saturating_sub(shared.lateness_ms(self.watch)))?;
        self.next_ms = Some(at_ms + self.interval_ms);
        Some(at_ms)
    }

    /// What the judge is told of a value that the expression has.
    pub(crate) fn told(&self, labels: &Labels, at_ms: i64, value: f64) -> EvaluatedValue {
        EvaluatedValue { watch: self.watch, labels: Arc::new(labels.without_metric_name()), at_ms, value }
    }

    /// The next moment to ask for, when samples up to `settled_ms` are there; none if that is not yet.
    fn due_ms(&mut self, settled_ms: i64) -> Option<i64> {
        let newest_ms = settled_ms.div_euclid(self.interval_ms) * self.interval_ms;
        let next_ms = self.next_ms.unwrap_or(newest_ms);
        // Event time that was led ahead by wrong clocks goes back; what is settled only rests when samples are waited for
        // longer.
        let latest_ms = newest_ms + self.interval_ms + LATENESS_MS_MAX;
        let next_ms = next_ms.clamp(newest_ms - CATCH_UP_MS_MAX, latest_ms);
        self.next_ms = Some(next_ms);
        (next_ms <= newest_ms).then_some(next_ms)
    }
}

impl Evaluating {
    fn run(mut self, stopped: &Receiver<()>) {
        while matches!(stopped.recv_timeout(LOOK_INTERVAL), Err(RecvTimeoutError::Timeout)) {
            if !self.catch_up(stopped) {
                return;
            }
        }
    }

    /// Asks for everything that is due. False: it is to stop.
    fn catch_up(&mut self, stopped: &Receiver<()>) -> bool {
        for one in &mut self.watches {
            while let Some(at_ms) = one.take_due_ms(&self.parts.shared) {
                for told in one.values(&self.parts, at_ms) {
                    if !tell(&self.parts.shared, told, stopped) {
                        return false;
                    }
                }
                if !matches!(stopped.try_recv(), Err(TryRecvError::Empty)) {
                    return false;
                }
            }
        }
        true
    }
}

impl Evaluated {
    /// What the expression says as of a moment.
    fn values(&mut self, parts: &EvaluationParts, at_ms: i64) -> Vec<EvaluatedValue> {
        let answer = parts.engine.instant(&(parts.views)(), &self.expression, at_ms, &Options::default());
        let value = match answer {
            Ok(answer) => answer.value,
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(alert = self.alert, %error, "a watch could not be evaluated");
                }
                return Vec::new();
            }
        };
        self.is_failing = false;
        match value {
            Value::Vector(series) => {
                series.iter().filter_map(|(labels, _, value)| Some(self.told(labels, at_ms, value.number()?))).collect()
            }
            Value::Scalar(_, value) => vec![self.told(&Labels::empty(), at_ms, value)],
            _ => Vec::new(),
        }
    }
}

/// Hands over a value as soon as there is room. False: it is to stop.
fn tell(shared: &Shared, mut told: EvaluatedValue, stopped: &Receiver<()>) -> bool {
    while let Err(back) = shared.tell_evaluated(told) {
        told = back;
        if !matches!(stopped.recv_timeout(QUEUE_FULL_REST), Err(RecvTimeoutError::Timeout)) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::detect::{ModelOptions, Signal, Watch, start};
    use crate::model::{Sample, SeriesRef};
    use crate::query::Limits;
    use crate::storage::tap::{TapBatch, TapRow};

    fn watch() -> Evaluated {
        Evaluated {
            watch: 0,
            alert: "Spread".to_owned(),
            expression: "stddev(queue)".to_owned(),
            interval_ms: 15_000,
            next_ms: None,
            is_failing: false,
        }
    }

    #[test]
    fn each_moment_is_asked_for_once_and_an_hour_is_made_up_for() {
        let mut one = watch();
        assert_eq!(one.due_ms(100_000), Some(90_000));
        one.next_ms = Some(105_000);
        assert_eq!(one.due_ms(104_999), None);
        assert_eq!(one.due_ms(105_000), Some(105_000));
        // Two hours later, and a wrong clock that is put right: what is five minutes ahead rests until then.
        assert_eq!(one.due_ms(105_000 + 7_200_000), Some(105_000 + 3_600_000));
        assert_eq!(one.due_ms(60_000), None);
        assert_eq!(one.due_ms(374_999), None);
        assert_eq!(one.due_ms(375_000), Some(375_000));
    }

    #[test]
    fn values_of_settled_moments_reach_the_judge() {
        let signal = Signal::of("stddev(queue)").unwrap();
        let watches = vec![Watch {
            identity: "Spread".to_owned(),
            signal: signal.clone(),
            options: ModelOptions::default(),
            zone: None,
        }];
        let (mut workers, mut judge) = start(watches, 1, Some(30_000));
        let series: Vec<Labels> =
            ["mail", "sms"].map(|name| Labels::from_pairs([("__name__", "queue"), ("name", name)]).unwrap()).to_vec();
        let samples = |value: f64| (0..40).map(|round| Sample { timestamp_ms: round * 15_000, value }).collect();
        let view = ReadView::of_samples(vec![(series[0].clone(), samples(4.0)), (series[1].clone(), samples(10.0))]);
        let parts = EvaluationParts {
            engine: Arc::new(Engine::new(Limits::default(), Clock::system())),
            views: Box::new(move || view.clone()),
            shared: judge.shared().clone(),
        };
        let mut evaluating = Evaluating { parts, watches: vec![watch()] };
        let (_stop, stopped) = bounded(1);
        assert!(evaluating.catch_up(&stopped), "before the first sample nothing is asked");
        assert_eq!(evaluating.watches[0].next_ms, None);
        for round in 0..20 {
            let row =
                |slot: u32| TapRow { series: SeriesRef::new(0, 0, slot), timestamp_ms: round * 15_000, value: 0.0 };
            let introduced = series
                .iter()
                .enumerate()
                .map(|(slot, labels)| (SeriesRef::new(0, 0, slot as u32), Arc::new(labels.clone())));
            let batch = TapBatch { series: introduced.collect(), rows: vec![row(0), row(1)], newest_ms: None };
            workers[0].handle(&batch);
            assert!(evaluating.catch_up(&stopped));
        }
        // 285 s are seen, 255 s settled; since the first look, at which time stood at -30 s, 20 moments.
        assert_eq!(evaluating.watches[0].next_ms, Some(270_000));
        judge.poll();
        let closed = judge.shared().metrics.buckets_closed.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(closed, 18, "from 0 s to 255 s");
        let told = evaluating.watches[0].values(&evaluating.parts, 255_000);
        assert_eq!(told.iter().map(|one| (one.labels.len(), one.value)).collect::<Vec<_>>(), vec![(0, 3.0)]);
    }
}
