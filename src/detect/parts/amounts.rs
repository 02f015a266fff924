//! What an expression comes to of amounts before and now, with one part as it was and all others as they are.
//!
//! ```text
//! sum(rate(failed[1m])) / sum(rate(paid[1m]))      before       now        as it was, at its volume now
//! {provider="north"}                               1 of 100     30 of 50       0.5 of 50
//! {provider="south"}                               1 of 100      1 of 100        1 of 100
//! all                                              2 of 200     31 of 150     north: 1.5 of 150, so 0.207 would be 0.01
//! ```
//!
//! Always true: of an expression that adds up, and of a quantile, the shares of all parts of a cut are one together, as far as
//! they keep their volumes.

use super::split::Cut;
use super::{Member, Part, is_deviation, outlook};
use crate::detect::formula::{Arithmetic, Formula, Weights};
use crate::detect::signal::{Fold, Signal};
use crate::query::bucket_quantile;

/// Of each cut, the parts of which it is computed how much they did: those whose amounts changed most.
const CANDIDATES_COUNT_MAX: usize = 50;

/// Everything about the group as a whole.
#[derive(Debug)]
pub(super) struct Whole<'a> {
    signal: &'a Signal,
    members: &'a [Member],
    /// What the amounts before are multiplied with to be what was expected now.
    outlook: f64,
    /// The value now, and the one that was expected.
    now: f64,
    expected: f64,
    /// What a part's volume is measured by; empty where an expression adds up.
    volume: Weights,
    /// Of a quantile, what is counted in its place.
    tail: Option<Tail>,
}

/// A quantile moves when more or fewer observations lie above what it was, and those can be added up: once all nodes are
/// slow, the quantile of all would be as high without any single one of them.
#[derive(Clone, Copy, Debug)]
struct Tail {
    operand: usize,
    /// What the quantile was.
    above: f64,
    /// How many more observations lie above than did, at the volume of now.
    deviation: f64,
}

/// What the series of one lane come to.
#[derive(Clone, Copy, Debug)]
struct Lane {
    operand: usize,
    bound: f64,
    sum: f64,
    count: f64,
    min: f64,
    max: f64,
}

impl<'a> Whole<'a> {
    /// None where nothing deviates.
    pub(super) fn of(signal: &'a Signal, members: &'a [Member], expected: Option<f64>) -> Option<Whole<'a>> {
        let now = value(signal, members.iter().map(|member| (member, member.now)))?;
        let before = value(signal, members.iter().map(|member| (member, member.before)))?;
        let adds_up = adds_up(&signal.formula, signal);
        // A group that is younger than the hour before has a part of it only; its shares are the same.
        let outlook = if adds_up { outlook(expected, before) } else { 1.0 };
        let expected = value(signal, members.iter().map(|member| (member, member.before.map(|one| one * outlook))))?;
        let volume = if adds_up { Weights::new() } else { volume(signal) };
        let mut whole = Whole { signal, members, outlook, now, expected, volume, tail: None };
        whole.tail = whole.tail()?;
        is_deviation(whole.deviation(), expected).then_some(whole)
    }

    pub(super) fn deviation(&self) -> f64 {
        self.now - self.expected
    }

    /// The parts of a cut, with their shares.
    pub(super) fn parts(&self, cut: &Cut) -> Vec<Part> {
        let candidates = self.candidates(cut);
        candidates.into_iter().filter_map(|part| self.part(cut, part)).collect()
    }

    fn part(&self, cut: &Cut, part: usize) -> Option<Part> {
        let own = || self.members.iter().zip(&cut.part_of).filter(|(_, of)| **of == part).map(|(member, _)| member);
        let share = match self.tail {
            Some(tail) => self.grown_tail(tail, own) / tail.deviation,
            None if self.is_extreme() => self.share_alone(cut, part)?,
            None => self.share(cut, part, self.factor(own))?,
        };
        let factor = self.factor(own);
        Some(Part {
            labels: cut.names[part].clone(),
            value: value(self.signal, own().map(|member| (member, member.now))),
            expected: value(self.signal, own().map(|member| (member, member.before.map(|amount| amount * factor)))),
            share,
        })
    }

    /// How much of the deviation would be gone if the part were as it was, its amounts multiplied with a factor.
    fn share(&self, cut: &Cut, part: usize, factor: f64) -> Option<f64> {
        let amount = |(member, of): (&'a Member, &usize)| {
            let as_it_was = member.before.map(|amount| amount * factor);
            (member, if *of == part { as_it_was } else { member.now })
        };
        let otherwise = value(self.signal, self.members.iter().zip(&cut.part_of).map(amount))?;
        Some((self.now - otherwise) / self.deviation())
    }

    /// How much of the deviation there would be if only the part had changed. With two series at their height, the largest of all
    /// would be as large without either.
    fn share_alone(&self, cut: &Cut, part: usize) -> Option<f64> {
        let amount =
            |(member, of): (&'a Member, &usize)| (member, if *of == part { member.now } else { member.before });
        let alone = value(self.signal, self.members.iter().zip(&cut.part_of).map(amount))?;
        Some((alone - self.expected) / self.deviation())
    }

    /// Whether it is the least or the largest of some series that counts.
    fn is_extreme(&self) -> bool {
        self.signal.operands.iter().any(|operand| matches!(operand.fold, Fold::Min | Fold::Max))
    }

    /// What some amounts before are multiplied with: to what was expected of the whole, or to their volume now.
    fn factor<'m, M: Iterator<Item = &'m Member>>(&self, own: impl Fn() -> M) -> f64 {
        if self.volume.is_empty() { self.outlook } else { self.growth(own) }
    }

    /// The tail of a quantile; none at all where it moved the other way than the quantile did.
    fn tail(&self) -> Option<Option<Tail>> {
        let Some((share, operand)) = quantile(&self.signal.formula) else { return Some(None) };
        let before = lanes(self.signal, self.members.iter().map(|member| (member, member.before)));
        let mut buckets =
            before.iter().filter(|lane| lane.operand == operand).map(|lane| (lane.bound, lane.sum)).collect();
        let above = bucket_quantile(share, &mut buckets);
        let tail = Tail { operand, above, deviation: 1.0 };
        let deviation = self.grown_tail(tail, || self.members.iter());
        (deviation * self.deviation() > 0.0).then_some(Some(Tail { deviation, ..tail }))
    }

    /// How many more observations of some series lie in the tail than did, at their volume of now.
    fn grown_tail<'m, M: Iterator<Item = &'m Member>>(&self, tail: Tail, own: impl Fn() -> M) -> f64 {
        let now = tail.count(&lanes(self.signal, own().map(|member| (member, member.now))));
        let before = tail.count(&lanes(self.signal, own().map(|member| (member, member.before))));
        now - before * self.growth(own)
    }

    /// How many times its former volume a part has now; 0 where it had none.
    fn growth<'m, M: Iterator<Item = &'m Member>>(&self, own: impl Fn() -> M) -> f64 {
        let before = volume_of(&self.volume, &lanes(self.signal, own().map(|member| (member, member.before))));
        let now = volume_of(&self.volume, &lanes(self.signal, own().map(|member| (member, member.now))));
        if before > 0.0 { now / before } else { 0.0 }
    }

    /// The parts whose amounts changed most.
    fn candidates(&self, cut: &Cut) -> Vec<usize> {
        let mut moved = vec![0.0; cut.names.len()];
        for (member, part) in self.members.iter().zip(&cut.part_of) {
            let before = member.before.unwrap_or(0.0) * self.outlook;
            moved[*part] += (member.now.unwrap_or(0.0) - before).abs();
        }
        let mut order: Vec<usize> = (0..moved.len()).collect();
        order.sort_by(|one, other| moved[*other].total_cmp(&moved[*one]));
        order.truncate(CANDIDATES_COUNT_MAX);
        order
    }
}

/// What the expression says of some series with these amounts; none where it is no number.
fn value<'m>(signal: &Signal, amounts: impl Iterator<Item = (&'m Member, Option<f64>)>) -> Option<f64> {
    let lanes = lanes(signal, amounts);
    let quantile = |share: f64, index: usize| {
        let of_operand = lanes.iter().filter(|lane| lane.operand == index);
        Some(bucket_quantile(share, &mut of_operand.map(|lane| (lane.bound, lane.sum)).collect()))
    };
    let value = signal.formula.value(&|index| operand_value(signal, index, &lanes), &quantile)?;
    value.is_finite().then_some(value)
}

/// By operand and bound, ascending.
fn lanes<'m>(signal: &Signal, amounts: impl Iterator<Item = (&'m Member, Option<f64>)>) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::with_capacity(signal.operands.len());
    for (member, amount) in amounts {
        let Some(amount) = amount else { continue };
        let order = |lane: &Lane| lane.operand.cmp(&member.operand).then(lane.bound.total_cmp(&member.bound));
        match lanes.binary_search_by(order) {
            Ok(place) => lanes[place].take_in(amount),
            Err(place) => lanes.insert(place, Lane::of(member, amount)),
        }
    }
    lanes
}

impl Lane {
    fn of(member: &Member, amount: f64) -> Lane {
        let Member { operand, bound, .. } = *member;
        Lane { operand, bound, sum: amount, count: 1.0, min: amount, max: amount }
    }

    fn take_in(&mut self, amount: f64) {
        self.sum += amount;
        self.count += 1.0;
        (self.min, self.max) = (self.min.min(amount), self.max.max(amount));
    }
}

/// What the series of an operand come to: none of them are nothing at all, where they are added up.
fn operand_value(signal: &Signal, index: usize, lanes: &[Lane]) -> Option<f64> {
    let lane = lanes.iter().rev().find(|lane| lane.operand == index);
    match signal.operands[index].fold {
        Fold::Sum | Fold::Count => Some(lane.map_or(0.0, |lane| lane.sum)),
        Fold::Avg => lane.map(|lane| lane.sum / lane.count),
        Fold::Min => lane.map(|lane| lane.min),
        Fold::Max => lane.map(|lane| lane.max),
    }
}

impl Tail {
    /// The observations above, those of a bucket spread evenly.
    fn count(&self, lanes: &[Lane]) -> f64 {
        let (mut start, mut below) = (0.0, 0.0);
        for lane in lanes.iter().filter(|lane| lane.operand == self.operand) {
            if self.above < lane.bound {
                let is_open = lane.bound.is_infinite() || self.above <= start;
                let part = if is_open { 0.0 } else { (self.above - start) / (lane.bound - start) };
                let total = lanes.iter().rev().find(|lane| lane.operand == self.operand).map_or(0.0, |lane| lane.sum);
                return total - (below + part * (lane.sum - below));
            }
            (start, below) = (lane.bound, lane.sum);
        }
        0.0
    }
}

/// The quantile in an expression, if there is one, and its operand.
fn quantile(formula: &Formula) -> Option<(f64, usize)> {
    match formula {
        Formula::Quantile(share, operand) => Some((*share, *operand)),
        Formula::Operand(_) | Formula::Number(_) => None,
        Formula::Compute(_, left, right) => quantile(left).or_else(|| quantile(right)),
    }
}

/// Whether the value of the whole is that of its parts together, but for a constant.
fn adds_up(formula: &Formula, signal: &Signal) -> bool {
    let is_number = |formula: &Formula| matches!(formula, Formula::Number(_));
    match formula {
        Formula::Operand(index) => matches!(signal.operands[*index].fold, Fold::Sum | Fold::Count),
        Formula::Quantile(..) => false,
        Formula::Number(_) => true,
        Formula::Compute(Arithmetic::Add | Arithmetic::Subtract, left, right) => {
            adds_up(left, signal) && adds_up(right, signal)
        }
        Formula::Compute(Arithmetic::Multiply, left, right) => {
            (is_number(left) || is_number(right)) && adds_up(left, signal) && adds_up(right, signal)
        }
        Formula::Compute(Arithmetic::Divide, left, right) => is_number(right) && adds_up(left, signal),
    }
}

/// What the volume of a part is: the exposure of a ratio, the observations of a quantile or a mean.
fn volume(signal: &Signal) -> Weights {
    let exposure = signal.count.as_ref().map(|count| &count.exposure).filter(|exposure| !exposure.is_empty());
    exposure.unwrap_or(&signal.observed_operands).clone()
}

/// The highest bound of a histogram counts all observations.
fn volume_of(volume: &Weights, lanes: &[Lane]) -> f64 {
    let total = |index: usize| lanes.iter().rev().find(|lane| lane.operand == index).map_or(0.0, |lane| lane.sum);
    volume.iter().map(|&(index, weight)| weight * total(index)).sum()
}
