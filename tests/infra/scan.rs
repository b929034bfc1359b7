//! As much of Rust as it takes to see which paths a source names: comments and literals left out, `use` groups, `super`
//! and inline modules followed.

/// A path that a source names, from the crate's root or another crate on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) line: usize,
    /// `["crate", "app", "submit"]`, `["std", "env", "var"]`.
    pub(crate) path: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Sep,
    Mark(char),
}

fn tokens(source: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = source.chars().collect();
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    let get = |at: usize| chars.get(at).copied().unwrap_or('\0');
    while at < chars.len() {
        let c = chars[at];
        let begun = at;
        match c {
            '/' if get(at + 1) == '/' => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
            }
            '/' if get(at + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (get(at), get(at + 1)) {
                        ('/', '*') => (depth, at) = (depth + 1, at + 2),
                        ('*', '/') => (depth, at) = (depth - 1, at + 2),
                        _ => at += 1,
                    }
                    if depth == 0 || at >= chars.len() {
                        break;
                    }
                }
            }
            '"' => at = text_end(&chars, at),
            // A character or a lifetime.
            '\'' if get(at + 1) == '\\' => {
                at += 3;
                while at < chars.len() && chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            }
            '\'' if get(at + 2) == '\'' => at += 3,
            '\'' => at += 1,
            c if c.is_alphabetic() || c == '_' => {
                while get(at).is_alphanumeric() || get(at) == '_' {
                    at += 1;
                }
                let word: String = chars[begun..at].iter().collect();
                let raw = matches!(word.as_str(), "r" | "br" | "cr") && matches!(get(at), '"' | '#');
                if raw && (get(at) == '"' || matches!(get(at + 1), '"' | '#')) {
                    let mut hashes = 0;
                    while get(at) == '#' {
                        (hashes, at) = (hashes + 1, at + 1);
                    }
                    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                    at += 1;
                    while at < chars.len() && !chars[at..].starts_with(&end) {
                        at += 1;
                    }
                    at += end.len();
                } else {
                    found.push((line, Token::Word(word)));
                }
            }
            ':' if get(at + 1) == ':' => {
                found.push((line, Token::Sep));
                at += 2;
            }
            c => {
                if !c.is_whitespace() {
                    found.push((line, Token::Mark(c)));
                }
                at += 1;
            }
        }
        line += chars[begun..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    found
}

fn text_end(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Every path of two or more words that `source` names, `use` groups taken apart. `module` is where the file is, below
/// the crate's root.
pub(crate) fn named(module: &[&str], source: &str) -> Vec<Named> {
    let tokens = tokens(source);
    let mut inside: Vec<Option<String>> = Vec::new();
    let (mut found, mut at) = (Vec::new(), 0);
    let mut opened = None;
    while at < tokens.len() {
        match &tokens[at].1 {
            Token::Word(word) if word == "mod" => {
                if let (Some((_, Token::Word(name))), Some((_, Token::Mark('{')))) =
                    (tokens.get(at + 1), tokens.get(at + 2))
                {
                    opened = Some(name.clone());
                }
                at += 1;
            }
            Token::Mark('{') => {
                inside.push(opened.take());
                at += 1;
            }
            Token::Mark('}') => {
                inside.pop();
                at += 1;
            }
            Token::Word(_) => {
                let here: Vec<String> =
                    module.iter().map(|m| (*m).to_owned()).chain(inside.iter().flatten().cloned()).collect();
                let begun = at;
                paths(&tokens, &mut at, &[], &mut |line, path| {
                    if path.len() > 1
                        || matches!(tokens.get(begun.wrapping_sub(1)), Some((_, Token::Word(w))) if w == "use")
                    {
                        found.push(Named { line, path: absolute(path, &here) });
                    }
                });
            }
            _ => at += 1,
        }
    }
    found
}

/// Reads one path at `at`, and every path of the group that it may end in.
fn paths(tokens: &[(usize, Token)], at: &mut usize, prefix: &[String], found: &mut dyn FnMut(usize, Vec<String>)) {
    let mut path = prefix.to_vec();
    let line = tokens.get(*at).map_or(0, |(line, _)| *line);
    while let Some((_, Token::Word(word))) = tokens.get(*at) {
        path.push(word.clone());
        *at += 1;
        if tokens.get(*at).map(|(_, t)| t) != Some(&Token::Sep) {
            return found(line, path);
        }
        *at += 1;
        if tokens.get(*at).map(|(_, t)| t) == Some(&Token::Mark('{')) {
            *at += 1;
            while let Some((_, token)) = tokens.get(*at) {
                match token {
                    Token::Mark('}') => {
                        *at += 1;
                        return;
                    }
                    Token::Word(_) => paths(tokens, at, &path, found),
                    _ => *at += 1,
                }
            }
            return;
        }
    }
    found(line, path);
}

fn absolute(path: Vec<String>, here: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|w| *w == "super" || *w == "self").filter(|w| *w == "super").count();
    let rest = path.iter().skip_while(|w| *w == "super" || *w == "self");
    if !matches!(path.first().map(String::as_str), Some("super" | "self")) {
        return path;
    }
    let base = &here[..here.len().saturating_sub(ups)];
    std::iter::once("crate".to_owned()).chain(base.iter().cloned()).chain(rest.cloned()).collect()
}
