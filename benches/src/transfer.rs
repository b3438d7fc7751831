//! Our transfer beside `cp -r` and `rsync -a --checksum`, on the same files in the same run.
//!
//! `bench-transfer [DIR] [ROUNDS]`: makes 1 x 2 GiB and 10,000 x 16 KiB of random bytes below DIR (default: the temp
//! directory), copies them in alternating rounds and prints medians, ratios and one JSON line. `cp` and `rsync` never
//! wait for the disk, so ours runs twice: without waiting, which compares engines, and durable, which compares with
//! `cp` followed by a `sync` of the filesystem.
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::wire::report::{ScanPage, UnitResult};
use protocol::wire::unit::{HashAlgorithm, TaskSpec, TransferTask, Unit};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;
use worker::storage::Durability;
use worker::task::transfer::{Settings, run_with};
use worker::task::{PageSink, TaskContext, Tools};

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
impl PageSink for NoPages {
    async fn send(&self, _page: ScanPage) -> Result<(), protocol::failure::Failure> {
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
    const ALL: [Tool; 5] = [Tool::Ours, Tool::Cp, Tool::OursDurable, Tool::CpThenSync, Tool::Rsync];

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

fn main() -> Result<(), Fault> {
    let mut arguments = std::env::args().skip(1);
    let base = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let dir = tempfile::Builder::new().prefix("bench-transfer-").tempdir_in(base)?;
    let (big, small) = (dir.path().join("big"), dir.path().join("small"));
    make(&big, 1, BIG_BYTES)?;
    make(&small, SMALL_FILES, SMALL_BYTES)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut lines = Vec::new();
    for (name, source, bytes) in [("big", &big, BIG_BYTES), ("small", &small, SMALL_FILES * SMALL_BYTES)] {
        let mut seconds = vec![Vec::new(); Tool::ALL.len()];
        for _ in 0..rounds {
            for (tool, times) in Tool::ALL.into_iter().zip(&mut seconds) {
                times.push(measure(tool, source, &dir.path().join("out"), &runtime)?);
            }
        }
        lines.push(report(name, bytes, &seconds));
    }
    println!("{}", serde_json::json!({ "rounds": rounds, "workloads": lines }));
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

/// Seconds of one copy. What earlier copies left to be written is written before the clock starts.
fn measure(tool: Tool, source: &Path, out: &Path, runtime: &tokio::runtime::Runtime) -> Result<f64, Fault> {
    if out.exists() {
        std::fs::remove_dir_all(out)?;
    }
    sync_filesystem(source)?;
    for entry in std::fs::read_dir(source)? {
        std::io::copy(&mut File::open(entry?.path())?, &mut std::io::sink())?;
    }
    let begun = Instant::now();
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
            program(Command::new("rsync").args(["-a", "--checksum"]).arg(from).arg(out))?;
        }
    }
    Ok(begun.elapsed().as_secs_f64())
}

fn sync_filesystem(path: &Path) -> Result<(), Fault> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

fn program(command: &mut Command) -> Result<(), Fault> {
    let status = command.stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

fn ours(source: &Path, out: &Path, durability: Durability, runtime: &tokio::runtime::Runtime) -> Result<(), Fault> {
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
    let context = TaskContext {
        cancel: tokio_util::sync::CancellationToken::new(),
        worker: WorkerId("bench".into()),
        pages: Arc::new(NoPages),
        bytes: Arc::default(),
        tools: Arc::new(Tools::default()),
    };
    let settings = Settings { durability, ..Settings::default() };
    let units: Vec<Unit> = names.chunks(UNIT_ASSETS).map(|names| unit(&task, source, names)).collect();
    runtime.block_on(async {
        let slots = Arc::new(tokio::sync::Semaphore::new(SLOTS));
        let mut running = tokio::task::JoinSet::new();
        for unit in units {
            let slot = Arc::clone(&slots).acquire_owned().await?;
            let (task, context) = (task.clone(), context.clone());
            running.spawn(async move {
                let result = run_with(&task, &unit, &context, settings).await;
                drop(slot);
                (unit.assets.len(), result)
            });
        }
        while let Some(ended) = running.join_next().await {
            match ended? {
                (assets, UnitResult::Finished { facts, failures }) if failures.is_empty() && facts.len() == assets => {}
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
        id: UnitId { job: JobNo(1), step: StepNo(0), part: 1 },
        epoch: 1,
        attempt: 0,
        kind: Kind::Transfer,
        task: Arc::new(TaskSpec::Transfer(task.clone())),
        assets: names.iter().map(asset).collect(),
        deadline: None,
    }
}

fn report(workload: &str, bytes: usize, seconds: &[Vec<f64>]) -> serde_json::Value {
    let median = |wanted: Tool| {
        let index = Tool::ALL.iter().position(|tool| *tool == wanted).unwrap_or(0);
        let mut times = seconds[index].clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let ratio = |tool: Tool, other: Tool| (median(tool) / median(other) * 100.0).round() / 100.0;
    println!("{workload}: {:.2} GB", bytes as f64 / 1e9);
    for (tool, times) in Tool::ALL.into_iter().zip(seconds) {
        let each: Vec<String> = times.iter().map(|s| format!("{s:.2}")).collect();
        let rate = bytes as f64 / 1e6 / median(tool);
        println!("  {:<15} {:>7.2} s  {rate:>7.0} MB/s  [{}]", tool.name(), median(tool), each.join(" "));
    }
    let medians: serde_json::Map<String, serde_json::Value> =
        Tool::ALL.into_iter().map(|tool| (tool.name().to_owned(), median(tool).into())).collect();
    serde_json::json!({
        "workload": workload,
        "bytes": bytes,
        "median_seconds": medians,
        "ours_over_cp": ratio(Tool::Ours, Tool::Cp),
        "ours_over_rsync": ratio(Tool::Ours, Tool::Rsync),
        "durable_over_cp_then_sync": ratio(Tool::OursDurable, Tool::CpThenSync),
        "fsync_seconds": median(Tool::OursDurable) - median(Tool::Ours),
    })
}
