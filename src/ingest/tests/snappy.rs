//! Our snappy beside that of the crate `snap`, which also compresses here.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::snappy::{decoded_bytes, inflate};

const BYTES_MAX: usize = 1 << 20;

/// What comes out, or nothing if it is refused. The memory was used before.
fn inflated(block: &[u8]) -> Option<Vec<u8>> {
    let mut inflated = vec![0xee; 300];
    inflate(block, decoded_bytes(block, BYTES_MAX).ok()?, &mut inflated).ok()?;
    Some(inflated)
}

fn compressed(text: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(text).expect("a short text is compressed")
}

/// Pieces of all lengths and the same ones again, from near and far, so that there are copies of every kind.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        vec(any::<u8>(), 0..80),
        vec(0_u8..2, 0..40),
        (any::<u8>(), 1..200_usize).prop_map(|(byte, count)| vec![byte; count])
    ];
    (vec(piece, 1..12), vec(any::<prop::sample::Index>(), 0..60))
        .prop_map(|(pieces, order)| order.iter().flat_map(|index| index.get(&pieces).clone()).collect())
}

#[test]
fn elements_of_each_kind_are_inflated() {
    // Twelve bytes: a literal of four, a copy of four from four back, a copy of four from one back.
    assert_eq!(inflated(b"\x0c\x0cabcd\x01\x04\x01\x01").as_deref(), Some(&b"abcdabcddddd"[..]));
    // A literal whose length takes a byte of its own, and copies whose distance takes two and four.
    let block = [&[80, 60 << 2, 69][..], &[7; 70], &[4 << 2 | 2, 70, 0], &[4 << 2 | 3, 1, 0, 0, 0]].concat();
    assert_eq!(inflated(&block), Some(vec![7; 80]));
    assert_eq!(inflated(&[0]), Some(Vec::new()));
}

#[test]
fn block_that_cannot_be_is_refused_with_its_byte() {
    let refused = |block: &[u8]| {
        inflate(block, decoded_bytes(block, BYTES_MAX).unwrap(), &mut Vec::new()).unwrap_err().to_string()
    };
    for (block, byte) in [
        (&b""[..], 0),                // not even a length
        (b"\x08\x0cabcd\x01\x05", 6), // five back, of four
        (b"\x08\x0cabcd\x01\x00", 6), // from nowhere
        (b"\x08\x0cabcd", 6),         // four too few
        (b"\x03\x0cabcd", 1),         // one too many
        (b"\x08\x0cabcd\x01", 6),     // a copy without its distance
        (b"\x08\x0cabc", 1),          // a literal of four with three
        (b"\x04\x0cabcd\x00e", 6),    // another one behind the end
    ] {
        let words = refused(block);
        assert!(words.contains(&format!("byte {byte}: ")), "{block:?}: {words}");
    }
}

proptest! {
    #[test]
    fn what_was_compressed_comes_back(text in texts()) {
        prop_assert_eq!(inflated(&compressed(&text)), Some(text));
    }

    #[test]
    fn damaged_block_is_read_as_snap_reads_it(
        text in texts(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut block = compressed(&text);
        for (index, byte) in damage {
            let index = index.index(block.len());
            block[index] = byte;
        }
        let cut = cut.index(4 * block.len());
        block.truncate(cut.max(1));
        let theirs = snap::raw::decompress_len(&block).ok().filter(|_| decoded_bytes(&block, BYTES_MAX).is_ok());
        let theirs = theirs.and_then(|_| snap::raw::Decoder::new().decompress_vec(&block).ok());
        prop_assert_eq!(inflated(&block), theirs);
    }
}
