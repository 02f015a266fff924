//! The past as a running server tells it, ours or a Prometheus: by range queries, many evaluations each.
//!
//! A rule's expression is asked with the group's interval as step, at the group's own instants, so each step is what an
//! evaluation saw. What rules record cannot be written there: a rule that reads such a series sees what the server has of it.

use std::cell::RefCell;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use serde_json::{Value as Json, json};
use tokio::runtime::Handle;

use super::host::{Past, Row};
use crate::model::Labels;
use crate::operate::asking::{self, ServerUrl};
use crate::query::{QueryError, Sampled, plan};
use crate::rules::{self, RuleSample, RuleSet};

/// A server that is asked.
pub(in crate::operate) struct Server {
    url: ServerUrl,
    runtime: Handle,
}

/// What it tells of the past.
pub(super) struct ToldPast<'a> {
    server: &'a Server,
    /// Why it makes no sense to go on: it does not answer.
    broken: RefCell<Option<anyhow::Error>>,
}

/// Why there is no answer.
enum Failure {
    /// The server says so of this query.
    Refused(String),
    /// Nobody answers, or in no language of ours.
    Broken(anyhow::Error),
}

impl Server {
    /// The server at this address. Its methods wait for answers, and are called where a thread may wait.
    pub(in crate::operate) fn new(url: ServerUrl, runtime: Handle) -> Server {
        Server { url, runtime }
    }

    fn ask(&self, path: &str, form: &[(&str, String)]) -> Result<Json, Failure> {
        let asked = self.runtime.block_on(asking::post_form(&self.url, path, form)).map_err(Failure::Broken)?;
        let (status, body) = asked;
        let broken = || anyhow!("{}{path} answers {status} and no JSON of Prometheus's form", self.url);
        let mut answer: Json = serde_json::from_slice(&body).map_err(|_| Failure::Broken(broken()))?;
        match (answer["status"].as_str(), answer["error"].as_str()) {
            (Some("success"), _) => Ok(answer["data"].take()),
            (_, Some(error)) => Err(Failure::Refused(error.to_owned())),
            _ => Err(Failure::Broken(broken())),
        }
    }

    /// The `data` of an answer. Fails when it is an error.
    pub(in crate::operate) fn data(&self, path: &str, form: &[(&str, String)]) -> anyhow::Result<Json> {
        self.ask(path, form).map_err(|failure| match failure {
            Failure::Refused(what) => anyhow!("the server at {} says: {what}", self.url),
            Failure::Broken(error) => error,
        })
    }

    /// As [`Server::data`], by GET.
    pub(in crate::operate) fn get(&self, path: &str) -> anyhow::Result<Json> {
        let (status, body) = self.runtime.block_on(asking::get(&self.url, path))?;
        let told = || format!("{}{path} answers {status} and no JSON of ours", self.url);
        let mut answer: Json = serde_json::from_slice(&body).with_context(told)?;
        match answer["error"].as_str() {
            Some(error) => Err(anyhow!("the server at {} says: {error}", self.url)),
            None => Ok(answer["data"].take()),
        }
    }

    /// The rules that it has in force and evaluates, as far as `is_wanted` says; the names of those that it feeds by the
    /// stream come beside them.
    pub(in crate::operate) fn rules(&self, is_wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<(RuleSet, Vec<String>)> {
        let told = self.get("/api/v1/rules?exclude_alerts=true")?;
        let (mut set, mut fed) = (RuleSet::default(), Vec::new());
        for group in told["groups"].as_array().into_iter().flatten() {
            let text = |key: &str| group[key].as_str().unwrap_or_default().to_owned();
            let mut rules = Vec::new();
            for rule in group["rules"].as_array().into_iter().flatten() {
                let name = rule["name"].as_str().unwrap_or_default();
                if is_fed(rule) && is_wanted(name) {
                    fed.push(name.to_owned());
                } else if !is_fed(rule) && is_wanted(name) {
                    rules.push(written(rule));
                }
            }
            if rules.is_empty() {
                continue;
            }
            let interval = format!("{}ms", milliseconds(&group["interval"]));
            let file = json!({"groups": [{"name": text("name"), "interval": interval, "limit": group["limit"],
                "rules": rules}]});
            let read = rules::load_text(text("file").as_ref(), &file.to_string());
            set.groups.extend(read.with_context(|| format!("rules of {}", self.url))?.groups);
        }
        Ok((set, fed))
    }
}

/// Whether a rule has an `anomaly` block: it is well, and was never evaluated.
fn is_fed(rule: &Json) -> bool {
    let never = rule["lastEvaluation"].as_str().is_some_and(|moment| moment.starts_with("0001-"));
    rule["health"] == "ok" && never
}

/// A rule as a file has it. Annotations are told to nobody here, and would be asked for.
fn written(rule: &Json) -> Json {
    let labels = if rule["labels"].is_object() { rule["labels"].clone() } else { json!({}) };
    match rule["type"].as_str() {
        Some("recording") => json!({"record": rule["name"], "expr": rule["query"], "labels": labels}),
        _ => json!({"alert": rule["name"], "expr": rule["query"], "labels": labels,
            "for": format!("{}ms", milliseconds(&rule["duration"])),
            "keep_firing_for": format!("{}ms", milliseconds(&rule["keepFiringFor"]))}),
    }
}

fn milliseconds(seconds: &Json) -> i64 {
    (seconds.as_f64().unwrap_or(0.0) * 1000.0).round() as i64
}

/// A moment in seconds.
pub(in crate::operate) fn seconds(ms: i64) -> String {
    format!("{}{}.{:03}", if ms < 0 { "-" } else { "" }, ms.abs() / 1000, ms.abs() % 1000)
}

impl<'a> ToldPast<'a> {
    pub(super) fn new(server: &'a Server) -> ToldPast<'a> {
        ToldPast { server, broken: RefCell::default() }
    }

    /// Why it was given up, if it was.
    pub(super) fn broken(self) -> Option<anyhow::Error> {
        self.broken.into_inner()
    }

    fn ask(&self, path: &str, form: &[(&str, String)]) -> Result<Json, QueryError> {
        self.server.ask(path, form).map_err(|failure| match failure {
            Failure::Refused(what) => QueryError::Execution(what),
            Failure::Broken(error) => {
                let what = error.to_string();
                self.broken.borrow_mut().get_or_insert(error);
                QueryError::Internal(what)
            }
        })
    }
}

impl Past for ToldPast<'_> {
    fn instant(&self, query: &str, time_ms: i64) -> Result<Vec<RuleSample>, QueryError> {
        let data = self.ask("/api/v1/query", &[("query", query.to_owned()), ("time", seconds(time_ms))])?;
        if data["resultType"] == "scalar" {
            let value = Sampled::Number(sample(&data["result"]).map_or(f64::NAN, |(_, value)| value));
            return Ok(vec![RuleSample { labels: Arc::new(Labels::empty()), value }]);
        }
        let rows = data["result"].as_array().into_iter().flatten();
        rows.map(|row| {
            // A histogram is there, and counts as nothing, as in an alert.
            let value = sample(&row["value"]).map_or(0.0, |(_, value)| value);
            Ok(RuleSample { labels: labels(&row["metric"])?, value: Sampled::Number(value) })
        })
        .collect()
    }

    fn range(&self, query: &str, from_ms: i64, to_ms: i64, step_ms: i64) -> Result<Vec<Row>, QueryError> {
        let form = [
            ("query", query.to_owned()),
            ("start", seconds(from_ms)),
            ("end", seconds(to_ms)),
            ("step", seconds(step_ms)),
        ];
        let data = self.ask("/api/v1/query_range", &form)?;
        let rows = data["result"].as_array().into_iter().flatten();
        rows.map(|row| {
            let numbers = row["values"].as_array().into_iter().flatten().filter_map(sample);
            let moment = |pair: &Json| sample(&json!([pair[0], "0"]));
            let histograms = row["histograms"].as_array().into_iter().flatten().filter_map(moment);
            let mut samples: Vec<(i64, f64)> = numbers.chain(histograms).collect();
            samples.sort_by_key(|(at_ms, _)| *at_ms);
            let (times_ms, values) = samples.into_iter().map(|(at_ms, value)| (at_ms, Sampled::Number(value))).unzip();
            Ok(Row { labels: labels(&row["metric"])?, times_ms, values })
        })
        .collect()
    }

    /// Nothing is written to somebody else's server.
    fn store(&mut self, _time_ms: i64, _samples: &[RuleSample]) -> Result<(), String> {
        Ok(())
    }

    fn is_complete_for(&self, query: &str) -> bool {
        plan(query).is_ok_and(|plan| plan.reaches_back_only())
    }

    fn is_broken(&self) -> bool {
        self.broken.borrow().is_some()
    }
}

/// `[seconds, "value"]`, in ms.
pub(in crate::operate) fn sample(pair: &Json) -> Option<(i64, f64)> {
    let at_ms = (pair[0].as_f64()? * 1000.0).round() as i64;
    let value = match pair[1].as_str()? {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().ok()?,
    };
    Some((at_ms, value))
}

fn labels(metric: &Json) -> Result<Arc<Labels>, QueryError> {
    let pairs = metric.as_object().into_iter().flatten();
    let pairs: Vec<(&str, &str)> = pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or(""))).collect();
    Labels::from_pairs(pairs).map(Arc::new).map_err(|error| QueryError::Internal(error.to_string()))
}
