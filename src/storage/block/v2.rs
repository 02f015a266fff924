//! Blocks of version 2: groups of columns, a target each, and an index over them.

use std::cell::RefCell;
use std::sync::Arc;

use roaring::RoaringBitmap;
use storage_format::Corruption;
use storage_format::block::{BlockReader, SeriesEntry, SymbolCache};
use storage_format::group::{self, GroupReader, Scratch};
use storage_format::histogram::is_marker;

use super::super::columns::Columns;
use super::super::matched::{Matched, VALUES_MIN};
use super::{Content, Depth, Facts, Visitor, WholeGroup};
use crate::disk::FileBytes;
use crate::model::{Labels, MatchOp, Matcher, TimeRange};

/// Bytes of series that a block keeps for matchers which were asked before.
const MATCHED_BYTES_MAX: usize = 256 << 10;

pub(super) struct ContentV2 {
    reader: BlockReader<FileBytes>,
    /// The series that matchers found that were asked before.
    matched: Matched<RoaringBitmap>,
}

/// Blocks of which a thread keeps texts: whoever reads a series after the other goes through all blocks for each.
const CACHES_MAX: usize = 8;

/// What one thread keeps from one column to the next.
#[derive(Default)]
struct Kept {
    entry: SeriesEntry,
    caches: Caches,
    scratch: Scratch,
}

/// One of each block that was read last, the newest in front.
#[derive(Default)]
struct Caches(Vec<SymbolCache>);

impl Caches {
    fn of(&mut self, block: &BlockReader<FileBytes>) -> &mut SymbolCache {
        let place = self.0.iter().position(|cache| block.is_known_to(cache)).unwrap_or_else(|| {
            if self.0.len() < CACHES_MAX {
                self.0.push(SymbolCache::default());
            }
            self.0.len() - 1
        });
        self.0[..=place].rotate_right(1);
        &mut self.0[0]
    }
}

/// A block's values never change: what was found among them holds as long as the block does.
const UNCHANGING: u64 = 0;

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// Forgets what this thread keeps of blocks: it may come from a file that has turned to zeros.
pub(super) fn forget_kept() {
    KEPT.take();
}

impl ContentV2 {
    pub(super) fn open(bytes: FileBytes) -> Result<ContentV2, Corruption> {
        Ok(ContentV2 { reader: BlockReader::open(bytes)?, matched: Matched::new(MATCHED_BYTES_MAX) })
    }

    /// The series that have the matcher's label with a value of which it says `wanted`.
    fn with_value(&self, matcher: &Matcher, wanted: bool) -> Result<Arc<RoaringBitmap>, Corruption> {
        if matcher.op() == if wanted { MatchOp::Equal } else { MatchOp::NotEqual } {
            return self.reader.postings(matcher.name(), matcher.value()).map(Arc::new);
        }
        if let Some(known) = self.matched.find(matcher, wanted, UNCHANGING) {
            return Ok(known);
        }
        let (mut series, mut values) = (RoaringBitmap::new(), 0);
        for value in self.reader.values_of(matcher.name())? {
            let (value, postings) = value?;
            values += 1;
            if matcher.matches(&value) == wanted {
                postings.add_to(&mut series)?;
            }
        }
        let series = Arc::new(series);
        if values >= VALUES_MIN {
            self.matched.keep(matcher, wanted, UNCHANGING, series.serialized_size(), &series);
        }
        Ok(series)
    }

    fn matching(&self, matchers: &[Matcher]) -> Result<RoaringBitmap, Corruption> {
        let (subtracting, requiring): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| matcher.matches_absent());
        let mut found: Option<RoaringBitmap> = None;
        for matcher in requiring {
            let series = self.with_value(matcher, true)?;
            found = Some(match found {
                None => RoaringBitmap::clone(&series),
                Some(earlier) => earlier & &*series,
            });
        }
        let mut found = found.unwrap_or_else(|| (0..self.reader.series_count()).collect());
        for matcher in subtracting {
            found -= &*self.with_value(matcher, false)?;
        }
        Ok(found)
    }
}

impl Content for ContentV2 {
    fn facts(&self) -> Facts {
        let meta = self.reader.meta();
        Facts {
            from_ms: meta.range.min_time_ms,
            to_ms: meta.range.max_time_ms,
            created_ms: meta.range.created_ms,
            level: meta.range.level,
            series_count: meta.series_count,
            sample_count: meta.sample_count,
        }
    }

    fn label_names(&self) -> Result<Vec<String>, Corruption> {
        self.reader.label_names()
    }

    fn label_values(&self, name: &str) -> Result<Vec<String>, Corruption> {
        self.reader.values_of(name)?.map(|value| value.map(|(value, _)| value)).collect()
    }

    fn visit_matching(&self, matchers: &[Matcher], visitor: &mut Visitor<'_>) -> Result<(), Corruption> {
        let found = self.matching(matchers)?;
        KEPT.with_borrow_mut(|Kept { entry, caches, .. }| {
            self.reader.read_each(found, caches.of(&self.reader), entry, |series, entry, symbols| {
                let pairs: Vec<(&str, &str)> = entry.labels(symbols).collect();
                visitor(series, &pairs);
            })
        })
    }

    fn find(&self, labels: &Labels) -> Result<Option<u32>, Corruption> {
        self.reader.find_series(labels.iter())
    }

    fn visit(&self, visitor: &mut Visitor<'_>) -> Result<(), Corruption> {
        let (mut entry, mut symbols) = (SeriesEntry::default(), SymbolCache::default());
        self.reader.read_each(0..self.reader.series_count(), &mut symbols, &mut entry, |series, entry, symbols| {
            let pairs: Vec<(&str, &str)> = entry.labels(symbols).collect();
            visitor(series, &pairs);
        })
    }

    fn labels(&self, series: u32) -> Result<Labels, Corruption> {
        KEPT.with_borrow_mut(|Kept { entry, caches, .. }| {
            let symbols = caches.of(&self.reader);
            self.reader.read_series(series, symbols, entry)?;
            Labels::from_pairs(entry.labels(symbols)).map_err(|_| super::bad_labels())
        })
    }

    fn read(&self, series: u32, range: TimeRange, columns: &mut Columns) -> Result<(), Corruption> {
        KEPT.with_borrow_mut(|Kept { caches, scratch, .. }| {
            let mut outcome = Ok(());
            for place in self.reader.columns(series, caches.of(&self.reader))? {
                let meta = self.reader.group_meta(place.group)?;
                let span = TimeRange { from_ms: meta.min_time_ms, to_ms: meta.max_time_ms };
                if !span.overlaps(range) {
                    continue;
                }
                let start = columns.len();
                let mut read = || {
                    let group = self.reader.bytes_of(&meta)?;
                    let (timestamps_ms, values) = (&mut columns.timestamps_ms, &mut columns.values);
                    group::read_column(group, place.column as usize, scratch, timestamps_ms, values)?;
                    if !columns.has_value_from(start, |value| is_marker(value.to_bits())) {
                        return Ok(());
                    }
                    let histograms = &mut columns.histograms;
                    group::read_histograms(group, place.column as usize, scratch, |timestamp_ms, histogram| {
                        if range.contains(timestamp_ms) {
                            histograms.push((timestamp_ms, histogram.clone()));
                        }
                    })
                };
                if let Err(damage) = read() {
                    columns.truncate(start);
                    outcome = outcome.and(Err(damage.moved(meta.offset)));
                }
            }
            outcome
        })
    }

    fn places(&self, series: u32) -> Result<Option<Vec<(u32, u32)>>, Corruption> {
        KEPT.with_borrow_mut(|Kept { caches, .. }| {
            let columns = self.reader.columns(series, caches.of(&self.reader))?;
            Ok(Some(columns.iter().map(|place| (place.group, place.column)).collect()))
        })
    }

    fn whole_group(&self, group: u32) -> Result<Option<WholeGroup<'_>>, Corruption> {
        let (meta, bytes) = (self.reader.group_meta(group)?, self.reader.group_bytes(group)?);
        let column_count = GroupReader::open(bytes).map_err(|damage| damage.moved(meta.offset))?.column_count();
        let range = TimeRange { from_ms: meta.min_time_ms, to_ms: meta.max_time_ms };
        Ok(Some(WholeGroup { bytes, range, column_count, sample_count: meta.sample_count }))
    }

    fn verify(&self, depth: Depth, damage: &mut Vec<Corruption>) {
        let (mut entry, mut symbols) = (SeriesEntry::default(), SymbolCache::default());
        for series in 0..self.reader.series_count() {
            damage.extend(self.reader.read_series(series, &mut symbols, &mut entry).err());
        }
        let (mut scratch, mut columns) = (Scratch::default(), Columns::default());
        for number in 0..self.reader.group_count() {
            let offset = self.reader.group_meta(number).map_or(0, |meta| meta.offset);
            let group = match self.reader.group_bytes(number).and_then(GroupReader::open) {
                Ok(group) => group,
                Err(found) => {
                    damage.push(found.moved(offset));
                    continue;
                }
            };
            if depth == Depth::Checksums {
                damage.extend(group.check().err().map(|found| found.moved(offset)));
                continue;
            }
            for column in 0..group.column_count() {
                columns.clear();
                let read = group.read(column, &mut scratch, &mut columns.timestamps_ms, &mut columns.values);
                damage.extend(read.err().map(|found| found.moved(offset)));
            }
        }
    }
}
