//! Seed after seed: data written, expressions asked, differences told once a kind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use dozor::clock::Clock;
use dozor::storage::view::ReadView;

use crate::Options;
use crate::answer::Answer;
use crate::ask::{Ours, Server, When};
use crate::compare::compare;
use crate::data::{Data, LENGTH_MS, Seen};
use crate::dice::Dice;
use crate::grammar::Grammar;
use crate::known::{Case, Known, Rules, known, settle};
use crate::shrink::{Difference, shrink};
use crate::tally::Tally;
use crate::term::{Kind, Term};
use crate::unstopped;
use crate::wire;

/// How often Prometheus is asked again before a difference is believed: its hash tables come in an order that one query
/// in four or five has, and on which an overflow may depend.
const ASKED_AGAIN: usize = 24;

/// How often Prometheus throws away what it keeps, and is asked for all of it again, before a difference is told.
const CLEANED: usize = 8;

/// Both sides, as one worker has them.
pub(crate) struct Sides {
    ours: Arc<Ours>,
    dozor: Option<Server>,
    pub(crate) prometheus: Server,
    pub(crate) tally: Tally,
    /// Differences, by the number of the expression.
    found: Vec<(usize, Difference)>,
}

impl Sides {
    async fn both(&mut self, query: &str, when: When) -> anyhow::Result<(Answer, Answer)> {
        let ours = match &mut self.dozor {
            Some(dozor) => dozor.ask(query, when).await?,
            None => self.ours.ask(query, when),
        };
        Ok((ours, self.prometheus.ask(query, when).await?))
    }

    pub(crate) async fn settled(&mut self, query: &str, when: When) -> anyhow::Result<(Answer, Answer)> {
        let (mut ours, mut theirs) = self.both(query, when).await?;
        settle(&mut ours);
        settle(&mut theirs);
        Ok((ours, theirs))
    }

    /// What both sides say to a question, and in what that differs.
    pub(crate) async fn judge(&mut self, term: &Term, when: When, rules: Rules) -> anyhow::Result<Verdict> {
        let query = term.to_string();
        if term.kind == Kind::Matrix && !matches!(when, When::At { .. }) {
            return Ok(Verdict::Alike);
        }
        let (ours, theirs) = self.settled(&query, when).await?;
        self.tally.asked += 1;
        let is_instant = matches!(when, When::At { .. });
        let Some(what) = compare(&query, is_instant, &ours, &theirs) else {
            self.tally.note_alike(&theirs);
            return Ok(Verdict::Alike);
        };
        let case = Case { query: &query, is_instant, what: &what, ours: &ours, theirs: &theirs };
        match known(&case, rules) {
            Some(Known::Surely(reason)) => return Ok(Verdict::Known(reason)),
            Some(Known::Perhaps) => return Ok(Verdict::Suspected(what)),
            None => {}
        }
        if rules == Rules::OfSmall && self.is_unstopped_at_zero(&query, when).await? {
            return Ok(Verdict::Known(unstopped::REASON));
        }
        if self.is_at_odds_with_itself(&query, when, &ours, &what).await? {
            return Ok(Verdict::Alike);
        }
        for _ in 0..ASKED_AGAIN {
            let mut again = self.prometheus.ask(&query, when).await?;
            settle(&mut again);
            if compare(&query, is_instant, &theirs, &again).is_some()
                || compare(&query, is_instant, &ours, &again).is_none()
            {
                self.tally.unsteady += 1;
                return Ok(Verdict::Alike);
            }
        }
        Ok(Verdict::Different(what))
    }

    /// As [`Sides::judge`] of what is as small as it gets: known or not.
    pub(crate) async fn judge_small(&mut self, term: &Term, when: When) -> anyhow::Result<Verdict> {
        match self.judge(term, when, Rules::OfAny).await? {
            Verdict::Suspected(_) => self.judge(term, when, Rules::OfSmall).await,
            verdict => Ok(verdict),
        }
    }
}

/// What became of a question.
pub(crate) enum Verdict {
    Alike,
    /// It differs, for this reason.
    Known(&'static str),
    /// It differs in what may be known: the smallest question that does so will tell.
    Suspected(String),
    /// It differs in this.
    Different(String),
}

/// Runs until the time is over or enough was found.
pub(crate) fn run(options: &Options) -> anyhow::Result<Tally> {
    let clock = Clock::system();
    let began = clock.monotonic();
    let until = began + options.length;
    let mut tally = Tally::default();
    let mut seed = options.seed;
    while clock.monotonic() < until && tally.differences.len() < options.differences {
        tally.add(run_seed(options, seed, &clock, until)?);
        tally.seeds += 1;
        seed += 1;
        if options.only.is_some() || options.ask.is_some() {
            break;
        }
    }
    tally.took = clock.monotonic() - began;
    Ok(tally)
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let rest = url.strip_prefix("http://").context("an address begins with http://")?;
    rest.trim_end_matches('/').parse().with_context(|| format!("{rest:?} is not an address with a port"))
}

fn run_seed(options: &Options, seed: u64, clock: &Clock, until: Duration) -> anyhow::Result<Tally> {
    let data = Arc::new(Data::new(seed));
    let ours = Arc::new(Ours::new(ReadView::of_series(data.given())));
    let prometheus = address(&options.prometheus)?;
    let dozor = options.dozor.as_deref().map(address).transpose()?;
    let misread = block_on(async {
        let requests = wire::requests(&data.series);
        for target in [Some(prometheus), dozor].into_iter().flatten() {
            let mut server = Server::new(target);
            for request in wire::requests(&data.roll_call()) {
                // A server that has had a seed already refuses it as too old, and has no need of it.
                _ = server.write(&request).await;
            }
            let mut refused = None;
            for request in &requests {
                // A server that has had this seed already refuses it as too old.
                refused = refused.or(server.write(request).await.err());
            }
            if let Some(what) = misread(&ours, &mut server, &data).await? {
                if let Some(refused) = refused {
                    return Err(refused);
                }
                return anyhow::Ok(Some(what));
            }
        }
        Ok(None)
    })??;
    if let Some(what) = misread {
        println!("seed {seed} is left out, as the server does not read what was written: {what}");
        return Ok(Tally { left_out: 1, ..Tally::default() });
    }
    if let (Some(query), Some(when)) = (&options.ask, options.at) {
        let server = |address| Server::new(address);
        let tally = Tally::default();
        let mut sides =
            Sides { ours, dozor: dozor.map(server), prometheus: server(prometheus), tally, found: Vec::new() };
        let (ours, theirs) = block_on(sides.both(query, when))??;
        println!("ours:\n{ours}theirs:\n{theirs}");
        return Ok(sides.tally);
    }
    let next = Arc::new(AtomicUsize::new(options.only.unwrap_or(0)));
    let end = options.only.map_or(options.expressions, |only| only + 1);
    let sides = || Sides {
        ours: ours.clone(),
        dozor: dozor.map(Server::new),
        prometheus: Server::new(prometheus),
        tally: Tally::default(),
        found: Vec::new(),
    };
    let start_ms = data.start_ms;
    let workers: Vec<_> = (0..options.workers)
        .map(|_| {
            let (next, clock, sides) = (next.clone(), clock.clone(), sides());
            let work = move || {
                block_on(async {
                    let mut sides = sides;
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        if number >= end || clock.monotonic() >= until {
                            return anyhow::Ok((sides.tally, sides.found));
                        }
                        one(&mut sides, start_ms, seed, number).await?;
                    }
                })?
            };
            thread::spawn(work)
        })
        .collect();
    let (mut tally, mut found) = (Tally::default(), Vec::new());
    for worker in workers {
        let (of_worker, of_worker_found) = worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        tally.add(of_worker);
        found.extend(of_worker_found);
    }
    let mut sides = sides();
    block_on(async {
        for (number, found) in &found {
            tell(&mut sides, &data, seed, *number, found).await?;
        }
        anyhow::Ok(())
    })??;
    tally.add(sides.tally);
    Ok(tally)
}

/// In what a server's data differ from what it was given. Prometheus 3.5 moves negative buckets of some histograms when
/// it lays a chunk out anew.
async fn misread(ours: &Ours, server: &mut Server, data: &Data) -> anyhow::Result<Option<String>> {
    let (query, when) = (r#"{__name__!=""}[50m]"#, When::At { time_ms: data.start_ms + LENGTH_MS });
    Ok(compare(query, true, &ours.ask(query, when), &server.ask(query, when).await?))
}

fn block_on<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future))
}

/// Steps of range queries, in ms.
const STEPS_MS: [i64; 12] = [1, 1_000, 7_000, 15_000, 15_000, 15_001, 30_000, 60_000, 60_000, 61_300, 300_000, 777_777];

/// Questions that have found something before.
pub(crate) fn found() -> impl Iterator<Item = &'static str> {
    include_str!("found.promql").lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The expression of this number, and when it is asked: first those of old, then random ones.
pub(crate) fn question(start_ms: i64, seed: u64, number: usize) -> (Term, [When; 2]) {
    let mut grammar = Grammar::new(Dice::of(seed, 1_000 + number as u64), start_ms);
    let term = match found().nth(number) {
        Some(query) => Term::text(Kind::Vector, query),
        None if grammar.dice.chance(2) => grammar.samples(),
        None => grammar.expression(),
    };
    let dice = &mut grammar.dice;
    let moment_ms = |dice: &mut Dice| {
        let moment_ms = start_ms
            + if dice.chance(94) {
                dice.between(60_000, LENGTH_MS)
            } else {
                dice.between(-120_000, LENGTH_MS + 420_000)
            };
        if dice.chance(50) { moment_ms / 15_000 * 15_000 } else { moment_ms }
    };
    let (at_ms, from_ms) = (moment_ms(dice), moment_ms(dice));
    let step_ms = STEPS_MS[dice.below(STEPS_MS.len())];
    let count = if dice.chance(15) { dice.between(1, 200) } else { dice.between(1, 25) };
    let end_ms = from_ms + (count - 1) * step_ms + dice.between(0, step_ms);
    (term, [When::At { time_ms: at_ms }, When::Over { start_ms: from_ms, end_ms, step_ms }])
}

async fn one(sides: &mut Sides, start_ms: i64, seed: u64, number: usize) -> anyhow::Result<()> {
    let (term, times) = question(start_ms, seed, number);
    for when in times {
        let what = match sides.judge(&term, when, Rules::OfAny).await? {
            Verdict::Alike => continue,
            Verdict::Known(reason) => {
                *sides.tally.known.entry(reason).or_default() += 1;
                continue;
            }
            Verdict::Suspected(what) | Verdict::Different(what) => what,
        };
        let found = shrink(sides, Difference { term: term.clone(), when, what }).await?;
        match sides.judge_small(&found.term, found.when).await? {
            Verdict::Known(reason) => *sides.tally.known.entry(reason).or_default() += 1,
            Verdict::Alike => sides.tally.unsteady += 1,
            Verdict::Suspected(_) | Verdict::Different(_) => sides.found.push((number, found)),
        }
    }
    Ok(())
}

/// The words of a query and the kind of what differs: what is told only once.
fn kind(found: &Difference) -> String {
    let query = found.term.to_string();
    let words: std::collections::BTreeSet<&str> = query
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.chars().next().is_some_and(|letter| letter.is_ascii_lowercase()))
        .collect();
    let known = words.into_iter().collect::<Vec<_>>().join(" ");
    let what = found.what.split(':').next().unwrap_or_default();
    format!("{what}: {known}")
}

async fn tell(sides: &mut Sides, data: &Data, seed: u64, number: usize, found: &Difference) -> anyhow::Result<()> {
    let query = found.term.to_string();
    // Histograms of Prometheus 3.5 are at times another query's, which it answered at once or before: now it is alone,
    // and has thrown away what it kept. What it keeps of the proof itself may spoil that, so it has several chances.
    for _ in 0..CLEANED {
        sides.prometheus.collect_garbage().await?;
        if !matches!(sides.judge_small(&found.term, found.when).await?, Verdict::Different(_)) {
            sides.tally.unsteady += 1;
            return Ok(());
        }
    }
    let count = sides.tally.differences.entry(kind(found)).or_default();
    *count += 1;
    if *count > 1 {
        return Ok(());
    }
    let (ours, theirs) = sides.both(&query, found.when).await?;
    let mut text = format!(
        "\n=== seed {seed} expression {number}\n{query}\n{:?}\n{}\nours:\n{ours}theirs:\n{theirs}",
        found.when, found.what
    );
    text.push_str(&involved(data, found));
    println!("{text}");
    Ok(())
}

/// Samples of a series that are printed.
const SAMPLES_SHOWN_MAX: usize = 24;

/// The samples near the time of the question, of all series whose metric the expression names.
fn involved(data: &Data, found: &Difference) -> String {
    let query = found.term.to_string();
    let (from_ms, to_ms) = match found.when {
        When::At { time_ms } => (time_ms - 300_000, time_ms),
        When::Over { start_ms, end_ms, .. } => (start_ms - 300_000, end_ms),
    };
    let mut text = String::new();
    for series in &data.series {
        let name = series.labels.metric_name().unwrap_or_default();
        let is_named =
            query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').any(|word| word == name);
        if !is_named {
            continue;
        }
        let near: Vec<_> = series.samples.iter().filter(|(time_ms, _)| (from_ms..=to_ms).contains(time_ms)).collect();
        text.push_str(&format!("  {}", series.labels));
        for (time_ms, seen) in near.iter().rev().take(SAMPLES_SHOWN_MAX).rev() {
            match seen {
                Seen::Number(value) => text.push_str(&format!(" {value:?}@{time_ms}")),
                Seen::Histogram { value, .. } => text.push_str(&format!(" {value}@{time_ms}")),
            }
        }
        text.push('\n');
    }
    text
}
