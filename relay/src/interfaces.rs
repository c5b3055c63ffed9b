//! Through which network interfaces a relay's packets come and go. No RFC.
//!
//! The answer comes from the interfaces' addresses and the routing table of the kernel, once, at the
//! start. Loopback is never among them: nothing is gained where no packet leaves the machine. Nor are
//! devices without Ethernet frames, which the kernel programs would not understand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use crate::error::{Failure, Kind, Result};

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Interface {
    /// It is up, has Ethernet frames and is not loopback.
    is_useful: bool,
    addresses: BTreeSet<IpAddr>,
}

/// Names of interfaces that some route leads through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Routed {
    v4: BTreeSet<String>,
    v6: BTreeSet<String>,
}

/// The interfaces that lead to a socket bound to `bind`.
pub(crate) fn leading_to(bind: SocketAddr) -> Vec<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let routed = Routed {
        v4: routed_v4(&read("/proc/net/route")),
        v6: routed_v6(&read("/proc/net/ipv6_route")),
    };
    choose(bind.ip(), &interfaces(), &routed)
}

/// Those that the user named, if they can be used.
pub(crate) fn named(names: &[String]) -> Result<Vec<String>> {
    let known = interfaces();
    for name in names {
        let wrong = match known.get(name) {
            None => "there is no such interface",
            Some(interface) if !interface.is_useful => {
                "it is down, loopback, or has no Ethernet frames"
            }
            Some(_) => continue,
        };
        return Err(Failure::new(
            Kind::Usage,
            format!("--interface {name}: {wrong}"),
        ));
    }
    Ok(names.to_vec())
}

fn interfaces() -> BTreeMap<String, Interface> {
    let mut found: BTreeMap<String, Interface> = BTreeMap::new();
    for entry in getifaddrs().into_iter().flatten() {
        let interface = found.entry(entry.interface_name).or_default();
        let is_up = entry.flags.contains(InterfaceFlags::IFF_UP)
            && !entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let Some(address) = entry.address else {
            continue;
        };
        if let Some(link) = address.as_link_addr() {
            interface.is_useful = is_up && link.hatype() == ETHERNET;
        }
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        let v6 = address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip()));
        interface.addresses.extend(v4.or(v6));
    }
    found
}

/// With an address of its own, the socket is reached through the interface that has it; with any address,
/// or one that no interface but loopback has, through whatever the routing table leads through.
fn choose(bind: IpAddr, interfaces: &BTreeMap<String, Interface>, routed: &Routed) -> Vec<String> {
    let bind = bind.to_canonical();
    if bind.is_loopback() {
        return Vec::new();
    }
    let useful = interfaces.iter().filter(|(_, i)| i.is_useful);
    let own = useful.clone().filter(|(_, i)| i.addresses.contains(&bind));
    let own: Vec<String> = own.map(|(name, _)| name.clone()).collect();
    if !own.is_empty() {
        return own;
    }
    // The wildcard of IPv6 takes IPv4, too.
    let takes_v4 = bind.is_ipv4() || bind.is_unspecified();
    let is_routed = |name: &String| {
        (takes_v4 && routed.v4.contains(name)) || (bind.is_ipv6() && routed.v6.contains(name))
    };
    let routed = useful.map(|(name, _)| name).filter(|name| is_routed(name));
    routed.cloned().collect()
}

/// Interfaces in `/proc/net/route`: name, destination, gateway, flags, ...
fn routed_v4(table: &str) -> BTreeSet<String> {
    let lines = table.lines().skip(1);
    let routes = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        is_usable(words.nth(2)?).then(|| name.to_owned())
    });
    routes.collect()
}

/// Interfaces in `/proc/net/ipv6_route`: destination, ..., flags, name. Link-local and multicast routes
/// are on every interface and say nothing.
fn routed_v6(table: &str) -> BTreeSet<String> {
    let routes = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [destination, .., flags, name] = words[..] else {
            return None;
        };
        let says_nothing = destination.starts_with("fe80") || destination.starts_with("ff");
        (is_usable(flags) && !says_nothing).then(|| name.to_owned())
    });
    routes.collect()
}

/// Whether a route is up and does not say "unreachable".
fn is_usable(flags: &str) -> bool {
    let flags = u32::from_str_radix(flags, 16).unwrap_or(RTF_REJECT);
    flags & RTF_UP != 0 && flags & RTF_REJECT == 0
}

const RTF_UP: u32 = 0x0001;
const RTF_REJECT: u32 = 0x0200;
/// ARPHRD_ETHER.
const ETHERNET: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth1\t0001470A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
dead0\t0002470A\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
    const V6: &str = "\
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth1
20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth2
00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo
";

    fn names(bind: &str) -> Vec<String> {
        let with = |address: &str, is_useful| Interface {
            is_useful,
            addresses: [address.parse().unwrap()].into(),
        };
        let interfaces = [
            ("eth0", with("192.168.0.2", true)),
            ("eth1", with("10.71.1.1", true)),
            ("eth2", with("2001:db8::1", true)),
            ("lo", with("198.51.100.1", false)),
            ("tun0", with("10.9.9.9", false)),
        ];
        let interfaces = interfaces.map(|(name, i)| (name.to_owned(), i)).into();
        let routed = Routed {
            v4: routed_v4(V4),
            v6: routed_v6(V6),
        };
        choose(bind.parse().unwrap(), &interfaces, &routed)
    }

    #[test]
    fn any_address_is_reached_wherever_routes_lead() {
        assert_eq!(names("0.0.0.0"), ["eth0", "eth1"]);
        assert_eq!(names("::"), ["eth0", "eth1", "eth2"]);
    }

    #[test]
    fn an_address_is_reached_through_its_interface() {
        assert_eq!(names("10.71.1.1"), ["eth1"]);
        assert_eq!(names("::ffff:10.71.1.1"), ["eth1"]);
        assert_eq!(names("2001:db8::1"), ["eth2"]);
        // One that stands on loopback comes by any way.
        assert_eq!(names("198.51.100.1"), ["eth0", "eth1"]);
    }

    #[test]
    fn loopback_is_never_among_them() {
        assert!(names("127.0.0.1").is_empty() && names("::1").is_empty());
    }

    #[test]
    fn wrong_names_are_refused() {
        for name in ["nonexistent0", "lo"] {
            let failure = named(&[name.to_owned()]).unwrap_err();
            assert_eq!(failure.kind(), Kind::Usage);
            assert!(failure.to_string().contains(name), "{failure}");
        }
    }
}
