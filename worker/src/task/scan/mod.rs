//! Lists a library: a manifest row by row, or a folder file by file, in pages that wait for their receiver.
//!
//! Reading blocks, so it has a thread of its own; a channel of two pages joins it to the runtime. Memory is
//! bounded by those pages and one row, whatever the library's size (MEM-1). A bad row is reported in its page and the
//! rest goes on; only a library that cannot be read at all fails the unit. Media files are never opened here.
mod csv;
mod folder;
mod guess;
mod jsonl;
mod location;
mod manifest;
mod page;
mod row;
mod source;
#[cfg(test)]
mod tests;

use super::TaskContext;
use location::Root;
use page::{Pager, Stop};
use protocol::failure::Failure;
use protocol::wire::report::{ScanPage, UnitResult};
use protocol::wire::unit::{ScanSource, ScanTask, Unit};
use tokio::sync::mpsc;

/// Pages the reader may be ahead of the receiver.
const PAGES_AHEAD: usize = 2;

/// Lists a library and sends it to `context.pages`; ends with the last page handed over.
pub async fn run(task: &ScanTask, unit: &Unit, context: &TaskContext) -> UnitResult {
    let (sender, pages) = mpsc::channel(PAGES_AHEAD);
    // Cancelled on every way out of this function, so that the reading thread never outlives its unit for long.
    let stop = context.cancel.child_token();
    let _stop_reader = stop.clone().drop_guard();
    let pager = Pager::new(unit.id, unit.epoch, task, sender, stop);
    // A resumed scan that finds nothing more sends no page: then the listing was whole already.
    let resumed_at = task.resume.map_or(0, |cursor| cursor.page);
    let task = task.clone();
    let reading = tokio::task::spawn_blocking(move || read(&task, pager));
    let last = match context.cancel.run_until_cancelled(deliver(pages, context)).await {
        None => return UnitResult::Cancelled,
        Some(Err(failure)) => return UnitResult::Failed(failure),
        Some(Ok(last)) => last,
    };
    match reading.await {
        Ok(Ok(())) => UnitResult::Listed { pages: last.map_or(resumed_at, |page| page + 1) },
        Ok(Err(Stop::Failed(failure))) => UnitResult::Failed(failure),
        Ok(Err(Stop::Revoked)) => UnitResult::Cancelled,
        // The executor turns a panic into a failed unit; it has to see it as one.
        Err(join) if join.is_panic() => std::panic::resume_unwind(join.into_panic()),
        Err(_) => UnitResult::Cancelled,
    }
}

/// Sends pages as they come; returns the number of the last one.
async fn deliver(mut pages: mpsc::Receiver<ScanPage>, context: &TaskContext) -> Result<Option<u64>, Failure> {
    let mut last = None;
    while let Some(page) = pages.recv().await {
        last = Some(page.page);
        context.pages.send(page).await?;
    }
    Ok(last)
}

fn read(task: &ScanTask, pager: Pager) -> Result<(), Stop> {
    match &task.source {
        ScanSource::Manifest { path } => manifest::scan(path, &Root::new(&task.root), task.resume, pager),
        ScanSource::Folder { path, pattern } => folder::scan(path, pattern.as_deref(), pager),
    }
}
