//! Where the load goes, and from when on: the two arguments that need reading.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, bail};

/// A server on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
}

/// Reads `http://127.0.0.1:9090/api/v1/write`. A host that is not this machine is refused, always.
pub(crate) fn parse_target(url: &str) -> anyhow::Result<Target> {
    let rest = url.strip_prefix("http://").context("the URL must start with http://")?;
    let (authority, path) = rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, path.to_owned()));
    let (host, port) = authority.rsplit_once(':').context("the URL must name a port")?;
    let ip: IpAddr = match host {
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        _ => host.trim_matches(['[', ']']).parse().with_context(|| format!("{host} is not an address"))?,
    };
    if !ip.is_loopback() {
        bail!("{ip} is not this machine: load is generated for loopback addresses only");
    }
    let port = port.parse().with_context(|| format!("{port} is not a port"))?;
    Ok(Target { address: SocketAddr::new(ip, port), path: format!("/{path}") })
}

/// Reads a time: milliseconds since 1970, `now`, or `now-2h` with one of the units s, m, h, d.
pub(crate) fn parse_start(text: &str, now_ms: i64) -> anyhow::Result<i64> {
    let Some(offset) = text.strip_prefix("now") else {
        return text.parse().with_context(|| format!("{text} is neither milliseconds nor `now-2h`"));
    };
    if offset.is_empty() {
        return Ok(now_ms);
    }
    let span =
        offset.strip_prefix('-').with_context(|| format!("{text}: only the past can be named, as in `now-2h`"))?;
    let unit_ms = match span.chars().last() {
        Some('s') => 1_000,
        Some('m') => 60_000,
        Some('h') => 3_600_000,
        Some('d') => 86_400_000,
        _ => bail!("{text}: the unit must be s, m, h or d"),
    };
    let count: u32 = span[..span.len() - 1].parse().with_context(|| format!("{text}: how many?"))?;
    Ok(now_ms - i64::from(count) * unit_ms)
}
