//! Files of lines.

use super::super::files::TextFile;
use super::super::packed::Packed;
use super::super::piece::LineFile;
use super::*;
use crate::ingest::{Format, append_line};
use crate::model::Labels;

fn disk_with(text: &[u8]) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    write(&disk, Path::new("/data/file"), text);
    disk
}

fn read(kind: SourceKind, text: &[u8]) -> Given {
    drain(&mut *open(kind, "/data/file", &disk_with(text)).expect("it opens")).expect("it is read")
}

#[test]
fn openmetrics_file_is_read_whole() {
    let given = read(SourceKind::OpenMetrics, openmetrics(&known()).as_bytes());
    assert_eq!(given.refused, BTreeMap::new());
    assert!(given.samples == known());
    assert_resumes_everywhere(SourceKind::OpenMetrics, "/data/file", &disk_with(openmetrics(&known()).as_bytes()));
}

#[test]
fn what_promtool_dumps_is_a_text() {
    let dump = "{__name__=\"up\", job=\"a b\"} 1 1700000000123\n{__name__=\"up\", job=\"c\"} -Inf 1700000000124\n";
    let given = read(SourceKind::Text, dump.as_bytes());
    assert_eq!(given.refused, BTreeMap::new());
    let expected =
        [(r#"up{job="a b"}"#, 1_700_000_000_123, 1.0), (r#"up{job="c"}"#, 1_700_000_000_124, f64::NEG_INFINITY)];
    for (labels, timestamp_ms, value) in expected {
        assert_eq!(given.samples[labels], [(timestamp_ms, f64::to_bits(value))]);
    }
}

#[test]
fn wrong_lines_are_counted_with_the_number_of_the_first() {
    let many = "up 1 1000\n".repeat(300);
    let text = format!("{many}up 1\nup{{ 1 2\n# a comment\n\nup 2 2000\nup 1\n");
    let given = read(SourceKind::Text, text.as_bytes());
    assert_eq!(given.count(), 301);
    assert_eq!(given.first_refused.as_deref(), Some("line 301: the sample has no timestamp"));
    assert_eq!(given.refused["the sample has no timestamp"], 2);
    assert_eq!(given.refused.values().sum::<u64>(), 3);
}

#[test]
fn what_stands_behind_the_end_of_openmetrics_is_refused_and_a_missing_end_is_told() {
    let more = "up 1 1\n".repeat(400);
    let given = read(SourceKind::OpenMetrics, format!("{more}# EOF\n{more}").as_bytes());
    assert_eq!(given.count(), 400);
    assert_eq!(given.refused, BTreeMap::from([("it stands behind # EOF".to_owned(), 400)]));
    let remarks = |text: &str| {
        let mut source = open(SourceKind::OpenMetrics, "/data/file", &disk_with(text.as_bytes())).expect("it opens");
        drain(&mut *source).expect("it is read");
        source.remarks().len()
    };
    assert_eq!((remarks("up 1 1\n"), remarks("up 1 1\n# EOF\n")), (1, 0));
}

/// One series a line, which is longer than a batch, and short ones between.
fn json_lines() -> (Known, Vec<u8>) {
    let (mut known, mut text) = (known(), Vec::new());
    known.insert("empty".to_owned(), vec![(START_MS, 0)]);
    for (index, (shown, samples)) in known.iter().enumerate() {
        let name = format!("series_{index}");
        let labels = Labels::from_pairs([("__name__", name.as_str()), ("shown", shown)]).expect("labels");
        let (times, values): (Vec<i64>, Vec<f64>) =
            samples.iter().map(|(at_ms, bits)| (*at_ms, f64::from_bits(*bits))).unzip();
        append_line(&labels, &times, &values, &mut text);
    }
    let renamed = known.into_iter().enumerate().map(|(index, (shown, samples))| {
        let name = format!("series_{index}");
        let labels = Labels::from_pairs([("__name__", name.as_str()), ("shown", &shown)]).expect("labels");
        (labels.to_string(), samples)
    });
    (renamed.collect(), text)
}

#[test]
fn json_lines_longer_than_a_request_are_sent_in_parts() {
    let (known, text) = json_lines();
    let given = read(SourceKind::JsonLines, &text);
    assert_eq!(given.refused, BTreeMap::new());
    assert!(given.samples == known);
    assert_resumes_everywhere(SourceKind::JsonLines, "/data/file", &disk_with(&text));
}

#[test]
fn json_lines_that_give_nothing_are_counted_by_number() {
    let text = b"{\"metric\":{\"a\":\"b\"},\"values\":[1,2],\"timestamps\":[1,2]}\n\nx\n";
    let given = read(SourceKind::JsonLines, text);
    assert_eq!(given.first_refused.as_deref(), Some("line 1: the label __name__ is missing"));
    assert_eq!(given.refused["the label __name__ is missing"], 2);
    assert_eq!(given.refused.values().sum::<u64>(), 3);
}

#[test]
fn position_of_another_source_is_refused() {
    let disk = disk_with(b"up 1 1\nup 1 2\n");
    let packed = disk_with(&gzip(b"up 1 1\nup 1 2\n"));
    for disk in [disk, packed] {
        let go_to =
            |position: Position| open(SourceKind::Text, "/data/file", &disk).expect("it opens").go_to(&position);
        for has_ended in [None, Some(false)] {
            let at = |byte| Position::File { byte, line: 1, samples: 0, has_ended };
            assert!(go_to(at(7)).is_ok());
            assert!(go_to(at(14)).is_ok(), "the end");
            assert!(go_to(at(6)).is_err(), "within a line");
            assert!(go_to(at(99)).is_err());
        }
        assert!(go_to(Position::Blocks { hour_ms: 0, series: 0 }).is_err());
    }
}

#[test]
fn whether_a_text_has_ended_is_known_wherever_it_is_taken_up() {
    let lines = |from: i64| (from..from + 800).map(|at| format!("up 1 {at}\n")).collect::<String>();
    for text in [lines(0), format!("{}# EOF\n{}", lines(0), lines(800)), format!("{}# EOF\n", lines(0))] {
        let disk = disk_with(text.as_bytes());
        assert_resumes_everywhere(SourceKind::OpenMetrics, "/data/file", &disk);
        // As the states of earlier versions have it, which did not say.
        let whole = read(SourceKind::OpenMetrics, text.as_bytes());
        for position in whole.positions {
            let mut noted = serde_json::to_value(&position).expect("JSON");
            noted["file"].as_object_mut().expect("a file").remove("has_ended").expect("it is noted");
            let given = |position: &Position| {
                let mut source = open(SourceKind::OpenMetrics, "/data/file", &disk).expect("it opens");
                source.go_to(position).expect("it was there");
                (drain(&mut *source).expect("it is read"), source.remarks())
            };
            assert_eq!(given(&serde_json::from_value(noted).expect("a position")), given(&position));
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn compressed_files_are_read_as_what_they_inflate_to() {
    let text = openmetrics(&known());
    let (json, lines) = json_lines();
    for (kind, known, text) in
        [(SourceKind::OpenMetrics, known(), text.as_bytes()), (SourceKind::JsonLines, json, &lines)]
    {
        let (before, behind) = text.split_at(text.len() / 3);
        // As `cat a.gz b.gz` and log rotation have it: several behind one another are one.
        let parts = [gzip(before), gzip(behind)].concat();
        for packed in [gzip(text), parts, zstd::encode_all(text, 3).expect("memory")] {
            let disk = disk_with(&packed);
            let given = drain(&mut *open(kind, "/data/file", &disk).expect("it opens")).expect("it is read");
            assert!(given.samples == known && given.refused.is_empty());
        }
        assert_resumes_everywhere(kind, "/data/file", &disk_with(&zstd::encode_all(text, 3).expect("memory")));
    }
}

#[test]
fn what_can_be_inflated_of_a_cut_file_is_sent_and_then_the_damage_told() {
    let text: String = (0..100_000).map(|at| format!("up {} {at}\n", at % 7919)).collect();
    for packed in [gzip(text.as_bytes()), zstd::encode_all(text.as_bytes(), 3).expect("memory")] {
        let disk = disk_with(&packed[..packed.len() * 2 / 3]);
        let (mut given, mut batch) = (Given::default(), Batch::default());
        let mut source = open(SourceKind::Text, "/data/file", &disk).expect("it opens");
        let error = loop {
            match source.fill(&mut batch) {
                Ok(is_more) => assert!(is_more, "it is not the end"),
                Err(error) => break error.to_string(),
            }
            given.take(&mut batch);
        };
        assert!(batch.is_empty() && error.contains("/data/file at byte") && error.contains("cut off"), "{error}");
        assert!(given.count() > 10_000 && given.refused.is_empty(), "{}", given.count());
        let expected = (0..).map(|at| (at, f64::from(at as i32 % 7919).to_bits()));
        assert!(given.samples["up"].iter().copied().eq(expected.take(given.count())));
    }
}

#[test]
fn stream_is_read_once_to_its_end() {
    let text = openmetrics(&known());
    for bytes in [text.clone().into_bytes(), gzip(text.as_bytes())] {
        // Comes in small pieces, as a pipe does.
        let input = std::io::BufReader::with_capacity(7, std::io::Cursor::new(bytes));
        let packed = Packed::of_stream(Path::new("-"), Box::new(input)).expect("it can be read");
        let mut source = TextFile::new(LineFile::new(packed), Format::OpenMetrics);
        assert!(drain(&mut source).expect("it is read").samples == known());
        assert_eq!(source.remarks(), Vec::<String>::new());
    }
}

#[test]
fn lines_that_are_too_long_cost_themselves() {
    let long = "x".repeat(3 << 20);
    let text = format!("up 1 1000\n{long}\nup 2 2000\n{long}");
    let given = read(SourceKind::Text, text.as_bytes());
    assert_eq!((given.count(), given.refused.values().sum::<u64>()), (2, 2));
    assert_eq!(given.first_refused.as_deref(), Some("line 2: the line is longer than a line of text may be (1 MiB)"));
    let line = "{\"metric\":{\"__name__\":\"up\"},\"values\":[1],\"timestamps\":[1]}";
    let given = read(SourceKind::JsonLines, format!("{line}\n{long}\n{line}").as_bytes());
    assert_eq!((given.count(), given.refused.values().sum::<u64>()), (2, 1));
}
