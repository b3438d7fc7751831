//! A failure in the summary of a job.
use crate::query::rejected_rows::{ROW_INVALID, SCAN, placed};
use crate::review::waivers::CheckWaived;
use protocol::model::qc::Finding;
use protocol::wire::report::RowError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One asset that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FailureSummary {
    /// Its id; empty when a unit failed as a whole before its assets were looked at.
    pub asset: String,
    /// Id of the title that the asset belongs to.
    pub title: String,
    /// The step it failed in; `scan` for rows that could not be used.
    pub step: String,
    /// Reason code of the failure; codes are stable between versions.
    pub reason: String,
    /// QC checks that failed.
    pub checks: Vec<String>,
    /// What failed, where, and what to do.
    pub message: String,
    /// Findings of QC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub findings: Option<Vec<Finding>>,
    /// Waivers of its checks, including those that are no longer in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<CheckWaived>,
}

/// The failure of a row of a library that cannot be used.
pub(super) fn rejected_row(library: &str, row: RowError) -> FailureSummary {
    FailureSummary {
        message: placed(library, &row),
        asset: row.asset.unwrap_or_default(),
        title: row.title.unwrap_or_default(),
        step: SCAN.into(),
        reason: ROW_INVALID.into(),
        checks: Vec::new(),
        findings: None,
        waived: Vec::new(),
    }
}
