//! Recorded traffic with incidents put in, through worker and judge: run by hand, for the recordings are not kept here.
//!
//! `RECORDED_DATA` names a folder with `manifest.json` and the files that it lists, `RECORDED_SETS` the sets to play
//! (all by default), `RECORDED_ALERTS` the file to write: a JSON text for each alert, as `score.py` of the recordings
//! reads it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::*;
use crate::detect::{AbsenceOptions, Direction, Directions, Kind};

#[derive(Deserialize)]
struct Recording {
    file: PathBuf,
    set: String,
}

/// Columns of a file: seconds, value, and what the value is counted among.
struct Columns {
    seconds: Vec<i64>,
    values: Vec<f64>,
    weights: Vec<f64>,
}

fn columns(path: &Path) -> Columns {
    let text = std::fs::read_to_string(path).expect("a file of the manifest");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let position = |name: &str| header.iter().position(|one| *one == name);
    let (seconds, value, weight) = (position("timestamp").unwrap(), position("value").unwrap(), position("weight"));
    let mut columns = Columns { seconds: Vec::new(), values: Vec::new(), weights: Vec::new() };
    for line in lines {
        let fields: Vec<f64> = line.split(',').map(|field| field.parse().expect("a number")).collect();
        columns.seconds.push(fields[seconds] as i64);
        columns.values.push(fields[value]);
        columns.weights.push(weight.map_or(1.0, |weight| fields[weight]));
    }
    columns
}

fn totals(amounts: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut total = 0.0;
    amounts
        .map(|amount| {
            total += amount;
            total
        })
        .collect()
}

/// Expression, directions, and the series that it watches, by name.
type Watched = (&'static str, Directions, Vec<(&'static str, Vec<f64>)>);

/// What a recording becomes.
fn watched(set: &str, columns: &Columns) -> Option<Watched> {
    let counted = || totals(columns.values.iter().copied());
    let among = || totals(columns.weights.iter().copied());
    Some(match set {
        "orders" => ("sum(rate(orders[1m]))", Directions::Both, vec![("orders", counted())]),
        "errors" => (
            "sum(rate(errors[1m])) / sum(rate(requests[1m]))",
            Directions::Rise,
            vec![("errors", counted()), ("requests", among())],
        ),
        "conversion" => {
            let orders = columns.values.iter().zip(&columns.weights).map(|(share, visits)| (share * visits).round());
            (
                "sum(rate(orders[1m])) / sum(rate(visits[1m]))",
                Directions::Drop,
                vec![("orders", totals(orders)), ("visits", among())],
            )
        }
        "latency" => ("load", Directions::Rise, vec![("load", columns.values.clone())]),
        "heartbeat" => ("runs", Directions::None, vec![("runs", columns.values.clone())]),
        _ => return None,
    })
}

fn alerts(recording: &Recording, folder: &Path) -> Option<Vec<Transition>> {
    let columns = columns(&folder.join(&recording.file));
    let (expression, directions, named) = watched(&recording.set, &columns)?;
    let absence = (directions == Directions::None).then(AbsenceOptions::default);
    let options = ModelOptions { directions, absence, min_volume: 0.0, ..ModelOptions::default() };
    let series: Vec<_> = named.iter().map(|(name, _)| labels(&[("__name__", name)])).collect();
    let rows: Vec<Row> = columns
        .seconds
        .iter()
        .enumerate()
        .flat_map(|(index, seconds)| {
            named.iter().enumerate().map(move |(one, (_, values))| (one, seconds * 1_000, values[index]))
        })
        .collect();
    let signal = if absence.is_some() { Signal::beats(expression) } else { Signal::compile(expression) };
    let watch = Watch { signal: signal.unwrap(), ..watch(named[0].0, options) };
    let mut rows = rows;
    let mut series = series;
    if absence.is_some() {
        // Somebody else's samples say what time it is while a job hangs.
        series.push(labels(&[("__name__", named[0].0), ("clock", "1")]));
        let end_ms = rows.last().map_or(0, |row| row.1);
        let begin_ms = rows.first().map_or(0, |row| row.1);
        rows.extend((0..).map(|minute| (1, begin_ms + minute * 60_000, 0.0)).take_while(|row| row.1 <= end_ms));
        rows.sort_by_key(|row| row.1);
    }
    let mut transitions = transitions_of(vec![watch], &series, &rows);
    transitions.retain(|one| one.labels.get("clock").is_none());
    Some(transitions)
}

#[test]
#[ignore = "needs recordings"]
fn recordings_are_judged() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (folder, sets) = (PathBuf::from(variable("RECORDED_DATA")), variable("RECORDED_SETS"));
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).expect("RECORDED_DATA names the folder");
    let recordings: BTreeMap<String, Recording> = serde_json::from_str(&manifest).unwrap();
    let mut told = String::new();
    for (name, recording) in &recordings {
        if !sets.is_empty() && !sets.split(',').any(|set| set == recording.set) {
            continue;
        }
        for one in alerts(recording, &folder).unwrap_or_default() {
            let direction = match one.direction {
                Direction::Drop => "down",
                Direction::Absent => "absent",
                _ => "up",
            };
            let (start, end) = (one.fired_ms / 1_000, one.at_ms / 1_000);
            let kind = if one.kind == Kind::Firing { "null".to_owned() } else { end.to_string() };
            writeln!(told, r#"{{"series":"{name}","start":{start},"end":{kind},"direction":"{direction}"}}"#).unwrap();
        }
    }
    std::fs::write(variable("RECORDED_ALERTS"), told).expect("RECORDED_ALERTS names a file");
}
