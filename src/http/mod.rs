//! The server: one table of routes, Prometheus's HTTP interface, remote write.
//!
//! ```text
//!                  ┌ connections_max           ┌ request_bytes_max       ┌ query.concurrency
//! listener ─► connection ─► head ─► route ─► body or parameters ─► engine, ingest ─► JSON
//!      503, close ┘      10 s, 64 KiB ┘ 404, 405   30 s, 413 ┘             ┘ 10 s in the queue, then 503
//! ```
//!
//! A dashboard asks `POST /api/v1/query` with the form `query=up&time=4`. `routes` finds the row, `request` reads the
//! form, `queries` waits for a permit and runs the engine on a thread of its own, `json` writes the answer:
//! `{"status":"success","data":{"resultType":"vector","result":[…]}}`.
//!
//! Always true:
//! 1. What a stranger can make us hold is bounded: connections, head, body, the bytes of all bodies together, queries
//!    that run and queries that wait. Each bound answers with an error that names it.
//! 2. A connection that does not move is closed: 10 s for a head, 30 s for a body and a KiB a second of it, 60 s between
//!    requests, 30 s for a reader that takes nothing.
//! 3. No query runs on the threads that serve sockets, and one whose client has left is told to stop.
//! 4. A panic in a handler costs its own request (500) and nothing else.
//! 5. Where a request ends is never in doubt: one whose head gives its length in two ways is refused, or the last of
//!    its connection (hyper sees to it, a test holds it).
//! 6. An order (`/api/v1/admin/…`) is never taken from a web page: no browser leaves `Origin` out where it matters. One
//!    order is carried out at a time, on a thread of its own, to its end, whether its client stays or not.
//! 7. What a web page may read (`cors_origin`) is what is asked by GET at `/api/v1/`: no browser is told that it may write
//!    here, or order.
//! 8. The port answers from before the database is open to the end of the process: an [`Entrance`] says how far the start
//!    is, and everything else is 503 until then.
//!
//! Deliberately absent: TLS and authentication (a proxy's work for now; the default address is loopback), HTTP/2.

mod admin;
mod alertmanager;
mod anomalies;
mod asker;
mod body;
mod bulk;
mod calendar;
mod call;
mod catalogue;
mod compress;
mod connections;
mod cors;
mod dead_letters;
mod digits;
mod entrance;
mod features;
mod federate;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod heartbeat;
mod incidents;
mod journal;
mod json;
mod language;
mod limits;
mod listener;
mod metadata;
mod pages;
mod parameters;
mod protobuf;
mod push;
mod queries;
mod remote_read;
mod reply;
mod request;
mod routes;
mod rule_filter;
mod scraping;
mod senders;
mod sent;
mod settings;
mod socket;
mod status;
mod watching;
mod write;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use regex::Regex;

use crate::clock::Clock;
use crate::config::Config;
use crate::detect::Announcements;
use crate::incident::Incidents;
use crate::ingest::{Ingest, Pushgateway};
use crate::notify::routing::Routing;
use crate::notify::silence::Silences;
use crate::notify::{Alert, Notifier, NotifyError, PushedAlert};
use crate::query::Engine;
use crate::rules::{AnomalyReport, Reloaded, RulesReport};
use crate::storage::MetDamage;
use crate::storage::view::ReadView;
use crate::storage::{Snapshots, Storage};
use crate::telemetry::Registry;

pub use entrance::Entrance;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use fuzzing::{form, label_name, span_ms, time_ms};
pub use heartbeat::{Beat, BeatError, BeatTaken, HeartbeatFigures, TakeBeat, Taking};
pub use journal::{ACTIVE_QUERIES_FILE, QueryJournal};
pub use limits::HttpLimits;
pub use listener::{listen, serve};
pub use senders::SenderFigures;

/// What the server serves: the rooms below it, as `server` has put them together.
pub struct Services {
    /// Gives the stored series as of now; asked once a query. Must return at once.
    pub view: Arc<dyn Fn() -> ReadView + Send + Sync>,
    /// Evaluates queries.
    pub engine: Arc<Engine>,
    /// Takes writes.
    pub ingest: Arc<Ingest>,
    /// Keeps what is pushed by jobs that end.
    pub pushgateway: Arc<Pushgateway>,
    /// What orders change, and what is told of the stored data.
    pub storage: Arc<Storage>,
    /// Takes snapshots.
    pub snapshots: Arc<Snapshots>,
    /// Whether orders are taken at `/api/v1/admin/`.
    pub admin_api: bool,
    /// Web pages of which origins may read what is asked by GET at `/api/v1/`; it matches the whole of one.
    pub web_origins: Regex,
    /// What `/metrics` shows; the server registers its own numbers there.
    pub registry: Arc<Registry>,
    /// Turned off when the server stops: `/-/ready`, queries and writes are then answered 503.
    pub ready: Arc<AtomicBool>,
    /// Gives the rules in force and how they are. Must return at once.
    pub rules: Arc<dyn Fn() -> RulesReport + Send + Sync>,
    /// Reads the settings again, the rules, and who is told, and puts in force what can be while the server runs; or says
    /// what is wrong with them, for people. May take its time.
    pub reload: Arc<dyn Fn() -> Result<ReloadTold, String> + Send + Sync>,
    /// Days that are not like others.
    pub announcements: Arc<Announcements>,
    /// Gives the anomalies that last, and those that ended a while ago, with their figures. Must return at once.
    pub anomalies: Arc<dyn Fn() -> Vec<AnomalyReport> + Send + Sync>,
    /// What holds alerts back for a while.
    pub silences: Arc<Silences>,
    /// Gives the routing in force; none where every receiver is told of everything. Must return at once.
    pub routing: Arc<dyn Fn() -> Option<Arc<Routing>> + Send + Sync>,
    /// Notes alerts that somebody pushes. May take its time.
    pub push_alerts: Arc<dyn Fn(Vec<PushedAlert>) -> Result<(), NotifyError> + Send + Sync>,
    /// Gives the alerts that fire, as the outbox has them. Must return at once.
    pub firing: Arc<dyn Fn() -> Vec<Alert> + Send + Sync>,
    /// Takes the report of a job.
    pub take_beat: TakeBeat,
    /// Gives the jobs that are to report. Must return at once.
    pub heartbeats: Arc<dyn Fn() -> Vec<HeartbeatFigures> + Send + Sync>,
    /// Gives those who send samples. Must return at once.
    pub senders: Arc<dyn Fn() -> Vec<SenderFigures> + Send + Sync>,
    /// Delivers alerts.
    pub notifier: Arc<Notifier>,
    /// What happened, who was told, who took it.
    pub incidents: Arc<Incidents>,
    /// Gives the places on disk that could not be read. Must return at once.
    pub damage: Arc<dyn Fn() -> Vec<MetDamage> + Send + Sync>,
    /// Where running queries are noted.
    pub journal: Arc<QueryJournal>,
    /// The settings of the start.
    pub config: Arc<Config>,
    /// Gives the settings in force: those of the start, but for what a reload changed. Must return at once.
    pub settings: Arc<dyn Fn() -> Arc<Config> + Send + Sync>,
    /// When the server was started, in ms since 1970 UTC.
    pub started_ms: i64,
    /// What "now" is where a query does not say a time.
    pub clock: Clock,
}

/// What a reload put in force, and what it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadTold {
    /// The rules.
    pub rules: Reloaded,
    /// Names of the settings that have changed and wait for a restart.
    pub waiting: Vec<&'static str>,
}

/// How far the start of the database is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments of the log to read; 0 until that is known.
    pub segment_count: u64,
    /// Segments read.
    pub segments_read: u64,
    /// Samples read from them.
    pub sample_count: u64,
}

impl Recovery {
    /// `recovering: 3 of 9 log segments read, 1200000 samples`.
    fn told(self) -> String {
        if self.segment_count == 0 {
            return "recovering: opening the blocks".to_owned();
        }
        let Recovery { segment_count, segments_read, sample_count } = self;
        format!("recovering: {segments_read} of {segment_count} log segments read, {sample_count} samples")
    }
}

#[cfg(test)]
mod tests;
