//! Stretches in which left and right cancel each other.
use crate::detector_marks::stretches;
use crate::stretch::Stretch;

/// The meter, for the first two of `channels`; it comes last, since it may leave two channels of several.
///
/// It counts a sample of exact zero as in phase, so a pure tone that is wholly inverted reads about -0.92; 120 degrees asks
/// for a correlation below -0.5.
pub(crate) fn filter(n: usize, seconds: f64, channels: u32) -> String {
    let stereo = if channels > 2 {
        ",pan=stereo|c0=c0|c1=c1"
    } else {
        ""
    };
    let mut chain = format!(
        "{stereo},ametadata=mode=delete,aphasemeter=video=0:phasing=1:angle=120:d={seconds}"
    );
    for mark in ["start", "end"] {
        chain += &format!(
            ",ametadata=mode=print:key=lavfi.aphasemeter.out_phase_{mark}:file=phase{n}{mark}"
        );
    }
    chain
}

/// Stretches out of phase; `end` is where the sound ends.
pub fn read(starts: &str, ends: &str, end: f64) -> Vec<Stretch> {
    let both = interleaved(starts, ends);
    stretches(
        &both,
        "lavfi.aphasemeter.out_phase_start",
        "lavfi.aphasemeter.out_phase_end",
        end,
    )
}

/// Start and end marks in turns: they come from two files.
fn interleaved(starts: &str, ends: &str) -> String {
    let mut ends = ends.lines().filter(|line| line.starts_with("lavfi."));
    let mut text = String::new();
    for start in starts.lines().filter(|line| line.starts_with("lavfi.")) {
        for line in [Some(start), ends.next()].into_iter().flatten() {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phase_marks_of_two_files_pair_up() {
        let found = read(
            "frame:0 pts:0 pts_time:2\nlavfi.aphasemeter.out_phase_start=1\nlavfi.aphasemeter.out_phase_start=7\n",
            "lavfi.aphasemeter.out_phase_end=4\n",
            9.0,
        );
        assert_eq!(
            found.iter().map(|s| (s.start, s.end)).collect::<Vec<_>>(),
            [(1.0, 4.0), (7.0, 9.0)]
        );
    }
}
