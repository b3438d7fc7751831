//! Silent stretches of each channel.
use crate::detector_marks::stretches;
use crate::stretch::Stretch;

/// The detector, for silence of each channel: noise in dB, shortest stretch in seconds.
pub(crate) fn filter(n: usize, (noise, seconds): (f64, f64)) -> String {
    format!(
        ",ametadata=mode=delete,silencedetect=n={noise}dB:d={seconds}:m=1,ametadata=mode=print:file=silence{n}"
    )
}

/// Silence of each channel; the marks count channels from 1.
pub fn read(text: &str, channels: u32, end: f64) -> Vec<Vec<Stretch>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(stretches: &[Stretch]) -> Vec<(f64, f64)> {
        stretches.iter().map(|s| (s.start, s.end)).collect()
    }

    #[test]
    fn silence_is_kept_by_channel_counted_from_one() {
        let text = "lavfi.silence_start.2=-0.02\nlavfi.silence_start.1=2\nlavfi.silence_end.1=4.5\nlavfi.silence_duration.1=2.5\n";
        let found = read(text, 2, 10.0);
        assert_eq!(pairs(&found[0]), [(2.0, 4.5)]);
        assert_eq!(pairs(&found[1]), [(0.0, 10.0)]);
    }
}
