//! Ways to push other than remote write, a file each.

mod otlp;

pub(super) use otlp::metrics as otlp_metrics;
