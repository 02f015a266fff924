//! What bounds a request.

use super::rows::Rows;
use crate::model::{LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_COUNT_MAX, Labels};

/// What bounds a request, whatever it is written in.
#[derive(Clone, Copy, Debug)]
pub struct IngestLimits {
    /// Bytes of a body as it is sent (setting `limits.request_bytes_max`).
    pub request_bytes_max: usize,
    /// Bytes of a body after it is inflated (setting `limits.request_decoded_bytes_max`).
    pub request_decoded_bytes_max: usize,
    /// Series in one request (setting `limits.series_per_request_max`).
    pub series_per_request_max: usize,
    /// Samples in one request; a native histogram counts for as many as take its memory (setting
    /// `limits.samples_per_request_max`).
    pub samples_per_request_max: usize,
    /// Bytes of all requests under way together, inflated and as rows (setting `limits.ingest_bytes_in_flight_max`).
    pub bytes_in_flight_max: usize,
    /// Labels of a series (setting `limits.labels_per_series_max`).
    pub labels_per_series_max: usize,
    /// Bytes of a label's name (setting `limits.label_name_bytes_max`).
    pub label_name_bytes_max: usize,
    /// Bytes of a label's value (setting `limits.label_value_bytes_max`).
    pub label_value_bytes_max: usize,
    /// Series in memory of one metric (setting `limits.series_per_metric_max`).
    pub series_per_metric_max: usize,
    /// Series in memory of one job (setting `limits.series_per_job_max`).
    pub series_per_job_max: usize,
}

impl Default for IngestLimits {
    fn default() -> IngestLimits {
        IngestLimits {
            request_bytes_max: 16 << 20,
            request_decoded_bytes_max: 32 << 20,
            series_per_request_max: 100_000,
            samples_per_request_max: 1_000_000,
            bytes_in_flight_max: 256 << 20,
            labels_per_series_max: LABELS_COUNT_MAX,
            label_name_bytes_max: LABEL_NAME_BYTES_MAX,
            label_value_bytes_max: LABEL_VALUE_BYTES_MAX,
            series_per_metric_max: usize::MAX,
            series_per_job_max: usize::MAX,
        }
    }
}

impl IngestLimits {
    /// Whether labels are allowed less than every label set is anyway.
    fn narrows_labels(&self) -> bool {
        self.labels_per_series_max < LABELS_COUNT_MAX
            || self.label_name_bytes_max < LABEL_NAME_BYTES_MAX
            || self.label_value_bytes_max < LABEL_VALUE_BYTES_MAX
    }

    /// Takes the new series out whose labels are more or longer than the settings allow.
    pub(super) fn refuse_labels(&self, rows: &mut Rows) {
        if !self.narrows_labels() {
            return;
        }
        let refused = &mut rows.refused;
        for batch in &mut rows.batches {
            batch.new.retain(|new| {
                let reason = self.label_refusal(&new.labels);
                if let Some(reason) = &reason {
                    refused.add(new.samples.len() as u64, reason.clone(), || format!("the series {}", new.labels));
                }
                reason.is_none()
            });
        }
    }

    fn label_refusal(&self, labels: &Labels) -> Option<String> {
        let (count, count_max) = (labels.len(), self.labels_per_series_max);
        if count > count_max {
            return Some(format!("{count} labels, more than limits.labels_per_series_max = {count_max}"));
        }
        for (name, value) in labels.iter() {
            if name.len() > self.label_name_bytes_max {
                let (bytes, bytes_max) = (name.len(), self.label_name_bytes_max);
                return Some(format!(
                    "a label name of {bytes} bytes, more than limits.label_name_bytes_max = {bytes_max}"
                ));
            }
            if value.len() > self.label_value_bytes_max {
                let (bytes, bytes_max) = (value.len(), self.label_value_bytes_max);
                let what = format!("the value of label {name:?} has {bytes} bytes");
                return Some(format!("{what}, more than limits.label_value_bytes_max = {bytes_max}"));
            }
        }
        None
    }
}
