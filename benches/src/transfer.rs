//! Our transfer beside `cp -r` and `rsync -a --checksum`, on the same files in the same run.
//!
//! `bench transfer [DIR] [ROUNDS] [big|small]`: makes 1 x 2 GiB and 10,000 x 16 KiB of random bytes below DIR (default:
//! the temp directory), copies them in alternating rounds, each beginning with another tool, and prints medians, ratios
//! and one JSON line. `cp` and `rsync` never wait for the disk, so ours runs twice: without waiting, which compares
//! engines, and durable, which compares with `cp` followed by a `sync` of the filesystem. Processor seconds (user and
//! system, of ours or of the program) are printed beside the time, since other load changes the one and not the other.
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::model::hash::HashAlgorithm;
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::transfer::TransferTask;
use protocol::wire::unit::Unit;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;
use storage::Durability;
use worker::step::transfer::{Request, Settings, run_with};
use worker::step::{Effect, Effects, StepContext};

type Fault = Box<dyn std::error::Error>;

const BIG_BYTES: usize = 2 << 30;
const SMALL_FILES: usize = 10_000;
const SMALL_BYTES: usize = 16 << 10;
/// Assets of one unit, as the partition rule cuts them by default.
const UNIT_ASSETS: usize = 100;
/// Units in flight, as a worker has transfer slots.
const SLOTS: usize = 8;

struct NoPages;

#[async_trait::async_trait]
impl Effects for NoPages {
    async fn send(&self, _effect: Effect) -> Result<(), protocol::failure::Failure> {
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Tool {
    Ours,
    OursDurable,
    Cp,
    CpThenSync,
    Rsync,
}

impl Tool {
    const ALL: [Tool; 5] = [
        Tool::Ours,
        Tool::Cp,
        Tool::OursDurable,
        Tool::CpThenSync,
        Tool::Rsync,
    ];

    fn name(self) -> &'static str {
        match self {
            Tool::Ours => "ours",
            Tool::OursDurable => "ours_durable",
            Tool::Cp => "cp",
            Tool::CpThenSync => "cp_then_sync",
            Tool::Rsync => "rsync_checksum",
        }
    }
}

/// Runs the workload that is named, or both.
pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    let mut arguments = arguments.iter().cloned();
    let base = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let dir = tempfile::Builder::new()
        .prefix("bench-transfer-")
        .tempdir_in(base)?;
    let only = arguments.next();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut lines = Vec::new();
    for (name, files, bytes) in [("big", 1, BIG_BYTES), ("small", SMALL_FILES, SMALL_BYTES)] {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let source = dir.path().join(name);
        make(&source, files, bytes)?;
        let mut measures = vec![Vec::new(); Tool::ALL.len()];
        for round in 0..rounds {
            for turn in 0..Tool::ALL.len() {
                let index = (round + turn) % Tool::ALL.len();
                let out = dir.path().join(format!("{name}-{round}-{turn}"));
                measures[index].push(measure(Tool::ALL[index], &source, &out, &runtime)?);
                // Large copies would fill the disk. Small ones stay: ext4 does not use the inodes of files deleted in
                // the last minutes, and looks at each of them again for every file it creates.
                if files == 1 {
                    std::fs::remove_dir_all(&out)?;
                }
            }
        }
        lines.push(report(name, files * bytes, &measures));
    }
    println!(
        "{}",
        serde_json::json!({ "rounds": rounds, "workloads": lines })
    );
    Ok(())
}

fn make(directory: &Path, files: usize, bytes: usize) -> Result<(), Fault> {
    std::fs::create_dir_all(directory)?;
    let mut random = fastrand::Rng::with_seed(7);
    let mut block = vec![0u8; bytes.min(1 << 20)];
    for index in 0..files {
        let mut file = File::create(directory.join(format!("asset-{index:05}.bin")))?;
        for _ in 0..bytes / block.len() {
            random.fill(&mut block);
            file.write_all(&block)?;
        }
    }
    Ok(())
}

/// Seconds that passed, and seconds of processor time.
#[derive(Clone, Copy)]
struct Measure {
    wall: f64,
    processor: f64,
}

/// One copy. What earlier copies left to be written is written before the clock starts.
fn measure(
    tool: Tool,
    source: &Path,
    out: &Path,
    runtime: &tokio::runtime::Runtime,
) -> Result<Measure, Fault> {
    sync_filesystem(source)?;
    for entry in std::fs::read_dir(source)? {
        std::io::copy(&mut File::open(entry?.path())?, &mut std::io::sink())?;
    }
    prepare_memory(source)?;
    let (begun, spent) = (Instant::now(), processor_seconds()?);
    match tool {
        Tool::Ours => ours(source, out, Durability::PageCache, runtime)?,
        Tool::OursDurable => ours(source, out, Durability::PowerLoss, runtime)?,
        Tool::Cp => program(Command::new("cp").arg("-r").arg(source).arg(out))?,
        Tool::CpThenSync => {
            program(Command::new("cp").arg("-r").arg(source).arg(out))?;
            sync_filesystem(out)?;
        }
        Tool::Rsync => {
            let from = format!("{}/", source.display());
            program(
                Command::new("rsync")
                    .args(["-a", "--checksum"])
                    .arg(from)
                    .arg(out),
            )?;
        }
    }
    Ok(Measure {
        wall: begun.elapsed().as_secs_f64(),
        processor: processor_seconds()? - spent,
    })
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

/// Makes the machine own as many free pages as a copy needs. A virtual machine gets memory when it is first touched and
/// may give freed memory back within seconds: without this, whoever copies first pays several times the copy for it.
fn prepare_memory(source: &Path) -> Result<(), Fault> {
    let scratch = source.with_extension("scratch");
    let mut file = File::create(&scratch)?;
    let block = vec![1u8; 1 << 20];
    for _ in 0..BIG_BYTES / block.len() {
        file.write_all(&block)?;
    }
    Ok(std::fs::remove_file(&scratch)?)
}

fn sync_filesystem(path: &Path) -> Result<(), Fault> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

fn program(command: &mut Command) -> Result<(), Fault> {
    let status = command.stdout(Stdio::null()).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} ended with {status}").into())
    }
}

fn ours(
    source: &Path,
    out: &Path,
    durability: Durability,
    runtime: &tokio::runtime::Runtime,
) -> Result<(), Fault> {
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(source)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    let task = TransferTask {
        to: format!("file:{}/{{path}}", out.display()),
        verify: Some(HashAlgorithm::Xxh128),
        hashes: Vec::new(),
        job: "bench".into(),
        mhl: false,
    };
    let context = StepContext {
        cancel: tokio_util::sync::CancellationToken::new(),
        worker: WorkerId("bench".into()),
        effects: Arc::new(NoPages),
        storage: Arc::default(),
        bytes: Arc::default(),
        tools: Arc::default(),
        rehearsal: Arc::default(),
    };
    let settings = Settings {
        durability,
        ..Settings::default()
    };
    let units: Vec<Unit> = names
        .chunks(UNIT_ASSETS)
        .map(|names| unit(&task, source, names))
        .collect();
    runtime.block_on(async {
        let slots = Arc::new(tokio::sync::Semaphore::new(SLOTS));
        let mut running = tokio::task::JoinSet::new();
        for unit in units {
            let slot = Arc::clone(&slots).acquire_owned().await?;
            let (task, context) = (task.clone(), context.clone());
            running.spawn(async move {
                let result = run_with(Request::Copy(&task), &unit, &context, settings).await;
                drop(slot);
                (unit.assets.len(), result)
            });
        }
        while let Some(ended) = running.join_next().await {
            match ended? {
                (assets, UnitResult::Finished { facts, failures })
                    if failures.is_empty() && facts.len() == assets => {}
                (_, other) => return Err(format!("a transfer failed: {other:?}").into()),
            }
        }
        Ok(())
    })
}

fn unit(task: &TransferTask, source: &Path, names: &[String]) -> Unit {
    let asset = |name: &String| Asset {
        id: name.clone(),
        title: "t".into(),
        role: Role::Master,
        location: format!("file:{}/{name}", source.display()),
        path: name.clone(),
        bytes: None,
        hash: None,
        declared: None,
    };
    Unit {
        id: UnitId::new(JobNo(1), StepNo(0), 1),
        epoch: 1,
        attempt: 0,
        kind: Kind::Transfer,
        task: Arc::new(TaskSpec::Transfer(task.clone())),
        assets: names.iter().map(asset).collect(),
        deadline: None,
    }
}

fn report(workload: &str, bytes: usize, measures: &[Vec<Measure>]) -> serde_json::Value {
    let median = |wanted: Tool, value: fn(&Measure) -> f64| {
        let index = Tool::ALL
            .iter()
            .position(|tool| *tool == wanted)
            .unwrap_or(0);
        let mut values: Vec<f64> = measures[index].iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let wall = |tool: Tool| median(tool, |measure| measure.wall);
    let ratio = |tool: Tool, other: Tool| (wall(tool) / wall(other) * 100.0).round() / 100.0;
    println!("{workload}: {:.2} GB", bytes as f64 / 1e9);
    let (mut medians, mut processor) = (serde_json::Map::new(), serde_json::Map::new());
    for (tool, measures) in Tool::ALL.into_iter().zip(measures) {
        let each: Vec<String> = measures.iter().map(|m| format!("{:.2}", m.wall)).collect();
        let (seconds, spent) = (wall(tool), median(tool, |measure| measure.processor));
        let rate = bytes as f64 / 1e6 / seconds;
        let name = tool.name();
        println!(
            "  {name:<15} {seconds:>6.2} s  {spent:>5.2} cpu-s  {rate:>5.0} MB/s  [{}]",
            each.join(" ")
        );
        medians.insert(name.to_owned(), seconds.into());
        processor.insert(name.to_owned(), spent.into());
    }
    serde_json::json!({
        "workload": workload,
        "bytes": bytes,
        "median_seconds": medians,
        "processor_seconds": processor,
        "ours_over_cp": ratio(Tool::Ours, Tool::Cp),
        "ours_over_rsync": ratio(Tool::Ours, Tool::Rsync),
        "durable_over_cp_then_sync": ratio(Tool::OursDurable, Tool::CpThenSync),
        "fsync_seconds": wall(Tool::OursDurable) - wall(Tool::Ours),
    })
}
