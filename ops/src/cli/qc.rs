//! `showrunner qc`: judge files by a delivery spec, without a job.
use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{self, Columns, Format};
use crate::report::{Inspected, Wanted};
use crate::submit::{load_policy, now};
use ::qc::Tools;
use ::qc::{Appraised, Media, MediaUnderTest, Report, Verdict, appraise, still};
use protocol::failure::Failure;
use protocol::rules::review::waiver::JudgedContent;
use protocol::time::Timestamp;
use protocol::workflow::waivers::{self, WrittenWaiver};
use serde::Serialize;
use spec::{CHECK_IDS, DeliverySpec};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Arguments of `qc`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Media files to judge, by path
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Delivery spec to judge by
    #[arg(long)]
    policy: String,
    /// Waived findings: YAML with check, file, hash, policy, by, reason, until
    #[arg(long, value_name = "FILE")]
    waivers: Option<PathBuf>,
    /// Also write a page with pictures, html=PATH, or what pipelines read, junit=PATH
    #[arg(long, value_name = "KIND=PATH")]
    report: Vec<Wanted>,
}

/// A waived finding.
#[derive(Debug, Serialize)]
struct Waived {
    check: String,
    by: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Whether it has not expired.
    holds: bool,
}

impl Waived {
    fn words(&self) -> String {
        let until = self
            .until
            .as_ref()
            .map(|until| format!(" until {until}"))
            .unwrap_or_default();
        let expired = if self.holds {
            ""
        } else {
            " (expired: it counts no more)"
        };
        format!(
            "{:<13} waived by {}{until}: {}{expired}",
            self.check, self.by, self.reason
        )
    }
}

/// A report with the waivers that apply. A waiver does not change the verdict.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    report: Report,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waived: Vec<Waived>,
}

impl Shown {
    fn of(report: Report, waivers: &[WrittenWaiver], now: Timestamp) -> Shown {
        let file = report.file.clone();
        let delivery = JudgedContent {
            asset: &file,
            title: "",
            policy: &report.policy,
            hash: &report.hash,
        };
        let of_check = |check: String| {
            let covering = waivers
                .iter()
                .filter(|written| written.waiver.scope.covers(&check, &delivery));
            let best = covering.max_by_key(|written| written.waiver.holds(now))?;
            let (by, reason) = (best.by.clone(), best.reason.clone());
            let until = best.waiver.until.map(|until| until.to_string());
            Some(Waived {
                check,
                by,
                reason,
                until,
                holds: best.waiver.holds(now),
            })
        };
        let waived = report
            .blocking_checks()
            .into_iter()
            .filter_map(of_check)
            .collect();
        Shown { report, waived }
    }

    /// Whether the file is accepted: everything passed, or every blocking check is waived.
    fn is_accepted(&self) -> bool {
        let held = |check: &String| {
            self.waived
                .iter()
                .any(|waived| waived.holds && waived.check == *check)
        };
        let blocking = self.report.blocking_checks();
        self.report.verdict == Verdict::Pass || (!blocking.is_empty() && blocking.iter().all(held))
    }
}

fn read_waivers(path: Option<&Path>) -> CliResult<Vec<WrittenWaiver>> {
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::usage(format!("{}: {error}", path.display())))?;
    waivers::read(&path.display().to_string(), &text, &CHECK_IDS).map_err(CliError::from)
}

/// Runs the command. One report a file; exit 1 when any file does not pass and is not waived.
pub(crate) async fn run(context: Context, args: Args) -> CliResult<Exit> {
    let policy = load_policy(&args.policy).map_err(|problem| CliError::from(vec![problem]))?;
    let spec: DeliverySpec =
        serde_json::from_str(&policy.policy).map_err(|e| CliError::failed(e.to_string()))?;
    let waivers = read_waivers(args.waivers.as_deref())?;
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
    let (mut all_pass, mut inspected, mut documents) = (true, Vec::new(), Vec::new());
    for file in &args.files {
        let failed =
            |failure: Failure| CliError::failed(format!("{}: {}", file.display(), failure.message));
        let subject = MediaUnderTest::bare(file);
        // Verdict and pictures are of one open file, also when another one takes its name.
        let media = Arc::new(Media::open(file, &subject.file).map_err(failed)?);
        let judged = appraise(&media, &subject, &spec, &tools, &[], &cancel).await;
        if cancel.is_cancelled() {
            return Err(CliError::new(Exit::Interrupted, "interrupted"));
        }
        let Appraised { report, sheet, .. } = judged.map_err(failed)?;
        let shown = Shown::of(report, &waivers, now());
        all_pass &= shown.is_accepted();
        match context.output {
            // Several files make one document together.
            Format::Json if args.files.len() > 1 => {
                documents.push(serde_json::to_value(&shown).map_err(io::Error::other)?)
            }
            format => output::one(format, &shown, words, &shown.report.file)?,
        }
        if !args.report.is_empty() {
            let with_stills = args.report.iter().any(Wanted::wants_stills);
            let stills = if with_stills {
                stills(&media, &shown.report, &tools, &cancel).await
            } else {
                Vec::new()
            };
            inspected.push(Inspected {
                waivers: shown.waived.iter().map(Waived::words).collect(),
                accepted: shown
                    .waived
                    .iter()
                    .filter(|waived| waived.holds)
                    .map(|waived| (waived.check.clone(), waived.words()))
                    .collect(),
                report: shown.report,
                sheet: sheet
                    .and_then(|sheet| serde_json::from_str(&sheet).ok())
                    .unwrap_or_default(),
                stills,
                target: spec.qc.loudness.as_ref().map(|check| check.target.0),
            });
        }
    }
    if !documents.is_empty() {
        output::list(context.output, &documents, DOCUMENTS)?;
    }
    for wanted in &args.report {
        wanted.write(&inspected).map_err(CliError::failed)?;
    }
    Ok(if all_pass { Exit::Ok } else { Exit::Failed })
}

/// Reports of several files as one list.
const DOCUMENTS: Columns<'static, serde_json::Value> = Columns {
    table: &[],
    row: &|_| Vec::new(),
    csv: &["file", "hash", "policy", "verdict"],
    name: &|_| String::new(),
};

/// A picture for each finding that has a time: from the middle of its first stretch. A still takes the decoder a moment, and
/// a file that is wrong everywhere must not take hours.
async fn stills(
    media: &Media,
    report: &Report,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Vec<Option<Vec<u8>>> {
    const STILLS_MAX: usize = 20;
    let mut stills = Vec::new();
    for finding in report.findings.iter().take(STILLS_MAX) {
        stills.push(match finding.ranges.first() {
            Some([start, end]) => still(media, (start + end) / 2.0, tools, cancel).await,
            None => None,
        });
    }
    stills
}

fn words(shown: &Shown) -> String {
    let report = &shown.report;
    let mut text = format!("{:<10} {}\n", report.verdict.as_str(), report.file);
    for finding in &report.findings {
        text += &format!("  {:<13} {}\n", finding.check, finding.message);
    }
    for check in &report.not_measured {
        let why = report.reasons.get(check).map_or("", String::as_str);
        text += &format!("  {check:<13} not measured: {why}\n");
    }
    for note in &report.notes {
        text += &format!("  {:<13} {note}\n", "note");
    }
    if let Some(why) = report.reasons.get("file") {
        text += &format!("  {:<13} {why}\n", "file");
    }
    for waived in &shown.waived {
        text += &format!("  {}\n", waived.words());
    }
    text
}
