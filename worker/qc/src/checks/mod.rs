//! The checks: pure functions from facts and policy to findings. A new check is one file here and one line in [`CHECKS`].
use super::facts::{AudioPass, FactSheet, Stretch, VideoPass, VideoStream};
use super::report::Finding;
use super::subject::Subject;
use protocol::media::asset::Role;
use protocol::media::spec::{Component, DeliverySpec, QcPolicy};
use serde_json::Value;

mod aspect;
mod av_length;
mod black;
mod captions;
mod channels;
mod checksum;
mod codec;
mod color;
mod container;
mod dc_offset;
mod dead_channel;
mod decode;
mod duration;
pub(super) mod field_order;
mod frame_rate;
mod freeze;
mod gamut;
mod layout;
mod levels;
mod loudness;
mod loudness_range;
mod mediaconch;
mod mediainfo;
mod momentary;
mod naming;
mod phase;
pub(super) mod photosensitivity;
mod resolution;
mod sample_rate;
mod short_term;
mod silence;
mod slate;
mod streams;
mod true_peak;
mod truncated;

/// A check by its id.
pub struct Check {
    /// The id in policies and findings.
    pub id: &'static str,
    /// Judges a case.
    pub(super) run: fn(&Case<'_>) -> Ruling,
}

/// Every check, in the order of reports.
pub const CHECKS: [Check; 35] = [
    Check { id: "container", run: container::run },
    Check { id: "codec", run: codec::run },
    Check { id: "resolution", run: resolution::run },
    Check { id: "aspect", run: aspect::run },
    Check { id: "frame_rate", run: frame_rate::run },
    Check { id: "field_order", run: field_order::run },
    Check { id: "color", run: color::run },
    Check { id: "levels", run: levels::run },
    Check { id: "duration", run: duration::run },
    Check { id: "av_length", run: av_length::run },
    Check { id: "decode", run: decode::run },
    Check { id: "truncated", run: truncated::run },
    Check { id: "black", run: black::run },
    Check { id: "freeze", run: freeze::run },
    Check { id: "silence", run: silence::run },
    Check { id: "dead_channel", run: dead_channel::run },
    Check { id: "loudness", run: loudness::run },
    Check { id: "true_peak", run: true_peak::run },
    Check { id: "phase", run: phase::run },
    Check { id: "channels", run: channels::run },
    Check { id: "sample_rate", run: sample_rate::run },
    Check { id: "captions", run: captions::run },
    Check { id: "checksum", run: checksum::run },
    Check { id: "naming", run: naming::run },
    Check { id: "gamut", run: gamut::run },
    Check { id: "loudness_range", run: loudness_range::run },
    Check { id: "short_term", run: short_term::run },
    Check { id: "momentary", run: momentary::run },
    Check { id: "dc_offset", run: dc_offset::run },
    Check { id: "layout", run: layout::run },
    Check { id: "streams", run: streams::run },
    Check { id: "mediainfo", run: mediainfo::run },
    Check { id: "mediaconch", run: mediaconch::run },
    Check { id: "photosensitivity", run: photosensitivity::run },
    Check { id: "slate", run: slate::run },
];

/// Checks that every picture stream has to pass; the others are about the file or its sound.
pub(super) const PICTURE_CHECKS: [&str; 10] =
    ["codec", "resolution", "aspect", "frame_rate", "field_order", "color", "levels", "black", "freeze", "gamut"];

/// Checks of the sound: a picture of the moment shows nothing of what they find.
pub(super) const SOUND_CHECKS: [&str; 10] = [
    "silence",
    "dead_channel",
    "loudness",
    "true_peak",
    "phase",
    "loudness_range",
    "short_term",
    "momentary",
    "dc_offset",
    "av_length",
];

/// What a check says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ruling {
    /// The policy does not ask, or the question does not arise for this kind of asset.
    NotApplicable,
    /// The policy asks and there is no measurement: the verdict cannot be a pass (QC-1).
    NotMeasured(String),
    /// Measured; no finding means it is as demanded.
    Judged(Vec<Finding>),
}

impl Ruling {
    /// As demanded.
    pub(super) fn fine() -> Ruling {
        Ruling::Judged(Vec::new())
    }

    /// Not measured, with the reason.
    pub(super) fn unknown(why: impl Into<String>) -> Ruling {
        Ruling::NotMeasured(why.into())
    }
}

/// Everything a check may look at.
pub(super) struct Case<'a> {
    pub(super) facts: &'a FactSheet,
    pub(super) policy: &'a QcPolicy,
    pub(super) component: Option<&'a Component>,
    pub(super) subject: &'a Subject,
    pub(super) role: Role,
    /// Whether the delivery's sound comes in files of its own, so that a picture without sound is complete.
    pub(super) sound_apart: bool,
}

impl<'a> Case<'a> {
    pub(super) fn new(facts: &'a FactSheet, spec: &'a DeliverySpec, subject: &'a Subject, role: Role) -> Case<'a> {
        let component = spec.component(role);
        let others_bring_it = role != Role::Audio && spec.component(Role::Audio).is_some();
        let sound_apart = others_bring_it && component.is_some_and(|c| !c.wants_sound());
        Case { facts, policy: &spec.qc, component, subject, role, sound_apart }
    }

    /// The picture stream, or what its absence means for a check that needs one.
    pub(super) fn picture(&self) -> Result<&'a VideoStream, Ruling> {
        if !self.role.has_picture() {
            return Err(Ruling::NotApplicable);
        }
        self.facts.video.as_ref().ok_or_else(|| Ruling::unknown("there is no picture in it"))
    }

    /// What the decode found in the picture.
    pub(super) fn seen(&self) -> Result<&'a VideoPass, Ruling> {
        self.picture()?;
        self.trusted()?.video.as_ref().ok_or_else(|| Ruling::unknown("no picture could be decoded"))
    }

    /// What the decode found in the sound, by programme; not empty.
    pub(super) fn heard(&self) -> Result<&'a [AudioPass], Ruling> {
        self.sound()?;
        let heard = &self.trusted()?.audio;
        let decoded: usize = heard.iter().map(|programme| programme.streams.len()).sum();
        if decoded < self.facts.audio.len() {
            return Err(Ruling::unknown("not every sound stream could be decoded"));
        }
        Ok(heard)
    }

    /// Whether there is sound, or what its absence means for a check that needs it.
    pub(super) fn sound(&self) -> Result<(), Ruling> {
        if !self.role.is_timed_media() || (self.facts.audio.is_empty() && self.sound_apart) {
            return Err(Ruling::NotApplicable);
        }
        if self.facts.audio.is_empty() {
            return Err(Ruling::unknown("there is no sound in it"));
        }
        Ok(())
    }

    /// The pass, unless something makes all of its measurements worthless.
    pub(super) fn trusted(&self) -> Result<&'a super::facts::Pass, Ruling> {
        let Some(pass) = &self.facts.pass else { return Err(Ruling::unknown("it was not decoded")) };
        if let Some(why) = &pass.broken {
            return Err(Ruling::unknown(why.clone()));
        }
        if pass.format_changes {
            return Err(Ruling::unknown("a stream changes its format on the way, which restarts every measurement"));
        }
        Ok(pass)
    }

    /// A finding with its severity from the policy.
    pub(super) fn finding(&self, check: &str, measured: Value, limit: Value, unit: &str, message: String) -> Finding {
        Finding {
            check: check.to_owned(),
            severity: self.policy.severity(check),
            measured,
            limit,
            unit: unit.to_owned(),
            ranges: Vec::new(),
            message,
            channel: None,
            stream: None,
        }
    }

    /// A finding about words that differ.
    pub(super) fn differs(&self, check: &str, what: &str, is: &str, want: &str) -> Finding {
        self.finding(check, is.into(), want.into(), "", format!("{what} is {is}, {want} is demanded"))
    }

    /// A finding about stretches that are too long: the longest is the measure.
    pub(super) fn too_long(&self, check: &str, what: &str, found: &[Stretch], longest: f64) -> Finding {
        let most = found.iter().map(|stretch| stretch.seconds()).fold(0.0, f64::max);
        let told: Vec<String> = found.iter().take(3).map(|s| format!("{:.2} s to {:.2} s", s.start, s.end)).collect();
        let more = if found.len() > 3 { format!(" and {} more", found.len() - 3) } else { String::new() };
        let message = format!("{what} {}{more}: {most:.2} s at most, {longest:.2} s allowed", told.join(", "));
        let mut finding = self.finding(check, rounded(most), rounded(longest), "s", message);
        finding.ranges = found.iter().map(|s| [round(s.start), round(s.end)]).collect();
        finding
    }
}

/// Rules a check whose preconditions are `Err` when they do not hold.
pub(super) fn ruled(result: Result<Vec<Finding>, Ruling>) -> Ruling {
    match result {
        Ok(findings) => Ruling::Judged(findings),
        Err(ruling) => ruling,
    }
}

/// Stretches longer than allowed. A thousandth of a second is beyond what any time base resolves.
pub(super) fn longer_than(stretches: &[Stretch], longest: f64) -> Vec<Stretch> {
    stretches.iter().copied().filter(|stretch| stretch.seconds() > longest + 0.001).collect()
}

/// Seconds and decibels to a thousandth: what findings show.
pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// [`round`] as JSON.
pub(super) fn rounded(value: f64) -> Value {
    Value::from(round(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::media::spec::CHECK_IDS;

    #[test]
    fn every_id_of_the_policy_has_its_check_in_the_same_order() {
        assert_eq!(CHECKS.map(|check| check.id), CHECK_IDS);
    }
}
