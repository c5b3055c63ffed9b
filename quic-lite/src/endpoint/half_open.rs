//! Handshakes that clients have begun and not completed (RFC 9000 §21.2), counted by network.
//!
//! Promise: as many entries as unfinished handshakes at most.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// The count of unfinished handshakes.
#[derive(Debug, Default)]
pub(super) struct HalfOpen {
    networks: BTreeMap<IpAddr, usize>,
    total: usize,
}

impl HalfOpen {
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Unfinished handshakes with clients of the network of `ip`.
    pub(super) fn of(&self, ip: IpAddr) -> usize {
        self.networks.get(&network(ip)).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, ip: IpAddr) {
        *self.networks.entry(network(ip)).or_default() += 1;
        self.total += 1;
    }

    /// Takes back one [`Self::add`].
    pub(super) fn remove(&mut self, ip: IpAddr) {
        let Some(count) = self.networks.get_mut(&network(ip)) else {
            return;
        };
        *count -= 1;
        self.total -= 1;
        if *count == 0 {
            self.networks.remove(&network(ip));
        }
    }
}

/// What one party can be assumed to hold: an IPv4 address, or an IPv6 prefix of 64 bits.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let mut half_open = HalfOpen::default();
        let ips: [IpAddr; 3] =
            ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|ip| ip.parse().unwrap());
        ips.iter().for_each(|ip| half_open.add(*ip));
        assert_eq!(ips.map(|ip| half_open.of(ip)), [2, 2, 1]);
        assert_eq!(half_open.total(), 3);
        ips.iter().for_each(|ip| half_open.remove(*ip));
        half_open.remove(ips[0]);
        assert_eq!((half_open.total(), half_open.networks.len()), (0, 0));
    }
}
