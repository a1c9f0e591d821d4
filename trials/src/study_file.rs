//! The study file: what a person writes, checked as a whole before anything runs.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use bytesize::ByteSize;
use nightsweep_search::{
    ConfigError, Direction, Distribution, Expression, Forbid, Objective, ParamValue, Params, PrunerKind, SamplerKind,
    SearchSpace, StudyConfig, Terminate,
};
use nightsweep_trainer::data::{DataSpec, LoadError};
use nightsweep_trainer::recipe::{Changing, PolicySpec, overlay};
use nightsweep_trainer::{Metric, Recipe, report};
use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml_edit::{DocumentMut, TableLike};

use crate::bind::{self, BindError};
use crate::confirm::Confirm;
use crate::error::{Mistake, StudyFileError};
use crate::nights;
use crate::notify::Notify;
use crate::plan::{Knowledge, Plan};
use crate::policy::{Learning, learning};
use crate::rates;
use crate::space_table::{self, SpaceTable};

/// Heartbeats of a busy machine may be late.
const SHORTEST_SILENCE: u64 = 15;

/// The tables of a study file as serde reads them; `[recipe]` and `[space]` are read by their own rules too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StudyFile {
    study: StudyTable,
    data: DataSpec,
    #[serde(default)]
    recipe: Recipe,
    #[serde(default)]
    #[expect(dead_code, reason = "read with its positions from the document")]
    space: toml::Table,
    #[serde(default)]
    search: SearchTable,
    #[serde(default)]
    enqueue: Vec<toml::Table>,
    #[serde(default)]
    confirm: Confirm,
    policy: Option<Learning>,
    notify: Option<Notify>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StudyTable {
    /// Names the study in the store and on the page.
    name: String,
    /// What trials are judged by.
    #[serde(default)]
    metric: Metric,
    /// What counts besides, by the names under which trials report it.
    #[serde(default)]
    objectives: Vec<String>,
    /// Root of all randomness.
    #[serde(default)]
    seed: u64,
    /// Trials to start; without it, a time limit ends the study.
    trials: Option<u64>,
    /// Longest that a trial may train without a break.
    trial_limit_seconds: Option<u64>,
    /// A worker that says nothing for so long is taken for hung; half an hour if it is left out.
    silence_seconds: Option<u64>,
    /// What checkpoints may take together, as "20 GB", or a number of bytes.
    disk: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SearchTable {
    sampler: SamplerKind,
    /// Hyperband for BOHB, none else, if it is left out. A name alone has the defaults.
    #[serde(deserialize_with = "name_or_table")]
    pruner: Option<PrunerKind>,
    /// Whether the recipe's own trial pauses at no rung, so that there is something to hold the others against.
    baseline: bool,
    /// What must not be tried, as `optimizer = 'sgd' and batch_size > 512`.
    forbid: Vec<String>,
    /// What a good trial keeps, as `epoch_seconds <= 30`.
    constraints: Vec<String>,
    /// Earlier studies of the store to start from; those that come with the program, if it is left out.
    warm_start: Option<Vec<String>>,
    /// When there is too little left to gain.
    terminate: Option<Terminate>,
}

impl Default for SearchTable {
    fn default() -> Self {
        Self {
            sampler: SamplerKind::Auto,
            pruner: None,
            baseline: true,
            forbid: Vec::new(),
            constraints: Vec::new(),
            warm_start: None,
            terminate: None,
        }
    }
}

/// `pruner = "asha"`, or `pruner = { kind = "asha", … }`.
fn name_or_table<'de, D: Deserializer<'de>>(value: D) -> Result<Option<PrunerKind>, D::Error> {
    struct NameOrTable;

    impl<'de> Visitor<'de> for NameOrTable {
        type Value = PrunerKind;

        fn expecting(&self, what: &mut fmt::Formatter) -> fmt::Result {
            what.write_str("the name of a pruner, or a table with its `kind`")
        }

        fn visit_str<E: de::Error>(self, name: &str) -> Result<PrunerKind, E> {
            PrunerKind::deserialize(MapDeserializer::new([("kind", name)].into_iter()))
        }

        fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<PrunerKind, A::Error> {
            PrunerKind::deserialize(MapAccessDeserializer::new(table))
        }
    }

    value.deserialize_any(NameOrTable).map(Some)
}

/// Reads a study file and resolves it; `overrides` are `key=value` pairs of the command line.
pub fn read(path: &Path, overrides: &[String]) -> Result<Plan, StudyFileError> {
    let text = fs::read_to_string(path).map_err(|error| {
        let mistake = Mistake::new(None, format!("could not read the study file: {error}"));
        let help = "`nightsweep init FOLDER` writes one that fits your images";
        mistake.with_help(help).in_file(path.to_owned(), "")
    })?;
    let text = overrides.iter().try_fold(text.clone(), |text, pair| set(&text, pair));
    let text = text.map_err(|mistake| mistake.in_file(PathBuf::from("--set"), ""))?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    parse(&text, folder).map_err(|mistake| mistake.in_file(path.to_owned(), &text))
}

/// Resolves a study file's text; `folder` is where its relative paths start.
pub fn parse(text: &str, folder: PathBuf) -> Result<Plan, Mistake> {
    let document = parse_toml(text)?;
    let table = |name: &str| document.get(name).and_then(|item| item.as_table_like());
    // Our own walk first: it knows the place of a key inside a choice, which serde does not.
    if let Some(recipe) = table("recipe") {
        space_table::check_recipe(recipe)?;
    }
    let mut file: StudyFile = toml::from_str(text).map_err(|error| Mistake::from_toml(&error))?;
    read_policy(&mut file.recipe, &folder).map_err(|message| {
        Mistake::new(span_of(table("recipe"), "augment.policy"), message)
            .with_help("docs/recipes.md shows what a policy's file has; paths start at the file that names them")
    })?;
    check_name(&file.study.name, table("study").and_then(|study| study.get("name")).and_then(|item| item.span()))?;
    if file.study.trial_limit_seconds == Some(0) {
        let key = span_of(table("study"), "trial_limit_seconds");
        return Err(Mistake::new(key, "`trial_limit_seconds` must be at least 1, but is 0".to_owned()));
    }
    if file.study.silence_seconds.is_some_and(|seconds| seconds < SHORTEST_SILENCE) {
        let key = span_of(table("study"), "silence_seconds");
        let rule = format!("`silence_seconds` must be at least {SHORTEST_SILENCE}: workers speak every five seconds");
        return Err(Mistake::new(key, rule));
    }
    let disk = file.study.disk.as_ref().map(|disk| {
        let wrong = || Mistake::new(span_of(table("study"), "disk"), format!("`disk = {disk}` is no size"));
        bytes_of(disk).ok_or_else(|| wrong().with_help("for example `disk = \"20 GB\"` or `disk = \"500 MiB\"`"))
    });
    let disk = disk.transpose()?;
    file.data.check().map_err(|error| data_mistake(&error, text))?;
    file.recipe.check().map_err(|error| Mistake::new(span_of(table("recipe"), error.field()), error.to_string()))?;
    let recipe = serde_json::to_value(&file.recipe).expect("a recipe is JSON");
    let table_of_space =
        table("space").map_or(Ok(SpaceTable::default()), |space| space_table::read_space(space, &recipe))?;
    let SpaceTable { mut space, priors, finds } = table_of_space;
    let mut bound = file.recipe.clone();
    if let Some(policy) = &file.policy {
        check_policy(policy, &file.recipe, table("policy"), table("recipe"))?;
        learning::add_choice(&mut space);
        bound = learning::unlearned(&bound);
    }
    space.validate().map_err(|error| {
        let message = error.to_string();
        let param = message.split('`').nth(1).unwrap_or_default();
        Mistake::new(span_of(table("space"), param), message.clone())
    })?;
    check_ends(&bound, &space).map_err(|(param, error)| {
        Mistake::new(
            span_of(table("space"), &param),
            format!("a value of `{param}` cannot be trained with: {}", deepest(&error)),
        )
    })?;
    file.confirm.check().map_err(|(key, rule)| Mistake::new(span_of(table("confirm"), key), rule.to_owned()))?;
    if let Some(notify) = &file.notify {
        let wrong = |(key, rule): (&str, &str)| {
            // Of a key that is not there, the table is shown.
            let whole = || document.get("notify").and_then(|item| item.span());
            Mistake::new(span_of(table("notify"), key).or_else(whole), rule.to_owned())
        };
        notify.check().map_err(wrong)?;
    }
    let objectives = table("study").and_then(|study| study.get("objectives")).and_then(|item| item.span());
    let objectives = read_objectives(&file.study.objectives, objectives)?;
    let forbid = expressions(&file.search.forbid, table("search"), "forbid")?.into_iter().map(Forbid).collect();
    let constraints = expressions(&file.search.constraints, table("search"), "constraints")?;
    let (warm_start, terminate) = (file.search.warm_start, file.search.terminate);
    let mut knowledge = Knowledge { forbid, priors, constraints, terminate, warm_start, enqueue: Vec::new() };
    check_knowledge(&knowledge, &space, table("space"), table("search"))?;
    check_nights(knowledge.named(), file.study.metric, table("search"))?;
    for (at, entry) in file.enqueue.iter().enumerate() {
        let table = entry_of(document.get("enqueue"), at);
        let point = enqueued(entry, table, &file.recipe, &space);
        let point = point.and_then(|point| match knowledge.forbid.iter().find(|forbid| forbid.forbids(&point)) {
            Some(forbid) => Err(Mistake::new(None, format!("an enqueued point is forbidden by `{}`", forbid.0))),
            None => Ok(point),
        });
        let point =
            point.map_err(|mistake| Mistake { span: mistake.span.or_else(|| table.and_then(start)), ..mistake })?;
        knowledge.enqueue.push(point);
    }
    let pruner = file.search.pruner.unwrap_or_else(|| match file.search.sampler {
        SamplerKind::Bohb => PrunerKind::named("hyperband").expect("it is the name of a pruner"),
        _ => PrunerKind::None,
    });
    let pruner = with_kept(pruner, &file.recipe, &space, table("space"), table("search"))?;
    let searched = StudyConfig {
        sampler: file.search.sampler,
        pruner: pruner.clone(),
        max_step: Some(file.recipe.epochs),
        ..StudyConfig::new(space.clone())
    };
    searched.validate().map_err(|error| Mistake::new(search_span(&error, table("search")), deepest(&error)))?;
    let default = bind::point_of(&file.recipe, &space).ok();
    let default = default.filter(|point| !knowledge.forbids(point));
    Ok(Plan {
        name: file.study.name,
        metric: file.study.metric,
        objectives,
        seed: file.study.seed,
        trials: file.study.trials,
        trial_limit_seconds: file.study.trial_limit_seconds,
        silence_seconds: file.study.silence_seconds,
        disk,
        data: file.data,
        folder,
        recipe: file.recipe,
        epochs_are_open: table("recipe").is_none_or(|recipe| !recipe.contains_key("epochs")),
        space,
        finds,
        sampler: file.search.sampler,
        pruner,
        baseline: file.search.baseline,
        knowledge,
        confirm: file.confirm,
        policy: file.policy,
        learned: None,
        notify: file.notify.unwrap_or_default(),
        default,
        source: text.to_owned(),
    })
}

/// The mistake of a `[data]` table whose values do not fit, or do not fit the data.
pub fn data_mistake(error: &LoadError, text: &str) -> Mistake {
    let span = error.key().and_then(|key| value_span(text, "data", key, 0));
    Mistake { help: error.hint(), ..Mistake::new(span, error.to_string()) }
}

/// The bytes of a value in a study file, or of one element if it is a list: for mistakes that show only when the data or the
/// store is looked at.
pub fn value_span(text: &str, table: &str, key: &str, at: usize) -> Option<Range<usize>> {
    let document = parse_toml(text).ok()?;
    element_span(document.get(table)?.as_table_like(), key, at)
}

/// A size as a text or as a number of bytes.
fn bytes_of(size: &toml::Value) -> Option<u64> {
    match size {
        toml::Value::Integer(bytes) => u64::try_from(*bytes).ok(),
        toml::Value::String(text) => text.parse::<ByteSize>().ok().map(|size| size.as_u64()),
        _ => None,
    }
}

/// Reads the file that a recipe's augmentation policy is in, if it is in one; the error is its message.
pub fn read_policy(recipe: &mut Recipe, folder: &Path) -> Result<(), String> {
    recipe.augment.policy.resolve(folder, crate::policy::parse_policy).map_err(|error| error.to_string())
}

/// A policy to be learned, in the place of the recipe's own.
fn check_policy(
    policy: &Learning,
    recipe: &Recipe,
    table: Option<&dyn TableLike>,
    recipe_table: Option<&dyn TableLike>,
) -> Result<(), Mistake> {
    policy.check().map_err(|(key, rule)| Mistake::new(span_of(table, key), rule.to_owned()))?;
    if recipe.augment.policy == PolicySpec::default() {
        return Ok(());
    }
    let message = "`[policy]` learns the recipe's policy, so that `augment.policy` cannot be given".to_owned();
    Err(Mistake::new(span_of(recipe_table, "augment.policy"), message)
        .with_help("leave one of them out; other policies to try beside it are choices of `[space.augment]`"))
}

/// The rules of a list, each an error at its own place.
fn expressions(texts: &[String], search: Option<&dyn TableLike>, key: &str) -> Result<Vec<Expression>, Mistake> {
    let read = |(at, text): (usize, &String)| {
        Expression::parse(text).map_err(|error| Mistake::new(element_span(search, key, at), error.to_string()))
    };
    texts.iter().enumerate().map(read).collect()
}

/// The bytes of an element of a list, or of the whole list.
fn element_span(table: Option<&dyn TableLike>, key: &str, at: usize) -> Option<Range<usize>> {
    let item = table?.get(key)?;
    item.as_array().and_then(|array| array.get(at)).and_then(toml_edit::Value::span).or_else(|| item.span())
}

/// The setting that is at fault.
fn search_span(error: &ConfigError, search: Option<&dyn TableLike>) -> Option<Range<usize>> {
    let is_sampler = matches!(error, ConfigError::EndlessGrid { .. } | ConfigError::NoRace);
    span_of(search, if is_sampler { "sampler" } else { "pruner" })
}

/// A pruner with a population leaves alone what cannot change in the course of training, and cannot do with what has to
/// fit the weights.
fn with_kept(
    mut pruner: PrunerKind,
    recipe: &Recipe,
    space: &SearchSpace,
    space_table: Option<&dyn TableLike>,
    search: Option<&dyn TableLike>,
) -> Result<PrunerKind, Mistake> {
    if !pruner.has_population() {
        return Ok(pruner);
    }
    let refuse = |span, message: String, help| Err(Mistake::new(span, message).with_help(help));
    if !recipe.changes.is_empty() {
        let message = "a pruner with a population makes changes of its own".to_owned();
        return refuse(span_of(search, "pruner"), message, "leave `recipe.changes` out, or take another pruner");
    }
    let mut names = space.0.iter().map(|parameter| &parameter.name);
    if let Some(name) = names.clone().find(|name| Changing::of(name) == Changing::WithTheWeights) {
        let message = format!("`{name}` cannot vary in a population: its members go on with each other's weights");
        let help = "fix it in `[recipe]`, or take a pruner without a population, as `asha`";
        return refuse(span_of(space_table, name), message, help);
    }
    if names.clone().all(|name| Changing::of(name) == Changing::Never) {
        let message = "nothing of the space can change in the course of training".to_owned();
        return refuse(span_of(search, "pruner"), message, "let the learning rate vary, or take another pruner");
    }
    pruner.keep(names.by_ref().filter(|name| Changing::of(name) == Changing::Never).cloned());
    Ok(pruner)
}

/// Each prior, rule and constraint for itself, so that the one that makes no sense can be shown.
fn check_knowledge(
    knowledge: &Knowledge,
    space: &SearchSpace,
    space_table: Option<&dyn TableLike>,
    search: Option<&dyn TableLike>,
) -> Result<(), Mistake> {
    let check = |config: StudyConfig, span: Option<Range<usize>>| {
        config.validate().map_err(|error| Mistake::new(span, deepest(&error)))
    };
    let config = || StudyConfig::new(space.clone());
    for (name, prior) in &knowledge.priors {
        let priors = [(name.clone(), prior.clone())].into_iter().collect();
        check(StudyConfig { priors, ..config() }, span_of(space_table, name))?;
    }
    for (at, forbid) in knowledge.forbid.iter().enumerate() {
        check(StudyConfig { forbid: vec![forbid.clone()], ..config() }, element_span(search, "forbid", at))?;
    }
    let reported: Vec<String> = report::names().collect();
    let reported: Vec<&str> = reported.iter().map(String::as_str).collect();
    for (at, constraint) in knowledge.constraints.iter().enumerate() {
        let constraints = vec![constraint.clone()];
        let span = element_span(search, "constraints", at);
        check(StudyConfig { constraints, ..config() }, span.clone())?;
        if let Some(name) = constraint.names().into_iter().find(|name| !reported.contains(name)) {
            return Err(Mistake::unknown(span, "metric", name, &reported));
        }
    }
    check(StudyConfig { terminate: knowledge.terminate, ..config() }, span_of(search, "terminate.regret"))?;
    check(StudyConfig { forbid: knowledge.forbid.clone(), ..config() }, span_of(search, "forbid"))
}

/// Nights that come with the program have to be there; earlier studies are looked for in the store.
fn check_nights(named: &[String], metric: Metric, search: Option<&dyn TableLike>) -> Result<(), Mistake> {
    for (at, name) in named.iter().enumerate().filter(|(_, name)| name.starts_with(nights::PREFIX)) {
        let span = element_span(search, "warm_start", at);
        if nights::named(name).is_none() {
            return Err(Mistake::unknown(span, "study", name, &nights::names().collect::<Vec<_>>()));
        }
        if !metric.is_maximized() {
            let message = format!("`{name}` was judged by {}, not by {}", Metric::ValAccuracy.name(), metric.name());
            return Err(Mistake::new(span, message).with_help("leave it out of `warm_start`"));
        }
    }
    Ok(())
}

/// The table of a place of `[[enqueue]]`.
fn entry_of(item: Option<&toml_edit::Item>, at: usize) -> Option<&dyn TableLike> {
    match item? {
        toml_edit::Item::ArrayOfTables(tables) => tables.get(at).map(|table| table as &dyn TableLike),
        item => item.as_array()?.get(at)?.as_inline_table().map(|table| table as &dyn TableLike),
    }
}

/// Where a table has its first key.
fn start(table: &dyn TableLike) -> Option<Range<usize>> {
    let (key, _) = table.iter().next()?;
    table.key(key).and_then(|key| key.span())
}

/// The point of an `[[enqueue]]` table, which says how it differs from the recipe.
fn enqueued(
    entry: &toml::Table,
    table: Option<&dyn TableLike>,
    recipe: &Recipe,
    space: &SearchSpace,
) -> Result<Params, Mistake> {
    if let Some(table) = table {
        space_table::check_recipe(table)?;
    }
    let mut whole = serde_json::to_value(recipe).expect("a recipe is JSON");
    overlay(&mut whole, &serde_json::to_value(entry).expect("TOML is JSON"));
    let whole: Recipe =
        serde_json::from_value(whole).map_err(|error| Mistake::new(None, format!("an enqueued point: {error}")))?;
    whole.check().map_err(|error| Mistake::new(span_of(table, error.field()), error.to_string()))?;
    let point = bind::point_of(&whole, space).map_err(|error| {
        let message = error.to_string();
        let span = message.split('`').nth(1).and_then(|param| span_of(table, param));
        Mistake::new(span, format!("an enqueued point does not lie in the space: {message}"))
    })?;
    if bind::bind(recipe, &point).ok().as_ref() == Some(&whole) {
        return Ok(point);
    }
    let mut varying = space.0.iter().map(|parameter| parameter.name.as_str()).collect::<Vec<_>>().join(", ");
    if varying.is_empty() {
        varying = "nothing".to_owned();
    }
    Err(Mistake::new(None, "an enqueued point sets something that the space does not vary")
        .with_help(format!("the space varies {varying}")))
}

/// Checks the keys of a `[recipe]` table in a text that is not a whole study file.
pub fn check_recipe_table(text: &str) -> Result<(), Mistake> {
    let document = parse_toml(text)?;
    let recipe = document.get("recipe").and_then(|item| item.as_table_like());
    recipe.map_or(Ok(()), space_table::check_recipe)
}

fn parse_toml(text: &str) -> Result<toml_edit::Document<&str>, Mistake> {
    toml_edit::Document::parse(text)
        .map_err(|error| Mistake::new(error.span(), format!("this is not TOML: {}", error.message())))
}

/// What every trial reports beside its metric, and which way it is better.
const REPORTED: [(&str, Direction); 6] = [
    ("train_loss", Direction::Minimize),
    ("val_loss", Direction::Minimize),
    ("val_accuracy", Direction::Maximize),
    ("train_seconds", Direction::Minimize),
    ("images_per_second", Direction::Maximize),
    ("peak_memory_bytes", Direction::Minimize),
];

fn read_objectives(names: &[String], span: Option<Range<usize>>) -> Result<Vec<Objective>, Mistake> {
    let objective = |name: &String| match REPORTED.iter().find(|(reported, _)| reported == name) {
        Some((_, direction)) => Ok(Objective { metric: name.clone(), direction: *direction }),
        None => Err(Mistake::unknown(span.clone(), "objective", name, &REPORTED.map(|(name, _)| name))),
    };
    names.iter().map(objective).collect()
}

/// A name is also a folder and a part of an address.
fn check_name(name: &str, span: Option<Range<usize>>) -> Result<(), Mistake> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && name.len() <= 100 && name.chars().all(is_plain) && !name.starts_with('.') {
        return Ok(());
    }
    Err(Mistake::new(span, format!("`{name}` cannot be the name of a study"))
        .with_help("use up to 100 letters, digits, `-`, `_` and `.`, not starting with `.`"))
}

/// Every parameter's extreme values make a recipe; what lies between then does too.
fn check_ends(recipe: &Recipe, space: &SearchSpace) -> Result<(), (String, BindError)> {
    for parameter in &space.0 {
        for value in ends(&parameter.distribution) {
            let mut params = rates::conditions(space, parameter);
            params.0.insert(parameter.name.clone(), value);
            bind::bind(recipe, &params).map_err(|error| (parameter.name.clone(), error))?;
        }
    }
    Ok(())
}

/// The extreme values of a distribution, or all its choices.
fn ends(distribution: &Distribution) -> Vec<ParamValue> {
    match distribution {
        Distribution::Float { low, high, .. } => vec![ParamValue::Float(*low), ParamValue::Float(*high)],
        Distribution::Int { low, high, .. } => vec![ParamValue::Int(*low), ParamValue::Int(*high)],
        Distribution::Categorical { choices } | Distribution::Ordinal { choices } => choices.clone(),
        Distribution::Permutation { items } => vec![ParamValue::List(items.clone())],
        Distribution::Fixed { value } => vec![value.clone()],
    }
}

fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The bytes of a dotted key below a table, or of as much of it as is there.
fn span_of(table: Option<&dyn TableLike>, path: &str) -> Option<Range<usize>> {
    let mut table = table?;
    let mut span = None;
    for segment in path.split('.') {
        let Some((key, item)) = table.get_key_value(segment) else { break };
        span = item.span().or_else(|| key.span()).or(span);
        match item.as_table_like() {
            Some(inner) => table = inner,
            None => break,
        }
    }
    span
}

/// The text with one value set, as `recipe.epochs=3`.
fn set(text: &str, pair: &str) -> Result<String, Mistake> {
    let (key, value) = pair.split_once('=').ok_or_else(|| {
        Mistake::new(None, format!("`--set {pair}` has no `=`")).with_help("for example `--set recipe.epochs=3`")
    })?;
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| Mistake::new(None, format!("this is not TOML: {}", error.message())))?;
    // What is no TOML value is a word that lacks its quotes.
    let value: toml_edit::Value = value.trim().parse().unwrap_or_else(|_| value.trim().into());
    let mut segments: Vec<&str> = key.trim().split('.').collect();
    let last = segments.pop().unwrap_or_default();
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for segment in segments {
        let item = table.entry(segment).or_insert_with(|| toml_edit::Item::Table(toml_edit::Table::new()));
        table = item
            .as_table_like_mut()
            .ok_or_else(|| Mistake::new(None, format!("`{segment}` of `--set {pair}` is no table")))?;
    }
    match table.get_mut(last) {
        // In its place, so that the comments about it stay.
        Some(item) => *item = toml_edit::Item::Value(value),
        None => drop(table.insert(last, toml_edit::Item::Value(value))),
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use nightsweep_trainer::recipe::Op;

    use super::*;

    const HEAD: &str = "[study]\nname = \"s\"\n[data]\npath = \"fashion-mnist-mini\"\n";

    fn check(tail: &str, line: usize, message: &str, help: &str) {
        let text = format!("{HEAD}{tail}");
        let error = parse(&text, ".".into()).unwrap_err().in_file("s.toml".into(), &text);
        assert_eq!((error.line(), error.message.as_str()), (Some(line), message), "{tail}");
        assert_eq!(error.help.as_deref().unwrap_or_default(), help, "{tail}");
    }

    #[test]
    fn the_smallest_study_file_has_all_defaults() {
        let plan = parse(HEAD, ".".into()).unwrap();
        assert_eq!((plan.metric, plan.recipe, plan.space.0.len()), (Metric::ValAccuracy, Recipe::default(), 0));
    }

    #[test]
    fn every_sampler_works_in_a_study_file() {
        for name in SamplerKind::names() {
            let text = format!("{HEAD}[space]\nbatch_size = [32, 64]\n[search]\nsampler = '{name}'\n");
            let plan = parse(&text, ".".into()).unwrap();
            let study = nightsweep_search::Study::new(plan.study_config()).unwrap();
            assert!(matches!(study.ask(), nightsweep_search::Suggestion::Start { .. }), "{name}");
        }
    }

    #[test]
    fn objectives_are_what_trials_report() {
        let objectives = |names: &str| {
            let text = HEAD.replacen("[data]", &format!("objectives = [{names}]\n[data]"), 1);
            parse(&text, ".".into()).map(|plan| plan.objectives).map_err(|error| error.in_file("s.toml".into(), &text))
        };
        let smaller = Objective { metric: "train_seconds".into(), direction: Direction::Minimize };
        assert_eq!(objectives("'train_seconds'").unwrap(), [smaller]);
        let error = objectives("'train_second'").unwrap_err();
        assert_eq!((error.line(), error.message.as_str()), (Some(3), "unknown objective `train_second`"));
        assert_eq!(error.help.as_deref(), Some("did you mean `train_seconds`?"));
    }

    #[test]
    fn the_recipe_is_the_baseline_where_it_lies_in_the_space() {
        let baseline = |text: &str| parse(&format!("{HEAD}{text}\n"), ".".into()).unwrap().study_config().baseline;
        assert!(baseline("[space]\nbatch_size = [64, 128]"));
        assert!(!baseline("[search]\nbaseline = false\n[space]\nbatch_size = [64, 128]"));
        assert!(!baseline("[space]\nbatch_size = [32, 64]"));
    }

    #[test]
    fn a_pruner_is_a_name_or_a_table() {
        let pruner = |text: &str| parse(&format!("{HEAD}[search]\npruner = {text}\n"), ".".into()).unwrap().pruner;
        for name in PrunerKind::names().filter(|name| !["pbt", "pb2"].contains(name)) {
            assert_eq!(pruner(&format!("'{name}'")), PrunerKind::named(name).unwrap());
            assert_eq!(pruner(&format!("{{ kind = '{name}' }}")), PrunerKind::named(name).unwrap());
        }
        check(
            "[search]\npruner = 'ahsa'\n",
            6,
            "unknown variant `ahsa`, expected one of `none`, `asha`, `median`, `percentile`, `freeze_thaw`, `hyperband`, \
             `patience`, `pbt`, `pb2`, `successive_halving`, `threshold`, `wilcoxon`",
            "did you mean `asha`?",
        );
        check(
            "[search]\npruner = 3\n",
            6,
            "invalid type: integer `3`, expected the name of a pruner, or a table with its `kind`",
            "",
        );
    }

    #[test]
    fn a_mistake_is_shown_with_its_line_and_a_way_out() {
        check("[recipe]\nepoch = 3\n", 6, "the recipe has no `epoch`", "did you mean `epochs`?");
        check("[recipe]\nepochs = 0\n", 6, "`epochs` must be at least 1, but is 0", "");
        check(
            "[search]\nconstraints = [\n  \"raw_val_loss < 3\",\n  \"train_second <= 30\",\n]\n",
            8,
            "unknown metric `train_second`",
            "did you mean `train_seconds`?",
        );
        check(
            "[recipe]\noptimizer = { kind = 'sgd', lrr = 1 }\n",
            6,
            "the recipe has no `optimizer.lrr`",
            "did you mean `optimizer.lr`?",
        );
        check(
            "[recipe]\noptimizer = { kind = 'adamm' }\n",
            6,
            "unknown `optimizer.kind` `adamm`",
            "did you mean `adam`?",
        );
        check(
            "[search]\npruners = 'asha'\n",
            6,
            "unknown field `pruners`, expected one of `sampler`, `pruner`, `baseline`, `forbid`, `constraints`, `warm_start`, `terminate`",
            "did you mean `pruner`?",
        );
        check(
            "[serch]\n",
            5,
            "unknown field `serch`, expected one of `study`, `data`, `recipe`, `space`, `search`, `enqueue`, `confirm`, `policy`, `notify`",
            "did you mean `search`?",
        );
        check(
            "[space.optimizer.sgd]\nmomentum = { low = 0.5, high = 1.0 }\n",
            6,
            "a value of `optimizer.sgd.momentum` cannot be trained with: `optimizer.momentum` must be in [0, 1), but is 1",
            "",
        );
        let full = HEAD.replace("[data]", "disk = \"a lot\"\n[data]");
        let error = parse(&full, ".".into()).unwrap_err().in_file("s.toml".into(), &full);
        assert_eq!((error.line(), error.message.as_str()), (Some(3), "`disk = \"a lot\"` is no size"));
        assert_eq!(error.help.as_deref(), Some("for example `disk = \"20 GB\"` or `disk = \"500 MiB\"`"));
        let budget = HEAD.replace("[data]", "disk = \"20 GB\"\n[data]");
        assert_eq!(parse(&budget, ".".into()).unwrap().disk, Some(20_000_000_000));
        check("[recipe]\nlr = 0.1\n", 6, "the recipe has no `lr`", "did you mean `optimizer.lr`?");
        let sums = "give `val` above 0, `test` from 0 on, and less than 1 in sum; each is 0.1 unless given";
        check("val = 1.5\n", 5, "`data.val = 1.5` is not a fraction that can be set apart", sums);
        check("test = -0.1\n", 5, "`data.test = -0.1` is not a fraction that can be set apart", sums);
        check(
            "val = 0\n",
            5,
            "`data.val = 0` is not a fraction that can be set apart",
            "trials are judged by images that are set apart: give `val` above 0, such as 0.1",
        );
        check("image_size = 100000\n", 5, "`data.image_size = 100000` is not between 1 and 2048", "");
        check("crop = 0.0\n", 5, "`data.crop = 0` is not above 0 and at most 1", "");
        check("channels = 2\n", 5, "`data.channels = 2` is neither 1 (gray) nor 3 (colour)", "");
        check(
            "[search]\nwarm_start = [\n  'x',\n  'shipped/minst',\n]\n",
            8,
            "unknown study `shipped/minst`",
            "did you mean `shipped/mnist`?",
        );
        check("[confirm]\nseeds = 1\n", 6, "`confirm.seeds` must be from 2 to 1000", "");
        check("[confirm]\nshare = 1.5\n", 6, "`confirm.share` must be in [0, 1)", "");
        check("[recipe\n", 5, "this is not TOML: unclosed table, expected `]`", "");
    }

    #[test]
    fn what_the_search_is_told_is_checked_where_it_stands() {
        const SPACE: &str = "[space]\nbatch_size = [64, 128]\n[space.optimizer.sgd]\n[space.optimizer.adamw]\n";
        let check = |tail: &str, line, message: &str| check(&format!("{SPACE}{tail}"), line, message, "");
        check(
            "[search]\nforbid = [\n  \"optimizer = 'sgd'\",\n  \"batch_size > \",\n]\n",
            12,
            "`batch_size > ` is not understood at `the end`: expected a name, a number or a word in quotes",
        );
        check(
            "[search]\nforbid = [\"batch_sise > 3\"]\n",
            10,
            "the rule `batch_sise > 3` names `batch_sise`, which is no parameter of the space",
        );
        check(
            "[search]\nforbid = [\"optimizer.kind = 'adam'\"]\n",
            10,
            "the rule `optimizer.kind = 'adam'` speaks of `adam`, which is no choice of any of its parameters",
        );
        check("[search]\nforbid = [\"batch_size > 1\"]\n", 10, "the rules forbid every point that was looked at");
        check(
            "[search]\nconstraints = [\"val_loss\"]\n",
            10,
            "the constraint `val_loss` is no inequality between numbers, as `seconds <= 30` is",
        );
        check(
            "[search]\nterminate = { regret = 0 }\n",
            10,
            "a study cannot end at a regret of 0: it must be a number above 0",
        );
        check(
            "[[enqueue]]\nbatch_size = 64\n[[enqueue]]\nbatch_size = 65\n",
            12,
            "an enqueued point does not lie in the space: parameter `batch_size` cannot be `65`",
        );
        check(
            "[search]\nforbid = [\"batch_size = 64\"]\n[[enqueue]]\nbatch_size = 64\n",
            12,
            "an enqueued point is forbidden by `batch_size = 64`",
        );
        let text = format!("{HEAD}{SPACE}[[enqueue]]\nbatch_size = 64\nepochs = 3\n");
        let mistake = parse(&text, ".".into()).unwrap_err();
        assert_eq!(mistake.help.as_deref(), Some("the space varies batch_size, optimizer"));
    }

    #[test]
    fn an_enqueued_point_says_how_it_differs_from_the_recipe() {
        let text = format!(
            "{HEAD}[space]\nbatch_size = [64, 128]\n[space.optimizer.adamw]\nlr = {{ low = 1e-4, high = 1, prior = 0.01 }}\n\
             [space.optimizer.sgd]\n[[enqueue]]\nbatch_size = 64\noptimizer = {{ kind = 'adamw', lr = 0.5 }}\n"
        );
        let knowledge = parse(&text, ".".into()).unwrap().knowledge;
        let expected = serde_json::json!([{ "batch_size": 64, "optimizer": "adamw", "optimizer.adamw.lr": 0.5 }]);
        assert_eq!(serde_json::to_value(&knowledge.enqueue).unwrap(), expected);
        assert!(knowledge.priors.contains_key("optimizer.adamw.lr"));
    }

    #[test]
    fn the_recipe_is_a_point_of_its_space_if_it_lies_in_it() {
        let point = |tail: &str| parse(&format!("{HEAD}{tail}"), ".".into()).unwrap().default;
        let default = point(
            "[space]\nbatch_size = [64, 128]\n[space.optimizer.sgd]\nlr = { low = 0.01, high = 1.0, log = true }\n",
        );
        assert_eq!(
            default.unwrap().iter().map(|(name, _)| name).collect::<Vec<_>>(),
            ["batch_size", "optimizer", "optimizer.sgd.lr"]
        );
        assert!(point("[space]\nbatch_size = [64, 256]\n").is_none());
    }

    #[test]
    fn a_limit_of_a_trials_time_is_a_number_of_seconds() {
        let limited =
            |seconds| parse(&HEAD.replace("[data]", &format!("trial_limit_seconds = {seconds}\n[data]")), ".".into());
        assert_eq!(limited(90).unwrap().trial_limit_seconds, Some(90));
        assert_eq!(limited(0).unwrap_err().message, "`trial_limit_seconds` must be at least 1, but is 0");
    }

    #[test]
    fn a_policy_is_read_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{HEAD}[recipe.augment]\npolicy = {{ kind = 'file', path = 'p.toml' }}\n");
        let read = |policy: &str| {
            fs::write(folder.path().join("p.toml"), policy).unwrap();
            parse(&text, folder.path().to_owned())
        };
        let plan = read("[[sub_policies]]\nops = [{ op = 'rotate', probability = 0.7, magnitude = 0.3 }]\n").unwrap();
        let PolicySpec::Custom(policy) = plan.recipe.augment.policy else { panic!("the file's policy is spelled out") };
        assert_eq!((policy.draws, policy.sub_policies[0].ops[0].op), (1, Op::Rotate));
        let misspelt = read("[[sub_policies]]\nops = [{ op = 'rotat' }]\n").unwrap_err();
        assert!(misspelt.message.contains("unknown variant `rotat`"), "{misspelt:?}");
        let broken = read("[[sub_policies]]\nops = [{ op = 'rotate', probability = 7 }]\n").unwrap_err();
        assert!(
            broken.message.contains("`augment.policy.sub_policies.ops.probability` must be in [0, 1]"),
            "{broken:?}"
        );
        fs::remove_file(folder.path().join("p.toml")).unwrap();
        let missing = parse(&text, folder.path().to_owned()).unwrap_err().in_file("s.toml".into(), &text);
        assert!(missing.line() == Some(6) && missing.message.contains("could not read the policy"), "{missing:?}");
    }

    #[test]
    fn a_name_that_is_no_folder_is_refused() {
        let text = HEAD.replace("\"s\"", "\"../s\"");
        assert!(parse(&text, ".".into()).unwrap_err().message.contains("cannot be the name of a study"));
    }

    #[test]
    fn set_changes_one_value_and_keeps_the_rest() {
        assert_eq!(set("[a]\n# why\nb = 1\n", "a.b=2").unwrap(), "[a]\n# why\nb = 2\n");
        assert_eq!(set("[a]\nb = 1\n", "a.c=word").unwrap(), "[a]\nb = 1\nc = \"word\"\n");
        assert!(set("", "a").unwrap_err().message.contains("has no `=`"));
    }
}
