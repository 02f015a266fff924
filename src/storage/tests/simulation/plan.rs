//! From a seed to a history.
//!
//! Each history has a temper of its own: most have a sound disk most of the time, some are killed over and over, some
//! never. Writes lie around the present, often on minutes that were written before.

use super::dice::Dice;
use super::script::{Operation, Script, Selector, Sent, Setup};

/// Series of a history.
pub(super) const SERIES: u32 = 6;
/// Operations of a history, before each is spelled out.
const TURNS_MAX: u64 = 45;
const SEED_BOUND: u64 = 1000;

struct Planner {
    dice: Dice,
    setup: Setup,
    /// Minutes since the start.
    now_min: i64,
    operations: Vec<Operation>,
    disk_is_ill: bool,
    /// How often each trouble is chosen, of a hundred.
    flips: u64,
    failures: u64,
    deaths: u64,
}

/// The history of a seed.
pub(super) fn plan(seed: u64) -> Script {
    let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let setup = Setup {
        shard_count: 1 + dice.below(3) as usize,
        synced: !dice.once_in(6),
        window_min: [60, 60, 10, 300][dice.below(4) as usize],
        retention_min: [0, 0, 0, 600][dice.below(4) as usize],
        rule_min: dice.once_in(5).then_some(240),
        head_bytes_max: [usize::MAX, usize::MAX, usize::MAX, 600][dice.below(4) as usize],
        segment_bytes: [300, 1_500, 8_000][dice.below(3) as usize],
    };
    let (flips, failures, deaths) =
        ([0, 0, 0, 3][dice.below(4) as usize], [0, 3, 8][dice.below(3) as usize], [0, 3, 10][dice.below(3) as usize]);
    let mut planner =
        Planner { dice, setup, now_min: 0, operations: Vec::new(), disk_is_ill: false, flips, failures, deaths };
    planner.advance(200);
    for _ in 0..5 + planner.dice.below(TURNS_MAX) {
        planner.turn();
    }
    if planner.disk_is_ill {
        planner.operations.push(Operation::Heal);
    }
    Script { setup: planner.setup, operations: planner.operations }
}

impl Planner {
    fn turn(&mut self) {
        let trouble = self.dice.below(100);
        let (flips, failures) = (self.flips, self.flips + self.failures);
        if trouble < flips {
            let seed = self.dice.below(SEED_BOUND);
            self.operations.push(Operation::Flip(seed));
        } else if trouble < failures {
            self.make_ill();
        } else if trouble < failures + self.deaths {
            self.die();
        } else {
            self.live();
        }
        if self.disk_is_ill && self.dice.once_in(4) {
            self.disk_is_ill = false;
            self.operations.push(Operation::Heal);
        }
    }

    fn make_ill(&mut self) {
        self.disk_is_ill = true;
        let ill = if self.dice.once_in(4) {
            Operation::Free(self.dice.below(6_000))
        } else {
            Operation::FailAfter(self.dice.below(40))
        };
        self.operations.push(ill);
        if self.dice.once_in(2) {
            self.maintain();
        }
    }

    fn maintain(&mut self) {
        let dice = if self.dice.once_in(2) { 0 } else { self.dice.below(SEED_BOUND) };
        let chosen = match self.dice.below(6) {
            0 => Operation::Clean(dice),
            1 => Operation::Compact(dice),
            _ => Operation::Maintain(dice),
        };
        self.operations.push(chosen);
    }

    fn die(&mut self) {
        let shards = if self.dice.once_in(4) { 1 + self.dice.below(3) as usize } else { self.setup.shard_count };
        let seed = self.dice.below(SEED_BOUND);
        let death = match self.dice.below(4) {
            0 => Operation::Restart(shards),
            1 => Operation::Kill(shards),
            _ if self.setup.synced => Operation::PowerCut(seed),
            _ => Operation::Kill(shards),
        };
        self.disk_is_ill &= !matches!(death, Operation::PowerCut(_));
        self.operations.push(death);
    }

    fn live(&mut self) {
        match self.dice.below(20) {
            0..8 => self.write(),
            8..11 => self.step(),
            11..13 => {
                let minutes = [5, 30, 120, 240][self.dice.below(4) as usize];
                self.advance(minutes);
            }
            13..18 => self.maintain(),
            18 => self.delete(),
            _ => {
                let chosen = [Operation::View(false), Operation::View(true), Operation::Look];
                self.operations.push(chosen[self.dice.below(3) as usize].clone());
            }
        }
    }

    /// One request or several at once, and then, most of the time, their answers.
    fn write(&mut self) {
        for _ in 0..1 + self.dice.below(3) {
            let count = 1 + self.dice.below(6);
            let rows = (0..count).map(|_| self.sample()).collect();
            self.operations.push(Operation::Write(rows));
            if self.dice.once_in(2) {
                self.step();
            }
        }
        if !self.dice.once_in(4) {
            self.operations.push(Operation::Settle);
        }
    }

    fn sample(&mut self) -> Sent {
        let now = self.now_min;
        let minute = match self.dice.below(8) {
            0..3 => now - self.dice.between(0, 3),
            3 | 4 => now - self.dice.between(0, 60),
            5 => now - self.dice.between(0, 400),
            6 => (now / 120 * 120) + self.dice.between(-2, 2),
            _ => now + self.dice.between(0, 12),
        };
        let value = [0.0, 1.0, 0.1, -0.0, 1e300, 7.25][self.dice.below(6) as usize];
        // Now and then nobody else sends that value, so that it cannot be taken for another.
        let value = if self.dice.once_in(3) { self.operations.len() as f64 } else { value };
        Sent { series: self.dice.below(u64::from(SERIES)) as u32, minute, value }
    }

    fn step(&mut self) {
        let step = match self.dice.below(3) {
            0 => Operation::Log,
            _ => Operation::Shard(self.dice.below(3) as usize),
        };
        self.operations.push(step);
    }

    fn advance(&mut self, minutes: i64) {
        self.now_min += minutes;
        self.operations.push(Operation::Advance(minutes));
    }

    fn delete(&mut self) {
        let selector = if self.dice.once_in(3) {
            Selector::Job(self.dice.below(2) as u32)
        } else {
            Selector::Series(self.dice.below(u64::from(SERIES)) as u32)
        };
        let from = self.dice.between(self.now_min - 400, self.now_min);
        let to = from + self.dice.between(0, 400);
        self.operations.push(Operation::Delete(selector, from, to));
    }
}
