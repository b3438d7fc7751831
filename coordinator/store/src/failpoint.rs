//! Fail points, where a test can abort the process: `SHOWRUNNER_FAILPOINT=name:n` aborts at the n-th pass. Without the
//! variable a fail point costs one read of a flag.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();

fn armed() -> Option<(String, AtomicU64)> {
    let wanted = std::env::var("SHOWRUNNER_FAILPOINT").ok()?;
    let (name, times) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    Some((name.to_owned(), AtomicU64::new(times.parse().ok()?)))
}

/// Passes the fail point `name`.
pub fn pass(name: &str) {
    let Some((wanted, left)) = ARMED.get_or_init(armed) else {
        return;
    };
    if wanted == name && left.fetch_sub(1, Ordering::Relaxed) == 1 {
        eprintln!("failpoint {name}: this process ends here");
        std::process::abort();
    }
}
