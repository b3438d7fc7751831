//! The catalogue: assets with their verdicts, waivers and tombstones.
use crate::error::{Answer, Error};
use crate::paging::{limit_in_range, page};
use crate::query::asset_failures::{AssetFailure, Uncatalogued, uncatalogued};
use crate::review::waivers::{CheckWaived, Waivers};
use crate::store::{CatalogueRow, StoreResult, Tx, VerdictRow};
use protocol::model::location::shown;
use protocol::model::qc::{Report, StoredReport};
use protocol::rules::review::waiver::JudgedContent;
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// Verdicts shown of one asset at most.
const VERDICTS_MAX: u32 = 50;

/// Which assets of the catalogue.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AssetsFilter {
    /// Only assets of this title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Start after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Assets at most.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default = "page")]
    pub limit: u32,
}

/// An asset as the catalogue knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AssetView {
    /// Id of the asset in its library.
    pub asset: String,
    /// Id of the title that the asset belongs to.
    pub title: String,
    /// Role of the asset, such as `master` or `subtitle`.
    pub role: String,
    /// Edit of the title.
    pub version: Option<String>,
    /// Language of sound or text, as a BCP 47 tag.
    pub language: Option<String>,
    /// Location declared by its source.
    pub location: String,
    /// Location of a verified copy, when one was made.
    pub copy: Option<String>,
    /// Size in bytes, as last read or else as declared.
    pub bytes: Option<u64>,
    /// Hash of the content, `algorithm:digest`, as last computed or else as declared.
    pub hash: Option<String>,
    /// QC verdict of exactly these bytes.
    pub verdict: Option<String>,
    /// Time of the last change of this entry, RFC 3339 in UTC.
    pub updated_at: String,
    /// The QC report; only where one asset is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub report: Option<StoredReport>,
    /// Tombstones of its purged files, oldest first; only where one asset is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tombstones: Vec<Tombstone>,
    /// Waivers of its failed checks; only where one asset is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<CheckWaived>,
    /// Verdicts on it, the latest first, of other bytes and policies too; only where one asset is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<VerdictView>,
    /// Of an asset that is not in the catalogue: its failures in the newest job that lists it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<AssetFailure>,
}

impl AssetView {
    /// An asset of which no step has reported anything.
    fn unknown(asset: String, at: Timestamp) -> AssetView {
        AssetView {
            asset,
            title: String::new(),
            role: String::new(),
            version: None,
            language: None,
            location: String::new(),
            copy: None,
            bytes: None,
            hash: None,
            verdict: None,
            updated_at: at.to_string(),
            report: None,
            tombstones: Vec::new(),
            waived: Vec::new(),
            verdicts: Vec::new(),
            failures: Vec::new(),
        }
    }
}

/// A stored verdict on an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerdictView {
    /// Result of the judgement: `pass`, `fail`, `tool_error` or `not_judged`.
    pub verdict: String,
    /// Hash of the bytes.
    pub hash: String,
    /// Name of the policy.
    pub policy: String,
    /// Digest of the policy.
    pub digest: String,
    /// Time of the judgement, RFC 3339 in UTC.
    pub judged_at: String,
}

/// Record of a file or object that a purge removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tombstone {
    /// Location of the removed file or object.
    pub location: String,
    /// Version of the removed content, as its storage names it.
    pub version: String,
    /// Size of the removed content in bytes.
    pub bytes: u64,
    /// Hash of the removed content, `algorithm:digest`.
    pub hash: String,
    /// Location of the remaining copy.
    pub copy: String,
    /// How the copy was proven: `content` or `checksum`.
    pub proof: String,
    /// The job that removed it.
    pub job: String,
    /// Id of the purge step in that job.
    pub step: String,
    /// Person who ordered the purge, as named in the job file.
    pub ordered_by: String,
    /// Reason of the purge, as given in the job file.
    pub reason: String,
    /// Whether the file was gone before this execution.
    pub found_gone: bool,
    /// Whether the purge was a dry run, which removes nothing.
    pub dry_run: bool,
    /// Time of the report, RFC 3339 in UTC.
    pub at: String,
}
fn asset_view(row: CatalogueRow, whole: bool) -> AssetView {
    let report = row
        .fact
        .report
        .filter(|_| whole)
        .and_then(|text| StoredReport::read(&text));
    AssetView {
        version: row.asset.version().map(str::to_owned),
        language: row.asset.language().map(str::to_owned),
        asset: row.asset.id,
        title: row.asset.title,
        role: row.asset.role.to_string(),
        location: shown(&row.asset.location).into_owned(),
        copy: row.fact.location,
        bytes: row.asset.bytes,
        hash: row.asset.hash,
        verdict: row.fact.verdict,
        updated_at: row.updated_at.to_string(),
        report,
        tombstones: Vec::new(),
        waived: Vec::new(),
        verdicts: Vec::new(),
        failures: Vec::new(),
    }
}

/// An asset that only a job knows.
fn uncatalogued_view(id: &str, found: Uncatalogued) -> AssetView {
    let known = match found.asset {
        Some(asset) => AssetView {
            version: asset.version().map(str::to_owned),
            language: asset.language().map(str::to_owned),
            role: asset.role.to_string(),
            location: shown(&asset.location).into_owned(),
            bytes: asset.bytes,
            hash: asset.hash,
            ..AssetView::unknown(id.to_owned(), found.at)
        },
        None => AssetView::unknown(id.to_owned(), found.at),
    };
    AssetView {
        title: found.title,
        failures: found.failures,
        ..known
    }
}

/// Lists the catalogue in id order.
pub fn assets(tx: &mut dyn Tx, filter: &AssetsFilter) -> Answer<Vec<AssetView>> {
    limit_in_range(filter.limit)?;
    let rows = tx.catalogue(
        filter.title.as_deref(),
        filter.after.as_deref(),
        filter.limit,
    )?;
    Ok(rows.into_iter().map(|row| asset_view(row, false)).collect())
}

/// Everything known about an asset.
pub fn asset(tx: &mut dyn Tx, id: &str, now: Timestamp) -> Answer<AssetView> {
    let Some(row) = tx.catalogue_entry(id)? else {
        let found = uncatalogued(tx, id)?.ok_or_else(|| {
            Error::Unknown(format!(
                "no asset {id:?} in the catalogue or the newest jobs: showrunner asset list"
            ))
        })?;
        return Ok(uncatalogued_view(id, found));
    };
    let mut view = asset_view(row, true);
    let report = view.report.as_ref().map(|stored| &stored.report);
    let policy = report.map_or("", |report| report.policy.as_str());
    let blocking: BTreeSet<String> = report
        .map(Report::blocking_checks)
        .into_iter()
        .flatten()
        .collect();
    let hash = view.hash.as_deref().unwrap_or_default();
    let delivery = JudgedContent {
        asset: id,
        title: &view.title,
        policy,
        hash,
    };
    let blocking: Vec<String> = blocking.into_iter().collect();
    view.waived = Waivers::default().about(tx, &blocking, &delivery, now)?;
    view.verdicts = tx
        .verdicts(id, VERDICTS_MAX)?
        .into_iter()
        .map(verdict_view)
        .collect();
    view.tombstones = tombstones(tx, id)?;
    Ok(view)
}

fn tombstones(tx: &mut dyn Tx, id: &str) -> StoreResult<Vec<Tombstone>> {
    let tombstones = tx.tombstones(id)?.into_iter().map(|row| Tombstone {
        location: shown(&row.location).into_owned(),
        version: row.version,
        bytes: row.bytes,
        hash: row.hash,
        copy: row.copy,
        proof: row.proof,
        job: row.job,
        step: row.step,
        ordered_by: row.ordered_by,
        reason: row.reason,
        found_gone: row.found_gone,
        dry_run: row.dry_run,
        at: row.at.to_string(),
    });
    Ok(tombstones.collect())
}

fn verdict_view(row: VerdictRow) -> VerdictView {
    let VerdictRow {
        verdict,
        hash,
        policy,
        digest,
        judged_at,
        ..
    } = row;
    VerdictView {
        verdict: verdict.as_str().to_owned(),
        hash,
        policy,
        digest,
        judged_at: judged_at.to_string(),
    }
}
