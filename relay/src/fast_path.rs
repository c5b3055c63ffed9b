//! `serve --fast-path`: the kernel programs beside a relay, and one line that says whether there are any. No RFC.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use quic_lite::io::Clock;
use quic_relay::offload::{KernelClock, Offloader};
use relay_ebpf_loader::kernel::attach;
use relay_ebpf_loader::kernel::measure_run_time;
use relay_ebpf_loader::probe::{Unavailable, probe};
use relay_ebpf_loader::{Engine, Kernel, Sizes};

use crate::args::{FastPath as Mode, ServeOptions};
use crate::control::sweep;
use crate::error::{Failure, Kind, Result};
use crate::interfaces::{leading_to, named};
use crate::status;
use crate::terminal::bytes;

/// What came of the wish.
#[derive(Debug)]
pub(crate) enum FastPath {
    /// Userspace does all by itself, for this reason.
    Off(String),
    /// The kernel forwards what it can.
    On(On),
}

/// The kernel's programs, for as long as this is held.
#[derive(Debug)]
pub(crate) struct On {
    kernel: Arc<Kernel>,
    interfaces: Vec<String>,
    /// What was found, and what it takes.
    what: String,
    _measured: Option<OwnedFd>,
}

impl FastPath {
    /// Does what the options ask for, for a relay on `bind`.
    pub(crate) fn begin(options: &ServeOptions, bind: SocketAddr) -> Result<Self> {
        let mode = options.fast_path.unwrap_or_default();
        if mode == Mode::Off {
            return Ok(Self::Off("switched off".into()));
        }
        let interfaces = match options.interface.is_empty() {
            true => leading_to(bind),
            false => named(&options.interface)?,
        };
        let why = match interfaces.is_empty() {
            true => format!("no network interface but loopback leads to {bind}"),
            false => match On::load(options, interfaces) {
                Ok(on) => return Ok(Self::On(on)),
                Err(why) => why.to_string(),
            },
        };
        match mode {
            Mode::Require => {
                let what = format!("the fast path cannot be had: {why}");
                Err(Failure::new(Kind::Rights, what)
                    .advise("`--fast-path auto` goes on without it"))
            }
            _ => Ok(Self::Off(why)),
        }
    }

    /// Whether the kernel forwards.
    pub(crate) const fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }

    /// What decides for a relay on `port`, whose loop has this clock, what the kernel forwards.
    pub(crate) fn offloader(&self, clock: &Clock, port: u16) -> Option<Offloader> {
        let Self::On(on) = self else { return None };
        let kernel = Arc::clone(&on.kernel);
        Some(Offloader::new(
            Box::new(kernel),
            KernelClock::of(clock),
            port,
        ))
    }

    /// What `status` says of it.
    pub(crate) fn status(&self, slots_used: usize) -> status::FastPath {
        match self {
            Self::Off(why) => status::FastPath {
                what: why.clone(),
                ..status::FastPath::default()
            },
            Self::On(on) => on.status(slots_used),
        }
    }
}

impl On {
    fn load(
        options: &ServeOptions,
        interfaces: Vec<String>,
    ) -> std::result::Result<Self, Unavailable> {
        let mut found = probe()?;
        if let Some(hook) = options.fast_path_hook {
            found.hook = hook.into();
        }
        let slots = options.fast_path_slots.unwrap_or(DEFAULT_SLOTS);
        // As many tracks as slots: each publisher can have one at least.
        let sizes = Sizes {
            slots,
            tracks: slots,
        };
        let mut kernel = Kernel::load(sizes)?;
        kernel.attach_by(found.hook, &interfaces)?;
        let measured = options.measure.then(measure_run_time);
        let (each, all) = (sizes.bytes_per_slot() as u64, sizes.bytes() as u64);
        let what = format!(
            "{found} on {}; {slots} slots of {}, {} together",
            interfaces.join(", "),
            bytes(each),
            bytes(all),
        );
        Ok(Self {
            kernel: Arc::new(kernel),
            interfaces,
            what,
            _measured: measured.and_then(std::io::Result::ok),
        })
    }

    fn status(&self, slots_used: usize) -> status::FastPath {
        let sizes = self.kernel.memory().sizes();
        let counters = self.kernel.counters().into_iter();
        let programs = self.kernel.programs().into_iter();
        status::FastPath {
            on: true,
            what: self.what.clone(),
            interfaces: self.interfaces.clone(),
            slots_used: u32::try_from(slots_used).unwrap_or(u32::MAX),
            slots: sizes.slots,
            memory: sizes.bytes() as u64,
            counters: counters
                .map(|(reason, count)| (reason.name().to_owned(), count))
                .collect(),
            programs: programs
                .map(|program| status::Program {
                    name: program.name,
                    verified_instructions: program.verified_instructions,
                    run_time_ns: u64::try_from(program.run_time.as_nanos()).unwrap_or(u64::MAX),
                    runs: program.runs,
                })
                .collect(),
        }
    }
}

/// Runs `quic-relay cleanup`.
pub(crate) fn clean_up() -> Result<()> {
    let cannot = |error| Failure::new(Kind::Rights, format!("cannot look for programs: {error}"));
    let removed = attach::clean_up().map_err(cannot)?;
    for line in &removed {
        println!("removed {line}");
    }
    sweep();
    Ok(())
}

/// For one publisher and about a hundred subscribers.
const DEFAULT_SLOTS: u32 = 128;
