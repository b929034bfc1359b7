//! Every link to a page or a file of this repository leads somewhere: links in pages, and pages and
//! their sections that comments and error texts name.

use std::collections::HashMap;
use std::path::Path;

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd};

use super::{root, source};

/// Folders that are not the repository's own.
const SKIPPED: [&str; 5] = [".git", ".local", "node_modules", "target", "venv"];

/// The history, which names things as they were then.
const HISTORY: &str = "CHANGELOG.md";

/// This file, whose tests make pages up.
const OWN: &str = "tests/infra/links.rs";

/// Files besides pages whose text names pages, by their endings.
const TEXTS: [&str; 8] = ["rs", "toml", "py", "yaml", "yml", "js", "mjs", "sh"];

/// The contents of a page that links and readers use.
#[derive(Default)]
struct Page {
    /// Headings as they read, and the anchors that GitHub makes of them.
    headings: Vec<(String, String)>,
    /// Where each link leads, and its line.
    links: Vec<(usize, String)>,
    /// Texts in backticks outside of code blocks, and their lines.
    codes: Vec<(usize, String)>,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut undefined = Vec::new();
        // `[text][name]` without a definition of the name is a link that was lost.
        let lost = |link: pulldown_cmark::BrokenLink<'_>| {
            let counts = matches!(link.link_type, LinkType::Reference | LinkType::Collapsed);
            if counts {
                undefined.push((
                    line_at(text, link.span.start),
                    format!("[{}]", link.reference),
                ));
            }
            None::<(CowStr<'_>, CowStr<'_>)>
        };
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
        let parser = Parser::new_with_broken_link_callback(text, options, Some(lost));
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        for (event, span) in parser.into_offset_iter() {
            let line = line_at(text, span.start);
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let title = heading.take().unwrap_or_default();
                    let anchor = page.anchor(&title);
                    page.headings.push((title, anchor));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line, dest_url.to_string()));
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    page.links
                        .extend(html_links(&html).map(|to| (line, to.to_owned())));
                }
                Event::Text(part) => heading = heading.map(|heading| heading + &part),
                Event::Code(part) => {
                    heading = heading.map(|heading| heading + &part);
                    page.codes.push((line, part.to_string()));
                }
                _ => {}
            }
        }
        page.links.extend(undefined);
        page
    }

    /// The anchor of the next heading: as <https://github.com/gjtorikian/html-pipeline> did, and as
    /// GitHub still does.
    fn anchor(&self, title: &str) -> String {
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let plain: String = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let is_taken = |anchor: &str| self.headings.iter().any(|(_, taken)| taken == anchor);
        let mut numbered = (1..).map(|n| format!("{plain}-{n}"));
        if is_taken(&plain) {
            return numbered
                .find(|anchor| !is_taken(anchor))
                .unwrap_or_default();
        }
        plain
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text[..offset].matches('\n').count()
}

/// Where the tags in a piece of HTML lead.
fn html_links(html: &str) -> impl Iterator<Item = &str> {
    let attributes = [" href=\"", " src=\"", " srcset=\""];
    attributes.into_iter().flat_map(move |attribute| {
        let values = html.split(attribute).skip(1);
        values.filter_map(|value| value.split('"').next())
    })
}

/// The files of a checkout, and its pages as they are needed.
struct Checkout<'a> {
    exists: &'a dyn Fn(&str) -> bool,
    text: &'a dyn Fn(&str) -> String,
    pages: HashMap<String, Page>,
}

impl Checkout<'_> {
    fn page(&mut self, path: &str) -> &Page {
        if !self.pages.contains_key(path) {
            let page = Page::read(&(self.text)(path));
            self.pages.insert(path.to_owned(), page);
        }
        &self.pages[path]
    }

    /// Says why a link of a page leads nowhere, if it does.
    fn complaint(&mut self, page: &str, to: &str) -> Option<String> {
        if to.starts_with('[') {
            return Some(format!("{to} is not defined"));
        }
        if to.contains("://") || to.starts_with("mailto:") {
            return None;
        }
        let (path, anchor) = to.split_once('#').map_or((to, None), |(p, a)| (p, Some(a)));
        let target = if path.is_empty() {
            page.to_owned()
        } else {
            match joined(folder_of(page), path) {
                Some(target) => target,
                None => return Some(format!("{to} leads out of the repository")),
            }
        };
        if !(self.exists)(&target) {
            return Some(format!("{to}: {target} is missing"));
        }
        let anchor = anchor?;
        if !has_ending(&target, "md") {
            return Some(format!("{to}: only pages have anchors"));
        }
        let known = self.page(&target).headings.iter().any(|(_, a)| a == anchor);
        (!known).then(|| format!("{to}: {target} has no heading of this anchor"))
    }

    /// Says which pages that a text names are not there, or lack the section that it names.
    fn unknown_pages(&mut self, file: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for mention in mentions(text) {
            let bases = ["", folder_of(file), "docs"];
            let places = bases.iter().filter_map(|base| joined(base, mention.page));
            let place = places.into_iter().find(|place| (self.exists)(place));
            let Some(place) = place else {
                found.push(format!(
                    "{file}:{}: {} is missing",
                    mention.line, mention.page
                ));
                continue;
            };
            let page = self.page(&place);
            let lacks_anchor = |anchor: &&str| !page.headings.iter().any(|(_, a)| a == anchor);
            let lacks_title = |title: &&str| !page.headings.iter().any(|(t, _)| t == title);
            let anchor = mention.anchor.filter(lacks_anchor);
            let title = mention.section.filter(lacks_title);
            let lacking = anchor.into_iter().chain(title);
            found.extend(lacking.map(|section| {
                format!("{file}:{}: {place} has no section {section}", mention.line)
            }));
        }
        found
    }
}

/// A page that a text names: `docs/PAGE.md`, `docs/PAGE.md#anchor`, or `docs/PAGE.md, "Section"`.
struct Mention<'a> {
    line: usize,
    page: &'a str,
    anchor: Option<&'a str>,
    section: Option<&'a str>,
}

/// Finds the pages that a text names, from the root, from the file's folder or from `docs` on. A
/// page's name begins with a capital, or has a folder before it.
fn mentions(text: &str) -> Vec<Mention<'_>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./:#*{}~$".contains(c);
    let mut found = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let mut rest = content;
        while let Some(begin) = rest.find(is_part) {
            let word = &rest[begin..];
            let (word, after) = word.split_at(word.find(|c| !is_part(c)).unwrap_or(word.len()));
            rest = after;
            let word = word.trim_end_matches(['.', ':']);
            let (page, anchor) = word
                .split_once('#')
                .map_or((word, None), |(p, a)| (p, Some(a)));
            let named = page.contains('/') || page.starts_with(|c: char| c.is_ascii_uppercase());
            let pattern = page.contains("//") || page.contains(['*', '{', '~', '$']);
            if !has_ending(page, "md") || !named || pattern {
                continue;
            }
            let quoted = after.trim_start_matches('`').strip_prefix(", \"");
            let section = quoted
                .and_then(|quoted| quoted.split_once('"'))
                .map(|(s, _)| s);
            found.push(Mention {
                line,
                page,
                anchor,
                section,
            });
        }
    }
    found
}

fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

pub(crate) fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|e| e == ending)
}

/// A path from a folder on, without `.` and `..`; `None` where it leads out of the repository.
fn joined(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Every file of the repository whose name ends so, by its path from the root.
fn files(endings: &[&str]) -> Vec<String> {
    fn collect(folder: &str, endings: &[&str], files: &mut Vec<String>) {
        for entry in std::fs::read_dir(root().join(folder)).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            let path = joined(folder, &name).unwrap();
            if entry.file_type().unwrap().is_dir() {
                collect(&path, endings, files);
            } else if endings.iter().any(|ending| has_ending(&name, ending)) {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    collect("", endings, &mut files);
    files.sort();
    files
}

fn checkout() -> Checkout<'static> {
    let pages = HashMap::new();
    Checkout {
        exists: &|path| root().join(path).exists(),
        text: &source,
        pages,
    }
}

#[test]
fn every_link_in_a_page_leads_somewhere() {
    let mut checkout = checkout();
    let pages = files(&["md"]);
    assert!(pages.iter().any(|page| page == "docs/API.md"), "{pages:?}");
    let mut found = Vec::new();
    for page in &pages {
        for (line, to) in Page::read(&source(page)).links {
            let wrong = checkout.complaint(page, &to);
            found.extend(wrong.map(|wrong| format!("{page}:{line}: {wrong}")));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_page_that_a_text_names_is_there() {
    let mut checkout = checkout();
    let texts = files(&TEXTS).into_iter().chain(["Makefile".to_owned()]);
    let pages = files(&["md"]).into_iter().filter(|page| page != HISTORY);
    let mut found = Vec::new();
    for file in texts.chain(pages).filter(|file| file != OWN) {
        found.extend(checkout.unknown_pages(&file, &source(&file)));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// `.rs` files in backticks, by their paths or the ends of them.
#[test]
fn every_source_file_that_a_page_names_is_there() {
    let is_made_up = |path: &str| path.contains(['*', '{', '<']) || path.contains("NAME");
    let sources = files(&["rs"]);
    let mut found = Vec::new();
    for page in files(&["md"]).iter().filter(|page| *page != HISTORY) {
        for (line, code) in Page::read(&source(page)).codes {
            if !has_ending(&code, "rs") || !code.contains('/') || is_made_up(&code) {
                continue;
            }
            let end = format!("/{code}");
            if !sources
                .iter()
                .any(|file| *file == code || file.ends_with(&end))
            {
                found.push(format!("{page}:{line}: {code} is missing"));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The checks can fail: every fault of these made-up pages is found, and nothing else.
#[test]
fn links_and_names_that_lead_nowhere_are_found() {
    const GUIDE: &str = "# Guide\n\n## Set up & run\n\n## Steps\n\n## Steps\n\n## `wait_s`\n";
    let page = "# Top\n\n[a](docs/GUIDE.md) [b](docs/GUIDE.md#set-up--run) [c](#top) \
                [d](https://example.com/x#y) [e](docs/GUIDE.md#steps-1) [f](docs)\n\n\
                [g](GUIDE.md) [h](docs/GUIDE.md#steps-2)\n[i](#bottom) [j](../else)\n\
                [k][lost] [l](code.rs#main) `[m](gone)`\n\n    [n](gone)\n\n\
                <img src=\"gone.svg\" alt=\"\">\n\n[o](docs/GUIDE.md#wait_s) [p]\n";
    let exists = |path: &str| ["docs", "docs/GUIDE.md", "PAGE.md", "code.rs"].contains(&path);
    let text = |path: &str| if path == "PAGE.md" { page } else { GUIDE }.to_owned();
    let mut checkout = Checkout {
        exists: &exists,
        text: &text,
        pages: HashMap::new(),
    };
    let links = Page::read(page).links;
    let wrong: Vec<String> = links
        .iter()
        .filter_map(|(line, to)| Some(format!("{line}: {}", checkout.complaint("PAGE.md", to)?)))
        .collect();
    assert_eq!(
        wrong,
        [
            "5: GUIDE.md: GUIDE.md is missing",
            "5: docs/GUIDE.md#steps-2: docs/GUIDE.md has no heading of this anchor",
            "6: #bottom: PAGE.md has no heading of this anchor",
            "6: ../else leads out of the repository",
            "7: code.rs#main: only pages have anchors",
            "11: gone.svg: gone.svg is missing",
            "7: [lost] is not defined",
        ]
    );
    let named = "// docs/GUIDE.md, \"Steps\", docs/GUIDE.md#steps-1 and (`GUIDE.md`); GUIDE.md \
        too.\n\
                 \"see docs/NONE.md\" or https://example.com/docs/X.md, a.md, *.md, \
                 docs/GUIDE.md#none\n\
                 // docs/GUIDE.md, \"Nothing\", [GUIDE.md](docs/GUIDE.md)";
    assert_eq!(
        checkout.unknown_pages("docs/code.rs", named),
        [
            "docs/code.rs:2: docs/NONE.md is missing",
            "docs/code.rs:2: docs/GUIDE.md has no section none",
            "docs/code.rs:3: docs/GUIDE.md has no section Nothing",
        ]
    );
}
