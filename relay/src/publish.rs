//! `quic-relay publish`: a file or a pipe as a track.
//!
//! The track is offered with PUBLISH (draft-18 §10.10). A relay that does not take offers gets
//! PUBLISH_NAMESPACE (§10.15) and asks with SUBSCRIBE. How a file becomes objects is in
//! [`crate::media`]; a group is a stream (§2.3), from one key frame to the next. At the end the last
//! object says END_OF_TRACK, PUBLISH_DONE says how many streams there were, and the program stays
//! until the relay has acknowledged everything.

mod feed;
mod groups;
mod pace;
mod raw;

use quic_lite::Time;
use quic_lite::io::Waker;
use quic_relay::moqt::message::{NamespaceRequest, Publish, PublishDone, Subscribe, SubscribeOk};
use quic_relay::moqt::{DoneCode, Message, Parameters, Properties, RequestErrorCode, ResetCode};
use quic_relay::session::{Ended, RequestId, SessionEvent};

use self::feed::{Feed, More};
pub(crate) use self::raw::explain;
use crate::args::{self, Protocol};
use crate::client::Progress;
use crate::client::session::{self, Link, SessionRole};
use crate::error::{Failure, Kind, Result};
use crate::report::{Event, Reporter};
use crate::subscribe::track_name;

/// Runs `quic-relay publish`.
pub(crate) fn run(options: args::Publish) -> Result<()> {
    let client = options.client.clone();
    if client.protocol == Protocol::Raw {
        return raw::run(options);
    }
    session::run(&client, |waker| Publisher::new(options, waker))
}

/// A publisher at work.
struct Publisher {
    options: args::Publish,
    feed: Feed,
    reporter: Reporter,
    state: State,
    /// The offer that was made first: of the track, or of its namespace.
    offer: Option<RequestId>,
    /// The PUBLISH or SUBSCRIBE that objects go to.
    subscription: Option<RequestId>,
    /// Whether the relay wants objects now (draft-18 §10.2.12).
    forward: bool,
}

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The relay has not answered.
    Offering,
    /// Units are sent as they are due.
    Sending,
    /// All is written; the relay has not acknowledged all of it.
    Draining,
}

impl SessionRole for Publisher {
    fn on_ready(&mut self, _: Time, link: Link<'_>) -> Result<()> {
        let publish = Message::Publish(Publish {
            request_id: 0,
            track: track_name(&self.options.client)?,
            track_alias: ALIAS,
            parameters: Parameters::default(),
            properties: self.properties(),
        });
        self.offer = Some(request(link, publish)?);
        Ok(())
    }

    fn on_event(&mut self, _: Time, link: Link<'_>, event: SessionEvent) -> Result<()> {
        match event {
            SessionEvent::Message { id, message } if Some(id) == self.offer => {
                self.on_answer(link, id, message)
            }
            SessionEvent::Message {
                id,
                message: Message::RequestUpdate(update),
            } => {
                if Some(id) == self.subscription {
                    self.forward = update.parameters.forward.unwrap_or(self.forward);
                }
                let streams = link.connection.streams_mut();
                let _ = link
                    .session
                    .send(streams, id, &Message::RequestOk(Default::default()));
                Ok(())
            }
            SessionEvent::Request { id, message } => self.on_request(link, id, message),
            SessionEvent::Ended { id, how } if Some(id) == self.subscription => {
                self.on_ended(link, id, how)
            }
            SessionEvent::Stream(event) => {
                self.feed.on_stream_event(&event);
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
        self.show(now);
        match self.state {
            State::Offering => Ok(Progress::Going),
            State::Sending => self.send(now, link),
            State::Draining => self.drain(link),
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        let is_sending = self.state == State::Sending;
        is_sending.then(|| self.feed.next_timeout()).flatten()
    }
}

impl Publisher {
    fn new(options: args::Publish, waker: Waker) -> Result<Self> {
        let reporter = Reporter::open(options.client.report.as_deref())?;
        Ok(Self {
            feed: Feed::open(&options, false, waker)?,
            options,
            reporter,
            state: State::Offering,
            offer: None,
            subscription: None,
            forward: true,
        })
    }

    fn properties(&self) -> Properties {
        let facts = self.feed.facts().encode();
        Properties::parse_all(&facts).expect("our own properties are well formed")
    }

    /// The relay's answer to PUBLISH, or to the PUBLISH_NAMESPACE that followed a refusal.
    fn on_answer(&mut self, link: Link<'_>, id: RequestId, message: Message) -> Result<()> {
        let is_fallback = id.0 != 0;
        match message {
            Message::RequestOk(ok) if !is_fallback => {
                self.subscription = Some(id);
                self.forward = ok.parameters.forward.unwrap_or(true);
                self.accepted();
                Ok(())
            }
            Message::RequestOk(_) => {
                self.forward = false;
                self.accepted();
                Ok(())
            }
            Message::RequestError(error) if !is_fallback && may_ask_itself(error.code) => {
                log::info!(
                    "no PUBLISH there ({}): offering the namespace",
                    error.reason
                );
                let track = track_name(&self.options.client)?;
                let namespace = track.namespace.clone();
                let parameters = Parameters::default();
                let offer = NamespaceRequest {
                    request_id: 0,
                    namespace,
                    parameters,
                };
                self.offer = Some(request(link, Message::PublishNamespace(offer))?);
                Ok(())
            }
            Message::RequestError(error) => {
                let client = &self.options.client;
                let (url, code) = (&client.url, error.code.0);
                let name = format!("{}/{}", client.namespace, client.track);
                let what = format!("{url} refuses {name}: {} ({code:#x})", error.reason);
                Err(Failure::new(Kind::Refused, what))
            }
            _ => Ok(()),
        }
    }

    fn accepted(&mut self) {
        self.state = State::Sending;
        self.reporter.tell(&Event::Ready);
    }

    /// The relay wants something: the track, if it could not be offered to it.
    fn on_request(&mut self, link: Link<'_>, id: RequestId, message: Message) -> Result<()> {
        let Link {
            connection,
            session,
        } = link;
        let streams = connection.streams_mut();
        let wanted = track_name(&self.options.client)?;
        let refusal = match message {
            Message::Subscribe(Subscribe {
                track, parameters, ..
            }) if track == wanted => {
                if self.subscription.is_none() {
                    let ok = SubscribeOk {
                        track_alias: ALIAS,
                        parameters: Parameters::default(),
                        properties: self.properties(),
                    };
                    let _ = session.send(streams, id, &Message::SubscribeOk(ok));
                    self.subscription = Some(id);
                    self.forward = parameters.forward.unwrap_or(true);
                    return Ok(());
                }
                RequestErrorCode::DUPLICATE_SUBSCRIPTION
            }
            Message::Subscribe(_) => RequestErrorCode::DOES_NOT_EXIST,
            _ => RequestErrorCode::NOT_SUPPORTED,
        };
        session.refuse(streams, id, refusal, "this client publishes one track");
        Ok(())
    }

    fn on_ended(&mut self, link: Link<'_>, id: RequestId, how: Ended) -> Result<()> {
        if self.state == State::Draining {
            return Ok(());
        }
        if Some(id) != self.offer {
            // It came with SUBSCRIBE, and may come again.
            link.session.finish(link.connection.streams_mut(), id);
            (self.subscription, self.forward) = (None, false);
            return Ok(());
        }
        match how {
            Ended::Finished => Ok(()),
            Ended::Cancelled(code) => {
                let why = match ResetCode(code) {
                    ResetCode::EXPIRED_AUTH_TOKEN => "the token has expired",
                    _ => "it said no more",
                };
                let url = &self.options.client.url;
                let what = format!("{url} wants the track no more: {why} (code {code:#x})");
                Err(Failure::new(Kind::Refused, what))
            }
        }
    }

    /// Sends what is due and what the path takes.
    fn send(&mut self, now: Time, link: Link<'_>) -> Result<Progress> {
        // A file that has no times of its own waits for its first subscriber.
        let is_early = !self.forward && !self.feed.is_realtime();
        if !is_early && self.feed.send(now, link.connection, self.forward)? == More::No {
            self.end(link);
        }
        Ok(Progress::Going)
    }

    /// Nothing more to send: says so in the track and about it.
    fn end(&mut self, link: Link<'_>) {
        let Link {
            connection,
            session,
        } = link;
        let stream_count = self.feed.end(connection);
        if let Some(id) = self.subscription {
            let status = DoneCode::TRACK_ENDED;
            let done = PublishDone {
                status,
                stream_count,
                reason: String::new(),
            };
            let streams = connection.streams_mut();
            let _ = session.send(streams, id, &Message::PublishDone(done));
            session.finish(streams, id);
        }
        self.state = State::Draining;
    }

    /// Done when the relay has everything.
    fn drain(&mut self, link: Link<'_>) -> Result<Progress> {
        let Some(media) = self.feed.drain(link.connection)? else {
            return Ok(Progress::Going);
        };
        self.reporter.tell(&Event::Sent(media));
        Ok(Progress::Done)
    }

    fn show(&mut self, now: Time) {
        let state = self.state;
        self.feed.show(now, |sent| match state {
            State::Offering => "waiting for the relay".to_owned(),
            State::Sending => sent,
            State::Draining => format!("{sent}: finishing"),
        });
    }
}

fn request(link: Link<'_>, message: Message) -> Result<RequestId> {
    let sent = link.session.request(link.connection.streams_mut(), message);
    sent.map_err(|error| Failure::new(Kind::Network, format!("cannot publish: {error}")))
}

/// A relay that does not want tracks pushed to it may still ask for them.
fn may_ask_itself(code: RequestErrorCode) -> bool {
    matches!(
        code,
        RequestErrorCode::NOT_SUPPORTED | RequestErrorCode::UNINTERESTED
    )
}

/// One session, one track: any alias will do.
const ALIAS: u64 = 0;
