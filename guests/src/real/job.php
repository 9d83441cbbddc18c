<?php
// The main job in PHP: recursion, arrays, generators, exceptions, closures,
// strings, regular expressions, sorting with callbacks. Progress on the way, a
// digest at the end. Scale is the first argument.

mt_srand(12345);
$scale = (int)($argv[1] ?? 1);
$hash = hash_init('sha256');
$say = function (string $s) use ($hash) {
    hash_update($hash, $s);
    echo $s, "\n";
    flush();
};

function ackermann(int $m, int $n): int
{
    if ($m == 0) return $n + 1;
    return ackermann($m - 1, $n == 0 ? 1 : ackermann($m, $n - 1));
}

function primes(int $below): Generator
{
    $composite = [];
    for ($i = 2; $i < $below; $i++) {
        if (isset($composite[$i])) continue;
        yield $i;
        for ($j = $i * $i; $j < $below; $j += $i) $composite[$j] = true;
    }
}

class Refused extends RuntimeException {}

function descend(int $depth)
{
    try {
        if ($depth == 0) throw new Refused('at the bottom');
        return descend($depth - 1);
    } catch (LogicException $e) {
        return 'wrong handler';
    } finally {
        global $unwound;
        $unwound++;
    }
}

for ($round = 1; $round <= $scale; $round++) {
    $say("round $round");
    $say('ackermann ' . ackermann(2, 40 + $round % 7));
    $sum = 0;
    foreach (primes(20000) as $p) $sum += $p;
    $say("primes $sum");

    $unwound = 0;
    try {
        descend(200);
    } catch (Refused $e) {
        $say($e->getMessage() . " after $unwound");
    }

    $words = [];
    for ($i = 0; $i < 4000; $i++) {
        $w = substr(md5((string)mt_rand()), 0, 3);
        $words[$w] = ($words[$w] ?? 0) + 1;
    }
    uksort($words, fn($a, $b) => $words[$b] <=> $words[$a] ?: strcmp($a, $b));
    $say('words ' . count($words) . ' ' . json_encode(array_slice($words, 0, 5)));

    $text = str_repeat('The quick brown fox, 42 times over. ', 300);
    $text = preg_replace_callback('/\b(\w)(\w*)\b/', fn($m) => strtoupper($m[1]) . strrev($m[2]), $text);
    $say('text ' . crc32($text));

    $tree = array_reduce(range(1, 2000), fn($t, $i) => [$i * 7919 % 2003 => $t], null);
    $depth = 0;
    while ($tree) {
        $tree = current($tree);
        $depth++;
    }
    $say('tree ' . $depth . ' ' . strlen(serialize(array_fill(0, 500, [$round => str_repeat('x', 20)]))));
}
$say('sha256 ' . hash_final(hash_copy($hash)));
