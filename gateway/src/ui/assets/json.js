// JSON that keeps what it was given: numbers stay as they were written, keys in their order, and mistakes have a place.

/// A number as it was written; JavaScript's own cannot hold every one.
export class Numeral {
  constructor(text) {
    this.text = text;
  }
}

/// A text that is no JSON: `message` says where and what is wrong; `at` is the place in the text.
export class Mistake extends Error {
  constructor(text, at, problem) {
    const before = text.slice(0, at).split("\n");
    super(`Line ${before.length}, column ${before.at(-1).length + 1}: ${problem}.`);
    this.at = at;
  }
}

const DEEPEST = 500;
const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const WORD = /[A-Za-z_]+/y;
const WORDS = new Map([["true", true], ["false", false], ["null", null]]);

/// Objects become maps, numbers `Numeral`s, the rest what `JSON.parse` makes of them.
export function parse(text) {
  let at = 0;
  const match = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    at += found?.[0].length ?? 0;
    return found?.[0] ?? null;
  };
  const take = (letter) => {
    match(SPACE);
    const is = text[at] === letter;
    at += is ? 1 : 0;
    return is;
  };
  const wrong = (problem) => {
    throw new Mistake(text, at, problem);
  };
  const string = () => {
    const found = match(STRING);
    if (found === null) {
      throw new Mistake(text, at, "this text in quotes has no end, or holds a line end or a wrong escape");
    }
    return JSON.parse(found);
  };
  const value = (depth) => {
    match(SPACE);
    if (depth > DEEPEST) {
      wrong("this is nested too deeply");
    }
    switch (text[at]) {
      case "{":
        at += 1;
        return object(depth);
      case "[":
        at += 1;
        return list(depth);
      case '"':
        return string();
      case "'":
        return wrong("texts need double quotes");
      default: {
        const number = match(NUMBER);
        if (number !== null && number !== "") {
          return new Numeral(number);
        }
        const start = at;
        const word = match(WORD);
        if (WORDS.has(word)) {
          return WORDS.get(word);
        }
        at = start;
        return wrong(word === null ? "a value is missing" : `${word} is no value; a text needs double quotes`);
      }
    }
  };
  const list = (depth) => {
    const items = [];
    if (take("]")) {
      return items;
    }
    do {
      match(SPACE);
      if (items.length > 0 && text[at] === "]") {
        wrong("nothing follows the last comma");
      }
      items.push(value(depth + 1));
    } while (take(","));
    return take("]") ? items : wrong("a comma or ] is missing");
  };
  const object = (depth) => {
    const members = new Map();
    if (take("}")) {
      return members;
    }
    do {
      match(SPACE);
      if (text[at] !== '"') {
        wrong(members.size > 0 && text[at] === "}" ? "nothing follows the last comma" : "a name in double quotes is missing");
      }
      const name = string();
      if (!take(":")) {
        wrong("a colon is missing");
      }
      members.set(name, value(depth + 1));
    } while (take(","));
    return take("}") ? members : wrong("a comma or } is missing");
  };
  const whole = value(0);
  match(SPACE);
  return at < text.length ? wrong("the JSON has ended before this") : whole;
}

/// What `parse` gave, or undefined.
export function parsed(text) {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

/// As JSON in one line.
export function compact(value) {
  return written(value, JSON_WORDS, null);
}

/// As JSON with a line for each member; what fits in a line stays in one.
export function pretty(value) {
  return written(value, JSON_WORDS, "");
}

const JSON_WORDS = { string: JSON.stringify, true: "true", false: "false", null: "null", indent: "  ", width: 80 };

/// Writes `value` in a language whose lists and maps look like JSON's; `margin` is null for one line.
export function written(value, words, margin) {
  const brackets = Array.isArray(value) ? "[]" : value instanceof Map ? "{}" : null;
  if (brackets === null) {
    return value instanceof Numeral ? value.text : typeof value === "string" ? words.string(value) : words[String(value)];
  }
  const inner = margin === null ? null : margin + words.indent;
  const parts = (deeper) => (Array.isArray(value)
    ? value.map((item) => written(item, words, deeper))
    : [...value].map(([name, item]) => `${words.string(name)}: ${written(item, words, deeper)}`));
  const line = (separator) => `${brackets[0]}${parts(null).join(separator)}${brackets[1]}`;
  if (margin === null || value.length === 0 || value.size === 0) {
    return line(", ");
  }
  // Only what holds nothing deeper is worth the try.
  const flat = Array.isArray(value) && value.every((item) => !(item instanceof Map) && !(Array.isArray(item) && item.some((deep) => typeof deep === "object")));
  const short = flat ? line(", ") : "";
  return flat && short.length + margin.length <= words.width && !(value.length > 1 && Array.isArray(value[0]))
    ? short
    : `${brackets[0]}\n${parts(inner).map((part) => inner + part).join(",\n")}\n${margin}${brackets[1]}`;
}
