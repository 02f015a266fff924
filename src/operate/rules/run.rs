//! One group of a test file at work.
//!
//! ```text
//! start ── evaluation_interval ── … ── the last eval_time
//!   samples appear ─► all groups in their order ─► alerts that are asked about up to the next evaluation are compared
//!                                                                             then: expressions
//! ```

use std::collections::BTreeMap;

use super::compare::{SeenAlert, SeenSample, samples_are_alike, shown_alerts, shown_samples};
use super::laboratory::Laboratory;
use super::test_file::{AlertTest, ExprTest, TestFile, TestGroup};
use crate::detect::{Kind, Transition};
use crate::model::Labels;
use crate::notify::Alert;
use crate::query::{Sampled, parse_series, parse_values};
use crate::rules::{
    AlertState, GroupState, Health, Rule, RuleHost, RuleSample, RuleSet, Surroundings, parse_duration_ms,
};

/// Evaluation interval of files that give none, in ms.
const INTERVAL_MS_DEFAULT: i64 = 60_000;
/// Most evaluations of one group of tests.
const EVALUATIONS_COUNT_MAX: i64 = 1_000_000;

/// What holds for all groups of a file.
pub(super) struct Setting<'a> {
    pub rules: &'a RuleSet,
    pub interval_ms: i64,
    pub order: BTreeMap<&'a str, usize>,
    pub is_fuzzy: bool,
    pub shows_difference: bool,
    pub shows_data: bool,
}

impl<'a> Setting<'a> {
    /// Fails with what is wrong with the file itself.
    pub(super) fn of(file: &'a TestFile, rules: &'a RuleSet) -> Result<Setting<'a>, String> {
        let mut order = BTreeMap::new();
        for (index, name) in file.group_eval_order.iter().enumerate() {
            if order.insert(name.as_str(), index).is_some() {
                return Err(format!("group name repeated in evaluation order: {name}"));
            }
        }
        let interval_ms = match duration_ms(file.evaluation_interval.as_ref())? {
            0 => INTERVAL_MS_DEFAULT,
            given => given,
        };
        let is_fuzzy = file.fuzzy_compare;
        Ok(Setting { rules, interval_ms, order, is_fuzzy, shows_difference: false, shows_data: false })
    }
}

fn duration_ms(given: Option<&String>) -> Result<i64, String> {
    given.map_or(Ok(0), |text| parse_duration_ms(text))
}

/// Alerts of rules with an `anomaly` block that fire, by watch, direction and labels.
type Anomalies = BTreeMap<(usize, String, Labels), Alert>;

/// A group of tests while it runs.
struct Run<'a> {
    group: &'a TestGroup,
    setting: &'a Setting<'a>,
    start_ms: i64,
    surroundings: Surroundings,
    laboratory: Laboratory,
    states: Vec<GroupState>,
    anomalies: Anomalies,
    failures: Vec<String>,
}

/// Runs a group and returns everything that was not as it should be.
pub(super) fn run(group: &TestGroup, setting: &Setting<'_>) -> Vec<String> {
    let run = Run::new(group, setting).and_then(|mut run| {
        run.evaluate()?;
        run.check_expressions();
        if setting.shows_data {
            eprintln!("DEBUG: Dump of all data (input_series and rules):\n{}", run.laboratory.dump());
        }
        Ok(run.failures)
    });
    run.unwrap_or_else(|mut failures| {
        failures.retain(|failure| !failure.is_empty());
        failures
    })
}

impl<'a> Run<'a> {
    fn new(group: &'a TestGroup, setting: &'a Setting<'a>) -> Result<Run<'a>, Vec<String>> {
        let one = |what: String| vec![what];
        let start_ms = start_ms(group.start_timestamp.as_deref()).map_err(one)?;
        let interval_ms = match duration_ms(group.interval.as_ref()).map_err(one)? {
            0 => setting.interval_ms,
            given => given,
        };
        let coming = input(group, start_ms, interval_ms).map_err(one)?;
        if let Some(unnamed) = group.alert_rule_test.iter().find(|test| test.alertname.is_empty()) {
            let of_group = group.name.as_ref().map_or_else(String::new, |name| format!(" (in TestGroup {name})"));
            let at = unnamed.eval_time.as_deref().unwrap_or("0s");
            return Err(one(format!(
                "an item under alert_rule_test misses required attribute alertname at eval_time {at}{of_group}"
            )));
        }
        let mut groups = setting.rules.groups.clone();
        groups.sort_by_key(|group| setting.order.get(group.name.as_str()).copied().unwrap_or(0));
        let external_labels = Labels::from_pairs(&group.external_labels).map_err(|error| one(error.to_string()))?;
        Ok(Run {
            group,
            setting,
            start_ms,
            surroundings: Surroundings {
                external_url: group.external_url.clone().unwrap_or_default(),
                external_labels,
                ..Surroundings::default()
            },
            laboratory: Laboratory::new(coming, setting.rules, setting.interval_ms),
            states: groups.into_iter().map(GroupState::new).collect(),
            anomalies: Anomalies::new(),
            failures: Vec::new(),
        })
    }

    /// Evaluates all rules up to the last moment that a test asks about.
    fn evaluate(&mut self) -> Result<(), Vec<String>> {
        let group = self.group;
        let mut tests: BTreeMap<i64, Vec<&AlertTest>> = BTreeMap::new();
        let mut last_ms = 0;
        for test in &group.alert_rule_test {
            let at_ms = duration_ms(test.eval_time.as_ref()).map_err(|what| vec![what])?;
            tests.entry(at_ms).or_default().push(test);
            last_ms = last_ms.max(at_ms);
        }
        for test in &group.promql_expr_test {
            last_ms = last_ms.max(duration_ms(test.eval_time.as_ref()).map_err(|what| vec![what])?);
        }
        let interval_ms = self.setting.interval_ms;
        if last_ms / interval_ms >= EVALUATIONS_COUNT_MAX {
            let what = format!("{} evaluations are more than {EVALUATIONS_COUNT_MAX}", last_ms / interval_ms);
            return Err(vec![what + ": take a longer evaluation_interval or earlier moments"]);
        }
        let mut since_start_ms = 0;
        while since_start_ms <= last_ms {
            self.evaluate_at(since_start_ms)?;
            for (_, tests) in tests.range(since_start_ms..since_start_ms + interval_ms) {
                tests.iter().for_each(|test| self.check_alerts(test));
            }
            since_start_ms += interval_ms;
        }
        Ok(())
    }

    /// A rule that fails ends the group.
    fn evaluate_at(&mut self, since_start_ms: i64) -> Result<(), Vec<String>> {
        let at_ms = self.start_ms + since_start_ms;
        for transition in self.laboratory.reach(at_ms) {
            self.note(&transition);
        }
        let mut faults = Vec::new();
        for state in &mut self.states {
            state.evaluate(at_ms, &self.surroundings, &mut self.laboratory);
            for (rule, state) in state.group().rules.iter().zip(state.rules()) {
                let name = match rule {
                    Rule::Recording(rule) => &rule.record,
                    Rule::Alerting(rule) => &rule.alert,
                    Rule::Anomaly(_) => continue,
                };
                if let Health::Bad(why) = state.health() {
                    faults.push(format!("    rule: {name}, time: {}, err: {why}", told_duration(at_ms)));
                }
            }
        }
        if faults.is_empty() {
            return Ok(());
        }
        let mut failures = std::mem::take(&mut self.failures);
        failures.extend(faults);
        Err(failures)
    }

    fn note(&mut self, transition: &Transition) {
        let ask = |query: &str| {
            let rows = self.laboratory.ask(query, transition.at_ms).map_err(|error| error.to_string())?;
            let row = |row: RuleSample| (Labels::clone(&row.labels), row.value.number().unwrap_or(0.0));
            Ok(rows.into_iter().map(row).collect())
        };
        let mut alert = self.setting.rules.alert_with(transition, &self.surroundings.external_url, &ask);
        // What the rule itself says: the figures that detection adds nobody can foresee to the last digit.
        let rule = &self.setting.rules.rules[transition.watch];
        alert.annotations.retain(|(name, _)| rule.annotations().any(|(own, _)| own == name));
        let key = (transition.watch, format!("{:?}", transition.direction), alert.labels.clone());
        match transition.kind {
            Kind::Firing => _ = self.anomalies.insert(key, alert),
            Kind::Resolved => _ = self.anomalies.remove(&key),
        }
    }

    /// Alerts of a name that fire now, of all rules.
    fn firing(&self, name: &str) -> Vec<SeenAlert> {
        let mut firing = Vec::new();
        for state in &self.states {
            for (rule, state) in state.group().rules.iter().zip(state.rules()) {
                if !matches!(rule, Rule::Alerting(rule) if rule.alert == name) {
                    continue;
                }
                let alerts = state.alerts().filter(|alert| alert.state == AlertState::Firing);
                firing.extend(alerts.map(|alert| SeenAlert::of(&alert.labels, &alert.annotations)));
            }
        }
        let of_name = |(watch, ..): &&(usize, String, Labels)| self.setting.rules.rules[*watch].alert == name;
        let anomalies = self.anomalies.iter().filter(|(key, _)| of_name(key));
        firing.extend(anomalies.map(|(_, alert)| SeenAlert::of(&alert.labels, &alert.annotations)));
        firing.sort();
        firing
    }

    fn check_alerts(&mut self, test: &AlertTest) {
        let mut expected: Vec<SeenAlert> =
            test.exp_alerts.iter().map(|alert| SeenAlert::expected(&test.alertname, alert)).collect();
        expected.sort();
        let got = self.firing(&test.alertname);
        if expected != got {
            let name = self.group.name.as_ref().map_or_else(String::new, |name| format!("    name: {name},\n"));
            let at = test.eval_time.as_deref().unwrap_or("0s");
            let shown = shown_alerts(&expected, &got, self.setting.shows_difference);
            self.failures.push(format!("{name}    alertname: {}, time: {at}, \n{shown}", test.alertname));
        }
    }

    fn check_expressions(&mut self) {
        for test in &self.group.promql_expr_test {
            if let Err(what) = self.check_expression(test) {
                let at = test.eval_time.as_deref().unwrap_or("0s");
                self.failures.push(format!("    expr: {:?}, time: {at}{what}", test.expr));
            }
        }
    }

    fn check_expression(&self, test: &ExprTest) -> Result<(), String> {
        let failed = |what: String| format!(", err: {what}");
        let at_ms = self.start_ms + duration_ms(test.eval_time.as_ref()).map_err(failed)?;
        let answer = self.laboratory.answer(&test.expr, at_ms).map_err(|error| failed(error.to_string()))?;
        let mut got: Vec<SeenSample> = answer.iter().map(SeenSample::of).collect();
        let expected: Result<Vec<SeenSample>, String> = test.exp_samples.iter().map(SeenSample::expected).collect();
        let mut expected = expected.map_err(failed)?;
        got.sort_by(|a, b| a.labels.cmp(&b.labels));
        expected.sort_by(|a, b| a.labels.cmp(&b.labels));
        if samples_are_alike(&expected, &got, self.setting.is_fuzzy) {
            return Ok(());
        }
        Err(format!(",\n        exp: {}\n        got: {}", shown_samples(&expected), shown_samples(&got)))
    }
}

/// The samples of the input series, by the moment at which they appear. Of a series that is given twice, the last counts.
fn input(group: &TestGroup, start_ms: i64, interval_ms: i64) -> Result<BTreeMap<i64, Vec<(Labels, Sampled)>>, String> {
    let mut by_labels = BTreeMap::new();
    for input in &group.input_series {
        let told = |what: String| format!("input_series {:?}: {what}", input.series);
        let (labels, rest) = parse_series(&input.series).map_err(|error| told(error.to_string()))?;
        if !rest.trim().is_empty() {
            return Err(told(format!("{} is too much", rest.trim())));
        }
        if labels.is_empty() {
            return Err(told("a series has a name or labels".to_owned()));
        }
        let values = parse_values(&input.values).map_err(|error| told(error.to_string()))?;
        for written in values.iter().flatten() {
            if let Sampled::Histogram(histogram) = &written.value {
                histogram.check().map_err(|error| told(error.to_string()))?;
            }
        }
        by_labels.insert(labels, values);
    }
    let mut coming: BTreeMap<i64, Vec<(Labels, Sampled)>> = BTreeMap::new();
    for (labels, values) in by_labels {
        for (value, index) in values.into_iter().zip(0_i64..) {
            if let Some(written) = value {
                let at_ms = start_ms + index * interval_ms;
                coming.entry(at_ms).or_default().push((labels.clone(), written.value));
            }
        }
    }
    Ok(coming)
}

/// A moment in RFC 3339 or in seconds since 1970, in ms; none is 1970.
fn start_ms(given: Option<&str>) -> Result<i64, String> {
    let Some(text) = given else { return Ok(0) };
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.abs() < 1e11
    {
        return Ok((seconds * 1000.0).round() as i64);
    }
    let moment = text.parse::<jiff::Timestamp>();
    moment.map(|moment| moment.as_millisecond()).map_err(|_| format!("cannot parse {text:?} to a valid timestamp"))
}

/// `1h2m3s`.
fn told_duration(ms: i64) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, (ms % 60_000) as f64 / 1000.0);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}
