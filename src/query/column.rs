//! One series over all steps of a query: a number or a native histogram at each step, or nothing.

use std::borrow::Cow;
use std::sync::Arc;

use super::error::QueryError;
use crate::model::FloatHistogram;

/// The moments at which a query is evaluated: `start`, `start + step`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
pub(super) struct Steps(Words);

/// The bits of steps: those of a few lie where the set does, for an instant query has a set a series.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Words {
    One(u64),
    Many(Box<[u64]>),
}

impl Default for Words {
    fn default() -> Words {
        Words::One(0)
    }
}

impl Steps {
    pub(super) fn none(count: usize) -> Steps {
        Steps(if count <= 64 { Words::One(0) } else { Words::Many(vec![0; count.div_ceil(64)].into_boxed_slice()) })
    }

    pub(super) fn all(count: usize) -> Steps {
        let mut steps = Steps::none(count);
        let (whole, used) = (count / 64, count % 64);
        steps.words_mut()[..whole].fill(u64::MAX);
        if used > 0 {
            steps.words_mut()[whole] = (1 << used) - 1;
        }
        steps
    }

    fn words(&self) -> &[u64] {
        match &self.0 {
            Words::One(word) => std::slice::from_ref(word),
            Words::Many(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match &mut self.0 {
            Words::One(word) => std::slice::from_mut(word),
            Words::Many(words) => words,
        }
    }

    pub(super) fn has(&self, step: usize) -> bool {
        self.words()[step / 64] >> (step % 64) & 1 == 1
    }

    pub(super) fn insert(&mut self, step: usize) {
        self.words_mut()[step / 64] |= 1 << (step % 64);
    }

    pub(super) fn remove(&mut self, step: usize) {
        self.words_mut()[step / 64] &= !(1 << (step % 64));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words().iter().all(|word| *word == 0)
    }

    pub(super) fn count(&self) -> usize {
        self.words().iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether both have a step in common.
    pub(super) fn meets(&self, other: &Steps) -> bool {
        self.words().iter().zip(other.words()).any(|(mine, theirs)| mine & theirs != 0)
    }

    /// Adds the steps of `other`, and says which is the first that both had.
    pub(super) fn unite(&mut self, other: &Steps) -> Option<usize> {
        let mut shared = None;
        for (index, (mine, theirs)) in self.words_mut().iter_mut().zip(other.words()).enumerate() {
            let both = *mine & *theirs;
            if both != 0 && shared.is_none() {
                shared = Some(index * 64 + both.trailing_zeros() as usize);
            }
            *mine |= *theirs;
        }
        shared
    }

    pub(super) fn intersect(&mut self, other: &Steps) {
        self.words_mut().iter_mut().zip(other.words()).for_each(|(mine, theirs)| *mine &= theirs);
    }

    pub(super) fn subtract(&mut self, other: &Steps) {
        self.words_mut().iter_mut().zip(other.words()).for_each(|(mine, theirs)| *mine &= !theirs);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words().iter().enumerate().flat_map(|(index, word)| Ones(*word).map(move |bit| index * 64 + bit))
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

/// A number for each step, of which only those in `present` mean something; and native histograms, at other steps.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) values: Vec<f64>,
    /// The steps with a number.
    pub(super) present: Steps,
    /// None for nearly every column: then nothing of this is paid for.
    pub(super) histograms: Option<Box<Histograms>>,
}

/// The native histograms of a column.
#[derive(Clone, Debug)]
pub(super) struct Histograms {
    /// The steps with a histogram, none of which has a number.
    pub(super) present: Steps,
    /// One for each step; there where `present` says so.
    values: Vec<Option<Arc<FloatHistogram>>>,
}

/// What a column has at a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Element<'c> {
    Number(f64),
    Histogram(&'c Arc<FloatHistogram>),
}

impl Column {
    pub(super) fn absent(count: usize) -> Column {
        Column { values: vec![0.0; count], present: Steps::none(count), histograms: None }
    }

    pub(super) fn full(values: Vec<f64>) -> Column {
        let present = Steps::all(values.len());
        Column { values, present, histograms: None }
    }

    /// Number of steps.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is nothing at any step.
    pub(super) fn is_empty(&self) -> bool {
        self.present.is_empty() && self.histograms.as_ref().is_none_or(|histograms| histograms.present.is_empty())
    }

    /// Places for values that hold it, as a budget counts them.
    pub(super) fn count(&self) -> usize {
        let histogram_places =
            |histograms: &Histograms| histograms.iter().map(|(_, one)| places_of(one)).sum::<usize>();
        self.present.count() + self.histograms.as_deref().map_or(0, histogram_places)
    }

    pub(super) fn set(&mut self, step: usize, value: f64) {
        self.values[step] = value;
        self.present.insert(step);
    }

    pub(super) fn set_histogram(&mut self, step: usize, value: Arc<FloatHistogram>) {
        let steps = self.values.len();
        let histograms = self
            .histograms
            .get_or_insert_with(|| Box::new(Histograms { present: Steps::none(steps), values: vec![None; steps] }));
        histograms.values[step] = Some(value);
        histograms.present.insert(step);
    }

    /// Puts a number or a histogram at a step that has neither.
    pub(super) fn set_element(&mut self, step: usize, element: Element<'_>) {
        match element {
            Element::Number(value) => self.set(step, value),
            Element::Histogram(value) => self.set_histogram(step, value.clone()),
        }
    }

    /// The number at a step.
    pub(super) fn get(&self, step: usize) -> Option<f64> {
        self.present.has(step).then(|| self.values[step])
    }

    /// The histogram at a step.
    pub(super) fn histogram(&self, step: usize) -> Option<&Arc<FloatHistogram>> {
        self.histograms.as_ref()?.get(step)
    }

    /// What there is at a step.
    pub(super) fn element(&self, step: usize) -> Option<Element<'_>> {
        self.get(step).map(Element::Number).or_else(|| self.histogram(step).map(Element::Histogram))
    }

    /// The steps that have a number, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.present.iter().map(|step| (step, self.values[step]))
    }

    /// The steps that have a histogram, with their histograms.
    pub(super) fn iter_histograms(&self) -> impl Iterator<Item = (usize, &Arc<FloatHistogram>)> {
        self.histograms.iter().flat_map(|histograms| histograms.iter())
    }

    /// The steps that have anything.
    pub(super) fn occupied(&self) -> Cow<'_, Steps> {
        match &self.histograms {
            None => Cow::Borrowed(&self.present),
            Some(histograms) => {
                let mut all = self.present.clone();
                all.unite(&histograms.present);
                Cow::Owned(all)
            }
        }
    }

    /// Replaces each number, and leaves histograms out, as functions of numbers do.
    pub(super) fn map(&mut self, change: impl Fn(usize, f64) -> f64) {
        self.histograms = None;
        for step in self.present.iter() {
            self.values[step] = change(step, self.values[step]);
        }
    }

    /// Replaces each number, or takes it away, and leaves histograms out.
    pub(super) fn filter_map(&mut self, change: impl Fn(usize, f64) -> Option<f64>) {
        self.histograms = None;
        let before = self.present.clone();
        for step in before.iter() {
            match change(step, self.values[step]) {
                Some(value) => self.values[step] = value,
                None => self.present.remove(step),
            }
        }
    }

    /// Turns the sign of everything.
    pub(super) fn negate(&mut self) {
        self.values.iter_mut().for_each(|value| *value = -*value);
        self.map_histograms(|_, histogram| histogram.multiply(-1.0));
    }

    /// Changes a copy of each histogram, which others may share.
    pub(super) fn map_histograms(&mut self, mut change: impl FnMut(usize, &mut FloatHistogram)) {
        let Some(histograms) = &mut self.histograms else { return };
        for (step, value) in histograms.values.iter_mut().enumerate() {
            if let Some(value) = value {
                change(step, Arc::make_mut(value));
            }
        }
    }

    /// Keeps what stands at these steps.
    pub(super) fn retain(&mut self, steps: &Steps) {
        self.present.intersect(steps);
        if let Some(histograms) = &mut self.histograms {
            histograms.present.intersect(steps);
        }
    }

    /// Takes away what stands at these steps.
    pub(super) fn subtract(&mut self, steps: &Steps) {
        self.present.subtract(steps);
        if let Some(histograms) = &mut self.histograms {
            histograms.present.subtract(steps);
        }
    }

    /// This column, or what it has at its only step at every one of `count` steps.
    pub(super) fn spread_to(self, count: usize) -> Column {
        if self.len() == count { self } else { self.spread(count) }
    }

    /// What this column has at its only step, at every one of `count` steps.
    pub(super) fn spread(self, count: usize) -> Column {
        let mut column = match self.get(0) {
            Some(value) => Column::full(vec![value; count]),
            None => Column::absent(count),
        };
        if let Some(value) = self.histogram(0) {
            (0..count).for_each(|step| column.set_histogram(step, value.clone()));
        }
        column
    }

    /// Takes over what `other` has. Fails where both have something.
    pub(super) fn unite(&mut self, other: &Column) -> Result<(), QueryError> {
        if self.occupied().meets(&other.occupied()) {
            return Err(same_labelset());
        }
        self.present.unite(&other.present);
        other.iter().for_each(|(step, value)| self.values[step] = value);
        other.iter_histograms().for_each(|(step, value)| self.set_histogram(step, value.clone()));
        Ok(())
    }
}

impl Histograms {
    fn get(&self, step: usize) -> Option<&Arc<FloatHistogram>> {
        if self.present.has(step) { self.values[step].as_ref() } else { None }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &Arc<FloatHistogram>)> {
        self.present.iter().filter_map(|step| Some((step, self.values[step].as_ref()?)))
    }
}

/// Places for values that hold a histogram, as a budget counts them.
pub(super) fn places_of(histogram: &FloatHistogram) -> usize {
    (size_of::<FloatHistogram>() / size_of::<f64>()) + histogram.buckets_count()
}

/// Two series of a result have the same labels at the same step.
pub(super) fn same_labelset() -> QueryError {
    QueryError::execution("vector cannot contain metrics with the same labelset")
}
