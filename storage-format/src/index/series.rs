//! The series of an index in label order: which labels, which columns.

use super::entry::Entry;
use super::{Parts, PostingsTable};
use crate::Corruption;
use crate::bytes::Cursor;

/// Series told one from the other: a reader that wants one of them reads eight others on average.
pub const RUN_SERIES: u32 = 16;

/// The series region, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeriesTable<'a> {
    count: u32,
    shape_ends: Parts<'a>,
    runs: Parts<'a>,
    shape_names: Parts<'a>,
    entries: Parts<'a>,
}

/// Where reading stands: the series read last, from which the next one of its run is told.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) entry: Entry,
    /// The series behind the one in `entry`; 0 if there is none there.
    next: u32,
    /// Where that one starts, from the start of its run.
    at: usize,
}

impl<'a> SeriesTable<'a> {
    pub(crate) fn open(parts: Parts<'a>) -> Result<SeriesTable<'a>, Corruption> {
        let (head, end) = parts.table(0, 2, 4)?;
        let (count, shape_count) = (head.number(0), head.number(1));
        let (shape_ends, end) = parts.table(end, shape_count, 4)?;
        let (runs, end) = parts.table(end, count.div_ceil(RUN_SERIES), 4)?;
        let names_count = if shape_count == 0 { 0 } else { shape_ends.number(shape_count as usize - 1) };
        let (shape_names, end) = parts.table(end, names_count, 4)?;
        let entries = parts.part(end, parts.bytes.len());
        Ok(SeriesTable { count, shape_ends, runs, shape_names, entries })
    }

    /// Number of series.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Reads up to the series, from the start of its run or from where reading stands.
    pub(super) fn read(&self, series: u32, place: &mut Place) -> Result<(), Corruption> {
        if series >= self.count {
            return Err(self.runs.corruption(self.runs.bytes.len(), "a series lies outside of its region"));
        }
        let run = series / RUN_SERIES;
        // The entry itself may be the one that was read last.
        let within = place.next > run * RUN_SERIES && place.next <= series + 1;
        if !within {
            place.entry.restart();
            (place.next, place.at) = (run * RUN_SERIES, 0);
        }
        let run = self.run(run)?;
        while place.next <= series {
            let mut cursor = Cursor::new(run.part(place.at, run.bytes.len()).bytes);
            let label_count_of = |shape| Ok(self.shape(shape)?.bytes.len() / 4);
            let read = place.entry.read(&mut cursor, label_count_of);
            if let Err(corruption) = read {
                place.next = 0;
                return Err(corruption.moved(run.base + place.at as u64));
            }
            place.at += cursor.position();
            place.next += 1;
        }
        Ok(())
    }

    /// Appends the label pairs of an entry as number of name and number of pair.
    pub(super) fn labels(
        &self,
        entry: &Entry,
        postings: &PostingsTable<'a>,
        labels: &mut Vec<(u32, u32)>,
    ) -> Result<(), Corruption> {
        let names = self.shape(entry.shape)?;
        for (index, value) in entry.values.iter().enumerate() {
            let name = names.number(index);
            let outside = names.corruption(4 * index, "a series has a label that does not exist");
            if name >= postings.name_count() {
                return Err(outside);
            }
            let (first, end) = postings.pairs_of(name)?;
            let pair = first.checked_add(*value).filter(|pair| *pair < end).ok_or(outside)?;
            labels.push((name, pair));
        }
        Ok(())
    }

    /// The series with exactly these labels, told as numbers of names and pairs, if there is one.
    pub(crate) fn find(&self, wanted: &[(u32, u32)], postings: &PostingsTable<'a>) -> Result<Option<u32>, Corruption> {
        let (mut place, mut labels) = (Place::default(), Vec::new());
        let mut compare = |series: u32| {
            self.read(series, &mut place)?;
            labels.clear();
            self.labels(&place.entry, postings, &mut labels)?;
            Ok(labels.as_slice().cmp(wanted))
        };
        // The first run that starts behind it.
        let (mut low, mut high) = (0, self.count.div_ceil(RUN_SERIES));
        while low < high {
            let middle = low + (high - low) / 2;
            if compare(middle * RUN_SERIES)?.is_le() { low = middle + 1 } else { high = middle }
        }
        let run = low.saturating_sub(1) * RUN_SERIES;
        for series in run..(run.saturating_add(RUN_SERIES)).min(self.count) {
            match compare(series)? {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(Some(series)),
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    /// Numbers of the names of a shape.
    fn shape(&self, shape: u32) -> Result<Parts<'a>, Corruption> {
        let outside = self.shape_ends.corruption(0, "a series has a shape that does not exist");
        if shape as usize >= self.shape_ends.bytes.len() / 4 {
            return Err(outside);
        }
        let start = if shape == 0 { 0 } else { self.shape_ends.number(shape as usize - 1) };
        let end = self.shape_ends.number(shape as usize);
        if start > end || end as usize > self.shape_names.bytes.len() / 4 {
            return Err(outside);
        }
        Ok(self.shape_names.part(4 * start as usize, 4 * end as usize))
    }

    fn run(&self, run: u32) -> Result<Parts<'a>, Corruption> {
        let run = run as usize;
        let is_last = run + 1 == self.runs.bytes.len() / 4;
        let end = if is_last { self.entries.bytes.len() } else { self.runs.number(run + 1) as usize };
        let outside = self.runs.corruption(4 * run, "a run of series lies outside of its region");
        self.entries.checked_part(self.runs.number(run), end).ok_or(outside)
    }
}
