//! The log of a Prometheus, written here by hand as its format has it.

use proptest::prelude::*;

use super::blocks::append_signed;
use super::*;
use crate::ingest::append_varint;
use crate::model::{CounterResetHint, FloatHistogram, Side};

const PAGE_BYTES: usize = 32 << 10;

/// Puts a record into a segment, in as many parts as pages are begun by it.
fn append_record(segment: &mut Vec<u8>, compression: u8, record: &[u8]) {
    let packed = match compression {
        0x08 => snap::raw::Encoder::new().compress_vec(record).expect("snappy"),
        0x10 => zstd::encode_all(record, 1).expect("zstd"),
        _ => record.to_vec(),
    };
    let mut rest = &packed[..];
    let mut is_first = true;
    loop {
        let mut room = PAGE_BYTES - segment.len() % PAGE_BYTES;
        if room < 8 {
            segment.resize(segment.len() + room, 0);
            room = PAGE_BYTES;
        }
        let (part, behind) = rest.split_at(rest.len().min(room - 7));
        let kind = match (is_first, behind.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        segment.push(kind | compression);
        segment.extend((part.len() as u16).to_be_bytes());
        segment.extend(crc32c::crc32c(part).to_be_bytes());
        segment.extend(part);
        (rest, is_first) = (behind, false);
        if rest.is_empty() {
            return;
        }
    }
}

fn series(reference: u64, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut record = vec![1];
    record.extend(reference.to_be_bytes());
    append_varint(&mut record, pairs.len() as u64);
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        append_varint(&mut record, text.len() as u64);
        record.extend(text.as_bytes());
    }
    record
}

fn samples(samples: &[(u64, i64, f64)]) -> Vec<u8> {
    let mut record = vec![2];
    let (first, start_ms, _) = samples[0];
    record.extend(first.to_be_bytes());
    record.extend(start_ms.to_be_bytes());
    for (reference, at_ms, value) in samples {
        append_signed(&mut record, *reference as i64 - first as i64);
        append_signed(&mut record, at_ms - start_ms);
        record.extend(value.to_bits().to_be_bytes());
    }
    record
}

fn read(disk: &SimulatedDisk) -> (Given, Vec<String>) {
    let mut source = open(SourceKind::Prometheus, "/data", disk).expect("it opens");
    (drain(&mut *source).expect("it is read"), source.remarks())
}

fn write_segment(disk: &SimulatedDisk, path: &str, records: &[Vec<u8>]) {
    let mut segment = Vec::new();
    records.iter().for_each(|record| append_record(&mut segment, 0x08, record));
    write(disk, &Path::new("/data").join(path), &segment);
}

fn one(at_ms: i64, value: f64) -> Vec<(i64, u64)> {
    vec![(at_ms, value.to_bits())]
}

#[test]
fn newest_checkpoint_then_the_segments_behind_it_are_read() {
    let disk = SimulatedDisk::new();
    write_segment(&disk, "wal/checkpoint.00000001/00000000", &[samples(&[(9, 1, 0.0)])]);
    let names = [series(9, &[("__name__", "up"), ("job", "a")]), samples(&[(9, 10, 1.0)])];
    write_segment(&disk, "wal/checkpoint.00000003/00000000", &names);
    write_segment(&disk, "wal/checkpoint.00000004.tmp/00000000", &[samples(&[(9, 2, 0.0)])]);
    write_segment(&disk, "wal/00000003", &[samples(&[(9, 3, 0.0)])]);
    write_segment(&disk, "wal/00000004", &[samples(&[(9, 20, 2.0)]), series(12, &[("__name__", "b")])]);
    write_segment(&disk, "wal/00000010", &[samples(&[(12, 40, -0.0), (9, 30, 3.0)])]);
    write_segment(&disk, "wbl/00000000", &[vec![5], samples(&[(12, 5, 0.5)])]);
    let (given, remarks) = read(&disk);
    let a = [one(10, 1.0), one(20, 2.0), one(30, 3.0)].concat();
    let b = [one(40, -0.0), one(5, 0.5)].concat();
    assert_eq!(given.samples, [(r#"up{job="a"}"#.to_owned(), a), ("b".to_owned(), b)].into());
    assert_eq!((given.refused, remarks), (BTreeMap::new(), Vec::new()));
}

#[test]
fn records_go_over_pages_and_may_be_compressed() {
    let disk = SimulatedDisk::new();
    for compression in [0, 0x08, 0x10] {
        let mut segment = Vec::new();
        append_record(&mut segment, compression, &series(1, &[("__name__", "up")]));
        let mut expected = Vec::new();
        for record in 0..12 {
            // Of lengths up to several pages.
            let many: Vec<_> =
                (0..1 + record * 400).map(|at| (1, record * 10_000 + at, (at * 7_919 % 104_729) as f64)).collect();
            expected.extend(many.iter().map(|(_, at_ms, value)| (*at_ms, value.to_bits())));
            append_record(&mut segment, compression, &samples(&many));
        }
        assert!(compression > 0 || segment.len() > 5 * PAGE_BYTES, "{}", segment.len());
        write(&disk, Path::new("/data/wal/00000000"), &segment);
        let (given, _) = read(&disk);
        assert!(given.samples["up"] == expected, "{compression}");
        assert_resumes_everywhere(SourceKind::Prometheus, "/data", &disk);
    }
}

#[test]
fn what_blocks_hold_and_what_was_deleted_does_not_come_from_the_log() {
    let disk = blocks();
    let end_ms = START_MS + 5 * 3_600_000 + 3_600_000;
    let mut stone = vec![3];
    stone.extend(7u64.to_be_bytes());
    append_signed(&mut stone, end_ms + 20);
    append_signed(&mut stone, end_ms + 30);
    let at = |offset_ms: i64| (7, end_ms + offset_ms, 1.0);
    let records = [
        series(7, &[("__name__", "seconds"), ("job", "a")]),
        samples(&[at(-1), at(0), at(19), at(20), at(30), at(31)]),
        stone,
    ];
    write_segment(&disk, "wal/00000000", &records);
    // The last block ends with its last sample; this one says that it goes on.
    let folder = disk.list_folders(Path::new("/data")).expect("blocks")[0].clone();
    write(&disk, &Path::new("/data").join(folder).join("meta.json"), format!("{{\"maxTime\":{end_ms}}}").as_bytes());
    let (given, _) = read(&disk);
    let mut expected = known();
    let behind = [0, 19, 31].map(|offset_ms| (end_ms + offset_ms, 1.0f64.to_bits()));
    expected.get_mut(r#"seconds{job="a"}"#).expect("it is known").extend(behind);
    assert!(given.samples == expected);
    assert_resumes_everywhere(SourceKind::Prometheus, "/data", &disk);
}

#[test]
fn histograms_of_integers_and_floats_are_read() {
    let disk = SimulatedDisk::new();
    let head = |kind: u8| [&[kind][..], &1u64.to_be_bytes(), &100i64.to_be_bytes()].concat();
    let float = |value: f64| value.to_bits().to_be_bytes();
    // It began anew; schema 3; zero up to a half. One in zero of six, two above and three, none below.
    let integers = [&head(7)[..], &[0, 0, 1, 6], &float(0.5), &[1, 6], &float(2.5), &[1, 7, 2, 0, 2, 4, 2, 0]].concat();
    // A gauge a ms later, with bounds of its own.
    let mut floats = [&head(10)[..], &[0, 2, 3, 105], &float(0.0), &float(0.0), &float(3.5), &float(-1.0)].concat();
    floats.extend([1, 0, 2, 0, 2]);
    floats.extend([float(1.5), float(2.0)].concat());
    floats.extend([0, 2]);
    floats.extend([float(0.25), float(4.0)].concat());
    let records = [series(1, &[("__name__", "h")]), integers, floats];
    write_segment(&disk, "wal/00000000", &records);
    let first = FloatHistogram {
        hint: CounterResetHint::Reset,
        schema: 3,
        zero_threshold: 0.5,
        zero_count: 1.0,
        count: 6.0,
        sum: 2.5,
        positive: Side::of_run(-4, vec![2.0, 3.0]),
        ..FloatHistogram::default()
    };
    let second = FloatHistogram {
        hint: CounterResetHint::Gauge,
        schema: -53,
        count: 3.5,
        sum: -1.0,
        positive: Side::of_run(0, vec![1.5, 2.0]),
        custom_values: [0.25, 4.0].into(),
        ..FloatHistogram::default()
    };
    let expected = [(100, first), (101, second)].map(|(at_ms, one)| (at_ms, stored_histogram(&one).marker()));
    let (given, _) = read(&disk);
    assert_eq!(given.samples, [("h".to_owned(), expected.to_vec())].into());
    assert_eq!(given.refused, BTreeMap::new());
}

#[test]
fn what_cannot_be_stored_is_counted() {
    let disk = SimulatedDisk::new();
    let head = |kind: u8| [&[kind][..], &1u64.to_be_bytes(), &100i64.to_be_bytes()].concat();
    let mut exemplars = head(4);
    for _ in 0..3 {
        exemplars.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, b'a', 1, b'b']);
    }
    // One whose two buckets and zero hold less than its count, one with a count below zero.
    let mut histograms = head(7);
    histograms.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 2, 2, 4, 0]);
    let mut floats = head(8);
    floats.extend([0, 2, 0]);
    floats.extend([0; 1 + 8 * 2]);
    floats.extend((-1.0_f64).to_bits().to_be_bytes());
    floats.extend([0; 8 + 4]);
    let records = [series(1, &[("__name__", "up")]), exemplars, histograms, floats, vec![6, 1], vec![11, 1]];
    write_segment(&disk, "wal/00000000", &[&records[..], &[samples(&[(1, 1, 1.0), (2, 1, 1.0)])]].concat());
    let (given, remarks) = read(&disk);
    assert_eq!(given.count(), 1);
    let newer = "a record of the log is of a kind that is not read: a newer Prometheus wrote it";
    let expected = [
        ("the buckets hold 5 observations, but the count is 6", 1),
        ("the count is -1: counts must not be negative", 1),
        (newer, 1),
        ("the log does not name the series", 1),
    ];
    assert_eq!(given.refused, expected.map(|(reason, count)| (reason.to_owned(), count)).into());
    assert_eq!(remarks, ["3 exemplars of the log are left out: they are not stored"]);
}

#[test]
fn segment_that_was_cut_or_damaged_gives_what_is_before() {
    let records = [series(1, &[("__name__", "up")]), samples(&[(1, 1, 1.0)]), samples(&[(1, 2, 2.0)])];
    let mut segment = Vec::new();
    let ends = records.each_ref().map(|record| {
        append_record(&mut segment, 0, record);
        segment.len()
    });
    for cut in ends[1]..segment.len() {
        let disk = SimulatedDisk::new();
        write(&disk, Path::new("/data/wal/00000000"), &segment[..cut]);
        let (given, remarks) = read(&disk);
        assert_eq!((given.count(), given.refused.len()), (1, 0), "cut at {cut}");
        assert_eq!(remarks.len(), usize::from(cut > ends[1]), "cut at {cut}");
        // Another segment behind it: then it is no kill that cut it.
        write_segment(&disk, "wal/00000001", &[samples(&[(1, 3, 3.0)])]);
        let (given, _) = read(&disk);
        assert_eq!((given.count(), given.refused.len()), (2, usize::from(cut > ends[1])), "cut at {cut}");
    }
    for at in ends[1]..segment.len() {
        let (disk, mut damaged) = (SimulatedDisk::new(), segment.clone());
        damaged[at] ^= 0x41;
        write(&disk, Path::new("/data/wal/00000000"), &damaged);
        write_segment(&disk, "wal/00000001", &[samples(&[(1, 3, 3.0)])]);
        let (given, _) = read(&disk);
        assert_eq!((given.count(), given.refused.values().sum::<u64>()), (2, 1), "damaged at {at}");
        assert!(given.first_refused.expect("it is told").contains("/data/wal/00000000 at byte "), "damaged at {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_records_and_segments_are_read_or_refused(
        records in prop::collection::vec((0u8..13, prop::collection::vec(any::<u8>(), 0..80)), 0..12),
        compression in prop::sample::select(vec![0u8, 0x08, 0x10]),
        raw in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let disk = SimulatedDisk::new();
        let mut segment = Vec::new();
        for (kind, body) in records {
            append_record(&mut segment, compression, &[&[kind], &body[..]].concat());
        }
        write(&disk, Path::new("/data/wal/00000000"), &segment);
        segment.extend(&raw);
        write(&disk, Path::new("/data/wal/00000001"), &segment);
        write(&disk, Path::new("/data/wal/00000002"), &raw);
        let _ = read(&disk);
    }
}
