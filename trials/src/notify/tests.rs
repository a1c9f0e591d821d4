//! What is told, to a command and to a server of this machine, and what becomes of those that do not listen.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc as std_mpsc;
use std::time::Instant;

use nightsweep_search::Attempt;

use super::*;
use crate::study_file;

const SPACE: &str = "[space]\nbatch_size = [32, 64]\n[search]\nsampler = 'random'\n";

fn plan(notify: &str) -> Plan {
    let text = format!("[study]\nname = 's'\n[data]\npath = 'fashion-mnist-mini'\n{notify}\n{SPACE}");
    study_file::parse(&text, ".".into()).unwrap()
}

/// A study that ends after its second trial is better than the first, and the third worse.
async fn tell(plan: &Plan, more: &[String], occasion: Occasion) {
    let study = Study::new(plan.study_config()).unwrap();
    let mut herald = Herald::new(&study, plan, more).unwrap();
    for (trial, value) in [(0, 0.25), (1, 0.5), (2, 0.375)] {
        let (trial, attempt) = (TrialNumber(trial), Attempt::FIRST);
        let params: Params = serde_json::from_value(serde_json::json!({ "batch_size": 32 })).unwrap();
        herald.hear(&Event::Started { trial, params, why: String::new() });
        herald.hear(&Event::Completed { trial, attempt, value });
        // Each is told before the next one comes.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    herald.finish(occasion, "the search is done".to_owned()).await;
}

/// The bodies that a server of this machine is sent, each answered with that status.
fn server(status: &'static str) -> (String, std_mpsc::Receiver<serde_json::Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?token=secret", listener.local_addr().unwrap());
    let (sender, bodies) = std_mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut length, mut line) = (0, String::new());
            while stream.read_line(&mut line).unwrap() > 2 {
                let (name, value) = line.split_once(':').unwrap_or_default();
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            if sender.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (url, bodies)
}

#[tokio::test]
async fn a_server_is_sent_each_new_best_and_the_end() {
    let (url, bodies) = server("204 No Content");
    tell(&plan(&format!("[notify]\nurl = '{url}'")), &[], Occasion::End).await;
    let told: Vec<serde_json::Value> = bodies.try_iter().collect();
    let mut told = told.into_iter();
    let mut next = |event: &str, trial: u64, message: &str, reason: serde_json::Value| {
        let mut body = told.next().unwrap();
        assert!(body["at_ms"].take().as_u64().unwrap() > 1_700_000_000_000);
        let expected = serde_json::json!({
            "event": event, "study": "s", "message": message, "metric": "val_accuracy", "trial": trial,
            "value": if trial == 0 { 0.25 } else { 0.5 }, "params": { "batch_size": 32 }, "reason": reason, "at_ms": null,
        });
        assert_eq!(body, expected);
    };
    next("best", 0, "s: trial 0 has the best val_accuracy, 0.2500", serde_json::Value::Null);
    next("best", 1, "s: trial 1 has the best val_accuracy, 0.5000", serde_json::Value::Null);
    let end = "s has ended (the search is done): trial 1 has the best val_accuracy, 0.5000";
    next("end", 1, end, "the search is done".into());
    assert!(told.next().is_none());
}

#[tokio::test]
async fn a_command_has_the_event_on_its_input_and_in_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told");
    let words =
        "$NIGHTSWEEP_EVENT,$NIGHTSWEEP_STUDY,$NIGHTSWEEP_TRIAL,$NIGHTSWEEP_VALUE,$NIGHTSWEEP_METRIC,$NIGHTSWEEP_REASON";
    let command = format!("{{ cat; echo \"{words}\"; }} >> '{}'", file.display());
    let table = "[notify]\non = ['pause']\ncommand = 'exit 3'";
    tell(&plan(table), &[command], Occasion::Pause).await;
    let text = std::fs::read_to_string(&file).unwrap();
    let [json, variables] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["message"], "s is paused (the search is done): trial 1 has the best val_accuracy, 0.5000");
    assert_eq!(variables, "pause,s,1,0.5,val_accuracy,the search is done");
}

#[tokio::test]
async fn who_does_not_listen_holds_nothing_up() {
    let (broken, _bodies) = server("500 Internal Server Error");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let hangs = format!("sleep 600 & echo $! > '{}'; wait", pid.display());
    let talks = "head -c 1000000 /dev/zero >&2; exit 1".to_owned();
    let begin = Instant::now();
    let more = [broken, silent, hangs, "no-such-program-anywhere".to_owned(), talks];
    tell(&plan("[notify]\non = ['end']\ntimeout_seconds = 1\ncommand = 'true'"), &more, Occasion::End).await;
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    let pid = std::fs::read_to_string(&pid).unwrap();
    let is_alive = || {
        let status = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("status")).unwrap_or_default();
        !status.is_empty() && !status.contains("State:\tZ")
    };
    let end = Instant::now() + Duration::from_secs(5);
    while is_alive() {
        assert!(Instant::now() < end, "what a command had started still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn nobody_to_tell_is_no_herald() {
    let plan = plan("");
    let study = Study::new(plan.study_config()).unwrap();
    assert!(Herald::new(&study, &plan, &[]).is_none());
}

#[test]
fn the_table_of_a_study_file_is_checked_where_it_stands() {
    let check = |table: &str, line: usize, message: &str| {
        let text = format!("[study]\nname = 's'\n[data]\npath = 'fashion-mnist-mini'\n{table}\n");
        let error = study_file::parse(&text, ".".into()).unwrap_err().in_file("s.toml".into(), &text);
        assert_eq!((error.line(), error.message.as_str()), (Some(line), message), "{table}");
    };
    check("[notify]\non = ['end']", 5, "`[notify]` needs a `command` or a `url`");
    check("[notify]\ncommand = ''", 6, "`notify.command` is empty");
    check("[notify]\nurl = 'ntfy.sh/mine'", 6, "`notify.url` begins with http:// or https://");
    check("[notify]\ncommand = 'true'\non = []", 7, "`notify.on` is empty");
    check("[notify]\ncommand = 'true'\ntimeout_seconds = 0", 7, "`notify.timeout_seconds` must be from 1 to 600");
    check(
        "[notify]\ncommand = 'true'\non = ['ends']",
        7,
        "unknown variant `ends`, expected one of `end`, `pause`, `best`",
    );
}
