//! Pages of lists: the default length and the longest one.
use crate::error::{Answer, Error};

/// Entries of one page at most.
pub const PAGE_MAX: u32 = 1_000;
/// Entries of a page by default.
pub const PAGE: u32 = 100;

pub(crate) fn page() -> u32 {
    PAGE
}

pub(crate) fn limit_in_range(limit: u32) -> Answer<()> {
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(());
    }
    Err(Error::Invalid(
        format!("limit is {limit}"),
        format!("1 to {PAGE_MAX}; ask for more pages with after="),
    ))
}
