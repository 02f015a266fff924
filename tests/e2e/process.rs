//! Processes that end with the test, and ports to start them on.

use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::wait::{wait_for, wait_until};

/// Ports that the system gives to nobody by itself: below those of outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// Lines of a failed process' log that are shown.
const LOG_LINES_SHOWN: usize = 40;

/// A running program. Killed when dropped; when that is because the test failed, its last words are printed.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; what it prints goes to `<name>.log` in `folder`, behind what is there.
    pub(crate) fn start(name: &str, program: &Path, arguments: &[String], folder: &Path) -> Process {
        let log = folder.join(format!("{name}.log"));
        let open = || OpenOptions::new().create(true).append(true).open(&log).expect("the log can be opened");
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(open()).stderr(open());
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        Process { name: name.to_owned(), child, log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed so far.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Kills it as `kill -9` does and waits for its end.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Asks it to stop, as an init system does.
    pub(crate) fn terminate(&self) {
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.id())]).status();
        assert!(sent.expect("there is a shell").success(), "{} is not there any more", self.name);
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        wait_for(&what, || self.child.try_wait().expect("a child can be waited for"))
    }

    pub(crate) fn assert_running(&mut self) {
        let ended = self.child.try_wait().expect("a child can be waited for");
        assert!(ended.is_none(), "{} ended by itself: {ended:?}", self.name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let printed = self.printed();
            let lines: Vec<&str> = printed.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("--- the last of {}:\n{}\n---", self.name, last.join("\n"));
        }
    }
}

/// Finds a program that the tests need.
pub(crate) fn installed(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("{program} is not installed: `tools/test.sh` run as root installs it, or apt-get install {package}")
    })
}

/// Finds a program that is newer than the system's own: `tools/test.sh` unpacks it once.
pub(crate) fn peer(program: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/usr/bin").join(program);
    assert!(file.is_file(), "{} is not there: `tools/test.sh`, or tools/peers.sh target/peers", file.display());
    file
}

/// An address of this machine that nobody listens on, different at each call.
pub(crate) fn free_address() -> SocketAddr {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    let places = PORTS.end - PORTS.start;
    // Tests run in processes of their own too: each starts to look somewhere else.
    let first = (std::process::id() % u32::from(places)) as u16;
    for _ in 0..places {
        let place = (u32::from(first) * 13 + u32::from(CALLS.fetch_add(1, Ordering::Relaxed))) % u32::from(places);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS.start + place as u16));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

/// Waits until somebody listens at `address`.
pub(crate) fn wait_for_listener(process: &mut Process, address: SocketAddr) {
    wait_until(&format!("{} listens on {address}", process.name), || {
        process.assert_running();
        std::net::TcpStream::connect(address).is_ok()
    });
}
