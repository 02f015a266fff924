//! Alertmanager's configuration and interface: read as Debian's Alertmanager reads it, and asked by its own tool.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::engine::{Engine, dozor};
use crate::process::peer;
use crate::wait::wait_until;

/// Parts of a file behind two receivers and a root route, good and bad: both must judge each alike.
const PARTS: [&str; 34] = [
    "inhibit_rules: [{name: x, source_matchers: [a=b], target_matchers: [c=d], equal: [e, f]}]",
    "inhibit_rules: [{sources: [{source_matchers: [a=b]}], target_matchers: [c=d]}]",
    "inhibit_rules: [{}]",
    "inhibit_rules: [{equal: ['']}]",
    "inhibit_rules: [{source_match: {a-b: c}}]",
    "inhibit_rules: [{target_match_re: {a: '('}}]",
    "time_intervals: [{name: x, time_intervals: [{location: Europe/Berlin}]}]",
    "time_intervals: [{name: x, time_intervals: [{time_zone: Europe/Berlin}]}]",
    "time_intervals: [{name: x, time_intervals: [{location: europe/berlin}]}]",
    "time_intervals: [{name: x, time_intervals: [{location: Mars/Olympus}]}]",
    "time_intervals: [{name: x, time_intervals: [{weekdays: ['saturday:sunday']}]}]",
    "time_intervals: [{name: x, time_intervals: [{weekdays: ['Monday:FRIDAY', sunday]}]}]",
    "time_intervals: [{name: x, time_intervals: [{months: ['13', 'january:march', 'may:8']}]}]",
    "time_intervals: [{name: x, time_intervals: [{months: ['march:january']}]}]",
    "time_intervals: [{name: x, time_intervals: [{days_of_month: ['-1:1']}]}]",
    "time_intervals: [{name: x, time_intervals: [{days_of_month: ['1:-3', 31, '-31:-1']}]}]",
    "time_intervals: [{name: x, time_intervals: [{days_of_month: ['0']}]}]",
    "time_intervals: [{name: x, time_intervals: [{days_of_month: ['27:-2']}]}]",
    "time_intervals: [{name: x, time_intervals: [{times: [{start_time: 09:00, end_time: 24:00}]}]}]",
    "time_intervals: [{name: x, time_intervals: [{times: [{start_time: 9:00, end_time: 10:00}]}]}]",
    "time_intervals: [{name: x, time_intervals: [{times: [{start_time: 09:00}]}]}]",
    "time_intervals: [{name: x, time_intervals: [{times: [{start_time: 22:00, end_time: 06:00}]}]}]",
    "time_intervals: [{name: x, time_intervals: [{years: ['-5:+7', '2030']}]}]",
    "time_intervals: [{name: x, time_intervals: [{years: ['2030:2020']}]}]",
    "time_intervals: [{name: x}]",
    "time_intervals: [{time_intervals: []}]",
    "time_intervals: [{name: x}]\nmute_time_intervals: [{name: x}]",
    "mute_time_intervals: [{name: x}, {name: y, time_intervals: [{}]}]",
    "global: {resolve_timeout: 0s}",
    "global: {resolve_timeout: soon}",
    "global:",
    "templates: []",
    "templates: x",
    "nonsense: 1",
];

/// One route below the root.
const ROUTES: [&str; 35] = [
    "{matchers: ['foo='], receiver: b}",
    "{matchers: ['foo=\"\"'], receiver: b}",
    "{matchers: ['foo'], receiver: b}",
    "{matchers: ['a=b,,c=d'], receiver: b}",
    "{matchers: ['{a=b,c=d}'], receiver: b}",
    "{matchers: ['{a=b'], receiver: b}",
    "{matchers: ['a=~\"(\"'], receiver: b}",
    "{matchers: ['\"a b\"=c'], receiver: b}",
    "{matchers: ['a b=c'], receiver: b}",
    "{matchers: ['a==b', 'c=\"d\\e\"', 'f=\"g'], receiver: b}",
    "{matchers: [''], receiver: b}",
    "{matchers: 'a=b', receiver: b}",
    "{matchers: {a: b}, receiver: b}",
    "{matchers: , receiver: b}",
    "{match: {a: 5}, receiver: b}",
    "{match: {'a-b': 5}, receiver: b}",
    "{match_re: {a: '('}, receiver: b}",
    "{group_by: [a, a]}",
    "{group_by: [a, '...']}",
    "{group_by: ['...']}",
    "{group_by: ['']}",
    "{group_by: ['a b']}",
    "{group_by: a}",
    "{group_wait: 0s, group_interval: 0s}",
    "{group_wait: 0s, repeat_interval: 0}",
    "{group_wait: 0s, group_interval: 1h30m, repeat_interval: 1w}",
    "{group_wait: 5}",
    "{group_wait: 1m1h}",
    "{continue: yes}",
    "{continue: maybe}",
    "{receiver: zz}",
    "{mute_time_intervals: [zz]}",
    "{receiver: ''}",
    "{labels: {a: b}}",
    "{routes: [{routes: [{receiver: zz}]}]}",
];

/// Whole files.
const FILES: [&str; 12] = [
    "",
    "receivers: [{name: a}]\n",
    "route: {receiver: a}\n",
    "route: {receiver: a}\nreceivers: [{name: a}, {name: a}]\n",
    "route: {receiver: a}\nreceivers: [{name: ''}, {name: a}]\n",
    "route: {}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, matchers: [x=y]}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, match: {x: y}}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, continue: true}\nreceivers: [{name: a}]\n",
    "route: {receiver: a, mute_time_intervals: [x]}\nreceivers: [{name: a}]\ntime_intervals: [{name: x}]\n",
    "route: {receiver: a, group_by: ['...'], routes: []}\nreceivers: [{name: a}]\n",
    "route: [\n",
];

/// Trees as they are found in the wild: teams, severities, environments, watchdogs, both ways of writing conditions.
const TREES: [&str; 8] = [
    "route: {receiver: r1}\n",
    "route:
  receiver: r1
  routes:
    - {match: {severity: critical}, receiver: r2, continue: true}
    - {match_re: {service: 'cart|check.*'}, receiver: r3}
    - {match: {severity: warning}, receiver: r4}
",
    "route:
  receiver: r1
  group_by: [alertname, cluster]
  routes:
    - matchers: [alertname=Watchdog]
      receiver: r2
    - matchers: [env!=production]
      receiver: r3
    - matchers: ['severity=~\"critical|page\"', 'team=\"shop\"']
      receiver: r4
      routes:
        - {matchers: [service=cart], receiver: r5, continue: true}
        - {matchers: ['service=~cart|search'], receiver: r6}
",
    "route:
  receiver: r1
  routes:
    - {matchers: ['team=\"\"'], receiver: r2}
    - {matchers: ['region!~\"eu-.*\"'], receiver: r3, continue: true}
    - {matchers: ['team=~\".+\"'], continue: true, receiver: r4}
    - {matchers: ['{team=\"pay\",severity!=\"info\"}'], receiver: r5}
",
    "route:
  receiver: r1
  routes:
    - continue: true
      routes: [{matchers: [severity=critical], receiver: r2}]
    - receiver: r3
      routes:
        - {match: {team: shop}, receiver: r4, routes: [{match: {env: dev}, receiver: r5}]}
        - {receiver: r6}
",
    "route:
  receiver: r1
  routes:
    - {matchers: ['severity =~ critical|page'], receiver: r2, continue: true}
    - {matchers: ['\"severity\"=\"critical\"', 'service!=\"\"'], receiver: r3, continue: true}
    - {matchers: ['env=~^prod.*$'], receiver: r4, continue: true}
    - {matchers: ['team=\"sh\\op\"'], receiver: r5}
",
    "route:
  receiver: r1
  routes:
    - {match: {team: shop}, match_re: {severity: 'c.*'}, matchers: ['env=production'], receiver: r2}
    - {matchers: ['region=~\"(eu|us)-[0-9]+\"'], receiver: r3}
    - {matchers: ['region=~\"eu-\\\\d\"'], receiver: r4}
",
    "route:
  receiver: r1
  routes:
    - {receiver: r2, continue: true}
    - {receiver: r3, continue: true, matchers: [severity=critical, team=shop]}
    - {receiver: r4, matchers: [severity=critical], routes: [{continue: true, receiver: r5}, {receiver: r6}]}
",
];

const ALERTS: [&[&str]; 16] = [
    &["alertname=Watchdog"],
    &["alertname=A"],
    &["severity=critical"],
    &["severity=critical", "team=shop"],
    &["severity=critical", "team=shop", "service=cart", "env=production"],
    &["severity=page", "team=shop", "service=cart", "env=production"],
    &["severity=critical", "team=shop", "service=search", "env=production"],
    &["severity=warning", "service=checkout"],
    &["severity=warning", "service=catalog"],
    &["severity=info", "team=pay", "region=eu-1"],
    &["severity=critical", "team=pay", "region=us-2"],
    &["team=shop", "env=dev"],
    &["team=shop", "env=production"],
    &["region=eu-7"],
    &["team=sh\\op", "region=asia"],
    &["env=prod-2", "severity=critical", "service=x"],
];

fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().expect("the program can be run")
}

fn both_judge(folder: &TempDir, text: &str) -> (bool, bool, String) {
    let file = folder.path().join("alertmanager.yml");
    fs::write(&file, text).expect("a temporary file");
    let file = file.to_str().expect("a plain path");
    let theirs = run(&peer("amtool"), &["check-config", file]);
    let ours = run(dozor(), &["check", "routing", file]);
    let said = format!("{text}\nours: {}", String::from_utf8_lossy(&ours.stderr));
    (ours.status.success(), theirs.status.success(), said)
}

#[test]
fn the_same_files_are_taken_and_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let head = "receivers: [{name: a}, {name: b}]\nroute: {receiver: a";
    let parts = PARTS.iter().map(|part| format!("{head}}}\n{part}\n"));
    let routes = ROUTES.iter().map(|route| format!("{head}, routes: [{route}]}}\n"));
    for text in parts.chain(routes).chain(FILES.iter().map(|&file| file.to_owned())) {
        let (ours, theirs, said) = both_judge(&folder, &text);
        assert_eq!(ours, theirs, "{said}");
    }
}

#[test]
fn what_we_lack_is_refused_though_alertmanager_takes_it() {
    let folder = TempDir::new().expect("a temporary folder");
    for part in ["tracing: {endpoint: 'x:1'}", "time_intervals: [{name: x, time_intervals: [{location: Local}]}]"] {
        let text = format!("receivers: [{{name: a}}]\nroute: {{receiver: a}}\n{part}\n");
        let (ours, theirs, said) = both_judge(&folder, &text);
        assert!(theirs && !ours && said.contains("alertmanager.yml:3:"), "{said}");
    }
}

#[test]
fn the_same_alerts_go_to_the_same_receivers() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("alertmanager.yml");
    let path = file.to_str().expect("a plain path");
    let receivers = "receivers: [{name: r1}, {name: r2}, {name: r3}, {name: r4}, {name: r5}, {name: r6}]\n";
    for tree in TREES {
        fs::write(&file, format!("{tree}{receivers}")).expect("a temporary file");
        for alert in ALERTS {
            let config = format!("--config.file={path}");
            let theirs = run(&peer("amtool"), &[&["config", "routes", "test", &config], alert].concat());
            let ours = run(dozor(), &[&["check", "routing", path], alert].concat());
            let ours = String::from_utf8(ours.stdout).expect("text");
            let names: Vec<&str> = ours.lines().filter_map(|line| line.split_whitespace().next()).collect();
            // It mixes what it prints with what it logs.
            let theirs = String::from_utf8(theirs.stdout).expect("text");
            let theirs: Vec<&str> = theirs.lines().filter(|line| line.starts_with('r')).collect();
            assert_eq!([names.join(",")], theirs[..], "{alert:?} in\n{tree}");
        }
    }
}

#[test]
fn amtool_silences_and_asks_us_as_an_alertmanager() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let url = format!("--alertmanager.url=http://{}", engine.address);
    let amtool = |arguments: &[&str]| {
        let output = run(&peer("amtool"), &[&[url.as_str()], arguments].concat());
        let (told, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {told}{wrong}");
        told.into_owned()
    };
    amtool(&["alert", "add", "alertname=Down", "shop=eu", "--annotation=summary=x"]);
    amtool(&["alert", "add", "alertname=Down", "shop=us"]);
    assert_eq!(amtool(&["alert", "query"]).matches("Down").count(), 2);
    let id = amtool(&["silence", "add", "alertname=Down", "shop=~e.", "--comment=known", "--author=dana"]);
    let id = id.trim();
    let listed = amtool(&["silence", "query"]);
    assert!(listed.contains(id) && listed.contains("dana") && listed.contains("known"), "{listed}");
    assert!(amtool(&["silence", "query", "shop=us"]).matches(id).count() == 0);
    let active = amtool(&["alert", "query"]);
    assert!(active.matches("Down").count() == 1, "{active}");
    let silenced = amtool(&["alert", "query", "--silenced", "shop=eu"]);
    assert!(silenced.contains("suppressed"), "{silenced}");
    amtool(&["silence", "update", id, "--duration=3h"]);
    amtool(&["silence", "expire", id]);
    assert!(!amtool(&["silence", "query"]).contains(id));
    assert!(amtool(&["silence", "query", "--expired"]).contains(id));
    assert!(amtool(&["config", "show"]).contains("receivers"));
    amtool(&[
        "alert",
        "add",
        "alertname=Down",
        "shop=eu",
        "--end=2020-01-01T00:00:00Z",
        "--start=2019-01-01T00:00:00Z",
    ]);
    wait_until("the alert has ended", || amtool(&["alert", "query"]).matches("Down").count() == 1);
}

#[test]
fn a_silence_lasts_over_a_restart_and_is_ended_by_the_command() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let url = format!("--url=http://{}", engine.address);
    let silence = |arguments: &[&str]| {
        let output = run(dozor(), &[&["silence"], arguments, &[url.as_str()]].concat());
        (
            output.status.success(),
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        )
    };
    let (is_added, id) = silence(&["add", "alertname=Slow", "shop=~\"e.\"", "--comment=known", "--author=dana"]);
    assert!(is_added, "{id}");
    let id = id.trim();
    engine.kill();
    engine.start_again();
    let (_, listed) = silence(&["list"]);
    assert!(listed.contains(id) && listed.contains("active") && listed.contains("dana: known"), "{listed}");
    assert!(silence(&["expire", id]).0);
    assert_eq!(silence(&["list"]).1, "");
    assert!(silence(&["list", "--expired"]).1.contains(id));
    let (is_added, what) = silence(&["add", "a=~\".*\"", "--comment=all", "--author=dana"]);
    assert!(!is_added && what.contains("at least one matcher must not match the empty string"), "{what}");
    let (is_expired, what) = silence(&["expire", "none"]);
    assert!(!is_expired && what.contains("silence none not found"), "{what}");
}
