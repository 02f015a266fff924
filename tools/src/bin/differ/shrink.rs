//! Making a difference smaller, as long as it stays.

use crate::ask::When;
use crate::known::Rules;
use crate::run::{Sides, Verdict};
use crate::term::Term;
use crate::window::Window;

/// Most questions that go into it.
const QUESTIONS_MAX: usize = 800;
/// Moments of a subquery at which what it is of is asked alone.
const MOMENTS_MAX: usize = 70;

/// A question whose answers differ.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) term: Term,
    pub(crate) when: When,
    /// In what, in a line; the word before the colon is the kind.
    pub(crate) what: String,
}

/// The smallest that was found.
pub(crate) async fn shrink(sides: &mut Sides, mut found: Difference) -> anyhow::Result<Difference> {
    let mut left = QUESTIONS_MAX;
    loop {
        let mut candidates: Vec<(Term, When)> = Vec::new();
        for term in found.term.smaller() {
            candidates.push((term, found.when));
        }
        candidates.extend(earlier(&found));
        for when in found.when.smaller() {
            candidates.push((found.term.clone(), when));
        }
        candidates.sort_by_key(|(term, when)| (term.to_string().len(), !matches!(when, When::At { .. })));
        let mut smaller = None;
        for (term, when) in candidates {
            if left == 0 {
                return Ok(found);
            }
            left -= 1;
            let verdict = sides.judge(&term, when, Rules::OfAny).await?;
            if let Verdict::Suspected(what) | Verdict::Different(what) = verdict {
                smaller = Some(Difference { term, when, what });
                break;
            }
        }
        match smaller {
            Some(smaller) => found = smaller,
            None => return Ok(found),
        }
    }
}

/// What the subqueries of an instant are of, at the moments that they have.
fn earlier(found: &Difference) -> Vec<(Term, When)> {
    let When::At { time_ms } = found.when else { return Vec::new() };
    let mut candidates = Vec::new();
    for (inner, window) in found.term.subqueries() {
        let Some(window) = Window::parse(&window) else { continue };
        let moments = window.moments_ms(time_ms).take(MOMENTS_MAX);
        candidates.extend(moments.map(|time_ms| (inner.clone(), When::At { time_ms })));
    }
    candidates
}
