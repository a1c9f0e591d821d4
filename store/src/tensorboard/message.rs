//! TensorBoard's messages, as far as we write them: event.proto, summary.proto and tensor.proto of TensorFlow, the hparams
//! plugin's plugin_data.proto and api.proto, and Google's struct.proto. Field numbers are theirs.

use std::collections::BTreeMap;

use nightsweep_search::{Distribution, ParamValue, Params, TrialNumber};

use super::wire::{Message, Value, fields};
use crate::studies::StudyRow;

const START: &str = "_hparams_/session_start_info";
const END: &str = "_hparams_/session_end_info";
const EXPERIMENT: &str = "_hparams_/experiment";
const PLUGIN: &str = "hparams";

/// Fields of an event.
const STEP: u64 = 2;
const SUMMARY: u64 = 5;

/// How a trial ended, as the hparams plugin sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// At its end, or stopped because it did not pay.
    Success = 1,
    /// Without a result.
    Failure = 2,
}

/// What a parameter holds, as the hparams plugin sees it.
#[derive(Clone, Copy)]
enum DataType {
    Text = 1,
    Bool = 2,
    Number = 3,
}

/// The first message of each file.
pub fn version(at_ms: i64) -> Vec<u8> {
    event(at_ms).bytes(3, "brain.Event:2").into_bytes()
}

/// What was measured after an epoch; TensorBoard keeps 32 bits of each number.
pub fn scalars(at_ms: i64, step: u64, metrics: &BTreeMap<String, f64>) -> Vec<u8> {
    let value = |(tag, value): (&String, &f64)| Message::default().bytes(1, tag).float(2, *value as f32);
    let summary = Message::default().messages(1, metrics.iter().map(value));
    event(at_ms).varint(STEP, step).message(SUMMARY, summary).into_bytes()
}

/// What varies in the study, and by what its trials are compared.
pub fn experiment(study: &StudyRow) -> Vec<u8> {
    let infos = study.space.0.iter().map(|parameter| hparam_info(&parameter.name, &parameter.distribution));
    let metric = Message::default().message(1, Message::default().bytes(2, &study.metric));
    let experiment = Message::default()
        .double(3, seconds(study.created_at_ms))
        .messages(4, infos)
        .message(5, metric)
        .bytes(6, &study.name);
    hparams(study.created_at_ms, EXPERIMENT, Message::default().message(2, experiment))
}

/// What a trial tries.
pub fn session_start(at_ms: i64, trial: TrialNumber, params: &Params) -> Vec<u8> {
    let entry = |(name, value): (&str, &ParamValue)| Message::default().bytes(1, name).message(2, any(value));
    let start = Message::default()
        .messages(1, params.iter().map(entry))
        .bytes(4, format!("trial-{trial}"))
        .double(5, seconds(at_ms));
    hparams(at_ms, START, Message::default().message(3, start))
}

/// How a trial ended.
pub fn session_end(at_ms: i64, status: Status) -> Vec<u8> {
    let end = Message::default().varint(1, status as u64).double(2, seconds(at_ms));
    hparams(at_ms, END, Message::default().message(4, end))
}

/// The step of a message that has scalars.
pub fn step_of(bytes: &[u8]) -> Option<u64> {
    fields(bytes).find_map(|(field, value)| match value {
        Value::Varint(step) if field == STEP => Some(step),
        _ => None,
    })
}

/// Whether it is how a trial ended.
pub fn is_session_end(bytes: &[u8]) -> bool {
    // The tag of the first value of its summary.
    let tag = inner(bytes, SUMMARY).and_then(|summary| inner(summary, 1)).and_then(|value| inner(value, 1));
    tag == Some(END.as_bytes())
}

fn inner(bytes: &[u8], wanted: u64) -> Option<&[u8]> {
    fields(bytes).find_map(|(field, value)| match value {
        Value::Bytes(inner) if field == wanted => Some(inner),
        _ => None,
    })
}

/// A message whose content is in the metadata of a value.
fn hparams(at_ms: i64, tag: &str, data: Message) -> Vec<u8> {
    // No number of float32 (1): a dimension of size 0.
    let shape = Message::default().message(2, Message::default());
    let tensor = Message::default().varint(1, 1).message(2, shape);
    let plugin = Message::default().bytes(1, PLUGIN).message(2, data);
    let metadata = Message::default().message(1, plugin);
    let value = Message::default().bytes(1, tag).message(8, tensor).message(9, metadata);
    event(at_ms).message(SUMMARY, Message::default().message(1, value)).into_bytes()
}

fn event(at_ms: i64) -> Message {
    Message::default().double(1, seconds(at_ms))
}

fn seconds(at_ms: i64) -> f64 {
    at_ms as f64 / 1000.0
}

/// A parameter and where it may lie.
fn hparam_info(name: &str, distribution: &Distribution) -> Message {
    let info = |of: DataType| Message::default().bytes(1, name).varint(4, of as u64);
    let interval = |low, high| Message::default().double(1, low).double(2, high);
    let list = |values: &[ParamValue]| Message::default().messages(1, values.iter().map(any));
    match distribution {
        Distribution::Float { low, high, .. } => info(DataType::Number).message(6, interval(*low, *high)),
        Distribution::Int { low, high, .. } => info(DataType::Number).message(6, interval(*low as f64, *high as f64)),
        Distribution::Categorical { choices } | Distribution::Ordinal { choices } => {
            info(choices.first().map_or(DataType::Text, type_of)).message(5, list(choices))
        }
        Distribution::Fixed { value } => info(type_of(value)).message(5, list(std::slice::from_ref(value))),
        // The plugin knows no lists: each order is a word to it.
        Distribution::Permutation { .. } => info(DataType::Text),
    }
}

fn type_of(value: &ParamValue) -> DataType {
    match value {
        ParamValue::Bool(_) => DataType::Bool,
        ParamValue::Text(_) | ParamValue::List(_) => DataType::Text,
        ParamValue::Int(_) | ParamValue::Float(_) => DataType::Number,
    }
}

/// A value of JSON, as struct.proto has it.
fn any(value: &ParamValue) -> Message {
    match value {
        ParamValue::Bool(is) => Message::default().varint(4, u64::from(*is)),
        ParamValue::Text(text) => Message::default().bytes(3, text),
        ParamValue::Int(int) => Message::default().double(2, *int as f64),
        ParamValue::Float(float) => Message::default().double(2, *float),
        ParamValue::List(_) => Message::default().bytes(3, value.to_string()),
    }
}
