//! What can be counted of how the code reads: `make figures`, of this checkout or of `CHECKOUT`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

use crate::imports::{Graph, Tree, crates};
use crate::sizes::{MOST_CODE, TABLES, by_room};
use crate::{root, rust_files_of};

const WORDS: &str = include_str!("words.txt");

/// Columns of a line of code or prose.
const COLUMNS: usize = 100;

/// Folders that hold nothing written here, by name.
const SKIPPED: [&str; 6] = [".git", ".local", "corpus", "node_modules", "target", "venv"];

#[test]
#[ignore = "prints figures and checks nothing; make figures"]
fn figures() {
    let checkout = std::env::var_os("CHECKOUT").map_or_else(root, PathBuf::from);
    let tree = crates(&checkout);
    sizes(&tree, &checkout);
    circles(&tree);
    let shared = tree
        .files
        .iter()
        .zip(&tree.measures)
        .filter(|(file, _)| file.starts_with("shared/"));
    let undocumented: Vec<String> = shared
        .flat_map(|(file, m)| {
            m.undocumented
                .iter()
                .map(move |(line, name)| format!("{file}:{line} {name}"))
        })
        .collect();
    heading(&format!(
        "{} undocumented public items of shared",
        undocumented.len()
    ));
    println!("{}", undocumented.join("\n"));
    let texts = Texts::read(&checkout);
    wide(&texts);
    words(&texts);
}

fn heading(text: &str) {
    println!("\n== {text}");
}

fn sizes(tree: &Tree, checkout: &Path) {
    let measured = || tree.files.iter().map(String::as_str).zip(&tree.measures);
    let files = rust_files_of(checkout, "shared/src");
    let lines = |file: &String| {
        std::fs::read_to_string(checkout.join(file))
            .unwrap()
            .lines()
            .count()
    };
    let all = by_room(files.iter().map(|file| (file.as_str(), lines(file))));
    let code = by_room(measured().map(|(file, measures)| (file, measures.code)));
    let sum = |rooms: &BTreeMap<&str, usize>| rooms.values().sum::<usize>();
    heading(&format!(
        "{} lines of shared/src by room; {} lines of code",
        sum(&all),
        sum(&code)
    ));
    let share =
        |lines: usize, of: usize| f64::from(u32::try_from(lines * 1000 / of).unwrap()) / 10.0;
    let mut rooms: Vec<_> = all.iter().collect();
    rooms.sort_by_key(|(_, lines)| std::cmp::Reverse(**lines));
    for (room, lines) in rooms {
        let coded = code.get(room).copied().unwrap_or_default();
        let (of_all, of_code) = (share(*lines, sum(&all)), share(coded, sum(&code)));
        println!("{room:18} {lines:6} {of_all:5.1} %   code {coded:6} {of_code:5.1} %");
    }
    let mut functions: Vec<_> = measured()
        .flat_map(|(file, measures)| {
            measures
                .functions
                .iter()
                .map(move |function| (file, function))
        })
        .collect();
    heading("the ten longest functions");
    functions.sort_by_key(|(_, function)| std::cmp::Reverse(function.lines));
    for (file, function) in functions.iter().take(10) {
        println!(
            "{:4} lines  {file}:{} {}",
            function.lines, function.line, function.name
        );
    }
    heading("the ten deepest functions");
    functions.sort_by_key(|(_, function)| std::cmp::Reverse((function.levels, function.lines)));
    for (file, function) in functions.iter().take(10) {
        println!(
            "{:4} levels {file}:{} {}",
            function.levels, function.line, function.name
        );
    }
    let mut large: Vec<_> = measured()
        .filter(|(_, measures)| measures.code > MOST_CODE)
        .collect();
    large.sort_by_key(|(_, measures)| std::cmp::Reverse(measures.code));
    heading(&format!(
        "{} files of more than {MOST_CODE} lines of code",
        large.len()
    ));
    for (file, measures) in large {
        let table = if TABLES.iter().any(|(table, _)| *table == file) {
            "  (a table of data)"
        } else {
            ""
        };
        println!("{:4} lines  {file}{table}", measures.code);
    }
}

fn circles(tree: &Tree) {
    let graph = Graph::of(tree);
    let circles = graph.circles();
    let files: usize = circles.iter().map(|circle| circle.files().len()).sum();
    heading(&format!(
        "{} import circles, of {files} files",
        circles.len()
    ));
    for circle in circles {
        println!("{}\n{}", circle.files().join(" "), circle.witnesses());
    }
}

/// What is written in a checkout.
struct Texts {
    /// Rust.
    code: Vec<(String, String)>,
    /// Markdown.
    pages: Vec<(String, String)>,
}

impl Texts {
    fn read(checkout: &Path) -> Self {
        let mut texts = Self {
            code: Vec::new(),
            pages: Vec::new(),
        };
        texts.collect(checkout, "");
        texts
    }

    fn collect(&mut self, checkout: &Path, folder: &str) {
        for entry in std::fs::read_dir(checkout.join(folder)).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let path = if folder.is_empty() {
                name.clone()
            } else {
                format!("{folder}/{name}")
            };
            let text = || std::fs::read_to_string(entry.path()).unwrap();
            let ending = Path::new(&name)
                .extension()
                .and_then(|ending| ending.to_str());
            match ending {
                _ if SKIPPED.contains(&name.as_str()) => {}
                _ if entry.file_type().unwrap().is_dir() => self.collect(checkout, &path),
                Some("rs") => self.code.push((path, text())),
                Some("md") => self.pages.push((path, text())),
                _ => {}
            }
        }
    }

    /// Lines of pages and of comments, without their marks.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let comments = self
            .code
            .iter()
            .flat_map(|(_, text)| text.lines().filter_map(comment));
        self.pages
            .iter()
            .flat_map(|(_, text)| text.lines())
            .chain(comments)
    }
}

/// What a line that is a comment says.
fn comment(line: &str) -> Option<&str> {
    Some(
        line.trim_start()
            .strip_prefix("//")?
            .trim_start_matches(['/', '!'])
            .trim(),
    )
}

fn wide(texts: &Texts) {
    let mut by_folder: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (kind, files) in [("Rust", &texts.code), ("Markdown", &texts.pages)] {
        for (file, text) in files {
            let folder = file.split_once('/').map_or("(top)", |(folder, _)| folder);
            *by_folder.entry((kind, folder)).or_default() += text
                .lines()
                .filter(|line| line.chars().count() > COLUMNS)
                .count();
        }
    }
    heading(&format!(
        "{} lines of more than {COLUMNS} columns",
        by_folder.values().sum::<usize>()
    ));
    for ((kind, folder), lines) in by_folder {
        println!("{kind:8} {folder:10} {lines:6}");
    }
}

/// How often everything that words are looked for in occurs.
#[derive(Default)]
struct Counts {
    names: BTreeMap<String, usize>,
    parts: BTreeMap<String, usize>,
    /// How often a type of this name is defined.
    types: BTreeMap<String, usize>,
    summaries: BTreeMap<String, usize>,
    /// All prose in lower case, one space around each word.
    prose: String,
}

impl Counts {
    fn of(texts: &Texts) -> Self {
        let mut counts = Self::default();
        for (_, text) in &texts.code {
            counts.tokens(text.parse().unwrap());
            let mut before = None;
            for line in text.lines() {
                let doc = line.trim_start().strip_prefix("///").and(comment(line));
                if let (Some(doc), None) = (doc, before) {
                    let first: String = doc.chars().take_while(char::is_ascii_alphabetic).collect();
                    *counts.summaries.entry(first).or_default() += 1;
                }
                before = doc;
            }
        }
        for line in texts.prose() {
            let words = line
                .split(|c: char| !c.is_alphanumeric())
                .filter(|word| !word.is_empty());
            for word in words {
                counts.prose.push(' ');
                counts.prose.push_str(&word.to_lowercase());
            }
        }
        // So that phrases next to each other are both found.
        counts.prose = counts.prose.replace(' ', "  ") + " ";
        counts
    }

    fn tokens(&mut self, tokens: TokenStream) {
        let mut before = String::new();
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(ident) => {
                    let name = ident.to_string();
                    if ["struct", "enum", "trait", "type", "union"].contains(&before.as_str()) {
                        *self.types.entry(name.clone()).or_default() += 1;
                    }
                    for part in parts(&name) {
                        *self.parts.entry(part).or_default() += 1;
                    }
                    before.clone_from(&name);
                    *self.names.entry(name).or_default() += 1;
                }
                _ => before.clear(),
            }
        }
    }

    fn said(&self, words: &str) -> usize {
        let phrase = words
            .to_lowercase()
            .split(' ')
            .collect::<Vec<_>>()
            .join("  ");
        self.prose.matches(&format!(" {phrase} ")).count()
    }

    fn count(&self, how: &str, word: &str) -> usize {
        let get = |map: &BTreeMap<String, usize>| map.get(word).copied().unwrap_or_default();
        match how {
            "name" => get(&self.names),
            "part" => get(&self.parts),
            "prose" => self.said(word),
            "word" => get(&self.parts) + self.said(word),
            "twice" => get(&self.types).saturating_sub(1),
            "summary" => get(&self.summaries),
            _ => panic!("{how}?"),
        }
    }
}

/// The words of a name, in lower case: `delivery`, `task` of `DeliveryTask` and of `DELIVERY_TASK`.
fn parts(name: &str) -> BTreeSet<String> {
    let mut parts = BTreeSet::new();
    for part in name.split('_') {
        let mut word = String::new();
        let mut small = false;
        for c in part.chars() {
            if c.is_uppercase() && small {
                parts.insert(std::mem::take(&mut word));
            }
            small = !c.is_uppercase();
            word.extend(c.to_lowercase());
        }
        parts.insert(word);
    }
    parts
}

/// How each word is looked for, the word, and the reason why it is out.
fn listed() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let lines = WORDS
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.flat_map(|line| {
        let (left, reason) = line
            .split_once('|')
            .unwrap_or_else(|| panic!("no reason: {line}"));
        let (how, words) = left
            .trim()
            .split_once(' ')
            .unwrap_or_else(|| panic!("no word: {line}"));
        let words: Vec<&str> = words.split(',').map(str::trim).collect();
        words
            .into_iter()
            .map(move |word| (how, word, reason.trim()))
            .collect::<Vec<_>>()
    })
}

fn words(texts: &Texts) {
    let counts = Counts::of(texts);
    let found: Vec<_> = listed()
        .map(|(how, word, reason)| (counts.count(how, word), how, word, reason))
        .collect();
    heading(&format!(
        "{} occurrences of words that are out",
        found.iter().map(|(n, ..)| n).sum::<usize>()
    ));
    for (n, how, word, reason) in found {
        println!("{n:5} {how:8} {word:20} {reason}");
    }
}

#[test]
fn words_are_counted_as_said() {
    let page = "Nobody nudges a dialect.\nIs no `dialect`: whoever is no";
    let code = "/// What a wake is.\n/// How it is.\nstruct WakeUp;\n// a Dialect\nmod m { type WakeUp = u8; fn f(dialect_of: Deal) { \"Deal\" } }";
    let file = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    let texts = Texts {
        code: file("b.rs", code),
        pages: file("a.md", page),
    };
    let counts = Counts::of(&texts);
    for (how, word, count) in [
        ("name", "Deal", 1),
        ("name", "dialect", 0),
        ("part", "dialect", 1),
        ("part", "wake", 2),
        ("prose", "wake", 1),
        ("word", "dialect", 4),
        ("prose", "is no", 2),
        ("prose", "nobody", 1),
        ("twice", "WakeUp", 1),
        ("summary", "What", 1),
        ("summary", "How", 0),
    ] {
        assert_eq!(counts.count(how, word), count, "{how} {word}");
    }
    assert!(listed().count() > 60, "{}", listed().count());
    for (how, word, reason) in listed() {
        assert!(
            !word.is_empty() && !reason.is_empty(),
            "{how} {word} {reason}"
        );
        counts.count(how, word);
    }
}
