//! The process that is started, as whoever started it sees it.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::client::Client;
use crate::engine::dozor;
use crate::process::{Process, free_address};
use crate::wait::wait_until;

/// What a server was started with is in the allocator's hands, unless the operator said something else; and it is the
/// process that was started, by its number, its name and its arguments.
#[test]
fn allocator_is_told_to_give_memory_back_unless_the_operator_says_otherwise() {
    for (given, expected) in
        [(None, "MIMALLOC_PURGE_DELAY=0"), (Some("MIMALLOC_PURGE_DELAY=50"), "MIMALLOC_PURGE_DELAY=50")]
    {
        let folder = TempDir::new().expect("a temporary folder");
        let address = free_address();
        let mut arguments: Vec<String> = given.into_iter().map(str::to_owned).collect();
        arguments.push(dozor().display().to_string());
        arguments.extend(["serve".to_owned(), format!("--listen={address}")]);
        arguments.push(format!("--data-dir={}", folder.path().join("data").display()));
        let mut process = Process::start("dozor", Path::new("/usr/bin/env"), &arguments, folder.path());
        wait_until("dozor is ready", || {
            process.assert_running();
            Client::new(address).get("/-/ready").is_ok_and(|answer| answer.status == 200)
        });
        let of_process = |name: &str| {
            let bytes = fs::read(format!("/proc/{}/{name}", process.id())).expect("the process runs, on Linux");
            String::from_utf8(bytes).expect("text")
        };
        let environment = of_process("environ");
        let told: Vec<&str> = environment.split('\0').filter(|line| line.starts_with("MIMALLOC_")).collect();
        assert!(told.contains(&expected) && told.contains(&"MIMALLOC_ALLOW_THP=0"), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(of_process("comm"), "dozor\n");
        let first = usize::from(given.is_some());
        assert_eq!(of_process("cmdline").trim_end_matches('\0').split('\0').collect::<Vec<_>>(), arguments[first..]);
        process.terminate();
        assert!(process.wait_for_end().success());
    }
}
