//! A path with and without bursts that the device cuts (UDP GSO). No RFC.

use super::axis::plain;
use super::measured::{Case, Load, Rounds, cost, modes, saturation, spread};
use super::paths::{QUINN, QUINN_NO_GSO, USERSPACE, USERSPACE_NO_GSO};
use super::table::Table;
use crate::results::Results;
use crate::stats::Spread;

/// Each figure that both have, and their ratio round by round.
pub(super) fn table(results: &Results) -> Table {
    let head = ["figure", "path", "with GSO", "without", "without / with"];
    let title = "With and without GSO, 100 subscribers; a veth hands bursts on in one piece, a network card cuts them";
    let mut table = Table::new(title, 2, &head);
    for (path, without) in [(USERSPACE, USERSPACE_NO_GSO), (QUINN, QUINN_NO_GSO)] {
        for mode in modes(results) {
            let of = |path| {
                let case = Case {
                    path,
                    subscribers: 100,
                    mode,
                };
                cost(results, case, |run| Some(run.per_packet_us))
            };
            let what = format!("µs per packet, {mode}");
            table.extend(row(what, path, (&of(path), &of(without))));
        }
        let packets = |path| {
            saturation(results, (path, 100), Load::BeforeLoss, |run| {
                run.packets_per_second
            })
        };
        let micros = |path| {
            saturation(results, (path, 100), Load::Overload, |run| {
                run.per_packet_us
            })
        };
        let what = "packets/s before 0.1 % loss".to_owned();
        table.extend(row(what, path, (&packets(path), &packets(without))));
        let what = "µs per packet at overload".to_owned();
        table.extend(row(what, path, (&micros(path), &micros(without))));
    }
    table
}

fn row(what: String, path: &str, (with, without): (&Rounds, &Rounds)) -> Option<Vec<String>> {
    let ratio = Spread::of_ratios(without, with)?;
    let medians = [spread(with)?.median, spread(without)?.median, ratio.median];
    let mut row = vec![what, path.to_owned()];
    row.extend(medians.map(plain));
    Some(row)
}
