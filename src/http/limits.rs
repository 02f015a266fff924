//! How much and how long.

use std::time::Duration;

use crate::config::Config;

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
/// Most refused connections whose last words are waited for at a time.
pub(super) const CONNECTIONS_REFUSED_LINGERING_MAX: usize = 64;

/// Limits of the server. [`HttpLimits::default`] has the documented ones; a test may shorten the waits.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Most connections at a time; one past it is answered 503 and closed.
    pub connections_max: usize,
    /// Longest body of a write as it is sent, in bytes.
    pub request_bytes_max: usize,
    /// Most bytes that the bodies being read may take together.
    pub bodies_bytes_max: usize,
    /// Most queries that run at a time.
    pub queries_max: usize,
    /// Longest wait of a query for its turn.
    pub queue_timeout: Duration,
    /// Longest time between the first byte of a head and its last.
    pub head_timeout: Duration,
    /// Longest time between the end of a head and the end of its body.
    pub body_timeout: Duration,
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
            request_bytes_max: 16 << 20,
            bodies_bytes_max: 256 << 20,
            queries_max: 2 * cores(),
            queue_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
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
        let request_bytes_max = count(config.limits.request_bytes_max);
        HttpLimits {
            connections_max: count(config.limits.connections_max),
            request_bytes_max,
            bodies_bytes_max: standard.bodies_bytes_max.max(request_bytes_max.saturating_mul(2)),
            queries_max: match config.query.concurrency {
                0 => standard.queries_max,
                concurrency => count(concurrency),
            },
            ..standard
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
