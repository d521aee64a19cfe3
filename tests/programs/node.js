// needs: node
// run: node --expose-gc
// Node: an HTTP server with clients, worker threads, timers, streams, children. The load goes on
// until the standard input has answered each of the marks.

const { Worker, isMainThread, workerData, parentPort } = require('worker_threads');
const { spawn } = require('child_process');
const crypto = require('crypto');
const dgram = require('dgram');
const http = require('http');
const net = require('net');
const zlib = require('zlib');

const COUNTER = 0, STOP = 1, TURN = 2, TURNS = 3;

function say(...words) {
	process.stdout.write(words.join(' ') + '\n');
}

// Half of the workers wait for their turn in a futex, all of them count and make garbage.
function worker() {
	const { shared, number, players } = workerData;
	const cells = new Int32Array(shared);
	let own = 0;

	if (number < players) {
		for (let turn = number; Atomics.load(cells, STOP) === 0; turn += players) {
			for (let at; (at = Atomics.load(cells, TURN)) !== turn && !Atomics.load(cells, STOP);)
				Atomics.wait(cells, TURN, at, 50);
			if (Atomics.compareExchange(cells, TURN, turn, turn + 1) === turn)
				own++;
			Atomics.notify(cells, TURN);
		}
		Atomics.add(cells, TURNS, own);
	} else {
		const kept = [];
		while (Atomics.load(cells, STOP) === 0) {
			kept[own % 50] = crypto.createHash('sha256').update('x'.repeat(own % 3000)).digest();
			Atomics.add(cells, COUNTER, 1);
			own++;
		}
	}
	parentPort.postMessage({ number, own });
}

function workers(count, players) {
	const shared = new SharedArrayBuffer(64);
	const all = [];

	for (let number = 0; number < count; number++)
		all.push(new Promise((resolve, reject) => {
			const w = new Worker(__filename, { workerData: { shared, number, players } });
			w.once('message', resolve);
			w.once('error', reject);
		}));
	return async () => {
		const cells = new Int32Array(shared);
		Atomics.store(cells, STOP, 1);
		Atomics.notify(cells, TURN);
		const results = await Promise.all(all);
		const sum = (f) => results.filter(f).reduce((n, r) => n + r.own, 0);
		say('workers', results.length, sum((r) => r.number < players) === cells[TURNS],
		    cells[TURNS] === cells[TURN], sum((r) => r.number >= players) === cells[COUNTER]);
	};
}

function serve() {
	const server = http.createServer((request, response) => {
		const hash = crypto.createHash('md5');
		let length = 0;
		request.on('data', (chunk) => { hash.update(chunk); length += chunk.length; });
		request.on('end', () => {
			const size = Number(new URL(request.url, 'http://x').searchParams.get('size'));
			response.setHeader('x-length', length);
			response.setHeader('x-digest', hash.digest('hex'));
			response.end(Buffer.alloc(size, 'abcdefg'));
		});
	});
	return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

function ask(agent, port, n) {
	const body = Buffer.alloc(n * 37 % 20000, n), size = n * 53 % 90000;

	return new Promise((resolve, reject) => {
		const request = http.request({ port, agent, method: 'POST', path: '/?size=' + size });
		request.on('error', reject);
		request.on('response', (response) => {
			let got = 0;
			response.on('data', (chunk) => got += chunk.length);
			response.on('error', reject);
			response.on('end', () => {
				const digest = crypto.createHash('md5').update(body).digest('hex');
				if (got !== size || response.headers['x-digest'] !== digest ||
				    Number(response.headers['x-length']) !== body.length)
					reject(new Error('request ' + n + ' came back wrong'));
				resolve();
			});
		});
		request.end(body);
	});
}

async function client(agent, port, first, step, until) {
	let n = first;
	for (; n < first + 10 * step || !until.done; n += step)
		await ask(agent, port, n);
	return (n - first) / step;
}

function compressed(n) {
	const text = Buffer.alloc(50000, 'line ' + n);
	return new Promise((resolve, reject) => zlib.deflate(text, (e, packed) => e ? reject(e) :
		zlib.inflate(packed, (e, back) => e ? reject(e) : resolve(back.equals(text)))));
}

function child() {
	return new Promise((resolve) => {
		const p = spawn('sort', ['-n']);
		let out = '';
		p.stdout.on('data', (chunk) => out += chunk);
		p.on('close', (code) => resolve(['child', code, out.split('\n').slice(0, 5).join()]));
		for (let i = 500; i > 0; i--)
			p.stdin.write(i + '\n');
		p.stdin.end();
	});
}

function datagrams() {
	return new Promise((resolve) => {
		const s = dgram.createSocket('udp4');
		let got = 0;
		s.on('message', (m) => {
			got += m.length;
			if (m.length === 20) {
				s.close();
				resolve(['datagrams', got]);
			} else {
				s.send('y'.repeat(m.length + 1), s.address().port, '127.0.0.1');
			}
		});
		s.bind(0, '127.0.0.1', () => s.send('y', s.address().port, '127.0.0.1'));
	});
}

function unixSocket() {
	const path = '\0stasis-node-' + process.pid;
	return new Promise((resolve) => {
		const server = net.createServer((c) => c.pipe(c)).listen(path, () => {
			const c = net.connect(path);
			let got = 0;
			c.on('data', (chunk) => got += chunk.length);
			c.on('end', () => server.close(() => resolve(['unix socket', got])));
			c.end(Buffer.alloc(300000));
		});
	});
}

// The standard input's line; natively its end.
function answer() {
	return new Promise((resolve) => {
		if (process.stdin.readableEnded)
			resolve();
		process.stdin.once('data', resolve).once('end', resolve);
	});
}

async function main() {
	const until = { done: false }, ticks = { n: 0 };
	const stop = workers(6, 3);
	const server = await serve(), port = server.address().port;
	const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
	const timer = setInterval(() => { ticks.n++; if (ticks.n % 20 === 0) global.gc(); }, 5);
	const clients = [];

	for (let i = 0; i < 8; i++)
		clients.push(client(agent, port, i, 8, until));
	for (let i = 0; i < 4; i++)
		await ask(agent, port, 1000 + i);
	for (let i = 0; i < 3; i++) {
		say('@save@');
		await answer();
	}
	process.stdin.destroy();
	until.done = true;
	const counts = await Promise.all(clients);
	say('clients', counts.length, counts.every((n) => n >= 10));
	await stop();
	clearInterval(timer);
	say('ticks', ticks.n > 0);
	agent.destroy();
	await new Promise((resolve) => server.close(resolve));
	say('compressed', (await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(compressed))).join());
	say(...await child());
	say(...await datagrams());
	say(...await unixSocket());
}

if (isMainThread)
	main();
else
	worker();
