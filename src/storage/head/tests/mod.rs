//! A head on its own: its writer, a map in place of the blocks, and the log as the records that came out.

mod behaviour;
mod index;
mod oracle;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use storage_format::frame::{FileHeader, FileKind};
use storage_format::{frame, log};

use super::*;
use crate::model::{Matcher, Sample, SeriesRef};
use crate::storage::batch::{NewSeries, Row, ShardBatch, WriteSummary};
use crate::storage::resolver::Resolver;
use crate::storage::tap::{TapSource, Tapped, tap};
use crate::storage::{BLOCK_MS, Refusal};
use storage_format::log::{KIND_BELATED, KIND_DELETION};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// A multiple of the block length.
const T0: i64 = 236_111 * BLOCK_MS;

/// What the blocks hold: bits by labels and time.
type Blocks = Arc<Mutex<BTreeMap<(String, i64), u64>>>;

struct Rig {
    head: Arc<Head>,
    resolver: Arc<Resolver>,
    writer: ShardWriter,
    tap: TapSource,
    limits: HeadLimits,
    blocks: Blocks,
    /// Questions put to the blocks.
    asked: Arc<Mutex<Vec<(String, TimeRange)>>>,
    /// Up to where blocks are written.
    sealed_ms: i64,
    now_ms: i64,
    log: Log,
}

/// A segment in memory.
#[derive(Clone)]
struct Log {
    bytes: Vec<u8>,
    chain: u32,
}

impl Log {
    fn new() -> Log {
        let header = FileHeader::new(FileKind::Log, 1, 0, 7);
        Log { bytes: header.encode().to_vec(), chain: header.chain_start() }
    }

    fn write(&mut self, mut records: Vec<u8>) {
        self.chain = frame::seal_group(&mut records, self.chain, 0);
        self.bytes.extend(records);
    }
}

/// A cut that has begun.
#[derive(Clone, Copy)]
struct Cut {
    floor_ms: i64,
    epoch: u32,
}

fn limits() -> HeadLimits {
    HeadLimits { series_max: 1_000, retention_ms: 0, out_of_order_window_ms: HOUR_MS }
}

fn labels(node: u32) -> Labels {
    let watched = if node == 0 { "yes" } else { "" };
    Labels::from_pairs([("__name__", "up"), ("node", &node.to_string()), ("watched", watched)]).expect("labels")
}

impl Rig {
    fn new(limits: HeadLimits) -> Rig {
        Rig::opened(limits, Blocks::default(), i64::MIN, Log::new())
    }

    fn opened(limits: HeadLimits, blocks: Blocks, sealed_ms: i64, log: Log) -> Rig {
        let head = Arc::new(Head::new(1, sealed_ms));
        let resolver = Arc::new(Resolver::new(7));
        let (feed, tap) =
            tap(head.clone(), Arc::default(), 0, Arc::new(|labels: &Labels| labels.get("watched").is_some()));
        let asked = Arc::<Mutex<Vec<(String, TimeRange)>>>::default();
        let (held, questions) = (blocks.clone(), asked.clone());
        let sealed: SealedLookup = Arc::new(move |labels, range, columns| {
            let labels = labels.to_string();
            for ((_, timestamp_ms), bits) in
                held.lock().range((labels.clone(), range.from_ms)..=(labels.clone(), range.to_ms))
            {
                columns.push(*timestamp_ms, f64::from_bits(*bits));
            }
            questions.lock().push((labels, range));
            Ok(())
        });
        let writer = ShardWriter::new(0, head.clone(), resolver.clone(), limits, sealed, feed);
        Rig { head, resolver, writer, tap, limits, blocks, asked, sealed_ms, now_ms: T0, log }
    }

    /// Sends rows as one request.
    fn send(&mut self, rows: &[(u32, i64, f64)]) -> (LogEntry, WriteSummary) {
        let mut batch = ShardBatch::default();
        for &(node, timestamp_ms, value) in rows {
            let known = self.resolver.known().get(node.into());
            match known {
                Some(series) => batch.rows.push(Row { series, timestamp_ms, value }),
                None => batch.new.push(NewSeries::new(
                    Arc::new(labels(node)),
                    node.into(),
                    vec![Sample { timestamp_ms, value }],
                )),
            }
        }
        let (entry, summary) = self.writer.handle(&batch, self.now_ms);
        assert_eq!(summary.gone_count, 0);
        self.log.write(entry.records.clone());
        (entry, summary)
    }

    /// Sends one row. `Ok` with how many were stored, or why not.
    fn send_one(&mut self, node: u32, timestamp_ms: i64, value: f64) -> Result<u64, Refusal> {
        let (_, summary) = self.send(&[(node, timestamp_ms, value)]);
        match summary.refused.first() {
            Some((why, 1)) => Err(*why),
            Some(other) => panic!("{other:?}"),
            None => Ok(summary.stored_count),
        }
    }

    fn delete(&mut self, nodes: &[u32], range: TimeRange) -> u64 {
        let selectors: Vec<Vec<Matcher>> =
            nodes.iter().map(|node| vec![Matcher::equal("node", node.to_string())]).collect();
        let (records, deleted) = self.writer.delete(&selectors, range, &[]);
        self.log.write(records);
        for node in nodes {
            let labels = labels(*node).to_string();
            self.blocks.lock().retain(|(other, ms), _| *other != labels || !range.contains(*ms));
        }
        deleted
    }

    fn begin_cut(&mut self, floor_ms: i64) -> Cut {
        let epoch = self.head.shard(0).write().begin_cut(floor_ms);
        Cut { floor_ms, epoch }
    }

    /// Writes the blocks of a cut, and shows them.
    fn write_blocks(&mut self, cut: Cut) {
        let shard = self.head.shard(0).read();
        let mut blocks = self.blocks.lock();
        for slot in 0..shard.slots() {
            let (Some(series), Some(reference)) = (shard.series(slot), shard.reference(slot)) else { continue };
            let labels = shard.labels(reference).expect("alive").to_string();
            let mut columns = Columns::default();
            series.read(TimeRange { from_ms: self.sealed_ms, to_ms: cut.floor_ms - 1 }, &mut columns);
            let belated = series.belated_between(0, cut.epoch).map(|sample| (sample.timestamp_ms, sample.value));
            for (timestamp_ms, value) in columns.iter().chain(belated) {
                let before = blocks.insert((labels.clone(), timestamp_ms), value.to_bits());
                assert_eq!(before, None, "{labels} at {timestamp_ms} is written twice");
            }
        }
        self.sealed_ms = self.sealed_ms.max(cut.floor_ms);
    }

    fn truncate(&mut self, cut: Cut) {
        let retiring = self.head.truncate(0, cut.floor_ms, cut.epoch);
        self.resolver.forget(&retiring.into_iter().collect());
    }

    fn cut(&mut self, floor_ms: i64) {
        let cut = self.begin_cut(floor_ms);
        self.write_blocks(cut);
        self.truncate(cut);
    }

    /// What is left after the process was killed: blocks and log.
    fn restart(self) -> Rig {
        let log = self.log.clone();
        let mut rig = Rig::opened(self.limits, self.blocks, self.sealed_ms, self.log);
        rig.now_ms = self.now_ms;
        let mut series = BTreeMap::new();
        let (_, events) = frame::Reader::open(&log.bytes).expect("a header");
        for event in events {
            let (kind, payload) = match event {
                frame::Event::Record { kind, payload, chain_ok: true, .. } => (kind, payload),
                frame::Event::End { .. } => break,
                other => panic!("{other:?}"),
            };
            match kind {
                log::KIND_SERIES => {
                    for definition in log::decode_series(payload) {
                        let definition = definition.expect("whole");
                        let labels = Labels::from_pairs(definition.labels.iter().copied()).expect("labels");
                        series.insert(definition.reference, rig.writer.restore_series(&labels));
                    }
                }
                log::KIND_SAMPLES => rig.writer.restore(&rows(payload, &series)),
                KIND_BELATED => rig.writer.restore_belated(&rows(payload, &series)),
                KIND_DELETION => {
                    let deletion = log::decode_deletion(payload).expect("whole");
                    let named: Vec<SeriesRef> = deletion.references.iter().map(|other| series[other]).collect();
                    rig.writer.restore_deletion(&named, TimeRange { from_ms: deletion.from_ms, to_ms: deletion.to_ms });
                }
                other => panic!("kind {other}"),
            }
        }
        rig.writer.restored();
        // As a new segment does.
        let mut definitions = Vec::new();
        assert!(!DefinitionWalk::new(rig.head.clone()).append(&mut definitions, usize::MAX));
        rig.log.write(definitions);
        rig
    }

    /// What a query would see of a series: blocks below the floor, the head above it, belated samples among them.
    fn read(&self, node: u32) -> Vec<(i64, u64)> {
        let labels = labels(node);
        let name = labels.to_string();
        let mut read: BTreeMap<i64, u64> = BTreeMap::new();
        for ((_, ms), bits) in self.blocks.lock().range((name.clone(), i64::MIN)..=(name, i64::MAX)) {
            read.insert(*ms, *bits);
        }
        let shard = self.head.shard(0).read();
        if let Some(series) = shard.find(&labels).and_then(|found| shard.by_ref(found)) {
            let (mut held, mut belated) = (Columns::default(), Columns::default());
            series.read(TimeRange { from_ms: self.sealed_ms, to_ms: i64::MAX }, &mut held);
            series.read_belated(TimeRange::ALL, &mut belated);
            assert!(held.timestamps_ms.is_sorted_by(|a, b| a < b) && belated.timestamps_ms.is_sorted_by(|a, b| a < b));
            for (ms, value) in held.iter().chain(belated.iter()) {
                let before = read.insert(ms, value.to_bits());
                assert!(before.is_none_or(|bits| bits == value.to_bits()), "node {node} has two values at {ms}");
            }
        }
        read.into_iter().collect()
    }

    fn check_counts(&self) {
        let shard = self.head.shard(0).read();
        assert_eq!((shard.sample_bytes(), shard.belated_count()), shard.recounted());
        assert_eq!(self.head.series_count(), shard.series_count());
    }
}

fn rows(payload: &[u8], series: &BTreeMap<u64, SeriesRef>) -> Vec<(SeriesRef, i64, f64)> {
    let mut rows = Vec::new();
    log::decode_samples(payload, |reference, timestamp_ms, value| {
        rows.push((series[&reference], timestamp_ms, value));
    })
    .expect("whole");
    rows
}
