use super::*;

fn writer() -> IndexWriter {
    let mut index = IndexWriter::default();
    index.begin_series([("a", "1"), ("b", "é")]);
    index.append_chunk(ChunkMeta { min_timestamp_ms: 1000, max_timestamp_ms: 1300, offset: 64, length: 20 });
    index.append_chunk(ChunkMeta { min_timestamp_ms: 900, max_timestamp_ms: 2000, offset: 90, length: 5 });
    index
}

#[test]
#[should_panic(expected = "begins before")]
fn a_chunk_before_the_last_is_our_own_error() {
    writer();
}

#[test]
#[should_panic(expected = "not in label order")]
fn series_out_of_order_are_our_own_error() {
    let mut index = IndexWriter::default();
    index.begin_series([("a", "1"), ("b", "2")]);
    index.begin_series([("a", "1")]);
}

fn two_series() -> IndexWriter {
    let mut index = IndexWriter::default();
    index.begin_series([("a", "1"), ("b", "é")]);
    index.append_chunk(ChunkMeta { min_timestamp_ms: 1000, max_timestamp_ms: 1300, offset: 64, length: 20 });
    index.append_chunk(ChunkMeta { min_timestamp_ms: 1400, max_timestamp_ms: 1400, offset: 90, length: 5 });
    index.begin_series([("a", "1"), ("c", "1")]);
    index
}

#[test]
fn regions_take_the_bytes_of_the_chapter() {
    let regions = two_series().encode(1001).unwrap();
    // Symbols in byte order: "1", "a", "b", "c", "é".
    let symbols: [&[u8]; 4] = [
        &[5, 0, 0, 0],
        &[0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0],
        &[4, 0, 0, 0, 6, 0, 0, 0],
        "1abcé".as_bytes(),
    ];
    assert_eq!(regions.symbols, symbols.concat());
    let series: [&[u8]; 6] = [
        &[2, 0, 0, 0],
        &[0, 0, 0, 0, 16, 0, 0, 0, 22, 0, 0, 0],
        &[2, 1, 0, 2, 4, 2],
        // Zigzag(1000 - 1001) = 1, 300 = ac 02, 64, 20; zigzag(399) = 798 = 9e 06, 0, 90 - 84, 5.
        &[1, 0xac, 0x02, 64, 20],
        &[0x9e, 0x06, 0, 6, 5],
        &[2, 1, 0, 3, 0, 0],
    ];
    assert_eq!(regions.series, series.concat());
    let postings: [&[u8]; 5] = [
        &[3, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0], // a=1: two series at 0
        &[2, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0], // b=é: one at 2
        &[3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0], // c=1: one at 3
        &[0, 1, 0, 1],
    ];
    assert_eq!(regions.postings, postings.concat());
}

#[test]
fn symbols_are_found_and_absent_ones_are_not() {
    let regions = two_series().encode(0).unwrap();
    let symbols = Symbols::open(&regions.symbols).unwrap();
    for (symbol, text) in ["1", "a", "b", "c", "é"].into_iter().enumerate() {
        assert_eq!(symbols.lookup(text), Ok(Some(symbol as u32)));
        assert_eq!(symbols.get(symbol as u32), Ok(text));
    }
    for absent in ["", "0", "aa", "z", "éé"] {
        assert_eq!(symbols.lookup(absent), Ok(None), "{absent:?}");
    }
    assert!(symbols.get(5).is_err());
}

/// Reads all that an index has, by every way there is; the only question is whether it comes back.
fn walk(regions: &write::Regions) {
    let Ok(symbols) = Symbols::open(&regions.symbols) else { return };
    let Ok(series) = SeriesTable::open(&regions.series, symbols, 0) else { return };
    let Ok(postings) = PostingsTable::open(&regions.postings, symbols, series.count()) else { return };
    for index in 0..series.count() {
        let _ = series.get(index);
    }
    for name in ["a", "b", "c", "1", "é"] {
        let _ = postings.postings(name, "1");
        let Ok(values) = postings.values_of(name) else { continue };
        for (_, list) in values.flatten() {
            let mut indexes = Vec::new();
            let _ = list.read(&mut indexes);
            assert!(indexes.iter().all(|index| *index < series.count()));
        }
    }
    let _ = postings.label_names();
}

fn region(regions: &mut write::Regions, which: usize) -> &mut Vec<u8> {
    match which {
        0 => &mut regions.symbols,
        1 => &mut regions.series,
        _ => &mut regions.postings,
    }
}

#[test]
fn no_damaged_byte_makes_a_reader_panic() {
    let whole = two_series().encode(0).unwrap();
    let lengths = [whole.symbols.len(), whole.series.len(), whole.postings.len()];
    for (which, length) in lengths.into_iter().enumerate() {
        for (at, byte) in (0..length).flat_map(|at| (0..=255u8).map(move |byte| (at, byte))) {
            let mut damaged = whole.clone();
            region(&mut damaged, which)[at] = byte;
            walk(&damaged);
            region(&mut damaged, which).truncate(at);
            walk(&damaged);
        }
    }
}

#[test]
fn a_postings_list_must_ascend_below_the_series_count() {
    let regions = two_series().encode(0).unwrap();
    let symbols = Symbols::open(&regions.symbols).unwrap();
    // The list of a=1 is `0 1` at 52: behind the count and three entries.
    let read = |first: u8, second: u8| {
        let mut bytes = regions.postings.clone();
        (bytes[52], bytes[53]) = (first, second);
        PostingsTable::open(&bytes, symbols, 2).unwrap().postings("a", "1")
    };
    assert_eq!(read(0, 1), Ok(vec![0, 1]));
    assert!(read(0, 0).is_err() && read(1, 1).is_err() && read(0, 2).is_err());
}
