//! `nightsweep run`: leads a study to its end, or to its deadline, with the leaderboard open.

use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, ZonedDateTime, civil};
use miette::{Context, IntoDiagnostic, Report, Result};
use nightsweep_search::{Event, Params, Study, TrialState};
use nightsweep_store::{LockError, NewStudy, Seq, Store, StudyLock, StudyRow};
use nightsweep_trainer::data::{self, GeneratedImages, LoadError};
use nightsweep_trials::confirm::is_confirmation;
use nightsweep_trials::controller::{self, Work};
use nightsweep_trials::error::Mistake;
use nightsweep_trials::notify::{Herald, Occasion};
use nightsweep_trials::slots::{self, Slot};
use nightsweep_trials::time_plan::epochs_that_fit;
use nightsweep_trials::{Plan, bind, nights, study_file};
use nightsweep_web::{Ordered, WebSettings};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::confirm::{Confirmed, Race};
use super::event_files::Follower;
use super::export::Exported;
use super::files::RunsFolder;
use super::night::{Night, Rest};
use super::{confirm, lr_find, policy, studies, timing};
use crate::cli::Run;
use crate::failure::{Ending, HeldError, StudyFileReport, advise, misuse};
use crate::progress::counted;

/// Ports after the one asked for that are tried.
const MORE_PORTS: u16 = 20;
/// The clock and the calendar can count longer times, but not all.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Runs the study, and prints and exports its winner at the end.
pub async fn run(runs: &Path, arguments: &Run) -> Result<Ending> {
    let now = ZonedDateTime::now();
    let stop = deadline(arguments, &now)?;
    let deadline = stop.as_ref().map(|stop| instant_of(stop, &now));
    if !arguments.no_web {
        // Refused before anything is made.
        settings(arguments)?;
    }
    let mut plan = study_file::read(&arguments.file, &arguments.set).map_err(StudyFileReport::from)?;
    plan.trials = arguments.trials.or(plan.trials);
    plan.folder = std::path::absolute(&plan.folder).into_diagnostic()?;
    let store = studies::open(runs).await?;
    let folder = studies::folder(runs, &plan.name);
    std::fs::create_dir_all(&folder)
        .into_diagnostic()
        .wrap_err_with(|| format!("could not make `{}`", folder.display()))?;
    let _lock = lock(&folder, &plan.name)?;
    let seen = look_at_data(&plan, &arguments.file, runs).await?;
    let slots = slots::find(&arguments.slots.options()).into_diagnostic()?;
    lr_find::find_rates(&store, &mut plan, &folder, slots[0].device).await?;
    policy::study::learn_policy(&store, &mut plan, &folder, slots[0].device, deadline).await?;
    let mut night = Night::new(runs, &store, slots.clone(), deadline);
    plan_time(&mut night, &mut plan).await?;
    let row = find_or_create(&store, &plan, &arguments.file).await?;
    check_data(&store, &row, &plan, &seen).await?;
    let mut study = studies::told(&store, &row, &plan).await?;
    say!("study {}: {} ({})", plan.name, counted(slots.len(), "worker"), devices(&slots));
    if let Some(stop) = &stop {
        say!("until {}", stop.strftime("%H:%M"));
    } else if plan.trials.is_none() {
        say!("without an end: Ctrl-C pauses it; --until, --for or --trials bound it");
    }
    let (ask, asked) = mpsc::unbounded_channel();
    let pages = open_pages(runs, arguments, &store, &plan, slots.len(), ask).await?;
    let events = match arguments.tensorboard {
        true => Some(Follower::start(&store, &row, folder.join("tensorboard"))?),
        false => None,
    };

    let mut work = Work::new(&plan, std::path::absolute(&folder).into_diagnostic()?);
    work.files = seen.files.clone();
    night.files = seen.files;
    night.herald = Herald::new(&study, &plan, &arguments.notify);
    let orders = night.take_orders(asked);
    let ended = search_and_confirm(&mut night, &row, &plan, &mut study, &work).await;
    orders.abort();
    let herald = night.herald.take();
    drop(night);
    if let Some(pages) = pages {
        pages.abort();
    }
    if let Some(events) = events {
        events.finish().await;
    }
    if let Some(herald) = herald {
        announce(herald, runs, &store, &row, &ended).await?;
    }
    // Also where something failed at its end, as scoring the test split: what the night has found is there.
    let finished = finish(runs, &store, &row, &plan).await;
    let ending = ended?;
    finished?;
    match ending {
        controller::Ending::Done | controller::Ending::Deadline => Ok(Ending::Done),
        controller::Ending::Interrupted | controller::Ending::Aborted => {
            say!("go on with: nightsweep run {}", arguments.file.display());
            Ok(Ending::Interrupted)
        }
        controller::Ending::BadData { .. } | controller::Ending::DeviceLost { .. } => Err(advise(
            format!("the study is paused: {ending}"),
            "when it is back (nightsweep doctor checks), run the same command again: nothing is lost",
        )),
        controller::Ending::DiskFull { .. } => Err(advise(
            format!("the study is paused: {ending}"),
            "make room (or raise `study.disk`), then run the same command again: nothing is lost",
        )),
        ending @ (controller::Ending::Failing { .. }
        | controller::Ending::NoWorkers { .. }
        | controller::Ending::Stuck) => Err(advise(
            format!("the study stopped: {ending}"),
            "mend the cause (nightsweep doctor, and the trial's log on its page), then run the same command again",
        )),
    }
}

/// Where the workers compute, as `cuda:0, cpu:1 × 4`.
fn devices(slots: &[Slot]) -> String {
    let alike = slots.chunk_by(|one, next| one.device == next.device);
    let names = alike.map(|slots| match slots.len() {
        1 => slots[0].device.to_string(),
        count => format!("{} × {count}", slots[0].device),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Measures what the models take, if there is a deadline to plan for, and chooses the epochs if the study file does not.
async fn plan_time(night: &mut Night<'_>, plan: &mut Plan) -> Result<()> {
    let earlier = night.store.study_named(&plan.name).await.into_diagnostic()?;
    if let Some(row) = &earlier {
        // What it began with: its trials would not compare else.
        plan.set_open_epochs(studies::plan(row)?.recipe.epochs);
    }
    let Some(left) = night.left() else { return Ok(()) };
    let slots = night.slots.clone();
    let measured = timing::measure(plan, &slots).await?;
    if earlier.is_none() {
        let search = left.mul_f64(plan.confirm.search_share());
        plan.set_open_epochs(epochs_that_fit(&measured.pace, search, slots::certain(&slots).len(), plan.recipe.epochs));
    }
    let workers = slots::certain(&slots).len();
    if let Some(note) = timing::note_short_confirmation(plan, &measured, left, workers) {
        say!("{note}");
    }
    let forecast = timing::simulate(plan, &slots, Some(left), &measured.pace).await?;
    let states = &forecast.summary.states;
    let complete = states.get("complete").copied().unwrap_or(0);
    night.plan_time(plan, measured.pace, Some((states.values().sum::<usize>() as u64, complete as u64)));
    Ok(())
}

/// Searches and confirms; what the confirmation leaves of the night goes to the search again.
async fn search_and_confirm(
    night: &mut Night<'_>,
    row: &StudyRow,
    plan: &Plan,
    study: &mut Study,
    work: &Work,
) -> Result<controller::Ending> {
    let is_over = |ending: &controller::Ending| !matches!(ending, controller::Ending::Deadline);
    let mut confirmed: Option<Race> = None;
    let mut wanted = plan.confirm.clone();
    let ending = loop {
        night.enter(night.search(&wanted));
        let searched = night.lead(row, plan, study, work).await?.ending;
        match &searched {
            controller::Ending::Deadline if wanted.top > 0 => say!("the time of the search is over"),
            other => say!("{other}"),
        }
        if study.has_converged() {
            say!("no more trials start: the best is within `terminate.regret` of what the space may still hold");
        }
        if !matches!(searched, controller::Ending::Done | controller::Ending::Deadline) || wanted.top == 0 {
            break searched;
        }
        // A confirmation that its deadline cuts short goes on at the next run.
        let Some(race) = confirm::race(night, plan, study).await? else {
            if is_over(&searched) || night.rest(study, work, &plan.confirm) == Rest::Nothing {
                break searched;
            }
            // Nobody is there to be confirmed: the search has the rest, too.
            wanted.top = 0;
            continue;
        };
        let raced = race.ending.clone();
        if raced == controller::Ending::Done || confirmed.is_none() {
            confirmed = Some(race);
        }
        if is_over(&searched) || !matches!(raced, controller::Ending::Done | controller::Ending::Deadline) {
            break raced;
        }
        let rest = night.rest(study, work, &plan.confirm);
        if rest == Rest::Nothing {
            break raced;
        }
        if rest == Rest::Search || raced == controller::Ending::Deadline {
            wanted.top = 0;
        }
        let left = night.left().unwrap_or_default();
        say!("the confirmation left {}: the search goes on", timing::seconds(left));
    };
    if let Some(race) = confirmed {
        race.score(night).await?;
    }
    Ok(ending)
}

/// Tells whoever wants to know how the run ended.
async fn announce(
    mut herald: Herald,
    runs: &Path,
    store: &Store,
    row: &StudyRow,
    ended: &Result<controller::Ending>,
) -> Result<()> {
    if let Some(confirmed) = Confirmed::of(runs, store, &row.name).await? {
        herald.confirm(confirmed.winner(), confirmed.standings[0].mean());
    }
    let (occasion, reason) = match ended {
        Ok(ending @ (controller::Ending::Done | controller::Ending::Deadline)) => (Occasion::End, ending.to_string()),
        Ok(ending) => (Occasion::Pause, ending.to_string()),
        Err(report) => (Occasion::Pause, report.to_string()),
    };
    herald.finish(occasion, reason).await;
    Ok(())
}

/// Prints how it stands, and writes the best config so far.
pub async fn finish(runs: &Path, store: &Store, row: &StudyRow, plan: &Plan) -> Result<()> {
    let report = &super::report::text(runs, store, row, plan).await?;
    say!("\n{}", report.markdown().trim_end());
    let best = studies::folder(runs, &plan.name).join("best");
    match (Exported { runs, store, row, plan, report }).best(&best).await? {
        Some(trial) => {
            let state = store.trial(row.id, trial).await.into_diagnostic()?.map(|trial| trial.state);
            let kind = if state == Some(TrialState::Complete) { "best recipe" } else { "best recipe so far" };
            say!("\n{kind}: {}", best.join("recipe.toml").display());
        }
        None => say!("\nno trial has a result yet"),
    }
    Ok(())
}

/// Nobody else runs the study while this is held.
pub fn lock(folder: &Path, name: &str) -> Result<StudyLock> {
    StudyLock::acquire(folder, name).map_err(|error| match error {
        LockError::Held { study, pid, host, .. } => HeldError { study, pid, host }.into(),
        other => miette::Report::from_err(other),
    })
}

/// What is known of the data once it was read.
struct Seen {
    /// Hash of what training sees.
    fingerprint: String,
    /// Hash of its files, unless one of them cannot be read, which need not harm.
    files: Option<String>,
}

/// Reads the data once before any worker does, so that what is wrong with it is said at once and by us.
async fn look_at_data(plan: &Plan, file: &Path, runs: &Path) -> Result<Seen> {
    let (spec, folder, seed) = (plan.data.clone(), plan.folder.clone(), plan.seed);
    let data = tokio::task::spawn_blocking(move || data::load(&spec, &folder, seed)).await.into_diagnostic()?;
    let data = data.map_err(|error| bad_data(error, plan, file))?;
    let (train, classes) = (&data.train, data.classes.len());
    say!(
        "{}: {} images to train on, {} to validate, {} to test, {classes} classes, {}×{}×{}",
        plan.data.path,
        train.len(),
        data.validation.len(),
        data.test_images,
        train.height,
        train.width,
        train.channels,
    );
    data.notices.iter().for_each(|notice| say!("note: {notice}"));
    let generated = &plan.recipe.augment.generated.path;
    if !generated.is_empty() {
        GeneratedImages::open(&plan.folder.join(generated), &data).map_err(|error| {
            advise(
                nightsweep_trials::worker::chain(&error),
                "`nightsweep policy generate` with this study file makes images of its data and split",
            )
        })?;
    }
    Ok(Seen { fingerprint: data.fingerprint, files: fingerprint_files(plan, runs).await? })
}

/// What is wrong with the data, or with what the study file says of it.
pub fn bad_data(error: LoadError, plan: &Plan, file: &Path) -> Report {
    if error.key().is_some() {
        let mistake = study_file::data_mistake(&error, &plan.source);
        return StudyFileReport::from(mistake.in_file(file.to_owned(), &plan.source)).into();
    }
    match error.hint() {
        Some(hint) => advise(nightsweep_trials::worker::chain(&error), hint),
        None => Report::from_err(error),
    }
}

/// Hash of the data's files, which one that cannot be read keeps from being known.
pub async fn fingerprint_files(plan: &Plan, runs: &Path) -> Result<Option<String>> {
    let (spec, folder, cache) = (plan.data.clone(), plan.folder.clone(), runs.join("data-files.json"));
    let read = move || data::fingerprint_files(&spec, &folder, Some(&cache));
    let files = tokio::task::spawn_blocking(read).await.into_diagnostic()?;
    if let Err(error) = &files {
        say!("note: the data's files have no fingerprint: {}", nightsweep_trials::worker::chain(error));
    }
    Ok(files.ok())
}

/// Trials on other data would not compare with those that are there.
async fn check_data(store: &Store, row: &StudyRow, plan: &Plan, seen: &Seen) -> Result<()> {
    let Some(earlier) = store.latest_provenance(row.id).await.into_diagnostic()? else { return Ok(()) };
    if earlier.data != seen.fingerprint {
        return Err(advise(
            format!("`{}` has changed since the trials of the study `{}` were trained", plan.data.path, plan.name),
            "put the data back as it was, or give the study another name: its trials would not compare",
        ));
    }
    if seen.files.is_some() && earlier.files.is_some() && earlier.files != seen.files {
        say!("note: files in `{}` have changed, but not what the search sees of them", plan.data.path);
    }
    Ok(())
}

/// The study of the plan's name; it must be of the same plan if it is there. `file` is where the plan is from.
pub(super) async fn find_or_create(store: &Store, plan: &Plan, file: &Path) -> Result<StudyRow> {
    if let Some(row) = store.study_named(&plan.name).await.into_diagnostic()? {
        let earlier = studies::plan(&row)?;
        return match earlier.difference(plan) {
            None => {
                enqueue(store, &row, plan).await?;
                Ok(row)
            }
            Some(what) => Err(advise(
                format!("the study `{}` was begun with another [{what}]", plan.name),
                "its trials would not compare: undo the change, or give the study another name",
            )),
        };
    }
    let enqueued = |params: &Params| Event::Enqueued { params: params.clone() };
    let mut first: Vec<Event> = plan.default.iter().map(enqueued).collect();
    if first.is_empty() && !plan.space.0.is_empty() {
        say!("note: the recipe itself does not lie in the space, so no trial tries it");
    }
    first.extend(warm_start(store, plan, file).await?);
    first.extend(plan.knowledge.enqueue.iter().filter(|params| Some(*params) != plan.default.as_ref()).map(enqueued));
    let config = plan.study_config();
    let new = NewStudy {
        name: plan.name.clone(),
        source: plan.source.clone(),
        plan: serde_json::to_value(plan).into_diagnostic()?,
        metric: plan.metric.name().to_owned(),
        direction: config.direction,
        seed: plan.seed,
        space: plan.space.clone(),
    };
    store.begin_study(new, &first).await.into_diagnostic()?;
    let row = store.study_named(&plan.name).await.into_diagnostic()?;
    row.ok_or_else(|| advise("the store lost the study it just made", "is its file being changed by another program?"))
}

/// Logs the points of the plan that the log does not have yet: more may be added to a study file at any time.
async fn enqueue(store: &Store, row: &StudyRow, plan: &Plan) -> Result<()> {
    let mut known = Vec::new();
    for entry in store.events(row.id, Seq::START).await.into_diagnostic()? {
        if let Event::Enqueued { params } = entry.event {
            known.push(params);
        }
    }
    for params in plan.knowledge.enqueue.iter().filter(|params| !known.contains(params)) {
        store.append(row.id, &Event::Enqueued { params: params.clone() }).await.into_diagnostic()?;
    }
    Ok(())
}

/// What the study starts from, as events of it: the nights that come with the program, then earlier studies, as far as their
/// results lie in its space.
async fn warm_start(store: &Store, plan: &Plan, file: &Path) -> Result<Vec<Event>> {
    let imported =
        |name: &str, (params, value): (Params, f64)| Event::Imported { params, value, from: Some(name.to_owned()) };
    let (shipped, studies): (Vec<&String>, Vec<&String>) =
        plan.knowledge.named().iter().partition(|name| name.starts_with(nights::PREFIX));
    let nights: Vec<&nights::Night> = match plan.knowledge.warm_start {
        Some(_) => shipped.iter().filter_map(|name| nights::named(name)).collect(),
        None => nights::of(plan).iter().collect(),
    };
    let mut events = Vec::new();
    for night in nights {
        let points = night.points(plan);
        if !points.is_empty() || !shipped.is_empty() {
            let (points, settings) = (counted(points.len(), "point"), counted(night.count(), "setting"));
            say!("from `{}`: {points} of this space, made of its {settings}", night.name);
        }
        events.extend(points.into_iter().map(|point| imported(&night.name, point)));
    }
    for name in studies {
        let at = plan.knowledge.named().iter().position(|named| named == name).unwrap_or_default();
        let span = study_file::value_span(&plan.source, "search", "warm_start", at);
        let wrong = |mistake: Mistake| StudyFileReport::from(mistake.in_file(file.to_owned(), &plan.source));
        let Some(row) = store.study_named(name).await.into_diagnostic()? else {
            let studies = store.studies().await.into_diagnostic()?.into_iter().map(|study| study.name);
            let studies = studies.filter(|name| !is_confirmation(name)).chain(nights::names().map(str::to_owned));
            let studies: Vec<String> = studies.collect();
            let known: Vec<&str> = studies.iter().map(String::as_str).collect();
            return Err(wrong(Mistake::unknown(span, "study", name, &known)).into());
        };
        let earlier = studies::plan(&row)?;
        if earlier.metric != plan.metric {
            let (theirs, ours) = (earlier.metric.name(), plan.metric.name());
            let mistake = Mistake::new(span, format!("the study `{name}` was judged by {theirs}, not by {ours}"));
            return Err(wrong(mistake.with_help("name a study of the same metric in `warm_start`")).into());
        }
        let study = studies::told(store, &row, &earlier).await?;
        let complete: Vec<_> = study.trials().iter().filter_map(|trial| Some((&trial.params, trial.value?))).collect();
        let known = events.len();
        for (params, value) in &complete {
            let params = bind::carry_over(&earlier.recipe, params, &plan.recipe, &plan.space);
            let params = params.filter(|params| !plan.knowledge.forbids(params));
            events.extend(params.map(|params| imported(name, (params, *value))));
        }
        say!("from `{name}`: {} of {} trials lie in this space", events.len() - known, complete.len());
    }
    Ok(events)
}

async fn open_pages(
    runs: &Path,
    arguments: &Run,
    store: &Store,
    plan: &Plan,
    slots: usize,
    orders: mpsc::UnboundedSender<Ordered>,
) -> Result<Option<tokio::task::JoinHandle<std::io::Result<()>>>> {
    if arguments.no_web {
        return Ok(None);
    }
    let settings = settings(arguments)?;
    let settings = settings
        .with_orders(&plan.name, plan.trials, orders)
        .with_slots(slots)
        .with_reports(super::report::source(runs, store))
        .with_files(RunsFolder::new(runs));
    let listener = listen(arguments.listen).await?;
    say!("leaderboard: http://{}/studies/{}", listener.local_addr().into_diagnostic()?, plan.name);
    Ok(Some(tokio::spawn(nightsweep_web::serve(listener, store.clone(), settings, pending()))))
}

/// What the pages keep to at the address asked for.
fn settings(arguments: &Run) -> Result<WebSettings> {
    WebSettings::for_address(arguments.listen, None).map_err(|error| {
        misuse(error.to_string(), "let `nightsweep serve --listen` show it there; `run` shows it on this machine")
    })
}

/// The address, or one with a port shortly after.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    let mut last = None;
    for more in 0..=MORE_PORTS {
        let address = SocketAddr::new(address.ip(), address.port().saturating_add(more));
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => last = Some(error),
            Err(error) => {
                return Err(error).into_diagnostic().wrap_err_with(|| format!("could not listen on {address}"));
            }
        }
    }
    Err(advise(
        format!("ports {} to {} are taken ({last:?})", address.port(), address.port().saturating_add(MORE_PORTS)),
        "name a free one with --listen 127.0.0.1:PORT",
    ))
}

/// What an option such as `--for` says.
pub fn duration(option: &str, text: &str) -> Result<Duration> {
    let wrong = |what: &str| {
        let help = format!("for example {option} 8h, {option} 90m or {option} 1h30m");
        misuse(format!("`{option} {text}` is {what}"), help)
    };
    let duration: SignedDuration = text.parse().map_err(|_| wrong("no duration"))?;
    match Duration::try_from(duration) {
        Ok(Duration::ZERO) => Err(wrong("no time at all")),
        Ok(duration) if duration > LONGEST => Err(wrong("longer than a year")),
        Ok(duration) => Ok(duration),
        Err(_) => Err(wrong("no duration")),
    }
}

/// A time of day on the clock that nobody sets.
fn instant_of(stop: &ZonedDateTime, now: &ZonedDateTime) -> Instant {
    Instant::now() + Duration::try_from(stop.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// When to stop, if the command line says so.
fn deadline(arguments: &Run, now: &ZonedDateTime) -> Result<Option<ZonedDateTime>> {
    if let Some(text) = &arguments.for_ {
        let duration = SignedDuration::try_from(duration("--for", text)?).into_diagnostic()?;
        return now.checked_add(duration).map(Some).into_diagnostic();
    }
    let Some(text) = &arguments.until else { return Ok(None) };
    let wrong = || misuse(format!("`--until {text}` is no time of day"), "for example --until 07:00");
    let time = civil::Time::strptime("%H:%M", text).map_err(|_| wrong())?;
    let today = now.with().time(time).build().into_diagnostic()?;
    match today > *now {
        true => Ok(Some(today)),
        false => now.tomorrow().and_then(|tomorrow| tomorrow.with().time(time).build()).map(Some).into_diagnostic(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    use super::*;

    fn check(words: &str, expected: Result<Option<&str>, &str>) {
        let words = ["nightsweep", "run", "s.toml"].into_iter().chain(words.split_whitespace());
        let Command::Run(arguments) = Cli::parse_from(words).command else { panic!("run is run") };
        let now: ZonedDateTime = "2026-11-23T22:30:00[Europe/Zurich]".parse().unwrap();
        let found = deadline(&arguments, &now).map(|stop| stop.map(|stop| stop.strftime("%m-%d %H:%M").to_string()));
        let found = found.map_err(|report| report.to_string());
        assert_eq!(found, expected.map(|stop| stop.map(str::to_owned)).map_err(str::to_owned));
    }

    #[test]
    fn a_deadline_is_the_next_time_the_clock_says_so() {
        check("", Ok(None));
        check("--until 07:00", Ok(Some("11-24 07:00")));
        check("--until 23:15", Ok(Some("11-23 23:15")));
        check("--for 90m", Ok(Some("11-24 00:00")));
        check("--for 1h30m", Ok(Some("11-24 00:00")));
        check("--until 7pm", Err("`--until 7pm` is no time of day"));
        check("--for soon", Err("`--for soon` is no duration"));
        check("--for=-2h", Err("`--for -2h` is no duration"));
        check("--for 0s", Err("`--for 0s` is no time at all"));
        check("--for 99999999999h", Err("`--for 99999999999h` is longer than a year"));
        check("--until 25:00", Err("`--until 25:00` is no time of day"));
    }
}
