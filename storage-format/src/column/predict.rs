//! What is foretold: divisor, reference and differences, taken out by a writer and put back by a reader.
//!
//! 100, 125, 150, 175 less the first and divided by 25 are 0, 1, 2, 3, and their differences 1, 1, 1.
//!
//! Always true: all of it is modulo 2^64, so nothing overflows, and what is put back is what was taken out.

/// Another column foretells this one: `slope / 2^fraction` of its growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slope {
    pub(super) slope: i64,
    /// At most [`FRACTION_MAX`].
    pub(super) fraction: u8,
}

pub(super) const FRACTION_MAX: u8 = 62;

impl Slope {
    /// What is foretold where the reference has grown by `growth`.
    #[inline]
    fn foretell(self, growth: i64) -> i64 {
        let half = (1i64 << self.fraction) >> 1;
        self.slope.wrapping_mul(growth).wrapping_add(half) >> self.fraction
    }
}

/// The greatest number that divides every difference; 0 where all are equal.
pub(super) fn divisor(integers: &[i64]) -> u64 {
    let first = integers[0];
    let growth = |integer: &i64| integer.wrapping_sub(first);
    // A power of two shows in the low bits of all at once; what is left is mostly 1 after two steps.
    let bits = integers.iter().fold(0, |bits, integer| bits | growth(integer));
    if bits == 0 {
        return 0;
    }
    let twos = bits.trailing_zeros();
    let mut odd = 0;
    for integer in integers {
        odd = greatest_common_divisor(growth(integer).unsigned_abs() >> twos, odd);
        if odd == 1 {
            break;
        }
    }
    odd << twos
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Growth since the first, divided; `divisor` divides each.
pub(super) fn quotients(integers: &[i64], divisor: u64, out: &mut Vec<i64>) {
    let first = integers[0];
    out.clear();
    let growths = integers.iter().map(|integer| integer.wrapping_sub(first));
    if divisor.is_power_of_two() {
        let shift = divisor.trailing_zeros();
        out.extend(growths.map(|growth| growth >> shift));
    } else {
        out.extend(growths.map(|growth| growth.wrapping_div(divisor as i64)));
    }
}

/// Takes out what the reference foretells.
pub(super) fn take_reference(quotients: &[i64], reference: &[i64], slope: Slope, out: &mut Vec<i64>) {
    let first = reference[0];
    out.clear();
    let pairs = quotients.iter().zip(reference);
    out.extend(pairs.map(|(own, other)| own.wrapping_sub(slope.foretell(other.wrapping_sub(first)))));
}

/// Puts it back.
pub(super) fn put_reference(numbers: &mut [i64], reference: &[i64], slope: Slope) {
    let first = reference[0];
    for (own, other) in numbers.iter_mut().zip(reference) {
        *own = own.wrapping_add(slope.foretell(other.wrapping_sub(first)));
    }
}

/// Residuals of an order: as many as numbers, less one, less another for order 2.
pub(super) fn take_differences(numbers: &[i64], order: u8, out: &mut Vec<i64>) {
    out.clear();
    match order {
        0 => out.extend_from_slice(&numbers[1..]),
        1 => out.extend(numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]))),
        _ => out.extend(
            numbers
                .windows(3)
                .map(|three| three[2].wrapping_sub(three[1]).wrapping_sub(three[1].wrapping_sub(three[0]))),
        ),
    }
}

/// How many numbers stand before the first residual.
pub(super) fn lead(order: u8) -> usize {
    if order == 2 { 2 } else { 1 }
}

/// Puts back the differences of an order: `numbers` has its lead, then the residuals.
pub(super) fn put_differences(numbers: &mut [i64], order: u8) {
    match order {
        0 => {}
        1 => {
            let mut sum = numbers[0];
            for number in &mut numbers[1..] {
                sum = sum.wrapping_add(*number);
                *number = sum;
            }
        }
        _ => {
            let mut sum = numbers[1];
            let mut step = numbers[1].wrapping_sub(numbers[0]);
            for number in &mut numbers[2..] {
                step = step.wrapping_add(*number);
                sum = sum.wrapping_add(step);
                *number = sum;
            }
        }
    }
}

/// Multiplies by the divisor and adds the first.
pub(super) fn put_quotients(numbers: &mut [i64], first: i64, divisor: u64) {
    if divisor == 1 {
        for number in numbers {
            *number = number.wrapping_add(first);
        }
    } else {
        for number in numbers {
            *number = first.wrapping_add(number.wrapping_mul(divisor as i64));
        }
    }
}
