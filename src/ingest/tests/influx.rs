//! Influx's line protocol: what each line is stored as, by its specification and by what VictoriaMetrics makes of it.

use std::collections::BTreeMap;
use std::io::Write as _;

use proptest::prelude::*;

use super::*;

/// [`NOW_MS`] in nanoseconds.
const NOW_NS: i64 = NOW_MS * 1_000_000;

impl Fixture {
    fn influx(&self, write: InfluxWrite<'_>, body: impl Into<Vec<u8>>) -> Result<Written, IngestError> {
        self.runtime.block_on(self.ingest.influx(write, None, Bytes::from(body.into())))
    }

    fn lines(&self, body: &str) -> Result<Written, IngestError> {
        self.influx(InfluxWrite::default(), body)
    }

    fn lines_in_part(&self, body: impl Into<Vec<u8>>) -> PartialWrite {
        match self.influx(InfluxWrite::default(), body) {
            Err(IngestError::Partial(partial)) => *partial,
            other => panic!("not refused in part: {other:?}"),
        }
    }

    /// Everything stored, in order of the labels' text.
    fn sorted(&self) -> Vec<(String, Vec<(i64, f64)>)> {
        let mut stored = self.stored();
        stored.sort_by(|left, right| left.0.cmp(&right.0));
        stored
    }

    fn texts_skipped(&self) -> u64 {
        self.ingest.counters().texts_skipped.load(Ordering::Relaxed)
    }
}

fn one(series: &str, value: f64) -> (String, Vec<(i64, f64)>) {
    (series.to_owned(), vec![(NOW_MS, value)])
}

#[test]
fn fields_become_series_of_measurement_and_field() {
    let fixture = Fixture::new();
    let line = format!("disk,host=web1,path=/var used=12i,free=0.5,total=18446744073709551615u {NOW_NS}\n");
    assert_eq!(fixture.lines(&line).expect("taken").samples, 3);
    let expected = [
        one(r#"disk_free{host="web1", path="/var"}"#, 0.5),
        one(r#"disk_total{host="web1", path="/var"}"#, 18_446_744_073_709_551_615.0),
        one(r#"disk_used{host="web1", path="/var"}"#, 12.0),
    ];
    assert_eq!(fixture.sorted(), expected);
}

#[test]
fn truth_values_are_one_and_zero() {
    let fixture = Fixture::new();
    let line = "m a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE\n";
    fixture.lines(line).expect("taken");
    let values: Vec<f64> = fixture.sorted().iter().map(|(_, samples)| samples[0].1).collect();
    assert_eq!(values, [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn database_is_a_label_unless_a_tag_has_its_name() {
    let fixture = Fixture::new();
    let write = InfluxWrite { db: "shop", ..InfluxWrite::default() };
    fixture.influx(write, "a v=1\nb,db=own v=2\n").expect("taken");
    assert_eq!(fixture.sorted(), [one(r#"a_v{db="shop"}"#, 1.0), one(r#"b_v{db="own"}"#, 2.0)]);
}

#[test]
fn names_are_made_such_that_promql_reads_them() {
    let fixture = Fixture::new();
    fixture.lines("http.requests,a.b=x-y,2nd=é 99th-percentile=1\n5xx rate=2\n").expect("taken");
    let expected = [one(r#"_5xx_rate"#, 2.0), one(r#"http_requests_99th_percentile{_2nd="é", a_b="x-y"}"#, 1.0)];
    assert_eq!(fixture.sorted(), expected);
}

#[test]
fn escapes_are_undone_in_names_and_values() {
    let fixture = Fixture::new();
    fixture.lines(r"my\ measure,t\,ag=a\ b\,c\=d\\e\f=g fie\=ld=1").expect("taken");
    assert_eq!(fixture.sorted(), [one(r#"my_measure_fie_ld{t_ag="a b,c=d\\e\\f=g"}"#, 1.0)]);
}

#[test]
fn texts_are_skipped_counted_and_no_reason_to_refuse() {
    let fixture = Fixture::new();
    let line = "m s=\"a, b=1 \\\" c\nd v=9\\\\\",v=1,empty=\"\"\nn only=\"text\"\nk v=2\n";
    assert_eq!(fixture.lines(line).expect("taken").samples, 2);
    assert_eq!(fixture.sorted(), [one("k_v", 2.0), one("m_v", 1.0)]);
    assert_eq!(fixture.texts_skipped(), 3);
}

#[test]
fn timestamps_are_read_in_each_precision() {
    // 1,699,999,200 is a whole hour.
    let expected = 1_699_999_200_000_i64;
    let all = [
        ("", "1699999200000999999"),
        ("n", "1699999200000000000"),
        ("ns", "1699999200000000000"),
        ("u", "1699999200000000"),
        ("us", "1699999200000000"),
        ("ms", "1699999200000"),
        ("s", "1699999200"),
        ("m", "28333320"),
        ("h", "472222"),
    ];
    for (name, timestamp) in all {
        let fixture = Fixture::new();
        let precision = InfluxPrecision::read(name).expect("a precision");
        fixture.influx(InfluxWrite { db: "", precision }, format!("m v=1 {timestamp}")).expect("taken");
        assert_eq!(fixture.stored(), [("m_v".to_owned(), vec![(expected, 1.0)])], "{name}");
    }
    assert_eq!(InfluxPrecision::read("d"), None);
}

#[test]
fn timestamp_that_overflows_is_refused_alone() {
    let fixture = Fixture::new();
    let write = InfluxWrite { db: "", precision: InfluxPrecision::Hours };
    let told = fixture.influx(write, format!("m v=1 {}\nk v=2\n", i64::MAX)).expect_err("refused");
    assert!(told.to_string().contains("precision"), "{told}");
    assert_eq!(fixture.sorted(), [one("k_v", 2.0)]);
}

#[test]
fn line_without_timestamp_is_of_now() {
    let fixture = Fixture::new();
    fixture.lines("m v=1\r\nk v=2 \r\n").expect("taken");
    assert_eq!(fixture.sorted(), [one("k_v", 2.0), one("m_v", 1.0)]);
}

#[test]
fn empty_lines_comments_and_empty_tags_are_stepped_over() {
    let fixture = Fixture::new();
    fixture.lines("\n# a \"comment\n \n  m,a=,b=x v=1\n\n").expect("taken");
    assert_eq!(fixture.sorted(), [one(r#"m_v{b="x"}"#, 1.0)]);
    assert_eq!(fixture.lines("").expect("nothing is fine").samples, 0);
}

#[test]
fn bad_line_is_refused_alone_and_told_with_its_number() {
    let bad = [
        "m",
        "m ",
        "m v",
        "m v=",
        "m =1",
        "m v=1,",
        "m v=1,w",
        "m v=x",
        "m v=NaN",
        "m v=inf",
        "m v=1e999",
        "m v=1.5i",
        "m v=-1u",
        "m v=9223372036854775808i",
        "m v=i",
        "m v=1 soon",
        "m v=1 1.5",
        "m v=1 1 1",
        "m v=\"a\"b",
        "m v=\"never closed",
        "m v=1 99999999999999999999",
        "m,tag v=1",
        ",a=b v=1",
        "m,__name__=x v=1",
        "m,a=1,a=2 v=1",
    ];
    for line in bad {
        let fixture = Fixture::new();
        let told = fixture.lines_in_part(format!("before v=1\n{line}\nafter v=2\n"));
        assert_eq!((told.stored, told.refused), (2, 1), "{line}: {told}");
        assert_eq!(fixture.sorted(), [one("after_v", 2.0), one("before_v", 1.0)], "{line}");
        if !told.first.contains("the series") {
            assert!(told.first.starts_with("line 2, \"m") || told.first.starts_with("line 2, \",a"), "{told}");
        }
    }
}

#[test]
fn line_of_many_fields_is_refused_as_a_whole() {
    let fixture = Fixture::new();
    let told = fixture.lines_in_part("m a=1,b=\"x\",c=y\nk v=1\n");
    assert_eq!((told.stored, told.refused), (1, 1));
    assert_eq!(fixture.sorted(), [one("k_v", 1.0)]);
    assert_eq!(fixture.texts_skipped(), 0);
}

#[test]
fn line_past_a_bound_is_refused_alone() {
    let fields = |count: usize| vec!["a=1"; count].join(",");
    // `bytes` of measurement and tags.
    let tag = |bytes: usize| format!("m,t={}", "x".repeat(bytes - 4));
    let tags: String = (0..65).map(|index| format!(",t{index}=x")).collect();
    let bad = [
        (format!("m {}", fields(4097)), "it has more than 4096 fields"),
        (format!("m {}", "a=\"\",".repeat(5000)), "it has more than 4096 fields"),
        (format!("{} {}", tag(32769), fields(100)), "its measurement and tags are longer than a series may be"),
        (format!("{} a=1", "m".repeat(1 << 20)), "its measurement and tags are longer than a series may be"),
        (format!("m{tags} {}", fields(100)), "it has more tags than a series may have labels"),
    ];
    for (line, reason) in bad {
        let fixture = Fixture::new();
        let told = fixture.lines_in_part(format!("before v=1\n{line}\nafter v=2\n"));
        // One refusal a line, however many fields it has.
        assert_eq!((told.stored, told.refused), (2, 1), "{told}");
        assert!(told.to_string().contains(reason), "{told}");
        assert_eq!(fixture.sorted(), [one("after_v", 2.0), one("before_v", 1.0)]);
    }
}

#[test]
fn line_at_its_bounds_is_stored() {
    let fixture = Fixture::new();
    let line = format!("m,t={} {}", "\\,".repeat(2000), vec!["a=1"; 4096].join(","));
    assert_eq!(fixture.lines(&line).expect("4096 fields are no more than a line may have").samples, 4096);
    assert_eq!(fixture.stored().len(), 1);
}

#[test]
fn equal_names_of_other_databases_and_fields_are_other_series() {
    let fixture = Fixture::new();
    for db in ["a", "b"] {
        let write = InfluxWrite { db, ..InfluxWrite::default() };
        // The second request finds what the first one made.
        for _ in 0..2 {
            fixture.influx(write, format!("m v=1,vw=2 {NOW_NS}\nm,t=x v=3 {NOW_NS}\n")).expect("taken");
        }
    }
    let names: Vec<String> = fixture.sorted().into_iter().map(|(name, _)| name).collect();
    let expected = ["m_v{db=\"a\", t=\"x\"}", "m_v{db=\"a\"}", "m_v{db=\"b\", t=\"x\"}", "m_v{db=\"b\"}"];
    assert_eq!(names[2..], expected);
    assert_eq!(names[..2], ["m_vw{db=\"a\"}", "m_vw{db=\"b\"}"]);
}

#[test]
fn bytes_that_are_not_utf8_spoil_their_own_line() {
    let fixture = Fixture::new();
    let told = fixture.lines_in_part(b"a\xff v=1\nb,t=\xfe v=1\nc v\xfd=1\nd v=1\n".to_vec());
    assert_eq!((told.stored, told.refused), (1, 3), "{told}");
    assert_eq!(fixture.sorted(), [one("d_v", 1.0)]);
}

#[test]
fn lines_of_one_series_count_once_against_the_limit_of_series() {
    let limits = IngestLimits { series_per_request_max: 2, samples_per_request_max: 100, ..IngestLimits::default() };
    let fixture = Fixture::with_limits(limits);
    let many: String = (0..50).map(|index| format!("m,a=b v=1,w=2 {}\n", NOW_NS + index * 1_000_000)).collect();
    assert_eq!(fixture.lines(&many).expect("two series").samples, 100);
    assert_eq!(fixture.lines("n,a=b v=1,w=2,x=3").expect_err("three").status(), 413);
    assert_eq!(fixture.lines(&format!("{many}m,a=b v=1\n")).expect_err("101 samples").status(), 413);
}

#[test]
fn gzip_is_inflated_and_other_encodings_are_told_415() {
    let fixture = Fixture::new();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"m v=1\n").expect("a Vec has room");
    let body = Bytes::from(encoder.finish().expect("a Vec has room"));
    let send =
        |encoding| fixture.runtime.block_on(fixture.ingest.influx(InfluxWrite::default(), encoding, body.clone()));
    assert_eq!(send(Some("gzip")).expect("taken").samples, 1);
    assert_eq!(send(Some("br")).expect_err("refused").status(), 415);
    assert_eq!(fixture.sorted(), [one("m_v", 1.0)]);
}

/// A point as a client library has it.
#[derive(Clone, Debug)]
struct Point {
    measurement: String,
    tags: BTreeMap<String, String>,
    fields: BTreeMap<String, Option<f64>>,
}

/// Writes a point as the clients do.
fn encoded(point: &Point) -> String {
    let escaped = |text: &str, special: &[char]| {
        let escape = |letter: char| {
            if special.contains(&letter) { format!("\\{letter}") } else { letter.to_string() }
        };
        text.chars().map(escape).collect::<String>()
    };
    let mut line = escaped(&point.measurement, &[',', ' ', '\\']);
    for (name, value) in &point.tags {
        line += &format!(",{}={}", escaped(name, &[',', '=', ' ', '\\']), escaped(value, &[',', '=', ' ', '\\']));
    }
    let field = |(name, value): (&String, &Option<f64>)| {
        let name = escaped(name, &[',', '=', ' ', '\\']);
        match value {
            Some(number) => format!("{name}={number}"),
            None => format!("{name}=\"{}\"", escaped("a \"text\",\nb=1 \\", &['"', '\\'])),
        }
    };
    format!("{line} {} {NOW_NS}\n", point.fields.iter().map(field).collect::<Vec<_>>().join(","))
}

fn points() -> impl Strategy<Value = Vec<Point>> {
    // Names that need no cleaning but begin with their own letter, so that no two fields become one series.
    let tags = prop::collection::btree_map("t[a-z]{0,3}", r#"[ -~é]{1,8}"#, 0..4);
    let fields = prop::collection::btree_map("f[a-z]{0,3}", prop::option::of(-1e9..1e9), 1..4);
    let point = ("m[a-z]{0,3}", tags, fields);
    let point = point.prop_map(|(measurement, tags, fields)| Point { measurement, tags, fields });
    prop::collection::vec(point, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_clients_write_is_read_back(points in points()) {
        let fixture = Fixture::new();
        let mut expected = BTreeMap::new();
        let mut body = String::new();
        let mut texts = 0;
        for (index, mut point) in points.into_iter().enumerate() {
            point.tags.insert("tpoint".to_owned(), index.to_string());
            for (field, value) in &point.fields {
                let name = format!("{}_{field}", point.measurement);
                let tags = point.tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let labels = Labels::from_pairs(tags.chain([("__name__", name.as_str())])).expect("labels");
                match value {
                    Some(number) => drop(expected.insert(labels.to_string(), vec![(NOW_MS, *number)])),
                    None => texts += 1,
                }
            }
            body += &encoded(&point);
        }
        let written = fixture.lines(&body);
        prop_assert_eq!(written.expect("taken").samples, expected.len() as u64, "{}", body);
        prop_assert_eq!(fixture.stored().into_iter().collect::<BTreeMap<_, _>>(), expected);
        prop_assert_eq!(fixture.texts_skipped(), texts);
    }

    #[test]
    fn hostile_lines_never_panic_and_spare_their_neighbours(body in r#"([m,=" \\#\n\r\t1ite.é-]|v=1|m,t=a v=2){0,80}"#) {
        let fixture = Fixture::new();
        // Without a quote that stands open, the last line is always a line of its own.
        let _ = fixture.lines(&format!("{body}\nneighbour v=7"));
        let has_neighbour = fixture.stored().iter().any(|(series, _)| series == "neighbour_v");
        prop_assert!(has_neighbour || body.contains('"'), "{body:?}");
    }

    #[test]
    fn hostile_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Fixture::new().influx(InfluxWrite::default(), body);
    }

    #[test]
    fn lines_without_quotes_are_read_alone_as_together(lines in prop::collection::vec(r#"[m,= \\v1i#.-]{0,12}|m,a=b v=1"#, 1..8)) {
        let count = |outcome: Result<Written, IngestError>| match outcome {
            Ok(written) => (written.samples, 0),
            Err(IngestError::Partial(partial)) => (partial.stored, partial.refused),
            Err(other) => panic!("{other}"),
        };
        let together = count(Fixture::new().lines(&lines.join("\n")));
        let alone: Vec<_> = lines.iter().map(|line| count(Fixture::new().lines(line))).collect();
        let refused: u64 = alone.iter().map(|(_, refused)| refused).sum();
        prop_assert_eq!(together.1 , refused, "{:?}", lines);
    }
}
