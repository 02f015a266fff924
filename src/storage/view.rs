//! What one query sees.

use std::sync::Arc;

use crate::model::{Labels, Matcher, Sample, TimeRange};

/// Timestamps and values of one series: equal in length, ascending, in ms since 1970 UTC.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Milliseconds since 1970 UTC, strictly ascending.
    pub timestamps_ms: Vec<i64>,
    /// Exactly the 64 bits that were written, staleness markers included.
    pub values: Vec<f64>,
}

impl Columns {
    /// Removes all samples and keeps the memory.
    pub fn clear(&mut self) {
        self.timestamps_ms.clear();
        self.values.clear();
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.timestamps_ms.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.timestamps_ms.is_empty()
    }

    /// Appends a sample that is newer than all before.
    pub fn push(&mut self, timestamp_ms: i64, value: f64) {
        self.timestamps_ms.push(timestamp_ms);
        self.values.push(value);
    }
}

/// Stored bytes that cannot be what was written.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// Damage on the disk. The operator must act.
    #[error("{0}")]
    Corruption(String),
    /// More series than the caller allows. The client must narrow the selector.
    #[error("the selector matches more than {limit} series")]
    TooManySeries {
        /// The caller's limit.
        limit: usize,
    },
}

/// The stored series as of one moment.
#[derive(Clone)]
pub struct ReadView {
    given: Arc<Vec<(Arc<Labels>, Vec<Sample>)>>,
}

/// One series of a view.
#[derive(Clone)]
pub struct SeriesView {
    labels: Arc<Labels>,
    given: Arc<Vec<(Arc<Labels>, Vec<Sample>)>>,
    index: usize,
}

impl ReadView {
    /// A view of the given series, each with its samples ascending: for tests.
    pub fn of_samples(series: Vec<(Labels, Vec<Sample>)>) -> ReadView {
        ReadView { given: Arc::new(series.into_iter().map(|(labels, samples)| (Arc::new(labels), samples)).collect()) }
    }

    /// The series that satisfy all matchers and may have samples in `range`, in order of their labels.
    /// Fails when there are more than `limit`.
    pub fn select(&self, matchers: &[Matcher], range: TimeRange, limit: usize) -> Result<Vec<SeriesView>, ViewError> {
        let mut found: Vec<SeriesView> = (0..self.given.len())
            .filter(|&index| {
                let (labels, samples) = &self.given[index];
                matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
                    && samples.iter().any(|sample| range.contains(sample.timestamp_ms))
            })
            .map(|index| SeriesView { labels: self.given[index].0.clone(), given: self.given.clone(), index })
            .collect();
        if found.len() > limit {
            return Err(ViewError::TooManySeries { limit });
        }
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }

    /// The names of labels of the series that satisfy all matchers, sorted. No matchers: of all series.
    pub fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ViewError> {
        let series = self.select(matchers, range, usize::MAX)?;
        let mut names: Vec<String> =
            series.iter().flat_map(|one| one.labels().iter().map(|(name, _)| name.to_owned())).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The values of one label of the series that satisfy all matchers, sorted. No matchers: of all series.
    pub fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ViewError> {
        let series = self.select(matchers, range, usize::MAX)?;
        let mut values: Vec<String> =
            series.iter().filter_map(|one| one.labels().get(name).map(str::to_owned)).collect();
        values.sort();
        values.dedup();
        Ok(values)
    }
}

impl SeriesView {
    /// What names the series.
    pub fn labels(&self) -> &Arc<Labels> {
        &self.labels
    }

    /// Appends the samples in `range` to `columns`, ascending, each timestamp once.
    /// On damage the columns are as before.
    pub fn read(&self, range: TimeRange, columns: &mut Columns) -> Result<(), ViewError> {
        for sample in &self.given[self.index].1 {
            if range.contains(sample.timestamp_ms) {
                columns.push(sample.timestamp_ms, sample.value);
            }
        }
        Ok(())
    }
}
