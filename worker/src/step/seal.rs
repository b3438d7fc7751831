//! Closes a destination tree with an ASC MHL generation.
use super::StepContext;
use ::mhl::import::{Imported, import as import_local};
use ::mhl::journal::Copied;
use ::mhl::object::{self, ObjectTree};
use ::mhl::seal::{SealReport, copies, seal_copy};
use ::mhl::source::Source;
use ::mhl::{MhlError, is_recordable};
use protocol::failure::Failure;
use protocol::model::location::Scheme;
use protocol::wire::report::UnitResult;
use protocol::wire::step::seal::SealTask;
use std::io;
use std::path::PathBuf;
use storage::local_path;

/// Files named in a failure; the generation has them all.
const NAMED_MAX: usize = 5;

/// Closes a destination tree with an ASC MHL generation. A tree that is a whole copy of `from`
/// continues the history of its source.
pub async fn run(task: &SealTask, from: Option<&str>, context: &StepContext) -> UnitResult {
    if !is_recordable(task.algorithm) {
        let name = task.algorithm.as_str();
        return invalid(format!(
            "ASC MHL cannot record {name}: verify with xxh128, xxh3, xxh64, md5, sha1 or c4"
        ));
    }
    let root = match Tree::open(&task.root, context).await {
        Ok(root) => root,
        Err(failure) => return UnitResult::Failed(failure),
    };
    let from_tree = match from {
        Some(from) => Tree::open(from, context).await.map(Some),
        None => Ok(None),
    };
    let from_tree = match from_tree {
        Ok(tree) => tree,
        Err(failure) => return UnitResult::Failed(failure),
    };
    let sealed = async {
        let mut source = match from_tree {
            Some(tree) => continued(task, tree, root.clone(), context).await?,
            None => Source::default(),
        };
        let copies = root.copies(&task.job, context).await?;
        source
            .add_origins(copies, from, &context.storage, &context.cancel)
            .await?;
        root.seal(task, source, context).await
    };
    match sealed.await {
        Ok(report) if !report.failed.is_empty() => UnitResult::Failed(mismatch(&report.failed)),
        // All other files are sealed: one name does not prevent the proof of the rest.
        Ok(report) => match report.unrecordable.into_iter().next() {
            Some(path) => UnitResult::Failed(failure(&MhlError::Unrecordable(path))),
            None => UnitResult::Finished {
                facts: Vec::new(),
                failures: Vec::new(),
            },
        },
        Err(MhlError::Cancelled) => UnitResult::Cancelled,
        Err(error) => UnitResult::Failed(failure(&error)),
    }
}

/// Gives the tree the histories of its source; returns what is left to compare the copy with.
async fn continued(
    task: &SealTask,
    from: Tree,
    root: Tree,
    context: &StepContext,
) -> Result<Source, MhlError> {
    let imported = import(from, root, context).await?;
    let generations = imported.generations;
    if generations > 0 {
        tracing::info!(generations, root = %task.root, "continuing the histories of the source");
    }
    Ok(imported.source)
}

fn invalid(message: String) -> UnitResult {
    UnitResult::Failed(Failure::permanent("mhl_invalid", message))
}

/// A tree in a directory or in a bucket.
#[derive(Clone)]
enum Tree {
    Directory(PathBuf),
    Objects(ObjectTree),
}

impl Tree {
    async fn open(location: &str, context: &StepContext) -> Result<Tree, Failure> {
        if !Scheme::of(location).is_some_and(Scheme::is_bucket) {
            let path = local_path(location)
                .map_err(|error| Failure::permanent("mhl_invalid", error.to_string()))?;
            let checked = context.storage.roots().check_target(&path);
            checked
                .map_err(|error| Failure::permanent("outside_roots", format!("tree {error}")))?;
            return Ok(Tree::Directory(path));
        }
        let opened = context
            .storage
            .open(location, None)
            .await
            .map_err(|error| error.failure())?;
        Ok(Tree::Objects(ObjectTree::new(opened.storage, &opened.key)))
    }

    /// The copies in it whose sources may have a history.
    async fn copies(&self, job: &str, context: &StepContext) -> Result<Vec<Copied>, MhlError> {
        match self {
            Tree::Directory(root) => {
                let (root, roots, job) = (
                    root.clone(),
                    context.storage.roots().clone(),
                    job.to_owned(),
                );
                blocking(move || copies((&root, &roots), &job)).await
            }
            Tree::Objects(tree) => object::copies(tree, job, &context.cancel).await,
        }
    }

    async fn seal(
        self,
        task: &SealTask,
        source: Source,
        context: &StepContext,
    ) -> Result<SealReport, MhlError> {
        let (job, algorithm, cancel) = (task.job.clone(), task.algorithm, context.cancel.clone());
        let roots = context.storage.roots().clone();
        match self {
            Tree::Directory(root) => {
                blocking(move || seal_copy((&root, &roots), &job, algorithm, &source, &cancel))
                    .await
            }
            Tree::Objects(tree) => {
                object::seal_copy(&tree, &job, algorithm, &source, &cancel).await
            }
        }
    }
}

async fn import(from: Tree, to: Tree, context: &StepContext) -> Result<Imported, MhlError> {
    let (roots, cancel) = (context.storage.roots().clone(), &context.cancel);
    match (from, to) {
        // Nothing was transferred: the seal reports the missing files.
        (_, Tree::Directory(to)) if !to.is_dir() => Ok(Imported::default()),
        (Tree::Directory(from), Tree::Directory(to)) => {
            let cancel = cancel.clone();
            blocking(move || import_local(&from, &to, &roots, &cancel)).await
        }
        (Tree::Directory(from), Tree::Objects(to)) => {
            object::import_into((&from, &roots), &to, cancel).await
        }
        (Tree::Objects(from), Tree::Directory(to)) => {
            object::import_to_directory(&from, (&to, &roots), cancel).await
        }
        (Tree::Objects(from), Tree::Objects(to)) => object::import(&from, &to, cancel).await,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MhlError> + Send + 'static,
) -> Result<T, MhlError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down, and this process with it.
        Err(_) => Err(MhlError::Cancelled),
    }
}

fn mismatch(failed: &[String]) -> Failure {
    let named = failed
        .iter()
        .take(NAMED_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    let count = failed.len();
    let message = format!(
        "{count} files do not agree with the MHL history of their tree ({named}): the generation records them as failed; restore them or find out who changed them"
    );
    Failure::permanent("mhl_mismatch", message)
}

fn failure(error: &MhlError) -> Failure {
    let message = error.to_string();
    match error {
        MhlError::Io { source, .. } => match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Failure::transient(
                "destination_full",
                format!("no space for the MHL generation: {message}"),
            ),
            io::ErrorKind::NotFound => {
                Failure::permanent("mhl_root_missing", format!("nothing to seal: {message}"))
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Failure::permanent(
                    "destination_unwritable",
                    format!("the MHL generation cannot be written: {message}"),
                )
            }
            _ => Failure::transient(
                "mhl_io_failed",
                format!("the MHL generation cannot be written: {message}"),
            ),
        },
        MhlError::Malformed { .. } | MhlError::Broken { .. } => {
            Failure::permanent("mhl_history_broken", message)
        }
        MhlError::Unrecordable(_) => Failure::permanent("mhl_name_unrecordable", message),
        MhlError::Linked(_) => Failure::permanent("destination_escapes", message),
        MhlError::Outside(_) => Failure::permanent("outside_roots", message),
        MhlError::Storage(error) => error.failure(),
        MhlError::Busy(_) | MhlError::Cancelled => Failure::transient("mhl_busy", message),
    }
}
