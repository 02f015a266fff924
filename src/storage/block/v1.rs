//! Blocks of version 1: a chunk a series, in label order. Read for ever, written no more.

use storage_format::Corruption;
use storage_format::block_v1::{BlockReader, SeriesEntry};
use storage_format::chunk;

use super::super::columns::Columns;
use super::{Content, Depth, Facts, Visitor, WholeGroup};
use crate::disk::FileBytes;
use crate::model::{Labels, MatchOp, Matcher, TimeRange};

pub(super) struct ContentV1(BlockReader<FileBytes>);

impl ContentV1 {
    pub(super) fn open(bytes: FileBytes) -> Result<ContentV1, Corruption> {
        BlockReader::open(bytes).map(ContentV1)
    }

    /// The series that have the matcher's label with a value of which it says `wanted`, ascending.
    fn with_value(&self, matcher: &Matcher, wanted: bool) -> Result<Vec<u32>, Corruption> {
        if wanted && matcher.op() == MatchOp::Equal {
            return self.0.postings(matcher.name(), matcher.value());
        }
        let mut series = Vec::new();
        for value in self.0.values_of(matcher.name())? {
            let (value, postings) = value?;
            if matcher.matches(value) == wanted {
                postings.read(&mut series)?;
            }
        }
        series.sort_unstable();
        Ok(series)
    }
}

impl Content for ContentV1 {
    fn facts(&self) -> Facts {
        let meta = self.0.meta();
        Facts {
            from_ms: meta.range.min_time_ms,
            to_ms: meta.range.max_time_ms,
            created_ms: meta.range.created_ms,
            level: 0,
            series_count: u64::from(self.0.series_count()),
            sample_count: meta.sample_count,
        }
    }

    fn label_names(&self) -> Result<Vec<String>, Corruption> {
        Ok(self.0.label_names()?.into_iter().map(str::to_owned).collect())
    }

    fn label_values(&self, name: &str) -> Result<Vec<String>, Corruption> {
        self.0.values_of(name)?.map(|value| value.map(|(value, _)| value.to_owned())).collect()
    }

    fn visit_matching(&self, matchers: &[Matcher], visitor: &mut Visitor<'_>) -> Result<(), Corruption> {
        let (subtracting, requiring): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| matcher.matches_absent());
        let mut found: Option<Vec<u32>> = None;
        for matcher in requiring {
            let slots = self.with_value(matcher, true)?;
            found = Some(match found {
                None => slots,
                Some(mut earlier) => {
                    earlier.retain(|series| slots.binary_search(series).is_ok());
                    earlier
                }
            });
        }
        let mut found = found.unwrap_or_else(|| (0..self.0.series_count()).collect());
        for matcher in subtracting {
            let excluded = self.with_value(matcher, false)?;
            found.retain(|series| excluded.binary_search(series).is_err());
        }
        let mut entry = SeriesEntry::default();
        for series in found {
            self.0.read_series(series, &mut entry)?;
            visitor(series, &entry.labels);
        }
        Ok(())
    }

    fn find(&self, labels: &Labels) -> Result<Option<u32>, Corruption> {
        let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
        Ok(self.select(&matchers)?.into_iter().find(|(_, found)| found == labels).map(|(series, _)| series))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) -> Result<(), Corruption> {
        let mut entry = SeriesEntry::default();
        for series in 0..self.0.series_count() {
            self.0.read_series(series, &mut entry)?;
            visitor(series, &entry.labels);
        }
        Ok(())
    }

    fn labels(&self, series: u32) -> Result<Labels, Corruption> {
        let mut entry = SeriesEntry::default();
        self.0.read_series(series, &mut entry)?;
        Labels::from_pairs(entry.labels.iter().copied()).map_err(|_| super::bad_labels())
    }

    fn read(&self, series: u32, range: TimeRange, columns: &mut Columns) -> Result<(), Corruption> {
        let mut entry = SeriesEntry::default();
        self.0.read_series(series, &mut entry)?;
        let mut outcome = Ok(());
        for meta in &entry.chunks {
            let span = TimeRange { from_ms: meta.min_timestamp_ms, to_ms: meta.max_timestamp_ms };
            if span.overlaps(range) {
                let start = columns.len();
                let decode = |stored| chunk::decode_stored(stored, &mut columns.timestamps_ms, &mut columns.values);
                let decoded = self.0.chunk(meta).and_then(decode);
                if let Err(damage) = decoded {
                    columns.truncate(start);
                    outcome = outcome.and(Err(damage.moved(meta.offset)));
                }
            }
        }
        outcome
    }

    fn places(&self, _series: u32) -> Result<Option<Vec<(u32, u32)>>, Corruption> {
        Ok(None)
    }

    fn whole_group(&self, _group: u32) -> Result<Option<WholeGroup<'_>>, Corruption> {
        Ok(None)
    }

    fn verify(&self, _depth: Depth, damage: &mut Vec<Corruption>) {
        let mut entry = SeriesEntry::default();
        for series in 0..self.0.series_count() {
            if let Err(found) = self.0.read_series(series, &mut entry) {
                damage.push(found);
                continue;
            }
            for meta in &entry.chunks {
                let opened = self.0.chunk(meta).and_then(chunk::open_stored);
                damage.extend(opened.err().map(|found| found.moved(meta.offset)));
            }
        }
    }
}
