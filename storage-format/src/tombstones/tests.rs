use proptest::prelude::*;

use super::*;

fn tombstone(series: u32, from_ms: i64, to_ms: i64) -> Tombstone {
    Tombstone { series, from_ms, to_ms }
}

/// The bytes of the chapter's kind of example, put together by hand.
#[test]
fn the_layout_is_that_of_the_chapter() {
    let bytes = encode(&[tombstone(3, i64::MIN, 5), tombstone(7, 10, 3_600_009)], 1_700_000_000_000);
    let mut expected = b"DOZORDEL\x01\0\0\0\x02\0\0\0\x00\x68\xe5\xcf\x8b\x01\0\0".to_vec();
    expected.extend_from_slice(b"\x03\0\0\0\0\0\0\0\0\0\0\x80\x05\0\0\0\0\0\0\0");
    expected.extend_from_slice(b"\x07\0\0\0\x0a\0\0\0\0\0\0\0\x89\xee\x36\0\0\0\0\0");
    assert_eq!(&bytes[..bytes.len() - 4], expected);
    assert_eq!(bytes.len(), HEADER_BYTES + 2 * ENTRY_BYTES + 4);
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    let bytes = encode(&[tombstone(3, 1, 5), tombstone(3, 7, 9), tombstone(4, -5, -5)], 99);
    for at in 0..bytes.len() {
        assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(decode(&flipped).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn entries_out_of_order_are_refused_behind_a_right_checksum() {
    let ordered = encode(&[tombstone(3, 1, 5), tombstone(4, 1, 5)], 0);
    let (first, second) = (HEADER_BYTES, HEADER_BYTES + ENTRY_BYTES);
    let mut swapped = ordered.clone();
    swapped[first..second].copy_from_slice(&ordered[second..second + ENTRY_BYTES]);
    swapped[second..second + ENTRY_BYTES].copy_from_slice(&ordered[first..second]);
    let end = swapped.len() - 4;
    let checksum = crc32c::crc32c(&swapped[..end]);
    swapped[end..].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(decode(&swapped).unwrap_err().what, "tombstones are out of order");
}

proptest! {
    #[test]
    fn normalising_keeps_exactly_the_deleted_moments(
        given in proptest::collection::vec((0u32..3, 0i64..40, 0i64..6), 0..20)
    ) {
        let given: Vec<Tombstone> = given.into_iter().map(|(s, from, length)| tombstone(s, from, from + length)).collect();
        let mut normal = given.clone();
        normalise(&mut normal);
        let covers = |all: &[Tombstone], series, at| {
            all.iter().any(|one| one.series == series && one.from_ms <= at && at <= one.to_ms)
        };
        for series in 0..3 {
            for at in -1..50 {
                prop_assert_eq!(covers(&given, series, at), covers(&normal, series, at));
            }
        }
        prop_assert_eq!(decode(&encode(&normal, 5)), Ok((5, normal)));
    }

    #[test]
    fn any_bytes_are_refused_or_in_order(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes).is_err());
    }
}

#[test]
fn the_chapter_tells_the_numbers() {
    let told = [("HEADER_BYTES", HEADER_BYTES as u64), ("ENTRY_BYTES", ENTRY_BYTES as u64)];
    crate::testing::assert_numbers(include_str!("../../spec/tombstones.md"), &told);
}
