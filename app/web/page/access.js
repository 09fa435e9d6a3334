// The token, where the service asks for one. A link cannot bring a token, so links to metrics are hidden then.

import { hasToken, onStatus, useToken } from "./api.js";
import { byId, setText } from "./dom.js";

const ASKED = "This service asks for a token with scope “read”, which is kept until this tab is closed.";

/** @param onToken called when a person has given a token. */
export function watchAccess(onToken) {
  const form = byId("access");
  onStatus((status) => {
    if (status === 401 || status === 403) askForToken(ASKED);
    else if (status === 200 && !form.dataset.other) form.hidden = true;
    byId("metrics").hidden = hasToken() || !form.hidden;
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const token = byId("token").value.trim();
    if (!token) return;
    useToken(token);
    byId("token").value = "";
    delete form.dataset.other;
    form.hidden = true;
    onToken();
  });
}

function askForToken(text) {
  setText(byId("access-text"), text);
  byId("access").hidden = false;
}

/** Asks for a token that allows more than reading. */
export function askForAnotherToken(problem) {
  byId("access").dataset.other = "yes";
  askForToken(`${problem} Another token:`);
}
