use super::{read, written};
use crate::model::histogram::bounds::{exponential_bound, scaled};
use crate::model::histogram::logarithm::{exp2, log2};
use crate::model::histogram::{NanObservations, Trim};

fn near(found: f64, expected: f64) -> bool {
    found == expected || (found - expected).abs() <= expected.abs() * 1e-12 || (found.is_nan() && expected.is_nan())
}

#[test]
fn bounds_are_powers_of_two_and_their_fractions() {
    assert_eq!(exponential_bound(0, 0), 1.0);
    assert_eq!(exponential_bound(3, 0), 8.0);
    assert_eq!(exponential_bound(-2, -1), 0.0625);
    assert_eq!(exponential_bound(1, -4), 65_536.0);
    assert_eq!(exponential_bound(-1074, 0), 5e-324);
    assert_eq!(exponential_bound(-1075, 0), 0.0);
    assert_eq!(exponential_bound(1024, 0), f64::MAX, "the largest finite observation has a bucket that ends with it");
    assert_eq!(exponential_bound(64, -4), f64::MAX);
    assert_eq!(exponential_bound(1025, 0), f64::INFINITY);
    for index in -600..600_i64 {
        let expected = (index as f64 / 256.0).exp2();
        let found = exponential_bound(index, 8);
        assert!((found / expected - 1.0).abs() < 1e-15, "bound {index} is {found}, not {expected}");
    }
}

#[test]
fn logarithms_and_powers_agree_with_the_library_but_for_the_last_digit() {
    for step in -4000..4000 {
        let exponent = f64::from(step) * 0.25 + 0.1;
        let power = exp2(exponent);
        let expected = exponent.exp2();
        assert!(near(power, expected) || expected < f64::MIN_POSITIVE, "2^{exponent}: {power}, not {expected}");
        if power.is_normal() {
            assert!((log2(power) - exponent).abs() <= exponent.abs() * 1e-15 + 1e-15, "log2 of {power}");
        }
    }
    assert_eq!((log2(0.0), log2(8.0), log2(f64::INFINITY)), (f64::NEG_INFINITY, 3.0, f64::INFINITY));
    assert_eq!(log2(5e-324), -1074.0);
    assert!(log2(-1.0).is_nan());
    assert_eq!((exp2(2000.0), exp2(-2000.0)), (f64::INFINITY, 0.0));
    assert_eq!(scaled(0.5, -1073), 5e-324);
}

#[test]
fn quantiles_lie_on_a_scale_of_powers_within_their_bucket() {
    let histogram = read("{{count:12 sum:100 z_bucket:2 z_bucket_w:0.001 buckets:[2 3 0 1 4]}}");
    // The 0.9 quantile is 2.8 observations into the 4 of (8,16]; the 0.1 quantile 1.2 into the 2 of [0,0.001].
    let cases = [
        (-1.0, f64::NEG_INFINITY),
        (0.0, 0.0),
        (0.1, 0.0006),
        (0.5, 1.5874010519681994),
        (0.6, 4.594793419988138),
        (0.9, 12.99603834169977),
        (1.0, 16.0),
        (1.001, f64::INFINITY),
        (f64::NAN, f64::NAN),
    ];
    for (q, expected) in cases {
        let found = histogram.quantile(q).value;
        assert!(near(found, expected), "quantile {q} is {found}, not {expected}");
    }
}

#[test]
fn quantiles_below_zero_mirror_those_above() {
    let histogram = read("{{count:12 sum:-100 z_bucket:2 z_bucket_w:0.001 n_buckets:[2 3 0 1 4]}}");
    let cases = [(0.0, -16.0), (0.1, -12.996038341699768), (0.5, -1.5874010519681996), (0.9, -0.0006), (1.0, 0.0)];
    for (q, expected) in cases {
        let found = histogram.quantile(q).value;
        assert!((found - expected).abs() <= 1e-12 * expected.abs() + 1e-18, "quantile {q} is {found}, not {expected}");
    }
}

#[test]
fn a_quantile_between_buckets_is_where_the_next_one_begins() {
    // Two below zero and two above, with nothing between -0.5 and 0.5.
    let histogram = read("{{count:8 buckets:[1 2 1] n_buckets:[1 2 1]}}");
    assert_eq!(histogram.quantile(0.5).value, 0.5);
}

#[test]
fn quantiles_of_custom_buckets_go_evenly_from_bound_to_bound() {
    let histogram = read("{{schema:-53 count:4 sum:5 custom_values:[5 10] buckets:[1 2 1]}}");
    let cases = [(0.125, 2.5), (0.5, 7.5), (0.75, 10.0), (0.9, 10.0), (1.0, 10.0)];
    for (q, expected) in cases {
        assert_eq!(histogram.quantile(q).value, expected, "quantile {q}");
    }
    let below = read("{{schema:-53 count:4 sum:5 custom_values:[-5 10] buckets:[4]}}");
    assert_eq!(
        below.quantile(0.3).value,
        -5.0,
        "where nothing bounds a bucket below zero, its end is all that is known"
    );
}

#[test]
fn observations_of_nan_count_as_the_largest() {
    let some = read("{{count:15 sum:NaN buckets:[12]}}");
    let skewed = some.quantile(0.8);
    assert_eq!((skewed.value, skewed.nan), (1.0, NanObservations::Counted));
    let lost = some.quantile(0.81);
    assert!(lost.value.is_nan() && lost.nan == NanObservations::Answer);
    let share = some.fraction(f64::NEG_INFINITY, f64::INFINITY);
    assert_eq!((share.value, share.nan), (0.8, NanObservations::Counted));
    let all = read("{{count:3 sum:NaN}}");
    assert!(all.quantile(0.4).value.is_nan());
    assert_eq!(all.fraction(f64::NEG_INFINITY, f64::INFINITY).value, 0.0);
    let infinities = read("{{count:2 sum:NaN buckets:[2]}}");
    assert_eq!(infinities.quantile(0.5).nan, NanObservations::None, "a sum may be NaN without such an observation");
}

#[test]
fn without_observations_there_is_no_estimate() {
    let empty = read("{{}}");
    for estimate in [empty.quantile(0.5).value, empty.fraction(0.0, 1.0).value, empty.mean(), empty.variance()] {
        assert!(estimate.is_nan());
    }
}

#[test]
fn fractions_are_quantiles_turned_round() {
    let histogram = read("{{count:12 sum:100 z_bucket:2 z_bucket_w:0.001 buckets:[2 3 0 1 4]}}");
    let cases = [
        (0.0, f64::INFINITY, 1.0),
        (-0.001, 0.0, 0.0),
        (0.0, 0.0005, 1.0 / 12.0),
        (1.0, 2.0, 0.25),
        (0.0, 1.5, 0.4795739585136224),
        (1.0, 6.0, 0.29874687506009634),
        (-6.0, -1.0, 0.0),
        (42.0, 3.25, 0.0),
        (f64::NAN, 1.0, f64::NAN),
    ];
    for (lower, upper, expected) in cases {
        let found = histogram.fraction(lower, upper).value;
        assert!(near(found, expected), "from {lower} to {upper}: {found}, not {expected}");
    }
    assert!(near(histogram.quantile(0.6320802083934297).value, 6.0));
    let custom = read("{{schema:-53 count:4 sum:5 custom_values:[5 10] buckets:[1 2 1]}}");
    assert_eq!(custom.fraction(5.0, 10.0).value, 0.5);
    assert_eq!(custom.fraction(0.0, 2.5).value, 0.125);
}

#[test]
fn spread_takes_observations_to_be_in_the_middle_of_their_bucket() {
    // (1,2] and (2,4] have the middles sqrt(2) and sqrt(8); the mean of the sum is 2.
    let histogram = read("{{count:2 sum:4 buckets:[1 1] offset:1}}");
    let (low, high) = (2.0_f64.sqrt() - 2.0, 8.0_f64.sqrt() - 2.0);
    assert!(near(histogram.variance(), (low * low + high * high) / 2.0));
    assert!(near(histogram.standard_deviation(), ((low * low + high * high) / 2.0).sqrt()));
    let below = read("{{count:10 sum:-100 n_buckets:[0 0 0 0 10]}}");
    assert!(near(below.variance(), (128.0_f64.sqrt() - 10.0).powi(2)));
    let custom = read("{{schema:-53 count:2 sum:6 custom_values:[2 4 8] buckets:[0 1 1]}}");
    assert_eq!(custom.variance(), 4.5, "middles 3 and 6 around 3");
    assert_eq!(custom.mean(), 3.0);
}

#[test]
fn trimming_keeps_what_lies_on_one_side() {
    let histogram = read("{{count:8 sum:20 z_bucket:2 z_bucket_w:0.001 buckets:[1 2 3]}}");
    let trimmed = histogram.trimmed(2.0, Trim::Above);
    // (0.5,1] and (1,2] with their middles, and zero's two at 0.0005.
    let sum = 0.5_f64.sqrt() + 2.0 * 2.0_f64.sqrt() + 2.0 * 0.0005;
    assert!(near(trimmed.sum, sum), "{} is not {sum}", trimmed.sum);
    assert_eq!((trimmed.count, trimmed.zero_count, &trimmed.positive.counts[..]), (5.0, 2.0, &[1.0, 2.0][..]));
    let rest = histogram.trimmed(2.0, Trim::Below);
    assert_eq!(written(&rest).split(" sum").next(), Some("{{count:3"));
    assert_eq!(rest.positive.cells().collect::<Vec<_>>(), [(2, 3.0)]);
    assert!(near(rest.sum, 3.0 * 8.0_f64.sqrt()));
}

#[test]
fn trimming_nothing_changes_nothing() {
    let histogram = read("{{count:8 sum:20 z_bucket:2 z_bucket_w:0.001 buckets:[1 2 3] n_buckets:[1]}}");
    assert!(histogram.trimmed(f64::INFINITY, Trim::Above).same_bits(&histogram));
    assert!(histogram.trimmed(f64::NEG_INFINITY, Trim::Below).same_bits(&histogram));
    let nothing = histogram.trimmed(f64::NEG_INFINITY, Trim::Above);
    assert_eq!((nothing.count, nothing.zero_count, nothing.buckets_count()), (0.0, 0.0, 0));
}

#[test]
fn a_bucket_that_is_cut_keeps_its_share() {
    let custom = read("{{schema:-53 count:10 sum:30 custom_values:[1 2 5 10] buckets:[1 2 3 3 1]}}");
    assert_eq!(custom.trimmed(3.5, Trim::Above).positive.counts, [1.0, 2.0, 1.5]);
    assert_eq!(custom.trimmed(3.5, Trim::Below).positive.counts, [1.5, 3.0, 1.0]);
    assert_eq!(
        custom.trimmed(100.0, Trim::Above).positive.counts,
        [1.0, 2.0, 3.0, 3.0],
        "nobody knows what lies beyond 10"
    );
    assert_eq!(custom.trimmed(0.5, Trim::Above).positive.counts, [0.5], "the first reaches down to zero");
    let exponential = read("{{count:3 sum:9 buckets:[3] offset:2}}");
    assert!((exponential.trimmed(8.0_f64.sqrt(), Trim::Above).positive.counts[0] - 1.5).abs() < 1e-12);
    let one_sided = read("{{count:6 z_bucket:4 z_bucket_w:1 buckets:[2] offset:1}}");
    assert_eq!(one_sided.trimmed(0.5, Trim::Above).zero_count, 2.0);
    let two_sided = read("{{count:8 z_bucket:4 z_bucket_w:1 buckets:[2] offset:1 n_buckets:[2] n_offset:1}}");
    assert_eq!(two_sided.trimmed(0.5, Trim::Above).zero_count, 3.0);
}
