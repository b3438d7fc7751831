//! Black stretches of the picture.
use crate::detector_marks::stretches;
use crate::stretch::Stretch;

/// The detector: share of the picture and luma level of black. The length is judged here: the marks ignore the detector's
/// own `d`.
pub(crate) fn filter(n: usize, (area, level): (f64, f64)) -> String {
    format!("blackdetect=d=0:pic_th={area}:pix_th={level},metadata=mode=print:file=black{n}")
}

/// Black stretches of any length; `end` is where the picture ends.
pub fn read(text: &str, end: f64) -> Vec<Stretch> {
    stretches(text, "lavfi.black_start", "lavfi.black_end", end)
}
