//! Which parts of what fires moved most: asked of the stored series, by a thread that nobody waits for.
//!
//! ```text
//! judge ─► board: wanted ─► thread ─► queries ─► board: found ─► alerts that fire and resolve, the judge's next look
//!                                                     └────────► what ended before they were found
//! ```
//!
//! Orders of `region="eu"` drop at 12:00. At 12:00:30 half of the evidence that alerts has come together, and the thread asks
//! what each node had in the hour before and what it has since. At 12:01 the alert fires, and the page names the nodes. While it
//! fires, they are found anew every 15 s of event time, for `/api/v1/anomalies` and for the alert that resolves.
//!
//! Always true:
//! 1. No alert waits for this. Parts that are not known when it is told are not in it.
//! 2. It asks with an engine of its own, under [`limits`], and rests four times as long as it took: a fifth of a core at most.
//! 3. At most [`WANTED_COUNT_MAX`] anomalies are looked at, those that fire longest first, suspects last.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use super::anomalies::Anomalies;
use super::{ServerError, thread};
use crate::clock::Clock;
use crate::detect::{Direction, Explanation, Firing, Inquiry, Kind, Part, Signal, Suspect, Transition};
use crate::model::Labels;
use crate::query::{Cancelled, Engine, Limits, Options, Value};
use crate::rules::RuleSet;
use crate::storage::Storage;
use crate::storage::view::ReadView;

/// How many anomalies have parts at a time, suspects included.
pub(super) const WANTED_COUNT_MAX: usize = 100;
/// How often it looks what is wanted.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How many times as long as it took it rests.
const REST_FACTOR: u32 = 4;
/// After how much event time the parts of what fires are found anew, in ms.
const REFRESH_MS: i64 = 15_000;

/// An anomaly, as one judge knows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    watch: usize,
    labels: Arc<Labels>,
    direction: Direction,
    /// None while it is only suspected.
    fired_ms: Option<i64>,
}

/// An anomaly whose parts are wanted.
#[derive(Clone, Debug)]
struct Wanted {
    key: Key,
    onset_ms: i64,
    /// The moment up to which the present is looked at.
    as_of_ms: i64,
    expected: Option<f64>,
}

/// What was found, and as of when. Empty where there are none.
#[derive(Clone, Debug)]
struct Found {
    key: Key,
    as_of_ms: i64,
    parts: Vec<Part>,
}

/// Where the judge says what it wants, and finds it.
#[derive(Default)]
pub(super) struct PartsBoard {
    firing: ArcSwap<Vec<Wanted>>,
    /// What ended before its parts were found.
    ended: Mutex<Vec<Wanted>>,
    found: Mutex<Vec<Found>>,
}

/// The running thread.
pub(super) struct PartsFinding {
    stop: Sender<()>,
    cancelled: Cancelled,
    running: JoinHandle<()>,
}

struct Finder {
    rules: Arc<RuleSet>,
    board: Arc<PartsBoard>,
    anomalies: Arc<Anomalies>,
    engine: Engine,
    clock: Clock,
    view: Box<dyn Fn() -> ReadView + Send>,
    options: Options,
}

impl Key {
    pub(super) fn of(transition: &Transition) -> Key {
        let Transition { watch, direction, fired_ms, .. } = *transition;
        Key { watch, labels: transition.labels.clone(), direction, fired_ms: Some(fired_ms) }
    }

    fn of_firing(firing: &Firing) -> Key {
        let Firing { watch, direction, fired_ms, .. } = *firing;
        Key { watch, labels: firing.labels.clone(), direction, fired_ms: Some(fired_ms) }
    }
}

impl Wanted {
    fn new(key: Key, explanation: &Explanation, as_of_ms: i64) -> Wanted {
        let goes_a_way = matches!(key.direction, Direction::Drop | Direction::Rise);
        let expected = explanation.expected.filter(|_| goes_a_way);
        Wanted { key, onset_ms: explanation.onset_ms, as_of_ms, expected }
    }

    fn suspect(suspect: Suspect) -> Wanted {
        let Suspect { watch, labels, direction, onset_ms, as_of_ms, expected } = suspect;
        Wanted { key: Key { watch, labels, direction, fired_ms: None }, onset_ms, as_of_ms, expected }
    }
}

impl PartsBoard {
    /// Gives the figures of alerts that begin and end the parts that are known, and wants those of what ended without.
    pub(super) fn complete(&self, transitions: &mut [Transition]) {
        for transition in transitions {
            let key = Key::of(transition);
            let (at_ms, kind) = (transition.at_ms, transition.kind);
            let Some(explanation) = transition.explanation.as_deref_mut() else { continue };
            let suspected = || self.found(&Key { fired_ms: None, ..key.clone() });
            let known = self.found(&key).or_else(suspected);
            if let (None, Kind::Resolved) = (&known, kind) {
                let mut ended = self.ended.lock();
                if ended.len() < WANTED_COUNT_MAX {
                    ended.push(Wanted::new(key, explanation, at_ms));
                }
            }
            explanation.parts = known.unwrap_or_default();
        }
    }

    /// Says what fires and what is suspected, and adds the parts that are known.
    pub(super) fn look(&self, explained: &mut [(Firing, Explanation)], suspects: Vec<Suspect>) {
        let mut wanted = Vec::new();
        for (firing, explanation) in explained {
            let key = Key::of_firing(firing);
            explanation.parts = self.found(&key).unwrap_or_default();
            wanted.push(Wanted::new(key, explanation, explanation.as_of_ms()));
        }
        wanted.sort_by_key(|one| one.key.fired_ms);
        wanted.extend(suspects.into_iter().map(Wanted::suspect));
        wanted.truncate(WANTED_COUNT_MAX);
        self.found.lock().retain(|one| wanted.iter().any(|wanted| wanted.key == one.key));
        self.firing.store(Arc::new(wanted));
    }

    fn found(&self, key: &Key) -> Option<Vec<Part>> {
        self.found.lock().iter().find(|one| one.key == *key).map(|one| one.parts.clone())
    }

    /// What fires and was not looked at before, else what ended, else what was looked at longest ago.
    fn due(&self) -> Option<Due> {
        let firing = self.firing.load();
        let found = self.found.lock();
        let as_of_ms = |wanted: &Wanted| found.iter().find(|one| one.key == wanted.key).map(|one| one.as_of_ms);
        if let Some(fresh) = firing.iter().find(|wanted| as_of_ms(wanted).is_none()) {
            return Some(Due::Firing(fresh.clone()));
        }
        if let Some(ended) = self.ended.lock().pop() {
            return Some(Due::Ended(ended));
        }
        let aged = firing.iter().filter_map(|wanted| Some((wanted.as_of_ms - as_of_ms(wanted)?, wanted)));
        let (age_ms, oldest) = aged.max_by_key(|(age_ms, _)| *age_ms)?;
        (age_ms >= REFRESH_MS).then(|| Due::Firing(oldest.clone()))
    }

    /// Where nothing deviates any more, what was found before still tells what happened.
    fn note(&self, wanted: Wanted, parts: Vec<Part>) {
        let Wanted { key, as_of_ms, .. } = wanted;
        let mut found = self.found.lock();
        match found.iter_mut().find(|one| one.key == key) {
            None => found.push(Found { key, as_of_ms, parts }),
            Some(known) => {
                known.as_of_ms = as_of_ms;
                if !parts.is_empty() {
                    known.parts = parts;
                }
            }
        }
    }
}

/// What to find next.
enum Due {
    Firing(Wanted),
    Ended(Wanted),
}

impl PartsFinding {
    /// Starts to find what the board wants of these rules.
    pub(super) fn start(
        rules: &Arc<RuleSet>,
        board: &Arc<PartsBoard>,
        anomalies: &Arc<Anomalies>,
        storage: &Arc<Storage>,
        clock: &Clock,
    ) -> Result<PartsFinding, ServerError> {
        let viewed = storage.clone();
        let cancelled = Cancelled::default();
        let finder = Finder {
            rules: rules.clone(),
            board: board.clone(),
            anomalies: anomalies.clone(),
            engine: Engine::new(limits(), clock.clone()),
            clock: clock.clone(),
            view: Box::new(move || viewed.view()),
            options: Options { cancelled: cancelled.clone(), ..Options::default() },
        };
        let (stop, stopped) = bounded(1);
        let running = thread("parts", move || finder.run(&stopped))?;
        Ok(PartsFinding { stop, cancelled, running })
    }

    /// Gives up the query under way, and waits for the thread.
    pub(super) fn join(self) {
        self.cancelled.cancel();
        drop(self.stop);
        let _ = self.running.join();
    }
}

/// What one query may cost. A group of more series has no parts.
fn limits() -> Limits {
    Limits { samples_max: 10_000_000, series_max: 20_000, timeout: Duration::from_secs(5), ..Limits::default() }
}

impl Finder {
    fn run(self, stopped: &Receiver<()>) {
        let mut rest = LOOK_INTERVAL;
        while matches!(stopped.recv_timeout(rest), Err(RecvTimeoutError::Timeout)) {
            let began = self.clock.monotonic();
            rest = match self.board.due() {
                Some(due) => {
                    self.find(due);
                    REST_FACTOR * self.clock.monotonic().saturating_sub(began)
                }
                None => LOOK_INTERVAL,
            };
        }
    }

    fn find(&self, due: Due) {
        match due {
            Due::Firing(wanted) => {
                let parts = self.parts_of(&wanted);
                self.board.note(wanted, parts);
            }
            Due::Ended(wanted) => {
                let parts = self.parts_of(&wanted);
                self.anomalies.complete(&wanted.key, &parts);
            }
        }
    }

    fn parts_of(&self, wanted: &Wanted) -> Vec<Part> {
        let rule = &self.rules.rules[wanted.key.watch];
        self.asked(&rule.signal, wanted).unwrap_or_else(|error| {
            tracing::debug!(alert = rule.alert, error, "the parts of an anomaly could not be found");
            Vec::new()
        })
    }

    fn asked(&self, signal: &Signal, wanted: &Wanted) -> Result<Vec<Part>, String> {
        let Wanted { key, onset_ms, as_of_ms, expected } = wanted;
        let is_drop = match key.direction {
            Direction::Absent => return Ok(Vec::new()),
            Direction::Limit | Direction::Full => None,
            direction => Some(direction == Direction::Drop),
        };
        let Some(mut inquiry) = Inquiry::of(signal, &key.labels, *onset_ms, *as_of_ms) else { return Ok(Vec::new()) };
        let view = (self.view)();
        for index in 0.. {
            let Some(question) = inquiry.questions().get(index) else { break };
            let answer = self.engine.instant(&view, &question.query, question.at_ms, &self.options);
            let Value::Vector(series) = answer.map_err(|error| error.to_string())?.value else {
                return Err("no vector".to_owned());
            };
            inquiry
                .answered(index, series.into_iter().filter_map(|(labels, _, value)| Some((labels, value.number()?))));
        }
        Ok(inquiry.parts(*expected, is_drop))
    }
}

#[cfg(test)]
mod tests;
