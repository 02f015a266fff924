//! What a node exports: one row a series, with its name, labels and where its value comes from.

use super::node::{BUCKET_BOUNDS, State};

/// One series of each node.
pub(super) struct Series {
    pub(super) name: &'static str,
    /// Which exporter it comes from: the value of the `job` label.
    pub(super) job: &'static str,
    /// Labels beside `job`, `instance`, `node` and `region`, which every series has.
    pub(super) labels: &'static [(&'static str, &'static str)],
    /// Its value at the last scrape, of the node's state.
    pub(super) read: fn(&State) -> f64,
}

type Labels = &'static [(&'static str, &'static str)];
type Read = fn(&State) -> f64;

const fn shop(name: &'static str, labels: Labels, read: Read) -> Series {
    Series { name, job: "shop", labels, read }
}

const fn machine(name: &'static str, labels: Labels, read: Read) -> Series {
    Series { name, job: "node", labels, read }
}

const fn probe(name: &'static str, labels: Labels, read: Read) -> Series {
    Series { name, job: "probe", labels, read }
}

const CHECKOUT: &str = "shop_checkout_seconds_bucket";

/// Every node's series. The buckets' bounds are those of [`BUCKET_BOUNDS`].
pub(super) static SERIES: [Series; 40] = [
    shop("up", &[], |_| 1.0),
    shop("shop_orders_total", &[], |s| s.process.orders as f64),
    shop("shop_revenue_total", &[("currency", "EUR")], |s| s.process.revenue_cents as f64 / 100.0),
    shop("shop_http_requests_total", &[("route", "/product"), ("status", "200")], |s| s.process.visits as f64),
    shop("shop_http_requests_total", &[("route", "/checkout"), ("status", "200")], |s| s.process.orders as f64),
    shop("shop_http_requests_total", &[("route", "/checkout"), ("status", "504")], |s| {
        s.process.payment_timeouts as f64
    }),
    shop("shop_payments_total", &[("provider", "northpay"), ("outcome", "ok")], |s| s.process.orders as f64),
    shop("shop_payments_total", &[("provider", "northpay"), ("outcome", "timeout")], |s| {
        s.process.payment_timeouts as f64
    }),
    shop("shop_cart_adds_total", &[], |s| s.process.cart_adds as f64),
    shop("shop_searches_total", &[], |s| s.process.searches as f64),
    shop("shop_login_failures_total", &[("reason", "password")], |s| s.process.login_failures as f64),
    shop("shop_messages_total", &[("channel", "email"), ("kind", "order_confirmation")], |s| s.process.emails as f64),
    shop("shop_db_slow_queries_total", &[("db", "orders")], |s| s.process.slow_queries as f64),
    shop(CHECKOUT, &[("le", "0.1")], |s| s.process.checkouts_up_to(0)),
    shop(CHECKOUT, &[("le", "0.25")], |s| s.process.checkouts_up_to(1)),
    shop(CHECKOUT, &[("le", "0.5")], |s| s.process.checkouts_up_to(2)),
    shop(CHECKOUT, &[("le", "1")], |s| s.process.checkouts_up_to(3)),
    shop(CHECKOUT, &[("le", "2.5")], |s| s.process.checkouts_up_to(4)),
    shop(CHECKOUT, &[("le", "5")], |s| s.process.checkouts_up_to(5)),
    shop(CHECKOUT, &[("le", "+Inf")], |s| s.process.checkouts_up_to(BUCKET_BOUNDS.len())),
    shop("shop_checkout_seconds_sum", &[], |s| s.process.checkout_seconds),
    shop("shop_checkout_seconds_count", &[], |s| s.process.checkouts_up_to(BUCKET_BOUNDS.len())),
    shop("shop_sessions_active", &[], |s| s.gauges.sessions),
    shop("shop_exchange_queue_depth", &[("system", "erp")], |s| s.gauges.queue_depth),
    shop("shop_db_connections_in_use", &[("db", "orders")], |s| s.gauges.db_connections),
    shop("shop_backup_last_success_timestamp_seconds", &[("db", "orders")], |s| s.gauges.backup_at_s),
    shop("process_cpu_seconds_total", &[], |s| (s.process.cpu_s * 100.0).floor() / 100.0),
    shop("process_resident_memory_bytes", &[], |s| s.gauges.resident_bytes),
    shop("process_open_fds", &[], |s| s.gauges.open_files),
    shop("process_start_time_seconds", &[], |s| (s.process.start_ms / 10) as f64 / 100.0),
    machine("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "user")], |s| {
        (s.machine.cpu_user_s * 100.0).floor() / 100.0
    }),
    machine("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "idle")], |s| {
        (s.machine.cpu_idle_s * 100.0).floor() / 100.0
    }),
    machine("node_network_receive_bytes_total", &[("device", "eth0")], |s| s.machine.received_bytes as f64),
    machine("node_network_transmit_bytes_total", &[("device", "eth0")], |s| s.machine.sent_bytes as f64),
    machine("node_disk_written_bytes_total", &[("device", "vda")], |s| s.machine.written_bytes as f64),
    machine("node_memory_MemAvailable_bytes", &[], |s| s.gauges.available_bytes),
    machine("node_filesystem_avail_bytes", &[("fstype", "ext4"), ("mountpoint", "/")], |s| s.gauges.disk_bytes),
    machine("node_load1", &[], |s| s.gauges.load),
    probe("probe_duration_seconds", &[("target", "product_page")], |s| s.gauges.probe_s),
    probe("probe_ssl_earliest_cert_expiry", &[("target", "product_page")], |s| s.gauges.certificate_until_s),
];
