//! Samples of the text formats, written by the formats' own words and read again.

use std::borrow::Cow;

use dozor::ingest::{Format, Line, Sample, lines};

/// What is read of a text that says what this sample says is this sample.
pub(super) fn is_read_as_written(sample: &Sample<'_>, format: Format) {
    let line = written(sample, format);
    let read: Vec<_> = lines(line.as_bytes(), format).collect();
    let [Ok(Line::Sample(again))] = read.as_slice() else { panic!("{line:?} is read as {read:?}") };
    assert_eq!(told(again), told(sample), "{line:?}");
}

type Told<'a> = (&'a str, Vec<(Cow<'a, str>, Cow<'a, str>)>, u64, Option<i64>);

fn told<'a>(sample: &'a Sample<'a>) -> Told<'a> {
    (&sample.name, sample.labels.iter().collect(), sample.value.to_bits(), sample.timestamp_ms)
}

fn written(sample: &Sample<'_>, format: Format) -> String {
    let quoted = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("\"{text}\"")
    };
    let name = [quoted(&sample.name)].into_iter();
    let labels = sample.labels.iter().map(|(name, value)| format!("{}={}", quoted(&name), quoted(&value)));
    let items: Vec<String> = name.chain(labels).collect();
    let time = sample.timestamp_ms.map(|ms| match format {
        Format::Text => format!(" {ms}"),
        Format::OpenMetrics => {
            let sign = if ms < 0 { "-" } else { "" };
            format!(" {sign}{}.{:03}", ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000)
        }
    });
    format!("{{{}}} {:?}{}", items.join(","), sample.value, time.unwrap_or_default())
}
