//! Where a received file goes: a file or standard output, hashed on the way.
//!
//! No RFC. Each piece is written when it is there, never held back: a player may sit at the other end
//! of the pipe. Writing blocks the program, and that is how a slow player slows the sender down.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::credentials::hex;
use crate::error::{Failure, Kind, Result};
use crate::report::Media;

/// An open output.
pub(crate) struct Output {
    file: Box<dyn Write>,
    name: String,
    hash: Sha256,
    /// Units written.
    pub(crate) frames: u64,
    /// Bytes written.
    pub(crate) bytes: u64,
}

impl Output {
    /// Opens `path`, or standard output for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            if io::stdout().is_terminal() {
                return Err(
                    Failure::new(Kind::Usage, "this would write media to the terminal")
                        .advise("give --output FILE, or pipe it into a player: … | ffplay -"),
                );
            }
            return Ok(Self::to(Box::new(io::stdout()), "standard output".into()));
        }
        let name = path.display().to_string();
        match File::create(path) {
            Ok(file) => Ok(Self::to(Box::new(file), name)),
            Err(error) => Err(Failure::new(
                Kind::File,
                format!("cannot write {name}: {error}"),
            )),
        }
    }

    /// Writes bytes of the file, `frames` whole units among them.
    pub(crate) fn write(&mut self, bytes: &[u8], frames: u64) -> Result<()> {
        self.file
            .write_all(bytes)
            .and_then(|()| self.file.flush())
            .map_err(|error| {
                Failure::new(Kind::File, format!("cannot write {}: {error}", self.name))
            })?;
        self.hash.update(bytes);
        self.frames += frames;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// What was written.
    pub(crate) fn media(&self) -> Media {
        let sha256 = hex(&self.hash.clone().finalize());
        Media {
            frames: self.frames,
            bytes: self.bytes,
            sha256,
        }
    }

    fn to(file: Box<dyn Write>, name: String) -> Self {
        Self {
            file,
            name,
            hash: Sha256::new(),
            frames: 0,
            bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_counted_and_hashed() {
        let mut output = Output::to(Box::new(Vec::new()), "memory".into());
        output.write(b"ab", 0).unwrap();
        output.write(b"c", 1).unwrap();
        let media = output.media();
        assert_eq!((media.frames, media.bytes), (1, 3));
        assert!(
            media.sha256.starts_with("ba7816bf8f01cfea"),
            "FIPS 180-2, B.1: {media:?}"
        );
    }

    #[test]
    fn full_or_forbidden_target_is_named() {
        let failure = Output::open(Path::new("/nonexistent/out.ivf"))
            .err()
            .unwrap();
        assert_eq!(failure.kind(), Kind::File);
        let mut full = Output::open(Path::new("/dev/full")).unwrap();
        let failure = full.write(b"x", 1).unwrap_err().to_string();
        assert!(failure.starts_with("cannot write /dev/full: "), "{failure}");
    }
}
