//! The description of the JSON API, as OpenAPI 3.1: made from a table of what can be asked.

use std::sync::LazyLock;

use axum::Json;
use serde_json::{Value, json};

use crate::figure;

/// What an answer holds; the schemas below have these names.
type Schema = &'static str;

struct Operation {
    path: &'static str,
    post: bool,
    summary: &'static str,
    query: &'static [&'static str],
    body: Option<Schema>,
    answer: Schema,
    /// Answers other than 200, 400 and 404.
    others: &'static [(&'static str, &'static str)],
}

const fn get(path: &'static str, summary: &'static str, query: &'static [&'static str], answer: Schema) -> Operation {
    Operation { path, post: false, summary, query, body: None, answer, others: &[] }
}

const BOARD: &[&str] = &["state", "filter", "sort", "desc", "offset", "limit"];
const OPERATIONS: [Operation; 13] = [
    get("/studies", "The studies, the latest first.", &["offset", "limit"], "Studies"),
    get("/studies/{name}", "A study at a glance.", &[], "Study"),
    get("/studies/{name}/trials", "A page of trials, as on the board.", BOARD, "Board"),
    get("/studies/{name}/trials.json", "All trials that match.", BOARD, "Trials"),
    get("/studies/{name}/trials.csv", "All trials that match.", BOARD, "text/csv"),
    get("/studies/{name}/trials/{number}", "All that is known of a trial.", &[], "TrialDetail"),
    get("/studies/{name}/events", "What happened after a place of the log.", &["after", "limit"], "Events"),
    get("/studies/{name}/figures", "The names of all figures.", &[], "Figures"),
    Operation {
        others: &[("202", "It is being computed: ask again after a second.")],
        ..get("/studies/{name}/figures/{figure}", "What a figure shows.", &[], "Figure")
    },
    get("/studies/{name}/compare", "The curves of up to ten trials.", &["trials"], "Figure"),
    Operation {
        post: true,
        body: Some("Annotation"),
        others: WRITES,
        ..get("/studies/{name}/trials/{number}/annotations", "Writes a note, tags or marks.", &[], "Trial")
    },
    Operation {
        post: true,
        body: Some("Order"),
        others: WRITES,
        ..get("/studies/{name}/orders", "Asks something of the process that runs the study.", &[], "Logged")
    },
    get("/openapi.json", "This description.", &[], "OpenApi"),
];
const WRITES: &[(&str, &str)] = &[
    ("403", "Nothing can be written here, or the request comes from another site."),
    ("409", "The study is not run by this process, or stands otherwise."),
    ("413", "The body is too large."),
];

/// Name, type and meaning of what stands behind `?`.
const QUERY: [(&str, &str, &str); 8] = [
    ("state", "string", "Only these states, with commas between."),
    ("filter", "string", "As typed on the board: `lr < 0.1 and optimizer = sgd`."),
    ("sort", "string", "rank, number, state, value, steps, time, or a parameter."),
    ("desc", "string", "1: the greatest first."),
    ("offset", "integer", "Without so many at the beginning."),
    ("limit", "integer", "No more than so many: 1 to 1000, of events to 10000."),
    ("after", "integer", "Place in the log."),
    ("trials", "string", "Numbers with commas between."),
];

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// The description of this API.
pub(super) async fn openapi() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

fn document() -> Value {
    let mut paths = serde_json::Map::new();
    for operation in &OPERATIONS {
        let method = if operation.post { "post" } else { "get" };
        paths.insert(format!("/api/v1{}", operation.path), json!({ method: described(operation) }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "nightsweep",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Studies of one machine. Times are milliseconds since 1970, durations milliseconds.",
        },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

fn described(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    for part in operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        let kind = if part == "number" {
            json!({ "type": "integer", "minimum": 0 })
        } else {
            json!({ "type": "string", "minLength": 1 })
        };
        parameters.push(json!({ "name": part, "in": "path", "required": true, "schema": kind }));
    }
    for (name, kind, meaning) in QUERY.iter().filter(|row| operation.query.contains(&row.0)) {
        let schema = match *kind {
            "integer" => json!({ "type": "integer", "minimum": 0 }),
            kind => json!({ "type": kind }),
        };
        parameters.push(json!({ "name": name, "in": "query", "description": meaning, "schema": schema }));
    }
    let content = match operation.answer {
        "text/csv" => json!({ "text/csv": { "schema": { "type": "string" } } }),
        name => json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{name}") } } }),
    };
    let refused = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } });
    let mut responses = json!({ "200": { "description": "As asked.", "content": content } });
    let usual = [("400", "The request cannot be understood."), ("404", "There is no such thing.")];
    for (status, meaning) in usual.iter().chain(operation.others) {
        let content = if *status == "202" { json!({ "application/json": {} }) } else { refused.clone() };
        responses[*status] = json!({ "description": meaning, "content": content });
    }
    let mut described = json!({ "summary": operation.summary, "parameters": parameters, "responses": responses });
    if let Some(body) = operation.body {
        let schema = json!({ "$ref": format!("#/components/schemas/{body}") });
        described["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    described
}

fn schemas() -> Value {
    let own = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let list = |of: Value| json!({ "type": "array", "items": of });
    let object = |members: Value| {
        let required: Vec<String> = members.as_object().into_iter().flat_map(|it| it.keys().cloned()).collect();
        json!({ "type": "object", "required": required, "properties": members })
    };
    let (text, whole, yes) = (json!({ "type": "string" }), json!({ "type": "integer" }), json!({ "type": "boolean" }));
    let any = json!({});
    let maybe = |kind: &str| json!({ "type": [kind, "null"] });
    let one_of = |words: &[&str]| json!({ "type": "string", "enum": words });
    let numbers = json!({ "type": "object", "additionalProperties": { "type": "number" } });
    let states = crate::format::STATES.map(|row| row.1);
    let params =
        json!({ "type": "object", "additionalProperties": { "type": ["number", "string", "boolean", "array"] } });
    let trial = object(json!({
        "number": whole, "state": one_of(&states), "rank": maybe("integer"), "value": maybe("number"),
        "last_value": maybe("number"), "best_value": maybe("number"), "best_step": maybe("integer"), "steps": whole,
        "attempt": whole, "params": params, "why": text, "origin": maybe("object"), "violation": { "type": "number" },
        "started_at_ms": whole, "finished_at_ms": maybe("integer"), "active_ms": whole, "running_since_ms": maybe("integer"),
        "pause": maybe("string"), "cause": maybe("string"), "message": maybe("string"), "slot": maybe("string"),
        "device": maybe("string"), "pid": maybe("integer"), "note": text, "tags": list(text.clone()),
        "pinned": yes, "starred": yes,
    }));
    let directions = one_of(&["minimize", "maximize"]);
    let study = json!({
        "name": text, "metric": text, "direction": directions, "seed": whole, "space": any, "created_at_ms": whole,
    });
    let mut listed = study.clone();
    listed["counts"] = own("Counts");
    listed["best_value"] = maybe("number");
    let counts: serde_json::Map<String, Value> =
        states.iter().map(|state| ((*state).to_owned(), whole.clone())).collect();
    let figures: Vec<&str> = figure::names().map(|(name, _)| name).collect();
    let by = json!({ "type": ["string", "null"], "maxLength": 60, "description": "Who, as they call themselves." });
    let orders = orders(&by);
    let event = json!({ "type": "object", "required": ["kind"], "properties": { "kind": text } });
    json!({
        "Error": object(json!({ "error": text })),
        "Trial": trial,
        "Trials": list(own("Trial")),
        "Board": object(json!({ "trials": list(own("Trial")), "matching": whole })),
        "Counts": object(Value::Object(counts)),
        "Studies": object(json!({ "studies": list(object(listed)), "matching": whole })),
        "Study": object(json!({ "study": object(study), "summary": own("Summary") })),
        "Summary": object(json!({
            "counts": own("Counts"), "best": { "oneOf": [own("Trial"), { "type": "null" }] }, "controller": any,
            "started_at_ms": maybe("integer"), "last_event_at_ms": maybe("integer"), "last_seq": whole, "steps": whole,
            "active_ms": whole,
        })),
        "Report": object(json!({
            "step": whole, "attempt": whole, "at_ms": whole, "value": maybe("number"), "metrics": numbers,
        })),
        "Assignment": object(json!({ "attempt": whole, "slot": text, "device": text, "pid": whole, "at_ms": whole })),
        "LogLine": object(json!({
            "at_ms": whole, "attempt": whole, "level": one_of(&["error", "warn", "info", "debug", "trace"]), "text": text,
        })),
        "TrialDetail": object(json!({
            "trial": own("Trial"), "recipe": maybe("string"), "reports": list(own("Report")), "events": list(own("Event")),
            "assignments": list(own("Assignment")), "provenance": list(own("Provenance")), "log": list(own("LogLine")),
        })),
        "Provenance": object(json!({
            "attempt": whole, "study_seed": whole, "trial_seed": whole, "data": text, "files": maybe("string"),
            "version": text, "device": text, "hardware": text, "libraries": { "type": "object" },
        })),
        "Event": object(json!({ "seq": whole, "at_ms": whole, "event": event })),
        "Events": object(json!({ "events": list(own("Event")), "last": whole })),
        "Figures": object(json!({ "figures": list(object(json!({ "name": one_of(&figures), "title": text }))) })),
        "Figure": {
            "type": "object", "required": ["name", "title", "about"],
            "properties": {
                "name": text, "title": text, "about": text, "panels": list(own("Panel")), "parallel": { "type": "object" },
                "nothing": { "type": "string", "description": "Why there is nothing to draw." },
            },
        },
        "Panel": object(json!({
            "title": text, "note": text, "x": own("Axis"), "y": own("Axis"), "marks": list(own("Mark")),
            "scale": { "type": ["object", "null"] },
        })),
        "Axis": object(json!({
            "label": text, "low": { "type": "number" }, "high": { "type": "number" },
            "kind": { "type": ["string", "object"], "description": "linear, whole (numbers), log, time, or words: a list of them." },
        })),
        "Mark": {
            "type": "object", "required": ["mark"], "properties": { "mark": one_of(&["dots", "line", "bars", "field"]) },
        },
        "Annotation": {
            "type": "object", "additionalProperties": false,
            "description": "What is left out or null stays as it is.",
            "properties": {
                "by": by, "note": { "type": ["string", "null"], "maxLength": 20000 },
                "tags": {
                    "type": ["array", "null"], "maxItems": 20,
                    "items": { "type": "string", "minLength": 1, "maxLength": 50, "pattern": "\\S" },
                },
                "pinned": maybe("boolean"), "starred": maybe("boolean"),
            },
        },
        "Order": { "oneOf": orders },
        "Logged": object(json!({ "logged": yes })),
        "OpenApi": object(json!({ "openapi": text, "info": any, "paths": any, "components": any })),
    })
}

/// What can be asked of a study that runs.
fn orders(by: &Value) -> Vec<Value> {
    let number = json!({ "type": "integer", "minimum": 0 });
    let params = json!({ "type": "object", "additionalProperties": { "type": ["number", "string", "boolean"] } });
    let order = |name: &str, more: Option<(&str, &Value)>| {
        let mut order = json!({
            "type": "object", "required": ["order"], "properties": { "by": by, "order": { "const": name } },
        });
        if let Some((member, schema)) = more {
            order["required"] = json!(["order", member]);
            order["properties"][member] = schema.clone();
        }
        order
    };
    let of_trials = ["stop", "pause", "resume", "retry"].map(|name| order(name, Some(("trial", &number))));
    let others = [
        order("enqueue", Some(("params", &params))),
        order("hold", None),
        order("release", None),
        order("extend", Some(("trials", &number))),
        order("deadline", Some(("in_seconds", &number))),
    ];
    of_trials.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described_and_every_schema_is_there() {
        let document = &*DOCUMENT;
        assert_eq!(document["paths"].as_object().unwrap().len(), OPERATIONS.len());
        let text = document.to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
