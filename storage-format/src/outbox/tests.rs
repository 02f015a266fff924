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

#[test]
fn every_truncation_and_any_more_is_refused() {
    let delivered = Delivered { id: "n", receiver_index: 1, receiver: "pager", at_ms: 5, http_status: 200 };
    let given_up = GivenUp { id: "n", receiver: "pager", at_ms: 5, reason: "it answered 410" };
    let payloads = [
        encoded(|out| NOTIFICATION.encode(out)),
        encoded(|out| delivered.encode(out)),
        encoded(|out| given_up.encode(out)),
    ];
    let refused = |which: usize, payload: &[u8]| match which {
        0 => Notification::decode(payload).is_err(),
        1 => Delivered::decode(payload).is_err(),
        _ => GivenUp::decode(payload).is_err(),
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
