//! Learning from stored history is living through it.

use super::*;
use crate::detect::{Calendar, Judge, Kind, LearnOptions, Zone, learn};
use crate::model::{Sample, TimeRange};
use crate::storage::view::ReadView;

const EXPRESSION: &str = "sum by (region) (rate(shop_orders_total[1m]))";
const HOURS: i64 = 5;

/// Six counters of two regions, a sample each 15 s. In the fourth hour no orders come from "eu" for ten minutes.
fn shop() -> (Vec<Arc<Labels>>, Vec<Row>) {
    let mut series: Vec<_> = ["eu", "us"]
        .into_iter()
        .flat_map(|region| ["1", "2", "3"].map(|node| [("region", region), ("node", node)]))
        .map(|[region, node]| labels(&[("__name__", "shop_orders_total"), region, node]))
        .collect();
    series.sort_unstable();
    let (mut chance, mut totals, mut rows) = (Chance(5), [0.0; 6], Vec::new());
    for step in 0..HOURS * 240 {
        let is_broken = (3 * 240..3 * 240 + 40).contains(&step);
        for (index, total) in totals.iter_mut().enumerate() {
            let is_eu = series[index].get("region") == Some("eu");
            *total += if is_broken && is_eu { 0.0 } else { chance.poisson(20.0) };
            rows.push((index, START_MS + step * 15_000, *total));
        }
    }
    (series, rows)
}

fn stored(series: &[Arc<Labels>], rows: &[Row]) -> ReadView {
    let samples = |index: usize| {
        let own = rows.iter().filter(move |row| row.0 == index);
        own.map(|&(_, timestamp_ms, value)| Sample { timestamp_ms, value }).collect()
    };
    ReadView::of_samples(series.iter().enumerate().map(|(index, one)| (one.as_ref().clone(), samples(index))).collect())
}

/// No clock of its own, and every day is like others.
fn days() -> (Zone, Calendar) {
    (Zone::utc(), Calendar::default())
}

fn options() -> LearnOptions {
    let (zone, calendar) = days();
    LearnOptions { lateness_ms: None, unheard_max_ms: i64::MAX, zone, calendar }
}

/// As `take` hands it to the worker.
fn lived(
    watches: Vec<Watch>,
    series: &[Arc<Labels>],
    rows: &[Row],
    take: impl Fn(&mut Worker, &TapBatch),
) -> (Judge, usize) {
    let (mut workers, mut judge) = start(watches, 1, None);
    take(&mut workers[0], &batch(series, &[], true));
    let mut fired_count = 0;
    for rows in rows.chunks(7) {
        take(&mut workers[0], &batch(series, rows, false));
        workers[0].publish();
        fired_count += judge.poll().iter().filter(|transition| transition.kind == Kind::Firing).count();
    }
    (judge, fired_count)
}

#[test]
fn what_is_learned_from_history_is_what_would_have_been_learned_live() {
    let (series, rows) = shop();
    let (watches, view) = (vec![watch(EXPRESSION, ModelOptions::default())], stored(&series, &rows));
    let (live, _) = lived(watches.clone(), &series, &rows, Worker::handle);
    let (judge, fired_count) = lived(watches.clone(), &series, &rows, Worker::make_up);
    let mut reached = Vec::new();
    let range = view.span().unwrap();
    let learned = learn(&view, range, watches, options(), None, &mut |at_ms| reached.push(at_ms)).unwrap();
    assert_eq!((learned.samples_count, learned.series_count), (rows.len() as u64, 6));
    assert_eq!((fired_count, &learned.fired_counts), (1, &vec![1]));
    assert!(learned.judge.checkpoint() == judge.checkpoint(), "the checkpoints differ");
    // But for how late the samples came: in history all lie in order.
    let minutes = |judge: &Judge| judge.shared().lateness_of_jobs()[0].minutes;
    assert_eq!((minutes(&live), minutes(&learned.judge)), (60, 0));
    // Stretches of two hours.
    assert_eq!(reached, [START_MS + 7_200_000 - 1, START_MS + 14_400_000 - 1, range.to_ms]);
}

#[test]
fn what_fired_when_its_series_went_long_ago_is_not_kept() {
    let (series, mut rows) = shop();
    // Nobody of "eu" reports any more once it broke; "us" goes on for two days.
    rows.retain(|row| row.1 < START_MS + 3 * 3_600_000 + 300_000);
    let of_us: Vec<Row> = rows.iter().filter(|row| row.0 == 5).copied().collect();
    for (_, timestamp_ms, value) in &of_us {
        for days in 1..=2 {
            rows.push((5, timestamp_ms + days * 86_400_000, value + days as f64 * 1e6));
        }
    }
    let (watches, view) = (vec![watch(EXPRESSION, ModelOptions::default())], stored(&series, &rows));
    let range = view.span().unwrap();
    let learned = learn(&view, range, watches.clone(), options(), None, &mut |_| {}).unwrap();
    assert_eq!(learned.judge.firing().len(), 1, "it never recovered");
    let restored = |bytes: &[u8]| {
        let (_, mut judge) = start(watches.clone(), 1, None);
        (judge.restore(bytes).unwrap().groups, judge.firing().len())
    };
    assert_eq!(restored(&learned.judge.checkpoint()), (2, 1));
    assert_eq!(restored(&learned.judge.lesson()), (1, 0));
}

#[test]
fn history_is_read_from_its_beginning_to_its_end_and_no_further() {
    let (series, rows) = shop();
    let (watches, view) = (vec![watch(EXPRESSION, ModelOptions::default())], stored(&series, &rows));
    let range = TimeRange { from_ms: START_MS + 60_000, to_ms: START_MS + 119_999 };
    let learned = learn(&view, range, watches.clone(), options(), None, &mut |_| {}).unwrap();
    assert_eq!(learned.samples_count, 24, "four of each");
    let never = TimeRange { from_ms: 1, to_ms: 0 };
    assert_eq!(learn(&view, never, watches, options(), None, &mut |_| {}).unwrap().samples_count, 0);
}
