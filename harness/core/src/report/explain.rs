//! `hotfire explain CODE`: what a code means, how it is seen, what commonly causes it, what next.
//!
//! Deliberately absent: facts of any one run.

use super::{explain_crash, explain_other};

/// A code with its page.
pub(crate) type Page = (&'static str, &'static str);

/// One page, from its parts.
macro_rules! page {
    ($code:literal, $title:literal, $means:expr, $seen:expr, $causes:expr, $next:expr $(,)?) => {
        (
            $code,
            concat!(
                $code,
                ": ",
                $title,
                "\n\nWhat it means\n  ",
                $means,
                "\n\nHow it is seen\n  ",
                $seen,
                "\n\nCommon causes\n  ",
                $causes,
                "\n\nWhat to do next\n  ",
                $next,
                "\n",
            ),
        )
    };
}
pub(crate) use page;

/// The page of a code, in any case; `None` where there is no such code.
#[must_use]
pub fn explain(code: &str) -> Option<&'static str> {
    let pages = explain_crash::PAGES.iter().chain(explain_other::PAGES);
    let page = pages.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(code));
    page.map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Code;

    #[test]
    fn every_code_has_one_page_and_every_page_a_code() {
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.text()).collect();
        for code in &codes {
            assert!(explain(code).is_some_and(|page| page.starts_with(code)), "{code}");
        }
        let pages: Vec<&str> =
            explain_crash::PAGES.iter().chain(explain_other::PAGES).map(|page| page.0).collect();
        assert_eq!(pages, codes, "pages stand in the order of the codes");
    }

    #[test]
    fn codes_are_found_in_any_case_and_others_are_not() {
        assert_eq!(explain("c101"), explain("C101"));
        assert_eq!(explain("C999"), None);
    }

    #[test]
    fn pages_are_no_wider_than_a_terminal() {
        for code in Code::ALL {
            for line in explain(code.text()).unwrap().lines() {
                assert!(line.chars().count() <= 98, "{}: {line}", code.text());
            }
        }
    }
}
