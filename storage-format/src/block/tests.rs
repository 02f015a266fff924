use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::bytes::u64_at;
use crate::{Corruption, FileType, version_of};

const RANGE: BlockRange = BlockRange { min_time_ms: -1000, max_time_ms: 7_200_000, created_ms: 5, level: 1 };

type Pairs = Vec<(String, String)>;

/// A group of some bytes, ending in their checksum as a group's own would.
#[derive(Clone, Debug)]
struct Group {
    bytes: Vec<u8>,
    /// The labels of each column.
    columns: Vec<Pairs>,
    times_ms: (i64, i64),
    sample_count: u64,
}

/// What a block should give back.
#[derive(Clone, Debug, Default)]
struct Content {
    series: BTreeSet<Pairs>,
    groups: Vec<Group>,
}

/// Labels of a series and, of each group that it is in, its columns: number, and bytes of the group.
type ReadSeries = (Pairs, Vec<(u32, Vec<u8>)>);
type Read = Vec<ReadSeries>;

fn borrowed(labels: &Pairs) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

fn pairs(labels: &[(&str, &str)]) -> Pairs {
    labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn group(payload: &[u8], columns: &[&Pairs], times_ms: (i64, i64)) -> Group {
    let bytes = [payload, &crc32c::crc32c(payload).to_le_bytes()].concat();
    let columns: Vec<Pairs> = columns.iter().map(|labels| (*labels).clone()).collect();
    Group { bytes, sample_count: columns.len() as u64 * 3, columns, times_ms }
}

impl Content {
    fn write(&self) -> Vec<u8> {
        let mut writer = BlockWriter::begin(Vec::new(), RANGE).unwrap();
        // Against the order that readers number them in.
        let number_of: BTreeMap<&Pairs, u32> =
            self.series.iter().rev().map(|labels| (labels, writer.add_series(borrowed(labels)))).collect();
        for group in &self.groups {
            let columns: Vec<u32> = group.columns.iter().map(|labels| number_of[labels]).collect();
            let (min_ms, max_ms) = group.times_ms;
            writer.append_group(&group.bytes, &columns, min_ms, max_ms, group.sample_count).unwrap();
        }
        let groups_end = writer.bytes_written();
        let (bytes, meta) = writer.finish().unwrap();
        assert_eq!(meta, self.meta());
        assert_eq!(
            groups_end,
            (HEADER_BYTES + self.groups.iter().map(|group| group.bytes.len()).sum::<usize>()) as u64
        );
        bytes
    }

    fn meta(&self) -> BlockMeta {
        let times = self.groups.iter().map(|group| group.times_ms);
        BlockMeta {
            range: RANGE,
            series_count: self.series.len() as u64,
            group_count: self.groups.len() as u64,
            sample_count: self.groups.iter().map(|group| group.sample_count).sum(),
            sample_times_ms: times.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1))),
            source_count: 0,
            sources: Vec::new(),
        }
    }

    fn expected(&self) -> Read {
        let columns_of = |labels: &Pairs| {
            let columns = self.groups.iter().filter_map(|group| {
                let column = group.columns.iter().position(|owner| owner == labels)?;
                Some((column as u32, group.bytes.clone()))
            });
            columns.collect()
        };
        self.series.iter().map(|labels| (labels.clone(), columns_of(labels))).collect()
    }
}

fn checked_group<'a>(reader: &'a BlockReader<&[u8]>, group: u32) -> Result<&'a [u8], Corruption> {
    let bytes = reader.group_bytes(group)?;
    let damaged = Corruption { offset: 0, what: "the group's own checksum" };
    let (payload, checksum) = bytes.split_last_chunk::<4>().ok_or(damaged)?;
    if crc32c::crc32c(payload).to_le_bytes() == *checksum { Ok(bytes) } else { Err(damaged) }
}

fn read_one(reader: &BlockReader<&[u8]>, series: u32, cache: &mut SymbolCache) -> Result<ReadSeries, Corruption> {
    let mut entry = SeriesEntry::default();
    reader.read_series(series, cache, &mut entry)?;
    let labels = entry.labels(cache).map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let columns = entry.columns.iter().map(|place| Ok((place.column, checked_group(reader, place.group)?.to_vec())));
    Ok((labels, columns.collect::<Result<_, _>>()?))
}

fn read(bytes: &[u8]) -> Result<Read, Corruption> {
    let reader = BlockReader::open(bytes)?;
    let mut cache = SymbolCache::default();
    for group in 0..reader.group_count() {
        checked_group(&reader, group)?;
    }
    (0..reader.series_count()).map(|series| read_one(&reader, series, &mut cache)).collect()
}

fn small() -> Content {
    let one = pairs(&[("__name__", "up"), ("node", "1")]);
    let two = pairs(&[("__name__", "up"), ("node", "2")]);
    let groups = vec![group(b"first", &[&one], (0, 15_000)), group(b"second", &[&two, &one], (-1000, 7_199_999))];
    Content { series: BTreeSet::from([one, two]), groups }
}

/// Several runs, shapes, nodes of many ways, and lists of either kind.
fn large() -> Content {
    let mut content = Content::default();
    for node in 0..45u8 {
        let letter = char::from(b'A' + node);
        let labels = |name: &str| pairs(&[("__name__", name), ("node", &format!("{letter}.shop")), ("zone", "eu")]);
        let (up, load) = (labels("up"), labels("load"));
        let build = pairs(&[("__name__", "build"), ("node", &format!("{letter}.shop")), ("version", "é")]);
        content.groups.push(group(&[node], &[&up, &load, &build], (0, i64::from(node))));
        content.groups.push(group(&[node, node], &[&load, &up], (20, 20)));
        content.series.extend([up, load, build]);
    }
    content
}

#[test]
fn every_flipped_bit_is_refused() {
    let whole = small().write();
    assert_eq!(read(&whole), Ok(small().expected()));
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let whole = small().write();
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "length {length}");
    }
    assert!(read(&[&whole[..], &[0]].concat()).is_err());
}

#[test]
fn a_damaged_group_leaves_the_others_readable() {
    let mut bytes = small().write();
    bytes[HEADER_BYTES + 3] ^= 1;
    let reader = BlockReader::open(&bytes[..]).unwrap();
    assert!(checked_group(&reader, 0).is_err());
    let meta = reader.group_meta(1).unwrap();
    assert_eq!((meta.offset, meta.length), (64 + 9, 10));
    assert_eq!((meta.min_time_ms, meta.max_time_ms, meta.sample_count), (-1000, 7_199_999, 6));
    assert_eq!(checked_group(&reader, 1).unwrap()[..6], *b"second");
    assert!(reader.group_meta(2).is_err());
}

/// The block with its header's checksum, its regions' and its footer's made anew.
fn checksummed(mut bytes: Vec<u8>) -> Vec<u8> {
    let footer = bytes.len() - FOOTER_BYTES;
    let header_checksum = crc32c::crc32c(&bytes[..60]).to_le_bytes();
    bytes[60..64].copy_from_slice(&header_checksum);
    let mut start = HEADER_BYTES + u64_at(&bytes, footer) as usize;
    for at in (0..5).map(|region| footer + 8 + 16 * region) {
        let end = (start + u64_at(&bytes, at) as usize).min(footer);
        let checksum = crc32c::crc32c(&bytes[start.min(end)..end]).to_le_bytes();
        bytes[at + 8..at + 12].copy_from_slice(&checksum);
        start = end;
    }
    bytes[footer + 88..footer + 92].copy_from_slice(&header_checksum);
    let checksum = crc32c::crc32c(&bytes[footer..footer + 92]).to_le_bytes();
    bytes[footer + 92..footer + 96].copy_from_slice(&checksum);
    bytes
}

#[test]
fn parts_that_do_not_make_up_the_file_are_refused_though_checksums_hold() {
    let whole = small().write();
    assert_eq!(checksummed(whole.clone()), whole);
    let footer = whole.len() - FOOTER_BYTES;
    for at in [0, 8, 24, 40, 56, 72] {
        for change in [1, u64::MAX, u64::MAX / 2, 1 << 40] {
            let mut bytes = whole.clone();
            let length = u64_at(&bytes, footer + at).wrapping_add(change);
            bytes[footer + at..footer + at + 8].copy_from_slice(&length.to_le_bytes());
            let checksum = crc32c::crc32c(&bytes[footer..footer + 92]).to_le_bytes();
            bytes[footer + 92..footer + 96].copy_from_slice(&checksum);
            let refusal = BlockReader::open(&bytes[..]).unwrap_err();
            assert_eq!(refusal.what, "the parts of a block do not make up the file");
        }
    }
}

#[test]
fn another_version_unknown_flags_and_reserved_bytes_are_refused() {
    let whole = small().write();
    for at in [8, 10, 12, 41, 59] {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        let refusal = BlockReader::open(&checksummed(bytes)[..]).unwrap_err();
        assert!([8, 10].contains(&refusal.offset), "byte {at}: {refusal}");
    }
    let footer = whole.len() - FOOTER_BYTES;
    for region in 0..5 {
        let mut bytes = whole.clone();
        bytes[footer + 20 + 16 * region] = 1;
        assert_eq!(BlockReader::open(&checksummed(bytes)[..]).unwrap_err().what, "reserved bytes are not zero");
    }
}

#[test]
fn a_block_tells_its_version_and_one_of_the_future_its_own() {
    let mut bytes = small().write();
    assert_eq!(version_of(&bytes), Some((FileType::Block, 2)));
    bytes[8] = 9;
    let bytes = checksummed(bytes);
    assert!(BlockReader::open(&bytes[..]).is_err());
    assert_eq!(version_of(&bytes), Some((FileType::Block, 9)));
}

#[test]
fn a_block_whose_footer_is_of_another_is_refused() {
    let block = |created_ms| {
        let range = BlockRange { created_ms, ..RANGE };
        BlockWriter::begin(Vec::new(), range).unwrap().finish().unwrap().0
    };
    let (first, second) = (block(1), block(2));
    assert_eq!(BlockReader::open(&first[..]).unwrap().series_count(), 0);
    let mixed = [&first[..HEADER_BYTES], &second[HEADER_BYTES..]].concat();
    let refusal = BlockReader::open(&mixed[..]).unwrap_err();
    assert_eq!(refusal.what, "header and footer belong to different blocks");
}

#[test]
fn a_block_of_nothing_answers_with_nothing() {
    let bytes = BlockWriter::begin(Vec::new(), RANGE).unwrap().finish().unwrap().0;
    let reader = BlockReader::open(&bytes[..]).unwrap();
    assert!(reader.label_names().unwrap().is_empty());
    assert!(reader.postings("a", "b").unwrap().is_empty());
    assert_eq!(reader.values_of("a").unwrap().count(), 0);
    assert_eq!(reader.find_series([("a", "b")]), Ok(None));
    assert_eq!(reader.find_series([]), Ok(None));
    assert_eq!(reader.meta().sample_times_ms, None);
    assert!(reader.read_series(0, &mut SymbolCache::default(), &mut SeriesEntry::default()).is_err());
}

#[test]
fn sources_are_listed_up_to_a_number_and_counted_beyond() {
    let source = |number| BlockRange { min_time_ms: number, max_time_ms: number + 1, created_ms: -number, level: 2 };
    let mut writer = BlockWriter::begin(Vec::new(), RANGE).unwrap();
    (0..70).for_each(|number| writer.add_source(source(number)));
    let (bytes, written) = writer.finish().unwrap();
    let reader = BlockReader::open(&bytes[..]).unwrap();
    assert_eq!(reader.meta(), &written);
    assert_eq!(reader.meta().source_count, 70);
    assert_eq!(reader.meta().sources, (0..64).map(source).collect::<Vec<_>>());
}

#[test]
fn metadata_of_the_future_is_skipped() {
    let whole = small().write();
    let footer = whole.len() - FOOTER_BYTES;
    // A field of tag 900 behind the others, and four more bytes in the second: payload 20 instead of 16.
    let (before, metadata) = whole[..footer].split_at(footer - (8 + 24) - (8 + 16));
    let mut longer = [before, &metadata[..32], &[2, 0, 0, 0, 20, 0, 0, 0], &metadata[40..], &[1, 2, 3, 4]].concat();
    longer.extend_from_slice(&[0x84, 3, 0, 0, 2, 0, 0, 0, 7, 7]);
    longer.extend_from_slice(&whole[footer..]);
    let length_at = longer.len() - FOOTER_BYTES + 72;
    longer[length_at..length_at + 8].copy_from_slice(&(56u64 + 4 + 10).to_le_bytes());
    let longer = checksummed(longer);
    assert_eq!(BlockReader::open(&longer[..]).unwrap().meta(), &small().meta());
    assert_eq!(read(&longer), Ok(small().expected()));
}

#[test]
#[should_panic(expected = "have the same labels")]
fn the_same_series_twice_is_our_own_error() {
    let mut writer = BlockWriter::begin(Vec::new(), RANGE).unwrap();
    writer.add_series([("a", "1"), ("b", "1")]);
    writer.add_series([("a", "1"), ("b", "2")]);
    writer.add_series([("a", "1"), ("b", "1")]);
    let _ = writer.finish();
}

#[test]
#[should_panic(expected = "does not come after")]
fn labels_out_of_order_are_our_own_error() {
    BlockWriter::begin(Vec::new(), RANGE).unwrap().add_series([("b", "1"), ("a", "1")]);
}

#[test]
#[should_panic(expected = "two columns in group 0")]
fn a_series_twice_in_a_group_is_our_own_error() {
    let mut writer = BlockWriter::begin(Vec::new(), RANGE).unwrap();
    let series = writer.add_series([("a", "1")]);
    writer.append_group(b"g", &[series, series], 0, 0, 2).unwrap();
    let _ = writer.finish();
}

#[test]
#[should_panic(expected = "does not lie in")]
fn a_group_outside_of_the_blocks_time_is_our_own_error() {
    let mut writer = BlockWriter::begin(Vec::new(), RANGE).unwrap();
    let series = writer.add_series([("a", "1")]);
    let _ = writer.append_group(b"g", &[series], 0, RANGE.max_time_ms, 2);
}

#[test]
fn a_cache_may_be_used_with_one_block_after_the_other() {
    let (first, second) = (small().write(), large().write());
    let (first, second) = (BlockReader::open(&first[..]).unwrap(), BlockReader::open(&second[..]).unwrap());
    let (small, large) = (small().expected(), large().expected());
    let mut cache = SymbolCache::default();
    for series in 0..small.len() {
        assert_eq!(read_one(&first, series as u32, &mut cache).as_ref(), Ok(&small[series]));
        assert_eq!(read_one(&second, series as u32, &mut cache).as_ref(), Ok(&large[series]));
    }
}

#[test]
fn series_are_read_in_any_order() {
    let bytes = large().write();
    let reader = BlockReader::open(&bytes[..]).unwrap();
    let (expected, mut cache) = (large().expected(), SymbolCache::default());
    let count = expected.len();
    // 37 has no divisor in common with 135, so every series comes up, forwards and backwards within runs.
    for series in (0..count).map(|step| step * 37 % count).chain((0..count).rev()).chain([5, 5, 7, 6]) {
        assert_eq!(read_one(&reader, series as u32, &mut cache).as_ref(), Ok(&expected[series]), "{series}");
    }
    assert!(read_one(&reader, count as u32, &mut cache).is_err());
    assert!(read_one(&reader, u32::MAX, &mut cache).is_err());
}

/// Reads all that a block has, by every way there is; the only question is whether it comes back.
fn walk(bytes: &[u8]) {
    let Ok(reader) = BlockReader::open(bytes) else { return };
    let mut names = reader.label_names().unwrap_or_default();
    names.extend(["__name__", "node", "zone", "version", "up"].map(str::to_owned));
    for name in &names {
        let _ = reader.postings_of_name(name);
        let _ = reader.postings(name, "up");
        for (_, list) in reader.values_of(name).into_iter().flatten().flatten() {
            if let Ok(series) = list.read() {
                assert_eq!(series.len(), u64::from(list.count()));
                assert!(series.max().is_none_or(|last| last < reader.series_count()));
            }
        }
    }
    let (mut cache, mut entry) = (SymbolCache::default(), SeriesEntry::default());
    let count = reader.series_count();
    for series in (0..count.min(300)).chain([count / 2, count - count.min(1), 3]) {
        if reader.read_series(series, &mut cache, &mut entry).is_ok() {
            entry.labels(&cache).for_each(|_| ());
            for place in &entry.columns {
                let _ = reader.group_bytes(place.group);
            }
        }
    }
    let _ = reader.find_series([("__name__", "up"), ("node", "C.shop"), ("zone", "eu")]);
    let _ = reader.find_series([("__name__", "build"), ("node", "h.shop"), ("version", "é")]);
    for group in 0..reader.group_count().min(300) {
        let _ = reader.group_bytes(group);
    }
}

#[test]
fn no_damaged_byte_behind_good_checksums_makes_a_reader_panic() {
    let whole = large().write();
    let start = BlockReader::open(&whole[..]).unwrap().regions().symbols.offset as usize;
    for at in start..whole.len() - FOOTER_BYTES {
        let byte = whole[at];
        for value in [0xff, byte ^ 1, byte.wrapping_sub(1)] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            walk(&checksummed(damaged));
        }
    }
}

fn content_strategy() -> impl Strategy<Value = Content> {
    let labels = proptest::collection::btree_map("[a-d]", "[a-cé]{0,2}", 1..4)
        .prop_map(|labels| labels.into_iter().collect::<Pairs>());
    let series = proptest::collection::btree_set(labels, 0..60);
    let column = (any::<prop::sample::Index>(), 0..3u8);
    let group_strategy = (proptest::collection::vec(column, 1..40), -1000i64..7_000_000, 0i64..200_000, 1..9u64);
    (series, proptest::collection::vec(group_strategy, 0..8)).prop_map(|(series, groups)| {
        let all: Vec<&Pairs> = series.iter().collect();
        let make = |(columns, min_ms, span_ms, sample_count): &(Vec<(prop::sample::Index, u8)>, i64, i64, u64)| {
            let mut seen = BTreeSet::new();
            let chosen: Vec<&Pairs> =
                columns.iter().map(|(index, _)| all[index.index(all.len())]).filter(|one| seen.insert(*one)).collect();
            let payload: Vec<u8> = columns.iter().map(|(_, byte)| *byte).collect();
            Group { sample_count: *sample_count, ..group(&payload, &chosen, (*min_ms, min_ms + span_ms)) }
        };
        let groups = if all.is_empty() { Vec::new() } else { groups.iter().map(make).collect() };
        Content { series, groups }
    })
}

proptest! {
    #[test]
    fn content_comes_back(content in content_strategy()) {
        let bytes = content.write();
        prop_assert_eq!(read(&bytes), Ok(content.expected()));
        let reader = BlockReader::open(&bytes[..]).unwrap();
        prop_assert_eq!(reader.meta(), &content.meta());

        // What the label index should say, from the content alone.
        let mut expected: BTreeMap<&str, BTreeMap<&str, Vec<u32>>> = BTreeMap::new();
        for (index, labels) in (0..).zip(&content.series) {
            prop_assert_eq!(reader.find_series(borrowed(labels)), Ok(Some(index)));
            for (name, value) in labels {
                expected.entry(name).or_default().entry(value).or_default().push(index);
            }
        }
        prop_assert_eq!(reader.label_names().unwrap(), expected.keys().copied().collect::<Vec<_>>());
        for (name, values) in &expected {
            let mut found = Vec::new();
            for entry in reader.values_of(name).unwrap() {
                let (value, list) = entry.unwrap();
                let series: Vec<u32> = list.read().unwrap().iter().collect();
                prop_assert_eq!(list.count() as usize, series.len());
                prop_assert_eq!(&reader.postings(name, &value).unwrap().iter().collect::<Vec<_>>(), &series);
                found.push((value, series));
            }
            let values: Vec<(String, Vec<u32>)> = values.iter().map(|(value, list)| (value.to_string(), list.clone())).collect();
            prop_assert_eq!(&found, &values);
            let all: BTreeSet<u32> = values.iter().flat_map(|(_, list)| list.iter().copied()).collect();
            prop_assert!(reader.postings_of_name(name).unwrap().iter().eq(all));
        }
        prop_assert!(reader.postings("a", "absent").unwrap().is_empty());
        prop_assert!(reader.postings_of_name("absent").unwrap().is_empty());
        prop_assert_eq!(reader.values_of("absent").unwrap().count(), 0);
    }

    #[test]
    fn a_series_is_found_only_if_it_is_there(content in content_strategy(), others in proptest::collection::vec(
        proptest::collection::btree_map("[a-d]", "[a-cé]{0,2}", 0..4), 1..20)) {
        let bytes = content.write();
        let reader = BlockReader::open(&bytes[..]).unwrap();
        for labels in others {
            let labels: Pairs = labels.into_iter().collect();
            let expected = content.series.iter().position(|one| *one == labels).map(|index| index as u32);
            prop_assert_eq!(reader.find_series(borrowed(&labels)), Ok(expected));
        }
    }

    #[test]
    fn no_damage_behind_good_checksums_makes_a_reader_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = large().write();
        let start = BlockReader::open(&bytes[..]).unwrap().regions().symbols.offset as usize;
        let end = bytes.len() - FOOTER_BYTES;
        for (index, byte) in changes {
            bytes[start + index.index(end - start)] = byte;
        }
        walk(&checksummed(bytes));
    }

    #[test]
    fn no_symbols_or_postings_of_any_bytes_make_a_reader_panic(
        region in 0usize..4, content in proptest::collection::vec(any::<u8>(), 0..300), keep in any::<prop::sample::Index>(),
    ) {
        let whole = large().write();
        let reader = BlockReader::open(&whole[..]).unwrap();
        let place = reader.regions().all()[region];
        let (start, end) = (place.offset as usize, (place.offset + place.length) as usize);
        // The region's own start, then any bytes.
        let kept = start + keep.index(end - start);
        let mut bytes = [&whole[..kept], &content, &whole[end..]].concat();
        let length_at = bytes.len() - FOOTER_BYTES + 8 + 16 * region;
        let length = (kept - start + content.len()) as u64;
        bytes[length_at..length_at + 8].copy_from_slice(&length.to_le_bytes());
        walk(&checksummed(bytes));
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(BlockReader::open(bytes).is_err());
    }
}
