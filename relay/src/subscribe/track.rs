//! The objects of a track on their way to a file: read from streams and datagrams (draft-18 §11), put in
//! order, and put together. What brings them here, a session or none, is not seen from here.

use std::mem;
use std::time::Duration;

use quic_lite::Time;
use quic_lite::connection::Connection;
use quic_relay::limits;
use quic_relay::moqt::datagram::ObjectDatagram;
use quic_relay::moqt::subgroup::{Body, ObjectReader};
use quic_relay::moqt::{MoqtError, SubgroupHeader};

use crate::clock::unix_micros;
use crate::delay::Delays;
use crate::error::Result;
use crate::media::{ObjectFacts, Rebuild, TrackFacts};
use crate::output::Output;
use crate::report::Received;
use quic_relay::assembly::Assembly;

/// A track that is being received.
pub(super) struct Track {
    pub(super) assembly: Assembly<(ObjectFacts, Vec<u8>)>,
    /// `None` until it is known what the track is.
    rebuild: Option<Rebuild>,
    /// The first bytes of the file, not yet written.
    start: Vec<u8>,
    /// Nothing has come out, and groups before those that came may still come.
    is_starting: bool,
    pub(super) has_datagrams: bool,
    delays: Delays,
}

/// A subgroup stream that is being read.
pub(super) struct Reading {
    pub(super) header: SubgroupHeader,
    /// `None` until the header's bytes are taken off.
    reader: Option<ObjectReader>,
    /// One more than the last object with a payload.
    length: u64,
    /// An object has said how long the group is.
    has_end: bool,
}

/// Packets that arrived, and 1-RTT packet numbers that the relay has used as far as we know.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    packets: u64,
    numbers: u64,
}

impl Counted {
    /// The counters of a connection now.
    pub(super) fn at(connection: &Connection) -> Self {
        let numbers = connection.largest_received();
        Self {
            packets: connection.stats().packets_received,
            numbers: numbers.map_or(0, |number| number.value() + 1),
        }
    }
}

impl Track {
    /// A track of which nothing is known.
    pub(super) fn new() -> Self {
        Self {
            assembly: Assembly::new(None, PATIENCE),
            rebuild: None,
            start: Vec::new(),
            is_starting: false,
            has_datagrams: false,
            delays: Delays::default(),
        }
    }

    /// What the track is, and the first group to come.
    pub(super) fn begin(&mut self, facts: &TrackFacts, first: Option<u64>) {
        self.rebuild = Some(Rebuild::new(facts, &mut self.start));
        if let Some(first) = first {
            self.assembly.start_at(first);
        }
    }

    /// Begins a track of which its groups say what it is. Those that came may have overtaken others: the
    /// first ones of the track are waited for a moment. That far into it, a late subscriber waits in vain.
    fn begin_at(&mut self, group: u64, facts: &TrackFacts) {
        let Some(first) = facts.first_group else {
            return;
        };
        self.is_starting = group > first && group - first <= OVERTAKING;
        let first = if self.is_starting { first } else { group };
        self.begin(facts, Some(first));
        if self.is_starting {
            self.assembly.be_patient_for(START_PATIENCE);
        }
    }

    /// Whether it is known what the track is.
    pub(super) fn is_begun(&self) -> bool {
        self.rebuild.is_some()
    }

    /// Takes an object, in any order.
    pub(super) fn take(&mut self, group: u64, id: u64, properties: &[u8], body: Body<'_>) {
        match body {
            Body::Payload(payload) => {
                let facts = ObjectFacts::parse(properties);
                if let Some(sent) = facts.sent {
                    self.delays.add(unix_micros().saturating_sub(sent));
                }
                if self.rebuild.is_none() {
                    self.begin_at(group, &TrackFacts::parse(properties));
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

    /// Takes an object that came in a datagram.
    pub(super) fn take_datagram(&mut self, object: &ObjectDatagram<'_>) {
        self.has_datagrams = true;
        self.assembly.be_patient_for(DATAGRAM_PATIENCE);
        let (group, id) = (object.location.group, object.location.object);
        self.take(group, id, object.properties, object.body);
        if object.end_of_group {
            self.assembly.has_length(group, id.saturating_add(1));
        }
    }

    /// Writes what is in order.
    pub(super) fn write(&mut self, now: Time, output: &mut Output) -> Result<()> {
        let Some(rebuild) = &mut self.rebuild else {
            return Ok(());
        };
        let (mut bytes, mut frames) = (mem::take(&mut self.start), 0);
        while let Some((facts, payload)) = self.assembly.pop(now) {
            if mem::take(&mut self.is_starting) && !self.has_datagrams {
                self.assembly.be_patient_for(PATIENCE);
            }
            frames += u64::from(rebuild.add(facts, &payload, &mut bytes).is_some());
            if bytes.len() > BATCH {
                output.write(&bytes, frames)?;
                (bytes, frames) = (Vec::new(), 0);
            }
        }
        match bytes.is_empty() {
            true => Ok(()),
            false => output.write(&bytes, frames),
        }
    }

    /// The figures of the whole run; says so when something is missing.
    pub(super) fn figures(
        &self,
        output: &Output,
        connection: &Connection,
        before: Counted,
    ) -> Received {
        let dropped = self.rebuild.as_ref().map_or(0, Rebuild::dropped);
        let missing = self.assembly.skipped() + dropped;
        if missing > 0 {
            log::warn!("{missing} gaps: not everything that was sent has arrived");
        }
        let now = Counted::at(connection);
        let packets = now.packets.saturating_sub(before.packets);
        let numbers = now.numbers.saturating_sub(before.numbers);
        Received {
            media: output.media(),
            delay_us: self.delays.summary(),
            packets,
            lost: numbers.saturating_sub(packets),
            port: connection.path().local.port(),
        }
    }
}

impl Reading {
    /// A stream with this header.
    pub(super) fn new(header: SubgroupHeader) -> Self {
        Self {
            header,
            reader: None,
            length: 0,
            has_end: false,
        }
    }

    /// Takes the next bytes, the header's at first.
    pub(super) fn take(
        &mut self,
        chunk: &[u8],
        track: &mut Track,
    ) -> std::result::Result<(), MoqtError> {
        let group = self.header.group_id;
        let (reader, bytes) = match &mut self.reader {
            Some(reader) => (reader, chunk),
            None => {
                // The session has read the header; it stands whole in the first chunk.
                let (rest, _) = SubgroupHeader::parse(chunk).map_err(MoqtError::from)?;
                (
                    self.reader
                        .insert(ObjectReader::new(&self.header, limits::OBJECT)),
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
    pub(super) fn finish<T>(&self, assembly: &mut Assembly<T>) {
        let group = self.header.group_id;
        // draft-18 §11.4.2: a FIN ends the group only when the header says so.
        match (self.has_end, self.header.end_of_group) {
            (true, _) => {}
            (false, true) => assembly.has_length(group, self.length),
            (false, false) => assembly.pause(group),
        }
    }
}

/// A stream arrives whole or is reset; a hole before it is a packet on its way again.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same at the start, where there may be nothing to wait for.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// So many groups at most come before one that was sent before them.
const OVERTAKING: u64 = 16;

/// A datagram is not sent again: what is missing this long after its successors will not come.
const DATAGRAM_PATIENCE: Duration = Duration::from_millis(200);

/// Bytes collected before they are written.
const BATCH: usize = 1 << 20;
