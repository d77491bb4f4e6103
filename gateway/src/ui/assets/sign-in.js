// Signing in: with a token, or as the MLflow user where rights come from the registry.

import { h, text } from "./dom.js";
import { post } from "./api.js";

export function signInView(page, entered) {
  const problem = h("p.problem", { role: "alert", hidden: true });
  const token = h("input", { id: "token", name: "token", type: "password", autocomplete: "off", spellcheck: "false", placeholder: "sgp_…" });
  const user = h("input", { id: "user", name: "username", autocomplete: "username", spellcheck: "false" });
  const password = h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password" });
  const submit = h("button.primary", { type: "submit" }, "Sign in");

  const send = async (event) => {
    event.preventDefault();
    const credential = token.value.trim() === ""
      ? { username: user.value, password: password.value }
      : { token: token.value.trim() };
    submit.disabled = true;
    problem.hidden = true;
    try {
      await post("/api/v1/session", credential);
      token.value = "";
      password.value = "";
      await entered();
    } catch (refusal) {
      text(problem, refusal.message);
      problem.hidden = false;
    } finally {
      submit.disabled = false;
    }
  };
  return h("form.card.sign-in", { onsubmit: send },
    h("h1", {}, "Sign in"),
    problem,
    h("label.field", { for: "token" }, h("span", {}, "Token"), token),
    h("p.quiet", {}, "Made with ", h("code", {}, "sluicegate tokens create"), "."),
    h("details", {}, h("summary", {}, "Or with your MLflow user"),
      h("p.quiet", {}, "Where this gateway takes its rights from the registry."),
      h("label.field", { for: "user" }, h("span", {}, "User"), user),
      h("label.field", { for: "password" }, h("span", {}, "Password"), password)),
    h("div.actions", {}, submit));
}
