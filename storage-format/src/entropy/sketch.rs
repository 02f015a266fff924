//! What a column's residuals look like: where the bulk lies, how wide it is, which value is frequent.

use super::histogram::{BINS, Histogram};
use super::linear::{self, centre_shift};
use super::plan::Mode;

/// Residuals that tell where the bulk is if it does not fit a histogram of all.
const SAMPLE_MAX: usize = 128;
/// Steps of a table on either side of the centre hold so many deviations.
const STEPS_A_DEVIATION: f64 = 3.5;
/// Deviations up to here need no coarser steps.
const DEVIATION_MAX: f64 = 6.5;

pub(super) struct Sketch {
    pub(super) min: i64,
    /// From the smallest to the largest.
    pub(super) span: u64,
    pub(super) histogram: Histogram,
    pub(super) mode: Mode,
    pub(super) median: i64,
    /// Distances of quartiles from each other, and of the 5th and 95th of hundred from the median.
    quartiles: f64,
    below: f64,
    above: f64,
    /// Residuals and how often, in ascending order.
    points: Vec<(i64, u16)>,
}

impl Sketch {
    pub(super) fn of(residuals: &[i64], min: i64, span: u64) -> Sketch {
        if span < BINS as u64 { Sketch::of_all(residuals, min, span) } else { Sketch::of_sample(residuals, min, span) }
    }

    fn of_all(residuals: &[i64], min: i64, span: u64) -> Sketch {
        let histogram = Histogram::of(residuals, min, 0);
        let points: Vec<(i64, u16)> = histogram.points().collect();
        Sketch::new(min, span, points, residuals.len(), |_| histogram)
    }

    fn of_sample(residuals: &[i64], min: i64, span: u64) -> Sketch {
        let mut sample = [0; SAMPLE_MAX];
        let count = residuals.len().min(SAMPLE_MAX);
        let sample = &mut sample[..count];
        for (index, place) in sample.iter_mut().enumerate() {
            *place = residuals[index * residuals.len() / count];
        }
        sample.sort_unstable();
        let points = sample.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len() as u16)).collect();
        Sketch::new(min, span, points, residuals.len(), |sketch: (i64, u32)| {
            let (median, shift) = sketch;
            let bin_shift = centre_shift(shift);
            let middle = median >> bin_shift << bin_shift;
            Histogram::of(residuals, middle.wrapping_sub((BINS as i64 / 2) << bin_shift), bin_shift)
        })
    }

    fn new(
        min: i64,
        span: u64,
        points: Vec<(i64, u16)>,
        count: usize,
        histogram: impl FnOnce((i64, u32)) -> Histogram,
    ) -> Sketch {
        let total: usize = points.iter().map(|(_, times)| usize::from(*times)).sum();
        let [p5, q1, median, q3, p95] =
            quantiles(&points, [total / 20, total / 4, total / 2, total * 3 / 4, total - 1 - total / 20]);
        let distance = |low: i64, high: i64| high.wrapping_sub(low) as u64 as f64;
        let (value, times) = *points.iter().max_by_key(|(_, times)| *times).expect("there is a residual");
        let mode = Mode { value, count: usize::from(times) * count / total };
        let (quartiles, below, above) = (distance(q1, q3), distance(p5, median), distance(median, p95));
        let shift = shift(deviation(quartiles, below + above));
        let histogram = histogram((median, shift));
        Sketch { min, span, histogram, mode, median, quartiles, below, above, points }
    }

    fn deviation(&self) -> f64 {
        deviation(self.quartiles, self.below + self.above)
    }

    /// Bits of a step such that a table's steps hold the bulk.
    pub(super) fn shift(&self) -> u32 {
        shift(self.deviation())
    }

    /// Whether tables of equal steps may be bad at it, of which the best takes so many bits a residual.
    pub(super) fn has_odd_shape(&self, bits: f64) -> bool {
        // Bits of a normal distribution, log2(deviation * sqrt(2 pi e)).
        let gain = bits - self.deviation().max(0.3).log2() - 2.05;
        let heavy = (self.below + self.above) / 3.29 > 1.4 * self.quartiles / 1.35 + 0.5;
        let skewed = self.below.max(self.above) > 1.5 * self.below.min(self.above) + 3.0;
        heavy || skewed || !(-0.25..0.15).contains(&gain)
    }

    /// Residuals with how often they occur in all or in a sample, and of how many that is.
    pub(super) fn points(&self) -> (&[(i64, u16)], usize) {
        (&self.points, self.points.iter().map(|(_, times)| usize::from(*times)).sum())
    }

    /// About what half of the residuals are away from a centre.
    pub(super) fn typical_distance(&self, centre: i64) -> u64 {
        self.median.wrapping_sub(centre).unsigned_abs().max((self.quartiles / 2.0) as u64)
    }
}

/// That of a normal distribution with these widths, the larger one.
fn deviation(quartiles: f64, p5_to_p95: f64) -> f64 {
    (quartiles / 1.35).max(p5_to_p95 / 3.6)
}

fn shift(deviation: f64) -> u32 {
    if deviation <= DEVIATION_MAX {
        return 0;
    }
    ((deviation / STEPS_A_DEVIATION).log2() as u32).min(linear::SHIFT_MAX)
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
