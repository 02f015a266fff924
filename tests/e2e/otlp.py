"""A small shop that reports by OpenTelemetry's own SDK, in two exports a second apart.

    otlp.py URL cumulative|delta protobuf|json

The SDK sends protobuf, compressed by gzip; for JSON its request is written by protobuf's own library.
"""

import sys
import time
import urllib.request

from google.protobuf.json_format import MessageToJson
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

url, temporality, encoding = sys.argv[1:]


class JsonExporter(OTLPMetricExporter):
    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        body = MessageToJson(encode_metrics(metrics_data)).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            assert answer.read() == b"{}", "all of it is stored"
        return MetricExportResult.SUCCESS


chosen = {"delta": AggregationTemporality.DELTA, "cumulative": AggregationTemporality.CUMULATIVE}[temporality]
exporter = {"protobuf": OTLPMetricExporter, "json": JsonExporter}[encoding](
    endpoint=url, compression=Compression.Gzip, preferred_temporality={Counter: chosen, Histogram: chosen}
)
fill = 0.0
reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
resource = Resource.create(
    {
        "service.name": "shop",
        "service.namespace": "eu",
        "service.instance.id": "7",
        "deployment.environment": "prod",
        "host.name": "web-1",
        "shop.floor": 3,
    }
)
provider = MeterProvider(metric_readers=[reader], resource=resource, shutdown_on_exit=False)
meter = provider.get_meter("shop.lib", "1.2")


def observe_fill(_options):
    from opentelemetry.metrics import Observation

    yield Observation(fill, {"queue.name": "mail"})


orders = meter.create_counter("shop.orders", unit="{order}", description="Orders taken")
carts = meter.create_up_down_counter("shop.carts.open", description="Carts that wait")
latency = meter.create_histogram(
    "checkout.duration", unit="s", description="How long it takes", explicit_bucket_boundaries_advisory=[0.1, 1, 5]
)
meter.create_observable_gauge("queue.fill", callbacks=[observe_fill], unit="1")

orders.add(3, {"region": "de"})
orders.add(2, {"region": "fr"})
carts.add(5)
latency.record(0.05)
latency.record(2.5)
fill = 0.25
assert provider.force_flush()

time.sleep(1)
orders.add(4, {"region": "de"})
carts.add(-2)
latency.record(0.5)
latency.record(50)
fill = 0.75
assert provider.force_flush()
