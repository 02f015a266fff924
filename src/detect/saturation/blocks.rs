//! The last hours of a value as a few medians of blocks of equal length.
//!
//! Blocks begin with five minutes and double, pairs becoming one, until they are as long as the question asks for. So a
//! certificate is judged after a quarter of an hour, and two weeks ahead is later read from half a day.
//!
//! Within a block at most [`KEPT_MAX`] values are kept, evenly spaced: when they are full every second goes, and of what
//! follows every second one is taken.

use serde::{Deserialize, Serialize};

/// Blocks that are looked at.
pub(super) const BLOCKS_MAX: usize = 12;
/// Values kept of the block that goes on.
const KEPT_MAX: usize = 12;
/// The shortest block, and the longest, in ms.
const BLOCK_MS_MIN: i64 = 300_000;
const BLOCK_MS_MAX: i64 = 3_600_000;
/// So many of the longest blocks make the time that is asked for.
const BLOCKS_WITHIN: i64 = 48;
/// Values beyond are as good as infinite: what is kept must stay finite as f32.
const VALUE_MAX: f64 = 1e30;

/// The median of a block, and which block since 1970 it is. Beyond 20,000 years they are all the same one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Block {
    pub(super) number: i32,
    pub(super) median: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Blocks {
    block_ms: i64,
    closed: Vec<Block>,
    /// The block that goes on.
    number: i32,
    kept: Vec<f32>,
    /// Of the block's values, one in so many is kept; how many came since the last that was.
    stride: u32,
    passed: u32,
}

impl Blocks {
    pub(super) fn new() -> Blocks {
        Blocks { block_ms: BLOCK_MS_MIN, closed: Vec::new(), number: i32::MIN, kept: Vec::new(), stride: 1, passed: 0 }
    }

    /// Length of a block, in ms.
    pub(super) fn block_ms(&self) -> i64 {
        self.block_ms
    }

    /// The closed blocks that hold values, oldest first, at most [`BLOCKS_MAX`].
    pub(super) fn closed(&self) -> &[Block] {
        &self.closed
    }

    /// Takes in a value at an instant in ms since 1970 UTC, not before the last one. Says whether it closed a block.
    pub(super) fn add(&mut self, at_ms: i64, value: f64, within_ms: i64) -> bool {
        let number = self.number_at(at_ms);
        let closes = number > self.number && !self.kept.is_empty();
        if closes {
            self.close(within_ms);
            if self.may_double(number, within_ms) {
                self.double();
            }
        }
        self.number = self.number_at(at_ms).max(self.number);
        self.keep(value.clamp(-VALUE_MAX, VALUE_MAX) as f32);
        closes
    }

    fn number_at(&self, at_ms: i64) -> i32 {
        at_ms.div_euclid(self.block_ms).clamp(i32::MIN.into(), i32::MAX.into()) as i32
    }

    fn keep(&mut self, value: f32) {
        self.passed += 1;
        if self.passed < self.stride && !self.kept.is_empty() {
            return;
        }
        self.passed = 0;
        if self.kept.len() == KEPT_MAX {
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride = self.stride.saturating_mul(2);
        }
        self.kept.push(value);
    }

    fn close(&mut self, within_ms: i64) {
        let median = median(&mut self.kept);
        self.kept.clear();
        (self.stride, self.passed) = (1, 0);
        let oldest = i64::from(self.number) - (within_ms / self.block_ms).max(BLOCKS_MAX as i64);
        self.closed.retain(|block| i64::from(block.number) > oldest);
        if self.closed.len() == BLOCKS_MAX {
            self.closed.remove(0);
        }
        self.closed.push(Block { number: self.number, median });
    }

    /// Whether there are enough blocks, and none of the longer ones still goes on.
    fn may_double(&self, next: i32, within_ms: i64) -> bool {
        let wanted_ms = (within_ms / BLOCKS_WITHIN).clamp(BLOCK_MS_MIN, BLOCK_MS_MAX);
        let is_complete = next.div_euclid(2) > self.number.div_euclid(2);
        self.closed.len() == BLOCKS_MAX && 2 * self.block_ms <= wanted_ms && is_complete
    }

    /// Makes one block of two.
    fn double(&mut self) {
        self.block_ms *= 2;
        self.number = self.number.div_euclid(2);
        let mut doubled: Vec<Block> = Vec::with_capacity(BLOCKS_MAX);
        for block in &self.closed {
            let number = block.number.div_euclid(2);
            match doubled.last_mut() {
                Some(last) if last.number == number => last.median = f32::midpoint(last.median, block.median),
                _ => doubled.push(Block { number, median: block.median }),
            }
        }
        self.closed = doubled;
    }
}

/// The middle value, or the mean of the two in the middle.
pub(super) fn median(values: &mut [f32]) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        1 => values[half],
        _ => f32::midpoint(values[half - 1], values[half]),
    }
}
