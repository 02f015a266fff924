use super::*;
use crate::chunk::{Appender, KIND_DELTA, decode_stored, encode_stored};

#[test]
fn block_comes_back_series_by_series() {
    let range = BlockRange { min_time_ms: 0, max_time_ms: 7_200_000, created_ms: 5 };
    let mut writer = BlockWriter::begin(Vec::new(), range).unwrap();
    for node in ["1", "2"] {
        writer.begin_series([("__name__", "up"), ("node", node)]);
        let (mut appender, mut stream, mut stored) = (Appender::default(), Vec::new(), Vec::new());
        appender.append(&mut stream, 1000, 1.0);
        appender.append(&mut stream, 2000, 1.5);
        encode_stored(KIND_DELTA, 2, &stream, &mut stored);
        writer.append_chunk(1000, 2000, &stored).unwrap();
    }
    let (bytes, meta) = writer.finish().unwrap();
    assert_eq!((meta.series_count, meta.sample_count), (2, 4));
    let reader = BlockReader::open(&bytes[..]).unwrap();
    assert_eq!(reader.label_names().unwrap(), ["__name__", "node"]);
    assert_eq!(reader.postings("__name__", "up").unwrap(), [0, 1]);
    assert_eq!(reader.postings("node", "2").unwrap(), [1]);
    let series = reader.series(1).unwrap();
    assert_eq!(series.labels, [("__name__", "up"), ("node", "2")]);
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    decode_stored(reader.chunk(&series.chunks[0]).unwrap(), &mut timestamps, &mut values).unwrap();
    assert_eq!((timestamps, values), (vec![1000, 2000], vec![1.0, 1.5]));
}
