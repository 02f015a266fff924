//! The log of version 2 as `golden/v2/log.txt` tells it, byte by byte: read, written, and with changed bytes.
//!
//! The text was made from the chapters without this crate. Never edit it, nor the file.

use proptest::prelude::*;
use storage_format::frame::{Event, FileHeader, FileKind, Reader, begin_record, seal_group, seal_payload};
use storage_format::log::{self, Deletion};

const TEXT: &str = include_str!("../golden/v2/log.txt");
const FILE: &[u8] = include_bytes!("../golden/v2/log.bin");
const OLD_FILE: &[u8] = include_bytes!("../golden/v1/log.bin");

const HEADER: FileHeader =
    FileHeader { kind: FileKind::Log, version: 2, sequence: 8, created_ms: 1_700_000_000_000, salt: 0x5eee };
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);
const SAMPLES: [(u64, i64, f64); 10] = [
    (0, 15_000, 1.0),
    (1, 15_000, -123.45),
    (300, 15_002, STALE),
    (301, 15_002, -0.0),
    (5, 15_000, 40_000.0),
    (5, 30_000, 40_001.0),
    (5, 45_000, 40_000.0),
    (5, 60_000, 1_000_000_007.0),
    (5, 75_000, 1_000_000_007.0),
    (5, 90_000, -123.45),
];
const BELATED: [(u64, i64, f64); 1] = [(300, -1, 2.5)];

fn bits(rows: &[(u64, i64, f64)]) -> Vec<(u64, i64, u64)> {
    rows.iter().map(|(reference, timestamp_ms, value)| (*reference, *timestamp_ms, value.to_bits())).collect()
}

fn read_samples(payload: &[u8]) -> Vec<(u64, i64, u64)> {
    let mut rows = Vec::new();
    log::decode_samples(payload, |reference, timestamp_ms, value| rows.push((reference, timestamp_ms, value)))
        .expect("samples");
    bits(&rows)
}

/// Kind and payload of each record, and what else the reader says.
fn read(file: &[u8]) -> (Vec<(u8, &[u8])>, Vec<Event<'_>>) {
    let (mut records, mut others) = (Vec::new(), Vec::new());
    for event in Reader::without_header(file) {
        match event {
            Event::Record { kind, payload, .. } => records.push((kind, payload)),
            other => others.push(other),
        }
    }
    (records, others)
}

#[test]
fn the_text_tells_the_file() {
    let mut bytes = Vec::new();
    for line in TEXT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (offset, rest) = line.split_once("  ").expect("two spaces follow the offset");
        assert_eq!(usize::from_str_radix(offset, 16).ok(), Some(bytes.len()), "{line}");
        let hex = rest.split_once("  ").map_or(rest, |(hex, _)| hex);
        bytes.extend(hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect(line)));
    }
    assert_eq!(bytes, FILE);
}

#[test]
fn the_log_is_read_as_told() {
    assert_eq!(FileHeader::decode(FILE), Ok(HEADER));
    let events: Vec<_> = Reader::open(FILE).expect("a header").1.collect();
    assert!(events[..4].iter().all(|event| matches!(event, Event::Record { shard: 2, chain_ok: true, .. })));
    assert_eq!(events[4..], [Event::End { offset: FILE.len() as u64 - 24 }]);
    let (records, _) = read(FILE);
    let kinds: Vec<u8> = records.iter().map(|record| record.0).collect();
    assert_eq!(kinds, [log::KIND_SERIES, log::KIND_SAMPLES, log::KIND_BELATED, log::KIND_DELETION]);
    let series: Vec<_> = log::decode_series(records[0].1).map(Result::unwrap).collect();
    assert_eq!((series[0].reference, &series[0].labels[..]), (0, &[("__name__", "up"), ("node", "1")][..]));
    assert_eq!((series[1].reference, &series[1].labels[..]), (300, &[("__name__", "é")][..]));
    assert_eq!(read_samples(records[1].1), bits(&SAMPLES));
    assert_eq!(read_samples(records[2].1), bits(&BELATED));
    let deletion = Deletion { from_ms: -1, to_ms: 15_000, references: vec![0, 300] };
    assert_eq!(log::decode_deletion(records[3].1), Ok(deletion));
}

#[test]
fn the_log_is_written_as_told() {
    fn record(group: &mut Vec<u8>, kind: u8, payload: impl FnOnce(&mut Vec<u8>)) {
        let start = begin_record(group);
        payload(group);
        seal_payload(group, start, kind, 2);
    }
    let mut opening = Vec::new();
    record(&mut opening, log::KIND_SERIES, |out| {
        log::append_series(out, 0, [("__name__", "up"), ("node", "1")]);
        log::append_series(out, 300, [("__name__", "é")]);
    });
    let mut samples = Vec::new();
    record(&mut samples, log::KIND_SAMPLES, |out| log::append_samples(out, &SAMPLES));
    record(&mut samples, log::KIND_BELATED, |out| log::append_samples(out, &BELATED));
    let mut deletion = Vec::new();
    record(&mut deletion, log::KIND_DELETION, |out| log::append_deletion(out, -1, 15_000, &[0_u64, 300]));

    let mut file = HEADER.encode().to_vec();
    let mut chain = HEADER.chain_start();
    for (mut group, unsynced_bytes) in [(opening, file.len() as u64), (samples, 0), (deletion, 0)] {
        chain = seal_group(&mut group, chain, unsynced_bytes);
        file.extend_from_slice(&group);
    }
    file.resize(file.len() + 24, 0);
    assert_eq!(file, FILE);
}

#[test]
fn damage_of_any_bit_is_reported_and_costs_at_most_its_record() {
    let whole = read(FILE).0;
    for bit in 32 * 8..FILE.len() * 8 {
        let mut damaged = FILE.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (records, others) = read(&damaged);
        let is_clean = matches!(others[..], [Event::End { .. }]);
        assert!(!is_clean, "bit {bit} is damaged, and nobody says so");
        assert!(records.len() + 1 >= whole.len(), "bit {bit} costs more than its record");
        assert!(records.iter().all(|record| whole.contains(record)), "bit {bit} changed a value");
    }
}

#[test]
fn what_a_power_cut_leaves_of_the_group_of_two_is_torn_and_no_damage() {
    let starts: Vec<usize> = Reader::without_header(FILE)
        .filter_map(|event| if let Event::Record { offset, .. } = event { Some(offset as usize) } else { None })
        .collect();
    let mut cut = FILE.to_vec();
    cut[starts[1]..starts[2]].fill(0); // the samples
    let torn = |file: &[u8]| read(file).1.iter().any(|event| matches!(event, Event::Damage { may_be_torn: true, .. }));
    assert!(!torn(&cut), "the deletion was written after the group was on disk");
    cut[starts[3]..].fill(0);
    assert!(torn(&cut), "the belated samples were written with it");
}

/// Decodes a payload as every kind: none may panic.
fn decode_as_all(payload: &[u8]) {
    let _ = log::decode_series(payload).count();
    let _ = log::decode_rows(payload, |_, _, _| ());
    let _ = log::decode_samples(payload, |_, _, _| ());
    let _ = log::decode_deletion(payload);
}

proptest! {
    #[test]
    fn changed_files_give_records_that_were_written_or_none(
        is_old in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        copied in (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..64_usize),
    ) {
        let whole = if is_old { OLD_FILE } else { FILE };
        let mut file = whole.to_vec();
        let (from, to, length) = (copied.0.index(file.len()), copied.1.index(file.len()), copied.2);
        let length = length.min(file.len() - from.max(to));
        file.copy_within(from..from + length, to);
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let _ = FileHeader::decode(&file);
        let written = read(whole).0;
        for record in read(&file).0 {
            prop_assert!(written.contains(&record));
        }
    }

    #[test]
    fn changed_payloads_are_decoded_or_refused(
        is_old in any::<bool>(),
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let records = read(if is_old { OLD_FILE } else { FILE }).0;
        let mut payload = records[which.index(records.len())].1.to_vec();
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        decode_as_all(&payload);
        decode_as_all(&payload[..cut.index(payload.len())]);
    }
}
