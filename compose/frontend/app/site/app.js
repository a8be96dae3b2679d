'use strict';

// The page talks to its own origin only: the proxy sends /api, /events and /ws to the services of the same color, and
// /.well-known/mercure to the hub, which is of no color.

const $ = (id) => document.getElementById(id);
const SQUARES = 60;

function chip(color) {
  const b = document.createElement('b');
  b.className = 'chip';
  b.dataset.of = color;
  b.textContent = color;
  return b;
}

function show(id, color, text) {
  $(id).replaceChildren(...(color ? [chip(color), ' '] : []), text);
}

// ---- who answers -------------------------------------------------------------------------------------------------

let asked = 0;
let lost = 0;

function square(of, title) {
  const li = document.createElement('li');
  if (of) li.dataset.of = of;
  li.title = title;
  const strip = $('strip');
  strip.append(li);
  while (strip.children.length > SQUARES) strip.firstChild.remove();
}

async function ask() {
  asked++;
  const started = performance.now();
  try {
    const answer = await fetch('/api/version', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const { color, release } = await answer.json();
    const ms = (performance.now() - started).toFixed(1);
    square(color, `${color}, release ${release}, ${ms} ms`);
    show('line-http', color, `${ms} ms`);
  } catch (error) {
    lost++;
    square('lost', String(error));
    show('line-http', 'lost', error.message);
  }
  $('lost').textContent = `${lost} of ${asked}`;
}

for (let i = 0; i < SQUARES; i++) square('', 'not asked yet');
ask();
setInterval(ask, 1000);

const stream = new EventSource('/events');
stream.addEventListener('tick', (event) => {
  const { color, count } = JSON.parse(event.data);
  show('line-sse', color, `event ${count}`);
});
stream.onerror = () => show('line-sse', '', 'connecting again …');

function socket(attempt = 0) {
  const ws = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`);
  let timer;
  let sent = 0;
  const ping = () => {
    sent = performance.now();
    ws.send('ping');
  };
  ws.onmessage = (event) => {
    const { type, color } = JSON.parse(event.data);
    attempt = 0;
    show('line-ws', color, type === 'hello' ? 'connected' : `${(performance.now() - sent).toFixed(1)} ms`);
    clearTimeout(timer);
    timer = setTimeout(ping, 1000);
  };
  ws.onclose = () => {
    clearTimeout(timer);
    show('line-ws', '', 'connecting again …');
    // Not all at the same moment: a switch closes everybody's sockets.
    setTimeout(socket, Math.random() * Math.min(8000, 250 * 2 ** attempt), attempt + 1);
  };
}
socket();

// ---- account and orders ------------------------------------------------------------------------------------------

const store = {
  get: () => localStorage.getItem('token'),
  set: (token) => (token ? localStorage.setItem('token', token) : localStorage.removeItem('token')),
};

async function call(method, path, body) {
  const headers = { Accept: 'application/json' };
  if (body) headers['Content-Type'] = 'application/json';
  if (store.get()) headers.Authorization = `Bearer ${store.get()}`;
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error(json.error?.message ?? `The API answered ${answer.status}.`);
    error.status = answer.status;
    throw error;
  }
  return json;
}

function say(id, text, bad = false) {
  $(id).textContent = text;
  $(id).classList.toggle('bad', bad);
}

function render(user) {
  $('login-form').hidden = Boolean(user);
  $('logged-in').hidden = !user;
  $('who').textContent = user?.email ?? '';
  for (const field of $('order-form').elements) field.disabled = !user;
  if (!user) {
    $('orders').hidden = true;
    $('orders-empty').hidden = false;
    $('orders-empty').textContent = 'Log in to see your orders.';
    show('line-hub', '', 'log in first');
  }
}

function row(order) {
  const tr = document.createElement('tr');
  tr.dataset.key = order.key;
  tr.dataset.status = order.status;
  for (const key of ['id', 'item', 'quantity', 'status']) {
    const cell = tr.insertCell();
    cell.textContent = order[key] ?? '…';
    if (key === 'quantity') cell.className = 'number';
  }
  for (const color of [order.color, order.processed_by]) {
    tr.insertCell().append(color ? chip(color) : '…');
  }
  tr.title = `release ${order.release}`;
  return tr;
}

/** Puts an order where it belongs: in place of what is known of it, else at the top. */
function put(order) {
  const body = $('orders').tBodies[0];
  const known = [...body.rows].find((tr) => tr.dataset.key === order.key);
  // The hub can be faster than the API's answer, which says less.
  if (known?.dataset.status === 'done' && order.status !== 'done') return;
  if (known) known.replaceWith(row(order));
  else body.prepend(row(order));
  count();
}

function count() {
  const some = $('orders').tBodies[0].rows.length > 0;
  $('orders').hidden = !some;
  $('orders-empty').hidden = some;
  $('orders-empty').textContent = 'No orders yet.';
}

async function list() {
  const { orders } = await call('GET', '/api/orders');
  const body = $('orders').tBodies[0];
  const told = new Set(orders.map((order) => order.key));
  const waiting = [...body.rows].filter((tr) => !told.has(tr.dataset.key) && tr.dataset.status === 'queued');
  body.replaceChildren(...waiting, ...orders.map(row));
  count();
}

function forget(error) {
  if (error.status === 401) leave();
}

function leave() {
  hub?.close();
  hub = null;
  store.set(null);
  $('orders').tBodies[0].replaceChildren();
  render(null);
}

// ---- what the hub tells ------------------------------------------------------------------------------------------

let hub = null;
let told = '';

/** Listens for this user's orders. Where the line breaks the browser comes back by itself and gets what it missed. */
async function listen() {
  hub?.close();
  const { hub: address, topic } = await call('POST', '/api/stream');
  const url = new URL(address, location);
  url.searchParams.append('topic', topic);
  if (told) url.searchParams.append('lastEventID', told);
  const source = new EventSource(url);
  hub = source;
  show('line-hub', '', 'connecting …');
  source.onopen = () => show('line-hub', '', 'listening');
  source.addEventListener('order', (event) => {
    const order = JSON.parse(event.data);
    told = event.lastEventId;
    put(order);
    show('line-hub', order.processed_by, `order ${order.id}`);
    say('orders-message', `Order ${order.id} is stored, by ${order.processed_by}.`);
  });
  source.onerror = () => {
    if (source !== hub) return;
    show('line-hub', '', 'connecting again …');
    // Refused, as with a cookie that ran out: the browser does not try again by itself.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => source === hub && enter(), 2000);
  };
}

/** Listens first and asks then: what comes between is not missed. */
async function enter() {
  try {
    await listen();
    await list();
  } catch (error) {
    forget(error);
    if (error.status !== 401) setTimeout(() => store.get() && enter(), 2000);
  }
}

$('login-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  const action = event.submitter?.value ?? 'login';
  say('account-message', 'One moment …');
  try {
    const { token, user } = await call('POST', `/api/auth/${action}`, Object.fromEntries(new FormData(form)));
    store.set(token);
    form.reset();
    render(user);
    say('account-message', '');
    await enter();
  } catch (error) {
    say('account-message', error.message, true);
  }
});

$('logout').addEventListener('click', async () => {
  await call('POST', '/api/auth/logout').catch(() => {});
  told = '';
  leave();
});

$('order-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  const fields = new FormData(form);
  try {
    const { order } = await call('POST', '/api/orders', { item: fields.get('item'), quantity: Number(fields.get('quantity')) });
    form.reset();
    say('orders-message', `${order.color} has put the order into the queue.`);
    put(order);
  } catch (error) {
    forget(error);
    say('orders-message', error.message, true);
  }
});

(async () => {
  render(null);
  if (!store.get()) return;
  try {
    const { user } = await call('GET', '/api/auth/me');
    render(user);
  } catch (error) {
    return forget(error);
  }
  await enter();
})();
