//! The protocol as a driver sees it: lines in, lines out.

use nightsweep_search::AskTell;
use serde_json::{Value, json};

fn say(session: &mut AskTell, message: Value) -> Value {
    serde_json::from_str(&session.answer(&message.to_string()).line).unwrap()
}

fn begun(sampler: &str, more: Value) -> AskTell {
    let mut session = AskTell::new();
    let space = json!({
        "opt": {"type": "categorical", "choices": ["sgd", "adam"]},
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": true},
        "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"parent": "opt", "equals": ["sgd"]}},
        "layers": {"type": "int", "low": 1, "high": 9, "step": 2},
    });
    let mut init = json!({
        "cmd": "init", "protocol": 1, "space": space, "direction": "minimize", "seed": 7, "sampler": sampler,
        "budget_trials": 20, "workers": 1, "options": {},
    });
    init.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    assert_eq!(say(&mut session, init)["ok"], true);
    session
}

#[track_caller]
fn check_error(session: &mut AskTell, line: &str, expected: &str) {
    let answer = session.answer(line);
    let error: Value = serde_json::from_str(&answer.line).unwrap();
    assert!(error["error"].as_str().unwrap().contains(expected), "{}", answer.line);
    assert!(!answer.quit);
}

#[test]
fn asks_and_tells_alternate_until_quit() {
    let mut session = begun("tpe", json!({}));
    for number in 0..30 {
        let asked = say(&mut session, json!({"cmd": "ask"}));
        assert_eq!(asked["trial"], number);
        assert_eq!(asked["params"].get("momentum").is_some(), asked["params"]["opt"] == "sgd");
        assert!(asked["params"]["layers"].is_i64());
        let told = if number % 5 == 4 {
            json!({"cmd": "tell", "trial": number, "status": "fail"})
        } else {
            json!({"cmd": "tell", "trial": number, "value": asked["params"]["lr"]})
        };
        assert_eq!(say(&mut session, told), json!({"ok": true}));
    }
    assert!(session.answer(r#"{"cmd":"quit"}"#).quit);
}

#[test]
fn objectives_and_costs_come_with_the_metrics_of_a_tell() {
    let more = json!({"objectives": [{"metric": "size", "direction": "maximize"}], "cost": "seconds"});
    for sampler in ["auto", "tpe", "gp", "nsga2"] {
        let mut session = begun(sampler, more.clone());
        for number in 0..25 {
            let asked = say(&mut session, json!({"cmd": "ask"}));
            let lr = asked["params"]["lr"].as_f64().unwrap();
            let metrics = json!({"size": lr, "seconds": 1.0 + lr});
            let told = json!({"cmd": "tell", "trial": number, "value": lr, "metrics": metrics});
            assert_eq!(say(&mut session, told), json!({"ok": true}), "{sampler}");
        }
    }
}

#[test]
fn the_same_lines_get_the_same_answers() {
    let mut sessions = [begun("auto", json!({})), begun("auto", json!({}))];
    for number in 0..25 {
        let answers = sessions.each_mut().map(|session| say(session, json!({"cmd": "ask"})));
        assert_eq!(answers[0], answers[1]);
        let value = answers[0]["params"]["lr"].clone();
        for session in &mut sessions {
            say(session, json!({"cmd": "tell", "trial": number, "value": value}));
        }
    }
}

#[test]
fn a_promoted_trial_is_resumed_with_its_params() {
    let mut session = begun("random+asha", json!({"max_step": 9, "min_step": 1, "eta": 3}));
    let mut first = Value::Null;
    for number in 0..3 {
        let asked = say(&mut session, json!({"cmd": "ask"}));
        if number == 0 {
            first = asked["params"].clone();
        }
        let action = say(&mut session, json!({"cmd": "report", "trial": number, "step": 1, "value": number}));
        assert_eq!(action, json!({"action": "pause"}));
    }
    let resumed = say(&mut session, json!({"cmd": "ask"}));
    assert_eq!(resumed, json!({"trial": 0, "params": first, "resume": true}));
    assert_eq!(
        say(&mut session, json!({"cmd": "report", "trial": 0, "step": 2, "value": 0})),
        json!({"action": "continue"})
    );
    assert_eq!(
        say(&mut session, json!({"cmd": "report", "trial": 0, "step": 3, "value": 0})),
        json!({"action": "pause"})
    );
}

#[test]
fn the_last_step_is_followed_by_a_tell_whatever_the_pruner() {
    for pruner in ["asha", "hyperband", "median", "patience"] {
        let mut session = begun(&format!("random+{pruner}"), json!({"max_step": 1}));
        for number in 0..12 {
            say(&mut session, json!({"cmd": "ask"}));
            let action = say(&mut session, json!({"cmd": "report", "trial": number, "step": 1, "value": number}));
            assert_eq!(action, json!({"action": "continue"}), "{pruner}");
            assert_eq!(
                say(&mut session, json!({"cmd": "tell", "trial": number, "value": number})),
                json!({"ok": true})
            );
        }
    }
}

#[test]
fn history_is_loaded_if_all_of_it_lies_in_the_space() {
    let mut session = begun("tpe", json!({}));
    let good = json!({"params": {"opt": "adam", "lr": 1, "layers": 3}, "value": 0.5});
    assert_eq!(say(&mut session, json!({"cmd": "load", "trials": [good, good]})), json!({"ok": true, "n": 2}));
    let bad = json!({"cmd": "load", "trials": [{"params": {"opt": "adam", "lr": 1, "layers": 2}, "value": 0.5}]});
    check_error(&mut session, &bad.to_string(), "`layers` cannot be `2`");
    let bad = json!({"cmd": "load", "trials": [{"params": {"opt": "sgd", "lr": 1, "layers": 1}, "value": 0.5}]});
    check_error(&mut session, &bad.to_string(), "`momentum` is missing");
}

#[test]
fn what_is_not_understood_is_an_error_and_changes_nothing() {
    let mut session = AskTell::new();
    check_error(&mut session, r#"{"cmd":"ask"}"#, "`init` must come first");
    check_error(&mut session, "{", "not understood");
    check_error(&mut session, r#"{"cmd":"dance"}"#, "unknown variant `dance`");
    let init = |sampler: &str, space: Value| {
        let mut init = json!({"cmd": "init", "protocol": 1, "direction": "minimize", "seed": 1});
        init["sampler"] = sampler.into();
        init["space"] = space;
        init.to_string()
    };
    check_error(&mut session, &init("tpq", json!({})), "there is no sampler `tpq`; there are auto, ");
    check_error(&mut session, &init("tpe+x", json!({})), "there is no pruner `x`");
    check_error(&mut session, &init("random+pbt", json!({})), "`pbt` continues trials from each other's checkpoints");
    check_error(&mut session, &init("pb2", json!({})), "`pb2` continues trials from each other's checkpoints");
    check_error(&mut session, &init("median", json!({})), "there is no sampler `median` (it is a pruner); there are");
    check_error(&mut session, &init("tpe+asha", json!({})), "max_step");
    let backwards = json!({"x": {"type": "float", "low": 1.0, "high": 0.0}});
    check_error(&mut session, &init("tpe", backwards), "parameter `x`: low (1) is above high (0)");
    let both = json!({"x": {"type": "float", "low": 1.0, "high": 2.0, "log": true, "step": 0.1}});
    check_error(&mut session, &init("tpe", both), "exclude one another");

    let mut session = begun("tpe", json!({}));
    check_error(&mut session, r#"{"cmd":"tell","trial":0,"value":1}"#, "there is no trial 0");
    say(&mut session, json!({"cmd": "ask"}));
    check_error(&mut session, r#"{"cmd":"tell","trial":0}"#, "`value`");
    check_error(
        &mut session,
        r#"{"cmd":"report","trial":0,"step":2,"value":1}"#,
        "step 2 was reported where 1 is next",
    );
    assert_eq!(say(&mut session, json!({"cmd": "tell", "trial": 0, "value": 1})), json!({"ok": true}));
    check_error(&mut session, r#"{"cmd":"tell","trial":0,"value":1}"#, "trial 0 is not open");
}
