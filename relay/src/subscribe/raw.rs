//! `quic-relay subscribe --protocol raw`: what `publish --protocol raw` sends, without a session.
//!
//! No RFC: [`quic_relay::raw`] is the protocol. It begins as soon as the relay knows of this subscriber,
//! which HANDSHAKE_DONE shows (RFC 9001 §4.1.2), with the next stream or datagram; no publisher is asked
//! for, so it waits for one as long as it takes. The last object of the last group says that it is over.

use std::collections::HashMap;
use std::time::Duration;

use quic_lite::Time;
use quic_lite::connection::{Connection, Event as ConnectionEvent};
use quic_lite::stream::{ReadChunk, StreamEvent};
use quic_lite::wire::stream_id::StreamId;
use quic_relay::moqt::datagram::ObjectDatagram;
use quic_relay::moqt::{MoqtError, SubgroupHeader};
use quic_relay::raw::{SUBSCRIBER, code};

use super::damaged;
use super::track::{Counted, Reading, Track};
use crate::args;
use crate::client::{self, Progress, Role};
use crate::error::{Failure, Kind, Result};
use crate::output::Output;
use crate::publish::explain;
use crate::report::{Event, Reporter};
use crate::terminal;

/// Runs the subscriber.
pub(super) fn run(options: args::Subscribe) -> Result<()> {
    let client = options.client.clone();
    client::run(&client, |_| Subscriber::new(options))
}

/// A subscriber at work.
struct Subscriber {
    options: args::Subscribe,
    output: Output,
    reporter: Reporter,
    progress: terminal::Progress,
    track: Track,
    streams: HashMap<StreamId, Begun>,
    /// Something that still comes after the end comes before this.
    last_sign: Option<Time>,
    before: Counted,
}

/// A stream, from its first byte on.
enum Begun {
    /// Its header is not complete.
    Header(Vec<u8>),
    /// It is.
    Objects(Reading),
}

impl Role for Subscriber {
    const ALPN: &'static [u8] = SUBSCRIBER;

    fn on_event(
        &mut self,
        now: Time,
        connection: &mut Connection,
        event: &ConnectionEvent,
    ) -> Result<()> {
        match event {
            ConnectionEvent::HandshakeConfirmed => {
                self.before = Counted::at(connection);
                self.reporter.tell(&Event::Subscribed);
            }
            ConnectionEvent::Stream(StreamEvent::Readable(id)) => self.read(connection, *id)?,
            ConnectionEvent::DatagramReceived => {
                let next = || connection.receive_datagram();
                std::iter::from_fn(next).for_each(|datagram| self.on_datagram(&datagram));
            }
            _ => {}
        }
        if self.track.assembly.has_end() {
            self.last_sign = Some(now + GRACE);
        }
        Ok(())
    }

    fn on_tick(&mut self, now: Time, connection: &mut Connection) -> Result<Progress> {
        self.track.write(now, &mut self.output)?;
        let (frames, bytes) = (self.output.frames, self.output.bytes);
        self.progress.show(now, || {
            format!("{frames} frames, {}", terminal::bytes(bytes))
        });
        if !self.is_over(now) {
            return Ok(Progress::Going);
        }
        // What waits behind holes that nothing will fill any more.
        self.track.write(now, &mut self.output)?;
        let received = self.track.figures(&self.output, connection, self.before);
        self.reporter.tell(&Event::Received(received));
        Ok(Progress::Done)
    }

    fn next_timeout(&self) -> Option<Time> {
        [self.track.assembly.deadline(), self.last_sign]
            .into_iter()
            .flatten()
            .min()
    }

    fn explain(code: u64) -> (Kind, String) {
        explain(code)
    }
}

impl Subscriber {
    fn new(options: args::Subscribe) -> Result<Self> {
        Ok(Self {
            reporter: Reporter::open(options.client.report.as_deref())?,
            output: Output::open(&options.output)?,
            options,
            progress: terminal::Progress::new(),
            track: Track::new(),
            streams: HashMap::new(),
            last_sign: None,
            before: Counted::default(),
        })
    }

    fn read(&mut self, connection: &mut Connection, id: StreamId) -> Result<()> {
        loop {
            match connection.read_chunk(id) {
                Ok(ReadChunk::Chunk { chunk, .. }) => {
                    let begun = self.streams.entry(id).or_insert(Begun::Header(Vec::new()));
                    begun
                        .take(&chunk, &mut self.track)
                        .map_err(|error| damaged(&self.options.client, &error))?;
                }
                Ok(ReadChunk::Blocked) => return Ok(()),
                Ok(ReadChunk::Finished) | Err(_) => {
                    self.on_finished(id);
                    return Ok(());
                }
                Ok(ReadChunk::Reset(code)) => return self.on_reset(id, code),
            }
        }
    }

    fn on_datagram(&mut self, datagram: &[u8]) {
        if let Ok(Some(object)) = ObjectDatagram::parse_all(datagram) {
            self.track.take_datagram(&object);
        }
    }

    fn on_finished(&mut self, id: StreamId) {
        if let Some(Begun::Objects(reading)) = self.streams.remove(&id) {
            reading.finish(&mut self.track.assembly);
        }
    }

    fn on_reset(&mut self, id: StreamId, code: u64) -> Result<()> {
        let begun = self.streams.remove(&id);
        if code == code::PUBLISHER_GONE {
            let what = format!(
                "the publisher at {} left before the end",
                self.options.client.url
            );
            return Err(Failure::new(Kind::Network, what));
        }
        if let Some(Begun::Objects(reading)) = begun {
            let group = reading.header.group_id;
            log::warn!("group {group} was cut off (code {code:#x})");
            self.track.assembly.lose(group);
        }
        Ok(())
    }

    /// Whether nothing more will come; then the assembly is told to let out the rest.
    fn is_over(&mut self, now: Time) -> bool {
        let track = &mut self.track;
        if track.assembly.is_complete() {
            return true;
        }
        if !track.assembly.has_end() {
            return false;
        }
        // An end, and never a beginning: the input was empty.
        if !track.is_begun() {
            return true;
        }
        // Streams come whole; of the last datagrams nobody knows whether they are still on their way.
        let is_late = self.last_sign.is_some_and(|at| at <= now);
        if !track.has_datagrams || !self.streams.is_empty() || !is_late {
            return false;
        }
        track.assembly.close();
        true
    }
}

impl Begun {
    fn take(&mut self, chunk: &[u8], track: &mut Track) -> std::result::Result<(), MoqtError> {
        match self {
            Self::Objects(reading) => reading.take(chunk, track),
            Self::Header(start) => {
                start.extend_from_slice(chunk);
                let header = match SubgroupHeader::parse(start).map_err(MoqtError::from) {
                    Ok((_, header)) => header,
                    Err(error) if error.is_truncated() => return Ok(()),
                    Err(error) => return Err(error),
                };
                let mut reading = Reading::new(header);
                reading.take(start, track)?;
                *self = Self::Objects(reading);
                Ok(())
            }
        }
    }
}

/// How long after the end and the last sign of life a datagram may still be on its way.
const GRACE: Duration = Duration::from_millis(500);
