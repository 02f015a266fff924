//! Whole numbers to bytes.

use super::predict::{Slope, divisor, quotients, take_differences, take_reference};
use super::{Effort, Numbers, Scale, exceptions, form_byte, pack, plan, scale_byte, sparse};
use crate::bytes::{append_varint, append_zigzag};
use crate::entropy;
use plan::Code;

/// Writes columns; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub struct Encoder {
    entropy: entropy::Encoder,
    quotients: Vec<i64>,
    against_reference: Vec<i64>,
    residuals: Vec<i64>,
    /// Bytes of the code that is not the one kept.
    other: Vec<u8>,
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
        let referring = self.append_series(&numbers.integers, effort, reference, out);
        if !numbers.corrections.is_empty() {
            self.append_series(&numbers.corrections, effort, None, out);
        }
        referring
    }

    /// Appends a series and returns whether it refers.
    fn append_series(&mut self, numbers: &[i64], effort: Effort, reference: Option<&[i64]>, out: &mut Vec<u8>) -> bool {
        let divisor = divisor(numbers).max(1);
        quotients(numbers, divisor, &mut self.quotients);
        let mut order = plan::order(&self.quotients);
        let mut slope = None;
        if let Some(reference) = reference {
            assert_eq!(reference.len(), numbers.len(), "a reference has as many samples");
            (slope, order) = self.refer(reference, order);
        }
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
        slope.is_some()
    }

    /// Takes out what the reference foretells, if that pays.
    fn refer(&mut self, reference: &[i64], without: plan::Order) -> (Option<Slope>, plan::Order) {
        let Some(slope) = plan::slope(&self.quotients, reference) else { return (None, without) };
        take_reference(&self.quotients, reference, slope, &mut self.against_reference);
        let with = plan::order(&self.against_reference);
        if with.bits + plan::SLOPE_BITS < without.bits { (Some(slope), with) } else { (None, without) }
    }

    /// Appends the residuals by the code that the plan has for them, and returns the code's field of the form byte.
    fn append_residuals(&mut self, effort: Effort, out: &mut Vec<u8>) -> u8 {
        match plan::code(&self.residuals, effort) {
            Code::Constant(residual) => {
                append_zigzag(out, residual);
                form_byte::CONSTANT
            }
            Code::Sparse(common) => {
                sparse::append(&self.residuals, common, out);
                form_byte::SPARSE
            }
            Code::Packed => {
                pack::append(&self.residuals, out);
                form_byte::PACKED
            }
            Code::Entropy => {
                self.other.clear();
                self.entropy.encode(&self.residuals, &mut self.other);
                let before = out.len();
                pack::append(&self.residuals, out);
                if out.len() - before <= self.other.len() {
                    return form_byte::PACKED;
                }
                out.truncate(before);
                out.extend_from_slice(&self.other);
                form_byte::ENTROPY
            }
        }
    }
}

fn append_head(numbers: &Numbers, constant: bool, out: &mut Vec<u8>) {
    let head_at = out.len();
    out.push(match numbers.scale {
        Scale::Decimal { exponent } => scale_byte::DECIMAL | exponent,
        Scale::NearDecimal { exponent } => scale_byte::NEAR_DECIMAL | exponent,
        Scale::Binary { .. } => scale_byte::BINARY,
        Scale::Raw => scale_byte::RAW,
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
