//! What to simulate beside the kernel's stand-in. No RFC.

use std::time::Duration;

use integration::LinkConfig;
use quic_lite::config::Config;
use quic_lite::protection::CipherSuite;
use quic_relay::serve::server;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Decides everything that is random.
    pub seed: u64,
    /// From clients to the relay.
    pub up: LinkConfig,
    /// From the relay to clients.
    pub down: LinkConfig,
    /// How long datagrams wait in the relay's socket, at most.
    pub wait: Duration,
    /// The kernel's slots.
    pub slots: u32,
    /// No interface sees the clients, so the kernel serves nobody.
    pub is_blind: bool,
    /// What clients offer.
    pub suites: Vec<CipherSuite>,
    /// Clients let themselves be asked for fewer acknowledgements.
    pub min_ack_delay: Option<Duration>,
    /// The relay's.
    pub transport: Config,
}

impl Settings {
    /// A wide link without faults.
    pub fn new(seed: u64) -> Self {
        let link = LinkConfig {
            delay: Duration::from_millis(5),
            bandwidth: None,
            ..LinkConfig::default()
        };
        Self {
            seed,
            up: link.clone(),
            down: link,
            wait: Duration::from_millis(2),
            slots: 16,
            is_blind: false,
            suites: CipherSuite::ALL.to_vec(),
            min_ack_delay: None,
            transport: server::transport_beside_kernel(),
        }
    }

    /// The same with this much loss and reordering on all links, in percent.
    pub fn with_loss(mut self, loss: u64, reordering: u64) -> Self {
        for link in [&mut self.up, &mut self.down] {
            link.loss = loss;
            link.reordering = reordering;
            link.reordering_delay = Duration::from_millis(8);
        }
        self
    }
}
