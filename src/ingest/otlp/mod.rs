//! OpenTelemetry's metrics, as its SDKs and collectors push them over HTTP, in protobuf or JSON.
//!
//! ```text
//! JSON ─► protobuf ─┐
//! protobuf ─────────┴─► walk in place ─► names, labels ─► deltas added up ─► rows
//! ```
//!
//! A counter `shop.orders` (unit `{order}`) of the service `shop` in namespace `eu`, with `region="de"` on its point, is
//! stored as `shop_orders_total{job="eu/shop", region="de", service_name="shop", service_namespace="eu"}`.
//!
//! Always true:
//! 1. Series are named as Prometheus 3 names them by default; what is added is the resource's attributes that the
//!    setting `otlp.promote_resource_attributes` lists.
//! 2. A delta is counted once, however often it is sent.
//! 3. A point that cannot be stored costs itself alone; a body that cannot be read stores and counts nothing.
//!
//! Exponential histograms become native ones, others stay series of buckets.
//!
//! Deliberately absent: exemplars (stepped over), gRPC.

mod answer;
mod delta;
mod exponential;
mod json;
mod labels;
mod message;
mod names;
mod translate;
mod value;

use bytes::Bytes;

pub use answer::OtlpAnswer;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) use json::to_protobuf;

use delta::{DeltaRequest, Deltas};

use super::rows::RowsBuilder;
use super::{Ingest, IngestError};

/// How requests of OpenTelemetry are translated. By default no attribute is promoted; the server's settings name some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpOptions {
    /// Attributes of resources that become labels of every series (setting `otlp.promote_resource_attributes`).
    pub promoted_attributes: Vec<String>,
    /// Whether every series tells the scope that made it, in labels `otel_scope_…` (setting `otlp.scope_labels`).
    pub scope_labels: bool,
    /// Stored series whose deltas are added up at most (setting `otlp.delta_series_max`).
    pub delta_series_max: usize,
}

impl Default for OtlpOptions {
    fn default() -> OtlpOptions {
        OtlpOptions { promoted_attributes: Vec::new(), scope_labels: false, delta_series_max: 100_000 }
    }
}

/// How a request is written, and its answer too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpEncoding {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

impl OtlpEncoding {
    /// Reads a `Content-Type`; fails with 415 for anything else.
    pub fn of_content_type(content_type: Option<&str>) -> Result<OtlpEncoding, IngestError> {
        let media_type = content_type.unwrap_or("").split(';').next().unwrap_or("").trim();
        match media_type.to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Ok(OtlpEncoding::Protobuf),
            "application/json" => Ok(OtlpEncoding::Json),
            _ => Err(IngestError::Unsupported(format!(
                "Content-Type {:?} is not read; send application/x-protobuf or application/json",
                content_type.unwrap_or("")
            ))),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            OtlpEncoding::Protobuf => "application/x-protobuf",
            OtlpEncoding::Json => "application/json",
        }
    }
}

/// What is kept from request to request.
pub(super) struct Otlp {
    options: OtlpOptions,
    deltas: Deltas,
}

impl Otlp {
    pub(super) fn new(options: OtlpOptions) -> Otlp {
        Otlp { deltas: Deltas::new(options.delta_series_max), options }
    }
}

impl Ingest {
    /// The same way in, with these options for OpenTelemetry.
    pub fn with_otlp(mut self, options: OtlpOptions) -> Ingest {
        self.otlp = Otlp::new(options);
        self
    }

    /// Stored series whose deltas are added up now.
    pub fn otlp_delta_series_count(&self) -> usize {
        self.otlp.deltas.series_count()
    }

    /// Takes an `ExportMetricsServiceRequest` and says what to answer: 200 means that all of it is on disk, or all but
    /// what the answer counts.
    pub async fn otlp_metrics(
        &self,
        encoding: OtlpEncoding,
        content_encoding: Option<&str>,
        body: Bytes,
    ) -> OtlpAnswer {
        let read = |body: &[u8], rows: &mut RowsBuilder<'_>| {
            self.read_otlp(encoding, body, rows)?.commit();
            Ok(())
        };
        let outcome = self.take_rows(body, content_encoding, read).await;
        answer::answer(&outcome, encoding)
    }

    /// Makes rows of a body, and forgets what it adds to totals.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn read_otlp_alone(
        &self,
        encoding: OtlpEncoding,
        body: &[u8],
        rows: &mut RowsBuilder<'_>,
    ) -> Result<(), IngestError> {
        self.read_otlp(encoding, body, rows).map(drop)
    }

    /// Makes rows of a body. What is added to totals is kept only if what is returned is committed.
    fn read_otlp(
        &self,
        encoding: OtlpEncoding,
        body: &[u8],
        rows: &mut RowsBuilder<'_>,
    ) -> Result<DeltaRequest<'_>, IngestError> {
        let Otlp { options, deltas } = &self.otlp;
        let translated;
        let _room;
        let message = match encoding {
            OtlpEncoding::Protobuf => body,
            OtlpEncoding::Json => {
                translated = json::to_protobuf(body)?;
                _room = self.reserve(translated.len())?;
                &translated
            }
        };
        let mut request = deltas.request(self.clock.monotonic());
        translate::read(message, options, &self.limits, rows, &mut request)?;
        Ok(request)
    }
}

#[cfg(test)]
mod tests;
