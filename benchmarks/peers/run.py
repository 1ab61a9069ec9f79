#!/usr/bin/env python3
"""Runs Lacuna and its peers on the same shapes and bits, in turns, and prints one table.

Peers come from your own npm, pip and mvn settings into a work folder: llama.cpp out of node-llama-cpp's package, through its C API; the others on the
synthetic shapes with --torch (bf16), --onnx (MatMulNBits in 4 or 8 bits) and --jlama (4 bits).
In each round every engine starts as a process of its own, warms up and measures once, so that a busy minute meets all of them alike; which begins
alternates. llama.cpp runs with flash attention off and on and the better median counts. --busy N measures each engine once more beside N processes that
only spin, in the same turns, so that one table says what a busy machine leaves of each. Needs Python 3.9, git, a C compiler, npm, and what ./lacuna needs.

    benchmarks/peers/run.py                                      # everything: 135M and 1B, Q4_0 Q8_0 Q4_K_M, 1 and 2 threads, 5 rounds
    benchmarks/peers/run.py --shapes 135M --formats Q4_0 --rounds 2 --threads 2
    benchmarks/peers/run.py --formats Q8_0 Q4_K_M --shapes 135M 1B --prompt 16 --sequences 1   # decoding alone, 8 bits and K mixes
    benchmarks/peers/run.py --shapes 135M --formats Q4_0 --threads 2 --prompt 16 --sequences 1 --busy 1
    benchmarks/peers/run.py --model SmolLM2-135M-Instruct.Q4_1.gguf --perplexity text.txt --lacuna "--kernels native"
"""
import argparse
import contextlib
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import folder as hugging_face
from synthetic import SHAPES, write

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NODE_LLAMA_CPP = "3.22.1"
FTYPES = {"F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q4_K_M": 15}  # enum llama_ftype
BITS = {"Q4_0": 4, "Q4_1": 4, "Q4_K_M": 4, "Q8_0": 8}  # of what other engines have beside a format
JAVA = ["-Xmx12g", "--add-modules", "jdk.incubator.vector", "--enable-preview", "--source", "25", "--enable-native-access=ALL-UNNAMED",
        "-Djdk.incubator.vector.VECTOR_ACCESS_OOB_CHECK=0", "--add-opens", "java.base/java.nio=ALL-UNNAMED"]


def say(line):
    print("run.py: " + line, file=sys.stderr, flush=True)


def call(*command, **more):
    """Standard output of a command; its own words if it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit("run.py: %s failed with status %d\n%s" % (shlex.join(map(str, command)), done.returncode, (done.stdout + done.stderr)[-4000:]))
    return done.stdout


class Llama:
    """llama.cpp: libraries and headers of one package, and a driver that is built against them."""

    def __init__(self, work):
        folder = work / "llama"
        folder.mkdir(parents=True, exist_ok=True)
        package = folder / "node_modules" / "node-llama-cpp"
        if not package.exists():
            say("fetching node-llama-cpp %s with npm" % NODE_LLAMA_CPP)
            # the libraries by name, since the optional packages beside them are gigabytes for GPUs
            call("npm", "install", "--ignore-scripts", "--no-save", "--omit=optional", "--prefix", folder, "node-llama-cpp@" + NODE_LLAMA_CPP,
                 "@node-llama-cpp/linux-x64@" + NODE_LLAMA_CPP)
        self.version = json.loads((package / "package.json").read_text())["version"]
        binaries = folder / "node_modules" / "@node-llama-cpp" / "linux-x64" / "bins"
        found = sorted(binaries.rglob("libllama.*so*")) if binaries.exists() else []
        if not found:
            sys.exit("run.py: there is no libllama under %s: remove %s and try again" % (binaries, folder))
        self.backends = found[0].parent
        source = folder / "llama.cpp"
        if not source.exists():
            call("git", "clone", "-q", package / "llama" / "gitRelease.bundle", source)
        self.driver = folder / "llama_driver"
        if not self.driver.exists() or self.driver.stat().st_mtime < (HERE / "llama_driver.c").stat().st_mtime:
            libraries = [next(iter(sorted(self.backends.glob(p)))) for p in ("libllama.*so*", "libggml.*so*", "libggml-base*so*")]
            compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or "clang"
            call(compiler, "-O2", "-std=gnu17", "-I", source / "include", "-I", source / "ggml" / "include", HERE / "llama_driver.c", "-o", self.driver,
                 *libraries, "-Wl,-rpath," + str(self.backends))

    def quantize(self, source, target, ftype):
        part = target.with_suffix(".part")
        call(self.driver, self.backends, "quantize", source, part, ftype)
        part.rename(target)

    def run(self, model, threads, flash, args):
        out = call(self.driver, self.backends, "run", model, threads, flash, args.prompt, args.tokens, args.sequences, 1)
        return json.loads(out.splitlines()[-1])


def lacuna(model, threads, args, quality=()):
    """The rows of one run by test."""
    command = [ROOT / "lacuna", "bench", model, "-p", args.prompt, "-n", args.tokens, "-b", "1,%d" % args.sequences if args.sequences > 1 else "1",
               "-t", threads, "-r", 1, "-o", "jsonl", *quality, *shlex.split(args.lacuna)]
    return {row["test"]: row for row in map(json.loads, call(*command).splitlines())}


def python_with(folder, packages):
    """A Python of its own that has some packages."""
    python = folder / "bin" / "python"
    if not python.exists():
        say("fetching %s with pip" % " and ".join(packages))
        call(sys.executable, "-m", "venv", folder)
        call(python, "-m", "pip", "install", "-q", *packages)
    return python


class Torch:
    name = "PyTorch"

    def __init__(self, work, args):
        self.python = args.torch_python or python_with(work / "torch", ["torch", "transformers"])

    def runs(self, shape, form):
        return shape is not None

    def run(self, shape, form, threads, args):
        return call(self.python, HERE / "torch_prefill.py", shape, threads, args.prompt, args.tokens, cwd=HERE)


class Onnx:
    name = "ONNX Runtime"

    def __init__(self, work, args):
        self.work = work / "onnx"
        self.python = args.onnx_python or python_with(self.work, ["onnx", "onnxruntime", "numpy"])

    def runs(self, shape, form):
        return shape is not None and form in BITS

    def run(self, shape, form, threads, args):
        self.work.mkdir(exist_ok=True)
        model = self.work / ("%s-%d.onnx" % (shape, BITS[form]))
        if not model.exists():
            say("making " + model.name)
            call(self.python, HERE / "onnx_decoder.py", "make", shape, BITS[form], model)
        return call(self.python, HERE / "onnx_decoder.py", "run", model, shape, threads, args.prompt, args.tokens, args.sequences)


class Jlama:
    name = "Jlama"

    def __init__(self, work, args):
        self.work = work / "jlama"
        if not (self.work / "lib").exists():
            say("fetching Jlama with mvn")
            call("mvn", "-q", "-B", "-f", HERE / "jlama" / "pom.xml", "dependency:copy-dependencies", "-DoutputDirectory=%s" % (self.work / "lib").resolve())
        java = Path(args.jdk or os.environ.get("LACUNA_JAVA_HOME") or os.environ.get("JAVA_HOME") or "") / "bin" / "java"
        self.java = [java, *JAVA, "-cp", "%s/*" % (self.work / "lib"), HERE / "jlama" / "JlamaPeer.java"]

    def runs(self, shape, form):
        return shape is not None and BITS.get(form) == 4

    def run(self, shape, form, threads, args):
        source, packed = self.work / shape, self.work / (shape + "-Q4")
        if not packed.exists():
            say("making " + packed.name)
            hugging_face.write(shape, source)
            call(*self.java, "quantize", source, packed)
        return call(*self.java, packed, threads, args.prompt, args.tokens)


def models(work, llama, args):
    """(name, shape or None, format or None, file) of all that is run."""
    folder = work / "models"
    folder.mkdir(parents=True, exist_ok=True)
    for path in args.model:
        yield Path(path).name, None, None, Path(path).resolve()
    for shape in args.shapes:
        source = folder / (shape + "-F16.gguf")
        if not source.exists():
            say("making " + source.name)
            part = source.with_suffix(".part")
            write(shape, part)
            part.rename(source)
        for name in args.formats:
            target = folder / ("%s-%s.gguf" % (shape, name))
            if not target.exists():
                say("making " + target.name)
                llama.quantize(source, target, FTYPES[name])
            yield target.stem, shape, name, target


@contextlib.contextmanager
def busy(n):
    """So many processes that only spin."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for p in spinning:
            p.kill()
            p.wait()


def summary(samples):
    return "%.1f [%.1f-%.1f]" % (statistics.median(samples), min(samples), max(samples))


def measure(name, shape, form, model, threads, llama, others, args):
    """Rows of the table for one model and thread count."""
    own, theirs, seen = {}, {}, {}  # samples by (busy processes, test); by (busy processes, engine, test)

    def keep(load, engine, row):
        seen[engine] = row["version"]
        for test, v in row.items():
            if test[:2] in ("pp", "tg"):
                theirs.setdefault((load, engine, test), []).append(v)

    def ours(load):
        for test, row in lacuna(model, threads, args).items():
            own.setdefault((load, test), []).append(row)

    def llamas(load, flash):
        row = llama.run(model, threads, flash, args)
        keep(load, flash, {**row, "version": "llama.cpp %s, %s, flash attention %s" % (row["version"], row["library"], "on" if flash else "off")})

    def peer(load, p):
        keep(load, p.name, json.loads(p.run(shape, form, threads, args).splitlines()[-1]))

    def median(load, engine, test):
        samples = theirs.get((load, engine, test))
        return statistics.median(samples) if samples else None

    def of_quiet(load, now, quiet):
        return ["%.0f %%" % (100 * now / quiet) if load and now and quiet else ""] if args.busy else []

    turns = [ours] + [lambda load, flash=flash: llamas(load, flash) for flash in args.flash]
    turns += [lambda load, p=p: peer(load, p) for p in others if p.runs(shape, form)]
    loads = [0, args.busy] if args.busy else [0]
    for r in range(args.rounds):
        say("%s, %d threads, round %d of %d" % (name, threads, r + 1, args.rounds))
        for turn in turns if r % 2 == 0 else reversed(turns):
            for load in loads:
                with busy(load):
                    turn(load)
    for (load, test), rows in sorted(own.items(), key=lambda item: (item[0][0], list(own).index(item[0]))):
        speed = statistics.median(row["avg_ts"] for row in rows)
        quiet = statistics.median(row["avg_ts"] for row in own[0, test])
        last = rows[-1]
        share = [row["share_of_read_model"] for row in rows if row["share_of_read_model"] is not None]
        work = [row["share_of_int8"] for row in rows if row["share_of_int8"] is not None]
        cells = [name, test, threads] + ([load] if args.busy else [])
        cells += [summary([row["avg_ts"] for row in rows])] + of_quiet(load, speed, quiet)
        cells += [last["kernels"], last["input_many"] if test.startswith("pp") else last["input_few"], last["type_k"],
                  "%.0f %% / %.0f %%" % (100 * statistics.median(share), 100 * statistics.median(work)) if share else ""]
        for engine in [max(args.flash, key=lambda flash: median(load, flash, test))] + [p.name for p in others]:
            samples = theirs.get((load, engine, test))
            # of its own best when nothing else runs, whatever its settings then
            best = max((median(0, e, test) or 0 for e in (args.flash if engine in args.flash else [engine])), default=0)
            if samples:
                cells += [summary(samples)] + of_quiet(load, median(load, engine, test), best)
                cells += [seen[engine], "%.2f" % (speed / statistics.median(samples))]
            else:
                cells += [""] * (4 if args.busy else 3)
        yield cells


def cpu():
    """Name and numbers of the processor."""
    first = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, v = line.partition(":")
            first.setdefault(key.strip(), v.strip())
    except OSError:
        return platform.machine()
    return "%s, family %s, model %s" % (first.get("model name", platform.machine()), first.get("cpu family", "?"), first.get("model", "?"))


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", type=Path, default=ROOT / "benchmarks" / "target" / "peers", help="folder of packages and models (default: %(default)s)")
    p.add_argument("--shapes", nargs="*", choices=sorted(SHAPES), default=None, help="synthetic models (default: all; none with --model)")
    p.add_argument("--formats", nargs="+", choices=sorted(FTYPES), default=["Q4_0", "Q8_0", "Q4_K_M"])
    p.add_argument("--model", action="append", default=[], help="a GGUF file beside them; may be repeated")
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--prompt", type=int, default=512)
    p.add_argument("--tokens", type=int, default=128)
    p.add_argument("--sequences", type=int, default=8, help="decoded together (1: leave that test out)")
    p.add_argument("--busy", type=int, default=0, help="measure once more beside so many processes that only spin")
    p.add_argument("--flash", type=int, nargs="+", choices=[0, 1], default=[0, 1], help="flash attention of llama.cpp: 0 off, 1 on, both: the better")
    p.add_argument("--lacuna", default="", help='options of lacuna bench, such as "--kernels native --isa avx2"')
    p.add_argument("--perplexity", type=Path, help="text that says what Lacuna's kernels and inputs cost the default model")
    p.add_argument("--windows", type=int, default=16)
    p.add_argument("--torch", action="store_true", help="also PyTorch bf16 on the synthetic shapes")
    p.add_argument("--torch-python", help="a Python that has torch and transformers, instead of fetching them")
    p.add_argument("--onnx", action="store_true", help="also ONNX Runtime with weights of as many bits")
    p.add_argument("--onnx-python", help="a Python that has onnx, onnxruntime and numpy, instead of fetching them")
    p.add_argument("--jlama", action="store_true", help="also Jlama with 4-bit weights")
    p.add_argument("--jdk", help="home of a JDK 25 for Jlama (default: LACUNA_JAVA_HOME or JAVA_HOME)")
    args = p.parse_args()
    if args.shapes is None:
        args.shapes = [] if args.model else ["135M", "1B"]
    if args.busy < 0:
        p.error("--busy must not be negative")
    if min(args.rounds, args.prompt, args.tokens, args.sequences, *args.threads) < 1:
        p.error("rounds, threads, tokens and sequences must be positive")
    return args


def main():
    args = options()
    args.work.mkdir(parents=True, exist_ok=True)
    llama = Llama(args.work)
    others = [peer(args.work, args) for peer, wanted in ((Torch, args.torch or args.torch_python), (Onnx, args.onnx or args.onnx_python),
                                                         (Jlama, args.jlama)) if wanted]
    call(ROOT / "lacuna", "--version")  # builds what is to be built before anything is timed
    print("%s; %d processors; %s %s; node-llama-cpp %s; %d rounds in turns, tokens a second as median [min-max]\n" %
          (cpu(), os.cpu_count() or 0, platform.system(), platform.release(), llama.version, args.rounds))
    quiet = ["of its quiet"] if args.busy else []
    head = ["model", "test", "threads"] + (["busy"] if args.busy else []) + ["Lacuna"] + quiet + ["kernels", "input", "kv", "of read / of int8"]
    for peer in ["llama.cpp"] + [p.name for p in others]:
        head += [peer] + quiet + ["its settings", "ratio"]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head), flush=True)
    for name, shape, form, model in models(args.work, llama, args):
        for threads in args.threads:
            for row in measure(name, shape, form, model, threads, llama, others, args):
                print("| " + " | ".join(map(str, row)) + " |", flush=True)
    if args.perplexity:
        rows = lacuna("smollm2-135m-instruct", max(args.threads), argparse.Namespace(**{**vars(args), "prompt": 16, "tokens": 1, "sequences": 1}),
                      ["--perplexity", args.perplexity.resolve(), "--windows", args.windows])
        print("\nSmolLM2-135M-Instruct Q4_1 by these kernels, inputs and cache, %d windows of 512: perplexity %.4f (prompts), %.4f (decoding)" %
              (args.windows, rows["pp16"]["perplexity"], rows["tg1"]["perplexity"]))
    else:
        print("\nSpeed without quality: --perplexity FILE adds SmolLM2's under the same kernels, inputs and cache.")


if __name__ == "__main__":
    main()
