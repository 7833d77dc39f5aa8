"use strict";
// Texts go in as texts: nothing that an account or a provider is called can become markup.
const by = (id) => document.getElementById(id);
const accounts = new Map();
let next = null;
let hasLogin = false;

// What this process knows is later than what the store says.
function stateOf(account) {
  const here = account.here;
  if (account.state === "active" && here && here.rotation === "backing_off") return "backing_off";
  if (account.state === "active" && here && here.access === "dead") return "dead";
  return account.state;
}

const advice = {
  backing_off: "mend what its last refresh met; it is tried again by itself",
  dead: "nothing, if the next request renews it; else see the events",
  active: "nothing",
  leased: "nothing: it is being refreshed",
  sending: "nothing: it is being refreshed",
  in_doubt: "find out why answers get lost; it may come right by itself, else have the user log in again",
  revoked: "have the user log in again",
  unreadable: "give the key that it lacks, or mend its record; if neither can be, revoke it and have the user log in again",
};

function ends(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds >= 7200) return Math.round(seconds / 3600) + " h";
  if (seconds >= 120) return Math.round(seconds / 60) + " min";
  return seconds + " s";
}

function cell(row, text, className) {
  const made = row.insertCell();
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// The name is in the query: a path can have no "..".
async function post(path, name) {
  const answer = await fetch(path + "?account=" + encodeURIComponent(name),
    { method: "POST", headers: { "x-requested-with": "page" } });
  const said = await answer.json();
  if (answer.ok) return said;
  tell({ at: Date.now(), account: name, kind: path, text: said.reason });
}

async function act(name, what) {
  if (what === "revoke" && !confirm("End the grant of " + name + "?")) return;
  await post("/accounts/" + what, name);
  reload();
}

async function login(name) {
  const begun = await post("/login", name);
  if (begun) location.assign(begun.to);
}

// There is nothing to refresh or to end once it is revoked, and no token that can be read of what is unreadable.
function helps(what, state) {
  if (what === "login") return hasLogin;
  return state !== "revoked" && (what !== "refresh" || state !== "unreadable");
}

function show() {
  const search = by("search").value.toLowerCase();
  const state = by("state").value;
  const body = by("accounts");
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.key : undefined;
  body.replaceChildren();
  for (const account of accounts.values()) {
    const now = stateOf(account);
    if (!account.account.toLowerCase().includes(search) || (state && now !== state)) continue;
    const row = body.insertRow();
    cell(row, account.account);
    cell(row, now.replace("_", " "), now);
    cell(row, account.generation ?? "–");
    cell(row, ends(account.seconds_left));
    cell(row, (advice[now] ?? "–") + (account.why ? " (" + account.why + ")" : ""));
    const buttons = row.insertCell();
    for (const [what, text] of [["refresh", "Refresh"], ["revoke", "Revoke"], ["login", "Log in"]]) {
      if (!helps(what, account.state)) continue;
      const button = document.createElement("button");
      button.textContent = text;
      button.setAttribute("aria-label", text + " " + account.account);
      button.dataset.key = what + " " + account.account;
      button.addEventListener("click", () => what === "login" ? login(account.account) : act(account.account, what));
      buttons.append(button);
      if (button.dataset.key === focused) button.focus();
    }
  }
}

function take(page) {
  for (const account of page.accounts) accounts.set(account.account, account);
  next = page.next;
  hasLogin = page.login;
  by("more").hidden = !next;
  show();
}

async function load(after) {
  const answer = await fetch("/accounts" + (after ? "?after=" + encodeURIComponent(after) : ""));
  if (answer.ok) take(await answer.json());
}

let waiting;
function reload() {
  clearTimeout(waiting);
  waiting = setTimeout(() => { load(); chart(); }, 200);
}

function tell(event) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date(event.at).toLocaleTimeString();
  item.append(time, [event.account, event.kind, event.text].filter(Boolean).join(" · "));
  by("events").prepend(item);
  while (by("events").children.length > 200) by("events").lastChild.remove();
}

async function chart() {
  const answer = await fetch("/history");
  if (!answer.ok) return;
  const { minutes } = await answer.json();
  const most = Math.max(1, ...minutes.map((minute) => minute.requests + minute.not_sent));
  const svg = by("hour");
  svg.replaceChildren();
  const bar = (at, height, className) => {
    if (!height) return;
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    rect.setAttribute("x", at); rect.setAttribute("width", 8);
    rect.setAttribute("y", 120 - height); rect.setAttribute("height", height);
    rect.setAttribute("class", className);
    svg.append(rect);
  };
  const sum = { requests: 0, bad: 0, refreshes: 0 };
  minutes.forEach((minute, at) => {
    const bad = minute.refusals + minute.not_sent;
    bar(at * 10, (minute.requests + minute.not_sent) / most * 110, "requests");
    bar(at * 10, bad / most * 110, "refusals");
    if (minute.refreshes) bar(at * 10 + 2, 6, "refreshes");
    sum.requests += minute.requests + minute.not_sent; sum.bad += bad; sum.refreshes += minute.refreshes;
  });
  by("hour-text").textContent = sum.requests + " requests, " + sum.bad + " of them refused or not sent, "
    + sum.refreshes + " refreshes" + (sum.requests ? "; at most " + most + " a minute" : "");
}

const stream = new EventSource("/events");
stream.addEventListener("open", () => { by("live").textContent = "live"; });
stream.addEventListener("error", () => { by("live").textContent = "not connected: trying again"; });
stream.addEventListener("snapshot", (event) => { accounts.clear(); take(JSON.parse(event.data)); chart(); });
stream.addEventListener("account", (event) => { tell(JSON.parse(event.data)); reload(); });
stream.addEventListener("lagged", reload);
by("search").addEventListener("input", show);
by("state").addEventListener("change", show);
by("filter").addEventListener("submit", (event) => event.preventDefault());
by("more").addEventListener("click", () => load(next));
setInterval(chart, 10000);

// A link to /login leads here: whoever made it, the user is asked.
const asked = new URLSearchParams(location.search).get("login");
if (asked) {
  history.replaceState(null, "", "/");
  if (confirm("Log in as the account " + asked + "? Whoever the provider knows in this browser will be it.")) login(asked);
}
