//! Packed residuals: in blocks of 256, each as offsets of one width to one base, in four lanes.
//!
//! Residuals 1, 2, 3 and 2 are base 1 and the offsets 0, 1, 2, 1 in two bits: `02 02 00 01 02 01`.
//! One outlier would widen all: it keeps the low bits of its offset in its lane, and the rest is a patch.
//!
//! Always true: a row of four takes one shift and one mask, the same for all of its lanes, so the loops over lanes
//! become vector instructions on every machine, without asking which one it is.

use super::fit::Window;
use crate::Corruption;
use crate::bytes::{Cursor, append_zigzag};

/// Offsets in a block.
pub(super) const BLOCK_SAMPLES: usize = 256;
pub(super) const LANES: usize = 4;
const WIDTH_MAX: u32 = 64;
const PATCHED: u8 = 0x80;
/// Width and base of a block, and half a byte lost in each lane.
const BLOCK_HEAD_BITS: u32 = 34;

/// The words of all lanes, by word and lane; a row may look at the word behind its last.
type Words = [[u64; LANES]; BLOCK_SAMPLES / LANES + 2];

/// How many bytes the lanes take: whole words, and the bytes of each lane's last.
#[derive(Clone, Copy)]
struct Extent {
    words: usize,
    last_bytes: usize,
}

impl Extent {
    fn of(count: usize, width: u32) -> Extent {
        let bits = count.div_ceil(LANES) * width as usize;
        Extent { words: bits / 64, last_bytes: (bits % 64).div_ceil(8) }
    }

    fn bytes(self) -> usize {
        LANES * (8 * self.words + self.last_bytes)
    }
}

/// The windows of a series' blocks.
#[derive(Debug, Default)]
pub(super) struct Plan {
    windows: Vec<Window>,
    /// About how many bits the blocks take.
    pub(super) bits: u32,
}

impl Plan {
    /// Finds the windows of these residuals.
    pub(super) fn fit(&mut self, residuals: &[i64]) {
        self.windows.clear();
        self.bits = 0;
        for block in residuals.chunks(BLOCK_SAMPLES) {
            let (window, bits) = Window::fit(block);
            self.windows.push(window);
            self.bits += BLOCK_HEAD_BITS + bits;
        }
    }

    /// Appends the residuals that were fitted.
    pub(super) fn append(&self, residuals: &[i64], out: &mut Vec<u8>) {
        let mut base_before = 0i64;
        for (block, window) in residuals.chunks(BLOCK_SAMPLES).zip(&self.windows) {
            append_block(block, *window, base_before, out);
            base_before = window.base;
        }
    }
}

fn append_block(block: &[i64], window: Window, base_before: i64, out: &mut Vec<u8>) {
    let Window { base, width } = window;
    let header = out.len();
    out.push(width as u8);
    append_zigzag(out, base.wrapping_sub(base_before));
    if width < WIDTH_MAX && block.iter().any(|residual| high_part(*residual, window) != 0) {
        out[header] |= PATCHED;
        append_patches(block, window, out);
    }
    if width > 0 {
        append_lanes(block, window, out);
    }
}

/// What the width does not hold of a residual's offset, as a signed number above it.
#[inline]
fn high_part(residual: i64, window: Window) -> i64 {
    residual.wrapping_sub(window.base) >> window.width
}

fn append_patches(block: &[i64], window: Window, out: &mut Vec<u8>) {
    let count_at = out.len();
    out.push(0);
    for (place, residual) in block.iter().enumerate() {
        if high_part(*residual, window) != 0 {
            out.push(place as u8);
        }
    }
    out[count_at] = (out.len() - count_at - 2) as u8;
    for residual in block {
        let high = high_part(*residual, window);
        if high != 0 {
            append_zigzag(out, high);
        }
    }
}

fn append_lanes(block: &[i64], window: Window, out: &mut Vec<u8>) {
    let mut words: Words = [[0; LANES]; _];
    let (rows, rest) = block.as_chunks::<LANES>();
    let mut bit = 0;
    for row in rows {
        pack_row(row, window, bit, &mut words);
        bit += window.width as usize;
    }
    if !rest.is_empty() {
        let mut row = [window.base; LANES];
        row[..rest.len()].copy_from_slice(rest);
        pack_row(&row, window, bit, &mut words);
    }
    let extent = Extent::of(block.len(), window.width);
    out.reserve(extent.bytes());
    for word in words[..extent.words].as_flattened() {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for word in &words[extent.words] {
        out.extend_from_slice(&word.to_le_bytes()[..extent.last_bytes]);
    }
}

#[inline]
fn pack_row(row: &[i64; LANES], window: Window, bit: usize, words: &mut Words) {
    let (word, shift) = (bit / 64, bit % 64);
    let mask = u64::MAX >> (WIDTH_MAX - window.width);
    let [low, high] = words[word..].first_chunk_mut::<2>().expect("a row lies within its lanes");
    for lane in 0..LANES {
        let offset = row[lane].wrapping_sub(window.base) as u64 & mask;
        low[lane] |= offset << shift;
        // In two steps, as shift may be 0.
        high[lane] |= (offset >> 1) >> (63 - shift);
    }
}

/// Reads `count` residuals in place of those that are there.
pub(super) fn read(cursor: &mut Cursor<'_>, count: usize, residuals: &mut Vec<i64>) -> Result<(), Corruption> {
    residuals.resize(rows_of(count), 0);
    read_into(cursor, count, residuals)?;
    residuals.truncate(count);
    Ok(())
}

/// The same, to the start of `rows`, which has room for [`rows_of`] them.
pub(super) fn read_into(cursor: &mut Cursor<'_>, count: usize, rows: &mut [i64]) -> Result<(), Corruption> {
    let mut base = 0i64;
    for start in (0..count).step_by(BLOCK_SAMPLES) {
        let block_count = (count - start).min(BLOCK_SAMPLES);
        let block = &mut rows[start..start + rows_of(block_count)];
        base = read_block(cursor, base, block_count, block)?;
    }
    Ok(())
}

/// The count, rounded up to whole rows.
pub(super) fn rows_of(count: usize) -> usize {
    count.next_multiple_of(LANES)
}

/// Reads one block and returns its base.
fn read_block(cursor: &mut Cursor<'_>, base_before: i64, count: usize, block: &mut [i64]) -> Result<i64, Corruption> {
    let at = cursor.position();
    let header = cursor.u8()?;
    let width = u32::from(header & !PATCHED);
    if width > WIDTH_MAX || (width == WIDTH_MAX && header & PATCHED != 0) {
        return Err(Corruption::at(at, "a packed block has a width beyond 64 bits"));
    }
    let base = base_before.wrapping_add(cursor.zigzag()?);
    let mut patches = Patches::default();
    if header & PATCHED != 0 {
        patches = Patches::read(cursor, count)?;
    }
    if width == 0 {
        block.fill(base);
    } else {
        read_lanes(cursor, count, width, base, block)?;
    }
    for (place, high) in patches.places.iter().zip(&patches.highs) {
        let residual = &mut block[usize::from(*place)];
        *residual = residual.wrapping_add(high << width);
    }
    Ok(base)
}

#[derive(Default)]
struct Patches<'a> {
    places: &'a [u8],
    highs: Vec<i64>,
}

impl<'a> Patches<'a> {
    fn read(cursor: &mut Cursor<'a>, count: usize) -> Result<Patches<'a>, Corruption> {
        let patch_count = usize::from(cursor.u8()?) + 1;
        let at = cursor.position();
        let places = cursor.take(patch_count)?;
        let ascending = places.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || usize::from(places[patch_count - 1]) >= count {
            return Err(Corruption::at(at, "the places of patches do not ascend within their block"));
        }
        let highs = places.iter().map(|_| cursor.zigzag()).collect::<Result<Vec<i64>, Corruption>>()?;
        Ok(Patches { places, highs })
    }
}

fn read_lanes(
    cursor: &mut Cursor<'_>,
    count: usize,
    width: u32,
    base: i64,
    block: &mut [i64],
) -> Result<(), Corruption> {
    let extent = Extent::of(count, width);
    let bytes = cursor.take(extent.bytes())?;
    let (whole, last) = bytes.split_at(8 * LANES * extent.words);
    let mut words: Words = [[0; LANES]; _];
    for (word, bytes) in words.as_flattened_mut().iter_mut().zip(whole.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    if extent.last_bytes > 0 {
        for (word, bytes) in words[extent.words].iter_mut().zip(last.chunks_exact(extent.last_bytes)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(padded);
        }
    }
    unpack(&words, width, base, block);
    Ok(())
}

/// Adds the offsets of all rows to the base. `width` is 1 to 64, and `rows` a whole number of them.
fn unpack(words: &Words, width: u32, base: i64, rows: &mut [i64]) {
    let mask = u64::MAX >> (WIDTH_MAX - width);
    let mut bit = 0;
    for row in rows.as_chunks_mut::<LANES>().0 {
        let (word, shift) = (bit / 64, bit % 64);
        let [low, high] = words[word..].first_chunk::<2>().expect("a row lies within its lanes");
        for lane in 0..LANES {
            // In two steps, as shift may be 0.
            let offset = (low[lane] >> shift | (high[lane] << 1) << (63 - shift)) & mask;
            row[lane] = base.wrapping_add(offset as i64);
        }
        bit += width as usize;
    }
}
