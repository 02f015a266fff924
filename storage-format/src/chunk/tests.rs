use proptest::prelude::*;

use super::*;
use crate::Corruption;
use crate::testing::{bits_equal, value_strategy};

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

fn encode(samples: &[(i64, f64)]) -> Vec<u8> {
    let mut appender = Appender::default();
    let mut stream = Vec::new();
    for (timestamp_ms, value) in samples {
        appender.append(&mut stream, *timestamp_ms, *value);
    }
    assert_eq!(appender.count() as usize, samples.len());
    stream
}

fn decoded(stream: &[u8], count: usize) -> Result<Vec<(i64, f64)>, Corruption> {
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    decode(stream, count, &mut timestamps, &mut values)?;
    Ok(timestamps.into_iter().zip(values).collect())
}

/// The chapter as directly as it can be written: a field at a time, no windows, no tricks.
fn oracle(stream: &[u8], count: usize) -> Option<Vec<(i64, u64)>> {
    let mut rest = stream;
    let mut take = |bytes: usize| -> Option<Vec<u8>> {
        let taken = rest.get(..bytes)?.to_vec();
        rest = &rest[bytes..];
        Some(taken)
    };
    let signed = |bytes: &[u8]| -> i64 {
        let fill = if bytes.last().is_some_and(|last| *last >= 0x80) { 0xff } else { 0 };
        let mut whole = [fill; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        i64::from_le_bytes(whole)
    };
    let limit = 1i64 << 53;
    let mut samples: Vec<(i64, u64)> = Vec::new();
    let (mut delta, mut mantissa, mut exponent) = (0i64, 0i64, 0u8);
    for index in 0..count {
        if index == 0 {
            let timestamp = signed(&take(8)?);
            let bits = signed(&take(8)?) as u64;
            let value = f64::from_bits(bits);
            if value.fract() == 0.0 && value.abs() <= limit as f64 && bits != 1 << 63 {
                mantissa = value as i64;
            }
            samples.push((timestamp, bits));
            continue;
        }
        let (previous_timestamp, previous_bits) = samples[index - 1];
        let control = take(1)?[0];
        let change = match control >> 4 {
            0 => 0,
            1 => signed(&take(1)?),
            2 => signed(&take(2)?),
            3 => signed(&take(4)?),
            4 => signed(&take(8)?),
            _ => return None,
        };
        delta = delta.wrapping_add(change);
        let decimal =
            |m: i64, e: u8| (m.abs() <= limit && e <= 15).then(|| (m as f64 / 10f64.powi(i32::from(e))).to_bits());
        let bits = match control & 15 {
            0 => previous_bits,
            class @ 1..=6 => {
                mantissa += signed(&take(usize::from(class))?);
                decimal(mantissa, exponent)?
            }
            7 => {
                exponent = take(1)?[0];
                mantissa = signed(&take(7)?);
                decimal(mantissa, exponent)?
            }
            8 => {
                let lengths = take(1)?[0];
                let (leading, length) = (usize::from(lengths >> 4), usize::from(lengths & 15));
                if length == 0 || leading + length > 8 {
                    return None;
                }
                let mut difference = [0; 8];
                difference[8 - leading - length..8 - leading].copy_from_slice(&take(length)?);
                previous_bits ^ u64::from_le_bytes(difference)
            }
            small => {
                mantissa += [-3, -2, -1, 1, 2, 3, 4][usize::from(small) - 9];
                decimal(mantissa, exponent)?
            }
        };
        samples.push((previous_timestamp.wrapping_add(delta), bits));
    }
    rest.is_empty().then_some(samples)
}

fn to_bits(samples: &[(i64, f64)]) -> Vec<(i64, u64)> {
    samples.iter().map(|(timestamp_ms, value)| (*timestamp_ms, value.to_bits())).collect()
}

#[test]
fn samples_take_the_bytes_of_the_chapter() {
    let stream = encode(&[
        (1_000, 10.0),
        (16_000, 10.0),   // delta 15,000, the same value
        (31_000, 9.0),    // even, -1
        (46_000, 5.0),    // even, -4
        (61_001, 305.0),  // 1 ms late, +300
        (76_001, 12.5),   // 1 ms less again; 125 at exponent 1
        (91_001, 12.0),   // even; 120 - 125
        (106_001, STALE), // XOR of 0x4028000000000000 and 0x7ff0000000000002
        (121_001, 12.4),  // decimal again: 124 - 120
    ]);
    let expected: [&[u8]; 9] = [
        &[0xe8, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x24, 0x40],
        &[0x20, 0x98, 0x3a],
        &[0x0b],
        &[0x01, 0xfc],
        &[0x12, 1, 0x2c, 0x01],
        &[0x17, 0xff, 1, 125, 0, 0, 0, 0, 0, 0],
        &[0x01, 0xfb],
        &[0x08, 0x08, 2, 0, 0, 0, 0, 0, 0xd8, 0x3f],
        &[0x0f],
    ];
    assert_eq!(stream, expected.concat());
}

#[test]
fn small_steps_take_no_bytes_of_their_own() {
    for step in -6i32..=7 {
        let bytes = if step == 0 || (-3..=4).contains(&step) { 1 } else { 2 };
        let stream = encode(&[(0, 100.0), (0, f64::from(100 + step))]);
        assert_eq!(stream.len(), 16 + bytes, "a step of {step}");
    }
}

#[test]
fn time_classes_begin_where_the_shorter_one_ends() {
    // Width of the second sample: control byte and delta-of-delta.
    let width = |delta: i64| encode(&[(0, 0.0), (delta, 0.0)]).len() - 16;
    for (bits, bytes) in [(8, 1), (16, 2), (32, 4)] {
        let limit = 1i64 << (bits - 1);
        assert_eq!(width(limit - 1), 1 + bytes);
        assert_eq!(width(-limit), 1 + bytes);
        assert!(width(limit) > 1 + bytes && width(-limit - 1) > 1 + bytes);
    }
}

#[test]
fn timestamps_wrap_without_loss() {
    let samples = [(i64::MIN, 1.0), (i64::MAX, 2.0), (i64::MIN, 3.0), (0, 4.0)];
    assert_eq!(decoded(&encode(&samples), 4).unwrap(), samples);
}

#[test]
fn impossible_samples_are_refused() {
    let after_first = |sample: &[u8]| decoded(&[&[0; 16], sample].concat(), 2);
    assert!(after_first(&[0x50]).is_err(), "time class 5");
    assert!(after_first(&[0x09, 0x00]).is_err(), "a small step has no bytes");
    assert!(after_first(&[0x07, 16, 1, 0, 0, 0, 0, 0, 0]).is_err(), "exponent 16");
    assert!(after_first(&[0x07, 0, 1, 0, 0, 0, 0, 0, 0x20]).is_err(), "mantissa 2^53 + 1");
    assert!(after_first(&[0x07, 0, 0, 0, 0, 0, 0, 0, 0x20]).is_ok(), "mantissa 2^53");
    assert!(after_first(&[0x08, 0x00]).is_err(), "an XOR of no bytes");
    assert!(after_first(&[0x08, 0x18, 1, 1, 1, 1, 1, 1, 1, 1]).is_err(), "an XOR of nine bytes");
    assert!(after_first(&[0x00, 0x00]).is_err(), "a byte too many");
}

#[test]
fn mantissa_cannot_be_walked_out_of_range() {
    let step = [0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    // 64 steps of almost 2^47 stay below 2^53; the 65th passes it.
    for (steps, fine) in [(64, true), (65, false)] {
        let stream = [&[0; 16][..], &step.repeat(steps)].concat();
        assert_eq!(decoded(&stream, steps + 1).is_ok(), fine, "{steps} steps");
    }
}

#[test]
fn a_stream_cut_within_a_sample_is_told_as_such() {
    let stream = encode(&[(0, 1.0), (100_000, 2.0)]);
    let refusal = decoded(&stream[..stream.len() - 1], 2).unwrap_err();
    assert_eq!(refusal, Corruption { offset: stream.len() as u64 - 1, what: "a chunk ends before its last sample" });
}

#[test]
fn columns_are_as_before_after_an_error() {
    let stream = encode(&[(0, 1.0), (1, 2.0), (2, 3.0)]);
    let (mut timestamps, mut values) = (vec![7], vec![0.5]);
    assert!(decode(&stream[..stream.len() - 1], 3, &mut timestamps, &mut values).is_err());
    assert_eq!((timestamps, values), (vec![7], vec![0.5]));
}

#[test]
fn a_count_that_does_not_fit_is_refused_without_its_memory() {
    let stream = encode(&[(0, 1.0), (1, 2.0)]);
    for count in [0, 1, 3, 17, usize::MAX] {
        assert!(decoded(&stream, count).is_err(), "count {count}");
    }
    assert_eq!(decoded(&[], 0).unwrap(), []);
}

#[test]
fn integer_counter_takes_two_bytes_a_sample() {
    let samples: Vec<_> = (0..120).map(|index| (15_000 * index, (7 * index) as f64)).collect();
    // The first sample; the second with its 15,000 in two bytes; 118 of a control byte and +7.
    assert_eq!(encode(&samples).len(), 16 + 4 + 118 * 2);
}

#[test]
fn every_flipped_bit_of_a_stored_chunk_is_refused() {
    let stream = encode(&[(0, 1.5), (15_000, f64::NAN), (30_000, 2.5)]);
    let mut stored = Vec::new();
    encode_stored(KIND_DELTA, 3, &stream, &mut stored);
    for bit in 0..stored.len() * 8 {
        let mut damaged = stored.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_stored(&damaged, &mut Vec::new(), &mut Vec::new()).is_err(), "bit {bit}");
    }
    for length in 0..stored.len() {
        assert!(decode_stored(&stored[..length], &mut Vec::new(), &mut Vec::new()).is_err(), "length {length}");
    }
}

#[test]
fn a_stored_chunk_of_another_kind_is_refused() {
    let mut stored = Vec::new();
    encode_stored(2, 0, &[], &mut stored);
    let refusal = decode_stored(&stored, &mut Vec::new(), &mut Vec::new()).unwrap_err();
    assert_eq!(refusal, Corruption { offset: 0, what: "the kind of a chunk is not one we read" });
}

#[test]
fn appender_stays_small() {
    assert!(size_of::<Appender>() <= 48);
}

/// Series as they are seen in the wild, with disturbances.
fn series_strategy() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let times =
        proptest::collection::vec(prop_oneof![8 => Just(15_000i64), 2 => -50i64..50_000, 1 => any::<i64>()], 0..80);
    let wild = proptest::collection::vec(value_strategy(), 80);
    let counter = (0i32..5, proptest::collection::vec(0i64..500, 80)).prop_map(|(exponent, steps)| {
        let mut total = 0;
        let sum = |step| {
            total += step;
            total as f64 / 10f64.powi(exponent)
        };
        steps.into_iter().map(sum).collect::<Vec<_>>()
    });
    let full = proptest::collection::vec(0.0f64..1.0, 80);
    (any::<i64>(), times, prop_oneof![wild, counter, full]).prop_map(|(start, steps, values)| {
        let mut timestamp_ms = start;
        let mut stamped = |(step, value)| {
            timestamp_ms = timestamp_ms.wrapping_add(step);
            (timestamp_ms, value)
        };
        steps.into_iter().zip(values).map(&mut stamped).collect()
    })
}

proptest! {
    #[test]
    fn samples_come_back_bit_for_bit(samples in series_strategy()) {
        let stream = encode(&samples);
        let got = decoded(&stream, samples.len()).unwrap();
        prop_assert_eq!(to_bits(&got), to_bits(&samples));
        prop_assert_eq!(oracle(&stream, samples.len()), Some(to_bits(&samples)));
    }

    #[test]
    fn every_moment_of_a_stream_decodes(samples in series_strategy()) {
        let (mut appender, mut stream) = (Appender::default(), Vec::new());
        for (index, (timestamp_ms, value)) in samples.iter().enumerate() {
            appender.append(&mut stream, *timestamp_ms, *value);
            prop_assert_eq!(appender.last_timestamp(), *timestamp_ms);
            prop_assert_eq!(appender.last_bits(), value.to_bits());
            let got = decoded(&stream, index + 1).unwrap();
            prop_assert!(got.last().is_some_and(|(_, last)| bits_equal(*last, *value)));
        }
    }

    #[test]
    fn damaged_streams_decode_as_the_oracle_does(
        samples in series_strategy(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        prop_assume!(!samples.is_empty());
        let mut stream = encode(&samples);
        let at = at.index(stream.len());
        stream[at] = byte;
        stream.truncate(cut.index(stream.len() * 2).max(at));
        let got = decoded(&stream, samples.len()).ok().map(|samples| to_bits(&samples));
        prop_assert_eq!(got, oracle(&stream, samples.len()));
    }

    #[test]
    fn any_bytes_decode_as_the_oracle_does(bytes in proptest::collection::vec(0u8..72, 0..80), count in 0usize..60) {
        let got = decoded(&bytes, count).ok().map(|samples| to_bits(&samples));
        prop_assert_eq!(got, oracle(&bytes, count));
    }
}
