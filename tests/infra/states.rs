//! The tables of states in `docs/ARCHITECTURE.md` say what the state machines do. They are written
//! by hand: the code, the simulation's invariants and this test all ask the same functions, so the
//! page is what would show a wrong step.

use std::fmt::Debug;

use shared::domain::delivery::{DeliveryEvent, DeliveryState, next_state};
use shared::domain::job::{JobEvent, Status, next_status};

use super::source;

/// A state machine as a table: a row a state, a column an event, and where that leads.
fn table<S: Copy, E: Copy + Debug>(
    states: &[S],
    name: fn(S) -> &'static str,
    events: &[E],
    next: fn(S, E) -> Option<S>,
) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let named = |state: S| format!("`{}`", name(state));
    let cells = |first: String, cell: &dyn Fn(&E) -> String| {
        row([first].into_iter().chain(events.iter().map(cell)).collect())
    };
    let mut table = cells("from".to_owned(), &|event| format!("`{event:?}`"));
    table += &cells("---".to_owned(), &|_| "---".to_owned());
    for state in states {
        table += &cells(named(*state), &|event| {
            next(*state, *event).map_or("–".to_owned(), named)
        });
    }
    table
}

#[test]
fn the_page_has_the_tables_of_jobs_and_deliveries() {
    let jobs = table(&Status::ALL, Status::as_str, &JobEvent::ALL, next_status);
    let deliveries = table(
        &DeliveryState::ALL,
        DeliveryState::as_str,
        &DeliveryEvent::ALL,
        next_state,
    );
    let page = source("docs/ARCHITECTURE.md");
    for table in [jobs, deliveries] {
        let whole = format!("\n\n{table}\n");
        assert!(
            page.contains(&whole),
            "docs/ARCHITECTURE.md lacks:\n{table}"
        );
    }
    for event in JobEvent::ALL.map(|event| format!("{event:?}")) {
        let means = format!("\n- `{event}`: ");
        assert!(page.contains(&means), "what is {event}?");
    }
    for event in DeliveryEvent::ALL.map(|event| format!("{event:?}")) {
        let means = format!("\n- `{event}`: ");
        assert!(page.contains(&means), "what is {event}?");
    }
}
