//! The catalogue: assets with their verdicts, waivers and tombstones.
use crate::error::{Answer, Error};
use crate::paging::{limit_in_range, page};
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
    /// Its id.
    pub asset: String,
    /// Its title.
    pub title: String,
    /// What it is for.
    pub role: String,
    /// Edit of the title.
    pub version: Option<String>,
    /// Language tag.
    pub language: Option<String>,
    /// Where its source says it is.
    pub location: String,
    /// Where a verified copy is.
    pub copy: Option<String>,
    /// Size.
    pub bytes: Option<u64>,
    /// Content hash.
    pub hash: Option<String>,
    /// QC verdict of exactly these bytes.
    pub verdict: Option<String>,
    /// When something was last learned about it.
    pub updated_at: String,
    /// The QC report; only where one asset is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub report: Option<StoredReport>,
    /// What purges removed of it, oldest first; only where one asset is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tombstones: Vec<Tombstone>,
    /// What was decided about the checks that stand in its way; only where one asset is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<CheckWaived>,
    /// Verdicts on it, the latest first, of other bytes and policies too; only where one asset is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<VerdictView>,
}

/// What an asset was judged as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerdictView {
    /// `pass`, `fail` or `tool_error`.
    pub verdict: String,
    /// Hash of the bytes.
    pub hash: String,
    /// Name of the policy.
    pub policy: String,
    /// Digest of the policy.
    pub digest: String,
    /// When.
    pub judged_at: String,
}

/// What is left of a file or object that a purge removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tombstone {
    /// What was removed.
    pub location: String,
    /// Its state, as its storage called it.
    pub version: String,
    /// Its size.
    pub bytes: u64,
    /// Its content.
    pub hash: String,
    /// The copy that stays.
    pub copy: String,
    /// How the copy was proven: `content` or `checksum`.
    pub proof: String,
    /// The job that removed it.
    pub job: String,
    /// The step.
    pub step: String,
    /// Who ordered it.
    pub ordered_by: String,
    /// Why.
    pub reason: String,
    /// It was gone before the execution that reports it looked.
    pub found_gone: bool,
    /// Nothing was removed; it would have been.
    pub dry_run: bool,
    /// When it was reported.
    pub at: String,
}
fn asset_view(row: CatalogueRow, whole: bool) -> AssetView {
    let report = row.fact.report.filter(|_| whole).and_then(|text| StoredReport::read(&text));
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
    }
}

/// Lists the catalogue in id order.
pub fn assets(tx: &mut dyn Tx, filter: &AssetsFilter) -> Answer<Vec<AssetView>> {
    limit_in_range(filter.limit)?;
    let rows = tx.catalogue(filter.title.as_deref(), filter.after.as_deref(), filter.limit)?;
    Ok(rows.into_iter().map(|row| asset_view(row, false)).collect())
}

/// Everything known about an asset.
pub fn asset(tx: &mut dyn Tx, id: &str, now: Timestamp) -> Answer<AssetView> {
    let Some(row) = tx.catalogue_entry(id)? else {
        return Err(Error::Unknown(format!("no asset {id:?} in the catalogue: showrunner asset list")));
    };
    let mut view = asset_view(row, true);
    let report = view.report.as_ref().map(|stored| &stored.report);
    let policy = report.map_or("", |report| report.policy.as_str());
    let blocking: BTreeSet<String> = report.map(Report::blocking_checks).into_iter().flatten().collect();
    let hash = view.hash.as_deref().unwrap_or_default();
    let delivery = JudgedContent { asset: id, title: &view.title, policy, hash };
    let blocking: Vec<String> = blocking.into_iter().collect();
    view.waived = Waivers::default().about(tx, &blocking, &delivery, now)?;
    view.verdicts = tx.verdicts(id, VERDICTS_MAX)?.into_iter().map(verdict_view).collect();
    view.tombstones = tombstones(tx, id)?;
    Ok(view)
}

fn tombstones(tx: &mut dyn Tx, id: &str) -> StoreResult<Vec<Tombstone>> {
    let tombstones = tx.tombstones(id)?.into_iter().map(|row| Tombstone {
        location: row.location,
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
    let VerdictRow { verdict, hash, policy, digest, judged_at, .. } = row;
    VerdictView { verdict, hash, policy, digest, judged_at: judged_at.to_string() }
}
