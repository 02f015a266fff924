//! What a crash, a full disk and damage leave of the groups.

use std::path::Path;

use super::*;

const A: &str = r#"a{job="j"}"#;

#[test]
fn what_was_acknowledged_goes_on_after_a_crash() {
    let fixture = Fixture::new();
    fixture
        .push(Push { ttl_ms: Some(600_000), ..put("/j/shop/größe/none/", "# HELP a b\n# TYPE a gauge\na -0\n") })
        .expect("taken");
    let before = fixture.groups().remove(0);
    let fixture = fixture.crash();
    assert_eq!(fixture.damage, Vec::<String>::new());
    let after = fixture.groups().remove(0);
    assert_eq!((&after.key, after.ttl_ms, after.pushed_ms), (&before.key, before.ttl_ms, before.pushed_ms));
    assert_eq!(format!("{:?}", after.families), format!("{:?}", before.families));
    // Stored again at once, whenever that was due.
    fixture.tick_after(5_000);
    let samples = fixture.samples(r#"a{job="j", shop="größe"}"#);
    assert_eq!(samples, [(0, Some(-0.0)), (5_000, Some(-0.0))]);
    fixture.tick_after(600_000);
    assert_eq!(fixture.groups().len(), 0, "the time to live outlives the crash");
}

#[test]
fn deleted_group_stays_deleted_after_a_crash() {
    let fixture = Fixture::new();
    fixture.put("/j", "a 1\n").expect("taken");
    fixture.delete("/j").expect("deleted");
    let fixture = fixture.crash();
    fixture.tick_after(60_000);
    assert_eq!(fixture.groups().len(), 0);
    assert_eq!(fixture.samples(A).last().map(|sample| sample.1), Some(None));
}

#[test]
fn deletion_that_is_tried_again_is_made_safe() {
    for way in ["delete", "wipe"] {
        // Somewhere among these is the file removed, and its folder not synced any more.
        let is_cut = |count: &u64| {
            let fixture = Fixture::new();
            fixture.put("/j", "a 1\n").expect("taken");
            fixture.disk.fail_after(*count);
            let ended = match way {
                "delete" => fixture.delete("/j"),
                _ => fixture.runtime.block_on(fixture.gateway.wipe()),
            };
            fixture.disk.heal();
            let is_removed = fixture.disk.list(FOLDER.as_ref()).expect("a folder").is_empty();
            if ended.is_ok() || !is_removed {
                return false;
            }
            fixture.delete("/j").expect("deleted");
            assert_eq!(fixture.crash().groups().len(), 0, "{way}");
            true
        };
        assert!((0..20).cycle().take(200).any(|count| is_cut(&count)), "{way}");
    }
}

#[test]
fn push_that_cannot_be_made_safe_changes_nothing() {
    let fixture = Fixture::new();
    fixture.put("/j", "a 1\n").expect("taken");
    fixture.disk.fail_after(0);
    let (status, text) = refusal(fixture.put("/j", "a 2\n"));
    fixture.disk.heal();
    assert_eq!(status, 503, "{text}");
    assert_eq!(fixture.groups()[0].families["a"].series[0].1, 1.0);
    fixture.put("/j", "a 3\n").expect("the disk works again");
    assert_eq!(fixture.samples(A).last().map(|sample| sample.1), Some(Some(3.0)));
}

#[test]
fn samples_that_are_not_taken_now_are_stored_later_markers_too() {
    let fixture = Fixture::new();
    fixture.put("/j", "a 1\n").expect("taken");
    fixture.clock.advance(Duration::from_millis(10));
    // The file of a group takes five operations; the log finds a full disk.
    fixture.disk.fail_after(5);
    let (status, text) = refusal(fixture.put("/j", "b 2\n"));
    assert!(status == 503 && text.starts_with("the group is kept, and is stored again"), "{status} {text}");
    fixture.disk.heal();
    let fixture = fixture.crash();
    fixture.tick_after(10);
    assert_eq!(fixture.samples(A).last().map(|sample| sample.1), Some(None), "the series that the push left out");
    assert_eq!(fixture.samples(r#"b{job="j"}"#).last().map(|sample| sample.1), Some(Some(2.0)));
}

#[test]
fn damage_costs_one_group_and_is_told() {
    let fixture = Fixture::new();
    for path in ["/a", "/b"] {
        fixture.put(path, "a 1\n").expect("taken");
    }
    let name = file::file_name(&GroupKey::of_path("/a").expect("a key"));
    let path = Path::new(FOLDER).join(&name);
    let mut bytes = fixture.disk.read(&path).expect("the file is there").to_vec();
    bytes[70] ^= 1;
    fixture.disk.replace(&path, &bytes).expect("written");
    let fixture = fixture.crash();
    assert!(fixture.damage.len() == 1 && fixture.damage[0].contains(&name), "{:?}", fixture.damage);
    let groups = fixture.groups();
    assert!(groups.len() == 1 && groups[0].key.pairs()[0].1 == "b");
    let names = fixture.disk.list(FOLDER.as_ref()).expect("a folder");
    assert!(names.iter().any(|name| name.ends_with(".damaged")), "{names:?}");
    fixture.clock.advance(Duration::from_secs(1));
    fixture.put("/a", "a 2\n").expect("it can be pushed again");
}

#[test]
fn file_with_a_key_that_nobody_can_push_is_damage() {
    use storage_format::frame::{FileHeader, FileKind, append_record};
    use storage_format::push_groups::{Group as Record, KIND_GROUP};
    let fixture = Fixture::new();
    let names: Vec<String> = (0..64).map(|index| format!("l{index:02}")).collect();
    let (long_value, long_name) = ("x".repeat(4097), "x".repeat(1025));
    let job = ("job", "j");
    let keys: [Vec<(&str, &str)>; 6] = [
        vec![("", "x"), job],
        [job].into_iter().chain(names.iter().map(|name| (name.as_str(), "x"))).collect(),
        vec![job, ("x", &long_value)],
        vec![job, (&long_name, "x")],
        vec![("__name__", "x"), job],
        vec![job, ("é", "x")],
    ];
    for (index, labels) in keys.iter().enumerate() {
        let record = Record {
            labels: labels.clone(),
            ttl_ms: 0,
            pushed_ms: NOW_MS,
            failed_ms: 0,
            families: Vec::new(),
            ended: Vec::new(),
        };
        let header = FileHeader::new(FileKind::PushGroup, 0, NOW_MS, 1);
        let (mut bytes, mut payload) = (header.encode().to_vec(), Vec::new());
        record.encode(&mut payload);
        append_record(&mut bytes, KIND_GROUP, 0, header.chain_start(), &payload);
        assert_eq!(file::decode(&bytes).err().as_deref(), Some("its labels name no group"), "{index}");
        let path = Path::new(FOLDER).join(format!("{index}.group"));
        fixture.disk.replace(&path, &bytes).expect("written");
    }
    let fixture = fixture.crash();
    assert_eq!((fixture.damage.len(), fixture.groups().len()), (keys.len(), 0));
}

#[test]
fn files_come_back_as_they_were() {
    let fixture = Fixture::new();
    fixture.put("/j/é/x", "").expect_err("a label's name is of ASCII");
    fixture.put("/j/x/é", "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nnan NaN\n").expect("taken");
    let group = fixture.groups().remove(0);
    let bytes = file::encode(&group, NOW_MS);
    let read = file::decode(&bytes).expect("our own file");
    assert_eq!(format!("{:?}", read.families), format!("{:?}", group.families));
    for length in 0..bytes.len() {
        let _ = file::decode(&bytes[..length]);
    }
    assert!(file::decode(&bytes[..40]).is_err());
}

#[test]
fn every_refusal_is_counted_once_by_its_reason() {
    let fixture = Fixture::new();
    let odd = Push { content_type: Some("application/protobuf".to_owned()), ..put("/backup", "a 1\n") };
    assert_eq!(fixture.push(odd).expect_err("refused").status(), 415);
    fixture.storage.close();
    assert_eq!(fixture.put("/backup", "a 1\n").expect_err("kept, not stored").status(), 503);
    let counters = fixture.gateway.ingest.counters();
    let reasons: Vec<(&str, u64)> = counters.refused().filter(|(_, count)| *count > 0).collect();
    assert_eq!(reasons, [("unsupported", 1), ("closing", 1)]);
}
