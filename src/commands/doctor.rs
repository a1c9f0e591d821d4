//! `nightsweep doctor`: what this machine has, and what of it would fail a sweep.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use miette::Result;
use nightsweep_trainer::device;
use nvml_wrapper::Nvml;

use crate::failure::Ending;

/// Below this much free disk a night is likely to fail.
const LOW_DISK_BYTES: u64 = 2 << 30;

/// One thing that was looked at.
enum Finding {
    Good(String),
    /// Works, but someone should know.
    Note(String),
    /// A sweep would fail; the second text says what to do.
    Bad(String, String),
}

use Finding::{Bad, Good, Note};

/// Looks at everything and prints it.
pub fn doctor(runs: &Path) -> Result<Ending> {
    say!("nightsweep {}", env!("CARGO_PKG_VERSION"));
    let mut findings = vec![cpu()];
    findings.extend(gpus());
    findings.push(disk(runs));
    findings.push(store(runs));
    findings.push(port());
    for finding in &findings {
        match finding {
            Good(text) => say!("  ok    {text}"),
            Note(text) => say!("  note  {text}"),
            Bad(text, help) => say!("  FAIL  {text}\n        {help}"),
        }
    }
    let is_bad = findings.iter().any(|finding| matches!(finding, Bad(..)));
    say!("{}", if is_bad { "something would fail: see FAIL above" } else { "ready" });
    Ok(if is_bad { Ending::Found } else { Ending::Done })
}

fn cpu() -> Finding {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    #[cfg(target_arch = "x86_64")]
    let vectors = match (is_x86_feature_detected!("avx512f"), is_x86_feature_detected!("avx2")) {
        (true, _) => "AVX-512",
        (false, true) => "AVX2",
        (false, false) => "no AVX2: training is slow",
    };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = std::env::consts::ARCH;
    Good(format!("CPU: {cores} cores, {vectors}"))
}

fn gpus() -> Vec<Finding> {
    if !cfg!(feature = "cuda") {
        return vec![Note("GPU: this binary was built without CUDA".to_owned())];
    }
    let nvml = match Nvml::init() {
        Ok(nvml) => nvml,
        Err(error) => return vec![Note(format!("GPU: no NVIDIA driver ({error}); trials run on the CPU"))],
    };
    let mut findings = Vec::new();
    let driver = nvml.sys_driver_version().unwrap_or_else(|_| "unknown".to_owned());
    let seen = nvml.device_count().unwrap_or(0);
    for index in 0..seen {
        let name = nvml.device_by_index(index).and_then(|gpu| gpu.name()).unwrap_or_else(|error| error.to_string());
        let memory = nvml.device_by_index(index).and_then(|gpu| gpu.memory_info());
        let memory = memory
            .map_or(String::new(), |memory| format!(", {:.1} of {:.1} GiB free", gib(memory.free), gib(memory.total)));
        findings.push(Good(format!("GPU {index}: {name}{memory}, driver {driver}")));
    }
    findings.push(headers());
    let usable = device::count_cuda();
    if usable < seen as usize {
        let help = "is libcuda.so.1 of the same driver installed, and is the device allowed to this user?";
        findings.push(Bad(format!("CUDA: {usable} of {seen} GPUs can be used"), help.to_owned()));
    }
    findings.extend((0..usable).map(probe));
    findings
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1u32 << 30)
}

/// NVRTC compiles our kernels at run time and needs CUDA's headers for that.
fn headers() -> Finding {
    let root = std::env::var_os("CUDA_PATH").map(PathBuf::from).or_else(|| {
        let usual = ["/usr/local/cuda", "/opt/cuda"].into_iter().map(PathBuf::from).find(|root| root.exists());
        usual.or_else(|| Path::new("/usr/bin/nvcc").exists().then(|| PathBuf::from("/usr")))
    });
    let help = "install CUDA's toolkit (the packages cuda-nvrtc and cuda-cudart-dev are enough), or set CUDA_PATH";
    match root {
        None => Bad("CUDA: no toolkit in CUDA_PATH, /usr/local/cuda or /opt/cuda".to_owned(), help.to_owned()),
        Some(root) => {
            let missing: Vec<&str> = ["cuda_fp16.h", "cuda_bf16.h", "mma.h"]
                .into_iter()
                .filter(|name| !root.join("include").join(name).exists())
                .collect();
            match missing.is_empty() {
                true => Good(format!("CUDA: headers in {}", root.join("include").display())),
                false => Bad(
                    format!("CUDA: {} lacks {}", root.join("include").display(), missing.join(", ")),
                    help.to_owned(),
                ),
            }
        }
    }
}

/// A worker on the GPU that starts and stops again: in a process of its own, for a broken driver can end it.
fn probe(index: usize) -> Finding {
    let name = format!("cuda:{index}");
    let output = std::env::current_exe().and_then(|program| {
        Command::new(program).args(["worker", "--device", &name]).stdin(std::process::Stdio::null()).output()
    });
    match output {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("hello") => {
            Good(format!("{name}: a worker starts"))
        }
        Ok(output) => Bad(
            format!("{name}: a worker does not start"),
            String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("it said nothing").to_owned(),
        ),
        Err(error) => Bad(format!("{name}: a worker does not start"), error.to_string()),
    }
}

fn disk(runs: &Path) -> Finding {
    let existing =
        runs.ancestors().find(|folder| folder.exists() && *folder != Path::new("")).unwrap_or(Path::new("."));
    match rustix::fs::statvfs(existing) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let text = format!("disk: {:.1} GiB free for {}", gib(free), runs.display());
            match free < LOW_DISK_BYTES {
                true => Bad(
                    text,
                    "every trial keeps two checkpoints: make room, or choose another disk with --runs".to_owned(),
                ),
                false => Good(text),
            }
        }
        Err(error) => Bad(format!("disk: {} cannot be looked at", existing.display()), error.to_string()),
    }
}

fn store(runs: &Path) -> Finding {
    let path = runs.join("store.sqlite");
    let folder_help = || "choose a folder that can be written with --runs".to_owned();
    if !path.exists() {
        return match fs::create_dir_all(runs).and_then(|()| tempfile::tempfile_in(runs)) {
            Ok(_) => Good(format!("store: none yet; {} will have it", runs.display())),
            Err(error) => Bad(format!("store: {} cannot be written ({error})", runs.display()), folder_help()),
        };
    }
    match super::block_on(super::studies::open(runs)) {
        Ok(_) => Good(format!("store: {}", path.display())),
        Err(error) => Bad(format!("store: {error}"), folder_help()),
    }
}

fn port() -> Finding {
    match TcpListener::bind("127.0.0.1:8787") {
        Ok(_) => Good("leaderboard: 127.0.0.1:8787 is free".to_owned()),
        Err(_) => Note("leaderboard: 127.0.0.1:8787 is taken; `run` takes the next free port".to_owned()),
    }
}
