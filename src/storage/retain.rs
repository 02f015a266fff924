//! Retention: what is older than its time goes, a block at a time.
//!
//! ```text
//! retention: 15d, and {job="debug"} 3d
//!
//! block 3 days old   ─► written anew without {job="debug"}
//! block 15 days old  ─► removed
//! blocks together above retention_bytes ─► the oldest removed
//! ```
//!
//! Always true:
//! 1. The time by which samples are judged runs with the samples' own and with ours, whichever is behind, and never much
//!    faster than a steady clock: a clock that jumps removes nothing before somebody can see it.
//! 2. One block a call.

use std::time::Duration;

use hashbrown::HashSet;

use super::block::{BlockName, Member};
use super::seal::Maintenance;
use super::{Storage, StorageError, StorageOptions};
use crate::model::{Labels, Matcher};

/// How much faster than a steady clock the time of retention may run: a jump of a year takes half a month to take effect.
const CATCH_UP_FACTOR: u32 = 24;
/// The largest difference that is ever caught up with at once, in ms.
const JUMP_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// How long the samples of some series are kept.
#[derive(Clone, Debug)]
pub struct RetentionRule {
    /// A series is meant if it satisfies all of them.
    pub matchers: Vec<Matcher>,
    /// Age in ms at which its samples go; 0 keeps them.
    pub keep_ms: i64,
}

impl StorageOptions {
    /// Every time for which something is kept, in ms; 0 is for ever.
    fn limits_ms(&self) -> impl Iterator<Item = i64> {
        self.retention_rules.iter().map(|rule| rule.keep_ms).chain([self.retention_ms])
    }

    /// The longest that anything is kept, in ms; 0 is for ever.
    pub(super) fn longest_kept_ms(&self) -> i64 {
        if self.limits_ms().any(|limit_ms| limit_ms == 0) { 0 } else { self.limits_ms().max().unwrap_or(0) }
    }

    /// How long a series is kept, in ms; 0 is for ever. The first rule that is for it says. `value`: of a label, empty
    /// where it has none.
    fn keep_ms<'v>(&self, value: impl Fn(&str) -> &'v str) -> i64 {
        let is_for = |rule: &&RetentionRule| rule.matchers.iter().all(|one| one.matches(value(one.name())));
        self.retention_rules.iter().find(is_for).map_or(self.retention_ms, |rule| rule.keep_ms)
    }

    /// By how much the time of retention may move at once, in ms: a tenth of the shortest time for which something is
    /// kept, and never more than [`JUMP_MS_MAX`].
    fn jump_ms_allowed(&self) -> i64 {
        let shortest_ms = self.limits_ms().filter(|limit_ms| *limit_ms > 0).min();
        shortest_ms.map_or(JUMP_MS_MAX, |shortest_ms| JUMP_MS_MAX.min(shortest_ms / 10))
    }
}

/// What retention remembers from one call to the next.
#[derive(Default)]
pub(super) struct RetentionState {
    /// The time by which samples are judged, in ms since 1970 UTC, and the steady clock when it was set.
    judged: Option<(i64, Duration)>,
    is_held_back: bool,
    /// Blocks that hold nothing for a limit that they have passed.
    looked_through: HashSet<(BlockName, i64)>,
}

impl RetentionState {
    /// As of the start of a database whose newest sample is of `newest_ms`: a clock that jumped while nobody looked has
    /// jumped all the same.
    pub(super) fn at_start(newest_ms: i64, now_ms: i64, now: Duration) -> RetentionState {
        let judged = (newest_ms != i64::MIN).then(|| (newest_ms.min(now_ms), now));
        RetentionState { judged, ..RetentionState::default() }
    }

    /// The time by which samples are judged now, when `wanted_ms` is what the clocks say.
    fn judge(&mut self, wanted_ms: i64, now: Duration, jump_ms_allowed: i64) -> i64 {
        let judged_ms = match self.judged {
            None => wanted_ms,
            Some((before_ms, then)) => {
                let passed = now.saturating_sub(then).saturating_mul(CATCH_UP_FACTOR);
                let passed_ms = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
                let is_jump = wanted_ms.saturating_sub(before_ms) > jump_ms_allowed;
                if is_jump { before_ms.saturating_add(passed_ms).min(wanted_ms) } else { wanted_ms.max(before_ms) }
            }
        };
        let is_held_back = wanted_ms.saturating_sub(judged_ms) > jump_ms_allowed;
        if is_held_back && !self.is_held_back {
            let ahead_h = wanted_ms.saturating_sub(judged_ms) / 3_600_000;
            tracing::error!(
                ahead_h,
                "the clock jumped ahead: retention follows slowly; set the clock right before it does"
            );
        }
        self.is_held_back = is_held_back;
        self.judged = Some((judged_ms, now));
        judged_ms
    }
}

impl Storage {
    /// Removes, or writes anew, one block that holds samples past their retention. Returns the number of blocks removed.
    pub(super) fn expire(&self, maintenance: &mut Maintenance) -> Result<usize, StorageError> {
        let blocks = self.blocks.load_full();
        // The older of the two clocks: neither a jump of ours nor a sender's alone removes anything.
        let newest_ms = self.head.newest_ms().max(blocks.floor_ms);
        if newest_ms == i64::MIN {
            return Ok(0); // nothing is held: the first sample must not look like a jump
        }
        let wanted_ms = self.clock.now_ms().min(newest_ms);
        let now_ms = maintenance.retention.judge(wanted_ms, self.clock.monotonic(), self.options.jump_ms_allowed());
        let gone = match blocks.members().iter().find(|member| self.is_expired(member, now_ms)) {
            Some(expired) => Some(expired.clone()),
            None => self.past_the_size(blocks.members()),
        };
        if let Some(gone) = gone {
            let gone = [gone.block];
            self.publish(maintenance, None, |before| before.without(&gone));
            self.remove_blocks(maintenance, &gone)?;
            return Ok(1);
        }
        self.expire_series(maintenance, now_ms)
    }

    fn is_expired(&self, member: &Member, now_ms: i64) -> bool {
        let longest_ms = self.options.longest_kept_ms();
        longest_ms > 0 && member.block.span().to_ms < now_ms.saturating_sub(longest_ms)
    }

    /// The oldest block, if all together take more than they may. The newest stays whatever it takes.
    fn past_the_size(&self, members: &[Member]) -> Option<Member> {
        let limit = self.options.retention_bytes;
        let bytes: u64 = members.iter().map(|member| member.block.bytes()).sum();
        let oldest = members.iter().min_by_key(|member| member.block.span().to_ms)?;
        (limit > 0 && bytes > limit && members.len() > 1).then(|| oldest.clone())
    }

    /// Writes one block anew without the series whose own time is over in all of it.
    fn expire_series(&self, maintenance: &mut Maintenance, now_ms: i64) -> Result<usize, StorageError> {
        if self.options.retention_rules.is_empty() {
            return Ok(0);
        }
        let blocks = self.blocks.load_full();
        let limits: Vec<i64> = self.options.limits_ms().filter(|limit_ms| *limit_ms > 0).collect();
        for member in blocks.members() {
            let name = member.block.name();
            if maintenance.unreadable.contains(member.block.path()) {
                continue;
            }
            for limit_ms in &limits {
                let is_past = member.block.span().to_ms < now_ms.saturating_sub(*limit_ms);
                if !is_past || maintenance.retention.looked_through.contains(&(name, *limit_ms)) {
                    continue;
                }
                if self.holds_kept_for(member, *limit_ms)? {
                    let keep = |labels: &Labels| {
                        let keep_ms = self.options.keep_ms(|name| labels.get(name).unwrap_or(""));
                        keep_ms == 0 || member.block.span().to_ms >= now_ms.saturating_sub(keep_ms)
                    };
                    return self.merge(maintenance, std::slice::from_ref(member), &keep);
                }
                maintenance.retention.looked_through.insert((name, *limit_ms));
            }
        }
        let names: HashSet<BlockName> = blocks.members().iter().map(|member| member.block.name()).collect();
        maintenance.retention.looked_through.retain(|(name, _)| names.contains(name));
        Ok(0)
    }

    /// Whether the block has a series that is kept for `limit_ms`.
    fn holds_kept_for(&self, member: &Member, limit_ms: i64) -> Result<bool, StorageError> {
        let mut holds = false;
        let visited = member.block.visit(&mut |_, pairs| {
            let value = |name: &str| pairs.iter().find(|pair| pair.0 == name).map_or("", |pair| pair.1);
            holds |= self.options.keep_ms(value) == limit_ms;
        });
        let unreadable = |what: super::view::ViewError| StorageError::Unreadable {
            block: member.block.path().to_owned(),
            what: what.to_string(),
        };
        visited.map_err(unreadable)?;
        Ok(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = JUMP_MS_MAX;

    #[test]
    fn time_that_passes_is_followed_at_once() {
        let mut state = RetentionState::default();
        assert_eq!(state.judge(100 * DAY_MS, Duration::ZERO, DAY_MS), 100 * DAY_MS);
        assert_eq!(state.judge(100 * DAY_MS + 5000, Duration::from_secs(5), DAY_MS), 100 * DAY_MS + 5000);
        assert_eq!(state.judge(101 * DAY_MS, Duration::from_secs(6), DAY_MS), 101 * DAY_MS, "a gap of a night");
        assert_eq!(state.judge(99 * DAY_MS, Duration::from_secs(7), DAY_MS), 101 * DAY_MS, "it never goes back");
    }

    #[test]
    fn the_shorter_the_retention_the_smaller_a_jump_that_is_followed_at_once() {
        let mut state = RetentionState::default();
        state.judge(0, Duration::ZERO, DAY_MS / 10);
        let a_second = Duration::from_secs(1);
        assert_eq!(state.judge(DAY_MS / 5, a_second, DAY_MS / 10), 24_000, "a fifth of a retention of a day");
    }

    #[test]
    fn a_clock_that_jumps_a_year_is_followed_slowly() {
        let mut state = RetentionState::default();
        state.judge(0, Duration::ZERO, DAY_MS);
        let an_hour = Duration::from_secs(3600);
        assert_eq!(state.judge(365 * DAY_MS, an_hour, DAY_MS), DAY_MS, "an hour of ours is a day of its");
        assert!(state.is_held_back);
        assert_eq!(state.judge(DAY_MS + 5000, an_hour * 2, DAY_MS), DAY_MS + 5000, "set right again");
        assert!(!state.is_held_back);
    }
}
