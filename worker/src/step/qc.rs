//! Measures and judges the media of a unit, one asset after the other.
use super::{StepContext, assets};
use crate::queue::REPORT_TOO_LONG;
use ::qc::{self, Appraised, Media, MediaUnderTest};
use protocol::failure::{ErrorClass, Failure};
use protocol::media::asset::{Asset, AssetFact};
use protocol::model::qc::{Judgement, Picture, Report, StoredReport, Verdict, write_findings};
use protocol::wire::envelope::BYTES_MAX;
use protocol::wire::report::UnitResult;
use protocol::wire::step::qc::{Measured, QcTask};
use protocol::wire::unit::Unit;
use serde_json::Map;
use spec::DeliverySpec;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes that a unit reports at most, below what fits into a message.
const REPORT_BYTES_MAX: usize = BYTES_MAX - (BYTES_MAX >> 3);
/// Of these, bytes of fact sheets and pictures at most: what is beyond is judged, and measured again the next time.
const SHEETS_BYTES_MAX: usize = BYTES_MAX / 2;

/// Judges every asset, from what is known of its bytes where that is enough. An asset that fails does not stop the others;
/// a missing program stops the unit.
pub async fn run(
    task: &QcTask,
    known: &[Measured],
    unit: &Unit,
    context: &StepContext,
) -> UnitResult {
    let spec: DeliverySpec = match serde_json::from_str(&task.policy) {
        Ok(spec) => spec,
        Err(error) => {
            let message = format!(
                "the unit's policy cannot be read ({error}): its coordinator is of another version"
            );
            return UnitResult::Failed(Failure::permanent("policy_unreadable", message));
        }
    };
    let mut report = UnitReport::new();
    for asset in &unit.assets {
        if context.cancel.is_cancelled() {
            return UnitResult::Cancelled;
        }
        match judge(asset, &spec, known, context).await {
            Ok((media, appraised)) => {
                context
                    .bytes
                    .fetch_add(appraised.report.bytes, Ordering::Relaxed);
                let pictures = pictures_of(&media, &appraised.report, context).await;
                if context.cancel.is_cancelled() {
                    return UnitResult::Cancelled;
                }
                report.add_judged(asset, appraised, pictures);
            }
            Err(_) if context.cancel.is_cancelled() => return UnitResult::Cancelled,
            // Without its program no asset of this worker can be judged.
            Err(failure) if failure.reason == "tool_missing" => return UnitResult::Failed(failure),
            Err(failure) => report.add_failed(asset, failure),
        }
    }
    let UnitReport {
        facts, failures, ..
    } = report;
    UnitResult::Finished { facts, failures }
}

/// What a unit reports, and how much more fits into its message.
struct UnitReport {
    facts: Vec<AssetFact>,
    failures: Vec<(String, Failure)>,
    /// Bytes left for fact sheets and pictures.
    sheets_left: usize,
    /// Bytes left for everything else.
    bytes_left: usize,
}

impl UnitReport {
    fn new() -> UnitReport {
        UnitReport {
            facts: Vec::new(),
            failures: Vec::new(),
            sheets_left: SHEETS_BYTES_MAX,
            bytes_left: REPORT_BYTES_MAX,
        }
    }

    /// Adds an asset that was judged, without the fact sheet and the pictures that do not fit.
    fn add_judged(&mut self, asset: &Asset, appraised: Appraised, mut pictures: Vec<Picture>) {
        let Appraised {
            report,
            sheet,
            decoded,
        } = appraised;
        let sheet = sheet.filter(|sheet| sheet.len() <= self.sheets_left);
        self.sheets_left -= sheet.as_ref().map_or(0, String::len);
        pictures.retain(
            |picture| match self.sheets_left.checked_sub(picture.image.len()) {
                Some(rest) => {
                    self.sheets_left = rest;
                    true
                }
                None => false,
            },
        );
        let failure = failure_of(&report);
        let extras = Extras {
            sheet,
            decoded,
            pictures,
        };
        let fact = fact_of(asset, &report, extras);
        let size = asset.id.len() + fact_bytes(&fact) + failure.as_ref().map_or(0, failure_bytes);
        let Some(rest) = self.bytes_left.checked_sub(size) else {
            self.failures.push((asset.id.clone(), too_long()));
            return;
        };
        self.bytes_left = rest;
        self.failures
            .extend(failure.map(|failure| (asset.id.clone(), failure)));
        self.facts.push(fact);
    }

    /// Adds an asset that could not be judged.
    fn add_failed(&mut self, asset: &Asset, failure: Failure) {
        let size = asset.id.len() + failure_bytes(&failure);
        self.bytes_left = self.bytes_left.saturating_sub(size);
        self.failures.push((asset.id.clone(), failure));
    }
}

/// The failure of an asset whose report does not fit into one message with the rest of its unit.
fn too_long() -> Failure {
    let message = "what was measured does not fit into one message with the rest of its unit: use a lower \
                   partition.max_assets, then: showrunner job retry";
    Failure::permanent(REPORT_TOO_LONG, message)
}

/// Upper bound for the encoded size of a fact or failure without its texts.
const OVERHEAD: usize = 256;

fn fact_bytes(fact: &AssetFact) -> usize {
    let texts = [&fact.location, &fact.hash, &fact.verdict, &fact.report]
        .into_iter()
        .flatten();
    texts.map(String::len).sum::<usize>() + fact.asset.len() + OVERHEAD
}

fn failure_bytes(failure: &Failure) -> usize {
    let checks: usize = failure.checks.iter().map(|check| check.len() + 9).sum();
    let findings = failure.findings.as_ref().map_or(0, String::len);
    failure.reason.len() + failure.message.len() + checks + findings + OVERHEAD
}

async fn judge(
    asset: &Asset,
    spec: &DeliverySpec,
    known: &[Measured],
    context: &StepContext,
) -> Result<(Arc<Media>, Appraised), Failure> {
    let media = open(asset, context).await?;
    // The declared hash is a claim: the bytes are hashed during the decode, which reads them anyway.
    let subject = MediaUnderTest::of(asset);
    let known: Vec<&Measured> = known
        .iter()
        .filter(|known| known.asset == asset.id)
        .collect();
    let appraised = qc::appraise(
        &media,
        &subject,
        spec,
        &context.tools,
        &known,
        &context.cancel,
    )
    .await?;
    Ok((media, appraised))
}

/// Opens the file of an asset. Hashes, measurements and pictures are all of this one file.
async fn open(asset: &Asset, context: &StepContext) -> Result<Arc<Media>, Failure> {
    let (path, asset, roots) = (
        local_path(&asset.location)?,
        asset.clone(),
        context.storage.roots().clone(),
    );
    let opening = tokio::task::spawn_blocking(move || {
        let file = assets::open_file(&asset, &path, &roots)
            .map_err(|error| super::transfer::unopened(&error))?;
        let failed =
            |error| Failure::transient("source_unreadable", format!("{}: {error}", asset.location));
        Media::new(file, &path).map(Arc::new).map_err(failed)
    });
    opening
        .await
        .unwrap_or_else(|error| Err(Failure::transient("worker_stopping", error.to_string())))
}

/// Pictures of what fails an asset, for the person who decides about it.
async fn pictures_of(media: &Media, report: &Report, context: &StepContext) -> Vec<Picture> {
    match report.verdict {
        Verdict::Fail => qc::pictures(media, report, &context.tools, &context.cancel).await,
        Verdict::Pass | Verdict::ToolError | Verdict::NotJudged => Vec::new(),
    }
}

/// The file behind a location.
fn local_path(location: &str) -> Result<PathBuf, Failure> {
    let path = location
        .strip_prefix("file://")
        .or_else(|| location.strip_prefix("file:"))
        .unwrap_or(location);
    if path.contains("://") {
        let message = format!(
            "{location} is not a local file: land it with a transfer step before its qc step"
        );
        return Err(Failure::permanent("source_unsupported", message));
    }
    Ok(Path::new(path).to_owned())
}

fn failure_of(report: &Report) -> Option<Failure> {
    let reason = match report.verdict {
        // The spec demands nothing of such a file, so the asset continues. The verdict in the catalogue is no pass.
        Verdict::Pass | Verdict::NotJudged => return None,
        Verdict::Fail => "qc_failed",
        Verdict::ToolError => "qc_tool_error",
    };
    let checks = match report.verdict {
        Verdict::ToolError => report.not_measured.clone(),
        Verdict::Pass | Verdict::Fail | Verdict::NotJudged => report.failed_checks(),
    };
    Some(Failure {
        class: ErrorClass::Permanent,
        reason: reason.to_owned(),
        message: report.summary(),
        checks,
        findings: write_findings(&report.findings),
    })
}

/// What goes with a report.
struct Extras {
    sheet: Option<String>,
    decoded: bool,
    pictures: Vec<Picture>,
}

fn fact_of(asset: &Asset, report: &Report, extras: Extras) -> AssetFact {
    let judgement = Judgement {
        report: StoredReport {
            report: report.clone(),
            decoded: extras.decoded,
            further: Map::new(),
        },
        facts: extras
            .sheet
            .and_then(|sheet| serde_json::from_str(&sheet).ok()),
        pictures: extras.pictures,
    };
    AssetFact {
        asset: asset.id.clone(),
        location: None,
        hash: Some(report.hash.clone()).filter(|hash| !hash.is_empty()),
        bytes: Some(report.bytes),
        verdict: Some(report.verdict.as_str().to_owned()),
        report: judgement.write(),
        skipped: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::wire::envelope::measure;

    #[test]
    fn reports_and_findings_are_counted_as_they_are_sent() {
        let fact = AssetFact {
            asset: "a".repeat(90),
            location: Some("l".repeat(3_000)),
            hash: Some("h".repeat(80)),
            bytes: Some(u64::MAX),
            verdict: Some("pass".into()),
            report: Some("r".repeat(70_000)),
            skipped: true,
        };
        assert!((73_000..=fact_bytes(&fact)).contains(&measure(&fact).expect("measures")));
        let failure = Failure {
            class: ErrorClass::Throttled {
                retry_after_ms: Some(u64::MAX),
            },
            reason: "qc_failed".into(),
            message: "m".repeat(5_000),
            checks: vec!["c".repeat(20); 300],
            findings: Some("f".repeat(60_000)),
        };
        assert!((71_000..=failure_bytes(&failure)).contains(&measure(&failure).expect("measures")));
    }
}
