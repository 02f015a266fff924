use proptest::prelude::*;

use super::*;

const ENTRY: Entry<'static> = Entry { id: "inc-1", at_ms: 1000, body: "{}" };

fn encoded(entry: &Entry<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    entry.encode(&mut payload);
    payload
}

#[test]
fn entry_takes_the_bytes_of_the_chapter() {
    let expected: [&[u8]; 3] =
        [&[5, 0, 0, 0, b'i', b'n', b'c', b'-', b'1'], &[0xe8, 3, 0, 0, 0, 0, 0, 0], &[2, 0, 0, 0, b'{', b'}']];
    assert_eq!(encoded(&ENTRY), expected.concat());
    assert_eq!(Entry::decode(&expected.concat()), Ok(ENTRY));
}

#[test]
fn every_truncation_and_any_more_is_refused() {
    let payload = encoded(&ENTRY);
    for length in 0..payload.len() {
        assert!(Entry::decode(&payload[..length]).is_err(), "length {length}");
    }
    assert!(Entry::decode(&[&payload, &[0][..]].concat()).is_err());
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let mut payload = encoded(&ENTRY);
    payload[4] = 0xff;
    assert_eq!(Entry::decode(&payload).unwrap_err().offset, 4);
}

proptest! {
    #[test]
    fn entries_come_back(id in ".{0,40}", at_ms in any::<i64>(), body in ".{0,200}") {
        let entry = Entry { id: &id, at_ms, body: &body };
        let payload = encoded(&entry);
        prop_assert_eq!(Entry::decode(&payload), Ok(entry));
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = Entry::decode(&bytes);
    }
}
