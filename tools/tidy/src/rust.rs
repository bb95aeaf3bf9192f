//! What a Rust file holds: functions, structs, assertions, matches on a boolean, its tests.

use std::ops::RangeInclusive;

use anyhow::{Context as _, Result};
use proc_macro2::LineColumn;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use crate::files::File;

/// A place in a file, with what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) line: usize,
    pub(crate) what: String,
    /// Lines of a function, fields of a struct; 1 otherwise.
    pub(crate) size: usize,
}

/// What was found in one file.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) functions: Vec<Found>,
    pub(crate) structs: Vec<Found>,
    /// Outside of tests.
    pub(crate) assertions: usize,
    /// `match x { true => … }`.
    pub(crate) boolean_matches: Vec<Found>,
    /// Lines of modules that are compiled for tests only.
    pub(crate) tests: Vec<RangeInclusive<usize>>,
}

impl Parsed {
    /// Whether a line belongs to an inline test module.
    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&line))
    }

    /// Whether a line belongs to a function of one of these names.
    pub(crate) fn is_within(&self, names: &[&str], line: usize) -> bool {
        let mut functions = self.functions.iter();
        functions.any(|function| {
            names.contains(&function.what.as_str())
                && (function.line..function.line + function.size).contains(&line)
        })
    }

    /// Lines of inline test modules.
    pub(crate) fn test_lines(&self) -> usize {
        let lines = self.tests.iter().map(|range| range.end() - range.start());
        lines.map(|lines| lines + 1).sum()
    }
}

/// Parses a file.
///
/// # Errors
/// It is not Rust.
pub(crate) fn syntax(file: &File) -> Result<syn::File> {
    syn::parse_file(&file.text).with_context(|| format!("parsing {}", file.path))
}

/// Looks through a parsed file.
pub(crate) fn look(file: &syn::File) -> Parsed {
    let mut looker = Looker::default();
    looker.visit_file(file);
    looker.parsed
}

/// Whether an item is compiled for tests only.
pub(crate) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let tokens = list.tokens.to_string();
        list.path.is_ident("cfg") && (tokens == "test" || tokens.starts_with("any (test"))
    })
}

#[derive(Default)]
struct Looker {
    parsed: Parsed,
    /// Test modules around the place.
    in_tests: usize,
}

fn lines(start: LineColumn, end: LineColumn) -> usize {
    end.line - start.line + 1
}

impl Looker {
    fn function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let start = signature.span().start();
        self.parsed.functions.push(Found {
            line: start.line,
            what: signature.ident.to_string(),
            size: lines(start, body.span().end()),
        });
    }
}

impl<'ast> Visit<'ast> for Looker {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let is_tests = is_for_tests(&module.attrs);
        if is_tests && module.content.is_some() {
            let start = module.span().start().line;
            self.parsed.tests.push(start..=module.span().end().line);
        }
        self.in_tests += usize::from(is_tests);
        visit::visit_item_mod(self, module);
        self.in_tests -= usize::from(is_tests);
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.function(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.parsed.structs.push(Found {
            line: item.span().start().line,
            what: item.ident.to_string(),
            size: item.fields.len(),
        });
        visit::visit_item_struct(self, item);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name = call.path.segments.last().map(|last| last.ident.to_string());
        let is_assertion = name.is_some_and(|name| {
            let name = name.trim_start_matches("debug_");
            matches!(name, "assert" | "assert_eq" | "assert_ne")
        });
        self.parsed.assertions += usize::from(is_assertion && self.in_tests == 0);
        visit::visit_macro(self, call);
    }

    fn visit_expr_match(&mut self, expression: &'ast syn::ExprMatch) {
        let is_boolean = expression.arms.iter().any(|arm| {
            let syn::Pat::Lit(literal) = &arm.pat else {
                return false;
            };
            matches!(literal.lit, syn::Lit::Bool(_))
        });
        if is_boolean {
            self.parsed.boolean_matches.push(Found {
                line: expression.span().start().line,
                what: "write if and else".into(),
                size: 1,
            });
        }
        visit::visit_expr_match(self, expression);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_structs_assertions_and_matches_are_found() {
        let text = "struct A { x: u8, y: u8 }\nfn f() {\n    assert!(true);\n    match a { true => 1, false => 2 };\n\
                    match b { Some(true) => 1, _ => 2 };\n}\n#[cfg(test)]\nmod tests {\n    fn g() { assert_eq!(1, 1); }\n}\n";
        let parsed = look(&syn::parse_file(text).expect("Rust"));
        assert_eq!(
            (parsed.structs[0].what.as_str(), parsed.structs[0].size),
            ("A", 2)
        );
        assert_eq!((parsed.functions[0].line, parsed.functions[0].size), (2, 5));
        assert_eq!(parsed.functions.len(), 2);
        assert_eq!(parsed.assertions, 1);
        assert_eq!(parsed.boolean_matches.len(), 1);
        assert_eq!(parsed.test_lines(), 4);
        assert!(parsed.is_test_line(9) && !parsed.is_test_line(6));
    }
}
