//! The way of a log line to standard error: over a bounded queue and a thread of its own.
//!
//! Never waits and never fails: a disk that is full, a pipe that is closed or that nobody reads costs lines of the log,
//! which are counted, and neither a request nor the process. Made once, at the start of the server.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

/// Bytes of lines that may wait for a log that is slow; what comes beyond them is lost.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long the end of the process waits for the last lines.
const FLUSH_MAX: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    Flush(Sender<()>),
}

/// Where lines are put; clones share the queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    lines: Sender<Message>,
    waiting: Arc<AtomicUsize>,
}

/// The log of a process; when it is dropped, the last lines are written first, as far as somebody takes them.
#[derive(Debug)]
pub struct Log(Option<Sender<Message>>);

/// How many lines were lost.
pub(super) fn lost() -> &'static Counter {
    static LOST: OnceLock<Counter> = OnceLock::new();
    LOST.get_or_init(Counter::default)
}

/// Starts the thread that writes to `out`.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Queue, Log)> {
    let (lines, queue) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&waiting);
    thread::Builder::new().name("log".into()).spawn(move || write_all(out, &queue, &theirs))?;
    Ok((Queue { lines: lines.clone(), waiting }, Log(Some(lines))))
}

fn write_all(mut out: impl Write, queue: &Receiver<Message>, waiting: &AtomicUsize) {
    let mut told = lost().get();
    while let Ok(message) = queue.recv() {
        match message {
            Message::Line(line) => {
                let written = out.write_all(&line);
                waiting.fetch_sub(line.len(), Ordering::Relaxed);
                if written.is_err() {
                    lost().inc();
                } else if lost().get() > told {
                    let lines = lost().get() - told;
                    told += lines;
                    tracing::warn!(event = "log_lost", lines, "lines of the log were lost");
                }
            }
            Message::Flush(done) => {
                // Whoever waited may have gone.
                let _gone = out.flush().map(|()| done.send(()));
            }
        }
    }
}

/// One line each time: the formatter hands over a whole event at once.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let more = |waiting| Some(waiting + line.len()).filter(|all| *all <= WAITING_BYTES_MAX);
        let room = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if room.is_err() || self.lines.send(Message::Line(line.to_vec())).is_err() {
            lost().inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (done, flushed) = channel();
        if let Some(lines) = self.0.take().filter(|lines| lines.send(Message::Flush(done)).is_ok())
        {
            let _in_time = flushed.recv_timeout(FLUSH_MAX);
            drop(lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{SyncSender, sync_channel};

    use super::*;

    /// A log that takes a line when somebody asks for it.
    struct Slow(SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.send(line.to_vec()).map_err(io::Error::other)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_reads_keeps_so_many_bytes_and_never_waits() {
        let (taker, taken) = sync_channel(0);
        let (mut queue, log) = start(Slow(taker)).expect("a thread");
        let line = vec![b'x'; WAITING_BYTES_MAX / 4];
        let before = lost().get();
        for _ in 0..10 {
            queue.write_all(&line).expect("never fails");
        }
        assert_eq!(lost().get() - before, 6);
        for _ in 0..4 {
            assert_eq!(taken.recv().expect("a line").len(), line.len());
        }
        drop(log);
        drop(taken);
        queue.write_all(b"after the end").expect("never fails");
    }
}
