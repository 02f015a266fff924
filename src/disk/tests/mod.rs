mod mapped;

use std::io::ErrorKind;
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
    has_second_names(disk, folder);
    has_folders(disk, folder);
}

fn has_second_names(disk: &dyn Disk, folder: &Path) {
    let (first, second, third) = (folder.join("first"), folder.join("second"), folder.join("third"));
    disk.replace(&first, b"one file").unwrap();
    assert_eq!(disk.file_bytes(&first).unwrap(), 8);
    disk.hard_link(&first, &second).unwrap();
    let refused = disk.hard_link(&first, &second).unwrap_err();
    assert_eq!(refused.source.kind(), ErrorKind::AlreadyExists);
    assert!(disk.hard_link(&folder.join("none"), &third).unwrap_err().is_not_found());
    disk.copy(&first, &third).unwrap();
    disk.shorten(&first, 3).unwrap();
    assert_eq!(&disk.read(&second).unwrap()[..], b"one", "the same file under another name");
    assert_eq!(&disk.read(&third).unwrap()[..], b"one file", "a file of its own");
    disk.remove(&first).unwrap();
    assert_eq!(&disk.read(&second).unwrap()[..], b"one");
    assert!(disk.file_bytes(&first).unwrap_err().is_not_found());
    disk.remove(&second).unwrap();
    disk.remove(&third).unwrap();
}

fn has_folders(disk: &dyn Disk, folder: &Path) {
    let inner = folder.join("inner");
    disk.create_folder(&inner).unwrap();
    disk.create_folder(&inner).unwrap();
    disk.create_folder(&inner.join("innermost")).unwrap();
    assert_eq!(disk.list_folders(folder).unwrap(), ["inner"]);
    assert_eq!(disk.list(folder).unwrap(), ["b"], "no folders among the files");
    assert_eq!(disk.remove_folder(&inner).unwrap_err().source.kind(), ErrorKind::DirectoryNotEmpty);
    disk.remove_folder(&inner.join("innermost")).unwrap();
    disk.create(&inner.join("file"), 0).unwrap();
    assert_eq!(disk.remove_folder(&inner).unwrap_err().source.kind(), ErrorKind::DirectoryNotEmpty);
    disk.remove(&inner.join("file")).unwrap();
    disk.remove_folder(&inner).unwrap();
    assert!(disk.remove_folder(&inner).unwrap_err().is_not_found());
    assert!(disk.list_folders(folder).unwrap().is_empty());
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

#[test]
fn a_power_cut_takes_a_folder_whose_own_name_was_not_synced() {
    let (disk, data) = (SimulatedDisk::new(), Path::new("/data"));
    for name in ["named", "nameless"] {
        disk.create_folder(data).unwrap();
        disk.create_folder(&data.join(name)).unwrap();
        disk.create(&data.join(name).join("file"), 0).unwrap().sync().unwrap();
        disk.sync_folder(&data.join(name)).unwrap();
        if name == "named" {
            disk.sync_folder(data).unwrap();
        }
    }
    let after = disk.crash(1);
    assert_eq!(after.list_folders(data).unwrap(), ["named"]);
    assert_eq!(after.list(&data.join("named")).unwrap(), ["file"]);
    assert!(after.read(&data.join("nameless").join("file")).is_err());
}

#[test]
fn a_power_cut_leaves_both_names_of_a_file_with_the_same_bytes() {
    let (disk, data) = (SimulatedDisk::new(), Path::new("/data"));
    let file = disk.create(&data.join("a"), 0).unwrap();
    file.write_at(0, &[7; 4096]).unwrap();
    disk.hard_link(&data.join("a"), &data.join("b")).unwrap();
    disk.sync_folder(data).unwrap();
    for seed in 0..20 {
        let after = disk.crash(seed);
        let (a, b) = (after.read(&data.join("a")).unwrap(), after.read(&data.join("b")).unwrap());
        assert_eq!(a[..], b[..]);
    }
}

#[test]
fn a_simulated_disk_has_only_the_room_it_was_given() {
    let (disk, data) = (SimulatedDisk::new(), Path::new("/data"));
    disk.set_free_bytes(100);
    let file = disk.create(&data.join("a"), 60).unwrap();
    assert_eq!(disk.free_bytes(data).unwrap(), 40);
    file.write_at(50, &[1; 50]).unwrap();
    assert_eq!(disk.free_bytes(data).unwrap(), 0);
    assert_eq!(file.write_at(99, &[1; 2]).unwrap_err().source.kind(), ErrorKind::StorageFull);
    file.write_at(0, &[1; 100]).unwrap();
    assert_eq!(disk.create(&data.join("b"), 1).err().unwrap().source.kind(), ErrorKind::StorageFull);
    file.truncate(70).unwrap();
    disk.hard_link(&data.join("a"), &data.join("c")).unwrap();
    disk.remove(&data.join("a")).unwrap();
    assert_eq!(disk.free_bytes(data).unwrap(), 30, "a second name keeps the file");
    disk.remove(&data.join("c")).unwrap();
    assert_eq!(disk.free_bytes(data).unwrap(), 100);
}
