//! Whole numbers to bytes.

use std::fmt;

use super::predict::{Order, Slope, divisor, quotients, take_reference, take_remainders};
use super::{Effort, Numbers, Role, Scale, exceptions, form_byte, pack, plan, scale_byte, sparse};
use crate::bytes::{append_varint, append_zigzag};
use crate::entropy;
use plan::Foretold;
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
        let (slope, Foretold { order, .. }) = if let Role::Integers { reference } = role {
            let frequent = plan::frequent_divisor(&self.quotients);
            if frequent > 1 && divisor <= u64::from(u32::MAX) {
                take_remainders(&mut self.quotients, divisor, frequent, &mut remainders);
                divisor *= frequent as u64;
            }
            self.foretell(reference, effort)
        } else {
            (None, plan::order(&self.quotients, effort, &mut self.residuals).0)
        };
        let foretold = if slope.is_some() { &self.against_reference } else { &self.quotients };
        order.take(foretold, &mut self.residuals);

        let form_at = out.len();
        out.push(0);
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
        out[form_at] |= append_order(order, out);
        out[form_at] |= self.append_residuals(effort, out);
        if !remainders.is_empty() {
            out[form_at] |= form_byte::REMAINDERS;
            self.append_series(&remainders, Role::Side, effort, out);
        }
        slope.is_some()
    }

    /// The order of the quotients, and what the reference foretells of them, if that pays.
    fn foretell(&mut self, reference: Option<&[i64]>, effort: Effort) -> (Option<Slope>, Foretold) {
        let numbers = std::mem::take(&mut self.quotients);
        let without = self.order(&numbers, effort, reference.is_some());
        self.quotients = numbers;
        let Some(reference) = reference else { return (None, without) };
        assert_eq!(reference.len(), self.quotients.len(), "a reference has as many samples");
        let Some(slope) = plan::slope(&self.quotients, reference) else { return (None, without) };
        take_reference(&self.quotients, reference, slope, &mut self.against_reference);
        let numbers = std::mem::take(&mut self.against_reference);
        let with = self.order(&numbers, effort, true);
        self.against_reference = numbers;
        if with.bits + plan::SLOPE_BITS < without.bits { (Some(slope), with) } else { (None, without) }
    }

    /// The order of these numbers. For a compacted block the entropy code has the last word where two orders are close, and
    /// where the bits must be known well.
    fn order(&mut self, numbers: &[i64], effort: Effort, well: bool) -> Foretold {
        let (mut best, second) = plan::order(numbers, effort, &mut self.residuals);
        if effort == Effort::Compact && (well || second.is_some()) {
            best.bits = self.entropy_bits(numbers, best.order);
            if let Some(mut second) = second {
                second.bits = self.entropy_bits(numbers, second.order);
                if second.bits < best.bits {
                    best = second;
                }
            }
        }
        best
    }

    fn entropy_bits(&mut self, numbers: &[i64], order: Order) -> f64 {
        order.take(numbers, &mut self.residuals);
        self.entropy.cost_bits(&self.residuals) as f64
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

/// Appends what an order needs and returns its field of the form byte.
fn append_order(order: Order, out: &mut Vec<u8>) -> u8 {
    match order {
        Order::Number => form_byte::NUMBER,
        Order::Difference => form_byte::DIFFERENCE,
        Order::Second { second } => {
            append_zigzag(out, second);
            form_byte::SECOND
        }
        Order::Level { weight } => {
            out.push(weight);
            form_byte::NUMBER | form_byte::AVERAGED
        }
        Order::Step { weight, step } => {
            out.push(weight);
            append_zigzag(out, step);
            form_byte::DIFFERENCE | form_byte::AVERAGED
        }
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
