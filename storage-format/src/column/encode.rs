//! Whole numbers to bytes.

use std::fmt;

use super::predict::{Slope, divisor, quotients, take_differences, take_reference, take_remainders};
use super::{Effort, Numbers, Role, Scale, exceptions, form_byte, pack, plan, scale_byte, sparse};
use crate::bytes::{append_varint, append_zigzag};
use crate::entropy;
use sparse::Others;

/// Writes columns; keeps its buffers from one to the next.
#[derive(Default)]
pub struct Encoder {
    entropy: entropy::Encoder,
    quotients: Vec<i64>,
    against_reference: Vec<i64>,
    residuals: Vec<i64>,
    packed: pack::Plan,
    others: Others,
    gaps: pack::Plan,
    other_residuals: pack::Plan,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Encoder {
    /// Appends one column. With a reference, the integers of another column of equal length, it may tell this one by how
    /// it differs from that one; returns whether it did, and only then does a reader need it.
    pub fn encode(&mut self, numbers: &Numbers, effort: Effort, reference: Option<&[i64]>, out: &mut Vec<u8>) -> bool {
        let constant = numbers.is_constant();
        append_head(numbers, constant, out);
        if constant {
            append_zigzag(out, numbers.integers[0]);
            return false;
        }
        let referring = self.append_series(&numbers.integers, Role::Integers { reference }, effort, out);
        if !numbers.corrections.is_empty() {
            self.append_series(&numbers.corrections, Role::Side, effort, out);
        }
        referring
    }

    /// Appends a series and returns whether it refers.
    fn append_series(&mut self, numbers: &[i64], role: Role<'_>, effort: Effort, out: &mut Vec<u8>) -> bool {
        let mut divisor = divisor(numbers).max(1);
        quotients(numbers, divisor, &mut self.quotients);
        let mut remainders = Vec::new();
        let (slope, order) = if let Role::Integers { reference } = role {
            let frequent = plan::frequent_divisor(&self.quotients);
            if frequent > 1 && divisor <= u64::from(u32::MAX) {
                take_remainders(&mut self.quotients, divisor, frequent, &mut remainders);
                divisor *= frequent as u64;
            }
            self.foretell(reference)
        } else {
            (None, plan::order(&self.quotients))
        };
        let foretold = if slope.is_some() { &self.against_reference } else { &self.quotients };
        take_differences(foretold, order.order, &mut self.residuals);
        let second = (order.order == 2).then(|| foretold[1]);

        let form_at = out.len();
        out.push(order.order);
        append_zigzag(out, numbers[0]);
        if divisor > 1 {
            out[form_at] |= form_byte::DIVIDED;
            append_varint(out, divisor);
        }
        if let Some(Slope { slope, fraction }) = slope {
            out[form_at] |= form_byte::REFERRING;
            append_zigzag(out, slope);
            out.push(fraction);
        }
        if let Some(second) = second {
            append_zigzag(out, second);
        }
        out[form_at] |= self.append_residuals(effort, out);
        if !remainders.is_empty() {
            out[form_at] |= form_byte::REMAINDERS;
            self.append_series(&remainders, Role::Side, effort, out);
        }
        slope.is_some()
    }

    /// The order of the quotients, and what the reference foretells of them, if that pays.
    fn foretell(&mut self, reference: Option<&[i64]>) -> (Option<Slope>, plan::Order) {
        let without = plan::order(&self.quotients);
        let Some(reference) = reference else { return (None, without) };
        assert_eq!(reference.len(), self.quotients.len(), "a reference has as many samples");
        let Some(slope) = plan::slope(&self.quotients, reference) else { return (None, without) };
        take_reference(&self.quotients, reference, slope, &mut self.against_reference);
        let with = plan::order(&self.against_reference);
        if with.bits + plan::SLOPE_BITS < without.bits { (Some(slope), with) } else { (None, without) }
    }

    /// Appends the residuals by the code that takes fewest bytes, and returns its field of the form byte.
    fn append_residuals(&mut self, effort: Effort, out: &mut Vec<u8>) -> u8 {
        let residuals = &self.residuals;
        let (common, others) = plan::common(residuals);
        if others == 0 {
            append_zigzag(out, common);
            return form_byte::CONSTANT;
        }
        let code = plan::code(others, residuals.len(), effort);
        let mut bits = u32::MAX;
        if code.asks_sparse {
            self.others.take(residuals, common);
            self.gaps.fit(self.others.gaps());
            self.other_residuals.fit(self.others.residuals());
            bits = sparse::HEAD_BITS + self.gaps.bits + self.other_residuals.bits;
        }
        let mut form = form_byte::SPARSE;
        if code.asks_packed {
            self.packed.fit(residuals);
            if self.packed.bits < bits {
                (form, bits) = (form_byte::PACKED, self.packed.bits);
            }
        }
        if code.asks_entropy {
            let before = out.len();
            self.entropy.encode(residuals, out);
            if (out.len() - before) as u64 * 8 <= u64::from(bits) {
                return form_byte::ENTROPY;
            }
            out.truncate(before);
        }
        if form == form_byte::SPARSE {
            self.others.append(&self.gaps, &self.other_residuals, out);
        } else {
            self.packed.append(residuals, out);
        }
        form
    }
}

fn append_head(numbers: &Numbers, constant: bool, out: &mut Vec<u8>) {
    let head_at = out.len();
    out.push(match numbers.scale {
        Scale::Decimal { exponent } => scale_byte::DECIMAL | exponent,
        Scale::NearDecimal { exponent } => scale_byte::NEAR_DECIMAL | exponent,
        Scale::Product { exponent } => scale_byte::PRODUCT | exponent,
        Scale::Binary { .. } => scale_byte::OTHER | scale_byte::BINARY,
        Scale::Raw => scale_byte::OTHER | scale_byte::RAW,
    });
    if let Scale::Binary { shift } = numbers.scale {
        append_zigzag(out, i64::from(shift));
    }
    if !numbers.exceptions.is_empty() {
        out[head_at] |= scale_byte::EXCEPTIONS;
        exceptions::append(&numbers.exceptions, out);
    }
    if constant {
        out[head_at] |= scale_byte::CONSTANT;
    }
}
