//! How often whoever exposes a series gives it a new value, which may be less often than it is asked.
//!
//! A queue is counted once a minute and scraped every 15 s: 12 12 12 12 30 30 30 30 … Four equal samples are one look, not
//! four. Distances between changes of 60 s, four times on end, say so. Orders of a small shop change after 15, 90, 30 s:
//! that is no beat, for chance does not keep time.
//!
//! Always true:
//! 1. A value that stands still says nothing about the beat: it is the one before for as long.
//! 2. A value that came out the same once or a few times breaks no beat.

/// Longest beat, in ms.
const REFRESH_MS_MAX: i64 = 600_000;
/// Distances in a row that make a beat, and the most that are remembered.
const CONFIRMED_MIN: u8 = 4;
const CONFIRMED_MAX: u8 = 8;
/// What one that does not fit takes back.
const CONTRADICTED: u8 = 2;
/// Changes that may fail to come, for the new value is the old one.
const MISSED_MAX: i64 = 8;

/// Of one series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refresh {
    /// How long the value has stood still up to the last sample.
    still_ms: u32,
    /// The distance of changes that is tried or known; 0: none but that of the samples.
    beat_ms: u32,
    confirmed: u8,
    is_known: bool,
}

impl Refresh {
    pub(crate) const NEW: Refresh = Refresh { still_ms: 0, beat_ms: 0, confirmed: 0, is_known: false };

    /// The beat in ms, if there is one that is longer than the distance of the samples; 0 otherwise.
    #[inline]
    pub(crate) fn beat_ms(&self) -> u32 {
        if self.is_known { self.beat_ms } else { 0 }
    }

    /// Takes in a sample that came `sample_ms` behind the one before, and whether its value is another one. Most values change
    /// with every sample, which costs a look at two zeros.
    #[inline]
    pub(crate) fn take(&mut self, is_another: bool, sample_ms: i64) {
        if !is_another {
            self.still_ms = self.still_ms.saturating_add(u32::try_from(sample_ms).unwrap_or(u32::MAX));
        } else if self.still_ms > 0 || self.beat_ms > 0 {
            self.change(sample_ms);
        }
    }

    fn change(&mut self, sample_ms: i64) {
        let gap_ms = sample_ms.saturating_add(std::mem::take(&mut self.still_ms).into());
        let beat_ms = i64::from(self.beat_ms).max(1);
        let tolerated_ms = (beat_ms / 8).max(sample_ms / 2);
        let beats = gap_ms.saturating_add(beat_ms / 2) / beat_ms;
        let is_beat = self.beat_ms > 0 && gap_ms.abs_diff(beats * beat_ms) <= tolerated_ms.unsigned_abs();
        match beats {
            1 if is_beat => {
                self.confirmed = self.confirmed.saturating_add(1).min(CONFIRMED_MAX);
                self.is_known |= self.confirmed >= CONFIRMED_MIN;
            }
            2..=MISSED_MAX if is_beat => {}
            _ => {
                self.confirmed = self.confirmed.saturating_sub(CONTRADICTED);
                if self.confirmed == 0 {
                    let is_slow = gap_ms > sample_ms + sample_ms / 2 && gap_ms <= REFRESH_MS_MAX;
                    *self = Refresh { beat_ms: if is_slow { gap_ms as u32 } else { 0 }, ..Refresh::NEW };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{REFRESH_MS_MAX, Refresh};
    use crate::detect::tests::Chance;

    /// The beat behind each sample, `sample_ms` apart.
    fn beats(values: impl IntoIterator<Item = u64>, sample_ms: i64) -> Vec<u32> {
        let (mut refresh, mut last) = (Refresh::NEW, None);
        let of = |value: u64| {
            if let Some(last) = last.replace(value) {
                refresh.take(last != value, sample_ms);
            }
            refresh.beat_ms()
        };
        values.into_iter().map(of).collect()
    }

    #[test]
    fn four_equal_samples_are_one_look() {
        let seen = beats((0..400).map(|index| index / 4), 15_000);
        // A distance that it is compared with, and four like it.
        assert_eq!(seen[..20], [0; 20]);
        assert_eq!(seen[20..], [60_000; 380]);
    }

    #[test]
    fn a_beat_is_kept_while_the_value_comes_out_the_same_and_while_it_stands_still() {
        // The clocks drift, every seventh value is the one before, and for an hour nothing comes.
        let value = |index: u64| {
            let round = index * 150 / 601;
            if round.is_multiple_of(7) { round.saturating_sub(1) } else { round }
        };
        let seen = beats((0..400).chain([399; 240]).chain(400..800).map(value), 15_000);
        assert!(seen[100..].iter().all(|&beat_ms| beat_ms == 60_000), "{seen:?}");
    }

    #[test]
    fn what_changes_with_every_sample_has_no_beat_and_loses_the_one_that_it_had() {
        assert!(beats(0..1_000, 15_000).iter().all(|&beat_ms| beat_ms == 0));
        let seen = beats((0..100).map(|index| index / 4).chain(100..120), 15_000);
        assert_eq!((seen[99], seen[119]), (60_000, 0));
    }

    #[test]
    fn what_comes_by_chance_has_no_beat() {
        let mut chance = Chance(6);
        for per_mille in [20, 50, 100, 200, 400, 600, 800] {
            let mut value = 0;
            let values = (0..200_000).map(|_| {
                value += u64::from(chance.below(1_000) < per_mille);
                value
            });
            let seen = beats(values, 15_000);
            let share = seen.iter().filter(|&&beat_ms| beat_ms > 0).count() as f64 / seen.len() as f64;
            assert!(share < 0.02, "{share} of the time, at {per_mille} in a thousand");
        }
    }

    #[test]
    fn a_beat_of_more_than_ten_minutes_is_none() {
        let samples = REFRESH_MS_MAX as u64 / 15_000;
        assert_eq!(beats((0..8 * samples).map(|index| index / samples), 15_000).last(), Some(&(REFRESH_MS_MAX as u32)));
        let longer = samples + 1;
        assert_eq!(beats((0..40 * longer).map(|index| index / longer), 15_000).last(), Some(&0));
    }
}
