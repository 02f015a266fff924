//! Which column to tell by which other: trees of references, found by how the columns change together.
//!
//! Each column that changes at all gives a fingerprint: its steps at [`STEPS`] places, centred and of length one. The product
//! of two fingerprints is their correlation, and its square the share of one column's changes that the other explains.
//! A column's few best partners become edges, the best edge is taken first, and an edge that would make a tree deeper
//! than [`DEPTH_MAX`] is left out.

use super::head::ColumnRow;
use super::{DEPTH_MAX, KIND_SAME};
use crate::column::Numbers;

/// Steps in a fingerprint: measured, all 1,440 choose no better.
const STEPS: usize = 128;
/// Columns with fewer samples cost so little that a reference saves nothing.
const SAMPLES_MIN: usize = 32;
/// Partners remembered for each column.
const PARTNERS: usize = 6;
/// Least share of explained changes: below it lies what chance finds among some dozens of columns.
const SHARE_MIN: f32 = 0.08;

/// Finds references; keeps its buffers from one group to the next.
#[derive(Debug, Default)]
pub(super) struct Resemblance {
    fingerprints: Vec<f32>,
    /// Columns that change, by fingerprint.
    columns: Vec<u16>,
    edges: Vec<Edge>,
    trees: Vec<Node>,
}

/// Two columns, by fingerprint, and how much of each the other explains.
#[derive(Clone, Copy, Debug, Default)]
struct Edge {
    share: f32,
    a: u16,
    b: u16,
}

/// A column's place in its tree.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    parent: Option<u16>,
    /// References on the way to the root.
    depth: usize,
    /// References on the longest way down.
    height: usize,
    /// Sum of the shares of its edges: the likelier parent has more.
    weight: f32,
}

impl Resemblance {
    /// Gives columns of floats their references.
    pub(super) fn choose(&mut self, numbers: &[Numbers], rows: &mut [ColumnRow]) {
        self.take_fingerprints(numbers, rows);
        self.find_edges(rows);
        self.edges.sort_by(|a, b| b.share.total_cmp(&a.share));
        self.grow_trees();
        for (column, node) in self.columns.iter().zip(&self.trees) {
            rows[usize::from(*column)].reference = node.parent.map(|parent| self.columns[usize::from(parent)]);
        }
    }

    fn take_fingerprints(&mut self, numbers: &[Numbers], rows: &[ColumnRow]) {
        self.fingerprints.clear();
        self.columns.clear();
        for (index, (numbers, row)) in numbers.iter().zip(rows).enumerate() {
            if row.kind != KIND_SAME
                && let Some(fingerprint) = fingerprint(&numbers.integers)
            {
                self.fingerprints.extend_from_slice(&fingerprint);
                self.columns.push(index as u16);
            }
        }
    }

    fn fingerprint(&self, index: usize) -> &[f32] {
        &self.fingerprints[index * STEPS..(index + 1) * STEPS]
    }

    /// The best edges of each column to those before it, and of those before it to it.
    fn find_edges(&mut self, rows: &[ColumnRow]) {
        self.edges.clear();
        let count = self.columns.len();
        let mut best = vec![[Edge::default(); PARTNERS]; count];
        for a in 0..count {
            for b in 0..a {
                let timestamps = |index: usize| rows[usize::from(self.columns[index])].timestamps;
                if timestamps(a) != timestamps(b) {
                    continue;
                }
                let share = product(self.fingerprint(a), self.fingerprint(b)).powi(2);
                if share >= SHARE_MIN {
                    let edge = Edge { share, a: a as u16, b: b as u16 };
                    insert(&mut best[a], edge);
                    insert(&mut best[b], edge);
                }
            }
        }
        self.edges.extend(best.into_iter().flatten().filter(|edge| edge.share > 0.0));
    }

    fn grow_trees(&mut self) {
        self.trees.clear();
        self.trees.resize(self.columns.len(), Node::default());
        for edge in &self.edges {
            for end in [edge.a, edge.b] {
                self.trees[usize::from(end)].weight += edge.share;
            }
        }
        for index in 0..self.edges.len() {
            let Edge { a, b, .. } = self.edges[index];
            let weight = |end: u16| self.trees[usize::from(end)].weight;
            let (child, parent) = if weight(a) < weight(b) { (a, b) } else { (b, a) };
            if !self.join(child, parent) {
                self.join(parent, child);
            }
        }
    }

    /// Makes `child`, the root of its tree, refer to `parent`, if the tree does not get too deep by it.
    fn join(&mut self, child: u16, parent: u16) -> bool {
        let (node, above) = (self.trees[usize::from(child)], self.trees[usize::from(parent)]);
        let fits = node.parent.is_none() && above.depth + 1 + node.height <= DEPTH_MAX;
        if !fits || self.root(parent) == child {
            return false;
        }
        self.trees[usize::from(child)].parent = Some(parent);
        self.raise_heights(parent, node.height + 1);
        self.sink(child, above.depth + 1);
        true
    }

    fn root(&self, mut index: u16) -> u16 {
        while let Some(parent) = self.trees[usize::from(index)].parent {
            index = parent;
        }
        index
    }

    fn raise_heights(&mut self, index: u16, height: usize) {
        let (mut next, mut height) = (Some(index), height);
        while let Some(index) = next {
            let node = &mut self.trees[usize::from(index)];
            node.height = node.height.max(height);
            (next, height) = (node.parent, height + 1);
        }
    }

    /// Sets the depth of a column and those below it.
    fn sink(&mut self, index: u16, depth: usize) {
        self.trees[usize::from(index)].depth = depth;
        if self.trees[usize::from(index)].height == 0 {
            return;
        }
        for below in 0..self.trees.len() {
            if self.trees[below].parent == Some(index) {
                self.sink(below as u16, depth + 1);
            }
        }
    }
}

/// Steps at places spread over the column, centred and of length one; `None` if it never changes there.
fn fingerprint(integers: &[i64]) -> Option<[f32; STEPS]> {
    if integers.len() < SAMPLES_MIN {
        return None;
    }
    let steps = integers.len() - 1;
    let mut fingerprint: [f32; STEPS] = std::array::from_fn(|index| {
        let place = index * steps / STEPS;
        integers[place + 1].wrapping_sub(integers[place]) as f32
    });
    let mean = fingerprint.iter().sum::<f32>() / STEPS as f32;
    fingerprint.iter_mut().for_each(|step| *step -= mean);
    let length = product(&fingerprint, &fingerprint).sqrt();
    if !length.is_normal() {
        return None;
    }
    fingerprint.iter_mut().for_each(|step| *step /= length);
    Some(fingerprint)
}

/// Eight sums side by side, so that it needs no instruction to wait for the one before.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

/// Keeps the best edges, best first.
fn insert(best: &mut [Edge; PARTNERS], edge: Edge) {
    let place = best.partition_point(|other| other.share >= edge.share);
    if place < PARTNERS {
        best[place..].rotate_right(1);
        best[place] = edge;
    }
}
