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

/// Divides once more, leaving remainders of the undivided growth.
pub(super) fn take_remainders(quotients: &mut [i64], divisor: u64, frequent: i64, remainders: &mut Vec<i64>) {
    remainders.clear();
    remainders.extend(quotients.iter_mut().map(|quotient| {
        let remainder = quotient.rem_euclid(frequent);
        // Not what is left without the remainder, divided: near -2^63 that is no number of 64 bits.
        *quotient = quotient.div_euclid(frequent);
        remainder.wrapping_mul(divisor as i64)
    }));
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

/// From what came before each number is foretold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Nothing: the number itself.
    Number,
    /// The number before.
    Difference,
    /// The number before and its difference to the one before that; `second` is the second number.
    Second { second: i64 },
    /// An average of all numbers before, each counting for 1 - 2^-weight of the one behind it.
    Level { weight: u8 },
    /// The number before and such an average of the differences, which begins at `step`.
    Step { weight: u8, step: i64 },
}

/// Largest weight of an average.
pub(super) const WEIGHT_MAX: u8 = 15;

/// An average that grows by each surprise: its sum is 2^weight times as large.
#[derive(Clone, Copy)]
struct Average {
    sum: i64,
    weight: u8,
}

impl Average {
    fn starting_at(level: i64, weight: u8) -> Average {
        Average { sum: level << weight, weight }
    }

    #[inline]
    fn level(self) -> i64 {
        self.sum.wrapping_add((1 << self.weight) >> 1) >> self.weight
    }

    #[inline]
    fn learn(&mut self, residual: i64) {
        self.sum = self.sum.wrapping_add(residual);
    }
}

impl Order {
    /// How many numbers stand before the first residual; the first is 0.
    pub(super) fn lead(self) -> usize {
        if matches!(self, Order::Second { .. }) { 2 } else { 1 }
    }

    /// The residuals of numbers.
    pub(super) fn take(self, numbers: &[i64], out: &mut Vec<i64>) {
        out.clear();
        let differences = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
        match self {
            Order::Number => out.extend_from_slice(&numbers[1..]),
            Order::Difference => out.extend(differences),
            Order::Second { .. } => {
                let steps = numbers.windows(3).map(|three| (three[1].wrapping_sub(three[0]), three[2], three[1]));
                out.extend(steps.map(|(step, number, before)| number.wrapping_sub(before).wrapping_sub(step)));
            }
            Order::Level { weight } => surprises(numbers[1..].iter().copied(), Average::starting_at(0, weight), out),
            Order::Step { weight, step } => surprises(differences, Average::starting_at(step, weight), out),
        }
    }

    /// Puts the numbers in place of the residuals; the lead is there.
    pub(super) fn put(self, numbers: &mut [i64]) {
        match self {
            Order::Number => {}
            Order::Difference => put_sums(numbers),
            Order::Second { second } => {
                // Sums of the differences of steps are steps, and sums of these are the numbers.
                numbers[1] = second;
                put_sums(&mut numbers[1..]);
                put_sums(&mut numbers[1..]);
            }
            Order::Level { weight } => put_averaged(numbers, Average::starting_at(0, weight)),
            Order::Step { weight, step } => {
                put_averaged(numbers, Average::starting_at(step, weight));
                put_sums(numbers);
            }
        }
    }
}

fn surprises(numbers: impl Iterator<Item = i64>, mut average: Average, out: &mut Vec<i64>) {
    out.extend(numbers.map(|number| {
        let residual = number.wrapping_sub(average.level());
        average.learn(residual);
        residual
    }));
}

/// Puts the numbers in place of how they surprised, all but the first.
fn put_averaged(numbers: &mut [i64], mut average: Average) {
    for number in &mut numbers[1..] {
        let residual = *number;
        *number = average.level().wrapping_add(residual);
        average.learn(residual);
    }
}

/// Puts the sums in place of differences.
fn put_sums(differences: &mut [i64]) {
    let mut sum = 0i64;
    for difference in differences {
        sum = sum.wrapping_add(*difference);
        *difference = sum;
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
