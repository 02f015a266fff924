//! Values, each in one of the record's forms: how it is meant, and in how many bytes.
//!
//! The values of a scrape take few forms, by the hundred: small counts, byte counters, cents. A record lists its
//! fifteen commonest once, and a row names its own in four bits.

use crate::Corruption;
use crate::bytes::Cursor;
use crate::decimal;

/// Forms from 0: exponent (4 bits), sign, and bytes (3 bits).
const NEGATIVE: u8 = 8;
/// Forms of a difference to the last decimal, by bytes.
const DIFFERENCE: u8 = 224;
/// Forms of the high bytes of the 64 bits, by bytes.
const RAW: u8 = 232;
/// The form of a value that stands a few rows before.
const REPEAT: u8 = 241;

/// Forms that a record lists at most.
const LISTED_MAX: usize = 15;
/// In place of a listed form: the form stands before the value's bytes.
const UNLISTED: u8 = 15;

/// How many rows back a repeated value may be.
const REPEAT_ROWS: usize = 256;

/// A value as it will be written.
#[derive(Clone, Copy)]
struct Coded {
    /// In the low bytes, those above zero.
    word: u64,
    form: u8,
    bytes: u8,
}

impl Coded {
    #[inline]
    fn decimal(mantissa: i64, exponent: u8) -> Coded {
        let word = mantissa.unsigned_abs();
        let bytes = bytes_of(word);
        let sign = if mantissa < 0 { NEGATIVE } else { 0 };
        Coded { word, form: exponent << 4 | sign | bytes, bytes }
    }

    fn raw(value: f64) -> Coded {
        let bits = value.to_bits();
        let cut = if bits == 0 { 8 } else { bits.trailing_zeros() / 8 };
        let bytes = 8 - cut as u8;
        Coded { word: bits.checked_shr(8 * cut).unwrap_or(0), form: RAW + bytes, bytes }
    }

    #[inline]
    fn difference(difference: i64) -> Coded {
        let word = ((difference << 1) ^ (difference >> 63)) as u64;
        let bytes = bytes_of(word);
        Coded { word, form: DIFFERENCE + bytes, bytes }
    }
}

/// How many low bytes of `word` are needed: 0 to 8.
#[inline]
fn bytes_of(word: u64) -> u8 {
    (64 - word.leading_zeros()).div_ceil(8) as u8
}

/// The last value that was a decimal, or a difference to one.
#[derive(Clone, Copy)]
struct LastDecimal {
    mantissa: i64,
    exponent: u8,
}

/// What the first difference is to.
const FIRST_DECIMAL: LastDecimal = LastDecimal { mantissa: 0, exponent: 0 };

/// A value that was written not long ago, and how many rows were before it.
#[derive(Clone, Copy)]
struct Recent {
    bits: u64,
    row: usize,
}

/// Gathers the values of a payload.
pub(super) struct FormWriter {
    coded: Vec<Coded>,
    /// By a hash of the bits. All of them begin as +0.0, which is never looked for: it takes no bytes.
    recent: [Recent; REPEAT_ROWS],
    last: LastDecimal,
    exponent_hint: u8,
    row_counts: [u32; 256],
}

impl FormWriter {
    pub(super) fn with_capacity(row_count: usize) -> FormWriter {
        FormWriter {
            coded: Vec::with_capacity(row_count),
            recent: [Recent { bits: 0, row: 0 }; REPEAT_ROWS],
            last: FIRST_DECIMAL,
            exponent_hint: 2,
            row_counts: [0; 256],
        }
    }

    /// Chooses the form of the next value.
    #[inline]
    pub(super) fn push(&mut self, value: f64) {
        let decimal = self.decimal(value);
        let mut coded = match decimal {
            Some(decimal) => self.decimal_or_difference(decimal),
            None => Coded::raw(value),
        };
        if coded.bytes > 1
            && let Some(distance) = self.rows_back(value.to_bits())
        {
            coded = Coded { word: distance as u64 - 1, form: REPEAT, bytes: 1 };
        } else if let Some(decimal) = decimal {
            self.last = decimal;
        }
        self.row_counts[usize::from(coded.form)] += 1;
        self.coded.push(coded);
    }

    #[inline]
    fn decimal(&mut self, value: f64) -> Option<LastDecimal> {
        if let Some(mantissa) = decimal::integer(value) {
            return Some(LastDecimal { mantissa, exponent: 0 });
        }
        let exponent = self.exponent_hint;
        if let Some(mantissa) = decimal::mantissa(value, exponent)
            && mantissa % 10 != 0
        {
            return Some(LastDecimal { mantissa, exponent });
        }
        let found = fraction(value)?;
        self.exponent_hint = found.exponent;
        Some(found)
    }

    #[inline]
    fn decimal_or_difference(&self, decimal: LastDecimal) -> Coded {
        let plain = Coded::decimal(decimal.mantissa, decimal.exponent);
        if decimal.exponent == self.last.exponent {
            let difference = Coded::difference(decimal.mantissa - self.last.mantissa);
            if difference.bytes < plain.bytes {
                return difference;
            }
        }
        plain
    }

    /// How many rows before this one its value stands, if that is known and near; remembers the row in any case.
    #[inline]
    fn rows_back(&mut self, bits: u64) -> Option<usize> {
        let row = self.coded.len();
        let slot = &mut self.recent[(bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize];
        let before = std::mem::replace(slot, Recent { bits, row });
        let distance = row - before.row;
        (before.bits == bits && distance <= REPEAT_ROWS).then_some(distance)
    }

    /// Appends the list of forms, the form of each row, and the bytes of each value.
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        let (listed, places) = self.listed();
        out.push(listed.len() as u8);
        out.extend_from_slice(&listed);

        for pair in self.coded.chunks(2) {
            let place = |coded: &Coded| places[usize::from(coded.form)];
            out.push(place(&pair[0]) | pair.get(1).map_or(0, place) << 4);
        }
        out.reserve(self.coded.len() * 9);
        for coded in &self.coded {
            if places[usize::from(coded.form)] == UNLISTED {
                out.push(coded.form);
            }
            let start = out.len();
            out.extend_from_slice(&coded.word.to_le_bytes());
            out.truncate(start + usize::from(coded.bytes));
        }
    }

    /// The commonest forms, and by form the place that it has among them.
    fn listed(&self) -> (Vec<u8>, [u8; 256]) {
        let mut listed: Vec<u8> = (0..=u8::MAX).filter(|form| self.row_counts[usize::from(*form)] > 0).collect();
        listed.sort_by_key(|form| std::cmp::Reverse(self.row_counts[usize::from(*form)]));
        listed.truncate(LISTED_MAX);
        let mut places = [UNLISTED; 256];
        for (place, form) in listed.iter().enumerate() {
            places[usize::from(*form)] = place as u8;
        }
        (listed, places)
    }
}

/// The shortest decimal that `value` is, if it is one with digits behind the point.
fn fraction(value: f64) -> Option<LastDecimal> {
    // Whatever has few digits behind the point is a decimal at a large exponent too, as long as that one is exact: one
    // test spares the values that are none all others.
    let widest = match value.abs() {
        magnitude if magnitude < 2.0 => 13,
        magnitude if magnitude < 2e6 => 9,
        magnitude if magnitude < 2e10 => 5,
        _ => 2,
    };
    decimal::mantissa(value, widest)?;
    (1..=widest).find_map(|exponent| {
        let mantissa = decimal::mantissa(value, exponent)?;
        Some(LastDecimal { mantissa, exponent })
    })
}

/// What a form says, spelled out.
#[derive(Clone, Copy)]
struct Form {
    nature: Nature,
    bytes: usize,
    exponent: u8,
    is_negative: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    Decimal,
    Difference,
    Raw,
    Repeat,
    /// A number that is no form.
    None,
}

impl Form {
    const NONE: Form = Form { nature: Nature::None, bytes: 0, exponent: 0, is_negative: false };

    fn of(form: u8) -> Form {
        match form {
            ..DIFFERENCE => Form {
                nature: Nature::Decimal,
                bytes: usize::from(form & 7),
                exponent: form >> 4,
                is_negative: form & NEGATIVE != 0,
            },
            DIFFERENCE..RAW => Form { nature: Nature::Difference, bytes: usize::from(form - DIFFERENCE), ..Form::NONE },
            RAW..REPEAT => Form { nature: Nature::Raw, bytes: usize::from(form - RAW), ..Form::NONE },
            REPEAT => Form { nature: Nature::Repeat, bytes: 1, ..Form::NONE },
            _ => Form::NONE,
        }
    }
}

/// Reads the values of a payload one by one.
pub(super) struct FormReader<'a> {
    listed: [Form; LISTED_MAX],
    places: &'a [u8],
    cursor: Cursor<'a>,
    row: usize,
    last: LastDecimal,
    recent: [f64; REPEAT_ROWS],
}

impl<'a> FormReader<'a> {
    /// Reads what stands before the values; they go to the end of the payload.
    pub(super) fn parse(cursor: &mut Cursor<'a>, row_count: usize) -> Result<FormReader<'a>, Corruption> {
        let listed_count = usize::from(cursor.u8()?);
        if listed_count > LISTED_MAX {
            return Err(cursor.corruption("more forms are listed than a row can name"));
        }
        let mut listed = [Form::NONE; LISTED_MAX];
        for (place, form) in listed.iter_mut().zip(cursor.take(listed_count)?) {
            *place = Form::of(*form);
        }
        let places = cursor.take(row_count.div_ceil(2))?;
        let (cursor, recent) = (cursor.clone(), [0.0; REPEAT_ROWS]);
        Ok(FormReader { listed, places, cursor, row: 0, last: FIRST_DECIMAL, recent })
    }

    /// The value of the next row. Panics behind the last one.
    #[inline]
    pub(super) fn next(&mut self) -> Result<f64, Corruption> {
        let place = self.places[self.row / 2] >> (4 * (self.row & 1)) & 0x0f;
        let form = if place == UNLISTED { Form::of(self.cursor.u8()?) } else { self.listed[usize::from(place)] };
        let word = self.cursor.word(form.bytes)?;
        let value = match form.nature {
            Nature::Decimal => {
                let mantissa = if form.is_negative { -(word as i64) } else { word as i64 };
                self.decimal(mantissa, form.exponent)?
            }
            Nature::Difference => {
                let difference = (word >> 1) as i64 ^ -((word & 1) as i64);
                self.decimal(self.last.mantissa + difference, self.last.exponent)?
            }
            Nature::Raw if form.bytes == 0 => 0.0,
            Nature::Raw => f64::from_bits(word << (64 - 8 * form.bytes)),
            Nature::Repeat if (word as usize) < self.row => self.recent[(self.row - 1 - word as usize) % REPEAT_ROWS],
            Nature::Repeat => return Err(self.cursor.corruption("a value repeats one before the first")),
            Nature::None => return Err(self.cursor.corruption("a row has a form that is none")),
        };
        self.recent[self.row % REPEAT_ROWS] = value;
        self.row += 1;
        Ok(value)
    }

    #[inline]
    fn decimal(&mut self, mantissa: i64, exponent: u8) -> Result<f64, Corruption> {
        if mantissa.unsigned_abs() > decimal::MANTISSA_MAX as u64 {
            return Err(self.cursor.corruption("a decimal is out of range"));
        }
        self.last = LastDecimal { mantissa, exponent };
        Ok(decimal::value_of(mantissa, exponent))
    }

    /// Fails unless all bytes were read.
    pub(super) fn finish(self) -> Result<(), Corruption> {
        if self.row % 2 == 1 && self.places[self.row / 2] >> 4 != 0 {
            return Err(self.cursor.corruption("a form is named for no row"));
        }
        self.cursor.expect_end()
    }
}
