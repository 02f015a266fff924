//! What goes in and what comes out: a bucket, and what it says.
//!
//! Always true: what is judged is a finite count within bounds, whatever a bucket holds.

/// Events, and exposure, beyond which a bucket counts as one of so many: the state squares them in f32.
pub(super) const COUNT_MAX: f64 = 1e9;
const EXPOSURE_MIN: f64 = 1e-6;

/// One closed bucket of a signal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Its end, in ms since 1970; its length is [`super::Tuning`]'s.
    pub(crate) end_ms: i64,
    /// Events in it.
    pub(crate) observed: f64,
    /// What the events are counted among; 1 for a plain count.
    pub(crate) exposure: f64,
    /// The shop's clock minus UTC, in ms; 0 without a configured zone.
    pub(crate) zone_offset_ms: i64,
    /// How far from ordinary the calendar says that this time may be, as a fraction; 0 on ordinary days.
    pub(crate) calendar_tolerance: f64,
    /// What may be expected at least and at most, as multiples of the expectation; 1 and 1 while the sources stay the
    /// same.
    pub(crate) allowance: [f64; 2],
}

/// What a bucket says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// Evidence as a share of what alerts: of a drop, of a rise.
    pub(crate) scores: [f64; 2],
    /// Events that were expected; `None` at a time of day that was never seen.
    pub(crate) expected: Option<f64>,
    /// How far the rate may wander unaccused, as a fraction of the expectation.
    pub(crate) tolerance: f64,
    /// What ordinary buckets lie between: the tolerance, and three standard deviations of noise beyond it.
    pub(crate) bounds: [f64; 2],
    /// Where the run that leads in a direction began, in s since 1970: of a drop, of a rise.
    pub(crate) onsets_s: [Option<u32>; 2],
    /// What that run saw, as a multiple of what was expected; 1 without a run.
    pub(crate) ratios: [f64; 2],
}

impl Bucket {
    /// The bucket within what the state can hold; `None` if it is no count.
    pub(super) fn limited(self) -> Option<Bucket> {
        let is_count = (0.0..f64::INFINITY).contains(&self.observed) && !self.exposure.is_nan();
        is_count.then(|| Bucket {
            observed: self.observed.min(COUNT_MAX),
            exposure: self.exposure.clamp(EXPOSURE_MIN, COUNT_MAX),
            // The largest drop there is, and as much the other way.
            calendar_tolerance: if self.calendar_tolerance > 0.0 { self.calendar_tolerance.min(1.0) } else { 0.0 },
            ..self
        })
    }
}
