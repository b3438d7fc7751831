//! Notifies the supervisor when a child actor stops or panics.
use actix::{Message, Recipient};
use protocol::id::Kind;

/// A child actor of the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Child {
    /// The one executor of the worker.
    Executor,
    /// The consumer of a kind.
    Consumer(Kind),
    /// The one heartbeat of the worker.
    Heartbeat,
}

/// A child is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ChildExited(pub Child);

/// Tells the supervisor when its holder is gone, whether it stopped or panicked.
pub struct ExitGuard {
    child: Child,
    supervisor: Recipient<ChildExited>,
}

impl ExitGuard {
    /// A guard for this child.
    pub fn new(child: Child, supervisor: Recipient<ChildExited>) -> ExitGuard {
        ExitGuard { child, supervisor }
    }
}

impl Drop for ExitGuard {
    #[expect(
        clippy::disallowed_methods,
        reason = "a destructor cannot wait; one message a crash cannot fill a mailbox"
    )]
    fn drop(&mut self) {
        self.supervisor.do_send(ChildExited(self.child));
    }
}
