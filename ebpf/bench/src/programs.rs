//! The floor's programs (`ebpf/programs/src/bin/floor.rs`), loaded and ready to be attached. No RFC.

use std::fs;
use std::io;

use aya::maps::Array;
use aya::programs::{SchedClassifier, TcAttachType};
use aya::{Ebpf, EbpfLoader};

/// The programs; with this they leave the devices they were attached to.
pub struct Programs(Ebpf);

impl Programs {
    /// From where `ebpf/build` puts them.
    pub fn load() -> io::Result<Self> {
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
        Ok(Self(programs))
    }

    /// From now on so many copies leave by this device.
    pub fn copy_to(&mut self, ifindex: u32, copies: u32) -> io::Result<()> {
        let map = self.0.map_mut("qrelay_floor");
        let map = map.ok_or_else(|| io::Error::other("qrelay_floor"))?;
        let mut map: Array<_, u64> = map.try_into().map_err(io::Error::other)?;
        let value = u64::from(copies) << 32 | u64::from(ifindex);
        map.set(0, value, 0).map_err(io::Error::other)
    }

    /// A program to a hook of a device.
    pub fn attach(&mut self, name: &str, device: &str, hook: TcAttachType) -> io::Result<()> {
        let program = self.program(name)?.attach(device, hook);
        program.map(drop).map_err(|error| of(device, error))
    }

    /// A program by its name.
    pub fn program(&mut self, name: &str) -> io::Result<&mut SchedClassifier> {
        let program = self.0.program_mut(name);
        program
            .ok_or_else(|| io::Error::other(name.to_owned()))?
            .try_into()
            .map_err(io::Error::other)
    }
}

fn of(what: &str, error: impl std::fmt::Display) -> io::Error {
    let error: String = error.to_string().chars().take(300).collect();
    io::Error::other(format!("{what}: {error}"))
}
