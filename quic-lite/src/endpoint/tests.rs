//! Endpoints that talk in memory: what strangers, floods and forgotten connections lead to.

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::error::{ConnectionError, TransportErrorCode};
use crate::tls::ServerTls;
use crate::wire::header::Header;
use rustls::pki_types::PrivateKeyDer;

const ALPN: &[&[u8]] = &[b"test"];
const BUFFER: usize = 65_000;

fn server_tls() -> ServerTls {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let cert = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    ServerTls::new_single(vec![cert.into()], key, ALPN).unwrap()
}

fn address(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], port))
}

/// One client and one server; datagrams take a millisecond.
struct Net {
    client: Endpoint,
    server: Endpoint,
    now: Time,
    client_address: SocketAddr,
    server_address: SocketAddr,
    client_events: Vec<(Handle, Event)>,
    server_events: Vec<(Handle, Event)>,
    /// Datagrams delivered, by size, to the client and to the server.
    delivered: [Vec<usize>; 2],
}

impl Net {
    fn new(config: EndpointConfig) -> Self {
        let config = EndpointConfig {
            server: Some(server_tls()),
            ..config
        };
        let mut client = Endpoint::new(EndpointConfig::default(), [1; 32]);
        let (client_address, server_address) = (address(1, 1111), address(2, 443));
        client.set_local_addresses(&[client_address]);
        Self {
            client,
            server: Endpoint::new(config, [2; 32]),
            now: Time::from_micros(1_000_000),
            client_address,
            server_address,
            client_events: Vec::new(),
            server_events: Vec::new(),
            delivered: Default::default(),
        }
    }

    fn connect(&mut self) -> Handle {
        let tls = ClientTls::insecure(ALPN).unwrap();
        self.client
            .connect(
                self.now,
                &tls,
                self.server_address,
                "localhost",
                Config::default(),
            )
            .unwrap()
    }

    /// Carries datagrams until both sides are silent, without letting timers go off.
    fn settle(&mut self) {
        for _ in 0..1000 {
            let up = datagrams(&mut self.client, self.now);
            let down = datagrams(&mut self.server, self.now);
            self.now = self.now + Duration::from_millis(1);
            if up.is_empty() && down.is_empty() {
                break;
            }
            for mut datagram in up {
                self.reach_server(self.client_address, &mut datagram);
            }
            for mut datagram in down {
                self.reach_client(&mut datagram);
            }
        }
        self.client_events
            .extend(std::iter::from_fn(|| self.client.poll_event()));
        self.server_events
            .extend(std::iter::from_fn(|| self.server.poll_event()));
    }

    /// Like `settle`, and goes from timer to timer for `duration`.
    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.settle();
        while self.now < end {
            let next = [self.client.next_timeout(), self.server.next_timeout()];
            let next = next.into_iter().flatten().min().unwrap_or(end).min(end);
            self.now = self.now.max(next);
            self.client.on_timeout(self.now);
            self.server.on_timeout(self.now);
            self.settle();
        }
    }

    fn reach_server(&mut self, from: SocketAddr, datagram: &mut [u8]) {
        self.delivered[1].push(datagram.len());
        let path = FourTuple {
            local: self.server_address,
            remote: from,
        };
        self.server.receive(self.now, path, None, datagram);
    }

    fn reach_client(&mut self, datagram: &mut [u8]) {
        self.delivered[0].push(datagram.len());
        let path = FourTuple {
            local: self.client_address,
            remote: self.server_address,
        };
        self.client.receive(self.now, path, None, datagram);
    }

    fn client_closed(&self) -> Option<&ConnectionError> {
        closed(&self.client_events)
    }

    fn is_connected(&self) -> bool {
        let connected =
            |events: &[(Handle, Event)]| events.iter().any(|(_, e)| *e == Event::Connected);
        connected(&self.client_events) && connected(&self.server_events)
    }
}

fn closed(events: &[(Handle, Event)]) -> Option<&ConnectionError> {
    events.iter().find_map(|(_, event)| match event {
        Event::Closed(error) => Some(error),
        _ => None,
    })
}

/// Everything an endpoint has to send now.
fn datagrams(endpoint: &mut Endpoint, now: Time) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; BUFFER];
    let mut all = Vec::new();
    while let Some(transmit) = endpoint.transmit(now, &mut buffer, 10) {
        let size = transmit.segment_size.unwrap_or(transmit.len);
        all.extend(buffer[..transmit.len].chunks(size).map(<[u8]>::to_vec));
    }
    all
}

/// The first datagram of a fresh client.
fn first_flight(seed: u8) -> Vec<u8> {
    let mut client = Endpoint::new(EndpointConfig::default(), [seed; 32]);
    let tls = ClientTls::insecure(ALPN).unwrap();
    let now = Time::from_micros(1);
    client
        .connect(now, &tls, address(2, 443), "localhost", Config::default())
        .unwrap();
    datagrams(&mut client, now).swap_remove(0)
}

#[test]
fn a_handshake_connects_and_both_tables_are_empty_after_the_close() {
    let mut net = Net::new(EndpointConfig::default());
    let handle = net.connect();
    net.settle();
    assert!(
        net.is_connected(),
        "{:?} {:?}",
        net.client_events,
        net.server_events
    );
    assert_eq!((net.server.len(), net.server.half_open()), (1, 0));
    let now = net.now;
    net.client
        .connection_mut(handle)
        .unwrap()
        .close(now, 7, "done");
    net.run(Duration::from_secs(20));
    let expected = ConnectionError::PeerApplication {
        code: 7,
        reason: "done".to_owned(),
    };
    assert_eq!(closed(&net.server_events), Some(&expected));
    for endpoint in [&mut net.client, &mut net.server] {
        assert!(endpoint.is_idle());
        assert_eq!(endpoint.routes.len(), 0);
        assert_eq!(endpoint.next_timeout(), None);
    }
    assert!(net.client.connection(handle).is_none());
}

#[test]
fn a_handle_does_not_outlive_its_connection() {
    let mut net = Net::new(EndpointConfig::default());
    let first = net.connect();
    net.settle();
    let now = net.now;
    net.client.close_all(now, 0, "");
    net.run(Duration::from_secs(20));
    let second = net.connect();
    assert_eq!(first.slot(), second.slot());
    assert_ne!(first, second);
    assert!(net.client.connection(first).is_none());
    assert!(net.client.connection_mut(first).is_none());
    assert!(net.client.connection(second).is_some());
}

#[test]
fn an_unknown_version_is_negotiated_but_not_for_small_datagrams() {
    let mut net = Net::new(EndpointConfig::default());
    let mut packet = vec![
        0xc0, 0xfa, 0xce, 0xb0, 0x0c, 8, 1, 2, 3, 4, 5, 6, 7, 8, 2, 9, 9,
    ];
    packet.resize(1199, 0);
    net.reach_server(address(1, 1), &mut packet.clone());
    assert!(datagrams(&mut net.server, net.now).is_empty());
    packet.resize(1200, 0);
    net.reach_server(address(1, 1), &mut packet);
    let replies = datagrams(&mut net.server, net.now);
    let [reply] = &replies[..] else {
        panic!("{replies:?}")
    };
    let Ok((_, Header::VersionNegotiation(header))) = Header::parse(reply, 8) else {
        panic!()
    };
    assert_eq!(header.destination_cid, [9, 9]);
    assert_eq!(header.source_cid, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(header.supported_versions().any(|version| version == 1));
}

#[test]
fn version_negotiation_is_not_answered_by_version_negotiation() {
    let mut net = Net::new(EndpointConfig::default());
    let mut packet = vec![0xc0, 0, 0, 0, 0, 0, 0];
    packet.resize(1200, 1);
    net.reach_server(address(1, 1), &mut packet);
    assert!(datagrams(&mut net.server, net.now).is_empty());
    assert!(net.server.is_idle());
}

#[test]
fn a_client_comes_back_after_a_retry() {
    let mut net = Net::new(EndpointConfig {
        retry: true,
        ..EndpointConfig::default()
    });
    net.connect();
    let mut first = datagrams(&mut net.client, net.now).swap_remove(0);
    net.reach_server(net.client_address, &mut first);
    assert_eq!(net.server.len(), 0, "no state before the address is known");
    net.settle();
    assert!(net.is_connected());
}

/// RFC 9000 §8.1.2: of a packet that is valid otherwise. One that does not open says nothing about its token.
#[test]
fn a_misplaced_retry_token_is_refused_and_a_damaged_one_is_not_answered() {
    for (flip, from) in [(true, address(1, 1111)), (false, address(9, 1111))] {
        let mut net = Net::new(EndpointConfig {
            retry: true,
            ..EndpointConfig::default()
        });
        net.connect();
        let mut first = datagrams(&mut net.client, net.now).swap_remove(0);
        net.reach_server(net.client_address, &mut first);
        for mut retry in datagrams(&mut net.server, net.now) {
            net.reach_client(&mut retry);
        }
        let mut second = datagrams(&mut net.client, net.now).swap_remove(0);
        if flip {
            // Fixed fields: flags, version, two IDs of 8 bytes, two bytes of token length, token kind.
            second[5 + 9 + 9 + 2 + 10] ^= 1;
        }
        net.reach_server(from, &mut second);
        assert_eq!(net.server.len(), 0);
        let replies = datagrams(&mut net.server, net.now);
        assert_eq!(replies.len(), usize::from(!flip));
        for mut reply in replies {
            net.reach_client(&mut reply);
            net.settle();
            let Some(ConnectionError::PeerTransport { code, .. }) = net.client_closed() else {
                panic!("{:?}", net.client_events);
            };
            assert_eq!(*code, TransportErrorCode::INVALID_TOKEN);
        }
    }
}

#[test]
fn a_token_of_nobody_is_as_good_as_none() {
    let mut net = Net::new(EndpointConfig::default());
    let checked = net
        .server
        .check_token(&[7; 60], address(1, 1), ConnectionId::EMPTY, net.now);
    assert_eq!(checked, Ok(accept::Address::Unknown));
}

#[test]
fn a_new_token_counts_once() {
    let mut net = Net::new(EndpointConfig::default());
    let ip = address(1, 1).ip();
    let token = net.server.token_key.seal_new_token(ip, net.now, [3; 24]);
    let mut check = || {
        net.server
            .check_token(&token, address(1, 77), ConnectionId::EMPTY, net.now)
    };
    assert_eq!(check(), Ok(accept::Address::Known));
    assert_eq!(check(), Ok(accept::Address::Unknown));
}

#[test]
fn a_forgotten_connection_is_reset() {
    let secret = Some([5; 32]);
    let mut net = Net::new(EndpointConfig {
        secret,
        ..EndpointConfig::default()
    });
    let handle = net.connect();
    net.settle();
    assert!(net.is_connected());
    let config = EndpointConfig {
        secret,
        server: Some(server_tls()),
        ..EndpointConfig::default()
    };
    net.server = Endpoint::new(config, [77; 32]);
    net.client.connection_mut(handle).unwrap().ping();
    net.run(Duration::from_secs(5));
    assert_eq!(net.client_closed(), Some(&ConnectionError::StatelessReset));
    assert_eq!(net.client.len(), 0);
}

#[test]
fn two_endpoints_that_forgot_everything_fall_silent() {
    let mut net = Net::new(EndpointConfig::default());
    let mut packet = vec![0x55; 1300];
    net.reach_server(net.client_address, &mut packet);
    net.settle();
    let [to_client, to_server] = &net.delivered;
    let all = to_client.len() + to_server.len();
    assert!((2..60).contains(&all), "{:?}", net.delivered);
    assert!(to_client[0] < 1300 && to_client.is_sorted_by(|earlier, later| earlier > later));
}

#[test]
fn small_unknown_packets_are_not_answered() {
    let mut net = Net::new(EndpointConfig::default());
    for size in 0..22 {
        net.reach_server(address(1, 1), &mut vec![0x55; size]);
    }
    assert!(datagrams(&mut net.server, net.now).is_empty());
}

#[test]
fn a_flood_of_initials_leaves_bounded_state_and_the_others_alone() {
    let config = EndpointConfig {
        retry_above: 50,
        max_half_open: 80,
        ..EndpointConfig::default()
    };
    let mut net = Net::new(config);
    let handle = net.connect();
    net.settle();
    assert!(net.is_connected());
    let template = first_flight(9);
    for number in 0..10_000u32 {
        let mut datagram = template.clone();
        let [a, b, c, d] = number.to_be_bytes();
        let remote = SocketAddr::from(([10, b, c, d], 1000 + u16::from(a)));
        let path = FourTuple {
            local: net.server_address,
            remote,
        };
        net.server.receive(net.now, path, None, &mut datagram);
        if number % 100 == 0 {
            datagrams(&mut net.server, net.now);
        }
    }
    assert!(net.server.len() <= 51, "{}", net.server.len());
    assert!(net.server.routes.len() < 51 * 8);
    let now = net.now;
    net.client
        .connection_mut(handle)
        .unwrap()
        .close(now, 3, "still here");
    net.settle();
    assert!(matches!(
        closed(&net.server_events),
        Some(ConnectionError::PeerApplication { code: 3, .. })
    ));
    net.run(Duration::from_secs(30));
    assert!(net.server.is_idle(), "{}", net.server.len());
}

#[test]
fn a_small_initial_or_one_with_a_short_id_makes_no_state() {
    let mut net = Net::new(EndpointConfig::default());
    let initial = first_flight(3);
    net.reach_server(address(1, 1), &mut initial[..1199].to_vec());
    assert_eq!(net.server.len(), 0);
    let mut short_id = initial.clone();
    short_id[5] = 7;
    short_id.remove(6);
    short_id.push(0);
    net.reach_server(address(1, 1), &mut short_id);
    assert_eq!(net.server.len(), 0);
    assert!(datagrams(&mut net.server, net.now).is_empty());
}

#[test]
fn garbage_that_looks_like_an_initial_makes_no_state() {
    let mut net = Net::new(EndpointConfig::default());
    let mut initial = first_flight(3);
    initial[700] ^= 1;
    net.reach_server(address(1, 1), &mut initial);
    assert!(net.server.is_idle());
    assert_eq!(net.server.routes.len(), 0);
}

#[test]
fn one_network_cannot_take_all_handshakes() {
    let mut net = Net::new(EndpointConfig {
        max_half_open_per_network: 3,
        ..EndpointConfig::default()
    });
    for port in 1..10 {
        net.reach_server(address(1, port), &mut first_flight(4));
    }
    assert_eq!(net.server.half_open(), 3);
    net.reach_server(address(3, 1), &mut first_flight(4));
    assert_eq!(net.server.half_open(), 4);
}

#[test]
fn a_client_that_was_here_before_needs_no_retry() {
    let config = EndpointConfig {
        retry: true,
        ..EndpointConfig::default()
    };
    let mut net = Net::new(config);
    net.connect();
    net.settle();
    assert!(net.is_connected());
    net.connect();
    let mut first = datagrams(&mut net.client, net.now).swap_remove(0);
    net.reach_server(net.client_address, &mut first);
    assert_eq!(net.server.len(), 2);
}

#[test]
fn one_connection_too_many_is_refused() {
    let mut net = Net::new(EndpointConfig {
        max_connections: 1,
        ..EndpointConfig::default()
    });
    net.connect();
    net.settle();
    assert!(net.is_connected());
    net.client_events.clear();
    net.connect();
    net.settle();
    let Some(ConnectionError::PeerTransport { code, .. }) = net.client_closed() else {
        panic!("{:?}", net.client_events);
    };
    assert_eq!(*code, TransportErrorCode::CONNECTION_REFUSED);
    assert_eq!(net.server.len(), 1);
}

#[test]
fn an_unfinished_handshake_ends_after_ten_seconds() {
    let mut net = Net::new(EndpointConfig::default());
    net.reach_server(address(1, 1), &mut first_flight(4));
    assert_eq!((net.server.len(), net.server.half_open()), (1, 1));
    let end = net.now + Duration::from_secs(25);
    while let Some(next) = net.server.next_timeout().filter(|next| *next < end) {
        net.now = net.now.max(next);
        net.server.on_timeout(net.now);
        datagrams(&mut net.server, net.now);
    }
    assert_eq!((net.server.len(), net.server.half_open()), (0, 0));
}

#[test]
fn only_connections_with_work_are_asked_for_datagrams() {
    let mut net = Net::new(EndpointConfig::default());
    let handles: Vec<Handle> = (0..20).map(|_| net.connect()).collect();
    net.run(Duration::from_secs(1));
    assert!(net.client.ready.is_empty() && net.server.ready.is_empty());
    net.client.connection_mut(handles[7]).unwrap().ping();
    net.client.settle();
    assert_eq!(net.client.ready, [handles[7].slot()]);
}
