// needs: java /usr/bin/javac
// run: java -Xmx512m -XX:+UseG1GC -XX:ParallelGCThreads=2
// OpenJDK: many threads, garbage collections under way, sockets, children. The load goes on until
// the standard input has answered each of the marks.

import java.io.*;
import java.lang.management.*;
import java.net.*;
import java.nio.*;
import java.nio.channels.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import java.util.stream.*;
import java.util.zip.CRC32;

class Runtimes {
	static volatile boolean stop;
	static final AtomicLong checked = new AtomicLong();
	static final int PORTION = 5000;

	static void say(Object... words) {
		System.out.println(Stream.of(words).map(String::valueOf).collect(Collectors.joining(" ")));
		System.out.flush();
	}

	// Long lists whose links cross the generations: a collector that loses one shows at once.
	static void churn(int seed) {
		Map<Integer, long[]> kept = new HashMap<>();
		long n = seed;
		do {
			for (int i = 0; i < 2000; i++, n++) {
				long[] a = new long[100 + (int) (n % 200)];
				Arrays.fill(a, n);
				kept.put((int) (n % 1000), a);
			}
			for (long[] a : kept.values())
				if (a[0] != a[a.length - 1] || a.length != 100 + a[0] % 200)
					throw new IllegalStateException("memory changed");
			checked.incrementAndGet();
		} while (!stop);
	}

	// Threads that hand one token round under a monitor.
	static class Ring {
		int turn;
		final int size;

		Ring(int size) {
			this.size = size;
		}

		synchronized void go(int number) throws InterruptedException {
			while (!stop || turn % size != 0) {
				while (turn % size != number && !(stop && turn % size == 0))
					wait(100);
				if (turn % size == number && !(stop && turn % size == 0)) {
					turn++;
					notifyAll();
				}
			}
			notifyAll();
		}
	}

	static void echo(SocketChannel c) {
		try (c) {
			ByteBuffer b = ByteBuffer.allocateDirect(8192);
			while (c.read(b) >= 0) {
				b.flip();
				while (b.hasRemaining())
					c.write(b);
				b.clear();
			}
		} catch (IOException e) {
			throw new UncheckedIOException(e);
		}
	}

	static long talk(int port, int seed) throws IOException {
		byte[] out = new byte[PORTION], in = new byte[PORTION];
		long rounds = 0;
		try (Socket s = new Socket("127.0.0.1", port)) {
			do {
				new Random(seed + rounds).nextBytes(out);
				s.getOutputStream().write(out);
				int got = s.getInputStream().readNBytes(in, 0, PORTION);
				if (got != PORTION || !Arrays.equals(in, out))
					throw new IllegalStateException("echo came back wrong");
				rounds++;
			} while (!stop);
		}
		return rounds;
	}

	static void load() throws Exception {
		ExecutorService pool = Executors.newCachedThreadPool();
		ScheduledExecutorService clock = Executors.newScheduledThreadPool(2);
		AtomicInteger ticks = new AtomicInteger();
		List<Future<?>> all = new ArrayList<>();
		List<Future<Long>> talks = new ArrayList<>();
		Ring ring = new Ring(5);
		ServerSocketChannel server = ServerSocketChannel.open().bind(new InetSocketAddress("127.0.0.1", 0));
		int port = ((InetSocketAddress) server.getLocalAddress()).getPort();

		clock.scheduleAtFixedRate(ticks::incrementAndGet, 1, 3, TimeUnit.MILLISECONDS);
		for (int i = 0; i < 6; i++) {
			int seed = i * 1000000;
			all.add(pool.submit(() -> churn(seed)));
			talks.add(pool.submit(() -> talk(port, seed)));
			SocketChannel c = server.accept();
			all.add(pool.submit(() -> echo(c)));
		}
		for (int i = 0; i < 5; i++) {
			int number = i;
			all.add(pool.submit(() -> { ring.go(number); return null; }));
		}
		CountDownLatch parked = new CountDownLatch(1);
		for (int i = 0; i < 50; i++)
			all.add(pool.submit(() -> { parked.await(); return null; }));
		for (int i = 0; i < 3; i++) {
			say("@save@");
			System.in.read();
		}
		while (collections() < 5)
			Thread.sleep(1);
		stop = true;
		parked.countDown();
		for (Future<?> f : all)
			f.get();
		long rounds = Long.MAX_VALUE;
		for (Future<Long> f : talks)
			rounds = Math.min(rounds, f.get());
		clock.shutdownNow();
		pool.shutdown();
		server.close();
		say("load", all.size(), talks.size(), rounds > 0, checked.get() > 0, ring.turn > 0, ring.turn % 5,
		    ticks.get() > 0, pool.awaitTermination(60, TimeUnit.SECONDS));
	}

	static long collections() {
		return ManagementFactory.getGarbageCollectorMXBeans().stream()
			.mapToLong(GarbageCollectorMXBean::getCollectionCount).sum();
	}

	static void files() throws Exception {
		Path dir = Files.createTempDirectory(Path.of("/tmp"), "stasis-java");
		Path p = dir.resolve("f");
		try (FileChannel f = FileChannel.open(p, StandardOpenOption.CREATE, StandardOpenOption.READ,
						      StandardOpenOption.WRITE)) {
			MappedByteBuffer m = f.map(FileChannel.MapMode.READ_WRITE, 0, 100000);
			for (int i = 0; i < 100000; i++)
				m.put(i, (byte) (i * 7));
			m.force();
		}
		CRC32 crc = new CRC32();
		crc.update(Files.readAllBytes(p));
		say("mapped", crc.getValue());
		Files.delete(p);
		Files.delete(dir);
	}

	static void child() throws Exception {
		Process p = new ProcessBuilder("sort", "-n").start();
		try (Writer w = p.outputWriter()) {
			for (int i = 300; i > 0; i--)
				w.write(i + "\n");
		}
		List<String> lines = p.inputReader().lines().toList();
		say("child", p.waitFor(), lines.size(), lines.get(0), lines.get(299));
	}

	static void outOfMemory() {
		List<byte[]> all = new ArrayList<>();
		try {
			for (;;)
				all.add(new byte[32 << 20]);
		} catch (OutOfMemoryError e) {
			all.clear();
			say("out of memory");
		}
	}

	static int deep(int n) {
		return 1 + deep(n + 1);
	}

	public static void main(String[] args) throws Exception {
		load();
		say("parallel", IntStream.range(0, 2000000).parallel().filter(i -> i % 7 == 3).count());
		files();
		child();
		outOfMemory();
		try {
			deep(0);
		} catch (StackOverflowError e) {
			say("stack overflow");
		}
		Object none = args.length > 100 ? args : null;
		try {
			none.hashCode();
		} catch (NullPointerException e) {
			say("null");
		}
	}
}
