//! The report of a run: a page with pictures, and a text for the terminal. No RFC.
//!
//! Both say what the results hold and no more: a section without data is left out, an aim without data is
//! `not measured`. Nothing is read but the results.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::results::Results;
use canvas::Fault;
use page::Section;

mod aims;
mod axis;
mod canvas;
mod cost;
mod curves;
mod delay;
mod events;
mod load;
mod measured;
mod page;
mod paths;
mod rows;
mod table;

/// Writes `report.html` into a folder and says where it is.
pub fn write(results: &Results, folder: &Path) -> io::Result<PathBuf> {
    let sections = sections(results).map_err(|fault| io::Error::other(fault.to_string()))?;
    let file = folder.join("report.html");
    std::fs::create_dir_all(folder)?;
    std::fs::write(&file, page::page(results, &aims::table(results), &sections))?;
    Ok(file)
}

/// The tables of the report as text.
pub fn summary(results: &Results) -> String {
    let mut text = page::machine(results) + "\n";
    let sections = sections(results).unwrap_or_default();
    for table in sections.iter().flat_map(|section| &section.tables) {
        if !table.is_empty() {
            text += &format!("\n{}", table.to_text());
        }
    }
    text + "\n" + &aims::table(results).to_text()
}

fn sections(results: &Results) -> Result<Vec<Section>, Fault> {
    let sections = [
        delay::one_way(results)?,
        delay::relay_added(results)?,
        cost::processor(results)?,
        cost::system_calls(results)?,
        load::fan_out(results)?,
        load::growth(results)?,
        events::upstream_loss(results)?,
        events::startup(results)?,
    ];
    Ok(sections
        .into_iter()
        .filter(|section| !section.is_empty())
        .collect())
}

/// Each number of subscribers once, the smallest first.
fn subscriber_counts(counts: impl Iterator<Item = u64>) -> Vec<u64> {
    counts.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests;
