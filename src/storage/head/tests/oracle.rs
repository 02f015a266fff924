//! The head against a map: whatever comes in whatever order, with cuts in their phases, deletions and restarts.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const NODES: u32 = 3;
const WINDOW_MS: i64 = 90 * MINUTE_MS;
const RETENTION_MS: i64 = 20 * HOUR_MS;

/// What a sender, an operator or the clock does next. Times are minutes from T0.
#[derive(Clone, Debug)]
enum Step {
    /// One row, so many minutes from the newest of its series.
    Send {
        node: u32,
        minutes: i64,
        value: f64,
    },
    /// One row of any time.
    Stray {
        node: u32,
        minute: i64,
        value: f64,
    },
    /// The last row of a series again, with the same or another value.
    Again {
        node: u32,
        changed: bool,
    },
    /// A scrape of a series: so many samples, one a minute, behind its newest.
    Run {
        node: u32,
        count: i64,
    },
    Delete {
        nodes: Vec<u32>,
        from_minute: i64,
        minutes: i64,
    },
    /// The next phase of a cut: begin, write, truncate; when one begins, up to so many minutes before the newest.
    Cut {
        minutes_kept: i64,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..NODES;
    let value = prop_oneof![Just(1.0), Just(2.5), Just(-0.0), any::<f64>()];
    prop_oneof![
        6 => (node.clone(), -100..20_i64, value.clone()).prop_map(|(node, minutes, value)| Step::Send { node, minutes, value }),
        3 => (node.clone(), -1300..30_i64, value).prop_map(|(node, minute, value)| Step::Stray { node, minute, value }),
        2 => (node.clone(), any::<bool>()).prop_map(|(node, changed)| Step::Again { node, changed }),
        2 => (node.clone(), 1..200_i64).prop_map(|(node, count)| Step::Run { node, count }),
        1 => (prop::collection::vec(node, 1..3), -300..0_i64, 1..200_i64)
            .prop_map(|(nodes, from_minute, minutes)| Step::Delete { nodes, from_minute, minutes }),
        4 => (-5..120_i64).prop_map(|minutes_kept| Step::Cut { minutes_kept }),
        1 => Just(Step::Restart),
    ]
}

/// Where the head has a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Held {
    InOrder,
    Belated(u32),
}

/// The obvious version.
#[derive(Default)]
struct Oracle {
    /// All that is stored, be it in head or blocks.
    stored: BTreeMap<(u32, i64), u64>,
    /// What of it the head has.
    held: BTreeMap<(u32, i64), Held>,
    /// What of it was written into blocks.
    sealed: BTreeSet<(u32, i64)>,
    floor_ms: i64,
    epoch: u32,
    last: BTreeMap<u32, (i64, f64)>,
}

impl Oracle {
    fn newest_ms(&self, node: u32) -> Option<i64> {
        self.held.range((node, i64::MIN)..=(node, i64::MAX)).next_back().map(|((_, ms), _)| *ms)
    }

    /// Takes a row. Returns which answers are right.
    fn send(&mut self, now_ms: i64, node: u32, ms: i64, value: f64) -> Vec<Result<u64, Refusal>> {
        if ms > now_ms + 10 * MINUTE_MS {
            return vec![Err(Refusal::TooFarAhead)];
        }
        if ms < now_ms - RETENTION_MS {
            return vec![Err(Refusal::TooOld)];
        }
        let stored = self.stored.get(&(node, ms)).copied();
        if self.newest_ms(node).is_some_and(|newest_ms| ms < newest_ms - WINDOW_MS) {
            // A repeat may be recognised as one.
            let repeat = stored == Some(value.to_bits());
            return if repeat { vec![Err(Refusal::TooOld), Ok(1)] } else { vec![Err(Refusal::TooOld)] };
        }
        match stored {
            Some(bits) if bits == value.to_bits() => vec![Ok(1)],
            Some(_) => vec![Err(Refusal::Conflict)],
            None => {
                let held = if ms < self.floor_ms { Held::Belated(self.epoch) } else { Held::InOrder };
                self.held.insert((node, ms), held);
                self.stored.insert((node, ms), value.to_bits());
                self.last.insert(node, (ms, value));
                vec![Ok(1)]
            }
        }
    }

    fn is_due(held: Held, ms: i64, cut: Cut) -> bool {
        match held {
            Held::InOrder => ms < cut.floor_ms,
            Held::Belated(epoch) => epoch <= cut.epoch,
        }
    }

    fn restart(&mut self, sealed_ms: i64) {
        self.floor_ms = sealed_ms;
        self.epoch = 1;
        let place = |ms: i64| if ms < sealed_ms { Held::Belated(1) } else { Held::InOrder };
        let unsealed = self.stored.keys().filter(|key| !self.sealed.contains(key));
        self.held = unsealed.map(|key| (*key, place(key.1))).collect();
    }
}

/// Both of them, and the cut that is under way with how far it is.
struct Pair {
    rig: Rig,
    oracle: Oracle,
    cut: Option<(Cut, bool)>,
}

impl Pair {
    fn new() -> Pair {
        let limits = HeadLimits { series_max: 10, retention_ms: RETENTION_MS, out_of_order_window_ms: WINDOW_MS };
        let oracle = Oracle { floor_ms: i64::MIN, epoch: 1, ..Oracle::default() };
        Pair { rig: Rig::new(limits), oracle, cut: None }
    }

    fn send(&mut self, node: u32, ms: i64, value: f64) -> Result<(), TestCaseError> {
        let answer = self.rig.send_one(node, ms, value);
        let right = self.oracle.send(self.rig.now_ms, node, ms, value);
        prop_assert!(
            right.contains(&answer),
            "node {} at minute {}: {:?}, not {:?}",
            node,
            (ms - T0) / MINUTE_MS,
            answer,
            right
        );
        Ok(())
    }

    fn apply(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now_ms = self.rig.now_ms;
        match step {
            Step::Send { node, minutes, value } => {
                let newest_ms = self.oracle.newest_ms(*node).unwrap_or(now_ms);
                self.send(*node, newest_ms + minutes * MINUTE_MS, *value)?;
            }
            Step::Stray { node, minute, value } => self.send(*node, now_ms + minute * MINUTE_MS, *value)?,
            Step::Again { node, changed } => {
                if let Some((ms, value)) = self.oracle.last.get(node).copied() {
                    self.send(*node, ms, if *changed { value + 1.0 } else { value })?;
                }
            }
            Step::Run { node, count } => {
                let newest_ms = self.oracle.newest_ms(*node).unwrap_or(now_ms - count * MINUTE_MS);
                for index in 1..=*count {
                    self.send(*node, newest_ms + index * MINUTE_MS, index as f64)?;
                }
                self.rig.now_ms = now_ms.max(newest_ms + count * MINUTE_MS);
            }
            Step::Delete { nodes, from_minute, minutes } => self.delete(nodes, *from_minute, *minutes)?,
            Step::Cut { minutes_kept } => self.go_on_with_cut(*minutes_kept),
            Step::Restart => {
                let limits = self.rig.limits;
                let rig = std::mem::replace(&mut self.rig, Rig::new(limits));
                self.rig = rig.restart();
                self.oracle.restart(self.rig.sealed_ms);
                self.cut = None;
            }
        }
        self.rig.check_counts();
        Ok(())
    }

    fn delete(&mut self, nodes: &[u32], from_minute: i64, minutes: i64) -> Result<(), TestCaseError> {
        // Maintenance and deletions take turns. And of a series that the head has freed the log's record cannot speak.
        let shard = self.rig.head.shard(0);
        let is_freed = |node: &u32| shard.read().find(&labels(*node)).is_none();
        if self.cut.is_some() || nodes.iter().any(is_freed) {
            return Ok(());
        }
        let from_ms = self.rig.now_ms + from_minute * MINUTE_MS;
        let range = TimeRange { from_ms, to_ms: from_ms + minutes * MINUTE_MS };
        let gone = |key: &(u32, i64)| nodes.contains(&key.0) && range.contains(key.1);
        let held = self.oracle.held.keys().filter(|key| gone(key)).count() as u64;
        let deleted = self.rig.delete(nodes, range);
        prop_assert!(deleted >= held, "{} of {}", deleted, held);
        self.oracle.stored.retain(|key, _| !gone(key));
        self.oracle.held.retain(|key, _| !gone(key));
        self.oracle.sealed.retain(|key| !gone(key));
        Ok(())
    }

    fn go_on_with_cut(&mut self, minutes_kept: i64) {
        match self.cut {
            None => {
                let floor_ms = (self.rig.now_ms - minutes_kept * MINUTE_MS).max(self.rig.sealed_ms);
                let cut = self.rig.begin_cut(floor_ms);
                assert_eq!(cut.epoch, self.oracle.epoch);
                self.oracle.floor_ms = floor_ms;
                self.oracle.epoch += 1;
                self.cut = Some((cut, false));
            }
            Some((cut, false)) => {
                self.rig.write_blocks(cut);
                let due = self.oracle.held.iter().filter(|((_, ms), held)| Oracle::is_due(**held, *ms, cut));
                self.oracle.sealed.extend(due.map(|(key, _)| *key));
                self.cut = Some((cut, true));
            }
            Some((cut, true)) => {
                self.rig.truncate(cut);
                self.oracle.held.retain(|(_, ms), held| !Oracle::is_due(*held, *ms, cut));
                self.cut = None;
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for node in 0..NODES {
            let all = self.oracle.stored.range((node, i64::MIN)..=(node, i64::MAX));
            let expected: Vec<(i64, u64)> = all.map(|((_, ms), bits)| (*ms, *bits)).collect();
            prop_assert_eq!(self.rig.read(node), expected, "node {}", node);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Each answer is the right one, and what is read is what was stored, through cuts, deletions and restarts.
    #[test]
    fn the_head_agrees_with_a_map(steps in prop::collection::vec(step(), 1..60)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.apply(step)?;
        }
        pair.check()?;
        pair.rig = std::mem::replace(&mut pair.rig, Rig::new(limits())).restart();
        pair.check()?;
    }

    /// Of rows that come in one request the first of a moment wins, and each is counted, in whatever order they are
    /// and wherever the floor lies.
    #[test]
    fn a_request_of_any_rows_agrees_with_a_map(
        requests in prop::collection::vec(
            prop::collection::vec((0..NODES, -240..10_i64, 0..3_u8), 1..80), 1..6),
        minutes_kept in 0..240_i64,
    ) {
        let mut rig = Rig::new(HeadLimits { out_of_order_window_ms: i64::MAX, ..limits() });
        let mut stored: BTreeMap<(u32, i64), u64> = BTreeMap::new();
        for rows in requests {
            let rows: Vec<(u32, i64, f64)> = rows.into_iter()
                .map(|(node, minute, value)| (node, T0 + minute * MINUTE_MS, f64::from(value))).collect();
            let (mut same, mut conflicts) = (0, 0);
            for (node, ms, value) in &rows {
                let bits = *stored.entry((*node, *ms)).or_insert(value.to_bits());
                if bits == value.to_bits() { same += 1 } else { conflicts += 1 }
            }
            let (entry, summary) = rig.send(&rows);
            prop_assert_eq!((summary.stored_count, summary.refused_count()), (same, conflicts));
            prop_assert_eq!(entry.holds_belated, rig.head.shard(0).read().belated_count() > 0);
            rig.check_counts();
            rig.cut(T0 - minutes_kept * MINUTE_MS);
        }
        for node in 0..NODES {
            let all = stored.range((node, i64::MIN)..=(node, i64::MAX));
            let expected: Vec<(i64, u64)> = all.map(|((_, ms), bits)| (*ms, *bits)).collect();
            prop_assert_eq!(rig.read(node), expected);
        }
    }
}
