//! Groups of rules, as they were read: what is asked, how often, and what becomes of the answer.
//!
//! A group `checkout` with `interval: 1m` is evaluated once a minute, at a second that follows from its name and its
//! file ([`RuleGroup::slot_ms`]): so ten groups of one interval do not ask at the same moment, and a restart goes on at
//! the same second. Its rules run in their order, each at the same moment.

use std::path::PathBuf;

use xxhash_rust::xxh64::xxh64;

use crate::template::Template;

/// Rules that are evaluated one after the other, every `interval`.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleGroup {
    /// The file that it stands in, as it was given.
    pub file: PathBuf,
    /// Its name, unique in its file.
    pub name: String,
    /// How often it is evaluated, in ms; none where it has the server's default.
    pub interval_ms: Option<i64>,
    /// How far before the moment of an evaluation it asks and records, in ms; none where it has the server's default.
    pub query_offset_ms: Option<i64>,
    /// Most alerts or series of one of its rules; 0 is no limit.
    pub limit: usize,
    /// In the order in which they run.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// An expression whose value becomes a series.
    Recording(RecordingRule),
    /// An expression each of whose series is an alert.
    Alerting(AlertingRule),
    /// One that is fed by the stream: its index in [`super::RuleSet::rules`]. Evaluation steps over it.
    Anomaly(usize),
}

/// A rule that records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingRule {
    /// Name of the metric that it makes.
    pub record: String,
    /// The expression as it was written.
    pub expr: String,
    /// The same as Prometheus prints it: in one line, without comments.
    pub query: String,
    /// Labels that it sets, those of its group among them, sorted by name; an empty value removes one.
    pub labels: Vec<(String, String)>,
}

/// A rule that alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertingRule {
    /// The alert's name.
    pub alert: String,
    /// The expression as it was written.
    pub expr: String,
    /// The same as Prometheus prints it: in one line, without comments.
    pub query: String,
    /// How long a series must be there before its alert fires, in ms.
    pub for_ms: i64,
    /// How long an alert goes on firing when its series is gone, in ms.
    pub keep_firing_for_ms: i64,
    pub(super) labels: Vec<(String, Template)>,
    pub(super) annotations: Vec<(String, Template)>,
}

impl RuleGroup {
    /// Whether evaluation has anything to do here.
    pub fn is_evaluated(&self) -> bool {
        self.rules.iter().any(|rule| !matches!(rule, Rule::Anomaly(_)))
    }

    /// The last moment up to `now_ms` at which this group is evaluated every `interval_ms`, in ms since 1970 UTC. Where
    /// in the interval follows from its name and file, by the same function as Prometheus's.
    pub fn slot_ms(&self, interval_ms: i64, now_ms: i64) -> i64 {
        assert!(interval_ms > 0, "an interval of {interval_ms} ms");
        let interval_ns = u64::try_from(interval_ms).expect("it is positive").saturating_mul(1_000_000);
        let offset_ms = i64::try_from(self.hash() % interval_ns / 1_000_000).expect("it is less than the interval");
        now_ms - (now_ms - offset_ms).rem_euclid(interval_ms)
    }

    /// Of the label set `{file, name}`, each piece behind its length.
    fn hash(&self) -> u64 {
        let mut bytes = Vec::new();
        let file = self.file.to_string_lossy();
        for piece in ["file", &file, "name", &self.name] {
            append_length(&mut bytes, piece.len());
            bytes.extend_from_slice(piece.as_bytes());
        }
        xxh64(&bytes, 0)
    }
}

/// A length up to 254 in one byte, a longer one as 255 and three bytes, little-endian.
fn append_length(bytes: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < 255 => bytes.push(short),
        _ => {
            bytes.push(255);
            bytes.extend_from_slice(&(length as u32).to_le_bytes()[..3]);
        }
    }
}

impl AlertingRule {
    /// Names of the labels that the rule and its group add, each with its template as it was written.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, template)| (name.as_str(), template.text()))
    }

    /// Names of the annotations, each with its template as it was written.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.annotations.iter().map(|(name, template)| (name.as_str(), template.text()))
    }
}

impl Rule {
    /// What says that a rule of a new file is the one of the old: kind, name and labels, not the expression. State goes
    /// over between the two.
    pub(super) fn identity(&self) -> Option<RuleIdentity> {
        let owned = |pairs: &mut dyn Iterator<Item = (&str, &str)>| {
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        match self {
            Rule::Recording(rule) => {
                Some(RuleIdentity { is_alert: false, name: rule.record.clone(), labels: rule.labels.clone() })
            }
            Rule::Alerting(rule) => {
                Some(RuleIdentity { is_alert: true, name: rule.alert.clone(), labels: owned(&mut rule.labels()) })
            }
            Rule::Anomaly(_) => None,
        }
    }
}

/// See [`Rule::identity`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct RuleIdentity {
    pub is_alert: bool,
    pub name: String,
    pub labels: Vec<(String, String)>,
}
