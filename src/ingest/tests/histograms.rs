//! Native histograms by remote write, built by `prost`: what is stored of them, what is refused, and who notices.

use proptest::prelude::*;
use storage_format::histogram::{MARKER_BITS, is_marker};

use super::proto::{BucketSpan, Count, Histogram, ZeroCount};
use super::*;
use crate::model::{BUCKETS_COUNT_MAX, FloatHistogram, stale_nan};
use crate::storage::stored_histogram;

/// Times in ms and bits of floats.
type Floats = Vec<(i64, u64)>;

/// So many observations in the two buckets around 1, half of them in each.
pub(super) fn latency(timestamp: i64, count: u64) -> Histogram {
    let low = count / 2;
    Histogram {
        count: Some(Count::Whole(count)),
        sum: count as f64 * 1.1,
        zero_threshold: 0.001,
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
        positive_deltas: vec![low as i64, (count - low) as i64 - low as i64],
        timestamp,
        ..Histogram::default()
    }
}

/// The series `latency` with these.
pub(super) fn latencies(histograms: Vec<Histogram>) -> TimeSeries {
    TimeSeries { histograms, ..series(&[("__name__", "latency")], &[]) }
}

/// Spans, and a count for each bucket of them, or hardly one too many or few.
fn any_side() -> impl Strategy<Value = (Vec<BucketSpan>, Vec<u64>)> {
    let offset = prop_oneof![10 => 0..4_i32, 1 => -3..0_i32, 1 => any::<i32>()];
    let length = prop_oneof![20 => 0..4_u32, 1 => any::<u32>()];
    let span = (offset, length).prop_map(|(offset, length)| BucketSpan { offset, length });
    (prop::collection::vec(span, 0..4), 0..20_usize).prop_flat_map(|(spans, slip)| {
        let places: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
        let count = (places.min(40) as usize + usize::from(slip == 0)).saturating_sub(usize::from(slip == 1));
        (Just(spans), prop::collection::vec(0..1_000_u64, count))
    })
}

fn deltas(counts: &[u64]) -> Vec<i64> {
    let mut before = 0;
    counts.iter().map(|count| *count as i64 - std::mem::replace(&mut before, *count as i64)).collect()
}

/// Histograms of both kinds, most of which may be stored.
pub(super) fn any_histogram() -> impl Strategy<Value = Histogram> {
    let schema = prop_oneof![6 => -4..9_i32, 2 => 9..53_i32, 2 => Just(-53), 1 => any::<i32>()];
    let sum = prop_oneof![4 => -1e6..1e6, 1 => Just(f64::NAN), 1 => Just(stale_nan()), 1 => Just(0.0)];
    let timestamp = prop_oneof![4 => NOW_MS - 1_000..NOW_MS, 1 => any::<i64>()];
    let bounds = prop::collection::vec(-10..100_i32, 0..5);
    let shape = (any_side(), any_side(), schema, sum, timestamp, bounds);
    (shape, 0..9_i32, any::<bool>(), 0..20_u64, 0..10_u64).prop_map(|(shape, hint, is_whole, slip, zero)| {
        let ((positive_spans, positive), (negative_spans, negative), schema, sum, timestamp, mut bounds) = shape;
        let is_custom = schema == -53;
        bounds.sort_unstable();
        let (negative_spans, negative) = if is_custom { (Vec::new(), Vec::new()) } else { (negative_spans, negative) };
        let zero = if is_custom { 0 } else { zero };
        let count = positive.iter().chain(&negative).sum::<u64>() + zero + u64::from(slip == 0);
        let floats = |counts: &[u64]| counts.iter().map(|count| *count as f64 * 0.5).collect::<Vec<f64>>();
        let mut histogram = Histogram {
            count: Some(if is_whole { Count::Whole(count) } else { Count::Float(count as f64 * 0.5) }),
            sum,
            schema,
            zero_threshold: if is_custom { 0.0 } else { 0.001 },
            zero_count: Some(if is_whole { ZeroCount::Whole(zero) } else { ZeroCount::Float(zero as f64 * 0.5) }),
            positive_spans,
            negative_spans,
            reset_hint: if hint == 8 { -1 } else { hint },
            timestamp,
            custom_values: if is_custom { bounds.into_iter().map(f64::from).collect() } else { Vec::new() },
            ..Histogram::default()
        };
        if is_whole {
            (histogram.positive_deltas, histogram.negative_deltas) = (deltas(&positive), deltas(&negative));
        } else {
            (histogram.positive_counts, histogram.negative_counts) = (floats(&positive), floats(&negative));
        }
        histogram
    })
}

impl Fixture {
    /// The histograms that are stored of the series `latency`, and its floats.
    fn latencies(&self) -> (Vec<(i64, FloatHistogram)>, Floats) {
        let name = Matcher::equal("__name__", "latency");
        let (mut columns, mut histograms) = (Columns::default(), Vec::new());
        for series in self.storage.view().select(&[name], TimeRange::ALL, 10).expect("a selection") {
            series.read_both(TimeRange::ALL, &mut columns, &mut histograms);
        }
        let histograms = histograms.into_iter().map(|(time_ms, histogram)| (time_ms, (*histogram).clone()));
        (histograms.collect(), columns.iter().map(|(time_ms, value)| (time_ms, value.to_bits())).collect())
    }
}

#[test]
fn histograms_of_new_and_known_series_are_stored_and_counted() {
    let fixture = Fixture::new();
    let told = [(NOW_MS - 30, 4), (NOW_MS - 20, 7), (NOW_MS - 10, 12)].map(|(time_ms, count)| latency(time_ms, count));
    for one in &told {
        let written = fixture.send(vec![latencies(vec![one.clone()]), neighbour()]).expect("taken");
        assert_eq!(written, Written { samples: 1, histograms: 1 });
    }
    let (stored, floats) = fixture.latencies();
    assert!(floats.is_empty());
    assert_eq!(stored.iter().map(|(time_ms, _)| *time_ms).collect::<Vec<_>>(), [NOW_MS - 30, NOW_MS - 20, NOW_MS - 10]);
    assert_eq!(stored[1].1.to_string(), "{count:7, sum:7.700000000000001, (0.5,1]:3, (1,2]:4}");
    let again = fixture.send(vec![latencies(told.to_vec())]).expect("all of it is stored already");
    assert_eq!(again, Written { samples: 0, histograms: 3 });
    assert_eq!(fixture.latencies().0.len(), 3);
}

#[test]
fn one_histogram_that_may_not_be_stored_spoils_no_other() {
    type Case = (fn(&mut Histogram), &'static str);
    let cases: [Case; 6] = [
        (|bad| bad.count = Some(Count::Whole(99)), "buckets hold 8 observations, but the count is 99"),
        (|bad| bad.schema = 60, "schema 60"),
        (|bad| bad.positive_deltas.push(-4), "3 counts are given"),
        (|bad| (bad.schema, bad.positive_spans) = (20, Vec::new()), "2 counts are given"),
        (|bad| bad.positive_deltas = vec![9, -10], "must not be negative"),
        (|bad| bad.zero_threshold = f64::NAN, "zero threshold"),
    ];
    for (spoil, reason) in cases {
        let fixture = Fixture::new();
        for _ in 0..2 {
            let mut bad = latency(NOW_MS - 20, 8);
            spoil(&mut bad);
            let all = vec![latency(NOW_MS - 30, 4), bad, latency(NOW_MS - 10, 12)];
            let told = fixture.send_in_part(vec![latencies(all), neighbour()]);
            assert_eq!((told.stored, told.histograms, told.refused), (3, 2, 1), "{told}");
            assert!(told.to_string().contains(reason), "{told}");
            assert!(told.to_string().contains(&format!("at {}", NOW_MS - 20)), "{told}");
            assert_eq!(fixture.latencies().0.len(), 2);
        }
    }
}

#[test]
fn more_buckets_than_a_histogram_may_have_are_refused_by_number() {
    let fixture = Fixture::new();
    let length = BUCKETS_COUNT_MAX as u32 + 1;
    let wide = Histogram {
        positive_spans: vec![BucketSpan { offset: 0, length }],
        positive_deltas: vec![0; length as usize],
        ..latency(NOW_MS, 0)
    };
    let told = fixture.send_in_part(vec![latencies(vec![wide]), neighbour()]);
    assert!(told.to_string().contains("16385 buckets are more than the 16384"), "{told}");
}

#[test]
fn histogram_counts_for_the_samples_that_take_its_memory() {
    let limits = IngestLimits { samples_per_request_max: 100, ..IngestLimits::default() };
    let fixture = Fixture::with_limits(limits);
    let of_buckets = |count: usize| Histogram {
        count: Some(Count::Whole(0)),
        positive_spans: vec![BucketSpan { offset: 0, length: count as u32 }],
        positive_deltas: vec![0; count],
        ..latency(NOW_MS, 0)
    };
    for _ in 0..2 {
        // 300 counts of 8 bytes are the 24 bytes of 100 samples.
        let too_many = fixture.send(vec![latencies(vec![of_buckets(300)])]);
        assert!(matches!(too_many, Err(IngestError::TooLarge { setting: "samples_per_request_max", .. })));
        fixture.send(vec![latencies(vec![of_buckets(200)])]).expect("fewer are taken, also when the series is known");
    }
}

#[test]
fn what_ends_a_series_ends_it_whatever_else_is_said() {
    let fixture = Fixture::new();
    let ended = Histogram { sum: stale_nan(), ..latency(NOW_MS - 10, 4) };
    fixture.send(vec![latencies(vec![latency(NOW_MS - 20, 4), ended])]).expect("taken");
    let (stored, _) = fixture.latencies();
    assert!(stored[1].1.is_stale() && stored[1].1.same_bits(&FloatHistogram::stale()), "{:?}", stored[1]);
}

#[test]
fn float_that_looks_like_a_histogram_is_stored_as_nan() {
    let marker = stored_histogram(&latency(NOW_MS, 4).value().expect("a histogram")).marker();
    for bits in [MARKER_BITS, MARKER_BITS | 1, MARKER_BITS | 0xffff_ffff, marker] {
        let fixture = Fixture::new();
        for time_ms in [NOW_MS - 20, NOW_MS - 10] {
            let one = series(&[("__name__", "latency")], &[(time_ms, f64::from_bits(bits))]);
            assert_eq!(fixture.send(vec![one]).expect("taken"), Written { samples: 1, histograms: 0 });
        }
        let nan = 0x7ff8_0000_0000_0001;
        assert_eq!(fixture.latencies().1, [(NOW_MS - 20, nan), (NOW_MS - 10, nan)], "{bits:x}");
        // With the histogram itself of the same moment: one of the two is stored, and the other is not told as stored.
        let both = TimeSeries {
            histograms: vec![latency(NOW_MS, 4)],
            ..series(&[("__name__", "latency")], &[(NOW_MS, f64::from_bits(bits))])
        };
        let told = fixture.send_in_part(vec![both]);
        assert_eq!((told.stored, told.refused), (1, 1));
        let (histograms, floats) = fixture.latencies();
        assert_eq!((histograms.len() + floats.len(), told.histograms as usize), (3, histograms.len()), "{bits:x}");
    }
}

#[test]
fn histogram_past_a_budget_is_refused_and_the_floats_are_summed() {
    let fixture = Fixture::with_limits(IngestLimits { series_per_metric_max: 1, ..IngestLimits::default() });
    let user = |number: &str| TimeSeries {
        histograms: vec![latency(NOW_MS - 10, 4)],
        ..series(&[("__name__", "latency"), ("user", number)], &[(NOW_MS, 2.0)])
    };
    assert_eq!(fixture.send(vec![user("1")]).expect("room"), Written { samples: 1, histograms: 1 });
    let told = fixture.send_in_part(vec![user("2"), user("3")]);
    assert_eq!((told.stored, told.histograms, told.refused), (2, 0, 2), "{told}");
    assert!(told.to_string().contains("native histograms are not summed"), "{told}");
    let sum = fixture.stored().into_iter().find(|(labels, _)| labels.contains("__overflow__")).expect("a sum");
    assert_eq!(sum.1, [(NOW_MS, 4.0)]);
}

/// In a batch, each marker is that of the next histogram.
pub(super) fn markers_are_of_histograms(batches: &[crate::storage::ShardBatch]) {
    for batch in batches {
        let rows = batch.rows.iter().filter(|row| is_marker(row.value.to_bits()));
        let rows = rows.map(|row| (row.series, row.timestamp_ms, row.value.to_bits()));
        let histograms = batch.histograms.iter().map(|row| (row.series, row.timestamp_ms, row.histogram.marker()));
        assert!(rows.eq(histograms), "{batch:?}");
        for new in &batch.new {
            let samples = new.samples.iter().filter(|sample| is_marker(sample.value.to_bits()));
            let samples = samples.map(|sample| (sample.timestamp_ms, sample.value.to_bits()));
            assert!(samples.eq(new.histograms.iter().map(|(time_ms, one)| (*time_ms, one.marker()))), "{new:?}");
        }
    }
}
