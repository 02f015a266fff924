//! A webhook receiver that writes down everything that it is told, and is down when the test wants it so.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde_json::Value;
use sha2::Sha256;

/// What the engine and the receiver share, as Standard Webhooks writes it.
const SECRET: &str = "whsec_ZG96b3IncyBuaWdodCB3YXRjaCBrZWVwcyBzZWNyZXRz";

/// One request, in the order in which they came.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// What was answered.
    pub(crate) answered: u16,
    pub(crate) idempotency_key: String,
    pub(crate) signature_is_right: bool,
    /// `firing` or `resolved`.
    pub(crate) status: String,
    pub(crate) alert_name: String,
    pub(crate) region: String,
    pub(crate) body: Vec<u8>,
}

impl Told {
    /// Which change of which alert it speaks of.
    pub(crate) fn transition(&self) -> (String, String, String) {
        (self.alert_name.clone(), self.region.clone(), self.status.clone())
    }
}

/// A receiver at an address. Nobody listens there before [`Pager::open`].
pub(crate) struct Pager {
    pub(crate) address: SocketAddr,
    answer: Arc<AtomicU16>,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Pager {
    pub(crate) fn new(address: SocketAddr) -> Pager {
        Pager { address, answer: Arc::new(AtomicU16::new(200)), told: Arc::default() }
    }

    /// The file with the secret, for the engine.
    pub(crate) fn secret_file(folder: &Path) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt;
        let file = folder.join("webhook-secret");
        let mut opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file);
        let written = opened.as_mut().map(|opened| opened.write_all(SECRET.as_bytes()));
        written.expect("the file can be made").expect("the file can be written");
        file
    }

    /// Begins to listen, and to answer with `status`.
    pub(crate) fn open(&self, status: u16) {
        self.answer_with(status);
        let listener = TcpListener::bind(self.address).expect("the address is still free");
        let (answer, told) = (self.answer.clone(), self.told.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, told) = (answer.clone(), told.clone());
                std::thread::spawn(move || attend(&stream, &answer, &told));
            }
        });
    }

    /// Changes what is answered from now on.
    pub(crate) fn answer_with(&self, status: u16) {
        self.answer.store(status, Ordering::SeqCst);
    }

    /// Everything told so far.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().clone()
    }

    /// What was told and answered with success.
    pub(crate) fn taken(&self) -> Vec<Told> {
        self.told().into_iter().filter(|told| told.answered == 200).collect()
    }

    /// As [`Pager::taken`], once each: a delivery whose answer was not noted before a kill comes again under its key.
    pub(crate) fn taken_once(&self) -> Vec<Told> {
        let (mut keys, mut taken) = (BTreeSet::new(), self.taken());
        taken.retain(|told| keys.insert(told.idempotency_key.clone()));
        taken
    }
}

/// Serves one connection until the caller closes it.
fn attend(stream: &TcpStream, answer: &AtomicU16, told: &Mutex<Vec<Told>>) {
    let mut reader = BufReader::new(stream);
    while let Ok((headers, body)) = read_request(&mut reader) {
        let status = answer.load(Ordering::SeqCst);
        told.lock().push(note(status, &headers, body));
        let head = format!("HTTP/1.1 {status} Told\r\nContent-Length: 0\r\n\r\n");
        let mut writer: &TcpStream = stream;
        if writer.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}

type Headers = Vec<(String, String)>;

fn read_request(reader: &mut impl BufRead) -> std::io::Result<(Headers, Vec<u8>)> {
    let mut headers = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let length = header(&headers, "content-length").parse().expect("the engine says how long its body is");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((headers, body))
}

fn header<'a>(headers: &'a Headers, name: &str) -> &'a str {
    headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
}

fn note(answered: u16, headers: &Headers, body: Vec<u8>) -> Told {
    let content: Value = serde_json::from_slice(&body).expect("a webhook is JSON");
    assert_eq!(content["version"], "4", "Alertmanager's version 4");
    let alerts = content["alerts"].as_array().expect("a webhook has alerts");
    assert_eq!(alerts.len(), 1, "without routing each alert goes alone");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alert = &alerts[0];
    assert_eq!(alert["status"], content["status"], "the group is its only alert");
    Told {
        answered,
        idempotency_key: header(headers, "idempotency-key").to_owned(),
        signature_is_right: signature_is_right(headers, &body),
        status: text(&alert["status"]),
        alert_name: text(&alert["labels"]["alertname"]),
        region: text(&alert["labels"]["region"]),
        body,
    }
}

/// Standard Webhooks: HMAC-SHA256 over id, time and body, by what stands behind `whsec_`.
fn signature_is_right(headers: &Headers, body: &[u8]) -> bool {
    let key = BASE64.decode(SECRET.trim_start_matches("whsec_")).expect("the secret of these tests is base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length");
    mac.update(format!("{}.{}.", header(headers, "webhook-id"), header(headers, "webhook-timestamp")).as_bytes());
    mac.update(body);
    let signature = header(headers, "webhook-signature").strip_prefix("v1,");
    signature.and_then(|text| BASE64.decode(text).ok()).is_some_and(|bytes| mac.verify_slice(&bytes).is_ok())
}
