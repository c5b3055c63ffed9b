//! A connection after its handshake, and a peer that does what a script says, under the right keys
//! (RFC 9000 §12 to §19, RFC 9001 §6).
//!
//! The input is steps: packets with any plaintext, acknowledgements of what was really sent, frames that are
//! nearly right, lost and repeated datagrams, other addresses, other keys, time, and an application.

mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quic_lite::connection::{Connection, Event};
use quic_lite::endpoint::Handle;
use quic_lite::protection::Keys;
use quic_lite::range_set::RangeSet;
use quic_lite::wire::frame::{Ack, Frame, PathResponse, Stream};
use quic_lite::wire::writer::Writer;
use quic_lite::{Dir, Side, StreamId};

use crate::bytes::Script;
use crate::peer::seal_short;
use crate::session::{Subject, client_address, endpoint, server_address};
use crate::tls::{self, Secrets};
use watch::Watch;

/// A script against a server.
pub fn posths_server(data: &[u8]) {
    play(Side::Server, data);
}

/// A script against a client.
pub fn posths_client(data: &[u8]) {
    play(Side::Client, data);
}

fn play(side: Side, data: &[u8]) {
    let mut script = Script::new(data);
    let mut session = Session::established(side);
    for _ in 0..MAX_STEPS {
        let Some(step) = script.step() else {
            break;
        };
        session.step(step, &mut script);
        session.look();
    }
    session.subject.fade();
    session.look();
}

/// The connection under test and its peer.
struct Session {
    subject: Subject,
    handle: Handle,
    watch: Watch,
    /// Who the peer is.
    side: Side,
    /// Where it is now.
    address: SocketAddr,
    /// What it seals with.
    keys: Keys,
    phase: bool,
    updates: u64,
    next: u64,
    /// Its last datagram.
    last: Vec<u8>,
}

impl Session {
    /// Both endpoints are real until the handshake is over; then the peer's is taken apart.
    fn established(subject_side: Side) -> Self {
        let secrets = Arc::new(Secrets::default());
        let (there, here) = (server_address(), client_address(0));
        let tls = tls::server(secrets.clone());
        let mut server = Subject::new(|| endpoint(Some(tls), 2, false), there);
        let mut client = Subject::new(|| endpoint(None, 1, false), here);
        let client_handle = client.connect(&tls::client(secrets), there);
        for _ in 0..8 {
            pass(&mut client, &mut server);
            pass(&mut server, &mut client);
        }
        let server_handle = server.events.first().expect("there is a connection").0;
        let (mut subject, handle, peer, peer_handle) = match subject_side {
            Side::Client => (client, client_handle, server, server_handle),
            Side::Server => (server, server_handle, client, client_handle),
        };
        subject.events.clear();
        let address = peer.local;
        let peer = peer.endpoint.connection(peer_handle).expect("it lives");
        assert!(peer.is_established() && peer.largest_acked().is_some());
        let keys = peer.keys().expect("it has keys").local.clone();
        let next = peer.next_packet_number().value();
        let mut watch = Watch::new(subject_side, peer, next);
        if subject_side == Side::Server {
            watch.accounts.validated(address);
        }
        Self {
            subject,
            handle,
            watch,
            side: subject_side.peer(),
            address,
            keys,
            phase: false,
            updates: 0,
            next,
            last: Vec::new(),
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 20 {
            0..=3 => {
                self.send(script.bytes());
            }
            4 => self.acknowledge(script),
            5 => self.stream(script),
            6 => self
                .subject
                .wait(Duration::from_millis(script.short().into())),
            7 => self
                .subject
                .wait(Duration::from_micros(script.short().into())),
            8 => self.write(script),
            9 => self.read(),
            10 => self.give_up(script),
            11 => {
                let datagram = script.bytes();
                self.on_connection(|connection| {
                    let _ = connection.send_datagram(datagram);
                });
            }
            12 => self.update_keys(),
            13 => {
                self.on_connection(|connection| {
                    connection.force_key_update();
                });
            }
            14 => self.move_to(script.byte()),
            15 => self.answer_challenge(),
            16 => {
                let last = self.last.clone();
                self.arrive(&last);
            }
            17 => {
                let mut damaged = self.last.clone();
                let (at, flip) = (usize::from(script.short()), script.byte());
                let len = damaged.len().max(1);
                if let Some(byte) = damaged.get_mut(at % len) {
                    *byte ^= flip;
                }
                self.arrive(&damaged);
            }
            18 => {
                self.arrive(script.bytes());
            }
            _ => self.rare(script),
        }
        self.subject.flush();
    }

    fn rare(&mut self, script: &mut Script<'_>) {
        let now = self.subject.now;
        match script.byte() % 6 {
            0 => self.next += u64::from(script.short()),
            1 => self.watch.next_cid(),
            2 => self.on_connection(|connection| connection.close(now, 7, "enough")),
            3 => self.on_connection(Connection::ping),
            4 => {
                let packets = u64::from(script.byte());
                let delay = Duration::from_millis(script.byte().into());
                self.on_connection(|connection| {
                    connection.request_ack_frequency(packets, delay);
                });
            }
            _ => {
                let token = script.bytes().to_vec();
                self.on_connection(|connection| connection.send_new_token(token));
            }
        }
    }

    fn on_connection(&mut self, act: impl FnOnce(&mut Connection)) {
        self.subject.on_connection(self.handle, act);
    }

    /// The peer sends a packet with these frames.
    fn send(&mut self, frames: &[u8]) {
        self.watch.on_promised(frames);
        let destination = (self.watch.cid, self.phase);
        let datagram = seal_short(destination, self.next, frames, &self.keys);
        self.watch.numbers.insert(self.next..self.next + 1);
        self.next += 1;
        self.last.clone_from(&datagram);
        self.arrive(&datagram);
    }

    fn arrive(&mut self, datagram: &[u8]) {
        self.watch.accounts.received(self.address, datagram.len());
        self.subject.receive(self.address, datagram);
    }

    fn send_frame(&mut self, frame: &Frame<'_>) {
        let mut buffer = [0; 1500];
        let mut out = Writer::new(&mut buffer);
        if frame.encode(&mut out).is_ok() {
            let frames = out.written().to_vec();
            self.send(&frames);
        }
    }

    /// Acknowledges a run of what was sent, counted from the newest, or all of it.
    fn acknowledge(&mut self, script: &mut Script<'_>) {
        let (back, len) = (u64::from(script.byte()), u64::from(script.byte()));
        let end = self.watch.received.last().map_or(0, |last| last.end);
        let end = end.saturating_sub(back);
        let start = if len == 255 {
            0
        } else {
            end.saturating_sub(len + 1)
        };
        let ranges: RangeSet = self.watch.received.overlap(start..end).collect();
        let mut buffer = [0; 600];
        let mut out = Writer::new(&mut buffer);
        if !ranges.is_empty() && Ack::encode_ranges(&ranges, 0, None, &mut out).is_ok() {
            let frames = out.written().to_vec();
            self.send(&frames);
        }
    }

    /// A STREAM frame of a stream that there may be.
    fn stream(&mut self, script: &mut Script<'_>) {
        let (kind, offset, len) = (script.byte(), script.short(), script.byte());
        let dir = if kind & 1 == 0 { Dir::Uni } else { Dir::Bi };
        let own = kind & 2 == 0;
        let initiator = if own { self.side } else { self.side.peer() };
        let data = vec![kind; len.into()];
        self.send_frame(&Frame::Stream(Stream {
            stream_id: StreamId::new(initiator, dir, u64::from(kind >> 2 & 7)),
            offset: offset.into(),
            fin: kind & 0x20 != 0,
            data: &data,
        }));
    }

    /// The application opens a stream or goes on with one.
    fn write(&mut self, script: &mut Script<'_>) {
        let (kind, len) = (script.byte(), usize::from(script.short()) % 5_000);
        let dir = if kind & 1 == 0 { Dir::Uni } else { Dir::Bi };
        let side = self.side.peer();
        self.on_connection(|connection| {
            let id = match kind & 2 {
                0 => connection.open(dir),
                _ => Some(StreamId::new(side, dir, u64::from(kind >> 4))),
            };
            let Some(id) = id else {
                return;
            };
            let _ = connection.write(id, &vec![kind; len]);
            let _ = connection.set_priority(id, i32::from(kind >> 5));
            if kind & 8 != 0 {
                let _ = connection.finish(id);
            }
        });
    }

    /// The application reads all there is.
    fn read(&mut self) {
        let side = self.side;
        self.on_connection(|connection| {
            let kinds = [(side, Dir::Uni), (side, Dir::Bi), (side.peer(), Dir::Bi)];
            let ids = kinds.into_iter().flat_map(|(initiator, dir)| {
                (0..16).map(move |index| StreamId::new(initiator, dir, index))
            });
            let mut buffer = [0; 10_000];
            for id in ids {
                let _ = connection.read(id, &mut buffer);
                let _ = connection.read(id, &mut buffer);
            }
            while connection.receive_datagram().is_some() {}
        });
    }

    fn give_up(&mut self, script: &mut Script<'_>) {
        let kind = script.byte();
        let dir = if kind & 1 == 0 { Dir::Uni } else { Dir::Bi };
        let index = u64::from(kind >> 4);
        let (ours, theirs) = (self.side.peer(), self.side);
        self.on_connection(|connection| {
            let _ = match kind & 6 {
                0 => connection.reset(StreamId::new(ours, dir, index), 1),
                2 => connection.reset(StreamId::new(theirs, dir, index), 1),
                4 => connection.stop_sending(StreamId::new(ours, dir, index), 2),
                _ => connection.stop_sending(StreamId::new(theirs, dir, index), 2),
            };
        });
    }

    /// RFC 9001 §6.1: the peer goes on with other keys.
    fn update_keys(&mut self) {
        self.keys = self.keys.next_generation();
        self.phase = !self.phase;
        self.updates += 1;
    }

    fn move_to(&mut self, place: u8) {
        if self.side == Side::Client {
            self.address = client_address(place);
        }
    }

    /// RFC 9000 §8.2.2: the oldest challenge to where the peer is.
    fn answer_challenge(&mut self) {
        if let Some(data) = self.watch.take_challenge(self.address) {
            self.watch.accounts.validated(self.address);
            self.send_frame(&Frame::PathResponse(PathResponse { data }));
        }
    }

    /// Looks at all that was sent.
    fn look(&mut self) {
        for (to, datagram) in std::mem::take(&mut self.subject.sent) {
            self.watch.on_datagram(to, &datagram);
        }
        for (_, event) in std::mem::take(&mut self.subject.events) {
            if let Event::Closed(error) = event {
                assert!(!error.to_string().contains('\n'));
            }
        }
        // The peer follows when the connection was the first to change keys.
        if self.watch.updates > self.updates {
            self.update_keys();
        }
    }
}

/// One endpoint serves its timers, and the other gets all that it sends.
fn pass(from: &mut Subject, to: &mut Subject) {
    from.wait(Duration::from_millis(5));
    from.flush();
    for (_, datagram) in std::mem::take(&mut from.sent) {
        to.receive(from.local, &datagram);
    }
}

/// Steps of one script.
const MAX_STEPS: u32 = 200;
