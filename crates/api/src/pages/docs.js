// Shows openapi.json: operations by tag, fields, examples, problems, and a form to try each.
// Builds nodes and texts only, never markup from strings, and asks no host but its own.
"use strict";

const DEPTH_MAX = 6;
const byId = (id) => document.getElementById(id);

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") {
      for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    } else if (value !== undefined && value !== null && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// Texts hold `code` and paragraphs, nothing else.
function prose(text) {
  return (text || "").split("\n\n").filter(Boolean).map((paragraph) =>
    el("p", {}, ...inline(paragraph)));
}

function inline(text) {
  return text.split("`").map((part, place) => (place % 2 ? el("code", {}, part) : part));
}

class Document {
  constructor(json) {
    this.json = json;
  }

  // Follows references and joins allOf; a nullable union shows its other part.
  resolve(schema) {
    if (!schema) return {};
    if (schema.$ref) {
      const name = schema.$ref.split("/").pop();
      const found = this.resolve(this.json.components.schemas[name]);
      return { ...found, description: schema.description || found.description, refName: name };
    }
    if (schema.allOf) {
      const joined = { type: "object", properties: {}, required: [], description: schema.description };
      for (const part of schema.allOf.map((each) => this.resolve(each))) {
        Object.assign(joined.properties, part.properties || {});
        joined.required.push(...(part.required || []));
      }
      return joined;
    }
    if (schema.oneOf) {
      const parts = schema.oneOf.filter((part) => part.type !== "null");
      if (parts.length === 1) {
        const found = this.resolve(parts[0]);
        return { ...found, nullable: true, description: schema.description || found.description };
      }
    }
    return schema;
  }

  kind(schema) {
    const resolved = this.resolve(schema);
    const types = [resolved.type].flat().filter((type) => type && type !== "null");
    const isNullable = resolved.nullable || [resolved.type].flat().includes("null");
    if (types[0] === "array") return `array of ${this.kind(resolved.items)}`;
    const shown = resolved.enum && resolved.enum.length <= 8 ? resolved.enum.join(" | ") : types[0] || "any";
    const format = resolved.format && !resolved.format.startsWith("int") ? `, ${resolved.format}` : "";
    return shown + format + (isNullable ? " or null" : "");
  }

  example(schema, depth = 0) {
    const resolved = this.resolve(schema);
    if (resolved.example !== undefined) return resolved.example;
    if (resolved.enum) return resolved.enum[0];
    const type = [resolved.type].flat().find((each) => each && each !== "null");
    if (depth > DEPTH_MAX) return null;
    if (type === "array") return [this.example(resolved.items, depth + 1)];
    if (type === "object" || resolved.properties) {
      return Object.fromEntries(Object.entries(resolved.properties || {})
        .map(([name, field]) => [name, this.example(field, depth + 1)]));
    }
    if (type === "integer" || type === "number") return 1;
    if (type === "boolean") return true;
    if (resolved.format === "date-time") return "2026-01-31T12:00:00Z";
    return "text";
  }
}

// Of an answer every field is always there, so only requests say what is required.
function fields(doc, schema, isRequest, depth = 0) {
  const resolved = doc.resolve(schema);
  const target = [resolved.type].flat().includes("array") ? doc.resolve(resolved.items) : resolved;
  const required = new Set(target.required || []);
  const rows = Object.entries(target.properties || {}).map(([name, field]) => {
    const found = doc.resolve(field);
    const inner = [found.type].flat().includes("array") ? doc.resolve(found.items) : found;
    const hasMore = inner.properties && depth < DEPTH_MAX;
    return el("li", {},
      el("span", { class: "name" }, name), el("span", { class: "kind" }, doc.kind(field)),
      isRequest && required.has(name) ? el("span", { class: "need" }, "required") : null,
      el("span", { class: "text" }, ...inline(field.description || found.description || "")),
      hasMore ? el("details", {}, el("summary", {}, "fields"), fields(doc, field, isRequest, depth + 1)) : null);
  });
  return el("ul", { class: "fields" }, rows);
}

function parametersTable(doc, parameters) {
  if (!parameters.length) return null;
  const rows = parameters.map((parameter) => el("tr", {},
    el("td", {}, el("code", {}, parameter.name),
      parameter.required ? el("span", { class: "need" }, "required") : null),
    el("td", {}, el("span", { class: "mono" }, `${parameter.in}, ${doc.kind(parameter.schema)}`)),
    el("td", {}, ...inline(parameter.description || ""))));
  return [el("h4", {}, "Parameters"), el("table", { class: "table" }, el("tbody", {}, rows))];
}

function answer(doc, status, response) {
  const isGood = status.startsWith("2");
  const [type, content] = Object.entries(response.content || {})[0] || [];
  const shown = el("summary", {},
    el("span", { class: `status ${isGood ? "ok" : "bad"}` }, status),
    isGood ? el("span", {}, ...inline(response.description)) : codesShort(response.description),
    type ? el("span", { class: "kind" }, type) : null);
  if (!isGood) {
    const lines = response.description.split("\n\n").map((line) => {
      const code = line.split("`")[1];
      return el("li", {}, el("a", { href: `#problem-${code}` }, el("code", {}, code)), line.split("`")[2]);
    });
    return el("details", { class: "answer" }, shown,
      el("div", { class: "inside" }, el("ul", { class: "codes" }, lines)));
  }
  if (!content) return el("div", { class: "answer" }, shown);
  const example = type.includes("json") || type === "text/event-stream"
    ? el("details", {}, el("summary", {}, "Example"),
      el("pre", {}, JSON.stringify(doc.example(content.schema), null, 2)))
    : null;
  return el("details", { class: "answer", open: true }, shown,
    el("div", { class: "inside" }, fields(doc, content.schema, false), example));
}

function codesShort(description) {
  const codes = description.split("\n\n").map((line) => line.split("`")[1]);
  const shown = codes.slice(0, 3).join(", ");
  return el("span", { class: "hint" }, codes.length > 3 ? `${shown}, and ${codes.length - 3} more` : shown);
}

function tryForm(doc, operation) {
  const inputs = operation.parameters.map((parameter) => {
    const value = parameter.name === "Idempotency-Key" ? newKey() : undefined;
    const input = el("input", { spellcheck: "false", autocomplete: "off", value,
      placeholder: parameter.example === undefined ? "" : String(parameter.example) });
    return { parameter, input };
  });
  const schema = bodySchema(operation);
  const body = schema
    ? el("textarea", { spellcheck: "false", "aria-label": "Body" }, requestExample(doc, schema)) : null;
  const outcome = el("div", { "aria-live": "polite" });
  const send = el("button", { type: "button" }, "Send");
  const stop = el("button", { type: "button", class: "plain", disabled: true }, "Stop");
  let abort = null;
  send.addEventListener("click", async () => {
    abort = new AbortController();
    stop.disabled = false;
    send.disabled = true;
    try {
      await request(operation, inputs, body && body.value, outcome, abort.signal);
    } catch (error) {
      outcome.append(el("p", { class: "outcome" }, abort.signal.aborted ? "Stopped." : String(error)));
    }
    stop.disabled = true;
    send.disabled = false;
  });
  stop.addEventListener("click", () => abort && abort.abort());
  const rows = inputs.map(({ parameter, input }) =>
    el("label", { class: "row" }, el("code", {}, parameter.name), input));
  return el("details", { class: "try" }, el("summary", {}, "Try it"), rows,
    body ? el("div", { class: "row" }, el("code", {}, "body"), body) : null, send, stop, outcome);
}

// Of a request, only the required fields and one way to name the purchase are filled in.
function requestExample(doc, schema) {
  const example = doc.example(schema);
  const required = new Set(doc.resolve(schema).required || []);
  const names = Object.keys(example).filter((name) => !required.size || required.has(name));
  const kept = required.size ? names : names.slice(0, 1);
  return JSON.stringify(Object.fromEntries(kept.map((name) => [name, example[name]])), null, 2);
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bodySchema(operation) {
  const content = operation.requestBody && operation.requestBody.content;
  return content && content["application/json"] && content["application/json"].schema;
}

async function request(operation, inputs, body, outcome, signal) {
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { parameter, input } of inputs) {
    const value = input.value.trim();
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value && parameter.in === "query") query.set(parameter.name, value);
    else if (value && parameter.in === "header") headers[parameter.name] = value;
  }
  const key = byId("key").value.trim();
  if (key && operation.needsKey) headers.Authorization = `Bearer ${key}`;
  if (body !== null) headers["Content-Type"] = "application/json";
  const url = query.size ? `${path}?${query}` : path;
  const started = performance.now();
  outcome.replaceChildren(el("p", { class: "outcome hint" }, "Waiting…"));
  const response = await fetch(url, { method: operation.method.toUpperCase(), headers, signal,
    body: body === null ? undefined : body });
  const elapsed = Math.round(performance.now() - started);
  const line = el("p", { class: "outcome" },
    el("span", { class: `status ${response.ok ? "ok" : "bad"}` }, String(response.status)),
    ` in ${elapsed} ms  `, el("code", {}, response.headers.get("x-request-id") || ""));
  const text = el("pre", {});
  outcome.replaceChildren(line, text);
  const type = response.headers.get("content-type") || "";
  if (type.startsWith("text/event-stream")) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) text.append(part.value);
    return;
  }
  const answered = await response.text();
  text.append(type.includes("json") ? JSON.stringify(JSON.parse(answered), null, 2) : answered);
}

function operationCard(doc, operation) {
  const schema = bodySchema(operation);
  const [first, ...rest] = [operation.summary, operation.description].filter(Boolean);
  const more = (operation.description || "").startsWith(first) ? [] : rest;
  return el("details", { class: "operation", id: operation.operationId },
    el("summary", {},
      el("span", { class: `method ${operation.method}` }, operation.method.toUpperCase()),
      el("span", { class: "path" }, operation.path),
      operation.needsKey ? el("span", { class: "lock" }, "key") : el("span", { class: "lock" }, "public"),
      el("span", { class: "what" }, operation.summary || "")),
    el("div", { class: "inside" },
      prose(more.join("\n\n")),
      parametersTable(doc, operation.parameters),
      schema ? [el("h4", {}, "Body"), fields(doc, schema, true)] : null,
      el("h4", {}, "Answers"),
      el("div", { class: "answers" },
        Object.entries(operation.responses).map(([status, response]) => answer(doc, status, response))),
      tryForm(doc, operation)));
}

function operationsOf(json) {
  const found = [];
  for (const [path, item] of Object.entries(json.paths)) {
    for (const method of ["get", "post", "put", "delete", "patch"]) {
      const operation = item[method];
      if (!operation) continue;
      const security = operation.security || json.security || [];
      const needsKey = security.length > 0 && !security.some((one) => Object.keys(one).length === 0);
      found.push({ ...operation, path, method, needsKey, parameters: operation.parameters || [] });
    }
  }
  return found;
}

function problemRow(problem) {
  return el("tr", { id: `problem-${problem.code}` },
    el("td", {}, el("code", {}, problem.code)), el("td", {}, String(problem.status)),
    el("td", {}, problem.title));
}

// Opens what the address names.
function showTarget() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && byId(id);
  if (target && target.tagName === "DETAILS") target.open = true;
  for (const link of byId("nav").querySelectorAll("a")) {
    link.classList.toggle("here", link.getAttribute("href") === location.hash);
  }
  for (const row of byId("problem-rows").children) row.classList.toggle("here", row.id === id);
  if (target) target.scrollIntoView();
}

function search(operations) {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const operation of operations) {
    const text = [operation.path, operation.method, operation.summary, operation.description, operation.tags]
      .join(" ").toLowerCase();
    const isShown = words.every((word) => text.includes(word));
    byId(operation.operationId).hidden = !isShown;
    byId(`nav-${operation.operationId}`).hidden = !isShown;
  }
  for (const group of document.querySelectorAll("[data-group]")) {
    group.hidden = !group.querySelector("details.operation:not([hidden]), a:not([hidden])");
  }
}

async function main() {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`openapi.json: ${response.status}`);
  const doc = new Document(await response.json());
  const operations = operationsOf(doc.json);
  byId("title").textContent = `${doc.json.info.title} API`;
  byId("about").append(...prose(doc.json.info.description));
  byId("operations").replaceChildren();
  for (const tag of doc.json.tags || []) {
    const tagged = operations.filter((operation) => (operation.tags || []).includes(tag.name));
    if (!tagged.length) continue;
    byId("nav").append(el("div", { "data-group": tag.name }, el("h3", {}, tag.name),
      tagged.map((operation) => el("a", { href: `#${operation.operationId}`, id: `nav-${operation.operationId}` },
        el("span", { class: `method ${operation.method}` }, operation.method.toUpperCase()),
        operation.operationId.replaceAll("_", " ")))));
    byId("operations").append(el("section", { "data-group": tag.name }, el("h2", {}, tag.name),
      el("p", { class: "lead" }, tag.description || ""),
      tagged.map((operation) => operationCard(doc, operation))));
  }
  byId("problem-rows").append(...(doc.json["x-problems"] || []).map(problemRow));
  byId("problems").hidden = false;
  byId("nav").append(el("div", { "data-group": "problems" }, el("h3", {}, "errors"),
    el("a", { href: "#problems" }, "Problems")));
  byId("search").addEventListener("input", () => search(operations));
  byId("keybox").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    const isTyping = ["INPUT", "TEXTAREA"].includes(document.activeElement.tagName);
    if (event.key === "/" && !isTyping) {
      event.preventDefault();
      byId("search").focus();
    }
  });
  addEventListener("hashchange", showTarget);
  showTarget();
}

main().catch((error) => {
  byId("operations").replaceChildren(el("p", {}, `The document could not be shown. ${error}`));
});
