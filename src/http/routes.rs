//! Every address that the server knows, one line each.

use std::pin::Pin;

use hyper::Method;

use super::call::Call;
use super::reply::{ApiError, ErrorKind, Reply};
use super::{
    admin, alertmanager, anomalies, bulk, calendar, catalogue, dead_letters, features, federate, heartbeat, incidents,
    language, metadata, pages, push, queries, remote_read, scraping, senders, settings, status, watching, write,
};

/// What a handler returns.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + Send>>;

/// One address.
pub(super) struct Route {
    pub(super) methods: &'static [Method],
    /// Segments, one of which may be `{name}` and stand for any single one; a last `{rest}` stands for all that follow.
    pub(super) path: &'static str,
    /// Whether it answers while the server is not ready, that is while it stops.
    pub(super) always: bool,
    pub(super) handler: fn(Call) -> Answer,
}

const GET: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];
const EXPIRE: &[Method] = &[Method::GET, Method::HEAD, Method::DELETE];
const WITHDRAW: &[Method] = &[Method::DELETE];
const ORDER: &[Method] = &[Method::POST, Method::PUT];
const PUSH: &[Method] = &[Method::PUT, Method::POST, Method::DELETE];
const BOTH: &[Method] = &[Method::GET, Method::HEAD, Method::POST];

const ALWAYS: bool = true;
const READY: bool = false;

macro_rules! route {
    ($methods:ident $path:literal $always:ident $handler:path) => {
        Route { methods: $methods, path: $path, always: $always, handler: |call| Box::pin($handler(call)) }
    };
}

pub(super) const ROUTES: &[Route] = &[
    route!(GET  "/" ALWAYS pages::index),
    route!(GET  "/-/healthy" ALWAYS pages::healthy),
    route!(GET  "/-/ready" ALWAYS pages::ready),
    route!(ORDER "/-/reload" READY watching::reload),
    route!(GET  "/metrics" ALWAYS pages::metrics),
    route!(POST "/api/v1/write" READY write::remote_write),
    route!(POST "/api/v1/push" READY write::remote_write),
    route!(ORDER "/api/v1/import/prometheus" READY push::import_text),
    route!(ORDER "/api/v1/import/prometheus/metrics/{rest}" READY push::import_text_of_group),
    route!(POST "/write" READY push::influx_write_v1),
    route!(POST "/api/v2/write" READY push::influx_write_v2),
    route!(BOTH "/query" READY push::influx_query),
    route!(GET  "/ping" ALWAYS push::influx_ping),
    route!(GET  "/health" ALWAYS push::influx_health),
    route!(POST "/v1/metrics" READY push::otlp_metrics),
    route!(POST "/api/v1/otlp/v1/metrics" READY push::otlp_metrics),
    route!(POST "/opentelemetry/v1/metrics" READY push::otlp_metrics),
    route!(POST "/api/v1/import" READY bulk::import),
    route!(BOTH "/api/v1/export" READY bulk::export),
    route!(PUSH "/metrics/job/{rest}" READY push::group),
    route!(PUSH "/metrics/job@base64/{rest}" READY push::group),
    route!(GET  "/api/v1/metrics" READY push::groups),
    route!(BOTH "/api/v1/query" READY queries::instant),
    route!(BOTH "/api/v1/query_range" READY queries::range),
    route!(BOTH "/api/v1/query_exemplars" READY language::exemplars),
    route!(BOTH "/api/v1/format_query" READY language::format_query),
    route!(BOTH "/api/v1/parse_query" READY language::parse_query),
    route!(POST "/api/v1/read" READY remote_read::read),
    route!(GET  "/federate" READY federate::federate),
    route!(BOTH "/api/v1/series" READY catalogue::series),
    route!(BOTH "/api/v1/labels" READY catalogue::label_names),
    route!(GET  "/api/v1/label/{name}/values" READY catalogue::label_values),
    route!(GET  "/api/v1/metadata" READY metadata::metadata),
    route!(GET  "/runbooks/{name}" ALWAYS pages::runbook),
    route!(GET  "/api/v1/rules" READY watching::rules),
    route!(GET  "/api/v1/alerts" READY watching::alerts),
    route!(GET  "/api/v1/anomalies" READY anomalies::anomalies),
    route!(BOTH "/api/v1/heartbeat/{name}" READY heartbeat::beat),
    route!(GET  "/api/v1/heartbeats" READY heartbeat::heartbeats),
    route!(BOTH "/api/v1/calendar" READY calendar::calendar),
    route!(WITHDRAW "/api/v1/calendar/{name}" READY calendar::withdraw),
    route!(BOTH "/api/v2/silences" READY alertmanager::silences),
    route!(EXPIRE "/api/v2/silence/{name}" READY alertmanager::silence),
    route!(BOTH "/api/v2/alerts" READY alertmanager::alerts),
    route!(GET  "/api/v2/alerts/groups" READY alertmanager::groups),
    route!(GET  "/api/v2/status" READY alertmanager::status),
    route!(GET  "/api/v2/receivers" READY alertmanager::receivers),
    route!(GET  "/api/v1/dead_letters" READY dead_letters::dead_letters),
    route!(ORDER "/api/v1/dead_letters/replay" READY dead_letters::replay),
    route!(GET  "/api/v1/incidents" READY incidents::list),
    route!(GET  "/api/v1/incidents/{name}" READY incidents::one),
    route!(POST "/api/v1/incidents/{name}/ack" READY incidents::acknowledge),
    route!(POST "/api/v1/incidents/{name}/notes" READY incidents::add_note),
    route!(GET  "/api/v1/targets" READY scraping::targets),
    route!(GET  "/api/v1/targets/metadata" READY scraping::target_metadata),
    route!(GET  "/api/v1/scrape_pools" READY scraping::scrape_pools),
    route!(GET  "/api/v1/alertmanagers" READY scraping::alertmanagers),
    route!(GET  "/api/v1/notifications" READY scraping::notifications),
    route!(GET  "/api/v1/features" READY features::features),
    route!(GET  "/api/v1/status/config" READY settings::config),
    route!(GET  "/api/v1/status/flags" READY settings::flags),
    route!(GET  "/api/v1/status/runtimeinfo" READY settings::runtime),
    route!(GET  "/api/v1/status/buildinfo" ALWAYS pages::build_info),
    route!(GET  "/api/v1/status/walreplay" ALWAYS pages::replay),
    route!(GET  "/api/v1/status/damage" ALWAYS pages::damage),
    route!(GET  "/api/v1/status/tsdb" READY status::tsdb),
    route!(GET  "/api/v1/status/blocks" READY status::blocks),
    route!(GET  "/api/v1/status/senders" READY senders::senders),
    route!(GET  "/api/v1/status/snapshots" READY status::snapshots),
    route!(ORDER "/api/v1/admin/tsdb/snapshot" READY admin::snapshot),
    route!(ORDER "/api/v1/admin/tsdb/delete_series" READY admin::delete_series),
    route!(ORDER "/api/v1/admin/tsdb/clean_tombstones" READY admin::clean_tombstones),
    route!(ORDER "/api/v1/admin/tsdb/compact" READY admin::compact),
    route!(ORDER "/api/v1/admin/wipe" READY push::wipe),
];

/// Finds the row of an address, its index in the table, and what stands for `{name}`.
pub(super) fn find(method: &Method, path: &str) -> Result<(usize, String), Box<Refusal>> {
    for (index, route) in ROUTES.iter().enumerate() {
        let Some(captured) = matches(route.path, path) else { continue };
        if route.methods.contains(method) {
            return Ok((index, captured.to_owned()));
        }
        let allow = route.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let what = format!("{method} is not a method of {path}");
        let error = ApiError::new(ErrorKind::NotAllowed, what).hint(format!("use {allow}"));
        return Err(Box::new(Refusal { error, allow: Some(allow) }));
    }
    let what = format!("there is nothing at {path}");
    let error = ApiError::new(ErrorKind::NotFound, what).hint("GET / lists what there is");
    Err(Box::new(Refusal { error, allow: None }))
}

/// Why no row answers, and for a wrong method the right ones.
pub(super) struct Refusal {
    pub(super) error: ApiError,
    pub(super) allow: Option<String>,
}

/// What the path has in place of `{name}` or `{rest}`, or nothing where the pattern has none.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    if let Some(before) = pattern.strip_suffix("{rest}") {
        return path.strip_prefix(before).filter(|rest| !rest.is_empty());
    }
    let Some((before, after)) = pattern.split_once("{name}") else { return (pattern == path).then_some("") };
    let captured = path.strip_prefix(before)?.strip_suffix(after)?;
    (!captured.is_empty() && !captured.contains('/')).then_some(captured)
}
