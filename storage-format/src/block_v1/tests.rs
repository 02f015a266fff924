use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::Corruption;
use crate::chunk::{Appender, KIND_DELTA, decode_stored, encode_stored};
use crate::testing::value_strategy;

const RANGE: BlockRange = BlockRange { min_time_ms: -1000, max_time_ms: 7_200_000, created_ms: 5 };

type Pairs = Vec<(String, String)>;
/// Series by labels, each as chunks of samples, values as bits: what a block should give back.
type Content = BTreeMap<Pairs, Vec<Vec<(i64, u64)>>>;

fn stored(samples: &[(i64, u64)]) -> Vec<u8> {
    let (mut appender, mut stream, mut stored) = (Appender::default(), Vec::new(), Vec::new());
    for (timestamp_ms, bits) in samples {
        appender.append(&mut stream, *timestamp_ms, f64::from_bits(*bits));
    }
    encode_stored(KIND_DELTA, appender.count(), &stream, &mut stored);
    stored
}

fn write(content: &Content) -> Vec<u8> {
    write_at(content, RANGE)
}

fn write_at(content: &Content, range: BlockRange) -> Vec<u8> {
    let mut writer = BlockWriter::begin(Vec::new(), range).unwrap();
    for (labels, chunks) in content {
        writer.begin_series(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        for samples in chunks {
            writer.append_chunk(samples[0].0, samples[samples.len() - 1].0, &stored(samples)).unwrap();
        }
    }
    let (bytes, meta) = writer.finish().unwrap();
    assert_eq!(meta.series_count, content.len() as u64);
    bytes
}

fn read(bytes: &[u8]) -> Result<Content, Corruption> {
    let reader = BlockReader::open(bytes)?;
    let mut content = Content::new();
    for index in 0..reader.series_count() {
        let series = reader.series(index)?;
        let labels = series.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let chunks = series.chunks.iter().map(|meta| read_chunk(&reader, meta)).collect::<Result<_, _>>()?;
        content.insert(labels, chunks);
    }
    Ok(content)
}

fn read_chunk(reader: &BlockReader<&[u8]>, meta: &ChunkMeta) -> Result<Vec<(i64, u64)>, Corruption> {
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    decode_stored(reader.chunk(meta)?, &mut timestamps, &mut values)?;
    assert_eq!((timestamps[0], timestamps[timestamps.len() - 1]), (meta.min_timestamp_ms, meta.max_timestamp_ms));
    Ok(timestamps.into_iter().zip(values.into_iter().map(f64::to_bits)).collect())
}

fn pairs(labels: &[(&str, &str)]) -> Pairs {
    labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn small() -> Content {
    let one = 1f64.to_bits();
    Content::from([
        (pairs(&[("__name__", "up"), ("node", "1")]), vec![vec![(0, one), (15_000, one)], vec![(30_000, one)]]),
        (pairs(&[("__name__", "up"), ("node", "2")]), vec![vec![(0, f64::NAN.to_bits())]]),
    ])
}

#[test]
fn the_golden_block_is_written_as_it_is() {
    let (one, zero, stale) = (1f64.to_bits(), 0f64.to_bits(), 0x7ff0_0000_0000_0002);
    let node = |node| pairs(&[("__name__", "up"), ("node", node)]);
    let content = Content::from([
        (node("1"), vec![vec![(1000, one), (16_000, one)], vec![(31_000, zero)]]),
        (node("2"), vec![vec![(1000, stale)]]),
    ]);
    let range = BlockRange { min_time_ms: 0, max_time_ms: 7_200_000, created_ms: 7_260_000 };
    assert_eq!(write_at(&content, range), include_bytes!("../../golden/v1/block.bin"));
}

#[test]
fn every_flipped_bit_is_refused() {
    let whole = write(&small());
    assert_eq!(read(&whole), Ok(small()));
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let whole = write(&small());
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "length {length}");
    }
    assert!(read(&[&whole[..], &[0]].concat()).is_err());
}

#[test]
fn a_damaged_chunk_leaves_the_others_readable() {
    let mut bytes = write(&small());
    bytes[HEADER_BYTES + 3] ^= 1;
    let reader = BlockReader::open(&bytes[..]).unwrap();
    let series = reader.series(0).unwrap();
    assert!(read_chunk(&reader, &series.chunks[0]).is_err());
    assert_eq!(read_chunk(&reader, &series.chunks[1]), Ok(vec![(30_000, 1f64.to_bits())]));
}

#[test]
fn regions_with_gaps_are_refused_though_their_checksums_hold() {
    let mut bytes = write(&small());
    let footer = bytes.len() - FOOTER_BYTES;
    // A shorter postings region, both checksums made anew.
    let length = crate::bytes::u64_at(&bytes, footer + 56) - 1;
    let postings = crate::bytes::u64_at(&bytes, footer + 48) as usize;
    bytes[footer + 56..footer + 64].copy_from_slice(&length.to_le_bytes());
    let region_checksum = crc32c::crc32c(&bytes[postings..postings + length as usize]);
    bytes[footer + 64..footer + 68].copy_from_slice(&region_checksum.to_le_bytes());
    let footer_checksum = crc32c::crc32c(&bytes[footer..footer + 92]);
    bytes[footer + 92..footer + 96].copy_from_slice(&footer_checksum.to_le_bytes());
    let refusal = BlockReader::open(&bytes[..]).unwrap_err();
    assert_eq!(refusal.what, "the regions of a block do not lie one behind the other");
}

#[test]
fn damage_behind_good_checksums_is_told_by_its_place_in_the_file() {
    let mut bytes = write(&small());
    let footer = bytes.len() - FOOTER_BYTES;
    // The last byte of the postings is the only series of node="2": 1 becomes 2, which does not exist.
    let place = footer - 1;
    assert_eq!(bytes[place], 1);
    bytes[place] = 2;
    let postings = crate::bytes::u64_at(&bytes, footer + 48) as usize;
    let region_checksum = crc32c::crc32c(&bytes[postings..footer]);
    bytes[footer + 64..footer + 68].copy_from_slice(&region_checksum.to_le_bytes());
    let footer_checksum = crc32c::crc32c(&bytes[footer..footer + 92]);
    bytes[footer + 92..footer + 96].copy_from_slice(&footer_checksum.to_le_bytes());
    let reader = BlockReader::open(&bytes[..]).unwrap();
    let refusal = reader.postings("node", "2").unwrap_err();
    // Behind the number that is wrong.
    assert_eq!(refusal.offset, footer as u64);
    assert_eq!(reader.postings("node", "1"), Ok(vec![0]));
}

#[test]
fn another_version_unknown_flags_and_reserved_bytes_are_refused() {
    let whole = write(&small());
    for at in [8, 10, 12, 40, 59] {
        let mut bytes = whole.clone();
        bytes[at] ^= 2;
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        let refusal = BlockReader::open(&bytes[..]).unwrap_err();
        assert!([8, 10].contains(&refusal.offset), "byte {at}: {refusal}");
    }
}

#[test]
fn a_block_whose_footer_is_of_another_is_refused() {
    let block = |created_ms| {
        let range = BlockRange { created_ms, ..RANGE };
        BlockWriter::begin(Vec::new(), range).unwrap().finish().unwrap().0
    };
    let (first, second) = (block(1), block(2));
    assert!(BlockReader::open(&first[..]).is_ok());
    let mixed = [&first[..HEADER_BYTES], &second[HEADER_BYTES..]].concat();
    let refusal = BlockReader::open(mixed).unwrap_err();
    assert_eq!(refusal.what, "header and footer belong to different blocks");
}

#[test]
fn a_chunk_outside_of_its_region_is_refused() {
    let bytes = write(&small());
    let reader = BlockReader::open(&bytes[..]).unwrap();
    let index_start = reader.regions()[0].offset;
    for (offset, length) in [(0, 10), (63, 1), (index_start, 1), (index_start - 1, 2), (u64::MAX, 2)] {
        let meta = ChunkMeta { min_timestamp_ms: 0, max_timestamp_ms: 0, offset, length };
        assert!(reader.chunk(&meta).is_err(), "{offset} {length}");
    }
}

fn content_strategy() -> impl Strategy<Value = Content> {
    let labels = proptest::collection::btree_map("[a-d]", "[a-cé]{1,2}", 1..4)
        .prop_map(|labels| labels.into_iter().collect::<Pairs>());
    let chunk = proptest::collection::btree_map(-1000i64..7_000_000, value_strategy(), 1..12);
    let chunks = proptest::collection::vec(chunk, 0..3).prop_map(|chunks| {
        let to_bits = |chunk: BTreeMap<i64, f64>| chunk.into_iter().map(|(ms, value)| (ms, value.to_bits())).collect();
        let mut chunks: Vec<Vec<(i64, u64)>> = chunks.into_iter().map(to_bits).collect();
        chunks.sort_by_key(|chunk| chunk[0].0);
        chunks
    });
    proptest::collection::btree_map(labels, chunks, 0..20)
}

proptest! {
    #[test]
    fn content_comes_back(content in content_strategy()) {
        let bytes = write(&content);
        prop_assert_eq!(read(&bytes), Ok(content.clone()));
        let reader = BlockReader::open(&bytes[..]).unwrap();
        let samples: usize = content.values().flatten().map(Vec::len).sum();
        prop_assert_eq!(reader.meta().sample_count, samples as u64);

        // What the label index should say, from the content alone.
        let mut expected: BTreeMap<&str, BTreeMap<&str, Vec<u32>>> = BTreeMap::new();
        for (index, labels) in content.keys().enumerate() {
            for (name, value) in labels {
                expected.entry(name).or_default().entry(value).or_default().push(index as u32);
            }
        }
        prop_assert_eq!(reader.label_names().unwrap(), expected.keys().copied().collect::<Vec<_>>());
        for (name, values) in &expected {
            let mut found = BTreeMap::new();
            for entry in reader.values_of(name).unwrap() {
                let (value, list) = entry.unwrap();
                let mut series = Vec::new();
                list.read(&mut series).unwrap();
                prop_assert_eq!(list.count() as usize, series.len());
                prop_assert_eq!(&reader.postings(name, value).unwrap(), &series);
                found.insert(value, series);
            }
            prop_assert_eq!(&found, values);
        }
        prop_assert!(reader.postings("a", "absent").unwrap().is_empty());
        prop_assert_eq!(reader.values_of("absent").unwrap().count(), 0);
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(BlockReader::open(bytes).is_err());
    }
}
