//! Signatures of units and control messages. Every worker may add entries to the streams of units, since it returns entries that it cannot read.
//! An entry is therefore valid only with a signature of the coordinator. The private half of the key is in the database,
//! the public half in a Redis key that workers may read and not write.
//!
//! Entries that are published together share one signature: that of the root of a hash tree over them. Each entry carries
//! its path to the root and is verified alone; a worker checks a root once. Leaves and nodes are hashed with different
//! prefixes (RFC 6962 §2.1), so that a node is never accepted as an entry.
//!
//! A control message is rare and is signed alone, with a prefix of its own.
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// Length of a seed in bytes.
const SEED_BYTES: usize = 32;
/// Prefix of the signed message. It makes a signature of units invalid for any other purpose.
const PURPOSE: &[u8] = b"showrunner units 1\n";
/// The same for control messages.
const CONTROL_PURPOSE: &[u8] = b"showrunner control 1\n";
/// Length of an Ed25519 signature (RFC 8032 §5.1.6).
const SIGNATURE_BYTES: usize = 64;
/// Length of a step of a path in bytes: the side of the sibling, and its hash.
const STEP_BYTES: usize = 1 + HASH_BYTES;
const HASH_BYTES: usize = 32;
/// Steps of the longest path: a tree over 2^32 entries.
const STEPS_MAX: usize = 32;

type Hash = [u8; HASH_BYTES];

/// The side of a node's sibling.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left = 0,
    Right = 1,
}

/// A new seed in hexadecimal; `None` where the system has no randomness.
pub fn fresh_seed() -> Option<String> {
    let mut seed = [0; SEED_BYTES];
    aws_lc_rs::rand::fill(&mut seed).ok()?;
    Some(hex(&seed))
}

/// Signs units with the private half of the key.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// The signer of a seed in hexadecimal; `None` for any other text.
    pub fn of(seed: &str) -> Option<Signer> {
        Ed25519KeyPair::from_seed_unchecked(&bytes(seed)?)
            .ok()
            .map(Signer)
    }

    /// The public half of its key, in hexadecimal.
    pub fn public(&self) -> String {
        hex(self.0.public_key().as_ref())
    }

    /// Proofs of bodies that are published together, one each: a signature, and the path from the body to the signed root.
    pub fn sign<'a>(&self, bodies: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let mut level: Vec<Hash> = bodies.map(leaf).collect();
        let mut paths = vec![vec![0; SIGNATURE_BYTES]; level.len()];
        let mut width = 1;
        while level.len() > 1 {
            for (at, path) in paths.iter_mut().enumerate() {
                let node = at / width;
                let (sibling, side) = if node % 2 == 0 {
                    (node + 1, Side::Right)
                } else {
                    (node - 1, Side::Left)
                };
                // The last node of an odd level has no sibling and moves up unchanged.
                if let Some(hash) = level.get(sibling) {
                    path.push(side as u8);
                    path.extend(hash);
                }
            }
            level = level
                .chunks(2)
                .map(|pair| {
                    if let [left, right] = pair {
                        node(left, right)
                    } else {
                        pair[0]
                    }
                })
                .collect();
            width *= 2;
        }
        if let Some(root) = level.first() {
            let signature = self.0.sign(&[PURPOSE, root].concat());
            paths
                .iter_mut()
                .for_each(|path| path[..SIGNATURE_BYTES].copy_from_slice(signature.as_ref()));
        }
        paths
    }

    /// The signature of a control message.
    pub fn sign_control(&self, body: &[u8]) -> Vec<u8> {
        let signature = self.0.sign(&[CONTROL_PURPOSE, body].concat());
        signature.as_ref().to_vec()
    }
}

/// Checks proofs against one public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    public: String,
    /// The root that was verified last: entries of one tree arrive in sequence.
    root: Option<Hash>,
}

impl Verifier {
    /// The verifier of a public key in hexadecimal.
    pub fn of(public: String) -> Verifier {
        Verifier { public, root: None }
    }

    /// Whether this verifier uses this public key.
    pub fn is_of(&self, public: &str) -> bool {
        self.public == public
    }

    /// Whether the proof shows a signature of these bytes by the private half of this key.
    pub fn verifies(&mut self, body: &[u8], proof: &[u8]) -> bool {
        let Some((signature, path)) = proof.split_at_checked(SIGNATURE_BYTES) else {
            return false;
        };
        let Some(root) = root(body, path) else {
            return false;
        };
        if self.root == Some(root) {
            return true;
        }
        let verified = self.is_signed(&[PURPOSE, &root].concat(), signature);
        if verified {
            self.root = Some(root);
        }
        verified
    }

    /// Whether this is a signature of a control message by the private half of this key.
    pub fn verifies_control(&self, body: &[u8], signature: &[u8]) -> bool {
        self.is_signed(&[CONTROL_PURPOSE, body].concat(), signature)
    }

    fn is_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        bytes(&self.public).is_some_and(|public| {
            UnparsedPublicKey::new(&ED25519, public)
                .verify(message, signature)
                .is_ok()
        })
    }
}

/// The root that a path leads to from a body; `None` for bytes that are no path.
fn root(body: &[u8], path: &[u8]) -> Option<Hash> {
    if path.len() > STEPS_MAX * STEP_BYTES {
        return None;
    }
    let mut steps = path.chunks(STEP_BYTES);
    steps.try_fold(leaf(body), |below, step| {
        let (side, sibling) = step.split_first()?;
        let sibling: Hash = sibling.try_into().ok()?;
        match *side {
            side if side == Side::Left as u8 => Some(node(&sibling, &below)),
            side if side == Side::Right as u8 => Some(node(&below, &sibling)),
            _ => None,
        }
    })
}

fn leaf(body: &[u8]) -> Hash {
    hash(&[&[0], body])
}

fn node(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        fresh_seed()
            .and_then(|seed| Signer::of(&seed))
            .expect("the system has randomness")
    }

    fn signed(signer: &Signer, bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
        signer.sign(bodies.iter().map(Vec::as_slice))
    }

    #[test]
    fn signature_is_valid_only_for_its_bytes_and_key() {
        let seed = fresh_seed().expect("the system has randomness");
        let (ours, other) = (Signer::of(&seed).expect("a seed"), signer());
        let proof = &signed(&ours, &[b"a unit".to_vec()])[0];
        let verifies = |public: &str, body: &[u8], proof: &[u8]| {
            Verifier::of(public.into()).verifies(body, proof)
        };
        assert!(verifies(&ours.public(), b"a unit", proof));
        assert!(!verifies(&ours.public(), b"b unit", proof));
        assert!(!verifies(&other.public(), b"a unit", proof));
        assert!(!verifies(&ours.public(), b"a unit", b""));
        assert_eq!(Signer::of(&seed).expect("the same").public(), ours.public());
        for nothing in ["", "xx", "00", "é0"] {
            assert!(
                Signer::of(nothing).is_none() && !verifies(nothing, b"a unit", proof),
                "{nothing}"
            );
        }
    }

    #[test]
    fn each_proof_verifies_only_its_entry() {
        let (signer, mut checked) = (signer(), 0);
        for entries in [0, 1, 2, 3, 5, 8, 13, 64, 65] {
            let bodies: Vec<Vec<u8>> = (0..entries)
                .map(|n: u32| n.to_be_bytes().to_vec())
                .collect();
            let proofs = signed(&signer, &bodies);
            assert_eq!(proofs.len(), bodies.len());
            // Alone, and after others of its tree.
            let mut warm = Verifier::of(signer.public());
            for (at, (body, proof)) in bodies.iter().zip(&proofs).enumerate() {
                assert!(
                    Verifier::of(signer.public()).verifies(body, proof)
                        && warm.verifies(body, proof),
                    "{at} of {entries}"
                );
                let other = &proofs[(at + 1) % proofs.len()];
                assert!(
                    entries == 1 || !warm.verifies(body, other),
                    "{at} of {entries}: the path of another"
                );
                assert!(!warm.verifies(b"forged", proof), "{at} of {entries}");
                for cut in 0..proof.len() {
                    assert!(
                        !Verifier::of(signer.public()).verifies(body, &proof[..cut]),
                        "{at} of {entries}: {cut} bytes"
                    );
                    checked += 1;
                }
            }
        }
        assert!(checked > 10_000);
    }

    #[test]
    fn inner_node_is_not_accepted_as_entry() {
        let (signer, bodies) = (signer(), [b"left".to_vec(), b"right".to_vec()]);
        let proofs = signed(&signer, &bodies);
        let forged = [leaf(&bodies[0]), leaf(&bodies[1])].concat();
        let signature = &proofs[0][..SIGNATURE_BYTES];
        assert!(!Verifier::of(signer.public()).verifies(&forged, signature));
        assert!(
            !Verifier::of(signer.public()).verifies(&[&[1], forged.as_slice()].concat(), signature)
        );
    }

    #[test]
    fn signature_of_a_unit_is_none_of_a_control_message() {
        let (ours, other) = (signer(), signer());
        let verifier = Verifier::of(ours.public());
        let signature = ours.sign_control(b"a message");
        assert!(verifier.verifies_control(b"a message", &signature));
        assert!(!verifier.verifies_control(b"b message", &signature));
        assert!(!verifier.verifies_control(b"a message", &other.sign_control(b"a message")));
        let proof = &signed(&ours, &[b"a message".to_vec()])[0];
        assert!(!verifier.verifies_control(b"a message", proof));
        // The signed bytes of a unit are a hash; those of a control message cannot stand in for it.
        assert!(!verifier.verifies_control(&leaf(b"a message"), proof));
        assert!(!Verifier::of(ours.public()).verifies(b"a message", &signature));
    }

    #[test]
    fn refused_root_is_not_cached() {
        let (ours, other) = (signer(), signer());
        let proof = &signed(&other, &[b"a unit".to_vec()])[0];
        let mut verifier = Verifier::of(ours.public());
        assert!(!verifier.verifies(b"a unit", proof) && !verifier.verifies(b"a unit", proof));
    }
}
