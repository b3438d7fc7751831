//! Stretches of time: differences and intersections.
use serde::{Deserialize, Serialize};

/// A stretch of time in seconds from the start of the file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// Start in seconds.
    pub start: f64,
    /// End in seconds, exclusive.
    pub end: f64,
}

impl Stretch {
    /// Length in seconds.
    pub fn seconds(self) -> f64 {
        self.end - self.start
    }
}

/// `from` without `holes`. `slack` widens each hole on both sides, since two detectors never agree to the frame.
pub(crate) fn subtract(from: &[Stretch], holes: &[Stretch], slack: f64) -> Vec<Stretch> {
    let mut left = from.to_vec();
    for hole in holes {
        let (hole_start, hole_end) = (hole.start - slack, hole.end + slack);
        left = left
            .into_iter()
            .flat_map(|stretch| {
                if hole_end <= stretch.start || hole_start >= stretch.end {
                    return vec![stretch];
                }
                let before = Stretch {
                    start: stretch.start,
                    end: hole_start,
                };
                let after = Stretch {
                    start: hole_end,
                    end: stretch.end,
                };
                [before, after]
                    .into_iter()
                    .filter(|s| s.end > s.start)
                    .collect()
            })
            .collect();
    }
    left
}

/// The intersection of all `sets`.
pub(crate) fn common(sets: &[Vec<Stretch>]) -> Vec<Stretch> {
    let Some((first, rest)) = sets.split_first() else {
        return Vec::new();
    };
    rest.iter().fold(first.clone(), |held, set| {
        held.iter()
            .flat_map(|a| {
                set.iter().filter_map(|b| {
                    let both = Stretch {
                        start: a.start.max(b.start),
                        end: a.end.min(b.end),
                    };
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
        pairs
            .iter()
            .map(|&(start, end)| Stretch { start, end })
            .collect()
    }

    #[test]
    fn holes_and_common_parts() {
        assert_eq!(
            pairs(&subtract(&of(&[(3.0, 5.0)]), &of(&[(3.0, 4.96)]), 0.04)),
            []
        );
        assert_eq!(
            pairs(&subtract(&of(&[(0.0, 10.0)]), &of(&[(2.0, 3.0)]), 0.0)),
            [(0.0, 2.0), (3.0, 10.0)]
        );
        assert_eq!(
            pairs(&common(&[of(&[(0.0, 4.0)]), of(&[(1.0, 2.0), (3.0, 9.0)])])),
            [(1.0, 2.0), (3.0, 4.0)]
        );
        assert!(common(&[]).is_empty());
    }
}
