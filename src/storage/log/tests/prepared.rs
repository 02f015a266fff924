//! The next segment, prepared while another grows: what comes meanwhile, what fails, and where the power is cut.

use std::collections::BTreeSet;

use super::super::opening::remove_unfinished;
use super::*;

/// Bytes of a segment with the four definitions of [`writer`] as its opening, times four.
fn bytes_max() -> u64 {
    let definitions: usize = (0..4).map(|shard| definition(shard as u16, shard).len()).sum();
    4 * (frame::FILE_HEADER_BYTES + definitions) as u64
}

/// A log whose segments end as early as they may, and prepare a definition a piece.
fn small_writer(disk: &SimulatedDisk, found: &Replayed) -> LogWriter {
    small_writer_of(disk, found, Arc::new(AtomicUsize::new(4)))
}

fn small_writer_of(disk: &SimulatedDisk, found: &Replayed, series_count: Arc<AtomicUsize>) -> LogWriter {
    let mut log = writer_of(disk, found, series_count);
    log.end_segments_at(1);
    log.prepare_in_pieces_of(1);
    log
}

fn row(reference: u64, timestamp_ms: i64) -> LogEntry {
    entry(samples(log::KIND_SAMPLES, 0, &[(reference, timestamp_ms, timestamp_ms as f64)]), timestamp_ms)
}

/// The first samples of a series that is new.
fn new_row(reference: u64, timestamp_ms: i64) -> LogEntry {
    let defined = definition(0, reference);
    let definition_bytes = defined.len();
    LogEntry {
        records: [defined, row(reference, timestamp_ms).records].concat(),
        definition_bytes,
        ..row(0, timestamp_ms)
    }
}

/// Writes rows of series 0 until the growing segment is nearly full. Returns the next moment.
fn fill(log: &mut LogWriter, mut next_ms: i64) -> i64 {
    while !log.is_preparing() {
        log.commit(&[row(0, next_ms)]).expect("written");
        next_ms += 1;
    }
    next_ms
}

/// A log whose first segment is nearly full, and the next moment.
fn filled() -> (SimulatedDisk, LogWriter, i64) {
    let disk = SimulatedDisk::new();
    let mut log = small_writer(&disk, &Replayed::default());
    let next_ms = fill(&mut log, 0);
    (disk, log, next_ms)
}

/// Prepares all of the next segment.
fn prepare_all(log: &mut LogWriter) {
    while log.is_preparing() {
        log.prepare().expect("prepared");
    }
}

fn begun(log: &LogWriter) -> BegunSegments {
    *log.begun().lock()
}

fn unfinished(disk: &SimulatedDisk) -> PathBuf {
    let path = Path::new(FOLDER).join("next.tmp");
    assert!(disk.file_bytes(&path).is_ok(), "an opening is there");
    path
}

/// What a start finds in the only segment of this number.
fn told_by(disk: &SimulatedDisk, sequence: u32) -> (Replayed, Vec<Vec<String>>) {
    let (from, alone) = (segment_path(Path::new(FOLDER), sequence), SimulatedDisk::new());
    let file = alone.create(&from, 0).expect("a file");
    file.write_at(0, &disk.read(&from).expect("a segment")).expect("written");
    replayed(&alone, 1)
}

#[test]
fn the_next_segment_is_prepared_a_piece_at_a_time_and_begins_without_a_definition() {
    let (disk, mut log, next_ms) = filled();
    let written = disk.read(&segment_path(Path::new(FOLDER), 1)).expect("a segment");
    let written_bytes = written.iter().rposition(|byte| *byte != 0).expect("records") as u64;
    assert!((bytes_max() * 3 / 4 - 8..bytes_max()).contains(&written_bytes), "{written_bytes} of {}", bytes_max());
    let mut pieces = 0;
    while log.is_preparing() {
        let before = disk.operation_count();
        log.prepare().expect("prepared");
        pieces += 1;
        // Create and header come with the first, the room that the definitions ask for with the last.
        let operations = disk.operation_count() - before;
        assert_eq!(operations, if pieces == 1 { 4 } else { 2 } + u64::from(pieces == 4), "piece {pieces}");
    }
    assert_eq!((pieces, segments(&disk)), (4, vec!["00000001.log".to_owned(), "next.tmp".to_owned()]));
    assert!(log.may_end());
    log.finish_segment().expect("ended");
    assert_eq!(log.growing().load(Ordering::SeqCst), 2);
    let before = disk.operation_count();
    log.commit(&[row(3, next_ms)]).expect("written");
    assert_eq!(disk.operation_count() - before, 4, "rename, sync of the folder, write, sync");
    assert_eq!(begun(&log), BegunSegments { prepared: 1, half_prepared: 0, unprepared: 1 });
    assert_eq!(segments(&disk), ["00000001.log", "00000002.log"]);
    assert_eq!(told_by(&disk, 2).1[3], [format!("{next_ms} @{next_ms}")]);
    let (found, told) = replayed(&disk, 1);
    assert_eq!((found.damage, told[0].len()), (Vec::new(), next_ms as usize));
}

#[test]
fn a_full_segment_ends_behind_the_answer_once_the_next_is_prepared() {
    let disk = SimulatedDisk::new();
    let mut log = small_writer(&disk, &Replayed::default());
    log.prepare_in_pieces_of(1000);
    let mut next_ms = fill(&mut log, 0);
    while log.growing().load(Ordering::SeqCst) == 1 {
        log.commit(&[new_row(4, next_ms)]).expect("written");
        log.prepare().expect("prepared");
        next_ms += 1;
    }
    assert!(!log.is_preparing() && log.may_end(), "nothing is left to do");
    log.commit(&[row(4, next_ms)]).expect("written");
    assert_eq!(begun(&log).prepared, 1);
    assert_eq!(told_by(&disk, 2).1[4], [format!("{next_ms} @{next_ms}")]);
}

/// The series 4 comes, behind the back of the walk, when so many pieces are prepared; the series 5 and the segment's end
/// come later.
#[test]
fn a_series_that_comes_while_the_next_segment_is_prepared_is_defined_in_it() {
    for pieces in 1..6 {
        let (disk, mut log, _) = filled();
        for _ in 0..pieces {
            log.prepare().expect("prepared");
        }
        log.commit(&[new_row(4, 100), row(0, 101)]).expect("written");
        log.prepare().expect("prepared");
        log.commit(&[new_row(5, 102)]).expect("written");
        log.finish_segment().expect("ended");
        log.commit(&[row(4, 103), row(5, 104), row(3, 105), new_row(6, 106)]).expect("written");
        let begun = begun(&log);
        let expected = if pieces < 3 { (0, 1) } else { (1, 0) };
        assert_eq!((begun.prepared, begun.half_prepared), expected, "{pieces} pieces");
        let (found, told) = told_by(&disk, 2);
        assert_eq!(found.damage, Vec::<String>::new(), "{pieces} pieces");
        assert_eq!(told[4..7].concat(), ["103 @103", "104 @104", "106 @106"], "{pieces} pieces");
        assert_eq!(told[3], ["105 @105"]);
    }
}

#[test]
fn what_fails_of_the_preparation_costs_the_growing_segment_nothing() {
    // Create, header, and four pieces of a write and a sync each, and the room.
    for fails_after in 0..11 {
        let (disk, mut log, next_ms) = filled();
        disk.fail_after(fails_after);
        while log.is_preparing() {
            log.prepare().expect("the segment itself is sound");
        }
        assert!(log.may_end() && !log.is_broken(), "nobody waits for what cannot be prepared");
        disk.heal();
        log.commit(&[row(0, next_ms)]).expect("written");
        assert_eq!(log.growing().load(Ordering::SeqCst), 1);
        log.finish_segment().expect("ended");
        log.commit(&[row(1, next_ms)]).expect("written");
        assert_eq!(begun(&log), BegunSegments { prepared: 0, half_prepared: 0, unprepared: 2 }, "{fails_after}");
        assert_eq!(segments(&disk), ["00000001.log", "00000002.log"], "its place is taken, and no number left out");
        let (found, told) = replayed(&disk.crash(fails_after), 1);
        assert_eq!((found.damage, told[0].len() as i64), (Vec::new(), next_ms + 1), "{fails_after}");
        // Of the next segment the same is tried again.
        fill(&mut log, next_ms);
        log.prepare().expect("prepared");
        unfinished(&disk);
    }
}

#[test]
fn what_is_prepared_goes_with_the_segment_that_fails() {
    let (disk, mut log, next_ms) = filled();
    prepare_all(&mut log);
    disk.fail_after(0);
    log.commit(&[new_row(4, next_ms)]).expect_err("the disk fails");
    assert!(!log.is_preparing() && log.may_end());
    disk.heal();
    log.commit(&[row(4, next_ms + 1)]).expect("written at last");
    assert_eq!(begun(&log), BegunSegments { prepared: 0, half_prepared: 0, unprepared: 2 });
    let names: Vec<String> = segments(&disk).into_iter().filter(|name| name.ends_with(".log")).collect();
    assert_eq!(names, ["00000001.log", "00000003.log"], "one number is left out");
    assert_eq!(told_by(&disk, 3).1[4], [format!("{next_ms} @{next_ms}"), format!("{0} @{0}", next_ms + 1)]);
}

#[test]
fn a_disk_without_room_for_another_segment_keeps_what_it_has_for_the_one_that_grows() {
    let (disk, mut log, mut next_ms) = filled();
    disk.set_free_bytes(DISK_RESERVE_BYTES - 1);
    log.prepare().expect("the segment itself is sound");
    assert_eq!(segments(&disk), ["00000001.log"], "not even begun");
    log.check_room().expect("enough to go on");
    log.commit(&[row(0, next_ms)]).expect("written");

    disk.set_free_bytes(2 * DISK_RESERVE_BYTES);
    log.finish_segment().expect("ended");
    next_ms = fill(&mut log, next_ms + 1);
    log.prepare().expect("prepared");
    disk.set_free_bytes(DISK_RESERVE_GROWING_BYTES - 1);
    log.check_room().expect("what was prepared gives way");
    assert_eq!(segments(&disk), ["00000001.log", "00000002.log"]);
    assert!(!log.is_preparing(), "not tried again for this segment");
    log.commit(&[row(0, next_ms)]).expect("written");
    disk.set_free_bytes(DISK_RESERVE_GROWING_BYTES - 1);
    log.check_room().expect_err("nothing is left to give way");
}

#[test]
fn a_prepared_segment_has_taken_its_room_already() {
    let (disk, mut log, next_ms) = filled();
    prepare_all(&mut log);
    log.finish_segment().expect("ended");
    disk.set_free_bytes(DISK_RESERVE_GROWING_BYTES);
    log.check_room().expect("the next segment has its own");
    log.commit(&[row(0, next_ms)]).expect("written");
    assert_eq!(begun(&log).prepared, 1);
}

#[test]
fn an_opening_that_was_never_used_means_nothing_to_a_start() {
    for pieces in 1..5 {
        let (disk, mut log, next_ms) = filled();
        for _ in 0..pieces {
            log.prepare().expect("prepared");
        }
        disk.sync_folder(Path::new(FOLDER)).expect("synced"); // so that the power cut leaves it
        let acknowledged = disk.read(&segment_path(Path::new(FOLDER), 1)).expect("a segment");
        let synced_bytes = acknowledged.iter().rposition(|byte| *byte != 0).expect("records") + 1;
        log.commit(&[row(0, next_ms)]).expect("written");
        for start in 0..3 {
            let cut = disk.crash(start);
            // Half of the last group: the segment is no more ended than the start believes it to be.
            cut.damage(&segment_path(Path::new(FOLDER), 1), |bytes| bytes[synced_bytes + 12..].fill(0));
            unfinished(&cut);
            for _ in 0..2 {
                let (found, told) = replayed(&cut, 1);
                assert_eq!((found.damage.len(), found.last_sequence), (0, 1), "{:?}", found.damage);
                assert_eq!(told[0].len() as i64, next_ms);
            }
            remove_unfinished(&cut, Path::new(FOLDER));
            remove_unfinished(&cut, Path::new(FOLDER)); // nothing to remove is fine
            let (found, _) = replayed(&cut, 1);
            let mut log = small_writer(&cut, &found);
            log.commit(&[row(1, next_ms)]).expect("written");
            assert_eq!(segments(&cut), ["00000001.log", "00000003.log"], "a gap behind what may be torn");
            assert_eq!(replayed(&cut, 1).0.damage, Vec::<String>::new());
        }
    }
}

#[test]
fn a_close_leaves_no_opening() {
    let (disk, mut log, _) = filled();
    log.prepare().expect("prepared");
    unfinished(&disk);
    log.close().expect("ended");
    assert_eq!(segments(&disk), ["00000001.log"]);
}

/// Some segments' worth of groups, with a new series now and then; some of the segments are prepared in time. Returns
/// the moments that were acknowledged, by series, until the disk fails.
fn play(disk: &SimulatedDisk, found: &Replayed, from_ms: i64) -> (BTreeSet<(u64, i64)>, BegunSegments) {
    let (mut acknowledged, series_count) = (BTreeSet::new(), Arc::new(AtomicUsize::new(4)));
    let mut log = small_writer_of(disk, found, series_count.clone());
    for step in 0..130 {
        let (timestamp_ms, known) = (from_ms + step, series_count.load(Ordering::SeqCst) as u64);
        let reference = if step % 9 == 5 && known < 8 { known } else { step as u64 % known };
        let entry = if reference == known { new_row(reference, timestamp_ms) } else { row(reference, timestamp_ms) };
        series_count.fetch_max(reference as usize + 1, Ordering::SeqCst);
        if log.commit(&[entry]).is_ok() {
            acknowledged.insert((reference, timestamp_ms));
        }
        if step < 55 || step % 9 == 0 {
            let _ = log.prepare();
        }
        if matches!(step, 24 | 40) {
            log.ask_for_end();
        }
        if matches!(step, 27 | 43) && log.may_end() {
            let _ = log.finish_segment();
        }
        if disk.is_failing() {
            break;
        }
    }
    (acknowledged, begun(&log))
}

fn check(disk: &SimulatedDisk, acknowledged: &BTreeSet<(u64, i64)>, context: &str) -> Replayed {
    let (found, told) = replayed(disk, 1);
    assert_eq!(found.damage, Vec::<String>::new(), "{context}");
    for (reference, timestamp_ms) in acknowledged {
        let text = format!("{timestamp_ms} @{timestamp_ms}");
        assert!(told[*reference as usize].contains(&text), "{context}: series {reference} at {timestamp_ms}");
    }
    found
}

#[test]
fn a_power_cut_at_any_operation_of_the_log_leaves_what_was_acknowledged() {
    let whole = SimulatedDisk::new();
    let (acknowledged, begun) = play(&whole, &Replayed::default(), 0);
    assert_eq!(acknowledged.len(), 130);
    assert!(begun.prepared >= 2 && begun.half_prepared >= 2, "{begun:?}");
    for cut_at in 0..whole.operation_count() {
        let disk = SimulatedDisk::new();
        disk.fail_after(cut_at);
        let (mut acknowledged, _) = play(&disk, &Replayed::default(), 0);
        for seed in 0..2 {
            let context = format!("cut at operation {cut_at}, seed {seed}");
            let cut = disk.crash(seed);
            let found = check(&cut, &acknowledged, &context);
            if seed == 1 {
                // Another process goes on, and its power is cut as well.
                remove_unfinished(&cut, Path::new(FOLDER));
                acknowledged.extend(play(&cut, &found, 1000).0);
                check(&cut.crash(seed), &acknowledged, &context);
            }
        }
    }
}

#[test]
fn a_name_that_lasts_before_its_folder_is_synced_is_a_segment_like_others() {
    let (disk, mut log, next_ms) = filled();
    prepare_all(&mut log);
    log.finish_segment().expect("ended");
    disk.sync_folder(Path::new(FOLDER)).expect("synced");
    let cut = disk.crash(1);
    // As a disk may keep it that writes names when it likes.
    cut.rename(&unfinished(&cut), &segment_path(Path::new(FOLDER), 2)).expect("renamed");
    let (found, told) = replayed(&cut, 1);
    assert_eq!((found.damage, found.last_sequence, told[0].len() as i64), (Vec::new(), 2, next_ms));
}
