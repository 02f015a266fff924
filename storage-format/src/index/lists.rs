//! Which series have a name or a pair: one list, in the shortest of four ways to tell it.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use super::{Parts, PostingsTable};
use crate::Corruption;
use crate::bytes::{Cursor, append_varint};

/// The series one by one, each less the one before.
const VARINTS: u64 = 0;
/// A bitmap in Roaring's portable layout.
const BITMAP: u64 = 1;
/// As a list before.
const SAME: u64 = 2;
/// Two lists before, and one further on by a multiple of their difference.
const LINED_UP: u64 = 3;

/// Bytes of a list that is not worth more thought.
const SHORT_BYTES: usize = 3;
/// Bytes that a bitmap takes at least: no shorter list is tried as one.
const BITMAP_BYTES_MIN: usize = 15;

/// The series of a label name or a label pair, not yet decoded.
#[derive(Clone, Copy, Debug)]
pub struct PostingsList<'a> {
    table: PostingsTable<'a>,
    /// Position among all lists.
    index: usize,
    kind: u64,
    count: u32,
    body: Parts<'a>,
}

impl<'a> PostingsList<'a> {
    /// The list at `index` of the table, whose bytes are `parts`.
    pub(super) fn open(
        table: PostingsTable<'a>,
        index: usize,
        parts: Parts<'a>,
    ) -> Result<PostingsList<'a>, Corruption> {
        let mut cursor = Cursor::new(parts.bytes);
        let head = cursor.varint().map_err(|corruption| corruption.moved(parts.base))?;
        if head >> 2 > u64::from(table.series_count()) {
            return Err(parts.corruption(0, "a postings list has more series than there are"));
        }
        let body = parts.part(cursor.position(), parts.bytes.len());
        Ok(PostingsList { table, index, kind: head & 3, count: (head >> 2) as u32, body })
    }

    /// Number of series.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The series.
    pub fn read(&self) -> Result<RoaringBitmap, Corruption> {
        if self.kind == BITMAP {
            return self.read_bitmap();
        }
        let mut series = RoaringBitmap::new();
        self.add_to(&mut series)?;
        Ok(series)
    }

    /// Adds the series to a set. After an error `series` may have a part of them.
    pub fn add_to(&self, series: &mut RoaringBitmap) -> Result<(), Corruption> {
        match self.kind {
            VARINTS => self.read_varints(|one| {
                series.insert(one);
            }),
            BITMAP => {
                *series |= self.read_bitmap()?;
                Ok(())
            }
            SAME => self.source()?.add_to(series),
            _ => self.add_lined_up(series),
        }
    }

    fn read_varints(&self, mut add: impl FnMut(u32)) -> Result<(), Corruption> {
        let mut read = |cursor: &mut Cursor<'_>| {
            let mut ascending = Ascending::of(self.table.series_count());
            for _ in 0..self.count {
                let at = cursor.position();
                let next = ascending.before() + u64::from(cursor.varint_u32()?);
                add(ascending.next(next).map_err(|what| Corruption::at(at, what))?);
            }
            cursor.expect_end()
        };
        read(&mut Cursor::new(self.body.bytes)).map_err(|corruption| corruption.moved(self.body.base))
    }

    fn read_bitmap(&self) -> Result<RoaringBitmap, Corruption> {
        let mut rest = self.body.bytes;
        let series = RoaringBitmap::deserialize_from(&mut rest)
            .map_err(|_| self.body.corruption(0, "a bitmap of postings is not as Roaring's"))?;
        if !rest.is_empty() || series.len() != u64::from(self.count) {
            return Err(self.body.corruption(0, "a bitmap of postings differs from its count"));
        }
        if series.max().is_some_and(|last| last >= self.table.series_count()) {
            return Err(self.body.corruption(0, NO_SUCH_SERIES));
        }
        Ok(series)
    }

    /// The list that this one is the same as.
    fn source(&self) -> Result<PostingsList<'a>, Corruption> {
        let mut cursor = Cursor::new(self.body.bytes);
        let source = self.told_source(&mut cursor, &[VARINTS, BITMAP])?;
        cursor.expect_end().map_err(|corruption| corruption.moved(self.body.base))?;
        Ok(source)
    }

    /// The list told by how many lists it lies before this one: of as many series, and told in one of the ways of
    /// `kinds`, none of which leads further.
    fn told_source(&self, cursor: &mut Cursor<'_>, kinds: &[u64]) -> Result<PostingsList<'a>, Corruption> {
        let back = cursor.varint_u32().map_err(|corruption| corruption.moved(self.body.base))? as usize;
        let unfit = self.body.corruption(0, "a postings list is told by one that it cannot be told by");
        let source = self.table.list(self.index.checked_sub(back).ok_or(unfit)?)?;
        let fits = source.count == self.count && kinds.contains(&source.kind);
        if fits { Ok(source) } else { Err(unfit) }
    }

    fn add_lined_up(&self, series: &mut RoaringBitmap) -> Result<(), Corruption> {
        let mut cursor = Cursor::new(self.body.bytes);
        let [mut first, mut second] = [Vec::new(), Vec::new()];
        for list in [&mut first, &mut second] {
            self.told_source(&mut cursor, &[VARINTS])?.read_varints(|one| list.push(one))?;
        }
        let steps = cursor.varint_u32().and_then(|steps| cursor.expect_end().map(|()| steps));
        let steps = steps.map_err(|corruption| corruption.moved(self.body.base))?;
        let mut ascending = Ascending::of(self.table.series_count());
        for (first, second) in first.into_iter().zip(second) {
            let next = further(first, second, steps).ok_or(self.body.corruption(0, NO_SUCH_SERIES))?;
            series.insert(ascending.next(u64::from(next)).map_err(|what| self.body.corruption(0, what))?);
        }
        Ok(())
    }
}

const NO_SUCH_SERIES: &str = "a postings list names a series that does not exist";

/// Holds numbers to ascend below a count.
struct Ascending {
    before: Option<u32>,
    end: u32,
}

impl Ascending {
    fn of(end: u32) -> Ascending {
        Ascending { before: None, end }
    }

    /// The last number, or 0.
    fn before(&self) -> u64 {
        self.before.map_or(0, u64::from)
    }

    fn next(&mut self, number: u64) -> Result<u32, &'static str> {
        let number = u32::try_from(number).ok().filter(|number| *number < self.end).ok_or(NO_SUCH_SERIES)?;
        if self.before >= Some(number) {
            return Err("a postings list is not ascending");
        }
        self.before = Some(number);
        Ok(number)
    }
}

/// What lies `steps` times as far from `first` as `second` does.
fn further(first: u32, second: u32, steps: u32) -> Option<u32> {
    let way = (i64::from(second) - i64::from(first)).checked_mul(i64::from(steps))?;
    u32::try_from(i64::from(first).checked_add(way)?).ok()
}

/// Encodes lists one behind the other.
///
/// Nodes that expose the same lie beside each other in each of their series, so their lists are lined up: of 1,000
/// such nodes two lists are told, and each other one by three small numbers.
#[derive(Default)]
pub(super) struct ListEncoder<'a> {
    pub(super) out: Vec<u8>,
    count: usize,
    /// Where a list with series of its own stands among all.
    known: HashMap<&'a [u32], usize>,
    /// By length: the two lists that one may be lined up with, the second perhaps to come.
    lines: HashMap<usize, (&'a [u32], Option<&'a [u32]>)>,
}

impl<'a> ListEncoder<'a> {
    /// Appends a list of ascending series.
    pub(super) fn append(&mut self, series: &'a [u32]) {
        let head = (series.len() as u64) << 2;
        let start = self.out.len();
        append_varint(&mut self.out, head | VARINTS);
        let body = self.out.len();
        let mut before = 0;
        for one in series {
            append_varint(&mut self.out, u64::from(one - before));
            before = *one;
        }
        let length = self.out.len() - body;
        if length > SHORT_BYTES
            && let Some((kind, told)) = self.told_otherwise(series, length)
        {
            self.replace(start, head | kind, &told);
        }
        self.count += 1;
    }

    /// A way to tell the list in fewer bytes than the `length` of its varints. If there is none by other lists, others may be
    /// told by this one.
    fn told_otherwise(&mut self, series: &'a [u32], length: usize) -> Option<(u64, Vec<u8>)> {
        if self.known.contains_key(series) {
            return Some((SAME, self.back_to(&[series]))).filter(|told| told.1.len() < length);
        }
        let bitmap = bitmap_below(series, length);
        if bitmap.is_none()
            && let Some(told) = self.lined_up(series).filter(|told| told.len() < length)
        {
            return Some((LINED_UP, told));
        }
        self.known.insert(series, self.count);
        if bitmap.is_none() {
            self.continue_line(series);
        }
        bitmap.map(|bytes| (BITMAP, bytes))
    }

    /// How many lists ago each of `lists` was, as varints.
    fn back_to(&self, lists: &[&[u32]]) -> Vec<u8> {
        let mut told = Vec::new();
        lists.iter().for_each(|list| append_varint(&mut told, (self.count - self.known[*list]) as u64));
        told
    }

    fn lined_up(&self, series: &[u32]) -> Option<Vec<u8>> {
        let (first, second) = *self.lines.get(&series.len())?;
        let second = second?;
        let (way, step) = (series[0].checked_sub(first[0])?, second[0].checked_sub(first[0])?);
        let steps = way.checked_div(step)?;
        let fits = |index: usize| further(first[index], second[index], steps) == Some(series[index]);
        if !(0..series.len()).all(fits) {
            return None;
        }
        let mut told = self.back_to(&[first, second]);
        append_varint(&mut told, u64::from(steps));
        Some(told)
    }

    /// Makes the list the second of its line, or the first of another one.
    fn continue_line(&mut self, series: &'a [u32]) {
        let line = self.lines.entry(series.len()).or_insert((series, None));
        *line = match *line {
            (first, None) if first[0] < series[0] => (first, Some(series)),
            _ => (series, None),
        };
    }

    fn replace(&mut self, start: usize, head: u64, body: &[u8]) {
        self.out.truncate(start);
        append_varint(&mut self.out, head);
        self.out.extend_from_slice(body);
    }
}

/// The list as a bitmap, if that takes fewer than `length` bytes.
fn bitmap_below(series: &[u32], length: usize) -> Option<Vec<u8>> {
    if length <= BITMAP_BYTES_MIN {
        return None;
    }
    let mut bitmap = RoaringBitmap::from_sorted_iter(series.iter().copied()).expect("series ascend");
    bitmap.optimize();
    let bytes = bitmap.serialized_size();
    (bytes < length).then(|| {
        let mut out = Vec::with_capacity(bytes);
        bitmap.serialize_into(&mut out).expect("memory takes all writes");
        out
    })
}
