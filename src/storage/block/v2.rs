//! Blocks of version 2: groups of columns, a target each, and an index over them.

use std::cell::RefCell;

use roaring::RoaringBitmap;
use storage_format::Corruption;
use storage_format::block::{BlockReader, SeriesEntry, SymbolCache};
use storage_format::group::{GroupReader, Scratch};

use super::super::columns::Columns;
use super::{Content, Facts, Visitor};
use crate::disk::FileBytes;
use crate::model::{Labels, MatchOp, Matcher, TimeRange};

pub(super) struct ContentV2(BlockReader<FileBytes>);

/// What one thread keeps from one column to the next.
#[derive(Default)]
struct Kept {
    entry: SeriesEntry,
    symbols: SymbolCache,
    scratch: Scratch,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

impl ContentV2 {
    pub(super) fn open(bytes: FileBytes) -> Result<ContentV2, Corruption> {
        BlockReader::open(bytes).map(ContentV2)
    }

    /// The series that have the matcher's label with a value of which it says `wanted`.
    fn with_value(&self, matcher: &Matcher, wanted: bool) -> Result<RoaringBitmap, Corruption> {
        if wanted && matcher.op() == MatchOp::Equal {
            return self.0.postings(matcher.name(), matcher.value());
        }
        let mut series = RoaringBitmap::new();
        for value in self.0.values_of(matcher.name())? {
            let (value, postings) = value?;
            if matcher.matches(&value) == wanted {
                series |= postings.read()?;
            }
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
                None => series,
                Some(earlier) => earlier & series,
            });
        }
        let mut found = found.unwrap_or_else(|| (0..self.0.series_count()).collect());
        for matcher in subtracting {
            found -= self.with_value(matcher, false)?;
        }
        Ok(found)
    }
}
