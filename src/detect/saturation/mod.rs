//! Something runs out: a disk fills, a certificate expires, a pool is used up.
//!
//! ```text
//! full: { at: 1, within: 4h }       used   left   slope a block   full in
//!   10:00   flat for a day          0.70   0.30        0            never
//!   10:20   a log grows             0.72   0.28   0 to -0.01        not clear yet
//!   10:35   half of the hour falls  0.75   0.25     -0.007          3 h      fires
//! ```
//!
//! What is looked at is how much is left to the limit, in medians of blocks (five minutes, or longer to see farther
//! ahead). If the slope in the middle of all pairs of blocks is no noise, and at this pace nothing is left within
//! `within`, it fires.
//!
//! Always true:
//! 1. A value that stands still does not fire, however near to its limit, until it reaches it.
//! 2. A value that goes where it has twice turned back by itself does not fire: logs that are rotated.
//! 3. An alert does not end while less than a twentieth remains of what was left in better days: a full disk is at rest
//!    too.
//! 4. What is remembered is of a fixed size and finite, whatever the values are.
//!
//! Deliberately absent: seasons. A disk that is written to at night is full at night all the same.

mod blocks;
mod habit;
mod slope;

use serde::{Deserialize, Serialize};

use super::hold::{Hold, Patience, Says, Spell, Stretch, Turn};
use blocks::Blocks;
use habit::Habit;
use slope::slope;

/// An alert ends when at the present pace it would take this many times `within`.
const CALM_FACTOR: f64 = 1.5;
/// Or when fewer than this share of the pairs of blocks still run out.
const CALM_FALLING: f32 = 0.6;
/// As long as less than this share of the most that was left remains, it does not.
const USED_UP: f32 = 0.05;
/// In which time the most that was left is forgotten, in ms: two weeks.
const FORGETTING_MS: f32 = 1_209_600_000.0;

/// What is the limit, and how long before it is reached somebody wants to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullOptions {
    /// The limit.
    pub at: Ceiling,
    /// How long before, in ms.
    pub within_ms: i64,
    /// How long it must look so, in ms of event time.
    pub for_ms: i64,
    /// How long the alert stays after recovery, in ms of event time.
    pub keep_firing_for_ms: i64,
}

/// What a value must not reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ceiling {
    /// A number. Zero is reached from above, as by free bytes; any other one from the side of the first value that was
    /// seen.
    Value(f64),
    /// The time: the value is an instant in s since 1970 UTC, as when a certificate expires.
    Now,
}

/// Where it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Change of the value by the hour.
    pub per_hour: f64,
    /// When the limit is reached at this pace, in ms since 1970 UTC; `None` if it is not.
    pub full_ms: Option<i64>,
}

/// State of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Saturation {
    last_ms: Option<i64>,
    /// 1 when the value falls to its limit, -1 when it rises to it.
    side: f32,
    blocks: Blocks,
    habit: Habit,
    hold: Hold,
    /// The most that was left, lately.
    most_left: f32,
}

impl Saturation {
    pub(crate) fn new() -> Saturation {
        Saturation {
            last_ms: None,
            side: 1.0,
            blocks: Blocks::new(),
            habit: Habit::default(),
            hold: Hold::default(),
            most_left: 0.0,
        }
    }

    /// The alert, while there is one.
    pub(crate) fn firing(&self) -> Option<Spell> {
        self.hold.firing()
    }

    /// Takes in the value of a bucket that ends at `end_ms`, in ms since 1970 UTC. One that is not newer than the last,
    /// or has no value, changes nothing.
    pub(crate) fn observe(&mut self, end_ms: i64, value: Option<f64>, options: &FullOptions) -> Option<Turn> {
        let value = value.filter(|value| !value.is_nan())?;
        if self.last_ms.is_some_and(|last_ms| end_ms <= last_ms) {
            return None;
        }
        if self.last_ms.is_none() {
            self.side = side_of(value, options.at);
        }
        self.last_ms = Some(end_ms);
        let left = f64::from(self.side) * (value - limit_at(end_ms, options.at));
        // Infinity minus infinity.
        let left = if left.is_nan() { 0.0 } else { left };
        let is_closed = self.blocks.add(end_ms, left, options.within_ms);
        if is_closed { self.judge(end_ms, options) } else { None }
    }

    /// Where the value goes, from the second block on.
    pub(crate) fn forecast(&self) -> Option<Forecast> {
        let slope = slope(self.blocks.closed(), 0)?;
        let blocks_an_hour = 3_600_000.0 / self.blocks.block_ms() as f64;
        let full_ms = self.wait_ms(slope.per_block).map(|wait_ms| self.last_ms.unwrap_or(0).saturating_add(wait_ms));
        Some(Forecast { per_hour: f64::from(self.side * slope.per_block) * blocks_an_hour, full_ms })
    }

    fn judge(&mut self, end_ms: i64, options: &FullOptions) -> Option<Turn> {
        let left = self.left()?;
        self.habit.follow(left, end_ms);
        self.most_left = left.max(self.most_left * (1.0 - self.blocks.block_ms() as f32 / FORGETTING_MS));
        let says = self.says(left, options);
        let block_ms = self.blocks.block_ms();
        let onset = self.blocks.closed().first().map_or(0, |block| i64::from(block.number));
        let patience =
            Patience { for_ms: options.for_ms, calm_ms: (2 * block_ms).saturating_add(options.keep_firing_for_ms) };
        let stretch = Stretch { end_ms, length_ms: block_ms };
        self.hold.observe(stretch, says, onset * block_ms, patience)
    }

    fn says(&self, left: f32, options: &FullOptions) -> Says {
        if left <= 0.0 {
            return Says::Holds;
        }
        let blocks_ahead = options.within_ms / self.blocks.block_ms();
        let Some(slope) = slope(self.blocks.closed(), blocks_ahead) else { return Says::Nothing };
        let wait_ms = self.wait_ms(slope.per_block).unwrap_or(i64::MAX);
        let is_firing = self.hold.firing().is_some();
        if slope.is_clear && wait_ms <= options.within_ms && (is_firing || !self.habit.covers(left)) {
            Says::Holds
        } else if !is_firing {
            Says::Gone
        } else if left < USED_UP * self.most_left {
            Says::Nothing
        } else if slope.falling < CALM_FALLING || wait_ms as f64 > CALM_FACTOR * options.within_ms as f64 {
            Says::Gone
        } else {
            Says::Nothing
        }
    }

    /// What was left in the last closed block.
    fn left(&self) -> Option<f32> {
        self.blocks.closed().last().map(|block| block.median)
    }

    /// How long what is left lasts, in ms; `None` if it does not run out.
    fn wait_ms(&self, per_block: f32) -> Option<i64> {
        let left = self.left()?;
        (per_block < 0.0).then(|| {
            let blocks = f64::from(left.max(0.0)) / -f64::from(per_block);
            (blocks * self.blocks.block_ms() as f64) as i64
        })
    }
}

fn side_of(value: f64, at: Ceiling) -> f32 {
    match at {
        Ceiling::Value(limit) if limit != 0.0 && value <= limit => -1.0,
        Ceiling::Value(_) | Ceiling::Now => 1.0,
    }
}

fn limit_at(end_ms: i64, at: Ceiling) -> f64 {
    match at {
        Ceiling::Value(limit) => limit,
        Ceiling::Now => end_ms as f64 / 1_000.0,
    }
}

#[cfg(test)]
mod tests;
