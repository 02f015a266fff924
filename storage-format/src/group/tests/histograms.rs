use super::*;
use crate::histogram::{Histogram, Layout, Span, is_marker};

/// A histogram of one bucket.
fn histogram(count: f64) -> Histogram {
    let layout = Layout { positive: vec![Span { offset: 3, length: 1 }], ..Layout::default() };
    Histogram { layout: layout.into(), count, sum: 2.5 * count, positive: vec![count], ..Histogram::default() }
}

fn told(bytes: &[u8], column: usize) -> Result<Vec<(i64, Histogram)>, Corruption> {
    let mut told = Vec::new();
    read_histograms(bytes, column, &mut Scratch::default(), |time_ms, histogram| {
        told.push((time_ms, histogram.clone()))
    })?;
    Ok(told)
}

/// A column of floats, one of histograms, one of both, and again one of floats.
pub(super) fn mixed_group(effort: Effort) -> (Vec<u8>, Vec<Samples>, [Vec<Histogram>; 2]) {
    let times = even(50);
    let counts: Vec<f64> = (0..50).map(|index| f64::from(index * 3)).collect();
    let histograms =
        [counts.iter().map(|count| histogram(*count)).collect::<Vec<_>>(), vec![histogram(7.0), Histogram::stale()]];
    let marker = |histogram: &Histogram| f64::from_bits(histogram.marker());
    let all: Vec<f64> = histograms[0].iter().map(marker).collect();
    let mut both = counts.clone();
    (both[20], both[21]) = (marker(&histograms[1][0]), marker(&histograms[1][1]));
    let samples: Vec<Samples> = [counts.clone(), all, both, counts].map(|values| (times.clone(), values)).into();
    let columns: Vec<Column<'_>> =
        samples.iter().map(|(timestamps_ms, values)| Column { timestamps_ms, values }).collect();
    let mut bytes = Vec::new();
    let lists: [&[Histogram]; 3] = [&[], &histograms[0], &histograms[1]];
    assert_eq!(GroupEncoder::default().encode_with_histograms(&columns, &lists, effort, &mut bytes), Ok(effort));
    (bytes, samples, histograms)
}

#[test]
fn histograms_have_columns_of_their_own_with_floats_among_them() {
    for effort in [Effort::Fresh, Effort::Compact] {
        let (bytes, samples, histograms) = mixed_group(effort);
        check_round_trip(&samples, &bytes, &mut Scratch::default());
        for (column, histograms) in histograms.iter().enumerate() {
            let told = told(&bytes, column + 1).unwrap();
            let (times_ms, values) = &samples[column + 1];
            let marked = times_ms.iter().zip(values).filter(|(_, value)| is_marker(value.to_bits()));
            assert!(told.iter().map(|told| told.0).eq(marked.map(|(time_ms, _)| *time_ms)));
            assert!(told.len() == histograms.len());
            assert!(told.iter().zip(histograms).all(|(told, written)| told.1.same_bits(written)));
        }
        assert!(told(&bytes, 0).unwrap().is_empty(), "floats have no histograms");
        let group = GroupReader::open(&bytes).unwrap();
        assert_eq!((group.is_copy(3), group.reference(3)), (true, Some(0)), "floats are told by floats");
        told(&bytes, 4).expect_err("one column too many");
    }
}

#[test]
fn damage_of_histograms_costs_their_column_alone() {
    let (bytes, samples, _) = mixed_group(Effort::Fresh);
    let open = |bytes: &[u8]| head::Head::open(bytes).map(|head| head.columns[1].body.bytes);
    assert!(open(&bytes).unwrap() > 16, "a body behind the head");
    let mut damaged = bytes.clone();
    let last = damaged.len() - 5;
    damaged[last] ^= 1;
    let group = GroupReader::open(&damaged).unwrap();
    assert!((0..4).map(|column| read(&group, column, &mut Scratch::default())).filter(Result::is_err).count() == 1);
    assert!(same(&read(&group, 0, &mut Scratch::default()).unwrap(), &samples[0]));
    // A row of histograms that refers, and one without samples.
    let refusal =
        |rows: &[&[u8]], times: &[u8]| GroupReader::open(&crafted(&[times], rows, &[], &[])).expect_err("refused").what;
    assert_eq!(refusal(&[&[0x00, 0], &[0x22, 1, 0]], SECONDS), "a column of histograms refers to another");
    assert_eq!(refusal(&[&[0x02, 0]], &[0, 0, 0, 0]), "a column of histograms has no samples");
}
