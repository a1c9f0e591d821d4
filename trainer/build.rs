//! Hands the versions of the libraries that compute on to the program, which records them for each trial.

use std::{env, fs, path::Path};

/// Whatever decides what comes out of a training, beside our own code.
const LIBRARIES: [&str; 9] =
    ["burn", "burn-flex", "cubecl-cuda", "fast_image_resize", "gemm", "image", "libm", "rand", "rand_chacha"];

fn main() {
    let lock = "../Cargo.lock";
    println!("cargo:rerun-if-changed={lock}");
    let text = fs::read_to_string(lock).unwrap_or_default();
    // One block a package, with its name and version in the first two lines; of several versions the last is named.
    let package = |block: &str| {
        let value = |key: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            line.map(|value| value.trim_matches('"').to_owned())
        };
        Some((value("name")?, value("version")?))
    };
    let found = text.split("[[package]]").filter_map(package).filter(|(name, _)| LIBRARIES.contains(&name.as_str()));
    let rows: String = found.map(|(name, version)| format!("    ({name:?}, {version:?}),\n")).collect();
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("libraries.rs"), format!("&[\n{rows}]")).expect("cargo makes its folder");
}
