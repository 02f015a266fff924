use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::Corruption;
use crate::column::Effort;
use crate::testing::{assert_numbers, value_strategy};

fn layout(positive: &[(i32, u32)], negative: &[(i32, u32)]) -> Arc<Layout> {
    let spans = |spans: &[(i32, u32)]| spans.iter().map(|&(offset, length)| Span { offset, length }).collect();
    Arc::new(Layout {
        zero_threshold: 0.001,
        positive: spans(positive),
        negative: spans(negative),
        ..Layout::default()
    })
}

fn stream_of(samples: &[(i64, Histogram)]) -> Vec<u8> {
    let (mut appender, mut stream) = (Appender::default(), Vec::new());
    for (position, (timestamp_ms, histogram)) in samples.iter().enumerate() {
        appender.append(&mut stream, *timestamp_ms, histogram);
        assert_eq!((appender.count() as usize, appender.last_timestamp()), (position + 1, *timestamp_ms));
        assert!(appender.last_is(histogram));
    }
    stream
}

fn read_stream(stream: &[u8], count: u32) -> Result<Vec<(i64, Histogram)>, Corruption> {
    let mut reader = StreamReader::new(stream, count);
    let mut samples = Vec::new();
    while let Some((timestamp_ms, histogram)) = reader.read()? {
        samples.push((timestamp_ms, histogram.clone()));
    }
    Ok(samples)
}

fn pages_of(histograms: &[Histogram], effort: Effort) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_pages(histograms, effort, &mut bytes);
    bytes
}

fn read_pages(bytes: &[u8], count: usize) -> Result<Vec<Histogram>, Corruption> {
    let mut reader = PagesReader::new(bytes, count);
    let mut histograms = Vec::new();
    while let Some(histogram) = reader.read()? {
        histograms.push(histogram.clone());
    }
    Ok(histograms)
}

fn assert_same(read: &[Histogram], written: &[Histogram]) {
    assert_eq!(read.len(), written.len());
    for (position, (read, written)) in read.iter().zip(written).enumerate() {
        assert!(read.same_bits(written), "sample {position} is {read:?}, not {written:?}");
    }
}

/// Through both forms and back.
fn assert_round_trip(samples: &[(i64, Histogram)]) {
    let (times, histograms): (Vec<i64>, Vec<Histogram>) = samples.iter().cloned().unzip();
    let (read_times, read): (Vec<i64>, Vec<Histogram>) =
        read_stream(&stream_of(samples), samples.len() as u32).unwrap().into_iter().unzip();
    assert_eq!(read_times, times);
    assert_same(&read, &histograms);
    for effort in [Effort::Plain, Effort::Fresh, Effort::Compact] {
        assert_same(&read_pages(&pages_of(&histograms, effort), histograms.len()).unwrap(), &histograms);
    }
}

/// What a program's latency histogram looks like, scraped each 15 s: a new bucket now and then, a restart half way.
fn scraped(samples: usize) -> Vec<(i64, Histogram)> {
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |bound: u64| {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        (chance >> 11) % bound
    };
    let (mut counts, mut sum) = (vec![0_u64; 40], 0.0);
    let mut told = Vec::new();
    for sample in 0..samples {
        if sample == samples / 2 {
            (counts, sum) = (vec![0; 40], 0.0);
        }
        for _ in 0..20 + below(20) {
            let bucket = 20 + below(6) + below(6) - below(6) - below(6);
            counts[bucket as usize] += 1;
            sum += 0.001 * (bucket * bucket) as f64 * (1.0 + below(1000) as f64 / 4096.0);
        }
        let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
        let last = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        let held = &counts[first..=last];
        let layout = layout(&[(first as i32 - 30, held.len() as u32)], &[]);
        let positive: Vec<f64> = held.iter().map(|count| *count as f64).collect();
        let count = positive.iter().sum();
        told.push((
            1_700_000_000_000 + 15_000 * sample as i64,
            Histogram { layout, sum, count, positive, ..Histogram::default() },
        ));
    }
    told
}

#[test]
fn the_constants_are_those_of_the_chapter() {
    let told = [
        ("BUCKETS_MAX", BUCKETS_MAX as u64),
        ("PAGE_SAMPLES_MAX", PAGE_SAMPLES_MAX as u64),
        ("PAGE_NUMBERS_MAX", PAGE_NUMBERS_MAX as u64),
        ("HINT_MAX", u64::from(HINT_MAX)),
    ];
    assert_numbers(include_str!("../../spec/histogram.md"), &told);
}

#[test]
fn the_examples_of_the_chapter_are_what_is_written() {
    let layout = layout(&[(-1, 2)], &[]);
    let first =
        Histogram { layout, count: 4.0, sum: 2.5, zero_count: 1.0, positive: vec![1.0, 2.0], ..Histogram::default() };
    let second = Histogram { count: 6.0, positive: vec![1.0, 4.0], ..first.clone() };
    let samples = [(1_000, first), (16_000, second), (31_000, Histogram::stale())];
    let figures: Vec<String> =
        include_str!("../../spec/histogram.md").split("```").skip(1).step_by(2).map(bytes_of).collect();
    assert_eq!(hex(&stream_of(&samples)), figures[0]);
    let histograms: Vec<Histogram> = samples.into_iter().map(|(_, histogram)| histogram).collect();
    assert_eq!(
        hex(&pages_of(&histograms, Effort::Compact)),
        figures.last().expect("the last figure is of pages").as_str()
    );
}

/// The bytes that a figure shows, in the row below each upper edge.
fn bytes_of(figure: &str) -> String {
    let lines = figure.lines().zip(figure.lines().skip(1));
    let shown = lines.filter(|(edge, _)| edge.starts_with('┌')).flat_map(|(_, row)| row.split_whitespace());
    let is_byte = |word: &&str| word.len() == 2 && u8::from_str_radix(word, 16).is_ok();
    shown.filter(is_byte).collect::<Vec<_>>().join(" ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn scraped_histograms_come_back_and_are_small() {
    let samples = scraped(480);
    assert_round_trip(&samples);
    let numbers: usize = samples.iter().map(|(_, histogram)| TOTALS + histogram.positive.len()).sum();
    let histograms: Vec<Histogram> = samples.iter().map(|(_, histogram)| histogram.clone()).collect();
    let (stream, pages) = (stream_of(&samples).len(), pages_of(&histograms, Effort::Compact).len());
    assert!(stream * 4 < numbers * 8, "{stream} bytes of stream for {numbers} numbers");
    assert!(pages * 8 < numbers * 8, "{pages} bytes of pages for {numbers} numbers");
}

#[test]
fn a_new_layout_keeps_what_both_have() {
    let narrow = Histogram {
        layout: layout(&[(0, 2)], &[(3, 1)]),
        count: 1e6 + 3.0,
        positive: vec![1e6, 1.0],
        negative: vec![2.0],
        ..Histogram::default()
    };
    let wide = Histogram {
        layout: layout(&[(-1, 2), (0, 2)], &[(3, 1)]),
        positive: vec![0.0, 1e6, 1.0, 0.0],
        ..narrow.clone()
    };
    let samples = [(0, narrow), (1, wide)];
    let stream = stream_of(&samples);
    // Time, control, a layout of 18 bytes, sum, one run of all that is as it was, and the count.
    assert_eq!(stream.len() - stream_of(&samples[..1]).len(), 1 + 1 + 18 + 1 + 1 + 1);
    assert_round_trip(&samples);
}

#[test]
fn stale_markers_leave_the_layout_as_it_is() {
    let observed = Histogram {
        layout: layout(&[(0, 2)], &[]),
        count: 3.0,
        positive: vec![1.0, 2.0],
        hint: 3,
        ..Histogram::default()
    };
    let again = Histogram { count: 4.0, positive: vec![2.0, 2.0], ..observed.clone() };
    let with_buckets = Histogram { sum: Histogram::stale().sum, ..again.clone() };
    let samples = [
        (0, observed.clone()),
        (5, Histogram::stale()),
        (10, Histogram::stale()),
        (15, again),
        (20, with_buckets),
        (25, observed),
    ];
    assert_round_trip(&samples);
    let stream = stream_of(&samples[..2]);
    assert_eq!(stream.len() - stream_of(&samples[..1]).len(), 2, "a marker is its time and a byte");
}

#[test]
fn pages_are_many_when_buckets_are() {
    let wide = |sample: usize| {
        let positive: Vec<f64> = (0..1000).map(|bucket| (bucket * sample) as f64).collect();
        Histogram { layout: layout(&[(0, 1000)], &[]), count: positive.iter().sum(), positive, ..Histogram::default() }
    };
    let histograms: Vec<Histogram> = (0..300).map(wide).collect();
    let bytes = pages_of(&histograms, Effort::Fresh);
    assert_eq!(bytes[0], 130, "131,072 numbers are 130 samples of 1,003");
    assert_same(&read_pages(&bytes, 300).unwrap(), &histograms);
    // Layouts that change each time.
    let shifting: Vec<Histogram> =
        (0..300).map(|sample| Histogram { layout: layout(&[(sample, 1000)], &[]), ..wide(sample as usize) }).collect();
    assert_same(&read_pages(&pages_of(&shifting, Effort::Fresh), 300).unwrap(), &shifting);
}

#[test]
fn the_widest_histogram_has_a_page_of_its_own() {
    let widest = Histogram {
        layout: layout(&[(0, BUCKETS_MAX as u32)], &[]),
        positive: vec![7.0; BUCKETS_MAX],
        ..Histogram::default()
    };
    assert_round_trip(&[(0, widest.clone()), (1, widest)]);
}

#[test]
#[should_panic(expected = "a count for each bucket")]
fn counts_that_the_layout_does_not_name_are_our_own_fault() {
    Appender::default().append(&mut Vec::new(), 0, &Histogram { positive: vec![1.0], ..Histogram::default() });
}

#[test]
fn an_appender_goes_on_where_a_stream_ends() {
    let samples = scraped(40);
    for stop in [0, 1, 2, 20, 39] {
        let mut stream = stream_of(&samples[..stop]);
        let mut appender = Appender::resume(&stream, stop as u32).unwrap();
        for (timestamp_ms, histogram) in &samples[stop..] {
            appender.append(&mut stream, *timestamp_ms, histogram);
        }
        assert_eq!(stream, stream_of(&samples));
    }
    let ended = stream_of(&[samples[0].clone(), (5, Histogram::stale())]);
    assert!(Appender::resume(&ended, 2).unwrap().last_is(&Histogram::stale()));
}

#[test]
fn damage_is_refused_with_its_place() {
    let observed =
        Histogram { layout: layout(&[(0, 1)], &[]), count: 1.0, positive: vec![1.0], ..Histogram::default() };
    let stream = stream_of(&[(0, observed.clone())]);
    let refused = |change: &dyn Fn(&mut Vec<u8>), count: u32| {
        let mut bytes = stream.clone();
        change(&mut bytes);
        read_stream(&bytes, count).expect_err("damaged")
    };
    assert_eq!(refused(&|bytes| bytes[1] = 0x80, 1), Corruption::at(1, "a control byte has flags without meaning"));
    assert_eq!(refused(&|bytes| bytes[1] = 0x14, 1), Corruption::at(1, "a control byte has flags without meaning"));
    assert_eq!(refused(&|_| (), 2).what, "the bytes end within a field");
    assert_eq!(refused(&|bytes| bytes.push(0), 1).what, "bytes are left after the last field");
    let length_at = 2 + 1 + 8 + 1 + 1;
    assert_eq!(stream[length_at], 1, "the span's length");
    let too_many = refused(&|bytes| drop(bytes.splice(length_at..=length_at, [0x81, 0x80, 0x01])), 1);
    assert_eq!(too_many, Corruption::at(2, "a histogram has too many buckets"));
    let run_at = stream.len() - 3;
    assert_eq!(
        refused(&|bytes| bytes[run_at] = 5, 1),
        Corruption::at(run_at, "a run is longer than the histogram has buckets")
    );

    let pages = pages_of(&[observed.clone(), observed], Effort::Fresh);
    assert_eq!(read_pages(&pages, 1).expect_err("one sample").what, "a page has no samples or too many");
    assert_eq!(read_pages(&pages, 3).expect_err("three samples").what, "the bytes end within a field");
    for (at, byte) in (0..pages.len()).flat_map(|at| [0, 1, 2, 0x7f, 0x80, 0xff].map(|byte| (at, byte))) {
        let mut bytes = pages.clone();
        bytes[at] = byte;
        let _ = read_pages(&bytes, 2);
        let _ = read_pages(&bytes[..at], 2);
    }
}

#[test]
fn few_bytes_for_many_numbers_are_refused() {
    // One layout of 16,384 buckets, 4,096 samples.
    let mut page = vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x80, 0x80, 0x01, 0, 0, 0x80, 0x20, 1];
    let mut bytes = vec![0x80, 0x20, page.len() as u8];
    bytes.append(&mut page);
    assert_eq!(read_pages(&bytes, 4096).expect_err("64 million numbers").what, "a page holds too many numbers");
}

fn spans() -> impl Strategy<Value = Vec<(i32, u32)>> {
    prop::collection::vec((0..4_i32, 0..4_u32), 0..4).prop_flat_map(|spans| {
        (-5..5_i32).prop_map(move |first| {
            let mut spans = spans.clone();
            if let Some(span) = spans.first_mut() {
                span.0 = first;
            }
            spans
        })
    })
}

fn histogram() -> impl Strategy<Value = Histogram> {
    let custom = prop::collection::vec(value_strategy(), 0..2);
    let layout = (0..3_i32, prop::sample::select(vec![0.0, 0.001]), spans(), spans(), custom).prop_map(
        |(schema, zero_threshold, positive, negative, custom)| {
            let spans = layout(&positive, &negative);
            Layout { schema, zero_threshold, custom_values: custom.into(), ..(*spans).clone() }
        },
    );
    let numbers = prop::collection::vec(value_strategy(), TOTALS + 24);
    let whole = prop::collection::vec((0..50_i32).prop_map(f64::from), TOTALS + 24);
    (layout, 0..=HINT_MAX, prop_oneof![numbers, whole]).prop_map(|(layout, hint, numbers)| {
        let positive = numbers[TOTALS..TOTALS + layout.positive_count()].to_vec();
        let negative = numbers[TOTALS + 12..TOTALS + 12 + layout.negative_count()].to_vec();
        let [sum, count, zero_count] = [numbers[0], numbers[1], numbers[2]];
        Histogram { layout: Arc::new(layout), hint, sum, count, zero_count, positive, negative }
    })
}

/// Few different layouts, many samples, all kinds of numbers.
fn histograms() -> impl Strategy<Value = Vec<(i64, Histogram)>> {
    let pool = prop::collection::vec(prop_oneof![9 => histogram(), 1 => Just(Histogram::stale())], 1..6);
    let picks = prop::collection::vec((any::<prop::sample::Index>(), -20_000..20_000_i64, value_strategy()), 1..40);
    (pool, picks, any::<i64>()).prop_map(|(pool, picks, start)| {
        let samples = picks.into_iter().enumerate().map(|(position, (pick, jitter, change))| {
            let mut histogram = pick.get(&pool).clone();
            if let Some(count) = histogram.positive.last_mut() {
                *count = change;
            }
            (start.wrapping_add(jitter).wrapping_add(15_000 * position as i64), histogram)
        });
        samples.collect()
    })
}

proptest! {
    #[test]
    fn any_histograms_come_back_to_the_last_bit(samples in histograms()) {
        assert_round_trip(&samples);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0_u32..100) {
        let _ = read_stream(&bytes, count);
        let _ = read_pages(&bytes, count as usize);
        let _ = Appender::resume(&bytes, count);
    }

    #[test]
    fn changed_bytes_are_read_or_refused(samples in histograms(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let histograms: Vec<Histogram> = samples.iter().map(|(_, histogram)| histogram.clone()).collect();
        let (mut stream, mut pages) = (stream_of(&samples), pages_of(&histograms, Effort::Fresh));
        *at.get_mut(&mut stream) = byte;
        *at.get_mut(&mut pages) = byte;
        let _ = read_stream(&stream, samples.len() as u32);
        let _ = read_pages(&pages, samples.len());
    }
}

#[test]
fn a_marker_is_a_float_of_its_own_for_each_histogram() {
    let one = Histogram { layout: layout(&[(0, 1)], &[]), count: 1.0, positive: vec![1.0], ..Histogram::default() };
    let others = [
        Histogram { hint: 1, ..one.clone() },
        Histogram { sum: -0.0, ..one.clone() },
        Histogram { positive: vec![2.0], ..one.clone() },
        Histogram { layout: layout(&[(1, 1)], &[]), ..one.clone() },
    ];
    assert_eq!(one.marker(), one.clone().marker());
    for other in &others {
        assert_ne!(one.marker(), other.marker());
        assert!(is_marker(other.marker()) && f64::from_bits(other.marker()).is_nan());
    }
    for float in [f64::NAN, -f64::NAN, Histogram::stale().sum, f64::NEG_INFINITY, 0.0] {
        assert!(!is_marker(float.to_bits()));
    }
    // CRC-32C of hint, layout (schema, threshold, three empty lists) and three numbers, all of them zeros.
    let zeros = [0_u8; 1 + 1 + 8 + 3 + 3 * 8];
    assert_eq!(Histogram::default().marker(), MARKER_BITS | u64::from(crc32c::crc32c(&zeros)));
}
