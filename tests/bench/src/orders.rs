//! Lines of standard input, without waiting for them. No RFC.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, ppoll};

/// Who started us tells us what to do.
#[derive(Debug)]
pub struct Orders {
    input: io::Stdin,
    begun: Vec<u8>,
    has_ended: bool,
}

impl Orders {
    /// From now on, standard input does not block.
    pub fn new() -> io::Result<Self> {
        let input = io::stdin();
        let flags = OFlag::from_bits_retain(fcntl(&input, FcntlArg::F_GETFL)?);
        fcntl(&input, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self {
            input,
            begun: Vec::new(),
            has_ended: false,
        })
    }

    /// To wait for.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    /// Waits until there is something to read, or an end.
    pub fn wait(&self) -> io::Result<()> {
        let mut input = [PollFd::new(self.input.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut input, None, None) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether nobody will say anything any more.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The lines that have come.
    pub fn read(&mut self) -> Vec<String> {
        let mut buffer = [0; 512];
        loop {
            match self.input.lock().read(&mut buffer) {
                Ok(0) => self.has_ended = true,
                Ok(len) => {
                    self.begun.extend(&buffer[..len]);
                    continue;
                }
                Err(error) => self.has_ended |= error.kind() != io::ErrorKind::WouldBlock,
            }
            break;
        }
        let whole = self
            .begun
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.begun.drain(..whole).collect();
        String::from_utf8_lossy(&lines)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}
