# The Ruby job: blocks, exceptions through ensure, fibers, big integers, files.
# CRuby's WASI build unwinds for exceptions and fibers by Asyncify, so this is
# a program that already does to itself what we do to it.
# usage: ruby main_job.rb SCALE [DIRECTORY]

SCALE = (ARGV[0] || 10).to_i
WHERE = ARGV[1] || "/"
$digest = 0xcbf29ce484222325

def say(text)
  text.each_byte { |b| $digest = (($digest ^ b) * 0x100000001b3) & 0xffffffffffffffff }
  puts text
  $stdout.flush
end

$x = 0x57a515
def rng(n)
  $x = ($x * 6364136223846793005 + 1442695040888963407) & 0xffffffffffffffff
  ($x >> 33) % n
end

def queens(n, row = 0, cols = [], &found)
  return found.call(cols) if row == n
  n.times do |c|
    next if cols.each_with_index.any? { |o, r| o == c || (o - c).abs == row - r }
    queens(n, row + 1, cols + [c], &found)
  end
end

class Refused < StandardError; end

def descend(depth, log, &bottom)
  return bottom.call if depth.zero?
  descend(depth - 1, log, &bottom) + 1
rescue ZeroDivisionError => e
  raise Refused, "at #{depth}" if depth % 20 == 0
  raise
rescue Refused => e
  raise unless depth % 35 == 0
  log << "#{e.message} because #{e.cause.class}"
  -depth
ensure
  log << depth if depth % 15 == 0
end

def tree(depth)
  depth.zero? ? rng(100) : { left: tree(depth - 1), right: tree(depth - 1), name: "n#{depth}".to_sym }
end

def sum(t)
  t.is_a?(Hash) ? sum(t[:left]) * 3 % 65537 + sum(t[:right]) : t
end

say "ruby #{RUBY_VERSION} main job, scale #{SCALE}"
1.upto(SCALE) do |i|
  count, last = 0, nil
  queens(6) { |q| count += 1; last = q }
  say "ruby #{i}/#{SCALE} queens #{count} #{last.inspect}"

  log = []
  values = [descend(50, log) { 7 }, descend(80, log) { 1 / 0 }]
  thrown = catch(:out) { descend(30, log) { throw :out, :thrown } }
  say "ruby #{i}/#{SCALE} unwound #{values} #{thrown} #{log.last(6).inspect}"

  fibers = Array.new(5) { |k| Fiber.new { |v| 20.times { |s| v = Fiber.yield(v * (k + 2) % 1009 + s) }; :end } }
  v, turns = i, 0
  until fibers.empty?
    fibers.reject! { |f| (r = f.resume(v)) == :end or (v = r; turns += 1; false) }
  end
  say "ruby #{i}/#{SCALE} fibers #{turns} #{v}"

  f = (1..150 + i).inject(:*)
  say "ruby #{i}/#{SCALE} big #{f.to_s.size} #{f % (2**61 - 1)} #{3.pow(5**40, 10**18 + 9)}"

  words = Array.new(400) { Array.new(3 + rng(5)) { (97 + rng(26)).chr }.join }
  groups = words.group_by { |w| w[0] }.map { |k, ws| "#{k}#{ws.sum(&:size)}" }.sort
  text = words.sort_by { |w| [w.reverse, w] }.join(" ").gsub(/([aeiou])(\w)/) { "#{$2.upcase}#{$1}" }
  say "ruby #{i}/#{SCALE} words #{groups.first(5).join(",")} #{text[0, 30]} #{sum(tree(9))}"

  path = File.join(WHERE, "ruby-#{i}.txt")
  File.open(path, "w") { |o| 200.times { |k| o.puts "#{k}:#{rng(10**6)}" } }
  total = File.foreach(path).sum { |l| l.split(":")[1].to_i }
  File.delete(path)
  say "ruby #{i}/#{SCALE} file #{total} #{File.exist?(path)}"
end
puts format("ruby digest %016x", $digest)
