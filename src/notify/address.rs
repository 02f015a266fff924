//! Where a webhook may go, so that a configured URL cannot be used to talk to what only this machine can reach.
//!
//! `http://10.0.0.5:8080/hook` and `http://localhost:9093/` are ordinary pagers and allowed. `http://169.254.169.254/`
//! is the door to a cloud machine's credentials and refused, also when it hides behind a name: the address is checked
//! after the name was looked up, and the connection then goes to the very address that was checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Metadata services that are not at a link-local address: AWS and GCP over IPv6, Alibaba, Azure's wire server, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254), Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)];
const METADATA_NAMES: [&str; 2] = ["metadata.google.internal", "metadata.goog"];

/// Reads a receiver's URL and refuses what no pager can be at; says why.
pub(crate) fn check_url(url: &str) -> Result<Url, String> {
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme {:?} is neither http nor https", url.scheme()));
    }
    let host = url.host_str().ok_or("there is no host")?.trim_end_matches('.');
    if METADATA_NAMES.contains(&host.to_ascii_lowercase().as_str()) {
        return Err(format!("{host} is a cloud metadata service"));
    }
    // A literal address is never looked up, so the resolver below would not see it. `Url` has already turned other
    // spellings (0xa9fea9fe, 169.254.43518) into the usual one.
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => refusal(address).map_or(Ok(url), Err),
        Err(_) => Ok(url),
    }
}

/// Why this address is not one to send to, if it is not.
fn refusal(address: IpAddr) -> Option<String> {
    let (link_local, metadata) = match canonical(address) {
        IpAddr::V4(v4) => (v4.is_link_local(), METADATA_V4.contains(&v4)),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), METADATA_V6.contains(&v6)),
    };
    match (link_local, metadata) {
        (true, _) => Some(format!("{address} is a link-local address, where machines keep their metadata service")),
        (_, true) => Some(format!("{address} is a cloud metadata service")),
        _ => None,
    }
}

/// Takes an IPv4 address out of the IPv6 forms that reach it: mapped, compatible, NAT64, and 6to4.
fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => v4(g, h),
        (0, 0, 0, 0, 0, 0) if g != 0 => v4(g, h),
        (0x2002, high, low, ..) => v4(high, low),
        _ => address,
    }
}

/// Looks names up as the system does and leaves out the addresses that are refused.
pub(crate) struct CheckedResolver;

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(allowed(name.as_str(), found)?.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be used; when all are refused, why the first was.
pub(crate) fn allowed(name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
    let first_refusal = found.iter().find_map(|address| refusal(address.ip()));
    let kept: Vec<SocketAddr> = found.into_iter().filter(|address| refusal(address.ip()).is_none()).collect();
    match (kept.is_empty(), first_refusal) {
        (true, Some(why)) => Err(format!("{name} leads nowhere that is allowed: {why}")),
        (true, None) => Err(format!("{name} has no address")),
        (false, _) => Ok(kept),
    }
}
