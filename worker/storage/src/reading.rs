//! A stretch of an object on its way to us. Whatever the backend, it ends with as many bytes as were promised or with
//! an error that says at which byte; a source that falls silent is given up.
use super::StorageError;
use super::port::Version;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use std::time::Duration;

/// Longest silence within a stretch.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A stretch being read.
pub struct Reading {
    /// Where it comes from, for messages.
    pub location: String,
    /// State of the object it belongs to, when the other side tells.
    pub version: Option<Version>,
    /// Size of the whole object, when the other side tells.
    pub whole_bytes: Option<u64>,
    /// Bytes still to come.
    left: u64,
    /// Bytes already given out.
    given: u64,
    /// Longest silence that is borne.
    silence_max: Duration,
    stream: BoxStream<'static, Result<Bytes, StorageError>>,
}

impl Reading {
    /// Promises `bytes` out of `stream`.
    pub fn new(
        location: String,
        bytes: u64,
        stream: impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static,
    ) -> Reading {
        Reading {
            location,
            version: None,
            whole_bytes: None,
            left: bytes,
            given: 0,
            silence_max: SILENCE_MAX,
            stream: stream.boxed(),
        }
    }

    /// Adds what the other side said of the object.
    #[must_use]
    pub fn of(mut self, version: Option<Version>, whole_bytes: Option<u64>) -> Reading {
        (self.version, self.whole_bytes) = (version, whole_bytes);
        self
    }

    /// Bytes still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes; `None` once all promised ones have come.
    pub async fn next(&mut self) -> Option<Result<Bytes, StorageError>> {
        if self.left == 0 {
            return None;
        }
        let failed = |said: String| Some(Err(StorageError::unavailable(self.location.clone(), said)));
        let place = self.given;
        match tokio::time::timeout(self.silence_max, self.stream.next()).await {
            Err(_) => failed(format!("silent for {:?} after {place} bytes", self.silence_max)),
            Ok(None) => failed(format!("the content ended {} bytes too early, after {place}", self.left)),
            Ok(Some(Err(error))) => Some(Err(error)),
            Ok(Some(Ok(bytes))) => {
                let count = bytes.len() as u64;
                if count > self.left {
                    return failed(format!("more bytes than the {} that were promised", place + self.left));
                }
                self.left -= count;
                self.given += count;
                Some(Ok(bytes))
            }
        }
    }

    /// All of it, for content that is known to be small.
    pub async fn collect(mut self) -> Result<Vec<Bytes>, StorageError> {
        let mut pieces = Vec::new();
        while let Some(piece) = self.next().await {
            pieces.push(piece?);
        }
        Ok(pieces)
    }

    /// Passes every piece through `change`; what was promised stays promised.
    #[must_use]
    pub fn changed<S, F>(mut self, change: F) -> Reading
    where
        S: Stream<Item = Result<Bytes, StorageError>> + Send + 'static,
        F: FnOnce(BoxStream<'static, Result<Bytes, StorageError>>) -> S,
    {
        self.stream = change(self.stream).boxed();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn reading(promised: u64, pieces: &[&'static [u8]]) -> Reading {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
        Reading::new("s3://b/k".into(), promised, stream::iter(pieces))
    }

    #[tokio::test]
    async fn neither_too_few_nor_too_many_bytes_pass_for_content() {
        assert_eq!(reading(4, &[b"ab", b"cd"]).collect().await, Ok(vec!["ab".into(), "cd".into()]));
        let short = reading(5, &[b"ab", b"cd"]).collect().await.expect_err("short");
        assert!(short.to_string().contains("ended 1 bytes too early, after 4"), "{short}");
        let long = reading(3, &[b"ab", b"cd"]).collect().await.expect_err("long");
        assert!(long.to_string().contains("more bytes than the 3"), "{long}");
        assert_eq!(reading(0, &[]).collect().await, Ok(vec![]));
    }

    #[tokio::test]
    async fn silence_is_an_error() {
        let mut silent = Reading::new("s3://b/k".into(), 1, stream::pending());
        silent.silence_max = Duration::from_millis(20);
        assert!(silent.collect().await.expect_err("silent").to_string().contains("silent for 20ms after 0 bytes"));
    }
}
