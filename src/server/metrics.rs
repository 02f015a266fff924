//! What `/metrics` says of the rooms, each number read where it is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::detection::Detection;
use crate::detect::Shared;
use crate::disk::mapping_faults;
use crate::ingest::{Ingest, PushCounters, Pushgateway, StatsdCounters};
use crate::notify::Notifier;
use crate::query::Engine;
use crate::storage::{Snapshots, Storage, StorageCounters};
use crate::telemetry::Registry;

fn read(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

pub(super) fn register(
    registry: &Registry,
    storage: &Arc<Storage>,
    detection: &Arc<Detection>,
    notifier: &Arc<Notifier>,
) {
    register_storage(registry, storage);
    register_log(registry, storage);
    register_detect(registry, detection);
    register_notify(registry, notifier);
}

pub(super) fn of_engine(registry: &Registry, engine: &Arc<Engine>) {
    let figure = |figure: fn(&Engine) -> f64| {
        let engine = engine.clone();
        move || figure(&engine)
    };
    let (name, help) =
        ("dozor_query_cache_total", "Range queries whose answers are kept, by whether steps were known.");
    let used = figure(|engine| engine.cache_figures().used as f64);
    registry.counter_fn(name, help, &[("steps", "known")], used);
    let unused = figure(|engine| engine.cache_figures().unused as f64);
    registry.counter_fn(name, help, &[("steps", "unknown")], unused);
    let bytes = figure(|engine| engine.cache_figures().bytes as f64);
    registry.gauge_fn("dozor_query_cache_bytes", "Bytes of answers to range queries that are kept.", &[], bytes);
    let (name, help) = ("dozor_query_plans_total", "Queries, by whether their plan was known from one before.");
    let used = figure(|engine| engine.plan_figures().used as f64);
    registry.counter_fn(name, help, &[("plan", "known")], used);
    let unused = figure(|engine| engine.plan_figures().unused as f64);
    registry.counter_fn(name, help, &[("plan", "unknown")], unused);
    let bytes = figure(|engine| engine.plan_figures().bytes as f64);
    registry.gauge_fn("dozor_query_plan_bytes", "Bytes of plans that are kept, about.", &[], bytes);
}

pub(super) fn register_snapshots(registry: &Registry, snapshots: &Arc<Snapshots>) {
    let figure = |figure: fn(&Snapshots) -> f64| {
        let snapshots = snapshots.clone();
        move || figure(&snapshots)
    };
    // Without one it is older than any bound that somebody may watch.
    let age = figure(|snapshots| snapshots.age().map_or(f64::INFINITY, |age| age.as_secs_f64()));
    registry.gauge_fn("dozor_snapshot_age_seconds", "Age of the newest complete snapshot; +Inf without one.", &[], age);
    let failed = figure(|snapshots| f64::from(u8::from(snapshots.last_failed())));
    registry.gauge_fn("dozor_snapshot_failing", "1 when the last snapshot could not be taken.", &[], failed);
    let (name, help) = ("dozor_snapshots_total", "Snapshots since the start, by what became of them.");
    registry.counter_fn(name, help, &[("outcome", "taken")], figure(|snapshots| snapshots.counts().0 as f64));
    registry.counter_fn(name, help, &[("outcome", "failed")], figure(|snapshots| snapshots.counts().1 as f64));
}

fn register_storage(registry: &Registry, storage: &Arc<Storage>) {
    let gauge = |name, help, figure: fn(&Storage) -> f64| {
        let storage = storage.clone();
        registry.gauge_fn(name, help, &[], move || figure(&storage));
    };
    gauge("dozor_head_series", "Series alive in the head.", |storage| storage.series_count() as f64);
    gauge(
        "dozor_head_start_time_series",
        "Companions alive in the head, which hold the start times of other series' samples; head.series_max counts them.",
        |storage| storage.started_series_count() as f64,
    );
    gauge("dozor_head_sample_bytes", "Heap bytes of the head's samples.", |s| s.head_sample_bytes() as f64);
    gauge("dozor_head_full", "1 while the head is over head.bytes_max and writes are refused.", |storage| {
        f64::from(u8::from(storage.is_head_full()))
    });
    gauge("dozor_head_newest_timestamp_seconds", "Newest sample, in seconds since 1970.", |storage| {
        let newest_ms = storage.newest_ms();
        if newest_ms == i64::MIN { 0.0 } else { newest_ms as f64 / 1000.0 }
    });
    gauge("dozor_blocks", "Blocks that serve queries.", |storage| storage.block_count() as f64);
    gauge("dozor_block_bytes", "Bytes of those blocks.", |storage| storage.block_bytes() as f64);
    gauge(
        "dozor_maintenance_progress",
        "Part of the present task that is done, 0 to 1; 1 without a task.",
        |storage| storage.progress().now().map_or(1.0, |(_, done, total)| done as f64 / total.max(1) as f64),
    );
    gauge("dozor_shard_queue_requests", "Requests that wait for shards.", |s| s.queued_requests() as f64);
    counters(
        registry,
        storage,
        &[
            ("dozor_samples_stored_total", "Samples stored, repeats included.", |c| &c.samples_stored),
            ("dozor_samples_refused_total", "Samples refused, each for a reason told to its sender.", |c| {
                &c.samples_refused
            }),
            ("dozor_start_times_stored_total", "Start times stored with their samples.", |c| &c.starts_stored),
            (
                "dozor_start_times_refused_total",
                "Start times not stored, while their samples were: another was, or head.series_max is reached.",
                |c| &c.starts_refused,
            ),
            ("dozor_blocks_cut_total", "Blocks cut from the head.", |c| &c.blocks_cut),
            ("dozor_blocks_compacted_total", "Blocks that were made into others.", |c| &c.blocks_compacted),
            ("dozor_damage_total", "Damaged places found: records, chunks, files.", |c| &c.damage),
        ],
    );
    let (name, help) = ("dozor_mapping_faults_total", "Pages of mapped files that could not be read.");
    registry.counter_fn(name, help, &[], || mapping_faults() as f64);
}

fn register_log(registry: &Registry, storage: &Arc<Storage>) {
    counters(
        registry,
        storage,
        &[
            ("dozor_log_groups_total", "Groups written to the log.", |c| &c.log_groups),
            ("dozor_log_bytes_total", "Bytes written to the log.", |c| &c.log_bytes),
            ("dozor_log_failures_total", "Groups that could not be written at once.", |c| &c.log_failures),
        ],
    );
    let kept = storage.counters().clone();
    registry.counter_fn(
        "dozor_log_commit_seconds_total",
        "Time spent in writing and syncing groups.",
        &[],
        move || read(&kept.log_commit_us) / 1e6,
    );
    let kept = storage.counters().clone();
    registry.gauge_fn("dozor_log_segments", "Log segments on disk.", &[], move || read(&kept.log_segments));
    let kept = storage.clone();
    registry.gauge_fn(
        "dozor_log_failing",
        "1 while the log cannot be written and writes are refused.",
        &[],
        move || f64::from(u8::from(kept.log_failing().is_some())),
    );
}

type StorageCounter = (&'static str, &'static str, fn(&StorageCounters) -> &AtomicU64);

fn counters(registry: &Registry, storage: &Arc<Storage>, list: &[StorageCounter]) {
    for (name, help, counter) in list.iter().copied() {
        let kept = storage.counters().clone();
        registry.counter_fn(name, help, &[], move || read(counter(&kept)));
    }
}

fn register_detect(registry: &Registry, detection: &Arc<Detection>) {
    let counter = |name, help, figure: fn(&Shared) -> &AtomicU64| {
        let detection = detection.clone();
        registry.counter_fn(name, help, &[], move || read(figure(&detection.shared())));
    };
    counter("dozor_detect_samples_total", "Samples fed to signals.", |d| &d.metrics.samples_fed);
    counter("dozor_detect_samples_ignored_total", "Samples not newer than their series' last.", |d| {
        &d.metrics.samples_ignored
    });
    counter("dozor_detect_samples_late_total", "Samples whose bucket was closed already.", |d| &d.metrics.samples_late);
    counter(
        "dozor_detect_groups_refused_total",
        "Series over a rule's limit of groups, all of which are heard.",
        |d| &d.metrics.groups_refused,
    );
    let help = "Groups let go of for new ones, their series having been silent for an hour and more.";
    counter("dozor_detect_groups_replaced_total", help, |d| &d.metrics.groups_replaced);
    counter("dozor_detect_series_refused_total", "Series not watched, for their shard watches 4,000,000.", |d| {
        &d.metrics.series_refused
    });
    let help = "Series whose job's lateness is not learned, for their shard knows 1,000 jobs.";
    counter("dozor_detect_series_unlearned_total", help, |d| &d.metrics.series_unlearned);
    let waited = detection.clone();
    let (name, help) =
        ("dozor_detect_lateness_seconds", "How long late samples of a job are waited for, in event time.");
    registry.gauges_fn(name, help, "job", move || {
        let jobs = waited.shared().lateness_of_jobs();
        jobs.iter().map(|one| (one.job.to_string(), one.waited_ms as f64 / 1000.0)).collect()
    });
    counter("dozor_detect_buckets_total", "Buckets closed.", |d| &d.metrics.buckets_closed);
    counter("dozor_detect_buckets_unknown_total", "Buckets not judged for lack of telemetry.", |d| {
        &d.metrics.buckets_unknown
    });
    let bands = detection.clone();
    let (name, help) = ("dozor_detect_bands_left_out_total", "Buckets whose anomaly_* series were not written.");
    registry.counter_fn(name, help, &[], move || bands.bands_left_out() as f64);
    let undrawn = detection.clone();
    let (name, help) = ("dozor_detect_groups_undrawn", "Groups past detection.drawn_groups_max.");
    registry.gauge_fn(name, help, &[], move || undrawn.groups_undrawn() as f64);
    let (groups, restless, queue) = (detection.clone(), detection.clone(), detection.clone());
    registry.gauge_fn("dozor_detect_groups", "Groups watched.", &[], move || read(&groups.shared().metrics.groups));
    let help = "Groups that alerted so often that they take more evidence than others.";
    let name = "dozor_detect_groups_restless";
    registry.gauge_fn(name, help, &[], move || read(&restless.shared().metrics.groups_restless));
    registry.gauge_fn("dozor_detect_queue_messages", "Messages that wait for the judge.", &[], move || {
        queue.shared().queue_depth() as f64
    });
}

fn register_notify(registry: &Registry, notifier: &Arc<Notifier>) {
    let counter = |name, help, figure: fn(&Notifier) -> &AtomicU64| {
        let notifier = notifier.clone();
        registry.counter_fn(name, help, &[], move || read(figure(&notifier)));
    };
    counter("dozor_notify_attempts_total", "Attempts to deliver.", |n| &n.metrics().attempts);
    counter("dozor_notify_delivered_total", "Notifications delivered.", |n| &n.metrics().delivered);
    counter("dozor_notify_failed_total", "Attempts that did not get through.", |n| &n.metrics().failed);
    counter("dozor_notify_given_up_total", "Notifications given up.", |n| &n.metrics().given_up);
    counter("dozor_notify_events_missed_total", "Events that the journal of incidents was too slow for.", |n| {
        &n.metrics().events_missed
    });
    let groups = notifier.clone();
    registry.gauge_fn("dozor_notify_groups", "Groups of alerts, where alerts are routed.", &[], move || {
        groups.group_count() as f64
    });
    let pending = notifier.clone();
    registry.gauge_fn("dozor_notify_pending", "Notifications that wait for a receiver.", &[], move || {
        read(&pending.metrics().pending)
    });
    let dead = notifier.clone();
    let (name, help) = ("dozor_notify_dead_letters", "Notifications given up that are kept, to be told once more.");
    registry.gauge_fn(name, help, &[], move || read(&dead.metrics().dead_letters));
}

pub(super) fn register_ingest(registry: &Registry, ingest: &Arc<Ingest>) {
    let counter = |outcome, figure: fn(&Ingest) -> &AtomicU64| {
        let ingest = ingest.clone();
        let (name, help) = ("dozor_write_requests_total", "Write requests by what became of them.");
        registry.counter_fn(name, help, &[("outcome", outcome)], move || read(figure(&ingest)));
    };
    counter("taken", |ingest| &ingest.counters().requests_taken);
    counter("refused", |ingest| &ingest.counters().requests_refused);
    counter("deferred", |ingest| &ingest.counters().requests_deferred);
    let added = ingest.clone();
    registry.gauge_fn("dozor_otlp_delta_series", "Series whose deltas are added up.", &[], move || {
        added.otlp_delta_series_count() as f64
    });
    let described = ingest.metadata().clone();
    registry.gauge_fn("dozor_metadata_families", "Metrics whose type, help or unit is known.", &[], move || {
        described.family_count() as f64
    });
    let texts = ingest.clone();
    let (name, help) = ("dozor_ingest_skipped_total", "Values that are no numbers and were stepped over.");
    registry.counter_fn(name, help, &[("protocol", "influx")], move || read(&texts.counters().texts_skipped));
    let bytes = ingest.clone();
    registry.counter_fn("dozor_write_body_bytes_total", "Bytes of write bodies as sent.", &[], move || {
        read(&bytes.counters().body_bytes)
    });
    register_refusals(registry, ingest);
    let bytes = ingest.clone();
    let (name, help) = ("dozor_ingest_bytes_in_flight", "Bytes of writes under way, inflated and as rows.");
    registry.gauge_fn(name, help, &[], move || bytes.bytes_in_flight() as f64);
    let (name, help) = ("dozor_ingest_bytes_in_flight_max", "Bound of limits.ingest_bytes_in_flight_max.");
    let bytes_max = ingest.limits().bytes_in_flight_max as f64;
    registry.gauge_fn(name, help, &[], move || bytes_max);
    let overflow = |figure: fn(&Ingest) -> f64| {
        let ingest = ingest.clone();
        move || figure(&ingest)
    };
    let (name, help) =
        ("dozor_overflow_samples_total", "Samples of series past a label budget, summed and not stored.");
    registry.counter_fn(name, help, &[], overflow(|ingest| ingest.overflow_sizes().0 as f64));
    let (name, help) =
        ("dozor_overflow_samples_refused_total", "Samples of sums that contradict what is stored: after a restart.");
    registry.counter_fn(name, help, &[], overflow(|ingest| read(&ingest.counters().sums_refused)));
    let (name, help) = ("dozor_overflow_series", "Series past a label budget that are summed at present.");
    registry.gauge_fn(name, help, &[], overflow(|ingest| ingest.overflow_sizes().1 as f64));
    let (name, help) = ("dozor_overflow_sums", "Series with the label __overflow__ that they are summed into.");
    registry.gauge_fn(name, help, &[], overflow(|ingest| ingest.overflow_sizes().2 as f64));
}

fn register_refusals(registry: &Registry, ingest: &Arc<Ingest>) {
    let (name, help) =
        ("dozor_ingest_refused_total", "Write requests that were not taken whole, by reason or setting.");
    for (index, (reason, _)) in ingest.counters().refused().enumerate() {
        let ingest = ingest.clone();
        let count = move || ingest.counters().refused().nth(index).map_or(0.0, |(_, count)| count as f64);
        registry.counter_fn(name, help, &[("reason", reason)], count);
    }
    let (name, help) = ("dozor_ingest_samples_refused_total", "Samples and series refused alone, by reason.");
    for (index, (reason, _)) in ingest.counters().samples_refused().enumerate() {
        let ingest = ingest.clone();
        let count = move || ingest.counters().samples_refused().nth(index).map_or(0.0, |(_, count)| count as f64);
        registry.counter_fn(name, help, &[("reason", reason)], count);
    }
}

pub(super) fn register_statsd(registry: &Registry, counters: &Arc<StatsdCounters>) {
    let counter = |name, help, labels: &[(&str, &str)], figure: fn(&StatsdCounters) -> &AtomicU64| {
        let counters = counters.clone();
        registry.counter_fn(name, help, labels, move || read(figure(&counters)));
    };
    counter("dozor_statsd_datagrams_total", "Datagrams received.", &[], |c| &c.datagrams);
    counter("dozor_statsd_datagrams_dropped_total", "Datagrams for which there was no room.", &[], |c| {
        &c.datagrams_dropped
    });
    let (name, help) = ("dozor_statsd_lines_total", "Lines of StatsD by what became of them.");
    counter(name, help, &[("outcome", "taken")], |c| &c.lines_taken);
    counter(name, help, &[("outcome", "refused")], |c| &c.lines_refused);
    counter("dozor_statsd_flushes_failed_total", "Flushes that were not stored, in part or whole.", &[], |c| {
        &c.flushes_failed
    });
    let series = counters.clone();
    registry.gauge_fn("dozor_statsd_series", "Series of StatsD at present.", &[], move || read(&series.series));
}

pub(super) fn register_pushgateway(registry: &Registry, pushgateway: &Arc<Pushgateway>) {
    let gauge = |name, help, figure: fn(&PushCounters) -> &AtomicU64| {
        let pushgateway = pushgateway.clone();
        registry.gauge_fn(name, help, &[], move || read(figure(pushgateway.counters())));
    };
    gauge("dozor_push_groups", "Groups that were pushed and stay.", |counters| &counters.groups);
    gauge("dozor_push_series", "Series of these groups.", |counters| &counters.series);
    gauge("dozor_push_bytes", "Bytes of these groups on disk.", |counters| &counters.bytes);
    let counter = |name, help, labels: &[(&str, &str)], figure: fn(&PushCounters) -> &AtomicU64| {
        let pushgateway = pushgateway.clone();
        registry.counter_fn(name, help, labels, move || read(figure(pushgateway.counters())));
    };
    let (name, help) = ("dozor_pushes_total", "Pushes of groups by what became of them.");
    counter(name, help, &[("outcome", "taken")], |counters| &counters.pushes_taken);
    counter(name, help, &[("outcome", "refused")], |counters| &counters.pushes_refused);
    counter("dozor_push_groups_expired_total", "Groups whose time to live ended.", &[], |c| &c.groups_expired);
    let (name, help) =
        ("dozor_push_resample_failures_total", "Times that pushed samples were not stored again in time.");
    counter(name, help, &[], |counters| &counters.resample_failures);
}
