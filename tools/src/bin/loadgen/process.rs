//! What a process has used so far, as Linux tells it under `/proc`.

use std::fs;

use anyhow::{Context, bail};

/// Ticks of `/proc/<pid>/stat` in a second: `USER_HZ`, 100 on every architecture that Linux runs servers on.
const TICKS_PER_S: f64 = 100.0;

/// Names a process: a number, or `self`.
#[derive(Clone, Debug)]
pub(crate) struct Process(String);

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident_bytes: u64,
    pub(crate) peak_bytes: u64,
}

impl Process {
    pub(crate) fn of_pid(pid: u32) -> Process {
        Process(pid.to_string())
    }

    pub(crate) fn own() -> Process {
        Process("self".to_owned())
    }

    /// CPU time used so far by all its threads, in user and kernel, in seconds.
    pub(crate) fn cpu_s(&self) -> anyhow::Result<f64> {
        let text = self.read("stat")?;
        cpu_s_of(&text).with_context(|| format!("/proc/{}/stat is not as expected", self.0))
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let text = self.read("status")?;
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kilobytes: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
            kilobytes.map(|count| count * 1024).with_context(|| format!("no {name} in /proc/{}/status", self.0))
        };
        Ok(Memory { resident_bytes: bytes("VmRSS")?, peak_bytes: bytes("VmHWM")? })
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}: is the process still alive?"))
    }
}

/// Fields 14 and 15 of the line, counted behind the name, which may hold spaces and brackets itself.
pub(crate) fn cpu_s_of(stat: &str) -> anyhow::Result<f64> {
    let Some((_, fields)) = stat.rsplit_once(')') else { bail!("no name in brackets") };
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next().context("too few fields")?.parse::<f64>().context("not a number");
    Ok((ticks()? + ticks()?) / TICKS_PER_S)
}
