//! The report of a run: a page with pictures, and a text for the terminal. No RFC.
//!
//! Both say what the results hold and no more: a section without data is left out, an aim without data is
//! `not measured`. Nothing is read but the results.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::results::Results;
use canvas::Fault;
use page::Section;
use table::Table;

mod aims;
mod axis;
mod canvas;
mod cost;
mod curves;
mod delay;
mod events;
mod film;
mod gso;
mod load;
mod many;
mod measured;
mod page;
mod paths;
mod rows;
mod stacks;
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
    let tables = tables(results).into_iter();
    let tables = tables.map(|table| format!("\n{}", table.to_text()));
    let left_out = results.left_out.iter();
    let left_out = left_out.map(|reason| format!("Left out: {reason}\n"));
    let head = page::machine(results) + "\n" + &left_out.collect::<String>();
    head + &tables.collect::<String>()
}

/// The tables of the report for programs.
pub fn table(results: &Results) -> Value {
    let tables = tables(results);
    let tables = tables.iter().map(Table::to_json).collect::<Vec<_>>();
    json!({ "machine": results.machine, "seconds": results.seconds, "left_out": results.left_out, "tables": tables })
}

/// Of all sections; the aims come last, where a terminal ends.
fn tables(results: &Results) -> Vec<Table> {
    let sections = sections(results).unwrap_or_default();
    let tables = sections.iter().flat_map(Section::tables).cloned();
    tables.chain([aims::table(results)]).collect()
}

fn sections(results: &Results) -> Result<Vec<Section>, Fault> {
    let sections = [
        delay::one_way(results)?,
        delay::relay_added(results)?,
        cost::processor(results)?,
        cost::system_calls(results)?,
        load::fan_out(results)?,
        many::scale(results)?,
        load::growth(results)?,
        stacks::section(results),
        film::section(results)?,
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
