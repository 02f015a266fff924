//! What the stored data is said to consist of.

use super::super::{HeadFigures, Task};
use super::*;

#[test]
fn head_is_counted_by_metric_label_and_pair() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open(&disk, &clock);
    let labels = |name: &str, job: &str, node: &str| {
        Labels::from_pairs([("__name__", name), ("job", job), ("node", node)]).expect("labels")
    };
    fixture.write(&[
        (labels("up", "shop", "1"), T0 - 9, 1.0),
        (labels("up", "shop", "22"), T0 - 5, 1.0),
        (labels("orders", "shop", "1"), T0 - 7, 1.0),
    ]);
    let counts = |list: &[(&str, u64)]| list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let expected = HeadFigures {
        series_count: 3,
        chunk_count: 3,
        label_pair_count: 5,
        span: Some(TimeRange { from_ms: T0 - 9, to_ms: T0 - 5 }),
        series_by_metric: counts(&[("up", 2), ("orders", 1)]),
        values_by_label: counts(&[("__name__", 2), ("node", 2)]),
        value_bytes_by_label: counts(&[("job", 12), ("__name__", 10)]),
        series_by_pair: counts(&[("job=shop", 3), ("__name__=up", 2)]),
    };
    assert_eq!(fixture.storage.head_figures(2), expected);
}

#[test]
fn blocks_are_told_with_what_is_in_them() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 4 * HOUR_MS));
    let fixture = open(&disk, &clock);
    fixture.write(&[(series("up", 1), T0, 1.0), (series("up", 2), T0, 1.0), (series("up", 1), T0 + 5, 1.0)]);
    fixture.write(&[(series("up", 1), T0 + 4 * HOUR_MS, 1.0)]);
    fixture.storage.maintain().expect("a cut");
    let figures = fixture.storage.block_figures();
    assert_eq!(figures.len(), 1);
    assert_eq!(figures[0].span, TimeRange { from_ms: T0, to_ms: T0 + BLOCK_MS - 1 });
    assert_eq!((figures[0].series_count, figures[0].sample_count), (2, 3));
    assert_eq!(figures[0].bytes, fixture.storage.block_bytes());
    assert_eq!(figures[0].created_ms, T0 + 4 * HOUR_MS);
}

#[test]
fn progress_is_that_of_the_task_under_way() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let fixture = open(&disk, &clock);
    let progress = fixture.storage.progress();
    assert_eq!(progress.now(), None);
    let task = progress.begin(Task::Clean, 10);
    task.add(4);
    assert_eq!(progress.now(), Some((Task::Clean, 4, 10)));
    task.add(9);
    assert_eq!(progress.now(), Some((Task::Clean, 10, 10)), "an estimate that was too low is no more than done");
    drop(task);
    assert_eq!(progress.now(), None);
}
