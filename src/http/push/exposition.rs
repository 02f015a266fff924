//! Prometheus's text format and OpenMetrics, pushed to where VictoriaMetrics takes them.
//!
//! ```text
//! curl --data-binary @page 'http://dozor:9090/api/v1/import/prometheus?extra_label=shop=berlin'
//! curl --data-binary @page  http://dozor:9090/api/v1/import/prometheus/metrics/job/backup/instance/db1
//! ```
//!
//! Labels of the address, in the path or as `extra_label`, take the place of a series' own. Samples without a time get the one
//! of `timestamp` in ms, or the present one.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::super::bulk::{add_extra_labels, add_label};
use super::super::call::Call;
use super::super::reply::{ApiError, Reply};
use super::super::request::Parameters;
use super::super::write::{header, read_body, told};
use crate::ingest::TextPush;
use crate::model::percent_decoded;

/// `/api/v1/import/prometheus`
pub(in super::super) async fn import_text(call: Call) -> Result<Reply, ApiError> {
    import(call, Vec::new()).await
}

/// `/api/v1/import/prometheus/metrics/{rest}`
pub(in super::super) async fn import_text_of_group(call: Call) -> Result<Reply, ApiError> {
    let labels = labels_of_path(&call.captured)?;
    import(call, labels).await
}

async fn import(call: Call, mut extra_labels: Vec<(String, String)>) -> Result<Reply, ApiError> {
    let Call { front, head, body, .. } = call;
    let parameters = Parameters::of_address(&head)?;
    add_extra_labels(&parameters, &mut extra_labels)?;
    let timestamp_ms = parameters.get("timestamp").map(|text| {
        let what = || ApiError::parameter("timestamp", format!("{text:?} is not a number of milliseconds"));
        text.parse::<i64>().map_err(|_| what())
    });
    let timestamp_ms = timestamp_ms.transpose()?;
    let held = match read_body(&front, body).await {
        Ok(held) => held,
        Err(reply) => return Ok(reply),
    };
    let push = TextPush {
        content_type: header(&head, CONTENT_TYPE),
        content_encoding: header(&head, CONTENT_ENCODING),
        extra_labels: &extra_labels,
        timestamp_ms,
    };
    let outcome = front.services.ingest.import_text(push, held.bytes.clone()).await;
    Ok(told(outcome.map(|_| ()), StatusCode::NO_CONTENT))
}

/// Reads `job/backup/instance/db1`; a value behind `name@base64` is base64 for addresses, with or without padding.
fn labels_of_path(path: &str) -> Result<Vec<(String, String)>, ApiError> {
    let parts: Option<Vec<Cow<'_, str>>> = path.split('/').map(percent_decoded).collect();
    let parts = parts.ok_or_else(|| ApiError::bad_data("invalid URL escape or not UTF-8 in the path"))?;
    let mut labels = Vec::new();
    for pair in parts.chunks(2) {
        let [name, value] = pair else {
            return Err(ApiError::bad_data(format!("the label {:?} of the path has no value", pair[0])));
        };
        match name.strip_suffix("@base64") {
            Some(name) => add_label(&mut labels, name.to_owned(), of_base64(value)?)?,
            None => add_label(&mut labels, name.to_string(), value.to_string())?,
        }
    }
    match labels.first() {
        Some((name, _)) if name == "job" => Ok(labels),
        _ => Err(ApiError::bad_data("the path of a group begins with job")),
    }
}

fn of_base64(text: &str) -> Result<String, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    let decoded = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| ApiError::bad_data(format!("{text:?} in the path is not UTF-8 in base64 for addresses")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Option<Vec<(String, String)>> {
        labels_of_path(path).ok()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn labels_of_a_path_are_names_and_values_in_turn() {
        assert_eq!(read("job/backup"), pairs(&[("job", "backup")]));
        assert_eq!(read("job/a%2Fb/path@base64/L3Zhci90bXA"), pairs(&[("job", "a/b"), ("path", "/var/tmp")]));
        // From the Pushgateway's documentation: a value in padded base64, and an empty one.
        assert_eq!(read("job@base64/4oCccXVvdGVk4oCd"), pairs(&[("job", "“quoted”")]));
        assert_eq!(
            read("job/b/first@base64/YWI=/second@base64/="),
            pairs(&[("job", "b"), ("first", "ab"), ("second", "")])
        );
    }

    #[test]
    fn paths_that_name_no_group_are_refused() {
        for path in
            ["job", "job/a/b", "instance/a", "job/a/job/b", "job/%ff", "job@base64/!", "job/a/__name__/b", "job/a//b"]
        {
            assert_eq!(read(path), None, "{path}");
        }
    }
}
