//! Atomics, locks, cells and threads of the thread pool: those of std, and those of loom when its interleavings are
//! checked (`--cfg loom`).

pub(super) use imp::*;

#[cfg(not(all(loom, test)))]
mod imp {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
    pub(crate) use std::sync::{Mutex, MutexGuard};
    pub(crate) use std::thread::{Builder, JoinHandle, park, yield_now};

    /// Turns of a waiting loop before a worker goes to sleep: some tens of microseconds, longer than the serial part of
    /// a training step, shorter than a user notices on a busy machine.
    pub(crate) const SPINS: usize = 4_000;

    /// The standard cell with the interface of loom's, which sees where an access begins and ends.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Calls `f` with a pointer that it may read.
        #[inline(always)]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        /// Calls `f` with a pointer that it may write.
        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

#[cfg(all(loom, test))]
mod imp {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use loom::thread::{Builder, JoinHandle, park, yield_now};
    use std::cell::Cell;
    use std::sync::atomic::Ordering::{self, SeqCst};

    /// Workers sleep at once: a turn of a loop is a yield to loom, which would explore each.
    pub(crate) const SPINS: usize = 1;

    loom::thread_local! {
        /// Whether this thread has made a `SeqCst` store since its last fence.
        static STORED: Cell<bool> = Cell::new(false);
    }

    /// loom takes `SeqCst` accesses for `AcqRel` ones, and would report that a worker falls asleep while it is woken. A
    /// fence between a `SeqCst` store and the next `SeqCst` load of the same thread stands for the missing order.
    fn before_load(order: Ordering) {
        if order == SeqCst && STORED.with(|stored| stored.replace(false)) {
            loom::sync::atomic::fence(SeqCst);
        }
    }

    fn after_store(order: Ordering) {
        if order == SeqCst {
            STORED.with(|stored| stored.set(true));
        }
    }

    macro_rules! atomic {
        ($name:ident, $type:ty) => {
            pub(crate) struct $name(loom::sync::atomic::$name);

            impl $name {
                pub(crate) fn new(value: $type) -> Self {
                    Self(loom::sync::atomic::$name::new(value))
                }

                #[track_caller]
                pub(crate) fn load(&self, order: Ordering) -> $type {
                    before_load(order);
                    self.0.load(order)
                }

                #[track_caller]
                pub(crate) fn store(&self, value: $type, order: Ordering) {
                    self.0.store(value, order);
                    after_store(order);
                }
            }
        };
    }

    atomic!(AtomicBool, bool);
    atomic!(AtomicU64, u64);

    /// Read-modify-write operations see the latest value in loom whatever their order.
    impl AtomicU64 {
        #[track_caller]
        pub(crate) fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.0.compare_exchange(current, new, success, failure)
        }

        #[track_caller]
        pub(crate) fn fetch_and(&self, value: u64, order: Ordering) -> u64 {
            self.0.fetch_and(value, order)
        }

        #[track_caller]
        pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
            self.0.fetch_or(value, order)
        }

        #[track_caller]
        pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
            self.0.fetch_sub(value, order)
        }
    }
}
