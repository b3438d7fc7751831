//! The QC page in a real browser: it shows its pictures and its curve, logs no error and sends no request.
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use testkit::{Ran, Scratch, reference};

const SPEC: &str = "spec: page
qc:
  black: { longest: 0.5s }
  loudness: { target: -23LUFS }
  true_peak: { max: -40dBTP }
";

/// Looks at the report from outside, since it has no script of its own.
const HARNESS: &str = "<!doctype html><title>look</title><body><iframe src='/report.html' width='1000' height='2000'></iframe><script>
const frame = document.querySelector('iframe');
frame.onload = () => {
  const page = frame.contentDocument, all = (what) => [...page.querySelectorAll(what)];
  document.body.textContent = JSON.stringify({
    title: page.title,
    images: all('img').map((img) => [img.complete, img.naturalWidth, img.naturalHeight, img.getBoundingClientRect().width]),
    curves: all('polyline').map((line) => [line.getTotalLength(), line.getBoundingClientRect().width, line.getBoundingClientRect().height]),
    rows: all('tr').length,
    scripts: all('script').length,
    loaded: frame.contentWindow.performance.getEntriesByType('resource').map((entry) => entry.name),
    verdict: getComputedStyle(page.querySelector('.verdict')).backgroundColor,
  });
};
</script>";

/// Resources that the browser may load for the report: those inside it.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// A page and the requests that were made for it.
struct Site {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    fn serve(report: String) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                answer(stream, &report, &noted);
            }
        });
        Site { address, asked }
    }
}

fn answer(mut stream: TcpStream, report: &str, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().expect("a socket can be cloned"))
        .lines()
        .map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let path = request
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let (status, body, policy) = match path.as_str() {
        "/" => ("200 OK", HARNESS, None),
        "/report.html" => ("200 OK", report, Some(POLICY)),
        _ => ("404 Not Found", "", None),
    };
    asked.lock().expect("no test panics with it").push(path);
    let policy = policy
        .map(|policy| format!("Content-Security-Policy: {policy}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n{policy}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream
        .write_all(&[head.as_bytes(), body.as_bytes()].concat())
        .ok();
}

/// What a look at a report showed.
struct Look {
    seen: Value,
    /// What the browser's console said.
    console: Vec<String>,
    /// Paths that were asked for, but for the icon that a browser asks for by itself.
    asked: Vec<String>,
}

/// `None` when there is no browser.
fn look(scratch: &Scratch, report: String) -> Option<Look> {
    let program = ["chromium", "google-chrome"].into_iter().find(|name| {
        Command::new(name)
            .arg("--version")
            .output()
            .is_ok_and(|ended| ended.status.success())
    })?;
    let site = Site::serve(report);
    let mut command = Command::new(program);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--enable-logging=stderr",
        ])
        .arg(format!(
            "--user-data-dir={}",
            scratch.path("browser").display()
        ))
        .args(["--dump-dom", &format!("http://{}/", site.address)]);
    let ran = Ran::of(command);
    ran.expect_code(0);
    let (start, end) = (ran.stdout.find('{'), ran.stdout.rfind('}'));
    let json = start
        .zip(end)
        .map(|(start, end)| &ran.stdout[start..=end])
        .unwrap_or_default();
    let seen = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {ran:#?}"));
    let console = ran
        .stderr
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .map(str::to_owned)
        .collect();
    let asked = site.asked.lock().expect("no test panics with it").clone();
    Some(Look {
        seen,
        console,
        asked: asked
            .into_iter()
            .filter(|path| path != "/favicon.ico")
            .collect(),
    })
}

fn report(scratch: &Scratch) -> String {
    let clip = scratch.path("<i>\"clip\" & 'more'.mp4");
    let path = clip.to_str().expect("temporary paths are UTF-8");
    let picture =
        "testsrc2=size=320x180:rate=25:duration=6,drawbox=c=black:t=fill:enable='between(t,2,3.5)'";
    let sound = "sine=frequency=440:duration=6,volume='0.2+0.1*t':eval=frame";
    let codecs = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
    ];
    reference::ffmpeg(
        &[
            &["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound][..],
            &codecs[..],
            &[path],
        ]
        .concat(),
    );
    scratch.write("spec.yaml", SPEC);
    scratch
        .run(&[
            "qc",
            path,
            "--policy",
            "spec.yaml",
            "--report",
            "html=page.html",
        ])
        .expect_code(1);
    std::fs::read_to_string(scratch.path("page.html")).expect("written")
}

#[test]
fn qc_page_shows_pictures_and_curve_without_requests() {
    let scratch = Scratch::new();
    let page = report(&scratch);
    let Some(look) = look(&scratch, page.clone()) else {
        println!("SKIP: no chromium: ops/setup.sh test installs it");
        return;
    };
    let seen = &look.seen;
    assert_eq!(
        (&look.console, look.asked.as_slice()),
        (
            &Vec::new(),
            &["/".to_owned(), "/report.html".to_owned()][..]
        )
    );
    assert_eq!(
        (seen["scripts"].as_u64(), seen["title"].as_str()),
        (Some(0), Some("QC report")),
        "{seen:#}"
    );
    let pictures = seen["images"].as_array().expect("a list");
    assert!(!pictures.is_empty(), "{seen:#}");
    for picture in pictures {
        assert_eq!(
            (
                picture[0].as_bool(),
                picture[1].as_u64(),
                picture[2].as_u64()
            ),
            (Some(true), Some(240), Some(136)),
            "{seen:#}"
        );
    }
    let curve = &seen["curves"][0];
    assert!(
        (0..3).all(|n| curve[n].as_f64().is_some_and(|length| length > 5.0)),
        "{seen:#}"
    );
    assert!(
        curve[1].as_f64().is_some_and(|width| width > 500.0),
        "{seen:#}"
    );
    assert_eq!(seen["verdict"], "rgb(179, 38, 30)", "the style is there");
    assert!(
        seen["rows"].as_u64().is_some_and(|rows| rows >= 3),
        "{seen:#}"
    );

    // The check itself detects a violation.
    let broken = page.replace(
        "</body>",
        "<img src=\"http://127.0.0.1:9/x.png\"><script>throw 1</script></body>",
    );
    let bad = self::look(&scratch, broken).expect("the browser is there");
    assert!(
        bad.console.iter().any(|line| line.contains("img-src")),
        "{:?}",
        bad.console
    );
    assert_eq!(bad.seen["scripts"].as_u64(), Some(1));
}
