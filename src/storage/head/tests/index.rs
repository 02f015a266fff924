//! The label index and what it is made of, against obvious versions.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::index::LabelIndex;
use super::super::paged::Paged;
use super::super::postings::Postings;
use super::*;
use crate::model::MatchOp;

/// Slots in three pages, many in one of them.
fn slot() -> impl Strategy<Value = u32> {
    prop_oneof![3 => 0..6_000_u32, 1 => 65_530..65_545_u32, 1 => 1..u32::MAX]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn postings_agree_with_a_set(steps in prop::collection::vec((any::<bool>(), slot()), 1..300), dense in any::<bool>()) {
        let (mut postings, mut set) = (Postings::default(), BTreeSet::new());
        if dense {
            // A page of bits, and one that falls back to numbers.
            for slot in 0..5_000 {
                postings.insert(slot);
                set.insert(slot);
            }
            for slot in 1_000..4_000 {
                postings.remove(slot);
                set.remove(&slot);
            }
        }
        for (is_insert, slot) in steps {
            if is_insert {
                postings.insert(slot);
                set.insert(slot);
            } else {
                postings.remove(slot);
                set.remove(&slot);
            }
            prop_assert_eq!(postings.contains(slot), is_insert);
        }
        let mut read = Vec::new();
        postings.read(&mut read);
        prop_assert_eq!(&read, &set.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!((postings.len(), postings.is_empty()), (set.len(), set.is_empty()));
    }

    #[test]
    fn what_two_postings_share_is_what_two_sets_share(
        // Starting points of runs of so many slots: few of a page, or most of it.
        one in prop::collection::vec((slot(), 1..5_000_u32), 0..4),
        two in prop::collection::vec((slot(), 1..5_000_u32), 0..4),
    ) {
        let of_runs = |runs: &[(u32, u32)]| {
            let slots = runs.iter().flat_map(|(first, count)| *first..first.saturating_add(*count)).collect::<BTreeSet<_>>();
            let mut postings = Postings::default();
            slots.iter().for_each(|slot| postings.insert(*slot));
            (postings, slots)
        };
        let ((postings, set), (others, other_set)) = (of_runs(&one), of_runs(&two));
        prop_assert_eq!(postings.count_common(&others), set.intersection(&other_set).count());
        prop_assert_eq!(others.count_common(&postings), set.intersection(&other_set).count());
    }

    /// What a selector finds is what filtering all label sets finds, while series come and go.
    #[test]
    fn a_selection_agrees_with_a_filter(
        sets in prop::collection::vec((0..4_u32, 0..4_u32, 0..3_u32), 1..40),
        gone in prop::collection::vec(0..40_usize, 0..20),
        matchers in prop::collection::vec((0..4_usize, 0..4_usize, 0..6_usize), 1..4),
    ) {
        let text = |prefix: &str, number: u32| if number == 0 { String::new() } else { format!("{prefix}{number}") };
        let all: Vec<Labels> = sets.iter().map(|(a, b, c)| {
            Labels::from_pairs([("a", text("v", *a)), ("b", text("v", *b)), ("c", text("w", *c)), ("z", "1".to_owned())])
                .expect("labels")
        }).collect();
        let mut index = LabelIndex::default();
        let mut live: BTreeMap<u32, (Labels, Box<[u32]>)> = BTreeMap::new();
        for (slot, labels) in all.iter().enumerate() {
            live.insert(slot as u32, (labels.clone(), index.insert(slot as u32, labels)));
        }
        for slot in gone {
            if let Some((_, pairs)) = live.remove(&(slot as u32)) {
                index.remove(slot as u32, &pairs);
            }
        }
        for (labels, pairs) in live.values() {
            prop_assert_eq!(&Labels::from_sorted(index.texts(pairs)), labels);
        }
        let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Matches, MatchOp::NotMatches];
        let matchers: Vec<Matcher> = matchers.iter().map(|(name, op, value)| {
            let value = ["", "v1", "w2", "v1|v2", ".+", "v.*"][*value];
            Matcher::new(["a", "b", "c", "absent"][*name], ops[*op], value).expect("a matcher")
        }).collect();
        let mut found = index.require(&matchers).unwrap_or_else(|| live.keys().copied().collect());
        index.exclude(&matchers, &mut found);
        let agrees = |labels: &Labels| matchers.iter().all(|one| one.matches(labels.get(one.name()).unwrap_or("")));
        let expected: Vec<u32> = live.iter().filter(|(_, (labels, _))| agrees(labels)).map(|(slot, _)| *slot).collect();
        prop_assert_eq!(found, expected);

        let values: BTreeSet<&str> = index.values("a").collect();
        prop_assert_eq!(values, live.values().filter_map(|(labels, _)| labels.get("a")).collect::<BTreeSet<_>>());
        for (slot, (_, pairs)) in &live {
            index.remove(*slot, pairs);
        }
        prop_assert_eq!(index.counts(), (0, 0), "nothing is left of what has gone");
    }

    /// The same selectors again and again, over labels of so many values that what matches is kept.
    #[test]
    fn a_selection_that_is_asked_again_agrees_with_a_filter(
        steps in prop::collection::vec((0..120_u32, 0..60_u32, 0..4_usize, 0..7_usize), 1..150),
        filled in 0..60_u32,
    ) {
        let mut index = LabelIndex::default();
        let mut live: BTreeMap<u32, (Labels, Box<[u32]>)> = BTreeMap::new();
        let labels = |value: u32| {
            let (a, b) = (format!("v{value}"), format!("w{}", value % 3));
            Labels::from_pairs([("a", a.as_str()), ("b", b.as_str())]).expect("labels")
        };
        for slot in 0..filled {
            live.insert(slot, (labels(slot), index.insert(slot, &labels(slot))));
        }
        let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Matches, MatchOp::NotMatches];
        for (slot, value, op, pattern) in steps {
            match live.remove(&slot) {
                Some((_, pairs)) => index.remove(slot, &pairs),
                None => _ = live.insert(slot, (labels(value), index.insert(slot, &labels(value)))),
            }
            let pattern = ["", "v1", "v.*1", ".+", "v[0-9]", "v1|v2|v3", ".*"][pattern];
            let matchers = [
                Matcher::new("a", ops[op], pattern).expect("a matcher"),
                Matcher::new("b", MatchOp::NotEqual, "w1").expect("a matcher"),
            ];
            let mut found = index.require(&matchers).unwrap_or_else(|| live.keys().copied().collect());
            index.exclude(&matchers, &mut found);
            let agrees = |labels: &Labels| matchers.iter().all(|one| one.matches(labels.get(one.name()).unwrap_or("")));
            let expected: Vec<u32> =
                live.iter().filter(|(_, (labels, _))| agrees(labels)).map(|(slot, _)| *slot).collect();
            prop_assert_eq!(found, expected, "{}", matchers[0]);
        }
    }

    #[test]
    fn a_union_of_postings_is_that_of_sets(
        all in prop::collection::vec(prop::collection::vec((slot(), 1..5_000_u32), 0..3), 0..4),
    ) {
        let mut every = BTreeSet::new();
        let postings = all.iter().map(|runs| {
            let mut postings = Postings::default();
            for slot in runs.iter().flat_map(|(first, count)| *first..first.saturating_add(*count)) {
                postings.insert(slot);
                every.insert(slot);
            }
            postings
        });
        let postings: Vec<Postings> = postings.collect();
        let union = Postings::union(postings.iter());
        let mut read = Vec::new();
        union.read(&mut read);
        prop_assert_eq!(&read, &every.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(union.len(), every.len());
        prop_assert!(every.iter().all(|slot| union.contains(*slot)));
    }
}

#[test]
fn churn_leaves_nothing_behind() {
    let mut index = LabelIndex::default();
    for round in 0..10_000_u32 {
        let pod = round.to_string();
        let labels = Labels::from_pairs([("__name__", "up"), ("pod", pod.as_str()), (pod.as_str(), "x")]);
        let pairs = index.insert(0, &labels.expect("labels"));
        assert_eq!(index.counts(), (3, 3));
        assert!(pairs.iter().all(|id| *id < 3), "ids are used again: {pairs:?}");
        index.remove(0, &pairs);
    }
    assert_eq!(index.counts(), (0, 0));
}

#[test]
fn a_paged_list_gives_back_what_was_put_in() {
    let mut list = Paged::default();
    for item in 0..5_000_u32 {
        assert_eq!((list.len(), list.get(item)), (item as usize, None));
        list.push(item);
    }
    *list.get_mut(4_999).expect("there") = 7;
    assert_eq!((list.get(1_023), list.get(1_024), list.get(4_999)), (Some(&1_023), Some(&1_024), Some(&7)));
    assert_eq!(list.iter().count(), 5_000);
}
