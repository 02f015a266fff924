//! A history as text: what happens, an operation a line. Times are minutes since the start.

use std::fmt;
use std::str::FromStr;

/// With what the database is opened, and what then happens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Script {
    pub(super) setup: Setup,
    pub(super) operations: Vec<Operation>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setup {
    pub(super) shard_count: usize,
    /// The log syncs each group; otherwise it leaves that to the system, and a power cut would lose what it may.
    pub(super) synced: bool,
    pub(super) window_min: i64,
    /// 0 keeps everything.
    pub(super) retention_min: i64,
    /// The same for the series of job 0 alone, where there is a rule for them.
    pub(super) rule_min: Option<i64>,
    pub(super) head_bytes_max: usize,
    pub(super) segment_bytes: u64,
}

/// A sample: the number of its series, its minute, its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sent {
    pub(super) series: u32,
    pub(super) minute: i64,
    pub(super) value: f64,
}

/// Whose samples are deleted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Selector {
    Series(u32),
    Job(u32),
}

impl Selector {
    pub(super) fn is_for(self, series: u32) -> bool {
        match self {
            Selector::Series(one) => one == series,
            Selector::Job(job) => job == job_of(series),
        }
    }
}

/// The job of a series: two targets share the series.
pub(super) fn job_of(series: u32) -> u32 {
    series % 2
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operation {
    /// A request is handed to the shards, and not waited for.
    Write(Vec<Sent>),
    /// A shard answers one message, if there is one.
    Shard(usize),
    /// The log takes one turn.
    Log,
    /// Shards and log do all that waits for them.
    Settle,
    /// Minutes pass.
    Advance(i64),
    /// These three are disturbed by shards and log at every operation of the disk, as the number has it.
    Maintain(u64),
    Compact(u64),
    Clean(u64),
    Delete(Selector, i64, i64),
    /// A view is taken and kept; with or without its series selected at once.
    View(bool),
    /// The oldest view that is kept is read, and let go of.
    Look,
    /// Closed in order, and opened with this many shards.
    Restart(usize),
    /// Ended at once and opened; the system goes on, so what was written is there.
    Kill(usize),
    /// The power goes; what was not synced is lost or torn as the seed has it.
    PowerCut(u64),
    /// All operations of the disk fail after this many more.
    FailAfter(u64),
    /// The disk is well again, and has room.
    Heal,
    /// So many bytes are free on the disk.
    Free(u64),
    /// A bit of some file turns while the database is closed: which, the seed says.
    Flip(u64),
}

impl Operation {
    /// Others are checked with the next that may: most of the time goes into reading.
    pub(super) fn may_change_what_is_read(&self) -> bool {
        use Operation::{Advance, FailAfter, Free, Log, Look, Shard, View, Write};
        !matches!(self, Write(_) | Shard(_) | Log | Advance(_) | View(_) | Look | FailAfter(_) | Free(_))
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { shard_count, synced, window_min, retention_min, rule_min, head_bytes_max, segment_bytes } =
            &self.setup;
        write!(f, "open shards={shard_count} synced={synced} window={window_min} retention={retention_min}")?;
        writeln!(f, " rule={} head={head_bytes_max} segment={segment_bytes}", rule_min.unwrap_or(-1))?;
        self.operations.iter().try_for_each(|operation| writeln!(f, "{operation}"))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Write(rows) => {
                write!(f, "write")?;
                rows.iter().try_for_each(|row| write!(f, " {}@{}={:?}", row.series, row.minute, row.value))
            }
            Operation::Shard(index) => write!(f, "shard {index}"),
            Operation::Log => write!(f, "log"),
            Operation::Settle => write!(f, "settle"),
            Operation::Advance(minutes) => write!(f, "advance {minutes}"),
            Operation::Maintain(dice) => write!(f, "maintain {dice}"),
            Operation::Compact(dice) => write!(f, "compact {dice}"),
            Operation::Clean(dice) => write!(f, "clean {dice}"),
            Operation::Delete(Selector::Series(series), from, to) => write!(f, "delete series {series} {from} {to}"),
            Operation::Delete(Selector::Job(job), from, to) => write!(f, "delete job {job} {from} {to}"),
            Operation::View(false) => write!(f, "view"),
            Operation::View(true) => write!(f, "select"),
            Operation::Look => write!(f, "look"),
            Operation::Restart(shards) => write!(f, "restart {shards}"),
            Operation::Kill(shards) => write!(f, "kill {shards}"),
            Operation::PowerCut(seed) => write!(f, "power-cut {seed}"),
            Operation::FailAfter(count) => write!(f, "fail-after {count}"),
            Operation::Heal => write!(f, "heal"),
            Operation::Free(bytes) => write!(f, "free {bytes}"),
            Operation::Flip(seed) => write!(f, "flip {seed}"),
        }
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Script, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let setup = lines.next().ok_or("an empty script")?;
        let value = |name: &str| {
            let found = setup.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            found.ok_or_else(|| format!("the first line has no {name}"))
        };
        let rule_min: i64 = number(value("rule")?)?;
        let setup = Setup {
            shard_count: number(value("shards")?)?,
            synced: number(value("synced")?)?,
            window_min: number(value("window")?)?,
            retention_min: number(value("retention")?)?,
            rule_min: (rule_min >= 0).then_some(rule_min),
            head_bytes_max: number(value("head")?)?,
            segment_bytes: number(value("segment")?)?,
        };
        let operations = lines.map(str::parse).collect::<Result<_, _>>()?;
        Ok(Script { setup, operations })
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(line: &str) -> Result<Operation, String> {
        let words: Vec<&str> = line.split(' ').collect();
        Ok(match words.as_slice() {
            ["write", rows @ ..] => Operation::Write(rows.iter().map(|row| sent(row)).collect::<Result<_, _>>()?),
            ["shard", index] => Operation::Shard(number(index)?),
            ["log"] => Operation::Log,
            ["settle"] => Operation::Settle,
            ["advance", minutes] => Operation::Advance(number(minutes)?),
            ["maintain", dice] => Operation::Maintain(number(dice)?),
            ["compact", dice] => Operation::Compact(number(dice)?),
            ["clean", dice] => Operation::Clean(number(dice)?),
            ["delete", "series", one, from, to] => {
                Operation::Delete(Selector::Series(number(one)?), number(from)?, number(to)?)
            }
            ["delete", "job", one, from, to] => {
                Operation::Delete(Selector::Job(number(one)?), number(from)?, number(to)?)
            }
            ["view"] => Operation::View(false),
            ["select"] => Operation::View(true),
            ["look"] => Operation::Look,
            ["restart", shards] => Operation::Restart(number(shards)?),
            ["kill", shards] => Operation::Kill(number(shards)?),
            ["power-cut", seed] => Operation::PowerCut(number(seed)?),
            ["fail-after", count] => Operation::FailAfter(number(count)?),
            ["heal"] => Operation::Heal,
            ["free", bytes] => Operation::Free(number(bytes)?),
            ["flip", seed] => Operation::Flip(number(seed)?),
            _ => return Err(format!("not an operation: {line}")),
        })
    }
}

fn sent(word: &str) -> Result<Sent, String> {
    let parts = word.split_once('@').and_then(|(series, rest)| Some((series, rest.split_once('=')?)));
    let (series, (minute, value)) = parts.ok_or_else(|| format!("not a sample: {word}"))?;
    Ok(Sent { series: number(series)?, minute: number(minute)?, value: number(value)? })
}

fn number<N: FromStr>(word: &str) -> Result<N, String> {
    word.parse().map_err(|_| format!("not a number: {word}"))
}
