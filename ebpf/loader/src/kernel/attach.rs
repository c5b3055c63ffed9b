//! Where the programs stand: TC hooks of network interfaces. No RFC.
//!
//! TCX links (Linux 6.6) end with the process. Netlink filters stay until somebody removes them; ours have
//! a name, a priority and a handle that no one else has, and only such are ever removed. The `clsact`
//! qdisc under them is left where it is: others may have filters there.
//!
//! Order: what comes in meets us last, so that other people's filters decide first; what goes out meets us
//! first, so that they see packets as they leave.

use core::fmt;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use aya::Ebpf;
use aya::programs::tc::{NlOptions, SchedClassifierLinkId, TcAttachOptions, TcError, TcHandle};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, tc};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::LinkAddr;

use crate::probe::{Unavailable, is_at_least};

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// TCX links.
    Tcx,
    /// Netlink TC filters.
    Netlink,
}

impl Hook {
    /// The best that this kernel has.
    pub(crate) fn best() -> Self {
        match is_at_least((6, 6)) {
            true => Self::Tcx,
            false => Self::Netlink,
        }
    }

    /// Attaches all programs to an interface, which is then this relay's.
    pub(super) fn attach(
        self,
        ebpf: &mut Ebpf,
        interface: &str,
        links: &mut Vec<Link>,
    ) -> Result<Claim, Unavailable> {
        has_ethernet(interface)?;
        let claim = Claim::of(interface)?;
        self.make_room(interface)?;
        for (place, (name, direction)) in PLACES.into_iter().enumerate() {
            let program = program(ebpf, name)?;
            let options = self.options(place, direction);
            let id = program
                .attach_with_options(interface, direction, options)
                .map_err(|error| Unavailable::because(format!("{interface}: {}", text(&error))))?;
            links.push(Link { name, id });
        }
        Ok(claim)
    }

    fn options(self, place: usize, direction: TcAttachType) -> TcAttachOptions {
        let is_first = direction == TcAttachType::Egress;
        match self {
            Self::Tcx if is_first => TcAttachOptions::TcxOrder(LinkOrder::first()),
            Self::Tcx => TcAttachOptions::TcxOrder(LinkOrder::last()),
            Self::Netlink => TcAttachOptions::Netlink(NlOptions {
                priority: place as u16 + if is_first { 1 } else { LAST_PRIORITY },
                handle: TcHandle::new(0, HANDLE),
                ..NlOptions::default()
            }),
        }
    }

    /// What a relay that was killed has left there is taken away, whichever hook comes now.
    fn make_room(self, interface: &str) -> Result<(), Unavailable> {
        if let Some(name) = of_others(interface) {
            let why = format!("another relay's {name} is attached to {interface}");
            return Err(Unavailable::because(why));
        }
        if self == Self::Netlink {
            // Fails where it is already, and then nothing is missing.
            let _ = tc::qdisc_add_clsact(interface);
        }
        remove_filters(interface);
        Ok(())
    }
}

/// Never two of us on one interface: each would send every copy. A name that one process at a time can have in this
/// network namespace says who is there; it ends with the process, which filters do not.
#[derive(Debug)]
pub(super) struct Claim(#[expect(dead_code, reason = "held, not read")] UnixDatagram);

impl Claim {
    fn of(interface: &str) -> Result<Self, Unavailable> {
        let name = format!("quic-relay/fast-path/{interface}");
        let claimed = SocketAddr::from_abstract_name(name)
            .and_then(|name| UnixDatagram::bind_addr(&name))
            .map(Self);
        claimed.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                Unavailable::because(format!("another relay has the fast path on {interface}"))
            }
            _ => Unavailable::because(format!("{interface}: {error}")),
        })
    }
}

/// The programs look for Ethernet's header in front of every packet, and write one. A device without it (a tunnel,
/// for example) would have them read at the wrong place.
fn has_ethernet(interface: &str) -> Result<(), Unavailable> {
    let cannot = |why: &str| Unavailable::because(format!("{interface}: {why}"));
    let all = getifaddrs().map_err(|error| cannot(error.desc()))?;
    let mut own = all.filter(|it| it.interface_name == interface).peekable();
    if own.peek().is_none() {
        return Err(cannot("there is no such interface"));
    }
    // A device without an address on its link is no Ethernet either.
    let mut links = own.filter_map(|it| it.address?.as_link_addr().map(LinkAddr::hatype));
    match links.any(|kind| ETHERNET.contains(&kind)) {
        true => Ok(()),
        false => Err(cannot("its packets have no Ethernet header")),
    }
}

/// A program on a hook.
#[derive(Debug)]
pub(super) struct Link {
    name: &'static str,
    id: SchedClassifierLinkId,
}

impl Link {
    /// Takes it away again.
    pub(super) fn detach(self, ebpf: &mut Ebpf) {
        let detached = program(ebpf, self.name).map(|program| program.detach(self.id));
        // It fails if the interface has gone, and the link with it.
        drop(detached);
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcx => "TCX",
            Self::Netlink => "netlink TC",
        })
    }
}

/// Removes from all interfaces what a relay that was killed has left there; a line for each thing removed. What
/// belongs to a relay that runs stays.
///
/// # Errors
///
/// The interfaces cannot be listed.
pub fn clean_up() -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    for entry in fs::read_dir("/sys/class/net")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Ok(_claim) = Claim::of(&name) else {
            continue;
        };
        let here = remove_filters(&name);
        removed.extend(
            here.into_iter()
                .map(|program| format!("{program} from {name}")),
        );
    }
    Ok(removed)
}

/// Removes our filters from an interface: their names.
fn remove_filters(interface: &str) -> Vec<&'static str> {
    let removed = PLACES
        .into_iter()
        .filter(|(name, direction)| tc::qdisc_detach_program(interface, *direction, name).is_ok());
    removed.map(|(name, _)| name).collect()
}

/// A program of ours on a TCX hook. It belongs to a process that lives: links end with it.
fn of_others(interface: &str) -> Option<String> {
    let programs = [TcAttachType::Ingress, TcAttachType::Egress]
        .into_iter()
        .filter_map(|direction| SchedClassifier::query_tcx(interface, direction).ok())
        .flat_map(|(_, programs)| programs);
    let mut names = programs.filter_map(|info| info.name_as_str().map(str::to_owned));
    names.find(|name| name.starts_with(PREFIX))
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier, Unavailable> {
    let program = ebpf.program_mut(name);
    let program = program.ok_or_else(|| Unavailable::because(format!("no program {name}")))?;
    program.try_into().map_err(Unavailable::because)
}

/// What the system said, without the layers around it.
fn text(error: &ProgramError) -> String {
    match error {
        ProgramError::SyscallError(error) => format!("{}: {}", error.call, error.io_error),
        ProgramError::TcError(TcError::IoError(error)) => error.to_string(),
        other => other.to_string(),
    }
}

/// ARPHRD_ETHER and ARPHRD_LOOPBACK: devices whose packets have Ethernet's header.
const ETHERNET: [u16; 2] = [1, 772];
/// Which program stands where.
const PLACES: [(&str, TcAttachType); 3] = [
    ("qrelay_clients", TcAttachType::Ingress),
    ("qrelay_ingress", TcAttachType::Ingress),
    ("qrelay_egress", TcAttachType::Egress),
];
/// How the names of all our programs begin.
const PREFIX: &str = "qrelay_";
/// Behind everybody who does not ask to be last.
const LAST_PRIORITY: u16 = 0xff00;
/// The handle of our filters.
const HANDLE: u16 = 0x51b0;
