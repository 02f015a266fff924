//! One database on one disk, driven by a script on one thread, and checked at every step.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use storage_format::histogram::{Histogram, Layout, Span};
use tokio::sync::oneshot::error::TryRecvError;

use super::super::super::batch::Answered;
use super::super::super::threads::{Stepped, Threads};
use super::super::super::view::SeriesView;
use super::super::super::{ReadView, RetentionRule, StorageError, recover};
use super::super::*;
use super::disk::{BusyDisk, Disturbance};
use super::ledger::{Ledger, Moment, Reading};
use super::script::{Operation, Script, Selector, Sent, Setup, job_of};
use crate::model::SeriesRef;

const MINUTE_MS: i64 = 60_000;
const DATA: &str = "/data";
/// More than any history takes.
const ROOM_BYTES: u64 = 1 << 40;

/// The database between two starts.
struct Running {
    storage: Arc<Storage>,
    stepped: Arc<Mutex<Stepped>>,
}

/// A request that is not answered yet.
struct Request {
    rows: Vec<Sent>,
    answered: Answered,
    /// Something happened meanwhile by which its samples may be gone again: the answer says nothing about them.
    is_overtaken: bool,
    /// The disk was ill since it was sent.
    may_fail: bool,
}

/// A view that somebody keeps, and what was owed when it was taken.
struct KeptView {
    view: ReadView,
    selected: Option<Vec<SeriesView>>,
    ledger: Ledger,
}

/// A file of which a bit was turned.
struct Flip {
    /// Its name without what is behind the last dot: put aside it has another.
    file: String,
    from_min: i64,
    to_min: i64,
    is_told: bool,
}

/// What the histories of this process have led through, so that a test can say that they do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Covered {
    /// Log segments whose opening was whole when they began.
    pub(super) prepared: u64,
    /// Log segments of whose opening there was a part.
    pub(super) half_prepared: u64,
    /// Log segments that were begun without.
    pub(super) unprepared: u64,
    /// Starts that found the opening of a segment that was never begun.
    pub(super) openings_found: u64,
}

pub(super) static COVERED: Mutex<Covered> =
    Mutex::new(Covered { prepared: 0, half_prepared: 0, unprepared: 0, openings_found: 0 });

pub(super) struct World {
    setup: Setup,
    shard_count: usize,
    clock: Clock,
    disk: SimulatedDisk,
    disturbance: Disturbance,
    running: Option<Running>,
    ledger: Ledger,
    requests: Vec<Request>,
    views: Vec<KeptView>,
    flips: Vec<Flip>,
    is_failing: bool,
    is_full: bool,
}

impl Flip {
    fn is_named_in(&self, text: &str) -> bool {
        text.contains(&format!("/{}.", self.file))
    }
}

/// Plays a script. Tells what went wrong, and at which operation.
pub(super) fn play(script: &Script) -> Result<(), String> {
    let mut world = World::new(script.setup.clone());
    world.open().map_err(|error| format!("the first start: {error}"))?;
    for (index, operation) in script.operations.iter().enumerate() {
        let at = |error| format!("operation {} ({operation}): {error}", index + 1);
        world.perform(operation).map_err(at)?;
    }
    world.finish().map_err(|error| format!("after the last operation: {error}"))
}

fn labels(series: u32) -> Labels {
    let (node, job) = (series.to_string(), job_of(series).to_string());
    Labels::from_pairs([("__name__", "s"), ("job", job.as_str()), ("node", node.as_str())]).expect("labels")
}

impl World {
    fn new(setup: Setup) -> World {
        World {
            shard_count: setup.shard_count,
            setup,
            clock: Clock::manual(T0),
            disk: SimulatedDisk::new(),
            disturbance: Disturbance::default(),
            running: None,
            ledger: Ledger::default(),
            requests: Vec::new(),
            views: Vec::new(),
            flips: Vec::new(),
            is_failing: false,
            is_full: false,
        }
    }

    fn options(&self) -> StorageOptions {
        let matchers = vec![Matcher::equal("job", "0")];
        let rule = |keep_min| RetentionRule { matchers: matchers.clone(), keep_ms: keep_min * MINUTE_MS };
        StorageOptions {
            wal_sync: if self.setup.synced { WalSync::Always } else { WalSync::Os },
            retention_ms: self.setup.retention_min * MINUTE_MS,
            retention_rules: self.setup.rule_min.map(rule).into_iter().collect(),
            out_of_order_window_ms: self.setup.window_min * MINUTE_MS,
            head_bytes_max: self.setup.head_bytes_max,
            ..options(self.shard_count)
        }
    }

    fn storage(&self) -> Arc<Storage> {
        self.running.as_ref().expect("running").storage.clone()
    }

    fn perform(&mut self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::Write(rows) => self.write(rows),
            Operation::Shard(index) => self.with_loops(|loops| {
                if *index < loops.0.shards.len() {
                    loops.step_shard(*index);
                }
            }),
            Operation::Log => self.with_loops(|loops| {
                loops.step_log();
            }),
            Operation::Settle => self.with_loops(Stepped::settle),
            Operation::Advance(minutes) => self.clock.advance(Duration::from_secs(*minutes as u64 * 60)),
            Operation::Maintain(seed) => self.work(*seed, |storage| storage.maintain().map(|_| ()))?,
            Operation::Compact(seed) => self.work(*seed, |storage| storage.compact_all().map(|_| ()))?,
            Operation::Clean(seed) => self.work(*seed, |storage| storage.clean_tombstones().map(|_| ()))?,
            Operation::Delete(selector, from, to) => self.delete(*selector, *from, *to)?,
            Operation::View(is_selected) => self.take_view(*is_selected),
            Operation::Look => self.look()?,
            Operation::Restart(shards) => {
                self.shard_count = *shards;
                self.close()?;
                self.open()?;
            }
            Operation::Kill(shards) => {
                self.shard_count = *shards;
                self.die();
                self.open()?;
            }
            Operation::PowerCut(seed) => {
                self.die();
                self.disk = self.disk.crash(*seed);
                self.is_failing = false;
                self.open()?;
            }
            Operation::FailAfter(count) => {
                self.disk.fail_after(*count);
                self.is_failing = true;
            }
            Operation::Heal => self.heal()?,
            Operation::Free(bytes) => {
                self.disk.set_free_bytes(*bytes);
                self.is_full = true;
            }
            Operation::Flip(seed) => self.flip(*seed)?,
        }
        self.take_answers()?;
        if operation.may_change_what_is_read() { self.check() } else { Ok(()) }
    }

    /// Everything that was not harmed must still work, and be there.
    fn finish(&mut self) -> Result<(), String> {
        if self.is_failing || self.is_full {
            self.heal()?;
        }
        self.with_loops(Stepped::settle);
        self.take_answers()?;
        if !self.requests.is_empty() {
            return Err(format!("{} requests are never answered", self.requests.len()));
        }
        self.perform(&Operation::Maintain(0))?;
        self.perform(&Operation::Kill(self.shard_count))?;
        self.perform(&Operation::Maintain(0))?;
        self.perform(&Operation::Compact(0))?;
        while !self.views.is_empty() {
            self.look()?;
        }
        self.perform(&Operation::Restart(self.setup.shard_count))
    }

    fn with_loops(&self, act: impl FnOnce(&mut Stepped)) {
        act(&mut self.running.as_ref().expect("running").stepped.lock());
    }

    fn write(&mut self, rows: &[Sent]) {
        let storage = self.storage();
        let mut batches = vec![ShardBatch::default(); storage.shard_count()];
        let histograms: Vec<Option<Histogram>> = rows.iter().map(|row| histogram_of(row.value)).collect();
        // The ledger keeps what stands for a histogram.
        let value = |row: &Sent, histogram: &Option<Histogram>| match histogram {
            Some(histogram) => f64::from_bits(histogram.marker()),
            None => row.value,
        };
        let rows = rows.iter().zip(&histograms).map(|(row, histogram)| Sent { value: value(row, histogram), ..*row });
        let rows: Vec<Sent> = rows.collect();
        for (row, histogram) in rows.iter().zip(histograms) {
            self.ledger.sent(row);
            let labels = labels(row.series);
            let raw_hash = storage.resolver().raw_hash(labels.to_string().as_bytes());
            let (timestamp_ms, value) = (T0 + row.minute * MINUTE_MS, row.value);
            let known: Option<SeriesRef> = storage.resolver().known().get(raw_hash);
            match (known, histogram) {
                (Some(series), None) => batches[series.shard()].rows.push(Row { series, timestamp_ms, value }),
                (Some(series), Some(histogram)) => {
                    batches[series.shard()].push_histogram(series, timestamp_ms, histogram);
                }
                (None, histogram) => {
                    let shard = storage.shard_of(&labels);
                    let mut new = NewSeries::new(Arc::new(labels), raw_hash, Vec::new());
                    match histogram {
                        Some(histogram) => new.push_histogram(timestamp_ms, histogram),
                        None => new.samples.push(Sample { timestamp_ms, value }),
                    }
                    batches[shard].new.push(new);
                }
            }
        }
        if let Ok(Some(answered)) = storage.submit(batches, None) {
            self.requests.push(Request { rows, answered, is_overtaken: false, may_fail: false });
        }
    }

    /// Takes the answers that have come, in whatever order they came.
    fn take_answers(&mut self) -> Result<(), String> {
        let mut waiting = Vec::new();
        let mut answered = Vec::new();
        for mut request in self.requests.drain(..) {
            match request.answered.try_recv() {
                Ok(answer) => answered.push((request, answer.outcome)),
                Err(TryRecvError::Empty) => {
                    request.may_fail |= self.is_failing || self.is_full;
                    waiting.push(request);
                }
                Err(TryRecvError::Closed) => return Err("a request is dropped without an answer".to_owned()),
            }
        }
        self.requests = waiting;
        for (request, answer) in answered {
            match answer {
                Ok(summary) => self.acknowledge(&request, &summary)?,
                Err(_) if request.may_fail || self.is_failing || self.is_full => {}
                Err(WriteError::LogFailing(why)) => return Err(format!("refused on a sound disk: {why}")),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// The summary counts; which samples it means is what can be read of them.
    fn acknowledge(&mut self, request: &Request, summary: &WriteSummary) -> Result<(), String> {
        let told = summary.stored_count + summary.refused_count() + summary.gone_count;
        if told != request.rows.len() as u64 {
            return Err(format!("{} rows, of which the answer tells {told}", request.rows.len()));
        }
        if request.is_overtaken {
            return Ok(());
        }
        let reading = self.read(&self.storage().view())?;
        let oldest_min = self.oldest_min();
        let is_expired = |moment: Moment| moment.1 < oldest_min[job_of(moment.0) as usize];
        let (rows, oldest_min_of) = (&request.rows, |row: &Sent| oldest_min[job_of(row.series) as usize]);
        if rows.iter().any(|row| row.minute < oldest_min_of(row) || self.ledger.is_damaged((row.series, row.minute))) {
            return Ok(());
        }
        let is_read = |row: &&Sent| {
            reading.get(&row.series).is_some_and(|read| read.contains(&(row.minute, row.value.to_bits())))
        };
        let stored: Vec<&Sent> = request.rows.iter().filter(is_read).collect();
        let stored_count = summary.stored_count as usize;
        if stored.len() < stored_count {
            return Err(format!("{:?}: {stored_count} acknowledged, {} can be read", request.rows, stored.len()));
        }
        if stored.len() == stored_count {
            for row in stored {
                self.ledger.acknowledged(row, &is_expired)?;
            }
        }
        Ok(())
    }

    /// The minutes before which samples of either job may go.
    fn oldest_min(&self) -> [i64; 2] {
        let now_min = (self.clock.now_ms() - T0) / MINUTE_MS;
        let oldest = |keep_min| if keep_min == 0 { i64::MIN } else { now_min - keep_min };
        let otherwise = self.setup.retention_min;
        [oldest(self.setup.rule_min.unwrap_or(otherwise)), oldest(otherwise)]
    }

    fn check(&mut self) -> Result<(), String> {
        let reading = self.read(&self.storage().view())?;
        let oldest_min = self.oldest_min();
        self.ledger.check(&reading, None, &|moment| moment.1 < oldest_min[job_of(moment.0) as usize])
    }

    /// Runs maintenance, disturbed by the loops as the seed has it; 0 is not at all.
    fn work(&mut self, seed: u64, work: impl FnOnce(&Storage) -> Result<(), StorageError>) -> Result<(), String> {
        let storage = self.storage();
        if seed > 0 {
            let stepped = &self.running.as_ref().expect("running").stepped;
            self.disturbance.begin(stepped, &storage, seed);
        }
        let before = self.ledger.clone();
        let done = work(&storage);
        let seen = self.disturbance.end();
        let oldest_min = self.oldest_min();
        for view in seen {
            let reading = self.reading(view)?;
            let is_expired = |moment: Moment| moment.1 < oldest_min[job_of(moment.0) as usize];
            let checked = self.ledger.check(&reading, Some(&before), &is_expired);
            checked.map_err(|error| format!("seen while it worked: {error}"))?;
        }
        self.excuse(done)
    }

    /// Lets an error pass for which the world has given reason.
    fn excuse(&mut self, done: Result<(), StorageError>) -> Result<(), String> {
        let Err(error) = done else { return Ok(()) };
        let text = error.to_string();
        if self.is_failing || self.is_full || self.tell(&text) { Ok(()) } else { Err(text) }
    }

    fn delete(&mut self, selector: Selector, from: i64, to: i64) -> Result<(), String> {
        let matcher = match selector {
            Selector::Series(series) => Matcher::equal("node", series.to_string()),
            Selector::Job(job) => Matcher::equal("job", job.to_string()),
        };
        self.ledger.deleting(selector, from, to);
        let is_meant = |moment: Moment| selector.is_for(moment.0) && (from..=to).contains(&moment.1);
        for request in &mut self.requests {
            request.is_overtaken |= request.rows.iter().any(|row| is_meant((row.series, row.minute)));
        }
        let range = TimeRange { from_ms: T0 + from * MINUTE_MS, to_ms: T0 + to * MINUTE_MS };
        let done = self.storage().delete_series(&[vec![matcher]], range);
        if done.is_ok() {
            let requests = &self.requests;
            self.ledger.deleted(selector, from, to, |moment| {
                requests.iter().flat_map(|request| &request.rows).any(|row| (row.series, row.minute) == moment)
            });
        }
        self.excuse(done)
    }

    fn take_view(&mut self, is_selected: bool) {
        let view = self.storage().view();
        let selected = is_selected.then(|| select(&view));
        self.views.push(KeptView { view, selected, ledger: self.ledger.clone() });
    }

    fn look(&mut self) -> Result<(), String> {
        if self.views.is_empty() {
            return Ok(());
        }
        let kept = self.views.remove(0);
        let selected = kept.selected.unwrap_or_else(|| select(&kept.view));
        let reading = self.reading(observe(&kept.view, &selected))?;
        let oldest_min = self.oldest_min();
        let is_expired = |moment: Moment| moment.1 < oldest_min[job_of(moment.0) as usize];
        self.ledger.check(&reading, Some(&kept.ledger), &is_expired)
    }

    fn read(&mut self, view: &ReadView) -> Result<Reading, String> {
        self.reading(observe(view, &select(view)))
    }

    /// What was seen, if its damage is to be excused.
    fn reading(&mut self, seen: Observation) -> Result<Reading, String> {
        if let Some(damage) = seen.left_out.into_iter().find(|damage| !self.tell(damage)) {
            return Err(format!("damage that nobody did: {damage}"));
        }
        let mut reading: Reading = (0..super::plan::SERIES).map(|series| (series, Vec::new())).collect();
        for (series, read) in seen.series {
            match reading.insert(series, read) {
                Some(before) if before.is_empty() => {}
                _ => return Err(format!("series {series} is selected twice, or was never sent")),
            }
        }
        Ok(reading)
    }

    /// Takes note of damage. Returns whether it is damage that was done.
    fn tell(&mut self, text: &str) -> bool {
        let mut is_known = false;
        for flip in self.flips.iter_mut().filter(|flip| flip.is_named_in(text)) {
            is_known = true;
            if !std::mem::replace(&mut flip.is_told, true) {
                self.ledger.damaged(flip.from_min, flip.to_min);
            }
        }
        is_known
    }

    fn heal(&mut self) -> Result<(), String> {
        self.take_answers()?;
        self.disk.heal();
        self.disk.set_free_bytes(ROOM_BYTES);
        (self.is_failing, self.is_full) = (false, false);
        // What the clock does in a second.
        self.with_loops(|loops| {
            loops.step_log();
        });
        self.storage().log_failing().map_or(Ok(()), |why| Err(format!("the log still fails: {why}")))
    }

    fn open(&mut self) -> Result<(), String> {
        let loops = Arc::new(Mutex::new(None));
        let opened = match self.try_open(&loops) {
            Err(_) if self.is_failing => {
                self.disk.heal();
                self.is_failing = false;
                self.try_open(&loops)
            }
            opened => opened,
        };
        let (storage, recovered) = opened.map_err(|error| format!("it does not open: {error}"))?;
        let stepped = loops.lock().take().expect("opened");
        self.running = Some(Running { storage, stepped });
        for damage in recovered.damage {
            if !self.tell(&damage) {
                return Err(format!("damage that nobody did: {damage}"));
            }
        }
        self.check().map_err(|error| format!("after the start: {error}"))?;
        let reading = self.read(&self.storage().view())?;
        let oldest_min = self.oldest_min();
        self.ledger.decide(&reading, &|moment| moment.1 < oldest_min[job_of(moment.0) as usize]);
        Ok(())
    }

    fn try_open(
        &self,
        loops: &Mutex<Option<Arc<Mutex<Stepped>>>>,
    ) -> Result<(Arc<Storage>, super::super::super::Recovered), StorageError> {
        COVERED.lock().openings_found += u64::from(self.disk.file_bytes(Path::new("/data/log/next.tmp")).is_ok());
        let disk = BusyDisk { disk: self.disk.clone(), disturbance: self.disturbance.clone() };
        let segment_bytes = self.setup.segment_bytes;
        let opened =
            recover::open(self.options(), Arc::new(disk), self.clock.clone(), Arc::new(|_| false), |mut all| {
                all.log.writer.end_segments_at(segment_bytes);
                // So small that an opening takes one piece to six: a definition has some fifty bytes.
                all.log.writer.prepare_in_pieces_of(segment_bytes as usize / 10);
                let stepped = Arc::new(Mutex::new(Stepped(all)));
                *loops.lock() = Some(stepped.clone());
                Ok(Threads::step_by_hand(stepped))
            });
        opened.map(|(storage, recovered, _)| (storage, recovered))
    }

    fn close(&mut self) -> Result<(), String> {
        self.storage().close();
        self.take_answers()?;
        self.die();
        Ok(())
    }

    /// Nothing of the process is left.
    fn die(&mut self) {
        self.requests.clear();
        self.views.clear();
        let Some(Running { stepped, .. }) = self.running.take() else { return };
        let begun = *stepped.lock().0.log.writer.begun().lock();
        let mut covered = COVERED.lock();
        covered.prepared += begun.prepared;
        covered.half_prepared += begun.half_prepared;
        covered.unprepared += begun.unprepared;
    }

    fn flip(&mut self, seed: u64) -> Result<(), String> {
        let mut dice = super::dice::Dice(seed);
        if dice.once_in(2) {
            self.close()?;
        } else {
            self.die();
        }
        let mut files: Vec<PathBuf> = Vec::new();
        for folder in ["log", "blocks"] {
            let folder = Path::new(DATA).join(folder);
            let names = self.disk.list(&folder).map_err(|error| error.to_string())?;
            files.extend(names.iter().map(|name| folder.join(name)));
        }
        let may_be_read = |path: &PathBuf| {
            ["log", "block", "deleted"].iter().any(|end| path.extension().is_some_and(|extension| extension == *end))
        };
        files.retain(may_be_read);
        if !files.is_empty() {
            let file = files.swap_remove(dice.below(files.len() as u64) as usize);
            self.disk.damage(&file, |bytes| {
                let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                if written > 0 {
                    bytes[dice.below(written as u64) as usize] ^= 1 << dice.below(8);
                }
            });
            self.note_flip(&file);
        }
        self.open()
    }

    fn note_flip(&mut self, path: &Path) {
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let span = file.split('.').next().and_then(|span| {
            let (from, to) = span.split_once('-')?;
            Some((from.parse::<i64>().ok()?, to.parse::<i64>().ok()?))
        });
        let minute = |ms: i64| (ms - T0).div_euclid(MINUTE_MS);
        let (from_min, to_min) = span.map_or((i64::MIN, i64::MAX), |(from, to)| (minute(from), minute(to)));
        let mut flip = Flip { file, from_min, to_min, is_told: false };
        if let Ok(sequence) = flip.file.parse::<u32>() {
            let next = path.with_file_name(format!("{:08}.log", sequence + 1));
            if self.disk.file_bytes(&next).is_err() {
                // Its last group cannot be told from a write that was torn before it was answered.
                self.ledger.damaged(from_min, to_min);
                flip.is_told = true;
            }
        }
        self.flips.push(flip);
    }
}

/// What a view shows, and what it says about what it does not.
pub(super) struct Observation {
    series: Vec<(u32, Vec<(i64, u64)>)>,
    left_out: Vec<String>,
}

fn select(view: &ReadView) -> Vec<SeriesView> {
    view.select(&[Matcher::equal("__name__", "s")], TimeRange::ALL, 100).expect("few series")
}

pub(super) fn observe_now(storage: &Storage) -> Observation {
    let view = storage.view();
    observe(&view, &select(&view))
}

fn observe(view: &ReadView, selected: &[SeriesView]) -> Observation {
    let series = selected.iter().map(|series| (number(series.labels()), read(series))).collect();
    Observation { series, left_out: view.left_out() }
}

fn number(labels: &Labels) -> u32 {
    labels.get("node").and_then(|node| node.parse().ok()).expect("a series of ours")
}

/// What is sent in place of some values: as many observations, in buckets of other places for other numbers.
fn histogram_of(value: f64) -> Option<Histogram> {
    let is_one = value == 7.25 || (value > 2.0 && value < 1e9 && value % 3.0 == 0.0);
    is_one.then(|| {
        let spans = vec![Span { offset: value as i32 % 5, length: 2 }];
        let layout = Arc::new(Layout { positive: spans, ..Layout::default() });
        Histogram { layout, count: value, sum: 0.5 * value, positive: vec![value - 1.0, 1.0], ..Histogram::default() }
    })
}

/// By minute the bits of each value, of a histogram those that stand for it; one that is not there is not read.
fn read(series: &SeriesView) -> Vec<(i64, u64)> {
    let mut columns = Columns::default();
    series.read(TimeRange::ALL, &mut columns);
    columns.settle_histograms();
    let minute = |timestamp_ms: i64| {
        assert_eq!((timestamp_ms - T0).rem_euclid(MINUTE_MS), 0, "a time that was never sent");
        (timestamp_ms - T0) / MINUTE_MS
    };
    columns.iter().map(|(timestamp_ms, value)| (minute(timestamp_ms), value.to_bits())).collect()
}
