//! `showrunner asset`: the catalogue.
use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::submit::now;
use crate::target::{Client, Target, pages, server};
use crate::{database, output};
use async_trait::async_trait;
use coordinator::http::endpoint::Nothing;
use coordinator::http::{Import, assets};
use coordinator::query::jobs::{AssetView, AssetsFilter, Tombstone};
use coordinator::store::handle::{Store, StoreThread};
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::wire::report::{RowError, UnitResult};
use protocol::wire::step::TaskSpec;
use protocol::wire::step::scan::{ScanSource, ScanTask};
use protocol::wire::unit::Unit;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use worker::task::{Effect, Effects, TaskContext};

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
        /// Maximum number of assets
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Start after this id
        #[arg(long)]
        after: Option<String>,
    },
    /// Everything known about an asset
    Get {
        /// Id of the asset
        asset: String,
    },
}

/// Runs the command.
pub(crate) fn run(context: Context, command: Command) -> CliResult<Exit> {
    match command {
        Command::Import { manifest, dry_run } => super::block_on(context.output, async move {
            import(&context, &manifest, dry_run).await
        }),
        Command::List {
            title,
            limit,
            after,
        } => {
            let (mut target, mut start) = (Target::open(&context)?, after);
            let page = |limit, after: Option<String>| {
                let filter = AssetsFilter {
                    title: title.clone(),
                    after: after.or_else(|| start.take()),
                    limit,
                };
                target.ask::<assets::List>((), filter)
            };
            let shown = pages(limit, page, |asset| asset.asset.clone())?;
            let row = |s: &AssetView| {
                let text = |value: &Option<String>| value.clone().unwrap_or_default();
                let size = s.bytes.map(output::bytes).unwrap_or_default();
                vec![
                    s.asset.clone(),
                    s.title.clone(),
                    s.role.clone(),
                    size,
                    text(&s.verdict),
                    text(&s.hash),
                ]
            };
            output::list(
                context.output,
                &shown,
                &["asset", "title", "role", "size", "verdict", "hash"],
                row,
                |s| s.asset.clone(),
            )?;
            Ok(Exit::Ok)
        }
        Command::Get { asset } => {
            let found = Target::open(&context)?.ask::<assets::Get>((asset.clone(),), Nothing {})?;
            output::one(context.output, &found, render, &asset)?;
            Ok(Exit::Ok)
        }
    }
}

fn render(s: &AssetView) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let waived: String = s
        .waived
        .iter()
        .map(|w| format!("  {}\n", super::task::waived_line(w)))
        .collect();
    let verdicts: String = s
        .verdicts
        .iter()
        .map(|v| {
            format!(
                "  {}  {:<10} {} by {}\n",
                v.judged_at, v.verdict, v.hash, v.policy
            )
        })
        .collect();
    let report = s
        .report
        .as_ref()
        .and_then(|r| serde_json::to_string_pretty(r).ok())
        .unwrap_or_default();
    let tombstones: String = s.tombstones.iter().map(tombstone).collect();
    format!(
        "asset     {}\ntitle     {}\nrole      {}\nversion   {}\nlanguage  {}\nlocation  {}\ncopy      {}\nbytes     {}\nhash      {}\nverdict   {}\nupdated   {}\n{waived}{verdicts}{tombstones}{report}\n",
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

fn tombstone(t: &Tombstone) -> String {
    let word = match (t.dry_run, t.found_gone) {
        (true, _) => "would be purged",
        (false, true) => "found purged",
        (false, false) => "purged",
    };
    format!(
        "{word}  {} ({}, {}) at {} by job {}, step {}\n          ordered by {}: {}\n          kept in {}, proven by {}\n",
        t.location,
        output::bytes(t.bytes),
        t.hash,
        t.at,
        t.job,
        t.step,
        t.ordered_by,
        t.reason,
        t.copy,
        t.proof
    )
}

/// Destination of an import.
enum Destination {
    /// Nowhere: the rows are only checked.
    Nowhere,
    /// Into the database that the settings name.
    Local(
        Store,
        #[expect(dead_code, reason = "its end closes the database")] StoreThread,
    ),
    /// To a coordinator.
    Remote(Client),
}

/// Writes each page as it comes, so that the manifest is never in memory as a whole.
struct Importer {
    to: Destination,
    errors: Mutex<Vec<RowError>>,
    count: Mutex<u64>,
}

#[async_trait]
impl Effects for Importer {
    async fn send(&self, effect: Effect) -> Result<(), Failure> {
        let Effect::Page { page, .. } = effect else {
            return Err(Failure::permanent(
                "catalogue",
                "an import sends pages only",
            ));
        };
        let broken = |what: String| Failure::permanent("catalogue", what);
        let assets: Vec<_> = page.assets.into_iter().map(|listed| listed.asset).collect();
        *self.count.lock().map_err(|e| broken(e.to_string()))? += assets.len() as u64;
        match &self.to {
            Destination::Nowhere => {}
            Destination::Local(store, _) => {
                let imported = store
                    .write(move |tx| tx.import_assets(&assets, now()))
                    .await;
                imported.map_err(|e| broken(e.to_string()))?;
            }
            Destination::Remote(client) => {
                client
                    .import(&Import { assets })
                    .await
                    .map_err(|e| broken(e.message))?;
            }
        }
        self.errors
            .lock()
            .map_err(|e| broken(e.to_string()))?
            .extend(page.errors);
        Ok(())
    }
}

async fn import(context: &Context, manifest: &std::path::Path, dry_run: bool) -> CliResult<Exit> {
    let path = std::path::absolute(manifest)?;
    let to = match server(context)? {
        _ if dry_run => Destination::Nowhere,
        Some(url) => Destination::Remote(Client::new(url)?),
        None => {
            let (store, thread) = database::open_store(&context.settings, true)?;
            Destination::Local(store, thread)
        }
    };
    let importer = Arc::new(Importer {
        to,
        errors: Mutex::default(),
        count: Mutex::default(),
    });
    let root = path
        .parent()
        .map_or_else(String::new, |p| p.display().to_string());
    let source = ScanSource::Manifest {
        path: path.display().to_string(),
    };
    let unit = Unit {
        id: UnitId::new(JobNo(0), StepNo::SCAN, 0),
        epoch: 1,
        attempt: 0,
        kind: Kind::Scan,
        task: Arc::new(TaskSpec::Scan(ScanTask {
            source,
            root,
            resume: None,
            page_assets: 2_000,
        })),
        assets: Vec::new(),
        deadline: None,
    };
    let task = TaskContext {
        cancel: tokio_util::sync::CancellationToken::new(),
        worker: WorkerId("import".into()),
        effects: Arc::clone(&importer) as Arc<dyn Effects>,
        storage: Arc::default(),
        bytes: Arc::default(),
        tools: Arc::default(),
        rehearsal: Arc::default(),
    };
    if let UnitResult::Failed(failure) = worker::task::run(&unit, &task).await {
        return Err(CliError::failed(failure.message));
    }
    let errors = std::mem::take(
        &mut *importer
            .errors
            .lock()
            .map_err(|e| CliError::failed(e.to_string()))?,
    );
    for error in &errors {
        let column = error
            .column
            .as_ref()
            .map(|c| format!(", column {c}"))
            .unwrap_or_default();
        let place = format!(
            "{}: line {}{column}: {}",
            manifest.display(),
            error.line,
            error.message
        );
        eprintln!("{}", output::text(&place));
    }
    #[derive(Serialize)]
    struct Imported {
        assets: u64,
        errors: usize,
        dry_run: bool,
    }
    let assets = *importer
        .count
        .lock()
        .map_err(|e| CliError::failed(e.to_string()))?;
    let imported = Imported {
        assets,
        errors: errors.len(),
        dry_run,
    };
    let render = |i: &Imported| {
        let (assets, rows) = (
            output::counted(i.assets, "asset"),
            output::counted(i.errors as u64, "row"),
        );
        format!("{assets}, {rows} that could not be used\n")
    };
    output::one(context.output, &imported, render, "imported")?;
    Ok(if errors.is_empty() {
        Exit::Ok
    } else {
        Exit::Failed
    })
}
