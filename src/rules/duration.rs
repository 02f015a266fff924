//! Durations as Prometheus writes them: `1h30m`, `90s`, `500ms`, `0`.

/// Longest duration: what Prometheus can count in ns, some 292 years.
const DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;
/// Units from the longest to the shortest, in ms. They must stand in this order, each at most once.
const UNITS: [(&str, i64); 7] = [
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// The duration in ms, or what is wrong with it.
pub fn parse(text: &str) -> Result<i64, String> {
    let refuse = || format!("{text:?} is no duration; write for instance 30s, 5m or 1h30m");
    if text == "0" {
        return Ok(0);
    }
    let (mut rest, mut total_ms, mut next_unit) = (text, 0_i64, 0);
    if rest.is_empty() {
        return Err(refuse());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let letters = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |count| digits + count);
        let unit = UNITS.iter().position(|unit| unit.0 == &rest[digits..letters]).ok_or_else(refuse)?;
        if unit < next_unit {
            return Err(refuse());
        }
        let count: i64 = rest[..digits].parse().map_err(|_| refuse())?;
        total_ms = count.checked_mul(UNITS[unit].1).and_then(|part| total_ms.checked_add(part)).ok_or_else(refuse)?;
        (next_unit, rest) = (unit + 1, &rest[letters..]);
    }
    if total_ms > DURATION_MS_MAX { Err(format!("{text:?} is longer than 292 years")) } else { Ok(total_ms) }
}
