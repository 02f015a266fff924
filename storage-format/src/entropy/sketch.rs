//! What a column's residuals look like: where the bulk lies, how wide it is, which value is frequent.

use super::histogram::{BINS, Histogram};
use super::linear::{self, centre_shift};

/// Residuals that tell where the bulk is if it does not fit a histogram of all.
const SAMPLE_MAX: usize = 128;
/// At least so many steps of a table are as wide as a deviation once steps are coarser than 1; fewer than twice as many.
const STEPS_A_DEVIATION: f64 = 3.5;
/// Deviations up to here need no coarser steps.
const DEVIATION_MAX: f64 = 6.5;

pub(super) struct Sketch {
    pub(super) min: i64,
    /// From the smallest to the largest.
    pub(super) span: u64,
    pub(super) histogram: Histogram,
    pub(super) mode: Mode,
    pub(super) shape: Shape,
    /// Residuals and how often they occur in all or in a sample, ascending.
    pub(super) points: Vec<(i64, u16)>,
}

/// A frequent value, and about how many residuals have it.
#[derive(Clone, Copy)]
pub(super) struct Mode {
    pub(super) value: i64,
    pub(super) count: usize,
}

/// The middle and some widths.
pub(super) struct Shape {
    pub(super) median: i64,
    /// From the first quartile to the third.
    quartiles: f64,
    /// From the 5th of hundred to the median, and from the median to the 95th.
    below: f64,
    above: f64,
}

impl Sketch {
    pub(super) fn of(residuals: &[i64], min: i64, span: u64) -> Sketch {
        if span < BINS as u64 {
            let histogram = Histogram::of(residuals, min, 0);
            let points: Vec<(i64, u16)> = histogram.points().collect();
            let (shape, mode) = (Shape::of(&points), Mode::of(&points, residuals.len()));
            return Sketch { min, span, histogram, mode, shape, points };
        }
        let points = sample(residuals);
        let (shape, mode) = (Shape::of(&points), Mode::of(&points, residuals.len()));
        let bin_shift = centre_shift(shape.shift());
        let middle = shape.median >> bin_shift << bin_shift;
        let base = middle.wrapping_sub((BINS as i64 / 2) << bin_shift);
        Sketch { min, span, histogram: Histogram::of(residuals, base, bin_shift), mode, shape, points }
    }
}

/// Residuals from all over the column, and how often each occurs among them.
fn sample(residuals: &[i64]) -> Vec<(i64, u16)> {
    let mut sample = [0; SAMPLE_MAX];
    let sample = &mut sample[..residuals.len().min(SAMPLE_MAX)];
    let count = sample.len();
    for (index, place) in sample.iter_mut().enumerate() {
        *place = residuals[index * residuals.len() / count];
    }
    sample.sort_unstable();
    sample.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len() as u16)).collect()
}

fn total(points: &[(i64, u16)]) -> usize {
    points.iter().map(|(_, times)| usize::from(*times)).sum()
}

impl Mode {
    fn of(points: &[(i64, u16)], count: usize) -> Mode {
        let (value, times) = *points.iter().max_by_key(|(_, times)| *times).expect("there is a residual");
        Mode { value, count: usize::from(times) * count / total(points) }
    }
}

impl Shape {
    fn of(points: &[(i64, u16)]) -> Shape {
        let total = total(points);
        let ranks = [total / 20, total / 4, total / 2, total * 3 / 4, total - 1 - total / 20];
        let [p5, q1, median, q3, p95] = quantiles(points, ranks);
        let width = |low: i64, high: i64| high.wrapping_sub(low) as u64 as f64;
        Shape { median, quartiles: width(q1, q3), below: width(p5, median), above: width(median, p95) }
    }

    /// That of a normal distribution with these widths, the larger one.
    fn deviation(&self) -> f64 {
        (self.quartiles / 1.35).max((self.below + self.above) / 3.6)
    }

    /// Bits of a step such that a table's steps hold the bulk.
    pub(super) fn shift(&self) -> u32 {
        let deviation = self.deviation();
        if deviation <= DEVIATION_MAX {
            return 0;
        }
        ((deviation / STEPS_A_DEVIATION).log2() as u32).min(linear::SHIFT_MAX)
    }

    /// Whether tables of equal steps may be bad at it, of which the best takes so many bits a residual.
    pub(super) fn is_odd(&self, bits: f64) -> bool {
        // Bits of a normal distribution are log2(deviation * sqrt(2 pi e)).
        let surplus = bits - self.deviation().max(0.3).log2() - 2.05;
        let heavy = (self.below + self.above) / 3.29 > 1.4 * self.quartiles / 1.35 + 0.5;
        let skewed = self.below.max(self.above) > 1.5 * self.below.min(self.above) + 3.0;
        heavy || skewed || !(-0.25..0.15).contains(&surplus)
    }

    /// About what half of the residuals are away from a centre.
    pub(super) fn typical_distance(&self, centre: i64) -> u64 {
        self.median.wrapping_sub(centre).unsigned_abs().max((self.quartiles / 2.0) as u64)
    }
}

/// The points at ascending ranks.
fn quantiles<const N: usize>(points: &[(i64, u16)], ranks: [usize; N]) -> [i64; N] {
    let mut points = points.iter();
    let (mut value, mut below) = (0, 0);
    ranks.map(|rank| {
        while below <= rank {
            let (next, times) = points.next().expect("a rank is below the number of residuals");
            (value, below) = (*next, below + usize::from(*times));
        }
        value
    })
}
