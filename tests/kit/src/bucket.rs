//! A directory served as a bucket of Google Cloud Storage: listed in pages and read by range, never written. Or a bucket of
//! any number of keys that are nowhere else.
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that answers as a bucket.
pub struct Bucket {
    url: String,
    dir: PathBuf,
    /// Number of keys that are made up, in place of those of the directory.
    invented: Option<usize>,
    listed: AtomicU32,
}

/// A made-up key; a higher number is a later key.
fn invented(number: usize) -> String {
    format!("keys/t{:05}/k{number:08}.mov", number / 500)
}

impl Bucket {
    /// Serves the files below `dir`, which may change while they are served.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn serve(dir: &Path) -> Arc<Bucket> {
        Bucket::start(dir, None)
    }

    /// Serves this many empty objects below `keys/`.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn invent(objects: usize) -> Arc<Bucket> {
        Bucket::start(Path::new(""), Some(objects))
    }

    fn start(dir: &Path, invented: Option<usize>) -> Arc<Bucket> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let bucket = Arc::new(Bucket {
            url,
            dir: dir.to_owned(),
            invented,
            listed: AtomicU32::new(0),
        });
        let inside = Arc::clone(&bucket);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let bucket = Arc::clone(&inside);
                std::thread::spawn(move || while bucket.answer(&stream).is_some() {});
            }
        });
        bucket
    }

    /// Storage settings in which every `gs://` location is in it.
    pub fn settings(&self) -> String {
        format!(
            "endpoints: [{{ prefix: 'gs:', url: '{}', anonymous: true }}]\n",
            self.url
        )
    }

    /// Pages that were asked for.
    pub fn pages(&self) -> u32 {
        self.listed.load(Ordering::SeqCst)
    }

    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next()?.ok()?;
        let mut range = None;
        loop {
            let line = lines.next()?.ok()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            range = range.or(line.strip_prefix("range: bytes=").map(str::to_owned));
        }
        let path = first.split(' ').nth(1)?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query: BTreeMap<String, String> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        let reply_bytes = match path.split_once("/o/") {
            Some((_, key)) => {
                self.object(&decoded(key), query.contains_key("alt"), range.as_deref())
            }
            None => self.list(&query),
        };
        { stream }.write_all(&reply_bytes).ok()
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Vec<u8> {
        self.listed.fetch_add(1, Ordering::SeqCst);
        let of = |name: &str| query.get(name).map_or("", String::as_str);
        let most = of("maxResults").parse().unwrap_or(1_000);
        if let Some(objects) = self.invented {
            // Their order is that of their numbers: where a page begins is found by halving.
            let numbers: Vec<usize> = (0..objects).collect();
            let before = |number: &usize| {
                let key = invented(*number);
                key.as_str() < of("startOffset")
                    || (!of("pageToken").is_empty() && key.as_str() <= of("pageToken"))
            };
            let first = numbers.partition_point(before);
            let keys: Vec<String> = numbers[first..]
                .iter()
                .take(most)
                .map(|number| invented(*number))
                .collect();
            let items: Vec<_> = keys.iter().map(|key| described(key, 0)).collect();
            let next = keys.last().filter(|_| first + most < objects);
            return reply(
                200,
                "",
                serde_json::json!({ "items": items, "nextPageToken": next })
                    .to_string()
                    .as_bytes(),
            );
        }
        let files = walkdir::WalkDir::new(&self.dir)
            .into_iter()
            .flatten()
            .filter(|entry| entry.file_type().is_file());
        let keys = files.filter_map(|entry| {
            Some(
                entry
                    .path()
                    .strip_prefix(&self.dir)
                    .ok()?
                    .to_str()?
                    .to_owned(),
            )
        });
        let mut keys: Vec<String> = keys
            .filter(|key| {
                key.starts_with(of("prefix"))
                    && key.as_str() > of("pageToken")
                    && key.as_str() >= of("startOffset")
            })
            .collect();
        keys.sort_unstable();
        let more = keys.len() > most;
        keys.truncate(most);
        let items: Vec<_> = keys.iter().filter_map(|key| self.about(key)).collect();
        let next = keys.last().filter(|_| more);
        reply(
            200,
            "",
            serde_json::json!({ "items": items, "nextPageToken": next })
                .to_string()
                .as_bytes(),
        )
    }

    fn about(&self, key: &str) -> Option<serde_json::Value> {
        Some(described(
            key,
            std::fs::metadata(self.dir.join(key)).ok()?.len(),
        ))
    }

    fn object(&self, key: &str, content: bool, range: Option<&str>) -> Vec<u8> {
        let (Some(about), Ok(bytes)) = (self.about(key), std::fs::read(self.dir.join(key))) else {
            return reply(404, "", b"{}");
        };
        if !content {
            return reply(200, "", about.to_string().as_bytes());
        }
        let asked = range.and_then(|range| range.split_once('-'));
        let (from, to) = asked.map_or((0, bytes.len()), |(from, to)| {
            (
                from.parse().unwrap_or(0),
                to.parse().map_or(bytes.len(), |to: usize| to + 1),
            )
        });
        let head = format!(
            "content-range: bytes {from}-{}/{}\r\nx-goog-generation: 1\r\n",
            to - 1,
            bytes.len()
        );
        reply(206, &head, &bytes[from..to])
    }
}

fn described(key: &str, size: u64) -> serde_json::Value {
    let (generation, updated) = ("1", "2026-03-05T10:00:00Z");
    serde_json::json!({ "name": key, "size": size.to_string(), "generation": generation, "updated": updated })
}

fn reply(status: u16, head: &str, body: &[u8]) -> Vec<u8> {
    let mut reply_bytes = format!(
        "HTTP/1.1 {status} x\r\n{head}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    reply_bytes.extend(body);
    reply_bytes
}

/// Decodes percent-encoded text.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let hex: Vec<u8> = rest.by_ref().take(2).collect();
                let hex = std::str::from_utf8(&hex)
                    .ok()
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok());
                bytes.extend(hex);
            }
            b'+' => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
