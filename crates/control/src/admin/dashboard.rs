//! The dashboard: one page that needs nothing but itself and the API.

use std::hash::{BuildHasher, RandomState};

use http::{HeaderValue, StatusCode, header};

use super::answer::{self, Answer};

const PAGE: &str = include_str!("dashboard/page.html");
const STYLE: &str = include_str!("dashboard/style.css");
const SCRIPT: &str = concat!(include_str!("dashboard/measure.js"), "\n", include_str!("dashboard/draw.js"));

/// The page, put together; its own style and script are the only ones that run on it.
pub(super) fn page() -> Answer {
    let nonce = nonce();
    let page =
        PAGE.replace("{{nonce}}", &nonce).replace("/*{{style}}*/", STYLE).replace("/*{{script}}*/", SCRIPT);
    let mut answer = answer::text(StatusCode::OK, "text/html; charset=utf-8", page);
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

/// 128 bits that nobody can guess: std keys its hashers from the system's randomness.
fn nonce() -> String {
    format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_a_nonce_of_its_own() {
        let policies: Vec<_> =
            (0..2).map(|_| page().headers()[header::CONTENT_SECURITY_POLICY].clone()).collect();
        assert_ne!(policies[0], policies[1]);
    }

    #[test]
    fn it_loads_nothing_and_writes_no_markup() {
        for part in [PAGE, STYLE, SCRIPT] {
            for foreign in ["https://", "src=\"", "@import", "url(", "innerHTML", "insertAdjacent", "eval("] {
                assert!(!part.contains(foreign), "{foreign}");
            }
        }
        // The only address is that of a namespace, which nothing is fetched from.
        assert_eq!(
            SCRIPT.matches("http://").count(),
            SCRIPT.matches("\"http://www.w3.org/2000/svg\"").count()
        );
        assert!(!PAGE.contains("http://") && !PAGE.contains(" style=") && !PAGE.contains(" onclick="));
    }
}
