//! Workers as processes of this machine: this binary again, as `nightsweep worker --device …`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nightsweep_search::FailureCause;
use nightsweep_trainer::DeviceName;
use rustix::process::{Pid, setpriority_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::{timeout, timeout_at};
use tracing::warn;

use crate::executor::{Executor, LaunchError, News, WorkerId};
use crate::protocol::{self, MAX_LINE_BYTES, ToWorker};
use crate::slots::Slot;

/// Threads of a silent worker that are looked at.
const MAX_THREADS: usize = 32;
/// How long a worker may take from closing its output to its end, and its output from its end to being read.
const LINGER: Duration = Duration::from_secs(1);

/// Workers on this machine. They are killed when it is dropped, and end by themselves if this process is killed.
pub struct Local {
    program: PathBuf,
    arguments: Vec<OsString>,
    workers: HashMap<WorkerId, Handle>,
    sender: UnboundedSender<News>,
    news: UnboundedReceiver<News>,
}

struct Handle {
    pid: Option<u32>,
    lines: UnboundedSender<String>,
    /// Dropping it kills the worker.
    _life: oneshot::Sender<()>,
}

impl Local {
    /// Workers of this very binary, even if its file was replaced or removed since it was started.
    pub fn new() -> Self {
        Self::with_program(own_program(), ["worker".into()])
    }

    /// Workers of another program, which is given `--device` and the device's name after these arguments.
    pub fn with_program(program: impl AsRef<Path>, arguments: impl IntoIterator<Item = OsString>) -> Self {
        let (sender, news) = mpsc::unbounded_channel();
        let program = program.as_ref().to_owned();
        Self { program, arguments: arguments.into_iter().collect(), workers: HashMap::new(), sender, news }
    }

    fn command(&self, device: DeviceName) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("--device").arg(device.to_string());
        set_threads(&mut command, device);
        // As NVML counts them.
        command.env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C in the terminal is for the controller, which asks its workers to write their checkpoints.
        command.process_group(0);
        command
    }
}

impl Default for Local {
    fn default() -> Self {
        Self::new()
    }
}

impl Executor for Local {
    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn next(&mut self, until: Instant) -> Option<News> {
        let news = timeout_at(until.into(), self.news.recv()).await.ok().flatten()?;
        if let News::Gone { worker, .. } = &news {
            self.workers.remove(worker);
        }
        Some(news)
    }

    fn launch(&mut self, worker: WorkerId, slot: &Slot) -> Result<(), LaunchError> {
        let failed = |source| LaunchError { device: slot.device.to_string(), source };
        let child = self.command(slot.device).spawn().map_err(failed)?;
        let pid = child.id();
        make_room_for_others(pid, slot);
        let (lines, inbox) = mpsc::unbounded_channel();
        let (life, death) = oneshot::channel();
        self.workers.insert(worker, Handle { pid, lines, _life: life });
        tokio::spawn(attend(worker, child, inbox, death, self.sender.clone()));
        Ok(())
    }

    fn send(&mut self, worker: WorkerId, message: &ToWorker) {
        if let Some(handle) = self.workers.get(&worker) {
            // A closed channel means that it is gone, which is news of its own.
            let _ = handle.lines.send(protocol::to_line(message));
        }
    }

    fn examine(&self, worker: WorkerId) -> Vec<String> {
        self.workers.get(&worker).and_then(|handle| handle.pid).map(threads_of).unwrap_or_default()
    }

    fn memory_of(&self, worker: WorkerId) -> Option<u64> {
        let pid = self.workers.get(&worker)?.pid?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    }

    fn kill(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
    }
}

/// This very binary, even if its file was replaced or removed since it was started.
pub(crate) fn own_program() -> PathBuf {
    let itself = PathBuf::from("/proc/self/exe");
    if itself.exists() { itself } else { std::env::current_exe().unwrap_or(itself) }
}

/// Lets libraries of the program use no more threads than the device has.
pub(crate) fn set_threads(command: &mut Command, device: DeviceName) {
    if let DeviceName::Cpu { threads } = device
        && threads > 0
    {
        command.env("RAYON_NUM_THREADS", threads.to_string());
    }
}

/// Gives way to other processes as the slot says. What is not allowed is not done: the worker trains all the same.
fn make_room_for_others(pid: Option<u32>, slot: &Slot) {
    let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) else { return };
    // Threads that it starts later have both from their parent.
    if slot.nice > 0
        && let Err(error) = setpriority_process(Some(pid), i32::from(slot.nice))
    {
        warn!("a worker is not nice: {error}");
    }
    if !slot.cores.is_empty() {
        let mut cores = CpuSet::new();
        slot.cores.iter().filter(|core| **core < CpuSet::MAX_CPU).for_each(|core| cores.set(*core));
        if let Err(error) = sched_setaffinity(Some(pid), &cores) {
            warn!("a worker does not stay on its cores: {error}");
        }
    }
}

/// Stays with a worker until it is gone and all it said was passed on.
async fn attend(
    worker: WorkerId,
    mut child: Child,
    inbox: UnboundedReceiver<String>,
    death: oneshot::Receiver<()>,
    news: UnboundedSender<News>,
) {
    let kills_before = kernel_kills();
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (stdin, stdout, stderr) =
        (stdin.expect("it is piped"), stdout.expect("it is piped"), stderr.expect("it is piped"));
    let writing = tokio::spawn(write(stdin, inbox));
    let line_news = news.clone();
    let mut lines = tokio::spawn(read(stdout, move |line| line_news.send(News::Line { worker, line }).is_ok()));
    let aside_news = news.clone();
    let asides = tokio::spawn(read(stderr, move |line| aside_news.send(News::Aside { worker, line }).is_ok()));
    let mut was_killed = false;
    tokio::select! {
        _ = child.wait() => {}
        _ = &mut lines => was_killed = timeout(LINGER, child.wait()).await.is_err(),
        _ = death => was_killed = true,
    }
    if was_killed {
        // It may just have ended by itself.
        let _ = child.start_kill();
    }
    let status = child.wait().await;
    // A process that it started may hold its output open for ever.
    let _ = timeout(LINGER, async { (!lines.is_finished()).then_some(&mut lines)?.await.ok() }).await;
    let _ = timeout(LINGER, asides).await;
    writing.abort();
    let message = match &status {
        Ok(status) => describe(*status),
        Err(error) => error.to_string(),
    };
    let cause = match status.ok().and_then(|status| status.signal()) {
        Some(9) if !was_killed && kernel_kills() > kills_before => FailureCause::HostOutOfMemory,
        // As batch systems and machines that shut down do.
        Some(15) if !was_killed => FailureCause::Preempted,
        _ => FailureCause::Crashed,
    };
    // No receiver means that nobody wants to know any more.
    let _ = news.send(News::Gone { worker, message, cause });
}

async fn write(mut stdin: ChildStdin, mut inbox: UnboundedReceiver<String>) {
    while let Some(line) = inbox.recv().await {
        if stdin.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Passes lines on until there are none, or nobody wants them. A line that is too long is cut.
async fn read(pipe: impl AsyncRead + Unpin, mut pass: impl FnMut(String) -> bool) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut pipe).take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) if !pass(String::from_utf8_lossy(&line).trim_end().to_owned()) => return,
            Ok(_) => {}
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(9)) => "was killed (signal 9)".to_owned(),
        (None, Some(signal)) => format!("died of signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Each thread with its state, the call of the kernel that it is in, and, for root, its stack there.
fn threads_of(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let describe = |folder: PathBuf| {
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default().trim().to_owned();
        let status = read("status");
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or("?").trim().to_owned();
        let frames: Vec<String> = read("stack").lines().map(|line| line.trim().to_owned()).collect();
        let place = if frames.is_empty() { read("wchan") } else { frames.join(" < ") };
        let call = read("syscall");
        let call = call.split(' ').next().unwrap_or("?");
        format!("thread {}: {state}, in system call {call}, at {place}", read("comm"))
    };
    let mut folders: Vec<PathBuf> = tasks.map(|task| task.path()).collect();
    folders.sort();
    folders.into_iter().take(MAX_THREADS).map(describe).collect()
}

/// How often the kernel has killed a process of this machine for want of memory.
fn kernel_kills() -> u64 {
    let vmstat = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: WorkerId = WorkerId(1);

    fn shell(script: &str) -> Local {
        let mut local = Local::with_program("/bin/sh", ["-c".into(), script.into()]);
        local.launch(WORKER, &Slot::new(0, DeviceName::Cpu { threads: 3 })).unwrap();
        local
    }

    async fn next(local: &mut Local) -> News {
        local.next(Instant::now() + Duration::from_secs(20)).await.expect("there is news within 20 s")
    }

    fn line(text: &str) -> News {
        News::Line { worker: WORKER, line: text.to_owned() }
    }

    fn gone(message: &str) -> News {
        News::Gone { worker: WORKER, message: message.to_owned(), cause: FailureCause::Crashed }
    }

    #[tokio::test]
    async fn a_worker_hears_and_is_heard() {
        let mut local = shell("read line; echo \"$line\"; echo $RAYON_NUM_THREADS; exit 3");
        local.send(WORKER, &ToWorker::Interrupt);
        assert_eq!(next(&mut local).await, line(r#"{"message":"interrupt"}"#));
        assert_eq!(next(&mut local).await, line("3"));
        assert_eq!(next(&mut local).await, gone("exited with status 3"));
        local.send(WORKER, &ToWorker::Quit);
    }

    #[tokio::test]
    async fn all_that_was_said_is_told_before_the_end() {
        let mut local = shell("printf 'half a line'; echo why >&2; kill -9 $$");
        let mut heard = [next(&mut local).await, next(&mut local).await];
        heard.sort_by_key(|news| matches!(news, News::Aside { .. }));
        assert_eq!(heard, [line("half a line"), News::Aside { worker: WORKER, line: "why".to_owned() }]);
        assert_eq!(next(&mut local).await, gone("was killed (signal 9)"));
    }

    #[tokio::test]
    async fn a_worker_without_end_is_killed() {
        let mut local = shell("echo ready; exec sleep 1000");
        assert_eq!(next(&mut local).await, line("ready"));
        assert_eq!(local.next(Instant::now()).await, None);
        local.kill(WORKER);
        assert_eq!(next(&mut local).await, gone("was killed (signal 9)"));
    }

    #[tokio::test]
    async fn who_asks_a_worker_to_end_is_told_from_a_crash() {
        let mut local = shell("kill -15 $$");
        let preempted = FailureCause::Preempted;
        assert_eq!(
            next(&mut local).await,
            News::Gone { worker: WORKER, message: "died of signal 15".to_owned(), cause: preempted }
        );
        let mut local = shell("kill -11 $$");
        assert_eq!(next(&mut local).await, gone("died of signal 11"));
    }

    #[tokio::test]
    async fn a_worker_is_nice_and_stays_on_its_cores() {
        let core = rustix::thread::sched_getcpu();
        let script = "read line; nice; grep Cpus_allowed_list /proc/self/status";
        let mut local = Local::with_program("/bin/sh", ["-c".into(), script.into()]);
        let slot = Slot { cores: vec![core], nice: 7, ..Slot::new(0, DeviceName::Cpu { threads: 1 }) };
        local.launch(WORKER, &slot).unwrap();
        local.send(WORKER, &ToWorker::Interrupt);
        assert_eq!(next(&mut local).await, line("7"));
        assert_eq!(next(&mut local).await, line(&format!("Cpus_allowed_list:\t{core}")));
    }

    #[tokio::test]
    async fn a_silent_worker_is_looked_at() {
        // Linux counts pages by processor and sums them up roughly: what is smaller than that may seem to be nothing.
        let mut local = shell("held=$(head -c 8000000 /dev/zero | tr '\\0' x); echo ready; read line");
        assert_eq!(next(&mut local).await, line("ready"));
        let threads = local.examine(WORKER);
        assert_eq!(threads.len(), 1, "{threads:?}");
        assert!(threads[0].starts_with("thread s") && threads[0].contains(", in system call "), "{threads:?}");
        assert!(local.memory_of(WORKER).is_some_and(|bytes| bytes > 4_000_000));
        assert!(local.examine(WorkerId(9)).is_empty() && local.memory_of(WorkerId(9)).is_none());
    }

    #[tokio::test]
    async fn a_worker_that_closes_its_output_is_replaced() {
        let mut local = shell("exec >&-; exec sleep 1000");
        assert_eq!(next(&mut local).await, gone("was killed (signal 9)"));
    }

    #[tokio::test]
    async fn an_endless_line_is_cut() {
        let mut local = shell("head -c 3000000 /dev/zero");
        let News::Line { line, .. } = next(&mut local).await else { panic!("not a line") };
        assert_eq!(line.len(), MAX_LINE_BYTES);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error() {
        let mut local = Local::with_program("/no/such/program", []);
        let error = local.launch(WORKER, &Slot::new(0, DeviceName::Cuda { index: 1 })).unwrap_err();
        assert_eq!(error.to_string(), "could not start a worker on cuda:1");
    }
}
