//! Our endpoints: the program, told what to do as the runner tells it. No RFC.

use crate::Failure;
use crate::case::Case;
use crate::folders::Folders;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `$QUIC_RELAY`, which `make foreign` sets.
fn program() -> Result<Command, Failure> {
    let path = std::env::var_os("QUIC_RELAY").ok_or("QUIC_RELAY is not set; use make foreign")?;
    Ok(Command::new(path))
}

fn command(role: &str, case: &str, folders: &Folders) -> Result<Command, Failure> {
    let mut command = program()?;
    command
        .arg(role)
        .env("TESTCASE", case)
        .env("QLOGDIR", folders.path("qlog"))
        .env("SSLKEYLOGFILE", folders.path("keys.log"))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Ok(command)
}

/// A running `interop-server`, which ends with this value.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts it.
    pub fn start(case: &Case, folders: &Folders) -> Result<Self, Failure> {
        let bind = if case.ipv6 { "[::1]:0" } else { "127.0.0.1:0" };
        let mut child = command("interop-server", case.server, folders)?
            .args(["--www", &folders.path("www"), "--certs", &folders.path("certs"), "--bind", bind])
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("piped")?).lines();
        let address = lines.find_map(|line| {
            let line = line.ok()?;
            line.split_once("listening on ")?.1.trim().parse().ok()
        });
        // Somebody must read what it says until it ends.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address: address.ok_or("interop-server does not say where it listens")? })
    }

    /// Ends it in order, so that its logs are whole.
    pub fn stop(mut self) -> Result<(), Failure> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id())?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        wait(&mut self.child, Instant::now() + Duration::from_secs(10))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `interop-client` to its end.
pub fn fetch(case: &Case, folders: &Folders, server: SocketAddr, until: Instant) -> Result<(), Failure> {
    // A name could have addresses of both families.
    let host = if case.ipv6 { "[::1]" } else { "127.0.0.1" };
    let requests = folders.files.iter().map(|file| format!("https://{host}:{}/{file}", server.port()));
    let requests: Vec<String> = requests.collect();
    let mut child = command("interop-client", case.client, folders)?
        .args(["--downloads", &folders.path("downloads")])
        .env("REQUESTS", requests.join(" "))
        .spawn()?;
    wait(&mut child, until)
}

fn wait(child: &mut Child, until: Instant) -> Result<(), Failure> {
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(()) } else { Err(format!("ours ended with {status}").into()) };
        }
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return Err("ours took too long".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
