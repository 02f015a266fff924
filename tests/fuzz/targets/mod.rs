//! Everything that reads strangers' bytes, each as a function of any bytes: what is wrong with them must show as an
//! error, never as a panic, a loop or a reservation out of proportion, and what is read must be what others read.
//!
//! Plain bytes rarely pass for a message within a message. So targets of protobuf read an input as it is, and once more
//! as a program that writes one (`wire.rs`).
//!
//! Two use it: `tests.rs`, on every run of the crate's own tests, and libFuzzer (`src/main.rs`), for hours.

#[path = "../../../src/ingest/tests/proto.rs"]
#[expect(clippy::duplicate_mod, reason = "the crate's own tests have the same message, and are not in the fuzzers")]
pub(crate) mod histogram;
pub(crate) mod otlp;
mod reader;
pub(crate) mod remote_write;
mod requests;
mod samples;
mod texts;

/// Name and function.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const TARGETS: [Target; 18] = [
    ("remote_write_1", remote_write::version_1),
    ("remote_write_2", remote_write::version_2),
    ("snappy", requests::snappy),
    ("inflate", requests::inflate),
    ("text", texts::text),
    ("openmetrics", texts::openmetrics),
    ("otlp", otlp::protobuf),
    ("otlp_json", otlp::json),
    ("influx", texts::influx),
    ("statsd", texts::statsd),
    ("json_lines", texts::json_lines),
    ("push_text", requests::push_text),
    ("push_protobuf", requests::push_protobuf),
    ("http", requests::http),
    ("promql", requests::promql),
    ("rules", requests::rules),
    ("template", requests::template),
    ("config", requests::config),
];
