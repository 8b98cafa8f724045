"use strict";
/* Motion beside its words: skeletons that share one clock, words that heat up, a map with a cursor. Loads nothing. */

(() => {
	const calm = matchMedia("(prefers-reduced-motion: reduce)");
	const players = [];
	const { make } = page;
	const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

	class Player {
		constructor(root, data, number) {
			Object.assign(this, { root, data, number, frame: 0, word: -1, isPlaying: false, yaw: 0.6, speed: 1, trail: false, loop: true });
			this.joints = data.parents.length;
			this.heat = data.arrays.heat.values;
			const files = page.clips(data, root.id);
			const tracks = data.tracks.map((track, i) => ({ ...track, values: data.arrays[`joints${i}`].values, files: files[i] }));
			const arms = [...new Set(tracks.map((track) => track.arm))];
			this.stages = arms.map((arm) => this.stage(tracks.filter((track) => track.arm === arm)));
			this.build();
			this.choose({});
			this.resize();
			new ResizeObserver(() => this.resize()).observe(root);
		}

		build() {
			const { data, root } = this;
			const ariaLabel = `Player of “${data.prompt}”: space plays, arrow keys step, with shift they turn, 1 to 9, home, end jump`;
			Object.assign(root, { role: "group", ariaLabel, tabIndex: 0 });
			this.words = data.words.map((text, i) => {
				const isTimed = data.ends[i] > data.starts[i] && data.timed[i];
				const button = make("button", { type: "button", textContent: text, className: "word-button", title: isTimed ? "its true interval and its joints" : "says nothing of one action" });
				button.addEventListener("click", () => this.pick(i));
				return button;
			});
			this.map = make("canvas", { className: "map", role: "img" });
			this.map.ariaLabel = "Words by frames: attention, cursor at this frame; numbers below";
			this.map.addEventListener("click", (event) => {
				const box = this.map.getBoundingClientRect();
				this.pause(true);
				this.seek(Math.floor(((event.clientX - box.left) / box.width) * data.frames));
				this.pick(Math.min(data.words.length - 1, Math.floor(((event.clientY - box.top) / box.height) * data.words.length)), true);
			});
			this.button = make("button", { type: "button", textContent: "Play" });
			this.button.addEventListener("click", () => (this.isPlaying ? this.pause() : this.play()));
			this.slider = make("input", { type: "range", min: 0, max: data.frames - 1, value: 0, step: 1, ariaLabel: "Frame" });
			this.slider.addEventListener("input", () => { this.pause(true); this.seek(Number(this.slider.value)); });
			this.clock = make("output", { className: "clock" });
			const speed = make("select", { ariaLabel: "Speed" }, ...[0.25, 0.5, 1, 2].map((v) => make("option", { value: v, textContent: `${v}×`, selected: v === 1 })));
			speed.addEventListener("change", () => { this.speed = Number(speed.value); });
			const box = (label, key) => {
				const input = make("input", { type: "checkbox", checked: this[key] });
				input.addEventListener("change", () => { this[key] = input.checked; this.draw(); });
				return make("label", { className: "switch" }, input, label);
			};
			this.source = make("output", { className: "source" });
			root.append(
				make("p", { className: "words" }, ...this.words),
				make("div", { className: "stages" }, ...this.stages.map((stage) => stage.figure)),
				make("div", { className: "transport" }, this.button, this.slider, this.clock, speed, box("trail", "trail"), box("loop", "loop")),
				this.map,
				make("div", { className: "transport" }, ...this.choices(), this.source),
			);
			root.addEventListener("keydown", (event) => this.key(event));
			root.hidden = false;
		}

		/** One skeleton: the tracks of an arm, of which the chosen training is shown. */
		stage(tracks) {
			const canvas = make("canvas", { className: "stage", role: "img" }), name = make("figcaption");
			this.orbit(canvas);
			return { tracks, canvas, name, figure: make("figure", {}, canvas, name, ...tracks.map((track) => track.files)) };
		}

		/** Shows on every stage the training with this seed, or the only one there is. */
		stand(seed) {
			for (const stage of this.stages) {
				stage.track = stage.tracks.find((track) => track.seed === seed) ?? stage.tracks[0];
				stage.name.textContent = stage.track.name;
				stage.canvas.ariaLabel = `Skeleton: ${stage.track.name}; the strip below stands still`;
				for (const track of stage.tracks) track.files.hidden = track !== stage.track;
			}
		}

		/** Whose attention is shown: the mean on the real clip, or one head of one training on its own motion. */
		choices() {
			const heads = this.data.arrays.heads;
			this.chosen = {};
			if (!heads) return [];
			const [, layers, count] = heads.shape;
			const select = (key, labels) => {
				const options = labels.map(([value, textContent]) => make("option", { value, textContent }));
				const element = make("select", { ariaLabel: `Attention of which ${key}` }, ...options);
				element.addEventListener("change", () => { this.choose({ [key]: element.value }); this.tell(true); });
				this.chosen[key] = element;
				return element;
			};
			const numbered = (word, n) => Array.from({ length: n }, (_, i) => [i, `${word} ${i}`]);
			return [
				select("seed", this.data.seeds.map((seed) => [seed, `training ${seed}`])),
				select("layer", [["", "mean of all"], ...numbered("layer", layers)]),
				select("head", numbered("head", count)),
			];
		}

		choose(wanted) {
			for (const [key, element] of Object.entries(this.chosen)) {
				const value = wanted[key];
				if (value !== undefined && [...element.options].some((o) => o.value === value)) element.value = value;
			}
			const { seed, layer, head } = this.chosen;
			this.stand(seed ? Number(seed.value) : null);
			this.isOwn = Boolean(layer && layer.value !== "");
			this.heat = this.data.arrays.heat.values;
			if (layer) {
				head.disabled = !this.isOwn;
				this.source.textContent = this.isOwn
					? `training ${seed.value} on its own motion, noised; intervals unknown`
					: `training ${this.data.seeds[0]} on the real clip, noised; outlines: true intervals`;
			}
			if (this.isOwn) {
				const { values, shape } = this.data.arrays.heads, size = shape[3] * shape[4];
				const run = this.data.seeds.indexOf(Number(seed.value));
				const at = ((run * shape[1] + Number(layer.value)) * shape[2] + Number(head.value)) * size;
				const part = values.subarray(at, at + size), most = part.reduce((a, b) => Math.max(a, b), 1);
				this.heat = part.map((v) => Math.round((v * 255) / most));
			}
			this.draw();
		}

		/** Writes what is shown into the address. */
		tell(isStep) {
			const values = { probe: this.root.closest("section").id, prompt: this.number, word: this.word < 0 ? null : this.word };
			for (const [key, element] of Object.entries(this.chosen)) {
				values[key] = this.isOwn || (key === "seed" && element.selectedIndex > 0) ? element.value : null;
			}
			page.show({ ...values, frame: this.frame }, isStep);
		}

		key(event) {
			const { key } = event, step = { ArrowRight: 1, ArrowLeft: -1 }[key], last = this.data.frames - 1;
			if (/^(INPUT|SELECT|BUTTON)$/.test(event.target.tagName) || event.altKey || event.ctrlKey || event.metaKey) return;
			const jump = /^[1-9]$/.test(key) ? (Number(key) / 10) * last : { Home: 0, End: last }[key];
			if (key === " ") this.isPlaying ? this.pause() : this.play();
			else if (step && event.shiftKey) { this.yaw += step / 6; this.draw(); }
			else if (step || jump !== undefined) { this.pause(true); this.seek(jump ?? this.frame + step); }
			else return;
			event.preventDefault();
		}

		orbit(canvas) {
			let last = null;
			canvas.addEventListener("pointerdown", (event) => { last = event.clientX; canvas.setPointerCapture(event.pointerId); });
			canvas.addEventListener("pointermove", (event) => {
				if (last === null) return;
				this.yaw += (event.clientX - last) / 90;
				last = event.clientX;
				this.draw();
			});
			for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { last = null; });
		}

		pick(i, isKept) {
			this.word = this.word === i && !isKept ? -1 : i;
			if (this.word >= 0 && !isKept && this.data.timed[i]) { this.pause(true); this.seek(this.data.starts[i], true); }
			this.draw();
			this.tell(false);
		}

		seek(frame, isSilent) {
			this.frame = Math.max(0, Math.min(this.data.frames - 1, Math.round(frame) || 0));
			this.draw();
			if (!this.isPlaying && !isSilent) this.tell(false);
		}

		/** Shows what an address says; where it says nothing, what the page begins with. */
		view(wanted) {
			this.pause(true);
			const first = { seed: String(this.data.seeds[0]), head: "0", layer: "" };
			this.choose(Object.fromEntries(Object.entries(first).map(([key, value]) => [key, wanted.get(key) ?? value])));
			this.word = Number(wanted.get("word") ?? -1);
			this.seek(Number(wanted.get("frame") ?? 0), true);
		}

		play() {
			this.isPlaying = true;
			this.button.textContent = "Pause";
			if (this.frame >= this.data.frames - 1) this.frame = 0;
			let before = null, at = this.frame;
			const step = (now) => {
				if (!this.isPlaying) return;
				if (before !== null) at += ((now - before) / 1000) * this.data.fps * this.speed;
				before = now;
				if (at >= this.data.frames) {
					if (!this.loop) { this.frame = this.data.frames - 1; this.pause(); this.draw(); return; }
					at = 0;
				}
				this.frame = Math.floor(at);
				this.draw();
				requestAnimationFrame(step);
			};
			requestAnimationFrame(step);
		}

		pause(isSilent) {
			const wasPlaying = this.isPlaying;
			this.isPlaying = false;
			this.button.textContent = "Play";
			if (wasPlaying && !isSilent) this.tell(false);
		}

		resize() {
			const ratio = devicePixelRatio || 1;
			for (const canvas of [...this.stages.map((stage) => stage.canvas), this.map]) {
				canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
				canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
			}
			this.draw();
		}

		draw() {
			const { data, frame } = this;
			this.slider.value = frame;
			this.clock.textContent = `${(frame / data.fps).toFixed(2)} s`;
			this.words.forEach((button, i) => {
				const share = this.heat[i * data.frames + frame] / 255;
				button.style.setProperty("--heat", share.toFixed(3));
				button.setAttribute("aria-pressed", String(i === this.word));
				button.classList.toggle("told", !this.isOwn && data.timed[i] && frame >= data.starts[i] && frame < data.ends[i]);
			});
			for (const stage of this.stages) this.drawBody(stage.canvas, stage.track);
			this.drawMap();
		}

		drawBody(canvas, track) {
			const pen = canvas.getContext("2d"), { parents, side } = this.data;
			const { width, height } = canvas, scale = Math.min(width / 1500, height / 2650);
			const frames = track.values.length / (3 * this.joints), now = Math.min(this.frame, frames - 1);
			const marked = new Set(this.word >= 0 ? this.data.limbs[this.word] : []);
			const [cos, sin] = [Math.cos(this.yaw), Math.sin(this.yaw)];
			const root = 3 * this.joints * now;
			const place = (at, joint) => {
				const k = 3 * (this.joints * at + joint);
				const x = track.values[k] - track.values[root], z = track.values[k + 2] - track.values[root + 2], y = track.values[k + 1];
				return [width / 2 + (x * cos - z * sin) * scale, height * 0.92 - (y - (x * sin + z * cos) * 0.25) * scale];
			};
			const tones = { left: colour("--side-l"), right: colour("--side-r"), middle: colour("--ink") };
			const body = (at, alpha) => {
				pen.globalAlpha = alpha;
				for (let joint = 1; joint < this.joints; joint++) {
					pen.beginPath();
					pen.moveTo(...place(at, parents[joint]));
					pen.lineTo(...place(at, joint));
					pen.strokeStyle = tones[side[joint]];
					pen.lineWidth = (marked.has(joint) ? 7 : 3) * (devicePixelRatio || 1);
					pen.stroke();
				}
			};
			pen.clearRect(0, 0, width, height);
			pen.lineCap = "round";
			if (this.trail) for (let back = 12; back > 0; back -= 4) if (now - back >= 0) body(now - back, 0.12 + 0.1 * (1 - back / 12));
			body(now, 1);
			pen.globalAlpha = 1;
		}

		drawMap() {
			const pen = this.map.getContext("2d"), { data, frame } = this, { width, height } = this.map;
			const row = height / data.words.length, step = width / data.frames, ink = colour("--ink"), heat = colour("--heat-1");
			pen.clearRect(0, 0, width, height);
			for (let word = 0; word < data.words.length; word++) {
				pen.fillStyle = heat;
				for (let f = 0; f < data.frames; f++) {
					const from = Math.round(f * step);
					pen.globalAlpha = this.heat[word * data.frames + f] / 255;
					pen.fillRect(from, word * row, Math.round((f + 1) * step) - from, row - 1);
				}
				pen.globalAlpha = 1;
				if (data.timed[word] && !this.isOwn) {
					pen.strokeStyle = ink;
					pen.lineWidth = word === this.word ? 3 : 1;
					pen.strokeRect(data.starts[word] * step, word * row + 0.5, (data.ends[word] - data.starts[word]) * step, row - 2);
				}
			}
			pen.fillStyle = ink;
			pen.fillRect(frame * step, 0, Math.max(1, devicePixelRatio || 1), height);
		}
	}

	function follow() {
		const wanted = page.view(), player = players.find((p) => String(p.number) === wanted.get("prompt"));
		if (!location.hash) players.forEach((p) => p.view(wanted)); // back before the first step
		const section = player?.root.closest("section").id;
		if (!player || (wanted.get("probe") ?? section) !== section) return;
		page.unfold(player.root);
		player.view(wanted);
		player.root.scrollIntoView({ block: "center", behavior: calm.matches ? "auto" : "smooth" });
	}

	/** A field that finds captions by their words. */
	function search() {
		const list = make("ul", { className: "found" }), told = make("output");
		const input = make("input", { type: "search", placeholder: "Search: left, jump …" });
		input.ariaLabel = "Search captions with motions";
		input.addEventListener("input", () => {
			const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
			const found = words.length ? players.filter((p) => words.every((word) => p.data.prompt.toLowerCase().includes(word))) : [];
			told.textContent = words.length ? `${found.length} of ${players.length} captions` : "";
			list.replaceChildren(...found.map((p) => {
				const link = make("a", { textContent: p.data.prompt, href: `#probe=${p.root.closest("section").id}&prompt=${p.number}` });
				return make("li", {}, link);
			}));
		});
		players[0].root.before(make("div", { className: "search" }, input, told, list));
	}

	(async () => {
		for (const holder of document.querySelectorAll("script[data-player]")) {
			const root = document.getElementById(holder.dataset.player), data = await page.unpack(holder.textContent);
			players.push(new Player(root, data, players.length + 1));
		}
		if (players.length > 1) search();
		addEventListener("hashchange", follow);
		addEventListener("beforeprint", () => players.forEach((player) => player.pause(true)));
		follow();
		document.documentElement.dataset.ready = "";
	})();
})();
