//! The 17 cases: what is sent over which link, and who cannot play. No RFC; after quic-interop-runner.
//!
//! Files are smaller and outages shorter than the runner's, so that all runs together take less than a minute and a
//! half; the simulator plays them at full size.

use crate::link::Link;
use std::time::Duration;

/// Who is at the other end, and what it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// quinn asks, `interop-server` answers.
    QuinnClient,
    /// `interop-client` asks quinn.
    QuinnServer,
    /// quiche asks, `interop-server` answers.
    QuicheClient,
    /// `interop-client` asks quiche.
    QuicheServer,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::QuinnClient, Self::QuinnServer, Self::QuicheClient, Self::QuicheServer];

    /// As the ratchet's file writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QuinnClient => "quinn-client",
            Self::QuinnServer => "quinn-server",
            Self::QuicheClient => "quiche-client",
            Self::QuicheServer => "quiche-server",
        }
    }

    /// Whether we are the client.
    pub const fn is_server(self) -> bool {
        matches!(self, Self::QuinnServer | Self::QuicheServer)
    }

    /// Whether it is quiche.
    pub const fn is_quiche(self) -> bool {
        matches!(self, Self::QuicheClient | Self::QuicheServer)
    }
}

/// One of the cases.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// TESTCASE of a client.
    pub client: &'static str,
    /// TESTCASE of a server.
    pub server: &'static str,
    /// Sizes of the files.
    pub files: Vec<usize>,
    /// The link.
    pub link: Link,
    /// Certificates in the server's chain, its own included.
    pub chain: usize,
    /// Over IPv6.
    pub ipv6: bool,
}

impl Case {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            client: "transfer",
            server: "transfer",
            files: vec![1 << 20],
            link: Link::default(),
            chain: 1,
            ipv6: false,
        }
    }

    /// One connection for each file.
    pub fn is_multiconnect(&self) -> bool {
        self.client == "multiconnect"
    }

    /// Why it cannot be played with this peer.
    pub fn impossible(&self, peer: Peer) -> Option<&'static str> {
        match (self.name, peer) {
            ("chacha20", Peer::QuicheClient) => Some("quiche has no call that chooses the suites of TLS 1.3"),
            ("keyupdate", Peer::QuicheClient) => Some("quiche has no call that begins a key update"),
            ("ecn", Peer::QuicheClient | Peer::QuicheServer) => Some("quiche neither sets nor reports marks"),
            // Seen in our qlog: a hole stays in the stream, and the server waits for credit behind it.
            ("rebind-port" | "rebind-addr", Peer::QuicheServer) => {
                Some("quiche does not repeat what was on its way to the old address")
            }
            _ => None,
        }
    }
}

/// All 17.
pub fn all() -> Vec<Case> {
    let named = |client, server, case: Case| Case { client, server, ..case };
    let over = |name, link| Case { link, ..Case::new(name) };
    let loss = Link { loss: 30, burst: 3, ..Link::default() };
    let rebind = |addresses| Link {
        rebind: Some((Duration::from_millis(1000), Duration::from_millis(1500))),
        addresses,
        ..Link::default()
    };
    let small = |name| Case { files: vec![1024], ..Case::new(name) };
    vec![
        named("handshake", "handshake", small("handshake")),
        Case { files: vec![600_000, 900_000, 1_500_000], ..Case::new("transfer") },
        named(
            "handshake",
            "handshake",
            Case { link: Link { delay: Duration::from_millis(750), ..Link::default() }, ..small("longrtt") },
        ),
        named("chacha20", "chacha20", Case::new("chacha20")),
        Case { files: vec![32; 1999], ..Case::new("multiplexing") },
        named("retry", "retry", small("retry")),
        Case {
            files: vec![3 << 20],
            link: Link {
                outage: Some((Duration::from_millis(1300), Duration::from_millis(600))),
                ..Link::default()
            },
            ..Case::new("blackhole")
        },
        named("keyupdate", "transfer", Case::new("keyupdate")),
        named("ecn", "ecn", over("ecn", Link::none())),
        Case { chain: 9, link: Link { drops: 2..=7, ..Link::default() }, ..small("amplificationlimit") },
        named("multiconnect", "multiconnect", Case { files: vec![1024; 4], ..over("handshakeloss", loss) }),
        Case { files: vec![2 << 20], ..over("transferloss", Link { loss: 2, ..Link::default() }) },
        named(
            "multiconnect",
            "multiconnect",
            Case { files: vec![1024; 4], ..over("handshakecorruption", Link { damage: 30, ..Link::default() }) },
        ),
        Case { files: vec![2 << 20], ..over("transfercorruption", Link { damage: 2, ..Link::default() }) },
        Case { ipv6: true, ..Case::new("ipv6") },
        Case { files: vec![4 << 20], ..over("rebind-port", rebind(false)) },
        Case { files: vec![4 << 20], ..over("rebind-addr", rebind(true)) },
    ]
}
