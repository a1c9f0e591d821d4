//! What goes on in a study, as far as its own log and that of its latest confirmation tell: one process leads both, one
//! after the other.

use nightsweep_search::{Event, Order};
use nightsweep_store::{Controller, Entry, QueryError, Store, StudyRow};

use crate::confirmation;

/// Orders among which it is looked for the one that still holds, the latest. More than people give in a night.
pub(crate) const ORDERS: u32 = 1000;

/// What goes on in a study.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Activity {
    /// Nobody took it up yet.
    None,
    /// It is led, and trials train.
    Running { pid: u32, host: String },
    /// It is led, but a person paused it.
    Held { by: String, at_ms: i64 },
    /// Its best trials train again on fresh seeds.
    Confirming,
    /// It was put down in good order.
    Ended { reason: String, needs_help: bool },
}

impl Activity {
    pub(crate) async fn of(store: &Store, study: &StudyRow, controller: Controller) -> Result<Self, QueryError> {
        Ok(match controller {
            Controller::Open { pid, host, .. } => match held(&store.last_orders(study.id, ORDERS).await?) {
                Some((by, at_ms)) => Self::Held { by: by.to_owned(), at_ms },
                None => Self::Running { pid, host },
            },
            _ if confirmation::is_led(store, study).await? => Self::Confirming,
            Controller::Closed { reason, needs_help, .. } => Self::Ended { reason, needs_help },
            Controller::None => Self::None,
        })
    }

    /// Whether a process leads the study itself.
    pub(crate) fn is_led(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Held { .. })
    }

    /// The reason of an end that a person has to do something about.
    pub(crate) fn needs_help(&self) -> Option<&str> {
        match self {
            Self::Ended { reason, needs_help: true } => Some(reason),
            _ => None,
        }
    }
}

/// Who paused the study, and when, if it is still paused; the latest order comes first.
fn held(orders: &[Entry]) -> Option<(&str, i64)> {
    let last = orders.iter().find_map(|entry| match &entry.event {
        Event::Ordered { by, order: Order::Hold } => Some(Some((by.as_str(), entry.at_ms))),
        Event::Ordered { order: Order::Release, .. } => Some(None),
        _ => None,
    });
    last.flatten()
}

/// How many trials people asked for in all, if they did; the latest order comes first.
pub(crate) fn extended(orders: &[Entry]) -> Option<u64> {
    orders.iter().find_map(|entry| match &entry.event {
        Event::Ordered { order: Order::Extend { trials }, .. } => Some(*trials),
        _ => None,
    })
}
