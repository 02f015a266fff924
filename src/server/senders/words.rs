//! What is told of a loss, and how it is read again after a restart: the outbox is what remembers it.

use super::loss::{EVERYBODY, Loss, Turn};
use crate::model::Labels;
use crate::notify::{Alert, rfc3339};

/// Name of the alert.
pub(super) const TELEMETRY_LOST: &str = "TelemetryLost";
/// Most bytes of the jobs that are named.
const JOBS_BYTES_MAX: usize = 2_000;
const JOBS: &str = "jobs";
const SERIES: &str = "series";
/// Between the names of jobs.
const COMMA: &str = ", ";

/// The alert of a turn. `external_url` is where this server is reached, without a slash at its end.
pub(super) fn alert_of(turn: &Turn, external_url: &str) -> Alert {
    let (loss, ends_at_ms) = match turn {
        Turn::Lost(loss) => (loss, None),
        Turn::Back { loss, at_ms } => (loss, Some(*at_ms)),
    };
    let since = rfc3339(loss.since_ms);
    let whose = match loss.jobs.len() {
        _ if loss.name == EVERYBODY => format!("none of {} jobs", loss.jobs.len()),
        1 => format!("job {}", loss.name),
        count => format!("{count} jobs ({})", loss.name),
    };
    let nothing = if loss.name == EVERYBODY { "anything" } else { "nothing" };
    let summary = match ends_at_ms {
        None => format!("Telemetry lost: {whose} has sent {nothing} since {since}"),
        Some(at_ms) => format!("Telemetry is back: {whose} had sent {nothing} from {since} to {}", rfc3339(at_ms)),
    };
    let annotations = [
        ("summary", summary),
        ("since", since),
        ("last_sample", rfc3339(loss.newest_ms)),
        (SERIES, loss.series_count.to_string()),
        (JOBS, names(loss)),
        (
            "meaning",
            "What these jobs watch may be well or not: their alerts are kept as they were until data come.".to_owned(),
        ),
    ];
    let pairs = [("alertname", TELEMETRY_LOST), ("job", loss.name.as_str()), ("severity", "warning")];
    let labels = Labels::from_pairs(pairs)
        .or_else(|_| Labels::from_pairs([("alertname", TELEMETRY_LOST), ("job", "?"), ("severity", "warning")]))
        .expect("three short labels are a label set");
    Alert {
        labels,
        annotations: annotations.into_iter().map(|(name, text)| (name.to_owned(), text)).collect(),
        starts_at_ms: loss.since_ms,
        ends_at_ms,
        generator_url: format!("{external_url}/api/v1/status/senders"),
    }
}

fn names(loss: &Loss) -> String {
    let (mut names, mut told) = (String::new(), 0);
    for job in &loss.jobs {
        if names.len() + job.len() > JOBS_BYTES_MAX {
            return format!("{names} and {} more", loss.jobs.len() - told);
        }
        names.push_str(if told == 0 { "" } else { COMMA });
        names.push_str(job);
        told += 1;
    }
    names
}

/// The loss that an alert told, if it is one of these.
pub(super) fn loss_of(alert: &Alert) -> Option<Loss> {
    let name = alert.labels.get("job").filter(|_| is_loss(alert))?;
    let annotation =
        |name: &str| alert.annotations.iter().find(|(other, _)| other == name).map(|(_, text)| text.as_str());
    let jobs = annotation(JOBS).unwrap_or(name).split(COMMA).map(str::to_owned).collect();
    let series_count = annotation(SERIES).and_then(|text| text.parse().ok()).unwrap_or(0);
    Some(Loss {
        name: name.to_owned(),
        jobs,
        since_ms: alert.starts_at_ms,
        series_count,
        newest_ms: alert.starts_at_ms,
    })
}

/// Whether it tells of a loss.
pub(super) fn is_loss(alert: &Alert) -> bool {
    alert.labels.get("alertname") == Some(TELEMETRY_LOST)
}
