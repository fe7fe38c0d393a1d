//! Processes under measurement: started on their core, read through `/proc`, ended when dropped.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to listen, and to end.
const START_MAX: Duration = Duration::from_secs(30);
const END_MAX: Duration = Duration::from_secs(3);

/// How often memory is looked at while a row runs.
const SAMPLE_EVERY: Duration = Duration::from_millis(200);

/// Which cores do what. Peers one by one have a core for themselves; the load, the backend and the kit share another.
#[derive(Clone, Debug)]
pub struct Cores {
    /// For `taskset -c`; none where nothing is pinned.
    pub peer: Option<String>,
    /// The same, for everything else.
    pub load: Option<String>,
}

impl Cores {
    /// The first core for the peer, the second for the load, further ones for the load too.
    pub fn split(pinned: bool) -> Cores {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let has_taskset = Command::new("taskset").arg("--version").output().is_ok();
        match pinned && has_taskset && count >= 2 {
            true if count == 2 => Cores { peer: Some("0".into()), load: Some("1".into()) },
            true => Cores { peer: Some("0".into()), load: Some(format!("1-{}", count.min(4) - 1)) },
            false => Cores { peer: None, load: None },
        }
    }

    /// In words, for the page.
    pub fn words(&self) -> String {
        match (&self.peer, &self.load) {
            (Some(peer), Some(load)) => {
                format!("the proxy pinned to core {peer}; load and backend to core {load}")
            }
            _ => "nothing pinned".to_owned(),
        }
    }
}

/// A command that runs on these cores.
pub fn pinned(program: &str, cores: Option<&String>) -> Command {
    match cores {
        Some(cores) => {
            let mut command = Command::new("taskset");
            command.args(["-c", cores, program]);
            command
        }
        None => Command::new(program),
    }
}

/// A process, with its children, that ends with this value.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Result<Running, String> {
        let name = format!("{:?}", command.get_program());
        command.spawn().map(Running).map_err(|error| format!("{name}: {error}"))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The pipe of its standard output, once.
    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.0.stdout.take()
    }

    /// Waits until it listens there.
    pub fn listens(&mut self, address: SocketAddr) -> Result<(), String> {
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = self.0.try_wait() {
                return Err(format!("it ended with {status}"));
            }
            if started.elapsed() > START_MAX {
                return Err(format!("it does not listen on {address}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its process and all below it, now: nginx and its workers.
    pub fn tree(&self) -> Vec<u32> {
        let mut all = vec![self.id()];
        let mut at = 0;
        while at < all.len() {
            let path = format!("/proc/{0}/task/{0}/children", all[at]);
            let children = fs::read_to_string(path).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            at += 1;
        }
        all
    }

    /// CPU time of the tree so far, user and system, all threads, in microseconds.
    ///
    /// From `/proc/PID/task/*/schedstat`, which counts nanoseconds; `stat` counts hundredths of a second.
    pub fn cpu_us(&self) -> f64 {
        self.tree().into_iter().map(cpu_us).sum()
    }

    /// Resident memory of the tree in KiB; what processes share counts once (proportional set size).
    pub fn memory_kib(&self) -> u64 {
        self.tree().into_iter().map(pss_kib).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM, so that nginx takes its workers along.
        if let Some(pid) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            let _gone = kill_process(pid, Signal::TERM);
        }
        let told = Instant::now();
        while told.elapsed() < END_MAX {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn cpu_us(process: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let nanoseconds: u64 = threads
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum();
    nanoseconds as f64 / 1000.0
}

fn pss_kib(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Watches the memory of a tree until it is asked for the peak.
#[derive(Debug)]
pub struct MemoryWatch {
    stop: Arc<AtomicBool>,
    peak_kib: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl MemoryWatch {
    pub fn of(running: &Running) -> MemoryWatch {
        let (stop, peak_kib) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (tree, told, peak) = (running.tree(), stop.clone(), peak_kib.clone());
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                peak.fetch_max(tree.iter().copied().map(pss_kib).sum(), Ordering::Relaxed);
                thread::sleep(SAMPLE_EVERY);
            }
            peak.fetch_max(tree.iter().copied().map(pss_kib).sum(), Ordering::Relaxed);
        });
        MemoryWatch { stop, peak_kib, thread: Some(thread) }
    }

    /// The most that was seen, in KiB.
    pub fn peak_kib(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
        self.peak_kib.load(Ordering::Relaxed)
    }
}

/// A port that nobody has at this moment.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// The full path of a program: in `PATH`, or in one of these folders of the repository.
pub fn find(program: &str, folders: &[&str]) -> Option<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where the PATH of a user does not look.
    let places = folders.iter().map(|folder| root.join(folder)).chain(std::env::split_paths(&path));
    let mut places = places.chain(["/usr/sbin".into()]).map(|folder| folder.join(program));
    places.find(|file| file.is_file()).map(|file| file.to_string_lossy().into_owned())
}
