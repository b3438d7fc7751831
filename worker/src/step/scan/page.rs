//! Gathers rows into pages of bounded size and hands them to the runtime.
use protocol::failure::Failure;
use protocol::id::UnitId;
use protocol::media::asset::Asset;
use protocol::model::scan_cursor::ScanCursor;
use protocol::wire::report::{ListedAsset, RowError, ScanPage};
use protocol::wire::step::scan::{ScanSource, ScanTask};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Bytes of text a page holds before it is sent; only a single longer row exceeds it.
pub(super) const PAGE_BYTES: usize = 1 << 20;

/// What one asset weighs besides its text.
const ROW_BYTES: usize = 64;

/// Why reading ends before the library does.
#[derive(Debug)]
pub(super) enum Stop {
    /// The receiver of the pages is gone: the unit was revoked.
    Revoked,
    /// The library cannot be read on.
    Failed(Failure),
}

/// A place between two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowPosition {
    /// Byte offset of the next row.
    pub(super) byte: u64,
    /// Its line, counted from 1.
    pub(super) line: u64,
}

/// The page being filled and the way out. A page ends where the next row would not fit, so where pages end depends
/// on nothing but where the first one started: a resumed scan cuts the same pages.
pub(super) struct Pager {
    page: ScanPage,
    size: usize,
    rows_max: usize,
    /// Pages before this one are stored: a folder, which starts again, does not send them once more.
    wanted: u64,
    /// The last key that is in a page or needs none, in a bucket.
    passed: Option<String>,
    sender: mpsc::Sender<Sent>,
    stop: CancellationToken,
}

/// A page, and the last key in it when it is one of a bucket.
pub(super) type Sent = (ScanPage, Option<String>);

impl Pager {
    /// Starts with the page that `task.resume` asks for.
    pub(super) fn new(
        unit: UnitId,
        epoch: u32,
        task: &ScanTask,
        sender: mpsc::Sender<Sent>,
        stop: CancellationToken,
    ) -> Pager {
        let number = match (&task.source, task.resume) {
            // A folder has no place to go back to: its listing starts again, with page 0.
            (
                ScanSource::Manifest { .. } | ScanSource::Bucket { after: Some(_), .. },
                Some(cursor),
            ) => cursor.page,
            _ => 0,
        };
        let page = ScanPage {
            unit,
            epoch,
            page: number,
            assets: Vec::new(),
            errors: Vec::new(),
            next: None,
        };
        let rows_max = task.page_assets.max(1) as usize;
        let wanted = task.resume.map_or(0, |cursor| cursor.page);
        Pager {
            page,
            size: 0,
            rows_max,
            wanted,
            passed: None,
            sender,
            stop,
        }
    }

    /// The token that ends reading early.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Adds what was made of the row at `place` on `line`; waits while the receiver is behind.
    pub(super) fn row(
        &mut self,
        place: Option<RowPosition>,
        line: u64,
        row: Result<Asset, RowError>,
    ) -> Result<(), Stop> {
        let size = match &row {
            Ok(asset) => asset.weight(),
            Err(error) => error_bytes(error),
        };
        let rows = self.page.assets.len() + self.page.errors.len();
        if rows > 0 && (rows >= self.rows_max || self.size + size > PAGE_BYTES) {
            self.send(place)?;
        }
        self.size += size;
        match row {
            Ok(asset) => self.page.assets.push(ListedAsset { line, asset }),
            Err(error) => self.page.errors.push(error),
        }
        Ok(())
    }

    /// Everything up to this key has been given.
    pub(super) fn passed(&mut self, key: String) {
        self.passed = Some(key);
    }

    /// Sends what is left. An empty library still has one page, so that its receiver sees that it was read.
    pub(super) fn finish(mut self, place: Option<RowPosition>) -> Result<(), Stop> {
        let rows = self.page.assets.len() + self.page.errors.len();
        if rows > 0 || self.page.page == 0 {
            self.send(place)
        } else {
            Ok(())
        }
    }

    fn send(&mut self, place: Option<RowPosition>) -> Result<(), Stop> {
        if self.stop.is_cancelled() {
            return Err(Stop::Revoked);
        }
        let number = self.page.page + 1;
        let empty = ScanPage {
            unit: self.page.unit,
            epoch: self.page.epoch,
            page: number,
            assets: Vec::with_capacity(self.page.assets.len()),
            errors: Vec::new(),
            next: None,
        };
        let mut page = std::mem::replace(&mut self.page, empty);
        page.next = place.map(|place| ScanCursor {
            page: number,
            byte: place.byte,
            line: place.line,
        });
        self.size = 0;
        if page.page < self.wanted {
            return Ok(());
        }
        let sent = (page, self.passed.clone());
        self.sender.blocking_send(sent).map_err(|_| Stop::Revoked)
    }
}

fn error_bytes(error: &RowError) -> usize {
    let column = error.column.as_ref().map_or(0, String::len);
    let asset = error.asset.as_ref().map_or(0, String::len);
    let title = error.title.as_ref().map_or(0, String::len);
    column + asset + title + error.message.len() + ROW_BYTES
}
