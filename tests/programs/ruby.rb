#!/usr/bin/env ruby
# needs: ruby
# Ruby: threads, fibers, a TCP server, forks, the collector compacting. The load goes on until the
# standard input has answered each of the marks.

require "digest"
require "socket"
require "tmpdir"

$stdout.sync = true
$stop = false

def churn(seed)
  kept = {}
  n = seed
  until $stop && n > seed + 2000
    kept[n % 500] = "text #{n} " * 20
    n += 1
    kept.each_key { |k| raise "memory changed" unless kept[k] =~ /\Atext (\d+) / && $1.to_i % 500 == k } if n % 5000 == 0
  end
  n - seed
end

server = TCPServer.new("127.0.0.1", 0)
port = server.addr[1]
echo = Thread.new do
  loop do
    c = server.accept
    Thread.new { while (line = c.gets) do c.write(line.upcase) end; c.close }
  end
end
clients = 8.times.map do |i|
  Thread.new do
    s = TCPSocket.new("127.0.0.1", port)
    n = 0
    until $stop && n > 10
      s.puts("abc" * (n % 3000) + i.to_s)
      raise "wrong answer" unless s.gets == "ABC" * (n % 3000) + i.to_s + "\n"
      n += 1
    end
    s.close
    n
  end
end
churners = 3.times.map { |i| Thread.new { churn(i * 1_000_000) } }
queue = SizedQueue.new(3)
producer = Thread.new { n = 0; (queue << n; n += 1) until $stop; queue << nil; n * (n - 1) / 2 }
consumer = Thread.new { sum = 0; while (n = queue.pop) do sum += n end; sum }
children = Thread.new do
  n = 0
  until $stop && n > 1
    r, w = IO.pipe
    pid = fork { r.close; GC.start; w.write("x" * 200_000); exit!(7) }
    w.close
    raise "child" unless r.read.size == 200_000 && Process.wait2(pid)[1].exitstatus == 7
    r.close
    n += 1
  end
  n
end
ticks = 0
trap("ALRM") { ticks += 1 }
ticker = Thread.new { (Process.kill("ALRM", $$); sleep 0.005) until $stop && ticks > 0 }
collector = Thread.new { (GC.compact; sleep 0.01) until $stop }

3.times do
  puts "@save@"
  $stdin.gets
end
$stop = true
puts "clients #{clients.map(&:value).min > 10}"
puts "churners #{churners.map(&:value).min > 2000}"
puts "queue #{producer.value == consumer.value}"
puts "children #{children.value > 1}"
[ticker, collector].each(&:join)
puts "ticks #{ticks > 0}"
echo.kill
fib = Fiber.new { a, b = 0, 1; loop { Fiber.yield a; a, b = b, a + b } }
puts "fiber #{300.times.map { fib.resume }.last}"
Dir.mktmpdir("stasis-ruby", "/tmp") do |dir|
  File.open("#{dir}/f", "w+") { |f| f.flock(File::LOCK_EX); f.write("text" * 10000); f.flush; f.truncate(5000) }
  puts "file #{Digest::MD5.file("#{dir}/f")} #{File.size("#{dir}/f")}"
end
puts "spawn #{`seq 5 | sort -r`.split.join(",")}"
