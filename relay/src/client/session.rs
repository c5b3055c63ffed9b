//! A MOQT session on a client's connection, and the role that says what to do with it.
//!
//! draft-18 §3.1 for how a session begins, §10.3.1 for what it says of itself.

use quic_lite::Time;
use quic_lite::connection::{Connection, Event};
use quic_lite::io::Waker;
use quic_lite::wire::stream_id::Side;
use quic_relay::moqt::{ALPN, CloseCode, MoqtError, Setup, Token};
use quic_relay::session::{Session, SessionConfig, SessionEvent};
use quic_relay::url::RelayUrl;

use super::{Progress, Role};
use crate::args;
use crate::error::{Failure, Kind, Result};
use crate::token::read_token;

/// A session and the connection under it.
pub(crate) struct Link<'a> {
    /// The connection.
    pub(crate) connection: &'a mut Connection,
    /// The session.
    pub(crate) session: &'a mut Session,
}

/// What a client does with its session.
pub(crate) trait SessionRole {
    /// The session has begun.
    fn on_ready(&mut self, now: Time, link: Link<'_>) -> Result<()>;

    /// Something happened in the session.
    fn on_event(&mut self, now: Time, link: Link<'_>, event: SessionEvent) -> Result<()>;

    /// Called in each turn of the loop; `Done` ends the session in peace.
    fn on_tick(&mut self, now: Time, link: Link<'_>) -> Result<Progress>;

    /// When `on_tick` wants to be called at the latest.
    fn next_timeout(&self) -> Option<Time>;
}

/// Connects and lets the role that `begin` makes do its work. The role gets something to wake the
/// loop with.
pub(crate) fn run<R: SessionRole>(
    options: &args::Client,
    begin: impl FnOnce(Waker) -> Result<R>,
) -> Result<()> {
    let setup = setup(&options.url, options.token.as_deref())?;
    let session = Session::new(Side::Client, setup, SessionConfig::default());
    let url = options.url.clone();
    super::run(options, |waker| {
        Ok(WithSession {
            url,
            session,
            role: begin(waker)?,
        })
    })
}

/// A role and its session.
struct WithSession<R> {
    url: RelayUrl,
    session: Session,
    role: R,
}

impl<R: SessionRole> Role for WithSession<R> {
    const ALPN: &'static [u8] = ALPN;

    fn on_event(&mut self, now: Time, connection: &mut Connection, event: &Event) -> Result<()> {
        if let Err(error) = self.feed(now, connection, event) {
            connection.close(now, error.code().0, error.reason);
            return Err(broken(&self.url, &error));
        }
        self.deliver(now, connection)
    }

    fn on_tick(&mut self, now: Time, connection: &mut Connection) -> Result<Progress> {
        if self.session.next_timeout().is_some_and(|at| at <= now) {
            self.session.on_timeout(now, connection.streams_mut());
        }
        self.deliver(now, connection)?;
        let session = &mut self.session;
        self.role.on_tick(
            now,
            Link {
                connection,
                session,
            },
        )
    }

    fn next_timeout(&self) -> Option<Time> {
        [self.role.next_timeout(), self.session.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    fn explain(code: u64) -> (Kind, String) {
        let code = CloseCode(code);
        let kind = match code {
            CloseCode::UNAUTHORIZED
            | CloseCode::MALFORMED_AUTH_TOKEN
            | CloseCode::EXPIRED_AUTH_TOKEN => Kind::Refused,
            _ => Kind::Network,
        };
        (kind, code.to_string())
    }
}

impl<R: SessionRole> WithSession<R> {
    /// Gives the session what the connection says; an error is the relay breaking a rule.
    fn feed(
        &mut self,
        now: Time,
        connection: &mut Connection,
        event: &Event,
    ) -> std::result::Result<(), MoqtError> {
        let session = &mut self.session;
        match event {
            Event::Connected => session.start(connection.streams_mut()),
            Event::Stream(event) => session.on_stream_event(now, connection.streams_mut(), *event),
            Event::DatagramReceived => {
                while let Some(datagram) = connection.receive_datagram() {
                    session.on_datagram(now, connection.streams_mut(), datagram)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Tells the role what the session has to say.
    fn deliver(&mut self, now: Time, connection: &mut Connection) -> Result<()> {
        while let Some(event) = self.session.poll_event() {
            let session = &mut self.session;
            let link = Link {
                connection,
                session,
            };
            match event {
                SessionEvent::Ready(_) => self.role.on_ready(now, link)?,
                SessionEvent::Closed(error) => return Err(broken(&self.url, &error)),
                event => self.role.on_event(now, link, event)?,
            }
        }
        Ok(())
    }
}

/// draft-18 §10.3.1: over raw QUIC the client says in SETUP which URI it wants, and shows its token.
pub(crate) fn setup(url: &RelayUrl, token: Option<&str>) -> Result<Setup> {
    let token = token.map(read_token).transpose()?;
    let value = |token: String| Token::UseValue {
        kind: 0,
        value: token.into_bytes(),
    };
    Ok(Setup {
        path: (!url.path().is_empty()).then(|| url.path().into()),
        authorization_tokens: token.map(value).into_iter().collect(),
        authority: Some(url.authority().into()),
        implementation: Some(concat!("quic-relay ", env!("CARGO_PKG_VERSION")).into()),
        ..Setup::default()
    })
}

fn broken(url: &RelayUrl, error: &MoqtError) -> Failure {
    Failure::new(Kind::Network, format!("{url} broke the protocol: {error}"))
}
