//! The table as text: `route | input | status | code`, comments after `#`. What stands between `<` and `>` is put in when a row is run:
//! `<0d>` a byte, `<nl>` the end of a line of HTTP, `<65*[>` sixty-five times what follows the star, anything else a name that the scene
//! knows.

/// The table.
pub const TABLE: &str = include_str!("table.txt");

/// One row.
pub struct Row {
    /// Where it stands, counted from 1.
    pub line: usize,
    /// `GET /…`, `POST /…` and so on; `HTTP` where the input is all that goes over the connection; `WS /…` where it is a frame of text;
    /// `WIRE` where it is bytes behind an upgrade.
    pub route: &'static str,
    /// The body, for `POST` and the like after any `@Name: value@`.
    pub input: &'static str,
    /// What must come back: status and code of each answer.
    pub expected: String,
}

/// Every row.
///
/// # Panics
/// Where a line has not four columns.
pub fn rows() -> Vec<Row> {
    let lines = (1..).zip(TABLE.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| row(number, line).unwrap_or_else(|| panic!("line {number} of the table: {line}")))
        .collect()
}

fn row(line: usize, text: &'static str) -> Option<Row> {
    let (route, rest) = text.split_once(" | ")?;
    let (rest, code) = rest.rsplit_once(" | ")?;
    let (input, status) = rest.rsplit_once("| ")?;
    Some(Row {
        line,
        route: route.trim(),
        input: input.trim_end(),
        expected: format!("{} {}", status.trim(), code.trim()),
    })
}

/// Puts in what stands between `<` and `>`.
///
/// # Panics
/// Where a name is open, or `known` does not know it.
pub fn fill(template: &str, known: &dyn Fn(&str) -> Option<String>) -> Vec<u8> {
    let mut filled = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('<') {
        filled.extend_from_slice(before.as_bytes());
        let (name, behind) = after.split_once('>').unwrap_or_else(|| panic!("a name without an end in {template}"));
        rest = behind;
        if name == "nl" {
            filled.extend_from_slice(b"\r\n");
        } else if let Some(byte) = byte(name) {
            filled.push(byte);
        } else if let Some((count, what)) = name.split_once('*') {
            let count = count.parse().unwrap_or_else(|_| panic!("{name} begins with a count"));
            filled.extend_from_slice(what.repeat(count).as_bytes());
        } else {
            let value = known(name).unwrap_or_else(|| panic!("nobody knows <{name}> in {template}"));
            filled.extend_from_slice(value.as_bytes());
        }
    }
    filled.extend_from_slice(rest.as_bytes());
    filled
}

fn byte(name: &str) -> Option<u8> {
    (name.len() == 2).then(|| u8::from_str_radix(name, 16).ok())?
}
