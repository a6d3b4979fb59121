//! What is built for, and with what.
//!
//! Both targets are static with musl, which the compiler brings along. Only the C below SQLite and
//! `ring` needs a compiler of its own, with musl's headers: those of glibc would let it call what
//! musl does not have.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::tools::{How, Tool, fetch_foreign};

/// One architecture.
pub(crate) struct Target {
    /// As the compiler calls it.
    pub(crate) triple: &'static str,
    /// As the OCI image specification calls it.
    pub(crate) architecture: &'static str,
    /// What runs its programs on this machine, if the machine itself does not.
    pub(crate) emulator: Option<&'static Tool>,
    /// The compiler's libraries, the C compiler, and where it is a bare one, musl's headers.
    needs: [Option<&'static Tool>; 3],
}

pub(crate) static QEMU: Tool = Tool {
    name: "qemu-aarch64",
    program: "qemu-aarch64",
    how: How::Installed { package: "qemu-user" },
};

static MUSL_GCC: Tool =
    Tool { name: "musl-gcc", program: "musl-gcc", how: How::Installed { package: "musl-tools" } };

static AARCH64_GCC: Tool = Tool {
    name: "aarch64-linux-gnu-gcc",
    program: "aarch64-linux-gnu-gcc",
    how: How::Installed { package: "gcc-aarch64-linux-gnu" },
};

static AARCH64_HEADERS: Tool =
    Tool { name: "musl-dev:arm64", program: "", how: How::Made(aarch64_headers) };

static X86_64: Tool = Tool {
    name: "x86_64-unknown-linux-musl",
    program: "",
    how: How::Target { triple: "x86_64-unknown-linux-musl" },
};

static AARCH64: Tool = Tool {
    name: "aarch64-unknown-linux-musl",
    program: "",
    how: How::Target { triple: "aarch64-unknown-linux-musl" },
};

pub(crate) static TARGETS: &[Target] = &[
    Target {
        triple: "x86_64-unknown-linux-musl",
        architecture: "amd64",
        emulator: None,
        needs: [Some(&X86_64), Some(&MUSL_GCC), None],
    },
    Target {
        triple: "aarch64-unknown-linux-musl",
        architecture: "arm64",
        emulator: Some(&QEMU),
        needs: [Some(&AARCH64), Some(&AARCH64_GCC), Some(&AARCH64_HEADERS)],
    },
];

impl Target {
    /// What has to be here to build for it.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &'static Tool> {
        self.needs.iter().copied().flatten()
    }

    /// What cargo and the build scripts are told, given what `needs` found.
    pub(crate) fn environment(&self, tools: &[PathBuf]) -> Result<Vec<(String, String)>> {
        let [_, compiler, headers @ ..] = tools else {
            anyhow::bail!("{} is built with more than the compiler", self.triple)
        };
        let mut flags = super::build::prefixes()
            .iter()
            .map(|(from, to)| format!("-ffile-prefix-map={from}={to}"))
            .collect::<Vec<_>>();
        if let Some(headers) = headers.first() {
            let own = own_headers(compiler)?;
            flags.push(format!("-nostdinc -isystem {} -isystem {own}", headers.display()));
        }
        let compiler = compiler.display().to_string();
        let triple = self.triple.replace('-', "_");
        Ok(vec![
            (format!("CC_{triple}"), compiler.clone()),
            (format!("CFLAGS_{triple}"), flags.join(" ")),
            (format!("CARGO_TARGET_{}_LINKER", triple.to_uppercase()), self.linker(compiler)),
        ])
    }

    /// `musl-gcc` would put its own older libc before the one that the compiler brings along.
    fn linker(&self, compiler: String) -> String {
        if self.emulator.is_some() { compiler } else { "cc".to_owned() }
    }
}

/// The folder of the compiler's own headers, as `stddef.h`.
fn own_headers(compiler: &Path) -> Result<String> {
    let output = Command::new(compiler)
        .arg("-print-file-name=include")
        .output()
        .with_context(|| format!("failed to start `{}`", compiler.display()))?;
    ensure!(output.status.success(), "`{}` does not know its headers", compiler.display());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Debian has musl for the other architecture in the same package; only its headers are used, so
/// it is unpacked and not installed.
fn aarch64_headers(home: &Path) -> Result<PathBuf> {
    let folder = home.join("musl-aarch64");
    let headers = folder.join("usr/include/aarch64-linux-musl");
    if !headers.join("stdio.h").is_file() {
        fetch_foreign("musl-dev", "arm64", &folder)?;
    }
    ensure!(headers.join("stdio.h").is_file(), "the package has no `{}`", headers.display());
    Ok(headers)
}
