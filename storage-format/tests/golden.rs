//! Old files stay readable: every file in `golden/` is opened on every run, those of old versions by their own readers.
//!
//! `golden/v1/log.txt` tells `golden/v1/log.bin` byte by byte: an offset, up to sixteen bytes in hex, and what they mean.
//! The texts were made from the specification without this crate, so they hold the code to the chapters, and the
//! files to both. Never edit one: a new version of a format gets a new folder.
//! To add one, write its text and run `GOLDEN_WRITE=1 cargo test -p storage-format --test golden`, which makes each
//! missing `.bin` of its text.

use std::path::PathBuf;

use storage_format::block_v1::{self, BlockRange, BlockReader};
use storage_format::chunk::{self, Appender, KIND_DELTA};
use storage_format::frame::{Event, FileHeader, FileKind, Reader, append_record};
use storage_format::incidents::{self, Entry};
use storage_format::log;
use storage_format::metadata::{self, Family};
use storage_format::outbox::{self, Delivered, GivenUp, Message, Notification, Status, Told};
use storage_format::push_groups::{self, Group, Series};
use storage_format::{Corruption, FileType, block, frame, index, version_of};

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);
const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);
const FRAMED: [&str; 9] =
    ["log", "outbox", "detector", "metadata", "push_groups", "rules", "incidents", "silences", "calendar"];

fn golden_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// A file of version 1.
fn golden(name: &str) -> Vec<u8> {
    golden_of("v1", name)
}

fn golden_of(version: &str, name: &str) -> Vec<u8> {
    std::fs::read(golden_folder().join(version).join(format!("{name}.bin"))).expect("the golden file is there")
}

/// Every annotated text, of all versions.
fn golden_texts() -> Vec<PathBuf> {
    let list = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).expect("a folder of golden files");
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<PathBuf>>()
    };
    let files = list(golden_folder()).into_iter().flat_map(list);
    files.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect()
}

/// The bytes that an annotated text tells; panics where its offsets do not fit them.
fn bytes_of_text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (offset, rest) = line.split_once("  ").expect("two spaces follow the offset");
        assert_eq!(usize::from_str_radix(offset, 16).ok(), Some(bytes.len()), "{line}");
        let hex = rest.split_once("  ").map_or(rest, |(hex, _)| hex);
        bytes.extend(hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).expect(line)));
    }
    bytes
}

/// CRC-32C bit by bit, as the polynomial is written down.
fn checksum_by_bits(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[test]
fn texts_tell_the_files() {
    let texts = golden_texts();
    assert!(texts.len() >= 6, "{texts:?}");
    for path in texts {
        let text = std::fs::read_to_string(&path).expect("the text is there");
        let bin = path.with_extension("bin");
        if std::env::var_os("GOLDEN_WRITE").is_some() && !bin.exists() {
            std::fs::write(&bin, bytes_of_text(&text)).expect("the folder can be written to");
        }
        let bytes = std::fs::read(&bin).expect("the golden file is there");
        assert_eq!(bytes, bytes_of_text(&text), "{}", path.display());
    }
}

#[test]
fn checksum_is_crc32c() {
    // The check value of the catalogues of CRC parameters.
    assert_eq!(checksum_by_bits(b"123456789"), 0xe306_9283);
    let file = golden("log");
    assert_eq!(file[28..32], checksum_by_bits(&file[..28]).to_le_bytes());
    let chunk = golden("chunk");
    let (body, checksum) = chunk.split_at(chunk.len() - 4);
    assert_eq!(checksum, checksum_by_bits(body).to_le_bytes());
}

const LOG_ROWS: [(u64, i64, f64); 5] =
    [(0, 15_000, 1.0), (1, 15_000, -123.45), (300, 15_002, STALE), (301, 15_002, -0.0), (0, 15_000, 0.0)];

const CHUNK_SAMPLES: [(i64, f64); 9] = [
    (1_700_000_000_000, 10.0),
    (1_700_000_015_000, 10.0),
    (1_700_000_030_000, 9.0),
    (1_700_000_045_001, 309.0),
    (1_700_000_060_001, 12.5),
    (1_700_000_075_001, STALE),
    (1_700_000_180_001, 100_012.5),
    (1_700_000_285_001, NAN),
    (1_700_000_390_001 - (1 << 40), 100_012.6),
];

fn to_bits<K: Copy>(samples: &[(K, f64)]) -> Vec<(K, u64)> {
    samples.iter().map(|(key, value)| (*key, value.to_bits())).collect()
}

fn stream(samples: &[(i64, f64)]) -> Vec<u8> {
    let (mut appender, mut stream) = (Appender::default(), Vec::new());
    for (timestamp_ms, value) in samples {
        appender.append(&mut stream, *timestamp_ms, *value);
    }
    stream
}

fn stored(samples: &[(i64, f64)]) -> Vec<u8> {
    let mut stored = Vec::new();
    chunk::encode_stored(KIND_DELTA, samples.len() as u32, &stream(samples), &mut stored);
    stored
}

fn read_stored(bytes: &[u8]) -> Result<Vec<(i64, u64)>, Corruption> {
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    chunk::decode_stored(bytes, &mut timestamps, &mut values)?;
    Ok(timestamps.into_iter().zip(values.into_iter().map(f64::to_bits)).collect())
}

/// Kind and payload.
type Record = (u8, Vec<u8>);

/// The records of a framed file, and whether nothing is wrong with it.
fn records(file: &[u8]) -> Result<(Vec<Record>, bool), Corruption> {
    let events: Vec<_> = Reader::open(file)?.1.collect();
    let clean = events.iter().all(|event| matches!(event, Event::Record { chain_ok: true, .. } | Event::End { .. }));
    let records = events.iter().filter_map(|event| match event {
        Event::Record { kind, payload, .. } => Some((*kind, payload.to_vec())),
        _ => None,
    });
    Ok((records.collect(), clean))
}

fn written(header: &FileHeader, shard: u16, records: &[Record]) -> Vec<u8> {
    let mut file = header.encode().to_vec();
    let mut chain = header.chain_start();
    for (kind, payload) in records {
        chain = append_record(&mut file, *kind, shard, chain, payload);
    }
    file
}

fn definitions(payload: &[u8]) -> Vec<(u64, Vec<(&str, &str)>)> {
    log::decode_series(payload)
        .map(|series| series.expect("a definition"))
        .map(|series| (series.reference, series.labels))
        .collect()
}

type Rows = Vec<((u64, i64), u64)>;

fn rows(decode: impl FnOnce(&mut dyn FnMut(u64, i64, f64)) -> Result<u32, Corruption>) -> Rows {
    let mut rows = Vec::new();
    decode(&mut |reference, timestamp_ms, value| rows.push(((reference, timestamp_ms), value.to_bits())))
        .expect("samples");
    rows
}

fn told(rows: &[(u64, i64, f64)]) -> Rows {
    rows.iter().map(|(reference, timestamp_ms, value)| ((*reference, *timestamp_ms), value.to_bits())).collect()
}

const UP: (u64, &[(&str, &str)]) = (0, &[("__name__", "up"), ("node", "1")]);
const ACCENT: (u64, &[(&str, &str)]) = (300, &[("__name__", "é")]);

#[test]
fn log_of_version_1_is_read_as_told() {
    let file = golden("log");
    let header =
        FileHeader { kind: FileKind::Log, version: 1, sequence: 7, created_ms: 1_700_000_000_000, salt: 0x5eed };
    assert_eq!(FileHeader::decode(&file), Ok(header));
    let (records, clean) = records(&file).unwrap();
    assert!(clean);
    assert_eq!(records.iter().map(|record| record.0).collect::<Vec<_>>(), [log::KIND_SERIES, log::KIND_ROWS]);
    assert_eq!(definitions(&records[0].1), [(UP.0, UP.1.to_vec()), (ACCENT.0, ACCENT.1.to_vec())]);
    assert_eq!(rows(|row| log::decode_rows(&records[1].1, row)), told(&LOG_ROWS));
}

#[test]
fn chunk_is_read_as_told() {
    assert_eq!(read_stored(&golden("chunk")), Ok(to_bits(&CHUNK_SAMPLES)));
    // The head's are smaller since.
    assert!(stored(&CHUNK_SAMPLES).len() < golden("chunk").len());
    assert_eq!(read_stored(&stored(&CHUNK_SAMPLES)), Ok(to_bits(&CHUNK_SAMPLES)));
}

type BlockContent = Vec<(String, Vec<Vec<(i64, u64)>>)>;

fn read_block(bytes: &[u8]) -> Result<BlockContent, Corruption> {
    let reader = BlockReader::open(bytes)?;
    let mut content = Vec::new();
    for index in 0..reader.series_count() {
        let series = reader.series(index)?;
        let chunks = series.chunks.iter().map(|meta| read_stored(reader.chunk(meta)?)).collect::<Result<_, _>>()?;
        content.push((format!("{:?}", series.labels), chunks));
    }
    Ok(content)
}

#[test]
fn block_of_version_1_is_read_as_told() {
    let file = golden("block");
    let range = BlockRange { min_time_ms: 0, max_time_ms: 7_200_000, created_ms: 7_260_000 };
    type Samples<'a> = &'a [(i64, f64)];
    let content: [(&str, &[Samples<'_>]); 2] =
        [("1", &[&[(1000, 1.0), (16_000, 1.0)], &[(31_000, 0.0)]]), ("2", &[&[(1000, STALE)]])];

    let reader = BlockReader::open(&file[..]).unwrap();
    assert_eq!((reader.meta().range, reader.meta().series_count, reader.meta().sample_count), (range, 2, 4));
    assert_eq!(reader.label_names().unwrap(), ["__name__", "node"]);
    assert_eq!(reader.postings("__name__", "up").unwrap(), [0, 1]);
    assert_eq!(reader.postings("node", "2").unwrap(), [1]);
    let expected = content.map(|(node, chunks)| {
        let labels = format!("{:?}", [("__name__", "up"), ("node", node)]);
        (labels, chunks.iter().map(|samples| to_bits(samples)).collect())
    });
    assert_eq!(read_block(&file), Ok(expected.to_vec()));
}

/// Labels of a series, and column and group of its samples.
type SeriesContent = (String, Vec<(u32, u32)>);

fn read_block_of_version_2(bytes: &[u8]) -> Result<Vec<SeriesContent>, Corruption> {
    let reader = block::BlockReader::open(bytes)?;
    let (mut cache, mut entry) = (block::SymbolCache::default(), block::SeriesEntry::default());
    let mut content = Vec::new();
    for index in 0..reader.series_count() {
        reader.read_series(index, &mut cache, &mut entry)?;
        let labels: Vec<String> = entry.labels(&cache).map(|(name, value)| format!("{name}={value}")).collect();
        let columns = entry.columns.iter().map(|place| (place.column, place.group)).collect();
        content.push((labels.join(","), columns));
    }
    Ok(content)
}

#[test]
fn block_of_version_2_is_read_and_written_as_told() {
    let file = golden_of("v2", "block");
    let series =
        |name: &str, node: char, columns: &[(u32, u32)]| (format!("__name__={name},node={node}"), columns.to_vec());
    let mut content: Vec<SeriesContent> = vec![("__name__=build,node=d,v=é".to_owned(), vec![(8, 0)])];
    for (index, (name, node)) in
        (0..).zip(["m1", "m2", "m3"].into_iter().flat_map(|name| "abc".chars().map(move |node| (name, node))))
    {
        content.push(series(name, node, &[(9 + index, 0)]));
    }
    for (index, node) in (0..).zip('a'..='p') {
        content.push(series("up", node, &[(index % 8, index / 8)]));
    }
    content[10].1.push((8, 1));
    assert_eq!(read_block_of_version_2(&file), Ok(content.clone()));

    let range = block::BlockRange { min_time_ms: 0, max_time_ms: 7_200_000, created_ms: 7_260_000, level: 1 };
    let source =
        |min_time_ms, max_time_ms, created_ms| block::BlockRange { min_time_ms, max_time_ms, created_ms, level: 0 };
    let sources = [source(0, 3_600_000, 3_660_000), source(3_600_000, 7_200_000, 7_230_000)];
    let mut writer = block::BlockWriter::begin(Vec::new(), range).unwrap();
    sources.into_iter().for_each(|source| writer.add_source(source));
    for (labels, _) in &content {
        writer.add_series(labels.split(',').map(|label| label.split_once('=').unwrap()));
    }
    let first = [10, 11, 12, 13, 14, 15, 16, 17, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    let second = [18, 19, 20, 21, 22, 23, 24, 25, 10];
    writer.append_group(b"a group", &first, 1000, 1_801_000, 1080).unwrap();
    writer.append_group(b"another group", &second, 1_816_000, 7_199_000, 3240).unwrap();
    let (ours, meta) = writer.finish().unwrap();
    assert_eq!(ours, file);

    let reader = block::BlockReader::open(&file[..]).unwrap();
    assert_eq!(reader.meta(), &meta);
    assert_eq!((meta.series_count, meta.group_count, meta.sample_count), (26, 2, 4320));
    assert_eq!((meta.sample_times_ms, meta.source_count), (Some((1000, 7_199_000)), 2));
    assert_eq!(meta.sources, sources);
    assert_eq!(reader.group_bytes(1).unwrap(), b"another group");
    let group = reader.group_meta(1).unwrap();
    assert_eq!((group.min_time_ms, group.max_time_ms, group.sample_count), (1_816_000, 7_199_000, 3240));
    assert_eq!(reader.label_names().unwrap(), ["__name__", "node", "v"]);
    assert!(reader.postings("__name__", "up").unwrap().iter().eq(10..26));
    assert!(reader.postings("node", "c").unwrap().iter().eq([3, 6, 9, 12]));
    assert!(reader.postings_of_name("v").unwrap().iter().eq([0]));
    assert_eq!(reader.find_series([("__name__", "up"), ("node", "p")]), Ok(Some(25)));
}

#[test]
fn outbox_of_version_1_is_read_and_written_as_told() {
    let file = golden("outbox");
    let notification = Notification {
        id: "n-1",
        fingerprint: 0x0123_4567_89ab_cdef,
        status: Status::Firing,
        starts_at_ms: 1000,
        ends_at_ms: 0,
        created_ms: 2000,
        body: r#"{"status":"firing"}"#,
    };
    let delivered = Delivered { id: "n-1", receiver_index: 1, receiver: "pager", at_ms: 2500, http_status: 200 };
    let given_up = GivenUp { id: "n-1", receiver: "mail", at_ms: 9000, reason: "410 Gone" };
    let (records, clean) = records(&file).unwrap();
    assert!(clean);
    assert_eq!(Notification::decode(&records[0].1).as_ref(), Ok(&notification));
    assert_eq!(Delivered::decode(&records[1].1).as_ref(), Ok(&delivered));
    assert_eq!(GivenUp::decode(&records[2].1).as_ref(), Ok(&given_up));

    let (mut first, mut second, mut third) = (Vec::new(), Vec::new(), Vec::new());
    notification.encode(&mut first);
    delivered.encode(&mut second);
    given_up.encode(&mut third);
    let header = FileHeader { version: 1, ..FileHeader::new(FileKind::Outbox, 0, 1_700_000_000_000, 1) };
    assert_eq!(written(&header, 0, &[(1, first), (2, second), (3, third)]), file);
}

#[test]
fn outbox_of_version_2_is_read_and_written_as_told() {
    let file = golden_of("v2", "outbox");
    let told = Told {
        id: "m-1",
        receiver: "pager",
        group_key: "{}:{}",
        at_ms: 2000,
        sequence: 1,
        expires_ms: 9000,
        firing: vec![1, 0x0123_4567_89ab_cdef],
        resolved: vec![2],
    };
    let message = Message { told: told.clone(), body: r#"{"alerts":[]}"# };
    let told = Told { at_ms: 2500, ..told };
    let (records, clean) = records(&file).unwrap();
    assert!(clean);
    assert_eq!(Message::decode(&records[0].1).as_ref(), Ok(&message));
    assert_eq!(Told::decode(&records[1].1).as_ref(), Ok(&told));

    let (mut first, mut second) = (Vec::new(), Vec::new());
    message.encode(&mut first);
    told.encode(&mut second);
    let header = FileHeader::new(FileKind::Outbox, 3, 1_700_000_000_000, 1);
    assert_eq!(written(&header, 0, &[(4, first), (5, second)]), file);
}

#[test]
fn detector_state_is_read_and_written_as_told() {
    let file = golden("detector");
    let json = br#"{"rule":"OrderRateDrop","buckets":[1,2]}"#.to_vec();
    assert_eq!(records(&file), Ok((vec![(1, json.clone())], true)));
    let header = FileHeader::new(FileKind::Detector, 1, 1_700_000_000_000, 2);
    assert_eq!(written(&header, 3, &[(1, json)]), file);
}

#[test]
fn alerts_of_rules_are_read_and_written_as_told() {
    let file = golden("rules");
    let (first, group) = (br#"{"groups":1}"#.to_vec(), br#"{"group":"g","rules":[]}"#.to_vec());
    assert_eq!(records(&file), Ok((vec![(1, first.clone()), (1, group.clone())], true)));
    let header = FileHeader::new(FileKind::Rules, 0, 1_700_000_000_000, 3);
    assert_eq!(written(&header, 0, &[(1, first), (1, group)]), file);
}

#[test]
fn journal_of_incidents_is_read_and_written_as_told() {
    let file = golden("incidents");
    let incident = Entry { id: "inc-1", at_ms: 1_700_000_001_000, body: r#"{"opened_ms":1700000000500}"# };
    let change = Entry { id: "inc-1", at_ms: 1_700_000_002_000, body: r#"{"change":"acknowledged","by":"ada"}"# };
    let (records, clean) = records(&file).unwrap();
    assert!(clean);
    assert_eq!((records[0].0, Entry::decode(&records[0].1)), (1, Ok(incident)));
    assert_eq!((records[1].0, Entry::decode(&records[1].1)), (2, Ok(change)));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    incident.encode(&mut first);
    change.encode(&mut second);
    let header = FileHeader::new(FileKind::Incidents, 0, 1_700_000_000_000, 4);
    assert_eq!(written(&header, 0, &[(1, first), (2, second)]), file);
}

#[test]
fn silences_are_read_and_written_as_told() {
    let file = golden("silences");
    let silence = br#"{"id":"6a2f0c1e-7d0b-4b1a-9a3e-0f8d2c5b7e91","matchers":[{"name":"alertname","is_equal":true,"is_pattern":false,"value":"SlowPage"}],"starts_at_ms":1700000000000,"ends_at_ms":1700007200000,"created_by":"dana","comment":"new CDN","updated_at_ms":1700000000000}"#;
    let (first, silence) = (br#"{"silences":1}"#.to_vec(), silence.to_vec());
    assert_eq!(records(&file), Ok((vec![(1, first.clone()), (1, silence.clone())], true)));
    let header = FileHeader::new(FileKind::Silences, 0, 1_700_000_000_000, 4);
    assert_eq!(written(&header, 0, &[(1, first), (1, silence)]), file);
}

#[test]
fn announced_spans_are_read_and_written_as_told() {
    let file = golden("calendar");
    let span = br#"{"id":"7f3a9c21","kind":"campaign","from_ms":1700000000000,"to_ms":1700014400000,"tolerance":0.6,"by":"dana","comment":"flash sale","announced_ms":1699999000000}"#;
    let (first, span) = (br#"{"spans":1}"#.to_vec(), span.to_vec());
    assert_eq!(records(&file), Ok((vec![(1, first.clone()), (1, span.clone())], true)));
    let header = FileHeader::new(FileKind::Calendar, 0, 1_699_999_000_000, 5);
    assert_eq!(written(&header, 0, &[(1, first), (1, span)]), file);
}

#[test]
fn metadata_is_read_and_written_as_told() {
    let file = golden("metadata");
    let counter = Family { name: "http_requests_total", metric_type: 1, help: "Requests answered.", unit: "" };
    let histogram = Family { name: "sizes.größe", metric_type: 3, help: "", unit: "bytes" };
    let (records, clean) = records(&file).unwrap();
    assert!(clean);
    assert_eq!(Family::decode(&records[0].1), Ok(counter));
    assert_eq!(Family::decode(&records[1].1), Ok(histogram));
    assert_eq!(metadata::decode_end(&records[2].1), Ok(2));

    let (mut first, mut second, mut end) = (Vec::new(), Vec::new(), Vec::new());
    counter.encode(&mut first);
    histogram.encode(&mut second);
    metadata::encode_end(2, &mut end);
    let header = FileHeader::new(FileKind::Metadata, 0, 1_700_000_000_000, 3);
    assert_eq!(written(&header, 0, &[(1, first), (1, second), (2, end)]), file);
}

#[test]
fn push_groups_are_read_and_written_as_told() {
    let file = golden("push_groups");
    let labels = vec![("__name__", "backup_bytes"), ("job", "backup")];
    let family = push_groups::Family {
        name: "backup_bytes",
        metric_type: 2,
        help: "Bytes written.",
        pushed_ms: 1_700_000_000_000,
        series: vec![Series { labels, value: 1.5e9 }],
    };
    let group = Group {
        labels: vec![("job", "backup"), ("shop", "")],
        ttl_ms: 3_600_000,
        pushed_ms: 1_700_000_000_000,
        failed_ms: 0,
        families: vec![family],
        ended: vec![vec![("__name__", "backup_errors"), ("job", "backup")]],
    };
    let (records, clean) = records(&file).unwrap();
    assert!(clean);
    assert_eq!(Group::decode(&records[0].1), Ok(group.clone()));

    let mut payload = Vec::new();
    group.encode(&mut payload);
    let header = FileHeader::new(FileKind::PushGroup, 0, 1_700_000_000_000, 4);
    assert_eq!(written(&header, 0, &[(1, payload)]), file);
}

fn with_each_flipped_bit(file: &[u8], mut check: impl FnMut(usize, &[u8])) {
    for bit in 0..file.len() * 8 {
        let mut damaged = file.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        check(bit / 8, &damaged);
    }
}

#[test]
fn damage_of_any_bit_of_a_framed_file_is_reported_and_costs_at_most_its_record() {
    for name in FRAMED {
        let file = golden(name);
        let whole = records(&file).unwrap().0;
        with_each_flipped_bit(&file, |at, damaged| {
            let Ok((read, clean)) = records(damaged) else {
                assert!(at < frame::FILE_HEADER_BYTES, "{name}: byte {at}");
                return;
            };
            assert!(!clean, "{name}: byte {at} is damaged, and nobody says so");
            assert!(read.len() + 1 >= whole.len(), "{name}: byte {at} costs more than its record");
            assert!(read.iter().all(|record| whole.contains(record)), "{name}: byte {at} changed a value");
        });
    }
}

#[test]
fn damage_of_any_bit_of_chunk_and_block_is_refused() {
    with_each_flipped_bit(&golden("chunk"), |at, damaged| assert!(read_stored(damaged).is_err(), "byte {at}"));
    with_each_flipped_bit(&golden("block"), |at, damaged| assert!(read_block(damaged).is_err(), "byte {at}"));
}

#[test]
fn truncation_is_refused_or_keeps_what_was_before() {
    for name in FRAMED {
        let file = golden(name);
        let whole = records(&file).unwrap().0;
        for length in 0..file.len() {
            let Ok((read, _)) = records(&file[..length]) else { continue };
            assert!(whole.starts_with(&read), "{name}: length {length}");
        }
    }
    let (chunk, block, block_of_version_2) = (golden("chunk"), golden("block"), golden_of("v2", "block"));
    assert!(
        (0..block_of_version_2.len()).all(|length| read_block_of_version_2(&block_of_version_2[..length]).is_err())
    );
    assert!((0..chunk.len()).all(|length| read_stored(&chunk[..length]).is_err()));
    assert!((0..block.len()).all(|length| read_block(&block[..length]).is_err()));
}

#[test]
fn files_tell_their_versions() {
    let kinds =
        [FileType::Log, FileType::Outbox, FileType::Detector, FileType::Metadata, FileType::PushGroup, FileType::Rules];
    for (name, kind) in FRAMED.into_iter().zip(kinds) {
        assert_eq!(version_of(&golden(name)), Some((kind, 1)));
    }
    assert_eq!(version_of(&golden("block")), Some((FileType::Block, 1)));
    assert_eq!(version_of(&golden_of("v2", "block")), Some((FileType::Block, 2)));
    assert_eq!(version_of(&golden("chunk")), None);
}

/// The chapter's table of numbers has this constant with this value.
fn assert_told(chapter: &str, constant: &str, value: usize) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("spec").join(chapter);
    let text = std::fs::read_to_string(path).expect("the chapter is there");
    let row = format!("| `{constant}` | {value} |");
    assert!(text.replace(',', "").contains(&row), "{chapter} has no row {row}");
}

#[test]
fn chapters_tell_the_numbers_of_the_code() {
    assert_told("frame.md", "FILE_HEADER_BYTES", frame::FILE_HEADER_BYTES);
    assert_told("frame.md", "RECORD_HEADER_BYTES", frame::RECORD_HEADER_BYTES);
    assert_told("frame.md", "RECORD_ALIGNMENT", frame::RECORD_ALIGNMENT);
    assert_told("frame.md", "RECORD_BYTES_MAX", frame::RECORD_BYTES_MAX);
    assert_told("log.md", "KIND_SERIES", log::KIND_SERIES.into());
    assert_told("log.md", "KIND_ROWS", log::KIND_ROWS.into());
    assert_told("log.md", "KIND_SAMPLES", log::KIND_SAMPLES.into());
    assert_told("log.md", "KIND_BELATED", log::KIND_BELATED.into());
    assert_told("log.md", "KIND_DELETION", log::KIND_DELETION.into());
    assert_told("log.md", "SAMPLE_BYTES_MAX", log::SAMPLE_BYTES_MAX);
    assert_told("chunk.md", "KIND_DELTA", chunk::KIND_DELTA.into());
    assert_told("chunk.md", "FIRST_SAMPLE_BYTES", chunk::FIRST_SAMPLE_BYTES);
    assert_told("chunk.md", "SAMPLE_BYTES_MAX", chunk::SAMPLE_BYTES_MAX);
    assert_told("block-v1.md", "HEADER_BYTES", block_v1::HEADER_BYTES);
    assert_told("block-v1.md", "FOOTER_BYTES", block_v1::FOOTER_BYTES);
    assert_told("block.md", "HEADER_BYTES", block::HEADER_BYTES);
    assert_told("block.md", "FOOTER_BYTES", block::FOOTER_BYTES);
    assert_told("block.md", "SOURCES_MAX", block::SOURCES_MAX);
    assert_told("index.md", "RUN_SERIES", index::RUN_SERIES as usize);
    assert_told("index.md", "MASK_LABELS_MAX", index::MASK_LABELS_MAX);
    assert_told("index.md", "SYMBOL_BYTES_MAX", index::SYMBOL_BYTES_MAX);
    assert_told("index.md", "NAMES_BYTES_MAX", index::NAMES_BYTES_MAX);
    assert_told("metadata.md", "KIND_FAMILY", metadata::KIND_FAMILY.into());
    assert_told("metadata.md", "KIND_END", metadata::KIND_END.into());
    assert_told("metadata.md", "TYPES_COUNT", metadata::TYPES_COUNT.into());
    assert_told("push_groups.md", "KIND_GROUP", push_groups::KIND_GROUP.into());
    assert_told("outbox.md", "KIND_NOTIFICATION", outbox::KIND_NOTIFICATION.into());
    assert_told("outbox.md", "KIND_DELIVERED", outbox::KIND_DELIVERED.into());
    assert_told("outbox.md", "KIND_GIVEN_UP", outbox::KIND_GIVEN_UP.into());
    assert_told("incidents.md", "KIND_INCIDENT", incidents::KIND_INCIDENT.into());
    assert_told("incidents.md", "KIND_CHANGE", incidents::KIND_CHANGE.into());
    assert_told("outbox.md", "KIND_MESSAGE", outbox::KIND_MESSAGE.into());
    assert_told("outbox.md", "KIND_TOLD", outbox::KIND_TOLD.into());
}
