//! A few threads that meet often: a training step is a handful of phases of some tens of microseconds each.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};

/// Turns of a waiting loop before a worker goes to sleep: some tens of microseconds, longer than the serial part of a
/// training step, shorter than anyone would notice on a busy machine.
const SPINS: usize = 4_000;

/// Worker threads that wait spinning, so that handing them work costs about a microsecond.
///
/// Dropping the team ends the threads.
#[derive(Debug)]
pub struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a job runs: a second caller, or a task that calls again, works alone instead.
    busy: Mutex<()>,
}

type Job = *const (dyn Fn() + Sync);

struct Shared {
    /// Goes up by one with each job.
    generation: AtomicUsize,
    job: UnsafeCell<Option<Job>>,
    running: AtomicUsize,
    stop: AtomicBool,
    asleep: Vec<AtomicBool>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is written by the caller of `broadcast` alone, before it raises `generation` (release) and after
// `running` has come down to 0 (acquire); workers read it in between. What it points to is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer is used only while `broadcast` keeps what it points to alive.
unsafe impl Send for Shared {}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Team {
    /// A team of `threads` threads, the caller counted in (so `threads − 1` are started).
    ///
    /// # Panics
    /// If `threads` is 0, or the system cannot start a thread.
    pub fn new(threads: usize) -> Self {
        assert!(threads > 0, "a team needs a thread");
        let shared = Arc::new(Shared {
            generation: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            running: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            asleep: (1..threads).map(|_| AtomicBool::new(false)).collect(),
            panic: Mutex::new(None),
        });
        let workers = (0..threads - 1)
            .map(|i| {
                let shared = Arc::clone(&shared);
                thread::Builder::new()
                    .name(format!("upnext-{}", i + 1))
                    .spawn(move || shared.work(i))
                    .expect("the system refuses a thread; use fewer")
            })
            .collect();
        Self { shared, workers, busy: Mutex::new(()) }
    }

    /// Number of threads, the caller counted in.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `f` on every task; threads take the next task as they get free.
    ///
    /// Tasks come from the iterator under a lock, so that an iterator over disjoint parts (`chunks_mut`, zipped) hands
    /// each thread its own without an allocation. Which thread runs a task is left to chance: results must not depend
    /// on it.
    ///
    /// # Panics
    /// If `f` panics, once every thread has stopped.
    pub fn for_each<I>(&self, tasks: I, f: impl Fn(I::Item) + Sync)
    where
        I: Iterator + Send,
        I::Item: Send,
    {
        let Some(_guard) = self.free_workers() else { return tasks.for_each(f) };
        let tasks = Mutex::new(tasks);
        self.broadcast(&|| {
            loop {
                // The lock is poisoned only if the iterator itself panics; then there is nothing left to take.
                let Ok(mut tasks) = tasks.lock() else { return };
                let Some(task) = tasks.next() else { return };
                drop(tasks);
                f(task);
            }
        });
    }

    /// The right to hand the workers a job, unless there are none or they have one.
    fn free_workers(&self) -> Option<MutexGuard<'_, ()>> {
        if self.workers.is_empty() {
            return None;
        }
        match self.busy.try_lock() {
            Ok(guard) => Some(guard),
            // A job has panicked; `broadcast` waited for every worker before it passed the panic on.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Runs `job` on every thread, the caller's too, and returns when all are done.
    fn broadcast<'a>(&self, job: &'a (dyn Fn() + Sync + 'a)) {
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes; no worker touches the job after `running` is 0, which is awaited below.
        let job_static: Job = unsafe { std::mem::transmute::<*const (dyn Fn() + Sync + 'a), Job>(job) };
        // SAFETY: no worker reads `job` now: `running` is 0, and `generation` has not been raised.
        unsafe { *shared.job.get() = Some(job_static) };
        shared.running.store(self.workers.len(), Ordering::Relaxed);
        shared.generation.fetch_add(1, Ordering::SeqCst);
        self.wake();
        let own = catch_unwind(AssertUnwindSafe(job));
        let mut turns = 0;
        while shared.running.load(Ordering::Acquire) > 0 {
            turns += 1;
            if turns < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        let theirs = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = own.err().or(theirs) {
            resume_unwind(panic);
        }
    }

    fn wake(&self) {
        for (worker, asleep) in self.workers.iter().zip(&self.shared.asleep) {
            if asleep.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
        self.wake();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its jobs, so that joining cannot fail.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn work(&self, me: usize) {
        let mut seen = 0;
        loop {
            seen = self.await_job(me, seen);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            // SAFETY: `generation` has been raised after `job` was written, and `running` still counts this worker.
            let job = unsafe { (*self.job.get()).map(|job| &*job) };
            if let Some(job) = job
                && let Err(panic) = catch_unwind(AssertUnwindSafe(job))
            {
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            }
            self.running.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for a generation other than `seen` and returns it.
    fn await_job(&self, me: usize, seen: usize) -> usize {
        let mut turns = 0;
        loop {
            let generation = self.generation.load(Ordering::SeqCst);
            if generation != seen {
                return generation;
            }
            turns += 1;
            if turns < SPINS {
                std::hint::spin_loop();
                continue;
            }
            // Announced first, looked again, then asleep: the caller looks at `asleep` after raising `generation`.
            self.asleep[me].store(true, Ordering::SeqCst);
            if self.generation.load(Ordering::SeqCst) == seen {
                thread::park();
            }
            self.asleep[me].store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_on_disjoint_parts() {
        for threads in [1, 2, 3, 5] {
            let team = Team::new(threads);
            assert_eq!(team.threads(), threads);
            let mut x = vec![0u32; 1003];
            for round in 1..200 {
                team.for_each(x.chunks_mut(10), |part| part.iter_mut().for_each(|x| *x += 1));
                assert!(x.iter().all(|&x| x == round));
            }
        }
    }

    #[test]
    fn a_team_that_has_slept_wakes_up() {
        let team = Team::new(2);
        for _ in 0..3 {
            thread::sleep(std::time::Duration::from_millis(20));
            let count = AtomicUsize::new(0);
            team.for_each(0..64, |_| _ = count.fetch_add(1, Ordering::Relaxed));
            assert_eq!(count.into_inner(), 64);
        }
    }

    #[test]
    fn a_task_may_use_the_team_again() {
        let team = Team::new(2);
        let count = AtomicUsize::new(0);
        team.for_each(0..4, |_| team.for_each(0..4, |_| _ = count.fetch_add(1, Ordering::Relaxed)));
        assert_eq!(count.into_inner(), 16);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_lives_on() {
        let team = Team::new(2);
        let panic = catch_unwind(AssertUnwindSafe(|| team.for_each(0..10, |i| assert_ne!(i, 7, "seven"))));
        assert!(panic.is_err());
        // Two tasks that wait for each other take two threads.
        let arrived = AtomicUsize::new(0);
        let met = |_| {
            arrived.fetch_add(1, Ordering::SeqCst);
            let begun = std::time::Instant::now();
            while arrived.load(Ordering::SeqCst) < 2 {
                assert!(begun.elapsed().as_secs() < 10, "a task waits for another in vain");
                thread::yield_now();
            }
        };
        team.for_each(0..2, met);
    }
}
