//! What messages leave by: a socket, or a connection to a relay, with a session of MOQT on it or without. No RFC.

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use bench::clock::monotonic;
use bench::line::{Line, is_passing, wait, widen};
use bench::moqt::{self, Role, Talk};
use bench::orders::Orders;
use quic_lite::Dir;
use quic_lite::connection::{Connection, Event};
use quic_lite::endpoint::Handle;

use crate::Mode;

/// What messages leave by.
pub enum Outlet {
    /// Plain UDP.
    Udp(UdpSocket),
    /// A relay.
    Quic(Box<Quic>),
}

/// A connection to a relay.
pub struct Quic {
    line: Line,
    handle: Handle,
    /// With MOQT.
    talk: Option<Talk>,
}

impl Outlet {
    /// To an address.
    pub fn udp(to: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(to)?;
        socket.set_nonblocking(true)?;
        widen(&socket)?;
        Ok(Self::Udp(socket))
    }

    /// To a relay, as soon as it takes messages; those in datagrams have so many bytes.
    pub fn quic(
        to: SocketAddr,
        is_moqt: bool,
        datagram: Option<usize>,
        orders: &Orders,
    ) -> Result<Self, Box<dyn Error>> {
        let alpn = match is_moqt {
            true => moqt::ALPN,
            false => b"qr-raw-pub",
        };
        let mut line = Line::open(to, alpn)?;
        let mut quic = Box::new(Quic {
            handle: line.connect()?,
            line,
            talk: is_moqt.then(|| Talk::new(Role::Publisher)),
        });
        let until = monotonic() + LONGEST;
        while !quic.is_ready(datagram)? {
            quic.turn()
                .map_err(|error| format!("no connection to {to}: {error}"))?;
            if monotonic() > until {
                return Err(format!("{to} takes no such messages").into());
            }
            let soon = quic.line.now() + Duration::from_millis(10);
            quic.line.wait(orders, Some(soon))?;
        }
        Ok(Self::Quic(quic))
    }

    /// A message; whether it was taken.
    pub fn send(
        &mut self,
        sequence: u64,
        message: &[u8],
        mode: Mode,
    ) -> Result<bool, Box<dyn Error>> {
        match self {
            Self::Udp(socket) => match socket.send(message) {
                Err(error) if is_passing(&error) => Ok(false),
                other => Ok(other? == message.len()),
            },
            Self::Quic(quic) => quic.send(sequence, message, mode),
        }
    }

    /// Whether to send one more, where nothing else paces.
    pub fn has_room(&self, mode: Mode) -> bool {
        self.connection().is_none_or(|it| match mode {
            Mode::Datagram => it.queued_datagrams().0 < 32,
            Mode::Stream => it.bytes_in_flight() < it.cwnd(),
        })
    }

    /// Whether no datagram waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.connection()
            .is_none_or(|it| it.queued_datagrams().0 == 0)
    }

    /// Says goodbye, so that the relay waits for nothing more.
    pub fn leave(&mut self) -> Result<(), Box<dyn Error>> {
        let Self::Quic(quic) = self else {
            return Ok(());
        };
        let now = quic.line.now();
        quic.connection()?.close(now, 0, "");
        Ok(quic.line.send()?)
    }

    fn connection(&self) -> Option<&Connection> {
        match self {
            Self::Udp(_) => None,
            Self::Quic(quic) => quic.line.endpoint.connection(quic.handle),
        }
    }

    /// Until this time of CLOCK_MONOTONIC, or a little less.
    pub fn wait(&mut self, orders: &Orders, until: u64) -> Result<(), Box<dyn Error>> {
        let left = Duration::from_nanos(until.saturating_sub(monotonic()));
        match self {
            Self::Udp(socket) => Ok(wait(socket, orders, Some(left))?),
            Self::Quic(quic) => {
                let at = quic.line.now() + left;
                quic.line.wait(orders, Some(at))?;
                quic.turn()
            }
        }
    }

    /// Until there is something to do.
    pub fn rest(&mut self, orders: &Orders) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Udp(socket) => Ok(wait(socket, orders, None)?),
            Self::Quic(quic) => {
                quic.line.wait(orders, None)?;
                quic.turn()
            }
        }
    }
}

impl Quic {
    fn connection(&mut self) -> Result<&mut Connection, &'static str> {
        let connection = self.line.endpoint.connection_mut(self.handle);
        connection.ok_or("the connection is gone")
    }

    /// Whether the path is known to carry what is to be sent, and the relay has heard of it.
    fn is_ready(&mut self, datagram: Option<usize>) -> Result<bool, Box<dyn Error>> {
        let is_settled = self.talk.as_ref().is_none_or(Talk::is_settled);
        let connection = self.connection()?;
        let room = connection.max_datagram_payload().unwrap_or(0);
        let is_wide = datagram.is_none_or(|bytes| room >= bytes);
        Ok(connection.is_established() && is_wide && is_settled)
    }

    /// Takes what has come.
    fn turn(&mut self) -> Result<(), Box<dyn Error>> {
        for (_, event) in self.line.turn()? {
            if let Event::Closed(error) = event {
                return Err(format!("the relay has ended the connection: {error}").into());
            }
            let now = self.line.now();
            if let Some(talk) = &mut self.talk {
                let connection = self.line.endpoint.connection_mut(self.handle);
                talk.on_event(now, connection.ok_or("the connection is gone")?, &event)?;
            }
        }
        Ok(self.line.send()?)
    }

    fn send(&mut self, sequence: u64, message: &[u8], mode: Mode) -> Result<bool, Box<dyn Error>> {
        if self.talk.as_ref().is_some_and(|talk| !talk.is_wanted()) {
            return Ok(false);
        }
        let bytes = match (&self.talk, mode) {
            (None, _) => message.to_vec(),
            (Some(_), Mode::Datagram) => moqt::datagram(sequence, message),
            (Some(_), Mode::Stream) => moqt::stream(sequence, message),
        };
        let connection = self.connection()?;
        let is_taken = match mode {
            Mode::Datagram => connection.send_datagram(&bytes).is_ok(),
            Mode::Stream => stream(connection, bytes)?,
        };
        self.line.send()?;
        Ok(is_taken)
    }
}

/// A stream of these bytes; `false` if the relay allows no more of them now.
fn stream(connection: &mut Connection, bytes: Vec<u8>) -> Result<bool, Box<dyn Error>> {
    let Some(id) = connection.open(Dir::Uni) else {
        return Ok(false);
    };
    connection.write_chunk(id, bytes.into())?;
    connection.finish(id)?;
    Ok(true)
}

/// For a relay to take a publisher, in ns.
const LONGEST: u64 = 10_000_000_000;
