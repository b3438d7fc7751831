//! One small picture of a file, for people who read a report.
use super::pass::Scratch;
use super::probe::input;
use super::tool::Run;
use crate::task::Tools;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Width in pixels.
const WIDTH: u32 = 240;
/// A picture of this width is a tenth of it.
const BYTES_MAX: usize = 512 << 10;
/// Seeking in a file without an index reads it from the start.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The picture at a time in seconds as JPEG; `None` when there is none or it cannot be decoded: a report does without.
pub async fn still(path: &Path, at: f64, tools: &Tools, cancel: &CancellationToken) -> Option<Vec<u8>> {
    let absolute = std::path::absolute(path).ok()?;
    let scratch = Scratch::new().ok()?;
    let (at, filter) = (format!("{:.3}", at.max(0.0)), format!("scale=w={WIDTH}:h=-2"));
    let file = input(&absolute);
    let arguments =
        ["-nostdin", "-loglevel", "error", "-protocol_whitelist", "file", "-threads", "1", "-ss", &at, "-i", &file];
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
    let arguments = arguments.iter().chain(&output).map(|word| (*word).to_owned()).collect();
    let run = Run {
        program: &tools.ffmpeg,
        arguments,
        directory: Some(scratch.folder()),
        stdout_max: 1 << 10,
        timeout: TIMEOUT,
    };
    run.finish(cancel, &mut |_| ()).await.ok()?;
    std::fs::read(scratch.path("still.jpg")).ok().filter(|bytes| !bytes.is_empty() && bytes.len() <= BYTES_MAX)
}
