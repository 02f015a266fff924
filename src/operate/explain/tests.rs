use super::answer::{Lost, Part};
use super::picture::picture;
use super::*;

type Point = (f64, Option<f64>, Option<f64>);

/// 2026-11-22 12:00:00 UTC.
const NOON_S: f64 = 1_795_348_800.0;

fn points(values: &[(f64, f64)]) -> Vec<Point> {
    let minutes = values.iter().enumerate();
    minutes.map(|(minute, &(value, expected))| (NOON_S + 60.0 * minute as f64, Some(value), Some(expected))).collect()
}

fn labels(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn bars_are_as_high_as_their_values_and_dashes_stand_at_the_expectation() {
    // Ten rows over 0 to 20: a row is 2. 20 fills ten rows; 5 fills two and a half; 10 is expected: the sixth row.
    let drawn = picture(&points(&[(20.0, 10.0), (5.0, 10.0), (0.0, 10.0)]), None);
    let rows: Vec<&str> = drawn.lines().collect();
    assert_eq!(rows.len(), 11);
    assert_eq!(rows[0], "20 ┤█");
    assert_eq!(rows[4], "10 ┤┄──", "the expectation of 10 stands on the sixth row from below: {drawn}");
    assert_eq!(rows[7], "   │█▄");
    assert_eq!(rows[8], "   │██");
    assert_eq!(rows[9], " 0 ┤██");
}

#[test]
fn onset_is_pointed_at_and_first_and_last_time_are_told_where_there_is_room() {
    let values = vec![(1.0, 1.0); 30];
    let drawn = picture(&points(&values), Some(NOON_S + 600.0));
    // Columns 0 to 29; the onset is column 10, its time takes columns 11 to 15, the last time columns 25 to 29.
    assert_eq!(drawn.lines().last(), Some("     12:00     ▲12:10         12:29"), "{drawn}");
    let drawn = picture(&points(&values[..4]), Some(NOON_S + 60.0));
    assert_eq!(drawn.lines().last().map(str::trim), Some("▲"), "{drawn}");
}

#[test]
fn negative_values_hang_from_the_lowest_one() {
    let drawn = picture(&points(&[(-10.0, -10.0), (0.0, -5.0)]), None);
    let rows: Vec<&str> = drawn.lines().collect();
    assert_eq!(rows[0], "  0 ┤ █");
    assert_eq!(rows[9], "-10 ┤─█");
}

#[test]
fn nothing_is_drawn_of_points_without_values() {
    assert_eq!(picture(&[(NOON_S, None, None), (NOON_S, Some(f64::NAN), None)], None), "");
    assert_eq!(picture(&points(&[(1.0, 1.0)]), None), "");
}

#[test]
fn gap_in_the_values_is_a_gap_in_the_bars() {
    let mut line = points(&[(4.0, 4.0), (4.0, 4.0), (4.0, 4.0)]);
    line[1] = (line[1].0, None, None);
    assert_eq!(picture(&line, None).lines().nth(9), Some("0 ┤█ █"));
}

#[test]
fn anomaly_is_told_in_the_order_in_which_it_is_asked_about() {
    let anomaly = Anomaly {
        labels: labels(&[("alertname", "OrderRateDrop"), ("direction", "drop"), ("region", "eu")]),
        state: "firing".to_owned(),
        direction: "drop".to_owned(),
        detector: "season of counts".to_owned(),
        onset: Some(NOON_S),
        detected_at: Some(NOON_S + 75.0),
        value: Some(3.0),
        expected: Some(12.0),
        lower: Some(9.5),
        upper: Some(14.5),
        evidence: Some(14.13),
        threshold: Some(12.9),
        learned: Some(0.375),
        detectable_drop: Some(0.35),
        lost: Some(Lost { events: 560.0, money: Some(22_400.0) }),
        parts: vec![Part { labels: labels(&[("bank", "a")]), value: Some(1.0), expected: Some(9.0), share: 0.89 }],
        ..Anomaly::default()
    };
    let expected = "\
OrderRateDrop{region=\"eu\"}  firing: drop
  began about 12:00:00, seen 12:01:15 (1 min 15 s later)
  value 3, expected 12 (9.5 to 14.5): 75 % below
  evidence 14.1, 12.9 alert · season of counts, learned 38 % · a drop of 35 % could be seen
  about 560 events lost so far, worth 22.4k

  what moved:
    89 %  {bank=\"a\"}  1, expected 9
";
    assert_eq!(told(&anomaly), expected);
}

#[test]
fn anomaly_of_which_little_is_known_is_told_without_gaps() {
    let anomaly = Anomaly {
        labels: labels(&[("alertname", "JobHangs")]),
        state: "resolved".to_owned(),
        direction: "absent".to_owned(),
        onset: Some(NOON_S),
        ended_at: Some(NOON_S + 5_400.0),
        ..Anomaly::default()
    };
    let expected = "JobHangs  resolved: absent\n  began about 12:00:00, over at 13:30:00, after 1 h 30 min\n";
    assert_eq!(told(&anomaly), expected);
}

#[test]
fn answer_with_unknown_and_missing_fields_is_read() {
    let text = r#"{"status":"success","data":{"anomalies":[{"labels":{"alertname":"A"},"state":"firing","new":1,
        "line":[[1795348800,null,2.5]]}]}}"#;
    let answer: Answer = serde_json::from_str(text).unwrap();
    assert_eq!(answer.data.anomalies[0].line, [(NOON_S, None, Some(2.5))]);
    assert_eq!(answer.data.anomalies[0].name(), "A");
}

#[test]
fn who_asks_for_an_alert_that_does_not_fire_is_told_which_do() {
    let one = |name| Anomaly { labels: labels(&[("alertname", name)]), ..Anomaly::default() };
    assert_eq!(nothing(Some("A"), &[one("C"), one("B"), one("C")]), "no anomaly of the alert A; there are: B, C");
    assert_eq!(nothing(Some("A"), &[]), "no anomaly of the alert A, and of no other");
    assert_eq!(nothing(None, &[]), "nothing fires");
}

#[test]
fn numbers_have_three_digits_that_matter() {
    let cases = [
        (0.0, "0"),
        (3.0, "3"),
        (2.34567, "2.35"),
        (31.4159, "31.4"),
        (314.159, "314"),
        (9_999.0, "9999"),
        (22_400.0, "22.4k"),
        (1_500_000.0, "1.5M"),
        (0.001234, "0.0012"),
        (-0.5, "-0.5"),
        (100.0, "100"),
    ];
    for (value, expected) in cases {
        assert_eq!(number(value), expected);
    }
}
