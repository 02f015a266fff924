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
