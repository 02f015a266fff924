//! Putting blocks together: a target at a time, its series joined over all sources.
//!
//! ```text
//! 00–06 ─ node-1: [ 40 columns × 1,440 scrapes ] ─ taken as it is ──────► [ 40 × 1,440 ]
//! 06–08 ─ node-1: [ 40 × 480 ] ┐
//! 08–10 ─ node-1: [ 40 × 480 ] ├─ read, joined, written anew ───────────► [ 40 × 1,440 ]
//! 10–12 ─ node-1: [ 40 × 480 ] ┘
//! ```
//!
//! A group that is full already costs a copy of its bytes, so a sample is coded twice in its life: when it is cut, and
//! when its group is full.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::block::{Member, WholeGroup};
use super::build::{BlockBuilder, Building, GROUP_COLUMNS, GROUP_SCRAPES, target_of};
use super::seal::Maintenance;
use super::view::ViewError;
use super::{BLOCK_MS, Storage, StorageError, Task};
use crate::model::{Labels, TimeRange};

/// Event time that is read from the old blocks at once, in ms.
const WINDOW_MS: i64 = 3 * BLOCK_MS;
/// A group with as many scrapes a column is left as it is.
const FULL_SCRAPES: u64 = GROUP_SCRAPES as u64 * 3 / 4;
/// Groups are taken as they are for targets up to so many series: what is read beside them waits in memory for all at once.
const COPIED_SERIES_MAX: usize = 4 * GROUP_COLUMNS;

/// One merge under way.
pub(super) struct Merging<'a> {
    pub(super) storage: &'a Storage,
    pub(super) maintenance: &'a mut Maintenance,
    /// In order of time.
    pub(super) sources: &'a [Member],
    /// The time of all of them.
    pub(super) range: TimeRange,
    pub(super) keep: &'a dyn Fn(&Labels) -> bool,
}

/// Where a series that is merged lies: index of the source, number there.
type Origins = Vec<(usize, u32)>;
/// A group that stays as it is, with the index of each column's series.
type FullGroup<'a> = (WholeGroup<'a>, Vec<usize>);

impl Merging<'_> {
    pub(super) fn run(&mut self, builder: &mut BlockBuilder<'_>) -> Result<(), StorageError> {
        let series = self.by_target()?;
        let progress = self.storage.progress.begin(Task::Compact, series.len() as u64);
        for target in series.chunk_by(|a, b| a.0 == b.0) {
            self.let_others()?;
            let (mut series, origins) = self.join(target)?;
            self.write_target(&mut series, &origins, builder)?;
            progress.add(target.len() as u64);
        }
        Ok(())
    }

    /// Cuts what is due meanwhile, and ends with an error if somebody waits. Series without a target are all of one, so
    /// it is not enough to do so between targets.
    fn let_others(&mut self) -> Result<(), StorageError> {
        if self.storage.is_interrupted() {
            return Err(StorageError::Interrupted);
        }
        self.storage.cut_due(self.maintenance).map(|_| ())
    }

    /// Every series of every source, ordered by target: hash of the target, index of the source, number there.
    fn by_target(&self) -> Result<Vec<(u64, u32, u32)>, StorageError> {
        let mut all = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            let visited = source.block.visit(&mut |series, labels| {
                all.push((target_of(labels.iter().copied()), index as u32, series));
            });
            visited.map_err(|what| self.unreadable(index, &what))?;
        }
        all.sort_unstable();
        Ok(all)
    }

    /// The series of one target, those of equal labels joined, in label order.
    fn join(&self, target: &[(u64, u32, u32)]) -> Result<(Vec<Building>, Vec<Origins>), StorageError> {
        let mut by_labels: BTreeMap<Labels, Origins> = BTreeMap::new();
        for (_, source, series) in target {
            let source = *source as usize;
            let labels = self.sources[source].block.labels(*series);
            let labels = labels.map_err(|what| self.unreadable(source, &what))?;
            if (self.keep)(&labels) {
                by_labels.entry(labels).or_default().push((source, *series));
            }
        }
        let split = |(labels, origins)| (Building::new(Arc::new(labels)), origins);
        Ok(by_labels.into_iter().map(split).unzip())
    }

    fn write_target(
        &mut self,
        series: &mut [Building],
        origins: &[Origins],
        builder: &mut BlockBuilder<'_>,
    ) -> Result<(), StorageError> {
        if series.len() > COPIED_SERIES_MAX || !self.are_apart() {
            for (series, origins) in series.chunks_mut(GROUP_COLUMNS).zip(origins.chunks(GROUP_COLUMNS)) {
                self.let_others()?;
                self.read(self.range, series, origins, builder)?;
                builder.append(series)?;
            }
            return Ok(());
        }
        for source in 0..self.sources.len() {
            let groups = self.full_groups(source, origins).map_err(|what| self.unreadable(source, &what))?;
            match groups {
                Some(groups) => {
                    // What was read of earlier sources comes before them.
                    builder.append(series)?;
                    for (group, columns) in groups {
                        builder.copy_group(series, &columns, &group)?;
                    }
                }
                None => self.read(self.sources[source].block.span(), series, origins, builder)?,
            }
        }
        builder.append(series)
    }

    /// Whether no two sources have a moment in common.
    fn are_apart(&self) -> bool {
        self.sources.windows(2).all(|pair| pair[0].block.span().to_ms < pair[1].block.span().from_ms)
    }

    /// The groups that the source has of these series, each with the index of its columns' series, if all of them can
    /// stay as they are: full, and nothing of them deleted or left out.
    fn full_groups(&self, source: usize, origins: &[Origins]) -> Result<Option<Vec<FullGroup<'_>>>, ViewError> {
        let Member { block, deleted } = &self.sources[source];
        if block.facts().level == 0 || !deleted.is_empty() {
            return Ok(None);
        }
        let mut groups: BTreeMap<u32, BTreeMap<u32, usize>> = BTreeMap::new();
        for (index, origins) in origins.iter().enumerate() {
            for (_, number) in origins.iter().filter(|(from, _)| *from == source) {
                let Some(places) = block.places(*number)? else { return Ok(None) };
                for (group, column) in places {
                    groups.entry(group).or_default().insert(column, index);
                }
            }
        }
        let mut full = Vec::with_capacity(groups.len());
        for (number, columns) in groups {
            let Some(group) = block.whole_group(number)? else { return Ok(None) };
            let is_full = group.sample_count >= FULL_SCRAPES * columns.len() as u64;
            if !is_full || group.column_count != columns.len() {
                return Ok(None);
            }
            full.push((group, columns.into_values().collect()));
        }
        Ok(Some(full))
    }

    /// Reads the series' samples in `range` a window of time after the other, and writes them whenever a group is full.
    fn read(
        &self,
        range: TimeRange,
        series: &mut [Building],
        origins: &[Origins],
        builder: &mut BlockBuilder<'_>,
    ) -> Result<(), StorageError> {
        let mut from_ms = range.from_ms;
        while from_ms <= range.to_ms {
            let to_ms = from_ms.saturating_add(WINDOW_MS - 1).min(range.to_ms);
            let mut most = 0;
            for (building, origins) in series.iter_mut().zip(origins) {
                let columns = &mut building.columns;
                let start = columns.len();
                for (source, number) in origins {
                    let window = TimeRange { from_ms, to_ms };
                    let read = self.sources[*source].read_unchecked(*number, window, start, columns);
                    read.map_err(|what| self.unreadable(*source, &what))?;
                }
                most = most.max(columns.len());
            }
            for (source, member) in self.sources.iter().enumerate() {
                member.block.check().map_err(|what| self.unreadable(source, &what))?;
            }
            if most >= GROUP_SCRAPES {
                builder.append(series)?;
            }
            from_ms = to_ms.saturating_add(1);
        }
        Ok(())
    }

    fn unreadable(&self, source: usize, what: &ViewError) -> StorageError {
        StorageError::Unreadable { block: self.sources[source].block.path().to_owned(), what: what.to_string() }
    }
}
