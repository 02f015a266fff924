//! One incident: its signals and everything that was said and done about it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::stored;
use crate::notify::{Alert, CriticalPath, SilencedBy};

/// How bad a severity is, the worst first; names that are not here are between the warnings and the rest.
const SEVERITIES: [&[&str]; 3] =
    [&["critical", "page", "emergency", "p1"], &["error", "major", "high", "p2"], &["warning", "warn", "p3"]];
const MILD: [&str; 3] = ["info", "none", "debug"];

/// Trouble of one cause, from its onset to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// As notifications carry it.
    #[serde(skip)]
    pub id: String,
    /// When something last happened to it, in ms since 1970 UTC.
    #[serde(skip)]
    pub changed_ms: i64,
    /// When its first signal was taken, in ms since 1970 UTC.
    pub opened_ms: i64,
    /// Its alerts, in the order in which they were taken.
    #[serde(default)]
    pub signals: Vec<Signal>,
    /// When a receiver was first tried, in ms since 1970 UTC.
    #[serde(default)]
    pub first_attempt_ms: Option<i64>,
    /// When a receiver first had it, in ms since 1970 UTC.
    #[serde(default)]
    pub first_notified_ms: Option<i64>,
    /// Who took it last; see [`Incident::acknowledgement`].
    #[serde(default)]
    pub acknowledged: Option<Acknowledgement>,
    /// What people said, in order.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// Who was told for want of an acknowledgement, in order.
    #[serde(default)]
    pub escalations: Vec<Escalated>,
    /// The first attempts, in order; see the counts for all.
    #[serde(default)]
    pub deliveries: Vec<Delivery>,
    /// Attempts that a receiver took.
    #[serde(default)]
    pub delivered_count: u64,
    /// Attempts that failed and were repeated.
    #[serde(default)]
    pub failed_count: u64,
    /// Notifications that a receiver will not be told.
    #[serde(default)]
    pub given_up_count: u64,
    /// Jobs whose samples were missing when a signal of theirs ended, and still are.
    #[serde(default)]
    pub unknown_jobs: BTreeSet<String>,
}

/// One alert of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// What fires, or has ended. Of an incident with very many signals the later ones lack annotations and most labels.
    #[serde(serialize_with = "stored::write_alert", deserialize_with = "stored::read_alert")]
    pub alert: Alert,
    /// Of all its labels.
    #[serde(serialize_with = "stored::write_digits", deserialize_with = "stored::read_digits")]
    pub fingerprint: u64,
    /// When it was taken, in ms since 1970 UTC.
    pub taken_ms: i64,
    /// What was seen and expected, once it was looked up.
    #[serde(default)]
    pub figures: Option<Figures>,
    /// What held it back when it began. Of an incident with very many signals the later ones lack the creator and the comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_by: Option<SilencedBy>,
}

/// What was seen of a signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The value that alerted.
    pub value: Option<f64>,
    /// What was expected in its place; nothing where a limit decided.
    pub expected: Option<f64>,
    /// Values and what was expected of them, in the order of time, at most sixty.
    #[serde(default)]
    pub chart: Vec<ChartPoint>,
}

/// Time in ms since 1970 UTC, value, expected value.
pub type ChartPoint = (i64, Option<f64>, Option<f64>);

/// Somebody takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// When, in ms since 1970 UTC.
    pub at_ms: i64,
}

/// Something that somebody wants to be remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When, in ms since 1970 UTC.
    pub at_ms: i64,
    /// Who.
    pub by: String,
    /// What.
    pub text: String,
}

/// Somebody else was told, for nobody had acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalated {
    /// When, in ms since 1970 UTC.
    pub at_ms: i64,
    /// Which step of the escalation, counted from 1.
    pub step: usize,
    /// Who was told.
    pub receiver: String,
}

/// One attempt to tell a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// When it was answered or failed, in ms since 1970 UTC.
    pub at_ms: i64,
    /// Name of the receiver.
    pub receiver: String,
    /// Id of the message.
    pub id: String,
    /// What came of it.
    pub result: DeliveryResult,
    /// What was answered, or why nothing was.
    pub reason: String,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryResult {
    /// The receiver has it.
    Delivered,
    /// It is tried again.
    Failed,
    /// It is not tried again.
    GivenUp,
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It lasts, and nobody has taken it.
    Open,
    /// It lasts, and somebody has taken it.
    Acknowledged,
    /// Its signals ended, but samples are missing that would show it.
    Unknown,
    /// It is over.
    Resolved,
}

impl State {
    /// All of them.
    pub const ALL: [State; 4] = [State::Open, State::Acknowledged, State::Unknown, State::Resolved];

    /// As the interface has it.
    pub fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Acknowledged => "acknowledged",
            State::Unknown => "unknown",
            State::Resolved => "resolved",
        }
    }

    /// The state of this name.
    pub fn of_name(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl DeliveryResult {
    /// As the interface has it.
    pub fn name(self) -> &'static str {
        match self {
            DeliveryResult::Delivered => "delivered",
            DeliveryResult::Failed => "failed",
            DeliveryResult::GivenUp => "given up",
        }
    }
}

impl Signal {
    /// A label of the alert; empty where it has none.
    pub fn label(&self, name: &str) -> &str {
        self.alert.labels.get(name).unwrap_or("")
    }

    /// The text of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.alert.annotations.iter().find(|(own, _)| own == name).map(|(_, text)| text.as_str())
    }

    /// How bad it is: 0 is the worst.
    fn rank(&self) -> usize {
        let severity = self.label("severity");
        let known = SEVERITIES.iter().position(|names| names.contains(&severity));
        known.unwrap_or(if MILD.contains(&severity) { SEVERITIES.len() + 1 } else { SEVERITIES.len() })
    }
}

impl Incident {
    pub(super) fn new(id: &str, opened_ms: i64) -> Incident {
        Incident {
            id: id.to_owned(),
            changed_ms: opened_ms,
            opened_ms,
            signals: Vec::new(),
            first_attempt_ms: None,
            first_notified_ms: None,
            acknowledged: None,
            notes: Vec::new(),
            escalations: Vec::new(),
            deliveries: Vec::new(),
            delivered_count: 0,
            failed_count: 0,
            given_up_count: 0,
            unknown_jobs: BTreeSet::new(),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        match (self.is_firing(), self.acknowledgement()) {
            (true, Some(_)) => State::Acknowledged,
            (true, None) => State::Open,
            (false, _) if !self.unknown_jobs.is_empty() => State::Unknown,
            (false, _) => State::Resolved,
        }
    }

    /// Whether one of its signals fires.
    pub fn is_firing(&self) -> bool {
        self.signals.iter().any(|signal| signal.alert.ends_at_ms.is_none())
    }

    /// Who takes it. An acknowledgement is of what was known then: when a signal comes that is worse than all that were
    /// there, nobody has taken the incident until somebody acknowledges once more.
    pub fn acknowledgement(&self) -> Option<&Acknowledgement> {
        self.acknowledged.as_ref().filter(|acknowledged| self.worst_since_ms() <= acknowledged.at_ms)
    }

    /// When it became as bad as it is, in ms since 1970 UTC: when the first of its worst signals was taken.
    pub fn worst_since_ms(&self) -> i64 {
        let worst = self.signals.iter().map(Signal::rank).min();
        let since = self.signals.iter().filter(|signal| Some(signal.rank()) == worst).map(|signal| signal.taken_ms);
        since.min().unwrap_or(self.opened_ms)
    }

    /// The worst severity of its signals; empty where none says it.
    pub fn severity(&self) -> &str {
        self.signals.iter().min_by_key(|signal| signal.rank()).map_or("", |signal| signal.label("severity"))
    }

    /// When the trouble began, in ms since 1970 UTC, by the times of the samples.
    pub fn onset_ms(&self) -> i64 {
        self.signals.iter().map(|signal| signal.alert.began_ms()).min().unwrap_or(self.opened_ms)
    }

    /// When it ended, in ms since 1970 UTC; `None` while it lasts, or while that is not known.
    pub fn resolved_ms(&self) -> Option<i64> {
        let ends = self.signals.iter().filter_map(|signal| signal.alert.ends_at_ms).max();
        ends.filter(|_| self.state() == State::Resolved)
    }

    /// How long it lasted, or has until now, in ms.
    pub fn duration_ms(&self, now_ms: i64) -> i64 {
        self.resolved_ms().unwrap_or(now_ms).saturating_sub(self.onset_ms()).max(0)
    }

    /// How far the samples that told of it were behind when they did, in ms.
    pub fn lag_ms(&self) -> i64 {
        self.signals.first().map_or(0, |first| first.taken_ms.saturating_sub(first.alert.starts_at_ms).max(0))
    }

    /// The signal that likely is the cause.
    pub fn root(&self, path: &CriticalPath) -> Option<&Signal> {
        let root = path.root(self.signals.iter().map(|signal| &signal.alert))?;
        self.signals.iter().find(|signal| std::ptr::eq(&raw const signal.alert, root))
    }

    /// What it is about, in a line: the summary of its root, or the alert's name.
    pub fn title(&self, path: &CriticalPath) -> String {
        let Some(root) = self.root(path) else { return self.id.clone() };
        let summary = root.annotation("summary").or_else(|| root.annotation("title")).filter(|text| !text.is_empty());
        let title = summary.map_or_else(|| root.label("alertname").to_owned(), str::to_owned);
        match self.signals.iter().filter(|signal| signal.fingerprint != root.fingerprint).count() {
            0 => title,
            others => format!("{title} (and {others} more)"),
        }
    }

    /// What to do, if a signal says where that stands; the root is asked first.
    pub fn runbook_url(&self, path: &CriticalPath) -> Option<&str> {
        let of = |signal| ["runbook_url", "runbook"].into_iter().find_map(|name| Signal::annotation(signal, name));
        self.root(path).and_then(of).or_else(|| self.signals.iter().find_map(of))
    }
}
