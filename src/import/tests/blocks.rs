//! Blocks of Prometheus: every sample of them, in the order that a server likes.

use super::*;
use crate::ingest::append_varint;
use crate::model::TimeRange;

pub(super) fn append_signed(out: &mut Vec<u8>, number: i64) {
    append_varint(out, (number << 1 ^ number >> 63) as u64);
}

/// The folders of the blocks, oldest first: their names are made of the time at which they were made.
fn folders(disk: &SimulatedDisk) -> Vec<PathBuf> {
    disk.list_folders(Path::new("/data"))
        .expect("blocks")
        .into_iter()
        .map(|name| Path::new("/data").join(name))
        .collect()
}

fn read(disk: &SimulatedDisk) -> Given {
    drain(&mut *open(SourceKind::Prometheus, "/data", disk).expect("it opens")).expect("it is read")
}

#[test]
fn every_sample_of_promtools_blocks_comes_bit_for_bit() {
    let given = read(&blocks());
    assert_eq!(given.refused, BTreeMap::new());
    for (labels, samples) in known() {
        assert!(given.samples.get(&labels) == Some(&samples), "{labels}");
    }
    assert_eq!(given.samples.len(), known().len());
}

#[test]
fn a_single_block_is_a_source() {
    let disk = blocks();
    let folder = folders(&disk)[0].to_string_lossy().into_owned();
    let given = drain(&mut *open(SourceKind::Prometheus, &folder, &disk).expect("it opens")).expect("it is read");
    let two_hours = START_MS..START_MS + 7_200_000;
    for (labels, samples) in known() {
        let expected: Vec<_> = samples.into_iter().filter(|(at_ms, _)| two_hours.contains(at_ms)).collect();
        assert!(given.samples.get(&labels) == Some(&expected), "{labels}");
    }
}

#[test]
fn blocks_are_read_an_hour_at_a_time() {
    let disk = blocks();
    let mut source = open(SourceKind::Prometheus, "/data", &disk).expect("it opens");
    let (mut batch, mut newest_ms) = (Batch::default(), BTreeMap::new());
    loop {
        let is_more = source.fill(&mut batch).expect("it is read");
        for (labels, samples) in batch.all() {
            newest_ms.insert(labels.to_string(), samples.last().expect("samples").timestamp_ms);
            let oldest_ms = samples[0].timestamp_ms;
            assert!(newest_ms.values().all(|newest_ms| newest_ms - oldest_ms < 2 * 3_600_000), "{labels} {oldest_ms}");
        }
        batch.clear();
        if !is_more {
            return;
        }
    }
}

#[test]
fn reading_goes_on_from_wherever_it_was() {
    assert_resumes_everywhere(SourceKind::Prometheus, "/data", &blocks());
}

#[test]
fn overlapping_blocks_give_each_sample_once_in_order() {
    let disk = blocks();
    // The same blocks once more, under names of their own.
    for folder in folders(&disk) {
        let mut files = vec![folder.join("chunks/000001")];
        files.extend(["index", "meta.json", "tombstones"].map(|name| folder.join(name)));
        for file in files {
            let to = Path::new("/data/copies").join(file.strip_prefix("/data").expect("it lies there"));
            let to = PathBuf::from(to.to_string_lossy().replace("/copies/", "/copy-"));
            write(&disk, &to, &disk.read(&file).expect("it is there"));
        }
    }
    assert_eq!(folders(&disk).len(), 6);
    let given = read(&disk);
    assert!(given.samples == known(), "each once, ascending");
}

#[test]
fn deleted_samples_are_left_out() {
    let disk = blocks();
    let folder = &folders(&disk)[0];
    let deleted = TimeRange { from_ms: START_MS + 600_000, to_ms: START_MS + 1_200_000 };
    // Of the first series of the index, which begins at the first multiple of 16 behind the symbols.
    let index = disk.read(&folder.join("index")).expect("it is there");
    let symbols_bytes = u32::from_be_bytes(index[5..9].try_into().expect("four bytes")) as usize;
    let reference = (5 + 4 + symbols_bytes + 4).div_ceil(16);
    let mut stones = Vec::new();
    append_varint(&mut stones, reference as u64);
    append_signed(&mut stones, deleted.from_ms);
    append_signed(&mut stones, deleted.to_ms);
    let file = [&[0x01, 0x30, 0xba, 0x30, 1][..], &stones, &crc32c::crc32c(&stones).to_be_bytes()].concat();
    write(&disk, &folder.join("tombstones"), &file);
    let given = read(&disk);
    let mut expected = known();
    let first = expected.get_mut(r#"calls_total{path="/a b\"c\\d", region="eu"}"#).expect("it is the first by name");
    let before = first.len();
    first.retain(|(at_ms, _)| !deleted.contains(*at_ms));
    assert_eq!(before - first.len(), 41, "both ends belong to it, a sample each 15 s");
    assert!(given.samples == expected);
}

/// The chunks of a file: where each begins, and where its encoding, its data and their checksum lie.
fn chunks(file: &[u8]) -> Vec<(usize, std::ops::Range<usize>)> {
    let (mut at, mut found) = (8, Vec::new());
    while at < file.len() {
        let bytes = if file[at] < 0x80 { 1 } else { 2 };
        let length = (0..bytes).map(|index| usize::from(file[at + index] & 0x7f) << (7 * index)).sum::<usize>();
        let body = at + bytes..at + bytes + 1 + length;
        found.push((at, body.clone()));
        at = body.end + 4;
    }
    found
}

#[test]
fn chunks_of_unknown_encodings_are_counted_and_their_neighbours_read() {
    let disk = blocks();
    let path = folders(&disk)[0].join("chunks/000001");
    let mut file = disk.read(&path).expect("it is there").to_vec();
    let (_, body) = chunks(&file)[1].clone();
    let count = u16::from_be_bytes([file[body.start + 1], file[body.start + 2]]);
    file[body.start] = 9;
    let sum = crc32c::crc32c(&file[body.clone()]);
    file[body.end..body.end + 4].copy_from_slice(&sum.to_be_bytes());
    write(&disk, &path, &file);
    let given = read(&disk);
    assert_eq!(given.refused, BTreeMap::from([("the encoding of a chunk is not known".to_owned(), u64::from(count))]));
    assert_eq!(given.count() + usize::from(count), known().values().map(Vec::len).sum::<usize>(), "each counted once");
}

#[test]
fn damaged_chunk_is_named_and_its_neighbours_read() {
    let disk = blocks();
    let path = folders(&disk)[1].join("chunks/000001");
    let mut file = disk.read(&path).expect("it is there").to_vec();
    let (at, body) = chunks(&file)[2].clone();
    file[body.end - 3] ^= 4;
    write(&disk, &path, &file);
    let given = read(&disk);
    assert_eq!(given.refused, BTreeMap::from([("the checksum of a chunk does not fit".to_owned(), 1)]));
    let expected = format!("{} at byte {at}: the checksum of a chunk does not fit", path.display());
    assert_eq!(given.first_refused, Some(expected));
    assert!(given.count() + 120 >= known().values().map(Vec::len).sum::<usize>(), "one chunk is lost, of 120 at most");
}

#[test]
fn damaged_index_is_named_with_file_and_offset() {
    let disk = blocks();
    let path = folders(&disk)[0].join("index");
    let whole = disk.read(&path).expect("it is there").to_vec();
    for (at, what) in [
        (0, "this is no index of a Prometheus block"),
        (4, "version"),
        (12, "the checksum of the symbols does not fit"),
        (whole.len() - 10, "the checksum of the table of contents does not fit"),
    ] {
        let mut file = whole.clone();
        file[at] ^= 0x20;
        write(&disk, &path, &file);
        let error = open(SourceKind::Prometheus, "/data", &disk).map(drop).expect_err("it is damaged").to_string();
        assert!(error.starts_with(&format!("{} at byte ", path.display())) && error.contains(what), "{error}");
    }
}

#[test]
fn folder_without_blocks_and_log_says_so() {
    let disk = SimulatedDisk::new();
    disk.create_folder(Path::new("/data/wal")).expect("a folder");
    let error = open(SourceKind::Prometheus, "/data", &disk).map(drop).expect_err("nothing there").to_string();
    assert!(error.contains("neither a block of Prometheus"), "{error}");
}

/// A chunk of two equal values.
fn two_samples(from_ms: i64, step_ms: u64) -> Vec<u8> {
    let mut data = vec![0, 2];
    append_signed(&mut data, from_ms);
    data.extend(7.0f64.to_bits().to_be_bytes());
    append_varint(&mut data, step_ms);
    data.push(0);
    data
}

/// A block of one series for each chunk, which claims to be from `i64::MIN` to `i64::MAX`.
fn claiming_all_of_time(chunks: &[Vec<u8>]) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let (mut places, mut file) = (Vec::new(), vec![0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0]);
    for data in chunks {
        places.push(file.len() as u64);
        append_varint(&mut file, data.len() as u64);
        let body = [&[1], &data[..]].concat();
        file.extend(&body);
        file.extend(crc32c::crc32c(&body).to_be_bytes());
    }
    write(&disk, Path::new("/data/01BLOCK/chunks/000001"), &file);
    // Symbols are single letters: the name and a value, in any order.
    let mut symbols = (chunks.len() as u32 + 1).to_be_bytes().to_vec();
    symbols.extend(b"\x08__name__");
    (0..chunks.len() as u8).for_each(|index| symbols.extend([1, b'a' + index]));
    let mut index = vec![0xba, 0xaa, 0xd7, 0x00, 2];
    index.extend((symbols.len() as u32).to_be_bytes());
    index.extend(&symbols);
    index.extend(crc32c::crc32c(&symbols).to_be_bytes());
    let series_at = index.len().next_multiple_of(16);
    for (number, place) in places.into_iter().enumerate() {
        index.resize(index.len().next_multiple_of(16), 0);
        let mut entry = vec![1, 0, number as u8 + 1, 1];
        append_signed(&mut entry, i64::MIN);
        append_varint(&mut entry, u64::MAX);
        append_varint(&mut entry, place);
        append_varint(&mut index, entry.len() as u64);
        index.extend(&entry);
        index.extend(crc32c::crc32c(&entry).to_be_bytes());
    }
    let contents: Vec<u8> = [5, series_at as u64, 0, 0, 0, 0].iter().flat_map(|at| at.to_be_bytes()).collect();
    index.extend(&contents);
    index.extend(crc32c::crc32c(&contents).to_be_bytes());
    write(&disk, Path::new("/data/01BLOCK/index"), &index);
    write(&disk, Path::new("/data/01BLOCK/meta.json"), b"{}");
    disk
}

#[test]
fn chunk_that_claims_all_of_time_is_read_without_a_walk_through_it() {
    let year_ms = 365 * 24 * 3_600_000;
    let mut broken = two_samples(0, 1);
    broken.truncate(5);
    let chunks = [two_samples(0, year_ms), two_samples(-7, 1), broken, two_samples(i64::MAX - 1, 1)];
    let disk = claiming_all_of_time(&chunks);
    let given = read(&disk);
    let bits = 7.0f64.to_bits();
    let expected = [
        ("a", vec![(0, bits), (year_ms as i64, bits)]),
        ("b", vec![(-7, bits), (-6, bits)]),
        ("d", vec![(i64::MAX - 1, bits), (i64::MAX, bits)]),
    ];
    assert_eq!(given.samples, expected.map(|(name, samples)| (name.to_owned(), samples)).into());
    assert_eq!(given.refused, BTreeMap::from([("a chunk contradicts itself".to_owned(), 2)]));
    assert!(given.positions.len() < 3, "five hours of four series: {}", given.positions.len());
}
