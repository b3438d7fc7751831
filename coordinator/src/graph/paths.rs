//! Which steps of a workflow are before and behind a step.
use protocol::id::StepNo;
use protocol::workflow::{Action, Workflow};

/// Unit steps that decide whether these needs are met, also through barriers.
pub(super) fn units_before(workflow: &Workflow, needs: &[StepNo]) -> Vec<StepNo> {
    let (mut units, mut open) = (Vec::new(), needs.to_vec());
    while let Some(no) = open.pop() {
        let Some(step) = workflow.step(no) else {
            continue;
        };
        match &step.action {
            Action::Units { .. } | Action::Approval { .. } if !units.contains(&no) => {
                units.push(no)
            }
            Action::Barrier { .. } => open.extend(&step.needs),
            _ => {}
        }
    }
    units
}

/// Unit steps behind a barrier, through barriers over it too.
pub(super) fn behind_barrier(workflow: &Workflow, barrier: StepNo) -> Vec<StepNo> {
    let mut behind = Vec::new();
    let mut barriers = vec![barrier];
    while let Some(barrier) = barriers.pop() {
        for (no, step) in workflow.dependents(barrier) {
            let list = if step.has_units() {
                &mut behind
            } else {
                &mut barriers
            };
            if !list.contains(&no) {
                list.push(no);
            }
        }
    }
    behind
}

/// The step that reads the library's own file for the input of a step.
pub(super) fn source_of(workflow: &Workflow, step: StepNo) -> StepNo {
    let mut no = step;
    while let Some(Action::Units {
        reads: Some(from), ..
    }) = workflow.step(no).map(|s| &s.action)
    {
        no = *from;
    }
    no
}

/// Unit steps reachable from `step`, also through barriers, each after those of them that it needs. Steps may be declared
/// in any order.
pub(super) fn dependents(workflow: &Workflow, step: StepNo) -> Vec<StepNo> {
    let mut reached = vec![step];
    // A workflow has no cycles: as many rounds as steps reach every step.
    for _ in 0..workflow.steps.len() {
        let deeper = workflow
            .numbered()
            .filter(|(_, s)| s.needs.iter().any(|need| reached.contains(need)));
        let fresh: Vec<StepNo> = deeper
            .map(|(no, _)| no)
            .filter(|no| !reached.contains(no))
            .collect();
        reached.extend(fresh);
    }
    let mut ordered = vec![step];
    for _ in 0..reached.len() {
        let due = |no: &StepNo| {
            let needs = workflow.step(*no).map_or(&[][..], |s| &s.needs);
            !ordered.contains(no)
                && needs
                    .iter()
                    .all(|need| !reached.contains(need) || ordered.contains(need))
        };
        let next: Vec<StepNo> = reached.iter().copied().filter(due).collect();
        ordered.extend(next);
    }
    ordered
        .into_iter()
        .filter(|no| *no != step && workflow.step(*no).is_some_and(|s| s.has_units()))
        .collect()
}
