//! `/api/v2/silences` and `/api/v2/silence/{id}`.

use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::super::call::Call;
use super::super::json::JsonText;
use super::super::reply::{ApiError, Reply};
use super::super::request::Parameters;
use super::{answer, on_thread, read, told};
use crate::model::{MatchOp, Matcher};
use crate::notify::silence::{Silence, SilenceError, SilenceRequest};
use crate::notify::{Matchers, rfc3339};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    id: Option<String>,
    matchers: Vec<GivenMatcher>,
    starts_at: String,
    ends_at: String,
    created_by: String,
    comment: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GivenMatcher {
    name: String,
    value: String,
    is_regex: bool,
    is_equal: Option<bool>,
}

/// `/api/v2/silences`
pub(in super::super) async fn silences(call: Call) -> Result<Reply, ApiError> {
    if call.head.method == Method::POST { change(call).await } else { list(&call) }
}

/// `/api/v2/silence/{id}`
pub(in super::super) async fn silence(call: Call) -> Result<Reply, ApiError> {
    if call.head.method == Method::DELETE { expire(call).await } else { Ok(one(call)) }
}

fn list(call: &Call) -> Result<Reply, ApiError> {
    let parameters = Parameters::of_address(&call.head)?;
    let filters = match read::filters(&parameters) {
        Ok(filters) => filters,
        Err(what) => return Ok(told(StatusCode::BAD_REQUEST, &what)),
    };
    let silences = &call.front.services.silences;
    let now_ms = silences.now_ms();
    let mut all = silences.all();
    all.retain(|silence| filters.iter().flat_map(Matchers::iter).all(|filter| is_met(filter, silence)));
    Ok(answer(StatusCode::OK, |text| text.list(&all, |text, silence| write(text, silence, now_ms))))
}

/// A filter looks at what a silence wants of the label.
fn is_met(filter: &Matcher, silence: &Silence) -> bool {
    let wanted = silence.matchers.iter().filter(|matcher| matcher.name() == filter.name()).last();
    filter.matches(wanted.map_or("", Matcher::value))
}

async fn change(call: Call) -> Result<Reply, ApiError> {
    let Call { front, head, body, .. } = call;
    let request = match read::body::<Given>(&front, &head, body).await.map(request) {
        Ok(Ok(request)) => request,
        Ok(Err(what)) => return Ok(told(StatusCode::BAD_REQUEST, &what)),
        Err(reply) => return Ok(reply),
    };
    let silences = front.services.silences.clone();
    Ok(match on_thread(move || silences.set(request)).await? {
        Err(error) => refused(&error),
        Ok(silence) => {
            let (from, until) = (rfc3339(silence.starts_at_ms), rfc3339(silence.ends_at_ms));
            let Silence { id, matchers, created_by, comment, .. } = &*silence;
            tracing::info!(id, %matchers, created_by, from, until, comment, "silenced");
            answer(StatusCode::OK, |text| {
                text.raw(r#"{"silenceID":"#);
                text.string(&silence.id);
                text.raw("}");
            })
        }
    })
}

fn request(given: Given) -> Result<SilenceRequest, String> {
    let matcher = |given: GivenMatcher| {
        let op = match (given.is_equal.unwrap_or(true), given.is_regex) {
            (true, false) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Matches,
            (false, true) => MatchOp::NotMatches,
        };
        if given.name.is_empty() {
            return Err("the name of a label is empty".to_owned());
        }
        Matcher::new(given.name, op, given.value).map_err(|error| error.to_string())
    };
    let matchers = given.matchers.into_iter().map(matcher).collect::<Result<Vec<_>, _>>()?;
    let time = |name: &str, text: &str| read::moment(name, Some(text))?.ok_or_else(|| format!("{name} is missing"));
    Ok(SilenceRequest {
        id: given.id.filter(|id| !id.is_empty()),
        matchers: Matchers::new(matchers),
        starts_at_ms: time("startsAt", &given.starts_at)?,
        ends_at_ms: time("endsAt", &given.ends_at)?,
        created_by: given.created_by,
        comment: given.comment,
    })
}

fn refused(error: &SilenceError) -> Reply {
    let status = match error {
        SilenceError::Refused(_) | SilenceError::Full { .. } => StatusCode::BAD_REQUEST,
        SilenceError::NotFound(_) => StatusCode::NOT_FOUND,
        SilenceError::Disk(_) | SilenceError::Damaged { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(%error, "a silence could not be changed");
    }
    told(status, &error.to_string())
}

fn one(call: Call) -> Reply {
    let silences = &call.front.services.silences;
    let now_ms = silences.now_ms();
    match silences.get(&call.captured) {
        Some(silence) => answer(StatusCode::OK, |text| write(text, &silence, now_ms)),
        None => refused(&SilenceError::NotFound(call.captured)),
    }
}

async fn expire(call: Call) -> Result<Reply, ApiError> {
    let (silences, id) = (call.front.services.silences.clone(), call.captured);
    Ok(match on_thread(move || silences.expire(&id)).await? {
        Err(error) => refused(&error),
        Ok(silence) => {
            let Silence { id, matchers, created_by, comment, .. } = &*silence;
            tracing::info!(id, %matchers, created_by, comment, "a silence was ended by HTTP");
            answer(StatusCode::OK, |text| text.raw("{}"))
        }
    })
}

fn write(text: &mut JsonText, silence: &Silence, now_ms: i64) {
    text.raw(r#"{"id":"#);
    text.string(&silence.id);
    text.raw(r#","status":{"state":"#);
    text.string(silence.state(now_ms).name());
    text.raw(r#"},"updatedAt":"#);
    text.string(&rfc3339(silence.updated_at_ms));
    for (name, value) in [
        ("comment", &silence.comment),
        ("createdBy", &silence.created_by),
        ("endsAt", &rfc3339(silence.ends_at_ms)),
        ("startsAt", &rfc3339(silence.starts_at_ms)),
    ] {
        text.raw(&format!(r#","{name}":"#));
        text.string(value);
    }
    text.raw(r#","matchers":"#);
    text.list(silence.matchers.iter(), |text, matcher| {
        let is_equal = matches!(matcher.op(), MatchOp::Equal | MatchOp::Matches);
        text.raw(&format!(r#"{{"isEqual":{is_equal},"isRegex":{},"name":"#, matcher.op().is_pattern()));
        text.string(matcher.name());
        text.raw(r#","value":"#);
        text.string(matcher.value());
        text.raw("}");
    });
    text.raw("}");
}
