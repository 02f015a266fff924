//! How much and how long.

use std::time::Duration;

use crate::config::Config;
use crate::telemetry;

/// Longest head of a request, in bytes: request line and headers together.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;
/// Most headers of a request.
pub(super) const HEADERS_COUNT_MAX: usize = 100;
/// Longest form that is read as parameters, in bytes.
pub(super) const FORM_BYTES_MAX: usize = 1 << 20;
/// Most queries that wait for a permit at a time.
pub(super) const QUERIES_WAITING_MAX: usize = 256;
/// Most exports under way at a time.
pub(super) const EXPORTS_MAX: usize = 2;
/// Most remote reads that send chunks at a time.
pub(super) const READS_MAX: usize = 10;
/// Most refused connections whose last words are waited for at a time.
pub(super) const CONNECTIONS_REFUSED_LINGERING_MAX: usize = 64;

/// Patience with a body before its rate is looked at.
pub(super) const BODY_PATIENCE: Duration = Duration::from_secs(5);

/// Limits of the server. [`HttpLimits::default`] has the documented ones; a test may shorten the waits.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Most connections at a time; one past it is answered 503 and closed.
    pub connections_max: usize,
    /// Most connections from one address; loopback is not counted.
    pub connections_per_address_max: usize,
    /// Longest body of a write as it is sent, in bytes.
    pub request_bytes_max: usize,
    /// Most bytes that the bodies being read may take together.
    pub bodies_bytes_max: usize,
    /// Most queries that run at a time.
    pub queries_max: usize,
    /// Most bytes of answers to range queries that are kept as they were sent.
    pub texts_bytes_max: usize,
    /// Longest wait of a query for its turn.
    pub queue_timeout: Duration,
    /// Longest time between the first byte of a head and its last.
    pub head_timeout: Duration,
    /// Longest time between the end of a head and the end of its body.
    pub body_timeout: Duration,
    /// Least bytes a second at which a body arrives once [`HttpLimits::body_patience`] is over; 0 is any.
    pub body_rate_min: usize,
    /// Time in which a body may come as slowly as it likes.
    pub body_patience: Duration,
    /// Longest time without a request on an open connection.
    pub idle_timeout: Duration,
    /// Longest time in which a client takes nothing of its answer.
    pub stall_timeout: Duration,
    /// Longest wait for requests in flight when the server stops.
    pub drain_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        HttpLimits {
            connections_max: 4096,
            connections_per_address_max: 1024,
            request_bytes_max: 16 << 20,
            bodies_bytes_max: 256 << 20,
            queries_max: 2 * cores(),
            texts_bytes_max: 16 << 20,
            queue_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            body_rate_min: 1024,
            body_patience: BODY_PATIENCE,
            idle_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(8),
        }
    }
}

impl HttpLimits {
    /// The limits that the settings ask for.
    pub fn of(config: &Config) -> HttpLimits {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let standard = HttpLimits::default();
        let span = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let limits = &config.limits;
        let request_bytes_max = count(limits.request_bytes_max);
        let bodies_bytes_max = match limits.body_bytes_in_flight_max {
            0 => memory_share(),
            given => count(given),
        };
        HttpLimits {
            connections_max: count(limits.connections_max),
            connections_per_address_max: count(limits.connections_per_address_max),
            request_bytes_max,
            // The longest body that is allowed must find room.
            bodies_bytes_max: bodies_bytes_max.max(request_bytes_max.saturating_mul(2)),
            head_timeout: span(limits.head_timeout_ms),
            body_timeout: span(limits.body_timeout_ms),
            body_rate_min: count(limits.body_rate_min),
            idle_timeout: span(limits.idle_timeout_ms),
            texts_bytes_max: count(config.query.text_cache_bytes()),
            queries_max: match config.query.concurrency {
                0 => standard.queries_max,
                concurrency => count(concurrency),
            },
            ..standard
        }
    }
}

/// What bodies may take where no setting says it: a 32nd of the memory, which are hundreds of requests.
fn memory_share() -> usize {
    let share = telemetry::memory_bytes() / 32;
    usize::try_from(share.clamp(32 << 20, 256 << 20)).unwrap_or(usize::MAX)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
