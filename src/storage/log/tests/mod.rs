mod prepared;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use storage_format::histogram::Histogram;
use storage_format::{frame, log};

use super::*;
use crate::clock::Clock;
use crate::disk::{Disk, DiskError, SimulatedDisk};
use crate::model::{Labels, SeriesRef, TimeRange};
use crate::storage::head::LogEntry;
use crate::storage::{RecoveryProgress, StorageError};

const FOLDER: &str = "/data/log";

fn labels(reference: u64) -> Labels {
    Labels::from_pairs([("__name__", "up"), ("node", &reference.to_string())]).expect("labels")
}

/// A record of one payload, its chain still open.
fn record(kind: u8, shard: u16, payload: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut records = Vec::new();
    let start = frame::begin_record(&mut records);
    payload(&mut records);
    frame::seal_payload(&mut records, start, kind, shard);
    records
}

fn definition(shard: u16, reference: u64) -> Vec<u8> {
    let labels = labels(reference);
    record(log::KIND_SERIES, shard, |out| log::append_series(out, reference, labels.iter()))
}

fn samples(kind: u8, shard: u16, rows: &[(u64, i64, f64)]) -> Vec<u8> {
    record(kind, shard, |out| log::append_samples(out, rows))
}

fn deletion(shard: u16, reference: u64, from_ms: i64, to_ms: i64) -> Vec<u8> {
    record(log::KIND_DELETION, shard, |out| log::append_deletion(out, from_ms, to_ms, &[reference]))
}

fn entry(records: Vec<u8>, newest_ms: i64) -> LogEntry {
    LogEntry { records, newest_ms, holds_belated: false, ..LogEntry::default() }
}

/// A log whose segments open with the series 0 to 3, one a shard.
fn writer(disk: &SimulatedDisk, found: &Replayed) -> LogWriter {
    writer_of(disk, found, Arc::new(AtomicUsize::new(4)))
}

/// A log whose segments open with so many series as there are when that is begun.
fn writer_of(disk: &SimulatedDisk, found: &Replayed, series_count: Arc<AtomicUsize>) -> LogWriter {
    let snapshot = move || -> Definitions {
        let mut left = 0..series_count.load(Ordering::SeqCst) as u64;
        Box::new(move |out, bytes_max| {
            while out.len() < bytes_max
                && let Some(next) = left.next()
            {
                out.extend(definition(next as u16 % 4, next));
            }
            !left.is_empty()
        })
    };
    LogWriter::new(
        Arc::new(disk.clone()),
        PathBuf::from(FOLDER),
        Clock::manual(0),
        Box::new(snapshot),
        true,
        found.segments.clone(),
        found.last_sequence,
    )
}

fn new_writer(disk: &SimulatedDisk) -> LogWriter {
    writer(disk, &Replayed::default())
}

/// What was replayed of each series, in order, as text.
#[derive(Default)]
struct Story {
    refs: HashMap<Labels, SeriesRef>,
    told: Vec<(SeriesRef, String)>,
}

static NEXT_SLOT: AtomicUsize = AtomicUsize::new(0);

impl ReplayTarget for Story {
    fn series(&mut self, labels: Labels) -> SeriesRef {
        let next = || SeriesRef::new(0, 0, NEXT_SLOT.fetch_add(1, Ordering::SeqCst) as u32);
        *self.refs.entry(labels).or_insert_with(next)
    }

    fn samples(&mut self, rows: &[(SeriesRef, i64, f64)]) {
        self.told.extend(rows.iter().map(|(series, ms, value)| (*series, format!("{value} @{ms}"))));
    }

    fn belated(&mut self, rows: &[(SeriesRef, i64, f64)]) {
        self.told.extend(rows.iter().map(|(series, ms, value)| (*series, format!("belated {value} @{ms}"))));
    }

    fn histograms(&mut self, rows: &[(SeriesRef, i64, Histogram)]) {
        self.told.extend(rows.iter().map(|(series, ms, told)| (*series, format!("histogram of {} @{ms}", told.count))));
    }

    fn delete(&mut self, series: &[SeriesRef], range: TimeRange) {
        let text = format!("delete {} to {}", range.from_ms, range.to_ms);
        self.told.extend(series.iter().map(|series| (*series, text.clone())));
    }
}

/// Replays with so many targets; returns what each series was told, by its reference in the log.
fn replayed(disk: &SimulatedDisk, target_count: usize) -> (Replayed, Vec<Vec<String>>) {
    let mut targets: Vec<Story> = (0..target_count).map(|_| Story::default()).collect();
    let progress = RecoveryProgress::default();
    let found = replay(disk, Path::new(FOLDER), &mut targets, &progress).expect("a replay");
    assert_eq!(progress.segments_total.load(Ordering::SeqCst), found.segments.len() as u64);
    assert_eq!(progress.segments_done.load(Ordering::SeqCst), found.segments.len() as u64);
    assert_eq!(progress.samples.load(Ordering::SeqCst), found.sample_count);
    let told = |reference: u64| {
        let of_target = |target: &Story| {
            let series = target.refs.get(&labels(reference));
            let told = target.told.iter().filter(|(told, _)| Some(told) == series);
            told.map(|(_, text)| text.clone()).collect::<Vec<_>>()
        };
        targets.iter().flat_map(of_target).collect()
    };
    (found, (0..8).map(told).collect())
}

fn segments(disk: &SimulatedDisk) -> Vec<String> {
    disk.list(Path::new(FOLDER)).expect("a folder")
}

#[test]
fn records_come_back_in_the_order_of_their_shard_whatever_reads_them() {
    let disk = SimulatedDisk::new();
    let mut log = new_writer(&disk);
    for step in 0..3 {
        let rows = |reference: u64| vec![(reference, i64::from(step), f64::from(step))];
        let records = [
            samples(log::KIND_SAMPLES, 0, &rows(0)),
            samples(log::KIND_BELATED, 1, &rows(1)),
            deletion(0, 0, 0, i64::from(step)),
            samples(log::KIND_SAMPLES, 3, &rows(3)),
        ];
        log.commit(&[entry(records.concat(), 2)]).expect("written");
        log.finish_segment().expect("ended");
    }
    for target_count in 1..5 {
        let (found, told) = replayed(&disk, target_count);
        assert_eq!((found.sample_count, &found.damage), (9, &Vec::new()));
        let shard_0 = ["0 @0", "delete 0 to 0", "1 @1", "delete 0 to 1", "2 @2", "delete 0 to 2"];
        assert_eq!(told[0], shard_0, "{target_count} targets");
        assert_eq!(told[1], ["belated 0 @0", "belated 1 @1", "belated 2 @2"]);
        assert_eq!((told[2].len(), told[3].len()), (0, 3));
        assert!(found.segments.iter().all(|segment| segment.holds_belated && !segment.damaged));
        assert_eq!(found.segments.iter().map(|segment| segment.newest_ms).collect::<Vec<_>>(), [0, 1, 2]);
    }
}

#[test]
fn a_segment_that_is_long_enough_for_threads_is_read_as_others_are() {
    let disk = SimulatedDisk::new();
    let mut log = new_writer(&disk);
    // Full floats of 200 samples each, in 4,000 records: more than a mebibyte.
    for step in 0..1000_u64 {
        let of_shard = |shard: u64| {
            let value = |index: u64| f64::from_bits((step * 200 + index).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2 | 1);
            let rows: Vec<_> = (0..200).map(|index| (shard, (step * 200 + index) as i64, value(index))).collect();
            samples(log::KIND_SAMPLES, shard as u16, &rows)
        };
        log.commit(&[entry((0..4).flat_map(of_shard).collect(), 0)]).expect("written");
    }
    log.finish_segment().expect("ended");
    let (one, four) = (replayed(&disk, 1), replayed(&disk, 4));
    assert_eq!((one.0.sample_count, one.0.damage.len()), (800_000, 0));
    assert!(one.1 == four.1 && one.1[2].len() == 200_000);
}

#[test]
fn what_a_power_cut_leaves_of_a_group_is_no_damage_and_what_is_whole_of_it_is_kept() {
    let disk = SimulatedDisk::new();
    let mut log = new_writer(&disk);
    log.commit(&[entry(samples(log::KIND_SAMPLES, 0, &[(0, 1, 1.0)]), 1)]).expect("written");
    let torn = [
        definition(0, 7),
        samples(log::KIND_SAMPLES, 0, &[(0, 2, 2.0)]),
        samples(log::KIND_SAMPLES, 0, &[(7, 2, 7.0), (0, 3, 3.0)]),
    ];
    let start = definition(0, 0).len() * 4 + 32 + samples(log::KIND_SAMPLES, 0, &[(0, 1, 1.0)]).len();
    let lengths = torn.each_ref().map(Vec::len);
    log.commit(&[entry(torn.concat(), 3)]).expect("written");
    // The first two of the three were never on disk: the third names a series whose definition is gone.
    let cut = disk.crash(1);
    let path = segment_path(Path::new(FOLDER), 1);
    cut.damage(&path, |bytes| bytes[start..start + lengths[0] + lengths[1]].fill(0));
    let (found, told) = replayed(&cut, 2);
    assert_eq!(found.damage, Vec::<String>::new());
    assert_eq!(told[0], ["1 @1", "3 @3"]);

    // A later group says that they were on disk: then it is damage, and the unknown series too.
    log.commit(&[entry(samples(log::KIND_SAMPLES, 1, &[(1, 4, 4.0)]), 4)]).expect("written");
    let cut = disk.crash(1);
    cut.damage(&path, |bytes| bytes[start..start + lengths[0] + lengths[1]].fill(0));
    let (found, told) = replayed(&cut, 2);
    assert_eq!(found.damage.len(), 2, "{:?}", found.damage);
    assert!(found.damage[0].starts_with(&format!("{} bytes {start} to", path.display())), "{:?}", found.damage);
    assert_eq!((&told[0], &told[1]), (&vec!["1 @1".to_owned(), "3 @3".to_owned()], &vec!["4 @4".to_owned()]));
    assert!(found.segments[0].damaged);
}

#[test]
fn a_hole_in_a_segment_that_ended_in_order_is_damage() {
    let disk = SimulatedDisk::new();
    let mut log = new_writer(&disk);
    let group = [samples(log::KIND_SAMPLES, 0, &[(0, 1, 1.0)]), samples(log::KIND_SAMPLES, 1, &[(1, 1, 1.0)])];
    let start = definition(0, 0).len() * 4 + 32;
    log.commit(&[entry(group.concat(), 1)]).expect("written");
    log.finish_segment().expect("ended");
    log.commit(&[entry(samples(log::KIND_SAMPLES, 0, &[(0, 2, 2.0)]), 2)]).expect("written");
    disk.damage(&segment_path(Path::new(FOLDER), 1), |bytes| bytes[start..start + 24].fill(0));
    let (found, told) = replayed(&disk, 1);
    assert_eq!(found.damage.len(), 1, "{:?}", found.damage);
    assert_eq!((&told[0][..], &told[1][..]), (&["2 @2".to_owned()][..], &["1 @1".to_owned()][..]));
}

#[test]
fn a_segment_of_version_1_is_read() {
    let disk = SimulatedDisk::new();
    // The header of the frame's first version, and one record of each of its kinds.
    let header = frame::FileHeader { version: 1, ..frame::FileHeader::new(frame::FileKind::Log, 1, 0, 1) };
    let mut file = header.encode().to_vec();
    let mut series = Vec::new();
    log::append_series(&mut series, 2, labels(2).iter());
    let rows = [&15_000_i64.to_le_bytes()[..], &[1, 0, 0, 0], &[0x51, 5, 4]].concat(); // 5 @15000 of reference 2
    let chain = frame::append_record(&mut file, log::KIND_SERIES, 0, header.chain_start(), &series);
    frame::append_record(&mut file, log::KIND_ROWS, 0, chain, &rows);
    file.resize(4096, 0);
    disk.create(&segment_path(Path::new(FOLDER), 1), 0).expect("a file").write_at(0, &file).expect("written");
    let (found, told) = replayed(&disk, 1);
    assert_eq!((&found.damage, found.sample_count), (&Vec::new(), 1));
    assert_eq!(told[2], ["5 @15000"]);
}

#[test]
fn a_segment_of_a_newer_format_is_refused_by_name() {
    let disk = SimulatedDisk::new();
    let folder = Path::new(FOLDER);
    refuse_newer(&disk, folder).expect("no folder is fine");
    new_writer(&disk).commit(&[entry(samples(log::KIND_SAMPLES, 0, &[(0, 1, 1.0)]), 1)]).expect("written");
    refuse_newer(&disk, folder).expect("our own is fine");
    let header = frame::FileHeader { version: 3, ..frame::FileHeader::new(frame::FileKind::Log, 17, 0, 1) };
    disk.create(&segment_path(folder, 17), 0).expect("a file").write_at(0, &header.encode()).expect("written");
    let refusal = refuse_newer(&disk, folder).expect_err("newer");
    assert!(matches!(refusal, StorageError::NewerFormat { version: 3, version_max: 2, .. }));
    assert_eq!(
        refusal.to_string(),
        "/data/log/00000017.log has format 3, this binary reads up to 2: start the newer binary, or move the file away"
    );
    disk.damage(&segment_path(folder, 17), |bytes| bytes[9] ^= 1);
    refuse_newer(&disk, folder).expect("a damaged header is damage");
}

#[test]
fn rotation_ends_the_growing_segment_and_names_all() {
    let disk = SimulatedDisk::new();
    let mut log = new_writer(&disk);
    let growing = log.growing().clone();
    assert_eq!(log.rotate().expect("rotated"), Vec::<PathBuf>::new());
    for sequence in 1..4 {
        assert_eq!(growing.load(Ordering::SeqCst), sequence);
        log.commit(&[entry(samples(log::KIND_SAMPLES, 0, &[(0, 1, 1.0)]), 1)]).expect("written");
        assert_eq!(growing.load(Ordering::SeqCst), sequence);
        let files = log.rotate().expect("rotated");
        assert_eq!(files, (1..=sequence).map(|number| segment_path(Path::new(FOLDER), number)).collect::<Vec<_>>());
        assert_eq!(log.rotate().expect("again"), files);
    }
    // Nothing of an ended file changes: neither by what is written later nor by a start.
    let ended = |disk: &SimulatedDisk| disk.read(&segment_path(Path::new(FOLDER), 1)).expect("a file").to_vec();
    let before = ended(&disk);
    assert!(before.len() < 4096, "the reserve is given back: {}", before.len());
    log.commit(&[entry(samples(log::KIND_SAMPLES, 0, &[(0, 9, 1.0)]), 9)]).expect("written");
    let after = disk.crash(3);
    replayed(&after, 1);
    assert_eq!((ended(&disk), ended(&after)), (before.clone(), before));
}

#[test]
fn the_number_goes_on_when_a_segment_cannot_be_written() {
    let disk = SimulatedDisk::new();
    let mut log = new_writer(&disk);
    log.commit(&[entry(samples(log::KIND_SAMPLES, 0, &[(0, 1, 1.0)]), 1)]).expect("written");
    disk.fail_after(0);
    let failed = log.commit(&[entry(samples(log::KIND_BELATED, 0, &[(0, 2, 2.0)]), 2)]);
    assert!(matches!(failed, Err(DiskError { .. })));
    assert_eq!(log.growing().load(Ordering::SeqCst), 3, "one number is left out");
    disk.heal();
    log.commit(&[]).expect("written at last");
    assert_eq!(segments(&disk), ["00000001.log", "00000003.log"]);
    assert_eq!(log.growing().load(Ordering::SeqCst), 3);
}

#[test]
fn a_segment_goes_when_its_samples_and_its_belated_samples_are_in_blocks() {
    let disk = SimulatedDisk::new();
    let mut log = new_writer(&disk);
    for step in 1..5_i64 {
        let kind = if step == 2 { log::KIND_BELATED } else { log::KIND_SAMPLES };
        let records = samples(kind, 0, &[(0, step, 1.0)]);
        let entry = LogEntry { records, newest_ms: step, holds_belated: step == 2, ..LogEntry::default() };
        log.commit(&[entry]).expect("written");
        log.finish_segment().expect("ended");
    }
    log.retire(1, 9).expect("retired");
    assert_eq!(segments(&disk).len(), 4, "the newest sample of the first is at the floor");
    log.retire(4, 2).expect("retired");
    assert_eq!(
        segments(&disk),
        ["00000002.log", "00000003.log", "00000004.log"],
        "the second's belated are in no block"
    );
    log.retire(4, 3).expect("retired");
    assert_eq!(segments(&disk), ["00000004.log"]);

    // The same is known of segments that were found at a start.
    log.commit(&[LogEntry { holds_belated: true, ..entry(samples(log::KIND_BELATED, 0, &[(0, -5, 1.0)]), -5) }])
        .expect("written");
    log.finish_segment().expect("ended");
    let (found, _) = replayed(&disk, 2);
    let mut log = writer(&disk, &found);
    log.retire(5, 5).expect("retired");
    assert_eq!(segments(&disk), ["00000005.log"]);
    log.retire(5, 6).expect("retired");
    assert_eq!(segments(&disk), Vec::<String>::new());
}

#[test]
fn a_deletion_never_goes_before_the_samples_that_it_deletes() {
    let disk = SimulatedDisk::new();
    let mut log = new_writer(&disk);
    log.commit(&[entry(samples(log::KIND_SAMPLES, 0, &[(0, 100, 1.0)]), 100)]).expect("written");
    log.finish_segment().expect("ended");
    log.commit(&[entry(deletion(0, 0, 0, 200), i64::MIN)]).expect("written");
    log.finish_segment().expect("ended");
    log.retire(50, 9).expect("retired");
    assert_eq!(segments(&disk).len(), 2);
    assert_eq!(replayed(&disk, 1).1[0], ["1 @100", "delete 0 to 200"]);
}
