//! Samples the write transactions of all coordinators in a thread of its own: a stopped coordinator delays no other duty.
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use testkit::http::fetch;

const LOOK_EVERY: Duration = Duration::from_millis(500);
const ANSWER_MAX: Duration = Duration::from_secs(1);
const DURATIONS: &str = "showrunner_write_transaction_duration_seconds";
const MEMORY: &str = "process_resident_memory_bytes ";
const LONGEST: &str = "showrunner_write_transaction_longest_seconds ";

/// What was seen of turns.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) turns: u64,
    /// Seconds.
    pub(super) longest: f64,
    /// Above 250 ms while nothing was broken.
    pub(super) slow: u64,
    /// Largest memory of a coordinator, in MiB.
    pub(super) memory: f64,
}

#[derive(Default)]
struct Shared {
    addresses: Vec<(usize, String)>,
    calm: bool,
    seen: Seen,
}

/// A thread that looks.
pub(super) struct Watch {
    shared: Arc<Mutex<Shared>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn start() -> Watch {
        let (shared, stop): (Arc<Mutex<Shared>>, Arc<AtomicBool>) = Default::default();
        let (to, halt) = (Arc::clone(&shared), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            // By process: number of transactions, and of those that were slow.
            let mut last: HashMap<String, (u64, u64)> = HashMap::new();
            while !halt.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK_EVERY);
                let (addresses, calm) = {
                    let shared = to.lock();
                    (shared.addresses.clone(), shared.calm)
                };
                for (_, address) in addresses {
                    let Some(text) = fetch(&address, "/metrics", ANSWER_MAX) else {
                        continue;
                    };
                    let (turns, slow, longest, memory) = read(&text);
                    let before = last.insert(address, (turns, slow)).unwrap_or_default();
                    let mut shared = to.lock();
                    // Only what began and ended in calm counts.
                    let calm = calm && shared.calm;
                    shared.seen.turns += turns.saturating_sub(before.0);
                    shared.seen.slow += if calm {
                        slow.saturating_sub(before.1)
                    } else {
                        0
                    };
                    shared.seen.longest = shared.seen.longest.max(longest);
                    shared.seen.memory = shared.seen.memory.max(memory);
                }
            }
        });
        Watch {
            shared,
            stop,
            thread: Some(thread),
        }
    }

    /// Who is looked at from now on, and whether nothing is broken.
    pub(super) fn serve(&self, addresses: Vec<(usize, String)>, calm: bool) {
        let mut shared = self.shared.lock();
        (shared.addresses, shared.calm) = (addresses, calm);
    }

    pub(super) fn seen(&self) -> Seen {
        self.shared.lock().seen
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Number of transactions, of those above 250 ms, seconds of the longest, and MiB of the process.
fn read(text: &str) -> (u64, u64, f64, f64) {
    let value = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(start))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    let of = |suffix: &str| value(&format!("{DURATIONS}{suffix}")).unwrap_or(0.0) as u64;
    let (all, short) = (of("_count"), of("_bucket{le=\"0.25\"}"));
    let mib = value(MEMORY).unwrap_or(0.0) / (1024.0 * 1024.0);
    (
        all,
        all.saturating_sub(short),
        value(LONGEST).unwrap_or(0.0),
        mib,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_above_the_bound_are_all_but_those_in_its_bucket() {
        let text = format!(
            "# TYPE x histogram\n{DURATIONS}_bucket{{le=\"0.1\"}} 5\n{DURATIONS}_bucket{{le=\"0.25\"}} 7\n\
             {DURATIONS}_bucket{{le=\"+Inf\"}} 9\n{DURATIONS}_sum 3.5\n{DURATIONS}_count 9\n{LONGEST}1.5\n{MEMORY}3145728\n"
        );
        assert_eq!(read(&text), (9, 2, 1.5, 3.0));
        assert_eq!(read("an answer without them"), (0, 0, 0.0, 0.0));
    }
}
