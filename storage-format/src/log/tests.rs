use proptest::prelude::*;

use super::*;
use crate::histogram::{Histogram, Layout, Span};
use crate::testing::{bits_equal, value_strategy};

type Rows = Vec<(u64, i64, f64)>;

fn encode(rows: &[(u64, i64, f64)]) -> Vec<u8> {
    let mut payload = Vec::new();
    append_samples(&mut payload, rows);
    payload
}

fn decode(payload: &[u8]) -> Result<Rows, crate::Corruption> {
    let mut rows = Vec::new();
    decode_samples(payload, |reference, timestamp_ms, value| rows.push((reference, timestamp_ms, value)))?;
    Ok(rows)
}

fn decode_old(payload: &[u8]) -> Result<Rows, crate::Corruption> {
    let mut rows = Vec::new();
    decode_rows(payload, |reference, timestamp_ms, value| rows.push((reference, timestamp_ms, value)))?;
    Ok(rows)
}

/// Rows of one moment whose references go up by one.
fn scrape(values: &[f64]) -> Rows {
    values.iter().enumerate().map(|(index, value)| (index as u64, 0, *value)).collect()
}

/// The form and the bytes of a value that is alone in its record.
fn value_bytes(value: f64) -> (u8, Vec<u8>) {
    let payload = encode(&[(0, 0, value)]);
    // One row; one run of one row, at 0; one form.
    assert_eq!(payload[..4], [1, 1 << 2, 0, 1]);
    assert_eq!(payload[5], 0, "the row has the listed form");
    (payload[4], payload[6..].to_vec())
}

#[test]
fn values_take_the_bytes_of_the_chapter() {
    assert_eq!(value_bytes(0.0), (0x00, vec![]));
    assert_eq!(value_bytes(1.0), (0x01, vec![1]));
    assert_eq!(value_bytes(-1.0), (0x09, vec![1]));
    assert_eq!(value_bytes(255.0), (0x01, vec![255]));
    assert_eq!(value_bytes(256.0), (0x02, vec![0, 1]));
    assert_eq!(value_bytes(12.5), (0x11, vec![125]));
    assert_eq!(value_bytes(-0.25), (0x29, vec![25]));
    // Raw: -0.0 is 0x8000…, +Inf 0x7ff0…, the stale marker 0x7ff0000000000002 whole.
    assert_eq!(value_bytes(-0.0), (233, vec![0x80]));
    assert_eq!(value_bytes(f64::INFINITY), (234, vec![0xf0, 0x7f]));
    assert_eq!(value_bytes(f64::from_bits(0x7ff0_0000_0000_0002)), (240, vec![2, 0, 0, 0, 0, 0, 0xf0, 0x7f]));
    // 2^53 is the largest mantissa: bit 53 is in the seventh byte. The next float goes raw, 0x4340000000000001.
    assert_eq!(value_bytes(9_007_199_254_740_992.0), (0x07, vec![0, 0, 0, 0, 0, 0, 0x20]));
    assert_eq!(value_bytes(9_007_199_254_740_994.0), (240, vec![1, 0, 0, 0, 0, 0, 0x40, 0x43]));
}

#[test]
fn the_shortest_decimal_is_found_at_every_magnitude() {
    // Exponents 1 to 13, and magnitudes up to where a float no longer has the digit.
    for (value, form, mantissa) in [
        (0.1, 0x11, 1_u64),
        (0.067_443_53, 0x83, 6_744_353),
        (0.000_000_000_000_7, 0xd1, 7),
        (1_763_607_168.99, 0x25, 176_360_716_899),
        (60_466_101_015.5, 0x15, 604_661_010_155),
        (1_234_567.891, 0x34, 1_234_567_891),
    ] {
        let (found, bytes) = value_bytes(value);
        assert_eq!((found, &bytes[..]), (form, &mantissa.to_le_bytes()[..usize::from(form & 7)]), "{value}");
    }
    assert_eq!(value_bytes(1.0 / 3.0).0, 240, "no decimal");
}

#[test]
fn a_value_near_the_one_before_is_told_by_the_difference() {
    let payload = encode(&scrape(&[40_000.0, 40_000.0, 40_005.0, 39_900.0]));
    // Forms: plain in two bytes; differences in none, and in one: 5 is 10 in zigzag, -105 is 209.
    assert_eq!(payload, [4, 4 << 2, 0, 3, 225, 2, 224, 0x21, 0x00, 0x40, 0x9c, 10, 209]);
}

#[test]
fn a_value_that_stood_before_is_told_by_its_distance() {
    let payload = encode(&scrape(&[1_000_000.0, 3.5, 1_000_000.0]));
    // 3.5 is a decimal of another exponent, so there is no difference; the million is two rows back.
    assert_eq!(payload, [3, 3 << 2, 0, 3, 3, 0x11, 241, 0x10, 0x02, 0x40, 0x42, 0x0f, 35, 1]);
    let mut far = vec![1e9];
    far.extend((0..256).map(|index| f64::from(index) + 0.5));
    far.push(1e9);
    let read = decode(&encode(&scrape(&far))).unwrap();
    assert_eq!(read.last(), Some(&(257, 0, 1e9)), "257 rows back is too far to be told so");
}

#[test]
fn the_sixteenth_form_is_told_in_its_row() {
    // Fifteen forms twice, and one once: that one is not listed.
    let mut values: Vec<f64> = Vec::new();
    for exponent in 0..14 {
        values.extend([3.0 / 10f64.powi(exponent), 7.0 / 10f64.powi(exponent)]);
    }
    values.extend([f64::INFINITY, f64::NEG_INFINITY, -0.0]);
    let payload = encode(&scrape(&values));
    assert_eq!(payload[3], 15);
    assert!(!payload[4..19].contains(&233), "{payload:?}");
    assert_eq!(payload[payload.len() - 2..], [233, 0x80]);
    assert!(decode(&payload).unwrap().iter().zip(&values).all(|(row, value)| bits_equal(row.2, *value)));
}

#[test]
fn runs_are_as_long_as_their_steps_hold() {
    let keys = |payload: &[u8]| payload[1..payload.iter().rposition(|byte| *byte == 1).unwrap()].to_vec();
    // A scrape of two targets, the second 7 ms (zigzag 14) later.
    let payload = encode(&[(0, 100, 0.0), (1, 100, 0.0), (2, 107, 0.0), (3, 107, 0.0)]);
    assert_eq!(payload, [4, 2 << 2, 0xc8, 0x01, 2 << 2, 14, 1, 0, 0, 0]);
    // One series caught up on: reference 5 (zigzag 10), steps 0 and 15 (zigzag 30).
    let past: Rows = (0..10).map(|index| (5, 15 * index, 0.0)).collect();
    let payload = encode(&past);
    assert_eq!(payload[..6], [10, 10 << 2 | 3, 0, 10, 0, 30]);
    let _ = keys;
}

#[test]
fn a_row_takes_no_more_than_its_bound() {
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let far = |index: u64| (index.wrapping_mul(u64::MAX / 2 - 3), (i64::MIN + 9).wrapping_mul(index as i64 + 1), stale);
    let rows: Rows = (0..1000).map(|index| (far(index).0, far(index).1, f64::from_bits(u64::MAX - index))).collect();
    for count in [1, 2, 3, 10, 1000] {
        let bytes = encode(&rows[..count]).len();
        assert!(bytes <= count * SAMPLE_BYTES_MAX + 64, "{count} rows: {bytes}");
    }
}

#[test]
fn impossible_samples_are_refused() {
    let good = [1, 1 << 2, 0, 1, 0x01, 0x00, 9];
    assert_eq!(decode(&good), Ok(vec![(0, 0, 9.0)]));
    let with = |at: usize, byte: u8| {
        let mut bytes = good;
        bytes[at] = byte;
        decode(&bytes)
    };
    assert!(with(0, 2).is_err(), "a row without a run");
    assert!(with(0, 0).is_err(), "a run without a row");
    assert!(with(1, 2 << 2).is_err(), "a run too long");
    assert!(with(1, 0).is_err(), "a run of no rows");
    assert!(with(3, 16).is_err(), "sixteen forms");
    assert!(with(4, 242).is_err(), "a form that is none");
    assert!(with(4, 241).is_err(), "a repetition of nothing");
    assert!(with(5, 0x01).is_err(), "a form that is not listed");
    assert!(with(5, 0x10).is_err(), "a form of a row that is not there");
    assert!(decode(&[1, 1 << 2, 0, 1, 0x07, 0, 1, 0, 0, 0, 0, 0, 0x20]).is_err(), "mantissa 2^53 + 1");
    assert!(
        decode(&[2, 2 << 2, 0, 2, 0x07, 231, 0x10, 0, 0, 0, 0, 0, 0, 0x20, 2, 0, 0, 0, 0, 0, 0]).is_err(),
        "2^53 and 1"
    );
    assert!(decode(&[good.as_slice(), &[0]].concat()).is_err(), "a byte too many");
    assert!(decode(&[0xff, 0xff, 0xff, 0xff, 0x0f]).is_err(), "more rows than bytes");
}

#[test]
fn every_truncation_is_refused() {
    let payload = encode(&[(0, 7, 1.5), (9, 8, f64::NAN), (10, 8, 300.0), (11, 8, 300.0)]);
    for length in 0..payload.len() {
        assert!(decode(&payload[..length]).is_err(), "length {length}");
    }
    let mut deletion = Vec::new();
    append_deletion(&mut deletion, 1, 2, &[3_u64, 4]);
    for length in 0..deletion.len() {
        assert!(decode_deletion(&deletion[..length]).is_err(), "length {length}");
    }
}

#[test]
fn deletions_take_the_bytes_of_the_chapter() {
    let mut payload = Vec::new();
    append_deletion(&mut payload, 1, -1, &[300_u64, 301, 299]);
    // 300 is 600 in zigzag, then +1 is 2 and -2 is 3.
    let expected = [&[1, 0, 0, 0, 0, 0, 0, 0][..], &[0xff; 8], &[3, 0xd8, 0x04, 2, 3]].concat();
    assert_eq!(payload, expected);
    let deletion = Deletion { from_ms: 1, to_ms: -1, references: vec![300, 301, 299] };
    assert_eq!(decode_deletion(&payload), Ok(deletion));
    assert!(decode_deletion(&[&expected[..16], &[200, 0, 0]].concat()).is_err(), "more references than bytes");
}

/// Rows of version 1 behind a base of 1000 ms.
fn old(count: u8, rows: &[u8]) -> Vec<u8> {
    [&[0xe8, 3, 0, 0, 0, 0, 0, 0, count, 0, 0, 0], rows].concat()
}

#[test]
fn rows_of_version_1_mean_what_the_chapter_says() {
    for (row, value) in [
        (&[0x10][..], 0.0),
        (&[0x11, 1], 1.0),
        (&[0x11, 0xff], -1.0),
        (&[0x12, 0x80, 0x00], 128.0),
        (&[0x91, 1, 125], 12.5),
        (&[0x01, 0x80], -0.0),
        (&[0x02, 0xf0, 0x7f], f64::INFINITY),
        (&[0x08, 2, 0, 0, 0, 0, 0, 0xf0, 0x7f], f64::from_bits(0x7ff0_0000_0000_0002)),
        (&[0x17, 0, 0, 0, 0, 0, 0, 0x20], 9_007_199_254_740_992.0),
    ] {
        let read = decode_old(&old(1, row)).unwrap();
        assert!((read[0].0, read[0].1) == (0, 1000) && bits_equal(read[0].2, value), "{read:?} {value}");
    }
    // Third row: zigzag(-10) = 19 behind the value, then zigzag(5 - 2) = 6.
    let read = decode_old(&old(4, &[0x11, 1, 0x11, 1, 0x71, 1, 19, 6, 0x11, 1]));
    assert_eq!(read, Ok(vec![(0, 1000, 1.0), (1, 1000, 1.0), (5, 990, 1.0), (6, 990, 1.0)]));
}

#[test]
fn impossible_rows_of_version_1_are_refused() {
    assert!(decode_old(&old(1, &[0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0])).is_err(), "nine value bytes");
    assert!(decode_old(&old(1, &[0x91, 16, 1])).is_err(), "exponent 16");
    assert!(decode_old(&old(1, &[0x81, 1, 1])).is_err(), "raw bits with an exponent");
    assert!(decode_old(&old(1, &[0x17, 1, 0, 0, 0, 0, 0, 0x20])).is_err(), "mantissa 2^53 + 1");
    assert!(decode_old(&old(2, &[0x10])).is_err(), "a row is missing");
    assert!(decode_old(&old(0, &[0x10])).is_err(), "a row too many");
    assert!(decode_old(&old(1, &[0x91, 15, 1])).is_ok());
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

/// Keys of any kind, and of the kinds that make runs.
fn key_strategy() -> impl Strategy<Value = Vec<(u64, i64)>> {
    prop_oneof![
        proptest::collection::vec((any::<u64>(), any::<i64>()), 0..50),
        (any::<u64>(), any::<i64>(), 0..300_usize).prop_map(|(first, moment_ms, count)| {
            (0..count as u64).map(|index| (first.wrapping_add(index), moment_ms)).collect()
        }),
        (0..5_u64, proptest::collection::vec((0..3_u64, 0..3_i64), 0..100)).prop_map(|(first, steps)| {
            let mut key = (first, 0);
            let step = |(up, later): (u64, i64)| {
                key = (key.0 + up, key.1 + later);
                key
            };
            steps.into_iter().map(step).collect()
        }),
    ]
}

proptest! {
    #[test]
    fn samples_come_back_bit_for_bit(
        keys in key_strategy(),
        values in proptest::collection::vec(value_strategy(), 300),
        few in 1..300_usize,
    ) {
        // Few different values make repetitions.
        let rows: Rows = keys.iter().enumerate().map(|(i, key)| (key.0, key.1, values[i % few])).collect();
        let payload = encode(&rows);
        prop_assert!(payload.len() <= rows.len() * SAMPLE_BYTES_MAX + 64);
        let decoded = decode(&payload).unwrap();
        prop_assert_eq!(decoded.len(), rows.len());
        for (got, want) in decoded.iter().zip(&rows) {
            prop_assert!((got.0, got.1) == (want.0, want.1) && bits_equal(got.2, want.2), "{got:?} {want:?}");
        }
    }

    #[test]
    fn deletions_come_back(from_ms in any::<i64>(), to_ms in any::<i64>(), references in any::<Vec<u64>>()) {
        let mut payload = Vec::new();
        append_deletion(&mut payload, from_ms, to_ms, &references);
        prop_assert_eq!(decode_deletion(&payload), Ok(Deletion { from_ms, to_ms, references }));
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
        let _ = decode_old(&bytes);
        let _ = decode_deletion(&bytes);
        let _ = decode_series(&bytes).count();
    }

    #[test]
    fn samples_with_changed_bytes_decode_or_are_refused(
        values in proptest::collection::vec(value_strategy(), 1..60),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut payload = encode(&scrape(&values));
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Ok(rows) = decode(&payload) {
            prop_assert!(rows.len() <= 2 * payload.len());
        }
    }
}

/// A histogram of two buckets that hold so much.
fn histogram(counts: [f64; 2]) -> Histogram {
    let layout = Layout { positive: vec![Span { offset: 0, length: 2 }], ..Layout::default() };
    Histogram { layout: layout.into(), count: counts[0] + counts[1], positive: counts.to_vec(), ..Histogram::default() }
}

#[test]
fn histograms_of_several_series_come_back_in_order() {
    let histograms = [histogram([1.0, 2.0]), histogram([1.0, 4.0]), Histogram::stale(), histogram([0.5, 0.25])];
    let rows: Vec<(u64, i64, &Histogram)> = vec![
        (7, 1000, &histograms[0]),
        (7, 2000, &histograms[1]),
        (3, 1000, &histograms[2]),
        (u64::MAX, -5, &histograms[3]),
    ];
    let mut payload = Vec::new();
    append_histograms(&mut payload, &rows);
    let mut read = Vec::new();
    let count =
        decode_histograms(&payload, |reference, time_ms, read_one| read.push((reference, time_ms, read_one.clone())));
    assert_eq!(count, Ok(4));
    assert_eq!(read.len(), rows.len());
    for (read, written) in read.iter().zip(&rows) {
        assert_eq!((read.0, read.1), (written.0, written.1));
        assert!(read.2.same_bits(written.2));
    }
    // Reference 7, two samples; then -4 to reference 3, and one sample of two bytes and a time of two.
    assert_eq!(payload[..2], [14, 2]);
    let second = 3 + usize::from(payload[2]);
    assert_eq!(payload[second..second + 6], [7, 1, 3, 0xd0, 0x0f, 0x10]);
}

#[test]
fn damaged_histograms_are_refused_where_they_are() {
    let (one, mut payload) = (histogram([1.0, 2.0]), Vec::new());
    append_histograms(&mut payload, &[(7_u64, 0, &one), (8, 0, &one)]);
    let refused = |at: usize, byte: u8| {
        let mut bytes = payload.clone();
        bytes[at] = byte;
        decode_histograms(&bytes, |_, _, _| ()).expect_err("damaged")
    };
    let uncounted = "a series has no histograms, or more than bytes for them";
    assert_eq!(refused(1, 0), crate::Corruption::at(1, uncounted));
    assert_eq!(refused(1, 0x7f), crate::Corruption::at(1, uncounted));
    assert_eq!(refused(1, 2).what, "the bytes end within a field");
    assert_eq!(refused(4, 0xff), crate::Corruption::at(4, "a control byte has flags without meaning"));
    let mut told = 0;
    let cut = decode_histograms(&payload[..payload.len() - 1], |_, _, _| told += 1).expect_err("cut short");
    assert_eq!((told, cut.what), (1, "a count exceeds the bytes that are left"));
}
