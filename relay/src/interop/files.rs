//! The server's files: a request in, a file out, piece by piece. No RFC; HTTP/0.9 never had one.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use quic_relay::limits;

/// A request as it comes in.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<u8>);

impl Line {
    /// Adds bytes; false when it is longer than any request.
    pub(super) fn add(&mut self, bytes: &[u8]) -> bool {
        self.0.extend_from_slice(bytes);
        self.0.len() <= limits::INTEROP_REQUEST
    }

    /// The file that is asked for, once the line is complete; nothing leads out of `folder`.
    pub(super) fn path(&self, folder: &Path) -> Option<PathBuf> {
        let line = str::from_utf8(&self.0).ok()?.trim_end();
        let path = Path::new(line.strip_prefix("GET /")?);
        let mut parts = path.components();
        let is_inside = parts.all(|part| matches!(part, Component::Normal(_)));
        (is_inside && path != Path::new("")).then(|| folder.join(path))
    }
}

/// A file on its way.
#[derive(Debug)]
pub(super) struct Going {
    file: File,
    /// Read and not yet taken.
    block: Vec<u8>,
    taken: usize,
}

impl Going {
    /// Opens a file; `None` when there is none.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
        is_file.then_some(Self {
            file,
            block: Vec::new(),
            taken: 0,
        })
    }

    /// Gives bytes to `take`, which says how many it took, until it takes fewer than it is offered
    /// (`Some(false)`) or all are gone (`Some(true)`). `None`: the file cannot be read.
    pub(super) fn give(&mut self, mut take: impl FnMut(&[u8]) -> usize) -> Option<bool> {
        loop {
            if self.taken == self.block.len() && self.read()? == 0 {
                return Some(true);
            }
            let rest = self.block.get(self.taken..)?;
            let (offered, taken) = (rest.len(), take(rest));
            self.taken += taken;
            if taken < offered {
                return Some(false);
            }
        }
    }

    /// Reads the next block; how long it is.
    fn read(&mut self) -> Option<usize> {
        self.taken = 0;
        self.block.resize(BLOCK, 0);
        let read = self.file.read(&mut self.block).ok()?;
        self.block.truncate(read);
        Some(read)
    }
}

/// Bytes read at a time.
const BLOCK: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Option<PathBuf> {
        let mut it = Line::default();
        assert!(it.add(line.as_bytes()));
        it.path(Path::new("/www"))
    }

    #[test]
    fn a_line_names_a_file_below_the_folder_or_none() {
        assert_eq!(asked("GET /a b.c\r\n"), Some("/www/a b.c".into()));
        assert_eq!(asked("GET /x"), Some("/www/x".into()));
        for line in [
            "GET /",
            "GET /../etc/passwd\r\n",
            "GET //etc/passwd\r\n",
            "POST /x",
            "",
        ] {
            assert_eq!(asked(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_cut_off() {
        let mut line = Line::default();
        assert!((0..limits::INTEROP_REQUEST).all(|_| line.add(b"x")));
        assert!(!line.add(b"x"));
    }

    #[test]
    fn a_file_goes_out_in_whatever_pieces_are_taken() {
        let path = std::env::temp_dir().join(format!("interop-going-{}", std::process::id()));
        let bytes: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let (mut going, mut out) = (Going::open(&path).unwrap(), Vec::new());
        let mut rounds = 0;
        while going.give(|piece| {
            let taken = piece.len().min(30_000);
            out.extend_from_slice(&piece[..taken]);
            taken
        }) == Some(false)
        {
            rounds += 1;
        }
        assert!(rounds > 3);
        assert_eq!(out, bytes);
        std::fs::remove_file(&path).unwrap();
        assert!(Going::open(&path).is_none());
        assert!(Going::open(&std::env::temp_dir()).is_none(), "a folder");
    }
}
