//! Whether who sent what an anomaly is about was removed on purpose: its scraper said goodbye to it, and goes on with others.
//!
//! ```text
//! queue{pod="a"} fires, and nothing of it comes from 12:05 on; at 12:20 the judge asks
//!
//! who sent it in the hour before?       {job="shop", instance="10.0.0.7:80"}
//! does its scraper know it?             up{job="shop", instance="10.0.0.7:80"} ends with a staleness marker: no longer
//! does the scraper go on?               up{job="shop", instance="10.0.0.8:80"} is 1: yes
//! ```
//!
//! An instance that is down has an `up` of 0 without an end; of a scraper that died `up` ends without a marker; and one that
//! answers but has nothing to say of a payment provider any more may only have been restarted. In all of these the anomaly is
//! kept, as where series do not say whose they are, or nobody tells `up`.
//!
//! Always true: what cannot be seen in what is stored was not removed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::senders::UP;
use super::{ServerError, thread};
use crate::detect::{Shared, Signal, Source, Unheard};
use crate::model::{Labels, METRIC_NAME, Matcher, TimeRange, is_stale};
use crate::rules::RuleSet;
use crate::storage::Storage;
use crate::storage::view::{Columns, ReadView, SeriesView};

/// How often it looks whether it is asked.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How far before the last bucket it is looked for who sent, in ms.
const SENT_WITHIN_MS: i64 = 3_600_000;
/// An `up` that is older than this tells nothing of now, in ms: what a query looks back.
const LOOKBACK_MS: i64 = 300_000;
/// Most series of a group that are looked at. A group of more was fed by so many that they were not removed.
const SERIES_COUNT_MAX: usize = 1_000;

const JOB: &str = "job";
const INSTANCE: &str = "instance";

/// The running thread.
pub(super) struct RemovedFinding {
    stop: Sender<()>,
    running: JoinHandle<()>,
}

impl RemovedFinding {
    /// Starts to answer the judge of these rules.
    pub(super) fn start(
        rules: &Arc<RuleSet>,
        shared: Arc<Shared>,
        storage: &Arc<Storage>,
    ) -> Result<RemovedFinding, ServerError> {
        let (rules, storage) = (rules.clone(), storage.clone());
        let (stop, stopped) = bounded(1);
        let running = thread("removed", move || run(&rules, &shared, &storage, &stopped))?;
        Ok(RemovedFinding { stop, running })
    }

    /// Waits for the thread.
    pub(super) fn join(self) {
        drop(self.stop);
        let _ = self.running.join();
    }
}

fn run(rules: &RuleSet, shared: &Shared, storage: &Storage, stopped: &Receiver<()>) {
    let mut answered = shared.unheard();
    while matches!(stopped.recv_timeout(LOOK_INTERVAL), Err(RecvTimeoutError::Timeout)) {
        let asked = shared.unheard();
        if Arc::ptr_eq(&asked, &answered) {
            continue;
        }
        for group in asked.iter() {
            let rule = &rules.rules[group.watch];
            if is_removed(&rule.signal, group, &storage.view()) {
                tracing::info!(alert = rule.alert, labels = %group.labels, "its targets were removed: what fires of it ends");
                // Where many wait, it is asked about again.
                let _ = shared.end_removed(group.clone());
            }
        }
        answered = asked;
    }
}

/// Whether all who fed a group were removed by whoever scrapes them, and each of their jobs goes on with others.
fn is_removed(signal: &Signal, group: &Unheard, view: &ReadView) -> bool {
    let Some(targets) = targets(signal, group, view) else { return false };
    let until_now = TimeRange { from_ms: group.since_ms.saturating_sub(SENT_WITHIN_MS), to_ms: group.as_of_ms };
    let ups = |of: &[Matcher]| {
        let matchers: Vec<Matcher> = [Matcher::equal(METRIC_NAME, UP)].iter().chain(of).cloned().collect();
        view.find(&matchers, until_now, SERIES_COUNT_MAX).unwrap_or_default()
    };
    let is_gone = |(job, instance): &(String, String)| {
        let of_target = ups(&[Matcher::equal(JOB, job), Matcher::equal(INSTANCE, instance)]);
        !of_target.is_empty() && of_target.iter().all(|up| newest(up, until_now).is_some_and(|(_, up)| is_stale(up)))
    };
    let goes_on = |job: &str| {
        let is_up = |(at_ms, up): (i64, f64)| at_ms > group.as_of_ms.saturating_sub(LOOKBACK_MS) && up == 1.0;
        ups(&[Matcher::equal(JOB, job)]).iter().any(|up| newest(up, until_now).is_some_and(is_up))
    };
    let jobs: BTreeSet<&str> = targets.iter().map(|(job, _)| job.as_str()).collect();
    targets.iter().all(is_gone) && jobs.into_iter().all(goes_on)
}

/// Job and instance of each who fed the group in the hour before nothing came any more; none where that cannot be said of
/// all of them.
fn targets(signal: &Signal, group: &Unheard, view: &ReadView) -> Option<BTreeSet<(String, String)>> {
    if !matches!(signal.source(), Source::Streamed) {
        return None;
    }
    let before = TimeRange { from_ms: group.since_ms.saturating_sub(SENT_WITHIN_MS), to_ms: group.since_ms };
    let of_group = group.labels.iter().map(|(name, value)| Matcher::equal(name, value));
    let of_group: Vec<Matcher> = of_group.collect();
    let mut targets = BTreeSet::new();
    for matchers in signal.selectors() {
        let matchers: Vec<Matcher> = matchers.iter().chain(&of_group).cloned().collect();
        for series in view.find(&matchers, before, SERIES_COUNT_MAX).ok()? {
            let labels = series.labels();
            if signal.group_of(labels) == *group.labels {
                targets.insert((owner(labels, JOB)?, owner(labels, INSTANCE)?));
            }
        }
    }
    (!targets.is_empty()).then_some(targets)
}

fn owner(labels: &Labels, name: &str) -> Option<String> {
    labels.get(name).filter(|value| !value.is_empty()).map(str::to_owned)
}

/// Time and value of the newest sample in a range.
fn newest(series: &SeriesView, range: TimeRange) -> Option<(i64, f64)> {
    let mut columns = Columns::default();
    series.read(range, &mut columns);
    columns.iter().last()
}

#[cfg(test)]
mod tests {
    use super::is_removed;
    use crate::detect::{Signal, Unheard};
    use crate::model::{Labels, Sample, stale_nan};
    use crate::storage::view::ReadView;

    const MINUTE_MS: i64 = 60_000;
    const SINCE_MS: i64 = 100 * MINUTE_MS;
    const AS_OF_MS: i64 = 116 * MINUTE_MS;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    /// A sample a minute from the first to the last, and what came then.
    fn series(pairs: &[(&str, &str)], last: i64, value: f64, end: Option<f64>) -> (Labels, Vec<Sample>) {
        let sample = |minute: i64, value: f64| Sample { timestamp_ms: minute * MINUTE_MS, value };
        let before = (50..=last).map(|minute| sample(minute, value));
        (labels(pairs), before.chain(end.map(|value| sample(last + 1, value))).collect())
    }

    fn up(instance: &str, last: i64, end: Option<f64>) -> (Labels, Vec<Sample>) {
        series(&[("__name__", "up"), ("job", "shop"), ("instance", instance)], last, 1.0, end)
    }

    fn queue(instance: &str, last: i64) -> (Labels, Vec<Sample>) {
        let pairs = [("__name__", "queue"), ("job", "shop"), ("instance", instance), ("pod", instance)];
        series(&pairs, last, 500.0, None)
    }

    fn is_gone(expression: &str, group: &[(&str, &str)], stored: Vec<(Labels, Vec<Sample>)>) -> bool {
        let group = Unheard { watch: 0, labels: labels(group).into(), since_ms: SINCE_MS, as_of_ms: AS_OF_MS };
        is_removed(&Signal::of(expression).unwrap(), &group, &ReadView::of_samples(stored))
    }

    #[test]
    fn target_to_which_its_scraper_said_goodbye_was_removed() {
        let stored = || vec![queue("a", 100), queue("b", 116), up("a", 100, Some(stale_nan())), up("b", 116, None)];
        assert!(is_gone("queue", &[("job", "shop"), ("instance", "a"), ("pod", "a")], stored()));
        assert!(is_gone("sum by (pod) (queue)", &[("pod", "a")], stored()));
        // Of a group that others feed too, not all were removed.
        assert!(!is_gone("sum by (job) (queue)", &[("job", "shop")], stored()));
    }

    #[test]
    fn whoever_may_come_back_was_not_removed() {
        let group = [("pod", "a")];
        let asked = |stored| is_gone("sum by (pod) (queue)", &group, stored);
        let others = || vec![queue("a", 100), queue("b", 116), up("b", 116, None)];
        let with = |ups: Vec<(Labels, Vec<Sample>)>| asked(others().into_iter().chain(ups).collect());
        assert!(!with(vec![up("a", 115, Some(0.0))]), "it is down");
        assert!(!with(vec![up("a", 116, None)]), "it answers, and has nothing to say of it");
        assert!(!with(vec![up("a", 100, None)]), "its scraper fell silent");
        assert!(!with(vec![]), "nobody scrapes it");
        let goodbye = || up("a", 100, Some(stale_nan()));
        assert!(with(vec![goodbye()]));
        assert!(!asked(vec![queue("a", 100), goodbye()]), "nobody of its job goes on");
        assert!(!asked(vec![queue("a", 100), goodbye(), up("b", 105, None)]), "nobody goes on by now");
        assert!(!asked(vec![queue("a", 100), goodbye(), up("b", 115, Some(0.0))]), "the others are down");
        let nameless = series(&[("__name__", "queue"), ("pod", "a"), ("zone", "1")], 100, 1.0, None);
        assert!(!with(vec![goodbye(), nameless]), "one that fed it does not say whose it is");
        assert!(!is_gone("queue / on (pod) group_left stock", &group, others()), "what is evaluated has no feeders");
    }
}
