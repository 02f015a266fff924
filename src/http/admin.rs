//! Orders: `/api/v1/admin/tsdb/…`, as Prometheus has them, and `compact`.
//!
//! They delete, or take long, so each is asked for on purpose: `admin_api` must let it, it must be a POST or a PUT, and it
//! must not come from a web page. Each is told in the log before and after.

use std::fmt::Display;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::ORIGIN;

use super::call::{Call, Front};
use super::json::success;
use super::reply::{ApiError, ErrorKind, Reply, json, no_content};
use super::request::Parameters;
use super::{Services, catalogue};
use crate::storage::{BackupError, StorageError};

/// When to ask again after another order was being carried out, in s.
const RETRY_AFTER_S: u32 = 5;

/// `/api/v1/admin/tsdb/snapshot`
pub(super) async fn snapshot(call: Call) -> Result<Reply, ApiError> {
    let (front, parameters) = admitted(call).await?;
    match parameters.get("skip_head") {
        None | Some("false" | "0") => {}
        Some("true" | "1") => {
            return Err(ApiError::parameter("skip_head", "a snapshot always has everything that was acknowledged"));
        }
        Some(other) => return Err(ApiError::parameter("skip_head", format!("{other:?} is neither true nor false"))),
    }
    let taken = carry_out(front, "snapshot", |services| services.snapshots.take()).await?;
    let snapshot = taken.map_err(|error| match error {
        BackupError::Busy => busy(error),
        BackupError::Stopping => ApiError::new(ErrorKind::Unavailable, error.to_string()).retry_after(1),
        _ => ApiError::new(ErrorKind::Internal, error.to_string()),
    })?;
    Ok(json(
        StatusCode::OK,
        success(&[], &[], |text| {
            text.raw(r#"{"name":"#);
            text.string(&snapshot.name);
            text.raw("}");
        }),
    ))
}

/// `/api/v1/admin/tsdb/delete_series`
pub(super) async fn delete_series(call: Call) -> Result<Reply, ApiError> {
    let (front, parameters) = admitted(call).await?;
    let selectors = catalogue::selectors(&parameters)?;
    if selectors.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let range = parameters.ordered_time_range()?;
    let texts: Vec<&str> = parameters.all("match[]").collect();
    tracing::warn!(selectors = ?texts, from_ms = range.from_ms, to_ms = range.to_ms, "series are to be deleted");
    let deleted = carry_out(front, "delete_series", move |services| services.storage.delete_series(&selectors, range));
    deleted.await?.map_err(refused)?;
    Ok(no_content())
}

/// `/api/v1/admin/tsdb/clean_tombstones`
pub(super) async fn clean_tombstones(call: Call) -> Result<Reply, ApiError> {
    let (front, _) = admitted(call).await?;
    let cleaned = carry_out(front, "clean_tombstones", |services| services.storage.clean_tombstones());
    cleaned.await?.map_err(refused)?;
    Ok(no_content())
}

/// `/api/v1/admin/tsdb/compact`
pub(super) async fn compact(call: Call) -> Result<Reply, ApiError> {
    let (front, _) = admitted(call).await?;
    let summary = carry_out(front, "compact", |services| services.storage.compact_all()).await?.map_err(refused)?;
    Ok(json(
        StatusCode::OK,
        success(&[], &[], |text| {
            text.raw(&format!(
                r#"{{"blocksCut":{},"blocksMerged":{},"blocksExpired":{},"blocks":{},"bytes":{},"samples":{}}}"#,
                summary.blocks_cut,
                summary.blocks_merged,
                summary.blocks_expired,
                summary.block_count,
                summary.block_bytes,
                summary.sample_count
            ));
        }),
    ))
}

/// The parameters of an order that may be given.
pub(super) async fn admitted(call: Call) -> Result<(Arc<Front>, Parameters), ApiError> {
    if !call.front.services.admin_api {
        let error = ApiError::new(ErrorKind::Unavailable, "admin APIs disabled");
        return Err(error.hint("the setting admin_api: on takes orders; so does auto while `listen` is loopback"));
    }
    if call.head.headers.contains_key(ORIGIN) {
        let error = ApiError::new(ErrorKind::Forbidden, "orders are not taken from web pages");
        return Err(error.hint("send the request without an Origin header"));
    }
    call.parameters().await
}

/// Carries out an order when no other is being carried out, on a thread where it may take its time. It goes on to its end
/// when its client leaves.
pub(super) async fn carry_out<T: Send + 'static, E: Display + Send + 'static>(
    front: Arc<Front>,
    what: &'static str,
    order: impl FnOnce(&Services) -> Result<T, E> + Send + 'static,
) -> Result<Result<T, E>, ApiError> {
    let turn = front.orders.clone().try_acquire_owned();
    let turn = turn.map_err(|_| busy("another order is being carried out: try again when it is done"))?;
    let thread = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        tracing::info!(what, "an order by HTTP");
        let done = order(&front.services);
        match &done {
            Ok(_) => tracing::info!(what, "the order is carried out"),
            Err(error) => tracing::error!(what, %error, "the order could not be carried out"),
        }
        done
    });
    thread.await.map_err(|error| {
        tracing::error!(what, %error, "an order met a bug; its request is answered 500");
        ApiError::new(ErrorKind::Internal, "this order met a bug; the log has more")
    })
}

fn busy(what: impl Display) -> ApiError {
    ApiError::new(ErrorKind::Unavailable, what.to_string()).retry_after(RETRY_AFTER_S)
}

fn refused(error: StorageError) -> ApiError {
    match error {
        StorageError::Interrupted => busy("interrupted by work that had to go first: try again when it is done"),
        StorageError::NoRoom { .. } => busy(error),
        _ => ApiError::new(ErrorKind::Internal, error.to_string()),
    }
}
