//! The settings of one run. No RFC.

use std::net::SocketAddr;
use std::sync::Arc;

use quic_lite::config::Config;
use quic_lite::endpoint::{Endpoint, EndpointConfig};
use quic_lite::io::Application;
use quic_lite::protection::CipherSuite;
use quic_lite::rng::Rng;
use quic_lite::tls::rustls::ServerConfig;
use quic_lite::tls::rustls::version::TLS13;
use quic_lite::tls::{ClientTls, ServerTls, provider};

use crate::certificates::{self, Chain};
use crate::link::LinkConfig;
use crate::network::{CLIENT, Network, SERVER};
use crate::pair::{Node, Pair};
use crate::tap::{Secrets, Tap};

/// What to simulate. The defaults are a clean link and default endpoints.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Decides everything that is random.
    pub seed: u64,
    /// The address that the client believes to have.
    pub client_address: SocketAddr,
    /// The server's address.
    pub server_address: SocketAddr,
    /// From the client to the server.
    pub to_server: LinkConfig,
    /// From the server to the client.
    pub to_client: LinkConfig,
    /// The client's transport.
    pub client: Config,
    /// The server's transport.
    pub server: Config,
    /// The server demands a Retry.
    pub retry: bool,
    /// What the client offers.
    pub suites: Vec<CipherSuite>,
    /// What the server shows.
    pub chain: Chain,
}

impl Scenario {
    /// The default scenario with this seed.
    pub fn new(seed: u64) -> Self {
        Self::over(seed, &LinkConfig::default())
    }

    /// The same link in both directions.
    pub fn over(seed: u64, link: &LinkConfig) -> Self {
        Self {
            seed,
            client_address: CLIENT,
            server_address: SERVER,
            to_server: link.clone(),
            to_client: link.clone(),
            client: Config::default(),
            server: Config::default(),
            retry: false,
            suites: CipherSuite::ALL.to_vec(),
            chain: certificates::short(),
        }
    }

    /// Changes the transport of both sides.
    pub fn both(mut self, change: impl Fn(&mut Config)) -> Self {
        change(&mut self.client);
        change(&mut self.server);
        self
    }

    /// The two endpoints, with the client's connection begun.
    pub fn start<C: Application, S: Application>(self, client: C, server: S) -> Pair<C, S> {
        let mut rng = Rng::from_number(self.seed);
        let links = [self.to_server.clone(), self.to_client.clone()];
        let addresses = [self.client_address, self.server_address];
        let network = Network::new(links, addresses, &mut rng);
        let secrets = Arc::new(Secrets::default());
        let client_endpoint = endpoint(EndpointConfig::default(), self.client_address, &mut rng);
        let server_endpoint = self.server_endpoint(&secrets, &mut rng);
        let mut pair = Pair::new(
            self,
            Node::new(client_endpoint, client),
            Node::new(server_endpoint, server),
            network,
            Tap::new(secrets),
            rng,
        );
        pair.connect();
        pair
    }

    /// What the client brings to its connections.
    pub fn client_tls(&self) -> ClientTls {
        ClientTls::with_roots([self.chain.root.clone()], ALPN)
            .and_then(|tls| tls.only(&self.suites))
            .unwrap()
    }

    /// A server that keeps no state but its secret: also what remains of one after a restart.
    pub fn server_endpoint(&self, secrets: &Arc<Secrets>, rng: &mut Rng) -> Endpoint {
        let tls = server_config(&self.chain, &CipherSuite::ALL, ALPN, secrets);
        let config = EndpointConfig {
            server: Some(ServerTls::new(tls).unwrap()),
            transport: Arc::new(self.server.clone()),
            retry: self.retry,
            secret: Some([7; 32]),
            ..EndpointConfig::default()
        };
        endpoint(config, self.server_address, rng)
    }
}

/// What a server tells rustls; its secrets become known.
pub fn server_config(
    chain: &Chain,
    suites: &[CipherSuite],
    alpn: &[&[u8]],
    secrets: &Arc<Secrets>,
) -> ServerConfig {
    let mut tls = ServerConfig::builder_with_provider(provider(suites))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.certificates.clone(), chain.key.clone_key())
        .unwrap();
    tls.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    tls.key_log = secrets.clone();
    tls
}

fn endpoint(config: EndpointConfig, address: SocketAddr, rng: &mut Rng) -> Endpoint {
    let mut endpoint = Endpoint::new(config, rng.bytes());
    endpoint.set_local_addresses(&[address]);
    endpoint
}

/// The application protocol of all simulations.
const ALPN: &[&[u8]] = &[b"hq-interop"];
