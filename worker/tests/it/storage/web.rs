//! A web server in the test's own process, which answers as it is told and misbehaves when it is told so.
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Decoded.
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// Parts of the query without a value.
    pub(crate) flags: Vec<String>,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Whether the query has this name, without a value.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection is cut after so many bytes of the body.
    pub(crate) cut_after: Option<usize>,
    /// The connection is closed without an answer.
    pub(crate) closed: bool,
    /// The length of the body is not told; its end is that of the connection.
    pub(crate) without_length: bool,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Answer {
        Answer {
            status,
            ..Answer::default()
        }
    }

    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Answer {
        Answer::new(status)
            .with("content-type", "application/json")
            .body(value.to_string())
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Answer {
        self.body = body.into();
        self
    }
}

pub(crate) type Handler = dyn Fn(&Request) -> Answer + Send + Sync;

/// Starts a server that ends with the runtime; returns its address.
pub(crate) async fn serve(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let handler: Arc<Handler> = Arc::new(handler);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = Arc::clone(&handler);
            tokio::spawn(async move {
                // A client that goes away in the middle is part of what is tested.
                let _gone = converse(stream, &*handler).await;
            });
        }
    });
    format!("http://{address}")
}

async fn converse(stream: TcpStream, handler: &Handler) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        let answer = handler(&request);
        if answer.closed {
            return Ok(());
        }
        let length = !answer.without_length
            && answer
                .headers
                .iter()
                .all(|(name, _)| name != "content-length");
        let mut head = format!("HTTP/1.1 {} x\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if length {
            head.push_str(&format!("content-length: {}\r\n", answer.body.len()));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await?;
        if request.method != "HEAD" {
            let sent = answer
                .cut_after
                .unwrap_or(answer.body.len())
                .min(answer.body.len());
            stream.write_all(&answer.body[..sent]).await?;
        }
        stream.flush().await?;
        if answer.cut_after.is_some() || answer.without_length {
            return Ok(());
        }
    }
    Ok(())
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let flags = query.split('&').filter(|part| !part.contains('='));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut request = Request {
        method: method.to_owned(),
        path: decode(path),
        flags: flags.map(str::to_owned).collect(),
        query: pairs
            .map(|(name, value)| (decode(name), decode(&value.replace('+', " "))))
            .collect(),
        ..Request::default()
    };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        request
            .headers
            .insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = request
        .headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await?;
    Ok(Some(request))
}

fn decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex
            .filter(|_| *first == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
        {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Answers with the stretch of `content` that was asked for, as web servers do.
pub(crate) fn ranged(request: &Request, content: &[u8], tag: &str) -> Answer {
    let whole = Answer::new(200).with("etag", tag).body(content);
    let same = request
        .headers
        .get("if-range")
        .is_none_or(|wanted| wanted == tag);
    let range = request.headers.get("range").filter(|_| same);
    let Some((from, to)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
    else {
        return whole;
    };
    let from: usize = from.parse().expect("a range");
    let to = to
        .parse()
        .map_or(content.len(), |to: usize| (to + 1).min(content.len()));
    if from >= content.len() {
        return Answer::new(416);
    }
    let said = format!("bytes {from}-{}/{}", to - 1, content.len());
    Answer::new(206)
        .with("etag", tag)
        .with("content-range", said)
        .body(&content[from..to])
}
