//! A delivery spec. It is also the policy of a `qc` step.
//!
//! A spec may inherit another one: `resolve` merges the chain before anything is judged, so that a digest names the whole
//! demand and not the file it was written in.
use crate::QcPolicy;
use crate::component::Component;
use crate::value::Names;
use protocol::media::asset::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What a platform demands of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliverySpec {
    /// Name, used in reports.
    pub spec: String,
    /// Another spec whose demands hold unless this one replaces them; relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherits: Option<String>,
    /// Deliveries it is for; empty means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applies: Option<Applies>,
    /// Media objects a delivery consists of.
    #[serde(default)]
    pub components: Vec<Component>,
    /// QC checks; a check that is not named is not made.
    #[serde(default)]
    pub qc: QcPolicy,
    /// Sign-offs that a delivery needs.
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// Age ratings by territory.
    #[serde(default)]
    pub ratings: BTreeMap<String, Rating>,
}

/// Deliveries a spec is for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Applies {
    /// Names of the platforms that the spec is for.
    #[serde(default)]
    pub platform: Names,
    /// Territories, ISO 3166-1 alpha-2.
    #[serde(default)]
    pub territory: Names,
}

/// A sign-off a delivery needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Role of the person.
    pub role: String,
    /// Role of the asset it is about; the delivery as a whole when absent.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub subject: Option<Role>,
}

/// An age rating a territory asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rating {
    /// Rating system (`FSK`, `BBFC`).
    pub system: String,
    /// Highest rating accepted; any rating of the system when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
}

impl DeliverySpec {
    /// The component an asset of this role is judged by.
    pub fn component(&self, role: Role) -> Option<&Component> {
        self.components
            .iter()
            .find(|component| component.role == role)
    }

    /// Digest of what is judged (`qc` and `components`): SHA-256 in hexadecimal of their JSON with sorted keys. Half of a
    /// verdict's key (QC-1): renaming a spec keeps verdicts, moving a limit voids them.
    pub fn digest(&self) -> String {
        // serde_json keeps objects in a sorted map, which makes the text canonical.
        let judged = serde_json::json!({ "qc": self.qc, "components": self.components });
        Sha256::digest(judged.to_string().as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CHECK_IDS;
    use crate::value::{Decibels, FrameRate};
    use protocol::model::qc::Severity;

    pub(super) const EXAMPLE: &str = "\
spec: hd-broadcast
applies: { platform: [svod-a], territory: [DE, AT] }
components:
  - { role: master, video: { codec: [h264, prores, mpeg2video], width: 1920, height: 1080, frame_rate: 25, field_order: progressive, range: tv } }
  - { role: audio, languages: [de, en], channels: 2, sample_rate: 48000 }
  - { role: subtitle, languages: [de] }
qc:
  container:  { any: [mov, mp4, mxf] }
  decode:     {}
  duration:   { tolerance: 40ms }
  av_length:  { tolerance: 200ms }
  black:      { longest: 0.5s }
  freeze:     { longest: 1s, noise: -60dB }
  silence:    { longest: 1s, noise: -60dB, per_channel: true }
  loudness:   { target: -23LUFS, tolerance: 1LU }
  true_peak:  { max: -1dBTP }
  levels:     { illegal_pixels_max: 1% }
approvals:   [ { role: approver, for: master } ]
ratings:     { DE: { system: FSK } }
";

    fn read(source: &str) -> Result<DeliverySpec, protocol::yaml::Problem> {
        protocol::yaml::read("spec.yaml", source)
    }

    #[test]
    fn reads_the_published_example() {
        let spec = read(EXAMPLE).expect("valid");
        let master = spec
            .component(Role::Master)
            .and_then(|c| c.video.clone())
            .expect("there");
        assert_eq!(master.frame_rate, Some(FrameRate { num: 25, den: 1 }));
        assert_eq!(
            spec.component(Role::Audio)
                .and_then(Component::audio_channels),
            Some(2)
        );
        assert_eq!(
            spec.qc.silence.as_ref().map(|s| (s.noise, s.per_channel)),
            Some((Decibels(-60.0), true))
        );
        assert_eq!(
            spec.qc.decode.as_ref().map(|d| d.severity),
            Some(Severity::Mandatory)
        );
        assert_eq!(spec.approvals[0].subject, Some(Role::Master));
    }

    #[test]
    fn a_resolved_spec_survives_json() {
        let spec = read(EXAMPLE).expect("valid");
        let text = serde_json::to_string(&spec).expect("writes");
        assert_eq!(
            serde_json::from_str::<DeliverySpec>(&text).expect("reads"),
            spec
        );
    }

    #[test]
    fn the_digest_follows_what_is_judged_and_nothing_else() {
        let spec = read(EXAMPLE).expect("valid");
        let same = read(
            &EXAMPLE
                .replace("hd-broadcast", "other")
                .replace("0.5s", "500ms"),
        )
        .expect("valid");
        let stricter = read(&EXAMPLE.replace("longest: 0.5s", "longest: 0.4s")).expect("valid");
        assert_eq!(spec.digest().len(), 64);
        assert_eq!(spec.digest(), same.digest());
        assert_ne!(spec.digest(), stricter.digest());
    }

    #[test]
    fn a_wrong_key_names_its_place_and_the_right_one() {
        let text = read("spec: a\nqc:\n  blak: { longest: 1s }\n")
            .expect_err("key")
            .to_string();
        assert!(
            text.starts_with("spec.yaml:3:3: unknown key \"blak\"") && text.contains("`black`"),
            "{text}"
        );
        let text = read("spec: a\ncomponents: [ { role: mastre } ]\n")
            .expect_err("role")
            .to_string();
        assert!(text.contains("`master`"), "{text}");
    }

    #[test]
    fn every_check_has_a_place_in_the_policy_and_a_published_schema() {
        let schema =
            serde_json::to_value(schemars::schema_for!(DeliverySpec)).expect("serialisable");
        let properties = schema["$defs"]["QcPolicy"]["properties"]
            .as_object()
            .expect("an object");
        for id in CHECK_IDS {
            assert!(properties.contains_key(id), "{id}");
        }
        assert_eq!(properties.len(), CHECK_IDS.len());
    }
}
