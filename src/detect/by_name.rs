//! Which watches a series may concern, by its name: a thousand rules are not asked one after the other for each new series.
//!
//! Of three watches, on `orders_total`, on `failed_total / orders_total` and on `{job="shop"}`, a series `orders_total`
//! may concern all three, `failed_total` the second and the third, and every other one only the third.
//!
//! Always true: a watch that wants a series is among those that are named for it.

use hashbrown::HashMap;

use super::Watch;
use crate::model::{Labels, METRIC_NAME, MatchOp, Matcher};

#[derive(Debug)]
pub(super) struct ByName {
    named: HashMap<String, Vec<usize>>,
    /// Those with a selector that names no metric.
    others: Vec<usize>,
}

impl ByName {
    pub(super) fn of(watches: &[Watch]) -> ByName {
        let mut by_name = ByName { named: HashMap::new(), others: Vec::new() };
        for (index, watch) in watches.iter().enumerate() {
            let names: Option<Vec<&str>> = watch.signal.all_selectors().map(name_of).collect();
            let Some(mut names) = names else {
                by_name.others.push(index);
                continue;
            };
            names.sort_unstable();
            names.dedup();
            names.into_iter().for_each(|name| by_name.named.entry(name.to_owned()).or_default().push(index));
        }
        by_name
    }

    /// Indices of the watches that may want this series, ascending.
    pub(super) fn candidates(&self, labels: &Labels) -> Vec<usize> {
        let named = labels.get(METRIC_NAME).and_then(|name| self.named.get(name)).map_or(&[][..], Vec::as_slice);
        let mut candidates: Vec<usize> = named.iter().chain(&self.others).copied().collect();
        candidates.sort_unstable();
        candidates
    }
}

/// The metric that a selector names, if it names one.
fn name_of(selector: &[Matcher]) -> Option<&str> {
    let is_name = |one: &&Matcher| one.name() == METRIC_NAME && one.op() == MatchOp::Equal && !one.value().is_empty();
    selector.iter().find(is_name).map(Matcher::value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::labels;
    use crate::detect::{ModelOptions, Signal};

    #[test]
    fn series_concerns_the_watches_that_name_it_and_those_that_name_none() {
        // The last is evaluated, and told the time by what it selects.
        let expressions = [
            "sum(rate(orders_total[1m]))",
            "sum(rate(failed_total[1m])) / sum(rate(orders_total[1m]))",
            r#"sum({job="shop"})"#,
            r#"sum({__name__=~"orders.*"})"#,
            "stddev(queue) / orders_total",
        ];
        let watch = |expression: &&str| Watch {
            identity: (*expression).to_owned(),
            signal: Signal::of(expression).unwrap(),
            options: ModelOptions::default(),
            zone: None,
        };
        let watches: Vec<Watch> = expressions.iter().map(watch).collect();
        let by_name = ByName::of(&watches);
        let candidates = |name: &str| by_name.candidates(&labels(&[("__name__", name), ("job", "shop")]));
        assert_eq!(candidates("orders_total"), [0, 1, 2, 3, 4]);
        assert_eq!(candidates("failed_total"), [1, 2, 3]);
        assert_eq!(candidates("queue"), [2, 3, 4]);
        assert_eq!(candidates("other"), [2, 3]);
        assert_eq!(by_name.candidates(&labels(&[("job", "shop")])), [2, 3]);
    }
}
