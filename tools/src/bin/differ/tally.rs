//! What came of a run, and how it is told.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::answer::{Answer, Outcome};

/// What came of it.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) asked: usize,
    pub(crate) failed_alike: usize,
    pub(crate) empty_alike: usize,
    /// Series and points of answers that are alike.
    pub(crate) series_alike: usize,
    pub(crate) points_alike: usize,
    /// Where Prometheus gives another answer when it is asked again.
    pub(crate) unsteady: usize,
    /// Where Prometheus gives another answer over a range than at each of its steps.
    pub(crate) torn: usize,
    /// Where Prometheus gives another answer for several series than for each of them alone, or another sum than that of
    /// its points.
    pub(crate) mixed_up: usize,
    pub(crate) known: BTreeMap<&'static str, usize>,
    /// By their kind: how often, and the first.
    pub(crate) differences: BTreeMap<String, usize>,
    pub(crate) seeds: usize,
    /// Seeds whose data Prometheus does not give back as they were.
    pub(crate) left_out: usize,
    pub(crate) took: Duration,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Tally) {
        self.asked += other.asked;
        self.failed_alike += other.failed_alike;
        self.empty_alike += other.empty_alike;
        self.series_alike += other.series_alike;
        self.points_alike += other.points_alike;
        self.unsteady += other.unsteady;
        self.torn += other.torn;
        self.mixed_up += other.mixed_up;
        self.left_out += other.left_out;
        for (reason, count) in other.known {
            *self.known.entry(reason).or_default() += count;
        }
        for (kind, count) in other.differences {
            *self.differences.entry(kind).or_default() += count;
        }
    }

    /// Notes an answer that both sides gave.
    pub(crate) fn note_alike(&mut self, answer: &Answer) {
        match &answer.outcome {
            Outcome::Failed { .. } => self.failed_alike += 1,
            Outcome::Rows { rows, .. } if rows.is_empty() => self.empty_alike += 1,
            Outcome::Rows { rows, .. } => {
                self.series_alike += rows.len();
                self.points_alike += rows.iter().map(|row| row.points.len()).sum::<usize>();
            }
        }
    }
}

impl Display for Tally {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let share = |part: usize| 100.0 * part as f64 / self.asked.max(1) as f64;
        writeln!(
            out,
            "{} queries of {} seeds ({} left out) in {seconds:.0} s ({:.0} a second)",
            self.asked,
            self.seeds,
            self.left_out,
            self.asked as f64 / seconds.max(0.001)
        )?;
        writeln!(
            out,
            "alike: {} failed ({:.1} %), {} were empty ({:.1} %), the rest had {} series with {} points",
            self.failed_alike,
            share(self.failed_alike),
            self.empty_alike,
            share(self.empty_alike),
            self.series_alike,
            self.points_alike
        )?;
        writeln!(
            out,
            "Prometheus differs with itself on {}, with its own instants on {}, and with its own series alone or points on {}",
            self.unsteady, self.torn, self.mixed_up
        )?;
        for (reason, count) in &self.known {
            writeln!(out, "known, {count}: {reason}")?;
        }
        for (kind, count) in &self.differences {
            writeln!(out, "DIFFERENT, {count}: {kind}")?;
        }
        write!(out, "{} kinds of differences", self.differences.len())
    }
}
