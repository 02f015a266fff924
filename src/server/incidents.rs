//! The journal of incidents, fed: what the notifier does is noted, what was seen is looked up, and who must be told next is.
//!
//! ```text
//! notifier's events ─► incidents ─► journal
//!                          │ └────► figures: of the stream's explanations, or by the rule's expression over the hour before
//!                          └──────► once a second: a step of an escalation is due? ─► Notifier::tell, then the journal
//! ```
//!
//! While silences hold back all that fires in an incident nobody is told next: who silenced it knows of it. A step that was due
//! meanwhile is told behind the silence.
//!
//! Always true: a step is noted behind its message, which has an id made of incident and step: a crash between the two
//! tells it again, and the outbox knows it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver as Inbox, Sender, bounded, select};

use super::figures::Figuring;
use super::{ServerError, thread};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, EscalationStep, IncidentsConfig, duration_text};
use crate::disk::Disk;
use crate::incident::{Due, Escalation, Incident, IncidentOptions, Incidents, State, Step, Why};
use crate::model::Labels;
use crate::notify::{
    Alert, CriticalPath, Event, Folding, FoldingOptions, MessageAlert, Notifier, NotifyError, Plan, Telling,
};
use crate::telemetry::Registry;

/// The journal's folder.
pub(super) const FOLDER: &str = "incidents";
/// How often it is looked who must be told.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the journal is tidied up, in looks.
const TIDY_LOOKS: u32 = 15;
/// Events that are noted with one sync.
const EVENTS_AT_ONCE_MAX: usize = 1_000;
/// Alerts in the message of an escalation.
const TOLD_ALERTS_MAX: usize = 20;
/// The annotation that says why somebody is told.
const ESCALATION_ANNOTATION: &str = "escalation";

/// By what alerts are folded.
pub(super) fn folding(config: &Config) -> Folding {
    let IncidentsConfig { fold_window_ms, reopen_within_ms, ref apart_by, ref fold_by, .. } = config.incidents;
    Folding::new(FoldingOptions {
        window_ms: fold_window_ms,
        reopen_ms: reopen_within_ms,
        apart_by: apart_by.clone(),
        fold_by: fold_by.clone(),
        path: CriticalPath::new(&config.incidents.critical_path),
    })
}

/// Refuses steps that reach nobody.
pub(super) fn check(config: &Config, plan: &Plan) -> Result<(), ConfigError> {
    let known = |name: &str| plan.destinations.iter().any(|destination| destination.receiver == name);
    match config.incidents.escalation.iter().find(|step| !known(&step.receiver)) {
        None => Ok(()),
        Some(step) => {
            let names: Vec<&str> = plan.destinations.iter().map(|destination| destination.receiver.as_str()).collect();
            let there_are = if names.is_empty() { "there is none".to_owned() } else { names.join(", ") };
            let receiver = &step.receiver;
            Err(ConfigError::InFile(format!(
                "incidents.escalation {receiver:?}: is the name of no receiver; those of `webhooks` and of the routing file are: {there_are}"
            )))
        }
    }
}

/// Reads the journal.
pub(super) fn open(config: &Config, disk: &Arc<dyn Disk>, clock: &Clock) -> Result<Arc<Incidents>, ServerError> {
    let settings = &config.incidents;
    let step = |step: &EscalationStep| Step { receiver: step.receiver.clone(), after_ms: step.after_ms };
    let options = IncidentOptions {
        retention_ms: settings.retention_ms,
        path: CriticalPath::new(&settings.critical_path),
        escalation: Escalation {
            acknowledge_within_ms: settings.acknowledge_within_ms.clone(),
            steps: settings.escalation.iter().map(step).collect(),
        },
    };
    let opened = Incidents::open(disk.clone(), &config.data_dir.join(FOLDER), clock.clone(), options)?;
    let (incidents, recovered) = opened;
    for damage in &recovered.damage {
        tracing::error!("damage found: {damage}");
    }
    Ok(Arc::new(incidents))
}

/// The running thread.
pub(super) struct Journaling {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Journaling {
    /// Begins to take events. Whoever else takes those of this notifier leaves none.
    pub(super) fn start(
        incidents: Arc<Incidents>,
        notifier: Arc<Notifier>,
        figuring: Figuring,
    ) -> Result<Journaling, ServerError> {
        let events = notifier.events().expect("nobody takes the notifier's events but the journal");
        let (stop, stopped) = bounded(1);
        let keeper = Keeper { incidents, notifier, figuring, missed: 0 };
        let thread = thread("incidents", move || keeper.run(&events, &stopped))?;
        Ok(Journaling { stop, thread })
    }

    /// Notes what has happened until now, and ends. To be called behind the deliveries.
    pub(super) fn join(self) {
        // A thread that ended already has nothing to be told.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

struct Keeper {
    incidents: Arc<Incidents>,
    notifier: Arc<Notifier>,
    figuring: Figuring,
    /// Events that the notifier had left out at the last look.
    missed: u64,
}

impl Keeper {
    fn run(mut self, events: &Inbox<Event>, stopped: &Inbox<()>) {
        self.reconcile(events);
        let looks = crossbeam::channel::tick(LOOK_INTERVAL);
        let mut look_count: u32 = 0;
        loop {
            select! {
                recv(stopped) -> _ => break,
                recv(events) -> event => match event {
                    Ok(event) => self.take(events, Some(event)),
                    Err(_) => break,
                },
                recv(looks) -> _ => {
                    look_count = look_count.wrapping_add(1);
                    self.look(events, look_count);
                }
            }
        }
        self.take(events, None);
    }

    /// Takes an event and all that wait behind it.
    fn take(&mut self, events: &Inbox<Event>, first: Option<Event>) {
        let mut taken: Vec<Event> = first.into_iter().chain(events.try_iter()).take(EVENTS_AT_ONCE_MAX).collect();
        while !taken.is_empty() {
            self.incidents.take(&taken);
            for event in &taken {
                if let Event::Transition { alert, incident, .. } = event {
                    self.figuring.want(incident, alert);
                }
            }
            taken = events.try_iter().take(EVENTS_AT_ONCE_MAX).collect();
        }
    }

    /// Brings the journal up to what the outbox has: behind a start, and where events were left out.
    fn reconcile(&mut self, events: &Inbox<Event>) {
        // In this order: what begins or ends meanwhile is told by the events that are taken in between.
        let lasting = self.incidents.lasting();
        let active = self.notifier.alerts().into_iter().map(|state| (state.alert, state.incident));
        let active: Vec<(Alert, String)> = active.collect();
        self.take(events, None);
        self.incidents.reconcile(&lasting, &active);
    }

    fn look(&mut self, events: &Inbox<Event>, look_count: u32) {
        let missed = self.notifier.metrics().events_missed.load(std::sync::atomic::Ordering::Relaxed);
        if missed > self.missed {
            tracing::warn!(count = missed - self.missed, "the journal of incidents was behind and missed events");
            self.missed = missed;
            self.reconcile(events);
        }
        self.figuring.look_up(&self.incidents);
        for (incident, due) in self.incidents.due() {
            self.escalate(&incident, &due);
        }
        if look_count.is_multiple_of(TIDY_LOOKS) {
            self.incidents.keep_up();
        }
    }

    fn escalate(&self, incident: &Incident, due: &Due) {
        let Due { step, receiver, .. } = due;
        let mut firing: Vec<&Alert> = incident.signals.iter().map(|signal| &signal.alert).collect();
        firing.retain(|alert| alert.ends_at_ms.is_none() && !self.notifier.is_silenced(&alert.labels));
        if firing.is_empty() {
            return;
        }
        let steps = self.incidents.options().escalation.steps.len();
        let why = why(incident, due, steps);
        match self.notifier.tell(receiver, &telling(&incident.id, &firing, *step, &why)) {
            Ok(_) => {
                tracing::warn!(incident = incident.id, step, receiver, why, "escalated");
                self.incidents.note_escalated(&incident.id, due);
            }
            // There is nobody of this name, nor will there be without a change of the settings: the next step is.
            Err(error @ NotifyError::Receiver { .. }) => {
                tracing::error!(incident = incident.id, step, %error, "this step of the escalation reaches nobody");
                self.incidents.note_escalated(&incident.id, due);
            }
            Err(error) => tracing::error!(incident = incident.id, step, %error, "not escalated yet; trying again"),
        }
    }
}

/// What is told: the alerts that fire, each with the reason.
fn telling(incident: &str, firing: &[&Alert], step: usize, why: &str) -> Telling {
    let alert = |alert: &&Alert| {
        let mut annotations = alert.annotations.clone();
        annotations.retain(|(name, _)| name != ESCALATION_ANNOTATION);
        annotations.push((ESCALATION_ANNOTATION.to_owned(), why.to_owned()));
        annotations.sort();
        MessageAlert { alert: Alert { annotations, ..(*alert).clone() }, incident: incident.to_owned() }
    };
    Telling {
        id: format!("{incident}-escalation-{step}"),
        group_key: format!("escalation:{incident}"),
        group_labels: Labels::empty(),
        alerts: firing.iter().take(TOLD_ALERTS_MAX).map(alert).collect(),
    }
}

fn why(incident: &Incident, due: &Due, steps: usize) -> String {
    let what = match &due.why {
        Why::NotAcknowledged { within_ms } if incident.first_notified_ms.is_none() => {
            format!("nobody could be told of it within {}", duration_text(*within_ms))
        }
        Why::NotAcknowledged { within_ms } => format!("nobody acknowledged it within {}", duration_text(*within_ms)),
        Why::NotDelivered { receiver, reason } => format!("{receiver} could not be told: {reason}"),
    };
    format!("step {} of {steps}: incident {}: {what}", due.step, incident.id)
}

/// What `/metrics` says of incidents.
pub(super) fn register(registry: &Registry, incidents: &Arc<Incidents>) {
    for state in State::ALL {
        let counted = incidents.clone();
        let count = move || counted.counts()[state as usize] as f64;
        registry.gauge_fn("dozor_incidents", "Incidents that are kept, by state.", &[("state", state.name())], count);
    }
    let counted = incidents.clone();
    let open = move || {
        let counts = counted.counts();
        (counts[State::Open as usize] + counts[State::Acknowledged as usize]) as f64
    };
    registry.gauge_fn("dozor_incidents_open", "Incidents that last, acknowledged or not.", &[], open);
}
