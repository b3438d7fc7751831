//! Reasons for which reports of workers are refused.

/// Why reports are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The message has no authenticator.
    Unauthenticated,
    /// No key of the deployment has made the authenticator of the message.
    WrongKey,
    /// The report names another worker than the sender of its message.
    OtherSender,
    /// Another worker is known to hold the unit.
    OtherHolder,
}

impl Refusal {
    /// Every reason for which a report is refused.
    pub const ALL: [Refusal; 4] = [
        Refusal::Unauthenticated,
        Refusal::WrongKey,
        Refusal::OtherSender,
        Refusal::OtherHolder,
    ];

    /// Its name in metrics and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Unauthenticated => "unauthenticated",
            Refusal::WrongKey => "wrong_key",
            Refusal::OtherSender => "other_sender",
            Refusal::OtherHolder => "other_holder",
        }
    }
}
