"""Metrics of every kind, of many names in many units, sent to each of the addresses: the same bytes.

    otlp_names.py URL URL…
"""

import sys
import time
import urllib.request

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

# Without those where VictoriaMetrics does not do as Prometheus does: a colon is no letter to it, a leading digit and signs
# in a unit stay as they are, and "per_second" is not said twice.
NAMES = ["http.server.duration", "shop_orders", "a__b", "_lead", "x.ratio.y", "total.sales", "sales.total",
         "bytes.of.x", "seconds.s", "MiXed-Case"]
UNITS = ["", "1", "s", "ms", "By", "By/s", "{order}", "{order}/s", "1/s", "m", "m/m", "%", "Cel", "foo", "MiBy",
         "TiBy", "KBy", "kBy", "/h", "d/mo", "us/y", " s ", "s/ s"]
CUMULATIVE = 2
now_ns = time.time_ns()


def add_point(metric, kind):
    if kind == "gauge":
        point = metric.gauge.data_points.add(as_double=0.5)
    elif kind == "counter":
        metric.sum.aggregation_temporality = CUMULATIVE
        metric.sum.is_monotonic = True
        point = metric.sum.data_points.add(as_int=7)
    elif kind == "histogram":
        metric.histogram.aggregation_temporality = CUMULATIVE
        point = metric.histogram.data_points.add(
            count=10, sum=1.5, bucket_counts=[1] * 10,
            explicit_bounds=[-5.0, 0, 1e-7, 0.1 + 0.2, 1, 10, 1e6, 1e15, 1e21])
    else:
        point = metric.summary.data_points.add(count=2, sum=3.5)
        point.quantile_values.add(quantile=0.99, value=7)
    point.time_unix_nano = now_ns
    return point


def add_attribute(attributes, key, value):
    attributes.add(key=key).value.string_value = value


request = ExportMetricsServiceRequest()
resource_metrics = request.resource_metrics.add()
add_attribute(resource_metrics.resource.attributes, "service.name", "shop")
metrics = resource_metrics.scope_metrics.add().metrics
for name in NAMES:
    for unit in UNITS:
        for kind in ["gauge", "counter", "histogram", "summary"]:
            point = add_point(metrics.add(name=name, unit=unit), kind)
            # No two metrics make the same series, even if they get the same name.
            add_attribute(point.attributes, "of", f"{name} in {unit} {kind}")
point = add_point(metrics.add(name="attributes"), "gauge")
for key in ["http.method", "2xx", "_private", "__reserved", "sp ace", "da-sh", "a..c", "Aa"]:
    add_attribute(point.attributes, key, f"value of {key}")

body = request.SerializeToString()
for url in sys.argv[1:]:
    headers = {"Content-Type": "application/x-protobuf"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        assert answer.read() == b"", f"{url} stores all of it"
