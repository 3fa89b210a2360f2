//! Where the workspace and its build output lie.

use std::env;
use std::path::{Path, PathBuf};

/// Returns the workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest_dir.parent().map(Path::to_path_buf).unwrap_or(manifest_dir)
}

/// Returns the `target` folder in the root, where the BPF object, the tools and the logs lie.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// Returns the folder into which cargo builds the host's debug binaries.
pub(crate) fn host_debug() -> PathBuf {
    host_target().join("debug")
}

/// Returns the folder into which cargo builds the host's release binaries.
pub(crate) fn host_release() -> PathBuf {
    host_target().join("release")
}

fn host_target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(target, |dir| root().join(dir))
}
