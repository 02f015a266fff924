//! What SIGHUP and `POST /-/reload` change: rules, who is told, jobs that report, maintenance windows, the calendar.
//!
//! ```text
//! settings ──┬─► jobs, windows, calendar, Alertmanagers ──────┐
//!            ├─► what waits for a restart                     │
//!            ├─► names of rule files ─► rules ────────────────┼─► all well: all in force      a fault: nothing changes,
//!            └─► webhooks, keys, templates, routing ─► plan ──┘                               each is told
//! ```
//!
//! What flags said stays as they said it: the settings are read again with the flags of the start.
//!
//! Always true: all of it changes, or none does; one reload goes on at a time.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::alertmanagers::Alertmanagers;
use super::delivering;
use super::evaluating::EvaluatedRules;
use super::heartbeats::{self, Heartbeats};
use super::{incidents, silences};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::detect::Announcements;
use crate::disk::Disk;
use crate::http::ReloadTold;
use crate::notify::silence::{Silences, Window};
use crate::notify::{Notifier, PreparedPlan};

/// Reads the settings again, as they were read for the start: file and flags.
pub type Reread = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// What a reload changes, and what it reads for that.
pub(super) struct ReloadingParts {
    /// The settings of the start.
    pub(super) config: Config,
    pub(super) reread: Reread,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Clock,
    pub(super) rules: Arc<EvaluatedRules>,
    pub(super) notifier: Arc<Notifier>,
    pub(super) alertmanagers: Arc<Alertmanagers>,
    pub(super) silences: Arc<Silences>,
    pub(super) heartbeats: Arc<Heartbeats>,
    pub(super) announcements: Arc<Announcements>,
}

/// Reads what may change while the server runs, and puts it in force.
pub(super) struct Reloading {
    parts: ReloadingParts,
    settings: ArcSwap<Config>,
    /// Held while everything is read and put in force.
    turn: Mutex<()>,
}

impl Reloading {
    pub(super) fn new(parts: ReloadingParts) -> Reloading {
        let settings = ArcSwap::from_pointee(parts.config.clone());
        Reloading { parts, settings, turn: Mutex::new(()) }
    }

    /// The settings in force.
    pub(super) fn settings(&self) -> Arc<Config> {
        self.settings.load_full()
    }

    /// Puts in force what the files say now. With a fault in any of them everything stays as it is, and all are told.
    pub(super) fn reload(&self) -> Result<ReloadTold, String> {
        let _turn = self.turn.lock();
        let parts = &self.parts;
        let mut faults = Vec::new();
        let settings = well(self.read_settings(), &mut faults);
        // With faulty settings, what those in force name is looked at all the same.
        let before = self.settings();
        let in_force = settings.as_ref().map_or_else(|| Config::clone(&before), |(fresh, _)| before.reloaded(fresh));
        let plan = well(self.read_plan(&in_force), &mut faults);
        let peers = well(parts.alertmanagers.prepare(&in_force.alertmanagers).map_err(texts), &mut faults);
        let rules = well(parts.rules.read(&in_force.rules).map_err(|errors| vec![errors.to_string()]), &mut faults);
        let (Some((settings, windows)), Some(plan), Some(peers), Some(rules)) = (settings, plan, peers, rules) else {
            parts.rules.note_fault();
            let told = format!(
                "nothing is reloaded, the rules and settings from before stay in force:\n{}",
                faults.join("\n")
            );
            tracing::error!("{told}");
            return Err(told);
        };
        let waiting = in_force.differing(&settings);
        if !waiting.is_empty() {
            tracing::warn!(settings = waiting.join(", "), "these settings have changed and wait for a restart");
        }
        let calendar = &in_force.detection.calendar;
        parts.announcements.rewrite(calendar).expect("settings hold no more spans than there may be");
        parts.silences.replace_windows(windows);
        // Before the rules, so that what ends or begins with those is told to whom it is to be told from now on.
        parts.notifier.replace_plan(plan);
        parts.alertmanagers.replace(peers);
        let rules = parts.rules.replace(rules);
        parts.heartbeats.replace(&in_force.heartbeats);
        self.settings.store(Arc::new(in_force));
        Ok(ReloadTold { rules, waiting })
    }

    fn read_settings(&self) -> Result<(Config, Vec<Window>), Vec<String>> {
        let settings = (self.parts.reread)().map_err(|error| vec![error.to_string()])?;
        let (windows, jobs) = (silences::windows(&settings), heartbeats::check(&settings.heartbeats));
        match (windows, jobs) {
            (Ok(windows), Ok(())) => Ok((settings, windows)),
            (windows, jobs) => {
                let mistakes = [windows.err(), jobs.err()].into_iter().flatten().flatten();
                Err(mistakes.map(|mistake| mistake.to_string()).collect())
            }
        }
    }

    fn read_plan(&self, settings: &Config) -> Result<PreparedPlan, Vec<String>> {
        let plan = delivering::plan(settings, &*self.parts.disk).map_err(|errors| texts(errors.0))?;
        // Or the next start would refuse what was taken here.
        let mut faults: Vec<String> =
            incidents::check(settings, &plan).map_err(|error| error.to_string()).err().into_iter().collect();
        let prepared = self.parts.notifier.prepare(plan.clone());
        if let Err(first) = &prepared {
            let all = texts(delivering::unusable(&plan, &self.parts.clock));
            faults.extend(if all.is_empty() { vec![first.to_string()] } else { all });
        }
        if faults.is_empty() { prepared.map_err(|error| vec![error.to_string()]) } else { Err(faults) }
    }
}

fn texts<E: std::fmt::Display>(errors: Vec<E>) -> Vec<String> {
    errors.iter().map(E::to_string).collect()
}

/// What was read; its faults go to the others.
fn well<T>(read: Result<T, Vec<String>>, faults: &mut Vec<String>) -> Option<T> {
    read.map_err(|found| faults.extend(found)).ok()
}
