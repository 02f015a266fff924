//! Native histograms: in chunks and records written here bit by bit as the format has them, and in requests.

use prost::Message;

use super::super::batch::encode;
use super::super::prometheus::{Buckets, read_histograms};
use super::*;
use crate::ingest::proto::{BucketSpan, Count, Histogram, ZeroCount};
use crate::model::{CounterResetHint, FloatHistogram, HistogramError, Labels, Sample, Side, Span, stale_nan};

/// Bytes of bits, which are written in groups.
fn bytes(text: &str) -> Vec<u8> {
    let bits = text.replace(' ', "");
    let byte = |byte: &[u8]| u8::from_str_radix(&format!("{:0<8}", String::from_utf8_lossy(byte)), 2).expect("bits");
    bits.as_bytes().chunks(8).map(byte).collect()
}

fn float(value: f64) -> String {
    format!("{:064b}", value.to_bits())
}

/// The histograms of a chunk by their times, and why others were refused.
type Read = (Vec<(i64, FloatHistogram)>, Vec<HistogramError>);

fn read(head: [u8; 3], text: &str, buckets: Buckets) -> Option<Read> {
    let mut samples = Vec::new();
    let refused = read_histograms(&[&head[..], &bytes(text)].concat(), buckets, &mut samples)?;
    let histogram = |sample: AnySample| match sample.value {
        AnyValue::Histogram(histogram) => (sample.timestamp_ms, (*histogram).clone()),
        AnyValue::Number(value) => panic!("a number, {value}"),
    };
    Some((samples.into_iter().map(histogram).collect(), refused))
}

fn assert_read(read: &[(i64, FloatHistogram)], expected: &[(i64, FloatHistogram)]) {
    assert_eq!(read.len(), expected.len(), "{read:?}");
    for ((read_ms, read), (time_ms, one)) in read.iter().zip(expected) {
        assert!(read_ms == time_ms && read.same_bits(one) && read.hint == one.hint, "{read_ms} {read:?}\n{one:?}");
    }
}

/// Zero up to a half (2^-1, so 243), schema 1, above zero the buckets 0 and 2, below it the bucket -1.
const LAYOUT: &str = "11110011 10001 10010 10001 0 10001 10001 10001 10001 10111";

fn laid_out(hint: CounterResetHint, zero_count: f64, counts: [f64; 3], sum: f64) -> FloatHistogram {
    let span = |offset, length| Span { offset, length };
    FloatHistogram {
        hint,
        schema: 1,
        zero_threshold: 0.5,
        zero_count,
        count: zero_count + counts.iter().sum::<f64>(),
        sum,
        positive: Side { spans: vec![span(0, 1), span(1, 1)], counts: counts[..2].to_vec() },
        negative: Side { spans: vec![span(-1, 1)], counts: counts[2..].to_vec() },
        ..FloatHistogram::default()
    }
}

#[test]
fn chunk_of_integers_is_read() {
    // At 2 ms: 7, of them 1 in zero, 3 and 2 above, 1 below. Then at 4 ms 4 and 2 and 3, at 7 ms 5 and 2 and 5.
    let first = ["10010", "10111", "10001", &float(1.5), "10011 10111", "10001"].concat();
    // Count +3 (10 011), zero the same, the sum too; buckets +1 and, of its difference, -1; below +2.
    let second = "10010 10011 0 0 10001 10111 10010";
    // Step 3 after 2: +1. Count +3 again, so 0. Buckets again +1, -1, +2, so 0.
    let third = "10001 0 0 0 0 0 0";
    let (read, refused) =
        read([0, 3, 0x80], &[LAYOUT, &first, second, third].concat(), Buckets::Integers).expect("whole");
    use CounterResetHint::{Reset, Unknown};
    let expected = [
        (2, laid_out(Reset, 1.0, [3.0, 2.0, 1.0], 1.5)),
        (4, laid_out(Unknown, 1.0, [4.0, 2.0, 3.0], 1.5)),
        (7, laid_out(Unknown, 1.0, [5.0, 2.0, 5.0], 1.5)),
    ];
    assert_read(&read, &expected);
    assert_eq!(refused, []);
}

#[test]
fn chunk_of_floats_that_ends_with_the_series_is_read() {
    let numbers = [6.5, 0.5, -1.0, 3.0, 2.0, 1.0].map(float).concat();
    // The count falls to 0 as it does in a marker: all 14 bits of 6.5 that are there, from the second on.
    let xor = |from: f64, to: f64| {
        let bits = from.to_bits() ^ to.to_bits();
        let (before, behind) = (bits.leading_zeros(), bits.trailing_zeros());
        let count = 64 - before - behind;
        format!("11 {before:05b} {:06b} {:0width$b}", count % 64, bits >> behind, width = count as usize)
    };
    let end = ["10011", &xor(6.5, 0.0), &xor(0.5, 0.0), &xor(-1.0, stale_nan())].concat();
    let (read, refused) = read(
        [0, 2, 0xc0],
        &["11110011 10001 10010 10001 0 10001 10001 10001 10001 10111", "10010", &numbers, &end].concat(),
        Buckets::Floats,
    )
    .expect("whole");
    let expected = [(2, laid_out(CounterResetHint::Gauge, 0.5, [3.0, 2.0, 1.0], -1.0)), (5, FloatHistogram::stale())];
    assert_read(&read, &expected);
    assert_eq!(refused, []);
}

#[test]
fn bounds_of_custom_buckets_are_read() {
    // Schema -53 in nine bits, one span of two buckets; 0.005 as 6, then 1e9 in full.
    let layout = ["00000000 1110 111001011 10001 10010 0 0 10010 10110 0", &float(1e9)].concat();
    let (read, _) = read([0, 1, 0], &[&layout, "0 10011 0", &float(2.0), "10001 10001"].concat(), Buckets::Integers)
        .expect("whole");
    let expected = FloatHistogram {
        schema: -53,
        count: 3.0,
        sum: 2.0,
        positive: Side::of_run(0, vec![1.0, 2.0]),
        custom_values: [0.005, 1e9].into(),
        ..FloatHistogram::default()
    };
    assert_read(&read, &[(0, expected)]);
}

#[test]
fn histogram_that_may_not_be_stored_is_refused_alone() {
    // A count of 7 where the buckets hold 7 with zero; then one of 8, with the same buckets.
    let first = ["10010", "10111", "10001", &float(1.5), "10011 10111", "10001"].concat();
    let second = "10010 10001 0 0 0 0 0";
    let (read, refused) = read([0, 2, 0], &[LAYOUT, &first, second].concat(), Buckets::Integers).expect("whole");
    assert_read(&read, &[(2, laid_out(CounterResetHint::Unknown, 1.0, [3.0, 2.0, 1.0], 1.5))]);
    assert_eq!(refused, [HistogramError::CountMismatch { held: 7, count: 8 }]);
}

#[test]
fn chunk_that_ends_early_or_claims_too_much_is_none() {
    let whole = [LAYOUT, "10010", "10111", "10001", &float(1.5), "10011 10111", "10001"].concat().replace(' ', "");
    assert!(read([0, 1, 0], &whole, Buckets::Integers).is_some());
    for bits in (0..whole.len() - 8).step_by(8) {
        assert!(read([0, 1, 0], &whole[..bits], Buckets::Integers).is_none(), "{bits} bits");
    }
    // 2^25 - 1 buckets in one span; 16,384 of them in 65,535 histograms.
    for (count, length) in
        [([0, 1], format!("1111110{:025b}", (1 << 25) - 1)), ([255, 255], format!("111110{:018b}", 16_384))]
    {
        let layout = format!("00000000 0 10001 {length} 0 0 {}", "0".repeat(80_000));
        assert!(read([count[0], count[1], 0], &layout, Buckets::Integers).is_none());
    }
}

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
struct Series {
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Number>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    time_ms: i64,
}

#[test]
fn request_tells_numbers_and_histograms_of_a_series() {
    let labels = Labels::from_pairs([("__name__", "h")]).expect("labels");
    let custom = FloatHistogram {
        schema: -53,
        count: 3.0,
        positive: Side::of_run(0, vec![1.0, 2.0]),
        custom_values: [0.005, 1e9].into(),
        ..FloatHistogram::default()
    };
    let mut batch = Batch::default();
    batch.push(
        labels.clone(),
        [AnySample::histogram(-9, laid_out(CounterResetHint::Gauge, 0.5, [3.0, 2.0, 1.0], -1.0))],
    );
    batch.push(labels.clone(), [Sample { timestamp_ms: 5, value: 0.25 }]);
    batch.push(labels, [AnySample::histogram(300, custom)]);
    let message = snap::raw::Decoder::new().decompress_vec(&encode(&batch.runs(), &mut Vec::new())).expect("snappy");
    let span = |offset, length| BucketSpan { offset, length };
    let expected = Series {
        samples: vec![Number { value: 0.25, time_ms: 5 }],
        histograms: vec![
            Histogram {
                count: Some(Count::Float(6.5)),
                sum: -1.0,
                schema: 1,
                zero_threshold: 0.5,
                zero_count: Some(ZeroCount::Float(0.5)),
                negative_spans: vec![span(-1, 1)],
                negative_counts: vec![1.0],
                positive_spans: vec![span(0, 1), span(1, 1)],
                positive_counts: vec![3.0, 2.0],
                reset_hint: 3,
                timestamp: -9,
                ..Histogram::default()
            },
            Histogram {
                count: Some(Count::Float(3.0)),
                schema: -53,
                zero_count: Some(ZeroCount::Float(0.0)),
                positive_spans: vec![span(0, 2)],
                positive_counts: vec![1.0, 2.0],
                timestamp: 300,
                custom_values: vec![0.005, 1e9],
                ..Histogram::default()
            },
        ],
    };
    assert_eq!(Request::decode(message.as_slice()).expect("a request").series, [expected]);
}
