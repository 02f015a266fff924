//! `/api/v1/status/senders`: who sends, how late and by which clock.

use hyper::StatusCode;

use super::call::Call;
use super::json::{JsonText, success};
use super::reply::{ApiError, Reply, json};
use crate::notify::rfc3339;

/// A sender, as the walks over the stored series have seen it. Times are ms since 1970 UTC.
#[derive(Clone, Debug, PartialEq)]
pub struct SenderFigures {
    /// The value of the label `job`, or of `service` where there is none; empty for series that have neither.
    pub job: String,
    /// `new`, `sending`, `silent`, `ended` or `lost`.
    pub state: &'static str,
    /// When something of it was last found to have come, by the server's clock; none since the start.
    pub heard_ms: Option<i64>,
    /// Time of its newest sample, by its own clock.
    pub newest_ms: i64,
    /// How long its samples are on their way, at least, in ms; of a silent one, the age of the newest.
    pub lag_ms: i64,
    /// How far its clock is ahead, in ms.
    pub clock_skew_ms: i64,
    /// How long it is usually silent between samples, in ms; 0 before that is known.
    pub interval_ms: i64,
    /// How late its samples usually come, measured by event time, in ms; none where that is not known, or no rule watches
    /// them.
    pub lateness_ms: Option<i64>,
    /// How long detection waits for those that are late, in ms; none where no rule watches them.
    pub waited_ms: Option<i64>,
    /// Samples that it sends in a second.
    pub samples_per_second: f64,
    /// Series that it sends.
    pub series_count: u64,
}

/// `/api/v1/status/senders`
pub(super) async fn senders(call: Call) -> Result<Reply, ApiError> {
    let senders = (call.front.services.senders)();
    Ok(json(
        StatusCode::OK,
        success(&[], &[], |text| {
            text.raw(r#"{"senders":"#);
            text.list(&senders, sender);
            text.raw("}");
        }),
    ))
}

fn sender(text: &mut JsonText, sender: &SenderFigures) {
    text.raw(r#"{"job":"#);
    text.string(&sender.job);
    text.raw(&format!(r#","state":"{}","lastSeen":"#, sender.state));
    match sender.heard_ms {
        Some(heard_ms) => text.string(&rfc3339(heard_ms)),
        None => text.raw("null"),
    }
    text.raw(r#","newestSample":"#);
    text.string(&rfc3339(sender.newest_ms));
    text.raw(r#","lagSeconds":"#);
    text.seconds(sender.lag_ms);
    text.raw(r#","clockSkewSeconds":"#);
    text.seconds(sender.clock_skew_ms);
    text.raw(r#","intervalSeconds":"#);
    text.seconds(sender.interval_ms);
    for (name, figure_ms) in [("latenessSeconds", sender.lateness_ms), ("waitedSeconds", sender.waited_ms)] {
        text.raw(&format!(r#","{name}":"#));
        match figure_ms {
            Some(figure_ms) => text.seconds(figure_ms),
            None => text.raw("null"),
        }
    }
    text.raw(&format!(r#","samplesPerSecond":{:.3},"series":{}}}"#, sender.samples_per_second, sender.series_count));
}
