//! Another sender of a connection, which needs no memory of its own to speak of. No RFC.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quic_lite::connection::{
    Connection, Grant, OtherFrames, OtherPacket, OtherSender, Outstanding,
};
use quic_lite::protection::{TAG_LEN, seal_packet};
use quic_lite::wire::frame::{Datagram, Frame};
use quic_lite::wire::header::ShortHeader;
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::writer::Writer;
use quic_lite::{StreamId, Time};

/// What both sides see.
#[derive(Debug, Default)]
pub struct Numbers {
    next: AtomicU64,
    now: AtomicU64,
}

/// The connection's half: tells of packets of one size, all of them sent now.
#[derive(Debug)]
struct Teller {
    numbers: Arc<Numbers>,
    told: u64,
    /// Numbers that the connection took itself.
    own: VecDeque<u64>,
}

impl Numbers {
    /// Gives a connection another sender.
    pub fn attach(connection: &mut Connection) -> Arc<Self> {
        let numbers = Arc::new(Self::default());
        let told = connection.next_packet_number().value();
        numbers.next.store(told, Ordering::Relaxed);
        let teller = Teller {
            numbers: numbers.clone(),
            told,
            own: VecDeque::with_capacity(64),
        };
        assert!(connection.set_other_sender(Box::new(teller)));
        numbers
    }

    /// A packet with a DATAGRAM frame of `data`, under the connection's keys.
    pub fn seal<'a>(
        &self,
        connection: &Connection,
        now: Time,
        data: &[u8],
        buffer: &'a mut [u8],
    ) -> &'a mut [u8] {
        self.now.store(now.as_micros(), Ordering::Relaxed);
        let number = PacketNumber::new(self.next.fetch_add(1, Ordering::Relaxed));
        let keys = connection.keys().unwrap();
        let header = ShortHeader {
            destination_cid: connection.remote_cid(),
            spin: false,
        };
        let mut out = Writer::new(buffer);
        let layout = header.encode(keys.phase, number, 4, &mut out).unwrap();
        Frame::Datagram(Datagram { data }).encode(&mut out).unwrap();
        out.put_zeros(TAG_LEN).unwrap();
        let len = out.len();
        let packet = &mut buffer[..len];
        seal_packet(packet, layout.pn_offset, number, keys.local).unwrap();
        packet
    }
}

impl OtherSender for Teller {
    fn allocate(&mut self) -> PacketNumber {
        let number = self.numbers.next.fetch_add(1, Ordering::Relaxed);
        self.own.push_back(number);
        PacketNumber::new(number)
    }

    fn next(&self) -> PacketNumber {
        PacketNumber::new(self.numbers.next.load(Ordering::Relaxed))
    }

    fn open_uni(&mut self, _maximum: u64) -> Option<u64> {
        None
    }

    fn opened_uni(&self) -> u64 {
        0
    }

    fn revoke(&mut self) -> Outstanding {
        Outstanding::default()
    }

    fn grant(&mut self, _grant: &Grant) {}

    fn poll(&mut self) -> Option<OtherPacket> {
        while self.own.front() == Some(&self.told) {
            self.own.pop_front();
            self.told += 1;
        }
        if self.told >= self.next().value() {
            return None;
        }
        self.told += 1;
        let frames = OtherFrames {
            datagrams: 1,
            ..OtherFrames::default()
        };
        Some(OtherPacket::Sent {
            number: PacketNumber::new(self.told - 1),
            time: Time::from_micros(self.numbers.now.load(Ordering::Relaxed)),
            size: 1000,
            ecn_marked: false,
            frames,
        })
    }

    fn unresolved(&self) -> PacketNumber {
        PacketNumber::new(self.told)
    }

    fn on_stream_limit(&mut self, _id: StreamId, _limit: u64) {}

    fn release(&mut self, _id: StreamId) -> u64 {
        0
    }

    fn suspend(&mut self) {}
}
