//! `showrunner asset import`: reads a manifest as a scan does and writes its rows into the catalogue.
use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::submit::now;
use crate::target::{Client, server};
use crate::{database, output};
use async_trait::async_trait;
use coordinator::http::Import;
use coordinator::store::handle::{Store, StoreThread};
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::wire::report::{RowError, UnitResult};
use protocol::wire::step::TaskSpec;
use protocol::wire::step::scan::{ScanSource, ScanTask};
use protocol::wire::unit::Unit;
use serde::Serialize;
use std::path::Path;
use std::sync::{Arc, Mutex};
use worker::step::{Effect, Effects, StepContext};

/// Result of an import.
#[derive(Serialize)]
struct Imported {
    assets: u64,
    errors: usize,
    dry_run: bool,
}

/// Imports a manifest, and prints the rows that cannot be used.
pub(super) async fn import(context: &Context, manifest: &Path, dry_run: bool) -> CliResult<Exit> {
    let path = std::path::absolute(manifest)?;
    let importer = Arc::new(Importer {
        to: destination(context, dry_run)?,
        errors: Mutex::default(),
        count: Mutex::default(),
    });
    let task = StepContext {
        cancel: tokio_util::sync::CancellationToken::new(),
        worker: WorkerId("import".into()),
        effects: Arc::clone(&importer) as Arc<dyn Effects>,
        storage: Arc::default(),
        bytes: Arc::default(),
        tools: Arc::default(),
        rehearsal: Arc::default(),
    };
    if let UnitResult::Failed(failure) = worker::step::run(&scan_of(&path), &task).await {
        return Err(CliError::failed(failure.message));
    }
    let poisoned = |what: String| CliError::failed(what);
    let errors = importer
        .errors
        .lock()
        .map_err(|e| poisoned(e.to_string()))?;
    for error in errors.iter() {
        eprintln!("{}", output::text(&row_error(manifest, error)));
    }
    let imported = Imported {
        assets: *importer.count.lock().map_err(|e| poisoned(e.to_string()))?,
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

/// Where the rows go: the coordinator or the database that the settings name, or nowhere.
fn destination(context: &Context, dry_run: bool) -> CliResult<Destination> {
    Ok(match server(context)? {
        _ if dry_run => Destination::Nowhere,
        Some(url) => Destination::Remote(Client::new(url)?),
        None => {
            let (store, thread) = database::open_store(&context.settings, true)?;
            Destination::Local(store, thread)
        }
    })
}

/// The unit that a worker would list the manifest with.
fn scan_of(manifest: &Path) -> Unit {
    let root = manifest
        .parent()
        .map_or_else(String::new, |p| p.display().to_string());
    let source = ScanSource::Manifest {
        path: manifest.display().to_string(),
    };
    Unit {
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
    }
}

/// A row that cannot be used, with its place in the manifest.
fn row_error(manifest: &Path, error: &RowError) -> String {
    let column = error
        .column
        .as_ref()
        .map(|c| format!(", column {c}"))
        .unwrap_or_default();
    format!(
        "{}: line {}{column}: {}",
        manifest.display(),
        error.line,
        error.message
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
