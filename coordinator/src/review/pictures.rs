//! Pictures of what fails a delivery, as its task holds them while it is pending.
use crate::error::{Answer, Error};
use crate::store::Tx;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A picture that goes with a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskPicture {
    /// `still` or `waveform`.
    pub kind: String,
    /// The check whose finding it shows; the sound as a whole when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Seconds from the start of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<f64>,
    /// `image/jpeg` or `image/png`.
    pub media_type: String,
    /// The image in base64.
    pub image: String,
}

/// Pictures of a task; none where the worker could make none, or the task has ended.
pub fn task_pictures(tx: &mut dyn Tx, no: i64) -> Answer<Vec<TaskPicture>> {
    if tx.task(no)?.is_none() {
        return Err(Error::Unknown(format!(
            "no task {no}: showrunner task list --state all"
        )));
    }
    let text = tx.task_pictures(no)?;
    Ok(text
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}
