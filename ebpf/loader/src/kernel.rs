//! The kernel as an [`Engine`]: programs loaded, attached, their maps shared. No RFC.
//!
//! Promise: dropping a [`Kernel`] ends all that it began. Where the kernel has TCX links (6.6) they end with
//! the process as well, however that ends; on older ones filters stay, forward nothing once the lease has
//! run out, and are removed by [`clean_up`](attach::clean_up) or by the next one that attaches.

pub mod attach;
mod maps;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::{ProgramError, SchedClassifier, TestRun};
use aya::sys::{Stats, enable_stats};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader, TestRunOptions};
use relay_ebpf_common::room::log_room;
use relay_ebpf_common::schema::Stamp;

use crate::engine::Engine;
use crate::layout::{AliasKey, Candidate, Flow, LOCAL_CID_LEN, map, step};
use crate::memory::{Memory, Sizes};
use crate::probe::{Unavailable, probe};
use crate::verdict::Reason;
use attach::{Claim, Hook, Link};
use maps::Maps;

/// The programs as they were built into this crate; nothing if they were not.
pub(crate) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/programs"));

/// The kernel with our programs in it.
pub struct Kernel {
    memory: Arc<Memory>,
    maps: Maps,
    links: Vec<Link>,
    claims: Vec<Claim>,
    /// The kernel empties it when nobody has it open any more.
    _steps: ProgramArray<MapData>,
    ebpf: Ebpf,
}

/// A loaded program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramFacts {
    /// Its name.
    pub name: String,
    /// Instructions that the verifier followed.
    pub verified_instructions: u64,
    /// How long it ran, if that is measured; programs that it goes on in, or sets off, included.
    pub run_time: Duration,
    /// How often it ran, if that is measured.
    pub runs: u64,
}

impl Kernel {
    /// Loads the programs that were built in.
    ///
    /// # Errors
    ///
    /// Why that is not possible here.
    pub fn load(sizes: Sizes) -> Result<Self, Unavailable> {
        probe()?;
        Self::load_object(OBJECT, sizes)
    }

    /// Loads these programs.
    ///
    /// # Errors
    ///
    /// The kernel does not take them, or they mean something else by what stands in the maps.
    pub fn load_object(object: &[u8], sizes: Sizes) -> Result<Self, Unavailable> {
        if !Stamp::is_in(object) {
            return Err(Unavailable::other_schema());
        }
        let log_room = log_room_of(
            nr_cpus().map_err(|(what, error)| Unavailable::because(format!("{what}: {error}")))?,
        )?;
        let mut loader = EbpfLoader::new();
        for (name, entries) in maps::entries(sizes) {
            loader.map_max_entries(name, entries);
        }
        let mut ebpf = loader.load(object).map_err(Unavailable::because)?;
        for (name, program) in ebpf.programs_mut() {
            let program: &mut SchedClassifier = program.try_into().map_err(Unavailable::because)?;
            program.load().map_err(|error| refused(name, error))?;
        }
        let steps = steps(&mut ebpf).map_err(Unavailable::because)?;
        let memory = Memory::map(sizes, log_room, |name| array(&ebpf, name))
            .map_err(Unavailable::because)?;
        let maps = Maps::take(&mut ebpf).map_err(Unavailable::because)?;
        Ok(Self {
            memory: Arc::new(memory),
            maps,
            links: Vec::new(),
            claims: Vec::new(),
            _steps: steps,
            ebpf,
        })
    }

    /// Attaches the programs to these interfaces by the best hook that this kernel has.
    ///
    /// # Errors
    ///
    /// One of them does not take them; then they are attached to none.
    pub fn attach(&mut self, interfaces: &[String]) -> Result<(), Unavailable> {
        self.attach_by(Hook::best(), interfaces)
    }

    /// The same by this hook.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn attach_by(&mut self, hook: Hook, interfaces: &[String]) -> Result<(), Unavailable> {
        for name in interfaces {
            match hook.attach(&mut self.ebpf, name, &mut self.links) {
                Ok(claim) => self.claims.push(claim),
                Err(why) => {
                    self.detach();
                    return Err(why);
                }
            }
        }
        Ok(())
    }

    /// Detaches them from everywhere.
    pub fn detach(&mut self) {
        for link in self.links.drain(..) {
            link.detach(&mut self.ebpf);
        }
        self.claims.clear();
    }

    /// The programs.
    pub fn programs(&self) -> Vec<ProgramFacts> {
        let facts = |(name, program): (&str, &aya::programs::Program)| {
            let info = program.info().ok()?;
            Some(ProgramFacts {
                name: name.to_owned(),
                verified_instructions: info.verified_instruction_count().unwrap_or(0).into(),
                run_time: info.run_time(),
                runs: info.run_count(),
            })
        };
        self.ebpf.programs().filter_map(facts).collect()
    }

    /// Runs a program for this frame, without a device: what it returned, and how long it took on average.
    ///
    /// # Errors
    ///
    /// There is no such program, or the kernel does not run it.
    pub fn run(&self, program: &str, frame: &[u8], times: u32) -> io::Result<(u32, Duration)> {
        self.run_in(program, frame, &[], times)
    }

    /// The same with this context: the beginning of the kernel's `struct __sk_buff`.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn run_in(
        &self,
        program: &str,
        frame: &[u8],
        context: &[u8],
        times: u32,
    ) -> io::Result<(u32, Duration)> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, program.to_owned());
        let program = self.ebpf.program(program).ok_or_else(missing)?;
        let program: &SchedClassifier = program.try_into().map_err(io::Error::other)?;
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: (!context.is_empty()).then_some(context),
            repeat: times,
            ..TestRunOptions::default()
        };
        let result = program.test_run(options).map_err(io::Error::other)?;
        Ok((result.return_value, result.duration))
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.memory.config().alive_until.store(0);
        self.detach();
    }
}

impl Engine for Kernel {
    fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    fn set_cid(&self, cid: [u8; LOCAL_CID_LEN], slot: u32) -> io::Result<()> {
        self.maps.set_cid(cid, slot)
    }

    fn remove_cid(&self, cid: [u8; LOCAL_CID_LEN]) {
        self.maps.remove_cid(cid);
    }

    fn set_alias(&self, key: AliasKey, track: u32) -> io::Result<()> {
        self.maps.set_alias(key, track)
    }

    fn remove_alias(&self, key: AliasKey) {
        self.maps.remove_alias(key);
    }

    fn candidate(&self, flow: &Flow) -> Option<Candidate> {
        self.maps.candidate(flow)
    }

    fn counters(&self) -> Vec<(Reason, u64)> {
        self.maps.counters()
    }
}

/// Has the kernel measure how long all programs run, as long as what this returns is held.
///
/// # Errors
///
/// No right to do that, or the kernel cannot (before 5.8).
pub fn measure_run_time() -> io::Result<OwnedFd> {
    enable_stats(Stats::RunTime).map_err(|error| error.io_error)
}

/// What the sent logs hold where there may be so many CPUs.
fn log_room_of(cpus: usize) -> Result<u64, Unavailable> {
    let too_many = || {
        let why = format!("this machine may have {cpus} processors, too many for the sent log");
        Unavailable::because(why)
    };
    log_room(cpus as u64).ok_or_else(too_many)
}

/// Where programs go on.
fn steps(ebpf: &mut Ebpf) -> Result<ProgramArray<MapData>, Box<dyn std::error::Error>> {
    let map = ebpf.take_map(map::STEPS).ok_or("no map of steps")?;
    let mut steps = ProgramArray::try_from(map)?;
    for (index, name) in STEPS {
        let program = ebpf.program(name).ok_or(name)?;
        let program: &SchedClassifier = program.try_into()?;
        steps.set(index, program.fd()?, 0)?;
    }
    Ok(steps)
}

/// The descriptor of an array.
fn array<'a>(ebpf: &'a Ebpf, name: &str) -> io::Result<BorrowedFd<'a>> {
    match ebpf.map(name) {
        Some(Map::Array(map)) => Ok(map.fd().as_fd()),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, name.to_owned())),
    }
}

/// The verifier ends its log with what it did not like.
fn refused(name: &str, error: ProgramError) -> Unavailable {
    let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = error
    else {
        return Unavailable::because(error);
    };
    let log = verifier_log.to_string();
    let last = log
        .lines()
        .rfind(|line| !line.trim().is_empty() && !line.starts_with("processed "));
    Unavailable::because(match last {
        Some(line) => format!("the kernel refuses {name}: {}", line.trim()),
        None => format!("the kernel refuses {name}: {io_error}"),
    })
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self.memory.sizes();
        f.debug_struct("Kernel")
            .field("sizes", &sizes)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ProgramFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.verified_instructions)
    }
}

/// Which program stands at which index of the program array.
const STEPS: [(u32, &str); step::COUNT as usize] = [
    (step::FILL, "qrelay_fill"),
    (step::OPEN, "qrelay_open"),
    (step::FAN_OUT, "qrelay_fan_out"),
    (step::SEAL, "qrelay_seal"),
];

#[cfg(test)]
mod tests {
    use super::log_room_of;

    #[test]
    fn too_many_processors_are_a_reason() {
        assert!(log_room_of(383).is_ok());
        let why = log_room_of(384).expect_err("too many").to_string();
        assert!(why.contains("384 processors"), "{why}");
    }
}
