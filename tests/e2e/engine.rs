//! A `dozor serve` under test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::client::Client;
use crate::process::{Process, free_address};
use crate::wait::{wait_for, wait_until};

/// The binary under test.
pub(crate) fn dozor() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_dozor"))
}

/// A server in a folder of the test, always on the same port and the same data, however often it is started.
pub(crate) struct Engine {
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    arguments: Vec<String>,
    process: Process,
}

impl Engine {
    /// Starts one with these further arguments, its data in `folder`/data, and waits until it is ready.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Engine {
        let address = free_address();
        let mut all = vec!["serve".to_owned(), format!("--listen={address}")];
        all.push(format!("--data-dir={}", folder.join("data").display()));
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let process = Process::start("dozor", dozor(), &all, folder);
        let mut engine = Engine { address, folder: folder.to_owned(), arguments: all, process };
        engine.wait_until_ready();
        engine
    }

    /// Starts it again after its end.
    pub(crate) fn start_again(&mut self) {
        self.start_without_waiting();
        self.wait_until_ready();
    }

    /// As [`Engine::start_again`], while it is not ready yet.
    pub(crate) fn start_without_waiting(&mut self) {
        self.process = Process::start("dozor", dozor(), &self.arguments, &self.folder);
    }

    fn wait_until_ready(&mut self) {
        let (address, process) = (self.address, &mut self.process);
        wait_until("dozor is ready", || {
            process.assert_running();
            Client::new(address).get("/-/ready").is_ok_and(|answer| answer.status == 200)
        });
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.process.terminate();
        assert!(self.process.wait_for_end().success(), "it ends well");
    }

    /// As `kill -9` does it.
    pub(crate) fn kill(&mut self) {
        self.process.assert_running();
        self.process.kill();
    }

    /// What it said since its start.
    pub(crate) fn printed(&self) -> String {
        self.process.printed()
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where the data is.
    pub(crate) fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What `/metrics` says of one metric, all its series added up.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let answer = self.client().get("/metrics").expect("the metrics can be read");
        let text = answer.text();
        let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        let values: Vec<f64> = text.lines().filter(of_name).filter_map(last_number).collect();
        assert!(!values.is_empty(), "/metrics has no {name}");
        values.iter().sum()
    }

    /// Memory in use, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("the engine runs, on Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says how much is resident");
        let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
        kib.expect("VmRSS is a number of KiB") * 1024
    }

    /// Sends a request as a sender does that never gives up: until it is acknowledged.
    pub(crate) fn write(&self, client: &mut Client, body: &[u8]) {
        wait_for("the engine acknowledges a request", || {
            let answer = client.remote_write(body).ok()?;
            assert!(matches!(answer.status, 204 | 429 | 503), "{} {}", answer.status, answer.text());
            (answer.status == 204).then_some(())
        });
    }
}

fn last_number(line: &str) -> Option<f64> {
    line.rsplit(' ').next()?.parse().ok()
}
