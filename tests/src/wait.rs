//! Waiting: always bounded, and cut short when the user asks the bench to stop.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};

/// Pause between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(20);

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Makes every wait of this process, running or to come, fail.
pub fn stop() {
    STOPPED.store(true, Ordering::Relaxed);
}

/// Looks again and again until `look` finds something, and fails when `timeout` passes first.
pub fn until<T>(
    what: &str,
    timeout: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    match within(timeout, &mut look)? {
        Some(found) => Ok(found),
        None => bail!("waited {timeout:?} in vain for {what}"),
    }
}

/// Looks again and again until `look` finds something or `timeout` has passed.
pub fn within<T>(
    timeout: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    unstoppably(timeout, || {
        ensure!(!STOPPED.load(Ordering::Relaxed), "stopped by the user");
        look()
    })
}

/// Does what [`within`] does, also after [`stop`]: for cleaning up.
pub(crate) fn unstoppably<T>(
    timeout: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let deadline = Instant::now() + timeout;
    loop {
        let found = look()?;
        if found.is_some() || Instant::now() >= deadline {
            return Ok(found);
        }
        thread::sleep(PAUSE);
    }
}
