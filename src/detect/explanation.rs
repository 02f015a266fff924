//! Why an alert fires, in figures: what was expected, how far it was missed, how strong that evidence is, what it cost.
//!
//! ```text
//! since 12:01, known 12:04   20 a minute, expected 54 (45 to 63)   -63 %
//! evidence 1.05 of what alerts                                      101 orders lost, 4,040 EUR at 40 each
//! learned 87 %, a drop of 40 % would be seen                        ▇▇▇▇▇▇▂▂▂
//! ```
//!
//! Always true: everything is in the unit of the expression, and as of the last judged bucket.

use super::parts::Part;
use super::saturation::Forecast;
use super::trail::Point;
use super::transition::Direction;

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detector {
    /// A season that was learned.
    Season,
    /// A level that follows, while the season is learned or because there is none.
    Level,
    /// A fixed limit.
    Limit,
    /// A slope towards an end.
    Saturation,
    /// Beats that fail to come.
    Absence,
}

impl Detector {
    /// As it is written in alerts.
    pub fn name(self) -> &'static str {
        match self {
            Detector::Season => "season",
            Detector::Level => "level",
            Detector::Limit => "limit",
            Detector::Saturation => "saturation",
            Detector::Absence => "absence",
        }
    }
}

/// The figures behind an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Which way it went.
    pub direction: Direction,
    /// What decided.
    pub detector: Detector,
    /// When the change seems to have begun, in ms since 1970 UTC.
    pub onset_ms: i64,
    /// When the alert began: end of the bucket that fired, in ms since 1970 UTC.
    pub detected_ms: i64,
    /// What the last judged bucket had.
    pub value: f64,
    /// What was expected of it; none where nothing is.
    pub expected: Option<f64>,
    /// Between which values it would have been ordinary.
    pub bounds: Option<[f64; 2]>,
    /// Evidence, and the evidence that alerts, in nats.
    pub evidence: Option<[f64; 2]>,
    /// Events that were lost since evidence began to grow (of a rise: that came too many); none where events are not
    /// counted.
    pub lost_events: Option<f64>,
    /// What they cost, where the rule has a price.
    pub lost_money: Option<f64>,
    /// How much of what there is to learn was learned, 0 to 1.
    pub learned: Option<f64>,
    /// The smallest drop, as a fraction, that would alert within three minutes; none if not even a total loss would.
    pub detectable_drop: Option<f64>,
    /// Where a value goes that runs out.
    pub forecast: Option<Forecast>,
    /// The latest buckets, at most sixty, in the order of time.
    pub line: Vec<Point>,
    /// The parts of the group that moved most, the largest share first; empty until somebody asked, see [`super::Inquiry`].
    pub parts: Vec<Part>,
}

impl Explanation {
    /// A drop of which nothing else is known, for tests to say what is.
    #[cfg(test)]
    pub(crate) fn of_drop(onset_ms: i64, detected_ms: i64, value: f64) -> Explanation {
        Explanation {
            direction: Direction::Drop,
            detector: Detector::Level,
            onset_ms,
            detected_ms,
            value,
            expected: None,
            bounds: None,
            evidence: None,
            lost_events: None,
            lost_money: None,
            learned: None,
            detectable_drop: None,
            forecast: None,
            line: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// As of when it holds: end of the last judged bucket, in ms since 1970 UTC.
    pub fn as_of_ms(&self) -> i64 {
        self.line.last().map_or(self.detected_ms, |point| self.detected_ms.max(i64::from(point.at_s) * 1000))
    }

    /// How far the value is from what was expected, as a fraction of that; none where nothing was, or zero.
    pub fn deviation(&self) -> Option<f64> {
        let expected = self.expected.filter(|expected| *expected != 0.0)?;
        Some(self.value / expected - 1.0)
    }

    /// How far learning is, for people.
    pub fn confidence(&self) -> Option<String> {
        let learned = self.learned?;
        Some(if learned >= 1.0 { "learned".to_owned() } else { format!("learning {:.0} %", 100.0 * learned) })
    }
}
