//! The deployment that a Redis server belongs to.
use super::QueueError;
use parking_lot::Mutex;
use transport::alarm::Alarm;

/// The mark of this deployment, and a foreign one that was found instead.
pub(super) struct DeploymentMark {
    /// The deployment of this process; without one nothing is compared.
    pub(super) own: Option<String>,
    /// The deployment that was found there instead.
    pub(super) foreign: Mutex<Option<String>>,
    pub(super) unguarded: Alarm,
}

impl Default for DeploymentMark {
    fn default() -> DeploymentMark {
        DeploymentMark {
            own: None,
            foreign: Mutex::default(),
            unguarded: Alarm::new(
                "the Redis user may not write the deployment mark; a second database on this Redis would go undetected",
            ),
        }
    }
}

impl DeploymentMark {
    /// An error once the transport has turned out to be another deployment's.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        match (&self.own, self.foreign.lock().as_ref()) {
            (Some(own), Some(found)) => Err(QueueError::Foreign {
                own: own.clone(),
                found: found.clone(),
            }),
            _ => Ok(()),
        }
    }
}
