//! Black lines and columns at the edges, over the whole programme.
use crate::case::{Case, CheckOutcome, outcome};
use crate::measure::blanking::{self, Blanking};
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lines and columns at the edges that are black in the whole programme: letterbox, pillarbox, analogue blanking.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BlankingCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Most black lines allowed at the top, and at the bottom.
    pub lines_max: u32,
    /// Most black columns allowed at the left, and at the right.
    pub columns_max: u32,
}

impl Check for BlankingCheck {
    const SCOPE: Scope = Scope::Picture;

    fn bare() -> Option<BlankingCheck> {
        Some(BlankingCheck::default())
    }

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        if asked.picture && asked.limits::<BlankingCheck>().is_some() {
            needs
                .measures
                .insert(blanking::NAME.to_owned(), true.into());
        }
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(limits) = case.limits::<BlankingCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        outcome(case.measured_picture().and_then(|measured| {
            let Some(Blanking { top, bottom, left, right }) = Blanking::of(measured) else {
                return Err(CheckOutcome::unknown("blanking could not be measured: no picture is brighter than black"));
            };
            let pairs = [
                ("lines", limits.lines_max, [(top, "top"), (bottom, "bottom")]),
                ("columns", limits.columns_max, [(left, "left"), (right, "right")]),
            ];
            let mut findings = Vec::new();
            for (unit, max, [(first, at), (second, and_at)]) in pairs {
                let most = first.max(second);
                if most > max {
                    let message = format!(
                        "{first} black {unit} at the {at} and {second} at the {and_at}, {max} allowed on each side"
                    );
                    findings.push(case.finding(most.into(), max.into(), unit, message));
                }
            }
            Ok(findings)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{FactSheet, Pass, VideoPass, VideoStream};
    use crate::{DeliverySpec, MediaUnderTest, judge};
    use protocol::media::asset::Role;
    use protocol::model::qc::{Report, Verdict};

    fn judged(limits: &str, blanking: Option<Blanking>) -> Report {
        let spec: DeliverySpec = protocol::yaml::read(
            "s.yaml",
            &format!("spec: s\nqc: {{ blanking: {{ {limits} }} }}\n"),
        )
        .unwrap_or_else(|problem| panic!("{problem}"));
        let measured = blanking.map(|blanking| {
            (
                blanking::NAME.to_owned(),
                serde_json::to_value(blanking).expect("writes"),
            )
        });
        let video = VideoPass {
            measures: measured.into_iter().collect(),
            ..VideoPass::default()
        };
        let pass = Some(Pass {
            video: Some(video),
            ..Pass::default()
        });
        let facts = FactSheet {
            video: Some(VideoStream::default()),
            pass,
            ..FactSheet::default()
        };
        judge(&facts, &spec, &MediaUnderTest::default(), Role::Master)
    }

    #[test]
    fn blanking_beyond_the_limit_of_its_direction_fails() {
        let box_of = |top, left| {
            Some(Blanking {
                top,
                bottom: 0,
                left,
                right: left,
            })
        };
        assert_eq!(judged("", box_of(0, 0)).verdict, Verdict::Pass);
        assert_eq!(
            judged("lines_max: 2, columns_max: 8", box_of(2, 8)).verdict,
            Verdict::Pass
        );
        let report = judged("lines_max: 2, columns_max: 8", box_of(20, 9));
        let measured: Vec<_> = report
            .findings
            .iter()
            .map(|f| (f.measured.clone(), f.unit.as_str()))
            .collect();
        assert_eq!(measured, [(20.into(), "lines"), (9.into(), "columns")]);
    }

    #[test]
    fn missing_measurement_is_no_pass() {
        assert_eq!(judged("", None).verdict, Verdict::ToolError);
    }
}
