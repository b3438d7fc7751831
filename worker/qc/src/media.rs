//! The file under inspection as outside programs get it, and what they may make of it.
//!
//! A program reads one open file, its standard input, by a path that names no directory: a pattern in a name, a neighbour
//! or a relative reference leads nowhere, and nothing that is renamed meanwhile is read instead. Demuxers that open further
//! files (playlists, lists of files, image sequences) or addresses are not among those that may be used.
use protocol::failure::Failure;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat, stat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;

/// Path of a program's standard input. It is opened anew, so that every program reads from the start and may seek.
pub(super) const PATH: &str = "/dev/stdin";
/// The same for ffmpeg.
const INPUT: &str = "file:/dev/stdin";

/// Wrappers of picture and sound in one file, as ffmpeg names their demuxers.
const WRAPPERS: [&str; 21] = [
    "mov",
    "matroska",
    "mxf",
    "gxf",
    "lxf",
    "mpegts",
    "mpeg",
    "avi",
    "asf",
    "flv",
    "rm",
    "ogg",
    "nut",
    "wtv",
    "dv",
    "ivf",
    "obu",
    "yuv4mpegpipe",
    "cine",
    "r3d",
    "smjpeg",
];
/// Picture without a wrapper.
const PICTURE: [&str; 20] = [
    "av1",
    "mpegvideo",
    "h261",
    "h263",
    "h264",
    "hevc",
    "vvc",
    "evc",
    "m4v",
    "mjpeg",
    "mjpeg_2000",
    "dirac",
    "dnxhd",
    "vc1",
    "vc1test",
    "cavsvideo",
    "avs2",
    "avs3",
    "apng",
    "gif",
];
/// Sound in one file.
const SOUND: [&str; 40] = [
    "wav",
    "w64",
    "aiff",
    "caf",
    "au",
    "flac",
    "mp3",
    "aac",
    "ac3",
    "ac4",
    "eac3",
    "dts",
    "dtshd",
    "truehd",
    "mlp",
    "loas",
    "spdif",
    "s337m",
    "amr",
    "amrnb",
    "amrwb",
    "ape",
    "mpc",
    "mpc8",
    "wv",
    "tta",
    "tak",
    "dsf",
    "iff",
    "sox",
    "voc",
    "oma",
    "xwma",
    "shn",
    "qcp",
    "ircam",
    "nistsphere",
    "avr",
    "pvf",
    "iamf",
];
/// Stills by their content; `image2` goes by patterns in names.
const STILLS: [&str; 35] = [
    "bmp_pipe",
    "cri_pipe",
    "dds_pipe",
    "dpx_pipe",
    "exr_pipe",
    "gem_pipe",
    "gif_pipe",
    "hdr_pipe",
    "j2k_pipe",
    "jpeg_pipe",
    "jpegls_pipe",
    "jpegxl_pipe",
    "jpegxl_anim",
    "pam_pipe",
    "pbm_pipe",
    "pcx_pipe",
    "pfm_pipe",
    "pgm_pipe",
    "pgmyuv_pipe",
    "pgx_pipe",
    "phm_pipe",
    "photocd_pipe",
    "pictor_pipe",
    "png_pipe",
    "ppm_pipe",
    "psd_pipe",
    "qdraw_pipe",
    "qoi_pipe",
    "sgi_pipe",
    "sunrast_pipe",
    "svg_pipe",
    "tiff_pipe",
    "webp_pipe",
    "xwd_pipe",
    "fits",
];

static FORMATS: LazyLock<String> = LazyLock::new(|| {
    [&WRAPPERS[..], &PICTURE, &SOUND, &STILLS]
        .concat()
        .join(",")
});

/// Arguments of ffprobe or ffmpeg up to and with its only input.
pub(super) fn arguments(options: &[&str]) -> Vec<String> {
    // QuickTime files are not followed to other files (`enable_drefs`) unless that is asked for.
    let bounds = [
        "-protocol_whitelist",
        "file",
        "-format_whitelist",
        &FORMATS,
        "-i",
        INPUT,
    ];
    options
        .iter()
        .chain(&bounds)
        .map(|word| (*word).to_owned())
        .collect()
}

/// The format that a line of ffprobe or ffmpeg rejects: `[hls @ 0x55] Format not on whitelist 'mov,…'`.
pub(super) fn refused_format(line: &str) -> Option<String> {
    let (component, _) = line.split_once("] Format not on whitelist")?;
    let name = component.trim_start_matches('[').split(" @ ").next()?;
    Some(name.to_owned())
}

/// The message of a program about the media, without the path that it was given.
pub(super) fn message(text: &str) -> &str {
    text.trim()
        .strip_prefix(INPUT)
        .map_or(text.trim(), |rest| rest.trim_start_matches([':', ' ']))
}

fn name_of(path: &Path) -> OsString {
    path.file_name().unwrap_or(OsStr::new("media")).to_owned()
}

/// A regular file, open. Everything that is measured or drawn of it is read from this descriptor.
#[derive(Debug)]
pub struct Media {
    file: File,
    name: OsString,
    bytes: u64,
}

impl Media {
    /// Takes a regular file that its owner has opened; `path` gives its name.
    pub fn new(file: File, path: &Path) -> io::Result<Media> {
        let bytes = file.metadata()?.len();
        Ok(Media {
            file,
            name: name_of(path),
            bytes,
        })
    }

    /// Opens a regular file; `called` is its name in messages. Never waits for a pipe and never opens a device.
    pub fn open(path: &Path, called: &str) -> Result<Media, Failure> {
        let no_file = || Failure::permanent("source_missing", format!("{called} is not a file"));
        let failed = |errno: rustix::io::Errno| match errno {
            rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => Failure::permanent(
                "source_missing",
                format!("{called} is not there: check its location"),
            ),
            errno => Failure::transient(
                "source_unreadable",
                format!("{called}: {}", io::Error::from(errno)),
            ),
        };
        let regular = |mode| FileType::from_raw_mode(mode) == FileType::RegularFile;
        if !regular(stat(path).map_err(failed)?.st_mode) {
            return Err(no_file());
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(openat(CWD, path, flags, Mode::empty()).map_err(failed)?);
        let opened = fstat(&file).map_err(failed)?;
        // Something else may have taken its place since.
        if !regular(opened.st_mode) {
            return Err(no_file());
        }
        Ok(Media {
            file,
            name: name_of(path),
            bytes: u64::try_from(opened.st_size).unwrap_or(0),
        })
    }

    /// The file as a program's standard input.
    pub(super) fn stdin(&self) -> io::Result<Stdio> {
        self.file.try_clone().map(Stdio::from)
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The last component of its name.
    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Its size when it was opened.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_open_further_files_are_not_used() {
        let known: Vec<&str> = FORMATS.split(',').collect();
        let opening = [
            "hls",
            "dash",
            "concat",
            "imf",
            "image2",
            "image2pipe",
            "sdp",
            "rtp",
            "rtsp",
            "sap",
            "vobsub",
            "lavfi",
            "webm_dash_manifest",
            "video4linux2",
            "x11grab",
            "tty",
            "srt",
            "data",
        ];
        assert!(
            opening.iter().all(|name| !known.contains(name)),
            "{known:?}"
        );
        let mut once = known.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), known.len());
    }

    #[test]
    fn refused_format_is_told_by_its_name() {
        let line = "[hls @ 0x56552e11e2c0] Format not on whitelist 'mov,mpegts'";
        assert_eq!(refused_format(line).as_deref(), Some("hls"));
        assert_eq!(refused_format("[mov @ 0x5] moov atom not found"), None);
        assert_eq!(message("file:/dev/stdin: Invalid data"), "Invalid data");
        assert_eq!(message(" moov atom not found "), "moov atom not found");
    }
}
