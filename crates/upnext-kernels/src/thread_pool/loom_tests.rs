//! Interleavings of a thread pool, one by one: `RUSTFLAGS="--cfg loom" cargo test -p upnext-kernels --release --lib
//! thread_pool::loom`.
//!
//! Every model ends with the pool's drop, so that each also checks shutdown. loom fails when two threads use a cell
//! without an order between them, and when all threads wait. `LOOM_MAX_PREEMPTIONS` raises the number of times that a
//! thread is interrupted where it need not wait.

use super::*;
use ::loom::cell::UnsafeCell;
use ::loom::thread;

/// Checks all interleavings with at most `preemptions` interruptions.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = ::loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(model);
}

/// Numbers that no lock guards: loom fails when accesses of two threads are not ordered.
struct Numbers(Vec<UnsafeCell<u32>>);

// SAFETY: loom checks every access.
unsafe impl Sync for Numbers {}

impl Numbers {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| UnsafeCell::new(0)).collect())
    }

    fn increase(&self, i: usize) {
        // SAFETY: loom fails before two threads get here at once.
        self.0[i].with_mut(|x| unsafe { *x += 1 });
    }

    #[track_caller]
    fn assert(&self, expected: &[u32]) {
        // SAFETY: as above.
        let numbers: Vec<u32> = self.0.iter().map(|x| x.with(|x| unsafe { *x })).collect();
        assert_eq!(numbers, expected);
    }
}

#[test]
fn a_pool_without_work_ends() {
    check(3, || drop(ThreadPool::new(2)));
    check(2, || drop(ThreadPool::new(3)));
}

#[test]
fn every_task_runs_once_and_its_writes_are_seen_by_the_caller() {
    check(3, || {
        let pool = ThreadPool::new(2);
        let numbers = Numbers::new(2);
        pool.for_each(0..2, |i| numbers.increase(i));
        numbers.assert(&[1, 1]);
    });
}

#[test]
fn a_worker_sees_what_the_caller_wrote_and_what_the_job_before_changed() {
    check(2, || {
        let pool = ThreadPool::new(2);
        let numbers = Numbers::new(2);
        pool.for_each([0, 1].into_iter(), |i| numbers.increase(i));
        numbers.increase(0);
        pool.for_each([1, 0].into_iter(), |i| numbers.increase(i));
        numbers.assert(&[3, 2]);
    });
}

#[test]
fn owned_elements_are_visited_by_one_thread_each() {
    check(2, || {
        let pool = ThreadPool::new(2);
        let mut owned = [Numbers::new(1), Numbers::new(1)];
        let numbers = Numbers::new(2);
        pool.for_each_then_owned(
            0..1,
            |i| numbers.increase(i),
            &mut owned,
            |i, x| {
                x.increase(0);
                if i == 1 {
                    numbers.increase(1);
                }
            },
        );
        numbers.assert(&[1, 1]);
        owned.iter().for_each(|x| x.assert(&[1]));
    });
}

#[test]
fn two_workers_share_a_job() {
    check(1, || {
        let pool = ThreadPool::new(3);
        let numbers = Numbers::new(2);
        pool.for_each(0..2, |i| numbers.increase(i));
        numbers.assert(&[1, 1]);
    });
}

#[test]
fn a_panic_reaches_the_caller_after_the_other_tasks_and_the_pool_works_on() {
    check(2, || {
        let pool = ThreadPool::new(2);
        let numbers = Numbers::new(2);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            pool.for_each(0..2, |i| {
                numbers.increase(i);
                if i == 1 {
                    // Without the message of `panic!`, which would be printed thousands of times.
                    resume_unwind(Box::new("one"));
                }
            });
        }));
        assert_eq!(panic.expect_err("a task has panicked").downcast_ref(), Some(&"one"));
        numbers.assert(&[1, 1]);
        pool.for_each(0..2, |i| numbers.increase(i));
        numbers.assert(&[2, 2]);
    });
}

#[test]
fn of_two_callers_one_works_alone() {
    check(2, || {
        let pool = Arc::new(ThreadPool::new(2));
        let other = Arc::clone(&pool);
        let call = |pool: &ThreadPool| {
            let numbers = Numbers::new(2);
            pool.for_each(0..2, |i| numbers.increase(i));
            numbers.assert(&[1, 1]);
        };
        let caller = thread::spawn(move || call(&other));
        call(&pool);
        caller.join().expect("a caller that ends");
    });
}

#[test]
fn a_task_may_call_the_pool_again() {
    check(2, || {
        let pool = ThreadPool::new(2);
        let numbers = Numbers::new(4);
        pool.for_each(0..2, |i| pool.for_each(0..2, |j| numbers.increase(2 * i + j)));
        numbers.assert(&[1; 4]);
    });
}
