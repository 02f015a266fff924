//! The slope of a few points that lies in the middle of the slopes between all of them (Theil 1950, Sen 1968), and
//! whether it is one: a third of the points may be anything without moving it, but noise has a middle slope too.

use super::blocks::{BLOCKS_MAX, Block};

/// Pairs of blocks.
const PAIRS_MAX: usize = BLOCKS_MAX * (BLOCKS_MAX - 1) / 2;
/// From so many blocks on some of them may disagree.
const BLOCKS_OF_MANY: usize = 8;
/// Fewest blocks that say anything: noise puts five in order once in 120 times.
const BLOCKS_OF_SOME: usize = 5;
/// Share of the pairs of many blocks that must agree. Without any trend that is so once in 300 times.
const AGREEING_MIN: f32 = 0.8;
/// The slope of the later half, as a share of the whole, at least: a step has a slope too, but it does not go on.
const LATER_MIN: f32 = 0.4;
/// What is read from few blocks reaches so many times their length ahead.
const REACH: i64 = 8;
/// Unless they are a straight line, whose slopes are no farther from each other than this share of the steepest.
const LINE_SPREAD: f32 = 0.1;

/// Where the value is going.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slope {
    /// Change per block, of what is left; below zero when it runs out.
    pub(super) per_block: f32,
    /// Share of the pairs of blocks between which less was left.
    pub(super) falling: f32,
    /// Whether it is no noise.
    pub(super) is_clear: bool,
}

/// The slope of what is left, and for how many blocks ahead it is to be used; `None` of a single block.
pub(super) fn slope(blocks: &[Block], blocks_ahead: i64) -> Option<Slope> {
    let mut all = slopes(blocks);
    let per_block = middle(&mut all)?;
    let falling = all.iter().filter(|&&slope| slope < 0.0).count() as f32 / all.len() as f32;
    let span = i64::from(blocks[blocks.len() - 1].number) - i64::from(blocks[0].number);
    // Sorted by now: the first falls fastest.
    let (fastest, slowest) = (all[0], all[all.len() - 1]);
    let is_line = slowest < 0.0 && fastest - slowest >= LINE_SPREAD * fastest;
    let is_clear = match blocks.len() {
        ..BLOCKS_OF_SOME => false,
        BLOCKS_OF_SOME..BLOCKS_OF_MANY => slowest < 0.0 && (is_line || span * REACH >= blocks_ahead),
        _ => is_line || falling >= AGREEING_MIN && goes_on(blocks, per_block),
    };
    Some(Slope { per_block, falling, is_clear })
}

/// Whether the later half of the blocks goes the same way.
fn goes_on(blocks: &[Block], per_block: f32) -> bool {
    let mut later = slopes(&blocks[blocks.len() / 2..]);
    middle(&mut later).is_some_and(|later| later <= LATER_MIN * per_block)
}

fn slopes(blocks: &[Block]) -> Vec<f32> {
    let mut slopes = Vec::with_capacity(PAIRS_MAX);
    for (index, from) in blocks.iter().enumerate() {
        for to in &blocks[index + 1..] {
            slopes.push((to.median - from.median) / (i64::from(to.number) - i64::from(from.number)) as f32);
        }
    }
    slopes
}

/// The middle of the slopes, sorting them.
fn middle(slopes: &mut [f32]) -> Option<f32> {
    (!slopes.is_empty()).then(|| super::blocks::median(slopes))
}
