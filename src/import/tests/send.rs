//! Requests as a server reads them, and what their answers say.

use reqwest::header::HeaderMap;

use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::batch::{count_of, encode, split_off};
use super::super::send::{Answer, Sender, WRITTEN, refused_in_part};
use super::*;
use crate::model::{Labels, Sample};

#[test]
fn request_is_remote_write_of_ascending_samples() {
    let labels = Labels::from_pairs([("__name__", "up"), ("a", "b")]).expect("labels");
    let mut batch = Batch::default();
    let at = |timestamp_ms, value| Sample { timestamp_ms, value };
    batch.push(labels.clone(), [at(300, 3.0)]);
    batch.push(labels, [at(-1, 1.0), at(300, 4.0)]);
    let message = snap::raw::Decoder::new().decompress_vec(&encode(&batch.runs(), &mut Vec::new())).expect("snappy");
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

/// A batch of series `s0`, `s1`, …, with so many samples each.
fn batch_of(counts: &[i64]) -> Batch {
    let mut batch = Batch::default();
    for (index, count) in counts.iter().enumerate() {
        let labels = Labels::from_pairs([("__name__", format!("s{index}").as_str())]).expect("labels");
        batch.push(labels, (0..*count).map(|timestamp_ms| Sample { timestamp_ms, value: 0.5 }));
    }
    batch
}

#[test]
fn batch_is_cut_at_any_sample() {
    let mut batch = batch_of(&[3, 1, 4]);
    for kept in 0..=8 {
        let mut runs = batch.runs();
        let rest = split_off(&mut runs, kept);
        assert_eq!((count_of(&runs), count_of(&rest)), (kept, 8 - kept));
        let all = runs.iter().chain(&rest);
        let mut given: Vec<_> = all
            .flat_map(|run| run.samples.iter().map(|sample| (run.labels.to_string(), sample.timestamp_ms)))
            .collect();
        let times = [("s0", 3), ("s1", 1), ("s2", 4)];
        let expected = times.iter().flat_map(|(name, count)| (0..*count).map(|at_ms| ((*name).to_owned(), at_ms)));
        assert_eq!(given, expected.collect::<Vec<_>>());
        given.dedup();
        assert_eq!(given.len(), 8);
    }
}

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Pair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<At>,
}

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct At {
    #[prost(int64, tag = "2")]
    timestamp_ms: i64,
}

/// One request of a kept connection, if it has not ended.
async fn next_request(stream: &mut tokio::net::TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let (Some(head), Some(length)) = (head, length)
            && bytes.len() == head + 4 + usize::to_owned(&length)
        {
            let message = snap::raw::Decoder::new().decompress_vec(&bytes[head + 4..]).expect("snappy");
            return Some(Request::decode(&*message).expect("remote write"));
        }
        if stream.read_buf(&mut bytes).await.expect("a connection") == 0 {
            return None;
        }
    }
}

/// Sends the batches to a server that takes `samples_max` samples at once and none of `s9`. Gives the answers, what was
/// taken, and how many requests were not.
fn sent(samples_max: usize, batches: &mut [Batch]) -> (Vec<Answer>, Vec<(String, i64)>, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let (mut taken, mut refused) = (Vec::new(), 0);
            while let Some(request) = next_request(&mut stream).await {
                let samples: Vec<_> = request
                    .series
                    .iter()
                    .flat_map(|series| {
                        series.samples.iter().map(|at| (series.labels[0].value.clone(), at.timestamp_ms))
                    })
                    .collect();
                let is_taken = samples.len() <= samples_max && samples.iter().all(|(name, _)| name != "s9");
                let status = if is_taken { "204 No Content" } else { "413 Content Too Large" };
                let body = if is_taken { "" } else { "limit!" };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.expect("a connection");
                if is_taken { taken.extend(samples) } else { refused += 1 }
            }
            (taken, refused)
        };
        let send = async {
            let mut sender = Sender::new(&url, Duration::from_secs(5), Clock::system()).expect("an address");
            let mut answers = Vec::new();
            for batch in batches {
                answers.push(sender.send(batch, &mut |why| panic!("{why}")).await.expect("it is taken"));
            }
            answers
        };
        let (answers, (taken, refused)) = tokio::join!(send, serve);
        (answers, taken, refused)
    })
}

#[test]
fn what_is_too_large_for_a_server_is_sent_in_parts() {
    let (answers, mut taken, refused) = sent(7, &mut [batch_of(&[30, 1, 1, 20]), batch_of(&[40]), batch_of(&[1; 9])]);
    assert_eq!(answers.iter().map(|answer| answer.stored).collect::<Vec<_>>(), [52, 40, 9]);
    assert!(answers.iter().all(|answer| answer.refused.reasons.is_empty()));
    assert_eq!(taken.len(), 52 + 40 + 9, "nothing twice");
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 40 + 1 + 1 + 20 + 5, "series of one name are one");
    assert!(refused <= 20, "the size that is taken is remembered: {refused}");
}

#[test]
fn series_that_is_too_large_alone_is_refused_and_its_neighbours_sent() {
    let (answers, taken, _) = sent(50, &mut [batch_of(&[2, 2, 2, 2, 2, 2, 2, 2, 2, 9, 3])]);
    assert_eq!(answers[0].stored, 21);
    assert_eq!(answers[0].refused.reasons, [("too large for the server even alone: limit!".to_owned(), 9)]);
    assert_eq!(answers[0].refused.first.as_deref(), Some("s9: too large for the server even alone: limit!"));
    assert_eq!(taken.len(), 21);
}
