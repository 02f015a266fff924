//! By which labels the series of a group can be taken apart.
//!
//! ```text
//! {node="1", instance="a", region="eu", job="shop"}      job      cuts nothing off: one value
//! {node="2", instance="b", region="eu", job="shop"}      region   [0, 0, 1]
//! {node="3", instance="c", region="us", job="shop"}      node     [0, 1, 2], and instance the same: one cut of two labels
//! ```
//!
//! Always true: at most [`CUTS_COUNT_MAX`] cuts; a series that lacks the label is in the part without it.

use hashbrown::HashMap;

use crate::detect::signal::Signal;
use crate::model::{Labels, Matcher};

/// Most labels that are tried, in the order of their names.
const CUTS_COUNT_MAX: usize = 32;

/// The series by the value of a label, or of several that cut them alike.
#[derive(Debug)]
pub(super) struct Cut {
    /// Of each series, the index of its part.
    pub(super) part_of: Vec<usize>,
    /// What each part is called.
    pub(super) names: Vec<Labels>,
    /// One of the labels that cut, and its value in each part; empty where the part's series lack it.
    pub(super) label: String,
    pub(super) values: Vec<String>,
}

/// Every way to take series apart into two parts or more, by labels that may.
pub(super) fn cuts(members: &[&Labels], may_cut: impl Fn(&str) -> bool) -> Vec<Cut> {
    let mut labels: Vec<&str> = members.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
    labels.sort_unstable();
    labels.dedup();
    labels.retain(|name| may_cut(name));
    let mut found: Vec<(Vec<usize>, Vec<&str>)> = Vec::new();
    for label in labels.into_iter().take(CUTS_COUNT_MAX) {
        let part_of = cut(members, label);
        if part_of.iter().all(|part| *part == 0) {
            continue;
        }
        match found.iter_mut().find(|(known, _)| *known == part_of) {
            Some((_, alike)) => alike.push(label),
            None => found.push((part_of, vec![label])),
        }
    }
    found.into_iter().map(|(part_of, labels)| named(members, part_of, &labels)).collect()
}

/// Whether all sides of the expression select the label in the same way, if they do. A part of the failed payments by
/// their outcome is no part of all payments.
pub(super) fn is_selected_alike(signal: &Signal, label: &str) -> bool {
    let conditions = |matchers: &[Matcher]| {
        let of_label = matchers.iter().filter(|matcher| matcher.name() == label);
        let mut told: Vec<String> = of_label.map(|matcher| format!("{:?} {}", matcher.op(), matcher.value())).collect();
        told.sort_unstable();
        told
    };
    let mut sides = signal.selectors().map(conditions);
    let first = sides.next();
    sides.all(|side| Some(side) == first)
}

/// The parts in the order in which they are met.
fn cut(members: &[&Labels], label: &str) -> Vec<usize> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut part_of = Vec::with_capacity(members.len());
    for member in members {
        let next = known.len();
        part_of.push(*known.entry(member.get(label).unwrap_or("")).or_insert(next));
    }
    part_of
}

fn named(members: &[&Labels], part_of: Vec<usize>, labels: &[&str]) -> Cut {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (member, part) in members.iter().zip(&part_of) {
        if *part == names.len() {
            names.push(member.filtered(|name| labels.contains(&name)));
            values.push(member.get(labels[0]).unwrap_or("").to_owned());
        }
    }
    Cut { part_of, names, label: labels[0].to_owned(), values }
}
