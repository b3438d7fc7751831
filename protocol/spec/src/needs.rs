//! What one decode must measure, so that a policy can be judged.
use crate::case::{Demands, limits_of};
use crate::component::Component;
use protocol::quantity::Span;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Detectors report stretches from this length on, in seconds, however long a policy allows them to be: another limit then
/// needs no other decode.
const SHORTEST: f64 = 0.2;

/// The shortest stretch that detectors report, in seconds, where a policy allows this much.
pub(crate) fn shortest(allowed: Span) -> f64 {
    allowed.0.as_secs_f64().min(SHORTEST)
}

/// What a spec demands of a file, for checks that say what they need measured.
pub(crate) struct Asked<'a> {
    pub(crate) demands: &'a dyn Demands,
    pub(crate) component: Option<&'a Component>,
    /// Whether the file has a picture and its role expects one.
    pub(crate) picture: bool,
}

impl<'a> Asked<'a> {
    /// The limits of a check, where the spec demands it.
    pub(crate) fn limits<L: 'static>(&self) -> Option<&'a L> {
        limits_of(self.demands)
    }
}

/// What the decode has to measure. Everything that decodes is decoded in any case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Needs {
    /// Share of the picture and luma level of black.
    pub black: Option<(f64, f64)>,
    /// Noise in dB and shortest stretch in seconds.
    pub freeze: Option<(f64, f64)>,
    /// How much rougher than a whole frame a pair of fields must look; absent where the scan is not measured.
    pub scan: Option<f64>,
    /// Whether luma is compared with EBU R 103.
    pub levels: bool,
    /// Noise in dB and shortest stretch in seconds.
    pub silence: Option<(f64, f64)>,
    /// Whether loudness and true peak are measured.
    pub loudness: bool,
    /// Shortest stretch out of phase in seconds.
    pub phase: Option<f64>,
    /// Whether red, green and blue are compared with EBU R 103.
    pub gamut: bool,
    /// Whether MediaInfo is run.
    pub mediainfo: bool,
    /// The policy that MediaConch compares the file with.
    pub mediaconch: Option<String>,
    /// Settings of further measurements, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measures: BTreeMap<String, Value>,
}

impl Needs {
    /// Whether a decode that measured this has all that `wanted` asks for.
    pub fn covers(&self, wanted: &Needs) -> bool {
        let stretches = |has: Option<(f64, f64)>, wanted: Option<(f64, f64)>| {
            // A detector for shorter stretches reports longer ones, too; another threshold gives other stretches.
            wanted.is_none_or(|(at, least)| has.is_some_and(|(is, from)| is == at && from <= least))
        };
        wanted.black.is_none_or(|black| self.black == Some(black))
            && stretches(self.freeze, wanted.freeze)
            && wanted.scan.is_none_or(|scan| self.scan == Some(scan))
            && (self.levels || !wanted.levels)
            && stretches(self.silence, wanted.silence)
            && (self.loudness || !wanted.loudness)
            && wanted
                .phase
                .is_none_or(|least| self.phase.is_some_and(|from| from <= least))
            && (self.gamut || !wanted.gamut)
            && (self.mediainfo || !wanted.mediainfo)
            && (wanted.mediaconch.is_none() || self.mediaconch == wanted.mediaconch)
            && wanted
                .measures
                .iter()
                .all(|(name, settings)| self.measures.get(name) == Some(settings))
    }

    /// These needs and, where one decode can measure both, those of an earlier decode: a new fact sheet should not lose
    /// what the earlier one had.
    #[must_use]
    pub fn with(&self, earlier: &Needs) -> Needs {
        let stretches = |ours: Option<(f64, f64)>, theirs: Option<(f64, f64)>| match (ours, theirs)
        {
            (Some((at, least)), Some((is, from))) if at == is => Some((at, least.min(from))),
            (ours, theirs) => ours.or(theirs),
        };
        let mut measures = earlier.measures.clone();
        measures.extend(self.measures.clone());
        Needs {
            black: self.black.or(earlier.black),
            freeze: stretches(self.freeze, earlier.freeze),
            scan: self.scan.or(earlier.scan),
            levels: self.levels || earlier.levels,
            silence: stretches(self.silence, earlier.silence),
            loudness: self.loudness || earlier.loudness,
            phase: match (self.phase, earlier.phase) {
                (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
                (ours, theirs) => ours.or(theirs),
            },
            gamut: self.gamut || earlier.gamut,
            mediainfo: self.mediainfo || earlier.mediainfo,
            mediaconch: self
                .mediaconch
                .clone()
                .or_else(|| earlier.mediaconch.clone()),
            measures,
        }
    }
}
