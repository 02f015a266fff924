//! Whether Prometheus itself says elsewhere what Dozor says, and so is at odds with itself.
//!
//! ```text
//! a range ──► its steps, each as an instant ─────────────────────┐
//! several series ──► each series alone ──────────────────────────┼─► all of it as Dozor says? then it is no difference
//! a sum over time of a subquery ──► the subquery's points, added ┘
//! ```
//!
//! Always true: each is asked of Prometheus, and everything it says there is ours.

use crate::alone::narrowed;
use crate::answer::{Answer, Outcome};
use crate::ask::When;
use crate::compare::compare;
use crate::known::settle;
use crate::points;
use crate::run::Sides;

impl Sides {
    /// Whether it is, about a question to which the answers differ in `what`.
    pub(crate) async fn is_at_odds_with_itself(
        &mut self,
        query: &str,
        when: When,
        ours: &Answer,
        what: &str,
    ) -> anyhow::Result<bool> {
        if self.is_torn(query, when, ours).await? {
            self.tally.torn += 1;
            return Ok(true);
        }
        // Remarks are not looked at for less than the whole question.
        let is_in_rows = ["value", "labels", "times"].iter().any(|kind| what.starts_with(kind));
        if is_in_rows
            && (self.is_mixed_up(query, when, ours).await? || self.is_of_its_points(query, when, ours).await?)
        {
            self.tally.mixed_up += 1;
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether Prometheus's instants at the steps of a range are ours, and ours together are our range: then its range
    /// is at odds with its own instants.
    async fn is_torn(&mut self, query: &str, when: When, range: &Answer) -> anyhow::Result<bool> {
        let (query, times) = (&of_any_range(query, when), when.steps_ms());
        let mut together = Answer { outcome: Outcome::of_no_rows(), ..range.clone() };
        for time_ms in &times {
            let at = When::At { time_ms: *time_ms };
            let (ours, theirs) = self.settled(query, at).await?;
            if compare(query, true, &ours, &theirs).is_some() || !together.append(ours) {
                return Ok(false);
            }
        }
        Ok(!times.is_empty() && compare(query, true, range, &together).is_none())
    }

    /// Whether Prometheus says of each series alone what we say of all, so that it is at odds with itself.
    async fn is_mixed_up(&mut self, query: &str, when: When, ours: &Answer) -> anyhow::Result<bool> {
        let is_instant = matches!(when, When::At { .. });
        let Outcome::Rows { shape, rows } = &ours.outcome else { return Ok(false) };
        for row in rows {
            let Some(alone) = narrowed(query, &row.labels) else { return Ok(false) };
            let mut theirs = self.prometheus.ask(&alone, when).await?;
            settle(&mut theirs);
            // Remarks have places, which are others in the other text.
            theirs.warnings.clear();
            theirs.infos.clear();
            let outcome = Outcome::Rows { shape: shape.clone(), rows: vec![row.clone()] };
            let of_row = Answer { outcome, warnings: Vec::new(), infos: Vec::new() };
            if compare(query, is_instant, &of_row, &theirs).is_some() {
                return Ok(false);
            }
        }
        Ok(rows.len() > 1)
    }

    /// Whether we say of a sum over time what the points are together that Prometheus says it adds up.
    async fn is_of_its_points(&mut self, query: &str, when: When, ours: &Answer) -> anyhow::Result<bool> {
        let Some((inside, is_mean)) = points::of_what(query) else { return Ok(false) };
        let times = match when {
            When::At { time_ms } => vec![time_ms],
            When::Over { .. } => when.steps_ms(),
        };
        let inside = &of_any_range(inside, when);
        for time_ms in times {
            let theirs = self.prometheus.ask(inside, When::At { time_ms }).await?;
            if !points::are_of(ours, time_ms, &theirs, is_mean) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The question with the moments in place of `start()` and `end()`, so that it means the same asked of a part of the range.
fn of_any_range(query: &str, when: When) -> String {
    let When::Over { start_ms, end_ms, .. } = when else { return query.to_owned() };
    let seconds = |time_ms: i64| format!("{}.{:03}", time_ms.div_euclid(1_000), time_ms.rem_euclid(1_000));
    query.replace("start()", &seconds(start_ms)).replace("end()", &seconds(end_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_range_is_asked_of_the_whole_ones_ends() {
        let when = When::Over { start_ms: 61_000, end_ms: 122_007, step_ms: 1_000 };
        assert_eq!(of_any_range("up @ start() - up @ end()", when), "up @ 61.000 - up @ 122.007");
        assert_eq!(of_any_range("up @ start()", When::At { time_ms: 5 }), "up @ start()", "an instant has no parts");
    }
}
