use super::*;

fn group() -> Group<'static> {
    let series = |labels, value| Series { labels, value };
    Group {
        labels: vec![("job", "backup"), ("shard", "")],
        ttl_ms: 3_600_000,
        pushed_ms: 1_700_000_000_000,
        failed_ms: -5,
        families: vec![Family {
            name: "backup_bytes",
            metric_type: 2,
            help: "größe",
            pushed_ms: 7,
            series: vec![
                series(vec![("__name__", "backup_bytes"), ("job", "backup")], f64::from_bits(0x7ff0_0000_0000_0002)),
                series(Vec::new(), -0.0),
            ],
        }],
        ended: vec![vec![("__name__", "gone")], Vec::new()],
    }
}

fn encoded(group: &Group<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    group.encode(&mut payload);
    payload
}

#[test]
fn groups_come_back_as_they_were() {
    for group in [group(), Group::default()] {
        assert_eq!(Group::decode(&encoded(&group)), Ok(group));
    }
}

#[test]
fn payload_that_ends_early_or_goes_on_is_refused() {
    let payload = encoded(&group());
    for length in 0..payload.len() {
        assert!(Group::decode(&payload[..length]).is_err(), "{length} bytes");
    }
    assert!(Group::decode(&[payload.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn count_of_more_than_there_is_room_for_is_refused() {
    // 2^63 labels in three bytes.
    let payload = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0];
    assert!(Group::decode(&payload).is_err());
}

#[test]
fn type_that_no_chapter_lists_is_refused() {
    let payload = encoded(&group());
    let at = payload.windows(12).position(|bytes| bytes == b"backup_bytes").expect("the name is there") + 12;
    for (metric_type, is_known) in [(0, true), (7, true), (8, false), (255, false)] {
        let mut changed = payload.clone();
        changed[at] = metric_type;
        assert_eq!(Group::decode(&changed).is_ok(), is_known, "type {metric_type}");
    }
}
