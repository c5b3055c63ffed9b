//! What a publisher sends, whatever protocol is around it: units from the source, as they are due and as
//! the path takes them. No RFC.

use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use quic_lite::Time;
use quic_lite::connection::Connection;
use quic_lite::io::Waker;
use quic_lite::stream::StreamEvent;
use quic_relay::ivf;
use sha2::{Digest, Sha256};

use super::ALIAS;
use super::groups::{Groups, Manner, Sent};
use super::pace::Pace;
use crate::args::{self, Rate};
use crate::clock::unix_micros;
use crate::credentials::hex;
use crate::error::{Failure, Kind, Result};
use crate::media::TrackFacts;
use crate::report::Media;
use crate::source::{Next, Source, Unit};
use crate::terminal;

/// A source on its way to the relay.
pub(super) struct Feed {
    source: Source,
    groups: Groups,
    pace: Pace,
    hold: Arc<AtomicBool>,
    /// Read from the source and not yet sent.
    waiting: Option<Unit>,
    hash: Sha256,
    media: Media,
    progress: terminal::Progress,
}

/// Whether a source has more to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    /// Now or later.
    Yes,
    /// No.
    No,
}

impl Feed {
    /// Opens the input; `in_band` is whether the groups have to say what the track is.
    pub(super) fn open(options: &args::Publish, in_band: bool, waker: Waker) -> Result<Self> {
        let hold = Arc::new(AtomicBool::new(options.hold));
        if options.hold {
            wait_for_line(Arc::clone(&hold), waker.clone())?;
        }
        let source = Source::open(&options.input, move || waker.wake())?;
        let mut hash = Sha256::new();
        let mut media = Media::default();
        if let Some(header) = &source.header {
            hash.update(header.as_bytes());
            media.bytes = header.as_bytes().len() as u64;
        }
        // draft-18 §2.3.1: group IDs increase with time, also when a publisher comes back.
        let first_group = unix_micros() / 1000;
        let facts = TrackFacts {
            header: source.header,
            first_group: Some(first_group),
        };
        let manner = Manner {
            alias: ALIAS,
            is_datagram: options.datagrams,
            in_band: in_band.then_some(facts),
        };
        Ok(Self {
            groups: Groups::new(first_group, manner),
            pace: Pace::new(options.rate == Rate::Realtime && source.header.is_some()),
            source,
            hold,
            waiting: None,
            hash,
            media,
            progress: terminal::Progress::new(),
        })
    }

    /// What there is to say about the track.
    pub(super) fn facts(&self) -> TrackFacts {
        TrackFacts {
            header: self.source.header,
            first_group: Some(self.groups.first()),
        }
    }

    /// Whether units have times of their own.
    pub(super) fn is_realtime(&self) -> bool {
        self.pace.is_realtime()
    }

    /// When the next unit is due, if it is known.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let unit = self.waiting.as_ref()?;
        self.pace.wake_at(unit.due)
    }

    /// Sends what is due and what the path takes; units that are not `wanted` are left out.
    pub(super) fn send(
        &mut self,
        now: Time,
        connection: &mut Connection,
        wanted: bool,
    ) -> Result<More> {
        if self.hold.load(Ordering::Relaxed) {
            return Ok(More::Yes);
        }
        while self.groups.has_room(connection) {
            let unit = match self.waiting.take() {
                Some(unit) => unit,
                None => match self.source.next()? {
                    Next::Unit(unit) => unit,
                    Next::Later => return Ok(More::Yes),
                    Next::End => return Ok(More::No),
                },
            };
            if !self.pace.is_due(now, unit.due) {
                self.waiting = Some(unit);
                return Ok(More::Yes);
            }
            match self.groups.send(now, connection, &unit, wanted)? {
                Sent::Yes => self.count(&unit),
                Sent::Skipped => {}
                Sent::Later => {
                    self.waiting = Some(unit);
                    return Ok(More::Yes);
                }
            }
        }
        Ok(More::Yes)
    }

    fn count(&mut self, unit: &Unit) {
        if let Some(timestamp) = unit.timestamp {
            let length = u32::try_from(unit.payload.len()).expect("a frame is at most 16 MiB");
            let header = ivf::frame_header(timestamp, length);
            self.hash.update(header);
            self.media.bytes += header.len() as u64;
        }
        self.hash.update(&unit.payload);
        self.media.bytes += unit.payload.len() as u64;
        self.media.frames += 1;
    }

    /// The end of the track; how many streams there were.
    pub(super) fn end(&mut self, connection: &mut Connection) -> u64 {
        self.groups.end(connection)
    }

    /// What was sent, once the relay has everything.
    pub(super) fn drain(&mut self, connection: &mut Connection) -> Result<Option<Media>> {
        self.groups.flush(connection)?;
        if !self.groups.is_acknowledged(connection) {
            return Ok(None);
        }
        self.media.sha256 = hex(&self.hash.clone().finalize());
        Ok(Some(self.media.clone()))
    }

    /// Takes note of streams that are over.
    pub(super) fn on_stream_event(&mut self, event: &StreamEvent) {
        self.groups.on_stream_event(event);
    }

    /// Shows what is going on; `say` gets how much was sent.
    pub(super) fn show(&mut self, now: Time, say: impl FnOnce(String) -> String) {
        let Media { frames, bytes, .. } = &self.media;
        let sent = || format!("{frames} frames, {}", terminal::bytes(*bytes));
        self.progress.show(now, || say(sent()));
    }
}

/// Lets go when a line, or the end, comes on standard input.
fn wait_for_line(hold: Arc<AtomicBool>, waker: Waker) -> Result<()> {
    let wait = move || {
        let _ = io::stdin().lock().read_line(&mut String::new());
        hold.store(false, Ordering::Relaxed);
        waker.wake();
    };
    thread::Builder::new()
        .name("hold".into())
        .spawn(wait)
        .map(drop)
        .map_err(|error| Failure::new(Kind::Rights, format!("cannot start a thread: {error}")))
}
