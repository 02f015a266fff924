//! What could not be told to a receiver, and the order to tell it once more.

use std::convert::Infallible;

use hyper::StatusCode;

use super::admin;
use super::call::Call;
use super::json::{JsonText, success};
use super::reply::{ApiError, ErrorKind, Reply, json};
use crate::notify::{DeadLetter, Enqueued, MessageAlert, NotifyError, rfc3339};

/// `/api/v1/dead_letters`: those that are kept and were not sent again, oldest first.
pub(super) async fn dead_letters(call: Call) -> Result<Reply, ApiError> {
    let notifier = call.front.services.notifier.clone();
    // It may wait for the disk, and letters about large groups are much to write.
    let text = tokio::task::spawn_blocking(move || {
        let letters = notifier.dead_letters();
        success(&[], &[], |text| {
            text.raw(r#"{"deadLetters":"#);
            text.list(&letters, dead_letter);
            text.raw("}");
        })
    });
    let text = text.await.map_err(|_| ApiError::new(ErrorKind::Internal, "the list met a bug; the log has more"))?;
    Ok(json(StatusCode::OK, text))
}

fn dead_letter(text: &mut JsonText, letter: &DeadLetter) {
    let members = [
        (r#"{"id":"#, letter.id.as_str()),
        (r#","receiver":"#, letter.receiver.as_str()),
        (r#","at":"#, &rfc3339(letter.at_ms)),
        (r#","reason":"#, letter.reason.as_str()),
        (r#","status":"#, &letter.message.status().to_string()),
        (r#","groupKey":"#, letter.message.group_key.as_str()),
    ];
    for (name, value) in members {
        text.raw(name);
        text.string(value);
    }
    text.raw(r#","alerts":"#);
    text.list(&letter.message.alerts, alert);
    text.raw("}");
}

fn alert(text: &mut JsonText, one: &MessageAlert) {
    text.raw(r#"{"labels":"#);
    text.labels(&one.alert.labels);
    text.raw(r#","status":"#);
    text.string(&one.alert.status().to_string());
    text.raw(r#","startsAt":"#);
    text.string(&rfc3339(one.alert.starts_at_ms));
    text.raw(r#","endsAt":"#);
    match one.alert.ends_at_ms {
        Some(ends_at_ms) => text.string(&rfc3339(ends_at_ms)),
        None => text.raw("null"),
    }
    text.raw("}");
}

/// `/api/v1/dead_letters/replay`: tells the receiver that `id` was meant for, or the one that is given.
pub(super) async fn replay(call: Call) -> Result<Reply, ApiError> {
    let (front, parameters) = admin::admitted(call).await?;
    let Some(id) = parameters.get("id").map(str::to_owned) else {
        return Err(ApiError::parameter("id", "is not given").hint("GET /api/v1/dead_letters lists them"));
    };
    let receiver = parameters.get("receiver").map(str::to_owned);
    let asked = id.clone();
    // What is wrong with the order is the client's to know; the order itself was carried out.
    let replayed = admin::carry_out(front, "replay a dead letter", move |services| {
        Ok::<_, Infallible>(services.notifier.replay_dead_letter(&asked, receiver.as_deref()))
    });
    let Ok(replayed) = replayed.await?;
    match replayed {
        Ok(Some(enqueued)) => Ok(json(
            StatusCode::OK,
            success(&[], &[], |text| {
                let is_new = enqueued == Enqueued::Accepted;
                text.raw(&format!(r#"{{"accepted":{is_new}}}"#));
            }),
        )),
        Ok(None) => {
            let error = ApiError::new(ErrorKind::NotFound, format!("there is no dead letter {id:?}"));
            Err(error.hint("GET /api/v1/dead_letters lists them"))
        }
        Err(NotifyError::Receiver { receiver, what }) => {
            Err(ApiError::parameter("receiver", format!("{receiver:?}: {what}")))
        }
        Err(error) => Err(ApiError::new(ErrorKind::Unavailable, error.to_string()).retry_after(5)),
    }
}
