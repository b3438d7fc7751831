//! Small media with planted faults: what is wrong with each is known because it was made so.
use ::qc::Tools;
use ::qc::{Finding, MediaUnderTest, Report};
use ::storage::hash::hash_bytes;
use protocol::media::asset::Role;
use protocol::model::hash::HashAlgorithm;
use spec::DeliverySpec;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio_util::sync::CancellationToken;

/// Seconds of every clip unless its filters say otherwise.
pub(super) const SECONDS: f64 = 4.0;
/// A picture that moves in every frame, within legal levels. Blurred, since fine patterns this small look like fields.
pub(super) const MOVING: &str = "testsrc2=s=320x180:r=25:d=4,gblur=sigma=2.5";
/// A tone of -23 LUFS in stereo (EBU Tech 3341, case 1).
pub(super) const TONE: &str =
    "aevalsrc='0.0707946*sin(2*PI*1000*t)|0.0707946*sin(2*PI*1000*t)':s=48000:d=4:c=stereo";
const COLOUR: &str = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709";
pub(super) const H264: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-crf",
    "22",
    "-pix_fmt",
    "yuv420p",
];
pub(super) const MPEG2: &[&str] = &["-c:v", "mpeg2video", "-pix_fmt", "yuv420p", "-q:v", "2"];
pub(super) const PCM: &[&str] = &["-c:a", "pcm_s16le"];
pub(super) const AAC: &[&str] = &["-c:a", "aac", "-b:a", "128k"];

/// What the clean clips satisfy.
pub(super) const POLICY: &str = "
spec: small
components:
  - role: master
    video: { codec: [h264, mpeg2video], width: 320, height: 180, frame_rate: 25, field_order: progressive, range: tv }
    channels: 2
    sample_rate: 48000
qc:
  container: { any: [mov, mp4, mxf, matroska] }
  decode: {}
  av_length: { tolerance: 200ms }
  black: { longest: 0.5s }
  freeze: { longest: 1s }
  silence: { longest: 1s, per_channel: true }
  loudness: { target: -23LUFS }
  true_peak: { max: -1dBTP }
  phase: {}
  levels: { illegal_pixels_max: 1% }
";

/// A directory of clips.
pub(super) struct Studio(tempfile::TempDir);

impl Studio {
    pub(super) fn new() -> Studio {
        Studio(tempfile::tempdir().expect("a directory"))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a clip from a picture and a sound source.
    pub(super) fn clip(
        &self,
        name: &str,
        picture: &str,
        sound: &str,
        options: &[&[&str]],
    ) -> PathBuf {
        let picture = format!("{picture},{COLOUR}");
        let inputs = [
            "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", sound, "-map", "0:v", "-map", "1:a",
        ];
        self.ffmpeg(
            name,
            &[
                &inputs,
                options.concat().as_slice(),
                &["-color_range", "tv", "-colorspace", "bt709"],
            ]
            .concat(),
        )
    }

    /// A clean clip in H.264 and AAC.
    pub(super) fn clean(&self, name: &str) -> PathBuf {
        self.clip(name, MOVING, TONE, &[H264, AAC])
    }

    /// Runs ffmpeg with arguments of its own, or copies what the same program has made of the same arguments before.
    pub(super) fn ffmpeg(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let path = self.path(name);
        let kept = self.kept(name, arguments);
        if kept
            .as_ref()
            .is_some_and(|kept| std::fs::copy(kept, &path).is_ok())
        {
            return path;
        }
        let ended = Command::new("ffmpeg")
            .args([
                "-hide_banner",
                "-nostdin",
                "-v",
                "error",
                "-y",
                "-threads",
                "1",
            ])
            .args(arguments)
            .arg(format!("file:{}", path.display()))
            .output()
            .expect("ffmpeg runs");
        assert!(
            ended.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&ended.stderr)
        );
        if let Some(kept) = kept {
            keep(&path, &kept);
        }
        path
    }

    /// Where a clip is kept between runs; its name is the hash of everything that it depends on. Clips made of files of
    /// this directory are not kept.
    fn kept(&self, name: &str, arguments: &[&str]) -> Option<PathBuf> {
        let here = self.0.path().to_str()?;
        if arguments.iter().any(|argument| argument.contains(here)) {
            return None;
        }
        let path = std::env::var_os("PATH")?;
        let program = std::env::split_paths(&path)
            .map(|dir| dir.join("ffmpeg"))
            .find(|path| path.is_file())?;
        let program = program.metadata().ok()?;
        let (_, extension) = name.rsplit_once('.')?;
        let from = format!(
            "{} {} {extension} {arguments:?}",
            program.len(),
            program.mtime()
        );
        let hash = hash_bytes(HashAlgorithm::Xxh128, from.as_bytes()).to_string();
        let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kit/clips");
        Some(clips.join(format!("{}.{extension}", hash.rsplit(':').next()?)))
    }

    /// A copy that ends after a share of its bytes.
    pub(super) fn cut(&self, from: &Path, name: &str, share: f64) -> PathBuf {
        let bytes = std::fs::read(from).expect("read");
        let path = self.path(name);
        std::fs::write(&path, &bytes[..(bytes.len() as f64 * share) as usize]).expect("written");
        path
    }

    /// A copy with holes of noise in its middle.
    pub(super) fn spoil(&self, from: &Path, name: &str) -> PathBuf {
        let mut bytes = std::fs::read(from).expect("read");
        for hole in 0..12 {
            let at = bytes.len() * (40 + hole * 2) / 100;
            for (n, byte) in bytes.iter_mut().skip(at).take(200).enumerate() {
                *byte = (n * 151 + hole * 7 + 13) as u8;
            }
        }
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}

/// Keeps a copy of a clip. It gets its name when it is complete: other tests look for it at any moment.
fn keep(clip: &Path, kept: &Path) {
    let open_upload = kept.with_extension(format!("{:08x}", fastrand::u32(..)));
    let kept_now = kept.parent().map_or(Ok(()), std::fs::create_dir_all);
    let kept_now = kept_now
        .and_then(|()| std::fs::copy(clip, &open_upload))
        .and_then(|_| std::fs::rename(&open_upload, kept));
    if kept_now.is_err() {
        // Without it the clip is made again by the next test.
        std::fs::remove_file(&open_upload).ok();
    }
}

pub(super) fn spec(source: &str) -> DeliverySpec {
    protocol::yaml::read("spec.yaml", source).unwrap_or_else(|problem| panic!("{problem}"))
}

/// The spec of clean clips with one text replaced.
pub(super) fn spec_with(from: &str, to: &str) -> DeliverySpec {
    assert!(POLICY.contains(from), "{from}");
    spec(&POLICY.replace(from, to))
}

pub(super) async fn inspect(path: &Path, spec: &DeliverySpec) -> Report {
    let subject = MediaUnderTest {
        role: Some(Role::Master),
        ..MediaUnderTest::bare(path)
    };
    inspect_as(path, &subject, spec).await
}

pub(super) async fn inspect_as(
    path: &Path,
    subject: &MediaUnderTest,
    spec: &DeliverySpec,
) -> Report {
    ::qc::inspect(
        path,
        subject,
        spec,
        &Tools::default(),
        &CancellationToken::new(),
    )
    .await
    .expect("the tools work")
}

/// The ids found, each once.
pub(super) fn ids(report: &Report) -> Vec<&str> {
    let mut ids: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| finding.check.as_str())
        .collect();
    ids.dedup();
    ids
}

/// The one finding of a check.
pub(super) fn the<'a>(report: &'a Report, check: &str) -> &'a Finding {
    let mut found = report
        .findings
        .iter()
        .filter(|finding| finding.check == check);
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no {check} in {report:?}"));
    assert!(found.next().is_none(), "several {check} in {report:?}");
    first
}

/// Whether a finding's only range is this one, to within two frames.
pub(super) fn is_at(finding: &Finding, start: f64, end: f64) -> bool {
    let near = |is: f64, want: f64| (is - want).abs() <= 0.081;
    matches!(finding.ranges.as_slice(), [[a, b]] if near(*a, start) && near(*b, end))
}
