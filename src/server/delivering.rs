//! Who is told, by which rules: made of the settings and the routing file, at the start and at each reload.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::evaluating::EvaluatedRules;
use crate::clock::Clock;
use crate::config::Config;
use crate::disk::Disk;
use crate::model::Labels;
use crate::notify::routing::{self, FILE_BYTES_MAX, Routing};
use crate::notify::silence::Silences;
use crate::notify::{IntegrationConfig, Notifier, NotifierOptions, NotifyError, Plan};
use crate::rules::Reloaded;

/// Why there is no plan. The operator must mend the settings or the file.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The routing file cannot be read.
    #[error("the routing file {file} cannot be read: {what}", file = file.display())]
    Unreadable {
        /// The setting.
        file: PathBuf,
        /// What the system said, or why it is no text.
        what: String,
    },
    /// The routing file has mistakes: one text that names each with its line.
    #[error("{0}")]
    Routing(String),
    /// A receiver cannot be used: its address, its secret or its template.
    #[error(transparent)]
    Receiver(#[from] NotifyError),
}

/// The plan that the settings and the files that they name say now.
pub(super) fn plan(config: &Config, disk: &dyn Disk) -> Result<Plan, PlanError> {
    let webhooks: Result<Vec<_>, _> = config.webhooks.iter().map(IntegrationConfig::from_config).collect();
    let mut plan = Plan::direct(webhooks?);
    let file = &config.notify.routing_file;
    if !file.as_os_str().is_empty() {
        let routing = read_routing(disk, file)?;
        routing.receivers().iter().for_each(|receiver| plan.add_receiver(receiver));
        plan.routing = Some(Arc::new(routing));
    }
    let fallback = &config.notify.fallback_receiver;
    plan.fallback_receiver = (!fallback.is_empty()).then(|| fallback.clone());
    Ok(plan)
}

fn read_routing(disk: &dyn Disk, file: &Path) -> Result<Routing, PlanError> {
    let unreadable = |what: String| PlanError::Unreadable { file: file.to_owned(), what };
    let length = disk.file_bytes(file).map_err(|error| unreadable(error.to_string()))?;
    if length > FILE_BYTES_MAX as u64 {
        return Err(unreadable(format!("it has {length} bytes, and {FILE_BYTES_MAX} are the most")));
    }
    let bytes = disk.read(file).map_err(|error| unreadable(error.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| unreadable(error.to_string()))?;
    routing::load(&file.display().to_string(), text).map_err(PlanError::Routing)
}

/// Opens the outbox, tells what was found in it, and prepares the receivers.
pub(super) fn open(
    config: &Config,
    disk: &Arc<dyn Disk>,
    clock: &Clock,
    plan: Plan,
    silences: &Arc<Silences>,
    external_url: String,
) -> Result<Arc<Notifier>, NotifyError> {
    let folder = config.data_dir.join(super::OUTBOX);
    let silences = silences.clone();
    let silencer = Arc::new(move |labels: &Labels, now_ms| silences.silenced_by(labels, now_ms));
    let folding = super::incidents::folding(config);
    let options = NotifierOptions { silencer, folding, ..NotifierOptions::new(plan, external_url) };
    let (notifier, recovered) = Notifier::open(disk.clone(), &folder, clock.clone(), options)?;
    for damage in &recovered.damage {
        tracing::error!("damage found: {damage}");
    }
    if recovered.pending_count + recovered.active_count > 0 {
        let (pending, active) = (recovered.pending_count, recovered.active_count);
        tracing::info!(pending, active, "the outbox goes on where it stopped");
    }
    Ok(notifier)
}

/// Reads the rules and the plan again.
pub(super) struct Reloading {
    config: Arc<Config>,
    disk: Arc<dyn Disk>,
    rules: Arc<EvaluatedRules>,
    notifier: Arc<Notifier>,
    /// Held while both are read and put in force.
    turn: Mutex<()>,
}

impl Reloading {
    pub(super) fn new(
        config: Arc<Config>,
        disk: Arc<dyn Disk>,
        rules: Arc<EvaluatedRules>,
        notifier: Arc<Notifier>,
    ) -> Reloading {
        Reloading { config, disk, rules, notifier, turn: Mutex::new(()) }
    }

    /// Puts in force what the files say now. With a fault in any of them everything stays as it is.
    pub(super) fn reload(&self) -> Result<Reloaded, String> {
        let _turn = self.turn.lock();
        let plan = plan(&self.config, &*self.disk).and_then(|plan| {
            // Or the next start would refuse what was taken here.
            super::incidents::check(&self.config, &plan).map_err(|error| PlanError::Routing(error.to_string()))?;
            Ok(self.notifier.prepare(plan)?)
        });
        let plan = plan.map_err(|error| {
            tracing::error!("who is told is not reloaded, and neither are rules; all stays in force:\n{error}");
            format!("who is told stays as it was, and so do rules:\n{error}")
        })?;
        let reloaded =
            self.rules.reload().map_err(|errors| format!("the rules from before stay in force:\n{errors}"))?;
        self.notifier.replace_plan(plan);
        Ok(reloaded)
    }
}
