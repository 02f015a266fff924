//! Everything that reads bytes from disk, each as a function of any bytes: that they are no file of ours must show as
//! an error, never as a panic, a loop or a reservation out of proportion.
//!
//! Damage rarely gets past a checksum, and what lies behind it would hardly be tried. So each target reads the bytes as
//! they are, and once more with every checksum in them made anew.
//!
//! Two use it: `tests/fuzz.rs`, with seeds and on every run, and libFuzzer (`fuzz/src/main.rs`), for hours.

use storage_format::block::{self, SeriesEntry, SymbolCache};
use storage_format::column::{Decoder, Numbers};
use storage_format::frame::{Event, FileHeader, Reader};
use storage_format::group::{GroupReader, Scratch, read_column, read_histograms};
use storage_format::histogram::{Appender, PagesReader, StreamReader};
use storage_format::incidents;
use storage_format::manifest::Manifest;
use storage_format::metadata::{self, Family};
use storage_format::outbox::{Delivered, GivenUp, Message, Notification, Told};
use storage_format::push_groups::Group;
use storage_format::{block_v1, chunk, log, tombstones, version_of};

use crate::seal;

/// Name and function.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All of them. Where there is a golden file of the name, it is an input that the target accepts.
pub(crate) const TARGETS: [Target; 13] = [
    ("log", framed),
    ("outbox", framed),
    ("detector", framed),
    ("metadata", framed),
    ("push_groups", framed),
    ("incidents", framed),
    ("chunk", chunk),
    ("column", column),
    ("group", group),
    ("histogram", histogram),
    ("block", block),
    ("tombstones", tombstones),
    ("manifest", manifest),
];

/// Steps that reading one input may take where its tables may lead to the same place again and again.
const STEPS_MAX: usize = 1 << 14;

fn framed(bytes: &[u8]) {
    read_framed(bytes);
    read_framed(&seal::framed(bytes));
}

fn read_framed(bytes: &[u8]) {
    let _ = (version_of(bytes), FileHeader::decode(bytes));
    if let Ok((_, records)) = Reader::open(bytes) {
        read_records(records);
    }
    read_records(Reader::without_header(bytes));
}

/// Reads each payload as all that it may be.
fn read_records(records: Reader<'_>) {
    let mut is_over = false;
    for event in records {
        assert!(!is_over, "something follows the end");
        is_over = matches!(event, Event::End { .. } | Event::TornTail { .. });
        let Event::Record { payload, .. } = event else { continue };
        let _ = log::decode_series(payload).count();
        let _ = log::decode_rows(payload, |_, _, _| ());
        let _ = log::decode_samples(payload, |_, _, _| ());
        let _ = log::decode_deletion(payload);
        let _ = log::decode_histograms(payload, |_, _, _| ());
        let _ = (Family::decode(payload), metadata::decode_end(payload), Group::decode(payload));
        let _ = (Notification::decode(payload), Delivered::decode(payload), GivenUp::decode(payload));
        let _ = incidents::Entry::decode(payload);
        let _ = (Message::decode(payload), Told::decode(payload));
    }
    assert!(is_over, "a reader says at last that it is at the end");
}

fn chunk(bytes: &[u8]) {
    read_chunk(bytes);
    read_chunk(&seal::last_word(bytes));
}

fn read_chunk(bytes: &[u8]) {
    let (mut timestamps, mut values) = (vec![7], vec![7.0]);
    let read = chunk::decode_stored(bytes, &mut timestamps, &mut values);
    let count = read.map_or(0, |count| count);
    assert_eq!((timestamps.len(), values.len()), (1 + count, 1 + count), "damage leaves the columns as before");
}

/// Columns one behind the other, each behind its number of samples and its length as `u16`: as in `golden/v2/column.bin`.
/// Each may refer to the one before it.
fn column(mut bytes: &[u8]) {
    let (mut decoder, mut reference) = (Decoder::default(), Numbers::default());
    while let Some(([a, b, c, d], rest)) = bytes.split_first_chunk() {
        let (count, length) = (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
        let (body, rest) = rest.split_at(rest.len().min(length.into()));
        bytes = rest;
        let referred = Some(reference.integers.as_slice()).filter(|integers| !integers.is_empty());
        let (mut numbers, mut values) = (Numbers::default(), vec![7.0]);
        let read = decoder.decode(body, count.into(), referred, &mut numbers);
        let again = decoder.decode_values(body, count.into(), referred, &mut values);
        assert_eq!(read, again, "numbers and values are read alike");
        if read.is_ok() {
            assert_eq!((numbers.integers.len(), values.len()), (count.into(), 1 + usize::from(count)));
            reference = numbers;
        } else {
            assert_eq!(values.len(), 1, "damage leaves the values as before");
        }
    }
}

/// Histograms behind their number as `u16`: as a stream and as pages.
fn histogram(bytes: &[u8]) {
    let Some(([a, b], bytes)) = bytes.split_first_chunk() else { return };
    let count = u16::from_le_bytes([*a, *b]);
    let (mut reader, mut read) = (StreamReader::new(bytes, count.into()), 0);
    while let Ok(Some((_, histogram))) = reader.read() {
        assert!(histogram.same_bits(histogram), "what is read is whole");
        read += 1;
    }
    assert!(read <= count, "no more than there are");
    if let Ok(mut appender) = Appender::resume(bytes, count.into()) {
        let mut stream = bytes.to_vec();
        appender.append(&mut stream, 0, &storage_format::histogram::Histogram::stale());
        let again = Appender::resume(&stream, appender.count()).expect("a stream goes on where it ended");
        assert_eq!(again.last_timestamp(), 0);
    }
    let (mut reader, mut read) = (PagesReader::new(bytes, count.into()), 0);
    while let Ok(Some(_)) = reader.read() {
        read += 1;
    }
    assert!(read <= count, "no more than there are");
}

fn group(bytes: &[u8]) {
    read_group(bytes);
    read_group(&seal::group(bytes));
}

fn read_group(bytes: &[u8]) {
    let Ok(reader) = GroupReader::open(bytes) else { return };
    let (mut scratch, mut timestamps_ms, mut values) = (Scratch::default(), Vec::new(), Vec::new());
    for column in 0..=reader.column_count() {
        let _ = reader.read(column, &mut scratch, &mut timestamps_ms, &mut values);
        let _ = read_histograms(bytes, column, &mut scratch, |_, _| ());
        let count = timestamps_ms.len();
        assert_eq!(values.len(), count, "as many values as timestamps");
        assert!(timestamps_ms.is_sorted(), "timestamps of a column ascend");
        if count > 0 {
            let ends = (timestamps_ms[0], timestamps_ms[count - 1]);
            assert_eq!((reader.sample_count(column), reader.time_range(column)), (count, Some(ends)));
            // What a scratch remembers of other columns changes nothing.
            if column % 16 == 15 {
                let (mut others_ms, mut others) = (Vec::new(), Vec::new());
                let again = read_column(bytes, column, &mut Scratch::default(), &mut others_ms, &mut others);
                assert_eq!((again, &others_ms), (Ok(()), &timestamps_ms));
                assert!(others.iter().zip(&values).all(|(other, value)| other.to_bits() == value.to_bits()));
            }
        }
        timestamps_ms.clear();
        values.clear();
    }
}

fn block(bytes: &[u8]) {
    read_block(bytes);
    read_block(&seal::block(bytes));
}

fn read_block(bytes: &[u8]) {
    let _ = version_of(bytes);
    if let Ok(reader) = block::BlockReader::open(bytes) {
        read_block_of_version_2(&reader);
    }
    if let Ok(reader) = block_v1::BlockReader::open(bytes) {
        read_block_of_version_1(&reader);
    }
}

fn read_block_of_version_2(reader: &block::BlockReader<&[u8]>) {
    let (mut cache, mut entry) = (SymbolCache::default(), SeriesEntry::default());
    for series in 0..=reader.series_count().min(STEPS_MAX as u32) {
        if reader.read_series(series, &mut cache, &mut entry).is_ok() {
            let labels: Vec<(String, String)> =
                entry.labels(&cache).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let _ = reader.find_series(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        }
    }
    let mut steps_left = STEPS_MAX;
    for name in reader.label_names().unwrap_or_default() {
        let _ = reader.postings_of_name(&name);
        let Ok(values) = reader.values_of(&name) else { continue };
        for (value, list) in values.take(steps_left).flatten() {
            steps_left -= 1;
            assert!(list.read().is_ok_and(|series| series.len() == u64::from(list.count())) || list.read().is_err());
            let _ = reader.postings(&name, &value);
        }
    }
    for index in 0..=reader.group_count().min(STEPS_MAX as u32) {
        if let Ok(bytes) = reader.group_bytes(index) {
            group(bytes);
        }
    }
}

fn read_block_of_version_1(reader: &block_v1::BlockReader<&[u8]>) {
    let mut steps_left = STEPS_MAX;
    for series in 0..=reader.series_count().min(STEPS_MAX as u32) {
        let Ok(entry) = reader.series(series) else { continue };
        for meta in entry.chunks.iter().take(steps_left) {
            steps_left -= 1;
            if let Ok(stored) = reader.chunk(meta) {
                chunk(stored);
            }
        }
    }
    for name in reader.label_names().unwrap_or_default() {
        for (value, list) in reader.values_of(name).into_iter().flatten().take(steps_left).flatten() {
            steps_left -= 1;
            let _ = (list.read(&mut Vec::new()), reader.postings(name, value));
        }
    }
}

fn tombstones(bytes: &[u8]) {
    let _ = tombstones::decode(bytes);
    if let Ok((created_ms, told)) = tombstones::decode(&seal::last_word(bytes)) {
        assert_eq!(tombstones::encode(&told, created_ms), seal::last_word(bytes), "there is one way to write them");
    }
}

fn manifest(bytes: &[u8]) {
    let _ = Manifest::decode(bytes);
    let sealed = seal::manifest(bytes);
    if let Ok(manifest) = Manifest::decode(&sealed) {
        assert_eq!(manifest.encode(), sealed, "there is one way to write it");
    }
}
