//! Hundreds of workers in one thread. Each has a name, slots and heartbeats of its own, takes `noop` units through the
//! consumer group, holds them as long as their task says and reports their ends, as a worker process does. What they share
//! is one connection and the messages in which reports travel.
mod hand;
mod link;

use hand::Hand;
use link::Link;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two heartbeats of a worker, as in the product.
const BEAT_EVERY: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_millis(10);
/// Workers that ask for units in one round trip.
const ASK_AT_ONCE: usize = 32;
/// Round trips for units in one tick.
const ROUNDS_MAX: usize = 16;
/// Pause after a failed round trip.
const AWAY: Duration = Duration::from_millis(200);

/// What a crowd is made of.
#[derive(Debug, Clone)]
pub struct Makeup {
    /// Port of the Redis server on 127.0.0.1.
    pub port: u16,
    /// Number of workers.
    pub workers: usize,
    /// `noop` slots of each worker.
    pub slots: u32,
    /// First part of their names.
    pub name: String,
    /// File that notes each start and end, as `SHOWRUNNER_REHEARSAL_LOG` of a worker process does.
    pub witnesses: Option<PathBuf>,
}

/// What can be done to a crowd.
enum Mishap {
    /// This many workers vanish with what they hold; as many new ones take their place.
    Die(usize),
    /// This many workers vanish with what they hold, and none take their place.
    Leave(usize),
    /// All of them stop for this long and continue with what they held.
    Freeze(Duration),
}

/// A running crowd. Dropping it ends the workers, which report nothing more.
pub struct Crowd {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicU64>,
    mishaps: Sender<Mishap>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    /// Starts the workers; their first heartbeats spread over three seconds.
    pub fn start(makeup: Makeup) -> Crowd {
        let (stop, ended) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (mishaps, due) = channel();
        let (halt, count) = (Arc::clone(&stop), Arc::clone(&ended));
        let thread = std::thread::spawn(move || Members::new(makeup, count).run(&halt, &due));
        Crowd {
            stop,
            ended,
            mishaps,
            thread: Some(thread),
        }
    }

    /// Units ended so far, with any result.
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Kills this many workers: the units they hold are lost, and new workers replace them.
    pub fn kill(&self, workers: usize) {
        // A crowd that has ended has no more workers to lose.
        drop(self.mishaps.send(Mishap::Die(workers)));
    }

    /// Ends this many workers as [`Crowd::kill`] does, for good.
    pub fn leave(&self, workers: usize) {
        drop(self.mishaps.send(Mishap::Leave(workers)));
    }

    /// Stops all workers for this long.
    pub fn freeze(&self, length: Duration) {
        drop(self.mishaps.send(Mishap::Freeze(length)));
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The workers and what they share.
struct Members {
    makeup: Makeup,
    hands: Vec<Hand>,
    link: Link,
    witnesses: Option<File>,
    ended: Arc<AtomicU64>,
    /// Who asks for units next.
    turn: usize,
    /// Workers that have existed so far.
    born: usize,
}

impl Members {
    fn new(makeup: Makeup, ended: Arc<AtomicU64>) -> Members {
        let witnesses = makeup.witnesses.as_ref().map(|path| {
            File::options()
                .create(true)
                .append(true)
                .open(path)
                .expect("the witnesses' file can be written")
        });
        let link = Link::new(makeup.port);
        let mut members = Members {
            makeup,
            hands: Vec::new(),
            link,
            witnesses,
            ended,
            turn: 0,
            born: 0,
        };
        let now = Instant::now();
        for number in 0..members.makeup.workers {
            let share = number as f64 / members.makeup.workers as f64;
            let hand = members.bear(now + BEAT_EVERY.mul_f64(share));
            members.hands.push(hand);
        }
        members
    }

    fn bear(&mut self, beat: Instant) -> Hand {
        self.born += 1;
        Hand::new(
            format!("{}-{:05}", self.makeup.name, self.born),
            self.makeup.slots,
            beat,
        )
    }

    fn run(mut self, stop: &AtomicBool, mishaps: &Receiver<Mishap>) {
        while !stop.load(Ordering::Relaxed) {
            let pause = match self.tick() {
                Ok(()) => TICK,
                Err(_) => {
                    self.link.close();
                    AWAY
                }
            };
            std::thread::sleep(pause);
            for mishap in mishaps.try_iter() {
                match mishap {
                    Mishap::Die(workers) => self.replace(workers),
                    Mishap::Leave(workers) => {
                        let stay = self.hands.len().saturating_sub(workers);
                        self.hands.truncate(stay);
                    }
                    Mishap::Freeze(length) => std::thread::sleep(length),
                }
            }
        }
    }

    /// New workers take the place of others, which say nothing more.
    fn replace(&mut self, workers: usize) {
        for _ in 0..workers.min(self.hands.len()) {
            let number = fastrand::usize(0..self.hands.len());
            self.hands[number] = self.bear(Instant::now());
        }
    }

    fn tick(&mut self) -> redis::RedisResult<()> {
        let now = Instant::now();
        for message in self.link.control()? {
            self.hands.iter_mut().for_each(|hand| hand.obey(&message));
        }
        let beats = self
            .hands
            .iter_mut()
            .filter_map(|hand| hand.beat(now, BEAT_EVERY));
        self.link.post(beats.collect());
        let (mut outcomes, mut spent, mut notes) = (Vec::new(), Vec::new(), String::new());
        for hand in &mut self.hands {
            hand.end(now, &mut outcomes, &mut spent, &mut notes);
        }
        self.note(&notes);
        self.ended
            .fetch_add(outcomes.len() as u64, Ordering::Relaxed);
        self.link.settle(outcomes, spent);
        self.link.flush()?;
        self.take()
    }

    /// Workers with free slots ask in turn until there is nothing left.
    fn take(&mut self) -> redis::RedisResult<()> {
        for _ in 0..ROUNDS_MAX {
            let count = self.hands.len();
            if count == 0 {
                return Ok(());
            }
            let order = (0..count).map(|step| (self.turn + step) % count);
            let asking: Vec<usize> = order
                .filter(|n| self.hands[*n].free() > 0)
                .take(ASK_AT_ONCE)
                .collect();
            let Some(last) = asking.last() else {
                return Ok(());
            };
            self.turn = last + 1;
            let who: Vec<(&str, u32)> = asking
                .iter()
                .map(|n| (self.hands[*n].name(), self.hands[*n].free()))
                .collect();
            let taken = self.link.take(&who)?;
            let (mut notes, mut full) = (String::new(), true);
            for (number, entries) in asking.into_iter().zip(taken) {
                full &= !entries.is_empty();
                for entry in entries {
                    self.hands[number].hold(entry, &mut notes);
                }
            }
            self.note(&notes);
            if !full {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Writes lines of witnesses, before anything that follows from them is sent.
    fn note(&mut self, lines: &str) {
        if let Some(file) = self.witnesses.as_mut().filter(|_| !lines.is_empty()) {
            file.write_all(lines.as_bytes())
                .expect("the witnesses' file can be written");
        }
    }
}
