//! Matches with rows made up for missing ones, against one step after the other.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::elements::number;
use crate::model::{Labels, Sample};
use crate::query::syntax::Operator;
use crate::query::tests::engine;
use crate::query::{Options, Value};
use crate::storage::view::ReadView;

/// Distance of two steps.
const STEP_MS: i64 = 10;
const STEPS: usize = 5;

/// A value, or none, at each step.
type Row = [Option<u8>; STEPS];
/// The rows of the many side by match and by what tells them apart in it; those of the one side by match.
type Many = BTreeMap<(u8, u8), Row>;
type One = BTreeMap<u8, Row>;
/// What a series has at a step.
type Answer = BTreeMap<(String, usize), f64>;

fn some_row() -> impl Strategy<Value = Row> {
    prop::array::uniform5(prop::option::weighted(0.6, 0..10u8))
}

/// The question, and how it is to be answered.
#[derive(Clone, Copy, Debug)]
struct Question {
    group: &'static str,
    operator: &'static str,
    fill_left: Option<u8>,
    fill_right: Option<u8>,
}

fn some_question() -> impl Strategy<Value = Question> {
    let groups = prop::sample::select(&["", "group_left", "group_right"][..]);
    let operators = prop::sample::select(&["-", ">", "> bool"][..]);
    let fill = || prop::option::weighted(0.7, 0..10u8);
    (groups, operators, fill(), fill()).prop_map(|(group, operator, fill_left, fill_right)| Question {
        group,
        operator,
        fill_left,
        fill_right,
    })
}

impl Question {
    fn text(self) -> String {
        let fill = |name: &str, number: Option<u8>| number.map_or(String::new(), |number| format!("{name}({number})"));
        let (left, right) = (fill("fill_left", self.fill_left), fill("fill_right", self.fill_right));
        let Question { group, operator, .. } = self;
        // The many side is `many` wherever it stands.
        let (first, second) = if group == "group_right" { ("one", "many") } else { ("many", "one") };
        format!("{first} {operator} on(k) {group} {left} {right} {second}")
    }

    /// What becomes of two values, the many side's first.
    fn join(self, many: u8, one: u8) -> Option<f64> {
        let (left, right) = if self.group == "group_right" { (one, many) } else { (many, one) };
        let (left, right) = (f64::from(left), f64::from(right));
        match self.operator {
            "-" => Some(left - right),
            ">" => (left > right).then_some(left),
            _ => Some(if left > right { 1.0 } else { 0.0 }),
        }
    }

    fn labels(self, k: u8, m: u8) -> Labels {
        let (k, m) = (k.to_string(), m.to_string());
        let mut pairs = vec![("k", k.as_str())];
        if !self.group.is_empty() {
            pairs.push(("m", &m));
            if self.operator == ">" {
                pairs.push(("__name__", "many"));
            }
        }
        Labels::from_pairs(pairs).expect("valid labels")
    }

    fn answer(self, many: &Many, one: &One) -> Answer {
        let mut answer = Answer::new();
        for step in 0..STEPS {
            for ((k, m), row) in many {
                let partner = one.get(k).and_then(|row| row[step]).or(self.fill_right);
                let (Some(value), Some(partner)) = (row[step], partner) else { continue };
                let labels = self.labels(*k, *m).to_string();
                answer.extend(self.join(value, partner).map(|value| ((labels, step), value)));
            }
            for (k, row) in one {
                let has_partner = many.iter().any(|((other, _), row)| other == k && row[step].is_some());
                let (Some(value), Some(made_up), false) = (row[step], self.fill_left, has_partner) else { continue };
                let labels = Labels::from_pairs([("k", k.to_string().as_str())]).expect("valid labels").to_string();
                answer.extend(self.join(made_up, value).map(|value| ((labels, step), value)));
            }
        }
        answer
    }
}

fn series(pairs: &[(&str, &str)], row: &Row) -> (Labels, Vec<Sample>) {
    let values = row.iter().enumerate().filter_map(|(step, value)| Some((step, (*value)?)));
    let sample = |(step, value)| Sample { timestamp_ms: step as i64 * STEP_MS, value: f64::from(value) };
    (Labels::from_pairs(pairs.iter().copied()).expect("valid labels"), values.map(sample).collect())
}

fn view(many: &Many, one: &One) -> ReadView {
    let many = many
        .iter()
        .map(|((k, m), row)| series(&[("__name__", "many"), ("k", &k.to_string()), ("m", &m.to_string())], row));
    let one = one.iter().map(|(k, row)| series(&[("__name__", "one"), ("k", &k.to_string())], row));
    ReadView::of_samples(many.chain(one).collect())
}

#[test]
fn an_angle_whose_quotient_is_no_number_has_lost_its_sign() {
    let atan2 = |y: f64, x: f64| number(Operator::Atan2, y, x);
    let pi = std::f64::consts::PI;
    // What Prometheus 3.5 answers.
    assert_eq!(atan2(-3e-308, -1e300), pi);
    assert_eq!(atan2(3e-308, -1e300), pi);
    // math.Atan2 has these as special cases.
    assert_eq!((atan2(-0.0, -1.0), atan2(-1.0, f64::NEG_INFINITY)), (-pi, -pi));
    assert_eq!(atan2(-1.0, -1.0), -0.75 * pi);
}

proptest! {
    #[test]
    fn what_is_missing_is_made_up_at_each_step(
        question in some_question(),
        mut many in prop::collection::btree_map((0..3u8, 0..3u8), some_row(), 0..6),
        one in prop::collection::btree_map(0..4u8, some_row(), 0..4),
    ) {
        if question.group.is_empty() {
            many.retain(|(_, m), _| *m == 0);
        }
        let options = Options { lookback_ms: Some(1), ..Options::default() };
        let end_ms = STEP_MS * (STEPS as i64 - 1);
        let answer = engine().range(&view(&many, &one), &question.text(), 0, end_ms, STEP_MS, &options).unwrap();
        let Value::Matrix(rows) = answer.value else { panic!("a matrix") };
        let got: Answer = rows
            .iter()
            .flat_map(|row| row.points.iter().map(|(at_ms, value)| ((row.labels.to_string(), (at_ms / STEP_MS) as usize), value)))
            .collect();
        prop_assert_eq!(got, question.answer(&many, &one), "{}", question.text());
    }
}
