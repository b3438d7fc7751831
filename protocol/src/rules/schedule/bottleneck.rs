//! Which resource limits the work of one kind.
use crate::rules::schedule::wait_reason::WaitReason;

/// Ready and running units of one kind, and its slots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindLoad {
    /// Units that are ready and not with a worker.
    pub ready: u64,
    /// Slots of live workers that take units.
    pub slots: u32,
    /// Of those, slots that are free.
    pub free: u32,
    /// Why the scheduler passed over ready units of this kind in its last turn.
    pub withheld: Option<WaitReason>,
}

/// The resource that limits the work of a kind; `None` where nothing is ready, or where units are dispatched as fast as
/// they become ready.
pub fn bottleneck(load: &KindLoad) -> Option<WaitReason> {
    match load {
        KindLoad { ready: 0, .. } => None,
        KindLoad { slots: 0, .. } => Some(WaitReason::NoWorker),
        // An endpoint or a share that is full binds before the slots: more workers would change nothing.
        KindLoad {
            withheld: Some(reason),
            ..
        } => Some(*reason),
        KindLoad { free: 0, .. } => Some(WaitReason::NoSlot),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_limit_that_binds_is_named() {
        let full = KindLoad {
            ready: 1,
            slots: 4,
            free: 0,
            withheld: Some(WaitReason::EndpointLimit),
        };
        assert_eq!(bottleneck(&full), Some(WaitReason::EndpointLimit));
        let no_limit = KindLoad {
            withheld: None,
            ..full
        };
        assert_eq!(bottleneck(&no_limit), Some(WaitReason::NoSlot));
        let no_worker = KindLoad { slots: 0, ..full };
        assert_eq!(bottleneck(&no_worker), Some(WaitReason::NoWorker));
        let free = KindLoad {
            free: 1,
            ..no_limit
        };
        assert_eq!(bottleneck(&free), None);
    }

    proptest! {
        #[test]
        fn nothing_limits_where_nothing_is_ready(slots in 0u32..9, free in 0u32..9) {
            let load = KindLoad { ready: 0, slots, free, withheld: Some(WaitReason::TenantShare) };
            prop_assert_eq!(bottleneck(&load), None);
        }
    }
}
