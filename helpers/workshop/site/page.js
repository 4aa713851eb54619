"use strict";
// A network of Dense layers, pruned and run by plain loops; see page.py.
const $ = (id) => document.getElementById(id);
const { unit, sizes, stops, stored, shown, accuracy } = JSON.parse($("facts").textContent);
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

let numWeights = 0, numBiases = 0;
const layers = sizes.slice(1).map((units, l) => {
  const layer = { inputs: sizes[l], units, from: numWeights, bias: numBiases };
  numWeights += layer.inputs * units;
  numBiases += units;
  return layer;
});
const hidden = layers.slice(0, -1), prunable = layers.at(-1).from;

// Scores, ranks, masks: as helpers/masking.py has them.

// Who goes when: 0 is first. Of equal scores the first goes first.
function ranks(scores) {
  const keys = Float64Array.from(scores, (score, n) => score * 2 ** 20 + n).sort();
  const ranked = new Uint32Array(scores.length);
  keys.forEach((key, rank) => { ranked[key % 2 ** 20] = rank; });
  return ranked;
}

function lots(size) { // mulberry32
  return Uint32Array.from({ length: size }, (_, n) => {
    const state = Math.imul(n + 1, 0x6D2B79F5);
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return mixed ^ (mixed >>> 14);
  });
}

function norms(weights, { inputs, units, from }) { // squared
  const sums = new Float64Array(units);
  for (let n = 0; n < inputs * units; n++) sums[n % units] += weights[from + n] ** 2;
  return sums;
}

// 1 for each weight that still does something.
function survivors(method, sparsity) {
  const kept = new Uint8Array(numWeights).fill(1);
  if (method !== "neurons") {
    const gone = Math.round(sparsity * prunable);
    order[method].forEach((rank, n) => { kept[n] = rank >= gone; });
    return kept;
  }
  let alive = new Uint8Array(sizes[0]).fill(1);
  layers.forEach(({ inputs, units, from }, l) => {
    const gone = Math.round(sparsity * units);
    const next = order.neurons[l]?.map((rank) => rank >= gone) ?? new Uint8Array(units).fill(1);
    for (let n = 0; n < inputs * units; n++) kept[from + n] = alive[Math.floor(n / units)] & next[n % units];
    alive = next;
  });
  return kept;
}

// By input, the weights that survived: what the loops go over.
function rows({ weights, biases }, kept) {
  return layers.map(({ inputs, units, from, bias }) => {
    const start = new Uint32Array(inputs + 1), heard = new Uint8Array(units);
    const to = new Uint16Array(inputs * units), weight = new Int8Array(inputs * units);
    let count = 0;
    for (let input = 0, n = from; input < inputs; input++) {
      for (let one = 0; one < units; one++, n++) {
        if (!kept[n]) continue;
        to[count] = one;
        weight[count++] = weights[n];
        heard[one] = 1;
      }
      start[input + 1] = count;
    }
    const own = biases.subarray(bias, bias + units);
    return { start, to, weight, biases: own, heard, sums: new Float64Array(units) };
  });
}

// The loops that a pruned network shortens: zeros are skipped everywhere.
function multiply(values, at, inputs, { start, to, weight, sums }) {
  sums.fill(0);
  for (let input = 0; input < inputs; input++) {
    const value = values[at + input], end = start[input + 1];
    if (value === 0) continue;
    let n = start[input];
    for (; n + 3 < end; n += 4) { // four at a time: a third faster
      sums[to[n]] += value * weight[n];
      sums[to[n + 1]] += value * weight[n + 1];
      sums[to[n + 2]] += value * weight[n + 2];
      sums[to[n + 3]] += value * weight[n + 3];
    }
    for (; n < end; n++) sums[to[n]] += value * weight[n];
  }
}

// The network's outputs for the image at a place; each layer keeps its own.
function run(network, pixels, at = 0) {
  let values = pixels, factor = unit / 255;
  network.forEach((layer, l) => {
    multiply(values, l ? 0 : at, sizes[l], layer);
    const { sums, biases } = layer, floor = l < hidden.length ? 0 : -Infinity;
    for (let one = 0; one < sums.length; one++) sums[one] = Math.max(floor, factor * sums[one] + biases[one]);
    [values, factor] = [sums, unit];
  });
  return values;
}

const best = (sums) => sums.indexOf(Math.max(...sums)); // the first, of equals
const all = (network) => labels.map((_, n) => best(run(network, images, sizes[0] * n)));

function timed(network) { // ms for one image, and what the network says
  const start = performance.now(), said = all(network);
  return [(performance.now() - start) / said.length, said];
}

// A drawing as MNIST has it: in a box of 20 x 20, its mass in the middle.

const PEN = 1.25; // half of a line's width, in pixels
function paint(strokes, zoom, dx, dy) {
  const image = new Float64Array(sizes[0]);
  for (const stroke of strokes) {
    stroke.forEach(([x, y], n) => {
      const [u, v] = stroke[Math.max(0, n - 1)];
      const [ax, ay, bx, by] = [u * zoom + dx, v * zoom + dy, x * zoom + dx, y * zoom + dy];
      const length = (bx - ax) ** 2 + (by - ay) ** 2 || 1;
      for (let p = 0; p < image.length; p++) {
        const px = (p % 28) + 0.5, py = Math.floor(p / 28) + 0.5;
        const along = Math.min(1, Math.max(0, ((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / length));
        const away = Math.sqrt((px - ax - along * (bx - ax)) ** 2 + (py - ay - along * (by - ay)) ** 2);
        image[p] = Math.max(image[p], Math.min(1, Math.max(0, PEN + 0.5 - away)));
      }
    });
  }
  return image;
}

function centred(strokes) {
  const [xs, ys] = [0, 1].map((axis) => strokes.flat().map((point) => point[axis]));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const zoom = (20 - 2 * PEN) / Math.max(right - left, bottom - top, 0.15);
  const middle = [14 - zoom * (left + right) / 2, 14 - zoom * (top + bottom) / 2];
  let mass = 0, x = 0, y = 0;
  paint(strokes, zoom, ...middle).forEach((ink, p) => {
    mass += ink;
    x += ink * ((p % 28) + 0.5);
    y += ink * (Math.floor(p / 28) + 0.5);
  });
  const image = paint(strokes, zoom, middle[0] + 14 - x / mass, middle[1] + 14 - y / mass);
  return image.map((ink) => Math.round(255 * ink));
}

// What the page holds.

let images, labels, dense, order, whole;
const learnt = {}; // retrained networks, by line and stop

async function unpack() {
  const packed = Uint8Array.from(atob($("blob").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const content = await new Response(stream).arrayBuffer();
  let at = 0;
  const take = (Kind, size) => new Kind(content.slice(at, (at += size * Kind.BYTES_PER_ELEMENT)));
  images = Float64Array.from(take(Uint8Array, shown * sizes[0]));
  labels = take(Uint8Array, shown);
  dense = { weights: take(Int8Array, numWeights), biases: take(Float32Array, numBiases) };
  order = {
    weights: ranks(dense.weights.subarray(0, prunable).map(Math.abs)),
    random: ranks(lots(prunable)),
    neurons: hidden.map((layer) => ranks(norms(dense.weights, layer))),
  };
  whole = rows(dense, survivors("weights", 0));
  for (const [method, stop] of stored) {
    const kept = survivors(method, stops[stop]);
    const biases = take(Float32Array, numBiases);
    const change = take(Int8Array, sum(kept));
    learnt[`${method} ${stop}`] = { kept, biases, change };
  }
}

function weightsOf({ kept, biases, change }) {
  const weights = new Int8Array(numWeights);
  let n = 0;
  kept.forEach((one, at) => { if (one) weights[at] = dense.weights[at] + change[n++]; });
  return { weights, biases };
}

// What the reader sees.

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const say = (id, text) => { $(id).textContent = text; };
const colours = {}; // of the style, by day or by night
function mix() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "ink", "line", "plus", "minus", "wrong", "answer"]) {
    colours[name] = style.getPropertyValue(`--${name}`);
  }
}
const milliseconds = (ms) => `${ms.toPrecision(2)} ms`;
let now = null, drawn = null, moves = 0, waiting = false;

function chosen() {
  const method = document.querySelector("[name=method]:checked").value;
  const stop = Number($("stop").value), known = learnt[`${method} ${stop}`];
  $("retrain").disabled = !known;
  const retrained = $("retrain").checked && known;
  return { method, stop, retrained, line: retrained ? `${method}, retrained` : method };
}

function show() {
  waiting = false;
  const { method, stop, retrained, line } = chosen();
  const kept = retrained ? retrained.kept : survivors(method, stops[stop]);
  const source = retrained ? weightsOf(retrained) : dense;
  const network = rows(source, kept);
  const [ms, said] = timed(network);
  now = { network, kept, said, weights: source.weights, heard: pixelsHeard(network[0]) };
  const right = said.filter((one, n) => one === labels[n]).length;
  const left = sum(kept.subarray(0, prunable));
  const what = `${Math.round(100 * stops[stop])} % of the ${method === "neurons" ? "neurons" : "weights"}`;
  $("stop").setAttribute("aria-valuetext", `${what} deleted`);
  say("deleted", `${what} deleted${retrained ? ", retrained" : ""}`);
  say("accuracy", percent(right / labels.length));
  say("tested", percent(accuracy[line][stop]));
  say("left", left.toLocaleString("en"));
  say("share", percent(left / prunable));
  say("neurons", `${sum(hidden.map((_, l) => sum(network[l].heard)))} of ${layers.at(-1).bias}`);
  say("pixels", `${now.heard.filter(Boolean).length} of ${sizes[0]}`);
  say("time", milliseconds(ms));
  say("faster", "");
  $("mosaic").dataset.said = said.join("");
  document.body.dataset.place = `${line} ${stop}`;
  document.querySelectorAll("#curves polyline").forEach((curve) => {
    curve.classList.toggle("chosen", curve.classList.contains(method));
  });
  $("here").style.left = `${(100 * stop) / (stops.length - 1)}%`;
  $("here").style.top = `${100 - 100 * accuracy[line][stop]}%`;
  drawMosaic();
  drawNetwork();
  showDrawing();
  clearTimeout(show.settles);
  show.settles = setTimeout(settle, 400, ++moves);
}

function later() { // at most once per frame
  if (!waiting) requestAnimationFrame(show);
  waiting = true;
}

async function settle(move) { // the whole and the pruned network, in turns
  const times = [[], []];
  for (let turn = 0; turn < 10; turn++) {
    await new Promise((resolve) => setTimeout(resolve));
    if (move !== moves) return;
    times[turn % 2].push(timed(turn % 2 ? now.network : whole)[0]);
  }
  const [all, few] = times.map((ms) => ms.sort((a, b) => a - b)[2]);
  say("time", milliseconds(few));
  say("faster", `whole: ${milliseconds(all)}, ${(all / few).toFixed(1)} times as long`);
}

function pixelsHeard({ start, weight }) { // the sum of what leaves each
  return Float64Array.from({ length: sizes[0] }, (_, pixel) => {
    let strength = 0;
    for (let n = start[pixel]; n < start[pixel + 1]; n++) strength += Math.abs(weight[n]);
    return strength;
  });
}

function fresh(canvas, ratio) { // clear, and as fine as the screen
  const fine = window.devicePixelRatio, width = canvas.clientWidth;
  canvas.width = width * fine;
  canvas.height = width * ratio * fine;
  const pen = canvas.getContext("2d");
  pen.scale(fine, fine);
  return [pen, width, width * ratio];
}

function sheet(ink) { // all images in one colour, on nothing
  const canvas = Object.assign(document.createElement("canvas"), { width: 28 * 25, height: 28 * Math.ceil(shown / 25) });
  const pen = canvas.getContext("2d");
  const data = pen.createImageData(canvas.width, canvas.height);
  for (let n = 0; n < images.length; n++) {
    const one = Math.floor(n / 784), p = n % 784;
    const x = 28 * (one % 25) + (p % 28), y = 28 * Math.floor(one / 25) + Math.floor(p / 28);
    data.data[4 * (y * canvas.width + x) + 3] = images[n];
  }
  pen.putImageData(data, 0, 0);
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = ink;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}

const sheets = {};
function drawMosaic() {
  const [right, wrong] = [colours.ink, colours.paper].map((ink) => (sheets[ink] ??= sheet(ink)));
  const canvas = $("mosaic"), pen = canvas.getContext("2d");
  [canvas.width, canvas.height] = [right.width, right.height];
  pen.drawImage(right, 0, 0);
  let mistakes = 0;
  now.said.forEach((one, n) => {
    if (one === labels[n]) return;
    const place = [28 * (n % 25), 28 * Math.floor(n / 25), 28, 28];
    pen.fillStyle = colours.wrong;
    pen.clearRect(...place);
    pen.fillRect(...place);
    pen.drawImage(wrong, ...place, ...place);
    mistakes++;
  });
  canvas.setAttribute("aria-label", `${labels.length} test images, ${mistakes} of them classified wrongly`);
}

const STRANDS = [2600, 1500, 500]; // edges that are drawn, drawn by lot
const strands = layers.map(({ inputs, units }, l) => lots(STRANDS[l]).map((n) => n % (inputs * units)));
function drawNetwork() {
  const [pen, width, height] = fresh($("network"), $("network").clientWidth < 500 ? 0.7 : 0.47);
  const side = Math.min(0.34 * width, height - 20), top = (height - side) / 2, cell = side / 28;
  const columns = [1, 4, 2, 1], middles = [side, 0.58 * width, 0.79 * width, width - 14];
  const place = (layer, n) => {
    if (!layer) return [side, top + ((n + 0.5) / sizes[0]) * side];
    const deep = columns[layer], row = (Math.floor(n / deep) + 0.5 + (n % deep) / deep) / (sizes[layer] / deep + 1);
    return [middles[layer] + ((n % deep) - (deep - 1) / 2) * 7, 6 + row * (height - 12)];
  };
  layers.forEach(({ units, from }, l) => {
    const alive = [...strands[l]].filter((n) => now.kept[from + n]);
    pen.globalAlpha = Math.min(0.8, 0.1 + 20 / alive.length);
    for (const [sign, name] of [[1, "plus"], [-1, "minus"]]) {
      pen.strokeStyle = colours[name];
      pen.beginPath();
      for (const n of alive.filter((one) => sign * now.weights[from + one] > 0)) {
        pen.moveTo(...place(l, Math.floor(n / units)));
        pen.lineTo(...place(l + 1, n % units));
      }
      pen.stroke();
    }
  });
  const most = Math.max(...now.heard);
  pen.fillStyle = colours.ink;
  now.heard.forEach((strength, n) => {
    pen.globalAlpha = strength ? 0.15 + 0.85 * strength / most : 0;
    pen.fillRect((n % 28) * cell, top + Math.floor(n / 28) * cell, cell - 0.5, cell - 0.5);
  });
  pen.globalAlpha = 1;
  pen.strokeStyle = colours.line;
  pen.strokeRect(0.5, top - 0.5, side, side);
  const active = activity();
  now.network.forEach(({ heard }, l) => {
    const last = l === hidden.length, size = last ? Math.min(10, height / 25) : 2;
    const high = active && (Math.max(...active[l]) || 1);
    heard.forEach((any, n) => {
      pen.beginPath();
      pen.arc(...place(l + 1, n), size, 0, 7);
      pen.globalAlpha = any ? 1 : 0.35;
      pen.strokeStyle = pen.fillStyle = any ? colours.ink : colours.line;
      if (last) {
        const answer = active && n === best(active[l]);
        pen.fillStyle = answer ? colours.answer : colours.paper;
        pen.fill();
        pen.stroke();
        pen.fillStyle = answer ? colours.paper : colours.ink;
        pen.font = "13px system-ui, sans-serif";
        pen.textAlign = "center";
        pen.fillText(n, ...place(l + 1, n).map((at, axis) => at + 4.5 * axis));
      } else if (any) {
        pen.globalAlpha = active ? 0.15 + 0.85 * active[l][n] / high : 0.7;
        pen.fillStyle = active ? colours.answer : colours.ink;
        pen.fill();
      } else pen.stroke();
    });
  });
}

function activity() { // of each layer, for the reader's drawing
  if (!drawn) return null;
  run(now.network, drawn);
  return now.network.map(({ sums }) => sums.slice());
}

// The pad.

function shares(sums) { // softmax
  const powers = Array.from(sums, (value) => Math.exp(value - Math.max(...sums)));
  return powers.map((power) => power / sum(powers));
}

function showDrawing() {
  for (const [name, network] of [["dense", whole], ["pruned", now.network]]) {
    const found = drawn && shares(run(network, drawn));
    document.querySelectorAll(`#bars .${name}`).forEach((bar, n) => { bar.value = found ? found[n] : 0; });
    say(`${name}-says`, found ? `${best(found)} (${percent(Math.max(...found))})` : "…");
  }
  $("seen").dataset.pixels = drawn ? drawn.join() : "";
  const pen = $("seen").getContext("2d");
  const data = pen.createImageData(28, 28);
  (drawn ?? []).forEach((ink, n) => data.data.set([255, 255, 255, ink], 4 * n));
  pen.putImageData(data, 0, 0);
}

let strokes = [];
function drawPad() {
  const [pen, width] = fresh($("pad"), 1);
  pen.lineWidth = width / 14;
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = colours.ink;
  for (const stroke of strokes) {
    pen.beginPath();
    [stroke[0], ...stroke].forEach(([x, y]) => pen.lineTo(x * width, y * width));
    pen.stroke();
  }
}

function look(pixels, own = []) {
  [drawn, strokes] = [pixels, own];
  drawPad();
  showDrawing();
  drawNetwork();
}

function draw(event) {
  if (event.type === "pointerdown") {
    $("pad").setPointerCapture(event.pointerId);
    strokes.push([]);
  } else if (!$("pad").hasPointerCapture(event.pointerId)) return;
  const box = $("pad").getBoundingClientRect();
  strokes.at(-1).push([(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]);
  look(centred(strokes), strokes);
}

// A test image that the whole network gets right and this one wrong, if any.
let last = -1;
function another() {
  const right = all(whole);
  const places = [...labels.keys()].map((n) => (n + last + 1) % labels.length);
  last = places.find((n) => right[n] === labels[n] && now.said[n] !== labels[n]) ?? places[0];
  look(images.slice(784 * last, 784 * (last + 1)));
}

function start() {
  document.querySelectorAll(".live").forEach((part) => { part.hidden = false; });
  $("still").hidden = true;
  for (let warm = 0; warm < 3; warm++) all(whole);
  $("controls").addEventListener("input", later);
  for (const kind of ["pointerdown", "pointermove"]) $("pad").addEventListener(kind, draw);
  $("clear").addEventListener("click", () => look(null));
  $("another").addEventListener("click", another);
  $("mosaic").addEventListener("click", ({ offsetX, offsetY }) => {
    const cell = $("mosaic").clientWidth / 25;
    last = 25 * Math.floor(offsetY / cell) + Math.floor(offsetX / cell);
    if (last < shown) look(images.slice(784 * last, 784 * (last + 1)));
  });
  const redraw = () => {
    mix();
    drawMosaic();
    drawNetwork();
    drawPad();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("resize", redraw);
  mix();
  show();
  drawPad();
  document.body.dataset.ready = true;
}

unpack().then(start, (error) => say("still", `The slider does not work in this browser (${error.message}).`));
