//! Ways in beside remote write, each protocol in a file of its own.

mod exposition;
mod influx;
mod otlp;
mod pushgateway;

pub(super) use exposition::{import_text, import_text_of_group};
pub(super) use influx::{influx_health, influx_ping, influx_query, influx_write_v1, influx_write_v2};
pub(super) use otlp::metrics as otlp_metrics;
pub(super) use pushgateway::{group, groups, wipe};
