//! Bytes of strangers never panic, and never make us hold more than they are.

use proptest::prelude::*;

use super::super::prometheus::{Buckets, Tombstones, is_deleted, read_histograms, read_xor, settle, tombstones_of};
use super::*;
use crate::model::TimeRange;

/// The files of the blocks.
fn files(disk: &SimulatedDisk) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in disk.list_folders(Path::new("/data")).expect("blocks") {
        let folder = Path::new("/data").join(name);
        files.extend(["index", "chunks/000001", "tombstones"].map(|name| folder.join(name)));
    }
    files
}

/// Puts right the checksums of an index whose lengths are those of `whole`.
fn reseal(index: &mut [u8], whole: &[u8]) {
    let number = |at: usize| u32::from_be_bytes(whole[at..at + 4].try_into().expect("four bytes")) as usize;
    let seal = |index: &mut [u8], from: usize, to: usize| {
        let sum = crc32c::crc32c(&index[from..to]).to_be_bytes();
        index[to..to + 4].copy_from_slice(&sum);
    };
    let symbols_end = 9 + number(5);
    seal(index, 9, symbols_end);
    let contents = whole.len() - 52;
    let series_end = u64::from_be_bytes(whole[contents + 16..contents + 24].try_into().expect("eight bytes")) as usize;
    let mut at = (symbols_end + 4).next_multiple_of(16);
    while at < series_end && whole[at] > 0 {
        let bytes = if whole[at] < 0x80 { 1 } else { 2 };
        let length: usize = (0..bytes).map(|index| usize::from(whole[at + index] & 0x7f) << (7 * index)).sum();
        seal(index, at + bytes, at + bytes + length);
        at = (at + bytes + length + 4).next_multiple_of(16);
    }
    seal(index, contents, contents + 48);
}

/// Reads as much as can be read.
fn read(disk: &SimulatedDisk) {
    if let Ok(mut source) = open(SourceKind::Prometheus, "/data", disk) {
        let mut batch = Batch::default();
        // Crafted times may lie anywhere, each in an hour of its own, but there are no more hours than samples.
        for _ in 0..20_000 {
            match source.fill(&mut batch) {
                Ok(true) => batch.clear(),
                Ok(false) | Err(_) => return,
            }
        }
        panic!("it does not end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn changed_blocks_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
    ) {
        let disk = blocks();
        let files = files(&disk);
        for (file, at, byte) in changes {
            let path = file.get(&files);
            let mut bytes = disk.read(path).expect("it is there").to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            write(&disk, path, &bytes);
        }
        if let Some((file, at)) = cut {
            let path = file.get(&files);
            let bytes = disk.read(path).expect("it is there").to_vec();
            write(&disk, path, &bytes[..at.index(bytes.len())]);
        }
        read(&disk);
    }

    #[test]
    fn changed_indexes_with_right_checksums_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let disk = blocks();
        let path = &files(&disk)[0];
        let whole = disk.read(path).expect("it is there").to_vec();
        let mut index = whole.clone();
        for (at, byte) in changes {
            let at = at.index(whole.len());
            index[at] = byte;
        }
        reseal(&mut index, &whole);
        write(&disk, path, &index);
        read(&disk);
    }

    #[test]
    fn any_bytes_are_a_chunk_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut samples = Vec::new();
        let _ = read_xor(&bytes, &mut samples);
        prop_assert!(samples.len() <= bytes.len() * 4 + 1, "two bits a sample at least");
    }

    #[test]
    fn any_bytes_are_a_chunk_of_histograms_or_none(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), 0x80..0xf0_u8], 0..300),
        buckets in prop::sample::select(vec![Buckets::Integers, Buckets::Floats]),
    ) {
        let mut samples = Vec::new();
        let refused = read_histograms(&bytes, buckets, &mut samples).map_or(0, |refused| refused.len());
        prop_assert!(samples.len() + refused <= bytes.len() * 2 + 1, "four bits a sample at least");
    }

    #[test]
    fn any_stones_under_a_right_checksum_are_read_or_refused(stones in prop::collection::vec(any::<u8>(), 0..60)) {
        let file = [&[0x01, 0x30, 0xba, 0x30, 1][..], &stones, &crc32c::crc32c(&stones).to_be_bytes()].concat();
        let _ = tombstones_of(&file);
    }

    #[test]
    fn moment_is_deleted_if_any_stone_holds_it(spans in prop::collection::vec((-20i64..20, -20i64..20), 0..8)) {
        let spans: Vec<_> = spans.into_iter().map(|(from_ms, to_ms)| TimeRange { from_ms, to_ms }).collect();
        let mut all = Tombstones::from([(7, spans.clone())]);
        settle(&mut all);
        for at_ms in -25..25 {
            let expected = spans.iter().any(|span| span.from_ms <= at_ms && at_ms <= span.to_ms);
            prop_assert_eq!(is_deleted(&all, 7, at_ms), expected, "{}", at_ms);
            prop_assert!(!is_deleted(&all, 8, at_ms));
        }
    }

    #[test]
    fn any_text_is_read_to_its_end(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        let disk = SimulatedDisk::new();
        write(&disk, Path::new("/data/text"), &bytes);
        for kind in [SourceKind::OpenMetrics, SourceKind::Text, SourceKind::JsonLines] {
            let mut source = open(kind, "/data/text", &disk).expect("it opens");
            drain(&mut *source).expect("lines are refused one by one");
        }
    }

    #[test]
    fn any_compressed_bytes_are_read_or_refused(
        magic in prop::sample::select(vec![&[0x1f, 0x8b, 8, 0][..], &[0x28, 0xb5, 0x2f, 0xfd]]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let disk = SimulatedDisk::new();
        write(&disk, Path::new("/data/text"), &[magic, &bytes].concat());
        for kind in [SourceKind::Text, SourceKind::JsonLines] {
            if let Ok(mut source) = open(kind, "/data/text", &disk) {
                let _ = drain(&mut *source);
            }
        }
    }
}
