//! Row 24: who the server says it is. RFC 9001 §4.4; RFC 5280 §6.1.

use std::time::Duration;

use integration::certificates::{self, Chain};
use quic_lite::config::Config;
use quic_lite::connection::Event;
use quic_lite::endpoint::EndpointConfig;
use quic_lite::error::ConnectionError;
use quic_lite::tls::rustls::pki_types::PrivateKeyDer;
use quic_lite::tls::{ClientTls, ServerTls};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ED25519, date_time_ymd,
};

use crate::net::{ALPN, Net};

/// What a server shows to clients that trust `certificates::short`'s issuer or this one's.
type Change = fn(&mut CertificateParams);

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}

fn params(name: &str, is_ca: bool) -> CertificateParams {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}

/// A certificate of a root of its own, changed.
fn signed(change: Change) -> Chain {
    let (root_key, root_params) = (key(), params("root", true));
    let root = root_params.self_signed(&root_key).unwrap();
    let issuer = Issuer::new(root_params, root_key);
    let (key, mut leaf) = (key(), params("server", false));
    change(&mut leaf);
    Chain {
        certificates: vec![leaf.signed_by(&key, &issuer).unwrap().into()],
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        root: root.into(),
    }
}

/// A certificate that signs itself.
fn self_signed() -> Chain {
    let (key, params) = (key(), params("server", false));
    Chain {
        certificates: vec![params.self_signed(&key).unwrap().into()],
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        root: certificates::short().root,
    }
}

/// Signed by one whom the client trusts as a server, not as an issuer.
fn signed_by_a_server() -> Chain {
    let (root_key, root_params) = (key(), params("root", true));
    let root = root_params.self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(root_params, root_key);
    let (middle_key, middle_params) = (key(), params("another server", false));
    let middle = middle_params.signed_by(&middle_key, &root_issuer).unwrap();
    let middle_issuer = Issuer::new(middle_params, middle_key);
    let (key, leaf) = (key(), params("server", false));
    Chain {
        certificates: vec![
            leaf.signed_by(&key, &middle_issuer).unwrap().into(),
            middle.into(),
        ],
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        root: root.into(),
    }
}

/// What becomes of a connection to this server by a client that trusts its `root`.
fn connect(chain: Chain, tls: Option<ClientTls>) -> Net {
    let tls = tls.unwrap_or_else(|| ClientTls::with_roots([chain.root], ALPN).unwrap());
    let server = ServerTls::new_single(chain.certificates, chain.key, ALPN).unwrap();
    let mut net = Net::new(EndpointConfig::default());
    let config = EndpointConfig {
        server: Some(server),
        ..EndpointConfig::default()
    };
    let place = net.add(crate::net::address(5, 443), config);
    let (to, now) = (net.nodes[place].address, net.now);
    let endpoint = &mut net.nodes[0].endpoint;
    endpoint
        .connect(now, &tls, to, "localhost", Config::default())
        .unwrap();
    net.run(Duration::from_secs(30));
    net
}

fn refused(chain: Chain, why: &str) {
    let net = connect(chain, None);
    let client = &net.nodes[0];
    let Some(ConnectionError::Transport(error)) = client.closed() else {
        panic!("{why}: {:?}", client.closed());
    };
    assert!(error.code.alert().is_some(), "{why}: {error}");
    for node in &net.nodes {
        assert_eq!(node.count(|event| *event == Event::Connected), 0, "{why}");
    }
    let told = net.nodes[2].closed();
    assert!(
        matches!(told, Some(ConnectionError::PeerTransport { .. })),
        "{why}: {told:?}"
    );
}

#[test]
fn row_24_a_certificate_that_proves_nothing_ends_the_handshake() {
    refused(self_signed(), "self-signed");
    refused(signed(|it| it.subject_alt_names.clear()), "no name");
    refused(
        signed(|it| *it = CertificateParams::new(["example.org".to_owned()]).unwrap()),
        "another name",
    );
    refused(
        signed(|it| it.not_after = date_time_ymd(2020, 1, 1)),
        "expired",
    );
    refused(
        signed(|it| it.not_before = date_time_ymd(4000, 1, 1)),
        "not yet valid",
    );
    refused(signed_by_a_server(), "signed by who may not");
    let stranger = Chain {
        root: certificates::short().root,
        ..signed(|_| ())
    };
    refused(stranger, "signed by another root of the same name");
    // The key of the certificate must be the server's: rustls refuses to begin with another one.
    let mixed = Chain {
        key: signed(|_| ()).key,
        ..signed(|_| ())
    };
    assert!(ServerTls::new_single(mixed.certificates, mixed.key, ALPN).is_err());
}

#[test]
fn row_24_a_good_certificate_connects_and_a_bad_one_only_for_who_asks_for_it() {
    let is_connected = |net: &Net| net.nodes[0].count(|event| *event == Event::Connected) == 1;
    assert!(is_connected(&connect(signed(|_| ()), None)));
    let insecure = ClientTls::insecure(ALPN).unwrap();
    assert!(is_connected(&connect(self_signed(), Some(insecure))));
}
