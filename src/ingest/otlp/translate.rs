//! A request becomes rows, as Prometheus 3 translates it by default.
//!
//! ```text
//! ResourceMetrics ─► labels of the resource ─► each metric: name, kind ─► each point: its labels, its samples
//!        └──────────────── earliest and latest point ───────────────────► target_info
//! ```
//!
//! Always true: what is wrong with a point or a metric is refused and counted in points; bytes that are no such message
//! refuse the request.

use super::OtlpOptions;
use super::delta::{DeltaRequest, HistogramTotal, NativeTotal, NotAdded, Total};
use super::exponential::ExponentialPoint;
use super::labels::{Pair, ResourceLabels, last_text, scope_labels};
use super::message::{
    Broken, Data, Metric, NumberPoint, PointHead, Temporality, Totals, append_fixed64, child, each_message, is_message,
    only_message, read_monotonic, read_quantile, read_temporality, text,
};
use super::names::{NameKind, metric_name, unit_name};
use crate::ingest::rows::{RowsBuilder, over};
use crate::ingest::wire::{Fields, WireError};
use crate::ingest::{IngestError, IngestLimits, MetricKind};
use crate::model::{LABEL_VALUE_BYTES_MAX, METRIC_NAME, stale_nan};

/// Buckets or quantiles that a point may have; of an exponential histogram, on each side of zero.
pub(super) const PARTS_COUNT_MAX: usize = 1024;
/// Distance between the samples of `target_info`: half of the time for which a query looks back by default.
const TARGET_INFO_STEP_MS: i64 = 150_000;
/// Samples of `target_info` for one resource of a request: an hour of them.
const TARGET_INFO_SAMPLES_MAX: i64 = 24;

/// Reads a request into rows.
pub(super) fn read(
    message: &[u8],
    options: &OtlpOptions,
    limits: &IngestLimits,
    rows: &mut RowsBuilder<'_>,
    deltas: &mut DeltaRequest<'_>,
) -> Result<(), IngestError> {
    let mut reader = Reader {
        options,
        rows,
        deltas,
        messages_left: limits.series_per_request_max,
        points_left: limits.samples_per_request_max,
        limits,
    };
    each_message(Fields::new(message, 0), 1, |resource| reader.resource_metrics(resource)).map_err(Stop::into_error)
}

/// Why reading ends before its end.
enum Stop {
    Wire(WireError),
    /// Boxed: every function on the way hands it on, and it is large.
    Limit(Box<IngestError>),
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Stop {
        Stop::Wire(error)
    }
}

impl Stop {
    fn limit(error: IngestError) -> Stop {
        Stop::Limit(Box::new(error))
    }

    #[cold]
    fn into_error(self) -> IngestError {
        match self {
            Stop::Wire(WireError { offset, what }) => {
                IngestError::Malformed(format!("the body is not an ExportMetricsServiceRequest: byte {offset}: {what}"))
            }
            Stop::Limit(error) => *error,
        }
    }
}

struct Reader<'r, 's, 'd> {
    options: &'r OtlpOptions,
    rows: &'r mut RowsBuilder<'s>,
    deltas: &'r mut DeltaRequest<'d>,
    /// Resources, scopes and metrics that may still come: empty ones cost two bytes each.
    messages_left: usize,
    points_left: usize,
    limits: &'r IngestLimits,
}

/// What the points of a metric have in common.
struct Context<'a> {
    resource: &'a ResourceLabels<'a>,
    scope: &'a [Pair<'a>],
    family: String,
    temporality: Temporality,
}

/// When the points of a resource begin and end, in ms.
#[derive(Default)]
struct Span(Option<(i64, i64)>);

impl Span {
    fn cover(&mut self, time_ms: i64) {
        let (earliest, latest) = self.0.unwrap_or((time_ms, time_ms));
        self.0 = Some((earliest.min(time_ms), latest.max(time_ms)));
    }
}

impl<'s> Reader<'_, 's, '_> {
    fn resource_metrics(&mut self, message: Fields<'_>) -> Result<(), Stop> {
        self.count_message()?;
        let empty = Fields::new(&[], message.base());
        let resource = only_message(message, 1)?.unwrap_or(empty);
        let (resource, refusal) = match ResourceLabels::read(resource, &self.options.promoted_attributes) {
            Ok(resource) => (resource, None),
            Err(Broken::Wire(error)) => return Err(error.into()),
            Err(Broken::Refused(reason)) => (ResourceLabels::default(), Some(format!("its resource: {reason}"))),
        };
        let mut span = Span::default();
        each_message(message, 2, |scope| self.scope_metrics(scope, &resource, refusal.as_deref(), &mut span))?;
        match refusal {
            None => self.target_info(&resource, &span),
            Some(_) => Ok(()),
        }
    }

    fn scope_metrics(
        &mut self,
        message: Fields<'_>,
        resource: &ResourceLabels<'_>,
        refusal: Option<&str>,
        span: &mut Span,
    ) -> Result<(), Stop> {
        self.count_message()?;
        let scope = only_message(message, 1)?;
        let labels = match self.options.scope_labels {
            true => last_text(message, 3).and_then(|schema_url| scope_labels(scope, schema_url)),
            false => Ok(Vec::new()),
        };
        let (labels, scope_refusal) = match labels {
            Ok(labels) => (labels, None),
            Err(Broken::Wire(error)) => return Err(error.into()),
            Err(Broken::Refused(reason)) => (Vec::new(), Some(format!("its scope: {reason}"))),
        };
        let refusal = refusal.or(scope_refusal.as_deref());
        each_message(message, 2, |metric| {
            self.count_message()?;
            let metric = Metric::read(metric)?;
            match refusal {
                Some(reason) => self.refuse_metric(&metric, reason),
                None => self.metric(&metric, resource, &labels, span),
            }
        })
    }

    fn metric(
        &mut self,
        metric: &Metric<'_>,
        resource: &ResourceLabels<'_>,
        scope: &[Pair<'_>],
        span: &mut Span,
    ) -> Result<(), Stop> {
        let Some(data) = metric.data else { return self.refuse_metric(metric, "it has no points") };
        let (kind, name_kind, temporality) = match data {
            Data::Gauge(_) => (MetricKind::Gauge, NameKind::Gauge, Temporality::Cumulative),
            Data::Sum(sum) => match read_monotonic(sum)? {
                true => (MetricKind::Counter, NameKind::Counter, read_temporality(sum)?),
                false => (MetricKind::Gauge, NameKind::Other, read_temporality(sum)?),
            },
            Data::Histogram(histogram) | Data::ExponentialHistogram(histogram) => {
                (MetricKind::Histogram, NameKind::Other, read_temporality(histogram)?)
            }
            Data::Summary(_) => (MetricKind::Summary, NameKind::Other, Temporality::Cumulative),
        };
        if temporality == Temporality::Unknown {
            return self.refuse_metric(metric, "its aggregation temporality is neither delta nor cumulative");
        }
        let (Ok(name), Ok(unit), Ok(help)) = (text(metric.name), text(metric.unit), text(metric.description)) else {
            return self.refuse_metric(metric, "its name, unit or description is not UTF-8");
        };
        let Some(family) = metric_name(name, unit, name_kind) else {
            return self.refuse_metric(metric, "its name has no letter and no digit");
        };
        if family.len() > LABEL_VALUE_BYTES_MAX {
            return self.refuse_metric(metric, "its name is longer than the value of a label may be");
        }
        self.rows.describe(&family, kind, help, &unit_name(unit));
        let context = Context { resource, scope, family, temporality };
        each_message(data.points(), 1, |point| {
            self.count_point()?;
            let head = match data {
                Data::Histogram(_) => self.histogram(&context, point),
                Data::ExponentialHistogram(_) => self.exponential(&context, point),
                Data::Summary(_) => self.summary(&context, point),
                _ => self.number(&context, point),
            };
            match head {
                Ok(head) => span.cover(head.time_ms()),
                Err(PointError::Stop(stop)) => return Err(stop),
                Err(PointError::Refused(reason)) => self.rows.refuse(1, reason, || shown(metric)),
            }
            Ok(())
        })
    }

    fn number(&mut self, context: &Context<'_>, message: Fields<'_>) -> Result<PointHead, PointError> {
        let point = NumberPoint::read(message)?;
        let mut labels = context.resource.of_point(message, NumberPoint::ATTRIBUTES, context.scope)?;
        let value = match (point.head.is_stale, point.value) {
            (true, _) => stale_nan(),
            (false, None) => return Err(PointError::refused("a point has no value")),
            (false, Some(value)) if context.temporality == Temporality::Delta => {
                match self.deltas.add(&context.family, &mut labels, point.head, Total::Number(value)) {
                    Ok(Some(Total::Number(total))) => *total,
                    Ok(None) => return Ok(point.head),
                    Ok(Some(Total::Histogram(_) | Total::Native(_))) => {
                        unreachable!("a total is of the kind of its points")
                    }
                    Err(reason) => return Err(self.not_added(reason)),
                }
            }
            (false, Some(value)) => value,
        };
        self.put(&labels, &context.family, None, point.head, value)?;
        Ok(point.head)
    }

    fn histogram(&mut self, context: &Context<'_>, message: Fields<'_>) -> Result<PointHead, PointError> {
        let (mut counts, mut bounds): (Vec<u64>, Vec<f64>) = (Vec::new(), Vec::new());
        let mut fits = true;
        let totals = Totals::read_histogram(message, |number, value, of| {
            let append_count = |bits| {
                counts.push(bits);
                counts.len()
            };
            let append_bound = |bits| {
                bounds.push(f64::from_bits(bits));
                bounds.len()
            };
            match number {
                6 if fits => fits = append_fixed64(value, of, PARTS_COUNT_MAX, append_count)?,
                7 if fits => fits = append_fixed64(value, of, PARTS_COUNT_MAX, append_bound)?,
                _ => {}
            }
            Ok(())
        })?;
        if !fits {
            return Err(PointError::refused(format!("a histogram has more than {PARTS_COUNT_MAX} buckets")));
        }
        let mut labels = context.resource.of_point(message, Totals::HISTOGRAM_ATTRIBUTES, context.scope)?;
        let head = totals.head;
        let point =
            HistogramTotal { count: totals.count, sum: totals.sum, bounds: bounds.into(), counts: counts.into() };
        let point = match context.temporality {
            Temporality::Delta if !head.is_stale => {
                match self.deltas.add(&context.family, &mut labels, head, Total::Histogram(Box::new(point))) {
                    Ok(Some(Total::Histogram(total))) => (**total).clone(),
                    Ok(None) => return Ok(head),
                    Ok(Some(Total::Number(_) | Total::Native(_))) => {
                        unreachable!("a total is of the kind of its points")
                    }
                    Err(reason) => return Err(self.not_added(reason)),
                }
            }
            _ => point,
        };
        self.put_histogram(context, &labels, head, &point)?;
        Ok(head)
    }

    fn put_histogram(
        &mut self,
        context: &Context<'_>,
        labels: &[Pair<'_>],
        head: PointHead,
        point: &HistogramTotal,
    ) -> Result<(), PointError> {
        let Context { family, .. } = context;
        if let Some(sum) = point.sum {
            self.put(labels, &format!("{family}_sum"), None, head, sum)?;
        }
        self.put(labels, &format!("{family}_count"), None, head, point.count as f64)?;
        let bucket = format!("{family}_bucket");
        let mut below = 0_u64;
        for (bound, count) in point.bounds.iter().zip(&point.counts) {
            below = below.wrapping_add(*count);
            if *bound != f64::INFINITY {
                self.put(labels, &bucket, Some(("le", &float_text(*bound))), head, below as f64)?;
            }
        }
        self.put(labels, &bucket, Some(("le", "+Inf")), head, point.count as f64)
    }

    fn exponential(&mut self, context: &Context<'_>, message: Fields<'_>) -> Result<PointHead, PointError> {
        let point = ExponentialPoint::read(message)?;
        let head = point.head;
        let mut labels = context.resource.of_point(message, ExponentialPoint::ATTRIBUTES, context.scope)?;
        let histogram = point.histogram().map_err(PointError::Refused)?;
        let histogram = match context.temporality {
            Temporality::Delta if !head.is_stale => {
                let point = Total::Native(Box::new(NativeTotal(histogram)));
                match self.deltas.add(&context.family, &mut labels, head, point) {
                    Ok(Some(Total::Native(total))) => total.0.clone(),
                    Ok(None) => return Ok(head),
                    Ok(Some(_)) => unreachable!("a total is of the kind of its points"),
                    Err(reason) => return Err(self.not_added(reason)),
                }
            }
            _ => histogram,
        };
        let pairs = labels.iter().map(|(name, value)| (&**name, &**value));
        let named = [(METRIC_NAME, context.family.as_str())];
        let series = self.rows.series(pairs.chain(named)).map_err(PointError::limit)?;
        self.rows.histogram(series, head.time_ms(), &histogram).map_err(PointError::limit)?;
        Ok(head)
    }

    fn summary(&mut self, context: &Context<'_>, message: Fields<'_>) -> Result<PointHead, PointError> {
        let mut quantiles = Vec::new();
        let totals = Totals::read_summary(message, |number, value, of| {
            if is_message(number, 6, value, of)? {
                let quantile = read_quantile(child(value, of))?;
                // One too many is kept, to tell.
                if quantiles.len() <= PARTS_COUNT_MAX {
                    quantiles.push(quantile);
                }
            }
            Ok(())
        })?;
        if quantiles.len() > PARTS_COUNT_MAX {
            return Err(PointError::refused(format!("a summary has more than {PARTS_COUNT_MAX} quantiles")));
        }
        let (labels, Context { family, .. }) =
            (context.resource.of_point(message, Totals::SUMMARY_ATTRIBUTES, context.scope)?, context);
        let head = totals.head;
        self.put(&labels, &format!("{family}_sum"), None, head, totals.sum.unwrap_or(0.0))?;
        self.put(&labels, &format!("{family}_count"), None, head, totals.count as f64)?;
        for (quantile, value) in quantiles {
            self.put(&labels, family, Some(("quantile", &float_text(quantile))), head, value)?;
        }
        Ok(head)
    }

    /// Adds one sample, or the mark of the end if that is what the point says.
    fn put(
        &mut self,
        labels: &[Pair<'_>],
        name: &str,
        extra: Option<(&str, &str)>,
        head: PointHead,
        value: f64,
    ) -> Result<(), PointError> {
        let pairs = labels.iter().map(|(name, value)| (&**name, &**value));
        let value = if head.is_stale { stale_nan() } else { value };
        let named = [(METRIC_NAME, name)];
        let series = self.rows.series(pairs.chain(extra).chain(named)).map_err(PointError::limit)?;
        self.rows.sample(series, head.time_ms(), value).map_err(PointError::limit)
    }

    /// Says once for all points of a resource what it is.
    fn target_info(&mut self, resource: &ResourceLabels<'_>, span: &Span) -> Result<(), Stop> {
        let (Some((earliest_ms, latest_ms)), Some(labels)) = (span.0, resource.of_target_info()) else {
            return Ok(());
        };
        let pairs = labels.iter().map(|(name, value)| (&**name, &**value));
        let series = self.rows.series(pairs).map_err(Stop::limit)?;
        let first = earliest_ms.max(latest_ms - TARGET_INFO_SAMPLES_MAX * TARGET_INFO_STEP_MS);
        let mut time_ms = first;
        while time_ms < latest_ms {
            self.rows.sample(series, time_ms, 1.0).map_err(Stop::limit)?;
            time_ms += TARGET_INFO_STEP_MS;
        }
        self.rows.sample(series, latest_ms, 1.0).map_err(Stop::limit)
    }

    fn not_added(&self, reason: NotAdded) -> PointError {
        PointError::refused(match reason {
            NotAdded::TooLate => "a delta lies before what was added up already".to_owned(),
            NotAdded::NoRoom => {
                let series_max = self.options.delta_series_max;
                format!(
                    "deltas of more series than otlp.delta_series_max = {series_max} are added up; send cumulative ones"
                )
            }
        })
    }

    fn refuse_metric(&mut self, metric: &Metric<'_>, reason: &str) -> Result<(), Stop> {
        let count = metric.data.map_or(Ok(0), |data| data.point_count())?;
        // A metric without points is told too: somebody wanted to send one.
        self.rows.refuse(count.max(1), reason, || shown(metric));
        Ok(())
    }

    /// Counts points also where nothing comes of them.
    fn count_point(&mut self) -> Result<(), Stop> {
        let limit = self.limits.samples_per_request_max;
        let over = || over("points", limit, "samples_per_request_max");
        self.points_left = self.points_left.checked_sub(1).ok_or_else(|| Stop::limit(over()))?;
        Ok(())
    }

    fn count_message(&mut self) -> Result<(), Stop> {
        let limit = self.limits.series_per_request_max;
        let over = || over("resources, scopes and metrics", limit, "series_per_request_max");
        self.messages_left = self.messages_left.checked_sub(1).ok_or_else(|| Stop::limit(over()))?;
        Ok(())
    }
}

/// Why a point gives no samples.
enum PointError {
    Stop(Stop),
    Refused(String),
}

impl PointError {
    fn refused(reason: impl Into<String>) -> PointError {
        PointError::Refused(reason.into())
    }

    fn limit(error: IngestError) -> PointError {
        PointError::Stop(Stop::limit(error))
    }
}

impl From<WireError> for PointError {
    fn from(error: WireError) -> PointError {
        PointError::Stop(Stop::Wire(error))
    }
}

impl From<Broken> for PointError {
    fn from(broken: Broken) -> PointError {
        match broken {
            Broken::Wire(error) => error.into(),
            Broken::Refused(reason) => PointError::Refused(reason),
        }
    }
}

/// A bound or quantile as Prometheus writes it: never with an exponent.
fn float_text(number: f64) -> String {
    match number {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => number.to_string(),
    }
}

/// A metric, as far as it can be shown.
fn shown(metric: &Metric<'_>) -> String {
    let name = String::from_utf8_lossy(metric.name);
    format!("the metric {:?}", name.chars().take(128).collect::<String>())
}
