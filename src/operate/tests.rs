use super::asking::url_of;
use super::pack::{Wanted, text_of};
use super::snapshot::name_in;
use super::*;

#[test]
fn server_is_found_by_its_settings() {
    let url = |yaml| url_of(&Config::from_yaml("a.yml", yaml).expect("the settings are right"));
    assert_eq!(url(""), "http://127.0.0.1:9090");
    assert_eq!(url("listen: 0.0.0.0:80"), "http://127.0.0.1:80");
    assert_eq!(url("listen: '[::]:80'"), "http://[::1]:80");
    assert_eq!(url("external_url: https://watch.example/dozor"), "https://watch.example/dozor");
}

#[test]
fn answer_of_a_server_is_a_name_or_a_reason() {
    let good = br#"{"status":"success","data":{"name":"20261122T003000Z-1a2b3c4d"}}"#;
    assert_eq!(name_in(good), Ok("20261122T003000Z-1a2b3c4d".to_owned()));
    let refused = br#"{"status":"error","errorType":"unavailable","error":"admin APIs disabled","hint":"set it"}"#;
    assert_eq!(name_in(refused), Err("admin APIs disabled (set it)".to_owned()));
    assert_eq!(name_in(b"<html>"), Err("<html>".to_owned()));
    assert!(name_in(br#"{"data":{"name":"../../etc"}}"#).is_err(), "a name becomes a part of a path");
}

#[test]
fn snapshot_is_given_by_name_or_by_folder() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let inside = data.path().join("snapshots/20261122T003000Z-1a2b3c4d");
    std::fs::create_dir_all(&inside).expect("it can be made");
    assert_eq!(snapshot_folder("20261122T003000Z-1a2b3c4d", data.path()).expect("it is there"), inside);
    let given = inside.to_str().expect("text");
    assert_eq!(snapshot_folder(given, Path::new("/nowhere")).expect("it is there"), inside);
    assert!(snapshot_folder("20200101T000000Z-00000000", data.path()).is_err());
}

#[test]
fn list_names_every_alert_whose_runbook_can_be_printed() {
    let list = text_of(&Wanted::List).expect("there is a list");
    let alerts: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(alerts.contains(&"OrdersDropped"), "{list}");
    for alert in alerts {
        let text = text_of(&Wanted::Runbook { alert: alert.to_owned() }).expect("it has a runbook");
        assert!(text.starts_with(&format!("## {alert}\n")), "{text}");
    }
}

#[test]
fn what_is_not_there_is_said_with_the_way_to_what_is() {
    let of = |wanted| text_of(&wanted).expect_err("it is not there").to_string();
    assert!(of(Wanted::Print { pack: "bank".to_owned(), readme: false }).contains("dozor pack list"));
    assert!(of(Wanted::Runbook { alert: "OrdersD".to_owned() }).contains("dozor pack list"));
}
