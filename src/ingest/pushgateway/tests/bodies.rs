//! What a body does to its group, and what is refused. Texts and outcomes follow a Pushgateway 1.5.

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::ingest::pushgateway::budget::{Budget, SeriesLimit};

const OWN: i64 = 2;
pub(super) const MANY: SeriesLimit = SeriesLimit { limit: 100_000, setting: "limits.series_per_request_max" };

/// The series of all groups, each with its value, those left out that tell of pushes.
fn series(fixture: &Fixture) -> Vec<(String, f64)> {
    let groups = fixture.groups();
    let families = groups.iter().flat_map(|group| group.families.values());
    let mut all: Vec<(String, f64)> =
        families.flat_map(|family| &family.series).map(|(labels, value)| (labels.to_string(), *value)).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

fn told(series: &[(&str, f64)]) -> Vec<(String, f64)> {
    series.iter().map(|(labels, value)| ((*labels).to_owned(), *value)).collect()
}

#[test]
fn put_replaces_the_group_and_post_replaces_names() {
    let fixture = Fixture::new();
    fixture.put("/j", "a{x=\"1\"} 1\na{x=\"2\"} 2\nb 3\n").expect("taken");
    fixture.post("/j", "a{x=\"3\"} 4\nc 5\n").expect("taken");
    assert_eq!(
        series(&fixture),
        told(&[(r#"a{job="j", x="3"}"#, 4.0), (r#"b{job="j"}"#, 3.0), (r#"c{job="j"}"#, 5.0)])
    );
    fixture.put("/j", "b 6\n").expect("taken");
    assert_eq!(series(&fixture), told(&[(r#"b{job="j"}"#, 6.0)]));
    fixture.put("/j", "").expect("an empty group is one");
    assert_eq!((series(&fixture), fixture.groups().len()), (told(&[]), 1));
}

#[test]
fn labels_of_the_address_win_and_empty_ones_are_none() {
    let fixture = Fixture::new();
    let body = "a{job=\"own\",shop=\"own\",gone=\"own\",instance=\"i\",kept=\"k\"} 1\n";
    fixture.put("/j/shop/eu/gone@base64/=", body).expect("taken");
    assert_eq!(series(&fixture), told(&[(r#"a{instance="i", job="j", kept="k", shop="eu"}"#, 1.0)]));
}

#[test]
fn histograms_and_summaries_are_written_out_whole() {
    let fixture = Fixture::new();
    let body = "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"0.0000001\"} 0\nh_bucket{le=\"1000000\"} 1\n\
                # TYPE s summary\ns{quantile=\"0.50\"} 1\ns_sum 7\n";
    fixture.put("/j", body).expect("taken");
    assert_eq!(
        series(&fixture),
        told(&[
            (r#"h_bucket{job="j", le="+Inf"}"#, 0.0),
            (r#"h_bucket{job="j", le="1"}"#, 1.0),
            (r#"h_bucket{job="j", le="1e+06"}"#, 1.0),
            (r#"h_bucket{job="j", le="1e-07"}"#, 0.0),
            (r#"h_count{job="j"}"#, 0.0),
            (r#"h_sum{job="j"}"#, 0.0),
            (r#"s_count{job="j"}"#, 0.0),
            (r#"s_sum{job="j"}"#, 7.0),
            (r#"s{job="j", quantile="0.5"}"#, 1.0),
        ])
    );
    // They are one family: a POST of one part replaces all.
    fixture.post("/j", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 4\nh_sum 2\nh_count 4\n").expect("taken");
    let of_h: Vec<f64> = series(&fixture).iter().filter(|(name, _)| name.starts_with('h')).map(|(_, v)| *v).collect();
    assert_eq!(of_h, [4.0, 4.0, 2.0]);
}

#[test]
fn bodies_that_break_the_format_change_nothing() {
    let fixture = Fixture::new();
    for (body, what) in [
        ("a 1", "unexpected end of input stream"),
        ("a\n", "line 1"),
        ("a 1\nb{\n", "line 2"),
        ("a 0x10\n", "line 1"),
        ("# TYPE a gauge\n# TYPE a gauge\na 1\n", "second TYPE line"),
        ("a 1\n# TYPE a gauge\n", "second TYPE line"),
        ("# HELP a x\n# HELP a y\na 1\n", "line 2: second HELP line"),
        ("a{x=\"1\",x=\"2\"} 1\n", "duplicate label names"),
        ("# TYPE h histogram\nh_bucket{le=\"x\"} 1\n", "expected float"),
    ] {
        let (status, text) = refusal(fixture.put("/j", body));
        assert_eq!(status, 400, "{body}");
        assert!(text.contains(what) && text.starts_with("text format parsing error"), "{body}: {text}");
    }
    assert_eq!(fixture.groups().len(), 0);
}

#[test]
fn contradictions_are_refused_and_put_down_in_the_group() {
    let fixture = Fixture::new();
    fixture.put("/first", "# TYPE a gauge\na{x=\"1\"} 1\n# TYPE h histogram\nh_count 1\n").expect("taken");
    fixture.put("/inst", "z{instance=\"i\"} 1\n").expect("taken");
    for (path, body, what) in [
        ("/j", "a 1 123\n", "must not have timestamps"),
        ("/j", "# TYPE a counter\na 1\n", r#""a" is counter, and elsewhere gauge"#),
        ("/j", "b 1\nb 2\n", "collected before with the same name and label values"),
        ("/j", "h_count 0\n", r#""h_count" collides"#),
        ("/j", "h_bucket 0\n", r#""h_bucket" collides"#),
        ("/j", "q_sum 1\n# TYPE q summary\nq{quantile=\"1\"} 1\n", "collides"),
        ("/j", "a{__x=\"1\"} 1\n", "invalid name: __x"),
        ("/inst/instance/i", "z 1\n", "collected before"),
    ] {
        let (status, text) = refusal(fixture.put(path, body));
        assert_eq!(status, 400, "{body}");
        let start = "pushed metrics are invalid or inconsistent with existing metrics: ";
        assert!(text.starts_with(start) && text.contains(what), "{body}: {text}");
    }
    let groups = fixture.groups();
    let group = groups.iter().find(|group| group.key.pairs()[0].1 == "j").expect("a group that tells of its failures");
    assert!(!group.is_last_push_good() && group.pushed_ms == 0 && group.failed_ms >= NOW_MS);
    assert_eq!(fixture.samples(r#"push_time_seconds{job="j"}"#).first(), Some(&(2, Some(0.0))));
    let failed = fixture.samples(r#"push_failure_time_seconds{job="j"}"#);
    assert!(failed.iter().all(|(_, value)| value.is_some_and(|value| value >= 1.7e9)), "{failed:?}");
}

#[test]
fn refused_push_leaves_the_values_of_the_group() {
    let fixture = Fixture::new();
    fixture.put("/j", "a 1\n").expect("taken");
    refusal(fixture.put("/j", "a 2\na 3\n"));
    assert_eq!(series(&fixture), told(&[(r#"a{job="j"}"#, 1.0)]));
    fixture.put("/j", "a 4\n").expect("taken");
    assert!(fixture.groups()[0].is_last_push_good());
}

#[test]
fn limits_are_named_by_their_settings() {
    let fixture = Fixture::with(PushSettings { groups_max: 1, series_per_group_max: 4, bytes_max: 300, ..settings() });
    fixture.put("/a", "a 1\n").expect("taken");
    let (status, text) = refusal(fixture.put("/b", "a 1\n"));
    assert!(status == 503 && text.contains("pushgateway.groups_max = 1"), "{status} {text}");
    let (status, text) = refusal(fixture.put("/a", "a 1\nb 1\nc 1\n"));
    assert!(status == 413 && text.contains("pushgateway.series_per_group_max = 4"), "{status} {text}");
    let (status, text) = refusal(fixture.put("/a", "a 1\nb 1\nc 1\nd 1\ne{\n"));
    assert!(status == 400, "{status} {text}");
    let (status, text) = refusal(fixture.put("/a", "a 1\nb 1\nc 1\nd 1\ne 1\nf{\n"));
    assert!(
        status == 413 && text.contains("the push has more series than pushgateway.series_per_group_max = 4"),
        "{text}"
    );
    let (status, text) = refusal(fixture.put("/a", &format!("a{{x=\"{}\"}} 1\n", "x".repeat(200))));
    assert!(status == 503 && text.contains("pushgateway.bytes_max = 300"), "{status} {text}");
    assert_eq!(series(&fixture), told(&[(r#"a{job="a"}"#, 1.0)]));
    fixture.delete("/a").expect("deleted");
    fixture.put("/b", "a 1\n").expect("there is room again");
    let counters = fixture.gateway.counters();
    let figures = [&counters.groups, &counters.series].map(|figure| figure.load(Ordering::Relaxed));
    assert_eq!(figures, [1, 1 + OWN as u64]);
}

/// `io.prometheus.client` as its `.proto` has it.
mod dto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct MetricFamily {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) help: String,
        #[prost(int32, tag = "3")]
        pub(super) kind: i32,
        #[prost(message, repeated, tag = "4")]
        pub(super) metric: Vec<Metric>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub(super) label: Vec<LabelPair>,
        #[prost(message, optional, tag = "2")]
        pub(super) gauge: Option<Value>,
        #[prost(message, optional, tag = "3")]
        pub(super) counter: Option<Value>,
        #[prost(message, optional, tag = "4")]
        pub(super) summary: Option<Summary>,
        #[prost(message, optional, tag = "5")]
        pub(super) untyped: Option<Value>,
        #[prost(int64, optional, tag = "6")]
        pub(super) timestamp_ms: Option<i64>,
        #[prost(message, optional, tag = "7")]
        pub(super) histogram: Option<Histogram>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct LabelPair {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) value: String,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Value {
        #[prost(double, tag = "1")]
        pub(super) value: f64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Summary {
        #[prost(uint64, tag = "1")]
        pub(super) sample_count: u64,
        #[prost(double, tag = "2")]
        pub(super) sample_sum: f64,
        #[prost(message, repeated, tag = "3")]
        pub(super) quantile: Vec<Quantile>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Quantile {
        #[prost(double, tag = "1")]
        pub(super) quantile: f64,
        #[prost(double, tag = "2")]
        pub(super) value: f64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Histogram {
        #[prost(uint64, tag = "1")]
        pub(super) sample_count: u64,
        #[prost(double, tag = "2")]
        pub(super) sample_sum: f64,
        #[prost(message, repeated, tag = "3")]
        pub(super) bucket: Vec<Bucket>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Bucket {
        #[prost(uint64, tag = "1")]
        pub(super) cumulative_count: u64,
        #[prost(double, tag = "2")]
        pub(super) upper_bound: f64,
    }
}

fn family(name: &str, kind: i32, metric: dto::Metric) -> dto::MetricFamily {
    dto::MetricFamily { name: name.to_owned(), help: "a help".to_owned(), kind, metric: vec![metric] }
}

/// A push of such messages, each behind its length.
fn delimited(families: &[dto::MetricFamily]) -> Push {
    let body: Vec<u8> = families.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
    let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    Push { content_type: Some(kind.to_owned()), body: body.into(), ..put("/j", "") }
}

#[test]
fn delimited_protobuf_says_what_the_text_says() {
    let label = vec![dto::LabelPair { name: "x".to_owned(), value: "1".to_owned() }];
    let metric = dto::Metric { label, ..dto::Metric::default() };
    let bucket = |upper_bound, cumulative_count| dto::Bucket { cumulative_count, upper_bound };
    let histogram = dto::Histogram { sample_count: 3, sample_sum: 1.5, bucket: vec![bucket(0.5, 0), bucket(1.0, 2)] };
    let quantile = vec![dto::Quantile { quantile: 0.5, value: 9.0 }];
    let summary = dto::Summary { sample_count: 2, sample_sum: 4.0, quantile };
    let one = |value| Some(dto::Value { value });
    let families = [
        family("c", 0, dto::Metric { counter: one(1.0), ..metric.clone() }),
        family("g", 1, dto::Metric { gauge: one(2.0), ..metric.clone() }),
        family("s", 2, dto::Metric { summary: Some(summary), ..metric.clone() }),
        family("u", 3, dto::Metric { untyped: one(0.0), ..metric.clone() }),
        family("h", 4, dto::Metric { histogram: Some(histogram), ..metric }),
    ];
    let (by_protobuf, by_text) = (Fixture::new(), Fixture::new());
    by_protobuf.push(delimited(&families)).expect("taken");
    let text = "# TYPE c counter\nc{x=\"1\"} 1\n# TYPE g gauge\ng{x=\"1\"} 2\n# TYPE s summary\ns{x=\"1\",quantile=\"0.5\"} 9\n\
                s_sum{x=\"1\"} 4\ns_count{x=\"1\"} 2\nu{x=\"1\"} 0\n# TYPE h histogram\nh_bucket{x=\"1\",le=\"0.5\"} 0\n\
                h_bucket{x=\"1\",le=\"1\"} 2\nh_bucket{x=\"1\",le=\"+Inf\"} 3\nh_sum{x=\"1\"} 1.5\nh_count{x=\"1\"} 3\n";
    by_text.put("/j", text).expect("taken");
    assert_eq!(series(&by_protobuf), series(&by_text));
    let kinds = |fixture: &Fixture| -> Vec<(String, MetricKind)> {
        let group = fixture.groups().remove(0);
        group.families.into_iter().map(|(name, family)| (name, family.kind)).collect()
    };
    assert_eq!(kinds(&by_protobuf), kinds(&by_text));
}

#[test]
fn protobuf_that_cannot_be_taken_is_refused() {
    let fixture = Fixture::new();
    let gauge = dto::Metric { gauge: Some(dto::Value { value: 1.0 }), ..dto::Metric::default() };
    let timed = family("g", 1, dto::Metric { timestamp_ms: Some(5), ..gauge.clone() });
    assert!(refusal(fixture.push(delimited(&[timed]))).1.contains("timestamps"));
    let label = |name: &str| dto::LabelPair { name: name.to_owned(), value: "1".to_owned() };
    let histogram = |labels: [&str; 2]| dto::Metric {
        label: labels.map(label).to_vec(),
        histogram: Some(dto::Histogram::default()),
        ..dto::Metric::default()
    };
    let twice = dto::MetricFamily {
        metric: vec![histogram(["x", "y"]), histogram(["y", "x"])],
        ..family("h", 4, dto::Metric::default())
    };
    let (status, text) = refusal(fixture.push(delimited(&[twice])));
    assert!(status == 400 && text.contains("collected before with the same name and label values"), "{status} {text}");
    assert!(fixture.groups()[0].families.is_empty());
    let clashing = family("g", 0, gauge);
    assert_eq!(refusal(fixture.push(delimited(&[clashing]))).0, 400);
    let broken = Push { body: Bytes::from_static(b"\x7fxx"), ..delimited(&[]) };
    assert_eq!(refusal(fixture.push(broken)).0, 400);
    let other =
        Push { content_type: Some("application/vnd.google.protobuf; encoding=text".to_owned()), ..put("/j", "") };
    assert_eq!(refusal(fixture.push(other)).0, 415);
}

#[test]
fn series_are_counted_while_they_are_read() {
    let limit = SeriesLimit { limit: 3, setting: "limits.series_per_request_max" };
    let empty = |count| dto::MetricFamily {
        metric: vec![dto::Metric::default(); count],
        ..family("g", 1, dto::Metric::default())
    };
    let buckets = |count| {
        let histogram = dto::Histogram { bucket: vec![dto::Bucket::default(); count], ..dto::Histogram::default() };
        family("h", 4, dto::Metric { histogram: Some(histogram), ..dto::Metric::default() })
    };
    let status = |families: &[dto::MetricFamily]| {
        let body = delimited(families).body;
        protobuf::of_protobuf(&body, &mut Budget::new(limit, &mut |_| Ok(())))
            .map_or_else(|error| error.status(), |_| 200)
    };
    // A bucket, the bucket +Inf, the sum and the count are four series.
    assert_eq!([status(&[empty(4)]), status(&[buckets(0)]), status(&[buckets(1)])], [413, 200, 413]);
    let text = |text: &str| {
        families::of_text(text.as_bytes(), &mut Budget::new(limit, &mut |_| Ok(())))
            .map_or_else(|error| error.status(), |_| 200)
    };
    assert_eq!([text("a 1\nb 1\nc 1\n"), text("a 1\nb 1\nc 1\nd 1\n")], [200, 413]);
    let types = |count: usize| (0..count).map(|index| format!("# TYPE a{index} gauge\n")).collect::<String>();
    assert_eq!([text(&types(6)), text(&types(7))], [200, 413]);
}

#[test]
fn labels_that_the_settings_do_not_allow_leave_the_group_as_it_was() {
    let mut fixture = Fixture::new();
    let limits = IngestLimits { label_value_bytes_max: 25, ..IngestLimits::default() };
    let ingest = Arc::new(Ingest::new(fixture.storage.clone(), limits, fixture.clock.clone()));
    (fixture.gateway, _) = Pushgateway::open(ingest, fixture.disk.clone(), settings()).expect("an empty folder");
    // The longest name of ours has as many bytes.
    let (longest, too_long) = ("x".repeat(25), "x".repeat(26));
    fixture.put("/j", &format!("a{{x=\"{longest}\"}} 1\n")).expect("taken");
    for (path, body) in
        [("/j", format!("b 1\na{{x=\"{too_long}\"}} 2\n")), (&format!("/{too_long}"), "b 1\n".to_owned())]
    {
        let (status, text) = refusal(fixture.put(path, &body));
        assert!(status == 400 && text.contains("limits.label_value_bytes_max = 25"), "{status} {text}");
        assert!(!text.contains("is kept"), "{text}");
    }
    assert_eq!(series(&fixture), told(&[(&format!(r#"a{{job="j", x="{longest}"}}"#), 1.0)]));
    assert_eq!((fixture.groups().len(), fixture.crash().groups().len()), (1, 1));
}

#[test]
fn refusals_quote_no_whole_body() {
    let fixture = Fixture::new();
    // The letters have two bytes each, so that a cut may fall into one.
    for start in ["", "x"] {
        let text = format!("{start}{}", "é".repeat(100_000));
        let body = format!("# TYPE h histogram\nh_bucket{{le=\"{text}\"}} 1\n");
        let told = fixture.put("/j", &body).expect_err("no number").told();
        assert!(told.starts_with("text format parsing error in line 2: expected float"), "{told}");
        assert!(told.ends_with("é…") && (4093..=4096).contains(&told.len()), "{}", told.len());
    }
    assert_eq!(fixture.put("/j", "a").expect_err("no line feed").told().find('…'), None);
}

#[test]
fn memory_is_counted_before_series_are_written_out() {
    // 300 histograms of 60 labels: of each a line, its labels, and three series with these labels and one bound more.
    let labels: String = (0..60).map(|index| format!("l{index}=\"x\",")).collect();
    let lines: String = (0..300).map(|index| format!("h_count{{{labels}i=\"{index}\"}} 1\n")).collect();
    let body = format!("# TYPE h histogram\n{lines}");
    let mut asked = 0;
    let mut reserve = |bytes: usize| {
        asked += bytes;
        Ok(())
    };
    let read = families::of_text(body.as_bytes(), &mut Budget::new(MANY, &mut reserve)).expect("read");
    let series = &read["h"].series;
    let kept: usize = series.iter().map(|series| series.labels.len() * size_of::<families::Pair<'_>>()).sum();
    assert!(series.len() == 900 && asked > kept && asked < 3 * kept, "{asked} of {kept}");
    let mut left = 1_usize << 20;
    let mut reserve = |bytes: usize| {
        left = left.checked_sub(bytes).ok_or(IngestError::NoRoom { limit_bytes: 1 << 20 })?;
        Ok(())
    };
    let read = families::of_text(body.as_bytes(), &mut Budget::new(MANY, &mut reserve));
    assert_eq!(read.expect_err("there is no room").status(), 503);
}

#[test]
fn labels_of_the_address_are_counted_on_every_series() {
    let fixture = Fixture::with(PushSettings { series_per_group_max: 100_000, bytes_max: 1 << 30, ..settings() });
    let address: String = (0..3).map(|index| format!("/l{index}/{}", "x".repeat(4096))).collect();
    let body: String = (0..1500).map(|index| format!("a{{i=\"{index}\"}} 1\n")).collect();
    let (status, text) = refusal(fixture.put(&format!("/j{address}"), &body));
    assert!(status == 413 && text.contains("16777216"), "{status} {text}");
}

#[test]
fn labels_are_counted_before_they_are_compared() {
    let fixture = Fixture::new();
    let labels = |count: usize| (0..count).map(|index| format!("l{index}=\"x\",")).collect::<String>();
    // The name and the job are labels too.
    fixture.put("/j", &format!("a{{{}}} 1\n", labels(62))).expect("as many as there may be");
    assert_eq!(refusal(fixture.put("/j", &format!("a{{{}}} 1\n", labels(63)))).0, 400);
    assert_eq!(refusal(fixture.put("/j", &format!("a{{{}}} 1\n", labels(300_000)))).0, 400);
    let address: String = (0..65).map(|index| format!("/l{index}@base64/=")).collect();
    assert_eq!(refusal(fixture.put(&format!("/j{address}"), "a 1\n")).0, 400);
}

#[test]
fn bodies_may_be_compressed() {
    use std::io::Write;
    let fixture = Fixture::new();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"a 1\n").expect("memory takes all writes");
    let body = encoder.finish().expect("memory takes all writes").into();
    fixture.push(Push { content_encoding: Some("gzip".to_owned()), body, ..put("/j", "") }).expect("taken");
    assert_eq!(series(&fixture), told(&[(r#"a{job="j"}"#, 1.0)]));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = families::of_text(&bytes, &mut Budget::new(MANY, &mut |_| Ok(())));
        let _ = protobuf::of_protobuf(&bytes, &mut Budget::new(MANY, &mut |_| Ok(())));
        let _ = file::decode(&bytes);
        let _ = GroupKey::of_path(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn texts_made_of_its_parts_do_not_panic(
        parts in prop::collection::vec(prop::sample::select(vec![
            "a", "a_sum", "a_bucket", "{", "}", "le=\"1\"", ",", " ", "1", "\n", "# TYPE a histogram\n", "# HELP a x\n",
            "quantile=\"0.5\"", "# TYPE a summary\n", "NaN", "\"",
        ]), 0..40),
    ) {
        let _ = families::of_text(parts.concat().as_bytes(), &mut Budget::new(MANY, &mut |_| Ok(())));
    }
}
