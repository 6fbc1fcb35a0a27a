"""JSON as enc.md section 1 reads it (judged on the received text) and as RFC 8785 writes it."""

import re

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 64
MAX_COMMIT_DEPTH = 56

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
INTEGER = re.compile(r"0|-?[1-9][0-9]*")
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Refused(ValueError):
    """The text is refused; `code` is the answer."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


def parse(data, max_depth=MAX_DEPTH):
    """The value of a text given as bytes. A text that is no JSON is `invalid_json` even where it also breaks a rule
    of the protocol: the whole text is read first."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("invalid_json") from None
    reader = Reader(text, max_depth)
    value = reader.document()
    if reader.broken_rule:
        raise Refused("invalid_structure")
    return value


class Reader:
    """One pass over a text without recursion, so that no nesting can exhaust the stack."""

    def __init__(self, text, max_depth):
        self.text = text
        self.at = 0
        self.max_depth = max_depth
        self.broken_rule = False

    def fail(self):
        raise Refused("invalid_json")

    def peek(self):
        return self.text[self.at] if self.at < len(self.text) else ""

    def space(self):
        while self.peek() in (" ", "\t", "\n", "\r"):
            self.at += 1

    def expect(self, char):
        if self.peek() != char:
            self.fail()
        self.at += 1

    def document(self):
        """Containers that are open are kept on `stack`, each with the key that waits for its value."""
        stack = []
        while True:
            self.space()
            char = self.peek()
            if char in ("[", "{"):
                self.at += 1
                container = [] if char == "[" else {}
                stack.append([container, None])
                self.broken_rule |= len(stack) > self.max_depth
                self.space()
                if self.peek() != ("]" if char == "[" else "}"):
                    self.begin_item(stack[-1])
                    continue
                self.at += 1
                value = stack.pop()[0]
            else:
                value = self.scalar(char)
            while stack and not self.attach(stack, value):
                value = stack.pop()[0]
            if not stack:
                self.space()
                if self.at != len(self.text):
                    self.fail()
                return value

    def begin_item(self, frame):
        """Before a value: an object's member has its name and colon first."""
        if isinstance(frame[0], dict):
            self.space()
            frame[1] = self.string()
            self.broken_rule |= frame[1] in frame[0]
            self.space()
            self.expect(":")

    def attach(self, stack, value):
        """Store a finished value; True if its container goes on, False if it closed."""
        container, key = stack[-1]
        if isinstance(container, list):
            container.append(value)
        else:
            container[key] = value
        self.space()
        if self.peek() == ",":
            self.at += 1
            self.begin_item(stack[-1])
            return True
        self.expect("]" if isinstance(container, list) else "}")
        return False

    def scalar(self, char):
        if char == '"':
            return self.string()
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        found = NUMBER.match(self.text, self.at)
        if not found:
            self.fail()
        self.at = found.end()
        token = found.group()
        # A number of hundreds of digits is out of range whatever its value.
        if not INTEGER.fullmatch(token) or len(token) > 17 or abs(int(token)) > MAX_INTEGER:
            self.broken_rule = True
            return 0
        return int(token)

    def string(self):
        self.expect('"')
        units = []
        while True:
            char = self.peek()
            self.at += 1
            if char == "" or char < " ":
                self.fail()
            if char == '"':
                return self.text_of(units)
            units.append(self.escape() if char == "\\" else char)

    def escape(self):
        char = self.peek()
        self.at += 1
        if char in ESCAPES and char:
            return ESCAPES[char]
        digits = self.text[self.at : self.at + 4]
        if char != "u" or not re.fullmatch("[0-9a-fA-F]{4}", digits):
            self.fail()
        self.at += 4
        return chr(int(digits, 16))

    def text_of(self, units):
        """Joins escaped surrogate pairs; a lone one, or U+0000, breaks a rule."""
        joined = "".join(units).encode("utf-16-be", "surrogatepass")
        try:
            text = joined.decode("utf-16-be")
        except UnicodeDecodeError:
            self.broken_rule = True
            return "".join(units)
        self.broken_rule |= "\0" in text
        return text


SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def quote(text):
    return '"' + "".join(SHORT.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in text) + '"'


def jcs(value):
    """RFC 8785 text of a value with integer numbers only; members sorted by UTF-16 code units."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return "[" + ",".join(map(jcs, value)) + "]"
    members = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be"))
    return "{" + ",".join(quote(name) + ":" + jcs(item) for name, item in members) + "}"
