//! The built `dozor` against the world: real senders, crashes, pagers that are down, and garbage.
//!
//! ```text
//! test ─► Engine (the binary, on a free port, in a temporary folder) ◄── prometheus, vmagent, our writers
//!   ▲                         └──► Pager (a webhook receiver of the test)
//!   └── Client: asks over HTTP and compares
//! ```
//!
//! Always true: every wait is for a condition, with a deadline that a loaded machine keeps; every process that a test
//! starts is ended with it; a program that is not installed is a failure that says how to get it.

mod amtool;
mod api;
mod backup;
mod calendar;
mod client;
mod crash;
mod crowds;
mod demo;
mod engine;
mod exposition;
mod faults;
mod heartbeats;
mod histograms;
mod history;
mod incidents;
mod influx;
mod learn;
mod load;
mod otlp;
mod pager;
mod portable;
mod process;
mod prometheus;
mod pushgateway;
mod python;
mod reading;
mod refusals;
mod relay;
mod reload;
mod remote_write;
mod replay;
mod report;
mod routing;
mod rule_files;
mod rules;
mod scrapes;
mod shop;
mod silences;
mod start;
mod statsd;
mod telemetry;
mod wait;
mod watches;
mod webhook;
