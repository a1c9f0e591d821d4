//! The plan of a night on the page of its study: what is left of it and what it will bring.

use maud::{Markup, html};
use nightsweep_search::Outlook;

use crate::format;

/// What the controller expected at that time, in milliseconds since 1970.
pub(super) fn outlook(at_ms: i64, outlook: &Outlook) -> Markup {
    let end = end_ms(at_ms, outlook);
    let confirms_from = after(at_ms, outlook.left_seconds - outlook.reserved_seconds);
    let left = (end - format::now_ms()).max(0).cast_unsigned();
    let time = |seconds: f64| format::duration((seconds.max(0.0) * 1000.0) as u64);
    html! {
        section.panel.outlook {
            h2 { "Plan of the night" }
            p {
                "Ends at " b { (format::time(end)) } ", in " (format::duration(left)) ". By then about "
                b { (outlook.trials) " trials" } ", " (outlook.complete) " of them to the end, and "
                (outlook.epochs) " epochs, on " (outlook.workers) " workers."
                @if outlook.reserved_seconds > 0.0 {
                    " From " b { (format::time(confirms_from)) } " on, the best are confirmed ("
                    (time(outlook.reserved_seconds)) " at most)."
                }
            }
            p.unit {
                (outlook.max_epochs) " epochs to a training"
                @for bracket in &outlook.brackets {
                    @if !bracket.is_empty() {
                        "; judged after " (bracket.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
                    }
                }
                "; checkpoints up to " (format!("{:.1}", outlook.disk_bytes as f64 / 1e9)) " GB. Planned at "
                (format::time(at_ms)) "."
            }
            @if !outlook.models.is_empty() {
                table.plain {
                    thead { tr { th scope="col" { "model" } th scope="col" { "batch" } th scope="col" { "an epoch" } th scope="col" { "memory" } } }
                    tbody {
                        @for model in &outlook.models {
                            tr {
                                td { (model.model) }
                                td { (model.batch_size) }
                                td { (time(model.epoch_seconds)) }
                                td {
                                    @match model.memory_bytes {
                                        Some(bytes) => { (bytes / 1_000_000) " MB" }
                                        None => { "–" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// When it ends, as expected at that time; both in milliseconds since 1970.
pub(super) fn end_ms(at_ms: i64, outlook: &Outlook) -> i64 {
    after(at_ms, outlook.left_seconds)
}

fn after(at_ms: i64, seconds: f64) -> i64 {
    at_ms.saturating_add((seconds.max(0.0) * 1000.0) as i64)
}
