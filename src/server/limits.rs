//! What the settings leave to the machine: memory that requests may take, series, open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::http::HttpLimits;
use crate::ingest::{IngestLimits, OtlpOptions};
use crate::telemetry;

/// Memory that the head may take for one series, when the limit of series is derived from the machine's memory: its
/// labels, index and table entries (measured by `benches/memory.rs`, with room for longer labels), and three hours of
/// samples, one each 15 s, of 2.7 bytes.
const SERIES_BYTES_ASSUMED: u64 = 450 + 720 * 27 / 10;
/// Share of the memory that writes under way may take, and its bounds: a quarter of a second of the fastest senders.
const IN_FLIGHT_SHARE: u64 = 16;
const IN_FLIGHT_BYTES: (u64, u64) = (64 << 20, 256 << 20);
/// Open files that connections leave to the log, the blocks and the notifier.
const FILES_KEPT: u64 = 320;

/// Series that may be in memory.
pub(super) fn series_max(config: &Config) -> usize {
    count(match config.head.series_max {
        0 => telemetry::memory_bytes() / 2 / SERIES_BYTES_ASSUMED,
        given => given,
    })
}

/// What bounds a write.
pub(super) fn of_ingest(config: &Config) -> IngestLimits {
    let limits = &config.limits;
    let in_flight = match limits.ingest_bytes_in_flight_max {
        0 => (telemetry::memory_bytes() / IN_FLIGHT_SHARE).clamp(IN_FLIGHT_BYTES.0, IN_FLIGHT_BYTES.1),
        given => given,
    };
    let decoded_bytes_max = count(limits.request_decoded_bytes_max);
    // A metric leaves four fifths of the head to others, a job half of it: whoever explodes fills its own share.
    let share = |given: u64, part: usize| if given == 0 { (series_max(config) / part).max(1) } else { count(given) };
    IngestLimits {
        request_bytes_max: count(limits.request_bytes_max),
        request_decoded_bytes_max: decoded_bytes_max,
        // The largest request that is allowed must find room, and a second one beside it.
        bytes_in_flight_max: count(in_flight).max(decoded_bytes_max.saturating_mul(4)),
        series_per_request_max: count(limits.series_per_request_max),
        samples_per_request_max: count(limits.samples_per_request_max),
        labels_per_series_max: count(limits.labels_per_series_max),
        label_name_bytes_max: count(limits.label_name_bytes_max),
        label_value_bytes_max: count(limits.label_value_bytes_max),
        series_per_metric_max: share(limits.series_per_metric_max, 5),
        series_per_job_max: share(limits.series_per_job_max, 2),
    }
}

/// How OpenTelemetry's metrics are translated.
pub(super) fn of_otlp(config: &Config) -> OtlpOptions {
    OtlpOptions {
        promoted_attributes: config.otlp.promote_resource_attributes.clone(),
        scope_labels: config.otlp.scope_labels,
        delta_series_max: count(config.otlp.delta_series_max),
    }
}

/// What bounds connections. No more of them than the system gives descriptors for, the database's own left out: else a
/// fleet that connects could keep the log from its next segment.
pub(super) fn of_http(config: &Config) -> HttpLimits {
    let limits = HttpLimits::of(config);
    let files_max = raise_open_files();
    let connections_max = connections_within(files_max, limits.connections_max);
    if connections_max < limits.connections_max {
        let wanted = limits.connections_max;
        tracing::warn!(
            wanted,
            connections_max,
            files_max,
            "limits.connections_max is more than the system's limit of open files allows; raise that limit"
        );
    }
    HttpLimits { connections_max, ..limits }
}

fn connections_within(files_max: u64, connections_max: usize) -> usize {
    let kept = FILES_KEPT.min(files_max / 2);
    connections_max.min(count(files_max - kept)).max(1)
}

/// Raises the limit of open files as far as this process may, and returns it.
fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // What is refused stays as it was, which was enough to come here.
    let _ = setrlimit(Resource::Nofile, wanted);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str) -> Config {
        Config::from_yaml("a.yml", yaml).expect("the settings are right")
    }

    #[test]
    fn connections_leave_descriptors_to_the_database() {
        assert_eq!(connections_within(1 << 20, 4096), 4096);
        assert_eq!(connections_within(4096, 4096), 3776);
        assert_eq!(connections_within(64, 4096), 32, "of few, half");
        assert_eq!(connections_within(1, 4096), 1);
    }

    #[test]
    fn open_files_are_raised_to_what_the_system_allows() {
        let files_max = raise_open_files();
        assert_eq!(getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX), files_max);
    }

    #[test]
    fn budgets_are_shares_of_the_head_unless_they_are_given() {
        let limits = of_ingest(&config("head: { series_max: 1000 }"));
        assert_eq!((limits.series_per_metric_max, limits.series_per_job_max), (200, 500));
        let limits = of_ingest(&config("limits: { series_per_metric_max: 7, series_per_job_max: 9 }"));
        assert_eq!((limits.series_per_metric_max, limits.series_per_job_max), (7, 9));
    }

    #[test]
    fn bytes_in_flight_go_by_the_machine_and_hold_the_largest_request_twice() {
        let standard = of_ingest(&config("limits: {}")).bytes_in_flight_max;
        assert!((128 << 20..=256 << 20).contains(&standard), "{standard}");
        assert_eq!(of_ingest(&config("limits: { ingest_bytes_in_flight_max: 1GiB }")).bytes_in_flight_max, 1 << 30);
        let wide = of_ingest(&config("limits: { request_decoded_bytes_max: 500MiB }"));
        assert_eq!(wide.bytes_in_flight_max, 2000 << 20);
    }
}
