//! Lists a library: a manifest row by row, a folder file by file, or a bucket object by object, in pages that wait for
//! their receiver.
//!
//! Reading blocks, so it has a thread of its own; a channel of two pages connects it to the runtime. Those pages and one
//! row bound the memory, independent of the size of the library (MEM-1). A bad row is reported in its page and the scan
//! continues; only a library that cannot be read at all fails the unit. Media files are never opened here.
mod bucket;
mod csv;
mod entry;
mod folder;
mod infer_role;
mod jsonl;
mod location;
mod manifest;
mod page;
mod row;
mod sidecar;
mod source;
#[cfg(test)]
mod tests;

use super::{Effect, StepContext};
use bucket::Bucket;
use entry::Names;
use location::Root;
use page::{Pager, Sent, Stop};
use protocol::failure::Failure;
use protocol::media::path_filter::PathFilter;
use protocol::wire::report::UnitResult;
use protocol::wire::step::scan::{ScanSource, ScanTask};
use protocol::wire::unit::Unit;
use protocol::workflow::file::OnLink;
use storage::Roots;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Pages the reader may be ahead of the receiver.
const PAGES_AHEAD: usize = 2;

/// Lists those files of a library that a filter selects and sends them to `context.effects`; ends with the last page
/// handed over.
pub async fn run(
    task: &ScanTask,
    filter: Option<&PathFilter>,
    on_link: OnLink,
    unit: &Unit,
    context: &StepContext,
) -> UnitResult {
    let names = match Names::new(&task.source, filter, on_link) {
        Ok(names) => names,
        Err(failure) => return UnitResult::Failed(failure),
    };
    let (sender, pages) = mpsc::channel(PAGES_AHEAD);
    // Cancelled on every way out of this function, so that the reading thread never outlives its unit for long.
    let stop = context.cancel.child_token();
    let _stop_reader = stop.clone().drop_guard();
    let pager = Pager::new(unit.id, unit.epoch, task, sender, stop);
    // A resumed scan that finds nothing more sends no page: then the listing was whole already.
    let resumed_at = task.resume.map_or(0, |cursor| cursor.page);
    let bucket = match open_bucket(&task.source, context).await {
        Ok(bucket) => bucket,
        Err(failure) => return UnitResult::Failed(failure),
    };
    let (task, roots) = (task.clone(), context.storage.roots().clone());
    let reading = tokio::task::spawn_blocking(move || read(&task, names, bucket, &roots, pager));
    let last = match context
        .cancel
        .run_until_cancelled(deliver(pages, context))
        .await
    {
        None => return UnitResult::Cancelled,
        Some(Err(failure)) => return UnitResult::Failed(failure),
        Some(Ok(last)) => last,
    };
    match reading.await {
        Ok(Ok(())) => UnitResult::Listed {
            pages: last.map_or(resumed_at, |page| page + 1),
        },
        Ok(Err(Stop::Failed(failure))) => UnitResult::Failed(failure),
        Ok(Err(Stop::Revoked)) => UnitResult::Cancelled,
        // The executor turns a panic into a failed unit; it has to see it as one.
        Err(join) if join.is_panic() => std::panic::resume_unwind(join.into_panic()),
        Err(_) => UnitResult::Cancelled,
    }
}

/// Sends pages as they come; returns the number of the last one.
async fn deliver(
    mut pages: mpsc::Receiver<Sent>,
    context: &StepContext,
) -> Result<Option<u64>, Failure> {
    let mut last = None;
    while let Some((page, up_to)) = pages.recv().await {
        last = Some(page.page);
        context
            .effects
            .send(Effect::Page {
                page,
                last_key: up_to,
            })
            .await?;
    }
    Ok(last)
}

/// Opens the bucket of a library that is one.
async fn open_bucket(
    source: &ScanSource,
    context: &StepContext,
) -> Result<Option<Bucket>, Failure> {
    let ScanSource::Bucket {
        location, after, ..
    } = source
    else {
        return Ok(None);
    };
    let opened = context
        .storage
        .open(location, None)
        .await
        .map_err(|error| error.failure())?;
    let prefix = if opened.key.is_empty() {
        String::new()
    } else {
        format!("{}/", opened.key)
    };
    Ok(Some(Bucket {
        storage: opened.storage,
        prefix,
        after: after.clone(),
        runtime: Handle::current(),
    }))
}

fn read(
    task: &ScanTask,
    names: Names,
    bucket: Option<Bucket>,
    roots: &Roots,
    pager: Pager,
) -> Result<(), Stop> {
    if let Some(bucket) = bucket {
        return bucket::scan(bucket, names, pager);
    }
    match &task.source {
        // `open_bucket` has opened every bucket, so this case does not occur.
        ScanSource::Bucket { .. } => Ok(()),
        ScanSource::Manifest { path } => {
            manifest::scan(path, roots, &Root::new(&task.root), task.resume, pager)
        }
        ScanSource::Folder { path, .. } => folder::scan(path, roots, names, pager),
    }
}
