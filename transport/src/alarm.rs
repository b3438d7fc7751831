//! One line for one trouble: said when it begins, again every minute, and when it is over. What is met a thousand times a
//! second is still one thing to an operator.
use parking_lot::Mutex;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Between two lines about the same trouble.
const AGAIN: Duration = Duration::from_secs(60);

/// The state of one thing that may be in trouble.
#[derive(Debug)]
pub struct Alarm {
    /// What is in trouble, as a sentence begins.
    what: &'static str,
    said: Mutex<Option<(Instant, String)>>,
}

impl Alarm {
    /// Nothing is wrong yet.
    pub fn new(what: &'static str) -> Alarm {
        Alarm { what, said: Mutex::default() }
    }

    /// Notes a failure; says so when it is new, another one, or has lasted.
    pub fn raise(&self, why: &dyn Display) {
        let why = why.to_string();
        let mut said = self.said.lock();
        // Errors of one kind differ in detail: their first words tell them apart.
        let kind = |text: &str| text.split([':', '-']).next().unwrap_or_default().to_owned();
        let old = said.as_ref().is_some_and(|(at, before)| at.elapsed() < AGAIN && kind(before) == kind(&why));
        if !old {
            tracing::error!(error = %why, "{}", self.what);
            *said = Some((Instant::now(), why));
        }
    }

    /// Notes that it works; says so when it did not before.
    pub fn clear(&self) {
        let mut said = self.said.lock();
        if said.take().is_some() {
            tracing::warn!("over: {}", self.what);
        }
    }
}
