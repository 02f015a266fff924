mod histograms;
mod read_back;

use proptest::prelude::*;

use super::*;
use crate::Corruption;
use crate::column::{self, Effort, Numbers};
use crate::testing::{assert_numbers, bits_equal, value_strategy};

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Timestamps and values of one column.
type Samples = (Vec<i64>, Vec<f64>);

fn encode(columns: &[Samples], effort: Effort) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(&mut GroupEncoder::default(), columns, effort, &mut bytes);
    bytes
}

fn append(encoder: &mut GroupEncoder, columns: &[Samples], effort: Effort, bytes: &mut Vec<u8>) {
    let columns: Vec<Column<'_>> =
        columns.iter().map(|(timestamps_ms, values)| Column { timestamps_ms, values }).collect();
    assert_eq!(encoder.encode(&columns, effort, bytes), Ok(effort), "it reads back");
}

fn read(group: &GroupReader<'_>, column: usize, scratch: &mut Scratch) -> Result<Samples, Corruption> {
    let (mut timestamps_ms, mut values) = (vec![7], vec![7.0]);
    let read = group.read(column, scratch, &mut timestamps_ms, &mut values);
    assert_eq!((timestamps_ms.remove(0), values.remove(0)), (7, 7.0), "what was there before stays");
    if read.is_err() {
        assert_eq!((timestamps_ms.len(), values.len()), (0, 0), "damage leaves the columns as before");
    }
    read.map(|()| (timestamps_ms, values))
}

fn same(a: &Samples, b: &Samples) -> bool {
    a.0 == b.0 && a.1.len() == b.1.len() && a.1.iter().zip(&b.1).all(|(a, b)| bits_equal(*a, *b))
}

fn check_round_trip(columns: &[Samples], bytes: &[u8], scratch: &mut Scratch) {
    let group = GroupReader::open(bytes).expect("as encoded");
    assert_eq!(group.column_count(), columns.len());
    for (index, column) in columns.iter().enumerate() {
        let range = column.0.first().copied().zip(column.0.last().copied());
        assert_eq!(group.time_range(index), range);
        assert_eq!(group.sample_count(index), column.0.len());
        let opened = read(&group, index, scratch).expect("as encoded");
        assert!(same(&opened, column), "column {index}: {opened:?} for {column:?}");
        let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
        read_column(bytes, index, scratch, &mut timestamps_ms, &mut values).expect("as encoded");
        assert!(same(&(timestamps_ms, values), column), "column {index}, not kept open");
    }
    read(&group, columns.len(), scratch).expect_err("one column too many");
}

/// Numbers without a pattern, the same at each run.
fn noise(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |bound| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    }
}

fn even(count: usize) -> Vec<i64> {
    (0..count as i64).map(|index| 1_700_000_000_000 + 15_000 * index).collect()
}

fn counter(count: usize, mut step: impl FnMut(usize) -> f64) -> Vec<f64> {
    let mut total = 0.0;
    (0..count)
        .map(|index| {
            total += step(index);
            total
        })
        .collect()
}

/// A shop's target: a counter, one that follows it, a histogram from few to all, a gauge, two constants, copies, a
/// series that went stale, one that came late, one with a beat of its own.
fn shop(count: usize, seed: u64) -> Vec<Samples> {
    let mut noise = noise(seed);
    let steps: Vec<f64> = (0..count).map(|_| 300.0 + noise(200) as f64).collect();
    let requests = counter(count, |index| steps[index]);
    let orders = counter(count, |index| (steps[index] / 10.0).floor() + noise(3) as f64);
    let half = counter(count, |index| (steps[index] / 2.0).floor() + noise(2) as f64);
    let fifth = counter(count, |index| (steps[index] / 5.0).floor() + noise(2) as f64);
    let gauge: Vec<f64> = (0..count).map(|_| noise(1000) as f64 / 10.0).collect();
    let mut stale = orders.clone();
    stale[count / 2] = STALE;
    let mut columns: Vec<Samples> =
        [requests.clone(), orders, half, fifth, requests, gauge, vec![1.0; count], vec![0.0; count], stale]
            .map(|values| (even(count), values))
            .to_vec();
    let late = count / 3;
    columns.push((even(count)[late..].to_vec(), columns[0].1[late..].to_vec()));
    columns.push((even(count).iter().map(|time| time + 77).collect(), columns[1].1.clone()));
    columns
}

#[test]
fn groups_take_the_bytes_of_the_chapter() {
    let times = vec![1_000, 16_000, 31_000, 46_000];
    let columns = [[10.0, 20.0, 30.0, 40.0], [1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]];
    let columns = columns.map(|values| (times.clone(), values.to_vec()));
    let expected: [&[u8]; 9] = [
        &[1, 34, 0, 0, 0],
        &[3, 1],                               // columns, timestamps
        &[4, 0xd0, 0x0f, 0xc8, 0xdf, 0x02, 0], // zigzag(1,000) = 2,000; span 45,000
        &[0x00, 5],
        &[0x00, 4],
        &[0x21, 0x03, 0],                // zigzag(-2) = 3
        &[0x00, 0x05, 0x14, 0x0a, 0x02], // differences over 10, first zigzag(10) = 20, each zigzag(1) = 2
        &[0x00, 0x01, 0x02, 0x02],
        &[0x7e, 0x2f, 0xe8, 0x23],
    ];
    for effort in [Effort::Fresh, Effort::Compact] {
        assert_eq!(encode(&columns, effort), expected.concat());
    }
    check_round_trip(&columns, &expected.concat(), &mut Scratch::default());
}

#[test]
fn a_shop_comes_back() {
    let mut scratch = Scratch::default();
    for count in [3, 31, 40, 700, 4096] {
        for effort in [Effort::Plain, Effort::Fresh, Effort::Compact] {
            let columns = shop(count, count as u64);
            check_round_trip(&columns, &encode(&columns, effort), &mut scratch);
        }
    }
}

#[test]
fn a_group_of_nothing_and_columns_of_nothing_come_back() {
    check_round_trip(&[], &encode(&[], Effort::Compact), &mut Scratch::default());
    let columns = [(vec![], vec![]), (vec![5], vec![1.0]), (vec![], vec![])];
    check_round_trip(&columns, &encode(&columns, Effort::Compact), &mut Scratch::default());
}

#[test]
fn as_many_columns_as_a_group_may_have_come_back() {
    let mut noise = noise(3);
    let columns: Vec<Samples> = (0..COLUMNS_MAX).map(|_| (even(33), counter(33, |_| 5.0 + noise(9) as f64))).collect();
    check_round_trip(&columns, &encode(&columns, Effort::Compact), &mut Scratch::default());
}

#[test]
fn equal_columns_are_written_once() {
    let one = encode(&shop(1000, 1)[..1], Effort::Fresh);
    let twice = encode(&[shop(1000, 1)[0].clone(), shop(1000, 1)[0].clone()], Effort::Fresh);
    assert_eq!(twice.len(), one.len() + 3);
}

#[test]
fn equal_values_at_other_times_are_no_copies() {
    let shop = shop(100, 5);
    let later: Vec<i64> = shop[0].0.iter().map(|time| time + 1).collect();
    let columns = [shop[0].clone(), (later, shop[0].1.clone())];
    check_round_trip(&columns, &encode(&columns, Effort::Compact), &mut Scratch::default());
}

#[test]
fn columns_share_their_timestamps() {
    let bytes = encode(&shop(100, 2), Effort::Compact);
    let group = GroupReader::open(&bytes).expect("as encoded");
    let indexes: Vec<usize> = (0..group.column_count()).map(|column| group.timestamps_index(column)).collect();
    assert_eq!(indexes, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
}

#[test]
fn a_column_that_another_explains_refers_to_it() {
    let columns = shop(1000, 9);
    let bytes = encode(&columns, Effort::Compact);
    let group = GroupReader::open(&bytes).expect("as encoded");
    let follows = |column: usize| group.reference(column).is_some();
    // One of these is told by itself, the others, directly or not, by it. The copy of column 0 is column 4.
    assert_eq!((0..4).filter(|column| follows(*column)).count(), 3);
    assert_eq!(group.reference(4), Some(0));
    assert!(!follows(5), "a gauge of noise resembles nothing");
}

#[test]
fn fresh_groups_refer_only_to_copies() {
    let bytes = encode(&shop(1000, 9), Effort::Fresh);
    let group = GroupReader::open(&bytes).expect("as encoded");
    let references: Vec<_> = (0..group.column_count()).filter_map(|column| group.reference(column)).collect();
    assert_eq!(references, [0]);
}

#[test]
fn an_even_beat_takes_no_bytes_and_an_uneven_one_few() {
    let constant = |times: Vec<i64>| {
        let count = times.len();
        encode(&[(times, vec![1.0; count])], Effort::Fresh).len()
    };
    let even_bytes = constant(even(1000));
    let mut missed = even(1001);
    missed.remove(500);
    assert!(constant(missed) <= even_bytes + 24, "one scrape missed");
    let mut noise = noise(1);
    let around: Vec<i64> = even(1000).into_iter().map(|time| time + noise(8) as i64).collect();
    assert!(constant(around) <= even_bytes + 500, "3 bits a scrape are 375 bytes");
}

#[test]
fn timestamps_of_a_late_series_are_picked_from_the_others() {
    let mut noise = noise(1);
    let around: Vec<i64> = even(1000).into_iter().map(|time| time + noise(5000) as i64).collect();
    let mut columns = vec![(around.clone(), vec![1.0; 1000]), (around.clone(), vec![2.0; 1000])];
    let without = encode(&columns, Effort::Fresh).len();
    columns.push((around[300..].to_vec(), vec![3.0; 700]));
    let mut gaps = around;
    gaps.retain(|time| time % 50 != 0);
    columns.push((gaps.clone(), vec![4.0; gaps.len()]));
    let bytes = encode(&columns, Effort::Fresh);
    check_round_trip(&columns, &bytes, &mut Scratch::default());
    assert!(bytes.len() < without + 200, "{} bytes more", bytes.len() - without);
}

#[test]
fn an_encoder_writes_the_same_whatever_it_wrote_before() {
    let mut encoder = GroupEncoder::default();
    for seed in [1, 2, 1] {
        let columns = shop(50 * seed as usize, seed);
        let mut bytes = vec![9; 5];
        append(&mut encoder, &columns, Effort::Compact, &mut bytes);
        assert_eq!(bytes[..5], [9; 5]);
        assert_eq!(bytes[5..], encode(&columns, Effort::Compact));
    }
}

#[test]
fn a_scratch_tells_groups_apart_that_look_alike() {
    let mut scratch = Scratch::default();
    for seed in [1, 2, 1, 3] {
        let columns = shop(200, seed);
        check_round_trip(&columns, &encode(&columns, Effort::Compact), &mut scratch);
    }
}

/// The columns that need the bytes of column `damaged`.
fn dependants(group: &GroupReader<'_>, damaged: usize) -> Vec<bool> {
    (0..group.column_count())
        .map(|column| {
            let chain = std::iter::successors(Some(column), |column| group.reference(*column));
            chain.into_iter().any(|column| column == damaged)
        })
        .collect()
}

#[test]
fn damage_of_any_byte_is_found_or_without_effect() {
    let columns = shop(120, 4);
    let bytes = encode(&columns, Effort::Compact);
    let mut scratch = Scratch::default();
    check_round_trip(&columns, &bytes, &mut scratch);
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1 << (position % 8);
        // Once with what was remembered of the whole group, once without.
        for scratch in [&mut scratch, &mut Scratch::default()] {
            let group = GroupReader::open(&damaged);
            let is_checked = group.as_ref().is_ok_and(|group| group.check().is_ok());
            for (index, column) in columns.iter().enumerate() {
                let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
                let alone = read_column(&damaged, index, scratch, &mut timestamps_ms, &mut values);
                let alone = alone.map(|()| (timestamps_ms, values));
                let opened = group.as_ref().map_err(|corruption| *corruption);
                assert_eq!(opened.and_then(|group| read(group, index, scratch)).is_ok(), alone.is_ok());
                if let Ok(read) = alone {
                    assert!(same(&read, column), "byte {position}, column {index}");
                } else {
                    assert!(!is_checked, "byte {position} belongs to column {index}, and no checksum says so");
                }
            }
        }
    }
}

#[test]
fn a_damaged_column_costs_itself_and_those_that_refer_to_it() {
    let columns = shop(500, 4);
    let bytes = encode(&columns, Effort::Compact);
    let group = GroupReader::open(&bytes).expect("as encoded");
    // Longer bodies lie at the end, in order, each with four bytes behind it; those of timestamps are none here.
    let mut end = bytes.len();
    for damaged in (0..columns.len()).rev().filter(|column| group.body_bytes(*column) > 16) {
        let start = end - 4 - group.body_bytes(damaged);
        let mut changed = bytes.clone();
        changed[start] ^= 0x10;
        end = start;
        let changed = GroupReader::open(&changed).map(|group| {
            let mut scratch = Scratch::default();
            (0..columns.len()).map(|column| read(&group, column, &mut scratch).is_err()).collect::<Vec<bool>>()
        });
        assert_eq!(changed, Ok(dependants(&group, damaged)), "column {damaged}");
    }
}

#[test]
fn a_group_cut_short_or_with_more_behind_it_is_refused() {
    let bytes = encode(&shop(60, 4), Effort::Compact);
    for end in 0..bytes.len() {
        assert!(GroupReader::open(&bytes[..end]).is_err(), "{end} bytes");
    }
    assert!(GroupReader::open(&[&bytes[..], &[0]].concat()).is_err());
}

/// A group of these rows, with the right length and checksum: four even timestamps unless told otherwise.
fn crafted(timestamps: &[&[u8]], columns: &[&[u8]], shorts: &[u8], longer: &[u8]) -> Vec<u8> {
    let mut head = vec![1, 0, 0, 0, 0, columns.len() as u8, timestamps.len() as u8];
    head.extend(timestamps.concat());
    head.extend(columns.concat());
    head.extend(shorts);
    let bytes = head.len() as u32 + 4;
    head[1..5].copy_from_slice(&bytes.to_le_bytes());
    let checksum = crc32c::crc32c(&head);
    head.extend(checksum.to_le_bytes());
    head.extend(longer);
    head
}

/// Four samples, one a second from 0.
const SECONDS: &[u8] = &[4, 0, 0xb8, 0x17, 0];

fn refusal(bytes: &[u8]) -> &'static str {
    GroupReader::open(bytes).expect_err("not a group").what
}

#[test]
fn references_that_lead_in_a_circle_are_refused() {
    let forward: &[u8] = &[0x20, 2, 0];
    let back: &[u8] = &[0x20, 1, 0];
    let itself: &[u8] = &[0x20, 0, 0];
    let root: &[u8] = &[0x00, 0];
    let too_far = "a reference leads further than two columns";
    assert_eq!(refusal(&crafted(&[SECONDS], &[itself], &[], &[])), too_far);
    assert_eq!(refusal(&crafted(&[SECONDS], &[forward, back], &[], &[])), too_far);
    assert_eq!(refusal(&crafted(&[SECONDS], &[forward, forward, &[0x20, 3, 0]], &[], &[])), too_far);
    assert_eq!(refusal(&crafted(&[SECONDS], &[forward, forward, forward, root], &[], &[])), too_far);
    assert!(GroupReader::open(&crafted(&[SECONDS], &[forward, forward, root, back], &[], &[])).is_ok());
    let to_none = "a column refers to one that does not exist";
    assert_eq!(refusal(&crafted(&[SECONDS], &[root, forward], &[], &[])), to_none);
    assert_eq!(refusal(&crafted(&[SECONDS], &[back, root], &[], &[])), to_none);
}

#[test]
fn a_copy_is_of_a_column_with_bytes_of_its_own_and_the_same_timestamps() {
    let root: &[u8] = &[0x00, 0];
    let copy: &[u8] = &[0x21, 1, 0];
    let other = "a column refers to one of another kind or other timestamps";
    assert!(GroupReader::open(&crafted(&[SECONDS], &[root, copy], &[], &[])).is_ok());
    assert_eq!(refusal(&crafted(&[SECONDS], &[root, copy, copy], &[], &[])), other);
    assert_eq!(refusal(&crafted(&[SECONDS], &[&[0x21, 0, 0]], &[], &[])), other);
    assert_eq!(refusal(&crafted(&[SECONDS, SECONDS], &[root, &[0x31, 1, 1, 0]], &[], &[])), other);
    assert_eq!(refusal(&crafted(&[SECONDS], &[root, &[0x01, 0]], &[], &[])), "a column is the same as none");
    let filled = refusal(&crafted(&[SECONDS], &[root, &[0x21, 1, 1]], &[0], &[]));
    assert_eq!(filled, "a column that is the same as another has bytes");
}

#[test]
fn rows_beyond_the_bounds_are_refused() {
    let root: &[u8] = &[0x00, 0];
    let flags = refusal(&crafted(&[SECONDS], &[&[0x40, 0]], &[], &[]));
    assert_eq!(flags, "the row of a column has flags without meaning");
    let timestamps = refusal(&crafted(&[SECONDS], &[&[0x10, 1, 0]], &[], &[]));
    assert_eq!(timestamps, "a column has timestamps that do not exist");
    assert_eq!(refusal(&crafted(&[], &[root], &[], &[])), "a column has timestamps that do not exist");
    // 4,097 samples.
    let samples = refusal(&crafted(&[&[0x81, 0x20, 0, 0, 0]], &[root], &[], &[]));
    assert_eq!(samples, "a column has more samples than it may");
    let unfilled = "the bodies of a group do not fill it";
    assert_eq!(refusal(&crafted(&[SECONDS], &[root], &[0], &[])), unfilled);
    assert_eq!(refusal(&crafted(&[SECONDS], &[root], &[], &[0])), unfilled);
    assert_eq!(refusal(&crafted(&[SECONDS], &[&[0x00, 17]], &[0; 17], &[])), unfilled);
}

#[test]
fn a_column_of_a_later_kind_is_refused_alone() {
    let mut body = Vec::new();
    let mut numbers = Numbers::default();
    numbers.read(&[1.0; 4], Effort::Fresh, None);
    column::Encoder::default().encode(&numbers, Effort::Fresh, None, &mut body);
    body.truncate(16);
    let later: &[u8] = &[0x23, 1, 3];
    let bytes = crafted(&[SECONDS], &[&[0x00, body.len() as u8], later], &[&body[..], &[1, 2, 3]].concat(), &[]);
    let group = GroupReader::open(&bytes).expect("rows of any kind can be told apart");
    let unknown = read(&group, 1, &mut Scratch::default()).expect_err("kind 3");
    assert_eq!(unknown.what, "the kind of a column is not one we read");
}

/// What the timestamps of row `row` are, read beside those of the other rows.
fn crafted_timestamps(rows: &[&[u8]], bodies: &[u8], row: u8) -> Result<Vec<i64>, Corruption> {
    let bytes = crafted(rows, &[&[0x10, row, 0]], bodies, &[]);
    let group = GroupReader::open(&bytes)?;
    let mut timestamps_ms = Vec::new();
    let source = scratch::Source { head: &head::Head::open(&bytes)?, bytes: &bytes };
    Scratch::default().append_timestamps(source, u16::from(row), &mut timestamps_ms)?;
    assert_eq!(group.sample_count(0), timestamps_ms.len());
    Ok(timestamps_ms)
}

#[test]
fn each_form_of_timestamps_reads_as_the_chapter_says() {
    // Steps of 1,000 (zigzag d0 0f), and residuals all the same: 80, the residual.
    let forms: [(&[u8], u8, [i64; 4]); 3] = [
        (&[4, 0, 0xb9, 0x17, 5], 0, [0, 1001, 2001, 3001]), // each 1 late
        (&[4, 0, 0xbb, 0x17, 5], 1, [0, 1001, 2002, 3003]), // each 1 later than the one before
        (&[4, 0, 0xbe, 0x17, 5], 2, [0, 1001, 2003, 3006]), // and that by 1 more each time
    ];
    for (row, order, times) in forms {
        assert_eq!(crafted_timestamps(&[row], &[order, 0xd0, 0x0f, 0x80, 2], 0), Ok(times.to_vec()), "form {order}");
    }
    let picked: &[u8] = &[2, 0xd0, 0x0f, 0xd0, 0x0f, 5]; // 1,000 and 3,000
    assert_eq!(crafted_timestamps(&[SECONDS, picked], &[3, 0, 1, 0x80, 2], 1), Ok(vec![1000, 3000]));
    assert!(crafted_timestamps(&[SECONDS, picked], &[3, 0, 1, 0x80, 0], 1).is_err(), "1,000 and 2,000");
    assert!(crafted_timestamps(&[SECONDS, picked], &[3, 0, 1, 0x80, 1], 1).is_err(), "a skip of -1");
}

#[test]
fn timestamps_that_do_not_add_up_are_refused() {
    assert_eq!(crafted_timestamps(&[SECONDS], &[], 0), Ok(vec![0, 1000, 2000, 3000]));
    let what = |rows: &[&[u8]], bodies: &[u8], row| crafted_timestamps(rows, bodies, row).expect_err("damaged").what;
    assert_eq!(what(&[&[4, 0, 0xb9, 0x17, 0]], &[], 0), "timestamps are not even"); // 3,001 in three steps
    assert_eq!(what(&[&[1, 0, 1, 0]], &[], 0), "timestamps are not even");
    assert_eq!(what(&[&[4, 0, 0xb8, 0x17, 1]], &[4], 0), "the form of timestamps is not one we read");
    // Form 3 of itself, of what is not there, and of another of form 3.
    let subset: &[u8] = &[1, 0, 0, 4];
    let picked = "timestamps are picked from others that are picked themselves";
    assert_eq!(what(&[subset], &[3, 0, 0, 0], 0), picked);
    assert_eq!(what(&[subset], &[3, 9, 0, 0], 0), "timestamps are picked from others that do not exist");
    assert_eq!(what(&[SECONDS, subset], &[3, 0, 4, 0], 1), "timestamps are picked from others that do not exist");
    assert_eq!(what(&[SECONDS, subset], &[3, 0, 1, 0], 1), "timestamps are picked from others that do not exist");
}

#[test]
#[should_panic(expected = "timestamps of a column descend")]
fn descending_timestamps_are_a_broken_invariant() {
    encode(&[(vec![2, 1], vec![0.0, 0.0])], Effort::Fresh);
}

/// How a column comes from chance and from those before it.
#[derive(Clone, Debug)]
enum Nature {
    Any(Vec<f64>),
    Constant(f64),
    Counter(u64),
    CopyOf(usize),
    Follows(usize, u64),
    StaleAt(usize, Vec<usize>),
}

fn nature() -> impl Strategy<Value = Nature> {
    prop_oneof![
        proptest::collection::vec(value_strategy(), 1..40).prop_map(Nature::Any),
        value_strategy().prop_map(Nature::Constant),
        any::<u64>().prop_map(Nature::Counter),
        any::<usize>().prop_map(Nature::CopyOf),
        any::<(usize, u64)>().prop_map(|(of, seed)| Nature::Follows(of, seed)),
        (any::<usize>(), proptest::collection::vec(any::<usize>(), 1..5))
            .prop_map(|(of, places)| Nature::StaleAt(of, places)),
    ]
}

fn values_of(nature: &Nature, count: usize, before: &[Samples]) -> Vec<f64> {
    let earlier = |of: usize| match before.len() {
        0 => vec![5.0; count],
        others => (0..count).map(|index| before[of % others].1.get(index).copied().unwrap_or(3.0)).collect(),
    };
    match nature {
        Nature::Any(values) => (0..count).map(|index| values[index % values.len()]).collect(),
        Nature::Constant(value) => vec![*value; count],
        Nature::Counter(seed) => {
            let mut noise = noise(*seed);
            counter(count, |_| noise(1 + seed % 300) as f64)
        }
        Nature::CopyOf(of) => earlier(*of),
        Nature::Follows(of, seed) => {
            let mut noise = noise(*seed);
            earlier(*of).into_iter().map(|value| value * (1 + seed % 3) as f64 + noise(3) as f64).collect()
        }
        Nature::StaleAt(of, places) => {
            let mut values = earlier(*of);
            for place in places.iter().filter(|_| count > 0) {
                values[place % count] = STALE;
            }
            values
        }
    }
}

fn times_of(cadence: u8, count: usize, seed: u64) -> Vec<i64> {
    let mut noise = noise(seed);
    let mut times = even(count + 20);
    match cadence {
        0..=3 => {}
        4 => times = times.iter().map(|time| time + noise(100) as i64).collect(),
        5 => times.retain(|_| noise(10) != 0),
        6 => times = (0..count).map(|_| i64::MIN + (noise(u64::MAX) >> 1) as i64).collect(),
        _ => times = (0..count).map(|_| (noise(u64::MAX)) as i64).collect(),
    }
    times.sort_unstable();
    times.truncate(count);
    times
}

fn group_strategy() -> impl Strategy<Value = Vec<Samples>> {
    let column = (nature(), 0u8..8, prop_oneof![4 => Just(0usize), 1 => 1usize..9]);
    (0usize..200, any::<u64>(), proptest::collection::vec(column, 0..30)).prop_map(|(count, seed, natures)| {
        let mut columns: Vec<Samples> = Vec::new();
        for (nature, cadence, fewer) in natures {
            let times = times_of(cadence, count, seed);
            let times = times[fewer.min(times.len())..].to_vec();
            let values = values_of(&nature, times.len(), &columns);
            columns.push((times, values));
        }
        columns
    })
}

proptest! {
    // A group is some hundred columns' worth of work.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn groups_of_any_columns_come_back(columns in group_strategy()) {
        let mut scratch = Scratch::default();
        for effort in [Effort::Plain, Effort::Fresh, Effort::Compact] {
            check_round_trip(&columns, &encode(&columns, effort), &mut scratch);
        }
    }

    #[test]
    fn strange_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    /// The checksums made right again, so that what lies behind them is reached.
    #[test]
    fn damage_with_right_checksums_is_refused_or_read(
        columns in group_strategy(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encode(&columns, Effort::Compact);
        let head_bytes = u32::from_le_bytes(bytes[1..5].try_into().expect("4 bytes")) as usize;
        for (place, value) in changes {
            bytes[5 + place % (head_bytes - 9)] = value;
        }
        let checksum = crc32c::crc32c(&bytes[..head_bytes - 4]);
        bytes[head_bytes - 4..head_bytes].copy_from_slice(&checksum.to_le_bytes());
        read_all(&bytes);
    }
}

fn read_all(bytes: &[u8]) {
    let Ok(group) = GroupReader::open(bytes) else { return };
    let mut scratch = Scratch::default();
    for column in 0..group.column_count() {
        if let Ok((timestamps_ms, values)) = read(&group, column, &mut scratch) {
            assert_eq!(timestamps_ms.len(), group.sample_count(column));
            assert_eq!(values.len(), timestamps_ms.len());
            assert!(timestamps_ms.is_sorted());
        }
    }
}

#[test]
fn the_chapter_tells_the_numbers() {
    let told = [
        ("COLUMNS_MAX", COLUMNS_MAX as u64),
        ("SAMPLES_MAX", column::SAMPLES_MAX as u64),
        ("SHORT_BYTES_MAX", SHORT_BYTES_MAX as u64),
        ("DEPTH_MAX", DEPTH_MAX as u64),
    ];
    assert_numbers(include_str!("../../../spec/group.md"), &told);
}
