//! Files of lines.

use super::*;
use crate::ingest::append_line;
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
    let mut source = open(SourceKind::Text, "/data/file", &disk).expect("it opens");
    let at = |byte| Position::File { byte, line: 1, samples: 0 };
    assert!(source.go_to(&at(7)).is_ok());
    assert!(source.go_to(&at(14)).is_ok(), "the end");
    assert!(source.go_to(&at(6)).is_err(), "within a line");
    assert!(source.go_to(&at(99)).is_err());
    assert!(source.go_to(&Position::Blocks { hour_ms: 0, series: 0 }).is_err());
}

#[test]
fn compressed_file_is_told_to_be_unpacked() {
    for (magic, program) in [(&[0x1f, 0x8b, 8, 0][..], "gunzip"), (&[0x28, 0xb5, 0x2f, 0xfd, 0][..], "unzstd")] {
        let error =
            open(SourceKind::JsonLines, "/data/file", &disk_with(magic)).map(drop).expect_err("it is compressed");
        assert!(error.to_string().contains(program), "{error}");
    }
}
