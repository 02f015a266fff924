//! A tree as JSON, as Prometheus's `/api/v1/parse_query` gives it to tree views.
//!
//! ```text
//! {"args":[],"func":{"argTypes":[],"name":"time","returnType":"scalar","variadic":0},"type":"call"}
//! ```
//!
//! Members are in the order of their names. Lengths are in milliseconds, and 0 where they are computed: how stands in a
//! member of its own then.

use serde_json::{Value, json as value};

use super::print::{chain, match_op};
use super::tree::{
    Aggregate, At, Binary, Call, Edges, Expr, Formula, Length, Matching, Shift, Subquery, VectorSelector,
};
use crate::model::METRIC_NAME;
use crate::model::format_plain;

/// The expression and all that is in it.
pub(crate) fn json(expr: &Expr) -> String {
    let mut out = String::new();
    write_expr(&mut out, expr);
    out
}

/// Writes an expression. Goes down its left side in a loop: what stands before each left operand on the way down, the
/// rest on the way up.
fn write_expr(out: &mut String, expr: &Expr) {
    let (end, links) = chain(expr);
    for link in &links {
        match link {
            Expr::Binary(binary) => out.push_str(&format!("{{\"bool\":{},\"lhs\":", binary.returns_bool)),
            _ => out.push_str("{\"expr\":"),
        }
    }
    write_end(out, end);
    for link in links.into_iter().rev() {
        match link {
            Expr::Binary(binary) => write_behind_left(out, binary),
            Expr::Subquery(subquery) => write_behind_inner(out, subquery),
            _ => unreachable!("only these have chains"),
        }
    }
}

fn write_behind_left(out: &mut String, binary: &Binary) {
    let matching = binary.matching.as_ref().map(matching);
    out.push_str(&format!(",\"matching\":{},\"op\":{},\"rhs\":", value!(matching), value!(binary.operator.name())));
    write_expr(out, &binary.right);
    out.push_str(",\"type\":\"binaryExpr\"}");
}

fn matching(matching: &Matching) -> Value {
    value!({
        "card": matching.cardinality.name(),
        "fillValues": { "lhs": matching.fill_left, "rhs": matching.fill_right },
        "include": matching.include,
        "labels": matching.labels,
        "on": matching.on,
    })
}

fn write_behind_inner(out: &mut String, subquery: &Subquery) {
    let rest = value!({
        "offset": subquery.shift.offset.as_ref().map_or(0, ms),
        "offsetExpr": subquery.shift.offset.as_ref().and_then(computed),
        "range": ms(&subquery.range),
        "rangeExpr": computed(&subquery.range),
        "startOrEnd": start_or_end(&subquery.shift),
        "step": subquery.step.as_ref().map_or(0, ms),
        "stepExpr": subquery.step.as_ref().and_then(computed),
        "timestamp": timestamp(&subquery.shift),
        "type": "subquery",
    });
    out.push(',');
    out.push_str(&rest.to_string()[1..]);
}

fn write_end(out: &mut String, expr: &Expr) {
    match expr {
        Expr::Number(number) => {
            let number = value!({ "type": "numberLiteral", "val": format_plain(number.value) });
            out.push_str(&number.to_string());
        }
        Expr::Text(text) => out.push_str(&value!({ "type": "stringLiteral", "val": text.value }).to_string()),
        Expr::Vector(vector) => out.push_str(&selector(vector, "vectorSelector", None).to_string()),
        Expr::Matrix(matrix) => {
            out.push_str(&selector(&matrix.selector, "matrixSelector", Some(&matrix.range)).to_string());
        }
        Expr::Unary(unary) => {
            out.push_str("{\"expr\":");
            write_expr(out, &unary.inner);
            let sign = if unary.is_minus { "-" } else { "+" };
            out.push_str(&format!(",\"op\":\"{sign}\",\"type\":\"unaryExpr\"}}"));
        }
        Expr::Paren(paren) => {
            out.push_str("{\"expr\":");
            write_expr(out, &paren.inner);
            out.push_str(",\"type\":\"parenExpr\"}");
        }
        Expr::Aggregate(aggregate) => write_aggregate(out, aggregate),
        Expr::Call(call) => write_call(out, call),
        Expr::Binary(_) | Expr::Subquery(_) => unreachable!("a chain does not end in a link"),
    }
}

fn selector(selector: &VectorSelector, kind: &str, range: Option<&Length>) -> Value {
    let mut matchers: Vec<Value> = selector
        .matchers
        .iter()
        .map(|matcher| value!({ "name": matcher.name, "type": match_op(matcher.op), "value": matcher.value }))
        .collect();
    if let Some(name) = &selector.name {
        matchers.push(value!({ "name": METRIC_NAME, "type": "=", "value": name }));
    }
    let mut members = value!({
        "anchored": selector.edges == Some(Edges::Anchored),
        "matchers": matchers,
        "name": selector.name.as_deref().unwrap_or_default(),
        "offset": selector.shift.offset.as_ref().map_or(0, ms),
        "offsetExpr": selector.shift.offset.as_ref().and_then(computed),
        "smoothed": selector.edges == Some(Edges::Smoothed),
        "startOrEnd": start_or_end(&selector.shift),
        "timestamp": timestamp(&selector.shift),
        "type": kind,
    });
    if let Some(range) = range {
        members["range"] = value!(ms(range));
        members["rangeExpr"] = value!(computed(range));
    }
    members
}

fn write_aggregate(out: &mut String, aggregate: &Aggregate) {
    out.push_str("{\"expr\":");
    write_expr(out, &aggregate.inner);
    out.push_str(&format!(",\"grouping\":{},", value!(aggregate.labels)));
    out.push_str(&format!("\"op\":\"{}\",\"param\":", aggregate.operator.name()));
    match &aggregate.parameter {
        Some(parameter) => write_expr(out, parameter),
        None => out.push_str("null"),
    }
    out.push_str(&format!(",\"type\":\"aggregation\",\"without\":{}}}", aggregate.without));
}

fn write_call(out: &mut String, call: &Call) {
    out.push_str("{\"args\":[");
    for (index, argument) in call.arguments.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_expr(out, argument);
    }
    let takes: Vec<&str> = call.function.takes.iter().map(|takes| takes.name()).collect();
    let function = value!({
        "argTypes": takes,
        "name": call.function.name,
        "returnType": call.function.gives.name(),
        "variadic": call.function.variadic,
    });
    out.push_str(&format!("],\"func\":{function},\"type\":\"call\"}}"));
}

fn ms(length: &Length) -> i64 {
    match length {
        Length::Fixed { ms } => *ms,
        Length::Computed { .. } => 0,
    }
}

/// The formula of a length, if it has one.
fn computed(length: &Length) -> Option<Value> {
    match length {
        Length::Fixed { .. } => None,
        Length::Computed { formula, .. } => Some(formula_value(formula)),
    }
}

fn formula_value(formula: &Formula) -> Value {
    let value_of = |op: &str, left: Option<&Formula>, right: Option<&Formula>| {
        let (left, right) = (left.map(formula_value), right.map(formula_value));
        value!({ "lhs": left, "op": op, "rhs": right, "type": "durationExpr", "wrapped": false })
    };
    match formula {
        Formula::Number { seconds, is_duration } => {
            value!({ "duration": is_duration, "type": "numberLiteral", "val": format_plain(*seconds) })
        }
        Formula::Step => value_of("step", None, None),
        Formula::Range => value_of("range", None, None),
        Formula::Negative(inner) => value_of("-", None, Some(inner)),
        Formula::Binary { operator, left, right } => value_of(operator.name(), Some(left), Some(right)),
        Formula::MinOf(left, right) => value_of("min_of", Some(left), Some(right)),
        Formula::MaxOf(left, right) => value_of("max_of", Some(left), Some(right)),
        Formula::Paren(inner) => {
            let mut members = match &**inner {
                number @ Formula::Number { .. } => value_of("+", None, Some(number)),
                inner => formula_value(inner),
            };
            members["wrapped"] = value!(true);
            members
        }
    }
}

fn start_or_end(shift: &Shift) -> Option<&'static str> {
    match shift.at {
        Some(At::Start) => Some("start"),
        Some(At::End) => Some("end"),
        Some(At::Time(_)) | None => None,
    }
}

fn timestamp(shift: &Shift) -> Option<i64> {
    match shift.at {
        Some(At::Time(ms)) => Some(ms),
        _ => None,
    }
}
