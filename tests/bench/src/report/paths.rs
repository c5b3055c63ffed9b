//! The paths by name, their order and colours. No RFC.
//!
//! Pictures are drawn in the colours for a light page. The page's style sheet changes each of them where the
//! reader prefers dark, by the attribute that holds it; so a picture taken out of the page is still whole.

use plotters::style::RGBColor;

use crate::results::Results;

pub(super) const PLAIN: &str = "plain IP";
pub(super) const FLOOR: &str = "floor";
pub(super) const KERNEL: &str = "kernel";
pub(super) const CLEAR: &str = "kernel, clear";
pub(super) const USERSPACE: &str = "userspace";
pub(super) const USERSPACE_NO_GSO: &str = "userspace, no GSO";
pub(super) const QUINN: &str = "quinn";
pub(super) const QUINN_NO_GSO: &str = "quinn, no GSO";

/// A colour on a light page and on a dark one.
struct Shade {
    light: RGBColor,
    dark: &'static str,
}

/// All paths that anything was measured for: the known ones first, in the order in which they take turns.
pub(super) fn all(results: &Results) -> Vec<&str> {
    let delay = results.delay.iter().map(|run| run.path.as_str());
    let cost = results.cost.iter().map(|run| run.path.as_str());
    let saturation = results.saturation.iter().map(|run| run.path.as_str());
    let growth = results.growth.iter().map(|point| point.path.as_str());
    let system_calls = results.system_calls.iter().map(|calls| calls.path.as_str());
    let loss = results.upstream_loss.iter().map(|loss| loss.path.as_str());
    let startup = results.startup.iter().map(|startup| startup.path.as_str());
    let measured = delay.chain(cost).chain(saturation).chain(growth);
    let scale = results.scale.iter().map(|run| run.path.as_str());
    let film = results.film.iter().map(|run| run.path.as_str());
    let stacks = results.stacks.iter().map(|stacks| stacks.path.as_str());
    let measured = measured.chain(system_calls).chain(loss).chain(startup);
    let measured = measured.chain(scale).chain(film).chain(stacks);
    let mut paths = Vec::new();
    for path in measured {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths.sort_by_key(|path| place(path));
    paths
}

/// Whether a path is the same for all modes: plain UDP, which has datagrams only.
pub(super) fn is_plain(path: &str) -> bool {
    [PLAIN, FLOOR].contains(&path)
}

/// A path's colour.
pub(super) fn colour(path: &str) -> RGBColor {
    SHADES[place(path)].1.light
}

/// Style rules that change the colours of pictures for a dark page.
pub(super) fn dark_rules() -> String {
    let paths = SHADES.iter().map(|(_, shade)| shade);
    let rule = |shade: &Shade| {
        let RGBColor(red, green, blue) = shade.light;
        let (light, dark) = (format!("#{red:02X}{green:02X}{blue:02X}"), shade.dark);
        format!("svg [fill=\"{light}\"]{{fill:{dark}}}svg [stroke=\"{light}\"]{{stroke:{dark}}}\n")
    };
    paths.chain(&PARTS).chain(&LINES).map(rule).collect()
}

/// A path's place among all.
pub(super) fn place(path: &str) -> usize {
    let known = SHADES.iter().position(|(name, _)| *name == path);
    known.unwrap_or(SHADES.len() - 1)
}

/// Text and axes.
pub(super) const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
/// Lines behind the data.
pub(super) const GRID: RGBColor = RGBColor(0xDD, 0xE1, 0xE6);
/// Parts of what a packet costs: the process, interrupts, BPF programs.
pub(super) const PROCESS: RGBColor = RGBColor(0x4C, 0x6A, 0x92);
pub(super) const INTERRUPT: RGBColor = RGBColor(0xD9, 0x8C, 0x3F);
pub(super) const BPF: RGBColor = RGBColor(0x5B, 0xA8, 0x8F);

const LINES: [Shade; 2] = [
    Shade {
        light: INK,
        dark: "#E6E8EB",
    },
    Shade {
        light: GRID,
        dark: "#343A42",
    },
];

const PARTS: [Shade; 3] = [
    Shade {
        light: PROCESS,
        dark: "#86A6D4",
    },
    Shade {
        light: INTERRUPT,
        dark: "#E8AC6B",
    },
    Shade {
        light: BPF,
        dark: "#7CC9AF",
    },
];

/// Told apart by people who see few colours, too; the last is of all paths that have no name here.
const SHADES: [(&str, Shade); 11] = [
    (PLAIN, shade(0x77, 0x7C, 0x83, "#A3A9B1")),
    (FLOOR, shade(0x8A, 0x5A, 0x34, "#C99B74")),
    (KERNEL, shade(0x00, 0x5A, 0xB5, "#5AA9F5")),
    (CLEAR, shade(0x2C, 0x9F, 0xD9, "#9AD8FA")),
    (USERSPACE, shade(0xD5, 0x5E, 0x00, "#FF8A3D")),
    (USERSPACE_NO_GSO, shade(0xE0, 0x9A, 0x1A, "#F3C05E")),
    (QUINN, shade(0x00, 0x8A, 0x63, "#2FC495")),
    (QUINN_NO_GSO, shade(0x6A, 0xA8, 0x3C, "#A5DB79")),
    ("kernel, MOQT", shade(0x4B, 0x3F, 0xA8, "#8E86F0")),
    ("moq-relay", shade(0xB4, 0x4C, 0x92, "#E391C6")),
    ("", shade(0x5F, 0x6B, 0x3A, "#B9C48E")),
];

const fn shade(red: u8, green: u8, blue: u8, dark: &'static str) -> Shade {
    Shade {
        light: RGBColor(red, green, blue),
        dark,
    }
}
