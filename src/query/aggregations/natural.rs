//! The order in which people put names: `cpu2` before `cpu10`.
//!
//! A text is cut into runs of digits and runs of anything else. Runs are compared one by one, digits as numbers. Where
//! both are too large for 64 bits they are compared as text, as Prometheus does; one that is too large comes behind one
//! that is not.

use std::cmp::Ordering;

/// Compares two texts. Only equal ones are equal: `01` and `1` are told apart by their characters.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (Runs(a), Runs(b));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => compare(left, right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn compare(a: &str, b: &str) -> Ordering {
    if !(is_digits(a) && is_digits(b)) {
        return a.cmp(b);
    }
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Err(_), Err(_)) => a.cmp(b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
    }
}

fn is_digits(run: &str) -> bool {
    run.starts_with(|c: char| c.is_ascii_digit())
}

/// The runs of what is left of a text.
struct Runs<'t>(&'t str);

impl<'t> Iterator for Runs<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let digits = is_digits(self.0);
        let end = self.0.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at(end);
        self.0 = rest;
        if run.is_empty() { None } else { Some(run) }
    }
}
