//! Origin of the assets of a unit: a manifest that declares them, or a listing of files.
use protocol::id::Kind;
use protocol::media::asset::Asset;
use protocol::media::role_pattern::RolePattern;
use protocol::workflow::{Step, Workflow};

/// Origin of the assets of a step, as far as it affects their units.
#[derive(Default)]
pub(super) struct Origin {
    /// Whether a listing found them: a manifest declares sizes and roles, a listing has seen files and their names.
    listed: bool,
    /// The pattern that declares roles.
    roles: Option<RolePattern>,
    /// Whether the units judge by roles.
    judges: bool,
}

impl Origin {
    /// Of the assets that a step works on.
    pub(super) fn of(workflow: &Workflow, step: &Step) -> Origin {
        let judges = step.kind() == Some(Kind::Qc);
        let listed =
            workflow.lists_its_library() && (judges || step.kind() == Some(Kind::Transfer));
        Origin {
            listed,
            roles: (listed && judges)
                .then(|| workflow.role_pattern())
                .flatten(),
            judges,
        }
    }

    /// Notes it in an asset of a unit. `copied`: the unit reads a copy that an earlier step made.
    pub(super) fn note(&self, asset: &mut Asset, copied: bool) {
        if !self.listed {
            return;
        }
        asset.note_listed(copied);
        if self.judges
            && !self
                .roles
                .as_ref()
                .is_some_and(|pattern| pattern.declares_role(&asset.path))
        {
            asset.note_inferred_role();
        }
    }
}
