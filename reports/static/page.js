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

	/** Motion from its steps from frame to frame, channel by channel, all low bytes before all high bytes. */
	function summed(bytes, frames) {
		const values = new Int16Array(bytes.length / 2), wide = values.length / frames;
		for (let channel = 0, i = 0, sum = 0; channel < wide; channel++, sum = 0) {
			for (let frame = 0; frame < frames; frame++, i++) {
				sum += bytes[i] | (bytes[values.length + i] << 8);
				values[frame * wide + channel] = sum;
			}
		}
		return values;
	}

	/** A head in JSON, and behind it the arrays that it lists. */
	async function unpack(text) {
		const buffer = await inflate(text);
		const head = new DataView(buffer).getUint32(0, true);
		const data = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, head)));
		let at = 4 + head;
		const arrays = {};
		for (const [name, type, shape] of data.arrays) {
			const isMotion = type === "<i2", size = shape.reduce((a, b) => a * b, isMotion ? 2 : 1);
			const bytes = new Uint8Array(buffer, at, size);
			arrays[name] = { type, shape, values: isMotion ? summed(bytes, shape[0]) : bytes };
			at += Math.ceil(size / 4) * 4;
		}
		return { ...data, arrays };
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
			const { values, shape } = arrays[`joints${i}`], turns = Float64Array.from(arrays[`turns${i}`].values, (v) => v / 90);
			for (let k = wide; k < turns.length; k++) turns[k] += 360 * Math.round((turns[k - wide] - turns[k]) / 360);
			const file = `${id}-${track.name.replace(/\W+/g, "-")}`;
			const row = (f) => [
				...Array.from(values.subarray(wide * f, wide * f + 3), (v) => (v / 10).toFixed(2)),
				...Array.from(turns.subarray(wide * f, wide * (f + 1)), (v) => v.toFixed(3)),
			].join(" ");
			const bvh = () => save(`${file}.bvh`, [`${track.bvh}\n${Array.from({ length: shape[0] }, (_, f) => row(f)).join("\n")}\n`], "text/plain");
			const npz = () => save(`${file}.npz`, arrayFile({
				joints: { type: "<f4", shape, values: Float32Array.from(values, (v) => v / 1000) },
				fps: { type: "<f4", shape: [], values: Float32Array.of(fps) },
			}), "application/zip");
			const about = `of ${track.name}`, fit = `, whose bones have one length: joints are up to ${track.misfit} mm off`;
			return make("span", { className: "files" }, button("BVH", bvh, about + fit), button("NPZ", npz, about),
				make("small", { textContent: `BVH ±${track.misfit} mm`, title: "A BVH skeleton has bones of one length" }));
		});
	}

	// ---- addresses: #probe=attention&prompt=3&frame=40 is a view, #metrics a plain anchor ------------------------------

	const view = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");

	const REST = 250; // milliseconds between two changes of the address: browsers refuse hundreds of them
	let wanted = null, timer = 0, written = 0;

	/** Writes values into the address, null takes one out; a step is undone by the back button. */
	function show(values, isStep = false) {
		wanted ??= view();
		for (const [key, value] of Object.entries(values)) {
			if (value === null || value === "") wanted.delete(key);
			else wanted.set(key, value);
		}
		if (isStep || Date.now() - written > REST) write(isStep);
		else timer ||= setTimeout(write, REST, false);
	}

	function write(isStep) {
		const hash = `#${wanted}`;
		forget();
		written = Date.now();
		if (hash === (location.hash || "#")) return;
		try {
			history[isStep ? "pushState" : "replaceState"](null, "", hash);
		} catch { /* too many changes for this browser: the address lags behind */ }
	}

	function forget() {
		clearTimeout(timer);
		timer = 0;
		wanted = null;
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

	/** A number where the text is one (true minus signs and thousands are understood), the text otherwise. */
	function value(text) {
		const bare = text.replaceAll("−", "-").replaceAll(",", "");
		return /^[+-]?[\d.]/.test(bare) && Number.isFinite(Number(bare)) ? Number(bare) : text;
	}

	/** What a cell holds: an interval, in it or in its note, as its two ends. */
	function parts([text, note]) {
		const ends = (words) => words.split(/\sto\s/).map(value);
		const isSpan = (words) => ends(words).length === 2 && ends(words).every((end) => typeof end === "number");
		if (isSpan(text)) return { text: "", low: ends(text)[0], high: ends(text)[1], note };
		if (isSpan(note)) return { text: value(text), low: ends(note)[0], high: ends(note)[1], note: "" };
		return { text: value(text), low: "", high: "", note: value(note) };
	}

	/** A table as programs read it: a column each for values, ends of intervals and notes, where there are any. */
	function contents(table) {
		const cells = all("tbody tr", table).map((row) => [...row.cells].map((cell) => parts(pieces(cell))));
		const columns = [], rows = cells.map(() => []);
		all("thead th", table).map(pieces).forEach(([label, note], c) => {
			const has = (key) => cells.some((row) => row[c][key] !== "");
			if (has("low")) for (const row of cells) if (/^(none|no interval|–)$/.test(row[c].text)) row[c].text = "";
			const kept = ["text", "low", "high", "note"].filter((key) => has(key) || (key === "text" && !has("low")));
			for (const key of kept) {
				columns.push([label + (note ? ` (${note})` : ""), ...(key === "text" ? [] : [key])].join(", "));
				rows.forEach((row, r) => row.push(cells[r][c][key]));
			}
		});
		return { columns, rows };
	}

	/** A field of a CSV file; text that a spreadsheet would run as a formula is marked as text. */
	function quote(field) {
		const text = typeof field === "string" ? field.replace(/^(?=[=+@\t\r-])/, "'") : String(field);
		return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
	}

	function saveTable(region, kind) {
		const { columns, rows } = contents(region.querySelector("table"));
		if (kind === "csv") {
			save(`${region.id}.csv`, ["\ufeff", [columns, ...rows].map((row) => row.map(quote).join(",") + "\r\n").join("")], "text/csv");
		} else {
			const caption = region.getAttribute("aria-label");
			save(`${region.id}.json`, [JSON.stringify({ caption, columns, rows }, null, 1)], "application/json");
		}
	}

	/** A cell as a number where it begins with one. */
	function sortKey(cell) {
		if (cell.dataset.order) return Number(cell.dataset.order);
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
			input.ariaLabel = `Filter rows of ${caption}`;
			input.addEventListener("input", () => {
				filter(region, input.value, told);
				show({ [key]: input.value });
			});
			const restore = () => {
				if (location.hash && !location.hash.includes("=")) return; // a plain anchor says nothing of filters
				const asked = view().get(key) ?? "";
				if (asked === input.value) return;
				input.value = asked;
				filter(region, asked, told);
				if (asked) unfold(region);
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
		drawing.setAttribute("font-family", "sans-serif");
		const text = new XMLSerializer().serializeToString(drawing).replace(/var\((--[\w-]+)\)/g, (_, name) => colours.getPropertyValue(name).trim());
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
	window.addEventListener("hashchange", () => { forget(); follow(); });
	follow();

	return { make, unpack, clips, view, show, unfold };
})();
