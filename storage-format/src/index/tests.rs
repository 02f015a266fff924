use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::entry::Entry;
use super::lists::ListEncoder;
use super::*;
use crate::bytes::Cursor;

fn parts(bytes: &[u8]) -> Parts<'_> {
    Parts { bytes, base: 1000 }
}

fn encoded_symbols(texts: &BTreeSet<String>) -> Vec<u8> {
    symbols::encode(texts.iter().map(String::as_str))
}

fn assert_symbols(texts: &BTreeSet<String>) {
    let bytes = encoded_symbols(texts);
    let symbols = Symbols::open(parts(&bytes)).unwrap();
    assert_eq!(symbols.count() as usize, texts.len());
    for (number, text) in (0..).zip(texts) {
        let mut spelled = "before".to_owned();
        symbols.append_text(number, &mut spelled).unwrap();
        assert_eq!(spelled, format!("before{text}"));
        assert_eq!(symbols.lookup(text), Ok(Some(number)), "{text:?}");
    }
    assert!(symbols.append_text(texts.len() as u32, &mut String::new()).is_err());
    // The crate's own reader finds the same in the same bytes.
    let map = fst::Map::new(bytes.as_slice()).unwrap();
    assert!((0..).zip(texts).all(|(number, text)| map.get(text) == Some(number)));
}

#[test]
fn symbols_of_every_kind_of_node_are_found_by_text_and_by_number() {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<BTreeSet<String>>();
    assert_symbols(&texts(&[]));
    assert_symbols(&texts(&[""]));
    assert_symbols(&texts(&["", "a"]));
    assert_symbols(&texts(&["a", "aa", "ab", "b", "ba", "é", "ö", "日本"]));
    // More than 32 ways: a table, and a count of its own from 64 on.
    for ways in [31, 32, 33, 63, 64, 100] {
        assert_symbols(&(0..ways).map(|way| char::from(0x10 + way).to_string() + "tail").collect());
    }
    // Outputs and targets of several bytes.
    assert_symbols(
        &(0..70_000u32).map(|number| format!("pod-{:05}-{:x}", number, number.wrapping_mul(2_654_435_761))).collect(),
    );
}

#[test]
fn a_text_that_is_not_there_has_no_symbol() {
    let bytes = encoded_symbols(&["a", "abc", "é"].map(str::to_owned).into());
    let symbols = Symbols::open(parts(&bytes)).unwrap();
    for absent in ["", "ab", "abcd", "b", "\u{c3}", "éé"] {
        assert_eq!(symbols.lookup(absent), Ok(None), "{absent:?}");
    }
}

#[test]
fn a_text_that_a_few_nodes_make_too_long_is_refused() {
    let region = |length: usize| {
        let mut bytes = [3u64, 0].map(u64::to_le_bytes).concat();
        bytes.extend([0x00, 0x10, 0x81]); // "t", and the text ends
        bytes.extend(vec![0xc1; length - 1]); // "t", and on to the node before
        let root = bytes.len() as u64 - 1;
        bytes.extend([1, root].map(u64::to_le_bytes).concat());
        bytes.extend([0; 4]);
        bytes
    };
    let read = |length: usize| {
        let (bytes, mut text) = (region(length), String::new());
        Symbols::open(parts(&bytes)).unwrap().append_text(0, &mut text).map(|()| text.len())
    };
    assert_eq!(read(SYMBOL_BYTES_MAX), Ok(SYMBOL_BYTES_MAX));
    assert_eq!(read(SYMBOL_BYTES_MAX + 1).unwrap_err().what, "a symbol is longer than it may be");
}

fn entry_strategy() -> impl Strategy<Value = (u32, Vec<u32>, Vec<ColumnRef>)> {
    let value = prop_oneof![8 => 0..4u32, 1 => any::<u32>()];
    // The shape says how many labels there are: some more than a mask has bits.
    let labels = (0..4u32).prop_flat_map(move |shape| {
        let count = [0, 2, 3, MASK_LABELS_MAX + 1][shape as usize];
        (Just(shape), proptest::collection::vec(value.clone(), count))
    });
    let number = || prop_oneof![8 => 0..9u32, 1 => any::<u32>()];
    let columns = proptest::collection::btree_map(number(), number(), 0..4)
        .prop_map(|columns| columns.into_iter().map(|(group, column)| ColumnRef { group, column }).collect());
    (labels, columns).prop_map(|((shape, values), columns)| (shape, values, columns))
}

proptest! {
    #[test]
    fn symbols_come_back(texts in proptest::collection::btree_set("[a-cé]{0,6}|\\PC{0,4}", 0..60)) {
        assert_symbols(&texts);
    }

    #[test]
    fn entries_come_back(entries in proptest::collection::vec(entry_strategy(), 1..20)) {
        let (mut writer, mut bytes) = (Entry::default(), Vec::new());
        for (shape, values, columns) in &entries {
            writer.append(&mut bytes, *shape, values, columns);
        }
        let (mut reader, mut cursor) = (Entry::default(), Cursor::new(&bytes));
        for (shape, values, columns) in &entries {
            reader.read(&mut cursor, |shape| Ok([0, 2, 3, MASK_LABELS_MAX + 1][shape as usize])).unwrap();
            prop_assert_eq!((reader.shape, &reader.values, &reader.columns), (*shape, values, columns));
        }
        prop_assert!(cursor.is_at_end());
    }

    #[test]
    fn lists_come_back_and_take_no_more_than_bitmaps(
        lists in proptest::collection::vec(
            proptest::collection::btree_set(prop_oneof![0..100u32, 0..200_000u32], 0..100), 1..6),
        again in proptest::collection::vec((any::<prop::sample::Index>(), 0..4u32), 0..12),
    ) {
        let mut lists: Vec<Vec<u32>> = lists.into_iter().map(|list| list.into_iter().collect()).collect();
        // Some of them once more, or moved on.
        for (index, step) in again {
            let copy = index.get(&lists).iter().map(|one| one + step).collect();
            lists.push(copy);
        }
        let (region, bytes) = lists_region(&lists);
        assert_lists(&region, 200_100, &lists);
        let as_bitmaps = lists.iter().map(|list| {
            let mut bitmap: roaring::RoaringBitmap = list.iter().copied().collect();
            bitmap.optimize();
            bitmap.serialized_size() + 3
        });
        prop_assert!(bytes <= as_bitmaps.sum());
    }

    #[test]
    fn lists_of_any_bytes_are_read_or_refused(bodies in proptest::collection::vec(
        proptest::collection::vec(prop_oneof![0..16u8, any::<u8>()], 0..20), 1..8)) {
        let region = region_of(&bodies);
        let symbols = encoded_symbols(&BTreeSet::new());
        let table = PostingsTable::open(parts(&region), Symbols::open(parts(&symbols)).unwrap(), 40).unwrap();
        for index in 0..bodies.len() {
            if let Ok(list) = table.list(index) && let Ok(series) = list.read() {
                prop_assert_eq!(series.len(), u64::from(list.count()));
                prop_assert!(series.max().is_none_or(|last| last < 40));
            }
        }
    }
}

/// A postings region of names alone, one for each list, told by its bytes.
fn region_of(lists: &[Vec<u8>]) -> Vec<u8> {
    let mut region = [lists.len() as u32, 0].map(u32::to_le_bytes).concat();
    let mut offset = 0;
    for list in lists {
        region.extend_from_slice(&[0, 0, offset].map(u32::to_le_bytes).concat());
        offset += list.len() as u32;
    }
    region.extend(lists.concat());
    region
}

/// The same of lists that are encoded, and how many bytes the lists take.
fn lists_region(lists: &[Vec<u32>]) -> (Vec<u8>, usize) {
    let (mut encoder, mut encoded) = (ListEncoder::default(), Vec::new());
    for list in lists {
        let start = encoder.out.len();
        encoder.append(list);
        encoded.push(encoder.out[start..].to_vec());
    }
    (region_of(&encoded), encoder.out.len())
}

fn assert_lists(region: &[u8], series_count: u32, expected: &[Vec<u32>]) {
    let symbols = encoded_symbols(&BTreeSet::new());
    let table = PostingsTable::open(parts(region), Symbols::open(parts(&symbols)).unwrap(), series_count).unwrap();
    for (index, series) in expected.iter().enumerate() {
        let list = table.list(index).unwrap();
        assert!(list.read().unwrap().iter().eq(series.iter().copied()), "list {index}");
        assert_eq!(list.count() as usize, series.len());
    }
}

#[test]
fn lists_of_like_nodes_are_told_by_two_of_them() {
    // Four metrics of one, two, one and two series a node, as nodes lie in label order.
    let list = |node: u32| [node, 1000 + 2 * node, 1001 + 2 * node, 4000 + node, 9000 + 3 * node, 9001 + 3 * node];
    let lists: Vec<Vec<u32>> = (0..100).map(|node| list(node).to_vec()).collect();
    let (region, bytes) = lists_region(&lists);
    assert_lists(&region, 20_000, &lists);
    // The first two in full: a head and varints of 1 2 1 2 2 1 bytes; then a head, how far back twice, and which.
    assert_eq!(bytes, 2 * (1 + 9) + 98 * 4);
    assert_eq!(region[8 + 12 * 100 + 20..][..8], [6 << 2 | 3, 2, 1, 2, 6 << 2 | 3, 3, 2, 3]);
}

#[test]
fn lists_that_do_not_ascend_or_are_not_whole_are_refused() {
    let symbols = encoded_symbols(&BTreeSet::new());
    let read = |bodies: &[&[u8]]| {
        let region = region_of(&bodies.iter().map(|body| body.to_vec()).collect::<Vec<_>>());
        let table = PostingsTable::open(parts(&region), Symbols::open(parts(&symbols)).unwrap(), 5).unwrap();
        table.list(bodies.len() - 1).and_then(|list| list.read()).map(|series| series.iter().collect::<Vec<u32>>())
    };
    let refused = |bodies: &[&[u8]]| read(bodies).unwrap_err().what;
    assert_eq!(read(&[&[8, 0, 1]]), Ok(vec![0, 1]));
    assert_eq!(refused(&[&[8, 1, 0]]), "a postings list is not ascending");
    assert_eq!(refused(&[&[8, 4, 1]]), "a postings list names a series that does not exist");
    assert_eq!(refused(&[&[8, 1]]), "the bytes end within a field");
    assert_eq!(refused(&[&[8, 1, 1, 1]]), "bytes are left after the last field");
    assert_eq!(refused(&[&[24]]), "a postings list has more series than there are");
    // The same as one before; as one of another length, as itself, as one that is told by another.
    let unfit = "a postings list is told by one that it cannot be told by";
    assert_eq!(read(&[&[8, 0, 3], &[8 | 2, 1]]), Ok(vec![0, 3]));
    assert_eq!(refused(&[&[4, 0], &[8 | 2, 1]]), unfit);
    assert_eq!(refused(&[&[8 | 2, 0]]), unfit);
    assert_eq!(refused(&[&[8, 0, 3], &[8 | 2, 1], &[8 | 2, 1]]), unfit);
    assert_eq!(refused(&[&[8 | 2, 1]]), unfit);
    // Lined up: 0 2, then 1 3, then 2 4, and no further.
    assert_eq!(read(&[&[8, 0, 2], &[8, 1, 2], &[8 | 3, 2, 1, 2]]), Ok(vec![2, 4]));
    assert_eq!(
        refused(&[&[8, 0, 2], &[8, 1, 2], &[8 | 3, 2, 1, 3]]),
        "a postings list names a series that does not exist"
    );
    assert_eq!(refused(&[&[8, 0, 2], &[8, 1, 0], &[8 | 3, 2, 1, 2]]), "a postings list is not ascending");
}

#[test]
fn series_of_like_targets_take_the_bytes_of_the_chapter() {
    let mut index = IndexWriter::default();
    let first = index.add_series([("__name__", "up"), ("node", "1")]);
    let second = index.add_series([("__name__", "up"), ("node", "2")]);
    for (offset, series) in [(64, first), (70, second)] {
        let meta = GroupMeta { offset, length: 6, min_time_ms: 1000, max_time_ms: 1300, sample_count: 7 };
        index.add_group(&meta, &[series]);
    }
    let regions = index.encode(Origin { groups_start: 64, min_time_ms: 0 }).unwrap();
    let series: [&[u8]; 5] = [
        &[2, 0, 0, 0, 1, 0, 0, 0],
        &[2, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 0, 1, 0, 0, 0],
        // Whole, of shape 0, values 0 and 0, one column: of group 0, column 0.
        &[3, 0, 0, 0, 1, 0, 0],
        // The second label one more, shifted by a group and no column.
        &[0b1001, 2, 2, 0],
    ];
    assert_eq!(regions.series, series.concat());
    // Widths 1 2 2 1; 300 = 012c.
    let group_table: [&[u8]; 3] = [&[2, 0, 0, 0, 1, 2, 2, 1], &[0, 0xe8, 3, 0x2c, 1, 7], &[6, 0xe8, 3, 0x2c, 1, 7]];
    assert_eq!(regions.group_table, group_table.concat());
}

/// What a node of a shop exposes: a name, and the labels it has beside those of the node.
const SHOP: [(&str, &str, &[&str]); 12] = [
    ("http_requests_total", "code", &["200", "500"]),
    ("payments_success_total", "provider", &["stripe", "paypal"]),
    ("node_cpu_seconds_total", "mode", &["user", "idle"]),
    ("http_request_duration_seconds_bucket", "le", &["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "1", "+Inf"]),
    ("app_build_info", "version", &["2026.8.1"]),
    ("orders_created_total", "", &[]),
    ("cart_errors_total", "", &[]),
    ("cache_hits_total", "", &[]),
    ("node_load1", "", &[]),
    ("order_queue_length", "", &[]),
    ("up", "", &[]),
    ("probe_success", "", &[]),
];

fn shop_node(node: usize) -> Vec<BTreeMap<String, String>> {
    let region = ["eu-west-1", "eu-central-1", "us-east-1", "us-west-2", "ap-south-1"][node % 5];
    let labels = |name: &str| {
        let instance = format!("node-{node:05}.{region}.shop.example:9100");
        let all =
            [("__name__", name), ("instance", &instance), ("job", "shop"), ("region", region), ("service", "web")];
        BTreeMap::from(all.map(|(name, value)| (name.to_owned(), value.to_owned())))
    };
    let series = SHOP.iter().flat_map(|(name, label, values)| {
        let plain = values.is_empty().then(|| labels(name));
        let with = values.iter().map(|value| {
            let mut labels = labels(name);
            labels.insert((*label).to_owned(), (*value).to_owned());
            labels
        });
        plain.into_iter().chain(with).collect::<Vec<_>>()
    });
    series.collect()
}

#[test]
fn the_index_of_a_fleet_takes_at_most_seven_bytes_a_series() {
    let mut index = IndexWriter::default();
    let (mut series_count, mut offset) = (0, 64);
    for node in 0..1000 {
        let columns: Vec<u32> = shop_node(node)
            .iter()
            .map(|labels| index.add_series(labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
            .collect();
        series_count += columns.len();
        let meta = GroupMeta { offset, length: 5000, min_time_ms: 0, max_time_ms: 7_199_000, sample_count: 9600 };
        index.add_group(&meta, &columns);
        offset += 5000;
    }
    let regions = index.encode(Origin { groups_start: 64, min_time_ms: 0 }).unwrap();
    let lengths = [&regions.symbols, &regions.postings, &regions.series, &regions.group_table].map(Vec::len);
    let a_series = lengths.iter().sum::<usize>() as f64 / series_count as f64;
    assert!(a_series < 7.0, "{a_series:.2} bytes a series: {lengths:?} for {series_count} series");
}
