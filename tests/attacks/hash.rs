//! Row 22: connection IDs that aim at one bucket of a table (CVE-2025-24946 and its kin). RFC 9000 §21. That no other
//! table has a hash that can be foreseen is looked up in tests/rules.rs.

use std::time::{Duration, Instant};

use quic_lite::endpoint::EndpointConfig;
use quic_lite::rng::Rng;

use crate::net::{Net, address};

/// A lookup of a connection ID that nobody has costs the same, however the attacker chose it.
#[test]
fn row_22_a_forged_connection_id_costs_what_any_other_does() {
    let mut net = Net::new(EndpointConfig::default());
    for _ in 0..100 {
        net.connect(quic_lite::config::Config::default());
    }
    net.run(Duration::from_secs(2));
    assert_eq!(net.nodes[1].endpoint.len(), 100);
    let ours: Vec<[u8; 8]> = net.nodes[1]
        .endpoint
        .handles()
        .flat_map(|handle| {
            net.nodes[1]
                .endpoint
                .connection(handle)
                .unwrap()
                .local_cids()
                .collect::<Vec<_>>()
        })
        .map(|cid| *cid.as_slice().first_chunk().unwrap())
        .collect();
    let mut rng = Rng::from_number(1);
    let random: Vec<[u8; 8]> = (0..COUNT).map(|_| rng.bytes()).collect();
    // All but one bit are those of an ID that is there; all in sequence; all the same but for the high bits.
    let near = (0..COUNT).map(|at| {
        let mut cid = ours[at % ours.len()];
        cid[at / 8 % 8] ^= 1 << (at % 8);
        cid
    });
    let sequence = (0..COUNT as u64).map(u64::to_be_bytes);
    let high = (0..COUNT as u64).map(|at| (at << 40).to_le_bytes());
    // The answers' budget is used up first, so that only lookups are timed.
    time(&mut net, &random);
    let usual = time(&mut net, &random);
    for forged in [near.collect::<Vec<_>>(), sequence.collect(), high.collect()] {
        let took = time(&mut net, &forged);
        assert!(
            took < usual * 4 + Duration::from_millis(5),
            "{took:?} instead of {usual:?}"
        );
    }
}

/// The shortest of several times that so many lookups took.
#[expect(clippy::disallowed_methods, reason = "this test is about time")]
fn time(net: &mut Net, cids: &[[u8; 8]]) -> Duration {
    let round = || {
        let mut packets: Vec<Vec<u8>> = cids
            .iter()
            .map(|cid| [&[0x40][..], cid, &[9; 20]].concat())
            .collect();
        let path = quic_lite::connection::FourTuple {
            local: net.nodes[1].address,
            remote: address(9, 9),
        };
        let (now, endpoint) = (net.now, &mut net.nodes[1].endpoint);
        let start = Instant::now();
        packets
            .iter_mut()
            .for_each(|packet| endpoint.receive(now, path, None, packet));
        start.elapsed()
    };
    std::iter::repeat_with(round).take(5).min().unwrap()
}

const COUNT: usize = 2000;
