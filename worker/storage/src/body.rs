//! Content to be sent: pieces of memory with the checksum that they had when they were read. A retry costs no copy.
use super::checksum::{Checksum, ChecksumKind};
use bytes::Bytes;
use std::sync::Arc;

/// Content to be written, at hand and therefore repeatable. The checksum is computed when the pieces come together,
/// before anything else touches them, so that whatever changes them on the way is noticed by the server.
#[derive(Debug, Clone)]
pub struct Body {
    pieces: Arc<[Bytes]>,
    bytes: u64,
    checksum: Checksum,
}

impl Body {
    /// Joins consecutive pieces. `kind` is the checksum that the destination verifies.
    pub fn new(pieces: impl Into<Arc<[Bytes]>>, kind: ChecksumKind) -> Body {
        let pieces = pieces.into();
        let checksum = kind.of(&pieces);
        Body::known(pieces, checksum)
    }

    /// Joins consecutive pieces of a known checksum.
    pub fn known(pieces: impl Into<Arc<[Bytes]>>, checksum: Checksum) -> Body {
        let pieces = pieces.into();
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        Body {
            pieces,
            bytes,
            checksum,
        }
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its checksum when it was put together.
    pub fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// Its pieces in order.
    pub fn pieces(&self) -> &Arc<[Bytes]> {
        &self.pieces
    }
}

/// The pieces of a body as an HTTP client takes them: of known length, and never held as one block, which the S3
/// client would sign byte by byte.
pub(super) struct Pieces {
    pieces: Arc<[Bytes]>,
    next: usize,
    left: u64,
}

impl From<&Body> for Pieces {
    fn from(body: &Body) -> Pieces {
        Pieces {
            pieces: Arc::clone(&body.pieces),
            next: 0,
            left: body.bytes,
        }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let piece = self.pieces.get(self.next)?.clone();
        self.next += 1;
        self.left -= piece.len() as u64;
        Some(piece)
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(
            self.get_mut()
                .next()
                .map(|piece| Ok(http_body::Frame::data(piece))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.next >= self.pieces.len()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.left)
    }
}
