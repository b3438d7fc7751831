//! How the children of the supervisor say that they are gone.
use actix::{Message, Recipient};
use protocol::id::Kind;

/// Which child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Child {
    /// The executor.
    Executor,
    /// The consumer of a kind.
    Consumer(Kind),
    /// The heartbeat.
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
    #[expect(clippy::disallowed_methods, reason = "a destructor cannot wait; one message a crash cannot flood anybody")]
    fn drop(&mut self) {
        self.supervisor.do_send(ChildExited(self.child));
    }
}
