//! Reads the files that the filters' `metadata=print` writes.
use super::facts::{Levels, Stretch};

/// Pairs `KEY_start` and `KEY_end` marks into stretches. A stretch without an end runs to `end`: freezes, black and silence
/// at the end of a file have no end mark.
pub(super) fn stretches(text: &str, start_key: &str, end_key: &str, end: f64) -> Vec<Stretch> {
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
        found.push(Stretch { start, end: end.max(start) });
    }
    found.retain(|stretch| stretch.end >= stretch.start);
    found
}

/// Silence of each channel; the marks count channels from 1.
pub(super) fn silence(text: &str, channels: u32, end: f64) -> Vec<Vec<Stretch>> {
    let of = |channel: u32| {
        let key = |mark: &str| format!("lavfi.silence_{mark}.{channel}");
        let mut found = stretches(text, &key("start"), &key("end"), end);
        // The detector dates a silence from the first sample even when that is before the file's start (encoder delay).
        for stretch in &mut found {
            stretch.start = stretch.start.max(0.0);
        }
        found
    };
    (1..=channels).map(of).collect()
}

/// The sampled pictures' share of marked luma; `white` is the value that stands for all of it.
pub(super) fn levels(text: &str, white: f64) -> Option<Levels> {
    let (mut sum, mut count, mut pictures, mut time) = (0.0, 0u64, Vec::new(), 0.0);
    for line in text.lines() {
        if let Some((_, at)) = line.split_once("pts_time:") {
            time = at.trim().parse().unwrap_or(time);
        } else if let Some(mean) = line.strip_prefix("lavfi.signalstats.YAVG=") {
            let share = mean.trim().parse::<f64>().ok().filter(|m| m.is_finite())? / white;
            sum += share;
            count += 1;
            if share > 0.0 {
                pictures.push((time, share));
            }
        }
    }
    (count > 0).then(|| Levels { share: sum / count as f64, pictures })
}

fn marks(text: &str) -> impl Iterator<Item = (&str, f64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        let value: f64 = value.trim().parse().ok()?;
        (key.starts_with("lavfi.") && value.is_finite()).then_some((key, value))
    })
}

/// `from` without what `holes` covers. `slack` widens each hole on both sides, since two detectors never agree to the frame.
pub(super) fn subtract(from: &[Stretch], holes: &[Stretch], slack: f64) -> Vec<Stretch> {
    let mut left = from.to_vec();
    for hole in holes {
        let (hole_start, hole_end) = (hole.start - slack, hole.end + slack);
        left = left
            .into_iter()
            .flat_map(|stretch| {
                if hole_end <= stretch.start || hole_start >= stretch.end {
                    return vec![stretch];
                }
                let before = Stretch { start: stretch.start, end: hole_start };
                let after = Stretch { start: hole_end, end: stretch.end };
                [before, after].into_iter().filter(|s| s.end > s.start).collect()
            })
            .collect();
    }
    left
}

/// What every one of `sets` covers.
pub(super) fn common(sets: &[Vec<Stretch>]) -> Vec<Stretch> {
    let Some((first, rest)) = sets.split_first() else { return Vec::new() };
    rest.iter().fold(first.clone(), |held, set| {
        held.iter()
            .flat_map(|a| {
                set.iter().filter_map(|b| {
                    let both = Stretch { start: a.start.max(b.start), end: a.end.min(b.end) };
                    (both.end > both.start).then_some(both)
                })
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(stretches: &[Stretch]) -> Vec<(f64, f64)> {
        stretches.iter().map(|s| (s.start, s.end)).collect()
    }

    fn of(pairs: &[(f64, f64)]) -> Vec<Stretch> {
        pairs.iter().map(|&(start, end)| Stretch { start, end }).collect()
    }

    #[test]
    fn an_open_stretch_ends_with_the_media() {
        let text = "frame:100  pts:51200   pts_time:4\nlavfi.freezedetect.freeze_start=3\nframe:1 pts:1 pts_time:5\n\
                    lavfi.freezedetect.freeze_duration=2\nlavfi.freezedetect.freeze_end=5\n\
                    frame:2 pts:2 pts_time:8\nlavfi.freezedetect.freeze_start=7.5\n";
        let found = stretches(text, "lavfi.freezedetect.freeze_start", "lavfi.freezedetect.freeze_end", 10.0);
        assert_eq!(pairs(&found), [(3.0, 5.0), (7.5, 10.0)]);
    }

    #[test]
    fn silence_is_kept_by_channel_counted_from_one() {
        let text = "lavfi.silence_start.2=-0.02\nlavfi.silence_start.1=2\nlavfi.silence_end.1=4.5\nlavfi.silence_duration.1=2.5\n";
        let found = silence(text, 2, 10.0);
        assert_eq!(pairs(&found[0]), [(2.0, 4.5)]);
        assert_eq!(pairs(&found[1]), [(0.0, 10.0)]);
    }

    #[test]
    fn torn_and_strange_lines_are_not_numbers() {
        assert!(
            stretches("lavfi.black_start=nan\nlavfi.black_start=\nxx=3\n=\n", "lavfi.black_start", "e", 9.0).is_empty()
        );
        assert_eq!(levels("", 255.0), None);
        assert_eq!(levels("lavfi.signalstats.YAVG=nan\n", 255.0), None);
        let sheet = levels("frame:0 pts:0 pts_time:0.4\nlavfi.signalstats.YAVG=25.5\n", 255.0).expect("measured");
        assert_eq!((sheet.share, sheet.pictures), (0.1, vec![(0.4, 0.1)]));
    }

    #[test]
    fn holes_and_common_parts() {
        assert_eq!(pairs(&subtract(&of(&[(3.0, 5.0)]), &of(&[(3.0, 4.96)]), 0.04)), []);
        assert_eq!(pairs(&subtract(&of(&[(0.0, 10.0)]), &of(&[(2.0, 3.0)]), 0.0)), [(0.0, 2.0), (3.0, 10.0)]);
        assert_eq!(pairs(&common(&[of(&[(0.0, 4.0)]), of(&[(1.0, 2.0), (3.0, 9.0)])])), [(1.0, 2.0), (3.0, 4.0)]);
        assert!(common(&[]).is_empty());
    }
}
