//! Where the time goes: the functions that run most on each path. No RFC.

use super::axis::plain;
use super::page::{Part, Section};
use super::table::Table;
use crate::results::{Results, Stacks};

/// A table for each path.
pub(super) fn section(results: &Results) -> Section {
    let tables = results.stacks.iter().map(table).collect();
    Section {
        title: "Where the time goes",
        reading: "Near the most that goes through: which functions the relay's threads, and the kernel's that take in \
                  its packets, were seen in most often, with what they did themselves and not what they called. The \
                  whole stacks are in the folder stacks beside this page, in the folded form that flame graphs are \
                  drawn from.",
        parts: vec![Part {
            picture: None,
            tables,
        }],
    }
}

fn table(stacks: &Stacks) -> Table {
    let Stacks {
        path,
        subscribers,
        rate,
        samples,
        top,
        missing,
    } = stacks;
    let title = format!(
        "Where the time goes: {path}, {subscribers} subscribers, {rate:.0} messages/s, {samples} samples"
    );
    let mut table = Table::new(&title, 1, &["function", "own time, %"]);
    for (name, share) in top {
        let mut name = name.clone();
        if let Some((end, _)) = name.char_indices().nth(LONGEST) {
            name.truncate(end);
            name.push('…');
        }
        table.push(vec![name, plain(share * 100.0)]);
    }
    if let Some(missing) = missing {
        table.push(vec![format!("nothing: {missing}"), "–".to_owned()]);
    }
    table
}

/// Letters of a name that are shown.
const LONGEST: usize = 90;
