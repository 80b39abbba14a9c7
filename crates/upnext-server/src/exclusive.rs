//! Lock files that keep two servers from using the same files.

use crate::Error;
use std::fs::{File, TryLockError};
use std::path::Path;

/// Creates a lock file if necessary and locks it until the returned handle is dropped or the process ends.
///
/// # Errors
/// [`Error::Taken`] while another server holds the lock, [`Error::Library`] if the file cannot be created or locked.
pub(crate) fn lock(path: &Path) -> Result<File, Error> {
    let lock = File::create(path).map_err(upnext_core::Error::io(path, "write"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Taken { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(upnext_core::Error::io(path, "lock")(error).into()),
    }
}
