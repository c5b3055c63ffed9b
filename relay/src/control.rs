//! The socket on which a running relay answers `quic-relay status` and `quic-relay fast-path`. No RFC.
//!
//! Whoever connects says one line, a [`Request`], and gets one JSON object and the end of the stream. Only
//! the relay's user may connect (mode 0600). Promise: a client that does not write or does not read holds up
//! nothing. Neither blocks, what cannot be done yet is tried again a little later, and no client stays
//! longer than a limit.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use quic_lite::Time;

use crate::error::{Failure, Kind, Result};

use quic_relay::limits;

/// The relay's end: a socket in the file system, which is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
    clients: Vec<Client>,
    /// Not yet accepted until it said "would block".
    has_more: bool,
    /// When to go on.
    again: Option<Time>,
}

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// How things are.
    Status,
    /// That the kernel forwards, or does not; and then how things are.
    FastPath(bool),
}

/// Somebody who gets an answer.
#[derive(Debug)]
struct Client {
    stream: UnixStream,
    /// What it has said of its line.
    said: Vec<u8>,
    reply: Option<Vec<u8>>,
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

    /// Somebody has come, and is taken if there is a place.
    pub(crate) fn accept(&mut self, now: Time) {
        self.has_more = true;
        while self.clients.len() < limits::CONTROL_CLIENTS {
            match self.listener.accept() {
                Ok((stream, _)) if stream.set_nonblocking(true).is_ok() => {
                    self.clients.push(Client {
                        stream,
                        said: Vec::new(),
                        reply: None,
                        sent: 0,
                        until: now + limits::CONTROL_LISTENING,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) => {}
                Err(_) => {
                    self.has_more = false;
                    break;
                }
            }
        }
    }

    /// Goes on with everybody, `answer` says what to tell; lets those go who have everything or are too slow.
    pub(crate) fn go_on(&mut self, now: Time, mut answer: impl FnMut(Request) -> String) {
        self.clients
            .retain_mut(|client| now < client.until && client.go_on(now, &mut answer));
        if self.has_more {
            self.accept(now);
        }
        self.again = (!self.clients.is_empty()).then(|| now + AGAIN);
    }

    /// When to go on.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        self.again
    }
}

impl Client {
    /// Whether there is more to do.
    fn go_on(&mut self, now: Time, answer: &mut impl FnMut(Request) -> String) -> bool {
        if self.reply.is_none() {
            match self.listen() {
                Ok(Some(request)) => {
                    self.reply = Some(answer(request).into_bytes());
                    self.until = now + limits::CONTROL_WRITING;
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        self.write()
    }

    /// Its request, once it is all there.
    fn listen(&mut self) -> io::Result<Option<Request>> {
        let mut bytes = [0; limits::CONTROL_LINE];
        let len = match self.stream.read(&mut bytes) {
            Err(error) if is_too_early(&error) => return Ok(None),
            other => other?,
        };
        self.said.extend_from_slice(&bytes[..len]);
        match self.said.split_last() {
            Some((b'\n', line)) => Request::parse(line).map(Some),
            Some(_) if len > 0 && self.said.len() < limits::CONTROL_LINE => Ok(None),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Whether there is more to write.
    fn write(&mut self) -> bool {
        let reply = self.reply.as_deref().unwrap_or_default();
        while let Some(rest) = reply.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(len) => self.sent += len,
                Err(error) => return is_too_early(&error),
            }
        }
        false
    }
}

impl Request {
    fn parse(line: &[u8]) -> io::Result<Self> {
        match line {
            b"status" => Ok(Self::Status),
            b"fast-path on" => Ok(Self::FastPath(true)),
            b"fast-path off" => Ok(Self::FastPath(false)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    const fn line(self) -> &'static str {
        match self {
            Self::Status => "status\n",
            Self::FastPath(true) => "fast-path on\n",
            Self::FastPath(false) => "fast-path off\n",
        }
    }
}

fn is_too_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
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

/// Removes sockets of killed relays from the folder where sockets stand by default.
pub(crate) fn sweep() {
    let folder = default_path(0).and_then(|path| path.parent().map(fs::read_dir));
    for entry in folder.into_iter().flatten().flatten().flatten() {
        let answer = UnixStream::connect(entry.path());
        if answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What the relay behind the socket at `path` says.
pub(crate) fn ask(path: &Path, request: Request) -> Result<String> {
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
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream
        .write_all(request.line().as_bytes())
        .map_err(failed)?;
    let mut text = String::new();
    stream
        .take(MAX_REPLY)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
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

    fn connected(path: &Path, line: &str) -> UnixStream {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        stream
    }

    fn read(mut stream: &UnixStream) -> String {
        let mut text = String::new();
        // Whoever is let go with words unread sees that as an error.
        let _ = stream.read_to_string(&mut text);
        text
    }

    #[test]
    fn whoever_asks_gets_the_answer_and_its_end() {
        let path = path("answer");
        let mut control = Control::open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for request in [
            Request::Status,
            Request::FastPath(true),
            Request::FastPath(false),
        ] {
            let stream = connected(&path, request.line());
            control.accept(NOW);
            control.go_on(NOW, |asked| format!("{asked:?}"));
            assert_eq!(read(&stream), format!("{request:?}"));
        }
        assert_eq!(control.next_timeout(), None);
        drop(control);
        assert!(!path.exists());
    }

    #[test]
    fn a_line_may_come_in_pieces_and_must_be_known() {
        let path = path("pieces");
        let mut control = Control::open(&path).unwrap();
        let mut slow = connected(&path, "sta");
        let wrong = ["stop\n", "0123456789012345678901234567890123456789", ""];
        let wrong = wrong.map(|line| connected(&path, line));
        wrong[2].shutdown(std::net::Shutdown::Write).unwrap();
        control.accept(NOW);
        control.go_on(NOW, |_| unreachable!());
        assert!(wrong.iter().all(|stream| read(stream).is_empty()));
        assert_eq!(control.next_timeout(), Some(NOW + AGAIN));
        slow.write_all(b"tus\n").unwrap();
        control.go_on(NOW, |_| "all well".into());
        assert_eq!(read(&slow), "all well");
    }

    #[test]
    fn long_answer_arrives_in_pieces_and_a_sleeping_client_is_let_go() {
        let path = path("long");
        let mut control = Control::open(&path).unwrap();
        let long = "x".repeat(4 << 20);
        let reader = connected(&path, "status\n");
        let _sleeper = connected(&path, "status\n");
        control.accept(NOW);
        control.go_on(NOW, |_| long.clone());
        assert_eq!(control.clients.len(), 2);
        reader.set_nonblocking(true).unwrap();
        let (mut got, mut buffer) = (0, vec![0; 1 << 20]);
        loop {
            match (&reader).read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => got += len,
                Err(_) => control.go_on(NOW, |_| unreachable!()),
            }
        }
        assert_eq!(got, long.len());
        assert_eq!(control.clients.len(), 1);
        control.go_on(NOW + limits::CONTROL_WRITING, |_| unreachable!());
        assert!(control.clients.is_empty());
    }

    #[test]
    fn many_clients_take_turns() {
        let path = path("many");
        let mut control = Control::open(&path).unwrap();
        let silent = (0..limits::CONTROL_CLIENTS).map(|_| UnixStream::connect(&path).unwrap());
        let _silent: Vec<_> = silent.collect();
        let last = connected(&path, "status\n");
        control.accept(NOW);
        control.go_on(NOW, |_| unreachable!());
        assert_eq!(control.clients.len(), limits::CONTROL_CLIENTS);
        control.go_on(NOW + limits::CONTROL_LISTENING, |_| unreachable!());
        control.go_on(NOW + limits::CONTROL_LISTENING, |_| "short".into());
        assert_eq!(read(&last), "short");
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
        let failure = ask(&path("nobody"), Request::Status).unwrap_err();
        assert_eq!(failure.kind(), Kind::Network);
        assert!(
            failure.to_string().contains("no relay answers"),
            "{failure}"
        );
    }
}
