//! `quic-relay subscribe`: one SUBSCRIBE (draft-18 §10.7), and the objects in order to a file.
//!
//! Without a filter a relay sends the newest group from its start, and then all that follows. A
//! publisher that is not there yet is waited for (RENDEZVOUS_TIMEOUT, draft-18 §10.2.6). The end is
//! told twice: an object says which group is the last, PUBLISH_DONE says how many streams there were;
//! whichever is complete first ends the program.

use std::collections::HashMap;
use std::time::Duration;

use quic_lite::Time;
use quic_lite::connection::Connection;
use quic_lite::stream::Chunk;
use quic_lite::wire::stream_id::StreamId;
use quic_relay::moqt::datagram::ObjectDatagram;
use quic_relay::moqt::message::{
    PublishDone, RequestError, Subscribe, SubscribeOk, UNKNOWN_STREAM_COUNT,
};
use quic_relay::moqt::subgroup::{Body, ObjectReader};
use quic_relay::moqt::{
    DoneCode, FullTrackName, Message, MoqtError, Namespace, Parameters, RequestErrorCode,
    SubgroupHeader,
};
use quic_relay::session::{Data, Ended, RequestId, SessionEvent};

use crate::args;
use crate::assembly::Assembly;
use crate::client::Progress;
use crate::client::session::{self, Link, SessionRole};
use crate::clock::unix_micros;
use crate::delay::Delays;
use crate::error::{Failure, Kind, Result};
use crate::media::{ObjectFacts, Rebuild, TrackFacts};
use crate::output::Output;
use crate::report::{Event, Received, Reporter};
use crate::terminal;

/// Runs `quic-relay subscribe`.
pub(crate) fn run(options: args::Subscribe) -> Result<()> {
    let client = options.client.clone();
    session::run(&client, |_| Subscriber::new(options))
}

/// A subscriber at work.
struct Subscriber {
    options: args::Subscribe,
    output: Output,
    reporter: Reporter,
    progress: terminal::Progress,
    request: Option<RequestId>,
    /// When an answer to SUBSCRIBE must be there.
    answer_by: Option<Time>,
    track: Option<Track>,
    streams: HashMap<StreamId, Reading>,
    ended_streams: u64,
    done: Option<Done>,
    /// Packets received and packet numbers used before the session began: the handshake does not count.
    before: (u64, u64),
}

/// What is known once the subscription stands.
struct Track {
    assembly: Assembly<(ObjectFacts, Vec<u8>)>,
    rebuild: Rebuild,
    delays: Delays,
}

/// A subgroup stream that is being read.
struct Reading {
    header: SubgroupHeader,
    /// `None` until the header's bytes are taken off.
    reader: Option<ObjectReader>,
    /// One more than the last object with a payload.
    length: u64,
    /// An object has said how long the group is.
    has_end: bool,
}

/// PUBLISH_DONE has come.
struct Done {
    message: PublishDone,
    /// What has not come by then does not come.
    until: Time,
}

impl SessionRole for Subscriber {
    fn on_ready(&mut self, now: Time, link: Link<'_>) -> Result<()> {
        let Link {
            connection,
            session,
        } = link;
        self.before = counters(connection);
        let wait = Duration::from_secs(self.options.wait.into());
        let parameters = Parameters {
            rendezvous_timeout: Some(u64::from(self.options.wait) * 1000),
            ..Parameters::default()
        };
        let track = track_name(&self.options.client)?;
        let subscribe = Message::Subscribe(Subscribe {
            request_id: 0,
            track,
            parameters,
        });
        let request = session.request(connection.streams_mut(), subscribe);
        self.request =
            Some(request.map_err(|error| {
                Failure::new(Kind::Network, format!("cannot subscribe: {error}"))
            })?);
        self.answer_by = Some(now + wait + ANSWER);
        Ok(())
    }

    fn on_event(&mut self, now: Time, link: Link<'_>, event: SessionEvent) -> Result<()> {
        if let Some(done) = &mut self.done {
            done.until = now + GRACE;
        }
        match event {
            SessionEvent::Message { id, message } if Some(id) == self.request => {
                self.on_message(now, message)
            }
            SessionEvent::Ended { id, how } if Some(id) == self.request => self.on_ended(how),
            SessionEvent::Subgroup { stream, header, .. } => {
                self.streams.insert(stream, Reading::new(header));
                self.read(link, stream)
            }
            SessionEvent::Readable(stream) => self.read(link, stream),
            SessionEvent::Datagram { datagram, .. } => self.on_datagram(&datagram),
            SessionEvent::Request { id, .. } => {
                let streams = link.connection.streams_mut();
                let code = RequestErrorCode::UNINTERESTED;
                link.session
                    .refuse(streams, id, code, "this client only receives one track");
                Ok(())
            }
            SessionEvent::GoAway(_) => {
                log::warn!("{} asks its clients to leave", self.options.client.url);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_tick(&mut self, now: Time, link: Link<'_>) -> Result<Progress> {
        if self.track.is_none() && self.answer_by.is_some_and(|at| at <= now) {
            let what = format!("{} does not answer SUBSCRIBE", self.options.client.url);
            return Err(Failure::new(Kind::Network, what));
        }
        self.write(now)?;
        let (frames, bytes) = (self.output.frames, self.output.bytes);
        self.progress.show(now, || {
            format!("{frames} frames, {}", terminal::bytes(bytes))
        });
        if !self.is_over(now) {
            return Ok(Progress::Going);
        }
        // What waits behind holes that nothing will fill any more.
        self.write(now)?;
        self.conclude(link.connection)
    }

    fn next_timeout(&self) -> Option<Time> {
        let hole = self
            .track
            .as_ref()
            .and_then(|track| track.assembly.deadline());
        let done = self.done.as_ref().map(|done| done.until);
        let answer = self.answer_by.filter(|_| self.track.is_none());
        [hole, done, answer].into_iter().flatten().min()
    }
}

impl Subscriber {
    fn new(options: args::Subscribe) -> Result<Self> {
        let reporter = Reporter::open(options.client.report.as_deref())?;
        let output = Output::open(&options.output)?;
        Ok(Self {
            options,
            output,
            reporter,
            progress: terminal::Progress::new(),
            request: None,
            answer_by: None,
            track: None,
            streams: HashMap::new(),
            ended_streams: 0,
            done: None,
            before: (0, 0),
        })
    }

    fn on_message(&mut self, now: Time, message: Message) -> Result<()> {
        match message {
            Message::SubscribeOk(ok) => self.begin(&ok),
            Message::RequestError(error) => Err(self.refused(&error)),
            Message::PublishDone(message) => {
                self.done = Some(Done {
                    message,
                    until: now + GRACE,
                });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, ok: &SubscribeOk) -> Result<()> {
        let facts = TrackFacts::parse(ok.properties.as_bytes());
        // Something was sent before: the relay begins with the newest group. Nothing was: with the first.
        let first = match ok.parameters.largest_object {
            Some(largest) => Some(largest.group),
            None => facts.first_group,
        };
        let mut start = Vec::new();
        let rebuild = Rebuild::new(&facts, &mut start);
        self.output.write(&start, 0)?;
        let assembly = Assembly::new(first, PATIENCE);
        self.track = Some(Track {
            assembly,
            rebuild,
            delays: Delays::default(),
        });
        self.reporter.tell(&Event::Subscribed);
        Ok(())
    }

    fn refused(&self, error: &RequestError) -> Failure {
        let client = &self.options.client;
        let name = format!("{}/{}", client.namespace, client.track);
        match error.code {
            RequestErrorCode::DOES_NOT_EXIST | RequestErrorCode::TIMEOUT => {
                let what = format!("unknown track: nobody publishes {name} at {}", client.url);
                Failure::new(Kind::Refused, what)
                    .advise("check the names, or wait longer for its publisher with --wait")
            }
            code => {
                let code = code.0;
                let what = format!(
                    "{} refuses {name}: {} ({code:#x})",
                    client.url, error.reason
                );
                Failure::new(Kind::Refused, what)
            }
        }
    }

    fn on_ended(&mut self, how: Ended) -> Result<()> {
        match (how, &self.done) {
            (_, Some(_)) => Ok(()),
            (Ended::Finished, None) => Err(self.lost("without a word")),
            (Ended::Cancelled(code), None) => Err(self.lost(&format!("with code {code:#x}"))),
        }
    }

    fn lost(&self, how: &str) -> Failure {
        let what = format!("{} ended the subscription {how}", self.options.client.url);
        Failure::new(Kind::Network, what)
    }

    fn read(&mut self, link: Link<'_>, stream: StreamId) -> Result<()> {
        let Link {
            connection,
            session,
        } = link;
        let (Some(reading), Some(track)) = (self.streams.get_mut(&stream), &mut self.track) else {
            return Ok(());
        };
        loop {
            match session.read(connection.streams_mut(), stream) {
                Data::Chunk { chunk, .. } => {
                    let taken = reading.take(&chunk, track);
                    taken.map_err(|error| damaged(&self.options.client, &error))?;
                }
                Data::Blocked => return Ok(()),
                Data::Finished => break reading.finish(&mut track.assembly),
                Data::Reset(code) => {
                    log::warn!(
                        "group {} was cut off (code {code:#x})",
                        reading.header.group_id
                    );
                    break track.assembly.lose(reading.header.group_id);
                }
            }
        }
        self.streams.remove(&stream);
        self.ended_streams += 1;
        Ok(())
    }

    fn on_datagram(&mut self, datagram: &Chunk) -> Result<()> {
        let (Ok(Some(object)), Some(track)) =
            (ObjectDatagram::parse_all(datagram), &mut self.track)
        else {
            return Ok(());
        };
        track.assembly.be_patient_for(DATAGRAM_PATIENCE);
        let (group, id) = (object.location.group, object.location.object);
        track.take(group, id, object.properties, object.body);
        if object.end_of_group {
            track.assembly.has_length(group, id + 1);
        }
        Ok(())
    }

    /// Writes what is in order.
    fn write(&mut self, now: Time) -> Result<()> {
        let Some(track) = &mut self.track else {
            return Ok(());
        };
        let (mut bytes, mut frames) = (Vec::new(), 0);
        while let Some((facts, payload)) = track.assembly.pop(now) {
            frames += u64::from(track.rebuild.add(facts, &payload, &mut bytes).is_some());
            if bytes.len() > BATCH {
                self.output.write(&bytes, frames)?;
                (bytes, frames) = (Vec::new(), 0);
            }
        }
        match bytes.is_empty() {
            true => Ok(()),
            false => self.output.write(&bytes, frames),
        }
    }

    /// Whether nothing more will come; then the assembly is told to let out the rest.
    fn is_over(&mut self, now: Time) -> bool {
        let Some(track) = &mut self.track else {
            return false;
        };
        if track.assembly.is_complete() {
            return true;
        }
        let Some(done) = &self.done else { return false };
        let count = done.message.stream_count;
        let is_counted = count > 0 && count != UNKNOWN_STREAM_COUNT;
        let has_all = is_counted && self.ended_streams >= count;
        if !has_all && done.until > now {
            return false;
        }
        track.assembly.close();
        true
    }

    /// The figures, and what there is to complain about.
    fn conclude(&mut self, connection: &Connection) -> Result<Progress> {
        let Some(track) = &self.track else {
            return Ok(Progress::Done);
        };
        let missing = track.assembly.skipped() + track.rebuild.dropped();
        if missing > 0 {
            log::warn!("{missing} gaps: not everything that was sent has arrived");
        }
        let (packets, numbers) = counters(connection);
        let packets = packets.saturating_sub(self.before.0);
        let numbers = numbers.saturating_sub(self.before.1);
        self.reporter.tell(&Event::Received(Received {
            media: self.output.media(),
            delay_us: track.delays.summary(),
            packets,
            lost: numbers.saturating_sub(packets),
        }));
        let Some(Done { message, .. }) = &self.done else {
            return Ok(Progress::Done);
        };
        let (status, reason) = (message.status, &message.reason);
        if !ENDS_WELL.contains(&status) {
            let code = status.0;
            let what = format!("the track ended early: {reason} ({code:#x})");
            return Err(Failure::new(Kind::Network, what));
        }
        if !reason.is_empty() {
            log::warn!("the track ended: {reason}");
        }
        Ok(Progress::Done)
    }
}

impl Track {
    fn take(&mut self, group: u64, id: u64, properties: &[u8], body: Body<'_>) {
        match body {
            Body::Payload(payload) => {
                let facts = ObjectFacts::parse(properties);
                if let Some(sent) = facts.sent {
                    self.delays.add(unix_micros().saturating_sub(sent));
                }
                self.assembly
                    .insert(group, id, payload.len(), (facts, payload.to_vec()));
            }
            Body::EndOfGroup => self.assembly.has_length(group, id),
            // draft-18 §11.2.1.1: nothing exists at or after this location.
            Body::EndOfTrack => {
                self.assembly.has_length(group, id);
                self.assembly.ends_with(group);
            }
        }
    }
}

impl Reading {
    fn new(header: SubgroupHeader) -> Self {
        Self {
            header,
            reader: None,
            length: 0,
            has_end: false,
        }
    }

    fn take(&mut self, chunk: &[u8], track: &mut Track) -> std::result::Result<(), MoqtError> {
        let group = self.header.group_id;
        let (reader, bytes) = match &mut self.reader {
            Some(reader) => (reader, chunk),
            None => {
                // The session has read the header; it stands whole in the first chunk.
                let (rest, _) = SubgroupHeader::parse(chunk).map_err(MoqtError::from)?;
                (
                    self.reader
                        .insert(ObjectReader::new(&self.header, MAX_OBJECT)),
                    rest,
                )
            }
        };
        reader.push(bytes);
        while let Some(object) = reader.next_object()? {
            if self.length == 0 && !self.header.first_object {
                track.assembly.starts_at(group, object.id);
            }
            match object.body {
                Body::Payload(_) => self.length = object.id.saturating_add(1),
                Body::EndOfGroup | Body::EndOfTrack => self.has_end = true,
            }
            track.take(group, object.id, object.properties, object.body);
        }
        Ok(())
    }

    /// All of the stream was read.
    fn finish<T>(&self, assembly: &mut Assembly<T>) {
        let group = self.header.group_id;
        // draft-18 §11.4.2: a FIN ends the group only when the header says so.
        match (self.has_end, self.header.end_of_group) {
            (true, _) => {}
            (false, true) => assembly.has_length(group, self.length),
            (false, false) => assembly.pause(group),
        }
    }
}

fn damaged(client: &args::Client, error: &MoqtError) -> Failure {
    let what = format!("{} sends a damaged stream: {error}", client.url);
    Failure::new(Kind::Network, what)
}

/// Packets that arrived, and 1-RTT packet numbers that the relay has used as far as we know.
fn counters(connection: &Connection) -> (u64, u64) {
    let numbers = connection
        .largest_received()
        .map_or(0, |number| number.value() + 1);
    (connection.stats().packets_received, numbers)
}

/// The full name of the track that a client asks for or offers.
pub(crate) fn track_name(client: &args::Client) -> Result<FullTrackName> {
    Namespace::new(client.namespace.fields())
        .and_then(|namespace| FullTrackName::new(namespace, client.track.as_bytes()))
        .ok_or_else(|| {
            Failure::new(
                Kind::Usage,
                "namespace and track are longer than 4096 bytes",
            )
        })
}

const ENDS_WELL: [DoneCode; 2] = [DoneCode::TRACK_ENDED, DoneCode::SUBSCRIPTION_ENDED];

/// A stream arrives whole or is reset; a hole before it is a packet on its way again.
const PATIENCE: Duration = Duration::from_secs(5);

/// A datagram is not sent again: what is missing this long after its successors will not come.
const DATAGRAM_PATIENCE: Duration = Duration::from_millis(200);

/// How long after PUBLISH_DONE and the last sign of life there may still be something on its way.
const GRACE: Duration = Duration::from_millis(1500);

/// On top of the time the relay was asked to wait.
const ANSWER: Duration = Duration::from_secs(10);

/// The largest object that is taken: the largest frame an IVF file may hold, and its properties.
const MAX_OBJECT: usize = 17 << 20;

/// Bytes collected before they are written.
const BATCH: usize = 1 << 20;
