//! What the program says when something fails: one line, and an exit code.
//!
//! No RFC. A failure is told as *what* failed and on *what*, then what to do about it; it is printed
//! once, by `main`. The exit code says which kind it was, so that scripts need not read the line.

use std::fmt;

/// The kind of a failure; its number is the exit code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The run was finished, but its result is not what was asked for (`lab`).
    Result = 1,
    /// The command line, an URL or the configuration file is wrong (clap uses 2 as well).
    Usage = 2,
    /// A file cannot be read or written, or is not what its name promises.
    File = 3,
    /// No connection to the peer, or the connection was lost.
    Network = 4,
    /// A certificate or a key is wrong, or the peer's certificate is not accepted.
    Certificate = 5,
    /// The address to listen on is taken or is not ours.
    Address = 6,
    /// The peer refused the request: unknown track, not authorised, and so on.
    Refused = 7,
    /// The operating system does not let us (`lab` without root).
    Rights = 8,
    /// The interop runner's test case is none of ours (`interop-client`, `interop-server`).
    Unsupported = 127,
    /// Stopped by SIGINT or SIGTERM before the work was done.
    Interrupted = 130,
}

/// The text below `--help` that lists the exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    lab: a subscriber did not get the whole input
  2    wrong command line, URL or configuration file
  3    a file cannot be read or written, or is not what its name says
  4    no connection, or the connection was lost
  5    a certificate or key is wrong or not accepted
  6    the address to listen on is taken or not ours
  7    the peer refused: unknown track, not authorised
  8    no rights to do this
  127  interop-*: this test case is not supported
  130  interrupted";

/// A failure of the program: one clear line and an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    advice: Option<String>,
}

/// What every fallible step of the program returns.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure of `kind`; `message` says what failed, where.
    pub(crate) fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            message: one_line(&message.to_string()),
            advice: None,
        }
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub(crate) fn advise(mut self, advice: impl fmt::Display) -> Self {
        self.advice = Some(one_line(&advice.to_string()));
        self
    }

    /// The exit code of the program.
    pub(crate) fn exit_code(&self) -> u8 {
        self.kind as u8
    }

    /// The kind of the failure.
    #[cfg(test)]
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// A peer's reason phrase may hold line breaks and escape sequences; a terminal must not see them.
fn one_line(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_and_advice_make_one_line() {
        let failure = Failure::new(Kind::File, "cannot read a.ivf").advise("check the path");
        assert_eq!(failure.to_string(), "cannot read a.ivf; check the path");
        assert_eq!(failure.exit_code(), 3);
    }

    #[test]
    fn control_characters_from_a_peer_are_not_printed() {
        let failure = Failure::new(Kind::Refused, "no\r\n\u{1b}[2Jtrack\n");
        assert_eq!(failure.to_string(), "no   [2Jtrack");
    }

    #[test]
    fn every_exit_code_is_documented() {
        let kinds = [
            Kind::Result,
            Kind::Usage,
            Kind::File,
            Kind::Network,
            Kind::Certificate,
            Kind::Address,
            Kind::Refused,
            Kind::Rights,
            Kind::Unsupported,
            Kind::Interrupted,
        ];
        for kind in kinds {
            assert!(
                EXIT_CODES.contains(&format!("\n  {:<4} ", kind as u8)),
                "{kind:?}"
            );
        }
    }
}
