//! What the program tells other programs: events as JSON, one object a line (`--report`), and the
//! figures in them.
//!
//! No RFC. `lab` starts the other commands with `--report -` and waits for these lines instead of
//! sleeping; scripts can do the same.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind, Result};

/// Something that another program may wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// `serve` takes connections.
    Listening {
        /// Where; the port is the real one when port 0 was asked for.
        address: SocketAddr,
    },
    /// `publish` has announced its track and the relay has accepted.
    Ready,
    /// `subscribe` has a subscription.
    Subscribed,
    /// `publish` is done.
    Sent(Media),
    /// `subscribe` is done.
    Received(Received),
    /// `serve` has ended.
    Served(Served),
}

/// What a file holds: frames of an IVF file or pieces of a raw stream, bytes, and their hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Media {
    /// Frames, or pieces of a raw stream.
    pub(crate) frames: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// SHA-256 of the file in hexadecimal.
    pub(crate) sha256: String,
}

/// One subscriber's figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Received {
    /// The file that was written.
    #[serde(flatten)]
    pub(crate) media: Media,
    /// From the publisher's send call to the whole object here; the two clocks must be one.
    pub(crate) delay_us: Delay,
    /// QUIC packets that arrived.
    pub(crate) packets: u64,
    /// Packet numbers below the largest one that never arrived.
    pub(crate) lost: u64,
    /// The UDP port here.
    pub(crate) port: u16,
}

/// One-way delay in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delay {
    /// Half of the objects were at most this late.
    pub(crate) p50: u64,
    /// 99 of 100 objects were at most this late.
    pub(crate) p99: u64,
}

/// The relay's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Served {
    /// Packets with media that went to subscribers.
    pub(crate) forwarded_packets: u64,
    /// Whether any of them took the path through the kernel.
    pub(crate) fast_path: bool,
    /// The subscribers, in the order in which they went.
    pub(crate) subscribers: Vec<Subscriber>,
}

/// What the relay sent to one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subscriber {
    /// Its address, as the relay sees it.
    pub(crate) peer: SocketAddr,
    /// Packets with media that the kernel sent.
    pub(crate) packets_from_kernel: u64,
    /// Packets with media that userspace sent.
    pub(crate) packets_from_userspace: u64,
}

/// Where events go.
#[derive(Debug)]
pub(crate) struct Reporter(Option<Box<dyn Output>>);

trait Output: Write + std::fmt::Debug + Send {}
impl<T: Write + std::fmt::Debug + Send> Output for T {}

impl Reporter {
    /// Opens the file of `--report`; without one, events go nowhere.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self(None));
        };
        if path == Path::new("-") {
            return Ok(Self(Some(Box::new(io::stdout()))));
        }
        match File::create(path) {
            Ok(file) => Ok(Self(Some(Box::new(file)))),
            Err(error) => Err(Failure::new(
                Kind::File,
                format!("cannot write {}: {error}", path.display()),
            )),
        }
    }

    /// Writes one event. A reader that went away is no reason to stop.
    pub(crate) fn tell(&mut self, event: &Event) {
        let Some(output) = &mut self.0 else { return };
        let line = serde_json::to_string(event).expect("plain fields always become JSON");
        if writeln!(output, "{line}")
            .and_then(|()| output.flush())
            .is_err()
        {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_single_flat_objects_and_come_back() {
        let media = Media {
            frames: 1,
            bytes: 2,
            sha256: "ab".into(),
        };
        let received = Received {
            media,
            packets: 5,
            ..Received::default()
        };
        let line = serde_json::to_string(&Event::Received(received.clone())).unwrap();
        assert_eq!(
            line,
            r#"{"event":"received","frames":1,"bytes":2,"sha256":"ab","delay_us":{"p50":0,"p99":0},"packets":5,"lost":0,"port":0}"#
        );
        assert_eq!(
            serde_json::from_str::<Event>(&line).unwrap(),
            Event::Received(received)
        );
    }
}
