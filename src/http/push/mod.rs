//! Ways to push that are not Prometheus's remote write.

mod influx;

pub(super) use influx::{influx_health, influx_ping, influx_query, influx_write_v1, influx_write_v2};
