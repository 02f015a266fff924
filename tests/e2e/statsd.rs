//! StatsD with a client library of it.

use std::net::{SocketAddr, UdpSocket};

use tempfile::TempDir;

use crate::api::instant;
use crate::engine::Engine;
use crate::process::free_address;
use crate::python::run_python;
use crate::wait::wait_until;
use dozor::clock::Clock;

const SCRIPT: &str = r#"
import sys
from datetime import timedelta
from statsd import StatsClient, TCPStatsClient

client = StatsClient("127.0.0.1", int(sys.argv[1]), prefix="shop")
client.incr("orders")
client.incr("orders", 9)
client.decr("orders", 3)
client.gauge("queue", 10)
client.gauge("queue", -4, delta=True)
client.gauge("balance", -2.5)
client.timing("checkout", 320)
client.timing("checkout", timedelta(seconds=2))
for visitor in ["ann", "bob", "ann"]:
    client.set("visitors", visitor)
with client.pipeline() as pipe:
    for index in range(500):
        pipe.incr("clicks")
    pipe.timing("page", 40)
with client.timer("block"):
    pass

connected = TCPStatsClient("127.0.0.1", int(sys.argv[1]), prefix="tcp")
connected.incr("orders", 2)
with connected.pipeline() as pipe:
    for index in range(20000):
        pipe.incr("clicks")
connected.close()
"#;

/// A server that flushes each 200 ms.
fn start(folder: &TempDir) -> (Engine, SocketAddr) {
    let config = folder.path().join("dozor.yml");
    std::fs::write(&config, "statsd: { flush_interval: 200ms }\n").expect("the folder can be written");
    let address = free_address();
    let flags = [format!("--config={}", config.display()), format!("--statsd-listen={address}")];
    (Engine::start(folder.path(), &[&flags[0], &flags[1]]), address)
}

fn value(engine: &Engine, query: &str) -> Option<f64> {
    let found = instant(engine.address, query, Clock::system().now_ms());
    assert!(found.len() <= 1, "{query}: {found:?}");
    found.into_values().next().map(|samples| samples[0].1)
}

#[test]
fn statsd_client_counts_and_its_values_are_asked_back() {
    let folder = TempDir::new().expect("a temporary folder");
    let (mut engine, address) = start(&folder);
    run_python(folder.path(), "statsd", SCRIPT, &[address.port().to_string()]);
    let becomes = |query: &str, expected: f64| {
        wait_until(&format!("{query} is {expected}"), || value(&engine, query) == Some(expected));
    };
    becomes("shop_orders_total", 7.0);
    becomes("shop_queue", 6.0);
    becomes("shop_balance", -2.5);
    becomes("shop_checkout_seconds_count", 2.0);
    becomes("shop_checkout_seconds_sum", 2.32);
    becomes(r#"shop_checkout_seconds_bucket{le="0.5"}"#, 1.0);
    becomes(r#"shop_checkout_seconds_bucket{le="2.5"}"#, 2.0);
    becomes("shop_clicks_total", 500.0);
    becomes("shop_page_seconds_count", 1.0);
    becomes("shop_block_seconds_count", 1.0);
    becomes("tcp_orders_total", 2.0);
    becomes("tcp_clicks_total", 20_000.0);
    // Distinct in one flush, or one and then the other.
    becomes("max_over_time(shop_visitors[5m]) >= bool 1", 1.0);
    // A counter begins at zero, so its first growth is seen.
    becomes("increase(shop_clicks_total[5m]) > bool 400", 1.0);
    assert_eq!(engine.metric("dozor_statsd_datagrams_dropped_total"), 0.0);
    assert!(engine.metric("dozor_statsd_lines_total") >= 514.0);

    // What has come last is flushed at the stop.
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.send_to(b"shop.orders:5|c|#region:eu\nnonsense", address).expect("sent");
    engine.stop();
    engine.start_again();
    wait_until("what came last is stored", || value(&engine, r#"shop_orders_total{region="eu"}"#) == Some(5.0));
    assert!(engine.process().printed().contains("nonsense"), "the log shows a refused line");
}

#[test]
fn flood_of_garbage_is_counted_and_bounded() {
    let folder = TempDir::new().expect("a temporary folder");
    let (engine, address) = start(&folder);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut dice = 1_u64;
    let mut datagram = vec![0; 1_400];
    for _ in 0..20_000 {
        for byte in &mut datagram {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = b"abc.:|@#,=+-019gmsch\n\xff"[(dice >> 33) as usize % 22];
        }
        // A full buffer of the system drops what comes, which is the nature of UDP.
        let _ = socket.send_to(&datagram, address);
    }
    let is_taken = || {
        socket.send_to(b"after.all:1|g", address).expect("sent");
        value(&engine, "after_all") == Some(1.0)
    };
    wait_until("lines are taken after the garbage", is_taken);
    assert!(engine.metric("dozor_statsd_series") <= 10_000.0);
    assert!(engine.metric("dozor_statsd_lines_total") > 0.0);
    assert!(engine.memory_bytes() < 400 << 20, "{} bytes", engine.memory_bytes());
}
