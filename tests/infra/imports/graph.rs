//! Which file imports which, and the circles among them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::tree::{End, Tree};

/// The imports between the files of a tree.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    files: &'a [String],
    /// By importing and imported file: the line and the path of each import.
    edges: BTreeMap<(usize, usize), Vec<(usize, String)>>,
}

impl<'a> Graph<'a> {
    pub(crate) fn of(tree: &'a Tree) -> Self {
        let mut edges: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for named in &tree.named {
            for end in &named.ends {
                if let End::Item(to) = end
                    && *to != named.file
                {
                    edges
                        .entry((named.file, *to))
                        .or_default()
                        .push((named.line, named.path.join("::")));
                }
            }
        }
        Self {
            files: &tree.files,
            edges,
        }
    }

    /// Every file that one imports, by way of others or itself.
    fn below(&self, file: usize) -> BTreeSet<usize> {
        let (mut below, mut todo) = (BTreeSet::new(), vec![file]);
        while let Some(at) = todo.pop() {
            for ((_, to), _) in self.edges.range((at, 0)..=(at, usize::MAX)) {
                if below.insert(*to) {
                    todo.push(*to);
                }
            }
        }
        below
    }

    /// The largest sets of files of which each imports each other, by way of others or itself.
    pub(crate) fn circles(&self) -> Vec<Circle<'_>> {
        let below: Vec<BTreeSet<usize>> =
            (0..self.files.len()).map(|file| self.below(file)).collect();
        let mut circles: Vec<Circle<'_>> = Vec::new();
        for (file, reached) in below.iter().enumerate() {
            let members: Vec<usize> = reached
                .iter()
                .copied()
                .filter(|to| below[*to].contains(&file))
                .collect();
            if members.first() == Some(&file) {
                circles.push(Circle {
                    graph: self,
                    members,
                });
            }
        }
        circles.sort_by_key(Circle::files);
        circles
    }
}

/// Files that import each other.
#[derive(Debug, Clone)]
pub(crate) struct Circle<'a> {
    graph: &'a Graph<'a>,
    members: Vec<usize>,
}

impl<'a> Circle<'a> {
    /// In alphabetical order.
    pub(crate) fn files(&self) -> Vec<&'a str> {
        let mut files: Vec<&'a str> = self
            .members
            .iter()
            .map(|file| self.graph.files[*file].as_str())
            .collect();
        files.sort_unstable();
        files
    }

    /// Each import within the circle, with the first place that makes it.
    pub(crate) fn witnesses(&self) -> String {
        let mut text = String::new();
        for ((from, to), places) in &self.graph.edges {
            if self.members.contains(from) && self.members.contains(to) {
                let (line, path) = &places[0];
                let (from, to) = (&self.graph.files[*from], &self.graph.files[*to]);
                let more = if places.len() > 1 {
                    format!(" (and {} more)", places.len() - 1)
                } else {
                    String::new()
                };
                let _ = writeln!(text, "  {from}:{line} names {path} of {to}{more}");
            }
        }
        text
    }
}
