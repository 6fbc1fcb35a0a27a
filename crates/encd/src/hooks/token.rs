//! A secret that is shown to be let in, compared without telling how much of it was right.

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes below which a token could be guessed.
const LEAST_LEN: usize = 16;

/// A bearer token. Only its hash is kept, so comparing takes the same time whatever is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl Token {
    /// The first line of a file.
    pub fn read(path: &Path) -> anyhow::Result<Token> {
        let text = std::fs::read_to_string(path);
        let text = Zeroizing::new(text.with_context(|| format!("the token file {} cannot be read", path.display()))?);
        let secret = text.lines().next().unwrap_or("").trim();
        if secret.len() < LEAST_LEN {
            bail!("the first line of {} must hold a token of {LEAST_LEN} characters at least", path.display());
        }
        Ok(Token::new(secret))
    }

    /// This text.
    pub fn new(secret: &str) -> Token {
        Token(Sha256::digest(secret.as_bytes()).into())
    }

    /// Whether what was shown is the token.
    pub fn is(&self, shown: &str) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        self.0.iter().zip(shown).fold(0, |differing, (kept, shown)| differing | (kept ^ shown)) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token() {
        let token = Token::new("correct horse battery");
        assert!(token.is("correct horse battery"));
        for shown in ["", "correct horse", "correct horse batterz", "correct horse battery "] {
            assert!(!token.is(shown), "{shown:?}");
        }
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn from_the_first_line_of_a_file() {
        let folder = std::env::temp_dir().join(format!("encd-token-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let path = folder.join("token");
        for (text, expected) in [
            ("0123456789abcdef\n", Some("0123456789abcdef")),
            (" 0123456789abcdef \r\nand more", Some("0123456789abcdef")),
            ("0123456789abcde\n", None),
            ("\n0123456789abcdef\n", None),
            ("", None),
        ] {
            std::fs::write(&path, text).expect("a file");
            assert_eq!(Token::read(&path).ok(), expected.map(Token::new), "{text:?}");
        }
        std::fs::remove_dir_all(&folder).expect("it was made above");
        assert!(Token::read(&path).is_err());
    }
}
