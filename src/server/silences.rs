//! Silences and the alerts that others push: opened at the start, looked after every few seconds.
//!
//! Always true: what somebody pushed before a restart goes on until it is pushed again, or until the resolve timeout; no
//! rule's alert is taken for pushed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch as signal;

use super::{AskRouting, EndProcessOnPanic, ServerError};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::disk::Disk;
use crate::model::Labels;
use crate::notify::silence::{EndsSoon, Silences, Window};
use crate::notify::{Alert, Notifier, NotifyError, PushedAlert, PushedAlerts, rfc3339};
use crate::rules::RuleSet;

/// The file of silences.
pub(super) const FILE: &str = "alerts.silences";
/// How often it is looked which pushed alerts are over.
const TICK_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked which silences end soon, in ticks.
const SOON_TICKS: u64 = 15;
/// How long the alert of a silence that ends soon lasts when it does not any more, in ms.
const SOON_FIRES_MS: i64 = 60_000;
/// After how long a pushed alert without an end is over, where no routing file says so, in ms.
const RESOLVE_TIMEOUT_MS: i64 = 300_000;
/// The alert of a silence that ends soon while it holds back alerts that fire.
const SOON_ALERT: &str = "SilenceExpiresSoon";

pub(super) fn open(config: &Config, disk: &Arc<dyn Disk>, clock: &Clock) -> Result<Arc<Silences>, ServerError> {
    let windows = windows(config).map_err(|mut mistakes| mistakes.swap_remove(0))?;
    Ok(Silences::open(disk.clone(), &config.data_dir.join(FILE), clock.clone(), windows)?)
}

/// The windows of the settings, or all that is wrong with them.
pub(super) fn windows(config: &Config) -> Result<Vec<Window>, Vec<ConfigError>> {
    let (mut windows, mut mistakes) = (Vec::new(), Vec::new());
    for given in &config.maintenance {
        match Window::read(given) {
            Ok(window) => windows.push(window),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(windows) } else { Err(mistakes) }
}

/// Whether somebody else than our rules reported this alert: none of them has its name, and it does not link to us. One of a
/// rule that is gone, from when this server was reached at another address, is taken for pushed: it ends with the resolve
/// timeout, and not at once.
pub(super) fn is_pushed(alert: &Alert, rules: &RuleSet, external_url: &str) -> bool {
    let name = alert.labels.get("alertname").unwrap_or("");
    let has_rule = rules.has_alerting(name) || rules.rules.iter().any(|rule| rule.alert == name);
    !has_rule && !alert.generator_url.starts_with(external_url)
}

/// The task that looks after pushed alerts.
pub(super) struct KeptAlerts {
    stop: signal::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl KeptAlerts {
    pub(super) fn start(pushed: Arc<Pushed>) -> KeptAlerts {
        let (stop, stopped) = signal::channel(false);
        let task = tokio::spawn(async move {
            let _guard = EndProcessOnPanic;
            pushed.keep(stopped).await;
        });
        KeptAlerts { stop, task }
    }

    pub(super) async fn stop(self) {
        // An end that is gone already has nothing to be told.
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// Takes pushed alerts, and ends them.
pub(super) struct Pushed {
    alerts: Mutex<PushedAlerts>,
    notifier: Arc<Notifier>,
    silences: Arc<Silences>,
    routing: AskRouting,
    clock: Clock,
    external_url: String,
}

impl Pushed {
    pub(super) fn new(
        (notifier, silences): (Arc<Notifier>, Arc<Silences>),
        routing: AskRouting,
        rules: &RuleSet,
        clock: Clock,
        external_url: String,
    ) -> Pushed {
        let mut before = notifier.active();
        before.retain(|alert| is_pushed(alert, rules, &external_url));
        let pushed = Pushed { alerts: Mutex::default(), notifier, silences, routing, clock, external_url };
        let until_ms = pushed.clock.now_ms() + pushed.resolve_timeout_ms();
        *pushed.alerts.lock() = PushedAlerts::from_before(before, until_ms);
        pushed
    }

    fn resolve_timeout_ms(&self) -> i64 {
        (self.routing)().map_or(RESOLVE_TIMEOUT_MS, |routing| routing.resolve_timeout_ms())
    }

    /// Notes alerts, all or none. Waits for the disk.
    pub(super) fn push(&self, pushed: Vec<PushedAlert>) -> Result<(), NotifyError> {
        let timeout_ms = self.resolve_timeout_ms();
        self.alerts.lock().push(pushed, &self.notifier, self.clock.now_ms(), timeout_ms)
    }

    /// The loop of the task: until it is told to stop.
    async fn keep(self: Arc<Self>, mut stopped: signal::Receiver<bool>) {
        let mut ticks = tokio::time::interval(TICK_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut count: u64 = 0;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopped.changed() => return,
            }
            count += 1;
            let (pushed, looks) = (self.clone(), count.is_multiple_of(SOON_TICKS));
            let ticked = tokio::task::spawn_blocking(move || pushed.tick(looks)).await;
            ticked.expect("a tick does not panic");
        }
    }

    fn tick(&self, looks_for_ends: bool) {
        let told = if looks_for_ends { self.push(self.ending_soon()) } else { Ok(()) };
        let ended = self.alerts.lock().end_those_due(&self.notifier, self.clock.now_ms());
        if let Err(error) = told.and(ended) {
            tracing::error!(%error, "alerts that others pushed cannot be noted; trying again");
        }
    }

    fn ending_soon(&self) -> Vec<PushedAlert> {
        let (firing, now_ms) = (self.notifier.active(), self.clock.now_ms());
        let soon = self.silences.ending_soon(firing.iter().map(|alert| &alert.labels), now_ms);
        soon.iter().map(|soon| soon_alert(soon, now_ms, &self.external_url)).collect()
    }
}

fn soon_alert(soon: &EndsSoon, now_ms: i64, external_url: &str) -> PushedAlert {
    let silence = &soon.silence;
    let labels = [("alertname", SOON_ALERT), ("severity", "warning"), ("silence", &silence.id)];
    let summary = format!(
        "A silence of {} ends at {} while {} alerts fire that it holds back",
        silence.created_by,
        rfc3339(silence.ends_at_ms),
        soon.firing_count
    );
    let description =
        format!("{}: {}. To prolong it: {external_url}/api/v2/silences", silence.matchers, silence.comment);
    PushedAlert {
        labels: Labels::from_pairs(labels).expect("three short labels are a label set"),
        annotations: vec![("description".to_owned(), description), ("summary".to_owned(), summary)],
        starts_at_ms: None,
        ends_at_ms: Some(now_ms + SOON_FIRES_MS),
        // Links to nothing of ours: after a restart it goes on like what others push.
        generator_url: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::SimulatedDisk;
    use crate::notify::silence::SilenceRequest;
    use crate::notify::{Matchers, NotifierOptions, Plan};

    const NOW_MS: i64 = 1_700_000_000_000;

    struct World {
        disk: Arc<SimulatedDisk>,
        clock: Clock,
        pushed: Pushed,
    }

    fn world(disk: Arc<SimulatedDisk>, clock: Clock) -> World {
        let folder = Path::new("/data/outbox");
        let options = NotifierOptions::new(Plan::default(), "http://us".to_owned());
        let opened = Notifier::open(disk.clone(), folder, clock.clone(), options);
        let notifier = opened.expect("an outbox").0;
        let silences = Silences::open(disk.clone(), Path::new("/data/alerts.silences"), clock.clone(), Vec::new());
        let parts = (notifier, silences.expect("silences"));
        let rules = RuleSet::default();
        let pushed = Pushed::new(parts, Arc::new(|| None), &rules, clock.clone(), "http://us".to_owned());
        World { disk, clock, pushed }
    }

    fn down(ends_at_ms: Option<i64>) -> PushedAlert {
        let labels = Labels::from_pairs([("alertname", "Down")]).expect("labels");
        let annotations = Vec::new();
        PushedAlert { labels, annotations, starts_at_ms: None, ends_at_ms, generator_url: "http://them/".to_owned() }
    }

    impl World {
        fn after(&self, seconds: u64) -> Vec<String> {
            self.clock.advance(Duration::from_secs(seconds));
            self.pushed.tick(true);
            let active = self.pushed.notifier.active();
            active.iter().map(|alert| alert.labels.get("alertname").unwrap_or("").to_owned()).collect()
        }
    }

    #[test]
    fn a_pushed_alert_lasts_until_nobody_says_so_any_more() {
        let world = world(Arc::new(SimulatedDisk::new()), Clock::manual(NOW_MS));
        world.pushed.push(vec![down(Some(NOW_MS + 60_000))]).unwrap();
        assert_eq!(world.after(59), ["Down"]);
        world.pushed.push(vec![down(None)]).unwrap();
        assert_eq!(world.after(299), ["Down"]);
        assert!(world.after(1).is_empty());
        world.pushed.push(vec![down(None)]).unwrap();
        world.pushed.push(vec![down(Some(NOW_MS + 359_000))]).unwrap();
        assert!(world.after(0).is_empty(), "an end that has passed ends it at once");
    }

    #[test]
    fn an_end_before_the_beginning_ends_an_alert_too() {
        let world = world(Arc::new(SimulatedDisk::new()), Clock::manual(NOW_MS));
        world.pushed.push(vec![down(None)]).unwrap();
        world.pushed.push(vec![PushedAlert { starts_at_ms: Some(1_000), ..down(Some(2_000)) }]).unwrap();
        assert!(world.after(0).is_empty());
    }

    #[test]
    fn an_end_without_a_beginning_is_nobodys_news() {
        let world = world(Arc::new(SimulatedDisk::new()), Clock::manual(NOW_MS));
        world.pushed.push(vec![down(Some(NOW_MS - 1))]).unwrap();
        assert!(world.after(0).is_empty());
    }

    #[test]
    fn pushed_alerts_go_on_after_a_restart_and_end_if_nobody_comes() {
        let before = world(Arc::new(SimulatedDisk::new()), Clock::manual(NOW_MS));
        before.pushed.push(vec![down(None)]).unwrap();
        let after = world(Arc::new(before.disk.crash(7)), before.clock.clone());
        assert_eq!(after.after(299), ["Down"]);
        assert!(after.after(1).is_empty());
    }

    #[test]
    fn a_silence_that_ends_soon_is_an_alert_until_it_is_prolonged() {
        let world = world(Arc::new(SimulatedDisk::new()), Clock::manual(NOW_MS));
        world.pushed.push(vec![down(Some(NOW_MS + 10_000_000))]).unwrap();
        let request = |id, minutes: i64| SilenceRequest {
            id,
            matchers: Matchers::parse("alertname=Down").expect("matchers"),
            starts_at_ms: NOW_MS,
            ends_at_ms: NOW_MS + 60_000 * minutes,
            created_by: "dana".to_owned(),
            comment: "known".to_owned(),
        };
        let silence = world.pushed.silences.set(request(None, 30)).unwrap();
        assert_eq!(world.after(19 * 60), ["Down"]);
        assert_eq!(world.after(61), ["Down", SOON_ALERT]);
        world.pushed.silences.set(request(Some(silence.id.clone()), 90)).unwrap();
        assert_eq!(world.after(61), ["Down"]);
    }
}
