//! One small picture of a file, for people who read a report.
use super::media::{self, Media};
use super::scratch::Scratch;
use super::tool::Run;
use crate::Tools;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Width in pixels.
const WIDTH: u32 = 240;
/// A picture of this width is a tenth of it.
const BYTES_MAX: usize = 512 << 10;
/// Seeking in a file without an index reads it from the start.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The picture at a time in seconds as JPEG; `None` when there is none or it cannot be decoded: a report does without.
pub async fn still(
    media: &Media,
    at: f64,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Option<Vec<u8>> {
    let scratch = Scratch::new().ok()?;
    let (at, filter) = (
        format!("{:.3}", at.max(0.0)),
        format!("scale=w={WIDTH}:h=-2"),
    );
    let output = [
        "-map",
        "0:v:0",
        "-frames:v",
        "1",
        "-vf",
        &filter,
        "-pix_fmt",
        "yuvj420p",
        "-c:v",
        "mjpeg",
        "-f",
        "image2",
        "still.jpg",
    ];
    let mut arguments = media::arguments(&[
        "-nostdin",
        "-loglevel",
        "error",
        "-threads",
        "1",
        "-ss",
        &at,
    ]);
    arguments.extend(output.map(str::to_owned));
    let run = Run {
        program: &tools.ffmpeg,
        arguments,
        directory: Some(scratch.folder()),
        media: Some(media),
        stdout_max: 1 << 10,
        timeout: TIMEOUT,
    };
    run.finish(cancel, &mut |_| ()).await.ok()?;
    std::fs::read(scratch.path("still.jpg"))
        .ok()
        .filter(|bytes| !bytes.is_empty() && bytes.len() <= BYTES_MAX)
}
