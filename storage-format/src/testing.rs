//! What several tests need: values of every nature, and equality by bits.

use proptest::prelude::*;

pub(crate) fn bits_equal(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

/// Integers, short decimals, full-precision floats, and every special value.
pub(crate) fn value_strategy() -> impl Strategy<Value = f64> {
    let special = [
        f64::from_bits(0x7ff0_0000_0000_0002),
        f64::NAN,
        f64::from_bits(0xfff8_0000_0000_1234),
        f64::from_bits(u64::MAX),
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        f64::MIN_POSITIVE,
        f64::from_bits(1),
        f64::MAX,
        f64::MIN,
        i64::MAX as f64,
        i64::MIN as f64,
        9_007_199_254_740_992.0,
        -9_007_199_254_740_992.0,
        9_007_199_254_740_994.0,
    ];
    prop_oneof![
        4 => (-1000i64..1000).prop_map(|value| value as f64),
        2 => any::<i64>().prop_map(|value| value as f64),
        4 => (any::<i32>(), 0i32..12).prop_map(|(m, e)| f64::from(m) / 10f64.powi(e)),
        2 => any::<f64>(),
        2 => any::<u64>().prop_map(f64::from_bits),
        2 => proptest::sample::select(special.to_vec()),
    ]
}

/// The rows of a chapter's last table are these constants and values.
pub(crate) fn assert_numbers(chapter: &str, told: &[(&str, u64)]) {
    let table = chapter.split("# Numbers").nth(1).expect("a chapter of numbers").trim();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let read = rows.map(|row| {
        let mut cells = row.trim_matches(['|', ' ']).split(" | ");
        let name = cells.next().and_then(|cell| cell.split('`').nth(1)).expect("a constant");
        let value = cells.next().expect("a value").replace(',', "");
        let value = value.strip_prefix("2^").map_or(value.parse().ok(), |power| Some(1 << power.parse::<u32>().ok()?));
        (name, value.expect("a number"))
    });
    assert_eq!(read.collect::<Vec<_>>(), told);
}
