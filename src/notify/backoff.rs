//! How long to wait before trying again: twice as long each time, never all at once, and as long as the receiver asks.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;

use crate::model::Labels;

/// Longest wait that a receiver can ask for by `Retry-After`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// The waits between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Wait after the first failure; each further failure doubles it.
    pub first: Duration,
    /// Longest wait between two attempts of one notification.
    pub longest: Duration,
    /// While a whole receiver fails, one notification tries it this often for all the others.
    pub probe: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(60), probe: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// The wait after the given number of failures in a row, at least one: between three quarters of the doubled time
    /// and the whole of it. The rest is made from `id`, so that a thousand alerts that failed together come back apart.
    pub fn wait(&self, failure_count: u32, id: &str) -> Duration {
        let doubled = self.first.saturating_mul(1 << failure_count.saturating_sub(1).min(24)).min(self.longest);
        let spread = Labels::hash_bytes(format!("{id}#{failure_count}").as_bytes()) % 1024;
        doubled - doubled.mul_f64(spread as f64 / 4096.0)
    }
}

/// Reads a `Retry-After` header, seconds or an HTTP date, as a wait from `now_ms` on, at most [`RETRY_AFTER_MAX`].
/// A date that has passed is no wait; what is neither is `None`.
pub(crate) fn retry_after(header: &str, now_ms: i64) -> Option<Duration> {
    static DATES: DateTimeParser = DateTimeParser::new();
    let header = header.trim();
    let wait = if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(header.parse().unwrap_or(u64::MAX))
    } else {
        let until_ms = DATES.parse_timestamp(header).ok()?.as_millisecond();
        Duration::from_millis(u64::try_from(until_ms.saturating_sub(now_ms)).unwrap_or(0))
    };
    Some(wait.min(RETRY_AFTER_MAX))
}
