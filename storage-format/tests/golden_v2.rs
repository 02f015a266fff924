//! What blocks of version 2 consist of, read as `golden/v2/*.txt` tell it byte by byte, and written where there is one way
//! to write it: columns, a group, a whole block, tombstones, and the manifest of a snapshot.
//!
//! The texts were made from the chapters without this crate, entropy coding included. `tests/golden.rs` holds them to
//! the files. Never edit one.

use storage_format::block::{BlockRange, BlockReader, BlockWriter, SeriesEntry, SymbolCache};
use storage_format::column::{Decoder, Effort, Numbers};
use storage_format::group::{Column, GroupEncoder, GroupReader, Scratch};
use storage_format::manifest::{Cause, Manifest, ManifestFile};
use storage_format::tombstones::{self, Tombstone};
use storage_format::{Corruption, FileType, version_of};

const COLUMNS: &[u8] = include_bytes!("../golden/v2/column.bin");
const GROUP: &[u8] = include_bytes!("../golden/v2/group.bin");
const WHOLE: &[u8] = include_bytes!("../golden/v2/whole.bin");
const TOMBSTONES: &[u8] = include_bytes!("../golden/v2/tombstones.bin");
const MANIFEST: &[u8] = include_bytes!("../golden/v2/manifest.bin");

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);
const GO_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);
const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0000);
/// Whole numbers of a column, and of the next one, which is told by it.
const STEPS: [i64; 8] = [100, 110, 125, 130, 150, 155, 170, 190];
const REFERRING: [i64; 8] = [1000, 1080, 1197, 1225, 1365, 1430, 1524, 1875];

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn floats(integers: impl IntoIterator<Item = i64>) -> Vec<f64> {
    integers.into_iter().map(|integer| integer as f64).collect()
}

/// The values of each column of `column.bin`, as the titles in its text tell them.
fn told_columns() -> Vec<Vec<f64>> {
    let units = |value: f64, units: i64| f64::from_bits(value.to_bits().wrapping_add_signed(units));
    let told = f64::from_bits(0x0123_4567_89ab_cdef);
    let mut spike = vec![50.0; 31];
    (spike[4], spike[5], spike[21]) = (67.0, 33.0, 950.0);
    vec![
        vec![10.0, 12.5, 15.0, 17.5, 20.0],
        vec![7.0, STALE, STALE, -0.0, 7.0, told, f64::INFINITY, f64::NEG_INFINITY, 7.0, GO_NAN, NAN, NAN],
        vec![units(0.1, 1), 0.2, units(0.7, -2), 0.3],
        [9.0, 8.0, 9.0, 9.0, 8.0, 9.0, 5000.0].map(|thousandths| thousandths * 0.001).to_vec(),
        [13.0, 29.0, 61.0, 109.0, 173.0].map(|number| number / 128.0).to_vec(),
        [0, 1, 2, -7, -6, -5].map(|step| units(1.0, step)).to_vec(),
        floats(STEPS),
        floats(REFERRING),
        floats([0, 5, -6, 0, 90, -1000, 3, 4, 70_000, -2, 17].map(|number| 7 + number)),
        floats([0, 3, 3, 4, 3, 2, 3, 11, 3, 3, 1, -500]),
        spike,
        floats([0, 3, 3, 3, 3, 1000, 1017, 990, 1040, -5, 6]),
        floats(std::iter::once(0).chain((0..260).map(|index| index * 37 % 401))),
    ]
}

/// Sample count and body of each column of `column.bin`.
fn stored_columns() -> Vec<(usize, &'static [u8])> {
    let mut rest = COLUMNS;
    let mut columns = Vec::new();
    while let Some(([a, b, c, d], body)) = rest.split_first_chunk() {
        let (body, behind) = body.split_at(usize::from(u16::from_le_bytes([*c, *d])));
        columns.push((usize::from(u16::from_le_bytes([*a, *b])), body));
        rest = behind;
    }
    columns
}

#[test]
fn columns_are_read_as_told() {
    let (told, stored) = (told_columns(), stored_columns());
    assert_eq!(stored.len(), told.len());
    let (mut decoder, mut before) = (Decoder::default(), Numbers::default());
    for ((count, body), expected) in stored.into_iter().zip(told) {
        let (mut numbers, mut values) = (Numbers::default(), Vec::new());
        let reference = Some(before.integers.as_slice());
        assert_eq!(decoder.decode(body, count, reference, &mut numbers), Ok(()), "{expected:?}");
        numbers.append_values(&mut values);
        assert_eq!(bits(&values), bits(&expected), "{expected:?}");
        before = numbers;
    }
}

#[test]
fn a_column_that_ends_early_or_goes_on_is_refused() {
    let (mut decoder, mut before) = (Decoder::default(), Numbers::default());
    for (count, body) in stored_columns() {
        let mut numbers = Numbers::default();
        let mut read = |bytes: &[u8]| decoder.decode(bytes, count, Some(&before.integers), &mut numbers);
        let longer = [body, &[0]].concat();
        assert!((0..body.len()).all(|length| read(&body[..length]).is_err()), "{body:x?}");
        assert!(read(&longer).is_err(), "{body:x?}");
        read(body).expect("as it is");
        before = numbers;
    }
}

/// Timestamps and values, the latter as bits.
type Samples = (Vec<i64>, Vec<u64>);

fn read_column(group: &GroupReader<'_>, column: usize, scratch: &mut Scratch) -> Result<Samples, Corruption> {
    let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
    group.read(column, scratch, &mut timestamps_ms, &mut values)?;
    Ok((timestamps_ms, bits(&values)))
}

#[test]
fn the_group_is_read_as_told() {
    let even: Vec<i64> = (0..8).map(|index| 1_700_000_000_000 + 15_000 * index).collect();
    // It grows by a quarter of what it refers to, rounded.
    let quarters = REFERRING.map(|number| 4 + (number - 1000 + 2).div_euclid(4));
    let told: [(&[i64], Vec<f64>); 9] = [
        (&even, floats(STEPS)),
        (&even, floats(REFERRING)),
        (&even, floats(quarters)),
        (&even, floats(STEPS)),
        (&[500, 1503, 2498, 3500, 4505, 5501], vec![42.0; 6]),
        (&[-3000, -2000, -1000, 40, 1040, 2040], vec![-1.0; 6]),
        (&[0, 60_001, 120_002, 180_003, 240_004], vec![1.25, 1.0, 0.75, 0.5, 0.25]),
        (&[1503, 2498, 5501], vec![0.0; 3]),
        (&[], vec![]),
    ];
    let group = GroupReader::open(GROUP).expect("a group");
    assert_eq!(group.column_count(), 10);
    let mut scratch = Scratch::default();
    for (index, (timestamps_ms, values)) in told.into_iter().enumerate() {
        let read = read_column(&group, index, &mut scratch);
        assert_eq!(read, Ok((timestamps_ms.to_vec(), bits(&values))), "column {index}");
    }
    assert!(read_column(&group, 9, &mut scratch).is_err(), "its kind is one to come");
    let references: Vec<Option<usize>> = (0..5).map(|column| group.reference(column)).collect();
    assert_eq!(references, [None, Some(0), Some(1), Some(0), None]);
}

#[test]
fn damage_of_any_bit_of_the_group_costs_columns_and_changes_none() {
    let told = GroupReader::open(GROUP).expect("a group");
    let whole: Vec<_> = (0..10).map(|column| read_column(&told, column, &mut Scratch::default())).collect();
    let head_bytes = u32::from_le_bytes(*GROUP[1..].first_chunk().expect("four bytes")) as usize;
    for bit in 0..GROUP.len() * 8 {
        let mut damaged = GROUP.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let Ok(group) = GroupReader::open(&damaged) else { continue };
        let read: Vec<_> = (0..10).map(|column| read_column(&group, column, &mut Scratch::default())).collect();
        let differ: Vec<usize> = (0..10).filter(|column| read[*column] != whole[*column]).collect();
        assert!(differ.iter().all(|column| read[*column].is_err()), "bit {bit} changes one of the columns {differ:?}");
        assert!(bit / 8 >= head_bytes, "bit {bit} of the head is damaged, and nobody says so");
    }
}

#[test]
fn the_whole_block_is_read_as_told() {
    let block = BlockReader::open(WHOLE).expect("a block");
    assert_eq!(version_of(WHOLE), Some((FileType::Block, 2)));
    let times = vec![1000, 16_000, 31_000, 46_000];
    let told = [
        ([("__name__", "load"), ("node", "a")], [10.0, 20.0, 30.0, 40.0]),
        ([("__name__", "up"), ("node", "a")], [1.0, 2.0, 3.0, 4.0]),
        ([("__name__", "up"), ("node", "b")], [10.0, 20.0, 30.0, 40.0]),
    ];
    let (mut cache, mut entry, mut scratch) = (SymbolCache::default(), SeriesEntry::default(), Scratch::default());
    for (series, (labels, values)) in (0..).zip(told) {
        assert_eq!(block.find_series(labels), Ok(Some(series)));
        block.read_series(series, &mut cache, &mut entry).expect("a series");
        assert!(entry.labels(&cache).eq(labels));
        let [place] = entry.columns[..] else { panic!("{:?}", entry.columns) };
        let group = GroupReader::open(block.group_bytes(place.group).expect("a group")).expect("a group");
        assert_eq!(read_column(&group, place.column as usize, &mut scratch), Ok((times.clone(), bits(&values))));
    }
    assert!(block.postings("__name__", "up").expect("postings").iter().eq([1, 2]));
    assert!(block.postings("node", "a").expect("postings").iter().eq([0, 1]));
}

#[test]
fn the_whole_block_is_written_as_told() {
    let timestamps_ms = &[1000, 16_000, 31_000, 46_000];
    let (ten, one) = ([10.0, 20.0, 30.0, 40.0], [1.0, 2.0, 3.0, 4.0]);
    let columns = [&ten, &one, &ten].map(|values| Column { timestamps_ms, values });
    let mut group = Vec::new();
    GroupEncoder::default().encode(&columns, Effort::Fresh, &mut group).expect("it reads back");
    let range = BlockRange { min_time_ms: 0, max_time_ms: 7_200_000, created_ms: 7_260_000, level: 0 };
    let mut writer = BlockWriter::begin(Vec::new(), range).expect("memory takes all writes");
    let labels = [
        [("__name__", "load"), ("node", "a")],
        [("__name__", "up"), ("node", "a")],
        [("__name__", "up"), ("node", "b")],
    ];
    let numbers = labels.map(|labels| writer.add_series(labels));
    writer.append_group(&group, &numbers, 1000, 46_000, 12).expect("memory takes all writes");
    assert_eq!(writer.finish().expect("memory takes all writes").0, WHOLE);
}

#[test]
fn tombstones_are_read_and_written_as_told() {
    let told = vec![
        Tombstone { series: 3, from_ms: i64::MIN, to_ms: 1_699_999_999_999 },
        Tombstone { series: 7, from_ms: 1_700_000_000_000, to_ms: 1_700_003_600_000 },
        Tombstone { series: 7, from_ms: 1_700_003_600_002, to_ms: i64::MAX },
    ];
    assert_eq!(tombstones::encode(&told, 1_700_000_000_000), TOMBSTONES);
    assert_eq!(tombstones::decode(TOMBSTONES), Ok((1_700_000_000_000, told)));
}

#[test]
fn the_manifest_is_read_and_written_as_told() {
    let file = |path: &str, bytes, checksum| ManifestFile { path: path.to_owned(), bytes, checksum };
    let told = Manifest {
        created_ms: 1_763_771_400_123,
        cause: Cause::Schedule,
        files: vec![
            file("blocks/1763755200000-1763762400000.block", 7_340_032, 0x29c0_a1f7),
            file("log/00000017.log", 65_536, 0x8a91_36aa),
            file("outbox/0000000001.outbox", 96, 0xe306_9283),
        ],
    };
    assert_eq!(told.encode(), MANIFEST);
    assert_eq!(Manifest::decode(MANIFEST), Ok(told));
    let example = std::str::from_utf8(MANIFEST).expect("text");
    assert!(include_str!("../spec/manifest.md").contains(example), "it is the example of the chapter");
}
