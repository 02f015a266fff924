//! Groups and their index against the slowest version there is: a list of everything, compared pair by pair.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::bodies::MANY;
use super::*;
use crate::ingest::pushgateway::budget::Budget;

/// Keys of which one's series can be another's: the label `x` may stand in the address or in the body.
const PATHS: [&str; 4] = ["/j", "/j/x/1", "/j/x/2", "/k"];
const NAMES: [&str; 4] = ["a", "b", "a_sum", "a_count"];
const KINDS: [&str; 3] = ["gauge", "counter", "summary"];

/// What may happen to a group.
#[derive(Clone, Debug)]
enum Step {
    Push { path: usize, replace: bool, families: Vec<(usize, usize, Vec<usize>)> },
    Delete { path: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let family = (0..NAMES.len(), 0..KINDS.len(), prop::collection::vec(0..3_usize, 1..3));
    let families = prop::collection::vec(family, 0..3);
    let push = (0..PATHS.len(), any::<bool>(), families);
    let push = push.prop_map(|(path, replace, families)| Step::Push { path, replace, families });
    let delete = (0..PATHS.len()).prop_map(|path| Step::Delete { path });
    prop::collection::vec(prop_oneof![5 => push, 1 => delete], 1..25)
}

/// The body, or nothing where it has a family twice, which the reader refuses.
fn body(families: &[(usize, usize, Vec<usize>)]) -> Option<String> {
    let mut names: Vec<usize> = families.iter().map(|family| family.0).collect();
    names.sort_unstable();
    if names.windows(2).any(|two| two[0] == two[1]) {
        return None;
    }
    let mut text = String::new();
    for (name, kind, labels) in families {
        let (name, kind) = (NAMES[*name], KINDS[*kind]);
        text.push_str(&format!("# TYPE {name} {kind}\n"));
        for label in labels {
            let shown = match label {
                0 => name.to_owned(),
                number => format!("{name}{{x=\"{number}\"}}"),
            };
            text.push_str(&format!("{shown} 1\n"));
        }
    }
    Some(text)
}

/// By key the families, by name the kind and the series: what the groups should be.
type Told = BTreeMap<GroupKey, BTreeMap<String, (MetricKind, Vec<String>)>>;

fn contradicts(told: &Told) -> bool {
    let families: Vec<_> = told.values().flatten().collect();
    let all: Vec<&String> = families.iter().flat_map(|(_, (_, series))| series).collect();
    let is_twice = |series: &&&String| all.iter().filter(|other| other == series).count() > 1;
    let clash = |(one, (kind, _)): &(&String, &(MetricKind, Vec<String>))| {
        families.iter().any(|(other, (other_kind, _))| {
            let is_part =
                *kind == MetricKind::Summary && [format!("{one}_sum"), format!("{one}_count")].contains(*other);
            (one == other && kind != other_kind) || is_part
        })
    };
    all.iter().any(|series| is_twice(&series)) || families.iter().any(clash)
}

fn shown(group: &Group) -> BTreeMap<String, (MetricKind, Vec<String>)> {
    let shown = |(name, family): (&String, &KeptFamily)| {
        let series = family.series.iter().map(|(labels, _)| labels.to_string()).collect();
        (name.clone(), (family.kind, series))
    };
    group.families.iter().map(shown).collect()
}

proptest! {
    #[test]
    fn contradictions_are_found_and_nothing_else(steps in steps()) {
        let (mut groups, mut told) = (Groups::default(), Told::new());
        for (number, step) in (1..).zip(steps) {
            match step {
                Step::Delete { path } => {
                    let key = GroupKey::of_path(PATHS[path]).expect("a key");
                    prop_assert_eq!(groups.remove(&key).is_some(), told.remove(&key).is_some());
                }
                Step::Push { path, replace, families } => {
                    let key = GroupKey::of_path(PATHS[path]).expect("a key");
                    let Some(body) = body(&families) else { continue };
                    let Ok(families) = families::of_text(body.as_bytes(), &mut Budget::new(MANY, &mut |_| Ok(()))) else { continue };
                    let before = groups.get(&key).cloned().unwrap_or_else(|| Group::new(key.clone()));
                    let mut wanted = told.clone();
                    let own = wanted.entry(key.clone()).or_default();
                    if replace {
                        own.clear();
                    }
                    let group = before.pushed(families, replace, 0, number).expect("labels that are allowed");
                    // What the body says is held to the Pushgateway elsewhere; here it is which groups go together.
                    own.extend(shown(&group).into_iter().filter(|(name, _)| group.families[name].pushed_ms == number));
                    let expected = !contradicts(&wanted);
                    prop_assert_eq!(groups.put(group).is_ok(), expected, "{} to {}", body, PATHS[path]);
                    if expected {
                        told = wanted;
                    }
                }
            }
            let now: Told = groups.all().map(|group| (group.key.clone(), shown(group))).collect();
            prop_assert_eq!(&now, &told);
            let series = told.values().flatten().map(|(_, (_, series))| series.len()).sum::<usize>();
            prop_assert_eq!(groups.series_count(), series + 2 * told.len());
        }
    }
}
