//! What rules ask of the past, many evaluations at a time.
//!
//! A rule that is evaluated every 15 s of a month asks 170,000 times. Where the answers cannot depend on what rules record
//! meanwhile, the next [`STEPS_MAX`] of them are had by one range query, which decodes each series once.
//!
//! Always true: what is answered is what one query at that moment would answer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::model::Labels;
use crate::query::{QueryError, Sampled};
use crate::rules::{RuleHost, RuleSample};

/// Most evaluations that are asked about at once, and at first.
const STEPS_MAX: i64 = 2_000;
const STEPS_AT_FIRST: i64 = 200;

/// A series of the answer to a range query: moments in ms, ascending, each with its value.
pub(super) struct Row {
    pub labels: Arc<Labels>,
    pub times_ms: Vec<i64>,
    pub values: Vec<Sampled>,
}

/// Stored samples, and what rules would have recorded.
pub(super) trait Past {
    /// The answer at a moment.
    fn instant(&self, query: &str, time_ms: i64) -> Result<Vec<RuleSample>, QueryError>;
    /// The answers from `from_ms` on, every `step_ms`, `to_ms` included.
    fn range(&self, query: &str, from_ms: i64, to_ms: i64, step_ms: i64) -> Result<Vec<Row>, QueryError>;
    /// Takes what a rule records.
    fn store(&mut self, time_ms: i64, samples: &[RuleSample]) -> Result<(), String>;
    /// Whether all that a query may see up to the end is there already.
    fn is_complete_for(&self, query: &str) -> bool;
    /// Whether it makes no sense to go on.
    fn is_broken(&self) -> bool {
        false
    }
}

/// Answers of one rule's query.
struct Ahead {
    interval_ms: i64,
    /// The last moment that will be asked about, at the latest.
    end_ms: i64,
    steps: i64,
    from_ms: i64,
    to_ms: i64,
    rows: Vec<Row>,
}

/// The past, for rules.
pub(super) struct Host<P> {
    pub past: P,
    clock: Clock,
    /// The group that asks.
    group: usize,
    ahead: RefCell<HashMap<usize, HashMap<String, Ahead>>>,
}

impl<P: Past> Host<P> {
    pub(super) fn new(past: P) -> Host<P> {
        Host { past, clock: Clock::system(), group: 0, ahead: RefCell::default() }
    }

    /// Says that a group will ask these queries every `interval_ms`, up to `end_ms`.
    pub(super) fn expect<'a>(
        &mut self,
        group: usize,
        interval_ms: i64,
        end_ms: i64,
        queries: impl Iterator<Item = &'a str>,
    ) {
        let mut ahead = HashMap::new();
        for query in queries.filter(|query| self.past.is_complete_for(query)) {
            let nothing = Ahead { interval_ms, end_ms, steps: STEPS_AT_FIRST, from_ms: 0, to_ms: -1, rows: Vec::new() };
            ahead.insert(query.to_owned(), nothing);
        }
        self.ahead.get_mut().insert(group, ahead);
    }

    /// The next questions are those of this group.
    pub(super) fn enter(&mut self, group: usize) {
        self.group = group;
    }
}

impl<P: Past> RuleHost for Host<P> {
    fn ask(&self, query: &str, time_ms: i64) -> Result<Vec<RuleSample>, QueryError> {
        let mut ahead = self.ahead.borrow_mut();
        let Some(ahead) = ahead.get_mut(&self.group).and_then(|group| group.get_mut(query)) else {
            return self.past.instant(query, time_ms);
        };
        if !ahead.holds(time_ms) && !ahead.fetch(&self.past, query, time_ms) {
            return self.past.instant(query, time_ms);
        }
        Ok(ahead.at(time_ms))
    }

    fn store(&mut self, time_ms: i64, samples: &[RuleSample]) -> Result<(), String> {
        self.past.store(time_ms, samples)
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn is_stopping(&self) -> bool {
        self.past.is_broken()
    }
}

impl Ahead {
    fn holds(&self, time_ms: i64) -> bool {
        (self.from_ms..=self.to_ms).contains(&time_ms) && (time_ms - self.from_ms) % self.interval_ms == 0
    }

    /// Asks for the next stretch. False: this moment is to be asked about by itself, for a longer stretch fails, perhaps at
    /// another moment of it.
    fn fetch(&mut self, past: &impl Past, query: &str, time_ms: i64) -> bool {
        // A template asks what its rule asks, at another moment.
        if time_ms <= self.to_ms || time_ms > self.end_ms {
            return false;
        }
        loop {
            let steps = self.steps.min((self.end_ms - time_ms) / self.interval_ms + 1);
            if steps < 2 || past.is_broken() {
                self.steps = 2;
                return false;
            }
            let to_ms = time_ms + (steps - 1) * self.interval_ms;
            match past.range(query, time_ms, to_ms, self.interval_ms) {
                Ok(rows) => {
                    (self.from_ms, self.to_ms, self.rows) = (time_ms, to_ms, rows);
                    self.steps = (self.steps * 2).min(STEPS_MAX);
                    return true;
                }
                Err(_) => self.steps = steps / 8,
            }
        }
    }

    fn at(&self, time_ms: i64) -> Vec<RuleSample> {
        let sample = |row: &Row| {
            let index = row.times_ms.binary_search(&time_ms).ok()?;
            Some(RuleSample { labels: row.labels.clone(), value: row.values[index].clone() })
        };
        self.rows.iter().filter_map(sample).collect()
    }
}
