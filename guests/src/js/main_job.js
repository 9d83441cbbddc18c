// The JavaScript job, for QuickJS's own command: generators, closures,
// exceptions through finally, BigInt, Map and Set, promises, regular
// expressions, JSON, proxies, files. usage: qjs --std main_job.js SCALE [DIRECTORY]
"use strict";

const scale = Number(scriptArgs[1] ?? 10);
const where = scriptArgs[2] ?? "/";

let digest = 0xcbf29ce484222325n;
function say(text) {
	for (let i = 0; i < text.length; i++) digest = BigInt.asUintN(64, (digest ^ BigInt(text.charCodeAt(i))) * 0x100000001b3n);
	print(text);
	std.out.flush();
}

let state = 0x57a515;
function rng(n) {
	state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
	return Math.floor((state / 4294967296) * n);
}

function* queens(n, row = 0, cols = 0, up = 0, down = 0, placed = []) {
	if (row === n) {
		yield placed;
		return;
	}
	for (let free = ((1 << n) - 1) & ~(cols | up | down); free; free &= free - 1) {
		const bit = free & -free;
		yield* queens(n, row + 1, cols | bit, (up | bit) << 1, (down | bit) >> 1, [...placed, 31 - Math.clz32(bit)]);
	}
}

function* averager(log) {
	let sum = 0, n = 0;
	try {
		for (;;) {
			try {
				sum += yield n ? sum / n : 0;
				n++;
			} catch (e) {
				log.push(`caught ${e.message}`);
				sum = n = 0;
			}
		}
	} finally {
		log.push(`closed after ${n}`);
	}
}

class Refused extends Error {
	constructor(what, cause) {
		super(`refused ${what}`, { cause });
		this.name = "Refused";
	}
}

function descend(depth, bottom, log) {
	try {
		if (depth === 0) return bottom();
		return descend(depth - 1, bottom, log) + 1;
	} catch (e) {
		if (depth % 30 === 0) throw new Refused(depth, e);
		if (e instanceof Refused && depth % 77 === 0) return -depth;
		throw e;
	} finally {
		if (depth % 20 === 0) log.push(depth);
	}
}

function parse(text) {
	const tokens = text.match(/\d+|[-+*/()]/g);
	let at = 0;
	const levels = [{ "+": (a, b) => a + b, "-": (a, b) => a - b }, { "*": (a, b) => a * b, "/": (a, b) => a / b }];
	function binary(level) {
		if (level === levels.length) return primary();
		let left = binary(level + 1);
		while (tokens[at] in levels[level]) {
			const op = levels[level][tokens[at++]], l = left, r = binary(level + 1);
			left = () => op(l(), r());
		}
		return left;
	}
	function primary() {
		const t = tokens[at++];
		if (t === "(") {
			const inner = binary(0);
			if (tokens[at++] !== ")") throw new SyntaxError(`at ${at}`);
			return inner;
		}
		const v = BigInt(t);
		return () => v;
	}
	return binary(0);
}

function expression(depth) {
	if (!depth || !rng(5)) return String(rng(100));
	return `(${expression(depth - 1)} ${"+-*/"[rng(4)]} ${expression(depth - 1)})`;
}

function* pi() {
	let [q, r, t, k, m, x] = [1n, 0n, 1n, 1n, 3n, 3n];
	for (;;) {
		if (4n * q + r - t < m * t) {
			yield m;
			[q, r, m] = [10n * q, 10n * (r - m * t), (10n * (3n * q + r)) / t - 10n * m];
		} else {
			[q, r, t, k, m, x] = [q * k, (2n * q + r) * x, t * x, k + 1n, (q * (7n * k + 2n) + r * x) / (t * x), x + 2n];
		}
	}
}

function round(i) {
	const solutions = [...queens(7)];
	say(`js ${i}/${scale} queens ${solutions.length} ${solutions.at(-1)}`);

	const log = [], avg = averager(log);
	avg.next();
	let last;
	for (let k = 0; k < 200; k++) last = k % 60 === 59 ? avg.throw(new Error(`at ${k}`)) : avg.next(rng(1000));
	avg.return();
	const ok = descend(100, () => 5, log), caught = descend(90, () => null.x, log);
	let chain = 0;
	try {
		descend(70, () => { throw new RangeError("bottom"); }, log);
	} catch (e) {
		for (let c = e; c; c = c.cause) chain++;
	}
	say(`js ${i}/${scale} unwound ${ok} ${caught} ${chain} ${last.value.toFixed(6)} ${log.length} ${log.slice(-3)}`);

	let total = 0n, errors = new Map();
	for (let k = 0; k < 150; k++) {
		try {
			total = BigInt.asIntN(200, total * 31n + parse(expression(5))());
		} catch (e) {
			errors.set(e.message, (errors.get(e.message) ?? 0) + 1);
		}
	}
	say(`js ${i}/${scale} expressions ${total.toString(36)} ${JSON.stringify([...errors])}`);

	const digits = [];
	for (const d of pi()) if (digits.push(d) === 120) break;
	let f = 1n;
	for (let k = 2n; k < 250n + BigInt(i); k++) f *= k;
	say(`js ${i}/${scale} big ${digits.slice(-15).join("")} ${f.toString().length} ${f % 1000000007n}`);

	const text = Array.from({ length: 300 }, () => `user${rng(50)}@host${rng(9)}.org ${rng(1e6)};`).join(" ");
	const found = [...text.matchAll(/(?<user>\w+)@(?<host>[\w.]+)\s(\d+)(?=;)/g)];
	const by = Object.groupBy(found, (m) => m.groups.host);
	const sums = Object.keys(by).sort().map((h) => `${h}:${by[h].reduce((s, m) => s + Number(m[3]), 0)}`);
	const replaced = text.replace(/\d+/g, (d) => (Number(d) % 7).toString(2));
	say(`js ${i}/${scale} regexp ${found.length} ${sums.slice(0, 3)} ${replaced.slice(40, 80)}`);

	const grow = (d) => (d ? { n: d, kids: [grow(d - 1), grow(d - 1), rng(100)], s: "x".repeat(rng(9)) } : rng(1000) / 8);
	const doc = { tree: grow(8), when: "now", list: Array.from({ length: 50 }, (_, k) => ({ k, v: k ** 3 })) };
	const reads = new Set();
	const proxy = new Proxy(doc, { get: (t, k) => (reads.add(String(k)), t[k]) });
	const json = JSON.stringify(proxy), back = JSON.parse(json, (k, v) => (k === "n" ? -v : v));
	const sorted = doc.list.toSorted((a, b) => ((a.v * 7) % 11) - ((b.v * 7) % 11) || b.k - a.k).map((e) => e.k);
	say(`js ${i}/${scale} json ${json.length} ${back.tree.n} ${[...reads].join()} ${sorted.slice(0, 8)}`);

	const path = `${where.replace(/\/$/, "")}/js-${i}.txt`, out = std.open(path, "w+");
	for (let k = 0; k < 200; k++) out.puts(`${k}:${rng(1e9)}\n`);
	out.seek(0, std.SEEK_SET);
	let line, sum = 0;
	while ((line = out.getline()) !== null) sum += Number(line.split(":")[1]);
	out.close();
	const again = std.loadFile(path).length;
	os.remove(path);
	say(`js ${i}/${scale} file ${sum} ${again} ${std.loadFile(path)}`);
}

async function relay(n, log) {
	if (n === 0) throw new Refused("promise");
	try {
		const v = await new Promise((done) => done(n * 2));
		return v + (await relay(n - 1, log));
	} finally {
		log.push(n);
	}
}

async function main() {
	for (let i = 1; i <= scale; i++) {
		round(i);
		const log = [];
		const settled = await Promise.allSettled([relay(10, log), Promise.resolve(i), relay(5 + (i % 3), log)]);
		say(`js ${i}/${scale} promises ${settled.map((s) => s.status[0])} ${log}`);
	}
	print(`js digest ${digest.toString(16).padStart(16, "0")}`);
}

main().catch((e) => {
	print(`js: ${e}\n${e.stack}`);
	std.exit(1);
});
