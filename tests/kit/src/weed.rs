//! SeaweedFS as a test's own S3: free loopback ports, its own directory, gone with the test.
use crate::Running;
use crate::process::wait_until;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Times a server is started: a port may be taken between finding and opening it.
const STARTS: u32 = 5;
const ACCESS_KEY: &str = "showrunner";
const SECRET_KEY: &str = "showrunner-secret";

/// A running server with one bucket.
pub struct Weed {
    _running: Running,
    bucket: String,
    url: String,
    credentials: PathBuf,
    _data: Data,
}

/// The directory of a server, gone with it.
struct Data(PathBuf);

impl Drop for Data {
    fn drop(&mut self) {
        // It may have gone with the directory it was in.
        let removed = std::fs::remove_dir_all(&self.0);
        if let Err(error) =
            removed.or_else(|error| if self.0.exists() { Err(error) } else { Ok(()) })
        {
            println!("{} is left behind: {error}", self.0.display());
        }
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    // Below those that the system gives out by itself; all are held until all are known.
    let held = [(); N].map(|()| {
        loop {
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", fastrand::u16(12_000..32_000))) {
                break listener;
            }
        }
    });
    held.map(|listener| listener.local_addr().map_or(0, |address| address.port()))
}

impl Weed {
    /// Starts a server that keeps what it has in a directory of its own below `above`; `None`, with a line that says so,
    /// when it is not installed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(above: &Path, bucket: &str) -> Option<Weed> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/servers/bin/weed");
        if !program.is_file() {
            println!("SKIP: weed is not installed: run ops/setup.sh test");
            return None;
        }
        (0..STARTS)
            .find_map(|_| Weed::try_start(above, &program, bucket))
            .or_else(|| panic!("weed does not start"))
    }

    fn try_start(above: &Path, program: &Path, bucket: &str) -> Option<Weed> {
        let dir = above.join(format!("weed-{bucket}-{:08x}", fastrand::u32(..)));
        std::fs::create_dir_all(&dir).expect("a scratch directory can be made");
        let identities = format!(
            r#"{{"identities":[{{"name":"t","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin","Read","List","Tagging","Write"]}}]}}"#
        );
        let keys = format!(
            "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        );
        std::fs::write(dir.join("identities.json"), identities).expect("written");
        std::fs::write(dir.join("credentials"), keys).expect("written");
        let ports: [u16; 8] = free_ports();
        let mut command = Command::new(program);
        command.args([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-dir=.",
            "-filer",
            "-s3",
        ]);
        command.args([
            "-master.volumeSizeLimitMB=1024",
            "-volume.max=64",
            "-master.volumePreallocate=false",
        ]);
        command.args([
            "-volume.index=memory",
            "-s3.config=identities.json",
            "-master.telemetry=false",
        ]);
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        for (name, pair) in ["master", "volume", "filer", "s3"]
            .iter()
            .zip(ports.chunks(2))
        {
            command
                .arg(format!("-{name}.port={}", pair[0]))
                .arg(format!("-{name}.port.grpc={}", pair[1]));
        }
        let mut running = Running::start(
            {
                command.current_dir(&dir);
                command
            },
            &dir,
        );
        let port = ports[6];
        wait_until("weed listens", || {
            running.has_ended() || TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let url = format!("http://127.0.0.1:{port}");
        let credentials = dir.join("credentials");
        let weed = Weed {
            _running: running,
            bucket: bucket.into(),
            url,
            credentials,
            _data: Data(dir),
        };
        weed.make_bucket().then_some(weed)
    }

    /// Makes the bucket with the plain client, as an administrator would. False when the server is gone.
    fn make_bucket(&self) -> bool {
        let credentials =
            aws_sdk_s3::config::Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::v2026_01_12())
            .region(aws_sdk_s3::config::Region::new("us-east-1"))
            .credentials_provider(credentials)
            .endpoint_url(&self.url)
            .force_path_style(true)
            .build();
        let client = aws_sdk_s3::Client::from_conf(config);
        // A port that is open is not yet a filer that answers.
        block_on(async {
            for _ in 0..60 {
                if client
                    .create_bucket()
                    .bucket(&self.bucket)
                    .send()
                    .await
                    .is_ok()
                {
                    return true;
                }
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
            false
        })
    }

    /// Name of its bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// URL of its S3 API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A file with the credentials, as the AWS tools read it.
    pub fn credentials(&self) -> &Path {
        &self.credentials
    }

    /// Its line in a storage settings file; `more` is added to it.
    pub fn settings(&self, more: &str) -> String {
        let (bucket, url, credentials) = (&self.bucket, &self.url, self.credentials.display());
        format!(
            "  - {{ prefix: 's3://{bucket}', url: '{url}', credentials_file: '{credentials}'{more} }}\n"
        )
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime can be made").block_on(future)
}
