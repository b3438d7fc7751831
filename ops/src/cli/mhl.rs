//! `showrunner mhl`.
use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::output;
use ::mhl::object::{self, ObjectTree};
use ::mhl::verify::{VerifyReport, verify};
use protocol::model::location::Scheme;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Objects read at a time for each core: most of the time they are waited for.
const OBJECTS_PER_CORE: usize = 8;

/// Commands of `mhl`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Hash every file of a tree and compare with its ASC MHL histories, or with the MHL 1.1 files at its root
    Verify {
        /// Root of the tree, which holds `ascmhl` or MHL 1.1 files: a folder, `s3://bucket/prefix` or `gs://bucket/prefix`
        #[arg(value_name = "DIR")]
        tree: String,
    },
}

/// Runs the command.
pub(crate) async fn run(context: Context, command: Command) -> CliResult<Exit> {
    let Command::Verify { tree } = command;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let verified = if Scheme::of(&tree).is_some_and(Scheme::is_bucket) {
        let opened = crate::storage::registry(&context.settings)?
            .open(&tree, None)
            .await;
        let opened = opened.map_err(|error| CliError::failed(error.to_string()))?;
        let objects = ObjectTree::new(opened.storage, &opened.key);
        object::verify(
            &objects,
            threads * OBJECTS_PER_CORE,
            &CancellationToken::new(),
        )
        .await
    } else {
        let dir = PathBuf::from(tree.strip_prefix(Scheme::File.prefix()).unwrap_or(&tree));
        if !dir.is_dir() {
            return Err(CliError::new(
                Exit::NotFound,
                format!("{} is not a directory", dir.display()),
            ));
        }
        tokio::task::spawn_blocking(move || verify(&dir, threads, &CancellationToken::new()))
            .await
            .map_err(|e| CliError::failed(e.to_string()))?
    };
    let report = verified.map_err(|e| CliError::failed(e.to_string()))?;
    output::one(context.output, &report, render, &tree)?;
    Ok(if report.is_intact() {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

fn render(report: &VerifyReport) -> String {
    let verdict = if report.is_intact() {
        "intact"
    } else {
        "NOT INTACT"
    };
    let (files, bytes) = (
        output::counted(report.files, "file"),
        output::bytes(report.bytes),
    );
    let generations = output::counted(report.generations, "generation");
    let mut text = format!("{verdict}: {files}, {bytes}, {generations}\n");
    for mismatch in &report.mismatched {
        text += &format!(
            "  changed  {}: recorded {}, found {}\n",
            mismatch.path, mismatch.recorded, mismatch.found
        );
    }
    let lists = [
        ("missing", &report.missing),
        ("new", &report.new),
        ("broken", &report.broken),
    ];
    for (word, paths) in lists {
        for path in paths {
            text += &format!("  {word}  {path}\n");
        }
    }
    for (word, paths) in [
        ("unreadable", &report.unreadable),
        ("left out", &report.left_out),
    ] {
        for (path, why) in paths {
            text += &format!("  {word}  {path}: {why}\n");
        }
    }
    text
}
