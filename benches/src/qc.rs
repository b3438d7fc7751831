//! Our one decode beside a plain decode and beside one ffmpeg call for each check, on the same files in the same run.
//!
//! `bench qc [PART] [DIR] [ROUNDS]`, PART being `long` or `library`. `long` makes an H.264 clip in 1080p at about 20 Mb/s and
//! takes it alone and two at once; `library` takes every clip in DIR (default `target/media`, which the test of the whole
//! set makes), as many at once as there are cores. Rounds alternate and begin with another tool each; medians and ratios are
//! printed, and one JSON line. Processor seconds (ours and those of the programs) are printed with the time: other load on the
//! machine changes the time and hardly changes them. Every program decodes with one thread, as ours does.
use ::qc::Tools;
use ::qc::{MediaUnderTest, Verdict, inspect};
use spec::DeliverySpec;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Seconds of the long clip.
const SECONDS: u32 = 40;
/// All checks that one decode measures.
const POLICY: &str = "
spec: everything
qc:
  decode: {}
  truncated: {}
  av_length: { tolerance: 200ms }
  black: { longest: 0.5s }
  freeze: { longest: 1s }
  field_order: { is: progressive }
  levels: { illegal_pixels_max: 1% }
  silence: { longest: 1s, per_channel: true }
  dead_channel: {}
  loudness: { target: -23LUFS }
  true_peak: { max: -1dBTP }
  phase: {}
";
/// One ffmpeg call for each check alone: picture checks without sound, sound checks without picture, levels sampled as ours.
const CALLS: [&[&str]; 9] = [
    &[],
    &["-an", "-vf", "blackdetect=d=0.2"],
    &["-an", "-vf", "freezedetect=d=0.2"],
    &["-an", "-vf", "idet"],
    &[
        "-an",
        "-vf",
        "select='not(mod(n,5))',scale=w=480:h=-2:flags=neighbor,signalstats",
    ],
    &["-vn", "-af", "silencedetect=n=-60dB:d=0.2:m=1"],
    &["-vn", "-af", "ebur128=framelog=verbose"],
    &["-vn", "-af", "ebur128=peak=true:framelog=verbose"],
    &["-vn", "-af", "aphasemeter=video=0:phasing=1"],
];

#[derive(Clone, Copy, PartialEq)]
enum Tool {
    Ours,
    Plain,
    CallPerCheck,
    /// Ours over two files at once; only where there are two.
    OursTwice,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Tool::Ours => "ours",
            Tool::Plain => "plain_decode",
            Tool::CallPerCheck => "call_per_check",
            Tool::OursTwice => "ours_two_at_once",
        }
    }
}

/// Seconds that passed, and seconds of processor time.
#[derive(Clone, Copy)]
struct Measure {
    wall: f64,
    processor: f64,
}

/// Runs the part that is named, or both.
pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    let mut arguments = arguments.iter().cloned();
    let part = arguments.next();
    let library = arguments
        .next()
        .map_or_else(|| PathBuf::from("target/media"), PathBuf::from);
    let rounds = arguments.next().map(|text| text.parse()).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    let mut lines = Vec::new();
    if wanted("long") {
        let dir = tempfile::Builder::new().prefix("bench-qc-").tempdir()?;
        let clips = [
            long_clip(&dir.path().join("a.mp4"))?,
            dir.path().join("b.mp4"),
        ];
        std::fs::copy(&clips[0], &clips[1])?;
        let tools = [Tool::Ours, Tool::Plain, Tool::CallPerCheck, Tool::OursTwice];
        lines.push(race(
            "H.264, 1080p",
            &clips,
            1,
            &tools,
            rounds.unwrap_or(3),
            &runtime,
        )?);
    }
    if wanted("library") {
        let clips = library_clips(&library)?;
        if clips.is_empty() {
            println!(
                "SKIP: no clips in {}: the test of the whole set makes them",
                library.display()
            );
        } else {
            let tools = [Tool::Ours, Tool::Plain, Tool::CallPerCheck];
            let cores = std::thread::available_parallelism()?.get();
            lines.push(race(
                "library",
                &clips,
                cores,
                &tools,
                rounds.unwrap_or(1),
                &runtime,
            )?);
        }
    }
    println!("{}", serde_json::Value::Array(lines));
    Ok(())
}

/// A moving picture with noise, which costs as much to decode as camera material.
fn long_clip(path: &Path) -> Result<PathBuf, Fault> {
    let picture = format!(
        "testsrc2=s=1920x1080:r=25:d={SECONDS},noise=alls=6:allf=t:all_seed=7,setparams=range=tv"
    );
    let sound = format!(
        "aevalsrc='0.07*sin(2*PI*1000*t)|0.07*sin(2*PI*1000*t)':s=48000:d={SECONDS}:c=stereo"
    );
    let status = Command::new("ffmpeg")
        .args([
            "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i",
            &sound,
        ])
        .args([
            "-c:v", "libx264", "-preset", "veryfast", "-b:v", "20M", "-pix_fmt", "yuv420p", "-c:a",
            "aac",
        ])
        .arg(path)
        .status()?;
    if status.success() {
        Ok(path.to_owned())
    } else {
        Err("the long clip could not be made".into())
    }
}

/// Every file except the list of planted faults.
fn library_clips(directory: &Path) -> Result<Vec<PathBuf>, Fault> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Ok(Vec::new());
    };
    let mut clips: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    clips.retain(|clip| {
        clip.extension()
            .is_some_and(|extension| extension != "json")
    });
    clips.sort();
    Ok(clips)
}

/// Runs every tool over the clips in turns and prints what it took. All but the last tool of a lone clip take `at_once` files
/// at a time.
fn race(
    name: &str,
    clips: &[PathBuf],
    at_once: usize,
    tools: &[Tool],
    rounds: usize,
    runtime: &tokio::runtime::Runtime,
) -> Result<serde_json::Value, Fault> {
    let alone = tools.contains(&Tool::OursTwice);
    let bytes = clips
        .iter()
        .map(|clip| Ok(std::fs::metadata(clip)?.len()))
        .sum::<std::io::Result<u64>>()?;
    let size = bytes as f64 / 1e6;
    println!(
        "{name}: {} files, {size:.0} MB, {at_once} at once, {rounds} rounds",
        clips.len()
    );
    let mut measures = vec![Vec::new(); tools.len()];
    for round in 0..rounds {
        for turn in 0..tools.len() {
            let index = (round + turn) % tools.len();
            let tool = tools[index];
            let (files, width) = match tool {
                Tool::OursTwice => (clips, clips.len()),
                _ if alone => (&clips[..1], 1),
                _ => (clips, at_once),
            };
            // What is measured is the work and not the disk.
            files
                .iter()
                .try_for_each(|file| std::fs::read(file).map(drop))?;
            let (begun, spent) = (Instant::now(), processor_seconds()?);
            runtime.block_on(all(tool, files, width))?;
            let measure = Measure {
                wall: begun.elapsed().as_secs_f64(),
                processor: processor_seconds()? - spent,
            };
            measures[index].push(measure);
        }
    }
    Ok(report(name, tools, &measures))
}

/// Takes every file, `width` at a time.
async fn all(tool: Tool, files: &[PathBuf], width: usize) -> Result<(), Fault> {
    let slots = Arc::new(tokio::sync::Semaphore::new(width));
    let spec: Arc<DeliverySpec> =
        Arc::new(protocol::yaml::read("policy", POLICY).map_err(|e| e.to_string())?);
    let mut running = tokio::task::JoinSet::new();
    for file in files {
        let slot = Arc::clone(&slots).acquire_owned().await?;
        let (file, spec) = (file.clone(), Arc::clone(&spec));
        running.spawn(async move {
            let _slot = slot;
            match tool {
                Tool::Ours | Tool::OursTwice => ours(&file, &spec).await,
                Tool::Plain => tokio::task::spawn_blocking(move || decode(&file, &[])).await?,
                Tool::CallPerCheck => {
                    tokio::task::spawn_blocking(move || {
                        CALLS.iter().try_for_each(|call| decode(&file, call))
                    })
                    .await?
                }
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

async fn ours(file: &Path, spec: &DeliverySpec) -> Result<(), Fault> {
    let (subject, tools, cancel) = (
        MediaUnderTest::bare(file),
        Tools::default(),
        CancellationToken::new(),
    );
    let report = inspect(file, &subject, spec, &tools, &cancel)
        .await
        .map_err(|failure| failure.message)?;
    // A clip that is good must have been measured in full, or the time says nothing.
    let good = file
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("good"));
    if good && report.verdict == Verdict::ToolError {
        return Err(format!("{}: {}", file.display(), report.summary()).into());
    }
    Ok(())
}

/// One run of ffmpeg without output, at the priority of ours. Broken clips make it fail, which is ignored.
fn decode(file: &Path, filters: &[&str]) -> Result<(), Fault> {
    Command::new("nice")
        .args([
            "-n", "10", "ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-i",
        ])
        .arg(file)
        .args(filters)
        .args(["-f", "null", "-"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(())
}

/// User and system time of this process and its ended children: fields 14 to 17 of `/proc/self/stat`, in 1/100 s.
fn processor_seconds() -> Result<f64, Fault> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or("");
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(ticks as f64 / 100.0)
}

fn report(name: &str, tools: &[Tool], measures: &[Vec<Measure>]) -> serde_json::Value {
    let median = |wanted: Tool, value: fn(&Measure) -> f64| {
        let index = tools.iter().position(|tool| *tool == wanted)?;
        let mut values: Vec<f64> = measures[index].iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    for (tool, measures) in tools.iter().zip(measures) {
        let each: Vec<String> = measures
            .iter()
            .map(|m| format!("{:.2}/{:.2}", m.wall, m.processor))
            .collect();
        let (wall, processor) = (median(*tool, |m| m.wall), median(*tool, |m| m.processor));
        let (wall, processor) = (wall.unwrap_or(0.0), processor.unwrap_or(0.0));
        println!(
            "  {:<17} {wall:>7.2} s  {processor:>7.2} cpu-s  [{}]",
            tool.name(),
            each.join(" ")
        );
    }
    let ratio = |over: Tool, under: Tool, value: fn(&Measure) -> f64| {
        Some((median(over, value)? / median(under, value)? * 1000.0).round() / 1000.0)
    };
    let over_plain = ratio(Tool::Ours, Tool::Plain, |m| m.wall);
    let over_plain_cpu = ratio(Tool::Ours, Tool::Plain, |m| m.processor);
    let faster = ratio(Tool::CallPerCheck, Tool::Ours, |m| m.wall);
    let faster_cpu = ratio(Tool::CallPerCheck, Tool::Ours, |m| m.processor);
    let twice = ratio(Tool::Ours, Tool::OursTwice, |m| m.wall).map(|share| share * 2.0);
    let told = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
    println!(
        "  over a plain decode {} (processor {})",
        told(over_plain),
        told(over_plain_cpu)
    );
    println!(
        "  faster than a call for each check by {} (processor {})",
        told(faster),
        told(faster_cpu)
    );
    println!(
        "  two files at once do {} times the work of one",
        told(twice)
    );
    serde_json::json!({
        "workload": name,
        "ours_over_plain": over_plain, "ours_over_plain_processor": over_plain_cpu,
        "call_per_check_over_ours": faster, "call_per_check_over_ours_processor": faster_cpu,
        "two_at_once_over_one": twice,
    })
}
