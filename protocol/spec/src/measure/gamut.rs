//! Red, green and blue outside EBU R 103, in some of the pictures.
use crate::measure::levels::{Levels, share_of_marked};
use crate::streams::VideoStream;

/// Marks pixels with red, green or blue outside -5 % to 105 % (EBU R 103) as white and everything else as black.
///
/// A conversion to RGB cuts off what it should show. Luma and colour differences are therefore halved around their middle
/// first: the matrix is linear, so -5 % and 105 % come out as 22.5 % and 77.5 % and nothing is cut off.
pub(crate) fn filter(n: usize, video: &VideoStream) -> String {
    let range = if video.range.as_deref() == Some("pc") {
        "pc"
    } else {
        "tv"
    };
    // Where luma of 10 bits begins, and half its span.
    let (black, quarter) = if range == "pc" { (0, 256) } else { (64, 219) };
    let matrix = match video.matrix.as_deref() {
        Some("bt470bg" | "smpte170m") => "bt601",
        Some("bt2020nc" | "bt2020c") => "bt2020",
        Some("smpte240m") => "smpte240m",
        Some("fcc") => "fcc",
        Some(_) => "bt709",
        // Unflagged material of standard definition is BT.601 by custom.
        None if video.height <= 576 => "bt601",
        None => "bt709",
    };
    let mark = "if(between(val,230,793),0,1023)";
    format!(
        ",scale=in_range={range}:out_range={range}:in_color_matrix={matrix}:out_color_matrix={matrix},format=yuv444p10,\
         lutyuv=y='(val-{black})*0.5+{black}+{quarter}':u='(val-512)*0.5+512':v='(val-512)*0.5+512',\
         scale=in_color_matrix={matrix}:in_range={range}:out_range=pc,format=gbrp10,lutrgb=r='{mark}':g='{mark}':b='{mark}',\
         colorchannelmixer=rr=1:rg=1:rb=1:gr=1:gg=1:gb=1:br=1:bg=1:bb=1,format=gbrp,\
         scale=in_range=pc:out_range=pc:out_color_matrix=bt709,format=yuv444p,\
         signalstats,metadata=mode=print:key=lavfi.signalstats.YAVG:file=gamut{n},nullsink"
    )
}

/// The share of marked pixels in the sampled pictures.
pub fn read(text: &str) -> Option<Levels> {
    share_of_marked(text, 255.0)
}
