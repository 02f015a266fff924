use proptest::prelude::*;

use super::*;
use crate::Corruption;
use crate::testing::{assert_numbers, bits_equal, value_strategy};

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);
const GO_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);
const EFFORTS: [Effort; 3] = [Effort::Plain, Effort::Fresh, Effort::Compact];

fn numbers_of(values: &[f64], hint: Option<Scale>) -> Numbers {
    let mut numbers = Numbers::default();
    numbers.read(values, Effort::Compact, hint);
    numbers
}

fn encode(values: &[f64], effort: Effort) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(!Encoder::default().encode(&numbers_of(values, None), effort, None, &mut bytes));
    bytes
}

fn decode(bytes: &[u8], count: usize) -> Result<Vec<f64>, Corruption> {
    let mut values = vec![7.0];
    Decoder::default().decode_values(bytes, count, None, &mut values)?;
    assert_eq!(values.remove(0), 7.0, "values are appended");
    Ok(values)
}

fn assert_same(read: &[f64], values: &[f64]) {
    assert_eq!(read.len(), values.len());
    for (index, (read, value)) in read.iter().zip(values).enumerate() {
        assert!(bits_equal(*read, *value), "at {index}: {read:?} is not {value:?} ({:x})", value.to_bits());
    }
}

fn assert_round_trip(values: &[f64]) {
    for effort in EFFORTS {
        let bytes = encode(values, effort);
        assert_same(&decode(&bytes, values.len()).expect("own bytes can be read"), values);
    }
}

/// A reproducible sequence of 64 random bits.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[test]
fn example_of_the_chapter_is_read_and_written() {
    let values = [10.0, 12.5, 15.0, 17.5, 20.0];
    let bytes = [0x01, 0x05, 0xc8, 0x01, 0x19, 0x02];
    assert_same(&decode(&bytes, 5).expect("the example is right"), &values);
    assert_eq!(encode(&values, Effort::Fresh), bytes);
}

#[test]
fn packed_example_of_the_chapter_is_read() {
    // First 7, then 1, 2, 3 and 2 more each.
    let bytes = [0x00, 0x21, 0x0e, 0x02, 0x02, 0x00, 0x01, 0x02, 0x01];
    assert_same(&decode(&bytes, 5).expect("the example is right"), &[7.0, 8.0, 10.0, 13.0, 15.0]);
}

#[test]
fn patched_block_of_a_wide_row_is_read() {
    // Order 0, first 0; width 3, patched, base -1; one patch at place 1: high 2. Offsets 5 and 1: 4, and 0 + 2 * 8.
    let bytes = [0x00, 0x20, 0x00, 0x83, 0x01, 0x00, 0x01, 0x04, 0x05, 0x01, 0x00, 0x00];
    assert_same(&decode(&bytes, 3).expect("made by the chapter"), &[0.0, 4.0, 16.0]);
}

#[test]
fn lanes_cross_their_words_as_the_chapter_says() {
    // 88 residuals of 3 bits: 22 rows, 66 bits a lane, so one word and one byte each.
    let offsets: Vec<u64> = (0..88).map(|index| (index * 5 + index / 7) % 8).collect();
    let mut lanes = [0u128; 4];
    for (place, offset) in offsets.iter().enumerate() {
        lanes[place % 4] |= u128::from(*offset) << (place / 4 * 3);
    }
    let mut bytes = vec![0x00, 0x20, 0x00, 0x03, 0x00];
    lanes.iter().for_each(|lane| bytes.extend((*lane as u64).to_le_bytes()));
    lanes.iter().for_each(|lane| bytes.push((lane >> 64) as u8));
    let values: Vec<f64> = [0].iter().chain(&offsets).map(|offset| *offset as f64).collect();
    assert_same(&decode(&bytes, 89).expect("made by the chapter"), &values);
}

#[test]
fn sparse_order_two_and_binary_are_read() {
    // m × 2^-1, order 2, first 3, second step 2, the fourth and only the fourth step 5 more: 3, 5, 7, 14, 21, 28.
    let bytes = [0x30, 0x02, 0x12, 0x06, 0x04, 0x00, 0x01, 0x00, 0x02, 0x00, 0x0a];
    let values = [3.0, 5.0, 7.0, 14.0, 21.0, 28.0].map(|integer| integer / 2.0);
    assert_same(&decode(&bytes, 6).expect("made by the chapter"), &values);
}

#[test]
fn averages_learn_from_each_surprise() {
    // Weight 1, residuals 4 all over. Levels: 0, then (4 + 1) >> 1 = 2, (8 + 1) >> 1 = 4, (12 + 1) >> 1 = 6.
    assert_same(&decode(&[0x00, 0x80, 0x00, 0x01, 0x08], 5).expect("made"), &[0.0, 4.0, 6.0, 8.0, 10.0]);
    // Steps the same, but from 3 on: (6 + 1) >> 1 = 3, (10 + 1) >> 1 = 5, (14 + 1) >> 1 = 7; and 4 more each.
    assert_same(&decode(&[0x00, 0x81, 0x00, 0x01, 0x06, 0x08], 4).expect("made"), &[0.0, 7.0, 16.0, 27.0]);
}

#[test]
fn near_decimal_is_a_decimal_and_units_in_the_last_place() {
    // 3 / 10 and 1 unit, 4 / 10 and none, 5 / 10 and -1.
    let bytes = [0x11, 0x01, 0x06, 0x02, 0x01, 0x02, 0x01];
    let values = [0.3f64.to_bits() + 1, 0.4f64.to_bits(), 0.5f64.to_bits() - 1].map(f64::from_bits);
    assert_same(&decode(&bytes, 3).expect("made by the chapter"), &values);
}

#[test]
fn product_is_not_the_nearest_float() {
    // 9 times the float of 0.001, which is not that of 0.009.
    assert_eq!(9.0 * 0.001, 0.009_000_000_000_000_001);
    assert_same(&decode(&[0xa3, 0x12], 1).expect("made by the chapter"), &[9.0 * 0.001]);
}

#[test]
fn remainders_are_added() {
    // First 3, ten times 0, 1, 2, 3; remainders 0, 0, 5, 0 as a sparse list.
    let bytes = [0x00, 0x45, 0x06, 0x0a, 0x02, 0x10, 0x00, 0x00, 0x01, 0x00, 0x02, 0x00, 0x0a];
    assert_same(&decode(&bytes, 4).expect("made by the chapter"), &[3.0, 13.0, 28.0, 33.0]);
}

/// Bits that are ten apart but for a few, and one value 2^63 away: its remainder cannot be taken off without a carry.
#[test]
fn remainders_of_the_farthest_number_are_added() {
    let first = 1u64 << 63;
    for farthest in [0, 1, 9, u64::MAX] {
        let bits = (0..200).map(|index: u64| match index {
            0 => first,
            40 | 90 => farthest,
            41 => first + 3,
            _ => first + 10 * (index * index % 977),
        });
        let values: Vec<f64> = bits.map(f64::from_bits).collect();
        assert_eq!(numbers_of(&values, None).scale, Scale::Raw);
        assert_round_trip(&values);
    }
}

#[test]
fn ticks_of_a_clock_with_a_few_odd_ones_are_short() {
    let mut next = random(17);
    let mut ticks = move |odd: u64| {
        let tick = next() % 64 * 10;
        if next().is_multiple_of(40) { tick + odd } else { tick }
    };
    let odd: Vec<f64> = (0..1440).map(|_| ticks(3) as f64).collect();
    let even: Vec<f64> = odd.iter().map(|value| (value / 10.0).floor() * 10.0).collect();
    let (odd_bytes, even_bytes) = (encode(&odd, Effort::Fresh).len(), encode(&even, Effort::Fresh).len());
    // 36 odd ones, each a place and a remainder.
    assert!(odd_bytes < even_bytes + 36 * 2, "{odd_bytes} against {even_bytes}");
    assert_round_trip(&odd);
}

#[test]
fn exceptions_are_read_by_name_and_by_bits() {
    // 5 all over; behind one sample two stale markers, behind one more the bits of 0.1 once.
    let bytes = [&[0xc0, 0x02, 0x01, 0x11, 0x01, 0x08][..], &0.1f64.to_le_bytes(), &[0x0a]].concat();
    assert_same(&decode(&bytes, 5).expect("made by the chapter"), &[5.0, STALE, STALE, 5.0, 0.1]);
}

#[test]
fn reference_foretells_by_its_slope() {
    // Order 0, all residuals 1, first 10; slope 3/4 of 100, 108, 107: 0, 6, 5.25 rounded.
    let bytes = [0x00, 0x08, 0x14, 0x06, 0x02, 0x02];
    let mut numbers = Numbers::default();
    let reference = [100, 108, 107];
    Decoder::default().decode(&bytes, 3, Some(&reference), &mut numbers).expect("made by the chapter");
    assert_eq!(numbers.integers, [10, 17, 16]);
    for wrong in [None, Some(&reference[..2])] {
        assert!(Decoder::default().decode(&bytes, 3, wrong, &mut numbers).is_err());
    }
}

#[test]
fn constant_whole_number_takes_two_bytes() {
    for value in [0.0, 1.0, -3.0, 63.0] {
        assert_eq!(encode(&[value; 1440], Effort::Fresh).len(), 2);
    }
    assert_eq!(encode(&[0.25; 1440], Effort::Fresh), [0x82, 0x32]);
}

#[test]
fn columns_of_nothing_but_specials_are_short() {
    for special in [STALE, GO_NAN, f64::NAN, -0.0, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(encode(&[special; 1440], Effort::Fresh).len() <= 7);
        assert_round_trip(&[special; 1440]);
    }
}

#[test]
fn steady_counter_takes_a_header() {
    let values: Vec<f64> = (0..1440).map(|index| 1_000_000.0 + 15.0 * f64::from(index)).collect();
    assert!(encode(&values, Effort::Fresh).len() <= 8);
    assert_round_trip(&values);
}

#[test]
fn scale_is_the_shortest_that_gives_the_bits() {
    let scale = |value: fn(f64) -> f64| {
        let values: Vec<f64> = (1..=300).map(|index| value(f64::from(index))).collect();
        assert_round_trip(&values);
        numbers_of(&values, None).scale
    };
    assert_eq!(scale(|index| index * 17.0), Scale::Decimal { exponent: 0 });
    assert_eq!(scale(|index| index / 100.0), Scale::Decimal { exponent: 2 });
    assert_eq!(scale(|index| index / 8192.0 * 3.0), Scale::Binary { shift: 13 });
    assert_eq!(scale(|index| (index * 7919.0).floor() * 0.001), Scale::Product { exponent: 3 });
    // 4e17 is 2^19 times 5^17.
    assert_eq!(scale(|index| (index * 4e17).floor()), Scale::Binary { shift: -19 });
    assert_eq!(scale(|index| f64::from_bits((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))), Scale::Raw);
}

#[test]
fn hint_that_fits_is_taken_and_one_that_does_not_is_not() {
    let values: Vec<f64> = (0..200).map(|index| f64::from(index) / 10.0).collect();
    assert_eq!(numbers_of(&values, Some(Scale::Decimal { exponent: 3 })).scale, Scale::Decimal { exponent: 3 });
    assert_eq!(numbers_of(&values, Some(Scale::Decimal { exponent: 0 })).scale, Scale::Decimal { exponent: 1 });
    assert_eq!(numbers_of(&values, Some(Scale::Raw)).scale, Scale::Decimal { exponent: 1 });
}

#[test]
fn reference_that_foretells_is_used_and_one_that_does_not_is_not() {
    let mut next = random(5);
    let (mut count, mut total) = (0i64, 10_000i64);
    let (mut counts, mut totals, mut noise) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..1440 {
        let step = (next() % 1000) as i64;
        count += step;
        total += 3 * step + (next() % 4) as i64;
        counts.push(count);
        totals.push(total as f64 / 10.0);
        noise.push((next() % 1000) as i64);
    }
    let numbers = numbers_of(&totals, None);
    let (mut alone, mut referring, mut against_noise) = (Vec::new(), Vec::new(), Vec::new());
    let mut encoder = Encoder::default();
    assert!(!encoder.encode(&numbers, Effort::Fresh, None, &mut alone));
    assert!(encoder.encode(&numbers, Effort::Fresh, Some(&counts), &mut referring));
    assert!(!encoder.encode(&numbers, Effort::Fresh, Some(&noise), &mut against_noise));
    // 3,000 values need 11.5 bits, four need two.
    assert!(referring.len() * 4 < alone.len(), "{} of {}", referring.len(), alone.len());
    assert_eq!(against_noise, alone);
    let mut values = Vec::new();
    Decoder::default().decode_values(&referring, 1440, Some(&counts), &mut values).expect("own bytes");
    assert_same(&values, &totals);
}

#[test]
fn reference_in_other_units_foretells() {
    // Packets of 1,500 bytes and a few more bytes now and then; the reference counts the bytes.
    let mut next = random(29);
    let (mut bytes, mut packets) = (Vec::new(), Vec::new());
    let (mut byte_sum, mut packet_sum) = (7_000_000_000i64, 4_000_000.0);
    for _ in 0..1440 {
        let count = (next() % 100_000) as i64;
        packet_sum += count as f64;
        byte_sum += count * 1500 + (next() % 1000) as i64;
        bytes.push(byte_sum);
        packets.push(packet_sum);
    }
    let (mut encoder, mut told) = (Encoder::default(), Vec::new());
    assert!(encoder.encode(&numbers_of(&packets, None), Effort::Compact, Some(&bytes), &mut told));
    // A bit or two of rounding each.
    assert!(told.len() < 1440 / 4, "{} bytes", told.len());
    let mut values = Vec::new();
    Decoder::default().decode_values(&told, 1440, Some(&bytes), &mut values).expect("own bytes");
    assert_same(&values, &packets);
}

#[test]
fn realistic_columns_come_back() {
    let mut next = random(11);
    let mut uniform = move || next() as f64 / u64::MAX as f64;
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); 8];
    let mut sums = [0.0; 3];
    for index in 0..1440 {
        sums[0] += (uniform() * 40.0).floor();
        sums[1] += uniform() * uniform();
        sums[2] += (uniform() * 400.0).floor() / 100.0;
        columns[0].push(if index > 700 { sums[0] - 9000.0 } else { sums[0] });
        columns[1].push(sums[1]);
        columns[2].push(sums[2]);
        columns[3].push((uniform() * 1e4).round() / 1e4);
        columns[4].push((uniform() * 1e6).floor() * 4096.0);
        columns[5].push((uniform() * 1e5).floor() * 1e-9);
        columns[6].push(if uniform() < 0.1 { STALE } else { (uniform() * 5.0).floor() });
        columns[7].push(uniform().powi(20) * 1e12 - 3.0);
    }
    for column in &columns {
        assert_round_trip(column);
    }
}

#[test]
fn every_length_comes_back() {
    let mut next = random(3);
    for count in (1..=40).chain([255, 256, 257, 258, 511, 513, SAMPLES_MAX]) {
        let values: Vec<f64> = (0..count).map(|_| (next() % 1000) as f64).collect();
        assert_round_trip(&values);
    }
}

#[test]
fn every_width_comes_back() {
    let mut next = random(9);
    for width in 0..=64u32 {
        let residuals: Vec<i64> =
            (0..300).map(|_| if width == 0 { 0 } else { (next() >> (64 - width)) as i64 }).collect();
        let mut bytes = Vec::new();
        let mut plan = pack::Plan::default();
        plan.fit(&residuals);
        plan.append(&residuals, &mut bytes);
        let mut cursor = crate::bytes::Cursor::new(&bytes);
        let mut room = Vec::new();
        pack::read(&mut cursor, 300, &mut room).expect("own bytes");
        assert!(cursor.is_at_end());
        assert_eq!(room, residuals);
        let largest = 38 * width as usize + 2 * 12;
        assert!(bytes.len() <= largest, "{width} bits take {} bytes", bytes.len());
    }
}

#[test]
fn truncated_columns_are_refused() {
    let mut next = random(21);
    let mut values: Vec<f64> = (0..400).map(|_| (next() % 5000) as f64 * 0.001).collect();
    values[17] = STALE;
    for effort in EFFORTS {
        let bytes = encode(&values, effort);
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length], 400).is_err(), "{length} of {} bytes", bytes.len());
        }
        assert!(decode(&[&bytes[..], &[0]].concat(), 400).is_err());
    }
}

#[test]
fn constants_of_the_format_stay() {
    assert_eq!((SAMPLES_MAX, pack::BLOCK_SAMPLES, pack::LANES), (4096, 256, 4));
    assert_eq!((scale::SHIFT_MAX, scale::INTEGER_BOUND), (960, 1 << 51));
    assert_eq!((predict::WEIGHT_MAX, predict::FRACTION_MAX), (15, 62));
}

#[test]
fn what_the_tables_do_not_allow_is_refused() {
    let refused: [(&[u8], usize); 17] = [
        (&[0x80, 0x00], 0),
        (&[0x80, 0x00], SAMPLES_MAX + 1),
        (&[0xb2, 0x00], 1),
        (&[0xbf, 0x00], 1),
        (&[0xb0, 0x82, 0x0f, 0x00], 1),
        (&[0x90, 0x00], 1),
        (&[0x00, 0x03, 0x00, 0x00], 3),
        (&[0x00, 0x02, 0x00, 0x00, 0x00], 1),
        (&[0x10, 0x01, 0x00, 0x00, 0x41, 0x00, 0x00, 0x01, 0x00, 0x00], 3),
        (&[0x00, 0x80, 0x00, 0x10, 0x00], 3),
        (&[0x00, 0x82, 0x00, 0x00, 0x00], 3),
        (&[0x00, 0x04, 0x00, 0x01, 0x00], 3),
        (&[0x00, 0x20, 0x00, 0x41, 0x00], 3),
        (&[0xc0, 0x01, 0x00, 0x00, 0x00], 3),
        (&[0xc0, 0x01, 0x01, 0x19, 0x00], 3),
        (&[0xc0, 0x01, 0x00, 0x0f, 0x00], 3),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x08], 1),
    ];
    for (bytes, count) in refused {
        assert!(decode(bytes, count).is_err(), "{bytes:02x?} of {count}");
    }
    let at_bound = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x04];
    assert_same(&decode(&at_bound, 1).expect("2^50 is within"), &[1_125_899_906_842_624.0]);
}

fn column_strategy() -> impl Strategy<Value = Vec<f64>> {
    let mixed = proptest::collection::vec(value_strategy(), 1..300);
    let walk = (any::<i32>(), proptest::collection::vec(-20i64..2000, 1..600), 0i32..12, 0u32..40).prop_map(
        |(start, steps, exponent, shift)| {
            let mut sum = i64::from(start);
            let mut value = |step: i64| {
                sum = sum.wrapping_add(step << shift);
                sum as f64 / 10f64.powi(exponent)
            };
            steps.into_iter().map(&mut value).collect::<Vec<f64>>()
        },
    );
    let few = (value_strategy(), value_strategy(), proptest::collection::vec(0u8..20, 1..600)).prop_map(
        |(common, other, which)| {
            let pick = |which: u8| if which == 0 { other } else { common };
            which.into_iter().map(pick).collect::<Vec<f64>>()
        },
    );
    // Bits without a pattern again and again, both zeros among them: what is regular in them is so modulo 2^64.
    let any_bits = prop_oneof![value_strategy(), any::<u64>().prop_map(f64::from_bits), Just(0.0), Just(-0.0)];
    let cyclic = (proptest::collection::vec(any_bits, 1..8), 1usize..300)
        .prop_map(|(values, count)| values.iter().copied().cycle().take(count).collect::<Vec<f64>>());
    prop_oneof![mixed, walk, few, cyclic]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_column_comes_back(values in column_strategy()) {
        assert_round_trip(&values);
    }

    #[test]
    fn any_reference_leaves_the_values_as_they_are(
        values in column_strategy(),
        seed in any::<u64>(),
        nature in 0..4,
    ) {
        let mut next = random(seed);
        let numbers = numbers_of(&values, None);
        let other = |integer: &i64| match nature {
            0 => *integer,
            1 => integer.wrapping_mul(next() as i64),
            2 => next() as i64,
            _ => integer.wrapping_mul(3).wrapping_add((next() % 4) as i64),
        };
        let reference: Vec<i64> = numbers.integers.iter().map(other).collect();
        for effort in EFFORTS {
            let mut bytes = Vec::new();
            Encoder::default().encode(&numbers, effort, Some(&reference), &mut bytes);
            let (mut read, mut back) = (Numbers::default(), Vec::new());
            Decoder::default().decode(&bytes, values.len(), Some(&reference), &mut read).unwrap();
            prop_assert_eq!(&read, &numbers);
            read.append_values(&mut back);
            assert_same(&back, &values);
        }
    }

    #[test]
    fn any_hint_leaves_the_values_as_they_are(values in column_strategy(), kind in 0..4, parameter in 0u8..16) {
        let hint = match kind {
            0 => Scale::Decimal { exponent: parameter },
            1 => Scale::NearDecimal { exponent: parameter },
            2 => Scale::Product { exponent: parameter },
            _ => Scale::Binary { shift: i16::from(parameter) },
        };
        let mut back = Vec::new();
        numbers_of(&values, Some(hint)).append_values(&mut back);
        assert_same(&back, &values);
    }

    #[test]
    fn flipped_bits_do_no_harm(values in column_strategy(), effort in 0usize..2, extra in 0usize..3) {
        let numbers = numbers_of(&values, None);
        let reference: Vec<i64> = numbers.integers.iter().map(|integer| integer / 2).collect();
        let mut bytes = Vec::new();
        Encoder::default().encode(&numbers, EFFORTS[effort], Some(&reference), &mut bytes);
        let mut decoder = Decoder::default();
        let mut read = Vec::new();
        for bit in 0..(8 * bytes.len()).min(2000) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let count = values.len() + extra;
            read.clear();
            if decoder.decode_values(&bytes, count, Some(&reference), &mut read).is_ok() {
                prop_assert_eq!(read.len(), count);
            } else {
                prop_assert!(read.is_empty());
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0usize..5000) {
        let reference = vec![i64::MAX; count];
        let mut values = Vec::new();
        let read = Decoder::default().decode_values(&bytes, count, Some(&reference), &mut values);
        prop_assert_eq!(values.len(), if read.is_ok() { count } else { 0 });
    }
}

#[test]
fn the_chapter_tells_the_numbers() {
    let told = [
        ("SAMPLES_MAX", SAMPLES_MAX as u64),
        ("BLOCK_SAMPLES", pack::BLOCK_SAMPLES as u64),
        ("LANES", pack::LANES as u64),
        ("SHIFT_MAX", scale::SHIFT_MAX as u64),
        ("INTEGER_BOUND", scale::INTEGER_BOUND as u64),
        ("WEIGHT_MAX", predict::WEIGHT_MAX.into()),
        ("FRACTION_MAX", predict::FRACTION_MAX.into()),
    ];
    assert_numbers(include_str!("../../spec/column.md"), &told);
}
