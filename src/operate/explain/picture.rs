//! Value and expectation, drawn with the characters of a terminal.
//!
//! ```text
//! 20 ┤█ ▆  ▂
//!    │┄┄┄┄┄┄┄┄────────────────
//! 10 ┤████████
//!    │████████▄▃▂▃▃▂▃▂▃▂▂▃▂▃▂▂
//!  0 ┤████████████████████████
//!     12:00   ▲12:08     12:23
//! ```
//!
//! Bars are the value, dashes the expectation: `─` where no bar stands, `┄` where one does. The arrow is the onset.

use crate::operate::words::{number, time_of_day};

/// Height of the bars, in rows.
const ROWS: usize = 10;
/// Parts of a row that a bar can fill.
const EIGHTHS: f64 = 8.0;
const BARS: [char; 8] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇'];
const FULL: char = '█';
const EXPECTED: char = '─';
const EXPECTED_IN_BAR: char = '┄';
const ONSET: char = '▲';

/// Draws the points (time in s since 1970, value, expectation), oldest first, a column each. Nothing for fewer than two
/// of them, or where none has a value.
pub(in crate::operate) fn picture(points: &[(f64, Option<f64>, Option<f64>)], onset_s: Option<f64>) -> String {
    let Some(scale) = Scale::of(points) else { return String::new() };
    let labels = [scale.high, f64::midpoint(scale.low, scale.high), scale.low].map(number);
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in (0..ROWS).rev() {
        let label = match row {
            row if row == ROWS - 1 => &labels[0],
            row if row == ROWS / 2 => &labels[1],
            0 => &labels[2],
            _ => "",
        };
        let tick = if label.is_empty() { '│' } else { '┤' };
        let cells: String = points.iter().map(|point| scale.cell(row, point.1, point.2)).collect();
        text.push_str(&format!("{label:>width$} {tick}{}\n", cells.trim_end()));
    }
    text.push_str(&format!("{:>width$}  {}\n", "", axis(points, onset_s)));
    text
}

/// What a row stands for.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(points: &[(f64, Option<f64>, Option<f64>)]) -> Option<Scale> {
        let values = || points.iter().flat_map(|point| [point.1, point.2]).flatten().filter(|value| value.is_finite());
        if points.len() < 2 || values().next().is_none() {
            return None;
        }
        let high = values().fold(f64::NEG_INFINITY, f64::max);
        let low = values().fold(f64::INFINITY, f64::min);
        // Bars of something that is never negative stand on zero: half the height is half the orders.
        let low = low.min(0.0);
        Some(if high > low { Scale { low, high } } else { Scale { low, high: low + 1.0 } })
    }

    /// Height of a value, in rows from the bottom.
    fn height(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low) * ROWS as f64
    }

    fn cell(&self, row: usize, value: Option<f64>, expected: Option<f64>) -> char {
        let finite = |number: Option<f64>| number.filter(|number| number.is_finite());
        let filled = finite(value).map_or(0.0, |value| (self.height(value) - row as f64).clamp(0.0, 1.0));
        // The topmost row holds what reaches its upper edge.
        let is_expected =
            finite(expected).is_some_and(|expected| (self.height(expected) as usize).min(ROWS - 1) == row);
        let eighths = (filled * EIGHTHS).round() as usize;
        match (is_expected, eighths) {
            (true, 8..) => EXPECTED_IN_BAR,
            (true, 0..4) => EXPECTED,
            (_, 8..) => FULL,
            (_, eighths) => BARS[eighths],
        }
    }
}

/// Times of the first point, the onset and the last one, as far as there is room.
fn axis(points: &[(f64, Option<f64>, Option<f64>)], onset_s: Option<f64>) -> String {
    let mut axis: Vec<char> = vec![' '; points.len()];
    let mut write = |at: usize, text: &str| {
        let is_free = (at.saturating_sub(1)..at + text.chars().count() + 1)
            .all(|column| axis.get(column).is_none_or(|cell| *cell == ' '));
        if is_free && at + text.chars().count() <= axis.len() {
            text.chars().enumerate().for_each(|(offset, character)| axis[at + offset] = character);
        }
    };
    if let Some(onset_s) = onset_s {
        let column = points.iter().position(|point| point.0 >= onset_s);
        if let Some(column) = column.filter(|_| points[0].0 <= onset_s) {
            let time = time_of_day(onset_s);
            let is_room = column + 1 + time.len() <= points.len();
            write(column, &if is_room { format!("{ONSET}{time}") } else { ONSET.to_string() });
        }
    }
    write(0, &time_of_day(points[0].0));
    let last = time_of_day(points[points.len() - 1].0);
    write(points.len().saturating_sub(last.len()), &last);
    axis.into_iter().collect::<String>().trim_end().to_owned()
}
