//! Influx's line protocol with the client library of Influx itself.

use tempfile::TempDir;

use crate::api::instant;
use crate::engine::Engine;
use crate::python::run_python;
use dozor::clock::Clock;

/// Writes with each kind of writer, and prints what the server says of itself and of a bad line.
const SCRIPT: &str = r#"
import sys
from influxdb_client import InfluxDBClient, Point, WriteOptions, WritePrecision
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.write_api import SYNCHRONOUS

url, now_ms = sys.argv[1], int(sys.argv[2])

with InfluxDBClient(url=url, token="t", org="shop", enable_gzip=True) as client:
    print("ping", client.ping())
    print("health", client.health().status)
    with client.write_api(write_options=SYNCHRONOUS) as api:
        point = (
            Point("orders.placed")
            .tag("region", "eu west")
            .tag("path", "/a,b=c")
            .field("count", 12)
            .field("total", 99.5)
            .field("express", True)
            .field("note", 'said "hi",\nb=1 and left')
            .time(now_ms, WritePrecision.MS)
        )
        api.write(bucket="shop", record=point)
        api.write(bucket="shop", record=f"stock items=7u {now_ms // 1000}", write_precision=WritePrecision.S)
        api.write(bucket="shop", record={"measurement": "now", "fields": {"value": 1.0}})
        try:
            api.write(bucket="shop", record=["good v=1", "bad v=", "fine v=2"])
            print("not refused")
        except InfluxDBError as error:
            print("refused", error.response.status, error.message)

failures = []
options = WriteOptions(batch_size=500, flush_interval=200)
with InfluxDBClient(url=url, token="t", org="shop", enable_gzip=False) as client:
    with client.write_api(write_options=options, error_callback=lambda conf, data, error: failures.append(error)) as api:
        for index in range(2000):
            point = Point("load").tag("node", str(index % 4)).field("step", index).time(now_ms - 2000 + index, WritePrecision.MS)
            api.write(bucket="shop", record=point)
print("failures", failures)
"#;

#[test]
fn influxdb_client_writes_and_its_values_are_asked_back() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let now_ms = Clock::system().now_ms();
    let printed =
        run_python(folder.path(), "influx", SCRIPT, &[format!("http://{}", engine.address), now_ms.to_string()]);
    assert!(printed.contains("ping True"), "{printed}");
    assert!(printed.contains("health pass"), "{printed}");
    assert!(printed.contains("refused 400 partial write: 1 refused, 2 stored"), "{printed}");
    assert!(printed.contains("failures []"), "{printed}");

    let at_ms = Clock::system().now_ms();
    let value = |query: &str| {
        let found = instant(engine.address, query, at_ms);
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        found.into_values().next().expect("one series")[0].1
    };
    let orders = r#"{path="/a,b=c", region="eu west"}"#;
    assert_eq!(value(&format!("orders_placed_count{orders}")), 12.0);
    assert_eq!(value(&format!("orders_placed_total{orders}")), 99.5);
    assert_eq!(value(&format!("orders_placed_express{orders}")), 1.0);
    assert!(instant(engine.address, "orders_placed_note", at_ms).is_empty(), "a text is not stored");
    assert_eq!(engine.metric("dozor_ingest_skipped_total"), 1.0);
    assert_eq!((value("stock_items"), value("now_value")), (7.0, 1.0));
    assert_eq!((value("good_v"), value("fine_v")), (1.0, 2.0));
    assert_eq!(value("sum(count_over_time(load_step[1h]))"), 2000.0);
    assert_eq!(value(r#"max_over_time(load_step{node="3"}[1h])"#), 1999.0);
    assert_eq!(value("sum(sum_over_time(load_step[1h]))"), f64::from(1999 * 2000 / 2));
}

#[test]
fn version_one_writes_carry_their_database() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let mut client = engine.client();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let created = client.post("/query", &form, b"q=CREATE+DATABASE+%22telegraf%22").expect("the engine answers");
    assert_eq!((created.status, created.text().as_str()), (200, r#"{"results":[{"statement_id":0}]}"#));
    let now_s = Clock::system().now_ms() / 1000;
    let lines = format!(
        "cpu,host=web1,cpu=cpu-total usage_idle=97.5,state=\"fine\" {now_s}\ncpu,host=web1 usage_idle= {now_s}\n"
    );
    let answer = client.post("/write?db=telegraf&precision=s", &form, lines.as_bytes()).expect("the engine answers");
    assert_eq!(answer.status, 400);
    assert!(answer.text().starts_with(r#"{"error":"partial write: 1 refused, 1 stored"#), "{}", answer.text());
    let found = instant(engine.address, "cpu_usage_idle", Clock::system().now_ms());
    let labels = r#"{"__name__":"cpu_usage_idle","cpu":"cpu-total","db":"telegraf","host":"web1"}"#;
    assert_eq!(
        found.into_iter().map(|(labels, samples)| (labels, samples[0].1)).collect::<Vec<_>>(),
        [(labels.to_owned(), 97.5)]
    );
}
