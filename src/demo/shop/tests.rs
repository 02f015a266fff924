use std::collections::HashSet;

use super::*;

const START_MS: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 15_000;

fn shop(options: ShopOptions) -> Shop {
    Shop::new(options).expect("the options are valid")
}

fn eu_timeout() -> Fault {
    Fault::PaymentTimeout { region: "eu".to_owned() }
}

/// Values of one node at `count` scrapes.
fn play(shop: &mut Shop, node: usize, count: i64) -> Vec<[f64; SERIES_PER_NODE]> {
    (0..count).map(|index| shop.scrape(node, START_MS + index * STEP_MS)).collect()
}

#[test]
fn node_has_forty_series_under_thirty_names() {
    let shop = shop(ShopOptions::default());
    let labels: HashSet<String> = (0..SERIES_PER_NODE).map(|series| shop.labels(0, series).to_string()).collect();
    let names: HashSet<&str> = SERIES.iter().map(|series| series.name).collect();
    assert_eq!((labels.len(), names.len(), shop.series_count()), (40, 30, 480));
}

#[test]
fn nodes_differ_in_labels_and_values() {
    let mut shop = shop(ShopOptions { node_count: 600, ..ShopOptions::default() });
    let labels: HashSet<String> = (0..600)
        .flat_map(|node| (0..SERIES_PER_NODE).map(move |series| (node, series)))
        .map(|(node, series)| shop.labels(node, series).to_string())
        .collect();
    assert_eq!(labels.len(), 600 * SERIES_PER_NODE);
    assert_ne!(shop.scrape(0, START_MS), shop.scrape(3, START_MS));
}

#[test]
fn same_seed_gives_the_same_values() {
    let mut first = shop(ShopOptions::default());
    let mut second = shop(ShopOptions::default());
    assert_eq!(play(&mut first, 4, 200), play(&mut second, 4, 200));
}

#[test]
fn another_seed_gives_other_values() {
    let mut first = shop(ShopOptions::default());
    let mut second = shop(ShopOptions { seed: 2, ..ShopOptions::default() });
    assert_ne!(play(&mut first, 4, 2), play(&mut second, 4, 2));
}

#[test]
fn part_of_a_fleet_equals_the_same_nodes_of_the_whole() {
    let mut whole = shop(ShopOptions { node_count: 10, ..ShopOptions::default() });
    let mut part = shop(ShopOptions { node_count: 3, node_first: 6, ..ShopOptions::default() });
    for node in 0..10 {
        whole.scrape(node, START_MS - STEP_MS);
    }
    part.scrape(1, START_MS - STEP_MS);
    assert_eq!(play(&mut part, 1, 50), play(&mut whole, 7, 50));
    assert_eq!(part.labels(1, 5), whole.labels(7, 5));
}

#[test]
fn counters_fall_only_with_a_restart_that_is_declared() {
    let mut shop = shop(ShopOptions { restart_interval_ms: HOUR_MS, ..ShopOptions::default() });
    let start_time = shop.series_index("process_start_time_seconds").unwrap();
    let rows = play(&mut shop, 2, 4 * 240);
    let mut restarts = 0;
    for pair in rows.windows(2) {
        let restarted = pair[1][start_time] > pair[0][start_time];
        restarts += usize::from(restarted);
        for series in 0..SERIES_PER_NODE {
            let (name, job) = (SERIES[series].name, SERIES[series].job);
            let counter = ["_total", "_bucket", "_sum", "_count"].iter().any(|ending| name.ends_with(ending));
            let may_fall = !counter || (restarted && job == "shop");
            assert!(may_fall || pair[1][series] >= pair[0][series], "{name}");
        }
    }
    assert!((1..=12).contains(&restarts), "four hours at a mean of one an hour, not {restarts}");
}

#[test]
fn every_checkout_is_in_one_bucket_and_is_an_order_or_a_timeout() {
    let mut shop = shop(ShopOptions::default());
    shop.begin_fault(eu_timeout(), START_MS + 100 * STEP_MS);
    let index = |name: &str| shop.series_index(name).unwrap();
    let (bucket, count, orders) =
        (index("shop_checkout_seconds_bucket"), index("shop_checkout_seconds_count"), index("shop_orders_total"));
    let timeouts = index("shop_payments_total") + 1;
    for values in play(&mut shop, 0, 200) {
        assert!(values[bucket..bucket + 7].is_sorted());
        assert_eq!(values[bucket + 6], values[count]);
        assert_eq!(values[orders] + values[timeouts], values[count]);
    }
}

/// The share of checkouts up to a bound that makes `histogram_quantile`, worked out from two rows of buckets.
fn quantile(before: &[f64; SERIES_PER_NODE], after: &[f64; SERIES_PER_NODE], bucket: usize, share: f64) -> f64 {
    let bounds = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
    let counts: Vec<f64> = (bucket..bucket + 7).map(|series| after[series] - before[series]).collect();
    let wanted = share * counts[6];
    let index = counts.iter().position(|count| *count >= wanted).unwrap();
    if index == 6 {
        return 5.0;
    }
    let (low, below) = if index == 0 { (0.0, 0.0) } else { (bounds[index - 1], counts[index - 1]) };
    low + (bounds[index] - low) * (wanted - below) / (counts[index] - below)
}

#[test]
fn payment_timeout_costs_three_of_four_orders_and_makes_checkout_slow() {
    // Node 0 serves eu. Half an hour of each: the daily profile moves by a few percent at most in that time.
    let mut shop = shop(ShopOptions::default());
    shop.begin_fault(eu_timeout(), START_MS + 120 * STEP_MS);
    shop.end_fault(&eu_timeout(), START_MS + 240 * STEP_MS);
    let orders = shop.series_index("shop_orders_total").unwrap();
    let bucket = shop.series_index("shop_checkout_seconds_bucket").unwrap();
    let rows = play(&mut shop, 0, 361);
    let rate = |from: usize, to: usize| (rows[to][orders] - rows[from][orders]) / (to - from) as f64;
    let (good, broken, again) = (rate(0, 120), rate(120, 240), rate(240, 360));
    assert!((0.2..0.3).contains(&(broken / good)), "{broken} of {good}");
    assert!((0.85..1.15).contains(&(again / good)), "{again} of {good}");
    let slow = quantile(&rows[120], &rows[240], bucket, 0.95);
    assert!((0.25..0.45).contains(&quantile(&rows[0], &rows[120], bucket, 0.95)));
    assert!((3.0..=5.0).contains(&slow), "{slow}");
}

#[test]
fn payment_timeout_in_one_region_leaves_the_others_alone() {
    let mut calm = shop(ShopOptions::default());
    let mut broken = shop(ShopOptions::default());
    broken.begin_fault(eu_timeout(), START_MS);
    assert_eq!(play(&mut calm, 1, 40), play(&mut broken, 1, 40));
    assert_ne!(play(&mut calm, 3, 40), play(&mut broken, 3, 40));
}

#[test]
fn demand_follows_the_local_day() {
    // 2023-11-15: 04:00 and 19:00 UTC are 05:00 and 20:00 in eu, so near the foot and at the top of the day.
    let mut shop = shop(ShopOptions { node_count: 60, ..ShopOptions::default() });
    let visits = shop.series_index("shop_searches_total").unwrap();
    let mut hour_from = |start_ms: i64| {
        let mut sum = 0.0;
        for node in (0..60).step_by(3) {
            let before = shop.scrape(node, start_ms)[visits];
            let after = (1..=240).map(|index| shop.scrape(node, start_ms + index * STEP_MS)[visits]).last().unwrap();
            sum += after - before;
        }
        sum
    };
    let (night, evening) = (hour_from(1_700_020_800_000), hour_from(1_700_074_800_000));
    // The profile says 0.7 − 0.3 × cos(135°..) against 1: 0.43 on average over the hour from five.
    assert!((0.38..0.5).contains(&(night / evening)), "{}", night / evening);
}

#[test]
fn options_that_make_no_fleet_are_refused() {
    let refuse = |options: ShopOptions| Shop::new(options).err();
    assert_eq!(refuse(ShopOptions { node_count: 0, ..ShopOptions::default() }), Some(ShopError::NodeCount(0)));
    assert_eq!(
        refuse(ShopOptions { node_first: usize::MAX, ..ShopOptions::default() }),
        Some(ShopError::NodeCount(usize::MAX))
    );
    assert_eq!(refuse(ShopOptions { regions: Vec::new(), ..ShopOptions::default() }), Some(ShopError::NoRegion));
    assert_eq!(
        refuse(ShopOptions { scrape_interval_ms: 0, ..ShopOptions::default() }),
        Some(ShopError::Interval("scrape interval"))
    );
}

#[test]
fn rule_pack_watches_every_metric_of_the_shop_itself() {
    let watched = crate::rules::Pack::named("shop").unwrap().readme;
    // A histogram's sum comes with its count.
    let own = SERIES.iter().map(|series| series.name);
    let own = own.filter(|name| name.starts_with("shop_") && !name.ends_with("_sum"));
    let unseen: Vec<&str> = own.filter(|name| !watched.contains(&format!("| `{name}` |"))).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}
