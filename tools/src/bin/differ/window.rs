//! Windows as they are written behind what they are of, and the moments that they have.
//!
//! ```text
//! [1m:15s] offset 5s   at 100 s ─► from 35 s to 95 s, with steps at 45, 60, 75 and 90 s
//! ```
//!
//! Always true: the start is outside, the end is within, and steps are whole multiples of their length since 1970.

/// Prometheus's step of a subquery that has none, in ms.
const STEP_MS: i64 = 60_000;

/// A window, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) range_ms: i64,
    /// Between the moments of a subquery; a range of samples has none.
    step_ms: Option<i64>,
    offset_ms: i64,
    /// The time behind `@`.
    at_ms: Option<i64>,
}

impl Window {
    /// Reads `[5m:7s] offset 1m @ 9`, from its bracket on. `start()` and `end()` are taken for the query's time.
    pub(crate) fn parse(text: &str) -> Option<Window> {
        let (window, behind) = text.strip_prefix('[')?.split_once(']')?;
        let (range, step) = window.split_once(':').map_or((window, None), |(range, step)| (range, Some(step)));
        let step_ms = match step {
            Some("") => Some(STEP_MS),
            Some(step) => Some(length_ms(step)?),
            None => None,
        };
        let mut found = Window { range_ms: length_ms(range)?, step_ms, offset_ms: 0, at_ms: None };
        let mut words = behind.split_whitespace();
        while let Some(word) = words.next() {
            let value = words.next()?;
            match (word, value) {
                ("offset", length) => found.offset_ms = length_ms(length)?,
                ("@", "start()" | "end()") => {}
                ("@", seconds) => found.at_ms = Some((seconds.parse::<f64>().ok()? * 1000.0).round() as i64),
                _ => return None,
            }
        }
        Some(found)
    }

    pub(crate) fn ends_ms(&self, time_ms: i64) -> i64 {
        self.at_ms.unwrap_or(time_ms) - self.offset_ms
    }

    /// When a subquery is evaluated for this time, the last first.
    pub(crate) fn moments_ms(&self, time_ms: i64) -> impl Iterator<Item = i64> {
        let (ends_ms, step_ms) = (self.ends_ms(time_ms), self.step_ms.unwrap_or(STEP_MS));
        let starts_ms = ends_ms - self.range_ms;
        let last_ms = ends_ms.div_euclid(step_ms) * step_ms;
        (0..).map(move |step| last_ms - step * step_ms).take_while(move |time_ms| *time_ms > starts_ms)
    }
}

/// Reads `3m7s`, in ms.
fn length_ms(text: &str) -> Option<i64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut total_ms = 0;
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit())?);
        let end = behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total_ms += number.parse::<i64>().ok()? * unit_ms;
        rest = behind;
    }
    Some(sign * total_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_at_its_start_and_its_steps_are_whole() {
        let window = Window::parse("[1m:15s] offset 5s").expect("a window");
        assert_eq!(window.moments_ms(100_000).collect::<Vec<_>>(), [90_000, 75_000, 60_000, 45_000]);
        assert_eq!(window.moments_ms(95_000).collect::<Vec<_>>(), [90_000, 75_000, 60_000, 45_000]);
        let fixed = Window::parse("[3m7s] @ 9.5 offset -1m").expect("a window");
        assert_eq!((fixed.range_ms, fixed.ends_ms(1)), (187_000, 69_500));
        assert_eq!(Window::parse("[5m:]").expect("a window").moments_ms(120_000).count(), 5);
        assert_eq!(Window::parse("[5x]"), None);
        assert_eq!(Window::parse("[5m] and up"), None);
    }
}
