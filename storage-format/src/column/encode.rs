//! Whole numbers to bytes.

use super::predict::{Order, Slope, divisor, quotients, take_reference, take_remainders};
use super::{Effort, Numbers, Role, Scale, exceptions, form_byte, pack, plan, scale_byte, sparse};
use crate::bytes::{append_varint, append_zigzag};
use crate::entropy;
use plan::{Code, Weighed};
use sparse::Others;

/// Writes columns; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub struct Encoder {
    entropy: entropy::Encoder,
    quotients: Vec<i64>,
    against_reference: Vec<i64>,
    residuals: Vec<i64>,
    best: Vec<u8>,
    attempt: Vec<u8>,
    packed: pack::Plan,
    others: Others,
    gaps: pack::Plan,
    other_residuals: pack::Plan,
}

impl Encoder {
    /// Appends one column. With a reference, the integers of another column of equal length, it tells this one by how it
    /// differs from that one where this is shorter; returns whether it did, and only then does a reader need it. Without
    /// one it would be no shorter, so there is no need to try both.
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

    /// Appends a series, told in the shortest of the ways that are worth a try; returns whether it refers.
    fn append_series(&mut self, numbers: &[i64], role: Role<'_>, effort: Effort, out: &mut Vec<u8>) -> bool {
        if effort == Effort::Plain {
            self.append_plain(numbers, out);
            return false;
        }
        let mut divisor = divisor(numbers).max(1);
        let mut grown = std::mem::take(&mut self.quotients);
        quotients(numbers, divisor, &mut grown);
        let mut remainders = Vec::new();
        self.best.clear();
        let mut slope = None;
        if let Role::Integers { reference } = role {
            let frequent = plan::frequent_divisor(&grown);
            if frequent > 1 && divisor <= u64::from(u32::MAX) {
                take_remainders(&mut grown, divisor, frequent, &mut remainders);
                divisor *= frequent as u64;
            }
            slope = reference.and_then(|reference| self.take_reference(&grown, reference));
        }
        let head = Head { first: numbers[0], divisor, slope: None };
        let orders = plan::order(&grown, effort, &mut self.residuals);
        if slope.is_some() {
            let against = std::mem::take(&mut self.against_reference);
            let referring = plan::order(&against, effort, &mut self.residuals);
            let least_bits = f64::min(orders.0.1, referring.0.1);
            self.try_orders(&against, Head { slope, ..head }, referring, least_bits, effort);
            self.try_orders(&grown, head, orders, least_bits, effort);
            self.against_reference = against;
        } else {
            self.try_orders(&grown, head, orders, orders.0.1, effort);
        }
        self.quotients = grown;
        if !remainders.is_empty() {
            self.best[0] |= form_byte::REMAINDERS;
        }
        out.extend_from_slice(&self.best);
        let referring = self.best[0] & form_byte::REFERRING != 0;
        if !remainders.is_empty() {
            self.append_series(&remainders, Role::Side, effort, out);
        }
        referring
    }

    /// Appends a series as its distances to the first number, packed.
    fn append_plain(&mut self, numbers: &[i64], out: &mut Vec<u8>) {
        quotients(numbers, 1, &mut self.quotients);
        Order::Number.take(&self.quotients, &mut self.residuals);
        let form_at = out.len();
        Head { first: numbers[0], divisor: 1, slope: None }.append(Order::Number, out);
        out[form_at] |= form_byte::PACKED;
        self.packed.fit(&self.residuals);
        self.packed.append(&self.residuals, out);
    }

    /// Finds a slope, and leaves what it does not foretell of the quotients.
    fn take_reference(&mut self, quotients: &[i64], reference: &[i64]) -> Option<Slope> {
        assert_eq!(reference.len(), quotients.len(), "a reference has as many samples");
        let slope = plan::slope(quotients, reference)?;
        take_reference(quotients, reference, slope, &mut self.against_reference);
        Some(slope)
    }

    /// Tries the orders that are not much worse than the least of all by their estimate.
    fn try_orders(
        &mut self,
        numbers: &[i64],
        head: Head,
        (best, second): (Weighed, Option<Weighed>),
        least_bits: f64,
        effort: Effort,
    ) {
        for (order, bits) in std::iter::once(best).chain(second) {
            if bits > least_bits && !plan::is_close(bits, least_bits) {
                continue;
            }
            order.take(numbers, &mut self.residuals);
            let mut attempt = std::mem::take(&mut self.attempt);
            attempt.clear();
            head.append(order, &mut attempt);
            attempt[0] |= self.append_residuals(effort, &mut attempt);
            // What takes no reference is tried last, and is taken if it is as short.
            if self.best.is_empty() || attempt.len() <= self.best.len() {
                std::mem::swap(&mut attempt, &mut self.best);
            }
            self.attempt = attempt;
        }
    }

    /// Appends the residuals by a code that the plan has for them, and returns its field of the form byte.
    fn append_residuals(&mut self, effort: Effort, out: &mut Vec<u8>) -> u8 {
        let residuals = &self.residuals;
        let (common, others) = plan::common(residuals);
        if others == 0 {
            append_zigzag(out, common);
            return form_byte::CONSTANT;
        }
        let code = plan::code(others, residuals.len(), effort);
        if code == Code::Entropy {
            self.entropy.encode(residuals, out);
            return form_byte::ENTROPY;
        }
        if code != Code::Packed {
            self.others.take(residuals, common);
            self.gaps.fit(self.others.gaps());
            self.other_residuals.fit(self.others.residuals());
        }
        if code != Code::Sparse {
            self.packed.fit(residuals);
        }
        let sparse_bits = sparse::HEAD_BITS + self.gaps.bits + self.other_residuals.bits;
        if code == Code::Sparse || code == Code::SparseOrPacked && sparse_bits <= self.packed.bits {
            self.others.append(&self.gaps, &self.other_residuals, out);
            form_byte::SPARSE
        } else {
            self.packed.append(residuals, out);
            form_byte::PACKED
        }
    }
}

/// What stands before the order of a series.
#[derive(Clone, Copy)]
struct Head {
    first: i64,
    divisor: u64,
    slope: Option<Slope>,
}

impl Head {
    /// Appends the form byte, without the residuals' code, and the fields up to the residuals.
    fn append(self, order: Order, out: &mut Vec<u8>) {
        let form_at = out.len();
        out.push(0);
        append_zigzag(out, self.first);
        if self.divisor > 1 {
            out[form_at] |= form_byte::DIVIDED;
            append_varint(out, self.divisor);
        }
        if let Some(Slope { slope, fraction }) = self.slope {
            out[form_at] |= form_byte::REFERRING;
            append_zigzag(out, slope);
            out.push(fraction);
        }
        out[form_at] |= append_order(order, out);
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
