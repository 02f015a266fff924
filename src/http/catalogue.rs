//! Which series there are, and which labels: what Grafana fills its menus with.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::StatusCode;

use super::call::{Call, Front};
use super::json;
use super::parameters::unescape_label_name;
use super::queries::cut;
use super::reply::{self, ApiError, Reply};
use super::request::Parameters;
use crate::model::{Labels, Matcher, TimeRange, percent_decoded};
use crate::query::{Cancelled, QueryError, parse_matchers};
use crate::storage::view::{ReadView, ViewError};

/// Most series that one selector of these requests may match: their label sets are held at once.
const SERIES_MAX: usize = 300_000;
/// Most selectors in one request.
const SELECTORS_MAX: usize = 100;

/// What all three requests ask by.
struct Ask {
    /// Alternatives; none means every series.
    selectors: Vec<Vec<Matcher>>,
    range: TimeRange,
    limit: usize,
}

impl Ask {
    fn read(parameters: &Parameters) -> Result<Ask, ApiError> {
        let range = parameters.time_range()?;
        let limit = parameters.limit()?;
        Ok(Ask { selectors: selectors(parameters)?, range, limit })
    }

    /// [`Ask::read`] of labels: Prometheus tells a wrong selector there without the parameter's name.
    fn of_labels(parameters: &Parameters) -> Result<Ask, ApiError> {
        let (range, limit) = (parameters.time_range()?, parameters.limit()?);
        let selectors = read_selectors(parameters, |error| ApiError::bad_data(error.to_string()))?;
        Ok(Ask { selectors, range, limit })
    }

    /// What `find` gives for any of the selectors, each once, in order. Without selectors: what it gives for all series.
    /// Between two selectors it looks whether the client has left.
    fn union<T: Ord>(
        &self,
        cancelled: &Cancelled,
        find: impl Fn(&[Matcher], TimeRange) -> Result<Vec<T>, ViewError>,
    ) -> Result<Vec<T>, QueryError> {
        if self.range.to_ms < self.range.from_ms {
            return Ok(Vec::new());
        }
        if let [] | [_] = self.selectors.as_slice() {
            return Ok(find(self.selectors.first().map_or(&[], Vec::as_slice), self.range)?);
        }
        let mut all = BTreeSet::new();
        for matchers in &self.selectors {
            if cancelled.is_set() {
                return Err(QueryError::Cancelled);
            }
            all.extend(find(matchers, self.range)?);
        }
        Ok(all.into_iter().collect())
    }
}

/// The selectors of all `match[]`.
pub(super) fn selectors(parameters: &Parameters) -> Result<Vec<Vec<Matcher>>, ApiError> {
    read_selectors(parameters, |error| ApiError::of_query(&error, "match[]"))
}

fn read_selectors(
    parameters: &Parameters,
    told: impl Fn(QueryError) -> ApiError,
) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let mut selectors = Vec::new();
    for text in parameters.all("match[]") {
        if selectors.len() == SELECTORS_MAX {
            return Err(ApiError::parameter("match[]", format!("more than {SELECTORS_MAX} selectors")));
        }
        selectors.push(parse_matchers(text).map_err(&told)?);
    }
    Ok(selectors)
}

/// `/api/v1/series`
pub(super) async fn series(call: Call) -> Result<Reply, ApiError> {
    let (front, parameters) = call.parameters().await?;
    let ask = Ask::read(&parameters)?;
    if ask.selectors.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let find = |view: &ReadView, ask: &Ask, cancelled: &Cancelled| {
        ask.union(cancelled, |matchers, range| view.label_sets(matchers, range, SERIES_MAX))
    };
    answer(front, ask, find, |text, labels: &Arc<Labels>| text.labels(labels)).await
}

/// `/api/v1/labels`
pub(super) async fn label_names(call: Call) -> Result<Reply, ApiError> {
    let (front, parameters) = call.parameters().await?;
    let ask = Ask::of_labels(&parameters)?;
    let find = |view: &ReadView, ask: &Ask, cancelled: &Cancelled| {
        ask.union(cancelled, |matchers, range| view.label_names(matchers, range))
    };
    answer(front, ask, find, |text, name| text.string(name)).await
}

/// `/api/v1/label/{name}/values`
pub(super) async fn label_values(call: Call) -> Result<Reply, ApiError> {
    let Some(name) = percent_decoded(&call.captured).map(|name| unescape_label_name(&name)) else {
        return Err(ApiError::bad_data(format!("invalid label name: {:?}", call.captured)));
    };
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {name:?}")));
    }
    let (front, parameters) = call.parameters().await?;
    let ask = Ask::of_labels(&parameters)?;
    let find = move |view: &ReadView, ask: &Ask, cancelled: &Cancelled| {
        ask.union(cancelled, |matchers, range| view.label_values(&name, matchers, range))
    };
    answer(front, ask, find, |text, value| text.string(value)).await
}

/// Looks in the view, as a query does: off the threads of sockets, when it is its turn.
async fn answer<T: 'static>(
    front: Arc<Front>,
    ask: Ask,
    find: impl FnOnce(&ReadView, &Ask, &Cancelled) -> Result<Vec<T>, QueryError> + Send + 'static,
    write: impl Fn(&mut json::JsonText, &T) + Send + 'static,
) -> Result<Reply, ApiError> {
    let view = front.services.view.clone();
    let text = front.queries.run(move |cancelled| {
        let view = view();
        let mut found = find(&view, &ask, cancelled)?;
        let warnings: Vec<String> = cut(&mut found, ask.limit).into_iter().chain(view.left_out()).collect();
        Ok::<_, QueryError>(json::success(&warnings, &[], |text| text.list(&found, write)))
    });
    match text.await? {
        Ok(text) => Ok(reply::json(StatusCode::OK, text)),
        Err(error) => Err(ApiError::of_query(&error, "match[]")),
    }
}
