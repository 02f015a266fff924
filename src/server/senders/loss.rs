//! Who should send and does not: told once a job, or once for all of them, and again when it is back.
//!
//! ```text
//! shop, every 15 s     12:00:00 … 12:10:00  │ silent: is anything known of it?   │ lost        │ sends again │ settled
//!                                            12:10:29                             12:15:00      12:40:00      12:40:45
//! what may be told     firing, resolved     │ firing; what resolves is held back                           │ both
//! ```
//!
//! Silence is measured by our clock, from when something was last found to have come: a sender that sends an hour's queue
//! is heard, whatever the times of its samples. From a little more than its usual silence on nothing is known of a job,
//! and at once when whoever scrapes it says that it does not answer (`up` is 0),
//! so an alert on its data that resolves may do so because there are no data. When the silence has lasted
//! `telemetry.lost_after` and three times its interval, it is lost. When it is back, it takes a few samples until rates
//! say something, and the rules must have been evaluated with them.
//!
//! Always true:
//! 1. A job is lost only if it was known to send regularly: ten times, over five minutes; or if it did when the log of
//!    before the start ended.
//! 2. A job whose series all ended by staleness markers has said goodbye: it is not lost, unless alerts fire on it, or
//!    whoever scrapes it says on and on that it does not answer.
//! 3. When all senders are silent, one alert says so; when at least [`FOLDED_COUNT_MIN`] fell silent together, one does.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::table::{STEADY_COUNT, STEADY_MS, Sender, Table};

/// How many times its usual silence a job is silent before it is lost.
const INTERVALS_LOST: i64 = 3;
/// How much longer than usual it is silent before nothing is known of it: a quarter, and what lies between two walks.
const WALKS_MS: i64 = 10_000;
/// Jobs that fall silent within so many ms of each other may have one cause.
const TOGETHER_MS: i64 = 90_000;
/// So many of them are told as one.
const FOLDED_COUNT_MIN: usize = 4;
/// When one of several is back, the others have so long, in ms.
const RETURN_MS: i64 = 120_000;
/// How long behind a return nothing is concluded from what is missing: three intervals, within these bounds, in ms.
const SETTLES_MS: (i64, i64) = (30_000, 300_000);
/// Names all senders.
pub(super) const EVERYBODY: &str = "*";

/// Jobs that are told as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// The job, or what stands for several.
    pub(super) name: String,
    pub(super) jobs: BTreeSet<String>,
    /// Since when nothing comes, in ms since 1970 UTC.
    pub(super) since_ms: i64,
    /// Series that they sent.
    pub(super) series_count: u64,
    /// The newest sample of all, by the sender's clock.
    pub(super) newest_ms: i64,
}

/// A loss begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Lost(Loss),
    Back { loss: Loss, at_ms: i64 },
}

/// What is known of a job's data at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Knowledge {
    /// What there is, is what is sent; since this moment, in ms since 1970 UTC.
    Since(i64),
    /// Nothing; since this moment.
    NothingSince(i64),
}

/// A job that is silent, or was a while ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Silence {
    pub(in crate::server) job: String,
    /// Since when nothing came, by our clock, in ms since 1970 UTC.
    pub(in crate::server) since_ms: i64,
    /// Its newest sample, by its own clock; `i64::MIN` where none is stored.
    pub(in crate::server) newest_ms: i64,
    pub(in crate::server) knowledge: Knowledge,
}

/// How a job is, as of the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Too little is known of how it sends.
    New,
    Sending,
    Silent,
    Ended,
    Lost,
}

impl Standing {
    pub(super) fn name(self) -> &'static str {
        match self {
            Standing::New => "new",
            Standing::Sending => "sending",
            Standing::Silent => "silent",
            Standing::Ended => "ended",
            Standing::Lost => "lost",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    standing: Standing,
    /// Since when nothing comes; while it sends, since when nothing came the last time, `i64::MIN` if it always did.
    silent_since_ms: i64,
    knowledge: Knowledge,
}

struct Told {
    loss: Loss,
    /// Since when the first of several is back.
    returning_ms: Option<i64>,
}

/// One that is silent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Going {
    since_ms: i64,
    /// After how much silence it is lost, in ms.
    deadline_ms: i64,
    job: String,
}

impl Going {
    fn is_due(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.since_ms) >= self.deadline_ms
    }

    /// Whether three fifths of its time are over.
    fn is_nearly_due(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.since_ms).saturating_mul(5) >= self.deadline_ms.saturating_mul(3)
    }
}

fn all(going: &[Going]) -> BTreeSet<String> {
    going.iter().map(|one| one.job.clone()).collect()
}

/// The jobs that are told with one that is due: itself, or it and those that fell silent with it, if they are many.
fn together(first: &Going, going: &[Going], now_ms: i64) -> BTreeSet<String> {
    let is_with = |one: &&Going| (one.since_ms - first.since_ms).abs() <= TOGETHER_MS && one.is_nearly_due(now_ms);
    let with: BTreeSet<String> = going.iter().filter(is_with).map(|one| one.job.clone()).collect();
    if with.len() >= FOLDED_COUNT_MIN { with } else { BTreeSet::from([first.job.clone()]) }
}

/// Who is lost.
pub(super) struct Losses {
    lost_after_ms: i64,
    started_ms: i64,
    watched: HashMap<String, Watched>,
    told: BTreeMap<String, Told>,
}

impl Losses {
    /// `told`: what was told before the start and not taken back.
    pub(super) fn new(lost_after_ms: i64, started_ms: i64, told: Vec<Loss>) -> Losses {
        let told = told.into_iter().map(|loss| (loss.name.clone(), Told { loss, returning_ms: None })).collect();
        Losses { lost_after_ms, started_ms, watched: HashMap::new(), told }
    }

    /// Looks at all senders, behind a walk. `alerting`: jobs that alerts fire on.
    pub(super) fn look(&mut self, table: &Table, alerting: &HashSet<String>, now_ms: i64) -> Vec<Turn> {
        let lost: HashSet<String> = self.told.values().flat_map(|told| told.loss.jobs.iter().cloned()).collect();
        let mut watched = HashMap::new();
        for (job, sender) in table.iter() {
            let before = self.watched.get(job).copied();
            let one = self.watch(sender, before, lost.contains(job), alerting.contains(job), now_ms);
            watched.insert(job.to_owned(), one);
        }
        // Those that were lost before the start and are stored nowhere any more.
        for job in lost.iter().filter(|job| table.get(job).is_none()) {
            let since_ms =
                self.told.values().find(|told| told.loss.jobs.contains(job)).map_or(now_ms, |told| told.loss.since_ms);
            let knowledge = Knowledge::NothingSince(since_ms);
            watched.insert(job.clone(), Watched { standing: Standing::Lost, silent_since_ms: since_ms, knowledge });
        }
        self.watched = watched;
        let mut turns = self.take_back(table, now_ms);
        turns.extend(self.tell(table, now_ms));
        turns
    }

    /// What is known of the data of this job; without one, of all data.
    pub(super) fn knowledge(&self, job: Option<&str>) -> Knowledge {
        if let Some(watched) = job.and_then(|job| self.watched.get(job)) {
            return watched.knowledge;
        }
        if job.is_some() {
            return Knowledge::Since(i64::MIN);
        }
        // Without a job an alert speaks of many; nothing is known of it when nobody is heard.
        let all = self.watched.values().filter(|one| !matches!(one.standing, Standing::New));
        all.map(|one| one.knowledge)
            .reduce(|one, other| match (one, other) {
                (Knowledge::NothingSince(one), Knowledge::NothingSince(other)) => {
                    Knowledge::NothingSince(one.max(other))
                }
                (Knowledge::Since(one), Knowledge::Since(other)) => Knowledge::Since(one.min(other)),
                (Knowledge::Since(since), _) | (_, Knowledge::Since(since)) => Knowledge::Since(since),
            })
            .unwrap_or(Knowledge::Since(i64::MIN))
    }

    /// Jobs that fell silent at this moment or later, those that are back included; by name.
    pub(super) fn silences(&self, table: &Table, from_ms: i64) -> Vec<Silence> {
        let silent = self.watched.iter().filter(|(_, one)| {
            !matches!(one.standing, Standing::New) && one.silent_since_ms >= from_ms.max(i64::MIN + 1)
        });
        let silences = silent.map(|(job, one)| Silence {
            job: job.clone(),
            since_ms: one.silent_since_ms,
            newest_ms: table.get(job).map_or(i64::MIN, |sender| sender.newest_ms),
            // Why somebody says goodbye is not known either.
            knowledge: match one.standing {
                Standing::Ended => Knowledge::NothingSince(one.silent_since_ms),
                _ => one.knowledge,
            },
        });
        let mut silences: Vec<Silence> = silences.collect();
        silences.sort_by(|one, other| one.job.cmp(&other.job));
        silences
    }

    pub(super) fn standing(&self, job: &str) -> Standing {
        self.watched.get(job).map_or(Standing::New, |one| one.standing)
    }

    /// What is told at present, by name.
    pub(super) fn told(&self) -> impl Iterator<Item = &Loss> {
        self.told.values().map(|told| &told.loss)
    }

    fn watch(
        &self,
        sender: &Sender,
        before: Option<Watched>,
        is_told: bool,
        is_alerting: bool,
        now_ms: i64,
    ) -> Watched {
        let silent_since_ms = sender.heard_ms.unwrap_or(self.started_ms);
        let silence_ms = now_ms.saturating_sub(silent_since_ms);
        let interval_ms = sender.interval_ms();
        let usual_ms = interval_ms.saturating_add(interval_ms / 4).saturating_add(WALKS_MS);
        let is_heard = sender.heard_ms.is_some() && silence_ms <= usual_ms && !sender.found.is_refused();
        let has_ended = has_ended(sender);
        let standing = if !is_told && !is_regular(sender) {
            Standing::New
        } else if has_ended && !is_alerting {
            Standing::Ended
        } else if is_heard && !has_ended {
            Standing::Sending
        } else if is_told {
            Standing::Lost
        } else {
            Standing::Silent
        };
        let settle_ms = settles_ms(interval_ms);
        let knowledge = match (standing, before.map(|before| before.knowledge)) {
            (Standing::New | Standing::Ended, _) => Knowledge::Since(i64::MIN),
            (Standing::Silent | Standing::Lost, Some(Knowledge::NothingSince(since_ms))) => {
                Knowledge::NothingSince(since_ms)
            }
            (Standing::Silent | Standing::Lost, _) => Knowledge::NothingSince(silent_since_ms),
            (Standing::Sending, None) => Knowledge::Since(i64::MIN),
            // Since then it is heard; what it says counts when it has settled.
            (Standing::Sending, Some(Knowledge::NothingSince(_))) => Knowledge::Since(now_ms.saturating_add(settle_ms)),
            (Standing::Sending, Some(since)) => since,
        };
        let silent_since_ms = match (standing, before) {
            (Standing::Sending, Some(before)) if before.knowledge != Knowledge::Since(i64::MIN) => {
                before.silent_since_ms
            }
            (Standing::New | Standing::Sending, _) => i64::MIN,
            _ => silent_since_ms,
        };
        Watched { standing, silent_since_ms, knowledge }
    }

    /// Ends what is over.
    fn take_back(&mut self, table: &Table, now_ms: i64) -> Vec<Turn> {
        let (watched, mut turns) = (&self.watched, Vec::new());
        self.told.retain(|_, told| {
            let is_back = |job: &String| {
                let heard_ms = table.get(job).and_then(|sender| sender.heard_ms);
                let is_heard = heard_ms.is_some_and(|heard_ms| heard_ms > told.loss.since_ms);
                match watched.get(job).map(|one| one.standing) {
                    Some(Standing::Ended) => true,
                    Some(Standing::Lost) | None => false,
                    Some(_) => is_heard,
                }
            };
            let back_count = told.loss.jobs.iter().filter(|job| is_back(job)).count();
            if back_count == 0 {
                told.returning_ms = None;
                return true;
            }
            let returning_ms = *told.returning_ms.get_or_insert(now_ms);
            let is_over = back_count == told.loss.jobs.len() || now_ms.saturating_sub(returning_ms) >= RETURN_MS;
            if is_over {
                turns.push(Turn::Back { loss: told.loss.clone(), at_ms: now_ms });
            }
            !is_over
        });
        turns
    }

    /// Finds who is lost, and whom it is told with.
    fn tell(&mut self, table: &Table, now_ms: i64) -> Vec<Turn> {
        let (mut going, mut turns) = (self.going(table), Vec::new());
        while let Some(first) = going.iter().find(|one| one.is_due(now_ms)).cloned() {
            let is_everybody =
                self.told.is_empty() && going.len() > 1 && !self.is_anybody_heard_behind(&first, table, now_ms);
            let jobs = if is_everybody { all(&going) } else { together(&first, &going, now_ms) };
            going.retain(|one| !jobs.contains(&one.job));
            for job in &jobs {
                self.watched.entry(job.clone()).and_modify(|one| one.standing = Standing::Lost);
            }
            // One with a longer interval than the others it went with, which are told already.
            if let Some(with) = self.joinable(&jobs, table).and_then(|name| self.told.get_mut(&name)) {
                with.loss.jobs.extend(jobs);
                continue;
            }
            let loss = self.loss(jobs, is_everybody, table);
            self.told.insert(loss.name.clone(), Told { loss: loss.clone(), returning_ms: None });
            turns.push(Turn::Lost(loss));
        }
        turns
    }

    /// Those that are silent and not told, the longest silence first.
    fn going(&self, table: &Table) -> Vec<Going> {
        let silent = self.watched.iter().filter(|(_, one)| one.standing == Standing::Silent);
        let going = silent.filter_map(|(job, one)| {
            let deadline_ms = self.lost_after_ms.max(INTERVALS_LOST * table.get(job)?.interval_ms());
            Some(Going { since_ms: one.silent_since_ms, deadline_ms, job: job.clone() })
        });
        let mut going: Vec<Going> = going.collect();
        going.sort();
        going
    }

    /// Whether anybody was heard since this one fell silent; one that comes seldom may just not have been due.
    fn is_anybody_heard_behind(&self, first: &Going, table: &Table, now_ms: i64) -> bool {
        // Where a loss is told sooner than that, who was heard in the later half of the silence is not part of it.
        let together_ms = TOGETHER_MS.min(now_ms.saturating_sub(first.since_ms) / 2);
        let sending = self.watched.iter().filter(|(_, one)| one.standing == Standing::Sending);
        let mut heard = sending.filter_map(|(job, _)| table.get(job)?.heard_ms);
        heard.any(|heard_ms| heard_ms > first.since_ms.saturating_add(together_ms))
    }

    /// What is told of several, when this job's next samples would have come after they fell silent.
    fn joinable(&self, jobs: &BTreeSet<String>, table: &Table) -> Option<String> {
        let job = jobs.first().filter(|_| jobs.len() == 1)?;
        let (sender, one) = (table.get(job)?, self.watched.get(job)?);
        let from_ms = one.silent_since_ms - TOGETHER_MS;
        let may_have_gone_ms = from_ms..=one.silent_since_ms + sender.interval_ms() + TOGETHER_MS;
        let went = |told: &&Told| {
            let are_several = told.loss.name == EVERYBODY || told.loss.jobs.len() >= FOLDED_COUNT_MIN;
            are_several && may_have_gone_ms.contains(&told.loss.since_ms)
        };
        self.told.values().find(went).map(|told| told.loss.name.clone())
    }

    fn loss(&self, jobs: BTreeSet<String>, is_everybody: bool, table: &Table) -> Loss {
        let first = jobs.first().expect("somebody is lost");
        let name = match jobs.len() {
            _ if is_everybody => EVERYBODY.to_owned(),
            1 => first.clone(),
            count => format!("{first} and {} more", count - 1),
        };
        let senders = || jobs.iter().filter_map(|job| table.get(job));
        let since_ms = jobs.iter().filter_map(|job| self.watched.get(job)).map(|one| one.silent_since_ms).min();
        Loss {
            name,
            since_ms: since_ms.unwrap_or(self.started_ms),
            series_count: senders().map(|sender| sender.found.series_count).sum(),
            newest_ms: senders().map(|sender| sender.newest_ms).max().unwrap_or(self.started_ms),
            jobs,
        }
    }
}

/// Whether it is known to send again and again.
fn is_regular(sender: &Sender) -> bool {
    sender.was_sending
        || (sender.beat_count >= STEADY_COUNT
            && sender.heard_ms.is_some_and(|heard_ms| heard_ms.saturating_sub(sender.beating_since_ms) >= STEADY_MS))
}

/// How long behind a return nothing is concluded of a job with this time between its samples, in ms.
pub(super) fn settles_ms(interval_ms: i64) -> i64 {
    interval_ms.saturating_mul(INTERVALS_LOST).clamp(SETTLES_MS.0, SETTLES_MS.1)
}

/// Whether each of its series has ended; those that were silent for five minutes by then went before. Those of whom it is
/// known that they do not answer have not.
fn has_ended(sender: &Sender) -> bool {
    let found = sender.found;
    !found.is_refused()
        && found.newest_marker_ms > i64::MIN
        && found.newest_marker_ms > found.newest_value_ms.saturating_add(STEADY_MS)
}
