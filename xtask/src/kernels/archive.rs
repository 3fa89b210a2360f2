//! Fetches Debian's kernels with a private apt configuration; the machine's own is only read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::Kernel;
use super::mirrors::Mirrors;
use crate::process;

/// The kernel of whatever version the development suite has.
pub(super) const NEWEST: &str = "sid";

/// The package that depends on the newest kernel for virtual machines, whose drivers are few.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// Where the image lies: the first in Debian 11 to 13, the second since linux 7.
const IMAGE_PACKAGES: [&str; 2] = ["linux-image-", "linux-binary-"];

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Returns the path of the kernel's image under `folder`, and fetches it where it is not there.
pub(super) fn vmlinuz(kernel: &Kernel, folder: &Path, refresh: bool) -> Result<PathBuf> {
    let kept = folder.join(kernel.name);
    let image = kept.join("vmlinuz");
    if image.is_file() && !refresh {
        return Ok(image);
    }
    fs::create_dir_all(&kept).context("create a folder for the kernel")?;
    let mirrors = Mirrors::of_this_machine()?;
    let mut causes = Vec::new();
    for suite in kernel.suites {
        match fetch(kernel, suite, &mirrors, folder) {
            Ok(()) => return Ok(image),
            Err(cause) => causes.push(format!("{suite}: {cause:#}")),
        }
    }
    bail!("{}", causes.join("; "))
}

fn fetch(kernel: &Kernel, suite: &str, mirrors: &Mirrors, folder: &Path) -> Result<()> {
    println!("== fetching kernel {} from Debian {suite}", kernel.name);
    let apt = Apt::open(suite, mirrors.of(suite)?, &folder.join("apt").join(suite))?;
    let meta = apt.show(META_PACKAGE)?;
    let version = field(&meta, "Version").context("find the package's version")?;
    ensure!(is_version(version, kernel.name), "it has {version}");
    let kept = folder.join(kernel.name);
    let mut packages = image_packages(&meta);
    while let Some(package) = packages.pop() {
        if apt.image(&package, &kept)? {
            return Ok(());
        }
        packages.extend(image_packages(&apt.show(&package)?));
    }
    bail!("no package of {META_PACKAGE} {version} has a vmlinuz")
}

fn is_version(version: &str, wanted: &str) -> bool {
    wanted == NEWEST || version.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
}

/// An apt that knows one suite and no installed package, with all its state in one folder.
struct Apt {
    config: PathBuf,
}

impl Apt {
    fn open(suite: &str, mirror: &str, folder: &Path) -> Result<Self> {
        let apt = Self { config: folder.join("apt.conf") };
        for sub in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(sub)).context("create apt's folders")?;
        }
        let source = format!("deb [arch=amd64 signed-by={KEYRING}] {mirror} {suite} main\n");
        fs::write(folder.join("sources.list"), source).context("write apt's source list")?;
        fs::write(&apt.config, configuration(folder)).context("write apt's configuration")?;
        process::stdout(apt.command("apt-get").args(["-qq", "update"]))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config).env("LC_ALL", "C");
        command
    }

    fn show(&self, package: &str) -> Result<String> {
        process::stdout(self.command("apt-cache").args(["show", "--no-all-versions", package]))
    }

    /// Puts the image that `package` has into the folder `kept`; `false` if it has none.
    fn image(&self, package: &str, kept: &Path) -> Result<bool> {
        let unpacked = kept.join("unpacked");
        let deb = self.download(package, kept)?;
        process::stdout(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(&unpacked))?;
        let image = find_image(&unpacked)?;
        if let Some(image) = &image {
            fs::rename(image, kept.join("vmlinuz")).context("keep the kernel's image")?;
        }
        fs::remove_dir_all(&unpacked).context("remove the unpacked package")?;
        Ok(image.is_some())
    }

    fn download(&self, package: &str, kept: &Path) -> Result<PathBuf> {
        let mut apt = self.command("apt-get");
        process::stdout(apt.current_dir(kept).args(["-qq", "download", package]))?;
        let prefix = format!("{package}_");
        let deb = files(kept)?.into_iter().rfind(|path| has_prefix(path, &prefix));
        deb.with_context(|| format!("find the downloaded {package}"))
    }
}

/// apt reads this before the machine's apt.conf.d, so that its proxies still hold.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "{folder}";
Dir::State::Lists "{folder}/lists";
Dir::State::Status "/dev/null";
Dir::Cache "{folder}/cache";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Translations::DefaultEnabled "false";
"#
    )
}

/// Returns the value of a one-line field of a package's description.
fn field<'a>(description: &'a str, name: &str) -> Option<&'a str> {
    description.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn image_packages(description: &str) -> Vec<String> {
    let depends = field(description, "Depends").unwrap_or_default().split([',', '|']);
    let names = depends.filter_map(|dependency| dependency.split_whitespace().next());
    let is_image = |name: &&str| IMAGE_PACKAGES.iter().any(|prefix| name.starts_with(prefix));
    names.filter(is_image).map(str::to_owned).collect()
}

fn find_image(folder: &Path) -> Result<Option<PathBuf>> {
    for path in files(folder)? {
        if path.is_dir() && !path.is_symlink() {
            if let Some(image) = find_image(&path)? {
                return Ok(Some(image));
            }
        } else if has_prefix(&path, "vmlinuz") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Lists a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()
    });
    let mut paths = entries.with_context(|| format!("list {}", folder.display()))?;
    paths.sort();
    Ok(paths)
}

fn has_prefix(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_sought_in_the_packages_that_may_have_it() {
        let meta = "Version: 7.2.13-1\nDepends: linux-base-cloud-amd64 (= 7.2.13-1), \
            linux-image-7.2.13+deb14-cloud-amd64 (= 7.2.13-1)\n";
        assert_eq!(image_packages(meta), ["linux-image-7.2.13+deb14-cloud-amd64"]);
        assert_eq!(field(meta, "Version"), Some("7.2.13-1"));
        let image = "Depends: dracut | initramfs-tools, linux-binary-7.2.13+deb14-cloud-amd64\n";
        assert_eq!(image_packages(image), ["linux-binary-7.2.13+deb14-cloud-amd64"]);
    }

    #[test]
    fn a_suite_that_moved_on_does_not_pass_for_an_older_kernel() {
        assert!(is_version("6.1.176-1", "6.1"));
        assert!(!is_version("6.12.95-1~bpo12+1", "6.1"));
        assert!(is_version("7.2.13-1", NEWEST));
    }
}
