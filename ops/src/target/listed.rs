//! Lists up to the limit of the command line, which know whether there are more entries.
use crate::context::Context;
use crate::error::CliResult;
use coordinator::paging::PAGE_MAX;

/// Whether a list has more entries than the command line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CutOff {
    limit: u32,
    more: bool,
}

impl CutOff {
    /// Says on stderr that the list is cut off, in every output format: a JSON list has no place for it.
    pub(crate) fn note(self, context: &Context, what: &str) {
        if self.more && !context.quiet {
            eprintln!(
                "the first {} {what} are listed and there are more: --limit N lists more",
                self.limit
            );
        }
    }
}

/// Entries of a list, at most as many as the command line asks for.
pub(crate) struct Listed<T> {
    /// The entries.
    pub(crate) items: Vec<T>,
    cut_off: CutOff,
}

impl<T> Listed<T> {
    /// Says on stderr that the list is cut off.
    pub(crate) fn note_cut_off(&self, context: &Context, what: &str) {
        self.cut_off.note(context, what);
    }
}

/// As many pages as `limit` entries need, in memory.
pub(crate) fn pages<T>(
    limit: u32,
    fetch: impl FnMut(u32, Option<String>) -> CliResult<Vec<T>>,
    id: impl Fn(&T) -> String,
) -> CliResult<Listed<T>> {
    let mut items: Vec<T> = Vec::new();
    let cut_off = each_page(limit, fetch, id, |page| {
        items.extend(page);
        Ok(())
    })?;
    Ok(Listed { items, cut_off })
}

/// As many pages as `limit` entries need, one after the other, and one entry more, which tells whether the list is cut off.
pub(crate) fn each_page<T>(
    limit: u32,
    mut fetch: impl FnMut(u32, Option<String>) -> CliResult<Vec<T>>,
    id: impl Fn(&T) -> String,
    mut take: impl FnMut(Vec<T>) -> CliResult<()>,
) -> CliResult<CutOff> {
    let (mut room, mut after) = (limit, None);
    loop {
        let wanted = room.saturating_add(1).min(PAGE_MAX);
        let mut page = fetch(wanted, after.take())?;
        let full = page.len() >= wanted as usize;
        let more = page.len() > room as usize;
        page.truncate(room as usize);
        room -= u32::try_from(page.len()).unwrap_or(room);
        after = page.last().map(&id);
        take(page)?;
        if more || !full {
            return Ok(CutOff { limit, more });
        }
    }
}

/// A list that has one page only: more than a page holds cannot be asked for.
pub(crate) fn one_page<T>(
    limit: u32,
    fetch: impl FnOnce(u32) -> CliResult<Vec<T>>,
) -> CliResult<Listed<T>> {
    let limit = limit.min(PAGE_MAX - 1);
    let mut items = fetch(limit + 1)?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    Ok(Listed {
        items,
        cut_off: CutOff { limit, more },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_with_more_entries_than_its_limit_is_cut_off() {
        for (limit, entries, expected) in [
            (2, 3, (2, true)),
            (3, 3, (3, false)),
            (1_500, 1_500, (1_500, false)),
            (1_500, 1_501, (1_500, true)),
            (0, 3, (0, true)),
        ] {
            let fetch = |left: u32, after: Option<String>| {
                let from = after.map_or(0, |after| after.parse::<usize>().unwrap_or(0) + 1);
                Ok((from..entries).take(left as usize).collect::<Vec<_>>())
            };
            let listed = pages(limit, fetch, usize::to_string).expect("lists");
            assert_eq!(
                (listed.items.len(), listed.cut_off.more),
                expected,
                "{limit} {entries}"
            );
        }
        let listed = one_page(2, |left| Ok(vec![(); left as usize])).expect("lists");
        assert_eq!((listed.items.len(), listed.cut_off.more), (2, true));
    }
}
