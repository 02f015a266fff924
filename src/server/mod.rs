//! Who is started, in which order, with what, and how everything ends.
//!
//! ```text
//! start   lock ─► rules ─► http: recovering ─► storage (recovers) ─► outbox ─► detection ─► deliveries ─► evaluation ─► incidents ─► http: ready
//! stop    http ─► statsd (last flush) ─► evaluation ─► shards ─► log (synced) ─► detection (last buckets, checkpoint) ─► deliveries ─► incidents
//! ```
//!
//! The order of the stop is that of the data: whoever gives ends before whoever takes, so that what was acknowledged
//! has gone as far as it can when the process ends. What could not be delivered waits in the outbox.
//!
//! The threads, what each waits for and when it ends are on [the front page](crate#threads); the loops of `detect-N` and
//! `judge` are in `watch.rs`, that of `incidents` is in `incidents.rs`, those of `rules-N` in `evaluating`, those of `maintain` and `snapshots` in `maintenance.rs`.

mod alertmanagers;
mod anomalies;
mod at_rest;
mod bands;
mod calendar;
mod delivering;
mod detection;
mod detection_lag;
mod error;
mod evaluate_watches;
mod evaluating;
mod features;
mod figures;
mod formats;
mod guard;
mod heartbeat_out;
mod heartbeats;
mod incidents;
mod limits;
mod maintenance;
mod metadata;
mod metrics;
mod options;
mod parts;
mod push;
mod reloading;
mod removed;
mod senders;
mod silences;
mod statsd;
mod telling;
mod watch;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam::channel::{Sender, bounded};
use regex::Regex;
use tokio::net::TcpListener;
use tokio::sync::watch as signal;

use crate::clock::Clock;
use crate::config::Config;
use crate::detect::Announcements;
use crate::disk::{Disk, DiskError, FolderLock, RealDisk};
use crate::http::{self, ACTIVE_QUERIES_FILE, Entrance, QueryJournal, Recovery, Services};
use crate::incident::Incidents;
use crate::ingest::{Ingest, StatsdCounters};
use crate::notify::Notifier;
use crate::notify::routing::Routing;
use crate::notify::silence::Silences;
use crate::query::Engine;
use crate::rules;
use crate::storage::{
    Beside, RecoveryProgress, SnapshotOptions, Snapshots, Storage, check_restored, remove_incomplete,
};
use crate::telemetry::{self, Registry};
use alertmanagers::Alertmanagers;
pub use at_rest::DatabaseAtRest;
pub use calendar::shop_days;
pub use delivering::{PlanError, PlanErrors};
use detection::{Detection, DetectionParts, Made};
use detection_lag::DetectionLag;
pub use error::ServerError;
pub(crate) use evaluate_watches::Evaluated;
use evaluating::{EvaluatedRules, Evaluating, EvaluatingParts};
use figures::Figuring;
pub use formats::NewerFormat;
use guard::{EndProcessOnPanic, thread};
use heartbeats::{Heartbeats, HeartbeatsParts, HeartbeatsRunning, taking};
use incidents::Journaling;
use maintenance::{keep_snapshots, maintain};
use metadata::MetadataKeeper;
use options::{admin_api, engine, shard_count, storage_options, web_origins};
pub use reloading::Reread;
use reloading::{Reloading, ReloadingParts};
use senders::{Senders, SendersParts, SendersRunning};
use silences::{KeptAlerts, Pushed};
use statsd::{StatsdRunning, StatsdSockets};

/// What a backup takes along of what lies beside the database, in this order: the outbox knows of every alert that the
/// detectors' state takes for told.
pub const BESIDE_THE_DATABASE: [Beside; 8] = [
    Beside::Replaced(watch::CHECKPOINT),
    Beside::Replaced(evaluating::FILE),
    Beside::Replaced(silences::FILE),
    Beside::Replaced(calendar::FILE),
    Beside::Growing(OUTBOX),
    Beside::Growing(incidents::FOLDER),
    Beside::Replaced(metadata::FILE),
    // Of framed files too; each is replaced as a whole, which a copy of its bytes does not mind.
    Beside::Growing(push::FOLDER),
];
/// Gives the routing in force.
type AskRouting = Arc<dyn Fn() -> Option<Arc<Routing>> + Send + Sync>;
/// The outbox's folder.
const OUTBOX: &str = "outbox";

/// A server that runs. Dropped without [`Server::shutdown`], it ends as a killed process would.
pub struct Server {
    address: SocketAddr,
    storage: Arc<Storage>,
    snapshots: Arc<Snapshots>,
    stop_snapshots: Sender<()>,
    keeping: JoinHandle<()>,
    ready: Arc<AtomicBool>,
    stop_http: signal::Sender<bool>,
    http: tokio::task::JoinHandle<()>,
    statsd: Option<StatsdRunning>,
    stop_deliveries: signal::Sender<bool>,
    deliveries: tokio::task::JoinHandle<()>,
    journaling: Journaling,
    stop_maintenance: Sender<()>,
    maintenance: JoinHandle<()>,
    detection: Arc<Detection>,
    evaluating: Evaluating,
    senders: SendersRunning,
    heartbeats: HeartbeatsRunning,
    reloading: Arc<Reloading>,
    stop_metadata: Sender<()>,
    stop_pushes: signal::Sender<bool>,
    pushes: tokio::task::JoinHandle<()>,
    alerts: KeptAlerts,
    metadata: JoinHandle<()>,
    _lock: FolderLock,
}

impl Server {
    /// Starts everything and returns when writes and queries are taken. `reread` reads the settings again when they are to
    /// be reloaded. Needs a tokio runtime.
    pub async fn start(config: Config, reread: Reread) -> Result<Server, ServerError> {
        let clock = Clock::system();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        disk.create_folder(&config.data_dir)?;
        let lock = lock(&config.data_dir)?;
        if let Some(newer) = formats::find_newer(&*disk, &config.data_dir)? {
            return Err(newer.into());
        }
        check_restored(&*disk, &config.data_dir)?;
        // What is cheap and can be wrong comes before what takes time.
        let rules = Arc::new(rules::load(&*disk, &config.rules)?);
        let announcements = calendar::open(&config, &disk, &clock)?;
        let listener = listen(&config.listen).await?;
        let address = listener.local_addr().map_err(|source| listen_error(&config.listen, source))?;
        let statsd_sockets = listen_statsd(&config.statsd.listen).await?;
        let external_url = match config.external_url.as_str() {
            "" => format!("http://{address}"),
            given => given.to_owned(),
        };

        let plan = delivering::plan(&config, &*disk)?;
        incidents::check(&config, &plan)?;
        let web_origins = web_origins(&config)?;
        for name in features::unknown(&config) {
            tracing::warn!(name, "--enable-feature names something that means nothing here; it is left aside");
        }
        // From here on whoever asks is answered, if only how far the start is.
        let registry = Arc::new(Registry::new());
        telemetry::register_process(&registry);
        let progress = Arc::new(RecoveryProgress::default());
        let entrance = entrance(&config, &registry, &clock, &progress);
        let (stop_http, http_stopped) = signal::channel(false);
        let served = entrance.clone();
        let http = tokio::spawn(async move {
            let _guard = EndProcessOnPanic;
            http::serve(listener, served, http_stopped).await;
        });
        tracing::info!(%address, "listening; the database is being opened");

        let shard_count = shard_count(config.shards);
        let made = Made::of(&rules, shard_count, &config.detection, config.telemetry.unknown_max_ms, &announcements);
        let interest = made.interest();
        let options = storage_options(&config, shard_count, &clock, progress)?;
        let (opened_disk, opened_clock) = (disk.clone(), clock.clone());
        let opened = tokio::task::spawn_blocking(move || Storage::open(options, opened_disk, opened_clock, interest));
        let (storage, recovered, taps) = opened.await.expect("opening the database does not panic")?;
        for damage in &recovered.damage {
            tracing::error!("damage found: {damage}");
        }
        tracing::info!(
            blocks = recovered.block_count,
            segments = recovered.segment_count,
            samples = recovered.sample_count,
            series = recovered.series_count,
            "the database is open"
        );
        let snapshots = open_snapshots(&config, &*disk, &storage)?;
        // Behind the database, which gives back what a killed process had reserved: on a full disk the outbox needs it.
        let incidents = incidents::open(&config, &disk, &clock)?;
        incidents::register(&registry, &incidents);
        let silences = silences::open(&config, &disk, &clock)?;
        let notifier = delivering::open(&config, &disk, &clock, plan, &silences, external_url.clone())?;
        let engine = engine(&config, &registry, &clock);
        let ingest = Ingest::new(storage.clone(), limits::of_ingest(&config), clock.clone());
        let ingest = Arc::new(ingest.with_otlp(limits::of_otlp(&config)));
        let lag = Arc::new(DetectionLag::new(&registry, &clock));
        let parts = DetectionParts {
            storage: storage.clone(),
            engine: engine.clone(),
            ingest: ingest.clone(),
            notifier: notifier.clone(),
            announcements: announcements.clone(),
            lag: lag.clone(),
            external_url: external_url.clone(),
            settings: config.detection.clone(),
            unknown_max_ms: config.telemetry.unknown_max_ms,
            disk: disk.clone(),
            data_dir: config.data_dir.clone(),
            clock: clock.clone(),
        };
        let detection = Detection::start(parts, &rules, made, taps)?;
        metrics::register(&registry, &storage, &detection, &notifier);
        metrics::register_snapshots(&registry, &snapshots);
        calendar::register(&registry, &announcements);
        let (stop_deliveries, deliveries_stopped) = signal::channel(false);
        let (told, stopped) = (&config.alertmanagers, deliveries_stopped.clone());
        let alertmanagers = Alertmanagers::start(told, notifier.clone(), clock.clone(), stopped)?;
        let delivering = notifier.clone();
        let deliveries = tokio::spawn(async move {
            let _guard = EndProcessOnPanic;
            delivering.run(deliveries_stopped).await;
        });
        let (stop_maintenance, maintenance_stopped) = bounded(1);
        let maintained = storage.clone();
        let maintenance = thread("maintain", move || maintain(&maintained, &maintenance_stopped))?;
        let (stop_snapshots, snapshots_stopped) = bounded(1);
        let kept = snapshots.clone();
        let keeping = thread("snapshots", move || keep_snapshots(&kept, &snapshots_stopped))?;

        let ready = Arc::new(AtomicBool::new(true));
        let parts = SendersParts::of(&config, &storage, &notifier, &incidents, &external_url, &clock);
        let senders = Senders::new(parts, &rules, &registry);
        let viewed = storage.clone();
        let routed = notifier.clone();
        let routing: AskRouting = Arc::new(move || routed.routing());
        let parts = (notifier.clone(), silences.clone());
        let pushed = Pushed::new(parts, routing.clone(), &rules, clock.clone(), external_url.clone());
        let pushed = Arc::new(pushed);
        let alerts = KeptAlerts::start(pushed.clone());
        let evaluating = Evaluating::start(EvaluatingParts {
            set: rules,
            detection: detection.clone(),
            settings: config.evaluation.clone(),
            external_url: external_url.clone(),
            view: Arc::new(move || viewed.view()),
            engine: engine.clone(),
            ingest: ingest.clone(),
            notifier: notifier.clone(),
            lag,
            senders: senders.clone(),
            registry: registry.clone(),
            disk: disk.clone(),
            data_dir: config.data_dir.clone(),
            clock: clock.clone(),
        })?;
        let parts = HeartbeatsParts {
            storage: storage.clone(),
            engine: engine.clone(),
            ingest: ingest.clone(),
            notifier: notifier.clone(),
            external_url,
            clock: clock.clone(),
        };
        let (heartbeats, beating) = Heartbeats::start(&config, parts)?;
        let watched = heartbeat_out::Watched {
            storage: storage.clone(),
            detection: detection.clone(),
            rules: evaluating.rules().clone(),
            notifier: notifier.clone(),
            disk: disk.clone(),
            clock: clock.clone(),
        };
        heartbeat_out::start(&config, watched, &registry, stop_deliveries.subscribe())?;
        let in_force = evaluating.rules().clone();
        let walking = SendersRunning::start(senders.clone(), move || in_force.set())?;
        let reloading = Arc::new(Reloading::new(ReloadingParts {
            config: config.clone(),
            reread,
            disk: disk.clone(),
            clock: clock.clone(),
            rules: evaluating.rules().clone(),
            notifier: notifier.clone(),
            alertmanagers,
            silences: silences.clone(),
            heartbeats: heartbeats.clone(),
            announcements: announcements.clone(),
        }));
        let rooms = Rooms {
            address,
            disk: disk.clone(),
            storage: storage.clone(),
            snapshots: snapshots.clone(),
            engine,
            ingest,
            rules: evaluating.rules().clone(),
            reloading: reloading.clone(),
            detection: detection.clone(),
            announcements,
            notifier: notifier.clone(),
            incidents: incidents.clone(),
            senders,
            heartbeats,
            silences,
            routing,
            pushed,
            web_origins,
            registry: registry.clone(),
            ready: ready.clone(),
            clock: clock.clone(),
        };
        let services = rooms.services(&config)?;
        let journaling = Journaling::start(incidents, notifier, Figuring::of(&services))?;
        metrics::register_ingest(&registry, &services.ingest);
        metrics::register_pushgateway(&registry, &services.pushgateway);
        let (stop_pushes, pushes_stopped) = signal::channel(false);
        let pushed = services.pushgateway.clone();
        let pushes = tokio::spawn(async move {
            let _guard = EndProcessOnPanic;
            push::keep(&pushed, pushes_stopped).await;
        });
        let keeper = MetadataKeeper::open(disk, &config.data_dir, &clock, services.ingest.metadata());
        let (stop_metadata, metadata_stopped) = bounded(1);
        let metadata = thread("metadata", move || keeper.run(&metadata_stopped))?;
        let statsd = statsd_sockets.map(|sockets| {
            let counters = Arc::new(StatsdCounters::default());
            metrics::register_statsd(&registry, &counters);
            StatsdRunning::start(sockets, &config.statsd, services.ingest.clone(), clock.clone(), counters)
        });
        entrance.open(Arc::new(services));
        tracing::info!(%address, shards = shard_count, "ready");
        Ok(Server {
            address,
            storage,
            snapshots,
            stop_snapshots,
            keeping,
            ready,
            stop_http,
            http,
            statsd,
            stop_deliveries,
            deliveries,
            journaling,
            stop_maintenance,
            maintenance,
            detection,
            evaluating,
            senders: walking,
            heartbeats: beating,
            reloading,
            stop_metadata,
            stop_pushes,
            pushes,
            alerts,
            metadata,
            _lock: lock,
        })
    }

    /// Reads settings, rule files and routing file again and puts in force what can be while it runs, in a while. With a
    /// fault in any of them everything stays as it is. What came of it is told in the log.
    pub fn reload(&self) {
        let reloading = self.reloading.clone();
        // Told in the log, by whoever reloads.
        tokio::task::spawn_blocking(move || drop(reloading.reload()));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The database, for those who look inside.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    /// Takes no more, finishes what was taken, syncs, and ends. Bounded: some eight seconds for requests, three for
    /// deliveries under way.
    pub async fn shutdown(self) {
        self.ready.store(false, Ordering::SeqCst);
        self.snapshots.stop();
        // Ends that are gone already have nothing to be told.
        let _ = self.stop_http.send(true);
        let _ = self.http.await;
        if let Some(statsd) = self.statsd {
            statsd.shutdown().await;
        }
        let _ = self.stop_pushes.send(true);
        let _ = self.pushes.await;
        self.alerts.stop().await;
        let _ = self.stop_maintenance.send(());
        let _ = self.stop_snapshots.send(());
        let _ = self.stop_metadata.send(());
        self.storage.stop_maintenance();
        self.evaluating.stop();
        let (storage, detection, maintenance, keeping) = (self.storage, self.detection, self.maintenance, self.keeping);
        let (metadata, evaluating, senders, heartbeats) =
            (self.metadata, self.evaluating, self.senders, self.heartbeats);
        let threads = tokio::task::spawn_blocking(move || {
            let _ = maintenance.join();
            let _ = keeping.join();
            let _ = metadata.join();
            senders.join();
            heartbeats.join();
            evaluating.join();
            detection.stop_evaluation();
            storage.close();
            detection.join();
        });
        let _ = threads.await;
        let _ = self.stop_deliveries.send(true);
        let _ = self.deliveries.await;
        // Behind the last deliveries, of which it tells.
        let journaling = self.journaling;
        let _ = tokio::task::spawn_blocking(move || journaling.join()).await;
        tracing::info!("stopped: everything acknowledged is on disk");
    }
}

fn lock(folder: &Path) -> Result<FolderLock, ServerError> {
    RealDisk::lock_folder(folder).map_err(|error| match error.source.kind() {
        std::io::ErrorKind::WouldBlock => ServerError::FolderInUse(folder.to_owned()),
        _ => error.into(),
    })
}

async fn listen(address: &str) -> Result<TcpListener, ServerError> {
    http::listen(address).await.map_err(|source| listen_error(address, source))
}

async fn listen_statsd(address: &str) -> Result<Option<StatsdSockets>, ServerError> {
    if address.is_empty() {
        return Ok(None);
    }
    let bound = StatsdSockets::bind(address).await;
    bound.map(Some).map_err(|source| ServerError::ListenStatsd { address: address.to_owned(), source })
}

fn listen_error(address: &str, source: std::io::Error) -> ServerError {
    ServerError::Listen { address: address.to_owned(), source }
}

/// What is open before the database is.
fn entrance(
    config: &Config,
    registry: &Arc<Registry>,
    clock: &Clock,
    progress: &Arc<RecoveryProgress>,
) -> Arc<Entrance> {
    let progress = progress.clone();
    let recovery = move || Recovery {
        segment_count: progress.segments_total.load(Ordering::Relaxed),
        segments_read: progress.segments_done.load(Ordering::Relaxed),
        sample_count: progress.samples.load(Ordering::Relaxed),
    };
    Entrance::new(limits::of_http(config), registry.clone(), clock.clone(), recovery)
}

fn open_snapshots(config: &Config, disk: &dyn Disk, storage: &Arc<Storage>) -> Result<Arc<Snapshots>, ServerError> {
    for name in remove_incomplete(disk, &config.data_dir)? {
        tracing::info!(name, "a snapshot that was not finished is removed");
    }
    let options = SnapshotOptions {
        beside: BESIDE_THE_DATABASE.to_vec(),
        interval_ms: config.snapshots.interval_ms,
        keep: usize::try_from(config.snapshots.keep).unwrap_or(usize::MAX),
    };
    Ok(Arc::new(Snapshots::new(storage.clone(), options)?))
}

/// What the routes are answered from.
struct Rooms {
    /// Where the server listens.
    address: SocketAddr,
    disk: Arc<dyn Disk>,
    storage: Arc<Storage>,
    snapshots: Arc<Snapshots>,
    engine: Arc<Engine>,
    ingest: Arc<Ingest>,
    rules: Arc<EvaluatedRules>,
    reloading: Arc<Reloading>,
    detection: Arc<Detection>,
    announcements: Arc<Announcements>,
    notifier: Arc<Notifier>,
    incidents: Arc<Incidents>,
    senders: Arc<Senders>,
    heartbeats: Arc<Heartbeats>,
    silences: Arc<Silences>,
    routing: AskRouting,
    /// Alerts of others.
    pushed: Arc<Pushed>,
    web_origins: Regex,
    registry: Arc<Registry>,
    ready: Arc<AtomicBool>,
    clock: Clock,
}

impl Rooms {
    /// What http asks of them. Opens what of the data folder only http needs: pushed groups, the journal of queries.
    fn services(self, config: &Config) -> Result<Services, ServerError> {
        let pushgateway = push::open(config, &self.disk, &self.ingest)?;
        let journal = open_journal(config, &*self.disk)?;
        let (viewed, examined) = (self.storage.clone(), self.storage.clone());
        let (firing, in_force, learned) = (self.notifier.clone(), self.reloading.clone(), self.detection.clone());
        let Rooms { rules, reloading, detection, senders, heartbeats, pushed, .. } = self;
        Ok(Services {
            view: Arc::new(move || viewed.view()),
            engine: self.engine,
            ingest: self.ingest,
            pushgateway,
            storage: self.storage,
            snapshots: self.snapshots,
            admin_api: admin_api(config.admin_api, self.address),
            web_origins: self.web_origins,
            registry: self.registry,
            ready: self.ready,
            rules: Arc::new(move || rules.report()),
            reload: Arc::new(move || reloading.reload()),
            announcements: self.announcements,
            anomalies: Arc::new(move || detection.anomalies()),
            silences: self.silences,
            routing: self.routing,
            push_alerts: Arc::new(move |alerts| pushed.push(alerts)),
            firing: Arc::new(move || firing.active()),
            take_beat: taking(&heartbeats),
            heartbeats: Arc::new(move || heartbeats.figures()),
            senders: Arc::new(move || senders.figures(&learned.shared().lateness_of_jobs())),
            notifier: self.notifier,
            incidents: self.incidents,
            damage: Arc::new(move || examined.damage()),
            journal: Arc::new(journal),
            config: Arc::new(config.clone()),
            settings: Arc::new(move || in_force.settings()),
            started_ms: self.clock.now_ms(),
            clock: self.clock,
        })
    }
}

/// Opens the journal of running queries, and tells of those that ran when the process before this one died.
fn open_journal(config: &Config, disk: &dyn Disk) -> Result<QueryJournal, DiskError> {
    let queries_max = limits::of_http(config).queries_max;
    let path = config.data_dir.join(ACTIVE_QUERIES_FILE);
    let (journal, unfinished) = QueryJournal::open(disk, &path, queries_max)?;
    for query in unfinished {
        tracing::warn!(query, "this query ran when the process died last time");
    }
    Ok(journal)
}
