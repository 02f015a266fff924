//! A shop to watch for those who have none at hand: `dozor demo`.
//!
//! ```text
//! shop ─► feed ─► remote write over HTTP ─► engine ─► webhook ─► pretend pager ─► screen
//! ```
//!
//! The engine is the one of `dozor serve`, on a data folder of its own; nothing in it knows that this is a play. The
//! rules are the pack `shop`, as `dozor serve --pack shop` has them. The shop breaks after two hours of history, and the
//! pager is told twice by each of the two alerts that the demo is about, and by what else of the pack sees it: firing, then
//! resolved.
//! The same fleet drives `tools/loadgen` and the benches:
//!
//! ```
//! use dozor::demo::{Feed, RequestEncoder, Shop, ShopOptions};
//! let shop = Shop::new(ShopOptions { node_count: 3, ..ShopOptions::default() }).unwrap();
//! let mut feed = Feed::new(shop, 1_700_000_000_000);
//! let mut encoder = RequestEncoder::new();
//! assert_eq!(feed.fill(&mut encoder, 2_000, 1_700_000_015_000), 240); // 3 nodes × 40 series × 2 scrapes
//! let body = encoder.finish();
//! assert!(body.len() < 240 * 100);
//! ```
//!
//! Always true: everything that reaches the engine came over HTTP, and `--once` succeeds only if the pager was told all.

mod client;
mod engine;
mod feed;
mod pager;
mod play;
mod remote_write;
mod screen;
mod shop;
mod verdict;

pub use client::{ANSWER_BYTES_MAX, Answer, ClientError, Connection, Content, EXCHANGE_TIMEOUT};
pub use feed::{Fed, Feed};
pub use remote_write::{RequestEncoder, encode_labels};
pub use shop::{Fault, NODES_COUNT_MAX, SERIES_PER_NODE, Shop, ShopError, ShopOptions};

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use engine::{Engine, EngineOptions, start_engine};
use pager::Pager;
use play::{Ending, Play};
use screen::{Screen, Tone};
use verdict::Verdict;

/// Where the engine listens unless told otherwise, or unless somebody is there already.
const PORT: u16 = 9090;
/// How long `--once` may take.
const ONCE_TIME_MAX: Duration = Duration::from_secs(120);

/// What `dozor demo` can be told.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoOptions {
    /// End after the resolution: exit code 0 if every alert fired and resolved, 1 if not
    #[arg(long)]
    pub once: bool,
    /// Nodes of the shop, 40 series each
    #[arg(long, value_name = "COUNT", default_value_t = 12, value_parser = clap::value_parser!(u32).range(3..=10_000))]
    pub nodes: u32,
    /// What all chance comes from: the same seed plays the same shop
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// How many times as fast as life history is played, at most
    #[arg(long, value_name = "FACTOR", default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub speed: u32,
    /// Where the engine listens [default: 127.0.0.1:9090, or any free port if that is taken]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<SocketAddr>,
    /// Folder to keep the data in; it must be new or empty [default: a temporary one, removed at the end]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
}

/// Plays the demo to its end. The exit code is 1 if `--once` did not see what it waited for.
/// Fails, in words for the person at the terminal, if the folder, a port or the engine cannot be had.
pub async fn run(options: DemoOptions) -> anyhow::Result<ExitCode> {
    let clock = Clock::system();
    let screen = Screen::of_process();
    let stage = Stage::set_up(&options, &clock)?;
    let mut pager = Pager::start(&stage.secret).await.context("cannot start the pretend pager")?;
    let shop =
        Shop::new(ShopOptions { node_count: options.nodes as usize, seed: options.seed, ..ShopOptions::default() })?;
    let engine = start_engine(stage.engine_options(listen_address(options.listen), pager.address)).await?;
    greet(&screen, &options, &shop, &engine, &pager, &stage);

    let mut play = Play::new(shop, engine.address, &mut pager.deliveries, &screen, &clock);
    play.speed = f64::from(options.speed);
    play.once = options.once;
    if options.once {
        play.deadline = clock.monotonic() + ONCE_TIME_MAX;
    }
    let outcome = play.run(stop_asked()?.as_mut()).await;
    engine.shutdown().await;
    let (ending, verdict) = outcome?;
    Ok(conclude(&screen, options.once, ending, &verdict, clock.monotonic()))
}

fn greet(screen: &Screen, options: &DemoOptions, shop: &Shop, engine: &Engine, pager: &Pager, stage: &Stage) {
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("dozor {version} · demo: a shop of {} nodes × {SERIES_PER_NODE} series", shop.node_count());
    screen.line(Tone::Bold, &text);
    let kept = if stage.temporary { "removed at the end" } else { "kept" };
    screen.ready("engine", &format!("http://{}", engine.address));
    screen.ready("data", &format!("{} ({kept})", stage.folder.display()));
    screen.ready("rules", &format!("the pack `shop`; to be seen: {}", play::alert_names()));
    screen.ready("pager", &format!("http://{}, a pretend one that checks signatures", pager.address));
    screen.ready("shop", &format!("seed {}, remote write over HTTP, one scrape in 15 s", options.seed));
    screen.line(Tone::Plain, "");
}

fn conclude(screen: &Screen, once: bool, ending: Ending, verdict: &Verdict, took: Duration) -> ExitCode {
    let seconds = took.as_secs_f64();
    match ending {
        Ending::Reported => {
            screen.line(
                Tone::Good,
                &format!("passed: the pager was told of both alerts and of their end, in {seconds:.1} s"),
            );
            ExitCode::SUCCESS
        }
        Ending::Stopped if !once => {
            screen.line(Tone::Plain, "stopped");
            ExitCode::SUCCESS
        }
        Ending::Stopped | Ending::Overdue => {
            screen.line(Tone::Bad, &format!("failed after {seconds:.1} s: {}", verdict.missing()));
            ExitCode::FAILURE
        }
    }
}

/// The demo's folder, with all files that the engine reads from it.
#[derive(Debug)]
struct Stage {
    folder: PathBuf,
    temporary: bool,
    secret_file: PathBuf,
    secret: String,
}

impl Stage {
    fn set_up(options: &DemoOptions, clock: &Clock) -> anyhow::Result<Stage> {
        let salt = format!("{} {}", std::process::id(), clock.now_ms());
        let temporary = options.data_dir.is_none();
        let folder = match &options.data_dir {
            Some(folder) => folder.clone(),
            None => std::env::temp_dir().join(format!("dozor-demo-{}", salt.replace(' ', "-"))),
        };
        fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let mut entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        if entries.next().is_some() {
            anyhow::bail!("{} is not empty: the demo plays the past anew, so give it a new folder", folder.display());
        }
        let stage =
            Stage { secret_file: folder.join("webhook-secret"), secret: webhook_secret(&salt), folder, temporary };
        write_private(&stage.secret_file, &stage.secret)?;
        Ok(stage)
    }

    fn engine_options(&self, listen: SocketAddr, pager: SocketAddr) -> EngineOptions {
        EngineOptions {
            data_folder: self.folder.join("data"),
            listen,
            webhook_url: format!("http://{pager}/webhook"),
            secret_file: self.secret_file.clone(),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed stays in the folder for temporary files, whose owner cleans it.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// A key for this run alone. It guards a pager on this machine's loopback, so it need not be beyond guessing.
fn webhook_secret(salt: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"dozor demo").expect("HMAC takes keys of any length");
    mac.update(salt.as_bytes());
    format!("whsec_{}", BASE64.encode(mac.finalize().into_bytes()))
}

fn listen_address(wanted: Option<SocketAddr>) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let usual_is_free = || TcpListener::bind(usual).is_ok();
    wanted.unwrap_or_else(|| if usual_is_free() { usual } else { SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) })
}

/// Completes at Ctrl-C or SIGTERM.
fn stop_asked() -> anyhow::Result<Pin<Box<dyn Future<Output = ()> + Send>>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(Box::pin(async move {
        let (interrupt, terminate) = (pin!(interrupt.recv()), pin!(terminate.recv()));
        tokio::select! { _ = interrupt => {}, _ = terminate => {} }
    }))
}

#[cfg(test)]
mod tests;
