//! A tree as text on one line, as Prometheus writes it.
//!
//! `sum(foo{b="x",a='y'}[1m:]) by (c) > bool 0x10` becomes `sum by (c) (foo{a="y",b="x"}[1m:]) > bool 16`.

use super::duration::format_ms;
use super::string::quote;
use super::token::word;
use super::tree::{
    Aggregate, At, Binary, Cardinality, Edges, Expr, Formula, LabelMatcher, Length, Matching, Number, Operator, Shift,
    Subquery, VectorSelector,
};
use crate::model::MatchOp;
use crate::model::{format_general, format_plain};

/// The expression on one line.
pub(crate) fn print(expr: &Expr) -> String {
    let mut out = String::new();
    write_expr(&mut out, expr, None, &mut |_, _, _| {});
    out
}

/// What is told of each expression when it is written: where it begins and ends.
pub(super) type Written<'w> = &'w mut dyn FnMut(&Expr, usize, usize);

/// Writes an expression, behind which an operator may follow. Goes down its left side in a loop.
pub(super) fn write_expr(out: &mut String, expr: &Expr, follows: Option<Operator>, written: Written<'_>) {
    let start = out.len();
    let (end, links) = chain(expr);
    // What follows a link, or the end, is the operator of the link above.
    let behind = |index: usize| index.checked_sub(1).map_or(follows, |above| operator(links[above]));
    write_end(out, end, behind(links.len()), written);
    written(end, start, out.len());
    for (index, link) in links.iter().enumerate().rev() {
        match link {
            Expr::Binary(binary) => {
                out.push_str(&format!(" {} ", operation(binary)));
                write_expr(out, &binary.right, behind(index), written);
            }
            Expr::Subquery(subquery) => write_window(out, subquery, behind(index)),
            _ => unreachable!("only these have chains"),
        }
        written(link, start, out.len());
    }
}

fn operator(expr: &Expr) -> Option<Operator> {
    match expr {
        Expr::Binary(binary) => Some(binary.operator),
        _ => None,
    }
}

/// The binary operators and subqueries on the left side, from the top, and what they end in.
pub(super) fn chain(expr: &Expr) -> (&Expr, Vec<&Expr>) {
    let (mut end, mut links) = (expr, Vec::new());
    loop {
        let inner = match end {
            Expr::Binary(binary) => &binary.left,
            Expr::Subquery(subquery) => &subquery.inner,
            _ => return (end, links),
        };
        links.push(end);
        end = inner;
    }
}

/// Writes what is no link of a chain.
fn write_end(out: &mut String, expr: &Expr, follows: Option<Operator>, written: Written<'_>) {
    match expr {
        Expr::Number(number) => out.push_str(&format_number(number, follows)),
        Expr::Text(text) => out.push_str(&text.quoted()),
        Expr::Vector(selector) => {
            write_series(out, selector);
            write_at(out, &selector.shift);
            write_edges(out, selector.edges);
            write_offset(out, &selector.shift, follows);
        }
        Expr::Matrix(matrix) => {
            write_series(out, &matrix.selector);
            out.push_str(&format!("[{}]", length(&matrix.range)));
            write_edges(out, matrix.selector.edges);
            write_at(out, &matrix.selector.shift);
            write_offset(out, &matrix.selector.shift, follows);
        }
        Expr::Unary(unary) => {
            out.push(if unary.is_minus { '-' } else { '+' });
            write_expr(out, &unary.inner, follows, written);
        }
        Expr::Aggregate(aggregate) => {
            out.push_str(&aggregation(aggregate));
            out.push('(');
            let arguments = aggregate.parameter.iter().chain([&aggregate.inner]);
            write_list(out, arguments, written);
            out.push(')');
        }
        Expr::Call(call) => {
            out.push_str(call.function.name);
            out.push('(');
            write_list(out, call.arguments.iter(), written);
            out.push(')');
        }
        Expr::Paren(paren) => {
            out.push('(');
            write_expr(out, &paren.inner, None, written);
            out.push(')');
        }
        Expr::Binary(_) | Expr::Subquery(_) => unreachable!("a chain does not end in a link"),
    }
}

fn write_list<'e>(out: &mut String, list: impl Iterator<Item = &'e Expr>, written: Written<'_>) {
    for (index, expr) in list.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_expr(out, expr, None, written);
    }
}

fn format_number(number: &Number, follows: Option<Operator>) -> String {
    // A sign would be read as one before the power.
    let is_base = follows == Some(Operator::Power) && number.value == f64::INFINITY;
    match number.value {
        _ if is_base => "Inf".to_owned(),
        seconds if number.is_duration => format_seconds(seconds),
        value => format_plain(value),
    }
}

fn format_seconds(seconds: f64) -> String {
    format_ms((seconds * 1000.0).round() as i64)
}

/// The name, and the matchers in braces, in the order of their text.
fn write_series(out: &mut String, selector: &VectorSelector) {
    out.push_str(selector.name.as_deref().unwrap_or_default());
    let mut matchers: Vec<String> = selector.matchers.iter().map(matcher).collect();
    matchers.sort_unstable();
    if !matchers.is_empty() || selector.name.is_none() {
        out.push_str(&format!("{{{}}}", matchers.join(",")));
    }
}

fn matcher(matcher: &LabelMatcher) -> String {
    let name = if is_plain(&matcher.name) { matcher.name.clone() } else { quote(&matcher.name) };
    format!("{name}{}{}", match_op(matcher.op), quote(&matcher.value))
}

/// As it is written.
pub(super) fn match_op(op: MatchOp) -> &'static str {
    match op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Matches => "=~",
        MatchOp::NotMatches => "!~",
    }
}

/// Whether a label's name needs no quotes.
fn is_plain(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

fn write_at(out: &mut String, shift: &Shift) {
    match shift.at {
        Some(At::Time(ms)) => out.push_str(&format!(" @ {:.3}", ms as f64 / 1000.0)),
        Some(At::Start) => out.push_str(" @ start()"),
        Some(At::End) => out.push_str(" @ end()"),
        None => {}
    }
}

fn write_offset(out: &mut String, shift: &Shift, follows: Option<Operator>) {
    let Some(offset) = &shift.offset else { return };
    // Without a sign, what follows the parenthesis would be read as part of the formula.
    let is_paren = matches!(offset, Length::Computed { formula: Formula::Paren(_), .. });
    let sign = if is_paren && follows.is_some_and(Operator::is_arithmetic) { "+" } else { "" };
    out.push_str(&format!(" offset {sign}{}", length(offset)));
}

fn write_edges(out: &mut String, edges: Option<Edges>) {
    match edges {
        Some(Edges::Anchored) => out.push_str(" anchored"),
        Some(Edges::Smoothed) => out.push_str(" smoothed"),
        None => {}
    }
}

fn length(length: &Length) -> String {
    match length {
        Length::Fixed { ms } => format_ms(*ms),
        Length::Computed { formula, .. } => print_formula(formula),
    }
}

fn print_formula(written: &Formula) -> String {
    let pair = |left: &Formula, right: &Formula| (print_formula(left), print_formula(right));
    match written {
        Formula::Number { seconds, is_duration: true } => format_seconds(*seconds),
        Formula::Number { seconds, is_duration: false } => format_plain(*seconds),
        Formula::Step => "step()".to_owned(),
        Formula::Range => "range()".to_owned(),
        Formula::Negative(inner) => format!("-{}", print_formula(inner)),
        Formula::Paren(inner) => format!("({})", print_formula(inner)),
        Formula::Binary { operator, left, right } => {
            let (left, right) = pair(left, right);
            format!("{left} {} {right}", operator.name())
        }
        Formula::MinOf(left, right) => {
            let (left, right) = pair(left, right);
            format!("min_of({left}, {right})")
        }
        Formula::MaxOf(left, right) => {
            let (left, right) = pair(left, right);
            format!("max_of({left}, {right})")
        }
    }
}

/// Writes what stands behind the inner expression of a subquery.
fn write_window(out: &mut String, subquery: &Subquery, follows: Option<Operator>) {
    let step = subquery.step.as_ref().map(length).unwrap_or_default();
    out.push_str(&format!("[{}:{step}]", length(&subquery.range)));
    write_at(out, &subquery.shift);
    write_offset(out, &subquery.shift, follows);
}

/// What stands before the arguments of an aggregation.
pub(super) fn aggregation(aggregate: &Aggregate) -> String {
    let name = aggregate.operator.name();
    match (aggregate.without, labels(&aggregate.labels)) {
        (false, labels) if labels.is_empty() => name.to_owned(),
        (false, labels) => format!("{name} by ({labels}) "),
        (true, labels) => format!("{name} without ({labels}) "),
    }
}

/// A binary operator with its modifiers.
pub(super) fn operation(binary: &Binary) -> String {
    let mut out = binary.operator.name().to_owned();
    if binary.returns_bool {
        out.push_str(" bool");
    }
    if let Some(matching) = &binary.matching {
        write_matching(&mut out, matching);
    }
    out
}

fn write_matching(out: &mut String, matching: &Matching) {
    let group = match matching.cardinality {
        Cardinality::ManyToOne => Some("left"),
        Cardinality::OneToMany => Some("right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if matching.on || !matching.labels.is_empty() || group.is_some() {
        let keyword = if matching.on { "on" } else { "ignoring" };
        out.push_str(&format!(" {keyword} ({})", labels(&matching.labels)));
    }
    if let Some(side) = group {
        out.push_str(&format!(" group_{side} ({})", labels(&matching.include)));
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() => {
            out.push_str(&format!(" fill ({})", format_general(left)));
        }
        (left, right) => {
            let sides = [("left", left), ("right", right)];
            for (side, value) in sides.into_iter().filter_map(|(side, value)| Some((side, value?))) {
                out.push_str(&format!(" fill_{side} ({})", format_general(value)));
            }
        }
    }
}

fn labels(names: &[String]) -> String {
    // A word that is something else in this place is a name only in quotes.
    let is_word = |name: &str| word(name).is_some_and(|kind| !kind.is_label_name());
    let label = |name: &String| if is_plain(name) && !is_word(name) { name.clone() } else { quote(name) };
    let labels: Vec<String> = names.iter().map(label).collect();
    labels.join(", ")
}
