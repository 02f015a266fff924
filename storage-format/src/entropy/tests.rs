use proptest::prelude::*;

use super::tables::{LINEAR, OCTAVE, STATES, SYMBOLS};
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
    let mixed = (0u32..64, prop::collection::vec((any::<i64>(), 0u32..20), 0..300)).prop_map(|(shift, all)| {
        all.iter().map(|(one, rare)| if *rare == 0 { *one } else { one >> shift }).collect()
    });
    prop_oneof![whole, extreme, shifted, mixed]
}

proptest! {
    #[test]
    fn any_residuals_come_back(residuals in residuals()) {
        assert_comes_back(&residuals);
    }

    #[test]
    fn any_bytes_are_read_or_refused(form in 0u8..134, rest in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..5_000) {
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
    assert!(LINEAR.len() <= 256 && OCTAVE.len() <= 256, "a byte names a table");
    assert!(OCTAVE.iter().all(|table| table.origin == 1 && table.frequencies[63] == 0), "62 symbols of octaves");
}
