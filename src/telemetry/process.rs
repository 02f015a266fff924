//! What the system knows about this process, read from `/proc` at each scrape, under the names that every Prometheus
//! client library uses.

use super::Registry;

/// Ticks a second in `/proc`: Linux shows 100 to programs on every machine, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// Registers `process_*` and `dozor_build_info`. A number that the system does not show reads 0.
pub fn register_process(registry: &Registry) {
    registry.gauge_fn("process_resident_memory_bytes", "Memory that is in RAM.", &[], resident_bytes);
    registry.counter_fn("process_cpu_seconds_total", "CPU time, user and system.", &[], cpu_seconds);
    registry.gauge_fn("process_start_time_seconds", "Start, in seconds since 1970 UTC.", &[], start_seconds);
    registry.gauge_fn("process_open_fds", "Open file descriptors.", &[], open_files);
    let labels = [("version", env!("CARGO_PKG_VERSION"))];
    registry.gauge_fn("dozor_build_info", "1, with the version as label.", &labels, || 1.0);
}

/// Memory that this process may use: the machine's, or its control group's where that is less. 1 GiB if neither is told.
pub fn memory_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let line = read("/proc/meminfo").lines().find_map(|line| Some(line.strip_prefix("MemTotal:")?.trim().to_owned()));
    let machine = line.and_then(|line| line.strip_suffix(" kB")?.parse::<u64>().ok()).map(|kibibytes| kibibytes << 10);
    let group = read("/sys/fs/cgroup/memory.max").trim().parse::<u64>().ok();
    machine.into_iter().chain(group).min().unwrap_or(1 << 30)
}

/// What the machine calls itself; empty if it does not say.
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// How many threads this process has; 0 if the system does not say.
pub fn threads_count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|number| number.parse::<f64>().ok());
    kibibytes.unwrap_or(0.0) * 1024.0
}

fn cpu_seconds() -> f64 {
    (stat_field(14) + stat_field(15)) / TICKS_PER_SECOND
}

fn start_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|number| number.parse::<f64>().ok());
    boot.map_or(0.0, |boot| boot + stat_field(22) / TICKS_PER_SECOND)
}

fn open_files() -> f64 {
    std::fs::read_dir("/proc/self/fd").map_or(0.0, |entries| entries.count() as f64)
}

/// A number of `/proc/self/stat` by its place in `proc(5)`, counted from 1. The name in field 2 may hold spaces and
/// parentheses, so counting starts behind its last one.
fn stat_field(place: usize) -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name.split(' ').nth(place - 3).and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
