//! Which parts of what fires moved most: asked of the stored series, by a thread that nobody waits for.
//!
//! ```text
//! judge ─► board: wanted ─► thread ─► queries ─► board: found ─► the judge's next look, the alert that resolves
//!                                                     └────────► what ended before they were found
//! ```
//!
//! Orders of `region="eu"` drop at 12:00 and fire at 12:01: the page leaves at once. A moment later the thread has asked what
//! each node had in the hour before and what it has since, and `/api/v1/anomalies` tells their shares. Every 15 s of event
//! time they are found anew; the alert that resolves carries the last ones.
//!
//! Always true:
//! 1. No alert waits for this. Parts that are not known when it is told are not in it.
//! 2. It asks with an engine of its own, under [`limits`], and rests four times as long as it took: a fifth of a core at most.
//! 3. At most [`WANTED_COUNT_MAX`] anomalies are looked at, those that fire longest first.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use super::anomalies::Anomalies;
use super::{ServerError, thread};
use crate::clock::Clock;
use crate::detect::{Direction, Explanation, Firing, Inquiry, Kind, Part, Signal, Transition};
use crate::model::Labels;
use crate::query::{Cancelled, Engine, Limits, Options, Value};
use crate::rules::RuleSet;
use crate::storage::Storage;
use crate::storage::view::ReadView;

/// How many anomalies have parts at a time.
const WANTED_COUNT_MAX: usize = 100;
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
    fired_ms: i64,
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
        Key { watch, labels: transition.labels.clone(), direction, fired_ms }
    }

    fn of_firing(firing: &Firing) -> Key {
        let Firing { watch, direction, fired_ms, .. } = *firing;
        Key { watch, labels: firing.labels.clone(), direction, fired_ms }
    }
}

impl Wanted {
    fn new(key: Key, explanation: &Explanation, as_of_ms: i64) -> Wanted {
        let goes_a_way = matches!(key.direction, Direction::Drop | Direction::Rise);
        let expected = explanation.expected.filter(|_| goes_a_way);
        Wanted { key, onset_ms: explanation.onset_ms, as_of_ms, expected }
    }
}

impl PartsBoard {
    /// Gives the figures of alerts that begin and end the parts that are known, and wants those of what ended without.
    pub(super) fn complete(&self, transitions: &mut [Transition]) {
        for transition in transitions {
            let key = Key::of(transition);
            let (at_ms, kind) = (transition.at_ms, transition.kind);
            let Some(explanation) = transition.explanation.as_deref_mut() else { continue };
            let known = self.found(&key);
            if let (None, Kind::Resolved) = (&known, kind) {
                let mut ended = self.ended.lock();
                if ended.len() < WANTED_COUNT_MAX {
                    ended.push(Wanted::new(key, explanation, at_ms));
                }
            }
            explanation.parts = known.unwrap_or_default();
        }
    }

    /// Says what fires, and adds the parts that are known.
    pub(super) fn look(&self, explained: &mut [(Firing, Explanation)]) {
        let mut wanted = Vec::new();
        for (firing, explanation) in explained {
            let key = Key::of_firing(firing);
            explanation.parts = self.found(&key).unwrap_or_default();
            wanted.push(Wanted::new(key, explanation, explanation.as_of_ms()));
        }
        wanted.sort_by_key(|one| one.key.fired_ms);
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
        for index in 0..inquiry.questions().len() {
            let question = &inquiry.questions()[index];
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
mod tests {
    use super::*;
    use crate::detect::Detector;
    use crate::model::Sample;

    const ONSET_MS: i64 = 7_200_000;

    /// One order each second in each of two regions, two hours long; in eu a tenth of that from then on.
    fn view() -> ReadView {
        let series = |region: &str, later: f64| {
            let labels = Labels::from_pairs([("__name__", "orders_total"), ("region", region)]).unwrap();
            let mut total = 0.0;
            let samples = (0..=520).map(|scrape| {
                let timestamp_ms = scrape * 15_000;
                total += if timestamp_ms > ONSET_MS { 15.0 * later } else { 15.0 };
                Sample { timestamp_ms, value: total }
            });
            (labels, samples.collect())
        };
        ReadView::of_samples(vec![series("eu", 0.1), series("us", 1.0)])
    }

    fn rules() -> Arc<RuleSet> {
        let text = "groups:\n- name: shop\n  rules:\n  - {alert: Drop, expr: 'sum(rate(orders_total[1m]))', anomaly: {direction: drop}}\n";
        Arc::new(crate::rules::load_text(std::path::Path::new("shop.yml"), text).expect("the rule is well"))
    }

    fn finder(board: &Arc<PartsBoard>, anomalies: &Arc<Anomalies>) -> Finder {
        Finder {
            rules: rules(),
            board: board.clone(),
            anomalies: anomalies.clone(),
            engine: Engine::new(limits(), Clock::system()),
            clock: Clock::system(),
            view: Box::new(view),
            options: Options::default(),
        }
    }

    fn explanation() -> Explanation {
        Explanation {
            direction: Direction::Drop,
            detector: Detector::Level,
            onset_ms: ONSET_MS,
            detected_ms: ONSET_MS + 60_000,
            value: 1.1,
            expected: Some(2.0),
            bounds: None,
            evidence: None,
            lost_events: None,
            lost_money: None,
            learned: None,
            detectable_drop: None,
            forecast: None,
            line: Vec::new(),
            parts: Vec::new(),
        }
    }

    fn firing() -> Firing {
        Firing {
            watch: 0,
            labels: Arc::new(Labels::empty()),
            direction: Direction::Drop,
            value: 1.1,
            expected: 2.0,
            onset_ms: ONSET_MS,
            fired_ms: ONSET_MS + 60_000,
        }
    }

    fn resolved() -> Transition {
        let explanation = Some(Box::new(explanation()));
        Transition { kind: Kind::Resolved, at_ms: ONSET_MS + 600_000, explanation, ..firing().transition() }
    }

    fn regions(parts: &[Part]) -> Vec<(&str, i64)> {
        let told = |part: &'_ Part| (part.share * 100.0).round() as i64;
        parts.iter().map(|part| (part.labels.get("region").unwrap_or(""), told(part))).collect()
    }

    #[test]
    fn region_that_dropped_is_found_and_the_alert_that_resolves_has_it() {
        let (board, anomalies) = (Arc::new(PartsBoard::default()), Arc::new(Anomalies::default()));
        let finder = finder(&board, &anomalies);
        let mut explained = vec![(firing(), explanation())];
        board.look(&mut explained);
        assert!(explained[0].1.parts.is_empty(), "nobody waited");
        finder.find(board.due().expect("its parts are wanted"));
        assert!(board.due().is_none(), "no event time has passed since");
        board.look(&mut explained);
        assert_eq!(regions(&explained[0].1.parts), [("eu", 100)]);
        let mut transitions = [resolved()];
        board.complete(&mut transitions);
        let [transition] = transitions;
        assert_eq!(regions(&transition.explanation.unwrap().parts), [("eu", 100)]);
        assert!(board.due().is_none());
    }

    #[test]
    fn what_ended_before_its_parts_were_found_has_them_later() {
        let (board, anomalies) = (Arc::new(PartsBoard::default()), Arc::new(Anomalies::default()));
        let mut transitions = [resolved()];
        board.complete(&mut transitions);
        let alert = rules().alert_for(&transitions[0], "");
        anomalies.note(&transitions, &[alert], &rules());
        assert!(anomalies.all()[0].explanation.parts.is_empty());
        let finder = finder(&board, &anomalies);
        finder.find(board.due().expect("its parts are wanted"));
        assert_eq!(regions(&anomalies.all()[0].explanation.parts), [("eu", 100)]);
    }

    #[test]
    fn parts_are_found_anew_when_event_time_has_passed_and_forgotten_when_it_fires_no_more() {
        let board = PartsBoard::default();
        let mut explained = vec![(firing(), explanation())];
        board.look(&mut explained);
        let Some(Due::Firing(wanted)) = board.due() else { panic!("it fires") };
        let part = Part { labels: Labels::empty(), value: None, expected: None, share: 1.0 };
        board.note(wanted.clone(), vec![part.clone()]);
        board.note(wanted, Vec::new());
        explained[0].1.detected_ms += REFRESH_MS - 1;
        board.look(&mut explained);
        assert_eq!(explained[0].1.parts, [part], "what was found once stays");
        assert!(board.due().is_none());
        explained[0].1.detected_ms += 1;
        board.look(&mut explained);
        assert!(matches!(board.due(), Some(Due::Firing(_))));
        board.look(&mut []);
        assert!(board.due().is_none() && board.found.lock().is_empty());
    }
}
