//! `/api/v2/alerts` and `/api/v2/alerts/groups`: what fires, who is told, and what holds it back.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::super::Services;
use super::super::call::Call;
use super::super::json::JsonText;
use super::super::reply::{ApiError, Reply};
use super::super::request::Parameters;
use super::{answer, on_thread, read, told};
use crate::model::Labels;
use crate::notify::routing::{Inhibitor, Routing};
use crate::notify::{Alert, Matchers, NotifyError, PushedAlert, rfc3339};

/// An alert that fires, and what becomes of it.
struct State {
    alert: Alert,
    receivers: Vec<String>,
    silenced_by: Vec<String>,
    inhibited_by: Option<u64>,
    muted_by: Vec<String>,
}

/// Who asks for what.
struct Wanted {
    filters: Vec<Matchers>,
    receiver: Option<regex::Regex>,
    active: bool,
    silenced: bool,
    inhibited: bool,
    muted: bool,
}

impl Wanted {
    fn read(parameters: &Parameters) -> Result<Wanted, String> {
        Ok(Wanted {
            filters: read::filters(parameters)?,
            receiver: read::receiver(parameters)?,
            active: read::wants(parameters, "active")?,
            silenced: read::wants(parameters, "silenced")?,
            inhibited: read::wants(parameters, "inhibited")?,
            muted: read::wants(parameters, "muted")?,
        })
    }

    fn wants(&self, state: &State) -> bool {
        let is_silenced = !state.silenced_by.is_empty();
        let is_inhibited = state.inhibited_by.is_some();
        let is_muted = !state.muted_by.is_empty();
        let is_active = !(is_silenced || is_inhibited || is_muted);
        self.filters.iter().all(|filter| filter.matches(&state.alert.labels))
            && state.receivers.iter().any(|name| self.is_of(name)) | self.receiver.is_none()
            && (self.silenced || !is_silenced)
            && (self.inhibited || !is_inhibited)
            && (self.muted || !is_muted)
            && (self.active || !is_active)
    }

    fn is_of(&self, receiver: &str) -> bool {
        self.receiver.as_ref().is_none_or(|pattern| pattern.is_match(receiver))
    }
}

/// What all alerts are looked at with.
struct Look<'a> {
    services: &'a Services,
    routing: Option<Arc<Routing>>,
    inhibitor: Option<Inhibitor>,
    now_ms: i64,
}

impl Look<'_> {
    fn new<'a>(services: &'a Services, firing: &[Alert]) -> Look<'a> {
        let routing = (services.routing)();
        let inhibitor = routing.as_ref().map(|routing| {
            let mut inhibitor = routing.inhibitor();
            firing.iter().for_each(|alert| inhibitor.fires(&alert.labels));
            inhibitor
        });
        Look { services, routing, inhibitor, now_ms: services.clock.now_ms() }
    }

    /// The groups that an alert is in: receiver, which route, labels, and what mutes the route.
    fn groups(&self, labels: &Labels) -> Vec<(String, usize, Labels, Option<String>)> {
        match &self.routing {
            // Without routing every receiver is told of every alert, alone.
            None => {
                let settings = (self.services.settings)();
                settings.webhooks.iter().map(|webhook| (webhook.name.clone(), 0, labels.clone(), None)).collect()
            }
            Some(routing) => {
                let group = |one: crate::notify::routing::RouteMatch<'_>| {
                    let muted = routing.is_muted(one.route_index, self.now_ms);
                    (one.receiver.to_owned(), one.route_index, one.group_labels, muted)
                };
                routing.matches(labels).into_iter().map(group).collect()
            }
        }
    }

    fn state(&self, alert: &Alert) -> State {
        let groups = self.groups(&alert.labels);
        let mut receivers: Vec<String> = Vec::new();
        for (receiver, ..) in &groups {
            if !receivers.contains(receiver) {
                receivers.push(receiver.clone());
            }
        }
        let is_muted = !groups.is_empty() && groups.iter().all(|(.., muted)| muted.is_some());
        let muted_by = if is_muted { groups.into_iter().filter_map(|(.., muted)| muted).collect() } else { Vec::new() };
        State {
            alert: alert.clone(),
            receivers,
            silenced_by: self.services.silences.all_silencing(&alert.labels, self.now_ms),
            inhibited_by: self.inhibitor.as_ref().and_then(|inhibitor| inhibitor.inhibited_by(&alert.labels)),
            muted_by,
        }
    }
}

/// `/api/v2/alerts`
pub(in super::super) async fn alerts(call: Call) -> Result<Reply, ApiError> {
    if call.head.method == Method::POST { push(call).await } else { list(&call) }
}

fn list(call: &Call) -> Result<Reply, ApiError> {
    let wanted = match Wanted::read(&Parameters::of_address(&call.head)?) {
        Ok(wanted) => wanted,
        Err(what) => return Ok(told(StatusCode::BAD_REQUEST, &what)),
    };
    let services = &call.front.services;
    let firing = (services.firing)();
    let look = Look::new(services, &firing);
    let mut states: Vec<State> = firing.iter().map(|alert| look.state(alert)).collect();
    states.retain(|state| wanted.wants(state));
    states.sort_by_key(|state| state.alert.fingerprint());
    Ok(answer(StatusCode::OK, |text| text.list(&states, |text, state| write(text, state, &state.receivers))))
}

/// `GET /api/v2/alerts/groups`
pub(in super::super) async fn groups(call: Call) -> Result<Reply, ApiError> {
    let wanted = match Wanted::read(&Parameters::of_address(&call.head)?) {
        Ok(wanted) => wanted,
        Err(what) => return Ok(told(StatusCode::BAD_REQUEST, &what)),
    };
    let services = &call.front.services;
    let firing = (services.firing)();
    let look = Look::new(services, &firing);
    let mut groups: BTreeMap<(Labels, String, usize), Vec<State>> = BTreeMap::new();
    for alert in &firing {
        let state = || look.state(alert);
        if !wanted.wants(&state()) {
            continue;
        }
        for (receiver, route_index, labels, _) in look.groups(&alert.labels) {
            if wanted.is_of(&receiver) {
                groups.entry((labels, receiver, route_index)).or_default().push(state());
            }
        }
    }
    Ok(answer(StatusCode::OK, |text| {
        text.list(&groups, |text, ((labels, receiver, _), states)| {
            text.raw(r#"{"labels":"#);
            text.labels(labels);
            text.raw(r#","receiver":{"name":"#);
            text.string(receiver);
            text.raw(r#"},"alerts":"#);
            text.list(states, |text, state| write(text, state, std::slice::from_ref(receiver)));
            text.raw("}");
        });
    }))
}

fn write(text: &mut JsonText, state: &State, receivers: &[String]) {
    let alert = &state.alert;
    text.raw(r#"{"annotations":"#);
    text.pairs(alert.annotations.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    // Nobody knows the end of what fires; Alertmanager shows when it would be over if nobody said so again.
    text.raw(r#","endsAt":"9999-12-31T23:59:59.000Z","fingerprint":"#);
    text.string(&format!("{:016x}", alert.fingerprint()));
    text.raw(r#","receivers":"#);
    text.list(receivers, |text, name| {
        text.raw(r#"{"name":"#);
        text.string(name);
        text.raw("}");
    });
    text.raw(r#","startsAt":"#);
    text.string(&rfc3339(alert.starts_at_ms));
    text.raw(r#","status":{"inhibitedBy":"#);
    text.strings(state.inhibited_by.map(|fingerprint| format!("{fingerprint:016x}")));
    text.raw(r#","mutedBy":"#);
    text.strings(&state.muted_by);
    text.raw(r#","silencedBy":"#);
    text.strings(&state.silenced_by);
    text.raw(r#","state":"#);
    let is_active = state.inhibited_by.is_none() && state.silenced_by.is_empty() && state.muted_by.is_empty();
    text.string(if is_active { "active" } else { "suppressed" });
    text.raw(r#"},"updatedAt":"#);
    text.string(&rfc3339(alert.starts_at_ms));
    text.raw(r#","generatorURL":"#);
    text.string(&alert.generator_url);
    text.raw(r#","labels":"#);
    text.labels(&alert.labels);
    text.raw("}");
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
}

/// All are noted on disk, or none.
async fn push(call: Call) -> Result<Reply, ApiError> {
    let Call { front, head, body, .. } = call;
    let given = match read::body::<Vec<Given>>(&front, &head, body).await {
        Ok(given) => given,
        Err(reply) => return Ok(reply),
    };
    let pushed: Vec<PushedAlert> = match given.into_iter().map(pushed).collect() {
        Ok(pushed) => pushed,
        Err(what) => return Ok(told(StatusCode::BAD_REQUEST, &what)),
    };
    let services = front.services.clone();
    Ok(match on_thread(move || (services.push_alerts)(pushed)).await? {
        Ok(()) => answer(StatusCode::OK, |text| text.raw("{}")),
        Err(error @ NotifyError::Full { .. }) => told(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        Err(error) => {
            tracing::error!(%error, "alerts that were pushed could not be noted");
            told(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
    })
}

fn pushed(given: Given) -> Result<PushedAlert, String> {
    let labels = Labels::from_pairs(given.labels).map_err(|error| error.to_string())?;
    if labels.is_empty() {
        return Err("at least one label pair required".to_owned());
    }
    let starts_at_ms = read::moment("startsAt", given.starts_at.as_deref())?;
    let ends_at_ms = read::moment("endsAt", given.ends_at.as_deref())?;
    if let (Some(starts_ms), Some(ends_ms)) = (starts_at_ms, ends_at_ms)
        && ends_ms < starts_ms
    {
        return Err("start time must be before end time".to_owned());
    }
    let annotations = given.annotations.into_iter().collect();
    Ok(PushedAlert { labels, annotations, starts_at_ms, ends_at_ms, generator_url: given.generator_url })
}
