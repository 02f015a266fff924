//! The sign of life of this server: an address that is asked for while all is well, so that somebody else notices when it
//! is not, or when there is nobody to ask any more.
//!
//! | what must be well | how it is seen |
//! | --- | --- |
//! | writes are taken | the log takes them, the head has room |
//! | the disk has room | [`FREE_BYTES_MIN`] at least |
//! | detection goes on | what it has seen moves on while samples come |
//! | rules are evaluated | each group within three of its intervals and a minute |
//! | pages get through | no receiver has answered nothing for [`CIRCUIT_OPEN_MAX`] |
//! | samples come, if `heartbeat_out.needs_samples` | the newest is a quarter of an hour old at most |
//!
//! Always true: what is not well is told in the log when it begins and when it ends, and the address is not asked for
//! meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as signal;

use super::detection::Detection;
use super::evaluating::EvaluatedRules;
use super::{EndProcessOnPanic, ServerError};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::disk::Disk;
use crate::notify::{Notifier, Pinger};
use crate::storage::Storage;
use crate::telemetry::{Counter, Gauge, Registry};

/// How often it is looked whether all is well, at least.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Least room on the disk.
const FREE_BYTES_MIN: u64 = 64 << 20;
/// How long detection may stand still while samples come.
const STUCK_MAX: Duration = Duration::from_secs(120);
/// How long a receiver may answer nothing.
const CIRCUIT_OPEN_MAX: Duration = Duration::from_secs(300);
/// How old the newest sample may be, if samples must come.
const SAMPLES_MAX: Duration = Duration::from_secs(900);

/// Longest file with the address, in bytes.
const URL_FILE_BYTES_MAX: u64 = 4096;

/// What is looked at.
pub(super) struct Watched {
    pub(super) storage: Arc<Storage>,
    pub(super) detection: Arc<Detection>,
    pub(super) rules: Arc<EvaluatedRules>,
    pub(super) notifier: Arc<Notifier>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Clock,
}

/// What was found at one moment.
#[derive(Clone, Debug, Default)]
struct Facts {
    log_failing: Option<String>,
    is_head_full: bool,
    free_bytes: Option<u64>,
    /// Newest sample of all, and the newest that detection has seen, in ms since 1970 UTC.
    newest_ms: i64,
    seen_ms: i64,
    overdue_group: Option<String>,
    failing_receivers: Vec<String>,
}

/// What is remembered from one look to the next. Times are those of the monotonic clock.
#[derive(Default)]
struct Health {
    needs_samples: bool,
    newest: Option<(i64, Duration)>,
    seen: Option<(i64, Duration)>,
    failing_since: BTreeMap<String, Duration>,
}

impl Health {
    /// What is not well. Empty: all is.
    fn look(&mut self, facts: &Facts, now: Duration) -> Vec<String> {
        let mut wrong = Vec::new();
        wrong.extend(facts.log_failing.as_ref().map(|why| format!("the log takes no writes: {why}")));
        wrong.extend(facts.is_head_full.then(|| "the head is full and takes no writes".to_owned()));
        let free = facts.free_bytes.filter(|free| *free < FREE_BYTES_MIN);
        wrong.extend(free.map(|free| format!("the disk is full: {free} bytes are free")));
        let newest_moved = moved(&mut self.newest, facts.newest_ms, now);
        let seen_moved = moved(&mut self.seen, facts.seen_ms, now);
        if newest_moved.saturating_sub(seen_moved) > STUCK_MAX {
            wrong.push(format!("detection has seen nothing for {:?} while samples came", newest_moved - seen_moved));
        }
        if self.needs_samples && now.saturating_sub(newest_moved) > SAMPLES_MAX {
            wrong.push(format!("no samples have come for {:?}", now - newest_moved));
        }
        wrong.extend(facts.overdue_group.as_ref().map(|group| format!("rules are not evaluated: {group}")));
        self.failing_since.retain(|name, _| facts.failing_receivers.contains(name));
        for name in &facts.failing_receivers {
            let since = *self.failing_since.entry(name.clone()).or_insert(now);
            if now.saturating_sub(since) > CIRCUIT_OPEN_MAX {
                wrong.push(format!("receiver {name:?} has answered nothing for {:?}", now - since));
            }
        }
        wrong
    }
}

/// When a figure was last found to be another one than before.
fn moved(known: &mut Option<(i64, Duration)>, figure: i64, now: Duration) -> Duration {
    match known {
        Some((before, moved)) if *before == figure => *moved,
        _ => known.insert((figure, now)).1,
    }
}

impl Watched {
    fn facts(&self, data_dir: &Path) -> Facts {
        Facts {
            log_failing: self.storage.log_failing().map(|why| why.as_ref().clone()),
            is_head_full: self.storage.is_head_full(),
            // A disk that cannot say it is not known to be full.
            free_bytes: self.disk.free_bytes(data_dir).ok(),
            newest_ms: self.storage.newest_ms(),
            seen_ms: self.detection.shared().seen_by_all_ms(),
            overdue_group: self.rules.overdue(self.clock.now_ms()),
            failing_receivers: self.notifier.failing_receivers(),
        }
    }
}

/// Asks for the address from now on, if there is one, until the order to stop. Needs a tokio runtime.
pub(super) fn start(
    config: &Config,
    watched: Watched,
    registry: &Registry,
    stopped: signal::Receiver<bool>,
) -> Result<(), ServerError> {
    let settings = &config.heartbeat_out;
    let url = match (settings.url.as_str(), settings.url_file.as_os_str().is_empty()) {
        ("", true) => return Ok(()),
        ("", false) => read(&*watched.disk, &settings.url_file)?,
        (url, true) => url.to_owned(),
        (_, false) => return Err(mistake("has both a url and a url_file").into()),
    };
    let pinger = Pinger::new(&url, watched.clock.clone())?;
    let (name, help) = ("dozor_heartbeat_out_total", "Times that the sign of life was given, by what became of it.");
    let count = |outcome| registry.counter(name, help, &[("outcome", outcome)]);
    let counts = [count("taken"), count("failed"), count("withheld")];
    let (name, help) = ("dozor_heartbeat_out_well", "1 while all is well and the sign of life is given.");
    let well = registry.gauge(name, help, &[]);
    let interval = Duration::from_millis(u64::try_from(settings.interval_ms).unwrap_or(0));
    let health = Health { needs_samples: settings.needs_samples, ..Health::default() };
    let beat = Beat { watched: Arc::new(watched), pinger, data_dir: config.data_dir.clone(), interval, counts, well };
    tokio::spawn(async move {
        let _guard = EndProcessOnPanic;
        beat.run(health, stopped).await;
    });
    Ok(())
}

fn mistake(what: &str) -> ConfigError {
    ConfigError::InFile(format!("heartbeat_out: {what}"))
}

fn read(disk: &dyn Disk, file: &Path) -> Result<String, ServerError> {
    if disk.file_bytes(file)? > URL_FILE_BYTES_MAX {
        return Err(mistake(&format!("url_file is longer than {URL_FILE_BYTES_MAX} bytes")).into());
    }
    let bytes = disk.read(file)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| mistake("url_file is no text"))?;
    Ok(text.trim().to_owned())
}

struct Beat {
    watched: Arc<Watched>,
    pinger: Pinger,
    data_dir: PathBuf,
    interval: Duration,
    counts: [Counter; 3],
    well: Gauge,
}

impl Beat {
    async fn run(self, mut health: Health, mut stopped: signal::Receiver<bool>) {
        let mut ticks = tokio::time::interval(LOOK_INTERVAL.min(self.interval));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut asked, mut told) = (None::<Duration>, Vec::new());
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
            // Some of what is looked at waits for locks that are held over the disk.
            let (watched, data_dir) = (self.watched.clone(), self.data_dir.clone());
            let Ok(facts) = tokio::task::spawn_blocking(move || watched.facts(&data_dir)).await else { return };
            let now = self.watched.clock.monotonic();
            let wrong = health.look(&facts, now);
            self.well.set(i64::from(wrong.is_empty()));
            tell(&wrong, &mut told);
            if asked.is_some_and(|asked| now.saturating_sub(asked) < self.interval) {
                continue;
            }
            asked = Some(now);
            let [taken, failed, withheld] = &self.counts;
            if !wrong.is_empty() {
                withheld.increment();
                continue;
            }
            match self.pinger.ping().await {
                Ok(()) => taken.increment(),
                Err(reason) => {
                    failed.increment();
                    tracing::warn!(reason, "the sign of life was not taken");
                }
            }
        }
    }
}

/// Says what has become wrong, and when all is well again. How long something lasts is no news.
fn tell(wrong: &[String], told: &mut Vec<String>) {
    let kind =
        |what: &str| what.split(':').next().unwrap_or_default().split(" for ").next().unwrap_or_default().to_owned();
    let kinds: Vec<String> = wrong.iter().map(|what| kind(what)).collect();
    for (what, kind) in wrong.iter().zip(&kinds) {
        if !told.contains(kind) {
            tracing::error!(what, "not well: the sign of life is withheld");
        }
    }
    if wrong.is_empty() && !told.is_empty() {
        tracing::info!("all is well again: the sign of life is given");
    }
    *told = kinds;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn well(at_s: u64) -> Facts {
        let time_ms = at_s as i64 * 1000;
        Facts { free_bytes: Some(1 << 30), newest_ms: time_ms, seen_ms: time_ms, ..Facts::default() }
    }

    fn wrong(health: &mut Health, facts: &Facts, at_s: u64) -> String {
        health.look(facts, SECOND * at_s as u32).join("; ")
    }

    #[test]
    fn whatever_cannot_be_written_or_evaluated_is_not_well() {
        let mut health = Health::default();
        assert_eq!(wrong(&mut health, &well(0), 0), "");
        let mut cases = [Facts { log_failing: Some("EIO".to_owned()), ..well(5) }, well(5), well(5), well(5)];
        cases[1].is_head_full = true;
        cases[2].free_bytes = Some(FREE_BYTES_MIN - 1);
        cases[3].overdue_group = Some("node in /rules.yml".to_owned());
        for (facts, told) in cases.iter().zip(["EIO", "head is full", "disk is full", "node in /rules.yml"]) {
            assert!(wrong(&mut health, facts, 5).contains(told), "{told}");
        }
        assert_eq!(wrong(&mut health, &Facts { free_bytes: None, ..well(10) }, 10), "");
    }

    #[test]
    fn detection_that_stands_still_while_samples_come_is_not_well() {
        let mut health = Health::default();
        for at_s in (0..=120).step_by(5) {
            assert_eq!(wrong(&mut health, &Facts { seen_ms: 7, ..well(at_s) }, at_s), "");
        }
        assert!(wrong(&mut health, &Facts { seen_ms: 7, ..well(125) }, 125).contains("detection"));
        assert_eq!(wrong(&mut health, &well(130), 130), "");
        // Where no samples come there is nothing to see, unless they must come.
        assert_eq!(wrong(&mut health, &well(130), 5_000), "");
        health.needs_samples = true;
        assert!(wrong(&mut health, &well(130), 5_001).contains("no samples"));
    }

    #[test]
    fn receiver_that_answers_nothing_for_five_minutes_is_not_well() {
        let mut health = Health::default();
        let failing = |at_s| Facts { failing_receivers: vec!["pager".to_owned()], ..well(at_s) };
        assert_eq!(wrong(&mut health, &failing(0), 0), "");
        assert_eq!(wrong(&mut health, &failing(300), 300), "");
        assert!(wrong(&mut health, &failing(301), 301).contains("pager"));
        assert_eq!(wrong(&mut health, &well(305), 305), "");
        assert_eq!(wrong(&mut health, &failing(310), 310), "", "it counts anew");
    }

    #[test]
    fn what_lasts_is_told_once() {
        let mut told = Vec::new();
        tell(&["detection has seen nothing for 125s while samples came".to_owned()], &mut told);
        let first = told.clone();
        tell(&["detection has seen nothing for 130s while samples came".to_owned()], &mut told);
        assert_eq!(told, first);
        tell(&[], &mut told);
        assert_eq!(told, [""; 0]);
    }
}
