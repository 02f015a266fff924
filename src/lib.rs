#![doc = include_str!("ARCHITECTURE.md")]
#![forbid(unsafe_op_in_unsafe_fn)]

#[cfg(test)]
extern crate self as dozor; // what the fuzzers' targets call us

pub mod clock;
pub mod config;
pub mod demo;
pub mod detect;
pub mod disk;
pub mod http;
pub mod import;
pub mod incident;
pub mod ingest;
pub mod journal;
pub mod model;
pub mod notify;
pub mod operate;
pub mod query;
pub mod recent;
pub mod rules;
pub mod server;
pub mod storage;
pub mod telemetry;
pub mod template;

/// What the fuzzers try for hours, for a second.
#[cfg(test)]
#[path = "../tests/fuzz/tests.rs"]
mod fuzz;
