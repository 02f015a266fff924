use proptest::prelude::*;

use super::*;
use crate::testing::{bits_equal, value_strategy};

fn encode(base_timestamp_ms: i64, rows: &[(u64, i64, f64)]) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut encoder = SamplesEncoder::begin(&mut payload, base_timestamp_ms);
    for (reference, timestamp_ms, value) in rows {
        encoder.push(&mut payload, *reference, *timestamp_ms, *value);
    }
    assert_eq!(encoder.finish(&mut payload) as usize, rows.len());
    payload
}

fn decode(payload: &[u8]) -> Result<Vec<(u64, i64, f64)>, crate::Corruption> {
    let mut rows = Vec::new();
    decode_samples(payload, |reference, timestamp_ms, value| rows.push((reference, timestamp_ms, value)))?;
    Ok(rows)
}

/// The bytes of one row behind the twelve of the head.
fn row_bytes(value: f64) -> Vec<u8> {
    encode(0, &[(0, 0, value)]).split_off(12)
}

#[test]
fn values_take_the_bytes_of_the_chapter() {
    assert_eq!(row_bytes(0.0), [0x10]);
    assert_eq!(row_bytes(1.0), [0x11, 1]);
    assert_eq!(row_bytes(-1.0), [0x11, 0xff]);
    assert_eq!(row_bytes(128.0), [0x12, 0x80, 0x00]);
    assert_eq!(row_bytes(12.5), [0x91, 1, 125]);
    assert_eq!(row_bytes(0.25), [0x91, 2, 25]);
    // Raw: -0.0 is 0x8000…, +Inf 0x7ff0…, the stale marker 0x7ff0000000000002 whole.
    assert_eq!(row_bytes(-0.0), [0x01, 0x80]);
    assert_eq!(row_bytes(f64::INFINITY), [0x02, 0xf0, 0x7f]);
    assert_eq!(row_bytes(f64::from_bits(0x7ff0_0000_0000_0002)), [0x08, 2, 0, 0, 0, 0, 0, 0xf0, 0x7f]);
    // 2^53 is the largest mantissa: bit 53 is in the seventh byte. The next float goes raw, 0x4340000000000001.
    assert_eq!(row_bytes(9_007_199_254_740_992.0), [0x17, 0, 0, 0, 0, 0, 0, 0x20]);
    assert_eq!(row_bytes(9_007_199_254_740_994.0), [0x08, 1, 0, 0, 0, 0, 0, 0x40, 0x43]);
}

#[test]
fn keys_are_told_only_when_they_are_not_the_expected_ones() {
    let payload = encode(1000, &[(0, 1000, 1.0), (1, 1000, 1.0), (5, 990, 1.0), (6, 990, 1.0)]);
    // Third row: zigzag(-10) = 19 behind the value, then zigzag(5 - 2) = 6.
    assert_eq!(payload[12..], [0x11, 1, 0x11, 1, 0x71, 1, 19, 6, 0x11, 1]);
    assert_eq!(payload[..12], [0xe8, 3, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0]);
}

#[test]
fn longest_row_fits_its_bound() {
    let payload = encode(i64::MIN, &[(u64::MAX / 2, 0, f64::from_bits(0x7ff0_0000_0000_0002))]);
    assert!(payload.len() - 12 <= ROW_BYTES_MAX);
}

#[test]
fn impossible_rows_are_refused() {
    let with_rows = |count: u8, rows: &[u8]| [&[0, 0, 0, 0, 0, 0, 0, 0, count, 0, 0, 0], rows].concat();
    assert!(decode(&with_rows(1, &[0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0])).is_err(), "nine value bytes");
    assert!(decode(&with_rows(1, &[0x91, 16, 1])).is_err(), "exponent 16");
    assert!(decode(&with_rows(1, &[0x81, 1, 1])).is_err(), "raw bits with an exponent");
    assert!(decode(&with_rows(1, &[0x17, 1, 0, 0, 0, 0, 0, 0x20])).is_err(), "mantissa 2^53 + 1");
    assert!(decode(&with_rows(2, &[0x10])).is_err(), "a row is missing");
    assert!(decode(&with_rows(0, &[0x10])).is_err(), "a row too many");
    assert!(decode(&with_rows(1, &[0x91, 15, 1])).is_ok());
}

#[test]
fn every_truncation_is_refused() {
    let payload = encode(7, &[(0, 7, 1.5), (9, 8, f64::NAN), (10, 8, 300.0)]);
    for length in 0..payload.len() {
        assert!(decode(&payload[..length]).is_err(), "length {length}");
    }
}

#[test]
fn series_definitions_take_the_bytes_of_the_chapter() {
    let mut payload = Vec::new();
    append_series(&mut payload, 300, [("a", "é")]);
    append_series(&mut payload, 1, []);
    assert_eq!(payload, [0xac, 0x02, 1, 1, b'a', 2, 0xc3, 0xa9, 1, 0]);
    let definitions: Vec<_> = decode_series(&payload).map(Result::unwrap).collect();
    assert_eq!(definitions[0], SeriesDefinition { reference: 300, labels: vec![("a", "é")] });
    assert_eq!(definitions[1], SeriesDefinition { reference: 1, labels: vec![] });
}

#[test]
fn impossible_series_are_refused_once() {
    for payload in [&[1, 200][..], &[1, 1, 1, 0xff, 0], &[1, 1, 5, b'a'], &[0xff; 11]] {
        let results: Vec<_> = decode_series(payload).collect();
        assert!(matches!(results[..], [Err(_)]), "{payload:?}: {results:?}");
    }
}

proptest! {
    #[test]
    fn samples_come_back_bit_for_bit(
        base in any::<i64>(),
        rows in proptest::collection::vec((any::<u64>(), any::<i64>(), value_strategy()), 0..50),
    ) {
        let decoded = decode(&encode(base, &rows)).unwrap();
        prop_assert_eq!(decoded.len(), rows.len());
        for (got, want) in decoded.iter().zip(&rows) {
            prop_assert!((got.0, got.1) == (want.0, want.1) && bits_equal(got.2, want.2), "{got:?} {want:?}");
        }
    }

    #[test]
    fn series_come_back(
        series in proptest::collection::vec(
            (any::<u64>(), proptest::collection::vec((".{0,20}", ".{0,20}"), 0..6)), 0..10),
    ) {
        let mut payload = Vec::new();
        for (reference, labels) in &series {
            append_series(&mut payload, *reference, labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>());
        }
        let decoded: Vec<_> = decode_series(&payload).map(Result::unwrap).collect();
        prop_assert_eq!(decoded.len(), series.len());
        for (got, (reference, labels)) in decoded.iter().zip(&series) {
            prop_assert_eq!(got.reference, *reference);
            prop_assert!(got.labels.iter().copied().eq(labels.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
        }
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = decode(&bytes);
        let _ = decode_series(&bytes).count();
    }
}
