//! From a delivery spec to what one decode of a file has to measure.
use crate::CHECKS;
use crate::delivery::DeliverySpec;
use crate::needs::{Asked, Needs};
use protocol::media::asset::Role;

/// What the decode must measure for this spec.
pub fn needs(spec: &DeliverySpec, role: Role, has_video: bool) -> Needs {
    let picture = role.has_picture() && has_video;
    let asked = Asked {
        demands: &spec.qc,
        component: spec.component(role),
        picture,
    };
    let mut needs = Needs::default();
    for check in &CHECKS {
        (check.needs)(&asked, &mut needs);
    }
    needs
}
