//! What the engine says about itself: numbers at `/metrics`, lines on stderr.
//!
//! A room asks the [`Registry`] for its numbers once, at start, and then only touches atomics:
//!
//! ```
//! use dozor::telemetry::Registry;
//! let registry = Registry::new();
//! let refused = registry.counter("dozor_writes_refused_total", "Writes refused.", &[("reason", "too_large")]);
//! refused.add(2);
//! let text = registry.render();
//! assert!(text.contains("# TYPE dozor_writes_refused_total counter\n"));
//! assert!(text.contains("dozor_writes_refused_total{reason=\"too_large\"} 2\n"));
//! ```
//!
//! Always true:
//! 1. One family has one kind and one help text; one set of labels in it is registered once. Anything else is a mistake
//!    in the code and panics at start.
//! 2. Rendering never waits for a room that counts: counters and gauges are atomics, and a [`Latency`] is locked for
//!    one record at a time.
//! 3. Families and series are rendered in the order of their names, so that two scrapes can be compared as text.

mod logging;
mod process;
mod registry;

pub use logging::start_logging;
pub use process::{hostname, memory_bytes, register_process, threads_count};
pub use registry::{Counter, Gauge, Histogram, Latency, Registry};

#[cfg(test)]
mod tests;
