//! The head of a group: what lies where, and which column refers to which.

use super::{CHECKSUM_BYTES, COLUMNS_MAX, DEPTH_MAX, KIND_FLOATS, KIND_HISTOGRAMS, KIND_SAME, LAYOUT, SHORT_BYTES_MAX};
use crate::Corruption;
use crate::bytes::{Cursor, append_varint, append_zigzag, u32_at};
use crate::column::SAMPLES_MAX;

/// Layout and length of the head: what is read before the checksum is known to hold.
const PREFIX_BYTES: usize = 5;
const KIND_MASK: u8 = 0x0f;
const HAS_TIMESTAMPS: u8 = 0x10;
const HAS_REFERENCE: u8 = 0x20;

/// A body: among the head's short ones, or among those behind the head, and where there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    offset: u32,
    pub(super) bytes: u32,
}

impl Body {
    fn is_short(self) -> bool {
        self.bytes as usize <= SHORT_BYTES_MAX
    }
}

/// Where the next body of either sort starts.
#[derive(Default)]
struct Ends {
    short: usize,
    long: usize,
}

impl Ends {
    /// A body of so many bytes. There are 2,048 at most, so the sums are exact; an offset of more than 32 bits is cut off, but
    /// then the bodies exceed the group.
    #[inline]
    fn place(&mut self, bytes: u32) -> Body {
        let length = bytes as usize;
        let (end, taken) = if length <= SHORT_BYTES_MAX {
            (&mut self.short, length)
        } else {
            (&mut self.long, length + CHECKSUM_BYTES)
        };
        let offset = *end as u32;
        *end += taken;
        Body { offset, bytes }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TimestampsRow {
    pub(super) sample_count: usize,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    pub(super) body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ColumnRow {
    pub(super) kind: u8,
    pub(super) timestamps: u16,
    pub(super) reference: Option<u16>,
    /// Whether a column of floats refers to this one. Not stored: found when the head is opened.
    pub(super) is_referred_to: bool,
    pub(super) body: Body,
}

/// All rows of a group, checked against each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) timestamps: Vec<TimestampsRow>,
    pub(super) columns: Vec<ColumnRow>,
    shorts_at: usize,
    head_bytes: usize,
}

impl Head {
    pub(super) fn open(bytes: &[u8]) -> Result<Head, Corruption> {
        let (rows, head_bytes) = checked_rows(bytes)?;
        let mut cursor = Cursor::new(&rows[PREFIX_BYTES..]);
        let mut head = Head { head_bytes, ..Head::default() };
        let ends = head.read_rows(&mut cursor).map_err(|corruption| corruption.moved(PREFIX_BYTES as u64))?;
        head.shorts_at = PREFIX_BYTES + cursor.position();
        let fills = head.shorts_at + ends.short == rows.len()
            && head_bytes + ends.long == bytes.len()
            && u32::try_from(bytes.len()).is_ok();
        if !fills {
            return Err(Corruption::at(PREFIX_BYTES, "the bodies of a group do not fill it"));
        }
        head.check_references()?;
        Ok(head)
    }

    fn read_rows(&mut self, cursor: &mut Cursor<'_>) -> Result<Ends, Corruption> {
        let column_count = row_count(cursor)?;
        let timestamps_count = row_count(cursor)?;
        let mut ends = Ends::default();
        self.timestamps.reserve_exact(timestamps_count);
        for _ in 0..timestamps_count {
            self.timestamps.push(TimestampsRow::read(cursor, &mut ends)?);
        }
        self.columns.reserve_exact(column_count);
        for _ in 0..column_count {
            self.read_column(cursor, column_count, &mut ends)?;
        }
        Ok(ends)
    }

    /// Reads one row. It is put together where it stays: 5 ns, while a row returned and moved took 8.
    #[inline]
    fn read_column(&mut self, cursor: &mut Cursor<'_>, column_count: usize, ends: &mut Ends) -> Result<(), Corruption> {
        let kind = cursor.u8()?;
        if kind & !(KIND_MASK | HAS_TIMESTAMPS | HAS_REFERENCE) != 0 {
            return Err(cursor.corruption("the row of a column has flags without meaning"));
        }
        let timestamps = if kind & HAS_TIMESTAMPS == 0 { 0 } else { cursor.varint()? };
        if timestamps >= self.timestamps.len() as u64 {
            return Err(cursor.corruption("a column has timestamps that do not exist"));
        }
        let mut reference = None;
        if kind & HAS_REFERENCE != 0 {
            let index = cursor.zigzag()?.wrapping_add(self.columns.len() as i64) as u64;
            if index >= column_count as u64 {
                return Err(cursor.corruption("a column refers to one that does not exist"));
            }
            reference = Some(index as u16);
        }
        self.columns.push(ColumnRow {
            kind: kind & KIND_MASK,
            timestamps: timestamps as u16,
            reference,
            is_referred_to: false,
            body: ends.place(cursor.varint_u32()?),
        });
        Ok(())
    }

    fn check_references(&mut self) -> Result<(), Corruption> {
        for index in 0..self.columns.len() {
            self.check_chain(index).map_err(|what| Corruption::at(PREFIX_BYTES, what))?;
            if let ColumnRow { kind: KIND_FLOATS, reference: Some(reference), .. } = self.columns[index] {
                self.columns[usize::from(reference)].is_referred_to = true;
            }
        }
        Ok(())
    }

    fn check_chain(&self, index: usize) -> Result<(), &'static str> {
        let row = self.columns[index];
        let is_empty = self.timestamps[usize::from(row.timestamps)].sample_count == 0;
        match (row.kind, row.reference) {
            (KIND_FLOATS, _) if is_empty && row.body.bytes > 0 => Err("a column without samples has bytes"),
            (KIND_HISTOGRAMS, _) if is_empty => Err("a column of histograms has no samples"),
            (KIND_HISTOGRAMS, Some(_)) => Err("a column of histograms refers to another"),
            (KIND_SAME, None) => Err("a column is the same as none"),
            (KIND_SAME, Some(_)) if row.body.bytes > 0 => Err("a column that is the same as another has bytes"),
            (KIND_SAME, Some(_)) => self.follow(row).map(|_| ()),
            (KIND_FLOATS, Some(_)) => {
                let mut last = row;
                for _ in 0..DEPTH_MAX {
                    last = self.follow(last)?;
                }
                if last.reference.is_none() { Ok(()) } else { Err("a reference leads further than two columns") }
            }
            _ => Ok(()),
        }
    }

    /// The column that `row` refers to, or itself without a reference.
    fn follow(&self, row: ColumnRow) -> Result<ColumnRow, &'static str> {
        let Some(reference) = row.reference else { return Ok(row) };
        let next = self.columns[usize::from(reference)];
        if next.kind != KIND_FLOATS || next.timestamps != row.timestamps {
            return Err("a column refers to one of another kind or other timestamps");
        }
        Ok(next)
    }

    /// Its length, the checksum included.
    pub(super) fn bytes(&self) -> usize {
        self.head_bytes
    }

    /// Where a body starts in the group, and its bytes once they are known to be as written.
    pub(super) fn checked_body<'a>(&self, group: &'a [u8], body: Body) -> Result<(usize, &'a [u8]), Corruption> {
        let (start, bytes) = self.body(group, body);
        let end = start + bytes.len();
        if !body.is_short() && u32_at(group, end) != crc32c::crc32c(bytes) {
            return Err(Corruption::at(end, "a column of a group does not match its checksum"));
        }
        Ok((start, bytes))
    }

    /// The same without the check.
    pub(super) fn body<'a>(&self, group: &'a [u8], body: Body) -> (usize, &'a [u8]) {
        let start = if body.is_short() { self.shorts_at } else { self.head_bytes } + body.offset as usize;
        (start, &group[start..start + body.bytes as usize])
    }
}

/// The head without its checksum, and its length with it.
fn checked_rows(bytes: &[u8]) -> Result<(&[u8], usize), Corruption> {
    if bytes.len() < PREFIX_BYTES {
        return Err(Corruption::at(bytes.len(), "a group ends within its head"));
    }
    if bytes[0] != LAYOUT {
        return Err(Corruption::at(0, "the layout of a group is not one we read"));
    }
    let head_bytes = u32_at(bytes, 1) as usize;
    if head_bytes > bytes.len() || head_bytes < PREFIX_BYTES + CHECKSUM_BYTES {
        return Err(Corruption::at(1, "a group ends within its head"));
    }
    let rows_end = head_bytes - CHECKSUM_BYTES;
    let rows = &bytes[..rows_end];
    if u32_at(bytes, rows_end) != crc32c::crc32c(rows) {
        return Err(Corruption::at(rows_end, "the head of a group does not match its checksum"));
    }
    Ok((rows, head_bytes))
}

fn row_count(cursor: &mut Cursor<'_>) -> Result<usize, Corruption> {
    // A row takes two bytes at least.
    let count = cursor.count(2)?;
    if count > COLUMNS_MAX { Err(cursor.corruption("a group has more columns than it may")) } else { Ok(count) }
}

impl TimestampsRow {
    fn read(cursor: &mut Cursor<'_>, ends: &mut Ends) -> Result<TimestampsRow, Corruption> {
        let sample_count = cursor.varint()?;
        if sample_count > SAMPLES_MAX as u64 {
            return Err(cursor.corruption("a column has more samples than it may"));
        }
        let first_ms = cursor.zigzag()?;
        let last_ms = first_ms.wrapping_add(cursor.varint()? as i64);
        let body = ends.place(cursor.varint_u32()?);
        Ok(TimestampsRow { sample_count: sample_count as usize, first_ms, last_ms, body })
    }

    pub(super) fn append(&self, body_bytes: usize, out: &mut Vec<u8>) {
        append_varint(out, self.sample_count as u64);
        append_zigzag(out, self.first_ms);
        append_varint(out, self.last_ms.wrapping_sub(self.first_ms) as u64);
        append_varint(out, body_bytes as u64);
    }
}

impl ColumnRow {
    pub(super) fn append(&self, index: usize, body_bytes: usize, out: &mut Vec<u8>) {
        let timestamps = if self.timestamps == 0 { 0 } else { HAS_TIMESTAMPS };
        let reference = if self.reference.is_none() { 0 } else { HAS_REFERENCE };
        out.push(self.kind | timestamps | reference);
        if self.timestamps != 0 {
            append_varint(out, u64::from(self.timestamps));
        }
        if let Some(reference) = self.reference {
            append_zigzag(out, i64::from(reference) - index as i64);
        }
        append_varint(out, body_bytes as u64);
    }
}

/// Appends a group whose rows are written by `append_rows` and whose bodies, in row order, are these.
pub(super) fn append_group<'b>(
    column_count: usize,
    timestamps_count: usize,
    bodies: impl Iterator<Item = &'b [u8]> + Clone,
    out: &mut Vec<u8>,
    append_rows: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[LAYOUT, 0, 0, 0, 0]);
    append_varint(out, column_count as u64);
    append_varint(out, timestamps_count as u64);
    append_rows(out);
    let is_short = |body: &&[u8]| body.len() <= SHORT_BYTES_MAX;
    for body in bodies.clone().filter(is_short) {
        out.extend_from_slice(body);
    }
    let head_bytes = u32::try_from(out.len() - start + CHECKSUM_BYTES).expect("2,048 rows of at most 40 bytes");
    out[start + 1..start + PREFIX_BYTES].copy_from_slice(&head_bytes.to_le_bytes());
    let checksum = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
    for body in bodies.filter(|body| !is_short(body)) {
        out.extend_from_slice(body);
        out.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    }
}
