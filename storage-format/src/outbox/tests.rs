use proptest::prelude::*;

use super::*;

const NOTIFICATION: Notification<'static> = Notification {
    id: "n-1",
    fingerprint: 0x0102_0304_0506_0708,
    status: Status::Resolved,
    starts_at_ms: 1000,
    ends_at_ms: -1,
    created_ms: i64::MAX,
    body: "{}",
};

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut payload = Vec::new();
    encode(&mut payload);
    payload
}

#[test]
fn notification_takes_the_bytes_of_the_chapter() {
    let expected: [&[u8]; 7] = [
        &[3, 0, 0, 0, b'n', b'-', b'1'],
        &[8, 7, 6, 5, 4, 3, 2, 1],
        &[2],
        &[0xe8, 3, 0, 0, 0, 0, 0, 0],
        &[0xff; 8],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[2, 0, 0, 0, b'{', b'}'],
    ];
    let payload = encoded(|out| NOTIFICATION.encode(out));
    assert_eq!(payload, expected.concat());
    assert_eq!(Notification::decode(&payload), Ok(NOTIFICATION));
}

#[test]
fn unknown_status_is_refused() {
    let mut payload = encoded(|out| NOTIFICATION.encode(out));
    for status in [0, 3, 255] {
        payload[15] = status;
        assert_eq!(Notification::decode(&payload).unwrap_err().offset, 15);
    }
}

fn told() -> Told<'static> {
    Told {
        id: "m",
        receiver: "pager",
        group_key: "{}:{}",
        at_ms: 5,
        sequence: 2,
        expires_ms: -1,
        firing: vec![1, u64::MAX],
        resolved: vec![],
    }
}

#[test]
fn message_takes_the_bytes_of_the_chapter() {
    let expected: [&[u8]; 10] = [
        &[1, 0, 0, 0, b'm'],
        &[5, 0, 0, 0, b'p', b'a', b'g', b'e', b'r'],
        &[5, 0, 0, 0, b'{', b'}', b':', b'{', b'}'],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        &[2, 0, 0, 0, 0, 0, 0, 0],
        &[0xff; 8],
        &[2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        &[0xff; 8],
        &[0, 0, 0, 0],
        &[2, 0, 0, 0, b'{', b'}'],
    ];
    let message = Message { told: told(), body: "{}" };
    let payload = encoded(|out| message.encode(out));
    assert_eq!(payload, expected.concat());
    assert_eq!(Message::decode(&payload), Ok(message));
    let without_body = expected[..9].concat();
    assert_eq!(encoded(|out| told().encode(out)), without_body);
    assert_eq!(Told::decode(&without_body), Ok(told()));
}

#[test]
fn a_set_that_does_not_ascend_is_refused() {
    let mut payload = encoded(|out| told().encode(out));
    // Its second member stands behind 23 bytes of texts, 24 of numbers, the count and the first member.
    payload[59..67].copy_from_slice(&1u64.to_le_bytes());
    let refusal = Told::decode(&payload).unwrap_err();
    assert_eq!((refusal.offset, refusal.what), (59, "a set does not ascend"));
}

#[test]
fn every_truncation_and_any_more_is_refused() {
    let delivered = Delivered { id: "n", receiver_index: 1, receiver: "pager", at_ms: 5, http_status: 200 };
    let given_up = GivenUp { id: "n", receiver: "pager", at_ms: 5, reason: "it answered 410" };
    let payloads = [
        encoded(|out| NOTIFICATION.encode(out)),
        encoded(|out| delivered.encode(out)),
        encoded(|out| given_up.encode(out)),
        encoded(|out| Message { told: told(), body: "{}" }.encode(out)),
        encoded(|out| told().encode(out)),
    ];
    let refused = |which: usize, payload: &[u8]| match which {
        0 => Notification::decode(payload).is_err(),
        1 => Delivered::decode(payload).is_err(),
        2 => GivenUp::decode(payload).is_err(),
        3 => Message::decode(payload).is_err(),
        _ => Told::decode(payload).is_err(),
    };
    for (which, payload) in payloads.iter().enumerate() {
        assert!(!refused(which, payload));
        for length in 0..payload.len() {
            assert!(refused(which, &payload[..length]), "{which}: length {length}");
        }
        assert!(refused(which, &[payload, &[0][..]].concat()), "{which}: a byte too many");
    }
}

proptest! {
    #[test]
    fn records_come_back(
        (id, receiver, text) in (".{0,40}", ".{0,40}", ".{0,200}"),
        (starts_at_ms, ends_at_ms, created_ms) in any::<(i64, i64, i64)>(),
        (fingerprint, receiver_index, http_status, firing) in any::<(u64, u16, u16, bool)>(),
    ) {
        let status = if firing { Status::Firing } else { Status::Resolved };
        let notification =
            Notification { id: &id, fingerprint, status, starts_at_ms, ends_at_ms, created_ms, body: &text };
        let payload = encoded(|out| notification.encode(out));
        prop_assert_eq!(Notification::decode(&payload), Ok(notification));
        let delivered = Delivered { id: &id, receiver_index, receiver: &receiver, at_ms: created_ms, http_status };
        let payload = encoded(|out| delivered.encode(out));
        prop_assert_eq!(Delivered::decode(&payload), Ok(delivered));
        let given_up = GivenUp { id: &id, receiver: &receiver, at_ms: created_ms, reason: &text };
        let payload = encoded(|out| given_up.encode(out));
        prop_assert_eq!(GivenUp::decode(&payload), Ok(given_up));
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = Notification::decode(&bytes);
        let _ = Delivered::decode(&bytes);
        let _ = GivenUp::decode(&bytes);
    }
}
