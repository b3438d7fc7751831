//! Reads the files that the filters' `metadata=print` writes.
use crate::stretch::Stretch;

/// Pairs `KEY_start` and `KEY_end` marks into stretches. A stretch without an end runs to `end`: freezes, black and silence
/// at the end of a file have no end mark.
pub(crate) fn stretches(text: &str, start_key: &str, end_key: &str, end: f64) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    let mut open: Option<f64> = None;
    for (key, value) in marks(text) {
        if key == start_key {
            open = Some(value);
        } else if key == end_key
            && let Some(start) = open.take()
        {
            found.push(Stretch { start, end: value });
        }
    }
    if let Some(start) = open {
        found.push(Stretch {
            start,
            end: end.max(start),
        });
    }
    found.retain(|stretch| stretch.end >= stretch.start);
    found
}

fn marks(text: &str) -> impl Iterator<Item = (&str, f64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        let value: f64 = value.trim().parse().ok()?;
        (key.starts_with("lavfi.") && value.is_finite()).then_some((key, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(stretches: &[Stretch]) -> Vec<(f64, f64)> {
        stretches.iter().map(|s| (s.start, s.end)).collect()
    }

    #[test]
    fn an_open_stretch_ends_with_the_media() {
        let text = "frame:100  pts:51200   pts_time:4\nlavfi.freezedetect.freeze_start=3\nframe:1 pts:1 pts_time:5\n\
                    lavfi.freezedetect.freeze_duration=2\nlavfi.freezedetect.freeze_end=5\n\
                    frame:2 pts:2 pts_time:8\nlavfi.freezedetect.freeze_start=7.5\n";
        let found = stretches(
            text,
            "lavfi.freezedetect.freeze_start",
            "lavfi.freezedetect.freeze_end",
            10.0,
        );
        assert_eq!(pairs(&found), [(3.0, 5.0), (7.5, 10.0)]);
    }

    #[test]
    fn torn_and_strange_lines_are_not_numbers() {
        assert!(
            stretches(
                "lavfi.black_start=nan\nlavfi.black_start=\nxx=3\n=\n",
                "lavfi.black_start",
                "e",
                9.0
            )
            .is_empty()
        );
    }
}
