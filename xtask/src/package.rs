//! The Debian package and the container image, made from the folder of [`crate::dist`], and tried where nothing stays of it.

use crate::dist;
use crate::steps::{run, target};
use std::path::{Path, PathBuf};

/// Makes the package of what `cargo xtask dist` has built.
pub fn deb() -> Result<PathBuf, String> {
    let built = dist::folder();
    if !built.join("SHA256SUMS").is_file() {
        return Err("there is nothing to pack: `cargo xtask dist` comes first".to_owned());
    }
    pack(&built, "xz")
}

/// Tries the package and the image of what `cargo xtask dist` has built, and the alert rules with Prometheus' own tool.
pub fn test() -> Result<(), String> {
    let package = deb()?;
    run(&format!("packaging/test-deb.sh '{}'", package.display()))?;
    run(&format!("packaging/test-image.sh '{}'", dist::folder().display()))?;
    run("promtool check rules docs/examples/alerts.yml && promtool test rules docs/examples/alerts-test.yml")
}

/// The share that takes seconds: the package around the programs of the tests, installed and purged. Answers how much was tried.
pub fn quick_test() -> Result<u64, String> {
    let folder = target().join("package-debug");
    dist::assemble(&target().join("debug"), &folder)?;
    let package = pack(&folder, "none")?;
    run(&format!("packaging/test-deb.sh '{}'", package.display()))?;
    Ok(1)
}

/// A folder of programs as a package beside it, compressed so.
fn pack(built: &Path, compression: &str) -> Result<PathBuf, String> {
    let version = env!("CARGO_PKG_VERSION");
    let tree = built.with_extension("deb-tree");
    let package = built.with_file_name(format!("encd_{version}_amd64.deb"));
    let (from, to) = (built.display(), tree.display());
    run(&format!(
        "rm -rf '{to}' && cd '{from}' \
         && install -D -m 755 -t '{to}'/usr/bin encd enc \
         && install -D -m 644 -t '{to}'/usr/share/man/man1 man/*.1 \
         && install -D -m 644 -t '{to}'/usr/share/man/man8 man/*.8 \
         && gzip -9n '{to}'/usr/share/man/man*/* \
         && for name in enc encd; do \
                install -D -m 644 completions/$name.bash '{to}'/usr/share/bash-completion/completions/$name \
                && install -D -m 644 completions/$name.zsh '{to}'/usr/share/zsh/vendor-completions/_$name \
                && install -D -m 644 completions/$name.fish '{to}'/usr/share/fish/vendor_completions.d/$name.fish || exit 1; \
            done \
         && install -D -m 644 LICENSE '{to}'/usr/share/doc/encd/copyright \
         && install -D -m 644 -t '{to}'/usr/share/doc/encd CHANGELOG.md alerts.yml dashboard.json \
         && install -d '{to}'/etc/encd '{to}'/lib/systemd/system \
         && sed 's|/usr/local/bin/|/usr/bin/|' encd.service > '{to}'/lib/systemd/system/encd.service \
         && sed 's|^# token_file = \"/etc/encd/admin-token\"|token_file = \"/run/credentials/encd.service/admin-token\"|' \
                encd.toml > '{to}'/etc/encd/encd.toml \
         && grep -q '^token_file' '{to}'/etc/encd/encd.toml"
    ))?;
    control(&tree)?;
    run(&format!(
        "chmod -R u=rwX,go=rX '{to}' && export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) \
         && dpkg-deb --root-owner-group -Z{compression} --build '{to}' '{}' >/dev/null",
        package.display()
    ))?;
    println!("   {}", package.display());
    Ok(package)
}

/// What dpkg reads of the package, filled in.
fn control(tree: &Path) -> Result<(), String> {
    let to = tree.display();
    run(&format!(
        "kib=$(du -sk '{to}' | cut -f1) && install -D -m 755 -t '{to}'/DEBIAN packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm \
         && install -m 644 -t '{to}'/DEBIAN packaging/debian/conffiles \
         && sed -e 's/@VERSION@/{}/' -e 's/@ARCHITECTURE@/amd64/' -e \"s/@KIB@/$kib/\" packaging/debian/control > '{to}'/DEBIAN/control",
        env!("CARGO_PKG_VERSION")
    ))
}
