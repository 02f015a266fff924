//! What either side says, in one shape.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use anyhow::{Context, bail};
use dozor::model::{FloatHistogram, Labels};
use dozor::query::{self, QueryError, Sampled};
use serde_json::Value;

/// An answer with what was remarked.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Failed { kind: String, text: String },
    Rows { shape: String, rows: Vec<Row> },
}

/// A series of an answer; of a scalar the only one, without labels.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) points: Vec<(i64, Point)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Point {
    Number(f64),
    Histogram { count: f64, sum: f64, buckets: Vec<(u8, [f64; 3])> },
}

impl Outcome {
    /// A range query's in which there is nothing.
    pub(crate) fn of_no_rows() -> Outcome {
        Outcome::Rows { shape: "matrix".to_owned(), rows: Vec::new() }
    }
}

impl Answer {
    /// Appends the rows of an instant behind those before. Answers whether there are any to speak of.
    pub(crate) fn append(&mut self, instant: Answer) -> bool {
        let (Outcome::Rows { rows, .. }, Outcome::Rows { rows: next, .. }) = (&mut self.outcome, instant.outcome)
        else {
            return false;
        };
        for row in next {
            match rows.binary_search_by(|known| known.labels.cmp(&row.labels)) {
                Ok(index) => rows[index].points.extend(row.points),
                Err(index) => rows.insert(index, row),
            }
        }
        true
    }

    /// Of what an engine in this process says.
    pub(crate) fn of_engine(answer: Result<query::Answer, QueryError>) -> Answer {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let outcome = Outcome::Failed { kind: error.kind().to_owned(), text: error.to_string() };
                return Answer { outcome, warnings: Vec::new(), infos: Vec::new() };
            }
        };
        let (shape, rows) = match answer.value {
            query::Value::Scalar(time_ms, value) => {
                ("scalar", vec![Row { labels: BTreeMap::new(), points: vec![(time_ms, Point::Number(value))] }])
            }
            query::Value::String(..) => ("string", Vec::new()),
            query::Value::Vector(rows) => {
                let row = |(labels, time_ms, sampled): (std::sync::Arc<Labels>, i64, Sampled)| Row {
                    labels: pairs(&labels),
                    points: vec![(time_ms, point(&sampled))],
                };
                ("vector", rows.into_iter().map(row).collect())
            }
            query::Value::Matrix(series) => {
                let row = |series: query::Series| {
                    let numbers = series.points.iter().map(|(time_ms, value)| (time_ms, Point::Number(value)));
                    let histograms = series.histograms.iter().map(|(time_ms, value)| (*time_ms, of_histogram(value)));
                    let mut points: Vec<(i64, Point)> = numbers.chain(histograms).collect();
                    points.sort_by_key(|(time_ms, _)| *time_ms);
                    Row { labels: pairs(&series.labels), points }
                };
                ("matrix", series.into_iter().map(row).collect())
            }
        };
        let outcome = Outcome::Rows { shape: shape.to_owned(), rows };
        Answer { outcome, warnings: answer.warnings, infos: answer.infos }
    }

    /// Of Prometheus's JSON.
    pub(crate) fn of_json(body: &[u8]) -> anyhow::Result<Answer> {
        let json: Value = serde_json::from_slice(body)
            .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&body[..body.len().min(200)])))?;
        let strings = |name: &str| -> Vec<String> {
            let all = json[name].as_array().map_or(&[][..], Vec::as_slice);
            all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
        };
        let outcome = if json["status"] == "success" {
            let shape = json["data"]["resultType"].as_str().context("no resultType")?.to_owned();
            let result = &json["data"]["result"];
            let rows = match shape.as_str() {
                "scalar" => vec![Row { labels: BTreeMap::new(), points: vec![of_pair(result)?] }],
                "string" => Vec::new(),
                _ => result.as_array().context("no result")?.iter().map(of_row).collect::<Result<_, _>>()?,
            };
            Outcome::Rows { shape, rows }
        } else {
            let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
            Outcome::Failed { kind: text("errorType"), text: text("error") }
        };
        Ok(Answer { outcome, warnings: strings("warnings"), infos: strings("infos") })
    }
}

fn pairs(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn point(sampled: &Sampled) -> Point {
    match sampled {
        Sampled::Number(value) => Point::Number(*value),
        Sampled::Histogram(value) => of_histogram(value),
    }
}

fn of_histogram(histogram: &FloatHistogram) -> Point {
    let buckets = histogram
        .buckets()
        .filter(|bucket| bucket.count != 0.0)
        .map(|bucket| (bucket.boundary_rule(), [bucket.lower, bucket.upper, bucket.count]));
    Point::Histogram { count: histogram.count, sum: histogram.sum, buckets: buckets.collect() }
}

fn of_row(json: &Value) -> anyhow::Result<Row> {
    let metric = json["metric"].as_object().context("no metric")?;
    let labels = metric.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    let mut points = Vec::new();
    for (name, many) in [("value", false), ("histogram", false), ("values", true), ("histograms", true)] {
        let Some(found) = json.get(name) else { continue };
        let found = if many { found.as_array().context("no points")?.as_slice() } else { std::slice::from_ref(found) };
        for one in found {
            points.push(of_pair(one)?);
        }
    }
    points.sort_by_key(|(time_ms, _)| *time_ms);
    Ok(Row { labels: labels.collect(), points })
}

fn of_pair(json: &Value) -> anyhow::Result<(i64, Point)> {
    let time_ms = (json[0].as_f64().context("no time")? * 1000.0).round() as i64;
    if json[1].is_string() {
        return Ok((time_ms, Point::Number(number(&json[1])?)));
    }
    let bucket = |json: &Value| -> anyhow::Result<(u8, [f64; 3])> {
        let rule = json[0].as_u64().context("no rule")? as u8;
        Ok((rule, [number(&json[1])?, number(&json[2])?, number(&json[3])?]))
    };
    let buckets = json[1]["buckets"].as_array().map_or(&[][..], Vec::as_slice);
    let buckets = buckets.iter().map(bucket).collect::<Result<_, _>>()?;
    Ok((time_ms, Point::Histogram { count: number(&json[1]["count"])?, sum: number(&json[1]["sum"])?, buckets }))
}

fn number(json: &Value) -> anyhow::Result<f64> {
    match json.as_str().context("no number in a string")? {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        text => match text.parse() {
            Ok(number) => Ok(number),
            Err(_) => bail!("{text:?} is not a number"),
        },
    }
}

impl Display for Point {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Point::Number(value) => write!(out, "{value:?}"),
            Point::Histogram { count, sum, buckets } => {
                write!(out, "{{count:{count:?} sum:{sum:?}")?;
                for (rule, [lower, upper, count]) in buckets {
                    write!(
                        out,
                        " {}{lower:?},{upper:?}{}:{count:?}",
                        ["(", "[", "(", "["][usize::from(*rule)],
                        ["]", ")", ")", "]"][usize::from(*rule)]
                    )?;
                }
                out.write_str("}")
            }
        }
    }
}

impl Display for Answer {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Failed { kind, text } => writeln!(out, "    {kind}: {text}")?,
            Outcome::Rows { shape, rows } => {
                writeln!(out, "    {shape} of {}", rows.len())?;
                for row in rows.iter().take(12) {
                    let points: Vec<String> =
                        row.points.iter().take(8).map(|(time_ms, point)| format!("{point} @{time_ms}")).collect();
                    let more =
                        if row.points.len() > 8 { format!(" … {} in all", row.points.len()) } else { String::new() };
                    writeln!(out, "    {:?} {}{more}", row.labels, points.join(" "))?;
                }
            }
        }
        for warning in &self.warnings {
            writeln!(out, "    warning: {warning}")?;
        }
        for info in &self.infos {
            writeln!(out, "    info: {info}")?;
        }
        Ok(())
    }
}
