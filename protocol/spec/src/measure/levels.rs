//! Luma outside EBU R 103, in some of the pictures.
use crate::streams::VideoStream;
use serde::{Deserialize, Serialize};

/// Pixels outside EBU R 103 over the sampled pictures.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Levels {
    /// Share of all sampled pixels.
    pub share: f64,
    /// Share of each sampled picture with its time in seconds, where it is not 0.
    pub pictures: Vec<(f64, f64)>,
}

/// Marks luma outside EBU R 103 (5 to 246 of 8 bits) as white and everything else as black: the mean is then the share.
/// signalstats' own BRNG takes noise around black for an error.
pub(crate) fn filter(n: usize, video: &VideoStream) -> String {
    let scale = scale(video);
    let converted = if scale == 0 { ",format=yuv420p" } else { "" };
    let one = f64::from(scale.max(1));
    let (low, high, white) = (5.0 * one, 247.0 * one - 1.0, 255.0 * one);
    format!(
        "{converted},lutyuv=y='if(between(val,{low},{high}),0,{white})':u=val:v=val,\
         signalstats,metadata=mode=print:key=lavfi.signalstats.YAVG:file=levels{n},nullsink"
    )
}

/// What one 8-bit step is worth in this picture's own depth; 0 for formats without a luma plane, which are converted.
fn scale(video: &VideoStream) -> u32 {
    let planar = video.pix_fmt.as_deref().is_some_and(|format| {
        [
            "yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p",
        ]
        .iter()
        .any(|known| {
            // 16-bit luma is beyond what signalstats takes.
            format
                .strip_prefix(known)
                .is_some_and(|depth| matches!(depth, "" | "9le" | "10le" | "12le"))
        })
    });
    if planar {
        1 << (video.bit_depth().unwrap_or(8) - 8)
    } else {
        0
    }
}

/// The share of marked luma in the sampled pictures.
pub fn read(text: &str, video: &VideoStream) -> Option<Levels> {
    share_of_marked(text, 255.0 * f64::from(scale(video).max(1)))
}

/// The share of marked luma in the sampled pictures; `white` is the value of a marked pixel.
pub(super) fn share_of_marked(text: &str, white: f64) -> Option<Levels> {
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
    (count > 0).then(|| Levels {
        share: sum / count as f64,
        pictures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_and_strange_lines_are_no_levels() {
        assert_eq!(share_of_marked("", 255.0), None);
        assert_eq!(share_of_marked("lavfi.signalstats.YAVG=nan\n", 255.0), None);
        let sheet = share_of_marked(
            "frame:0 pts:0 pts_time:0.4\nlavfi.signalstats.YAVG=25.5\n",
            255.0,
        )
        .expect("measured");
        assert_eq!((sheet.share, sheet.pictures), (0.1, vec![(0.4, 0.1)]));
    }
}
