//! Fault injection between a worker and a storage, for tests and load tests.
use super::layer::{Call, Layer, Operation};
use super::{Body, ByteStream, StorageError};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// A fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the operation.
    Dropped,
    /// The operation succeeds and the reply is lost.
    ReplyLost,
    /// The storage answers with status 500; a commit is left unknown.
    ServerError,
    /// Status 503: throttled.
    SlowDown,
    /// Received content ends too early.
    Truncated,
    /// One byte of received or sent content differs.
    WrongByte,
    /// Every piece is delayed.
    Slow(Duration),
}

/// Chooses the fault of a call.
pub type Plan = dyn FnMut(&Call) -> Option<Fault> + Send;

/// Injects the faults of a plan, and records them.
#[derive(Clone)]
pub struct Faults {
    plan: Arc<Mutex<Box<Plan>>>,
    happened: Arc<Mutex<Vec<(Operation, Fault)>>>,
}

impl Faults {
    /// Injects the faults that `plan` returns.
    pub fn new(plan: impl FnMut(&Call) -> Option<Fault> + Send + 'static) -> Faults {
        Faults {
            plan: Arc::new(Mutex::new(Box::new(plan))),
            happened: Arc::default(),
        }
    }

    /// The injected faults so far.
    pub fn happened(&self) -> Vec<(Operation, Fault)> {
        self.happened.lock().clone()
    }
}

#[async_trait]
impl Layer for Faults {
    type Mark = Option<Fault>;

    async fn before(&self, call: &Call) -> Result<Option<Fault>, StorageError> {
        let fault = (self.plan.lock())(call);
        let Some(fault) = fault else { return Ok(None) };
        self.happened.lock().push((call.operation, fault));
        let location = call.location.clone();
        match fault {
            Fault::Dropped => Err(StorageError::unavailable(location, "connection reset")),
            Fault::ServerError if call.operation.commits() => Err(StorageError::Unknown {
                location,
                said: "InternalError".into(),
            }),
            Fault::ServerError => Err(StorageError::unavailable(location, "InternalError")),
            Fault::SlowDown => Err(StorageError::Throttled {
                location,
                said: "SlowDown".into(),
                retry_after: None,
            }),
            Fault::Slow(wait) => {
                tokio::time::sleep(wait).await;
                Ok(Some(fault))
            }
            Fault::ReplyLost | Fault::Truncated | Fault::WrongByte => Ok(Some(fault)),
        }
    }

    fn body(&self, mark: &Option<Fault>, body: &Body) -> Body {
        if *mark != Some(Fault::WrongByte) || body.bytes() == 0 {
            return body.clone();
        }
        // The checksum stays that of the right bytes, as when memory or a network card fails.
        let mut pieces: Vec<Bytes> = body.pieces().to_vec();
        if let Some(piece) = pieces.iter_mut().rfind(|piece| !piece.is_empty()) {
            *piece = flipped(piece);
        }
        Body::known(pieces, body.checksum())
    }

    fn content(&self, mark: &Option<Fault>, content: ByteStream) -> ByteStream {
        let half = content.left() / 2;
        match *mark {
            Some(Fault::Truncated) => content.changed(move |pieces| {
                pieces.scan(half, |left, piece| {
                    let piece = match piece {
                        Ok(_) if *left == 0 => None,
                        Ok(piece) => {
                            let taken = piece
                                .len()
                                .min(usize::try_from(*left).unwrap_or(usize::MAX));
                            *left -= taken as u64;
                            Some(Ok(piece.slice(..taken)))
                        }
                        Err(error) => Some(Err(error)),
                    };
                    std::future::ready(piece)
                })
            }),
            Some(Fault::WrongByte) => content.changed(|pieces| {
                let mut done = false;
                pieces.map(move |piece| {
                    piece.map(|piece| {
                        if done || piece.is_empty() {
                            return piece;
                        }
                        done = true;
                        flipped(&piece)
                    })
                })
            }),
            Some(Fault::Slow(wait)) => content.changed(move |pieces| {
                pieces.then(move |piece| async move {
                    tokio::time::sleep(wait).await;
                    piece
                })
            }),
            _ => content,
        }
    }

    fn after(
        &self,
        mark: Option<Fault>,
        call: &Call,
        error: Option<&StorageError>,
    ) -> Option<StorageError> {
        if mark != Some(Fault::ReplyLost) || error.is_some() {
            return None;
        }
        let (location, said) = (
            call.location.clone(),
            "connection reset before the answer".to_owned(),
        );
        Some(if call.operation.commits() {
            StorageError::Unknown { location, said }
        } else {
            StorageError::Unavailable { location, said }
        })
    }
}

/// The same bytes with one bit of the middle one turned.
fn flipped(piece: &Bytes) -> Bytes {
    let mut bytes = piece.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 0x10;
    }
    Bytes::from(bytes)
}
