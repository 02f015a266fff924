//! Files that are shortened while they are mapped.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use crate::disk::{Disk, FileBytes, RealDisk, mapping_faults};

const PAGE: usize = 4096;

fn mapped(path: &Path, length: usize) -> FileBytes {
    std::fs::write(path, vec![7_u8; length]).unwrap();
    RealDisk.read(path).unwrap()
}

fn shorten(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn what_was_cut_off_reads_as_zeros_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let bytes = mapped(&path, 8 * PAGE);
    let other = mapped(&folder.path().join("b"), 8 * PAGE);
    assert!(bytes.iter().all(|byte| *byte == 7) && !bytes.is_damaged());
    let before = mapping_faults();
    shorten(&path, 3 * PAGE as u64);
    assert!(bytes[..3 * PAGE].iter().all(|byte| *byte == 7), "what is left can be read");
    assert!(bytes[3 * PAGE..].iter().all(|byte| *byte == 0));
    assert!(bytes.is_damaged());
    assert!(mapping_faults() >= before + 5, "a fault a page");
    assert!(other.iter().all(|byte| *byte == 7) && !other.is_damaged());
    drop(bytes);
    let fresh = RealDisk.read(&path).unwrap();
    assert!(fresh.len() == 3 * PAGE && !fresh.is_damaged());
}

#[test]
fn a_file_that_loses_less_than_a_page_is_damaged_though_nothing_faults() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("a"), folder.path().join("b"));
    let bytes = mapped(&path, PAGE + 100);
    RealDisk.rename(&path, &other).unwrap();
    std::fs::write(&path, b"another file of that name").unwrap();
    assert!(!bytes.is_damaged());
    RealDisk.rename(&other, &path).unwrap();
    shorten(&path, PAGE as u64 + 50);
    assert_eq!((bytes[PAGE + 49], bytes[PAGE + 50]), (7, 0));
    assert!(bytes.is_damaged());
}

#[test]
fn a_file_that_ends_in_zeros_is_damaged_when_it_loses_some_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, [vec![7; PAGE], vec![0; 100]].concat()).unwrap();
    let bytes = RealDisk.read(&path).unwrap();
    assert!(!bytes.is_damaged());
    shorten(&path, PAGE as u64 + 50);
    assert!(bytes.is_damaged());
}

#[test]
fn what_was_forgotten_is_read_again_and_damage_stays_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let bytes = mapped(&path, 3 * PAGE);
    bytes.forget();
    assert!(bytes.iter().all(|byte| *byte == 7) && !bytes.is_damaged());
    shorten(&path, PAGE as u64);
    assert_eq!((bytes[PAGE - 1], bytes[2 * PAGE]), (7, 0));
    bytes.forget();
    assert_eq!((bytes[PAGE - 1], bytes[2 * PAGE]), (7, 0));
    assert!(bytes.is_damaged());
}

#[test]
fn an_emptied_file_can_be_read_by_many_threads_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let bytes = mapped(&path, 64 * PAGE);
    shorten(&path, 0);
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let bytes = bytes.clone();
            thread::spawn(move || bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>())
        })
        .collect();
    assert!(readers.into_iter().all(|reader| reader.join().unwrap() == 0));
    assert!(bytes.is_damaged());
}

#[test]
fn mappings_come_and_go_while_one_is_damaged() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let folder = folder.clone();
            thread::spawn(move || {
                for round in 0..200 {
                    let path = folder.path().join(format!("{worker}"));
                    let bytes = mapped(&path, 2 * PAGE);
                    let is_cut = round % 3 == 0;
                    if is_cut {
                        shorten(&path, 1);
                    }
                    assert_eq!(bytes[2 * PAGE - 1], if is_cut { 0 } else { 7 });
                    assert_eq!(bytes.is_damaged(), is_cut, "worker {worker}, round {round}");
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

/// Set where a process is to end itself.
const END_VARIABLE: &str = "DOZOR_TEST_BUS_ERROR";

/// A bus error that is none of ours, in the process that the test below starts.
#[test]
fn bus_error_of_a_stranger() {
    if std::env::var_os(END_VARIABLE).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = mapped(&folder.path().join("a"), PAGE);
    assert_eq!(bytes[0], 7);
    let own = std::process::id().to_string();
    Command::new("sh").args(["-c", &format!("kill -BUS {own}")]).status().unwrap();
    thread::sleep(std::time::Duration::from_secs(10));
}

#[test]
fn a_bus_error_that_is_none_of_ours_still_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    let own = std::env::current_exe().unwrap();
    let test = "disk::tests::mapped::bus_error_of_a_stranger";
    let ended = Command::new(own).args(["--exact", test]).env(END_VARIABLE, "1").output().unwrap();
    assert_eq!(ended.status.signal(), Some(libc::SIGBUS), "{ended:?}");
}
