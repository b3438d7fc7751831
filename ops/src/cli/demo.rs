//! `showrunner demo`: the whole way on a sample library whose faults are known.
use super::watch::account;
use super::{run, up};
use crate::context::Context;
use crate::demo::library;
use crate::demo::model::{Fault, Planted};
use crate::embedded::{DataDir, Embedded};
use crate::error::{CliError, CliResult, Exit};
use crate::output::{self, Format};
use crate::submit;
use coordinator::query::summary::Summary;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Stop after the account instead of serving
    #[arg(long)]
    once: bool,
    /// Where the sample library is made
    #[arg(long, default_value = "showrunner-demo")]
    dir: PathBuf,
}

/// Runs the command. Exit 0 means: every planted fault was found by the right check, and nothing else was.
pub(crate) async fn run(context: Context, args: Args) -> CliResult<Exit> {
    let ffmpeg = context.settings["ffmpeg"].value.clone();
    let dir = std::path::absolute(&args.dir)?;
    if !context.quiet {
        eprintln!("making a sample library of 24 assets in {}", dir.display());
    }
    let made = tokio::task::spawn_blocking(move || library::make(&dir, &ffmpeg)).await;
    let planted = made
        .map_err(|e| CliError::failed(e.to_string()))?
        .map_err(|e| CliError::failed(e.to_string()).hint("showrunner doctor"))?;
    let job = submit::prepare(&planted.job)?;
    if !args.once {
        super::listen::address(&context)?;
    }
    let data = DataDir::open(&args.dir.join("data"))?;
    let embedded = Embedded::start(data, &context.settings)?;
    let ran = run::run_job(&context, &embedded, job, false).await;
    let summary = match ran {
        Ok(Some(summary)) => summary,
        Ok(None) => {
            embedded.shutdown(Duration::ZERO).await;
            return Err(CliError::new(Exit::Interrupted, "interrupted"));
        }
        Err(error) => {
            embedded.shutdown(Duration::ZERO).await;
            return Err(error);
        }
    };
    let verdict = compare(&planted, &summary);
    let text = |s: &Summary| format!("{}\n{}", account(s), verdict.words);
    output::one(context.output, &summary, text, &summary.job)?;
    if context.output != Format::Table && !context.quiet {
        eprint!("{}", verdict.words);
    }
    if args.once {
        embedded.shutdown(Duration::ZERO).await;
        return Ok(if verdict.right {
            Exit::Ok
        } else {
            Exit::Failed
        });
    }
    up::serve(&context, embedded).await
}

struct Comparison {
    right: bool,
    words: String,
}

/// Compares found with planted faults.
fn compare(planted: &Planted, summary: &Summary) -> Comparison {
    let mut words = String::from("Planted faults and what was found\n");
    let mut right = true;
    for fault in &planted.faults {
        let found = found(fault, summary);
        right &= found;
        let mark = if found { "found " } else { "MISSED" };
        words += &format!(
            "  {mark}  {:<28} {:<12} {}\n",
            fault.asset, fault.expect, fault.words
        );
    }
    for failure in &summary.failures {
        let fault = planted.faults.iter().find(|f| f.asset == failure.asset);
        let allowed = |check: &String| {
            fault.is_some_and(|f| f.expect == check || f.also.contains(&check.as_str()))
        };
        let expected = fault.is_some() && failure.checks.iter().all(allowed);
        if !expected {
            right = false;
            words += &format!("  FALSE   {}: {}\n", failure.asset, failure.message);
        }
    }
    let clean = planted.assets - planted.faults.len();
    let held: u64 = summary.barriers.iter().map(|b| b.held).sum();
    let released: u64 = summary.barriers.iter().map(|b| b.released).sum();
    words += &format!(
        "{} of {} assets are clean; {released} titles are complete, {held} are held by the failures above\n",
        clean, planted.assets
    );
    Comparison { right, words }
}

fn found(fault: &Fault, summary: &Summary) -> bool {
    summary.failures.iter().any(|f| {
        f.asset == fault.asset
            && f.step == fault.step.as_str()
            && (f.reason == fault.expect || f.checks.iter().any(|c| c == fault.expect))
    })
}
