//! `dozor learn`: detection learns from what is stored, so that it need not wait for weeks.
//!
//! ```text
//! $ dozor learn --data-dir data --rules shop.yml
//! learned: 48 groups of 12 rules from 61 days, 118203441 samples of 340 series
//! alerts in that time: 7 OrderRateDrop
//! ```
//!
//! Always true: groups that detection knows already stay as they are, unless `--anew` is given; and no alert is told.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::bar::Bar;
use super::{Place, check_data_dir, moment};
use crate::config::{Config, parse_duration_ms};
use crate::detect::{self, LearnOptions, Learned, Watch};
use crate::disk::RealDisk;
use crate::model::TimeRange;
use crate::rules::{self, RuleSet};
use crate::server::{DatabaseAtRest, shop_days};
use crate::storage::view::ReadView;

const DAY_MS: i64 = 86_400_000;

/// Flags of `dozor learn`.
#[derive(Clone, Debug, clap::Args)]
pub struct LearnArgs {
    #[command(flatten)]
    place: Place,
    /// Rule file; may be given more than once, and adds to those of the settings file
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// How much of the newest history is learned from [default: all that is stored]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration_ms)]
    last: Option<i64>,
    /// Forget what detection knows already
    #[arg(long)]
    anew: bool,
}

/// Learns, and writes the checkpoint that the next start of the server goes on from.
pub fn learn(flags: LearnArgs) -> anyhow::Result<ExitCode> {
    let mut config = flags.place.config()?;
    config.rules.extend(flags.rules.iter().cloned());
    let rules = rules::load(&RealDisk, &config.rules)?;
    let watches = rules.watches();
    if watches.is_empty() {
        bail!("no rule has an anomaly block, so there is nothing to learn: --rules or --config says where rules are");
    }
    check_data_dir(&config.data_dir)?;
    let database =
        DatabaseAtRest::open(&config).context("a server learns while it runs; this is for a folder at rest")?;
    let view = database.view();
    let Some(stored) = view.span() else { bail!("nothing is stored in {}", config.data_dir.display()) };
    let range = newest(stored, flags.last);
    let learned = read(&config, range, &watches, &view)?;
    for line in view.left_out() {
        eprintln!("left out: {line}");
    }
    let known = if flags.anew { None } else { database.checkpoint(&config.data_dir)? };
    let (bytes, groups_count, kept_count) = put_together(&learned, &watches, known.as_deref(), &config)?;
    database.replace_checkpoint(&config.data_dir, &bytes)?;
    tell(&rules, &learned, range, groups_count, kept_count);
    Ok(ExitCode::SUCCESS)
}

/// As much of the range's end as is wanted.
pub(super) fn newest(stored: TimeRange, last_ms: Option<i64>) -> TimeRange {
    let from_ms = last_ms.map_or(stored.from_ms, |last_ms| stored.to_ms.saturating_sub(last_ms));
    TimeRange { from_ms: from_ms.max(stored.from_ms), ..stored }
}

/// What a server of this configuration goes by.
pub(super) fn learn_options(config: &Config) -> anyhow::Result<LearnOptions> {
    let (zone, calendar) = shop_days(config)?;
    let lateness_ms = config.detection.lateness_ms;
    Ok(LearnOptions { lateness_ms, unheard_max_ms: config.telemetry.unknown_max_ms, zone, calendar })
}

fn read(config: &Config, range: TimeRange, watches: &[Watch], view: &ReadView) -> anyhow::Result<Learned> {
    let mut bar = Bar::of_time("learning");
    let total = range.to_ms.abs_diff(range.from_ms);
    let options = learn_options(config)?;
    let learned = detect::learn(view, range, watches.to_vec(), options, None, &mut |reached_ms| {
        bar.show(&moment(reached_ms), reached_ms.abs_diff(range.from_ms), total);
    });
    Ok(learned?)
}

/// What was learned, and over it what was known: the checkpoint, its groups, and how many of them were known.
fn put_together(
    learned: &Learned,
    watches: &[Watch],
    known: Option<&[u8]>,
    config: &Config,
) -> anyhow::Result<(Vec<u8>, usize, usize)> {
    let (_, mut judge) = detect::start(watches.to_vec(), 1, config.detection.lateness_ms);
    let (zone, calendar) = shop_days(config)?;
    judge.live_by(zone, calendar);
    let lesson = learned.judge.lesson();
    let new_count = judge.restore(&lesson)?.groups;
    let Some(known) = known else { return Ok((lesson, new_count, 0)) };
    let kept = judge.restore(known).context("--anew forgets it")?;
    Ok((judge.checkpoint(), new_count, kept.groups))
}

fn tell(rules: &RuleSet, learned: &Learned, range: TimeRange, groups_count: usize, kept_count: usize) {
    let days = range.to_ms.abs_diff(range.from_ms).div_ceil(DAY_MS.unsigned_abs());
    let (samples, series, rules_count) = (learned.samples_count, learned.series_count, rules.rules.len());
    println!(
        "learned: {groups_count} groups of {rules_count} rules from {days} days, {samples} samples of {series} series"
    );
    if kept_count > 0 {
        println!("{kept_count} groups were known and stay as they are; --anew forgets them");
    }
    for (rule, count) in rules.rules.iter().zip(&learned.fired_counts).filter(|(_, count)| **count > 0) {
        println!("alerts in that time: {count} {}", rule.alert);
    }
}
