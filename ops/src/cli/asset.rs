//! `showrunner asset`: the catalogue.
use super::Context;
use crate::database;
use crate::error::{CliError, CliResult, Exit};
use crate::output;
use crate::submit::now;
use async_trait::async_trait;
use coordinator::store::CatalogueRow;
use coordinator::store::handle::Store;
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::wire::report::{RowError, ScanPage, UnitResult};
use protocol::wire::unit::{ScanSource, ScanTask, TaskSpec, Unit};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use worker::task::{PageSink, TaskContext, Tools};

/// Commands of `asset`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Add the rows of a manifest to the catalogue
    Import {
        /// CSV or JSON lines
        manifest: PathBuf,
        /// Check the rows, add nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List the catalogue in id order
    List {
        /// Only assets of this title
        #[arg(long)]
        title: Option<String>,
        /// Assets at most
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Start after this id
        #[arg(long)]
        after: Option<String>,
    },
    /// Everything known about an asset
    Get {
        /// Its id
        asset: String,
    },
}

#[derive(Serialize)]
struct Shown {
    asset: String,
    title: String,
    role: String,
    version: Option<String>,
    language: Option<String>,
    location: String,
    copy: Option<String>,
    bytes: Option<u64>,
    hash: Option<String>,
    verdict: Option<String>,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<serde_json::Value>,
}

impl Shown {
    fn of(row: CatalogueRow, whole: bool) -> Shown {
        let report = row.fact.report.filter(|_| whole).and_then(|text| serde_json::from_str(&text).ok());
        Shown {
            version: row.asset.version().map(str::to_owned),
            language: row.asset.language().map(str::to_owned),
            asset: row.asset.id,
            title: row.asset.title,
            role: row.asset.role.to_string(),
            location: row.asset.location,
            copy: row.fact.location,
            bytes: row.asset.bytes,
            hash: row.asset.hash,
            verdict: row.fact.verdict,
            updated_at: row.updated_at.to_string(),
            report,
        }
    }
}

/// Runs the command.
pub(crate) async fn run(context: Context, command: Command) -> CliResult<Exit> {
    match command {
        Command::Import { manifest, dry_run } => import(&context, &manifest, dry_run).await,
        Command::List { title, limit, after } => {
            let (store, _thread) = database::open_store(&context.settings, false)?;
            let rows = store.read(move |tx| tx.catalogue(title.as_deref(), after.as_deref(), limit)).await?;
            let shown: Vec<Shown> = rows.into_iter().map(|row| Shown::of(row, false)).collect();
            let row = |s: &Shown| {
                let text = |value: &Option<String>| value.clone().unwrap_or_default();
                let size = s.bytes.map(output::bytes).unwrap_or_default();
                vec![s.asset.clone(), s.title.clone(), s.role.clone(), size, text(&s.verdict), text(&s.hash)]
            };
            output::list(context.output, &shown, &["asset", "title", "role", "size", "verdict", "hash"], row, |s| {
                s.asset.clone()
            })?;
            Ok(Exit::Ok)
        }
        Command::Get { asset } => {
            let (store, _thread) = database::open_store(&context.settings, false)?;
            let wanted = asset.clone();
            let row = store.read(move |tx| tx.catalogue_entry(&wanted)).await?;
            let row = row.ok_or_else(|| {
                CliError::new(Exit::NotFound, format!("no asset {asset:?} in the catalogue"))
                    .hint("showrunner asset list")
            })?;
            output::one(context.output, &Shown::of(row, true), words, &asset)?;
            Ok(Exit::Ok)
        }
    }
}

fn words(s: &Shown) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let report = s.report.as_ref().and_then(|r| serde_json::to_string_pretty(r).ok()).unwrap_or_default();
    format!(
        "asset     {}\ntitle     {}\nrole      {}\nversion   {}\nlanguage  {}\nlocation  {}\ncopy      {}\nbytes     {}\nhash      {}\nverdict   {}\nupdated   {}\n{report}\n",
        s.asset,
        s.title,
        s.role,
        text(&s.version),
        text(&s.language),
        s.location,
        text(&s.copy),
        s.bytes.map_or_else(|| "-".into(), |n| n.to_string()),
        text(&s.hash),
        text(&s.verdict),
        s.updated_at
    )
}

/// Writes each page as it comes, so that the manifest is never in memory as a whole.
struct Importer {
    store: Option<Store>,
    errors: Mutex<Vec<RowError>>,
    count: Mutex<u64>,
}

#[async_trait]
impl PageSink for Importer {
    async fn send(&self, page: ScanPage) -> Result<(), Failure> {
        let broken = |what: String| Failure::permanent("catalogue", what);
        let assets: Vec<_> = page.assets.into_iter().map(|(_, asset)| asset).collect();
        let count = assets.len() as u64;
        if let Some(store) = &self.store {
            let imported = store.write(move |tx| tx.import_assets(&assets, now())).await;
            imported.map_err(|e| broken(e.to_string()))?;
        }
        *self.count.lock().map_err(|e| broken(e.to_string()))? += count;
        self.errors.lock().map_err(|e| broken(e.to_string()))?.extend(page.errors);
        Ok(())
    }
}

async fn import(context: &Context, manifest: &std::path::Path, dry_run: bool) -> CliResult<Exit> {
    let path = std::path::absolute(manifest)?;
    let opened = if dry_run { None } else { Some(database::open_store(&context.settings, true)?) };
    let (store, _thread) = opened.unzip();
    let importer = Arc::new(Importer { store, errors: Mutex::default(), count: Mutex::default() });
    let root = path.parent().map_or_else(String::new, |p| p.display().to_string());
    let source = ScanSource::Manifest { path: path.display().to_string() };
    let unit = Unit {
        id: UnitId { job: JobNo(0), step: StepNo::SCAN, part: 0 },
        epoch: 1,
        attempt: 0,
        kind: Kind::Scan,
        task: Arc::new(TaskSpec::Scan(ScanTask { source, root, resume: None, page_assets: 2_000 })),
        assets: Vec::new(),
        deadline: None,
    };
    let task = TaskContext {
        cancel: tokio_util::sync::CancellationToken::new(),
        worker: WorkerId("import".into()),
        pages: Arc::clone(&importer) as Arc<dyn PageSink>,
        bytes: Arc::default(),
        tools: Arc::new(Tools::default()),
    };
    if let UnitResult::Failed(failure) = worker::task::run(&unit, &task).await {
        return Err(CliError::failed(failure.message));
    }
    let errors = std::mem::take(&mut *importer.errors.lock().map_err(|e| CliError::failed(e.to_string()))?);
    for error in &errors {
        let column = error.column.as_ref().map(|c| format!(", column {c}")).unwrap_or_default();
        eprintln!("{}: line {}{column}: {}", manifest.display(), error.line, error.message);
    }
    #[derive(Serialize)]
    struct Imported {
        assets: u64,
        errors: usize,
        dry_run: bool,
    }
    let assets = *importer.count.lock().map_err(|e| CliError::failed(e.to_string()))?;
    let imported = Imported { assets, errors: errors.len(), dry_run };
    let words =
        |i: &Imported| format!("{} assets, {} rows that could not be used\n", output::count(i.assets), i.errors);
    output::one(context.output, &imported, words, "imported")?;
    Ok(if errors.is_empty() { Exit::Ok } else { Exit::Failed })
}
