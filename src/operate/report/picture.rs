//! Pictures of a report: SVG within the page, without script and without another file.
//!
//! Always true: a colour never stands alone, so that a page from a black-and-white printer says the same: what is bad is
//! shorter or dotted too, and the figure stands beside it. Nothing in a picture is text of a stranger.

use std::fmt::Write as _;

use super::content::Report;
use super::journal::ChartPoint;

const WRITING: &str = "a string takes everything";
/// Colours that are told apart by who sees no red, too.
const GOOD: &str = "#3a8f6b";
const FAIR: &str = "#d69b2d";
const BAD: &str = "#b3362b";
const QUIET: &str = "#9aa3ad";

/// The availability of each part of the time: full and green is all well, short and red is not. Nothing known: dotted.
pub(super) fn strip(parts: &[Option<f64>], objective: f64) -> String {
    let width = 5;
    let mut svg = opened(parts.len() * width, 28, "Availability over time");
    for (index, part) in parts.iter().enumerate() {
        let x = index * width;
        match part {
            None => write!(
                svg,
                r#"<rect x="{x}.5" y="2.5" width="3" height="23" fill="none" stroke="{QUIET}" stroke-dasharray="2 2"/>"#
            ),
            Some(share) => {
                let colour = colour_of(*share, objective);
                // What is missing is drawn ten times as high as it is: of 99 % a tenth is missing from the bar.
                let height = (24.0 * (1.0 - (1.0 - share) * 10.0)).clamp(4.0, 24.0);
                write!(
                    svg,
                    r#"<rect x="{x}" y="{:.1}" width="4" height="{height:.1}" fill="{colour}"/>"#,
                    26.0 - height
                )
            }
        }
        .expect(WRITING);
    }
    svg + "</svg>"
}

fn colour_of(share: f64, objective: f64) -> &'static str {
    // Ten times what the objective allows to fail.
    let fair = 1.0 - (1.0 - objective) * 10.0;
    match share {
        share if share >= objective => GOOD,
        share if share >= fair => FAIR,
        _ => BAD,
    }
}

/// A share of a whole, as a bar; what is over the whole sticks out of its frame.
pub(super) fn bar(share: f64) -> String {
    let mut svg = opened(120, 14, "Share");
    let (width, colour) = (
        (share * 80.0).clamp(0.0, 118.0),
        match share {
            share if share <= 0.75 => GOOD,
            share if share <= 1.0 => FAIR,
            _ => BAD,
        },
    );
    write!(
        svg,
        r##"<rect x="1" y="1" width="80" height="12" fill="#fff" stroke="#8a929b"/><rect x="1" y="3" width="{width:.1}" height="8" fill="{colour}"/><line x1="81" y1="0" x2="81" y2="14" stroke="#20262d"/>"##
    )
    .expect(WRITING);
    svg + "</svg>"
}

/// A length among others, the longest of which is `most`.
pub(super) fn length(value: f64, most: f64) -> String {
    let width = if most > 0.0 { (value / most * 156.0).clamp(2.0, 156.0) } else { 2.0 };
    let svg = opened(160, 14, "Length");
    format!(r##"{svg}<rect x="1" y="3" width="{width:.1}" height="8" fill="#4a6f9c"/></svg>"##)
}

/// When incidents lasted: the whole time from left to right, each in the first row that is free.
pub(super) fn timeline(report: &Report) -> String {
    const WIDTH: f64 = 720.0;
    const ROWS_MAX: usize = 12;
    let (from_ms, whole_ms) = (report.range.from_ms, (report.range.to_ms - report.range.from_ms).max(1) as f64);
    let place = |ms: i64| (ms - from_ms) as f64 / whole_ms * WIDTH;
    let (mut ends, mut bars) = (Vec::<f64>::new(), String::new());
    for (from, to) in &report.spans {
        let (left, width) = (place(*from), (place(*to) - place(*from)).max(3.0));
        let row = ends.iter().position(|end| *end + 1.0 < left).unwrap_or(ends.len()).min(ROWS_MAX - 1);
        match ends.get_mut(row) {
            Some(end) => *end = left + width,
            None => ends.push(left + width),
        }
        let y = 4 + row * 9;
        write!(bars, r#"<rect x="{left:.1}" y="{y}" width="{width:.1}" height="7" rx="1" fill="{BAD}"/>"#)
            .expect(WRITING);
    }
    let height = 8 + ends.len().max(1) * 9;
    let mut svg = opened(WIDTH as usize, height + 18, "When incidents lasted");
    write!(svg, r##"<rect x="0" y="0" width="720" height="{height}" fill="#f3f5f7"/>"##).expect(WRITING);
    for part in 0..=6 {
        let (x, ms) = (part as f64 * WIDTH / 6.0, from_ms + (whole_ms * part as f64 / 6.0) as i64);
        let format = if whole_ms > 3.0 * 86_400_000.0 { "%-d %b" } else { "%-d %b %H:%M" };
        let anchor = ["start", "middle", "middle", "middle", "middle", "middle", "end"][part];
        let (text, base) = (report.moment(ms, format), height + 14);
        write!(
            svg,
            r##"<line x1="{x:.1}" y1="0" x2="{x:.1}" y2="{height}" stroke="#cdd3d9"/><text x="{x:.1}" y="{base}" text-anchor="{anchor}" class="axis">{text}</text>"##
        )
        .expect(WRITING);
    }
    svg + &bars + "</svg>"
}

/// The value of an incident's first signal, solid, and what was expected, dashed. Empty where there are no two values.
pub(super) fn line(chart: &[ChartPoint]) -> String {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let values = chart.iter().flat_map(|(_, value, expected)| [finite(*value), finite(*expected)]).flatten();
    let (least, most) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)));
    let (Some((from, ..)), Some((to, ..))) = (chart.first(), chart.last()) else { return String::new() };
    if !(least.is_finite() && most.is_finite() && to > from) {
        return String::new();
    }
    let height = if most > least { most - least } else { 1.0 };
    let place = |at: f64, value: f64| ((at - from) / (to - from) * 118.0 + 1.0, 29.0 - (value - least) / height * 26.0);
    let path = |pick: fn(&ChartPoint) -> Option<f64>| {
        let (mut path, mut is_drawn) = (String::new(), false);
        for point in chart {
            match finite(pick(point)).filter(|_| point.0.is_finite()) {
                Some(value) => {
                    let (x, y) = place(point.0, value);
                    write!(path, "{}{x:.1} {y:.1}", if is_drawn { "L" } else { "M" }).expect(WRITING);
                    is_drawn = true;
                }
                None => is_drawn = false,
            }
        }
        path
    };
    let (value, expected) = (path(|point| point.1), path(|point| point.2));
    let mut svg = opened(120, 32, "Value and expectation");
    write!(
        svg,
        r##"<path d="{expected}" fill="none" stroke="#7b858f" stroke-dasharray="3 2"/><path d="{value}" fill="none" stroke="{BAD}" stroke-width="1.5"/>"##
    )
    .expect(WRITING);
    svg + "</svg>"
}

fn opened(width: usize, height: usize, name: &str) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{name}">"#
    )
}
