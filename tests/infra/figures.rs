//! Counts how the code reads: `make figures`, of this checkout or of `CHECKOUT`. The words that are
//! out are also a check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

use crate::imports::{Graph, Tree, crates};
use crate::sizes::{MOST_CODE, TABLES, by_room};
use crate::{root, rust_files_of};

const WORDS: &str = include_str!("words.txt");

/// Columns of a line of code or prose.
const COLUMNS: usize = 100;

/// Folders without texts of our own, by name.
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

/// The texts of a checkout.
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
        let mut entries: Vec<_> = std::fs::read_dir(checkout.join(folder))
            .unwrap()
            .flatten()
            .collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
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
}

/// Returns the text of a line that is a comment.
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

/// A file and a line.
type Place<'a> = (&'a str, usize);

/// Everything in which words are searched, with its places.
#[derive(Default)]
struct Uses<'a> {
    names: BTreeMap<String, Vec<Place<'a>>>,
    parts: BTreeMap<String, Vec<Place<'a>>>,
    /// Definitions of types, by name.
    types: BTreeMap<String, Vec<Place<'a>>>,
    summaries: BTreeMap<String, Vec<Place<'a>>>,
    /// The words of prose in lower case. An empty one ends what is read together.
    prose: Vec<(String, Place<'a>)>,
}

impl<'a> Uses<'a> {
    fn of(texts: &'a Texts) -> Self {
        let mut uses = Self::default();
        for (file, text) in &texts.pages {
            for (number, line) in (1..).zip(text.lines()) {
                uses.say(line, (file, number));
            }
            uses.prose.push((String::new(), (file, 0)));
        }
        for (file, text) in &texts.code {
            uses.tokens(file, text.parse().unwrap());
            let mut before = None;
            for (number, line) in (1..).zip(text.lines()) {
                let said = comment(line);
                uses.say(said.unwrap_or_default(), (file, number));
                if said.is_none() {
                    uses.prose.push((String::new(), (file, number)));
                }
                let doc = line.trim_start().strip_prefix("///").and(said);
                if let (Some(doc), None) = (doc, before) {
                    let first: String = doc.chars().take_while(char::is_ascii_alphabetic).collect();
                    uses.summaries
                        .entry(first)
                        .or_default()
                        .push((file, number));
                }
                before = doc;
            }
        }
        uses
    }

    fn say(&mut self, line: &str, place: Place<'a>) {
        let words = line
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty());
        self.prose
            .extend(words.map(|word| (word.to_lowercase(), place)));
    }

    fn tokens(&mut self, file: &'a str, tokens: TokenStream) {
        let mut before = String::new();
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.tokens(file, group.stream()),
                TokenTree::Ident(ident) => {
                    let name = ident.to_string();
                    let place = (file, ident.span().start().line);
                    if ["struct", "enum", "trait", "type", "union"].contains(&before.as_str()) {
                        self.types.entry(name.clone()).or_default().push(place);
                    }
                    for part in parts(&name) {
                        self.parts.entry(part).or_default().push(place);
                    }
                    before.clone_from(&name);
                    self.names.entry(name).or_default().push(place);
                }
                _ => before.clear(),
            }
        }
    }

    fn said(&self, words: &str) -> Vec<Place<'a>> {
        let phrase: Vec<String> = words.to_lowercase().split(' ').map(str::to_owned).collect();
        let is_here = |said: &&[(String, Place<'a>)]| {
            said.iter().zip(&phrase).all(|((word, _), of)| word == of)
        };
        let windows = self.prose.windows(phrase.len()).filter(is_here);
        windows.map(|said| said[0].1).collect()
    }

    fn find(&self, how: &str, word: &str) -> Vec<Place<'a>> {
        let get =
            |map: &BTreeMap<String, Vec<Place<'a>>>| map.get(word).cloned().unwrap_or_default();
        match how {
            "name" => get(&self.names),
            "part" => get(&self.parts),
            "prose" => self.said(word),
            "word" => [get(&self.parts), self.said(word)].concat(),
            "twice" => get(&self.types).into_iter().skip(1).collect(),
            "summary" => get(&self.summaries),
            _ => panic!("{how}?"),
        }
    }
}

/// Returns the words of a name, in lower case: `delivery`, `task` of `DeliveryTask` and of `DELIVERY_TASK`.
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

/// A word that is out.
struct Out {
    /// The way in which it is searched.
    how: &'static str,
    word: &'static str,
    reason: &'static str,
    /// Beginnings of files where the word means another thing.
    elsewhere: Vec<&'static str>,
}

impl Out {
    /// Returns where the word occurs, and which of its exceptions are needed.
    fn places<'a>(&self, uses: &Uses<'a>) -> (Vec<Place<'a>>, BTreeSet<&'static str>) {
        let mut needed = BTreeSet::new();
        let mut places = uses.find(self.how, self.word);
        places.retain(|(file, _)| {
            let excepted = self
                .elsewhere
                .iter()
                .find(|begin| file.starts_with(**begin));
            needed.extend(excepted);
            excepted.is_none()
        });
        (places, needed)
    }
}

/// Reads the words that are out.
fn listed() -> Vec<Out> {
    let split = |text: &'static str| text.split(',').map(str::trim).filter(|s| !s.is_empty());
    let lines = WORDS
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .flat_map(|line| {
            let mut fields = line.split('|').map(str::trim);
            let words = fields.next().and_then(|words| words.split_once(' '));
            let (how, words) = words.unwrap_or_else(|| panic!("no word: {line}"));
            let reason = fields.next().unwrap_or_else(|| panic!("no reason: {line}"));
            let elsewhere: Vec<_> = split(fields.next().unwrap_or_default()).collect();
            split(words).map(move |word| Out {
                how,
                word,
                reason,
                elsewhere: elsewhere.clone(),
            })
        })
        .collect()
}

fn words(texts: &Texts) {
    let uses = Uses::of(texts);
    let found: Vec<_> = listed()
        .into_iter()
        .map(|out| (out.places(&uses).0.len(), out))
        .collect();
    heading(&format!(
        "{} occurrences of words that are out",
        found.iter().map(|(n, ..)| n).sum::<usize>()
    ));
    for (n, out) in found {
        println!("{n:5} {:8} {:20} {}", out.how, out.word, out.reason);
    }
}

/// Returns code in which a word that is out occurs.
fn planted(out: &Out) -> String {
    let word = out.word;
    match out.how {
        "name" => format!("fn f() {{ {word}(); }}"),
        "part" => format!("fn a_{word}_b() {{}}"),
        "prose" | "word" => format!("// As {word} goes."),
        "twice" => format!("struct {word};\nmod m {{ struct {word}; }}"),
        "summary" => format!("/// {word} it is.\nstruct S;"),
        how => panic!("{how}?"),
    }
}

#[test]
fn words_that_are_out_do_not_come_back() {
    let mut texts = Texts::read(&root());
    for read in [
        "shared/src/lib.rs",
        "tests/infra/figures.rs",
        "infra/cli/src/main.rs",
    ] {
        assert!(
            texts.code.iter().any(|(file, _)| file == read),
            "{read} was not read"
        );
    }
    for read in ["README.md", "docs/API.md", "infra/local/README.md"] {
        assert!(
            texts.pages.iter().any(|(file, _)| file == read),
            "{read} was not read"
        );
    }
    let listed = listed();
    assert!(listed.len() > 60, "{}", listed.len());
    let all: Vec<String> = listed.iter().map(planted).collect();
    texts.code.push(("planted.rs".to_owned(), all.join("\n")));
    let uses = Uses::of(&texts);
    let mut found = Vec::new();
    for out in &listed {
        let (places, needed) = out.places(&uses);
        let (planted, real): (Vec<_>, Vec<_>) =
            { places.into_iter() }.partition(|(file, _)| *file == "planted.rs");
        assert!(!planted.is_empty(), "{} {} is not found", out.how, out.word);
        let Out {
            how, word, reason, ..
        } = out;
        found.extend(
            { real.iter() }.map(|(file, line)| format!("{file}:{line}: {how} {word}: {reason}")),
        );
        let unused = out
            .elsewhere
            .iter()
            .filter(|begin| !needed.contains(*begin));
        found.extend(unused.map(|begin| format!("words.txt: {how} {word} is not in {begin}")));
    }
    found.sort();
    assert!(
        found.is_empty(),
        "{} words that are out:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn words_are_found_where_they_are_said() {
    let page = "Nobody nudges a dialect.\nIs no `dialect`: whoever is no";
    let code = "/// What a wake is.\n/// How it is.\nstruct WakeUp;\n// a Dialect\n\
        mod m { type WakeUp = u8; fn f(dialect_of: Deal) { \"Deal\" } }\n// Is\nfn no() {}";
    let file = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    let texts = Texts {
        code: file("b.rs", code),
        pages: file("a.md", page),
    };
    let uses = Uses::of(&texts);
    for (how, word, places) in [
        ("name", "Deal", &[("b.rs", 5)][..]),
        ("name", "dialect", &[]),
        ("part", "dialect", &[("b.rs", 5)]),
        ("part", "wake", &[("b.rs", 3), ("b.rs", 5)]),
        ("prose", "wake", &[("b.rs", 1)]),
        (
            "word",
            "dialect",
            &[("b.rs", 5), ("a.md", 1), ("a.md", 2), ("b.rs", 4)],
        ),
        ("prose", "is no", &[("a.md", 2), ("a.md", 2)]),
        ("prose", "nobody", &[("a.md", 1)]),
        ("twice", "WakeUp", &[("b.rs", 5)]),
        ("summary", "What", &[("b.rs", 1)]),
        ("summary", "How", &[]),
    ] {
        assert_eq!(uses.find(how, word), places, "{how} {word}");
    }
    let out = Out {
        how: "part",
        word: "wake",
        reason: "",
        elsewhere: vec!["b.", "c."],
    };
    assert_eq!(out.places(&uses), (vec![], BTreeSet::from(["b."])));
}
