//! The modules of the crates, and where each path that their code names leads.

use std::collections::{BTreeMap, HashMap};

use super::measure::Measures;
use super::reader::{Binding, Scope, Source, Written};

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// To an item, or to something of it (a variant, a method), defined in this file.
    Item(usize),
    /// To a module. It imports nothing by itself.
    Module(usize),
    /// To another crate, or to what every module sees: the path from there on.
    Outside(Vec<String>),
    /// To nothing that these sources declare.
    Nowhere,
}

/// A path that code names.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) file: usize,
    pub(crate) line: usize,
    /// The segments from `crate` or the name of a crate, with re-exports not followed:
    /// `["crate", "app", "submit"]`.
    pub(crate) path: Vec<String>,
    pub(crate) ends: Vec<End>,
}

#[derive(Debug)]
struct Module {
    file: usize,
    root: usize,
    parent: Option<usize>,
    is_block: bool,
    /// From `crate` on.
    path: Vec<String>,
    names: BTreeMap<String, Vec<Meaning>>,
    globs: Vec<Vec<String>>,
}

#[derive(Debug)]
enum Meaning {
    Item,
    Module(usize),
    Use(Vec<String>),
}

/// The sources of some crates, as far as their module trees reach without tests.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// By their paths from the checkout's root.
    pub(crate) files: Vec<String>,
    /// Of each file.
    pub(crate) measures: Vec<Measures>,
    /// All paths that the code of all files names.
    pub(crate) named: Vec<Named>,
    modules: Vec<Module>,
    roots: HashMap<String, usize>,
    written: Vec<Written>,
}

impl Tree {
    /// Reads crates from their root files on. `text` returns a file's text, or `None` without the
    /// file.
    pub(crate) fn read(roots: &[(String, String)], text: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut tree = Self::default();
        for (name, file) in roots {
            let source = text(file).unwrap_or_else(|| panic!("{file} is missing"));
            let root = tree.modules.len();
            let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
            tree.add(
                file,
                &source,
                root,
                None,
                &["crate".to_owned()],
                directory,
                text,
            );
            tree.roots.insert(name.clone(), root);
        }
        tree.named = tree
            .written
            .iter()
            .map(|written| tree.named(written))
            .collect();
        tree
    }

    /// Adds a file and the files below it. Its modules lie in `directory`.
    #[expect(clippy::too_many_arguments, reason = "a step of `read` alone")]
    fn add(
        &mut self,
        file: &str,
        source: &str,
        root: usize,
        parent: Option<usize>,
        path: &[String],
        directory: &str,
        text: &dyn Fn(&str) -> Option<String>,
    ) {
        let Source {
            scopes,
            paths,
            measures,
        } = Source::read(file, source);
        let (number, first) = (self.files.len(), self.modules.len());
        self.files.push(file.to_owned());
        self.measures.push(measures);
        self.written.extend(paths.into_iter().map(|w| Written {
            scope: first + w.scope,
            ..w
        }));
        // Where the modules of each scope lie.
        let mut directories: Vec<String> = Vec::new();
        let mut outline = Vec::new();
        for Scope {
            parent: outer,
            name,
            is_block,
            names,
            globs,
        } in scopes
        {
            let at = self.modules.len();
            let (path, directory, parent) = match outer {
                None => (path.to_vec(), directory.to_owned(), parent),
                Some(outer) => (
                    self.modules[first + outer]
                        .path
                        .iter()
                        .cloned()
                        .chain(name.clone())
                        .collect(),
                    name.map_or(directories[outer].clone(), |name| {
                        format!("{}/{name}", directories[outer])
                    }),
                    Some(first + outer),
                ),
            };
            let mut module = Module {
                file: number,
                root,
                parent,
                is_block,
                path,
                names: BTreeMap::new(),
                globs,
            };
            for (name, binding) in names {
                let known = match binding {
                    Binding::Item => Meaning::Item,
                    Binding::Inline(scope) => Meaning::Module(first + scope),
                    Binding::Use(path) => Meaning::Use(path),
                    Binding::Outline(place) => {
                        outline.push((at, outer.is_some(), directory.clone(), name, place));
                        continue;
                    }
                };
                module.names.entry(name).or_default().push(known);
            }
            directories.push(directory);
            self.modules.push(module);
        }
        let beside = file.rsplit_once('/').map_or("", |(beside, _)| beside);
        for (at, is_inside, directory, name, place) in outline {
            let candidates = match &place {
                Some(place) if is_inside => vec![format!("{directory}/{place}")],
                Some(place) => vec![format!("{beside}/{place}")],
                None => vec![
                    format!("{directory}/{name}.rs"),
                    format!("{directory}/{name}/mod.rs"),
                ],
            };
            let found = candidates.iter().find_map(|file| Some((file, text(file)?)));
            let (file, source) =
                found.unwrap_or_else(|| panic!("no file for {name}: {candidates:?}"));
            let below = match &place {
                Some(_) => file
                    .rsplit_once('/')
                    .map_or(String::new(), |(below, _)| below.to_owned()),
                None => format!("{directory}/{name}"),
            };
            let module = self.modules.len();
            let path = [&self.modules[at].path[..], std::slice::from_ref(&name)].concat();
            self.add(file, &source, root, Some(at), &path, &below, text);
            self.modules[at]
                .names
                .entry(name)
                .or_default()
                .push(Meaning::Module(module));
        }
    }

    fn named(&self, written: &Written) -> Named {
        let Written {
            scope,
            line,
            segments,
            from_outside,
        } = written;
        let path: &[String] = match segments.last() {
            Some(last) if last == "*" => &segments[..segments.len() - 1],
            _ => segments,
        };
        let mut ends = if *from_outside {
            self.follow(vec![self.outside(&path[0])], &path[1..], &mut Vec::new())
        } else {
            self.resolve(*scope, path, &mut Vec::new())
        };
        ends.sort();
        ends.dedup();
        let path = if *from_outside {
            segments.clone()
        } else {
            self.spelled(*scope, segments, 0)
        };
        Named {
            file: self.modules[*scope].file,
            line: *line,
            path,
            ends,
        }
    }

    /// The module that a block stands in, or the module itself.
    fn enclosing(&self, mut module: usize) -> usize {
        while self.modules[module].is_block {
            module = self.modules[module].parent.unwrap_or_default();
        }
        module
    }

    fn above(&self, module: usize) -> Option<usize> {
        self.modules[self.enclosing(module)]
            .parent
            .map(|parent| self.enclosing(parent))
    }

    fn outside(&self, name: &str) -> End {
        self.roots.get(name).map_or_else(
            || End::Outside(vec![name.to_owned()]),
            |root| End::Module(*root),
        )
    }

    /// `seen` ends the search where re-exports lead back to themselves.
    fn resolve(&self, from: usize, path: &[String], seen: &mut Vec<(usize, String)>) -> Vec<End> {
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        let begin = match first.as_str() {
            "crate" => vec![End::Module(self.modules[from].root)],
            "self" => vec![End::Module(self.enclosing(from))],
            "super" => vec![self.above(from).map_or(End::Nowhere, End::Module)],
            "Self" => return Vec::new(),
            name => {
                let mut scope = from;
                loop {
                    let found = self.member(scope, name, seen);
                    match self.modules[scope].parent {
                        Some(parent) if found.is_empty() && self.modules[scope].is_block => {
                            scope = parent;
                        }
                        _ if found.is_empty() => break vec![self.outside(name)],
                        _ => break found,
                    }
                }
            }
        };
        self.follow(begin, rest, seen)
    }

    fn follow(
        &self,
        begin: Vec<End>,
        rest: &[String],
        seen: &mut Vec<(usize, String)>,
    ) -> Vec<End> {
        let Some((name, below)) = rest.split_first() else {
            return begin;
        };
        // A function or a macro may have a module's name.
        let has_module = begin.iter().any(|end| matches!(end, End::Module(_)));
        let mut ends = Vec::new();
        for end in begin {
            match end {
                End::Item(_) if has_module => {}
                End::Item(_) | End::Nowhere => ends.push(end),
                End::Outside(mut path) => {
                    path.extend(rest.iter().cloned());
                    ends.push(End::Outside(path));
                }
                End::Module(module) => {
                    let found = match name.as_str() {
                        "super" => self.above(module).map(End::Module).into_iter().collect(),
                        "self" => vec![End::Module(module)],
                        _ => self.member(module, name, seen),
                    };
                    let found = if found.is_empty() {
                        vec![End::Nowhere]
                    } else {
                        found
                    };
                    ends.extend(self.follow(found, below, seen));
                }
            }
        }
        ends
    }

    /// Returns the meanings of a name in a module: its declarations and imports, then its globs.
    fn member(&self, module: usize, name: &str, seen: &mut Vec<(usize, String)>) -> Vec<End> {
        if seen
            .iter()
            .any(|(at, known)| *at == module && known == name)
        {
            return Vec::new();
        }
        seen.push((module, name.to_owned()));
        let here = &self.modules[module];
        let mut ends = Vec::new();
        for known in here.names.get(name).into_iter().flatten() {
            match known {
                Meaning::Item => ends.push(End::Item(here.file)),
                Meaning::Module(below) => ends.push(End::Module(*below)),
                Meaning::Use(path) => ends.extend(self.resolve(module, path, seen)),
            }
        }
        if ends.is_empty() {
            for glob in &here.globs {
                for end in self.resolve(module, glob, seen) {
                    if let End::Module(below) = end {
                        ends.extend(self.member(below, name, seen));
                    }
                }
            }
        }
        seen.pop();
        // Where a `use` and what it takes have one name, the search for one comes back to the
        // other.
        if ends.iter().any(|end| *end != End::Nowhere) {
            ends.retain(|end| *end != End::Nowhere);
        }
        ends
    }

    /// A path from `crate` or the name of a crate on.
    fn spelled(&self, from: usize, path: &[String], depth: usize) -> Vec<String> {
        let ups = path.iter().take_while(|s| *s == "super").count();
        let path_of = |module: usize| self.modules[module].path.clone();
        match path[0].as_str() {
            "self" if path.get(1).is_some_and(|s| s == "super") => {
                self.spelled(from, &path[1..], depth)
            }
            "self" => [&path_of(self.enclosing(from))[..], &path[1..]].concat(),
            "super" => {
                let above = (0..ups).try_fold(from, |module, _| self.above(module));
                above.map_or(path.to_vec(), |module| {
                    [&path_of(module)[..], &path[ups..]].concat()
                })
            }
            "crate" | "Self" => path.to_vec(),
            name => {
                let mut scope = from;
                while self.modules[scope].is_block && !self.modules[scope].names.contains_key(name)
                {
                    scope = self.modules[scope].parent.unwrap_or_default();
                }
                match self.modules[scope]
                    .names
                    .get(name)
                    .and_then(|known| known.first())
                {
                    // A `use` of a crate's own name leads to itself.
                    Some(Meaning::Use(used)) if depth < 8 && used[0] != name => {
                        [&self.spelled(scope, used, depth + 1)[..], &path[1..]].concat()
                    }
                    Some(Meaning::Use(_)) | None => path.to_vec(),
                    Some(Meaning::Item | Meaning::Module(_)) => {
                        [&path_of(self.enclosing(scope))[..], path].concat()
                    }
                }
            }
        }
    }
}
