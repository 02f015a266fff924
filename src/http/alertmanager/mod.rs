//! Alertmanager's interface, version 2: silences, the alerts that fire and their groups. Its own tool and Grafana speak to it
//! as they do to Alertmanager.
//!
//! ```text
//! POST   /api/v2/silences       {"matchers":[{"name":"alertname","value":"SlowPage","isRegex":false}],…}   {"silenceID":"6a2f…"}
//! DELETE /api/v2/silence/6a2f…                                                                           200
//! POST   /api/v2/alerts         [{"labels":{"alertname":"Down"},"endsAt":"2026-11-27T18:00:00Z"}]          200
//! ```
//!
//! Errors are JSON strings there. What changes something needs a JSON body or the method DELETE, which no browser sends for
//! a stranger's page without asking first, and is not allowed to. Each silence and each end of one is told in the log.

mod alerts;
mod read;
mod silences;
mod status;

use hyper::StatusCode;

pub(super) use alerts::{alerts, groups};
pub(super) use silences::{silence, silences};
pub(super) use status::{receivers, status};

use super::json::JsonText;
use super::reply::{ApiError, ErrorKind, Reply, json};

/// A text as the body of an answer.
fn told(status: StatusCode, what: &str) -> Reply {
    answer(status, |text| text.string(what))
}

fn answer(status: StatusCode, write: impl FnOnce(&mut JsonText)) -> Reply {
    let mut text = JsonText::new();
    write(&mut text);
    json(status, text)
}

/// Runs what may wait for the disk on a thread of its own, to its end.
pub(super) async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ApiError::new(ErrorKind::Internal, "this request met a bug; the log has more"))
}
