use super::*;

const FAMILY: Family<'_> = Family { name: "up", metric_type: 2, help: "Läuft.", unit: "s" };

/// By the chapter: lengths of 4 bytes before each text, the type behind the name.
const PAYLOAD: &[u8] = b"\x02\0\0\0up\x02\x07\0\0\0L\xc3\xa4uft.\x01\0\0\0s";

#[test]
fn a_family_is_written_and_read_as_the_chapter_tells() {
    let mut payload = Vec::new();
    FAMILY.encode(&mut payload);
    assert_eq!(payload, PAYLOAD);
    assert_eq!(Family::decode(PAYLOAD), Ok(FAMILY));
    let mut end = Vec::new();
    encode_end(300, &mut end);
    assert_eq!((end.as_slice(), decode_end(&end)), (&[0x2c, 1, 0, 0][..], Ok(300)));
}

#[test]
fn what_the_chapter_forbids_is_refused() {
    assert!((0..PAYLOAD.len()).all(|length| Family::decode(&PAYLOAD[..length]).is_err()), "cut short");
    assert!(Family::decode(&[PAYLOAD, b"x"].concat()).is_err(), "goes on");
    let with = |at: usize, byte: u8| {
        let mut payload = PAYLOAD.to_vec();
        payload[at] = byte;
        Family::decode(&payload).map(drop)
    };
    assert_eq!(with(6, 8), Err(Corruption::at(6, "a type of metric that the chapter does not list")));
    assert!(with(4, 0xff).is_err(), "a name that is not UTF-8");
    assert!(Family::decode(b"\0\0\0\0\x01\0\0\0\0\0\0\0\0").is_err(), "no name");
    assert!(decode_end(&[1, 0, 0]).is_err() && decode_end(&[1, 0, 0, 0, 0]).is_err());
}
