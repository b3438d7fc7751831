//! Clients that begin a request and never finish it.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use testkit::http::ask;
use testkit::redis::Redis;
use testkit::{Running, Scratch};

/// Time that a client has for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A slow machine closes later.
const PATIENCE: Duration = Duration::from_secs(40);
/// Clients that hold half a request each.
const CLIENTS: usize = 8;

/// Sends half the head of a request.
fn half_a_request(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a printed address can be reached");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout above zero is allowed");
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nX-Slow: ");
    stream.write_all(head.as_bytes()).expect("it is sent");
    stream
}

/// Half a request is cut off after the limit and not before; others are answered all the time.
#[track_caller]
fn assert_cut_off(address: &str) {
    let started = Instant::now();
    let mut slow: Vec<TcpStream> = (0..CLIENTS).map(|_| half_a_request(address)).collect();
    let mut answered = 0;
    while started.elapsed() < HEAD_TIMEOUT - Duration::from_secs(2) {
        assert_eq!(ask(address, "GET", "/healthz", &[], b"").status, 200);
        answered += 1;
        for stream in &slow {
            stream.set_nonblocking(true).expect("it can be set");
            let mut byte = [0];
            let still = stream.peek(&mut byte).expect_err("it is not cut off yet");
            assert_eq!(still.kind(), std::io::ErrorKind::WouldBlock);
            stream.set_nonblocking(false).expect("it can be set");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(answered > 1, "{answered}");
    for stream in &mut slow {
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset,
                "the connection is still open after {:?}",
                started.elapsed()
            ),
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
    assert_eq!(ask(address, "GET", "/healthz", &[], b"").status, 200);
}

#[test]
fn half_a_request_is_cut_off_by_the_api() {
    let scratch = Scratch::new();
    let (_up, address) = scratch.up("noop=1");
    assert_cut_off(&address);
}

#[test]
fn half_a_request_is_cut_off_by_a_worker() {
    let scratch = Scratch::new();
    let redis = Redis::start(&scratch.path("."));
    let arguments = ["worker", "--redis", &redis.url(), "--listen", "127.0.0.1:0"];
    let mut worker = Running::start(scratch.showrunner(&arguments), &scratch.path("."));
    let address = worker.address();
    assert_cut_off(&address);
}
