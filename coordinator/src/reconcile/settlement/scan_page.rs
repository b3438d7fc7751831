//! Takes pages of listings.
use crate::store::{Phase, StoreError, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::wire::report::ScanPage;

/// Outcome of a page of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageTaken {
    /// It is stored.
    Stored,
    /// It was stored before, or comes from a scan that has been taken back or cannot be read.
    Ignored,
    /// Pages before it are missing. Its worker sends pages in order, so they are lost: this scan cannot be completed.
    Gap,
}

/// Takes a page of a listing. Only the next one of the current scan is stored.
/// `up_to` is the last key of a page of a bucket.
pub fn page(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    page: &ScanPage,
    up_to: Option<&str>,
) -> StoreResult<PageTaken> {
    let mut row = match tx.job(page.unit.job) {
        Ok(Some(row)) => row,
        Ok(None) | Err(StoreError::Corrupt(_)) => return Ok(PageTaken::Ignored),
        Err(error) => return Err(error),
    };
    let current =
        row.phase == Phase::Scanning && row.scan_epoch == page.epoch && !row.state.has_ended();
    if !current || page.page < row.scan.page {
        return Ok(PageTaken::Ignored);
    }
    if page.page > row.scan.page {
        return Ok(PageTaken::Gap);
    }
    let workflow = match workflows.of(tx, row.no) {
        Ok(workflow) => workflow,
        Err(StoreError::Corrupt(_)) => return Ok(PageTaken::Ignored),
        Err(error) => return Err(error),
    };
    let appended = tx.append_listing(row.no, workflow.partition.by_title, &page.assets)?;
    row.assets += appended.assets;
    row.bytes_declared = row.bytes_declared.saturating_add(appended.bytes);
    row.row_errors += tx.append_row_errors(row.no, &page.errors)?;
    row.row_errors += tx.append_row_errors(row.no, &appended.errors)?;
    row.scan.page += 1;
    if let Some(next) = page.next {
        (row.scan.byte, row.scan.line) = (next.byte, next.line);
    }
    if let Some(up_to) = up_to {
        row.scan_after = Some(up_to.to_owned());
    }
    tx.update_job(&row)?;
    Ok(PageTaken::Stored)
}
