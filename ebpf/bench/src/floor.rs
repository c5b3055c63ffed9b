//! The least that a fan-out costs: a clone for each copy, twenty bytes written into it, the way into the device.
//! `ebpf/programs/src/bin/floor.rs` is all that it does. No RFC.

use std::io;
use std::time::Duration;

use aya::programs::{TcAttachType, TestRun, TestRunOptions};
use relay_ebpf_loader::frame;

use crate::candidate::{Candidate, PACKET};
use crate::programs::Programs;
use crate::stage::{self, ethernet};

/// The floor.
pub struct Floor {
    programs: Programs,
    ifindex: u32,
    packet: Vec<u8>,
}

impl Floor {
    /// On a wire of its own.
    pub fn new(device: &str) -> io::Result<Self> {
        let ifindex = stage::wire(device)?;
        let mut programs = Programs::load()?;
        programs.attach("qrelay_floor_out", device, TcAttachType::Egress)?;
        let from = "10.77.0.2:5000".parse().map_err(io::Error::other)?;
        let to = "10.77.0.1:4433".parse().map_err(io::Error::other)?;
        Ok(Self {
            programs,
            ifindex,
            packet: ethernet(&frame::udp(from, to, &[0x40; PACKET])),
        })
    }

    /// Drops what arrives at the ends of these wires.
    pub fn drop_at_ends(&mut self, devices: &[&str]) -> io::Result<()> {
        devices.iter().try_for_each(|device| {
            let end = stage::end(device);
            self.programs
                .attach("qrelay_floor_end", &end, TcAttachType::Ingress)
        })
    }
}

impl Candidate for Floor {
    fn begin(&mut self, copies: u32) -> io::Result<()> {
        self.programs.copy_to(self.ifindex, copies)
    }

    fn refill(&mut self) {}

    fn packet(&mut self) -> io::Result<Duration> {
        let options = TestRunOptions {
            data_in: Some(&self.packet),
            ..TestRunOptions::default()
        };
        let program = self.programs.program("qrelay_floor_in")?;
        let result = program.test_run(options).map_err(io::Error::other)?;
        Ok(result.duration)
    }

    fn end(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}
