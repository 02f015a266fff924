//! One series of a run, told by what differs from the one before it.

use crate::Corruption;
use crate::bytes::{Cursor, append_varint, append_zigzag};

/// A series of more labels is always told whole: two bits of 64 say how the columns are told.
pub const MASK_LABELS_MAX: usize = 60;

/// Columns differ from those before as those from the ones before them.
const REPEATED: u64 = 0;
/// All groups and all columns differ by the same.
const SHIFTED: u64 = 1;
/// Columns are told one by one.
const TOLD: u64 = 2;
/// So are the labels.
const WHOLE: u64 = 3;

/// Where some of a series' samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnRef {
    /// Number of the group.
    pub group: u32,
    /// Number of the column in it.
    pub column: u32,
}

/// What was told last: what the next entry of the run differs from.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// Whether there is an entry before in the run.
    begun: bool,
    pub(super) shape: u32,
    /// Position of each label's value among those of its name.
    pub(super) values: Vec<u32>,
    pub(super) columns: Vec<ColumnRef>,
    shift: Shift,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shift {
    group: i64,
    column: i64,
}

impl Entry {
    /// Starts a run.
    pub(super) fn restart(&mut self) {
        self.begun = false;
    }

    /// Appends the series, which is then the last one. Its columns ascend by group.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, shape: u32, values: &[u32], columns: &[ColumnRef]) {
        let whole = !self.begun || shape != self.shape || values.len() > MASK_LABELS_MAX;
        let shift = self.shift_to(columns);
        let mode = match shift {
            _ if whole => WHOLE,
            Some(shift) if shift == self.shift => REPEATED,
            Some(_) => SHIFTED,
            None => TOLD,
        };
        if whole {
            append_varint(out, WHOLE);
            append_varint(out, u64::from(shape));
            values.iter().for_each(|value| append_varint(out, u64::from(*value)));
        } else {
            self.append_changes(out, mode, values);
        }
        match (mode, shift) {
            (REPEATED, _) => {}
            (SHIFTED, Some(shift)) => {
                append_zigzag(out, shift.group);
                append_zigzag(out, shift.column);
                self.shift = shift;
            }
            _ => {
                append_columns(out, columns);
                self.shift = Shift::default();
            }
        }
        self.begun = true;
        self.shape = shape;
        self.values.clear();
        self.values.extend_from_slice(values);
        self.columns.clear();
        self.columns.extend_from_slice(columns);
    }

    fn append_changes(&self, out: &mut Vec<u8>, mode: u64, values: &[u32]) {
        let differ = |index: usize| values[index] != self.values[index];
        let mask = (0..values.len()).filter(|index| differ(*index)).fold(0u64, |mask, index| mask | 1 << index);
        append_varint(out, mask << 2 | mode);
        for index in (0..values.len()).filter(|index| differ(*index)) {
            append_zigzag(out, i64::from(values[index]) - i64::from(self.values[index]));
        }
    }

    /// By how much all columns differ from the last ones, if by the same.
    fn shift_to(&self, columns: &[ColumnRef]) -> Option<Shift> {
        if columns.len() != self.columns.len() {
            return None;
        }
        let mut shifts = self.columns.iter().zip(columns).map(|(before, column)| Shift {
            group: i64::from(column.group) - i64::from(before.group),
            column: i64::from(column.column) - i64::from(before.column),
        });
        let first = shifts.next().unwrap_or(self.shift);
        shifts.all(|shift| shift == first).then_some(first)
    }

    /// Reads the next entry. `label_count_of` knows the shapes. After an error the run is to be restarted.
    pub(super) fn read(
        &mut self,
        cursor: &mut Cursor<'_>,
        label_count_of: impl Fn(u32) -> Result<usize, Corruption>,
    ) -> Result<(), Corruption> {
        let at = cursor.position();
        let head = cursor.varint()?;
        let mode = head & 3;
        if mode == WHOLE {
            self.shape = cursor.varint_u32()?;
            self.read_values(cursor, label_count_of(self.shape)?)?;
        } else if self.begun {
            self.read_changes(cursor, head >> 2)?;
        } else {
            return Err(Corruption::at(at, "the first series of a run is not told whole"));
        }
        self.begun = true;
        match mode {
            REPEATED => self.move_columns(at),
            SHIFTED => {
                self.shift = Shift { group: cursor.zigzag()?, column: cursor.zigzag()? };
                self.move_columns(at)
            }
            _ => self.read_columns(cursor),
        }
    }

    fn read_values(&mut self, cursor: &mut Cursor<'_>, label_count: usize) -> Result<(), Corruption> {
        self.values.clear();
        for _ in 0..label_count {
            self.values.push(cursor.varint_u32()?);
        }
        Ok(())
    }

    fn read_changes(&mut self, cursor: &mut Cursor<'_>, mut mask: u64) -> Result<(), Corruption> {
        while mask != 0 {
            let at = cursor.position();
            let difference = cursor.zigzag()?;
            let outside = Corruption::at(at, "a label differs by what is out of range");
            let value = self.values.get_mut(mask.trailing_zeros() as usize).ok_or(outside)?;
            *value = shifted(*value, difference).ok_or(outside)?;
            mask &= mask - 1;
        }
        Ok(())
    }

    fn move_columns(&mut self, at: usize) -> Result<(), Corruption> {
        let outside = Corruption::at(at, "a column differs by what is out of range");
        for place in &mut self.columns {
            place.group = shifted(place.group, self.shift.group).ok_or(outside)?;
            place.column = shifted(place.column, self.shift.column).ok_or(outside)?;
        }
        Ok(())
    }

    fn read_columns(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Corruption> {
        self.shift = Shift::default();
        self.columns.clear();
        let mut next = 0u64;
        for _ in 0..cursor.count(2)? {
            let at = cursor.position();
            let group = next + u64::from(cursor.varint_u32()?);
            let group = u32::try_from(group).map_err(|_| Corruption::at(at, "a group is out of range"))?;
            self.columns.push(ColumnRef { group, column: cursor.varint_u32()? });
            next = u64::from(group) + 1;
        }
        Ok(())
    }
}

fn shifted(number: u32, difference: i64) -> Option<u32> {
    u32::try_from(i64::from(number).checked_add(difference)?).ok()
}

fn append_columns(out: &mut Vec<u8>, columns: &[ColumnRef]) {
    append_varint(out, columns.len() as u64);
    let mut next = 0;
    for place in columns {
        append_varint(out, u64::from(place.group) - next);
        append_varint(out, u64::from(place.column));
        next = u64::from(place.group) + 1;
    }
}
