//! `quic-relay publish --protocol raw`: the same groups and objects, without a session around them.
//!
//! No RFC: [`quic_relay::raw`] is the protocol, and to it these are bytes. A group is a stream, or its
//! objects are datagrams, written as for MOQT (draft-18 §11). What a subscriber would learn from the
//! session stands in the groups: what the track is, with each group's first object ([`crate::media`]);
//! that it is over, in its last object, which goes on a stream even when the others are datagrams. A
//! publisher does not learn whether anybody listens, so it sends at once.

use quic_lite::Time;
use quic_lite::connection::{Connection, Event as ConnectionEvent};
use quic_lite::io::Waker;
use quic_relay::raw::PUBLISHER;

use super::feed::{Feed, More};
use crate::args;
use crate::client::{self, Progress, Role};
use crate::error::{Kind, Result};
use crate::report::{Event, Reporter};

/// Runs the publisher.
pub(super) fn run(options: args::Publish) -> Result<()> {
    let client = options.client.clone();
    client::run(&client, |waker| Publisher::new(&options, waker))
}

/// A publisher at work.
struct Publisher {
    feed: Feed,
    reporter: Reporter,
    /// All is written; the relay has not acknowledged all of it.
    is_draining: bool,
}

impl Publisher {
    fn new(options: &args::Publish, waker: Waker) -> Result<Self> {
        Ok(Self {
            feed: Feed::open(options, true, waker)?,
            reporter: Reporter::open(options.client.report.as_deref())?,
            is_draining: false,
        })
    }
}

impl Role for Publisher {
    const ALPN: &'static [u8] = PUBLISHER;

    fn on_event(&mut self, _: Time, _: &mut Connection, event: &ConnectionEvent) -> Result<()> {
        match event {
            ConnectionEvent::Connected => self.reporter.tell(&Event::Ready),
            ConnectionEvent::Stream(event) => self.feed.on_stream_event(event),
            _ => {}
        }
        Ok(())
    }

    fn on_tick(&mut self, now: Time, connection: &mut Connection) -> Result<Progress> {
        let is_draining = self.is_draining;
        self.feed.show(now, |sent| match is_draining {
            false => sent,
            true => format!("{sent}: finishing"),
        });
        if !is_draining {
            if self.feed.send(now, connection, true)? == More::No {
                self.feed.end(connection);
                self.is_draining = true;
            }
            return Ok(Progress::Going);
        }
        let Some(media) = self.feed.drain(connection)? else {
            return Ok(Progress::Going);
        };
        self.reporter.tell(&Event::Sent(media));
        Ok(Progress::Done)
    }

    fn next_timeout(&self) -> Option<Time> {
        self.feed.next_timeout().filter(|_| !self.is_draining)
    }

    fn explain(code: u64) -> (Kind, String) {
        explain(code)
    }
}

/// A code of the raw protocol in words.
pub(crate) fn explain(code: u64) -> (Kind, String) {
    let kind = match code {
        quic_relay::raw::code::TOO_MANY | quic_relay::raw::code::UNAUTHORIZED => Kind::Refused,
        _ => Kind::Network,
    };
    (kind, format!("code {code:#x}"))
}
