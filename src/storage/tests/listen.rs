//! Another listener in the place of the one there was.

use super::*;
use crate::storage::tap::TapBatch;

fn labelled(name: &str, label: &str) -> Labels {
    Labels::from_pairs([("__name__", name), (label, "yes")]).expect("labels")
}

/// Names and times of everything that the listener is told until nothing is left, and whether its tap has ended.
fn heard(source: &TapSource) -> (Vec<(String, i64)>, bool) {
    let (mut names, mut rows) = (hashbrown::HashMap::new(), Vec::new());
    let mut take = |batch: TapBatch| {
        for (series, labels) in &batch.series {
            names.insert(*series, labels.get("__name__").expect("a name").to_owned());
        }
        rows.extend(batch.rows.iter().map(|row| (names[&row.series].clone(), row.timestamp_ms)));
    };
    let is_closed = loop {
        match source.next(Duration::ZERO) {
            Tapped::Batch(batch) => take(batch),
            Tapped::Missed => source.catch_up(|_| None).for_each(&mut take),
            Tapped::Nothing => break false,
            Tapped::Closed => break true,
        }
    };
    (rows, is_closed)
}

#[test]
fn new_listener_hears_of_its_own_series_from_the_beginning_and_the_old_one_of_everything_until_then() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open_with(&disk, options(1), &clock);
    let (before, now) = (labelled("before", "watched"), labelled("now", "wanted"));
    assert_eq!(heard(&fixture.taps[0]), (Vec::new(), false), "nothing is held yet");
    fixture.write(&[(before.clone(), T0, 1.0), (now.clone(), T0, 1.0)]);

    let interest = Arc::new(|labels: &Labels| labels.get("wanted").is_some());
    let taps = fixture.storage.listen_anew(interest).expect("the database is open");
    fixture.write(&[(before.clone(), T0 + 1, 1.0), (now.clone(), T0 + 1, 1.0), (labelled("new", "wanted"), T0, 1.0)]);

    let told = |name: &str, ms| (name.to_owned(), ms);
    assert_eq!(heard(&fixture.taps[0]), (vec![told("before", T0)], true));
    let (mut rows, is_closed) = heard(&taps[0]);
    rows.sort();
    assert_eq!((rows, is_closed), (vec![told("new", T0), told("now", T0), told("now", T0 + 1)], false));
    fixture.write(&[(before, T0 + 2, 1.0), (now, T0 + 2, 1.0)]);
    let Tapped::Batch(batch) = taps[0].next(Duration::ZERO) else { panic!("a batch is there") };
    assert_eq!(batch.rows.iter().map(|row| row.timestamp_ms).collect::<Vec<_>>(), [T0 + 2]);
}

#[test]
fn nobody_listens_to_a_database_that_is_closed() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open(&disk, &clock);
    fixture.storage.close();
    assert!(fixture.storage.listen_anew(Arc::new(|_: &Labels| true)).is_none());
}

#[test]
fn listener_is_told_what_time_it_is_by_samples_that_it_does_not_want() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open_with(&disk, options(1), &clock);
    assert_eq!(heard(&fixture.taps[0]), (Vec::new(), false));
    let told = || match fixture.taps[0].next(Duration::ZERO) {
        Tapped::Batch(batch) => Some((batch.rows.len(), batch.newest_ms)),
        _ => None,
    };
    fixture.write(&[(series("other", 1), T0, 1.0)]);
    assert_eq!(told(), Some((0, Some(T0))));
    fixture.write(&[(series("other", 2), T0 + 999, 1.0)]);
    assert_eq!(told(), None, "less than a second newer");
    fixture.write(&[(series("other", 1), T0 + 1_000, 1.0), (labelled("orders", "watched"), T0 + 500, 1.0)]);
    assert_eq!(told(), Some((1, Some(T0 + 1_000))));
    fixture.write(&[(series("other", 3), T0 - 60_000, 1.0)]);
    assert_eq!(told(), None, "older");
}
