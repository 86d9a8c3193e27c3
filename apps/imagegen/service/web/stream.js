// Asks the service to draw and hands on its events: server-sent events over a POST, which EventSource cannot send.

import { askForKey, keyHeaders } from "./key.js";

/** What went wrong, in a sentence for people. status 0: the service could not be reached. */
export class Trouble extends Error {
  constructor(sentence, status = 0, retryAfter = 0) {
    super(sentence);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const UNREACHABLE = "The service cannot be reached. Is it still running?";

/** Fetch, with a key where the service asks for one, and turn every failure into a Trouble. */
export async function ask(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path, { ...options, headers: keyHeaders() });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble(UNREACHABLE);
  }
  if (reply.ok) return reply;
  let sentence = `The service answered ${reply.status}.`;
  try {
    sentence = (await reply.json()).error.message;
  } catch { /* not an answer of ours, such as a proxy's: the status says what is known */ }
  if (reply.status === 401 && await askForKey(asSentence(sentence))) return ask(path, options);
  throw new Trouble(asSentence(sentence), reply.status, Number(reply.headers.get("Retry-After")) || 0);
}

/** POST a form, or GET without one, and yield [name, content] for each event until the stream ends. */
export async function* events(path, form, signal) {
  const reply = await ask(path, form ? { method: "POST", body: form, signal } : { signal });
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let ended = false;
  while (true) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Trouble("The connection broke while drawing.");
    }
    if (part.done) break;
    rest += part.value;
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parsed(block);
      if (!event) continue;
      ended ||= event[0] === "end";
      yield event;
    }
  }
  if (!ended) throw new Trouble("The connection broke while drawing.");
}

/** Return a PNG's bytes, given as base64, as a Blob. */
export function picture(base64) {
  const bytes = Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
  return new Blob([bytes], { type: "image/png" });
}

function parsed(block) {
  let name = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length ? [name, JSON.parse(data.join("\n"))] : null;
}

/** The service's sentences begin small and have no stop at the end. */
export function asSentence(text) {
  const grown = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(grown) ? grown : `${grown}.`;
}
