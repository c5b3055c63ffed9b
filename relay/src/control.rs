//! The socket on which a running relay answers `quic-relay status`. No RFC.
//!
//! Whoever connects gets one JSON object and the end of the stream; nothing is asked. Only the relay's
//! user may connect (mode 0600). Promise: a client that does not read holds up nothing. Writing never
//! blocks, what does not fit is tried again a little later, and no client stays longer than a limit.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use quic_lite::Time;

use crate::error::{Failure, Kind, Result};

/// The relay's end: a socket in the file system, which is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
    clients: Vec<Client>,
    /// Not yet accepted until it said "would block".
    has_more: bool,
    /// When to write on.
    again: Option<Time>,
}

/// Somebody who gets an answer.
#[derive(Debug)]
struct Client {
    stream: UnixStream,
    reply: Rc<[u8]>,
    sent: usize,
    /// When we lose patience.
    until: Time,
}

impl Control {
    /// Opens the socket at `path`. One that a killed relay left behind is replaced; one that another
    /// relay answers on is not.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let cannot = |error: io::Error| {
            let what = format!("cannot open the control socket {}: {error}", path.display());
            Failure::new(Kind::File, what)
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            let mut builder = fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(cannot)?;
        }
        if UnixStream::connect(path).is_ok() {
            let what = format!("another relay answers at {}", path.display());
            return Err(Failure::new(Kind::Address, what).advise("choose another --control"));
        }
        if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
            fs::remove_file(path).map_err(cannot)?;
        }
        let listener = UnixListener::bind(path).map_err(cannot)?;
        let control = Self {
            listener,
            path: path.to_owned(),
            clients: Vec::new(),
            has_more: false,
            again: None,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(cannot)?;
        control.listener.set_nonblocking(true).map_err(cannot)?;
        Ok(control)
    }

    /// Somebody has come: whoever there is place for gets what `reply` says.
    pub(crate) fn accept(&mut self, now: Time, reply: impl FnOnce() -> String) {
        let mut streams = Vec::new();
        self.has_more = true;
        while streams.len() + self.clients.len() < MAX_CLIENTS {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    streams.extend(stream.set_nonblocking(true).is_ok().then_some(stream))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.has_more = false;
                    break;
                }
            }
        }
        if streams.is_empty() {
            return;
        }
        let reply: Rc<[u8]> = reply().into_bytes().into();
        self.clients
            .extend(streams.into_iter().map(|stream| Client {
                stream,
                reply: Rc::clone(&reply),
                sent: 0,
                until: now + PATIENCE,
            }));
        self.go_on(now);
    }

    /// Whether somebody waits who was not accepted for want of a place that is free by now.
    pub(crate) fn has_waiting(&self) -> bool {
        self.has_more && self.clients.len() < MAX_CLIENTS
    }

    /// Writes on; lets those go who have everything or are too slow.
    pub(crate) fn go_on(&mut self, now: Time) {
        self.clients
            .retain_mut(|client| now < client.until && client.write());
        self.again = (!self.clients.is_empty()).then(|| now + AGAIN);
    }

    /// When to write on.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        self.again
    }
}

impl Client {
    /// Whether there is more to write.
    fn write(&mut self) -> bool {
        while let Some(rest) = self.reply.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(len) => self.sent += len,
                Err(error) => {
                    return matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    );
                }
            }
        }
        false
    }
}

impl AsRawFd for Control {
    fn as_raw_fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Where the relay on `port` listens if nobody says otherwise: a folder that only its user can write.
pub(crate) fn default_path(port: u16) -> Option<PathBuf> {
    let base = match nix::unistd::geteuid().is_root() {
        true => PathBuf::from("/run"),
        false => PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?),
    };
    Some(base.join("quic-relay").join(format!("{port}.sock")))
}

/// What the relay behind the socket at `path` says.
pub(crate) fn ask(path: &Path) -> Result<String> {
    let failed = |error: io::Error| {
        let path = path.display();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                Failure::new(Kind::Network, format!("no relay answers at {path}"))
                    .advise("is it running? --port or --control say which one is meant")
            }
            io::ErrorKind::PermissionDenied => {
                Failure::new(Kind::Rights, format!("{path} belongs to another user"))
                    .advise("ask as the user that runs the relay")
            }
            _ => Failure::new(
                Kind::Network,
                format!("cannot ask the relay at {path}: {error}"),
            ),
        }
    };
    let stream = UnixStream::connect(path).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut text = String::new();
    stream
        .take(MAX_REPLY)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

/// Who gets an answer at a time.
const MAX_CLIENTS: usize = 8;
/// How long a client may take to read it, and a relay to give it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How soon a client whose socket was full is tried again.
const AGAIN: Duration = Duration::from_millis(5);
/// More than the status of ten thousand connections.
const MAX_REPLY: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("quic-relay-control-{name}-{}", std::process::id()))
    }

    const NOW: Time = Time::from_micros(1);

    #[test]
    fn whoever_connects_gets_the_answer_and_its_end() {
        let path = path("answer");
        let mut control = Control::open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let stream = UnixStream::connect(&path).unwrap();
        control.accept(NOW, || "all well".into());
        let mut text = String::new();
        (&stream).read_to_string(&mut text).unwrap();
        assert_eq!(text, "all well");
        assert_eq!(control.next_timeout(), None);
        drop(control);
        assert!(!path.exists());
    }

    #[test]
    fn long_answer_arrives_in_pieces_and_a_sleeping_client_is_let_go() {
        let path = path("long");
        let mut control = Control::open(&path).unwrap();
        let long = "x".repeat(4 << 20);
        let reader = UnixStream::connect(&path).unwrap();
        let _sleeper = UnixStream::connect(&path).unwrap();
        control.accept(NOW, || long.clone());
        assert_eq!(control.clients.len(), 2);
        assert_eq!(control.next_timeout(), Some(NOW + AGAIN));
        reader.set_nonblocking(true).unwrap();
        let (mut got, mut buffer) = (0, vec![0; 1 << 20]);
        loop {
            match (&reader).read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => got += len,
                Err(_) => control.go_on(NOW),
            }
        }
        assert_eq!(got, long.len());
        assert_eq!(control.clients.len(), 1);
        control.go_on(NOW + PATIENCE);
        assert!(control.clients.is_empty());
    }

    #[test]
    fn many_clients_take_turns() {
        let path = path("many");
        let mut control = Control::open(&path).unwrap();
        let all: Vec<_> = (0..MAX_CLIENTS + 1)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        control.accept(NOW, || "y".repeat(4 << 20));
        assert_eq!(control.clients.len(), MAX_CLIENTS);
        assert!(!control.has_waiting());
        control.go_on(NOW + PATIENCE);
        assert!(control.has_waiting());
        control.accept(NOW, || "short".into());
        let mut text = String::new();
        (&all[MAX_CLIENTS]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "short");
    }

    #[test]
    fn dead_socket_is_replaced_and_a_living_one_is_not() {
        let path = path("dead");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _living = Control::open(&path).unwrap();
        let failure = Control::open(&path).unwrap_err();
        assert_eq!(failure.kind(), Kind::Address);
        assert!(path.exists());
    }

    #[test]
    fn nobody_there_is_said_in_one_line() {
        let failure = ask(&path("nobody")).unwrap_err();
        assert_eq!(failure.kind(), Kind::Network);
        assert!(
            failure.to_string().contains("no relay answers"),
            "{failure}"
        );
    }
}
