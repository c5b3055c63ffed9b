//! `--qlog DIR`: what connections do, packet by packet, one file for each, for qvis and other readers.
//! draft-ietf-quic-qlog-main-schema-02 and draft-ietf-quic-qlog-quic-events-02 ("0.3"), as JSON text
//! sequences (RFC 7464).
//!
//! Later drafts name and shape things differently; this one is what qvis reads. Promise: a file that
//! cannot be written stops its log, is told once, and stops nothing else; at most [`QLOG_BUFFER`](limits::QLOG_BUFFER) bytes of a
//! connection wait to be written; nothing is left of strangers whose first packet was not authentic.
//! Keys and stateless reset tokens are not written. Not for every day: records cost time and disk space.

mod events;
mod frames;
#[cfg(test)]
mod tests;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use qlog::events::EventData;
use qlog::{
    CommonFields, Configuration, QLOG_VERSION, QlogSeq, TraceSeq, VantagePoint, VantagePointType,
};
use quic_lite::connection::Connection;
use quic_lite::endpoint::Endpoint;
use quic_lite::observer::{Observed, Observer};
use quic_lite::{Side, Time};
use serde::Serialize;

use crate::clock::unix_micros;
use crate::error::{Failure, Kind, Result};
use events::Translator;

use quic_relay::limits;

/// Has every connection that `endpoint` begins from now on written down in `folder`.
pub(crate) fn watch(endpoint: &mut Endpoint, folder: Option<&Path>) -> Result<()> {
    let Some(folder) = folder else {
        return Ok(());
    };
    fs::create_dir_all(folder).map_err(|error| {
        let what = format!("cannot make {}: {error}", folder.display());
        Failure::new(Kind::File, what)
    })?;
    let (folder, has_failed) = (folder.to_owned(), Arc::new(AtomicBool::new(false)));
    endpoint.set_observers(Box::new(move |connection| {
        let log = Log::new(&folder, connection, Arc::clone(&has_failed));
        Some(Box::new(log))
    }));
    Ok(())
}

/// The log of one connection.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    /// Records not written yet.
    buffer: Vec<u8>,
    /// Bytes that the file has.
    written: u64,
    /// Something authentic was seen: the connection is worth a file.
    is_real: bool,
    is_broken: bool,
    /// Whether a failure was told, of this log or another one.
    has_failed: Arc<AtomicBool>,
    side: Side,
    group: String,
    start: Time,
    translator: Translator,
}

impl Log {
    fn new(folder: &Path, connection: &Connection, has_failed: Arc<AtomicBool>) -> Self {
        let (group, side) = (
            connection.original_destination_cid().to_string(),
            connection.side(),
        );
        Self {
            path: folder.join(format!("{group}_{}.sqlog", name(side))),
            buffer: Vec::new(),
            written: 0,
            is_real: false,
            is_broken: false,
            has_failed,
            side,
            group,
            start: Time::ZERO,
            translator: Translator::new(side),
        }
    }

    fn begin(&mut self, now: Time) {
        self.start = now;
        let header = QlogSeq {
            qlog_version: QLOG_VERSION.into(),
            qlog_format: "JSON-SEQ".into(),
            title: Some(format!("quic-relay {}", name(self.side))),
            description: None,
            summary: None,
            trace: TraceSeq {
                vantage_point: VantagePoint {
                    name: Some("quic-relay".into()),
                    ty: match self.side {
                        Side::Client => VantagePointType::Client,
                        Side::Server => VantagePointType::Server,
                    },
                    flow: None,
                },
                title: None,
                description: None,
                configuration: Some(Configuration::default()),
                common_fields: Some(CommonFields {
                    group_id: Some(self.group.clone()),
                    protocol_type: Some(vec!["QUIC".into()]),
                    reference_time: Some(unix_micros() as f64 / 1000.0),
                    time_format: Some("relative".into()),
                }),
            },
        };
        self.put(&header);
    }

    fn add(&mut self, now: Time, event: &EventData, sent_at: Option<Time>) {
        let record = Record {
            time: self.millis(now),
            event,
            sent_by: sent_at.map(|_| "kernel"),
            sent_at: sent_at.map(|time| self.millis(time)),
        };
        self.put(&record);
    }

    /// RFC 7464 §2.2: a record separator, a JSON text, a line feed.
    fn put(&mut self, record: &impl Serialize) {
        self.buffer.push(RECORD_SEPARATOR);
        if serde_json::to_writer(&mut self.buffer, record).is_err() {
            log::debug!("a qlog record of {} does not become JSON", self.group);
        }
        self.buffer.push(b'\n');
        if self.buffer.len() >= limits::QLOG_BUFFER {
            self.flush();
        }
    }

    /// Writes what there is.
    fn flush(&mut self) {
        let has_news = self.is_real && !self.is_broken && !self.buffer.is_empty();
        if has_news && let Err(error) = append(&self.path, &self.buffer) {
            self.is_broken = true;
            let is_told = self.has_failed.swap(true, Ordering::Relaxed);
            if !is_told {
                let path = self.path.display();
                log::warn!("no more of this qlog, and perhaps of others: {path}: {error}");
            }
        }
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written >= limits::QLOG_FILE && !self.is_broken {
            self.is_broken = true;
            log::warn!("no more of this qlog, it is long: {}", self.path.display());
        }
    }

    fn millis(&self, time: Time) -> f64 {
        time.since(self.start).as_micros() as f64 / 1000.0
    }
}

impl Observer for Log {
    fn observe(&mut self, now: Time, event: &Observed<'_>) {
        if self.is_broken {
            return;
        }
        let mut sent_at = None;
        match event {
            Observed::Started { .. } => self.begin(now),
            Observed::SentByOther { time, .. } => sent_at = Some(*time),
            Observed::PacketSent(_) | Observed::PacketReceived(_) => self.is_real = true,
            _ => {}
        }
        let mut events = std::mem::take(&mut self.translator.events);
        self.translator.translate(event, &mut events);
        for event in events.drain(..) {
            self.add(now, &event, sent_at);
        }
        self.translator.events = events;
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.flush();
    }
}

/// An event with its time. The crate has a type for this, whose times are too coarse after an hour.
#[derive(Serialize)]
struct Record<'a> {
    /// Milliseconds since the reference time.
    time: f64,
    #[serde(flatten)]
    event: &'a EventData,
    /// Who sent the packet, if not the connection itself. Not of the draft, which allows more fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_by: Option<&'static str>,
    /// When it left: the record is written when that becomes known, and times must not go back.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at: Option<f64>,
}

/// The file is not held open: there may be more connections than descriptors.
fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(bytes)
}

const fn name(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// RFC 7464 §2.1.
const RECORD_SEPARATOR: u8 = 0x1e;
