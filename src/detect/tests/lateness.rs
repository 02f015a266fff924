//! How late a job's samples come is learned: they are waited for as long as that takes, and no longer.

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;
use crate::detect::{AbsenceOptions, Directions, JOBS_COUNT_MAX, Judge, Kind};

const SCRAPE_MS: i64 = 15_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const ORDERS: &str = "sum(rate(orders[1m]))";

/// A row with the moment at which it arrives, in ms since [`START_MS`].
type Arrival = (i64, Row);

fn nodes(job: &str, count: usize) -> Vec<Arc<Labels>> {
    let node = |node: usize| labels(&[("__name__", "orders"), ("job", job), ("node", &node.to_string())]);
    (0..count).map(node).collect()
}

/// Nodes that count `per_scrape` orders each between scrapes; what a scrape brings arrives `delay_ms` later, which is told
/// the node and the moment.
fn scraped(count: usize, duration_ms: i64, delay_ms: impl Fn(usize, i64) -> i64) -> Vec<Arrival> {
    let (mut chance, mut totals) = (Chance(3), vec![0.0; count]);
    let mut arrivals = Vec::new();
    for at_ms in (0..duration_ms).step_by(SCRAPE_MS as usize) {
        for (node, total) in totals.iter_mut().enumerate() {
            *total += chance.poisson(40.0);
            let at_ms = at_ms + 100 * node as i64;
            arrivals.push((at_ms + delay_ms(node, at_ms), (node, START_MS + at_ms, *total)));
        }
    }
    arrivals.sort_by_key(|arrival| arrival.0);
    arrivals
}

/// One that is always on time, so that event time goes on.
fn clocked(index: usize, duration_ms: i64) -> Vec<Arrival> {
    (0..duration_ms / 1000).map(|second| (second * 1000, (index, START_MS + second * 1000, 0.0))).collect()
}

fn merged(mut one: Vec<Arrival>, other: Vec<Arrival>) -> Vec<Row> {
    one.extend(other);
    one.sort_by_key(|arrival| arrival.0);
    one.into_iter().map(|arrival| arrival.1).collect()
}

/// The orders of some nodes beside a clock, each row a batch.
struct Shop {
    series: Vec<Arc<Labels>>,
    workers: Vec<Worker>,
    judge: Judge,
    transitions: Vec<Transition>,
}

impl Shop {
    fn new(node_count: usize, lateness_ms: Option<i64>) -> Shop {
        Shop::from(None, node_count, lateness_ms)
    }

    /// Goes on from a checkpoint, if there is one.
    fn from(checkpoint: Option<&[u8]>, node_count: usize, lateness_ms: Option<i64>) -> Shop {
        let mut series = nodes("shop", node_count);
        series.push(labels(&[("__name__", "seconds"), ("job", "clock")]));
        let options = ModelOptions { directions: Directions::Drop, ..ModelOptions::default() };
        let watches = vec![watch(ORDERS, options), watch("seconds", options)];
        let (mut workers, mut judge) = start(watches, 1, lateness_ms);
        if let Some(bytes) = checkpoint {
            judge.restore(bytes).unwrap();
        }
        workers[0].handle(&batch(&series, &[], true));
        Shop { series, workers, judge, transitions: Vec::new() }
    }

    fn take(&mut self, rows: &[Row]) {
        for row in rows {
            self.workers[0].handle(&batch(&self.series, &[*row], false));
            self.transitions.extend(self.judge.poll());
        }
    }

    /// Usual and waited for, of the job `shop`.
    fn lateness_ms(&self) -> (Option<i64>, i64) {
        let jobs = self.judge.shared().lateness_of_jobs();
        let shop = jobs.iter().find(|one| &*one.job == "shop").expect("it has sent");
        (shop.usual_ms, shop.waited_ms)
    }

    fn late(&self) -> u64 {
        self.judge.shared().metrics.samples_late.load(Ordering::Relaxed)
    }

    /// The end of the newest bucket of orders that was judged, in ms since [`START_MS`].
    fn judged_ms(&self) -> i64 {
        let group = self.judge.groups.iter().find(|group| group.watch == 0).expect("it was fed");
        watch(ORDERS, ModelOptions::default()).signal.end_ms(group.closed.expect("for minutes")) - START_MS
    }
}

/// How long a node that died without a word holds the buckets open that follow, in ms of event time behind its last sample.
fn held_by_the_dead_ms(lateness_ms: Option<i64>) -> i64 {
    let dies_ms = 20 * MINUTE_MS;
    let mut arrivals = scraped(3, dies_ms + 5 * MINUTE_MS, |_, _| 1500);
    arrivals.retain(|(_, row)| row.0 < 2 || row.1 - START_MS < dies_ms);
    let last_ms = arrivals.iter().filter(|(_, row)| row.0 == 2).map(|(_, row)| row.1 - START_MS).max().unwrap();
    let rows = merged(arrivals, clocked(3, dies_ms + 5 * MINUTE_MS));
    let mut shop = Shop::new(3, lateness_ms);
    for row in &rows {
        shop.take(&[*row]);
        // The first bucket for which it has not reported.
        if row.1 - START_MS > last_ms && shop.judged_ms() > last_ms {
            return row.1 - START_MS - last_ms;
        }
    }
    panic!("they are never judged");
}

#[test]
fn a_punctual_job_is_waited_for_five_seconds() {
    // 2.2 intervals and 5 s are 38 s, which is one missed scrape; then what is late is waited for, until it is too late.
    // The clock ticks 800 ms behind its samples.
    assert_eq!(held_by_the_dead_ms(Some(30_000)), 38_000 + 30_000 + 800);
    assert_eq!(held_by_the_dead_ms(None), 38_000 + 5_000 + 800);
    assert_eq!(held_by_the_dead_ms(Some(60_000)), 38_000 + 60_000 + 800, "what the setting says holds");
}

/// Three nodes of which one keeps two minutes of samples and sends them at once.
fn kept_for_two_minutes(duration_ms: i64) -> Vec<Row> {
    let kept = |node: usize, at_ms: i64| if node == 0 { 2 * MINUTE_MS - at_ms % (2 * MINUTE_MS) } else { 1000 };
    merged(scraped(3, duration_ms, kept), clocked(3, duration_ms))
}

#[test]
fn a_job_that_sends_batches_of_two_minutes_is_not_cut_off() {
    let rows = kept_for_two_minutes(3 * HOUR_MS);
    let behind_an_hour = rows.partition_point(|row| row.1 < START_MS + HOUR_MS);
    let lost_later = |lateness_ms: Option<i64>| {
        let mut shop = Shop::new(3, lateness_ms);
        shop.take(&rows[..behind_an_hour]);
        let before = shop.late();
        shop.take(&rows[behind_an_hour..]);
        assert!(shop.transitions.is_empty(), "{:?}", shop.transitions);
        (shop.late() - before, shop.lateness_ms().1)
    };
    let (lost, waited_ms) = lost_later(None);
    assert_eq!(lost, 0);
    assert!((120_000..=180_000).contains(&waited_ms), "{waited_ms}");
    let (lost, waited_ms) = lost_later(Some(30_000));
    assert!(lost > 100, "{lost} would have been lost");
    assert_eq!(waited_ms, 30_000);
}

#[test]
fn in_its_own_batch_no_sample_is_late() {
    let series = nodes("shop", 3);
    let (mut workers, mut judge) = start(vec![watch(ORDERS, ModelOptions::default())], 1, None);
    workers[0].handle(&batch(&series, &[], true));
    let rows: Vec<Row> = scraped(3, 30 * MINUTE_MS, |_, _| 0).into_iter().map(|arrival| arrival.1).collect();
    // A minute at a time, one node behind the other, as remote write has them.
    for minute in rows.chunks(3 * 4) {
        let mut minute = minute.to_vec();
        minute.sort_by_key(|row| (row.0, row.1));
        workers[0].handle(&batch(&series, &minute, false));
        judge.poll();
    }
    let jobs = judge.shared().lateness_of_jobs();
    assert_eq!((jobs[0].usual_ms, jobs[0].waited_ms), (Some(0), 5_000));
}

#[test]
fn a_job_whose_delay_grows_is_followed() {
    // From nothing to a hundred seconds within two hours, and back at once.
    let delay = |_: usize, at_ms: i64| if at_ms < 2 * HOUR_MS { at_ms / 72 } else { 500 };
    let rows = merged(scraped(3, 4 * HOUR_MS, delay), clocked(3, 4 * HOUR_MS));
    let mut shop = Shop::new(3, None);
    let mut next = 0;
    for minute in 1..=240 {
        let is_before = |row: &&Row| row.0 < 3 || row.1 < START_MS + minute * MINUTE_MS;
        let until = next + rows[next..].iter().take_while(is_before).count();
        shop.take(&rows[next..until]);
        next = until;
        let (delay_ms, (_, waited_ms)) = (delay(0, minute * MINUTE_MS), shop.lateness_ms());
        if (20..=120).contains(&minute) {
            // What is more than 30 s is each series' own, and waited for beside.
            assert!(waited_ms + (delay_ms - 30_000).max(0) >= delay_ms, "{minute} min: {waited_ms} of {delay_ms}");
        }
    }
    assert_eq!(shop.late(), 0);
    assert_eq!(shop.lateness_ms().1, 5_000, "two hours later it is forgotten");
    assert!(shop.transitions.is_empty(), "{:?}", shop.transitions);
}

#[test]
fn a_burst_of_old_samples_does_not_stretch_what_is_waited_for() {
    // For four minutes nothing of the job comes, then all of it within a minute; later two nodes that were never seen
    // bring an hour of the past.
    let (cut_ms, back_ms) = (HOUR_MS, HOUR_MS + 4 * MINUTE_MS);
    let delay = |_: usize, at_ms: i64| if (cut_ms..back_ms).contains(&at_ms) { back_ms - at_ms } else { 2_000 };
    let mut arrivals = scraped(5, 3 * HOUR_MS, delay);
    let comes_ms = 2 * HOUR_MS;
    for arrival in arrivals.iter_mut().filter(|(_, row)| row.0 >= 3) {
        arrival.0 = arrival.0.max(comes_ms);
    }
    arrivals.sort_by_key(|arrival| arrival.0);
    let rows = merged(arrivals, clocked(5, 3 * HOUR_MS));
    let mut shop = Shop::new(5, None);
    for row in rows {
        shop.take(&[row]);
        if row.0 == 5 && row.1 > START_MS + 15 * MINUTE_MS {
            let (usual_ms, waited_ms) = shop.lateness_ms();
            assert!(usual_ms <= Some(2_000) && waited_ms == 5_000, "{} min", (row.1 - START_MS) / MINUTE_MS);
        }
    }
}

#[test]
fn one_node_with_a_wrong_clock_is_waited_for_by_itself() {
    let rows = merged(
        // Its clock is four minutes behind: what it sends now is stamped so.
        scraped(4, 2 * HOUR_MS, |node, _| if node == 0 { 4 * MINUTE_MS } else { 1000 }),
        clocked(4, 2 * HOUR_MS),
    );
    let [learned, given] = [None, Some(30_000)].map(|lateness_ms| {
        let mut shop = Shop::new(4, lateness_ms);
        shop.take(&rows);
        (shop.late(), shop.lateness_ms().1)
    });
    assert!(learned.1 <= 45_000, "{learned:?}");
    // The first samples, before its clock is known.
    assert_eq!(learned.0, given.0);
}

#[test]
fn what_the_watermark_drives_waits_for_the_latest_of_its_jobs() {
    let mut series = nodes("fast", 1);
    series.extend(nodes("slow", 1));
    let options = ModelOptions { absence: Some(AbsenceOptions::default()), ..ModelOptions::default() };
    let beats = |expression: &str| Watch {
        identity: expression.to_owned(),
        signal: Signal::beats(expression).unwrap(),
        options,
        zone: None,
    };
    let spread = Watch {
        identity: "spread".to_owned(),
        signal: Signal::of("stddev(orders)").unwrap(),
        options: ModelOptions::default(),
        zone: None,
    };
    let watches = vec![beats(r#"orders{job="fast"}"#), beats("orders"), spread, beats("nothing")];
    let (mut workers, mut judge) = start(watches.clone(), 2, None);
    let waited = |judge: &Judge| [0, 1, 2, 3].map(|watch| judge.shared().lateness_ms(watch));
    assert_eq!(waited(&judge), [30_000; 4]);
    let of_slow = batch(&series, &[], true);
    workers[0].handle(&TapBatch { series: of_slow.series[..1].to_vec(), ..TapBatch::default() });
    workers[1].handle(&TapBatch { series: of_slow.series[1..].to_vec(), ..TapBatch::default() });
    let arrivals = scraped(2, HOUR_MS, |node, _| if node == 1 { 20_000 } else { 0 });
    for (_, row) in arrivals {
        // The worker of the slow one hears of the time from the other: 15 s, less the 100 ms by which it is scraped later.
        workers[row.0].handle(&batch(&series, &[row], false));
        workers[1].settle(|| true);
        judge.poll();
    }
    let waited_ms = waited(&judge);
    assert_eq!((waited_ms[0], waited_ms[1], waited_ms[3]), (5_000, 14_900 * 3 / 2, 30_000), "half as much again");
    assert_eq!(waited_ms[2], waited_ms[1]);
    let (_, given) = start(watches, 2, Some(7_000));
    assert_eq!(waited(&given), [7_000; 4]);
}

#[test]
fn a_restart_knows_what_was_learned() {
    let rows = kept_for_two_minutes(2 * HOUR_MS);
    let mut shop = Shop::new(3, None);
    shop.take(&rows);
    let learned = shop.judge.shared().lateness_of_jobs();
    let checkpoint = shop.judge.checkpoint();
    let (_, mut unheard) = start(shop.judge.watches.to_vec(), 1, None);
    unheard.restore(&checkpoint).unwrap();
    // Nobody was heard in between, and is not forgotten for that.
    let mut again = Shop::from(Some(&unheard.checkpoint()), 3, None);
    assert_eq!(again.judge.shared().lateness_of_jobs(), learned);
    assert_eq!(learned.iter().map(|one| (&*one.job, one.minutes)).collect::<Vec<_>>(), [("clock", 60), ("shop", 60)]);
    // The log of an hour, read in order, teaches nothing.
    let read = rows.iter().filter(|row| row.1 >= START_MS + HOUR_MS);
    let mut read: Vec<Row> = read.copied().collect();
    read.sort_by_key(|row| row.1);
    again.workers[0].make_up(&batch(&again.series, &read, false));
    assert_eq!(again.judge.shared().lateness_of_jobs(), learned);
}

#[test]
fn jobs_past_the_limit_are_counted_and_waited_for_as_usual() {
    let watches = vec![watch("orders", ModelOptions::default())];
    let (mut workers, judge) = start(watches, 1, None);
    let names: Vec<String> = (0..JOBS_COUNT_MAX + 3).map(|job| format!("job-{job:04}")).collect();
    let series: Vec<_> = names.iter().map(|job| nodes(job, 1).remove(0)).collect();
    workers[0].handle(&batch(&series, &[], true));
    for minute in 0..15 {
        let rows: Vec<Row> = (0..series.len()).map(|index| (index, START_MS + minute * MINUTE_MS, 0.0)).collect();
        workers[0].handle(&batch(&series, &rows, false));
    }
    let shared = judge.shared();
    let jobs = shared.lateness_of_jobs();
    assert_eq!((jobs.len(), &*jobs[JOBS_COUNT_MAX - 1].job), (JOBS_COUNT_MAX, "job-0999"));
    assert!(jobs.iter().all(|one| one.waited_ms == 5_000));
    assert_eq!(shared.metrics.series_unlearned.load(Ordering::Relaxed), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn stopped_at_any_moment_a_job_that_sends_batches_is_judged_as_if_it_had_not_been(saved in 0.4_f64..0.95) {
        // A drop in the last hour, told late by one node.
        let mut rows = kept_for_two_minutes(3 * HOUR_MS);
        let mut totals = [(0.0, 0.0); 4];
        for row in rows.iter_mut().filter(|row| row.0 < 3) {
            let (before, total) = totals[row.0];
            let is_broken = (150..165).contains(&((row.1 - START_MS) / MINUTE_MS));
            totals[row.0] = (row.2, total + (row.2 - before) * if is_broken { 0.2 } else { 1.0 });
            row.2 = totals[row.0].1;
        }
        let essence = |told: &[Transition]| told.iter().map(|one| (one.kind, one.onset_ms, one.at_ms)).collect::<Vec<_>>();
        let mut whole = Shop::new(3, None);
        whole.take(&rows);
        let kinds: Vec<Kind> = whole.transitions.iter().map(|one| one.kind).collect();
        prop_assert_eq!(kinds, [Kind::Firing, Kind::Resolved]);

        let stopped = (rows.len() as f64 * saved) as usize;
        let mut shop = Shop::new(3, None);
        shop.take(&rows[..stopped]);
        let mut next = Shop::from(Some(&shop.judge.checkpoint()), 3, None);
        // The log of an hour is read in order of time, then it goes on.
        let (mut read, from_ms) = (rows[..stopped].to_vec(), rows[stopped].1 - HOUR_MS);
        read.retain(|row| row.1 >= from_ms);
        read.sort_by_key(|row| row.1);
        for rows in read.chunks(50) {
            next.workers[0].make_up(&batch(&next.series, rows, false));
            next.transitions.extend(next.judge.poll());
        }
        next.take(&rows[stopped..]);
        shop.transitions.extend(next.transitions);
        prop_assert_eq!(essence(&shop.transitions), essence(&whole.transitions));
    }
}
