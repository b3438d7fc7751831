//! Our transfers to a bucket, within it and from it, with a storage server that already runs.
//!
//! `bench carry STORAGE.yaml s3://BUCKET/PREFIX DIR [big|many|small]...`: makes 1 x 2 GiB, 40 x 64 MiB and 10,000 x
//! 16 KiB of random bytes below DIR and carries them up, across and down again. Prints one JSON line for each: seconds,
//! MB/s, files a second, processor seconds of this process for each GB, and its highest resident memory so far in MiB.
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::model::hash::HashAlgorithm;
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::transfer::TransferTask;
use protocol::wire::unit::Unit;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use storage::Registry;
use storage::settings::StorageSettings;
use worker::step::{Effect, Effects, StepContext};

type Fault = Box<dyn std::error::Error>;

/// Assets of one unit.
const UNIT_ASSETS: usize = 500;
/// Units in flight, as a worker has transfer slots.
const SLOTS: usize = 4;

struct NoPages;

#[async_trait::async_trait]
impl Effects for NoPages {
    async fn send(&self, _effect: Effect) -> Result<(), protocol::failure::Failure> {
        Ok(())
    }
}

struct Load {
    name: &'static str,
    files: usize,
    bytes: usize,
}

const LOADS: [Load; 3] = [
    Load {
        name: "big",
        files: 1,
        bytes: 2 << 30,
    },
    Load {
        name: "many",
        files: 40,
        bytes: 64 << 20,
    },
    Load {
        name: "small",
        files: 10_000,
        bytes: 16 << 10,
    },
];

/// Runs the loads that are named, or all of them.
pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    let mut args = arguments.iter().cloned();
    let usage = "bench carry STORAGE.yaml s3://BUCKET/PREFIX DIR [big|many|small]...";
    let (settings, bucket, dir) = (
        args.next().ok_or(usage)?,
        args.next().ok_or(usage)?,
        args.next().ok_or(usage)?,
    );
    let chosen: Vec<String> = args.collect();
    let text = std::fs::read_to_string(&settings)?;
    let settings =
        StorageSettings::read(&settings, &text).map_err(|problem| problem.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let bench = Bench {
        registry: Arc::new(Registry::new(settings)),
        bucket,
        dir: dir.into(),
    };
    for load in LOADS
        .iter()
        .filter(|load| chosen.is_empty() || chosen.iter().any(|name| name == load.name))
    {
        runtime.block_on(bench.run(load))?;
    }
    Ok(())
}

struct Bench {
    registry: Arc<Registry>,
    bucket: String,
    dir: PathBuf,
}

impl Bench {
    async fn run(&self, load: &Load) -> Result<(), Fault> {
        let source = self.dir.join(load.name);
        make(&source, load)?;
        let (up, across) = (
            format!("{}/{}-up", self.bucket, load.name),
            format!("{}/{}-across", self.bucket, load.name),
        );
        let (from, down) = (
            format!("file:{}", source.display()),
            format!("file:{}-down", source.display()),
        );
        for (leg, from, to) in [
            ("up", &from, &up),
            ("across", &up, &across),
            ("down", &up, &down),
        ] {
            let assets: Vec<Asset> = (0..load.files).map(|n| asset(from, n, load)).collect();
            let (begun, cpu) = (Instant::now(), processor_seconds());
            self.carry(&assets, &format!("{to}/{{path}}")).await?;
            let (seconds, cpu) = (begun.elapsed().as_secs_f64(), processor_seconds() - cpu);
            let bytes = (load.files * load.bytes) as f64;
            let told = serde_json::json!({
                "load": load.name, "leg": leg, "seconds": seconds, "mb_per_second": bytes / 1e6 / seconds,
                "files_per_second": load.files as f64 / seconds, "cpu_seconds_per_gb": cpu / (bytes / 1e9),
                "peak_rss_mib": peak_rss_mib(),
            });
            println!("{told}");
        }
        std::fs::remove_dir_all(&source)?;
        std::fs::remove_dir_all(format!("{}-down", source.display()))?;
        Ok(())
    }

    /// Carries everything in units, several at a time.
    async fn carry(&self, assets: &[Asset], to: &str) -> Result<(), Fault> {
        let units = assets
            .chunks(UNIT_ASSETS.min(assets.len().div_ceil(SLOTS)))
            .map(|assets| Unit {
                id: UnitId::new(JobNo(1), StepNo(0), 1),
                epoch: 1,
                attempt: 0,
                kind: Kind::Transfer,
                task: Arc::new(TaskSpec::Transfer(TransferTask {
                    to: to.to_owned(),
                    verify: Some(HashAlgorithm::Xxh128),
                    hashes: Vec::new(),
                    job: "bench".into(),
                    mhl: false,
                })),
                assets: assets.to_vec(),
                deadline: None,
            });
        let slots = Arc::new(tokio::sync::Semaphore::new(SLOTS));
        let mut running = tokio::task::JoinSet::new();
        for unit in units {
            let (context, slots) = (self.context(), Arc::clone(&slots));
            running.spawn(async move {
                let _slot = slots.acquire_owned().await;
                worker::step::run(&unit, &context).await
            });
        }
        while let Some(result) = running.join_next().await {
            match result? {
                UnitResult::Finished { failures, .. } if failures.is_empty() => {}
                other => return Err(format!("a unit failed: {other:?}").into()),
            }
        }
        Ok(())
    }

    fn context(&self) -> StepContext {
        StepContext {
            cancel: tokio_util::sync::CancellationToken::new(),
            worker: WorkerId("bench".into()),
            effects: Arc::new(NoPages),
            bytes: Arc::default(),
            tools: Arc::default(),
            rehearsal: Arc::default(),
            storage: Arc::clone(&self.registry),
        }
    }
}

fn asset(from: &str, n: usize, load: &Load) -> Asset {
    let path = format!("{n:05}.bin");
    Asset {
        id: path.clone(),
        title: "t".into(),
        role: Role::Master,
        location: format!("{from}/{path}"),
        path,
        bytes: Some(load.bytes as u64),
        hash: None,
        declared: None,
    }
}

fn make(dir: &Path, load: &Load) -> Result<(), Fault> {
    std::fs::create_dir_all(dir)?;
    let mut random = fastrand::Rng::with_seed(4);
    let mut block = vec![0u8; load.bytes.min(1 << 20)];
    for n in 0..load.files {
        let mut file = std::fs::File::create(dir.join(format!("{n:05}.bin")))?;
        for _ in 0..load.bytes / block.len() {
            random.fill(&mut block);
            file.write_all(&block)?;
        }
    }
    Ok(())
}

fn processor_seconds() -> f64 {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    clock.tv_sec as f64 + clock.tv_nsec as f64 / 1e9
}

fn peak_rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| {
        line.trim()
            .trim_end_matches(" kB")
            .trim()
            .parse::<u64>()
            .ok()
    })
    .unwrap_or(0)
        / 1024
}
