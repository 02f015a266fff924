//! Who asks a query, and what the log says of one that was slow.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::http::request::Parts;

use crate::query::Used;

/// Longest value of a header, and longest query, that are told, in bytes.
const HEADER_BYTES_MAX: usize = 128;
const QUERY_BYTES_MAX: usize = 4096;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) Option<SocketAddr>);

/// Who asks: an address, and the panel of a dashboard where Grafana says which.
#[derive(Clone, Debug, Default)]
pub(super) struct Asker {
    client: String,
    dashboard: String,
    panel: String,
}

impl Asker {
    pub(super) fn of(head: &Parts) -> Asker {
        let peer = head.extensions.get::<Peer>().and_then(|peer| peer.0);
        let header = |name| header(&head.headers, name);
        Asker {
            client: peer.map_or_else(String::new, |address| address.to_string()),
            dashboard: header("x-dashboard-uid"),
            panel: header("x-panel-id"),
        }
    }

    /// Tells the operator of a slow query. `times` is the moment or the range that it is about.
    pub(super) fn tell_slow(&self, query: &str, times: &str, took: Duration, used: &Used, outcome: &str) {
        let Asker { client, dashboard, panel } = self;
        let shown = &query[..query.floor_char_boundary(QUERY_BYTES_MAX)];
        tracing::warn!(
            query = ?shown,
            times,
            seconds = took.as_secs_f64(),
            samples = used.queryable_samples,
            peak_samples = used.peak_samples,
            outcome,
            client,
            ?dashboard,
            ?panel,
            "a slow query (query.slow_log_threshold)"
        );
    }
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let text = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    text[..text.floor_char_boundary(HEADER_BYTES_MAX)].to_owned()
}
