//! `infra/providers.toml`: what it maps and what it shows in its comments.

use shared::catalog::Catalog;
use shared::catalog::Config;
use shared::providers::kinds::READERS;
use shared::providers::kinds::http::config::HttpConfig;
use shared::surfaces::{SURFACES, check_operations};

use crate::{root, source};

/// Returns the text with the examples uncommented, and those for contacts and agents put to use as
/// their comments say.
fn uncommented() -> String {
    let text = source("infra/providers.toml");
    let (kept, examples) = text
        .split_once("# An API of your own")
        .expect("examples at the end");
    let examples: Vec<&str> = examples
        .lines()
        .filter_map(|line| line.strip_prefix("# ").or(line.strip_prefix('#')))
        .filter(|line| {
            line.starts_with('[') || line.split(' ').nth(1) == Some("=") || line.starts_with("   ")
        })
        .map(|line| {
            if line.trim_start().starts_with('#') {
                ""
            } else {
                line
            }
        })
        .collect();
    let (before, contact) = kept.split_once("[types.contact]\n").expect("type contact");
    let (block, after) = contact
        .split_once("\n\n")
        .expect("a blank line after type contact");
    let block: String = block
        .lines()
        .filter(|line| !line.starts_with("unconfigured"))
        .map(|line| line.replace("waterfall = []", "waterfall = [\"my-contacts\"]") + "\n")
        .collect();
    let text = format!(
        "{before}[types.contact]\n{block}\n{after}\n{}",
        examples.join("\n")
    );
    let agents = [
        ("person-research", "my-person-agent"),
        ("company-research", "my-company-agent"),
        ("research", "my-research-agent"),
        ("qualification", "my-qa-agent"),
    ];
    agents.iter().fold(text, |text, (kind, agent)| {
        let (before, rest) = text
            .split_once(&format!("[types.{kind}]\n"))
            .expect("the agent's type");
        let (block, after) = rest.split_once("\n\n").expect("a blank line after it");
        let block = block
            .lines()
            .filter(|line| !line.starts_with("unconfigured"))
            .collect::<Vec<_>>()
            .join("\n");
        let block = block.replace("waterfall = []", &format!("waterfall = [\"{agent}\"]"));
        format!("{before}[types.{kind}]\n{block}\n\n{after}")
    })
}

#[test]
fn every_operation_of_every_surface_is_mapped_and_nothing_else() {
    let catalog = Catalog::load(READERS, &root().join("infra")).unwrap();
    assert_eq!(check_operations(SURFACES, &catalog), Ok(()));
    let offered = SURFACES
        .iter()
        .flat_map(|s| s.operations.iter().map(move |o| (s.name, *o)));
    let missing: Vec<_> = offered
        .filter(|(s, o)| catalog.operation(s, o).is_none())
        .collect();
    assert!(
        missing.is_empty() && catalog.operations().count() == 23,
        "{missing:?}"
    );
    let text = source("infra/providers.toml");
    for (right, wrong, named) in [
        (
            "[operations.springbolt]",
            "[operations.springbald]",
            "[operations.springbald]: there is no such API",
        ),
        (
            "qa_agent = ",
            "quality_agent = ",
            "there is no operation `quality_agent`",
        ),
    ] {
        let config = Config::parse(READERS, "providers.toml", &text.replace(right, wrong)).unwrap();
        let why = check_operations(SURFACES, &Catalog::of(&config)).unwrap_err();
        assert!(why.contains(named), "{why}");
    }
}

#[test]
fn the_examples_work_once_they_are_uncommented() {
    let config =
        Config::parse(READERS, "providers.toml", &uncommented()).unwrap_or_else(|e| panic!("{e}"));
    let contact = config.types.iter().find(|t| t.name == "contact").unwrap();
    assert_eq!(
        (contact.waterfall.as_slice(), &contact.unconfigured),
        (&["my-contacts".to_owned()][..], &None)
    );
    for name in [
        "my-api",
        "my-bulk-api",
        "my-slow-api",
        "my-person-agent",
        "my-company-agent",
        "my-research-agent",
        "my-qa-agent",
    ] {
        assert!(config.providers.iter().any(|p| p.name == name), "{name}");
    }
    // A contact comes with a profile, or with names and a domain or company, and never with all of
    // them.
    let contacts = config
        .providers
        .iter()
        .find(|p| p.name == "my-contacts")
        .unwrap();
    let Some(http) = contacts.kind.downcast_ref::<HttpConfig>() else {
        panic!("{contacts:?}")
    };
    assert_eq!(http.requires, Vec::<String>::new());
}

#[test]
fn the_page_on_providers_has_every_type_and_its_example_works() {
    let page = source("docs/PROVIDERS.md");
    let catalog = Catalog::load(READERS, &root().join("infra")).unwrap();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    for kind in catalog.kinds() {
        let name = format!("`{}`", kind.name());
        assert!(
            rows.iter().any(|row| row
                .split('|')
                .nth(1)
                .is_some_and(|cell| cell.contains(&name))),
            "{name}"
        );
    }
    // The steps' indented blocks, one after the other: the provider first, then the type.
    let (_, steps) = page.split_once("1. **Write the call down.**").unwrap();
    let (steps, _) = steps.split_once("6. **Try it**").unwrap();
    let lines = steps
        .lines()
        .filter_map(|line| line.strip_prefix("       "));
    let mut toml = lines
        .map(|line| format!("{line}\n"))
        .collect::<Vec<_>>()
        .concat();
    toml += "[providers.brands]\nkind = \"dataset\"\nfile = \"data/brands.csv\"\n\
        key = { domain = \"domain\" }\n\
             fields = { company_name = \"name\" }\n";
    let config =
        Config::parse(READERS, "PROVIDERS.md", &toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
    assert_eq!(config.types[0].waterfall, ["brands", "example"]);
    let (_, search) = page.split_once("    [providers.my-leads]\n").unwrap();
    let search: Vec<&str> = search
        .lines()
        .map_while(|line| line.strip_prefix("    "))
        .collect();
    let toml = format!(
        "[types.lead]\ninputs = [[\"keyword\"]]\nwaterfall = [\"my-leads\"]\n[providers.my-leads]\n\
         {}",
        search.join("\n")
    );
    Config::parse(READERS, "PROVIDERS.md", &toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
}
