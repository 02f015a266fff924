//! How late the samples of each job come, and by that how long they are waited for.
//!
//! ```text
//! minute of event time         11:58   11:59   12:00   12:01   12:02
//! latest sample of `shop`        2 s     3 s   240 s     2 s     3 s     in nine of ten minutes within 3 s
//! waited for                                                             5 s: half as much again, 5 s at least
//! ```
//!
//! How late a sample comes is how far it lies behind the newest event time that any worker had seen before its batch: in
//! its own batch nothing is late. Every minute counts once, by the latest sample in it: ten thousand samples that come at once
//! after an outage are one minute of sixty, a batch that is kept for a minute again and again is all of them. What each
//! of the last three minutes had is waited for at once; so a job that grows slower is followed within minutes, and one
//! that was slow is forgotten within an hour.
//!
//! Before ten minutes of a job are known it is waited for as long as for everybody: 30 s or two intervals of the series.
//! A series whose clock is behind is waited for by itself ([`super::series::Series::arrived`]); what that explains is no
//! lateness of its job.
//!
//! Always true:
//! 1. It decides when a bucket closes, never what a sample counts for: as long as no sample comes later than it is
//!    waited for, the same samples give the same transitions, whatever was learned.
//! 2. Only samples that come just now teach it: neither history, nor what is read from the log after a start.
//! 3. It is [`LATENESS_MS_MIN`] to [`LATENESS_MS_MAX`], and what the setting says instead where that says anything.
//! 4. At most [`JOBS_COUNT_MAX`] jobs are known to a worker; further ones are counted in [`super::Metrics`] and waited for
//!    like one that is new.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;

use super::series::{LOOKBACK_MS, Series};
use crate::model::{Labels, OWNER_LABELS};

/// How far behind the newest sample another may come and still count while its job is not known, in ms of event time,
/// unless two intervals of its series are more.
pub const LATENESS_MS_DEFAULT: i64 = 30_000;
/// Least that a known job is waited for, in ms of event time.
pub const LATENESS_MS_MIN: i64 = 5_000;
/// Most that a known job is waited for, in ms of event time. What is silent for longer does not count any more.
pub const LATENESS_MS_MAX: i64 = LOOKBACK_MS;
/// Most jobs that a worker learns the lateness of.
pub const JOBS_COUNT_MAX: usize = 1_000;

const MINUTE_MS: i64 = 60_000;
/// Minutes that are remembered of a job, those in which it sent.
const MINUTES_COUNT: usize = 60;
/// Minutes after which it is known.
const MINUTES_KNOWN: usize = 10;
/// Of so many minutes one may be later.
const MINUTES_PER_EXCEPTION: usize = 10;
/// What so many minutes on end had is no exception.
const MINUTES_ON_END: usize = 3;
/// The place of a series for whose job there is none.
const NOWHERE: u32 = u32::MAX;

/// What is known of one job's lateness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLateness {
    /// Its name: the label `job`, or `service` where there is none; empty without either.
    pub job: Arc<str>,
    /// Minutes that it is known from, at most an hour.
    pub minutes: usize,
    /// How late its samples usually come, in ms of event time; none before ten minutes.
    pub usual_ms: Option<i64>,
    /// How long they are waited for, in ms of event time.
    pub waited_ms: i64,
}

impl JobLateness {
    /// As a job has it that several workers take in.
    pub(crate) fn merge(&mut self, other: &JobLateness) {
        self.minutes = self.minutes.max(other.minutes);
        self.usual_ms = self.usual_ms.max(other.usual_ms);
        self.waited_ms = self.waited_ms.max(other.waited_ms);
    }
}

/// What a worker tells the others of what it has learned.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub jobs: Vec<JobLateness>,
    /// How long the jobs that feed a watch are waited for, in ms, of those watches that the watermark drives.
    pub of_watch: Vec<Option<i64>>,
}

/// The jobs of one worker.
#[derive(Debug)]
pub(crate) struct Jobs {
    given_ms: Option<i64>,
    by_name: HashMap<Arc<str>, u32>,
    jobs: Vec<Job>,
    /// For each watch, the jobs that feed it.
    of_watch: Vec<Vec<u32>>,
    /// The present minute, counted from 1970.
    minute: i64,
    /// Whether there is something to tell.
    has_news: bool,
}

#[derive(Debug)]
struct Job {
    name: Arc<str>,
    delays: Delays,
    learned_ms: Option<i64>,
}

impl Jobs {
    /// Of so many watches. `given_ms`: what the setting says, if it does.
    pub(crate) fn new(given_ms: Option<i64>, watch_count: usize) -> Jobs {
        Jobs {
            given_ms,
            by_name: HashMap::new(),
            jobs: Vec::new(),
            of_watch: vec![Vec::new(); watch_count],
            minute: i64::MIN,
            has_news: false,
        }
    }

    /// The place of the job that sends a series, a new one if need be: `before` says what was known of it. None: there is
    /// no room.
    pub(crate) fn place_of(
        &mut self,
        labels: &Labels,
        before: impl FnOnce(&str) -> Option<JobLateness>,
    ) -> Option<u32> {
        let name = OWNER_LABELS.iter().find_map(|name| labels.get(name)).unwrap_or("");
        if let Some(&place) = self.by_name.get(name) {
            return Some(place);
        }
        if self.jobs.len() >= JOBS_COUNT_MAX {
            return None;
        }
        let place = u32::try_from(self.jobs.len()).expect("JOBS_COUNT_MAX fits 32 bits");
        let name: Arc<str> = name.into();
        let delays = before(&name).map_or_else(Delays::default, |known| Delays::as_known(&known));
        self.jobs.push(Job { learned_ms: delays.waited_ms(), name: name.clone(), delays });
        self.by_name.insert(name, place);
        self.has_news = true;
        Some(place)
    }

    /// A job feeds a watch that the watermark drives.
    pub(crate) fn feed(&mut self, watch: usize, place: Option<u32>) {
        let place = place.unwrap_or(NOWHERE);
        if !self.of_watch[watch].contains(&place) {
            self.of_watch[watch].push(place);
            self.has_news = true;
        }
    }

    /// A sample of a job came so far behind event time as it was before its batch, in ms; ahead of it is negative.
    pub(crate) fn note(&mut self, place: Option<u32>, behind_ms: i64) {
        let Some(job) = place.and_then(|place| self.jobs.get_mut(place as usize)) else { return };
        if behind_ms <= LATENESS_MS_MAX {
            let latest_ms = job.delays.latest_ms.get_or_insert(0);
            *latest_ms = behind_ms.max(*latest_ms);
        }
    }

    /// Event time has come so far, in ms. When a minute is over, it is learned from.
    pub(crate) fn pass(&mut self, seen_ms: i64) {
        let minute = seen_ms.div_euclid(MINUTE_MS);
        if std::mem::replace(&mut self.minute, minute) == minute {
            return;
        }
        for job in self.jobs.iter_mut().filter(|job| job.delays.latest_ms.is_some()) {
            job.delays.end_minute();
            job.learned_ms = job.delays.waited_ms();
            self.has_news = true;
        }
    }

    /// How long the next sample of a series is waited for, in ms.
    pub(crate) fn waited_ms(&self, one: &Series) -> i64 {
        self.learned_ms(one.job).unwrap_or_else(|| one.lateness_ms(self.unlearned_ms()))
    }

    /// The lateness of a job that is not known, or what the setting says.
    pub(crate) fn unlearned_ms(&self) -> i64 {
        self.given_ms.unwrap_or(LATENESS_MS_DEFAULT)
    }

    /// What the others are to know, if it is news.
    pub(crate) fn news(&mut self) -> Option<Told> {
        std::mem::take(&mut self.has_news).then(|| Told {
            jobs: self.jobs.iter().enumerate().map(|(place, job)| self.of_job(place as u32, job)).collect(),
            of_watch: self.of_watch.iter().map(|places| self.of_places(places)).collect(),
        })
    }

    fn of_job(&self, place: u32, job: &Job) -> JobLateness {
        JobLateness {
            job: job.name.clone(),
            minutes: job.delays.minutes_ms.len(),
            usual_ms: job.delays.usual_ms(),
            waited_ms: self.learned_ms(Some(place)).unwrap_or_else(|| self.unlearned_ms()),
        }
    }

    fn of_places(&self, places: &[u32]) -> Option<i64> {
        places.iter().map(|&place| self.learned_ms(Some(place)).unwrap_or_else(|| self.unlearned_ms())).max()
    }

    fn learned_ms(&self, place: Option<u32>) -> Option<i64> {
        let job = place.and_then(|place| self.jobs.get(place as usize)).filter(|_| self.given_ms.is_none());
        job.and_then(|job| job.learned_ms)
    }
}

/// How late the latest sample of each minute was, in ms of event time.
#[derive(Debug, Default)]
struct Delays {
    /// The last one of them at the back.
    minutes_ms: VecDeque<i64>,
    /// In the present minute; none: nothing has come yet.
    latest_ms: Option<i64>,
}

impl Delays {
    /// As if what is known had been so in every minute.
    fn as_known(known: &JobLateness) -> Delays {
        let (minutes, usual_ms) = (known.minutes.min(MINUTES_COUNT), known.usual_ms.unwrap_or(0));
        Delays { minutes_ms: std::iter::repeat_n(usual_ms, minutes).collect(), latest_ms: None }
    }

    fn end_minute(&mut self) {
        if self.minutes_ms.len() == MINUTES_COUNT {
            self.minutes_ms.pop_front();
        }
        self.minutes_ms.extend(self.latest_ms.take());
    }

    /// What nine of ten minutes keep to, or what each of the last three had if that is more.
    fn usual_ms(&self) -> Option<i64> {
        if self.minutes_ms.len() < MINUTES_KNOWN {
            return None;
        }
        let mut minutes_ms: Vec<i64> = self.minutes_ms.iter().copied().collect();
        minutes_ms.sort_unstable_by(|one, other| other.cmp(one));
        let lately_ms = self.minutes_ms.iter().rev().take(MINUTES_ON_END).copied().min();
        Some(minutes_ms[minutes_ms.len() / MINUTES_PER_EXCEPTION]).max(lately_ms)
    }

    fn waited_ms(&self) -> Option<i64> {
        self.usual_ms().map(|usual_ms| (usual_ms + usual_ms / 2).clamp(LATENESS_MS_MIN, LATENESS_MS_MAX))
    }
}
