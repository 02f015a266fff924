//! What must hold of every pack: nothing here is evaluated, but everything is read.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::*;
use crate::query;

const AREAS: [&str; 7] = ["availability", "machines", "databases", "access", "checkout", "integrations", "behaviour"];
const STEPS: [&str; 6] = ["search", "cart", "checkout", "payment", "message", "delivery"];
/// The parts of a runbook, in their order.
const PARTS: [&str; 5] =
    ["**For the shop**", "**Look first**", "**Likely causes**", "**First remedy**", "**Escalate**"];

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    alert: Option<String>,
    record: Option<String>,
    expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    anomaly: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct UnitTests {
    rule_files: Vec<String>,
    tests: Vec<UnitTest>,
}

#[derive(Deserialize)]
struct UnitTest {
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
    exp_alerts: Vec<IgnoredAny>,
}

fn shop() -> &'static Pack {
    Pack::named("shop").expect("there is a pack for shops")
}

fn read(file: &PackFile) -> File {
    serde_saphyr::from_str(file.text).unwrap_or_else(|error| panic!("{}: {error}", file.name))
}

/// Every rule that is an alert, with the file that it stands in.
fn alerts() -> Vec<(&'static str, String, Rule)> {
    let mut alerts = Vec::new();
    for file in shop().files() {
        let rules = read(file).groups.into_iter().flat_map(|group| group.rules);
        alerts.extend(rules.filter_map(|rule| Some((file.name, rule.alert.clone()?, rule))));
    }
    alerts
}

/// The names of all metrics that an expression selects.
fn metrics_of(expr: &str) -> BTreeSet<String> {
    let tree = query::parse_tree(expr).unwrap_or_else(|error| panic!("{expr}: {error}"));
    let mut found = BTreeSet::new();
    collect_metrics(&serde_json::from_str(&tree).expect("the tree is JSON"), &mut found);
    found
}

fn collect_metrics(tree: &serde_json::Value, found: &mut BTreeSet<String>) {
    match tree {
        serde_json::Value::Object(members) => {
            let is_selector =
                members.get("type").is_some_and(|kind| kind == "vectorSelector" || kind == "matrixSelector");
            if let (true, Some(name)) = (is_selector, members.get("name").and_then(|name| name.as_str())) {
                found.insert(name.to_owned());
            }
            members.values().for_each(|member| collect_metrics(member, found));
        }
        serde_json::Value::Array(elements) => elements.iter().for_each(|element| collect_metrics(element, found)),
        _ => {}
    }
}

/// Of each metric that is not recorded by a rule: in which areas it is used, and by which alerts, recorded ones resolved.
fn uses() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let files: Vec<File> = shop().files().iter().map(read).collect();
    let rules = || files.iter().flat_map(|file| &file.groups).flat_map(|group| &group.rules);
    let recorded: BTreeMap<&str, BTreeSet<String>> =
        rules().filter_map(|rule| Some((rule.record.as_deref()?, metrics_of(&rule.expr)))).collect();
    let mut uses: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for rule in rules() {
        let Some(alert) = &rule.alert else { continue };
        let mut open: Vec<String> = metrics_of(&rule.expr).into_iter().collect();
        while let Some(metric) = open.pop() {
            match recorded.get(metric.as_str()) {
                Some(behind) => open.extend(behind.iter().cloned()),
                None => {
                    assert!(!metric.contains(':'), "{alert} uses {metric}, which no rule records");
                    let (areas, alerts) = uses.entry(metric).or_default();
                    areas.insert(rule.labels["area"].clone());
                    alerts.insert(alert.clone());
                }
            }
        }
    }
    uses
}

/// Of each alert of the unit tests: how many cases expect it, and how many expect that it is silent.
fn cases() -> BTreeMap<String, (usize, usize)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rules/pack/shop/tests");
    let mut cases: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for entry in fs::read_dir(&folder).expect("there are unit tests") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("it can be read");
        let file: UnitTests =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for name in &file.rule_files {
            assert!(folder.join(name).is_file(), "{}: there is no {name}", path.display());
        }
        for case in file.tests.into_iter().flat_map(|test| test.alert_rule_test) {
            let (firing, silent) = cases.entry(case.alertname).or_default();
            *if case.exp_alerts.is_empty() { silent } else { firing } += 1;
        }
    }
    cases
}

#[test]
fn each_alert_says_where_it_belongs_and_what_it_means() {
    for (file, alert, rule) in alerts() {
        let label = |name: &str| rule.labels.get(name).map(String::as_str).unwrap_or_default();
        assert!(["critical", "warning"].contains(&label("severity")), "{alert}: {}", label("severity"));
        assert!(AREAS.contains(&label("area")) && file.starts_with(label("area")), "{alert}: {}", label("area"));
        assert!(!label("service").is_empty(), "{alert} has no service");
        assert!(label("step").is_empty() || STEPS.contains(&label("step")), "{alert}: {}", label("step"));
        let annotation = |name: &str| rule.annotations.get(name).map(String::as_str).unwrap_or_default();
        assert!(annotation("summary").len() > 30, "{alert}: {}", annotation("summary"));
        assert!(annotation("description").ends_with('.'), "{alert}: {}", annotation("description"));
        assert_eq!(annotation("runbook"), format!("{{{{ $externalURL }}}}/runbooks/{alert}"));
    }
}

#[test]
fn anomaly_rules_stand_in_files_of_their_own() {
    for file in shop().files() {
        let learned = file.name.ends_with(".anomaly.yml");
        for rule in read(file).groups.iter().flat_map(|group| &group.rules) {
            assert_eq!(rule.anomaly.is_some(), learned, "{}: {:?}", file.name, rule.alert);
        }
    }
}

#[test]
fn no_alert_and_no_group_has_the_name_of_another() {
    let mut names = HashSet::new();
    let groups = shop().files().iter().flat_map(|file| read(file).groups).map(|group| group.name);
    for name in groups.chain(alerts().into_iter().map(|(_, alert, _)| alert)) {
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
}

#[test]
fn each_alert_fires_in_one_unit_test_and_is_silent_in_another() {
    let mut cases = cases();
    for (_, alert, _) in alerts() {
        let (firing, silent) = cases.remove(&alert).unwrap_or_default();
        assert!(firing > 0 && silent > 0, "{alert}: {firing} cases in which it fires, {silent} in which it does not");
    }
    assert!(cases.is_empty(), "unit tests of alerts that are not there: {:?}", cases.keys());
}

#[test]
fn each_alert_has_a_runbook_that_can_be_worked_through() {
    for (_, alert, _) in alerts() {
        let text = runbook(&alert).unwrap_or_else(|| panic!("{alert} has no runbook"));
        let places: Vec<Option<usize>> = PARTS.iter().map(|part| text.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{alert}: {places:?} of {PARTS:?}");
        assert!((10..=20).contains(&text.lines().count()), "{alert}: {} lines", text.lines().count());
    }
    let known: HashSet<String> = alerts().into_iter().map(|(_, alert, _)| alert).collect();
    for heading in shop().runbooks.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix(HEADING)) {
        assert!(known.contains(heading), "a runbook for {heading}, which is no alert");
    }
}

#[test]
fn runbook_ends_where_the_next_begins() {
    let text = "# Area\n\n## One\nfirst ## not\n\n## OneMore\nsecond\n";
    assert_eq!(section(text, "One"), Some("## One\nfirst ## not"));
    assert_eq!(section(text, "OneMore"), Some("## OneMore\nsecond"));
    assert_eq!(section(text, "On"), None);
}

#[test]
fn readme_has_each_metric_with_its_areas_and_alerts() {
    let uses = uses();
    assert!(uses.len() >= 30, "{} metrics", uses.len());
    let mut told = BTreeMap::new();
    for row in shop().readme.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [metric, _, areas, alerts] = cells[..] else { continue };
        let set = |cell: &str| cell.split(", ").map(str::to_owned).collect::<BTreeSet<String>>();
        told.insert(metric.trim_matches('`').to_owned(), (set(areas), set(alerts)));
    }
    for (metric, used) in &uses {
        assert_eq!(told.get(metric), Some(used), "{metric}");
    }
    assert_eq!(told.len(), uses.len(), "the README has metrics that no rule uses");
}

#[test]
fn whole_pack_is_one_file_with_the_groups_of_all() {
    let whole: File = serde_saphyr::from_str(&shop().text()).expect("it is one file");
    let names = |file: &File| file.groups.iter().map(|group| group.name.clone()).collect::<Vec<String>>();
    let parts: Vec<String> = shop().files().iter().flat_map(|file| names(&read(file))).collect();
    assert!(parts.len() >= 2 * AREAS.len(), "{parts:?}");
    assert_eq!(names(&whole), parts);
}

#[test]
fn path_with_the_prefix_is_a_pack_and_every_other_is_a_file() {
    assert_eq!(Pack::of_path(Path::new("pack:shop")).unwrap().unwrap().name, "shop");
    assert_eq!(Pack::of_path(Path::new("pack:bank")).unwrap().unwrap_err(), "there is no such pack; there is: shop");
    assert!(Pack::of_path(&PathBuf::from("./pack:shop")).is_none());
    assert!(Pack::of_path(Path::new("rules/shop.yml")).is_none());
}
