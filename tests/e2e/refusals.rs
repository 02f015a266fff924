//! What is not ours is refused in words, and nothing that anybody sends ends the process or grows it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use dozor::clock::Clock;
use dozor::demo::{Feed, RequestEncoder, Shop, ShopOptions, encode_labels};
use dozor::model::Labels;
use tempfile::TempDir;

use crate::api::instant;
use crate::client::{Answer, Client, percent_encoded};
use crate::engine::{Engine, dozor};
use crate::process::Process;

/// Garbage bodies and queries of one run.
const GARBAGE_BODIES: usize = 10_000;
const GARBAGE_QUERIES: usize = 5_000;
const GARBAGE_CONNECTIONS: usize = 200;
/// What the same amount of garbage may add once the first half has warmed the process up.
const MEMORY_GROWTH_BYTES_MAX: u64 = 48 << 20;

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const SNAPPY: (&str, &str) = ("Content-Encoding", "snappy");

/// A request of one sample.
fn body_of(name: &str, timestamp_ms: i64, value: f64) -> Vec<u8> {
    let mut labels = Vec::new();
    encode_labels(&Labels::from_pairs([("__name__", name)]).expect("a name"), &mut labels);
    let mut encoder = RequestEncoder::new();
    encoder.push(&labels, timestamp_ms, value);
    encoder.finish().to_vec()
}

fn snappy(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).expect("short enough")
}

fn write(engine: &Engine, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    engine.client().post("/api/v1/write", headers, body).expect("the engine answers")
}

#[test]
fn content_types_and_encodings_that_are_not_ours_get_415() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let body = body_of("up", Clock::system().now_ms(), 1.0);
    let wrong: [&[(&str, &str)]; 5] = [
        &[("Content-Type", "application/json"), SNAPPY],
        &[("Content-Type", "text/plain"), SNAPPY],
        &[PROTOBUF, ("Content-Encoding", "zstd")],
        &[PROTOBUF, ("Content-Encoding", "gzip")],
        &[PROTOBUF, ("Content-Encoding", "snappy, gzip")],
    ];
    for headers in wrong {
        let answer = write(&engine, headers, &body);
        assert_eq!(answer.status, 415, "{headers:?}: {}", answer.text());
        assert!(!answer.text().is_empty(), "{headers:?}: it says what it takes");
    }
    let other_version = ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request");
    let answer = write(&engine, &[other_version, SNAPPY], &body);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("the body is remote write 1.0 and is announced as 2.0"), "{}", answer.text());
    let explicit = ("Content-Type", "application/x-protobuf;proto=prometheus.WriteRequest");
    assert_eq!(write(&engine, &[explicit, SNAPPY], &body).status, 204);
    assert_eq!(write(&engine, &[PROTOBUF, SNAPPY], &body).status, 204);
}

#[test]
fn broken_bodies_get_400_with_the_place() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    // A literal of one byte, then a copy from further back than there are bytes: broken at the copy, byte 3.
    let bad_copy = [0x08, 0x00, b'a', 0x09, 0x55];
    // Two bytes declared, a literal of two begun, and one is there: broken at the literal, byte 1.
    let cut_literal = [0x02, 0x04, b'a'];
    // Field 1, whose key is byte 0, says five bytes and has one.
    let cut_message = snappy(&[0x0a, 0x05, 0x0a]);
    // Field 1 with the wire type of a group, which nobody sends: named is what follows its key.
    let group = snappy(&[0x0b, 0x00]);
    let cases = [(&bad_copy[..], "byte 3"), (&cut_literal, "byte 1"), (&cut_message, "byte "), (&group, "byte 1")];
    for (body, place) in cases {
        let answer = write(&engine, &[PROTOBUF, SNAPPY], body);
        let text = answer.text();
        assert_eq!(answer.status, 400, "{body:02x?}: {text}");
        assert!(text.contains(place), "{body:02x?}: not {place}: {text}");
    }
    // No bytes at all are not even the length that snappy begins with.
    assert_eq!(write(&engine, &[PROTOBUF, SNAPPY], &[]).status, 400);
}

#[test]
fn bodies_over_a_limit_get_413_and_the_name_of_the_limit() {
    let folder = TempDir::new().expect("a temporary folder");
    let config = folder.path().join("dozor.yml");
    let limits = "limits:\n  request_bytes_max: 64KiB\n  request_decoded_bytes_max: 256KiB\n";
    fs::write(&config, limits).expect("the folder can be written");
    let engine = Engine::start(folder.path(), &[&format!("--config={}", config.display())]);

    let answer = write(&engine, &[PROTOBUF, SNAPPY], &vec![0x55; 65 << 10]);
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(answer.text().contains("limits.request_bytes_max"), "{}", answer.text());

    let bomb = snappy(&vec![0; 1 << 20]);
    assert!(bomb.len() < 64 << 10, "the bomb is {} bytes long", bomb.len());
    let answer = write(&engine, &[PROTOBUF, SNAPPY], &bomb);
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(answer.text().contains("limits.request_decoded_bytes_max"), "{}", answer.text());

    // Four gigabytes, if one believes the first bytes.
    let liar = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    assert_eq!(write(&engine, &[PROTOBUF, SNAPPY], &liar).status, 413);
}

#[test]
fn garbage_leaves_the_engine_alive_and_its_memory_flat() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = Engine::start(folder.path(), &[]);
    let seed = seed();
    let mut chance = Chance(seed);
    let valid = valid_message();
    let half = |chance: &mut Chance| {
        send_garbage_bodies(&engine, &valid, chance);
        send_garbage_queries(&engine, chance);
        send_garbage_connections(&engine, chance);
        engine.memory_bytes()
    };
    let (warm, after) = (half(&mut chance), half(&mut chance));
    let growth = after.saturating_sub(warm);
    assert!(growth < MEMORY_GROWTH_BYTES_MAX, "seed {seed}: from {warm} to {after} bytes of memory");
    engine.process().assert_running();
    assert!(!engine.process().printed().contains("panicked"), "seed {seed}: a thread panicked");

    let now_ms = Clock::system().now_ms();
    assert_eq!(engine.client().remote_write(&body_of("still_alive", now_ms, 42.0)).expect("it answers").status, 204);
    let stored = instant(engine.address, "still_alive", now_ms);
    assert_eq!(stored.into_values().collect::<Vec<_>>(), [[(now_ms, 42.0)]]);
}

/// A good request of two scrapes of a small shop, before compression.
fn valid_message() -> Vec<u8> {
    let options = ShopOptions { node_count: 2, ..ShopOptions::default() };
    let mut feed = Feed::new(Shop::new(options).expect("two nodes"), Clock::system().now_ms() - 60_000);
    let mut encoder = RequestEncoder::new();
    feed.fill(&mut encoder, 160, i64::MAX);
    snap::raw::Decoder::new().decompress_vec(encoder.finish()).expect("what we compressed")
}

fn send_garbage_bodies(engine: &Engine, valid: &[u8], chance: &mut Chance) {
    let mut client = engine.client();
    for number in 0..GARBAGE_BODIES / 2 {
        let body = garbage_body(valid, chance);
        let answer = match client.remote_write(&body) {
            Ok(answer) => answer,
            Err(error) => panic!("body {number}, {} bytes: {error}", body.len()),
        };
        assert_refused_or_taken(&format!("body {number}"), &answer);
    }
}

fn garbage_body(valid: &[u8], chance: &mut Chance) -> Vec<u8> {
    match chance.below(5) {
        0 => chance.bytes(600),
        1 => snappy(&chance.bytes(600)),
        2 => {
            let cut = chance.below(valid.len());
            snappy(&valid[..cut])
        }
        3 => {
            let mut message = valid.to_vec();
            chance.mutate(&mut message);
            snappy(&message)
        }
        _ => {
            let mut body = snappy(valid);
            chance.mutate(&mut body);
            body
        }
    }
}

fn send_garbage_queries(engine: &Engine, chance: &mut Chance) {
    const WORDS: [&str; 34] = [
        "sum",
        "by",
        "(",
        ")",
        "(",
        ")",
        "{",
        "}",
        "[5m]",
        "[",
        "]",
        "rate",
        "shop_orders_total",
        "up",
        "le=~\"",
        "\"",
        "=",
        "!=",
        "offset",
        "-1h",
        "1e999",
        "9223372036854775807",
        "NaN",
        "+",
        "-",
        "/",
        "on",
        "group_left",
        "unless",
        ":",
        "@",
        "histogram_quantile",
        ",",
        "((((((((((((((((((((((",
    ];
    let paths = ["/api/v1/query", "/api/v1/query_range", "/api/v1/series", "/api/v1/labels"];
    let mut client = engine.client();
    for _ in 0..GARBAGE_QUERIES / 2 {
        let text = match chance.below(3) {
            0 => String::from_utf8_lossy(&chance.bytes(200)).into_owned(),
            _ => (0..chance.below(30)).map(|_| WORDS[chance.below(WORDS.len())]).collect::<Vec<_>>().join(" "),
        };
        let encoded = percent_encoded(&text);
        let times = ["0", "-1", "1e300", "1700000000.337", "x", ""];
        let mut time = || times[chance.below(times.len())];
        let (start, end, step) = (time(), time(), time());
        let form = format!("query={encoded}&match[]={encoded}&time={start}&start={start}&end={end}&step={step}");
        let path = paths[chance.below(paths.len())];
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = client.post(path, &headers, form.as_bytes());
        let answer = answer.unwrap_or_else(|error| panic!("{path} {text:?}: {error}"));
        assert_refused_or_taken(&format!("{path} {form}"), &answer);
    }
}

/// Bytes that are not HTTP, and requests that end in their middle.
fn send_garbage_connections(engine: &Engine, chance: &mut Chance) {
    for _ in 0..GARBAGE_CONNECTIONS / 2 {
        let mut stream = TcpStream::connect(engine.address).expect("the engine listens");
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket takes a timeout");
        let bytes = match chance.below(3) {
            0 => chance.bytes(2_000),
            1 => b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nshort".to_vec(),
            _ => [b"GET /".to_vec(), vec![b'a'; chance.below(100_000)], b" HTTP/1.1\r\n\r\n".to_vec()].concat(),
        };
        // It may close while we still talk; what it says is its business as long as it lives.
        let _ = stream.write_all(&bytes);
        let _ = stream.read(&mut [0; 512]);
    }
}

fn assert_refused_or_taken(what: &str, answer: &Answer) {
    let expected = answer.status < 500 || answer.status == 503;
    assert!(expected, "{what}: {} {}", answer.status, answer.text());
}

/// Another one each time; a failure prints it, and `DOZOR_SEED` takes it.
fn seed() -> u64 {
    let given = std::env::var("DOZOR_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| Clock::system().now_ms() as u64);
    println!("DOZOR_SEED={seed}");
    seed
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, length_max: usize) -> Vec<u8> {
        (0..self.below(length_max)).map(|_| self.next() as u8).collect()
    }

    /// Changes up to eight bytes, and drops or repeats a piece now and then.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len());
            bytes[at] = self.next() as u8;
        }
        if self.below(4) == 0 {
            let (from, length) = (self.below(bytes.len()), self.below(64));
            let piece = from..(from + length).min(bytes.len());
            let repeated = if self.below(2) == 0 { bytes[piece.clone()].to_vec() } else { Vec::new() };
            bytes.splice(piece.end..piece.end, repeated);
            bytes.drain(piece);
        }
    }
}

/// Runs `dozor serve` on files that are wrong; gives what it printed.
fn refused_start(folder: &TempDir, argument: &str) -> String {
    let data = format!("--data-dir={}", folder.path().join("data").display());
    let arguments = ["serve".to_owned(), "--listen=127.0.0.1:0".to_owned(), data, argument.to_owned()];
    // The log of an earlier one.
    let _ = fs::remove_file(folder.path().join("refused.log"));
    let mut process = Process::start("refused", dozor(), &arguments, folder.path());
    let status = process.wait_for_end();
    let printed = process.printed();
    assert!(!status.success(), "it must not say that all is well: {printed}");
    assert!(status.code().is_some(), "it must not die of a signal: {status} {printed}");
    printed
}

/// Whether the text shows the given place of the file, with a caret under it.
fn assert_shows(printed: &str, place: &str, line: &str) {
    assert!(printed.contains(place), "no {place}:\n{printed}");
    let shown = printed.lines().position(|shown| shown.contains(" | ") && shown.contains(line));
    let shown = shown.unwrap_or_else(|| panic!("the line {line:?} is not shown:\n{printed}"));
    let below = printed.lines().nth(shown + 1).unwrap_or_default();
    assert!(below.contains('^'), "no caret below {line:?}:\n{printed}");
}

#[test]
fn mistakes_in_settings_are_shown_with_line_and_caret() {
    let folder = TempDir::new().expect("a temporary folder");
    let cases = [
        ("retention: 15d\nretenshun: 3d\n", "settings.yml:2", "retenshun: 3d"),
        ("query:\n  timeout: 5h\n", "settings.yml:2", "timeout: 5h"),
        ("limits:\n  connections_max: many\n", "settings.yml:2", "connections_max: many"),
        ("listen: [1, 2]\n", "settings.yml:1", "listen: [1, 2]"),
    ];
    for (text, place, line) in cases {
        let file = folder.path().join("settings.yml");
        fs::write(&file, text).expect("the folder can be written");
        let printed = refused_start(&folder, &format!("--config={}", file.display()));
        assert_shows(&printed, place, line);
    }
    let printed = refused_start(&folder, "--config=/nowhere/settings.yml");
    assert!(printed.contains("/nowhere/settings.yml"), "{printed}");
}

#[test]
fn mistakes_in_rules_are_shown_with_line_and_caret() {
    let folder = TempDir::new().expect("a temporary folder");
    let head = "groups:\n  - name: checkout\n    rules:\n      - alert: Drop\n";
    let cases = [
        ("        exprr: up\n        anomaly: { direction: drop }\n", "rules.yml:5", "exprr: up"),
        ("        expr: sum(up\n        anomaly: { direction: drop }\n", "rules.yml:5", "expr: sum(up"),
        ("        expr: up\n        anomaly: { direction: sideways }\n", "rules.yml:6", "sideways"),
    ];
    for (rest, place, line) in cases {
        let file = folder.path().join("rules.yml");
        fs::write(&file, format!("{head}{rest}")).expect("the folder can be written");
        let printed = refused_start(&folder, &format!("--rules={}", file.display()));
        assert_shows(&printed, place, line);
    }
}

#[test]
fn unready_address_is_refused_in_words() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let other = TempDir::new().expect("a temporary folder");
    let printed = refused_start(&other, "--listen=nonsense");
    assert!(printed.contains("--listen") && printed.contains("HOST:PORT"), "{printed}");
    let data = format!("--data-dir={}", other.path().join("data").display());
    let arguments = ["serve".to_owned(), format!("--listen={}", engine.address), data];
    let mut process = Process::start("taken", dozor(), &arguments, other.path());
    assert!(!process.wait_for_end().success());
    assert!(process.printed().contains(&engine.address.to_string()), "{}", process.printed());
    assert!(Client::new(engine.address).get("/-/ready").is_ok_and(|answer| answer.status == 200));
}
