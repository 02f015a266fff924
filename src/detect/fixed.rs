//! What a group is judged by from its first bucket on: a fixed limit, and how soon something runs out.
//!
//! Always true: a bucket that was not judged changes neither.

use serde::{Deserialize, Serialize};

use super::hold::{Spell, Turn};
use super::limit::Limit;
use super::options::ModelOptions;
use super::saturation::{Forecast, Saturation};
use super::transition::Direction;

/// State of one group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fixed {
    limit: Limit,
    full: Saturation,
}

impl Fixed {
    /// Of a rule that has a limit or says when something is full.
    pub(crate) fn of(options: &ModelOptions) -> Option<Box<Fixed>> {
        let is_asked_for = options.limit.is_some() || options.full.is_some();
        is_asked_for.then(|| Box::new(Fixed { limit: Limit::default(), full: Saturation::new() }))
    }

    /// Where the value goes, of a rule that says when something is full.
    pub(crate) fn forecast(&self) -> Option<Forecast> {
        self.full.forecast()
    }

    /// The alerts that there are.
    pub(crate) fn firing(&self) -> impl Iterator<Item = (Direction, Spell)> {
        let limit = self.limit.firing().map(|spell| (Direction::Limit, spell));
        limit.into_iter().chain(self.full.firing().map(|spell| (Direction::Full, spell)))
    }

    /// What is no longer asked for is forgotten.
    pub(crate) fn forget_unwatched(&mut self, options: &ModelOptions) {
        if options.limit.is_none() {
            self.limit = Limit::default();
        }
        if options.full.is_none() {
            self.full = Saturation::new();
        }
    }

    /// Judges the windowed value of a bucket of `bucket_ms` that ends at `end_ms`.
    pub(crate) fn observe(
        &mut self,
        end_ms: i64,
        bucket_ms: i64,
        value: Option<f64>,
        options: &ModelOptions,
    ) -> Vec<(Direction, Turn)> {
        let limit = options.limit.and_then(|limit| self.limit.observe(end_ms, bucket_ms, value, &limit));
        let full = options.full.and_then(|full| self.full.observe(end_ms, value, &full));
        let turns = [(Direction::Limit, limit), (Direction::Full, full)];
        turns.into_iter().filter_map(|(direction, turn)| Some((direction, turn?))).collect()
    }
}
