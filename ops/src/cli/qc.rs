//! `showrunner qc`: judge files by a delivery spec, without a job.
use super::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{self, Format};
use crate::submit::load_policy;
use protocol::media::spec::DeliverySpec;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;
use worker::qc::{Report, Subject, Verdict, inspect};
use worker::task::Tools;

/// Arguments of `qc`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Media files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Delivery spec to judge by
    #[arg(long)]
    policy: String,
}

/// Runs the command. One report a file; exit 1 when any file does not pass.
pub(crate) async fn run(context: Context, args: Args) -> CliResult<Exit> {
    let policy = load_policy(&args.policy).map_err(|problem| CliError::from(vec![problem]))?;
    let spec: DeliverySpec = serde_json::from_str(&policy.policy).map_err(|e| CliError::failed(e.to_string()))?;
    let tools = Tools {
        ffmpeg: context.settings["ffmpeg"].value.clone(),
        ffprobe: context.settings["ffprobe"].value.clone(),
        ..Tools::default()
    };
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    tokio::spawn(async move {
        super::stop_signal().await;
        token.cancel();
    });
    let mut all_pass = true;
    for file in &args.files {
        let judged = inspect(file, &Subject::bare(file), &spec, &tools, &cancel).await;
        if cancel.is_cancelled() {
            return Err(CliError::new(Exit::Interrupted, "interrupted"));
        }
        let report = judged.map_err(|failure| CliError::failed(format!("{}: {}", file.display(), failure.message)))?;
        all_pass &= report.verdict == Verdict::Pass;
        let format = if context.output == Format::Wide { Format::Table } else { context.output };
        output::one(format, &report, words, &report.file)?;
    }
    Ok(if all_pass { Exit::Ok } else { Exit::Failed })
}

fn words(report: &Report) -> String {
    let mut text = format!("{:<10} {}\n", report.verdict.as_str(), report.file);
    for finding in &report.findings {
        text += &format!("  {:<13} {}\n", finding.check, finding.message);
    }
    for check in &report.not_measured {
        let why = report.reasons.get(check).map_or("", String::as_str);
        text += &format!("  {check:<13} not measured: {why}\n");
    }
    if let Some(why) = report.reasons.get("file") {
        text += &format!("  {:<13} {why}\n", "file");
    }
    text
}
