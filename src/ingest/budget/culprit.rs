//! Which label it is that has too many values: an estimate in 128 bytes a label.
//!
//! Each value sets one of 1,024 bits, by its hash; from the share of bits that are still clear follows how many values
//! there were (linear counting). It is right to a few hundredths up to some thousand values and then stands still, which
//! is enough to tell a user's id from a region.

use crate::model::{Labels, METRIC_NAME};

/// Labels that are looked at; series of one metric seldom have more.
const LABELS_MAX: usize = 64;
const WORDS: usize = 16;
const BITS: u32 = 64 * WORDS as u32;

/// Values seen, by label.
#[derive(Debug, Default)]
pub(super) struct Culprits(Vec<(Box<str>, [u64; WORDS])>);

impl Culprits {
    /// Takes the labels of one series into account.
    pub(super) fn see(&mut self, labels: &Labels) {
        for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
            let position = self.0.iter().position(|(known, _)| **known == *name);
            let position = match position {
                Some(position) => position,
                None if self.0.len() < LABELS_MAX => {
                    self.0.push((name.into(), [0; WORDS]));
                    self.0.len() - 1
                }
                None => continue,
            };
            let bit = Labels::hash_bytes(value.as_bytes()) as usize % BITS as usize;
            self.0[position].1[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// The label with most values, and about how many; `None` where no label has two.
    pub(super) fn worst(&self) -> Option<(&str, u64)> {
        let counted = self.0.iter().map(|(name, bits)| (name.as_ref(), estimate(bits)));
        counted.filter(|(_, count)| *count > 1).max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)))
    }
}

fn estimate(bits: &[u64; WORDS]) -> u64 {
    let set: u32 = bits.iter().map(|word| word.count_ones()).sum();
    let clear = f64::from((BITS - set).max(1));
    (f64::from(BITS) * (f64::from(BITS) / clear).ln()).round() as u64
}
