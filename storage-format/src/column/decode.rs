//! Bytes to whole numbers to values.

use super::predict::{FRACTION_MAX, Order, Slope, WEIGHT_MAX, put_quotients, put_reference};
use super::scale::{SHIFT_MAX, within_bound};
use super::sparse::Others;
use super::{Numbers, Role, SAMPLES_MAX, Scale, exceptions, form_byte, pack, scale_byte};
use crate::bytes::Cursor;
use crate::{Corruption, entropy};

/// Buffers of reading.
#[derive(Debug, Default)]
struct Scratch {
    others: Others,
    remainders: Vec<i64>,
}

/// Reads columns; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub struct Decoder {
    numbers: Numbers,
    scratch: Scratch,
}

impl Decoder {
    /// Reads a column of `count` samples that is exactly these bytes. A column that was written with a reference is read
    /// with the same. On damage `numbers` are of no use.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        count: usize,
        reference: Option<&[i64]>,
        numbers: &mut Numbers,
    ) -> Result<(), Corruption> {
        decode(bytes, count, reference, &mut self.scratch, numbers)
    }

    /// The same, appending the values; on damage they are as before.
    pub fn decode_values(
        &mut self,
        bytes: &[u8],
        count: usize,
        reference: Option<&[i64]>,
        values: &mut Vec<f64>,
    ) -> Result<(), Corruption> {
        decode(bytes, count, reference, &mut self.scratch, &mut self.numbers)?;
        self.numbers.append_values(values);
        Ok(())
    }
}

fn decode(
    bytes: &[u8],
    count: usize,
    reference: Option<&[i64]>,
    scratch: &mut Scratch,
    numbers: &mut Numbers,
) -> Result<(), Corruption> {
    numbers.clear();
    if count == 0 || count > SAMPLES_MAX {
        return Err(Corruption::at(0, "a column has no samples or too many"));
    }
    let mut cursor = Cursor::new(bytes);
    let head = cursor.u8()?;
    numbers.scale = read_scale(head, &mut cursor)?;
    if head & scale_byte::EXCEPTIONS != 0 {
        exceptions::read(&mut cursor, count, &mut numbers.exceptions)?;
    }
    let near = matches!(numbers.scale, Scale::NearDecimal { .. });
    if head & scale_byte::CONSTANT != 0 {
        if near {
            return Err(Corruption::at(0, "a constant column is near-decimal"));
        }
        numbers.integers.resize(count, cursor.zigzag()?);
    } else {
        read_series(&mut cursor, count, Role::Integers { reference }, scratch, &mut numbers.integers)?;
        if near {
            read_series(&mut cursor, count, Role::Side, scratch, &mut numbers.corrections)?;
        }
    }
    let bounded = !matches!(numbers.scale, Scale::Binary { .. } | Scale::Raw);
    if bounded && !within_bound(&numbers.integers) {
        return Err(Corruption::at(0, "the whole number of a decimal exceeds 2^51"));
    }
    cursor.expect_end()
}

fn read_scale(head: u8, cursor: &mut Cursor<'_>) -> Result<Scale, Corruption> {
    let exponent = head & scale_byte::EXPONENT;
    match head & scale_byte::KIND {
        scale_byte::DECIMAL => Ok(Scale::Decimal { exponent }),
        scale_byte::NEAR_DECIMAL => Ok(Scale::NearDecimal { exponent }),
        scale_byte::PRODUCT => Ok(Scale::Product { exponent }),
        _ if exponent == scale_byte::BINARY => {
            let shift = i16::try_from(cursor.zigzag()?).ok().filter(|shift| shift.unsigned_abs() <= SHIFT_MAX as u16);
            Ok(Scale::Binary { shift: shift.ok_or(Corruption::at(1, "a binary scale shifts too far"))? })
        }
        _ if exponent == scale_byte::RAW => Ok(Scale::Raw),
        _ => Err(Corruption::at(0, "a column has an unknown scale")),
    }
}

fn read_series(
    cursor: &mut Cursor<'_>,
    count: usize,
    role: Role<'_>,
    scratch: &mut Scratch,
    numbers: &mut Vec<i64>,
) -> Result<(), Corruption> {
    let at = cursor.position();
    let form = cursor.u8()?;
    let of_integers = form_byte::REFERRING | form_byte::REMAINDERS;
    if matches!(role, Role::Side) && form & of_integers != 0 {
        return Err(Corruption::at(at, "a series of corrections or remainders refers or has remainders"));
    }
    let first = cursor.zigzag()?;
    let divisor = if form & form_byte::DIVIDED == 0 { 1 } else { read_divisor(cursor)? };
    let slope = if form & form_byte::REFERRING == 0 { None } else { Some(read_slope(cursor)?) };
    let order = read_order(form, cursor)?;
    let lead = order.lead();
    let residual_count = count.checked_sub(lead).ok_or(Corruption::at(at, "a series is shorter than its order"))?;
    // Room for a whole last row of a packed block.
    numbers.resize(lead + pack::rows_of(residual_count), 0);
    numbers[0] = 0;
    read_residuals(form & form_byte::CODE, cursor, residual_count, lead, &mut scratch.others, numbers)?;
    numbers.truncate(count);
    order.put(numbers);
    if let Some(slope) = slope {
        let Role::Integers { reference } = role else { unreachable!("only integers refer, as was checked") };
        let reference = reference.filter(|reference| reference.len() == count);
        let reference = reference.ok_or(Corruption::at(at, "a series refers to a column that is not there"))?;
        put_reference(numbers, reference, slope);
    }
    put_quotients(numbers, first, divisor);
    if form & form_byte::REMAINDERS != 0 { add_remainders(cursor, scratch, numbers) } else { Ok(()) }
}

/// Adds the remainders, a series of its own.
fn add_remainders(cursor: &mut Cursor<'_>, scratch: &mut Scratch, numbers: &mut [i64]) -> Result<(), Corruption> {
    let mut remainders = std::mem::take(&mut scratch.remainders);
    let read = read_series(cursor, numbers.len(), Role::Side, scratch, &mut remainders);
    for (number, remainder) in numbers.iter_mut().zip(&remainders) {
        *number = number.wrapping_add(*remainder);
    }
    scratch.remainders = remainders;
    read
}

fn read_order(form: u8, cursor: &mut Cursor<'_>) -> Result<Order, Corruption> {
    let averaged = form & form_byte::AVERAGED != 0;
    match form & form_byte::ORDER {
        form_byte::NUMBER if averaged => Ok(Order::Level { weight: read_weight(cursor)? }),
        form_byte::NUMBER => Ok(Order::Number),
        form_byte::DIFFERENCE if averaged => Ok(Order::Step { weight: read_weight(cursor)?, step: cursor.zigzag()? }),
        form_byte::DIFFERENCE => Ok(Order::Difference),
        form_byte::SECOND if !averaged => Ok(Order::Second { second: cursor.zigzag()? }),
        _ => Err(cursor.corruption("a series has an unknown order")),
    }
}

fn read_weight(cursor: &mut Cursor<'_>) -> Result<u8, Corruption> {
    let at = cursor.position();
    let weight = cursor.u8()?;
    if weight > WEIGHT_MAX { Err(Corruption::at(at, "an average has too large a weight")) } else { Ok(weight) }
}

fn read_divisor(cursor: &mut Cursor<'_>) -> Result<u64, Corruption> {
    let at = cursor.position();
    let divisor = cursor.varint()?;
    if divisor < 2 { Err(Corruption::at(at, "a divisor is less than 2")) } else { Ok(divisor) }
}

fn read_slope(cursor: &mut Cursor<'_>) -> Result<Slope, Corruption> {
    let slope = cursor.zigzag()?;
    let at = cursor.position();
    let fraction = cursor.u8()?;
    if fraction > FRACTION_MAX {
        return Err(Corruption::at(at, "the slope of a reference has too long a fraction"));
    }
    Ok(Slope { slope, fraction })
}

/// Reads `count` residuals to behind the lead.
fn read_residuals(
    code: u8,
    cursor: &mut Cursor<'_>,
    count: usize,
    lead: usize,
    others: &mut Others,
    numbers: &mut Vec<i64>,
) -> Result<(), Corruption> {
    match code {
        form_byte::CONSTANT => {
            let residual = cursor.zigzag()?;
            numbers[lead..].fill(residual);
            Ok(())
        }
        form_byte::SPARSE => others.read(cursor, &mut numbers[lead..lead + count]),
        form_byte::PACKED => pack::read_into(cursor, count, &mut numbers[lead..]),
        _ => {
            numbers.truncate(lead);
            let at = cursor.position();
            let rest = cursor.clone().take(cursor.remaining())?;
            let used = entropy::decode(rest, count, numbers).map_err(|damage| damage.moved(at as u64))?;
            cursor.take(used).map(|_| ())
        }
    }
}
