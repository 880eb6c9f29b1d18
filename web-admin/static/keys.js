// Security keys (WebAuthn). Without it, and in a browser that knows no keys, the code of the app is the way.
"use strict";

const knows = Boolean(window.PublicKeyCredential && navigator.credentials);
for (const part of document.querySelectorAll("[data-keys]")) part.hidden = (part.dataset.keys === "known") !== knows;

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const withBytes = (keys) => (keys ?? []).map((key) => ({ ...key, id: bytes(key.id) }));

// Has the key answer what the box asks; nothing where the box asks nothing any more.
async function answer(place) {
  const asked = await fetch(place, { method: "POST" });
  if (!asked.ok) return null;
  const { publicKey } = await asked.json();
  publicKey.challenge = bytes(publicKey.challenge);
  let key;
  if (publicKey.user) {
    publicKey.user.id = bytes(publicKey.user.id);
    publicKey.excludeCredentials = withBytes(publicKey.excludeCredentials);
    key = await navigator.credentials.create({ publicKey });
  } else {
    publicKey.allowCredentials = withBytes(publicKey.allowCredentials);
    key = await navigator.credentials.get({ publicKey });
  }
  const response = {};
  for (const part of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (part in key.response) response[part] = key.response[part] && text(key.response[part]);
  }
  return JSON.stringify({ id: key.id, rawId: text(key.rawId), type: key.type, response });
}

// A form that a key has to answer is sent once it did.
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-key]");
  if (!form || form.elements.answer.value) return;
  event.preventDefault();
  const failed = form.querySelector("[role=alert]");
  failed.hidden = true;
  try {
    const said = await answer(form.dataset.key);
    // The page says what is awaited now: the password, or signing in anew.
    if (!said) return window.location.reload();
    form.elements.answer.value = said;
    form.requestSubmit();
  } catch (error) {
    failed.hidden = false;
  }
});
