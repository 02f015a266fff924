//! Which column to tell by which other: trees of references, found by how the columns change together.
//!
//! Say `orders` grows by a tenth of what `requests` grows by, give or take one. Then
//!
//! 1. the steps of both at [`FINGERPRINT_STEPS`] places correlate, so each is among the other's [`PARTNERS`];
//! 2. at [`STEPS`] places a step of `orders` takes 6 bits, and what is left of it without the tenth takes 1: a link that
//!    saves 5 bits a step, and one the other way round that saves less;
//! 3. the link that saves most comes first, and one that would make a tree deeper than [`DEPTH_MAX`], or a circle, is
//!    left out.
//!
//! All of it is an estimate, on a part of the samples. It was within 1 % of trying every pair by encoding it. Looking at all
//! steps instead, at more partners or at longer fingerprints gained less than 0.1 %.
//!
//! Always true: references lead from columns of floats to such columns with the same timestamps, by [`DEPTH_MAX`] at most.

use super::head::ColumnRow;
use super::{DEPTH_MAX, KIND_SAME};
use crate::column::Numbers;

/// Steps by which a link is judged.
const STEPS: usize = 512;
/// Every so many of them is in the fingerprint.
const STEPS_PER_FINGERPRINT: usize = 8;
const FINGERPRINT_STEPS: usize = STEPS / STEPS_PER_FINGERPRINT;
/// Partners judged for each column, and columns that have it among theirs.
const PARTNERS: usize = 6;
/// Least share of a column's changes that its partner explains; below it lies what chance finds among some dozens of columns.
const SHARE_MIN: f32 = 0.1;
/// Least saving of a link, in bits a step.
const SAVING_MIN_BITS: f32 = 0.05;
/// Columns with fewer samples cost so little that a reference saves nothing.
const SAMPLES_MIN: usize = 32;

/// Finds references; keeps its buffers from one group to the next.
#[derive(Debug, Default)]
pub(super) struct Resemblance {
    columns: Vec<Fingerprinted>,
    /// [`STEPS`] for each of `columns`.
    steps: Vec<f32>,
    /// [`FINGERPRINT_STEPS`] for each of `columns`.
    fingerprints: Vec<f32>,
    pairs: Vec<Pair>,
    links: Vec<Link>,
    nodes: Vec<Node>,
}

/// A column that changes. Below, columns are known by their index among these.
#[derive(Clone, Copy, Debug)]
struct Fingerprinted {
    column: u16,
    timestamps: u16,
    /// Sum of the squares of its steps.
    power: f32,
    /// What its steps take if it is told by itself.
    bits: f32,
}

/// Two columns, and how much of the changes of each the other explains.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    share: f32,
    a: u16,
    b: u16,
}

/// A reference that may be.
#[derive(Clone, Copy, Debug)]
struct Link {
    saved_bits: f32,
    child: u16,
    parent: u16,
}

/// A column's place in its tree.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    parent: Option<u16>,
    /// References on the way to the root.
    depth: usize,
    /// References on the longest way down.
    height: usize,
}

impl Resemblance {
    /// Gives columns of floats their references.
    pub(super) fn choose(&mut self, numbers: &[Numbers], rows: &mut [ColumnRow]) {
        self.take_steps(numbers, rows);
        self.find_pairs();
        self.judge_links();
        self.links.sort_by(|a, b| b.saved_bits.total_cmp(&a.saved_bits));
        self.nodes.clear();
        self.nodes.resize(self.columns.len(), Node::default());
        for index in 0..self.links.len() {
            self.join(self.links[index]);
        }
        for (own, node) in self.columns.iter().zip(&self.nodes) {
            let parent = node.parent.map(|parent| self.columns[usize::from(parent)].column);
            rows[usize::from(own.column)].reference = parent;
        }
    }

    fn take_steps(&mut self, numbers: &[Numbers], rows: &[ColumnRow]) {
        self.columns.clear();
        self.steps.clear();
        self.fingerprints.clear();
        for (index, (numbers, row)) in numbers.iter().zip(rows).enumerate() {
            if row.kind == KIND_SAME || numbers.integers.len() < SAMPLES_MIN {
                continue;
            }
            let start = self.steps.len();
            append_steps(&numbers.integers, &mut self.steps);
            let steps = &self.steps[start..];
            let power = product(steps, steps);
            // Not normal: it never changes, or its steps are not for a float of 32 bits.
            let is_fit = power.is_normal() && append_fingerprint(steps, &mut self.fingerprints);
            if is_fit {
                let column = index as u16;
                let bits = bits(steps.iter().copied());
                self.columns.push(Fingerprinted { column, timestamps: row.timestamps, power, bits });
            } else {
                self.steps.truncate(start);
            }
        }
    }

    /// The pairs of each column with its best partners.
    fn find_pairs(&mut self) {
        let mut best = vec![[Pair::default(); PARTNERS]; self.columns.len()];
        for a in 0..self.columns.len() {
            let fingerprint = row_of(&self.fingerprints, a, FINGERPRINT_STEPS);
            for b in 0..a {
                if self.columns[a].timestamps != self.columns[b].timestamps {
                    continue;
                }
                let correlation = product(fingerprint, row_of(&self.fingerprints, b, FINGERPRINT_STEPS));
                let pair = Pair { share: correlation * correlation, a: a as u16, b: b as u16 };
                if pair.share >= SHARE_MIN {
                    insert(&mut best[a], pair);
                    insert(&mut best[b], pair);
                }
            }
        }
        self.pairs.clear();
        self.pairs.extend(best.into_iter().flatten().filter(|pair| pair.share > 0.0));
        self.pairs.sort_unstable_by_key(|pair| (pair.a, pair.b));
        self.pairs.dedup_by_key(|pair| (pair.a, pair.b));
    }

    fn judge_links(&mut self) {
        self.links.clear();
        for Pair { a, b, .. } in &self.pairs {
            let steps_of = |index: u16| row_of(&self.steps, usize::from(index), STEPS);
            let common = product(steps_of(*a), steps_of(*b));
            for (child, parent) in [(*a, *b), (*b, *a)] {
                let slope = common / self.columns[usize::from(parent)].power;
                let both = steps_of(child).iter().zip(steps_of(parent));
                let left_bits = bits(both.map(|(own, other)| own - slope * other));
                let saved_bits = self.columns[usize::from(child)].bits - left_bits;
                if saved_bits >= SAVING_MIN_BITS * STEPS as f32 {
                    self.links.push(Link { saved_bits, child, parent });
                }
            }
        }
    }

    /// Hangs the child's tree below the parent, if the child is a root and no column gets too deep by it.
    fn join(&mut self, Link { child, parent, .. }: Link) {
        let (node, above) = (self.nodes[usize::from(child)], self.nodes[usize::from(parent)]);
        let fits = node.parent.is_none() && above.depth + 1 + node.height <= DEPTH_MAX;
        if !fits || self.root(parent) == child {
            return;
        }
        self.nodes[usize::from(child)].parent = Some(parent);
        self.raise_heights(parent, node.height + 1);
        self.sink(child, above.depth + 1);
    }

    fn root(&self, mut index: u16) -> u16 {
        while let Some(parent) = self.nodes[usize::from(index)].parent {
            index = parent;
        }
        index
    }

    fn raise_heights(&mut self, index: u16, height: usize) {
        let (mut next, mut height) = (Some(index), height);
        while let Some(index) = next {
            let node = &mut self.nodes[usize::from(index)];
            node.height = node.height.max(height);
            (next, height) = (node.parent, height + 1);
        }
    }

    /// Sets the depth of a column and of those below it.
    fn sink(&mut self, index: u16, depth: usize) {
        self.nodes[usize::from(index)].depth = depth;
        if self.nodes[usize::from(index)].height == 0 {
            return;
        }
        for below in 0..self.nodes.len() {
            if self.nodes[below].parent == Some(index) {
                self.sink(below as u16, depth + 1);
            }
        }
    }
}

fn row_of(rows: &[f32], index: usize, length: usize) -> &[f32] {
    &rows[index * length..(index + 1) * length]
}

/// Appends the steps at [`STEPS`] places spread over the column, less their mean, in units of what divides most of them.
fn append_steps(integers: &[i64], out: &mut Vec<f32>) {
    let start = out.len();
    // Places in 1/2^16 of a sample: 4,096 × 2^16 × 512 is far from overflowing.
    let apart = ((integers.len() - 1) << 16) / STEPS;
    let mut divisor = 0;
    for index in 0..STEPS {
        let place = (index * apart) >> 16;
        let step = integers[place + 1].wrapping_sub(integers[place]);
        if index % STEPS_PER_FINGERPRINT == 0 {
            divisor = greatest_common_divisor(step.unsigned_abs(), divisor);
        }
        out.push(step as f32);
    }
    let steps = &mut out[start..];
    let mean = steps.iter().sum::<f32>() / STEPS as f32;
    let unit = 1.0 / divisor.max(1) as f32;
    steps.iter_mut().for_each(|step| *step = (*step - mean) * unit);
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Appends some of the steps, less their mean, scaled so that the product with itself is 1; false if they are all the same.
fn append_fingerprint(steps: &[f32], out: &mut Vec<f32>) -> bool {
    let start = out.len();
    out.extend(steps.iter().step_by(STEPS_PER_FINGERPRINT));
    let chosen = &mut out[start..];
    let mean = chosen.iter().sum::<f32>() / FINGERPRINT_STEPS as f32;
    chosen.iter_mut().for_each(|step| *step -= mean);
    let length = product(chosen, chosen).sqrt();
    if !length.is_normal() {
        out.truncate(start);
        return false;
    }
    chosen.iter_mut().for_each(|step| *step /= length);
    true
}

/// Eight sums side by side, so that no addition waits for the one before.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

/// About how many bits these steps take: the logarithm of 1 + 2 |step|, read from the exponent and the top of the mantissa.
fn bits(steps: impl Iterator<Item = f32>) -> f32 {
    /// Adding it rounds to a whole number, as far as there is a fraction.
    const ROUNDER: f32 = 12_582_912.0;
    const FRACTION_BITS: u32 = 7;
    let logarithm = |step: f32| {
        let whole = (step + ROUNDER) - ROUNDER;
        let top = (1.0 + 2.0 * whole.abs()).to_bits() >> (f32::MANTISSA_DIGITS - 1 - FRACTION_BITS);
        top as i32 - (127 << FRACTION_BITS)
    };
    steps.map(logarithm).sum::<i32>() as f32 / (1 << FRACTION_BITS) as f32
}

/// Keeps the best pairs, best first.
fn insert(best: &mut [Pair], pair: Pair) {
    let place = best.partition_point(|other| other.share >= pair.share);
    if place < best.len() {
        best[place..].rotate_right(1);
        best[place] = pair;
    }
}
