//! Which places of a plan say the same, wherever in the text they stand.
//!
//! From the leaves up, each expression gets a number by its own [`Shape`], in which the expressions below it are the
//! numbers that they got: equal numbers are equal trees, and no two trees have to be compared.
//!
//! ```text
//! sum(x) / (sum(x) + 1)        x 0    sum(0) 1    x 0    sum(0) 1    Number(1) 2    1 + 2 3    1 / 3 4
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::super::eval::Scene;
use super::super::leaf::looked_at;
use super::super::plan::{Function, Group, Grouping, Matching, Node, Plan, Range, RangeInput, Rollup, Selector, Shift};
use super::super::syntax::{Aggregator, Edges, Operator};
use super::super::windows::subquery_grid;
use crate::model::Matcher;

/// All there is to an expression but where it stands, those below it by their numbers.
#[derive(PartialEq, Eq, Hash)]
enum Shape<'p> {
    Number(u64),
    Text(&'p str),
    Selector(&'p [Matcher], Shift, Option<Edges>),
    Range(RangeShape<'p>),
    Rollup(Rollup, RangeShape<'p>, Vec<usize>),
    Aggregate(Aggregator, &'p Grouping, Option<usize>, usize),
    Binary(Operator, bool, MatchingShape<'p>, [usize; 2]),
    Negate(usize),
    Plus(usize),
    Call(Function, Vec<usize>),
}

#[derive(PartialEq, Eq, Hash)]
struct RangeShape<'p> {
    input: InputShape<'p>,
    range_ms: i64,
    shift: Shift,
    edges: Option<Edges>,
}

#[derive(PartialEq, Eq, Hash)]
enum InputShape<'p> {
    Selector(&'p [Matcher]),
    Subquery(usize, Option<i64>),
}

#[derive(PartialEq, Eq, Hash)]
struct MatchingShape<'p> {
    on: bool,
    labels: &'p [String],
    group: &'p Group,
    /// The bits of what stands in on either side.
    fill: [Option<u64>; 2],
}

/// Where an expression stands: its address, which does not change while the plan is evaluated.
pub(super) fn place(plan: &Plan) -> usize {
    std::ptr::from_ref(plan).addr()
}

/// What the places of a plan have in common.
#[derive(Default)]
pub(super) struct Search<'p> {
    numbers: HashMap<Shape<'p>, usize>,
    number_by_place: HashMap<usize, usize>,
    by_number: HashMap<(usize, Scene), usize>,
    /// Of each place of a part that has several: the part.
    pub(super) by_place: HashMap<usize, usize>,
    /// The last place of each part in the text, the scene in which it is evaluated, and at how many places it is.
    pub(super) parts: Vec<(&'p Plan, Scene, usize)>,
}

impl<'p> Search<'p> {
    pub(super) fn of(plan: &'p Plan, scene: Scene) -> Search<'p> {
        let mut search = Search::default();
        search.number(plan);
        search.visit(plan, scene);
        search.by_place.retain(|_, part| search.parts[*part].2 > 1);
        search
    }

    /// Finds the places of what is evaluated here and below, from the last in the text to the first. What is below a place
    /// whose part is known is not evaluated for this place.
    fn visit(&mut self, plan: &'p Plan, scene: Scene) {
        if costs_something(plan) {
            let known = self.by_number.entry((self.number_by_place[&place(plan)], scene));
            let part = match known {
                Entry::Occupied(known) => {
                    let part = *known.get();
                    self.parts[part].2 += 1;
                    self.by_place.insert(place(plan), part);
                    return;
                }
                Entry::Vacant(free) => *free.insert(self.parts.len()),
            };
            self.parts.push((plan, scene, 1));
            self.by_place.insert(place(plan), part);
        }
        let mut below = below(plan, scene);
        below.sort_by_key(|(plan, _)| std::cmp::Reverse(plan.span.start));
        for (plan, scene) in below {
            self.visit(plan, scene);
        }
    }

    /// The number of an expression, and of those below.
    fn number(&mut self, plan: &'p Plan) -> usize {
        let shape = self.shape(&plan.node);
        let next = self.numbers.len();
        let number = *self.numbers.entry(shape).or_insert(next);
        self.number_by_place.insert(place(plan), number);
        number
    }

    fn shape(&mut self, node: &'p Node) -> Shape<'p> {
        match node {
            Node::Number(number) => Shape::Number(number.to_bits()),
            Node::Text(text) => Shape::Text(text),
            Node::Selector(Selector { matchers, shift, edges }) => {
                Shape::Selector(matchers, *shift, edges.map(|(edges, _)| edges))
            }
            Node::Range(range) => Shape::Range(self.range(range)),
            Node::Rollup { function, range, parameters } => {
                Shape::Rollup(*function, self.range(range), self.all(parameters))
            }
            Node::Aggregate { operator, grouping, parameter, inner } => {
                let parameter = parameter.as_deref().map(|parameter| self.number(parameter));
                Shape::Aggregate(*operator, grouping, parameter, self.number(inner))
            }
            Node::Binary { operator, returns_bool, matching, left, right } => {
                let sides = [self.number(left), self.number(right)];
                Shape::Binary(*operator, *returns_bool, MatchingShape::of(matching), sides)
            }
            Node::Negate(inner) => Shape::Negate(self.number(inner)),
            Node::Plus(inner) => Shape::Plus(self.number(inner)),
            Node::Call { function, arguments } => Shape::Call(*function, self.all(arguments)),
        }
    }

    fn all(&mut self, plans: &'p [Plan]) -> Vec<usize> {
        plans.iter().map(|plan| self.number(plan)).collect()
    }

    fn range(&mut self, range: &'p Range) -> RangeShape<'p> {
        let Range { input, range_ms, shift, edges, span: _ } = range;
        let input = match input {
            RangeInput::Selector(matchers) => InputShape::Selector(matchers),
            RangeInput::Subquery { inner, step_ms } => InputShape::Subquery(self.number(inner), *step_ms),
        };
        RangeShape { input, range_ms: *range_ms, shift: *shift, edges: *edges }
    }
}

impl MatchingShape<'_> {
    fn of(matching: &Matching) -> MatchingShape<'_> {
        let Matching { on, labels, group, fill_left, fill_right } = matching;
        MatchingShape { on: *on, labels, group, fill: [fill_left.map(f64::to_bits), fill_right.map(f64::to_bits)] }
    }
}

/// Whether to evaluate it takes longer than to look whether it is known.
fn costs_something(plan: &Plan) -> bool {
    match &plan.node {
        Node::Number(_) | Node::Text(_) | Node::Range(_) => false,
        Node::Call { arguments, .. } => !arguments.is_empty(),
        _ => true,
    }
}

/// The expressions that are evaluated for this one, and in which scene: not those of which only the text is looked at.
fn below(plan: &Plan, scene: Scene) -> Vec<(&Plan, Scene)> {
    let inside = scene.within(&plan.node);
    let plans: Vec<&Plan> = match &plan.node {
        Node::Number(_) | Node::Text(_) | Node::Selector(_) => Vec::new(),
        Node::Range(range) => return subquery(range, inside).into_iter().collect(),
        Node::Rollup { function: Rollup::Absent, range, .. } => return subquery(range, inside).into_iter().collect(),
        Node::Rollup { range, parameters, .. } => {
            let parameters = parameters.iter().map(|parameter| (parameter, inside));
            return subquery(range, inside).into_iter().chain(parameters).collect();
        }
        Node::Aggregate { parameter, inner, .. } => parameter.as_deref().into_iter().chain([inner.as_ref()]).collect(),
        Node::Binary { left, right, .. } => vec![left, right],
        Node::Negate(inner) | Node::Plus(inner) => vec![inner],
        Node::Call { function: Function::StartTimestamp, .. } => Vec::new(),
        Node::Call { function: Function::Timestamp, arguments } if is_selector(&arguments[0]) => Vec::new(),
        Node::Call { function: Function::Info, arguments } => vec![&arguments[0]],
        Node::Call { arguments, .. } => arguments.iter().collect(),
    };
    plans.into_iter().map(|plan| (plan, inside)).collect()
}

fn is_selector(plan: &Plan) -> bool {
    matches!(plan.node, Node::Selector(_))
}

/// The inner expression of a subquery; none if it is evaluated at no moment, or at too many.
fn subquery(range: &Range, scene: Scene) -> Option<(&Plan, Scene)> {
    let RangeInput::Subquery { inner, step_ms } = &range.input else { return None };
    let grid = subquery_grid(looked_at(scene.grid, range.shift), range.range_ms, *step_ms).ok()?;
    (grid.count > 0).then(|| (inner.as_ref(), scene.of_subquery(grid)))
}
