//! Loudness, loudness range and true peak (ITU-R BS.1770, EBU R 128).

/// What the meter printed at its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loudness {
    /// Integrated loudness in LUFS.
    pub integrated: Option<f64>,
    /// True peak in dBTP.
    pub true_peak: Option<f64>,
    /// Loudness range in LU.
    pub range: Option<f64>,
}

/// The meter. `framelog=quiet` does not exist in ffmpeg 5.1; at `verbose` the frames stay out of our level of the log.
pub(crate) fn filter(n: usize) -> String {
    let mut chain =
        format!(",ametadata=mode=delete,ebur128@a{n}=peak=true:framelog=verbose:metadata=1");
    for (key, file) in [("S", "short"), ("M", "momentary")] {
        chain += &format!(",ametadata=mode=print:key=lavfi.r128.{key}:file={file}{n}");
    }
    chain
}

impl Loudness {
    /// Takes a line of the meter's summary. The copy of the graph that saw nothing reads -70 LUFS, threshold 0 and a peak
    /// of -inf; the last copy counts. What is not finite is not a measurement.
    pub(crate) fn read_line(&mut self, line: &str) {
        let value = |unit: &str| {
            let (_, rest) = line.split_once(':')?;
            rest.trim()
                .strip_suffix(unit)?
                .trim()
                .parse::<f64>()
                .ok()
                .filter(|v| v.is_finite())
        };
        if line.starts_with("I:") {
            self.integrated = value("LUFS");
        } else if line.starts_with("LRA:") {
            self.range = value("LU");
        } else if line.starts_with("Peak:") {
            self.true_peak = value("dBFS");
        } else if line.starts_with("Threshold:")
            && value("LUFS") == Some(0.0)
            && matches!(self.integrated, Some(-70.0 | 0.0))
        {
            // Only the integrated threshold is 0 when nothing was measured; the range's comes later and may be 0 in a
            // short file, so it is not taken for one.
            self.integrated = None;
        }
    }
}
