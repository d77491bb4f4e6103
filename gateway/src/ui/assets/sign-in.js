// Signing in: with a token, or as the MLflow user where rights come from the registry.

import { h, text } from "./dom.js";
import { post } from "./api.js";

/// The form; `entered` is called once the session is there.
export function signInView(entered) {
  const problem = h("p.problem", { role: "alert", hidden: true, id: "sign-in-problem" });
  const described = { "aria-describedby": "sign-in-problem", spellcheck: "false", autocapitalize: "none" };
  const token = h("input", { id: "token", name: "token", type: "password", autocomplete: "off", placeholder: "sgp_…", ...described });
  const user = h("input", { id: "user", name: "username", autocomplete: "username", ...described });
  const password = h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", ...described });
  const submit = h("button.primary", { type: "submit" }, "Sign in");

  const refuse = (message, field) => {
    text(problem, message);
    problem.hidden = false;
    field.focus();
    field.select();
  };
  const send = async (event) => {
    event.preventDefault();
    const asUser = token.value.trim() === "" && user.value !== "";
    if (!asUser && token.value.trim() === "") {
      refuse("Paste a token, or give your MLflow user and password.", token);
      return;
    }
    submit.disabled = true;
    problem.hidden = true;
    try {
      await post("/api/v1/session", asUser ? { username: user.value, password: password.value } : { token: token.value.trim() });
      token.value = "";
      password.value = "";
      await entered();
    } catch (refusal) {
      refuse(worded(refusal), asUser ? password : token);
    } finally {
      submit.disabled = false;
    }
  };
  return h("form.card.sign-in", { onsubmit: send },
    h("h1", {}, "Sign in"),
    h("p.quiet", {}, "Models from your MLflow registry, as REST endpoints."),
    h("label.field", { for: "token" }, h("span", {}, "Token"), token),
    h("p.quiet.small", {}, "Made with ", h("code", {}, "sluicegate tokens create"), "."),
    h("details", {}, h("summary", {}, "Or with your MLflow user"),
      h("p.quiet.small", {}, "Where this gateway takes its rights from the registry. Leave the token empty."),
      h("label.field", { for: "user" }, h("span", {}, "User"), user),
      h("label.field", { for: "password" }, h("span", {}, "Password"), password)),
    problem,
    h("div.actions", {}, submit));
}

// The API speaks to programs; a person has no header to send.
function worded({ message }) {
  const words = /Authorization|Bearer/.test(message) ? "this token is not accepted here" : message;
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}
