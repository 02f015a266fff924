//! Histories that failed once, or could.

use super::outcome;

const OPEN_TIGHT: &str = "open shards=2 synced=true window=10 retention=0 rule=-1 head=600 segment=300";
const OPEN: &str = "open shards=1 synced=true window=300 retention=0 rule=-1 head=18446744073709551615 segment=8000";

fn play(operations: &str) {
    if let Err(error) = outcome(&format!("{OPEN}\n{operations}").parse().expect("a script")) {
        panic!("{error}\n{operations}");
    }
}

/// A block that goes and whose file cannot be removed is there at the next start, without what was deleted since.
#[test]
fn whatever_fails_while_blocks_are_merged_what_is_deleted_later_stays_deleted() {
    for fails_after in 0..40 {
        play(&format!(
            "advance 400
            write 0@100=1.0 1@100=1.0
            settle
            maintain 0
            write 0@101=2.0
            settle
            fail-after {fails_after}
            compact 0
            heal
            delete series 0 0 400
            kill 1"
        ));
    }
}

/// A block of belated samples ends where the head begins, not where its two hours end.
#[test]
fn what_comes_after_belated_samples_were_written_is_found_after_a_start() {
    play(
        "advance 200
        write 2@198=6.0
        settle
        compact 0
        write 0@202=7.25 1@122=0.1
        settle
        compact 0
        write 0@205=12.0
        settle
        kill 1",
    );
}

/// The log still has a belated sample that is in a block, and of whose series nothing is in the head.
#[test]
fn what_the_log_still_has_of_a_series_deleted_from_blocks_stays_deleted() {
    let open = OPEN.replace("shards=1", "shards=3").replace("head=18446744073709551615", "head=600");
    let operations = "advance 200
        write 1@206=0.0
        settle
        compact 0
        write 5@209=0.1
        write 0@200=7.25 1@199=25.0 3@199=1.0 2@190=25.0
        settle
        maintain 0
        compact 0
        delete job 0 116 205
        kill 3
        look";
    if let Err(error) = outcome(&format!("{open}\n{operations}").parse().expect("a script")) {
        panic!("{error}");
    }
}

/// A deletion that the log has yet to write must not outlive the series that it names.
#[test]
fn a_log_that_was_behind_defines_what_it_names() {
    let operations = "advance 200
        write 4@171=1.0
        settle
        restart 1
        free 4432
        delete series 4 146 505
        compact 0
        compact 0
        heal
        power-cut 432";
    if let Err(error) = outcome(&format!("{OPEN_TIGHT}\n{operations}").parse().expect("a script")) {
        panic!("{error}");
    }
}
