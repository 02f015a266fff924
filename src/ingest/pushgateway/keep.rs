//! How a group changes: on disk first, then its samples, under the lock of all groups.
//!
//! | what ends it | left behind | so |
//! | --- | --- | --- |
//! | a crash behind the file of a push | new file, old samples | the next start stores what the file says, and the markers that it owes |
//! | samples that are not taken now (503) | new file, old samples | the next tick stores them |
//! | a crash behind the markers of a deletion | the group, with markers | it goes on: nobody was told that it is gone |

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::budget::{Budget, SeriesLimit};
use super::families::{self, PushedFamilies};
use super::groups::{Group, Groups};
use super::{GROUP_BYTES_MAX, GroupKey, OWN_HELP, Push, PushError, Pushgateway, SERIES_PER_STORE, file, protobuf};
use crate::ingest::rows::RowsBuilder;
use crate::ingest::verdict::conclude;
use crate::ingest::{IngestError, MetricKind, body};
use crate::model::{Labels, stale_nan};
use crate::storage::WriteSummary;

impl Pushgateway {
    /// Runs what must not be left half done when a client leaves.
    pub(super) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, PushError>> + Send + 'static,
    ) -> Result<T, PushError> {
        tokio::spawn(work).await.expect("the work on a group does not panic")
    }

    pub(super) async fn take(&self, push: Push) -> Result<(), PushError> {
        let counters = self.ingest.counters();
        counters.body_bytes.fetch_add(push.body.len() as u64, Ordering::Relaxed);
        let outcome = self.take_uncounted(push).await;
        let counter = match &outcome {
            Ok(()) => &counters.requests_taken,
            Err(error) if error.status() >= 500 => &counters.requests_deferred,
            Err(_) => &counters.requests_refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        // Why samples of a group that is kept are not stored is counted where they are not.
        if let Err(PushError::Ingest(error)) = &outcome {
            counters.note(error);
        }
        outcome
    }

    async fn take_uncounted(&self, push: Push) -> Result<(), PushError> {
        let key = GroupKey::of_path(&push.path)?;
        let limits = self.ingest.limits();
        if push.body.len() > limits.request_bytes_max {
            return Err(self.ingest.too_long(push.body.len()).into());
        }
        let form = Form::of(push.content_type.as_deref())?;
        let mut room = self.ingest.reserve(2 * push.body.len())?;
        let turn = self.ingest.turn().await;
        let inflated = body::inflate(&push.body, push.content_encoding.as_deref(), limits.request_decoded_bytes_max)?;
        room.merge(self.ingest.reserve(2 * inflated.len().saturating_sub(push.body.len()))?);
        let read = {
            let mut reserve = |bytes| self.ingest.reserve(bytes).map(|more| room.merge(more));
            let mut budget = Budget::new(self.series_limit(), &mut reserve);
            match form {
                Form::Text => families::of_text(&inflated, &mut budget),
                Form::Delimited => protobuf::of_protobuf(&inflated, &mut budget),
            }
        };
        // Who waits for the groups keeps nobody from reading.
        drop(turn);
        let ttl_ms = push.ttl_ms.unwrap_or(self.settings.ttl_ms);
        let mut groups = self.groups.lock().await;
        let outcome = match read {
            Ok(families) => self.admit(&mut groups, &key, families, push.replace, ttl_ms).await,
            Err(error) => Err(error),
        };
        if let Err(PushError::Inconsistent(_)) = &outcome {
            self.note_failure(&mut groups, &key, ttl_ms).await;
        }
        outcome
    }

    fn series_limit(&self) -> SeriesLimit {
        let (of_group, of_request) = (self.settings.series_per_group_max, self.ingest.limits().series_per_request_max);
        if of_group < of_request {
            SeriesLimit { limit: of_group, setting: "pushgateway.series_per_group_max" }
        } else {
            SeriesLimit { limit: of_request, setting: "limits.series_per_request_max" }
        }
    }

    async fn admit(
        &self,
        groups: &mut Groups,
        key: &GroupKey,
        families: PushedFamilies<'_>,
        replace: bool,
        ttl_ms: i64,
    ) -> Result<(), PushError> {
        let stamp_ms = groups.stamp_ms(self.ingest.clock.now_ms());
        let before = groups.get(key).cloned();
        let is_new = before.is_none();
        if is_new && groups.count() >= self.settings.groups_max {
            let limit = self.settings.groups_max;
            return Err(PushError::Full(format!(
                "there are pushgateway.groups_max = {limit} groups: delete some, or give them a ttl"
            )));
        }
        let before = before.unwrap_or_else(|| Group::new(key.clone()));
        let group = before.pushed(families, replace, ttl_ms, stamp_ms)?;
        let (count, limit) = (group.series_count(), self.settings.series_per_group_max);
        if count > limit {
            let what =
                format!("the group would have {count} series, more than pushgateway.series_per_group_max = {limit}");
            return Err(PushError::TooLarge(what));
        }
        self.check_labels(&group, stamp_ms)?;
        self.describe(&group, stamp_ms);
        self.keep(groups, group, stamp_ms).await?;
        self.store(groups, key, stamp_ms).await.map_err(PushError::of_kept_group)
    }

    /// Fails where the settings do not allow labels that came with the push: its samples would never be stored, so the group
    /// that was there before stays.
    fn check_labels(&self, group: &Group, stamp_ms: i64) -> Result<(), PushError> {
        let (ingest, limits) = (&self.ingest, self.ingest.limits());
        let pushed = group.families.values().filter(|family| family.pushed_ms == stamp_ms);
        let pushed = pushed.flat_map(|family| family.series.iter().map(|(labels, _)| labels));
        let all: Vec<&Arc<Labels>> = pushed.chain(group.own_series().map(|(_, labels, _)| labels)).collect();
        for part in all.chunks(self.rows_max()) {
            let mut builder = RowsBuilder::new(&ingest.storage, limits, ingest.metadata());
            for labels in part {
                let series = builder.series(labels.iter()).expect("a part keeps to the limits of a request");
                builder.sample(series, stamp_ms, 0.0).expect("a part keeps to the limits of a request");
            }
            let mut rows = builder.finish();
            limits.refuse_labels(&mut rows);
            conclude(WriteSummary::default(), rows.refused)?;
        }
        Ok(())
    }

    /// Series of one sample that are written at a time.
    fn rows_max(&self) -> usize {
        let limits = self.ingest.limits();
        SERIES_PER_STORE.min(limits.series_per_request_max).min(limits.samples_per_request_max)
    }

    /// Puts down that a push was refused, in the group too. What goes wrong with that is only logged: the client has its answer.
    async fn note_failure(&self, groups: &mut Groups, key: &GroupKey, ttl_ms: i64) {
        if groups.get(key).is_none() && groups.count() >= self.settings.groups_max {
            return;
        }
        let stamp_ms = groups.stamp_ms(self.ingest.clock.now_ms());
        let before = groups.get(key).cloned().unwrap_or_else(|| Group::new(key.clone()));
        let noted = match self.keep(groups, before.failed(ttl_ms, stamp_ms), stamp_ms).await {
            Ok(()) => self.store(groups, key, stamp_ms).await,
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "the time of a refused push is not stored now");
        }
    }

    /// Makes a group durable and puts it in its place. What fails changes nothing.
    async fn keep(&self, groups: &mut Groups, mut group: Group, created_ms: i64) -> Result<(), PushError> {
        let key = group.key.clone();
        let bytes = file::encode(&group, created_ms);
        group.file_bytes = bytes.len();
        if bytes.len() > GROUP_BYTES_MAX {
            let what = format!("the group would take {} bytes, and one may take {GROUP_BYTES_MAX}", bytes.len());
            return Err(PushError::TooLarge(what));
        }
        let before_bytes = groups.get(&key).map_or(0, |before| before.file_bytes);
        if groups.bytes() - before_bytes + bytes.len() > self.settings.bytes_max {
            let limit = self.settings.bytes_max;
            return Err(PushError::Full(format!(
                "the groups would take more than pushgateway.bytes_max = {limit} bytes: delete some"
            )));
        }
        let before = groups.put(group).map_err(families::inconsistent)?;
        let (disk, path) = (self.disk.clone(), self.path(&key));
        let written = tokio::task::spawn_blocking(move || disk.replace(&path, &bytes)).await;
        if let Err(error) = written.expect("a disk does not panic") {
            groups.remove(&key);
            if let Some(before) = before {
                groups.put_unchecked(before);
            }
            return Err(error.into());
        }
        self.show_figures(groups);
        Ok(())
    }

    /// Stores the samples of a group, and the markers that it owes.
    async fn store(&self, groups: &mut Groups, key: &GroupKey, stamp_ms: i64) -> Result<(), PushError> {
        let Some(group) = groups.get_mut(key) else { return Ok(()) };
        let markers = group.ended.iter().map(|labels| (labels.clone(), stale_nan()));
        let series = group.series().map(|(labels, value)| (labels.clone(), value));
        let rows: Vec<(Arc<Labels>, f64)> = markers.chain(series).collect();
        let outcome = self.write(&rows, stamp_ms).await;
        if let Err(error) = &outcome
            && error.status() >= 500
        {
            return outcome;
        }
        // What was refused for good, a neighbour's sample aside, would be refused again.
        group.ended.clear();
        group.stored_ms = Some(stamp_ms);
        outcome
    }

    /// Stores some of what is due; says whether anything was.
    pub(super) async fn store_due(&self, groups: &mut Groups) -> Result<bool, PushError> {
        let now_ms = self.ingest.clock.now_ms();
        let interval_ms = self.settings.resample_interval_ms;
        let is_due = |group: &&Group| {
            let due =
                |stored_ms: i64| now_ms >= stored_ms.saturating_add(interval_ms) || now_ms < stored_ms - interval_ms;
            group.stored_ms.is_none_or(due)
        };
        let (mut keys, mut rows) = (Vec::new(), Vec::new());
        for group in groups.all().filter(is_due) {
            rows.extend(group.ended.iter().map(|labels| (labels.clone(), stale_nan())));
            rows.extend(group.series().map(|(labels, value)| (labels.clone(), value)));
            keys.push(group.key.clone());
            if rows.len() >= SERIES_PER_STORE {
                break;
            }
        }
        if keys.is_empty() {
            return Ok(false);
        }
        let stamp_ms = groups.stamp_ms(now_ms);
        match self.write(&rows, stamp_ms).await {
            Err(error) if error.status() >= 500 => return Err(error),
            Err(error) => tracing::warn!(%error, "some pushed samples are not stored again"),
            Ok(()) => {}
        }
        for key in keys {
            let group = groups.get_mut(&key).expect("it was there, and the groups are locked");
            group.ended.clear();
            group.stored_ms = Some(stamp_ms);
        }
        Ok(true)
    }

    /// Ends a group: markers first, so that what is answered with an error is still there and can be deleted again.
    pub(super) async fn end(&self, groups: &mut Groups, key: &GroupKey, sync: bool) -> Result<(), PushError> {
        let stamp_ms = groups.stamp_ms(self.ingest.clock.now_ms());
        let Some(group) = groups.get(key) else { return self.remove_file(key, sync).await };
        let all = group.series().map(|(labels, _)| labels).chain(&group.ended);
        let rows: Vec<(Arc<Labels>, f64)> = all.map(|labels| (labels.clone(), stale_nan())).collect();
        match self.write(&rows, stamp_ms).await {
            Err(error) if error.status() >= 500 => return Err(error),
            _ => {}
        }
        // From here on a failure leaves a group whose next samples undo the markers.
        groups.get_mut(key).expect("the groups are locked").stored_ms = None;
        self.remove_file(key, sync).await?;
        groups.remove(key);
        self.show_figures(groups);
        Ok(())
    }

    /// Removes a group's file. One that is not there may have been removed by an attempt that could not sync the folder: that is
    /// made up for.
    async fn remove_file(&self, key: &GroupKey, sync: bool) -> Result<(), PushError> {
        let (disk, path, folder) = (self.disk.clone(), self.path(key), self.settings.folder.clone());
        let removed = tokio::task::spawn_blocking(move || {
            match disk.remove(&path) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
            if sync { disk.sync_folder(&folder) } else { Ok(()) }
        });
        Ok(removed.await.expect("a disk does not panic")?)
    }

    /// Stores samples of one time, in as many writes as the limits of a request make of them.
    async fn write(&self, rows: &[(Arc<Labels>, f64)], stamp_ms: i64) -> Result<(), PushError> {
        let mut outcome = Ok(());
        for part in rows.chunks(self.rows_max()) {
            let written = self.ingest.take_own(|builder| {
                for (labels, value) in part {
                    let series = builder.series(labels.iter()).expect("a part keeps to the limits of a request");
                    builder.sample(series, stamp_ms, *value).expect("a part keeps to the limits of a request");
                }
            });
            match written.await {
                Ok(_) => {}
                Err(error) if error.status() >= 500 => return Err(error.into()),
                Err(error) => outcome = Err(error.into()),
            }
        }
        outcome
    }

    fn describe(&self, group: &Group, stamp_ms: i64) {
        let metadata = self.ingest.metadata();
        for (name, family) in group.families.iter().filter(|(_, family)| family.pushed_ms == stamp_ms) {
            metadata.learn(name, family.kind, &family.help, "");
        }
        for (name, help) in OWN_HELP {
            metadata.learn(name, MetricKind::Gauge, help, "");
        }
    }

    fn path(&self, key: &GroupKey) -> PathBuf {
        Path::join(&self.settings.folder, file::file_name(key))
    }

    pub(super) fn show_figures(&self, groups: &Groups) {
        let figures = [
            (&self.counters.groups, groups.count()),
            (&self.counters.series, groups.series_count()),
            (&self.counters.bytes, groups.bytes()),
        ];
        for (figure, value) in figures {
            figure.store(value as u64, Ordering::Relaxed);
        }
    }
}

/// What a body may be written in.
pub(super) enum Form {
    Text,
    Delimited,
}

impl Form {
    /// As the Pushgateway has it: delimited protobuf where all of that is said, and else text. Other forms of protobuf are refused
    /// by their names.
    pub(super) fn of(content_type: Option<&str>) -> Result<Form, PushError> {
        let content_type = content_type.unwrap_or("").to_ascii_lowercase();
        let mut parts = content_type.split(';').map(str::trim);
        let is_protobuf = parts.next().is_some_and(|media_type| media_type.contains("protobuf"));
        let parts: Vec<String> = parts.map(|part| part.replace([' ', '"'], "")).collect();
        let says = |wanted: &str| parts.iter().any(|part| part == wanted);
        match is_protobuf {
            false => Ok(Form::Text),
            true if says("encoding=delimited") && says("proto=io.prometheus.client.metricfamily") => {
                Ok(Form::Delimited)
            }
            true => Err(PushError::Ingest(IngestError::Unsupported(format!(
                "Content-Type {content_type:?} is not read; send the text format, or application/vnd.google.protobuf with \
                 proto=io.prometheus.client.MetricFamily and encoding=delimited"
            )))),
        }
    }
}
