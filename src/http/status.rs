//! What is stored, in figures: `/api/v1/status/tsdb` as Prometheus has it, the blocks, the snapshots.

use hyper::StatusCode;

use super::call::Call;
use super::json::{JsonText, success};
use super::reply::{ApiError, Reply, json};
use crate::ingest::OverflowFigures;
use crate::query::Cancelled;
use crate::storage::{BlockFigures, Cause, HeadFigures, KeptSnapshot};

/// Entries of each list when the client does not say how many.
const LIMIT: usize = 10;
/// Most entries that a client may ask for.
const LIMIT_MAX: usize = 10_000;

/// `/api/v1/status/tsdb`
pub(super) async fn tsdb(call: Call) -> Result<Reply, ApiError> {
    let (front, parameters) = call.parameters().await?;
    let limit = match parameters.get("limit").map(str::parse) {
        None => LIMIT,
        Some(Ok(limit @ 1..=LIMIT_MAX)) => limit,
        Some(Ok(1..)) => LIMIT_MAX,
        Some(_) => return Err(ApiError::bad_data("limit must be a positive number")),
    };
    let services = front.services.clone();
    let figures = move |_: &Cancelled| (services.storage.head_figures(limit), services.ingest.overflow(limit));
    let (figures, overflow) = front.queries.run(figures).await?;
    Ok(data(|text| {
        head_figures(text, &figures);
        text.raw(r#","overflow":"#);
        text.list(&overflow, overflow_sum);
        text.raw("}");
    }))
}

/// `/api/v1/status/blocks`: the blocks, and what maintenance is doing.
pub(super) async fn blocks(call: Call) -> Result<Reply, ApiError> {
    let storage = &call.front.services.storage;
    let (blocks, progress) = (storage.block_figures(), storage.progress().now());
    Ok(data(|text| {
        text.raw(r#"{"blocks":"#);
        text.list(&blocks, block);
        text.raw(r#","maintenance":"#);
        match progress {
            None => text.raw("null"),
            Some((task, done, total)) => {
                text.raw(&format!(r#"{{"task":"{}","done":{done},"total":{total}}}"#, task.name()));
            }
        }
        text.raw("}");
    }))
}

/// `/api/v1/status/snapshots`: those that are complete.
pub(super) async fn snapshots(call: Call) -> Result<Reply, ApiError> {
    let services = call.front.services.clone();
    let kept = call.front.queries.run(move |_| services.snapshots.kept()).await?;
    let kept = kept.map_err(|error| ApiError::new(super::reply::ErrorKind::Internal, error.to_string()))?;
    Ok(data(|text| {
        text.raw(r#"{"snapshots":"#);
        text.list(&kept, snapshot);
        text.raw("}");
    }))
}

fn head_figures(text: &mut JsonText, figures: &HeadFigures) {
    // Where there is no sample, Prometheus says the ends of 64 bits the wrong way round.
    let (from_ms, to_ms) = figures.span.map_or((i64::MAX, i64::MIN), |span| (span.from_ms, span.to_ms));
    text.raw(&format!(
        r#"{{"headStats":{{"numSeries":{},"numLabelPairs":{},"chunkCount":{},"minTime":{from_ms},"maxTime":{to_ms}}}"#,
        figures.series_count, figures.label_pair_count, figures.chunk_count
    ));
    for (name, counts) in [
        ("seriesCountByMetricName", &figures.series_by_metric),
        ("labelValueCountByLabelName", &figures.values_by_label),
        ("memoryInBytesByLabelName", &figures.value_bytes_by_label),
        ("seriesCountByLabelValuePair", &figures.series_by_pair),
    ] {
        text.raw(&format!(r#","{name}":"#));
        text.counts(counts);
    }
}

/// Series past a label budget, and the label that they are too many by.
fn overflow_sum(text: &mut JsonText, sum: &OverflowFigures) {
    text.raw(r#"{"metric":"#);
    text.string(&sum.metric);
    text.raw(r#","job":"#);
    text.string(sum.job.as_deref().unwrap_or(""));
    text.raw(&format!(
        r#","setting":"{}","limit":{},"series":{},"foldedSeries":{},"foldedSamples":{}"#,
        sum.setting, sum.limit, sum.series_count, sum.folded_series, sum.folded_samples
    ));
    if let Some((label, values)) = &sum.culprit {
        text.raw(r#","label":"#);
        text.string(label);
        text.raw(&format!(r#","labelValues":{values}"#));
    }
    text.raw("}");
}

fn block(text: &mut JsonText, block: &BlockFigures) {
    text.raw(r#"{"name":"#);
    text.string(&block.name);
    text.raw(&format!(
        r#","minTime":{},"maxTime":{},"created":{},"bytes":{},"series":{},"samples":{},"level":{}}}"#,
        block.span.from_ms,
        block.span.to_ms,
        block.created_ms,
        block.bytes,
        block.series_count,
        block.sample_count,
        block.level
    ));
}

fn snapshot(text: &mut JsonText, snapshot: &KeptSnapshot) {
    let cause = match snapshot.cause {
        Cause::Request => "request",
        Cause::Schedule => "schedule",
    };
    text.raw(r#"{"name":"#);
    text.string(&snapshot.name);
    text.raw(&format!(r#","created":{},"cause":"{cause}","bytes":{}}}"#, snapshot.created_ms, snapshot.bytes));
}

fn data(write: impl FnOnce(&mut JsonText)) -> Reply {
    json(StatusCode::OK, success(&[], &[], write))
}
