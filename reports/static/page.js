"use strict";
/* The page's own machinery: tables to sort and filter, downloads, commands to copy, addresses. Loads nothing. */

const page = (() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  /** A new element with properties and children; text is only ever set as text. */
  function make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  /** A button that does something. */
  function button(text, action, about = "", className = "get") {
    const element = make("button", { type: "button", textContent: text, className });
    if (about) element.append(make("span", { className: "hidden", textContent: ` ${about}` }));
    element.addEventListener("click", () => action(element));
    return element;
  }

  // ---- files ------------------------------------------------------------------------------------------------------

  const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  /** The bytes of an embedded block that zlib made smaller. */
  async function inflate(text) {
    const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }

  function save(name, parts, type) {
    const link = make("a", { download: name, href: URL.createObjectURL(new Blob(parts, { type })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  function checksum(bytes) {
    let sum = -1;
    for (const byte of bytes) {
      sum ^= byte;
      for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1));
    }
    return ~sum >>> 0;
  }

  const little = (...pairs) => Uint8Array.from(pairs.flatMap(([size, value]) =>
    Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** i) & 255)));
  const encode = (text) => new TextEncoder().encode(text);

  function arrayBytes({ type, shape, values }) {
    const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.map((n) => `${n},`).join(" ")}), }`;
    const head = encode(text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + "\n");
    const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return new Uint8Array([147, ...encode("NUMPY"), 1, 0, head.length & 255, head.length >> 8, ...head, ...data]);
  }

  /** The parts of an .npz file with these arrays, uncompressed; dated 1980, so that the same arrays give the same file. */
  function arrayFile(arrays) {
    const parts = [], central = [];
    let at = 0, listed = 0;
    for (const [name, array] of Object.entries(arrays)) {
      const file = encode(`${name}.npy`), body = arrayBytes(array), size = body.length;
      const shared = [[2, 20], [2, 0], [2, 0], [2, 0], [2, 33], [4, checksum(body)], [4, size], [4, size], [2, file.length], [2, 0]];
      const local = little([4, 0x04034b50], ...shared);
      const entry = little([4, 0x02014b50], [2, 20], ...shared, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]);
      parts.push(local, file, body);
      central.push(entry, file);
      at += local.length + file.length + size;
      listed += entry.length + file.length;
    }
    const count = Object.keys(arrays).length;
    return [...parts, ...central, little([4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, listed], [4, at], [2, 0])];
  }

  /** For each motion of a player, buttons that save it as BVH (centimetres, degrees) and NPZ (metres). */
  function clips({ tracks, arrays, parents, fps }, id) {
    const wide = 3 * parents.length;
    return tracks.map((track, i) => {
      const { values, shape } = arrays[`joints${i}`], turns = arrays[`turns${i}`].values;
      const file = `${id}-${track.name.replace(/\W+/g, "-")}`;
      const row = (f) => [
        ...Array.from(values.subarray(wide * f, wide * f + 3), (v) => (v / 10).toFixed(2)),
        ...Array.from(turns.subarray(wide * f, wide * (f + 1)), (v) => (v / 90).toFixed(3)),
      ].join(" ");
      const bvh = () => save(`${file}.bvh`, [`${track.bvh}\n${Array.from({ length: shape[0] }, (_, f) => row(f)).join("\n")}\n`], "text/plain");
      const npz = () => save(`${file}.npz`, arrayFile({
        joints: { type: "<f4", shape, values: Float32Array.from(values, (v) => v / 1000) },
        fps: { type: "<f4", shape: [], values: Float32Array.of(fps) },
      }), "application/zip");
      return [["BVH", bvh], ["NPZ", npz]].map(([text, action]) => button(text, action, `of ${track.name}`));
    });
  }

  // ---- addresses: #probe=attention&prompt=3&frame=40 is a view, #metrics a plain anchor ------------------------------

  const view = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");

  /** Writes values into the address, null takes one out; a step is undone by the back button. */
  function show(values, isStep = false) {
    const wanted = view();
    for (const [key, value] of Object.entries(values)) {
      if (value === null || value === "") wanted.delete(key);
      else wanted.set(key, value);
    }
    const hash = `#${wanted}`;
    if (hash !== (location.hash || "#")) history[isStep ? "pushState" : "replaceState"](null, "", hash);
  }

  function unfold(element) {
    for (let box = element?.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  }

  /** An anchor may lie in a folded part: unfold, then go there. */
  function follow() {
    const name = location.hash.slice(1);
    const target = name && !name.includes("=") && document.getElementById(name);
    if (!target) return;
    unfold(target);
    target.scrollIntoView();
  }

  // ---- tables ------------------------------------------------------------------------------------------------------

  const textOf = (cell) => [...cell.querySelectorAll("*"), cell].flatMap((e) => [...e.childNodes])
    .filter((n) => n.nodeType === 3 && n.textContent.trim());
  /** The text of a cell, its note in a piece of its own. */
  const pieces = (cell) => {
    const note = cell.querySelector("small");
    const words = textOf(cell).filter((n) => !note?.contains(n)).map((n) => n.textContent.trim());
    return [words.join(" "), note ? note.textContent.trim() : ""];
  };
  const read = (cell) => pieces(cell).filter(Boolean).join(" ");

  function contents(table) {
    const head = all("thead th", table).map((cell) => pieces(cell)).map(([label, note]) => (note ? `${label} (${note})` : label));
    return [head, ...all("tbody tr", table).map((row) => [...row.cells].map(read))];
  }

  const quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  function saveTable(region, kind) {
    const [columns, ...rows] = contents(region.querySelector("table"));
    if (kind === "csv") {
      save(`${region.id}.csv`, ["\ufeff", [columns, ...rows].map((row) => row.map(quote).join(",") + "\r\n").join("")], "text/csv");
    } else {
      const caption = region.getAttribute("aria-label");
      save(`${region.id}.json`, [JSON.stringify({ caption, columns, rows }, null, 1)], "application/json");
    }
  }

  /** A cell as a number where it begins with one: true minus signs and thousands are understood. */
  function sortKey(cell) {
    const text = pieces(cell)[0].replaceAll("−", "-").replaceAll(",", "");
    const number = Number.parseFloat(text);
    return Number.isNaN(number) ? text.toLowerCase() : number;
  }

  function sort(table, column, isDown) {
    const rows = all("tbody tr", table).map((row) => [sortKey(row.cells[column]), row]);
    rows.sort(([a], [b]) => {
      if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
      return (isDown ? -1 : 1) * (typeof a === "number" ? a - b : a.localeCompare(b));
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
    all("thead th", table).forEach((cell, i) => {
      if (i === column) cell.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  }

  function filter(region, text, told) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean), rows = all("tbody tr", region);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    told.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
  }

  function dress(region) {
    const table = region.querySelector("table"), caption = region.getAttribute("aria-label"), rows = table.tBodies[0].rows.length;
    const tools = make("div", { className: "tools" });
    if (rows > 3) {
      all("thead th", table).forEach((cell, column) => {
        const note = cell.querySelector("small");
        const inside = make("button", { type: "button", className: "sort" }, ...[...cell.childNodes].filter((n) => n !== note));
        inside.addEventListener("click", () => sort(table, column, cell.getAttribute("aria-sort") === "ascending"));
        cell.prepend(inside);
      });
    }
    if (rows > 8) {
      const told = make("output"), key = `filter.${region.id}`;
      const input = make("input", { type: "search", placeholder: "Filter rows" });
      input.setAttribute("aria-label", `Filter rows of ${caption}`);
      input.addEventListener("input", () => {
        filter(region, input.value, told);
        show({ [key]: input.value });
      });
      const restore = () => {
        const wanted = view().get(key) ?? "";
        if (wanted === input.value) return;
        input.value = wanted;
        filter(region, wanted, told);
        if (wanted) unfold(region);
      };
      tools.append(input, told);
      window.addEventListener("hashchange", restore);
      restore();
    }
    tools.append(
      button("CSV", () => saveTable(region, "csv"), `of ${caption}`),
      button("JSON", () => saveTable(region, "json"), `of ${caption}`),
    );
    region.before(tools);
  }

  // ---- the rest ----------------------------------------------------------------------------------------------------

  async function copy(element) {
    const code = element.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    element.textContent = "Copied";
    setTimeout(() => (element.textContent = "Copy"), 1500);
  }

  function saveDrawing(figure) {
    const drawing = all("svg", figure).find((svg) => svg.getClientRects().length).cloneNode(true);
    const colours = getComputedStyle(document.documentElement);
    drawing.setAttribute("xmlns", drawing.namespaceURI);
    const text = drawing.outerHTML.replace(/var\((--[\w-]+)\)/g, (_, name) => colours.getPropertyValue(name).trim());
    save(`${figure.id}.svg`, [text], "image/svg+xml");
  }

  all(".scroll").forEach(dress);
  all("figure[id] > .title").forEach((title) =>
    title.parentElement.append(button("SVG", () => saveDrawing(title.parentElement), `of ${title.textContent}`)));
  all(".command").forEach((line) => line.append(button("Copy", copy, "", "copy")));
  all("[data-archive]").forEach((element) => {
    element.hidden = false;
    element.addEventListener("click", () => save("records.tar.xz", [bytesOf(document.getElementById("archive").textContent)], "application/x-xz"));
  });
  window.addEventListener("hashchange", follow);
  follow();

  return { all, make, button, inflate, clips, save, view, show, unfold };
})();
