//! `inspect` on the golden files of the format, whole and damaged.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../storage-format/golden/v1").join(name)
}

fn inspect(arguments: &[&str], file: &Path) -> (String, Option<i32>) {
    let output: Output =
        Command::new(env!("CARGO_BIN_EXE_inspect")).args(arguments).arg(file).output().expect("inspect starts");
    (String::from_utf8(output.stdout).expect("it prints UTF-8"), output.status.code())
}

/// What is printed below the line with the file's name.
fn body(printed: &str) -> Vec<&str> {
    printed.lines().skip(1).map(str::trim_end).collect()
}

#[test]
fn log_segment_is_printed_with_offsets() {
    let (printed, code) = inspect(&["--limit", "3"], &golden("log.bin"));
    assert_eq!(
        body(&printed),
        [
            "00000000  file header: version 1, sequence 7, created 2023-11-14T22:13:20.000Z, salt 0x00005eed",
            "00000020  record 0: series, shard 2, 36 bytes",
            r#"            0  {__name__="up", node="1"}"#,
            r#"            300  {__name__="é"}"#,
            "00000060  record 1: samples, shard 2, 36 bytes",
            "            0  1970-01-01T00:00:15.000Z  1",
            "            1  1970-01-01T00:00:15.000Z  -123.45",
            "            300  1970-01-01T00:00:15.002Z  stale",
            "            … 2 more",
            "000000a0  end of records, 24 zero bytes follow",
        ]
    );
    assert_eq!(code, Some(0));
}

#[test]
fn block_is_printed_with_series_and_samples() {
    let (printed, code) = inspect(&[], &golden("block.bin"));
    assert_eq!(
        body(&printed),
        [
            "00000000  block header: 1970-01-01T00:00:00.000Z to before 1970-01-01T02:00:00.000Z, created 1970-01-01T02:01:00.000Z",
            r#"series 0 {__name__="up", node="1"}"#,
            "00000040  chunk: 2 samples, 25 bytes",
            "            1970-01-01T00:00:01.000Z  1",
            "            1970-01-01T00:00:16.000Z  1",
            "00000059  chunk: 1 samples, 22 bytes",
            "            1970-01-01T00:00:31.000Z  0",
            r#"series 1 {__name__="up", node="2"}"#,
            "0000006f  chunk: 1 samples, 22 bytes",
            "            1970-01-01T00:00:01.000Z  stale",
            "00000085  symbols: 44 bytes",
            "000000b1  series: 45 bytes",
            "000000de  postings: 56 bytes",
            r#"            __name__="up"  2 series: [0, 1]"#,
            r#"            node="1"  1 series: [0]"#,
            r#"            node="2"  1 series: [1]"#,
            "00000116  footer: 2 series, 4 samples",
        ]
    );
    assert_eq!(code, Some(0));
}

#[test]
fn outbox_and_detector_state_are_printed() {
    let (outbox, _) = inspect(&["--limit", "0"], &golden("outbox.bin"));
    for expected in [
        "n-1  Firing, fingerprint 0123456789abcdef",
        "from 1970-01-01T00:00:01.000Z, still on, created 1970-01-01T00:00:02.000Z",
        r#"{"status":"firing"}"#,
        "n-1  to pager (1) at 1970-01-01T00:00:02.500Z, status 200",
        "n-1  to mail at 1970-01-01T00:00:09.000Z: 410 Gone",
    ] {
        assert!(body(&outbox).iter().any(|line| line.trim() == expected), "{expected}\n{outbox}");
    }
    let (grouped, _) = inspect(&["--limit", "0"], &golden("../v2/outbox.bin"));
    for expected in [
        "m-1  to pager at 1970-01-01T00:00:02.000Z, 1 of group {}:{}, kept until 1970-01-01T00:00:09.000Z",
        "firing [0000000000000001 0123456789abcdef], resolved [0000000000000002]",
        r#"{"alerts":[]}"#,
    ] {
        assert!(body(&grouped).iter().any(|line| line.trim() == expected), "{expected}\n{grouped}");
    }
    let (state, _) = inspect(&[], &golden("detector.bin"));
    assert!(state.contains(r#"{"rule":"OrderRateDrop","buckets":[1,2]}"#), "{state}");
}

#[test]
fn metadata_is_printed() {
    let (printed, code) = inspect(&[], &golden("metadata.bin"));
    for expected in [
        r#"http_requests_total  type 1, unit "", help "Requests answered.""#,
        r#"sizes.größe  type 3, unit "bytes", help """#,
        "end of 2 families",
    ] {
        assert!(body(&printed).iter().any(|line| line.trim() == expected), "{expected}\n{printed}");
    }
    assert!(printed.contains("bytes, metadata") && code == Some(0), "{printed}");
}

#[test]
fn tombstones_and_manifest_are_printed() {
    use storage_format::manifest::{Cause, Manifest, ManifestFile};
    use storage_format::tombstones::{Tombstone, encode};
    let folder = tempfile::tempdir().expect("a folder for the files");
    let path = folder.path().join("file");
    std::fs::write(&path, encode(&[Tombstone { series: 7, from_ms: 0, to_ms: 1_500 }], 60_000)).expect("written");
    let (printed, code) = inspect(&[], &path);
    let expected = [
        "00000000  of the block created 1970-01-01T00:01:00.000Z: 1 deleted",
        "            series 7  1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.500Z",
    ];
    assert_eq!((body(&printed), code), (expected.to_vec(), Some(0)));

    let file = ManifestFile { path: "log/00000001.log".to_owned(), bytes: 32, checksum: 0xab };
    let manifest = Manifest { created_ms: 60_000, cause: Cause::Schedule, files: vec![file] };
    std::fs::write(&path, manifest.encode()).expect("written");
    let (printed, code) = inspect(&[], &path);
    let expected = [
        "00000000  snapshot of 1970-01-01T00:01:00.000Z, by Schedule: 32 bytes",
        "            000000ab            32  log/00000001.log",
    ];
    assert_eq!((body(&printed), code), (expected.to_vec(), Some(0)));
}

#[test]
fn damage_is_marked_and_the_rest_printed() {
    let folder = tempfile::tempdir().expect("a folder for the damaged file");
    let damaged = folder.path().join("log");
    let mut bytes = std::fs::read(golden("log.bin")).expect("the golden file is there");
    bytes[0x3b] ^= 1; // in the payload of the first record
    std::fs::write(&damaged, bytes).expect("the folder can be written to");
    let (printed, code) = inspect(&[], &damaged);
    let lines = body(&printed);
    assert_eq!(lines[1], "00000020  DAMAGE: up to 00000060: a payload does not match its checksum");
    assert_eq!(lines[2], "00000060  record 0: samples, shard 2, 36 bytes");
    assert_eq!(code, Some(1));
}

#[test]
fn a_file_that_is_not_ours_is_named_so() {
    let (printed, code) = inspect(&[], Path::new(env!("CARGO_BIN_EXE_inspect")));
    assert!(printed.contains("none of our magics"), "{printed}");
    assert_eq!(code, Some(1));
}
