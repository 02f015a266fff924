//! How near to its limit a value comes and turns back by itself.
//!
//! A log disk fills from 70 to 90 % in four hours, is rotated, and fills again. At 80 % its slope says that it is full in
//! four hours, which it never is. After two such turns only what goes beyond 90 % is news.

use serde::{Deserialize, Serialize};

/// Turns that are remembered.
const TURNS_MAX: usize = 4;
/// Turns that make a habit.
const TURNS_MIN: usize = 2;
/// For how long, in hours: two weeks.
const REMEMBERED_HOURS: i32 = 336;
const HOUR_MS: i64 = 3_600_000;
/// Share of the way that must be given back for a turn.
const GIVEN_BACK: f32 = 0.5;
/// Turns that left less of the way than this were a narrow escape, and no habit.
const LEFT_MIN: f32 = 0.1;
/// News is what comes nearer than this share of the habit.
const NEWS: f32 = 0.9;

/// A turn: what was left to the limit, and when it was, in hours since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Turned {
    left: f32,
    hour: i32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Habit {
    /// What was left when the way began, and the least since.
    way: Option<(f32, f32)>,
    turns: Vec<Turned>,
}

impl Habit {
    /// Follows what is left to the limit, block by block.
    pub(super) fn follow(&mut self, left: f32, at_ms: i64) {
        let hour = at_ms.div_euclid(HOUR_MS).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        self.turns.retain(|turn| hour.saturating_sub(turn.hour) < REMEMBERED_HOURS);
        let (start, least) = self.way.unwrap_or((left, left));
        let given_back = left - least;
        if start > least && given_back >= GIVEN_BACK * (start - least) {
            if least >= LEFT_MIN * start {
                self.remember(Turned { left: least, hour });
            }
            self.way = Some((left, left));
        } else if start == least {
            self.way = Some((start.max(left), left));
        } else {
            self.way = Some((start, least.min(left)));
        }
    }

    /// Whether a value with so much left is where it has often been.
    pub(super) fn covers(&self, left: f32) -> bool {
        let mut lefts: Vec<f32> = self.turns.iter().map(|turn| turn.left).collect();
        lefts.sort_unstable_by(f32::total_cmp);
        lefts.get(TURNS_MIN - 1).is_some_and(|&usual| left >= NEWS * usual)
    }

    /// Keeps the turns that came nearest.
    fn remember(&mut self, turn: Turned) {
        if self.turns.len() < TURNS_MAX {
            self.turns.push(turn);
            return;
        }
        let farthest = self.turns.iter_mut().max_by(|a, b| a.left.total_cmp(&b.left));
        if let Some(farthest) = farthest.filter(|farthest| farthest.left >= turn.left) {
            *farthest = turn;
        }
    }
}
