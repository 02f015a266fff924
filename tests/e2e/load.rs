//! Senders that know what they were told, and orders that are carried out meanwhile: what a kill falls into.
//!
//! ```text
//! event time ──────────────────────────────────►
//! front      ■■■■■■■■■■■■■■■■■■■■ ▷               its own series, in order
//! most       ■■■■ ■■■■ ■■■■ ■■■■ ▷                four steps of five of its series
//! rest           ■    ■ ▷                         the fifth of the same series, hours behind: belated
//! straggler  ■■■■■■■■ ▷                           its own series, hours behind all others: belated
//! ```
//!
//! Always true: a sender's request of one number always has the same samples, and no sample has two senders; so what
//! was acknowledged is known to the bit, and what was not is sent again as it was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use dozor::clock::Clock;
use dozor::demo::{RequestEncoder, encode_labels};
use dozor::model::Labels;

use crate::api::instant;
use crate::client::Client;
use crate::engine::Engine;

const STEP_MS: i64 = 15_000;
/// How far the first sender may be ahead of the last, in steps: ten hours.
const AHEAD_STEPS_MAX: i64 = 2_400;
/// What those that come belated stay behind the first sender, in steps: three hours, which is one block and what it
/// waits for.
const BEHIND_STEPS: i64 = 720;
/// One step of so many of a shared series comes belated.
const SHARED_STEPS: i64 = 5;
/// A window that is wider than [`AHEAD_STEPS_MAX`]: what is sent late for a series that goes on is taken.
pub(crate) const WINDOW_SETTING: &str = "head: { out_of_order_window: 1d }\n";

/// Which steps of its series a sender sends.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    All,
    /// All but each fifth.
    Most,
    /// Each fifth.
    Rest,
}

impl Part {
    fn has(self, step: i64) -> bool {
        match self {
            Part::All => true,
            Part::Most => step % SHARED_STEPS != 0,
            Part::Rest => step % SHARED_STEPS == 0,
        }
    }
}

/// How much a sender sends.
#[derive(Clone, Copy)]
pub(crate) struct Measure {
    pub(crate) series: usize,
    /// Steps that one request has of every series.
    pub(crate) request_steps: i64,
    /// Between two requests of one sender.
    pub(crate) pause: Duration,
}

/// Requests of a thousand samples, one after the other.
const HEAVY: Measure = Measure { series: 50, request_steps: 20, pause: Duration::ZERO };

/// One sender: its requests by number, each of which always has the same samples.
pub(crate) struct Writer {
    /// The label `writer` of its series.
    owner: usize,
    part: Part,
    behind_steps: i64,
    measure: Measure,
    start_ms: i64,
    label_bytes: Vec<Vec<u8>>,
    encoder: RequestEncoder,
    /// Requests `0..acknowledged` were answered with 204.
    pub(crate) acknowledged: i64,
}

impl Writer {
    fn new(owner: usize, part: Part, behind_steps: i64, measure: Measure, start_ms: i64) -> Writer {
        let encoded = |series: usize| {
            let pairs = [("__name__", "crash"), ("series", &series.to_string()), ("writer", &owner.to_string())];
            let mut bytes = Vec::new();
            encode_labels(&Labels::from_pairs(pairs).expect("few and short"), &mut bytes);
            bytes
        };
        let label_bytes = (0..measure.series).map(encoded).collect();
        let encoder = RequestEncoder::new();
        Writer { owner, part, behind_steps, measure, start_ms, label_bytes, encoder, acknowledged: 0 }
    }

    fn time_ms(&self, step: i64) -> i64 {
        self.start_ms + step * STEP_MS
    }

    /// The step with which this request begins.
    fn first_step(&self, request: i64) -> i64 {
        request * self.measure.request_steps
    }

    fn request(&mut self, number: i64) -> Vec<u8> {
        for step in self.first_step(number)..self.first_step(number + 1) {
            if !self.part.has(step) {
                continue;
            }
            let timestamp_ms = self.time_ms(step);
            for (series, label_bytes) in self.label_bytes.iter().enumerate() {
                self.encoder.push(label_bytes, timestamp_ms, value(self.owner, series, step));
            }
        }
        self.encoder.finish().to_vec()
    }

    /// Writes until the engine is gone. What it did not answer is sent again in the next round, as senders do.
    fn write(&mut self, client: &mut Client, work: &Work, place: usize) {
        while !work.stop.load(Ordering::SeqCst) {
            if !self.may_send(work) {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            let body = self.request(self.acknowledged);
            match client.remote_write(&body) {
                Ok(answer) if answer.status == 204 => {
                    self.acknowledged += 1;
                    work.requests[place].store(self.acknowledged, Ordering::SeqCst);
                    work.steps[place].store(self.first_step(self.acknowledged), Ordering::SeqCst);
                    work.acknowledged.fetch_add(1, Ordering::SeqCst);
                }
                Ok(answer) => assert!(matches!(answer.status, 429 | 503), "{} {}", answer.status, answer.text()),
                Err(_) => return,
            }
            std::thread::sleep(self.measure.pause);
        }
    }

    /// Whether the others are where they must be for it to go on.
    fn may_send(&self, work: &Work) -> bool {
        let steps = || work.steps.iter().map(|steps| steps.load(Ordering::SeqCst));
        let (least, most) = (steps().min().expect("there are writers"), steps().max().expect("there are writers"));
        let own = self.first_step(self.acknowledged + 1);
        own <= least + AHEAD_STEPS_MAX && (self.behind_steps == 0 || own + self.behind_steps <= most)
    }

    /// Reads everything back: all that was acknowledged is there, and beyond it at most the one request that was under
    /// way; each value is the one that was sent. Returns how many samples are there.
    pub(crate) fn check(&self, engine: &Engine) -> usize {
        self.check_between(engine, self.acknowledged, self.acknowledged + 1)
    }

    /// As [`Writer::check`], of a server that has all of the requests before `least`, and none from `most` on.
    pub(crate) fn check_between(&self, engine: &Engine, least: i64, most: i64) -> usize {
        let steps_sent = self.first_step(most);
        let steps_acknowledged: Vec<i64> = (0..self.first_step(least)).filter(|step| self.part.has(*step)).collect();
        let end_ms = self.time_ms(steps_sent);
        let window_s = (end_ms - self.start_ms) / 1000 + 60;
        let query = format!("crash{{writer=\"{}\"}}[{window_s}s]", self.owner);
        let stored = instant(engine.address, &query, end_ms);
        assert!(stored.len() == self.measure.series || least == 0, "{} series are there", stored.len());
        let mut count = 0;
        for (labels, samples) in &stored {
            let labels: serde_json::Value = serde_json::from_str(labels).expect("labels are JSON");
            let series = labels["series"].as_str().and_then(|series| series.parse().ok()).expect("a series of ours");
            let mut seen = BTreeSet::new();
            for (timestamp_ms, found) in samples {
                let step = (timestamp_ms - self.start_ms).div_euclid(STEP_MS);
                assert_eq!(self.time_ms(step), *timestamp_ms, "{labels}: nobody sent a sample of this time");
                if !self.part.has(step) {
                    continue;
                }
                assert!((0..steps_sent).contains(&step), "{labels}: nobody sent step {step}");
                assert!(seen.insert(step), "{labels}: step {step} is there twice");
                let sent = value(self.owner, series, step);
                assert_eq!(found.to_bits(), sent.to_bits(), "{labels}, step {step}: {sent} was sent, {found} is there");
            }
            let missing = steps_acknowledged.iter().find(|step| !seen.contains(step));
            let all = steps_acknowledged.len();
            assert_eq!(missing, None, "{labels}: a step was acknowledged and is lost, of {all}");
            count += seen.len();
        }
        count
    }
}

/// What a series has at a step: full of digits, so that a wrong bit shows.
fn value(owner: usize, series: usize, step: i64) -> f64 {
    let mixed = (step as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((series as u64) << 7 | owner as u64);
    match mixed % 4 {
        0 => step as f64,
        1 => mixed as f64 / 1e3,
        2 => -(step as f64) / 7.0,
        _ => f64::from(mixed as u32) * 0.1,
    }
}

/// What the writers of one round share.
struct Work {
    stop: AtomicBool,
    acknowledged: AtomicU64,
    /// Requests that each has had acknowledged, in all rounds.
    requests: Vec<AtomicI64>,
    /// Where each has come to.
    steps: Vec<AtomicI64>,
}

/// The writers at work, each with a connection of its own.
pub(crate) struct Load {
    work: Arc<Work>,
    threads: Vec<JoinHandle<Writer>>,
}

impl Load {
    pub(crate) fn start(engine: &Engine, writers: Vec<Writer>) -> Load {
        let requests = writers.iter().map(|writer| AtomicI64::new(writer.acknowledged)).collect();
        let steps = writers.iter().map(|writer| AtomicI64::new(writer.first_step(writer.acknowledged))).collect();
        let work = Work { stop: AtomicBool::new(false), acknowledged: AtomicU64::new(0), requests, steps };
        let work = Arc::new(work);
        let start = |(place, mut writer): (usize, Writer)| {
            let (work, mut client) = (work.clone(), engine.client());
            std::thread::spawn(move || {
                writer.write(&mut client, &work, place);
                writer
            })
        };
        let threads = writers.into_iter().enumerate().map(start).collect();
        Load { work, threads }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.work.acknowledged.load(Ordering::SeqCst)
    }

    /// Requests that each writer has had acknowledged so far.
    pub(crate) fn progress(&self) -> Vec<i64> {
        self.work.requests.iter().map(|requests| requests.load(Ordering::SeqCst)).collect()
    }

    pub(crate) fn end(self) -> Vec<Writer> {
        self.work.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().map(|thread| thread.join().expect("a writer that is content")).collect()
    }
}

fn start_ms() -> i64 {
    Clock::system().now_ms() - 10 * 24 * 3_600_000
}

/// Two senders of series of their own.
pub(crate) fn writers() -> Vec<Writer> {
    let start_ms = start_ms();
    (0..2).map(|owner| Writer::new(owner, Part::All, 0, HEAVY, start_ms)).collect()
}

/// All four; the server needs [`WINDOW_SETTING`].
pub(crate) fn writers_with_belated(measure: Measure) -> Vec<Writer> {
    let start_ms = start_ms();
    let kinds = [(0, Part::All, 0), (1, Part::Most, 0), (1, Part::Rest, BEHIND_STEPS), (2, Part::All, BEHIND_STEPS)];
    kinds.map(|(owner, part, behind_steps)| Writer::new(owner, part, behind_steps, measure, start_ms)).into()
}

/// What an order is called, in the order in which they are given.
pub(crate) const ORDERS: [&str; 2] = ["compact", "snapshot"];

/// Gives orders one after the other, until the engine is gone.
pub(crate) struct Orders {
    /// The one that is being carried out, by its place in [`ORDERS`].
    under_way: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<[u64; 2]>,
}

const NONE: usize = usize::MAX;

impl Orders {
    pub(crate) fn start(engine: &Engine) -> Orders {
        let under_way = Arc::new(AtomicUsize::new(NONE));
        let stop = Arc::new(AtomicBool::new(false));
        let (now, stopped, mut client) = (under_way.clone(), stop.clone(), engine.client());
        let give = move || {
            let mut done = [0; 2];
            for order in (0..ORDERS.len()).cycle() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                now.store(order, Ordering::SeqCst);
                let Ok(answer) = client.post(&format!("/api/v1/admin/tsdb/{}", ORDERS[order]), &[], &[]) else { break };
                now.store(NONE, Ordering::SeqCst);
                assert_eq!(answer.status, 200, "{}: {}", ORDERS[order], answer.text());
                done[order] += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            done
        };
        Orders { under_way, stop, thread: std::thread::spawn(give) }
    }

    /// The order that is being carried out at the moment.
    pub(crate) fn under_way(&self) -> Option<&'static str> {
        ORDERS.get(self.under_way.load(Ordering::SeqCst)).copied()
    }

    /// How many of each were carried out.
    pub(crate) fn end(self) -> [u64; 2] {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("every order was carried out until the engine was gone")
    }
}
