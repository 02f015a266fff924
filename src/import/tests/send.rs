//! Requests as a server reads them, and what their answers say.

use reqwest::header::HeaderMap;

use super::super::send::{WRITTEN, refused_in_part};
use super::*;
use crate::model::{Labels, Sample};

#[test]
fn request_is_remote_write_of_ascending_samples() {
    let labels = Labels::from_pairs([("__name__", "up"), ("a", "b")]).expect("labels");
    let mut batch = Batch::default();
    let at = |timestamp_ms, value| Sample { timestamp_ms, value };
    batch.push(labels.clone(), [at(300, 3.0)]);
    batch.push(labels, [at(-1, 1.0), at(300, 4.0)]);
    let message = snap::raw::Decoder::new().decompress_vec(&batch.encode()).expect("snappy");
    // TimeSeries of 68 bytes: two labels, three samples; the time -1 is ten bytes long.
    let mut expected = vec![0x0a, 68];
    expected.extend(b"\x0a\x0e\x0a\x08__name__\x12\x02up\x0a\x06\x0a\x01a\x12\x01b");
    for (value, time) in
        [(1.0f64, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1][..]), (3.0, &[0xac, 2]), (4.0, &[0xac, 2])]
    {
        expected.extend([0x12, 10 + time.len() as u8, 0x09]);
        expected.extend(value.to_le_bytes());
        expected.push(0x10);
        expected.extend(time);
    }
    expected[1] = expected.len() as u8 - 2;
    assert_eq!(message, expected);
}

#[test]
fn reasons_of_a_partial_answer_are_told_apart() {
    let told = "5 refused, 7 stored; first refused: up{job=\"a\"} at 1: too old; in all: \
                3 × too old: past the retention, or behind, 2 × another value is already stored for this timestamp";
    let mut headers = HeaderMap::new();
    headers.insert(WRITTEN, 7.into());
    let answer = refused_in_part(&headers, told, 12);
    assert_eq!(answer.stored, 7);
    assert_eq!(answer.refused.first.as_deref(), Some("up{job=\"a\"} at 1: too old"));
    let expected =
        [("too old: past the retention, or behind", 3), ("another value is already stored for this timestamp", 2)];
    assert_eq!(answer.refused.reasons, expected.map(|(reason, count)| (reason.to_owned(), count)));
}

#[test]
fn answer_of_another_server_is_one_reason_for_all() {
    let answer = refused_in_part(&HeaderMap::new(), "out of order sample", 12);
    assert_eq!((answer.stored, answer.refused.reasons), (0, vec![("out of order sample".to_owned(), 12)]));
}
