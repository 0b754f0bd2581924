// SPDX-License-Identifier: Apache-2.0
// The page of `videodepth view`; the protocol is that of view/server.py and view/packets.py.

import {Scene, decodeCloud, nextFrame, turbo} from './scene.js';

const RETRY_MS = 1000, UNKNOWN_GREY = 70, RATE_WINDOW = 20; // frames
const $ = (selector) => document.querySelector(selector);
const [image, depth, confidence] = ['image', 'depth', 'confidence'].map((name) => document.querySelector(`#${name} canvas`));
const page = {facts: null, socket: null, scene: null, byDepth: false, withConfidence: false, isPlaying: false, levels: null, times: [],
  shown: Promise.resolve()};
// Image and depth of the first frame are shown before WebGL starts, which takes longer.
const first = new Promise((resolve) => { page.onFirst = resolve; }).then(() => performance.mark('first frame'));
const scene = first.then(() => import('./three.min.js')).then(createScene).catch((error) => {
  $('#grid').textContent = `There is no cloud in 3D: ${error.message}`; // such as without WebGL
});

function connect() {
  const socket = page.socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = ({data}) => {
    if (typeof data !== 'string') {
      page.shown = page.shown.catch(() => {}).then(() => showFrame(data)); // one after another
      return;
    }
    const message = JSON.parse(data);
    if (message.facts) start(message.facts);
    if (message.status) showStatus(message.status);
    if (message.error) showWarnings([message.error]);
    if ('refused' in message) showRefusal(message);
  };
  socket.onclose = () => {
    setState('lost', 'no connection');
    setTimeout(connect, RETRY_MS);
  };
}

const send = (message) => page.socket.readyState === WebSocket.OPEN && page.socket.send(JSON.stringify(message));
const ask = (frame) => send({frame, streams: ['image', 'depth', ...(page.withConfidence ? ['confidence'] : [])]});

function start(facts) {
  page.facts = facts;
  document.title = `${facts.title} - videodepth`;
  $('#title').textContent = facts.title;
  for (const name of ['image', 'depth', 'confidence']) $(`#${name}`).hidden = !facts.streams.includes(name);
  scene.then(() => showMap(facts));
  if (facts.stamps) startTimeline(facts.stamps);
  createParameters(facts);
  ask(facts.stamps ? +$('#timeline input').value : -1);
}

function createScene(THREE) {
  page.scene = new Scene(THREE, $('#cloud canvas'));
  drawCloud();
}

async function showMap(facts) {
  if (!page.scene) return;
  page.scene.yaw = facts.yaw;
  if (facts.path.length) page.scene.setPath(facts.path);
  if (!facts.has_map) return;
  const {header, blobs} = unpack(await (await fetch('map')).arrayBuffer(), (sizes) => ({cloud: 9 * sizes.count}));
  page.scene.setMap(decodeCloud(blobs.cloud, header), header.voxel);
  $('#show-map').hidden = false;
  $('#grid').textContent = `grid ${page.scene.gridStep} m`;
}

// Split a packet; every blob becomes a buffer of its own, as typed arrays need aligned ones.
function unpack(packet, sizes = (header) => header.blobs) {
  const length = new DataView(packet).getUint32(0, true), blobs = {};
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(packet, 4, length)));
  let at = 4 + length;
  for (const [name, size] of Object.entries(sizes(header))) {
    blobs[name] = packet.slice(at, at + size);
    at += size + (4 - size % 4) % 4;
  }
  return {header, blobs};
}

async function showFrame(packet) {
  const {header, blobs} = unpack(packet);
  if (!page.facts.stamps) ask(header.number); // the next one comes while this one is drawn
  const picture = blobs.image ? await createImageBitmap(new Blob([blobs.image], {type: 'image/jpeg'})) : null;
  if (picture) drawPicture(picture);
  if (blobs.depth) {
    page.levels = new Uint16Array(blobs.depth);
    drawDepth(header.depth);
    page.frame = {...header.depth, levels: page.levels, image: picture, pose: header.pose};
    await page.scene?.drawn;
    drawCloud();
  }
  if (blobs.confidence) drawConfidence(new Uint8Array(blobs.confidence), header.confidence);
  showTimes(header);
  page.number = header.number;
  if (page.facts.stamps && page.isPlaying) setTimeout(advance, waitUntilNext(header.number));
  await nextFrame(); // a page in the background asks for no more than one
  page.onFirst();
  scene.then(() => page.scene?.drawn).then(() => { document.body.dataset.frames = +(document.body.dataset.frames || 0) + 1; });
}

function drawCloud() {
  if (!page.scene || !page.frame?.camera) return;
  page.scene.setFrame(page.frame, page.byDepth);
  $('#grid').textContent = `grid ${page.scene.gridStep} m`;
}

function drawPicture(picture) {
  [image.width, image.height] = [picture.width, picture.height];
  image.getContext('2d').drawImage(picture, 0, 0);
}

const opaque = (red, green, blue) => (255 << 24) | (blue << 16) | (green << 8) | red;

function drawPixels(canvas, {width, height}, values, colours) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const pixels = new ImageData(width, height), words = new Uint32Array(pixels.data.buffer);
  for (let k = 0; k < words.length; k++) words[k] = colours[values[k]];
  canvas.getContext('2d').putImageData(pixels, 0, 0);
}

const TURBO = Array.from({length: 256}, (_, k) => opaque(...turbo(k / 255)));
const GREY = Array.from({length: 256}, (_, k) => opaque(k, k, k));

// Colour depth as `pictures.colourise` does: inverse depth, near red, far and nothing hit blue, unknown grey.
function drawDepth({width, height, unit, colours: [near, far]}) {
  const colours = new Uint32Array(65536), span = 1 / near - 1 / far;
  for (let level = 1; level < 65535; level++) {
    const share = (1 / (level * unit) - 1 / far) / span;
    colours[level] = TURBO[share <= 0 ? 0 : share >= 1 ? 255 : (255 * share) | 0];
  }
  [colours[0], colours[65535]] = [opaque(UNKNOWN_GREY, UNKNOWN_GREY, UNKNOWN_GREY), TURBO[0]];
  drawPixels(depth, {width, height}, page.levels, colours);
  page.unit = unit;
  const [first, last] = document.querySelectorAll('.scale span');
  [first.textContent, last.textContent] = [`${near.toPrecision(2)} m`, `${far.toPrecision(2)} m`];
  showPointed();
}

function drawConfidence(values, size) {
  drawPixels(confidence, size, values, GREY);
}

function showPointed() {
  if (!page.pointed || !page.levels) return;
  const level = page.levels[Math.floor(page.pointed[1] * depth.height) * depth.width + Math.floor(page.pointed[0] * depth.width)];
  $('#depth output').textContent = level === 0 ? 'unknown' : level === 65535 ? 'nothing hit' : `${(level * page.unit).toFixed(2)} m`;
}

function showTimes({age, number, stamp}) {
  if (page.facts.stamps) {
    const stamps = page.facts.stamps;
    if (!page.isDragging) $('#timeline input').value = number;
    $('#timeline output').textContent = `${stamps[number].toFixed(2)} / ${stamps[stamps.length - 1].toFixed(2)} s, frame ${number + 1} of ${stamps.length}`;
    return;
  }
  page.times = [...page.times, performance.now()].slice(-RATE_WINDOW);
  page.age = age;
}

function setState(name, text = name) {
  $('#state').className = `pill ${name}`;
  $('#state').textContent = text;
}

function showList(list, rows) {
  list.replaceChildren(...rows.filter(([, value]) => value !== null && value !== undefined && value !== '').map(([name, value]) => {
    const row = document.createElement('div'), [term, text] = [document.createElement('dt'), document.createElement('dd')];
    [term.textContent, text.textContent] = [name, value];
    row.append(term, text);
    return row;
  }));
}

const milliseconds = (seconds) => (seconds === null || seconds === undefined ? null : `${(1000 * seconds).toFixed(0)} ms`);
const hertz = (rate) => (rate === undefined ? null : `${rate.toFixed(1)} Hz`);

function showStatus(status) {
  page.status = status;
  setState(status.state);
  showWarnings(status.warnings);
  if (page.facts?.stamps) {
    $('#facts').hidden = true;
    return;
  }
  $('#facts').hidden = !status.model;
  showList($('#facts dl'), [['model', status.model], ['engine', [status.engine, status.device, status.precision].filter(Boolean).join(' ')],
    ['network', status.network_width ? `${status.network_width} x ${status.network_height}` : null], ['network time', milliseconds(status.engine_p50_s)],
    ['camera', hertz(status.input_rate_hz)], ['age, 99 %', milliseconds(status.age_p99_s)],
    ['scale factor', status.scale_factor], ['scale spread', status.scale_spread === null ? null : status.scale_spread?.toFixed(3)],
    ['received', status.received], ['published', status.published], ['displaced', status.displaced], ['rejected', status.rejected],
    ['memory', status.memory_mb ? `${status.memory_mb.toFixed(0)} MB` : null],
    ['resets', Object.entries(status.resets || {}).map(([reason, count]) => `${reason.replaceAll('_', ' ')} ${count}`).join(', ') || 'none'],
    ['last error', status.last_error]]);
  for (const [name, value] of Object.entries(status.parameters || {})) showParameter(name, value);
}

function showGauges() {
  const status = page.status;
  if (!status || page.facts?.stamps || status.output_rate_hz === undefined) return;
  const times = page.times, shown = times.length > 1 && performance.now() - times[times.length - 1] < 2000
    ? 1000 * (times.length - 1) / (times[times.length - 1] - times[0]) : 0;
  showList($('#gauges'), [['rate', hertz(status.output_rate_hz)], ['shown', hertz(shown)], ['age', milliseconds(status.age_p50_s)],
    ['latency', milliseconds(status.latency_p50_s)], ['scale', status.scale_source + (status.scale_stale ? ' (stale)' : '')]]);
}

function showWarnings(warnings) {
  const list = $('#warnings');
  list.hidden = !warnings.length;
  list.replaceChildren(...warnings.map((text) => Object.assign(document.createElement('li'), {textContent: text})));
}

// Parameters.

function createParameters({parameters, control}) {
  $('#parameters').hidden = !parameters.length;
  $('#parameters small').textContent = control ? '' : 'read-only; start with --control to change them';
  $('#parameters > div').replaceChildren(...parameters.map((one) => createParameter(one, !control)));
  if (control) {
    const button = Object.assign(document.createElement('button'), {textContent: 'Reset the recurrent state', onclick: () => send({reset: true})});
    $('#parameters > div').append(button);
  }
}

function createParameter(parameter, disabled) {
  const row = Object.assign(document.createElement('label'), {title: parameter.description}), name = document.createElement('span');
  name.textContent = parameter.name + (parameter.unit ? ` [${parameter.unit}]` : '');
  row.dataset.name = parameter.name;
  row.parameter = parameter;
  const field = createField(parameter);
  row.append(name, ...(parameter.type === 'double' || parameter.type === 'integer' ? [createSlider(parameter, field)] : []), field);
  if (row.children.length === 2) field.classList.add('wide');
  for (const input of row.querySelectorAll('input, select')) input.disabled = disabled;
  field.onchange = () => send({set: parameter.name, value: valueOf(parameter, field)});
  return row;
}

function createField({type, choices}) {
  if (choices.length) {
    const select = document.createElement('select');
    select.append(...choices.map((choice) => new Option(choice, choice)));
    return select;
  }
  const kind = {bool: 'checkbox', double: 'number', integer: 'number'}[type] || 'text';
  return Object.assign(document.createElement('input'), {type: kind, step: type === 'integer' ? 1 : 'any'});
}

// A slider is linear over a narrow range, and logarithmic about the default over a wide one.
function createSlider({type, minimum, maximum, default: usual}, field) {
  const isNarrow = maximum - minimum <= 100, low = Math.max(minimum, usual / 10) || 0.01, high = Math.min(maximum, 10 * usual) || 100;
  const slider = Object.assign(document.createElement('input'), {type: 'range', min: 0, max: 1, step: 0.001});
  const round = (value) => (type === 'integer' ? Math.round(value) : +value.toPrecision(3));
  slider.oninput = () => {
    field.value = round(isNarrow ? minimum + slider.value * (maximum - minimum) : low * (high / low) ** slider.value);
    field.onchange();
  };
  slider.show = (value) => {
    slider.value = isNarrow ? (value - minimum) / (maximum - minimum) : Math.log(Math.max(value, low) / low) / Math.log(high / low);
  };
  return slider;
}

function valueOf({type}, field) {
  return type === 'bool' ? field.checked : type === 'double' || type === 'integer' ? +field.value : field.value;
}

function showParameter(name, value) {
  const row = document.querySelector(`#parameters label[data-name="${name}"]`);
  if (!row || row.contains(document.activeElement) && row.matches(':active')) return;
  const field = row.lastElementChild;
  if (field.type === 'checkbox') field.checked = value;
  else if (document.activeElement !== field) field.value = typeof value === 'number' ? +value.toPrecision(6) : value;
  if (row.children.length === 3) row.children[1].show(value);
  row.classList.toggle('changed', value !== row.parameter.default);
}

function showRefusal({refused, of}) {
  const note = $('#parameters small');
  note.className = refused ? 'refused' : '';
  note.textContent = refused || (of.set ? `${of.set} is ${of.value}` : 'the state is reset');
}

// The time line.

function startTimeline(stamps) {
  const slider = $('#timeline input');
  $('#timeline').hidden = false;
  slider.max = stamps.length - 1;
  slider.oninput = () => ask(+slider.value);
  slider.onpointerdown = () => { page.isDragging = true; };
  slider.onpointerup = () => { page.isDragging = false; };
  $('#play').onclick = () => {
    page.isPlaying = !page.isPlaying;
    $('#play').textContent = page.isPlaying ? 'Pause' : 'Play';
    if (page.isPlaying) advance();
  };
}

const next = (number) => (number + 1) % page.facts.stamps.length;
const advance = () => page.isPlaying && ask(next(page.number ?? -1));

function waitUntilNext(number) {
  const stamps = page.facts.stamps, due = performance.now();
  const step = next(number) ? 1000 * (stamps[next(number)] - stamps[number]) : RETRY_MS;
  const wait = Math.max(0, step - (page.shownAt ? Math.max(0, due - page.shownAt - step) : 0));
  page.shownAt = due + wait;
  return wait;
}

// Controls of the views.

$('#home').onclick = () => page.scene?.home();
$('#shade').onclick = ({target}) => {
  page.byDepth = !page.byDepth;
  target.textContent = page.byDepth ? 'Image colours' : 'Depth colours';
  if (page.facts?.stamps) ask(page.number);
};
$('#show-map').onclick = ({target}) => {
  const isShown = target.getAttribute('aria-pressed') !== 'true';
  target.setAttribute('aria-pressed', isShown);
  page.scene.map.visible = isShown;
  page.scene.draw();
};
$('#confidence button').onclick = ({target}) => {
  page.withConfidence = !page.withConfidence;
  target.setAttribute('aria-pressed', page.withConfidence);
  target.textContent = page.withConfidence ? 'hide' : 'show';
  $('#confidence').classList.toggle('off', !page.withConfidence);
  if (page.facts?.stamps) ask(page.number);
};
depth.onpointermove = (event) => {
  const box = depth.getBoundingClientRect();
  page.pointed = [Math.min((event.clientX - box.left) / box.width, 0.999), Math.min((event.clientY - box.top) / box.height, 0.999)];
  showPointed();
};
$('.scale i').style.background = `linear-gradient(to right, ${Array.from({length: 9}, (_, k) => `rgb(${turbo(1 - k / 8)})`)})`;
setInterval(showGauges, 250);
connect();
