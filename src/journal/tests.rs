//! A journal of words on a disk that loses power, fills up, and rots.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage_format::frame::{FileKind, RECORD_BYTES_MAX};

use super::{Journal, REWRITE_BYTES_MIN, Record, Recovered, Texts};
use crate::disk::{Disk, DiskError, RealDisk, SimulatedDisk};

const FOLDER: &str = "/data/words";
const NOW_MS: i64 = 1_772_366_400_000;
/// A word that can be written and not be read.
const UNSPEAKABLE: &str = "unspeakable";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Word(String);

impl Record for Word {
    const FILE_KIND: FileKind = FileKind::Incidents;
    const EXTENSION: &'static str = ".words";
    const JOURNAL: &'static str = "the words";

    fn encode(&self, payload: &mut Vec<u8>) -> u8 {
        payload.extend_from_slice(self.0.as_bytes());
        1
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Word, String> {
        match std::str::from_utf8(payload) {
            Ok(word) if kind == 1 && word != UNSPEAKABLE => Ok(Word(word.to_owned())),
            _ => Err("no word".to_owned()),
        }
    }
}

fn words(text: &str) -> Vec<Word> {
    text.split_whitespace().map(|word| Word(word.to_owned())).collect()
}

fn open(disk: &SimulatedDisk) -> (Journal<Word>, Recovered<Word>) {
    Journal::open(Arc::new(disk.clone()), Path::new(FOLDER)).unwrap()
}

/// What somebody finds who opens a journal without damage.
fn found(disk: &SimulatedDisk) -> Vec<Word> {
    let (_, recovered) = open(disk);
    assert_eq!(recovered.damage, Vec::<String>::new());
    recovered.records
}

/// The words without those that came before: where there is damage, what is in two files is read twice.
fn once_each(words: &[Word]) -> Vec<Word> {
    let is_new = |(index, word): &(usize, &Word)| !words[..*index].contains(word);
    words.iter().enumerate().filter(is_new).map(|(_, word)| word.clone()).collect()
}

fn names(disk: &SimulatedDisk) -> Vec<String> {
    disk.list(Path::new(FOLDER)).unwrap()
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// Somebody who keeps words: those that were taken for certain, and the journal of them.
struct Keeper {
    journal: Journal<Word>,
    words: Vec<Word>,
}

impl Keeper {
    fn of(disk: &SimulatedDisk) -> Result<Keeper, DiskError> {
        let (journal, recovered) = Journal::open(Arc::new(disk.clone()), Path::new(FOLDER))?;
        Ok(Keeper { journal, words: recovered.records })
    }

    fn take(&mut self, text: &str) -> Result<(), DiskError> {
        let new = words(text);
        self.journal.append(&new, || self.words.clone(), NOW_MS)?;
        self.journal.sync()?;
        self.words.extend(new);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), DiskError> {
        self.journal.begin_file(&self.words, NOW_MS)
    }
}

/// A beginning, appended words, two successors of the file and words behind each.
fn story(keeper: &mut Keeper) -> Result<(), DiskError> {
    keeper.take("one two")?;
    keeper.take("three")?;
    keeper.begin()?;
    keeper.take("four")?;
    keeper.begin()?;
    keeper.take("five")
}

#[test]
fn what_was_synced_is_found_wherever_the_power_is_cut() {
    let mut operation_count = 0;
    loop {
        let disk = SimulatedDisk::new();
        disk.fail_after(operation_count);
        let (taken, is_done) = match Keeper::of(&disk) {
            Ok(mut keeper) => {
                let is_done = story(&mut keeper).is_ok();
                (keeper.words, is_done)
            }
            Err(_) => (Vec::new(), false),
        };
        for seed in 0..25 {
            let moment = format!("cut at {operation_count}, seed {seed}");
            let after = disk.crash(seed);
            let mut keeper = Keeper::of(&after).unwrap();
            let found = once_each(&keeper.words);
            assert!(found.starts_with(&taken), "{moment}: {found:?}");
            let told = words("one two three four five");
            assert!(found.iter().all(|word| told.contains(word)), "{moment}: {found:?}");
            // Whoever goes on has one file, with what was found; beside it stands what a torn write made of one.
            keeper.take("more").unwrap();
            let names = names(&after);
            assert_eq!(names.iter().filter(|name| name.ends_with(".words")).count(), 1, "{moment}: {names:?}");
            assert_eq!(self::found(&after.crash(seed)), keeper.words, "{moment}");
        }
        if is_done {
            break;
        }
        operation_count += 1;
    }
    assert!(operation_count > 25, "only {operation_count} moments were tried");
}

#[test]
fn nothing_is_put_to_a_file_whose_successor_may_be_found() {
    for operation_count in 0.. {
        let disk = SimulatedDisk::new();
        let mut keeper = Keeper::of(&disk).unwrap();
        keeper.take("one").unwrap();
        disk.fail_after(operation_count);
        let is_begun = keeper.begin().is_ok() && !disk.is_failing();
        disk.heal();
        keeper.take("two").unwrap();
        assert_eq!(found(&disk), words("one two"), "the successor failed at {operation_count}");
        for seed in 0..10 {
            assert_eq!(found(&disk.crash(seed)), words("one two"), "failed at {operation_count}, seed {seed}");
        }
        if is_begun {
            assert!(operation_count > 5, "only {operation_count} moments were tried");
            break;
        }
    }
}

#[test]
fn a_failed_sync_is_the_end_of_its_file() {
    let disk = SimulatedDisk::new();
    let mut keeper = Keeper::of(&disk).unwrap();
    keeper.take("one").unwrap();
    disk.fail_after(1); // the write is fine, the sync is not
    keeper.take("two").unwrap_err();
    assert!(!keeper.journal.has_file());
    disk.heal();
    keeper.take("three").unwrap();
    assert_eq!(names(&disk), ["0000000001.words"]);
    assert_eq!(found(&disk.crash(3)), words("one three"));
}

#[test]
fn a_damaged_file_falls_back_to_the_one_before_it_and_both_are_read() {
    let disk = SimulatedDisk::new();
    let mut keeper = Keeper::of(&disk).unwrap();
    keeper.take("one two").unwrap();
    let old = disk.read(&path("0000000000.words")).unwrap().to_vec();
    keeper.take("three").unwrap();
    keeper.begin().unwrap();
    keeper.take("four").unwrap();
    // As after a power cut between the name of the new file and the end of the old one.
    disk.replace(&path("0000000000.words"), &old).unwrap();
    assert_eq!(found(&disk), words("one two three four"), "the newest is sound, and read alone");

    // The first record's payload, behind a header of 32 bytes and one of 24.
    disk.damage(&path("0000000001.words"), |bytes| bytes[32 + 24] ^= 1);
    let (mut journal, recovered) = open(&disk);
    assert_eq!(recovered.records, words("one two two three four"));
    assert!(!recovered.damage.is_empty());
    for line in &recovered.damage {
        assert!(line.starts_with("/data/words/0000000001.words "), "{line}");
    }
    journal.begin_file(&recovered.records, NOW_MS).unwrap();
    assert_eq!(names(&disk), ["0000000001.words.damaged", "0000000002.words"]);
    assert_eq!(found(&disk), recovered.records);
}

#[test]
fn an_unfinished_end_is_left_off_without_a_word() {
    let disk = SimulatedDisk::new();
    Keeper::of(&disk).unwrap().take("one two three").unwrap();
    let whole = disk.read(&path("0000000000.words")).unwrap().to_vec();
    for length in 0..whole.len() {
        disk.replace(&path("0000000000.words"), &whole[..length]).unwrap();
        let (_, recovered) = open(&disk);
        assert!(words("one two three").starts_with(&recovered.records), "{length} bytes");
        assert_eq!(recovered.damage.is_empty(), length >= 32, "{length} bytes: only a header is written as a whole");
    }
}

#[test]
fn files_of_other_names_are_left_alone_and_those_of_another_kind_are_put_aside() {
    let disk = SimulatedDisk::new();
    for name in ["README", "x.words", "4294967295.words", "5.words.damaged"] {
        disk.replace(&path(name), b"not ours").unwrap();
    }
    let mut outbox = storage_format::frame::FileHeader::new(FileKind::Outbox, 7, NOW_MS, 1).encode().to_vec();
    outbox.extend_from_slice(&[0; 100]);
    disk.replace(&path("7.words"), &outbox).unwrap();
    let (mut journal, recovered) = open(&disk);
    assert_eq!(recovered.damage, ["/data/words/7.words is of another kind: Outbox"]);
    journal.begin_file(&words("one"), NOW_MS).unwrap();
    let expected = ["0000000008.words", "4294967295.words", "5.words.damaged", "7.words.damaged", "README", "x.words"];
    assert_eq!(names(&disk), expected);
    assert_eq!(found(&disk), words("one"), "the last number there is is nobody's");
}

#[test]
fn a_file_that_cannot_be_read_back_ends_no_other() {
    let disk = SimulatedDisk::new();
    let mut keeper = Keeper::of(&disk).unwrap();
    keeper.take("one").unwrap();
    let error = keeper.journal.begin_file(&words("one unspeakable"), NOW_MS).unwrap_err().to_string();
    assert!(error.contains("read back") && error.contains("no word"), "{error}");
    assert_eq!(names(&disk), ["0000000000.words", "0000000001.words"]);
    assert_eq!(open(&disk).1.records, words("one one"), "both are read");
    keeper.begin().unwrap();
    assert_eq!(names(&disk), ["0000000001.words"]);
}

#[test]
fn a_record_too_long_for_a_file_is_refused() {
    let disk = SimulatedDisk::new();
    let mut keeper = Keeper::of(&disk).unwrap();
    keeper.take("one").unwrap();
    let error = keeper.take(&"x".repeat(RECORD_BYTES_MAX + 1)).unwrap_err().to_string();
    assert!(error.contains("67108865 bytes") && error.contains("67108864"), "{error}");
    keeper.take("two").unwrap();
    assert_eq!(found(&disk), words("one two"));
}

#[test]
fn a_journal_on_a_full_disk_is_read_and_goes_on_when_there_is_room() {
    let disk = SimulatedDisk::new();
    Keeper::of(&disk).unwrap().take("one").unwrap();
    disk.fail_after(0);
    let mut keeper = Keeper::of(&disk).unwrap();
    assert_eq!(keeper.words, words("one"), "though its folder cannot be synced");
    assert!(keeper.take("two").unwrap_err().is_full());
    assert_eq!(names(&disk), ["0000000000.words"]);
    disk.heal();
    keeper.take("two").unwrap();
    assert_eq!(found(&disk), words("one two"));
}

#[test]
fn a_successor_is_wanted_when_the_file_has_doubled_and_not_again_at_once_when_it_failed() {
    let disk = SimulatedDisk::new();
    let mut keeper = Keeper::of(&disk).unwrap();
    let long = "x".repeat(usize::try_from(REWRITE_BYTES_MIN).unwrap() / 2);
    keeper.take(&long).unwrap();
    assert!(!keeper.journal.has_grown());
    keeper.take(&long).unwrap();
    assert!(keeper.journal.has_grown());
    disk.fail_after(0);
    keeper.begin().unwrap_err();
    disk.heal();
    assert!(keeper.journal.has_file(), "the file before goes on");
    assert!(!keeper.journal.has_grown());
    (0..3).for_each(|_| keeper.take(&long).unwrap());
    assert!(keeper.journal.has_grown());
    keeper.begin().unwrap();
    assert!(!keeper.journal.has_grown());
    assert_eq!((keeper.journal.record_count(), found(&disk).len()), (5, 5));
}

#[test]
fn the_machines_own_disk_gives_back_what_it_took() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Journal::<Word>::open(Arc::new(RealDisk), &folder.path().join("words")).unwrap();
    let (mut journal, recovered) = open();
    assert_eq!(recovered.records, []);
    journal.append(&words("one two"), Vec::new, NOW_MS).unwrap();
    journal.sync().unwrap();
    assert_eq!(open().1.records, words("one two"));
}

#[test]
fn texts_that_are_replaced_as_a_whole_are_read_as_a_whole_or_not_at_all() {
    use storage_format::frame::{decode_whole, encode_whole};
    let file = Texts { file_kind: FileKind::Silences, record_kind: 1, entries: "words" };
    let given = ["one".to_owned(), "two".to_owned()];
    let bytes = file.encode(given.iter(), NOW_MS);
    let records: [(u8, &[u8]); 3] = [(1, br#"{"words":2}"#), (1, br#""one""#), (1, br#""two""#)];
    assert_eq!(decode_whole(&bytes, FileKind::Silences).unwrap(), records);
    let read = |bytes: &[u8]| file.decode::<String>(bytes);
    assert_eq!(read(&bytes), Ok(given.to_vec()));
    let is_whole_or_refused = |bytes: &[u8]| read(bytes).map_or(true, |words| words == given);
    for at in 0..bytes.len() {
        assert!(is_whole_or_refused(&bytes[..at]), "the first {at} bytes");
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(is_whole_or_refused(&damaged), "byte {at}");
    }

    let of = |records: &[(u8, &[u8])]| read(&encode_whole(FileKind::Silences, NOW_MS, records.iter().copied()));
    assert_eq!(of(&records[..2]), Err("words are missing at its end".to_owned()));
    assert_eq!(of(&records[..0]), Err("it has no record".to_owned()));
    assert_eq!(of(&[records[0], (2, br#""one""#.as_slice()), records[2]]), Err("2 is no kind of text".to_owned()));
    assert_eq!(
        of(&[(1, br#"{"others":1}"#.as_slice()), records[1]]),
        Err("it does not say how many words it has".to_owned())
    );
    assert!(of(&[records[0], (1, b"1".as_slice()), records[2]]).is_err_and(|what| what.contains("expected a string")));
    assert!(read(&encode_whole(FileKind::Rules, NOW_MS, records)).is_err_and(|what| what.contains("another kind")));
}
