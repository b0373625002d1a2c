"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  const $ = (id) => document.getElementById(id);
  const { classes, gallery, run } = content;
  const byId = new Map(classes.map((row) => [row.id, row]));
  const unit = content.georeferenced ? "" : " px";
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  /* Words and numbers */

  const whole = (value) => value.toLocaleString("en", { maximumFractionDigits: 0 });
  const digits = (value) => value <= 0 ? "0" : value.toLocaleString("en", { maximumSignificantDigits: Math.max(3, Math.ceil(Math.log10(value) + 1e-9)) });
  const plural = (count, one) => `${whole(count)} ${count === 1 ? one : one + "s"}`;
  const percent = (share) => share <= 0 ? "0 %" : share < 0.001 ? "under 0.1 %" : `${(100 * share).toFixed(1)} %`;
  function area(value) {
    if (unit) return digits(value) + unit;
    if (value >= 1e6) return `${digits(value / 1e6)} km²`;
    if (value > 0 && value < 0.1) return `${digits(value * 1e4)} cm²`;
    return value >= 1e4 ? `${digits(value / 1e4)} ha` : `${digits(value)} m²`;
  }
  const seconds = (value) => value >= 3600 ? `${Math.floor(value / 3600)} h ${Math.round(value % 3600 / 60)} min`
    : value >= 90 ? `${Math.floor(value / 60)} min ${Math.round(value % 60)} s` : `${value.toFixed(value < 10 ? 2 : 1)} s`;

  /** An element with attributes, style properties under `style`, and children; texts are never read as HTML. */
  function make(name, attributes = {}, ...children) {
    const svg = ["svg", "circle", "rect", "line", "title", "g"].includes(name);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "style") for (const [property, said] of Object.entries(value)) made.style.setProperty(property, said);
      else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }
  const swatch = (row, more = "") => make("span", { class: `swatch ${more}`, style: { background: row.colour }, "aria-hidden": "true" });
  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  async function inflated(text) {
    if (!("DecompressionStream" in window)) throw new Error("this browser is too old to unpack the labels");
    const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }
  const jpegUrl = (text) => URL.createObjectURL(new Blob([bytesOf(text)], { type: "image/jpeg" }));

  /* Light and dark */

  const remembered = (value) => {
    try { return value === undefined ? localStorage.getItem("geoalps-theme") : localStorage.setItem("geoalps-theme", value); } catch { return null; }
  };
  const wanted = remembered();
  if (wanted === "light" || wanted === "dark") document.documentElement.dataset.theme = wanted;
  $("theme").addEventListener("click", () => {
    const root = document.documentElement, now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    remembered(root.dataset.theme);
    map.draw();
  });

  /* What is under the pointer */

  const tip = $("tip");
  function showTip(x, y, ...children) {
    tip.replaceChildren(...children);
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(6, Math.min(x + 14, innerWidth - box.width - 6))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(6, y - box.height - 12) : y + 18}px`;
  }
  const hideTip = () => { tip.hidden = true; };
  addEventListener("scroll", hideTip, { passive: true });

  /* Highlighting one class, everywhere at once */

  let lit = null;
  const listeners = [];
  function light(id) {
    lit = id !== null && lit !== id && byId.has(id) ? id : null;
    listeners.forEach((listener) => listener());
  }
  addEventListener("keydown", (event) => { if (event.key === "Escape") { hideTip(); if (lit !== null) light(lit); } });

  /* Head */

  $("name").textContent = content.name;
  for (const fact of content.facts) {
    $("facts").append(make("div", {}, make("dt", {}, fact.label), make("dd", {}, fact.value, fact.note ? make("small", {}, fact.note) : null)));
  }
  const notice = (warn, head, text) => $("notices").append(make("p", { class: warn ? "notice warn" : "notice" }, head ? make("b", {}, `${head} `) : null, text));
  const damaged = Object.entries(run.damaged_tiles || {});
  const drift = run.drift || {};
  if (drift.unseen > 0.02 || drift.unusual > 0.2) {
    notice(true, "This scene differs from what the classes were learnt on.", `${percent(drift.unseen)} of the objects are farther from every class than any object before, ${percent(drift.unusual)} are unusual for their class (1 % is usual).`);
  }
  content.notes.forEach((text) => notice(true, "", text));
  content.advice.forEach((text) => notice(false, "", text.charAt(0).toUpperCase() + text.slice(1)));

  /* Chips: one sheet of pictures */

  const placeOf = new Map(gallery.chips.map((id, place) => [id, place]));
  const pointOf = new Map(gallery.points.map((point) => [point[0], point]));
  const sheet = gallery.sheet ? jpegUrl(gallery.sheet) : null;
  const rows = Math.ceil(gallery.chips.length / gallery.columns);
  function picture(name, id, size, more, attributes = {}) {
    const place = placeOf.get(id);
    if (place === undefined || !sheet) return make(name, { class: `chip none ${more}`, ...attributes }, `#${id}`);
    const col = place % gallery.columns, row = Math.floor(place / gallery.columns);
    const share = (at, count) => count > 1 ? `${100 * at / (count - 1)}%` : "0%";
    return make(name, { class: `chip ${more}`, ...attributes, style: {
      "background-image": `url(${sheet})`, "background-size": `${100 * gallery.columns}% ${100 * rows}%`,
      "background-position": `${share(col, gallery.columns)} ${share(row, rows)}`,
    } });
  }
  function about(id, row, confidence) {
    const known = pointOf.get(id), sure = confidence ?? (known ? known[2] : undefined);
    return [
      make("span", {}, swatch(row, "small"), row.name),
      make("span", { class: "soft" }, `Object ${id}${sure === undefined ? "" : ` · confidence ${sure.toFixed(2)}`}`),
    ];
  }
  const boxOf = (id) => placeOf.has(id) ? gallery.boxes[placeOf.get(id)] : undefined;

  /* The map */

  const map = (() => {
    const view = $("view"), frame = $("map"), swipe = $("swipe"), context = view.getContext("2d");
    const [height, width] = content.shape, factor = Math.ceil(Math.max(height, width) / 2048);
    const size = [Math.ceil(width / factor), Math.ceil(height / factor)];
    let scale = 1, left = 0, top = 0, split = 0.5, opacity = 0.7, fitted = true;
    let base = null, labels = null, values = null, marked = null, markedAt = 0, waiting = false;

    const canvas = (w, h) => Object.assign(document.createElement("canvas"), { width: w, height: h });
    function resize() {
      const ratio = devicePixelRatio || 1, box = frame.getBoundingClientRect();
      view.width = Math.round(box.width * ratio);
      view.height = Math.round(box.height * ratio);
      if (fitted) fit(); else { bound(); draw(); }
    }
    const box = () => [frame.clientWidth, frame.clientHeight];
    const whole = () => Math.min(box()[0] / size[0], box()[1] / size[1]);
    function fit() {
      const [w, h] = box();
      scale = whole();
      left = (w - size[0] * scale) / 2;
      top = (h - size[1] * scale) / 2;
      fitted = true;
      draw();
    }
    /** Keep some of the scene in view. */
    function bound() {
      const [w, h] = box();
      scale = Math.min(Math.max(scale, whole() * 0.8), Math.max(40 / factor, 24));
      left = Math.min(Math.max(left, w * 0.3 - size[0] * scale), w * 0.7);
      top = Math.min(Math.max(top, h * 0.3 - size[1] * scale), h * 0.7);
    }
    function zoom(by, x = box()[0] / 2, y = box()[1] / 2) {
      const before = scale;
      scale *= by;
      scale = Math.min(Math.max(scale, whole() * 0.8), Math.max(40 / factor, 24));
      left = x - (x - left) * scale / before;
      top = y - (y - top) * scale / before;
      fitted = false;
      bound();
      draw();
    }
    function pan(x, y) { left += x; top += y; fitted = false; bound(); draw(); }

    function paintLabels() {
      if (!values) return;
      const { array, shape, none } = values, image = new ImageData(shape[1], shape[0]);
      const table = new Uint32Array(none + 1), little = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
      for (const row of classes) {
        const rgb = parseInt(row.colour.slice(1), 16), alpha = lit === null || lit === row.id ? 255 : 20;
        const [r, g, b] = [rgb >> 16, rgb >> 8 & 255, rgb & 255];
        table[row.id] = little ? (alpha << 24 | b << 16 | g << 8 | r) >>> 0 : (r << 24 | g << 16 | b << 8 | alpha) >>> 0;
      }
      const pixels = new Uint32Array(image.data.buffer);
      for (let i = 0; i < array.length; i++) pixels[i] = table[array[i]];
      labels = labels || canvas(shape[1], shape[0]);
      labels.getContext("2d").putImageData(image, 0, 0);
    }

    function draw() {
      if (!waiting) { waiting = true; requestAnimationFrame(paint); }
    }
    function paint() {
      waiting = false;
      const ratio = devicePixelRatio || 1, [w, h] = box();
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, w, h);
      context.imageSmoothingEnabled = scale < 3;
      context.imageSmoothingQuality = "high";
      const place = [left, top, size[0] * scale, size[1] * scale];
      if (base) context.drawImage(base, ...place);
      if (labels) {
        context.save();
        context.beginPath();
        context.rect(split * w, 0, w, h);
        context.clip();
        if (lit !== null) { context.fillStyle = veil(byId.get(lit).colour); context.fillRect(...place); }
        context.globalAlpha = lit === null ? opacity : Math.max(opacity, 0.85);
        context.drawImage(labels, ...place);
        context.restore();
      }
      if (marked) mark(w, h);
      measure();
    }
    /** What the rest of the scene is dimmed with, so that a class of this colour stands out. */
    function veil(colour) {
      const rgb = parseInt(colour.slice(1), 16), light = (0.3 * (rgb >> 16) + 0.59 * (rgb >> 8 & 255) + 0.11 * (rgb & 255)) / 255;
      return light < 0.45 ? "rgba(244, 243, 238, .66)" : "rgba(14, 17, 16, .64)";
    }
    /** A frame around the object that was asked for. */
    function mark(w, h) {
      const [row0, col0, row1, col1] = marked.map((edge) => edge / factor * scale);
      const pulse = calm ? 0 : Math.max(0, 1 - (performance.now() - markedAt) / 900), grow = 5 + 26 * pulse;
      const around = [left + col0 - grow, top + row0 - grow, col1 - col0 + 2 * grow, row1 - row0 + 2 * grow];
      for (const [colour, line] of [["rgba(0, 0, 0, .55)", 4.5], ["#fff", 2]]) {
        context.strokeStyle = colour;
        context.lineWidth = line;
        context.strokeRect(...around);
      }
      if (pulse > 0) draw();
    }
    /** The bar of a round length, 60 to 150 pixels on the screen. */
    function measure() {
      const metres = content.pixel ? content.pixel * factor / scale : null, bar = $("scale");
      bar.hidden = metres === null;
      if (metres === null) return;
      const most = 130 * metres, ten = 10 ** Math.floor(Math.log10(most)), round = [5, 2, 1].find((step) => step * ten <= most) * ten;
      bar.style.width = `${round / metres}px`;
      bar.firstElementChild.textContent = round >= 1000 ? `${round / 1000} km` : round >= 1 ? `${round} m` : `${+(round * 100).toPrecision(2)} cm`;
    }

    /** Class at a place of the view, null for none, undefined outside of the scene. */
    function at(x, y) {
      const col = (x - left) / scale, row = (y - top) / scale;
      if (col < 0 || row < 0 || col * factor >= width || row * factor >= height) return undefined;
      if (!values) return null;
      const { array, shape } = values;
      const place = Math.min(shape[0] - 1, Math.floor(row * shape[0] / size[1])) * shape[1] + Math.min(shape[1] - 1, Math.floor(col * shape[1] / size[0]));
      return byId.get(array[place]) || null;
    }
    function tell(x, y, clientX, clientY) {
      const row = at(x, y);
      if (row === undefined) { hideTip(); $("readout").textContent = ""; return; }
      showTip(clientX, clientY, row ? make("span", {}, swatch(row, "small"), row.name) : make("span", { class: "soft" }, "uncovered"));
      const [a, b, c, d, e, f] = content.transform, col = (x - left) / scale * factor, line = (y - top) / scale * factor;
      const [east, north] = [a * col + b * line + c, d * col + e * line + f], step = Math.max(Math.abs(a), Math.abs(b), 1e-12);
      const places = Math.min(7, Math.max(0, Math.ceil(-Math.log10(step * factor)) + (step < 0.01 ? 1 : 0)));
      $("readout").textContent = content.georeferenced ? `x ${east.toFixed(places)}, y ${north.toFixed(places)}` : `column ${Math.floor(col)}, row ${Math.floor(line)}`;
    }

    /* Pointers: one moves, two zoom, a short one asks for the class */
    const down = new Map();
    let moved = 0;
    const local = (event) => { const r = frame.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
    view.addEventListener("pointerdown", (event) => {
      view.setPointerCapture(event.pointerId);
      if (!down.size) moved = 0;
      down.set(event.pointerId, local(event));
      view.classList.add("dragging");
      hideTip();
    });
    view.addEventListener("pointermove", (event) => {
      const now = local(event), before = down.get(event.pointerId);
      if (!before) { tell(...now, event.clientX, event.clientY); return; }
      moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
      if (down.size === 1) { if (moved > 4) pan(now[0] - before[0], now[1] - before[1]); }
      else {
        const other = [...down.entries()].find(([id]) => id !== event.pointerId)[1];
        const apart = (place) => Math.max(12, Math.hypot(place[0] - other[0], place[1] - other[1]));
        const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
        pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
        zoom(apart(now) / apart(before), ...middle);
      }
      if (moved > 4 || down.size > 1) down.set(event.pointerId, now);
    });
    const up = (event) => {
      const began = down.delete(event.pointerId);
      if (!down.size) view.classList.remove("dragging");
      if (began && event.type === "pointerup" && moved <= 4 && !down.size) {
        const row = at(...local(event));
        if (event.pointerType === "touch") tell(...local(event), event.clientX, event.clientY);
        else if (row) light(row.id);
        else if (lit !== null) light(lit);
        if (marked) { marked = null; draw(); }
      }
    };
    view.addEventListener("pointerup", up);
    view.addEventListener("pointercancel", up);
    view.addEventListener("pointerleave", () => { hideTip(); $("readout").textContent = ""; });
    view.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 30 : 1;
      zoom(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * lines)) * (event.ctrlKey ? 0.01 : 0.0025)), ...local(event));
    }, { passive: false });
    view.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
      if (step) pan(...step);
      else if (event.key === "+" || event.key === "=") zoom(1.5);
      else if (event.key === "-") zoom(1 / 1.5);
      else if (event.key === "0") fit();
      else return;
      event.preventDefault();
    });
    $("in").addEventListener("click", () => zoom(1.6));
    $("out").addEventListener("click", () => zoom(1 / 1.6));
    $("all").addEventListener("click", fit);

    /* The line between scene and labels */
    function cut(share) {
      split = Math.min(1, Math.max(0, share));
      swipe.style.left = `${100 * split}%`;
      swipe.setAttribute("aria-valuenow", Math.round(100 * split));
      swipe.setAttribute("aria-valuetext", `${Math.round(100 * split)} % scene, ${Math.round(100 - 100 * split)} % labels`);
      document.querySelector(".side.left").style.opacity = split < 0.15 ? 0 : 1;
      document.querySelector(".side.right").style.opacity = split > 0.85 ? 0 : 1;
      draw();
    }
    swipe.addEventListener("pointerdown", (event) => { swipe.setPointerCapture(event.pointerId); swipe.focus(); event.preventDefault(); });
    swipe.addEventListener("pointermove", (event) => { if (swipe.hasPointerCapture(event.pointerId)) cut(local(event)[0] / box()[0]); });
    swipe.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: split - 0.03, ArrowDown: split - 0.03, ArrowRight: split + 0.03, ArrowUp: split + 0.03, Home: 0, End: 1, PageUp: split + 0.2, PageDown: split - 0.2 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      cut(to);
    });
    $("opacity").addEventListener("input", (event) => {
      opacity = event.target.value / 100;
      $("opacity-value").textContent = `${event.target.value} %`;
      draw();
    });

    /** Bring an object into view, and put a frame around it. */
    function show(id) {
      const at = boxOf(id);
      if (!at) return;
      const [w, h] = box(), [row0, col0, row1, col1] = at.map((edge) => edge / factor);
      scale = Math.min(Math.min(w, h) / Math.max(4 * Math.max(row1 - row0, col1 - col0), 60), 12);
      scale = Math.max(scale, whole());
      left = w / 2 - (col0 + col1) / 2 * scale;
      top = h / 2 - (row0 + row1) / 2 * scale;
      fitted = false;
      marked = at;
      markedAt = performance.now();
      draw();
      inView();
    }
    function inView() {
      const place = frame.getBoundingClientRect();
      if (place.bottom < 120 || place.top > innerHeight - 120) frame.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "center" });
    }
    listeners.push(() => { paintLabels(); draw(); });

    async function load() {
      if (content.preview) {
        const picture = new Image();
        picture.src = jpegUrl(content.preview);
        await picture.decode();
        base = canvas(picture.naturalWidth, picture.naturalHeight);
        const pen = base.getContext("2d");
        pen.drawImage(picture, 0, 0);
        if (content.there) {
          const bits = new Uint8Array(await inflated(content.there.data)), [h, w] = content.there.shape;
          const mask = new ImageData(w, h);
          for (let i = 0; i < w * h; i++) mask.data[4 * i + 3] = bits[i >> 3] >> (7 - (i & 7)) & 1 ? 255 : 0;
          const hole = canvas(w, h);
          hole.getContext("2d").putImageData(mask, 0, 0);
          pen.globalCompositeOperation = "destination-in";
          pen.imageSmoothingEnabled = false;
          pen.drawImage(hole, 0, 0, base.width, base.height);
        }
        draw();
      }
      if (content.labels) {
        const { shape, bytes, none, data } = content.labels, buffer = await inflated(data);
        let array = bytes === 1 ? new Uint8Array(buffer) : new Uint16Array(buffer.byteLength / 2);
        if (bytes === 2) { const seen = new DataView(buffer); for (let i = 0; i < array.length; i++) array[i] = seen.getUint16(2 * i, true); }
        values = { array, shape, none };
        paintLabels();
        draw();
      }
      document.body.dataset.ready = "yes";
    }
    new ResizeObserver(resize).observe(frame);
    resize();
    cut(0.5);
    load().catch((error) => { $("mapless").hidden = false; $("mapless").textContent = `The map cannot be shown: ${error.message}.`; document.body.dataset.ready = "no"; });
    return { draw, show, inView, get state() { return { scale, left, top, split, opacity, fitted, marked }; } };
  })();

  const only = $("only");
  only.addEventListener("click", () => light(lit));
  listeners.push(() => {
    only.hidden = lit === null;
    if (lit !== null) only.replaceChildren(swatch(byId.get(lit), "small"), byId.get(lit).name, make("span", { "aria-hidden": "true" }, "×"), make("span", { class: "skip" }, "show all classes again"));
  });

  /* Cards */

  const total = classes.reduce((sum, row) => sum + row.area, 0);
  const widest = Math.max(1e-12, ...classes.map((row) => row.area));
  const edges = content.sizeEdges;
  function histogram(row) {
    const bins = row.sizes, most = Math.max(1, ...bins), count = bins.length || 1, step = 132 / count;
    const svg = make("svg", { viewBox: "0 0 132 34", preserveAspectRatio: "none", role: "img", "aria-label": `Sizes of ${plural(row.count, "object")}` });
    svg.append(make("line", { x1: 0, x2: 132, y1: 33.5, y2: 33.5, stroke: "var(--line)" }));
    bins.forEach((value, place) => {
      const tall = value ? Math.max(1.5, 31 * value / most) : 0;
      if (tall) svg.append(make("rect", { x: place * step + 0.4, y: 33 - tall, width: Math.max(1, step - 0.8), height: tall, rx: 0.8, fill: row.colour, stroke: "var(--soft)", "stroke-width": 0.35 },
        make("title", {}, `${area(edges[place])} to ${area(edges[place + 1])}: ${plural(value, "object")}`)));
    });
    return make("div", { class: "hist" }, svg, make("p", {}, make("span", {}, edges.length ? area(edges[0]) : ""), make("span", {}, edges.length ? area(edges[edges.length - 1]) : "")));
  }
  /** A row of chips, one stop of the tabulator; arrows go from chip to chip. */
  function chips(head, ids, row) {
    if (!ids.length) return null;
    const list = make("div", { class: "chips", role: "group", "aria-label": `${head} objects of ${row.name}` });
    ids.forEach((id, place) => {
      const say = (event) => {
        const at = event.target.getBoundingClientRect();
        showTip(event.clientX || at.left, event.clientY || at.bottom - 12, picture("span", id, 160, "big"), ...about(id, row));
      };
      list.append(picture("button", id, 60, "", { type: "button", tabindex: place ? -1 : 0, "aria-label": `Object ${id}, show on the map`, onpointermove: say, onfocus: say, onpointerleave: hideTip, onblur: hideTip,
        onclick: (event) => { event.stopPropagation(); hideTip(); map.show(id); } }));
    });
    list.addEventListener("keydown", (event) => {
      const all = [...list.children], now = all.indexOf(document.activeElement), to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: all.length - 1 }[event.key];
      if (to === undefined || !all[to]) return;
      event.preventDefault();
      all[now].tabIndex = -1;
      all[to].tabIndex = 0;
      all[to].focus();
    });
    return make("div", {}, make("h3", {}, head), list);
  }
  function card(row) {
    const head = make("button", { type: "button", class: "title", "aria-pressed": "false", "aria-label": `${row.name}: highlight on the map`, onclick: (event) => { event.stopPropagation(); choose(row.id); } },
      swatch(row), make("strong", {}, row.name), make("span", { class: "number", title: row.parts.length > 1 ? "Class number, and those merged into it" : "Class number" }, row.parts.length > 1 ? `${row.id} + ${row.parts.filter((part) => part !== row.id).join(", ")}` : `${row.id}`));
    const share = total ? row.area / total : 0;
    const numbers = make("div", { class: "numbers" },
      make("div", {}, make("p", {}, plural(row.count, "object")), make("p", {}, area(row.area), make("span", {}, ` · ${percent(share)}`)),
        make("div", { class: "share" }, make("i", { style: { width: `${100 * row.area / widest}%`, background: row.colour } }))),
      row.count ? histogram(row) : null);
    const examples = make("div", { class: "examples" }, chips("Typical", row.typical, row), chips("Borderline", row.borderline, row));
    return make("article", { class: "card", "data-id": row.id, onclick: () => choose(row.id) }, head, numbers, examples.childElementCount ? examples : null);
  }
  function choose(id) {
    light(id);
    if (lit !== null) map.inView();
  }
  const cards = new Map(classes.map((row) => [row.id, card(row)]));
  const orders = {
    id: (one, two) => one.id - two.id, name: (one, two) => one.name.localeCompare(two.name, "en", { numeric: true }),
    count: (one, two) => two.count - one.count || one.id - two.id, area: (one, two) => two.area - one.area || one.id - two.id,
  };
  function arrange() {
    const asked = $("filter").value.trim().toLocaleLowerCase();
    const shown = classes.filter((row) => row.name.toLocaleLowerCase().includes(asked) || String(row.id) === asked).sort(orders[$("sort").value]);
    $("cards").replaceChildren(...shown.map((row) => cards.get(row.id)));
    $("nothing").hidden = shown.length > 0 || !classes.length;
  }
  $("sort").addEventListener("change", arrange);
  $("filter").addEventListener("input", arrange);
  $("filter").hidden = classes.length <= 8;
  if (gallery.missing) { $("missing").hidden = false; $("missing").textContent = gallery.missing; $("missing").style.marginBottom = "12px"; }
  if (!classes.length) { $("nothing").hidden = false; $("nothing").textContent = "No object was found, so there are no classes."; }
  listeners.push(() => {
    $("cards").classList.toggle("lighting", lit !== null);
    for (const [id, made] of cards) {
      made.classList.toggle("lit", id === lit);
      made.firstElementChild.setAttribute("aria-pressed", String(id === lit));
    }
  });
  arrange();

  /* The map of the embeddings */

  (() => {
    const { points } = gallery;
    if (!points.length) { $("space").hidden = true; return; }
    const side = [1000, 760], pad = 26;
    const xs = points.map((point) => point[3]), ys = points.map((point) => point[4]);
    const low = [Math.min(...xs), Math.min(...ys)], high = [Math.max(...xs), Math.max(...ys)];
    const step = Math.min((side[0] - 2 * pad) / Math.max(high[0] - low[0], 1e-9), (side[1] - 2 * pad) / Math.max(high[1] - low[1], 1e-9));
    const place = (point) => [side[0] / 2 + (point[3] - (low[0] + high[0]) / 2) * step, side[1] / 2 - (point[4] - (low[1] + high[1]) / 2) * step];
    const shown = (point) => byId.get(content.merged[point[1]]);
    const svg = make("svg", { viewBox: `0 0 ${side[0]} ${side[1]}`, tabindex: 0, role: "application", "aria-label": `${points.length} objects by likeness. Arrow keys go from one to the next.` });
    const dots = points.map((point) => {
      const [x, y] = points.length > 1 ? place(point) : [side[0] / 2, side[1] / 2];
      return make("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 8, fill: shown(point).colour, "data-id": point[0] });
    });
    svg.append(...dots);
    $("cloud").append(svg);
    $("about-cloud").textContent = (gallery.projection === "t-SNE"
      ? "Every point is an object; what looks alike to the segmenter or encoder lies together. The places are found by t-SNE, from the principal components: neighbours can be trusted, distances and empty spaces only roughly."
      : "Every point is an object, at its place along the first two principal components (PCA) of the embeddings. Distances are only roughly true: the other components are not seen.")
      + ` Shown are ${whole(points.length)} of ${whole(run.counts.objects)}, drawn by chance, some of every class.`;
    let at = null;
    function hold(index) {
      if (at !== null) { dots[at].classList.remove("at"); dots[at].setAttribute("r", 8); }
      at = index;
      if (index === null) return;
      dots[index].classList.add("at");
      dots[index].setAttribute("r", 11);
      svg.append(dots[index]);
      const [id, , confidence] = points[index], row = shown(points[index]);
      const chip = boxOf(id) ? picture("button", id, 160, "big", { type: "button", "aria-label": `Object ${id}, show on the map`, onclick: () => map.show(id) }) : picture("span", id, 160, "big");
      $("chosen").replaceChildren(chip, make("div", {}, make("p", {}, swatch(row, "small"), " ", make("strong", {}, row.name)),
        make("p", { class: "quiet" }, `Object ${id}`), make("p", { class: "quiet" }, `Confidence ${confidence.toFixed(2)}`), boxOf(id) ? make("p", { class: "quiet" }, "Press the picture to see it on the map.") : null));
    }
    function nearest(event) {
      const frame = svg.getBoundingClientRect(), zoom = Math.min(frame.width / side[0], frame.height / side[1]);
      const x = (event.clientX - frame.left - (frame.width - side[0] * zoom) / 2) / zoom, y = (event.clientY - frame.top - (frame.height - side[1] * zoom) / 2) / zoom;
      let best = null, least = (event.pointerType === "touch" ? 26 : 14) / zoom;
      dots.forEach((dot, index) => {
        const away = Math.hypot(dot.cx.baseVal.value - x, dot.cy.baseVal.value - y) + (dot.classList.contains("dim") ? 1e6 : 0);
        if (away < least) { least = away; best = index; }
      });
      return best;
    }
    svg.addEventListener("pointermove", (event) => {
      const index = nearest(event);
      if (index === null) { hideTip(); return; }
      if (index !== at) hold(index);
      const [id, , confidence] = points[index];
      showTip(event.clientX, event.clientY, ...about(id, shown(points[index]), confidence));
    });
    svg.addEventListener("pointerleave", hideTip);
    svg.addEventListener("click", (event) => { const index = nearest(event); if (index !== null) hold(index); else if (lit !== null) light(lit); });
    svg.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      hold(((at ?? (by > 0 ? -1 : 0)) + by + points.length) % points.length);
    });
    listeners.push(() => dots.forEach((dot, index) => dot.classList.toggle("dim", lit !== null && shown(points[index]).id !== lit)));
    hold(0);
  })();

  /* How it was made */

  (() => {
    const made = $("made");
    const fold = (title, note, body, open = false) => made.append(make("details", { open: open ? "" : null }, make("summary", {}, title, note ? make("small", {}, note) : null), make("div", {}, body)));
    const table = (pairs) => make("table", {}, make("tbody", {}, ...pairs.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)))));
    const said = (value) => value === null || value === undefined ? "none" : Array.isArray(value) ? (value.length ? value.map(said).join(", ") : "none") : typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
    function flat(value, before = "") {
      return Object.entries(value || {}).flatMap(([name, inner]) => {
        const key = before + name.replaceAll("_", " ");
        return inner !== null && typeof inner === "object" && !Array.isArray(inner) ? flat(inner, `${key} · `) : [[key, said(inner)]];
      });
    }
    const stages = Object.entries(run.seconds || {}), all = stages.reduce((sum, [, value]) => sum + value, 0), longest = Math.max(1e-9, ...stages.map(([, value]) => value));
    if (stages.length) {
      fold("Timings", seconds(all), make("table", {}, make("tbody", {}, ...stages.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name),
        make("td", {}, make("div", { class: "beam", style: { width: `${100 * value / longest}%` } })), make("td", { class: "time" }, seconds(value)))))), true);
    }
    if (damaged.length) fold("Damaged tiles", plural(damaged.length, "tile"), table(damaged.slice(0, 500)));
    const { segmenter = {}, options = {}, stretch, scene = {}, versions = {} } = run;
    fold("Segmenter", said(segmenter.name), table(flat(segmenter)));
    fold("Settings", "", table(flat({ ...options, "classes asked for": run.n_classes, seed: run.seed })));
    fold("Scene and stretch", "", table([...flat({ scene }), ...flat({ stretch })]));
    fold("Fit of the classes", run.drift ? `${percent(drift.unusual)} unusual` : "", table([
      ["Objects farther from every class than any that it was learnt from", run.drift ? percent(drift.unseen) : "not measured"],
      ["Objects farther from their own class than 99 of 100", run.drift ? percent(drift.unusual) : "not measured"],
      ...flat({ "seam index": run.seam_index }), ...flat({ counts: run.counts }),
    ]));
    fold("Versions", `geoalps ${said(run.geoalps)}`, table([["geoalps", said(run.geoalps)], ...flat(versions), ["store", said(run.store)]]));
    const known = new Set(["geoalps", "scene", "store", "n_classes", "options", "segmenter", "stretch", "counts", "damaged_tiles", "seam_index", "versions", "seed", "drift", "seconds"]);
    const rest = Object.fromEntries(Object.entries(run).filter(([name]) => !known.has(name)));
    if (Object.keys(rest).length) fold("More", "", table(flat(rest)));
    $("foot").textContent = `Made by geoalps ${said(run.geoalps)} from ${said(scene.path || scene.name)}. This page needs no network; geoalps report makes it again.`;
  })();

  window.geoalpsReport = { get map() { return map.state; }, get lit() { return lit; } };
})();
