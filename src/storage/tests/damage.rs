//! MetDamage that is met while the database runs.

use std::fs::OpenOptions;
use std::path::Path;

use super::*;
use crate::storage::MetDamage;

/// Four hours of two series that have nothing in common; the first two are then in a block.
fn cut_block(fixture: &Fixture) -> [Vec<(i64, f64)>; 2] {
    let written = [1_u64, 2].map(|node| {
        let value = |minute: u64| (minute + (node << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) as f64 / 1e3;
        let samples: Vec<(i64, f64)> = (0..240).map(|minute| (T0 + minute as i64 * 60_000, value(minute))).collect();
        for (timestamp_ms, value) in &samples {
            fixture.write(&[(series("up", node as u32), *timestamp_ms, *value)]);
        }
        samples
    });
    assert_eq!(fixture.storage.maintain().expect("maintained").blocks_cut, 1);
    written
}

fn in_head(samples: &[(i64, f64)]) -> Vec<(i64, u64)> {
    let newer: Vec<(i64, f64)> = samples.iter().filter(|sample| sample.0 >= T0 + BLOCK_MS).copied().collect();
    bits(&newer)
}

fn block_path(data: &Path) -> PathBuf {
    data.join(format!("blocks/{T0}-{}.1.block", T0 + BLOCK_MS))
}

/// What both series give in one view, and what that view left out.
fn read_both(fixture: &Fixture) -> (Vec<Vec<(i64, u64)>>, Vec<String>) {
    let view = fixture.storage.view();
    let found = view.select(&[Matcher::equal("__name__", "up")], TimeRange::ALL, 10).expect("a selection");
    let read = |found: &crate::storage::view::SeriesView| {
        let mut columns = Columns::default();
        found.read(TimeRange::ALL, &mut columns);
        columns.iter().map(|(timestamp_ms, value)| (timestamp_ms, value.to_bits())).collect()
    };
    (found.iter().map(read).collect(), view.left_out())
}

#[test]
fn a_damaged_column_is_left_out_and_named_and_the_rest_serves() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let written = cut_block(&open(&disk, &clock));
    let path = block_path(Path::new("/data"));
    let range = format!("from {}.000 to {}.999", T0 / 1000, (T0 + BLOCK_MS - 1) / 1000);
    let mut losses = BTreeMap::<Vec<bool>, usize>::new();
    // The groups lie behind the header of 64 bytes; where the index begins the block as a whole is put aside.
    for at in (64..).step_by(97) {
        let disk = disk.crash(0);
        disk.damage(&path, |bytes| bytes[at] ^= 1);
        let fixture = open(&disk, &clock);
        if !fixture.recovered.damage.is_empty() {
            break;
        }
        let (read, left_out) = read_both(&fixture);
        let is_lost: Vec<bool> = read.iter().zip(&written).map(|(read, written)| *read != bits(written)).collect();
        for (index, _) in is_lost.iter().enumerate().filter(|(_, is_lost)| **is_lost) {
            assert_eq!(read[index], in_head(&written[index]), "byte {at}: all of the block's, or none");
        }
        *losses.entry(is_lost.clone()).or_default() += 1;
        if !is_lost.contains(&true) {
            continue; // a byte that nobody reads
        }
        assert_eq!(left_out.len(), 1, "byte {at}: {left_out:?}");
        assert!(left_out[0].contains(path.to_str().expect("a path")) && left_out[0].contains(&range), "{left_out:?}");
        read_both(&fixture);
        let damage = fixture.storage.damage();
        let MetDamage { file, offset, series: Some(labels), range: Some(range), met_count, first_met_ms, .. } =
            &damage[0]
        else {
            panic!("{damage:?}")
        };
        assert_eq!((file, is_lost[usize::from(labels.as_ref() == &series("up", 2))]), (&path, true));
        assert!(offset.is_some_and(|offset| offset >= 64) && *met_count >= 2, "{damage:?}");
        assert_eq!((range.from_ms, range.to_ms, *first_met_ms), (T0, T0 + BLOCK_MS - 1, T0 + 4 * HOUR_MS));
        let counted = fixture.storage.counters().damage.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(counted, damage.len() as u64);
        assert_eq!(fixture.storage.maintain().expect("maintained").blocks_put_aside, 0, "its index is whole");
    }
    assert!(
        losses.contains_key(&vec![true, false]) && losses.contains_key(&vec![false, true]),
        "each alone: {losses:?}"
    );
}

/// A real file, for it is mapped.
fn shortened_to(length: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (fixture, written) = {
        let options = StorageOptions { data_dir: folder.path().to_owned(), ..options(2) };
        let clock = Clock::manual(T0 + 4 * HOUR_MS);
        let opened = Storage::open(options, Arc::new(RealDisk), clock, Arc::new(|_: &Labels| false));
        let (storage, recovered, taps) = opened.expect("the database opens");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let fixture = Fixture { storage, taps, recovered, runtime };
        let written = cut_block(&fixture);
        (fixture, written)
    };
    let path = block_path(folder.path());
    let view = fixture.storage.view();
    OpenOptions::new().write(true).open(&path).expect("the block").set_len(length).expect("shortened");

    let (read, left_out) = read_both(&fixture);
    let expected = [in_head(&written[0]), in_head(&written[1])];
    assert_eq!(read, expected, "what is in the head, and nothing that is not so");
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert!(view.label_names(&[], TimeRange::ALL).expect("names").contains(&"node".to_owned()));
    assert_eq!(view.left_out().len(), 1);

    assert_eq!(fixture.storage.maintain().expect("maintained").blocks_put_aside, 1);
    assert_eq!(fixture.storage.block_count(), 0);
    assert!(!path.exists() && path.with_extension("damaged").exists(), "renamed, never deleted");
    let (read, left_out) = read_both(&fixture);
    assert_eq!(read, expected);
    assert_eq!(left_out.len(), 1, "still missing, and still named: {left_out:?}");
    assert!(!fixture.storage.damage().is_empty());
}

#[test]
fn a_block_that_is_emptied_under_us_neither_ends_the_process_nor_changes_an_answer() {
    shortened_to(0);
}

#[test]
fn a_block_that_is_cut_short_under_us_neither_ends_the_process_nor_changes_an_answer() {
    shortened_to(100);
}
