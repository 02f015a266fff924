//! Native histograms in both kinds of answer, their chunks read by a reader that shares nothing with the writer.

use super::*;
use crate::http::remote_read::histogram;
use crate::ingest::proto::{BucketSpan, Count, ZeroCount};
use crate::model::{CounterResetHint, FloatHistogram, Side, Span, stale_nan};

#[tokio::test(flavor = "multi_thread")]
async fn native_histograms_are_answered_in_samples() {
    let histogram = FloatHistogram {
        count: 3.0,
        sum: 4.5,
        schema: -1,
        positive: Side::of_run(-2, vec![1.0, 2.0]),
        ..FloatHistogram::default()
    };
    let histograms = vec![(5_000, Arc::new(histogram))];
    let series = GivenSeries { labels: Arc::new(labels(&[("__name__", "h")])), histograms, ..GivenSeries::default() };
    let server = serving(vec![series]).await;
    let answered = post(&server, &request(&[0, 1], &[(0, 9_000, &[(0, "__name__", "h")])])).await;
    assert_eq!(answered.header("content-type"), Some("application/x-protobuf"));
    let message = snap::raw::Decoder::new().decompress_vec(&answered.bytes).expect("snappy");
    let results = ReadResponse::decode(message.as_slice()).expect("a message").results;
    let expected = Histogram {
        count: Some(Count::Float(3.0)),
        sum: 4.5,
        schema: -1,
        // By this, zero or not, a reader knows that the counts are floats.
        zero_count: Some(ZeroCount::Float(0.0)),
        positive_spans: vec![BucketSpan { offset: -2, length: 2 }],
        positive_counts: vec![1.0, 2.0],
        timestamp: 5_000,
        ..Histogram::default()
    };
    assert_eq!(results[0].series[0].histograms, [expected]);
}

/// Reads a chunk bit by bit, from the format's description.
fn read_histograms(data: &[u8]) -> Vec<(i64, FloatHistogram)> {
    let count = u16::from_be_bytes([data[0], data[1]]);
    let text: Vec<u8> = data[3..].iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let mut bits = Text { bits: &text };
    let threshold = match bits.take(8) {
        0 => 0.0,
        255 => f64::from_bits(bits.take(64)),
        power => 2.0_f64.powi(power as i32 - 244),
    };
    let schema = bits.signed() as i32;
    let (above, below) = (bits.spans(), bits.spans());
    let bound = |bits: &mut Text<'_>| match bits.varbit().0 {
        0 => f64::from_bits(bits.take(64)),
        number => (number - 1) as f64 / 1000.0,
    };
    let bounds = if schema == -53 { bits.varbit().0 } else { 0 };
    let custom_values: Arc<[f64]> = (0..bounds).map(|_| bound(&mut bits)).collect();
    let places = |spans: &[Span]| spans.iter().map(|span| span.length as usize).sum::<usize>();
    let mut numbers = vec![0_u64; 3 + places(&above) + places(&below)];
    let mut windows = vec![(0, 0); numbers.len()];
    let (mut time_ms, mut step_ms) = (0_i64, 0_i64);
    let mut read = Vec::new();
    for index in 0..count {
        if index == 0 {
            time_ms = bits.signed();
            numbers.iter_mut().for_each(|number| *number = bits.take(64));
        } else {
            step_ms = step_ms.wrapping_add(bits.signed());
            time_ms = time_ms.wrapping_add(step_ms);
            numbers.iter_mut().zip(&mut windows).for_each(|(number, window)| *number ^= bits.difference(window));
        }
        let hint = match (data[2] >> 6, index) {
            (3, _) => CounterResetHint::Gauge,
            (_, 1..) => CounterResetHint::NotReset,
            (2, 0) => CounterResetHint::Reset,
            _ => CounterResetHint::Unknown,
        };
        let floats: Vec<f64> = numbers.iter().map(|bits| f64::from_bits(*bits)).collect();
        let (positive, negative) = floats[3..].split_at(places(&above));
        let histogram = FloatHistogram {
            hint,
            schema,
            zero_threshold: threshold,
            zero_count: floats[1],
            count: floats[0],
            sum: floats[2],
            positive: Side { spans: above.clone(), counts: positive.to_vec() },
            negative: Side { spans: below.clone(), counts: negative.to_vec() },
            custom_values: custom_values.clone(),
        };
        read.push((time_ms, histogram));
    }
    read
}

struct Text<'a> {
    bits: &'a [u8],
}

impl Text<'_> {
    fn take(&mut self, count: usize) -> u64 {
        let (taken, rest) = self.bits.split_at(count);
        self.bits = rest;
        taken.iter().fold(0, |number, bit| number << 1 | u64::from(*bit))
    }

    /// The number, and in how many bits it stood.
    fn varbit(&mut self) -> (u64, usize) {
        let ones = (0..8).take_while(|_| self.take(1) == 1).count();
        let width = [0, 3, 6, 9, 12, 18, 25, 56, 64][ones];
        (self.take(width), width)
    }

    fn signed(&mut self) -> i64 {
        match self.varbit() {
            (number, 1..=56) if number > 1 << 55 => number.cast_signed() - (1 << 56),
            (number, width @ 1..=25) if number > 1 << (width - 1) => number.cast_signed() - (1 << width),
            (number, _) => number.cast_signed(),
        }
    }

    fn spans(&mut self) -> Vec<Span> {
        let count = self.varbit().0;
        let mut one = || {
            let length = self.varbit().0 as u32;
            Span { length, offset: self.signed() as i32 }
        };
        (0..count).map(|_| one()).collect()
    }

    fn difference(&mut self, (before, width): &mut (usize, usize)) -> u64 {
        if self.take(1) == 0 {
            return 0;
        }
        if self.take(1) == 1 {
            *before = self.take(5) as usize;
            *width = match self.take(6) as usize {
                0 => 64,
                bits => bits,
            };
        }
        self.take(*width) << (64 - *before - *width)
    }
}

fn seen(count: f64, hint: CounterResetHint) -> FloatHistogram {
    FloatHistogram {
        hint,
        count,
        sum: count,
        zero_threshold: 0.5,
        positive: Side::of_run(0, vec![count]),
        ..FloatHistogram::default()
    }
}

#[test]
fn chunk_of_two_histograms_has_these_bits() {
    // One observation in (0.5,1] at 1 ms, two at 3 ms. A half is the power -1, so 243.
    let histograms =
        [(1, Arc::new(seen(1.0, CounterResetHint::Unknown))), (3, Arc::new(seen(2.0, CounterResetHint::NotReset)))];
    let mut data = Vec::new();
    assert_eq!(histogram::encode(&histograms, &mut data), 2);
    let (zero, one) = ("0".repeat(64), format!("{:064b}", 0x3ff0_0000_0000_0000_u64));
    let layout = format!("{:08b} 0 10001 10001 0 0", 243);
    // From 1.0 to 2.0 eleven bits change, behind one that does not: 0x3ff0… to 0x4000….
    let change = "11 00001 001011 11111111111";
    let text = format!("{layout} 10001 {one} {zero} {one} {one} 10010 {change} 0 {change} {change}").replace(' ', "");
    let bytes = text.as_bytes().chunks(8).map(|byte| {
        let text = format!("{:0<8}", String::from_utf8_lossy(byte));
        u8::from_str_radix(&text, 2).expect("bits")
    });
    assert_eq!(data, [0, 2, 0].into_iter().chain(bytes).collect::<Vec<u8>>());
}

#[test]
fn chunk_ends_where_its_reader_would_believe_too_much() {
    use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
    let wider = FloatHistogram { positive: Side::of_run(0, vec![4.0, 1.0]), ..seen(5.0, NotReset) };
    let finer = FloatHistogram { schema: 1, ..wider.clone() };
    let narrower = FloatHistogram { zero_threshold: 0.25, ..wider.clone() };
    for (one, two, is_together) in [
        (seen(1.0, Unknown), seen(2.0, NotReset), true),
        (seen(1.0, Reset), seen(2.0, NotReset), true),
        (seen(2.0, Gauge), seen(1.0, Gauge), true),
        (seen(1.0, Unknown), seen(2.0, Unknown), false),
        (seen(2.0, NotReset), seen(1.0, Reset), false),
        (seen(2.0, Gauge), seen(2.0, NotReset), false),
        (seen(2.0, Unknown), seen(2.0, Gauge), false),
        (seen(2.0, Unknown), FloatHistogram::stale(), false),
        (FloatHistogram::stale(), seen(2.0, NotReset), false),
        (seen(1.0, Unknown), wider.clone(), false),
        (wider.clone(), finer, false),
        (wider, narrower, false),
    ] {
        let told = format!("{one:?} {two:?}");
        let count = histogram::encode(&[(1, Arc::new(one)), (2, Arc::new(two))], &mut Vec::new());
        assert_eq!(count == 2, is_together, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_numbers_and_histograms_take_turns() {
    let numbers = [1_000_i64, 2_000, 4_000, 9_000];
    let samples = numbers.iter().map(|time_ms| Sample { timestamp_ms: *time_ms, value: *time_ms as f64 }).collect();
    let histogram = |time_ms: i64| (time_ms, Arc::new(seen(time_ms as f64, CounterResetHint::NotReset)));
    let histograms: Vec<_> = [3_000, 5_000, 6_000].into_iter().chain(10_000..10_300).map(histogram).collect();
    let series = GivenSeries {
        labels: Arc::new(labels(&[("__name__", "h")])),
        samples,
        histograms: histograms.clone(),
        ..GivenSeries::default()
    };
    let server = serving(vec![series]).await;
    let answered = post(&server, &request(&[1, 0], &[(0, 20_000, &[(0, "__name__", "h")])])).await;
    assert_eq!(answered.status, 200);
    let chunks: Vec<PbChunk> =
        frames(&answered.bytes).into_iter().flat_map(|frame| frame.series).flat_map(|series| series.chunks).collect();
    let shape: Vec<_> = chunks.iter().map(|chunk| (chunk.kind, chunk.from_ms, chunk.to_ms)).collect();
    let rest = [(3, 10_000, 10_119), (3, 10_120, 10_239), (3, 10_240, 10_299)];
    let expected = [(1, 1_000, 2_000), (3, 3_000, 3_000), (1, 4_000, 4_000), (3, 5_000, 6_000), (1, 9_000, 9_000)];
    assert_eq!(shape, [&expected[..], &rest].concat());
    let read: Vec<_> =
        chunks.iter().filter(|chunk| chunk.kind == 3).flat_map(|one| read_histograms(&one.data)).collect();
    assert_eq!(read.len(), histograms.len());
    for ((read_ms, read), (time_ms, stored)) in read.iter().zip(&histograms) {
        assert!(read_ms == time_ms && read.same_bits(stored), "{read:?} {stored:?}");
    }
}

/// Frames stay within their bound where one histogram is as large as it may be.
#[test]
fn frames_of_the_largest_histograms_are_bounded() {
    let spans = (0..16_384).map(|_| Span { offset: 1_000, length: 1 }).collect();
    let counts = (0..16_384).map(|index| 1.0 / f64::from(index + 3)).collect();
    let largest = FloatHistogram { positive: Side { spans, counts }, ..seen(1e9, CounterResetHint::NotReset) };
    let samples = chunks::Samples {
        histograms: (0..9).map(|at| (at, Arc::new(largest.clone()))).collect(),
        ..Default::default()
    };
    let (mut bytes, labels) = (Vec::new(), labels(&[("__name__", "h")]));
    let sent: Result<(), ()> = chunks::frames(&labels, &samples, 0, |frame| {
        bytes.extend_from_slice(frame);
        Ok(())
    });
    assert_eq!(sent, Ok(()));
    let all = frames(&bytes).into_iter().flat_map(|frame| frame.series).flat_map(|series| series.chunks);
    let read: Vec<_> = all.flat_map(|chunk| read_histograms(&chunk.data)).collect();
    assert_eq!(read.len(), 9);
    assert!(read.iter().all(|(_, one)| one.same_bits(&largest)));
}

prop_compose! {
    fn any_side()(cells in prop::collection::vec((0..6_i32, 1..5_u32), 0..4))
        (counts in prop::collection::vec(any_number(), cells.iter().map(|cell| cell.1 as usize).sum::<usize>()), cells in Just(cells))
        -> Side {
        Side { spans: cells.into_iter().map(|(offset, length)| Span { offset, length }).collect(), counts }
    }
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![(0..900_u32).prop_map(f64::from), any::<u64>().prop_map(f64::from_bits), Just(0.0), Just(stale_nan())]
}

prop_compose! {
    fn any_layout()(
        (schema, threshold) in (-4..9_i32, prop_oneof![Just(0.0), Just(0.001), (-250..20_i32).prop_map(|power| 2.0_f64.powi(power))]),
        bounds in prop_oneof![3 => Just(None), 1 => prop::collection::vec(prop_oneof![-5.0..5.0, (0..90_000_000_i64).prop_map(|n| n as f64 / 1000.0)], 0..6).prop_map(Some)],
        positive in any_side(),
        negative in any_side(),
    ) -> FloatHistogram {
        let schema = if bounds.is_some() { -53 } else { schema };
        let custom_values = bounds.unwrap_or_default().into();
        FloatHistogram { schema, zero_threshold: threshold, positive, negative, custom_values, ..FloatHistogram::default() }
    }
}

proptest! {
    #[test]
    fn chunk_of_histograms_is_read_as_it_was_written(
        layout in any_layout(),
        numbers in prop::collection::vec((any::<i64>(), any_number(), any_number(), any_number()), 1..150),
        is_gauge: bool,
    ) {
        let mut time_ms = 0_i64;
        let histograms: Vec<_> = numbers.into_iter().map(|(step_ms, count, sum, zero_count)| {
            time_ms = time_ms.wrapping_add(step_ms);
            let hint = if is_gauge { CounterResetHint::Gauge } else { CounterResetHint::NotReset };
            let mut one = FloatHistogram { hint, count, sum, zero_count, ..layout.clone() };
            one.positive.counts.iter_mut().for_each(|bucket| *bucket *= count);
            (time_ms, Arc::new(one))
        }).collect();
        let (mut left, mut data) = (histograms.as_slice(), Vec::new());
        while !left.is_empty() {
            let count = histogram::encode(left, &mut data);
            let read = read_histograms(&data);
            prop_assert_eq!(read.len(), count);
            for (index, ((read_ms, read), (time_ms, one))) in read.iter().zip(left).enumerate() {
                prop_assert_eq!(read_ms, time_ms);
                prop_assert!(read.same_bits(one), "{:?} {:?}", read, one);
                prop_assert_eq!(read.positive.spans.as_slice(), one.positive.spans.as_slice());
                prop_assert!(index == 0 && !is_gauge || read.hint == one.hint);
            }
            left = &left[count..];
        }
    }
}
