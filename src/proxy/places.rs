//! The places at one upstream: how many requests it has at once over all data threads, and who waits for one. A backend that
//! hangs fills its own places and no other's.
//!
//! Taking and leaving a place is one atomic operation each; a lock is taken only to wait and to wake who waits. A place is
//! kept until the response has ended or was given up. Made by `server::build`, kept over reloads; used by `forward`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::telemetry::Limit;

/// The places at one upstream. Its numbers are ordered among each other (`SeqCst`): who leaves must see who
/// waits, or who waits must see the place that became free.
#[derive(Debug)]
pub struct Places {
    taken: AtomicUsize,
    waiting: AtomicUsize,
    max: AtomicUsize,
    queue_max: AtomicUsize,
    freed: Notify,
}

/// A place at an upstream, left when it is dropped.
#[derive(Debug)]
pub struct Place(Arc<Places>);

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// As many wait as may.
    QueueFull,
    /// None became free in time.
    TooLate,
}

impl NoPlace {
    /// The limit that was reached.
    pub fn limit(self) -> Limit {
        match self {
            NoPlace::QueueFull => Limit::UpstreamQueue,
            NoPlace::TooLate => Limit::UpstreamQueueTimeout,
        }
    }
}

impl Places {
    /// `max` requests at once, and `queue_max` that wait.
    pub fn new(max: usize, queue_max: usize) -> Arc<Places> {
        Arc::new(Places {
            taken: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            max: AtomicUsize::new(max),
            queue_max: AtomicUsize::new(queue_max),
            freed: Notify::new(),
        })
    }

    /// Changes both numbers. Nobody loses a place: with fewer of them, the next ones wait until enough have been left.
    pub fn resize(&self, max: usize, queue_max: usize) {
        self.queue_max.store(queue_max, Ordering::SeqCst);
        self.max.store(max, Ordering::SeqCst);
        self.pass_on();
    }

    /// A place that is free now; `None` also when others wait for one already.
    pub fn try_take(self: &Arc<Places>) -> Option<Place> {
        if self.waiting.load(Ordering::SeqCst) > 0 { None } else { self.take() }
    }

    /// Waits for a place, at most for `patience`, in the order of coming.
    ///
    /// # Errors
    /// [`NoPlace`]; at once when the queue is full.
    pub async fn wait(self: &Arc<Places>, patience: Duration) -> Result<Place, NoPlace> {
        let deadline = Instant::now() + patience;
        let (waiting, mut my_turn) = Waiting::join(self).ok_or(NoPlace::QueueFull)?;
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Enlisted first and asked then, so that no place is freed between the two.
            freed.as_mut().enable();
            // Who comes behind others does not ask: a place that is free now is for one that was woken and has not looked yet.
            if my_turn && let Some(place) = self.take() {
                drop(waiting);
                self.pass_on();
                return Ok(place);
            }
            timeout_at(deadline, freed).await.map_err(|_| NoPlace::TooLate)?;
            my_turn = true;
        }
    }

    /// Wakes the next who waits, if there is a place: to be called after every change of either. Who takes one wakes
    /// the next in turn, so that no place stays free that came while nobody was enlisted.
    fn pass_on(&self) {
        let is_free = || self.taken.load(Ordering::SeqCst) < self.max.load(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 && is_free() {
            self.freed.notify_one();
        }
    }

    fn take(self: &Arc<Places>) -> Option<Place> {
        let max = self.max.load(Ordering::SeqCst);
        let more = |taken| (taken < max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
        self.0.pass_on();
    }
}

/// One who waits, counted until he goes, with a place or without.
struct Waiting<'a>(&'a Places);

impl Waiting<'_> {
    /// And whether nobody waits already.
    fn join(places: &Places) -> Option<(Waiting<'_>, bool)> {
        let max = places.queue_max.load(Ordering::SeqCst);
        let more = |waiting| (waiting < max).then_some(waiting + 1);
        let before = places.waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some((Waiting(places), before == 0))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn paused() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime")
    }

    #[test]
    fn there_are_as_many_places_as_were_named_and_each_can_be_taken_again() {
        let places = Places::new(2, 0);
        let (one, two) = (places.try_take(), places.try_take());
        assert!(one.is_some() && two.is_some() && places.try_take().is_none());
        drop(one);
        assert!(places.try_take().is_some());
    }

    #[test]
    fn who_waits_longer_than_the_patience_goes_without_and_a_full_queue_is_told_at_once() {
        paused().block_on(async {
            let places = Places::new(1, 1);
            let place = places.try_take();
            let first = places.wait(Duration::from_secs(5));
            let second = places.wait(LONG);
            let start = Instant::now();
            let (first, second) = tokio::join!(first, second);
            assert_eq!(second.err(), Some(NoPlace::QueueFull));
            assert_eq!(first.err(), Some(NoPlace::TooLate));
            assert_eq!(start.elapsed().as_secs(), 5);
            drop(place);
            assert!(places.try_take().is_some(), "nobody waits any more");
        });
    }

    #[test]
    fn places_pass_on_in_the_order_of_waiting_and_nobody_overtakes() {
        paused().block_on(async {
            let places = Places::new(1, 10);
            let held = places.try_take();
            let order = std::cell::RefCell::new(Vec::new());
            let wait = |number: u32| {
                let (places, order) = (&places, &order);
                async move {
                    let place = places.wait(LONG).await;
                    order.borrow_mut().push(number);
                    tokio::task::yield_now().await;
                    drop(place);
                }
            };
            let leave = async {
                tokio::task::yield_now().await;
                drop(held);
                assert!(places.try_take().is_none(), "others wait");
            };
            tokio::join!(wait(1), wait(2), wait(3), leave);
            assert_eq!(*order.borrow(), [1, 2, 3]);
        });
    }

    /// The one whose turn it is has been woken and has not looked yet.
    #[test]
    fn who_comes_while_a_place_changes_hands_does_not_get_it() {
        paused().block_on(async {
            let places = Places::new(1, 10);
            let held = places.try_take();
            let mut first = Box::pin(places.wait(LONG));
            assert!(is_pending(&mut first).await);
            drop(held);
            let mut second = Box::pin(places.wait(LONG));
            assert!(is_pending(&mut second).await, "overtaken");
            let one = first.await;
            assert!(one.is_ok() && is_pending(&mut second).await);
            drop(one);
            assert!(second.await.is_ok());
        });
    }

    /// Two places are free before the first who waits has looked, and the second came in between.
    #[test]
    fn no_place_stays_free_while_somebody_waits() {
        paused().block_on(async {
            let places = Places::new(2, 10);
            let held = [places.try_take(), places.try_take()];
            let mut first = Box::pin(places.wait(LONG));
            assert!(is_pending(&mut first).await);
            drop(held);
            let mut second = Box::pin(places.wait(LONG));
            assert!(first.await.is_ok());
            assert!(tokio::time::timeout(LONG / 2, &mut second).await.is_ok_and(|two| two.is_ok()));
            assert_eq!(places.waiting.load(Ordering::SeqCst), 0);
        });
    }

    #[test]
    fn who_gives_up_waiting_frees_the_queue_and_passes_the_place_on() {
        paused().block_on(async {
            let places = Places::new(1, 2);
            let held = places.try_take();
            let mut gone = Box::pin(places.wait(LONG));
            let mut stays = Box::pin(places.wait(LONG));
            assert!(is_pending(&mut gone).await && is_pending(&mut stays).await);
            // Woken first, and dropped before it looks.
            drop(held);
            drop(gone);
            assert!(stays.await.is_ok());
            assert_eq!(places.waiting.load(Ordering::SeqCst), 0);
        });
    }

    async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())
        })
        .await
    }

    #[test]
    fn more_places_wake_who_waits_and_fewer_let_nobody_in_until_enough_are_left() {
        paused().block_on(async {
            let places = Places::new(1, 10);
            let one = places.try_take();
            let grow = async {
                tokio::task::yield_now().await;
                places.resize(2, 10);
            };
            let (two, ()) = tokio::join!(places.wait(LONG), grow);
            assert!(two.is_ok());
            places.resize(1, 10);
            drop(two);
            assert!(places.try_take().is_none(), "one is taken, and one is all there are");
            drop(one);
            assert!(places.try_take().is_some());
        });
    }

    #[test]
    fn threads_that_fight_for_places_never_exceed_them_and_all_get_one() {
        const THREADS: usize = 4;
        const ROUNDS: usize = 2000;
        let places = Places::new(2, 1000);
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let mut runtime = tokio::runtime::Builder::new_current_thread();
                    runtime.enable_time().build().expect("a runtime").block_on(async {
                        for _ in 0..ROUNDS {
                            let place = match places.try_take() {
                                Some(place) => place,
                                None => places.wait(LONG).await.expect("a place in the end"),
                            };
                            assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(place);
                        }
                    });
                });
            }
        });
        assert_eq!(places.taken.load(Ordering::SeqCst), 0);
    }
}
