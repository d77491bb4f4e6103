// Printed lines as plain text: what a terminal would obey is taken out or spelled out.

const SEQUENCES = /(?:\u001b\[|\u009b)[ -?]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;
const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/// `lines` without colours and cursor movements; other control characters as escapes. Line ends and tabs stay.
export function plain(lines) {
  return lines.replace(SEQUENCES, "").replace(OBEYED, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
}
