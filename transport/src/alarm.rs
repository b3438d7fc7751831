//! Rate-limits a repeated warning: logs when a condition starts, once a minute while it lasts, and when it ends.
use parking_lot::Mutex;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Interval between two log lines about the same condition.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// One condition that may fail.
#[derive(Debug)]
pub struct Alarm {
    message: &'static str,
    /// The last log line while the condition lasts: its time and error.
    logged: Mutex<Option<(Instant, String)>>,
}

impl Alarm {
    /// An alarm in its normal state; `message` describes the failure.
    pub fn new(message: &'static str) -> Alarm {
        Alarm {
            message,
            logged: Mutex::default(),
        }
    }

    /// Records a failure. Logs it when the condition is new, has another error, or has lasted for a minute.
    pub fn raise(&self, error: &dyn Display) {
        let error = error.to_string();
        let mut logged = self.logged.lock();
        // Errors of one kind differ in their details, so only the first words are compared.
        let kind = |text: &str| text.split([':', '-']).next().unwrap_or_default().to_owned();
        let recent = logged.as_ref().is_some_and(|(at, before)| {
            at.elapsed() < REPEAT_INTERVAL && kind(before) == kind(&error)
        });
        if !recent {
            tracing::error!(%error, "{}", self.message);
            *logged = Some((Instant::now(), error));
        }
    }

    /// Records a success. Logs it when the condition had failed.
    pub fn clear(&self) {
        if self.logged.lock().take().is_some() {
            tracing::warn!("resolved: {}", self.message);
        }
    }
}
