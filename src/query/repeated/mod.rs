//! Parts that stand in a query more than once, and are evaluated once.
//!
//! ```text
//! sum(rate(a[5m])) / (sum(rate(a[5m])) + sum(rate(b[5m])))
//! └───── part ───┘    └───── part ───┘                         a hundred series decoded once; one column shown twice
//!
//! x > 0.9 * max(x)                                             the columns of x are held for the second place, if they
//!                                                              are few enough
//! ```
//!
//! Places belong together when the same stands there ([`shape`]), evaluated in the same [`Scene`]. What comes first holds
//! what it came to until the last of them has taken it. An aggregation holds it anyway. Of anything else, which would be
//! computed a row at a time, all columns have to be held; parts may take a [`SHARE`]th of the samples that the query may
//! hold for that, and what is larger is evaluated at each of its places.
//!
//! Always true:
//! 1. A query answers the same as if each place were evaluated by itself, its remarks and the samples that it looked at
//!    included: what was noted while a part was evaluated is noted again at each further place.
//! 2. What is held for a place to come is counted in the query's budget, and let go when the last place has it.

mod shape;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use self::shape::{Search, place};
use super::budget::{Budget, Hold, Queryable};
use super::error::QueryError;
use super::eval::{Context, Evaluated, Scalar, Scene, compute};
use super::notes::Made;
use super::plan::Plan;
use super::table::{Table, places_held};

/// All parts together may hold as much of the budget's samples as one part in so many, beside what is held anyway.
const SHARE: u64 = 16;

/// The parts of one query that stand in it more than once.
#[derive(Default)]
pub(super) struct Repeated<'p> {
    /// Index of the part that stands in a place.
    by_place: HashMap<usize, usize>,
    parts: Vec<Part<'p>>,
    /// Places for values that may still be held.
    places_left: AtomicU64,
}

/// An expression with all its places.
pub(super) struct Part<'p> {
    /// The last of them in the text. Of equal remarks that is the place that is told.
    plan: &'p Plan,
    scene: Scene,
    state: Mutex<State>,
}

/// What is known of a part, and how many of its places are still to come.
enum State {
    Unknown {
        places: usize,
    },
    Known {
        places: usize,
        known: Known,
    },
    /// It is evaluated at each of its places.
    Apart,
}

/// What a part came to, and what was noted meanwhile.
struct Known {
    value: Value,
    queryable: Queryable,
    remarks: Made,
}

enum Value {
    Scalar(Scalar),
    Table(Table<'static>),
}

impl<'p> Repeated<'p> {
    /// Looks for what is repeated in a plan that is evaluated in `scene`. Takes time that grows with the plan's length.
    pub(super) fn of(plan: &'p Plan, scene: Scene, budget: &Budget) -> Repeated<'p> {
        let found = Search::of(plan, scene);
        let part = |(plan, scene, places)| Part { plan, scene, state: Mutex::new(State::Unknown { places }) };
        Repeated {
            by_place: found.by_place,
            parts: found.parts.into_iter().map(part).collect(),
            places_left: AtomicU64::new(budget.samples_max() / SHARE),
        }
    }

    /// The part that stands here, if it stands elsewhere too.
    pub(super) fn part(&self, plan: &Plan) -> Option<&Part<'p>> {
        if self.by_place.is_empty() {
            return None;
        }
        self.by_place.get(&place(plan)).map(|index| &self.parts[*index])
    }

    /// Counts places for values that are held for a place to come, if there are so many left.
    fn hold(&self, budget: &Budget, places: usize) -> Option<Hold> {
        let take = |left: u64| left.checked_sub(places as u64);
        self.places_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        budget.hold(places).ok()
    }
}

impl<'q> Part<'q> {
    /// What it comes to at one of its places.
    pub(super) fn evaluate(&self, context: &Context<'q>, plan: &'q Plan) -> Result<Evaluated<'q>, QueryError> {
        assert_eq!(self.scene, context.scene(), "a part is evaluated in one scene at all its places");
        let state = std::mem::replace(&mut *self.state.lock(), State::Apart);
        match state {
            State::Apart => compute(context, plan),
            State::Unknown { places } => {
                let (evaluated, known) = self.first(context)?;
                if let Some(known) = known {
                    *self.state.lock() = State::Known { places: places - 1, known };
                }
                Ok(evaluated)
            }
            State::Known { places, known } => {
                let evaluated = known.again(context)?;
                if places > 1 {
                    *self.state.lock() = State::Known { places: places - 1, known };
                }
                Ok(evaluated)
            }
        }
    }

    /// Evaluates it for all its places, or, if that takes too much, for one.
    fn first(&self, context: &Context<'q>) -> Result<(Evaluated<'q>, Option<Known>), QueryError> {
        let before = context.budget.queryable();
        // Nothing else of the query is computed meanwhile: whatever is noted is noted of this part.
        context.notes.record();
        let evaluated = held(context, compute(context, self.plan)?)?;
        let (queryable, remarks) = (context.budget.queryable().since(&before), context.notes.recorded());
        let value = match &evaluated {
            Evaluated::Scalar(scalar) => Some(Value::Scalar(scalar.clone())),
            Evaluated::Vector(table) => table.again().map(Value::Table),
            Evaluated::Text(_) => None,
        };
        Ok((evaluated, value.map(|value| Known { value, queryable, remarks })))
    }
}

/// A vector with its values computed, if those are held anyway or are few enough to be.
fn held<'q>(context: &Context<'q>, evaluated: Evaluated<'q>) -> Result<Evaluated<'q>, QueryError> {
    let Evaluated::Vector(table) = evaluated else { return Ok(evaluated) };
    if table.again().is_some() {
        return Ok(Evaluated::Vector(table));
    }
    let places = places_held(table.rows.len(), context.grid.count);
    Ok(Evaluated::Vector(match context.repeated.hold(context.budget, places) {
        Some(counted) => table.hold_all(context, counted)?,
        None => table,
    }))
}

impl Known {
    /// What it came to, and what there is to note of it, once more.
    fn again<'q>(&self, context: &Context<'q>) -> Result<Evaluated<'q>, QueryError> {
        context.budget.check()?;
        context.budget.note_again(&self.queryable);
        context.notes.repeat(&self.remarks);
        Ok(match &self.value {
            Value::Scalar(scalar) => {
                if let Scalar::Steps(steps) = scalar {
                    context.budget.take_samples(steps.len())?;
                }
                Evaluated::Scalar(scalar.clone())
            }
            Value::Table(table) => Evaluated::Vector(table.again().expect("it is held")),
        })
    }
}

#[cfg(test)]
mod tests;
