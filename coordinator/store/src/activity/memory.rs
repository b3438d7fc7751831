//! What runs in the cluster, in memory.
use super::{Activity, ActivityTx};
use crate::error::StoreResult;
use crate::memory::Memory;

impl ActivityTx for Memory {
    fn activity(&mut self) -> StoreResult<Option<Activity>> {
        Ok(self.activity.clone())
    }

    fn put_activity(&mut self, activity: &Activity) -> StoreResult<()> {
        self.activity = Some(activity.clone());
        Ok(())
    }
}
