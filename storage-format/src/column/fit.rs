//! The window of a packed block: which base and width cost least when what lies outside is patched.
//!
//! Of the values 5, 6, 7, 6, 5, … and one 900, a window of two bits at 5 and one patch cost less than ten bits for all.
//! The range is divided into at most 256 bins; the best place of each width is the one that holds most values. Where bins
//! are too coarse for what lies dense among outliers, it looks again within the best window.

use super::pack::BLOCK_SAMPLES;

/// Bits of a patch: its place, its high part in one byte, and a little for those that need more.
const PATCH_BITS: u32 = 17;
const BIN_BITS: u32 = 8;
/// Looks at a block at most: 64 bits in steps of eight.
const LOOKS_MAX: usize = 9;

/// Offsets are told from `base` on, in `width` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) base: i64,
    pub(super) width: u32,
}

/// How a window does: bits for all of the block, and its place among the bins.
#[derive(Clone, Copy)]
struct Found {
    window: Window,
    bits: u32,
}

impl Window {
    /// The cheapest window for this block, which is not empty, and about how many bits it takes with its patches.
    pub(super) fn fit(block: &[i64]) -> (Window, u32) {
        let (low, high) = block.iter().fold((i64::MAX, i64::MIN), |(low, high), r| (low.min(*r), high.max(*r)));
        let width = bit_length(high.wrapping_sub(low) as u64);
        let mut found = Found { window: Window { base: low, width }, bits: width * block.len() as u32 };
        let mut range = found.window;
        for _ in 0..LOOKS_MAX {
            let bin_shift = range.width.saturating_sub(BIN_BITS);
            let best = look(block, range, bin_shift);
            if best.bits >= found.bits {
                break;
            }
            found = best;
            if bin_shift == 0 || best.window.width > bin_shift + 2 {
                break;
            }
            range = best.window;
        }
        (found.window, found.bits)
    }
}

/// The best window narrower than `range` and within it.
fn look(block: &[i64], range: Window, bin_shift: u32) -> Found {
    let bins = 1usize << (range.width - bin_shift);
    let below = cumulate(block, range, bin_shift, bins);
    let mut found = Found { window: range, bits: u32::MAX };
    for width in (bin_shift..range.width).rev() {
        let window_bins = 1 << (width - bin_shift);
        let (start, inside) = densest(&below[..=bins], window_bins);
        let outside = (block.len() - inside) as u32;
        let bits = width * block.len() as u32 + outside * PATCH_BITS;
        if bits < found.bits {
            let base = range.base.wrapping_add((start as i64) << bin_shift);
            found = Found { window: Window { base, width }, bits };
        }
        // Narrower ones lose more than they save.
        if outside * PATCH_BITS > (width + 2) * block.len() as u32 {
            break;
        }
    }
    found
}

/// How many values lie below each bin; at index `bins`, how many within the range.
fn cumulate(block: &[i64], range: Window, bin_shift: u32, bins: usize) -> [i16; BLOCK_SAMPLES + 1] {
    let mut below = [0i16; BLOCK_SAMPLES + 1];
    for residual in block {
        let bin = residual.wrapping_sub(range.base) as u64 >> bin_shift;
        if bin < bins as u64 {
            below[bin as usize + 1] += 1;
        }
    }
    let mut sum = 0;
    for count in &mut below[..=bins] {
        sum += *count;
        *count = sum;
    }
    below
}

/// Where a window of so many bins holds most, and how many.
fn densest(below: &[i16], window_bins: usize) -> (usize, usize) {
    let inside = || below[window_bins..].iter().zip(below).map(|(to, from)| to - from);
    let most = inside().fold(0, i16::max);
    let start = inside().position(|count| count == most).expect("the most is one of them");
    (start, most as usize)
}

/// Bits that a number takes; 0 for 0.
pub(super) fn bit_length(number: u64) -> u32 {
    u64::BITS - number.leading_zeros()
}
