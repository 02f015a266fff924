//! Values written and read, and bytes that are none.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{append, read, read_before};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Phase {
    Calm,
    Since(i64),
    Firing { from: Option<u32>, at: (i8, u64) },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    flag: bool,
    bits: u64,
    small: i8,
    short: f32,
    text: String,
    phases: Vec<Phase>,
    by_name: BTreeMap<String, f32>,
}

fn written<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(&mut bytes, value).unwrap();
    bytes
}

fn phase() -> impl Strategy<Value = Phase> {
    let firing = (any::<Option<u32>>(), any::<(i8, u64)>()).prop_map(|(from, at)| Phase::Firing { from, at });
    prop_oneof![Just(Phase::Calm), any::<i64>().prop_map(Phase::Since), firing]
}

prop_compose! {
    fn everything()(
        (flag, bits, small) in any::<(bool, u64, i8)>(),
        short in -1e30_f32..1e30,
        text in ".{0,20}",
        phases in proptest::collection::vec(phase(), 0..5),
        by_name in proptest::collection::btree_map("[a-z]{1,5}", -1.0_f32..1.0, 0..4),
    ) -> Everything {
        Everything { flag, bits, small, short, text, phases, by_name }
    }
}

#[test]
fn bytes_are_those_of_the_table() {
    let value = (300_u32, Some(-1_i64), vec![1.5_f32]);
    assert_eq!(written(&value), [0xac, 0x02, 0x01, 0x01, 0x01, 0x00, 0x00, 0xc0, 0x3f]);
    let firing = Phase::Firing { from: None, at: (-2, 128) };
    assert_eq!(written(&firing), [0x02, 0x00, 0x03, 0x80, 0x01]);
    assert_eq!(written(&("é", true)), [0x02, 0xc3, 0xa9, 0x01]);
}

#[test]
fn numbers_keep_every_bit() {
    for bits in [f64::NAN.to_bits() | 7, f64::INFINITY.to_bits(), (-0.0_f64).to_bits(), 1] {
        let again: f64 = read(&written(&f64::from_bits(bits))).unwrap();
        assert_eq!(again.to_bits(), bits);
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(value in everything()) {
        let bytes = written(&value);
        prop_assert_eq!(read::<Everything>(&bytes).unwrap(), value);
        for end in 0..bytes.len() {
            prop_assert!(read::<Everything>(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = read::<Everything>(&bytes) {
            prop_assert_eq!(read::<Everything>(&written(&value)).unwrap().bits, value.bits);
        }
    }
}

#[test]
fn a_length_that_the_bytes_cannot_fill_is_refused_without_making_room() {
    let mut bytes = Vec::new();
    append(&mut bytes, &u64::MAX).unwrap();
    assert!(read::<Vec<u64>>(&bytes).is_err());
    assert!(read::<String>(&bytes).is_err());
    assert!(read::<Vec<u8>>(&[0x80; 11]).is_err());
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Younger {
    bits: u64,
    #[serde(default)]
    text: String,
}

#[test]
fn fields_that_a_layout_had_not_yet_take_their_defaults() {
    let younger = |bits, text: &str| Younger { bits, text: text.to_owned() };
    let older = written(&vec![(7_u64, true), (9, false)]);
    let found: Vec<(Younger, bool)> = read_before(&older, &[("Younger", 1)]).unwrap();
    assert_eq!(found, [(younger(7, ""), true), (younger(9, ""), false)]);
    assert!(read::<Vec<(Younger, bool)>>(&older).is_err(), "today's layout is not guessed at");
    let today = vec![(younger(7, "a"), true)];
    assert_eq!(read::<Vec<(Younger, bool)>>(&written(&today)).unwrap(), today);
}
