//! Signatures of what the coordinator hands out. Every worker may add entries to the streams of units, since it gives back
//! what it cannot read: so an entry counts only when the coordinator has signed it. The private half of the key lies in
//! the database, the public half where workers may read and not write.
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// Bytes of a seed.
const SEED_BYTES: usize = 32;
/// What is signed begins with this: a signature made for units is good for nothing else.
const PURPOSE: &[u8] = b"showrunner unit 1\n";

/// A new seed in hexadecimal; nothing where the system has no randomness to give.
pub fn fresh_seed() -> Option<String> {
    let mut seed = [0; SEED_BYTES];
    aws_lc_rs::rand::fill(&mut seed).ok()?;
    Some(hex(&seed))
}

/// Signs.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// The signer of a seed; nothing when it is none.
    pub fn of(seed: &str) -> Option<Signer> {
        Ed25519KeyPair::from_seed_unchecked(&bytes(seed)?).ok().map(Signer)
    }

    /// The public half of its key, in hexadecimal.
    pub fn public(&self) -> String {
        hex(self.0.public_key().as_ref())
    }

    /// The signature of these bytes.
    pub fn sign(&self, body: &[u8]) -> Vec<u8> {
        self.0.sign(&[PURPOSE, body].concat()).as_ref().to_vec()
    }
}

/// Whether the holder of the private half of this key has signed these bytes.
pub fn verifies(public: &str, body: &[u8], signature: &[u8]) -> bool {
    let Some(public) = bytes(public) else { return false };
    UnparsedPublicKey::new(&ED25519, public).verify(&[PURPOSE, body].concat(), signature).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_of_its_bytes_and_its_key_alone() {
        let seed = fresh_seed().expect("the system has randomness");
        let signer = Signer::of(&seed).expect("a seed");
        let other = Signer::of(&fresh_seed().expect("another")).expect("a seed");
        let signature = signer.sign(b"a unit");
        assert!(verifies(&signer.public(), b"a unit", &signature));
        assert!(!verifies(&signer.public(), b"b unit", &signature));
        assert!(!verifies(&other.public(), b"a unit", &signature));
        assert!(!verifies(&signer.public(), b"a unit", b""));
        assert_eq!(Signer::of(&seed).expect("the same").public(), signer.public());
        for nothing in ["", "xx", "00", "é0"] {
            assert!(Signer::of(nothing).is_none() && !verifies(nothing, b"a unit", &signature), "{nothing}");
        }
    }
}
