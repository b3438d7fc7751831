//! Makes the media of the sample library with ffmpeg. The truth is by construction: a 1 kHz stereo sine at -23 dBFS reads
//! -23.0 LUFS (EBU Tech 3341), and a test picture moves in every frame and stays inside the legal range.
use super::model::DemoError;
use super::titles::{Item, Media, Plant, SECONDS};
use ::qc::bare_command;
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// Peak of a sine at -23 dBFS.
const LOUDNESS_RIGHT: f64 = 0.070_794_6;

/// Peak of a sine at -14 dBFS.
const LOUDNESS_TOO_HIGH: f64 = 0.199_526_2;

/// Peak of a sine at -20 dBFS: alone on one of two channels it reads as loud as both at -23.
const LOUDNESS_ONE_CHANNEL: f64 = 0.1;

/// Writes the media file of `item` to `path`; it appears there when it is complete.
pub(super) fn make(item: &Item, path: &Path, ffmpeg: &str) -> Result<(), DemoError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| DemoError::io(parent, error))?;
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let made = match item.media {
        Media::Subtitle { .. } => {
            fs::write(part, subtitle()).map_err(|error| DemoError::io(part, error))
        }
        Media::Master | Media::Proxy | Media::Audio { .. } => encode(item, part, ffmpeg),
    };
    made.and_then(|()| {
        if item.plant == Some(Plant::Truncated) {
            truncate(part)
        } else {
            Ok(())
        }
    })
    .and_then(|()| fs::rename(part, path).map_err(|error| DemoError::io(path, error)))
    .inspect_err(|_| {
        // The first error is reported; the next run overwrites the rest.
        drop(fs::remove_file(part));
    })
}

fn encode(item: &Item, part: &Path, ffmpeg: &str) -> Result<(), DemoError> {
    let mut command = bare_command(ffmpeg);
    command.args(
        "-hide_banner -nostdin -v error -y -threads 1 -filter_threads 1 -fflags +bitexact"
            .split(' '),
    );
    if let Some((width, height)) = item.size() {
        command.args(["-f", "lavfi", "-i", &picture(item, width, height)]);
    }
    command.args(["-f", "lavfi", "-i", &sound(item)]);
    let options = match item.media {
        Media::Master => {
            "-c:v libx264 -preset ultrafast -crf 18 -pix_fmt yuv420p -g 50 -c:a pcm_s16le -f mov"
        }
        Media::Proxy => {
            "-c:v libx264 -preset ultrafast -crf 24 -pix_fmt yuv420p -g 50 -c:a aac -b:a 128k -movflags +faststart -f mp4"
        }
        Media::Audio { .. } | Media::Subtitle { .. } => "-c:a pcm_s16le -f wav",
    };
    if item.size().is_some() {
        // No frame refers back to before a fault, and colours are what the picture says they are.
        command.args("-x264-params threads=1".split(' '));
        command.args(
            "-color_range tv -color_primaries bt709 -color_trc bt709 -colorspace bt709".split(' '),
        );
        command.args("-flags:v +bitexact".split(' '));
    }
    command
        .args(options.split(' '))
        .args(["-flags:a", "+bitexact"])
        .arg(part);
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|source| DemoError::Ffmpeg {
            program: ffmpeg.to_owned(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String = said
        .lines()
        .last()
        .unwrap_or("no message")
        .chars()
        .take(300)
        .collect();
    Err(DemoError::Encode {
        file: item.path(),
        said,
    })
}

fn picture(item: &Item, width: u32, height: u32) -> String {
    // Every title has its own colours, a little paler than the source so that turning them leaves none illegal.
    let hue = item.title * 60;
    let base = format!(
        "testsrc2=s={width}x{height}:r=25:d={SECONDS},format=yuv420p,hue=h={hue}:s=0.8,\
         setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    );
    match item.plant {
        // The noise keeps the black from being a still picture as well: one asset, one fault.
        Some(Plant::Black) => format!(
            "{base},drawbox=c=black:t=fill:enable='between(t,3,4.99)',\
             noise=c0s=6:c0f=t:all_seed=3:enable='between(t,3,4.99)'"
        ),
        Some(Plant::Freeze) => {
            format!("{base}[s];[s]split[a][b];[a][b]freezeframes=first=75:last=137:replace=75")
        }
        _ => base,
    }
}

fn sound(item: &Item) -> String {
    let (left, right, seconds) = match item.plant {
        Some(Plant::DeadChannel) => (LOUDNESS_ONE_CHANNEL, 0.0, f64::from(SECONDS)),
        Some(Plant::Loud) => (LOUDNESS_TOO_HIGH, LOUDNESS_TOO_HIGH, f64::from(SECONDS)),
        Some(Plant::AvLength) => (LOUDNESS_RIGHT, LOUDNESS_RIGHT, f64::from(SECONDS) - 1.5),
        _ => (LOUDNESS_RIGHT, LOUDNESS_RIGHT, f64::from(SECONDS)),
    };
    // Some hertz between titles and languages make every file another one, and no meter sees a difference.
    let hertz = 1000 + 2 * item.title + usize::from(item.media.language() == "en");
    format!(
        "aevalsrc='{left}*sin(2*PI*{hertz}*t)|{right}*sin(2*PI*{hertz}*t)':s=48000:d={seconds}:c=stereo"
    )
}

/// Cuts a file as a broken upload does: its index at the front promises what is no longer there.
fn truncate(path: &Path) -> Result<(), DemoError> {
    let file = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(|error| DemoError::io(path, error))?;
    let length = file
        .metadata()
        .map_err(|error| DemoError::io(path, error))?
        .len();
    file.set_len(length * 3 / 5)
        .map_err(|error| DemoError::io(path, error))
}

fn subtitle() -> &'static str {
    "1\n00:00:00,500 --> 00:00:02,500\nGuten Abend.\n\n2\n00:00:03,000 --> 00:00:05,000\nDie Fähre legt gleich ab.\n\n\
     3\n00:00:05,500 --> 00:00:07,500\nHalten Sie sich fest.\n"
}

/// Whether `program` can be run at all; asked once, so that the answer does not come from every file.
pub(super) fn check(program: &str) -> Result<(), DemoError> {
    let status = bare_command(program)
        .arg("-version")
        .stdin(Stdio::null())
        .output();
    status.map(drop).map_err(|source| DemoError::Ffmpeg {
        program: program.to_owned(),
        source,
    })
}
