"""The main job: a program that is always in the middle of something.

Recursion through functions, methods, generators and comprehensions, dicts of
dicts, exceptions caught and re-raised through several finally clauses, big
integers, closures, coroutines, files written and read back. Each round prints
a few lines; what is printed depends on the arguments only. The last line is a
digest of all lines.

usage: main_job.py SCALE [DIRECTORY]
"""

import functools
import hashlib
import heapq
import json
import os
import re
import struct
import sys
from collections import Counter, defaultdict, namedtuple
from contextlib import ExitStack, contextmanager

DIGEST = hashlib.sha256()


def say(text):
    DIGEST.update(text.encode() + b"\n")
    print(text, flush=True)


class Rng:
    """xorshift64, so that no module's generator matters."""

    def __init__(self, seed):
        self.x = seed

    def __call__(self, n):
        x = self.x
        x ^= (x << 13) & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 7
        x ^= (x << 17) & 0xFFFFFFFFFFFFFFFF
        self.x = x
        return (x >> 11) % n


# --- generators that recurse -------------------------------------------------


def queens(n, row=0, cols=0, up=0, down=0, placed=()):
    """All ways to place n queens: a generator n deep, by yield from."""
    if row == n:
        yield placed
        return
    free = ((1 << n) - 1) & ~(cols | up | down)
    while free:
        bit = free & -free
        free ^= bit
        yield from queens(
            n, row + 1, cols | bit, (up | bit) << 1, (down | bit) >> 1, placed + (bit.bit_length() - 1,)
        )


def running_stats():
    """A generator driven by send, stopped by throw; its finally counts too."""
    count, total, seen = 0, 0, {}
    try:
        while True:
            try:
                value = yield (count, total)
            except KeyError as e:
                seen.pop(e.args[0], None)
                continue
            count += 1
            total += value
            seen[value % 13] = seen.get(value % 13, 0) + 1
    finally:
        say(f"  stats closed: {count} values, {total}, {sorted(seen.items())[:5]}")


def flatten(tree):
    if isinstance(tree, dict):
        for key in sorted(tree):
            for path, leaf in flatten(tree[key]):
                yield f"{key}/{path}", leaf
    else:
        yield "", tree


def generators(rng, size):
    n = 6 + size % 2
    solutions = list(queens(n))
    say(f"  queens({n}) = {len(solutions)}, last {solutions[-1]}")
    stats = running_stats()
    next(stats)
    for i in range(300):
        if i % 50 == 49:
            stats.throw(KeyError(i % 13))
        last = stats.send(rng(1000))
    stats.close()

    def grow(depth):
        return {f"n{i}": grow(depth - 1) for i in range(3)} if depth else rng(100)

    leaves = list(flatten(grow(6)))
    say(f"  {len(leaves)} leaves, {leaves[len(leaves) // 2]}, sum {sum(v for _, v in leaves)}, {last}")


# --- an expression language: parser and evaluator by recursive descent -------

TOKEN = re.compile(r"\s*(?:(\d+)|([a-z]\w*)|(\*\*|.))")


class ParseError(Exception):
    def __init__(self, what, at):
        super().__init__(f"{what} at {at}")
        self.at = at


class EvalError(ArithmeticError):
    pass


Node = namedtuple("Node", "op args")


class Parser:
    def __init__(self, text):
        self.tokens = [m.group(m.lastindex) for m in TOKEN.finditer(text.rstrip())]
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, want=None):
        token = self.peek()
        if token is None or want is not None and token != want:
            raise ParseError(f"want {want or 'operand'}, got {token}", self.at)
        self.at += 1
        return token

    def binary(self, level):
        if level == len(LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        while self.peek() in LEVELS[level]:
            left = Node(self.take(), (left, self.binary(level + 1)))
        return left

    def unary(self):
        if self.peek() == "-":
            self.take()
            return Node("neg", (self.unary(),))
        return self.primary()

    def primary(self):
        token = self.take()
        if token == "(":
            inner = self.binary(0)
            self.take(")")
            return inner
        if token.isdigit():
            return Node("num", (int(token),))
        if token.isidentifier():
            if self.peek() != "(":
                return Node("var", (token,))
            self.take("(")
            args = []
            while self.peek() != ")":
                args.append(self.binary(0))
                if self.peek() == ",":
                    self.take()
            self.take(")")
            return Node("call", (token, *args))
        raise ParseError(f"unexpected {token}", self.at - 1)


LEVELS = ({"+", "-"}, {"*", "/", "%"}, {"^"})
FUNCS = {
    "fact": lambda ev, n: 1 if n < 2 else n * ev(Node("call", ("fact", Node("num", (n - 1,))))),
    "max": lambda ev, *a: max(a),
    "gcd": lambda ev, a, b: a if b == 0 else ev(Node("call", ("gcd", Node("num", (b,)), Node("num", (a % b,))))),
}


def evaluate(node, env, trail):
    trail.append(node.op)
    try:
        match node:
            case Node("num", (value,)):
                return value
            case Node("var", (name,)):
                try:
                    return env[name]
                except KeyError:
                    raise EvalError(f"unknown {name}") from None
            case Node("neg", (inner,)):
                return -evaluate(inner, env, trail)
            case Node("call", (name, *args)):
                values = [evaluate(a, env, trail) for a in args]
                try:
                    return FUNCS[name](lambda n: evaluate(n, env, trail), *values)
                except (KeyError, TypeError) as e:
                    raise EvalError(f"call of {name}: {type(e).__name__}") from e
            case Node(op, (left, right)):
                a, b = evaluate(left, env, trail), evaluate(right, env, trail)
                if op in "/%" and b == 0:
                    raise EvalError("division by zero")
                return {
                    "+": lambda: a + b,
                    "-": lambda: a - b,
                    "*": lambda: a * b,
                    "/": lambda: a // b,
                    "%": lambda: a % b,
                    "^": lambda: pow(a, b % 8),
                }[op]()
    finally:
        trail.pop()


def random_expression(rng, depth):
    kind = rng(10) if depth else rng(3)
    if kind < 2:
        return str(rng(100))
    if kind < 3:
        return "abcz"[rng(4)]
    if kind < 4:
        return f"-({random_expression(rng, depth - 1)})"
    if kind < 5:
        return f"max({', '.join(random_expression(rng, depth - 1) for _ in range(1 + rng(3)))})"
    if kind < 6:
        return f"fact({rng(30)}) " + ("" if rng(20) else "]")
    return f"({random_expression(rng, depth - 1)} {'+-*/%^'[rng(6)]} {random_expression(rng, depth - 1)})"


def expressions(rng, size):
    env = {"a": 3, "b": -7, "c": 10**20}
    outcomes, total, causes = Counter(), 0, 0
    for _ in range(160):
        text, trail = random_expression(rng, 5), []
        try:
            try:
                tree = Parser(text).binary(0)
                total = (total * 31 + evaluate(tree, env, trail)) % (2**127 - 1)
            except ParseError as e:
                outcomes[f"parse@{e.at // 10}"] += 1
                raise ValueError(text) from e
            except EvalError as e:
                outcomes[str(e)] += 1
                causes += e.__cause__ is not None
            else:
                outcomes["ok"] += 1
            finally:
                outcomes["all"] += 1
                assert not trail, trail
        except ValueError as e:
            causes += isinstance(e.__cause__, ParseError)
    say(f"  {sorted(outcomes.items())[:6]} causes {causes} total {total:#x}")


# --- exceptions through many frames ------------------------------------------


@contextmanager
def guarded(name, log, swallow=()):
    log.append(f"+{name}")
    try:
        yield name
    except swallow as e:
        log.append(f"!{name}:{e}")
    finally:
        log.append(f"-{name}")


def descend(depth, bottom, log):
    try:
        if depth == 0:
            return bottom()
        if depth % 7 == 0:
            with guarded(depth, log):
                return descend(depth - 1, bottom, log) + 1
        return descend(depth - 1, bottom, log) + 1
    except ZeroDivisionError as e:
        if depth % 40 == 0:
            raise LookupError(depth) from e
        raise
    except LookupError:
        if depth % 90 == 0:
            return -depth
        raise
    finally:
        if depth % 25 == 0:
            log.append(depth)


def exceptions(rng, size):
    log = []
    ok = descend(150, lambda: 5, log)
    caught = descend(190, lambda: 1 // 0, log)
    try:
        descend(30, lambda: None.bottom, log)
    except AttributeError as e:
        depth, tb = 0, e.__traceback__
        while tb:
            depth, tb = depth + 1, tb.tb_next
    with ExitStack() as stack:
        for i in range(20):
            stack.enter_context(guarded(f"s{i}", log, (OSError,) if i == 11 else ()))
        raise OSError(f"round {size}")
    try:
        raise ExceptionGroup("many", [ValueError(i) if i % 2 else TypeError(i) for i in range(6)])
    except* ValueError as g:
        log.append(len(g.exceptions))
    except* TypeError as g:
        log.append([e.args for e in g.exceptions])
    recursion = 0
    try:

        def forever():
            nonlocal recursion
            recursion += 1
            forever()

        forever()
    except RecursionError:
        log.append("deep enough")
    say(f"  {ok} {caught} {depth} {len(log)} {log[-8:]}")


# --- big integers -------------------------------------------------------------


def pi_digits(n):
    """Gibbons's spigot: one digit after another out of growing integers."""
    q, r, t, k, m, x = 1, 0, 1, 1, 3, 3
    while n:
        if 4 * q + r - t < m * t:
            yield m
            n -= 1
            q, r, m = 10 * q, 10 * (r - m * t), (10 * (3 * q + r)) // t - 10 * m
        else:
            q, r, t, k, m, x = q * k, (2 * q + r) * x, t * x, k + 1, (q * (7 * k + 2) + r * x) // (t * x), x + 2


def is_prime(n, bases=(2, 3, 5, 7, 11, 13)):
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for a in bases:
        x = pow(a, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def big_integers(rng, size):
    digits = "".join(map(str, pi_digits(150)))
    p = 2**89 + 2 * size + 1
    while not is_prime(p):
        p += 2
    inverse = pow(3**60, -1, p)
    fib = functools.reduce(lambda ab, _: (ab[1], ab[0] + ab[1]), range(3000), (0, 1))[0]
    say(f"  pi …{digits[-20:]} p {p:x} inverse {inverse} fib(3000) % p {fib % p} {len(str(fib))} digits")


# --- closures, classes, decorators, comprehensions ----------------------------


def counted(f):
    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        wrapper.calls += 1
        return f(*args, **kwargs)

    wrapper.calls = 0
    return wrapper


@counted
@functools.lru_cache(maxsize=500)
def edit_distance(a, b):
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return edit_distance(a[1:], b[1:])
    return 1 + min(edit_distance(a[1:], b), edit_distance(a, b[1:]), edit_distance(a[1:], b[1:]))


class Shape:
    kinds = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Shape.kinds[cls.__name__] = cls

    def __lt__(self, other):
        return (self.area(), type(self).__name__) < (other.area(), type(other).__name__)


class Square(Shape):
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side**2


class Box(Shape):
    def __init__(self, *inner):
        self.inner = inner

    def area(self):
        return sum(s.area() for s in self.inner) + 1

    def __format__(self, spec):
        return "[" + " ".join(f"{s:{spec}}" if isinstance(s, Box) else format(s.area(), spec) for s in self.inner) + "]"


def closures(rng, size):
    def make(n):
        state = [n]

        def bump(by, *, depth=0):
            state[0] = (state[0] * 1103515245 + by) % 2**31
            return bump(by + 1, depth=depth - 1) if depth else state[0]

        return bump

    bumps = [make(i) for i in range(20)]
    sums = [b(i, depth=30) for i, b in enumerate(bumps)]
    words = ["".join("abcde"[rng(5)] for _ in range(9)) for _ in range(6)]
    edit_distance.__wrapped__.cache_clear()
    distances = [[edit_distance(a, b) for b in words] for a in words]

    def pack(d):
        return Box(*(pack(d - 1) if rng(3) and d else Square(rng(9)) for _ in range(3)))

    boxes = sorted(pack(3) for _ in range(12))
    say(f"  {sum(sums)} {distances[1]} calls {edit_distance.calls} {boxes[1]:03d} {sorted(Shape.kinds)}")


# --- coroutines under a scheduler of our own ----------------------------------


class Sleep:
    def __init__(self, ticks):
        self.ticks = ticks

    def __await__(self):
        return (yield self.ticks)


async def worker(name, rng, inbox, out):
    try:
        for step in range(6):
            now = await Sleep(1 + rng(9))
            inbox[name].append(now)
            if rng(12) == 0:
                raise TimeoutError(name)
            out.append((now, name, step, sum(inbox[(name + 1) % len(inbox)])))
        return name * 10
    finally:
        await Sleep(1)
        out.append(("end", name))


def coroutines(rng, size):
    inbox, out, results = defaultdict(list), [], {}
    tasks = {i: worker(i, rng, inbox, out) for i in range(12)}
    for i in tasks:
        inbox[i] = []
    queue = [(0, i) for i in tasks]
    while queue:
        now, i = heapq.heappop(queue)
        try:
            ticks = tasks[i].send(now if out or now else None)
        except StopIteration as e:
            results[i] = e.value
        except TimeoutError as e:
            results[i] = f"late {e}"
        else:
            heapq.heappush(queue, (now + ticks, i))
    digest = hashlib.sha1(repr(out).encode()).hexdigest()[:12]
    say(f"  {len(out)} events {digest} {list(results.items())[:4]}")


# --- files ---------------------------------------------------------------------


def files(rng, size, where):
    base = os.path.join(where, f"round-{size}")
    os.makedirs(os.path.join(base, "deep", "er"), exist_ok=True)
    names = []
    with ExitStack() as stack:
        handles = []
        for i in range(4):
            path = os.path.join(base, "deep" if i % 2 else "", f"part-{i}.txt")
            names.append(path)
            handles.append(stack.enter_context(open(path, "w+", encoding="utf-8")))
        for i in range(400):
            handles[i % 4].write(f"{i:05d}|{rng(10**9):>12,}|{'é' * (i % 5)}|{i / 7:.6e}\n")
        for h in handles:
            h.seek(0)
        total = sum(int(line.split("|")[1].replace(",", "")) for h in handles for line in h)
    binary = os.path.join(base, "deep", "er", "table.bin")
    record = struct.Struct("<IdH6s")
    with open(binary, "wb") as f:
        for i in range(200):
            f.write(record.pack(i * 2654435761 % 2**32, i / 3, i, b"x%05d" % i))
    with open(binary, "r+b") as f:
        for i in range(0, 200, 17):
            f.seek(i * record.size)
            a, b, c, d = record.unpack(f.read(record.size))
            f.seek(-record.size, os.SEEK_CUR)
            f.write(record.pack(a ^ 0xFFFFFFFF, -b, c, d[::-1]))
        f.seek(0)
        digest = hashlib.md5(f.read()).hexdigest()
        f.truncate(100)
    document = {"round": size, "names": [os.path.basename(n) for n in names], "nested": {"k": [1.5, None, True, "ü"]}}
    final = os.path.join(base, "document.json")
    with open(final + ".new", "w") as f:
        json.dump(document, f, indent=1, sort_keys=True)
    os.replace(final + ".new", final)
    with open(final) as f:
        assert json.load(f) == document
    tree = [
        (os.path.relpath(d, base), sorted(dirs), sorted((n, os.path.getsize(os.path.join(d, n))) for n in found))
        for d, dirs, found in sorted(os.walk(base))
    ]
    say(f"  {total} {digest} {tree[-1]} {len(tree)} directories")
    try:
        open(os.path.join(base, "absent", "file"))
    except FileNotFoundError as e:
        say(f"  {type(e).__name__} {os.path.basename(e.filename)}")
    if size % 2 == 0:
        for d, dirs, found in os.walk(base, topdown=False):
            for n in found:
                os.unlink(os.path.join(d, n))
            os.rmdir(d)


# --- all of it, at the bottom of a recursion -----------------------------------


def rounds(rng, scale, where, i):
    """One stack frame for each round, up to 40: the last runs under all those before."""
    if i > scale:
        return 0
    say(f"round {i}/{scale}")
    for part in (generators, expressions, exceptions, big_integers, closures, coroutines):
        part(rng, i)
    files(rng, i, where)
    try:
        return 1 + (rounds(rng, scale, where, i + 1) if i % 40 else 0)
    finally:
        if i % 5 == 0:
            say(f"back in round {i}")


def main(argv):
    scale = int(argv[1]) if len(argv) > 1 else 10
    where = argv[2] if len(argv) > 2 else "/tmp/main_job"
    say(f"python {sys.version_info[0]}.{sys.version_info[1]} main job, scale {scale}")
    rng, count = Rng(0x57A515), 0
    while count < scale:
        count += rounds(rng, scale, where, count + 1)
    say(f"{count} rounds")
    print(f"digest {DIGEST.hexdigest()}")


if __name__ == "__main__":
    main(sys.argv)
