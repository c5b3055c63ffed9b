//! A kernel in memory: another sender that seals real packets, spends what it is granted, at any moment,
//! and tells of it late, in another order, or not before it is suspended.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::connection::{Connection, Transmit};
use crate::other_sender::{
    Grant, OtherFrames, OtherPacket, OtherSender, OtherStreamFrame, Outstanding,
};
use crate::protection::{Keys, TAG_LEN, seal_packet};
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::connection_id::ConnectionId;
use crate::wire::frame::{Datagram, Frame, Stream};
use crate::wire::header::ShortHeader;
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::{Dir, Side, StreamId};
use crate::wire::writer::Writer;

/// The kernel, as the test and the connection hold it.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<Kernel>>);

/// What the kernel has in its maps.
#[derive(Debug)]
pub(super) struct Kernel {
    /// What packets are made of; `None` while it is suspended.
    outfit: Option<Outfit>,
    pub(super) now: Time,
    next: u64,
    /// All numbers below are resolved, and these above.
    resolved: u64,
    done: BTreeSet<u64>,
    records: BTreeMap<u64, Record>,
    spent: Outstanding,
    told: Outstanding,
    limit: Outstanding,
    pub(super) grant: Option<Grant>,
    skip_at: Option<PacketNumber>,
    pub(super) opened: u64,
    outlets: BTreeMap<StreamId, Outlet>,
    /// So much later than it is sent a packet is told of.
    pub(super) late: Duration,
    /// Tells in any order.
    pub(super) shuffles: bool,
    /// Percent of its numbers that it wastes by mistake.
    pub(super) burns: u64,
    /// Percent of our calls during which it sends a datagram.
    pub(super) restless: u64,
    outbox: VecDeque<(Transmit, Vec<u8>)>,
    rng: Rng,
    pub(super) sent: u64,
    pub(super) skipped: u64,
}

#[derive(Clone, Debug)]
struct Outfit {
    keys: Keys,
    phase: bool,
    cid: ConnectionId,
    transmit: Transmit,
}

#[derive(Debug)]
struct Record {
    packet: OtherPacket,
    spent: Outstanding,
    at: Time,
}

#[derive(Clone, Copy, Debug)]
struct Outlet {
    limit: u64,
    high: u64,
}

/// A frame to send.
#[derive(Clone, Debug)]
pub(super) enum Unit {
    Stream {
        id: StreamId,
        offset: u64,
        data: Vec<u8>,
        fin: bool,
    },
    Datagram(Vec<u8>),
}

impl Shared {
    /// Gives the connection a kernel that works.
    pub(super) fn attach(connection: &mut Connection, now: Time, seed: u64) -> Self {
        let next = connection.next_packet_number().value();
        let kernel = Kernel {
            outfit: None,
            now,
            next,
            resolved: next,
            done: BTreeSet::new(),
            records: BTreeMap::new(),
            spent: Outstanding::default(),
            told: Outstanding::default(),
            limit: Outstanding::default(),
            grant: None,
            skip_at: None,
            opened: connection.streams().opened(Dir::Uni),
            outlets: BTreeMap::new(),
            late: Duration::ZERO,
            shuffles: false,
            burns: 0,
            restless: 0,
            outbox: VecDeque::new(),
            rng: Rng::from_number(seed),
            sent: 0,
            skipped: 0,
        };
        let shared = Self(Arc::new(Mutex::new(kernel)));
        let is_set = connection.set_other_sender(Box::new(shared.clone()));
        assert!(is_set, "{} {:?}", connection.state(), connection.error());
        shared.kernel().resume(connection);
        shared
    }

    pub(super) fn kernel(&self) -> MutexGuard<'_, Kernel> {
        self.0.lock().unwrap()
    }

    /// What it has sent unasked.
    pub(super) fn outbox(&self) -> Box<dyn FnMut() -> Option<(Transmit, Vec<u8>)>> {
        let shared = self.clone();
        Box::new(move || shared.kernel().outbox.pop_front())
    }

    /// The kernel, which may have sent something at this very moment.
    fn busy_kernel(&self) -> MutexGuard<'_, Kernel> {
        let mut kernel = self.kernel();
        if kernel.rng.below(100) < kernel.restless
            && let Some(datagram) = kernel.send(&[Unit::Datagram(vec![9; 200])])
        {
            kernel.outbox.push_back(datagram);
        }
        kernel
    }
}

impl Kernel {
    /// Sets it going with what the connection has now.
    pub(super) fn resume(&mut self, connection: &Connection) {
        let keys = connection.keys().unwrap();
        self.outfit = Some(Outfit {
            keys: keys.local.clone(),
            phase: keys.phase,
            cid: connection.remote_cid(),
            transmit: Transmit {
                len: 0,
                segment_size: None,
                path: connection.path(),
                ecn: None,
            },
        });
    }

    pub(super) const fn is_suspended(&self) -> bool {
        self.outfit.is_none()
    }

    /// Leaves the first number out from here on.
    pub(super) const fn skip_at(&mut self, number: PacketNumber) {
        self.skip_at = Some(number);
    }

    /// Bytes spent and not told of.
    pub(super) const fn untold(&self) -> u64 {
        self.spent.bytes - self.told.bytes
    }

    /// Opens a stream, as the kernel does on its first packet.
    pub(super) fn open(&mut self) -> Option<StreamId> {
        let grant = self.grant.filter(|_| self.outfit.is_some())?;
        let index = self.take_index(grant.max_uni_streams)?;
        let id = StreamId::new(Side::Server, Dir::Uni, index);
        self.hand_over(id, grant.stream_data, 0);
        Some(id)
    }

    /// Takes a stream over that userspace has begun, unless it has it.
    pub(super) fn hand_over(&mut self, id: StreamId, limit: u64, high: u64) {
        self.outlets.entry(id).or_insert(Outlet { limit, high });
    }

    /// Sends a packet, if it may; the datagram, and how it travels.
    pub(super) fn send(&mut self, units: &[Unit]) -> Option<(Transmit, Vec<u8>)> {
        let (outfit, grant) = (self.outfit.clone()?, self.grant?);
        let mut buffer = [0; 1500];
        let size = write(&mut buffer, &outfit, PacketNumber::ZERO, units).len() as u64;
        let data = self.reach(units)?;
        let fits = size <= u64::from(grant.max_datagram_size)
            && self.spent.bytes + size <= self.limit.bytes
            && self.spent.data + data <= self.limit.data;
        if !fits {
            return None;
        }
        self.skip();
        let number = self.take_number();
        let spent = Outstanding { bytes: size, data };
        self.spend(units, spent);
        let frames = frames_of(units);
        if self.rng.below(100) < self.burns {
            self.record(number, spent, OtherPacket::Burnt { number, frames });
            return None;
        }
        let datagram = write(&mut buffer, &outfit, number, units).to_vec();
        let packet = OtherPacket::Sent {
            number,
            time: self.now,
            size: size as u16,
            ecn_marked: grant.ecn,
            frames,
        };
        self.record(number, spent, packet);
        self.sent += 1;
        let ecn = grant.ecn.then_some(crate::connection::Ecn::Ect0);
        let transmit = Transmit {
            len: datagram.len(),
            ecn,
            ..outfit.transmit
        };
        Some((transmit, datagram))
    }

    /// The flow control that these frames take; `None` when a stream is not there or has not so much.
    fn reach(&self, units: &[Unit]) -> Option<u64> {
        let mut outlets = self.outlets.clone();
        let mut data = 0;
        for (id, end) in units.iter().filter_map(Unit::end) {
            let outlet = outlets.get_mut(&id).filter(|outlet| end <= outlet.limit)?;
            data += end.saturating_sub(outlet.high);
            outlet.high = outlet.high.max(end);
        }
        Some(data)
    }

    fn spend(&mut self, units: &[Unit], spent: Outstanding) {
        for (id, end) in units.iter().filter_map(Unit::end) {
            let outlet = self.outlets.get_mut(&id).unwrap();
            outlet.high = outlet.high.max(end);
        }
        self.spent.bytes += spent.bytes;
        self.spent.data += spent.data;
    }

    fn skip(&mut self) {
        let next = PacketNumber::new(self.next);
        if self.skip_at.is_some_and(|at| at <= next) {
            self.skip_at = None;
            self.skipped += 1;
            let number = self.take_number();
            self.record(number, Outstanding::default(), OtherPacket::Skipped(number));
        }
    }

    fn record(&mut self, number: PacketNumber, spent: Outstanding, packet: OtherPacket) {
        let at = self.now + self.late;
        let record = Record { packet, spent, at };
        self.records.insert(number.value(), record);
    }

    fn take_number(&mut self) -> PacketNumber {
        self.next += 1;
        PacketNumber::new(self.next - 1)
    }

    fn take_index(&mut self, maximum: u64) -> Option<u64> {
        let index = Some(self.opened).filter(|&opened| opened < maximum)?;
        self.opened += 1;
        Some(index)
    }

    fn resolve(&mut self, number: u64) {
        self.done.insert(number);
        while self.done.remove(&self.resolved) {
            self.resolved += 1;
        }
    }
}

impl OtherSender for Shared {
    fn allocate(&mut self) -> PacketNumber {
        let mut kernel = self.busy_kernel();
        let number = kernel.take_number();
        kernel.resolve(number.value());
        number
    }

    fn next(&self) -> PacketNumber {
        PacketNumber::new(self.busy_kernel().next)
    }

    fn open_uni(&mut self, maximum: u64) -> Option<u64> {
        self.busy_kernel().take_index(maximum)
    }

    fn opened_uni(&self) -> u64 {
        self.busy_kernel().opened
    }

    fn revoke(&mut self) -> Outstanding {
        let mut kernel = self.busy_kernel();
        kernel.limit = Outstanding::default();
        Outstanding {
            bytes: kernel.untold(),
            data: kernel.spent.data - kernel.told.data,
        }
    }

    fn grant(&mut self, grant: &Grant) {
        let mut kernel = self.busy_kernel();
        kernel.limit = Outstanding {
            bytes: kernel.told.bytes + grant.bytes,
            data: kernel.told.data + grant.data,
        };
        kernel.skip_at = Some(grant.skip_at);
        kernel.grant = Some(*grant);
    }

    fn poll(&mut self) -> Option<OtherPacket> {
        let kernel = &mut *self.busy_kernel();
        let is_ready = |record: &Record| record.at <= kernel.now || kernel.outfit.is_none();
        let mut ready: Vec<u64> = kernel
            .records
            .iter()
            .take_while(|(_, record)| kernel.shuffles || is_ready(record))
            .filter(|(_, record)| is_ready(record))
            .map(|(number, _)| *number)
            .collect();
        if kernel.shuffles && !ready.is_empty() {
            let at = kernel.rng.below(ready.len() as u64) as usize;
            ready.swap(0, at);
        }
        let number = *ready.first()?;
        let record = kernel.records.remove(&number)?;
        kernel.told.bytes += record.spent.bytes;
        kernel.told.data += record.spent.data;
        kernel.resolve(number);
        Some(record.packet)
    }

    fn unresolved(&self) -> PacketNumber {
        PacketNumber::new(self.busy_kernel().resolved)
    }

    fn on_stream_limit(&mut self, id: StreamId, limit: u64) {
        if let Some(outlet) = self.busy_kernel().outlets.get_mut(&id) {
            outlet.limit = outlet.limit.max(limit);
        }
    }

    fn release(&mut self, id: StreamId) -> u64 {
        let outlet = self.busy_kernel().outlets.remove(&id);
        outlet.map_or(0, |outlet| outlet.high)
    }

    fn suspend(&mut self) {
        self.busy_kernel().outfit = None;
    }
}

impl Unit {
    /// The stream, and where in it the frame ends.
    fn end(&self) -> Option<(StreamId, u64)> {
        match self {
            Self::Stream {
                id, offset, data, ..
            } => Some((*id, offset + data.len() as u64)),
            Self::Datagram(_) => None,
        }
    }

    fn frame(&self) -> Frame<'_> {
        match self {
            Self::Stream {
                id,
                offset,
                data,
                fin,
            } => Frame::Stream(Stream {
                stream_id: *id,
                offset: *offset,
                fin: *fin,
                data,
            }),
            Self::Datagram(data) => Frame::Datagram(Datagram { data }),
        }
    }
}

fn frames_of(units: &[Unit]) -> OtherFrames {
    let mut frames = OtherFrames::default();
    for (at, unit) in units.iter().enumerate() {
        match unit {
            Unit::Stream {
                id,
                offset,
                data,
                fin,
            } => {
                frames.streams[at] = Some(OtherStreamFrame {
                    id: *id,
                    offset: *offset,
                    len: data.len() as u64,
                    fin: *fin,
                });
            }
            Unit::Datagram(_) => frames.datagrams += 1,
        }
    }
    frames
}

fn write<'a>(
    buffer: &'a mut [u8],
    outfit: &Outfit,
    number: PacketNumber,
    units: &[Unit],
) -> &'a [u8] {
    let mut out = Writer::new(buffer);
    let header = ShortHeader {
        destination_cid: outfit.cid,
        spin: false,
    };
    let layout = header.encode(outfit.phase, number, 4, &mut out).unwrap();
    for unit in units {
        unit.frame().encode(&mut out).unwrap();
    }
    out.put_zeros(TAG_LEN).unwrap();
    let len = out.len();
    let packet = &mut buffer[..len];
    seal_packet(packet, layout.pn_offset, number, &outfit.keys).unwrap();
    packet
}
