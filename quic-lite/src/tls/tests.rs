//! Two sessions in memory, with what must come out of them and what must not.

use super::*;
use crate::protection::{ProtectedPacket, TAG_LEN, seal_packet};
use crate::wire::packet_number::PacketNumber;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const ALPN: &[&[u8]] = &[b"moqt", b"hq-interop"];
const CLIENT_PARAMS: &[u8] = b"\x04\x01\x10";
const SERVER_PARAMS: &[u8] = b"\x04\x01\x20\x05\x01\x30";

/// A self-signed certificate for `localhost` by `issuer`, and its key.
fn certificate(issuer: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, issuer);
    let cert = params.self_signed(&key).unwrap();
    (
        cert.into(),
        PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    )
}

fn server_and_root(alpn: &[&[u8]]) -> (ServerTls, CertificateDer<'static>) {
    let (cert, key) = certificate("ours");
    (
        ServerTls::new_single(vec![cert.clone()], key, alpn).unwrap(),
        cert,
    )
}

fn sessions(client: &ClientTls, server: &ServerTls, name: &str) -> (Peer, Peer) {
    let client = TlsSession::client(client, name, CLIENT_PARAMS).unwrap();
    let server = TlsSession::server(server, SERVER_PARAMS).unwrap();
    (Peer::new(client), Peer::new(server))
}

/// A session, the keys it gave, and a line per output.
struct Peer {
    session: TlsSession,
    keys: Vec<(Level, KeyPair)>,
    log: Vec<String>,
}

impl Peer {
    fn new(session: TlsSession) -> Self {
        Self {
            session,
            keys: Vec::new(),
            log: Vec::new(),
        }
    }

    /// What there is to send now.
    fn flight(&mut self) -> Vec<(Level, Vec<u8>)> {
        let mut flight = Vec::new();
        while let Some(output) = self.session.poll() {
            match output {
                TlsOutput::Crypto { level, bytes } => {
                    self.log.push(format!("crypto {level:?}"));
                    flight.push((level, bytes));
                }
                TlsOutput::Keys { level, keys } => {
                    self.log.push(format!("keys {level:?}"));
                    self.keys.push((level, *keys));
                }
            }
        }
        flight
    }

    fn keys(&self, level: Level) -> &KeyPair {
        &self.keys.iter().find(|(at, _)| *at == level).unwrap().1
    }
}

/// Passes flights on, `step` bytes at a time, until there is nothing more to say.
fn run(client: &mut Peer, server: &mut Peer, step: usize) -> Result<(), TransportError> {
    for _ in 0..10 {
        for (level, bytes) in client.flight() {
            bytes
                .chunks(step)
                .try_for_each(|part| server.session.receive(level, part))?;
        }
        for (level, bytes) in server.flight() {
            bytes
                .chunks(step)
                .try_for_each(|part| client.session.receive(level, part))?;
        }
    }
    Ok(())
}

/// The code with which a handshake between these ends.
fn failure(client: &ClientTls, server: &ServerTls, name: &str) -> TransportErrorCode {
    let (mut client, mut server) = sessions(client, server, name);
    run(&mut client, &mut server, usize::MAX).unwrap_err().code
}

/// Seals with one side's keys and opens with the other's.
fn carries(from: &Keys, to: &Keys) -> bool {
    let mut packet = [&[0x40, 7][..], b"frames", &[0; TAG_LEN]].concat();
    seal_packet(&mut packet, 1, PacketNumber::new(7), from).unwrap();
    let packet = ProtectedPacket {
        bytes: &mut packet,
        pn_offset: 1,
    };
    let opened = packet.unprotect(&to.header).unwrap().open(&to.packet, None);
    opened.is_ok_and(|packet| packet.payload == b"frames")
}

#[test]
fn each_suite_completes_with_matching_keys_parameters_and_protocol() {
    let (server_tls, root) = server_and_root(&[b"hq-interop"]);
    let client_tls = ClientTls::with_roots([root], ALPN).unwrap();
    for suite in CipherSuite::ALL {
        let client_tls = client_tls.only(&[suite]).unwrap();
        let (mut client, mut server) = sessions(&client_tls, &server_tls, "localhost");
        run(&mut client, &mut server, usize::MAX).unwrap();
        for (peer, params) in [(&client, SERVER_PARAMS), (&server, CLIENT_PARAMS)] {
            assert!(!peer.session.is_handshaking());
            assert_eq!(peer.session.suite(), Some(suite));
            assert_eq!(peer.session.alpn(), Some(&b"hq-interop"[..]));
            assert_eq!(peer.session.server_name(), Some("localhost"));
            assert_eq!(peer.session.peer_transport_parameters(), Some(params));
        }
        for level in [Level::Handshake, Level::OneRtt] {
            let (client, server) = (client.keys(level), server.keys(level));
            assert!(carries(&client.local, &server.remote), "{suite} {level:?}");
            assert!(carries(&server.local, &client.remote), "{suite} {level:?}");
            assert!(!carries(&client.local, &client.remote), "{suite} {level:?}");
        }
    }
}

#[test]
fn outputs_come_in_the_order_of_rfc_9001_figure_5() {
    let (server_tls, _) = server_and_root(ALPN);
    let client_tls = ClientTls::insecure(ALPN).unwrap();
    let (mut client, mut server) = sessions(&client_tls, &server_tls, "localhost");
    run(&mut client, &mut server, usize::MAX).unwrap();
    let expected = [
        "crypto Initial",
        "keys Handshake",
        "crypto Handshake",
        "keys OneRtt",
    ]
    .map(str::to_owned);
    assert_eq!(client.log, expected);
    assert_eq!(server.log[..4], expected);
    assert!(
        server.log[4..].iter().all(|line| line == "crypto OneRtt"),
        "session tickets"
    );
}

#[test]
fn messages_may_arrive_byte_by_byte() {
    let (server_tls, root) = server_and_root(ALPN);
    let client_tls = ClientTls::with_roots([root], ALPN).unwrap();
    let (mut client, mut server) = sessions(&client_tls, &server_tls, "localhost");
    run(&mut client, &mut server, 1).unwrap();
    assert!(!client.session.is_handshaking() && !server.session.is_handshaking());
}

#[test]
fn secrets_are_gone_from_the_tap_once_taken() {
    let (server_tls, _) = server_and_root(ALPN);
    let (mut client, mut server) = sessions(
        &ClientTls::insecure(ALPN).unwrap(),
        &server_tls,
        "localhost",
    );
    run(&mut client, &mut server, usize::MAX).unwrap();
    for peer in [client, server] {
        assert!(peer.session.tap.take(Level::Handshake).is_none());
        assert!(peer.session.tap.take(Level::OneRtt).is_none());
    }
}

#[test]
fn a_second_connection_resumes_with_keys_of_its_own() {
    let (server_tls, root) = server_and_root(ALPN);
    let client_tls = ClientTls::with_roots([root], ALPN).unwrap();
    let mut secrets = Vec::new();
    for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let (mut client, mut server) = sessions(&client_tls, &server_tls, "localhost");
        run(&mut client, &mut server, usize::MAX).unwrap();
        assert_eq!(client.session.connection.handshake_kind(), Some(kind));
        secrets.push(client.keys(Level::OneRtt).local.secret.as_bytes().to_vec());
    }
    assert_ne!(secrets[0], secrets[1]);
}

#[test]
fn the_server_that_prefers_chacha20_gets_it_from_a_client_that_prefers_aes() {
    let (server_tls, _) = server_and_root(ALPN);
    let client_tls = ClientTls::insecure(ALPN).unwrap();
    for (server_tls, suite) in [
        (server_tls.clone(), CipherSuite::Aes256GcmSha384),
        (
            server_tls.prefer_chacha20().unwrap(),
            CipherSuite::ChaCha20Poly1305Sha256,
        ),
    ] {
        let aes_first = client_tls
            .only(&[
                CipherSuite::Aes256GcmSha384,
                CipherSuite::ChaCha20Poly1305Sha256,
            ])
            .unwrap();
        let (mut client, mut server) = sessions(&aes_first, &server_tls, "localhost");
        run(&mut client, &mut server, usize::MAX).unwrap();
        assert_eq!(client.session.suite(), Some(suite));
    }
}

#[test]
fn no_common_protocol_or_suite_is_an_alert() {
    let (server_tls, _) = server_and_root(&[b"h3"]);
    let moqt = ClientTls::insecure(ALPN).unwrap();
    // RFC 9001 §8.1: no_application_protocol is alert 120.
    let no_application_protocol = TransportErrorCode::crypto(120);
    assert_eq!(
        failure(&moqt, &server_tls, "localhost"),
        no_application_protocol
    );
    let (silent_server, _) = server_and_root(&[]);
    assert_eq!(
        failure(&moqt, &silent_server, "localhost"),
        no_application_protocol
    );

    let chacha20 = server_tls
        .only(&[CipherSuite::ChaCha20Poly1305Sha256])
        .unwrap();
    let aes = ClientTls::insecure(&[b"h3"])
        .unwrap()
        .only(&[CipherSuite::Aes128GcmSha256])
        .unwrap();
    let handshake_failure = TransportErrorCode::crypto(40);
    assert_eq!(failure(&aes, &chacha20, "localhost"), handshake_failure);
}

#[test]
fn a_certificate_of_another_name_or_an_untrusted_issuer_is_refused_by_default() {
    let (server_tls, root) = server_and_root(ALPN);
    let trusting = |root| ClientTls::with_roots([root], ALPN).unwrap();
    let (bad_certificate, unknown_ca, decrypt_error) = (42, 48, 51);
    for (root, name, alert) in [
        (root.clone(), "example.org", bad_certificate),
        (root, "127.0.0.1", bad_certificate),
        (certificate("another").0, "localhost", unknown_ca),
        (certificate("ours").0, "localhost", decrypt_error), // the issuer's name with another key
    ] {
        let code = failure(&trusting(root), &server_tls, name);
        assert_eq!(code, TransportErrorCode::crypto(alert), "{name}");
    }
    assert!(
        ClientTls::with_roots([], ALPN).is_err(),
        "without roots nobody can be trusted"
    );
}

#[test]
fn crypto_data_at_a_level_tls_does_not_read_is_a_violation() {
    let (server_tls, _) = server_and_root(ALPN);
    let client_tls = ClientTls::insecure(ALPN).unwrap();
    let violation = |peer: &mut Peer, level| {
        let code = peer.session.receive(level, &[0]).unwrap_err().code;
        assert_eq!(code, TransportErrorCode::PROTOCOL_VIOLATION, "{level:?}");
    };
    let (mut client, mut server) = sessions(&client_tls, &server_tls, "localhost");
    violation(&mut server, Level::Handshake);
    violation(&mut server, Level::OneRtt);
    run(&mut client, &mut server, usize::MAX).unwrap();
    for peer in [&mut client, &mut server] {
        violation(peer, Level::Initial);
        violation(peer, Level::Handshake);
    }
}

#[test]
fn bytes_after_the_server_hello_at_its_level_are_refused() {
    let (server_tls, _) = server_and_root(ALPN);
    let client_tls = ClientTls::insecure(ALPN).unwrap();
    let (mut client, mut server) = sessions(&client_tls, &server_tls, "localhost");
    for (level, bytes) in client.flight() {
        server.session.receive(level, &bytes).unwrap();
    }
    // RFC 9001 §4.1.3: the rest of the flight belongs to the next level.
    let flight: Vec<u8> = server
        .flight()
        .into_iter()
        .flat_map(|(_, bytes)| bytes)
        .collect();
    assert!(client.session.receive(Level::Initial, &flight).is_err());
}

#[test]
fn a_key_update_message_is_refused() {
    let (server_tls, _) = server_and_root(ALPN);
    let (mut client, mut server) = sessions(
        &ClientTls::insecure(ALPN).unwrap(),
        &server_tls,
        "localhost",
    );
    run(&mut client, &mut server, usize::MAX).unwrap();
    // RFC 9001 §6: packets have their own key update; TLS's is unexpected_message, alert 10.
    let key_update = [24, 0, 0, 1, 0];
    for peer in [&mut client, &mut server] {
        let error = peer
            .session
            .receive(Level::OneRtt, &key_update)
            .unwrap_err();
        assert_eq!(error.code, TransportErrorCode::crypto(10));
    }
}

#[test]
fn damaged_flights_end_in_an_error_and_never_in_a_panic() {
    let (server_tls, root) = server_and_root(ALPN);
    let client_tls = ClientTls::with_roots([root], ALPN).unwrap();
    let mut refused = 0;
    for at in (0..1200).step_by(7) {
        let (mut client, mut server) = sessions(&client_tls, &server_tls, "localhost");
        let mut hello = client.flight().remove(0).1;
        let Some(byte) = hello.get_mut(at) else { break };
        *byte ^= 0x20;
        let outcome = server.session.receive(Level::Initial, &hello);
        let outcome = outcome.and_then(|()| run(&mut client, &mut server, usize::MAX));
        let complete = !client.session.is_handshaking() && !server.session.is_handshaking();
        assert!(!complete, "the transcript differs, byte {at}");
        refused += usize::from(outcome.is_err());
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn a_name_that_is_none_is_refused_before_anything_is_sent() {
    let tls = ClientTls::insecure(ALPN).unwrap();
    assert!(TlsSession::client(&tls, "not a name", CLIENT_PARAMS).is_err());
}

#[test]
fn suites_of_a_foreign_configuration_cannot_be_changed_here() {
    let config = rustls::ClientConfig::builder_with_provider(provider(&CipherSuite::ALL))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let tls = ClientTls::new(config).unwrap();
    assert!(tls.only(&[CipherSuite::Aes128GcmSha256]).is_err());
    assert!(
        ClientTls::insecure(ALPN).unwrap().only(&[]).is_err(),
        "no suite at all"
    );
}

/// Keeps the labels of what it is told.
#[derive(Debug, Default)]
struct Labels(std::sync::Mutex<Vec<String>>);

impl rustls::KeyLog for Labels {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        assert_eq!((client_random.len(), secret.len()), (32, 32));
        self.0.lock().unwrap().push(label.to_owned());
    }
}

#[test]
fn the_applications_key_log_still_hears_every_secret() {
    let (server_tls, root) = server_and_root(ALPN);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).unwrap();
    let suites = provider(&[CipherSuite::ChaCha20Poly1305Sha256]);
    let mut config = rustls::ClientConfig::builder_with_provider(suites)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let labels = Arc::new(Labels::default());
    config.key_log = labels.clone();
    config.alpn_protocols = vec![b"moqt".to_vec()];
    let client_tls = ClientTls::new(config).unwrap();
    let (mut client, mut server) = sessions(&client_tls, &server_tls, "localhost");
    run(&mut client, &mut server, usize::MAX).unwrap();
    assert!(!client.session.is_handshaking());
    let labels = labels.0.lock().unwrap();
    for label in [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_TRAFFIC_SECRET_0",
        "EXPORTER_SECRET",
    ] {
        assert!(labels.iter().any(|logged| logged == label), "{label}");
    }
}
