//! `dozor check rules` and `dozor test rules` beside promtool: the same files, the same verdict and exit code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::process::peer;

/// Rules of one line each, good and bad.
const RULES: [&str; 39] = [
    "{ record: a, expr: up }",
    "{ record: a, alert: B, expr: up }",
    "{ expr: up }",
    "{ record: a }",
    "{ record: a, expr: 'sum(up' }",
    "{ record: a, expr: up, for: 5m }",
    "{ record: a, expr: up, annotations: { a: b } }",
    "{ record: 'a{b=\"c\"}', expr: up }",
    "{ record: a, expr: up, labels: { __name__: b } }",
    "{ alert: A, expr: up, annotations: { a: '{{ $labels.x' } }",
    "{ alert: A, expr: up, annotations: { a: '{{ nope }}' } }",
    "{ alert: A, expr: up, labels: { a: '{{ $x }}' } }",
    "{ alert: A, expr: up, annotations: { a: '{{ if }}x{{ end }}' } }",
    "{ alert: A, expr: up, annotations: { a: '{{ $y = 1 }}{{ .Foo }}{{ template \"x\" }}' } }",
    "{ alert: A, expr: up, annotations: { a: '{{ range query \"up\" }}{{ .Value | humanize }}{{ end }}' } }",
    "{ alert: A, expr: up, for: 5 }",
    "{ alert: A, expr: up, fore: 5m }",
    "{ alert: 'a b', expr: up }",
    "{ record: 'a b', expr: up }",
    "{ record: '', expr: up }",
    "{ alert: A, expr: up, labels: { 'a b': c } }",
    "{ alert: A, expr: up, labels: { '': c } }",
    "{ alert: A, expr: 'up > \"a\"' }",
    "{ alert: A, expr: rate(up) }",
    "{ alert: A, expr: 5 }",
    "{ alert: A, expr: up, for: 1h30m, labels: { a: 5, b: true } }",
    "{ alert: A, expr: up, keep_firing_for: -5m }",
    "{ record: a, expr: '\"x\"' }",
    "{ record: a, expr: 'up[5m]' }",
    "nonsense",
    "{ alert: A, expr: up, labels: { a: }, annotations: { b: ~, null: c } }",
    "{ record: a, expr: up, labels: { a: ~ } }",
    "~",
    "",
    "{ record: a, expr: ~ }",
    // Two in one file.
    "{ record: a, expr: up }\n  - { record: a, expr: up == 1 }",
    "{ record: a, expr: up, labels: { a: b } }\n  - { record: a, expr: up == 1, labels: { a: c } }",
    "{ alert: A, expr: up }\n  - { alert: A, expr: up == 1 }",
    "{ alert: A, expr: up }\n  - { record: A, expr: up == 1 }",
];

/// Whole files.
const FILES: [&str; 20] = [
    "",
    "groups: []\n",
    "groups:\n- name: a\n",
    "groups:\n- name: g\n- name: g\n",
    "groups:\n- name: ''\n",
    "group:\n- name: a\n",
    "groups:\n- name: [\n",
    "groups:\n- rules: []\n",
    "groups:\n- name: g\n  interval: often\n",
    "groups:\n- name: g\n  limit: 5\n  query_offset: 1m\n  labels: { a: b }\n  rules: []\n",
    "~\n",
    "---\n",
    "# a comment\n",
    "groups:\n- ~\n-\n",
    "groups:\n- name: g\n  labels: { a: , ~: b }\n",
    "groups:\n- name: g\n  limit: \"5\"\n",
    "groups:\n- name: g\n  limit: 5.5\n",
    "groups:\n- name: g\n  limit: 1e3\n",
    "groups:\n- name: g\n  limit: .nan\n",
    "groups:\n- name: g\n  limit: 9223372036854775808\n",
];

const SHOP: &str = r#"groups:
  - name: shop
    labels: { team: shop }
    rules:
      - record: region:orders:rate1m
        expr: sum by (region) (rate(shop_orders_total[2m]))
      - alert: OrdersLow
        expr: region:orders:rate1m < 1
        for: 2m
        keep_firing_for: 1m
        labels: { severity: page, value: "{{ $value }}" }
        annotations:
          summary: 'Orders in {{ $labels.region }} at {{ printf "%.2f" $value }}/s of {{ $externalLabels.cluster }} at {{ $externalURL }}'
          others: '{{ range query "region:orders:rate1m" | sortByLabel "region" }}{{ .Labels.region }}={{ .Value | humanize }} {{ end }}'
          time: '{{ with query "time()" }}{{ . | first | value | humanizeTimestamp }}{{ end }}'
  - name: second
    interval: 5m
    rules:
      - record: shop:orders:rate1m
        expr: sum(region:orders:rate1m)
      - alert: Always
        expr: vector(1)
      - alert: Broken
        expr: up == 0
        annotations: { d: '{{ .Nope }}' }
"#;

const SHOP_TEST: &str = r#"rule_files: [shop.yml]
evaluation_interval: 30s
tests:
  - interval: 1m
    name: a shop
    external_labels: { cluster: c1 }
    external_url: http://x.example
    input_series:
    - series: 'shop_orders_total{region="eu"}'
      values: 0+600x4 2400x20
    - series: 'shop_orders_total{region="us"}'
      values: 0+6000x30
    - series: latency
      values: '{{schema:0 sum:5 count:3 buckets:[1 2]}}+{{schema:0 sum:1 count:1 buckets:[1]}}x5'
    alert_rule_test:
    - { eval_time: 5m, alertname: OrdersLow, exp_alerts: [] }
    - { eval_time: 5m, alertname: Broken }
    - eval_time: 8m30s
      alertname: OrdersLow
      exp_alerts:
      - exp_labels: { severity: page, value: "0", region: eu, team: shop }
        exp_annotations:
          summary: 'Orders in eu at 0.00/s of c1 at http://x.example'
          others: 'eu=0 us=100 '
          time: '1970-01-01 00:08:30 +0000 UTC'
    - eval_time: 10m
      alertname: Always
      exp_alerts: [ {} ]
    promql_expr_test:
    - expr: region:orders:rate1m
      eval_time: 3m
      exp_samples:
      - { labels: 'region:orders:rate1m{region="us", team="shop"}', value: 100 }
      - { labels: 'region:orders:rate1m{region="eu", team="shop"}', value: 10 }
    - { expr: 1+1, eval_time: 1m, exp_samples: [ { labels: '{}', value: 2 } ] }
    - { expr: count(ALERTS), eval_time: 9m, exp_samples: [ { labels: '', value: 2 } ] }
    - { expr: absent_x, eval_time: 9m }
    - { expr: latency, eval_time: 2m, exp_samples: [ { labels: latency, histogram: '{{schema:0 sum:7 count:5 buckets:[3 2] counter_reset_hint:not_reset}}' } ] }
"#;

/// One change of the test file each: first what stands there, then what is put in its place.
const CHANGES: [(&str, &str); 48] = [
    ("8m30s\n", "8m\n"),
    ("8m30s\n", "7m59s\n"),
    ("cluster: c1", "cluster: "),
    ("exp_alerts: [ {} ]", "exp_alerts: [ { exp_labels: { a: }, exp_annotations: { b: ~ } } ]"),
    ("8m30s\n", "8m45s\n"),
    ("region: eu", "region: us"),
    ("eu=0 us=100", "eu=0 us=101"),
    ("value: 100 }", "value: 100.5 }"),
    ("exp_alerts: [ {} ]", "exp_alerts: [ {}, {} ]"),
    ("exp_alerts: [ {} ]", "exp_alerts: []"),
    ("alertname: Always", "alertname: ''"),
    ("expr: absent_x", "expr: 'sum('"),
    ("expr: absent_x", "expr: 'up[5m]'"),
    ("expr: absent_x", "expr: '\"x\"'"),
    ("{ expr: absent_x", "{ exp_samples: [ { value: .nan } ], expr: vector(NaN)"),
    ("{ expr: absent_x", "{ exp_samples: [ { value: .inf } ], expr: vector(Inf)"),
    ("{ expr: absent_x", "{ exp_samples: [ { value: 0.3 } ], expr: vector(0.1+0.2)"),
    ("labels: '{}'", "labels: '{'"),
    ("labels: '{}'", "labels: '{a=\"b\"} 5'"),
    ("labels: '{}'", "labels: '{a!=\"b\"}'"),
    ("sum:7", "sum:8"),
    ("[3 2]", "[3 2"),
    ("histogram: '{{schema:0 sum:7 count:5 buckets:[3 2] counter_reset_hint:not_reset}}'", "value: 5"),
    (" counter_reset_hint:not_reset", ""),
    // A subquery without a step has that of the evaluations: six in three minutes.
    (
        "{ expr: absent_x, eval_time: 9m",
        "{ expr: 'count_over_time(region:orders:rate1m{region=\"eu\"}[3m:])', exp_samples: [ { labels: '{region=\"eu\", team=\"shop\"}', value: 6 } ], eval_time: 9m",
    ),
    ("http://x.example\n    input", "http://y.example\n    input"),
    ("eval_time: 9m }", "eval_time: x }"),
    ("eval_time: 9m }", "time: 9m }"),
    ("interval: 1m\n    name", "interval: 2m\n    name"),
    ("interval: 1m\n    name", "interval: 0s\n    name"),
    ("evaluation_interval: 30s", "evaluation_interval: 1m"),
    ("evaluation_interval: 30s", "evaluation_interval: 7s"),
    ("tests:", "group_eval_order: [second, shop]\ntests:"),
    ("tests:", "group_eval_order: [shop, shop]\ntests:"),
    ("tests:", "fuzzy_compare: true\ntests:"),
    ("tests:", "nope: true\ntests:"),
    ("shop.yml", "none.yml"),
    ("shop.yml", "sh*.yml"),
    ("shop.yml", "bad.yml"),
    ("shop.yml", "[.yml"),
    ("2400x20", "2400x20 stale"),
    ("2400x20", "2400xx20"),
    ("2400x20", "foo"),
    ("0+600x4 2400x20", "0+600x4 _x3 2400x20"),
    ("shop_orders_total{region=\"eu\"}", "shop_orders_total{region=eu}"),
    ("shop_orders_total{region=\"eu\"}", "shop_orders_total{region=\"eu\""),
    ("shop_orders_total{region=\"eu\"}", "shop_orders_total{region=~\"eu\"}"),
    ("shop_orders_total{region=\"us\"}", "shop_orders_total{region=\"eu\"}"),
];

/// Values of a series, some of them none.
const VALUES: [&str; 31] = [
    "1 2,3",
    "1_2",
    "_ x3",
    "stalex3",
    "1x",
    "x3",
    "1+x3",
    "1+1",
    "1x-1",
    "1 x 3",
    "_x",
    "0x1x2",
    "-_",
    "nan inf +inf -Inf",
    "Infx2",
    "1+infx2",
    "{{}}",
    "{{}}x2",
    "{{schema:1 foo:2}}",
    "{{schema:1}} 5",
    "{{schema:1}}5",
    "1e1000",
    ".5 5. 1e5",
    "0b11",
    "--1",
    "1--1x3",
    "1+-1x3",
    "{{count:1 buckets:[1]}}-{{count:1 buckets:[1]}}x2",
    " ",
    "5 \"",
    "0x10",
];

/// Series, some of them none.
const SERIES: [&str; 20] = [
    "x{a=\"b\",}",
    "x{a=\"b\",a=\"c\"}",
    "x{a=\"b\" b=\"c\"}",
    "x{ a = \"b\" , c = \"d\" }",
    "{\"x\"}",
    "{\"x.y\", a=\"b\"}",
    "{__name__=\"x\"}",
    "x y",
    "",
    "{}",
    "x{}",
    "x{\"a.b\"=\"c\"}",
    "x{a=`b`}",
    "1x",
    "sum",
    "x{a=\"b\"}{c=\"d\"}",
    "x[5m]",
    "x{on=\"a\"}",
    "x{le=5}",
    "nan{a=\"b\"}",
];

struct Pair {
    folder: TempDir,
    promtool: PathBuf,
}

impl Pair {
    fn new() -> Pair {
        Pair { folder: TempDir::new().expect("a temporary folder"), promtool: peer("promtool") }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).expect("a file can be written");
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).output().expect("it can be started")
    }

    /// What differs between both, of the verdict and the exit code.
    fn difference(&self, arguments: &[&str]) -> Option<String> {
        let ours = self.run(Path::new(env!("CARGO_BIN_EXE_dozor")), arguments);
        let theirs = self.run(&self.promtool, arguments);
        let verdict = |output: &Output| {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let lines: Vec<String> = said.lines().filter(|line| line.contains("SUCCESS")).map(str::to_owned).collect();
            (output.status.code(), lines)
        };
        (verdict(&ours) != verdict(&theirs)).then(|| {
            let shown = |output: &Output| format!("{:?}\n{}", verdict(output), String::from_utf8_lossy(&output.stderr));
            format!("dozor {}\npromtool {}", shown(&ours), shown(&theirs))
        })
    }
}

fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn rule_files_are_found_faulty_where_promtool_finds_them_so() {
    let pair = Pair::new();
    let of_one = |rule: &&str| format!("groups:\n- name: g\n  rules:\n  - {rule}\n");
    let texts = RULES.iter().map(of_one).chain(FILES.map(str::to_owned)).chain([SHOP.to_owned()]);
    let mut differences = Vec::new();
    for text in texts {
        pair.write("rules.yml", &text);
        for flags in [&[][..], &["--lint=none"], &["--lint-fatal"], &["--lint=all", "--lint-fatal"]] {
            let arguments = [&["check", "rules"], flags, &["rules.yml"]].concat();
            let difference = pair.difference(&arguments);
            differences.extend(difference.map(|difference| format!("{flags:?}\n{text}{difference}")));
        }
    }
    assert_none(&differences);
}

#[test]
fn unit_tests_pass_and_fail_where_promtool_lets_them() {
    let pair = Pair::new();
    pair.write("shop.yml", SHOP);
    pair.write("bad.yml", "groups:\n- name: g\n  rules: [ { alert: A, expr: 'sum(' } ]\n");
    pair.write("test.yml", SHOP_TEST);
    let test = ["test", "rules", "test.yml"];
    let whole = pair.run(Path::new(env!("CARGO_BIN_EXE_dozor")), &test);
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let changed = |(from, to): &(&str, &str)| {
        assert!(SHOP_TEST.contains(from), "{from}");
        SHOP_TEST.replacen(from, to, 1)
    };
    let one = |series: &str, values: &str| {
        format!(
            "tests:\n- interval: 1m\n  input_series: [ {{ series: {series:?}, values: {values:?} }} ]\n  \
             promql_expr_test: [ {{ expr: 'count({{__name__=~\".+\"}})', eval_time: 3m, exp_samples: [ {{ value: 1 }} ] }} ]\n"
        )
    };
    let whole = ["", "tests:\n", "tests: []\n", "x", "tests: {}", "rule_files: [bad.yml]\n"].map(str::to_owned);
    let texts = CHANGES.iter().map(changed).chain(whole).chain([SHOP_TEST.to_owned()]);
    let texts =
        texts.chain(VALUES.iter().map(|values| one("x", values))).chain(SERIES.iter().map(|series| one(series, "1x5")));
    let mut differences = Vec::new();
    for text in texts {
        pair.write("test.yml", &text);
        differences.extend(pair.difference(&test).map(|difference| format!("{text}{difference}")));
    }
    assert_none(&differences);
}

/// A rule through pending, firing, held and over, asked about at every half minute: what promtool says of it, we say.
#[test]
fn alerts_are_in_the_state_that_promtool_sees() {
    const RULES: &str = "groups:\n- name: g\n  rules:\n  - { alert: Down, expr: up == 0, for: 2m, keep_firing_for: 3m }\n  \
                         - { alert: Down, expr: up == 2 }\n- name: limited\n  limit: 1\n  rules:\n  \
                         - { record: y, expr: sum by (a) (up), labels: { a: '', b: c } }\n";
    let values = [1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 5, 5];
    let written = values.map(|value| value.to_string()).join(" ");
    let pair = Pair::new();
    pair.write("rules.yml", RULES);
    let mut differences = Vec::new();
    for half_minute in 0..2 * values.len() {
        let (at_s, value) = (30 * half_minute, values[half_minute / 2]);
        let text = format!(
            "rule_files: [rules.yml]\ntests:\n- interval: 1m\n  input_series: [ {{ series: 'up{{a=\"1\"}}', values: {written} }} ]\n  \
             alert_rule_test: [ {{ eval_time: {at_s}s, alertname: Down, exp_alerts: [ {{ exp_labels: {{ a: 1 }} }} ] }} ]\n  \
             promql_expr_test: [ {{ expr: y, eval_time: {at_s}s, exp_samples: [ {{ labels: 'y{{b=\"c\"}}', value: {value} }} ] }} ]\n"
        );
        pair.write("test.yml", &text);
        let difference = pair.difference(&["test", "rules", "test.yml"]);
        differences.extend(difference.map(|difference| format!("{text}{difference}")));
    }
    assert_none(&differences);
}

/// Two rules that make one series: whose samples are already there, at each of some minutes.
#[test]
fn a_sample_that_another_rule_has_made_is_a_fault_where_promtool_says_so() {
    const PAIRS: [&str; 9] = [
        "{ record: r, expr: vector(1) }\n  - { record: r, expr: vector(1) }",
        "{ record: r, expr: vector(1) }\n  - { record: r, expr: vector(2) }",
        "{ record: r, expr: x == 1 }\n  - { record: r, expr: x == 2 }",
        "{ record: r, expr: x == 2 }\n  - { record: r, expr: x == 1 }",
        "{ record: x, expr: vector(1) }",
        "{ record: x, expr: x }",
        "{ record: r, expr: h }\n  - { record: r, expr: h }",
        "{ record: r, expr: h }\n  - { record: r, expr: h * 2 }",
        "{ alert: A, expr: x == 1, for: 1m }\n  - { alert: A, expr: x, for: 2m }",
    ];
    let pair = Pair::new();
    let mut differences = Vec::new();
    for rules in PAIRS {
        pair.write("rules.yml", &format!("groups:\n- name: g\n  rules:\n  - {rules}\n"));
        for minute in 0..5 {
            let text = format!(
                "rule_files: [rules.yml]\ntests:\n- interval: 1m\n  input_series:\n  - {{ series: x, values: 1 2 1 1 2 }}\n  \
                 - {{ series: h, values: '{{{{count:1 sum:1 buckets:[1]}}}}x5' }}\n  \
                 promql_expr_test: [ {{ expr: count(r) > 1, eval_time: {minute}m }} ]\n"
            );
            pair.write("test.yml", &text);
            let difference = pair.difference(&["test", "rules", "test.yml"]);
            differences.extend(difference.map(|difference| format!("{rules}\n{text}{difference}")));
        }
    }
    assert_none(&differences);
}

#[test]
fn groups_are_chosen_by_name_and_verdicts_are_written_for_build_servers() {
    let pair = Pair::new();
    pair.write(
        "test.yml",
        "tests:\n- { name: good, promql_expr_test: [ { expr: 1, exp_samples: [ { value: 1 } ] } ] }\n\
         - { name: bad, promql_expr_test: [ { expr: 1, exp_samples: [ { value: 2 } ] } ] }\n",
    );
    for run in
        [&["--run=goo"][..], &["--run=bad"], &["--run=nothing"], &["--run=x", "--run=^g"], &["--diff"], &["--debug"]]
    {
        let arguments = [&["test", "rules"], run, &["test.yml"]].concat();
        assert_eq!(pair.difference(&arguments), None, "{run:?}");
    }
    pair.run(Path::new(env!("CARGO_BIN_EXE_dozor")), &["test", "rules", "--junit=out.xml", "test.yml"]);
    let xml = fs::read_to_string(pair.folder.path().join("out.xml")).expect("it was written");
    assert!(
        xml.contains("tests=\"2\" failures=\"1\"") && xml.contains("<testcase name=\"bad\">\n      <failure>"),
        "{xml}"
    );
}

#[test]
fn standard_input_is_checked_where_no_file_is_given() {
    use std::io::Write as _;
    let mut command = Command::new(env!("CARGO_BIN_EXE_dozor"));
    command.args(["check", "rules"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it can be started");
    child.stdin.take().expect("it is piped").write_all(SHOP.as_bytes()).expect("it is read");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("SUCCESS: 5 rules found"));
}
