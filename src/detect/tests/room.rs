//! Instances that come and go, more of them than a watch may have groups.

use std::sync::atomic::Ordering;

use super::*;
use crate::detect::{
    AbsenceOptions, Direction, Directions, EvaluatedValue, GROUPS_COUNT_MAX, Judge, Kind, LimitOptions, Metrics, Shared,
};

pub(super) const SCRAPE_MS: i64 = 15_000;
const MINUTE_MS: i64 = 60_000;
/// A value that alerts, and one that does not.
pub(super) const BAD: f64 = 500.0;
pub(super) const GOOD: f64 = 1.0;

fn options() -> ModelOptions {
    let limit = Some(LimitOptions { above: Some(100.0), ..LimitOptions::default() });
    ModelOptions { directions: Directions::None, limit, ..ModelOptions::default() }
}

fn pods(count: usize) -> Vec<Arc<Labels>> {
    (0..count).map(|pod| labels(&[("__name__", "queue"), ("pod", &pod.to_string())])).collect()
}

/// Pods that are scraped together.
pub(super) struct Fleet {
    pods: Vec<Arc<Labels>>,
    workers: Vec<Worker>,
    pub(super) judge: Judge,
    pub(super) now_ms: i64,
    told: Vec<Transition>,
}

impl Fleet {
    pub(super) fn new(pods_count: usize, worker_count: usize) -> Fleet {
        Fleet::of(pods_count, start(vec![watch("sum by (pod) (queue)", options())], worker_count, Some(SCRAPE_MS)))
    }

    fn of(pods_count: usize, (workers, judge): (Vec<Worker>, Judge)) -> Fleet {
        Fleet { pods: pods(pods_count), workers, judge, now_ms: START_MS, told: Vec::new() }
    }

    /// The process ends, and another one goes on.
    pub(super) fn restart(&mut self) {
        let (saved, next) = (self.judge.checkpoint(), Fleet::new(self.pods.len(), self.workers.len()));
        *self = Fleet { now_ms: self.now_ms, ..next };
        self.judge.restore(&saved).unwrap();
    }

    /// A worker hears of these pods for the first time.
    pub(super) fn introduce(&mut self, worker: usize, pods: impl Iterator<Item = usize>) {
        let series = pods.map(|pod| (SeriesRef::new(0, 0, pod as u32), self.pods[pod].clone()));
        self.workers[worker].handle(&TapBatch { series: series.collect(), ..TapBatch::default() });
    }

    /// So many scrapes, each of them of these pods by these workers, of which the others hear nothing new.
    pub(super) fn scrape(&mut self, rounds: i64, of: &[(usize, &[usize], f64)]) {
        for _ in 0..rounds {
            self.now_ms += SCRAPE_MS;
            for &(worker, pods, value) in of {
                let rows: Vec<Row> = pods.iter().map(|&pod| (pod, self.now_ms, value)).collect();
                self.workers[worker].handle(&batch(&self.pods, &rows, false));
            }
            for worker in &mut self.workers {
                worker.settle(|| true);
                while worker.pending() > 0 {
                    self.told.extend(self.judge.poll());
                    worker.publish();
                }
            }
            self.told.extend(self.judge.poll());
        }
    }

    /// What was told since this was asked last.
    pub(super) fn transitions(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.told)
    }

    /// Likewise, by pod.
    fn told(&mut self) -> Vec<(Kind, String)> {
        let mut told = told(&self.transitions());
        told.sort_by_key(|(_, pod)| pod.parse::<usize>().unwrap());
        told
    }

    pub(super) fn firing(&self) -> Vec<String> {
        self.judge.firing().iter().map(|one| one.labels.get("pod").unwrap().to_owned()).collect()
    }

    fn counts(&self) -> [u64; 3] {
        counts(self.judge.shared())
    }
}

/// Groups that there are, that gave their place to others, and that were refused.
fn counts(shared: &Shared) -> [u64; 3] {
    let Metrics { groups, groups_replaced, groups_refused, .. } = &shared.metrics;
    [groups, groups_replaced, groups_refused].map(|counter| counter.load(Ordering::Relaxed))
}

fn told(transitions: &[Transition]) -> Vec<(Kind, String)> {
    transitions.iter().map(|one| (one.kind, one.labels.get("pod").unwrap().to_owned())).collect()
}

fn of(kind: Kind, pod: usize) -> (Kind, String) {
    (kind, pod.to_string())
}

#[test]
fn pods_of_yesterday_make_room_for_those_of_today() {
    let max = GROUPS_COUNT_MAX;
    let mut fleet = Fleet::new(max + 10, 1);
    let (all, living): (Vec<usize>, Vec<usize>) = ((0..max).filter(|pod| *pod != 7).collect(), vec![max - 1]);
    fleet.introduce(0, 0..max);
    fleet.scrape(10, &[(0, &all, GOOD), (0, &[7], BAD)]);
    assert_eq!(fleet.told(), [of(Kind::Firing, 7)]);
    // All but one go.
    fleet.scrape(4 * 70, &[(0, &living, GOOD)]);
    assert_eq!(fleet.counts(), [max as u64, 0, 0]);

    let new: Vec<usize> = (max..max + 3).collect();
    fleet.introduce(0, new.iter().copied());
    fleet.scrape(10, &[(0, &living, GOOD), (0, &new, BAD)]);
    assert_eq!(fleet.told(), new.iter().map(|&pod| of(Kind::Firing, pod)).collect::<Vec<_>>());
    // A quarter of those that are silent gave its place, but for the one that fires.
    let gone = (max as u64 - 1).div_ceil(4) - 1;
    assert_eq!(fleet.counts(), [max as u64 + 3 - gone, gone, 0]);
    let mut firing = fleet.firing();
    firing.sort_by_key(|pod| pod.parse::<usize>().unwrap());
    assert_eq!(firing, ["7", "10000", "10001", "10002"]);

    // Two whose places are others' now come back, one of which fires still.
    fleet.scrape(10, &[(0, &living, GOOD), (0, &new, BAD), (0, &[7], GOOD), (0, &[8], BAD)]);
    assert_eq!(fleet.told(), [of(Kind::Resolved, 7), of(Kind::Firing, 8)]);
    assert_eq!(fleet.counts()[2], 0, "nobody was refused");
}

#[test]
fn pods_that_are_heard_keep_their_places() {
    let mut fleet = Fleet::new(GROUPS_COUNT_MAX + 1, 1);
    let all: Vec<usize> = (0..GROUPS_COUNT_MAX).collect();
    fleet.introduce(0, 0..GROUPS_COUNT_MAX);
    fleet.scrape(2, &[(0, &all, GOOD)]);
    fleet.introduce(0, GROUPS_COUNT_MAX..GROUPS_COUNT_MAX + 1);
    fleet.scrape(8, &[(0, &all, GOOD), (0, &[GROUPS_COUNT_MAX], BAD)]);
    assert_eq!(fleet.told(), []);
    assert_eq!(fleet.counts(), [GROUPS_COUNT_MAX as u64, 0, 1]);
}

#[test]
fn pods_that_never_say_a_number_do_not_keep_their_places() {
    let max = GROUPS_COUNT_MAX;
    let mut fleet = Fleet::new(max + 1, 1);
    fleet.introduce(0, 0..1);
    fleet.scrape(4, &[(0, &[0], GOOD)]);
    let silent: Vec<usize> = (1..max).collect();
    fleet.introduce(0, 1..max);
    fleet.scrape(4, &[(0, &[0], GOOD), (0, &silent, f64::NAN)]);
    fleet.scrape(4 * 65, &[(0, &[0], GOOD)]);
    fleet.introduce(0, max..=max);
    fleet.scrape(10, &[(0, &[0], GOOD), (0, &[max], BAD)]);
    assert_eq!((fleet.told(), fleet.counts()), (vec![of(Kind::Firing, max)], [2, 0, 0]));
}

/// A deploy: the new pods come before the old ones were silent for long.
#[test]
fn pods_that_were_refused_are_watched_when_there_is_room() {
    let max = GROUPS_COUNT_MAX;
    let mut fleet = Fleet::new(max + 2, 1);
    let (all, new): (Vec<usize>, [usize; 2]) = ((0..max).collect(), [max, max + 1]);
    fleet.introduce(0, 0..max);
    fleet.scrape(4, &[(0, &all, GOOD)]);
    fleet.introduce(0, max..max + 2);
    fleet.scrape(4 * 55, &[(0, &new, BAD)]);
    assert_eq!((fleet.told(), fleet.counts()), (vec![], [max as u64, 0, 2]));
    fleet.scrape(4 * 15, &[(0, &new, BAD)]);
    assert_eq!(fleet.told(), new.map(|pod| of(Kind::Firing, pod)));
    let gone = (max as u64).div_ceil(4);
    assert_eq!(fleet.counts(), [max as u64 + 2 - gone, gone, 2]);
}

#[test]
fn group_that_another_worker_feeds_stays() {
    let max = GROUPS_COUNT_MAX;
    let mut fleet = Fleet::new(max + 1, 2);
    let all: Vec<usize> = (0..max).collect();
    fleet.introduce(0, 0..max);
    fleet.introduce(1, 0..2);
    fleet.scrape(10, &[(0, &all, GOOD), (1, &[0, 1], GOOD)]);
    fleet.scrape(4 * 70, &[(1, &[0, 1], GOOD)]);
    // Both have had a place at each worker, and the first worker gives its own to others.
    fleet.introduce(0, max..=max);
    fleet.scrape(10, &[(0, &[max], GOOD), (1, &[0], GOOD), (1, &[1], BAD)]);
    assert_eq!(fleet.told(), [of(Kind::Firing, 1)]);
    let gone = (max as u64).div_ceil(4) - 2;
    assert_eq!(fleet.counts(), [max as u64 + 1 - gone, gone, 0]);
}

#[test]
fn values_of_an_evaluated_watch_make_room_likewise() {
    let expression = "stddev by (pod) (queue)";
    let signal = Signal::of(expression).unwrap();
    let watch = Watch { identity: expression.to_owned(), signal, options: options(), zone: None };
    let (_, mut judge) = start(vec![watch], 1, None);
    let pods: Vec<_> = (0..=GROUPS_COUNT_MAX).map(|pod| labels(&[("pod", &pod.to_string())])).collect();
    let mut tell = |pod: usize, at_ms: i64, value: f64| {
        let labels = pods[pod].clone();
        let at_ms = START_MS + at_ms;
        while judge.shared().tell_evaluated(EvaluatedValue { watch: 0, labels: labels.clone(), at_ms, value }).is_err()
        {
            assert_eq!(judge.poll(), []);
        }
        let transitions = judge.poll();
        (told(&transitions), counts(judge.shared()))
    };
    let max = GROUPS_COUNT_MAX as u64;
    for pod in 0..GROUPS_COUNT_MAX {
        tell(pod, 0, if pod == 1 { BAD } else { GOOD });
    }
    tell(1, MINUTE_MS, BAD);
    assert_eq!(tell(GROUPS_COUNT_MAX, 2 * MINUTE_MS, BAD).1, [max, 0, 1]);
    let (told, counts) = tell(GROUPS_COUNT_MAX, 62 * MINUTE_MS, BAD);
    assert_eq!(
        (told, counts),
        (vec![of(Kind::Firing, GROUPS_COUNT_MAX)], [max + 1 - max.div_ceil(4), max.div_ceil(4), 1])
    );
    let [fired, _] = &judge.firing()[..] else { panic!("two alerts") };
    assert_eq!((fired.labels.get("pod"), fired.direction), (Some("1"), Direction::Limit));
}

/// Ten thousand jobs ran once, are due in two hours, and their places go to others meanwhile.
#[test]
fn jobs_that_are_awaited_are_missed_whoever_has_their_places() {
    let max = GROUPS_COUNT_MAX;
    let absence = Some(AbsenceOptions { absent_for_ms: Some(120 * MINUTE_MS) });
    let jobs = Watch {
        identity: "jobs".to_owned(),
        signal: Signal::beats("queue").unwrap(),
        options: ModelOptions { absence, ..ModelOptions::default() },
        zone: None,
    };
    let mut fleet = Fleet::of(max + 1, start(vec![jobs], 1, Some(SCRAPE_MS)));
    fleet.introduce(0, 0..max);
    fleet.scrape(1, &[(0, &(0..max).collect::<Vec<_>>(), GOOD)]);
    // One goes on, and says what time it is.
    fleet.scrape(4 * 70, &[(0, &[0], GOOD)]);
    fleet.introduce(0, max..=max);
    fleet.scrape(4 * 60, &[(0, &[0, max], GOOD)]);
    let missed: Vec<usize> = fleet.told().into_iter().map(|(_, pod)| pod.parse().unwrap()).collect();
    assert!(missed.iter().copied().eq(1..max), "{} are missed", missed.len());
    assert_eq!(fleet.counts()[1], 0, "all of them are awaited or absent");
}
