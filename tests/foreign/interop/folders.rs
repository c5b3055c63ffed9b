//! The folders of one run: what the runner mounts, removed at the end. No RFC.

use crate::Failure;
use std::fs;
use std::path::{Path, PathBuf};

/// `/www`, `/downloads`, `/certs` and the logs, of one run.
pub struct Folders {
    /// Where they all are.
    pub root: PathBuf,
    /// Names of the files in `www`.
    pub files: Vec<String>,
}

impl Folders {
    /// Makes them, with files of these sizes and a chain of so many certificates for `localhost`.
    pub fn make(name: &str, sizes: &[usize], chain: usize) -> Result<Self, Failure> {
        let root = std::env::temp_dir().join(format!("foreign-interop-{}-{name}", std::process::id()));
        for folder in ["www", "downloads", "certs", "qlog"] {
            fs::create_dir_all(root.join(folder))?;
        }
        write_chain(&root.join("certs"), chain)?;
        let mut files = Vec::new();
        for (at, size) in sizes.iter().enumerate() {
            let file = format!("file-{at}");
            let bytes: Vec<u8> = (0..*size).map(|i| (i ^ (i >> 7) ^ (i >> 15) ^ at) as u8).collect();
            fs::write(root.join("www").join(&file), bytes)?;
            files.push(file);
        }
        Ok(Self { root, files })
    }

    /// One of them, as text.
    pub fn path(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }

    /// All files have come, every byte of them.
    pub fn check(&self) -> Result<(), Failure> {
        for file in &self.files {
            let sent = fs::read(self.root.join("www").join(file))?;
            let got = fs::read(self.root.join("downloads").join(file)).map_err(|_| format!("{file} did not come"))?;
            if sent != got {
                return Err(format!("{file}: {} bytes of {}, or others", got.len(), sent.len()).into());
            }
        }
        Ok(())
    }

    /// The records of all our qlog files.
    pub fn qlog(&self) -> Result<Vec<serde_json::Value>, Failure> {
        let mut records = Vec::new();
        for entry in fs::read_dir(self.root.join("qlog"))? {
            let text = fs::read_to_string(entry?.path())?;
            for record in text.split('\u{1e}').filter(|record| !record.is_empty()) {
                records.push(serde_json::from_str(record)?);
            }
        }
        Ok(records)
    }

    /// The lines of our key log: label and secret.
    pub fn secrets(&self) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        let text = fs::read_to_string(self.root.join("keys.log"))?;
        let parse = |line: &str| {
            let mut words = line.split(' ');
            let (label, secret) = (words.next()?, words.nth(1)?);
            let byte = |at: usize| u8::from_str_radix(secret.get(at..at + 2)?, 16).ok();
            let bytes: Option<Vec<u8>> = (0..secret.len()).step_by(2).map(byte).collect();
            Some((label.to_owned(), bytes?))
        };
        Ok(text.lines().filter_map(parse).collect())
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        // To be looked at after a failure.
        if std::env::var_os("QUIC_RELAY_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// As the runner's `certs.sh`: an authority in `ca.pem`, then a chain whose last one is the server's, made long by
/// names if there is more than one.
fn write_chain(folder: &Path, length: usize) -> Result<(), Failure> {
    let mut issuer_key = rcgen::KeyPair::generate()?;
    let mut issuer = authority("root")?;
    fs::write(folder.join("ca.pem"), issuer.self_signed(&issuer_key)?.pem())?;
    let mut chain = Vec::new();
    for level in 1..=length {
        let key = rcgen::KeyPair::generate()?;
        let params = if level == length { leaf(length)? } else { authority(&format!("intermediate {level}"))? };
        let certificate = params.signed_by(&key, &rcgen::Issuer::from_params(&issuer, &issuer_key))?;
        chain.insert(0, certificate.pem());
        (issuer, issuer_key) = (params, key);
    }
    fs::write(folder.join("cert.pem"), chain.concat())?;
    fs::write(folder.join("priv.key"), issuer_key.serialize_pem())?;
    Ok(())
}

fn authority(name: &str) -> Result<rcgen::CertificateParams, Failure> {
    let mut params = rcgen::CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(rcgen::DnType::OrganizationName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    Ok(params)
}

fn leaf(length: usize) -> Result<rcgen::CertificateParams, Failure> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    if length > 1 {
        let long = |at: u8| vec![(b'a' + at).to_string().repeat(20); 4].join(".");
        names.extend((0..26).map(long));
        names.extend((0..60).map(|at| format!("{}.{}", "x".repeat(60), long(at % 26))));
    }
    Ok(rcgen::CertificateParams::new(names)?)
}
