//! Bytes to whole numbers to values.

use super::predict::{FRACTION_MAX, Slope, lead, put_differences, put_quotients, put_reference};
use super::scale::{SHIFT_MAX, within_bound};
use super::{Numbers, SAMPLES_MAX, Scale, exceptions, form_byte, pack, scale_byte, sparse};
use crate::bytes::Cursor;
use crate::{Corruption, entropy};

/// Reads columns; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub struct Decoder {
    numbers: Numbers,
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
        decode(bytes, count, reference, numbers)
    }

    /// The same, appending the values; on damage they are as before.
    pub fn decode_values(
        &mut self,
        bytes: &[u8],
        count: usize,
        reference: Option<&[i64]>,
        values: &mut Vec<f64>,
    ) -> Result<(), Corruption> {
        decode(bytes, count, reference, &mut self.numbers)?;
        self.numbers.append_values(values);
        Ok(())
    }
}

fn decode(bytes: &[u8], count: usize, reference: Option<&[i64]>, numbers: &mut Numbers) -> Result<(), Corruption> {
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
        read_series(&mut cursor, count, reference, &mut numbers.integers)?;
        if near {
            read_series(&mut cursor, count, None, &mut numbers.corrections)?;
        }
    }
    let bounded = matches!(numbers.scale, Scale::Decimal { .. } | Scale::NearDecimal { .. });
    if bounded && !within_bound(&numbers.integers) {
        return Err(Corruption::at(0, "the whole number of a decimal exceeds 2^51"));
    }
    cursor.expect_end()
}

fn read_scale(head: u8, cursor: &mut Cursor<'_>) -> Result<Scale, Corruption> {
    let exponent = head & scale_byte::EXPONENT;
    let scale = match head & scale_byte::KIND {
        scale_byte::DECIMAL => return Ok(Scale::Decimal { exponent }),
        scale_byte::NEAR_DECIMAL => return Ok(Scale::NearDecimal { exponent }),
        scale_byte::BINARY => {
            let shift = i16::try_from(cursor.zigzag()?).ok().filter(|shift| shift.unsigned_abs() <= SHIFT_MAX as u16);
            Scale::Binary { shift: shift.ok_or(Corruption::at(1, "a binary scale shifts too far"))? }
        }
        _ => Scale::Raw,
    };
    if exponent == 0 { Ok(scale) } else { Err(Corruption::at(0, "only a decimal scale has an exponent")) }
}

fn read_series(
    cursor: &mut Cursor<'_>,
    count: usize,
    reference: Option<&[i64]>,
    numbers: &mut Vec<i64>,
) -> Result<(), Corruption> {
    let at = cursor.position();
    let form = cursor.u8()?;
    let order = form & form_byte::ORDER;
    if form & form_byte::UNUSED != 0 || order > 2 || lead(order) > count {
        return Err(Corruption::at(at, "a series has an unknown form"));
    }
    let first = cursor.zigzag()?;
    let divisor = if form & form_byte::DIVIDED == 0 { 1 } else { read_divisor(cursor)? };
    let slope = if form & form_byte::REFERRING == 0 { None } else { Some(read_slope(cursor)?) };
    // Room for a whole last row of a packed block.
    numbers.resize(lead(order) + (count - lead(order)).next_multiple_of(pack::LANES), 0);
    numbers[0] = 0;
    if order == 2 {
        numbers[1] = cursor.zigzag()?;
    }
    read_residuals(form & form_byte::CODE, cursor, count - lead(order), lead(order), numbers)?;
    numbers.truncate(count);
    put_differences(numbers, order);
    if let Some(slope) = slope {
        let reference = reference.filter(|reference| reference.len() == count);
        let reference = reference.ok_or(Corruption::at(at, "a series refers to a column that is not there"))?;
        put_reference(numbers, reference, slope);
    }
    put_quotients(numbers, first, divisor);
    Ok(())
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
    numbers: &mut Vec<i64>,
) -> Result<(), Corruption> {
    match code {
        form_byte::CONSTANT => {
            let residual = cursor.zigzag()?;
            numbers[lead..].fill(residual);
            Ok(())
        }
        form_byte::SPARSE => sparse::read(cursor, &mut numbers[lead..lead + count]),
        form_byte::PACKED => pack::read(cursor, count, &mut numbers[lead..]),
        _ => {
            numbers.truncate(lead);
            let at = cursor.position();
            let rest = cursor.clone().take(cursor.remaining())?;
            let used = entropy::decode(rest, count, numbers).map_err(|damage| damage.moved(at as u64))?;
            cursor.take(used).map(|_| ())
        }
    }
}
