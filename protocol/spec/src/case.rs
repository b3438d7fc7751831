//! The input and the outcome of a check.
use crate::component::Component;
use crate::facts::{AudioPass, FactSheet, Pass, VideoPass, VideoStream};
use crate::media_under_test::MediaUnderTest;
use crate::stretch::Stretch;
use protocol::media::asset::Role;
use protocol::model::qc::{Finding, Severity};
use serde_json::Value;
use std::any::{Any, TypeId};

/// The checks that a spec demands, by the type of their limits. Checks see a policy through this: the policy itself is
/// made of all checks.
pub(crate) trait Demands {
    /// The limits of this type; `None` where the spec does not demand the check.
    fn find(&self, limits: TypeId) -> Option<&dyn Any>;
}

/// The limits of a check, where the spec demands it.
pub(crate) fn limits_of<L: 'static>(demands: &dyn Demands) -> Option<&L> {
    demands.find(TypeId::of::<L>())?.downcast_ref()
}

/// The answer of a check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CheckOutcome {
    /// The policy does not demand the check, or it does not apply to this kind of asset.
    NotApplicable,
    /// The policy demands the check and there is no measurement: the verdict cannot be a pass (QC-1).
    NotMeasured(String),
    /// The check was made; without a finding the media is as demanded.
    Judged(Vec<Finding>),
}

impl CheckOutcome {
    /// The media is as demanded.
    pub(crate) fn fine() -> CheckOutcome {
        CheckOutcome::Judged(Vec::new())
    }

    /// Not measured, with the reason.
    pub(crate) fn unknown(why: impl Into<String>) -> CheckOutcome {
        CheckOutcome::NotMeasured(why.into())
    }
}

/// The outcome of a check whose preconditions are `Err` when they do not hold.
pub(crate) fn outcome(result: Result<Vec<Finding>, CheckOutcome>) -> CheckOutcome {
    match result {
        Ok(findings) => CheckOutcome::Judged(findings),
        Err(outcome) => outcome,
    }
}

/// The input of a check.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) facts: &'a FactSheet,
    pub(crate) demands: &'a dyn Demands,
    pub(crate) component: Option<&'a Component>,
    pub(crate) media: &'a MediaUnderTest,
    pub(crate) role: Role,
    /// Whether the delivery's sound comes in files of its own, so that a picture without sound is complete.
    pub(crate) separate_sound: bool,
    /// Id of the check.
    pub(crate) check: &'static str,
    /// Severity of the findings of this check.
    pub(crate) severity: Severity,
}

impl<'a> Case<'a> {
    /// The limits of a check, where the spec demands it.
    pub(crate) fn limits<L: 'static>(&self) -> Option<&'a L> {
        limits_of(self.demands)
    }

    /// The picture stream, or the outcome of a check that needs one.
    pub(crate) fn picture(&self) -> Result<&'a VideoStream, CheckOutcome> {
        if !self.role.has_picture() {
            return Err(CheckOutcome::NotApplicable);
        }
        self.facts
            .video
            .as_ref()
            .ok_or_else(|| CheckOutcome::unknown("there is no picture in it"))
    }

    /// What the decode measured of the picture.
    pub(crate) fn measured_picture(&self) -> Result<&'a VideoPass, CheckOutcome> {
        self.picture()?;
        self.trusted()?
            .video
            .as_ref()
            .ok_or_else(|| CheckOutcome::unknown("no picture could be decoded"))
    }

    /// What the decode measured of the sound, by programme; not empty.
    pub(crate) fn measured_audio(&self) -> Result<&'a [AudioPass], CheckOutcome> {
        self.sound()?;
        let measured = &self.trusted()?.audio;
        let decoded: usize = measured
            .iter()
            .map(|programme| programme.streams.len())
            .sum();
        if decoded < self.facts.audio.len() {
            return Err(CheckOutcome::unknown(
                "not every sound stream could be decoded",
            ));
        }
        Ok(measured)
    }

    /// Whether there is sound, or the outcome of a check that needs it.
    pub(crate) fn sound(&self) -> Result<(), CheckOutcome> {
        if !self.role.is_timed_media() || (self.facts.audio.is_empty() && self.separate_sound) {
            return Err(CheckOutcome::NotApplicable);
        }
        if self.facts.audio.is_empty() {
            return Err(CheckOutcome::unknown("there is no sound in it"));
        }
        Ok(())
    }

    /// The decode, unless something makes all of its measurements worthless.
    pub(crate) fn trusted(&self) -> Result<&'a Pass, CheckOutcome> {
        let Some(pass) = &self.facts.pass else {
            return Err(CheckOutcome::unknown("it was not decoded"));
        };
        if let Some(why) = &pass.broken {
            return Err(CheckOutcome::unknown(why.clone()));
        }
        if pass.format_changes {
            let why = "a stream changes its format on the way, which restarts every measurement";
            return Err(CheckOutcome::unknown(why));
        }
        Ok(pass)
    }

    /// A finding of this check.
    pub(crate) fn finding(
        &self,
        measured: Value,
        limit: Value,
        unit: &str,
        message: String,
    ) -> Finding {
        Finding {
            check: self.check.to_owned(),
            severity: self.severity,
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
    pub(crate) fn differs(&self, what: &str, is: &str, want: &str) -> Finding {
        self.finding(
            is.into(),
            want.into(),
            "",
            format!("{what} is {is}, {want} is demanded"),
        )
    }

    /// A finding about stretches that are too long: the longest is the measured value.
    pub(crate) fn too_long(&self, what: &str, found: &[Stretch], longest: f64) -> Finding {
        let most = found
            .iter()
            .map(|stretch| stretch.seconds())
            .fold(0.0, f64::max);
        let first: Vec<String> = found
            .iter()
            .take(3)
            .map(|s| format!("{:.2} s to {:.2} s", s.start, s.end))
            .collect();
        let more = if found.len() > 3 {
            format!(" and {} more", found.len() - 3)
        } else {
            String::new()
        };
        let message = format!(
            "{what} {}{more}: {most:.2} s at most, {longest:.2} s allowed",
            first.join(", ")
        );
        let mut finding = self.finding(rounded(most), rounded(longest), "s", message);
        finding.ranges = found
            .iter()
            .map(|s| [round(s.start), round(s.end)])
            .collect();
        finding
    }
}

/// Stretches longer than allowed. A thousandth of a second is beyond what any time base resolves.
pub(crate) fn longer_than(stretches: &[Stretch], longest: f64) -> Vec<Stretch> {
    stretches
        .iter()
        .copied()
        .filter(|stretch| stretch.seconds() > longest + 0.001)
        .collect()
}

/// Rounds seconds and decibels to a thousandth, as findings show them.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// [`round`] as JSON.
pub(crate) fn rounded(value: f64) -> Value {
    Value::from(round(value))
}
