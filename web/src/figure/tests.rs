use nightsweep_search::{
    Attempt, Condition, Direction, Distribution, Event, FailureCause, ParamValue, Parameter, PauseReason, Scale,
    SearchSpace,
};
use nightsweep_store::NewStudy;

use super::*;

/// 24 complete trials, one pruned, one failed, one paused and promoted.
pub(crate) async fn studied() -> (tempfile::TempDir, Store, StudyRow) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("studies.db")).await.unwrap();
    let parameter = |name: &str, distribution| Parameter { name: name.to_owned(), distribution, when: None };
    let batches = [32, 64, 128].map(ParamValue::Int).to_vec();
    let words = ["sgd", "adamw"].map(|word| ParamValue::Text(word.to_owned())).to_vec();
    let space = SearchSpace(vec![
        parameter("batch_size", Distribution::Ordinal { choices: batches }),
        parameter("lr", Distribution::Float { low: 1e-3, high: 1.0, scale: Scale::Log }),
        parameter("dropout", Distribution::Float { low: 0.0, high: 0.5, scale: Scale::Linear }),
        parameter("optimizer", Distribution::Categorical { choices: words }),
    ]);
    let new = NewStudy {
        name: "night".to_owned(),
        source: String::new(),
        plan: serde_json::json!({ "trials": 40, "objectives": [{ "metric": "cost", "direction": "minimize" }] }),
        metric: "val_accuracy".to_owned(),
        direction: Direction::Maximize,
        seed: 1,
        space,
    };
    let id = store.create_study(new).await.unwrap();
    let tell = async |seconds: i64, event: Event| {
        store.append_all_at(id, 1_790_000_000_000 + seconds * 1000, &[event]).await.unwrap();
    };
    for number in 0..27 {
        let (trial, attempt) = (TrialNumber(number), Attempt::FIRST);
        let at = number.cast_signed() * 60;
        let lr = 10f64.powf(-3.0 + (number as f64 * 0.37) % 3.0);
        let batch = [32, 64, 128][number as usize % 3];
        let optimizer = ["sgd", "adamw"][number as usize % 2];
        let params = serde_json::json!({
            "batch_size": batch, "lr": lr, "dropout": (number as f64 * 0.13) % 0.5,
            "optimizer": optimizer,
        });
        let params = serde_json::from_value(params).unwrap();
        tell(at, Event::Started { trial, params, why: String::new() }).await;
        store.record_assignment(id, trial, attempt, &(number % 2).to_string(), "cpu", 1).await.unwrap();
        let value = 0.9 - (lr.log10() + 1.5).powi(2) * 0.1;
        let reported = |attempt, step| Event::Reported {
            trial,
            attempt,
            step,
            value: Some(value * step as f64 / 3.0),
            metrics: [("images_per_second".to_owned(), 100.0), ("cost".to_owned(), number as f64)].into(),
        };
        tell(at + 10, reported(attempt, 1)).await;
        match number {
            24 => tell(at + 20, Event::Pruned { trial, attempt }).await,
            25 => {
                let message = "no memory".to_owned();
                tell(at + 20, Event::Failed { trial, attempt, cause: FailureCause::OutOfMemory, message }).await;
            }
            _ => {
                let mut last = attempt;
                if number == 26 {
                    tell(at + 20, Event::Paused { trial, attempt, reason: PauseReason::Rung }).await;
                    last = Attempt(2);
                    tell(at + 30, Event::Resumed { trial, attempt: last }).await;
                }
                tell(at + 40, reported(last, 2)).await;
                tell(at + 50, reported(last, 3)).await;
                tell(at + 50, Event::Completed { trial, attempt: last, value }).await;
            }
        }
    }
    let study = store.study_named("night").await.unwrap().unwrap();
    (dir, store, study)
}

#[tokio::test]
async fn every_figure_is_described_and_drawn_in_both_forms_and_themes() {
    let (_dir, store, study) = studied().await;
    let material = material(&store, &study).await.unwrap();
    for (name, title) in names() {
        let figure = figure(name, &material).unwrap();
        assert!(!matches!(figure.content, Content::Nothing(_)), "{name}: {:?}", figure.content);
        let json = serde_json::to_value(&figure).unwrap();
        assert_eq!((&json["name"], &json["title"]), (&name.into(), &title.into()));
        for theme in [Theme::Light, Theme::Dark] {
            let svg = String::from_utf8(figure.file(Format::Svg, theme).unwrap()).unwrap();
            assert!(svg.starts_with("<svg width=\"1200\"") && svg.contains(title), "{name}");
        }
        let png = image::load_from_memory(&figure.file(Format::Png, Theme::Light).unwrap()).unwrap();
        assert_eq!(png.width(), 2400);
        let ground = *png.to_rgb8().get_pixel(0, 0);
        let drawn = png.to_rgb8().pixels().filter(|pixel| **pixel != ground).count();
        assert!(drawn > 5000, "{name}: {drawn}");
    }
    assert!(figure("nothing", &material).is_none());
}

#[test]
fn every_figure_is_shown_in_the_documentation() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let text = std::fs::read_to_string(docs.join("figures.md")).unwrap();
    let mut bytes = 0;
    for (name, title) in names() {
        assert!(text.contains(&format!("## {title}: `{name}`")), "{name}");
        let shown = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        let image = shown.into_iter().find(|file| file.starts_with(&format!("images/{name}."))).unwrap();
        bytes += std::fs::metadata(docs.join(image)).unwrap().len();
    }
    assert!(bytes < 2_000_000, "scripts/make-figures.sh made {bytes} bytes");
}

#[tokio::test]
async fn a_study_without_trials_has_nothing_to_draw_and_says_why() {
    let (_dir, store, _) = studied().await;
    let new = NewStudy { name: "empty".to_owned(), ..new_like(&store).await };
    store.create_study(new).await.unwrap();
    let study = store.study_named("empty").await.unwrap().unwrap();
    let material = material(&store, &study).await.unwrap();
    for (name, _) in names().filter(|(name, _)| !["history", "map", "throughput"].contains(name)) {
        let figure = figure(name, &material).unwrap();
        assert!(matches!(&figure.content, Content::Nothing(why) if why.ends_with('.')), "{name}");
        assert!(matches!(figure.file(Format::Svg, Theme::Light), Err(DrawError::Nothing { .. })));
    }
}

async fn new_like(store: &Store) -> NewStudy {
    let row = store.study_named("night").await.unwrap().unwrap();
    let StudyRow { name, source, plan, metric, direction, seed, space, .. } = row;
    NewStudy { name, source, plan, metric, direction, seed, space }
}

/// A study of complete trials with these points, the later the better.
async fn tried(space: SearchSpace, points: &[serde_json::Value]) -> (tempfile::TempDir, Material) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("studies.db")).await.unwrap();
    let new = NewStudy {
        name: "night".to_owned(),
        source: String::new(),
        plan: serde_json::json!({}),
        metric: "val_accuracy".to_owned(),
        direction: Direction::Maximize,
        seed: 1,
        space,
    };
    let id = store.create_study(new).await.unwrap();
    for (number, params) in (0..).zip(points) {
        let (trial, attempt) = (TrialNumber(number), Attempt::FIRST);
        let params = serde_json::from_value(params.clone()).unwrap();
        let value = 0.5 + number as f64 / 100.0;
        let events = [Event::Started { trial, params, why: String::new() }, Event::Completed { trial, attempt, value }];
        store.append_all(id, &events).await.unwrap();
    }
    let study = store.study_named("night").await.unwrap().unwrap();
    let material = material(&store, &study).await.unwrap();
    (dir, material)
}

#[tokio::test]
async fn a_contour_is_over_any_two_parameters_with_numbers_that_trials_have_together() {
    let number = |low, high, scale| Distribution::Float { low, high, scale };
    let lr = || number(1e-4, 1.0, Scale::Log);
    let words = || ["sgd", "adamw"].map(|word| ParamValue::Text(word.to_owned())).to_vec();
    let always = |name: &str, distribution| Parameter { name: name.to_owned(), distribution, when: None };
    let of = |word: &str, name: &str, distribution| {
        let when = Condition { parent: "optimizer".to_owned(), equals: vec![ParamValue::Text(word.to_owned())] };
        Parameter { name: format!("optimizer.{word}.{name}"), distribution, when: Some(when) }
    };
    let batches = || Distribution::Ordinal { choices: [16, 32, 64].map(ParamValue::Int).to_vec() };
    let kinds = || always("optimizer", Distribution::Categorical { choices: words() });
    let check =
        async |space: Vec<Parameter>, points: &[serde_json::Value], expected: Result<(&str, &str, usize), &str>| {
            let (_dir, material) = tried(SearchSpace(space), points).await;
            let figure = figure("contour", &material).unwrap();
            let found = match &figure.content {
                Content::Panels(panels) => {
                    let Mark::Dots { x, .. } = &panels[0].marks[1] else { panic!("{panels:?}") };
                    assert!(figure.file(Format::Svg, Theme::Light).is_ok());
                    Ok((panels[0].x.label.as_str(), panels[0].y.label.as_str(), x.len()))
                }
                Content::Nothing(why) => Err(why.as_str()),
                Content::Parallel(_) => unreachable!(),
            };
            assert_eq!(found, expected);
        };
    let sgd = |batch, lr| serde_json::json!({ "batch_size": batch, "optimizer": "sgd", "optimizer.sgd.lr": lr });
    let adamw = |batch, lr| serde_json::json!({ "batch_size": batch, "optimizer": "adamw", "optimizer.adamw.lr": lr });
    let points = [sgd(16, 0.1), adamw(32, 0.01), sgd(64, 0.2), adamw(16, 0.001)];
    // A list of numbers is one axis, the rates of both optimizers are the other.
    let both = || vec![always("batch_size", batches()), kinds(), of("sgd", "lr", lr()), of("adamw", "lr", lr())];
    check(both(), &points, Ok(("batch_size", "lr", 4))).await;
    // No trial has a momentum and a beta: each goes with what all have, and who lacks it is left out.
    let share = || number(0.0, 1.0, Scale::Linear);
    let apart = || vec![kinds(), of("sgd", "momentum", share()), of("adamw", "beta", share())];
    let sgd = |lr| serde_json::json!({ "optimizer": "sgd", "optimizer.sgd.momentum": lr, "dropout": lr });
    let adamw = |lr| serde_json::json!({ "optimizer": "adamw", "optimizer.adamw.beta": lr, "dropout": lr });
    let points = [sgd(0.1), adamw(0.2), adamw(0.3), sgd(0.4), sgd(0.5)];
    let mut with_dropout = apart();
    with_dropout.push(always("dropout", share()));
    check(with_dropout, &points, Ok(("momentum", "dropout", 3))).await;
    check(apart(), &points, Err("Three complete trials with the same two parameters are needed.")).await;
    let one = "Two parameters with numbers are needed: between words there is nothing to smooth.";
    check(vec![kinds(), always("batch_size", batches())], &points, Err(one)).await;
}

#[tokio::test]
async fn the_figures_say_what_happened() {
    let (_dir, store, study) = studied().await;
    let material = material(&store, &study).await.unwrap();
    let bars_of = |panel: &Panel| -> Vec<(f64, f64, f64)> {
        let all = panel.marks.iter().flat_map(|mark| match mark {
            Mark::Bars { bars, .. } => bars.clone(),
            _ => Vec::new(),
        });
        all.map(|bar| (bar.row, bar.from, bar.to)).collect()
    };
    let bars = |name: &str| {
        let Content::Panels(panels) = figure(name, &material).unwrap().content else { panic!("{name}") };
        bars_of(&panels[0])
    };
    // After epoch 1: 24 went on at once, one later, and two (pruned, failed) did not.
    assert_eq!(bars("rungs"), [(0.0, 0.0, 24.0), (0.0, 24.0, 25.0), (0.0, 25.0, 27.0)]);
    assert_eq!(bars("failures"), [(0.0, 0.0, 1.0)]);
    let Content::Panels(panels) = figure("importance", &material).unwrap().content else { panic!() };
    let Kind::Words(words) = &panels[0].y.kind else { panic!() };
    assert_eq!(words[0], "lr");
    // Both analyses, of which that of the forest has all that varies here.
    assert_eq!(panels.iter().map(|panel| bars_of(panel).len()).collect::<Vec<_>>(), [4, 4]);
    let Content::Panels(panels) = figure("pareto", &material).unwrap().content else { panic!() };
    assert_eq!(panels[0].x.label, "cost");
    let Content::Panels(panels) = figure("budget", &material).unwrap().content else { panic!() };
    assert!(panels[0].note.starts_with("27 of 40 trials; at the pace"), "{}", panels[0].note);
    let Content::Panels(panels) = figure("slots", &material).unwrap().content else { panic!() };
    assert!(panels[0].note.starts_with("Idle between trials: 29 m"), "{}", panels[0].note);
}
