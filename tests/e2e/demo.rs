//! What a newcomer runs first.

use tempfile::TempDir;

use crate::engine::dozor;
use crate::process::{Process, free_address};

#[test]
fn demo_shows_both_alerts_firing_and_resolved_and_ends_with_success() {
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().join("demo");
    let listen = format!("--listen={}", free_address());
    let arguments = ["demo".to_owned(), "--once".to_owned(), listen, format!("--data-dir={}", data.display())];
    let mut demo = Process::start("demo", dozor(), &arguments, folder.path());
    let status = demo.wait_for_end();
    let printed = demo.printed();
    assert!(status.success(), "{status}:\n{printed}");
    for alert in ["OrdersDropped", "CheckoutLatencyRise"] {
        for word in ["FIRING", "RESOLVED"] {
            let told = printed.lines().any(|line| line.contains(word) && line.contains(alert) && line.contains("eu"));
            assert!(told, "no line with {word} and {alert}:\n{printed}");
        }
    }
}
