//! How long what was pushed is seen: stored again and again, to its deletion or the end of its time.

use super::*;

const A: &str = r#"a{job="j"}"#;

#[test]
fn samples_are_stored_at_once_and_again_every_interval() {
    let fixture = Fixture::new();
    fixture.put("/j", "a 5\n").expect("taken");
    assert_eq!(fixture.samples(A), [(0, Some(5.0))]);
    assert_eq!(fixture.samples(r#"push_time_seconds{job="j"}"#), [(0, Some(1.7e9))]);
    assert_eq!(fixture.samples(r#"push_failure_time_seconds{job="j"}"#), [(0, Some(0.0))]);
    for _ in 0..6 {
        fixture.tick_after(10_000);
    }
    assert_eq!(fixture.samples(A), [(0, Some(5.0)), (30_000, Some(5.0)), (60_000, Some(5.0))]);
}

#[test]
fn pushes_of_one_millisecond_do_not_contradict_each_other() {
    let fixture = Fixture::new();
    for value in 0..4 {
        fixture.put("/j", &format!("a {value}\n")).expect("taken");
    }
    fixture.delete("/j").expect("deleted");
    fixture.put("/j", "a 9\n").expect("taken");
    let told = [Some(0.0), Some(1.0), Some(2.0), Some(3.0), None, Some(9.0)];
    let expected: Vec<(i64, Option<f64>)> = (0..).zip(told).collect();
    assert_eq!(fixture.samples(A), expected);
}

#[test]
fn deleted_group_ends_with_markers_and_stays_deleted() {
    let fixture = Fixture::new();
    fixture.put("/j", "a 5\n").expect("taken");
    fixture.put("/other", "a 6\n").expect("taken");
    fixture.tick_after(1000);
    fixture.delete("/j").expect("deleted");
    fixture.delete("/j").expect("what is not there is deleted");
    for series in [A, r#"push_time_seconds{job="j"}"#, r#"push_failure_time_seconds{job="j"}"#] {
        assert_eq!(fixture.samples(series).last(), Some(&(1000, None)), "{series}");
    }
    fixture.tick_after(40_000);
    assert_eq!(fixture.samples(A).len(), 2, "nothing is stored of it any more");
    assert_eq!(fixture.samples(r#"a{job="other"}"#).len(), 2, "and the other goes on");
    assert_eq!(fixture.disk.list(FOLDER.as_ref()).expect("a folder").len(), 1);
}

#[test]
fn series_that_a_push_leaves_out_ends_and_others_go_on() {
    let fixture = Fixture::new();
    fixture.put("/j", "a 1\nb{x=\"1\"} 1\n").expect("taken");
    fixture.clock.advance(Duration::from_millis(10));
    fixture.put("/j", "a 2\nb{x=\"2\"} 2\n").expect("taken");
    assert_eq!(fixture.samples(r#"b{job="j", x="1"}"#), [(0, Some(1.0)), (10, None)]);
    assert_eq!(fixture.samples(r#"b{job="j", x="2"}"#), [(10, Some(2.0))]);
    assert_eq!(fixture.samples(A), [(0, Some(1.0)), (10, Some(2.0))]);
}

#[test]
fn time_to_live_counts_from_the_last_good_push() {
    let fixture = Fixture::new();
    let push = Push { ttl_ms: Some(60_000), ..put("/j", "a 1\n") };
    fixture.push(push.clone()).expect("taken");
    fixture.clock.advance(Duration::from_secs(50));
    refusal(fixture.push(Push { ttl_ms: Some(0), ..put("/j", "a 1\na 2\n") }));
    fixture.tick_after(9_999);
    assert_eq!(fixture.groups().len(), 1, "59.999 s after the good one");
    fixture.push(push).expect("taken");
    fixture.tick_after(59_000);
    assert_eq!(fixture.groups().len(), 1);
    fixture.tick_after(1_000);
    assert_eq!(fixture.groups().len(), 0);
    assert_eq!(fixture.samples(A).last(), Some(&(119_999, None)));
    assert_eq!(fixture.gateway.counters().groups_expired.load(Ordering::Relaxed), 1);
    assert_eq!(fixture.disk.list(FOLDER.as_ref()).expect("a folder"), Vec::<String>::new());
}

#[test]
fn setting_gives_a_time_to_live_to_who_says_none() {
    let fixture = Fixture::with(PushSettings { ttl_ms: 5_000, ..settings() });
    fixture.put("/j", "a 1\n").expect("taken");
    fixture.push(Push { ttl_ms: Some(0), ..put("/for/ever/so", "b 1\n") }).expect("taken");
    fixture.tick_after(5_000);
    let groups = fixture.groups();
    let left: Vec<&str> = groups.iter().map(|group| group.key.pairs()[1].1.as_str()).collect();
    assert_eq!(left, ["for"]);
}

#[test]
fn wipe_ends_every_group() {
    let fixture = Fixture::new();
    for path in ["/a", "/b", "/c"] {
        fixture.put(path, "a 1\n").expect("taken");
    }
    fixture.runtime.block_on(fixture.gateway.wipe()).expect("wiped");
    assert_eq!(fixture.groups().len(), 0);
    for job in ["a", "b", "c"] {
        let samples = fixture.samples(&format!("a{{job=\"{job}\"}}"));
        assert_eq!(samples.last().map(|sample| sample.1), Some(None), "{job}");
    }
}

#[test]
fn many_series_are_stored_in_several_writes() {
    let fixture = Fixture::with(PushSettings { series_per_group_max: 20_000, bytes_max: 1 << 24, ..settings() });
    let body: String = (0..12_000).map(|index| format!("a{{x=\"{index}\"}} {index}\n")).collect();
    fixture.put("/j", &body).expect("taken");
    fixture.tick_after(INTERVAL_MS as u64);
    for index in [0, 4_999, 5_000, 11_999] {
        let samples = fixture.samples(&format!(r#"a{{job="j", x="{index}"}}"#));
        assert_eq!(samples, [(0, Some(f64::from(index))), (INTERVAL_MS, Some(f64::from(index)))], "{index}");
    }
}
