//! The loops of the threads that look after what is stored: `maintain` and `snapshots`.

use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};

use crate::storage::{BackupError, Snapshots, Storage};

/// How often blocks and retention are looked after. To see that nothing is due costs next to nothing.
const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(500);
/// How often it is looked whether a snapshot is due.
const SNAPSHOT_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How soon they are looked after again when the disk refused.
const MAINTENANCE_AFTER_A_FAILURE: Duration = Duration::from_secs(5);
/// How soon they are looked after again when a block was cut: the head is emptied in the next round, and time may run
/// faster than the clock.
const MAINTENANCE_AFTER_A_CUT: Duration = Duration::from_millis(100);

/// The loop of the maintenance thread.
pub(super) fn maintain(storage: &Storage, stopped: &Receiver<()>) {
    let mut wait = MAINTENANCE_INTERVAL;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
        wait = MAINTENANCE_INTERVAL;
        match storage.maintain() {
            Ok(done) if done.head_full && done.blocks_cut == 0 => wait = MAINTENANCE_AFTER_A_CUT,
            Ok(done) if done.blocks_cut + done.blocks_compacted + done.blocks_expired > 0 => {
                wait = MAINTENANCE_AFTER_A_CUT;
                let (cut, compacted, expired) = (done.blocks_cut, done.blocks_compacted, done.blocks_expired);
                tracing::info!(cut, compacted, expired, "blocks");
            }
            Ok(_) => {}
            // The log keeps what the block was to hold; the next round tries again.
            Err(error) => {
                wait = MAINTENANCE_AFTER_A_FAILURE;
                tracing::error!(%error, "maintenance failed and will be tried again");
            }
        }
    }
}

/// The loop of the thread for snapshots: a large one is read for minutes, in which blocks must go on being cut.
pub(super) fn keep_snapshots(snapshots: &Snapshots, stopped: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(SNAPSHOT_LOOK_INTERVAL) {
        match snapshots.keep_up() {
            Some(Ok(taken)) => tracing::info!(name = taken.name, bytes = taken.bytes, "a snapshot is taken"),
            // One that somebody asked for is being taken: that is a snapshot too. And at the end none is.
            Some(Err(BackupError::Busy | BackupError::Stopping)) | None => {}
            Some(Err(error)) => tracing::error!(%error, "a snapshot could not be taken and will be tried again"),
        }
    }
}
