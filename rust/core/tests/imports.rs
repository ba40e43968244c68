//! The direction of imports: no circle between module files, and rooms that know only those below.
//!
//! Read from the source as text: every path that begins with `crate::` leads from the file it
//! stands in to the deepest module file that it names, and so does every `use` of a child module.
//! Unit tests and comments do not count.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the core, from the lowest on; those of one row do not know each other.
const ROOMS: [&[&str]; 9] = [
    &["error"],
    &["machine"],
    &["number", "boltzmann"],
    &["quantities"],
    &["graph", "network"],
    &["unroll", "propagation"],
    &["scores"],
    &["variants"],
    &["lib"],
];

/// For every module file, by its path below `src`, those that it imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// All Rust files below a folder, by their path below it.
fn sources(root: &Path) -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                sources.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

/// The code of a file, without comments and without its unit tests.
fn code(source: &str) -> String {
    let end = source.find("#[cfg(test)]\nmod tests").unwrap_or(source.len());
    let lines = source[..end].lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The path that begins at the start of `text`, with every alternative of a group in braces.
fn paths(text: &str) -> Vec<Vec<String>> {
    let word =
        |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    if let Some(group) = text.strip_prefix('{') {
        let (mut depth, mut parts, mut start) = (0, Vec::new(), 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    parts.extend(paths(group[start..at].trim_start()));
                    start = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
        return parts;
    }
    let (head, rest) = text.split_at(word(text));
    let head = head.to_owned();
    match rest.strip_prefix("::") {
        None => vec![vec![head]],
        Some(rest) => {
            let tails = paths(rest).into_iter();
            tails.map(|tail| [vec![head.clone()], tail].concat()).collect()
        }
    }
}

/// The deepest module file that `path` names, going on from the folder `folder`.
fn file_of(sources: &BTreeMap<String, String>, folder: &str, path: &[String]) -> Option<String> {
    let mut folder = folder.to_owned();
    let mut found = None;
    for name in path {
        let (file, module) = (format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs"));
        if sources.contains_key(&file) {
            return Some(file);
        }
        if !sources.contains_key(&module) {
            break;
        }
        found = Some(module);
        folder = format!("{folder}{name}/");
    }
    found
}

/// Which file imports which.
fn imports(sources: &BTreeMap<String, String>) -> Imports {
    let mut imports = Imports::new();
    for (file, source) in sources {
        let code = code(source);
        let mut targets = BTreeSet::new();
        for (at, _) in code.match_indices("crate::") {
            for path in paths(&code[at + "crate::".len()..]) {
                // What the root re-exports is imported from the root.
                targets.insert(file_of(sources, "", &path).unwrap_or_else(|| "lib.rs".into()));
            }
        }
        let own = file.strip_suffix("mod.rs").unwrap_or(file).trim_end_matches('/');
        let above = own.rsplit_once('/').map_or(String::new(), |(above, _)| format!("{above}/"));
        for (at, _) in code.match_indices("super::") {
            for path in paths(&code[at + "super::".len()..]) {
                assert_ne!(path[0], "super", "{file}: write longer paths from the root");
                let parent =
                    if above.is_empty() { "lib.rs".into() } else { format!("{above}mod.rs") };
                targets.insert(file_of(sources, &above, &path).unwrap_or(parent));
            }
        }
        if let Some(folder) = file.strip_suffix("mod.rs").or_else(|| file.strip_suffix("lib.rs")) {
            for (at, _) in code.match_indices("use ") {
                let paths = paths(&code[at + "use ".len()..]);
                targets.extend(paths.iter().filter_map(|path| file_of(sources, folder, path)));
            }
        }
        targets.remove(file);
        imports.insert(file.clone(), targets);
    }
    imports
}

/// Files that import each other in a circle, if there are any; the first one is named twice.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    fn visit(
        file: &str,
        imports: &Imports,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|before| before == file) {
            return Some([&path[start..], &[file.to_owned()]].concat());
        }
        if done.contains(file) {
            return None;
        }
        path.push(file.to_owned());
        let targets = imports.get(file).into_iter().flatten();
        let found = targets.into_iter().find_map(|target| visit(target, imports, path, done));
        path.pop();
        done.insert(file.to_owned());
        found
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|file| visit(file, imports, &mut Vec::new(), &mut done))
}

/// The row of the room that a file belongs to.
fn row(file: &str) -> usize {
    let room = file.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    let row = ROOMS.iter().position(|rooms| rooms.contains(&room));
    row.unwrap_or_else(|| panic!("{file}: '{room}' is no room; add it to ROOMS"))
}

fn core_sources() -> BTreeMap<String, String> {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[test]
fn files_of_the_core_do_not_import_each_other_in_a_circle() {
    let imports = imports(&core_sources());
    assert!(imports.len() > 50 && imports.values().flatten().count() > 150, "{imports:#?}");
    assert_eq!(circle(&imports), None);
}

#[test]
fn files_of_the_binding_do_not_import_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/src");
    // The crate may be tested without the repository it comes from.
    if root.exists() {
        assert_eq!(circle(&imports(&sources(&root))), None);
    }
}

#[test]
fn rooms_import_only_those_below() {
    for (file, targets) in imports(&core_sources()) {
        let room = |file: &str| file.split(['/', '.']).next().unwrap_or_default().to_owned();
        for target in targets.iter().filter(|target| room(target) != room(&file)) {
            assert!(row(target) < row(&file), "{file} imports {target}");
        }
    }
}

#[test]
fn a_circle_is_found() {
    let file = |text: &str| text.to_owned();
    let mut sources = BTreeMap::from([
        (file("lib.rs"), file("mod graph;\nmod error;\npub use graph::Graph;")),
        (file("error.rs"), file("/// See [`crate::graph::Graph`].\npub enum Error {}")),
        (
            file("graph/mod.rs"),
            file("pub(crate) mod lists;\nmod sweep;\npub use lists::{Graph, Lists};"),
        ),
        (file("graph/lists.rs"), file("use crate::error::{Error, Result};")),
        (file("graph/sweep.rs"), file("use crate::graph::{\n    lists::{Graph, Lists},\n};")),
    ]);
    assert_eq!(circle(&imports(&sources)), None);
    for (path, arrow) in [
        ("crate::graph::sweep::drive", "graph/lists.rs -> graph/sweep.rs -> graph/lists.rs"),
        ("crate::graph::Graph", "graph/lists.rs -> graph/mod.rs -> graph/lists.rs"),
        ("$crate::{graph::Lists}", "graph/lists.rs -> graph/mod.rs -> graph/lists.rs"),
        ("crate::Error", "graph/lists.rs -> lib.rs -> graph/mod.rs -> graph/lists.rs"),
        ("super::sweep::drive", "graph/lists.rs -> graph/sweep.rs -> graph/lists.rs"),
        ("super::Graph", "graph/lists.rs -> graph/mod.rs -> graph/lists.rs"),
    ] {
        sources.insert(file("graph/lists.rs"), format!("fn list() {{ {path}(); }}"));
        assert_eq!(circle(&imports(&sources)).map(|circle| circle.join(" -> ")).unwrap(), arrow);
    }
}
