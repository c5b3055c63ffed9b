//! `ipv6`: 5 KB and 10 KB over IPv6 alone. No RFC.

use integration::Scenario;
use integration::network::address6;

use super::run::{Run, Verdict, ensure};

/// Both sides have IPv6 addresses, and the link carries what fits behind an IPv6 header.
pub const fn addresses(scenario: &mut Scenario) {
    scenario.client_address = address6(2, 40_000);
    scenario.server_address = address6(1, 443);
    scenario.to_server.max_udp_payload = MAX_UDP_PAYLOAD;
    scenario.to_client.max_udp_payload = MAX_UDP_PAYLOAD;
}

/// The harness lets a client send to nowhere but the server, whose address is an IPv6 one.
pub fn judge(run: &Run) -> Verdict {
    run.check(1)?;
    let of_ipv4 = run
        .pair
        .tap
        .packets
        .iter()
        .find(|packet| packet.client.is_ipv4());
    ensure(of_ipv4.is_none(), || format!("IPv4: {of_ipv4:?}"))
}

/// 1500 bytes of Ethernet less 40 of IPv6 and 8 of UDP.
const MAX_UDP_PAYLOAD: usize = 1452;
