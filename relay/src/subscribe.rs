//! `quic-relay subscribe`: one SUBSCRIBE (draft-18 §10.7), and the objects in order to a file.
//!
//! Without a filter a relay sends the newest group from its start, and then all that follows. A
//! publisher that is not there yet is waited for (RENDEZVOUS_TIMEOUT, draft-18 §10.2.6). The end is
//! told twice: an object says which group is the last, PUBLISH_DONE says how many streams there were;
//! whichever is complete first ends the program.

mod raw;
mod track;

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
use quic_relay::moqt::{
    DoneCode, FullTrackName, Message, MoqtError, Namespace, Parameters, RequestErrorCode,
};
use quic_relay::session::{Data, Ended, RequestId, SessionEvent};

use self::track::{Counted, Reading, Track};
use crate::args::{self, Protocol};
use crate::client::Progress;
use crate::client::session::{self, Link, SessionRole};
use crate::error::{Failure, Kind, Result};
use crate::media::TrackFacts;
use crate::output::Output;
use crate::report::{Event, Reporter};
use crate::terminal;

/// Runs `quic-relay subscribe`.
pub(crate) fn run(options: args::Subscribe) -> Result<()> {
    let client = options.client.clone();
    if client.protocol == Protocol::Raw {
        return raw::run(options);
    }
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
    /// Known once the subscription stands.
    track: Option<Track>,
    streams: HashMap<StreamId, Reading>,
    ended_streams: u64,
    done: Option<Done>,
    /// Before the session began: the handshake does not count.
    before: Counted,
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
        self.before = Counted::at(connection);
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
            before: Counted::default(),
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
        let mut track = Track::new();
        track.begin(&facts, first);
        self.track = Some(track);
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
        track.take_datagram(&object);
        Ok(())
    }

    /// Writes what is in order.
    fn write(&mut self, now: Time) -> Result<()> {
        match &mut self.track {
            Some(track) => track.write(now, &mut self.output),
            None => Ok(()),
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
        let received = track.figures(&self.output, connection, self.before);
        self.reporter.tell(&Event::Received(received));
        let Some(Done { message, .. }) = &self.done else {
            return Ok(Progress::Done);
        };
        let (status, reason) = (message.status, &message.reason);
        if !ENDS_WELL.contains(&status) {
            let kind = match status {
                DoneCode::UNAUTHORIZED | DoneCode::EXPIRED => Kind::Refused,
                _ => Kind::Network,
            };
            let code = status.0;
            let what = format!("the track ended early: {reason} ({code:#x})");
            return Err(Failure::new(kind, what));
        }
        if !reason.is_empty() {
            log::warn!("the track ended: {reason}");
        }
        Ok(Progress::Done)
    }
}

fn damaged(client: &args::Client, error: &MoqtError) -> Failure {
    let what = format!("{} sends a damaged stream: {error}", client.url);
    Failure::new(Kind::Network, what)
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

/// How long after PUBLISH_DONE and the last sign of life there may still be something on its way.
const GRACE: Duration = Duration::from_millis(1500);

/// On top of the time the relay was asked to wait.
const ANSWER: Duration = Duration::from_secs(10);
