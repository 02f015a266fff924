//! Names, each derived by hand from Prometheus's rules.

use crate::ingest::otlp::names::{NameKind, label_name, metric_name, unit_name};

#[test]
fn metric_is_named_as_prometheus_names_it() {
    use NameKind::{Counter, Gauge, Other};
    let table = [
        ("http.server.request.duration", "s", Other, "http_server_request_duration_seconds"),
        ("http.server.duration", "ms", Other, "http_server_duration_milliseconds"),
        ("process.memory.usage", "By", Gauge, "process_memory_usage_bytes"),
        ("disk.io", "By/s", Gauge, "disk_io_bytes_per_second"),
        ("disk.io.rate", "/s", Gauge, "disk_io_rate_per_second"),
        ("speed", "m/m", Gauge, "speed_meters_per_minute"),
        ("shop.orders", "{order}", Counter, "shop_orders_total"),
        ("shop.orders", "{order}/s", Counter, "shop_orders_per_second_total"),
        ("shop.orders", "1", Counter, "shop_orders_total"),
        ("queue.fill", "1", Gauge, "queue_fill_ratio"),
        ("queue.fill", "1", Other, "queue_fill"),
        ("queue.ratio.fill", "1", Gauge, "queue_fill_ratio"),
        ("total.sales", "", Counter, "sales_total"),
        ("sales_total", "EUR", Counter, "sales_EUR_total"),
        // A unit that is a word of the name already is not said twice.
        ("request.duration.seconds", "s", Other, "request_duration_seconds"),
        ("seconds.of.rest", "s", Other, "seconds_of_rest"),
        ("memory.TiB", "TiBy", Gauge, "memory_TiB_tibibytes"),
        ("power", "%", Gauge, "power_percent"),
        ("heat", "Cel", Gauge, "heat_celsius"),
        ("tick", "Hz", Gauge, "tick_hertz"),
        // Units that nobody knows stay, as far as a name can have them.
        ("load", "my unit", Gauge, "load_my_unit"),
        ("load", "k$/w", Gauge, "load_k_per_week"),
        ("load", "foo/bar", Gauge, "load_foo_per_bar"),
        ("load", "€", Gauge, "load"),
        ("load", " ", Gauge, "load"),
        ("__weird..name--of_ the:thing__", "", Gauge, "weird_name_of_the:thing"),
        ("naïve", "", Gauge, "na_ve"),
        ("2xx.count", "", Counter, "_2xx_count_total"),
        ("jvm.gc", "ns", Other, "jvm_gc_nanoseconds"),
    ];
    for (name, unit, kind, expected) in table {
        assert_eq!(metric_name(name, unit, kind).as_deref(), Some(expected), "{name} in {unit}, {kind:?}");
    }
    for name in ["", "___", "..", "é"] {
        assert_eq!(metric_name(name, "s", Counter), None, "{name:?}");
    }
}

#[test]
fn unit_is_told_in_words() {
    let table =
        [("By/s", "bytes_per_second"), ("1", ""), ("{orders}", ""), ("{o}/h", "per_hour"), ("", ""), ("d", "days")];
    for (unit, expected) in table {
        assert_eq!(unit_name(unit), expected, "{unit}");
    }
}

#[test]
fn label_is_named_as_prometheus_names_it() {
    let table = [
        ("http.method", "http_method"),
        ("http_method", "http_method"),
        ("http:method", "http_method"),
        ("a..b", "a__b"),
        ("2xx", "key_2xx"),
        ("_private", "key_private"),
        (".private", "key_private"),
        ("__reserved", "__reserved"),
        ("größe", "gr__e"),
        ("", ""),
    ];
    for (name, expected) in table {
        assert_eq!(label_name(name), expected, "{name}");
    }
}
