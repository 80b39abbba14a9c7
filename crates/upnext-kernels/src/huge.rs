//! Allocation of large arrays on huge pages: a step reads rows all over a table, and in a table of hundreds of megabytes
//! with pages of 4 KiB the address translation of a row takes as long as reading it.

/// The size in bytes from which an array gets huge pages: a few of them.
#[cfg(any(target_os = "linux", test))]
const LARGE: usize = 8 << 20;

/// An array of `count` copies of `value`, on huge pages if it is large and the system has them.
pub(crate) fn filled<T: Copy>(count: usize, value: T) -> Vec<T> {
    let mut array = Vec::with_capacity(count);
    // Before the first write, which allocates the page.
    advise(array.as_mut_ptr(), count * size_of::<T>());
    array.resize(count, value);
    array
}

/// A copy of `values` with more copies of `value` behind it, `count` elements in all.
pub(crate) fn extended<T: Copy>(values: &[T], count: usize, value: T) -> Vec<T> {
    let mut array = Vec::with_capacity(count);
    advise(array.as_mut_ptr(), count * size_of::<T>());
    array.extend_from_slice(values);
    array.resize(count, value);
    array
}

#[cfg(target_os = "linux")]
fn advise<T>(start: *mut T, bytes: usize) {
    const PAGE: usize = 4096;
    if bytes < LARGE {
        return;
    }
    let skip = start.cast::<u8>().align_offset(PAGE);
    let length = (bytes - skip) / PAGE * PAGE;
    // SAFETY: the range lies in an array that is allocated and not yet used, and this advice changes no byte of it.
    // An error means that the system has no huge pages, and is ignored.
    let _ = unsafe {
        rustix::mm::madvise(start.wrapping_byte_add(skip).cast(), length, rustix::mm::Advice::LinuxHugepage)
    };
}

#[cfg(not(target_os = "linux"))]
fn advise<T>(_: *mut T, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no `madvise`")]
    fn arrays_are_filled_whatever_their_size() {
        for count in [0, 1, LARGE / 8 - 1, LARGE / 8 + 12_345] {
            let array = filled(count, 7u64);
            assert!(array.len() == count && array.iter().all(|&x| x == 7));
            let more = extended(&array, count + 3, 9);
            assert!(more[..count] == array && more[count..] == [9; 3]);
        }
    }
}
