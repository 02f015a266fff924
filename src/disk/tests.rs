use std::path::Path;

use super::{Disk, RealDisk, SimulatedDisk};

/// What every disk must do, on whichever it is.
fn behaves(disk: &dyn Disk, folder: &Path) {
    let path = folder.join("a");
    let file = disk.create(&path, 16).unwrap();
    file.write_at(4, b"four").unwrap();
    file.sync().unwrap();
    assert_eq!(&disk.read(&path).unwrap()[..], b"\0\0\0\0four\0\0\0\0\0\0\0\0");
    file.truncate(8).unwrap();
    assert_eq!(disk.read(&path).unwrap().len(), 8);

    disk.replace(&folder.join("b"), b"whole").unwrap();
    disk.rename(&path, &folder.join("c")).unwrap();
    assert_eq!(disk.list(folder).unwrap(), ["b", "c"]);
    assert!(disk.read(&path).err().unwrap().is_not_found());
    disk.remove(&folder.join("c")).unwrap();
    assert_eq!(&disk.read(&folder.join("b")).unwrap()[..], b"whole");
    assert!(disk.free_bytes(folder).unwrap() > 0);
}

#[test]
fn both_disks_behave_alike() {
    behaves(&SimulatedDisk::new(), Path::new("/data"));
    let folder = tempfile::tempdir().unwrap();
    behaves(&RealDisk, folder.path());
}

#[test]
fn a_locked_folder_is_refused_until_the_lock_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let held = RealDisk::lock_folder(folder.path()).unwrap();
    let refused = RealDisk::lock_folder(folder.path()).unwrap_err();
    assert_eq!(refused.source.kind(), std::io::ErrorKind::WouldBlock);
    drop(held);
    RealDisk::lock_folder(folder.path()).unwrap();
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_nothing_that_was_not_named() {
    let disk = SimulatedDisk::new();
    let folder = Path::new("/data");
    let file = disk.create(&folder.join("kept"), 0).unwrap();
    file.write_at(0, b"synced").unwrap();
    file.sync().unwrap();
    disk.sync_folder(folder).unwrap();
    file.write_at(6, b" and lost").unwrap();
    disk.create(&folder.join("nameless"), 0).unwrap().sync().unwrap();

    let mut seen_lost = false;
    for seed in 0..50 {
        let after = disk.crash(seed);
        let bytes = after.read(&folder.join("kept")).unwrap();
        assert_eq!(&bytes[..6], b"synced");
        seen_lost |= bytes.len() < 15;
        assert!(after.read(&folder.join("nameless")).is_err());
    }
    assert!(seen_lost, "50 power cuts without a loss");
}
