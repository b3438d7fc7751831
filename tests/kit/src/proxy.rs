//! A TCP proxy that does to connections what networks do: it delays, stalls, slices, narrows, refuses and cuts them, and
//! it can lose exactly the reply to one request. Everything can be changed while connections are open.
use parking_lot::{Condvar, Mutex};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// How often the proxy looks for new connections and for its end.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What is done to the bytes of one way.
#[derive(Debug, Clone, Default)]
struct Toxic {
    latency: Duration,
    /// Bytes are held; neither end is notified.
    stalled: bool,
    /// Bytes at most in one write, with a pause after each.
    slice: Option<(usize, Duration)>,
    bytes_per_second: Option<u64>,
    /// Bytes that still pass before the connection is cut.
    cut_after: Option<u64>,
}

#[derive(Default)]
struct Knobs {
    server: u16,
    up: Toxic,
    down: Toxic,
    refusing: bool,
    ended: bool,
    /// A request that contains this is forwarded, and its reply is not.
    lose_reply_to: Option<Vec<u8>>,
    /// Replies lost so far.
    lost: u64,
    /// Connections so far, and how many of the first of them are silent without having been closed.
    made: u64,
    abandoned: u64,
    pairs: Vec<(TcpStream, TcpStream)>,
}

impl Knobs {
    fn toxic(&mut self, way: Way) -> &mut Toxic {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    fn cut(&mut self) {
        for (client, server) in self.pairs.drain(..) {
            close(&client, &server);
        }
    }
}

#[derive(Default)]
struct Shared {
    knobs: Mutex<Knobs>,
    changed: Condvar,
}

/// A proxy on a free loopback port.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// A proxy before a port of this machine, forwarding everything.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start(server: u16) -> Proxy {
        let listener = listen(0);
        let port = listener
            .local_addr()
            .expect("a listener has an address")
            .port();
        let shared = Arc::new(Shared::default());
        shared.knobs.lock().server = server;
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || accept(&of_thread, Some(listener), port));
        Proxy { port, shared }
    }

    /// Its own port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends new connections to another server; those that are open stay where they are.
    pub fn lead_to(&self, server: u16) {
        self.change(|knobs| knobs.server = server);
    }

    /// Holds every chunk of one way back for this long.
    pub fn delay(&self, way: Way, latency: Duration) {
        self.change(|knobs| knobs.toxic(way).latency = latency);
    }

    /// Stops forwarding one way without closing anything, or resumes it. Both ways together make a half-open connection.
    pub fn stall(&self, way: Way, stalled: bool) {
        self.change(|knobs| knobs.toxic(way).stalled = stalled);
    }

    /// Swallows everything both ways and keeps every connection open, as a cable does that was pulled, or mends it.
    pub fn blackhole(&self, stalled: bool) {
        self.change(|knobs| (knobs.up.stalled, knobs.down.stalled) = (stalled, stalled));
    }

    /// Cuts one way into writes of this many bytes with a pause after each; 0 forwards whole again.
    pub fn slice(&self, way: Way, bytes: usize, pause: Duration) {
        self.change(|knobs| knobs.toxic(way).slice = (bytes > 0).then_some((bytes, pause)));
    }

    /// Lets this many bytes a second pass one way; 0 lets all pass.
    pub fn limit(&self, way: Way, bytes_per_second: u64) {
        self.change(|knobs| {
            knobs.toxic(way).bytes_per_second = (bytes_per_second > 0).then_some(bytes_per_second)
        });
    }

    /// Cuts the connection over which this many more bytes have gone this way.
    pub fn cut_after(&self, way: Way, bytes: u64) {
        self.change(|knobs| knobs.toxic(way).cut_after = Some(bytes));
    }

    /// Lets every open connection be as if the machine behind it had lost its power: nothing comes through any more and
    /// nobody is told. New ones are welcome.
    pub fn abandon(&self) {
        self.change(|knobs| knobs.abandoned = knobs.made);
    }

    /// Cuts every connection; new ones are welcome.
    pub fn cut(&self) {
        self.change(Knobs::cut);
    }

    /// Cuts every connection and refuses new ones, or takes them again.
    pub fn refuse(&self, refusing: bool) {
        self.change(|knobs| {
            knobs.refusing = refusing;
            if refusing {
                knobs.cut();
            }
        });
    }

    /// Forwards the next request that contains these bytes to the server, which carries it out, and cuts the connection
    /// instead of passing the reply on.
    pub fn lose_reply_to(&self, pattern: &[u8]) {
        self.change(|knobs| knobs.lose_reply_to = Some(pattern.to_vec()));
    }

    /// Replies lost by [`Proxy::lose_reply_to`].
    pub fn lost_replies(&self) -> u64 {
        self.shared.knobs.lock().lost
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.shared.knobs.lock().pairs.len()
    }

    fn change(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.shared.knobs.lock());
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.change(|knobs| {
            knobs.ended = true;
            knobs.cut();
        });
    }
}

fn listen(port: u16) -> TcpListener {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a loopback port can be listened on");
    listener
        .set_nonblocking(true)
        .expect("a listener can be asked without waiting");
    listener
}

fn close(client: &TcpStream, server: &TcpStream) {
    // One that the other side has closed already is closed all the same.
    drop(client.shutdown(Shutdown::Both));
    drop(server.shutdown(Shutdown::Both));
}

fn accept(shared: &Arc<Shared>, mut listener: Option<TcpListener>, port: u16) {
    loop {
        let (refusing, ended, server) = {
            let knobs = shared.knobs.lock();
            (knobs.refusing, knobs.ended, knobs.server)
        };
        if ended {
            return;
        }
        if refusing {
            // There is no listener: the system itself refuses.
            listener = None;
        } else if let Ok((client, _)) = listener.get_or_insert_with(|| listen(port)).accept() {
            connect(shared, client, server);
            continue;
        }
        sleep(LOOK_EVERY);
    }
}

fn connect(shared: &Arc<Shared>, client: TcpStream, server: u16) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else {
        return;
    };
    let both = [&client, &server];
    if both.into_iter().any(|end| {
        end.set_nonblocking(false)
            .and_then(|()| end.set_nodelay(true))
            .is_err()
    }) {
        return;
    }
    let number;
    let copies = || Some((client.try_clone().ok()?, server.try_clone().ok()?));
    let (Some(kept), Some(up), Some(down)) = (copies(), copies(), copies()) else {
        return;
    };
    {
        let mut knobs = shared.knobs.lock();
        if knobs.refusing || knobs.ended {
            return close(&client, &server);
        }
        knobs.pairs.retain(|(client, _)| client.peer_addr().is_ok());
        knobs.pairs.push(kept);
        knobs.made += 1;
        number = knobs.made;
    }
    let waiting = Arc::new(Mutex::new(false));
    for (way, (client, server)) in [(Way::Up, up), (Way::Down, down)] {
        let pump = Pump {
            number,
            way,
            client,
            server,
            shared: Arc::clone(shared),
            losing: Arc::clone(&waiting),
        };
        std::thread::spawn(move || pump.run());
    }
}

/// Carries the bytes of one way of one connection.
struct Pump {
    /// Which connection of the proxy.
    number: u64,
    way: Way,
    client: TcpStream,
    server: TcpStream,
    shared: Arc<Shared>,
    /// The next reply of this connection is lost, and the connection with it.
    losing: Arc<Mutex<bool>>,
}

impl Pump {
    fn run(self) {
        let mut buffer = vec![0; CHUNK];
        // The end of the last request: a pattern may be cut by the edge of a read.
        let mut tail = Vec::new();
        let (mut from, to) = match self.way {
            Way::Up => (&self.client, &self.server),
            Way::Down => (&self.server, &self.client),
        };
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let chunk = &buffer[..read];
            let Some(toxic) = self.pass() else { break };
            if self.way == Way::Up {
                self.look_for_pattern(&mut tail, chunk);
            } else if *self.losing.lock() {
                self.shared.knobs.lock().lost += 1;
                break;
            }
            if !forward(to, chunk, &toxic) || self.spent(read) {
                break;
            }
        }
        close(&self.client, &self.server);
    }

    /// Waits while this way is stalled; nothing when the connection or the proxy is at its end.
    fn pass(&self) -> Option<Toxic> {
        let mut knobs = self.shared.knobs.lock();
        let latency = knobs.toxic(self.way).latency;
        if !latency.is_zero() {
            drop(knobs);
            sleep(latency);
            knobs = self.shared.knobs.lock();
        }
        while (knobs.toxic(self.way).stalled || self.number <= knobs.abandoned) && !knobs.ended {
            self.shared.changed.wait(&mut knobs);
        }
        (!knobs.ended).then(|| knobs.toxic(self.way).clone())
    }

    fn look_for_pattern(&self, tail: &mut Vec<u8>, chunk: &[u8]) {
        let mut knobs = self.shared.knobs.lock();
        let Some(pattern) = knobs.lose_reply_to.clone() else {
            return tail.clear();
        };
        tail.extend_from_slice(chunk);
        if tail.windows(pattern.len()).any(|window| window == pattern) {
            knobs.lose_reply_to = None;
            *self.losing.lock() = true;
        }
        let keep = tail.len().saturating_sub(pattern.len());
        tail.drain(..keep);
    }

    /// Counts what has passed against the bytes that may; whether they are used up.
    fn spent(&self, bytes: usize) -> bool {
        let mut knobs = self.shared.knobs.lock();
        let toxic = knobs.toxic(self.way);
        let Some(left) = toxic.cut_after else {
            return false;
        };
        let left = left.saturating_sub(bytes as u64);
        toxic.cut_after = (left > 0).then_some(left);
        left == 0
    }
}

/// Writes a chunk at the configured rate; whether the other side accepted it.
fn forward(mut to: &TcpStream, chunk: &[u8], toxic: &Toxic) -> bool {
    let (size, pause) = toxic.slice.unwrap_or((chunk.len().max(1), Duration::ZERO));
    for piece in chunk.chunks(size) {
        if let Some(rate) = toxic.bytes_per_second {
            sleep(Duration::from_secs_f64(piece.len() as f64 / rate as f64));
        }
        if to.write_all(piece).is_err() {
            return false;
        }
        if !pause.is_zero() {
            sleep(pause);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// A server that says every byte back; its port.
    fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut buffer = [0; 1024];
                    while let Ok(read @ 1..) = stream.read(&mut buffer) {
                        if stream.write_all(&buffer[..read]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        port
    }

    fn client(proxy: &Proxy) -> TcpStream {
        let stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).expect("the proxy listens");
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .expect("a timeout can be set");
        stream
    }

    fn say(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(text)?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).map(|()| answer)
    }

    #[test]
    fn it_forwards_delays_slices_and_narrows() {
        let proxy = Proxy::start(echo());
        let mut stream = client(&proxy);
        assert_eq!(say(&mut stream, b"hello").expect("echoed"), b"hello");
        proxy.delay(Way::Down, Duration::from_millis(60));
        proxy.slice(Way::Up, 2, Duration::from_millis(1));
        let started = Instant::now();
        assert_eq!(say(&mut stream, b"hello").expect("echoed"), b"hello");
        assert!(started.elapsed() >= Duration::from_millis(60));
        proxy.delay(Way::Down, Duration::ZERO);
        proxy.slice(Way::Up, 0, Duration::ZERO);
        proxy.limit(Way::Up, 100);
        let started = Instant::now();
        assert_eq!(
            say(&mut stream, b"0123456789").expect("echoed"),
            b"0123456789"
        );
        assert!(started.elapsed() >= Duration::from_millis(100));
    }

    #[test]
    fn a_stalled_connection_stays_open_and_goes_on_and_a_cut_one_does_not() {
        let proxy = Proxy::start(echo());
        let mut stream = client(&proxy);
        proxy.blackhole(true);
        let error = say(&mut stream, b"hello").expect_err("nothing comes back");
        assert!(
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            "{error}"
        );
        proxy.blackhole(false);
        let mut late = [0; 5];
        stream.read_exact(&mut late).expect("it comes late");
        proxy.stall(Way::Down, true);
        assert!(say(&mut stream, b"again").is_err());
        proxy.cut();
        proxy.stall(Way::Down, false);
        assert!(matches!(stream.read(&mut late), Ok(0) | Err(_)));
        proxy.refuse(true);
        std::thread::sleep(LOOK_EVERY * 10);
        assert!(
            TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).is_err(),
            "nobody listens"
        );
        proxy.refuse(false);
        std::thread::sleep(LOOK_EVERY * 10);
        assert_eq!(say(&mut client(&proxy), b"back").expect("echoed"), b"back");
    }

    #[test]
    fn an_abandoned_connection_is_silent_for_ever_and_the_next_is_not() {
        let proxy = Proxy::start(echo());
        let mut stream = client(&proxy);
        assert_eq!(say(&mut stream, b"hello").expect("echoed"), b"hello");
        proxy.abandon();
        let error = say(&mut stream, b"hello").expect_err("nothing comes back");
        assert!(
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            "{error}"
        );
        assert_eq!(
            say(&mut client(&proxy), b"again").expect("echoed"),
            b"again"
        );
        assert!(say(&mut stream, b"hello").is_err());
    }

    #[test]
    fn exactly_the_reply_to_one_request_is_lost() {
        let proxy = Proxy::start(echo());
        let (mut other, mut stream) = (client(&proxy), client(&proxy));
        proxy.lose_reply_to(b"COMMIT");
        assert_eq!(say(&mut other, b"BEGIN").expect("echoed"), b"BEGIN");
        stream.write_all(b"COM").expect("sent");
        std::thread::sleep(Duration::from_millis(20));
        let mut buffer = [0; 16];
        assert_eq!(
            stream
                .read(&mut buffer)
                .expect("the first half is no commit"),
            3
        );
        assert!(say(&mut stream, b"MIT").is_err(), "its reply is lost");
        assert_eq!(proxy.lost_replies(), 1);
        assert_eq!(
            say(&mut other, b"COMMIT").expect("only one is lost"),
            b"COMMIT"
        );
    }

    #[test]
    fn a_connection_is_cut_after_so_many_bytes() {
        let proxy = Proxy::start(echo());
        let mut stream = client(&proxy);
        proxy.cut_after(Way::Up, 8);
        assert_eq!(say(&mut stream, b"12345").expect("echoed"), b"12345");
        assert!(say(&mut stream, b"12345").is_err() || say(&mut stream, b"1").is_err());
        assert_eq!(
            say(&mut client(&proxy), b"12345").expect("the next one is whole"),
            b"12345"
        );
    }
}
