// Runs in each document before anything of the page does: tells the console what the test must not see.
(() => {
  const tell = (what, detail) => console.error(`GUARD ${what}: ${detail}`);
  addEventListener("securitypolicyviolation", (event) =>
    tell("policy", `${event.violatedDirective} ${event.blockedURI} ${event.sample} at ${event.sourceFile}:${event.lineNumber}`));
  for (const name of ["alert", "confirm", "prompt", "print"]) {
    window[name] = (said) => tell("dialog", `${name} ${said}`);
  }
})();
