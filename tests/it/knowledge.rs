//! What a study is told before its first trial: points to begin with, earlier studies, constraints, and when to end.

use std::fs;

use nightsweep_search::{Event, ParamValue, Params, TrialState};

use crate::workplace::{STUDY, Workplace};

const RUN: [&str; 3] = ["run", "study.toml", "--no-web"];

/// The small study with another `[search]` table, of which all trials are complete.
fn study(trials: u64, search: &str) -> String {
    let (head, _) = STUDY.split_once("sampler = ").unwrap();
    let head = head.replace("trials = 6", &format!("trials = {trials}")).replace("epochs = 4", "epochs = 2");
    format!("{head}{search}\n[confirm]\ntop = 0\n")
}

fn number(params: &Params, name: &str) -> Option<f64> {
    params.get(name).and_then(ParamValue::as_f64)
}

#[test]
fn a_study_starts_from_an_earlier_one_and_from_points_of_ones_own() {
    let place = Workplace::new(&study(4, "sampler = 'random'"));
    place.succeed(&RUN);
    let best = place.trials().into_iter().find(|trial| trial.rank == Some(1)).unwrap();
    let enqueue = "[[enqueue]]\nbatch_size = 128\noptimizer = { kind = 'adamw', lr = 0.02 }\n";
    let second = study(4, "sampler = 'tpe'\nwarm_start = ['small']").replace("name = \"small\"", "name = \"second\"");
    fs::write(place.path("second.toml"), format!("{second}{enqueue}")).unwrap();
    let printed = place.succeed(&["run", "second.toml", "--no-web"]);
    assert!(printed.contains("from `small`: 4 of 4 trials lie in this space"), "{printed}");
    let log = place.log_of("second");
    let imported =
        log.iter().filter(|entry| matches!(&entry.event, Event::Imported { from: Some(from), .. } if from == "small"));
    assert_eq!(imported.count(), 4);
    let started: Vec<(&Params, &str)> = log
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Started { params, why, .. } => Some((params, why.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(started.len(), 4);
    // The recipe itself lies in the space and comes first, then what the file says, then what was good before.
    assert_eq!((started[0].1, started[1].1, started[2].1), ("enqueued", "enqueued", "among the best of `small`"));
    assert_eq!(
        (number(started[1].0, "batch_size"), number(started[1].0, "optimizer.adamw.lr")),
        (Some(128.0), Some(0.02))
    );
    let best = if best.params == *started[0].0 { None } else { Some(&best.params) };
    assert!(best.is_none_or(|best| started[2].0 == best), "{started:?}");
    place.succeed(&["replay", "second"]);

    let missing = second.replace("['small']", "['smal']").replace("name = \"second\"", "name = \"third\"");
    fs::write(place.path("third.toml"), missing).unwrap();
    let output = place.run(&["run", "third.toml", "--no-web"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && errors.contains("smal"), "{errors}");
}

#[test]
fn a_first_study_starts_from_what_did_best_elsewhere() {
    let place = Workplace::new(&study(4, "sampler = 'auto'"));
    let printed = place.succeed(&RUN);
    assert!(printed.contains("from `shipped/cifar10`: 2 points of this space, made of its 3 settings"), "{printed}");
    let mut trials = place.trials();
    trials.sort_by_key(|trial| trial.number);
    let why: Vec<String> = trials.into_iter().map(|trial| trial.why).collect();
    assert_eq!(why[0], "enqueued", "the recipe comes first: {why:?}");
    assert!(why[1..].iter().all(|why| why.starts_with("among the best of `shipped/")), "{why:?}");
    place.succeed(&["replay"]);

    let named = |name: &str, list: &str| {
        let text = study(2, &format!("sampler = 'auto'\nwarm_start = [{list}]"));
        fs::write(place.path("other.toml"), text.replace("name = \"small\"", &format!("name = \"{name}\""))).unwrap();
        place.run(&["run", "other.toml", "--no-web"])
    };
    let blank = String::from_utf8_lossy(&named("blank", "").stdout).into_owned();
    assert!(!blank.contains("shipped"), "{blank}");
    let one = String::from_utf8_lossy(&named("one", "'shipped/mnist'").stdout).into_owned();
    assert!(one.contains("from `shipped/mnist`") && !one.contains("cifar10"), "{one}");
    let misspelt = named("misspelt", "'shipped/minst'");
    let errors = String::from_utf8_lossy(&misspelt.stderr).into_owned();
    assert_eq!(misspelt.status.code(), Some(2), "{errors}");
    assert!(errors.contains("other.toml:20:") && errors.contains("did you mean `shipped/mnist`?"), "{errors}");
}

#[test]
fn the_winner_keeps_the_constraints_whatever_the_others_reach() {
    // Only the enqueued rate is small enough, and it learns least.
    let head = study(5, "sampler = 'random'\nconstraints = ['lr <= 0.0011']");
    let head = head
        .replace("epochs = 2", "epochs = 2\nschedule = { kind = 'constant' }")
        .replace("top = 0", "top = 1\nseeds = 2");
    let enqueue = "[[enqueue]]\noptimizer = { kind = 'sgd', lr = 0.001 }\n";
    let place = Workplace::new(&format!("{head}{enqueue}"));
    let printed = place.succeed(&RUN);
    let trials = place.trials();
    let kept: Vec<_> = trials.iter().filter(|trial| trial.violation == 0.0).collect();
    assert_eq!(kept.len(), 1, "{trials:?}");
    assert_eq!((kept[0].rank, number(&kept[0].params, "optimizer.sgd.lr")), (Some(1), Some(0.001)));
    assert!(trials.iter().any(|trial| trial.value > kept[0].value), "another one learned more");
    let winner = format!("Winner: trial {}", kept[0].number);
    assert!(
        printed.contains(&winner) && printed.contains("The winner is the best that keeps the constraints"),
        "{printed}"
    );
    assert!(printed.contains("confirmed on 2 fresh seeds"), "{printed}");
    let exported = place.succeed(&["export", "best", "-o", "exported"]);
    assert!(exported.starts_with(&format!("trial {} of small", kept[0].number)), "{exported}");
}

#[test]
fn a_study_ends_when_there_is_too_little_left_to_gain() {
    let study = study(60, "sampler = 'random'\nterminate = { regret = 0.95 }");
    let place =
        Workplace::new(&study.replace("convnet\", width = 4", "mlp\", width = 4").replace("epochs = 2", "epochs = 1"));
    let printed = place.succeed(&RUN);
    assert!(printed.contains("no more trials start: the best is within"), "{printed}");
    // The bound is known from twenty complete trials on; those that ran then went on to their ends.
    let complete = place.trials().iter().filter(|trial| trial.state == TrialState::Complete).count();
    assert!((20..30).contains(&complete), "{complete} trials");
    assert_eq!(place.trials().len(), complete);
    place.succeed(&["replay"]);
}
