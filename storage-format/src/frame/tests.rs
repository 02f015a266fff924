use proptest::prelude::*;

use super::*;

const HEADER: FileHeader =
    FileHeader { kind: FileKind::Log, version: 1, sequence: 3, created_ms: 1_700_000_000_000, salt: 0x5eed };

/// A file of one record per payload: kind and shard are the record's position.
fn file_of<P: AsRef<[u8]>>(payloads: &[P]) -> Vec<u8> {
    let mut file = HEADER.encode().to_vec();
    let mut chain = HEADER.chain_start();
    for (index, payload) in payloads.iter().enumerate() {
        chain = append_record(&mut file, index as u8, index as u16, chain, payload.as_ref());
    }
    file
}

fn events(file: &[u8]) -> Vec<Event<'_>> {
    Reader::open(file).expect("the header is whole").1.collect()
}

fn payloads<'a>(events: &[Event<'a>]) -> Vec<&'a [u8]> {
    events
        .iter()
        .filter_map(|event| if let Event::Record { payload, .. } = event { Some(*payload) } else { None })
        .collect()
}

fn chains_hold(events: &[Event<'_>]) -> bool {
    events.iter().all(|event| !matches!(event, Event::Record { chain_ok: false, .. }))
}

#[test]
fn file_header_comes_back() {
    assert_eq!(FileHeader::decode(&HEADER.encode()), Ok(HEADER));
}

#[test]
fn file_header_of_another_version_is_refused() {
    for version in [0, 3, u16::MAX] {
        let other = FileHeader { version, ..HEADER };
        let refusal = FileHeader::decode(&other.encode()).unwrap_err();
        assert_eq!((refusal.offset, refusal.what), (8, "the version of the format is not one we read"));
    }
    let rules = FileHeader { kind: FileKind::Rules, version: 2, ..HEADER };
    assert!(FileHeader::decode(&rules.encode()).is_err(), "the file of rules has no version 2");
}

#[test]
fn reserved_bytes_of_the_file_header_must_be_zero() {
    let mut bytes = HEADER.encode();
    bytes[11] = 1;
    let checksum = crc32c::crc32c(&bytes[..28]);
    bytes[28..].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(FileHeader::decode(&bytes).unwrap_err().offset, 10);
}

#[test]
fn records_lie_where_the_chapter_says() {
    let file = file_of(&[b"a".as_slice(), b"12345678", b"123456789"]);
    // 32 header; 24 + 1 → 32; 24 + 8 = 32; 24 + 9 → 40.
    assert_eq!(file.len(), 32 + 32 + 32 + 40);
    let events = events(&file);
    let offsets: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Record { offset, kind, shard, chain_ok: true, .. } => (*offset, *kind, *shard),
            Event::End { offset } => (*offset, 99, 99),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(offsets, [(32, 0, 0), (64, 1, 1), (96, 2, 2), (136, 99, 99)]);
}

/// A file of one group per element, in which every second group was written before the one before it was synced.
fn file_of_groups(groups: &[&[&str]], synced: impl Fn(usize) -> bool) -> (Vec<u8>, Vec<usize>) {
    let mut file = HEADER.encode().to_vec();
    let (mut chain, mut starts, mut synced_end) = (HEADER.chain_start(), Vec::new(), 32);
    for (index, payloads) in groups.iter().enumerate() {
        let mut records = Vec::new();
        for payload in *payloads {
            let start = begin_record(&mut records);
            records.extend_from_slice(payload.as_bytes());
            seal_payload(&mut records, start, 7, 1);
            starts.push(file.len() + start);
        }
        chain = seal_group(&mut records, chain, (file.len() - synced_end) as u64);
        file.extend_from_slice(&records);
        if synced(index) {
            synced_end = file.len();
        }
    }
    (file, starts)
}

const GROUPS: [&[&str]; 4] = [&["one"], &["two", "three", "four"], &["five", "six"], &["seven", "eight"]];

#[test]
fn records_of_groups_come_back_in_one_chain() {
    let (file, _) = file_of_groups(&GROUPS, |_| true);
    let events = events(&file);
    assert_eq!(payloads(&events), GROUPS.concat().iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
    assert!(chains_hold(&events) && matches!(events[8], Event::End { .. }));
}

#[test]
fn a_grouped_record_lies_as_the_chapter_says() {
    let (file, _) = file_of_groups(&[&["one", "second"]], |_| true);
    // 24 + 3 → 32: the second record begins 32 bytes behind what was on disk, four times eight.
    assert_eq!((file[32 + 5], &file[32 + 20..32 + 24]), (1, &[0, 0, 0, 0][..]));
    assert_eq!((file[64 + 5], &file[64 + 20..64 + 24]), (1, &[4, 0, 0, 0][..]));
    let checked = [&file[64..80], &file[84..88]].concat();
    assert_eq!(file[80..84], crc32c::crc32c(&checked).to_le_bytes());
}

/// For each record that is lost, whether the reader takes it for one that a power cut may have torn.
fn torn_when_lost(file: &[u8], starts: &[usize], lose: impl Fn(&mut [u8])) -> Vec<bool> {
    let torn = |index: usize| {
        let mut damaged = file.to_vec();
        let end = starts.get(index + 1).copied().unwrap_or(file.len());
        lose(&mut damaged[starts[index]..end]);
        let events = events(&damaged);
        assert_eq!(payloads(&events).len(), starts.len() - 1, "{events:?}");
        let torn = |event: &Event<'_>| match event {
            Event::Damage { may_be_torn, .. } => Some(*may_be_torn),
            Event::TornTail { .. } | Event::End { .. } => Some(true),
            Event::Record { .. } => None,
        };
        events.iter().find_map(torn).expect("an end, at least")
    };
    (0..starts.len()).map(torn).collect()
}

#[test]
fn only_what_was_lost_of_the_last_group_may_be_torn() {
    let (file, starts) = file_of_groups(&GROUPS, |_| true);
    let last_group = [false, false, false, false, false, false, true, true];
    assert_eq!(torn_when_lost(&file, &starts, |record| record.fill(0)), last_group);
    assert_eq!(torn_when_lost(&file, &starts, |record| record[24] ^= 1), last_group);
    assert_eq!(torn_when_lost(&file, &starts, |record| record[2] ^= 1), last_group);
}

#[test]
fn groups_that_were_not_synced_may_be_torn_too() {
    // The third and the fourth were both written behind the sync of the second.
    let (file, starts) = file_of_groups(&GROUPS, |index| index < 2);
    let two_groups = [false, false, false, false, true, true, true, true];
    assert_eq!(torn_when_lost(&file, &starts, |record| record.fill(0)), two_groups);
}

#[test]
fn damage_among_records_that_say_nothing_is_not_called_torn() {
    let mut file = file_of(&["first", "second", "third"]);
    file[64] ^= 1;
    assert!(matches!(events(&file)[1], Event::Damage { may_be_torn: false, .. }));
}

#[test]
fn preallocated_zeros_are_the_end() {
    let mut file = file_of(&["one"]);
    let end = file.len() as u64;
    file.resize(4096, 0);
    assert_eq!(events(&file).last(), Some(&Event::End { offset: end }));
}

#[test]
fn unfinished_record_is_a_torn_tail() {
    let mut file = file_of(&["first", "second, which is torn"]);
    file.truncate(64 + 30);
    file.resize(4096, 0);
    assert_eq!(events(&file).last(), Some(&Event::TornTail { from: 64 }));
}

#[test]
fn a_length_damaged_to_zero_does_not_hide_what_follows() {
    let mut file = file_of(&["first", "second", "third"]);
    file[64] = 0;
    let events = events(&file);
    assert_eq!(payloads(&events), [b"first".as_slice(), b"third"]);
    assert!(matches!(events[1], Event::Damage { from: 64, to: 96, .. }), "{events:?}");
}

#[test]
fn a_missing_record_breaks_the_chain() {
    let mut file = file_of(&["first", "second", "third"]);
    file.drain(64..96);
    let events = events(&file);
    assert_eq!(payloads(&events), [b"first".as_slice(), b"third"]);
    assert!(matches!(events[1], Event::Record { chain_ok: false, .. }), "{events:?}");
}

#[test]
fn a_record_left_from_another_file_breaks_the_chain() {
    let mut file = file_of(&["old 1", "old 2"]);
    let newer = FileHeader { salt: 0x5eee, ..HEADER };
    file[..32].copy_from_slice(&newer.encode());
    assert!(!chains_hold(&events(&file)));
}

#[test]
fn a_record_inside_a_damaged_payload_is_not_believed() {
    let inner = file_of(&["inner"]);
    let mut file = file_of(&[&inner[32..], b"next"]);
    let last_of_inner = 32 + 24 + inner.len() - 32 - 1;
    file[last_of_inner] ^= 1;
    let events = events(&file);
    assert_eq!(payloads(&events), [b"next"]);
    assert!(chains_hold(&events), "the header of the damaged record is whole, so the chain goes on: {events:?}");
}

#[test]
fn records_behind_a_damaged_file_header_can_be_read() {
    let mut file = file_of(&["first", "second"]);
    file[30] ^= 1;
    assert!(Reader::open(&file).is_err());
    let events: Vec<_> = Reader::without_header(&file).collect();
    assert_eq!(payloads(&events), [b"first".as_slice(), b"second"]);
    assert!(matches!(events[0], Event::Record { chain_ok: false, .. }));
    assert!(matches!(events[1], Event::Record { chain_ok: true, .. }));
}

#[test]
fn every_flipped_bit_is_reported_and_costs_one_record() {
    let texts = ["first", "the second one is longer", "third", "fourth", "12345678"];
    let whole = file_of(&texts);
    for bit in 32 * 8..whole.len() * 8 {
        let mut file = whole.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        let events = events(&file);
        assert!(
            events.iter().any(|event| matches!(event, Event::Damage { .. } | Event::TornTail { .. })),
            "bit {bit}: {events:?}"
        );
        let read = payloads(&events);
        assert!(read.len() >= texts.len() - 1, "bit {bit}: {events:?}");
        assert!(read.iter().all(|payload| texts.iter().any(|text| text.as_bytes() == *payload)), "bit {bit}");
    }
}

#[test]
fn every_truncation_keeps_the_records_before_it() {
    let texts = ["first", "the second one is longer", "third"];
    let whole = file_of(&texts);
    for length in 0..whole.len() {
        let Ok((_, reader)) = Reader::open(&whole[..length]) else {
            assert!(length < 32);
            continue;
        };
        let events: Vec<_> = reader.collect();
        // A record is whole when its payload is; padding may be cut.
        let kept = [32 + 24 + 5, 64 + 24 + 24, 112 + 24 + 5].iter().filter(|end| **end <= length).count();
        assert_eq!(payloads(&events).len(), kept, "length {length}: {events:?}");
    }
}

#[test]
fn whole_file_is_read_as_it_was_written_or_not_at_all() {
    let records: [(u8, &[u8]); 3] = [(1, b"first"), (2, b"second"), (1, b"third")];
    let whole = encode_whole(FileKind::Rules, -5, records);
    assert_eq!(decode_whole(&whole, FileKind::Rules), Ok(records.to_vec()));
    let other = decode_whole(&whole, FileKind::Silences).unwrap_err();
    assert_eq!(other, Corruption { offset: 0, what: "the file is of another kind" });
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(decode_whole(&damaged, FileKind::Rules).is_err(), "byte {at}");
    }
    for end in 0..whole.len() {
        // Where it ends between two records nothing looks unfinished: the caller counts.
        let found = decode_whole(&whole[..end], FileKind::Rules).unwrap_or_default();
        assert!(records.starts_with(&found), "{end} bytes");
    }
    // A record of another file does not follow.
    let mut longer = whole;
    append_record(&mut longer, 1, 0, 0, b"fourth");
    assert_eq!(decode_whole(&longer, FileKind::Rules).unwrap_err().what, "the record is not in its place");
}

proptest! {
    #[test]
    fn payloads_come_back(texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 0..20)) {
        let file = file_of(&texts);
        let events = events(&file);
        prop_assert_eq!(payloads(&events), texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert!(chains_hold(&events));
        prop_assert_eq!(events.last(), Some(&Event::End { offset: file.len() as u64 }));
    }

    #[test]
    fn groups_with_changed_bytes_are_walked_and_nothing_new_appears(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        length in any::<proptest::sample::Index>(),
    ) {
        let (whole, _) = file_of_groups(&GROUPS, |index| index != 1);
        let mut file = whole.clone();
        for (at, byte) in changes {
            file[at.index(whole.len())] = byte;
        }
        file.truncate(whole.len() - length.index(whole.len()) / 4);
        let events: Vec<_> = Reader::without_header(&file).collect();
        let texts = GROUPS.concat();
        prop_assert!(payloads(&events).iter().all(|payload| texts.iter().any(|text| text.as_bytes() == *payload)));
        let mut at = 0;
        for event in &events {
            let from = match event {
                Event::Record { offset, .. } | Event::End { offset } => *offset,
                Event::Damage { from, .. } | Event::TornTail { from } => *from,
            };
            prop_assert!(from >= at, "{events:?}");
            at = from;
        }
    }

    #[test]
    fn any_bytes_are_walked_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let count = Reader::without_header(&bytes).count();
        prop_assert!(count <= bytes.len() / 4 + 2);
        let _ = FileHeader::decode(&bytes);
    }

    #[test]
    fn garbage_between_records_is_skipped(garbage in proptest::collection::vec(any::<[u8; 8]>(), 1..20)) {
        let garbage = garbage.concat();
        prop_assume!(garbage[..8] != [0; 8]);
        let mut file = file_of(&["first"]);
        let from = file.len() as u64;
        file.extend_from_slice(&garbage);
        let to = file.len() as u64;
        append_record(&mut file, 1, 0, 0, b"second");
        let events = events(&file);
        prop_assert_eq!(payloads(&events), [b"first".as_slice(), b"second"]);
        let reported = matches!(events[1], Event::Damage { from: f, to: t, .. } if (f, t) == (from, to));
        prop_assert!(reported, "{events:?}");
    }
}
