//! What goes over the wire, and where it may go.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::{NOON_MS, firing, resolved};
use crate::model::Labels;
use crate::notify::address::{allowed, check_url};
use crate::notify::owed::{Notification, Owed};
use crate::notify::{ANNOTATION_BYTES_MAX, ANNOTATIONS_COUNT_MAX, Alert, Secret, SecretError, payload};

fn rendered(alert: &Alert) -> String {
    let (id, incident) = (alert.transition_id(), "inc-1".to_owned());
    let receivers = vec!["pager".to_owned()];
    let owed =
        Notification { id, alert: alert.clone(), incident, enqueued_at_ms: NOON_MS, receivers, joint: Vec::new() };
    let message = Owed::Transition(Arc::new(owed)).message("pager");
    String::from_utf8(payload::body_of(&message, "pager", "http://dozor.example:9490", None)).unwrap()
}

/// What Alertmanager 0.25 sent to a webhook for this alert, grouped by `...`; the fingerprint is another hash there.
const ALERTMANAGERS_OWN: &str = r#"{"receiver":"pager","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"OrderRateDrop","q":"say \"hi\"\\ \n","region":"eu"},"annotations":{"summary":"x"},"startsAt":"2026-03-01T12:00:00.123Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://dozor.example/graph","fingerprint":"9433e9ebc500cb20"}],"groupLabels":{"alertname":"OrderRateDrop","q":"say \"hi\"\\ \n","region":"eu"},"commonLabels":{"alertname":"OrderRateDrop","q":"say \"hi\"\\ \n","region":"eu"},"commonAnnotations":{"summary":"x"},"externalURL":"http://dozor.example:9490","version":"4","groupKey":"{}:{alertname=\"OrderRateDrop\", q=\"say \\\"hi\\\"\\\\ \\n\", region=\"eu\"}","truncatedAlerts":0}"#;

#[test]
fn a_firing_alert_is_the_json_that_alertmanager_sends_byte_for_byte() {
    let labels = [("alertname", "OrderRateDrop"), ("region", "eu"), ("q", "say \"hi\"\\ \n")];
    let alert = Alert {
        labels: Labels::from_pairs(labels).unwrap(),
        annotations: vec![("summary".to_owned(), "x".to_owned())],
        starts_at_ms: NOON_MS + 123,
        ..firing("OrderRateDrop")
    };
    let fingerprint = format!("{:016x}", alert.labels.hash());
    let (theirs, ours) = (ALERTMANAGERS_OWN.replace("9433e9ebc500cb20", &fingerprint), rendered(&alert));
    // What Alertmanager does not say stands behind what it says.
    let (alike, more) = ours.split_once(r#","dozor":"#).unwrap();
    assert_eq!(alike, theirs.trim_end_matches('}'));
    assert!(more.contains(r#""incidents":["inc-1"]"#), "{more}");
}

#[test]
fn a_resolved_alert_says_when_it_ended() {
    let body = rendered(&resolved("OrderRateDrop"));
    assert!(body.contains(r#""endsAt":"2026-03-01T12:01:30.000Z""#), "{body}");
    assert_eq!(body.matches(r#""status":"resolved""#).count(), 2, "{body}");
}

#[test]
fn times_that_rfc_3339_cannot_write_are_written_as_the_nearest_it_can() {
    let strange = Alert { starts_at_ms: i64::MIN, ends_at_ms: Some(i64::MAX), ..firing("A") };
    let body = rendered(&strange);
    assert!(body.contains(r#""startsAt":"0001-01-01T00:00:00.000Z""#), "{body}");
    assert!(body.contains(r#""endsAt":"9999-12-30T22:00:00.000Z""#), "{body}");
}

#[test]
fn long_annotations_are_cut_between_characters_and_say_so() {
    let mut alert = firing("A");
    alert.annotations = (0..100).map(|index| (format!("n{index:03}"), "ж".repeat(ANNOTATION_BYTES_MAX))).collect();
    alert.annotations.reverse();
    let cut = alert.bounded();
    assert_eq!(cut.annotations.len(), ANNOTATIONS_COUNT_MAX);
    assert_eq!(cut.annotations[0].0, "n000");
    // 4096 bytes less three for the mark hold 2046 letters of two bytes.
    assert_eq!(cut.annotations[0].1, format!("{}…", "ж".repeat(2046)));
}

#[test]
fn the_id_names_the_transition_and_has_no_dot() {
    let hash = firing("A").labels.hash();
    assert_eq!(firing("A").transition_id(), format!("{hash:016x}-1772366400000-firing"));
    assert_eq!(resolved("A").transition_id(), format!("{hash:016x}-1772366400000-resolved"));
}

/// The example that the makers of Standard Webhooks test their own libraries with; Python's `hmac` gives the same.
#[test]
fn the_signature_is_that_of_standard_webhooks() {
    let secret = Secret::parse(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn a_secret_is_never_shown() {
    let shown = format!("{:?}", Secret::parse(b"hunter2hunter2").unwrap());
    assert!(!shown.contains("hunter2") && !shown.contains("104"), "{shown}");
}

#[test]
fn a_secret_file_that_everybody_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let write = |content: &[u8], mode| {
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write(b" raw bytes \n", 0o600);
    assert_eq!(Secret::from_file(&path).unwrap(), Secret::parse(b"raw bytes").unwrap());
    write(b"raw bytes", 0o644);
    assert!(matches!(Secret::from_file(&path), Err(SecretError::WorldReadable { mode: 0o644, .. })));
    write(b"whsec_not base64!", 0o600);
    assert!(matches!(Secret::from_file(&path), Err(SecretError::Unusable { .. })));
    write(b" \n", 0o600);
    assert!(matches!(Secret::from_file(&path), Err(SecretError::Unusable { .. })));
    write(&[b'k'; 5000], 0o600);
    assert!(matches!(Secret::from_file(&path), Err(SecretError::Unusable { .. })));
    assert!(matches!(Secret::from_file(&folder.path().join("none")), Err(SecretError::Unreadable { .. })));
}

#[test]
fn ordinary_pagers_are_allowed() {
    for url in [
        "http://127.0.0.1:9093/hook",
        "http://localhost/",
        "https://pager.example/x?y=z",
        "http://10.0.0.5/",
        "http://[::1]:80/",
        "http://192.168.1.1/",
        "http://[fd00::1]/",
    ] {
        assert!(check_url(url).is_ok(), "{url}: {:?}", check_url(url));
    }
}

#[test]
fn metadata_services_are_refused_in_every_spelling() {
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://169.254.0.1/",
        "http://0xa9fea9fe/",
        "http://2852039166/",
        "http://169.254.43518/",
        "http://[fe80::1]/",
        "http://[febf::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "http://metadata.google.internal/",
        "http://METADATA.google.internal./",
        "ftp://pager.example/",
        "file:///etc/passwd",
        "pager.example/hook",
    ] {
        assert!(check_url(url).is_err(), "{url} was allowed");
    }
}

#[test]
fn a_name_that_leads_to_a_metadata_service_is_refused_after_the_look_up() {
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
    let refused = allowed("pager.example", addresses(&["169.254.169.254:0", "[fe80::1]:0"])).unwrap_err();
    assert!(refused.contains("pager.example") && refused.contains("169.254.169.254"), "{refused}");
    let mixed = allowed("pager.example", addresses(&["169.254.169.254:0", "10.0.0.1:0"])).unwrap();
    assert_eq!(mixed, addresses(&["10.0.0.1:0"]));
    assert!(allowed("pager.example", Vec::new()).is_err());
}
