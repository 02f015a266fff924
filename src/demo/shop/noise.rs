//! Chance that comes out the same on every run: a small generator and the three distributions that a shop needs.
//!
//! The distributions are cheap rather than exact: a load generator must cost far less than the server that it loads.

/// `SplitMix64` (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub(super) struct Noise(u64);

/// Above this mean a Poisson count is drawn from the normal curve that it approaches.
const POISSON_MEAN_COUNTED_MAX: f64 = 12.0;
/// Above this number of trials a binomial count is drawn from the normal curve that it approaches.
const BINOMIAL_TRIALS_COUNTED_MAX: u64 = 64;

impl Noise {
    /// A stream of its own for each `stream` of a seed: neighbours share nothing.
    pub(super) fn new(seed: u64, stream: u64) -> Noise {
        let mut mixed = Noise(seed ^ stream.wrapping_mul(0xd605_1f4a_9d4b_82a5));
        mixed.next();
        Noise(mixed.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Evenly spread over 0 (included) to 1 (excluded).
    pub(super) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Mean 0, spread 1: the sum of four even draws, so never beyond ±3.47.
    pub(super) fn normal(&mut self) -> f64 {
        const SPREAD: f64 = 37_837.0; // of four draws from 0..65536: sqrt(4 / 12) × 65536
        let bits = self.next();
        let sum = (0..4).map(|quarter| (bits >> (16 * quarter) & 0xffff) as f64).sum::<f64>();
        (sum - 131_070.0) / SPREAD
    }

    /// How many of many rare things happened, when `mean` are expected.
    pub(super) fn poisson(&mut self, mean: f64) -> u64 {
        if mean > POISSON_MEAN_COUNTED_MAX {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let limit = (-mean).exp();
        let mut product = self.uniform();
        let mut count = 0;
        while product > limit {
            product *= self.uniform();
            count += 1;
        }
        count
    }

    /// How many of `trials` succeed, each with `chance`.
    pub(super) fn binomial(&mut self, trials: u64, chance: f64) -> u64 {
        if trials <= BINOMIAL_TRIALS_COUNTED_MAX {
            return (0..trials).filter(|_| self.uniform() < chance).count() as u64;
        }
        let mean = trials as f64 * chance;
        let drawn = (mean + (mean * (1.0 - chance)).sqrt() * self.normal()).round().max(0.0) as u64;
        drawn.min(trials)
    }

    /// `value` give or take a share of itself.
    pub(super) fn around(&mut self, value: f64, share: f64) -> f64 {
        value * (1.0 + share * self.normal())
    }
}
