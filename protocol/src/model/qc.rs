//! The result of QC for a file: the JSON of `showrunner qc`, of a verdict in the catalogue and of the findings of a task.
//!
//! These types are shared from the worker to the page. They are text where they cross the wire and in SQL; the text is
//! written and read here.
use schemars::JsonSchema;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything demanded was measured and nothing mandatory failed.
    Pass,
    /// A mandatory check failed.
    Fail,
    /// Something demanded could not be measured, so there is no verdict on the media (QC-1).
    #[default]
    ToolError,
    /// No check of the spec applies to a file of this role, so nothing was checked.
    NotJudged,
}

impl Verdict {
    /// The spelling in JSON, SQL and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::ToolError => "tool_error",
            Verdict::NotJudged => "not_judged",
        }
    }

    /// Reads the spelling of [`Verdict::as_str`]; an unknown one is no verdict on the media.
    pub fn parse(text: &str) -> Verdict {
        match text {
            "pass" => Verdict::Pass,
            "fail" => Verdict::Fail,
            "not_judged" => Verdict::NotJudged,
            _ => Verdict::ToolError,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A deviation from the spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Id of the check, such as `black`.
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

/// Findings as text for the wire and SQL.
pub fn write_findings(findings: &[Finding]) -> Option<String> {
    serde_json::to_string(findings).ok()
}

/// Reads what [`write_findings`] wrote; `None` when it is something else.
pub fn read_findings(text: &str) -> Option<Vec<Finding>> {
    serde_json::from_str(text).ok()
}

/// The report about one file. A member that an earlier version did not write is read as its default, which is
/// never a pass.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The file, as it was named.
    pub file: String,
    /// Hash of the bytes that were judged, `algorithm:hex`; half of the verdict's key (QC-1). Empty when they could not be read.
    pub hash: String,
    /// Name of the spec.
    pub policy: String,
    /// Digest of the spec: the other half of the key.
    pub policy_digest: String,
    /// Result of the judgement of the whole file.
    pub verdict: Verdict,
    /// Deviations from the spec, mandatory first.
    pub findings: Vec<Finding>,
    /// Checks the policy demands that could not be made.
    pub not_measured: Vec<String>,
    /// Checks that were made, with or without a finding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judged: Vec<String>,
    /// Checks the policy demands that do not apply to a file of this role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_applicable: Vec<String>,
    /// What the verdict does not cover, such as the format of a role without a component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Reason by check id; `file` is the file as a whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, String>,
    /// Declarations of the source that were not verified, by check id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recorded: BTreeMap<String, String>,
    /// Hash of each stream's packets by its index: it stays when only the wrapper changes.
    #[serde(
        default,
        deserialize_with = "by_stream",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
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
        for finding in self
            .findings
            .iter()
            .filter(|f| f.severity == Severity::Mandatory)
        {
            if !checks.contains(&finding.check) {
                checks.push(finding.check.clone());
            }
        }
        checks
    }

    /// Ids of the checks without which it would pass: what is mandatory and failed, and what could not be measured.
    pub fn blocking_checks(&self) -> Vec<String> {
        let mut checks = self.failed_checks();
        checks.extend(self.not_measured.iter().cloned());
        checks
    }

    /// One sentence: what failed, or why there is no verdict.
    pub fn summary(&self) -> String {
        match self.verdict {
            Verdict::Pass => "passes".to_owned(),
            Verdict::Fail => {
                let mandatory = self
                    .findings
                    .iter()
                    .filter(|f| f.severity == Severity::Mandatory);
                mandatory
                    .map(|f| f.message.as_str())
                    .collect::<Vec<_>>()
                    .join("; ")
            }
            Verdict::NotJudged => "not judged: no check applies".to_owned(),
            Verdict::ToolError => {
                let reasons = self
                    .reasons
                    .iter()
                    .map(|(check, why)| format!("{check}: {why}"));
                format!(
                    "could not be judged: {}",
                    reasons.collect::<Vec<_>>().join("; ")
                )
            }
        }
    }
}

/// A picture that goes with a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// `still` or `waveform`.
    pub kind: String,
    /// The check whose finding it shows; the sound as a whole when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Seconds from the start of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<f64>,
    /// `image/jpeg` or `image/png`.
    pub media_type: String,
    /// The image in base64.
    pub image: String,
}

/// A report as the catalogue keeps it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StoredReport {
    /// The report as the worker made it.
    #[serde(flatten)]
    pub report: Report,
    /// Whether media had to be decoded for it.
    #[serde(default)]
    pub decoded: bool,
    /// Members that a later version added.
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

impl StoredReport {
    /// Reads the text of a report; `None` when it is none.
    pub fn read(text: &str) -> Option<StoredReport> {
        serde_json::from_str(text).ok()
    }

    /// The text for SQL.
    pub fn write(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

/// A report on its way to the coordinator, with what was measured. The fact sheet belongs to the bytes and the pictures to
/// the task: the coordinator keeps them apart from the report.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Judgement {
    /// The report in its stored form.
    #[serde(flatten)]
    pub report: StoredReport,
    /// The fact sheet, in a form that only workers read; absent when nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
    /// Pictures of what fails the file; those of an unknown form are left out.
    #[serde(
        default,
        deserialize_with = "known_pictures",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub pictures: Vec<Picture>,
}

impl Judgement {
    /// Reads the text of a judgement; `None` when it is none.
    pub fn read(text: &str) -> Option<Judgement> {
        serde_json::from_str(text).ok()
    }

    /// The text for the wire.
    pub fn write(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

/// Reads a map by stream index. A flattened struct offers its keys as text, which the derived reader of numbers refuses.
fn by_stream<'de, D: Deserializer<'de>>(reader: D) -> Result<BTreeMap<u32, String>, D::Error> {
    let entries = BTreeMap::<String, String>::deserialize(reader)?.into_iter();
    entries
        .map(|(index, hash)| Ok((index.parse().map_err(serde::de::Error::custom)?, hash)))
        .collect()
}

fn known_pictures<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<Picture>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(reader)?).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the version before this type wrote it.
    const TEXT: &str = r#"{"bytes":3,"decoded":true,"essence":{"0":"md5:1","10":"md5:2"},"facts":{"bytes":3},"file":"a.mov","findings":[{"check":"black","limit":0.5,"measured":1.99,"message":"m","ranges":[[3.0,4.99]],"severity":"mandatory","unit":"s"}],"hash":"xxh128:1","later":7,"not_measured":["phase"],"pictures":[{"check":"black","image":"AAAA","kind":"still","media_type":"image/jpeg"}],"policy":"hd","policy_digest":"d","verdict":"fail"}"#;

    #[test]
    fn judgement_keeps_every_member_under_its_name() {
        let judgement = Judgement::read(TEXT).expect("reads");
        let (report, text) = (&judgement.report.report, judgement.write().expect("writes"));
        assert_eq!(
            serde_json::from_str::<Value>(&text).ok(),
            serde_json::from_str::<Value>(TEXT).ok()
        );
        assert_eq!(
            (report.verdict, report.blocking_checks()),
            (Verdict::Fail, vec!["black".into(), "phase".into()])
        );
        let stored = judgement.report.write().expect("writes");
        assert!(
            stored.contains("\"later\":7")
                && !stored.contains("facts")
                && !stored.contains("pictures")
        );
        let findings = write_findings(&report.findings).expect("writes");
        assert_eq!(
            read_findings(&findings).as_deref(),
            Some(report.findings.as_slice())
        );
    }

    #[test]
    fn absent_or_unknown_verdict_is_no_pass() {
        assert_eq!(
            Judgement::read("{}").map(|judgement| judgement.report.report.verdict),
            Some(Verdict::ToolError)
        );
        assert_eq!(Verdict::parse("excellent"), Verdict::ToolError);
        for verdict in [
            Verdict::Pass,
            Verdict::Fail,
            Verdict::ToolError,
            Verdict::NotJudged,
        ] {
            assert_eq!(Verdict::parse(verdict.as_str()), verdict);
        }
        assert_eq!(
            [Judgement::read("[]"), Judgement::read("not json")],
            [None, None]
        );
    }
}
