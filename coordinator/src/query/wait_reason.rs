//! Wait reasons in words: one table of messages and one of next steps.
use protocol::rules::schedule::wait_reason::WaitReason;

/// Why a unit waits; `named` is the step, barrier or archive that it waits for.
pub fn message(reason: WaitReason, named: &str) -> String {
    match reason {
        WaitReason::JobPaused => "the job is paused: resume it".into(),
        WaitReason::JobCancelled => "the job has been cancelled".into(),
        WaitReason::Scanning => "the library is still being listed".into(),
        WaitReason::Planning => "the partition has not been planned yet".into(),
        WaitReason::NeedsStep => format!("waits for step {named} of the same assets"),
        WaitReason::BarrierWaiting => format!("waits for barrier {named}"),
        WaitReason::BarrierHeld => format!("barrier {named} is held by failures: retry them"),
        WaitReason::NeedsFailed => format!("step {named} failed for these assets: retry it"),
        WaitReason::Restoring => format!("{named}; no slot is held meanwhile"),
        WaitReason::TaskOpen => "waits for a decision".into(),
        WaitReason::Backoff => "failed, pauses before the next attempt".into(),
        WaitReason::NoWorker => "no live worker has slots of this kind".into(),
        WaitReason::EndpointBackoff => "an endpoint it uses asked for a pause".into(),
        WaitReason::EndpointLimit => {
            "an endpoint it uses is at its limit: wait for its units to end, or raise it".into()
        }
        WaitReason::TenantShare => {
            "the tenant exceeds its fair share; other tenants are scheduled first".into()
        }
        WaitReason::ClassShare => {
            "work of a higher class, or the share of light work, is scheduled first".into()
        }
        WaitReason::WorkersLeave => {
            "every worker of this kind leaves before the unit would end: start another".into()
        }
        WaitReason::SlicesOpen => {
            "several workers share it, and not all of its slices have ended".into()
        }
        WaitReason::NoSlot => "ready; waits for a free slot".into(),
        WaitReason::Running => "is with a worker".into(),
        WaitReason::Ended => "has ended".into(),
    }
}

/// The event that ends the wait, or the command that does.
pub fn next_step(reason: WaitReason, job: &str) -> String {
    match reason {
        WaitReason::JobPaused => format!("showrunner job resume {job}"),
        WaitReason::JobCancelled => "nothing: submit the job again".into(),
        WaitReason::Scanning => "the end of the listing".into(),
        WaitReason::Planning => "the next turns of the coordinator".into(),
        WaitReason::NeedsStep => "the end of that step for these assets".into(),
        WaitReason::BarrierWaiting => "the end of the barrier's other members, or its time".into(),
        WaitReason::BarrierHeld | WaitReason::NeedsFailed => {
            format!(
                "fix the cause, then: showrunner job retry {job}; showrunner failure list --job {job}"
            )
        }
        WaitReason::Restoring => "the next check of the archive".into(),
        WaitReason::TaskOpen => format!("a decision: showrunner task list --job {job}"),
        WaitReason::Backoff => "the end of the pause".into(),
        WaitReason::NoWorker => "a worker with slots of this kind; showrunner worker list".into(),
        WaitReason::EndpointBackoff => "the end of the pause the endpoint asked for".into(),
        WaitReason::EndpointLimit => {
            "the end of another unit at that endpoint, or a higher limit".into()
        }
        WaitReason::TenantShare => "the end of units of the same tenant".into(),
        WaitReason::ClassShare => {
            format!(
                "waits for higher-priority units; raise it with: showrunner job priority {job} urgent"
            )
        }
        WaitReason::WorkersLeave => "a worker that stays".into(),
        WaitReason::SlicesOpen => "the end of its slices".into(),
        WaitReason::NoSlot => "the next free slot, or more workers".into(),
        WaitReason::Running => "its end, or the end of its worker".into(),
        WaitReason::Ended => {
            format!("nothing; to retry failed units: showrunner job retry {job} --all")
        }
    }
}
