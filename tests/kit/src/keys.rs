//! A bucket of any number of objects that exist in their names alone: it answers `ListObjectsV2` and nothing else, as slowly
//! and as unreliably as a test likes.
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Objects of a page at most, as S3 has it.
const PAGE: u64 = 1_000;
/// Objects of a title.
const TITLE: u64 = 1_000;
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A server that lists generated keys.
pub struct Keys {
    url: String,
    count: u64,
    /// The next page that is not answered before the test says so, counted by the objects before it.
    held_at: AtomicU64,
    asked: AtomicU64,
    /// How long each page takes, in microseconds.
    pace_us: AtomicU64,
    faults: Mutex<(Rng, f64)>,
}

impl Keys {
    /// Serves so many objects.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn serve(count: u64) -> Arc<Keys> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let keys = Arc::new(Keys {
            url,
            count,
            held_at: AtomicU64::new(u64::MAX),
            asked: AtomicU64::new(0),
            pace_us: AtomicU64::new(0),
            faults: Mutex::new((Rng::with_seed(1), 0.0)),
        });
        let inside = Arc::clone(&keys);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let keys = Arc::clone(&inside);
                std::thread::spawn(move || while keys.answer(&stream).is_some() {});
            }
        });
        keys
    }

    /// Storage settings in which every `s3://` location is in it.
    pub fn settings(&self) -> String {
        format!(
            "endpoints: [{{ prefix: 's3:', url: '{}', anonymous: true }}]\n",
            self.url
        )
    }

    /// Answers nothing from this object on.
    pub fn hold_at(&self, object: u64) {
        self.held_at.store(object, Ordering::SeqCst);
    }

    /// Ends the hold: all requests are answered again.
    pub fn go_on(&self) {
        self.hold_at(u64::MAX);
    }

    /// Has each page take this long.
    pub fn pace(&self, page: Duration) {
        self.pace_us.store(
            u64::try_from(page.as_micros()).unwrap_or(u64::MAX),
            Ordering::SeqCst,
        );
    }

    /// Fails this share of requests: by an answer that asks for patience, or by none.
    ///
    /// # Panics
    /// When a thread that answers panicked.
    pub fn fail(&self, seed: u64, share: f64) {
        *self.faults.lock().expect("no answer panics") = (Rng::with_seed(seed), share);
    }

    /// Number of list requests so far.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next()?.ok()?;
        while !lines.next()?.ok()?.is_empty() {}
        self.asked.fetch_add(1, Ordering::SeqCst);
        let lot = {
            let mut faults = self.faults.lock().ok()?;
            let share = faults.1;
            (faults.0.f64() < share).then(|| faults.0.bool())
        };
        match lot {
            Some(true) => {
                let told = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>wait</Message></Error>";
                return { stream }.write_all(&reply("503 Slow Down", told)).ok();
            }
            Some(false) => return stream.shutdown(Shutdown::Both).ok().and(None),
            None => {}
        }
        let path = first.split(' ').nth(1)?;
        let query: BTreeMap<&str, &str> = path
            .split_once('?')
            .map_or("", |(_, query)| query)
            .split('&')
            .filter_map(|p| p.split_once('='))
            .collect();
        let token = query
            .get("continuation-token")
            .and_then(|token| token.parse().ok());
        let from = token
            .or_else(|| Some(number(query.get("start-after")?)? + 1))
            .unwrap_or(0);
        std::thread::sleep(Duration::from_micros(self.pace_us.load(Ordering::SeqCst)));
        while from >= self.held_at.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK_EVERY);
        }
        let most = query
            .get("max-keys")
            .and_then(|most| most.parse().ok())
            .unwrap_or(PAGE)
            .min(PAGE);
        { stream }
            .write_all(&reply("200 OK", &self.page(from, most)))
            .ok()
    }

    fn page(&self, from: u64, most: u64) -> String {
        let until = (from + most).min(self.count);
        let mut page = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>");
        for n in from..until {
            let key = key(n);
            let object = write!(
                page,
                "<Contents><Key>{key}</Key><Size>{}</Size><ETag>&quot;{n:032x}&quot;</ETag>\
                 <LastModified>2026-03-05T10:00:00.000Z</LastModified></Contents>",
                n % 977
            );
            object.expect("memory takes it");
        }
        let more = until < self.count;
        let told = write!(
            page,
            "<KeyCount>{}</KeyCount><IsTruncated>{more}</IsTruncated>",
            until.saturating_sub(from)
        );
        told.expect("memory takes it");
        if more {
            write!(
                page,
                "<NextContinuationToken>{until}</NextContinuationToken>"
            )
            .expect("memory takes it");
        }
        page + "</ListBucketResult>"
    }
}

/// The name of an object; names sort as their numbers do.
fn key(n: u64) -> String {
    format!("cards/t{:06}/f{n:09}.mov", n / TITLE)
}

/// The number of an object, from its name as it is in a URL.
fn number(key: &str) -> Option<u64> {
    key.strip_suffix(".mov")?
        .get(key.len().checked_sub(13)?..key.len() - 4)?
        .parse()
        .ok()
}

fn reply(status: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + body).into_bytes()
}
