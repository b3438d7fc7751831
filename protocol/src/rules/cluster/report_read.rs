//! How many entries of reports one read asks for. An entry has up to four megabytes and the server limits a reply by their
//! number alone, so the number follows from the size of the entries that were read before.

/// Limits of reads of reports.
#[derive(Debug, Clone, Copy)]
pub struct ReportReadLimits {
    /// Entries of the first read.
    pub first: usize,
    /// Entries of one read at most.
    pub entries_max: usize,
    /// Bytes that one reply should have at most.
    pub bytes_max: usize,
}

impl Default for ReportReadLimits {
    fn default() -> ReportReadLimits {
        ReportReadLimits {
            first: 16,
            entries_max: 128,
            bytes_max: 16 << 20,
        }
    }
}

/// The reply to a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportReply {
    /// Entries in it.
    pub entries: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
}

/// Entries that the next read asks for, after one that asked for `asked`; `None` when its reply did not come in time.
pub fn entries_of_next_read(
    asked: usize,
    reply: Option<ReportReply>,
    limits: &ReportReadLimits,
) -> usize {
    let Some(ReportReply { entries, bytes }) = reply else {
        return 1;
    };
    let most = asked.saturating_mul(2).min(limits.entries_max).max(1);
    match bytes.div_ceil(entries.max(1)) {
        0 => asked.clamp(1, most),
        mean => (limits.bytes_max / mean).clamp(1, most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_grow_with_small_entries_and_shrink_with_large_ones() {
        let limits = ReportReadLimits::default();
        let reply = |entries, each| {
            Some(ReportReply {
                entries,
                bytes: entries * each,
            })
        };
        let mut asked = limits.first;
        for expected in [32, 64, 128, 128] {
            asked = entries_of_next_read(asked, reply(asked, 1_000), &limits);
            assert_eq!(asked, expected);
        }
        assert_eq!(entries_of_next_read(asked, reply(128, 4 << 20), &limits), 4);
        assert_eq!(
            entries_of_next_read(4, reply(1, 64 << 20), &limits),
            1,
            "one at least"
        );
        assert_eq!(
            entries_of_next_read(32, reply(0, 0), &limits),
            32,
            "silence says nothing"
        );
        assert_eq!(
            entries_of_next_read(128, None, &limits),
            1,
            "a reply that is too long never comes"
        );
        assert_eq!(entries_of_next_read(0, reply(0, 0), &limits), 1);
    }
}
