//! Who panics ends the process: a server that has silently lost a thread or a task is worse than one that is started again.

use std::thread::JoinHandle;

use super::ServerError;

/// Ends the process when it is dropped by a panic.
pub(super) struct EndProcessOnPanic;

impl Drop for EndProcessOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// A thread whose panic ends the process: a server that has silently stopped to watch, or to cut blocks, is worse than
/// one that is started again.
pub(super) fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, ServerError> {
    let guarded = move || {
        let _guard = EndProcessOnPanic;
        body();
    };
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(guarded);
    started.map_err(|source| ServerError::Thread { name: name.to_owned(), source })
}
