//! The `dozor` command.

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dozor::config::{self, Config, ServeArgs};
use dozor::demo::{self, DemoOptions};
use dozor::operate::{
    self, CalendarArgs, CheckRoutingArgs, CheckRulesArgs, DeadLettersArgs, ExplainArgs, ImportArgs, IncidentsArgs,
    LearnArgs, PackArgs, ReplayArgs, ReportArgs, RestoreArgs, SilenceArgs, SnapshotArgs, TestRulesArgs,
    TestWebhookArgs, VerifyArgs,
};
use dozor::server::Server;
use dozor::telemetry;
use tokio::signal::unix::{SignalKind, signal};

/// Freed memory goes back to the thread that took it: bodies, batches and records are made on one thread and freed on
/// another all day long.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the allocator reads from the environment, once, before `main` runs. Freed memory goes back to the system at once
/// and in small pages: a load or a round of queries peaks at three quarters of the memory, for the same CPU.
const ALLOCATOR_SETTINGS: [(&str, &str); 2] = [("MIMALLOC_PURGE_DELAY", "0"), ("MIMALLOC_ALLOW_THP", "0")];

/// Takes in an online shop's metrics, watches every sample for trouble, and tells the pager.
#[derive(Parser)]
#[command(name = "dozor", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(ServeArgs),
    /// See a simulated shop break, and the pager ring
    Demo(DemoOptions),
    /// Take a backup, of a running server or of a data folder at rest
    Snapshot(SnapshotArgs),
    /// Put a snapshot in the place of a data folder
    Restore(RestoreArgs),
    /// Read every checksum of a data folder or a snapshot; exit code 0: no damage, 1: damage, 2: unknown
    Verify(VerifyArgs),
    /// Send history from files or from a Prometheus to a server; exit code 0: all stored, 1: a part refused, 2: not done
    Import(ImportArgs),
    /// Let detection learn from what is stored in a data folder at rest
    Learn(LearnArgs),
    /// See what rules would have fired in the past; exit code 0: all replayed, 1: nothing, 2: some were not
    Replay(ReplayArgs),
    /// Write how the shop ran in a month: a page, text, or figures
    Report(ReportArgs),
    /// Show why an alert fires, as a picture; exit code 0: shown, 1: it does not fire
    Explain(ExplainArgs),
    /// Hold alerts back for a while, by a running server
    #[command(subcommand)]
    Silence(SilenceArgs),
    /// Announce days that will not be like others to a running server: a sale, a holiday, a deploy
    Calendar(CalendarArgs),
    /// See what could not be told to a receiver, and tell it once more
    DeadLetters(DeadLettersArgs),
    /// Show incidents, take one, write a note to it
    Incidents(IncidentsArgs),
    /// Look at files without a server
    #[command(subcommand)]
    Check(Check),
    /// Try files out without a server
    #[command(subcommand)]
    Test(Test),
    /// See the rules that are in the binary, and what to do when one of them wakes somebody
    Pack(PackArgs),
    /// Print a settings file with every setting, its unit, default and range
    Config,
}

#[derive(Subcommand)]
enum Check {
    /// Look for faults in rule files; exit code 0: none, 1: some, 3: the same rule twice, with --lint-fatal
    Rules(CheckRulesArgs),
    /// Look for faults in an Alertmanager configuration, or see who is told of an alert; exit code 0: no faults, 1: some
    Routing(CheckRoutingArgs),
}

#[derive(Subcommand)]
enum Test {
    /// Run unit tests of rules, in promtool's files; exit code 0: all well, 1: something failed
    Rules(TestRulesArgs),
    /// Tell receivers that this is a test; exit code 0: all took it, 1: one did not
    Webhook(TestWebhookArgs),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(flags) => {
            begin_again_with_allocator_settings();
            run(serve(flags))
        }
        Command::Demo(options) => run(demo::run(options)),
        Command::Snapshot(flags) => run(operate::snapshot(flags)),
        Command::Restore(flags) => operate::restore(flags),
        Command::Verify(flags) => Ok(operate::verify(flags)),
        Command::Import(flags) => run(operate::import(flags)),
        Command::Learn(flags) => operate::learn(flags),
        Command::Replay(flags) => run(operate::replay(flags)),
        Command::Report(flags) => run(operate::report(flags)),
        Command::Explain(flags) => run(operate::explain(flags)),
        Command::DeadLetters(flags) => run(operate::dead_letters(flags)),
        Command::Incidents(flags) => run(operate::incidents(flags)),
        Command::Check(Check::Rules(flags)) => Ok(operate::check_rules(&flags)),
        Command::Check(Check::Routing(flags)) => operate::check_routing(&flags),
        Command::Calendar(flags) => run(operate::calendar(flags)),
        Command::Silence(flags) => run(operate::silence(flags)),
        Command::Test(Test::Rules(flags)) => operate::test_rules(&flags),
        Command::Test(Test::Webhook(flags)) => run(operate::test_webhook(flags)),
        Command::Pack(flags) => operate::pack(&flags),
        Command::Config => {
            print!("{}", config::documented());
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {}", told(&error));
        ExitCode::FAILURE
    })
}

/// Puts this program in its own place, with those of [`ALLOCATOR_SETTINGS`] in the environment that nobody has set. The
/// process stays the same to whoever started it. Returns where all of them are set, or where the program is no longer
/// found: then it goes on, and takes more memory.
fn begin_again_with_allocator_settings() {
    let unset: Vec<_> = ALLOCATOR_SETTINGS.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    let mut arguments = std::env::args_os();
    if let (false, Ok(program), Some(name)) = (unset.is_empty(), std::env::current_exe(), arguments.next()) {
        // What comes back is the error.
        let _ = std::process::Command::new(program).arg0(name).args(arguments).envs(unset).exec();
    }
}

/// An error with its causes, each told once: many quote their cause already.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn run(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    // Twice as many threads as cores: while one a core inflates and reads a write, the others answer everybody else, and
    // the system shares the cores out between them.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2 * cores).enable_all().build()?;
    let outcome = runtime.block_on(command);
    // Whoever gave up waiting, by a second signal or one during the start, does not wait for what still runs.
    runtime.shutdown_background();
    outcome
}

async fn serve(flags: ServeArgs) -> anyhow::Result<ExitCode> {
    telemetry::start_logging();
    // Asked for before the start, so that a stop during recovery is heard.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let config = Config::load(&flags)?;
    let reread = Box::new(move || Config::load(&flags));
    let server = tokio::select! {
        started = Server::start(config, reread) => started?,
        _ = terminate.recv() => return Ok(stopped_early()),
        _ = interrupt.recv() => return Ok(stopped_early()),
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => server.reload(),
        }
    }
    tracing::info!("stopping");
    tokio::select! {
        () = server.shutdown() => Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => Ok(ExitCode::FAILURE),
        _ = interrupt.recv() => Ok(ExitCode::FAILURE),
    }
}

/// A start changes nothing that the next one needs, so it may end anywhere.
fn stopped_early() -> ExitCode {
    tracing::info!("stopped before it was ready");
    ExitCode::SUCCESS
}
