use super::*;

fn manifest() -> Manifest {
    let file = |path: &str, bytes, checksum| ManifestFile { path: path.to_owned(), bytes, checksum };
    Manifest {
        created_ms: 1_763_771_400_123,
        cause: Cause::Schedule,
        files: vec![file("blocks/-7-0.block", 7, 0x29c0_a1f7), file("detect.state", 0, 0), file("log/1.log", 5, 10)],
    }
}

/// CRC-32C bit by bit, as the polynomial is written down.
fn checksum_by_bits(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// A manifest of these lines, its last line made to fit.
fn text(lines: &str, count: usize, total: u64) -> Vec<u8> {
    format!("{lines}end {count} {total} {:08x}\n", checksum_by_bits(lines.as_bytes())).into_bytes()
}

const LINES: &str = "dozor snapshot 1\ncreated 1763771400123\ncause schedule\nfile 29c0a1f7 7 blocks/-7-0.block\n\
    file 00000000 0 detect.state\nfile 0000000a 5 log/1.log\n";

#[test]
fn text_is_that_of_the_chapter_and_reads_back() {
    let expected = text(LINES, 3, 12);
    assert_eq!(manifest().encode(), expected);
    assert_eq!(Manifest::decode(&expected), Ok(manifest()));
    let empty = Manifest { created_ms: -5, cause: Cause::Request, files: Vec::new() };
    assert_eq!(Manifest::decode(&empty.encode()), Ok(empty));
}

#[test]
fn each_changed_byte_and_each_length_is_refused() {
    let good = manifest().encode();
    for length in 0..good.len() {
        assert!(Manifest::decode(&good[..length]).is_err(), "{length} bytes");
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(Manifest::decode(&bad).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn what_breaks_a_rule_is_refused_whatever_its_checksum() {
    let head = "dozor snapshot 1\ncreated 1\ncause request\n";
    for (lines, count, total) in [
        (format!("{head}file 00000000 0 ../b\n"), 1, 0),
        (format!("{head}file 00000000 0 /b\n"), 1, 0),
        (format!("{head}file 00000000 0 a/../b\n"), 1, 0),
        (format!("{head}file 00000000 0 a/b/c\n"), 1, 0),
        (format!("{head}file 00000000 0 a b\n"), 1, 0),
        (format!("{head}file 00000000 00 a\n"), 1, 0),
        (format!("{head}file 0 0 a\n"), 1, 0),
        (format!("{head}file 0000000G 0 a\n"), 1, 0),
        (format!("{head}file 00000000 0 b\nfile 00000000 0 a\n"), 2, 0),
        (format!("{head}file 00000000 0 a\nfile 00000000 0 a\n"), 2, 0),
        (format!("{head}file 00000000 1 a\n"), 1, 2),
        (format!("{head}file 00000000 1 a\n"), 2, 1),
        (head.replace("request", "boredom"), 0, 0),
        (head.replace("snapshot 1", "snapshot 2"), 0, 0),
        (head.replace("created 1", "created +1"), 0, 0),
        ("dozor snapshot 1\n".to_owned(), 0, 0),
    ] {
        assert!(Manifest::decode(&text(&lines, count, total)).is_err(), "{lines}");
    }
    assert!(
        Manifest::decode(&text(&format!("{head}file 00000000 1 a\n"), 1, 1)).is_ok(),
        "the tests' own text is right"
    );
}
