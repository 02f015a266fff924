//! The other parts of a request: its compression, its address, its query; and files that an operator gives.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use dozor::config::Config;
use dozor::disk::{Disk, SimulatedDisk};
use dozor::ingest::{Group, IngestError, Push, inflate as inflated, read_push, restored};
use dozor::query::{parse_matchers, plan};
use dozor::{http as door, rules as rule_files};

use super::super::wire;

/// Most that a body may inflate to.
const DECODED_BYTES_MAX: usize = 1 << 20;

/// The block decoder against `snap`'s.
pub(super) fn snappy(bytes: &[u8]) {
    let ours = inflated(bytes, "snappy", DECODED_BYTES_MAX);
    match snap::raw::decompress_len(bytes) {
        Ok(length) if length > DECODED_BYTES_MAX => {
            assert!(matches!(ours, Err(IngestError::TooLarge { .. })), "{length} bytes are too many");
        }
        _ => match (ours, snap::raw::Decoder::new().decompress_vec(bytes)) {
            (Ok(ours), Ok(theirs)) => assert!(ours == theirs, "{} and {} bytes", ours.len(), theirs.len()),
            (Err(IngestError::Malformed(words)), Err(_)) => is_within(&words, bytes.len()),
            (ours, theirs) => panic!("ours: {:?}, snap's: {:?}", ours.map(|b| b.len()), theirs.map(|b| b.len())),
        },
    }
    let packed = snap::raw::Encoder::new().compress_vec(bytes).expect("bytes are compressed");
    assert!(inflated(&packed, "snappy", DECODED_BYTES_MAX).expect("a block") == bytes, "what was compressed");
}

/// A position that is told lies in the body, or at its end.
fn is_within(words: &str, length: usize) {
    let Some((_, behind)) = words.split_once("byte ") else { return };
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    let at: usize = digits.parse().expect("a position is a number");
    assert!(at <= length, "{words}: of {length}");
}

/// What comes out is bounded, whatever goes in.
pub(super) fn inflate(bytes: &[u8]) {
    for encoding in ["gzip", "zstd"] {
        match inflated(bytes, encoding, 1 << 16) {
            Ok(inflated) => assert!(inflated.len() <= 1 << 16, "{encoding}: {} bytes", inflated.len()),
            Err(IngestError::TooLarge { .. } | IngestError::Malformed(_)) => {}
            Err(other) => panic!("{encoding}: {other}"),
        }
    }
}

/// An address up to the first line feed, and behind it a body.
pub(super) fn push_text(bytes: &[u8]) {
    let (path, body) = path_and_rest(bytes);
    push(path, None, body);
}

/// The same, of a body that is delimited protobuf.
pub(super) fn push_protobuf(bytes: &[u8]) {
    const DELIMITED: &str =
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    let (path, body) = path_and_rest(bytes);
    push(path, Some(DELIMITED), body);
    // Each message of a program as a family.
    let message = wire::written(body);
    let mut delimited = Vec::new();
    prost::encode_length_delimiter(message.len(), &mut delimited).expect("a Vec has room");
    push("/j", Some(DELIMITED), &[delimited, message].concat());
}

fn path_and_rest(bytes: &[u8]) -> (&str, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let path = std::str::from_utf8(&bytes[..end]).unwrap_or("/j");
    (path, bytes.get(end + 1..).unwrap_or_default())
}

/// What a push is read as is what its file gives back, and its key is what its address gives back.
fn push(path: &str, content_type: Option<&str>, body: &[u8]) {
    let push = Push {
        path: path.to_owned(),
        content_type: content_type.map(str::to_owned),
        body: Bytes::copy_from_slice(body),
        ..Push::default()
    };
    let Ok(group) = read_push(&push) else { return };
    let again = restored(&group).expect("the file of a group is read");
    assert_eq!(told(&again), told(&group), "the group and its file");
    let path = address_of(&group);
    let again = read_push(&Push { path: path.clone(), ..Push::default() }).expect("the address of a group is read");
    assert_eq!(again.key, group.key, "{path}");
}

fn told(group: &Group) -> (String, Vec<(String, u64)>) {
    let series = group.families.values().flat_map(|family| &family.series);
    let of_families = group.families.iter().map(|(name, family)| format!("{name} {:?} {:?}", family.kind, family.help));
    let head = format!("{:?} {} {:?}", group.key, group.ttl_ms, of_families.collect::<Vec<String>>());
    (head, series.map(|(labels, value)| (labels.to_string(), value.to_bits())).collect())
}

/// With all values in base64.
fn address_of(group: &Group) -> String {
    let encoded = |value: &str| format!("{}=", BASE64_URL_SAFE_NO_PAD.encode(value));
    let job = group.key.pairs().iter().find(|(name, _)| name == "job").expect("every group has a job");
    let others = group.key.pairs().iter().filter(|(name, _)| name != "job");
    let others = others.map(|(name, value)| format!("/{name}@base64/{}", encoded(value)));
    format!("@base64/{}{}", encoded(&job.1), others.collect::<String>())
}

/// Forms, times, durations, names in paths, and selectors of `match[]`.
pub(super) fn http(bytes: &[u8]) {
    let escaped: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    let form = door::form(&format!("a={escaped}&b"));
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(form.is_err(), "bytes that are no text");
        return;
    };
    let expected = [("a", text), ("b", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form, Ok(expected.to_vec()), "{escaped}");
    let _ = (door::form(text), door::label_name(text));
    for ms in [door::time_ms(text), door::span_ms(text)].into_iter().flatten() {
        assert!(ms.checked_mul(2).is_some(), "{text:?} is {ms} ms, which leaves no margin");
    }
    for seconds in [door::time_ms(text), door::span_ms(text)].into_iter().flatten() {
        let again = door::time_ms(&format!("{}.{:03}", seconds / 1000, (seconds % 1000).abs()));
        assert!(again.is_ok(), "{text:?}");
    }
    if let Ok(matchers) = parse_matchers(text) {
        assert!(!matchers.is_empty(), "{text:?}");
    }
}

pub(super) fn promql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(plan) = plan(text) {
        let _ = plan.kind();
    }
}

pub(super) fn rules(bytes: &[u8]) {
    let (disk, folder, path) = (SimulatedDisk::new(), Path::new("/rules"), PathBuf::from("/rules/shop.yml"));
    disk.create_folder(folder).expect("a folder in memory");
    disk.replace(&path, bytes).expect("a file in memory");
    match rule_files::load(&disk, &[path]) {
        Ok(rules) => assert_eq!(rules.watches().len(), rules.rules.len(), "every rule is watched"),
        Err(errors) => assert!(!errors.to_string().is_empty(), "faults are told"),
    }
}

/// Whatever is read is filled in, or says that it could not be, in a text that is no longer than a template's may be and
/// the same when asked again.
pub(super) fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match rule_files::filled_in(text) {
        Ok(filled) => {
            assert!(filled.len() <= 1 << 20, "{text:?} comes to {} bytes", filled.len());
            assert_eq!(rule_files::filled_in(text), Ok(filled), "{text:?}");
        }
        Err(what) => assert!(what.starts_with(|digit: char| digit.is_ascii_digit()), "{text:?}: {what}"),
    }
}

pub(super) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = Config::from_yaml("dozor.yml", text) {
        assert!(!error.to_string().is_empty(), "faults are told");
    }
}
