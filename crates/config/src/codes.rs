//! The codes of diagnostics: stable words to search for, each with what it means.

/// One code of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// For example `E0101`; `E` refuses the file, `W` does not.
    pub code: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What to do about it, in a sentence.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($name:ident $code:literal $title:literal $remedy:literal)*) => {
        $(#[doc = $title] pub(crate) const $name: &str = $code;)*

        /// Every code, in order; a code keeps its meaning for ever.
        pub const CODES: &[Code] = &[$(Code { code: $code, title: $title, remedy: $remedy }),*];
    };
}

codes! {
    UNREADABLE "E0001" "the file cannot be read"
        "Name an existing, readable file with `-c FILE`."
    TOO_LARGE "E0002" "the file is larger than 16 MiB"
        "Check that it is the right file; split what one process serves."
    NOT_UTF8 "E0003" "the file is not UTF-8 text"
        "Save it as UTF-8."
    SYNTAX "E0004" "the text is not TOML"
        "See https://toml.io; nothing else is checked until the text can be read."
    WRITTEN_TWICE "E0005" "a key or table is written twice"
        "Keep one of the two."
    TOO_MANY "E0006" "more problems than are worth showing"
        "Correct the ones shown and check again."
    UNKNOWN_KEY "E0101" "a key that this table does not have"
        "Correct the spelling, or move it to the table that has it."
    MISSING_KEY "E0102" "a required key is missing"
        "Add it."
    NOT_YET "E0103" "a feature that this version does not have yet"
        "Remove it; it is refused so that nobody relies on what does not happen."
    NO_EFFECT "E0104" "a key that has no effect beside the others"
        "Remove it, or change the key that makes it idle."
    WRONG_TYPE "E0201" "a value of the wrong type"
        "Write the type that the reference names for the key."
    NO_UNIT "E0202" "a number without its unit"
        "Write the unit, in quotes: `\"2s\"`, `\"64KiB\"`, `\"20%\"`."
    BAD_DURATION "E0203" "not a duration"
        "A whole number and one unit: `ms`, `s`, `m` or `h`."
    BAD_SIZE "E0204" "not a size"
        "A whole number and one unit: `B`, `KB`, `KiB`, `MB`, `MiB`, `GB` or `GiB`."
    BAD_PERCENT "E0205" "not a percentage"
        "A whole number from 0 to 100 and `%`."
    UNKNOWN_WORD "E0206" "a word that is not among those allowed"
        "Choose one of the words listed."
    OUT_OF_RANGE "E0207" "a value outside its range"
        "Choose one inside the range named."
    BAD_ADDRESS "E0208" "not an address"
        "`host:port`, `[ipv6]:port` or `unix:/path`; where one listens, numeric."
    BAD_NETWORK "E0209" "not an address range"
        "`10.0.0.0/8`, `2001:db8::/32`, or one address."
    BAD_NAME "E0210" "a name that cannot be used"
        "Letters, digits, `-`, `_` and `.`, at most 64."
    BAD_MATCH "E0211" "not something a request can match"
        "See the forms of `match` in the reference."
    BAD_STATUS "E0212" "not a status that can be used here"
        "Choose one inside the range named."
    BAD_LOCATION "E0213" "not a location to redirect to"
        "`https://host/path` or `/path`, with `{host}` and `{path}` as placeholders."
    BAD_TEXT "E0214" "text that cannot be used here"
        "See what the message says about it."
    UNKNOWN_UPSTREAM "E0301" "an upstream that is not in the file"
        "Correct the name, or add `[upstream.NAME]`."
    UNKNOWN_LISTENER "E0302" "a listener that is not in the file"
        "Correct the name, or add `[listener.NAME]`."
    NOTHING_SERVED "E0401" "no listener"
        "Add `[listener.NAME]` with an `address`."
    SAME_ADDRESS "E0402" "one address is listened on twice"
        "Give each listener, and the admin address, its own."
    NO_ENDPOINTS "E0403" "an upstream without endpoints"
        "Add `endpoints = [\"host:port\"]`."
    SAME_ENDPOINT "E0404" "one endpoint or upstream is listed twice"
        "Keep one, with the sum of the weights."
    ONE_ACTION "E0405" "a route with no action, or with several"
        "Write exactly one of `upstream`, `split`, `redirect` and `respond`."
    SAME_ROUTE "E0406" "two routes have one name"
        "Rename one: the name is the label in metrics and logs."
    NO_WEIGHT "E0407" "a split whose weights are all zero"
        "Give at least one a weight above 0."
    WRONG_PROTOCOL "E0408" "HTTP where there is only TCP"
        "A listener with protocol = \"tcp\" has one upstream and no routes; an upstream with protocol = \"tcp\" takes no requests."
    ONE_KEY "E0409" "a hash of nothing, or of several things"
        "Write exactly one of `header`, `cookie` and `query`."
    UNUSED_UPSTREAM "W0501" "an upstream that nothing sends to"
        "Remove it, or name it in a listener or route."
    NOTHING_ANSWERED "W0502" "a listener that answers 404 to everything"
        "Give it an `upstream`, or a route."
    TRUSTS_EVERYONE "W0503" "a listener that believes everyone's X-Forwarded-*"
        "Name the proxies in front of it instead."
    NO_TRAFFIC "W0504" "an upstream that can take no traffic"
        "Give at least one endpoint a weight above 0."
    NEVER_REACHED "W0505" "a timeout that is never reached"
        "Make it shorter than the one that ends sooner."
    OWN_ADDRESS "W0506" "an endpoint that is a listener of this same file"
        "Name the server behind it: requests would come back to where they came from."
    ALONE "W0507" "outlier detection with a single endpoint"
        "Add another endpoint, or remove it: the last endpoint is never taken out."
}

/// The code's entry, for `E0101` and the like.
pub fn code(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|entry| entry.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_ordered_within_their_kind() {
        let words: Vec<&str> = CODES.iter().map(|c| c.code).collect();
        let mut sorted = words.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(words, sorted);
    }

    #[test]
    fn a_code_is_found_by_its_word() {
        assert_eq!(code("E0101").map(|c| c.code), Some("E0101"));
        assert_eq!(code("E9999"), None);
    }
}
