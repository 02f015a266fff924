//! How often residuals fall where: fine bins in a window that holds the bulk of them.

use super::tables::{ESCAPE, SYMBOLS};

pub(super) const BINS: usize = 256;
/// Of residuals outside of the window.
const OUTSIDE: usize = BINS;

pub(super) struct Histogram {
    /// The smallest residual of the first bin.
    pub(super) base: i64,
    /// A bin is 2^this wide.
    pub(super) bin_shift: u32,
    bins: [u16; BINS],
    outside: u32,
    /// The first and the last bin that are not empty.
    pub(super) first: usize,
    last: usize,
}

/// How many residuals have which symbol.
pub(super) type Counts = [i16; SYMBOLS];

impl Histogram {
    pub(super) fn of(residuals: &[i64], base: i64, bin_shift: u32) -> Histogram {
        // Two, taken in turn: a store to a bin would hold up the load of the same one.
        let mut halves = [[0u16; BINS + 1]; 2];
        let bin = |residual: i64| ((residual.wrapping_sub(base) >> bin_shift) as u64).min(OUTSIDE as u64) as usize;
        let (pairs, rest) = residuals.as_chunks::<2>();
        for [even, odd] in pairs {
            halves[0][bin(*even)] += 1;
            halves[1][bin(*odd)] += 1;
        }
        for residual in rest {
            halves[0][bin(*residual)] += 1;
        }
        let mut bins = [0; BINS];
        for (index, bin) in bins.iter_mut().enumerate() {
            *bin = halves[0][index] + halves[1][index];
        }
        let outside = u32::from(halves[0][OUTSIDE] + halves[1][OUTSIDE]);
        let first = bins.iter().position(|count| *count > 0).unwrap_or(0);
        let last = bins.iter().rposition(|count| *count > 0).unwrap_or(0);
        Histogram { base, bin_shift, bins, outside, first, last }
    }

    fn filled(&self) -> &[u16] {
        &self.bins[self.first..=self.last]
    }

    /// The residual where a bin starts; bins before and behind the window have one, too.
    pub(super) fn residual(&self, bin: i64) -> i64 {
        self.base.wrapping_add(bin << self.bin_shift)
    }

    /// Where each bin that is not empty starts, and its count.
    pub(super) fn points(&self) -> impl Iterator<Item = (i64, u16)> {
        let bins = self.filled().iter().enumerate().filter(|(_, count)| **count > 0);
        bins.map(|(index, count)| (self.residual((self.first + index) as i64), *count))
    }

    /// Mean of the bins inside without the lowest and the highest fiftieth.
    pub(super) fn trimmed_mean(&self) -> f64 {
        let inside: u32 = self.filled().iter().map(|count| u32::from(*count)).sum();
        let (low, high) = (inside / 50, inside - inside / 50);
        let (mut below, mut sum) = (0, 0u64);
        for (bin, count) in (self.first..).zip(self.filled()) {
            let end = below + u32::from(*count);
            let kept = end.min(high).saturating_sub(below.max(low));
            sum += bin as u64 * u64::from(kept);
            below = end;
        }
        sum as f64 / f64::from((high - low).max(1))
    }

    /// Counts by symbol: the one of `origin` starts at bin `centre` and is 2^`fold` bins wide.
    pub(super) fn counts(&self, centre: i64, fold: u32, origin: i64) -> Counts {
        let mut counts = [0; SYMBOLS];
        counts[usize::from(ESCAPE)] = self.outside as i16;
        for (index, count) in self.filled().iter().enumerate() {
            let place = (((self.first + index) as i64 - centre) >> fold) + origin;
            let symbol = if (1..SYMBOLS as i64).contains(&place) { place as usize } else { 0 };
            counts[symbol] += *count as i16;
        }
        counts
    }
}
