//! What QC says about a file: the JSON of `showrunner qc` and of a verdict in the catalogue.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Whether failing a check fails the asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The asset fails.
    #[default]
    Mandatory,
    /// The finding is shown and the asset may still pass.
    Warning,
}

/// How an inspection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything demanded was measured and nothing mandatory failed.
    Pass,
    /// A mandatory check failed.
    Fail,
    /// Something demanded could not be measured, so there is no verdict on the media (QC-1).
    ToolError,
}

impl Verdict {
    /// The spelling in JSON, SQL and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::ToolError => "tool_error",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is not as demanded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Check id.
    pub check: String,
    /// Whether it fails the asset.
    pub severity: Severity,
    /// What was measured, in `unit`.
    pub measured: Value,
    /// What was demanded, in `unit`.
    pub limit: Value,
    /// Unit of `measured` and `limit`; empty for words and counts.
    pub unit: String,
    /// Where, in seconds from the start of the file: `[start, end]` pairs.
    pub ranges: Vec<[f64; 2]>,
    /// One sentence for a person.
    pub message: String,
    /// Channel, counted from 1 over all sound streams, when one is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<u32>,
    /// Stream index as ffprobe counts, when one of several is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<u32>,
}

/// What was found out about one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The file, as it was named.
    pub file: String,
    /// Hash of the bytes that were judged, `algorithm:hex`; half of the verdict's key (QC-1). Empty when they could not be read.
    pub hash: String,
    /// Name of the spec.
    pub policy: String,
    /// Digest of the spec: the other half of the key.
    pub policy_digest: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What is not as demanded, mandatory first.
    pub findings: Vec<Finding>,
    /// Checks the policy demands that could not be made.
    pub not_measured: Vec<String>,
    /// Why, by check id; `file` stands for the file as a whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, String>,
    /// What the source declares and nothing here has verified, by check id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recorded: BTreeMap<String, String>,
    /// Hash of each stream's packets by its index: it stays when only the wrapper changes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub essence: BTreeMap<u32, String>,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Programs that measured, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, String>,
}

impl Report {
    /// Ids of the checks whose mandatory findings failed the file, each once.
    pub fn failed_checks(&self) -> Vec<String> {
        let mut checks: Vec<String> = Vec::new();
        for finding in self.findings.iter().filter(|f| f.severity == Severity::Mandatory) {
            if !checks.contains(&finding.check) {
                checks.push(finding.check.clone());
            }
        }
        checks
    }

    /// One sentence: what failed, or why nothing can be said.
    pub fn summary(&self) -> String {
        match self.verdict {
            Verdict::Pass => "passes".to_owned(),
            Verdict::Fail => {
                let mandatory = self.findings.iter().filter(|f| f.severity == Severity::Mandatory);
                mandatory.map(|f| f.message.as_str()).collect::<Vec<_>>().join("; ")
            }
            Verdict::ToolError => {
                let told = self.reasons.iter().map(|(check, why)| format!("{check}: {why}"));
                format!("could not be judged: {}", told.collect::<Vec<_>>().join("; "))
            }
        }
    }
}
