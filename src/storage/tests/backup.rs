//! Snapshots, and what is restored from them, on a disk that loses power.

use std::path::Path;

use storage_format::frame::{FileHeader, FileKind, append_record};
use storage_format::manifest::Manifest;

use super::super::{
    BackupError, Beside, Cause, SnapshotOptions, Snapshots, as_of, check_restored, kept, remove_incomplete, restore,
    snapshot_at_rest, snapshots_folder, verify,
};
use super::*;

const BESIDE: [Beside; 2] = [Beside::Replaced("detect.state"), Beside::Growing("outbox")];
const DATA: &str = "/data";
const ELSEWHERE: &str = "/elsewhere";

/// Samples of a block, and behind them samples that only the log has.
fn rows() -> Vec<(Labels, i64, f64)> {
    let row = |index: i64| (series("orders", (index % 3) as u32), T0 + index * 60_000, index as f64 * 0.25);
    (0..240).map(row).collect()
}

/// A database with a block, log, outbox and detectors' state.
fn filled(disk: &SimulatedDisk, clock: &Clock) -> Fixture {
    let fixture = open(disk, clock);
    for part in rows().chunks(60) {
        fixture.write(part);
    }
    clock.advance(Duration::from_secs(4 * 3600));
    assert_eq!(fixture.storage.maintain().expect("a cut").blocks_cut, 1);
    disk.create_folder(Path::new("/data/outbox")).expect("a folder");
    disk.replace(Path::new("/data/outbox/0000000001.outbox"), &framed(FileKind::Outbox)).expect("written");
    disk.replace(Path::new("/data/detect.state"), &framed(FileKind::Detector)).expect("written");
    fixture
}

/// A file with one record, of which a reader of checksums knows no more.
fn framed(kind: FileKind) -> Vec<u8> {
    let header = FileHeader::new(kind, 1, T0, 7);
    let mut bytes = header.encode().to_vec();
    if kind == FileKind::Detector {
        append_record(&mut bytes, 1, 0, header.chain_start(), b"{\"groups\":[]}");
    }
    bytes
}

fn snapshots(fixture: &Fixture, interval_ms: i64, keep: usize) -> Snapshots {
    let options = SnapshotOptions { beside: BESIDE.to_vec(), interval_ms, keep };
    Snapshots::new(fixture.storage.clone(), options).expect("the folder can be read")
}

fn restore_to(
    disk: &SimulatedDisk,
    from: &Path,
    to: &str,
    replace: bool,
) -> Result<super::super::Restored, BackupError> {
    restore(disk, T0, from, Path::new(to), replace, &mut |_, _| {})
}

fn assert_holds(disk: &SimulatedDisk, data_dir: &str, clock: &Clock, rows: &[(Labels, i64, f64)]) {
    let fixture = open_with(disk, StorageOptions { data_dir: data_dir.into(), ..options(3) }, clock);
    assert_eq!(fixture.recovered.damage, Vec::<String>::new());
    for node in 0..3 {
        let labels = series("orders", node);
        let own = rows.iter().filter(|row| row.0 == labels);
        let expected: Vec<(i64, u64)> = own.map(|(_, time, value)| (*time, value.to_bits())).collect();
        assert_eq!(fixture.read(&labels), expected, "node {node} in {data_dir}");
    }
}

fn damage_of(disk: &SimulatedDisk, folder: &Path) -> Vec<String> {
    let found = verify(disk, folder, &mut |_, _, _| {}).expect("the folder can be read");
    found.damage.iter().map(ToString::to_string).collect()
}

#[test]
fn snapshot_has_all_that_was_acknowledged_before_it_and_nothing_after() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = filled(&disk, &clock);
    let taken = snapshots(&fixture, 0, 1).take().expect("a snapshot");
    assert_eq!(taken.folder, snapshots_folder(Path::new(DATA)).join(&taken.name));
    assert!(taken.name.starts_with("20231115T060000Z-") && taken.name.len() == 25, "{}", taken.name);
    fixture.write(&[(series("orders", 0), T0 + 5 * HOUR_MS, 1.0)]);
    let paths: Vec<String> = Manifest::decode(&disk.read(&taken.folder.join("manifest")).expect("it is there"))
        .expect("it is whole")
        .files
        .into_iter()
        .map(|file| file.path)
        .collect();
    let block = format!("blocks/{T0}-{}.1.block", T0 + BLOCK_MS);
    assert_eq!(paths[0], block);
    assert!(paths.contains(&"detect.state".to_owned()) && paths.contains(&"outbox/0000000001.outbox".to_owned()));
    assert!(paths.iter().any(|path| path.starts_with("log/")), "{paths:?}");
    assert_eq!(damage_of(&disk, &taken.folder), Vec::<String>::new());
    drop(fixture);

    let restored = restore_to(&disk, &taken.folder, ELSEWHERE, false).expect("it is restored");
    assert_eq!((restored.file_count, restored.bytes), (paths.len(), taken.bytes));
    assert_holds(&disk, ELSEWHERE, &clock, &rows());
    assert_eq!(
        &*disk.read(Path::new("/elsewhere/detect.state")).expect("it is there"),
        &framed(FileKind::Detector)[..]
    );
}

#[test]
fn what_was_deleted_before_a_snapshot_is_deleted_in_what_is_restored() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = filled(&disk, &clock);
    // From the block and from the head.
    let range = TimeRange { from_ms: T0 + HOUR_MS, to_ms: T0 + 3 * HOUR_MS };
    fixture.storage.delete_series(&[vec![Matcher::equal("node", "1")]], range).expect("deleted");
    let taken = snapshots(&fixture, 0, 1).take().expect("a snapshot");
    drop(fixture);
    restore_to(&disk, &taken.folder, ELSEWHERE, false).expect("it is restored");
    let mut left = rows();
    left.retain(|(labels, timestamp_ms, _)| labels.get("node") != Some("1") || !range.contains(*timestamp_ms));
    assert!(left.len() < rows().len());
    assert_holds(&disk, ELSEWHERE, &clock, &left);
}

#[test]
fn snapshot_stays_whole_while_the_database_goes_on() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let short = StorageOptions { retention_ms: 9 * HOUR_MS, ..options(2) };
    drop(filled(&disk, &clock));
    let fixture = open_with(&disk, short, &clock);
    let taken = snapshots(&fixture, 0, 1).take().expect("a snapshot");
    for hour in 5..30 {
        clock.advance(Duration::from_secs(3600));
        fixture.write(&[(series("orders", 0), T0 + hour * HOUR_MS, 1.0)]);
        fixture.storage.maintain().expect("maintenance");
    }
    assert!(fixture.storage.block_figures().iter().all(|block| block.span.from_ms > T0), "the block went");
    assert_eq!(damage_of(&disk, &taken.folder), Vec::<String>::new());
    drop(fixture);
    restore_to(&disk, &taken.folder, ELSEWHERE, false).expect("it is restored");
    assert_holds(&disk, ELSEWHERE, &Clock::manual(T0 + 4 * HOUR_MS), &rows());
}

#[test]
fn power_cut_leaves_a_complete_snapshot_or_none_and_the_data_unharmed() {
    let mut complete = 0;
    for operation in 0.. {
        let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
        let fixture = filled(&disk, &clock);
        disk.fail_after(operation);
        let outcome = snapshots(&fixture, 0, 1).take();
        let after = disk.crash(operation);
        disk.heal();
        drop(fixture);
        assert_holds(&after, DATA, &clock, &rows());
        remove_incomplete(&after, Path::new(DATA)).expect("it is removed");
        let left = kept(&after, Path::new(DATA)).expect("a list");
        let folders = after.list_folders(&snapshots_folder(Path::new(DATA))).expect("a list");
        assert_eq!(left.len(), folders.len(), "operation {operation}: what is there is complete");
        assert!(outcome.is_err() || left.len() == 1, "operation {operation}: what was told is there");
        for one in &left {
            complete += 1;
            assert_eq!(damage_of(&after, &one.folder), Vec::<String>::new(), "operation {operation}");
            restore_to(&after, &one.folder, ELSEWHERE, false).expect("it is restored");
            assert_holds(&after, ELSEWHERE, &clock, &rows());
        }
        if outcome.is_ok() {
            assert!(operation > 20, "only {operation} operations");
            break;
        }
    }
    assert!(complete > 0);
}

#[test]
fn power_cut_while_restoring_leaves_the_old_data_or_a_folder_that_no_server_starts_on() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = filled(&disk, &clock);
    let taken = snapshots(&fixture, 0, 1).take().expect("a snapshot");
    let mut later = rows();
    later.push((series("orders", 0), T0 + 5 * HOUR_MS, 1.0));
    fixture.write(&later[rows().len()..]);
    drop(fixture);
    let mut seen = [0; 3];
    for operation in 0.. {
        let disk = disk.crash(operation);
        disk.fail_after(operation);
        let outcome = restore_to(&disk, &taken.folder, DATA, true);
        let after = disk.crash(operation);
        assert_eq!(damage_of(&after, &taken.folder), Vec::<String>::new(), "operation {operation}: the snapshot");
        if check_restored(&after, Path::new(DATA)).is_err() {
            seen[1] += 1;
            restore_to(&after, &taken.folder, DATA, true).expect("a second try ends it");
            assert_holds(&after, DATA, &clock, &rows());
        } else if outcome.is_ok() {
            seen[2] += 1;
            assert_holds(&after, DATA, &clock, &rows());
            break;
        } else if after.list_folders(Path::new(DATA)).expect("a list").iter().any(|name| name.starts_with("replaced-"))
        {
            assert_holds(&after, DATA, &clock, &rows()); // all but the last sync was done
        } else {
            seen[0] += 1;
            assert_holds(&after, DATA, &clock, &later);
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[test]
fn restore_asks_before_it_replaces_and_keeps_what_was_there() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = filled(&disk, &clock);
    let taken = snapshots(&fixture, 0, 1).take().expect("a snapshot");
    let later = (series("orders", 0), T0 + 5 * HOUR_MS, 1.0);
    fixture.write(std::slice::from_ref(&later));
    drop(fixture);
    let refused = restore_to(&disk, &taken.folder, DATA, false).expect_err("it is not empty").to_string();
    assert!(refused.contains("/data is not empty: it has detect.state") && refused.contains("--replace"), "{refused}");
    let restored = restore_to(&disk, &taken.folder, DATA, true).expect("it is restored");
    assert_holds(&disk, DATA, &clock, &rows());
    let aside = restored.put_aside.expect("something was there");
    let mut all = rows();
    all.push(later);
    assert_holds(&disk, aside.to_str().expect("text"), &clock, &all);
    assert_eq!(kept(&disk, Path::new(DATA)).expect("a list").len(), 1, "the snapshots stay where they are");
}

#[test]
fn damaged_snapshot_is_not_restored() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = filled(&disk, &clock);
    let taken = snapshots(&fixture, 0, 1).take().expect("a snapshot");
    drop(fixture);
    let block = taken.folder.join(format!("blocks/{T0}-{}.1.block", T0 + BLOCK_MS));
    disk.damage(&block, |bytes| bytes[100] ^= 1);
    let refused = restore_to(&disk, &taken.folder, ELSEWHERE, false).expect_err("it is damaged").to_string();
    assert!(refused.contains(".block: its checksum differs"), "{refused}");
    disk.damage(&block, |bytes| bytes.truncate(10));
    let refused = restore_to(&disk, &taken.folder, ELSEWHERE, false).expect_err("it is damaged").to_string();
    assert!(refused.contains("it has 10 bytes"), "{refused}");
    assert_eq!(disk.list(Path::new(ELSEWHERE)).expect("a list"), Vec::<String>::new(), "nothing was begun");
    let refused = restore_to(&disk, Path::new("/nowhere"), ELSEWHERE, false).expect_err("nothing is there").to_string();
    assert_eq!(refused, "/nowhere is no complete snapshot: it has no manifest");
}

#[test]
fn snapshots_are_taken_when_due_and_the_oldest_go() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = filled(&disk, &clock);
    let asked_for = snapshots(&fixture, 0, 1).take().expect("a snapshot").name;
    let kept_up = snapshots(&fixture, 3_600_000, 2);
    let mut taken = 0;
    for _ in 0..50 {
        taken += usize::from(kept_up.keep_up().map(|taken| taken.expect("taken")).is_some());
        clock.advance(Duration::from_secs(6 * 60));
    }
    assert_eq!(taken, 5, "at once, and at 1, 2, 3 and 4 hours");
    let left = kept(&disk, Path::new(DATA)).expect("a list");
    let ages: Vec<i64> = left.iter().map(|one| (one.created_ms - T0) / HOUR_MS - 8).collect();
    assert_eq!((left[0].name.as_str(), ages.as_slice()), (asked_for.as_str(), &[0, 3, 4][..]));
    assert_eq!(left.iter().filter(|one| one.cause == Cause::Request).count(), 1);
    assert_eq!(kept_up.counts(), (5, 0));
    assert_eq!(kept_up.age(), Some(Duration::from_secs(3600)));
    // A restart is no reason for one more, and the clock set back is.
    assert!(snapshots(&fixture, 3_600_001, 2).keep_up().is_none());

    disk.fail_after(3);
    assert!(kept_up.keep_up().expect("it is due").is_err());
    assert!(kept_up.last_failed());
    assert!(kept_up.keep_up().is_none(), "not at once again");
    disk.heal();
    clock.advance(Duration::from_secs(60));
    assert!(kept_up.keep_up().expect("it is tried again").is_ok());
    assert!(!kept_up.last_failed());
    assert_eq!(kept_up.counts(), (6, 1));

    let of = |moment_ms| as_of(&disk, Path::new(DATA), moment_ms).map(|one| one.name);
    assert_eq!(of(left[2].created_ms - 1).expect("an older one"), left[0].name);
    let refused = of(left[0].created_ms - 1).expect_err("none is that old").to_string();
    assert!(refused.ends_with(&format!("is that old: the oldest is {asked_for}")), "{refused}");
}

#[test]
fn folder_that_no_server_uses_is_taken_too() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = filled(&disk, &clock);
    // Killed: the growing segment still has the room that was reserved for it.
    let disk = disk.crash(3);
    drop(fixture);
    let taken = snapshot_at_rest(&disk, Path::new(DATA), clock.now_ms(), &BESIDE).expect("a snapshot");
    assert!(taken.bytes < 1 << 20, "{} bytes: the reserve is not in it", taken.bytes);
    // A start gives the reserve back; the snapshot stays as it is.
    assert_holds(&disk, DATA, &clock, &rows());
    assert_eq!(damage_of(&disk, &taken.folder), Vec::<String>::new());
    restore_to(&disk, &taken.folder, ELSEWHERE, false).expect("it is restored");
    assert_holds(&disk, ELSEWHERE, &clock, &rows());
}

#[test]
fn outbox_is_taken_up_to_its_last_whole_record() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = filled(&disk, &clock);
    let path = Path::new("/data/outbox/0000000001.outbox");
    let whole = framed(FileKind::Outbox);
    disk.damage(path, |bytes| bytes.extend([9, 9, 9]));
    let taken = snapshots(&fixture, 0, 1).take().expect("a snapshot");
    assert_eq!(&*disk.read(&taken.folder.join("outbox/0000000001.outbox")).expect("it is there"), &whole[..]);
}

#[test]
fn verify_names_the_file_and_the_place_of_every_kind_of_damage() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = filled(&disk, &clock);
    let range = TimeRange { from_ms: T0, to_ms: T0 + HOUR_MS };
    fixture.storage.delete_series(&[vec![Matcher::equal("node", "1")]], range).expect("deleted");
    let taken = snapshots(&fixture, 0, 1).take().expect("a snapshot");
    drop(fixture);
    assert_eq!(damage_of(&disk, Path::new(DATA)), Vec::<String>::new());
    let manifest = Manifest::decode(&disk.read(&taken.folder.join("manifest")).expect("it is there")).expect("whole");
    let mut kinds = std::collections::BTreeSet::new();
    for file in manifest.files.iter().map(|file| file.path.as_str()).chain(["manifest"]) {
        kinds.insert(file.rsplit('.').next().expect("a last part").to_owned());
        let path = taken.folder.join(file);
        let length = disk.read(&path).expect("it is there").len();
        let stride = (length / 40).max(1);
        for at in (0..length).step_by(stride).chain([length - 1]) {
            disk.damage(&path, |bytes| bytes[at] ^= 0x10);
            let found = damage_of(&disk, &taken.folder);
            disk.damage(&path, |bytes| bytes[at] ^= 0x10);
            let start = format!("{}: at byte ", path.display());
            assert!(found.iter().any(|line| line.starts_with(&start)), "byte {at} of {file}: {found:?}");
        }
        let spoilt = disk.crash(0);
        spoilt.damage(&path, |bytes| bytes.truncate(length / 2));
        assert!(!damage_of(&spoilt, &taken.folder).is_empty(), "half of {file}");
    }
    assert_eq!(kinds, ["block", "deleted", "log", "manifest", "outbox", "state"].map(str::to_owned).into());
    let spoilt = disk.crash(0);
    spoilt.remove(&taken.folder.join("detect.state")).expect("removed");
    let found = damage_of(&spoilt, &taken.folder);
    assert_eq!(
        found,
        [format!("{}/detect.state: at byte 0: the manifest has it, the folder not", taken.folder.display())]
    );
}

#[test]
fn torn_tail_of_the_growing_segment_is_no_damage_and_one_before_another_segment_is() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open(&disk, &clock);
    fixture.write(&rows()[..10]);
    let names = disk.list(Path::new("/data/log")).expect("a list");
    let path = Path::new("/data/log").join(names.last().expect("a segment"));
    let torn = disk.crash(0);
    let bytes = torn.read(&path).expect("it is there");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("it has records");
    torn.damage(&path, |bytes| bytes.truncate(end - 3));
    let found = verify(&torn, Path::new(DATA), &mut |_, _, _| {}).expect("it can be read");
    assert_eq!(found.damage, []);
    assert!(found.remarks.len() == 1 && found.remarks[0].contains("unfinished record"), "{:?}", found.remarks);
    // The number behind it says that this one was ended in order.
    let next = FileHeader::new(FileKind::Log, 2, T0, 7).encode();
    torn.replace(Path::new("/data/log/00000002.log"), &next).expect("written");
    assert_eq!(damage_of(&torn, Path::new(DATA)).len(), 1);
}
