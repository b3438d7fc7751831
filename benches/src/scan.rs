//! How fast a scan reads manifests, and in how much memory: `bench scan [ROWS] [PAGE_ASSETS]`.
//!
//! Writes minimal four-column manifests (CSV and JSON lines), scans each into a receiver that counts and forgets, and
//! prints one JSON object per format; then a manifest with one row of 2 GiB, which has to cost no memory. `rss_kib_start` is taken before and `rss_kib_peak` after the scan.
use async_trait::async_trait;
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::scan::{ScanSource, ScanTask};
use protocol::wire::unit::Unit;
use protocol::workflow::file::OnLink;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use worker::step::{Effect, Effects, StepContext, scan};

#[derive(Default)]
struct Counted {
    assets: AtomicU64,
    pages: AtomicU64,
}

#[async_trait]
impl Effects for Counted {
    async fn send(&self, effect: Effect) -> Result<(), Failure> {
        let Effect::Page { page, .. } = effect else {
            return Ok(());
        };
        self.assets
            .fetch_add(page.assets.len() as u64, Ordering::Relaxed);
        self.pages.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Scans manifests of the size that is named.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let mut arguments = arguments.iter();
    let rows: u64 = arguments
        .next()
        .map_or(Ok(2_000_000), |text| text.parse())?;
    let page_assets: u32 = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    for name in ["manifest.csv", "manifest.jsonl"] {
        let path = dir.path().join(name);
        write(&path, rows)?;
        println!("{}", measure(&path, rows, page_assets)?);
    }
    let path = dir.path().join("long.csv");
    write_long(&path)?;
    println!("{}", measure(&path, 1, page_assets)?);
    Ok(())
}

/// One row of 2 GiB, which takes no room on the disk, and a good one after it.
fn write_long(path: &Path) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    writeln!(file, "asset,title,role,location")?;
    file.seek(SeekFrom::Start(2 << 30))?;
    writeln!(file, "\na1,t1,master,a.mov")
}

fn write(path: &Path, rows: u64) -> std::io::Result<()> {
    let csv = path.extension().is_some_and(|extension| extension == "csv");
    let mut file = BufWriter::new(File::create(path)?);
    if csv {
        writeln!(file, "asset,title,role,location")?;
    }
    for n in 0..rows {
        let title = n / 8;
        if csv {
            writeln!(
                file,
                "asset-{n:08},title-{title:07},master,media/title-{title:07}/{n:08}.mov"
            )?;
        } else {
            writeln!(
                file,
                "{{\"asset\":\"asset-{n:08}\",\"title\":\"title-{title:07}\",\"role\":\"master\",\"location\":\"media/title-{title:07}/{n:08}.mov\"}}"
            )?;
        }
    }
    file.flush()
}

fn measure(path: &Path, rows: u64, page_assets: u32) -> Result<serde_json::Value, Box<dyn Error>> {
    let source = ScanSource::Manifest {
        path: path
            .to_str()
            .ok_or("the temporary path is not UTF-8")?
            .to_owned(),
    };
    let task = ScanTask {
        source,
        root: "/library".into(),
        resume: None,
        page_assets,
    };
    let unit = Unit {
        id: UnitId::new(JobNo(1), StepNo::SCAN, 0),
        epoch: 1,
        attempt: 0,
        kind: Kind::Scan,
        task: Arc::new(TaskSpec::Scan(task.clone())),
        assets: Vec::new(),
        deadline: None,
    };
    let counted = Arc::new(Counted::default());
    let context = StepContext {
        cancel: CancellationToken::new(),
        worker: WorkerId("bench".into()),
        effects: counted.clone(),
        storage: Arc::default(),
        bytes: Arc::default(),
        tools: Arc::default(),
        rehearsal: Arc::default(),
    };
    let before = status_kib("VmRSS:")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let started = Instant::now();
    let result = runtime.block_on(scan::run(&task, None, OnLink::Fail, &unit, &context));
    let seconds = started.elapsed().as_secs_f64();
    let assets = counted.assets.load(Ordering::Relaxed);
    if assets != rows || !matches!(result, UnitResult::Listed { .. }) {
        return Err(format!("{assets} of {rows} rows arrived: {result:?}").into());
    }
    Ok(serde_json::json!({
        "bench": "scan",
        "format": path.extension().and_then(|extension| extension.to_str()),
        "rows": rows,
        "pages": counted.pages.load(Ordering::Relaxed),
        "seconds": seconds,
        "rows_per_second": (rows as f64 / seconds).round(),
        "mib_per_second": (std::fs::metadata(path)?.len() as f64 / seconds / 1_048_576.0).round(),
        "rss_kib_start": before,
        "rss_kib_peak": status_kib("VmHWM:")?,
    }))
}

/// A figure of this process from the kernel's own account.
fn status_kib(name: &str) -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .ok_or("the kernel does not tell")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
