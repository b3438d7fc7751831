//! Which units and control messages a worker believes. Other workers may add entries to its streams; those that the
//! coordinator has not signed are refused, once it is known that it signs.
use parking_lot::Mutex;
use protocol::wire::keys;
use redis::cmd;
use std::sync::atomic::{AtomicBool, Ordering};
use transport::Connection;
use transport::signature::Verifier;

/// Why an entry is refused.
pub(super) const UNSIGNED: &str =
    "it is not signed by the coordinator: another program, or another worker, has added it";

/// What a worker knows of the coordinator's key.
#[derive(Default)]
pub(super) struct Trust {
    verifier: Mutex<Option<Verifier>>,
    warned: AtomicBool,
}

impl Trust {
    /// Whether no key was found yet.
    pub(super) fn is_open(&self) -> bool {
        self.verifier.lock().is_none()
    }

    /// Asks for the key. A server that was wiped, or an older list of users that denies the question, changes nothing.
    pub(super) async fn renew(&self, connection: &mut Connection) {
        let told: Result<Option<String>, _> =
            cmd("GET").arg(keys::KEY).query_async(connection).await;
        if let Ok(Some(public)) = told {
            let mut verifier = self.verifier.lock();
            if !verifier.as_ref().is_some_and(|known| known.is_of(&public)) {
                *verifier = Some(Verifier::of(public));
            }
        }
    }

    /// Whether an entry is believed.
    pub(super) fn believes(&self, body: &[u8], signature: Option<&Vec<u8>>) -> bool {
        match (self.verifier.lock().as_mut(), signature) {
            (Some(verifier), Some(signature)) => verifier.verifies(body, signature),
            (Some(_), None) => false,
            (None, _) => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "the coordinator's key cannot be read: units are run unchecked; upgrade the coordinator, and let \
                         this Redis user GET {}",
                        keys::KEY
                    );
                }
                true
            }
        }
    }

    /// Whether a control message is believed. Without a key each is, as units are.
    pub(super) fn believes_control(&self, body: &[u8], signature: Option<&[u8]>) -> bool {
        match (self.verifier.lock().as_ref(), signature) {
            (Some(verifier), Some(signature)) => verifier.verifies_control(body, signature),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use transport::signature::{Signer, fresh_seed};

    #[test]
    fn unsigned_units_are_believed_only_while_no_key_is_known() {
        let signer = fresh_seed()
            .and_then(|seed| Signer::of(&seed))
            .expect("the system has randomness");
        let (trust, signed) = (
            Trust::default(),
            signer.sign([b"a unit".as_slice()].into_iter()).remove(0),
        );
        assert!(
            trust.is_open()
                && trust.believes(b"a unit", None)
                && trust.believes(b"another", Some(&signed))
        );
        *trust.verifier.lock() = Some(Verifier::of(signer.public()));
        assert!(trust.believes(b"a unit", Some(&signed)));
        assert!(!trust.believes(b"a unit", None) && !trust.believes(b"another", Some(&signed)));
    }

    #[test]
    fn unsigned_control_messages_are_believed_only_while_no_key_is_known() {
        let signer = fresh_seed()
            .and_then(|seed| Signer::of(&seed))
            .expect("the system has randomness");
        let (trust, signature) = (Trust::default(), signer.sign_control(b"drain"));
        assert!(trust.believes_control(b"drain", None));
        *trust.verifier.lock() = Some(Verifier::of(signer.public()));
        assert!(trust.believes_control(b"drain", Some(&signature)));
        assert!(!trust.believes_control(b"drain", None));
        assert!(!trust.believes_control(b"release", Some(&signature)));
    }
}
