//! The Alertmanagers that are told of everything that fires: a task for each, while the settings name it.
//!
//! ```text
//! start, reload ─► addresses ─► stays: its task goes on, and what it was told is known
//!                               new:   a task begins, with all that fires
//!                               went:  its task ends, in the middle of a request too
//! ```
//!
//! One that went is told no ends: it ends what it hears no more of by itself.
//!
//! Always true: each entry of the settings in force has one task.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch as signal;
use tokio::task::JoinHandle;

use super::guard::EndProcessOnPanic;
use crate::clock::Clock;
use crate::notify::{AlertmanagerPeer, Notifier, NotifyError};

/// Those of the settings in force.
pub(super) struct Alertmanagers {
    notifier: Arc<Notifier>,
    clock: Clock,
    runtime: Handle,
    stopped: signal::Receiver<bool>,
    running: Mutex<Vec<Running>>,
}

/// Addresses that can be used, each with who tells it.
pub(super) struct PreparedPeers(Vec<(String, AlertmanagerPeer)>);

struct Running {
    url: String,
    /// Without what may be secret.
    shown: String,
    task: JoinHandle<()>,
}

impl Alertmanagers {
    /// Begins with these addresses; the tasks end when `stopped` turns true. Needs a tokio runtime.
    pub(super) fn start(
        urls: &[String],
        notifier: Arc<Notifier>,
        clock: Clock,
        stopped: signal::Receiver<bool>,
    ) -> Result<Arc<Alertmanagers>, NotifyError> {
        let (runtime, running) = (Handle::current(), Mutex::default());
        let alertmanagers = Alertmanagers { notifier, clock, runtime, stopped, running };
        let peers = alertmanagers.prepare(urls).map_err(|mut errors| errors.swap_remove(0))?;
        alertmanagers.replace(peers);
        Ok(Arc::new(alertmanagers))
    }

    /// Makes ready to go on with these addresses, or says all that is wrong with them. Nothing changes by that.
    pub(super) fn prepare(&self, urls: &[String]) -> Result<PreparedPeers, Vec<NotifyError>> {
        let (mut peers, mut faults) = (Vec::new(), Vec::new());
        for url in urls {
            match AlertmanagerPeer::new(url, self.clock.clone()) {
                Ok(peer) => peers.push((url.clone(), peer)),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(PreparedPeers(peers)) } else { Err(faults) }
    }

    /// Goes on with these.
    pub(super) fn replace(&self, peers: PreparedPeers) {
        let mut running = self.running.lock();
        let mut former = std::mem::take(&mut *running);
        for (url, peer) in peers.0 {
            let stays = former.iter().position(|one| one.url == url).map(|index| former.swap_remove(index));
            running.push(stays.unwrap_or_else(|| self.begin(url, peer)));
        }
        for gone in former {
            gone.task.abort();
            tracing::info!(alertmanager = gone.shown, "this Alertmanager went from the settings: it is told no more");
        }
    }

    fn begin(&self, url: String, peer: AlertmanagerPeer) -> Running {
        let shown = peer.shown_address().to_owned();
        let (firing, stopped) = (self.notifier.clone(), self.stopped.clone());
        let task = self.runtime.spawn(async move {
            let _guard = EndProcessOnPanic;
            peer.run(move || firing.active(), stopped).await;
        });
        Running { url, shown, task }
    }
}
