//! A thread pool with a low latency: a training step consists of a few parallel phases of some tens of microseconds each.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, TryLockError};
use sync::{
    AtomicBool, AtomicU64, Builder, JoinHandle, Mutex, MutexGuard, SPINS, UnsafeCell, park, spin_loop,
    yield_now,
};

#[cfg(all(loom, test))]
mod loom_tests;
mod sync;

/// A pool of worker threads that spin while they wait, so that starting a job takes about a microsecond.
///
/// A job ends with its last task, whether or not every worker has joined it: on a busy machine a worker that is not
/// scheduled does not delay the others. Workers that wait longer go to sleep. Dropping the pool ends its threads.
#[derive(Debug)]
pub struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a job runs. A second caller, or a task that calls the pool again, runs its tasks alone instead.
    busy: Mutex<()>,
}

/// Called with the number of the thread; the caller has number 0.
type Job = *const (dyn Fn(usize) + Sync);

struct Shared {
    /// The number of the job, whether workers may join it, and how many have: see [`OPEN`].
    state: AtomicU64,
    job: UnsafeCell<Option<Job>>,
    stop: AtomicBool,
    asleep: Vec<AtomicBool>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The bit of [`Shared::state`] that is set while workers may join the job. The bits below it count the workers that have
/// joined and not left, those above it are the number of the job.
const OPEN: u64 = 1 << 31;

fn number_of(state: u64) -> u64 {
    state >> 32
}

fn workers_at(state: u64) -> u64 {
    state & (OPEN - 1)
}

// SAFETY: only `broadcast` writes `job`, while the state is closed and no worker has joined; a worker reads it only after it
// has joined an open job (acquire), which the caller opened after writing (release). What it points to is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer is only used while `broadcast` keeps what it points to alive.
unsafe impl Send for Shared {}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl ThreadPool {
    /// A pool of `threads` threads including the caller's: `threads − 1` are started.
    ///
    /// # Panics
    /// If `threads` is 0, or the system cannot start a thread.
    pub fn new(threads: usize) -> Self {
        assert!(threads > 0, "a thread pool needs a thread");
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            stop: AtomicBool::new(false),
            asleep: (1..threads).map(|_| AtomicBool::new(false)).collect(),
            panic: Mutex::new(None),
        });
        let workers = (0..threads - 1)
            .map(|i| {
                let shared = Arc::clone(&shared);
                Builder::new()
                    .name(format!("upnext-{}", i + 1))
                    .spawn(move || shared.work(i))
                    .expect("the system refuses a thread; use fewer")
            })
            .collect();
        Self { shared, workers, busy: Mutex::new(()) }
    }

    /// Number of threads, including the caller's.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `f` on every task and returns when all are done. A thread that is free takes the next task.
    ///
    /// Tasks are drawn from the iterator under a lock, so that an iterator over disjoint parts (`chunks_mut`, zipped) gives
    /// them to the threads without an allocation. Any thread may run any task: results must not depend on which.
    ///
    /// # Panics
    /// With the panic of `f`, after every thread has left the job.
    pub fn for_each<I>(&self, tasks: I, f: impl Fn(I::Item) + Sync)
    where
        I: Iterator + Send,
        I::Item: Send,
    {
        self.for_each_then_owned(tasks, f, &mut [(); 0], |_, _| ());
    }

    /// Runs `f` on every element of `owned` with its index, each on the same thread in every call with the same number of
    /// elements, unless that thread is late and another takes the element over.
    ///
    /// For data that one thread uses in several phases: reading what another core has written takes several times longer.
    /// Results must not depend on the thread.
    ///
    /// # Panics
    /// With the panic of `f`, after every thread has left the job; if there are more than 64 elements.
    pub fn for_each_owned<T: Send>(&self, owned: &mut [T], f: impl Fn(usize, &mut T) + Sync) {
        self.for_each_then_owned(std::iter::empty::<()>(), |()| (), owned, f);
    }

    /// Runs `f` on every task as [`for_each`](Self::for_each) does, then `g` on every element of `owned` as
    /// [`for_each_owned`](Self::for_each_owned) does, in one job: a thread starts with its elements when no task is left, while
    /// others may still run tasks.
    ///
    /// # Panics
    /// With the panic of `f` or `g`, after every thread has left the job; if there are more than 64 elements.
    pub fn for_each_then_owned<I, T>(
        &self,
        tasks: I,
        f: impl Fn(I::Item) + Sync,
        owned: &mut [T],
        g: impl Fn(usize, &mut T) + Sync,
    ) where
        I: Iterator + Send,
        I::Item: Send,
        T: Send,
    {
        let count = owned.len();
        assert!(count <= 64, "{count} elements to be owned");
        // Waking the workers costs more than a single task.
        let single = tasks.size_hint().1.is_some_and(|most| most.saturating_add(count) <= 1);
        let guard = if single { None } else { self.free_workers() };
        let Some(guard) = guard else {
            tasks.for_each(f);
            return owned.iter_mut().enumerate().for_each(|(i, x)| g(i, x));
        };
        let (tasks, threads) = (Mutex::new(tasks), self.threads());
        let (elements, claimed) = (Elements(owned.as_mut_ptr()), AtomicU64::new(0));
        let panic = self.broadcast(&|me| {
            while let Some(task) = next_task(&tasks) {
                f(task);
            }
            let of = |thread: usize| thread * count / threads..(thread + 1) * count / threads;
            let others = (me + 1..me + threads).flat_map(|thread| of(thread % threads).rev());
            for i in of(me).chain(others) {
                if claimed.fetch_or(1 << i, Ordering::Relaxed) & (1 << i) == 0 {
                    // SAFETY: `i` is below the number of elements, and this thread alone has claimed it in this job,
                    // which ends before `owned` does.
                    g(i, unsafe { elements.at(i) });
                }
            }
        });
        drop(guard);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// The lock that `broadcast` needs; `None` if there are no workers, or a job is running.
    fn free_workers(&self) -> Option<MutexGuard<'_, ()>> {
        if self.workers.is_empty() {
            return None;
        }
        match self.busy.try_lock() {
            Ok(guard) => Some(guard),
            // Nothing panics while it is held.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Runs `job` on the caller's thread and on every worker that joins in time. Returns after all of them have finished, with
    /// the panic of one of them if there was any. The caller holds `busy`.
    fn broadcast<'a>(&self, job: &'a (dyn Fn(usize) + Sync + 'a)) -> Option<Box<dyn Any + Send>> {
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes; no worker uses the job after it is closed and all have left, which the loop
        // below waits for.
        let job_static: Job = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + 'a), Job>(job) };
        // SAFETY: the state is closed and all workers have left the last job, so no thread reads this now.
        shared.job.with_mut(|job| unsafe { *job = Some(job_static) });
        let number = number_of(shared.state.load(Ordering::Relaxed)).wrapping_add(1);
        shared.state.store(number << 32 | OPEN, Ordering::SeqCst);
        self.wake();
        let own = catch_unwind(AssertUnwindSafe(|| job(0)));
        let mut state = shared.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut turns = 0;
        while workers_at(state) > 0 {
            turns += 1;
            if turns < SPINS {
                spin_loop()
            } else {
                yield_now()
            }
            state = shared.state.load(Ordering::Acquire);
        }
        let theirs = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        own.err().or(theirs)
    }

    fn wake(&self) {
        for (worker, asleep) in self.workers.iter().zip(&self.shared.asleep) {
            if asleep.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
    }
}

/// Pointer to the elements of a slice, which threads claim one by one.
struct Elements<T>(*mut T);

// SAFETY: only the thread that has claimed an element uses it, and elements are `Send`.
unsafe impl<T: Send> Sync for Elements<T> {}

impl<T> Elements<T> {
    /// # Safety
    /// `i` must be an index of the slice, and no other thread may use that element.
    #[allow(clippy::mut_from_ref)] // claiming makes the borrow exclusive
    unsafe fn at(&self, i: usize) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.add(i) }
    }
}

/// Takes the next task. Spins while another thread does so: putting the thread to sleep costs more than most tasks.
fn next_task<I: Iterator>(tasks: &Mutex<I>) -> Option<I::Item> {
    let mut turns = 0;
    loop {
        match tasks.try_lock() {
            Ok(mut tasks) => return tasks.next(),
            // The iterator itself has panicked: no tasks are left.
            Err(TryLockError::Poisoned(_)) => return None,
            Err(TryLockError::WouldBlock) => {
                turns += 1;
                if turns < SPINS { spin_loop() } else { yield_now() }
            }
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
        for worker in self.workers.drain(..) {
            // Workers catch the panics of jobs, so that joining cannot fail.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn work(&self, me: usize) {
        let mut seen = 0;
        while let Some(number) = self.join_job(me, seen) {
            seen = number;
            // SAFETY: this worker has joined an open job, and the caller waits until it has left.
            let job = self.job.with(|job| unsafe { (*job).map(|job| &*job) });
            if let Some(job) = job
                && let Err(panic) = catch_unwind(AssertUnwindSafe(|| job(me + 1)))
            {
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            }
            self.state.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for an open job with a number other than `seen` and joins it. Returns its number, or `None` when the pool ends.
    fn join_job(&self, me: usize, seen: u64) -> Option<u64> {
        let mut turns = 0;
        loop {
            if self.stop.load(Ordering::SeqCst) {
                return None;
            }
            let state = self.state.load(Ordering::SeqCst);
            if state & OPEN != 0 && number_of(state) != seen {
                let joined =
                    self.state.compare_exchange(state, state + 1, Ordering::SeqCst, Ordering::Relaxed);
                if joined.is_ok() {
                    return Some(number_of(state));
                }
                continue;
            }
            turns += 1;
            if turns < SPINS {
                spin_loop();
                continue;
            }
            // Set `asleep`, check again, then sleep: the caller reads `asleep` after it has opened a job, so that one of the
            // two sees the other's write (all four accesses are `SeqCst`).
            self.asleep[me].store(true, Ordering::SeqCst);
            if self.state.load(Ordering::SeqCst) == state && !self.stop.load(Ordering::SeqCst) {
                park();
            }
            self.asleep[me].store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    #[test]
    fn every_task_runs_once_on_disjoint_parts() {
        for threads in [1, 2, 3, 5] {
            let pool = ThreadPool::new(threads);
            assert_eq!(pool.threads(), threads);
            let mut x = vec![0u32; 1003];
            for round in 1..if cfg!(miri) { 3 } else { 200 } {
                pool.for_each(x.chunks_mut(10), |part| part.iter_mut().for_each(|x| *x += 1));
                assert!(x.iter().all(|&x| x == round));
            }
        }
    }

    #[test]
    fn owned_elements_are_visited_once_after_the_tasks() {
        let calls = if cfg!(miri) { 2 } else { 100 };
        for threads in [1, 2, 3, 5] {
            let pool = ThreadPool::new(threads);
            let mut x = [0u32; 64];
            let (tasks, mut visits) = (AtomicUsize::new(0), 0);
            for count in [0, 1, 2, 3, 8, 64] {
                for _ in 0..calls {
                    pool.for_each_then_owned(
                        0..3,
                        |_| _ = tasks.fetch_add(1, Ordering::Relaxed),
                        &mut x[..count],
                        |i, x| *x += 1 + i as u32,
                    );
                    pool.for_each_owned(&mut x[..count], |_, x| *x += 1);
                }
                visits += 1;
                for (i, x) in x.iter_mut().enumerate() {
                    let rounds = if i < count { calls } else { 0 };
                    assert_eq!(std::mem::take(x), rounds * (2 + i as u32), "{threads} threads, element {i}");
                }
            }
            assert_eq!(tasks.into_inner(), 3 * calls as usize * visits);
        }
    }

    #[test]
    fn a_pool_that_has_slept_wakes_up() {
        let pool = ThreadPool::new(2);
        for _ in 0..3 {
            thread::sleep(std::time::Duration::from_millis(20));
            let count = AtomicUsize::new(0);
            pool.for_each(0..64, |_| _ = count.fetch_add(1, Ordering::Relaxed));
            assert_eq!(count.into_inner(), 64);
        }
    }

    #[test]
    fn a_task_may_use_the_pool_again() {
        let pool = ThreadPool::new(2);
        let count = AtomicUsize::new(0);
        pool.for_each(0..4, |_| pool.for_each(0..4, |_| _ = count.fetch_add(1, Ordering::Relaxed)));
        assert_eq!(count.into_inner(), 16);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = ThreadPool::new(2);
        let panic = catch_unwind(AssertUnwindSafe(|| pool.for_each(0..10, |i| assert_ne!(i, 7, "seven"))));
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
        pool.for_each(0..2, met);
    }
}
