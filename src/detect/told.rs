//! What is told of a group: that an alert begins, fires or ends, and the figures behind it.
//!
//! Always true: nothing here changes anything.

use super::explanation::{Detector, Explanation};
use super::hold::{Spell, Turn};
use super::judged::Judged;
use super::saturation::Ceiling;
use super::transition::{Direction, Firing, Kind, Side, Transition};
use super::tuning::Tunings;
use super::{ModelOptions, Watch};

impl Judged {
    /// The alerts that there are, but for absences, which the judge has.
    pub(crate) fn spells(&self) -> impl Iterator<Item = (Direction, Spell)> + '_ {
        let model = self.model.firing().map(|incident| (incident.direction.into(), incident.spell()));
        model.chain(self.fixed.iter().flat_map(|fixed| fixed.firing()))
    }

    pub(crate) fn firing(&self, direction: Direction, spell: Spell, watch: &Watch) -> Firing {
        Firing {
            watch: self.watch,
            labels: self.labels.clone(),
            direction,
            value: self.value(direction, spell, spell.fired_ms, watch),
            expected: self.expected(direction, spell, watch),
            onset_ms: spell.onset_ms,
            fired_ms: spell.fired_ms,
        }
    }

    /// A beginning or an end, as others are told of it.
    pub(crate) fn tell(&self, direction: Direction, turn: Turn, watch: &Watch, tunings: &mut Tunings) -> Transition {
        let (kind, spell, at_ms) = match turn {
            Turn::Began(spell) => (Kind::Firing, spell, spell.fired_ms),
            Turn::Ended { spell, at_ms } => (Kind::Resolved, spell, at_ms),
        };
        Transition {
            watch: self.watch,
            labels: self.labels.clone(),
            kind,
            direction,
            value: self.value(direction, spell, at_ms, watch),
            expected: self.expected(direction, spell, watch),
            onset_ms: spell.onset_ms,
            fired_ms: spell.fired_ms,
            at_ms,
            unheard_since_ms: None,
            is_removed: false,
            explanation: Some(Box::new(self.explain(direction, spell, at_ms, watch, tunings))),
        }
    }

    /// The figures behind an alert, as they are known at `at_ms`.
    pub(crate) fn explain(
        &self,
        direction: Direction,
        spell: Spell,
        at_ms: i64,
        watch: &Watch,
        tunings: &mut Tunings,
    ) -> Explanation {
        let (signal, options) = (&watch.signal, &watch.options);
        let of_side = |side| self.model.explain(side, spell, signal, options, tunings);
        let (side, detector) = match direction {
            Direction::Drop => (Some(Side::Drop), Detector::Level),
            Direction::Rise => (Some(Side::Rise), Detector::Level),
            Direction::Limit => (None, Detector::Limit),
            Direction::Full => (None, Detector::Saturation),
            Direction::Absent => (None, Detector::Absence),
        };
        let expected = self.expected(direction, spell, watch);
        side.and_then(of_side).unwrap_or_else(|| Explanation {
            direction,
            detector,
            onset_ms: spell.onset_ms,
            detected_ms: spell.fired_ms,
            value: self.value(direction, spell, at_ms, watch),
            expected: (!expected.is_nan()).then_some(expected),
            bounds: None,
            evidence: None,
            lost_events: None,
            lost_money: None,
            learned: None,
            detectable_drop: None,
            forecast: self.fixed.as_ref().filter(|_| direction == Direction::Full).and_then(|fixed| fixed.forecast()),
            line: self.model.line(),
            parts: Vec::new(),
        })
    }

    /// The windowed value; of an absence how long it has lasted, in s.
    fn value(&self, direction: Direction, spell: Spell, at_ms: i64, watch: &Watch) -> f64 {
        match direction {
            Direction::Absent => at_ms.saturating_sub(spell.onset_ms) as f64 / 1000.0,
            _ => watch.signal.value(&self.window),
        }
    }

    /// What was expected; the limit; of an absence how long one waited, in s. NaN where it is not known.
    fn expected(&self, direction: Direction, spell: Spell, watch: &Watch) -> f64 {
        let expected = match direction {
            Direction::Drop | Direction::Rise => self.model.expected(&watch.signal),
            Direction::Absent => Some(spell.fired_ms.saturating_sub(spell.onset_ms) as f64 / 1000.0),
            Direction::Limit => limit(&watch.options),
            Direction::Full => ceiling(&watch.options),
        };
        expected.unwrap_or(f64::NAN)
    }
}

fn limit(options: &ModelOptions) -> Option<f64> {
    options.limit.and_then(|limit| limit.above.or(limit.below))
}

fn ceiling(options: &ModelOptions) -> Option<f64> {
    match options.full?.at {
        Ceiling::Value(value) => Some(value),
        Ceiling::Now => None,
    }
}
