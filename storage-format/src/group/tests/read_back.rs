use super::histograms::mixed_group;
use super::*;
use crate::group::encode::append_checked;
use crate::group::read_back::ReadBack;
use crate::histogram::Histogram;

fn columns_of(samples: &[Samples]) -> Vec<Column<'_>> {
    samples.iter().map(|(timestamps_ms, values)| Column { timestamps_ms, values }).collect()
}

/// The first of these columns that the group does not have.
fn first_other(bytes: &[u8], samples: &[Samples], histograms: &[&[Histogram]]) -> Option<usize> {
    ReadBack::default().first_other(bytes, &columns_of(samples), histograms)
}

/// The next float, whatever it is.
fn nudge(value: &mut f64) {
    *value = f64::from_bits(value.to_bits() ^ 1);
}

#[test]
fn whatever_is_not_as_it_was_given_is_found() {
    for effort in [Effort::Plain, Effort::Fresh, Effort::Compact] {
        let samples = shop(60, 5);
        let bytes = encode(&samples, effort);
        assert_eq!(first_other(&bytes, &samples, &[]), None);
        for index in 0..samples.len() {
            for place in [0, samples[index].0.len() - 1] {
                let mut other = samples.clone();
                nudge(&mut other[index].1[place]);
                assert_eq!(first_other(&bytes, &other, &[]), Some(index), "value {place}");
                let mut other = samples.clone();
                other[index].0[place] += 1;
                assert_eq!(first_other(&bytes, &other, &[]), Some(index), "timestamp {place}");
            }
            let mut other = samples.clone();
            other[index].0.pop();
            other[index].1.pop();
            assert_eq!(first_other(&bytes, &other, &[]), Some(index), "one more than was given");
        }
        assert_eq!(first_other(&bytes, &samples[1..], &[]), Some(samples.len() - 1), "a column too many");
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(first_other(&damaged, &samples, &[]).is_some());
        assert_eq!(first_other(&bytes[..3], &samples, &[]), Some(0));
    }
}

#[test]
fn histograms_that_are_not_as_they_were_given_are_found() {
    for effort in [Effort::Plain, Effort::Fresh, Effort::Compact] {
        let (bytes, samples, [all, few]) = mixed_group(effort);
        assert_eq!(first_other(&bytes, &samples, &[&[], &all, &few]), None);
        let mut other = all.clone();
        nudge(&mut other[49].positive[0]);
        assert_eq!(first_other(&bytes, &samples, &[&[], &other, &few]), Some(1));
        let mut other = few.clone();
        nudge(&mut other[0].sum);
        assert_eq!(first_other(&bytes, &samples, &[&[], &all, &other]), Some(2));
        assert_eq!(first_other(&bytes, &samples, &[&[], &all[..49], &few]), Some(1), "one more than was given");
        assert_eq!(first_other(&bytes, &samples, &[&all[..1], &all, &few]), Some(0), "floats have none");
    }
}

#[test]
fn a_group_that_does_not_read_back_is_coded_plainly() {
    let samples = shop(100, 6);
    let mut faulty = samples.clone();
    nudge(&mut faulty[2].1[70]);
    let code = |effort, out: &mut Vec<u8>| {
        out.extend(encode(if effort == Effort::Plain { &samples } else { &faulty }, effort));
    };
    let mut bytes = vec![9; 5];
    let coded = append_checked(Effort::Compact, &mut bytes, code, |bytes| first_other(bytes, &samples, &[]));
    assert_eq!(coded, Ok(Effort::Plain));
    assert_eq!(bytes[..5], [9; 5]);
    check_round_trip(&samples, &bytes[5..], &mut Scratch::default());
}

#[test]
fn a_group_that_reads_back_in_no_way_is_refused() {
    let samples = shop(100, 7);
    let mut faulty = samples.clone();
    nudge(&mut faulty[3].1[0]);
    let mut bytes = vec![9; 5];
    let mut efforts = Vec::new();
    let code = |effort, out: &mut Vec<u8>| {
        efforts.push(effort);
        out.extend(encode(&faulty, effort));
    };
    let coded = append_checked(Effort::Fresh, &mut bytes, code, |bytes| first_other(bytes, &samples, &[]));
    assert_eq!(coded, Err(NotReadBack { column: 3 }));
    assert_eq!((bytes, efforts), (vec![9; 5], vec![Effort::Fresh, Effort::Plain]));
}
