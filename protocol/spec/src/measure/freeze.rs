//! Stretches of the picture without motion, black ones included.
use crate::detector_marks::stretches;
use crate::stretch::Stretch;

/// The detector: noise in dB and shortest stretch in seconds.
pub(crate) fn filter(n: usize, (noise, seconds): (f64, f64)) -> String {
    format!("freezedetect=n={noise}dB:d={seconds},metadata=mode=print:file=freeze{n}")
}

/// Still stretches; `end` is where the picture ends.
pub fn read(text: &str, end: f64) -> Vec<Stretch> {
    stretches(
        text,
        "lavfi.freezedetect.freeze_start",
        "lavfi.freezedetect.freeze_end",
        end,
    )
}
