//! A reload takes over who is told and by which rules, as a whole, while alerts fire and are being delivered.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::TempDir;

use crate::api::get;
use crate::engine::Engine;
use crate::process::free_address;
use crate::wait::wait_until;
use crate::webhook::{Pager, Told};

/// An Alertmanager that keeps what it is sent.
fn alertmanager() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let (listener, bodies) = (TcpListener::bind("127.0.0.1:0").expect("a port"), Arc::default());
    let (address, kept): (_, Arc<Mutex<Vec<String>>>) = (listener.local_addr().expect("bound"), Arc::clone(&bodies));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                let header = line.to_ascii_lowercase();
                length = header
                    .strip_prefix("content-length:")
                    .map_or(length, |text| text.trim().parse().expect("a length"));
                line.clear();
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_ok() {
                kept.lock().push(String::from_utf8(body).expect("text"));
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (address, bodies)
}

struct Night {
    engine: Engine,
    settings: PathBuf,
}

impl Night {
    /// Puts these settings in force, or not; returns the answer's status and text.
    fn reload(&self, settings: &str) -> (u16, String) {
        fs::write(&self.settings, settings).expect("written");
        let answer = self.engine.client().post("/-/reload", &[], b"").expect("the engine answers");
        (answer.status, answer.text())
    }

    /// The alert fires, or has ended, says somebody else's rule.
    fn push(&self, name: &str, end: &str) {
        let body = format!(r#"[{{"labels":{{"alertname":"{name}"}},"startsAt":"2026-01-01T00:00:00Z"{end}}}]"#);
        let header = [("Content-Type", "application/json")];
        let answer = self.engine.client().post("/api/v2/alerts", &header, body.as_bytes()).expect("the engine answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn receivers(&self) -> String {
        self.engine.client().get("/api/v2/receivers").expect("the engine answers").text()
    }
}

fn of(told: &[Told], name: &str) -> Vec<String> {
    told.iter().filter(|told| told.alert_name == name).map(|told| told.status.clone()).collect()
}

#[test]
fn webhooks_keys_alertmanagers_and_rule_files_change_together_and_what_is_owed_is_told_once() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let [sick, well, chat] = [503, 200, 200].map(|status| {
        let pager = Pager::new(free_address());
        pager.open(status);
        pager
    });
    let (peer, peer_told) = alertmanager();
    // A key of the right form that is not the one the pager knows.
    let key = Pager::secret_file(folder.path());
    fs::write(&key, "whsec_YW5vdGhlciBuaWdodCB3YXRjaCdzIHNlY3JldA==").expect("written");
    fs::write(path("watch.yml"), "groups:\n- name: g\n  interval: 1s\n  rules: [{ alert: Always, expr: vector(1) }]\n")
        .expect("written");
    let anomaly = "groups:\n- name: h\n  rules: [{ alert: Drop, expr: 'sum(rate(orders_total[1m]))', anomaly: { direction: drop } }]\n";
    fs::write(path("stream.yml"), anomaly).expect("written");

    let settings = path("dozor.yml");
    fs::write(&settings, format!("webhooks: [{{ name: pager, url: 'http://{}/' }}]\n", sick.address)).expect("written");
    let engine = Engine::start(folder.path(), &[&format!("--config={}", settings.display())]);
    let mut night = Night { engine, settings };
    night.push("Sick", "");
    wait_until("the pager is tried, and tried again", || sick.told().len() >= 2);

    // Every fault is told, and nothing has changed.
    let (status, text) = night.reload(&format!(
        "webhooks:\n- {{ name: pager, url: 'http://{}/', secret_file: {} }}\n- {{ name: chat, url: 'http://{}/', template_file: {} }}\n\
         alertmanagers: [{{ url: 'http://169.254.169.254' }}]\nrules: [{}]\n",
        well.address, path("no-key").display(), chat.address, path("no-template").display(), path("no-rules.yml").display(),
    ));
    assert_eq!(status, 400, "{text}");
    for fault in ["nothing is reloaded", "no-key", "no-template", "alertmanagers", "no-rules.yml"] {
        assert!(text.contains(fault), "{fault}: {text}");
    }
    assert_eq!(night.receivers(), r#"[{"name":"pager"}]"#);
    let tried = sick.told().len();
    wait_until("it goes on as before", || sick.told().len() > tried);
    assert_eq!(well.told().len() + chat.told().len(), 0);

    // The pager is elsewhere, and signs; chat, an Alertmanager and rules of both kinds are new.
    let all = format!(
        "webhooks:\n- {{ name: pager, url: 'http://{}/', secret_file: {} }}\n- {{ name: chat, url: 'http://{}/' }}\n\
         alertmanagers: [{{ url: 'http://{peer}' }}]\nrules: [{}, {}]\n",
        well.address,
        key.display(),
        chat.address,
        path("watch.yml").display(),
        path("stream.yml").display(),
    );
    let (status, text) = night.reload(&all);
    assert_eq!(status, 200, "{text}");
    assert!(!text.contains("restart"), "{text}");
    wait_until("what the sick one was owed is told to the well one", || of(&well.taken(), "Sick") == ["firing"]);
    wait_until("the new rule's alert is told to both", || {
        [&well, &chat].iter().all(|pager| of(&pager.taken(), "Always") == ["firing"])
    });
    let keys = |pager: &Pager| {
        pager
            .told()
            .iter()
            .filter(|told| told.alert_name == "Sick")
            .map(|told| told.idempotency_key.clone())
            .collect::<Vec<_>>()
    };
    let key_before = keys(&sick).remove(0);
    assert!(keys(&sick).iter().chain(&keys(&well)).all(|key| *key == key_before), "one id over retries and the reload");
    assert!(well.told().iter().all(|told| !told.signature_is_right), "the old key signs");
    assert_eq!(of(&chat.told(), "Sick"), [""; 0], "it began before chat was there");
    wait_until("the Alertmanager is told of all that fires", || {
        let told = peer_told.lock().join("");
        told.contains("Sick") && told.contains("Always")
    });
    let listed = get(night.engine.address, "/api/v1/rules").to_string();
    assert!(listed.contains("Always") && listed.contains("Drop"), "{listed}");

    // Another key in the same file, and no more chat, Alertmanager and rules.
    Pager::secret_file(folder.path());
    let (sick_told, chat_told) = (sick.told().len(), chat.told().len());
    let (status, text) = night.reload(&format!(
        "webhooks: [{{ name: pager, url: 'http://{}/', secret_file: {} }}]\n",
        well.address,
        key.display()
    ));
    assert_eq!(status, 200, "{text}");
    let peer_count = peer_told.lock().len();
    wait_until("the alert of the rule that went has ended", || of(&well.taken(), "Always") == ["firing", "resolved"]);
    night.push("Sick", r#","endsAt":"2026-01-01T01:00:00Z""#);
    wait_until("its end is told", || of(&well.taken(), "Sick").len() >= 2);
    wait_until("nothing is owed", || night.engine.metric("dozor_notify_pending") == 0.0);
    assert_eq!(of(&well.taken(), "Sick"), ["firing", "resolved"], "one beginning before one end");
    let signed = well.told().iter().filter(|told| told.status == "resolved").all(|told| told.signature_is_right);
    assert!(signed, "the new key signs");
    assert_eq!((sick.told().len(), chat.told().len()), (sick_told, chat_told), "who went rings no more");
    assert_eq!(night.receivers(), r#"[{"name":"pager"}]"#);
    let listed = get(night.engine.address, "/api/v1/rules").to_string();
    assert!(!listed.contains("Always") && !listed.contains("Drop"), "{listed}");
    // It looks each second, and would have told of two ends.
    assert_eq!(peer_told.lock().len(), peer_count, "the Alertmanager hears no more");
    assert!(night.engine.printed().contains("went: what it was owed"), "{}", night.engine.printed());
    night.engine.stop();
}
