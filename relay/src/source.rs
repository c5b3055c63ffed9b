//! What `publish` sends: an IVF file frame by frame, or any other bytes cut into pieces.
//!
//! No RFC. A thread reads, because files and pipes block; a bounded queue carries units to the event
//! loop, which is woken for each. The first bytes decide which of the two it is: `DKIF` is IVF, and a
//! name that ends in `.ivf` promises it.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use quic_relay::ivf::{FILE_HEADER_LEN, FileHeader, Frame, IvfError, Reader, SIGNATURE};

use crate::error::{Failure, Kind, Result};

/// What becomes one object (or, in datagrams, a run of them).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// The frame's time in the IVF file, in its own time base.
    pub(crate) timestamp: Option<u64>,
    /// When to send it, from the start of the clip; at once when there is no time.
    pub(crate) due: Duration,
    /// A receiver can start here.
    pub(crate) starts_group: bool,
    /// The bytes.
    pub(crate) payload: Vec<u8>,
}

/// What there is to send right now.
#[derive(Debug)]
pub(crate) enum Next {
    /// This.
    Unit(Unit),
    /// Nothing yet; the reader will wake us.
    Later,
    /// Nothing more.
    End,
}

/// An input that is being read.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file header, when it is an IVF file of a codec that we know.
    pub(crate) header: Option<FileHeader>,
    units: Receiver<Result<Unit>>,
}

enum Input {
    Ivf(Reader<Box<dyn Read + Send>>),
    Raw(Box<dyn Read + Send>),
}

impl Source {
    /// Opens `path` (`-` is standard input), looks at its first bytes and starts reading; `wake` is
    /// called after each unit.
    pub(crate) fn open(path: &Path, wake: impl Fn() + Send + 'static) -> Result<Self> {
        let name = if path == Path::new("-") {
            "standard input".into()
        } else {
            display(path)
        };
        let bytes: Box<dyn Read + Send> = match path == Path::new("-") {
            true => Box::new(io::stdin()),
            false => Box::new(open_file(path).map_err(|error| unreadable(&name, &error))?),
        };
        let promised = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("ivf"));
        let input = Input::detect(bytes, promised).map_err(|error| damaged(&name, error))?;
        let header = match &input {
            Input::Ivf(reader) => Some(*reader.header()),
            Input::Raw(_) => None,
        };
        let (sender, units) = sync_channel(QUEUE);
        let read = move || {
            // The sender is gone when this returns, so the last wake-up finds the end.
            read_units(input, &name, sender, &wake);
            wake();
        };
        thread::Builder::new()
            .name("input".into())
            .spawn(read)
            .map_err(|error| {
                Failure::new(
                    Kind::Rights,
                    format!("cannot start a thread to read the input: {error}"),
                )
            })?;
        Ok(Self { header, units })
    }

    /// The next unit, if the reader has one.
    pub(crate) fn next(&self) -> Result<Next> {
        match self.units.try_recv() {
            Ok(unit) => unit.map(Next::Unit),
            Err(TryRecvError::Empty) => Ok(Next::Later),
            Err(TryRecvError::Disconnected) => Ok(Next::End),
        }
    }
}

impl Input {
    fn detect(
        mut bytes: Box<dyn Read + Send>,
        promised: bool,
    ) -> std::result::Result<Self, IvfError> {
        let mut start = Vec::new();
        bytes
            .by_ref()
            .take(FILE_HEADER_LEN as u64)
            .read_to_end(&mut start)?;
        let is_ivf = promised || start.starts_with(&SIGNATURE);
        // An IVF file of another codec is sent as the bytes it is: where its groups start is unknown.
        let is_known = is_ivf && FileHeader::parse(&start)?.codec().is_some();
        let whole: Box<dyn Read + Send> = Box::new(Cursor::new(start).chain(bytes));
        Ok(if is_known {
            Self::Ivf(Reader::new(whole)?)
        } else {
            Self::Raw(whole)
        })
    }

    fn next(&mut self) -> std::result::Result<Option<Unit>, IvfError> {
        match self {
            Self::Ivf(reader) => Ok(reader.next_frame()?.map(|f| frame_unit(reader.header(), f))),
            Self::Raw(bytes) => Ok(raw_unit(bytes)?),
        }
    }
}

fn frame_unit(header: &FileHeader, frame: Frame) -> Unit {
    let codec = header
        .codec()
        .expect("only a file with a known codec is read as IVF");
    Unit {
        timestamp: Some(frame.timestamp),
        due: header.presentation_time(frame.timestamp),
        starts_group: codec.is_key_frame(&frame.payload),
        payload: frame.payload,
    }
}

/// What one read gives: a live pipe must not wait until a piece is full.
fn raw_unit(bytes: &mut dyn Read) -> io::Result<Option<Unit>> {
    let mut payload = vec![0; PIECE];
    let length = loop {
        match bytes.read(&mut payload) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    payload.truncate(length);
    let unit = Unit {
        timestamp: None,
        due: Duration::ZERO,
        starts_group: false,
        payload,
    };
    Ok((length > 0).then_some(unit))
}

fn read_units(mut input: Input, name: &str, sender: SyncSender<Result<Unit>>, wake: &dyn Fn()) {
    loop {
        let unit = match input.next() {
            Ok(Some(unit)) => Ok(unit),
            Ok(None) => break,
            Err(error) => Err(damaged(name, error)),
        };
        let is_last = unit.is_err();
        if sender.send(unit).is_err() || is_last {
            break;
        }
        wake();
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    match file.metadata()?.is_dir() {
        true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        false => Ok(file),
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::new(Kind::File, format!("cannot read {name}: {error}"))
}

fn damaged(name: &str, error: IvfError) -> Failure {
    match error {
        IvfError::Io(error) => unreadable(name, &error),
        IvfError::Signature => Failure::new(Kind::File, format!("{name}: {error}"))
            .advise("a name without .ivf is sent as raw bytes"),
        error => Failure::new(Kind::File, format!("{name}: {error}")),
    }
}

/// Units between the reader and the event loop.
const QUEUE: usize = 64;

/// Small enough that a subscriber gets it soon, large enough that its header does not count.
const PIECE: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use super::*;

    const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/media/clip.ivf");

    fn temporary(name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn all(path: &Path) -> (Option<FileHeader>, Vec<Unit>, Option<Failure>) {
        let (wake, woken) = sync_channel(1);
        let source = Source::open(path, move || {
            let _ = wake.try_send(());
        })
        .unwrap();
        let mut units = Vec::new();
        loop {
            match source.next() {
                Ok(Next::Unit(unit)) => units.push(unit),
                Ok(Next::Later) => drop(woken.recv_timeout(Duration::from_millis(100))),
                Ok(Next::End) => return (source.header, units, None),
                Err(failure) => return (source.header, units, Some(failure)),
            }
        }
    }

    #[test]
    fn clip_gives_a_unit_per_frame_at_its_time_with_a_group_each_second() {
        let (header, units, failure) = all(Path::new(CLIP));
        assert!(header.is_some() && failure.is_none());
        assert_eq!(units.len(), 250);
        assert_eq!(units.iter().filter(|unit| unit.starts_group).count(), 10);
        assert_eq!(units[30].due, Duration::from_millis(1200));
    }

    #[test]
    fn other_bytes_are_cut_into_pieces_and_nothing_is_lost() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
        let path = temporary("raw", &bytes);
        let (header, units, failure) = all(&path);
        assert!(header.is_none() && failure.is_none());
        assert_eq!(
            units
                .iter()
                .flat_map(|unit| unit.payload.clone())
                .collect::<Vec<_>>(),
            bytes
        );
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn ivf_of_an_unknown_codec_is_sent_as_raw_bytes() {
        let mut bytes = std::fs::read(CLIP).unwrap();
        bytes[8..12].copy_from_slice(b"H264");
        let path = temporary("h264", &bytes);
        let (header, units, _) = all(&path);
        assert!(header.is_none());
        assert_eq!(
            units.iter().map(|unit| unit.payload.len()).sum::<usize>(),
            bytes.len()
        );
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn name_that_promises_ivf_is_held_to_it() {
        let path = temporary("text.ivf", b"hello");
        let failure = Source::open(&path, || ()).unwrap_err().to_string();
        assert!(
            failure.contains("not an IVF file") && failure.contains("raw bytes"),
            "{failure}"
        );
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn file_that_is_cut_off_fails_after_its_last_whole_frame() {
        let bytes = std::fs::read(CLIP).unwrap();
        let path = temporary("cut.ivf", &bytes[..bytes.len() - 1]);
        let (_, units, failure) = all(&path);
        assert_eq!(units.len(), 249);
        assert!(failure.unwrap().to_string().contains("frame 249"));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn missing_file_and_directory_are_named() {
        for path in ["/nonexistent/x.ivf", "/"] {
            let failure = Source::open(Path::new(path), || ()).unwrap_err();
            assert_eq!(failure.kind(), Kind::File);
            assert!(
                failure
                    .to_string()
                    .starts_with(&format!("cannot read {path}: ")),
                "{failure}"
            );
        }
    }

    #[test]
    fn reader_wakes_the_loop_for_each_unit() {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        let wake = move || {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        let source = Source::open(Path::new(CLIP), wake).unwrap();
        let first = source.units.recv().unwrap().unwrap();
        assert!(first.starts_group);
        drop(source);
        assert!(count.load(Ordering::Relaxed) <= QUEUE + 2);
    }
}
