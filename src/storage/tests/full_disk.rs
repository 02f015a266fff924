//! A disk that has no room: at the start, and while a log segment grows.

use super::*;

const MIB: u64 = 1 << 20;

/// Writes until the engine takes it again.
fn write_when_taken(fixture: &Fixture, row: &(Labels, i64, f64)) {
    let real = Clock::system();
    while fixture.try_write(std::slice::from_ref(row)).is_err() {
        assert!(real.monotonic() < Duration::from_secs(60), "still refused");
        std::thread::yield_now();
    }
}

fn wait_until_refused(fixture: &Fixture) -> String {
    let real = Clock::system();
    loop {
        if let Some(failing) = fixture.storage.log_failing() {
            return failing.as_ref().clone();
        }
        assert!(real.monotonic() < Duration::from_secs(60), "still taken");
        std::thread::yield_now();
    }
}

#[test]
fn a_full_disk_is_started_on_queried_and_written_to_when_there_is_room() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let up = series("up", 1);
    open(&disk, &clock).write(&[(up.clone(), T0, 1.0)]);
    let disk = disk.crash(3);
    disk.set_free_bytes(0);
    let fixture = open(&disk, &clock);
    assert_eq!(fixture.read(&up), bits(&[(T0, 1.0)]));
    let why = wait_until_refused(&fixture);
    assert!(why.contains("/data/log") && why.contains("192 MiB"), "{why}");
    let refused = fixture.try_write(&[(up.clone(), T0 + 1, 2.0)]);
    assert!(matches!(refused, Err(WriteError::LogFailing(_))), "{refused:?}");
    disk.set_free_bytes(191 * MIB);
    assert!(fixture.try_write(&[(up.clone(), T0 + 1, 2.0)]).is_err(), "the reserve is not there yet");
    disk.set_free_bytes(300 * MIB);
    write_when_taken(&fixture, &(up.clone(), T0 + 1, 2.0));
    drop(fixture);
    assert_eq!(open(&disk.crash(4), &clock).read(&up), bits(&[(T0, 1.0), (T0 + 1, 2.0)]));
}

#[test]
fn writes_are_refused_while_a_segment_grows_before_the_disk_is_full() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0));
    let up = series("up", 1);
    let fixture = open(&disk, &clock);
    disk.set_free_bytes(200 * MIB);
    fixture.write(&[(up.clone(), T0, 1.0)]);
    assert!(fixture.storage.log_failing().is_none(), "what the segment took is not missing");
    // Somebody else fills the disk: 192 MiB less one segment and one group are to stay.
    disk.set_free_bytes(123 * MIB);
    clock.advance(Duration::from_secs(2));
    let mut taken = vec![(T0, 1.0)];
    while fixture.storage.log_failing().is_none() {
        let next = (T0 + taken.len() as i64, 2.0);
        if fixture.try_write(&[(up.clone(), next.0, next.1)]).is_ok() {
            taken.push(next);
        }
    }
    assert_eq!(fixture.read(&up), bits(&taken), "queries go on");
    assert!(wait_until_refused(&fixture).contains("124 MiB"));
    disk.set_free_bytes(124 * MIB);
    let last = (T0 + taken.len() as i64, 3.0);
    write_when_taken(&fixture, &(up.clone(), last.0, last.1));
    taken.push(last);
    drop(fixture);
    assert_eq!(open(&disk.crash(5), &clock).read(&up), bits(&taken), "what was acknowledged, and no more");
}
