//! Signals of one cause are one incident: which of those that are open a new alert belongs to, if any.
//!
//! ```text
//! 12:00:10  PaymentsFailing  provider=paycorp  step=payment   inc-1 begins
//! 12:01:40  OrdersDropped    region=eu         step=checkout  inc-1: both are steps of the critical path, nothing differs
//! 12:02:00  OrdersDropped    region=us         step=checkout  inc-2: another region than inc-1 has by now
//! 12:03:00  DiskAlmostFull   instance=db1      service=node   inc-3: nothing in common with either
//! 12:30:00  OrdersDropped    region=eu         resolved       still told as part of inc-1
//! ```
//!
//! An alert joins an incident when three things hold:
//!
//! * *time*: it begins within [`FoldingOptions::window_ms`] of one of the incident's signals, of which the last began within
//!   [`SPAN_WINDOWS_MAX`] windows of the first;
//! * *nothing parts them*: of the labels [`FoldingOptions::apart_by`], none has one value here and another one there;
//! * *something joins them*: one of the labels [`FoldingOptions::fold_by`] has the same value in the alert and in one of the
//!   signals, or both are on the [`CriticalPath`].
//!
//! Of several that it could join, it joins the one that it has most labels in common with; of those, the oldest. An alert
//! that fires again soon after it ended goes back to its own incident before all that.
//!
//! Always true:
//! 1. What an alert is assigned follows from the alerts before it and nothing else: there is no clock here, and
//!    [`Folding::restore`], called for what is known, makes what [`Folding::assign`] had made.
//! 2. An incident's signals have one value, or none, of each label of `apart_by`: two regions are never one incident.
//! 3. A resolved alert has the incident of the firing one.
//!
//! Deliberately absent: moving a signal to another incident later on. People have been told by then.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use super::alert::{Alert, Status};
use crate::model::Labels;

/// Most incidents that are open at a time; alerts past that get one each that nothing joins.
pub const OPEN_INCIDENTS_MAX: usize = 100_000;
/// Most signals of one incident; the next one begins another.
pub const SIGNALS_PER_INCIDENT_MAX: usize = 1_000;
/// For how many windows behind its first signal an incident takes new ones: unrelated trouble that never pauses is not one incident.
pub const SPAN_WINDOWS_MAX: i64 = 12;
/// How many incidents are compared with one alert, those with the latest signals.
const COMPARED_COUNT_MAX: usize = 1_000;
/// Ended signals and ended incidents that are remembered, for alerts that come back.
const ENDED_COUNT_MAX: usize = 20_000;
/// Signals that began this close to the first one began with it, in ms: the order in which rules see a trouble is not its order.
const SIMULTANEOUS_MS: i64 = 60_000;

/// By what alerts are folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldingOptions {
    /// How far from a signal of an incident another one may begin, in ms.
    pub window_ms: i64,
    /// How long after its end an alert goes back to its incident, in ms.
    pub reopen_ms: i64,
    /// Names of labels; signals that have one of them with different values are never one incident.
    pub apart_by: Vec<String>,
    /// Names of labels; signals that have one of them in common are one incident, if they are not apart.
    pub fold_by: Vec<String>,
    /// The way of a customer through the shop.
    pub path: CriticalPath,
}

/// The steps of a customer through the shop, in order. An alert is at a step by its label `step`, or else `service`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CriticalPath {
    /// Each step with the names it goes by.
    steps: Vec<Vec<String>>,
}

impl CriticalPath {
    /// A path from the names of its steps; one that goes by several has `|` between them: `message|notification`.
    pub fn new<S: AsRef<str>>(steps: impl IntoIterator<Item = S>) -> CriticalPath {
        let names = |step: S| step.as_ref().split('|').map(|name| name.trim().to_owned()).collect();
        CriticalPath { steps: steps.into_iter().map(names).collect() }
    }

    /// Which step the alert is at, counted from 0.
    pub fn step_of(&self, alert: &Alert) -> Option<usize> {
        let at = |label| {
            let value = alert.labels.get(label)?;
            self.steps.iter().position(|names| names.iter().any(|name| name == value))
        };
        at("step").or_else(|| at("service"))
    }

    /// The likely root among the signals of an incident: of those that began first, within a minute, the one that is
    /// earliest on the path. `None` of none. The order in which they are given does not matter.
    pub fn root<'a>(&self, signals: impl Iterator<Item = &'a Alert> + Clone) -> Option<&'a Alert> {
        let first_ms = signals.clone().map(Alert::began_ms).min()?;
        let together = signals.filter(|alert| alert.began_ms().saturating_sub(first_ms) <= SIMULTANEOUS_MS);
        let step = |alert: &Alert| self.step_of(alert).unwrap_or(usize::MAX);
        together.min_by_key(|alert| (step(alert), alert.began_ms(), alert.fingerprint(), alert.starts_at_ms))
    }
}

impl Default for FoldingOptions {
    fn default() -> FoldingOptions {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        FoldingOptions {
            window_ms: 5 * 60_000,
            reopen_ms: 10 * 60_000,
            apart_by: names(&["region", "cluster", "namespace", "warehouse", "provider", "carrier", "system"]),
            fold_by: names(&[
                "region",
                "warehouse",
                "provider",
                "carrier",
                "system",
                "service",
                "job",
                "instance",
                "route",
            ]),
            path: CriticalPath::new(["search", "cart", "checkout", "payment", "message|notification", "delivery"]),
        }
    }
}

/// An incident's id.
type Id = Arc<str>;
/// Which label of `fold_by`, and the hash of its value.
type Mark = (usize, u64);

/// What decides where an alert belongs, found once for all the incidents that it is compared with.
struct Traits<'a> {
    began_ms: i64,
    /// The labels of `apart_by` that it has, each by its index there.
    place: Vec<(usize, &'a str)>,
    marks: Vec<Mark>,
    is_on_path: bool,
}

struct Incident {
    id: Id,
    /// When the first of its signals began, and the last, in ms since 1970 UTC.
    first_ms: i64,
    last_ms: i64,
    /// What its signals say of each label of `apart_by`.
    place: Vec<Option<Box<str>>>,
    marks: HashSet<Mark>,
    is_on_path: bool,
    firing_count: usize,
    signal_count: usize,
    /// Its key in `over`, while none of its signals fires.
    over: Option<u64>,
}

/// Where an alert belonged that has ended.
struct Ended {
    incident: Id,
    ended_ms: i64,
    /// Its key in `ended_order`.
    order: u64,
}

/// See the module.
pub struct Folding {
    options: FoldingOptions,
    /// Those that are open, and those that ended a while ago, by numbers in the order in which they came.
    incidents: HashMap<u64, Incident>,
    numbers: HashMap<Id, u64>,
    /// Numbers of those that are open, by when their last signal began.
    open: BTreeSet<(i64, u64)>,
    /// The incident of each firing alert, by fingerprint.
    firing: HashMap<u64, Id>,
    /// By fingerprint.
    ended: HashMap<u64, Ended>,
    /// Fingerprints in `ended`, and numbers of incidents that are over, in the order in which they ended.
    ended_order: BTreeMap<u64, u64>,
    over: BTreeMap<u64, u64>,
    /// For incidents, and for the order of ends.
    next_number: u64,
}

impl Folding {
    /// One that knows no alert.
    pub fn new(options: FoldingOptions) -> Folding {
        Folding {
            options,
            incidents: HashMap::new(),
            numbers: HashMap::new(),
            open: BTreeSet::new(),
            firing: HashMap::new(),
            ended: HashMap::new(),
            ended_order: BTreeMap::new(),
            over: BTreeMap::new(),
            next_number: 0,
        }
    }

    /// By what alerts are folded.
    pub fn options(&self) -> &FoldingOptions {
        &self.options
    }

    /// The id of the incident that the alert belongs to, which from then on counts it among its signals, or counts it among
    /// them no more if it is resolved. The same alert again, before it has ended, has the same answer and changes nothing.
    pub fn assign(&mut self, alert: &Alert) -> String {
        let incident = self.choose(alert);
        self.restore(alert, &incident);
        incident.to_string()
    }

    /// Takes note of what was assigned earlier. To be called for what is known after a restart, in the order in which it came.
    pub fn restore(&mut self, alert: &Alert, incident: &str) {
        match alert.status() {
            Status::Firing => self.begin(alert, incident),
            Status::Resolved => self.end(alert),
        }
    }

    /// How many incidents have a signal that fires.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    fn choose(&self, alert: &Alert) -> Id {
        let fingerprint = alert.fingerprint();
        if let Some(incident) = self.firing.get(&fingerprint) {
            return incident.clone();
        }
        let earlier = self.ended.get(&fingerprint);
        if alert.status() == Status::Resolved {
            return earlier.map_or_else(|| Id::from(own_id(alert)), |earlier| earlier.incident.clone());
        }
        let traits = self.options.traits(alert);
        if let Some(Ended { incident, ended_ms, .. }) = earlier
            && self.known(incident).is_some_and(|known| known.signal_count < SIGNALS_PER_INCIDENT_MAX)
            && traits.began_ms.saturating_sub(*ended_ms) <= self.options.reopen_ms
        {
            return incident.clone();
        }
        self.most_alike(&traits).unwrap_or_else(|| Id::from(own_id(alert)))
    }

    fn known(&self, id: &str) -> Option<&Incident> {
        self.incidents.get(self.numbers.get(id)?)
    }

    fn most_alike(&self, traits: &Traits<'_>) -> Option<Id> {
        let since = (traits.began_ms.saturating_sub(self.options.window_ms), 0);
        let recent = self.open.range((Bound::Included(since), Bound::Unbounded)).rev().take(COMPARED_COUNT_MAX);
        let alike = recent.filter_map(|(_, number)| {
            let common_count = self.incidents[number].common_count(traits, self.options.window_ms)?;
            Some((common_count, std::cmp::Reverse(*number)))
        });
        alike.max().map(|(_, number)| self.incidents[&number.0].id.clone())
    }

    fn begin(&mut self, alert: &Alert, id: &str) {
        let fingerprint = alert.fingerprint();
        let known = self.numbers.get(id).copied();
        if self.firing.contains_key(&fingerprint) || (known.is_none() && self.open.len() >= OPEN_INCIDENTS_MAX) {
            return;
        }
        let traits = self.options.traits(alert);
        let number = known.unwrap_or_else(|| self.next_number());
        let incident = self.incidents.entry(number).or_insert_with(|| {
            let id = Id::from(id);
            self.numbers.insert(id.clone(), number);
            Incident::new(id, traits.began_ms, self.options.apart_by.len())
        });
        self.open.remove(&(incident.last_ms, number));
        if let Some(order) = incident.over.take() {
            self.over.remove(&order);
        }
        incident.add(&traits);
        self.open.insert((incident.last_ms, number));
        self.firing.insert(fingerprint, incident.id.clone());
        if let Some(ended) = self.ended.remove(&fingerprint) {
            self.ended_order.remove(&ended.order);
        }
    }

    fn end(&mut self, alert: &Alert) {
        let fingerprint = alert.fingerprint();
        let Some(id) = self.firing.remove(&fingerprint) else { return };
        let ended_ms = alert.ends_at_ms.unwrap_or(alert.starts_at_ms);
        let order = self.next_number();
        let number = self.numbers[&id];
        let incident = self.incidents.get_mut(&number).expect("an alert that fires is of an incident that is open");
        incident.firing_count -= 1;
        if incident.firing_count == 0 {
            self.open.remove(&(incident.last_ms, number));
            incident.over = Some(order);
            self.over.insert(order, number);
        }
        self.ended.insert(fingerprint, Ended { incident: id, ended_ms, order });
        self.ended_order.insert(order, fingerprint);
        self.forget();
    }

    /// Forgets what ended longest ago where it is too much.
    fn forget(&mut self) {
        while self.ended_order.len() > ENDED_COUNT_MAX
            && let Some((_, fingerprint)) = self.ended_order.pop_first()
        {
            self.ended.remove(&fingerprint);
        }
        while self.over.len() > ENDED_COUNT_MAX
            && let Some((_, number)) = self.over.pop_first()
            && let Some(incident) = self.incidents.remove(&number)
        {
            self.numbers.remove(&incident.id);
        }
    }

    fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

impl FoldingOptions {
    fn traits<'a>(&self, alert: &'a Alert) -> Traits<'a> {
        let labels = |names: &[String]| {
            let value = |(index, name): (usize, &String)| Some((index, alert.labels.get(name)?));
            names.iter().enumerate().filter_map(value).collect::<Vec<_>>()
        };
        let mark = |(index, value): (usize, &str)| (index, Labels::hash_bytes(value.as_bytes()));
        Traits {
            began_ms: alert.began_ms(),
            place: labels(&self.apart_by),
            marks: labels(&self.fold_by).into_iter().map(mark).collect(),
            is_on_path: self.path.step_of(alert).is_some(),
        }
    }
}

impl Incident {
    fn new(id: Id, began_ms: i64, places_count: usize) -> Incident {
        Incident {
            id,
            first_ms: began_ms,
            last_ms: began_ms,
            place: vec![None; places_count],
            marks: HashSet::new(),
            is_on_path: false,
            firing_count: 0,
            signal_count: 0,
            over: None,
        }
    }

    /// How much the alert has in common with the incident; `None` if it does not belong there.
    fn common_count(&self, alert: &Traits<'_>, window_ms: i64) -> Option<usize> {
        let span_ms = window_ms.saturating_mul(SPAN_WINDOWS_MAX - 1);
        let latest_ms = self.last_ms.min(self.first_ms.saturating_add(span_ms));
        let is_near = alert.began_ms >= self.first_ms.saturating_sub(window_ms)
            && alert.began_ms <= latest_ms.saturating_add(window_ms)
            && self.signal_count < SIGNALS_PER_INCIDENT_MAX;
        let differs = |(index, here): &(usize, &str)| self.place[*index].as_deref().is_some_and(|there| there != *here);
        if !is_near || alert.place.iter().any(differs) {
            return None;
        }
        let labels_count = alert.marks.iter().filter(|mark| self.marks.contains(mark)).count();
        let common_count = labels_count + usize::from(self.is_on_path && alert.is_on_path);
        (common_count > 0).then_some(common_count)
    }

    fn add(&mut self, alert: &Traits<'_>) {
        self.first_ms = self.first_ms.min(alert.began_ms);
        self.last_ms = self.last_ms.max(alert.began_ms);
        alert.place.iter().for_each(|(index, value)| self.place[*index] = Some(Box::from(*value)));
        self.marks.extend(&alert.marks);
        self.is_on_path |= alert.is_on_path;
        self.firing_count += 1;
        self.signal_count += 1;
    }
}

/// The id of the incident that begins with this alert.
fn own_id(alert: &Alert) -> String {
    format!("inc-{:016x}-{}", alert.fingerprint(), alert.starts_at_ms)
}
