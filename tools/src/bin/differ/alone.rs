//! Questions of one series, made of those of several.
//!
//! ```text
//! sum_over_time((idelta(native))[5m:7s]) ─► sum_over_time((idelta(native{job="api",instance="a:1"}))[5m:7s])
//! ```
//!
//! Prometheus 3.5 keeps the histograms of finished windows to use them again, and at times they are still another
//! series': where it answers for each series alone as Dozor does for all, it is at odds with itself.
//!
//! Always true: a question in which a selector cannot be told is not made narrower.

use std::collections::BTreeMap;

/// Metrics with histograms.
const METRICS: [&str; 6] = ["native", "native_any", "native_floats", "native_custom", "native_gauge", "mixed"];

/// The question of what has these labels alone; none if it selects anything else than histograms.
pub(crate) fn narrowed(query: &str, labels: &BTreeMap<String, String>) -> Option<String> {
    let wanted: Vec<String> = ["job", "instance"]
        .iter()
        .filter_map(|name| labels.get(*name).map(|value| format!("{name}=\"{value}\"")))
        .collect();
    let aggregates = [" by (", " without (", "label_"].iter().any(|part| query.contains(part));
    if aggregates || wanted.is_empty() || labels.len() != wanted.len() || query.contains("{__name__") {
        return None;
    }
    let wanted = wanted.join(",");
    let (mut out, mut rest, mut is_found) = (String::new(), query, false);
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_alphabetic() || letter == '"') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('"') {
            let end = rest[1..].find('"')? + 2;
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        out.push_str(word);
        rest = behind;
        if METRICS.contains(&word) {
            is_found = true;
            let inside = rest.strip_prefix('{');
            rest = inside.unwrap_or(rest);
            out.push_str(&format!("{{{wanted}{}", if inside.is_some() { "," } else { "}" }));
        }
    }
    out.push_str(rest);
    is_found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_of_histograms_are_narrowed_and_nothing_else() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let labels = BTreeMap::from([pair("job", "api"), pair("instance", "a:1")]);
        let of = |query: &str| narrowed(query, &labels);
        let matchers = r#"job="api",instance="a:1""#;
        assert_eq!(of("rate(native[5m])"), Some(format!("rate(native{{{matchers}}}[5m])")));
        assert_eq!(of(r#"-mixed{job!="native"}"#), Some(format!(r#"-mixed{{{matchers},job!="native"}}"#)));
        assert_eq!(of("sum by (job) (native)"), None, "a group is of several");
        assert_eq!(of("rate(up[5m])"), None, "it has no histograms");
        assert_eq!(narrowed("native", &BTreeMap::new()), None, "nothing is known of the series");
    }
}
