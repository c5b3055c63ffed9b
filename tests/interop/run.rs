//! A run of a case: its link, how its files are fetched, and what every judge asks. No RFC; the runner's rules.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use integration::link::Outages;
use integration::{FileClient, FileServer, Kind, LinkConfig, Pair, Scenario};

use super::Case;

/// What a judge says: nothing, or why the run is not what the case asks for.
pub type Verdict = Result<(), String>;

/// A client and a server with files.
pub type Files = Pair<FileClient, FileServer>;

/// One of the runner's links: 15 ms, 10 Mbit/s, a queue of 25, and what its name says, in both directions.
#[derive(Clone, Copy, Debug)]
pub enum Link {
    /// `simple-p2p`
    Plain,
    /// `simple-p2p` of so many milliseconds
    Delay(u64),
    /// `blackhole`: works for so many seconds, then fails for so many
    Blackhole(u64, u64),
    /// `droplist`: from this datagram to that, to the server only
    DropList(u64, u64),
    /// `drop-rate` in percent, at most three in a row
    Loss(u64),
    /// `corrupt-rate` in percent
    Corruption(u64),
}

impl Link {
    fn scenario(self, seed: u64) -> Scenario {
        let mut link = LinkConfig::default();
        match self {
            Self::Plain | Self::DropList(..) => {}
            Self::Delay(millis) => link.delay = Duration::from_millis(millis),
            Self::Blackhole(on, off) => {
                let [on, off] = [on, off].map(Duration::from_secs);
                link.outages = Some(Outages { on, off });
            }
            Self::Loss(percent) => (link.loss, link.max_losses_in_row) = (percent, 3),
            Self::Corruption(percent) => link.corruption = percent,
        }
        let mut scenario = Scenario::over(seed, &link);
        if let Self::DropList(first, last) = self {
            scenario.to_server.drop_list = (first..=last).collect();
        }
        scenario
    }
}

/// What a judge looks at.
pub struct Run {
    /// Both sides, the network, and the trace.
    pub pair: Files,
    /// Files that were to be fetched on each connection.
    files: usize,
}

impl Run {
    /// Plays a case.
    pub fn of(case: &Case, seed: u64) -> Self {
        let Case(_, link, files, limit, _, settings, play, _) = *case;
        Self::with(link, files, seed, settings, |pair| {
            play(pair, Duration::from_secs(limit));
        })
    }

    /// Plays something else.
    pub fn with(
        link: Link,
        files: &[u64],
        seed: u64,
        settings: impl Fn(&mut Scenario),
        play: impl Fn(&mut Files),
    ) -> Self {
        let mut scenario = link.scenario(seed);
        settings(&mut scenario);
        let client = FileClient::new(files.iter().copied());
        let mut pair = scenario.start(client, FileServer::default());
        play(&mut pair);
        // The close arrives, and the closing period passes.
        pair.run_for(Duration::from_secs(1));
        let files = files.len();
        Self { pair, files }
    }

    /// Every case: so many handshakes, all files whole, version 1 only, and no other end than with code 0.
    pub fn check(&self, handshakes: usize) -> Verdict {
        let tap = &self.pair.tap;
        equal("handshakes", tap.handshakes(), handshakes)?;
        let files = (self.files * handshakes) as u64;
        equal("files", self.pair.client.app.files, files)?;
        equal("versions", tap.versions(), BTreeSet::from([1]))?;
        equal("codes of closing", tap.close_codes(), BTreeSet::from([0]))
    }

    /// Cases in which the server has no reason to ask twice.
    pub fn has_no_retry(&self) -> Verdict {
        equal("Retry packets", self.pair.tap.kind(Kind::Retry), 0)
    }

    /// From the first packet to the last byte of the last file.
    pub fn took(&self) -> Duration {
        let end = self.pair.client.app.finished.unwrap_or(self.pair.now);
        end.since(self.pair.tap.packets[0].time)
    }

    /// What is left of the bandwidth for the files, in percent.
    pub fn goodput(&self) -> u64 {
        let possible = BYTES_PER_SECOND * self.took().as_micros() / 1_000_000;
        (u128::from(self.pair.client.app.bytes) * 100 / possible) as u64
    }
}

/// All files on one connection, after which the client closes.
pub fn fetch(pair: &mut Files, limit: Duration) {
    pair.run(limit);
}

/// Both sides as they are.
pub const fn plain(_: &mut Scenario) {}

/// A verdict on a condition.
pub fn ensure(is_so: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if is_so { Ok(()) } else { Err(otherwise()) }
}

/// A verdict on a value.
pub fn equal<T: PartialEq + Debug>(what: &str, is: T, wanted: T) -> Verdict {
    ensure(is == wanted, || format!("{what}: {is:?}, not {wanted:?}"))
}

/// 10 Mbit/s.
const BYTES_PER_SECOND: u128 = 10_000_000 / 8;
