//! How far an import is.

use super::super::send::Answer;
use super::super::state::{StateFile, beside, import_of};
use super::*;

fn refused(reason: &str, count: u64) -> Refused {
    Refused { first: Some(format!("first: {reason}")), reasons: vec![(reason.to_owned(), count)] }
}

#[test]
fn state_is_taken_up_by_the_same_import_and_by_no_other() {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new());
    disk.create_folder(Path::new("/data")).expect("a folder");
    let path = beside(Path::new("/data/file.txt"));
    assert_eq!(path, Path::new("/data/file.txt.dozor-import.state"));
    let state = StateFile::new(disk.clone(), path.clone(), "this".to_owned());
    assert!(state.read().expect("nothing is there").is_none());
    let mut tally = Tally::default();
    tally.note(refused("a", 2), Some(Answer { stored: 5, refused: refused("b", 1) }));
    let position = Position::Blocks { hour_ms: -7, series: 3 };
    state.write(&position, &tally).expect("written");
    let (taken_up, noted) = state.read().expect("it is right").expect("it is there");
    assert_eq!(taken_up, position);
    assert_eq!((noted.stored, noted.refused_count(), noted.first_refused.as_deref()), (5, 3, Some("first: a")));
    let other = StateFile::new(disk.clone(), path.clone(), "other".to_owned());
    let error = other.read().expect_err("another import").to_string();
    assert!(error.contains("is of another import: this; this one is other: remove it"), "{error}");
    state.remove().expect("removed");
    state.remove().expect("it is gone already");
    disk.replace(&path, b"{").expect("written");
    assert!(state.read().expect_err("no state").to_string().contains("is no state of an import"));
}

#[test]
fn password_of_the_server_is_neither_noted_nor_shown() {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new());
    disk.create_folder(Path::new("/data")).expect("a folder");
    let path = beside(Path::new("/data/file.txt"));
    let state = |import: String| StateFile::new(disk.clone(), path.clone(), import);
    let of = |url| state(import_of("file.txt", url));
    let noted = || String::from_utf8(disk.read(&path).expect("it is there").to_vec()).expect("text");
    of("http://ada:s3cret@host:9090")
        .write(&Position::Blocks { hour_ms: 0, series: 1 }, &Tally::default())
        .expect("written");
    assert!(noted().contains("file.txt into http://<secret>@host:9090") && !noted().contains("s3cret"), "{}", noted());
    assert!(of("http://ada:n3wer@host:9090").read().expect("the same import").is_some());

    // As an earlier version wrote it.
    state("file.txt into http://ada:s3cret@host:9090".to_owned())
        .write(&Position::Blocks { hour_ms: 0, series: 1 }, &Tally::default())
        .expect("written");
    assert!(noted().contains("s3cret"));
    assert!(of("http://ada:s3cret@host:9090").read().expect("the same import").is_some());
    let error = of("http://other:9090").read().expect_err("another import").to_string();
    assert!(error.contains("another import: file.txt into http://<secret>@host:9090;"), "{error}");
}

#[test]
fn reasons_are_bounded_and_still_counted() {
    let mut tally = Tally::default();
    for number in 0..100 {
        tally.note(refused(&format!("reason {number}"), 1), None);
    }
    assert_eq!((tally.refused.len(), tally.refused_count()), (33, 100));
}
