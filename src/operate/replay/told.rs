//! What a replay found, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::Replayed;
use super::history::{Firing, LADDER_MS, RuleHistory};
use crate::config::duration_text;
use crate::model::{Labels, TimeRange};
use crate::notify::rfc3339;
use crate::operate::words::{duration, number};

/// The label with the alert's name.
const ALERT_NAME: &str = "alertname";
const WRITING: &str = "a string takes everything";

/// All of it as text, with these `for` in ms told beside the usual ones.
pub(super) fn text(replayed: &Replayed, also_ms: &[i64]) -> String {
    let Replayed { range, rules, evaluations_count, notes } = replayed;
    let lasted = duration((range.to_ms - range.from_ms) as f64 / 1000.0);
    let mut text =
        format!("{} to {} ({lasted}), {evaluations_count} evaluations\n", utc(range.from_ms), utc(range.to_ms));
    for rule in rules {
        text.push('\n');
        rule_text(&mut text, rule, *range, also_ms);
    }
    for note in notes {
        write!(text, "\nnote: {note}").expect(WRITING);
    }
    if !notes.is_empty() {
        text.push('\n');
    }
    text
}

fn rule_text(text: &mut String, rule: &RuleHistory, range: TimeRange, also_ms: &[i64]) {
    let totals = rule.totals(range);
    let wait = if rule.for_ms > 0 { format!(", for {}", duration_text(rule.for_ms)) } else { String::new() };
    write!(text, "{} ({}{wait})", rule.alert, rule.group).expect(WRITING);
    match totals.fired_count {
        0 => text.push_str(" never fired"),
        count => write!(
            text,
            " fired {}, {} series, {} in all; longest {}, median {}; {:.1} a week",
            times(count),
            totals.series_count,
            spoken(totals.firing_ms),
            spoken(totals.longest_ms),
            spoken(totals.median_ms),
            totals.per_week,
        )
        .expect(WRITING),
    }
    text.push('\n');
    if !rule.firings.is_empty() {
        text.push_str(
            "  pending since            fired                    resolved                 lasted      value\n",
        );
    }
    for firing in &rule.firings {
        let resolved = firing.resolved_ms.map_or_else(|| "still fires".to_owned(), utc);
        let mark = if firing.is_cut { "≤" } else { " " };
        let (pending, fired) = (utc(firing.pending_ms), utc(firing.fired_ms));
        let (lasted, value) = (spoken(firing.lasted_ms(range.to_ms)), number(firing.value));
        let own = own_labels(&firing.labels);
        writeln!(text, " {mark}{pending:<25}{fired:<25}{resolved:<25}{lasted:<12}{value:<10}{own}").expect(WRITING);
    }
    let others = what_if(rule, also_ms);
    if !others.is_empty() {
        let now = rule.fired_count_with(rule.for_ms).unwrap_or(totals.fired_count);
        let one = |(for_ms, count): &(i64, usize)| format!("for: {} {count}", duration_text(*for_ms));
        let listed: Vec<String> = others.iter().map(one).collect();
        writeln!(text, "  what if (now {now}): {}", listed.join(" · ")).expect(WRITING);
    }
    if let Some((for_ms, count)) = rule.halving_for_ms() {
        let now = rule.fired_count_with(rule.for_ms).unwrap_or(totals.fired_count);
        writeln!(text, "  `for: {}` would have made {count} of {now}", duration_text(for_ms)).expect(WRITING);
    }
    if let Some(failure) = &rule.failure {
        match rule.failed_count {
            0 => writeln!(text, "  not replayed: {failure}"),
            count => writeln!(text, "  {} failed, the last: {failure}", evaluations(count)),
        }
        .expect(WRITING);
    }
}

/// How often it would have fired with other `for`, where that can be told and the condition ever held.
fn what_if(rule: &RuleHistory, also_ms: &[i64]) -> Vec<(i64, usize)> {
    let mut tried: Vec<i64> =
        LADDER_MS.iter().chain(also_ms).copied().filter(|for_ms| *for_ms != rule.for_ms).collect();
    tried.sort_unstable();
    tried.dedup();
    if rule.spans.is_empty() {
        return Vec::new();
    }
    tried.into_iter().filter_map(|for_ms| Some((for_ms, rule.fired_count_with(for_ms)?))).collect()
}

/// All of it as JSON: times in RFC 3339, durations in seconds.
pub(super) fn json(replayed: &Replayed, also_ms: &[i64]) -> Json {
    let range = replayed.range;
    let rules: Vec<Json> = replayed.rules.iter().map(|rule| rule_json(rule, range, also_ms)).collect();
    json!({
        "from": rfc3339(range.from_ms),
        "to": rfc3339(range.to_ms),
        "evaluations": replayed.evaluations_count,
        "rules": rules,
        "notes": replayed.notes,
    })
}

fn rule_json(rule: &RuleHistory, range: TimeRange, also_ms: &[i64]) -> Json {
    let totals = rule.totals(range);
    let what_if: Vec<Json> = what_if(rule, also_ms)
        .into_iter()
        .map(|(for_ms, count)| json!({"forSeconds": seconds(for_ms), "firedCount": count}))
        .collect();
    let firing = |firing: &Firing| {
        json!({
            "labels": firing.labels.iter().collect::<std::collections::BTreeMap<_, _>>(),
            "pendingSince": rfc3339(firing.pending_ms),
            "mayHaveBegunEarlier": firing.is_cut,
            "firedAt": rfc3339(firing.fired_ms),
            "resolvedAt": firing.resolved_ms.map(rfc3339),
            "durationSeconds": seconds(firing.lasted_ms(range.to_ms)),
            "value": number_json(firing.value),
        })
    };
    json!({
        "alert": rule.alert,
        "group": rule.group,
        "file": rule.file.display().to_string(),
        "expr": rule.expr,
        "forSeconds": seconds(rule.for_ms),
        "keepFiringForSeconds": seconds(rule.keep_firing_for_ms),
        "isAnomaly": rule.is_anomaly,
        "firedCount": totals.fired_count,
        "seriesCount": totals.series_count,
        "firingSeconds": seconds(totals.firing_ms),
        "longestSeconds": seconds(totals.longest_ms),
        "medianSeconds": seconds(totals.median_ms),
        "perWeek": totals.per_week,
        "failedEvaluations": rule.failed_count,
        "failure": rule.failure,
        "whatIf": what_if,
        "firings": rule.firings.iter().map(firing).collect::<Vec<Json>>(),
    })
}

/// JSON has no infinities: those are told as Prometheus writes them.
fn number_json(value: f64) -> Json {
    if value.is_finite() { json!(value) } else { json!(crate::model::format_plain(value)) }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn spoken(ms: i64) -> String {
    duration(seconds(ms))
}

fn utc(time_ms: i64) -> String {
    crate::operate::moment(time_ms)
}

fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn evaluations(count: u64) -> String {
    if count == 1 { "1 evaluation".to_owned() } else { format!("{count} evaluations") }
}

/// Without the alert's name, which stands above.
fn own_labels(labels: &Labels) -> String {
    let own: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != ALERT_NAME)
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    own.join(" ")
}
