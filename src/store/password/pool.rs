//! The bounded pool that checks passwords: a few threads of its own take jobs from a bounded queue, so that
//! a flood of logins waits there or is turned away, and proxying goes on.
//!
//! A hash is made here only in the place of a weak one; else the command line makes them, on its own thread.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::{Hash, PasswordFault, StoredHash};
use crate::store::CheckFault;
use crate::token::Secret;

/// A few threads that check passwords, and the bounded queue before them. Dropping it ends the threads.
#[derive(Debug)]
pub struct Pool {
    queue: SyncSender<Job>,
}

/// What is to be computed of a password, and where the answer goes.
enum Job {
    Verify(StoredHash, Secret, oneshot::Sender<bool>),
    Hash(Secret, oneshot::Sender<Result<Hash, PasswordFault>>),
}

impl Pool {
    /// Starts half as many threads as there are cores, at least one, so that a flood of logins leaves
    /// cores for proxying. `queue_max` checks may wait (`[limits] login_queue`).
    ///
    /// # Errors
    /// The machine gives no thread.
    pub fn start(queue_max: usize) -> io::Result<Arc<Pool>> {
        let threads = thread::available_parallelism().map_or(1, usize::from) / 2;
        Pool::start_with(threads.max(1), queue_max)
    }

    pub(in crate::store) fn start_with(threads: usize, queue_max: usize) -> io::Result<Arc<Pool>> {
        let (queue, jobs) = sync_channel(queue_max.max(1));
        let jobs = Arc::new(Mutex::new(jobs));
        for index in 0..threads {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new().name(format!("password-{index}")).spawn(move || work(&jobs))?;
        }
        Ok(Arc::new(Pool { queue }))
    }

    /// Waits for its turn and checks.
    ///
    /// # Errors
    /// [`CheckFault::Overloaded`] when the queue is full or the pool is gone: nothing was checked.
    pub async fn verify(&self, hash: StoredHash, password: Secret) -> Result<bool, CheckFault> {
        self.ask(|answer| Job::Verify(hash, password, answer)).await
    }

    /// Waits for its turn and makes a hash of ours.
    ///
    /// # Errors
    /// [`CheckFault::Overloaded`] as for a check; inside, what is wrong with the password.
    pub async fn hash(&self, password: Secret) -> Result<Result<Hash, PasswordFault>, CheckFault> {
        self.ask(|answer| Job::Hash(password, answer)).await
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, CheckFault> {
        let (answer, outcome) = oneshot::channel();
        match self.queue.try_send(job(answer)) {
            Ok(()) => outcome.await.map_err(|_| CheckFault::Overloaded),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                Err(CheckFault::Overloaded)
            }
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        // The lock is held while waiting, never while hashing.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A panic would take one of few threads with it: it counts as a wrong password instead, or as no hash.
        // A caller that went away costs nothing.
        match job {
            Job::Verify(hash, password, answer) if !answer.is_closed() => {
                let right = catch_unwind(AssertUnwindSafe(|| hash.verify(&password)));
                let _ = answer.send(right.unwrap_or(false));
            }
            Job::Hash(password, answer) if !answer.is_closed() => {
                let made = catch_unwind(AssertUnwindSafe(|| Hash::of(&password)));
                let _ = answer.send(made.unwrap_or(Err(PasswordFault::Machine)));
            }
            Job::Verify(..) | Job::Hash(..) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[tokio::test]
    async fn full_queue_turns_away_at_once() {
        let pool = Pool::start_with(1, 2).unwrap();
        let hash = StoredHash::from(Hash::of(&secret("right")).unwrap());
        let check = || pool.verify(hash.clone(), secret("right"));
        let all: Vec<_> = (0..50).map(|_| check()).collect();
        let mut right = 0;
        let mut turned_away = 0;
        for outcome in futures_join(all).await {
            match outcome {
                Ok(true) => right += 1,
                Err(CheckFault::Overloaded) => turned_away += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!((2..=4).contains(&right), "{right} were checked");
        assert_eq!(right + turned_away, 50);
    }

    #[tokio::test]
    async fn nobody_hashes_for_a_caller_that_went_away() {
        let pool = Pool::start_with(1, 1000).unwrap();
        let hash = StoredHash::from(Hash::of(&secret("right")).unwrap());
        for _ in 0..500 {
            let gone = pool.verify(hash.clone(), secret("right"));
            let _ = tokio::time::timeout(Duration::ZERO, gone).await;
        }
        let begun = Instant::now();
        assert!(pool.verify(hash, secret("right")).await.unwrap());
        // 500 checks would take many seconds.
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }

    /// Polls all of them together, without another crate.
    async fn futures_join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
        let mut pinned: Vec<_> = futures.into_iter().map(|f| (Box::pin(f), None)).collect();
        std::future::poll_fn(|context| {
            for (future, outcome) in &mut pinned {
                if outcome.is_none()
                    && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
                {
                    *outcome = Some(value);
                }
            }
            match pinned.iter().all(|(_, outcome)| outcome.is_some()) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
        pinned.into_iter().filter_map(|(_, outcome)| outcome).collect()
    }
}
