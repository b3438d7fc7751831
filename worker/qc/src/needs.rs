//! What one decode must measure, so that a policy can be judged.
use super::checks;
use super::graph::Needs;
use protocol::media::asset::Role;
use protocol::media::spec::DeliverySpec;

/// Stretches from this length on are looked for, in seconds, however long a policy allows them to be: another limit is
/// then another judgement and no other decode.
const SHORTEST: f64 = 0.2;

/// What the decode must measure for this policy.
pub(super) fn needs(spec: &DeliverySpec, role: Role, has_video: bool) -> Needs {
    let qc = &spec.qc;
    let picture = role.has_picture() && has_video;
    let seconds = |span: protocol::quantity::Span| span.0.as_secs_f64().min(SHORTEST);
    let black = qc.black.as_ref().map(|check| (check.area.0, check.level.0));
    // A freeze in black is no freeze, so freezes are measured together with black.
    let black = black.or_else(|| qc.freeze.as_ref().map(|_| (0.98, 0.10)));
    Needs {
        black: black.filter(|_| picture),
        freeze: qc.freeze.as_ref().filter(|_| picture).map(|check| (check.noise.0, seconds(check.longest))),
        scan: checks::field_order::threshold(spec, role).filter(|_| picture),
        levels: picture && qc.levels.is_some(),
        silence: qc.silence.as_ref().map(|check| (check.noise.0, seconds(check.longest))),
        loudness: qc.loudness.is_some()
            || qc.true_peak.is_some()
            || qc.loudness_range.is_some()
            || qc.short_term.is_some()
            || qc.momentary.is_some(),
        phase: qc.phase.as_ref().map(|check| seconds(check.longest)),
        gamut: picture && qc.gamut.is_some(),
        mediainfo: qc.mediainfo.is_some(),
        mediaconch: qc.mediaconch.as_ref().map(|check| check.policy.clone()),
    }
}
