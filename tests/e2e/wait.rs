//! Waiting for what will happen, and failing with its name when it does not.

use std::time::Duration;

use dozor::clock::Clock;

/// How long to wait for what takes a moment on a machine that has nothing else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Looks again and again until there is something to see. Panics with `what` after [`PATIENCE`].
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(clock.monotonic() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// As [`wait_for`], for something that is or is not.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}
