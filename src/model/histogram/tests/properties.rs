use proptest::prelude::*;

use super::written;
use crate::model::histogram::bounds::exponential_bound;
use crate::model::histogram::{CounterResetHint, FloatHistogram, HistogramLiteral, SCHEMA_CUSTOM, Side, Span, Trim};

/// A side whose counts are whole, so that sums are exact.
fn whole_side() -> impl Strategy<Value = Side> {
    prop::collection::btree_map(-40_i64..40, 0_u16..100, 0..12)
        .prop_map(|cells| Side::of_cells(cells.into_iter().map(|(index, count)| (index, f64::from(count)))))
}

/// A histogram that could have been observed: what lies within the zero bucket is in no other.
fn observed() -> impl Strategy<Value = FloatHistogram> {
    let zero = prop_oneof![Just(0.0), Just(0.001), Just(0.3), Just(0.5)];
    (-4..=8_i32, zero, 0_u16..50, whole_side(), whole_side()).prop_map(
        |(schema, threshold, zero_count, positive, negative)| {
            let outside = |side: Side| {
                Side::of_cells(side.cells().filter(|(index, _)| exponential_bound(index - 1, schema) >= threshold))
            };
            let (positive, negative) = (outside(positive), outside(negative));
            let held: f64 = positive.counts.iter().chain(&negative.counts).sum();
            FloatHistogram {
                schema,
                zero_threshold: threshold,
                zero_count: f64::from(zero_count),
                count: held + f64::from(zero_count),
                // Of no buckets the sum is -0.0, which no script has.
                sum: held * 0.5 + 0.0,
                positive,
                negative,
                ..FloatHistogram::default()
            }
        },
    )
}

/// Two that can be added without loss: Prometheus counts what a coarser bucket has in common with a zero bucket twice.
fn observed_pair() -> impl Strategy<Value = (FloatHistogram, FloatHistogram)> {
    (observed(), observed(), any::<bool>()).prop_map(|(mut one, mut two, is_same_schema)| {
        if is_same_schema {
            // Reinterpreted at the other's schema, buckets may come to lie within zero.
            two.schema = one.schema;
            two.zero_threshold = two.zero_threshold.min(inner_end(&two));
        } else {
            (one.zero_threshold, two.zero_threshold) = (0.0, 0.0);
        }
        (one, two)
    })
}

/// Where the bucket nearest to zero begins.
fn inner_end(histogram: &FloatHistogram) -> f64 {
    let first =
        |side: &Side| side.cells().next().map_or(f64::MAX, |(index, _)| exponential_bound(index - 1, histogram.schema));
    first(&histogram.positive).min(first(&histogram.negative))
}

/// Any numbers at all in any shape.
fn hostile() -> impl Strategy<Value = FloatHistogram> {
    let number = prop_oneof![any::<f64>(), any::<u64>().prop_map(f64::from_bits), Just(f64::NAN), Just(f64::INFINITY)];
    let span = (prop_oneof![any::<i32>(), -5..5], prop_oneof![any::<u32>(), 0_u32..5]);
    let side =
        (prop::collection::vec(span, 0..5), prop::collection::vec(number.clone(), 0..9)).prop_map(|(spans, counts)| {
            Side { spans: spans.into_iter().map(|(offset, length)| Span { offset, length }).collect(), counts }
        });
    let schema = prop_oneof![any::<i32>(), -5..10_i32, Just(SCHEMA_CUSTOM)];
    let numbers = prop::collection::vec(number.clone(), 4);
    let custom = prop::collection::vec(number, 0..4);
    (schema, numbers, side.clone(), side, custom).prop_map(|(schema, numbers, positive, negative, custom)| {
        FloatHistogram {
            hint: CounterResetHint::Unknown,
            schema,
            zero_threshold: numbers[0],
            zero_count: numbers[1],
            count: numbers[2],
            sum: numbers[3],
            positive,
            negative,
            custom_values: custom.into(),
        }
    })
}

fn sum(one: &FloatHistogram, two: &FloatHistogram) -> FloatHistogram {
    let mut sum = one.clone();
    sum.add(two).expect("both are exponential");
    sum.compact(0);
    sum
}

fn reduced(histogram: &FloatHistogram, schema: i32) -> FloatHistogram {
    let mut reduced = histogram.clone();
    reduced.reduce_resolution(schema);
    reduced.compact(0);
    reduced
}

proptest! {
    #[test]
    fn adding_does_not_care_which_comes_first((one, two) in observed_pair()) {
        prop_assert!(sum(&one, &two).same_bits(&sum(&two, &one)));
    }

    #[test]
    fn what_was_added_can_be_taken_away((one, two) in observed_pair()) {
        let both = sum(&one, &two);
        let mut left = both.clone();
        left.subtract(&two).unwrap();
        left.compact(0);
        // The layout stays that of both; brought to it, the first is what is left.
        let empty = FloatHistogram { schema: both.schema, zero_threshold: both.zero_threshold, ..FloatHistogram::default() };
        prop_assert!(left.same_bits(&sum(&one, &empty)), "{left} is not {}", sum(&one, &empty));
    }

    #[test]
    fn reducing_and_adding_can_be_done_in_any_order(one in observed(), two in observed(), schema in -4..=8_i32) {
        let schema = schema.min(one.schema).min(two.schema);
        let (mut one, mut two) = (one, two);
        // Where zero ends within a bucket depends on the buckets' widths.
        one.zero_threshold = 0.0;
        two.zero_threshold = 0.0;
        prop_assert!(reduced(&sum(&one, &two), schema).same_bits(&sum(&reduced(&one, schema), &reduced(&two, schema))));
    }

    #[test]
    fn a_sum_keeps_every_observation((one, two) in observed_pair()) {
        let both = sum(&one, &two);
        let held: f64 = both.positive.counts.iter().chain(&both.negative.counts).sum();
        prop_assert_eq!(held + both.zero_count, one.count + two.count);
        both.check().unwrap();
    }

    #[test]
    fn buckets_ascend_and_do_not_overlap(histogram in observed()) {
        let buckets: Vec<_> = histogram.buckets().collect();
        for pair in buckets.windows(2) {
            prop_assert!(pair[0].upper <= pair[1].lower, "{:?}", pair);
        }
        let mut back: Vec<_> = histogram.buckets_back().collect();
        back.reverse();
        prop_assert_eq!(buckets, back);
    }

    #[test]
    fn quantiles_ascend(histogram in observed(), mut shares in prop::collection::vec(0.0..=1.0_f64, 2..9)) {
        prop_assume!(histogram.count > 0.0);
        shares.sort_by(f64::total_cmp);
        let values: Vec<f64> = shares.iter().map(|&q| histogram.quantile(q).value).collect();
        for pair in values.windows(2) {
            prop_assert!(pair[0] <= pair[1] + pair[1].abs() * 1e-9, "{:?} of {:?}", values, shares);
        }
    }

    #[test]
    fn a_counter_that_only_grows_never_starts_anew((before, more) in observed_pair()) {
        prop_assert!(!sum(&before, &more).detect_reset(&before));
    }

    #[test]
    fn trims_from_both_ends_share_the_observations(histogram in observed(), value in -50.0..50.0_f64) {
        let (below, above) = (histogram.trimmed(value, Trim::Above), histogram.trimmed(value, Trim::Below));
        prop_assert!((below.count + above.count - histogram.count).abs() <= histogram.count * 1e-9);
    }

    #[test]
    fn literals_read_back(histogram in observed()) {
        let text = written(&histogram);
        let back = HistogramLiteral::parse(&text).unwrap().histogram;
        let (mut one, mut two) = (histogram, back);
        one.compact(0);
        two.compact(0);
        prop_assert!(one.same_bits(&two), "{text}");
    }

    #[test]
    fn no_numbers_make_anything_panic(one in hostile(), two in hostile(), number in any::<u64>().prop_map(f64::from_bits)) {
        let _ = one.check();
        let _ = (one.to_string(), one.literal(), one.same_bits(&two), one.detect_reset(&two));
        let mut out = String::new();
        one.write_json(&mut out, |out, number| out.push_str(&number.to_string()));
        let _ = (one.quantile(number), one.quantile(0.5), one.fraction(number, 7.0), one.variance());
        let _ = (one.trimmed(number, Trim::Above), one.trimmed(number, Trim::Below));
        let mut both = one.clone();
        let _ = both.add(&two);
        let _ = both.subtract(&one);
        both.multiply(number);
        both.divide(number);
        both.reduce_resolution(0);
        both.reduce_reserved_resolution();
        both.compact(3);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\{\\{[a-z_:0-9\\[\\] \\.\\-]{0,40}\\}\\}|.{0,20}") {
        let _ = HistogramLiteral::parse(&text);
    }
}
