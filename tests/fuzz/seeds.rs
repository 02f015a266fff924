//! Inputs that the targets begin with: what senders send, and what was found to be read wrongly once.

use prost::Message;

use super::targets::histogram::{BucketSpan, Count, Histogram, ZeroCount};
use super::targets::{otlp, remote_write};
use super::wire;

/// When these samples are, in ms since 1970 UTC.
const NOW_MS: i64 = 1_700_000_000_000;

/// Inputs of a target.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let texts: &[&str] = match target {
        "remote_write_1" => return with_programs(remote_write_1()),
        "remote_write_2" => return with_programs(remote_write_2()),
        "otlp" => return with_programs(vec![otlp::one_of_everything()]),
        "snappy" => return packed(|text| snap::raw::Encoder::new().compress_vec(text).expect("compressed")),
        "inflate" => return gzip_and_zstd(),
        "push_protobuf" => return push_protobuf(),
        "text" | "openmetrics" => &TEXTS,
        "otlp_json" => &OTLP_JSON,
        "influx" => &INFLUX,
        "statsd" => &STATSD,
        "json_lines" => &JSON_LINES,
        "push_text" => &PUSHES,
        "http" => &HTTP,
        "promql" => &PROMQL,
        "rules" => &RULES,
        "template" => &TEMPLATES,
        "config" => &CONFIG,
        _ => panic!("{target} has no seeds"),
    };
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Each message, and each as a program that writes it.
fn with_programs(messages: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let programs: Vec<Vec<u8>> = messages.iter().map(|message| program(message)).collect();
    [messages, programs].concat()
}

fn program(message: &[u8]) -> Vec<u8> {
    let program = wire::program_of(message).expect("fields have small numbers");
    assert_eq!(wire::written(&program), message, "a program writes what it was made of");
    program
}

fn label(name: &str, value: &str) -> remote_write::Label {
    remote_write::Label { name: name.into(), value: value.into() }
}

fn samples(count: i64) -> Vec<remote_write::Sample> {
    let sample = |index: i64| remote_write::Sample { value: index as f64 * 1.5, timestamp: NOW_MS + index * 15_000 };
    (0..count).map(sample).collect()
}

/// One of whole counts, one of floats with bounds of its own.
fn histograms() -> Vec<Histogram> {
    let span = |offset, length| BucketSpan { offset, length };
    let whole = Histogram {
        count: Some(Count::Whole(9)),
        sum: 4.5,
        schema: 3,
        zero_threshold: 0.001,
        zero_count: Some(ZeroCount::Whole(1)),
        negative_spans: vec![span(0, 1)],
        negative_deltas: vec![2],
        positive_spans: vec![span(-2, 1), span(3, 2)],
        positive_deltas: vec![3, -2, 1],
        reset_hint: 2,
        timestamp: NOW_MS + 7,
        ..Histogram::default()
    };
    let custom = Histogram {
        count: Some(Count::Float(1.5)),
        sum: 0.5,
        schema: -53,
        positive_spans: vec![span(0, 2)],
        positive_counts: vec![0.5, 1.0],
        custom_values: vec![0.25],
        timestamp: NOW_MS + 8,
        ..Histogram::default()
    };
    vec![whole, custom]
}

fn remote_write_1() -> Vec<Vec<u8>> {
    let series = |labels: Vec<remote_write::Label>, count| remote_write::TimeSeries {
        labels,
        samples: samples(count),
        histograms: histograms(),
    };
    let up = || series(vec![label("__name__", "up"), label("job", "shop"), label("instance", "a:1")], 1);
    let long = series(vec![label("__name__", "m"), label("a", &"x".repeat(130))], 3);
    let out_of_order = series(vec![label("b", "2"), label("__name__", "m"), label("c", "")], 1);
    let nameless = series(vec![label("a", "1")], 1);
    let write = |timeseries| remote_write::WriteRequest { timeseries }.encode_to_vec();
    // Metadata, an exemplar and an empty histogram.
    let metadata = [0x1a, 0x0a, 0x08, 0x01, 0x12, 0x01, b'm', 0x22, 0x01, b'h', 0x2a, 0x00];
    let others = [0x0a, 0x0e, 0x0a, 0x08, 0x0a, 0x01, b'a', 0x12, 0x03, b'b', b'c', b'd', 0x1a, 0x00, 0x22, 0x00];
    vec![
        write(vec![up()]),
        write(vec![up(), long, up(), out_of_order, nameless]),
        [write(vec![up()]), metadata.to_vec()].concat(),
        others.to_vec(),
    ]
}

fn remote_write_2() -> Vec<Vec<u8>> {
    let symbols = ["", "__name__", "up", "job", "shop", "m", "a"].map(Vec::from).to_vec();
    let series = |labels_refs: Vec<u32>, count| remote_write::Referring {
        labels_refs,
        samples: samples(count),
        histograms: histograms(),
    };
    let request = |timeseries| remote_write::Request { symbols: symbols.clone(), timeseries }.encode_to_vec();
    let described = [0x2a, 0x0a, 0x0a, 0x02, 0x01, 0x02, 0x2a, 0x04, 0x08, 0x01, 0x18, 0x03];
    let single = [0x2a, 0x08, 0x08, 0x01, 0x08, 0x02, 0x12, 0x02, 0x10, 0x05];
    vec![
        request(vec![series(vec![1, 2], 1)]),
        request(vec![series(vec![1, 2, 3, 4], 2), series(vec![3, 4, 1, 5], 1), series(vec![1, 9], 1)]),
        [request(vec![series(vec![1, 2, 3, 4], 1)]), described.to_vec()].concat(),
        [request(Vec::new()), single.to_vec()].concat(),
    ]
}

/// Pieces that make literals and copies of every kind.
fn packed(pack: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let long: Vec<u8> = (0..9000_u32).map(|index| ((index * index) >> 7) as u8).collect();
    let texts: [&[u8]; 5] = [b"", b"a", &[b'a'; 300], b"abcdabcdabcd-abcdabcdabcd-0123456789abcdef", &long];
    // And what is wrong: a copy from before the beginning, one of nothing, a literal that is cut off, a length that lies.
    let wrong: [&[u8]; 5] =
        [b"\x05\x01\x01", b"\x08\x00a\x01\x00", b"\x04\x0cab", b"\xff\xff\xff\xff\x0f\x00a", b"\x80"];
    texts.into_iter().map(pack).chain(wrong.map(Vec::from)).collect()
}

fn gzip_and_zstd() -> Vec<Vec<u8>> {
    // As `printf abcabc | gzip -n` and `zstd` write it.
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03KLJNL\x4a\x06\x00\xb2\x93\xd8\x02\x06\x00\x00\x00";
    let zstd = b"\x28\xb5\x2f\xfd\x04\x00\x31\x00\x00abcabc\x00\x00\x00\x00";
    vec![gzip.to_vec(), zstd.to_vec(), [&gzip[..], &gzip[..]].concat()]
}

/// A family of each kind, delimited, and the program of one.
fn push_protobuf() -> Vec<Vec<u8>> {
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8], content].concat();
    let one = field(1, &[field(1, b"a"), field(2, b"b")].concat());
    let value = [&[0x09][..], &1.5_f64.to_le_bytes()].concat();
    let bucket = field(3, &[&[0x08, 2, 0x11][..], &0.5_f64.to_le_bytes()].concat());
    let sums = [&[0x08, 3, 0x11][..], &2.5_f64.to_le_bytes()].concat();
    let quantile = field(3, &[&[0x09][..], &0.5_f64.to_le_bytes(), &[0x11], &7_f64.to_le_bytes()].concat());
    let family = |kind: u8, metric: Vec<u8>| {
        [field(1, b"m"), field(2, b"what it means"), vec![0x18, kind], field(4, &[one.clone(), metric].concat())]
            .concat()
    };
    let families = [
        family(0, field(3, &value)),
        family(1, field(2, &value)),
        family(2, field(4, &[sums.clone(), quantile].concat())),
        family(3, field(5, &value)),
        family(4, field(7, &[sums, bucket].concat())),
    ];
    let delimited = |family: &Vec<u8>| [b"/j/shop/eu\n", &[family.len() as u8][..], family].concat();
    let programs = families.iter().map(|family| [b"/j\n".to_vec(), program(family)].concat());
    families.iter().map(delimited).chain(programs).collect()
}

const TEXTS: [&str; 6] = [
    "# HELP up Whether it is.\n# TYPE up gauge\nup{job=\"shop\",instance=\"a:1\"} 1 1700000000000\nup 0\n",
    "a{b=\"}\"} 1\na{b=\"x\"} 2 # {t=\"}\"} 1 2\n{\"http.requests\",\"a b\"=\"c\\\"d\\\\e\\n\"} -1.5e3 1700000000.123\n# EOF\n",
    "# TYPE h histogram\n# UNIT h seconds\nh_bucket{le=\"0.5\"} 3\nh_bucket{le=\"+Inf\",} 4\nh_sum 2.5\nh_count 4\n",
    "a NaN\na +Inf\na -Inf 1\r\n\n  b { c = \"d\" , } 0.1234567890123456789 -5\n\u{e9} 1\na{\u{e9}=\"1\"} 1\n",
    "a{b=\"1\",b=\"2\"} 1\na{__name__=\"c\"} 1\n{__name__=\"d\"} 1\n{} 1\na{a=\"\"} 1\n# EOF\nup 1\n",
    "a{b=\"c\"} 1 } 2\na{b=\"c\"}1\na{b=\"c\"}} 1\na{b=\"c} 1\"} 2\na 123456789012345 99999999999999999999\n",
];

const OTLP_JSON: [&str; 3] = [
    r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeMetrics":[{"scope":{"name":"x"},"metrics":[{"name":"m","unit":"By","sum":{"dataPoints":[{"startTimeUnixNano":"1","timeUnixNano":"1700000000000000000","asInt":"5","attributes":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"},{"doubleValue":1e3}]}}}]}],"aggregationTemporality":1,"isMonotonic":true}}]}]}]}"#,
    r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"h","histogram":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","dataPoints":[{"timeUnixNano":5,"count":"3","sum":1.5,"bucketCounts":["1",2],"explicitBounds":[0.5],"flags":0}]}},{"name":"g","gauge":{"dataPoints":[{"asDouble":"NaN","timeUnixNano":1e3},{"asDouble":-0.5,"flags":1}]}}]}]}]}"#,
    r#"{"resourceMetrics":[null,{"resource":null,"unknown":[{}],"scopeMetrics":[{"metrics":[{"name":"s","summary":{"dataPoints":[{"quantileValues":[{"quantile":0.5,"value":"Infinity"}],"attributes":[{"key":"b","value":{"bytesValue":"AQI=","boolValue":true}},{"key":"k","value":{"kvlistValue":{"values":[{"key":"\u00e9\ud83d\ude00","value":{}}]}}}]}]}}]}]}]}"#,
];

const INFLUX: [&str; 4] = [
    "disk,host=web\\ 1,path=/var used=12i,free=0.5,state=\"ok, \\\"fine\\\"\" 1700000000000000000\ncpu value=1u\n",
    "# a comment\nm,db=own a=t,b=F,c=-1.5e3 5\r\nm,a\\,b=c\\=d e\\ f=1\n\nm a=\"two\nlines\",b=2\nm a=\"no end\nm b=1\n",
    "m,a= a=1\nm,=b a=1\nm a=\nm =1\n, a=1\nm a=1 1 1\nm\\ a=1\nm,a=1,a=2 b=1 9223372036854775807\nm a=1\\\nb=2\n",
    "\u{e9}t\u{e9},r\u{e9}gion=1 2xx=1\nm,db=1,__name__=2 le=3\nm  a=1  \n\ta b=1e400\nm a=99999999999999999999i\n",
];

const STATSD: [&str; 4] = [
    "shop.orders:1|c\nshop.orders:-2|c|@0.5\nshop.checkout:320:210|ms|@0.5|#region:eu,canary\nshop.queue:+3|g\n",
    "shop.orders,region=eu:1|c\nbasket:70|h\nbasket:1|d|#a:b,a:c\nvisitors:anna|s\nvisitors:ben|s|c:abc|T1700000000\n",
    "a_total:1|g\na:1|c\na:1:2:-3|c\na:1e308|ms\na_seconds:1e308|h|@1e-300\na:-1e308|ms\nb:0|g\nb:-5|g\n",
    ":1|c\na:|c\na:1|\na:1|x\na:1|c|@2\na:1|c|@0\na:|s\na:1|c|#\na:nan|g\na:1|c|#le:1\n2xx.\u{e9}:1|ms|#le:1,__name__:b\n",
];

const JSON_LINES: [&str; 4] = [
    "{\"metric\":{\"__name__\":\"up\",\"job\":\"shop\"},\"values\":[1,0.5,null],\"timestamps\":[1000,2000,3000]}\n",
    "{\"metric\":{\"__name__\":\"a\"},\"values\":[1,NaN,-Inf,\"Infinity\",1e5],\"timestamps\":[1,2,3,4,-5],\"nan_bits\":[\"7ff0000000000002\"]}\n",
    "{\"timestamps\":[5],\"x\":{\"a\":[true,{}]},\"values\":[-0],\"metric\":{\"__name__\":\"\\u00e9\\ud83d\\ude00\\x41\\U0001F600\\n\\\"\",\"b\":\"\"}}\n\n{}\n",
    "{\"left_out\":[\"a\"]}\n{\"metric\":{\"a\":\"b\"},\"values\":[1],\"timestamps\":[1]} x\n{\"metric\":{\"__name__\":\"a\"},\"values\":[],\"timestamps\":[]}",
];

const PUSHES: [&str; 6] = [
    "/backup/shop/eu\na{x=\"1\"} 1\n# HELP b What.\n# TYPE b counter\nb 3\n",
    "@base64/YmFja3Vw/shop@base64/ZXU=/empty@base64/=\n# TYPE h histogram\nh_bucket{le=\"1.0\"} 3\nh_sum 2.5\nh_count 4\n",
    "/j%20b/\n# TYPE s summary\ns{quantile=\"0.50\"} 1\ns_sum 7\ns_count 2\n",
    "/j/a/b/a/c/\na 1 5\n",
    "/j/__a/b\na 1\n",
    "/j%2/a\n# TYPE h histogram\nh 1\nh_bucket 2\n# TYPE a_total counter\na_total NaN\n",
];

const HTTP: [&str; 12] = [
    "query=up&time=1700000000.5&a=x+y%21&b",
    "start=2023-11-14T22:13:20Z&end=-1&step=15s&match[]=up{job=\"shop\"}",
    "1700000000.123",
    "-292273086-05-16T16:47:06Z",
    "2023-11-14T22:13:20.5+01:00",
    "1h30m",
    "-5e300",
    "U__http_2e_status__code",
    "up{job=~\"a.*\",instance!=\"\"}",
    "{__name__!~\"a|b\",\"a.b\"=\"c\"}",
    "%4",
    "%ff",
];

const PROMQL: [&str; 10] = [
    "sum by (region) (rate(shop_orders_total{job=~\"a.*\"}[1m]))",
    "histogram_quantile(0.99, sum without (instance) (rate(h_bucket[5m] offset 1h)))",
    "a / on(job) group_left(instance) b and c unless d or -e ^ 2",
    "max_over_time(deriv(a[5m])[1h:30s] @ end()) > bool 1e3",
    "label_replace(up, \"a\", \"$1\", \"job\", \"(.*)\") == 0x1F",
    "{\"http.requests\", \"a.b\"=\"c\"} @ 1700000000.5 offset -5m",
    "topk(3, count_values(\"v\", a)) + scalar(vector(1)) % 2 atan2 3",
    "time() # a comment\n - 1_000 + Inf + NaN",
    "absent(a{b='\\x41\\u00e9`\"'}) * `raw\\`",
    "sort_by_label(a, \"b\") + a[1d2h:] + 1[5m]",
];

const RULES: [&str; 3] = [
    "groups:\n  - name: checkout\n    interval: 1m\n    labels: { team: shop }\n    rules:\n      - alert: OrderRateDrop\n        expr: sum by (region) (rate(shop_orders_total[1m]))\n        for: 1m30s\n        keep_firing_for: 5m\n        anomaly: { direction: drop, min_change: 0.5, min_volume: 3, class: orders, false_alerts_per_series_week: 0.5 }\n        labels: { severity: critical, where: \"{{ $labels.region }}\" }\n        annotations:\n          summary: \"Orders fell to {{ $value | humanize }}/s, expected {{ $expected | printf \\\"%.2f\\\" }} {{- 1 }}\"\n",
    "groups:\n- name: a\n  rules:\n  - record: b\n    expr: up\n  - {alert: C, expr: 'up{', anomaly: {}}\n",
    "groups: [{name: &a x, rules: [{alert: *a, expr: rate(a[5m]), anomaly: {direction: both}}]}]\n",
];

const CONFIG: [&str; 3] = [
    "listen: 127.0.0.1:9090\nretention: 30d\nretention_rules:\n  - { match: '{job=\"a\"}', keep: 7d }\nwal_sync: always\nlimits: { request_bytes_max: 16MiB }\nquery: { timeout: 1m }\n",
    "webhooks:\n  - name: pager\n    url: http://127.0.0.1:9/hook\notlp: { promote_resource_attributes: [os.type] }\nstatsd: { listen: 127.0.0.1:8125 }\nhead: { bytes_max: 0 }\n",
    "data_dir: /data\nretention: 0\nretention_bytes: 1.5GiB\nunknown: 1\nrules: [a.yml]\n",
];

const TEMPLATES: [&str; 7] = [
    "plain {{ $value | humanize }} of {{ printf \"%6.2f%%|%-5s|%05d\" 1.5 \"a\" 7 }} in {{ $labels.region -}} x",
    "{{ with query \"up\" }}{{ range $i, $s := . }}{{ if $i }}, {{ end }}{{ .Labels.region }}={{ .Value }}{{ end }}{{ else }}none{{ end }}",
    "{{ define \"x\" }}{{ .arg0 }} {{ .arg1 }}{{ end }}{{ template \"x\" (args 1 \"2\") }}{{ block \"b\" . }}{{ .Value }}{{ end }}",
    "{{ $x := 1 }}{{ range $k, $v := $labels }}{{ if eq $k \"node\" }}{{ continue }}{{ else if gt $x 2 }}{{ break }}{{ end }}{{ $x = 2 }}{{ end }}",
    "{{/* c */}}{{- reReplaceAll \"(.*):.*\" \"${1}\" $labels.node -}}{{ index $labels \"node\" | len }}{{ slice \"abcdef\" 1 3 }}",
    "{{ (toTime 1435065584.128).Format \"2006-01-02T15:04:05.000Z07:00 Mon Jan _2\" }} {{ toDuration 5400 }} {{ humanizeDuration 0.5 }}",
    "{{ html \"<a>\" }}{{ js \"'\" }}{{ urlquery `a b` }}{{ 'a' }}{{ 0x1p4 }}{{ not true }}{{ and 1 (or 0 \"\") }}{{ print nil 1e6 }}",
];
