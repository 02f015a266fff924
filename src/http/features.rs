//! `/api/v1/features`: what this server can do, by the categories and names that Prometheus has had for that since 3.8.
//!
//! ```text
//! {"api":{"admin":true,"query_stats":true,…},"promql":{"bool":true,…},"promql_functions":{"abs":true,…},…}
//! ```
//!
//! Categories of what is not here at all (scraping, discovery, pages) are left out, as a Prometheus built without them does.

use std::collections::BTreeMap;

use hyper::StatusCode;

use super::call::Call;
use super::json::success;
use super::reply::{ApiError, Reply, json};
use crate::query::{function_names, operator_names};

/// What never changes, by category and name.
const API: [(&str, bool); 9] = [
    ("exclude_alerts", false),
    ("label_values_match", true),
    ("lifecycle", false),
    ("otlp_write_receiver", true),
    ("query_stats", true),
    ("query_warnings", true),
    ("remote_write_receiver", true),
    ("time_range_labels", true),
    ("time_range_series", true),
];
const OTLP_RECEIVER: [(&str, bool); 2] = [("delta_conversion", true), ("native_delta_ingestion", false)];
const PROMQL: [(&str, bool); 20] = [
    ("anchored", true),
    ("at_modifier", true),
    ("bool", true),
    ("by", true),
    ("duration_expr", true),
    ("fill", true),
    ("fill_left", true),
    ("fill_right", true),
    ("group_left", true),
    ("group_right", true),
    ("ignoring", true),
    ("negative_offset", true),
    ("offset", true),
    ("on", true),
    ("per_query_lookback_delta", true),
    ("per_step_stats", true),
    ("smoothed", true),
    ("subqueries", true),
    ("type_and_unit_labels", false),
    ("without", true),
];
const TSDB: [(&str, bool); 2] = [("exemplar_storage", false), ("native_histograms", true)];

type Features = BTreeMap<&'static str, bool>;

/// `/api/v1/features`
pub(super) async fn features(call: Call) -> Result<Reply, ApiError> {
    let services = &call.front.services;
    let delays_names = services.engine.delays_names();
    let categories: BTreeMap<&str, Features> = BTreeMap::from([
        ("api", API.into_iter().chain([("admin", services.admin_api)]).collect()),
        ("otlp_receiver", OTLP_RECEIVER.into()),
        ("promql", PROMQL.into_iter().chain([("delayed_name_removal", delays_names)]).collect()),
        ("promql_functions", function_names().map(|name| (name, true)).collect()),
        ("promql_operators", operator_names().map(|name| (name, true)).collect()),
        ("tsdb", TSDB.into()),
    ]);
    let data = serde_json::to_string(&categories).expect("maps of words are JSON");
    Ok(json(StatusCode::OK, success(&[], &[], |text| text.raw(&data))))
}
