//! A panic in one request is that request's alone: [`caught`] and [`catch`] stop it where it can still be answered,
//! and one line of the log says where it began.
//!
//! Never prints what a panic says: that may hold what a request held. Called by the gateway around each request, by
//! the server around each body, and once at the start.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    /// Whether this thread is inside [`catch`], whose caller tells the log more than a hook can.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic inside [`catch`] began.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A panic that was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// File and line in our source, or in a library's.
    pub place: String,
}

impl Panicked {
    /// The one line about it: which request it ended, and where it began.
    pub fn report(&self, request_id: &str) {
        tracing::error!(event = "panic", request_id, place = self.place, "{MISTAKE}");
    }
}

/// What the operator is told of every panic.
const MISTAKE: &str = "a mistake of ours ended a request: please report it with this place";

/// From here on a panic is one line of the log, without its words. Called once, when logging has started.
pub fn tell_panics_by_place() {
    std::panic::set_hook(Box::new(tell));
}

fn tell(info: &PanicHookInfo<'_>) {
    let place = place(info);
    if CATCHING.get() {
        PLACE.set(place);
    } else {
        let thread = std::thread::current().name().unwrap_or("-").to_owned();
        tracing::error!(event = "panic", place, thread, "{MISTAKE}");
    }
}

fn place(info: &PanicHookInfo<'_>) -> String {
    info.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()))
}

/// Does the work, stops a panic in it.
///
/// # Errors
/// [`Panicked`]. What the work borrowed may be half changed: drop it, or know that it is whole.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let outer = CATCHING.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(outer);
    done.map_err(|_words| Panicked { place: PLACE.take() })
}

/// Waits for the future, stops a panic in it; it is not polled again after one.
///
/// # Errors
/// As [`catch`].
pub fn caught<F: Future>(future: F) -> Caught<F> {
    Caught { future }
}

pin_project_lite::pin_project! {
    /// See [`caught`]. A struct, since an async function would hold the future twice: as its argument, and pinned.
    #[derive(Debug)]
    pub struct Caught<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch(|| self.project().future.poll(cx)) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_at_any_poll_is_stopped_and_the_thread_goes_on() {
        assert_eq!(caught(async { 7 }).await, Ok(7));
        let early = caught(async { panic!("at the first poll") }).await;
        assert!(early.is_err());
        let late = caught(async {
            tokio::task::yield_now().await;
            panic!("at the second poll")
        });
        assert!(late.await.is_err());
        assert!(catch(|| catch(|| panic!("inner"))).expect("the outer goes on").is_err());
        assert!(!CATCHING.get(), "nothing stays set");
        assert_eq!(caught(async { 8 }).await, Ok(8));
    }

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("one thread").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_one_line_with_its_place_and_without_its_words() {
        let (log, here) = (Log::default(), std::thread::current().id());
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match std::thread::current().id() == here {
            true => tell(info),
            // Another test that fails must be heard.
            false => before(info),
        }));
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let stopped = catch(|| panic!("a secret")).expect_err("stopped");
            stopped.report("request-7");
            let uncaught = catch_unwind(|| panic!("a secret"));
            assert!(uncaught.is_err());
        });
        let text = String::from_utf8(log.0.lock().expect("one thread").clone()).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("request-7"), "{text}");
        for line in lines {
            assert!(line.contains("ERROR") && line.contains("panics.rs:"), "{line}");
            assert!(!line.contains("secret"), "{line}");
        }
    }
}
