//! Who is told, by which rules: made of the settings and the routing file, at the start and at each reload.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::disk::Disk;
use crate::model::Labels;
use crate::notify::routing::{self, FILE_BYTES_MAX, Routing};
use crate::notify::silence::Silences;
use crate::notify::{
    Delivery, Destination, Integration, IntegrationConfig, Notifier, NotifierOptions, NotifyError, Plan,
};

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

/// All reasons why there is no plan, one a line.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct PlanErrors(pub Vec<PlanError>);

fn lines(errors: &[PlanError]) -> String {
    errors.iter().map(PlanError::to_string).collect::<Vec<_>>().join("\n")
}

/// The plan that the settings and the files that they name say now, or all that is wrong with them.
pub(super) fn plan(config: &Config, disk: &dyn Disk) -> Result<Plan, PlanErrors> {
    let (mut webhooks, mut faults) = (Vec::new(), Vec::new());
    for webhook in &config.webhooks {
        match IntegrationConfig::from_config(webhook) {
            Ok(webhook) => webhooks.push(webhook),
            Err(fault) => faults.push(PlanError::from(fault)),
        }
    }
    let mut plan = Plan::direct(webhooks);
    let file = &config.notify.routing_file;
    if !file.as_os_str().is_empty() {
        match read_routing(disk, file) {
            Ok(routing) => {
                routing.receivers().iter().for_each(|receiver| plan.add_receiver(receiver));
                plan.routing = Some(Arc::new(routing));
            }
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(PlanErrors(faults));
    }
    let fallback = &config.notify.fallback_receiver;
    plan.fallback_receiver = (!fallback.is_empty()).then(|| fallback.clone());
    Ok(plan)
}

/// Everybody in the plan who cannot be told, and why.
pub(super) fn unusable(plan: &Plan, clock: &Clock) -> Vec<NotifyError> {
    let timeout = Delivery::default().attempt_timeout;
    let refused = |one: &Destination| Integration::new(&one.integration, "", clock.clone(), timeout).err();
    plan.destinations.iter().filter_map(refused).collect()
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
