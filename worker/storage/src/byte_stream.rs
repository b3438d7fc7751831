//! A range of an object that is being received. It ends with as many bytes as were announced, or with an error that
//! names the byte. A source that sends nothing for too long is an error.
use super::StorageError;
use super::port::object::Version;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use std::time::Duration;

/// Longest time without a byte.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A range that is being received.
pub struct ByteStream {
    /// Location of the object, for messages.
    pub location: String,
    /// State of the object, when the storage reports it.
    pub version: Option<Version>,
    /// Size of the whole object in bytes, when the storage reports it.
    pub whole_bytes: Option<u64>,
    left: u64,
    given: u64,
    silence_max: Duration,
    stream: BoxStream<'static, Result<Bytes, StorageError>>,
}

impl ByteStream {
    /// Announces `bytes` bytes out of `stream`.
    pub fn new(
        location: String,
        bytes: u64,
        stream: impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static,
    ) -> ByteStream {
        ByteStream {
            location,
            version: None,
            whole_bytes: None,
            left: bytes,
            given: 0,
            silence_max: SILENCE_MAX,
            stream: stream.boxed(),
        }
    }

    /// Adds what the storage reported of the object.
    #[must_use]
    pub fn of(mut self, version: Option<Version>, whole_bytes: Option<u64>) -> ByteStream {
        (self.version, self.whole_bytes) = (version, whole_bytes);
        self
    }

    /// Bytes that are still to be received.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes; `None` after all announced bytes.
    pub async fn next(&mut self) -> Option<Result<Bytes, StorageError>> {
        if self.left == 0 {
            return None;
        }
        let failed =
            |said: String| Some(Err(StorageError::unavailable(self.location.clone(), said)));
        let place = self.given;
        match tokio::time::timeout(self.silence_max, self.stream.next()).await {
            Err(_) => failed(format!(
                "silent for {:?} after {place} bytes",
                self.silence_max
            )),
            Ok(None) => failed(format!(
                "the content ended {} bytes too early, after {place}",
                self.left
            )),
            Ok(Some(Err(error))) => Some(Err(error)),
            Ok(Some(Ok(bytes))) => {
                let count = bytes.len() as u64;
                if count > self.left {
                    return failed(format!(
                        "more bytes than the {} that were promised",
                        place + self.left
                    ));
                }
                self.left -= count;
                self.given += count;
                Some(Ok(bytes))
            }
        }
    }

    /// All bytes, for content that is known to be small.
    pub async fn collect(mut self) -> Result<Vec<Bytes>, StorageError> {
        let mut pieces = Vec::new();
        while let Some(piece) = self.next().await {
            pieces.push(piece?);
        }
        Ok(pieces)
    }

    /// Passes the pieces through `change`. The number of announced bytes stays.
    #[must_use]
    pub fn changed<S, F>(mut self, change: F) -> ByteStream
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

    fn reading(promised: u64, pieces: &[&'static [u8]]) -> ByteStream {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece)))
            .collect();
        ByteStream::new("s3://b/k".into(), promised, stream::iter(pieces))
    }

    #[tokio::test]
    async fn stream_with_wrong_length_is_an_error() {
        assert_eq!(
            reading(4, &[b"ab", b"cd"]).collect().await,
            Ok(vec!["ab".into(), "cd".into()])
        );
        let short = reading(5, &[b"ab", b"cd"])
            .collect()
            .await
            .expect_err("short");
        assert!(
            short
                .to_string()
                .contains("ended 1 bytes too early, after 4"),
            "{short}"
        );
        let long = reading(3, &[b"ab", b"cd"])
            .collect()
            .await
            .expect_err("long");
        assert!(long.to_string().contains("more bytes than the 3"), "{long}");
        assert_eq!(reading(0, &[]).collect().await, Ok(vec![]));
    }

    #[tokio::test]
    async fn silence_is_an_error() {
        let mut silent = ByteStream::new("s3://b/k".into(), 1, stream::pending());
        silent.silence_max = Duration::from_millis(20);
        assert!(
            silent
                .collect()
                .await
                .expect_err("silent")
                .to_string()
                .contains("silent for 20ms after 0 bytes")
        );
    }
}
