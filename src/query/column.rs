//! One series over all steps of a query: a value at each step, or none.

use super::error::QueryError;

/// The moments at which a query is evaluated: `start`, `start + step`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// The first moment, in ms since 1970 UTC.
    pub(super) start_ms: i64,
    /// Distance of two moments; positive.
    pub(super) step_ms: i64,
    /// Number of moments.
    pub(super) count: usize,
}

impl Grid {
    /// A single moment.
    pub(super) fn instant(time_ms: i64) -> Grid {
        Grid { start_ms: time_ms, step_ms: 1, count: 1 }
    }

    pub(super) fn time_ms(&self, step: usize) -> i64 {
        self.start_ms + self.step_ms * step as i64
    }

    pub(super) fn times_ms(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |step| self.time_ms(step))
    }

    /// The last moment, or one step before the first if there is none.
    pub(super) fn last_ms(&self) -> i64 {
        self.start_ms + self.step_ms * (self.count as i64 - 1)
    }
}

/// A set of steps, one bit each.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Steps {
    words: Vec<u64>,
}

impl Steps {
    pub(super) fn none(count: usize) -> Steps {
        Steps { words: vec![0; count.div_ceil(64)] }
    }

    pub(super) fn all(count: usize) -> Steps {
        let mut words = vec![u64::MAX; count.div_ceil(64)];
        if let (Some(last), used @ 1..) = (words.last_mut(), count % 64) {
            *last = (1 << used) - 1;
        }
        Steps { words }
    }

    pub(super) fn has(&self, step: usize) -> bool {
        self.words[step / 64] >> (step % 64) & 1 == 1
    }

    pub(super) fn insert(&mut self, step: usize) {
        self.words[step / 64] |= 1 << (step % 64);
    }

    pub(super) fn remove(&mut self, step: usize) {
        self.words[step / 64] &= !(1 << (step % 64));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub(super) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Adds the steps of `other`, and says which is the first that both had.
    pub(super) fn unite(&mut self, other: &Steps) -> Option<usize> {
        let mut shared = None;
        for (index, (mine, theirs)) in self.words.iter_mut().zip(&other.words).enumerate() {
            let both = *mine & *theirs;
            if both != 0 && shared.is_none() {
                shared = Some(index * 64 + both.trailing_zeros() as usize);
            }
            *mine |= *theirs;
        }
        shared
    }

    pub(super) fn intersect(&mut self, other: &Steps) {
        self.words.iter_mut().zip(&other.words).for_each(|(mine, theirs)| *mine &= theirs);
    }

    pub(super) fn subtract(&mut self, other: &Steps) {
        self.words.iter_mut().zip(&other.words).for_each(|(mine, theirs)| *mine &= !theirs);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| Ones(*word).map(move |bit| index * 64 + bit))
    }
}

struct Ones(u64);

impl Iterator for Ones {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

/// A value for each step; only those in `present` mean something.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) values: Vec<f64>,
    pub(super) present: Steps,
}

impl Column {
    pub(super) fn absent(count: usize) -> Column {
        Column { values: vec![0.0; count], present: Steps::none(count) }
    }

    pub(super) fn full(values: Vec<f64>) -> Column {
        let present = Steps::all(values.len());
        Column { values, present }
    }

    pub(super) fn set(&mut self, step: usize, value: f64) {
        self.values[step] = value;
        self.present.insert(step);
    }

    pub(super) fn get(&self, step: usize) -> Option<f64> {
        self.present.has(step).then(|| self.values[step])
    }

    /// The steps that have a value, with their values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.present.iter().map(|step| (step, self.values[step]))
    }

    /// Replaces each value.
    pub(super) fn map(&mut self, change: impl Fn(usize, f64) -> f64) {
        for step in self.present.iter() {
            self.values[step] = change(step, self.values[step]);
        }
    }

    /// Replaces each value, or takes it away.
    pub(super) fn filter_map(&mut self, change: impl Fn(usize, f64) -> Option<f64>) {
        let before = self.present.clone();
        for step in before.iter() {
            match change(step, self.values[step]) {
                Some(value) => self.values[step] = value,
                None => self.present.remove(step),
            }
        }
    }

    /// The one value of this column at every one of `count` steps.
    pub(super) fn spread(self, count: usize) -> Column {
        match self.get(0) {
            Some(value) => Column::full(vec![value; count]),
            None => Column::absent(count),
        }
    }

    /// Takes over the values of `other`. Fails where both have one.
    pub(super) fn unite(&mut self, other: &Column) -> Result<(), QueryError> {
        if self.present.unite(&other.present).is_some() {
            return Err(same_labelset());
        }
        other.iter().for_each(|(step, value)| self.values[step] = value);
        Ok(())
    }
}

/// Two series of a result have the same labels at the same step.
pub(super) fn same_labelset() -> QueryError {
    QueryError::execution("vector cannot contain metrics with the same labelset")
}
