//! Which rules `/api/v1/rules` is to tell: by type, names, files and labels, and in pages of groups.
//!
//! `?type=alert&rule_group[]=checkout&group_limit=10` gives the first ten groups named `checkout` that have an alert,
//! and a token for those behind them, to be given back as `group_next_token`.

use std::num::IntErrorKind;

use super::reply::ApiError;
use super::request::Parameters;
use crate::model::{Labels, Matcher};
use crate::query::parse_matchers;
use crate::rules::{GroupReport, Rule, RuleGroup, RulesReport};

/// What a client asks for.
pub(super) struct RuleFilter<'a> {
    alerts: bool,
    records: bool,
    names: Vec<&'a str>,
    groups: Vec<&'a str>,
    files: Vec<&'a str>,
    /// One of these sets has to be satisfied.
    matchers: Vec<Vec<Matcher>>,
    excludes_alerts: bool,
    groups_max: usize,
    token: Option<&'a str>,
}

/// The groups of an answer, each with the indexes of its rules that are wanted.
pub(super) struct Page<'a> {
    pub(super) groups: Vec<(&'a GroupReport, Vec<usize>)>,
    /// Where the next page begins, if there is one.
    pub(super) next_token: Option<String>,
}

impl<'a> RuleFilter<'a> {
    pub(super) fn read(parameters: &'a Parameters) -> Result<RuleFilter<'a>, ApiError> {
        let kind = parameters.get("type").unwrap_or("").to_lowercase();
        if !["", "alert", "record"].contains(&kind.as_str()) {
            return Err(ApiError::parameter("type", format!("not supported value {kind:?}")));
        }
        let matchers = parameters.all("match[]").map(parse_matchers).collect::<Result<Vec<_>, _>>();
        let (groups_max, token) = pages(parameters)?;
        Ok(RuleFilter {
            alerts: kind != "record",
            records: kind != "alert",
            names: parameters.all("rule_name[]").collect(),
            groups: parameters.all("rule_group[]").collect(),
            files: parameters.all("file[]").collect(),
            matchers: matchers.map_err(|error| ApiError::bad_data(error.to_string()))?,
            excludes_alerts: excludes_alerts(parameters)?,
            groups_max,
            token,
        })
    }

    /// Whether the alerts of rules are left out.
    pub(super) fn excludes_alerts(&self) -> bool {
        self.excludes_alerts
    }

    pub(super) fn page<'r>(&self, report: &'r RulesReport) -> Result<Page<'r>, ApiError> {
        let all = report.groups.iter().map(AsRef::as_ref);
        let mut groups =
            all.skip_while(|group: &&GroupReport| self.token.is_some_and(|token| token_of(&group.group) != token));
        let mut page = Page { groups: Vec::new(), next_token: None };
        let first = groups.next();
        if let (Some(token), None) = (self.token, first) {
            let what = format!("invalid group_next_token '{token}'. were rule groups changed?");
            return Err(ApiError::parameter("group_next_token", what));
        }
        for group in first.into_iter().chain(groups).filter(|group| self.wants_group(&group.group)) {
            let indexes: Vec<usize> =
                (0..group.rules.len()).filter(|&index| self.wants(&group.group.rules[index], report)).collect();
            if indexes.is_empty() {
                continue;
            }
            if page.groups.len() == self.groups_max {
                page.next_token = Some(token_of(&group.group));
                break;
            }
            page.groups.push((group, indexes));
        }
        Ok(page)
    }

    fn wants_group(&self, group: &RuleGroup) -> bool {
        let has = |wanted: &[&str], name: &str| wanted.is_empty() || wanted.contains(&name);
        has(&self.groups, &group.name) && has(&self.files, &group.file.to_string_lossy())
    }

    fn wants(&self, rule: &Rule, report: &RulesReport) -> bool {
        let (is_alert, name) = match rule {
            Rule::Recording(rule) => (false, &rule.record),
            Rule::Alerting(rule) => (true, &rule.alert),
            Rule::Anomaly(index) => (true, &report.set.rules[*index].alert),
        };
        let is_wanted = if is_alert { self.alerts } else { self.records };
        let is_named = self.names.is_empty() || self.names.contains(&name.as_str());
        is_wanted && is_named && self.satisfies(rule, report)
    }

    fn satisfies(&self, rule: &Rule, report: &RulesReport) -> bool {
        if self.matchers.is_empty() {
            return true;
        }
        let labels = labels_of(rule, report);
        let holds = |matcher: &Matcher| matcher.matches(labels.get(matcher.name()).unwrap_or(""));
        self.matchers.iter().any(|set| set.iter().all(holds))
    }
}

/// The labels that a rule sets, as they are written. More of them than a series may have are none.
fn labels_of(rule: &Rule, report: &RulesReport) -> Labels {
    let labels = match rule {
        Rule::Recording(rule) => Labels::from_pairs(rule.labels.iter().map(|(name, value)| (name, value))),
        Rule::Alerting(rule) => Labels::from_pairs(rule.labels()),
        Rule::Anomaly(index) => Labels::from_pairs(report.set.rules[*index].labels()),
    };
    labels.unwrap_or_default()
}

/// Names a group in a page's end.
fn token_of(group: &RuleGroup) -> String {
    let name = format!("{};{}", group.file.display(), group.name);
    format!("{:016x}", Labels::hash_bytes(name.as_bytes()))
}

fn pages(parameters: &Parameters) -> Result<(usize, Option<&str>), ApiError> {
    let given = |name| parameters.get(name).filter(|text| !text.is_empty());
    let invalid = |what: String| Err(ApiError::parameter("group_limit", what));
    match (given("group_limit"), given("group_next_token")) {
        (None, None) => Ok((usize::MAX, None)),
        (None, Some(_)) => {
            let what = "group_limit needs to be present in order to paginate over the groups";
            Err(ApiError::parameter("group_next_token", what))
        }
        (Some(text), token) => match text.parse::<i32>() {
            Err(error) => {
                let why = match error.kind() {
                    IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                    _ => "invalid syntax",
                };
                let parsed = format!("strconv.ParseInt: parsing {text:?}: {why}");
                invalid(format!("group_limit needs to be a valid number: {parsed}"))
            }
            Ok(limit) => match usize::try_from(limit) {
                Ok(limit) if limit > 0 => Ok((limit, token)),
                _ => invalid("group_limit needs to be greater than 0".to_owned()),
            },
        },
    }
}

/// In the words that Go reads as true and false.
fn excludes_alerts(parameters: &Parameters) -> Result<bool, ApiError> {
    match parameters.get("exclude_alerts").unwrap_or("") {
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        other => {
            let what = format!("error converting exclude_alerts: strconv.ParseBool: parsing {other:?}: invalid syntax");
            Err(ApiError::parameter("exclude_alerts", what))
        }
    }
}
