//! The least that a fan-out costs: a clone for each copy, twenty bytes written into it, the way into the device.
//! `ebpf/programs/src/bin/floor.rs` is all that it does. No RFC.

use std::fs;
use std::io;
use std::time::Duration;

use aya::maps::Array;
use aya::programs::{SchedClassifier, TcAttachType, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use relay_ebpf_loader::frame;

use crate::candidate::{Candidate, PACKET};
use crate::stage::{self, ethernet};

/// The floor.
pub struct Floor {
    programs: Ebpf,
    ifindex: u32,
    packet: Vec<u8>,
}

impl Floor {
    /// On a wire of its own.
    pub fn new(device: &str) -> io::Result<Self> {
        let ifindex = stage::wire(device)?;
        let object = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../programs/target/bpfel-unknown-none/release/qrelay_floor"
        );
        let object = fs::read(object).map_err(|error| of("the floor is not built", error))?;
        let mut programs = EbpfLoader::new().load(&object).map_err(io::Error::other)?;
        for (name, program) in programs.programs_mut() {
            let program: &mut SchedClassifier = program.try_into().map_err(io::Error::other)?;
            program.load().map_err(|error| of(name, error))?;
        }
        let from = "10.77.0.2:5000".parse().map_err(io::Error::other)?;
        let to = "10.77.0.1:4433".parse().map_err(io::Error::other)?;
        let mut floor = Self {
            programs,
            ifindex,
            packet: ethernet(&frame::udp(from, to, &[0x40; PACKET])),
        };
        floor.attach("qrelay_floor_out", device, TcAttachType::Egress)?;
        Ok(floor)
    }

    /// Drops what arrives at the ends of these wires.
    pub fn drop_at_ends(&mut self, devices: &[&str]) -> io::Result<()> {
        devices.iter().try_for_each(|device| {
            let end = stage::end(device);
            self.attach("qrelay_floor_end", &end, TcAttachType::Ingress)
        })
    }

    fn attach(&mut self, name: &str, device: &str, hook: TcAttachType) -> io::Result<()> {
        let program = self.programs.program_mut(name);
        let program: &mut SchedClassifier = program
            .ok_or_else(|| io::Error::other(name.to_owned()))?
            .try_into()
            .map_err(io::Error::other)?;
        program
            .attach(device, hook)
            .map(drop)
            .map_err(|error| of(device, error))
    }
}

impl Candidate for Floor {
    fn begin(&mut self, copies: u32) -> io::Result<()> {
        let map = self.programs.map_mut("qrelay_floor");
        let map = map.ok_or_else(|| io::Error::other("qrelay_floor"))?;
        let mut map: Array<_, u64> = map.try_into().map_err(io::Error::other)?;
        let value = u64::from(copies) << 32 | u64::from(self.ifindex);
        map.set(0, value, 0).map_err(io::Error::other)
    }

    fn refill(&mut self) {}

    fn packet(&mut self) -> io::Result<Duration> {
        let program = self.programs.program("qrelay_floor_in");
        let program: &SchedClassifier = program
            .ok_or_else(|| io::Error::other("qrelay_floor_in"))?
            .try_into()
            .map_err(io::Error::other)?;
        let options = TestRunOptions {
            data_in: Some(&self.packet),
            ..TestRunOptions::default()
        };
        let result = program.test_run(options).map_err(io::Error::other)?;
        Ok(result.duration)
    }

    fn end(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

fn of(what: &str, error: impl std::fmt::Display) -> io::Error {
    let error: String = error.to_string().chars().take(300).collect();
    io::Error::other(format!("{what}: {error}"))
}
