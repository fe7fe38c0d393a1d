//! Says when a file may have changed, however it is changed: written in place, replaced by a rename, or
//! swapped by a symbolic link (as Kubernetes does with `..data`).
//!
//! The *directory* is watched, because a watch on a replaced file sees nothing more; and the file is
//! looked at every few seconds anyway, for file systems without notifications. Never reads the file: the
//! caller does, and compares. Used for `users.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// How long a burst of changes must be quiet before the file is looked at.
const QUIET: Duration = Duration::from_millis(200);
/// A directory that never comes to rest is looked at after this.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// A file that is being written is not looked at before it is closed, for so long: a half of it may be a good
/// configuration that says less.
const WRITING_MAX: Duration = Duration::from_secs(10);
/// How often the file is looked at without any notification.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// A running watch; dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    events: Sender<Event>,
}

#[derive(Debug)]
enum Event {
    Touched,
    /// The file itself is open, and something was written into it.
    Writing,
    /// The file itself was closed by who could write it.
    Written,
    End,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A thread that has ended already needs no telling.
        let _ = self.events.send(Event::End);
    }
}

/// Calls `look` from a thread of its own, once at the start and whenever `path` may have changed.
///
/// # Errors
/// The machine gives no thread. Without notifications the watch still looks every 15 seconds.
pub fn watch(path: &Path, look: impl FnMut() + Send + 'static) -> io::Result<Watch> {
    let (events, incoming) = channel();
    // Begun here, so that no change after this function returned is missed.
    let mut notifier = Notifier::new(path, events.clone());
    notifier.follow();
    thread::Builder::new().name("watch".into()).spawn(move || run(notifier, &incoming, look))?;
    Ok(Watch { events })
}

fn run(mut notifier: Notifier, incoming: &Receiver<Event>, mut look: impl FnMut()) {
    // The file may have changed before it was watched.
    look();
    loop {
        match incoming.recv_timeout(LOOK_EVERY) {
            Ok(event @ (Event::Touched | Event::Writing | Event::Written)) => {
                if settle(incoming, matches!(event, Event::Writing)).is_break() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => return,
        }
        notifier.follow();
        look();
    }
}

/// Waits until nothing has happened for a while, and nobody is writing the file.
fn settle(incoming: &Receiver<Event>, mut writing: bool) -> std::ops::ControlFlow<()> {
    let began = Instant::now();
    while began.elapsed() < if writing { WRITING_MAX } else { QUIET_MAX } {
        match incoming.recv_timeout(QUIET) {
            Ok(Event::Touched) => {}
            Ok(Event::Writing) => writing = true,
            Ok(Event::Written) => writing = false,
            Err(RecvTimeoutError::Timeout) if writing => {}
            Err(RecvTimeoutError::Timeout) => break,
            Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => {
                return std::ops::ControlFlow::Break(());
            }
        }
    }
    std::ops::ControlFlow::Continue(())
}

struct Notifier {
    path: PathBuf,
    /// `None` where the system gives no notifications.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Notifier {
    fn new(path: &Path, events: Sender<Event>) -> Notifier {
        let name = path.file_name().map(std::ffi::OsStr::to_owned);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let ours = |event: &notify::Event| {
                event.paths.iter().any(|path| path.file_name() == name.as_deref())
            };
            let event = match event {
                Ok(event) => match event.kind {
                    EventKind::Modify(ModifyKind::Data(_)) if ours(&event) => Event::Writing,
                    EventKind::Access(AccessKind::Close(AccessMode::Write)) if ours(&event) => {
                        Event::Written
                    }
                    // Reading the file is an event too: taking it for a change would never come to rest.
                    EventKind::Access(_) => return,
                    _ => Event::Touched,
                },
                Err(_) => Event::Touched,
            };
            let _ = events.send(event);
        });
        let watcher = watcher
            .inspect_err(|error| {
                tracing::warn!(event = "watch_degraded", %error, "no notifications of changed files");
            })
            .ok();
        Notifier { path: path.to_owned(), watcher, watched: BTreeSet::new() }
    }

    /// Watches the directory of the file, and that of the file it links to, which may have moved.
    fn follow(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let real = fs::canonicalize(&self.path).ok();
        let wanted: BTreeSet<PathBuf> =
            [Some(self.path.clone()), real].iter().flatten().map(|path| directory(path)).collect();
        for old in self.watched.difference(&wanted) {
            // It may be gone already, and then nothing watches it.
            let _ = watcher.unwatch(old);
        }
        let mut watched = BTreeSet::new();
        for dir in wanted {
            // A directory that was replaced is watched again: adding twice is harmless.
            if watcher.watch(&dir, RecursiveMode::NonRecursive).is_ok() {
                watched.insert(dir);
            }
        }
        self.watched = watched;
    }
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    }
}
