use std::collections::BTreeSet;

use proptest::prelude::*;

use super::linear::Linear;
use super::tables::{LINEAR, OCTAVE, STATES, STORED, SYMBOLS, Table};
use super::*;

fn encoded(residuals: &[i64]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::default().encode(residuals, &mut out);
    out
}

fn decoded(bytes: &[u8], count: usize) -> Result<(Vec<i64>, usize), Corruption> {
    let mut residuals = Vec::new();
    let taken = decode(bytes, count, &mut residuals)?;
    Ok((residuals, taken))
}

fn assert_comes_back(residuals: &[i64]) -> Vec<u8> {
    let bytes = encoded(residuals);
    assert_eq!(decoded(&bytes, residuals.len()).expect("it is whole"), (residuals.to_vec(), bytes.len()));
    let mut followed = bytes.clone();
    followed.extend([0xff; 3]);
    assert_eq!(decoded(&followed, residuals.len()).expect("it is whole").1, bytes.len(), "what follows is not read");
    bytes
}

/// Numbers that look random; each seed gives others.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) ^ self.0 << 31
    }

    /// Above 0 and below 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Residuals as counters and gauges have them, of each shape and many scales.
fn shapes(count: usize) -> Vec<(String, Vec<i64>)> {
    let mut random = Random(count as u64);
    let mut shapes = Vec::new();
    for scale in [0.1, 0.4, 1.0, 3.0, 20.0, 1e3, 1e6, 1e12, 1e18] {
        let mut add = |name: &str, next: &mut dyn FnMut(&mut Random) -> f64| {
            shapes.push((format!("{name} {scale}"), (0..count).map(|_| next(&mut random).round() as i64).collect()));
        };
        add("normal", &mut |r| scale * r.normal());
        add("normal far away", &mut |r| scale * r.normal() + 1e15);
        add("exponential", &mut |r| -scale * r.unit().ln());
        add("uniform", &mut |r| scale * r.unit());
        add("lognormal", &mut |r| scale * (1.5 * r.normal()).exp());
        add("cauchy", &mut |r| scale * (std::f64::consts::PI * (r.unit() - 0.5)).tan());
        add("spike", &mut |r| if r.unit() < 0.7 { -7.0 } else { scale * r.normal() });
        add("sparse", &mut |r| if r.unit() < 0.98 { 7.0 } else { scale * r.normal() });
        add("rare", &mut |r| if r.unit() < 0.998 { 7.0 } else { scale * r.normal() });
        let mut age = 0.0;
        add("rising", &mut |r| {
            age += 9.0 / count as f64;
            scale * (r.normal() + 30.0) * f64::exp2(age)
        });
        add("outliers", &mut |r| if r.unit() < 0.99 { r.normal() } else { scale * r.normal() });
    }
    shapes
}

#[test]
fn every_shape_comes_back_at_every_length() {
    for count in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 23, 24, 25, 63, 120, 255, 1_440, 4_096] {
        for (_, residuals) in shapes(count) {
            assert_comes_back(&residuals);
        }
    }
}

fn residuals() -> impl Strategy<Value = Vec<i64>> {
    let whole = prop::collection::vec(any::<i64>(), 0..300);
    let extreme = prop::collection::vec(prop::sample::select(vec![i64::MIN, -1, 0, 1, i64::MAX]), 0..300);
    let shifted = (any::<i64>(), 0u32..64, prop::collection::vec(any::<i64>(), 0..300))
        .prop_map(|(base, shift, all)| all.iter().map(|one| base.wrapping_add(one >> shift)).collect());
    let mixed = (0u32..64, prop::collection::vec((any::<i64>(), 0u32..20), 0..300))
        .prop_map(|(shift, all)| all.iter().map(|(one, rare)| if *rare == 0 { *one } else { one >> shift }).collect());
    prop_oneof![whole, extreme, shifted, mixed]
}

proptest! {
    #[test]
    fn any_residuals_come_back(residuals in residuals()) {
        assert_comes_back(&residuals);
    }

    #[test]
    fn any_bytes_are_read_or_refused(form in 0u8..135, rest in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..5_000) {
        let bytes = [&[form], &rest[..]].concat();
        let before = vec![1, 2, 3];
        let mut residuals = before.clone();
        match decode(&bytes, count, &mut residuals) {
            Ok(taken) => {
                prop_assert!(taken <= bytes.len());
                prop_assert_eq!(residuals.len(), before.len() + count);
            }
            Err(error) => {
                prop_assert!(error.offset <= bytes.len() as u64);
                prop_assert_eq!(residuals, before);
            }
        }
    }
}

#[test]
fn truncated_bytes_are_refused() {
    for (name, residuals) in shapes(150) {
        let bytes = encoded(&residuals);
        for length in 0..bytes.len() {
            assert!(decoded(&bytes[..length], residuals.len()).is_err(), "{name} of {length} bytes");
        }
    }
}

#[test]
fn a_flipped_bit_never_panics() {
    for (_, residuals) in shapes(40) {
        let bytes = encoded(&residuals);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok((read, taken)) = decoded(&damaged, residuals.len()) {
                assert!(read.len() == residuals.len() && taken <= damaged.len());
            }
        }
    }
}

#[test]
fn tables_are_whole() {
    for table in LINEAR.iter().chain(OCTAVE.iter()) {
        assert_eq!(table.frequencies.iter().map(|frequency| usize::from(*frequency)).sum::<usize>(), STATES);
        assert!(table.frequencies[0] > 0, "everything can escape");
        assert!((1..SYMBOLS as u8).contains(&table.origin));
    }
    assert!(OCTAVE.iter().all(|table| table.frequencies[63] == 0), "there are 62 symbols of octaves");
}

#[test]
fn tables_never_change() {
    let bytes = |tables: &[Table]| -> Vec<u8> {
        let one = |table: &Table| {
            let frequencies = table.frequencies.iter().flat_map(|frequency| frequency.to_le_bytes());
            std::iter::once(table.origin).chain(frequencies).collect::<Vec<u8>>()
        };
        tables.iter().flat_map(one).collect()
    };
    // Of the file as it was first written; tables may be added behind the last.
    assert_eq!(crc32c::crc32c(&bytes(&LINEAR[..235])), 0x5dc3_a76f);
    assert_eq!(crc32c::crc32c(&bytes(&OCTAVE[..92])), 0xd7a3_416d);
    assert!(LINEAR.len() < usize::from(STORED) && OCTAVE.len() < usize::from(STORED));
}

#[test]
fn the_example_of_the_chapter() {
    let residuals = [8, 7, 8, 8, 7];
    let bytes = [0x00, 0xd9, 0x0e, 0x24, 0x20, 0x20, 0x40, 0x00];
    assert_eq!(decoded(&bytes, 5), Ok((residuals.to_vec(), 8)));
    let mut out = Vec::new();
    Linear { table: 217, shift: 0, centre: 7 }.append(&residuals, &mut ans::Writer::default(), &mut out);
    assert_eq!(out, bytes);
}

#[test]
fn forms_without_symbols() {
    assert_eq!(decoded(&[], 0), Ok((vec![], 0)));
    assert_eq!(decoded(&[128, 0x01], 3), Ok((vec![-1; 3], 2)));
    // Three bits above 10: 5, 0, 7 are 101 000 111, the low ones first.
    assert_eq!(decoded(&[129, 3, 0x14, 0b1100_0101, 0b1], 3), Ok((vec![15, 10, 17], 5)));
    // 4 but for the third, which is 5 less.
    assert_eq!(decoded(&[130, 0x08, 1, 2, 0x09], 4), Ok((vec![4, 4, -1, 4], 5)));
    // Two parts of five: three of -1, two of 0.
    assert_eq!(decoded(&[132, 2, 128, 0x01, 128, 0x00], 5), Ok((vec![-1, -1, -1, 0, 0], 6)));
    // 4 but for two others, each behind a gap of 1, which are both -1.
    assert_eq!(decoded(&[131, 0x08, 2, 128, 0x02, 128, 0x01], 5), Ok((vec![4, -1, 4, -1, 4], 7)));
}

#[test]
fn every_form_occurs() {
    let forms = shapes(1_440).into_iter().map(|(_, residuals)| {
        let bytes = encoded(&residuals);
        if bytes[0] < 128 { (bytes[0] / 64 * 64, bytes[1] == STORED) } else { (bytes[0], false) }
    });
    let forms: BTreeSet<(u8, bool)> = forms.collect();
    let special = (128..133).filter(|form| *form != FORM_PACKED).map(|form| (form, false));
    for form in [(0, false), (0, true), (64, false), (64, true)].into_iter().chain(special) {
        assert!(forms.contains(&form), "form {form:?} of {forms:?}");
    }
    let noise: Vec<i64> = {
        let mut random = Random(1);
        (0..1_440).map(|_| random.next() as i64).collect()
    };
    assert_eq!(encoded(&noise)[0], FORM_PACKED);
}

#[test]
fn bits_are_near_entropy() {
    // Entropies in bits: of a normal distribution log2(4.133 deviation), of a Poisson one of mean 4 and of a geometric one summed by hand.
    let mut random = Random(7);
    let count = 4_096;
    let mut assert_near = |name: &str, bits: f64, next: &mut dyn FnMut(&mut Random) -> f64| {
        let residuals: Vec<i64> = (0..count).map(|_| next(&mut random).round() as i64).collect();
        let taken = assert_comes_back(&residuals).len() as f64 * 8.0 / count as f64;
        assert!(taken < bits * 1.02 + 0.05, "{name}: {taken} bits for {bits}");
    };
    assert_near("normal 3", 3.632, &mut |r| 3.0 * r.normal());
    assert_near("normal 1000", 12.013, &mut |r| 1_000.0 * r.normal() - 5e9);
    assert_near("uniform 100", 6.644, &mut |r| (100.0 * r.unit()).floor());
    assert_near("one of 50", 0.1414, &mut |r| if r.unit() < 0.02 { 1.0 } else { 0.0 });
    assert_near("geometric", 2.0, &mut |r| (-r.unit().log2()).floor());
}

#[test]
fn cost_is_near_what_is_written() {
    for (name, residuals) in shapes(1_440) {
        let (cost, bits) =
            (Encoder::default().planner.plan(&residuals).cost_bits(), 8 * encoded(&residuals).len() as u64);
        assert!(cost.abs_diff(bits) < 100 + bits / 20, "{name}: {cost} of {bits} bits");
    }
}

/// The chapter as directly as it can be written: bit after bit, no lanes at once, every number as wide as it may get.
struct Oracle<'a> {
    bytes: &'a [u8],
    bit: usize,
}

impl Oracle<'_> {
    fn bits(&mut self, count: u32) -> u128 {
        let mut value = 0;
        for place in 0..count {
            let byte = self.bytes[self.bit / 8];
            value |= u128::from(byte >> (self.bit % 8) & 1) << place;
            self.bit += 1;
        }
        value
    }

    fn byte_end(&mut self) {
        self.bit = self.bit.div_ceil(8) * 8;
    }

    fn varint(&mut self) -> i128 {
        let mut value = 0;
        for place in 0.. {
            let (low, more) = (self.bits(7), self.bits(1));
            value |= low << (7 * place);
            if more == 0 {
                break;
            }
        }
        value as i128
    }

    fn zigzag(&mut self) -> i128 {
        let value = self.varint();
        if value % 2 == 0 { value / 2 } else { -(value + 1) / 2 }
    }

    /// Smallest magnitudes of steps.
    fn floors() -> Vec<i128> {
        let mut floors = vec![0, 1];
        for octave in 1..20 {
            floors.extend([1 << octave, 3 << (octave - 1)]);
        }
        floors
    }

    /// Origin and symbols.
    fn symbols(&mut self, tables: &str, table: u128, count: usize) -> (i128, Vec<usize>) {
        let mut frequencies = [0; 64];
        let mut origin = 32;
        if table == 255 {
            let [lead, first, last] = [self.bits(8), self.bits(8), self.bits(8)].map(|symbol| symbol as usize);
            for frequency in &mut frequencies[first..=last] {
                *frequency = Self::floors()[self.bits(5) as usize];
            }
            self.byte_end();
            frequencies[lead] += 512 - frequencies.iter().sum::<i128>();
        } else {
            let line = tables.lines().nth(table as usize).expect("the table is there");
            let numbers: Vec<i128> = line
                .rsplit(": ")
                .next()
                .expect("numbers")
                .split(' ')
                .map(|number| number.parse().expect("one"))
                .collect();
            (origin, frequencies[0]) = (numbers[0], numbers[1]);
            for (place, frequency) in numbers[3..].iter().enumerate() {
                frequencies[numbers[2] as usize + place] = *frequency;
            }
        }
        let handed_out = (0..64).flat_map(|symbol| (0..frequencies[symbol]).map(move |_| symbol));
        let mut owners = vec![0; 512];
        for (n, symbol) in handed_out.enumerate() {
            owners[323 * n % 512] = symbol;
        }
        while self.bits(1) == 0 {}
        let mut states: Vec<usize> = (0..count.min(4)).map(|_| self.bits(9) as usize).collect();
        let mut symbols = Vec::new();
        for index in 0..count {
            let state = states[index % 4];
            let symbol = owners[state];
            symbols.push(symbol);
            if index + 4 < count {
                let rest =
                    frequencies[symbol] + owners[..state].iter().filter(|owner| **owner == symbol).count() as i128;
                let bits = (0..10).find(|bits| rest << bits >= 512).expect("there is a rest");
                states[index % 4] = ((rest << bits) - 512 + self.bits(bits) as i128) as usize;
            }
        }
        self.byte_end();
        (origin, symbols)
    }

    fn residuals(&mut self, count: usize) -> Vec<i64> {
        let mut tables = include_str!("../../spec/entropy-tables.txt").split("\n\n");
        let form = self.bits(8) as u32;
        let residuals: Vec<i128> = match form {
            0..=57 => {
                let table = self.bits(8);
                let centre = self.zigzag() << form.max(2) >> 2;
                let (origin, symbols) = self.symbols(tables.next().expect("a part"), table, count);
                let low: Vec<i128> = symbols.iter().map(|_| self.bits(form) as i128).collect();
                self.byte_end();
                let steps =
                    symbols.iter().map(|symbol| if *symbol == 0 { self.zigzag() } else { *symbol as i128 - origin });
                steps.zip(low).map(|(steps, low)| centre + (steps << form) + low).collect()
            }
            64..=105 => {
                let (table, centre) = (self.bits(8), self.zigzag());
                let (_, symbols) = self.symbols(tables.nth(1).expect("a part"), table, count);
                let floors = Self::floors();
                let mut distances = Vec::new();
                for symbol in &symbols {
                    let step = (symbol.max(&1) - 1) % 31;
                    let width = if *symbol == 0 { 0 } else { (floors[step + 1] - floors[step]).ilog2() + form - 64 };
                    let magnitude = (floors[step] << (form - 64)) + self.bits(width) as i128;
                    distances.push(if *symbol > 31 { -1 - magnitude } else { magnitude });
                }
                self.byte_end();
                let told = symbols.iter().zip(distances);
                told.map(|(symbol, distance)| centre + if *symbol == 0 { self.zigzag() } else { distance }).collect()
            }
            128 => vec![self.zigzag(); count],
            129 => {
                let (width, base) = (self.bits(8) as u32, self.zigzag());
                (0..count).map(|_| base + self.bits(width) as i128).collect()
            }
            130 => {
                let (value, others) = (self.zigzag(), self.varint());
                let mut residuals = Vec::new();
                for _ in 0..others {
                    residuals.extend(vec![value; self.varint() as usize]);
                    residuals.push(value + self.zigzag());
                }
                residuals.resize(count, value);
                residuals
            }
            131 => {
                let (value, others) = (self.zigzag(), self.varint() as usize);
                let (gaps, others) = (self.residuals(others), self.residuals(others));
                let mut residuals = Vec::new();
                for (gap, other) in gaps.into_iter().zip(others) {
                    residuals.extend(vec![value; gap as usize]);
                    residuals.push(i128::from(other));
                }
                residuals.resize(count, value);
                residuals
            }
            132 => {
                let length = count.div_ceil(self.bits(8) as usize);
                let lengths = (0..count).step_by(length).map(|start| length.min(count - start));
                lengths.flat_map(|length| self.residuals(length)).map(i128::from).collect()
            }
            _ => panic!("form {form}"),
        };
        self.byte_end();
        residuals.into_iter().map(|residual| residual as i64).collect()
    }
}

#[test]
fn what_is_written_follows_the_chapter() {
    for count in [1, 5, 14, 150, 1_001] {
        for (name, residuals) in shapes(count) {
            let bytes = encoded(&residuals);
            let mut oracle = Oracle { bytes: &bytes, bit: 0 };
            assert_eq!(oracle.residuals(count), residuals, "{name}");
            assert_eq!(oracle.bit, bytes.len() * 8, "{name}");
        }
    }
}

#[test]
fn the_chapter_tells_the_numbers() {
    let told = [("RESIDUALS_MAX", RESIDUALS_MAX as u64), ("STATES", STATES as u64), ("SYMBOLS", SYMBOLS as u64)];
    let chapter = include_str!("../../spec/entropy.md");
    let (chapter, tables) = chapter.split_at(chapter.find("| tables |").expect("the last row"));
    crate::testing::assert_numbers(chapter, &told);
    assert_eq!(tables.trim(), format!("| tables | {} of linear forms, {} of octaves |", LINEAR.len(), OCTAVE.len()));
}
