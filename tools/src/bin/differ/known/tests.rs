use super::rules::{
    arguments, is_of_the_same_with_another_parameter, is_shifted_subquery_of_fixed, names_a_label_twice,
};
use super::{Case, Known, Rules, is_new, known, same_remark};
use crate::answer::Answer;

fn answer(text: &str) -> Answer {
    Answer::of_json(text.as_bytes()).expect("an answer of Prometheus")
}

fn number(value: &str) -> Answer {
    answer(&format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1.5,"{value}"]}}]}}}}"#
    ))
}

/// What is known of two numbers that differ.
fn known_of(query: &str, rules: Rules) -> Option<Known> {
    let (ours, theirs) = (number("0.5"), number("NaN"));
    let what = "value: 0.5, not NaN @1500 of {}";
    known(&Case { query, is_instant: true, what, ours: &ours, theirs: &theirs }, rules)
}

/// Whether it is known, and of a question that cannot be made smaller, in what two answers to it differ.
fn is_surely_known(query: &str, what: &str, ours: &Answer, theirs: &Answer) -> bool {
    let case = Case { query, is_instant: true, what, ours, theirs };
    matches!(known(&case, Rules::OfSmall), Some(Known::Surely(_)))
}

#[test]
fn what_may_be_known_is_so_only_when_nothing_else_is_left() {
    let fraction = "histogram_fraction(0.05, 1, latency_bucket)";
    assert!(matches!(known_of(fraction, Rules::OfAny), Some(Known::Perhaps)));
    assert!(matches!(known_of(fraction, Rules::OfSmall), Some(Known::Surely(_))));
    let within = "ceil(histogram_fraction(0.05, 1, latency_bucket))";
    assert!(matches!(known_of(within, Rules::OfAny), Some(Known::Perhaps)));
    assert!(known_of(within, Rules::OfSmall).is_none());
    assert!(known_of("up", Rules::OfAny).is_none());
}

#[test]
fn arguments_are_parted_where_no_parenthesis_is_open() {
    assert_eq!(
        arguments("topk (scalar(max (x, y)), info(up, {a=\"b\"}))"),
        ["scalar(max (x, y))", "info(up, {a=\"b\"})"]
    );
    assert_eq!(arguments("abs(up)"), ["up"]);
}

#[test]
fn a_parameter_may_be_asked_for_once_only_if_it_could_change_and_the_rest_could_not() {
    let may_be = is_of_the_same_with_another_parameter;
    assert!(may_be("limitk (scalar(up), vector(1))"));
    assert!(may_be("limit_ratio (scalar(group by (zone) (up)), vector(1))"));
    assert!(may_be("topk by (job) (time(), up @ 5)"));
    assert!(!may_be("limitk (3, vector(1))"), "the parameter is the same at all steps");
    assert!(!may_be("topk by (job) (3, up @ 5)"), "the parameter is the same at all steps");
    assert!(!may_be("limitk (scalar(up), up)"), "what is aggregated is another at each step");
}

#[test]
fn a_label_is_named_twice_within_one_selector_only() {
    assert!(names_a_label_twice("absent(up{job!=\"a\", job=\"b\"})"));
    assert!(!names_a_label_twice("absent(up{job=\"a\"} + up{job=\"b\"})"));
    assert!(!names_a_label_twice("absent(up{job=\"a\", instance!~\"b\"})"));
}

#[test]
fn a_shifted_subquery_has_the_offset_itself() {
    assert!(is_shifted_subquery_of_fixed("rate((up @ 5)[1m:5s] @ 9)"));
    assert!(!is_shifted_subquery_of_fixed("rate((up)[1m:5s] @ 9)"));
    assert!(is_shifted_subquery_of_fixed("rate((up @ 5)[1m:5s] offset 1m)"));
    assert!(!is_shifted_subquery_of_fixed("rate((up @ 5 offset 1m)[1m:5s])"));
    assert!(!is_shifted_subquery_of_fixed("rate((up)[1m:5s] offset 1m)"));
}

#[test]
fn remarks_may_stand_elsewhere_only_where_3_5_loses_their_place() {
    let remark = |column: usize| format!("PromQL info: odd (1:{column})");
    assert!(same_remark("rate(up[1m])", &remark(6), &remark(6)));
    assert!(!same_remark("rate(up[1m])", &remark(6), &remark(7)));
    assert!(same_remark("rate((up)[1m:])", &remark(6), &remark(1)), "of a subquery the place is lost");
    assert!(same_remark("rate((up))", &remark(7), &remark(6)), "parentheses are part of what they are around");
}

#[test]
fn a_remark_is_new_only_to_a_question_that_gives_cause_for_it() {
    let text = "PromQL warning: conflicting counter resets during histogram addition (1:1)";
    assert!(is_new("native + native_any", true, text));
    assert!(!is_new("up + limit", true, text));
    let text = "PromQL info: sort is ineffective for range queries since results are always ordered by labels (1:1)";
    assert!(is_new("sort(up)", false, text));
    assert!(!is_new("sort(up)", true, text));
}

/// A row for each instance and its value.
fn rows(values: &[(&str, &str)]) -> Answer {
    let row = |(instance, value): &(&str, &str)| {
        format!(r#"{{"metric":{{"instance":"{instance}"}},"value":[1.5,"{value}"]}}"#)
    };
    let rows = values.iter().map(row).collect::<Vec<_>>().join(",");
    answer(&format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{rows}]}}}}"#))
}

#[test]
fn others_may_be_chosen_only_if_their_values_are_equal_or_nearly_so_where_the_last_bits_are_in_doubt() {
    let choice = |query: &str, ours: &str, theirs: &str| {
        let (ours, theirs) = (rows(&[("a:1", "7"), ("b:1", ours)]), rows(&[("c:2", theirs), ("a:1", "7")]));
        is_surely_known(query, "labels: ours alone has b:1", &ours, &theirs)
    };
    let last_bits = ("1.5707963257471873", "1.570796325747187");
    assert!(choice("bottomk (2, atan(up))", last_bits.0, last_bits.1));
    assert!(!choice("bottomk (2, up)", last_bits.0, last_bits.1), "their last bits are the same on both sides");
    assert!(!choice("bottomk (2, atan(up))", "1.5707", "1.5708"), "it is another number");
    assert!(choice("topk (2, (limitk (9, up) * -0.0))", "-0", "0"), "zeros are equal");
    assert!(!choice("topk (2, (limitk (9, up) * 2))", "1", "2"), "it is another number");
}

#[test]
fn a_deviation_is_written_otherwise_only_in_its_last_digits_and_only_if_series_were_reordered() {
    let counted = |value: &str| {
        let row = format!(r#"{{"metric":{{"value":"{value}"}},"value":[1.5,"1"]}}"#);
        answer(&format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{row}]}}}}"#))
    };
    let is_known = |query: &str, ours: &str, theirs: &str| {
        is_surely_known(query, "labels: ours alone has it", &counted(ours), &counted(theirs))
    };
    let (ours, theirs) = ("10.489377217326766", "10.489377217326767");
    assert!(is_known("count_values (\"value\", stddev (limit_ratio (1, sparse)))", ours, theirs));
    assert!(!is_known("count_values (\"value\", stddev (limit_ratio (1, sparse)))", ours, "10.4894"));
    assert!(!is_known("count_values (\"value\", stddev (sparse))", ours, theirs), "they have one order");
}

/// An answer that is an error of the engine.
fn failed(text: &str) -> Answer {
    answer(&format!(r#"{{"status":"error","errorType":"execution","error":"{text}"}}"#))
}

#[test]
fn doubled_labels_are_theirs_alone_only_where_they_left_histograms_out() {
    let ours = failed("vector cannot contain metrics with the same labelset");
    let left_out = |warning: &str| {
        answer(&format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[]}},"warnings":["{warning}"]}}"#
        ))
    };
    let is_known = |query: &str, theirs: &Answer| is_surely_known(query, "error: ours alone fails", &ours, theirs);
    let theirs = left_out("PromQL warning: incompatible bucket layout encountered for binary operator -");
    let sums = "label_join(histogram_sum((native_custom - native_custom)), \"job\", \"\", \"which\")";
    assert!(is_known(sums, &theirs));
    assert!(!is_known(sums, &left_out("another")), "they left nothing out");
    assert!(!is_known("label_join((native_custom - native_custom), \"job\", \"\", \"which\")", &theirs));
}

#[test]
fn a_maximum_may_be_the_other_zero_only_of_what_was_chosen() {
    let (ours, theirs) = (number("-0"), number("0"));
    let is_known = |query: &str| is_surely_known(query, "value: -0.0, not 0.0 @1500 of {}", &ours, &theirs);
    assert!(is_known("max ((limitk (3, temperature) % temperature))"));
    assert!(!is_known("max ((temperature % temperature))"), "they have one order");
    assert!(!is_known("abs(max ((limitk (3, temperature) % temperature)))"), "something else is around it");
}

#[test]
fn a_parameter_with_a_named_time_is_known_of_the_whole_or_within_a_subquery() {
    assert!(known_of("bottomk (scalar(up @ end()), up)", Rules::OfSmall).is_some());
    assert!(known_of("present_over_time((bottomk (scalar(up @ end()), up))[8m:])", Rules::OfSmall).is_some());
    assert!(known_of("present_over_time((bottomk (3, up @ end()))[8m:])", Rules::OfSmall).is_none());
    assert!(known_of("ceil(bottomk (scalar(up @ end()), up))", Rules::OfSmall).is_none());
}

#[test]
fn an_order_is_known_only_behind_an_or_of_what_a_heap_chose() {
    let (ours, theirs) = (rows(&[("a:1", "1"), ("b:1", "956")]), rows(&[("b:1", "956"), ("a:1", "1")]));
    let is_known = |query: &str| is_surely_known(query, "order: by value", &ours, &theirs);
    assert!(is_known("sort_desc(vector(1)) or limitk (2, requests_total)"));
    assert!(!is_known("sort_desc(vector(1)) or requests_total"), "these have an order");
    assert!(!is_known("sort_desc(limitk (2, requests_total))"), "this is sorted");
}

#[test]
fn negated_series_of_the_same_labels_are_refused_within_a_subquery_too() {
    let (ours, theirs) = (number("1"), failed("vector cannot contain metrics with the same labelset"));
    let is_known = |query: &str| is_surely_known(query, "error: theirs alone fails", &ours, &theirs);
    assert!(is_known("last_over_time((-(native_floats or native_any))[3m7s:30s])"));
    assert!(!is_known("last_over_time((native_floats or native_any)[3m7s:30s])"), "names tell them apart");
    assert!(!is_known("-(native_floats or native_any)"), "at one moment labels tell them apart");
}

#[test]
fn the_sign_of_a_medians_zero_is_known_where_it_is_written() {
    let is_known = |query: &str, what: &str| is_surely_known(query, what, &number("2"), &number("2"));
    let what = r#"labels: ours alone has {"value": "-0"}"#;
    assert!(is_known("count_values (\"value\", quantile_over_time(0.5, odd[8m]))", what));
    assert!(!is_known("count_values (\"value\", max_over_time(odd[8m]))", what), "a maximum has one sign");
    let what = r#"labels: ours alone has {"value": "1"}"#;
    assert!(!is_known("count_values (\"value\", quantile_over_time(0.5, odd[8m]))", what), "it is another number");
}
