//! Files that one server at a time may use.

use crate::Error;
use std::fs::{File, TryLockError};
use std::path::Path;

/// Locks a file, which is made where there is none, until what is returned is dropped or the process ends.
///
/// # Errors
/// [`Error::Taken`] while another server has it.
pub(crate) fn lock(path: &Path) -> Result<File, Error> {
    let lock = File::create(path).map_err(upnext_core::Error::io(path, "write"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Taken { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(upnext_core::Error::io(path, "lock")(error).into()),
    }
}
